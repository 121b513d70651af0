//! The rows that remember what ends when: marks of transactions, places of studies, and the lists they are in, an hour each.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::encoding::Wire;
use crate::id::{BallotId, StudyId, TxId};
use crate::time::{BlockTime, HOUR_MS, Timestamp};

/// An hour, UTC: hours since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Slot(pub u32);

impl Slot {
    /// The first hour that begins at or after `end`: what ends then can go when this hour has begun.
    #[must_use]
    pub fn after(end: Timestamp) -> Self {
        Self(u32::try_from(end.0.div_ceil(HOUR_MS)).unwrap_or(u32::MAX))
    }

    pub(crate) fn has_begun(self, now: BlockTime) -> bool {
        u64::from(self.0).saturating_mul(HOUR_MS) <= now.timestamp().0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Something that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Ending {
    /// A transaction's mark: it is too old to be submitted again.
    Transaction(TxId),
    /// Something on a study.
    Study(StudyId),
    /// A vote on a ballot.
    Ballot(BallotId),
}

/// The mark of an executed transaction, kept until its `submit_by`: the whole replay memory. And that of an equivocation that
/// was shown, kept for two years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReplayMark {
    /// The last moment at which the transaction could be submitted again, and at which this mark means anything.
    pub submit_by: Timestamp,
    /// What else ends in the same hour.
    pub next: Option<Ending>,
}

impl Wire for ReplayMark {
    const NAME: &'static str = "an executed transaction's mark";
    const MAX_LEN: usize = 42;
}

/// A study's or a ballot's place in an hour's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Due {
    /// What else ends in the same hour.
    pub next: Option<Ending>,
}

impl Wire for Due {
    const NAME: &'static str = "a due mark";
    const MAX_LEN: usize = 34;
}

/// The head of an hour's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SlotHead {
    /// What was put in last.
    pub first: Ending,
}

impl Wire for SlotHead {
    const NAME: &'static str = "an hour's list";
    const MAX_LEN: usize = 33;
}
