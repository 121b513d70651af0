//! Every file that was given is taken or named, and so is what a DICOMDIR lists.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use clavicle_dicom::Unreadable;
use clavicle_imaging::accounting::{Accounting, FileFate};
use clavicle_imaging::intake::{Absence, Intake};
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::{Here, Reader as _};

use crate::made::{Named, dicomdir, element};

/// The accounting of a folder, in which each file is once.
pub fn account(root: &Path) -> (Intake, Accounting) {
    let intake = Intake::of_folder(root, &Here).unwrap();
    let all = intake.accounting();
    let (files, others) = clavicle_imaging::walk::files(root).unwrap();
    assert_eq!(all.given, files.len() + others.len());
    assert_eq!(all.given, all.taken + all.rest.len());
    let taken = intake.studies.iter().flat_map(|study| &study.series).flat_map(|series| &series.instances);
    let named: Vec<&PathBuf> = all.rest.iter().map(|row| &row.file).chain(taken.map(|one| &one.path)).collect();
    let there: BTreeSet<&PathBuf> = files.iter().chain(others.iter().map(|one| &one.path)).collect();
    assert_eq!((named.len(), named.into_iter().collect::<BTreeSet<_>>()), (all.given, there));
    (intake, all)
}

fn fates(root: &Path, all: &Accounting) -> BTreeMap<String, FileFate> {
    let rows = all.rest.iter().chain(&all.besides);
    rows.map(|row| (row.file.strip_prefix(root).unwrap_or(&row.file).to_string_lossy().into_owned(), row.fate))
        .collect()
}

#[test]
fn each_file_is_taken_or_named_with_what_became_of_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let image = |number| Named::new(1, number).file(&[]);
    let latin: PathBuf = OsString::from_vec(b"Pr\xe9sentation.doc".to_vec()).into();
    fs::create_dir(root.join("sub")).unwrap();
    let other = Named::new(1, 1).file(&[element(0x7fe0, 0x10, "OW", &[1; 4])]);
    let stranger = |number, patient: &str| {
        Named { study: "1.2.4".into(), patient: patient.into(), ..Named::new(2, number) }.file(&[])
    };
    for (name, bytes) in [
        (Path::new("a"), image(1)),
        (Path::new("b"), image(2)),
        (Path::new("sub/a again"), image(1)),
        (Path::new("other"), other),
        (Path::new("notes.txt"), b"no image".to_vec()),
        (&latin, b"lisez-moi".to_vec()),
        (Path::new("cut"), image(3)[..250].to_vec()),
        (Path::new("p1"), stranger(1, "P1")),
        (Path::new("p2"), stranger(2, "P2")),
    ] {
        fs::write(root.join(name), bytes).unwrap();
    }
    std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
    let (_, all) = account(root);
    assert_eq!((all.given, all.taken), (10, 2));
    let wanted = [
        ("Pr\u{fffd}sentation.doc", FileFate::Skipped),
        ("cut", FileFate::Unreadable),
        ("link", FileFate::Skipped),
        ("notes.txt", FileFate::Skipped),
        ("other", FileFate::Conflict),
        ("p1", FileFate::Refused),
        ("p2", FileFate::Refused),
        ("sub/a again", FileFate::Duplicate),
    ];
    assert_eq!(fates(root, &all), wanted.map(|(name, fate)| (name.to_owned(), fate)).into());
    let of = |name: &str| all.rest.iter().find(|row| row.file == root.join(name)).unwrap().of.clone();
    let a = Some(root.join("a").display().to_string());
    assert_eq!((of("other"), of("sub/a again"), of("notes.txt")), (a.clone(), a, None));
    assert_eq!(
        all.summary("taken"),
        "2 of 10 files taken: 2 refused, 1 unreadable, 1 conflict, 3 skipped, 1 duplicate"
    );
    let said: Accounting = serde_json::from_str(&serde_json::to_string(&all).unwrap()).unwrap();
    assert_eq!((said.given, said.taken, said.rest.len()), (10, 2, 8));
    // What is kept twice is all there.
    for name in ["other", "notes.txt", "cut", "p1", "p2", "link"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    fs::remove_file(root.join(latin)).unwrap();
    let (_, all) = account(root);
    assert!(all.is_all_done() && all.given == 3 && all.taken == 2, "{all:?}");
}

