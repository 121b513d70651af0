//! The command line of a hospital's node.

use std::process::ExitCode;

use clap::Parser as _;
use clavicle_relay::command::{self, Arguments};

fn main() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    match (command::run(command), json) {
        (Ok(answer), false) => println!("{}", answer.text),
        (Ok(answer), true) => println!("{}", answer.json),
        (Err(error), false) => {
            eprintln!("error: {}", error.sentences());
            return ExitCode::FAILURE;
        }
        (Err(error), true) => {
            println!("{}", error.to_json());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
