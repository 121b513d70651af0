//! `clavicle recipient …`: what a recipient does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use clavicle_command::clock::now;
use clavicle_command::file::path_text;
use clavicle_command::said::sentences;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::study::{Standing, Status};
use clavicle_letters::code;
use clavicle_letters::letter::{Notice, NoticeCounts};
use clavicle_network::file;
use clavicle_wallet::WalletError;
use clavicle_wallet::download::Downloaded;
use clavicle_wallet::objection::Objection;
use clavicle_wallet::recipient::{CopyState, Granted, Mail, Recipient};
use clavicle_wallet::rows::Noticed;
use serde_json::{Value, json};

use super::images::{Against, Kept, forgotten, noted};
use super::progress::{self, size};
use super::terms::moment;
use super::wallet::{about_line, about_row, made, short};
use super::{Answer, CommandError, Folder, RecipientCommand, can_write, write_picture};

pub(super) async fn run(command: RecipientCommand) -> Result<Answer, CommandError> {
    match command {
        RecipientCommand::Init { folder, network, name } => {
            let genesis = file::read_genesis(&network)?;
            let (_, words) = Recipient::create(&folder.dir, &folder.new_passphrase()?, genesis, &name, now)?;
            Ok(made("a new recipient", &folder, &words))
        }
        RecipientCommand::Card { folder, png, keys, days, wish } => {
            card(&folder, png.as_deref(), usize::from(keys), days, &wish).await
        }
        RecipientCommand::Inbox { folder } => inbox(&folder).await,
        RecipientCommand::Fetch { folder, study, out } => fetch(&folder, study.as_deref(), out.as_deref()).await,
        RecipientCommand::Images(command) => {
            let of = command.study();
            let ready = command.ready()?;
            let mut recipient = open(&of.folder)?;
            let granted = recipient.granted_now(&of.study).await?;
            let study = granted.received.study;
            let kept = kept(&mut recipient, &granted).await?;
            let objection = match recipient.objection(&granted)? {
                None => recipient.objection_to_copy(study)?,
                objection => objection,
            };
            let known = Against { objection, asked_at: recipient.asked_at(study)?, about: recipient.about(&granted)? };
            command.run(ready, kept, (known, false), |what, why| recipient.note(study, what, why)).await
        }
        RecipientCommand::Forget(of) => {
            let recipient = open(&of.folder)?;
            Ok(forgotten(recipient.forget(recipient.granted(&of.study)?.received.study)?))
        }
    }
}

fn open(folder: &Folder) -> Result<Recipient, CommandError> {
    Ok(Recipient::open(&folder.dir, &folder.passphrase()?, now)?)
}

