//! `clavicle wallet …`: what a patient does.

use std::path::Path;
use std::time::{Duration, Instant};

use clavicle_command::clock::now;
use clavicle_command::file::path_text;
use clavicle_command::given::{Given, typed};
use clavicle_command::said::{complain, sentences};
use clavicle_ledger::derivation::Words;
use clavicle_ledger::encoding;
use clavicle_letters::about::About;
use clavicle_letters::card::SignedCard;
use clavicle_letters::code;
use clavicle_letters::pickup::{PickupCode, Question};
use clavicle_network::file;
use clavicle_wallet::patient::{
    Access, Found, GrantRequest, Granted, Look, OwnStudy, Patient, PickedUp, PickupOutcome,
};
use clavicle_wallet::rows::{Known, Stage};
use clavicle_wallet::{Silence, WalletError};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::images::{Against, Kept, forgotten, noted};
use super::looks;
use super::progress;
use super::recipient::downloaded;
use super::terms::{ago, moment};
use super::{Answer, BirthDateKind, CommandError, Folder, PinKind, WalletCommand};
use crate::code::{ReadCodeError, read_code};

/// How long the ledger is asked how studies stand, before what it said earlier is shown.
const ASKED: Duration = Duration::from_secs(10);
/// Whoever another wallet granted to.
const UNNAMED: &str = "somebody this wallet did not grant to";

pub(super) async fn run(command: WalletCommand) -> Result<Answer, CommandError> {
    match command {
        WalletCommand::Init { folder, network } => {
            let genesis = file::read_genesis(&network)?;
            let (_, words) = Patient::create(&folder.dir, &folder.new_passphrase()?, genesis, now)?;
            Ok(made("a new wallet", &folder, &words))
        }
        WalletCommand::Restore { folder, network, words_file, code } => {
            restore(&folder, &network, words_file.as_deref(), code.as_deref()).await
        }
        WalletCommand::Find { folder, code } => {
            let mut patient = open(&folder)?;
            if let Some(code) = code.as_deref().map(pickup_code).transpose()? {
                patient.renew(&code.checkpoint).await?;
            }
            found(&mut patient, &folder).await
        }
        WalletCommand::Pickup { folder, code, pin, birth_date } => pickup(&folder, &code, &pin, &birth_date).await,
        WalletCommand::Studies { folder } => {
            let mut patient = open(&folder)?;
            let all = patient.studies()?;
            let not_asked = asked(&mut patient, &all).await?;
            studies(&patient, &all, not_asked.as_deref())
        }
        WalletCommand::Grant { folder, study, to, length, purpose, this_revision_only, offline } => {
            let request = GrantRequest {
                for_ms: length.ms,
                purpose: purpose.into(),
                later_revisions: !this_revision_only,
                staleness_ms: offline.map_or(0, |length| length.ms),
            };
            grant(&folder, &study, &to, &request).await
        }
        WalletCommand::Grants { folder } => {
            let mut patient = open(&folder)?;
            patient.bring_in().await?;
            let grants = patient.grants()?;
            let mut lines: Vec<String> = grants.iter().map(grant_line).collect();
            lines.push(format!("{} grants", grants.len()));
            let rows: Vec<Value> = grants.iter().map(grant_row).collect();
            Ok(Answer { text: lines.join("\n"), json: json!({ "grants": rows }) })
        }
        WalletCommand::Who { folder, study } => {
            let mut patient = open(&folder)?;
            let study = patient.study(&study)?;
            patient.bring_in().await?;
            let access = patient.who(&study).await?;
            // Who has access is proven by the ledger, whether the hospital answers or not.
            let asked = patient.look_up(&study).await.err();
            Ok(who(&study, &access, &patient.looks(&study)?, asked.as_ref()))
        }
        WalletCommand::Revoke { folder, grant } => {
            let mut patient = open(&folder)?;
            let grant = patient.revocable(&grant).await?;
            let from = Instant::now();
            let height = patient.revoke(&grant).await?;
            let ms = from.elapsed().as_millis();
            let name = grant.name.as_ref().map_or(UNNAMED, |name| name.as_str());
            let receipt = patient.revocation_receipt(grant.id)?;
            let since = receipt.as_ref().map(|receipt| receipt.receipt.at);
            let told = since.map_or_else(
                || {
                    "no receipt: the hospital was not reached directly, and stops serving when it sees the ledger"
                        .to_owned()
                },
                |since| format!("receipt: the hospital has stopped serving since {since}"),
            );
            Ok(Answer {
                text: format!(
                    "revoked: {name} can no longer fetch; final at height {height} after {ms} ms\n{told}\nWhat was fetched before stays with them."
                ),
                json: json!({
                    "grant": grant.id.to_string(), "height": height, "ms": ms, "stopped_ms": since.map(|since| since.0),
                    "receipt": receipt.map(|receipt| encoding::Hex(&encoding::encode(&receipt)).to_string()),
                }),
            })
        }
        WalletCommand::Fetch { folder, study, out } => {
            let mut patient = open(&folder)?;
            let study = patient.study(&study)?;
            let from = Instant::now();
            let fetched = patient.fetch(&study, out.as_deref(), progress::of_fetch()).await?;
            downloaded(&[fetched], from.elapsed())
        }
        WalletCommand::Images(command) => {
            let of = command.study();
            let ready = command.ready()?;
            let mut patient = open(&of.folder)?;
            let study = patient.study(&of.study)?;
            // A report may have come since. What is there already does not come again, and is at hand also where nobody can be asked.
            let fetched = patient.fetch(&study, None, progress::of_fetch()).await;
            let kept = Kept::after(fetched, patient.images(&study))?;
            let objection = match patient.objection(&study)? {
                None => patient.objection_to_copy(&study)?,
                objection => objection,
            };
            let known = Against { objection, asked_at: patient.asked_at(&study)?, about: patient.about(study.id)? };
            command.run(ready, kept, (known, true), |what, why| patient.note(&study, what, why)).await
        }
        WalletCommand::Forget(of) => {
            let patient = open(&of.folder)?;
            Ok(forgotten(patient.forget(&patient.study(&of.study)?)?))
        }
    }
}

