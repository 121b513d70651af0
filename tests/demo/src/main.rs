//! The whole story in one command: four hospitals, a patient, her physician, and a stranger.
//!
//! ```text
//! cargo run --release -- demo
//! ```
//!
//! Nothing in it is simulated. The [`hospitals`] are processes of their own with their own stores and sockets: this program once more, told to
//! be `clavicle-relay run`, and so are the workers that read files for them. The [`story`] is what people do with them, through the library
//! that their apps use; [`telling`] says it as it happens, with what was measured. However it ends, the processes end with it, and what was
//! not to be kept is removed; only when this very process is killed outright do they stay.

mod demo;
mod failure;
mod hospitals;
mod story;
mod telling;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clavicle_command::clock::now;
use clavicle_command::said::{complain, say, sentences};
use serde_json::json;

/// Clavicle on one machine, to be looked at.
#[derive(Debug, Parser)]
#[command(name = "clavicle-demo", version, disable_help_subcommand = true)]
struct Arguments {
    /// Answer with one JSON object, errors too
    #[arg(long, global = true)]
    json: bool,
    /// What to do
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the whole story with four hospitals on this machine, and measure it
    Demo {
        /// A folder with DICOM files to take in, any files; a small made study without one
        #[arg(long)]
        dicom: Option<PathBuf>,
        /// Leave everything in this new folder; nothing is left without it
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    clavicle_sandbox::main_if_asked();
    if std::env::args_os().nth(1).is_some_and(|first| first == "run") {
        return clavicle_relay::main();
    }
    // What is made here is its owner's.
    clavicle_relay::private::from_now_on();
    let Arguments { json, command: Command::Demo { dicom, keep } } = Arguments::parse();
    match (demo::run(dicom.as_deref(), keep.as_deref(), json, now), json) {
        (Ok(told), false) => say(&told.text),
        (Ok(told), true) => say(&told.json.to_string()),
        (Err(error), false) => {
            complain(&format!("error: {}", sentences(&error)));
            return ExitCode::from(error.exit_code());
        }
        (Err(error), true) => {
            say(&json!({ "error": { "code": error.code(), "message": sentences(&error) } }).to_string());
            return ExitCode::from(error.exit_code());
        }
    }
    ExitCode::SUCCESS
}
