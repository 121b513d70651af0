//! `clavicle wallet …`: what a patient does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clavicle_app::{
    App, AskStudies, AskWho, BringIn, FetchOwn, FindStudies, ForgetCopy, FoundStudy, GrantRow, GrantStudies,
    GrantStudy, ListSeries, LookAtCard, OpenOwn, PickUp, SetCaps, ShareDevices, SignGrant, State, StudyRow,
    SubmitGrant, Trouble, WhoHas,
};
use clavicle_command::clock::now;
use clavicle_command::file::path_text;
use clavicle_command::given::{Given, typed};
use clavicle_command::said::{complain, many, some_of};
use clavicle_ledger::derivation::Words;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::terms::Conditions;
use clavicle_letters::about::About;
use clavicle_letters::card::SignedCard;
use clavicle_letters::code::{self, Code};
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::name::quoted;
use clavicle_letters::pickup::{PickupCode, Question};
use clavicle_letters::verdict::{Verdict, WordOf};
use clavicle_manifest::Uid;
use clavicle_network::file;
use clavicle_wallet::patient::{
    Access, AccessRow, Cap, Caps, GrantRequest, HowEnded, Introduced, PickedUp, PickupOutcome,
};
use clavicle_wallet::rows::Stage;
use clavicle_wallet::scope::{self, KnownSeries, Scope};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::ending::revoke;
use super::images::{forgotten, noted};
use super::invite;
use super::keeping::{self, numbered};
use super::looks;
use super::progress;
use super::recipient::downloaded;
use super::recovery;
use super::spread::{self, Spread};
use super::terms::{ago, conditions, conditions_row, moment, purpose_said, scope_row, series_row};
use super::{
    Answer, BirthDateKind, CommandError, Folder, Length, PinKind, Purpose, WalletCommand, WordsKind, can_write, client,
    reader, write_picture,
};
use super::{changing, devices};
use crate::code::{ReadCodeError, read_code};

/// How long the ledger is asked how studies stand, before what it said earlier is shown.
const ASKED: Duration = Duration::from_secs(10);
/// What is done while nothing else can be said.
const LOOKING: &str =
    "looking for your studies, and asking their hospitals what they are; one that does not answer is waited for";
/// Whoever another wallet granted to.
pub(super) const UNNAMED: &str = "somebody this wallet did not grant to";

