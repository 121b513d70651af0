//! `reissue`: the wrong person has a study, or whoever has its key will say no to the right one. It is served to nobody from now on, withdrawn for ever,
//! and the same images are another study, under a fresh salt, that nobody holds; two of the staff decide.
//!
//! That it is suspended waits for nobody: the first who says so stops it. The rest waits for another. Whoever has a copy is told in a letter that it was
//! reissued; which study it is now nobody is told, so that the right person decides anew who may see it.

use std::io;
use std::path::PathBuf;

use clap::Args;
use clavicle_command::said::many;
use clavicle_dicom::facts::Patient;
use clavicle_ledger::action::NewStatus;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::study::{Reason, Status};
use clavicle_ledger::time::{Height, LocalTime};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::confirmed::{ListDigest, is_confirmed};
use super::pickup::{PickupError, digest_of};
use super::quarantine_named::{Because, QuarantineError};
use super::recover::is_same;
use super::standing::{StandingError, stand};
use super::studies::PatientRow;
use super::studies_named::{on_ledger, study_that_begins};
use super::{Command, NotFound, Operation, short};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::{ArchiveError, OnLedger, Signer};
use crate::ending::of_io;
use crate::recoveries::{RecoveryAct, RecoveryLine};
use crate::service::{Service, ServiceError};
use crate::store::{StoreError, Visit};

/// Take a study from whoever has it wrongly: suspended at once, then withdrawn, and the same images another study; two of the staff decide
#[derive(Debug, Args)]
pub struct ReissueArguments {
    /// The study: how its id begins
    study: String,
    /// Who decides, and why: what went wrong.
    #[command(flatten)]
    because: Because,
    /// Another has proposed it, and I have looked into it, too: the digest that was said then
    #[arg(long, value_name = "DIGEST")]
    confirm: Option<String>,
}

/// A study that the wrong person has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reissue {
    /// How its id begins.
    pub study: String,
    /// Who decides, and why.
    pub because: Because,
    /// What another has proposed; nothing, to propose it.
    pub confirm: Option<String>,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReissueAnswer {
    /// Who the study is about.
    pub patient: PatientRow,
    /// The study.
    pub study: String,
    /// A digest of both.
    pub digest: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// The height at which its status became final: suspended, and withdrawn once another has agreed.
    pub height: Option<Height>,
    /// The other study that its images are now; nothing before another has agreed.
    pub reissued: Option<String>,
    /// Whether whoever has a copy is told that it was reissued; of one that was withdrawn for another reason they know that.
    pub told: bool,
    /// How many pickup codes were good for the study, the wrong person's among them, and are void now.
    pub voided: usize,
    /// Whether the former is gone from the archive; it stays where files contradict it, which are to be looked at.
    pub removed: bool,
}

/// Why nothing was reissued, or not all of it was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReissueError {
    /// Which study.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// See [`StandingError`].
    #[error(transparent)]
    Standing(#[from] StandingError),
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
    /// Something else than was proposed.
    #[error("nobody has proposed {0} in the last day: propose it first, without --confirm")]
    NotProposed(String),
    /// What was proposed is not what there is.
    #[error("what was found is not {0}, or not any more: look again at the patient and the study, and propose it anew")]
    OtherList(String),
    /// One person alone.
    #[error("{0} has proposed this: another of the staff has to look into it and agree, with --by and their own name")]
    SamePerson(String),
}

impl Refusing for ReissueError {
    fn code(&self) -> &str {
        match self {
            Self::NotFound(error) => error.code(),
            Self::Archive(error) => error.code(),
            Self::Standing(error) => error.code(),
            Self::Reason(error) => error.code(),
            Self::Record { .. } => "record",
            Self::SamePerson(_) | Self::NotProposed(_) | Self::OtherList(_) => "confirm",
            _ => "reissue",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Record { error, .. } => of_io(error),
            _ => 1,
        }
    }
}

impl Operation for Reissue {
    const WORD: &'static str = "reissue";

    type On = Service;
    type Answer = ReissueAnswer;
    type Error = ReissueError;

