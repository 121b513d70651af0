//! By C-STORE.

use std::fs;
use std::io::Cursor;

use clavicle_sandbox::Inspected;

use crate::programs::{
    Orthanc, Storescp, data_set, done, folder_of, free_ports, in_part, pydicom, python, refused, rest,
};

#[test]
fn an_archive_gets_the_bytes_of_each() {
    let names =
        ["CT_small.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_RLE.dcm", "test-SR.dcm", "rtplan.dcm"];
    let (folder, orthanc) = (folder_of(&names), Orthanc::start());
    fs::write(folder.path().join("report.txt"), "No acute finding.").unwrap();
    let to = format!("ORTHANC@127.0.0.1:{}", orthanc.dicom);
    let pushed = in_part(&["push", folder.path().to_str().unwrap(), "--to", &to, "--as-sent"]);
    assert_eq!((pushed["stored"].as_u64(), pushed["converted"].as_u64()), (Some(6), Some(0)), "{pushed}");
    let report = folder.path().join("report.txt").display().to_string();
    assert_eq!(rest(&pushed), [(report, "skipped".to_owned())]);
    fs::remove_file(folder.path().join("report.txt")).unwrap();
    // Orthanc writes some anew: what they say is the same.
    let said = |bytes: &[u8]| {
        let seen = Inspected::read(Cursor::new(bytes), bytes.len() as u64).unwrap();
        (seen.facts.sop_instance_uid, seen.facts.transfer_syntax_uid, seen.dataset, seen.pixels)
    };
    let there: Vec<_> = orthanc.files().iter().map(|file| said(file)).collect();
    assert_eq!(there.len(), names.len());
    // And dcmtk, if it is told to, nothing.
    let scp = Storescp::start(&["+B", "+xa"]);
    done(&["push", folder.path().to_str().unwrap(), "--to", &scp.to(), "--as-sent"]);
    let kept: Vec<Vec<u8>> = scp.paths().iter().map(|path| fs::read(path).unwrap()).collect();
    for name in names {
        let sent = fs::read(pydicom(name)).unwrap();
        assert!(kept.iter().any(|file| sent.ends_with(data_set(file))), "{name}");
        assert!(there.contains(&said(&sent)), "{name}");
    }
}

/// Compares what was received with what pydicom sees in the files that were sent, and prints what is said of each.
const SAME: &str = r#"
import sys, pydicom
from pathlib import Path
sent = {}
for path in Path(sys.argv[1]).iterdir():
    one = pydicom.dcmread(path)
    sent[one.SOPInstanceUID] = one
for path in sorted(Path(sys.argv[2]).iterdir()):
    there = pydicom.dcmread(path)
    one = sent[there.SOPInstanceUID]
    skip = {'PixelData', 'PhotometricInterpretation', 'PlanarConfiguration', 'LossyImageCompression', 'DataSetTrailingPadding'}
    for element in one:
        if element.keyword in skip or element.tag.element == 0 or element.tag.is_private: continue
        assert element.value == there[element.tag].value, (path, element)
    print(one.file_meta.TransferSyntaxUID.name, '>', there.file_meta.TransferSyntaxUID.name,
        there.get('PhotometricInterpretation'), there.get('LossyImageCompression'), len(there.get('PixelData', b'')))
"#;

#[test]
fn what_is_not_taken_as_it_is_goes_uncompressed_and_says_what_was_lost_before() {
    let names = [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "JPEG-lossy.dcm",
        "JPEG2000.dcm",
        "image_dfl.dcm",
    ];
    for (option, is_implicit) in [("+xi", true), ("+xe", false)] {
        let (folder, scp) = (folder_of(&names[1..]), Storescp::start(&[option]));
        let pushed = done(&["push", folder.path().to_str().unwrap(), "--to", &scp.to(), "--as-sent"]);
        assert_eq!(pushed["stored"].as_u64(), Some(5), "{pushed}");
        let received = scp.paths();
        let said = python(SAME, &[folder.path(), received[0].parent().unwrap()]);
        let name = if is_implicit { "Implicit VR Little Endian" } else { "Explicit VR" };
        for line in said.lines() {
            assert!(line.contains(&format!("> {name}")), "{said}");
        }
        let lossy: Vec<&str> = said.lines().filter(|line| line.starts_with("JPEG") && line.contains(" 01 ")).collect();
        assert!(lossy.len() >= 2, "{said}");
    }
}

#[test]
fn decoded_pixels_are_those_that_were_compressed() {
    let (folder, scp) = (folder_of(&["MR_small_RLE.dcm"]), Storescp::start(&["+xi"]));
    let pushed = done(&["push", folder.path().to_str().unwrap(), "--to", &scp.to(), "--as-sent"]);
    assert_eq!((pushed["stored"].as_u64(), pushed["converted"].as_u64()), (Some(1), Some(1)), "{pushed}");
    let program = "import sys, pydicom; a, b = map(pydicom.dcmread, sys.argv[1:]); print(a.PixelData == b.PixelData)";
    assert_eq!(python(program, &[&pydicom("MR_small.dcm"), &scp.paths()[0]]).trim(), "True");
}

#[test]
fn what_cannot_be_sent_is_named_with_a_reason() {
    let folder = folder_of(&["CT_small.dcm"]);
    let mut film = fs::read(pydicom("JPEG2000.dcm")).unwrap();
    // JPEG 2000 that says it is something of which nobody knows: the archive does not take that, and it cannot be decoded.
    let at = film.windows(22).position(|some| some == b"1.2.840.10008.1.2.4.91").expect("it says that it is JPEG 2000");
    film[at + 21] = b'9';
    fs::write(folder.path().join("film.dcm"), film).unwrap();
    let scp = Storescp::start(&["+xi"]);
    let said = refused(&["push", folder.path().to_str().unwrap(), "--to", &scp.to(), "--as-sent"]);
    assert!(
        said.contains("1 of 2 files is not stored in STORESCP@")
            && said.contains("film.dcm")
            && said.contains("is not known here, and cannot be turned into another"),
        "{said}"
    );
    assert_eq!(scp.paths().len(), 1);
}

#[test]
fn that_nobody_is_there_is_said_at_once() {
    let folder = folder_of(&["CT_small.dcm"]);
    let [port] = free_ports();
    let folder = folder.path().to_str().unwrap();
    let said = refused(&["push", folder, "--to", &format!("PACS@127.0.0.1:{port}"), "--as-sent"]);
    assert!(
        said.contains("the archive cannot be sent to: 127.0.0.1") && said.contains("cannot be connected to"),
        "{said}"
    );
    let said = refused(&["push", folder, "--to", &format!("http://127.0.0.1:{port}/dicom-web"), "--as-sent"]);
    assert!(said.contains("the archive cannot be sent to: it cannot be connected to"), "{said}");
    assert!(refused(&["push", folder, "--to", "somewhere"]).contains("AET@host:port"));
}
