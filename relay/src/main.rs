//! The command line of a hospital's node.

use std::process::ExitCode;

use clap::Parser as _;
use clavicle_relay::command::{self, Arguments};

fn main() -> ExitCode {
    // Before anything else: this program may have been started as a worker that reads foreign files.
    clavicle_imaging::worker::main_if_asked();
    let Arguments { json, command } = Arguments::parse();
    match (command::run(command), json) {
        (Ok(answer), false) => command::say(&answer.text),
        (Ok(answer), true) => command::say(&answer.json.to_string()),
        (Err(error), false) => {
            eprintln!("error: {}", error.sentences());
            return ExitCode::from(error.exit_code());
        }
        (Err(error), true) => {
            command::say(&error.to_json().to_string());
            return ExitCode::from(error.exit_code());
        }
    }
    ExitCode::SUCCESS
}
