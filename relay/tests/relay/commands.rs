//! The command line, as its operator meets it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use clavicle_ledger::block::Header;
use clavicle_network::file as network_file;
use clavicle_relay::home::Home;
use clavicle_relay::keys::Keys;
use clavicle_relay::store::ChainStore;

fn relay(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clavicle-relay")).current_dir(folder).args(arguments).output().unwrap()
}

/// What it printed when it did what was asked.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = relay(folder, arguments);
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// What it complained about when it did not.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = relay(folder, arguments);
    assert!(!status.success() && stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&stdout));
    String::from_utf8(stderr).unwrap()
}

/// What it printed, and what it complained about besides, when not all was well.
fn not_well(folder: &Path, arguments: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = relay(folder, arguments);
    assert_eq!(status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

const HOSPITALS: [&str; 4] = ["mercy", "stluke", "north", "harbor"];

fn four_relays(folder: &Path) -> Vec<String> {
    for hospital in HOSPITALS {
        done(folder, &["init", "--dir", hospital, "--name", &format!("{hospital} hospital")]);
    }
    HOSPITALS.iter().map(|hospital| format!("{hospital}/source.json")).collect()
}

fn genesis_of(files: &[String]) -> Vec<&str> {
    ["genesis", "--out", "network.json"].into_iter().chain(files.iter().map(String::as_str)).collect()
}

#[test]
fn four_hospitals_make_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let files = four_relays(folder.path());
    let said = done(folder.path(), &genesis_of(&files));
    assert!(said.contains("a new network of 4 hospitals") && said.contains("while at most 1 of them fail"), "{said}");

    let genesis = network_file::read_genesis(&folder.path().join("network.json")).unwrap();
    assert!(said.contains(&genesis.chain_id().to_string()));
    let mut ports = Vec::new();
    for hospital in HOSPITALS {
        let home = Home::at(&folder.path().join(hospital));
        let keys = Keys::read(&home.keys_folder()).unwrap();
        let source = genesis.sources.find(&keys.identity.public()).unwrap();
        assert_eq!(source.announcement.keys, keys.announced());
        let listen = home.settings().unwrap().listen;
        let address = format!("/ip4/127.0.0.1/tcp/{}", listen.consensus.port());
        assert_eq!(source.announcement.addresses.consensus[0].as_str(), address);
        ports.extend([listen.consensus.port(), listen.network.port(), listen.transfer.port()]);
        for key in fs::read_dir(home.keys_folder()).unwrap() {
            assert_eq!(key.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        // From here on it has a chain to keep.
        let store = ChainStore::open(&home.chain_file(), &genesis).unwrap();
        assert_eq!(store.head().unwrap(), Header::genesis(&genesis));
    }
    assert_eq!(ports.len(), 12);
}

#[test]
fn nothing_is_ever_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let files = four_relays(folder.path());
    let before = fs::read(folder.path().join("mercy/keys/identity")).unwrap();
    let again = refused(folder.path(), &["init", "--dir", "mercy", "--name", "Mercy"]);
    // A folder that was named from here is said from the root.
    let place = folder.path().join("mercy");
    let said = format!(
        "error: {} is a relay's folder already; nothing was changed. Choose another with --dir\n",
        place.display()
    );
    assert_eq!(again, said);
    assert_eq!(fs::read(folder.path().join("mercy/keys/identity")).unwrap(), before);
    done(folder.path(), &genesis_of(&files));
    let again = refused(folder.path(), &genesis_of(&files));
    assert!(again.starts_with("error: network.json exists already; nothing was changed."), "{again}");
    // A folder with another hospital's file in it.
    fs::create_dir(folder.path().join("collected")).unwrap();
    fs::write(folder.path().join("collected/source.json"), "another's").unwrap();
    let said = refused(folder.path(), &["init", "--dir", "collected", "--name", "Mercy"]);
    assert!(said.contains("collected/source.json is there already, and may be another hospital's"), "{said}");
    assert_eq!(fs::read(folder.path().join("collected/source.json")).unwrap(), b"another's");
    assert_eq!(fs::read_dir(folder.path().join("collected")).unwrap().count(), 1);
}

#[test]
fn files_that_were_tampered_with_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = four_relays(folder.path());
    let path = folder.path().join("north/source.json");
    let good = fs::read_to_string(&path).unwrap();
    let tamper = |text: String| {
        fs::write(&path, text).unwrap();
        let said = refused(folder.path(), &genesis_of(&files));
        assert!(!folder.path().join("network.json").exists());
        said
    };
    let shown = tamper(good.replace("north hospital", "south hospital"));
    assert!(shown.contains("north/source.json shows something else than it contains"), "{shown}");
    // A digit of a signature at the end.
    let end = good.rfind(|digit: char| digit.is_ascii_hexdigit()).unwrap();
    let digit = if good.as_bytes()[end] == b'0' { "1" } else { "0" };
    let signature = tamper(format!("{}{digit}{}", &good[..end], &good[end + 1..]));
    assert!(signature.contains("cannot be in a genesis: signature 4: the signature is not this key's"), "{signature}");
    let cut = tamper(format!("{}{}", &good[..end - 3], &good[end + 1..]));
    assert!(
        cut.contains("north/source.json is damaged: a source's candidature cannot be read: it ends too early"),
        "{cut}"
    );
    let odd = tamper(format!("{}{}", &good[..end], &good[end + 1..]));
    assert!(odd.contains("not made of hexadecimal digits"), "{odd}");
    let other = tamper("{\"network\": true}".into());
    assert!(other.contains("north/source.json is not a hospital's source.json: unknown field `network`"), "{other}");
    fs::remove_file(&path).unwrap();
    let gone = refused(folder.path(), &genesis_of(&files));
    assert!(gone.contains("north/source.json could not be read or written: No such file"), "{gone}");
}

#[test]
fn a_hospital_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = four_relays(folder.path());
    files.push(files[0].clone());
    assert_eq!(refused(folder.path(), &genesis_of(&files)), "error: two of the files are of the same hospital\n");
}

