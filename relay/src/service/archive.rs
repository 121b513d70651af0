//! What an operator does with the archive.

use clavicle_ledger::id::StudyId;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Status;
use clavicle_manifest::StoredDigest;
use serde::{Deserialize, Serialize};

use super::{DeskError, Service, ServiceError};
use crate::archive::Checked;
use crate::reception::QuarantineRow;

/// What a check of the archive is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// Whether what belongs to no study is removed.
    pub remove_stray: bool,
}

/// What a check of the archive found. Files are named by their digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRow {
    /// Files that are as they were.
    pub sound: u64,
    /// Bytes of all files that should be there.
    pub bytes: u64,
    /// Files that are other bytes now, or cannot be read any more.
    pub damaged: Vec<String>,
    /// Files that are gone.
    pub missing: Vec<String>,
    /// Files that belong to no study.
    pub stray: Vec<String>,
    /// Whether those were removed.
    pub removed: bool,
}

/// A study that something was done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its id.
    pub study: String,
    /// Whether that changed anything.
    pub changed: bool,
}

impl Service {
    /// The study whose id begins like this.
    ///
    /// # Errors
    /// [`DeskError`].
    pub(super) fn study_that_begins(&self, begin: &str) -> Result<StudyId, DeskError> {
        let begin = begin.trim().to_lowercase();
        let ids = self.archive.studies()?.into_iter().map(|entry| entry.manifest.manifest.header().study);
        let ids: Vec<_> = ids.filter(|id| !begin.is_empty() && id.to_string().starts_with(&begin)).collect();
        match ids.as_slice() {
            [] => Err(DeskError::NoStudy),
            [one] => Ok(*one),
            more => Err(DeskError::Ambiguous(more.len())),
        }
    }

    /// Closes the study whose id begins like this.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn close(&self, begin: &str) -> Result<Done, DeskError> {
        let study = self.study_that_begins(begin)?;
        let changed = self.archive.close(study, &self.signer())?;
        // A revision of a study that somebody holds goes to the ledger.
        self.store.note();
        Ok(Done { study: study.to_string(), changed })
    }

    /// Removes the study whose id begins like this.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn remove(&self, begin: &str) -> Result<Done, DeskError> {
        let study = self.study_that_begins(begin)?;
        let record = self.store.snapshot()?.study(study).map_err(ServiceError::from)?;
        self.archive.remove(study, record.is_some_and(|record| matches!(record.status, Status::Withdrawn { .. })))?;
        Ok(Done { study: study.to_string(), changed: true })
    }

    /// Reads every byte in the archive.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn check(&self, request: CheckRequest) -> Result<CheckRow, DeskError> {
        let Checked { sound, damaged, missing, stray } = self.archive.check(&mut |_, _| {})?;
        if request.remove_stray {
            self.archive.remove_stray(&stray)?;
        }
        let names = |digests: Vec<StoredDigest>| digests.iter().map(ToString::to_string).collect();
        Ok(CheckRow {
            sound,
            bytes: self.archive.usage()?.bytes,
            damaged: names(damaged),
            missing: names(missing),
            removed: request.remove_stray && !stray.is_empty(),
            stray: names(stray),
        })
    }

    /// What came by itself and could not be taken in.
    ///
    /// # Errors
    /// [`DeskError::Quarantine`].
    pub fn quarantine(&self) -> Result<Vec<QuarantineRow>, DeskError> {
        self.quarantine.rows().map_err(DeskError::Quarantine)
    }
}
