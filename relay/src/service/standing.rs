//! Suspending, resuming and withdrawing: what the operator says of a study on the ledger.

use std::time::{Duration, Instant};

use clavicle_ledger::action::{NewStatus, SetStatus};
use clavicle_ledger::encoding;
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Reason;
use clavicle_ledger::time::{HOUR_MS, Height};
use clavicle_ledger::transaction::{Action, Body};
use serde::{Deserialize, Serialize};

use super::{DeskError, Service, ServiceError};
use crate::store::StoreError;
use crate::submission::{From, SubmitError};

/// How long it may take until it is final.
const FINAL: Duration = Duration::from_secs(30);
/// How often it is looked whether it is.
const OFTEN: Duration = Duration::from_millis(20);

/// What is to become of a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingRequest {
    /// How its id begins.
    pub study: String,
    /// What.
    pub to: NewStanding,
}

/// How a study is to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewStanding {
    /// Not served for a while.
    Suspended(Why),
    /// Served again.
    Resumed,
    /// Never served again.
    Withdrawn(Why),
}

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
    const fn reason(self) -> Reason {
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
    Desk(#[from] DeskError),
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

impl<E: Into<StoreError>> std::convert::From<E> for StandingError {
    fn from(error: E) -> Self {
        Self::Desk(DeskError::from(error.into()))
    }
}

impl Service {
    /// Says on the ledger how a study stands from now on, and returns when that is final. Whoever has a copy is told.
    ///
    /// # Errors
    /// [`StandingError`].
    pub fn stand(&self, request: &StandingRequest) -> Result<Stands, StandingError> {
        let study = self.study_that_begins(&request.study)?;
        let snapshot = self.store.snapshot()?;
        let record = snapshot.study(study).map_err(|error| DeskError::from(ServiceError::from(error)))?;
        let number = record.ok_or(StandingError::NotOnLedger)?.status_number.saturating_add(1);
        let status = match request.to {
            NewStanding::Suspended(why) => NewStatus::Suspended(why.reason()),
            NewStanding::Resumed => NewStatus::Active,
            NewStanding::Withdrawn(why) => NewStatus::Withdrawn(why.reason()),
        };
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&study.as_bytes()[..16]);
        let action = Action::SetStatus(SetStatus { study, source: self.operational.public(), number, status });
        let body = Body { submit_by: (self.clock)().0.plus(HOUR_MS), nonce, action };
        let signed = body.sign(&self.chain, &[&self.operational]);
        let envelope = signed.expect("a status has one signer, and this is its key");
        self.submission.take(&encoding::encode(&envelope), From::Somebody)?;
        Ok(Stands { study: study.to_string(), height: self.wait_for(&envelope.hash())? })
    }

    fn wait_for(&self, envelope: &EnvelopeHash) -> Result<Height, StandingError> {
        let until = Instant::now() + FINAL;
        loop {
            if let Some((height, _)) = self.store.find_envelope(envelope)? {
                return Ok(height);
            }
            if Instant::now() >= until {
                return Err(StandingError::NotFinal);
            }
            std::thread::sleep(OFTEN);
        }
    }
}
