//! What an operator does with the archive.

use std::path::PathBuf;

use clavicle_imaging::completeness::Completeness;
use clavicle_imaging::intake::Intake;
use clavicle_imaging::kos::{Document, Time, Title};
use clavicle_imaging::selection;
use clavicle_ledger::encoding::Hex;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Status;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_manifest::{Date, StoredDigest, Uid};
use serde::{Deserialize, Serialize};

use super::{DeskError, Service, ServiceError};
use crate::archive::{ArchiveError, Checked, Entry};
use crate::reception::QuarantineRow;

/// What a check of the archive is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// Whether what belongs to no study is to be removed.
    pub remove_stray: bool,
    /// How many files that must be: other than so many, nothing is removed.
    pub confirm: Option<usize>,
}

/// A study that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveRequest {
    /// How its id begins.
    pub study: String,
    /// How many files it must have: with other than so many, it is not removed.
    pub confirm: Option<usize>,
}

/// Studies that are to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpireRequest {
    /// The day before which their dates lie.
    pub before: String,
    /// How many they must be: if they are not, none is removed.
    pub confirm: Option<usize>,
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
    /// Studies with a record in the archive that the catalogue has not.
    pub unlisted: Vec<String>,
    /// Of these, those whose record cannot be read.
    pub unreadable: Vec<String>,
    /// Studies whose record was not right, and was written again.
    pub unrecorded: Vec<String>,
    /// Whether the stray files were removed.
    pub removed: bool,
}

impl CheckRow {
    /// Whether all is as it should be, now.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let Self { sound: _, bytes: _, damaged, missing, stray, unlisted, unreadable: _, unrecorded, removed } = self;
        let lists = [damaged, missing, unlisted, unrecorded];
        lists.iter().all(|list| list.is_empty()) && (stray.is_empty() || *removed)
    }
}

/// Other bytes than those in the study, which came under the name of an instance of it. Both are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContradictionRow {
    /// The study's id.
    pub study: String,
    /// The SOP Instance UID that both have.
    pub sop_instance_uid: String,
    /// The digest of these bytes, by which the archive has them.
    pub stored: String,
    /// Where they are.
    #[serde(serialize_with = "crate::path::lossy")]
    pub path: PathBuf,
    /// How many they are.
    pub size: u64,
    /// How they differ from those in the study.
    pub how: String,
    /// When they came, in milliseconds since 1970.
    pub came_ms: u64,
}

/// A study that something was done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its id.
    pub study: String,
    /// Whether that changed anything.
    pub changed: bool,
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

/// What became of the studies that are older than they have to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Those that are to be removed.
    pub studies: Vec<String>,
    /// Whether they were.
    pub removed: bool,
    /// Those that stay, since somebody holds them and they are not withdrawn.
    pub held: Vec<String>,
}

/// What is to be held against a study's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareRequest {
    /// The study: how its id begins.
    pub study: String,
    /// The folder: what a CD, a PACS or a recipient has of it.
    #[serde(with = "crate::path::exact")]
    pub folder: PathBuf,
}

/// A folder against a manifest. Instances are named by their SOP Instance UIDs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareRow {
    /// The study's id.
    pub study: String,
    /// In one sentence.
    pub sentence: String,
    /// Whether everything that was signed is there as signed, and nothing else.
    pub exact: bool,
    /// Instances in the manifest.
    pub listed: usize,
    /// Those that are there as signed.
    pub intact: usize,
    /// Those that are not there.
    pub missing: Vec<String>,
    /// Those that are there and differ, each with how.
    pub altered: Vec<(String, String)>,
    /// What is there and not in the manifest.
    pub extra: Vec<String>,
}

/// What studies say of their own completeness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletenessRow {
    /// Lines for a person.
    pub lines: String,
    /// Studies of which something speaks for missing images, by Study Instance UID.
    pub suspicious: Vec<String>,
}

/// A Key Object Selection Document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KosRow {
    /// The study's id.
    pub study: String,
    /// How many instances it lists.
    pub instances: usize,
    /// The file, in hexadecimal digits.
    pub document: String,
}

