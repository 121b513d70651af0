//! The hospital's node: it keeps the chain, serves studies to those granted, and takes part in agreement.
//!
//! A relay's [`home`] is a folder with its settings, its [`keys`] and its stores. Its network's file says which network it is of. What comes from outside comes through [`submission`] (transactions), [`desk`] (questions of wallets and other relays),
//! [`counter`] (pickups) and [`gate`] (those who fetch), which decides by what [`timekeeper`] knows of the time. [`store`] is what it keeps on disk, [`mempool`] what waits for a block,
//! [`archive`] the images, [`reception`] how they come in by themselves; [`keeper`] builds, judges and commits blocks; [`journal`] has happen what follows from them, and [`tasks`] owns whatever runs. [`service`] is all of it, [`operations`] what its
//! operator can ask of it, [`control`] the socket and [`command`] the command line through which that is done.

pub mod anchoring;
pub mod answer;
pub mod archive;
pub mod catch_up;
pub mod challenge;
pub mod checkpoints;
pub mod command;
pub mod confirming;
pub mod control;
pub mod counter;
mod credential_lists;
pub mod credentials;
pub mod desk;
pub mod directory;
pub mod ending;
pub mod gate;
pub mod home;
pub mod journal;
pub mod keeper;
pub mod keys;
mod lines;
mod loggable;
pub mod made;
pub mod member;
pub mod mempool;
pub mod notices;
pub mod operations;
pub mod outcomes;
mod path;
pub mod private;
pub mod quarantine;
pub mod reception;
pub mod recoveries;
pub mod refusals;
mod replace;
pub mod room;
mod seldom;
pub mod service;
pub mod store;
pub mod submission;
pub mod tasks;
pub mod timekeeper;
pub mod upkeep;
mod vouching;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clavicle_command::said::{arguments, complain, say, sentences};

use crate::command::{Arguments, CommandError};

/// The whole program: reads the arguments, does what they say, and tells. Nothing else may run before it: the process may have been
/// started as a worker that reads foreign files, and then does only that.
#[must_use]
pub fn main() -> ExitCode {
    private::from_now_on();
    clavicle_sandbox::main_if_asked();
    let arguments: Arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(ended) => return ended,
    };
    let json = arguments.json;
    // A defect anywhere on this thread ends with a code of its own, not with that of a panic, of which a service manager knows nothing.
    let done = catch_unwind(AssertUnwindSafe(|| command::run(arguments)));
    match (done.unwrap_or(Err(CommandError::Panicked.into())), json) {
        (Ok(answer), false) => say(&answer.text),
        (Ok(answer), true) => say(&answer.json.to_string()),
        (Err(error), false) => {
            error.found().into_iter().for_each(say);
            complain(&format!("error: {}", sentences(&error)));
            return ExitCode::from(error.exit_code());
        }
        (Err(error), true) => {
            say(&error.to_json().to_string());
            return ExitCode::from(error.exit_code());
        }
    }
    ExitCode::SUCCESS
}
