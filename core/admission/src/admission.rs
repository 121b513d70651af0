//! A bounded number of places that nobody keeps from others by taking many.
//!
//! Each is on somebody's account: an address while nothing else is known of whoever came, what it has proven afterwards. An account is a share and not a
//! cap, since a hospital or a mobile network is one address: while there is room, whoever comes has a place. When all are held, the
//! newcomer takes the oldest place of whoever holds the most, so that of N who want more than there is each has an N-th, and whoever comes as
//! N + 1 has its share from its first try on. Who holds the most takes places only from itself, and none that is not [settled](Limits::settled)
//! yet: however fast it comes, it makes no more work than that.
//!
//! The oldest is the one that was longest without progress: who does something is the youngest again
//! ([`Admission::renew`]). Of one account those go first that have said nothing yet ([`Admission::heard`]), so that
//! whoever shares an address with a flood of the silent does not share its fate.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How many places there are, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Places in all.
    pub most: usize,
    /// Nobody takes a place from itself that was held for less than this. Zero: a newcomer always has a place.
    pub settled: Duration,
    /// How long a place may be held by somebody who says nothing. None: for ever.
    pub silent: Option<Duration>,
}

/// The places; `V` is what the caller keeps in each, with which it ends whoever lost it.
#[derive(Debug)]
pub struct Admission<W, V> {
    limits: Limits,
    next: u64,
    /// The silent first, and of each kind the oldest.
    all: BTreeMap<Place, Held<W, V>>,
    of: BTreeMap<W, BTreeSet<Place>>,
    /// How many each has, and which is its first. The last is who gives way first.
    order: BTreeSet<(usize, Reverse<Place>, W)>,
}

#[derive(Debug)]
struct Held<W, V> {
    whose: W,
    since: Instant,
    kept: V,
}

/// Which place it is. It may have been lost meanwhile: then nothing is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    heard: bool,
    number: u64,
}

/// Somebody has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered<V> {
    /// Which.
    pub place: Place,
    /// What was kept in the place that had to go for it: the caller ends that.
    pub displaced: Option<V>,
}

/// There is no place to be had: here is what was to be kept in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full<V>(pub V);

impl<W: Ord + Copy, V> Admission<W, V> {
    /// Places that nobody holds.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, next: 0, all: BTreeMap::new(), of: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// A place for one more of `whose`.
    ///
    /// # Errors
    /// There is none: `whose` has the most, and its oldest is not settled yet.
    pub fn enter(&mut self, whose: W, now: Instant, kept: V) -> Result<Entered<V>, Full<V>> {
        let mut displaced = None;
        if self.all.len() >= self.limits.most {
            match self.gives_way(whose, now) {
                Some(place) => displaced = self.remove(place).map(|held| held.kept),
                None => return Err(Full(kept)),
            }
        }
        let place = self.insert(false, Held { whose, since: now, kept });
        Ok(Entered { place, displaced })
    }

    /// Its holder has done something: it is the youngest again, under a new number.
    #[must_use = "the place has a new number"]
    pub fn renew(&mut self, place: Place, now: Instant) -> Place {
        self.again(place, place.heard, now)
    }

    /// Its holder has said something: it is silent no more, and the youngest again, under a new number. Of its account
    /// those who said nothing go before it.
    #[must_use = "the place has a new number"]
    pub fn heard(&mut self, place: Place, now: Instant) -> Place {
        self.again(place, true, now)
    }

    fn again(&mut self, place: Place, heard: bool, now: Instant) -> Place {
        match self.remove(place) {
            Some(held) => self.insert(heard, Held { since: now, ..held }),
            None => place,
        }
    }

    /// Gives a place up. What was kept in it, unless it was lost before.
    pub fn leave(&mut self, place: Place) -> Option<V> {
        Some(self.remove(place)?.kept)
    }

    /// The first place is given up: of those who said nothing the oldest. In a queue that is whoever waits longest.
    pub fn leave_first(&mut self) -> Option<V> {
        let place = *self.all.first_key_value()?.0;
        Some(self.remove(place)?.kept)
    }

    /// Takes a place from somebody who was silent for too long, if there is one; to be asked until there is none.
    pub fn overdue(&mut self, now: Instant) -> Option<V> {
        if self.next_overdue()? > now {
            return None;
        }
        self.leave_first()
    }

    /// When [`Admission::overdue`] next has something to say.
    #[must_use]
    pub fn next_overdue(&self) -> Option<Instant> {
        let (place, held) = self.all.first_key_value()?;
        held.since.checked_add(self.limits.silent?).filter(|_| !place.heard)
    }

