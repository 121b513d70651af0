//! When a remembered revocation may be forgotten.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::authorise::SeenRevocation;
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::genesis::MAX_GRANT_DAYS;
use clavicle_ledger::id::TxId;
use clavicle_ledger::state::{Head, ReadError, ReadRows as _, Rules, StateReader};
use clavicle_ledger::study::{Capacity, Grave};
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Envelope};

/// A revocation as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Row {
    /// Of those for this grant in this capacity that were kept, the one that can be submitted longest.
    pub(super) envelope: Envelope,
    /// Until when that could be submitted, in whole days.
    submit_by: Timestamp,
    /// The latest `grant_submit_by` that any of them stated, in whole days.
    grant_submit_by: Timestamp,
}

/// As it was kept before, with the times as they were stated.
#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct EarlierRow {
    pub(super) envelope: Envelope,
    pub(super) grant_submit_by: Timestamp,
}

impl Wire for Row {
    const NAME: &'static str = "a revocation that was seen";
    const MAX_LEN: usize = Envelope::MAX_LEN + 16;
}

impl Wire for EarlierRow {
    const NAME: &'static str = "a revocation that was seen earlier";
    const MAX_LEN: usize = Envelope::MAX_LEN + 8;
}

impl Row {
    pub(super) fn new(envelope: Envelope, grant_submit_by: Timestamp) -> Self {
        Self { submit_by: envelope.body.submit_by, envelope, grant_submit_by }
    }

    /// What there is and what came, as one; nothing if that ends no later than what there is.
    pub(super) fn joined(self, came: Self) -> Option<Self> {
        let submit_by = self.submit_by.max(came.submit_by);
        let grant_submit_by = self.grant_submit_by.max(came.grant_submit_by);
        if (submit_by, grant_submit_by) == (self.submit_by, self.grant_submit_by) {
            return None;
        }
        let later = came.envelope.body.submit_by > self.envelope.body.submit_by;
        Some(Self { envelope: if later { came.envelope } else { self.envelope }, submit_by, grant_submit_by })
    }

    /// The last moment at which it, or the grant by its word, could be submitted.
    pub(super) fn last_moment(&self) -> Timestamp {
        self.submit_by.max(self.grant_submit_by)
    }
}

/// The state of a committed block.
pub(super) struct At<'a, S> {
    state: &'a S,
    rules: Rules,
    head: Head,
}

impl<'a, S: StateReader> At<'a, S> {
    pub(super) fn new(state: &'a S) -> Result<Self, ReadError<S::Error>> {
        Ok(Self { state, rules: state.rules()?, head: state.head()? })
    }

    /// Block time.
    pub(super) fn now(&self) -> Timestamp {
        self.head.time.timestamp()
    }

    /// The latest that is believed of what a revocation states: the ledger takes none whose grant could come later, nor one itself that
    /// far ahead. Not the longest grant of today, which a vote may change.
    pub(super) fn latest(&self) -> Timestamp {
        self.now().day_rounded_up().plus(MAX_GRANT_DAYS).start()
    }

    /// What is kept of a revocation: what it states up to [`At::latest`], in whole days.
    pub(super) fn bounded(&self, row: Row) -> Row {
        let bounded = |stated: Timestamp| stated.day_rounded_up().start().min(self.latest());
        Row { submit_by: bounded(row.submit_by), grant_submit_by: bounded(row.grant_submit_by), ..row }
    }

    /// Whether nothing can be in force any more that could be submitted at `last_moment`: it was submitted before a tombstone of then
    /// would have gone, and lasts as long as a grant may.
    pub(super) fn outlived(&self, last_moment: Timestamp) -> bool {
        let parameters = &self.rules.parameters;
        // Not the longest of today, which a vote may have changed since.
        let longest_ms = u64::from(MAX_GRANT_DAYS).saturating_mul(DAY_MS);
        self.now() > last_moment.plus(parameters.tombstone_ms).plus(longest_ms)
    }

    /// Whether the state alone stops the grant for good, so that the row need not. The reasons are in the module's doc, by
    /// their numbers.
    pub(super) fn settles(&self, (study, grave): &SeenRevocation, row: &Row) -> Result<bool, ReadError<S::Error>> {
        let Some(study) = self.state.study(*study)? else { return Ok(false) };
        if let Some(live) = study.grants.find(&grave.grant) {
            return Ok(!live.is_live(self.head.time)); // 1
        }
        if self.state.executed(TxId::from(grave.grant))?.is_some() {
            return Ok(true); // 2
        }
        let stands_until = |by| {
            let stone = study.tombstones.find(&Grave { grant: grave.grant, by });
            stone.map(|stone| stone.until).filter(|until| self.now() <= *until)
        };
        if stands_until(grave.by).is_some_and(|until| row.grant_submit_by <= until) {
            return Ok(true); // 3
        }
        let body = &row.envelope.body;
        if let Action::Revoke(revoke) = &body.action
            && self.state.executed(body.id(&self.rules.chain))?.is_some()
            && self.now() > row.grant_submit_by
            && [Capacity::Holder, Capacity::Delegate(revoke.revoker)].into_iter().all(|by| stands_until(by).is_none())
        {
            return Ok(true); // 4
        }
        let stone = row.submit_by.plus(self.rules.parameters.tombstone_ms);
        Ok(self.now() > stone.max(row.grant_submit_by)) // 5
    }
}
