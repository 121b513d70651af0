//! What every command says, word for word: as text, as JSON, and by its exit code.
//!
//! `tests/transcripts/` has what was said. `CLAVICLE_WRITE_VECTORS=1 cargo test -p clavicle-relay transcripts` writes it anew; read the difference: whoever
//! has scripts around these commands reads it as well. What differs from run to run (ids, times, ports, room on the disk) is masked.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use clavicle_ledger::action::DefineStudy;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::{Action, Body};
use clavicle_network::file as network_file;
use clavicle_relay::archive::Archive;
use clavicle_relay::control;
use clavicle_relay::home::Home;
use clavicle_relay::keys::Keys;
use clavicle_relay::operations::status::{RelayStatus, Status};
use clavicle_relay::operations::submit::{Submit, Submitted};

use crate::ingest::{brain, done, hospital};

/// Holds what was said against what is kept.
fn hold_against(name: &str, said: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(name);
    if std::env::var_os("CLAVICLE_WRITE_VECTORS").is_some() {
        fs::write(&path, said).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    for (number, (kept, said)) in kept.lines().zip(said.lines()).enumerate() {
        assert_eq!(kept, said, "{name}, line {}", number + 1);
    }
    assert_eq!(kept.lines().count(), said.lines().count(), "{name}: one ends before the other");
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
    command.current_dir(folder).args(arguments).env_remove("COLUMNS").stdin(Stdio::null());
    command
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    fn each(command: &clap::Command, words: &[String], said: &mut String) {
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let Output { status, stdout, stderr } = program(Path::new("."), &arguments).output().unwrap();
        assert!(status.success() && stderr.is_empty());
        writeln!(said, "$ clavicle-relay {}\n{}", arguments.join(" "), String::from_utf8(stdout).unwrap()).unwrap();
        for command in command.get_subcommands() {
            each(command, &[words, &[command.get_name().to_owned()]].concat(), said);
        }
    }
    let mut said = String::new();
    each(&clavicle_relay::command::Arguments::command(), &[], &mut said);
    hold_against("help.txt", &said);
}

/// What commands say, one after another.
struct Transcript {
    folder: PathBuf,
    said: String,
}

impl Transcript {
    /// A command, as a person and as a program asks.
    fn both(&mut self, arguments: &[&str]) {
        self.one(arguments);
        self.json(arguments);
    }

    /// A command, as a program asks.
    fn json(&mut self, arguments: &[&str]) {
        self.one(&[arguments, &["--json"]].concat());
    }

    /// A command.
    fn one(&mut self, arguments: &[&str]) {
        let text = self.ask(arguments);
        self.said.push_str(&masked(&text));
    }

    /// A command that counts what nobody can foretell.
    fn without_numbers(&mut self, arguments: &[&str]) {
        for arguments in [arguments.to_vec(), [arguments, &["--json"]].concat()] {
            let text = masked(&self.ask(&arguments));
            let digit = |at: char| if at.is_ascii_digit() { '#' } else { at };
            let mut text: String = text.chars().map(digit).collect();
            while text.contains("##") {
                text = text.replace("##", "#");
            }
            self.said.push_str(&text);
        }
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = program(&self.folder, arguments).output().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        let mut text = format!("$ clavicle-relay {}\n{stdout}", arguments.join(" "));
        stderr.lines().for_each(|line| writeln!(text, "! {line}").unwrap());
        writeln!(text, "= {}\n", status.code().unwrap()).unwrap();
        // They stand in the order of their ids, which are random.
        let text = text.replace("(South, North)", "(North, South)");
        let folder = self.folder.canonicalize().unwrap();
        text.replace(folder.to_str().unwrap(), "<folder>").replace(self.folder.to_str().unwrap(), "<folder>")
    }

    fn remark(&mut self, remark: &str) {
        writeln!(self.said, "# {remark}\n").unwrap();
    }
}

/// Without what differs from run to run.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.split(|at: char| !at.is_ascii_alphanumeric()).next().unwrap_or_default();
        if word.is_empty() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let is_id = word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (before, after) = (out.trim_end_matches(' '), &rest[word.len()..]);
        let follows = [
            "height",
            "\"height\":",
            "\"age_ms\":",
            "\"last_block_ms\":",
            "\"next_block_ms\":",
            "\"now_ms\":",
            "\"disk_free\":",
            "\"disk_reserve\":",
            "\"stopped_at\":",
            "127.0.0.1:",
        ];
        let precedes = [" s old", " MB free", " MB of it kept"];
        let is_masked = is_number
            && (follows.iter().any(|words| before.ends_with(words))
                || precedes.iter().any(|words| after.starts_with(words)));
        // A day or a time of day: 2026-01-31 12:00:00.
        let is_day = is_number && word.len() == 4 && word >= "2026" && after.starts_with('-');
        let is_time = is_number && word.len() == 2 && after.starts_with(':') && after.as_bytes().get(3) == Some(&b':');
        let len = if is_day {
            10
        } else if is_time {
            8
        } else {
            word.len()
        };
        match (is_id, word.len() > 60) {
            (_, true) => out.push_str("<code>"),
            (true, _) => out.push_str("<id>"),
            _ if is_day => out.push_str("<day>"),
            _ if is_time => out.push_str("<time>"),
            _ if is_masked => out.push_str("<n>"),
            _ => out.push_str(word),
        }
        rest = &rest[len..];
    }
    out
}

