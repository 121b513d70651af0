//! How long trust lasts, and how far a clock may be off.

use crate::time::DAY_MS;

/// How long validators are believed after the newest header known to be theirs, in milliseconds. Keys that are retired may be
/// sold or stolen later, and then write another history; whoever was away for longer needs a fresh checkpoint.
pub const TRUSTING_PERIOD_MS: u64 = DAY_MS * 14;
/// How far a header may be ahead of a wallet's clock, in milliseconds. Phones' clocks are bad.
pub const CLOCK_TOLERANCE_MS: u64 = 120_000;
