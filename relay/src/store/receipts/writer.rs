//! The thread that writes receipts: all that has queued, in one commit.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use clavicle_ledger::encoding;
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::key::Signature;
use clavicle_ledger::receipt::{Closed, End, Entry, Opening, Receipt, ReceiptClaim, Refused, SignedReceipt, Tip};
use clavicle_ledger::time::{DAY_MS, Timestamp};
use redb::{Database, ReadableTable as _, Table, WriteTransaction};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use super::row::{Book, OpeningsRow, ReceiptRow, Unfinished};
use super::{
    ACCESSES, AskedOpening, BOOKS, COUNTS, CROWDED, Limits, NEXT, OPENINGS, ORDER, RECEIPTS, REFUSED, REFUSED_DAY,
    REVOCATIONS, ReceiptSigner, ReceiptsError, UNANCHORED,
};
use crate::seldom::seldom;
use crate::store::{StoreError, begin_write, read_row};

/// The most that one commit takes: signing them takes as long as the commit itself.
const MAX_BATCH: usize = 1_024;

/// Something to be written, and who waits for it.
pub(super) struct Work {
    pub(super) task: Task,
    pub(super) told: Option<oneshot::Sender<Result<SignedReceipt, ReceiptsError>>>,
}

pub(super) enum Task {
    Append {
        study: StudyId,
        at: Timestamp,
        entry: Entry,
        asked: AskedOpening,
        blinding: [u8; 32],
    },
    Refuse {
        study: StudyId,
        at: Timestamp,
        refused: Refused,
        blinding: [u8; 32],
        ours: Box<dyn FnOnce() -> bool + Send>,
        /// Its place among the refusals that wait.
        _room: OwnedSemaphorePermit,
    },
    Countersign {
        study: StudyId,
        sequence: u64,
        signature: Signature,
    },
}

pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) signer: ReceiptSigner,
    pub(super) limits: Limits,
    pub(super) queued: Receiver<Work>,
    pub(super) crowded: Arc<Notify>,
}

/// What became of a task that did not fail for the store's sake.
type Done = Result<Option<SignedReceipt>, ReceiptsError>;

impl Writer {
    pub(super) fn run(self) {
        // Until nobody is left who could ask.
        while let Ok(first) = self.queued.recv() {
            let (mut tasks, mut told) = (vec![first.task], vec![first.told]);
            for work in self.queued.try_iter().take(MAX_BATCH - 1) {
                tasks.push(work.task);
                told.push(work.told);
            }
            match self.write(tasks) {
                Ok(done) => {
                    for (told, done) in told.into_iter().zip(done) {
                        let done = done.and_then(|signed| signed.ok_or(ReceiptsError::NoReceipt));
                        if let Some(told) = told {
                            // Who does not wait any more finds it where it is kept.
                            drop(told.send(done));
                        }
                    }
                }
                Err(error) => {
                    seldom!(error!(%error, "receipts could not be written: nobody is served until they can"));
                    let error = ReceiptsError::from(error);
                    for told in told.into_iter().flatten() {
                        told.send(Err(error.clone())).ok();
                    }
                }
            }
        }
    }

    /// Does all of it in one commit, which is on the disk when this returns.
    fn write(&self, tasks: Vec<Task>) -> Result<Vec<Done>, StoreError> {
        let transaction = begin_write(&self.database)?;
        let (done, unanchored) = {
            let mut page = Page::of(&transaction, self)?;
            let done = tasks.into_iter().map(|task| page.take(task)).collect::<Result<_, StoreError>>()?;
            if !page.changed {
                // What was only asked for again costs the disk nothing.
                return Ok(done);
            }
            (done, page.finish()?)
        };
        transaction.commit()?;
        if unanchored >= CROWDED {
            self.crowded.notify_one();
        }
        Ok(done)
    }
}