#[test]
fn a_copy_under_another_study_is_no_less_than_a_contradiction() {
    let root = tempfile::tempdir().unwrap();
    for (name, study) in [("A", "1.2.3"), ("B", "1.2.9")] {
        fs::write(root.path().join(name), Named { study: study.into(), ..Named::new(1, 1) }.file(&[])).unwrap();
    }
    let (_, all) = account(root.path());
    assert_eq!((all.taken, all.rest.len(), all.besides.len()), (2, 0, 1));
    let row = &all.besides[0];
    assert!(row.fate == FileFate::Contradicts && row.why.contains("1.2.3") && row.why.contains("1.2.9"), "{row:?}");
    assert!(
        all.shortfall("taken").unwrap().starts_with("all files are taken that are there, but: 1 contradiction. "),
        "{all:?}"
    );
}

/// One after the other, and nothing below.
fn in_a_row(number: usize, begins: &[u32]) -> [u32; 2] {
    [begins.get(number + 1).copied().unwrap_or(0), 0]
}

#[test]
fn what_a_medium_lists_is_looked_for_and_what_it_does_not_list_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let file = |name: &str, number: usize| {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), Named::new(1, number).file(&[])).unwrap();
    };
    // As a system without capital letters, one with versions, and somebody who copied them have them.
    file("images/im1", 1);
    file("IMAGES/IM2.;1", 2);
    file("elsewhere/third.dcm", 3);
    file("IMAGES/UNLISTED", 7);
    file("IMAGES/IM5", 8);
    fs::write(root.join("IMAGES/IM6"), "damaged beyond reading").unwrap();
    let listed = [
        ("IMAGES\\IM1", "1.2.3.1.1"),
        ("IMAGES\\IM2", "1.2.3.1.2"),
        ("IMAGES\\IM3", "1.2.3.1.3"),
        ("IMAGES\\IM4", "1.2.3.1.4"),
        ("IMAGES\\IM5", "1.2.3.1.5"),
        ("IMAGES\\IM6", "1.2.3.1.6"),
    ];
    fs::write(root.join("DICOMDIR"), dicomdir(&listed, in_a_row)).unwrap();
    let (intake, all) = account(root);
    assert_eq!((all.given, all.taken), (7, 5));
    // By itself it is nothing that could be taken, and it was said that all was done.
    let (_, alone) = account(&root.join("DICOMDIR"));
    assert_eq!((alone.given, alone.taken, alone.rest[0].fate), (1, 0, FileFate::Skipped));
    assert!(alone.shortfall("taken").unwrap().ends_with("give the folder that it lies in"), "{alone:?}");
    let wanted = [
        ("DICOMDIR", FileFate::Contents),
        ("IMAGES/IM4", FileFate::Missing),
        ("IMAGES/IM5", FileFate::Missing),
        ("IMAGES/IM6", FileFate::Skipped),
    ];
    assert_eq!(fates(root, &all), wanted.map(|(name, fate)| (name.to_owned(), fate)).into());
    let absences: Vec<Absence> = intake.not_there.iter().map(|one| one.absence).collect();
    assert_eq!(absences, [Absence::Missing, Absence::Other]);
    assert!(all.besides.iter().all(|row| row.why.contains("DICOMDIR")), "{all:?}");
    // A whole one is all that was given.
    file("IMAGES/IM4", 4);
    file("IMAGES/IM5", 5);
    fs::remove_file(root.join("IMAGES/IM6")).unwrap();
    fs::write(root.join("DICOMDIR"), dicomdir(&listed[..5], in_a_row)).unwrap();
    let (_, all) = account(root);
    assert!(all.is_all_done() && all.taken == 6, "{all:?}");
    // Given by itself it says nothing of what may lie elsewhere.
    let alone = Intake::of_folder(&root.join("DICOMDIR"), &Here).unwrap();
    assert!(alone.not_there.is_empty() && alone.contents[0].listed.is_none());
}

