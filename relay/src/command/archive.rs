//! `quarantine`, `close`, `remove`, `check`: what an operator does with the archive.

use std::path::Path;

use serde_json::json;

use super::inspect::{ask, tell};
use super::{Answer, CommandError};
use crate::control;
use crate::reception::QuarantineRow;
use crate::service::{CheckRequest, CheckRow, Done};

pub(super) fn quarantine(dir: &Path) -> Result<Answer, CommandError> {
    let rows: Vec<QuarantineRow> = ask(dir, control::QUARANTINE, |service| Ok(service.quarantine()?))?;
    let mut lines: Vec<String> = rows.iter().map(QuarantineRow::line).collect();
    lines.push(format!("{} files", rows.len()));
    Ok(Answer { text: lines.join("\n"), json: json!({ "quarantined": rows }) })
}

pub(super) fn close(dir: &Path, study: &str) -> Result<Answer, CommandError> {
    let done: Done = tell(dir, control::CLOSE, &study, |service| Ok(service.close(study)?))?;
    let was = if done.changed { "closed" } else { "was closed already" };
    Ok(Answer { text: format!("{} {was}", short(&done.study)), json: json!(done) })
}

pub(super) fn remove(dir: &Path, study: &str) -> Result<Answer, CommandError> {
    let done: Done = tell(dir, control::REMOVE, &study, |service| Ok(service.remove(study)?))?;
    Ok(Answer { text: format!("{} removed, with its images", short(&done.study)), json: json!(done) })
}

pub(super) fn check(dir: &Path, remove_stray: bool) -> Result<Answer, CommandError> {
    let request = CheckRequest { remove_stray };
    let row: CheckRow = tell(dir, control::CHECK, &request, |service| Ok(service.check(request)?))?;
    let CheckRow { sound, bytes, damaged, missing, stray, removed } = &row;
    let total = sound + (damaged.len() + missing.len()) as u64;
    let mut lines = vec![format!("{sound} of {total} files as they were, {:.1} MB", *bytes as f64 / 1e6)];
    for (what, digests) in [("damaged", damaged), ("missing", missing)] {
        lines.extend(digests.iter().map(|digest| format!("{what}  {digest}")));
    }
    if !damaged.is_empty() || !missing.is_empty() {
        lines.push(
            "Bring these back from a backup, or take the studies in again: what is there is not replaced.".into(),
        );
    }
    if !stray.is_empty() {
        let fate = if *removed { "; removed" } else { "; `check --remove-stray` removes them" };
        lines.push(format!("{} files belong to no study: a kill left them{fate}", stray.len()));
    }
    Ok(Answer { text: lines.join("\n"), json: json!(row) })
}

fn short(study: &str) -> &str {
    study.get(..12).unwrap_or(study)
}
