//! Reports come into a study, go out of it, take each other's place, and are never another patient's.

use std::fs;
use std::path::Path;

use clavicle_network::file as network_file;
use clavicle_phantom::{Kind, Phantom};
use clavicle_relay::archive::Archive;
use clavicle_relay::home::Home;
use serde_json::Value;

use crate::ingest::{brain, done, hospital, relay};

/// The patient of the images that tests have: the id and the sex are all that they say.
const ID: &str = "123565";

fn hl7(id: &str, status: &str, written: &str, said: &str) -> String {
    [
        "MSH|^~\\&|RIS|MERCY|||20260101||ORU^R01|1|P|2.5",
        &format!("PID|1||{id}^^^mercy||Rossi^Ana||19530117|F"),
        &format!("OBR|1||A123|MR^MR of the brain|||20260101|||||||||||||||{written}|||{status}"),
        &format!("OBX|1|TX|IMP^Impression||{said}||||||{status}"),
    ]
    .join("\r")
}

fn fhir(id: &str, gender: &str) -> String {
    serde_json::json!({
        "resourceType": "DiagnosticReport", "status": "final", "issued": "2026-03-01T08:00:00Z",
        "subject": { "reference": "#p" }, "conclusion": "No acute finding.",
        "contained": [{
            "resourceType": "Patient", "id": "p", "gender": gender, "identifier": [{ "value": id }],
        }],
    })
    .to_string()
}

fn archive(folder: &Path) -> Archive {
    let home = Home::at(&folder.join("mercy"));
    let genesis = network_file::read_genesis(&home.network_file()).unwrap();
    Archive::open(&home.archive_folder(), &home.catalogue_file(), genesis.chain_id()).unwrap()
}

/// A relay that has a study, and the study's id.
fn with_study() -> (tempfile::TempDir, String) {
    let folder = hospital();
    brain(folder.path(), "disc", 2..=4);
    let taken = done(folder.path(), &["ingest", "--dir", "mercy", "disc"]);
    let study = taken["studies"][0].as_str().unwrap().to_owned();
    (folder, study)
}

/// What was refused: code and sentence.
fn refused(folder: &Path, arguments: &[&str]) -> (String, String) {
    let said = relay(folder, &[&["--json"], arguments].concat());
    assert!(!said.status.success(), "{arguments:?}");
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let part = |name: &str| said["error"][name].as_str().unwrap().to_owned();
    (part("code"), part("message"))
}

/// The reports of a study in their order: when each was written, what it is to earlier ones, what it is called.
fn listed(folder: &Path, study: &str) -> Vec<[String; 3]> {
    let list = done(folder, &["reports", "--dir", "mercy", study]);
    let rows = list["reports"].as_array().unwrap().iter();
    rows.map(|row| ["written", "stage", "title"].map(|name| row[name].as_str().unwrap_or_default().to_owned()))
        .collect()
}

