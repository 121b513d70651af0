//! What a command line says: to whoever reads its output, and of what went wrong.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use serde_json::json;

/// The exit code when the command line is wrong.
const USAGE: u8 = 2;

/// Says something to whoever reads the output. That nobody does any more is no reason to fall over, as `println!` would.
pub fn say(text: &str) {
    writeln!(io::stdout(), "{text}").ok();
}

/// The same on standard error: a warning, a remark, or what went wrong.
pub fn complain(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}

/// So many of something, by its right name: `many(1, "study", "studies")`.
#[must_use]
pub fn many<C: Copy + Display + PartialEq + From<u8>>(count: C, one: &str, more: &str) -> String {
    format!("{count} {}", if count == C::from(1) { one } else { more })
}

/// How many of all: `some_of(1, 3, ("study", "studies"), ("is", "are"))` is "1 of 3 studies is".
#[must_use]
pub fn some_of(some: usize, all: usize, (one, more): (&str, &str), (does, do_so): (&str, &str)) -> String {
    format!("{some} of {} {}", many(all, one, more), if some == 1 { does } else { do_so })
}

/// An error and what caused it, in one sentence after another.
#[must_use]
pub fn sentences(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What the command line says. What is wrong with it is told like everything else: where `--json` is in it, as one JSON object.
///
/// # Errors
/// How the process ends, when that was told, or the help that was asked for.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    let all: Vec<OsString> = std::env::args_os().collect();
    let error = match A::try_parse_from(&all) {
        Ok(arguments) => return Ok(arguments),
        Err(error) => error,
    };
    let is_json = all.iter().skip(1).take_while(|one| *one != "--").any(|one| one == "--json");
    if is_json && error.use_stderr() {
        say(&json!({ "error": { "code": "usage", "message": in_a_line(&error) } }).to_string());
    } else {
        error.print().ok();
    }
    Err(ExitCode::from(if error.use_stderr() { USAGE } else { 0 }))
}

/// What is wrong with a command line, without what is said of its use.
fn in_a_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "what is to be done is not said; --help lists it".to_owned();
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Asked {
        #[arg(long = "dir", value_name = "DIR")]
        _dir: String,
        #[command(subcommand)]
        _what: What,
    }

    #[derive(Debug, clap::Subcommand)]
    enum What {
        Look,
    }

    #[test]
    fn one_is_one_and_all_others_are_many() {
        let said =
            [many(0_usize, "study", "studies"), many(1_u64, "study", "studies"), many(2_u8, "study is", "studies are")];
        assert_eq!(said, ["0 studies", "1 study", "2 studies are"]);
        let said = |some, all| some_of(some, all, ("study", "studies"), ("is", "are"));
        assert_eq!(
            [said(0, 1), said(1, 1), said(1, 3), said(3, 3)],
            ["0 of 1 study are", "1 of 1 study is", "1 of 3 studies is", "3 of 3 studies are"]
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_a_line() {
        let said = |arguments: &[&str]| in_a_line(&Asked::try_parse_from(arguments).unwrap_err());
        assert_eq!(said(&["asked", "look"]), "the following required arguments were not provided: --dir <DIR>");
        assert_eq!(said(&["asked", "--dir", "x", "leap"]), "unrecognized subcommand 'leap'");
        assert!(!said(&["asked"]).contains('\n'));
    }
}