impl Service {
    /// Holds a folder against the manifest of a study.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn compare(&self, request: &CompareRequest) -> Result<CompareRow, DeskError> {
        let entry = self.entry_that_begins(&request.study)?;
        let intake = Intake::of_folder(&request.folder, &*self.reader)?;
        let manifest = &entry.manifest.manifest;
        let comparison = manifest.compare(intake.received());
        let uids = |uids: &[Uid]| uids.iter().map(ToString::to_string).collect();
        let altered = comparison.altered.iter();
        Ok(CompareRow {
            study: manifest.header().study.to_string(),
            sentence: comparison.to_string(),
            exact: comparison.is_exact(),
            listed: comparison.listed,
            intact: comparison.intact,
            missing: uids(&comparison.missing),
            altered: altered.map(|one| (one.sop_instance_uid.to_string(), one.change.to_string())).collect(),
            extra: uids(&comparison.extra),
        })
    }

    /// What a study says of its own completeness, or every study without one.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn completeness(&self, begin: Option<&str>) -> Result<CompletenessRow, DeskError> {
        let entries = match begin {
            Some(begin) => vec![self.entry_that_begins(begin)?],
            None => self.archive.studies()?,
        };
        let (mut lines, mut suspicious) = (Vec::new(), Vec::new());
        for entry in entries {
            let instances = entry.manifest.manifest.instances();
            let files = instances.map(|instance| self.archive.place(&instance.stored)).collect();
            let said = Completeness::of(&Intake::of_files(files, &*self.reader), &*self.reader);
            let doubtful = said.studies.iter().filter(|study| study.is_suspicious());
            suspicious.extend(doubtful.map(|study| study.study_instance_uid.to_string()));
            lines.push(said.to_string());
        }
        Ok(CompletenessRow { lines: lines.concat().trim_end().to_owned(), suspicious })
    }

    /// Everything that is kept as contradicting an instance.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn contradictions(&self) -> Result<Vec<ContradictionRow>, DeskError> {
        let mut rows = Vec::new();
        for entry in self.archive.studies()? {
            let study = entry.manifest.manifest.header().study;
            let all = self.archive.contradictions(study)?;
            rows.extend(all.into_iter().map(|(stored, one)| ContradictionRow {
                study: study.to_string(),
                sop_instance_uid: one.sop_instance_uid.to_string(),
                stored: stored.to_string(),
                path: absolute(self.archive.place(&stored)),
                size: one.size,
                how: one.how.to_string(),
                came_ms: one.came.0,
            }));
            let shared = self.archive.shared_names(study)?;
            rows.extend(shared.into_iter().map(|one| ContradictionRow {
                study: study.to_string(),
                sop_instance_uid: one.sop_instance_uid.to_string(),
                stored: one.stored.to_string(),
                path: absolute(self.archive.place(&one.stored)),
                size: one.size,
                how: in_both(&entry.manifest.manifest.header().study_instance_uid, &one.other_study_instance_uid),
                came_ms: entry.grown.0,
            }));
        }
        Ok(rows)
    }

    /// A study's manifest as the standard has one: a Key Object Selection Document, with a MAC of each instance.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn kos(&self, begin: &str) -> Result<KosRow, DeskError> {
        let entry = self.entry_that_begins(begin)?;
        let manifest = &entry.manifest.manifest;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(DeskError::Random)?;
        let now = (self.clock)().0.0;
        let document = Document {
            title: Title::default(),
            date: date_of(now / DAY_MS),
            time: time_of(now % DAY_MS / 1_000),
            series_number: 9_999,
            random,
        };
        let bytes = selection::of_manifest(
            &document,
            manifest,
            &|instance| self.archive.place(&instance.stored),
            &*self.reader,
        )?;
        let study = manifest.header().study.to_string();
        Ok(KosRow { study, instances: manifest.counts().instances, document: Hex(&bytes).to_string() })
    }

    fn entry_that_begins(&self, begin: &str) -> Result<Entry, DeskError> {
        let study = self.study_that_begins(begin)?;
        self.archive.entry(study)?.ok_or(DeskError::NoStudy)
    }

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

    /// Removes the study whose id begins like this, if it has as many files as was said; says how many otherwise.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn remove(&self, request: &RemoveRequest) -> Result<Removal, DeskError> {
        let study = self.study_that_begins(&request.study)?;
        let is_withdrawn = self.is_withdrawn(study)?;
        let files = self.archive.removable(study, is_withdrawn)?;
        let removed = request.confirm == Some(files);
        if removed {
            self.archive.remove(study, is_withdrawn)?;
        }
        Ok(Removal { study: study.to_string(), files, removed })
    }

    fn is_withdrawn(&self, study: StudyId) -> Result<bool, DeskError> {
        let record = self.store.snapshot()?.study(study).map_err(ServiceError::from)?;
        Ok(record.is_some_and(|record| matches!(record.status, Status::Withdrawn { .. })))
    }

    /// Removes the studies whose Study Date is before a day, written like 2016-01-31, if they are as many as was said; says which otherwise. Those
    /// without a date stay.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn expire(&self, request: &ExpireRequest) -> Result<Expired, DeskError> {
        let day = parse_day(&request.before).ok_or(DeskError::Day)?;
        let (mut expired, mut old) = (Expired::default(), Vec::new());
        for entry in self.archive.studies()? {
            let header = entry.manifest.manifest.header();
            if header.study_date.is_none_or(|date| date >= day) {
                continue;
            }
            let is_withdrawn = self.is_withdrawn(header.study)?;
            match self.archive.removable(header.study, is_withdrawn) {
                Ok(_) => old.push((header.study, is_withdrawn)),
                Err(ArchiveError::Held) => expired.held.push(header.study.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        expired.studies = old.iter().map(|(study, _)| study.to_string()).collect();
        expired.removed = !old.is_empty() && request.confirm == Some(old.len());
        if expired.removed {
            old.iter().try_for_each(|(study, is_withdrawn)| self.archive.remove(*study, *is_withdrawn))?;
        }
        Ok(expired)
    }

    /// Reads every byte in the archive.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn check(&self, request: CheckRequest) -> Result<CheckRow, DeskError> {
        let Checked { sound, damaged, missing, stray, unlisted, unreadable, unrecorded } =
            self.archive.check(&self.chain, &mut |_, _| {})?;
        let removed = request.remove_stray && !stray.is_empty() && request.confirm == Some(stray.len());
        if removed {
            self.archive.remove_stray(&stray, &self.chain)?;
        }
        let studies = |ids: Vec<StudyId>| ids.iter().map(ToString::to_string).collect();
        let names = |digests: Vec<StoredDigest>| digests.iter().map(ToString::to_string).collect();
        Ok(CheckRow {
            sound,
            bytes: self.archive.usage()?.bytes,
            damaged: names(damaged),
            missing: names(missing),
            stray: names(stray),
            unlisted: studies(unlisted),
            unreadable: studies(unreadable),
            unrecorded: studies(unrecorded),
            removed,
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

pub(super) fn parse_day(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// A path that means the same to whoever asked, who may be in another folder.
/// What is said of a name that instances of two studies have.
pub(super) fn in_both(one: &Uid, other: &Uid) -> String {
    format!("study {one} and study {other} both have an instance of this name; both are kept, and one of them is wrong")
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// A day since 1970, in the Gregorian calendar.
fn date_of(day: u64) -> Date {
    let text = Timestamp(day.saturating_mul(DAY_MS)).day().to_string();
    let mut parts = text.split('-').map(|part| part.parse::<u16>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    let (year, month, day) = (next(), next(), next());
    let small = |number: u16| u8::try_from(number).unwrap_or_default();
    Date::new(year, small(month), small(day)).expect("a day is in the calendar")
}

/// A second of a day.
fn time_of(second: u64) -> Time {
    let part = |number: u64| u8::try_from(number).unwrap_or_default();
    Time::new(part(second / 3_600), part(second / 60 % 60), part(second % 60)).expect("a second is of the day")
}
