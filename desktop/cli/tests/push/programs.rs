//! Programs that are talked to, each started for one test and ended with it, and the files they are sent.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

pub fn test_data(name: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/clavicle/test-data"));
    let folder = std::env::var_os("CLAVICLE_TEST_DATA").map(PathBuf::from).or(home).unwrap();
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run .ci/test-data", path.display());
    path
}

pub fn pydicom(name: &str) -> PathBuf {
    test_data("pydicom-3.0.2/pydicom/data/test_files").join(name)
}

/// A folder with copies of these files.
pub fn folder_of(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        fs::copy(pydicom(name), folder.path().join(name)).unwrap();
    }
    folder
}

pub fn clavicle(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clavicle")).args(arguments).output().unwrap()
}

pub fn done(arguments: &[&str]) -> Value {
    let Output { status, stdout, stderr } = clavicle(&[arguments, &["--json"]].concat());
    let said = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

pub fn refused(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = clavicle(arguments);
    assert!(!status.success(), "{}", String::from_utf8_lossy(&stdout));
    String::from_utf8(stderr).unwrap()
}

/// Runs a program of Python with pydicom; what it prints.
pub fn python(program: &str, arguments: &[&Path]) -> String {
    let mut command = Command::new("timeout");
    command.arg("60").arg(test_data("python/bin/python")).args(["-c", program]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A program that runs until it is dropped.
pub struct Running(Child);

impl Running {
    /// Starts a program and waits until it says this on its standard error: the line.
    pub fn until(command: &mut Command, says: &str) -> (Self, String) {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("it does not start: run .ci/test-data first");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let running = Self(child);
        let line =
            lines.by_ref().find(|line| line.contains(says)).expect("it ended and never said that it had started");
        // Were nobody to read on, it would stop at a full pipe. Ends with the program.
        std::thread::spawn(move || lines.for_each(drop));
        (running, line)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An archive with an empty store.
pub struct Orthanc {
    _running: Running,
    pub http: u16,
    pub dicom: u16,
    _folder: TempDir,
}

impl Orthanc {
    pub fn start() -> Self {
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
        let (running, _) = Running::until(Command::new("/usr/sbin/Orthanc").arg(path), "Orthanc has started");
        Self { _running: running, http, dicom, _folder: folder }
    }

    pub fn get(&self, path: &str) -> Vec<u8> {
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
    pub fn files(&self) -> Vec<Vec<u8>> {
        let ids: Vec<String> = serde_json::from_slice(&self.get("/instances")).unwrap();
        ids.iter().map(|id| self.get(&format!("/instances/{id}/file"))).collect()
    }
}

/// dcmtk's receiver.
pub struct Storescp {
    _running: Running,
    pub port: u16,
    folder: TempDir,
}

impl Storescp {
    pub fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let mut command = Command::new("storescp");
        command.args(options).arg("-od").arg(folder.path()).arg(port.to_string());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let running = Running(child.expect("storescp does not start: run .ci/test-data first"));
        let from = Instant::now();
        let answers =
            || Command::new("echoscu").args(["127.0.0.1", &port.to_string()]).output().unwrap().status.success();
        while !answers() {
            assert!(from.elapsed() < PATIENCE, "storescp does not answer");
        }
        Self { _running: running, port, folder }
    }

    pub fn to(&self) -> String {
        format!("STORESCP@127.0.0.1:{}", self.port)
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

/// What stands behind the file meta information.
pub fn data_set(file: &[u8]) -> &[u8] {
    let len = u32::from_le_bytes(file[140..144].try_into().unwrap());
    &file[144 + len as usize..]
}
