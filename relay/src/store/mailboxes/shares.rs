//! How much of what is running out whoever comes from one place may take.
//!
//! A place is where many may come from, a hospital or a mobile network: so it has a share, and no limit while there
//! is enough for all. When there is not, it may have taken as much as one of all who took something and one more
//! would have of what is left. So N places leave to whoever comes from another an (N + 1)-th, on which they cannot
//! lay hands, however long they try.
//!
//! What was taken is halved every month. It is in memory alone: no disk of a relay says who came from where. A relay
//! that is started anew has forgotten it.

use std::collections::BTreeMap;

use clavicle_ledger::time::{DAY_MS, Timestamp};

/// After how long half of what was taken counts, in milliseconds: as long as a mailbox lasts.
const HALVED_MS: u64 = DAY_MS * 31;
/// How much is remembered, of each thing and each place. When it is more, the half with the least taken is forgotten: whoever took much is remembered,
/// however many letters it leaves elsewhere, or has others leave.
const MOST: usize = 65_536;

/// What was taken of several things, each by whoever comes from a place.
#[derive(Debug)]
pub(super) struct Shares<G, W> {
    of: BTreeMap<G, BTreeMap<W, Taken>>,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    amount: u64,
    since: Timestamp,
}

impl Taken {
    fn at(self, now: Timestamp) -> u64 {
        let halvings = u32::try_from(now.since(self.since) / HALVED_MS).unwrap_or(u32::MAX);
        self.amount.checked_shr(halvings).unwrap_or(0)
    }
}

impl<G: Ord + Copy, W: Ord + Copy> Shares<G, W> {
    pub(super) const fn new() -> Self {
        Self { of: BTreeMap::new(), count: 0 }
    }

    /// Whether somebody from `place` may take `want` of the `free` that is left of a thing.
    pub(super) fn may(&self, thing: &G, place: &W, want: u64, free: u64, now: Timestamp) -> bool {
        let all = self.of.get(thing);
        let others = all.map_or(0, |all| all.len() - usize::from(all.contains_key(place)));
        let before = all.and_then(|all| all.get(place)).map_or(0, |taken| taken.at(now));
        let share = free / u64::try_from(others).unwrap_or(u64::MAX).saturating_add(1);
        // Whoever has nothing yet has what it came for, as long as there is any.
        want <= free && (before == 0 || before.saturating_add(want) <= share)
    }

    /// Somebody from `place` took something.
    pub(super) fn take(&mut self, thing: G, place: W, amount: u64, now: Timestamp) {
        if self.count >= MOST {
            self.forget_half(now);
        }
        let all = self.of.entry(thing).or_default();
        let taken = all.entry(place).or_insert_with(|| {
            self.count += 1;
            Taken { amount: 0, since: now }
        });
        *taken = Taken { amount: taken.at(now).saturating_add(amount), since: now };
    }

    fn forget_half(&mut self, now: Timestamp) {
        let taken =
            self.of.iter().flat_map(|(thing, all)| all.iter().map(|(place, taken)| (taken.at(now), *thing, *place)));
        let mut taken: Vec<(u64, G, W)> = taken.collect();
        taken.sort_unstable();
        for (_, thing, place) in taken.into_iter().take(MOST / 2) {
            if let Some(all) = self.of.get_mut(&thing) {
                self.count -= usize::from(all.remove(&place).is_some());
                if all.is_empty() {
                    self.of.remove(&thing);
                }
            }
        }
    }

    /// A thing is no more, or has all its room again.
    pub(super) fn forget(&mut self, thing: &G) {
        self.count -= self.of.remove(thing).map_or(0, |all| all.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_262_400_000);

    #[test]
    fn a_flood_from_some_places_leaves_a_share_for_one_more() {
        for places in [1u64, 5, 30] {
            let (mut shares, mut free) = (Shares::new(), 10_000u64);
            for round in 0..20_000 {
                let place = round % places;
                if shares.may(&(), &place, 1, free, NOW) {
                    shares.take((), place, 1, NOW);
                    free -= 1;
                }
            }
            assert!(free >= 10_000 / (places + 1), "{places} leave {free}");
            let own = (0..).take_while(|_| {
                let may = shares.may(&(), &1_000, 1, free, NOW);
                if may {
                    shares.take((), 1_000, 1, NOW);
                    free -= 1;
                }
                may
            });
            assert!(own.count() as u64 >= 10_000 / (places + 1) / (places + 2), "of {places}");
        }
    }

    #[test]
    fn whoever_has_nothing_has_the_last_there_is_and_a_month_halves_what_was_taken() {
        let mut shares = Shares::new();
        (0..100).for_each(|place| shares.take((), place, 10, NOW));
        assert!(shares.may(&(), &100, 1, 1, NOW) && !shares.may(&(), &100, 2, 1, NOW));
        assert!(!shares.may(&(), &7, 1, 101, NOW));
        let months = |n: u64| NOW.plus(n * HALVED_MS);
        assert!(!shares.may(&(), &7, 1, 500, months(1)) && shares.may(&(), &7, 1, 600, months(1)));
        assert!(shares.may(&(), &7, 1, 1, months(4)));
        shares.forget(&());
        assert!(shares.may(&(), &7, 1, 1, NOW));
        assert_eq!(shares.count, 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut shares = Shares::new();
        (0..MOST * 2 + 10).for_each(|place| shares.take((), place, 1, NOW));
        assert_eq!((shares.count, shares.of[&()].len()), (MOST / 2 + 10, MOST / 2 + 10));
    }

    /// Whoever had filled one mailbox left a letter in each of many others, from the one address it has, and was as new to all of them.
    #[test]
    fn whoever_took_much_of_one_thing_is_remembered_whatever_it_takes_of_others() {
        let mut shares = Shares::new();
        shares.take(MOST, 1, 500, NOW);
        (0..MOST * 3).for_each(|thing| shares.take(thing + 1 + MOST, 1, 1, NOW));
        assert!(shares.count <= MOST);
        assert!(!shares.may(&MOST, &1, 1, 500, NOW) && shares.may(&MOST, &2, 1, 500, NOW));
    }
}
