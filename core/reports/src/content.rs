//! What is known of a report, whatever it is written in.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::Unreadable;
use clavicle_manifest::Date;

use crate::person::Person;

/// The longest report that is read, in bytes: it is held in memory, more than once.
pub const MAX_READ: usize = 16 << 20;
/// Most people whom one report names.
pub(crate) const MAX_PERSONS: usize = 64;

/// What is known of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReportContent {
    /// Whom it says it is about. More than one where several messages are in one file; none where it names nobody.
    pub persons: Vec<Person>,
    /// When it was written, as it says.
    pub written: Option<Moment>,
    /// What it is to earlier ones, as it says.
    pub stage: Stage,
    /// What it is a report of.
    pub title: String,
    /// What it says.
    pub text: String,
    /// Whether that is all of the text.
    pub is_whole: bool,
    /// What is in it and is no text, in words.
    pub enclosed: Vec<String>,
    /// What it says against itself, that it is not complete or not verified, and who stands by it. To be said before
    /// all else.
    pub warnings: Vec<String>,
}

/// What a report is to earlier ones. In the order in which one of several statuses counts more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Stage {
    /// It does not say.
    #[default]
    Unsaid,
    /// It is not verified yet.
    Preliminary,
    /// It stands.
    Final,
    /// Something was added to an earlier one.
    Addendum,
    /// An earlier one was changed, or replaced.
    Amended,
    /// An earlier one was wrong.
    Corrected,
    /// It takes an earlier one back: it was of another patient, say.
    Withdrawn,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsaid => "of unknown standing",
            Self::Preliminary => "preliminary",
            Self::Final => "final",
            Self::Addendum => "addendum",
            Self::Amended => "amended",
            Self::Corrected => "corrected",
            Self::Withdrawn => "withdrawn",
        })
    }
}

/// A day, and the time of day where it is said, in no time zone: as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Moment {
    /// The day.
    pub day: Date,
    /// Hours, minutes, seconds.
    pub time: Option<(u8, u8, u8)>,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.day)?;
        self.time.map_or(Ok(()), |(hour, minute, _)| write!(f, " {hour:02}:{minute:02}"))
    }
}

impl Moment {
    /// Of `20260503141005.123+0200`, or `2026-05-03T14:10:05+02:00`, or as much of it as says the day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .trim()
            .bytes()
            .enumerate()
            // The first two `-` are within the day; a later one begins the time zone, as `+`, `Z` and `.` end what is wanted.
            .take_while(|(at, byte)| byte.is_ascii_digit() || matches!(byte, b'T' | b':') || (*byte == b'-' && *at < 8))
            .filter(|(_, byte)| byte.is_ascii_digit())
            .map(|(_, byte)| byte - b'0')
            .collect();
        let number = |from: usize, len: usize| -> Option<u16> {
            Some(digits.get(from..from + len)?.iter().fold(0, |sum, digit| sum * 10 + u16::from(*digit)))
        };
        let part = |from: usize| number(from, 2).and_then(|part| u8::try_from(part).ok());
        let day = Date::new(number(0, 4)?, part(4)?, part(6)?)?;
        let time = part(8).zip(part(10)).map(|(hour, minute)| (hour, minute, part(12).unwrap_or(0)));
        Some(Self { day, time: time.filter(|(hour, minute, second)| *hour < 24 && *minute < 60 && *second < 61) })
    }
}

/// Why a report cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum ReportError {
    /// More than [`MAX_READ`].
    #[error("it is larger than 16 MiB")]
    TooLarge,
    /// Not what it is said to be.
    #[error("it is no HL7 v2 message: it does not begin with MSH")]
    NotHl7,
    /// Not what it is said to be.
    #[error("it is no JSON that could be read")]
    NotJson,
    /// Another resource.
    #[error("it is no FHIR DiagnosticReport, nor a Bundle that has one")]
    NoDiagnosticReport,
    /// It names too many.
    #[error("it names more than 64 people")]
    TooMany,
    /// A DICOM document that is none, or a broken one.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The file.
    #[error("it cannot be read from the disk")]
    NotRead,
    /// A defect.
    #[error("a defect in the program was met while it was read")]
    Panicked,
}

/// The name of a report that does not say when it was written, with the day on which it was attached.
#[must_use]
pub fn dated(name: &str, day: &str) -> String {
    // A title has room for 256 bytes.
    let room = 230usize;
    let name = &name[..name.floor_char_boundary(room)];
    format!("{name}{ATTACHED}{day}")
}

/// What stands between the two.
const ATTACHED: &str = ", attached ";

/// When a report was written, as it says, or else when it was attached.
#[must_use]
pub fn when(content: Option<&ReportContent>, title: &str) -> Option<Moment> {
    let written = content.and_then(|content| content.written);
    written.or_else(|| title.rsplit_once(ATTACHED).and_then(|(_, day)| Moment::parse(day)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_both_ways_of_writing() {
        let said = |text: &str| Moment::parse(text).map(|moment| moment.to_string());
        for text in
            ["20260503141005.123+0200", "2026-05-03T14:10:05+02:00", "202605031410", "2026-05-03T14:10:05-07:00"]
        {
            assert_eq!(said(text).as_deref(), Some("2026-05-03 14:10"), "{text}");
        }
        for text in ["20260503", "2026-05-03", "20260503+0200", "2026-05-03T99:10"] {
            assert_eq!(said(text).as_deref(), Some("2026-05-03"), "{text}");
        }
        for text in ["", "2026", "2026-13-01", "today"] {
            assert_eq!(said(text), None, "{text}");
        }
        let at = |text: &str| Moment::parse(text).unwrap();
        assert!(at("20260503") < at("202605030001") && at("202605031410") < at("20260504"));
    }

    #[test]
    fn what_does_not_say_when_it_was_written_has_the_day_it_was_attached() {
        let title = dated("finding.pdf", "2026-11-30");
        assert_eq!(title, "finding.pdf, attached 2026-11-30");
        let said = |content: Option<&ReportContent>, title: &str| when(content, title).map(|when| when.to_string());
        assert_eq!(said(None, &title).as_deref(), Some("2026-11-30"));
        let content = ReportContent { written: Moment::parse("202605031410"), ..ReportContent::default() };
        assert_eq!(said(Some(&content), &title).as_deref(), Some("2026-05-03 14:10"));
        assert_eq!(said(None, "finding.pdf"), None);
        assert!(dated(&"ü".repeat(200), "2026-11-30").len() <= 256);
    }
}
