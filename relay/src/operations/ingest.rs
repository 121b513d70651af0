//! `ingest`: a folder of files goes into the archive.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use clavicle_imaging::intake::{Intake, StudyIntake};
use clavicle_imaging::reason::{IntakeError, Quarantined};
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::Uid;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::report_files::{AttachedRow, Ready, ReportRefused, ready, sex_in};
use super::studies_named::in_both;
use super::{Command, NoFolder, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::{ArchiveError, Origin, SharedName, Taken};
use crate::service::Service;

/// How many quarantined files are told one by one before the rest is only counted.
const MOST_TOLD: usize = 20;

/// Take a folder of DICOM files into the archive
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Ingest {
    /// The folder with the files; any files: what cannot be used is told with a reason
    #[serde(with = "crate::path::exact")]
    pub folder: PathBuf,
    /// A report that belongs to the one study in the folder: text, .pdf, .hl7 or FHIR .json
    #[arg(long)]
    #[serde(with = "crate::path::exact_if_any", default)]
    pub report: Option<PathBuf>,
    /// Somebody has looked at the report, and it is this patient's: for a PDF, and whatever else names nobody that a program could find
    #[arg(long, requires = "report")]
    #[serde(default)]
    pub unchecked: bool,
}

/// What was taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingested {
    /// The studies, by id.
    pub studies: Vec<String>,
    /// How many were not there before.
    pub new: usize,
    /// How many grew.
    pub grown: usize,
    /// Instances in the folder.
    pub instances: usize,
    /// Files that were there twice.
    pub duplicates: usize,
    /// Files that contradict another.
    pub conflicts: Vec<ConflictRow>,
    /// Files that could not be used, and those of studies that were not taken in.
    pub quarantined: Vec<QuarantinedRow>,
    /// How many of these belong to studies that were not taken in; they come last.
    #[serde(default)]
    pub refused: usize,
    /// What is not in order in files that were taken all the same.
    #[serde(default)]
    pub repairs: Vec<RepairRow>,
    /// The report that was attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<AttachedRow>,
}

/// What is not in order in files that were taken all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairRow {
    /// What, in a sentence.
    pub what: String,
    /// In how many files.
    pub files: usize,
}

/// A file that contradicts another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictRow {
    /// The file.
    #[serde(serialize_with = "crate::path::lossy")]
    pub path: PathBuf,
    /// The one that is in the study.
    #[serde(serialize_with = "crate::path::lossy")]
    pub with: PathBuf,
    /// How it differs from that.
    pub how: String,
}

/// A file that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedRow {
    /// The file.
    #[serde(serialize_with = "crate::path::lossy")]
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// See [`IntakeError`].
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// A report for one study among several, or none.
    #[error(
        "{report} was not attached, and nothing was taken in: the folder holds {studies} studies, and a report belongs to one"
    )]
    WhichStudy {
        /// The report.
        report: PathBuf,
        /// Studies in the folder.
        studies: usize,
    },
    /// See [`ReportRefused`].
    #[error("nothing was taken in")]
    Report(#[source] ReportRefused),
}

impl Refusing for IngestError {
    fn code(&self) -> &str {
        match self {
            Self::WhichStudy { .. } => "report",
            Self::Report(error) => error.code(),
            Self::Archive(_) | Self::Intake(_) => "folder",
        }
    }
}

impl Operation for Ingest {
    const WORD: &'static str = "ingest";

    type On = Service;
    type Answer = Ingested;
    type Error = IngestError;

