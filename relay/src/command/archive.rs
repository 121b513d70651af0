//! `quarantine`, `close`, `remove`, `expire`, `check`, `contradictions`, `compare`, `completeness`, `kos`: what an operator does with the archive.

use std::fs;
use std::path::Path;

use clavicle_ledger::encoding;
use clavicle_ledger::time::Timestamp;
use serde_json::json;

use super::inspect::{ask, tell};
use super::{Answer, CommandError};
use crate::control::{self, ClientError};
use crate::reception::QuarantineRow;
use crate::service::{
    CheckRequest, CheckRow, CompareRequest, CompareRow, CompletenessRow, ContradictionRow, Done, Expired, KosRow,
    NewStanding, StandingRequest, Stands,
};

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

pub(super) fn stand(dir: &Path, request: &StandingRequest) -> Result<Answer, CommandError> {
    let stands: Stands = tell(dir, control::STAND, request, |service| Ok(service.stand(request)?))?;
    let (what, then) = match request.to {
        NewStanding::Suspended(_) => ("suspended", "; nobody is served, and whoever has a copy is told"),
        NewStanding::Resumed => ("resumed", "; it is served as before"),
        NewStanding::Withdrawn(_) => ("withdrawn for ever", "; whoever has a copy is told"),
    };
    let text = format!("{} {what}: final at height {}{then}", short(&stands.study), stands.height);
    Ok(Answer { text, json: json!(stands) })
}

pub(super) fn remove(dir: &Path, study: &str) -> Result<Answer, CommandError> {
    let done: Done = tell(dir, control::REMOVE, &study, |service| Ok(service.remove(study)?))?;
    Ok(Answer { text: format!("{} removed, with its images", short(&done.study)), json: json!(done) })
}

pub(super) fn expire(dir: &Path, before: &str) -> Result<Answer, CommandError> {
    let expired: Expired = tell(dir, control::EXPIRE, &before, |service| Ok(service.expire(before)?))?;
    let mut lines = vec![format!("{} studies from before {before} removed", expired.removed.len())];
    if !expired.held.is_empty() {
        let names: Vec<&str> = expired.held.iter().map(|study| short(study)).collect();
        lines.push(format!("kept, since somebody holds them and they are not withdrawn: {}", names.join(", ")));
    }
    Ok(Answer { text: lines.join("\n"), json: json!(expired) })
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

pub(super) fn compare(dir: &Path, study: &str, folder: &Path) -> Result<Answer, CommandError> {
    // The relay that does the work has another working directory.
    let folder = folder.canonicalize().map_err(|error| CommandError::Folder { path: folder.to_owned(), error })?;
    let request = CompareRequest { study: study.to_owned(), folder };
    let row: CompareRow = tell(dir, control::COMPARE, &request, |service| Ok(service.compare(&request)?))?;
    Ok(Answer { text: row.sentence.clone(), json: json!(row) })
}

pub(super) fn contradictions(dir: &Path) -> Result<Answer, CommandError> {
    let rows: Vec<ContradictionRow> = ask(dir, control::CONTRADICTIONS, |service| Ok(service.contradictions()?))?;
    let mut lines: Vec<String> = rows.iter().map(contradiction).collect();
    lines.push(match rows.len() {
        0 => "nothing contradicts anything".to_owned(),
        1 => "1 file contradicts an instance; the study has what came first, and both are kept".to_owned(),
        more => format!("{more} files contradict instances; the studies have what came first, and all are kept"),
    });
    Ok(Answer { text: lines.join("\n"), json: json!({ "contradictions": rows }) })
}

fn contradiction(row: &ContradictionRow) -> String {
    let ContradictionRow { study, sop_instance_uid, path, how, came_ms, .. } = row;
    let day = Timestamp(*came_ms).day();
    format!("{}  {sop_instance_uid}  came {day}  {how}  {}", short(study), path.display())
}

pub(super) fn completeness(dir: &Path, study: Option<&str>) -> Result<Answer, CommandError> {
    let row: CompletenessRow = tell(dir, control::COMPLETENESS, &study, |service| Ok(service.completeness(study)?))?;
    let lines = if row.lines.is_empty() { "there are no studies" } else { &row.lines };
    Ok(Answer { text: lines.to_owned(), json: json!(row) })
}

pub(super) fn kos(dir: &Path, study: &str, out: &Path) -> Result<Answer, CommandError> {
    let row: KosRow = tell(dir, control::KOS, &study, |service| Ok(service.kos(study)?))?;
    let document = encoding::from_hex(&row.document)
        .ok_or_else(|| ClientError::Connection("the document is not in hexadecimal digits".into()))?;
    fs::write(out, &document).map_err(|error| CommandError::Proof { path: out.to_owned(), error })?;
    let text = format!("{} instances of {}, each with its MAC, in {}", row.instances, short(&row.study), out.display());
    Ok(Answer { text, json: json!({ "study": row.study, "instances": row.instances, "out": out }) })
}

fn short(study: &str) -> &str {
    study.get(..12).unwrap_or(study)
}
