//! Programs that are talked to, each started for one test and ended with it, and the files they are sent.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::orthanc::{Orthanc, Running, free_ports};
pub use crate::storescp::Storescp;
pub use clavicle_samples::files::{pydicom, test_data};

/// The study of one of those files, as another hospital would have it of another person with the same number.
pub fn somebody_else() -> Vec<u8> {
    let mut file = fs::read(pydicom("CT_small.dcm")).unwrap();
    let uids = ["1.3.6.1.4.1.5962.1.1.1.1.1", "1.3.6.1.4.1.5962.1.2.1.", "1.3.6.1.4.1.5962.1.3.1."];
    let others = ["1.3.6.1.4.1.5962.9.1.1.1.1", "1.3.6.1.4.1.5962.9.2.1.", "1.3.6.1.4.1.5962.9.3.1."];
    let names = [("CompressedSamples^CT1", "Smith^Bob            ")];
    for (old, new) in uids.into_iter().zip(others).chain(names) {
        let places: Vec<usize> =
            (0..file.len() - old.len()).filter(|at| file[*at..].starts_with(old.as_bytes())).collect();
        assert!(!places.is_empty(), "{old}");
        for at in places {
            file[at..at + new.len()].copy_from_slice(new.as_bytes());
        }
    }
    file
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

/// The answer of what was not all done.
pub fn in_part(arguments: &[&str]) -> Value {
    let Output { status, stdout, stderr } = clavicle(&[arguments, &["--json"]].concat());
    assert_eq!(status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    let answer: Value = serde_json::from_slice(&stdout).unwrap();
    assert!(answer["error"]["message"].is_string(), "{answer}");
    answer
}

/// Those that are named in an accounting, each with its fate.
pub fn rest(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = answer["accounting"]["rest"].as_array().unwrap();
    rows.iter().map(|row| (text(&row["file"]), text(&row["fate"]))).collect()
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

impl Storescp {
    /// As it is pushed to.
    pub fn to(&self) -> String {
        format!("STORESCP@127.0.0.1:{}", self.port)
    }
}

/// What stands behind the file meta information.
pub fn data_set(file: &[u8]) -> &[u8] {
    let len = u32::from_le_bytes(file[140..144].try_into().unwrap());
    &file[144 + len as usize..]
}
