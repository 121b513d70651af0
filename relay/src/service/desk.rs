//! What the desk does: files taken in, pickups given out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clavicle_imaging::intake::{AttachError, Intake, StudyIntake};
use clavicle_imaging::reason::IntakeError;
use clavicle_imaging::selection::KosError;
use clavicle_ledger::encoding::Text;
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{HOUR_MS, LocalTime, Timestamp};
use clavicle_manifest::{MediaType, Uid};
use clavicle_network::pickup::{PickupCode, Question, Ticket};
use serde::{Deserialize, Serialize};

use super::archive::in_both;
use super::{Service, ServiceError};
use crate::archive::{ArchiveError, Entry, Origin, SharedName, Signer, Taken};
use crate::counter::{are_of_one_patient, studies_of};
use crate::store::pickups::{Listed, State};
use crate::store::{Issue, IssueError, StoreError, Visit};

/// What is to be taken in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IngestRequest {
    /// The folder, as an absolute path.
    #[serde(with = "crate::path::exact")]
    pub folder: PathBuf,
    /// A report that belongs to the one study in it.
    #[serde(with = "crate::path::exact_if_any", default)]
    pub report: Option<PathBuf>,
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
    /// A report that is none.
    #[error("{report} was not attached, and nothing was taken in")]
    Attach {
        /// The report.
        report: PathBuf,
        /// Why.
        #[source]
        error: AttachError,
    },
}

/// A pickup that is to be given out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PickupRequest {
    /// For which studies.
    pub visit: VisitRequest,
    /// The PIN to ask for; the date of birth is asked for without one.
    pub pin: Option<String>,
    /// For how many hours it is good.
    pub hours: u32,
}

/// For which studies a pickup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitRequest {
    /// Those with this Accession Number.
    Accession(String),
    /// Those of the patient with this Patient ID.
    Patient(String),
    /// The one whose id begins like this.
    Study(String),
}

/// A pickup that was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The code, as text.
    pub code: String,
    /// The studies it is for, as of now, by id.
    pub studies: Vec<String>,
    /// What is asked for it: a PIN or the date of birth.
    pub question: String,
    /// Until when, in milliseconds since 1970.
    pub expires_ms: u64,
    /// Earlier pickups for the same visit that are void now.
    pub voided: usize,
}

