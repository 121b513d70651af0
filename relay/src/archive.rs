//! The archive: the bytes of every instance, by what they hash to, and the catalogue of studies over them.
//!
//! ```text
//! archive/ab/cdef…     the bytes whose BLAKE3 is abcdef…, as they came
//! catalogue.redb
//!   studies_v1         study id ─► who it is of, its salt, its newest signed manifest
//!   by_uid_v1          Study Instance UID ─► study id
//!   editions_v1        manifest root ─► signed manifest: every one there ever was
//!   unpublished_v1     study id: its newest manifest is a revision that is not on the ledger yet
//! ```
//!
//! Bytes first, each file on the disk under its name or not there at all; then the catalogue, in one commit. So a study in the
//! catalogue is whole, and what a kill leaves behind is at worst bytes that nobody asks for yet.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_imaging::facts::Patient;
use clavicle_imaging::intake::{Edition, StudyError, StudyIntake};
use clavicle_ledger::encoding::{self, Ascending, Text, Wire};
use clavicle_ledger::id::{ChainId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{
    Header, Manifest, ManifestError, Nonce, Series, SignedManifest, StoredDigest, StoredHasher, Uid,
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use crate::store::StoreError;

const STUDIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("studies_v1");
const BY_UID: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("by_uid_v1");

const EDITIONS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("editions_v1");
const UNPUBLISHED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("unpublished_v1");

/// The memory that the catalogue may use for its cache.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// A hospital's studies.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    catalogue: Database,
    /// Held while an entry is read, worked on and written.
    changing: Mutex<()>,
}

/// What the catalogue has of a study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// Who the images are of. Stays here: it is in no manifest and on no ledger.
    pub patient: Patient,
    /// Accession Number (0008,0050), for the desk to find the study by.
    pub accession_number: Text<256>,
    /// What makes the study's id say nothing.
    pub salt: Salt,
    /// The root that a definition of it was co-signed with: no other is, and what is new makes a revision.
    pub claimed: Option<ManifestRoot>,
    /// What is in the study, signed.
    pub manifest: SignedManifest,
}

/// A manifest that was signed once, with what makes it readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEdition {
    /// The study's salt.
    pub salt: Salt,
    /// The manifest.
    pub manifest: SignedManifest,
}

impl Wire for Entry {
    const NAME: &'static str = "a study in the catalogue";
    const MAX_LEN: usize = 4 * 1024 + SignedManifest::MAX_LEN;
}

/// Whose studies they are, and with what they are signed.
#[derive(Debug)]
pub struct Signer<'a> {
    /// The network.
    pub chain: ChainId,
    /// The source.
    pub source: SourceId,
    /// Its operational key.
    pub operational: &'a SecretKey,
}

/// What became of a study that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was not there.
    New(StudyId),
    /// Something was added to it.
    Grown(StudyId),
    /// All of it was there.
    Known(StudyId),
}

impl Taken {
    /// Which study.
    #[must_use]
    pub const fn study(self) -> StudyId {
        let (Self::New(id) | Self::Grown(id) | Self::Known(id)) = self;
        id
    }
}

/// Why a study was not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file.
    #[error("{path} could not be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file that changed after it was looked at.
    #[error("{0} changed while it was copied; take the folder in again when nothing writes to it")]
    Changed(PathBuf),
    /// It does not fit a manifest.
    #[error(transparent)]
    Study(StudyError),
    /// What there is and what came do not fit one manifest.
    #[error(transparent)]
    Manifest(ManifestError),
    /// It is somebody else's.
    #[error("study {0} is in the archive as another patient's; which images are whose must be settled first")]
    OtherPatient(Uid),
    /// Together they are too much.
    #[error("study {0} would be larger than a manifest may be")]
    TooLarge(Uid),
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
    /// The study grew after it was offered.
    #[error("the study has grown since it was offered: take the pickup code once more")]
    Grown,
    /// No such study.
    #[error("no such study is in the archive")]
    Unknown,
}

