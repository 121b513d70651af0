//! The documentation's flows, as scripts (`core/app/scripts`), played through `app` alone against four real hospitals:
//! what each step comes to, and what a screen shows then.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use clavicle_app::{
    AnswerInvitation, App, Ask, AskStudies, AskWho, BringIn, EndGrants, FetchGranted, FetchOwn, FindStudies,
    FoundStudy, GrantInvited, GrantStudies, GrantStudy, Invite, LookForAnswer, LookForOpening, MoveOutcome,
    MoveStudies, PickUp, PickWords, ReadInbox, RecoverStudies, RevokeGrant, ShowCard, ShowNewWords, SignGrant, State,
    SubmitGrant, TakeNewWords, Trouble, TroubleKind, VetoRecoveries,
};
use clavicle_ledger::derivation::Words;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{DAY_MS, LocalTime, Timestamp};
use clavicle_letters::card::SignedCard;
use clavicle_letters::code::{self, Code};
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::invitation::SignedInvitation;
use clavicle_letters::pickup::PickupCode;
use clavicle_letters::transcript::InvitationId;
use clavicle_letters::words::FourWords;
use clavicle_network::file::read_genesis;
use clavicle_wallet::patient::{GrantRequest, RecoveryStep, Way, Whose};
use clavicle_wallet::rows::Stage;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::app::{clock, keys, soon};
use crate::cluster::{Cluster, HOSPITALS};
use crate::image::Image;
use crate::lost::{give_back, with_delay};
use crate::people::{PIN, text};
use crate::process::PATIENCE;

const MERCY: usize = 0;
/// How long a veto has here, in milliseconds.
const VETO_MS: u64 = 6_000;
/// How long it is until something is asked for again.
const AGAIN: Duration = Duration::from_millis(200);
/// How many people a script has, at most.
const PEOPLE: usize = 4;

/// By how much each person's clock is ahead, in milliseconds. A clock is a function, and has no room for that.
static AHEAD: [AtomicI64; 3 * PEOPLE] = [const { AtomicI64::new(0) }; 3 * PEOPLE];

fn ahead<const N: usize>() -> LocalTime {
    LocalTime(Timestamp(clock().0.0.saturating_add_signed(AHEAD[N].load(Ordering::Relaxed))))
}

const CLOCKS: [fn() -> LocalTime; 3 * PEOPLE] = [
    ahead::<0>,
    ahead::<1>,
    ahead::<2>,
    ahead::<3>,
    ahead::<4>,
    ahead::<5>,
    ahead::<6>,
    ahead::<7>,
    ahead::<8>,
    ahead::<9>,
    ahead::<10>,
    ahead::<11>,
];

/// Why a step was not done: by an application, or since what was scanned is no such code.
enum Refusal {
    Trouble(Trouble),
    Code(String),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Refusal {
    fn word(&self) -> &str {
        match self {
            Self::Trouble(trouble) => trouble.word(),
            Self::Code(_) => "code",
        }
    }

    /// All that a screen says of it.
    fn said(&self) -> String {
        match self {
            Self::Trouble(trouble) => format!("{} {} ({})", trouble.happened, trouble.advice(), trouble.support),
            Self::Code(sentence) => sentence.clone(),
        }
    }
}

/// Somebody with a phone.
struct Somebody {
    app: Option<App>,
    is_patient: bool,
    folder: PathBuf,
    words: Words,
    slot: usize,
    invitation: Option<InvitationId>,
}

/// A world in which scripts are played, one after another.
struct Theatre {
    cluster: Cluster,
    genesis: Genesis,
    /// Of this theatre's clocks the first.
    first_clock: usize,
}

/// A script that is being played.
struct Play<'a> {
    theatre: &'a mut Theatre,
    name: String,
    people: BTreeMap<String, Somebody>,
    /// Codes and words, as they are shown.
    shown: BTreeMap<String, String>,
    /// The number of its first study.
    number: u32,
    studies: Vec<String>,
}

/// The text under a name.
#[track_caller]
fn said<'a>(step: &'a Value, name: &str) -> &'a str {
    step[name].as_str().unwrap_or_else(|| panic!("no {name} in {step}"))
}

fn scanned<C: Code>(text: &str) -> Result<C, Refusal> {
    code::from_text(text).map_err(|error| Refusal::Code(error.to_string()))
}

