//! How far something is, on the terminal, where somebody looks.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clavicle_command::said::complain;

/// How often a line is written anew at most.
const OFTEN: Duration = Duration::from_millis(100);

/// A line on standard error that is written over and over; from any thread.
pub(super) struct Line {
    somebody_looks: bool,
    last: Mutex<Option<Instant>>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { somebody_looks: std::io::stderr().is_terminal(), last: Mutex::new(None) }
    }

    /// Says how far it is, unless it has just been said; the end always.
    fn is_at(&self, done: usize, all: usize, said: impl FnOnce() -> String) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() > OFTEN) || done == all;
        if self.somebody_looks && due {
            *last = Some(Instant::now());
            let end = if done == all { "\n" } else { "" };
            let mut out = std::io::stderr();
            write!(out, "\r{}   {end}", said()).ok();
            out.flush().ok();
        }
    }
}

impl Line {
    /// Says how many parts of something are done, and how many bytes came with them. Nothing while it is not known how many there are.
    pub(super) fn is_at_part(&self, (done, all): (usize, usize), bytes: u64, what: &str) {
        let came = if bytes > 0 { format!(", {}", size(bytes)) } else { String::new() };
        if all > 0 {
            self.is_at(done, all, || format!("{done} of {all} {what}{came}"));
        }
    }
}

/// Says what is being done, once, also where nobody looks: whoever waits is to know for what.
pub(super) fn doing(what: &str) {
    complain(what);
}

/// How many of something are done; to be told from any thread.
pub(super) fn counted(what: &'static str) -> impl Fn(usize, usize) + Sync {
    let line = Line::new();
    move |done, all| line.is_at(done, all, || format!("{done} of {all} {what}"))
}

/// Bytes as a person reads them.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}
