//! The chest: taken in whole, the same each time, and with pixels where a chest has them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clavicle_imaging::intake::{Intake, StudyIntake};
use clavicle_ledger::encoding::Text;
use clavicle_manifest::Uid;
use clavicle_phantom::{Phantom, PhantomError};
use clavicle_sandbox::reader::Here;
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, open_file};

fn small() -> Phantom {
    Phantom { slices: 5, size: 64, ..Phantom::default() }
}

fn written(phantom: &Phantom) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let files = phantom.write(folder.path()).unwrap();
    (folder, files)
}

fn study(folder: &Path) -> StudyIntake {
    let mut intake = Intake::of_folder(folder, &Here).unwrap();
    assert!(intake.quarantined.is_empty(), "{:?}", intake.quarantined);
    assert!(intake.duplicates.is_empty() && intake.conflicts.is_empty());
    assert_eq!(intake.studies.len(), 1);
    intake.studies.remove(0)
}

/// Every UID that a study is known by.
fn names(folder: &Path) -> BTreeSet<Uid> {
    let study = study(folder);
    let series = study.series.iter().map(|series| series.series_instance_uid);
    let instances = study.series.iter().flat_map(|series| &series.instances).map(|one| one.instance.sop_instance_uid);
    series.chain(instances).chain([study.study_instance_uid]).collect()
}

/// Stored values, of which 1024 is water.
fn pixels(file: &DefaultDicomObject) -> Vec<i16> {
    let bytes = file.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[test]
fn the_study_is_taken_in_whole() {
    let phantom = Phantom { patient_name: Text::new("Phántom^Anä").unwrap(), ..small() };
    let (folder, files) = written(&phantom);
    let study = study(folder.path());
    assert_eq!((study.series.len(), study.instances(), files.len()), (2, 6, 6));
    assert_eq!(study.patient.name.as_str(), "Phántom^Anä");
    assert_eq!(study.patient.id.as_str(), phantom.patient_id.as_str());
    assert_eq!(study.patient.birth_date, Some(phantom.birth_date));
    assert_eq!(study.accession_number.as_str(), phantom.accession_number.as_str());
    assert_eq!(study.study_date, Some(phantom.study_date));
    assert_eq!(study.description.as_str(), phantom.description.as_str());
    for series in &study.series {
        let expected = if series.number == Some(1) { 1 } else { 5 };
        assert_eq!((series.modality.as_str(), series.body_part.as_str()), ("CT", "CHEST"));
        assert_eq!(series.instances.len(), expected);
        assert!(series.instances.iter().all(|one| one.instance.frames == 1));
    }
}

#[test]
fn the_default_is_small_enough_to_carry_about() {
    let (folder, files) = written(&Phantom::default());
    assert_eq!(study(folder.path()).instances(), 25);
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes < 3_300_000, "{bytes}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let ((_one, ones), (_other, others)) = (written(&small()), written(&small()));
    for (one, other) in ones.iter().zip(&others) {
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{}", one.display());
    }
}

#[test]
fn another_seed_gives_other_uids() {
    let ((one, _), (other, _)) = (written(&small()), written(&Phantom { seed: 2, ..small() }));
    let (ones, others) = (names(one.path()), names(other.path()));
    assert_eq!((ones.len(), others.len()), (9, 9), "a study, two series, six instances");
    assert!(ones.is_disjoint(&others));
    assert!(ones.iter().chain(&others).all(|uid| uid.as_str().starts_with("2.25.")));
}

#[test]
fn pixel_data_is_as_long_as_it_says() {
    // Odd, so that the localizer does not divide evenly.
    let (_folder, files) = written(&Phantom { size: 63, ..small() });
    for path in files {
        let file = open_file(&path).unwrap();
        let number = |tag| file.element(tag).unwrap().to_int::<usize>().unwrap();
        let bytes = file.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().len();
        assert_eq!(bytes, number(tags::ROWS) * number(tags::COLUMNS) * 2, "{}", path.display());
        assert_eq!(file.meta().transfer_syntax(), uids::EXPLICIT_VR_LITTLE_ENDIAN);
        assert!(file.meta().implementation_version_name().unwrap().starts_with("CLAVICLE "));
    }
}

#[test]
fn the_slices_show_air_lung_soft_tissue_and_bone() {
    let (_folder, files) = written(&Phantom { slices: 24, ..small() });
    let slices: Vec<_> = files[1..].iter().map(|path| pixels(&open_file(path).unwrap())).collect();
    let share = |slice: &[i16], low: i16, high: i16| {
        slice.iter().filter(|value| (low..high).contains(&(**value - 1024))).count() as f64 / slice.len() as f64
    };
    // Halfway down, at the height of the heart.
    let middle = &slices[14];
    assert!(share(middle, -1024, -990) > 0.3, "air around the body");
    assert!(share(middle, -900, -800) > 0.05, "lungs");
    assert!(share(middle, 0, 200) > 0.05, "soft tissue");
    assert!(share(middle, 300, 1500) > 0.005, "bone");
    // In front of the spine, on both sides, bone lies only where the clavicles do.
    let bone_in_front = |slice: &[i16], columns: std::ops::Range<usize>| {
        (12..30).any(|row| columns.clone().any(|column| slice[row * 64 + column] > 1024 + 400))
    };
    let clavicles = |slice: &Vec<i16>| bone_in_front(slice, 20..27) && bone_in_front(slice, 37..44);
    assert!(slices[1..5].iter().any(clavicles), "two clavicles");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = |phantom: Phantom| phantom.write(folder.path()).unwrap_err();
    assert!(matches!(error(Phantom { slices: 0, ..small() }), PhantomError::Slices { slices: 0, .. }));
    assert!(matches!(error(Phantom { slices: 513, ..small() }), PhantomError::Slices { slices: 513, .. }));
    assert!(matches!(error(Phantom { size: 15, ..small() }), PhantomError::Size { size: 15, .. }));
    let two_values = Text::new("CT\\chest").unwrap();
    assert!(matches!(error(Phantom { description: two_values, ..small() }), PhantomError::Backslash));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was begun");
    fs::write(folder.path().join("2-axial"), "in the way").unwrap();
    assert!(matches!(error(small()), PhantomError::Write { .. }));
}
