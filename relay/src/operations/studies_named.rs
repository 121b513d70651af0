//! Studies and days, as an operator names them.

use clavicle_ledger::id::StudyId;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Status;
use clavicle_manifest::{Date, Uid};

use crate::answer::Refusing;
use crate::archive::{Archive, ArchiveError, Entry, OnLedger};
use crate::service::{Service, ServiceError};

/// Why it is not known which study is meant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotFound {
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// None.
    #[error("no such study is in the archive; see `clavicle-relay studies`")]
    NoStudy,
    /// More than one.
    #[error("{0} studies begin like this; give more of the id")]
    Ambiguous(usize),
}

impl Refusing for NotFound {
    fn code(&self) -> &str {
        match self {
            Self::Archive(_) => "archive",
            Self::NoStudy | Self::Ambiguous(_) => "pickup",
        }
    }
}

/// So many studies that begin alike are counted.
const MOST: usize = 1_000;

/// The study whose id begins like this.
pub(super) fn study_that_begins(archive: &Archive, begin: &str) -> Result<StudyId, NotFound> {
    match archive.begin_with(begin.trim(), MOST)?.studies.as_slice() {
        [] => Err(NotFound::NoStudy),
        [one] => Ok(*one),
        more => Err(NotFound::Ambiguous(more.len())),
    }
}

/// What the archive has of that study.
pub(super) fn entry_that_begins(archive: &Archive, begin: &str) -> Result<Entry, NotFound> {
    let study = study_that_begins(archive, begin)?;
    archive.entry(study)?.ok_or(NotFound::NoStudy)
}

/// What the ledger says of a study that is to be removed.
pub(super) fn on_ledger(service: &Service, study: StudyId) -> Result<OnLedger, ServiceError> {
    let record = service.store.snapshot()?.study(study)?;
    Ok(record.map_or(OnLedger::Absent, |record| match record.status {
        Status::Withdrawn { .. } => OnLedger::Withdrawn,
        Status::Active | Status::Suspended { .. } => OnLedger::Held,
    }))
}

/// A day written like 2016-01-31.
pub(super) fn parse_day(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// What is said of a name that instances of two studies have.
pub(super) fn in_both(one: &Uid, other: &Uid) -> String {
    format!("study {one} and study {other} both have an instance of this name; both are kept, and one of them is wrong")
}
