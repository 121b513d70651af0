//! Lines of the log: of each kind a few a minute, however often there is something to say.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One kind of line: so many a minute, and with the first of the next how often it was not written meanwhile. What strangers make happen is
/// written so: else they fill the disk that the log is on.
#[derive(Debug)]
pub struct Seldom {
    most: u32,
    minute: Mutex<Minute>,
}

#[derive(Debug)]
struct Minute {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Seldom {
    const EVERY: Duration = Duration::from_secs(60);

    /// So many lines a minute.
    #[must_use]
    pub const fn of(most: u32) -> Self {
        Self { most, minute: Mutex::new(Minute { since: None, written: 0, left_out: 0 }) }
    }

    /// Whether to write it now: if so, how often it was left out since the last time.
    pub fn now(&self, now: Instant) -> Option<u64> {
        // Each change is whole.
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.since.is_none_or(|since| now.saturating_duration_since(since) >= Self::EVERY) {
            (minute.since, minute.written) = (Some(now), 0);
        }
        if minute.written >= self.most {
            minute.left_out = minute.left_out.saturating_add(1);
            return None;
        }
        minute.written = minute.written.saturating_add(1);
        Some(core::mem::take(&mut minute.left_out))
    }
}

impl Default for Seldom {
    /// One line a minute.
    fn default() -> Self {
        Self::of(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_few_lines_a_minute_that_say_how_many() {
        let start = Instant::now();
        let written = |most| {
            let seldom = Seldom::of(most);
            (0..180).filter_map(|second| seldom.now(start + Duration::from_secs(second))).collect::<Vec<u64>>()
        };
        assert_eq!(written(1), [0, 59, 59]);
        assert_eq!(written(3), [0, 0, 0, 57, 0, 0, 57, 0, 0]);
    }
}
