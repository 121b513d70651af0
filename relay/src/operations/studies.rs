//! `studies`: the studies in the archive.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation, short};
use crate::answer::{Answer, Failure};
use crate::archive::{ArchiveError, Entry};
use crate::service::Service;

/// List the studies in the archive
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Studies {}

/// A study in the archive, as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyRow {
    /// Its id.
    pub study: String,
    /// Study Instance UID.
    pub study_instance_uid: String,
    /// Accession Number.
    pub accession_number: String,
    /// Study Date.
    pub date: Option<String>,
    /// Study Description.
    pub description: String,
    /// The modalities in it.
    pub modalities: String,
    /// Series.
    pub series: usize,
    /// Instances.
    pub instances: usize,
    /// Attachments.
    pub attachments: usize,
    /// Bytes.
    pub bytes: u64,
    /// Whether more is expected.
    pub open: bool,
    /// The manifest's revision.
    pub revision: u32,
    /// Whether somebody holds it, or is about to.
    pub claimed: bool,
}

impl Operation for Studies {
    const WORD: &'static str = "studies";

    type On = Service;
    type Answer = Vec<StudyRow>;
    type Error = ArchiveError;

    fn work(self, service: &Service) -> Result<Vec<StudyRow>, ArchiveError> {
        Ok(service.images.archive.studies()?.iter().map(StudyRow::of).collect())
    }
}

impl Command for Studies {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, rows: Vec<StudyRow>) -> Result<Answer, Failure> {
        let mut lines: Vec<String> = rows.iter().map(StudyRow::line).collect();
        lines.push(format!("{} studies", rows.len()));
        Ok(Answer { text: lines.join("\n"), json: json!({ "studies": rows }) })
    }
}

impl StudyRow {
    fn of(entry: &Entry) -> Self {
        let manifest = &entry.manifest.manifest;
        let (header, counts) = (manifest.header(), manifest.counts());
        let mut modalities: Vec<&str> = manifest.series().iter().map(|series| series.modality.as_str()).collect();
        modalities.sort_unstable();
        modalities.dedup();
        Self {
            study: header.study.to_string(),
            study_instance_uid: header.study_instance_uid.as_str().to_owned(),
            accession_number: entry.accession_number.to_string(),
            date: header.study_date.map(|date| date.to_string()),
            description: header.description.to_string(),
            modalities: modalities.join(" "),
            series: counts.series,
            instances: counts.instances,
            attachments: counts.attachments,
            bytes: counts.bytes,
            open: header.open,
            revision: header.revision,
            claimed: entry.claimed.is_some(),
        }
    }

    /// The study in a line for a person.
    fn line(&self) -> String {
        let Self { study, date, modalities, instances, series, description, claimed, .. } = self;
        let held = if *claimed { "held    " } else { "unclaimed" };
        format!(
            "{}  {:<10}  {modalities:<8} {instances:>5} instances in {series:>3} series  {held:<9}  {description}",
            short(study),
            date.as_deref().unwrap_or("no date"),
        )
    }
}
