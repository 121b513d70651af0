//! What the catalogue knows of each study, once more beside its bytes: a catalogue that is lost is made anew from it.
//!
//! ```text
//! archive/studies/<study id>/record.v1   who it is of, its salt, the root of its newest manifest, what contradicts it
//! archive/studies/<study id>/<root>      a signed manifest: the newest, and each that it goes back to
//! ```
//!
//! A record is on the disk before the catalogue has what is in it, and goes after it: so the catalogue never knows more than the records do. What a
//! kill leaves in between is a record that is ahead by one manifest, or that the catalogue has no more: [`super::Archive::check`] names the latter.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::Patient;
use clavicle_ledger::encoding::{self, Text, Wire};
use clavicle_ledger::id::{ChainId, ManifestRoot, StudyId};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::{SignedManifest, StoredDigest};

use super::bytes::{digits, failed};
use super::{ArchiveError, Contradiction, Entry};

const RECORD: &str = "record.v1";

/// The folder of all records.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
}

/// What is kept of a study, apart from its manifests.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Record {
    patient: Patient,
    accession_number: Text<256>,
    salt: Salt,
    claimed: Option<ManifestRoot>,
    newest: ManifestRoot,
    grown: Timestamp,
    contradictions: BTreeMap<[u8; 32], Contradiction>,
}

impl Wire for Record {
    const NAME: &'static str = "a study's record";
    const MAX_LEN: usize = 64 << 20;
}

/// A study as its record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) entry: Entry,
    /// Its manifests with their roots, the newest first.
    pub(super) editions: Vec<(ManifestRoot, SignedManifest)>,
    pub(super) contradictions: Vec<(StoredDigest, Contradiction)>,
}

impl Recorded {
    /// Everything that is kept for it, with the sizes.
    pub(super) fn kept(&self) -> BTreeMap<StoredDigest, u64> {
        let manifest = &self.entry.manifest.manifest;
        let mut kept: BTreeMap<_, _> = manifest.instances().map(|one| (one.stored, one.size)).collect();
        kept.extend(manifest.attachments().iter().map(|one| (one.stored, one.size)));
        kept.extend(self.contradictions.iter().map(|(digest, one)| (*digest, one.size)));
        kept
    }
}

impl Records {
    pub(super) fn open(archive: &Path) -> Result<Self, ArchiveError> {
        let folder = archive.join("studies");
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        // What a kill left on its way.
        for path in entries(&folder)?.iter().filter(|path| path.is_file()) {
            fs::remove_file(path).map_err(|error| failed(path, error))?;
        }
        Ok(Self { folder })
    }

    fn place(&self, id: StudyId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// Keeps a study's record, and its newest manifest, which has the root `newest`. They are on the disk when this returns.
    pub(super) fn keep(
        &self,
        id: StudyId,
        entry: &Entry,
        newest: ManifestRoot,
        contradictions: &[(StoredDigest, Contradiction)],
    ) -> Result<(), ArchiveError> {
        self.keep_edition(id, newest, &entry.manifest)?;
        let Entry { patient, accession_number, salt, claimed, manifest: _, grown } = entry.clone();
        let contradictions = contradictions.iter().map(|(digest, one)| (*digest.as_bytes(), one.clone())).collect();
        let record = Record { patient, accession_number, salt, claimed, newest, grown, contradictions };
        self.write(&self.place(id).join(RECORD), &encoding::encode(&record))
    }

    /// Keeps a manifest, which is never another under the same root.
    pub(super) fn keep_edition(
        &self,
        id: StudyId,
        root: ManifestRoot,
        manifest: &SignedManifest,
    ) -> Result<(), ArchiveError> {
        let path = self.place(id).join(root.to_string());
        if path.exists() { Ok(()) } else { self.write(&path, &encoding::encode(manifest)) }
    }

    /// Removes the manifests that a study's newest does not go back to, which are `but` for these.
    pub(super) fn forget_editions(&self, id: StudyId, but: &[ManifestRoot]) -> Result<(), ArchiveError> {
        let folder = self.place(id);
        let kept: Vec<String> = but.iter().map(ToString::to_string).collect();
        for path in entries(&folder)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name != RECORD && !kept.contains(&name) {
                fs::remove_file(&path).map_err(|error| failed(&path, error))?;
            }
        }
        Ok(())
    }

    /// Removes a study's record, when the catalogue has no more of it.
    pub(super) fn remove(&self, id: StudyId) -> Result<(), ArchiveError> {
        let folder = self.place(id);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&folder, error)),
            _ => Ok(()),
        }
    }

    /// The studies that there are records of, by id.
    pub(super) fn all(&self) -> Result<Vec<StudyId>, ArchiveError> {
        let name = |path: &PathBuf| digits(&path.file_name()?.to_string_lossy());
        let mut all: Vec<_> = entries(&self.folder)?.iter().filter_map(name).map(StudyId::from_bytes).collect();
        all.sort();
        Ok(all)
    }

    /// A study's record, held against what its manifests hash to. None when it is not there, or not what was written.
    pub(super) fn read(&self, id: StudyId, chain: &ChainId) -> Option<Recorded> {
        let folder = self.place(id);
        let record: Record = encoding::decode(&fs::read(folder.join(RECORD)).ok()?).ok()?;
        let Record { patient, accession_number, salt, claimed, newest, grown, contradictions } = record;
        let mut editions: Vec<(ManifestRoot, SignedManifest)> = Vec::new();
        let mut next = Some(newest);
        while let Some(root) = next {
            let signed: SignedManifest = encoding::decode(&fs::read(folder.join(root.to_string())).ok()?).ok()?;
            let header = signed.manifest.header();
            if signed.manifest.root(chain) != root || header.study != id {
                return None;
            }
            next = header.predecessor;
            editions.push((root, signed));
        }
        let manifest = editions.first()?.1.clone();
        let entry = Entry { patient, accession_number, salt, claimed, manifest, grown };
        let contradictions =
            contradictions.into_iter().map(|(digest, one)| (StoredDigest::from_bytes(digest), one)).collect();
        Some(Recorded { entry, editions, contradictions })
    }

    /// Writes a file that is whole or not there.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ArchiveError> {
        if fs::read(path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let write = || -> io::Result<()> {
            let folder = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder)?;
            // Beside the studies' folders, where what a kill leaves is no study's.
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            File::open(folder)?.sync_all()?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| failed(path, error))
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let read = || -> io::Result<_> { fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect() };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| failed(folder, error)),
    }
}