/// A relay that runs, ended with the test.
struct Running(Child);

impl Running {
    fn start(folder: &Path) -> Self {
        let mut command = program(folder, &["run", "--dir", "mercy"]);
        let running = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(60);
        // Until it has a block that is recent enough, it says other things.
        while !Home::at(&folder.join("mercy")).is_served()
            || status(folder).is_none_or(|status| !status.fresh || status.height == 0)
        {
            assert!(Instant::now() < end, "it does not start");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        running
    }
}

/// How the relay is; nothing while it does not answer.
fn status(folder: &Path) -> Option<RelayStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(control::ask(&folder.join("mercy/relay.sock"), &Status {})).ok()
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Somebody takes hold of the one study of the archive.
fn define(folder: &Path) -> Vec<u8> {
    let home = Home::at(&folder.join("mercy"));
    let (keys, genesis) =
        (Keys::read(&home.keys_folder()).unwrap(), network_file::read_genesis(&home.network_file()).unwrap());
    let archive = Archive::open(&home.archive_folder(), &home.catalogue_file(), genesis.chain_id()).unwrap();
    let entry = archive.entry(archive.studies().unwrap().remove(0).study).unwrap().unwrap();
    let (chain, manifest) = (genesis.chain_id(), &entry.manifest.manifest);
    let root = manifest.root(&chain);
    archive.claim(manifest.header().study, &root, &chain).unwrap();
    let holder = SecretKey::from_bytes(&[7; 32]);
    let action = Action::DefineStudy(DefineStudy {
        digest: entry.salt.study_digest(manifest.header().study_instance_uid.as_str()),
        source: keys.operational.public(),
        holder: holder.public(),
        delegates: Ascending::new(),
        manifest_root: root,
        open: manifest.header().open,
    });
    let submit_by = Timestamp(genesis.time.timestamp().0 + 3_600_000);
    let body = Body { submit_by, nonce: [7; 16], action };
    encoding::encode(&body.sign(&chain, &[&keys.operational, &holder]).unwrap())
}

#[test]
fn every_command_says_what_it_said() {
    let folder = hospital();
    let folder = folder.path();
    let mut all = Transcript { folder: folder.to_owned(), said: String::new() };
    let mercy =
        |words: &[&'static str]| -> Vec<&'static str> { [&words[..1], &["--dir", "mercy"], &words[1..]].concat() };

    all.remark("Folders, networks, what clap refuses.");
    all.one(&["init", "--dir", "north", "--name", "North"]);
    all.json(&["init", "--dir", "south", "--name", "South"]);
    all.both(&["init", "--dir", "mercy", "--name", "Mercy"]);
    all.one(&["genesis", "--out", "two.json", "north/source.json", "south/source.json"]);
    all.json(&["genesis", "--out", "one.json", "--name", "one", "south/source.json"]);
    all.both(&["genesis", "--out", "two.json", "north/source.json"]);
    all.both(&["status", "--dir", "nowhere"]);
    all.both(&["status", "--dir", "north"]);
    for words in [
        &["status"][..],
        &["status", "--dir"],
        &["report", "--epoch", "x"],
        &["suspend", "6e85", "--reason", "mood"],
        &["pickup"],
    ] {
        all.one(words);
    }
    all.one(&["status", "--colour"]);
    for words in [&["status"][..], &["suspend", "6e85", "--reason", "mood"], &["dance"]] {
        all.json(words);
    }

    all.remark("An archive with nothing in it.");
    all.one(&mercy(&["status"]));
    for word in [
        "status",
        "validators",
        "studies",
        "quarantine",
        "contradictions",
        "completeness",
        "check",
        "pickups",
        "audit",
        "report",
    ] {
        all.both(&mercy(&[word]));
    }
    for word in
        ["validators", "quarantine", "quarantine-record", "contradictions", "completeness", "check", "checkpoints"]
    {
        all.one(&[word, "--dir", "nowhere"]);
    }
    all.one(&["endorse", "nowhere", "--identity", "nowhere", "--out", "endorsed"]);
    all.both(&mercy(&["explain", "6e85a379b653dbe7"]));
    all.both(&mercy(&["audit", "--since", "yesterday"]));
    all.both(&mercy(&["audit", "--study", "6e85"]));
    all.both(&mercy(&["report", "--epoch", "7"]));
    all.both(&mercy(&["announce"]));
    let home = Home::at(&folder.join("mercy"));
    let mut settings = home.settings().unwrap();
    settings.listen.transfer.set_port(settings.listen.transfer.port() + 1);
    home.write_settings(&settings).unwrap();
    all.both(&mercy(&["announce"]));
    all.both(&mercy(&["expire", "--before", "1970"]));
    all.both(&mercy(&["expire", "--before", "1970-01-01"]));
    all.both(&mercy(&["close", "6e85"]));
    all.both(&mercy(&["pickup", "--accession", "A123", "--pin", "4711"]));

    all.remark("A study.");
    brain(folder, "disc", 2..=6);
    brain(folder, "more", 6..=8);
    fs::write(folder.join("disc/notes.txt"), "These are no images.\n").unwrap();
    fs::write(folder.join("report.txt"), "No acute finding.\n").unwrap();
    fs::write(folder.join("pin"), "4711\n").unwrap();
    all.one(&mercy(&["ingest", "disc"]));
    all.json(&mercy(&["ingest", "disc"]));
    all.one(&mercy(&["ingest", "more", "--report", "report.txt"]));
    all.both(&mercy(&["ingest", "nowhere"]));
    all.both(&mercy(&["ingest", "disc", "--report", "mercy/relay.toml"]));
    fs::create_dir(folder.join("other")).unwrap();
    let mut other = fs::read(folder.join("disc/brain_003.dcm")).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(folder.join("other/003.dcm"), &other).unwrap();
    all.one(&mercy(&["ingest", "other"]));
    let study = done(folder, &["studies", "--dir", "mercy"])["studies"][0]["study"].as_str().unwrap().to_owned();
    let of = |words: &[&str]| -> Vec<String> {
        let put = |word: &&str| word.replace("STUDY", &study);
        words[..1]
            .iter()
            .copied()
            .chain(["--dir", "mercy"])
            .map(str::to_owned)
            .chain(words[1..].iter().map(put))
            .collect()
    };
    macro_rules! study {
        ($how:ident, $($word:expr),+) => {{
            let words = of(&[$($word),+]);
            all.$how(&words.iter().map(String::as_str).collect::<Vec<_>>());
        }};
    }
    all.both(&mercy(&["studies"]));
    all.both(&mercy(&["contradictions"]));
    all.both(&mercy(&["completeness"]));
    study!(both, "completeness", "STUDY");
    study!(both, "compare", "STUDY", "disc");
    study!(both, "compare", "STUDY", "other");
    study!(both, "compare", "STUDY", "nowhere");
    brain(folder, "whole", 2..=8);
    fs::copy(folder.join("report.txt"), folder.join("whole/finding")).unwrap();
    fs::copy(folder.join("mercy/relay.toml"), folder.join("whole/letter")).unwrap();
    study!(both, "compare", "STUDY", "whole");
    for words in [&["reports", "nothing"][..], &["attach", "nothing", "report.txt"], &["detach", "nothing", "90b7"]] {
        all.one(&mercy(words));
    }
    study!(one, "kos", "STUDY", "--out", "one.kos.dcm");
    study!(json, "kos", "STUDY", "--out", "two.kos.dcm");
    study!(both, "kos", "STUDY", "--out", "pin");
    study!(one, "close", "STUDY");
    study!(both, "close", "STUDY");
    study!(both, "suspend", "STUDY", "--reason", "under-review");
    study!(both, "resume", "STUDY");
    study!(both, "withdraw", "STUDY", "--reason", "retention");
    study!(both, "pickup", "--study", "STUDY");
    study!(both, "pickup", "--study", "STUDY", "--pin-file", "pin");
    study!(one, "pickup", "--study", "STUDY", "--pin", "4711", "--png", "pickup.png");
    study!(json, "pickup", "--study", "STUDY", "--pin-file", "pin", "--png", "other.png", "--hours", "1");
    study!(both, "pickup", "--study", "STUDY", "--pin-file", "pin", "--png", "pin");
    study!(both, "pickup", "--study", "STUDY", "--pin-file", "nowhere");
    all.both(&mercy(&["pickup", "--accession", " ", "--pin-file", "pin"]));
    all.both(&mercy(&["pickup", "--patient", "nobody", "--pin-file", "pin"]));
    all.both(&mercy(&["pickups"]));
    study!(both, "recover", "--study", "STUDY", "--pin-file", "pin", "--why", "lost", "--by", "Ann");
    all.both(&mercy(&["recoveries"]));
    all.one(&["recoveries", "--dir", "nowhere"]);
    study!(both, "reissue", "STUDY", "--why", "lost", "--by", "Ann");
    study!(both, "remove", "STUDY");
    study!(both, "remove", "STUDY", "--confirm", "7");
    all.both(&mercy(&["remove", "nothing"]));
    all.both(&mercy(&["expire", "--before", "2025-01-01"]));
    all.both(&mercy(&["expire", "--before", "2025-01-01", "--confirm", "7"]));
    all.both(&mercy(&["check"]));
    all.both(&mercy(&["check", "--remove-stray"]));
    study!(both, "audit", "--study", "STUDY");

    all.remark("What lies in quarantine.");
    let in_quarantine = |name: &str, bytes: &[u8], beside: &str| {
        fs::create_dir_all(folder.join("mercy/quarantine")).unwrap();
        fs::set_permissions(folder.join("mercy/quarantine"), fs::Permissions::from_mode(0o700)).unwrap();
        let place = folder.join("mercy/quarantine").join(name);
        fs::write(place.with_extension("txt"), beside).unwrap();
        fs::write(place.with_extension("dcm"), bytes).unwrap();
    };
    let known = fs::read(folder.join("disc/brain_003.dcm")).unwrap();
    let late = "its study was closed\nfrom 10.0.0.7 CT 1\n";
    in_quarantine("1764316800000-0000000000000005", &known, late);
    in_quarantine("1764316800000-0000000000000006", &known, late);
    let beside = "it is not a DICOM file\nfrom watched folder /srv/images\nfile /srv/images/notes.txt\n";
    in_quarantine("1764316801000-0123456789abcdef", b"no image", beside);
    all.both(&mercy(&["quarantine"]));
    all.both(&mercy(&["quarantine-show", "1764316801000"]));
    all.both(&mercy(&["quarantine-show", "17643168"]));
    all.both(&mercy(&["quarantine-show", "nothing"]));
    all.both(&mercy(&["quarantine-release", "1764316801000", "--why", " ", "--by", "Ann"]));
    all.both(&mercy(&["quarantine-release", "1764316801000", "--why", "it looks well", "--by", "Ann"]));
    for name in ["1764316800000-0000000000000005", "1764316800000-0000000000000006"] {
        let words =
            ["quarantine-release", "--dir", "mercy", name, "--why", "the study was closed too early", "--by", "Ann"];
        if name.ends_with('5') { all.one(&words) } else { all.json(&words) }
    }
    let delete = mercy(&["quarantine-delete", "1764316801000", "--why", "it is no image", "--by", "Ben"]);
    all.both(&delete);
    all.both(&[&delete[..], &["--confirm", "7"]].concat());
    let said = program(folder, &[&delete[..], &["--json"]].concat()).output().unwrap();
    let digest =
        serde_json::from_slice::<serde_json::Value>(&said.stdout).unwrap()["digest"].as_str().unwrap().to_owned();
    all.one(&[&delete[..], &["--confirm", digest.as_str()]].concat());
    all.one(&mercy(&["quarantine"]));
    all.both(&mercy(&["quarantine-record"]));

    all.remark("Stores that are there, and are not.");
    all.both(&mercy(&["rebuild"]));
    all.both(&mercy(&["renew", "pickups"]));
    all.one(&mercy(&["renew", "everything"]));
    fs::rename(folder.join("mercy/catalogue.redb"), folder.join("catalogue")).unwrap();
    all.both(&mercy(&["studies"]));
    all.both(&mercy(&["renew", "catalogue"]));
    all.one(&mercy(&["rebuild"]));
    fs::remove_file(folder.join("mercy/catalogue.redb")).unwrap();
    all.json(&mercy(&["rebuild"]));
    all.both(&mercy(&["studies"]));
    fs::remove_file(folder.join("mercy/catalogue.redb")).unwrap();
    fs::rename(folder.join("catalogue"), folder.join("mercy/catalogue.redb")).unwrap();
    let pickups = fs::read(folder.join("mercy/pickups.redb")).unwrap();
    fs::write(folder.join("mercy/pickups.redb"), "these are no pickups").unwrap();
    all.both(&mercy(&["pickups"]));
    fs::write(folder.join("mercy/pickups.redb"), pickups).unwrap();
    let key = folder.join("mercy/keys/desk");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    all.both(&mercy(&["status"]));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    all.remark("A relay that runs.");
    let define = define(folder);
    let running = Running::start(folder);
    all.both(&mercy(&["run"]));
    for word in
        ["status", "validators", "studies", "quarantine", "contradictions", "completeness", "check", "pickups", "audit"]
    {
        all.both(&mercy(&[word]));
    }
    fs::write(folder.join("none.request"), "this is no request").unwrap();
    all.both(&mercy(&["credential", "--for", "none.request", "--role", "physician", "--by", "Ann"]));
    all.both(&mercy(&["credential-end", "7", "--why", "left the hospital", "--by", "Ann"]));
    all.both(&mercy(&["credentials"]));
    all.both(&["credentials", "--dir", "nowhere"]);
    all.without_numbers(&mercy(&["report"]));
    all.without_numbers(&mercy(&["report", "--proof", "epoch.record"]));
    all.both(&mercy(&["report", "--epoch", "7"]));
    all.both(&mercy(&["explain", "6e85a379b653dbe7"]));
    all.both(&mercy(&["expire", "--before", "1970"]));
    all.one(&mercy(&["ingest", "more"]));
    all.json(&mercy(&["ingest", "more"]));
    all.both(&mercy(&["ingest", "disc", "--report", "mercy/relay.toml"]));
    study!(both, "compare", "STUDY", "disc");
    study!(both, "completeness", "STUDY");
    study!(both, "kos", "STUDY", "--out", "three.kos.dcm");
    study!(both, "close", "STUDY");
    all.both(&mercy(&["close", "nothing"]));
    study!(both, "pickup", "--study", "STUDY", "--pin-file", "pin");
    study!(both, "pickup", "--study", "STUDY");
    all.both(&mercy(&["rebuild"]));
    all.both(&mercy(&["renew", "pickups"]));
    study!(both, "resume", "STUDY");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let submit = || runtime.block_on(control::ask(&folder.join("mercy/relay.sock"), &Submit::of(&define)));
    let end = Instant::now() + Duration::from_secs(60);
    while submit().is_ok_and(|submitted: Submitted| submitted.executed_at.is_none()) {
        assert!(Instant::now() < end, "nothing is decided");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let submitted: Submitted = submit().unwrap();
    assert!(submitted.executed_at.is_some());
    study!(one, "remove", "STUDY");
    study!(one, "expire", "--before", "2025-01-01");
    study!(one, "suspend", "STUDY", "--reason", "under-review");
    study!(json, "suspend", "STUDY", "--reason", "quality");
    study!(one, "resume", "STUDY");
    study!(one, "withdraw", "STUDY", "--reason", "wrong-patient");
    study!(both, "resume", "STUDY");
    all.one(&mercy(&["announce"]));
    all.both(&mercy(&["announce"]));
    all.json(&mercy(&["studies"]));
    study!(json, "expire", "--before", "2025-01-01");
    study!(both, "remove", "STUDY");
    drop(running);

    all.remark("Alone again.");
    all.both(&mercy(&["status"]));
    all.without_numbers(&mercy(&["report"]));
    let expire = program(folder, &mercy(&["expire", "--before", "2025-01-01", "--json"])).output().unwrap();
    let digest =
        serde_json::from_slice::<serde_json::Value>(&expire.stdout).unwrap()["digest"].as_str().unwrap().to_owned();
    all.one(&[&mercy(&["expire", "--before", "2025-01-01", "--confirm"])[..], &[digest.as_str()]].concat());
    study!(both, "remove", "STUDY");
    all.both(&mercy(&["check"]));

    all.remark("Another hospital, and a study of which images are missing.");
    fs::copy(folder.join("one.json"), folder.join("south/network.json")).unwrap();
    brain(folder, "gap", 2..=2);
    brain(folder, "gap", 5..=5);
    all.one(&["ingest", "--dir", "south", "gap"]);
    let study = done(folder, &["studies", "--dir", "south"])["studies"][0]["study"].as_str().unwrap().to_owned();
    all.both(&["completeness", "--dir", "south", &study]);
    hold_against("commands.txt", &all.said);
    hold_codes_against(&all.said);
}

/// Holds what each command of the README's table ended with against the table; each command is in it, with a code for what it did not do.
fn hold_codes_against(said: &str) {
    const README: &str = include_str!("../../README.md");
    let mut ended: BTreeSet<(&str, &str)> = BTreeSet::new();
    for block in said.split("$ clavicle-relay ").skip(1) {
        let (command, rest) = block.split_once('\n').unwrap();
        let code = rest.lines().find_map(|line| line.strip_prefix("= ")).unwrap();
        ended.insert((command, code));
    }
    let mut told: BTreeSet<(&str, bool)> = BTreeSet::new();
    for row in README.lines().filter_map(|line| line.strip_prefix("| `")) {
        let Some((command, rest)) = row.split_once("` | ") else { continue };
        let Some((code, _)) = rest.split_once(" | ").filter(|(code, _)| code.parse::<u8>().is_ok()) else { continue };
        let as_said = masked(&command.replace("STUDY", "<code>"));
        assert!(ended.contains(&(as_said.as_str(), code)), "the README says that `{command}` ends with {code}");
        told.insert((command.split(' ').next().unwrap(), code == "0"));
    }
    for command in clavicle_relay::command::Arguments::command().get_subcommands() {
        let name = command.get_name();
        assert!(told.contains(&(name, false)), "the README has no code for a `{name}` that is not done");
    }
}
