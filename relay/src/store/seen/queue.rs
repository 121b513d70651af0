//! What is on its way to the disk: one writes at a time, and takes all that waits.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use clavicle_ledger::authorise::SeenRevocation;
use clavicle_ledger::time::Timestamp;

use super::Closed;
use super::rule::Row;
use crate::store::StoreError;

/// What is not known to be on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten {
    pub(super) seen: BTreeMap<SeenRevocation, Row>,
    pub(super) closed: BTreeMap<Closed, Timestamp>,
}

/// What waits for its turn, and whose turn it is. Shared.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    free: Condvar,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// What is written next.
    pub(super) next: Unwritten,
    /// What is being written; after a disk that failed, what was to be.
    now: Unwritten,
    /// Whether somebody writes.
    taken: bool,
    /// Where the last [`Seen::settle`](super::Seen::settle) stopped.
    stopped_at: Option<SeenRevocation>,
}

pub(super) type Guard<'a> = MutexGuard<'a, Waiting>;

/// Whoever has it may write, and nobody else.
pub(super) struct Turn<'a>(&'a Queue);

impl Unwritten {
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.closed.is_empty()
    }
}

impl Waiting {
    /// A row that is not known to be on the disk.
    pub(super) fn row(&self, seen: &SeenRevocation) -> Option<&Row> {
        self.next.seen.get(seen).or_else(|| self.now.seen.get(seen))
    }

    /// The end of something closed that is not known to be on the disk.
    pub(super) fn closed(&self, what: &Closed) -> Option<Timestamp> {
        self.next.closed.get(what).or_else(|| self.now.closed.get(what)).copied()
    }
}

impl Queue {
    pub(super) fn lock(&self) -> Guard<'_> {
        // Nothing panics between two changes that belong together.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody writes.
    pub(super) fn turn(&self) -> Turn<'_> {
        let free = self.free.wait_while(self.lock(), |waiting| waiting.taken);
        free.unwrap_or_else(PoisonError::into_inner).taken = true;
        Turn(self)
    }

    /// Waits until nothing of what waits is `due`. Whoever finds that nobody writes does it, with all that waits.
    pub(super) fn write_down<'a>(
        &'a self,
        mut waiting: Guard<'a>,
        due: impl Fn(&Unwritten) -> bool,
        write: impl Fn(&Unwritten) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        while due(&waiting.next) || due(&waiting.now) {
            if waiting.taken {
                waiting = self.free.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            waiting.taken = true;
            let Unwritten { seen, closed } = core::mem::take(&mut waiting.next);
            waiting.now.seen.extend(seen);
            waiting.now.closed.extend(closed);
            let now = waiting.now.clone();
            drop(waiting);
            let turn = Turn(self);
            write(&now)?;
            waiting = self.lock();
            waiting.now = Unwritten::default();
            drop(waiting);
            drop(turn);
            waiting = self.lock();
        }
        Ok(())
    }
}

impl Turn<'_> {
    pub(super) fn stopped_at(&self) -> Option<SeenRevocation> {
        self.0.lock().stopped_at
    }

    pub(super) fn stop_at(&mut self, at: Option<SeenRevocation>) {
        self.0.lock().stopped_at = at;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().taken = false;
        self.0.free.notify_all();
    }
}
