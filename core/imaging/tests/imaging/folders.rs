//! Folders as they come: links, copies, contradictions, two patients in one study.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use clavicle_imaging::intake::{AttachError, Intake};
use clavicle_imaging::reason::{IntakeError, Reason};
use clavicle_manifest::MediaType;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::Here;

use crate::made::{Named, element};

fn intake(root: &Path) -> Intake {
    Intake::of_folder(root, &Here).unwrap()
}

#[test]
fn copies_add_nothing_and_contradictions_are_kept_apart() {
    let root = tempfile::tempdir().unwrap();
    let (one, other) = (Named::new(1, 1).file(&[]), Named::new(1, 1).file(&[element(0x7fe0, 0x10, "OW", &[1; 4])]));
    fs::create_dir(root.path().join("sub")).unwrap();
    for (name, bytes) in [("a", &one), ("b", &other), ("sub/a", &one), ("z", &one)] {
        fs::write(root.path().join(name), bytes).unwrap();
    }
    let intake = intake(root.path());
    assert_eq!((intake.studies.len(), intake.studies[0].instances(), intake.accounting().given), (1, 1, 4));
    assert_eq!(intake.studies[0].series[0].instances[0].path, root.path().join("a"), "the first stays");
    let copies: Vec<_> = intake.duplicates.iter().map(|one| one.path.clone()).collect();
    assert_eq!(copies, [root.path().join("sub/a"), root.path().join("z")]);
    assert_eq!(intake.conflicts.len(), 1);
    assert_eq!(intake.conflicts[0].path, root.path().join("b"));
    assert_eq!(intake.conflicts[0].instance.stored, clavicle_manifest::StoredDigest::of(&other));
}

#[test]
fn a_study_of_two_patients_is_refused_and_others_are_not() {
    let root = tempfile::tempdir().unwrap();
    let strange = Named { patient: "P2".into(), ..Named::new(1, 2) };
    let elsewhere = Named { study: "1.2.4".into(), patient: "P2".into(), ..Named::new(2, 1) };
    for (name, file) in [("a", Named::new(1, 1)), ("b", strange), ("c", elsewhere)] {
        fs::write(root.path().join(name), file.file(&[])).unwrap();
    }
    let intake = intake(root.path());
    assert_eq!(intake.studies.len(), 1);
    assert_eq!(intake.studies[0].study_instance_uid.as_str(), "1.2.4");
    assert_eq!(intake.quarantined.len(), 2);
    assert!(intake.quarantined.iter().all(|one| matches!(one.reason, Reason::MixedPatients(_))));
}

#[test]
fn links_are_not_followed() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), Named::new(1, 1).file(&[])).unwrap();
    symlink(outside.path(), root.path().join("folder")).unwrap();
    symlink(outside.path().join("secret"), root.path().join("file")).unwrap();
    symlink(root.path(), root.path().join("circle")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    let intake = intake(root.path());
    drop(socket);
    assert!(intake.studies.is_empty());
    let reasons: Vec<_> = intake.quarantined.iter().map(|one| one.reason.to_string()).collect();
    let link = "it is a link, and links are not followed";
    assert_eq!(reasons, [link, link, link, "it is neither a file nor a folder"]);
}

#[test]
fn a_file_given_by_itself_is_taken() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), Named::new(1, 1).file(&[])).unwrap();
    symlink(root.path().join("a"), root.path().join("b")).unwrap();
    assert_eq!(intake(&root.path().join("b")).studies.len(), 1, "who gives a link means what it leads to");
    let listed = Intake::of_files(vec![root.path().join("b"), root.path().join("none")], &Here);
    assert!(matches!(listed.quarantined[0].reason, Reason::Read(ReadError::Link)));
    assert!(matches!(listed.quarantined[1].reason, Reason::Read(ReadError::Io(_))));
}

#[test]
fn folders_are_entered_only_so_deep() {
    let root = tempfile::tempdir().unwrap();
    let mut deep = root.path().to_owned();
    for _ in 0..20 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), Named::new(1, 1).file(&[])).unwrap();
    let intake = intake(root.path());
    assert!(intake.studies.is_empty() && matches!(intake.quarantined[0].reason, Reason::TooDeep));
    let missing = Intake::of_folder(&root.path().join("missing"), &Here);
    assert!(matches!(missing, Err(IntakeError::Folder(_))));
}

#[test]
fn an_attachment_is_what_it_is_said_to_be() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), Named::new(1, 1).file(&[])).unwrap();
    let mut study = intake(root.path()).studies.remove(0);
    let report = root.path().join("report.txt");
    fs::write(&report, "Kein Befund für München.").unwrap();
    study.attach(&report, MediaType::Text).unwrap();
    study.attach(&report, MediaType::Text).unwrap();
    assert_eq!(study.attachments.len(), 1);
    assert_eq!(study.attachments[0].attachment.title.as_str(), "report.txt");
    let error = study.attach(&report, MediaType::Pdf).unwrap_err();
    assert_eq!(error.to_string(), "the attachment is not a PDF");
    fs::write(&report, b"f\xfcr").unwrap();
    assert!(matches!(study.attach(&report, MediaType::Text), Err(AttachError::NotThat(MediaType::Text))));
}
