//! Reports as an operator hands them in: read somewhere harmless, and held against who the study is about, before anything is attached.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use clavicle_dicom::facts::{Patient, PatientDifference};
use clavicle_dicom::rewrite::Sex;
use clavicle_imaging::intake::{AttachError, AttachmentIntake};
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::{MediaType, StoredDigest};
use clavicle_reports::{ReportContent, ReportError, Stage, dated};
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::Reader;
use serde::{Deserialize, Serialize};

use crate::answer::Refusing;
use crate::service::Service;

/// How many instances are asked of what sex the patient is, before it is taken to be unsaid.
const ASKED: usize = 4;

/// Why a report is not attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportRefused {
    /// It cannot be taken.
    #[error("{report} was not attached")]
    Attach {
        /// Which.
        report: PathBuf,
        /// Why.
        #[source]
        error: AttachError,
    },
    /// It cannot be read.
    #[error("{report} was not attached: it cannot be read")]
    Unread {
        /// Which.
        report: PathBuf,
        /// Why.
        #[source]
        error: ReadError,
    },
    /// It is not what it is said to be.
    #[error("{report} was not attached")]
    Content {
        /// Which.
        report: PathBuf,
        /// Why.
        #[source]
        error: ReportError,
    },
    /// It is somebody else's.
    #[error("{report} was not attached: it is about another patient than the study. {}", Differences(.differences))]
    OtherPatient {
        /// Which.
        report: PathBuf,
        /// In what.
        differences: Vec<PatientDifference>,
    },
    /// Nobody can tell whose it is.
    #[error(
        "{report} was not attached: whom it is about cannot be told from it{}. Look at it, and if it is this patient's, say so with --unchecked",
        because(.is_pdf)
    )]
    NotTold {
        /// Which.
        report: PathBuf,
        /// Whether it is one that never says.
        is_pdf: bool,
    },
    /// It takes another back.
    #[error(
        "{report} was not attached: it says of itself that it takes a report back. If that is one of this study's, `clavicle-relay detach` takes it out"
    )]
    Withdrawn {
        /// Which.
        report: PathBuf,
    },
}

impl Refusing for ReportRefused {
    fn code(&self) -> &str {
        match self {
            Self::OtherPatient { .. } => "other_patient",
            Self::NotTold { .. } => "unchecked",
            Self::Attach { .. } | Self::Unread { .. } | Self::Content { .. } | Self::Withdrawn { .. } => "report",
        }
    }
}

const fn because(is_pdf: &bool) -> &'static str {
    if *is_pdf { ", since a PDF has no attributes that say so" } else { "" }
}

/// In what a study and a report contradict each other.
struct Differences<'a>(&'a [PatientDifference]);

impl fmt::Display for Differences<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, PatientDifference { what, one, other }) in self.0.iter().enumerate() {
            let before = if at > 0 { "; " } else { "" };
            write!(f, "{before}{what} is “{one}” in the study and “{other}” in the report")?;
        }
        Ok(())
    }
}

/// A report that was attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedRow {
    /// A digest of its bytes.
    pub digest: String,
    /// What it is called.
    pub title: String,
    /// What it is: text, PDF, HL7, FHIR, or a DICOM document.
    pub kind: String,
    /// When it was written, as it says, or else when it was attached.
    pub written: Option<String>,
    /// What it is to earlier ones, as it says.
    pub stage: String,
    /// Whether it was held against who the study is about. If not, it names nobody in a way that a program could find.
    pub checked: bool,
}

impl AttachedRow {
    /// The report in a line for a person.
    pub(super) fn line(&self) -> String {
        let Self { digest, title, kind, written, stage, checked } = self;
        let short = super::short(digest);
        let unchecked = if *checked { "" } else { "  (not checked: it names nobody that a program could find)" };
        format!("{short}  {:<16}  {kind:<4}  {stage:<19}  {title}{unchecked}", written.as_deref().unwrap_or("no date"))
    }
}

