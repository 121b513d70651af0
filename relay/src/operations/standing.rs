//! How a study stands on the ledger, as its source says: what `suspend`, `resume` and `withdraw` have in common.

use std::time::{Duration, Instant};

use clavicle_ledger::action::{NewStatus, SetStatus};
use clavicle_ledger::encoding;
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::study::Reason;
use clavicle_ledger::time::{HOUR_MS, Height};
use clavicle_ledger::transaction::{Action, Body};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::study_that_begins;
use super::{NotFound, short};
use crate::answer::{Answer, Refusing};
use crate::service::Service;
use crate::store::StoreError;
use crate::submission::{From, SubmitError};

/// How long it may take until it is final.
pub(super) const FINAL: Duration = Duration::from_secs(30);
/// How often it is looked whether it is.
const OFTEN: Duration = Duration::from_millis(20);

/// Why a study is not served; see [`Reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Rejected for its quality
    Quality,
    /// Rejected for the patient's safety
    PatientSafety,
    /// These are another patient's images: not even the holder may fetch them
    WrongPatient,
    /// It no longer has to be kept
    Retention,
    /// It is being looked into
    UnderReview,
    /// An authority has ordered it
    LegalOrder,
    /// Anything else
    Other,
}

impl Why {
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Quality => Reason::Quality,
            Self::PatientSafety => Reason::PatientSafety,
            Self::WrongPatient => Reason::WrongPatient,
            Self::Retention => Reason::Retention,
            Self::UnderReview => Reason::UnderReview,
            Self::LegalOrder => Reason::LegalOrder,
            Self::Other => Reason::Other,
        }
    }
}

/// A study stands otherwise now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stands {
    /// Its id.
    pub study: String,
    /// The height at which that became final.
    pub height: Height,
}

/// Why a study stands as it did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandingError {
    /// Which study.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// Not on the ledger.
    #[error("nobody has picked the study up, so that it is not on the ledger and served to nobody")]
    NotOnLedger,
    /// See [`SubmitError`].
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Not decided.
    #[error("the hospitals have not agreed on it within {} seconds; it was submitted, and may still become final", FINAL.as_secs())]
    NotFinal,
}

impl Refusing for StandingError {
    fn code(&self) -> &str {
        match self {
            Self::NotFound(NotFound::Archive(_)) | Self::Store(_) | Self::State(_) => "archive",
            Self::NotFound(_) | Self::NotOnLedger => "study",
            Self::Submit(error) => error.code(),
            Self::NotFinal => "not_final",
        }
    }
}

/// Says on the ledger how a study stands from now on, and returns when that is final. Whoever has a copy is told.
pub(super) fn stand(service: &Service, study: &str, status: NewStatus) -> Result<Stands, StandingError> {
    let study = study_that_begins(&service.images.archive, study)?;
    let record = service.store.snapshot()?.study(study)?;
    let number = record.ok_or(StandingError::NotOnLedger)?.status_number.saturating_add(1);
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&study.as_bytes()[..16]);
    let action = Action::SetStatus(SetStatus { study, source: service.member.operational.public(), number, status });
    let body = Body { submit_by: (service.clock)().0.plus(HOUR_MS), nonce, action };
    let signed = body.sign(&service.member.chain, &[&service.member.operational]);
    let envelope = signed.expect("a status has one signer, and this is its key");
    service.submission.take(&encoding::encode(&envelope), From::Somebody)?;
    let height = final_at(service, &envelope.hash())?.ok_or(StandingError::NotFinal)?;
    Ok(Stands { study: study.to_string(), height })
}

/// At which height something that was submitted became final; nothing, if it did not within [`FINAL`].
pub(super) fn final_at(service: &Service, envelope: &EnvelopeHash) -> Result<Option<Height>, StoreError> {
    let until = Instant::now() + FINAL;
    loop {
        if let Some((height, _)) = service.store.find_envelope(envelope)? {
            return Ok(Some(height));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        std::thread::sleep(OFTEN);
    }
}

impl Stands {
    /// Says what it is now, and what follows.
    pub(super) fn say(&self, what: &str, then: &str) -> Answer {
        let text = format!("{} {what}: final at height {}{then}", short(&self.study), self.height);
        Answer { text, json: json!(self) }
    }
}
