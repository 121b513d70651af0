//! Paths are bytes, and readers go away: what was done is told, and what was not has its own exit code, all the same.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clavicle_network::file as network_file;
use serde_json::Value;

use crate::programs::{Storescp, folder_of};
use crate::wallet::genesis;

/// A name as it was written on a system with Latin-1.
fn name(text: &str) -> OsString {
    OsStr::from_bytes(&[b"M\xfcller", text.as_bytes()].concat()).to_owned()
}

fn answered(folder: &Path, arguments: &[&OsStr], code: i32) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle"));
    command.current_dir(folder).env("CLAVICLE_PASSPHRASE_FILE", "pw").arg("--json").args(arguments);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stdout);
    assert_eq!(status.code(), Some(code), "{arguments:?}: {said}{}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

#[test]
fn whatever_a_path_is_called_what_was_done_is_answered() {
    let folder = folder_of(&["CT_small.dcm"]);
    let folder = folder.path();
    fs::write(folder.join("pw"), "four words of one person").unwrap();
    network_file::write_genesis(&folder.join("network.json"), &genesis()).unwrap();
    let arguments = |plain: &[&str], own: &OsStr| -> Vec<OsString> {
        plain.iter().map(|one| if *one == "…" { own.to_owned() } else { one.into() }).collect()
    };
    let ended = |plain: &[&str], own: &OsStr, code| {
        let all = arguments(plain, own);
        answered(folder, &all.iter().map(OsString::as_os_str).collect::<Vec<_>>(), code)
    };
    let asked = |plain: &[&str], own: &OsStr| ended(plain, own, 0);
    // What is no image is left out, and named.
    let in_part = |plain: &[&str], own: &OsStr| ended(plain, own, 1);
    // A wallet was made, and its 24 words were not shown.
    let made = asked(&["wallet", "init", "--network", "network.json", "--dir", "…"], &name("-wallet"));
    assert_eq!(made["words"].as_str().unwrap().split(' ').count(), 24);
    assert_eq!(made["dir"], "M\u{fffd}ller-wallet");
    let seen = asked(&["view", "CT_small.dcm", "--png", "…"], &name(".png"));
    assert_eq!(seen["png"], "M\u{fffd}ller.png");

    // A code lies in a file that may be called anything: it is read, and here it is none.
    fs::write(folder.join(name(".png")), "no code").unwrap();
    for plain in [
        &["wallet", "pickup", "--dir", "nobody", "…"][..],
        &["wallet", "grant", "--dir", "nobody", "6e85", "--for", "7d", "--to", "…"],
        &["wallet", "restore", "--dir", "nobody", "--network", "network.json", "--code", "…"],
    ] {
        assert_eq!(ended(plain, &name(".png"), 1)["error"]["code"], "code", "{plain:?}");
    }

    fs::create_dir(folder.join("study")).unwrap();
    fs::rename(folder.join("CT_small.dcm"), folder.join("study/CT_small.dcm")).unwrap();
    fs::write(folder.join("study").join(name(".doc")), "Befund").unwrap();
    let (listed, scp) = (in_part(&["view", "study", "--png", "…"], &name("-sheet.png")), Storescp::start(&[]));
    assert_eq!(listed["png"], "M\u{fffd}ller-sheet.png");
    let written = in_part(&["export", "study", "--out", "…"], &name("-cd"));
    assert_eq!((written["out"].as_str(), written["instances"].as_u64()), (Some("M\u{fffd}ller-cd"), Some(1)));
    let left = "M\u{fffd}ller.doc";
    let named = |answer: &Value| answer["accounting"]["rest"][0]["file"].as_str().unwrap().ends_with(left);
    assert!(named(&written) && named(&listed), "{written} {listed}");
    let pushed = in_part(&["push", "study", "--as-sent", "--to", "…"], OsStr::new(&scp.to()));
    assert!(pushed["stored"] == 1 && named(&pushed), "{pushed}");
}

#[test]
fn an_error_that_nobody_reads_ends_as_any_other() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle"));
    command.args(["view", "/nowhere/at/all"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    assert_eq!(command.status().unwrap().code(), Some(1));
}
