//! Receipts: what this source writes down of every access, kept for years.
//!
//! ```text
//! books_v1        study (32)                 ─► how far its chain is, and what was counted today
//! receipts_v1     study (32), sequence       ─► number, receipt with its signatures
//! order_v1        number                     ─► study (32), sequence, digest (32)      as they were written, whichever study
//! revocations_v1  study (32), grant (32)     ─► sequence of the receipt that says its revocation was seen
//! accesses_v1     study (32), grant (32)     ─► how often it was opened with that grant on the day of the study's book
//! openings_v1     study (32), grant (32)     ─► how often it was opened with that grant, and which openings may be gone on with
//! anchors_v1      sequence of the anchor     ─► its first number, how many, the transaction, its height
//! runs_v1         first number of an anchor  ─► sequence of the anchor
//! counts_v1       name                       ─► the next number; the next that no anchor has; refusals of a day
//! ```
//!
//! An anchor is over a run of numbers. Which, and its transaction, are on the disk before it is submitted: a relay that was killed
//! submits the same again, and finds out from the ledger whether it was executed ([`Receipts::prepare`]).
//!
//! # One writer, many receipts at once
//!
//! A receipt is on the disk before a byte is sent, and a thousand recipients may come in a moment. One thread writes, and takes all that has
//! queued meanwhile into one commit: however many come, they wait for one commit that is under way and for their own. Which receipt is
//! the next of a study is decided there, and nowhere else.
//!
//! # Openings are counted where they are written
//!
//! Terms may say how often a study is opened. The count is in the commit that the receipt is in, by the one writer: of
//! two that come at once for the last opening one has it, and a relay that is killed has both or neither. An opening
//! that was not finished is gone on with for a day by who names its receipt; that is none more. Counts are kept while
//! the grant can live, as long as this store is: without it they begin again, and from an older copy they go on as they
//! were then, so that a grant is good for more openings than its Terms say.
//!
//! # What keeps it bounded
//!
//! So many accesses of a study a day by its holder, and so many with each grant: nobody uses up what is another's, and more are refused. What all grants of a
//! day come to is bounded by as much as all that can be live at once may have. So many refusals of a study, and in all, have a receipt; more are counted in
//! the next receipt of the study. What is anchored goes, anchor by anchor, when
//! the years are over for which it has to be kept; nothing goes before it is anchored.

mod anchors;
mod row;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use clavicle_ledger::id::{ChainId, GrantId, ReceiptDigest, SourceId, StudyId};
use clavicle_ledger::key::{SecretKey, Signature, SignatureError};
use clavicle_ledger::receipt::{Entry, Refused, SignedReceipt};
use clavicle_ledger::study::MAX_GRANTS;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::random::random;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tokio::sync::{Notify, Semaphore, oneshot};

pub use self::anchors::{Executed, KeptAnchor, MAX_ANCHORED, Unanchored};
use self::row::ReceiptRow;
use self::writer::{Task, Work, Writer};
use super::{StoreError, open_small, read_row};

const BOOKS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("books_v1");
const RECEIPTS: TableDefinition<'_, (&[u8; 32], u64), &[u8]> = TableDefinition::new("receipts_v1");
const ORDER: TableDefinition<'_, u64, (&[u8; 32], u64, &[u8; 32])> = TableDefinition::new("order_v1");
const REVOCATIONS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), u64> = TableDefinition::new("revocations_v1");
const ACCESSES: TableDefinition<'_, (&[u8; 32], &[u8; 32]), u32> = TableDefinition::new("accesses_v1");
const OPENINGS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), &[u8]> = TableDefinition::new("openings_v1");
const ANCHORS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("anchors_v1");
const RUNS: TableDefinition<'_, u64, u64> = TableDefinition::new("runs_v1");
const COUNTS: TableDefinition<'_, &str, u64> = TableDefinition::new("counts_v1");

/// The next number.
const NEXT: &str = "next";
/// The next number that no anchor has.
const UNANCHORED: &str = "unanchored";
/// Up to which height it was looked at which anchors were executed.
const FOLLOWED: &str = "followed";
/// The day that refusals were last counted in, and how many.
const REFUSED_DAY: &str = "refused_day";
const REFUSED: &str = "refused";

/// The most that wait to be written. Whoever comes beyond is told at once that it cannot be.
const MAX_QUEUED: usize = 4_096;
/// The most refusals among them, which strangers can have as many of as they like. Of more nothing is written: they keep nobody else waiting.
const MAX_REFUSALS_QUEUED: usize = 1_024;
/// How many wait for an anchor before it is time for one, whenever the last was.
pub const CROWDED: u64 = 4_096;

