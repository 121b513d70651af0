//! This relay's clocks, and what the other relays said of the time and of the newest block.
//!
//! Three things are asked here. The gate asks whether its head is [confirmed](Timekeeper::confirmed). What is written down, kept or thrown away asks
//! for the [date](Timekeeper::dated): a clock that was set ahead and back must raise no mark that stays, for the day of a receipt, the end of a pickup or
//! mailbox and the next attempt to tell somebody would then lie where nobody ever gets. Everything else that only looks at the time
//! and keeps nothing reads the wall clock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clavicle_ledger::confirm::{Confirmation, Confirmations, Confirmed, Unconfirmed};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::time::{Clocks, Height, Timestamp};
use tokio::sync::Notify;

use crate::store::ChainStore;

/// What another source said last of its newest block and of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// What the clock that nobody sets showed when it was heard, in milliseconds.
    pub heard_boot_ms: u64,
    /// The height of its newest block.
    pub height: Height,
    /// The time by its own clock.
    pub at: Timestamp,
}

/// The clocks and what is known of them. Shared.
pub struct Timekeeper {
    read: Box<dyn Fn() -> Clocks + Send + Sync>,
    /// In memory alone: what was confirmed to a process that has ended is nothing to the next.
    kept: Mutex<Confirmations>,
    asks: AtomicBool,
    /// The last word of each of the others, of those who vote.
    words: Mutex<BTreeMap<SourceId, Word>>,
    /// Somebody wants to know now.
    wanted: Notify,
}

impl Timekeeper {
    /// Reads the clocks so, and knows nothing yet.
    #[must_use]
    pub fn new(read: impl Fn() -> Clocks + Send + Sync + 'static) -> Self {
        Self {
            read: Box::new(read),
            kept: Mutex::default(),
            asks: AtomicBool::new(false),
            words: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    /// What the clocks show now.
    #[must_use]
    pub fn clocks(&self) -> Clocks {
        (self.read)()
    }

    /// From now on others are asked, and before they have answered no wall clock is believed.
    pub fn ask(&self) {
        self.asks.store(true, Ordering::Relaxed);
    }

    /// Keeps what the others said.
    pub fn keep(&self, confirmation: Confirmation) {
        self.kept().keep(confirmation);
    }

    /// Keeps what one of the others said, whose signature was verified.
    pub fn heard(&self, by: SourceId, word: Word) {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).insert(by, word);
    }

    /// The last word of each of the others since the start.
    #[must_use]
    pub fn words(&self) -> BTreeMap<SourceId, Word> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Between which moments it is now, by what enough of the others said last, whatever the wall clock shows; nothing before they were heard.
    #[must_use]
    pub fn others(&self, clocks: Clocks) -> Option<(Timestamp, Timestamp)> {
        self.kept().newest().map(|newest| newest.between(clocks))
    }

    /// Has the others asked now, and not when it is their turn.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Ends when somebody wants to know now.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// What is confirmed of a state with this head, when the clocks show this.
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub fn confirmed(&self, head: Height, clocks: Clocks) -> Result<Confirmed, Unconfirmed> {
        self.kept().at(head, clocks)
    }

    /// The date for what is written down, kept or thrown away: the wall clock's, but never outside of what the others confirmed last, and of what the clock
    /// that nobody sets counted since then. Before they were ever heard, it is the newest block's time. A relay that does not run asks nobody, and has
    /// its operator before it: its commands date by the wall clock.
    #[must_use]
    pub fn dated(&self, store: &ChainStore) -> Timestamp {
        let clocks = self.clocks();
        if !self.asks.load(Ordering::Relaxed) {
            return clocks.wall.0;
        }
        let between = self.kept().newest().map(|newest| newest.between(clocks));
        match between {
            Some((earliest, latest)) => clocks.wall.0.max(earliest).min(latest),
            // If that cannot be read either, the earliest there is: it raises nothing.
            None => store.head().map_or(Timestamp(0), |head| head.time.timestamp()),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Confirmations> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Timekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timekeeper").field("clocks", &self.clocks()).finish_non_exhaustive()
    }
}
