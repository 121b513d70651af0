//! Studies that change hands: `clavicle wallet veto`, `clavicle wallet recover`, and what waits for an answer.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clavicle_app::{App, AskStudies, InvitationStage, RecoverStudies, State, StudyRow, VetoRecoveries};
use clavicle_command::clock::now;
use clavicle_command::file::path_text;
use clavicle_command::given::Given;
use clavicle_command::said::{complain, many, some_of};
use clavicle_ledger::time::DAY_MS;
use clavicle_letters::name::quoted;
use clavicle_letters::pickup::Question;
use clavicle_wallet::objection::Objection;
use clavicle_wallet::patient::{PendingRow, RecoveredStudy, RecoveryOutcome, RecoveryStep, VetoRow, Way};
use clavicle_wallet::rows::Stage;
use serde_json::{Value, json};

use super::devices;
use super::personal::PassphraseKind;
use super::terms::moment;
use super::wallet::{pickup_code, short};
use super::{Answer, CommandError, Folder, PinKind, client};

/// How long the ledger is asked about every study when a wallet is opened for something else.
const LOOK: Duration = Duration::from_secs(3);
/// The same when what waits is asked for.
const LOOK_WELL: Duration = Duration::from_secs(10);
/// The variable that names the wallet's folder, where no argument does.
const FOLDER: &str = "CLAVICLE_WALLET";

/// Which wallet, where it may be left out.
#[derive(Debug, Args)]
pub struct AnyFolder {
    /// The wallet's folder [env: CLAVICLE_WALLET]; the one wallet here without it
    #[arg(long)]
    dir: Option<PathBuf>,
    /// What opens it
    #[command(flatten)]
    passphrase: Given<PassphraseKind>,
}

impl AnyFolder {
    fn found(self) -> Result<Folder, CommandError> {
        let Self { dir, passphrase } = self;
        let given = dir.or_else(|| std::env::var_os(FOLDER).map(PathBuf::from));
        let dir = given.or_else(|| wallet_in(Path::new("."))).ok_or(CommandError::WhichWallet)?;
        Ok(Folder { dir, passphrase })
    }
}

/// The one wallet that a folder is, or has in it.
fn wallet_in(folder: &Path) -> Option<PathBuf> {
    let is_wallet = |folder: &Path| folder.join("vault.redb").exists();
    if is_wallet(folder) {
        return Some(folder.to_owned());
    }
    let below = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut wallets = below.filter(|path| is_wallet(path));
    wallets.next().filter(|_| wallets.next().is_none())
}

/// Asks the ledger about every study, where that is due, and says what is pending: at each start, whatever is asked for.
pub(super) async fn look(app: &App, folder: &Path) {
    if app.subscribe().borrow().look_is_due {
        // That nobody answers keeps nobody from what was asked for.
        drop(client::done_within(app, AskStudies {}, "", LOOK).await);
    }
    warn(&app.subscribe().borrow(), folder);
}

/// Says what is pending, as loudly as a line can; and what else is not as it should be.
pub(super) fn warn(state: &State, folder: &Path) {
    if state.older_copy.is_some() {
        complain(&format!(
            "WARNING: this wallet is an older copy of itself, or another device has its number: the ledger has studies that are not in it. To bring them in: \
             clavicle wallet find --dir {}",
            folder.display()
        ));
    }
    if state.to_move > 0 {
        complain(&format!(
            "WARNING: {} still under the old words: clavicle wallet new-words --dir {}",
            many(state.to_move, "study is", "studies are"),
            folder.display()
        ));
    }
    for said in devices::said(state, folder) {
        complain(&format!("WARNING: {said}"));
    }
    let all = state.pending.len();
    let Some(first) = state.pending.first() else { return };
    let what = if all == 1 { "one of your studies".to_owned() } else { format!("{all} of your studies") };
    complain(&format!(
        "WARNING: a hospital was asked to give {what} to another wallet, and can do so from {} on. If you did not ask for it, say no now: clavicle wallet \
         veto --dir {}",
        moment(first.from),
        folder.display()
    ));
}

fn pending_line(state: &State, row: &PendingRow) -> String {
    let vetoed = if row.is_vetoed { "; you said no, and that is not final yet" } else { "" };
    format!(
        "{}  {}: another wallet asks for it since {}, and can have it from {} on{vetoed}",
        short(&row.study.to_string()),
        called(state, &row.study.to_string()),
        moment(row.since),
        moment(row.from)
    )
}

fn called(state: &State, study: &str) -> String {
    let row = state.studies.iter().find(|row| row.study.to_string() == study);
    row.and_then(|row| row.summary.as_ref())
        .map_or_else(|| "a study".to_owned(), |summary| summary.description.to_string())
}