/// Asks the ledger how the studies stand, each by itself, so that nobody is told which of them are one person's. Why not, where it did not answer:
/// the list is shown all the same, with what it said before.
async fn asked(patient: &mut Patient, all: &[OwnStudy]) -> Result<Option<String>, CommandError> {
    let end = tokio::time::Instant::now() + ASKED;
    for study in all.iter().filter(|study| study.held.final_at.is_some()) {
        match tokio::time::timeout_at(end, patient.ask(study)).await {
            Ok(Ok(()) | Err(WalletError::NotOnLedger)) => {}
            Ok(Err(error @ WalletError::Vault(_))) => return Err(error.into()),
            Ok(Err(error)) => return Ok(Some(sentences(&error))),
            Err(_) => return Ok(Some(format!("it did not answer within {} seconds", ASKED.as_secs()))),
        }
    }
    Ok(None)
}

fn studies(patient: &Patient, all: &[OwnStudy], not_asked: Option<&str>) -> Result<Answer, CommandError> {
    let (mut lines, mut rows) = (Vec::new(), Vec::<Value>::new());
    for study in all {
        let (objection, (used, used_rows)) = (patient.objection(study)?, noted(&patient.noted(study)?));
        let about = patient.about(study.id)?;
        lines.push(study_line(study));
        lines.extend(about.as_ref().map(about_line));
        lines.extend(objection.iter().map(|objection| format!("              {objection}")));
        lines.extend(used);
        let mut row = study_row(study);
        row["about"] = about_row(about.as_ref());
        row["state"] = json!(objection.map_or("current", |objection| objection.state()));
        row["in_spite_of"] = used_rows;
        rows.push(row);
    }
    lines.push(format!("{} studies", all.len()));
    if let Some(why) = not_asked {
        lines.push(format!("the ledger could not be asked, and what it said before is shown: {why}"));
    }
    let json = json!({ "studies": rows, "not_asked": not_asked });
    Ok(Answer { text: lines.join("\n"), json })
}

/// Who a study is about, in a line below it.
pub(super) fn about_line(about: &About) -> String {
    format!("              {about}")
}

pub(super) fn about_row(about: Option<&About>) -> Value {
    about.map_or(Value::Null, |About { name, birth_date }| {
        json!({ "name": name.as_str(), "birth_date": birth_date.map(|date| date.to_string()) })
    })
}

