//! `clavicle wallet invite` and `clavicle recipient answer`: letting in somebody who is not known yet.

use std::ffi::OsString;
use std::io::{IsTerminal as _, stderr, stdin};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use clavicle_app::{
    AnswerInvitation, AnswerRow, App, AwaitInvitation, GrantInvited, InvitationRow, InvitationStage, Invite,
    LookForAnswer, LookForOpening, PickWords, Trouble, TroubleKind,
};
use clavicle_command::clock::now;
use clavicle_command::said::{complain, many};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_letters::card::TOLERANCE_MS;
use clavicle_letters::code;
use clavicle_letters::invitation::SignedInvitation;
use clavicle_letters::name::quoted;
use clavicle_letters::transcript::InvitationId;
use clavicle_letters::words::FourWords;
use clavicle_wallet::patient::{FAR_MS, GrantRequest, MAX_INVITATION_MINUTES, Way};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::progress::doing;
use super::terms::{Length, Purpose, moment};
use super::wallet::{MEMBERS, code_of, named, short, verdict_row};
use super::{Answer, CommandError, Folder, can_write, client, write_picture};

/// How long is waited between two looks.
const AGAIN: Duration = Duration::from_secs(1);
/// How often in a row there may be something to look at sooner than that.
const MOST_SOON: u32 = 3;
/// How long a grant lasts if nothing is said, in milliseconds.
const USUAL_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How somebody is let in who is not known yet.
#[derive(Debug, Args)]
pub struct InviteArguments {
    /// Which wallet
    #[command(flatten)]
    pub folder: Folder,
    /// The study to let them fetch, by the beginning of its id; the only one without
    pub study: Option<String>,
    /// The picture to write the invitation into
    #[arg(long)]
    pub png: Option<PathBuf>,
    /// For somebody far away: the invitation as text to be sent, and the words over the telephone
    #[arg(long)]
    pub link: bool,
    /// For how many minutes the invitation is good
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=MAX_INVITATION_MINUTES))]
    pub minutes: u64,
    /// The four words that the other screen shows; they are asked for without this
    #[arg(long)]
    pub words: Option<String>,
    /// For how long they may fetch: 30m, 12h, 7d, 4w [default: 7d, and 24h with --link]
    #[arg(long = "for", value_name = "LENGTH")]
    pub length: Option<Length>,
    /// What for
    #[arg(long, value_enum, default_value_t = Purpose::Treatment)]
    pub purpose: Purpose,
    /// Leave out what later revisions of the study bring
    #[arg(long)]
    pub this_revision_only: bool,
    /// Make a new invitation, although one is open
    #[arg(long)]
    pub new: bool,
}

/// How an invitation is answered.
#[derive(Debug, Args)]
pub struct AnswerArguments {
    /// Which wallet
    #[command(flatten)]
    pub folder: Folder,
    /// The patient's invitation: a picture, a text file, or the code itself
    pub invitation: OsString,
    /// How many studies can be granted to the card that is sent
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub keys: u8,
    /// For how many days the card is good
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=30))]
    pub days: u64,
    /// What is asked for, in a few words
    #[arg(long, default_value = "")]
    pub wish: String,
}

/// Shows an invitation, waits for its answer, has the words picked, and grants. Whatever broke off goes on where it stopped.
pub(super) async fn invite(of: &InviteArguments) -> Result<Answer, CommandError> {
    let app = client::patient(&of.folder).await?;
    // Before anything is shown, so that nobody waits for what cannot be.
    let study = of.study.as_deref().map(|begin| the_study(&app, begin)).transpose()?;
    let row = match open_one(&app, of) {
        Some(row) => row,
        None => {
            can_write(of.png.as_deref())?;
            let command = Invite { way: way(of), minutes: of.minutes };
            client::done(&app, command, "parts of the work for a mailbox").await?
        }
    };
    // Of one that was made before, too: it may have broken off between the two.
    if let Some(path) = of.png.as_deref().filter(|path| row.stage == InvitationStage::Shown && !path.exists()) {
        write_picture(path, &code::to_png(&row.code)?)?;
    }
    let row = answered(&app, of, row).await?;
    let row = picked(&app, of, row).await?;
    let Some(study) = study.or_else(|| only_study(&app)) else {
        let text = format!(
            "{}\nThe words are right. To let them fetch a study: clavicle wallet invite STUDY --dir {}",
            who(&row),
            of.folder.dir.display()
        );
        return Ok(Answer { text, json: json!({ "invitation": json_of(&row), "grant": Value::Null }) });
    };
    grant(&app, of, &row, study).await
}

