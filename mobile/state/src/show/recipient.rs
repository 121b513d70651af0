//! What a recipient was granted, their card, and what a hospital calls back.

use super::consent::banners;
use super::start::{MOST_WISH, is_short};
use super::{Drawing, until, verbatim};
use crate::action::Action;
use crate::page::{FieldKind, Part, Tone};
use crate::screen::Screen;
use crate::sentence::Sentence;
use crate::state::State;
use crate::wallet::{Handle, Recall, Received, ReceivedStanding};

pub(super) fn draw(state: &State, screen: &Screen) -> Option<Drawing> {
    Some(match screen {
        Screen::Inbox => inbox(state),
        Screen::Received { received } => received_page(find(state, *received)?),
        Screen::Recall { received } => {
            let one = find(state, *received)?;
            let name = match one.recall.unwrap_or(Recall::Replaced) {
                Recall::Replaced => "recall.replaced",
                Recall::Suspended => "recall.suspended",
                Recall::Withdrawn => "recall.withdrawn",
                Recall::OtherPatient => "recall.other_patient",
            };
            let drawing = Drawing::of(name).tone(Tone::Alarm).facts(about(one));
            drawing.main(Action::Acknowledge(one.handle)).other(Action::OpenReceived(one.handle))
        }
        Screen::RecallKnown => Drawing::of("recall.known").tone(Tone::Good).main(Action::Home),
        Screen::Wish => {
            let wish = state.typed("wish");
            let name = match state.draft.code {
                _ if !wish.0.is_empty() && !is_short(&wish, MOST_WISH) => "card.bad_wish",
                Some(_) => "answer.wish",
                None => "card.wish",
            };
            Drawing::of(name).field(state, "wish", FieldKind::Line).main_if(is_short(&wish, MOST_WISH), Action::Next)
        }
        Screen::Card { content, until } => Drawing::of("card.shown")
            .instant("until", *until)
            .part(Part::Code { content: content.clone() })
            .main(Action::ReadInbox)
            .other(Action::Home),
        Screen::AnswerWords { words } => Drawing::of("answer.words")
            .tone(Tone::Care)
            .part(Part::FourWords { words: words.clone() })
            .main(Action::ReadInbox)
            .other(Action::Home),
        Screen::AnswerOver => Drawing::of("answer.over").tone(Tone::Care).main(Action::Scan).other(Action::Home),
        _ => return None,
    })
}

fn find(state: &State, received: Handle) -> Option<&Received> {
    state.wallet.received.iter().find(|one| one.handle == received)
}

fn inbox(state: &State) -> Drawing {
    let all = &state.wallet.received;
    let row = |one: &Received| {
        let (tone, line) = match (one.recall, standing_key(one.standing)) {
            (Some(_), _) => (Tone::Alarm, Sentence::of("line.called_back")),
            (None, Some(key)) => (Tone::Care, Sentence::of(key)),
            (None, None) => (Tone::Plain, until(one.until)),
        };
        let action = match one.recall {
            Some(_) => Action::OpenRecall(one.handle),
            None => Action::OpenReceived(one.handle),
        };
        let from = Sentence::of("line.from").text("hospital", &one.hospital);
        (tone, verbatim(&one.what), vec![line, verbatim(&one.about), from], Some(action))
    };
    let name = if all.is_empty() { "inbox.empty" } else { "inbox.list" };
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let drawing = banners(Drawing::of(name).count("studies", count), state).rows(all.iter().map(row).collect());
    drawing.main(Action::ShowCard).other(Action::Scan).other(Action::ReadInbox).other(Action::Settings)
}

const fn standing_key(standing: ReceivedStanding) -> Option<&'static str> {
    Some(match standing {
        ReceivedStanding::Ready | ReceivedStanding::Here => return None,
        ReceivedStanding::NotYet(_) => "line.not_yet",
        ReceivedStanding::Unproven => "line.unproven",
        ReceivedStanding::Ended => "line.over",
        ReceivedStanding::Suspended => "line.suspended",
        ReceivedStanding::Withdrawn => "line.withdrawn",
        ReceivedStanding::OtherPatient => "line.other_patient",
    })
}

fn about(one: &Received) -> Vec<(&'static str, Sentence)> {
    vec![
        ("study", verbatim(&one.what)),
        ("about", verbatim(&one.about)),
        ("hospital", verbatim(&one.hospital)),
        ("until", until(one.until)),
    ]
}

fn received_page(one: &Received) -> Drawing {
    let (name, tone) = match one.standing {
        ReceivedStanding::Ready => ("received.ready", Tone::Plain),
        ReceivedStanding::Here => ("received.here", Tone::Plain),
        ReceivedStanding::NotYet(_) => ("received.not_yet", Tone::Care),
        ReceivedStanding::Unproven => ("received.unproven", Tone::Care),
        ReceivedStanding::Ended => ("received.ended", Tone::Care),
        ReceivedStanding::Suspended => ("received.suspended", Tone::Care),
        ReceivedStanding::Withdrawn => ("received.withdrawn", Tone::Alarm),
        ReceivedStanding::OtherPatient => ("received.other_patient", Tone::Alarm),
    };
    let mut drawing = Drawing::of(name).tone(tone).facts(about(one));
    if let ReceivedStanding::NotYet(from) = one.standing {
        drawing = drawing.instant("from", from);
    }
    if one.view_only {
        drawing = drawing.notes(&["received.view_only"]);
    }
    match one.standing {
        ReceivedStanding::Ready | ReceivedStanding::Here => {
            drawing.main(Action::LookReceived(one.handle)).other(Action::ForgetCopy(one.handle))
        }
        ReceivedStanding::NotYet(_) | ReceivedStanding::Unproven => drawing.main(Action::ReadInbox),
        _ => drawing.main(Action::Home).other(Action::ForgetCopy(one.handle)),
    }
}
