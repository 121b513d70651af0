//! A study that lies sealed in a wallet, pushed and exported from there: never as a file that anybody could read.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use clavicle_dicom::document::{Imprint, encapsulated_pdf};
use clavicle_dicom::kos::Heading;
use clavicle_imaging::walk;
use clavicle_manifest::{MediaType, Uid};
use clavicle_phantom::{Kind, Phantom};
use clavicle_sandbox::Inspected;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::programs::{Orthanc, Storescp, clavicle, done, python, rest};
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

/// Whether it is the document that a PDF was made into.
fn is_document(bytes: &[u8]) -> bool {
    let class = dicom_dictionary_std::uids::ENCAPSULATED_PDF_STORAGE.as_bytes();
    bytes.windows(class.len()).any(|some| some == class)
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
        let said = wallet.asked("push", &["--to", &to, "--as-sent", "--json"]);
        assert_eq!(said.status.code(), Some(1), "{}", String::from_utf8_lossy(&said.stdout));
        let pushed: Value = serde_json::from_slice(&said.stdout).unwrap();
        let all = json!(visit.files().len() + 1);
        assert_eq!(
            (&pushed["stored"], &pushed["converted"], &pushed["reports"]),
            (&all, &json!(0), &json!(1)),
            "{pushed}"
        );
        // A PDF goes as a document. A text of which nobody knows when it was written is named.
        let [row] = pushed["accounting"]["rest"].as_array().unwrap().as_slice() else { panic!("{pushed}") };
        assert!(row["fate"] == "skipped" && row["file"].as_str().unwrap().ends_with(".txt"), "{pushed}");
        assert!(row["why"].as_str().unwrap().contains("when it was written"), "{pushed}");
        // Nobody could be asked for more.
        assert!(pushed["not_asked"].as_str().unwrap().contains("relay"), "{pushed}");
        let (documents, images): (Vec<_>, Vec<_>) = orthanc.files().into_iter().partition(|file| is_document(file));
        assert!(all_said(&images) == all_said(&visit.files()), "not what was fetched");
        // However often it is sent, it is there once, and has all of the PDF.
        assert_eq!(documents.len(), 1);
        assert!(documents[0].windows(8).any(|bytes| bytes == b"%PDF-1.4"));
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
    // All but a text of which nobody knows when it was written.
    let pushed = wallet.asked("push", &[&options[..4], &["--json"]].concat());
    let pushed: Value = serde_json::from_slice(&pushed.stdout).unwrap();
    assert_eq!((rest(&pushed).len(), &pushed["error"]["code"]), (1, &json!("not_stored")), "{pushed}");
    let all = visit.files().len();
    assert_eq!((&pushed["stored"], &pushed["converted"]), (&json!(all + 1), &json!(all + 1)), "{pushed}");
    let program = "import sys, pydicom; print(*{pydicom.dcmread(path).PatientID for path in sys.argv[1:]})";
    let received = scp.paths();
    assert_eq!(python(program, &received.iter().map(PathBuf::as_path).collect::<Vec<_>>()).trim(), "4711");
    holds_no_image(wallet.folder());
    // From a folder, whose images lie about already, that needs a place on the disk: there is none here either.
    let mut from_folder = Command::new(env!("CARGO_BIN_EXE_clavicle"));
    from_folder.env("TMPDIR", "/nowhere").arg("push").arg(visit.images()).args(&options[..4]);
    let why = String::from_utf8(from_folder.output().unwrap().stderr).unwrap();
    assert!(why.contains(&format!("{all} of {all} files are not stored")), "{why}");
    assert!(why.contains("there is no room for a copy of it"), "{why}");
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
    let (shown, why) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    // The images that are there, and the report that can go.
    assert!(!said.status.success() && shown.contains(&format!("{} instances stored in", all - 1)), "{shown}{why}");
    assert_eq!(shown.matches(".dcm: it did not arrive").count(), 2, "{shown}");
    assert!(why.contains("2 missing"), "{why}");
    assert_eq!(scp.paths().len(), all - 1);
    let said = wallet.asked("export", &["--out", "cd"]);
    let why = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && why.contains("files are not written (2 missing)"), "{why}");
    let written = clavicle(&["view", wallet.folder().join("cd").to_str().unwrap()]);
    let shown = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(shown.contains("skipped") && shown.contains("REP00001") && !shown.contains("missing"), "{shown}");
    let seen = wallet.asked("view", &[]);
    assert!(!seen.status.success() && String::from_utf8_lossy(&seen.stderr).contains("(2 missing)"));
}

