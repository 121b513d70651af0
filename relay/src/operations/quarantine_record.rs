//! `quarantine-record`: what was released from quarantine and deleted, by whom and why.

use std::path::PathBuf;

use clap::Args;
use clavicle_command::said::many;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::quarantine_named::QuarantineError;
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::quarantine::RecordLine;
use crate::service::Service;

/// So many lines are told, the newest; the file has all.
const MOST: usize = 10_000;

/// List what was released from quarantine and deleted: when, by whom and why
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct QuarantineRecord {}

/// The record.
#[derive(Debug, Serialize, Deserialize)]
pub struct OnRecord {
    /// Its last lines, in order.
    pub record: Vec<RecordLine>,
    /// How many lines cannot be read: a kill may have cut one off before anything was done.
    pub unreadable: usize,
    /// The file that has all of them.
    #[serde(serialize_with = "crate::path::lossy")]
    pub file: PathBuf,
}

impl Operation for QuarantineRecord {
    const WORD: &'static str = "quarantine-record";

    type On = Service;
    type Answer = OnRecord;
    type Error = QuarantineError;

    fn work(self, service: &Service) -> Result<OnRecord, QuarantineError> {
        let quarantine = &service.images.quarantine;
        let (record, unreadable) = quarantine.lines(MOST).map_err(QuarantineError::of(quarantine))?;
        Ok(OnRecord { record, unreadable, file: quarantine.record_file().to_owned() })
    }
}

impl Command for QuarantineRecord {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, on_record: OnRecord) -> Result<Answer, Failure> {
        let OnRecord { record, unreadable, file } = &on_record;
        let mut lines: Vec<String> = record.iter().map(RecordLine::line).collect();
        if *unreadable > 0 {
            lines.push(format!("{} cannot be read", many(*unreadable, "line", "lines")));
        }
        lines.push(format!("{}, all in {}", many(record.len(), "line", "lines"), file.display()));
        Ok(Answer { text: lines.join("\n"), json: json!(on_record) })
    }
}
