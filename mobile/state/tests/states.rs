//! Every state, one by one: what each promises, and that what is drawn elsewhere is what is here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use clavicle_mobile_state::{
    By, DeviceLock, Did, Effect, Event, FieldKind, Found, Input, Job, LOCKS_AFTER_MS, Mode, NAMES, Part, Pending,
    Private, Seen, State, Trouble, TroubleKind, Value, Wallet, action, every, keys, page, reduce,
};

const NOW: u64 = 1_789_387_200_000;

#[test]
fn every_name_there_is_has_its_state_and_no_state_has_another() {
    let seen: BTreeSet<String> = every().iter().map(|state| page(state).name).collect();
    let troubles = TroubleKind::ALL.iter().map(|kind| format!("trouble.{}", kind.word()));
    let waits = Job::WORDS.iter().filter(|word| !matches!(**word, "ask" | "await_answer" | "look" | "look_received"));
    let working = waits.map(|word| format!("working.{word}"));
    let own = NAMES.iter().filter(|name| !matches!(**name, "working" | "trouble")).map(|name| (*name).to_owned());
    let due: BTreeSet<String> = own.chain(troubles).chain(working).collect();
    assert_eq!(due.difference(&seen).collect::<Vec<_>>(), Vec::<&String>::new(), "no sample shows these");
    assert_eq!(seen.difference(&due).collect::<Vec<_>>(), Vec::<&String>::new(), "nobody knows these");
}

/// Title, text, one main action, a way back: of each, and every press that can be made is one that something follows from.
#[test]
fn every_state_says_where_one_is_what_to_do_and_how_to_go_back() {
    for state in every() {
        let page = page(&state);
        let name = &page.name;
        assert_eq!(page.title.key, format!("{name}.title"));
        assert_eq!(page.text.key, format!("{name}.text"));
        assert!(matches!(page.back.id.as_str(), "back" | "leave" | "stop"), "{name}: {}", page.back.id);
        assert!(page.back.is_possible, "{name}");
        let mut ids = BTreeSet::new();
        for press in page.presses() {
            assert!(ids.insert(press.id.clone()) || press.id == page.back.id, "{name} has {} twice", press.id);
            assert_eq!(action(&state, &press.id).is_some(), press.is_possible, "{name}: {}", press.id);
        }
        if !page.main.is_possible {
            let asks = |part: &Part| matches!(part, Part::Field { .. } | Part::Choices { .. });
            assert!(page.parts.iter().any(asks), "{name} cannot be left forwards");
        }
    }
}

/// From every state, by whatever can be pressed, one comes to a state that is whole again; and always home, or out.
#[test]
fn every_press_leads_to_a_whole_state_and_back_leads_out() {
    for state in every() {
        for press in page(&state).presses() {
            let Some(pressed) = action(&state, &press.id) else { continue };
            let (next, effects) = reduce(&state, NOW, Input::Press(pressed));
            assert!(NAMES.contains(&page(&next).name.as_str()) || page(&next).name.contains('.'));
            assert!(effects.len() <= 4, "{}: {effects:?}", press.id);
        }
        let mut at = state;
        for _ in 0..32 {
            let back = action(&at, &page(&at).back.id).unwrap();
            if page(&at).back.id == "leave" {
                break;
            }
            at = reduce(&at, NOW, Input::Press(back)).0;
        }
        assert_eq!(page(&at).back.id, "leave", "{} has no way out", page(&at).name);
    }
}

#[test]
fn a_press_that_a_page_does_not_have_changes_nothing() {
    let all = every();
    let presses: BTreeMap<String, _> = all
        .iter()
        .flat_map(|state| {
            page(state)
                .presses()
                .map(|press| press.id.clone())
                .collect::<Vec<_>>()
                .into_iter()
                .map(|id| (id, state.clone()))
        })
        .filter_map(|(id, state)| Some((id.clone(), action(&state, &id)?)))
        .collect();
    for state in all.iter().step_by(7) {
        for (id, pressed) in &presses {
            if action(state, id).is_none() {
                let (next, effects) = reduce(state, NOW, Input::Press(*pressed));
                assert!(page(&next) == page(state) && effects.is_empty(), "{}: {id}", page(state).name);
            }
        }
    }
}

