//! Ballots: who has voted for what, and until when that counts (RULES §8).

use borsh::{BorshDeserialize, BorshSerialize};

use crate::encoding::{Ascending, Entry, Wire};
use crate::id::SourceId;
use crate::source::MAX_SOURCES;
use crate::time::{BlockTime, Timestamp};

/// One validator's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cast {
    /// Whose.
    pub voter: SourceId,
    /// The last moment at which it counts.
    pub until: Timestamp,
}

impl Entry for Cast {
    type Key = SourceId;
    fn key(&self) -> &SourceId {
        &self.voter
    }
}

/// The votes for one thing: one row of the state. Each has a time of its own, so that whoever votes first, or too early, takes
/// nothing from the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ballot {
    /// The votes.
    pub cast: Ascending<Cast, MAX_SOURCES>,
}

impl Ballot {
    /// Takes out the votes that count no more.
    pub fn settle(&mut self, now: BlockTime) {
        self.cast.retain(|cast| now.timestamp() <= cast.until);
    }

    /// When the next vote ends to count.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        // A vote still counts at its last moment.
        self.cast.iter().map(|cast| cast.until.plus(1)).min()
    }
}

impl Wire for Ballot {
    const NAME: &'static str = "a ballot";
    const MAX_LEN: usize = 4 + 40 * MAX_SOURCES;
}