/// The tables, open for one commit.
struct Page<'a> {
    writer: &'a Writer,
    books: Table<'a, &'static [u8; 32], &'static [u8]>,
    receipts: Table<'a, (&'static [u8; 32], u64), &'static [u8]>,
    order: Table<'a, u64, (&'static [u8; 32], u64, &'static [u8; 32])>,
    revocations: Table<'a, (&'static [u8; 32], &'static [u8; 32]), u64>,
    accesses: Table<'a, (&'static [u8; 32], &'static [u8; 32]), u32>,
    openings: Table<'a, (&'static [u8; 32], &'static [u8; 32]), &'static [u8]>,
    counts: Table<'a, &'static str, u64>,
    next: u64,
    /// Whether anything is to be written.
    changed: bool,
}

impl<'a> Page<'a> {
    fn of(transaction: &'a WriteTransaction, writer: &'a Writer) -> Result<Self, StoreError> {
        let counts = transaction.open_table(COUNTS)?;
        let next = counts.get(NEXT)?.map_or(0, |next| next.value());
        Ok(Self {
            writer,
            books: transaction.open_table(BOOKS)?,
            receipts: transaction.open_table(RECEIPTS)?,
            order: transaction.open_table(ORDER)?,
            revocations: transaction.open_table(REVOCATIONS)?,
            accesses: transaction.open_table(ACCESSES)?,
            openings: transaction.open_table(OPENINGS)?,
            counts,
            next,
            changed: false,
        })
    }

    /// How many wait for an anchor now.
    fn finish(mut self) -> Result<u64, StoreError> {
        self.counts.insert(NEXT, self.next)?;
        let anchored = self.counts.get(UNANCHORED)?.map_or(0, |next| next.value());
        Ok(self.next.saturating_sub(anchored))
    }

    fn take(&mut self, task: Task) -> Result<Done, StoreError> {
        match task {
            Task::Append { study, at, entry, asked, blinding } => self.append(study, at, (entry, asked), blinding),
            Task::Refuse { study, at, refused, blinding, ours, _room } => {
                if ours() {
                    self.refuse(study, at, refused, blinding)
                } else {
                    Ok(Ok(None))
                }
            }
            Task::Countersign { study, sequence, signature } => self.countersign(study, sequence, signature),
        }
    }

    /// A study's book, on the day of `at` if it was not on a later one.
    fn book(&mut self, study: StudyId, at: Timestamp) -> Result<Book, StoreError> {
        let book = self.books.get(study.as_bytes())?.map(|book| read_row::<Book>(book.value())).transpose()?;
        let before = book.unwrap_or(Book::NEW);
        let book = before.on(at.day());
        if book.day != before.day {
            let of_study = (study.as_bytes(), &[0; 32])..=(study.as_bytes(), &[u8::MAX; 32]);
            self.accesses.retain_in(of_study.clone(), |_, _| false)?;
            // A day more: the gate decides by another clock than this.
            let over = |row: &[u8]| read_row::<OpeningsRow>(row).is_ok_and(|row| row.until.plus(DAY_MS) < at);
            self.openings.retain_in(of_study, |_, row| !over(row))?;
        }
        Ok(book)
    }

    /// Counts an access with a grant, if one more may be.
    fn one_more_access(&mut self, study: StudyId, grant: GrantId) -> Result<bool, StoreError> {
        let row = (study.as_bytes(), grant.as_bytes());
        let before = self.accesses.get(row)?.map_or(0, |count| count.value());
        if before >= self.writer.limits.by_grant {
            return Ok(false);
        }
        self.accesses.insert(row, before.saturating_add(1))?;
        Ok(true)
    }

    fn keep(&mut self, study: StudyId, book: &Book) -> Result<(), StoreError> {
        self.changed = true;
        self.books.insert(study.as_bytes(), encoding::encode(book).as_slice())?;
        Ok(())
    }

