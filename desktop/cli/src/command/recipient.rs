//! `clavicle recipient …`: what a recipient does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clavicle_app::{
    App, AskStanding, FetchAsMember, FetchCredential, FetchGranted, FindGranted, ForgetCopy, FoundGrants, InboxRead,
    OpenGranted, ReadInbox, ReceivedRow, RequestCredential, ShowCard,
};
use clavicle_command::clock::now;
use clavicle_command::file::{Readers, is_free, path_text, write_new};
use clavicle_command::given::Given;
use clavicle_command::said::{many, some_of};
use clavicle_imaging::accounting::{Accounting, FileFate, FileRow};
use clavicle_ledger::derivation::Words;
use clavicle_ledger::encoding;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::study::{Standing, Status};
use clavicle_letters::code;
use clavicle_letters::letter::{Notice, NoticeCounts};
use clavicle_letters::name::quoted;
use clavicle_network::file;
use clavicle_wallet::download::Downloaded;
use clavicle_wallet::objection::Objection;
use clavicle_wallet::recipient::{CopyState, LotRow, OwnStanding};
use clavicle_wallet::rows::Noticed;
use serde_json::{Value, json};

use super::images::{forgotten, noted};
use super::invite;
use super::keeping;
use super::progress::{self, size};
use super::terms::{conditions, conditions_row, moment, purpose_said, scope_row};
use super::wallet::{about_line, about_row, made, named, pickup_code, short, verdict_row};
use super::{
    Answer, CommandError, Folder, MemberArguments, RecipientCommand, WordsKind, can_write, client, write_picture,
};

/// What is said of a study that the wrong person had.
const REISSUED: &str = "reissued: the hospital says that the wrong person had this, and that it is another study now, of \
                        the right one. What was granted here is void: throw copies away, and ask the right person";

pub(super) async fn run(command: RecipientCommand) -> Result<Answer, CommandError> {
    match command {
        RecipientCommand::Init { folder, network, name } => {
            let genesis = file::read_genesis(&network)?;
            let keys = Arc::new(folder.new_passphrase()?);
            let (_, words) = App::create_recipient(&folder.dir, keys, genesis, &name, now).await?;
            Ok(made(("recipient", "a new recipient"), &folder, &words))
        }
        RecipientCommand::Restore { folder, network, name, words, vouched_by, code } => {
            restore(&folder, (&network, code.as_deref()), &name, &words, vouched_by).await
        }
        RecipientCommand::Find { folder } => found(&client::recipient(&folder).await?).await,
        RecipientCommand::Words { folder, words } => {
            keeping::words(client::recipient(&folder).await?, &folder, &words).await
        }
        RecipientCommand::Passphrase { folder, new } => keeping::passphrase(&folder, &new).await,
        RecipientCommand::Card { folder, png, keys, days, wish } => {
            card(&folder, png.as_deref(), usize::from(keys), days, &wish).await
        }
        RecipientCommand::Answer(of) => invite::answer(&of).await,
        RecipientCommand::RequestCredential { folder, of, of_file, out } => match of_file {
            Some(organisation) => super::organisation::request(&folder, &organisation, &out).await,
            None => request_credential(&folder, of.unwrap_or_default(), &out).await,
        },
        RecipientCommand::TakeCredential { folder, file } => super::organisation::take(&folder, &file).await,
        RecipientCommand::Organisation { folder, out } => super::organisation::organisation(&folder, &out).await,
        RecipientCommand::Vouch(of) => super::organisation::vouch(&of).await,
        RecipientCommand::Vouched { folder } => super::organisation::vouched(&folder).await,
        RecipientCommand::EndVouching { folder, number } => super::organisation::end(&folder, number).await,
        RecipientCommand::Show { folder } => show(&folder).await,
        RecipientCommand::Inbox { folder } => inbox(&folder).await,
        RecipientCommand::Fetch { folder, study, out, member } => {
            fetch(&folder, study.as_deref(), out.as_deref(), &member).await
        }
        RecipientCommand::Images(command) => {
            let of = command.study();
            let ready = command.ready()?;
            let app = client::recipient(&of.folder).await?;
            let open = client::done(&app, OpenGranted { begin: of.study.clone() }, "images").await?;
            command.run(ready, &app, open).await
        }
        RecipientCommand::Forget(of) => {
            let app = client::recipient(&of.folder).await?;
            let study = app.subscribe().borrow().received(&of.study)?.study;
            Ok(forgotten(client::done(&app, ForgetCopy { study }, "").await?))
        }
    }
}

