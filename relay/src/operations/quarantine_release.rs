//! `quarantine-release`: files in quarantine are taken into the archive after all, or refused again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use clavicle_command::said::many;
use clavicle_imaging::intake::Intake;
use clavicle_manifest::StoredDigest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::quarantine_named::{Because, QuarantineError, files_that_begin};
use super::{Command, NoFolder, Operation};
use crate::answer::{Answer, Failure};
use crate::archive::{ArchiveError, Origin, Taken};
use crate::quarantine::{Act, Decision, QuarantineRow};
use crate::service::Service;

/// Have files in quarantine taken into the archive after all, by decision or once they are repaired
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct QuarantineRelease {
    /// The files: how their names in the list begin
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Who decides, and why.
    #[command(flatten)]
    #[serde(flatten)]
    pub because: Because,
    /// Take this file in, which somebody repaired, in place of the one in quarantine; that one stays until it is deleted
    #[arg(long, value_name = "FILE")]
    #[serde(with = "crate::path::exact_if_any", default)]
    pub repaired: Option<PathBuf>,
}

/// What became of files that were to be released.
#[derive(Debug, Serialize, Deserialize)]
pub struct Release {
    /// Those that are in the archive now.
    pub released: Vec<ReleasedRow>,
    /// Those that were refused again, and are still in quarantine: with the reason of now.
    pub refused: Vec<QuarantineRow>,
}

/// A file that is in the archive now.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReleasedRow {
    /// What the list said of it.
    #[serde(flatten)]
    pub row: QuarantineRow,
    /// The study that it is in, by id.
    pub study: String,
    /// What became of that by it.
    pub outcome: String,
    /// Whether the file is in quarantine still, since a repaired one was taken in.
    pub stays: bool,
}

/// What became of a file, for the record.
type Outcome = Result<Taken, String>;

impl Operation for QuarantineRelease {
    const WORD: &'static str = "quarantine-release";

    type On = Service;
    type Answer = Release;
    type Error = QuarantineError;

    fn work(self, service: &Service) -> Result<Release, QuarantineError> {
        let quarantine = &service.images.quarantine;
        let failed = QuarantineError::of(quarantine);
        let _deciding = quarantine.deciding();
        let rows = files_that_begin(quarantine, &self.names)?;
        if self.repaired.is_some() && rows.len() != 1 {
            return Err(QuarantineError::OneRepaired);
        }
        let decision = self.because.decision(service);
        let mut asked: Vec<(QuarantineRow, StoredDigest, PathBuf)> = Vec::new();
        for row in rows {
            let (_, digest) = quarantine.hashed(&row).map_err(&failed)?;
            let with = self.repaired.as_ref().map(|repaired| format!("with {}", repaired.display()));
            // Before anything is done: an act that a kill cut short is on record, too.
            quarantine.put_on_record(&row, digest, Act::Release, &decision, with).map_err(&failed)?;
            let path = self.repaired.clone().unwrap_or_else(|| row.path.clone());
            asked.push((row, digest, path));
        }
        let outcomes = take_in(service, asked.iter().map(|(_, _, path)| path.clone()).collect())?;
        let mut release = Release { released: Vec::new(), refused: Vec::new() };
        for (row, digest, path) in asked {
            let outcome = outcomes.get(&path).cloned();
            let outcome = outcome.unwrap_or_else(|| Err("it is no image, but a table of contents".to_owned()));
            self.settle(service, (row, digest), &decision, outcome, &mut release).map_err(&failed)?;
        }
        Ok(release)
    }
}