/// How much is written down in a day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Accesses of one study by its holder.
    pub by_holder: u32,
    /// Accesses of one study with one grant.
    pub by_grant: u32,
    /// Accesses of one study with all of its grants.
    pub by_grantees: u32,
    /// Refusals of one study that have a receipt.
    pub refusals: u32,
    /// Revocations on one study that have a receipt.
    pub revocations: u32,
    /// Refusals of all studies that have a receipt.
    pub refusals_in_all: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let (by_holder, by_grant) = (1_024_u32, 1_024_u32);
        // Every grant that can be live at once: only by granting anew all day does it come to more.
        let by_grantees = by_grant.saturating_mul(u32::try_from(MAX_GRANTS).unwrap_or(u32::MAX));
        Self { by_holder, by_grant, by_grantees, refusals: 64, revocations: 256, refusals_in_all: 16_384 }
    }
}

/// What is asked of an opening that is to be written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedOpening {
    /// How many openings the grant allows; none is as many as wanted.
    pub most: Option<u32>,
    /// The receipt of an opening that is to be gone on with.
    pub resumes: Option<ReceiptDigest>,
    /// When the grant ends.
    pub until: Timestamp,
}

/// Who writes receipts.
#[derive(Clone, Debug)]
pub struct ReceiptSigner {
    /// The network.
    pub chain: ChainId,
    /// The source.
    pub source: SourceId,
    /// Its operational key.
    pub key: SecretKey,
}

/// The receipts of this source. Shared.
pub struct Receipts {
    database: Arc<Database>,
    signer: ReceiptSigner,
    queue: Option<SyncSender<Work>>,
    writer: Option<JoinHandle<()>>,
    crowded: Arc<Notify>,
    /// How many refusals may wait yet.
    refusing: Arc<Semaphore>,
    /// One at a time makes or settles anchors.
    anchoring: Mutex<()>,
}

/// Why nothing was written. Whoever asked for access is then refused.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptsError {
    /// See [`StoreError`].
    #[error("a receipt could not be written")]
    Store(#[source] Arc<StoreError>),
    /// Too many at once.
    #[error("more receipts wait to be written than the disk keeps up with")]
    Busy,
    /// Too many in a day.
    #[error(
        "the study was opened as often today as it may be by its holder, with this grant, or with all grants; it is served again tomorrow"
    )]
    TooMany,
    /// As often as the terms allow.
    #[error("the study was opened as often as the terms of the grant allow")]
    NoOpeningLeft,
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
    /// No such receipt.
    #[error("there is no such receipt")]
    NoReceipt,
    /// Nobody is to sign it, or another signature is there.
    #[error("nobody but the source signs the receipt, or it was signed before")]
    NotToBeSigned,
    /// Not signed by whoever was let in.
    #[error("the receipt is not signed by whoever was let in: {0}")]
    Countersignature(SignatureError),
    /// The writer has stopped.
    #[error("the relay is stopping")]
    Stopped,
}

impl From<StoreError> for ReceiptsError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// A receipt that is being written.
#[derive(Debug)]
#[must_use = "nothing is known to be written before it is waited for"]
pub struct Writing(oneshot::Receiver<Result<SignedReceipt, ReceiptsError>>);

impl Writing {
    /// The receipt, once it is on the disk.
    ///
    /// # Errors
    /// [`ReceiptsError`].
    pub async fn done(self) -> Result<SignedReceipt, ReceiptsError> {
        self.0.await.unwrap_or(Err(ReceiptsError::Stopped))
    }

    /// The same, for a thread that may wait.
    ///
    /// # Errors
    /// [`ReceiptsError`].
    ///
    /// # Panics
    /// When called from a task.
    pub fn wait(self) -> Result<SignedReceipt, ReceiptsError> {
        self.0.blocking_recv().unwrap_or(Err(ReceiptsError::Stopped))
    }
}

