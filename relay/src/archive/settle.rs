//! Catalogue and records, brought to what either of them knew more of.
//!
//! Both know the same, unless a change was killed in the middle, or one of them was put back from a backup. Whichever
//! has all that the other has, and more, is believed: a record that is ahead goes into the catalogue, and is never
//! written over with less. A study of which neither has all, or whose record cannot be read and may be ahead, is left
//! as it is: nothing is added to it, and no bytes are removed, until its operator has put one of them back. What was
//! removed after a backup of the catalogue was made is listed again by that, without its images.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use clavicle_ledger::id::StudyId;
use clavicle_letters::random::random;
use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::catalogue::{CHANGE, META, STUDIES};
use super::records::{Changes, Recorded};
use super::take::enter;
use super::{Archive, ArchiveError, Entry};
use crate::store::StoreError;

/// What became of all studies.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// The catalogue has them, or all of them, only now.
    pub(super) listed: Vec<StudyId>,
    /// Their records were written again.
    pub(super) recorded: Vec<StudyId>,
    /// They were left as they are.
    pub(super) unsettled: Vec<StudyId>,
}

impl Settling {
    fn add(&mut self, id: StudyId, what: Settled) {
        match what {
            Settled::Same => {}
            Settled::Listed => self.listed.push(id),
            Settled::Recorded => self.recorded.push(id),
            Settled::Not => self.unsettled.push(id),
        }
    }
}

/// What became of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Same,
    Listed,
    Recorded,
    Not,
}

impl Archive {
    /// The entry of a study that may be changed.
    pub(super) fn settled(&self, id: StudyId) -> Result<Option<Entry>, ArchiveError> {
        if self.unsettled().contains(&id) {
            return Err(ArchiveError::Unreadable(vec![id]));
        }
        self.entry(id)
    }

    /// The studies that were left as they are.
    pub(super) fn unsettled(&self) -> MutexGuard<'_, BTreeSet<StudyId>> {
        // It is replaced as a whole.
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a change of a study is about to be made, and gives it a number.
    pub(super) fn begin_change(&self, id: StudyId) -> Result<u64, ArchiveError> {
        let (before, last) = (self.records.changes().last, number()?);
        self.records.set_changes(Changes { before, last, of: Some(*id.as_bytes()) })?;
        Ok(last)
    }

    /// Commits a change.
    pub(super) fn finish_change(&self, transaction: WriteTransaction, change: u64) -> Result<(), ArchiveError> {
        // As long as something is unsettled, all of it is looked at again at the next start.
        if self.unsettled().is_empty() {
            transaction.open_table(META)?.insert(CHANGE, change)?;
        }
        Ok(transaction.commit()?)
    }

    /// Settles what may have to be, by the last change that both know of: nothing, what that one was of, or everything.
    pub(super) fn settle_changes(&self) -> Result<(), ArchiveError> {
        let Changes { before, last, of } = self.records.changes();
        let known = self.catalogue.begin_read()?.open_table(META)?.get(CHANGE)?.map(|change| change.value());
        match (known, of) {
            (Some(known), _) if known == last => Ok(()),
            (Some(known), Some(of)) if known == before => {
                let of = StudyId::from_bytes(of);
                let mut settling = Settling::default();
                if self.entry(of)?.is_none() && !self.records.is_written(of) {
                    // Killed before there was a record: nothing of it was acknowledged.
                    self.records.remove(of)?;
                } else {
                    settling.add(of, self.settle(of)?);
                }
                self.is_settled(&settling.unsettled, last)
            }
            _ => self.settle_all().map(|_| ()),
        }
    }

    /// Settles everything. Nothing is changed meanwhile.
    pub(super) fn settle_all(&self) -> Result<Settling, ArchiveError> {
        let mut ids: BTreeSet<StudyId> = self.records.all()?.into_iter().collect();
        for row in self.catalogue.begin_read()?.open_table(STUDIES)?.iter()? {
            ids.insert(StudyId::from_bytes(*row?.0.value()));
        }
        let mut settling = Settling::default();
        for id in ids {
            settling.add(id, self.settle(id)?);
        }
        let change = number()?;
        self.records.set_changes(Changes { before: change, last: change, of: None })?;
        self.is_settled(&settling.unsettled, change)?;
        Ok(settling)
    }

    fn is_settled(&self, unsettled: &[StudyId], change: u64) -> Result<(), ArchiveError> {
        *self.unsettled() = unsettled.iter().copied().collect();
        let transaction = self.catalogue.begin_write()?;
        transaction.open_table(META)?.remove(CHANGE)?;
        self.finish_change(transaction, change)
    }

    fn settle(&self, id: StudyId) -> Result<Settled, ArchiveError> {
        let recorded = self.records.read(id, &self.chain);
        let Some(known) = self.known(id)? else {
            let Some(recorded) = recorded else { return Ok(Settled::Not) };
            self.list(id, &recorded)?;
            return Ok(Settled::Listed);
        };
        match recorded {
            Some(one) if one.entry == known.entry && one.contradictions == known.contradictions => Ok(Settled::Same),
            Some(recorded) if recorded.has_all_of(&known) => {
                self.list(id, &recorded)?;
                Ok(Settled::Listed)
            }
            Some(recorded) if !known.has_all_of(&recorded) => Ok(Settled::Not),
            None if self.records.has_other_editions(id, &known.roots())? => Ok(Settled::Not),
            Some(_) | None => {
                self.record_again(id, &known)?;
                Ok(Settled::Recorded)
            }
        }
    }

    /// A study as the catalogue has it.
    fn known(&self, id: StudyId) -> Result<Option<Recorded>, ArchiveError> {
        let Some(entry) = self.entry(id)? else { return Ok(None) };
        let mut editions = self.editions_of(id)?;
        editions.sort_by_key(|(_, one)| Reverse(one.manifest.header().revision));
        if editions.first().is_none_or(|(_, newest)| *newest != entry.manifest) {
            return Err(StoreError::damaged("the manifests of a study", None).into());
        }
        Ok(Some(Recorded { entry, editions, contradictions: self.contradictions(id)? }))
    }

    /// Puts what a record has into the catalogue.
    fn list(&self, id: StudyId, recorded: &Recorded) -> Result<(), ArchiveError> {
        let Recorded { entry, editions, contradictions } = recorded;
        let transaction = self.catalogue.begin_write()?;
        enter(
            &transaction,
            id,
            (entry, recorded.newest()),
            editions.iter().map(|(root, one)| (root, one)),
            contradictions,
        )?;
        Ok(transaction.commit()?)
    }

    /// Writes a study's record from the catalogue.
    fn record_again(&self, id: StudyId, known: &Recorded) -> Result<(), ArchiveError> {
        for (root, manifest) in &known.editions {
            self.records.keep_edition(id, *root, manifest)?;
        }
        self.records.keep(id, &known.entry, known.newest(), &known.contradictions)
    }
}

/// A change's number, which no other has.
fn number() -> Result<u64, ArchiveError> {
    random().map(u64::from_le_bytes).map_err(ArchiveError::Random)
}
