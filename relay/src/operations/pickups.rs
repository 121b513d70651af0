//! `pickups`: the pickups that were given out, and how they stand.

use clap::Args;
use clavicle_command::said::many;
use clavicle_ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pickup::VisitRequest;
use super::{Command, Operation, short};
use crate::answer::{Answer, Failure};
use crate::service::Service;
use crate::store::pickups::{Listed, State};
use crate::store::{StoreError, Visit};

/// List the pickups that were given out, and how they stand
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Pickups {}

/// A pickup as the desk sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickupRow {
    /// For which studies.
    pub visit: VisitRequest,
    /// When it was given out, in milliseconds since 1970.
    pub issued_ms: u64,
    /// Until when.
    pub expires_ms: u64,
    /// Wrong answers since the last right one.
    pub wrong: u8,
    /// Whether with it studies are given back whose key was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery: bool,
    /// How it stands: open, claimed, dead, void, expired, or outdated by an upgrade of the relay.
    pub state: String,
}

impl Operation for Pickups {
    const WORD: &'static str = "pickups";

    type On = Service;
    type Answer = Vec<PickupRow>;
    type Error = StoreError;

    /// Every pickup that is kept, the newest first.
    fn work(self, service: &Service) -> Result<Vec<PickupRow>, StoreError> {
        let mut listed = service.records.pickups.list((service.clock)())?;
        listed.sort_by_key(|one| std::cmp::Reverse(one.issued));
        Ok(listed.into_iter().map(PickupRow::of).collect())
    }
}

impl Command for Pickups {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, rows: Vec<PickupRow>) -> Result<Answer, Failure> {
        let mut lines: Vec<String> = rows.iter().map(PickupRow::line).collect();
        lines.push(many(rows.len(), "pickup", "pickups"));
        Ok(Answer { text: lines.join("\n"), json: json!({ "pickups": rows }) })
    }
}

impl PickupRow {
    fn of(listed: Listed) -> Self {
        let Listed { ticket: _, visit, question: _, issued, expires, wrong, state } = listed;
        let state = match state {
            State::Open => "open",
            State::Claimed(_) => "claimed",
            State::Dead => "dead",
            State::Void => "void",
            State::Expired => "expired",
            State::Outdated => "outdated",
        };
        Self {
            recovery: visit.is_recovery(),
            visit: match visit {
                Visit::Accession(number) => VisitRequest::Accession(number.to_string()),
                Visit::Patient(id) | Visit::RecoverPatient(id) => VisitRequest::Patient(id.to_string()),
                Visit::Study(id) | Visit::RecoverStudy(id) => VisitRequest::Study(id.to_string()),
            },
            issued_ms: issued.0.0,
            expires_ms: expires.0,
            wrong,
            state: state.to_owned(),
        }
    }

    /// The pickup in a line for a person.
    fn line(&self) -> String {
        let Self { visit, issued_ms, expires_ms, wrong, recovery, state } = self;
        let visit = match visit {
            VisitRequest::Accession(number) => format!("accession {number}"),
            VisitRequest::Patient(id) => format!("patient {id}"),
            VisitRequest::Study(id) => format!("study {}", short(id)),
        };
        let (issued, expires) = (Timestamp(*issued_ms).day(), Timestamp(*expires_ms).day());
        let wrong = match wrong {
            0 => String::new(),
            more => format!("  {}", many(*more, "wrong answer", "wrong answers")),
        };
        let recovery = if *recovery { "  to give back" } else { "" };
        format!("{state:<8} {visit:<32} given out {issued}, good until {expires}{wrong}{recovery}")
    }
}
