//! Time: passed in, never read. Milliseconds and days since 1970-01-01 UTC.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

/// Milliseconds in a day.
pub const DAY_MS: u64 = 86_400_000;
/// Milliseconds in an hour.
pub const HOUR_MS: u64 = 3_600_000;

/// A block's place in the chain; the genesis is 0.
pub type Height = u64;
/// A count of epochs since the genesis, which is in epoch 0.
pub type Epoch = u64;

/// A moment somebody wrote down: milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Timestamp(pub u64);

/// The time in a block's header, on which every relay agrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct BlockTime(pub Timestamp);

/// The time on this machine's own clock. Never an input to agreement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime(pub Timestamp);

/// What this machine's clocks show at one moment. Never an input to agreement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// The wall clock. It is set, by whoever may, and then it steps.
    pub wall: LocalTime,
    /// Milliseconds since the machine started, sleep included. Nobody can set it (`CLOCK_BOOTTIME`).
    pub boot_ms: u64,
    /// Of these, milliseconds that the machine slept.
    pub asleep_ms: u64,
}

/// A whole day, UTC: days since 1970. As an expiry it is exclusive, the first day on which the thing has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Day(pub u32);

impl Timestamp {
    /// The moment `ms` milliseconds later, or the end of time.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 when that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The day this moment is in.
    #[must_use]
    pub fn day(self) -> Day {
        Day(u32::try_from(self.0 / DAY_MS).unwrap_or(u32::MAX))
    }

    /// The first midnight at or after this moment: `ceil(ms / 86 400 000)` (RULES §3).
    #[must_use]
    pub fn day_rounded_up(self) -> Day {
        Day(u32::try_from(self.0.div_ceil(DAY_MS)).unwrap_or(u32::MAX))
    }
}

impl BlockTime {
    /// The moment as a plain timestamp.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl Day {
    /// The first moment of the day.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        // A u32 of days is less than 2^59 ms.
        Timestamp((self.0 as u64).saturating_mul(DAY_MS))
    }

    /// The day `days` later, or the last there is.
    #[must_use]
    pub const fn plus(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }
}

impl fmt::Display for Timestamp {
    /// To the second, `2026-11-21 08:15:30 UTC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 % DAY_MS / 1_000;
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{} {hours:02}:{minutes:02}:{seconds:02} UTC", self.day())
    }
}

impl fmt::Display for Day {
    /// As a calendar date, `2026-11-21` (Hinnant, "chrono-compatible low-level date algorithms").
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let z = u64::from(self.0).saturating_add(719_468);
        let (era, day_of_era) = (z / 146_097, z % 146_097);
        let year_of_era = day_of_era
            .saturating_sub(day_of_era / 1_460)
            .saturating_add(day_of_era / 36_524)
            .saturating_sub(day_of_era / 146_096)
            / 365;
        let to_year = year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
        let day_of_year = day_of_era.saturating_sub(to_year);
        let shifted = day_of_year.saturating_mul(5).saturating_add(2) / 153;
        let day = day_of_year.saturating_sub(shifted.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
        let month = if shifted < 10 { shifted.saturating_add(3) } else { shifted.saturating_sub(9) };
        let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn days_print_as_dates() {
        for (day, date) in [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_778, "2026-11-21")] {
            assert_eq!(Day(day).to_string(), date);
        }
    }

    #[test]
    fn an_expiry_is_rounded_up_to_a_midnight() {
        assert_eq!(Timestamp(DAY_MS).day_rounded_up(), Day(1));
        assert_eq!(Timestamp(DAY_MS + 1).day_rounded_up(), Day(2));
        assert_eq!(Timestamp(u64::MAX).day_rounded_up(), Day(u32::MAX));
    }
}
