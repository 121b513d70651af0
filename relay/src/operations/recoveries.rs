//! `recoveries`: what was given back, who decided it and why, and what came of it.

use std::io;
use std::path::PathBuf;

use clap::Args;
use clavicle_command::said::many;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::ending::of_io;
use crate::recoveries::RecoveryLine;
use crate::service::Service;

/// So many lines are told, the newest; the file has all.
const MOST: usize = 10_000;

/// List what was given back to people who lost their keys: when, by whom and why
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Recoveries {}

/// The record.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecoveriesOnRecord {
    /// Its last lines, in order.
    pub record: Vec<RecoveryLine>,
    /// How many lines cannot be read: a kill may have cut one off before anything was done.
    pub unreadable: usize,
    /// The file that has all of them.
    #[serde(serialize_with = "crate::path::lossy")]
    pub file: PathBuf,
}

/// The record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the record of what was given back, {path}, cannot be read")]
pub struct RecoveriesError {
    path: PathBuf,
    #[source]
    error: io::Error,
}

impl Refusing for RecoveriesError {
    fn code(&self) -> &str {
        "record"
    }

    fn exit_code(&self) -> u8 {
        of_io(&self.error)
    }
}

impl Operation for Recoveries {
    const WORD: &'static str = "recoveries";

    type On = Service;
    type Answer = RecoveriesOnRecord;
    type Error = RecoveriesError;

    fn work(self, service: &Service) -> Result<RecoveriesOnRecord, RecoveriesError> {
        let record = &service.records.recoveries;
        let file = record.path().to_owned();
        let (record, unreadable) = record.last(MOST).map_err(|error| RecoveriesError { path: file.clone(), error })?;
        Ok(RecoveriesOnRecord { record, unreadable, file })
    }
}

impl Command for Recoveries {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, on_record: RecoveriesOnRecord) -> Result<Answer, Failure> {
        let RecoveriesOnRecord { record, unreadable, file } = &on_record;
        let mut lines: Vec<String> = record.iter().map(RecoveryLine::line).collect();
        if *unreadable > 0 {
            lines.push(format!("{} cannot be read", many(*unreadable, "line", "lines")));
        }
        lines.push(format!("{}, all in {}", many(record.len(), "line", "lines"), file.display()));
        Ok(Answer { text: lines.join("\n"), json: json!(on_record) })
    }
}