pub(super) async fn run(command: WalletCommand) -> Result<Answer, CommandError> {
    match command {
        WalletCommand::Init { folder, network } => {
            let genesis = file::read_genesis(&network)?;
            let keys = Arc::new(folder.new_passphrase()?);
            let (_, words) = App::create_patient(&folder.dir, keys, genesis, now).await?;
            Ok(made(("wallet", "a new wallet"), &folder, &words))
        }
        WalletCommand::Restore { folder, network, words, code } => {
            restore(&folder, &network, &words, code.as_deref()).await
        }
        WalletCommand::Veto { folder, study } => recovery::veto(&folder, study.as_deref()).await,
        WalletCommand::Recover { folder, code, pin } => recovery::recover(&folder, &code, &pin).await,
        WalletCommand::NewWords { folder, check, three, keep_grants } => {
            keeping::new_words(&folder, check, &three, keep_grants).await
        }
        WalletCommand::Words { folder, words } => {
            keeping::words(client::patient(&folder).await?, &folder, &words).await
        }
        WalletCommand::Passphrase { folder, new } => keeping::passphrase(&folder, &new).await,
        WalletCommand::Find { folder, code } => {
            let app = client::patient(&folder).await?;
            progress::doing(LOOKING);
            let code = code.as_deref().map(pickup_code).transpose()?;
            found(&app, &folder, code.map(|code| code.checkpoint)).await
        }
        WalletCommand::Pickup { folder, code, pin, birth_date, only_here } => {
            pickup(&folder, &code, (&pin, &birth_date), only_here).await
        }
        WalletCommand::Devices(of) => devices::devices(of).await,
        WalletCommand::Studies { folder } => {
            let app = client::patient(&folder).await?;
            // The list is shown all the same, with what the ledger said before.
            let asked = timeout(ASKED, client::done(&app, AskStudies {}, "studies asked for")).await;
            let not_asked = match asked {
                Ok(asked) => asked?.map(|trouble| trouble.happened),
                Err(_) => Some(format!("it did not answer within {} seconds", ASKED.as_secs())),
            };
            Ok(studies(&app.subscribe().borrow().studies, not_asked.as_deref()))
        }
        WalletCommand::Grant {
            folder,
            study,
            visit,
            series,
            to,
            length,
            purpose,
            not_before,
            openings,
            view_only,
            data_use,
            this_revision_only,
            offline,
            from_afar,
            over,
            stay,
            as_code,
            png,
            all_the_same,
        } => {
            if !data_use.is_empty() && purpose != Purpose::Research {
                return Err(CommandError::DataUse);
            }
            let data_use = data_use.into_iter().map(|code| code.0).collect::<BTreeSet<_>>().into_iter().collect();
            let data_use = Ascending::from_items(data_use).map_err(|_| CommandError::DataUse)?;
            let request = GrantRequest {
                later_revisions: !this_revision_only,
                staleness_ms: offline.map_or(0, |length| length.ms),
                begins_in_ms: not_before.map_or(0, |start| start.in_ms(now().0)),
                conditions: Conditions { openings: openings.map(Into::into), view_only, members_of: None, data_use },
                ..GrantRequest::new(length.ms, purpose.into())
            };
            if as_code {
                let [study] = &study[..] else { return Err(CommandError::CodeOfSeveral) };
                grant_as_code(&folder, (study, &series), &to, (request, all_the_same), png.as_deref()).await
            } else {
                let spread = from_afar.then_some(Spread { over_ms: over.ms, stay });
                grant(&folder, (&study, visit, &series), (&to, spread), (request, all_the_same)).await
            }
        }
        WalletCommand::Renew(of) => changing::renew(&of).await,
        WalletCommand::Narrow(of) => changing::narrow(&of).await,
        WalletCommand::Caps { folder, wait, per_week, off } => caps(&folder, wait, per_week, off).await,
        WalletCommand::Invite(of) => invite::invite(&of).await,
        WalletCommand::Card { folder, card } => look_at_card(&folder, &card).await,
        WalletCommand::Grants { folder } => {
            let app = client::patient(&folder).await?;
            client::done(&app, BringIn {}, "").await?;
            let state = app.subscribe();
            let state = state.borrow();
            let grants = &state.grants;
            let mut lines = Vec::new();
            for grant in grants {
                lines.push(grant_line(grant));
                let place = grant
                    .replaces
                    .map(|former| format!("              in place of grant {}", short(&former.to_string())));
                lines.extend(place);
                lines.extend(
                    conditions(&grant.terms, grant.scope.as_ref(), None)
                        .iter()
                        .map(|said| format!("              {said}")),
                );
            }
            lines.push(many(grants.len(), "grant", "grants"));
            let planned = &state.planned;
            lines.extend(spread::left(planned, &folder));
            let rows: Vec<Value> = grants.iter().map(grant_row).collect();
            Ok(Answer { text: lines.join("\n"), json: json!({ "grants": rows, "planned": spread::rows(planned) }) })
        }
        WalletCommand::Series { folder, study } => series_of(&folder, &study).await,
        WalletCommand::Who { folder, study } => {
            let app = client::patient(&folder).await?;
            let study = app.subscribe().borrow().study(&study)?.study;
            who(study, &client::done(&app, AskWho { study }, "").await?)
        }
        WalletCommand::Revoke { folder, end } => revoke(&folder, end).await,
        WalletCommand::Fetch { folder, study, out } => {
            let app = client::patient(&folder).await?;
            let study = app.subscribe().borrow().study(&study)?.study;
            let from = Instant::now();
            let fetched = client::done(&app, FetchOwn { study, out }, "images").await?;
            downloaded(&[fetched], from.elapsed())
        }
        WalletCommand::Images(command) => {
            let of = command.study();
            let ready = command.ready()?;
            let app = client::patient(&of.folder).await?;
            let study = app.subscribe().borrow().study(&of.study)?.study;
            let open = client::done(&app, OpenOwn { study }, "images").await?;
            command.run(ready, &app, open).await
        }
        WalletCommand::Forget(of) => {
            let app = client::patient(&of.folder).await?;
            let study = app.subscribe().borrow().study(&of.study)?.study;
            Ok(forgotten(client::done(&app, ForgetCopy { study }, "").await?))
        }
    }
}

