//! The command line of patients and recipients.
//!
//! [`command`] says what can be asked for; what is done is in [`clavicle_app`] and [`clavicle_workstation`]. Everything takes `--json` and then answers with one
//! object, errors too.

pub mod code;
pub mod command;

use std::process::ExitCode;

use clavicle_command::said::{arguments, complain, say};

use crate::command::Arguments;

/// The whole program: reads the arguments, does what they say, and tells.
#[must_use]
pub fn main() -> ExitCode {
    // What is made here is its owner's: the wallet, and images that are written out for them too.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // First of all else: it may have been started to read a file from outside, and then does only that.
    clavicle_sandbox::main_if_asked();
    let Arguments { json, command } = match arguments() {
        Ok(arguments) => arguments,
        Err(ended) => return ended,
    };
    match (command::run(command), json) {
        (Ok(answer), false) => say(&answer.text),
        (Ok(answer), true) => say(&answer.json.to_string()),
        (Err(error), false) => {
            error.found().into_iter().for_each(say);
            complain(&format!("error: {}", error.sentences()));
            return ExitCode::FAILURE;
        }
        (Err(error), true) => {
            say(&error.to_json().to_string());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