/// Makes a wallet of its words, and finds what can be found.
async fn restore(
    folder: &Folder,
    (network, code): (&Path, Option<&OsStr>),
    name: &str,
    words: &Given<WordsKind>,
    vouched_by: Option<String>,
) -> Result<Answer, CommandError> {
    let genesis = file::read_genesis(network)?;
    let checkpoint = code.map(pickup_code).transpose()?.map(|code| code.checkpoint);
    let words = Words::parse(&words.ask().map_err(CommandError::NoWords)?)?;
    let keys = Arc::new(folder.new_passphrase()?);
    progress::doing("asking the hospitals what there is of these words");
    let app = App::restore_recipient(&folder.dir, keys, (genesis, checkpoint.as_ref()), &words, name, now).await?;
    let (mut answer, shortfall) = match found(&app).await {
        Err(CommandError::Found { sentence, answer, .. }) => (*answer, Some(sentence)),
        found => (found?, None),
    };
    let vouched = match vouched_by {
        None => Err(
            "no hospital was asked whether it vouches for this name: give --vouched-by, or see `clavicle recipient \
             request-credential`"
                .to_owned(),
        ),
        Some(hospital) => match client::done(&app, FetchCredential { hospital: hospital.clone() }, "").await {
            Ok(()) => Ok(format!("{} vouches for this name as before", quoted(&hospital))),
            Err(error) => Err(format!("{} does not vouch for this name now: {error}", quoted(&hospital))),
        },
    };
    answer.json["dir"] = json!(path_text(&folder.dir));
    answer.json["vouched"] = json!(vouched.is_ok());
    let said = vouched.unwrap_or_else(|why| why);
    answer.text = format!("a wallet of your words in {}\n{}\n{said}", folder.dir.display(), answer.text);
    CommandError::unless_all(shortfall, "unread", answer)
}

/// Looks for cards of other wallets of the same words.
async fn found(app: &App) -> Result<Answer, CommandError> {
    let all = client::done(app, FindGranted {}, "mailboxes asked about").await?;
    let FoundGrants { cards, granted, unreadable, devices, unread } = all;
    let state = app.subscribe();
    let state = state.borrow();
    let (mut lines, mut rows) = (Vec::new(), Vec::<Value>::new());
    for one in state.received.iter().filter(|one| granted.contains(&one.grant)) {
        lines.push(line(one));
        rows.push(row(one));
    }
    let cards_said = many(cards, "card whose mailbox is still kept was", "cards whose mailboxes are still kept were");
    lines.push(format!("{cards_said} found, and {} that nobody had read", many(rows.len(), "grant", "grants")));
    if unreadable > 0 {
        lines.push(format!(
            "{} to cards of an earlier version cannot be opened: what opens them went with the lost wallet",
            many(unreadable, "letter", "letters")
        ));
    }
    lines.push(
        "not found: what the lost wallet had read already, and cards whose mailboxes relays let go. Whoever granted \
         it can allow it once more, on a new card"
            .to_owned(),
    );
    let json =
        json!({ "cards": cards, "granted": rows, "unreadable": unreadable, "devices": devices, "unread": unread });
    let shortfall = (unread > 0).then(|| {
        let mailboxes = many(unread, "mailbox", "mailboxes");
        format!("{mailboxes} could not be read anywhere: `clavicle recipient inbox` reads what comes later")
    });
    CommandError::unless_all(shortfall, "unread", Answer { text: lines.join("\n"), json })
}

