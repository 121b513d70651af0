//! `explain`: why somebody was refused, by the reference they were told.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::refusals::Refusal;
use crate::service::Service;

/// Tell why somebody was refused, by the reference they were told
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Explain {
    /// The reference: 16 hexadecimal digits
    pub reference: String,
}

/// Nothing is kept under that reference.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nothing is kept under that reference: it is not of this relay, or too many came since")]
pub struct UnknownReference;

impl Refusing for UnknownReference {
    fn code(&self) -> &str {
        "reference"
    }
}

impl Operation for Explain {
    const WORD: &'static str = "explain";

    type On = Service;
    type Answer = Refusal;
    type Error = UnknownReference;

    fn work(self, service: &Service) -> Result<Refusal, UnknownReference> {
        service.records.refusals.find(self.reference.trim()).ok_or(UnknownReference)
    }
}

impl Command for Explain {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, refusal: Refusal) -> Result<Answer, Failure> {
        Ok(Answer { text: refusal.lines(), json: json!(refusal) })
    }
}
