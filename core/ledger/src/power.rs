//! Voting power: from the studies that hospitals registered, so bounded that none of them decides alone (RULES §6).
//!
//! ```text
//! studies ─► at most twice the lower median ─► at most a quarter away from before ─► below a third of all
//! ```

use alloc::vec::Vec;

/// What is known of a validator when its power is worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Studies that it registered and that count.
    pub studies: u64,
    /// Its power in the set before; 0 if it was not in there.
    pub before: u64,
}

/// The fewest validators among whom each can have less than a third.
const CAPPED_FROM: usize = 4;

/// The power of each, in the same order: never 0, and from 4 validators up each less than a third of the sum.
#[must_use]
pub fn powers(of: &[Work], change_percent: u8) -> Vec<u64> {
    let mut powers = bounded(of, change_percent);
    if powers.len() >= CAPPED_FROM {
        let cap = greatest_cap(&powers);
        for power in &mut powers {
            *power = (*power).min(cap);
        }
    }
    powers
}

/// The powers before the cap.
fn bounded(of: &[Work], change_percent: u8) -> Vec<u64> {
    let most = lower_median(of.iter().map(|work| work.studies).collect()).saturating_mul(2);
    of.iter()
        .map(|work| {
            let step = percent(work.before, change_percent).max(1);
            let (low, high) = (work.before.saturating_sub(step), work.before.saturating_add(step));
            work.studies.min(most).max(1).clamp(low, high).max(1)
        })
        .collect()
}

fn percent(of: u64, percent: u8) -> u64 {
    let part = u128::from(of).saturating_mul(u128::from(percent)) / 100;
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// Of the two in the middle the lesser one.
fn lower_median(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of.len().checked_sub(1).and_then(|last| of.get(last / 2)).copied().unwrap_or(0)
}

/// The greatest C with `3·C < Σ min(pᵢ, C)`. The sum less 3·C rises up to some C and falls from there on, so that those that
/// do are the numbers from 1 to the one sought, found by halving.
fn greatest_cap(powers: &[u64]) -> u64 {
    let holds = |cap: u64| {
        let sum: u128 = powers.iter().map(|power| u128::from((*power).min(cap))).sum();
        u128::from(cap).saturating_mul(3) < sum
    };
    // Four validators with power have more than three times 1 together.
    let (mut good, mut bad) = (1, powers.iter().copied().max().unwrap_or(1).saturating_add(1));
    if holds(bad) {
        return bad;
    }
    while bad.saturating_sub(good) > 1 {
        let middle = good.midpoint(bad);
        if holds(middle) { good = middle } else { bad = middle }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(studies: &[u64]) -> Vec<u64> {
        let works: Vec<Work> = studies.iter().map(|&studies| Work { studies, before: studies }).collect();
        powers(&works, 100)
    }

    #[test]
    fn examples() {
        // Who invents a million studies decides no more than the others.
        assert_eq!(grown(&[1_000_000, 1, 1, 1]), [1, 1, 1, 1]);
        assert_eq!(grown(&[0, 0, 0, 0]), [1, 1, 1, 1]);
        assert_eq!(grown(&[10, 10, 10, 10]), [10, 10, 10, 10]);
        assert_eq!(grown(&[5, 10, 20, 40]), [5, 10, 14, 14]);
        assert_eq!(grown(&[7]), [7]);
        assert_eq!(grown(&[100, 1, 60]), [100, 1, 60]);
        assert!(grown(&[]).is_empty());
    }

    #[test]
    fn power_grows_and_shrinks_by_steps() {
        let of = |studies, before| powers(&[Work { studies, before }], 25)[0];
        assert_eq!([of(1_000, 0), of(1_000, 1), of(1_000, 4), of(1_000, 400), of(1_000, 900)], [1, 2, 5, 500, 1_000]);
        assert_eq!([of(0, 1_000), of(0, 4), of(0, 2), of(0, 1)], [750, 3, 1, 1]);
        assert_eq!(of(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn nobody_has_a_third_and_nobody_has_nothing() {
        let mut dice = 1u64;
        let mut next = || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            dice >> 33
        };
        for _ in 0..20_000 {
            let count = 4 + next() % 12;
            let works: Vec<Work> = (0..count)
                .map(|_| {
                    let scale = [1, 10, 1_000, 1 << 31][(next() % 4) as usize];
                    Work { studies: next() % scale, before: next() % scale }
                })
                .collect();
            let powers = powers(&works, 25);
            let sum: u128 = powers.iter().map(|&power| u128::from(power)).sum();
            assert!(powers.iter().all(|&power| power >= 1 && u128::from(power) * 3 < sum), "{works:?}: {powers:?}");
            // The cap takes no more than it must.
            let bounded = bounded(&works, 25);
            let cap = greatest_cap(&bounded);
            let holds = |cap: u64| {
                let sum: u128 = bounded.iter().map(|&power| u128::from(power.min(cap))).sum();
                u128::from(cap) * 3 < sum
            };
            assert!(holds(cap) && (powers == bounded || !holds(cap + 1)));
        }
    }
}