impl<E: Into<redb::Error>> From<E> for ArchiveError {
    fn from(error: E) -> Self {
        Self::Store(error.into().into())
    }
}

impl Archive {
    /// Opens the archive in `folder` with its catalogue at `catalogue`, or makes both.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn open(folder: &Path, catalogue: &Path) -> Result<Self, ArchiveError> {
        fs::create_dir_all(folder).map_err(|error| file_error(folder, error))?;
        let catalogue = Database::builder().set_cache_size(CACHE_BYTES).create(catalogue)?;
        let transaction = catalogue.begin_write()?;
        transaction.open_table(STUDIES)?;
        transaction.open_table(BY_UID)?;
        transaction.open_table(EDITIONS)?;
        transaction.open_table(UNPUBLISHED)?;
        transaction.commit()?;
        Ok(Self { folder: folder.to_owned(), catalogue, changing: Mutex::new(()) })
    }

    /// Takes in a study: its bytes, then its entry. What is there already stays; what is new is added.
    ///
    /// # Errors
    /// [`ArchiveError`]; the catalogue is then unchanged.
    pub fn take(&self, study: &StudyIntake, signer: &Signer<'_>) -> Result<Taken, ArchiveError> {
        let _changing = self.changing();
        let uid = study.study_instance_uid;
        let known = self.find(&uid)?;
        if let Some(known) = &known
            && !known.patient.may_be(&study.patient)
        {
            return Err(ArchiveError::OtherPatient(uid));
        }
        for instance in study.series.iter().flat_map(|series| &series.instances) {
            self.keep(&instance.path, instance.instance.size, &instance.instance.stored)?;
        }
        for one in &study.attachments {
            self.keep(&one.path, one.attachment.size, &one.attachment.stored)?;
        }

        let salt = known.as_ref().map_or_else(|| random().map(Salt::from_bytes), |known| Ok(known.salt.clone()))?;
        let edition = Edition {
            chain: signer.chain,
            source: signer.source,
            salt: salt.clone(),
            nonce: Nonce::from_bytes(random()?),
            revision: 0,
            predecessor: None,
            open: true,
        };
        let mut manifest = study.manifest(&edition).map_err(ArchiveError::Study)?;
        let id = manifest.header().study;
        let taken = match &known {
            None => Taken::New(id),
            Some(known) => {
                let header = next_header(known, &signer.chain).ok_or(ArchiveError::TooLarge(uid))?;
                manifest = joined(&known.manifest.manifest, header, &manifest, edition.nonce)?;
                let before = known.manifest.manifest.counts();
                if manifest.counts() == before {
                    return Ok(Taken::Known(id));
                }
                Taken::Grown(id)
            }
        };
        let (patient, accession_number, claimed) = known.map_or_else(
            || (study.patient.clone(), study.accession_number.clone(), None),
            |known| (known.patient, known.accession_number, known.claimed),
        );
        let root = manifest.root(&signer.chain);
        let manifest = manifest.sign(&signer.chain, signer.operational);
        self.write(id, &root, &Entry { patient, accession_number, salt, claimed, manifest })?;
        Ok(taken)
    }

    fn write(&self, id: StudyId, root: &ManifestRoot, entry: &Entry) -> Result<(), ArchiveError> {
        let uid = entry.manifest.manifest.header().study_instance_uid;
        let transaction = self.catalogue.begin_write()?;
        transaction.open_table(STUDIES)?.insert(id.as_bytes(), encoding::encode(entry).as_slice())?;
        transaction.open_table(BY_UID)?.insert(uid.as_str(), id.as_bytes())?;
        transaction.open_table(EDITIONS)?.insert(root.as_bytes(), encoding::encode(&entry.manifest).as_slice())?;
        if entry.claimed.is_some() {
            transaction.open_table(UNPUBLISHED)?.insert(id.as_bytes(), ())?;
        }
        Ok(transaction.commit()?)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // It guards no value that a panic could have left half changed.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a definition of a study with this root is about to be co-signed: from then on what is new makes a revision. There is one
    /// such root for each study, for ever: two definitions that race must be of the same manifest.
    ///
    /// # Errors
    /// [`ArchiveError::Grown`] when it is another one.
    pub fn claim(&self, id: StudyId, root: &ManifestRoot, chain: &ChainId) -> Result<(), ArchiveError> {
        let _changing = self.changing();
        let entry = self.entry(id)?.ok_or(ArchiveError::Unknown)?;
        match entry.claimed {
            Some(claimed) if claimed == *root => return Ok(()),
            None if entry.manifest.manifest.root(chain) == *root => {}
            Some(_) | None => return Err(ArchiveError::Grown),
        }
        let transaction = self.catalogue.begin_write()?;
        let entry = Entry { claimed: Some(*root), ..entry };
        transaction.open_table(STUDIES)?.insert(id.as_bytes(), encoding::encode(&entry).as_slice())?;
        Ok(transaction.commit()?)
    }

    /// The study with this id.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn entry(&self, id: StudyId) -> Result<Option<Entry>, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(STUDIES)?;
        table.get(id.as_bytes())?.map(|entry| Ok(decode(entry.value())?)).transpose()
    }

    /// The manifest with this root, of this study.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn edition(&self, id: StudyId, root: &ManifestRoot) -> Result<Option<SignedEdition>, ArchiveError> {
        let transaction = self.catalogue.begin_read()?;
        let (studies, editions) = (transaction.open_table(STUDIES)?, transaction.open_table(EDITIONS)?);
        let (Some(entry), Some(edition)) = (studies.get(id.as_bytes())?, editions.get(root.as_bytes())?) else {
            return Ok(None);
        };
        let Entry { salt, .. } = decode(entry.value())?;
        let manifest: SignedManifest = decode(edition.value())?;
        Ok((manifest.manifest.header().study == id).then_some(SignedEdition { salt, manifest }))
    }

    /// Studies whose newest manifest may not be on the ledger yet.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn unpublished(&self) -> Result<Vec<StudyId>, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(UNPUBLISHED)?;
        table.iter()?.map(|entry| Ok(StudyId::from_bytes(*entry?.0.value()))).collect()
    }

    /// The manifest that follows the one with root `on_ledger` on the way to the newest; none when that is the newest, which is
    /// then remembered.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn next_revision(
        &self,
        id: StudyId,
        on_ledger: &ManifestRoot,
        chain: &ChainId,
    ) -> Result<Option<SignedManifest>, ArchiveError> {
        let _changing = self.changing();
        let mut newest = self.entry(id)?.ok_or(ArchiveError::Unknown)?.manifest;
        if newest.manifest.root(chain) == *on_ledger {
            let transaction = self.catalogue.begin_write()?;
            transaction.open_table(UNPUBLISHED)?.remove(id.as_bytes())?;
            transaction.commit()?;
            return Ok(None);
        }
        // Back from the newest, each by its predecessor.
        loop {
            match newest.manifest.header().predecessor {
                Some(root) if root == *on_ledger => return Ok(Some(newest)),
                Some(root) => newest = self.edition(id, &root)?.ok_or(ArchiveError::Unknown)?.manifest,
                None => return Err(ArchiveError::Unknown),
            }
        }
    }

    /// Copies a file's bytes to where their digest says, unless they are there, and sees that they are those.
    fn keep(&self, path: &Path, size: u64, digest: &StoredDigest) -> Result<(), ArchiveError> {
        let place = self.place(digest);
        // Under its name a file is whole: it was written elsewhere and moved there.
        if fs::metadata(&place).is_ok_and(|there| there.len() == size) {
            return Ok(());
        }
        let parent = place.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|error| file_error(parent, error))?;
        let mut coming =
            tempfile::NamedTempFile::new_in(&self.folder).map_err(|error| file_error(&self.folder, error))?;
        let found = copy(path, coming.as_file_mut()).map_err(|error| file_error(path, error))?;
        if found != *digest {
            return Err(ArchiveError::Changed(path.to_owned()));
        }
        let placed = || {
            coming.as_file().sync_all()?;
            coming.persist(&place)?;
            File::open(parent)?.sync_all()
        };
        placed().map_err(|error| file_error(&place, error))
    }

    /// Where the bytes with this digest are, if they are.
    #[must_use]
    pub fn place(&self, digest: &StoredDigest) -> PathBuf {
        let name = digest.to_string();
        let (first, rest) = name.split_at(2);
        self.folder.join(first).join(rest)
    }

    /// The study with this UID.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn find(&self, uid: &Uid) -> Result<Option<Entry>, ArchiveError> {
        let transaction = self.catalogue.begin_read()?;
        let Some(id) = transaction.open_table(BY_UID)?.get(uid.as_str())? else { return Ok(None) };
        let studies = transaction.open_table(STUDIES)?;
        let damaged = StoreError::Damaged { what: "the catalogue", error: None };
        let entry = studies.get(id.value())?.ok_or(damaged)?;
        Ok(Some(decode(entry.value())?))
    }

    /// Every study, by id.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn studies(&self) -> Result<Vec<Entry>, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(STUDIES)?;
        table.iter()?.map(|entry| Ok(decode(entry?.1.value())?)).collect()
    }
}

