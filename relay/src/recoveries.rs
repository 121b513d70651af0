//! What the desk gave back to people who lost their keys: who proposed it and who agreed, when and why, and what came
//! of it.
//!
//! Each step is on record before it is taken (`lines.rs`), and what became of it once the ledger says so. What the ledger
//! refuses leaves no line, and one code leaves no more than a few for each study: a wallet can come as often as it
//! likes. Nothing is given back on one person's word: who agrees is another than who proposed it. That the two are who
//! they say the relay cannot know: whoever owns its folder can say both names.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clavicle_ledger::id::StudyId;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_network::pickup::TicketHash;
use serde::{Deserialize, Serialize};

use crate::lines::Lines;
use crate::store::pickups::Outcome;

/// How long what one has proposed waits for another to agree, in milliseconds.
const WAITS_MS: u64 = DAY_MS;

/// The record, and the right to decide.
#[derive(Debug)]
pub struct Recoveries {
    lines: Lines<RecoveryLine>,
    deciding: Mutex<()>,
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryLine {
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// What was done.
    pub act: RecoveryAct,
    /// Which studies, by id.
    pub studies: Vec<String>,
    /// Who did it; the code that was given out, where a wallet did.
    pub by: String,
    /// Why, in their words.
    pub why: Option<String>,
    /// A digest of whom and which studies it is about.
    pub digest: Option<String>,
    /// The transaction, by id.
    pub transaction: Option<String>,
}

/// A step of giving studies back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryAct {
    /// One of the staff proposed it.
    Proposed,
    /// Another agreed, and a code was given out.
    Agreed,
    /// A wallet came with the code, and the hospital asked on the ledger that it be given the study.
    Asked,
    /// The time for a veto was over, and the hospital completed it.
    Completed,
    /// A wallet came with the code and the right answer: no other can any more.
    Taken,
    /// It is final: the study is the new wallet's.
    Given,
    /// Whoever has the key said that it is not lost.
    Vetoed,
    /// It was asked for after a veto: the hospitals find out whose the study is.
    Frozen,
    /// The study changed hands otherwise, or was asked for anew.
    GaveWay,
    /// The time of the code, or of a step, was over before it came to anything.
    Expired,
    /// One of the staff said that the wrong person has a study: it is suspended.
    ReissueProposed,
    /// Another agreed: it is withdrawn, and its images are another study. Both are named.
    Reissued,
}

impl RecoveryAct {
    const fn word(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Agreed => "agreed",
            Self::Asked => "asked for",
            Self::Completed => "completed",
            Self::Taken => "taken",
            Self::Given => "given",
            Self::Vetoed => "vetoed",
            Self::Frozen => "frozen",
            Self::GaveWay => "gave way",
            Self::Expired => "expired",
            Self::ReissueProposed => "suspended",
            Self::Reissued => "reissued",
        }
    }
}

impl From<Outcome> for RecoveryAct {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Given => Self::Given,
            Outcome::Vetoed => Self::Vetoed,
            Outcome::Frozen => Self::Frozen,
            Outcome::GaveWay => Self::GaveWay,
            Outcome::Expired => Self::Expired,
        }
    }
}

impl RecoveryLine {
    /// Something that came of a code.
    #[must_use]
    pub fn of_code(at: Timestamp, act: RecoveryAct, ticket: TicketHash, studies: Vec<StudyId>) -> Self {
        Self {
            at_ms: at.0,
            act,
            studies: studies.iter().map(StudyId::to_string).collect(),
            by: format!("the wallet with code {}", ticket.to_string().get(..12).unwrap_or_default()),
            why: None,
            digest: None,
            transaction: None,
        }
    }

    /// The line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { at_ms, act, studies, by, why, transaction, .. } = self;
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let transaction = transaction.as_ref().map(|id| format!(" (transaction {id})")).unwrap_or_default();
        let studies: Vec<&str> = studies.iter().map(|id| id.get(..12).unwrap_or(id)).collect();
        format!("{}  {:<9}  {}  by {by}{why}{transaction}", Timestamp(*at_ms), act.word(), studies.join(" "))
    }
}

impl Recoveries {
    /// The record at `path`.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { lines: Lines::at(path), deciding: Mutex::default() }
    }

    /// Held by whoever decides, so that two do not at once.
    pub fn deciding(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a step on record: it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&self, line: &RecoveryLine) -> io::Result<()> {
        self.lines.add(std::slice::from_ref(line))
    }

    /// Who proposed this last, if that was not longer than a day before `now` and nobody has agreed to it since.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn proposed_by(&self, digest: &str, now: Timestamp) -> io::Result<Option<String>> {
        let mut by = None;
        self.lines.each(|line| {
            if line.digest.as_deref() != Some(digest) {
                return;
            }
            match line.act {
                RecoveryAct::Proposed | RecoveryAct::ReissueProposed => {
                    by = (now.since(Timestamp(line.at_ms)) <= WAITS_MS).then_some(line.by);
                }
                RecoveryAct::Agreed | RecoveryAct::Reissued => by = None,
                _ => {}
            }
        })?;
        Ok(by)
    }

    /// The last `most` lines, and how many cannot be read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last(&self, most: usize) -> io::Result<(Vec<RecoveryLine>, usize)> {
        let mut lines = std::collections::VecDeque::new();
        let unreadable = self.lines.each(|line| {
            if lines.len() == most {
                lines.pop_front();
            }
            lines.push_back(line);
        })?;
        Ok((lines.into(), unreadable))
    }

    /// Where the record is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lines.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_proposed_waits_a_day_and_is_agreed_to_once() {
        let folder = tempfile::tempdir().unwrap();
        let record = Recoveries::at(folder.path().join("recoveries.jsonl"));
        let now = Timestamp(DAY_MS * 20_000);
        let put = |at: Timestamp, act, by: &str, digest: &str| {
            let line = RecoveryLine {
                at_ms: at.0,
                act,
                studies: vec!["6e85a379b653dbe7".to_owned()],
                by: by.to_owned(),
                why: Some("the phone is lost".to_owned()),
                digest: Some(digest.to_owned()),
                transaction: None,
            };
            record.add(&line).unwrap();
        };
        assert_eq!(record.proposed_by("one", now).unwrap(), None);
        put(now, RecoveryAct::Proposed, "Ann", "one");
        assert_eq!(record.proposed_by("two", now).unwrap(), None);
        assert_eq!(record.proposed_by("one", now.plus(DAY_MS)).unwrap().as_deref(), Some("Ann"));
        assert_eq!(record.proposed_by("one", now.plus(DAY_MS + 1)).unwrap(), None);
        put(now.plus(1), RecoveryAct::Agreed, "Ben", "one");
        assert_eq!(record.proposed_by("one", now.plus(2)).unwrap(), None);
        let (lines, unreadable) = record.last(1).unwrap();
        assert_eq!((lines.len(), unreadable), (1, 0));
        assert!(lines[0].line().contains("agreed     6e85a379b653  by Ben: the phone is lost"), "{}", lines[0].line());
    }
}
