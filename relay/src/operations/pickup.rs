//! `pickup`: the desk gives out the code with which a patient takes hold of the studies of a visit.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use clavicle_command::file::{Readers, is_free, path_text, write_new};
use clavicle_command::given::{Given, Kind};
use clavicle_command::said::many;
use clavicle_dicom::facts::Patient;
use clavicle_ledger::encoding::{self, Text};
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::{HOUR_MS, LocalTime, Timestamp};
use clavicle_letters::pickup::{PickupCode, Question, Ticket};
use clavicle_letters::random::random;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::confirmed::{ListDigest, is_confirmed};
use super::studies::{PatientRow, StudyRow};
use super::studies_named::study_that_begins;
use super::{Command, NotFound, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::{ArchiveError, Catalogued};
use crate::counter::{are_of_one_patient, studies_of};
use crate::service::{Service, ServiceError};
use crate::store::{Issue, IssueError, StoreError, Visit};

/// Give out a pickup: the code with which a patient takes hold of the studies of a visit
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("visit").required(true)))]
pub struct PickupArguments {
    /// For the studies with this Accession Number
    #[command(flatten)]
    accession: Given<AccessionKind>,
    /// For the studies of the patient with this Patient ID
    #[command(flatten)]
    patient: Given<PatientKind>,
    /// For the study whose id begins like this
    #[arg(long, group = "visit")]
    study: Option<String>,
    /// The PIN to ask for
    #[command(flatten)]
    pin: Given<PinKind>,
    /// For how many hours the code is good
    #[arg(long, default_value_t = 72, value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
    /// The picture to write the code into; it holds the ticket, so give it to nobody but the patient
    #[arg(long)]
    png: Option<PathBuf>,
    /// This is the patient, and these are the studies: the digest that is said with them when the code is asked for with a Patient ID
    #[arg(long, value_name = "DIGEST")]
    confirm: Option<String>,
    /// Give the code out unseen: for programs that have made sure of the patient by themselves
    #[arg(long, conflicts_with = "confirm")]
    unseen: bool,
}

/// The number of a visit.
#[derive(Debug)]
pub enum AccessionKind {}

impl Kind for AccessionKind {
    const ARGUMENT: Option<&'static str> = Some("accession");
    const FILE: &'static str = "accession-file";
    const FD: &'static str = "accession-fd";
    const WHAT: &'static str = "the Accession Number";
    const HELP: &'static str = "For the studies with this Accession Number";
    const GROUP: Option<&'static str> = Some("visit");
}

/// Whose the studies are.
#[derive(Debug)]
pub enum PatientKind {}

impl Kind for PatientKind {
    const ARGUMENT: Option<&'static str> = Some("patient");
    const FILE: &'static str = "patient-file";
    const FD: &'static str = "patient-fd";
    const WHAT: &'static str = "the Patient ID";
    const HELP: &'static str = "For the studies of the patient with this Patient ID";
    const GROUP: Option<&'static str> = Some("visit");
}

/// What whoever comes with the code is asked for.
#[derive(Debug)]
pub enum PinKind {}

impl Kind for PinKind {
    const ARGUMENT: Option<&'static str> = Some("pin");
    const FILE: &'static str = "pin-file";
    const FD: &'static str = "pin-fd";
    const WHAT: &'static str = "the PIN";
    const HELP: &'static str =
        "The PIN to ask for, told to the patient apart from the code; without it the date of birth is asked for";
}

/// A pickup that is to be given out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pickup {
    /// For which studies.
    pub visit: VisitRequest,
    /// The PIN to ask for; the date of birth is asked for without one.
    pub pin: Option<String>,
    /// For how many hours it is good.
    pub hours: u32,
    /// Whether somebody has seen whom the code is for. A Patient ID is one digit away from another person's, so that nothing is given out for one
    /// before its patient and their studies were looked at.
    #[serde(default)]
    pub seen: Seen,
}

/// Whether somebody has seen the patient and the studies that a code is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Not yet.
    #[default]
    No,
    /// Those that have this digest.
    Digest(String),
    /// It does not matter.
    Unseen,
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

