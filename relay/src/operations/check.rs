//! `check`: reads every byte in the archive.

use clap::Args;
use clavicle_command::said::many;
use clavicle_imaging::accounting::{Accounting, FileFate, FileRow};
use clavicle_ledger::id::StudyId;
use clavicle_manifest::StoredDigest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::confirmed::{ListDigest, is_confirmed, unconfirmed};
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::archive::{ArchiveError, Checked};
use crate::service::Service;

/// Read every byte in the archive, and say what is not as it was; exits with 0 only if all is
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Check {
    /// List files that belong to no study, to be removed
    #[arg(long)]
    pub remove_stray: bool,
    /// Remove them, and not only list them: the digest that is said then
    #[arg(long, value_name = "DIGEST", requires = "remove_stray")]
    pub confirm: Option<String>,
}

/// What a check of the archive found. Files are named by their digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRow {
    /// What became of each file that should be there: as it was, other bytes or unreadable now, or gone.
    pub accounting: Accounting,
    /// Bytes of all files that should be there.
    pub bytes: u64,
    /// Files that belong to no study.
    pub stray: Vec<String>,
    /// A digest of the list of these, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Studies that the catalogue did not have as their records do. It has now.
    pub unlisted: Vec<String>,
    /// Studies whose record cannot be read, or contradicts the catalogue: they are left as they are.
    pub unreadable: Vec<String>,
    /// Studies whose record was not right, and was written again.
    pub unrecorded: Vec<String>,
    /// Whether the stray files were removed.
    pub removed: bool,
}

impl CheckRow {
    /// Whether all is as it should be, now.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let Self { accounting, bytes: _, stray, digest: _, unlisted, unreadable, unrecorded, removed } = self;
        let lists = [unlisted, unreadable, unrecorded];
        accounting.is_all_done() && lists.iter().all(|list| list.is_empty()) && (stray.is_empty() || *removed)
    }
}

impl Operation for Check {
    const WORD: &'static str = "check";

    type On = Service;
    type Answer = CheckRow;
    type Error = ArchiveError;

    fn work(self, service: &Service) -> Result<CheckRow, ArchiveError> {
        let Checked { sound, damaged, missing, stray, unlisted, unreadable, unrecorded } =
            service.images.archive.check(&mut |_, _| {})?;
        let mut digest = ListDigest::new();
        digest.add(stray.iter().map(StoredDigest::as_bytes));
        let digest = (!stray.is_empty()).then(|| digest.finish());
        let is_meant = |digest: &String| is_confirmed(self.confirm.as_deref(), digest);
        let removed = self.remove_stray && digest.as_ref().is_some_and(is_meant);
        if removed {
            service.images.archive.remove_stray(&stray)?;
        }
        let studies = |ids: Vec<StudyId>| ids.iter().map(ToString::to_string).collect();
        let names = |digests: Vec<StoredDigest>| digests.iter().map(ToString::to_string).collect();
        let row = |fate, why: &'static str| move |digest: StoredDigest| FileRow::new(digest.to_string(), fate, why);
        let damaged = damaged.into_iter().map(row(FileFate::Unreadable, "it is damaged, or cannot be read any more"));
        let rest: Vec<_> = damaged.chain(missing.into_iter().map(row(FileFate::Missing, "it is gone"))).collect();
        let sound = usize::try_from(sound).unwrap_or(usize::MAX);
        let given = sound.saturating_add(rest.len());
        Ok(CheckRow {
            accounting: Accounting { given, taken: sound, rest, besides: Vec::new() },
            bytes: service.images.archive.usage()?.bytes,
            stray: names(stray),
            digest,
            unlisted: studies(unlisted),
            unreadable: studies(unreadable),
            unrecorded: studies(unrecorded),
            removed,
        })
    }
}

impl Command for Check {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(request: &Self, row: CheckRow) -> Result<Answer, Failure> {
        let CheckRow { accounting, bytes, stray, digest, unlisted, unreadable, unrecorded, removed } = &row;
        let mut lines = vec![format!("{}, {:.1} MB", accounting.summary("as they were"), *bytes as f64 / 1e6)];
        lines.extend(accounting.lines());
        if !accounting.is_all_done() {
            lines.push(
                "Bring these back from a backup, or take the studies in again: what is there is not replaced.".into(),
            );
        }
        for (what, studies) in [("unlisted", unlisted), ("unreadable", unreadable)] {
            lines.extend(studies.iter().map(|study| format!("{what}  {study}")));
        }
        if !unlisted.is_empty() {
            lines.push(format!(
                "The catalogue did not have {}, and has now. Check again: the images were not looked at.",
                many(
                    unlisted.len(),
                    "study as its record in the archive does",
                    "studies as their records in the archive do"
                )
            ));
        }
        if !unreadable.is_empty() {
            lines.push(format!(
                "The records of {} cannot be read, or contradict the catalogue: nothing is added there, and nothing is removed. Put \
                 archive/studies back from a backup.",
                many(unreadable.len(), "study", "studies")
            ));
        }
        if !unrecorded.is_empty() {
            lines.push(format!(
                "The records of {} were not right, and were written again.",
                many(unrecorded.len(), "study", "studies")
            ));
        }
        if request.remove_stray {
            let fate = if *removed { "removed" } else { "would be removed" };
            lines.extend(stray.iter().map(|digest| format!("stray    {digest}  {fate}")));
        }
        if !stray.is_empty() && !removed {
            let say = if request.remove_stray { "" } else { ": `check --remove-stray` lists them" };
            lines.push(format!(
                "{} to no study, as after a kill{say}",
                many(stray.len(), "file belongs", "files belong")
            ));
        }
        let is_well = row.is_well();
        let count = |fate| accounting.rest.iter().filter(|row| row.fate == fate).count();
        let (damaged, missing, stray) = (count(FileFate::Unreadable), count(FileFate::Missing), stray.len());
        let sentence = format!(
            "not all is as it should be: {} damaged, {missing} missing, {stray} of no study; {} recorded, the records of {} were wrong, and of {} nobody can \
             say",
            many(damaged, "file", "files"),
            many(
                unlisted.len(),
                "study was not in the catalogue as it is",
                "studies were not in the catalogue as they are"
            ),
            unrecorded.len(),
            unreadable.len()
        );
        let unconfirmed_digest = digest.clone().filter(|_| request.remove_stray && !removed);
        let answer = Answer { text: lines.join("\n"), json: json!(row) };
        if let Some(digest) = unconfirmed_digest {
            return Err(unconfirmed(
                "these",
                &many(stray, "file", "files"),
                &digest,
                request.confirm.as_deref(),
                answer,
            ));
        }
        if is_well { Ok(answer) } else { Err(Failure::Found { code: "check", sentence, answer: Box::new(answer) }) }
    }
}