/// Nothing that is somebody's is written by `Debug`, and what is a secret stands in no page.
#[test]
fn nothing_of_anybody_is_in_debug_and_no_secret_in_a_page() {
    for state in every() {
        let page = page(&state);
        for text in [format!("{state:?}"), format!("{page:?}")] {
            for theirs in ["Rossi", "Okafor", "Mercy", "chest", "candle", "CLAVICLE:", "胸部"] {
                assert!(!text.contains(theirs), "{}: {theirs}", page.name);
            }
        }
        for part in &page.parts {
            if let Part::Field { field } = part
                && field.kind.is_secret()
            {
                assert_eq!(field.content, Private::default(), "{}", page.name);
            }
        }
    }
    let locked = State::start(Found::Wallet(Mode::Patient), DeviceLock::NoHardware, 0);
    let typed = Input::Typed { field: "passphrase".to_owned(), text: "correct horse".into() };
    assert_eq!(reduce(&locked, 0, typed).0, locked);
}

/// What stands in a sentence is of one kind wherever it is said, and none is called by a name that is another's.
#[test]
fn a_sentence_says_the_same_kinds_of_things_wherever_it_stands() {
    let all = keys();
    for state in every() {
        for text in page(&state).texts() {
            let due = all.get(&text.key).unwrap();
            let names: BTreeSet<&String> = text.arguments.iter().map(|argument| &argument.name).collect();
            assert_eq!(names, due.keys().collect(), "{}", text.key);
            assert_eq!(names.len(), text.arguments.len(), "{} says a name twice", text.key);
        }
    }
}

/// Presses what a page calls so.
fn press(state: &mut State, id: &str) -> Vec<Effect> {
    let pressed = action(state, id).unwrap_or_else(|| panic!("{} has no {id}", page(state).name));
    let (next, effects) = reduce(state, NOW, Input::Press(pressed));
    *state = next;
    effects
}

fn tell(state: &mut State, event: Event) -> Vec<Effect> {
    let (next, effects) = reduce(state, NOW, Input::Event(event));
    *state = next;
    effects
}

/// What was begun last.
fn begun(effects: &[Effect]) -> (u64, Job) {
    let begun = effects.iter().rev().find_map(|effect| match effect {
        Effect::Begin { ticket, job } => Some((*ticket, job.clone())),
        _ => None,
    });
    begun.unwrap_or_else(|| panic!("nothing was begun: {effects:?}"))
}

fn opened(mode: Mode) -> State {
    let mut state = State::start(Found::Wallet(mode), DeviceLock::Kept, 0);
    let (ticket, job) = begun(&press(&mut state, "use_device"));
    assert_eq!(job, Job::Open { by: By::Device });
    tell(&mut state, Event::Did { ticket, did: Did::Opened(mode) });
    state
}

#[test]
fn a_wrong_pin_says_how_many_tries_are_left_down_to_the_last_and_then_that_there_are_none() {
    let mut state = opened(Mode::Patient);
    press(&mut state, "scan");
    let (ticket, _) = begun(&tell(&mut state, Event::Scanned("CLAVICLE:PICKUP:…".into())));
    tell(&mut state, Event::Did { ticket, did: Did::Read(Seen::PickUp { code: 9, asks_birth_date: false }) });
    assert_eq!(page(&state).name, "pick_up.pin");
    for (left, name) in [(2, "pick_up.wrong"), (1, "pick_up.last_try"), (0, "pick_up.locked")] {
        let (ticket, job) = begun(&press(&mut state, "next"));
        assert_eq!((job, page(&state).name.as_str()), (Job::PickUp { code: 9 }, "working.pick_up"));
        tell(&mut state, Event::Did { ticket, did: Did::WrongAnswer { left } });
        assert_eq!(page(&state).name, name);
    }
    press(&mut state, "home");
    assert_eq!(page(&state).name, "home.empty");
}