impl Receipts {
    /// Opens the receipts at `path`, or makes the file, with the usual [`Limits`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path, signer: ReceiptSigner) -> Result<Self, StoreError> {
        Self::open_with(path, signer, Limits::default())
    }

    /// As [`Receipts::open`], with other limits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_with(path: &Path, signer: ReceiptSigner, limits: Limits) -> Result<Self, StoreError> {
        let database = open_small(path, |transaction| {
            transaction.open_table(BOOKS)?;
            transaction.open_table(RECEIPTS)?;
            transaction.open_table(ORDER)?;
            transaction.open_table(REVOCATIONS)?;
            transaction.open_table(ACCESSES)?;
            transaction.open_table(OPENINGS)?;
            transaction.open_table(ANCHORS)?;
            transaction.open_table(RUNS)?;
            transaction.open_table(COUNTS).map(drop)
        })?;
        let (database, crowded) = (Arc::new(database), Arc::new(Notify::new()));
        let (queue, queued) = sync_channel(MAX_QUEUED);
        let writer = Writer {
            database: Arc::clone(&database),
            signer: signer.clone(),
            limits,
            queued,
            crowded: Arc::clone(&crowded),
        };
        let thread = std::thread::Builder::new().name("receipts".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| StoreError::from(redb::Error::Io(error)))?;
        Ok(Self {
            database,
            signer,
            queue: Some(queue),
            writer: Some(thread),
            crowded,
            refusing: Arc::new(Semaphore::new(MAX_REFUSALS_QUEUED)),
            anchoring: Mutex::new(()),
        })
    }

    /// Writes down what happened at `at`, as the next receipt of the study. That a revocation was seen is written down once: asked for again, it
    /// is the receipt of then.
    ///
    /// # Errors
    /// [`ReceiptsError`]; others come with the [`Writing`].
    pub fn append(&self, study: StudyId, at: Timestamp, entry: Entry) -> Result<Writing, ReceiptsError> {
        self.open_study(study, at, entry, AskedOpening::default())
    }

    /// Writes down that a study was opened, and counts it, in one step. Which opening it is stands in the receipt then.
    ///
    /// # Errors
    /// [`ReceiptsError`]; others come with the [`Writing`]: [`ReceiptsError::NoOpeningLeft`].
    pub fn open_study(
        &self,
        study: StudyId,
        at: Timestamp,
        entry: Entry,
        asked: AskedOpening,
    ) -> Result<Writing, ReceiptsError> {
        let (told, writing) = oneshot::channel();
        self.queue(Work {
            task: Task::Append { study, at, entry, asked, blinding: random().map_err(ReceiptsError::Random)? },
            told: Some(told),
        })?;
        Ok(Writing(writing))
    }

    /// Writes down that somebody was refused, when it is that study's turn and if it is `ours`, which is found out later. Nobody waits for it, and
    /// nobody is told: what a refusal costs must not show.
    pub fn refused(
        &self,
        study: StudyId,
        at: Timestamp,
        refused: Refused,
        ours: impl FnOnce() -> bool + Send + 'static,
    ) {
        let Ok(room) = Arc::clone(&self.refusing).try_acquire_owned() else { return };
        let Ok(blinding) = random() else { return };
        let task = Task::Refuse { study, at, refused, blinding, ours: Box::new(ours), _room: room };
        self.queue(Work { task, told: None }).ok();
    }

    /// Keeps the signature of whoever was let in.
    ///
    /// # Errors
    /// [`ReceiptsError`]; others come with the [`Writing`].
    pub fn countersign(&self, study: StudyId, sequence: u64, signature: Signature) -> Result<Writing, ReceiptsError> {
        let (told, writing) = oneshot::channel();
        self.queue(Work { task: Task::Countersign { study, sequence, signature }, told: Some(told) })?;
        Ok(Writing(writing))
    }

    fn queue(&self, work: Work) -> Result<(), ReceiptsError> {
        let queue = self.queue.as_ref().ok_or(ReceiptsError::Stopped)?;
        queue.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => ReceiptsError::Busy,
            TrySendError::Disconnected(_) => ReceiptsError::Stopped,
        })
    }

    /// The receipts of a study from a sequence on, the first `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn of_study(&self, study: StudyId, from: u64, most: usize) -> Result<Vec<SignedReceipt>, StoreError> {
        Ok(self.rows_of(study, from, most)?.into_iter().map(|row| row.signed).collect())
    }

    fn rows_of(&self, study: StudyId, from: u64, most: usize) -> Result<Vec<ReceiptRow>, StoreError> {
        let table = self.database.begin_read()?.open_table(RECEIPTS)?;
        let rows = table.range((study.as_bytes(), from)..=(study.as_bytes(), u64::MAX))?.take(most);
        rows.map(|entry| read_row(entry?.1.value())).collect()
    }

    /// The receipt that says that the revocation of a grant was seen, if one does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn revocation(&self, study: StudyId, grant: GrantId) -> Result<Option<SignedReceipt>, StoreError> {
        let transaction = self.database.begin_read()?;
        let sequence = transaction.open_table(REVOCATIONS)?.get((study.as_bytes(), grant.as_bytes()))?;
        let Some(sequence) = sequence.map(|sequence| sequence.value()) else { return Ok(None) };
        Ok(self.of_study(study, sequence, 1)?.pop())
    }

    /// The studies that have receipts, and how many there were in all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn studies(&self) -> Result<Vec<(StudyId, u64)>, StoreError> {
        let table = self.database.begin_read()?.open_table(BOOKS)?;
        let mut studies = Vec::new();
        for entry in table.iter()? {
            let (study, book) = entry?;
            studies.push((StudyId::from_bytes(*study.value()), read_row::<row::Book>(book.value())?.tip.next));
        }
        Ok(studies)
    }

    /// Who signs here.
    #[must_use]
    pub const fn signer(&self) -> &ReceiptSigner {
        &self.signer
    }

    /// Returns when so many receipts wait for an anchor that it is time for one ([`CROWDED`]).
    pub async fn crowded(&self) {
        self.crowded.notified().await;
    }

    fn anchoring(&self) -> std::sync::MutexGuard<'_, ()> {
        self.anchoring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receipts {
    /// What has queued is written yet.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

impl fmt::Debug for Receipts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipts").field("source", &self.signer.source).finish_non_exhaustive()
    }
}
