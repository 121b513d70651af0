//! Every state there is, with people who do not exist: what galleries are made of, and what tests look at.

use std::collections::BTreeMap;

use crate::screen::Screen;
use crate::sentence::{Day, Private, Value};
use crate::show::page;
use crate::state::{Draft, Found, State, UnderWay};
use crate::trouble::{Trouble, TroubleKind};
use crate::wallet::{
    Grant, Look, LookKind, Mode, Pending, Person, Recall, Received, ReceivedStanding, Report, Shot, Stage, Standing,
    Study, Verdict, View, Wallet,
};
use crate::work::{DeviceLock, Job, Misfit, NotShared, Over, Who};

/// Noon on 14 September 2026.
const NOW: u64 = 1_789_387_200_000;
const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;
/// What the samples wait for.
const TICKET: u64 = 7;

/// Every state there is. Each name of [`NAMES`](crate::NAMES), each work that is waited for, and each kind of trouble is among them.
#[must_use]
pub fn every() -> Vec<State> {
    let mut all = starting();
    all.extend(of_a_patient());
    all.extend(letting_in());
    all.extend(of_a_recipient());
    all.extend(waiting());
    for &kind in TroubleKind::ALL {
        let again = (kind != TroubleKind::Defect).then_some(Job::ReadInbox);
        let trouble = Trouble { kind, support: format!("{}.Example", kind.word()) };
        all.push(patient(Screen::Trouble { trouble, again }));
    }
    all
}

/// Every sentence there is, by its key: what stands in it, and of which kind that is. What a catalogue has to have.
#[must_use]
pub fn keys() -> BTreeMap<String, BTreeMap<String, &'static str>> {
    let mut keys = BTreeMap::<String, BTreeMap<String, &str>>::new();
    for state in every() {
        for text in page(&state).texts() {
            let arguments = keys.entry(text.key.clone()).or_default();
            for argument in &text.arguments {
                let kind = match &argument.value {
                    Value::Text(_) => "text",
                    Value::Count(_) => "count",
                    Value::Day(_) => "day",
                    Value::Instant(_) => "instant",
                    Value::Span(_) => "span",
                    Value::Word(_) => "word",
                };
                arguments.insert(argument.name.clone(), kind);
            }
        }
    }
    keys
}

fn starting() -> Vec<State> {
    let closed = |screen| State { screen, ..State::start(Found::Nothing, DeviceLock::Ready, 0) };
    let mut all = vec![closed(Screen::Welcome), closed(Screen::WrongNetwork), closed(Screen::Name)];
    let long = [("name".to_owned(), Private("Rossi ".repeat(20)))].to_vec();
    all.push(State { mode: Mode::Recipient, typed: long, ..closed(Screen::Name) });
    for screen in [
        Screen::Passphrase { is_weak: false },
        Screen::Passphrase { is_weak: true },
        Screen::RestoreWords { was_wrong: false },
        Screen::RestoreWords { was_wrong: true },
    ] {
        all.push(State { behind: vec![Screen::Welcome], ..closed(screen) });
    }
    for device in [DeviceLock::Ready, DeviceLock::NotEnrolled, DeviceLock::NoPasscode, DeviceLock::NoHardware] {
        all.push(State { device, ..patient(Screen::Device) });
    }
    let locked = |device, wrong| State { device, ..closed(Screen::Locked { wrong, by_passphrase: false }) };
    all.extend([locked(DeviceLock::Kept, 0), locked(DeviceLock::NoHardware, 0), locked(DeviceLock::Changed, 0)]);
    all.push(locked(DeviceLock::NoHardware, 2));
    let asked = [3, 11, 20];
    for are_new in [false, true] {
        all.push(patient(Screen::WordsHidden { are_new }));
        all.push(patient(Screen::WordsCheck { are_new, asked, was_wrong: are_new }));
    }
    all.push(patient(Screen::WordsShown { are_new: false, asked }));
    all.push(patient(Screen::WordsDone));
    for (found, not_told) in [(4, 0), (3, 1), (0, 0)] {
        all.push(patient(Screen::Restored { found, not_told }));
    }
    all
}

