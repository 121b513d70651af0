//! A study that lies sealed in a wallet, pushed and exported from there: never as a file that anybody could read.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use clavicle_imaging::walk;
use clavicle_manifest::MediaType;
use clavicle_phantom::{Kind, Phantom};
use clavicle_sandbox::Inspected;
use serde_json::json;
use tempfile::TempDir;

use crate::programs::{Orthanc, Storescp, clavicle, done, python};
use crate::wallet::Wallet;

/// A study of images and a report in DICOM, and two reports that are none.
struct Visit(TempDir);

impl Visit {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Phantom { slices: 3, size: 64, ..Phantom::of(Kind::HeadMr) }.write(&folder.path().join("images")).unwrap();
        fs::write(folder.path().join("finding.txt"), "No acute finding.\n").unwrap();
        fs::write(folder.path().join("letter.pdf"), "%PDF-1.4").unwrap();
        Self(folder)
    }

    fn images(&self) -> PathBuf {
        self.0.path().join("images")
    }

    fn files(&self) -> Vec<Vec<u8>> {
        walk::files(&self.images()).unwrap().0.iter().map(|path| fs::read(path).unwrap()).collect()
    }

    fn fetched(&self, lacking: usize) -> Wallet {
        let [text, pdf] = ["finding.txt", "letter.pdf"].map(|name| self.0.path().join(name));
        Wallet::of(&self.images(), &[(&text, MediaType::Text), (&pdf, MediaType::Pdf)], lacking)
    }
}

/// What an instance is, however it is written.
fn said(bytes: &[u8]) -> impl PartialEq + Ord + use<> {
    let seen = Inspected::read(Cursor::new(bytes), bytes.len() as u64).unwrap();
    (seen.facts.sop_instance_uid, seen.dataset.map(|dataset| dataset.digest), seen.pixels)
}

fn all_said(files: &[Vec<u8>]) -> Vec<impl PartialEq + Ord + use<>> {
    let mut all: Vec<_> = files.iter().map(|file| said(file)).collect();
    all.sort();
    all
}

/// Nothing below is a DICOM file, or holds one.
fn holds_no_image(folder: &Path) {
    for path in walk::files(folder).unwrap().0 {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(4).any(|four| four == b"DICM"), "{}", path.display());
    }
}

#[test]
fn an_archive_gets_a_sealed_study_that_was_never_a_file() {
    let visit = Visit::new();
    let (wallet, orthanc) = (visit.fetched(0), Orthanc::start());
    for to in [format!("ORTHANC@127.0.0.1:{}", orthanc.dicom), format!("http://127.0.0.1:{}/dicom-web", orthanc.http)] {
        let pushed = wallet.done("push", &["--to", &to, "--as-sent"]);
        assert_eq!((&pushed["stored"], &pushed["converted"]), (&json!(visit.files().len()), &json!(0)), "{pushed}");
        // The reports that are no DICOM are named.
        let not_sent = pushed["not_sent"].as_array().unwrap();
        let named = |end: &str| not_sent.iter().any(|one| one["path"].as_str().unwrap().ends_with(end));
        assert!(not_sent.len() == 2 && named(".txt") && named(".pdf"), "{pushed}");
        // Nobody could be asked for more.
        assert!(pushed["not_asked"].as_str().unwrap().contains("relay"), "{pushed}");
        assert!(all_said(&orthanc.files()) == all_said(&visit.files()), "not what was fetched");
    }
    holds_no_image(wallet.folder());
}

#[test]
fn a_sealed_study_is_written_anew_in_memory_alone() {
    let visit = Visit::new();
    let (wallet, scp) = (visit.fetched(0), Storescp::start(&["+xi"]));
    let options = ["--to", &scp.to(), "--patient-id", "4711", "--patient-sex", "F"].map(str::to_owned);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let said = wallet.asked("push", &options);
    let why = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && why.contains("this may be another patient's study"), "{why}");
    assert_eq!(scp.paths().len(), 0);
    let pushed = wallet.done("push", &options[..4]);
    let all = visit.files().len();
    assert_eq!((&pushed["stored"], &pushed["converted"]), (&json!(all), &json!(all)), "{pushed}");
    let program = "import sys, pydicom; print(*{pydicom.dcmread(path).PatientID for path in sys.argv[1:]})";
    let received = scp.paths();
    assert_eq!(python(program, &received.iter().map(PathBuf::as_path).collect::<Vec<_>>()).trim(), "4711");
    holds_no_image(wallet.folder());
    // From a folder, whose images lie about already, that needs a place on the disk: there is none here either.
    let mut from_folder = Command::new(env!("CARGO_BIN_EXE_clavicle"));
    from_folder.env("TMPDIR", "/nowhere").arg("push").arg(visit.images()).args(&options[..4]);
    let why = String::from_utf8(from_folder.output().unwrap().stderr).unwrap();
    assert!(why.contains(&format!("0 of {all} stored")) && why.contains("there is no room for a copy of it"), "{why}");
}