/// What waits for an answer, the most urgent first.
pub(super) async fn waits(folder: AnyFolder) -> Result<Answer, CommandError> {
    let folder = folder.found()?;
    let app = client::patient_at_once(&folder).await?;
    let looked = client::done_within(&app, AskStudies {}, "studies asked for", LOOK_WELL).await;
    let not_asked = match looked {
        Some(looked) => looked?.map(|trouble| trouble.happened),
        None => Some(format!("it did not answer within {} seconds", LOOK_WELL.as_secs())),
    };
    let state = app.subscribe();
    let state = state.borrow();
    let (dir, mut lines, mut rows) = (folder.dir.display(), Vec::new(), Vec::<Value>::new());
    let mut add = |kind: &str, about: Option<String>, line: String| {
        rows.push(json!({ "kind": kind, "about": about, "sentence": line }));
        lines.push(line);
    };
    if !state.pending.is_empty() {
        let line = format!(
            "SOMEBODY ELSE IS TO HAVE YOUR STUDIES. If you did not ask for that: clavicle wallet veto --dir {dir}"
        );
        add("recovery", None, line);
    }
    for row in &state.pending {
        add("recovery", Some(row.study.to_string()), pending_line(&state, row));
    }
    for study in &state.studies {
        if matches!(study.objection, Some(Objection::OtherHolder)) {
            let id = study.study.to_string();
            let line =
                format!("{}  {}: another wallet has it by now; ask the hospital why", short(&id), called(&state, &id));
            add("other_holder", Some(id), line);
        }
    }
    if state.older_copy.is_some() {
        let line = format!(
            "this wallet is an older copy of itself, or another device has its number: clavicle wallet find --dir {dir}"
        );
        add("older_copy", None, line);
    }
    for line in devices::said(&state, &folder.dir) {
        add("device", None, line);
    }
    if state.to_move > 0 {
        let line = format!(
            "{} still under the old words: clavicle wallet new-words --dir {dir}",
            many(state.to_move, "study is", "studies are")
        );
        add("to_move", None, line);
    }
    if state.has_new_words {
        let line =
            format!("new words were shown, and are not in use yet: clavicle wallet new-words --dir {dir} --check");
        add("new_words", None, line);
    }
    if let Some([first, second, third]) = state.words_asked {
        let line = format!(
            "this wallet is not protected yet: type words {first}, {second} and {third} of the 24 that you wrote down: clavicle wallet words --dir {dir} --check"
        );
        add("words", None, line);
    }
    for grant in &state.grants {
        let id = grant.grant.to_string();
        let line = match (grant.revoked, grant.stage) {
            (Some(None), _) => Some(format!(
                "{}: {} is not shut out for good yet: clavicle wallet revoke --dir {dir} {}",
                short(&id),
                grant.name,
                short(&id)
            )),
            (None, Stage::Signed) => Some(format!("{}: what you allowed {} is not final yet", short(&id), grant.name)),
            (None, Stage::Final(_)) => {
                Some(format!("{}: {} was not told yet of what you allowed", short(&id), grant.name))
            }
            _ => None,
        };
        if let Some(line) = line {
            add("grant", Some(id), line);
        }
    }
    for row in state.invitations.iter().filter(|row| row.stage.is_open()) {
        let until = if row.stage == InvitationStage::Shown { row.expires } else { row.expires.plus(DAY_MS) };
        let link = if row.way == Way::FromAfar { " --link" } else { "" };
        let line = match row.stage {
            _ if until < now().0 => continue,
            InvitationStage::Shown => "an invitation is open, and nobody has answered".to_owned(),
            InvitationStage::Answered | InvitationStage::Opened => {
                format!("{} answered your invitation: pick the words that their screen shows", quoted(row.name()))
            }
            _ => format!("{} was let in by an invitation, and may fetch nothing yet", quoted(row.name())),
        };
        add("invitation", Some(row.id.to_string()), format!("{line}: clavicle wallet invite{link} --dir {dir}"));
    }
    for row in &state.planned {
        let id = row.study.to_string();
        if row.is_over(now().0) {
            continue;
        }
        let due = if row.at <= now().0 { "was to be granted" } else { "is granted" };
        let line = format!(
            "{}  {}: {due} to {} at {}, when this wallet is open: clavicle wallet grants --dir {dir}",
            short(&id),
            called(&state, &id),
            quoted(&row.name),
            moment(row.at)
        );
        add("planned", Some(id), line);
    }
    for study in &state.recovering {
        let id = study.to_string();
        let line = format!(
            "{}: a hospital is giving this study back to you: take its code once more when the time is over",
            short(&id)
        );
        add("recovering", Some(id), line);
    }
    for study in state.studies.iter().filter(|study| study.summary.is_none()) {
        let id = study.study.to_string();
        let line =
            format!("{}: its hospital has not told yet what it is: clavicle wallet find --dir {dir}", short(&id));
        add("not_told", Some(id), line);
    }
    if rows.is_empty() {
        lines.push(format!(
            "nothing waits for an answer; {}, {}",
            many(state.studies.len(), "study", "studies"),
            many(state.grants.len(), "grant", "grants")
        ));
    }
    if let Some(why) = &not_asked {
        lines.push(format!("the ledger could not be asked, so that something may be missing: {why}"));
    }
    lines.push("What can be done: clavicle wallet --help".to_owned());
    let json = json!({ "dir": path_text(&folder.dir), "waits": rows, "not_asked": not_asked });
    Ok(Answer { text: lines.join("\n"), json })
}

