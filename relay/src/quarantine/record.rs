//! What was done with files in quarantine: who, when and why, a line of JSON each. Lines are added, and never changed.
//!
//! A line is on the disk before what it says is done, and again when it is known what came of it. So a kill at any instant leaves no act without a line, and an act
//! that was decided and not finished is finished at the next start.

use clavicle_ledger::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lines::Lines;

/// The record, by its path.
pub(super) type Record = Lines<RecordLine>;

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordLine {
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// What was done.
    pub act: Act,
    /// With which file in quarantine.
    pub name: String,
    /// What its bytes hash to, and how many there are.
    pub digest: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it came, in ms since 1970.
    pub came_ms: u64,
    /// Who sent it, as far as known.
    pub from: Option<String>,
    /// What it was called where it came from, if it was called anything.
    pub file: Option<String>,
    /// Why it was in quarantine.
    pub reason: String,
    /// Who did it.
    pub by: String,
    /// Why, in their words.
    pub why: String,
    /// What came of it, once that is known.
    pub outcome: Option<String>,
}

/// What was done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Somebody asked that it be taken in.
    Release,
    /// It is in the archive, and leaves the quarantine.
    Released,
    /// Bytes that somebody repaired are in the archive in its place; it stays until somebody deletes it.
    Replaced,
    /// It was refused again, and stays.
    Refused,
    /// Somebody decided that it goes.
    Delete,
}

impl Act {
    /// Whether the file leaves the quarantine with it.
    pub(super) const fn is_end(self) -> bool {
        matches!(self, Self::Released | Self::Delete)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Release => "to be released",
            Self::Released => "released",
            Self::Replaced => "replaced",
            Self::Refused => "refused again",
            Self::Delete => "deleted",
        }
    }
}

impl RecordLine {
    /// The line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { at_ms, act, name, by, why, outcome, .. } = self;
        let outcome = outcome.as_ref().map(|outcome| format!(" ({outcome})")).unwrap_or_default();
        format!("{}  {:<14}  {name}  by {by}: {why}{outcome}", Timestamp(*at_ms), act.word())
    }
}
