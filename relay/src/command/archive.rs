//! `quarantine`, `close`, `remove`, `expire`, `check`, `contradictions`, `compare`, `completeness`, `kos`: what an operator does with the archive.

use std::path::Path;

use clavicle_command::file::{Readers, write_new};
use clavicle_ledger::encoding;
use clavicle_ledger::time::Timestamp;
use serde_json::json;

use super::inspect::{ask, tell};
use super::{Answer, CommandError};
use crate::control::{self, ClientError};
use crate::reception::QuarantineRow;
use crate::service::{
    CheckRequest, CheckRow, CompareRequest, CompareRow, CompletenessRow, ContradictionRow, Done, ExpireRequest,
    Expired, KosRow, NewStanding, Removal, RemoveRequest, StandingRequest, Stands,
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

pub(super) fn remove(dir: &Path, request: RemoveRequest) -> Result<Answer, CommandError> {
    let removal: Removal = tell(dir, control::REMOVE, &request, |service| Ok(service.remove(&request)?))?;
    let Removal { study, files, removed } = &removal;
    let fate = if *removed { "removed" } else { "would be removed" };
    let answer = Answer { text: format!("{study}  {files} files {fate}"), json: json!(removal) };
    if *removed { Ok(answer) } else { Err(unconfirmed("this study", *files, "files", request.confirm, answer)) }
}

pub(super) fn expire(dir: &Path, request: ExpireRequest) -> Result<Answer, CommandError> {
    let expired: Expired = tell(dir, control::EXPIRE, &request, |service| Ok(service.expire(&request)?))?;
    let Expired { studies, removed, held } = &expired;
    let fate = if *removed { "removed" } else { "would be removed" };
    let mut lines: Vec<String> = studies.iter().map(|study| format!("{study}  {fate}")).collect();
    lines.extend(held.iter().map(|study| format!("{study}  kept: somebody holds it, and it is not withdrawn")));
    lines.push(format!("{} studies from before {}", studies.len(), request.before));
    let answer = Answer { text: lines.join("\n"), json: json!(expired) };
    if *removed || studies.is_empty() {
        return Ok(answer);
    }
    Err(unconfirmed("these", studies.len(), "studies", request.confirm, answer))
}

/// Nothing was removed yet: what would be is to be looked at first, and counted.
fn unconfirmed(what: &str, count: usize, of: &str, given: Option<usize>, answer: Answer) -> CommandError {
    let given = given.map(|given| format!(" They are not {given} any more.")).unwrap_or_default();
    let sentence =
        format!("nothing was removed.{given} If you mean it, remove {what} with `--confirm {count}`: {count} {of}");
    CommandError::Found { code: "confirm", sentence, answer: Box::new(answer) }
}

pub(super) fn check(dir: &Path, request: CheckRequest) -> Result<Answer, CommandError> {
    let row: CheckRow = tell(dir, control::CHECK, &request, |service| Ok(service.check(request)?))?;
    let CheckRow { sound, bytes, damaged, missing, stray, unlisted, unreadable, unrecorded, removed } = &row;
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
    lines.extend(unlisted.iter().map(|study| format!("unlisted  {study}")));
    if !unlisted.is_empty() {
        let unread = match unreadable.len() {
            0 => String::new(),
            some => format!("; the records of {some} cannot be read and must come from a backup"),
        };
        lines.push(format!(
            "{} studies have a record in the archive and are not in the catalogue{unread}. Stop the relay, move catalogue.redb away, and \
             `clavicle-relay rebuild` brings them back.",
            unlisted.len()
        ));
    }
    if !unrecorded.is_empty() {
        lines.push(format!("The records of {} studies were not right, and were written again.", unrecorded.len()));
    }
    if request.remove_stray {
        let fate = if *removed { "removed" } else { "would be removed" };
        lines.extend(stray.iter().map(|digest| format!("stray    {digest}  {fate}")));
    }
    if !stray.is_empty() && !removed {
        let say = if request.remove_stray { "" } else { ": `check --remove-stray` lists them" };
        lines.push(format!("{} files belong to no study, as a kill leaves them{say}", stray.len()));
    }
    let is_well = row.is_well();
    let (damaged, missing, stray) = (damaged.len(), missing.len(), stray.len());
    let sentence = format!(
        "not all is as it should be: {damaged} files damaged, {missing} missing, {stray} of no study; {} studies not in the catalogue, {} whose record was \
         wrong",
        unlisted.len(),
        unrecorded.len()
    );
    let is_removed = *removed;
    let answer = Answer { text: lines.join("\n"), json: json!(row) };
    if request.remove_stray && stray > 0 && !is_removed {
        return Err(unconfirmed("these", stray, "files", request.confirm, answer));
    }
    if is_well { Ok(answer) } else { Err(CommandError::Found { code: "check", sentence, answer: Box::new(answer) }) }
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
    let written = write_new(out, &document, Readers::Usual);
    written.map_err(|error| CommandError::Proof { path: out.to_owned(), error })?;
    let text = format!("{} instances of {}, each with its MAC, in {}", row.instances, short(&row.study), out.display());
    Ok(Answer { text, json: json!({ "study": row.study, "instances": row.instances, "out": out }) })
}

fn short(study: &str) -> &str {
    study.get(..12).unwrap_or(study)
}