/// What came, and what has become of all that was granted.
async fn inbox(folder: &Folder) -> Result<Answer, CommandError> {
    let app = client::recipient(folder).await?;
    let read = read_inbox(&app).await?;
    let state = app.subscribe();
    let state = state.borrow();
    let (mut lines, mut rows, mut current) = (Vec::new(), Vec::<Value>::new(), 0usize);
    for granted in &state.received {
        let ReceivedRow { copy, objection, about, told, is_reissued, in_spite_of, .. } = granted;
        let state = objection.map_or("current", |objection| objection.state());
        current += usize::from(objection.is_none());
        let ended = objection.filter(|_| granted.standing().is_none()).map(|objection| match objection {
            Objection::Unproven => format!("not to be used: {objection}"),
            _ => format!("not any more: {objection}"),
        });
        let said = copy.and_then(of_copy);
        lines.push(line(granted));
        lines.extend(about.as_ref().map(about_line));
        lines.extend(
            conditions(&granted.terms, granted.scope.as_ref(), Some(granted.opened))
                .iter()
                .map(|said| format!("              {said}")),
        );
        lines.extend(ended.iter().chain(&said).map(|said| format!("              {said}")));
        let mut row = row(granted);
        row["about"] = about_row(about.as_ref());
        row["terms"] = conditions_row(&granted.terms, granted.scope.as_ref(), Some(granted.opened));
        row["state"] = json!(state);
        row["copy"] = json!(copy.map(|copy| if copy == CopyState::Current { "current" } else { "outdated" }));
        row["notice"] = json!(said.or(ended));
        lines.extend(told.iter().map(|told| format!("              {}", told_line(told))));
        row["told"] = told.as_ref().map_or(Value::Null, told_row);
        if *is_reissued {
            lines.push(format!("              {REISSUED}"));
        }
        row["reissued"] = json!(is_reissued);
        let (more, used) = noted(in_spite_of);
        lines.extend(more);
        row["in_spite_of"] = used;
        rows.push(row);
    }
    let (all, new) = (state.received.len(), read.new.len());
    let studies: BTreeSet<StudyId> = state.received.iter().map(|granted| granted.study).collect();
    lines.push(match studies.len() {
        studies if studies == all => {
            format!("{} granted, {new} of them new; {current} may be used now", many(all, "study was", "studies were"))
        }
        studies => format!(
            "{} granted, by {all} grants, {new} of them new; {current} may be used now",
            many(studies, "study was", "studies were")
        ),
    });
    lines.extend(state.lots.iter().filter_map(lot_line));
    lines.extend(
        state
            .unreadable
            .iter()
            .map(|kind| format!("a letter of a kind that this version cannot read: {kind}; a newer one may")),
    );
    // Where each mailbox was read somewhere, who did not answer is a remark.
    lines.extend(unread(&read).filter(|_| read.unread == 0));
    let not_asked = read.not_asked.as_ref().map(|trouble| &trouble.happened);
    let json = json!({
        "granted": rows, "new": new, "current": current, "unreadable": state.unreadable,
        "lots": state.lots.iter().map(lot_row).collect::<Vec<_>>(), "silent": read.silent, "unread": read.unread, "not_asked": not_asked,
    });
    let not_asked =
        not_asked.map(|why| format!("the ledger could not be asked, and what it said before is shown: {why}"));
    let shortfall: Vec<String> = unread(&read).filter(|_| read.unread > 0).into_iter().chain(not_asked).collect();
    let code = if read.unread > 0 { "unread" } else { "not_asked" };
    let answer = Answer { text: lines.join("\n"), json };
    CommandError::unless_all((!shortfall.is_empty()).then(|| shortfall.join("; ")), code, answer)
}

/// What is still to come of several studies that are granted over some hours; nothing, once all are there.
fn lot_line(LotRow { of, have, last_by }: &LotRow) -> Option<String> {
    let left = usize::try_from(*of).unwrap_or(usize::MAX).checked_sub(*have).filter(|left| *left > 0)?;
    Some(if now().0 <= *last_by {
        format!("{have} of {of} studies that somebody grants you have come, the rest by {}", moment(*last_by))
    } else {
        format!(
            "{have} of {of} studies that somebody granted you have come; {left} were to come by {}",
            moment(*last_by)
        )
    })
}

