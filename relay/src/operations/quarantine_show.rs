//! `quarantine-show`: a file in quarantine, looked at.

use clap::Args;
use clavicle_ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::quarantine_named::{QuarantineError, files_that_begin};
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::quarantine::{QuarantineRow, RecordLine};
use crate::service::Service;

/// Show a file in quarantine: why it is there, since when, from whom, what it was called, and what reading it says now
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct QuarantineShow {
    /// The file: how its name in the list begins
    pub name: String,
}

/// A file in quarantine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    /// What the list says of it.
    #[serde(flatten)]
    pub row: QuarantineRow,
    /// What its bytes hash to (BLAKE3).
    pub digest: String,
    /// What reading it says now.
    pub read: String,
    /// What was done with it so far.
    pub record: Vec<RecordLine>,
}

impl Operation for QuarantineShow {
    const WORD: &'static str = "quarantine-show";

    type On = Service;
    type Answer = Shown;
    type Error = QuarantineError;

    fn work(self, service: &Service) -> Result<Shown, QuarantineError> {
        let quarantine = &service.images.quarantine;
        let failed = QuarantineError::of(quarantine);
        let found = files_that_begin(quarantine, std::slice::from_ref(&self.name))?;
        let row = found.into_iter().next().ok_or(QuarantineError::NoFile(self.name))?;
        let (_, digest) = quarantine.hashed(&row).map_err(&failed)?;
        let read = match service.images.reader.inspect_one(&row.path) {
            Ok(seen) => {
                let facts = seen.facts;
                format!("it can be read: {} of study {}", facts.modality, facts.study_instance_uid)
            }
            Err(reason) => reason.to_string(),
        };
        let record = quarantine.lines_of(&row.name).map_err(&failed)?;
        Ok(Shown { row, digest: digest.to_string(), read, record })
    }
}

impl Command for QuarantineShow {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, shown: Shown) -> Result<Answer, Failure> {
        let Shown { row: QuarantineRow { name, path, came_ms, size, reason, from, file }, digest, read, record } =
            &shown;
        let none = || "not known".to_owned();
        let mut lines = vec![
            name.clone(),
            format!("reason  {reason}"),
            format!("came    {}", Timestamp(*came_ms)),
            format!("from    {}", from.clone().unwrap_or_else(none)),
            format!("called  {}", file.clone().unwrap_or_else(none)),
            format!("file    {}", path.display()),
            format!("bytes   {size}, {digest}"),
            format!("read    {read}"),
        ];
        lines.extend(record.iter().map(RecordLine::line));
        Ok(Answer { text: lines.join("\n"), json: json!(shown) })
    }
}
