//! `ingest`, `studies`, `pickup` and `pickups`: what the desk does.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clavicle_command::file::{Readers, is_free, write_new};
use serde_json::json;

use super::inspect::{ask, either, tell};
use super::{Answer, CommandError};
use crate::control::{self, ClientError};
use crate::home::Home;
use crate::service::{IngestRequest, Ingested, Issued, PickupRequest, PickupRow, Service, StudyRow, TakingRow};

/// How many quarantined files are told one by one before the rest is only counted.
const MOST_TOLD: usize = 20;

pub(super) fn ingest(dir: &Path, folder: &Path, report: Option<&Path>) -> Result<Answer, CommandError> {
    // The relay that does the work has another working directory.
    let absolute = |path: &Path| -> Result<PathBuf, CommandError> {
        path.canonicalize().map_err(|error| CommandError::Folder { path: path.to_owned(), error })
    };
    let request = IngestRequest { folder: absolute(folder)?, report: report.map(absolute).transpose()? };
    let home = Home::at(dir);
    let (socket, shown) = (home.socket(), Shown::default());
    let told = async || followed(&socket, &request, &shown).await;
    let ingested: Ingested = either(&home, told, |service| {
        Ok(service.ingest(&request, &|seen, files| shown.is_at(TakingRow { seen, files }))?)
    })?;
    shown.finish();
    let Ingested { studies, new, grown, instances, duplicates, conflicts, quarantined, refused, repairs } = &ingested;
    let mut lines = vec![format!(
        "{} studies ({new} new, {grown} grown), {instances} instances; {duplicates} duplicates, {} conflicts, {} quarantined",
        studies.len(),
        conflicts.len(),
        quarantined.len()
    )];
    lines.extend(conflicts.iter().map(|conflict| {
        let (one, other) = (conflict.path.display(), conflict.with.display());
        format!("conflict     {one}: the same SOP Instance UID as {other} ({})", conflict.how)
    }));
    lines.extend(repairs.iter().map(|one| format!("taken        {} files although {}", one.files, one.what)));
    let told = quarantined.iter().take(MOST_TOLD);
    lines.extend(told.map(|one| format!("quarantined  {}: {}", one.path.display(), one.reason)));
    if quarantined.len() > MOST_TOLD {
        lines.push(format!("             and {} more; --json has all", quarantined.len() - MOST_TOLD));
    }
    let answer = Answer { text: lines.join("\n"), json: json!(ingested) };
    match quarantined.last() {
        Some(one) if *refused > 0 => {
            let sentence = format!("{refused} of the images were not taken in: {}", one.reason);
            Err(CommandError::Found { code: "not_taken", sentence, answer: Box::new(answer) })
        }
        _ => Ok(answer),
    }
}

/// Gives a running relay the folder, and meanwhile asks it how far it is, where somebody looks.
async fn followed(socket: &Path, request: &IngestRequest, shown: &Shown) -> Result<Ingested, ClientError> {
    let told = control::post_json(socket, control::INGEST, request);
    tokio::pin!(told);
    loop {
        tokio::select! {
            answer = &mut told => return answer,
            () = tokio::time::sleep(OFTEN), if shown.somebody_looks => {
                // That it does not say is no reason to stop waiting.
                let taking: Result<TakingRow, _> = control::get(socket, control::INGEST).await;
                taking.into_iter().for_each(|row| shown.is_at(row));
            }
        }
    }
}

/// How often somebody who looks on is told.
const OFTEN: Duration = Duration::from_millis(200);

/// How far the files are, on the terminal, if standard error is one.
struct Shown {
    somebody_looks: bool,
    last: Mutex<Option<Instant>>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { somebody_looks: std::io::stderr().is_terminal(), last: Mutex::new(None) }
    }
}

impl Shown {
    fn is_at(&self, row: TakingRow) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() >= OFTEN / 2) || row.seen == row.files;
        if self.somebody_looks && row.files > 0 && due {
            *last = Some(Instant::now());
            let mut out = std::io::stderr();
            write!(out, "\r{}   ", row.line()).ok();
            out.flush().ok();
        }
    }

    fn finish(self) {
        if self.last.into_inner().is_ok_and(|last| last.is_some()) {
            writeln!(std::io::stderr()).ok();
        }
    }
}

pub(super) fn studies(dir: &Path) -> Result<Answer, CommandError> {
    let rows: Vec<StudyRow> = ask(dir, control::STUDIES, |service: &Service| Ok(service.studies()?))?;
    let mut lines: Vec<String> = rows.iter().map(StudyRow::line).collect();
    lines.push(format!("{} studies", rows.len()));
    Ok(Answer { text: lines.join("\n"), json: json!({ "studies": rows }) })
}

pub(super) fn pickup(dir: &Path, request: &PickupRequest, png: Option<&Path>) -> Result<Answer, CommandError> {
    if let Some(path) = png {
        // Before there is a code: one that cannot be written down would void the one before it.
        is_free(path).map_err(|error| CommandError::Taken { path: path.to_owned(), error })?;
    }
    let issued: Issued = tell(dir, control::PICKUP, request, |service| Ok(service.pickup(request)?))?;
    let mut json = json!(issued);
    let shown = match png {
        None => issued.code.clone(),
        Some(path) => {
            let picture = clavicle_wallet::code::to_png(&issued.code)?;
            // It holds the ticket.
            write_new(path, &picture, Readers::Owner)
                .map_err(|error| CommandError::Picture { path: path.to_owned(), error })?;
            json["png"] = json!(path);
            format!("the code is in {}", path.display())
        }
    };
    let Issued { studies, question, voided, .. } = &issued;
    let asked =
        if question == "pin" { "the PIN, to be told apart from the code" } else { "the patient's date of birth" };
    let mut lines =
        vec![format!("a pickup for {} studies, good for {} hours; asks for {asked}", studies.len(), request.hours)];
    if *voided > 0 {
        lines.push(format!("{voided} earlier pickups for the same visit are void now"));
    }
    lines.push(shown);
    Ok(Answer { text: lines.join("\n"), json })
}

pub(super) fn pickups(dir: &Path) -> Result<Answer, CommandError> {
    let rows: Vec<PickupRow> = ask(dir, control::PICKUPS, |service: &Service| Ok(service.pickups()?))?;
    let mut lines: Vec<String> = rows.iter().map(PickupRow::line).collect();
    lines.push(format!("{} pickups", rows.len()));
    Ok(Answer { text: lines.join("\n"), json: json!({ "pickups": rows }) })
}
