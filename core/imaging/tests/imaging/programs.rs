//! Programs that nobody here wrote.

use std::ffi::OsStr;
use std::process::{Command, Output};

use crate::corpus::data;

/// Runs a program to its end, which is a minute away at most.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    // Whatever hangs in a test is ended, and fails it.
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).args(arguments).env("PYTHONPATH", data("pydicom-3.0.2"));
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let is_there = !matches!(output.status.code(), Some(126 | 127));
    assert!(is_there, "{program} is not installed: run .ci/test-data first");
    assert_ne!(output.status.code(), Some(124), "{program} did not end: {}", text(&output));
    output
}

/// Runs a program that must succeed; all it says.
pub fn succeed<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} failed: {}", text(&output));
    text(&output)
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
