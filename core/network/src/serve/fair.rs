//! A bounded number of places that nobody keeps from others by taking many.
//!
//! Each is somebody's: strangers' are their address's, guests' their study's. While there is room, whoever comes has a place. When all are held,
//! the newcomer takes the oldest place of whoever holds the most, so that of N who want more than there is each has an N-th, and whoever comes as
//! N + 1 has its share from its first try on. Who holds the most takes places only from itself, and none that is not [settled](Fair::new) yet: however
//! fast it comes, it makes no more work than that.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The places. Shared.
#[derive(Debug)]
pub(crate) struct Fair<K>(Arc<Mutex<Table<K, watch::Sender<()>>>>);

/// A place until it is dropped, or lost to somebody else.
#[derive(Debug)]
pub(crate) struct Place<K: Ord + Copy> {
    places: Arc<Mutex<Table<K, watch::Sender<()>>>>,
    whose: K,
    number: u64,
    /// Ends when the place is lost.
    lost: watch::Receiver<()>,
}

impl<K: Ord + Copy> Fair<K> {
    /// As many places as `most`. Nobody takes one from itself before it was held for as long as `settled`.
    pub(crate) fn new(most: usize, settled: Duration) -> Self {
        Self(Arc::new(Mutex::new(Table::new(most, settled))))
    }

    /// A place for one more of `whose`, if it may have one. Whoever has held it loses it.
    pub(crate) fn enter(&self, whose: K) -> Option<Place<K>> {
        let (holds, lost) = watch::channel(());
        let number = lock(&self.0).enter(whose, Instant::now(), holds)?.0;
        Some(Place { places: Arc::clone(&self.0), whose, number, lost })
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
        lock(&self.places).leave(self.whose, self.number);
    }
}

fn lock<K, V>(table: &Mutex<Table<K, V>>) -> MutexGuard<'_, Table<K, V>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Places by whose they are: by number, and so the oldest first, with the moment since when they are held.
#[derive(Debug)]
struct Table<K, V> {
    most: usize,
    settled: Duration,
    held: usize,
    next: u64,
    all: BTreeMap<K, BTreeMap<u64, (Instant, V)>>,
    /// How many each has, and which is its oldest. The last is who gives way first.
    order: BTreeSet<(usize, Reverse<u64>, K)>,
}

