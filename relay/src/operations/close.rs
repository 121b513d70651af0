//! `close`: nothing is added to a study by itself any more.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::study_that_begins;
use super::{Command, NotFound, Operation, short};
use crate::answer::{Answer, Failure};
use crate::service::Service;

/// Close a study: nothing is added to it by itself any more
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Close {
    /// The study: how its id begins
    pub study: String,
}

/// A study that is closed now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Its id.
    pub study: String,
    /// Whether it was not before.
    pub changed: bool,
}

impl Operation for Close {
    const WORD: &'static str = "close";

    type On = Service;
    type Answer = Closed;
    type Error = NotFound;

    fn work(self, service: &Service) -> Result<Closed, NotFound> {
        let study = study_that_begins(&service.images.archive, &self.study)?;
        let changed = service.images.archive.close(study, &service.member.signer((service.clock)().0))?;
        // A revision of a study that somebody holds goes to the ledger.
        service.store.note();
        Ok(Closed { study: study.to_string(), changed })
    }
}

impl Command for Close {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, closed: Closed) -> Result<Answer, Failure> {
        let was = if closed.changed { "closed" } else { "was closed already" };
        Ok(Answer { text: format!("{} {was}", short(&closed.study)), json: json!(closed) })
    }
}