/// Says that the keys are not lost.
pub(super) async fn veto(folder: &Folder, study: Option<&str>) -> Result<Answer, CommandError> {
    let app = client::patient_at_once(folder).await?;
    let study = study.map(|study| app.subscribe().borrow().study(study).map(|row: &StudyRow| row.study)).transpose()?;
    let rows = client::done(&app, VetoRecoveries { study }, "").await?;
    let (mut lines, mut all, mut done) = (Vec::new(), Vec::new(), 0);
    for VetoRow { study, recovery, ended } in &rows {
        let id = study.to_string();
        let (line, height, why) = match ended {
            Ok(height) => {
                done += 1;
                (format!("stays yours, final at height {height}"), Some(*height), None)
            }
            Err(trouble) => (format!("not final yet: {trouble}"), None, Some(trouble.to_string())),
        };
        lines.push(format!("{}  {line}", short(&id)));
        all.push(json!({ "study": id, "recovery": recovery.to_string(), "height": height, "why": why }));
    }
    lines.push(format!(
        "{} yours. If a hospital asks once more, the study is frozen until the hospitals have found out whose it is: nobody new is \
         let in then, and you can still end what you allowed.",
        some_of(done, rows.len(), ("study", "studies"), ("stays", "stay"))
    ));
    let left = rows.len() - done;
    let shortfall = (left > 0).then(|| {
        format!("{left} of {} are not final yet: what was signed is kept, and the same again goes on", rows.len())
    });
    CommandError::unless_all(shortfall, "not_final", Answer { text: lines.join("\n"), json: json!({ "vetoed": all }) })
}

/// Takes the next step of getting studies back with a code of the desk.
pub(super) async fn recover(folder: &Folder, given: &OsStr, pin: &Given<PinKind>) -> Result<Answer, CommandError> {
    let code = pickup_code(given)?;
    let what = "the PIN that the desk told: give --pin";
    if code.question != Question::Pin {
        return Err(CommandError::NoAnswer(what));
    }
    let answer = pin.ask().map_err(|error| CommandError::Unanswered { what, error })?;
    let app = client::patient(folder).await?;
    let RecoveryOutcome { studies, not_offered, has_more } =
        client::done(&app, RecoverStudies { code, answer }, "").await?;
    let (mut lines, mut rows, mut done) = (Vec::new(), Vec::new(), 0);
    for RecoveredStudy { study, description, step } in &studies {
        let id = study.to_string();
        let (state, line, from) = match step {
            RecoveryStep::Asked { height, from } => {
                let line = format!(
                    "asked for, final at height {height}; yours from {} on, with the same code once more",
                    moment(*from)
                );
                ("asked", line, Some(*from))
            }
            RecoveryStep::Waits { from } => (
                "waits",
                format!("asked for; yours from {} on, with the same code once more", moment(*from)),
                Some(*from),
            ),
            RecoveryStep::Frozen => {
                let line = "frozen: whoever has the key said that it is not lost, and the hospitals find out whose the study is";
                ("frozen", line.to_owned(), None)
            }
            RecoveryStep::Done { height, was_never_lost } => {
                done += 1;
                let line = if *was_never_lost {
                    format!("yours, as of height {height}, and never lost: who was allowed to see it still is")
                } else {
                    format!("yours, as of height {height}; what was allowed on it before has ended")
                };
                ("yours", line, None)
            }
            RecoveryStep::Failed(why) => ("failed", format!("not yours: {why}"), None),
        };
        lines.push(format!("{}  {description}: {line}", short(&id)));
        rows.push(json!({ "study": id, "state": state, "sentence": line, "from_ms": from.map(|from| from.0) }));
    }
    lines.extend(not_offered.iter().map(|why| format!("not given back: {why}")));
    lines.push(format!(
        "{} yours",
        some_of(done, studies.len() + not_offered.len(), ("study", "studies"), ("is", "are"))
    ));
    let failed =
        studies.iter().filter(|study| matches!(study.step, RecoveryStep::Failed(_) | RecoveryStep::Frozen)).count();
    let not_offered: Vec<String> = not_offered.iter().map(ToString::to_string).collect();
    let left = failed + not_offered.len();
    let shortfall = (left > 0).then(|| {
        let more = if has_more { ", and there may be more: take the same code once more" } else { "" };
        format!("{} not given back, each for its own reason{more}", many(left, "study is", "studies are"))
    });
    let json = json!({ "studies": rows, "not_offered": not_offered, "has_more": has_more });
    let answer = Answer { text: lines.join("\n"), json };
    CommandError::unless_all(shortfall, "recovery", answer)
}