impl<K: Ord + Copy, V> Table<K, V> {
    const fn new(most: usize, settled: Duration) -> Self {
        Self { most, settled, held: 0, next: 0, all: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// The number of a new place, and what was kept in the one that had to go for it; nothing if there is none to be had.
    fn enter(&mut self, whose: K, now: Instant, kept: V) -> Option<(u64, Option<V>)> {
        let gone = if self.held < self.most { None } else { Some(self.displace(whose, now)?) };
        let number = self.next;
        self.next = number.saturating_add(1);
        self.held = self.held.saturating_add(1);
        self.change(whose, |places| places.insert(number, (now, kept)));
        Some((number, gone))
    }

    fn leave(&mut self, whose: K, number: u64) -> Option<V> {
        let (_, kept) = self.change(whose, |places| places.remove(&number))?;
        self.held = self.held.saturating_sub(1);
        Some(kept)
    }

    /// Takes the oldest place of whoever holds the most once one more is `to`'s; among several of them `to` itself, or else who has the oldest.
    fn displace(&mut self, to: K, now: Instant) -> Option<V> {
        let &(most, Reverse(oldest), whose) = self.order.last()?;
        let own = self.all.get(&to).filter(|own| own.len().saturating_add(1) >= most);
        match own.and_then(BTreeMap::first_key_value) {
            None => self.leave(whose, oldest),
            Some((_, (since, _))) if now.saturating_duration_since(*since) < self.settled => None,
            Some((&number, _)) => self.leave(to, number),
        }
    }

    /// Changes somebody's places.
    fn change<T>(&mut self, whose: K, change: impl FnOnce(&mut BTreeMap<u64, (Instant, V)>) -> T) -> T {
        let places = self.all.entry(whose).or_default();
        let rank = |places: &BTreeMap<u64, _>| Some((places.len(), Reverse(*places.first_key_value()?.0), whose));
        if let Some(before) = rank(places) {
            self.order.remove(&before);
        }
        let changed = change(places);
        match rank(places) {
            Some(after) => drop(self.order.insert(after)),
            None => drop(self.all.remove(&whose)),
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLED: Duration = Duration::from_secs(1);

    fn table(most: usize) -> Table<u32, u64> {
        Table::new(most, SETTLED)
    }

    impl Table<u32, u64> {
        fn of(&self, whose: u32) -> usize {
            self.all.get(&whose).map_or(0, BTreeMap::len)
        }
    }

    /// Places are numbered as they are taken, and keep their number here.
    #[test]
    fn the_newcomer_takes_the_oldest_place_of_whoever_holds_the_most() {
        let (mut table, now) = (table(5), Instant::now());
        for (number, whose) in [7, 8, 8, 8, 7].into_iter().enumerate() {
            assert_eq!(table.enter(whose, now, number as u64), Some((number as u64, None)));
        }
        assert_eq!(table.enter(9, now, 5), Some((5, Some(1))));
        // Now two hold two: the oldest of all goes.
        assert_eq!(table.enter(10, now, 6), Some((6, Some(0))));
        assert_eq!(table.enter(11, now, 7), Some((7, Some(2))));
        // And when each has one, the oldest of all too.
        assert_eq!(table.enter(12, now, 8), Some((8, Some(3))));
        assert_eq!((table.held, table.of(8), table.of(7)), (5, 0, 1));
    }

    #[test]
    fn a_flood_from_many_addresses_leaves_a_share_for_one_more() {
        for flooding in [1, 4, 31] {
            let (mut table, now) = (table(64), Instant::now());
            for number in 0..10_000 {
                table.enter(number % flooding, now, 0);
            }
            assert_eq!(table.held, 64);
            let share = 64 / (flooding as usize + 1);
            // It has all of it at once, while the flood goes on, and loses none of it.
            for count in 1..=share {
                assert!(table.enter(1_000, now, 1).is_some());
                for whose in 0..flooding {
                    table.enter(whose, now, 0);
                }
                assert_eq!(table.of(1_000), count, "of {flooding}");
            }
            assert_eq!(table.held, 64);
        }
    }

    /// Whoever holds the most would else have the source shake hands without end.
    #[test]
    fn nobody_takes_a_place_from_itself_before_it_is_settled() {
        let (mut table, now) = (table(4), Instant::now());
        for whose in [1, 2, 1, 2] {
            table.enter(whose, now, 0);
        }
        assert_eq!(table.enter(1, now, 0), None);
        assert_eq!(table.enter(2, now, 0), None);
        let later = now + SETTLED;
        assert_eq!(table.enter(1, later, 0), Some((4, Some(0))));
        assert_eq!(table.enter(1, later, 0), Some((5, Some(0))));
        assert_eq!(table.enter(1, later, 0), None);
        assert_eq!((table.of(1), table.of(2)), (2, 2));
    }

    #[test]
    fn who_leaves_makes_room_and_nobody_is_kept_that_has_no_place() {
        let (mut table, now) = (table(2), Instant::now());
        let first = table.enter(1, now, 0).unwrap().0;
        let second = table.enter(2, now, 0).unwrap().0;
        assert_eq!(table.leave(1, first), Some(0));
        assert_eq!((table.leave(1, first), table.leave(2, 9), table.leave(3, second)), (None, None, None));
        assert!(matches!(table.enter(3, now, 0), Some((_, None))));
        table.leave(2, second);
        table.leave(3, 2);
        assert!(table.all.is_empty() && table.order.is_empty());
        assert_eq!(table.held, 0);
    }

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
        assert_eq!(lock(&places.0).held, 1);
    }
}