impl QuarantineRelease {
    /// Writes down what became of a file, and lets it go if it is in the archive.
    fn settle(
        &self,
        service: &Service,
        (row, digest): (QuarantineRow, StoredDigest),
        decision: &Decision,
        outcome: Outcome,
        release: &mut Release,
    ) -> std::io::Result<()> {
        let quarantine = &service.images.quarantine;
        match outcome {
            Ok(taken) => {
                let stays = self.repaired.is_some();
                let (act, study) = (if stays { Act::Replaced } else { Act::Released }, taken.study().to_string());
                let outcome = match taken {
                    Taken::New(_) => "a new study",
                    Taken::Grown(_) => "added to its study",
                    Taken::Known(_) | Taken::Late(_) => "its study had it already",
                };
                let said = format!("study {study}: {outcome}");
                quarantine.put_on_record(&row, digest, act, decision, Some(said))?;
                if !stays {
                    quarantine.let_go(&row)?;
                }
                release.released.push(ReleasedRow { row, study, outcome: outcome.to_owned(), stays });
            }
            Err(reason) => {
                quarantine.put_on_record(&row, digest, Act::Refused, decision, Some(reason.clone()))?;
                if self.repaired.is_none() {
                    quarantine.say_again(&row, &reason)?;
                }
                release.refused.push(QuarantineRow { reason, ..row });
            }
        }
        Ok(())
    }
}

/// The ordinary way into the archive; what became of each file.
fn take_in(service: &Service, files: Vec<PathBuf>) -> Result<BTreeMap<PathBuf, Outcome>, ArchiveError> {
    let images = &service.images;
    let signer = service.member.signer((service.clock)().0);
    let intake = Intake::of_files(files, &*images.reader);
    let mut outcomes: BTreeMap<PathBuf, Outcome> = BTreeMap::new();
    for study in &intake.studies {
        let conflicts = intake.conflicts_of(&study.study_instance_uid);
        // A person hands them in: also to a study that is closed.
        let outcome = match images.archive.take(study, &conflicts, Origin::Handed, &signer) {
            Err(error @ (ArchiveError::Store(_) | ArchiveError::File { .. } | ArchiveError::Random(_))) => {
                return Err(error);
            }
            outcome => outcome.map_err(|error| error.on_screen()),
        };
        let all = study.series.iter().flat_map(|series| &series.instances).map(|one| &one.path);
        for path in all.chain(conflicts.iter().map(|one| &one.path)) {
            outcomes.insert(path.clone(), outcome.clone());
        }
    }
    for one in &intake.quarantined {
        outcomes.insert(one.path.clone(), Err(one.reason.on_screen()));
    }
    for one in &intake.conflicts {
        // Of a study that names two patients.
        outcomes
            .entry(one.path.clone())
            .or_insert_with(|| Err(format!("it contradicts another instance ({})", one.change)));
    }
    for one in &intake.duplicates {
        let of = outcomes.get(&one.of).cloned();
        outcomes.extend(of.map(|of| (one.path.clone(), of)));
    }
    // Revisions of studies that somebody holds go to the ledger.
    service.store.note();
    Ok(outcomes)
}

impl Command for QuarantineRelease {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        let repaired = arguments.repaired.as_deref().map(NoFolder::or).transpose()?;
        Ok(Self { because: arguments.because.asked()?, repaired, ..arguments.clone() })
    }

    fn say(_: &Self, release: Release) -> Result<Answer, Failure> {
        let Release { released, refused } = &release;
        let mut lines = Vec::new();
        for ReleasedRow { row, study, outcome, stays } in released {
            let stays = if *stays { "; the file that came stays in quarantine until it is deleted" } else { "" };
            lines.push(format!("released  {}  study {study}: {outcome}{stays}", row.name));
        }
        lines.extend(refused.iter().map(|row| format!("refused   {}  {}", row.name, row.reason)));
        lines.push(format!("{} released, {} refused again", released.len(), refused.len()));
        let answer = Answer { text: lines.join("\n"), json: json!(release) };
        let Some(first) = refused.first() else { return Ok(answer) };
        let sentence = format!(
            "{} still in quarantine: {}",
            many(refused.len(), "file was refused again, and is", "files were refused again, and are"),
            first.reason
        );
        Err(Failure::Found { code: "refused", sentence, answer: Box::new(answer) })
    }
}