#[test]
fn reports_are_read_where_they_lie_sealed_the_newest_first() {
    let visit = Visit::new();
    let hl7 = |status: &str, day: &str, said: &str| {
        format!("MSH|^~\\&|RIS|MERCY|||{day}||ORU^R01|1|P|2.5\rOBX|1|TX|||{said}||||||{status}")
    };
    let write = |name: &str, bytes: &str| {
        let path = visit.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (old, new) = (write("old.hl7", &hl7("F", "20260201", "Old.")), write("new.hl7", &hl7("A", "20260203", "New.")));
    let fhir = r#"{"resourceType":"DiagnosticReport","status":"final","issued":"2026-02-02","conclusion":"Between."}"#;
    let (fhir, pdf) = (write("between.json", fhir), write("letter.pdf", crate::PDF));
    let all = [
        (pdf.as_path(), MediaType::Pdf),
        (old.as_path(), MediaType::Hl7V2),
        (fhir.as_path(), MediaType::FhirJson),
        (new.as_path(), MediaType::Hl7V2),
    ];
    let wallet = Wallet::of(&visit.images(), &all, 0);
    let said = wallet.done("view", &[]);
    let rows = said["reports"].as_array().unwrap();
    // The structured report among the images is listed, too.
    assert_eq!(rows.len(), 5, "{said}");
    let is_attached = |row: &&Value| row["kind"] != "structured report" && row["text"].is_string();
    let attached: Vec<&Value> = rows.iter().filter(is_attached).collect();
    let texts: Vec<_> = attached.iter().map(|row| row["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["(addendum):\nNew.", "Between.", "Old."], "{said}");
    let stages: Vec<_> = attached.iter().map(|row| row["stage"].clone()).collect();
    assert_eq!(stages, ["addendum", "final", "final"], "{said}");
    // In words, with the images that it names by their numbers, and what speaks against it.
    let report = rows.iter().find(|row| row["kind"] == "structured report").unwrap();
    let text = report["text"].as_str().unwrap();
    assert!(
        text.contains("Findings:\n  Finding: In the white matter") && text.contains("; series 2, image "),
        "{text}"
    );
    assert!(report["warnings"][0].as_str().unwrap().starts_with("NOT VERIFIED"), "{report}");
    let number = report["number"].to_string();
    let alone = wallet.done("view", &["--report", &number]);
    assert_eq!(alone["text"], report["text"], "{alone}");
    assert!(!wallet.asked("view", &["--report", &number, "--png", "words.png"]).status.success());
    // Who it is about, as the images say.
    assert!(said["about"]["id"].as_str().is_some_and(|id| !id.is_empty()), "{said}");
    let number = rows.iter().find(|row| row["kind"] == "PDF").unwrap()["number"].to_string();
    let drawn = wallet.done("view", &["--report", &number, "--page", "2", "--png", "page.png", "--side", "100"]);
    assert_eq!((&drawn["page"], &drawn["pages"]), (&json!(2), &json!(2)), "{drawn}");
    assert!(wallet.folder().join("page.png").exists());
    assert!(!wallet.asked("view", &["--report", "9"]).status.success());
    // And they go into an archive: texts that say when they were written, and the PDF.
    let scp = Storescp::start(&[]);
    let pushed = wallet.done("push", &["--to", &scp.to(), "--as-sent"]);
    assert_eq!((&pushed["reports"], rest(&pushed).len()), (&json!(4), 0), "{pushed}");
    let program = "import sys, pydicom\nfor path in sys.argv[1:]:\n  one = pydicom.dcmread(path)\n  \
                   if one.SOPClassUID.name == 'Basic Text SR Storage' and one.SeriesNumber == 9001: print(one.ContentSequence[0].TextValue, one.ContentDate)";
    let received = scp.paths();
    let texts = python(program, &received.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let mut texts: Vec<&str> = texts.trim().lines().collect();
    texts.sort_unstable();
    assert_eq!(texts, ["(addendum):", "Between. 20260202", "New. 20260203", "Old. 20260201"]);
}

/// A PDF among the images could not be looked at, and nobody said that a report was of somebody else.
#[test]
fn a_letter_that_is_an_instance_is_drawn_and_a_report_of_somebody_else_is_called_one() {
    let visit = Visit::new();
    let first = &walk::files(&visit.images()).unwrap().0[0];
    let image = fs::read(first).unwrap();
    let heading = Heading::read(Cursor::new(&image), image.len() as u64).unwrap();
    let uid = |number: u32| Uid::new(&format!("2.25.{number}")).unwrap();
    let imprint = Imprint {
        sop_instance_uid: uid(10),
        series_instance_uid: uid(11),
        title: "Letter".to_owned(),
        written: None,
        is_complete: true,
    };
    let letter = encapsulated_pdf(&heading, &imprint, crate::PDF.as_bytes());
    fs::write(visit.images().join("letter.dcm"), letter).unwrap();
    let other = visit.0.path().join("other.hl7");
    let said = "MSH|^~\\&|RIS|MERCY|||20260203||ORU^R01|1|P|2.5\rPID|||0815||Smith^Bob\rOBX|1|TX|||Other.||||||F";
    fs::write(&other, said).unwrap();
    let wallet = Wallet::of(&visit.images(), &[(&other, MediaType::Hl7V2)], 0);
    let said = wallet.done("view", &[]);
    let rows = said["reports"].as_array().unwrap();
    let of = |kind: &str| rows.iter().find(|row| row["kind"] == kind).unwrap();
    let warning = of("HL7")["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("OF ANOTHER PATIENT") && warning.contains("0815"), "{said}");
    for kind in ["PDF in DICOM", "structured report"] {
        let warnings = of(kind)["warnings"].as_array().unwrap();
        assert!(!warnings.iter().any(|one| one.as_str().unwrap().contains("PATIENT")), "{said}");
    }
    let number = of("PDF in DICOM")["number"].to_string();
    let drawn = wallet.done("view", &["--report", &number, "--page", "2", "--png", "letter.png", "--side", "100"]);
    assert_eq!((&drawn["page"], &drawn["pages"], &drawn["title"]), (&json!(2), &json!(2), &json!("Letter")), "{drawn}");
    assert!(wallet.folder().join("letter.png").exists());
}
