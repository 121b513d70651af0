//! `completeness`: what studies say of their own completeness.

use clap::Args;
use clavicle_imaging::completeness::Completeness as Said;
use clavicle_imaging::intake::Intake;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::study_that_begins;
use super::{Command, NotFound, Operation};
use crate::answer::{Answer, Failure};
use crate::service::Service;

/// Tell what studies say of their own completeness: numbers left out, slices missing, images listed and not there; exits with 0 only if nothing speaks for
/// missing images
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Completeness {
    /// The study: how its id begins; all without it
    pub study: Option<String>,
}

/// What studies say of their own completeness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletenessRow {
    /// Lines for a person.
    pub lines: String,
    /// Studies of which something speaks for missing images, by Study Instance UID.
    pub suspicious: Vec<String>,
}

impl Operation for Completeness {
    const WORD: &'static str = "completeness";

    type On = Service;
    type Answer = CompletenessRow;
    type Error = NotFound;

    fn work(self, service: &Service) -> Result<CompletenessRow, NotFound> {
        let studies = match &self.study {
            Some(begin) => vec![study_that_begins(&service.images.archive, begin)?],
            None => service.images.archive.studies()?.into_iter().map(|one| one.study).collect(),
        };
        let (archive, reader) = (&*service.images.archive, &*service.images.reader);
        let (mut lines, mut suspicious) = (Vec::new(), Vec::new());
        for study in studies {
            let Some(entry) = archive.entry(study)? else { continue };
            let instances = entry.manifest.manifest.instances();
            let files = instances.map(|instance| archive.place(&instance.stored)).collect();
            let said = Said::of_some(archive, &Intake::of_some(archive, files, reader), reader);
            let doubtful = said.studies.iter().filter(|study| study.is_suspicious());
            suspicious.extend(doubtful.map(|study| study.study_instance_uid.to_string()));
            lines.push(said.to_string());
        }
        Ok(CompletenessRow { lines: lines.concat().trim_end().to_owned(), suspicious })
    }
}

impl Command for Completeness {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, row: CompletenessRow) -> Result<Answer, Failure> {
        let lines = if row.lines.is_empty() { "there are no studies" } else { &row.lines };
        let shortfall = match row.suspicious.as_slice() {
            [] => None,
            [study] => Some(format!("something speaks for missing images in study {study}")),
            more => Some(format!("something speaks for missing images in {} studies", more.len())),
        };
        let sentence = shortfall.map(|what| {
            format!(
                "{what}: see whether the modality or the PACS has more, and take it in with `clavicle-relay ingest`"
            )
        });
        Failure::unless_all(sentence, "suspicious", Answer { text: lines.to_owned(), json: json!(row) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It said what was missing, and exited with 0.
    #[test]
    fn a_study_of_which_images_may_be_missing_is_not_all_right() {
        let said = |suspicious: &[&str]| {
            let suspicious = suspicious.iter().map(|uid| (*uid).to_owned()).collect();
            Completeness::say(
                &Completeness { study: None },
                CompletenessRow { lines: "1 series".to_owned(), suspicious },
            )
        };
        assert_eq!(said(&[]).unwrap().text, "1 series");
        for (suspicious, words) in [(&["1.2"][..], "images in study 1.2: see"), (&["1.2", "1.3"], "in 2 studies: see")]
        {
            let failure = said(suspicious).unwrap_err();
            assert_eq!((failure.code(), failure.exit_code(), failure.found()), ("suspicious", 1, Some("1 series")));
            assert!(failure.to_string().contains(words), "{failure}");
            assert_eq!(failure.to_json()["suspicious"], json!(suspicious));
        }
    }
}
