//! Orthanc, started for one test and ended with it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than it ever takes to start or to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of its own, with an empty store, on ports the system chose.
pub struct Orthanc {
    process: Child,
    http: u16,
    _folder: TempDir,
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Orthanc {
    /// Starts it, and waits until it says that it has.
    pub fn start() -> Self {
        // Ports that were free a moment ago may be taken by then; not every time.
        (0..5).find_map(|_| Self::try_start()).expect("Orthanc does not start")
    }

    fn try_start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let [http, dicom] = free_ports();
        let configuration = json!({
            "HttpPort": http, "DicomPort": dicom, "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
            "StorageDirectory": folder.path().join("store"), "IndexDirectory": folder.path().join("store"),
        });
        let path = folder.path().join("orthanc.json");
        fs::write(&path, configuration.to_string()).unwrap();
        let mut process = Command::new("Orthanc")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("Orthanc does not start ({error}): run .ci/test-data first"));
        let log = BufReader::new(process.stderr.take().unwrap());
        let orthanc = Self { process, http, _folder: folder };
        let (started, wait) = mpsc::sync_channel(1);
        // Reads on to the end, so that it never waits for a full pipe; ends with the process.
        std::thread::spawn(move || {
            let lines = log.lines().map_while(Result::ok);
            lines.filter(|line| line.contains("Orthanc has started")).for_each(|_| started.try_send(()).unwrap_or(()));
        });
        wait.recv_timeout(PATIENCE).is_ok().then_some(orthanc)
    }

    /// What it answers, which must be 200.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("there is an end of the header") + 4;
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{method} {path}: {}", String::from_utf8_lossy(&answer));
        assert!(!head.contains("transfer-encoding: chunked"), "{head}");
        answer.split_off(end)
    }

    /// Gives it an instance, and returns the name it has for it.
    pub fn store(&self, instance: &[u8]) -> String {
        let answer: Value = serde_json::from_slice(&self.ask("POST", "/instances", instance)).unwrap();
        assert_eq!(answer["Status"], "Success", "{answer}");
        answer["ID"].as_str().unwrap().to_owned()
    }

    pub fn get(&self, path: &str) -> Vec<u8> {
        self.ask("GET", path, &[])
    }

    pub fn get_json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path)).unwrap()
    }
}

/// Two that differ.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