    fn append(
        &mut self,
        study: StudyId,
        at: Timestamp,
        (mut entry, asked): (Entry, AskedOpening),
        blinding: [u8; 32],
    ) -> Result<Done, StoreError> {
        let (mut book, limits) = (self.book(study, at)?, self.writer.limits);
        let by = entry.opened().map(|opened| opened.claim);
        let (counted, most) = match &entry {
            Entry::Opened(_) | Entry::Opening(_) | Entry::EmergencyOpening(..) => match by {
                Some(ReceiptClaim::Grant { .. }) => (&mut book.by_grantees, limits.by_grantees),
                _ => (&mut book.by_holder, limits.by_holder),
            },
            Entry::RevocationSeen { grant } => {
                let known = self.revocations.get((study.as_bytes(), grant.as_bytes()))?.map(|known| known.value());
                if let Some(sequence) = known {
                    return Ok(Ok(self.row(study, sequence)?.map(|row| row.signed)));
                }
                (&mut book.revocations, limits.revocations)
            }
            Entry::Refused(_) => (&mut book.refusals, limits.refusals),
            // As many as were opened, or as this source itself has a reason for.
            Entry::Closed(_) | Entry::Alerted { .. } | Entry::Restored { .. } => (&mut 0, u32::MAX),
        };
        if *counted >= most {
            return Ok(Err(ReceiptsError::TooMany));
        }
        *counted = counted.saturating_add(1);
        let grant = by.and_then(ReceiptClaim::grant);
        let mut openings = match (entry.opening_mut(), grant) {
            (Some(opening), Some(grant)) => match self.count(study, grant, opening, (at, asked))? {
                Some(row) => Some((grant, row)),
                None => return Ok(Err(ReceiptsError::NoOpeningLeft)),
            },
            _ => None,
        };
        if let Some(grant) = grant
            && !self.one_more_access(study, grant)?
        {
            return Ok(Err(ReceiptsError::TooMany));
        }
        match &entry {
            Entry::RevocationSeen { grant } => {
                self.revocations.insert((study.as_bytes(), grant.as_bytes()), book.tip.next)?;
            }
            Entry::Closed(Closed { opened, end: End::Finished, .. }) => self.finish_opening(study, *opened)?,
            _ => {}
        }
        let begins = entry.opening().filter(|opening| opening.resumes.is_none()).map(|opening| opening.number);
        let signed = self.write(study, &mut book, at, entry, blinding)?;
        if let Some((grant, row)) = &mut openings {
            if let Some(number) = begins {
                let Receipt { sequence, at, .. } = signed.receipt;
                row.begin(Unfinished { sequence, digest: book.tip.last, number, at });
            }
            let row = encoding::encode(row);
            self.openings.insert((study.as_bytes(), grant.as_bytes()), row.as_slice())?;
        }
        self.keep(study, &book)?;
        Ok(Ok(Some(signed)))
    }

    /// Says in an opening which one it is: one more, or one that it goes on with. What is to be kept then; nothing,
    /// where no more may be.
    ///
    /// A connection that ends before its receipt has arrived costs an opening: whoever comes again cannot name it. Not to
    /// count what was not countersigned would let in at once as many as come at once.
    fn count(
        &self,
        study: StudyId,
        grant: GrantId,
        opening: &mut Opening,
        (at, asked): (Timestamp, AskedOpening),
    ) -> Result<Option<OpeningsRow>, StoreError> {
        let AskedOpening { most, resumes, until } = asked;
        let mut row = self.openings_of(study, grant)?.unwrap_or_default();
        row.until = row.until.max(until);
        if let Some(before) = resumes.and_then(|receipt| row.goes_on(&receipt, at)) {
            (opening.number, opening.resumes) = (before.number, Some(before.sequence));
            return Ok(Some(row));
        }
        if most.is_some_and(|most| row.count >= most) {
            return Ok(None);
        }
        row.count = row.count.saturating_add(1);
        (opening.number, opening.resumes) = (row.count, None);
        Ok(Some(row))
    }

    /// An opening that was finished is not gone on with.
    fn finish_opening(&mut self, study: StudyId, opened: u64) -> Result<(), StoreError> {
        let Some(row) = self.row(study, opened)? else { return Ok(()) };
        let Receipt { entry, .. } = row.signed.receipt;
        let Some(opening) = entry.opening() else { return Ok(()) };
        let Some(grant) = opening.opened.claim.grant() else { return Ok(()) };
        let Some(mut openings) = self.openings_of(study, grant)? else { return Ok(()) };
        if openings.unfinished.remove(&opening.resumes.unwrap_or(opened)).is_some() {
            let openings = encoding::encode(&openings);
            self.openings.insert((study.as_bytes(), grant.as_bytes()), openings.as_slice())?;
        }
        Ok(())
    }

