//! What is said, as a key into the catalogue of sentences with what stands in it. No language stands here.

use core::fmt;

use serde::Serialize;

/// Something that is somebody's: a name, what a study is. It is shown, and `Debug` does not write it.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Private(pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl From<&str> for Private {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Private {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// A day, as images have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Day {
    /// The year.
    pub year: u16,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Day(…)")
    }
}

/// What stands in a sentence. How it is written is the language's affair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// What stands there.
    pub value: Value,
}

/// A sentence: its key in the catalogue, and what stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// The key.
    pub key: String,
    /// What stands in it.
    pub arguments: Vec<Argument>,
}

impl Sentence {
    /// A sentence in which nothing stands.
    #[must_use]
    pub fn of(key: impl Into<String>) -> Self {
        Self { key: key.into(), arguments: Vec::new() }
    }

    /// The same with something in it.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.arguments.push(Argument { name: name.to_owned(), value });
        self
    }

    /// The same with a text of somebody's in it.
    #[must_use]
    pub fn text(self, name: &str, text: &Private) -> Self {
        self.with(name, Value::Text(text.clone()))
    }

    /// The same with a number in it.
    #[must_use]
    pub fn count(self, name: &str, count: impl Into<u64>) -> Self {
        self.with(name, Value::Count(count.into()))
    }

    /// The same with an instant in it.
    #[must_use]
    pub fn instant(self, name: &str, ms: u64) -> Self {
        self.with(name, Value::Instant(ms))
    }
}
