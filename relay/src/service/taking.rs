//! How far the relay is with the files it takes in, for whoever waits.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How far the folder is that was handed over last. Of two at once the later is told: this is for somebody who looks on, and nothing
/// depends on it.
#[derive(Debug, Default)]
pub struct Taking {
    seen: AtomicUsize,
    files: AtomicUsize,
}

impl Taking {
    /// So many of so many files were read.
    pub fn is_at(&self, seen: usize, files: usize) {
        // Hands finish in any order.
        if self.files.swap(files, Ordering::Relaxed) == files {
            self.seen.fetch_max(seen, Ordering::Relaxed);
        } else {
            self.seen.store(seen, Ordering::Relaxed);
        }
    }

    /// How many files were read, and how many there are; 0 while that is not known.
    #[must_use]
    pub fn at(&self) -> (usize, usize) {
        (self.seen.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_folder_the_furthest_is_told() {
        let taking = Taking::default();
        taking.is_at(412, 1_143);
        taking.is_at(411, 1_143);
        assert_eq!(taking.at(), (412, 1_143));
        taking.is_at(1, 1_000_000);
        assert_eq!(taking.at(), (1, 1_000_000));
    }
}