/// What came, and what has become of all that was granted.
async fn inbox(folder: &Folder) -> Result<Answer, CommandError> {
    let mut recipient = open(folder)?;
    let mail = read_mail(&mut recipient).await?;
    let new = mail.new.len();
    let all = recipient.inbox()?;
    // What has ended by itself, and left nothing, is not asked about.
    let mut asked = BTreeSet::new();
    for granted in &all {
        let study = granted.received.study;
        if !matches!(recipient.objection(granted)?, Some(Objection::GrantOver(_))) || recipient.has_copy(study)? {
            asked.insert(study);
        }
    }
    // That the ledger cannot be asked just now is no reason not to show the list: what it said before stands. That there is no such study is what
    // it says of this one, and of no other.
    let mut failed = ask_each(&mut recipient, asked).await?;
    failed.retain(|_, error| !matches!(error, WalletError::NotOnLedger));
    let not_asked = failed.into_values().next();
    let (mut lines, mut rows, mut current) = (Vec::new(), Vec::<Value>::new(), 0usize);
    for granted in &all {
        let study = granted.received.study;
        let (copy, objection) = (recipient.copy(study)?, recipient.objection(granted)?);
        let state = objection.map_or("current", |objection| objection.state());
        current += usize::from(objection.is_none());
        let ended = objection.filter(|_| !matches!(copy, Some(CopyState::NotToBeUsed(_))));
        let ended = ended.map(|objection| match objection {
            Objection::Unproven => format!("not to be used: {objection}"),
            _ => format!("not any more: {objection}"),
        });
        let said = copy.and_then(of_copy);
        let about = recipient.about(granted)?;
        lines.push(line(granted));
        lines.extend(about.as_ref().map(about_line));
        lines.extend(ended.iter().chain(&said).map(|said| format!("              {said}")));
        let mut row = row(granted);
        row["about"] = about_row(about.as_ref());
        row["state"] = json!(state);
        row["copy"] = json!(copy.map(|copy| if copy == CopyState::Current { "current" } else { "outdated" }));
        row["notice"] = json!(said.or(ended));
        let told = recipient.notice(study)?;
        lines.extend(told.iter().map(|told| format!("              {}", told_line(told))));
        row["told"] = told.as_ref().map_or(Value::Null, told_row);
        let (more, used) = noted(&recipient.noted(study)?);
        lines.extend(more);
        row["in_spite_of"] = used;
        rows.push(row);
    }
    lines.push(format!("{} studies were granted, {new} of them new; {current} may be used now", all.len()));
    lines.extend(unread(&mail));
    if let Some(error) = &not_asked {
        lines.push(format!("the ledger could not be asked, and what it said before is shown: {}", sentences(error)));
    }
    let json = json!({
        "granted": rows, "new": new, "current": current, "silent": mail.silent, "unread": mail.unread, "not_asked": not_asked.map(|error| sentences(&error)),
    });
    Ok(Answer { text: lines.join("\n"), json })
}

/// Reads what came, and says meanwhile what is being done.
async fn read_mail(recipient: &mut Recipient) -> Result<Mail, WalletError> {
    progress::doing("asking the hospitals for letters");
    recipient.read_mail(progress::counted("mailboxes read")).await
}

/// Asks the ledger about studies, and says meanwhile what is being done.
async fn ask_each(
    recipient: &mut Recipient,
    studies: BTreeSet<StudyId>,
) -> Result<BTreeMap<StudyId, WalletError>, WalletError> {
    let studies: Vec<StudyId> = studies.into_iter().collect();
    if studies.is_empty() {
        return Ok(BTreeMap::new());
    }
    progress::doing(&format!("asking the ledger about {} studies", studies.len()));
    recipient.ask_each(&studies, progress::counted("studies asked for")).await
}

/// What could not be read; nothing, if all was.
fn unread(Mail { silent, unread, all, .. }: &Mail) -> Option<String> {
    if silent.is_empty() {
        return None;
    }
    let what = match unread {
        0 => "each mailbox was read at another hospital, and what these alone keep comes when they answer".to_owned(),
        unread => format!("{unread} of {all} mailboxes could not be read anywhere"),
    };
    Some(format!("no answer from {}: {what}", silent.join(", ")))
}

async fn card(folder: &Folder, png: Option<&Path>, keys: usize, days: u64, wish: &str) -> Result<Answer, CommandError> {
    can_write(png)?;
    let card = open(folder)?.card(keys, days, wish, progress::counted("parts of the work for a mailbox")).await?;
    let text = code::to_text(&card);
    let until = moment(card.card.expires);
    let mut json =
        json!({ "code": text, "name": card.card.name.as_str(), "expires_ms": card.card.expires.0, "keys": keys });
    let shown = match png {
        None => text,
        Some(path) => {
            write_picture(path, &code::to_png(&text)?)?;
            json["png"] = json!(path_text(path));
            format!("it is in {}", path.display())
        }
    };
    let studies = if keys == 1 { "one study".to_owned() } else { format!("{keys} studies") };
    Ok(Answer { text: format!("a card of {}, for {studies}, good until {until}\n{shown}", card.card.name), json })
}