#[test]
fn a_name_that_leads_out_of_the_medium_is_not_looked_for() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("cd");
    fs::create_dir(&root).unwrap();
    fs::write(outside.path().join("IM1"), Named::new(1, 1).file(&[])).unwrap();
    fs::write(root.join("IM2"), Named::new(1, 2).file(&[])).unwrap();
    let absolute = outside.path().join("IM1").to_str().unwrap().replace('/', "\\");
    let named = ["..\\IM1", "A\\..\\..\\IM1", &absolute, "/etc/passwd", "C:\\IM1", "A\\\\IM1"];
    let listed: Vec<(&str, &str)> =
        named.iter().map(|name| (*name, "1.2.3.1.1")).chain([("IM2", "1.2.3.1.2")]).collect();
    fs::write(root.join("DICOMDIR"), dicomdir(&listed, in_a_row)).unwrap();
    let (intake, all) = account(&root);
    assert_eq!((all.taken, all.besides.len()), (1, named.len()), "{all:?}");
    assert!(intake.not_there.iter().all(|one| one.absence == Absence::Outside));
    assert!(all.besides.iter().all(|row| row.fate == FileFate::Refused && row.why.contains("leads out")), "{all:?}");
    assert!(!all.is_all_done());
}

/// Where a record's next and its lower one are, of its number and where all are.
type Links<'a> = &'a dyn Fn(usize, &[u32]) -> [u32; 2];

#[test]
fn records_in_a_circle_are_refused_and_offsets_that_lead_nowhere_are_not() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("DICOMDIR");
    fs::write(root.path().join("IM1"), Named::new(1, 1).file(&[])).unwrap();
    let listed = [("IM1", "1.2.3.1.1"), ("IM2", "1.2.3.1.2"), ("IM3", "1.2.3.1.3")];
    let looked = |leads_to: &dyn Fn(usize, &[u32]) -> [u32; 2]| {
        fs::write(&path, dicomdir(&listed, leads_to)).unwrap();
        let (intake, all) = account(root.path());
        assert_eq!(all.taken, 1, "the image is taken whatever a DICOMDIR says");
        let fates: Vec<FileFate> = all.rest.iter().map(|row| row.fate).collect();
        (fates, intake.not_there.len())
    };
    let circles: [Links<'_>; 4] = [
        &|number, begins| [begins[number], 0],
        &|number, begins| [begins[(number + 1) % 3], 0],
        &|number, begins| [0, begins[(number + 1) % 3]],
        &|number, begins| [*begins.get(number + 1).unwrap_or(&0), begins[0]],
    ];
    for circle in circles {
        assert_eq!(looked(circle), (vec![FileFate::Refused], 0));
    }
    let error = Here.list_one(&path).unwrap_err();
    assert!(matches!(error, ReadError::Unreadable(Unreadable::Circle)), "{error}");
    let others: [Links<'_>; 4] = [
        &in_a_row,
        &|_, _| [u32::MAX, 7],
        &|_, _| [0, 0],
        // Two ways to the last.
        &|number, begins| {
            if number == 0 {
                [begins[1], begins[2]]
            } else if number == 1 {
                [begins[2], 0]
            } else {
                [0, 0]
            }
        },
    ];
    for other in others {
        assert_eq!(looked(other), (vec![FileFate::Contents], 2));
    }
    // As many as a DICOMDIR may have, in one long way.
    let names: Vec<String> = (0..50_000).map(|number| format!("IM{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1.2.3.1.1")).collect();
    fs::write(&path, dicomdir(&many, in_a_row)).unwrap();
    let (intake, _) = account(root.path());
    assert!(matches!(intake.contents[0].listed, Some(Ok(50_000))) && intake.not_there.is_empty());
}

#[test]
fn a_directory_that_cannot_be_read_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("IM1"), Named::new(1, 1).file(&[])).unwrap();
    let whole = dicomdir(&[("IM1", "1.2.3.1.1"), ("IM2", "1.2.3.1.2")], in_a_row);
    fs::write(root.path().join("DICOMDIR"), &whole[..whole.len() - 20]).unwrap();
    let (_, all) = account(root.path());
    assert_eq!(all.taken, 1);
    assert_eq!(all.rest.iter().map(|row| row.fate).collect::<Vec<_>>(), [FileFate::Unreadable], "{all:?}");
}