/// The records of a DICOMDIR without the bytes at which they begin.
const RECORDS: &str = r#"
import sys, pydicom
for one in pydicom.dcmread(sys.argv[1]).DirectoryRecordSequence:
    print([(str(element.tag), str(element.value)) for element in one if not element.keyword.startswith('Offset')])
"#;

/// Every file of a File-set but its table of contents, which is told as records.
fn tree(root: &Path) -> (Vec<(PathBuf, Vec<u8>)>, String) {
    let table = root.join("DICOMDIR");
    let dump = Command::new("dcmdump").arg(&table).output().unwrap();
    assert!(dump.status.success() && dump.stderr.is_empty(), "{}", String::from_utf8_lossy(&dump.stderr));
    let all = walk::files(root).unwrap().0.into_iter().filter(|path| *path != table);
    let all = all.map(|path| (path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()));
    (all.collect(), python(RECORDS, &[&table]))
}

#[test]
fn a_sealed_study_makes_the_same_file_set_as_its_files() {
    let visit = Visit::new();
    let (wallet, all) = (visit.fetched(0), visit.files().len());
    // What `fetch --out` writes has the reports beside, under their digests.
    let beside = tempfile::tempdir().unwrap();
    for (name, media_type) in [("finding.txt", "txt"), ("letter.pdf", "pdf")] {
        let bytes = fs::read(visit.0.path().join(name)).unwrap();
        let digest = clavicle_manifest::StoredDigest::of(&bytes);
        fs::write(visit.images().join(format!("report-{digest}.{media_type}")), bytes).unwrap();
    }
    let theirs = beside.path().join("theirs");
    done(&["export", visit.images().to_str().unwrap(), "--out", theirs.to_str().unwrap()]);
    let said = wallet.done("export", &["--out", "ours"]);
    assert_eq!((&said["instances"], &said["reports"]), (&json!(all), &json!(2)), "{said}");
    let ours = wallet.folder().join("ours");
    let (expected, found) = (tree(&theirs), tree(&ours));
    assert_eq!(expected.0.len(), all + 2);
    assert!(expected == found, "{}\n{}", expected.1, found.1);
    // The same in a zip; and nothing is written over.
    wallet.done("export", &["--out", "ours.zip"]);
    let program = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    let unpacked = beside.path().join("unpacked");
    python(program, &[&wallet.folder().join("ours.zip"), &unpacked]);
    assert!(tree(&unpacked) == expected);
    for out in ["ours", "ours.zip"] {
        let why = String::from_utf8(wallet.asked("export", &["--out", out]).stderr).unwrap();
        assert!(why.contains("is there already"), "{why}");
    }
}

#[test]
fn what_did_not_arrive_is_named_and_the_rest_goes() {
    let visit = Visit::new();
    let (wallet, scp) = (visit.fetched(2), Storescp::start(&["+xa"]));
    let all = visit.files().len();
    let said = wallet.asked("push", &["--to", &scp.to(), "--as-sent"]);
    let why = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && why.contains(&format!("{} of {all} stored; 2 failed:", all - 2)), "{why}");
    assert_eq!(why.matches(".dcm: it did not arrive").count(), 2, "{why}");
    assert_eq!(scp.paths().len(), all - 2);
    let said = wallet.asked("export", &["--out", "cd"]);
    let why = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && why.contains("2 files of the study did not arrive"), "{why}");
    let written = clavicle(&["view", wallet.folder().join("cd").to_str().unwrap()]);
    let shown = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(written.status.success() && shown.contains("REP00001"), "{shown}");
}