fn lot_row(LotRow { of, have, last_by }: &LotRow) -> Value {
    json!({ "of": of, "have": have, "last_by_ms": last_by.0 })
}

/// Reads what came and asks what has become of it, and says meanwhile what is being done.
async fn read_inbox(app: &App) -> Result<InboxRead, CommandError> {
    progress::doing("asking the hospitals for letters, and what has become of what was granted");
    client::done(app, ReadInbox {}, "answered").await
}

/// What could not be read; nothing, if all was.
fn unread(InboxRead { silent, unread, mailboxes, .. }: &InboxRead) -> Option<String> {
    let what = match unread {
        0 if silent.is_empty() => return None,
        0 => "each mailbox was read at another hospital, and what these alone keep comes when they answer".to_owned(),
        unread => format!("{unread} of {} could not be read anywhere", many(*mailboxes, "mailbox", "mailboxes")),
    };
    if silent.is_empty() {
        return Some(what);
    }
    Some(format!("no answer from {}: {what}", silent.join(", ")))
}

async fn card(folder: &Folder, png: Option<&Path>, keys: usize, days: u64, wish: &str) -> Result<Answer, CommandError> {
    can_write(png)?;
    let command = ShowCard { keys, days, wish: wish.to_owned() };
    let app = client::recipient(folder).await?;
    let card = client::done(&app, command, "parts of the work for a mailbox").await?;
    // What the hospital says was asked just now, and is said again without asking.
    let verdict = client::done(&app, AskStanding {}, "").await.ok().map(|standing| standing.verdict);
    let text = code::to_text(&card);
    let (expires, name) = (card.card.expires.timestamp(), card.card.name.as_str());
    let until = moment(expires);
    let mut json = json!({ "code": text, "name": name, "verdict": verdict_row(verdict.as_ref()), "expires_ms": expires.0, "keys": keys });
    let shown = match png {
        None => text,
        Some(path) => {
            write_picture(path, &code::to_png(&text)?)?;
            json["png"] = json!(path_text(path));
            format!("it is in {}", path.display())
        }
    };
    Ok(Answer {
        text: format!(
            "a card of {}, for {}, good until {until}\n{shown}",
            named(Some(name), verdict.as_ref()),
            many(keys, "study", "studies")
        ),
        json,
    })
}

/// Writes what a hospital is to be given, so that it vouches.
async fn request_credential(folder: &Folder, hospital: String, out: &Path) -> Result<Answer, CommandError> {
    let unwritten = |error| CommandError::File { path: out.to_owned(), error };
    is_free(out).map_err(unwritten)?;
    let app = client::recipient(folder).await?;
    let request = client::done(&app, RequestCredential { hospital: hospital.clone() }, "").await?;
    write_new(out, &encoding::encode(&request), Readers::Usual).map_err(unwritten)?;
    let (name, person) = (request.request.name.as_str(), request.request.person.to_string());
    let text = format!(
        "a request of {} to {} is in {}\nGive it to its staff, and the first 12 letters of your key with it, by another way: {}\nThey say: clavicle-relay credential --for FILE --role ROLE",
        quoted(name),
        quoted(&hospital),
        out.display(),
        short(&person)
    );
    Ok(Answer { text, json: json!({ "request": path_text(out), "name": name, "person": person }) })
}

/// What patients see beside this name.
async fn show(folder: &Folder) -> Result<Answer, CommandError> {
    let app = client::recipient(folder).await?;
    let OwnStanding { name, verdict, list_of } = client::done(&app, AskStanding {}, "").await?;
    let list = list_of.map_or_else(String::new, |at| format!("\nby a list of {}, which counts for a day", moment(at)));
    Ok(Answer {
        text: format!("{}{list}", verdict.beside(name.as_str())),
        json: json!({ "name": name.as_str(), "verdict": verdict_row(Some(&verdict)), "list_ms": list_of.map(|at| at.0) }),
    })
}

