//! `submit`: a transaction that somebody signed elsewhere is taken in. Programs alone ask.

use clavicle_ledger::encoding::{self, Hex};
use serde::{Deserialize, Serialize};

use super::Operation;
use crate::answer::Refusing;
use crate::service::Service;
use crate::submission::{Fate, From, SubmitError};

/// Take this in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Submit {
    /// The encoded envelope, in hexadecimal digits.
    pub envelope: String,
}

/// What became of a transaction that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The transaction's id.
    pub transaction: String,
    /// The envelope's hash, by which its inclusion is proven.
    pub envelope: String,
    /// The height at which it was executed, if it was already.
    pub executed_at: Option<u64>,
}

/// Why it was not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmissionError {
    /// Not written as it has to be.
    #[error("a transaction is submitted in hexadecimal digits")]
    Digits,
    /// See [`SubmitError`].
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl Refusing for SubmissionError {
    fn code(&self) -> &str {
        match self {
            Self::Digits => "rejected",
            Self::Submit(error) => error.code(),
        }
    }
}

impl Submit {
    /// An encoded envelope, to be submitted.
    #[must_use]
    pub fn of(envelope: &[u8]) -> Self {
        Self { envelope: Hex(envelope).to_string() }
    }
}

impl Operation for Submit {
    const WORD: &'static str = "submit";

    type On = Service;
    type Answer = Submitted;
    type Error = SubmissionError;

    fn work(self, service: &Service) -> Result<Submitted, SubmissionError> {
        let bytes = encoding::from_hex(&self.envelope).ok_or(SubmissionError::Digits)?;
        let taken = service.submission.take(&bytes, From::Somebody)?;
        let executed_at = match taken.fate {
            Fate::Executed(height) => Some(height),
            Fate::Waits | Fate::Waited => None,
        };
        let (transaction, envelope) = (taken.transaction.to_string(), taken.envelope.to_string());
        Ok(Submitted { transaction, envelope, executed_at })
    }
}
