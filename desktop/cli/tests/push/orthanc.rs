//! Orthanc, started for one test and ended with it. The tests of the whole have it too.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A program that runs until it is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts a program and waits until it says this on its standard error: the line, or all it said when it ended
    /// without.
    pub(crate) fn until(command: &mut Command, says: &str) -> Result<(Self, String), String> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("it does not start: run .ci/test-data first");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let running = Self(child);
        let mut before = Vec::new();
        let line = loop {
            match lines.next() {
                Some(line) if line.contains(says) => break line,
                Some(line) => before.push(line),
                None => return Err(format!("it ended and never said {says:?}:\n{}", before.join("\n"))),
            }
        };
        // Were nobody to read on, it would stop at a full pipe. Ends with the program.
        std::thread::spawn(move || lines.for_each(drop));
        Ok((running, line))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An archive with an empty store.
pub(crate) struct Orthanc {
    _running: Running,
    pub(crate) http: u16,
    pub(crate) dicom: u16,
    _folder: TempDir,
}

impl Orthanc {
    pub(crate) fn start() -> Self {
        // Ports that were free a moment ago may be taken by then; not every time.
        let mut tries = (0..5).map(|_| Self::try_start());
        tries.find_map(Result::ok).unwrap_or_else(|| Self::try_start().unwrap())
    }

    fn try_start() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let [http, dicom] = free_ports();
        let store = folder.path().join("store");
        let settings = json!({
            "HttpPort": http, "DicomPort": dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": false,
            "AuthenticationEnabled": false, "StorageDirectory": store, "IndexDirectory": store,
            "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
        });
        let path = folder.path().join("orthanc.json");
        fs::write(&path, settings.to_string()).unwrap();
        let (running, _) = Running::until(Command::new("/usr/sbin/Orthanc").arg(path), "Orthanc has started")?;
        Ok(Self { _running: running, http, dicom, _folder: folder })
    }

    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert!(answer[..end].windows(5).any(|some| some == b" 200 "), "{path}");
        answer.split_off(end)
    }

    /// The files it has.
    pub(crate) fn files(&self) -> Vec<Vec<u8>> {
        let ids: Vec<String> = serde_json::from_slice(&self.get("/instances")).unwrap();
        ids.iter().map(|id| self.get(&format!("/instances/{id}/file"))).collect()
    }
}
