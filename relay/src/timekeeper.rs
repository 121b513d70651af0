//! This relay's clocks, and what the other relays said of the time and of the newest block.
//!
//! Three things are asked here. The gate asks whether its head is [confirmed](Timekeeper::confirmed). What is written down, kept or thrown away asks
//! for the [date](Timekeeper::dated): a clock that was set ahead and back must raise no mark that stays, for the day of a receipt, the end of a pickup or
//! mailbox and the next attempt to tell somebody would then lie where nobody ever gets. Everything else that only looks at the time
//! and keeps nothing reads the wall clock.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clavicle_ledger::confirm::{Confirmation, Confirmations, Confirmed, Unconfirmed};
use clavicle_ledger::time::{Clocks, Height, Timestamp};

use crate::store::ChainStore;

/// The clocks and what is known of them. Shared.
pub struct Timekeeper {
    read: Box<dyn Fn() -> Clocks + Send + Sync>,
    /// In memory alone: what was confirmed to a process that has ended is nothing to the next.
    kept: Mutex<Confirmations>,
    asks: AtomicBool,
}

impl Timekeeper {
    /// Reads the clocks so, and knows nothing yet.
    #[must_use]
    pub fn new(read: impl Fn() -> Clocks + Send + Sync + 'static) -> Self {
        Self { read: Box::new(read), kept: Mutex::default(), asks: AtomicBool::new(false) }
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