    fn work(self, service: &Service) -> Result<ReissueAnswer, ReissueError> {
        if service.shadow {
            return Err(PickupError::Shadow.into());
        }
        let archive = &service.images.archive;
        let study = study_that_begins(archive, &self.study)?;
        let catalogued = archive.catalogued(study)?.ok_or(NotFound::NoStudy)?;
        let status = service.store.snapshot()?.study(study)?.ok_or(StandingError::NotOnLedger)?.status;
        let (patient, number): (Patient, _) = (catalogued.patient.clone(), catalogued.accession_number.clone());
        let mut digest = ListDigest::new();
        digest.add([blake3::hash(Self::WORD.as_bytes()).as_bytes()]);
        digest.add([blake3::hash(digest_of(&patient, &[catalogued]).as_bytes()).as_bytes()]);
        let digest = digest.finish();
        let decision = self.because.decision(service);
        let (record, now) = (&service.records.recoveries, service.timekeeper.dated(&service.store));
        let failed = |error| ReissueError::Record { path: record.path().to_owned(), error };
        let _deciding = record.deciding();
        let line = |act, studies| RecoveryLine {
            at_ms: now.0,
            act,
            studies,
            by: decision.by.clone(),
            why: Some(decision.why.clone()),
            digest: Some(digest.clone()),
            transaction: None,
        };
        let mut answer = ReissueAnswer {
            patient: PatientRow::of(&patient),
            study: study.to_string(),
            digest: digest.clone(),
            proposed_by: decision.by.clone(),
            height: None,
            reissued: None,
            told: false,
            voided: 0,
            removed: false,
        };
        let Some(given) = &self.confirm else {
            record.add(&line(RecoveryAct::ReissueProposed, vec![study.to_string()])).map_err(failed)?;
            // Whoever has it wrongly is served no longer than it takes to say so. Such a suspension does not lapse.
            answer.height = match status {
                Status::Withdrawn { .. } | Status::Suspended { reason: Reason::WrongPatient, .. } => None,
                _ => Some(stand(service, &answer.study, NewStatus::Suspended(Reason::WrongPatient))?.height),
            };
            return Ok(answer);
        };
        if !is_confirmed(Some(given), &digest) {
            return Err(ReissueError::OtherList(given.clone()));
        }
        let proposed = record.proposed_by(&digest, now).map_err(failed)?;
        answer.proposed_by = proposed.ok_or_else(|| ReissueError::NotProposed(digest.clone()))?;
        if is_same(&answer.proposed_by, &decision.by) {
            return Err(ReissueError::SamePerson(answer.proposed_by));
        }
        // From here on whoever has a copy is told that it was reissued, as soon as it is withdrawn for this reason.
        answer.told = !matches!(status, Status::Withdrawn { reason } if reason != Reason::WrongPatient);
        if answer.told {
            service.records.notices.reissue(study, now)?;
        }
        if !matches!(status, Status::Withdrawn { .. }) {
            let withdrawn = NewStatus::Withdrawn(Reason::WrongPatient);
            answer.height = Some(stand(service, &answer.study, withdrawn)?.height);
        }
        // A code that the wrong person has would offer them the other study, too: one of its visit, or of its patient.
        let would_offer = |visit: &Visit| match visit {
            Visit::Accession(of) => *of == number,
            Visit::Patient(id) => *id == patient.id,
            Visit::Study(id) | Visit::RecoverStudy(id) => *id == study,
            Visit::RecoverPatient(_) => false,
        };
        answer.voided = service.records.pickups.void(would_offer, LocalTime(now))?;
        let member = &service.member;
        let signer = Signer { chain: member.chain, source: member.source, operational: &member.operational, now };
        let again = archive.reissue(study, &signer)?;
        // Last: whoever broke off before agrees once more, and it goes on.
        record.add(&line(RecoveryAct::Reissued, vec![study.to_string(), again.to_string()])).map_err(failed)?;
        answer.reissued = Some(again.to_string());
        if on_ledger(service, study)? == OnLedger::Withdrawn && archive.contradictions(study)?.is_empty() {
            archive.remove(study, OnLedger::Withdrawn)?;
            answer.removed = true;
        }
        Ok(answer)
    }
}

impl Command for Reissue {
    type Arguments = ReissueArguments;

    fn request(arguments: &ReissueArguments) -> Result<Self, Failure> {
        let ReissueArguments { study, because, confirm } = arguments;
        Ok(Self { study: study.clone(), because: because.asked()?, confirm: confirm.clone() })
    }

    fn say(_: &ReissueArguments, answer: ReissueAnswer) -> Result<Answer, Failure> {
        let json = json!(answer);
        let ReissueAnswer { patient, study, digest, proposed_by, height, reissued, told, voided, removed } = &answer;
        let mut lines = vec![patient.to_string()];
        let at = height.map_or_else(|| " before".to_owned(), |height| format!(", final at height {height}"));
        let Some(reissued) = reissued else {
            lines.push(format!("{} suspended{at}: nobody is served, the holder neither", short(study)));
            let sentence = format!(
                "suspended, and not reissued yet. {proposed_by} has proposed it; another of the staff looks into it and asks once more with `--confirm \
                 {digest} --by NAME` within a day. If it was a mistake: `clavicle-relay resume`"
            );
            let answer = Answer { text: lines.join("\n"), json };
            return Err(Failure::Found { code: "confirm", sentence, answer: Box::new(answer) });
        };
        let says = if *told { "is told that it was reissued" } else { "was told why, and nothing of this" };
        lines.push(format!("{} withdrawn for ever{at}; whoever has a copy {says}", short(study)));
        if *voided > 0 {
            let codes = many(*voided, "pickup code", "pickup codes");
            lines
                .push(format!("{codes} for its visit, its patient or itself void: who comes rightly is given another"));
        }
        if !removed {
            lines.push(format!(
                "{} stays in the archive, since files contradict it: see `clavicle-relay contradictions`, then `remove`",
                short(study)
            ));
        }
        lines.push(format!(
            "{reissued}  the same images, another study, which nobody holds: `clavicle-relay pickup --study {}` for the right person",
            short(reissued)
        ));
        Ok(Answer { text: lines.join("\n"), json })
    }
}