/// Asks for something with so many taps at once: it is done once, and who taps again sees the same, or that it is under
/// way.
async fn tapped<C: Ask>(app: &App, taps: usize, command: impl Fn() -> C) -> Result<C::Done, Trouble> {
    let sent: Vec<_> = (0..taps).map(|_| app.send(command())).collect();
    let (mut done, mut refused) = (None, None);
    for sent in sent {
        match soon(sent?.ended()).await {
            Ok(it) => done = done.or(Some(it)),
            Err(trouble) => {
                refused = refused.filter(|before: &Trouble| before.kind != TroubleKind::Busy).or(Some(trouble));
            }
        }
    }
    match (done, refused) {
        (Some(done), refused) => {
            assert!(refused.as_ref().is_none_or(|trouble| trouble.kind == TroubleKind::Busy), "{refused:?}");
            Ok(done)
        }
        (None, refused) => Err(refused.expect("one of the two")),
    }
}

/// What a screen shows, in numbers and words.
fn shows(state: &State) -> Value {
    let grants = || state.grants.iter();
    let live = grants().filter(|grant| grant.revoked.is_none());
    json!({
        "studies": state.studies.iter().filter(|row| row.final_at.is_some()).count(),
        "grants": live.clone().count(),
        "delivered": live.filter(|grant| matches!(grant.stage, Stage::Delivered(_))).count(),
        "ending": grants().filter(|grant| grant.revoked == Some(None)).count(),
        "ended": grants().filter(|grant| matches!(grant.revoked, Some(Some(_)))).count(),
        "received": state.received.len(),
        "over": state.received.iter().filter(|row| row.objection.is_some()).count(),
        "copies": state.received.iter().filter(|row| row.copy.is_some()).count(),
        "invitation": state.invitations.last().map(|row| row.stage.code()),
        "answers": state.answers.len(),
        "pending": state.pending.len(),
        "recovering": state.recovering.len(),
        "to_move": state.to_move,
    })
}

/// What is not as it is said to be.
fn differs(said: &Value, is: &Value) -> Option<String> {
    let (name, value) = said.as_object()?.iter().find(|(name, value)| is.get(name.as_str()) != Some(*value))?;
    Some(format!("{name} is not {value}: {is}"))
}

impl Theatre {
    fn new(number: usize) -> Self {
        let cluster = with_delay(VETO_MS);
        let genesis = read_genesis(&cluster.path("network.json")).unwrap();
        Self { cluster, genesis, first_clock: number * PEOPLE }
    }

    /// Plays these scripts.
    async fn plays(&mut self, scripts: &[&str]) {
        let folder = std::env::var_os("CLAVICLE_SCRIPTS")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../core/app/scripts"), PathBuf::from);
        for (number, name) in (0..).zip(scripts) {
            let script = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
            let script: Value = serde_json::from_str(&script).unwrap_or_else(|error| panic!("{name}: {error}"));
            let play = Box::pin(Play::begin(self, name, number * 10, &script)).await;
            Box::pin(play.goes_on(&script)).await;
        }
    }
}

impl<'a> Play<'a> {
    async fn begin(theatre: &'a mut Theatre, name: &str, number: u32, script: &Value) -> Self {
        let mut play = Self {
            theatre,
            name: name.to_owned(),
            people: BTreeMap::new(),
            shown: BTreeMap::new(),
            number: number + 1,
            studies: Vec::new(),
        };
        for (slot, (name, kind)) in script["people"].as_object().unwrap().iter().enumerate() {
            assert!(slot < PEOPLE, "too many people");
            let slot = play.theatre.first_clock + slot;
            AHEAD[slot].store(0, Ordering::Relaxed);
            let folder = play.theatre.cluster.path(&format!("{}-{name}", play.name));
            let (genesis, is_patient) = (play.theatre.genesis.clone(), kind == "patient");
            if kind == "later" {
                continue;
            }
            let (app, words) = if is_patient {
                soon(App::create_patient(&folder, keys(), genesis, CLOCKS[slot])).await.unwrap()
            } else {
                soon(App::create_recipient(&folder, keys(), genesis, name, CLOCKS[slot])).await.unwrap()
            };
            let somebody = Somebody { app: Some(app), is_patient, folder, words, slot, invitation: None };
            play.people.insert(name.clone(), somebody);
        }
        for _ in 0..script["studies"].as_u64().unwrap_or(1) {
            play.ingest();
        }
        play
    }