async fn fetch(
    folder: &Folder,
    study: Option<&str>,
    out: Option<&Path>,
    member: &MemberArguments,
) -> Result<Answer, CommandError> {
    let member = member.member().await?;
    let app = client::recipient(folder).await?;
    // What came since is fetched too. That no relay answers is told by what follows.
    let read = read_inbox(&app).await;
    let wanted: Vec<ReceivedRow> = {
        let state = app.subscribe();
        let state = state.borrow();
        match study {
            Some(begin) => vec![state.received(begin)?.clone()],
            None => state.received.clone(),
        }
    };
    let silent = read.as_ref().ok().and_then(unread);
    if wanted.is_empty() {
        read?;
        return Err(CommandError::NothingGranted);
    }
    let from = Instant::now();
    let (mut fetched, mut failed) = (Vec::new(), Vec::new());
    for (number, granted) in wanted.iter().enumerate() {
        if study.is_none()
            && let Some(ended) = granted.ended(read.as_ref().ok())
        {
            failed.push((granted, ended));
            continue;
        }
        let id = granted.study.to_string();
        progress::doing(&format!("fetching study {} ({} of {})", short(&id), number + 1, wanted.len()));
        let (grant, out) = (granted.grant, out.map(Path::to_owned));
        let done = match member.clone() {
            None => client::done(&app, FetchGranted { grant, out }, "images").await,
            Some(member) => client::done(&app, FetchAsMember { grant, out, member }, "images").await,
        };
        match done {
            Ok(downloaded) => fetched.push(downloaded),
            Err(CommandError::App(trouble)) => failed.push((granted, trouble)),
            Err(error) => return Err(error),
        }
    }
    let reasons: Vec<String> = failed
        .iter()
        .map(|(granted, trouble)| format!("study {}: {trouble}", short(&granted.study.to_string())))
        .collect();
    if fetched.is_empty() {
        // One alone fails with its own reason and code.
        return match failed.pop() {
            Some((_, trouble)) if failed.is_empty() => Err(trouble.into()),
            _ => Err(CommandError::NothingFetched(reasons.join("; "))),
        };
    }
    let (mut answer, shortfall) = match downloaded(&fetched, from.elapsed()) {
        Err(CommandError::Found { sentence, answer, .. }) => (*answer, Some(sentence)),
        done => (done?, None),
    };
    for reason in &reasons {
        answer.text.push_str("\nnot fetched  ");
        answer.text.push_str(reason);
    }
    answer.json["not_fetched"] = json!(reasons);
    answer.text.extend(silent.map(|silent| format!("\n{silent}")));
    answer.json["silent"] = json!(read.as_ref().map_or(&[][..], |read| &read.silent));
    let failed = reasons.first().map(|first| {
        format!("{} not fetched. {first}", some_of(reasons.len(), wanted.len(), ("study", "studies"), ("was", "were")))
    });
    let said: Vec<String> = failed.into_iter().chain(shortfall).collect();
    CommandError::unless_all((!said.is_empty()).then(|| said.join("; ")), "incomplete", answer)
}

/// Tells what was fetched; an error, when not all of it is as it was signed.
pub(super) fn downloaded(all: &[Downloaded], took: Duration) -> Result<Answer, CommandError> {
    let ms = took.as_millis();
    let (mut lines, mut rows, mut short) = (Vec::new(), Vec::<Value>::new(), Vec::new());
    for one in all {
        let before = if one.before > 0 {
            format!(" ({} there before)", many(one.before, "file was", "files were"))
        } else {
            String::new()
        };
        let place = one
            .folder
            .as_ref()
            .map_or_else(|| "kept sealed in this wallet".to_owned(), |folder| format!("in {}", folder.display()));
        lines.push(format!("{}{before}, {place}", one.comparison));
        lines.extend(one.scope.as_ref().map(|scope| format!("{scope} were allowed, and all of the rest was left out")));
        lines.extend(one.strays.iter().map(|stray| format!("no longer in the study: {}", stray.display())));
        let accounting = accounting(one);
        lines.extend(accounting.lines());
        if !one.comparison.is_complete() {
            short.push(incomplete(one));
        }
        if one.not_offered > 0 {
            short.push(format!(
                "{} of the series that were allowed {} not offered: the study does not have them any more, or the hospital left them out",
                one.not_offered,
                if one.not_offered == 1 { "was" } else { "were" }
            ));
        }
        rows.push(json!({
            "folder": one.folder.as_deref().map(path_text), "listed": one.comparison.listed, "intact": one.comparison.intact,
            "before": one.before, "bytes": one.bytes, "revision": one.revision, "strays": one.strays.iter().map(|stray| path_text(stray)).collect::<Vec<_>>(),
            "accounting": accounting, "scope": one.scope.as_ref().map(scope_row), "not_offered": one.not_offered,
        }));
    }
    let bytes: u64 = all.iter().map(|one| one.bytes).sum();
    lines.push(format!("verified; {} in {ms} ms", size(bytes)));
    let answer = Answer { text: lines.join("\n"), json: json!({ "fetched": rows, "ms": ms }) };
    let sentence = format!("not everything arrived as it was signed, or as it was allowed: {}", short.join("; "));
    CommandError::unless_all((!short.is_empty()).then_some(sentence), "incomplete", answer)
}

