//! Places that are held while something is done, and lost to others as [`Admission`] says; and on whose account those are who were let in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clavicle_admission::{self as admission, Admission, Entered, Limits};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use tokio::sync::watch;

/// The code with which a connection is closed for a newer one: of its own key, or of somebody who has less.
pub(crate) const REPLACED: u32 = 5;

/// On whose account a guest is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Account {
    /// Everybody who fetches a study.
    Study(StudyId),
    /// A wallet that picks up.
    Wallet(Key),
}

/// The places. Shared: a clone has the same.
#[derive(Debug)]
pub(crate) struct Fair<K>(Arc<Mutex<Table<K>>>);

impl<K> Clone for Fair<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What is kept in a place says that it is lost when it is dropped.
type Table<K> = Admission<K, watch::Sender<()>>;

/// A place until it is dropped, or lost to somebody else.
#[derive(Debug)]
pub(crate) struct Place<K: Ord + Copy> {
    places: Arc<Mutex<Table<K>>>,
    whose: K,
    place: admission::Place,
    /// Ends when the place is lost.
    lost: watch::Receiver<()>,
}

impl<K: Ord + Copy> Fair<K> {
    /// As many places as `most`. Nobody takes one from itself before it was held for as long as `settled`. Who holds
    /// one bounds by itself for how long.
    pub(crate) fn new(most: usize, settled: Duration) -> Self {
        Self(Arc::new(Mutex::new(Admission::new(Limits { most, settled, silent: None }))))
    }

    /// A place for one more of `whose`, if it may have one. Whoever has held it loses it.
    pub(crate) fn enter(&self, whose: K) -> Option<Place<K>> {
        let (holds, lost) = watch::channel(());
        let Entered { place, displaced } = lock(&self.0).enter(whose, Instant::now(), holds).ok()?;
        // Whoever held it hears of it by this.
        drop(displaced);
        Some(Place { places: Arc::clone(&self.0), whose, place, lost })
    }
}

impl<K: Ord + Copy> Place<K> {
    /// Whose it is.
    pub(crate) const fn whose(&self) -> K {
        self.whose
    }

    /// Does something while the place is held. When it is lost nothing comes of it.
    pub(crate) async fn holding<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let mut lost = self.lost.clone();
        tokio::select! {
            biased;
            _ = lost.changed() => None,
            done = what => Some(done),
        }
    }
}

impl<K: Ord + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        lock(&self.places).leave(self.place);
    }
}

fn lock<K>(table: &Mutex<Table<K>>) -> MutexGuard<'_, Table<K>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_done_in_a_place_ends_when_the_place_is_lost() {
        let places = Fair::new(1, Duration::ZERO);
        let first = places.enter(1).unwrap();
        assert_eq!(first.holding(async { 5 }).await, Some(5));
        let second = places.enter(2).unwrap();
        assert_eq!(first.holding(std::future::pending::<()>()).await, None);
        // It was lost already: leaving it takes nothing from whoever has it now.
        drop(first);
        assert_eq!(second.holding(async { 6 }).await, Some(6));
        assert_eq!(lock(&places.0).held(), 1);
    }
}
