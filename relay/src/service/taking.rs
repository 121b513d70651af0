//! How far the relay is with the files it takes in, for whoever waits.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

/// How far the folder is that was handed over last. Of two at once the later is told: this is for somebody who looks on, and nothing
/// depends on it.
#[derive(Debug, Default)]
pub struct Taking {
    seen: AtomicUsize,
    files: AtomicUsize,
}

/// How far a folder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakingRow {
    /// Files that were read.
    pub seen: usize,
    /// Files in the folder; 0 while it is not known.
    pub files: usize,
}

impl Taking {
    pub(super) fn is_at(&self, seen: usize, files: usize) {
        // Hands finish in any order.
        if self.files.swap(files, Ordering::Relaxed) == files {
            self.seen.fetch_max(seen, Ordering::Relaxed);
        } else {
            self.seen.store(seen, Ordering::Relaxed);
        }
    }

    /// How far it is now.
    #[must_use]
    pub fn row(&self) -> TakingRow {
        TakingRow { seen: self.seen.load(Ordering::Relaxed), files: self.files.load(Ordering::Relaxed) }
    }
}

impl TakingRow {
    /// For a person: `412 of 1,143 files`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} of {} files", grouped(self.seen), grouped(self.files))
    }
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_how_far_it_is() {
        let taking = Taking::default();
        taking.is_at(412, 1_143);
        taking.is_at(411, 1_143);
        assert_eq!(taking.row().line(), "412 of 1,143 files");
        taking.is_at(1, 1_000_000);
        assert_eq!(taking.row().line(), "1 of 1,000,000 files");
    }
}