    /// How many places are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.all.len()
    }

    /// How many of them are `whose`.
    #[must_use]
    pub fn held_by(&self, whose: W) -> usize {
        self.of.get(&whose).map_or(0, BTreeSet::len)
    }

    /// The first place of whoever holds the most once one more is `to`'s; among several of them `to` itself, or else
    /// who has the oldest.
    fn gives_way(&self, to: W, now: Instant) -> Option<Place> {
        let &(most, Reverse(first), _) = self.order.last()?;
        let own = self.of.get(&to).filter(|own| own.len().saturating_add(1) >= most);
        let Some(own) = own.and_then(BTreeSet::first) else { return Some(first) };
        let held = self.all.get(own)?;
        (now.saturating_duration_since(held.since) >= self.limits.settled).then_some(*own)
    }

    fn insert(&mut self, heard: bool, held: Held<W, V>) -> Place {
        let place = Place { heard, number: self.next };
        self.next = self.next.saturating_add(1);
        self.change(held.whose, |own| own.insert(place));
        self.all.insert(place, held);
        place
    }

    fn remove(&mut self, place: Place) -> Option<Held<W, V>> {
        let held = self.all.remove(&place)?;
        self.change(held.whose, |own| own.remove(&place));
        Some(held)
    }

    /// Changes which places are somebody's.
    fn change(&mut self, whose: W, change: impl FnOnce(&mut BTreeSet<Place>) -> bool) {
        let own = self.of.entry(whose).or_default();
        let rank = |own: &BTreeSet<Place>| Some((own.len(), Reverse(*own.first()?), whose));
        if let Some(before) = rank(own) {
            self.order.remove(&before);
        }
        change(own);
        match rank(own) {
            Some(after) => drop(self.order.insert(after)),
            None => drop(self.of.remove(&whose)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLED: Duration = Duration::from_secs(1);
    const SILENT: Duration = Duration::from_secs(5);

    fn places(most: usize) -> Admission<u32, u32> {
        Admission::new(Limits { most, settled: SETTLED, silent: Some(SILENT) })
    }

    /// Says what had to go for it, or that there was no place.
    fn enter(places: &mut Admission<u32, u32>, whose: u32, now: Instant, kept: u32) -> Result<Option<u32>, ()> {
        places.enter(whose, now, kept).map(|entered| entered.displaced).map_err(|Full(back)| assert_eq!(back, kept))
    }

    #[test]
    fn the_newcomer_takes_the_oldest_place_of_whoever_holds_the_most() {
        let (mut places, now) = (places(5), Instant::now());
        for (number, whose) in [7, 8, 8, 8, 7].into_iter().enumerate() {
            assert_eq!(enter(&mut places, whose, now, number as u32), Ok(None));
        }
        assert_eq!(enter(&mut places, 9, now, 5), Ok(Some(1)));
        // Now two hold two: the oldest of all goes.
        assert_eq!(enter(&mut places, 10, now, 6), Ok(Some(0)));
        assert_eq!(enter(&mut places, 11, now, 7), Ok(Some(2)));
        // And when each has one, the oldest of all too.
        assert_eq!(enter(&mut places, 12, now, 8), Ok(Some(3)));
        assert_eq!((places.held(), places.held_by(8), places.held_by(7)), (5, 0, 1));
    }

    #[test]
    fn a_flood_from_many_addresses_leaves_a_share_for_one_more() {
        for flooding in [1, 4, 31] {
            let (mut places, now) = (places(64), Instant::now());
            for number in 0..10_000 {
                let _ = enter(&mut places, number % flooding, now, 0);
            }
            assert_eq!(places.held(), 64);
            let share = 64 / (flooding as usize + 1);
            // It has all of it at once, while the flood goes on, and loses none of it.
            for count in 1..=share {
                assert!(enter(&mut places, 1_000, now, 1).is_ok());
                for whose in 0..flooding {
                    let _ = enter(&mut places, whose, now, 0);
                }
                assert_eq!(places.held_by(1_000), count, "of {flooding}");
            }
            for number in 0..10_000 {
                let _ = enter(&mut places, number % flooding, now, 0);
            }
            assert_eq!((places.held(), places.held_by(1_000)), (64, share), "of {flooding}");
        }
    }

    /// Whoever holds the most would else make work without end.
    #[test]
    fn nobody_takes_a_place_from_itself_before_it_is_settled() {
        let (mut places, now) = (places(4), Instant::now());
        for whose in [1, 2, 1, 2] {
            assert_eq!(enter(&mut places, whose, now, whose), Ok(None));
        }
        assert_eq!(enter(&mut places, 1, now, 0), Err(()));
        assert_eq!(enter(&mut places, 2, now, 0), Err(()));
        let later = now + SETTLED;
        assert_eq!(enter(&mut places, 1, later, 0), Ok(Some(1)));
        assert_eq!(enter(&mut places, 1, later, 0), Ok(Some(1)));
        assert_eq!(enter(&mut places, 1, later, 0), Err(()));
        assert_eq!((places.held_by(1), places.held_by(2)), (2, 2));
    }

    /// Behind one address with a flood that says nothing: whoever says something keeps its place until everybody else has lost theirs.
    #[test]
    fn the_silent_go_before_who_said_something() {
        let now = Instant::now();
        let mut places = Admission::new(Limits { most: 8, settled: Duration::ZERO, silent: Some(SILENT) });
        let victim = places.enter(1, now, 100).unwrap().place;
        for number in 0..7 {
            places.enter(1, now, number).unwrap();
        }
        let victim = places.heard(victim, now);
        for number in 0..1_000 {
            let displaced = places.enter(1, now, 1_000 + number).unwrap().displaced;
            assert_eq!(displaced, Some(if number < 7 { number } else { 993 + number }));
        }
        let victim = places.renew(victim, now);
        // Whoever else says something is heard too: of those the oldest goes first again.
        for number in 0..7 {
            let other = places.enter(1, now, number).unwrap().place;
            assert!(places.heard(other, now).heard);
        }
        assert_eq!(places.enter(1, now, 7).unwrap().displaced, Some(100));
        assert_eq!((places.leave(victim), places.held()), (None, 8));
    }

    #[test]
    fn the_silent_are_named_when_their_time_is_over_and_nobody_else() {
        let (mut places, start) = (places(8), Instant::now());
        assert_eq!(places.next_overdue(), None);
        let first = places.enter(1, start, 1).unwrap().place;
        places.enter(2, start + SETTLED, 2).unwrap();
        assert_eq!(places.next_overdue(), Some(start + SILENT));
        let first = places.renew(first, start + SETTLED * 2);
        assert_eq!(places.overdue(start + SILENT), None);
        assert_eq!(places.overdue(start + SETTLED + SILENT), Some(2));
        assert_eq!(places.overdue(start + SETTLED + SILENT), None);
        // Who was heard is silent no more.
        let first = places.heard(first, start);
        assert_eq!((places.next_overdue(), places.overdue(start + SILENT * 1_000)), (None, None));
        assert_eq!(places.leave(first), Some(1));
        let mut patient = Admission::new(Limits { most: 1, settled: SETTLED, silent: None });
        patient.enter(1, start, 0).unwrap();
        assert_eq!((patient.next_overdue(), patient.overdue(start + SILENT * 1_000)), (None, None));
    }

    #[test]
    fn who_leaves_makes_room_and_nobody_is_kept_that_has_no_place() {
        let (mut places, now) = (places(2), Instant::now());
        let first = places.enter(1, now, 10).unwrap().place;
        places.enter(2, now, 20).unwrap();
        assert_eq!(places.leave(first), Some(10));
        assert_eq!((places.leave(first), places.renew(first, now)), (None, first));
        let third = places.enter(3, now, 30).unwrap();
        assert_eq!(third.displaced, None);
        places.enter(3, now, 40).unwrap_err();
        assert_eq!((places.leave_first(), places.leave(third.place), places.leave_first()), (Some(20), Some(30), None));
        assert!(places.all.is_empty() && places.of.is_empty() && places.order.is_empty());
    }

    /// Against the dullest way to do the same: whatever comes, no account is kept below its share, and the tables agree with each other.
    #[test]
    fn the_tables_agree_whatever_comes() {
        let (mut places, mut now, mut held) = (places(7), Instant::now(), Vec::new());
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (choice, whose) = (random >> 60, (random >> 40) as u32 % 5);
            now += Duration::from_millis(random >> 55);
            match choice {
                0..9 => {
                    let most = (0..5).map(|other| places.held_by(other)).max().unwrap_or(0);
                    match places.enter(whose, now, step) {
                        Ok(entered) => held.push(entered.place),
                        Err(Full(_)) => assert!(places.held_by(whose) + 1 >= most && places.held() == 7),
                    }
                }
                9..12 => {
                    if let Some(place) = held.pop() {
                        let again = if whose == 0 { places.heard(place, now) } else { places.renew(place, now) };
                        held.insert(0, again);
                    }
                }
                12..15 => drop(held.pop().map(|place| places.leave(place))),
                _ => while places.overdue(now).is_some() {},
            }
            let counts: Vec<usize> = places.of.values().map(BTreeSet::len).collect();
            assert_eq!((counts.iter().sum(), places.order.len()), (places.all.len(), counts.len()));
            assert!(places.all.len() <= 7 && !counts.contains(&0));
        }
    }
}
