//! The rows of the receipts' file.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Entry, Wire};
use clavicle_ledger::id::ReceiptDigest;
use clavicle_ledger::receipt::{RESUMED_WITHIN_MS, SignedReceipt, Tip};
use clavicle_ledger::time::{Day, Height, Timestamp};
use clavicle_ledger::transaction::Envelope;

/// A receipt as it is kept.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(super) struct ReceiptRow {
    /// Its place among all receipts here.
    pub(super) number: u64,
    pub(super) signed: SignedReceipt,
}

impl Wire for ReceiptRow {
    const NAME: &'static str = "a receipt";
    const MAX_LEN: usize = 8 + SignedReceipt::MAX_LEN;
}

/// How far a study's receipts are.
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub(super) struct Book {
    pub(super) tip: Tip,
    /// Refusals since the last receipt that have none.
    pub(super) unlisted: u64,
    /// The day that the next counts are of.
    pub(super) day: Day,
    pub(super) by_holder: u32,
    pub(super) by_grantees: u32,
    pub(super) refusals: u32,
    pub(super) revocations: u32,
}

impl Book {
    pub(super) const NEW: Self =
        Self { tip: Tip::START, unlisted: 0, day: Day(0), by_holder: 0, by_grantees: 0, refusals: 0, revocations: 0 };

    /// The same, counting anew if `day` is a later one.
    pub(super) fn on(self, day: Day) -> Self {
        let Self { tip, unlisted, .. } = self;
        if day > self.day { Self { tip, unlisted, day, ..Self::NEW } } else { self }
    }
}

impl Wire for Book {
    const NAME: &'static str = "how far a study's receipts are";
    const MAX_LEN: usize = Tip::MAX_LEN + 8 + 4 + 16;
}

/// How many openings that were not finished are remembered of one grant: more devices at once than anybody has.
const MAX_UNFINISHED: usize = 8;

/// How often a study was opened with one grant.
#[derive(Clone, Debug, Default, BorshSerialize, BorshDeserialize)]
pub(super) struct OpeningsRow {
    pub(super) count: u32,
    /// When the grant ends.
    pub(super) until: Timestamp,
    /// Those that may be gone on with, the earliest first.
    pub(super) unfinished: Ascending<Unfinished, MAX_UNFINISHED>,
}

/// An opening that may be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Unfinished {
    pub(super) sequence: u64,
    pub(super) digest: ReceiptDigest,
    pub(super) number: u32,
    pub(super) at: Timestamp,
}

impl Entry for Unfinished {
    type Key = u64;
    fn key(&self) -> &u64 {
        &self.sequence
    }
}

impl OpeningsRow {
    /// The one with this receipt, if it may still be gone on with at this time.
    pub(super) fn goes_on(&self, receipt: &ReceiptDigest, at: Timestamp) -> Option<Unfinished> {
        let mut unfinished = self.unfinished.iter();
        unfinished.find(|one| one.digest == *receipt && at.since(one.at) < RESUMED_WITHIN_MS).copied()
    }

    /// Remembers one more; the earliest is forgotten where there are too many.
    pub(super) fn begin(&mut self, one: Unfinished) {
        let over = self.unfinished.len() >= MAX_UNFINISHED;
        if let Some(first) = self.unfinished.first().map(|first| first.sequence).filter(|_| over) {
            self.unfinished.remove(&first);
        }
        self.unfinished.insert(one).ok();
    }
}

impl Wire for OpeningsRow {
    const NAME: &'static str = "how often a study was opened";
    const MAX_LEN: usize = 4 + 8 + 4 + MAX_UNFINISHED * (8 + 32 + 4 + 8);
}

/// An anchor as it is kept.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(super) struct AnchorRow {
    /// Its first receipt, by number.
    pub(super) first: u64,
    /// How many.
    pub(super) count: u32,
    /// When it was made.
    pub(super) at: Timestamp,
    /// The transaction.
    pub(super) envelope: Envelope,
    /// Where it was executed; nothing while it is not known to be.
    pub(super) height: Option<Height>,
}

impl AnchorRow {
    /// The number after its last.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }
}

impl Wire for AnchorRow {
    const NAME: &'static str = "an anchor";
    const MAX_LEN: usize = 8 + 4 + 8 + Envelope::MAX_LEN + 9;
}
