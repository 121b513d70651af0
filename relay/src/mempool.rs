//! Transactions that wait for a block: the ledger's [`Pool`], shared.
//!
//! Whose turn is next and who makes room for whom is decided there. Here is only the lock: whoever receives transactions puts
//! them in, whoever proposes takes a look. Whoever puts one in has asked [`admit`](clavicle_ledger::execute::admit) before, and
//! [`lane_of`](clavicle_ledger::pool::lane_of); but for the keeper's own evidence, which goes into nobody's lane.

use std::sync::{Mutex, MutexGuard, PoisonError};

use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::pool::{Lane, Pool, Put};
use clavicle_ledger::time::BlockTime;
use clavicle_ledger::transaction::Verified;

/// Transactions that wait for a block.
#[derive(Debug, Default)]
pub struct Mempool(Mutex<Pool>);

impl Mempool {
    /// No transactions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Nothing in the pool panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a transaction in: [`Pool::put`].
    pub fn put(&self, envelope: Verified, lane: Lane) -> Put {
        self.pool().put(envelope, lane)
    }

    /// The transactions in turn: [`Pool::in_turn`].
    #[must_use]
    pub fn in_turn(&self, most: usize, bytes: usize) -> Vec<Verified> {
        self.pool().in_turn(most, bytes)
    }

    /// A waiting transaction, whose signatures need not be verified again.
    #[must_use]
    pub fn find(&self, hash: &EnvelopeHash) -> Option<Verified> {
        self.pool().find(hash).cloned()
    }

    /// The hashes of what waits.
    #[must_use]
    pub fn hashes(&self) -> Vec<EnvelopeHash> {
        self.pool().hashes().collect()
    }

    /// Takes transactions out: they were executed, or never can be.
    pub fn remove<'a>(&self, hashes: impl IntoIterator<Item = &'a EnvelopeHash>) {
        let mut pool = self.pool();
        for hash in hashes {
            pool.remove(hash);
        }
    }

    /// Takes out what comes too late for a block at `now` and any after it.
    pub fn expire(&self, now: BlockTime) {
        self.pool().expire(now);
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pool().is_empty()
    }
}
