//! The clock of a command line.

use std::time::{SystemTime, UNIX_EPOCH};

use clavicle_ledger::time::{LocalTime, Timestamp};

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
