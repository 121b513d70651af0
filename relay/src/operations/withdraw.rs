//! `withdraw`: a study is never served again.

use clap::Args;
use clavicle_ledger::action::NewStatus;
use serde::{Deserialize, Serialize};

use super::standing::{StandingError, Stands, Why, stand};
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::service::Service;

/// Stop serving a study for ever; returns when it is final
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Withdraw {
    /// The study: how its id begins
    pub study: String,
    /// Why
    #[arg(long, value_enum)]
    pub reason: Why,
}

impl Operation for Withdraw {
    const WORD: &'static str = "withdraw";

    type On = Service;
    type Answer = Stands;
    type Error = StandingError;

    fn work(self, service: &Service) -> Result<Stands, StandingError> {
        stand(service, &self.study, NewStatus::Withdrawn(self.reason.reason()))
    }
}

impl Command for Withdraw {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, stands: Stands) -> Result<Answer, Failure> {
        Ok(stands.say("withdrawn for ever", "; whoever has a copy is told"))
    }
}
