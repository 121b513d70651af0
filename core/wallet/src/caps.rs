//! Caps: how soon, and how often, this wallet lets anybody in, set by somebody who may be made to.
//!
//! Tightening counts at once. Loosening counts when the time has passed that the cap gave before: whoever takes the
//! phone cannot have it both ways in one sitting. Time is the ledger's: a clock that is set ahead loosens nothing.
//! Revocations have no caps.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::time::{DAY_MS, Timestamp};

/// A week, in milliseconds.
pub(crate) const WEEK_MS: u64 = 7 * DAY_MS;
/// The longest that a grant can be made to wait, in milliseconds: longer would lock the person out of their own
/// consent.
pub(crate) const MAX_WAIT_MS: u64 = 30 * DAY_MS;

/// How soon and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cap {
    /// For how long after it was made no grant begins, in milliseconds.
    pub wait_ms: u64,
    /// How many grants are made in seven days; none is as many as wanted.
    pub per_week: Option<u32>,
}

impl Cap {
    /// The stricter of both.
    fn stricter(self, other: Self) -> Self {
        let per_week = [self.per_week, other.per_week].into_iter().flatten().min();
        Self { wait_ms: self.wait_ms.max(other.wait_ms), per_week }
    }

    /// For how long this stands when it is to become `next`, which is looser.
    fn holds_ms(self, next: Self) -> u64 {
        let fewer = self.per_week.unwrap_or(u32::MAX) < next.per_week.unwrap_or(u32::MAX);
        let by_wait = if next.wait_ms < self.wait_ms { self.wait_ms } else { 0 };
        by_wait.max(if fewer { WEEK_MS.max(self.wait_ms) } else { 0 })
    }
}

/// The caps of a wallet. One row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Caps {
    /// What counts.
    pub now: Cap,
    /// What will count, and from when, by the ledger's time.
    pub next: Option<(Cap, Timestamp)>,
}

impl Caps {
    /// What counts at this time.
    #[must_use]
    pub fn at(self, time: Timestamp) -> Self {
        match self.next {
            Some((cap, from)) if time >= from => Self { now: cap, next: None },
            _ => self,
        }
    }

    /// As somebody wants them at this time.
    #[must_use]
    pub fn set(self, cap: Cap, time: Timestamp) -> Self {
        let before = self.at(time).now;
        let now = before.stricter(cap);
        Self { now, next: (now != cap).then(|| (cap, time.plus(now.holds_ms(cap)))) }
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::time::HOUR_MS;

    use super::*;

    const T0: Timestamp = Timestamp(20_000 * DAY_MS);

    fn cap(hours: u64, per_week: Option<u32>) -> Cap {
        Cap { wait_ms: hours * HOUR_MS, per_week }
    }

    #[test]
    fn stricter_counts_at_once_and_looser_when_its_time_has_come() {
        let strict = Caps::default().set(cap(24, Some(3)), T0);
        assert_eq!(strict, Caps { now: cap(24, Some(3)), next: None });
        // Off, asked for: a week, since fewer than wanted are made in one.
        let off = strict.set(Cap::default(), T0);
        assert_eq!(off, Caps { now: cap(24, Some(3)), next: Some((Cap::default(), T0.plus(WEEK_MS))) });
        assert_eq!(off.at(T0.plus(WEEK_MS - 1)).now, cap(24, Some(3)));
        assert_eq!(off.at(T0.plus(WEEK_MS)), Caps::default());
        // Only the wait is shorter: that long.
        let shorter = strict.set(cap(1, Some(3)), T0);
        assert_eq!(shorter.next, Some((cap(1, Some(3)), T0.plus(DAY_MS))));
        // One stricter, one looser.
        let mixed = strict.set(cap(48, None), T0);
        assert_eq!(mixed.now, cap(48, Some(3)));
        assert_eq!(mixed.next, Some((cap(48, None), T0.plus(WEEK_MS))));
    }

    /// Whatever is asked for in one sitting, nothing is looser after it than before.
    #[test]
    fn no_order_of_wishes_loosens_anything_at_once() {
        let wishes = [Cap::default(), cap(1, None), cap(24, Some(1)), cap(0, Some(9)), cap(72, Some(2))];
        for start in wishes {
            let from = Caps::default().set(start, T0);
            for one in wishes {
                for two in wishes {
                    let after = from.set(one, T0.plus(1)).set(two, T0.plus(2));
                    assert_eq!(after.now, after.now.stricter(from.now), "{start:?} {one:?} {two:?}");
                    assert!(after.next.is_none_or(|(_, when)| when > T0.plus(2)));
                }
            }
        }
    }
}