    /// A study is made at Mercy.
    fn ingest(&mut self) {
        let number = self.number + u32::try_from(self.studies.len()).unwrap();
        let folder = format!("{} {number}", self.name);
        let cluster = &self.theatre.cluster;
        fs::create_dir(cluster.path(&folder)).unwrap();
        let accession = format!("S{}", self.number);
        let (patient, born) = (accession.as_str(), "19530117");
        let image = |of| {
            let accession = accession.as_str();
            Image { study: number, series: 1, number: of, patient, born, accession, pixels: 2_000 }
        };
        for of in 1..=3 {
            fs::write(cluster.path(&folder).join(format!("{of}.dcm")), image(of).file()).unwrap();
        }
        let study = cluster.ingest(MERCY, &folder);
        self.studies.push(study);
    }

    async fn goes_on(mut self, script: &Value) {
        for (number, step) in script["steps"].as_array().unwrap().iter().enumerate() {
            let begun = Instant::now();
            if let Err(why) = self.step(step).await {
                panic!("{}, step {number}: {step}\n{why}", self.name);
            }
            println!("{} {number}: {} ms", self.name, begun.elapsed().as_millis());
        }
        for (_, somebody) in self.people {
            if let Some(app) = somebody.app {
                app.close().await;
            }
        }
    }

    async fn step(&mut self, step: &Value) -> Result<(), String> {
        if let Some(desk) = step["desk"].as_str() {
            self.desk(desk, step);
        } else if let Some(hospital) = step["hospital"].as_str() {
            let n = HOSPITALS.iter().position(|name| *name == hospital).expect("one of the four");
            self.relays(&[n], said(step, "is") == "up");
        } else if let Some(network) = step["network"].as_str() {
            self.relays(&[0, 1, 2, 3], network == "on");
        } else {
            return self.somebody_acts(step).await;
        }
        Ok(())
    }

    /// What a hospital's staff does.
    fn desk(&mut self, what: &str, step: &Value) {
        let cluster = &self.theatre.cluster;
        let shown = match what {
            "prints_a_code" => {
                let accession = format!("S{}", self.number);
                let asked = ["pickup", "--dir", HOSPITALS[MERCY], "--accession", &accession, "--pin", PIN];
                text(&cluster.hospital(&asked)["code"])
            }
            "gives_back" => give_back(cluster, &self.studies[0]),
            what => panic!("a desk does not know {what}"),
        };
        self.shown.insert(said(step, "as").to_owned(), shown);
    }

    fn relays(&mut self, which: &[usize], is_up: bool) {
        let cluster = &mut self.theatre.cluster;
        if is_up {
            which.iter().for_each(|n| cluster.start(*n));
            cluster.reach(which, 1);
            // What is made from here on needs a block of now.
            let next = cluster.highest() + 1;
            cluster.reach(which, next);
        } else {
            which.iter().for_each(|n| cluster.kill(*n));
        }
    }

    async fn somebody_acts(&mut self, step: &Value) -> Result<(), String> {
        let name = said(step, "who").to_owned();
        if let Some(ms) = step["clock_ahead_s"].as_i64() {
            AHEAD[self.people[&name].slot].store(ms * 1_000, Ordering::Relaxed);
            return Ok(());
        }
        if let Some(phone) = step["phone"].as_str() {
            self.phone(&name, phone == "on").await;
            return self.looks(&name, step, &json!({}));
        }
        let (until, within) = (Instant::now() + PATIENCE, step["within_s"].as_u64());
        loop {
            let begun = Instant::now();
            let outcome = Box::pin(self.does(&name, said(step, "does"), step)).await;
            if let Some(within) = within {
                assert!(begun.elapsed() <= Duration::from_secs(within), "it took {:?}", begun.elapsed());
            }
            let why = match (outcome, &step["refused"]) {
                (Ok(gives), Value::Null) => match self.looks(&name, step, &gives) {
                    Ok(()) => return Ok(()),
                    Err(why) => why,
                },
                (Ok(gives), refused) => format!("it was done, and not refused as {refused}: {gives}"),
                (Err(refusal), refused) => {
                    let words: Vec<&str> = match refused {
                        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
                        word => word.as_str().into_iter().collect(),
                    };
                    let (word, said) = (refusal.word().to_owned(), refusal.said());
                    let is_said = step["says"].as_str().is_none_or(|says| said.contains(says));
                    if words.contains(&word.as_str()) && is_said {
                        return self.looks(&name, step, &json!({}));
                    }
                    format!("it was refused as {word}: {said}")
                }
            };
            if step["until"] != true || Instant::now() >= until {
                return Err(why);
            }
            sleep(AGAIN).await;
        }
    }