/// What became of each instance that the study lists, by its SOP Instance UID; reports that lack, and what lies in the way, beside.
fn accounting(one: &Downloaded) -> Accounting {
    let Downloaded { comparison, in_the_way, .. } = one;
    let missing =
        comparison.missing.iter().map(|uid| FileRow::new(uid.as_str(), FileFate::Missing, "it did not arrive"));
    let altered = comparison.altered.iter().map(|altered| {
        let why = format!("it is not what was signed ({})", altered.change);
        FileRow::new(altered.sop_instance_uid.as_str(), FileFate::Refused, why)
    });
    let reports = comparison.missing_attachments.iter();
    let reports =
        reports.map(|digest| FileRow::new(digest.to_string(), FileFate::Missing, "the report did not arrive"));
    let why = "something else lies there, and was left as it is";
    let in_the_way = in_the_way.iter().map(|path| FileRow::new(path, FileFate::Conflict, why));
    Accounting {
        given: comparison.listed,
        taken: comparison.intact,
        rest: missing.chain(altered).collect(),
        besides: reports.chain(in_the_way).collect(),
    }
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
    let counts = counts.map_or_else(String::new, said_of);
    format!("the hospital wrote at {}: {what}{counts}", moment(told.sent))
}

/// How many images are other ones. What did not happen is not counted.
fn said_of(NoticeCounts { removed, added, changed }: NoticeCounts) -> String {
    let all = [(removed, "removed"), (added, "added"), (changed, "changed")];
    let said: Vec<String> =
        all.iter().filter(|(many, _)| *many > 0).map(|(many, what)| format!("{many} {what}")).collect();
    if said.is_empty() {
        "; the images are those of before".to_owned()
    } else {
        format!("; images: {}", said.join(", "))
    }
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

fn line(granted: &ReceivedRow) -> String {
    let begins = if now().0 < granted.begins { format!("from {} ", moment(granted.begins)) } else { String::new() };
    format!(
        "{}  grant {}  {begins}until {}  {}  {}",
        short(&granted.study.to_string()),
        short(&granted.grant.to_string()),
        moment(granted.expires),
        purpose_said(granted.purpose),
        granted.description
    )
}

fn row(granted: &ReceivedRow) -> Value {
    json!({
        "study": granted.study.to_string(), "grant": granted.grant.to_string(),
        "study_instance_uid": granted.study_instance_uid, "description": granted.description, "begins_ms": granted.begins.0,
        "source": granted.source.to_string(), "expires_ms": granted.expires.0, "purpose": granted.purpose.code(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A notice said that 0 images were removed, 1 added and 0 changed, and of a new report alone that 0 were anything.
    #[test]
    fn what_did_not_happen_is_not_counted() {
        let of = |removed, added, changed| said_of(NoticeCounts { removed, added, changed });
        assert_eq!(of(0, 1, 0), "; images: 1 added");
        assert_eq!(of(2, 0, 3), "; images: 2 removed, 3 changed");
        assert_eq!(of(0, 0, 0), "; the images are those of before");
    }
}
