//! `ingest`: a folder of files goes into the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use clavicle_command::said::many;
use clavicle_imaging::accounting::{Accounting, FileFate, FileRow};
use clavicle_imaging::intake::{Conflict, Intake, StudyIntake};
use clavicle_imaging::reason::IntakeError;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::Uid;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::report_files::{AttachedRow, Ready, ReportRefused, ready, sex_in};
use super::studies_named::in_both;
use super::{Command, NoFolder, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::{Archive, ArchiveError, Contradiction, Origin, SharedName, Taken};
use crate::service::Service;

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
    /// Instances that the archive has now.
    pub instances: usize,
    /// What became of each file of the folder.
    pub accounting: Accounting,
    /// What is not in order in files that were taken all the same.
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
        let (mut taken, mut instances, mut accounting) = (Vec::new(), 0, intake.accounting());
        for study in &intake.studies {
            let conflicts = intake.conflicts_of(&study.study_instance_uid);
            match service.images.archive.take(study, &conflicts, Origin::Handed, &signer) {
                Ok(one) => {
                    instances += study.instances();
                    contradicted(&service.images.archive, study, (&conflicts, one), &mut accounting)?;
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
                    for one in study.series.iter().flat_map(|series| &series.instances) {
                        accounting.put_back(FileRow::new(&one.path, FileFate::Refused, error.on_screen()));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        // The archive knows of these pairs, and of those with studies from before.
        accounting.besides.retain(|row| row.fate != FileFate::Contradicts);
        accounting.besides.extend(shared(&service.images.archive, &intake, &taken)?);
        let taken: Vec<Taken> = taken.into_iter().map(|(_, taken)| taken).collect();
        // Revisions of studies that somebody holds go to the ledger.
        service.store.note();
        let count = |wanted: fn(&Taken) -> bool| taken.iter().filter(|taken| wanted(taken)).count();
        let repairs = intake.repairs().into_iter();
        Ok(Ingested {
            studies: taken.iter().map(|taken| taken.study().to_string()).collect(),
            new: count(|taken| matches!(taken, Taken::New(_))),
            grown: count(|taken| matches!(taken, Taken::Grown(_))),
            instances,
            accounting,
            repairs: repairs.map(|(repair, files)| RepairRow { what: repair.to_string(), files }).collect(),
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
        let Ingested { studies, new, grown, instances, accounting, repairs, attached } = &ingested;
        let mut lines = vec![
            format!(
                "{} ({new} new, {grown} grown), {}",
                many(studies.len(), "study", "studies"),
                many(*instances, "instance", "instances")
            ),
            accounting.summary("taken"),
        ];
        lines.extend(attached.iter().map(|row| format!("report       {}", row.line())));
        lines.extend(accounting.lines());
        lines.extend(
            repairs
                .iter()
                .map(|one| format!("{:<12} {} although {}", "taken", many(one.files, "file", "files"), one.what)),
        );
        let answer = Answer { text: lines.join("\n"), json: json!(ingested) };
        Failure::unless_all(accounting.shortfall("taken"), "not_taken", answer)
    }
}

/// Puts those files of a study that was taken back in the accounting of which the archive has another instance from before.
fn contradicted(
    archive: &Archive,
    study: &StudyIntake,
    (conflicts, taken): (&[Conflict], Taken),
    accounting: &mut Accounting,
) -> Result<(), ArchiveError> {
    // Of two that differ the folder has the first for the instance. Where the archive has the other one, that one contradicts nothing.
    let entry = archive.entry(taken.study())?;
    let listed: BTreeSet<_> =
        entry.iter().flat_map(|entry| entry.manifest.manifest.instances()).map(|one| one.stored).collect();
    for one in conflicts.iter().filter(|one| listed.contains(&one.instance.stored)) {
        accounting.take_after_all(&one.path);
    }
    let other: BTreeMap<_, _> = archive.contradictions(taken.study())?.into_iter().collect();
    if other.is_empty() {
        return Ok(());
    }
    let entry = archive.entry(taken.study())?;
    let listed = entry.iter().flat_map(|entry| entry.manifest.manifest.instances());
    let listed: BTreeSet<_> = listed.map(|instance| instance.stored).collect();
    for one in study.series.iter().flat_map(|series| &series.instances) {
        if let Some(Contradiction { how, .. }) = other.get(&one.instance.stored)
            && !listed.contains(&one.instance.stored)
        {
            let of = format!("an instance of study {} in the archive", study.study_instance_uid);
            let why = format!("the same SOP Instance UID as {of} ({how}); both are kept");
            accounting.put_back(FileRow::beside(&one.path, FileFate::Conflict, of, why));
        }
    }
    Ok(())
}

/// Instances that were taken and whose names instances of other studies have as well, in the folder or from before. Each pair of studies has a
/// name once.
fn shared(archive: &Archive, intake: &Intake, taken: &[(Uid, Taken)]) -> Result<Vec<FileRow>, ArchiveError> {
    let mut rows = Vec::new();
    let mut told = BTreeSet::new();
    for (uid, taken) in taken.iter().copied() {
        let Some(study) = intake.studies.iter().find(|one| one.study_instance_uid == uid) else { continue };
        for SharedName { sop_instance_uid, other_study_instance_uid: other, .. } in
            archive.shared_names(taken.study())?
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
                let of =
                    with.map_or_else(|| format!("an instance of study {other}"), |with| with.display().to_string());
                rows.push(FileRow::beside(path, FileFate::Contradicts, of, in_both(&uid, &other)));
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
