//! What the benchmarks measure with, and how they say it.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// What was measured: of what, how much, in which unit.
pub(crate) type Rows = Vec<(String, f64, &'static str)>;

/// How long a piece of work takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is outside the ledger")]
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// The median of several runs.
pub(crate) fn median(mut run: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..9).map(|_| run()).collect();
    times.sort();
    times[times.len() / 2]
}

/// Says it in lines, or as one JSON object.
pub(crate) fn say(rows: &Rows, json: bool) {
    if json {
        let fields: Vec<String> = rows.iter().map(|(name, value, _)| format!("{name:?}:{value}")).collect();
        println!("{{{}}}", fields.join(","));
    } else {
        for (name, value, unit) in rows {
            println!("{name:<84} {value:>12.3} {unit}");
        }
    }
}