/// What there is of a study. It is fetched only where something is missing, or the ledger has another revision: each fetch leaves a receipt.
async fn kept(recipient: &mut Recipient, granted: &Granted) -> Result<Kept, CommandError> {
    let study = granted.received.study;
    if let Ok(images) = recipient.images(study)
        && images.is_whole()
    {
        match recipient.ask(study).await {
            Err(error @ WalletError::Vault(_)) => return Err(error.into()),
            Err(error) => return Ok(Kept::unasked(images, error.into())),
            Ok(()) if recipient.copy(study)? == Some(CopyState::Current) => return Ok(Kept::whole(images)),
            Ok(()) => {}
        }
    }
    let fetched = recipient.fetch(granted, None, progress::of_fetch()).await;
    Kept::after(fetched, recipient.images(study))
}

async fn fetch(folder: &Folder, study: Option<&str>, out: Option<&Path>) -> Result<Answer, CommandError> {
    let mut recipient = open(folder)?;
    // What came since is fetched too. That no relay answers is told by what follows.
    let mail = read_mail(&mut recipient).await;
    let wanted: Vec<Granted> = match study {
        Some(begin) => vec![recipient.granted_now(begin).await?],
        None => recipient.inbox()?,
    };
    if wanted.is_empty() {
        mail?;
        return Err(CommandError::NothingGranted);
    }
    // All at once, so that what has ended costs no more than a question.
    let asked = match study {
        Some(_) => BTreeMap::new(),
        None => ask_each(&mut recipient, wanted.iter().map(|granted| granted.received.study).collect()).await?,
    };
    let from = Instant::now();
    let (mut fetched, mut failed) = (Vec::new(), Vec::new());
    for (number, granted) in wanted.iter().enumerate() {
        let id = granted.received.study;
        let ended = match asked.get(&id) {
            _ if study.is_some() => None,
            None => recipient.ended(granted)?,
            Some(WalletError::NotOnLedger) => Some(WalletError::NotOnLedger),
            // Nobody waits for each once more.
            Some(WalletError::NoRelay(_)) => Some(WalletError::NoRelay(None)),
            Some(_) => None,
        };
        if let Some(ended) = ended {
            failed.push((granted, ended));
            continue;
        }
        progress::doing(&format!("fetching study {} ({} of {})", short(&id.to_string()), number + 1, wanted.len()));
        match recipient.fetch(granted, out, progress::of_fetch()).await {
            Ok(downloaded) => fetched.push(downloaded),
            Err(error) => failed.push((granted, error)),
        }
    }
    let reasons: Vec<String> = failed
        .iter()
        .map(|(granted, error)| format!("study {}: {}", short(&granted.received.study.to_string()), sentences(error)))
        .collect();
    if fetched.is_empty() {
        // One alone fails with its own reason and code.
        return match failed.pop() {
            Some((_, error)) if failed.is_empty() => Err(error.into()),
            _ => Err(CommandError::NothingFetched(reasons.join("; "))),
        };
    }
    let mut answer = downloaded(&fetched, from.elapsed())?;
    // What has ended, or was never granted, was not there to be fetched; everything else was asked for, and not done.
    let is_nothing = |error: &WalletError| {
        matches!(error, WalletError::GrantGone { .. } | WalletError::GrantOver(_) | WalletError::NotOnLedger)
    };
    if !failed.iter().all(|(_, error)| is_nothing(error)) {
        return Err(CommandError::PartlyFetched { failed: reasons.join("; "), fetched: answer.text });
    }
    for reason in &reasons {
        answer.text.push_str("\nnot fetched  ");
        answer.text.push_str(reason);
    }
    answer.json["not_fetched"] = json!(reasons);
    if let Ok(mail) = &mail {
        answer.text.extend(unread(mail).map(|unread| format!("\n{unread}")));
        answer.json["silent"] = json!(mail.silent);
    }
    Ok(answer)
}

