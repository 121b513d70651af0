//! What each state shows. A state's title and text stand in the catalogue under its name: `pick_up.wrong.title`, `pick_up.wrong.text`.

pub(crate) mod consent;
mod images;
mod recipient;
mod start;

use crate::action::Action;
use crate::page::{Banner, Choice, Entry, Fact, Field, FieldKind, Outside, Page, Part, Press, Tone};
use crate::screen::Screen;
use crate::sentence::{Argument, Day, Private, Sentence, Value};
use crate::state::State;
use crate::wallet::{Mode, Verdict};
use crate::work::Ticket;

/// A day, in milliseconds.
pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A page, and what its presses do.
pub(crate) struct Drawn {
    pub(crate) page: Page,
    pub(crate) actions: Vec<Action>,
}

/// What is shown.
#[must_use]
pub fn page(state: &State) -> Page {
    draw(state).page
}

/// What is pressed by this name, if it can be.
#[must_use]
pub fn action(state: &State, id: &str) -> Option<Action> {
    draw(state).actions.into_iter().find(|action| action.id() == id)
}

pub(crate) fn draw(state: &State) -> Drawn {
    let mut drawing = match &state.screen {
        Screen::Working { ticket, word } => working(state, *ticket, word),
        Screen::Trouble { trouble, again } => {
            let drawing = Drawing::new(format!("trouble.{}", trouble.kind.word())).tone(Tone::Care);
            let fact =
                Fact { label: Sentence::of("label.support"), value: verbatim(&Private(trouble.support.clone())) };
            let drawing = drawing.part(Part::Facts { facts: vec![fact] });
            if again.is_some() { drawing.main(Action::Again) } else { drawing.main(Action::Back) }
        }
        screen => start::draw(state, screen)
            .or_else(|| consent::draw(state, screen))
            .or_else(|| images::draw(state, screen))
            .or_else(|| recipient::draw(state, screen))
            // What it is about is not there any more.
            .unwrap_or_else(|| Drawing::of("trouble.not_found").tone(Tone::Care).main(Action::Home)),
    };
    let is_first = state.behind.is_empty();
    if is_first && drawing.page.back.id == Action::Back.id() {
        drawing = drawing.back(Action::Leave);
    }
    if !state.is_connected && state.is_open {
        drawing.page.banners.push(Banner { tone: Tone::Care, text: Sentence::of("banner.offline"), button: None });
    }
    Drawn { page: drawing.page, actions: drawing.actions }
}

/// A page that is being made.
pub(crate) struct Drawing {
    page: Page,
    actions: Vec<Action>,
}

impl Drawing {
    /// The page of this name, whose main action is to go on, and which leads one step back.
    pub(crate) fn new(name: String) -> Self {
        let (title, text) = (Sentence::of(format!("{name}.title")), Sentence::of(format!("{name}.text")));
        let (main, back) = (press(Action::Next), press(Action::Back));
        let page = Page {
            name,
            tone: Tone::Plain,
            title,
            text,
            banners: Vec::new(),
            parts: Vec::new(),
            main,
            others: Vec::new(),
            back,
        };
        Self { page, actions: vec![Action::Next, Action::Back] }
    }

    pub(crate) fn of(name: &str) -> Self {
        Self::new(name.to_owned())
    }