/// Whom a pickup is for, and the pickup, if it was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickupAnswer {
    /// Who the studies are about.
    pub patient: PatientRow,
    /// The studies it is for, as of now, the newest first.
    pub listed: Vec<StudyRow>,
    /// A digest of both.
    pub digest: String,
    /// What was given out; nothing before that was looked at.
    #[serde(flatten)]
    pub issued: Option<Issued>,
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
pub enum PickupError {
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Which study.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// See [`IssueError`].
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Only looking.
    #[error("this relay runs as a shadow and publishes nothing: start it without --shadow to give out pickups")]
    Shadow,
    /// Nothing to pick up.
    #[error("no such study is in the archive; see `clavicle-relay studies`")]
    NoStudy,
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

impl Refusing for PickupError {
    fn code(&self) -> &str {
        match self {
            Self::Archive(_) | Self::NotFound(NotFound::Archive(_)) => "archive",
            _ => "pickup",
        }
    }
}

/// Why the picture of a pickup was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PngError {
    /// A name that something has.
    #[error("{path} cannot be written; no pickup was given out")]
    Taken {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A picture that could not be written.
    #[error("{path} could not be written; the pickup was given out all the same, and a new one voids it")]
    Picture {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

impl Refusing for PngError {
    fn code(&self) -> &str {
        "file"
    }
}

impl Operation for Pickup {
    const WORD: &'static str = "pickup";

    type On = Service;
    type Answer = PickupAnswer;
    type Error = PickupError;

    fn work(self, service: &Service) -> Result<PickupAnswer, PickupError> {
        if service.shadow {
            return Err(PickupError::Shadow);
        }
        let visit = visit_of(service, &self.visit)?;
        let mut studies = studies_of(&service.images.archive, &visit)?;
        studies.sort_by_key(|study| Reverse(study.study_date));
        if studies.is_empty() {
            return Err(PickupError::NoStudy);
        }
        if !are_of_one_patient(&studies) {
            return Err(PickupError::OtherPatients);
        }
        let (question, answer) = match &self.pin {
            Some(pin) => (Question::Pin, pin.clone()),
            None => {
                let born = studies.iter().find_map(|study| study.patient.birth_date).ok_or(PickupError::NoBirthDate)?;
                (Question::BirthDate, born.to_string())
            }
        };
        let mut patient = Patient::default();
        studies.iter().for_each(|study| patient.fill(&study.patient));
        let digest = digest_of(&patient, &studies);
        let listed = StudyRow::of_all(service, &studies)?;
        let mut shown = PickupAnswer { patient: PatientRow::of(&patient), listed, digest, issued: None };
        let is_seen = match &self.seen {
            Seen::Unseen => true,
            Seen::Digest(given) => is_confirmed(Some(given), &shown.digest),
            // A visit's number and a study's id are no person's.
            Seen::No => !matches!(visit, Visit::Patient(_)),
        };
        if !is_seen {
            return Ok(shown);
        }
        let now = LocalTime(service.timekeeper.dated(&service.store));
        let expires = now.0.plus(u64::from(self.hours).saturating_mul(HOUR_MS));
        let ticket = Ticket(random().map_err(PickupError::Random)?);
        let code = code_of(service, ticket.clone(), question, expires)?;
        let voided =
            service.records.pickups.issue(&ticket, Issue { visit, question, answer: &answer, expires }, now)?;
        shown.issued = Some(Issued {
            code: clavicle_letters::code::to_text(&code),
            studies: studies.iter().map(|one| one.study.to_string()).collect(),
            question: match question {
                Question::Pin => "pin".to_owned(),
                Question::BirthDate => "birth_date".to_owned(),
            },
            expires_ms: expires.0,
            voided,
        });
        Ok(shown)
    }
}

/// A digest of whom a code would be for, and of what: whoever confirms it has seen these, and no others.
pub(super) fn digest_of(patient: &Patient, studies: &[Catalogued]) -> String {
    let mut digest = ListDigest::new();
    digest.add([blake3::hash(&encoding::encode(patient)).as_bytes()]);
    for study in studies {
        digest.add([study.study.as_bytes()]);
    }
    digest.finish()
}

impl Command for Pickup {
    type Arguments = PickupArguments;

    fn request(arguments: &PickupArguments) -> Result<Self, Failure> {
        let PickupArguments { accession, patient, study, pin, hours, png, confirm, unseen } = arguments;
        let text = |given: Zeroizing<String>| given.to_string();
        let accession = accession.get()?.map(text).map(VisitRequest::Accession);
        let visit = match accession {
            Some(visit) => Some(visit),
            None => patient.get()?.map(text).map(VisitRequest::Patient),
        };
        let visit = visit.or(study.clone().map(VisitRequest::Study)).expect("the arguments name one visit");
        let pin = pin.get()?.map(text);
        if let Some(path) = png {
            // Before there is a code: one that cannot be written down would void the one before it.
            is_free(path).map_err(|error| PngError::Taken { path: path.clone(), error })?;
        }
        let seen = match confirm {
            Some(digest) => Seen::Digest(digest.clone()),
            None if *unseen => Seen::Unseen,
            None => Seen::No,
        };
        Ok(Self { visit, pin, hours: *hours, seen })
    }

    fn say(
        PickupArguments { hours, png, confirm, .. }: &PickupArguments,
        answer: PickupAnswer,
    ) -> Result<Answer, Failure> {
        let mut json = json!(answer);
        let PickupAnswer { patient, listed, digest, issued } = &answer;
        let mut lines = vec![patient.to_string()];
        lines.extend(listed.iter().map(|row| format!("  {}", row.line())));
        let Some(issued) = issued else {
            let given = confirm.as_ref().map(|given| format!(" What was found is not {given}, or not any more."));
            let sentence = format!(
                "no code was given out.{} If this is the patient who is to have it, and these are the studies, ask once more with `--confirm {digest}`",
                given.unwrap_or_default()
            );
            let answer = Answer { text: lines.join("\n"), json };
            return Err(Failure::Found { code: "confirm", sentence, answer: Box::new(answer) });
        };
        let shown = match png {
            None => issued.code.clone(),
            Some(path) => {
                draw(&issued.code, path)?;
                json["png"] = json!(path_text(path));
                format!("the code is in {}", path.display())
            }
        };
        let Issued { studies, question, voided, .. } = issued;
        let asked =
            if question == "pin" { "the PIN, to be told apart from the code" } else { "the patient's date of birth" };
        lines.push(format!(
            "a pickup for {}, good for {}; asks for {asked}",
            many(studies.len(), "study", "studies"),
            many(*hours, "hour", "hours")
        ));
        // Such a code still lets a wallet in that was away for long, and so it is given out.
        let kept_back = listed.iter().filter(|row| !row.is_handed_over()).count();
        if kept_back > 0 {
            lines.push(format!(
                "not handed over by it, while somebody holds it or it is not served: {kept_back} of them"
            ));
        }
        json["not_handed_over"] = json!(kept_back);
        if *voided > 0 {
            lines.push(format!(
                "{} void now",
                many(*voided, "earlier pickup for the same visit is", "earlier pickups for the same visit are")
            ));
        }
        lines.push(shown);
        Ok(Answer { text: lines.join("\n"), json })
    }
}

/// Writes the code into a picture.
pub(super) fn draw(code: &str, path: &Path) -> Result<(), Failure> {
    let picture = clavicle_letters::code::to_png(code)?;
    // It holds the ticket.
    let written = write_new(path, &picture, Readers::Owner);
    Ok(written.map_err(|error| PngError::Picture { path: path.to_owned(), error })?)
}

/// A number that studies have in common: those without one have nothing.
pub(super) fn number_of(text: &str) -> Result<Text<256>, PickupError> {
    match text.trim() {
        "" => Err(PickupError::Number),
        text => Text::new(text).map_err(|_| PickupError::Number),
    }
}

fn visit_of(service: &Service, request: &VisitRequest) -> Result<Visit, PickupError> {
    Ok(match request {
        VisitRequest::Accession(accession) => Visit::Accession(number_of(accession)?),
        VisitRequest::Patient(patient) => Visit::Patient(number_of(patient)?),
        VisitRequest::Study(begin) => Visit::Study(study_that_begins(&service.images.archive, begin)?),
    })
}

pub(super) fn code_of(
    service: &Service,
    ticket: Ticket,
    question: Question,
    expires: Timestamp,
) -> Result<PickupCode, PickupError> {
    let (snapshot, head) = (service.store.snapshot()?, service.store.head()?);
    let source = snapshot.source(service.member.source)?.ok_or(PickupError::NoSource)?;
    let epoch = snapshot.head()?.epoch;
    Ok(PickupCode {
        chain: service.member.chain,
        source: service.member.source,
        transfer: source.keys_in(epoch).transfer,
        addresses: source.announced.addresses.iroh,
        ticket,
        question,
        expires,
        checkpoint: Checkpoint::of(&head),
    })
}
