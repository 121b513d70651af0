//! `report`: what those who pay for the network are shown: an epoch's record, line by line, with what proves it.

use std::path::PathBuf;

use clap::Args;
use clavicle_command::file::{Readers, write_new};
use clavicle_ledger::encoding;
use clavicle_ledger::record::{Line, MAX_RECORDS, ProvenRecord};
use clavicle_ledger::state::{ReadError, ReadRows as _, StateKey};
use clavicle_ledger::tree;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation, Unwritten};
use crate::answer::{Answer, Failure, Refusing};
use crate::service::Service;
use crate::store::StoreError;

/// Tell what each hospital did in an epoch: what those who pay for the network are shown
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Report {
    /// The epoch; the last one that is over without it
    #[arg(long)]
    pub epoch: Option<u64>,
    /// The file to write the proof into: the record, its place in the state, and a header that the hospitals signed
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub proof: Option<PathBuf>,
}

/// An epoch as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Which epoch.
    pub epoch: u64,
    /// Its first block.
    pub first: u64,
    /// Its last block; none while it is running.
    pub last: Option<u64>,
    /// When its first block was made, in milliseconds since 1970.
    pub began_ms: u64,
    /// Each hospital, by id.
    pub lines: Vec<ReportRow>,
    /// A [`ProvenRecord`] in hexadecimal digits, which proves it without this relay's word.
    pub proof: String,
}

/// What a hospital did in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: String,
    /// Its voting power from the epoch's first block on.
    pub power: u64,
    /// Blocks that it was to propose.
    pub proposals_due: u64,
    /// Of these, those it did.
    pub proposals_made: u64,
    /// Blocks that it was to vote for.
    pub votes_due: u64,
    /// Of these, those it did not.
    pub votes_missing: u64,
    /// Times it was shown to have signed twice.
    pub equivocations: u64,
    /// Studies that it registered.
    pub studies: u64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// Not yet, or no longer.
    #[error("there is no record of epoch {epoch}: {running} is running, and the last {MAX_RECORDS} are kept")]
    NoRecord {
        /// Which was asked for.
        epoch: u64,
        /// Which is running.
        running: u64,
    },
    /// Nothing to prove it with.
    #[error("the network has decided no block yet, so that nothing can be proven; is the relay running?")]
    NoBlock,
}

impl Refusing for ReportError {
    fn code(&self) -> &str {
        match self {
            Self::NoRecord { .. } | Self::NoBlock => "epoch",
            Self::Store(_) | Self::State(_) => "store",
        }
    }
}

impl Operation for Report {
    const WORD: &'static str = "report";

    type On = Service;
    type Answer = EpochReport;
    type Error = ReportError;

    /// The record of an epoch; of the last one that is over, or of the first, when none is named.
    fn work(self, service: &Service) -> Result<EpochReport, ReportError> {
        let snapshot = service.store.snapshot()?;
        let head = snapshot.head()?;
        let epoch = self.epoch.unwrap_or(head.epoch.saturating_sub(1));
        let record = snapshot.record(epoch)?.ok_or(ReportError::NoRecord { epoch, running: head.epoch })?;
        let row = |line: &Line| {
            let Line { source, power, .. } = *line;
            let Line { proposals_due, proposals_made, votes_due, votes_missing, equivocations, studies, .. } = *line;
            let name = snapshot.source(source)?.map_or_else(String::new, |source| source.announced.name.to_string());
            let source = source.to_string();
            Ok::<_, ReportError>(ReportRow {
                name,
                source,
                power,
                proposals_due,
                proposals_made,
                votes_due,
                votes_missing,
                equivocations,
                studies,
            })
        };
        let lines = record.lines.iter().map(row).collect::<Result<_, _>>()?;
        let certified = service.store.certified(head.height)?.ok_or(ReportError::NoBlock)?;
        let row = tree::prove(&snapshot, &snapshot, StateKey::Record(epoch));
        let row = row.map_err(|_| StoreError::damaged("a row", None))?;
        let proof = encoding::Hex(&encoding::encode(&ProvenRecord { head: certified, row })).to_string();
        Ok(EpochReport {
            epoch,
            first: record.first,
            last: record.last,
            began_ms: record.began.timestamp().0,
            lines,
            proof,
        })
    }
}

impl Command for Report {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(Self { proof, .. }: &Self, report: EpochReport) -> Result<Answer, Failure> {
        let mut text = report.lines();
        if let Some(path) = proof {
            let bytes = encoding::from_hex(&report.proof).ok_or(Unwritten::Digits("the proof"))?;
            write_new(path, &bytes, Readers::Usual).map_err(|error| Unwritten::file(path, error))?;
            text.push_str(&format!("\n\nproof       {} bytes, in {}", bytes.len(), path.display()));
        }
        Ok(Answer { text, json: json!(report) })
    }
}

impl EpochReport {
    /// The report in lines for a person.
    fn lines(&self) -> String {
        let Self { epoch, first, last, began_ms, lines, proof: _ } = self;
        let began = clavicle_ledger::time::Timestamp(*began_ms);
        let blocks =
            last.map_or_else(|| format!("from block {first}, and running"), |last| format!("blocks {first} to {last}"));
        let mut text = format!(
            "epoch {epoch}, {blocks}, from {began}\n\npower  proposed      voted         twice  studies  hospital"
        );
        for row in lines {
            let proposed = format!("{} of {}", row.proposals_made, row.proposals_due);
            let voted = format!("{} of {}", row.votes_due.saturating_sub(row.votes_missing), row.votes_due);
            let ReportRow { name, power, equivocations, studies, .. } = row;
            text.push_str(&format!(
                "\n{power:>5}  {proposed:<12}  {voted:<12}  {equivocations:>5}  {studies:>7}  {name}"
            ));
        }
        text
    }
}
