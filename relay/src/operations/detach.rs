//! `detach`: a report is taken out of a study.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;

use super::attach::AttachRefused;
use super::reports::report_that_begins;
use super::studies_named::entry_that_begins;
use super::{Command, Operation, short};
use crate::answer::{Answer, Failure};
use crate::service::Service;

/// Take a report out of a study; whoever fetched the study is told that it was revised
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Detach {
    /// The study: how its id begins
    pub study: String,
    /// The report: how its digest begins
    pub report: String,
}

/// A study without a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// The study's id.
    pub study: String,
    /// The digest of the report that is in it no more.
    pub detached: String,
    /// The study's revision now.
    pub revision: u32,
    /// Whether earlier revisions name the report, so that its bytes are kept.
    pub kept: bool,
}

impl Operation for Detach {
    const WORD: &'static str = "detach";

    type On = Service;
    type Answer = Detached;
    type Error = AttachRefused;

    fn work(self, service: &Service) -> Result<Detached, AttachRefused> {
        let archive = &service.images.archive;
        let entry = entry_that_begins(archive, &self.study)?;
        let id = entry.manifest.manifest.header().study;
        let report = report_that_begins(&entry, &self.report).ok_or(AttachRefused::NoReport)?;
        archive.change_reports(id, &[report], &[], &service.member.signer((service.clock)().0))?;
        info!(study = short(&id.to_string()), report = short(&report.to_string()), "a report was detached");
        // A revision of a study that somebody holds goes to the ledger.
        service.store.note();
        let revision = archive.entry(id)?.map_or(0, |entry| entry.manifest.manifest.header().revision);
        Ok(Detached { study: id.to_string(), detached: report.to_string(), revision, kept: entry.claimed.is_some() })
    }
}

impl Command for Detach {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, done: Detached) -> Result<Answer, Failure> {
        let Detached { study, detached, revision, kept } = &done;
        let fate = if *kept {
            format!("it is in no revision from {revision} on, and stays on record in those before")
        } else {
            "nobody holds the study yet, so that nothing is left of it".to_owned()
        };
        let text = format!("{} detached from study {}: {fate}", short(detached), short(study));
        Ok(Answer { text, json: json!(done) })
    }
}
