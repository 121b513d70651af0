//! A line of the log, now and then, however often there is something to say.

use core::time::Duration;

use tokio::time::Instant;

/// One kind of line: written once, and then no sooner than after a minute, with how often it was not written meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    const EVERY: Duration = Duration::from_secs(60);

    /// Whether to write it now: if so, how often it was left out since the last time.
    pub(crate) fn now(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < Self::EVERY) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(core::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute_that_says_how_many() {
        let (mut seldom, start) = (Seldom::default(), Instant::now());
        let lines: Vec<u64> = (0..180).filter_map(|second| seldom.now(start + Duration::from_secs(second))).collect();
        assert_eq!(lines, [0, 59, 59]);
    }
}
