//! Transactions that wait for a block: bounded, each once, what stops something first.
//!
//! Whoever puts one in has asked [`admit`](clavicle_ledger::execute::admit) before. By the envelope's hash, signatures included,
//! so that a copy with a bad signature can neither ride on the good one nor keep it out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::transaction::{Precedence, Verified};

/// The most transactions that wait.
const MAX_WAITING: usize = 16 * 1024;
/// The most bytes that wait.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Transactions that wait for a block. Shared: whoever receives them puts them in, whoever proposes takes a look.
#[derive(Debug, Default)]
pub struct Mempool(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    by_hash: BTreeMap<EnvelopeHash, (Turn, Verified)>,
    in_turn: BTreeSet<(Turn, EnvelopeHash)>,
    bytes: usize,
    arrivals: u64,
}

/// When a transaction's turn comes: by precedence, then by arrival.
type Turn = (Precedence, u64);

/// What became of a transaction that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits.
    Waits,
    /// It waited already.
    Waited,
    /// There is no room: others with the same or a higher precedence wait.
    Full,
}

impl Mempool {
    /// No transactions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing here panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a transaction in. When there is no room, the last in turn goes out for one with precedence over it, so that a
    /// flood of grants keeps out no revocation.
    pub fn put(&self, envelope: Verified) -> Put {
        self.waiting().put(envelope)
    }

    /// The transactions in turn, as many as fit into `bytes`.
    #[must_use]
    pub fn in_turn(&self, most: usize, bytes: usize) -> Vec<Verified> {
        let waiting = self.waiting();
        let mut left = bytes;
        let envelopes =
            waiting.in_turn.iter().filter_map(|(_, hash)| waiting.by_hash.get(hash)).map(|(_, envelope)| envelope);
        let fits = |envelope: &&Verified| {
            let room = left.checked_sub(envelope.encoded_len());
            left = room.unwrap_or(left);
            room.is_some()
        };
        envelopes.filter(fits).take(most).cloned().collect()
    }

    /// A waiting transaction, whose signatures need not be verified again.
    #[must_use]
    pub fn find(&self, hash: &EnvelopeHash) -> Option<Verified> {
        self.waiting().by_hash.get(hash).map(|(_, envelope)| envelope.clone())
    }

    /// The hashes of what waits.
    #[must_use]
    pub fn hashes(&self) -> Vec<EnvelopeHash> {
        self.waiting().by_hash.keys().copied().collect()
    }

    /// Takes transactions out: they were executed, or never can be.
    pub fn remove<'a>(&self, hashes: impl IntoIterator<Item = &'a EnvelopeHash>) {
        let mut waiting = self.waiting();
        hashes.into_iter().for_each(|hash| waiting.remove(hash));
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting().by_hash.is_empty()
    }
}

impl Waiting {
    fn put(&mut self, envelope: Verified) -> Put {
        let (hash, precedence) = (envelope.hash(), envelope.body().action.precedence());
        if self.by_hash.contains_key(&hash) {
            return Put::Waited;
        }
        while self.by_hash.len() >= MAX_WAITING || self.bytes.saturating_add(envelope.encoded_len()) > MAX_BYTES {
            match self.in_turn.last().copied() {
                Some(((last, _), out)) if last > precedence => self.remove(&out),
                _ => return Put::Full,
            }
        }
        let turn = (precedence, self.arrivals);
        self.arrivals = self.arrivals.saturating_add(1);
        self.bytes = self.bytes.saturating_add(envelope.encoded_len());
        self.in_turn.insert((turn, hash));
        self.by_hash.insert(hash, (turn, envelope));
        Put::Waits
    }

    fn remove(&mut self, hash: &EnvelopeHash) {
        if let Some((turn, envelope)) = self.by_hash.remove(hash) {
            self.in_turn.remove(&(turn, *hash));
            self.bytes = self.bytes.saturating_sub(envelope.encoded_len());
        }
    }
}
