//! The accounting of files: what became of each that was given.
//!
//! One for all that reads many files: so many were given, so many are taken, and each of the others is named, with what became of it and why. What is
//! missing, and what is there and contradicts something, is named beside. It is said to people, with the worst first and the rest counted where it is
//! much, and in full to programs. It says of patients what their operator must see, and so it goes to a screen and into no log.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

/// How many files are told one by one before the rest is only counted.
pub const MOST_TOLD: usize = 20;

/// What became of a file that is not simply taken, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFate {
    /// It can be read, and is not taken for a reason.
    Refused,
    /// It may be an instance, and cannot be read.
    Unreadable,
    /// Other bytes than those of the instance of its name, which stands.
    Conflict,
    /// It should be there, and is not.
    Missing,
    /// It is taken, and another instance has its name.
    Contradicts,
    /// It is nothing that could be taken.
    Skipped,
    /// The same bytes as another that is taken.
    Duplicate,
    /// A table of contents, which was read for what it lists.
    Contents,
}

impl FileFate {
    /// Whether all was done that there is to be done with such a file.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Duplicate | Self::Contents)
    }

    /// In a word, for the beginning of a line.
    const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Conflict => "conflict",
            Self::Missing => "missing",
            Self::Contradicts => "contradicts",
            Self::Skipped => "skipped",
            Self::Duplicate => "duplicate",
            Self::Contents => "contents",
        }
    }

    /// So many of them.
    fn counted(self, count: usize) -> String {
        let word = match (self, count) {
            (Self::Conflict, 2..) => "conflicts",
            (Self::Contradicts, 1) => "contradiction",
            (Self::Contradicts, _) => "contradictions",
            (Self::Duplicate, 2..) => "duplicates",
            (Self::Contents, 1) => "table of contents",
            (Self::Contents, _) => "tables of contents",
            _ => self.word(),
        };
        format!("{count} {word}")
    }
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Which. In JSON what is no text in its name is marked.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// What.
    pub fate: FileFate,
    /// The file, or the instance, that it is a copy of or contradicts.
    pub of: Option<String>,
    /// Why, in a sentence.
    pub why: String,
}

impl FileRow {
    /// A file by itself.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>, fate: FileFate, why: impl Display) -> Self {
        Self { file: file.into(), fate, of: None, why: why.to_string() }
    }

    /// A file beside another.
    #[must_use]
    pub fn beside(file: impl Into<PathBuf>, fate: FileFate, of: impl Display, why: impl Display) -> Self {
        Self { of: Some(of.to_string()), ..Self::new(file, fate, why) }
    }

    /// The file and why. A name does nothing to a terminal.
    fn said(&self) -> String {
        let said = format!("{}: {}", self.file.display(), self.why);
        said.chars().map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one }).collect()
    }

    /// For a person.
    fn line(&self) -> String {
        format!("{:<12} {}", self.fate.word(), self.said())
    }
}

/// What became of all files that were given: as many are given as are taken and in the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// How many were given.
    pub given: usize,
    /// How many of these are taken.
    pub taken: usize,
    /// The others.
    pub rest: Vec<FileRow>,
    /// What was not given and should have been, and what is taken and contradicts something.
    pub besides: Vec<FileRow>,
}

impl Accounting {
    /// A file that was counted as taken is not.
    pub fn put_back(&mut self, row: FileRow) {
        self.taken = self.taken.saturating_sub(1);
        self.rest.push(row);
    }

    /// A file that was in the rest is taken after all.
    pub fn take_after_all(&mut self, file: &Path) {
        if let Some(at) = self.rest.iter().position(|row| row.file == file) {
            self.rest.remove(at);
            self.taken += 1;
        }
    }

    /// More is known of why a file is in the rest.
    pub fn explain(&mut self, file: &Path, why: &str) {
        self.rest.iter_mut().filter(|row| row.file == file).for_each(|row| why.clone_into(&mut row.why));
    }

    /// Whether all was done that was asked for.
    #[must_use]
    pub fn is_all_done(&self) -> bool {
        self.besides.is_empty() && self.rest.iter().all(|row| row.fate.is_done())
    }