    fn work(self, service: &Service) -> Result<Ingested, IngestError> {
        service.images.taking.is_at(0, 0);
        let told = |done, files| service.images.taking.is_at(done, files);
        // What comes from outside is read by a process that can do nothing else.
        let mut intake = Intake::watched(&self.folder, &*service.images.reader, &told)?;
        let signer = service.member.signer((service.clock)().0);
        let attached = match &self.report {
            Some(report) => Some(attach(service, &mut intake, report, (self.unchecked, signer.now))?),
            None => None,
        };
        let (mut taken, mut refused, mut instances) = (Vec::new(), Vec::new(), 0);
        for study in &intake.studies {
            let conflicts = intake.conflicts_of(&study.study_instance_uid);
            match service.images.archive.take(study, &conflicts, Origin::Handed, &signer) {
                Ok(one) => {
                    instances += study.instances();
                    taken.push((study.study_instance_uid, one));
                }
                // That one study does not fit costs no other.
                Err(
                    error @ (ArchiveError::OtherPatient { .. }
                    | ArchiveError::Study(_)
                    | ArchiveError::Manifest(_)
                    | ArchiveError::TooLarge(_)
                    | ArchiveError::Unreadable(_)),
                ) => {
                    let all = study.series.iter().flat_map(|series| &series.instances);
                    let row = |path: &PathBuf| QuarantinedRow { path: path.clone(), reason: error.on_screen() };
                    refused.extend(all.map(|one| row(&one.path)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let shared = shared(service, &intake, &taken)?;
        let taken: Vec<Taken> = taken.into_iter().map(|(_, taken)| taken).collect();
        // Revisions of studies that somebody holds go to the ledger.
        service.store.note();
        let count = |wanted: fn(&Taken) -> bool| taken.iter().filter(|taken| wanted(taken)).count();
        let conflict = |one: clavicle_imaging::intake::Conflict| ConflictRow {
            path: one.path,
            with: one.with,
            how: one.change.to_string(),
        };
        let quarantined = |one: Quarantined| QuarantinedRow { reason: one.reason.on_screen(), path: one.path };
        Ok(Ingested {
            studies: taken.iter().map(|taken| taken.study().to_string()).collect(),
            new: count(|taken| matches!(taken, Taken::New(_))),
            grown: count(|taken| matches!(taken, Taken::Grown(_))),
            instances,
            duplicates: intake.duplicates.len(),
            refused: refused.len(),
            repairs: intake
                .repairs()
                .into_iter()
                .map(|(repair, files)| RepairRow { what: repair.to_string(), files })
                .collect(),
            conflicts: intake.conflicts.into_iter().map(conflict).chain(shared).collect(),
            quarantined: intake.quarantined.into_iter().map(quarantined).chain(refused).collect(),
            attached,
        })
    }
}

impl Command for Ingest {
    type Arguments = Self;

    const IS_LONG: bool = true;

    fn request(Self { folder, report, unchecked }: &Self) -> Result<Self, Failure> {
        let report = report.as_deref().map(NoFolder::or).transpose()?;
        Ok(Self { folder: NoFolder::or(folder)?, report, unchecked: *unchecked })
    }

    fn say(_: &Self, ingested: Ingested) -> Result<Answer, Failure> {
        let Ingested { studies, new, grown, instances, duplicates, conflicts, quarantined, refused, repairs, attached } =
            &ingested;
        let mut lines = vec![format!(
            "{} studies ({new} new, {grown} grown), {instances} instances; {duplicates} duplicates, {} conflicts, {} quarantined",
            studies.len(),
            conflicts.len(),
            quarantined.len()
        )];
        lines.extend(attached.iter().map(|row| format!("report       {}", row.line())));
        lines.extend(conflicts.iter().map(|conflict| {
            let (one, other) = (conflict.path.display(), conflict.with.display());
            format!("conflict     {one}: the same SOP Instance UID as {other} ({})", conflict.how)
        }));
        lines.extend(repairs.iter().map(|one| format!("taken        {} files although {}", one.files, one.what)));
        let told = quarantined.iter().take(MOST_TOLD);
        lines.extend(told.map(|one| format!("quarantined  {}: {}", one.path.display(), one.reason)));
        if quarantined.len() > MOST_TOLD {
            lines.push(format!("             and {} more; --json has all", quarantined.len() - MOST_TOLD));
        }
        let answer = Answer { text: lines.join("\n"), json: json!(ingested) };
        match quarantined.last() {
            Some(one) if *refused > 0 => {
                let sentence = format!("{refused} of the images were not taken in: {}", one.reason);
                Err(Failure::Found { code: "not_taken", sentence, answer: Box::new(answer) })
            }
            _ => Ok(answer),
        }
    }
}

/// Instances that were taken and whose names instances of other studies have as well, in the folder or from before. Each pair of studies has a
/// name once.
fn shared(service: &Service, intake: &Intake, taken: &[(Uid, Taken)]) -> Result<Vec<ConflictRow>, ArchiveError> {
    let mut rows = Vec::new();
    let mut told = BTreeSet::new();
    for (uid, taken) in taken.iter().copied() {
        let Some(study) = intake.studies.iter().find(|one| one.study_instance_uid == uid) else { continue };
        for SharedName { sop_instance_uid, other_study_instance_uid: other, .. } in
            service.images.archive.shared_names(taken.study())?
        {
            let pair = (sop_instance_uid, uid.min(other), uid.max(other));
            let file = |study: &StudyIntake| {
                let all = study.series.iter().flat_map(|series| &series.instances);
                all.into_iter()
                    .find(|one| one.instance.sop_instance_uid == sop_instance_uid)
                    .map(|one| one.path.clone())
            };
            if let Some(path) = file(study).filter(|_| told.insert(pair)) {
                let with = intake.studies.iter().find(|one| one.study_instance_uid == other).and_then(file);
                let with = with.unwrap_or_else(|| PathBuf::from(format!("an instance of study {other}")));
                rows.push(ConflictRow { path, with, how: in_both(&uid, &other) });
            }
        }
    }
    Ok(rows)
}

/// Attaches a report to the one study that was taken in, if it is of its patient; to which of several, nobody could say.
fn attach(
    service: &Service,
    intake: &mut Intake,
    report: &Path,
    how: (bool, Timestamp),
) -> Result<AttachedRow, IngestError> {
    let [study] = intake.studies.as_mut_slice() else {
        return Err(IngestError::WhichStudy { report: report.to_owned(), studies: intake.studies.len() });
    };
    let mut patient = study.patient.clone();
    // What came now may say less than what is there already.
    if let Some(known) = service.images.archive.find(&study.study_instance_uid)? {
        patient.fill(&known.patient);
    }
    let images = study.series.iter().flat_map(|series| &series.instances).map(|one| one.path.as_path());
    let sex = sex_in(&*service.images.reader, images);
    let Ready { attachment, row } = ready(service, report, (&patient, sex), how).map_err(IngestError::Report)?;
    study.add(attachment);
    Ok(row)
}
