//! `suspend`: a study is not served for a while.

use clap::Args;
use clavicle_ledger::action::NewStatus;
use serde::{Deserialize, Serialize};

use super::standing::{StandingError, Stands, Why, stand};
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::service::Service;

/// Stop serving a study for a while; returns when it is final
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Suspend {
    /// The study: how its id begins
    pub study: String,
    /// Why
    #[arg(long, value_enum)]
    pub reason: Why,
}

impl Operation for Suspend {
    const WORD: &'static str = "suspend";

    type On = Service;
    type Answer = Stands;
    type Error = StandingError;

    fn work(self, service: &Service) -> Result<Stands, StandingError> {
        stand(service, &self.study, NewStatus::Suspended(self.reason.reason()))
    }
}

impl Command for Suspend {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, stands: Stands) -> Result<Answer, Failure> {
        Ok(stands.say("suspended", "; nobody is served, and whoever has a copy is told"))
    }
}