    /// So many of each, the worst first.
    fn counts<'a>(rows: impl Iterator<Item = &'a FileRow>) -> String {
        let mut counts: BTreeMap<FileFate, usize> = BTreeMap::new();
        rows.for_each(|row| *counts.entry(row.fate).or_default() += 1);
        counts.into_iter().map(|(fate, count)| fate.counted(count)).collect::<Vec<_>>().join(", ")
    }

    /// How many files were given.
    fn all(&self) -> String {
        format!("{} {}", self.given, if self.given == 1 { "file" } else { "files" })
    }

    /// In a line: how many files are `done` (taken, written, sent), and what became of the others.
    #[must_use]
    pub fn summary(&self, done: &str) -> String {
        let counts = Self::counts(self.rest.iter().chain(&self.besides));
        let counts = if counts.is_empty() { counts } else { format!(": {counts}") };
        format!("{} of {} {done}{counts}", self.taken, self.all())
    }

    /// A line for each file that is named, the worst first; where there are many the others are counted.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut rows: Vec<&FileRow> = self.rest.iter().chain(&self.besides).collect();
        rows.sort_by_key(|row| row.fate);
        let mut lines: Vec<String> = rows.iter().take(MOST_TOLD).map(|row| row.line()).collect();
        if rows.len() > MOST_TOLD {
            lines.push(format!("             and {} more; --json names all", rows.len() - MOST_TOLD));
        }
        lines
    }

    /// What was asked for and is not `done`, in a sentence that names the worst; nothing if all is.
    #[must_use]
    pub fn shortfall(&self, done: &str) -> Option<String> {
        let open: Vec<&FileRow> = self.rest.iter().filter(|row| !row.fate.is_done()).collect();
        let mut said = Vec::new();
        if !open.is_empty() {
            let counts = Self::counts(open.iter().copied());
            said.push(format!(
                "{} of {} {} not {done} ({counts})",
                open.len(),
                self.all(),
                if open.len() == 1 { "is" } else { "are" }
            ));
        }
        if !self.besides.is_empty() {
            let counts = Self::counts(self.besides.iter());
            // A table of contents and a copy are nothing that is wanting.
            let all = if open.is_empty() {
                format!("all files are {done} that are there, but: {counts}")
            } else {
                format!("besides: {counts}")
            };
            said.push(all);
        }
        let worst = open.into_iter().chain(&self.besides).min_by_key(|row| row.fate)?;
        Some(format!("{}. {}", said.join("; "), worst.said()))
    }
}

/// A path as text: what is none in it is marked.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_told_first_and_what_is_too_much_is_counted() {
        let mut all = Accounting { given: 32, taken: 6, ..Accounting::default() };
        all.rest.extend((0..24).map(|at| FileRow::new(format!("notes-{at}"), FileFate::Skipped, "it is no image")));
        all.rest.push(FileRow::beside("b", FileFate::Duplicate, "a", "the same bytes as a"));
        all.rest.push(FileRow::new("im\x1b[2Jage", FileFate::Unreadable, "it was cut off"));
        assert_eq!(all.given, all.taken + all.rest.len());
        assert_eq!(all.summary("taken"), "6 of 32 files taken: 1 unreadable, 24 skipped, 1 duplicate");
        assert_eq!(
            all.shortfall("taken").unwrap(),
            "25 of 32 files are not taken (1 unreadable, 24 skipped). im\u{fffd}[2Jage: it was cut off"
        );
        let lines = all.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (21, "unreadable   im\u{fffd}[2Jage: it was cut off"));
        assert!(lines[20].ends_with("and 6 more; --json names all"));
        all.rest.retain(|row| row.fate.is_done());
        all.given = 7;
        assert!(all.is_all_done() && all.shortfall("taken").is_none());
        all.besides.push(FileRow::new("IM7", FileFate::Missing, "DICOMDIR lists it"));
        assert!(!all.is_all_done());
        assert_eq!(
            all.shortfall("taken").unwrap(),
            "all files are taken that are there, but: 1 missing. IM7: DICOMDIR lists it"
        );
    }

    #[test]
    fn what_turns_out_otherwise_is_counted_once() {
        let mut all = Accounting { given: 2, taken: 2, ..Accounting::default() };
        all.put_back(FileRow::new("a", FileFate::Refused, "it is another patient's"));
        assert_eq!((all.taken, all.rest.len()), (1, 1));
        all.take_after_all(Path::new("a"));
        all.take_after_all(Path::new("a"));
        assert_eq!((all.taken, all.rest.len()), (2, 0));
    }
}
