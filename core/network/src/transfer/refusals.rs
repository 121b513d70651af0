//! Refusals on their way to whoever was refused: all on one schedule, and bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clavicle_admission::Neighbourhood;
use iroh::endpoint::SendStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::message::{Answer, Reference};
use crate::endpoint::{MessageError, write_message};

/// Refusals go out at ticks of this length, so that the time they take says nothing.
const TICK: Duration = Duration::from_millis(50);
/// How long whoever was refused may take to hear it.
const HEARD: Duration = Duration::from_secs(2);
/// The most refusals on their way, and to one address; whoever comes beyond is cut off at the same tick, and told nothing.
const MAX_REFUSALS: (usize, usize) = (4_096, 64);

/// Refusals on their way: bounded.
#[derive(Debug)]
pub(crate) struct Refusals {
    crowd: Crowd<Neighbourhood>,
    from: Instant,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self { crowd: Crowd::new(MAX_REFUSALS.0, MAX_REFUSALS.1), from: Instant::now() }
    }

    /// Says no to what was `asked` then, at the next tick but one. It is counted from the question and not from the decision: asked just
    /// before a tick, a quick decision would else be told from a slow one. Deciding takes less than a tick on a healthy machine.
    pub(super) async fn refuse(
        &self,
        send: &mut SendStream,
        address: Neighbourhood,
        asked: Instant,
        reference: Reference,
    ) {
        let place = self.crowd.enter(address);
        // Also for whoever is only cut off: how long the decision took must not show in that either.
        self.wait(asked).await;
        if place.is_none() {
            return;
        }
        let told = async {
            write_message(send, &Answer::Refused(reference), HEARD).await?;
            send.finish().ok();
            // Until it has arrived: closing at once would throw it away.
            send.stopped().await.ok();
            Ok::<_, MessageError>(())
        };
        timeout(HEARD, told).await.ok();
    }

    /// Waits for the tick at which what was `asked` then is answered.
    async fn wait(&self, asked: Instant) {
        sleep_until(self.tick_after(asked, 1).max(self.tick_after(Instant::now(), 0))).await;
    }

    /// The tick with number `later` after the one that is next.
    fn tick_after(&self, moment: Instant, later: u32) -> Instant {
        let ticks = moment.saturating_duration_since(self.from).as_millis().div_ceil(TICK.as_millis());
        self.from + TICK * u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(later)
    }
}

/// A bounded number of places, and of these a bounded number for each.
#[derive(Debug)]
struct Crowd<K> {
    most: usize,
    of_each: usize,
    all: Arc<Mutex<BTreeMap<K, usize>>>,
}

/// A place in a [`Crowd`] until it is dropped.
#[derive(Debug)]
struct Entered<K: Ord> {
    all: Arc<Mutex<BTreeMap<K, usize>>>,
    key: K,
}

impl<K: Ord + Copy> Crowd<K> {
    fn new(most: usize, of_each: usize) -> Self {
        Self { most, of_each, all: Arc::default() }
    }

    /// A place for `key`, if there is one.
    fn enter(&self, key: K) -> Option<Entered<K>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let (there, of_it) = (all.values().sum::<usize>(), all.get(&key).copied().unwrap_or(0));
        (there < self.most && of_it < self.of_each).then(|| {
            all.insert(key, of_it.saturating_add(1));
            Entered { all: Arc::clone(&self.all), key }
        })
    }
}

impl<K: Ord> Drop for Entered<K> {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.key) {
            Some(of_it) if *of_it > 1 => *of_it -= 1,
            _ => drop(all.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the reason, and so however long the decision took: who asks at the same moment is answered at the same one.
    #[tokio::test(start_paused = true)]
    async fn all_refusals_are_on_one_schedule() {
        let refusals = Refusals::new();
        for into_the_tick in [0, 1, 24, 49] {
            let mut told = std::collections::BTreeSet::new();
            // In whole milliseconds, which is what timers know.
            for decision_ms in [0, 1, 5, 30, 49] {
                tokio::time::advance(refusals.tick_after(Instant::now(), 0) - Instant::now()).await;
                let tick = Instant::now();
                tokio::time::advance(Duration::from_millis(into_the_tick)).await;
                let asked = Instant::now();
                tokio::time::advance(Duration::from_millis(decision_ms)).await;
                refusals.wait(asked).await;
                told.insert(Instant::now() - tick);
            }
            let next_but_one = if into_the_tick == 0 { TICK } else { TICK * 2 };
            assert_eq!(told, [next_but_one].into(), "asked {into_the_tick} ms into a tick");
        }
    }

    /// A flood from one address leaves room for everybody else, and what is beyond its own is cut off at once.
    #[test]
    fn strangers_do_not_fill_the_table_for_others() {
        let refusals = Refusals::new();
        let address = |number: u8| Neighbourhood::of([192, 0, 2, number].into());
        let flood: Vec<_> = (0..10_000).map_while(|_| refusals.crowd.enter(address(1))).collect();
        assert_eq!(flood.len(), MAX_REFUSALS.1);
        let others: Vec<_> = (2..60).filter_map(|number| refusals.crowd.enter(address(number))).collect();
        assert_eq!(others.len(), 58);
    }

    /// Asked at any moment, the answer is at a tick, and one tick or two later, however long the decision took within it.
    #[test]
    fn a_refusal_goes_out_at_a_tick() {
        let refusals = Refusals::new();
        for ms in [0, 1, 49, 50, 51, 99, 100, 1_234_567] {
            let asked = refusals.from + Duration::from_millis(ms);
            let told = refusals.tick_after(asked, 1);
            assert_eq!((told - refusals.from).as_millis() % TICK.as_millis(), 0);
            assert!((TICK..TICK * 2).contains(&(told - asked)), "{ms}");
            assert!(refusals.tick_after(asked + TICK, 0) <= told, "{ms}");
        }
    }

    #[test]
    fn a_crowd_is_bounded_and_so_is_each_part_of_it() {
        let crowd = Crowd::new(3, 2);
        let first = crowd.enter('a').unwrap();
        let second = crowd.enter('a').unwrap();
        assert!(crowd.enter('a').is_none());
        let third = crowd.enter('b').unwrap();
        assert!(crowd.enter('c').is_none());
        drop(first);
        let fourth = crowd.enter('c').unwrap();
        drop((second, third, fourth));
        assert!(crowd.all.lock().unwrap().is_empty());
    }
}
