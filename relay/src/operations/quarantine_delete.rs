//! `quarantine-delete`: files in quarantine go, by somebody's decision.

use clap::Args;
use clavicle_command::said::many;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::confirmed::{ListDigest, is_confirmed, unconfirmed};
use super::quarantine_named::{Because, QuarantineError, files_that_begin};
use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::quarantine::{Act, QuarantineRow};
use crate::service::Service;

/// Delete files in quarantine: nobody has their bytes after that but their sender, perhaps
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct QuarantineDelete {
    /// The files: how their names in the list begin
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Who decides, and why.
    #[command(flatten)]
    #[serde(flatten)]
    pub because: Because,
    /// Delete them, and not only say what that would be: the digest that is said then
    #[arg(long, value_name = "DIGEST")]
    pub confirm: Option<String>,
}

/// What became of files that were to be deleted.
#[derive(Debug, Serialize, Deserialize)]
pub struct Deletion {
    /// The files.
    pub files: Vec<QuarantineRow>,
    /// A digest of the list of these.
    pub digest: String,
    /// Whether they were deleted.
    pub deleted: bool,
}

impl Operation for QuarantineDelete {
    const WORD: &'static str = "quarantine-delete";

    type On = Service;
    type Answer = Deletion;
    type Error = QuarantineError;

    fn work(self, service: &Service) -> Result<Deletion, QuarantineError> {
        let quarantine = &service.images.quarantine;
        let failed = QuarantineError::of(quarantine);
        let _deciding = quarantine.deciding();
        let files = files_that_begin(quarantine, &self.names)?;
        let mut digests = Vec::new();
        for row in &files {
            digests.push(quarantine.hashed(row).map_err(&failed)?.1);
        }
        let mut digest = ListDigest::new();
        digest.add(digests.iter().map(clavicle_manifest::StoredDigest::as_bytes));
        let digest = digest.finish();
        let deleted = is_confirmed(self.confirm.as_deref(), &digest);
        if deleted {
            let decision = self.because.decision(service);
            for (row, digest) in files.iter().zip(digests) {
                quarantine.put_on_record(row, digest, Act::Delete, &decision, None).map_err(&failed)?;
                quarantine.let_go(row).map_err(&failed)?;
            }
        }
        Ok(Deletion { files, digest, deleted })
    }
}

impl Command for QuarantineDelete {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(Self { because: arguments.because.asked()?, ..arguments.clone() })
    }

    fn say(Self { confirm, .. }: &Self, deletion: Deletion) -> Result<Answer, Failure> {
        let Deletion { files, digest, deleted } = &deletion;
        let fate = if *deleted { "deleted" } else { "would be deleted" };
        let lines: Vec<String> = files.iter().map(|row| format!("{fate}  {}", row.line())).collect();
        let answer = Answer { text: lines.join("\n"), json: json!(deletion) };
        if *deleted {
            return Ok(answer);
        }
        Err(unconfirmed("these files", &many(files.len(), "file", "files"), digest, confirm.as_deref(), answer))
    }
}
