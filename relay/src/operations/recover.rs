//! `recover`: the desk gives studies back to a patient who has lost the key; two of the staff decide.
//!
//! The code that it gives out is for `clavicle wallet recover`, and for nothing else: with it a new wallet has the hospital ask on the ledger, and,
//! once the time for a veto is over, complete it. Whoever has the key can veto until then.

use std::cmp::Reverse;
use std::io;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use clavicle_command::file::{is_free, path_text};
use clavicle_command::given::{Given, Kind};
use clavicle_command::said::many;
use clavicle_dicom::facts::Patient;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::study::Deed;
use clavicle_ledger::time::{HOUR_MS, LocalTime};
use clavicle_letters::pickup::{Question, Ticket};
use clavicle_letters::random::random;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::confirmed::is_confirmed;
use super::pickup::{PatientKind, PickupError, PngError, code_of, digest_of, draw, number_of};
use super::quarantine_named::{Because, QuarantineError};
use super::studies::{PatientRow, StudyRow};
use super::studies_named::study_that_begins;
use super::{Command, NotFound, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::ArchiveError;
use crate::counter::{are_of_one_patient, studies_of};
use crate::ending::of_io;
use crate::recoveries::{RecoveryAct, RecoveryLine};
use crate::service::{Service, ServiceError};
use crate::store::pickups::{Agreed, MAX_AGREED};
use crate::store::{Issue, IssueError, StoreError, Visit};

/// Give studies back to a patient who has lost the key: a code with which another wallet asks for them; two of the staff decide
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("visit").required(true)))]
pub struct RecoverArguments {
    /// The studies of the patient with this Patient ID
    #[command(flatten)]
    patient: Given<PatientKind>,
    /// The study whose id begins like this
    #[arg(long, group = "visit")]
    study: Option<String>,
    /// The PIN to ask for
    #[command(flatten)]
    pin: Given<RecoveryPinKind>,
    /// Who decides, and why: how it was made sure that this is the patient.
    #[command(flatten)]
    because: Because,
    /// For how many hours the code is good: the wallet comes twice with it, and three days lie between
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
    /// The picture to write the code into; it holds the ticket, so give it to nobody but the patient
    #[arg(long)]
    png: Option<PathBuf>,
    /// Another has proposed it, and I have made sure of the patient, too: the digest that was said then
    #[arg(long, value_name = "DIGEST")]
    confirm: Option<String>,
}

/// What whoever comes with the code is asked for.
#[derive(Debug)]
pub enum RecoveryPinKind {}

impl Kind for RecoveryPinKind {
    const ARGUMENT: Option<&'static str> = Some("pin");
    const FILE: &'static str = "pin-file";
    const FD: &'static str = "pin-fd";
    const WHAT: &'static str = "the PIN";
    const HELP: &'static str = "The PIN to ask for, told to the patient apart from the code";
}

/// Studies that are to be given back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recover {
    /// Whose, or which.
    pub of: RecoverRequest,
    /// The PIN to ask for.
    pub pin: Option<String>,
    /// Who decides, and why.
    pub because: Because,
    /// For how many hours the code is good.
    pub hours: u32,
    /// What another has proposed; nothing, to propose it.
    pub confirm: Option<String>,
}

/// Whose studies are to be given back, or which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoverRequest {
    /// Those of the patient with this Patient ID.
    Patient(String),
    /// The one whose id begins like this.
    Study(String),
}

/// Whom it is about, and the code, if one was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverAnswer {
    /// Who the studies are about.
    pub patient: PatientRow,
    /// The studies, the newest first: those that somebody holds.
    pub listed: Vec<StudyRow>,
    /// A digest of both.
    pub digest: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// The code, as text; nothing before another has agreed.
    pub code: Option<String>,
    /// Until when it is good, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

