//! Why a file is in no study, and why a folder was not taken in.

use std::io;
use std::path::PathBuf;

use clavicle_dicom::facts::PatientDifference;
use clavicle_dicom::unreadable::Unreadable;
use clavicle_sandbox::ReadError;

use crate::accounting::FileFate;

/// Deepest folder below the one given.
pub const MAX_DEPTH: usize = 16;
/// Most files below the folder given.
pub const MAX_FILES: usize = 262_144;

/// Why a file is in no study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A folder below [`MAX_DEPTH`].
    #[error("it lies more than {MAX_DEPTH} folders deep")]
    TooDeep,
    /// More than [`MAX_FILES`].
    #[error("there are more than {MAX_FILES} files")]
    TooManyFiles,
    /// Its study names several patients. The sentence says by what they differ, and not who they are.
    #[error(
        "its study names more than one patient ({} differs); which images are whose must be settled first",
        attributes(.0)
    )]
    MixedPatients(Vec<PatientDifference>),
}

/// Attributes by their names.
fn attributes(differences: &[PatientDifference]) -> String {
    differences.iter().map(|one| one.what).collect::<Vec<_>>().join(", ")
}

impl Reason {
    /// The sentence with what it may say about a patient: for the screen of an operator who is to settle it, and for no log.
    #[must_use]
    pub fn on_screen(&self) -> String {
        match self {
            Self::MixedPatients(differences) => {
                let values: Vec<String> = differences.iter().map(ToString::to_string).collect();
                format!("{self}: {}", values.join(", "))
            }
            _ => self.to_string(),
        }
    }
}

/// Why a folder was not taken in at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// It cannot be read.
    #[error("the folder cannot be read")]
    Folder(#[source] io::Error),
    /// It holds too much.
    #[error("the folder holds more than {MAX_FILES} files; take it in by parts")]
    TooManyFiles,
}

/// A file that is in no study.
#[derive(Debug)]
pub struct Quarantined {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

impl Quarantined {
    /// What became of it, for the accounting.
    pub(crate) const fn fate(&self) -> FileFate {
        match &self.reason {
            Reason::Read(ReadError::Link | ReadError::NotAFile | ReadError::Unreadable(Unreadable::NotDicom)) => {
                FileFate::Skipped
            }
            Reason::Read(ReadError::TooLarge) | Reason::TooDeep | Reason::TooManyFiles | Reason::MixedPatients(_) => {
                FileFate::Refused
            }
            Reason::Read(_) => FileFate::Unreadable,
        }
    }
}
