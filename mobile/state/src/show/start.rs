//! Before a wallet is open, its words, what can be set, and when one is lost.

use super::{Drawing, verbatim};
use crate::action::Action;
use crate::page::{FieldKind, Outside, Part, Tone};
use crate::screen::Screen;
use crate::sentence::{Private, Sentence};
use crate::state::{LANGUAGES, State};
use crate::wallet::Mode;
use crate::work::DeviceLock;

/// How many words a wallet has.
const WORDS: u8 = 24;
/// The longest name on a card, in bytes.
const MOST_NAME: usize = 64;
/// The longest wish on a card, in bytes.
pub(crate) const MOST_WISH: usize = 128;

pub(super) fn draw(state: &State, screen: &Screen) -> Option<Drawing> {
    Some(match screen {
        Screen::Welcome => Drawing::of("welcome.new")
            .notes(&["welcome.what_it_is", "welcome.nobody_resets"])
            .main(Action::Begin(Mode::Patient))
            .other(Action::Restore)
            .other(Action::Begin(Mode::Recipient))
            .other(Action::Language),
        Screen::WrongNetwork => Drawing::of("welcome.wrong_network").tone(Tone::Alarm).main(Action::Leave),
        Screen::Name => {
            let name = state.typed("name");
            let is_bad = !name.0.is_empty() && !is_short(&name, MOST_NAME);
            let drawing = Drawing::of(if is_bad { "welcome.bad_name" } else { "welcome.name" });
            drawing.field(state, "name", FieldKind::Line).main_if(is_short(&name, MOST_NAME), Action::Next)
        }
        Screen::Passphrase { is_weak } => {
            let name = if *is_weak { "protect.weak" } else { "protect.passphrase" };
            let tone = if *is_weak { Tone::Care } else { Tone::Plain };
            Drawing::of(name).tone(tone).notes(&["protect.nobody_resets"]).field(
                state,
                "passphrase",
                FieldKind::Passphrase,
            )
        }
        Screen::Device => match state.device {
            DeviceLock::Ready | DeviceLock::Kept | DeviceLock::Changed => {
                Drawing::of("protect.device").main(Action::UseDevice).other(Action::WithoutDevice)
            }
            DeviceLock::NotEnrolled => Drawing::of("protect.not_enrolled")
                .main(Action::WithoutDevice)
                .other_outside(Action::SystemSettings, Outside::Settings),
            DeviceLock::NoPasscode => Drawing::of("protect.no_passcode")
                .tone(Tone::Care)
                .main(Action::WithoutDevice)
                .other_outside(Action::SystemSettings, Outside::Settings),
            DeviceLock::NoHardware => Drawing::of("protect.no_hardware").main(Action::WithoutDevice),
        },
        Screen::Locked { wrong, by_passphrase } => locked(state, *wrong, *by_passphrase),
        Screen::WordsHidden { are_new } => {
            let drawing = Drawing::of(if *are_new { "words.new" } else { "words.hidden" });
            let drawing = drawing.notes(&["words.nobody_resets", "words.no_picture"]).main(Action::ShowWords);
            let drawing = if state.device == DeviceLock::Kept { drawing } else { ask_passphrase(drawing, state) };
            drawing.other_if(!are_new && state.wallet.words_due.is_some(), Action::Later)
        }
        Screen::WordsShown { .. } => {
            let words = Part::SecretWords { count: WORDS };
            Drawing::of("words.shown").tone(Tone::Care).part(words).main(Action::WroteDown)
        }
        Screen::WordsCheck { asked, was_wrong, .. } => {
            let drawing = Drawing::of(if *was_wrong { "words.wrong" } else { "words.check" });
            let [one, two, three] = *asked;
            drawing
                .tone(if *was_wrong { Tone::Care } else { Tone::Plain })
                .count("first", one.into())
                .count("second", two.into())
                .count("third", three.into())
                .field(state, "three_words", FieldKind::Words)
                .other(Action::OpenWords)
        }
        Screen::WordsDone => Drawing::of("words.done").tone(Tone::Good).main(Action::Home),
        Screen::RestoreWords { was_wrong } => {
            let name = if *was_wrong { "restore.wrong_word" } else { "restore.words" };
            let tone = if *was_wrong { Tone::Care } else { Tone::Plain };
            Drawing::of(name).tone(tone).field(state, "words", FieldKind::Words)
        }
        Screen::Restored { found, not_told } => {
            let name = match (found, not_told) {
                (0, 0) => "restore.nothing",
                (_, 0) => "restore.found",
                _ => "restore.some_not_told",
            };
            let tone = if *not_told > 0 || *found == 0 { Tone::Care } else { Tone::Good };
            Drawing::of(name).tone(tone).count("found", *found).count("not_told", *not_told).main(Action::Home)
        }
        Screen::Devices if state.wallet.older_copy.is_some() => Drawing::of("devices.older_copy")
            .tone(Tone::Alarm)
            .instant("since", state.wallet.older_copy.unwrap_or_default())
            .main(Action::DeviceLost),
        Screen::Devices if state.wallet.to_move > 0 => {
            Drawing::of("devices.to_move").tone(Tone::Care).count("studies", state.wallet.to_move).main(Action::Move)
        }
        Screen::Devices => Drawing::of("devices.this").notes(&["devices.same_words"]).main(Action::DeviceLost),
        Screen::Moved { done, stay } => {
            let drawing = Drawing::of(if *stay > 0 { "devices.some_stay" } else { "devices.moved" });
            let drawing = drawing.count("done", *done).count("stay", *stay);
            if *stay > 0 {
                drawing.tone(Tone::Care).main(Action::Move)
            } else {
                drawing.tone(Tone::Good).main(Action::Home)
            }
        }
        Screen::Settings => {
            let row = |action: Action| (Tone::Plain, Sentence::of(action.key()), Vec::new(), Some(action));
            let mut rows = vec![row(Action::Language), row(Action::OpenLock), row(Action::OpenWords)];
            if state.mode == Mode::Patient {
                rows.push(row(Action::Devices));
                rows.push((Tone::Care, Sentence::of(Action::EndAll.key()), Vec::new(), Some(Action::EndAll)));
            }
            rows.push(row(Action::About));
            Drawing::of("settings.all").rows(rows).main(Action::Home)
        }
        Screen::Language => {
            let all = (0u32..).zip(LANGUAGES);
            let choice = |(at, tag): (u32, &&str)| {
                (Sentence::of(format!("language.{tag}")), Action::Speak(at), at == state.language)
            };
            Drawing::of("settings.language").choices("language", true, all.map(choice).collect()).main(Action::Back)
        }
        Screen::Lock => {
            let drawing = Drawing::of("settings.lock").main(Action::LockNow).other(Action::ChangePassphrase);
            match state.device {
                DeviceLock::Kept => drawing.other(Action::WithoutDevice),
                DeviceLock::Ready | DeviceLock::Changed => drawing.other(Action::UseDevice),
                _ => drawing,
            }
        }
        Screen::NewPassphrase { is_weak } => {
            let drawing = Drawing::of(if *is_weak { "settings.weak" } else { "settings.passphrase" });
            let drawing = drawing.tone(if *is_weak { Tone::Care } else { Tone::Plain });
            let drawing = drawing.field(state, "former_passphrase", FieldKind::Passphrase);
            drawing.field(state, "passphrase", FieldKind::Passphrase)
        }
        Screen::About => Drawing::of("settings.about")
            .notes(&["about.not_for_diagnosis", "about.who_can_see"])
            .facts(vec![("version", verbatim(&env!("CARGO_PKG_VERSION").into()))])
            .main(Action::Home),
        _ => return None,
    })
}

fn ask_passphrase(drawing: Drawing, state: &State) -> Drawing {
    drawing.field(state, "passphrase", FieldKind::Passphrase)
}

fn locked(state: &State, wrong: u32, by_passphrase: bool) -> Drawing {
    let asks = |name: &str, tone| {
        Drawing::of(name).tone(tone).field(state, "passphrase", FieldKind::Passphrase).main(Action::UsePassphrase)
    };
    match state.device {
        _ if wrong > 0 => asks("unlock.wrong", Tone::Care).count("wrong", wrong),
        DeviceLock::Changed => asks("unlock.changed", Tone::Care),
        DeviceLock::Kept if !by_passphrase => {
            Drawing::of("unlock.device").main(Action::UseDevice).other(Action::UsePassphrase)
        }
        _ => asks("unlock.passphrase", Tone::Plain),
    }
}

/// Whether something can stand on a card: it is there, not too long, and all of it shows.
pub(crate) fn is_short(text: &Private, most: usize) -> bool {
    let text = text.0.trim();
    !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}