/// Why nothing is given back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
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
    /// See [`PickupError`].
    #[error(transparent)]
    Pickup(#[from] PickupError),
    /// No reason, or nobody's name.
    #[error(transparent)]
    Reason(#[from] QuarantineError),
    /// The record.
    #[error("the record of what was given back, {path}, cannot be read or written; nothing was done")]
    Record {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Nothing that anybody holds.
    #[error(
        "none of these studies has a holder from whom it could be recovered, or all of them are withdrawn or frozen: what nobody holds is given out with \
         `clavicle-relay pickup`"
    )]
    NothingHeld,
    /// Several patients under one number.
    #[error("the studies are of more than one patient; recover each study by itself, with --study")]
    OtherPatients,
    /// No PIN.
    #[error("a code that takes a study from a key asks for a PIN: give --pin-file, or --pin - to be asked")]
    NoPin,
    /// Something else than was proposed.
    #[error(
        "nobody has proposed {0} in the last day, or it was agreed to already: propose it first, without --confirm"
    )]
    NotProposed(String),
    /// What was proposed is not what there is.
    #[error(
        "what was found is not {0}, or not any more: look again at the patient and the studies, and propose it anew"
    )]
    OtherList(String),
    /// One person alone.
    #[error(
        "{0} has proposed this: another of the staff has to make sure of the patient and agree, with --by and their own name"
    )]
    SamePerson(String),
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
}

impl Refusing for RecoverError {
    fn code(&self) -> &str {
        match self {
            Self::Archive(_) | Self::NotFound(NotFound::Archive(_)) => "archive",
            Self::Reason(error) => error.code(),
            Self::Record { .. } => "record",
            Self::SamePerson(_) | Self::NotProposed(_) | Self::OtherList(_) => "confirm",
            _ => "recover",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Record { error, .. } => of_io(error),
            _ => 1,
        }
    }
}

impl Operation for Recover {
    const WORD: &'static str = "recover";

    type On = Service;
    type Answer = RecoverAnswer;
    type Error = RecoverError;

    fn work(self, service: &Service) -> Result<RecoverAnswer, RecoverError> {
        if service.shadow {
            return Err(PickupError::Shadow.into());
        }
        let visit = match &self.of {
            RecoverRequest::Patient(id) => Visit::RecoverPatient(number_of(id)?),
            RecoverRequest::Study(begin) => Visit::RecoverStudy(study_that_begins(&service.images.archive, begin)?),
        };
        let mut studies = studies_of(&service.images.archive, &visit)?;
        let snapshot = service.store.snapshot()?;
        let head = snapshot.head()?;
        let mut held = Vec::new();
        for study in &studies {
            let record = snapshot.study(study.study)?;
            if record.is_some_and(|record| record.permits(Deed::RecoverStudy, head.time).is_ok()) {
                held.push(study.study);
            }
        }
        studies.retain(|study| held.contains(&study.study));
        if studies.is_empty() {
            return Err(RecoverError::NothingHeld);
        }
        if !are_of_one_patient(&studies) {
            return Err(RecoverError::OtherPatients);
        }
        studies.sort_by_key(|study| Reverse(study.study_date));
        let mut patient = Patient::default();
        studies.iter().for_each(|study| patient.fill(&study.patient));
        let all = studies.iter().map(|study| study.study).collect();
        let all = Ascending::from_items(all).map_err(|_| ArchiveError::TooMany(MAX_AGREED))?;
        let agreed = Agreed { patient: patient.clone(), studies: all, claimed: false, ended: false };
        let (digest, listed) = (digest_of(&patient, &studies), StudyRow::of_all(service, &studies)?);
        let ids: Vec<String> = studies.iter().map(|study| study.study.to_string()).collect();
        let decision = self.because.decision(service);
        let now = LocalTime(service.timekeeper.dated(&service.store));
        let record = &service.records.recoveries;
        let failed = |error| RecoverError::Record { path: record.path().to_owned(), error };
        let _deciding = record.deciding();
        let line = |act| RecoveryLine {
            at_ms: now.0.0,
            act,
            studies: ids.clone(),
            by: decision.by.clone(),
            why: Some(decision.why.clone()),
            digest: Some(digest.clone()),
            transaction: None,
        };
        let mut answer = RecoverAnswer {
            patient: PatientRow::of(&patient),
            listed,
            digest: digest.clone(),
            proposed_by: decision.by.clone(),
            code: None,
            expires_ms: None,
        };
        let Some(given) = &self.confirm else {
            record.add(&line(RecoveryAct::Proposed)).map_err(failed)?;
            return Ok(answer);
        };
        if !is_confirmed(Some(given), &digest) {
            return Err(RecoverError::OtherList(given.clone()));
        }
        let proposed = record.proposed_by(&digest, now.0).map_err(failed)?;
        answer.proposed_by = proposed.ok_or_else(|| RecoverError::NotProposed(digest.clone()))?;
        if is_same(&answer.proposed_by, &decision.by) {
            return Err(RecoverError::SamePerson(answer.proposed_by));
        }
        let pin = self.pin.as_deref().ok_or(RecoverError::NoPin)?;
        let expires = now.0.plus(u64::from(self.hours).saturating_mul(HOUR_MS));
        let ticket = Ticket(random().map_err(RecoverError::Random)?);
        let code = code_of(service, ticket.clone(), Question::Pin, expires)?;
        record.add(&line(RecoveryAct::Agreed)).map_err(failed)?;
        let issue = Issue { visit, question: Question::Pin, answer: pin, expires };
        service.records.pickups.give_back(&ticket, issue, &agreed, now)?;
        answer.code = Some(clavicle_letters::code::to_text(&code));
        answer.expires_ms = Some(expires.0);
        Ok(answer)
    }
}

