//! Why the story was not told to its end.

use std::error::Error;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use clavicle_command::said::sentences;

/// Longer than anything in the story takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Why the story was not told to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// Something went wrong.
    #[error("the demonstration failed at the step “{step}”: {}{log}", sentences(&**error))]
    Step {
        /// Where in the story.
        step: &'static str,
        /// What.
        error: Failure,
        /// The last lines of the hospital's log, if there is one.
        log: String,
    },
    /// Somebody wanted it to end.
    #[error("the demonstration was interrupted; its hospitals were stopped")]
    Interrupted,
    /// The system gave no timer or signal.
    #[error("the system gave no timer or signal to run with")]
    Runtime(#[source] io::Error),
}

impl DemoError {
    /// A word for programs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Step { .. } => "demo",
            Self::Interrupted => "interrupted",
            Self::Runtime(_) => "system",
        }
    }

    /// The process's exit code.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            // As a shell tells of a program that SIGINT ended.
            Self::Interrupted => 130,
            Self::Step { .. } | Self::Runtime(_) => 1,
        }
    }
}

/// Whatever a step may fail with.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// What should not be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("{0} ended by itself ({1})")]
    Ended(&'static str, ExitStatus),
    #[error("it took longer than {} s", PATIENCE.as_secs())]
    TooLong,
    #[error("{0}")]
    Otherwise(String),
}