#[test]
fn what_takes_too_long_says_so_can_be_stopped_and_an_end_that_comes_late_changes_nothing() {
    let mut state = opened(Mode::Recipient);
    let (ticket, _) = begun(&press(&mut state, "read_inbox"));
    tell(&mut state, Event::Slow { ticket });
    let texts: Vec<String> = page(&state).texts().map(|text| text.key.clone()).collect();
    assert!(texts.contains(&"label.slow".to_owned()));
    assert_eq!(press(&mut state, "stop"), [Effect::Cancel { ticket }]);
    assert_eq!(page(&state).name, "inbox.empty");
    tell(&mut state, Event::Did { ticket, did: Did::Done });
    assert_eq!(page(&state).name, "inbox.empty");

    let (ticket, _) = begun(&press(&mut state, "read_inbox"));
    let trouble = Trouble { kind: TroubleKind::TooLong, support: "too_long.Phone".to_owned() };
    tell(&mut state, Event::Failed { ticket, trouble });
    assert_eq!(page(&state).name, "trouble.too_long");
    assert_eq!(begun(&press(&mut state, "again")).1, Job::ReadInbox);
}

#[test]
fn a_wallet_is_locked_when_it_was_away_and_nothing_of_it_stays() {
    let mut state = opened(Mode::Patient);
    assert!(tell(&mut state, Event::Away(LOCKS_AFTER_MS - 1)).is_empty());
    assert_eq!(tell(&mut state, Event::Away(LOCKS_AFTER_MS)), [Effect::Lock]);
    assert_eq!(page(&state).name, "unlock.device");
    // A link waits until it is open.
    assert!(tell(&mut state, Event::Scanned("CLAVICLE:CARD2:…".into())).is_empty());
    let (ticket, _) = begun(&press(&mut state, "use_device"));
    let effects = tell(&mut state, Event::Did { ticket, did: Did::Opened(Mode::Patient) });
    assert!(matches!(begun(&effects).1, Job::ReadCode { .. }));
}

#[test]
fn a_passphrase_that_is_not_it_is_counted_and_a_key_that_is_gone_leaves_the_passphrase() {
    let mut state = State::start(Found::Wallet(Mode::Patient), DeviceLock::Kept, 0);
    let (ticket, _) = begun(&press(&mut state, "use_device"));
    let gone = Trouble { kind: TroubleKind::DeviceKey, support: "device_key.Gone".to_owned() };
    tell(&mut state, Event::Failed { ticket, trouble: gone });
    assert_eq!(page(&state).name, "unlock.changed");
    for wrong in 1..3u64 {
        let (ticket, _) = begun(&press(&mut state, "use_passphrase"));
        let trouble = Trouble { kind: TroubleKind::Passphrase, support: "passphrase.Vault".to_owned() };
        tell(&mut state, Event::Failed { ticket, trouble });
        let page = page(&state);
        assert_eq!(page.name, "unlock.wrong");
        assert_eq!(page.title.arguments[0].value, Value::Count(wrong));
    }
    assert!(
        page(&state)
            .parts
            .iter()
            .any(|part| matches!(part, Part::Field { field } if field.kind == FieldKind::Passphrase))
    );
}

#[test]
fn a_recovery_that_pends_comes_before_whatever_is_shown_and_once() {
    let mut state = opened(Mode::Patient);
    press(&mut state, "settings");
    let pending = vec![Pending { study: 1, from: NOW, is_vetoed: false }];
    tell(&mut state, Event::Wallet(Wallet { pending, ..Wallet::default() }));
    assert_eq!(page(&state).name, "lost.pending");
    assert_eq!(begun(&press(&mut state, "not_lost")).1, Job::Veto);
    press(&mut state, "stop");
    press(&mut state, "home");
    let page = page(&state);
    assert!(page.name == "home.empty" && page.banners[0].text.key == "banner.pending");
}
