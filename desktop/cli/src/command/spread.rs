//! `clavicle wallet grant --from-afar`: several studies, each at a moment of its own.

use std::time::Duration;

use clavicle_app::{App, BringIn, GrantRow, PlannedRow, SpreadGrants};
use clavicle_command::clock::now;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::card::SignedCard;
use clavicle_wallet::patient::GrantRequest;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::progress::doing;
use super::terms::moment;
use super::wallet::{grant_line, grant_row, short};
use super::{Answer, CommandError, Folder, client};

/// How long is waited between two looks at what is due.
const AGAIN: Duration = Duration::from_secs(5);

/// For how long after its time this command goes on with one that cannot be granted, in milliseconds.
const GIVE_UP_MS: u64 = 10 * 60_000;

/// How several studies are granted to somebody who is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// Within how long, in milliseconds.
    pub(super) over_ms: u64,
    /// Whether this command stays until all are granted.
    pub(super) stay: bool,
}

pub(super) async fn grant(
    app: &App,
    folder: &Folder,
    (studies, card): (Vec<StudyId>, SignedCard),
    (request, all_the_same): (GrantRequest, bool),
    Spread { over_ms, stay }: Spread,
) -> Result<Answer, CommandError> {
    let before: Vec<_> = app.subscribe().borrow().grants.iter().map(|row| row.grant).collect();
    let command = SpreadGrants { studies, card, request, all_the_same, over_ms };
    let now_done = client::done(app, command, "").await?;
    let mut told = None;
    while stay && let Some(next) = next_of(app) {
        if told != Some(next) {
            doing(&format!(
                "the next is granted at {}; to stop: Ctrl-C, and this wallet goes on when it is opened",
                moment(next)
            ));
        }
        told = Some(next);
        let is_due = next <= now().0;
        if is_due && now().0.since(next) > GIVE_UP_MS {
            break;
        }
        let wait = if is_due { AGAIN } else { AGAIN.min(Duration::from_millis(next.since(now().0))) };
        sleep(wait).await;
        client::done(app, BringIn {}, "").await?;
    }
    let state = app.subscribe();
    let state = state.borrow();
    let made: Vec<&GrantRow> = state.grants.iter().filter(|row| !before.contains(&row.grant)).collect();
    let mut lines: Vec<String> = made.iter().map(|row| grant_line(row)).collect();
    lines.extend(left(&state.planned, folder));
    let rows: Vec<Value> = made.iter().map(|row| grant_row(row)).collect();
    let json = json!({ "grants": rows, "planned": self::rows(&state.planned) });
    let unfinished = now_done.iter().find_map(|(granted, why)| why.as_ref().map(|why| (granted.made.study, why)));
    let shortfall = unfinished.map(|(study, why)| {
        format!("study {} is signed and not finished; asked for again, it goes on. {why}", short(&study.to_string()))
    });
    CommandError::unless_all(shortfall, "not_final", Answer { text: lines.join("\n"), json })
}

/// When the next is granted.
fn next_of(app: &App) -> Option<Timestamp> {
    app.subscribe().borrow().planned.first().map(|row| row.at)
}

/// What is still to come, and what it takes; nothing, where nothing is.
pub(super) fn left(planned: &[PlannedRow], folder: &Folder) -> Option<String> {
    let last = planned.last()?;
    let (count, dir) = (planned.len(), folder.dir.display());
    let overdue = if planned.iter().any(|row| row.at <= now().0) { ", of which some are due" } else { "" };
    Some(format!(
        "{count} more still to be granted{overdue}, the last at {}. This wallet has to be opened for each when its time has come: clavicle wallet grants --dir {dir}. To stop \
         them: clavicle wallet revoke --person \"{}\" --dir {dir}",
        moment(last.at),
        last.name
    ))
}

/// The same for programs.
pub(super) fn rows(planned: &[PlannedRow]) -> Vec<Value> {
    let row = |row: &PlannedRow| json!({ "study": row.study.to_string(), "to": row.name, "at_ms": row.at.0 });
    planned.iter().map(row).collect()
}