fn open(folder: &Folder) -> Result<Patient, CommandError> {
    let mut patient = Patient::open(&folder.dir, &folder.passphrase()?, now)?;
    patient.tell(of_silence);
    Ok(patient)
}

/// Says at once that too few hospitals answer, and when that is over.
fn of_silence(silence: Option<&Silence>) {
    complain(&silence.map_or_else(
        || "enough hospitals answer again".to_owned(),
        |silence| format!("{silence}. What was signed is kept, and given to them again by itself"),
    ));
}

/// What is said of a new wallet: the words, once.
pub(super) fn made(what: &str, folder: &Folder, words: &clavicle_ledger::derivation::Words) -> Answer {
    let words = words.reveal();
    let numbered: Vec<String> = (1..).zip(words.split(' ')).map(|(n, word)| format!("{n:>2} {word:<10}")).collect();
    let rows: Vec<String> = numbered.chunks(6).map(|row| row.join(" ").trim_end().to_owned()).collect();
    Answer {
        text: format!(
            "{what} in {}\nThese words are the wallet. Write them down, and show them to nobody; they are not shown again.\n\n{}",
            folder.dir.display(),
            rows.join("\n")
        ),
        json: json!({ "dir": path_text(&folder.dir), "words": words.as_str() }),
    }
}

/// The code of a hospital's desk. Its ticket opens a visit, with the PIN that the desk told: the code itself is taken as an argument with a warning.
fn pickup_code(given: &str) -> Result<PickupCode, CommandError> {
    if given == "-" {
        return Ok(code::from_text(&typed("the code")?).map_err(ReadCodeError::from)?);
    }
    if code::is_code(given) {
        let warning = "warning: everybody on this machine can read the code in the list of processes: give a file that holds it, /dev/fd/NUMBER, or - \
                       to be asked";
        complain(warning);
    }
    Ok(read_code(given)?)
}

async fn pickup(
    folder: &Folder,
    given: &str,
    pin: &Given<PinKind>,
    birth_date: &Given<BirthDateKind>,
) -> Result<Answer, CommandError> {
    let code = pickup_code(given)?;
    let what = match code.question {
        Question::Pin => "the PIN that the desk told: give --pin",
        Question::BirthDate => "the date of birth: give --birth-date, as in 1953-01-17",
    };
    // What answers another question is no answer.
    let answer = match code.question {
        Question::Pin if birth_date.is_given() => return Err(CommandError::NoAnswer(what)),
        Question::BirthDate if pin.is_given() => return Err(CommandError::NoAnswer(what)),
        Question::Pin => pin.ask(),
        Question::BirthDate => birth_date.ask(),
    };
    let answer = answer.map_err(|error| CommandError::Unanswered { what, error })?;
    let mut patient = open(folder)?;
    let from = Instant::now();
    let PickupOutcome { studies: picked_up, not_offered } = patient.pick_up(&code, &answer).await?;
    let ms = from.elapsed().as_millis();
    let (mut lines, mut rows) = (Vec::new(), Vec::<Value>::new());
    for one in &picked_up {
        let about = patient.about(one.study.id)?;
        lines.push(picked_up_line(one));
        lines.extend(about.as_ref().map(about_line));
        let mut row = study_row(&one.study);
        row["about"] = about_row(about.as_ref());
        row["before"] = json!(one.before);
        row["failed"] = json!(one.failed);
        rows.push(row);
    }
    lines.extend(not_offered.iter().map(|why| format!("not handed over: {why}")));
    let yours = picked_up.iter().filter(|one| one.failed.is_none()).count();
    let all = picked_up.len() + not_offered.len();
    lines.push(format!("{yours} of {all} studies are yours, final after {ms} ms"));
    let not_offered: Vec<String> = not_offered.iter().map(ToString::to_string).collect();
    Ok(Answer { text: lines.join("\n"), json: json!({ "studies": rows, "not_offered": not_offered, "ms": ms }) })
}

fn picked_up_line(one: &PickedUp) -> String {
    let line = study_line(&one.study);
    match (&one.failed, one.before) {
        (Some(why), _) => format!("{line}\n              not yours: {why}"),
        (None, true) => format!("{line}  (was yours already)"),
        (None, false) => line,
    }
}

