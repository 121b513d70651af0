//! `clavicle wallet grant --from-afar`: several studies, each at a moment of its own.

use std::time::Duration;

use clavicle_app::{App, BringIn, GrantRow, PlannedRow, SpreadGrants};
use clavicle_command::clock::now;
use clavicle_command::said::many;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::card::SignedCard;
use clavicle_wallet::patient::GrantRequest;
use clavicle_wallet::rows::Stage;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::progress::doing;
use super::terms::moment;
use super::wallet::{grant_line, grant_row};
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
    let asked = studies.clone();
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
    let is_tried = |study: StudyId| now_done.iter().any(|(tried, _)| *tried == study);
    let unfinished = state.grants.iter().filter(|row| {
        let is_asked = !before.contains(&row.grant) || is_tried(row.study);
        is_asked && row.revoked.is_none() && !matches!(row.stage, Stage::Delivered(_))
    });
    let unmade = state.planned.iter().filter(|row| {
        let is_left = stay && (!row.is_over(now().0) || asked.contains(&row.study));
        is_left || is_tried(row.study)
    });
    let shortfall = shortfall(unfinished.count(), unmade.count()).map(|said| {
        let why = now_done.iter().find_map(|(_, why)| why.as_ref());
        why.map_or_else(|| said.clone(), |why| format!("{said}. {why}"))
    });
    CommandError::unless_all(shortfall, "not_final", Answer { text: lines.join("\n"), json })
}

/// What is not as it was asked for: grants that are not finished, and some that are planned and were to be made by now.
fn shortfall(unfinished: usize, unmade: usize) -> Option<String> {
    let signed = many(unfinished, "grant is signed and not finished", "grants are signed and not finished");
    let planned = many(unmade, "grant is planned and not made", "grants are planned and not made");
    let said = match (unfinished, unmade) {
        (0, 0) => return None,
        (_, 0) => signed,
        (0, _) => planned,
        _ => format!("{signed}, {planned}"),
    };
    Some(format!("{said}; asked for again, it goes on"))
}

/// When the next is granted, of those that are not given up.
fn next_of(app: &App) -> Option<Timestamp> {
    next_at(&app.subscribe().borrow().planned, now().0)
}

fn next_at(planned: &[PlannedRow], now: Timestamp) -> Option<Timestamp> {
    planned.iter().find(|row| !row.is_over(now) && now.since(row.at) <= GIVE_UP_MS).map(|row| row.at)
}

/// What is still to come, and what it takes; nothing, where nothing is.
pub(super) fn left(planned: &[PlannedRow], folder: &Folder) -> Option<String> {
    let (over, planned): (Vec<&PlannedRow>, Vec<&PlannedRow>) = planned.iter().partition(|row| row.is_over(now().0));
    let over = (!over.is_empty()).then(|| {
        format!(
            "{} in time, and will not be made: to be asked for anew",
            many(over.len(), "planned grant was not made", "planned grants were not made")
        )
    });
    let Some(last) = planned.last() else { return over };
    let (count, dir) = (planned.len(), folder.dir.display());
    let overdue = if planned.iter().any(|row| row.at <= now().0) { ", of which some are due" } else { "" };
    let over = over.map(|over| format!("{over}\n")).unwrap_or_default();
    Some(format!(
        "{over}{count} more still to be granted{overdue}, the last at {}. This wallet has to be opened for each when its time has come: clavicle wallet grants --dir {dir}. To stop \
         them: clavicle wallet revoke --person \"{}\" --dir {dir}",
        moment(last.at),
        last.name
    ))
}

/// The same for programs.
pub(super) fn rows(planned: &[PlannedRow]) -> Vec<Value> {
    let row = |row: &PlannedRow| json!({ "study": row.study.to_string(), "to": row.name, "at_ms": row.at.0, "over": row.is_over(now().0) });
    planned.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_does_not_hide_what_is_still_to_come() {
        let row = |minutes: u64, over: bool| PlannedRow {
            study: StudyId::from_bytes([1; 32]),
            name: "Dr Rossi".into(),
            at: Timestamp(minutes * 60_000),
            until: Timestamp(if over { 0 } else { u64::MAX }),
        };
        let now = Timestamp(60 * 60_000);
        assert_eq!(next_at(&[row(1, false), row(70, false)], now), Some(Timestamp(70 * 60_000)));
        assert_eq!(next_at(&[row(55, true), row(58, false)], now), Some(Timestamp(58 * 60_000)));
        assert_eq!(next_at(&[row(1, false)], now), None);
        assert_eq!(shortfall(0, 0), None);
        assert!(shortfall(0, 1).is_some_and(|said| said.starts_with("1 grant is planned and not made")));
    }
}
