//! The archive: the bytes of every instance, by what they hash to, and the catalogue of studies over them.
//!
//! ```text
//! archive/             bytes in a [`Storage`], and beside them, on this machine, see [`records`]
//! catalogue.redb
//!   studies_v3         study id ─► who it is of, its salt, the root of its newest manifest
//!   editions_v2        manifest root ─► signed manifest: the newest, and every one since somebody holds the study
//!   editions_of_v1     study id, manifest root
//!   unpublished_v1     study id: its newest manifest is a revision that is not on the ledger yet
//!   open_v1            study id ─► when something was last added to it; of those that are open
//!   contradictions_v1  study id, digest ─► other bytes that came under the SOP Instance UID of an instance of the study
//!   kept_v1            digest ─► bytes, and in how many studies
//!   index_v1, by_uid_v1, names_v1   what studies are found by ─► study ids: see [`index`]
//!   meta_v1            "change": the last change of a study that it knows of
//! ```
//!
//! Bytes first, each file on the disk under its name or not there at all; then the study's record; then the
//! catalogue, in one commit. So a study in the catalogue is whole, and what a kill leaves behind is at worst bytes
//! that nobody asks for: [`Archive::check`] names them. A study that is removed is first said to go; what a kill
//! leaves of it goes at the next start.

mod bytes;
mod catalogue;
mod check;
mod earlier;
mod index;
mod local;
mod rebuild;
mod records;
mod settle;
mod storage;
mod take;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_command::said::many;
use clavicle_dicom::facts::{Patient, PatientDifference};
use clavicle_imaging::intake::StudyError;
use clavicle_ledger::encoding::{self, Text, Wire};
use clavicle_ledger::id::{ChainId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::{ManifestError, SignedManifest, StoredDigest, Uid};
use clavicle_network::transfer::Kept;
use clavicle_sandbox::{Files, ReadError};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use self::bytes::{Bytes, failed};
use self::catalogue::{BY_UID, EDITIONS, EDITIONS_OF, OPEN, STUDIES, UNPUBLISHED, decode};
use self::records::Records;
use crate::loggable::without_uids;
use crate::store::StoreError;

pub use self::bytes::{Origin, Soundness};
pub use self::catalogue::Catalogued;
pub use self::check::{Checked, OnLedger, Usage};
pub use self::index::{Found, Sought};
pub use self::local::LocalDisk;
pub(crate) use self::local::digits;
pub use self::rebuild::Rebuilt;
pub use self::storage::{Incoming, Storage, StoredPart};

/// So many damaged files are remembered: a disk that fails loses all of them.
const MAX_DAMAGED: usize = 1_000;

/// A hospital's studies.
#[derive(Debug)]
pub struct Archive {
    bytes: Bytes,
    records: Records,
    catalogue: Database,
    chain: ChainId,
    /// Held while an entry is read, worked on and written.
    changing: Mutex<()>,
    /// What was found damaged since the start.
    damaged: Mutex<BTreeSet<StoredDigest>>,
    /// Studies of which catalogue and record do not say the same, and neither all.
    unsettled: Mutex<BTreeSet<StudyId>>,
    /// How many studies of a catalogue of an earlier version were listed anew.
    listed_anew: u64,
}

/// All that the catalogue has of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// When something was last added to it.
    pub grown: Timestamp,
}

/// Other bytes under the SOP Instance UID of an instance of a study. They are kept, and are in no manifest.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Contradiction {
    /// Whose name they came under.
    pub sop_instance_uid: Uid,
    /// How many they are.
    pub size: u64,
    /// How they differ, in words.
    pub how: Text<256>,
    /// When they came.
    pub came: Timestamp,
}

impl Wire for Contradiction {
    const NAME: &'static str = "bytes that contradict an instance";
    const MAX_LEN: usize = Uid::MAX_LEN + 8 + 4 + 256 + 8;
}

/// An instance of a study whose name another study has as well: one of both is a copy under another Study Instance
/// UID, or wrong. Both are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedName {
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// Its bytes in the one study.
    pub stored: StoredDigest,
    /// How many they are.
    pub size: u64,
    /// Study Instance UID (0020,000D) of the other.
    pub other_study_instance_uid: Uid,
}

/// A manifest that was signed once, with what makes it readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEdition {
    /// The study's salt.
    pub salt: Salt,
    /// The manifest.
    pub manifest: SignedManifest,
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
    /// The time now.
    pub now: Timestamp,
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
    /// The study is closed, and what came by itself is new to it: it was left where it is.
    Late(StudyId),
}

