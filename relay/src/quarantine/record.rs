//! What was done with files in quarantine: who, when and why, a line of JSON each. Lines are added, and never changed.
//!
//! A line is on the disk before what it says is done, and again when it is known what came of it. So a kill at any instant leaves no act without a line, and an act
//! that was decided and not finished is finished at the next start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clavicle_ledger::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest line that is read. What is written is far shorter.
const MAX_LINE: u64 = 64 << 10;

/// The record, by its path.
#[derive(Debug)]
pub(super) struct Record(PathBuf);

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

impl Record {
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Adds lines. They are on the disk when this returns.
    pub(super) fn add(&self, lines: &[RecordLine]) -> io::Result<()> {
        let is_new = !self.0.exists();
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).read(true).mode(0o600).open(&self.0)?;
        let mut text = String::new();
        if !ends_a_line(&mut file)? {
            // A kill left half a line. It stays, and ends here.
            text.push('\n');
        }
        for line in lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        if is_new && let Some(parent) = self.0.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    /// Shows every line, in order; how many of them cannot be read.
    pub(super) fn each(&self, mut show: impl FnMut(RecordLine)) -> io::Result<usize> {
        let file = match File::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            file => file?,
        };
        let (mut file, mut unreadable, mut bytes) = (BufReader::new(file), 0, Vec::new());
        loop {
            bytes.clear();
            if (&mut file).take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(unreadable);
            }
            match serde_json::from_slice(&bytes) {
                Ok(line) => show(line),
                Err(_) => unreadable += usize::from(!bytes.trim_ascii().is_empty()),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// Whether nothing stands behind the last end of a line.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
