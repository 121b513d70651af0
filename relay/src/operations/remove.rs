//! `remove`: a study goes, with its images.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::{on_ledger, study_that_begins};
use super::{Command, NotFound, Operation, unconfirmed};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::ArchiveError;
use crate::service::{Service, ServiceError};

/// Remove a study that nobody holds, or that is withdrawn, with its images
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Remove {
    /// The study: how its id begins
    pub study: String,
    /// Remove it, and not only say what that would be: as many files as it has
    #[arg(long, value_name = "FILES")]
    pub confirm: Option<usize>,
}

/// What became of a study that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Its id.
    pub study: String,
    /// How many files it has, or had.
    pub files: usize,
    /// Whether it was removed.
    pub removed: bool,
}

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// Which study.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Refusing for RemoveError {
    fn code(&self) -> &str {
        match self {
            Self::NotFound(error) => error.code(),
            Self::Archive(error) => error.code(),
            Self::Service(_) => "pickup",
        }
    }
}

impl Operation for Remove {
    const WORD: &'static str = "remove";

    type On = Service;
    type Answer = Removal;
    type Error = RemoveError;

    /// Removes it, if it has as many files as was said; says how many otherwise.
    fn work(self, service: &Service) -> Result<Removal, RemoveError> {
        let study = study_that_begins(&service.images.archive, &self.study)?;
        let on_ledger = on_ledger(service, study)?;
        let files = service.images.archive.removable(study, on_ledger)?;
        let removed = self.confirm == Some(files);
        if removed {
            service.images.archive.remove(study, on_ledger)?;
        }
        Ok(Removal { study: study.to_string(), files, removed })
    }
}

impl Command for Remove {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(Self { confirm, .. }: &Self, removal: Removal) -> Result<Answer, Failure> {
        let Removal { study, files, removed } = &removal;
        let fate = if *removed { "removed" } else { "would be removed" };
        let answer = Answer { text: format!("{study}  {files} files {fate}"), json: json!(removal) };
        if *removed { Ok(answer) } else { Err(unconfirmed("this study", *files, "files", *confirm, answer)) }
    }
}
