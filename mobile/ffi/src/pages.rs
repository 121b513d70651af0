//! Pages, as they go over: their types are those of `clavicle-mobile-state`, listed once more so that bindings have them. One that has other fields does
//! not compile.

use clavicle_mobile_state::{
    Argument, Banner, Choice, Day, Entry, Fact, Field, FieldKind, Outside, Page, Part, Picture, Press, Private,
    Sentence, Tone, Value,
};

uniffi::custom_type!(Private, String, {
    remote,
    lower: |text| text.0,
    try_lift: |text| Ok(Private(text)),
});

/// All that a screen shows.
#[uniffi::remote(Record)]
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

/// How something is meant.
#[uniffi::remote(Enum)]
pub enum Tone {
    /// As it is.
    Plain,
    /// It is done.
    Good,
    /// To be read with care.
    Care,
    /// Something is wrong, and somebody has to act.
    Alarm,
}

/// Something that can be pressed.
#[uniffi::remote(Record)]
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
#[uniffi::remote(Enum)]
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
#[uniffi::remote(Record)]
pub struct Banner {
    /// How it is meant.
    pub tone: Tone,
    /// What it says.
    pub text: Sentence,
    /// What can be done about it.
    pub button: Option<Press>,
}

/// A part of a page.
#[uniffi::remote(Enum)]
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
#[uniffi::remote(Record)]
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
#[uniffi::remote(Record)]
pub struct Fact {
    /// What it is called.
    pub label: Sentence,
    /// What is so.
    pub value: Sentence,
}

/// Something that can be chosen.
#[uniffi::remote(Record)]
pub struct Choice {
    /// What a press of it does.
    pub button: Press,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

/// Something that is typed.
#[uniffi::remote(Record)]
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
#[uniffi::remote(Enum)]
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

/// A picture, and what must stand on it.
#[uniffi::remote(Record)]
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

/// A day, as images have it.
#[uniffi::remote(Record)]
pub struct Day {
    /// The year.
    pub year: u16,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

/// What stands in a sentence. How it is written is the language's affair.
#[uniffi::remote(Enum)]
pub enum Value {
    /// As it is.
    Text(Private),
    /// How many: it decides the plural.
    Count(u64),
    /// A day.
    Day(Day),
    /// An instant, in milliseconds since 1970 UTC: written with date and time of day where the telephone is.
    Instant(u64),
    /// For how long, in milliseconds.
    Span(u64),
    /// Another sentence of the catalogue, by its key.
    Word(String),
}

/// Something that stands in a sentence, by the name that the sentence has for it.
#[uniffi::remote(Record)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// What stands there.
    pub value: Value,
}

/// A sentence: its key in the catalogue, and what stands in it.
#[uniffi::remote(Record)]
pub struct Sentence {
    /// The key.
    pub key: String,
    /// What stands in it.
    pub arguments: Vec<Argument>,
}

/// Every state there is, with people who do not exist: for galleries, and for whoever tests what draws them.
#[uniffi::export]
#[must_use]
pub fn gallery() -> Vec<Page> {
    clavicle_mobile_state::every().iter().map(clavicle_mobile_state::page).collect()
}