fn of_a_patient() -> Vec<State> {
    let mut all = vec![patient(Screen::Home), plain(Screen::Home), patient(Screen::LostTouch)];
    all.push(State { wallet: Wallet::default(), ..patient(Screen::Home) });
    all.push(State { is_connected: false, ..plain(Screen::Home) });
    all.push(patient(Screen::Pending));
    let mut vetoed = patient(Screen::Pending);
    vetoed.wallet.pending.iter_mut().for_each(|one| one.is_vetoed = true);
    all.push(vetoed);
    all.extend([(1, 0), (0, 1)].map(|(done, waiting)| patient(Screen::Vetoed { done, waiting })));
    all.push(plain(Screen::Scan { torch: false }));
    all.push(State { may_use_camera: false, ..plain(Screen::Scan { torch: false }) });
    all.push(plain(Screen::Paste));
    for why in
        [Misfit::NotOurs, Misfit::OtherNetwork, Misfit::Expired, Misfit::Damaged, Misfit::Newer, Misfit::NotForThis]
    {
        all.push(plain(Screen::Unusable { why }));
    }
    for (is_recovery, asks_birth_date) in [(false, false), (false, true), (true, false), (true, true)] {
        all.push(plain(Screen::PickUpAnswer { code: 90, asks_birth_date, is_recovery }));
    }
    all.extend([4, 1].map(|left| plain(Screen::PickUpWrong { code: 90, is_recovery: false, left })));
    all.extend([Screen::PickUpLocked, Screen::PickUpNotProven].map(plain));
    for (new, before, refused) in [(2, 0, 0), (1, 1, 1), (0, 0, 2)] {
        all.push(plain(Screen::PickedUp { new, before, refused }));
    }
    let from = NOW + 3 * DAY;
    for (done, waiting, frozen, refused) in [(2, 0, 0, 0), (0, 2, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)] {
        all.push(plain(Screen::Recovered { done, waiting, from, frozen, refused }));
    }
    // A list with one of each.
    let mut mixed = State { wallet: Wallet { to_move: 2, ..wallet() }, ..plain(Screen::Home) };
    let of_each =
        (41..).zip(STANDINGS).map(|(handle, standing)| Study { handle, standing, ..wallet().studies.remove(0) });
    mixed.wallet.studies = of_each.collect();
    all.push(mixed);
    for standing in STANDINGS {
        let mut state = plain(Screen::Study { study: 1 });
        state.wallet.studies.iter_mut().for_each(|study| study.standing = standing);
        all.push(state);
    }
    all.push(plain(Screen::AskWhen { study: 1 }));
    all.extend(viewing(plain));
    all.push(plain(Screen::Report { at: 0 }));
    all.push(plain(Screen::Report { at: 1 }));
    all.extend([Screen::ForgetSure { study: 1 }, Screen::Forgot, Screen::Export { study: 1 }].map(plain));
    all.push(plain(Screen::Exported { files: 412 }));
    all.push(plain(Screen::Devices));
    all.push(State { wallet: Wallet { older_copy: Some(NOW - DAY), ..wallet() }, ..plain(Screen::Devices) });
    all.push(State { wallet: Wallet { to_move: 3, ..wallet() }, ..plain(Screen::Devices) });
    all.extend([(4, 0), (3, 1)].map(|(done, stay)| plain(Screen::Moved { done, stay })));
    all.extend([Screen::Settings, Screen::Language, Screen::Lock, Screen::About].map(plain));
    all.extend([false, true].map(|is_weak| plain(Screen::NewPassphrase { is_weak })));
    all
}

