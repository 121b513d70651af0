//! `attach`: a report is put into a study that is in the archive, or takes another's place.

use std::path::PathBuf;

use clap::Args;
use clavicle_imaging::intake::Intake;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;

use super::report_files::{AttachedRow, Ready, ReportRefused, ready, sex_in};
use super::reports::{document, images_of, is_document, report_that_begins, rows_of};
use super::studies_named::entry_that_begins;
use super::{Command, NoFolder, NotFound, Operation, short};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::{ArchiveError, Entry, Origin, Taken};
use crate::service::Service;

/// Attach a report to a study: text, .pdf, .hl7, FHIR .json, or a DICOM document (.dcm)
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Attach {
    /// The study: how its id begins
    pub study: String,
    /// The report
    #[serde(with = "crate::path::exact")]
    pub report: PathBuf,
    /// The report whose place it takes: how its digest begins
    #[arg(long, value_name = "REPORT")]
    pub replaces: Option<String>,
    /// Somebody has looked at it, and it is this patient's: for a PDF, and whatever else names nobody that a program could find
    #[arg(long)]
    pub unchecked: bool,
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The study's id.
    pub study: String,
    /// Whether it was there already, and nothing was changed.
    pub known: bool,
    /// The study's revision now.
    pub revision: u32,
    /// The report.
    pub attached: AttachedRow,
}

/// Why nothing was attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachRefused {
    /// Which study.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// See [`ReportRefused`].
    #[error(transparent)]
    Report(#[from] ReportRefused),
    /// Of another study.
    #[error("{report} was not attached: it says that it is of study {said}, and this is study {study}")]
    OtherStudy {
        /// The report.
        report: PathBuf,
        /// What it says.
        said: String,
        /// What was asked.
        study: String,
    },
    /// Not one document.
    #[error("{report} was not attached: {why}")]
    Document {
        /// The report.
        report: PathBuf,
        /// Why.
        why: String,
    },
    /// Images do not come and go as reports do.
    #[error("only a report that is no DICOM document can take another's place: attach this one, and detach the other")]
    Replaces,
    /// None of the study's.
    #[error("the study has no report whose digest begins like this; see `clavicle-relay reports`")]
    NoReport,
}

impl Refusing for AttachRefused {
    fn code(&self) -> &str {
        match self {
            Self::NotFound(error) => error.code(),
            Self::Archive(error) => error.code(),
            Self::Report(error) => error.code(),
            Self::OtherStudy { .. } | Self::Document { .. } | Self::Replaces | Self::NoReport => "report",
        }
    }
}

impl Operation for Attach {
    const WORD: &'static str = "attach";

    type On = Service;
    type Answer = Attached;
    type Error = AttachRefused;

    fn work(self, service: &Service) -> Result<Attached, AttachRefused> {
        let archive = &service.images.archive;
        let entry = entry_that_begins(archive, &self.study)?;
        let manifest = &entry.manifest.manifest;
        let id = manifest.header().study;
        let signer = service.member.signer((service.clock)().0);
        let replaced = match &self.replaces {
            None => None,
            Some(begin) => Some(report_that_begins(&entry, begin).ok_or(AttachRefused::NoReport)?),
        };
        if self.report.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dcm")) {
            if replaced.is_some() {
                return Err(AttachRefused::Replaces);
            }
            return self.document(service, &entry);
        }
        let images = images_of(archive, &entry);
        let sex = sex_in(&*service.images.reader, images.iter().map(PathBuf::as_path));
        let Ready { attachment, row } =
            ready(service, &self.report, (&entry.patient, sex), (self.unchecked, signer.now))?;
        let is_new = archive.change_reports(id, replaced.as_slice(), std::slice::from_ref(&attachment), &signer)?;
        if is_new {
            let gone = replaced.map(|report| report.to_string()).unwrap_or_default();
            info!(
                study = short(&id.to_string()),
                report = short(&row.digest),
                replaces = short(&gone),
                "a report was attached"
            );
        }
        // A revision of a study that somebody holds goes to the ledger.
        service.store.note();
        let revision = archive.entry(id)?.map_or(0, |entry| entry.manifest.manifest.header().revision);
        Ok(Attached { study: id.to_string(), known: !is_new, revision, attached: row })
    }
}

impl Attach {
    /// Takes a DICOM document in, which is an instance of the study it says it is of.
    fn document(self, service: &Service, entry: &Entry) -> Result<Attached, AttachRefused> {
        let Self { report, .. } = self;
        let header = entry.manifest.manifest.header();
        let intake = Intake::of_files(vec![report.clone()], &*service.images.reader);
        let [study] = intake.studies.as_slice() else {
            let why =
                intake.quarantined.first().map_or_else(|| "it is no instance".to_owned(), |one| one.reason.on_screen());
            return Err(AttachRefused::Document { report, why });
        };
        let all: Vec<_> = study.series.iter().flat_map(|series| &series.instances).map(|one| &one.instance).collect();
        if !all.iter().all(|one| is_document(one)) {
            let why = "it is no document: images are taken in by `clavicle-relay ingest`".to_owned();
            return Err(AttachRefused::Document { report, why });
        }
        if study.study_instance_uid != header.study_instance_uid {
            let (said, study) = (study.study_instance_uid.to_string(), header.study_instance_uid.to_string());
            return Err(AttachRefused::OtherStudy { report, said, study });
        }
        let archive = &service.images.archive;
        let images = images_of(archive, entry);
        let sex = sex_in(&*service.images.reader, images.iter().map(PathBuf::as_path));
        let unread = || AttachRefused::Document { report: report.clone(), why: "it cannot be read".to_owned() };
        let content = document(&*service.images.reader, &report).ok_or_else(unread)?;
        super::report_files::check(&content, &report, &entry.patient, sex)?;
        let signer = service.member.signer((service.clock)().0);
        let taken = archive.take(study, &[], Origin::Handed, &signer)?;
        service.store.note();
        let now = archive.entry(header.study)?.ok_or(ArchiveError::Unknown)?;
        let stored = all.first().map(|one| one.stored.to_string());
        let attached = rows_of(service, &now).into_iter().find(|row| Some(&row.digest) == stored.as_ref());
        // Another of the same name was there first.
        let attached = attached.ok_or_else(|| AttachRefused::Document {
            report: report.clone(),
            why: "the study has other bytes under its SOP Instance UID; see `clavicle-relay contradictions`".to_owned(),
        })?;
        let known = matches!(taken, Taken::Known(_));
        Ok(Attached {
            study: header.study.to_string(),
            known,
            revision: now.manifest.manifest.header().revision,
            attached,
        })
    }
}

impl Command for Attach {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(Self { report: NoFolder::or(&arguments.report)?, ..arguments.clone() })
    }

    fn say(_: &Self, done: Attached) -> Result<Answer, Failure> {
        let Attached { study, known, revision, attached } = &done;
        let fate = if *known { "was there already" } else { "attached" };
        let text = format!("{}\n{fate}; study {}, revision {revision}", attached.line(), short(study));
        Ok(Answer { text, json: json!(done) })
    }
}
