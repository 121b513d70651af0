//! `held`: how many of the studies in the archive somebody holds.

use clap::Args;
use clavicle_command::said::many;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::archive::ArchiveError;
use crate::service::Service;

/// Tell how many studies somebody holds
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Held {
    /// Count those that nobody holds instead
    #[arg(long)]
    pub not: bool,
}

/// How many.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeldRow {
    studies: usize,
}

impl Operation for Held {
    const WORD: &'static str = "held";

    // The owner may ask: a running relay over its socket, or the stores with none running.
    type On = Service;
    type Answer = HeldRow;
    type Error = ArchiveError;

    fn work(self, service: &Service) -> Result<HeldRow, ArchiveError> {
        let studies = service.images.archive.studies()?;
        let counted = studies.iter().filter(|study| study.claimed.is_some() != self.not);
        Ok(HeldRow { studies: counted.count() })
    }
}

impl Command for Held {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, row: HeldRow) -> Result<Answer, Failure> {
        Ok(Answer { text: many(row.studies, "study", "studies"), json: json!(row) })
    }
}