/// An Invitation of before that is to be gone on with.
fn open_one(app: &App, of: &InviteArguments) -> Option<InvitationRow> {
    if of.new {
        return None;
    }
    let state = app.subscribe();
    let state = state.borrow();
    // One that somebody answered is gone on with for a day: whoever invites later means somebody else.
    let is_over = |row: &InvitationRow| {
        let until = if row.stage == InvitationStage::Shown { row.expires } else { row.expires.plus(DAY_MS) };
        until < now().0
    };
    let is_open = |row: &&InvitationRow| row.way == way(of) && row.stage.is_open() && !is_over(row);
    // Whoever says its words once more has not seen that it was granted.
    let words = of.words.as_deref().and_then(|words| FourWords::parse(words).ok());
    let is_granted = |row: &&InvitationRow| {
        let is_its = words.is_some_and(|words| row.choices.is_some_and(|choices| choices.contains(&words)));
        row.way == way(of) && row.stage == InvitationStage::Granted && is_its && !is_over(row)
    };
    state.invitations.iter().rfind(is_granted).or_else(|| state.invitations.iter().rfind(is_open)).cloned()
}

fn way(of: &InviteArguments) -> Way {
    if of.link { Way::FromAfar } else { Way::FaceToFace }
}

fn the_study(app: &App, begin: &str) -> Result<StudyId, Trouble> {
    Ok(app.subscribe().borrow().study(begin)?.study)
}

fn only_study(app: &App) -> Option<StudyId> {
    let state = app.subscribe();
    let state = state.borrow();
    let [study] = state.studies.as_slice() else { return None };
    Some(study.study)
}

/// Shows an invitation, and waits until somebody has answered it.
async fn answered(app: &App, of: &InviteArguments, row: InvitationRow) -> Result<InvitationRow, CommandError> {
    match row.stage {
        InvitationStage::Shown => show(of, &row)?,
        InvitationStage::Answered => {}
        _ => return Ok(row),
    }
    doing("waiting for an answer; to stop: Ctrl-C, and the same command goes on where it stopped");
    let look = || client::done(app, LookForAnswer { invitation: row.id }, "");
    let is_there = |row: &InvitationRow| !matches!(row.stage, InvitationStage::Shown | InvitationStage::Answered);
    waited(app, (row.id, row.expires), look, is_there).await
}

fn show(of: &InviteArguments, row: &InvitationRow) -> Result<(), CommandError> {
    if of.link {
        complain(&format!("Send this to whom you want to let in, and ring them up:\n{}", row.code));
    } else if stderr().is_terminal() {
        complain(&code::to_blocks(&row.code)?);
    } else {
        complain(&row.code);
    }
    if let Some(path) = &of.png {
        complain(&format!("it is in {}", path.display()));
    }
    complain(&format!("Good until {}, for one answer.", moment(row.expires)));
    Ok(())
}

