//! `export`: a File-set as other programs see it.

use std::fs;
use std::path::Path;
use std::process::Command;

use clavicle_imaging::walk;
use clavicle_phantom::{Kind, Phantom};
use clavicle_sandbox::reader::{Here, Reader as _};

use crate::programs::{Storescp, done, folder_of, pydicom, python, refused, rest, somebody_else};

const NAMES: [&str; 8] = [
    "CT_small.dcm",
    "MR_small.dcm",
    "JPEG2000.dcm",
    "test-SR.dcm",
    "rtplan.dcm",
    "rtdose.dcm",
    "waveform_ecg.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
];

/// Loads the File-set with pydicom, which follows every offset, and checks each instance against its record.
const LOADED: &str = r#"
import sys, pydicom
from pathlib import Path
from pydicom.fileset import FileSet
root = Path(sys.argv[1])
files = FileSet(root / 'DICOMDIR')
for one in files:
    there = pydicom.dcmread(one.path, force=False)
    assert there.SOPInstanceUID == one.ReferencedSOPInstanceUIDInFile
    assert there.file_meta.TransferSyntaxUID == one.ReferencedTransferSyntaxUIDInFile
    assert there.StudyInstanceUID == one.StudyInstanceUID and there.SeriesInstanceUID == one.SeriesInstanceUID
    print(one.node.record_type, one.SOPInstanceUID, sep='|')
"#;

fn names_are_plain(root: &Path) {
    for path in walk::files(root).unwrap().0 {
        let name = path.strip_prefix(root).unwrap();
        for part in name.iter().map(|part| part.to_str().unwrap()).filter(|part| !part.contains('.')) {
            let is_plain = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
            assert!(part.len() <= 8 && part.bytes().all(is_plain), "{part}");
        }
    }
}

#[test]
fn a_file_set_is_read_by_other_programs_and_has_every_byte() {
    let folder = folder_of(&NAMES);
    fs::write(folder.path().join("report-1.txt"), "No acute finding.\n").unwrap();
    let out = tempfile::tempdir().unwrap();
    let root = out.path().join("cd");
    let said = done(&["export", folder.path().to_str().unwrap(), "--out", root.to_str().unwrap()]);
    assert_eq!((said["instances"].as_u64(), said["reports"].as_u64()), (Some(8), Some(1)), "{said}");
    names_are_plain(&root);
    let mut there: Vec<Vec<u8>> = walk::files(&root).unwrap().0.iter().map(|path| fs::read(path).unwrap()).collect();
    there.retain(|file| NAMES.iter().any(|name| fs::read(pydicom(name)).unwrap() == *file));
    assert_eq!(there.len(), NAMES.len(), "byte for byte");
    assert_eq!(fs::read(root.join("REPORTS/REP00001.TXT")).unwrap(), b"No acute finding.\n");

    let loaded = python(LOADED, &[&root]);
    let mut kinds: Vec<&str> = loaded.lines().map(|line| line.split_once('|').unwrap().0).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["IMAGE", "IMAGE", "IMAGE", "IMAGE", "RT DOSE", "RT PLAN", "SR DOCUMENT", "WAVEFORM"]);

    // dcmtk walks the records by their offsets, and says what does not fit.
    let output = Command::new("dcmdump").arg(root.join("DICOMDIR")).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches("ReferencedSOPInstanceUIDInFile").count(), NAMES.len());

    // And our own, which believes no offset.
    let listed = Here.list_one(&root.join("DICOMDIR")).unwrap();
    assert_eq!((listed.instances.len(), listed.nameless), (NAMES.len(), 0));
    assert!(listed.instances.iter().all(|one| one.study_instance_uid.is_some() && one.series_instance_uid.is_some()));
    let said = refused(&["export", folder.path().to_str().unwrap(), "--out", root.to_str().unwrap()]);
    assert!(said.contains("is there already"), "{said}");
}

/// Each record as its type, and what it stands for.
const RECORDS: &str = r#"
import sys, pydicom
for path in sys.argv[1:]:
    for one in pydicom.dcmread(path).DirectoryRecordSequence:
        keys = ['ReferencedFileID', 'ReferencedSOPClassUIDInFile', 'ReferencedSOPInstanceUIDInFile', 'ReferencedTransferSyntaxUIDInFile',
            'StudyInstanceUID', 'SeriesInstanceUID', 'PatientID', 'PatientName', 'Modality', 'SeriesNumber', 'InstanceNumber', 'StudyDate']
        print(one.DirectoryRecordType, [str(one.get(key)) for key in keys])
    print('--')
"#;