    /// Whether what was done, and what a screen shows now, is as the script says.
    fn looks(&self, name: &str, step: &Value, gives: &Value) -> Result<(), String> {
        if let Some(why) = differs(&step["gives"], gives) {
            return Err(why);
        }
        let Some(app) = &self.people[name].app else { return Ok(()) };
        let state = app.subscribe();
        let why = differs(&step["shows"], &shows(&state.borrow()));
        why.map_or(Ok(()), Err)
    }

    async fn phone(&mut self, name: &str, is_on: bool) {
        let somebody = self.people.get_mut(name).expect("somebody of the script");
        if !is_on {
            somebody.app.take().expect("it is on").close().await;
            return;
        }
        let (folder, clock) = (&somebody.folder, CLOCKS[somebody.slot]);
        let app = if somebody.is_patient {
            soon(App::open_patient(folder, keys(), clock)).await
        } else {
            soon(App::open_recipient(folder, keys(), clock)).await
        };
        somebody.app = Some(app.unwrap());
    }

    /// A phone is made of another one's words.
    async fn restore(&mut self, name: &str, from: &str) -> Result<Value, Refusal> {
        let (folder, genesis) =
            (self.theatre.cluster.path(&format!("{}-{name}", self.name)), self.theatre.genesis.clone());
        let words = Words::from_entropy(&self.people[from].words.entropy());
        let slot = self.theatre.first_clock + PEOPLE - 1;
        let made = App::restore_patient(&folder, keys(), genesis, &words, None, CLOCKS[slot]);
        let (app, studies) = soon(Box::pin(made)).await?;
        let somebody = Somebody { app: Some(app), is_patient: true, folder, words, slot, invitation: None };
        self.people.insert(name.to_owned(), somebody);
        Ok(json!({ "on_ledger": studies }))
    }

    fn read<C: Code>(&self, step: &Value, name: &str) -> Result<C, Refusal> {
        let of = said(step, name);
        scanned(self.shown.get(of).unwrap_or_else(|| panic!("nobody showed {of}")))
    }

