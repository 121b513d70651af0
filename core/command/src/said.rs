//! What a command line says: to whoever reads its output, and of what went wrong.

use std::error::Error;
use std::io::{self, Write as _};

/// Says something to whoever reads the output. That nobody does any more is no reason to fall over, as `println!` would.
pub fn say(text: &str) {
    writeln!(io::stdout(), "{text}").ok();
}

/// The same on standard error: a warning, a remark, or what went wrong.
pub fn complain(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
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
