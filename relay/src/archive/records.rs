//! What the catalogue knows of each study, once more beside its bytes: a catalogue that is lost is made anew from it.
//!
//! ```text
//! archive/studies/<study id>/record.v1   who it is of, its salt, the root of its newest manifest, what contradicts it
//! archive/studies/<study id>/<root>      a signed manifest: the newest, and each that it goes back to
//! archive/studies/<study id>.going       the record of a study that is being removed
//! archive/changes.v1                     the last change that was begun, and the one before, each as a random number; and of which study it was
//! ```
//!
//! A record is on the disk before the catalogue has what is in it: so the catalogue never knows more than the records
//! do. Each change has a number, which is here before it is begun, and in the catalogue with it: by that a change
//! that was killed is known at the next start, and a catalogue that is not of these records. What follows from it,
//! [`super::settle`] says.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::Patient;
use clavicle_ledger::encoding::{self, Text, Wire};
use clavicle_ledger::id::{ChainId, ManifestRoot, StudyId};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::{SignedManifest, StoredDigest};

use super::bytes::failed;
use super::local::digits;
use super::{ArchiveError, Contradiction, Entry};
use crate::replace::{self, sync_names};

const RECORD: &str = "record.v1";
/// What is added to the name of a record that is going.
const GOING: &str = ".going";

/// The folder of all records.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
    changes: PathBuf,
}

/// The last changes of studies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Changes {
    /// The last but one.
    pub(super) before: u64,
    /// The last that was begun.
    pub(super) last: u64,
    /// Of which study it was, if it was of one.
    pub(super) of: Option<[u8; 32]>,
}

impl Wire for Changes {
    const NAME: &'static str = "the last changes";
    const MAX_LEN: usize = 8 + 8 + 1 + 32;
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
    /// The root of its newest manifest.
    pub(super) fn newest(&self) -> ManifestRoot {
        self.editions.first().expect("a study has a manifest from the first on").0
    }

    /// The roots of its manifests.
    pub(super) fn roots(&self) -> Vec<ManifestRoot> {
        self.editions.iter().map(|(root, _)| *root).collect()
    }

    /// Whether it has all that another record of the study has: nothing that is not in it would be lost with the other.
    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        let (newer, older) = (self.entry.manifest.manifest.header(), other.entry.manifest.manifest.header());
        let claimed = other.entry.claimed;
        let (own, kept) = (self.kept(), other.kept());
        // Once somebody holds it, each goes back to the one before.
        let goes_back = || other.editions.first().is_some_and(|(root, _)| self.roots().contains(root));
        (claimed.is_none() || (claimed == self.entry.claimed && goes_back()))
            && newer.revision >= older.revision
            && (older.open || !newer.open)
            && kept.keys().all(|digest| own.contains_key(digest))
    }

    /// Everything that is kept for it, with the sizes.
    pub(super) fn kept(&self) -> BTreeMap<StoredDigest, u64> {
        let manifest = &self.entry.manifest.manifest;
        let mut kept: BTreeMap<_, _> = manifest.instances().map(|one| (one.stored, one.size)).collect();
        // A report that was detached is in earlier ones alone.
        let editions = self.editions.iter().flat_map(|(_, one)| one.manifest.attachments());
        kept.extend(manifest.attachments().iter().chain(editions).map(|one| (one.stored, one.size)));
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
        Ok(Self { folder, changes: archive.join("changes.v1") })
    }

    /// The last changes. There were none where it is not said, or cannot be read.
    pub(super) fn changes(&self) -> Changes {
        fs::read(&self.changes).ok().and_then(|bytes| encoding::decode(&bytes).ok()).unwrap_or_default()
    }

    /// Sets what [`Records::changes`] says. It is on the disk when this returns.
    pub(super) fn set_changes(&self, changes: Changes) -> Result<(), ArchiveError> {
        self.write(&self.changes, &encoding::encode(&changes))
    }

    fn place(&self, id: StudyId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// Keeps a study's record, and its newest manifest, which has the root `newest`. They are on the disk when this
    /// returns.
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

    /// Says that a study's record is going: whatever comes in between, it goes.
    pub(super) fn let_go(&self, id: StudyId) -> Result<(), ArchiveError> {
        let (place, going) = (self.place(id), self.going_place(id));
        match fs::rename(&place, &going) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&place, error)),
            _ => {}
        }
        sync_names(&self.folder).map_err(|error| failed(&self.folder, error))
    }

    /// Removes a record that is going, when all that it names is gone.
    pub(super) fn remove_going(&self, id: StudyId) -> Result<(), ArchiveError> {
        remove_folder(&self.going_place(id))
    }

    /// The studies whose records are going.
    pub(super) fn going(&self) -> Result<Vec<StudyId>, ArchiveError> {
        let id = |path: &PathBuf| digits(path.file_name()?.to_string_lossy().strip_suffix(GOING)?);
        Ok(entries(&self.folder)?.iter().filter_map(id).map(StudyId::from_bytes).collect())
    }

    /// A record that is going, as far as it can be read.
    pub(super) fn read_going(&self, id: StudyId, chain: &ChainId) -> Option<Recorded> {
        read(&self.going_place(id), id, chain)
    }

    fn going_place(&self, id: StudyId) -> PathBuf {
        self.folder.join(format!("{id}{GOING}"))
    }

    /// Removes what there is of a record that was never whole.
    pub(super) fn remove(&self, id: StudyId) -> Result<(), ArchiveError> {
        remove_folder(&self.place(id))
    }

    /// The studies that there are records of, by id.
    pub(super) fn all(&self) -> Result<Vec<StudyId>, ArchiveError> {
        let name = |path: &PathBuf| digits(&path.file_name()?.to_string_lossy());
        let mut all: Vec<_> = entries(&self.folder)?.iter().filter_map(name).map(StudyId::from_bytes).collect();
        all.sort();
        Ok(all)
    }

    /// Whether a study has a record, whatever is in it.
    pub(super) fn is_written(&self, id: StudyId) -> bool {
        self.place(id).join(RECORD).exists()
    }

    /// Whether there is a manifest of a study that is none of these.
    pub(super) fn has_other_editions(&self, id: StudyId, known: &[ManifestRoot]) -> Result<bool, ArchiveError> {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(entries(&self.place(id))?.into_iter().map(name).any(|name| name != RECORD && !known.contains(&name)))
    }

    /// A study's record, held against what its manifests hash to. None when it is not there, or not what was written.
    pub(super) fn read(&self, id: StudyId, chain: &ChainId) -> Option<Recorded> {
        read(&self.place(id), id, chain)
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
            replace::write_by_way_of(&self.folder, path, bytes)?;
            sync_names(&self.folder)
        };
        write().map_err(|error| failed(path, error))
    }
}

/// Reads the record of a study in a folder.
fn read(folder: &Path, id: StudyId, chain: &ChainId) -> Option<Recorded> {
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

fn remove_folder(folder: &Path) -> Result<(), ArchiveError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(folder, error)),
        _ => Ok(()),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let read = || -> io::Result<_> { fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect() };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| failed(folder, error)),
    }
}
