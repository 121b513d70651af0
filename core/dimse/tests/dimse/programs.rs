//! Programs that nobody here wrote.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::made::{data_set, test_data};
pub use crate::storescp::Storescp;

/// Runs a program to its end, which is a minute away at most.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    // Whatever hangs in a test is ended, and fails it.
    let mut command = Command::new("timeout");
    let output = command.arg("60").arg(program).args(arguments).output().unwrap();
    let is_there = !matches!(output.status.code(), Some(126 | 127));
    assert!(is_there, "{program} is not installed: run .ci/test-data first");
    assert_ne!(output.status.code(), Some(124), "{program} did not end: {}", text(&output));
    output
}

/// Runs a program that must succeed.
pub fn succeed<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} failed: {}", text(&output));
    text(&output)
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// The Python that has pynetdicom.
pub fn python() -> String {
    let python = test_data().join("python/bin/python");
    assert!(python.exists(), "there is no Python with pynetdicom: run .ci/test-data first");
    python.to_str().unwrap().to_owned()
}

/// A port that was free a moment ago, for programs that want to be told one.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that runs until it is dropped.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    /// Starts a program and waits until it says this on its standard error; nothing when it ends without.
    pub fn until(mut command: Command, says: &str) -> Option<Self> {
        let program = command.get_program().to_owned();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = started
            .unwrap_or_else(|error| panic!("{} does not start ({error}): run .ci/test-data first", program.display()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let running = Self(child);
        if !lines.by_ref().take(1_000).any(|line| line.contains(says)) {
            return None;
        }
        // Were nobody to read on, it would stop at a full pipe. Ends with the program.
        std::thread::spawn(move || lines.for_each(drop));
        Some(running)
    }
}

/// How storescp keeps bytes as they come, in whichever transfer syntax is proposed.
pub const AS_THEY_COME: [&str; 2] = ["+B", "+xa"];

impl Storescp {
    /// What it received: the data sets.
    pub fn data_sets(&self) -> Vec<Vec<u8>> {
        self.paths().iter().map(|path| data_set_of(path)).collect()
    }
}

/// The data set of a file of PS3.10.
pub fn data_set_of(path: &Path) -> Vec<u8> {
    data_set(&std::fs::read(path).unwrap()).to_vec()
}
