//! What a data set says does not depend on what it is written in: dcmtk writes it in other ways, and the digests stay.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clavicle_manifest::Change;
use clavicle_sandbox::Inspected;

use crate::corpus::{brain, pydicom};
use crate::made::{Named, element};

fn inspect(path: &Path) -> Inspected {
    let bytes = fs::read(path).unwrap();
    Inspected::read(Cursor::new(&bytes), bytes.len() as u64)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a program of dcmtk; whether it did what it was asked.
pub fn dcmtk(program: &str, arguments: &[&str], files: &[&Path]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).args(files).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().unwrap_or_else(|_| panic!("{program} is not there: run .ci/test-data first"));
    status.success()
}

fn files() -> Vec<PathBuf> {
    let test_files = pydicom().join("test_files");
    let named = [
        "CT_small",
        "MR_small",
        "MR_small_implicit",
        "MR_small_bigendian",
        "ExplVR_BigEnd",
        "SC_rgb_jpeg_dcmd",
        "SC_rgb_small_odd",
        "color-pl",
        "color-px",
        "rtdose",
        "rtplan",
        "rtstruct",
        "test-SR",
        "waveform_ecg",
        "image_dfl",
        "liver_1frame",
        "examples_palette",
        "examples_overlay",
        "examples_ybr_color",
        "reportsi",
    ];
    let named = named.iter().map(|name| test_files.join(format!("{name}.dcm")));
    named.filter(|path| path.exists()).chain([brain().join("brain_009.dcm")]).collect()
}

#[test]
fn another_encoding_is_the_same_content() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("written");
    let (mut same, mut refused) = (0, 0);
    for path in files() {
        let before = inspect(&path);
        for (program, how) in [
            ("dcmconv", &["+ti"][..]),
            ("dcmconv", &["+te"]),
            ("dcmconv", &["+tb"]),
            ("dcmconv", &["+td"]),
            ("dcmconv", &["+te", "-e"]),
            ("dcmconv", &["+te", "+g", "+p", "512", "64"]),
        ] {
            // Samples of 32 bits turned round in words of 16, as dcmtk does it, are to pydicom and here other samples.
            if how == ["+tb"] && path.ends_with("rtdose.dcm") {
                continue;
            }
            // Some of these files are not in order, and dcmtk is stricter than this program.
            if !dcmtk(program, how, &[&path, &written]) {
                refused += 1;
                continue;
            }
            let change = before.instance().change(&inspect(&written).instance());
            assert!(matches!(change, None | Some(Change::Encoding)), "{} {how:?}: {}", path.display(), change.unwrap());
            same += 1;
        }
    }
    println!("{same} written in other ways, {refused} that dcmtk would not write");
    assert!(same > 100 && refused < 20);
}

#[test]
fn what_was_compressed_without_loss_is_the_same_content() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("written");
    let test_files = pydicom().join("test_files");
    let mut same = 0;
    for name in
        ["CT_small", "MR_small", "MR_small_bigendian", "SC_rgb_jpeg_dcmd", "SC_rgb_small_odd", "examples_palette"]
    {
        let path = test_files.join(format!("{name}.dcm"));
        let before = inspect(&path);
        for (program, how) in
            [("dcmcrle", &[][..]), ("dcmcjpls", &["+el"]), ("dcmcjpeg", &["+e1"]), ("dcmcjpeg", &["+el", "+sv", "4"])]
        {
            // dcmtk writes nothing, and sees nothing wrong in that, where it has no encoder for such pixels.
            fs::remove_file(&written).ok();
            if !dcmtk(program, how, &[&path, &written]) || !written.exists() {
                continue;
            }
            let after = inspect(&written);
            assert_ne!(before.facts.transfer_syntax_uid, after.facts.transfer_syntax_uid, "{name} {program}");
            let change = before.instance().change(&after.instance()).unwrap();
            // dcmtk writes down that it compressed, where that is not of no consequence.
            let is_same = matches!(change, Change::Encoding | Change::Attributes { pixels: true, .. });
            assert!(is_same, "{name} {program} {how:?}: {change}");
            same += 1;
        }
    }
    println!("{same} compressed without loss");
    assert!(same > 15);
    // One that lost something is not the same.
    let path = test_files.join("SC_rgb_jpeg_dcmd.dcm");
    assert!(dcmtk("dcmcjpls", &["+en"], &[&path, &written]));
    let change = inspect(&path).instance().change(&inspect(&written).instance()).unwrap();
    assert!(matches!(change, Change::Pixels { .. }), "{change}");
}

#[test]
fn what_was_changed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (pydicom().join("test_files/CT_small.dcm"), folder.path().join("copy"));
    let before = inspect(&path).instance();
    for (change, said) in [
        ("(0010,0010)=Other^Name", "pixels unchanged, patient name differs"),
        ("(0010,0020)=OTHER", "pixels unchanged, patient id differs"),
        ("(0010,0030)=19010203", "pixels unchanged, patient's other attributes differ"),
        ("(0008,0050)=OTHER", "pixels unchanged, study attributes differ"),
        ("(0008,103e)=OTHER", "pixels unchanged, series attributes differ"),
        ("(0028,1050)=77", "pixels unchanged, instance attributes differ"),
    ] {
        fs::copy(&path, &copy).unwrap();
        assert!(dcmtk("dcmodify", &["-nb", "-i", change], &[&copy]));
        assert_eq!(before.change(&inspect(&copy).instance()).unwrap().to_string(), said);
    }
    fs::copy(&path, &copy).unwrap();
    assert!(dcmtk("dcmodify", &["-nb", "-imt", "-ea", "(0009,0010)"], &[&copy]));
    let said = before.change(&inspect(&copy).instance()).unwrap().to_string();
    assert_eq!(said, "pixels unchanged, private attributes differ");
    // One grey level of one pixel.
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 2_000;
    bytes[at] ^= 1;
    fs::write(&copy, bytes).unwrap();
    assert_eq!(before.change(&inspect(&copy).instance()).unwrap().to_string(), "pixels differ");
}

#[test]
fn bits_that_are_not_stored_do_not_count() {
    let image = |stored: u16, words: [u16; 4]| {
        let short = |number: u16, value: u16| element(0x28, number, "US", &value.to_le_bytes());
        let pixels: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let file = Named::new(1, 1).file(&[
            short(2, 1),
            element(0x28, 4, "CS", b"MONOCHROME2 "),
            short(0x10, 2),
            short(0x11, 2),
            short(0x100, 16),
            short(0x101, stored),
            short(0x102, stored - 1),
            short(0x103, 1),
            element(0x7fe0, 0x10, "OW", &pixels),
        ]);
        Inspected::read(Cursor::new(&file), file.len() as u64).unwrap()
    };
    let (plain, overlaid) = (image(12, [1, 2, 0x0fff, 4]), image(12, [0xf001, 2, 0xffff, 4]));
    assert_eq!(plain.pixels, overlaid.pixels);
    assert_ne!(plain.stored, overlaid.stored);
    assert_ne!(plain.pixels, image(12, [1, 2, 0x0ffe, 4]).pixels);
    assert_ne!(image(16, [1, 2, 0x0fff, 4]).pixels, image(16, [0xf001, 2, 0xffff, 4]).pixels);
}