impl Taken {
    /// Which study.
    #[must_use]
    pub const fn study(self) -> StudyId {
        let (Self::New(id) | Self::Grown(id) | Self::Known(id) | Self::Late(id)) = self;
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
    /// It is somebody else's. The sentence says by what they differ, and not who they are.
    #[error(
        "study {study} is in the archive as another patient's ({} differs); which images are whose must be settled first",
        .differences.iter().map(|one| one.what).collect::<Vec<_>>().join(", ")
    )]
    OtherPatient {
        /// Which.
        study: Uid,
        /// In what.
        differences: Vec<PatientDifference>,
    },
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
    /// No such report.
    #[error("the study has no such report")]
    NoReport,
    /// Somebody holds it.
    #[error("somebody holds the study, and it is not withdrawn: its images must stay")]
    Held,
    /// More studies have a number than can be one visit's.
    #[error("more than {0} studies have this number, which then is nobody's: correct it, or name each study")]
    TooMany(usize),
    /// Records that cannot be read, or contradict the catalogue.
    #[error(
        "the records of {} in the archive cannot be read, or contradict the catalogue, so that nobody can say which files are theirs: nothing was \
         changed. Put archive/studies back from a backup", many(.0.len(), "study", "studies")
    )]
    Unreadable(Vec<StudyId>),
}

impl ArchiveError {
    /// The sentence with what it may say about a patient: for the screen of an operator who is to settle it, and for
    /// no log.
    #[must_use]
    pub fn on_screen(&self) -> String {
        match self {
            Self::OtherPatient { differences, .. } => {
                let values: Vec<String> = differences.iter().map(ToString::to_string).collect();
                format!("{self}: {}", values.join(", "))
            }
            _ => self.to_string(),
        }
    }
}

impl ArchiveError {
    /// The sentence as the log may have it: without a UID, and without a path.
    pub(crate) fn in_log(&self) -> String {
        match self {
            Self::Changed(_) => "it changed while it was copied".into(),
            _ => without_uids(&self.to_string()),
        }
    }
}

impl<E: Into<redb::Error>> From<E> for ArchiveError {
    fn from(error: E) -> Self {
        Self::Store(StoreError::from(error.into()))
    }
}