#[test]
fn programs_get_one_object() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("mercy/source.json");
    let made = done(folder.path(), &["--json", "init", "--dir", "mercy", "--name", "Mercy"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!((made["name"].as_str(), made["source"].as_str()), (Some("Mercy"), source.to_str()));
    let Output { status, stdout, stderr } =
        relay(folder.path(), &["init", "--dir", "mercy", "--name", "Mercy", "--json"]);
    let error: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((status.success(), stderr.is_empty()), (false, true));
    assert_eq!(error["error"]["code"], "exists");
    assert!(error["error"]["message"].as_str().unwrap().contains("nothing was changed"));
}

#[test]
fn a_name_must_show_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(folder.path(), &["init", "--dir", "mercy", "--name", "Mer\u{202e}cy"]);
    assert!(said.contains("cannot be used: a text in it is too long, not UTF-8, or holds characters that do not show"));
    assert!(!folder.path().join("mercy").exists());
}

/// A relay that runs, ended with the test.
struct Running(Child);

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
        let child = command.current_dir(folder).arg("run").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut running = Self(child);
        // It says how it is when it has opened its stores, and serves its socket right after.
        let mut said = BufReader::new(running.0.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("in the network"), "{line}");
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Asks until the answer is the wanted one, for ten seconds at most.
fn eventually(mut ask: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !ask() {
        assert!(Instant::now() < end, "not within ten seconds");
        std::thread::yield_now();
    }
}

