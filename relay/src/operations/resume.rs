//! `resume`: a study that was suspended is served again.

use clap::Args;
use clavicle_ledger::action::NewStatus;
use serde::{Deserialize, Serialize};

use super::standing::{StandingError, Stands, stand};
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::service::Service;

/// Serve a study again that is suspended; returns when it is final
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Resume {
    /// The study: how its id begins
    pub study: String,
}

impl Operation for Resume {
    const WORD: &'static str = "resume";

    type On = Service;
    type Answer = Stands;
    type Error = StandingError;

    fn work(self, service: &Service) -> Result<Stands, StandingError> {
        stand(service, &self.study, NewStatus::Active)
    }
}

impl Command for Resume {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, stands: Stands) -> Result<Answer, Failure> {
        Ok(stands.say("resumed", "; it is served as before"))
    }
}