async fn restore(
    folder: &Folder,
    network: &Path,
    words_file: Option<&Path>,
    code: Option<&str>,
) -> Result<Answer, CommandError> {
    let genesis = file::read_genesis(network)?;
    let checkpoint = code.map(pickup_code).transpose()?.map(|code| code.checkpoint);
    let words = words(words_file)?;
    let passphrase = folder.new_passphrase()?;
    let restored = Patient::restore(&folder.dir, &passphrase, genesis, &words, checkpoint.as_ref(), now).await?;
    let (mut patient, studies) = (restored.patient, restored.studies);
    let mut answer = found(&mut patient, folder).await?;
    answer.text = format!("a wallet of your words in {}\n{}", folder.dir.display(), answer.text);
    answer.json["dir"] = json!(path_text(&folder.dir));
    answer.json["on_ledger"] = json!(studies);
    Ok(answer)
}

/// The 24 words: typed, where they can be seen, since nobody types 24 words blindly.
fn words(file: Option<&Path>) -> Result<Words, CommandError> {
    let typed = match file {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|error| CommandError::File { path: path.to_owned(), error })
        }
        None => {
            complain("The 24 words, on one line:");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line).map_err(CommandError::NoWords)
        }
    };
    Ok(Words::parse(&Zeroizing::new(typed?))?)
}

/// Looks for the studies of the wallet's words.
async fn found(patient: &mut Patient, folder: &Folder) -> Result<Answer, CommandError> {
    let all = patient.find(progress::counted("studies asked for")).await?;
    let (mut lines, mut rows, mut not_told) = (Vec::new(), Vec::new(), 0);
    for one in &all {
        match one {
            Found::New(id) | Found::Known(id) => {
                let study = patient.study(&id.to_string())?;
                lines.push(study_line(&study));
                rows.push(study_row(&study));
            }
            Found::NotTold(id, error) => {
                not_told += 1;
                lines.push(format!("{}  {}", short(&id.to_string()), sentences(error)));
                rows.push(json!({ "study": id.to_string(), "not_told": sentences(error) }));
            }
        }
    }
    let new = all.iter().filter(|one| matches!(one, Found::New(_))).count();
    lines.push(format!(
        "{} studies on the ledger are yours: {new} found now, {not_told} not told by their hospitals",
        all.len()
    ));
    if not_told > 0 {
        lines.push(format!("To ask for these once more: clavicle wallet find --dir {}", folder.dir.display()));
    }
    Ok(Answer { text: lines.join("\n"), json: json!({ "studies": rows, "new": new, "not_told": not_told }) })
}

async fn grant(folder: &Folder, study: &str, to: &str, request: &GrantRequest) -> Result<Answer, CommandError> {
    let card: SignedCard = read_code(to)?;
    let mut patient = open(folder)?;
    let study = patient.study(study)?;
    let from = Instant::now();
    let granted = patient.grant(&study, &card, request).await?;
    let ms = from.elapsed().as_millis();
    let made = &granted.made;
    let height = match made.stage {
        Stage::Final(height) | Stage::Delivered(height) => Some(height),
        Stage::Signed => None,
    };
    let at = height.map_or_else(String::new, |height| format!(" at height {height}"));
    let (id, name, expires) = (granted.id.to_string(), &made.card.card.name, moment(made.terms.expires));
    Ok(Answer {
        text: format!(
            "granted to {name} (unverified: nobody vouches for this name) until {expires}\ngrant {id}\nfinal{at} and delivered after {ms} ms"
        ),
        json: json!({
            "grant": id, "study": study.id.to_string(), "to": name.as_str(), "expires_ms": made.terms.expires.0,
            "height": height, "ms": ms,
        }),
    })
}