fn letting_in() -> Vec<State> {
    let mut all = vec![plain(Screen::ShareHow)];
    let by = Private::from("Mercy Hospital");
    for verdict in [Verdict::Verified { by }, Verdict::Unverified, Verdict::Changed, Verdict::Ended] {
        let mut state = plain(Screen::ShareWho);
        state.draft.person = Some(person(verdict));
        all.push(state);
    }
    let mut silent = plain(Screen::ShareWho);
    silent.draft.person.iter_mut().for_each(|person| person.wish = Private::default());
    all.push(silent);
    all.push(plain(Screen::ShareWhat));
    let mut none = plain(Screen::ShareWhat);
    none.wallet.studies.clear();
    all.push(none);
    all.push(plain(Screen::ShareDays));
    let mut own = plain(Screen::ShareDays);
    own.draft.wants_own_days = true;
    own.typed = vec![("days".to_owned(), Private::from("90"))];
    all.push(own);
    all.push(plain(Screen::ShareReview));
    let mut narrow = plain(Screen::ShareReview);
    (narrow.draft.is_narrow, narrow.draft.days, narrow.draft.view_only) = (true, 1, true);
    narrow.draft.person = Some(person(Verdict::Unverified));
    all.push(narrow);
    for (done, not_told, not_final) in [(1, 0, 0), (1, 1, 0), (1, 0, 1)] {
        all.push(plain(Screen::Shared { done, not_told, not_final }));
    }
    for why in [
        NotShared::UsedUp,
        NotShared::TooFewKeys,
        NotShared::TooShort,
        NotShared::OtherTerms,
        NotShared::Capped,
        NotShared::FarTooMuch,
    ] {
        all.push(plain(Screen::NotShared { why }));
    }
    let invitation = Screen::Invitation { content: "CLAVICLE:INVITE:GEZDGNBVGY3TQOJQ".into(), until: NOW + HOUR / 12 };
    all.push(plain(invitation.clone()));
    let mut far = plain(invitation);
    far.draft.from_afar = true;
    all.push(far);
    let choices = [
        "apple river stone candle",
        "music garden winter candle",
        "apple garden winter letter",
        "music river stone letter",
    ];
    all.push(plain(Screen::PickWords { choices: choices.map(Private::from).into() }));
    all.extend([Over::Late, Over::Second, Over::WordsDiffer].map(|why| plain(Screen::InvitationOver { why })));
    all.push(plain(Screen::Who));
    let mut nobody = plain(Screen::Who);
    nobody.who.iter_mut().for_each(|who| who.grants.clear());
    all.push(nobody);
    for (at, _) in (11..).zip(STAGES) {
        all.push(plain(Screen::Grant { grant: at }));
    }
    all.push(plain(Screen::Looked));
    let mut none = plain(Screen::Looked);
    none.who.iter_mut().for_each(|who| (who.looks, who.not_asked) = (Vec::new(), true));
    all.push(none);
    all.push(plain(Screen::LookedChanged));
    all.extend([Some(13), None].map(|grant| plain(Screen::EndSure { grant })));
    for (seen, waiting, not_final) in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)] {
        all.push(plain(Screen::Ended { seen, waiting, not_final }));
    }
    all
}

fn of_a_recipient() -> Vec<State> {
    let mut all = vec![recipient(Screen::Inbox)];
    all.push(State { wallet: Wallet::default(), ..recipient(Screen::Inbox) });
    let mut mixed = recipient(Screen::Inbox);
    let one = mixed.wallet.received.remove(0);
    let of_each = (51..).zip(RECEIVED).map(|(handle, standing)| Received { handle, standing, ..one.clone() });
    mixed.wallet.received = of_each.collect();
    all.push(mixed);
    for standing in RECEIVED {
        let mut state = recipient(Screen::Received { received: 31 });
        state.wallet.received.iter_mut().for_each(|one| one.standing = standing);
        all.push(state);
    }
    for recall in [Recall::Replaced, Recall::Suspended, Recall::Withdrawn, Recall::OtherPatient] {
        let mut state = recipient(Screen::Recall { received: 32 });
        state.wallet.received.iter_mut().for_each(|one| one.recall = Some(recall));
        all.push(state);
    }
    all.push(recipient(Screen::RecallKnown));
    all.push(recipient(Screen::Wish));
    let long = [("wish".to_owned(), Private("brain ".repeat(30)))].to_vec();
    all.push(State { typed: long, ..recipient(Screen::Wish) });
    let mut answers = recipient(Screen::Wish);
    answers.draft.code = Some(90);
    all.push(answers);
    all.push(recipient(Screen::Card { content: "CLAVICLE:CARD2:GEZDGNBVGY3TQOJQ".into(), until: NOW + 7 * DAY }));
    all.push(recipient(Screen::AnswerWords { words: "apple garden winter letter".into() }));
    all.push(recipient(Screen::AnswerOver));
    all.extend(viewing(recipient));
    all
}

