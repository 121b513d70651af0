//! The demonstration, from outside: it tells all of its story, and leaves nothing behind, however it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The demonstration, with a place for temporary files of its own.
fn demo(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-demo"));
    command.env("TMPDIR", place).args(arguments).arg("demo");
    command
}

/// No process has anything to do with `place`, and nothing is in it.
fn nothing_is_left(place: &Path) {
    let place = place.canonicalize().unwrap();
    let about = |process: fs::DirEntry| {
        let said = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&said).contains(place.to_str().unwrap()).then_some(process.path())
    };
    let left: Vec<_> = fs::read_dir("/proc").unwrap().filter_map(|process| about(process.unwrap())).collect();
    assert!(left.is_empty(), "{left:?}");
    let files: Vec<_> = fs::read_dir(place).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn the_story_is_told_to_its_end_and_measured() {
    let place = tempfile::tempdir().unwrap();
    let output = demo(place.path(), &["--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = told["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(
        names.join(", "),
        "network, first block, images, pickup code, wallet, wrong PIN, pickup, card, grant, letter, fetch, stranger, \
         explanation, who has access, kill, refusal, revocation, own proof, asked straight, who has access now, comeback"
    );
    let measured = |name: &str| &steps[names.iter().position(|step| *step == name).unwrap()]["measured"];
    assert_eq!(measured("fetch")["intact"], measured("images")["instances"]);
    assert_eq!(measured("who has access")["names"], serde_json::json!(["Dr Rossi"]));
    assert_eq!(measured("who has access now")["names"], serde_json::json!([]));
    let height = |name: &str| measured(name)["height"].as_u64().unwrap();
    assert!(1 < height("pickup") && height("pickup") < height("grant") && height("grant") < height("revocation"));
    assert!(height("revocation") <= height("comeback"));
    assert!(steps.iter().all(|step| step["ms"].is_u64() && step["sentence"].is_string()));
    nothing_is_left(place.path());
}

#[test]
fn interrupted_in_the_middle_it_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = demo(place.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("They agree on their first block.")));
    kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
    let output = demo.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "error: the demonstration was interrupted; its hospitals were stopped\n");
    assert_eq!(output.status.code(), Some(130));
    nothing_is_left(place.path());
}

#[test]
fn what_failed_is_named_and_nothing_is_left() {
    let (place, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = demo(place.path(), &["--json"]).arg("--dicom").arg(empty.path()).output().unwrap();
    assert!(!output.status.success());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let message = said["error"]["message"].as_str().unwrap();
    let failed =
        "the demonstration failed at the step “images”: there is no study among the files\nThe log of Mercy ends";
    assert!(said["error"]["code"] == "demo" && message.starts_with(failed), "{message}");
    nothing_is_left(place.path());
}

#[test]
fn what_is_kept_is_a_new_folder() {
    let place = tempfile::tempdir().unwrap();
    let output = demo(place.path(), &[]).arg("--keep").arg(place.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("at the step “folder”") && said.contains("File exists"), "{said}");
    nothing_is_left(place.path());
}