/// The header of what grows out of an entry: the same while nobody holds the study, the next revision's after that.
fn next_header(known: &Entry, chain: &ChainId) -> Option<Header> {
    let manifest = &known.manifest.manifest;
    let header = manifest.header();
    if known.claimed.is_some() { header.next(manifest.root(chain), header.open) } else { Some(header.clone()) }
}

/// What there is and what came, in one manifest. Where both have an instance, the one that was there first stays.
fn joined(known: &Manifest, header: Header, came: &Manifest, nonce: Nonce) -> Result<Manifest, ArchiveError> {
    let uid = header.study_instance_uid;
    let too_large = |_| ArchiveError::TooLarge(uid);
    let mut all: Vec<Series> = known.series().to_vec();
    for series in came.series() {
        match all.iter_mut().find(|there| there.series_instance_uid == series.series_instance_uid) {
            None => all.push(series.clone()),
            Some(there) => {
                for instance in &series.instances {
                    if there.instances.find(&instance.sop_instance_uid).is_none() {
                        there.instances.insert(instance.clone()).map_err(too_large)?;
                    }
                }
            }
        }
    }
    let mut attachments = known.attachments().clone();
    for attachment in came.attachments() {
        if attachments.find(&attachment.stored).is_none() {
            attachments.insert(attachment.clone()).map_err(too_large)?;
        }
    }
    let series = Ascending::from_items(all).map_err(too_large)?;
    Manifest::new(header, nonce, series, attachments).map_err(ArchiveError::Manifest)
}

fn copy(from: &Path, to: &mut File) -> io::Result<StoredDigest> {
    let (mut from, mut buffer, mut hasher) = (File::open(from)?, vec![0; 256 * 1024], StoredHasher::new());
    loop {
        let len = from.read(&mut buffer)?;
        if len == 0 {
            return Ok(hasher.finish().1);
        }
        hasher.update(&buffer[..len]);
        to.write_all(&buffer[..len])?;
    }
}

fn random() -> Result<[u8; 32], ArchiveError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(ArchiveError::Random)?;
    Ok(bytes)
}

fn decode<T: Wire>(bytes: &[u8]) -> Result<T, StoreError> {
    encoding::decode(bytes).map_err(|error| StoreError::Damaged { what: "the catalogue", error: Some(error) })
}

fn file_error(path: &Path, error: io::Error) -> ArchiveError {
    ArchiveError::File { path: path.to_owned(), error }
}