fn who(study: &OwnStudy, access: &Access, looks: &[Look], not_asked: Option<&WalletError>) -> Answer {
    let Access { height, age_ms, events, grants } = access;
    let mut lines = Vec::new();
    for row in grants {
        let name = row.name.as_ref().map_or(UNNAMED, |name| name.as_str());
        let until = row.expires.map_or_else(|| row.expiry_day.to_string(), moment);
        let purpose = row.purpose.map_or("", |purpose| purpose.code());
        lines.push(format!("{}  {name} until {until}  {purpose}", short(&row.grant.to_string())));
    }
    let nobody = if grants.is_empty() { "nobody but you has access to this study" } else { "nobody else" };
    lines.push(format!("{nobody}; proven at height {height}, {} old; {events} transactions so far", ago(*age_ms)));
    if !looks.is_empty() {
        lines.push("who looked, as the hospital wrote it down:".to_owned());
        let first = looks.first().map_or(0, |look| look.receipt.receipt.sequence);
        if first > 0 {
            lines.push(format!(
                "  {first} receipts from before are not shown: they may be older than they have to be kept"
            ));
        }
        lines.extend(looks.iter().map(looks::line));
    }
    if let Some(error) = not_asked {
        lines.push(format!(
            "the hospital could not be asked who looked, so that the newest may be missing: {}",
            sentences(error)
        ));
    }
    let rows: Vec<Value> = grants
        .iter()
        .map(|row| {
            json!({
                "grant": row.grant.to_string(), "grantee": row.grantee.to_string(),
                "name": row.name.as_ref().map(|name| name.as_str()),
                "expires_ms": row.expires.map(|expires| expires.0), "expiry_day": row.expiry_day.to_string(),
                "purpose": row.purpose.map(|purpose| purpose.code()),
            })
        })
        .collect();
    let json = json!({
        "study": study.id.to_string(), "height": height, "age_ms": age_ms, "events": events, "grants": rows,
        "looked": looks.iter().map(looks::row).collect::<Vec<_>>(), "not_asked": not_asked.map(|error| sentences(error)),
    });
    Answer { text: lines.join("\n"), json }
}

/// The beginning of an id, enough to name it by.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn study_line(study: &OwnStudy) -> String {
    let id = study.id.to_string();
    let pending = if study.held.final_at.is_some() { "" } else { "  (not final yet)" };
    let Some(Known { summary, .. }) = &study.held.known else {
        return format!("{}  (its hospital has not told yet what it is: clavicle wallet find){pending}", short(&id));
    };
    let date = summary.date.map_or_else(|| "no date".to_owned(), |date| date.to_string());
    format!(
        "{}  {date:<10}  {:<8} {:>5} instances in {:>3} series  {}{pending}",
        short(&id),
        summary.modalities,
        summary.instances,
        summary.series,
        summary.description
    )
}

fn study_row(study: &OwnStudy) -> Value {
    let mut row = json!({
        "study": study.id.to_string(), "source": study.held.source.to_string(), "final_at": study.held.final_at,
    });
    if let Some(Known { summary, .. }) = &study.held.known {
        row["study_instance_uid"] = json!(summary.study_instance_uid.as_str());
        row["date"] = json!(summary.date.map(|date| date.to_string()));
        row["description"] = json!(summary.description.as_str());
        row["modalities"] = json!(summary.modalities.as_str());
        row["series"] = json!(summary.series);
        row["instances"] = json!(summary.instances);
        row["bytes"] = json!(summary.bytes);
    }
    row
}

fn stage(granted: &Granted) -> String {
    if let Some(revoked) = &granted.revoked {
        return revoked.final_at.map_or_else(
            || "revocation signed, not final yet".to_owned(),
            |height| format!("revoked at height {height}"),
        );
    }
    match granted.made.stage {
        Stage::Signed => "signed, not final yet".to_owned(),
        Stage::Final(height) => format!("final at height {height}, not delivered yet"),
        Stage::Delivered(height) => format!("final at height {height}"),
    }
}

fn grant_line(granted: &Granted) -> String {
    let made = &granted.made;
    format!(
        "{}  study {}  {} until {}  {}",
        short(&granted.id.to_string()),
        short(&made.study.to_string()),
        made.card.card.name,
        moment(made.terms.expires),
        stage(granted)
    )
}

fn grant_row(granted: &Granted) -> Value {
    let made = &granted.made;
    json!({
        "grant": granted.id.to_string(), "study": made.study.to_string(), "to": made.card.card.name.as_str(),
        "expires_ms": made.terms.expires.0, "purpose": made.terms.purpose.code(), "stage": stage(granted),
    })
}
