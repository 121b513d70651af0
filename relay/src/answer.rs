//! What is said of what was asked for: to people and to programs, when it was done and when it was not.

use std::error::Error;
use std::fmt;

use clavicle_command::said::sentences;
use serde_json::{Value, json};

/// The exit code when something was not done, for a reason in the sentence.
const FAILED: u8 = 1;

/// What a command has to say: for people and for programs.
#[derive(Debug)]
pub struct Answer {
    /// Lines for a person.
    pub text: String,
    /// The same as one JSON object.
    pub json: Value,
}

/// Why something that was asked for was not done. Each enum of errors says for itself how it is told.
pub trait Refusing: Error + Send + Sync + 'static {
    /// A word for programs.
    fn code(&self) -> &str;

    /// The process's exit code ([`crate::ending`]).
    fn exit_code(&self) -> u8 {
        FAILED
    }
}

/// Why something that was asked for was not done, whatever it was.
#[derive(Debug)]
pub enum Failure {
    /// It was not done.
    Refused(Box<dyn Refusing>),
    /// Not all is as it should be, or as was asked. What was found is the answer all the same.
    Found {
        /// A word for programs.
        code: &'static str,
        /// What it comes to.
        sentence: String,
        /// What was found.
        answer: Box<Answer>,
    },
}

impl<E: Refusing> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Found { sentence, .. } => f.write_str(sentence),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => error.source(),
            Self::Found { .. } => None,
        }
    }
}

impl Failure {
    /// An answer; as what was found, where the sentence says what was asked for and is not done.
    pub(crate) fn unless_all(shortfall: Option<String>, code: &'static str, answer: Answer) -> Result<Answer, Self> {
        match shortfall {
            None => Ok(answer),
            Some(sentence) => Err(Self::Found { code, sentence, answer: Box::new(answer) }),
        }
    }

    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(error) => error.code(),
            Self::Found { code, .. } => code,
        }
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(error) => error.exit_code(),
            Self::Found { .. } => FAILED,
        }
    }

    /// The error as one JSON object, with what was found.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = match self {
            Self::Refused(_) => json!({}),
            Self::Found { answer, .. } => answer.json.clone(),
        };
        json["error"] = json!({ "code": self.code(), "message": sentences(self) });
        json
    }

    /// What was found all the same, in lines for a person.
    #[must_use]
    pub fn found(&self) -> Option<&str> {
        match self {
            Self::Refused(_) => None,
            Self::Found { answer, .. } => Some(&answer.text),
        }
    }
}