#[test]
fn a_relay_answers_while_it_runs_and_when_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = four_relays(folder.path());
    done(folder.path(), &genesis_of(&files));
    let folder = folder.path();
    let alone = refused(folder, &["status", "--dir", "mercy"]);
    assert!(alone.contains("is of no network yet. Run it with --network"), "{alone}");

    let running = Running::start(folder, &["--dir", "mercy", "--network", "network.json"]);
    // It has its stores and perhaps no socket yet: the command waits for it.
    done(folder, &["validators", "--dir", "mercy"]);
    let socket = folder.join("mercy/relay.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // One of four decides nothing: it says so, and how many more it takes.
    let (status, wrong) = not_well(folder, &["status", "--dir", "mercy"]);
    assert!(status.starts_with("mercy hospital in the network clavicle\n"), "{status}");
    assert!(status.contains("height      0 (epoch 0)") && status.contains("4, this hospital among them"), "{status}");
    assert!(
        status.contains("\nrunning     yes\n") && status.contains("\nreached     1 of 4 votes, not more"),
        "{status}"
    );
    assert!(status.contains("silent      harbor hospital: it was not heard since the start"), "{status}");
    assert!(
        wrong.contains("1 of 4 votes are reached") && wrong.contains("before 2 more hospitals answer ("),
        "{wrong}"
    );
    // One that hangs is not waited for.
    let pid = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let hangs = refused(folder, &["status", "--dir", "mercy"]);
    assert!(hangs.contains("runs and does not answer"), "{hangs}");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let validators = done(folder, &["validators", "--dir", "mercy"]);
    assert_eq!(validators.lines().count(), 4);
    assert!(validators.contains("     1 of 4  mercy hospital  ← this one"), "{validators}");
    let twice = refused(folder, &["run", "--dir", "mercy"]);
    assert!(twice.contains("a relay is running in this folder already"), "{twice}");

    // Killed, it leaves its socket behind; that is in nobody's way.
    drop(running);
    assert!(socket.exists());
    // It said "fresh" with the relay killed.
    let (dead, wrong) = not_well(folder, &["status", "--dir", "mercy"]);
    assert!(dead.contains("\nrunning     no; its last block is of 20"), "{dead}");
    assert!(
        !dead.contains("fresh") && wrong.starts_with("error: the relay does not run: nobody is served"),
        "{dead}{wrong}"
    );
    let said = relay(folder, &["status", "--dir", "mercy", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((said.status.code(), json["error"]["code"].as_str()), (Some(1), Some("not_well")), "{json}");
    assert_eq!((json["height"].as_u64(), json["votes"].as_bool()), (Some(0), Some(true)));
    assert_eq!(
        (json["running"].as_bool(), json["fresh"].as_bool(), json["needed"].as_u64()),
        (Some(false), Some(false), Some(3))
    );
    let genesis = network_file::read_genesis(&folder.join("network.json")).unwrap();
    assert_eq!(json["last_block_ms"].as_u64(), Some(genesis.time.timestamp().0), "since when");
    assert_eq!(json["wrong"].as_array().unwrap().len(), 1, "{json}");
    let again = Running::start(folder, &["--dir", "mercy"]);
    done(folder, &["validators", "--dir", "mercy"]);
    // Told to stop, it takes its socket with it.
    rustix::process::kill_process(rustix::process::Pid::from_child(&again.0), rustix::process::Signal::TERM).unwrap();
    eventually(|| !socket.exists());
}

#[test]
fn a_relay_stays_in_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let files = four_relays(folder.path());
    let folder = folder.path();
    done(folder, &genesis_of(&files));
    done(folder, &["genesis", "--out", "other.json", "--name", "other", &files[0]]);
    drop(Running::start(folder, &["--dir", "mercy", "--network", "network.json"]));
    let moved = refused(folder, &["run", "--dir", "mercy", "--network", "other.json"]);
    assert!(moved.contains("this relay is of another network already"), "{moved}");
}

/// A relay was made in a folder whose name is no UTF-8, and the answer panicked.
#[test]
fn whatever_a_folder_is_called_what_was_done_is_answered() {
    use std::os::unix::ffi::OsStrExt as _;
    let (folder, name) = (tempfile::tempdir().unwrap(), std::ffi::OsStr::from_bytes(b"M\xfcnster"));
    let asked = |arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
        let Output { status, stdout, stderr } =
            command.current_dir(folder.path()).arg("--json").args(arguments).output().unwrap();
        assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    };
    let made = asked(&["init".as_ref(), "--name".as_ref(), "Mercy".as_ref(), "--dir".as_ref(), name]);
    assert!(made.contains("M\u{fffd}nster"), "{made}");
    let source = Path::new(name).join("source.json");
    let out = Path::new(name).join("network.json");
    let made = asked(&["genesis".as_ref(), "--out".as_ref(), out.as_os_str(), source.as_os_str()]);
    assert!(made.contains("M\u{fffd}nster"), "{made}");
}

/// A relay was half made when the name of a folder that it is to watch was no text.
#[test]
fn a_folder_to_watch_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let watched = folder.path().join(std::ffi::OsStr::from_bytes(b"Pr\xe9sentation"));
    fs::create_dir(&watched).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
    command.current_dir(folder.path()).args(["init", "--dir", "mercy", "--name", "Mercy", "--watch"]).arg(&watched);
    let Output { status, stderr, .. } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let settings = Home::at(&folder.path().join("mercy")).settings().unwrap();
    assert_eq!(settings.intake.watch, [watched.canonicalize().unwrap()]);
}

/// What a relay says when it begins and ends is for programs as well.
#[test]
fn a_relay_that_runs_answers_in_json() {
    use rustix::process::{Pid, Signal, kill_process};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, &["init", "--dir", "mercy", "--name", "Mercy"]);
    done(folder, &["genesis", "--out", "mercy/network.json", "mercy/source.json"]);
    for (more, lines) in [(&[][..], 2), (&["--shadow"], 3)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
        command.current_dir(folder).args(["run", "--dir", "mercy", "--json"]).args(more).env_remove("RUST_LOG");
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while !Home::at(&folder.join("mercy")).is_served() {
            assert!(Instant::now() < end && running.try_wait().unwrap().is_none(), "it does not come up");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8(output.stdout).unwrap();
        let said: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(said.len(), lines, "{said:?}");
        assert_eq!(said[0]["begun"]["name"], "Mercy");
        assert!(said[lines - 1]["stopped_at"].is_u64() && (lines == 2 || said[1]["shadow"] == true), "{said:?}");
    }
}