#[test]
fn its_records_are_those_that_dcmtk_makes() {
    // What dcmtk takes into a DICOMDIR of the general kind, with all that it asks for.
    let folder = folder_of(&["CT_small.dcm", "MR_small.dcm"]);
    Phantom { slices: 3, size: 64, ..Phantom::of(Kind::HeadMr) }.write(&folder.path().join("head")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let root = out.path().join("cd");
    let said = done(&["export", folder.path().to_str().unwrap(), "--out", root.to_str().unwrap()]);
    assert_eq!((said["studies"].as_u64(), rest(&said).len()), (Some(3), 0), "{said}");
    let ours = out.path().join("OURS");
    fs::rename(root.join("DICOMDIR"), &ours).unwrap();
    // dicom3tools holds it against the standard's modules.
    let output = Command::new("dciodvfy").arg(&ours).output().unwrap();
    let verdict = String::from_utf8_lossy(&output.stderr);
    assert!(verdict.contains("BasicDirectory") && !verdict.contains("Error"), "{verdict}");

    let theirs = out.path().join("THEIRS");
    let made = Command::new("dcmmkdir")
        .args(["--general-purpose", "--recurse", "--no-backup", "+D"])
        .arg(&theirs)
        .args(["+id", "."])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(made.stderr.is_empty(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = python(RECORDS, &[&ours, &theirs]);
    let (ours, theirs) = said.split_once("--\n").unwrap();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().filter(|line| *line != "--").map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(ours), sorted(theirs));
}

/// Two persons with the same number of two hospitals were one patient in the DICOMDIR, with the studies of both.
#[test]
fn one_number_of_two_hospitals_is_two_patients_on_a_medium() {
    let folder = folder_of(&["CT_small.dcm"]);
    fs::write(folder.path().join("other.dcm"), somebody_else()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let root = out.path().join("cd");
    let said = done(&["export", folder.path().to_str().unwrap(), "--out", root.to_str().unwrap()]);
    assert_eq!((said["studies"].as_u64(), said["instances"].as_u64()), (Some(2), Some(2)), "{said}");
    let said = python(RECORDS, &[&root.join("DICOMDIR")]);
    let patients: Vec<&str> = said.lines().filter(|line| line.starts_with("PATIENT ")).collect();
    assert!(patients.len() == 2 && patients.iter().any(|line| line.contains("Smith^Bob")), "{said}");
}

/// An image that was cut off, or whose study names two patients, was left out of what was sent and written, and all was said to be well.
#[test]
fn an_image_that_is_left_out_is_not_all_that_was_asked_for() {
    let (folder, scp) = (folder_of(&["CT_small.dcm", "MR_small.dcm"]), Storescp::start(&[]));
    let cut = fs::read(folder.path().join("MR_small.dcm")).unwrap();
    fs::write(folder.path().join("MR_small.dcm"), &cut[..cut.len() / 2]).unwrap();
    fs::write(folder.path().join("notes.doc"), "no image").unwrap();
    let (from, out) = (folder.path().to_str().unwrap(), tempfile::tempdir().unwrap());
    let said = refused(&["push", from, "--to", &scp.to(), "--as-sent"]);
    assert!(said.contains("2 of 3 files are not stored in") && said.contains("1 unreadable, 1 skipped"), "{said}");
    assert!(said.contains("MR_small.dcm: "), "the worst is named: {said}");
    let root = out.path().join("cd");
    let said = refused(&["export", from, "--out", root.to_str().unwrap()]);
    assert!(said.contains("2 of 3 files are not written") && said.contains("MR_small.dcm: "), "{said}");
    assert!(root.join("DICOMDIR").exists(), "what could be written is there");

    // Two of one name, of which a medium can hold one.
    fs::remove_file(folder.path().join("MR_small.dcm")).unwrap();
    let mut other = fs::read(folder.path().join("CT_small.dcm")).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(folder.path().join("other.dcm"), other).unwrap();
    let root = out.path().join("second");
    let said = refused(&["export", from, "--out", root.to_str().unwrap()]);
    assert!(said.contains("1 conflict") && said.contains("other.dcm: the same SOP Instance UID"), "{said}");
    assert!(root.join("DICOMDIR").exists());
}

#[test]
fn a_zip_holds_the_same() {
    let folder = folder_of(&NAMES[..4]);
    fs::write(folder.path().join("report-1.pdf"), "%PDF-1.4").unwrap();
    let out = tempfile::tempdir().unwrap();
    let zip = out.path().join("study.zip");
    let said = done(&["export", folder.path().to_str().unwrap(), "--out", zip.to_str().unwrap()]);
    assert_eq!(said["instances"].as_u64(), Some(4), "{said}");
    let unpacked = out.path().join("unpacked");
    let program = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; z.extractall(sys.argv[2]); \
        print(all(i.compress_type == 0 for i in z.infolist()), len(z.infolist()))";
    assert_eq!(python(program, &[&zip, &unpacked]).trim(), "True 6");
    assert_eq!(python(LOADED, &[&unpacked]).lines().count(), 4);
    assert_eq!(fs::read(unpacked.join("REPORTS/REP00001.PDF")).unwrap(), b"%PDF-1.4");
    assert!(
        refused(&["export", folder.path().to_str().unwrap(), "--out", zip.to_str().unwrap()])
            .contains("is there already")
    );
    let empty = tempfile::tempdir().unwrap();
    let said = refused(&["export", empty.path().to_str().unwrap(), "--out", out.path().join("x").to_str().unwrap()]);
    assert!(said.contains("there is no instance") && !out.path().join("x").exists(), "{said}");
}
