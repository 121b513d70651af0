//! Programs that nobody here wrote: dicom3tools finds no fault, dcmtk reads and shows, Orthanc stores and gives back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clavicle_phantom::{Kind, Phantom};

use crate::kinds::small;
use crate::orthanc::Orthanc;

/// What dciodvfy may say, and why that is no fault.
const FAIR: [&str; 3] = [
    // A b value in a classic MR image, where every vendor has it, makes a Standard Extended SOP Class (PS3.2).
    "Attribute is not present in standard DICOM IOD - (0x0018,0x9087) FD Diffusion b-value",
    "Dicom dataset contains attributes not present in standard DICOM IOD - this is a Standard Extended SOP Class",
    // PS3.3 C.11.1.1.2 defines it; this version does not look for it in a CT.
    "Unrecognized defined term <US> for value 1 of attribute <Rescale Type>",
];

fn run(program: &str, arguments: &[&str], path: &Path) -> Output {
    // Whatever hangs in a test is ended, and fails it.
    let output = Command::new("timeout").arg("120").arg(program).args(arguments).arg(path).output().unwrap();
    assert!(!matches!(output.status.code(), Some(126 | 127)), "{program} is not installed: run .ci/test-data first");
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// What a program says that must succeed.
pub fn succeed(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = run(program, arguments, path);
    assert!(output.status.success(), "{program} {}: {}", path.display(), said(&output));
    said(&output)
}

fn written(phantom: &Phantom) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let files = phantom.write(folder.path()).unwrap();
    (folder, files)
}

fn is_report(path: &Path) -> bool {
    path.parent().unwrap().ends_with("5-report")
}

#[test]
fn dciodvfy_finds_no_fault() {
    for kind in Kind::ALL {
        let (_folder, files) = written(&small(kind));
        for path in files {
            let said = said(&run("dciodvfy", &[], &path));
            let (faults, rest): (Vec<_>, Vec<_>) =
                said.lines().partition(|line| line.starts_with("Error") || line.starts_with("Warning"));
            assert!(rest.len() == 1, "it says once what it took the file for: {said}");
            for fault in faults {
                let fair = fault.strip_prefix("Warning - ").is_some_and(|said| FAIR.contains(&said.trim()));
                assert!(fair, "{kind}, {}: {fault}", path.display());
            }
        }
    }
}

#[test]
fn dciodvfy_would_find_a_fault() {
    let (_folder, files) = written(&small(Kind::HeadCt));
    let bytes = fs::read(&files[0]).unwrap();
    // Pixel Representation (0028,0103) becomes an element that nobody knows.
    let place = bytes.windows(6).position(|six| six == b"\x28\x00\x03\x01US").unwrap();
    fs::write(&files[0], [&bytes[..place + 2], &[0x04], &bytes[place + 3..]].concat()).unwrap();
    assert!(said(&run("dciodvfy", &[], &files[0])).contains("Error - "));
}

#[test]
fn dcmtk_reads_everything() {
    for kind in Kind::ALL {
        let (_folder, files) = written(&small(kind));
        for path in files {
            let dump = succeed("dcmdump", &[], &path);
            assert!(dump.contains("[Phantom^Ana]") && !dump.contains("W: ") && !dump.contains("E: "), "{dump}");
            assert!(is_report(&path) || dump.contains("[Synthetic phantom: not an image of a person]"), "{dump}");
        }
    }
}

#[test]
fn dcmtk_shows_every_frame() {
    for kind in Kind::ALL {
        let (_folder, files) = written(&small(kind));
        for path in files.iter().filter(|path| !is_report(path)) {
            let window: &[&str] = match kind {
                // Of colour there is no window.
                Kind::HeartUs => &[],
                // That of the functional groups is not looked for.
                Kind::HeadCtEnhanced => &["+Wm"],
                _ => &["+Wi", "1"],
            };
            let frames = if matches!(kind, Kind::HeadCtEnhanced | Kind::HeartUs) { 3 } else { 1 };
            for frame in 1..=frames {
                let frame = frame.to_string();
                let output = run("dcm2pnm", &[&["+F", &frame, "+op"], window].concat(), path);
                assert!(output.status.success(), "{kind}, {}: {}", path.display(), said(&output));
                let levels: std::collections::BTreeSet<u8> = output.stdout[20..].iter().copied().collect();
                assert!(levels.len() > 20, "{kind}, {}: {} grey levels", path.display(), levels.len());
            }
        }
    }
}

#[test]
fn dcmtk_shows_the_report() {
    let (_folder, files) = written(&small(Kind::HeadMr));
    let report = succeed("dsrdump", &["+Pl"], files.iter().find(|path| is_report(path)).unwrap());
    let told = small(Kind::HeadMr).report().unwrap();
    for section in ["Findings", "Conclusions"] {
        assert!(report.contains(section), "{report}");
        let sentences = told.split(&section.to_uppercase()).nth(1).unwrap().trim_start().lines();
        for sentence in sentences.take_while(|line| !line.is_empty()) {
            assert!(report.contains(sentence), "{sentence} is not in {report}");
        }
    }
    assert_eq!(report.matches("inferred from IMAGE").count(), 4, "{report}");
}

#[test]
fn orthanc_gives_back_the_same_bytes() {
    let orthanc = Orthanc::start();
    let mut instances = Vec::new();
    for kind in Kind::ALL {
        small(kind)
            .each(|file| {
                let bytes = file.into_bytes();
                instances.push((orthanc.store(&bytes), bytes));
                Ok(())
            })
            .unwrap();
    }
    let counts = orthanc.get_json("/statistics");
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(count("CountPatients"), 1);
    assert_eq!(count("CountStudies"), 6);
    assert_eq!(count("CountSeries"), 2 + 2 + 1 + 1 + 5 + 1);
    assert_eq!(count("CountInstances"), instances.len() as u64);
    for (id, bytes) in &instances {
        assert!(orthanc.get(&format!("/instances/{id}/file")) == *bytes, "{id}");
        let tags = orthanc.get_json(&format!("/instances/{id}/simplified-tags"));
        assert_eq!(tags["PatientID"], "PHANTOM-1");
    }
}
