//! Files in quarantine, as an operator names them, and what is asked of whoever decides on them.

use std::io;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::answer::Refusing;
use crate::archive::ArchiveError;
use crate::ending::of_io;
use crate::quarantine::{Decision, Quarantine, QuarantineRow};
use crate::service::Service;

/// The longest name of a person, and the longest reason, in characters.
const MAX_BY: usize = 128;
const MAX_WHY: usize = 1_024;

/// Who decides, and why: both go on record.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Because {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    /// Who decides, for the record; the user of this command without it
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

/// Why a file in quarantine was not looked at, released or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuarantineError {
    /// It cannot be read or written.
    #[error("the quarantine in {path} cannot be read or written")]
    Folder {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// None.
    #[error("no file in quarantine begins with {0}; see `clavicle-relay quarantine`")]
    NoFile(String),
    /// More than one.
    #[error("{1} files in quarantine begin with {0}; give more of the name")]
    Ambiguous(String, usize),
    /// Bytes in place of several.
    #[error("--repaired is one file in place of one: name one in quarantine")]
    OneRepaired,
    /// No reason.
    #[error("--why is for the record: a few words, up to {MAX_WHY} characters; --by is a name of up to {MAX_BY}")]
    NoReason,
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl QuarantineError {
    pub(super) fn of(quarantine: &Quarantine) -> impl Fn(io::Error) -> Self {
        |error| Self::Folder { path: quarantine.folder().to_owned(), error }
    }
}

impl Refusing for QuarantineError {
    fn code(&self) -> &str {
        match self {
            Self::Folder { .. } | Self::Archive(_) => "archive",
            Self::NoFile(_) | Self::Ambiguous(..) | Self::OneRepaired => "quarantine",
            Self::NoReason => "reason",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Folder { error, .. } => of_io(error),
            Self::Archive(error) => error.exit_code(),
            Self::NoFile(_) | Self::Ambiguous(..) | Self::OneRepaired | Self::NoReason => 1,
        }
    }
}

impl Because {
    /// As it is asked: whoever gave the command is known there alone.
    pub(super) fn asked(&self) -> Result<Self, QuarantineError> {
        let user = || ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        let by =
            self.by.clone().or_else(user).unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()));
        let (by, why) = (plain(&by), plain(&self.why));
        let because = Self { why, by: Some(by) };
        if because.fits() { Ok(because) } else { Err(QuarantineError::NoReason) }
    }

    /// Whether it goes on record as it is: a command sees to that before it asks, and others may ask over the socket.
    pub(super) fn fits(&self) -> bool {
        let fits = |text: &str, most| (1..=most).contains(&text.chars().count()) && plain(text) == text;
        fits(self.by.as_deref().unwrap_or_default(), MAX_BY) && fits(&self.why, MAX_WHY)
    }

    /// What goes on record.
    pub(super) fn decision(&self, service: &Service) -> Decision {
        Decision { by: self.by.clone().unwrap_or_default(), why: self.why.clone(), now: (service.clock)() }
    }
}

/// In one line.
fn plain(text: &str) -> String {
    text.chars().map(|at| if at.is_control() { ' ' } else { at }).collect::<String>().trim().to_owned()
}

/// The files whose names begin like these, each once.
pub(super) fn files_that_begin(
    quarantine: &Quarantine,
    begins: &[String],
) -> Result<Vec<QuarantineRow>, QuarantineError> {
    let rows = quarantine.rows().map_err(QuarantineError::of(quarantine))?;
    let mut found: Vec<QuarantineRow> = Vec::new();
    for begin in begins {
        // As it is listed, too: with its folder and its ending.
        let name = begin.trim().rsplit('/').next().unwrap_or_default();
        let name = name.strip_suffix(".dcm").unwrap_or(name);
        let named: Vec<_> = rows.iter().filter(|row| !name.is_empty() && row.name.starts_with(name)).collect();
        match (named.iter().find(|row| row.name == name), named.as_slice()) {
            (Some(one), _) | (None, [one]) => {
                if found.iter().all(|row| row.name != one.name) {
                    found.push((*one).clone());
                }
            }
            (None, []) => return Err(QuarantineError::NoFile(begin.clone())),
            (None, more) => return Err(QuarantineError::Ambiguous(begin.clone(), more.len())),
        }
    }
    Ok(found)
}