    /// What somebody asks of their application, and what it gives.
    async fn does(&mut self, name: &str, what: &str, step: &Value) -> Result<Value, Refusal> {
        if what == "restore" {
            return self.restore(name, said(step, "from")).await;
        }
        let taps = usize::try_from(step["taps"].as_u64().unwrap_or(1)).unwrap();
        let somebody = &self.people[name];
        let app = somebody.app.as_ref().expect("the phone is on");
        let state = app.subscribe();
        let studies: Vec<StudyId> = state.borrow().studies.iter().map(|row| row.study).collect();
        let study = || *studies.first().expect("a study");
        let request = || {
            let days = step["days"].as_u64().unwrap_or(7);
            GrantRequest::new(days * DAY_MS, PurposeOfUse::Treatment)
        };
        let invitation = || somebody.invitation.expect("an invitation");
        let (mut keep, mut invited): (Option<String>, Option<InvitationId>) = (None, None);
        let gives = match what {
            "pick_up" => {
                let (code, pin): (PickupCode, _) =
                    (self.read(step, "code")?, step["pin"].as_str().unwrap_or(PIN).to_owned());
                let command = || PickUp { code: code.clone(), answer: pin.clone().into(), only_here: false };
                let done = tapped(app, taps, command).await?;
                json!({ "studies": done.studies.len(), "not_offered": done.not_offered.len() })
            }
            "show_card" => {
                let (keys, days) = (8, step["days"].as_u64().unwrap_or(7));
                let card = tapped(app, taps, || ShowCard { keys, days, wish: "brain MR".to_owned() }).await?;
                keep = Some(code::to_text(&card));
                json!({})
            }
            "grant" => {
                let card: SignedCard = self.read(step, "card")?;
                let (study, request) = (study(), request());
                let command =
                    || GrantStudy { study, card: card.clone(), request: request.clone(), all_the_same: false };
                tapped(app, taps, command).await?;
                json!({})
            }
            "grant_all" => {
                let card: SignedCard = self.read(step, "card")?;
                let request = request();
                let command = || GrantStudies {
                    studies: studies.clone(),
                    card: card.clone(),
                    request: request.clone(),
                    all_the_same: false,
                };
                let done = tapped(app, taps, command).await?;
                let waiting = done.iter().filter(|(_, why)| why.is_some()).count();
                json!({ "granted": done.len(), "waiting": waiting })
            }
            "sign_grant" => {
                let card: SignedCard = self.read(step, "card")?;
                let (study, request) = (study(), request());
                let command = || SignGrant { study, card: card.clone(), request: request.clone(), all_the_same: false };
                let signed = tapped(app, taps, command).await?;
                keep = Some(code::to_text(&signed.1));
                json!({})
            }
            "submit" => {
                let code: GrantCode = self.read(step, "code")?;
                tapped(app, taps, || SubmitGrant { code: code.clone() }).await?;
                json!({})
            }
            "invite" => {
                let way = if step["way"] == "from_afar" { Way::FromAfar } else { Way::FaceToFace };
                let row = tapped(app, taps, || Invite { way, minutes: 10 }).await?;
                (keep, invited) = (Some(row.code.clone()), Some(row.id));
                json!({ "stage": row.stage.code() })
            }
            "answer" => {
                let invitation: SignedInvitation = self.read(step, "code")?;
                let command = || AnswerInvitation {
                    invitation: invitation.clone(),
                    keys: 8,
                    days: 7,
                    wish: "brain MR".to_owned(),
                };
                let row = tapped(app, taps, command).await?;
                invited = Some(row.id);
                json!({ "has_words": row.words.is_some() })
            }
            "look_for_answer" => {
                let invitation = invitation();
                let row = tapped(app, taps, || LookForAnswer { invitation }).await?;
                json!({
                    "stage": row.stage.code(), "choices": row.choices.map_or(0, |all| all.len()),
                    "is_narrow": row.is_narrow, "is_verified": row.is_verified(),
                })
            }
            "look_for_words" => {
                let invitation = invitation();
                let row = tapped(app, taps, || LookForOpening { invitation }).await?;
                keep = row.words.map(|words| words.to_string());
                json!({ "has_words": row.words.is_some() })
            }
            "pick_words" => {
                let words = self.shown.get(said(step, "words")).map(|words| FourWords::parse(words).unwrap());
                let invitation = invitation();
                let row = tapped(app, taps, || PickWords { invitation, words }).await?;
                json!({ "stage": row.stage.code() })
            }
            "grant_invited" => {
                let (invitation, study, request) = (invitation(), study(), request());
                tapped(app, taps, || GrantInvited { invitation, study, request: request.clone() }).await?;
                json!({})
            }
            "read_inbox" => {
                let read = tapped(app, taps, || ReadInbox {}).await?;
                json!({ "new": read.new.len(), "unread": read.unread, "was_asked": read.not_asked.is_none() })
            }
            "fetch" => {
                let grant = state.borrow().received.last().expect("something was granted").grant;
                let done = tapped(app, taps, || FetchGranted { grant, out: None }).await?;
                json!({ "whole": done.comparison.is_complete() })
            }
            "fetch_own" => {
                let study = study();
                let done = tapped(app, taps, || FetchOwn { study, out: None }).await?;
                json!({ "whole": done.comparison.is_complete() })
            }
            "who" => {
                let study = study();
                let who = tapped(app, taps, || AskWho { study }).await?;
                json!({ "grants": who.access.grants.len(), "looked": !who.looks.is_empty() })
            }
            "revoke" => {
                let grant = {
                    let state = state.borrow();
                    let row = state.grants.iter().find(|row| !matches!(row.revoked, Some(Some(_))));
                    row.expect("a grant").grant.to_string()
                };
                let done = tapped(app, taps, || RevokeGrant { grant: grant.clone() }).await?;
                json!({ "receipt": done.receipt.is_some() })
            }
            "end_everything" => {
                let done = tapped(app, taps, || EndGrants { whose: Whose::Everybody }).await?;
                json!({ "all": done.is_all(), "rows": done.rows.len() })
            }
            "bring_in" => {
                tapped(app, taps, || BringIn {}).await?;
                json!({})
            }
            "look" => json!({ "was_asked": tapped(app, taps, || AskStudies {}).await?.is_none() }),
            "find" => {
                let found = tapped(app, taps, || FindStudies { checkpoint: None }).await?;
                let new = found.iter().filter(|study| matches!(study, FoundStudy::New(_))).count();
                json!({ "new": new, "all": found.len() })
            }
            "take_new_words" => {
                let (words, asked) = tapped(app, 1, || ShowNewWords { keys: keys() }).await?;
                let typed = {
                    let all = words.reveal();
                    let all: Vec<&str> = all.split(' ').collect();
                    asked.map(|at| all[usize::from(at) - 1]).join(" ")
                };
                tapped(app, 1, || TakeNewWords { words: typed.clone().into() }).await?;
                json!({})
            }
            "move_studies" => {
                let moved = tapped(app, taps, || MoveStudies { keep_grants: false }).await?;
                let of = |is: fn(&MoveOutcome) -> bool| moved.rows.iter().filter(|(_, row)| is(row)).count();
                json!({
                    "moved": of(|row| matches!(row, MoveOutcome::Moved(_))),
                    "stay": of(|row| matches!(row, MoveOutcome::Stays(_))), "was_searched": moved.not_searched.is_none(),
                })
            }
            "recover" => {
                let (code, pin): (PickupCode, _) =
                    (self.read(step, "code")?, step["pin"].as_str().unwrap_or(PIN).to_owned());
                let command = || RecoverStudies { code: code.clone(), answer: pin.clone().into() };
                let done = tapped(app, taps, command).await?;
                let step = done.studies.first().map(|study| match study.step {
                    RecoveryStep::Asked { .. } => "asked",
                    RecoveryStep::Waits { .. } => "waits",
                    RecoveryStep::Frozen => "frozen",
                    RecoveryStep::Done { .. } => "yours",
                    RecoveryStep::Failed(_) => "failed",
                });
                json!({ "step": step, "not_offered": done.not_offered.len() })
            }
            "veto" => {
                let rows = tapped(app, taps, || VetoRecoveries { study: None }).await?;
                json!({ "vetoed": rows.iter().filter(|row| row.ended.is_ok()).count() })
            }
            what => panic!("{what}: nothing that can be asked for"),
        };
        if let (Some(keep), Some(as_)) = (keep, step["as"].as_str()) {
            self.shown.insert(as_.to_owned(), keep);
        }
        if let (Some(id), Some(somebody)) = (invited, self.people.get_mut(name)) {
            somebody.invitation = Some(id);
        }
        Ok(gives)
    }
}