/// Tells what was fetched; an error, when not all of it is as it was signed.
pub(super) fn downloaded(all: &[Downloaded], took: Duration) -> Result<Answer, CommandError> {
    let incomplete: Vec<String> = all.iter().filter(|one| !one.comparison.is_complete()).map(incomplete).collect();
    if !incomplete.is_empty() {
        return Err(CommandError::Incomplete(incomplete.join("; ")));
    }
    let ms = took.as_millis();
    let mut lines = Vec::new();
    for one in all {
        let before = if one.before > 0 { format!(" ({} were there before)", one.before) } else { String::new() };
        let place = one
            .folder
            .as_ref()
            .map_or_else(|| "kept sealed in this wallet".to_owned(), |folder| format!("in {}", folder.display()));
        lines.push(format!("{}{before}, {place}", one.comparison));
        lines.extend(one.strays.iter().map(|stray| format!("no longer in the study: {}", stray.display())));
    }
    let bytes: u64 = all.iter().map(|one| one.bytes).sum();
    lines.push(format!("verified; {} in {ms} ms", size(bytes)));
    let rows: Vec<Value> = all
        .iter()
        .map(|one| {
            json!({
                "folder": one.folder.as_deref().map(path_text), "listed": one.comparison.listed, "intact": one.comparison.intact,
                "before": one.before, "bytes": one.bytes, "revision": one.revision, "strays": one.strays.iter().map(|stray| path_text(stray)).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(Answer { text: lines.join("\n"), json: json!({ "fetched": rows, "ms": ms }) })
}

/// What is missing of a study, and what lies in its way.
fn incomplete(one: &Downloaded) -> String {
    let mut said = one.comparison.to_string();
    if let [first, more @ ..] = one.in_the_way.as_slice() {
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        said.push_str(&format!(
            "; something else lies at {}{more}, which was left as it is: move it away, or fetch into another folder",
            first.display()
        ));
    }
    said
}

/// What somebody who has a copy must be told.
fn of_copy(copy: CopyState) -> Option<String> {
    match copy {
        CopyState::Current => None,
        CopyState::Replaced { copy, now } => Some(format!(
            "your copy is of revision {copy}, and the hospital has signed revision {now} since: fetch it again"
        )),
        CopyState::NotToBeUsed(standing) => {
            let why = match standing {
                Standing::Suspended(reason) | Standing::Withdrawn(reason) => reason.to_string(),
                Standing::Active | Standing::Frozen => String::new(),
            };
            Some(format!("the hospital has {standing} the study ({why}): do not use your copy"))
        }
    }
}

/// What the hospital wrote of a copy, by itself.
fn told_line(told: &Noticed) -> String {
    let Notice { revision, status, counts, .. } = &told.notice;
    let what = match status {
        Status::Active => format!("revision {revision} is what it serves"),
        Status::Suspended { reason, .. } => format!("it does not serve the study for now, {reason}"),
        Status::Withdrawn { reason } => format!("it has withdrawn the study, {reason}"),
    };
    let counts = counts.map_or_else(String::new, |NoticeCounts { removed, added, changed }| {
        format!("; {removed} images were removed, {added} added, {changed} changed")
    });
    format!("the hospital wrote at {}: {what}{counts}", moment(told.sent))
}

fn told_row(told: &Noticed) -> Value {
    let Notice { revision, status, counts, .. } = &told.notice;
    let status = match status {
        Status::Active => "active",
        Status::Suspended { .. } => "suspended",
        Status::Withdrawn { .. } => "withdrawn",
    };
    let counts =
        counts.map(|counts| json!({ "removed": counts.removed, "added": counts.added, "changed": counts.changed }));
    json!({ "sent_ms": told.sent.0, "revision": revision, "status": status, "counts": counts })
}

fn line(granted: &Granted) -> String {
    let received = &granted.received;
    format!(
        "{}  grant {}  until {}  {}  {}",
        short(&received.study.to_string()),
        short(&granted.id.to_string()),
        moment(received.terms.expires),
        received.terms.purpose.code(),
        received.description
    )
}

fn row(granted: &Granted) -> Value {
    let received = &granted.received;
    json!({
        "study": received.study.to_string(), "grant": granted.id.to_string(),
        "study_instance_uid": received.study_instance_uid.as_str(), "description": received.description.as_str(),
        "source": received.source.to_string(), "expires_ms": received.terms.expires.0,
        "purpose": received.terms.purpose.code(),
    })
}
