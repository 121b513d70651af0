//! The clock of a command line, and times as people read them: on their own clock, with how far that is from UTC. What hospitals compare with each other,
//! in a relay's answers and logs, is in UTC and says so.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{Local, NaiveDate, TimeZone};
use clavicle_ledger::time::{Day, LocalTime, Timestamp};

/// Day 0, 1970-01-01, counted from the first day of year 1.
const FIRST_DAY: i32 = 719_163;

/// The clock: read here, at the edge, and passed in everywhere else.
#[must_use]
pub fn now() -> LocalTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line is the edge: it reads the clock and passes time in"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LocalTime(Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// A moment to the minute, where this machine is: `2026-11-28 08:15 +01:00`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    moment_in(at, &Local)
}

fn moment_in<Z: TimeZone<Offset: Display>>(at: Timestamp, zone: &Z) -> String {
    let there = i64::try_from(at.0).ok().and_then(|ms| zone.timestamp_millis_opt(ms).single());
    there.map_or_else(|| at.to_string(), |there| there.format("%Y-%m-%d %H:%M %:z").to_string())
}

/// When a day begins where this machine is.
#[must_use]
pub fn beginning(day: Day) -> Timestamp {
    beginning_in(day, &Local)
}

fn beginning_in<Z: TimeZone>(day: Day, zone: &Z) -> Timestamp {
    let date =
        i32::try_from(day.0).ok().and_then(|days| NaiveDate::from_num_days_from_ce_opt(days.checked_add(FIRST_DAY)?));
    // On some days clocks are put forward at midnight.
    let begins = |hour| zone.from_local_datetime(&date?.and_hms_opt(hour, 0, 0)?).earliest();
    let first = (0..4).find_map(begins).and_then(|begins| u64::try_from(begins.timestamp_millis()).ok());
    first.map_or_else(|| day.start(), Timestamp)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use chrono::{FixedOffset, Utc};

    use super::*;

    #[test]
    fn a_moment_says_on_whose_clock_it_is() {
        let at = Timestamp(1_790_000_000_000);
        let east = |seconds| moment_in(at, &FixedOffset::east_opt(seconds).unwrap());
        assert_eq!(moment_in(at, &Utc), "2026-09-21 14:13 +00:00");
        assert_eq!(east(2 * 3_600), "2026-09-21 16:13 +02:00");
        assert_eq!(east(-(9 * 3_600 + 1_800)), "2026-09-21 04:43 -09:30");
        assert_eq!(east(10 * 3_600), "2026-09-22 00:13 +10:00");
        // Wherever this runs it is the same moment.
        let here = chrono::DateTime::parse_from_str(&moment(at), "%Y-%m-%d %H:%M %:z").unwrap();
        assert_eq!(u64::try_from(here.timestamp_millis()).unwrap(), at.0 / 60_000 * 60_000);
        assert_eq!(moment(Timestamp(u64::MAX)), Timestamp(u64::MAX).to_string());
    }

    #[test]
    fn a_day_begins_on_the_clock_that_is_looked_at() {
        let day = Timestamp(1_790_000_000_000).day();
        let east = FixedOffset::east_opt(2 * 3_600).unwrap();
        assert_eq!(beginning_in(day, &Utc), day.start());
        assert_eq!(moment_in(beginning_in(day, &east), &east), format!("{day} 00:00 +02:00"));
        assert!(moment(beginning(day)).starts_with(&day.to_string()));
    }
}
