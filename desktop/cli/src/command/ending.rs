//! `clavicle wallet revoke`: one grant, all of one person's, or everything.

use std::time::Instant;

use clap::Args;
use clavicle_app::{EndGrants, RevokeGrant, RevokedGrant, Trouble};
use clavicle_command::said::{many, some_of};
use clavicle_ledger::encoding;
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_wallet::patient::{EndOutcome, EndingRow, Endings, Whose};
use serde_json::{Value, json};

use super::recovery::warn;
use super::terms::moment;
use super::wallet::{named, short, verdict_row};
use super::{Answer, CommandError, Folder, client};

/// What is to end.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct EndArguments {
    /// The grant, by the beginning of its id
    grant: Option<String>,
    /// Everything that this person was granted, on every study: the name as `grants` shows it
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Everything that anybody was granted, on every study, from every device of yours
    #[arg(long)]
    everything: bool,
}

pub(super) async fn revoke(folder: &Folder, end: EndArguments) -> Result<Answer, CommandError> {
    match end {
        EndArguments { grant: Some(grant), .. } => one(folder, grant).await,
        EndArguments { person: Some(person), .. } => all(folder, Whose::Named(person)).await,
        EndArguments { .. } => all(folder, Whose::Everybody).await,
    }
}

async fn one(folder: &Folder, grant: String) -> Result<Answer, CommandError> {
    let app = client::patient_at_once(folder).await?;
    warn(&app.subscribe().borrow(), &folder.dir);
    let from = Instant::now();
    let RevokedGrant { grant, name, verdict, height, receipt, stopped } =
        client::done(&app, RevokeGrant { grant }, "").await?;
    let ms = from.elapsed().as_millis();
    let said = named(name.as_deref(), verdict.as_ref());
    let rest = stopped_line(stopped).map(|line| format!("{line}\n")).unwrap_or_default();
    Ok(Answer {
        text: format!(
            "revoked: {said} can no longer fetch; final at height {height} after {ms} ms\n{}\n{rest}What was fetched before stays with them.",
            told(receipt.as_ref())
        ),
        json: json!({
            "grant": grant.to_string(), "name": name, "verdict": verdict_row(verdict.as_ref()), "height": height, "ms": ms,
            "stopped_ms": receipt.as_ref().map(|receipt| receipt.receipt.at.0), "receipt": receipt.as_ref().map(hex), "stopped": stopped,
        }),
    })
}

/// That what was planned is not made any more, where something was.
fn stopped_line(stopped: usize) -> Option<String> {
    let planned = many(stopped, "grant was planned for later", "grants were planned for later");
    (stopped > 0).then(|| format!("{planned}, and will not be made: nobody has seen anything of it"))
}

async fn all(folder: &Folder, whose: Whose) -> Result<Answer, CommandError> {
    let app = client::patient_at_once(folder).await?;
    warn(&app.subscribe().borrow(), &folder.dir);
    let from = Instant::now();
    let endings = client::done(&app, EndGrants { whose }, "grants ended").await?;
    let ms = from.elapsed().as_millis();
    let Endings { rows, unnamed, not_asked, stopped } = &endings;
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.extend(stopped_line(*stopped));
    let ended = rows.iter().filter(|row| row.outcome.is_final()).count();
    lines.push(match rows.len() {
        0 => "there is nothing to end".to_owned(),
        all => format!(
            "{} ended, after {ms} ms. What was fetched before stays with whoever has it.",
            some_of(ended, all, ("grant", "grants"), ("has", "have"))
        ),
    });
    let not_asked = not_asked.as_ref().map(ToString::to_string);
    let mut left = Vec::new();
    if ended < rows.len() {
        left.push(format!(
            "{} not ended yet: what is signed is kept, and the same again goes on",
            some_of(rows.len() - ended, rows.len(), ("grant", "grants"), ("has", "have"))
        ));
    }
    if *unnamed > 0 {
        left.push(format!(
            "{unnamed} more grants on your studies were made by another device of yours, and whom they are to is not known here: look at them with \
             `clavicle wallet who`, or end everything with --everything"
        ));
    }
    if let Some(why) = &not_asked {
        left.push(format!(
            "whether there is more that another device granted could not be asked on every study: {why}"
        ));
    }
    let json = json!({
        "ended": ended, "all": rows.len(), "grants": rows.iter().map(row).collect::<Vec<_>>(), "unnamed": unnamed, "stopped": stopped,
        "not_asked": not_asked, "ms": ms,
    });
    let shortfall = (!endings.is_all()).then(|| left.join("; "));
    CommandError::unless_all(shortfall, "not_final", Answer { text: lines.join("\n"), json })
}

/// The hospital's receipt for a revocation that is final, or that its system is waited for.
fn told(receipt: Option<&SignedReceipt>) -> String {
    receipt.map_or_else(
        || {
            "waiting for their system: the hospital was not reached directly, and stops serving when it sees the ledger"
                .to_owned()
        },
        |receipt| format!("receipt: the hospital has stopped serving since {}", moment(receipt.receipt.at)),
    )
}

fn line(EndingRow { grant, study, name, verdict, outcome }: &EndingRow<Trouble>) -> String {
    let name = named(name.as_ref().map(|name| name.as_str()), verdict.as_ref());
    let how = match outcome {
        EndOutcome::Final { height, receipt } => format!("ended, final at height {height}; {}", told(receipt.as_ref())),
        EndOutcome::Before { height } => format!("had ended before, as of height {height}"),
        EndOutcome::Told { receipt, .. } => format!(
            "not final yet, waiting for the other hospitals; the one that keeps the study says that it has stopped serving since {}",
            moment(receipt.receipt.at)
        ),
        EndOutcome::Waiting(why) => format!("not ended yet, waiting for their system: {why}"),
    };
    format!("{}  study {}  {name}: {how}", short(&grant.to_string()), short(&study.to_string()))
}

fn row(EndingRow { grant, study, name, verdict, outcome }: &EndingRow<Trouble>) -> Value {
    let (state, height, receipt, why) = match outcome {
        EndOutcome::Final { height, receipt } => ("ended", Some(*height), receipt.as_ref(), None),
        EndOutcome::Before { height } => ("ended_before", Some(*height), None, None),
        EndOutcome::Told { receipt, why } => ("told", None, Some(receipt), Some(why.to_string())),
        EndOutcome::Waiting(why) => ("waiting", None, None, Some(why.to_string())),
    };
    json!({
        "grant": grant.to_string(), "study": study.to_string(), "to": name.as_ref().map(|name| name.as_str()), "verdict": verdict_row(verdict.as_ref()), "state": state,
        "height": height, "stopped_ms": receipt.map(|receipt| receipt.receipt.at.0), "receipt": receipt.map(hex), "why": why,
    })
}

fn hex(receipt: &SignedReceipt) -> String {
    encoding::Hex(&encoding::encode(receipt)).to_string()
}
