//! Many things at once, by several hands.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Most files that are read at the same time.
const MOST_HANDS: usize = 8;

/// Does the same with each of these, several at a time and at most `at_once`; what comes of it is in their order. `seen` is told how many are
/// done, from several threads.
pub fn each<I: Sync, O: Send>(
    items: &[I],
    at_once: usize,
    one: impl Fn(&I) -> O + Sync,
    seen: &(dyn Fn(usize) + Sync),
) -> Vec<O> {
    let hands = thread::available_parallelism().map_or(1, NonZero::get);
    let hands = hands.min(MOST_HANDS).min(items.len()).min(at_once);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut all = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return all };
            all.push((at, one(item)));
            seen(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let mut all = thread::scope(|scope| {
        let others: Vec<_> = (1..hands).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for hand in others {
            // A hand that panicked has a fault, and so has this program.
            all.extend(hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}