/// Pictures: all there, some missing, none.
fn viewing(of: fn(Screen) -> State) -> Vec<State> {
    let state = of(Screen::Pictures { at: 1 });
    let change = |change: fn(&mut View)| {
        let mut state = state.clone();
        state.view.iter_mut().for_each(change);
        state
    };
    vec![change(|_| {}), change(|view| view.missing = 3), change(|view| view.pictures.clear())]
}

/// Everything that is waited for, and a fetch that goes on, is slow, and waits.
fn waiting() -> Vec<State> {
    let of = |word| plain(Screen::Working { ticket: TICKET, word });
    let is_waited_for = |word: &&str| !matches!(*word, "ask" | "await_answer" | "look" | "look_received");
    let mut all: Vec<State> = Job::WORDS.iter().copied().filter(is_waited_for).map(of).collect();
    for (is_paused, is_slow) in [(false, false), (false, true), (true, false)] {
        let mut state = plain(Screen::Fetching { ticket: TICKET });
        state.under_way.iter_mut().for_each(|work| (work.is_paused, work.is_slow) = (is_paused, is_slow));
        all.push(state);
    }
    let mut slow = of("pick_up");
    slow.under_way.iter_mut().for_each(|work| (work.is_slow, work.all) = (true, 0));
    all.push(slow);
    all
}

const STANDINGS: [Standing; 8] = [
    Standing::Held,
    Standing::NotFinal,
    Standing::NotTold,
    Standing::Suspended,
    Standing::Withdrawn,
    Standing::OtherPatient,
    Standing::OtherHolder,
    Standing::Frozen,
];

const RECEIVED: [ReceivedStanding; 8] = [
    ReceivedStanding::Ready,
    ReceivedStanding::Here,
    ReceivedStanding::NotYet(NOW + DAY),
    ReceivedStanding::Unproven,
    ReceivedStanding::Ended,
    ReceivedStanding::Suspended,
    ReceivedStanding::Withdrawn,
    ReceivedStanding::OtherPatient,
];

const STAGES: [Stage; 5] = [Stage::Signed, Stage::NotDelivered, Stage::Active, Stage::Ending, Stage::Ended];

/// Nothing speaks against anything.
fn plain(screen: Screen) -> State {
    State { wallet: wallet(), ..patient(screen) }
}

/// With all that is to be known besides.
fn patient(screen: Screen) -> State {
    let loud = Wallet {
        pending: vec![Pending { study: 1, from: NOW + 3 * DAY, is_vetoed: false }],
        recovering: 1,
        to_move: 2,
        older_copy: Some(NOW - DAY),
        words_due: Some([3, 11, 20]),
        silent: 2,
        ..wallet()
    };
    State {
        now: NOW,
        is_open: true,
        behind: vec![Screen::Home],
        wallet: loud,
        draft: Draft {
            person: Some(person(Verdict::Verified { by: "Mercy Hospital".into() })),
            studies: vec![1],
            days: 7,
            ..Draft::default()
        },
        who: Some(who()),
        view: Some(view()),
        under_way: vec![UnderWay {
            ticket: TICKET,
            job: Job::Look { study: 1 },
            done: 212,
            all: 500,
            is_slow: false,
            is_paused: false,
        }],
        pending_shown: vec![1],
        screen,
        ..State::start(Found::Wallet(Mode::Patient), DeviceLock::Ready, 0)
    }
}

