//! `credential-end`: the hospital vouches for somebody no more.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::quarantine_named::Because;
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::credentials::{CredentialsError, Issued};
use crate::service::Service;

/// Vouch for somebody no more: from the next list on, which is a day old at most, nobody sees them as verified
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct CredentialEnd {
    /// The credential's number, as `credentials` lists it
    pub number: u64,
    /// Who decides, and why.
    #[command(flatten)]
    #[serde(flatten)]
    pub because: Because,
}

impl Operation for CredentialEnd {
    const WORD: &'static str = "credential-end";

    type On = Service;
    type Answer = Issued;
    type Error = CredentialsError;

    fn work(self, service: &Service) -> Result<Issued, CredentialsError> {
        if !self.because.fits() {
            return Err(CredentialsError::Because);
        }
        let Because { why, by } = &self.because;
        let now = service.timekeeper.dated(&service.store);
        service.records.credentials.end(self.number, (by.as_deref().unwrap_or_default(), why), now)
    }
}

impl Command for CredentialEnd {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(Self { because: arguments.because.asked()?, ..arguments.clone() })
    }

    fn say(_: &Self, issued: Issued) -> Result<Answer, Failure> {
        let text = format!("credential {} has ended: {}", issued.number, issued.line());
        Ok(Answer { text, json: json!(issued) })
    }
}