/// Whether two names are one person's, however they are typed.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    plain(one) == plain(other)
}

impl Command for Recover {
    type Arguments = RecoverArguments;

    fn request(arguments: &RecoverArguments) -> Result<Self, Failure> {
        let RecoverArguments { patient, study, pin, because, hours, png, confirm } = arguments;
        let of = match patient.get()? {
            Some(patient) => RecoverRequest::Patient(patient.to_string()),
            None => RecoverRequest::Study(study.clone().unwrap_or_default()),
        };
        if let Some(path) = png {
            is_free(path).map_err(|error| PngError::Taken { path: path.clone(), error })?;
        }
        let pin = pin.get()?.map(|pin| pin.to_string());
        Ok(Self { of, pin, because: because.asked()?, hours: *hours, confirm: confirm.clone() })
    }

    fn say(RecoverArguments { png, .. }: &RecoverArguments, answer: RecoverAnswer) -> Result<Answer, Failure> {
        let mut json = json!(answer);
        let RecoverAnswer { patient, listed, digest, proposed_by, code, expires_ms: _ } = &answer;
        let mut lines = vec![patient.to_string()];
        lines.extend(listed.iter().map(|row| format!("  {}", row.line())));
        let Some(code) = code else {
            let sentence = format!(
                "no code was given out. {proposed_by} has proposed it; another of the staff makes sure that this is the patient, and that these are the \
                 studies, and asks once more with `--confirm {digest} --by NAME` within a day"
            );
            let answer = Answer { text: lines.join("\n"), json };
            return Err(Failure::Found { code: "confirm", sentence, answer: Box::new(answer) });
        };
        lines.push(format!(
            "a code that gives {} back, proposed by {proposed_by}. The patient's new wallet takes it twice: `clavicle wallet recover` now, and \
             once more when the time for a veto is over. Whoever has the lost key is told, and can say no.",
            many(listed.len(), "study", "studies")
        ));
        match png {
            None => lines.push(code.clone()),
            Some(path) => {
                draw(code, path)?;
                json["png"] = json!(path_text(path));
                lines.push(format!("the code is in {}", path.display()));
            }
        }
        Ok(Answer { text: lines.join("\n"), json })
    }
}
