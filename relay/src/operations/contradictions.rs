//! `contradictions`: everything that is kept as contradicting an instance.

use std::path::PathBuf;

use clap::Args;
use clavicle_command::said::many;
use clavicle_ledger::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::in_both;
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
    /// Whether they are an instance of this study, and another study has an instance of that name.
    #[serde(default)]
    pub in_two_studies: bool,
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
                path: service.images.archive.place(&stored),
                size: one.size,
                how: one.how.to_string(),
                came_ms: one.came.0,
                in_two_studies: false,
            }));
            let shared = service.images.archive.shared_names(study)?;
            rows.extend(shared.into_iter().map(|one| ContradictionRow {
                study: study.to_string(),
                sop_instance_uid: one.sop_instance_uid.to_string(),
                stored: one.stored.to_string(),
                path: service.images.archive.place(&one.stored),
                size: one.size,
                how: in_both(&entry.manifest.manifest.header().study_instance_uid, &one.other_study_instance_uid),
                came_ms: entry.grown.0,
                in_two_studies: true,
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
        let in_two = rows.iter().filter(|row| row.in_two_studies).count();
        match rows.len() - in_two {
            0 if in_two == 0 => lines.push("nothing contradicts anything".to_owned()),
            0 => {}
            1 => lines
                .push("1 file contradicts an instance; the study has what came first, and both are kept".to_owned()),
            more => lines
                .push(format!("{more} files contradict instances; the studies have what came first, and all are kept")),
        }
        if in_two > 0 {
            lines.push(format!(
                "{} listed with both studies; each study has its own. If one of two studies is a wrong copy, `clavicle-relay remove` takes it out",
                many(
                    in_two,
                    "instance has the name of one in another study, and is",
                    "instances have the name of one in another study, and are"
                )
            ));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two studies with the same names it was said that they have what came first.
    #[test]
    fn what_is_in_two_studies_did_not_come_second() {
        let said = |shared: &[bool]| {
            let row = |in_two_studies: &bool| ContradictionRow {
                study: "6e85".to_owned(),
                sop_instance_uid: "1.2".to_owned(),
                stored: "5b1f".to_owned(),
                path: PathBuf::from("archive/5b/1f"),
                size: 1,
                how: "as it is".to_owned(),
                came_ms: 0,
                in_two_studies: *in_two_studies,
            };
            let rows = shared.iter().map(row).collect();
            Contradictions::say(&Contradictions {}, rows).unwrap().text
        };
        assert_eq!(said(&[]), "nothing contradicts anything");
        assert!(said(&[true, true]).contains("\n2 instances have the name of one in another study"));
        assert!(!said(&[true, true]).contains("what came first"));
        assert!(said(&[false]).ends_with("the study has what came first, and both are kept"));
        assert!(said(&[false, true, false]).contains("2 files contradict instances"));
    }
}