    /// Something that title and text may say.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        for text in [&mut self.page.title, &mut self.page.text] {
            text.arguments.push(Argument { name: name.to_owned(), value: value.clone() });
        }
        self
    }

    pub(crate) fn count(self, name: &str, count: u32) -> Self {
        self.with(name, Value::Count(count.into()))
    }

    pub(crate) fn text(self, name: &str, text: &Private) -> Self {
        self.with(name, Value::Text(text.clone()))
    }

    pub(crate) fn instant(self, name: &str, ms: u64) -> Self {
        self.with(name, Value::Instant(ms))
    }

    pub(crate) fn tone(mut self, tone: Tone) -> Self {
        self.page.tone = tone;
        self
    }

    pub(crate) fn part(mut self, part: Part) -> Self {
        self.page.parts.push(part);
        self
    }

    pub(crate) fn banner(mut self, tone: Tone, text: Sentence, action: Option<Action>) -> Self {
        self.actions.extend(action);
        self.page.banners.push(Banner { tone, text, button: action.map(press) });
        self
    }

    pub(crate) fn main(mut self, action: Action) -> Self {
        self.actions.retain(|one| one.id() != self.page.main.id || one.id() == self.page.back.id);
        self.page.main = press(action);
        self.actions.push(action);
        self
    }

    /// The same, where it can be pressed only once something else is done.
    pub(crate) fn main_if(self, is_possible: bool, action: Action) -> Self {
        let mut drawing = self.main(action);
        if !is_possible {
            drawing.page.main.is_possible = false;
            drawing.actions.retain(|one| *one != action);
        }
        drawing
    }

    pub(crate) fn main_outside(self, action: Action, outside: Outside) -> Self {
        let mut drawing = self.main(action);
        drawing.page.main.outside = outside;
        drawing
    }

    pub(crate) fn other(self, action: Action) -> Self {
        self.other_outside(action, Outside::Nothing)
    }

    pub(crate) fn other_outside(mut self, action: Action, outside: Outside) -> Self {
        self.page.others.push(Press { outside, ..press(action) });
        self.actions.push(action);
        self
    }

    pub(crate) fn other_if(self, is_so: bool, action: Action) -> Self {
        if is_so { self.other(action) } else { self }
    }

    pub(crate) fn back(mut self, action: Action) -> Self {
        self.actions.retain(|one| one.id() != self.page.back.id || one.id() == self.page.main.id);
        self.page.back = press(action);
        if action == Action::Leave {
            self.page.back.outside = Outside::Leave;
        }
        self.actions.push(action);
        self
    }

    /// A list, each row with what a press of it does.
    pub(crate) fn rows(mut self, rows: Vec<(Tone, Sentence, Vec<Sentence>, Option<Action>)>) -> Self {
        self.actions.extend(rows.iter().filter_map(|(.., action)| *action));
        let entry = |(tone, title, lines, action): (Tone, Sentence, Vec<Sentence>, Option<Action>)| {
            let button = action.map(|action| Press { text: title.clone(), ..press(action) });
            Entry { tone, title, lines, button }
        };
        self.part(Part::Rows { rows: rows.into_iter().map(entry).collect() })
    }

    /// Choices, each with what it says and whether it is chosen.
    pub(crate) fn choices(mut self, label: &str, is_one: bool, all: Vec<(Sentence, Action, bool)>) -> Self {
        self.actions.extend(all.iter().map(|(_, action, _)| *action));
        let choice = |(text, action, is_chosen)| Choice { button: Press { text, ..press(action) }, is_chosen };
        let choices = all.into_iter().map(choice).collect();
        self.part(Part::Choices { label: Sentence::of(format!("label.{label}")), is_one, choices })
    }

    /// Something is typed.
    pub(crate) fn field(self, state: &State, name: &str, kind: FieldKind) -> Self {
        let content = if kind.is_secret() { Private::default() } else { state.typed(name) };
        let label = Sentence::of(format!("label.{name}"));
        self.part(Part::Field { field: Field { name: name.to_owned(), label, kind, content } })
    }

    pub(crate) fn facts(self, facts: Vec<(&str, Sentence)>) -> Self {
        let fact = |(label, value)| Fact { label: Sentence::of(format!("label.{label}")), value };
        self.part(Part::Facts { facts: facts.into_iter().map(fact).collect() })
    }

    pub(crate) fn notes(self, keys: &[&str]) -> Self {
        self.part(Part::Notes { notes: keys.iter().map(|key| Sentence::of(*key)).collect() })
    }
}

/// A press that says what its action says.
pub(crate) fn press(action: Action) -> Press {
    Press { id: action.id(), text: Sentence::of(action.key()), is_possible: true, outside: Outside::Nothing }
}

/// Somebody's text, as it is.
pub(crate) fn verbatim(text: &Private) -> Sentence {
    Sentence::of("verbatim").text("text", text)
}

pub(crate) fn until(ms: u64) -> Sentence {
    Sentence::of("line.until").instant("until", ms)
}

pub(crate) fn day(day: Option<Day>) -> Sentence {
    match day {
        Some(day) => Sentence::of("line.made").with("day", Value::Day(day)),
        None => Sentence::of("line.no_date"),
    }
}

pub(crate) fn verdict(verdict: &Verdict) -> Sentence {
    match verdict {
        Verdict::Verified { by } => Sentence::of("line.verified").text("by", by),
        Verdict::Unverified => Sentence::of("line.unverified"),
        Verdict::Changed => Sentence::of("line.changed"),
        Verdict::Ended => Sentence::of("line.vouch_ended"),
    }
}

/// The first page of an open wallet, in either mode.
pub(crate) const fn first(mode: Mode) -> Screen {
    match mode {
        Mode::Patient => Screen::Home,
        Mode::Recipient => Screen::Inbox,
    }
}

fn working(state: &State, ticket: Ticket, word: &str) -> Drawing {
    let (done, all, is_slow) =
        state.under_way(ticket).map_or((0, 0, false), |work| (work.done, work.all, work.is_slow));
    let label = Sentence::of(if is_slow { "label.slow" } else { "label.working" });
    Drawing::new(format!("working.{word}")).part(Part::Progress { label, done, all }).main(Action::Stop)
}
