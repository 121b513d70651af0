//! What comes in by itself: sent by dcmtk's `storescu` or put into a watched folder, by way of a real relay that is killed in between.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clavicle_phantom::Phantom;
use serde_json::Value;

use crate::ingest::{done, in_part, refused, relay};

/// A relay that runs as a shadow in a folder of its own; killed when dropped.
pub(crate) struct Shadow {
    folder: tempfile::TempDir,
    port: u16,
    running: Option<Child>,
}

impl Shadow {
    fn new(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("watched")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = format!("127.0.0.1:{port}");
        let init = ["init", "--dir", "mercy", "--name", "Mercy", "--dicom", &at, "--watch", "watched"];
        done(folder.path(), &[&init, more].concat());
        done(folder.path(), &["genesis", "--out", "mercy/network.json", "mercy/source.json"]);
        Self::over(folder, port)
    }

    /// Over a relay's folder, `mercy` in this one, which listens at this port.
    pub(crate) fn over(folder: tempfile::TempDir, port: u16) -> Self {
        let mut shadow = Self { folder, port, running: None };
        shadow.start();
        shadow
    }

    fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
        command.args(["run", "--dir", "mercy", "--shadow"]);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        command.current_dir(self.folder.path()).stdout(Stdio::piped()).stderr(log).env("NO_COLOR", "1");
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.into_iter().any(|line| line.starts_with("shadow")), "it did not come up");
        self.running = Some(child);
    }

    fn kill(&mut self) {
        let mut child = self.running.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends with dcmtk; whether all was acknowledged.
    fn send(&self, title: &str, files: &[PathBuf]) -> bool {
        let mut command = Command::new("storescu");
        command.args(["-aec", title, "-R", "127.0.0.1", &self.port.to_string()]).args(files);
        let output = command.output().expect("storescu is not there: run .ci/test-data first");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        println!("{said}");
        output.status.success() && !said.contains("Refused") && !said.contains("Error")
    }

    /// Waits for a line of the log that has all of these, and gives it.
    fn logged(&self, parts: &[&str]) -> String {
        let from = Instant::now();
        loop {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            if let Some(line) = log.lines().find(|line| parts.iter().all(|part| line.contains(part))) {
                return line.to_owned();
            }
            assert!(from.elapsed() < Duration::from_secs(60), "{parts:?}: {log}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn asked(&self, arguments: &[&str]) -> Value {
        done(self.folder.path(), arguments)
    }

    /// Asks until the answer is as wanted.
    pub(crate) fn until(&self, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let from = Instant::now();
        loop {
            let answer = self.asked(arguments);
            if wanted(&answer) {
                return answer;
            }
            assert!(from.elapsed() < Duration::from_secs(60), "{arguments:?}: {answer}");
        }
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

pub(crate) const STUDIES: [&str; 3] = ["studies", "--dir", "mercy"];

fn files(folder: &Path) -> Vec<PathBuf> {
    clavicle_imaging::walk::files(folder).unwrap().0
}

#[test]
fn what_was_acknowledged_is_in_the_archive_although_the_relay_was_killed() {
    let mut shadow = Shadow::new(&[]);
    let sent = shadow.folder.path().join("sent");
    Phantom { slices: 9, size: 64, ..Phantom::default() }.write(&sent).unwrap();
    let files = files(&sent);
    assert!(shadow.send("CLAVICLE", &files));
    // At once: what was acknowledged lies in the spool at best.
    shadow.kill();
    shadow.start();
    let studies = shadow.until(&STUDIES, |answer| answer["studies"][0]["instances"].as_u64() == Some(10));
    assert_eq!(studies["studies"].as_array().unwrap().len(), 1);
    // What was taken goes from the spool after it is in the archive.
    let (from, incoming) = (Instant::now(), shadow.folder.path().join("mercy/incoming"));
    while fs::read_dir(&incoming).unwrap().count() > 1 {
        assert!(from.elapsed() < Duration::from_secs(60), "the lock alone");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // Held against a folder in which something is amiss, and against itself.
    let id = studies["studies"][0]["study"].as_str().unwrap()[..8].to_owned();
    let complete = shadow.asked(&["completeness", "--dir", "mercy"]);
    assert_eq!(complete["suspicious"].as_array().unwrap().len(), 0, "{complete}");
    let exact = shadow.asked(&["compare", "--dir", "mercy", &id, "sent"]);
    // A sender takes the file meta information off: what was signed is what came.
    let sentence = exact["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("0 of 10 instances as signed; 10 encoded differently, content unchanged: "),
        "{sentence}"
    );
    let status = Command::new("dcmodify").args(["-nb", "-m", "(0010,0010)=OTHER"]).arg(&files[3]).status().unwrap();
    assert!(status.success());
    fs::rename(&files[5], shadow.folder.path().join("aside")).unwrap();
    let compared = in_part(shadow.folder.path(), &["compare", "--dir", "mercy", &id, "sent"]);
    let changes = compared["altered"].as_array().unwrap().iter().map(|one| one[1].as_str().unwrap());
    let named: Vec<_> = changes.filter(|change| !change.starts_with("encoded differently")).collect();
    assert_eq!(named, ["pixels unchanged, patient name differs"], "{compared}");
    assert_eq!(compared["missing"].as_array().unwrap().len(), 1);
    fs::rename(shadow.folder.path().join("aside"), &files[5]).unwrap();
    let kos = shadow.asked(&["kos", "--dir", "mercy", &id, "--out", "study.kos.dcm"]);
    assert_eq!(kos["instances"].as_u64(), Some(10));
    let dump = Command::new("dsrdump").arg(shadow.folder.path().join("study.kos.dcm")).output().unwrap();
    assert!(dump.status.success() && String::from_utf8_lossy(&dump.stdout).contains("Key Object Selection Document"));
    // Again it is known, under another name nothing is accepted.
    assert!(shadow.send("CLAVICLE", &files));
    assert!(!shadow.send("SOMEBODY", &files));
    let check = shadow.asked(&["check", "--dir", "mercy"]);
    assert_eq!(
        (check["accounting"]["taken"].as_u64(), check["stray"].as_array().unwrap().len()),
        (Some(10), 0),
        "{check}"
    );
    // A shadow gives nothing out.
    let said =
        refused(shadow.folder.path(), &["pickup", "--dir", "mercy", "--accession", "PHANTOM-1", "--pin", "4711"]);
    assert!(said.contains("runs as a shadow and publishes nothing"), "{said}");
}

#[test]
fn what_cannot_be_taken_is_put_aside_with_a_reason() {
    let shadow = Shadow::new(&[]);
    // Two patients under one study, which only shows when both are there.
    let two = shadow.folder.path().join("two");
    Phantom { slices: 1, size: 64, ..Phantom::default() }.write(&two).unwrap();
    let all = files(&two);
    let status =
        Command::new("dcmodify").args(["-nb", "-m", "(0010,0020)=SOMEBODY-ELSE"]).arg(&all[1]).status().unwrap();
    assert!(status.success());
    assert!(shadow.send("CLAVICLE", &all));
    let put = shadow.until(&["quarantine", "--dir", "mercy"], |answer| answer["quarantined"][1].is_object());
    let reason = put["quarantined"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("its study names more than one patient"), "{reason}");
    // What cannot be read at all its sender is told of at once.
    let status = Command::new("dcmodify").args(["-nb", "-imt", "-e", "(0020,000d)"]).arg(&all[0]).status().unwrap();
    assert!(status.success());
    assert!(!shadow.send("CLAVICLE", &all[..1]));
    let put = shadow.asked(&["quarantine", "--dir", "mercy"]);
    let reasons: Vec<_> = put["quarantined"].as_array().unwrap().iter().map(|row| row["reason"].to_string()).collect();
    assert!(reasons.len() == 3 && reasons[2].contains("(0020,000D) is missing"), "{reasons:?}");
    assert!(shadow.asked(&STUDIES)["studies"].as_array().unwrap().is_empty());
    let lines = String::from_utf8(relay(shadow.folder.path(), &["quarantine", "--dir", "mercy"]).stdout).unwrap();
    assert!(lines.contains("its study names more than one patient") && lines.contains(" files"), "{lines}");
}

/// Such a file was not taken in, and nothing said so: neither the log nor `quarantine`, and nothing could be done with it.
#[test]
fn what_is_refused_from_a_watched_folder_is_in_quarantine_and_on_record() {
    let mut shadow = Shadow::new(&[]);
    let list = ["quarantine", "--dir", "mercy"];
    let watched = shadow.folder.path().join("watched/DOE_JANE");
    fs::create_dir(&watched).unwrap();
    let (junk, twin) = (watched.join("IM_1.2.840.99.7.dcm"), watched.join("again"));
    fs::write(&junk, "no image").unwrap();
    let put = shadow.until(&list, |answer| answer["quarantined"][0].is_object());
    let row = &put["quarantined"][0];
    assert_eq!(row["reason"], "it is not a DICOM file");
    assert!(row["file"].as_str().unwrap().ends_with("watched/DOE_JANE/IM_1.2.840.99.7.dcm"), "{row}");
    let from = row["from"].as_str().unwrap();
    assert!(from.starts_with("watched folder ") && from.ends_with("watched"), "{from}");
    let line = shadow.logged(&["a file in a watched folder is not taken in", "IM_….dcm", "it is not a DICOM file"]);
    assert!(line.contains(row["name"].as_str().unwrap()), "{line}");
    // After a kill it is found again, as is the same under another name; there is one copy, and both files are where they were.
    shadow.kill();
    fs::write(&twin, "no image").unwrap();
    shadow.start();
    shadow.logged(&["as before", "again"]);
    shadow.logged(&["as before", "IM_….dcm"]);
    assert_eq!(shadow.asked(&list)["quarantined"].as_array().unwrap().len(), 1);
    // Released, it is refused again; deleted, it is gone for good, and all of that is on record.
    let name = row["name"].as_str().unwrap().to_owned();
    let why = ["--why", "a test", "--by", "Ann"];
    let release = [&["quarantine-release", "--dir", "mercy", &name][..], &why].concat();
    let said = refused(shadow.folder.path(), &release);
    assert!(said.contains("1 file was refused again") && said.contains("it is not a DICOM file"), "{said}");
    let delete = [&["quarantine-delete", "--dir", "mercy", &name][..], &why].concat();
    let digest = digest_of(&refused(shadow.folder.path(), &delete), "1 file");
    shadow.asked(&[&delete[..], &["--confirm", &digest]].concat());
    shadow.kill();
    shadow.start();
    fs::write(watched.join("other"), "nor is this one").unwrap();
    let put = shadow.until(&list, |answer| answer["quarantined"][0].is_object());
    assert_eq!(put["quarantined"].as_array().unwrap().len(), 1, "{put}");
    assert!(put["quarantined"][0]["file"].as_str().unwrap().ends_with("other"), "{put}");
    let record = shadow.asked(&["quarantine-record", "--dir", "mercy"]);
    let acts: Vec<_> = record["record"].as_array().unwrap().iter().map(|line| line["act"].as_str().unwrap()).collect();
    assert_eq!((acts, record["unreadable"].as_u64()), (vec!["release", "refused", "delete"], Some(0)));
    assert!(record["record"].as_array().unwrap().iter().all(|line| line["by"] == "Ann" && line["why"] == "a test"));
    assert!(junk.exists() && twin.exists());
    let log = fs::read_to_string(shadow.folder.path().join("log")).unwrap();
    assert!(!log.contains("1.2.840.99.7") && !log.contains("DOE_JANE"), "{log}");
}

#[test]
fn who_is_rejected_or_refused_stands_in_the_log_with_address_and_title() {
    let shadow = Shadow::new(&[]);
    let sent = shadow.folder.path().join("sent");
    Phantom { slices: 1, size: 64, ..Phantom::default() }.write(&sent).unwrap();
    let all = files(&sent);
    assert!(!shadow.send("SOMEBODY", &all[..1]));
    shadow.logged(&["an association was rejected", "peer=127.0.0.1:", "STORESCU", "SOMEBODY", "called AE title"]);
    let status = Command::new("dcmodify").args(["-nb", "-imt", "-e", "(0020,000d)"]).arg(&all[0]).status().unwrap();
    assert!(status.success() && !shadow.send("CLAVICLE", &all[..1]));
    let put = shadow.asked(&["quarantine", "--dir", "mercy"]);
    let name = put["quarantined"][0]["name"].as_str().unwrap();
    assert_eq!(put["quarantined"][0]["from"].as_str(), Some("127.0.0.1 STORESCU"));
    shadow.logged(&["a refused object is kept in quarantine", name, "127.0.0.1 STORESCU", "(0020,000D) is missing"]);
    shadow.logged(&["an object was refused", "peer=127.0.0.1:", "STORESCU", "CLAVICLE", "cannot understand (C000)"]);
    // Repaired, it is taken in; what came stays until somebody deletes it.
    let repaired = shadow.folder.path().join("repaired.dcm");
    fs::copy(&all[0], &repaired).unwrap();
    let uid =
        Command::new("dcmodify").args(["-nb", "-imt", "-i", "(0020,000d)=1.2.3.4"]).arg(&repaired).status().unwrap();
    assert!(uid.success());
    let release = ["quarantine-release", "--dir", "mercy", name, "--repaired", "repaired.dcm", "--why", "a test"];
    let released = shadow.asked(&release);
    assert_eq!(
        (&released["released"][0]["outcome"], &released["released"][0]["stays"]),
        (&"a new study".into(), &true.into())
    );
    assert_eq!(shadow.asked(&STUDIES)["studies"].as_array().unwrap().len(), 1);
    assert_eq!(shadow.asked(&["quarantine", "--dir", "mercy"])["quarantined"].as_array().unwrap().len(), 1);
    let shown = shadow.asked(&["quarantine-show", "--dir", "mercy", name]);
    let acts: Vec<_> = shown["record"].as_array().unwrap().iter().map(|line| line["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["release", "replaced"], "{shown}");
}

/// The digest that is to be confirmed, of so many things.
fn digest_of(said: &str, many: &str) -> String {
    let digest = said.split_once("`--confirm ").and_then(|(_, rest)| rest.split_once('`')).map(|(digest, _)| digest);
    let digest = digest.unwrap_or_else(|| panic!("{said}"));
    assert!(digest.len() == 12 && digest.chars().all(|digit| digit.is_ascii_hexdigit()), "{said}");
    assert!(said.contains("nothing was removed") && said.contains(&format!("`--confirm {digest}`: {many}")), "{said}");
    digest.to_owned()
}

#[test]
fn a_watched_folder_is_taken_in_and_a_closed_study_is_left_alone() {
    let shadow = Shadow::new(&[]);
    let watched = shadow.folder.path().join("watched");
    Phantom { slices: 3, size: 64, ..Phantom::default() }.write(&watched.join("first")).unwrap();
    let studies = shadow.until(&STUDIES, |answer| answer["studies"][0]["instances"].as_u64() == Some(4));
    assert!(watched.join("first").exists(), "the files stay");
    let id = studies["studies"][0]["study"].as_str().unwrap();
    let closed = shadow.asked(&["close", "--dir", "mercy", &id[..8]]);
    assert_eq!(closed["changed"], true);
    // More of it, sent: put aside, and added by hand.
    let more = shadow.folder.path().join("more");
    Phantom { slices: 5, size: 64, ..Phantom::default() }.write(&more).unwrap();
    assert!(shadow.send("CLAVICLE", &files(&more)[4..]));
    let put = shadow.until(&["quarantine", "--dir", "mercy"], |answer| answer["quarantined"][0].is_object());
    assert!(put["quarantined"][0]["reason"].as_str().unwrap().starts_with("its study was closed"), "{put}");
    // The sentences beside them are no images.
    let taken = in_part(shadow.folder.path(), &["ingest", "--dir", "mercy", "mercy/quarantine"]);
    assert_eq!(taken["grown"].as_u64(), Some(1), "{taken}");
    let status = shadow.asked(&["status", "--dir", "mercy"]);
    assert_eq!(status["files"].as_u64(), taken["instances"].as_u64().map(|added| added + 4), "{status}");
    assert_eq!(status["quarantined"].as_u64(), taken["instances"].as_u64(), "the files stay there, too");
    // Released they are known by now, and gone from there.
    let rows = shadow.asked(&["quarantine", "--dir", "mercy"])["quarantined"].as_array().unwrap().clone();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let release = [&["quarantine-release", "--dir", "mercy", "--why", "a test"][..], &names].concat();
    let released = shadow.asked(&release);
    let outcomes: Vec<_> = released["released"].as_array().unwrap().iter().map(|row| &row["outcome"]).collect();
    assert!(outcomes.len() == names.len() && outcomes.iter().all(|outcome| **outcome == "its study had it already"));
    assert!(shadow.asked(&["quarantine", "--dir", "mercy"])["quarantined"].as_array().unwrap().is_empty());
    let said = refused(shadow.folder.path(), &["expire", "--dir", "mercy", "--before", "yesterday"]);
    assert!(said.contains("a day is written like 2016-01-31"), "{said}");
    let expired = shadow.asked(&["expire", "--dir", "mercy", "--before", "2026-05-04"]);
    assert_eq!(expired["studies"].as_array().unwrap().len(), 0, "made on that very day");
    // What would go is listed, and goes only when that list is confirmed: its length says nothing.
    let expire = ["expire", "--dir", "mercy", "--before", "2026-05-05"];
    let digest = digest_of(&refused(shadow.folder.path(), &expire), "1 study");
    for confirm in ["1", "2", "000000000000"] {
        let said = refused(shadow.folder.path(), &[&expire[..], &["--confirm", confirm]].concat());
        assert_eq!(digest_of(&said, "1 study"), digest);
    }
    // It is the same study, and not what was looked at any more.
    let late = shadow.folder.path().join("late");
    Phantom { slices: 7, size: 64, ..Phantom::default() }.write(&late).unwrap();
    let said = refused(shadow.folder.path(), &["ingest", "--dir", "mercy", "late"]);
    assert!(said.contains("conflict"), "what is new was taken, and what contradicts is named: {said}");
    let said = refused(shadow.folder.path(), &[&expire[..], &["--confirm", &digest]].concat());
    assert!(said.contains(&format!("What would go is not {digest}, or not any more")), "{said}");
    let digest = digest_of(&said, "1 study");
    let expired = shadow.asked(&[&expire[..], &["--confirm", &digest]].concat());
    assert_eq!((&expired["studies"][0], &expired["removed"]), (&serde_json::json!(id), &serde_json::json!(true)));
    Phantom { slices: 1, size: 64, seed: 2, ..Phantom::default() }.write(&watched.join("second")).unwrap();
    let studies = shadow.until(&STUDIES, |answer| answer["studies"][0]["instances"].as_u64() == Some(2));
    let id = studies["studies"][0]["study"].as_str().unwrap();
    let said = refused(shadow.folder.path(), &["remove", "--dir", "mercy", &id[..8]]);
    let digest = digest_of(&said, "2 files");
    refused(shadow.folder.path(), &["remove", "--dir", "mercy", &id[..8], "--confirm", "2"]);
    let removed = shadow.asked(&["remove", "--dir", "mercy", &id[..8], "--confirm", &digest.to_uppercase()]);
    assert_eq!(removed["study"], *id);
    assert!(shadow.asked(&STUDIES)["studies"].as_array().unwrap().is_empty());
}
