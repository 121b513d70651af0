//! Every way in which a relay ends: an exit code that a service manager can go by, and a sentence.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clavicle_relay::control;
use clavicle_relay::home::Home;
use clavicle_relay::made::StoreName;
use clavicle_relay::operations::status::Status;
use rustix::process::{Pid, Signal, kill_process};

const RELAY: &str = env!("CARGO_BIN_EXE_clavicle-relay");

/// Longer than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// One hospital, alone in its network, whose every vote decides.
struct Alone(tempfile::TempDir);

/// Its relay, killed with the test.
struct Running(Child);

impl Alone {
    fn new(host: &str) -> Self {
        let alone = Self(tempfile::tempdir_in("/tmp").unwrap());
        alone.done(&["init", "--dir", "mercy", "--name", "Mercy", "--host", host, "--dicom", &format!("{host}:11112")]);
        alone.done(&["genesis", "--heartbeat", "1", "--out", "network.json", "mercy/source.json"]);
        alone
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn home(&self) -> Home {
        Home::at(&self.path("mercy"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(RELAY);
        command.current_dir(self.0.path()).env_remove("RUST_LOG");
        command
    }

    fn done(&self, arguments: &[&str]) {
        assert!(self.command().args(arguments).stdout(Stdio::null()).status().unwrap().success(), "{arguments:?}");
    }

    fn run(&self) -> Running {
        let mut command = self.command();
        command.args(["run", "--dir", "mercy", "--network", "network.json"]);
        Running(command.stdout(Stdio::null()).stderr(File::create(self.path("log")).unwrap()).spawn().unwrap())
    }

    /// Runs it until it has decided a block.
    fn run_on(&self) -> Running {
        let mut running = self.run();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let end = Instant::now() + PATIENCE;
        let from = self.height(&runtime).unwrap_or(0);
        while self.height(&runtime).is_none_or(|height| height <= from) {
            assert_eq!(running.0.try_wait().unwrap(), None, "{}", self.log());
            assert!(Instant::now() < end, "{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
        running
    }

    fn height(&self, runtime: &tokio::runtime::Runtime) -> Option<u64> {
        let status = runtime.block_on(control::ask(&self.home().socket(), &Status {})).ok()?;
        Some(status.height)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Runs it, which must end by itself with this code and a sentence that says this.
    #[track_caller]
    fn ends(&self, code: i32, says: &str) {
        let status = self.run().ended();
        let log = self.log();
        // Parts that end meanwhile may say so after it.
        let sentence = log.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
        assert_eq!(status.code(), Some(code), "{log}");
        assert!(sentence.contains(says), "{log}");
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn ended(mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn whoever_stops_it_is_told_that_all_went_well_and_a_kill_harms_nothing() {
    let alone = Alone::new("127.0.7.1");
    for signal in [Signal::TERM, Signal::INT] {
        let running = alone.run_on();
        running.signal(signal);
        assert_eq!(running.ended().code(), Some(0), "{}", alone.log());
        assert!(!alone.home().socket().exists());
    }
    // Somebody took the socket away meanwhile: that is no failure.
    let running = alone.run_on();
    fs::remove_file(alone.home().socket()).unwrap();
    running.signal(Signal::TERM);
    assert_eq!(running.ended().code(), Some(0), "{}", alone.log());

    let running = alone.run_on();
    running.signal(Signal::KILL);
    assert_eq!(running.ended().signal(), Some(9));
    drop(alone.run_on());
}

#[test]
fn a_port_that_is_taken_is_named_whichever_it_is() {
    let alone = Alone::new("127.0.7.2");
    let settings = alone.home().settings().unwrap();
    let dicom = settings.intake.dicom.unwrap();
    for at in [settings.listen.consensus, settings.listen.network, dicom] {
        let _taken = TcpListener::bind(at).unwrap();
        alone.ends(69, &named(at));
    }
    let _taken = UdpSocket::bind(settings.listen.transfer).unwrap();
    alone.ends(69, &settings.listen.transfer.to_string());
}

/// A port as a sentence names it: as libp2p writes it, or as everybody does.
fn named(at: SocketAddr) -> String {
    at.port().to_string()
}

#[test]
fn a_relay_that_runs_already_is_left_alone() {
    let alone = Alone::new("127.0.7.3");
    let mut running = alone.run_on();
    let mut again = alone.command();
    let said = again.args(["run", "--dir", "mercy"]).output().unwrap();
    assert_eq!(said.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&said.stderr).contains("a relay is running in this folder already"));
    assert_eq!(running.0.try_wait().unwrap(), None);
}

/// Overwrites what a file begins with, and gives back what it was.
fn damage(path: &Path) -> Vec<u8> {
    let was = fs::read(path).unwrap();
    let mut bytes = was.clone();
    let some = bytes.len().min(4_096);
    bytes[..some].fill(0xa5);
    fs::write(path, bytes).unwrap();
    was
}

#[test]
fn a_damaged_store_is_named_whichever_it_is() {
    let alone = Alone::new("127.0.7.4");
    drop(alone.run_on());
    let home = alone.home();
    let stores = [
        home.chain_file(),
        home.receipts_file(),
        home.seen_file(),
        home.catalogue_file(),
        home.pickups_file(),
        home.mailboxes_file(),
        home.notices_file(),
        home.proposals_file(),
    ];
    for store in &stores {
        let was = damage(store);
        let name = store.file_name().unwrap().to_str().unwrap();
        alone.ends(65, &format!("mercy/{name} cannot be opened"));
        fs::write(store, was).unwrap();
    }
    drop(alone.run_on());
}

#[test]
fn a_store_that_is_gone_is_named_with_the_way_out_and_none_is_begun_in_silence() {
    let alone = Alone::new("127.0.7.7");
    drop(alone.run_on());
    let home = alone.home();
    for store in StoreName::SERVICE.into_iter().chain(StoreName::VOTING) {
        let (path, aside) = (store.path(&home), alone.path("aside"));
        fs::rename(&path, &aside).unwrap();
        let code = if StoreName::VOTING.contains(&store) { 78 } else { 66 };
        let way_out = if store == StoreName::Catalogue { "`clavicle-relay rebuild`" } else { "`clavicle-relay renew " };
        alone.ends(code, &format!("{} is missing or empty, and this relay made it", path.display()));
        assert!(alone.log().contains(way_out), "{}", alone.log());
        assert!(!store.is_there(&home), "it was made anew in silence");
        fs::remove_file(&path).ok();
        fs::rename(&aside, &path).unwrap();
    }
    // Also a list that says otherwise is none.
    let list = home.made_file();
    let was = fs::read_to_string(&list).unwrap();
    fs::write(&list, was.replace("\"votes_from\": 0", "\"votes_from\": 1")).unwrap();
    alone.ends(65, "mercy/keys/stores is not what this relay signed");
    fs::write(&list, was).unwrap();
    drop(alone.run_on());

    // What may be begun anew is, when somebody says so.
    fs::remove_file(home.pickups_file()).unwrap();
    alone.done(&["renew", "--dir", "mercy", "pickups"]);
    drop(alone.run_on());
}

#[test]
fn after_a_damaged_log_or_with_another_key_nobody_but_a_person_starts_it_again() {
    let alone = Alone::new("127.0.7.5");
    drop(alone.run_on());
    let log = alone.home().consensus_folder().join("consensus.wal");
    let was = damage(&log);
    alone.ends(78, "write-ahead log");
    fs::write(&log, was).unwrap();
    drop(alone.run_on());

    let key = alone.home().keys_folder().join("consensus");
    let aside = alone.path("aside");
    fs::copy(&key, &aside).unwrap();
    fs::copy(alone.home().keys_folder().join("transfer"), &key).unwrap();
    alone.ends(78, "another consensus key");
    fs::write(&key, "no key").unwrap();
    alone.ends(65, "keys/consensus");
    fs::remove_file(&key).unwrap();
    alone.ends(66, "keys/consensus");
    fs::rename(&aside, &key).unwrap();

    let settings = alone.home().settings_file();
    let was = fs::read(&settings).unwrap();
    fs::write(&settings, "name = 3\n").unwrap();
    alone.ends(78, "relay.toml");
    fs::write(&settings, was).unwrap();
    drop(alone.run_on());
}

/// A relay on a disk of its own, which fills up while it runs. In a mount namespace, which is gone with it.
const FULL: &str = r#"
set -u
mkdir disk
mount -t tmpfs -o size=40m none disk
"$RELAY" init --dir disk/mercy --name Mercy --host 127.0.7.6 > made || exit 90
"$RELAY" genesis --heartbeat 1 --out network.json disk/mercy/source.json > made || exit 91
"$RELAY" run --dir disk/mercy --network network.json > said 2> log &
relay=$!
until "$RELAY" --json status --dir disk/mercy 2> asked | grep -q '"height":[1-9]'; do
  kill -0 $relay || exit 92
done
cat /dev/zero > disk/filler 2> filled
wait $relay
"#;

#[test]
fn a_full_disk_ends_a_relay_with_a_sentence_and_not_with_a_panic() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let mut command = Command::new("timeout");
    command.args(["60", "unshare", "--map-root-user", "--mount", "sh", "-c", FULL]).env("RELAY", RELAY);
    let status = command.current_dir(folder.path()).env_remove("RUST_LOG").status().unwrap();
    let mut log = String::new();
    File::open(folder.path().join("log")).unwrap().read_to_string(&mut log).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    let sentence = log.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
    // Whichever comes first to where there is no room: a store, or the log of votes, after which nobody but a person goes on.
    match status.code() {
        Some(74) => assert!(sentence.contains("the disk is full") || sentence.contains("I/O error"), "{log}"),
        Some(78) => assert!(sentence.contains("the write-ahead log is damaged or cannot be written"), "{log}"),
        other => panic!("exit code {other:?}: {log}"),
    }
}
