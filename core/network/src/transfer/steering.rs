//! What a recipient wants of a fetch while it runs, and which items of it are whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use clavicle_manifest::{StoredDigest, Uid};
use tokio::sync::watch;

use super::message::Want;

/// Most items in one ask: what was asked for comes, whatever is wanted by then.
const ASK_ITEMS: usize = 32;
/// So many bytes end an ask, however few its items are.
const ASK_BYTES: u64 = 8 << 20;

/// Whether a fetch goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// It does.
    #[default]
    On,
    /// Nothing more is asked for. What was asked for still comes.
    Paused,
    /// It ends at once. What has arrived is kept, and does not come again.
    Cancelled,
}

/// What is wanted of a fetch now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Whether it goes on.
    pub pace: Pace,
    /// The series or instances that are to come before the others, in this order.
    pub first: Vec<Uid>,
}

/// Places of a [`Listing`](super::Listing).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    bits: Vec<u64>,
    len: usize,
}

impl Places {
    /// Adds a place.
    pub fn insert(&mut self, place: u32) {
        let (at, bit) = bit(place);
        if self.bits.len() <= at {
            self.bits.resize(at.saturating_add(1), 0);
        }
        let word = &mut self.bits[at];
        if *word & bit == 0 {
            *word |= bit;
            self.len = self.len.saturating_add(1);
        }
    }

    /// Whether a place is among them.
    #[must_use]
    pub fn contains(&self, place: u32) -> bool {
        let (at, bit) = bit(place);
        self.bits.get(at).is_some_and(|word| word & bit != 0)
    }

    /// How many they are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

fn bit(place: u32) -> (usize, u64) {
    (usize::try_from(place / 64).unwrap_or(usize::MAX), 1 << (place % 64))
}

/// The ends of a fetch that others hold: what is wanted of it, and which places are whole. Without others it goes on in its own order.
#[derive(Clone, Debug)]
pub struct Steering {
    demand: watch::Receiver<Demand>,
    whole: Arc<watch::Sender<Places>>,
}

impl Default for Steering {
    fn default() -> Self {
        Self::new(watch::channel(Demand::default()).1, Arc::new(watch::Sender::default()))
    }
}

impl Steering {
    /// Wanted is what `demand` says; `whole` is told which places can be read.
    #[must_use]
    pub fn new(demand: watch::Receiver<Demand>, whole: Arc<watch::Sender<Places>>) -> Self {
        Self { demand, whole }
    }

    /// What is wanted, if that is not what was wanted when it was last asked.
    pub(super) fn changed_to(&mut self) -> Option<Demand> {
        self.demand.has_changed().is_ok_and(|changed| changed).then(|| self.demand.borrow_and_update().clone())
    }

    /// What is wanted at first.
    pub(super) fn begin(&mut self) -> Demand {
        self.demand.borrow_and_update().clone()
    }

    /// Returns when something else is wanted; false when nobody is left to want anything.
    pub(super) async fn turns(&mut self) -> bool {
        let turned = self.demand.changed().await.is_ok();
        self.demand.mark_changed();
        turned
    }

    /// Returns when it is to end at once.
    pub(super) async fn ends(mut self) {
        if self.demand.wait_for(|demand| demand.pace == Pace::Cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Where it is told which places are whole.
    pub(super) const fn whole(&self) -> &Arc<watch::Sender<Places>> {
        &self.whole
    }
}

/// An item that is not there, or not all of it.
#[derive(Clone, Copy)]
pub(super) struct Missing {
    pub(super) want: Want,
    pub(super) stored: StoredDigest,
    pub(super) size: u64,
    /// How much of it is missing.
    pub(super) bytes: u64,
}

/// What is missing and was not asked for yet, in the order in which it is wanted.
pub(super) struct Queue<'a> {
    missing: BTreeMap<u32, Missing>,
    first: Vec<u32>,
    rest: &'a [u32],
}

impl<'a> Queue<'a> {
    pub(super) const fn new(missing: BTreeMap<u32, Missing>, rest: &'a [u32]) -> Self {
        Self { missing, first: Vec::new(), rest }
    }

    /// These first, and then the rest.
    pub(super) fn put_first(&mut self, mut places: Vec<u32>) {
        places.reverse();
        self.first = places;
    }

    /// What is to be asked for next; nothing when all was.
    pub(super) fn next_ask(&mut self) -> Vec<Missing> {
        let (mut ask, mut bytes) = (Vec::new(), 0u64);
        while ask.len() < ASK_ITEMS
            && bytes < ASK_BYTES
            && let Some(missing) = self.next()
        {
            bytes = bytes.saturating_add(missing.bytes);
            ask.push(missing);
        }
        ask
    }

    fn next(&mut self) -> Option<Missing> {
        while !self.missing.is_empty() {
            let place = match (self.first.pop(), self.rest) {
                (Some(place), _) => place,
                (None, [place, rest @ ..]) => {
                    self.rest = rest;
                    *place
                }
                (None, []) => return None,
            };
            if let Some(missing) = self.missing.remove(&place) {
                return Some(missing);
            }
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(rest: &[u32], size: u64) -> Queue<'_> {
        let missing = |place: &u32| {
            let want = Want { place: *place, from: 0 };
            (*place, Missing { want, stored: StoredDigest::of(&[]), size, bytes: size })
        };
        Queue::new(rest.iter().map(missing).collect(), rest)
    }

    fn places(ask: &[Missing]) -> Vec<u32> {
        ask.iter().map(|missing| missing.want.place).collect()
    }

    #[test]
    fn an_ask_is_of_32_items_or_8_mib() {
        let all: Vec<u32> = (0..100).collect();
        let mut small = queue(&all, 1_000);
        assert_eq!([0; 5].map(|_| small.next_ask().len()), [32, 32, 32, 4, 0]);
        assert!(small.is_empty());
        assert_eq!(queue(&all, 3 << 20).next_ask().len(), 3);
        assert_eq!(queue(&all, 1 << 30).next_ask().len(), 1);
    }

    #[test]
    fn what_is_wanted_first_comes_first_and_everything_once() {
        let all: Vec<u32> = (0..100).collect();
        let mut queue = queue(&all, 1_000);
        let mut came = places(&queue.next_ask());
        queue.put_first(vec![90, 91, 5, 1_000]);
        let ask = places(&queue.next_ask());
        assert_eq!(ask[..4], [90, 91, 32, 33], "what came does not come again, and what there is not never");
        came.extend(ask);
        queue.put_first(vec![99]);
        while let ask @ [_, ..] = queue.next_ask().as_slice() {
            came.extend(places(ask));
        }
        assert_eq!(came[64], 99);
        came.sort_unstable();
        assert_eq!(came, all);
    }

    #[test]
    fn places_are_counted_once() {
        let mut places = Places::default();
        for place in [3, 700, 3, 64] {
            places.insert(place);
        }
        assert_eq!((places.len(), places.is_empty()), (3, false));
        assert!([3, 64, 700].iter().all(|place| places.contains(*place)) && !places.contains(63));
    }
}