/// Looks again and again until something is there. That a hospital does not answer just now ends nothing before the invitation has ended.
async fn waited<T, F: Future<Output = Result<T, CommandError>>>(
    app: &App,
    (invitation, until): (InvitationId, Timestamp),
    look: impl Fn() -> F,
    is_there: impl Fn(&T) -> bool,
) -> Result<T, CommandError> {
    let (mut was_told, mut soon) = (false, 0);
    loop {
        match look().await {
            Ok(row) if is_there(&row) => return Ok(row),
            Ok(_) => was_told = false,
            Err(CommandError::App(trouble))
                if matches!(trouble.kind, TroubleKind::Offline | TroubleKind::NotFinal)
                    && now().0 < until.plus(2 * TOLERANCE_MS) =>
            {
                if !was_told {
                    complain(&format!("{trouble}; it is asked for again"));
                }
                was_told = true;
            }
            Err(error) => return Err(error),
        }
        // The hospitals say when there is something. One that says so at once, again and again, is asked every second.
        let from = Instant::now();
        client::done(app, AwaitInvitation { invitation }, "").await?;
        soon = if from.elapsed() < AGAIN { soon + 1 } else { 0 };
        if soon > MOST_SOON {
            sleep(AGAIN).await;
        }
    }
}

/// Has the words picked that the other screen shows.
async fn picked(app: &App, of: &InviteArguments, row: InvitationRow) -> Result<InvitationRow, CommandError> {
    let given = of.words.as_deref().map(FourWords::parse).transpose()?;
    // Words of another screen: they are not for whoever was picked before.
    let of_another = |words: &FourWords| !row.choices.is_some_and(|choices| choices.contains(words));
    if row.stage == InvitationStage::Picked && given.as_ref().is_some_and(of_another) {
        return Err(CommandError::NoPick);
    }
    let Some(choices) = row.choices.filter(|_| row.stage == InvitationStage::Opened) else { return Ok(row) };
    let words = match given {
        Some(words) => words,
        None => {
            complain(&format!("{} answers, and shows four words. Which ones?", quoted(row.name())));
            for (number, words) in (1..).zip(&choices) {
                complain(&format!("  {number}  {words}"));
            }
            complain("  0  none of these");
            if of.link {
                complain("Have them read out over the telephone, by somebody whose voice you know.");
            }
            let typed = line("the number")?;
            let number = typed.trim().parse::<usize>().ok().filter(|number| *number <= choices.len());
            match number.ok_or(CommandError::NoPick)?.checked_sub(1).and_then(|at| choices.get(at)) {
                Some(words) => *words,
                // None of them: as if others were picked.
                None => return none_of_these(app, &row).await,
            }
        }
    };
    client::done(app, PickWords { invitation: row.id, words: Some(words) }, "").await
}

async fn none_of_these(app: &App, row: &InvitationRow) -> Result<InvitationRow, CommandError> {
    client::done(app, PickWords { invitation: row.id, words: None }, "").await
}

/// A line that somebody types, seen while it is typed.
fn line(what: &'static str) -> Result<String, CommandError> {
    if !stdin().is_terminal() {
        return Err(CommandError::NoPick);
    }
    complain(&format!("{what}:"));
    let mut line = String::new();
    stdin().read_line(&mut line).map_err(|_| CommandError::NoPick)?;
    Ok(line)
}

async fn grant(app: &App, of: &InviteArguments, row: &InvitationRow, study: StudyId) -> Result<Answer, CommandError> {
    let usual = if row.is_narrow { FAR_MS } else { USUAL_MS };
    let request = GrantRequest {
        later_revisions: !of.this_revision_only,
        ..GrantRequest::new(of.length.map_or(usual, |length| length.ms), of.purpose.into())
    };
    complain(&format!("{}\n{}", who(row), what(app, study, &request, row)));
    if of.words.is_none() && stdin().is_terminal() && line("Type `grant` to sign it")?.trim() != "grant" {
        return Err(CommandError::NotSigned);
    }
    let granted = client::done(app, GrantInvited { invitation: row.id, study, request }, "").await?;
    let (id, terms) = (granted.id.to_string(), &granted.made.terms);
    let begins = if row.is_narrow {
        format!(
            "\nIt begins at {}. Until then nothing can be fetched, and you can end it: clavicle wallet revoke {} --dir {}",
            moment(terms.not_before),
            short(&id),
            of.folder.dir.display()
        )
    } else {
        String::new()
    };
    let text = format!(
        "granted to {} until {}\ngrant {id}{begins}",
        granted.made.card.verdict().beside(row.name()),
        moment(terms.expires)
    );
    let json = json!({
        "invitation": json_of(row), "grant": id, "study": study.to_string(), "to": row.name(),
        "begins_ms": terms.not_before.0, "expires_ms": terms.expires.0,
    });
    Ok(Answer { text, json })
}