fn studies(all: &[StudyRow], not_asked: Option<&str>) -> Answer {
    let (mut lines, mut rows) = (Vec::new(), Vec::<Value>::new());
    for study in all {
        let (used, used_rows) = noted(&study.in_spite_of);
        lines.push(study_line(study));
        lines.extend(study.about.as_ref().map(about_line));
        lines.extend(study.objection.iter().map(|objection| format!("              {objection}")));
        lines.extend(used);
        let mut row = study_row(study);
        row["about"] = about_row(study.about.as_ref());
        row["state"] = json!(study.objection.map_or("current", |objection| objection.state()));
        row["in_spite_of"] = used_rows;
        rows.push(row);
    }
    lines.push(many(all.len(), "study", "studies"));
    if let Some(why) = not_asked {
        lines.push(format!("the ledger could not be asked, and what it said before is shown: {why}"));
    }
    Answer { text: lines.join("\n"), json: json!({ "studies": rows, "not_asked": not_asked }) }
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

/// What is said of a new wallet: the words, once.
pub(super) fn made((kind, what): (&str, &str), folder: &Folder, words: &clavicle_ledger::derivation::Words) -> Answer {
    let words = words.reveal();
    Answer {
        text: format!(
            "{what} in {}\nThese words are the wallet. Write them down on paper, and show them to nobody: nobody can give them to you again if this device is \
             lost.\n\n{}\n\nThe wallet is protected once you have typed three of them: clavicle {kind} words --dir {} --check",
            folder.dir.display(),
            numbered(&words),
            folder.dir.display()
        ),
        json: json!({ "dir": path_text(&folder.dir), "words": words.as_str() }),
    }
}

/// The code of a hospital's desk. Its ticket opens a visit, with the PIN that the desk told: the code itself is taken as an argument with a warning.
pub(super) fn pickup_code(given: &OsStr) -> Result<PickupCode, CommandError> {
    if given == "-" {
        return Ok(code::from_text(&typed("the code")?).map_err(ReadCodeError::from)?);
    }
    if given.to_str().is_some_and(code::is_code) {
        let warning = "warning: everybody on this machine can read the code in the list of processes: give a file that holds it, /dev/fd/NUMBER, or - \
                       to be asked";
        complain(warning);
    }
    code_of(given)
}

/// A code that was given, out of a picture by this program's workers.
pub(super) fn code_of<C: Code>(given: &OsStr) -> Result<C, CommandError> {
    Ok(read_code(given, &reader()?)?)
}

async fn pickup(
    folder: &Folder,
    given: &OsStr,
    (pin, birth_date): (&Given<PinKind>, &Given<BirthDateKind>),
    only_here: bool,
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
    let app = client::patient(folder).await?;
    let from = Instant::now();
    let outcome = client::done(&app, PickUp { code, answer, only_here }, "").await?;
    let PickupOutcome { studies: picked_up, not_offered, has_more } = outcome;
    let ms = from.elapsed().as_millis();
    let state = app.subscribe();
    let state = state.borrow();
    let (mut lines, mut rows) = (Vec::new(), Vec::<Value>::new());
    for one in &picked_up {
        let study = StudyRow::of(&one.study);
        let about = state.studies.iter().find(|row| row.study == study.study).and_then(|row| row.about.as_ref());
        lines.push(picked_up_line(&study, one));
        lines.extend(about.map(about_line));
        let mut row = study_row(&study);
        row["about"] = about_row(about);
        row["before"] = json!(one.before);
        row["failed"] = json!(one.failed);
        rows.push(row);
    }
    lines.extend(not_offered.iter().map(|why| format!("not handed over: {why}")));
    let failed = picked_up.iter().filter_map(|one| one.failed.clone());
    let why: Vec<String> = failed.chain(not_offered.iter().map(ToString::to_string)).collect();
    let all = picked_up.len() + not_offered.len();
    lines.push(format!(
        "{} yours by this code, final after {ms} ms",
        some_of(all - why.len(), all, ("study", "studies"), ("is", "are"))
    ));
    let not_offered: Vec<String> = not_offered.iter().map(ToString::to_string).collect();
    if has_more {
        lines.push("there may be more of this visit: take the same code once more".to_owned());
    }
    let json = json!({ "studies": rows, "not_offered": not_offered, "has_more": has_more, "ms": ms });
    CommandError::unless_all(shortfall(all, &why), "pickup", Answer { text: lines.join("\n"), json })
}

/// Of a visit, that not all of it is the patient's.
fn shortfall(all: usize, why: &[String]) -> Option<String> {
    let first = why.first()?;
    Some(format!("{} not yours by this code: {first}", some_of(why.len(), all, ("study", "studies"), ("is", "are"))))
}

fn picked_up_line(study: &StudyRow, one: &PickedUp) -> String {
    let line = study_line(study);
    match (&one.failed, one.before) {
        (Some(why), _) => format!("{line}\n              not yours: {why}"),
        (None, true) => format!("{line}  (was yours already)"),
        (None, false) => line,
    }
}

/// How long other devices are told that there is a new one; they hear of it later, too.
pub(super) const SHARING: Duration = Duration::from_secs(20);

async fn restore(
    folder: &Folder,
    network: &Path,
    words: &Given<WordsKind>,
    code: Option<&OsStr>,
) -> Result<Answer, CommandError> {
    let genesis = file::read_genesis(network)?;
    let checkpoint = code.map(pickup_code).transpose()?.map(|code| code.checkpoint);
    let words = Words::parse(&words.ask().map_err(CommandError::NoWords)?)?;
    let keys = Arc::new(folder.new_passphrase()?);
    progress::doing(LOOKING);
    let (app, studies) = App::restore_patient(&folder.dir, keys, genesis, &words, checkpoint.as_ref(), now).await?;
    // So that other devices hear of this one, and it of what they did.
    drop(client::done_within(&app, ShareDevices {}, "", SHARING).await);
    let (mut answer, shortfall) = match found(&app, folder, None).await {
        Err(CommandError::Found { sentence, answer, .. }) => (*answer, Some(sentence)),
        found => (found?, None),
    };
    answer.text = format!("a wallet of your words in {}\n{}", folder.dir.display(), answer.text);
    answer.json["dir"] = json!(path_text(&folder.dir));
    answer.json["on_ledger"] = json!(studies);
    CommandError::unless_all(shortfall, "not_told", answer)
}

/// Looks for the studies of the wallet's words.
async fn found(app: &App, folder: &Folder, checkpoint: Option<Checkpoint>) -> Result<Answer, CommandError> {
    let all = client::done(app, FindStudies { checkpoint }, "studies asked for").await?;
    let state = app.subscribe();
    let state = state.borrow();
    let (mut lines, mut rows, mut not_told) = (Vec::new(), Vec::new(), 0);
    for one in &all {
        match one {
            FoundStudy::New(id) | FoundStudy::Known(id) => {
                let study = state.study(&id.to_string())?;
                lines.push(study_line(study));
                rows.push(study_row(study));
            }
            FoundStudy::NotTold(id, trouble) => {
                not_told += 1;
                lines.push(format!("{}  {}", short(&id.to_string()), trouble));
                rows.push(json!({ "study": id.to_string(), "not_told": trouble.happened }));
            }
        }
    }
    let new = all.iter().filter(|one| matches!(one, FoundStudy::New(_))).count();
    lines.push(format!(
        "{} yours: {new} found now, {not_told} not told by their hospitals",
        many(all.len(), "study on the ledger is", "studies on the ledger are")
    ));
    let answer = Answer { text: lines.join("\n"), json: json!({ "studies": rows, "new": new, "not_told": not_told }) };
    let shortfall = (not_told > 0).then(|| {
        let many = many(not_told, "study is", "studies are");
        let again = folder.dir.display();
        format!("{many} yours, and not told yet what: ask once more later, with `clavicle wallet find --dir {again}`")
    });
    CommandError::unless_all(shortfall, "not_told", answer)
}

/// What is said of a team, before anything is granted to it.
pub(super) const MEMBERS: &str = "a team: its members open what you grant, each signs for it, and you see which of them did. Whom it takes in, the team decides";

/// Who shows a card, before anything is granted.
async fn look_at_card(folder: &Folder, card: &OsStr) -> Result<Answer, CommandError> {
    let card: SignedCard = code_of(card)?;
    let expires = card.card.expires.timestamp();
    let app = client::patient(folder).await?;
    let Introduced { name, wish, verdict, .. } = client::done(&app, LookAtCard { card }, "").await?;
    let mut lines = vec![format!("a card of {}", verdict.beside(name.as_str()))];
    if !wish.as_str().is_empty() {
        lines.push(format!("asks for {}", quoted(wish.as_str())));
    }
    lines.extend(verdict.is_team().then(|| MEMBERS.to_owned()));
    lines.push(format!("good until {}", moment(expires)));
    let json = json!({
        "name": name.as_str(), "wish": wish.as_str(), "verdict": verdict_row(Some(&verdict)), "expires_ms": expires.0,
    });
    Ok(Answer { text: lines.join("\n"), json })
}

/// What stands beside a name, for programs.
pub(super) fn verdict_row(verdict: Option<&Verdict>) -> Value {
    let Some(verdict) = verdict else { return Value::Null };
    let vouched = verdict.vouched();
    json!({
        "is": verdict.word(), "sentence": verdict.sentence(),
        "by": vouched.map(|vouched| vouched.by().as_str()),
        "by_practice": vouched.is_some_and(|vouched| matches!(vouched.word, WordOf::Practice(_))),
        "by_team": vouched.is_some_and(|vouched| matches!(vouched.word, WordOf::Team(_))),
        "source": vouched.map(|vouched| vouched.source.to_string()),
        "role": vouched.map(|vouched| vouched.role.word()),
        "specialty": vouched.map(|vouched| vouched.specialty.as_str()),
        "until_ms": vouched.map(|vouched| vouched.until.0),
    })
}

/// A name with what stands beside it; whoever another wallet granted to has none.
pub(super) fn named(name: Option<&str>, verdict: Option<&Verdict>) -> String {
    match (name, verdict) {
        (Some(name), Some(verdict)) => verdict.beside(name),
        (Some(name), None) => quoted(name),
        (None, _) => UNNAMED.to_owned(),
    }
}

/// The studies that are meant, once each; of a visit all that the same hospital made on the same day.
fn chosen(state: &State, (given, visit): (&[String], bool)) -> Result<Vec<StudyId>, CommandError> {
    let mut chosen = Vec::new();
    for begin in given {
        let named = state.study(begin)?;
        let day = |row: &StudyRow| row.summary.as_ref().and_then(|summary| summary.date);
        let same = |row: &&StudyRow| row.source == named.source && day(row).is_some() && day(row) == day(named);
        chosen.push(named.study);
        chosen.extend(state.studies.iter().filter(|_| visit).filter(same).map(|row| row.study));
    }
    let all: BTreeSet<StudyId> = chosen.iter().copied().collect();
    Ok(all.into_iter().collect())
}

/// The series that are meant; nothing, where none is named and all of the study is.
pub(super) async fn wanted_series(
    app: &App,
    study: StudyId,
    given: &[String],
) -> Result<Option<Vec<Uid>>, CommandError> {
    if given.is_empty() {
        return Ok(None);
    }
    let all = client::done(app, ListSeries { study }, "").await?;
    let chosen = given.iter().map(|said| scope::choose(&all, said)).collect::<Result<_, _>>();
    Ok(Some(chosen.map_err(Trouble::from)?))
}

/// Which series a grant of this wallet allows, where it is not all of the study.
pub(super) fn scope_of(app: &App, grant: GrantId) -> Option<Scope> {
    let state = app.subscribe();
    let state = state.borrow();
    state.grants.iter().find(|row| row.grant == grant).and_then(|row| row.scope.clone())
}

/// The series of a study, to choose among.
async fn series_of(folder: &Folder, study: &str) -> Result<Answer, CommandError> {
    let app = client::patient(folder).await?;
    let study = app.subscribe().borrow().study(study)?.study;
    let all = client::done(&app, ListSeries { study }, "").await?;
    let line = |one: &KnownSeries| format!("{one}  {} instances  {}", one.instances, one.uid);
    let mut lines: Vec<String> = all.iter().map(line).collect();
    lines.push(many(all.len(), "series", "series"));
    let rows: Vec<Value> = all.iter().map(series_row).collect();
    Ok(Answer { text: lines.join("\n"), json: json!({ "study": study.to_string(), "series": rows }) })
}

/// Several at once: all were signed, each to a key of its own.
async fn grant_each(
    app: &App,
    studies: Vec<StudyId>,
    card: SignedCard,
    (request, all_the_same): (GrantRequest, bool),
    beside: &str,
) -> Result<Answer, CommandError> {
    let (from, count) = (Instant::now(), studies.len());
    let command = GrantStudies { studies, card, request, all_the_same };
    let done = client::done(app, command, "studies granted").await?;
    let ms = from.elapsed().as_millis();
    let (mut lines, mut rows, mut left) = (Vec::new(), Vec::<Value>::new(), Vec::new());
    lines.push(format!("granted to {beside}"));
    for (granted, not_finished) in &done {
        let row = GrantRow::of(granted);
        lines.push(grant_line(&row));
        let mut json = grant_row(&row);
        json["not_finished"] = json!(not_finished.as_ref().map(|trouble| &trouble.happened));
        if let Some(trouble) = not_finished {
            lines.push(format!("              not finished: {trouble}"));
            left.push(format!("study {}: {trouble}", short(&row.study.to_string())));
        }
        rows.push(json);
    }
    if let Some((granted, _)) = done.first() {
        lines.extend(conditions(&granted.made.terms, None, None));
    }
    lines.push(format!(
        "{} granted, final and told after {ms} ms",
        some_of(count - left.len(), count, ("study", "studies"), ("is", "are"))
    ));
    let answer = Answer { text: lines.join("\n"), json: json!({ "grants": rows, "ms": ms }) };
    let shortfall = (!left.is_empty()).then(|| {
        format!(
            "{} signed and not finished; the same again goes on. {}",
            some_of(left.len(), count, ("grant", "grants"), ("is", "are")),
            left.join("; ")
        )
    });
    CommandError::unless_all(shortfall, "not_final", answer)
}

async fn caps(folder: &Folder, wait: Option<Length>, per_week: Option<u32>, off: bool) -> Result<Answer, CommandError> {
    let app = client::patient(folder).await?;
    let before = client::done(&app, SetCaps { cap: None }, "").await?;
    // What is not named stays as it was to be.
    let standing = before.next.map_or(before.now, |(cap, _)| cap);
    let wanted = match (wait, per_week) {
        (None, None) => off.then(Cap::default),
        _ => Some(Cap {
            wait_ms: wait.map_or(standing.wait_ms, |length| length.ms),
            per_week: per_week.or(standing.per_week),
        }),
    };
    let Caps { now: cap, next } = match wanted {
        None => before,
        cap => client::done(&app, SetCaps { cap }, "").await?,
    };
    let said = |Cap { wait_ms, per_week }: Cap| {
        let wait = match wait_ms {
            0 => "a grant begins at once".to_owned(),
            ms => {
                format!("no grant begins within {} after it was made", many(ms.div_ceil(60 * 60_000), "hour", "hours"))
            }
        };
        let often = per_week.map_or("as often as wanted".to_owned(), |most| format!("at most {most} in seven days"));
        format!("{wait}, {often}")
    };
    let mut lines = vec![said(cap)];
    lines.extend(next.map(|(cap, from)| format!("from {} on: {}", moment(from), said(cap))));
    lines.push("To end a grant is never held up.".to_owned());
    let row = |Cap { wait_ms, per_week }: Cap| json!({ "wait_ms": wait_ms, "per_week": per_week });
    let next = next.map(|(cap, from)| json!({ "cap": row(cap), "from_ms": from.0 }));
    Ok(Answer { text: lines.join("\n"), json: json!({ "cap": row(cap), "next": next }) })
}

async fn grant(
    folder: &Folder,
    (studies, visit, series): (&[String], bool, &[String]),
    (to, from_afar): (&OsStr, Option<Spread>),
    (mut request, all_the_same): (GrantRequest, bool),
) -> Result<Answer, CommandError> {
    let card: SignedCard = code_of(to)?;
    let app = client::patient(folder).await?;
    let studies = chosen(&app.subscribe().borrow(), (studies, visit))?;
    request.series = match studies[..] {
        [study] => wanted_series(&app, study, series).await?,
        _ if !series.is_empty() => return Err(CommandError::SeriesOfSeveral),
        _ => None,
    };
    let Introduced { name, verdict, .. } = client::done(&app, LookAtCard { card: card.clone() }, "").await?;
    let beside = verdict.beside(name.as_str());
    complain(&format!("to be let in: {beside}"));
    if verdict.is_team() {
        complain(MEMBERS);
    }
    if let Some(spread) = from_afar {
        return spread::grant(&app, folder, (studies, card), (request, all_the_same), spread).await;
    }
    let [study] = studies[..] else {
        return grant_each(&app, studies, card, (request, all_the_same), &beside).await;
    };
    let (from, begins_in_ms) = (Instant::now(), request.begins_in_ms);
    let command = GrantStudy { study, card, request, all_the_same };
    let granted = client::done(&app, command, "").await?;
    let ms = from.elapsed().as_millis();
    let made = &granted.made;
    let height = match made.stage {
        Stage::Final(height) | Stage::Delivered(height) => Some(height),
        Stage::Signed => None,
    };
    let at = height.map_or_else(String::new, |height| format!(" at height {height}"));
    let (id, name, expires) = (granted.id.to_string(), &made.card.name, moment(made.terms.expires));
    let verdict = made.card.verdict();
    let mut lines = vec![
        format!("granted to {} until {expires}", verdict.beside(name.as_str())),
        format!("grant {id}"),
        format!("final{at} and delivered after {ms} ms"),
    ];
    if begins_in_ms > 0 {
        lines.push(format!("from {} on", moment(made.terms.not_before)));
    }
    let scope = scope_of(&app, granted.id);
    lines.extend(conditions(&made.terms, scope.as_ref(), None));
    Ok(Answer {
        text: lines.join("\n"),
        json: json!({
            "grant": id, "study": study.to_string(), "to": name.as_str(), "verdict": verdict_row(Some(&verdict)),
            "expires_ms": made.terms.expires.0, "height": height, "ms": ms, "terms": conditions_row(&made.terms, scope.as_ref(), None),
        }),
    })
}

/// Signs a grant without a network, as a code.
async fn grant_as_code(
    folder: &Folder,
    (study, series): (&str, &[String]),
    to: &OsStr,
    (mut request, all_the_same): (GrantRequest, bool),
    png: Option<&Path>,
) -> Result<Answer, CommandError> {
    can_write(png)?;
    let card: SignedCard = code_of(to)?;
    let app = client::patient(folder).await?;
    let study = app.subscribe().borrow().study(study)?.study;
    request.series = wanted_series(&app, study, series).await?;
    let (granted, code) = *client::done(&app, SignGrant { study, card, request, all_the_same }, "").await?;
    let (id, text) = (granted.id.to_string(), code::to_text(&code));
    let (name, terms, verdict) = (&granted.made.card.name, &granted.made.terms, granted.made.card.verdict());
    let submit_by = granted.made.envelope.body.submit_by;
    let json = json!({
        "grant": id, "study": study.to_string(), "to": name.as_str(), "verdict": verdict_row(Some(&verdict)),
        "not_before_ms": terms.not_before.0, "expires_ms": terms.expires.0, "code": text, "submit_by_ms": submit_by.0,
        "png": png.map(path_text), "scope": scope_of(&app, granted.id).as_ref().map(scope_row),
    });
    let shown = match png {
        None => text,
        Some(path) => {
            write_picture(path, &code::to_png(&text)?)?;
            format!("it is in {}", path.display())
        }
    };
    let said = format!(
        "signed, not submitted: to {} until {}\ngrant {id}\nfrom {} on\n{shown}\nAnybody may submit it until {}: \
         clavicle submit. When this wallet has a network again it tells the recipient what it takes to fetch (clavicle wallet grants).",
        verdict.beside(name.as_str()),
        moment(terms.expires),
        moment(terms.not_before),
        moment(submit_by)
    );
    Ok(Answer { text: said, json })
}

/// Submits a grant that somebody signed without a network.
pub(super) async fn submit(folder: &Folder, given: &OsStr) -> Result<Answer, CommandError> {
    let code: GrantCode = code_of(given)?;
    // It is anybody's to submit, whichever wallet is at hand.
    let app = match client::patient(folder).await {
        Err(CommandError::App(trouble)) if trouble.word() == "kind" => client::recipient(folder).await?,
        opened => opened?,
    };
    let height = client::done(&app, SubmitGrant { code: code.clone() }, "").await?;
    let id = GrantId::from(code.envelope.body.id(&code.chain)).to_string();
    Ok(Answer { text: format!("grant {id}\nfinal at height {height}"), json: json!({ "grant": id, "height": height }) })
}

fn who(study: StudyId, WhoHas { access, looks, not_asked }: &WhoHas) -> Result<Answer, CommandError> {
    let Access { height, age_ms, events, grants, ended } = access;
    let mut lines = Vec::new();
    let line = |row: &AccessRow, tense: &str| {
        let name = named(row.name.as_ref().map(|name| name.as_str()), row.verdict.as_ref());
        let until = row.expires.map_or_else(|| row.expiry_day.to_string(), moment);
        let purpose = row.purpose.map_or("", purpose_said);
        format!("{}  {name} {tense} {until}  {purpose}", short(&row.grant.to_string()))
    };
    // As the hospital wrote them down.
    let used = |row: &AccessRow| {
        let of = looks.iter().map(|look| &look.receipt.receipt).filter(|receipt| receipt.grant() == Some(row.grant));
        of.filter_map(|receipt| receipt.entry.opening()).map(|opening| opening.number).max().unwrap_or(0)
    };
    for row in grants {
        lines.push(line(row, "until"));
        let said = row.terms.iter().flat_map(|terms| conditions(terms, row.scope.as_ref(), Some(used(row))));
        lines.extend(said.map(|said| format!("              {said}")));
    }
    let nobody = if grants.is_empty() { "nobody but you has access to this study" } else { "nobody else" };
    lines.push(format!(
        "{nobody}; proven at height {height}, {} old; {} so far",
        ago(*age_ms),
        many(usize::try_from(*events).unwrap_or(usize::MAX), "transaction", "transactions")
    ));
    if !ended.is_empty() {
        lines.push("ended, and nobody fetches by them any more:".to_owned());
        lines.extend(ended.iter().map(|one| match one.how {
            HowEnded::Over => format!("  {}", line(&one.row, "ended")),
            HowEnded::Revoked => format!("  {}  revoked", line(&one.row, "would have ended")),
        }));
    }
    if !looks.is_empty() {
        lines.push("who looked, as the hospital wrote it down:".to_owned());
        let first = looks.first().map_or(0, |look| look.receipt.receipt.sequence);
        if first > 0 {
            lines.push(format!(
                "  {} not shown: what is older need not be kept",
                many(first, "receipt from before is", "receipts from before are")
            ));
        }
        lines.extend(looks.iter().map(looks::line));
    }
    let shortfall = not_asked.as_ref().map(|trouble| {
        format!("the hospital could not be asked who looked, so that the newest may be missing: {trouble}")
    });
    let row = |row: &AccessRow| {
        json!({
            "grant": row.grant.to_string(), "grantee": row.grantee.to_string(),
            "name": row.name.as_ref().map(|name| name.as_str()), "verdict": verdict_row(row.verdict.as_ref()),
            "expires_ms": row.expires.map(|expires| expires.0), "expiry_day": row.expiry_day.to_string(),
            "purpose": row.purpose.map(|purpose| purpose.code()),
            "terms": row.terms.as_ref().map(|terms| conditions_row(terms, row.scope.as_ref(), Some(used(row)))),
            "opened": used(row),
        })
    };
    let ended = ended.iter().map(|one| {
        let mut json = row(&one.row);
        json["revoked"] = json!(one.how == HowEnded::Revoked);
        json
    });
    let json = json!({
        "study": study.to_string(), "height": height, "age_ms": age_ms, "events": events,
        "grants": grants.iter().map(row).collect::<Vec<_>>(), "ended": ended.collect::<Vec<_>>(),
        "looked": looks.iter().map(looks::row).collect::<Vec<_>>(), "not_asked": not_asked.as_ref().map(|trouble| &trouble.happened),
    });
    CommandError::unless_all(shortfall, "not_asked", Answer { text: lines.join("\n"), json })
}

/// The beginning of an id, enough to name it by.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn study_line(study: &StudyRow) -> String {
    let id = study.study.to_string();
    let pending = if study.final_at.is_some() { "" } else { "  (not final yet)" };
    let Some(summary) = &study.summary else {
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

fn study_row(study: &StudyRow) -> Value {
    let mut row = json!({
        "study": study.study.to_string(), "source": study.source.to_string(), "final_at": study.final_at,
    });
    if let Some(summary) = &study.summary {
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

fn stage(granted: &GrantRow) -> String {
    if let Some(revoked) = granted.revoked {
        return revoked.map_or_else(
            || "revocation signed, not final yet".to_owned(),
            |height| format!("revoked at height {height}"),
        );
    }
    match granted.stage {
        Stage::Signed if granted.late => {
            "not confirmed in time: `who` tells whether it is on the ledger; if it is not, grant it again".to_owned()
        }
        Stage::Signed => "signed, not final yet".to_owned(),
        Stage::Final(height) if granted.refused => format!(
            "final at height {height}, although a hospital refused it, and they were not told: revoke it, or grant it again"
        ),
        Stage::Final(height) => format!("final at height {height}, not delivered yet"),
        Stage::Delivered(height) => format!("final at height {height}"),
    }
}

pub(super) fn grant_line(granted: &GrantRow) -> String {
    format!(
        "{}  study {}  {} until {}  {}",
        short(&granted.grant.to_string()),
        short(&granted.study.to_string()),
        granted.verdict.as_of(now().0).beside(&granted.name),
        moment(granted.expires),
        stage(granted)
    )
}

pub(super) fn grant_row(granted: &GrantRow) -> Value {
    json!({
        "grant": granted.grant.to_string(), "study": granted.study.to_string(), "to": granted.name,
        "verdict": verdict_row(Some(&granted.verdict.as_of(now().0))), "expires_ms": granted.expires.0, "purpose": granted.purpose.code(), "stage": stage(granted),
        "terms": conditions_row(&granted.terms, granted.scope.as_ref(), None),
        "replaces": granted.replaces.map(|former| former.to_string()),
    })
}
