//! Epoch records: what those who pay for the network see of everybody in it (RULES §9).
//!
//! A hospital's bond is its work: nothing is deposited, everything is counted. One record an epoch is a row of the state,
//! updated by each block, so that a header and one proof show it to anybody ([`ProvenRecord`]). What of it follows from headers and
//! certificates alone, a [`Recount`] counts again.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::certificate::CommitCertificate;
use crate::encoding::{Ascending, Entry, Wire};
use crate::id::{ChainId, SourceId};
pub use crate::recount::{ProvenRecord, RecordError, Recount, RecountError};
use crate::source::MAX_SOURCES;
use crate::time::{BlockTime, Epoch, Height};
use crate::validators::ValidatorSet;

/// How many epochs' records are kept, the running one included.
pub const MAX_RECORDS: u64 = 400;

/// What one source did in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Line {
    /// Which source.
    pub source: SourceId,
    /// Its power in the set that the epoch's first block derived.
    pub power: u64,
    /// Blocks that it was to propose.
    pub proposals_due: u64,
    /// Of these, those that were decided in its round. The others were missed, by it or by too many others.
    pub proposals_made: u64,
    /// Blocks that it was to vote for.
    pub votes_due: u64,
    /// Of these, those in whose certificate, as the next block has it, its vote is missing.
    pub votes_missing: u64,
    /// Equivocations that were shown.
    pub equivocations: u64,
    /// Studies that it defined; complete when the epoch is over.
    pub studies: u64,
}

impl Line {
    pub(crate) const fn of(source: SourceId) -> Self {
        Self {
            source,
            power: 0,
            proposals_due: 0,
            proposals_made: 0,
            votes_due: 0,
            votes_missing: 0,
            equivocations: 0,
            studies: 0,
        }
    }
}

impl Entry for Line {
    type Key = SourceId;
    fn key(&self) -> &SourceId {
        &self.source
    }
}

/// An epoch: one row of the state.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EpochRecord {
    /// Which.
    pub epoch: Epoch,
    /// Its first block.
    pub first: Height,
    /// That block's time.
    pub began: BlockTime,
    /// Its last block; none while it is running. Only then is all counted that belongs to it.
    pub last: Option<Height>,
    /// What each source did that anything is known of.
    pub lines: Ascending<Line, MAX_SOURCES>,
}

impl EpochRecord {
    /// A record of an epoch that begins, decided from the next block on by `validators`.
    pub(crate) fn begin(epoch: Epoch, first: Height, began: BlockTime, validators: &ValidatorSet) -> Self {
        let mut record = Self { epoch, first, began, last: None, lines: Ascending::new() };
        for validator in &validators.validators {
            record.line(validator.source, |line| line.power = validator.power);
        }
        record
    }

    /// Changes a source's line, a new one if it has none. A roster has no more sources than a record has lines.
    pub(crate) fn line(&mut self, source: SourceId, change: impl FnOnce(&mut Line)) {
        let mut line = self.lines.remove(&source).unwrap_or(Line::of(source));
        change(&mut line);
        self.lines.insert(line).expect("a record has room for every source the roster has room for");
    }

    /// Counts a block that was decided: who was to propose it and did, who was to vote for it and is among the signers.
    /// `validators` decided it.
    pub(crate) fn count(&mut self, chain: &ChainId, validators: &ValidatorSet, commit: &CommitCertificate) {
        let able: alloc::vec::Vec<SourceId> = validators.proposers(chain, commit.height).collect();
        // The rounds before the one that decided: whole turns, and the first of one more.
        let (Some(turns), Some(more)) = (
            u64::from(commit.round).checked_div(able.len() as u64),
            u64::from(commit.round).checked_rem(able.len() as u64),
        ) else {
            return;
        };
        for (place, source) in (0u64..).zip(&able) {
            let missed = turns.saturating_add(u64::from(place < more));
            let made = u64::from(place == more);
            self.line(*source, |line| {
                line.proposals_due = line.proposals_due.saturating_add(missed).saturating_add(made);
                line.proposals_made = line.proposals_made.saturating_add(made);
            });
        }
        let mut signers = commit.votes().map(|(place, _)| place).peekable();
        for (place, validator) in validators.validators.iter().enumerate() {
            let signed = signers.next_if_eq(&place).is_some();
            self.line(validator.source, |line| {
                line.votes_due = line.votes_due.saturating_add(1);
                line.votes_missing = line.votes_missing.saturating_add(u64::from(!signed));
            });
        }
    }
}

impl Wire for EpochRecord {
    const NAME: &'static str = "an epoch's record";
    const MAX_LEN: usize = 8 + 8 + 8 + 9 + 4 + 88 * MAX_SOURCES;
}