/// Why no pickup was given out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// See [`IssueError`].
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// See [`KosError`].
    #[error(transparent)]
    Kos(#[from] KosError),
    /// See [`IntakeError`].
    #[error(transparent)]
    Compare(#[from] IntakeError),
    /// A day that is none.
    #[error("a day is written like 2016-01-31")]
    Day,
    /// The quarantine.
    #[error("the quarantine cannot be read")]
    Quarantine(#[source] std::io::Error),
    /// Only looking.
    #[error("this relay runs as a shadow and publishes nothing: start it without --shadow to give out pickups")]
    Shadow,
    /// Nothing to pick up.
    #[error("no such study is in the archive; see `clavicle-relay studies`")]
    NoStudy,
    /// More than one.
    #[error("{0} studies begin like this; give more of the id")]
    Ambiguous(usize),
    /// Several patients under one number.
    #[error("the studies are of more than one patient; give out a pickup for each")]
    OtherPatients,
    /// Nothing to ask.
    #[error("the patient's date of birth is not known; give out a PIN with --pin")]
    NoBirthDate,
    /// A number that cannot be one.
    #[error("the number is empty, longer than DICOM allows, or holds characters that do not show")]
    Number,
    /// This source is not on the ledger.
    #[error("this hospital is not on the ledger")]
    NoSource,
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
}

impl From<StoreError> for DeskError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl Service {
    /// Takes a folder into the archive. `seen` is told, from several threads, how many files were read, and how many there are.
    ///
    /// # Errors
    /// [`IngestError`].
    pub fn ingest(
        &self,
        request: &IngestRequest,
        seen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Ingested, IngestError> {
        self.taking.is_at(0, 0);
        let told = |done, files| {
            self.taking.is_at(done, files);
            seen(done, files);
        };
        // What comes from outside is read by a process that can do nothing else.
        let mut intake = Intake::watched(&request.folder, &*self.reader, &told)?;
        if let Some(report) = &request.report {
            attach(&mut intake, report)?;
        }
        let signer = self.signer();
        let (mut taken, mut refused, mut instances) = (Vec::new(), Vec::new(), 0);
        for study in &intake.studies {
            let conflicts = intake.conflicts_of(&study.study_instance_uid);
            match self.archive.take(study, &conflicts, Origin::Handed, &signer) {
                Ok(one) => {
                    instances += study.instances();
                    taken.push((study.study_instance_uid, one));
                }
                // That one study does not fit costs no other.
                Err(
                    error @ (ArchiveError::OtherPatient { .. }
                    | ArchiveError::Study(_)
                    | ArchiveError::Manifest(_)
                    | ArchiveError::TooLarge(_)),
                ) => {
                    let all = study.series.iter().flat_map(|series| &series.instances);
                    let row = |path: &PathBuf| QuarantinedRow { path: path.clone(), reason: error.on_screen() };
                    refused.extend(all.map(|one| row(&one.path)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let shared = self.shared(&intake, &taken)?;
        let taken: Vec<Taken> = taken.into_iter().map(|(_, taken)| taken).collect();
        // Revisions of studies that somebody holds go to the ledger.
        self.store.note();
        let count = |wanted: fn(&Taken) -> bool| taken.iter().filter(|taken| wanted(taken)).count();
        let conflict = |one: clavicle_imaging::intake::Conflict| ConflictRow {
            path: one.path,
            with: one.with,
            how: one.change.to_string(),
        };
        let quarantined = |one: clavicle_imaging::reason::Quarantined| QuarantinedRow {
            reason: one.reason.on_screen(),
            path: one.path,
        };
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
        })
    }

    /// Instances that were taken and whose names instances of other studies have as well, in the folder or from before. Each pair of studies has a
    /// name once.
    fn shared(&self, intake: &Intake, taken: &[(Uid, Taken)]) -> Result<Vec<ConflictRow>, ArchiveError> {
        let mut rows = Vec::new();
        let mut told = BTreeSet::new();
        for (uid, taken) in taken.iter().copied() {
            let Some(study) = intake.studies.iter().find(|one| one.study_instance_uid == uid) else { continue };
            for SharedName { sop_instance_uid, other_study_instance_uid: other, .. } in
                self.archive.shared_names(taken.study())?
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

    /// With what this relay signs studies, now.
    pub(crate) fn signer(&self) -> Signer<'_> {
        Signer { chain: self.chain, source: self.source, operational: &self.operational, now: (self.clock)().0 }
    }

    /// Gives out a pickup.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn pickup(&self, request: &PickupRequest) -> Result<Issued, DeskError> {
        if self.shadow {
            return Err(DeskError::Shadow);
        }
        let visit = self.visit(&request.visit)?;
        let studies = studies_of(&self.archive, &visit)?;
        if studies.is_empty() {
            return Err(DeskError::NoStudy);
        }
        if !are_of_one_patient(&studies) {
            return Err(DeskError::OtherPatients);
        }
        let (question, answer) = match &request.pin {
            Some(pin) => (Question::Pin, pin.clone()),
            None => {
                let born = studies.iter().find_map(|study| study.patient.birth_date).ok_or(DeskError::NoBirthDate)?;
                (Question::BirthDate, born.to_string())
            }
        };
        let now = LocalTime(self.dated());
        let expires = now.0.plus(u64::from(request.hours).saturating_mul(HOUR_MS));
        let ticket = Ticket(random()?);
        let code = self.code(ticket.clone(), question, expires)?;
        let voided = self.pickups.issue(&ticket, Issue { visit, question, answer: &answer, expires }, now)?;
        let id = |study: &Entry| study.manifest.manifest.header().study.to_string();
        Ok(Issued {
            code: clavicle_wallet::code::to_text(&code),
            studies: studies.iter().map(id).collect(),
            question: match question {
                Question::Pin => "pin".to_owned(),
                Question::BirthDate => "birth_date".to_owned(),
            },
            expires_ms: expires.0,
            voided,
        })
    }

    fn visit(&self, request: &VisitRequest) -> Result<Visit, DeskError> {
        // Studies without a number have nothing in common.
        let number = |text: &str| match text.trim() {
            "" => Err(DeskError::Number),
            text => Text::new(text).map_err(|_| DeskError::Number),
        };
        Ok(match request {
            VisitRequest::Accession(accession) => Visit::Accession(number(accession)?),
            VisitRequest::Patient(patient) => Visit::Patient(number(patient)?),
            VisitRequest::Study(begin) => Visit::Study(self.study_that_begins(begin)?),
        })
    }

    fn code(&self, ticket: Ticket, question: Question, expires: Timestamp) -> Result<PickupCode, DeskError> {
        let (snapshot, head) = (self.store.snapshot()?, self.store.head()?);
        let source = snapshot.source(self.source).map_err(ServiceError::from)?.ok_or(DeskError::NoSource)?;
        let epoch = snapshot.head().map_err(ServiceError::from)?.epoch;
        Ok(PickupCode {
            chain: self.chain,
            source: self.source,
            transfer: source.keys_in(epoch).transfer,
            addresses: source.announced.addresses.iroh,
            ticket,
            question,
            expires,
            checkpoint: Checkpoint::of(&head),
        })
    }
}

fn random() -> Result<[u8; 32], DeskError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(DeskError::Random)?;
    Ok(bytes)
}

/// Attaches a report to the one study that was taken in; to which of several, nobody could say.
fn attach(intake: &mut Intake, report: &Path) -> Result<(), IngestError> {
    let [study] = intake.studies.as_mut_slice() else {
        return Err(IngestError::WhichStudy { report: report.to_owned(), studies: intake.studies.len() });
    };
    let extension = report.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let media_type = match extension.to_lowercase().as_str() {
        "pdf" => MediaType::Pdf,
        "hl7" => MediaType::Hl7V2,
        "json" => MediaType::FhirJson,
        _ => MediaType::Text,
    };
    let attached = study.attach(report, media_type);
    attached.map_err(|error| IngestError::Attach { report: report.to_owned(), error })
}

/// A pickup as the desk sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickupRow {
    /// For which studies.
    pub visit: VisitRequest,
    /// When it was given out, in milliseconds since 1970.
    pub issued_ms: u64,
    /// Until when.
    pub expires_ms: u64,
    /// Wrong answers since the last right one.
    pub wrong: u8,
    /// How it stands: open, claimed, dead, void, expired, or outdated by an upgrade of the relay.
    pub state: String,
}

impl Service {
    /// Every pickup that is kept, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pickups(&self) -> Result<Vec<PickupRow>, StoreError> {
        let mut listed = self.pickups.list((self.clock)())?;
        listed.sort_by_key(|one| std::cmp::Reverse(one.issued));
        Ok(listed.into_iter().map(PickupRow::of).collect())
    }
}

impl PickupRow {
    fn of(listed: Listed) -> Self {
        let Listed { ticket: _, visit, question: _, issued, expires, wrong, state } = listed;
        let state = match state {
            State::Open => "open",
            State::Claimed(_) => "claimed",
            State::Dead => "dead",
            State::Void => "void",
            State::Expired => "expired",
            State::Outdated => "outdated",
        };
        Self {
            visit: match visit {
                Visit::Accession(number) => VisitRequest::Accession(number.to_string()),
                Visit::Patient(id) => VisitRequest::Patient(id.to_string()),
                Visit::Study(id) => VisitRequest::Study(id.to_string()),
            },
            issued_ms: issued.0.0,
            expires_ms: expires.0,
            wrong,
            state: state.to_owned(),
        }
    }

    /// The pickup in a line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { visit, issued_ms, expires_ms, wrong, state } = self;
        let visit = match visit {
            VisitRequest::Accession(number) => format!("accession {number}"),
            VisitRequest::Patient(id) => format!("patient {id}"),
            VisitRequest::Study(id) => format!("study {}", id.get(..12).unwrap_or(id)),
        };
        let (issued, expires) = (Timestamp(*issued_ms).day(), Timestamp(*expires_ms).day());
        let wrong = match wrong {
            0 => String::new(),
            1 => "  1 wrong answer".to_owned(),
            more => format!("  {more} wrong answers"),
        };
        format!("{state:<8} {visit:<32} given out {issued}, good until {expires}{wrong}")
    }
}

/// A study in the archive, as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyRow {
    /// Its id.
    pub study: String,
    /// Study Instance UID.
    pub study_instance_uid: String,
    /// Accession Number.
    pub accession_number: String,
    /// Study Date.
    pub date: Option<String>,
    /// Study Description.
    pub description: String,
    /// The modalities in it.
    pub modalities: String,
    /// Series.
    pub series: usize,
    /// Instances.
    pub instances: usize,
    /// Attachments.
    pub attachments: usize,
    /// Bytes.
    pub bytes: u64,
    /// Whether more is expected.
    pub open: bool,
    /// The manifest's revision.
    pub revision: u32,
    /// Whether somebody holds it, or is about to.
    pub claimed: bool,
}

impl Service {
    /// Every study in the archive.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn studies(&self) -> Result<Vec<StudyRow>, ArchiveError> {
        Ok(self.archive.studies()?.iter().map(StudyRow::of).collect())
    }
}

impl StudyRow {
    fn of(entry: &Entry) -> Self {
        let manifest = &entry.manifest.manifest;
        let (header, counts) = (manifest.header(), manifest.counts());
        let mut modalities: Vec<&str> = manifest.series().iter().map(|series| series.modality.as_str()).collect();
        modalities.sort_unstable();
        modalities.dedup();
        Self {
            study: header.study.to_string(),
            study_instance_uid: header.study_instance_uid.as_str().to_owned(),
            accession_number: entry.accession_number.to_string(),
            date: header.study_date.map(|date| date.to_string()),
            description: header.description.to_string(),
            modalities: modalities.join(" "),
            series: counts.series,
            instances: counts.instances,
            attachments: counts.attachments,
            bytes: counts.bytes,
            open: header.open,
            revision: header.revision,
            claimed: entry.claimed.is_some(),
        }
    }

    /// The study in a line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { study, date, modalities, instances, series, description, claimed, .. } = self;
        let held = if *claimed { "held    " } else { "unclaimed" };
        format!(
            "{}  {:<10}  {modalities:<8} {instances:>5} instances in {series:>3} series  {held:<9}  {description}",
            study.get(..12).unwrap_or(study),
            date.as_deref().unwrap_or("no date"),
        )
    }
}
