//! The exit codes: each row of the table in the README is run, in its order.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use clavicle_imaging::walk;
use clavicle_network::file as network_file;
use clavicle_phantom::{Kind, Phantom};

use crate::programs::{Storescp, done};
use crate::wallet::{Wallet, genesis};

const README: &str = include_str!("../../README.md");
/// The port that the README has for an archive.
const PORT: &str = "11112";
/// What is only done where hospitals answer: that it then ends with 0 is shown with four of them, in `tests/tests/clavicle`.
const WITH_HOSPITALS: [&str; 26] = [
    "submit",
    "wallet restore",
    "wallet find",
    "wallet devices",
    "wallet pickup",
    "wallet veto",
    "wallet recover",
    "wallet grant",
    "wallet invite",
    "wallet card",
    "wallet renew",
    "wallet narrow",
    "wallet series",
    "wallet who",
    "wallet revoke",
    "wallet fetch",
    "recipient restore",
    "recipient find",
    "recipient card",
    "recipient answer",
    "recipient request-credential",
    "recipient take-credential",
    "recipient organisation",
    "recipient vouch",
    "recipient end-vouching",
    "recipient fetch",
];
/// What a recipient does with a study that was granted, as a patient does with one of their own.
const WITH_A_GRANT: [&str; 4] = ["recipient view", "recipient export", "recipient push", "recipient forget"];

/// The commands of the table, each with its code.
fn rows() -> Vec<(&'static str, i32)> {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split_once("` | "));
    rows.filter_map(|(command, rest)| Some((command, rest.split_once(" | ")?.0.parse().ok()?))).collect()
}

/// The folders that the table speaks of.
fn lay_out(folder: &Path, files: &[std::path::PathBuf]) {
    let put = |name: &str, some: &[std::path::PathBuf]| {
        fs::create_dir(folder.join(name)).unwrap();
        for (number, file) in some.iter().enumerate() {
            fs::copy(file, folder.join(name).join(format!("{number}.dcm"))).unwrap();
        }
    };
    put("images", files);
    put("mixed", files);
    fs::write(folder.join("mixed/notes.rtf"), "These are no images, and no report that would be read.\n").unwrap();
    put("twice", &[files[0].clone(), files[0].clone()]);
    put("copied", &[files[0].clone(), files[0].clone()]);
    // The same instance in another study.
    let path = folder.join("copied/1.dcm");
    let mut file = fs::read(&path).unwrap();
    let at = file.windows(6).position(|window| window == b"\x20\0\x0d\0UI").unwrap();
    let last = at + 7 + usize::from(u16::from_le_bytes([file[at + 6], file[at + 7]]));
    let last = if file[last] == 0 { last - 1 } else { last };
    file[last] = if file[last] == b'7' { b'3' } else { b'7' };
    fs::write(path, file).unwrap();
    for disc in ["disc", "lost"] {
        let out = folder.join(disc);
        done(&["export", folder.join("images").to_str().unwrap(), "--out", out.to_str().unwrap()]);
    }
    let (images, _) = walk::files(&folder.join("lost/ST000001")).unwrap();
    fs::remove_file(&images[0]).unwrap();
    fs::write(folder.join("weak"), "a\n").unwrap();
    network_file::write_genesis(&folder.join("network.json"), &genesis()).unwrap();
}

#[test]
fn every_command_ends_as_the_readme_says() {
    let made = tempfile::tempdir().unwrap();
    let files = Phantom { slices: 2, size: 64, ..Phantom::of(Kind::HeadCt) }.write(made.path()).unwrap();
    let (wallet, scp) = (Wallet::of(made.path(), &[], 0), Storescp::start(&[]));
    let folder = wallet.folder();
    lay_out(folder, &files);
    let (rows, port) = (rows(), scp.port.to_string());
    assert!(rows.len() > 40, "{}", rows.len());
    let mut told = BTreeSet::new();
    for (command, code) in rows {
        let words = command.replace("STUDY", wallet.study()).replace(PORT, &port);
        let mut program = Command::new(env!("CARGO_BIN_EXE_clavicle"));
        program.current_dir(folder).env("CLAVICLE_PASSPHRASE_FILE", "pw").stdin(std::process::Stdio::null());
        let output = program.args(words.split(' ').filter(|word| !word.is_empty())).output().unwrap();
        let said = [&output.stdout[..], &output.stderr].concat();
        assert_eq!(output.status.code(), Some(code), "`{command}`: {}", String::from_utf8_lossy(&said));
        let names = command.split(' ').take(if command.starts_with(['w', 'r']) { 2 } else { 1 });
        told.insert((names.collect::<Vec<_>>().join(" "), code == 0));
    }
    let all = clavicle::command::Arguments::command();
    for command in all.get_subcommands() {
        let below: Vec<String> =
            command.get_subcommands().map(|below| format!("{} {}", command.get_name(), below.get_name())).collect();
        for name in if below.is_empty() { vec![command.get_name().to_owned()] } else { below } {
            assert!(told.contains(&(name.clone(), false)), "the README has no code for a `{name}` that is not done");
            let is_elsewhere = WITH_HOSPITALS.contains(&name.as_str()) || WITH_A_GRANT.contains(&name.as_str());
            assert!(is_elsewhere || told.contains(&(name.clone(), true)), "and none for a `{name}` that is");
        }
    }
}
