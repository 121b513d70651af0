//! `quarantine`: what came by itself and could not be taken in.

use clap::Args;
use clavicle_command::said::many;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use super::quarantine_named::{Because, QuarantineError};
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::quarantine::QuarantineRow;
use crate::service::Service;

/// List the files that came by themselves and could not be taken in, each with the reason
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Quarantine {}

impl Operation for Quarantine {
    const WORD: &'static str = "quarantine";

    type On = Service;
    type Answer = Vec<QuarantineRow>;
    type Error = QuarantineError;

    fn work(self, service: &Service) -> Result<Vec<QuarantineRow>, QuarantineError> {
        let quarantine = &service.images.quarantine;
        quarantine.rows().map_err(QuarantineError::of(quarantine))
    }
}

impl Command for Quarantine {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, rows: Vec<QuarantineRow>) -> Result<Answer, Failure> {
        let mut lines: Vec<String> = rows.iter().map(QuarantineRow::line).collect();
        lines.push(many(rows.len(), "file", "files"));
        if !rows.is_empty() {
            lines.push("`quarantine-show` says more of one, `quarantine-release` has it taken in, `quarantine-delete` deletes it".into());
        }
        Ok(Answer { text: lines.join("\n"), json: json!({ "quarantined": rows }) })
    }
}