#[test]
fn a_report_of_another_patient_is_refused_with_what_differs() {
    let (folder, study) = with_study();
    let folder = folder.path();
    let write = |name: &str, said: &str| fs::write(folder.join(name), said).unwrap();
    write("right.hl7", &hl7(ID, "F", "202602011200", "Normal."));
    write("wrong.hl7", &hl7("999", "F", "202602011200", "Normal."));
    write("he.json", &fhir(ID, "male"));
    write("she.json", &fhir(ID, "female"));
    write("nobody.json", &fhir("", "female"));
    write("bare.pdf", "%PDF-1.4\n");
    write("finding.txt", "Normal.\n");
    let attach = |name: &'static str, more: &[&'static str]| {
        let all = [&["attach", "--dir", "mercy", study.as_str(), name][..], more].concat();
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let tried = |name: &'static str, more: &[&'static str]| {
        let arguments = attach(name, more);
        refused(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (code, why) = tried("wrong.hl7", &[]);
    assert_eq!(code, "other_patient");
    assert!(why.contains("Patient ID is “123565” in the study and “999” in the report"), "{why}");
    let (code, why) = tried("he.json", &[]);
    assert_eq!(code, "other_patient");
    assert!(why.contains("Patient's Sex is “F” in the study and “M” in the report"), "{why}");
    // Whom it is about cannot be told: somebody has to look, and say so.
    for name in ["nobody.json", "bare.pdf"] {
        let (code, why) = tried(name, &[]);
        assert!(code == "unchecked" && why.contains("--unchecked"), "{why}");
    }
    assert!(listed(folder, &study).is_empty());
    let taken = |name: &'static str, more: &[&'static str]| {
        let arguments = attach(name, more);
        done(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>())["attached"]["checked"].clone()
    };
    assert_eq!(taken("right.hl7", &[]), true);
    assert_eq!(taken("she.json", &[]), true);
    assert_eq!(taken("bare.pdf", &["--unchecked"]), false);
    // A text names somebody to whoever reads it.
    assert_eq!(taken("finding.txt", &[]), false);
    // To look is no reason to take what contradicts the study.
    assert_eq!(tried("wrong.hl7", &["--unchecked"]).0, "other_patient");

    // With the images it is the same.
    let (code, why) = refused(folder, &["ingest", "--dir", "mercy", "disc", "--report", "wrong.hl7"]);
    assert!(code == "other_patient" && why.contains("“999” in the report"), "{why}");
    let (code, _) = refused(folder, &["ingest", "--dir", "mercy", "disc", "--report", "bare.pdf"]);
    assert_eq!(code, "unchecked");
    let taken = done(folder, &["ingest", "--dir", "mercy", "disc", "--report", "right.hl7"]);
    assert_eq!((&taken["attached"]["kind"], &taken["attached"]["checked"]), (&"HL7".into(), &true.into()), "{taken}");
}

#[test]
fn reports_are_listed_the_newest_first_and_addenda_as_such() {
    let (folder, study) = with_study();
    let folder = folder.path();
    for (name, status, written) in
        [("one.hl7", "F", "202602011200"), ("two.hl7", "A", "202602031200"), ("three.hl7", "C", "202602021200")]
    {
        fs::write(folder.join(name), hl7(ID, status, written, name)).unwrap();
        done(folder, &["attach", "--dir", "mercy", &study, name]);
    }
    assert_eq!(
        listed(folder, &study),
        [
            ["2026-02-03 12:00", "addendum", "two.hl7"],
            ["2026-02-02 12:00", "corrected", "three.hl7"],
            ["2026-02-01 12:00", "final", "one.hl7"],
        ]
    );
    // One that takes another back is none to attach.
    fs::write(folder.join("back.hl7"), hl7(ID, "X", "202602041200", "Withdrawn.")).unwrap();
    let (code, why) = refused(folder, &["attach", "--dir", "mercy", &study, "back.hl7"]);
    assert!(code == "report" && why.contains("detach"), "{why}");
}

