//! `remove`: a study goes, with its images.

use clap::Args;
use clavicle_command::said::many;
use clavicle_manifest::StoredDigest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::confirmed::{ListDigest, is_confirmed, unconfirmed};
use super::studies_named::{on_ledger, study_that_begins};
use super::{Command, NotFound, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::ArchiveError;
use crate::service::{Service, ServiceError};

/// Remove a study that nobody holds, or that is withdrawn, with its images
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Remove {
    /// The study: how its id begins
    pub study: String,
    /// Remove it, and not only say what that would be: the digest that is said then
    #[arg(long, value_name = "DIGEST")]
    pub confirm: Option<String>,
}

/// What became of a study that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Its id.
    pub study: String,
    /// How many files it has, or had.
    pub files: usize,
    /// A digest of the list of these.
    pub digest: String,
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

    /// Removes it, if it has the files that were confirmed; says what to confirm otherwise.
    fn work(self, service: &Service) -> Result<Removal, RemoveError> {
        let study = study_that_begins(&service.images.archive, &self.study)?;
        let on_ledger = on_ledger(service, study)?;
        let files = service.images.archive.removable(study, on_ledger)?;
        let mut digest = ListDigest::new();
        digest.add([study.as_bytes()]);
        digest.add(files.iter().map(StoredDigest::as_bytes));
        let digest = digest.finish();
        let removed = is_confirmed(self.confirm.as_deref(), &digest);
        if removed {
            service.images.archive.remove(study, on_ledger)?;
        }
        Ok(Removal { study: study.to_string(), files: files.len(), digest, removed })
    }
}

impl Command for Remove {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(Self { confirm, .. }: &Self, removal: Removal) -> Result<Answer, Failure> {
        let Removal { study, files, digest, removed } = &removal;
        let fate = if *removed { "removed" } else { "would be removed" };
        let many = many(*files, "file", "files");
        let answer = Answer { text: format!("{study}  {many} {fate}"), json: json!(removal) };
        if *removed {
            return Ok(answer);
        }
        Err(unconfirmed("this study", &many, digest, confirm.as_deref(), answer))
    }
}