    fn openings_of(&self, study: StudyId, grant: GrantId) -> Result<Option<OpeningsRow>, StoreError> {
        let row = self.openings.get((study.as_bytes(), grant.as_bytes()))?;
        row.map(|row| read_row(row.value())).transpose()
    }

    /// The next receipt of a study.
    fn write(
        &mut self,
        study: StudyId,
        book: &mut Book,
        at: Timestamp,
        entry: Entry,
        blinding: [u8; 32],
    ) -> Result<SignedReceipt, StoreError> {
        let ReceiptSigner { chain, source, key } = &self.writer.signer;
        let Tip { next: sequence, last: previous, at: before } = book.tip;
        let receipt = Receipt {
            source: *source,
            signer: key.public(),
            study,
            sequence,
            previous,
            // A clock that was set back must not make the chain one that nobody believes.
            at: at.max(before),
            unlisted: book.unlisted,
            entry,
            blinding,
        };
        let (digest, at) = (receipt.digest(chain), receipt.at);
        let signed = receipt.sign(chain, key);
        let row = ReceiptRow { number: self.next, signed };
        self.receipts.insert((study.as_bytes(), sequence), encoding::encode(&row).as_slice())?;
        self.order.insert(self.next, (study.as_bytes(), sequence, digest.as_bytes()))?;
        self.next = self.next.saturating_add(1);
        book.tip = Tip { next: sequence.saturating_add(1), last: digest, at };
        book.unlisted = 0;
        Ok(row.signed)
    }

    /// A receipt for a refusal, or one more that has none.
    fn refuse(
        &mut self,
        study: StudyId,
        at: Timestamp,
        refused: Refused,
        blinding: [u8; 32],
    ) -> Result<Done, StoreError> {
        let mut book = self.book(study, at)?;
        let limits = self.writer.limits;
        if book.refusals >= limits.refusals || !self.one_more_refusal(at)? {
            book.unlisted = book.unlisted.saturating_add(1);
            self.keep(study, &book)?;
            return Ok(Ok(None));
        }
        book.refusals = book.refusals.saturating_add(1);
        let signed = self.write(study, &mut book, at, Entry::Refused(refused), blinding)?;
        self.keep(study, &book)?;
        Ok(Ok(Some(signed)))
    }

    /// Counts a refusal of the day, if there is room for one more.
    fn one_more_refusal(&mut self, at: Timestamp) -> Result<bool, StoreError> {
        let count = |name| Ok::<_, StoreError>(self.counts.get(name)?.map_or(0, |count| count.value()));
        let (counted_in, today) = (count(REFUSED_DAY)?, u64::from(at.day().0));
        let before = if today > counted_in { 0 } else { count(REFUSED)? };
        if before >= self.writer.limits.refusals_in_all {
            return Ok(false);
        }
        self.counts.insert(REFUSED_DAY, today.max(counted_in))?;
        self.counts.insert(REFUSED, before.saturating_add(1))?;
        Ok(true)
    }

    fn row(&self, study: StudyId, sequence: u64) -> Result<Option<ReceiptRow>, StoreError> {
        self.receipts.get((study.as_bytes(), sequence))?.map(|row| read_row(row.value())).transpose()
    }

    fn countersign(&mut self, study: StudyId, sequence: u64, signature: Signature) -> Result<Done, StoreError> {
        let Some(mut row) = self.row(study, sequence)? else { return Ok(Err(ReceiptsError::NoReceipt)) };
        if row.signed.countersignature == Some(signature) {
            return Ok(Ok(Some(row.signed)));
        }
        let Some(remote) = row.signed.receipt.countersigner().filter(|_| row.signed.countersignature.is_none()) else {
            return Ok(Err(ReceiptsError::NotToBeSigned));
        };
        let (chain, digest) = (&self.writer.signer.chain, row.signed.receipt.digest(&self.writer.signer.chain));
        if let Err(error) = digest.verify_countersignature(chain, &remote, &signature) {
            return Ok(Err(ReceiptsError::Countersignature(error)));
        }
        row.signed.countersignature = Some(signature);
        self.changed = true;
        self.receipts.insert((study.as_bytes(), sequence), encoding::encode(&row).as_slice())?;
        Ok(Ok(Some(row.signed)))
    }
}