impl Archive {
    /// Opens the archive of a network's hospital in `folder` with its catalogue at `catalogue`, or makes both. A
    /// catalogue that knows less than the records beside the bytes has all of it when this returns.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn open(folder: &Path, catalogue: &Path, chain: ChainId) -> Result<Self, ArchiveError> {
        let storage = LocalDisk::open(folder).map_err(|error| failed(folder, error))?;
        Self::over(Box::new(storage), folder, catalogue, chain)
    }

    /// The same with the bytes in any storage, and the studies' records in `folder`.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn over(
        storage: Box<dyn Storage>,
        folder: &Path,
        catalogue: &Path,
        chain: ChainId,
    ) -> Result<Self, ArchiveError> {
        let mut archive = Self {
            bytes: Bytes { storage },
            records: Records::open(folder)?,
            catalogue: catalogue::open(catalogue)?,
            chain,
            changing: Mutex::new(()),
            damaged: Mutex::default(),
            unsettled: Mutex::default(),
            listed_anew: 0,
        };
        archive.listed_anew = earlier::list_anew(&archive.catalogue, &chain)?;
        archive.let_go()?;
        archive.settle_changes()?;
        archive.remove_going()?;
        Ok(archive)
    }

    /// How many studies were listed anew when it was opened, since its catalogue was of an earlier version.
    #[must_use]
    pub const fn listed_anew(&self) -> u64 {
        self.listed_anew
    }

    /// The manifests of a study, by root.
    fn editions_of(&self, id: StudyId) -> Result<Vec<(ManifestRoot, SignedManifest)>, ArchiveError> {
        let transaction = self.catalogue.begin_read()?;
        let (of, editions) = (transaction.open_table(EDITIONS_OF)?, transaction.open_table(EDITIONS)?);
        let mut found = Vec::new();
        for row in of.range((id.as_bytes(), &[0; 32])..=(id.as_bytes(), &[0xff; 32]))? {
            let root = *row?.0.value().1;
            let damaged = StoreError::damaged("the manifests of a study", None);
            let manifest = decode(editions.get(&root)?.ok_or(damaged)?.value())?;
            found.push((ManifestRoot::from_bytes(root), manifest));
        }
        Ok(found)
    }

    /// The manifests of a study that are kept, the newest first: those since somebody holds it.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn history(&self, id: StudyId) -> Result<Vec<(ManifestRoot, SignedManifest)>, ArchiveError> {
        let mut editions = self.editions_of(id)?;
        editions.sort_by_key(|(_, one)| std::cmp::Reverse(one.manifest.header().revision));
        Ok(editions)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // It guards no value that a panic could have left half changed.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a definition of a study with this root is about to be co-signed: from then on what is new makes a
    /// revision. There is one such root for each study, for ever: two definitions that race must be of the same
    /// manifest.
    ///
    /// # Errors
    /// [`ArchiveError::Grown`] when it is another one.
    pub fn claim(&self, id: StudyId, root: &ManifestRoot, chain: &ChainId) -> Result<(), ArchiveError> {
        let _changing = self.changing();
        let entry = self.settled(id)?.ok_or(ArchiveError::Unknown)?;
        match entry.claimed {
            Some(claimed) if claimed == *root => return Ok(()),
            None if entry.manifest.manifest.root(chain) == *root => {}
            Some(_) | None => return Err(ArchiveError::Grown),
        }
        let entry = Entry { claimed: Some(*root), ..entry };
        let change = self.begin_change(id)?;
        self.records.keep(id, &entry, *root, &self.contradictions(id)?)?;
        let transaction = self.catalogue.begin_write()?;
        let row = Catalogued::of(&entry, *root);
        transaction.open_table(STUDIES)?.insert(id.as_bytes(), encoding::encode(&row).as_slice())?;
        self.finish_change(transaction, change)
    }

    /// The study with this id, and its newest manifest.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn entry(&self, id: StudyId) -> Result<Option<Entry>, ArchiveError> {
        let transaction = self.catalogue.begin_read()?;
        Ok(catalogue::entry(&transaction.open_table(STUDIES)?, &transaction.open_table(EDITIONS)?, id)?)
    }

    /// The study with this id, without its manifest.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn catalogued(&self, id: StudyId) -> Result<Option<Catalogued>, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(STUDIES)?;
        table.get(id.as_bytes())?.map(|row| Ok(decode(row.value())?)).transpose()
    }

    /// The manifest with this root, of this study.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn edition(&self, id: StudyId, root: &ManifestRoot) -> Result<Option<SignedEdition>, ArchiveError> {
        let transaction = self.catalogue.begin_read()?;
        let (studies, editions) = (transaction.open_table(STUDIES)?, transaction.open_table(EDITIONS)?);
        let (Some(row), Some(edition)) = (studies.get(id.as_bytes())?, editions.get(root.as_bytes())?) else {
            return Ok(None);
        };
        let Catalogued { salt, .. } = decode(row.value())?;
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

    /// Open studies to which nothing was added since `then`.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn quiet_since(&self, then: Timestamp) -> Result<Vec<StudyId>, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(OPEN)?;
        let mut quiet = Vec::new();
        for row in table.iter()? {
            let (study, grown) = row?;
            if grown.value() < then.0 {
                quiet.push(StudyId::from_bytes(*study.value()));
            }
        }
        Ok(quiet)
    }

    /// The manifest that follows the one with root `on_ledger` on the way to the newest; none when that is the
    /// newest, which is then remembered.
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

    /// Opens the `size` bytes with this digest, with what they are verified by while they are read.
    ///
    /// # Errors
    /// The file's.
    pub fn read(&self, digest: &StoredDigest, size: u64) -> io::Result<Kept> {
        self.bytes.read(digest, size)
    }

    /// Takes note that somebody could not be sent the bytes with this digest, since they are not what they were.
    pub fn found_damaged(&self, digest: StoredDigest) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if damaged.len() < MAX_DAMAGED {
            damaged.insert(digest);
        }
    }

    /// How many files were found damaged while they were to be sent, since the start. [`Archive::check`] names them.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How an operator finds the bytes with this digest, if they are there; and by what [`Files`] opens them.
    #[must_use]
    pub fn place(&self, digest: &StoredDigest) -> PathBuf {
        self.bytes.storage.place(digest)
    }

    /// The study with this UID.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn find(&self, uid: &Uid) -> Result<Option<Entry>, ArchiveError> {
        let transaction = self.catalogue.begin_read()?;
        let Some(id) = transaction.open_table(BY_UID)?.get(uid.as_str())? else { return Ok(None) };
        let id = StudyId::from_bytes(*id.value());
        let found = catalogue::entry(&transaction.open_table(STUDIES)?, &transaction.open_table(EDITIONS)?, id)?;
        let damaged = StoreError::damaged("the catalogue", None);
        Ok(Some(found.ok_or(damaged)?))
    }

    /// Every study, by id, without its manifest.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn studies(&self) -> Result<Vec<Catalogued>, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(STUDIES)?;
        table.iter()?.map(|row| Ok(decode(row?.1.value())?)).collect()
    }
}

impl Files for Archive {
    fn open(&self, path: &Path) -> Result<File, ReadError> {
        let digest = self.bytes.storage.at(path);
        let none = || io::Error::new(io::ErrorKind::NotFound, "nothing in the archive has this place");
        digest
            .ok_or_else(none)
            .and_then(|digest| self.bytes.storage.get(&digest, StoredPart::Bytes))
            .map_err(ReadError::Io)
    }
}