/// What lies beside the scripts is played, all of it, and says only what is understood.
#[test]
fn every_script_is_played_and_has_no_word_that_nobody_reads() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../core/app/scripts");
    let mut there: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(ToOwned::to_owned))
        .collect();
    let mut played: Vec<String> = [CONSENT, LOST, NETWORK].concat().into_iter().map(ToOwned::to_owned).collect();
    there.sort_unstable();
    played.sort_unstable();
    assert_eq!(there, played);
    for name in played {
        let script: Map<String, Value> =
            serde_json::from_str(&fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        assert!(script.keys().all(|key| ["flow", "people", "studies", "steps"].contains(&key.as_str())), "{name}");
        for step in script["steps"].as_array().unwrap() {
            let known = |key: &String| WORDS.contains(&key.as_str());
            assert!(step.as_object().unwrap().keys().all(known), "{name}: {step}");
        }
    }
}

/// The words of a step.
const WORDS: [&str; 23] = [
    "as",
    "card",
    "clock_ahead_s",
    "code",
    "days",
    "desk",
    "does",
    "from",
    "gives",
    "hospital",
    "is",
    "network",
    "phone",
    "pin",
    "refused",
    "says",
    "shows",
    "taps",
    "until",
    "way",
    "who",
    "within_s",
    "words",
];

const CONSENT: &[&str] = &["pickup", "card", "invitation", "visit", "who", "revoke"];
const LOST: &[&str] = &["restore", "new_words", "recover", "veto"];
const NETWORK: &[&str] = &["airplane", "hospital_down", "phone_off", "clocks"];

#[tokio::test]
async fn pickup_letting_in_and_ending_are_as_their_scripts_say() {
    Theatre::new(0).plays(CONSENT).await;
}

#[tokio::test]
async fn what_is_lost_comes_back_as_its_scripts_say() {
    Theatre::new(1).plays(LOST).await;
}

#[tokio::test]
async fn without_a_network_everything_is_as_its_scripts_say() {
    Theatre::new(2).plays(NETWORK).await;
}