fn recipient(screen: Screen) -> State {
    let received = |handle, what: &str, recall| Received {
        handle,
        what: what.into(),
        about: "Rossi, Ana, born 1953-01-17".into(),
        hospital: "Mercy Hospital".into(),
        until: NOW + 6 * DAY,
        view_only: true,
        standing: ReceivedStanding::Ready,
        recall,
    };
    let all = vec![received(31, "CT chest", None), received(32, "MR brain", Some(Recall::Replaced))];
    State {
        mode: Mode::Recipient,
        behind: vec![Screen::Inbox],
        wallet: Wallet { received: all, ..Wallet::default() },
        draft: Draft::default(),
        ..plain(screen)
    }
}

fn wallet() -> Wallet {
    let study = |handle, what: &str, day, hospital: &str, images| Study {
        handle,
        what: what.into(),
        day: Some(day),
        hospital: hospital.into(),
        about: "Rossi, Ana, born 1953-01-17".into(),
        images,
        standing: Standing::Held,
    };
    let chest = study(1, "CT chest", Day { year: 2026, month: 9, day: 11 }, "Mercy Hospital", 412);
    let knee = study(2, "MR knee left", Day { year: 2026, month: 9, day: 11 }, "Mercy Hospital", 180);
    // A name as long as names are, in four scripts.
    let long = "Röntgen Thorax рентген грудной клетки 胸部X線撮影 صورة أشعة للصدر";
    let film = study(3, long, Day { year: 2019, month: 2, day: 28 }, "Klinikum am Nordhafen der Stadt", 2);
    let unknown = Study { what: Private::default(), day: None, standing: Standing::NotTold, images: 0, ..film.clone() };
    let unknown = Study { handle: 4, about: Private::default(), ..unknown };
    Wallet { studies: vec![chest, knee, film, unknown], grants: grants(), ..Wallet::default() }
}

fn grants() -> Vec<Grant> {
    let of = |(handle, stage): (u32, Stage)| {
        let names = ["Dr Rossi", "Dr Okafor", "Praxis am Markt"];
        let name = names.get(handle as usize % 4).map(|name| Private::from(*name));
        let verdict = match handle % 2 {
            0 => Verdict::Unverified,
            _ => Verdict::Verified { by: "Mercy Hospital".into() },
        };
        Grant { handle, study: 1, name, verdict, until: NOW + 5 * DAY, stage }
    };
    (11..).zip(STAGES).map(of).collect()
}

fn person(verdict: Verdict) -> Person {
    Person { name: "Dr Rossi".into(), wish: "CT chest, for the operation".into(), verdict }
}

fn who() -> Who {
    let look = |name: Option<&str>, ago, kind| Look { name: name.map(Private::from), at: NOW - ago, kind };
    let looks = vec![
        look(Some("Dr Rossi"), HOUR, LookKind::SawEnd),
        look(Some("Dr Rossi"), 5 * HOUR, LookKind::Opened),
        look(None, DAY, LookKind::Refused),
    ];
    Who { study: 1, grants: grants(), looks, age_ms: 4_000, not_asked: false }
}

fn view() -> View {
    let shot = |side: &str| Shot {
        identity: "Rossi, Ana, born 1953-01-17".into(),
        made: "2026-09-11 09:40".into(),
        side: side.into(),
    };
    let report = |title: &str, paragraphs: &[&str]| Report {
        title: title.into(),
        paragraphs: paragraphs.iter().map(|text| Private::from(*text)).collect(),
    };
    let read = report("CT of the chest", &["Findings: no change since 2019.", "Impression: nothing new."]);
    View {
        view: 70,
        pictures: vec![shot("R"), shot("L"), shot("")],
        reports: vec![read, report("Letter", &[])],
        missing: 0,
    }
}