#[test]
fn a_report_goes_and_another_takes_its_place_and_no_byte_is_lost_or_left() {
    let (folder, study) = with_study();
    let folder = folder.path();
    let attach = |name: &str, more: &[&str]| {
        done(folder, &[&["attach", "--dir", "mercy", study.as_str(), name][..], more].concat())
    };
    let digest = |done: &Value| done["attached"]["digest"].as_str().unwrap().to_owned();
    let titles = || listed(folder, &study).into_iter().map(|[_, _, title]| title).collect::<Vec<_>>();
    // How many files there are; each of them is some study's.
    let files = || {
        let checked = done(folder, &["check", "--dir", "mercy"]);
        assert_eq!(checked["stray"].as_array().map(Vec::len), Some(0), "{checked}");
        checked["accounting"]["taken"].as_u64().unwrap()
    };
    for (name, said) in [("one.hl7", "One."), ("two.hl7", "Two."), ("three.hl7", "Three.")] {
        fs::write(folder.join(name), hl7(ID, "F", "202602011200", said)).unwrap();
    }
    // Nobody holds the study: what goes is gone.
    let one = digest(&attach("one.hl7", &[]));
    assert_eq!((&attach("one.hl7", &[])["known"], files()), (&true.into(), 4));
    let two = digest(&attach("two.hl7", &["--replaces", &one[..12]]));
    assert_eq!((titles(), files()), (vec!["two.hl7".to_owned()], 4));
    let gone = done(folder, &["detach", "--dir", "mercy", &study, &two]);
    assert_eq!((&gone["revision"], &gone["kept"]), (&0.into(), &false.into()), "{gone}");
    assert_eq!((titles().len(), files()), (0, 3));
    let (code, _) = refused(folder, &["detach", "--dir", "mercy", &study, &two]);
    assert_eq!(code, "report");

    // Once somebody holds it, each change is a revision, and the earlier ones keep what they had.
    attach("one.hl7", &[]);
    {
        let archive = archive(folder);
        let study = archive.studies().unwrap().remove(0).study;
        let entry = archive.entry(study).unwrap().unwrap();
        let chain = network_file::read_genesis(&Home::at(&folder.join("mercy")).network_file()).unwrap().chain_id();
        let manifest = &entry.manifest.manifest;
        archive.claim(manifest.header().study, &manifest.root(&chain), &chain).unwrap();
    }
    let replaced = attach("three.hl7", &["--replaces", &one]);
    assert_eq!((&replaced["revision"], titles()), (&1.into(), vec!["three.hl7".to_owned()]), "{replaced}");
    let gone = done(folder, &["detach", "--dir", "mercy", &study, &digest(&replaced)]);
    assert_eq!((&gone["revision"], &gone["kept"]), (&2.into(), &true.into()), "{gone}");
    let list = done(folder, &["reports", "--dir", "mercy", &study]);
    let detached = list["detached"].as_array().unwrap();
    assert_eq!((list["reports"].as_array().unwrap().len(), detached.len()), (0, 2), "{list}");
    assert_eq!((&detached[0]["title"], &detached[0]["until_revision"]), (&"three.hl7".into(), &1.into()), "{list}");
    assert_eq!(files(), 5);
    // What comes back is counted once.
    assert_eq!((&attach("one.hl7", &[])["revision"], files()), (&3.into(), 5));

    // A catalogue that is made anew has all of it.
    fs::remove_file(folder.join("mercy/catalogue.redb")).unwrap();
    done(folder, &["rebuild", "--dir", "mercy"]);
    assert_eq!((titles(), files()), (vec!["one.hl7".to_owned()], 5));
}

#[test]
fn a_structured_report_is_attached_to_its_own_study_alone() {
    let folder = hospital();
    let folder = folder.path();
    let all = Phantom { slices: 3, size: 64, ..Phantom::of(Kind::HeadMr) }.write(&folder.join("all")).unwrap();
    let report = all.iter().find(|path| path.to_str().unwrap().contains("5-report")).unwrap();
    fs::rename(report, folder.join("report.dcm")).unwrap();
    let taken = done(folder, &["ingest", "--dir", "mercy", "all"]);
    let study = taken["studies"][0].as_str().unwrap().to_owned();
    let attached = done(folder, &["attach", "--dir", "mercy", &study, "report.dcm"]);
    assert_eq!((&attached["attached"]["kind"], &attached["known"]), (&"DICOM".into(), &false.into()), "{attached}");
    assert_eq!(listed(folder, &study).len(), 1);
    assert_eq!(done(folder, &["attach", "--dir", "mercy", &study, "report.dcm"])["known"], true);
    // Images are no reports, and another study's are not this one's.
    brain(folder, "brain", 2..=2);
    fs::rename(folder.join("brain/brain_002.dcm"), folder.join("image.dcm")).unwrap();
    let (code, why) = refused(folder, &["attach", "--dir", "mercy", &study, "image.dcm"]);
    assert!(code == "report" && why.contains("it is no document"), "{why}");
    brain(folder, "brain", 3..=3);
    let other = done(folder, &["ingest", "--dir", "mercy", "brain"])["studies"][0].as_str().unwrap().to_owned();
    let (code, why) = refused(folder, &["attach", "--dir", "mercy", &other, "report.dcm"]);
    assert!(code == "report" && why.contains("it says that it is of study"), "{why}");
}