/// What a kind of report is called.
pub(super) const fn kind(media_type: MediaType) -> &'static str {
    match media_type {
        MediaType::Text => "text",
        MediaType::Pdf => "PDF",
        MediaType::Hl7V2 => "HL7",
        MediaType::FhirJson => "FHIR",
    }
}

/// What a file is, by its name.
pub(super) fn media_type_of(report: &Path) -> MediaType {
    let extension = report.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_lowercase().as_str() {
        "pdf" => MediaType::Pdf,
        "hl7" => MediaType::Hl7V2,
        "json" => MediaType::FhirJson,
        _ => MediaType::Text,
    }
}

/// Of what sex the images say that the patient is.
pub(super) fn sex_in<'a>(reader: &dyn Reader, images: impl Iterator<Item = &'a Path>) -> Option<Sex> {
    let mut opened = images.take(ASKED).filter_map(|path| File::open(path).ok());
    opened.find_map(|file| reader.demographics(&file).ok()?.sex)
}

/// What is to be attached, and what it says.
pub(super) struct Ready {
    pub(super) attachment: AttachmentIntake,
    pub(super) row: AttachedRow,
}

/// Reads a report and holds it against who a study is about. With `unchecked` somebody has looked at one of which that cannot be told; what contradicts
/// the study is refused in any case.
pub(super) fn ready(
    service: &Service,
    report: &Path,
    (study, sex): (&Patient, Option<Sex>),
    (unchecked, now): (bool, Timestamp),
) -> Result<Ready, ReportRefused> {
    let media_type = media_type_of(report);
    let path = || report.to_owned();
    let mut attachment =
        AttachmentIntake::of(report, media_type).map_err(|error| ReportRefused::Attach { report: path(), error })?;
    let content = content(&*service.images.reader, report, media_type)
        .map_err(|error| ReportRefused::Unread { report: path(), error })?
        .map_err(|error| ReportRefused::Content { report: path(), error })?;
    let checked = check(&content, report, study, sex)?;
    // A text says whose it is to whoever reads it, and always was taken.
    if !checked && !unchecked && media_type != MediaType::Text {
        return Err(ReportRefused::NotTold { report: path(), is_pdf: media_type == MediaType::Pdf });
    }
    if content.stage == Stage::Withdrawn {
        return Err(ReportRefused::Withdrawn { report: path() });
    }
    if content.written.is_none() {
        let title = dated(attachment.attachment.title.as_str(), &now.day().to_string());
        attachment.attachment.title = clavicle_dicom::facts::shown(title);
    }
    let row =
        row(&attachment.attachment.stored, attachment.attachment.title.as_str(), media_type, Some(&content), checked);
    Ok(Ready { attachment, row })
}

/// Whether a report could be held against who a study is about.
///
/// # Errors
/// [`ReportRefused::OtherPatient`].
pub(super) fn check(
    content: &ReportContent,
    report: &Path,
    study: &Patient,
    sex: Option<Sex>,
) -> Result<bool, ReportRefused> {
    let mut is_told = !content.persons.is_empty();
    for person in &content.persons {
        let held = person.against(study, sex);
        if !held.differences.is_empty() {
            return Err(ReportRefused::OtherPatient { report: report.to_owned(), differences: held.differences });
        }
        is_told &= held.is_told;
    }
    Ok(is_told)
}

/// What a report says.
pub(super) fn content(
    reader: &dyn Reader,
    path: &Path,
    media_type: MediaType,
) -> Result<Result<ReportContent, ReportError>, ReadError> {
    reader.read_report(&File::open(path).map_err(ReadError::Io)?, media_type)
}

/// How a report is listed.
pub(super) fn row(
    stored: &StoredDigest,
    title: &str,
    media_type: MediaType,
    content: Option<&ReportContent>,
    checked: bool,
) -> AttachedRow {
    AttachedRow {
        digest: stored.to_string(),
        title: title.to_owned(),
        kind: kind(media_type).to_owned(),
        written: clavicle_reports::when(content, title).map(|when| when.to_string()),
        stage: content.map(|content| content.stage).unwrap_or_default().to_string(),
        checked,
    }
}
