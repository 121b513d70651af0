//! Programs that nobody here wrote.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

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

/// An archive that is talked to over HTTP, and answers nobody from elsewhere.
pub struct Orthanc {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Orthanc {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let storage = folder.path().join("storage");
        let configuration = format!(
            r#"{{ "HttpPort": {port}, "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "Plugins": [],
            "DicomServerEnabled": false, "StorageDirectory": {storage:?}, "IndexDirectory": {storage:?} }}"#
        );
        let path = folder.path().join("orthanc.json");
        std::fs::write(&path, configuration).unwrap();
        let mut command = Command::new("/usr/sbin/Orthanc");
        command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("Orthanc does not start: run .ci/test-data first");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let one = Self { child, port, _folder: folder };
        let has_started = lines.by_ref().take(1_000).any(|line| line.contains("Orthanc has started"));
        assert!(has_started, "Orthanc does not start: run .ci/test-data first");
        // Were nobody to read on, it would stop at a full pipe. Ends with the program.
        std::thread::spawn(move || lines.for_each(drop));
        one
    }

    /// A request, which must be answered with 200; the answer's body.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().next().unwrap().contains(" 200"), "{path}: {answer}");
        body.to_owned()
    }

    /// Takes a file in.
    pub fn upload(&self, path: &Path) -> String {
        self.ask("POST", "/instances", &std::fs::read(path).unwrap())
    }
}