/// Who it is, in their own words, and whether anybody says the same.
fn who(row: &InvitationRow) -> String {
    let wish = row.who.as_ref().map_or("", |who| who.wish.as_str());
    let wish = if wish.is_empty() { String::new() } else { format!("\nThey ask for: {}", quoted(wish)) };
    let checked = if row.is_verified() { "" } else { " Nobody has checked this name." };
    let name = named(Some(row.name()), row.who.as_ref().map(|who| &who.verdict));
    let is_team = row.who.as_ref().is_some_and(|who| who.verdict.is_team());
    let team = if is_team { format!("\nThis is {MEMBERS}.") } else { String::new() };
    format!("{name}.{checked}{team}{wish}")
}

/// What would be granted, until when, and what that cannot prevent.
fn what(app: &App, study: StudyId, request: &GrantRequest, row: &InvitationRow) -> String {
    let state = app.subscribe();
    let state = state.borrow();
    let of = state.studies.iter().find(|of| of.study == study);
    let called = of.and_then(|of| of.summary.as_ref()).map_or_else(String::new, |summary| {
        let date = summary.date.map_or_else(String::new, |date| format!(" of {date}"));
        format!(" ({}{date})", summary.description)
    });
    let length = request.for_ms / 60_000;
    let length = match length {
        0..120 => many(length, "minute", "minutes"),
        120..2_880 => format!("{} hours", length / 60),
        _ => format!("{} days", length / 1_440),
    };
    let begins = if row.is_narrow { ", beginning in an hour" } else { "" };
    format!(
        "They may fetch study {}{called} for {length}{begins}.\nWhat they have fetched stays with them: ending it later stops fetching, and takes no copy back.",
        short(&study.to_string())
    )
}

fn json_of(row: &InvitationRow) -> Value {
    json!({
        "invitation": row.id.to_string(), "code": row.code, "expires_ms": row.expires.0, "stage": row.stage.code(),
        "name": row.who.as_ref().map(|who| who.name.as_str()), "wish": row.who.as_ref().map(|who| who.wish.as_str()),
        "verified": row.is_verified(), "verdict": verdict_row(row.who.as_ref().map(|who| &who.verdict)),
    })
}

/// Answers an invitation, waits until the patient's device has taken it, and shows the words.
pub(super) async fn answer(of: &AnswerArguments) -> Result<Answer, CommandError> {
    let invitation: SignedInvitation = code_of(&of.invitation)?;
    let app = client::recipient(&of.folder).await?;
    let command = AnswerInvitation { invitation, keys: usize::from(of.keys), days: of.days, wish: of.wish.clone() };
    let row = client::done(&app, command, "parts of the work for a mailbox").await?;
    let row = match row.words {
        Some(_) => row,
        None => {
            doing("answered; waiting for the patient's device");
            let look = || client::done(&app, LookForOpening { invitation: row.id }, "");
            waited(&app, (row.id, row.expires), look, |row| row.words.is_some()).await?
        }
    };
    Ok(words(&row))
}

fn words(row: &AnswerRow) -> Answer {
    let words = row.words.map(|words| words.to_string()).unwrap_or_default();
    let text = format!(
        "{words}\nThe patient's screen shows these words among others. Let the patient look at them here, or read them out: they pick them, and then \
         grant. What is granted comes into the inbox."
    );
    Answer { text, json: json!({ "invitation": row.id.to_string(), "words": words }) }
}
