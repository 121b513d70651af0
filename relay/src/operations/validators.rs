//! `validators`: who decides the next block.

use clap::Args;
use clavicle_ledger::state::ReadRows as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::service::{Service, ServiceError};

/// Tell who decides the next block
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Validators {}

/// A validator as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorRow {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: String,
    /// Its voting power.
    pub power: u64,
    /// Whether it is this relay's own.
    pub own: bool,
}

impl Operation for Validators {
    const WORD: &'static str = "validators";

    type On = Service;
    type Answer = Vec<ValidatorRow>;
    type Error = ServiceError;

    fn work(self, service: &Service) -> Result<Vec<ValidatorRow>, ServiceError> {
        let snapshot = service.store.snapshot()?;
        let row = |validator: &clavicle_ledger::validators::Validator| {
            let source = snapshot.source(validator.source)?;
            Ok(ValidatorRow {
                name: source.map_or_else(String::new, |source| source.announced.name.to_string()),
                source: validator.source.to_string(),
                power: validator.power,
                own: validator.source == service.member.source,
            })
        };
        snapshot.validators()?.validators.iter().map(row).collect()
    }
}

impl Command for Validators {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, rows: Vec<ValidatorRow>) -> Result<Answer, Failure> {
        Ok(Answer { text: lines(&rows), json: json!({ "validators": rows }) })
    }
}

/// The validators in lines for a person.
fn lines(rows: &[ValidatorRow]) -> String {
    let total: u64 = rows.iter().map(|row| row.power).sum();
    let line = |row: &ValidatorRow| {
        let own = if row.own { "  ← this one" } else { "" };
        format!("{:>6} of {total}  {}{own}", row.power, row.name)
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
