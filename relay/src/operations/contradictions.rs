//! `contradictions`: everything that is kept as contradicting an instance.

use std::path::PathBuf;

use clap::Args;
use clavicle_ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::{absolute, in_both};
use super::{Command, Operation, short};
use crate::answer::{Answer, Failure};
use crate::archive::ArchiveError;
use crate::service::Service;

/// List files that are kept and contradict an instance: the same SOP Instance UID, and other bytes
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Contradictions {}

/// Other bytes than those in the study, which came under the name of an instance of it. Both are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContradictionRow {
    /// The study's id.
    pub study: String,
    /// The SOP Instance UID that both have.
    pub sop_instance_uid: String,
    /// The digest of these bytes, by which the archive has them.
    pub stored: String,
    /// Where they are.
    #[serde(serialize_with = "crate::path::lossy")]
    pub path: PathBuf,
    /// How many they are.
    pub size: u64,
    /// How they differ from those in the study.
    pub how: String,
    /// When they came, in milliseconds since 1970.
    pub came_ms: u64,
}

impl Operation for Contradictions {
    const WORD: &'static str = "contradictions";

    type On = Service;
    type Answer = Vec<ContradictionRow>;
    type Error = ArchiveError;

    fn work(self, service: &Service) -> Result<Vec<ContradictionRow>, ArchiveError> {
        let mut rows = Vec::new();
        for study in service.images.archive.studies()? {
            let Some(entry) = service.images.archive.entry(study.study)? else { continue };
            let study = study.study;
            let all = service.images.archive.contradictions(study)?;
            rows.extend(all.into_iter().map(|(stored, one)| ContradictionRow {
                study: study.to_string(),
                sop_instance_uid: one.sop_instance_uid.to_string(),
                stored: stored.to_string(),
                path: absolute(service.images.archive.place(&stored)),
                size: one.size,
                how: one.how.to_string(),
                came_ms: one.came.0,
            }));
            let shared = service.images.archive.shared_names(study)?;
            rows.extend(shared.into_iter().map(|one| ContradictionRow {
                study: study.to_string(),
                sop_instance_uid: one.sop_instance_uid.to_string(),
                stored: one.stored.to_string(),
                path: absolute(service.images.archive.place(&one.stored)),
                size: one.size,
                how: in_both(&entry.manifest.manifest.header().study_instance_uid, &one.other_study_instance_uid),
                came_ms: entry.grown.0,
            }));
        }
        Ok(rows)
    }
}

impl Command for Contradictions {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, rows: Vec<ContradictionRow>) -> Result<Answer, Failure> {
        let mut lines: Vec<String> = rows.iter().map(ContradictionRow::line).collect();
        lines.push(match rows.len() {
            0 => "nothing contradicts anything".to_owned(),
            1 => "1 file contradicts an instance; the study has what came first, and both are kept".to_owned(),
            more => format!("{more} files contradict instances; the studies have what came first, and all are kept"),
        });
        Ok(Answer { text: lines.join("\n"), json: json!({ "contradictions": rows }) })
    }
}

impl ContradictionRow {
    fn line(&self) -> String {
        let Self { study, sop_instance_uid, path, how, came_ms, .. } = self;
        let day = Timestamp(*came_ms).day();
        format!("{}  {sop_instance_uid}  came {day}  {how}  {}", short(study), path.display())
    }
}
