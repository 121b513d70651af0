//! What a screen shows: a page is made of a state, and of nothing else. A shell draws it, and knows nothing of what it is about.

use serde::Serialize;

use crate::sentence::{Private, Sentence};

/// All that a screen shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Which state it is, for programs: `pick_up.wrong`.
    pub name: String,
    /// How it is meant. Never shown by colour alone: the title says it too.
    pub tone: Tone,
    /// In a few words, where one is.
    pub title: Sentence,
    /// What it means.
    pub text: Sentence,
    /// What is to be known besides, the most urgent first.
    pub banners: Vec<Banner>,
    /// What stands between the text and the buttons, in this order.
    pub parts: Vec<Part>,
    /// What is to be done here.
    pub main: Press,
    /// What else can be done.
    pub others: Vec<Press>,
    /// The way back. The system's gesture for it is this button.
    pub back: Press,
}

impl Page {
    /// Every press of it, rows and choices among them.
    pub fn presses(&self) -> impl Iterator<Item = &Press> {
        let banners = self.banners.iter().filter_map(|banner| banner.button.as_ref());
        let parts = self.parts.iter().flat_map(|part| match part {
            Part::Rows { rows } => rows.iter().filter_map(|row| row.button.as_ref()).collect(),
            Part::Choices { choices, .. } => choices.iter().map(|choice| &choice.button).collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        banners.chain(parts).chain([&self.main, &self.back]).chain(&self.others)
    }

    /// Every sentence of it.
    pub fn texts(&self) -> impl Iterator<Item = &Sentence> {
        let parts = self.parts.iter().flat_map(|part| match part {
            Part::Rows { rows } => rows.iter().flat_map(|row| core::iter::once(&row.title).chain(&row.lines)).collect(),
            Part::Facts { facts } => facts.iter().flat_map(|fact| [&fact.label, &fact.value]).collect(),
            Part::Choices { label, .. } => vec![label],
            Part::Field { field } => vec![&field.label],
            Part::Picture { picture } => vec![&picture.warning],
            Part::Notes { notes } => notes.iter().collect(),
            Part::Progress { label, .. } => vec![label],
            Part::Camera { .. } | Part::Code { .. } | Part::SecretWords { .. } | Part::FourWords { .. } => Vec::new(),
            Part::Report { paragraphs: _ } => Vec::new(),
        });
        let banners = self.banners.iter().map(|banner| &banner.text);
        [&self.title, &self.text]
            .into_iter()
            .chain(banners)
            .chain(parts)
            .chain(self.presses().map(|button| &button.text))
    }
}

/// How something is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// It is done.
    Good,
    /// To be read with care.
    Care,
    /// Something is wrong, and somebody has to act.
    Alarm,
}

/// Something that can be pressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Press {
    /// What a press of it is called: handed back to the core, with the sequence number of the state that had it.
    pub id: String,
    /// What it says.
    pub text: Sentence,
    /// Whether it can be pressed now. Where it cannot, the page's text says what is to be done first.
    pub is_possible: bool,
    /// What the shell does besides, before it says that it was pressed.
    pub outside: Outside,
}

/// What only the shell can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// Nothing.
    Nothing,
    /// The system's settings of this app are opened.
    Settings,
    /// A picture is chosen, and the code in it read.
    Picture,
    /// A text is handed to another program, or put where it can be pasted.
    Send {
        /// The text.
        text: Private,
    },
    /// The app is left.
    Leave,
}

/// Something to be known besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Banner {
    /// How it is meant.
    pub tone: Tone,
    /// What it says.
    pub text: Sentence,
    /// What can be done about it.
    pub button: Option<Press>,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A list.
    Rows {
        /// Its rows.
        rows: Vec<Entry>,
    },
    /// What is so, with what it is called.
    Facts {
        /// Each.
        facts: Vec<Fact>,
    },
    /// Some of which one is chosen, or which are each chosen or not.
    Choices {
        /// What is chosen.
        label: Sentence,
        /// Whether only one can be.
        is_one: bool,
        /// Each.
        choices: Vec<Choice>,
    },
    /// Something is typed.
    Field {
        /// What.
        field: Field,
    },
    /// What the camera sees. What it reads is handed to the core.
    Camera {
        /// Whether the torch is on.
        torch: bool,
    },
    /// A code that another device reads, as a QR code.
    Code {
        /// What it says. Read aloud, it is only said that there is a code.
        content: Private,
    },
    /// The words of a wallet, which the shell asks the core for and overwrites: they are in no state.
    SecretWords {
        /// How many.
        count: u8,
    },
    /// Four words that another screen shows too, large.
    FourWords {
        /// The words.
        words: Private,
    },
    /// How far something is. It ends: by itself, or when it has taken too long.
    Progress {
        /// What is waited for.
        label: Sentence,
        /// How many parts are done.
        done: u64,
        /// Of how many; none while that is not known.
        all: u64,
    },
    /// A picture, whose tiles the shell asks the core for.
    Picture {
        /// Which, and what must stand on it.
        picture: Picture,
    },
    /// What a report says. Its own words, in the language in which it was written.
    Report {
        /// Its paragraphs.
        paragraphs: Vec<Private>,
    },
    /// Sentences, each a paragraph.
    Notes {
        /// Each.
        notes: Vec<Sentence>,
    },
}

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// How it is meant.
    pub tone: Tone,
    /// What it is.
    pub title: Sentence,
    /// What is to be known of it.
    pub lines: Vec<Sentence>,
    /// What a press of it does. It says what stands in the title, and the whole row is the button.
    pub button: Option<Press>,
}

/// What is so, with what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is called.
    pub label: Sentence,
    /// What is so.
    pub value: Sentence,
}

/// Something that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What a press of it does.
    pub button: Press,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

/// Something that is typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// What it is called when it is handed to the core.
    pub name: String,
    /// What it asks for.
    pub label: Sentence,
    /// What is typed into it.
    pub kind: FieldKind,
    /// What stands in it; of a secret nothing, ever.
    pub content: Private,
}

/// What is typed into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A line.
    Line,
    /// A number.
    Number,
    /// A code, which may be pasted.
    Code,
    /// A PIN, or another answer that a desk agreed on. A secret.
    Answer,
    /// A passphrase. A secret.
    Passphrase,
    /// Words of a wallet. A secret.
    Words,
}

impl FieldKind {
    /// Whether it is handed to the core as bytes that are overwritten, and stands in no state.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Answer | Self::Passphrase | Self::Words)
    }
}

/// A picture, and what must stand on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// The study's images, as the core knows them while they are open.
    pub view: u32,
    /// Which of the pictures, from 0.
    pub at: u32,
    /// How many there are.
    pub of: u32,
    /// Who it is of, as the images say.
    pub identity: Private,
    /// When it was made.
    pub made: Private,
    /// Which side, and how it lies, if the image says so: never guessed.
    pub side: Private,
    /// "Not for diagnosis."
    pub warning: Sentence,
}
