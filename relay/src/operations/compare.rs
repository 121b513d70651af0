//! `compare`: a folder against the manifest of a study.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use clavicle_imaging::accounting::Accounting;
use clavicle_imaging::intake::{Intake, MAX_ATTACHMENT_LEN, Quarantined};
use clavicle_imaging::reason::IntakeError;
use clavicle_manifest::{Altered, Change, Manifest, Received, StoredDigest, Uid};
use clavicle_sandbox::{Files as _, OnDisk};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::entry_that_begins;
use super::{Command, NoFolder, NotFound, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::service::Service;

/// Hold a folder (a CD, an export of the PACS, what somebody received) against a study's manifest
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Compare {
    /// The study: how its id begins
    pub study: String,
    /// The folder
    #[serde(with = "crate::path::exact")]
    pub folder: PathBuf,
}

/// A folder against a manifest. Instances are named by their SOP Instance UIDs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareRow {
    /// The study's id.
    pub study: String,
    /// In one sentence.
    pub sentence: String,
    /// Whether everything that was signed is there as signed, and nothing else.
    pub exact: bool,
    /// Whether it is there with the same content, and nothing else: an archive may have encoded it differently.
    pub same: bool,
    /// Instances in the manifest.
    pub listed: usize,
    /// Those that are there as signed.
    pub intact: usize,
    /// Those that are not there.
    pub missing: Vec<String>,
    /// Those that are there and differ, each with how.
    pub altered: Vec<(String, String)>,
    /// What is there and not in the manifest.
    pub extra: Vec<String>,
    /// What became of each file of the folder.
    pub accounting: Accounting,
}

/// Why they were not compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// Which study.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// See [`IntakeError`].
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl Refusing for CompareError {
    fn code(&self) -> &str {
        match self {
            Self::NotFound(error) => error.code(),
            Self::Intake(_) => "pickup",
        }
    }
}

impl Operation for Compare {
    const WORD: &'static str = "compare";

    type On = Service;
    type Answer = CompareRow;
    type Error = CompareError;

    fn work(self, service: &Service) -> Result<CompareRow, CompareError> {
        let entry = entry_that_begins(&service.images.archive, &self.study)?;
        let intake = Intake::of_folder(&self.folder, &*service.images.reader)?;
        let manifest = &entry.manifest.manifest;
        let (reports, mut accounting) = (reports(&intake, manifest), intake.accounting());
        reports.iter().for_each(|(path, _)| accounting.take_after_all(path));
        let received = reports.iter().map(|(_, stored)| Received::Attachment(*stored));
        let comparison = manifest.compare(intake.received().chain(received));
        let is_same = |one: &Altered| one.change == Change::Encoding;
        let uids = |uids: &[Uid]| uids.iter().map(ToString::to_string).collect();
        let altered = comparison.altered.iter();
        Ok(CompareRow {
            study: manifest.header().study.to_string(),
            sentence: comparison.to_string(),
            exact: comparison.is_exact(),
            same: comparison.missing.is_empty()
                && comparison.extra.is_empty()
                && comparison.missing_attachments.is_empty()
                && comparison.altered.iter().all(is_same),
            listed: comparison.listed,
            intact: comparison.intact,
            missing: uids(&comparison.missing),
            altered: altered.map(|one| (one.sop_instance_uid.to_string(), one.change.to_string())).collect(),
            extra: uids(&comparison.extra),
            accounting,
        })
    }
}

impl Command for Compare {
    type Arguments = Self;

    fn request(Self { study, folder }: &Self) -> Result<Self, Failure> {
        Ok(Self { study: study.clone(), folder: NoFolder::or(folder)? })
    }

    fn say(_: &Self, row: CompareRow) -> Result<Answer, Failure> {
        let CompareRow { sentence, same, accounting, .. } = &row;
        let differs = || "the folder is not the study as it was signed, no more and no less".to_owned();
        let mut lines = vec![sentence.clone(), accounting.summary("compared")];
        lines.extend(accounting.lines());
        let answer = Answer { text: lines.join("\n"), json: json!(row) };
        match same {
            true => Failure::unless_all(accounting.shortfall("compared"), "not_compared", answer),
            false => Failure::unless_all(Some(differs()), "differs", answer),
        }
    }
}

/// Files of the folder that are reports of the study: those with the same bytes, whatever they are called.
fn reports(intake: &Intake, manifest: &Manifest) -> Vec<(PathBuf, StoredDigest)> {
    let mut found = Vec::new();
    for Quarantined { path, .. } in &intake.quarantined {
        let Ok(file) = OnDisk.open(path) else { continue };
        let Ok(len) = file.metadata().map(|metadata| metadata.len()) else { continue };
        if !manifest.attachments().iter().any(|one| one.size == len) {
            continue;
        }
        let mut bytes = Vec::new();
        if file.take(MAX_ATTACHMENT_LEN).read_to_end(&mut bytes).is_ok() {
            let stored = StoredDigest::of(&bytes);
            found.extend(manifest.attachments().find(&stored).map(|_| (path.clone(), stored)));
        }
    }
    found
}
