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

/// Tell what studies say of their own completeness: numbers left out, slices missing, images listed and not there
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
        Ok(Answer { text: lines.to_owned(), json: json!(row) })
    }
}
