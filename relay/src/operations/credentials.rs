//! `credentials`: whom the hospital vouches for, and for whom no more.

use clap::Args;
use clavicle_command::said::many;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::name::quoted;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::credentials::{CredentialsError, Issued};
use crate::service::Service;

/// List whom the hospital vouches for, and for whom no more
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct ListCredentials {}

/// Everything on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRows {
    /// Those in force.
    pub issued: Vec<Issued>,
    /// Those that were ended.
    pub ended: Vec<Issued>,
    /// Those whose time is over.
    pub over: Vec<Issued>,
}

impl Operation for ListCredentials {
    const WORD: &'static str = "credentials";

    type On = Service;
    type Answer = CredentialRows;
    type Error = CredentialsError;

    fn work(self, service: &Service) -> Result<CredentialRows, CredentialsError> {
        let now = service.timekeeper.dated(&service.store);
        let mut rows = CredentialRows { issued: Vec::new(), ended: Vec::new(), over: Vec::new() };
        for issued in service.records.credentials.all() {
            let to = match issued.ended {
                Some(_) => &mut rows.ended,
                None if issued.is_in_force(now) => &mut rows.issued,
                None => &mut rows.over,
            };
            to.push(issued);
        }
        Ok(rows)
    }
}

impl Command for ListCredentials {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, rows: CredentialRows) -> Result<Answer, Failure> {
        let CredentialRows { issued, ended, over } = &rows;
        let mut lines: Vec<String> = issued.iter().map(|one| format!("{}  {}", one.number, one.line())).collect();
        lines.extend(ended.iter().map(|one| {
            let how = one.ended.as_ref().map_or_else(String::new, |how| {
                format!("ended {} by {}: {}", Timestamp(how.at_ms).day(), quoted(&how.by), how.why)
            });
            format!("{}  {}; {how}", one.number, one.line())
        }));
        lines.push(format!(
            "{} in force, {} ended, and the time of {} is over",
            many(issued.len(), "credential is", "credentials are"),
            many(ended.len(), "was", "were"),
            over.len()
        ));
        Ok(Answer { text: lines.join("\n"), json: json!(rows) })
    }
}
