//! What holds for every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use clavicle_imaging::intake::Intake;
use clavicle_phantom::{Kind, Phantom, PhantomError};
use clavicle_sandbox::reader::Here;

/// As little of it as shows everything.
pub fn small(kind: Kind) -> Phantom {
    let slices = if kind == Kind::ChestCr { 2 } else { 3 };
    Phantom { slices, size: 64, ..Phantom::of(kind) }
}

/// By name.
fn files(phantom: &Phantom) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let take = |file: clavicle_phantom::File<'_>| {
        let (name, len) = (file.name().to_owned(), file.len());
        let bytes = file.into_bytes();
        assert_eq!(bytes.len() as u64, len, "{name} is as long as it says");
        assert!(files.insert(name, bytes).is_none(), "each name is given once");
        Ok(())
    };
    phantom.each(take).unwrap();
    files
}

/// Series and instances.
fn expected(kind: Kind) -> (usize, usize) {
    match kind {
        Kind::ChestCr => (2, 2),
        Kind::ChestCt => (2, 4),
        Kind::HeadCt => (1, 3),
        Kind::HeadMr => (5, 13),
        _ => (1, 1),
    }
}

#[test]
fn all_of_them_are_one_patients_studies() {
    let folder = tempfile::tempdir().unwrap();
    for kind in Kind::ALL {
        small(kind).write(&folder.path().join(kind.to_string())).unwrap();
    }
    let intake = Intake::of_folder(folder.path(), &Here).unwrap();
    assert!(intake.quarantined.is_empty(), "{:?}", intake.quarantined);
    assert!(intake.duplicates.is_empty() && intake.conflicts.is_empty());
    assert_eq!(intake.studies.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        let phantom = small(kind);
        let study = intake.studies.iter().find(|study| study.description.as_str() == phantom.description.as_str());
        let study = study.unwrap_or_else(|| panic!("there is no study of {kind}"));
        assert_eq!((study.series.len(), study.instances()), expected(kind), "{kind}");
        assert_eq!(study.accession_number.as_str(), phantom.accession_number.as_str());
        assert_eq!(study.patient.name.as_str(), "Phantom^Ana");
        assert!(study.description.as_str().ends_with("synthetic phantom"));
        let frames: u32 = study.series.iter().flat_map(|series| &series.instances).map(|one| one.instance.frames).sum();
        let of_all = match kind {
            Kind::ChestCr => 2,
            Kind::ChestCt => 4,
            // The report shows nothing.
            Kind::HeadMr => 12,
            _ => 3,
        };
        assert_eq!(frames, of_all, "{kind}");
    }
}

#[test]
fn the_same_fields_give_the_same_bytes_in_memory_and_on_a_disk() {
    for kind in Kind::ALL {
        let (ones, others) = (files(&small(kind)), files(&small(kind)));
        assert!(ones == others, "{kind}");
        let folder = tempfile::tempdir().unwrap();
        let paths = small(kind).write(folder.path()).unwrap();
        assert_eq!(paths.len(), ones.len());
        for (name, bytes) in ones {
            assert!(fs::read(folder.path().join(&name)).unwrap() == bytes, "{kind}: {name}");
        }
    }
}

#[test]
fn another_seed_gives_other_uids() {
    let mut seen = BTreeSet::new();
    for kind in Kind::ALL {
        for seed in [1, 2, u64::MAX] {
            let folder = tempfile::tempdir().unwrap();
            Phantom { seed, ..small(kind) }.write(folder.path()).unwrap();
            let intake = Intake::of_folder(folder.path(), &Here).unwrap();
            for study in &intake.studies {
                let instances = study.series.iter().flat_map(|series| &series.instances);
                let instances = instances.map(|one| one.instance.sop_instance_uid);
                let series = study.series.iter().map(|series| series.series_instance_uid);
                for uid in instances.chain(series).chain([study.study_instance_uid]) {
                    assert!(uid.as_str().starts_with("2.25."), "{uid}");
                    assert!(seen.insert(uid), "{kind} of seed {seed} has a UID that another has");
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_not_wanted_costs_nothing() {
    // To make all of these frames would take minutes.
    let vast = Phantom { slices: 2_000, size: 1_024, ..Phantom::of(Kind::HeadCtEnhanced) };
    let mut lengths = Vec::new();
    vast.each(|file| {
        lengths.push(file.len());
        Ok(())
    })
    .unwrap();
    assert!(lengths.len() == 1 && lengths[0] > 2_000 * 1_024 * 1_024 * 2, "{lengths:?}");
}

#[test]
fn what_cannot_be_made_is_refused_with_a_sentence() {
    let refusal = |phantom: Phantom| phantom.each(|_| panic!("nothing is begun")).unwrap_err().to_string();
    for kind in Kind::ALL {
        let more = kind.slices().end() + 1;
        assert!(refusal(Phantom { slices: 0, ..small(kind) }).ends_with("slices, frames or views, and not 0"));
        assert!(refusal(Phantom { slices: more, ..small(kind) }).starts_with(&kind.to_string()));
        for size in [kind.sizes().start() - 1, kind.sizes().end() + 1] {
            let sentence = refusal(Phantom { size, ..small(kind) });
            assert!(sentence.ends_with(&format!("pixels along a side, and not {size}")), "{sentence}");
        }
    }
    let vast = Phantom { slices: 8_192, size: 1_024, ..Phantom::of(Kind::HeadCtEnhanced) };
    assert!(matches!(vast.each(|_| Ok(())), Err(PhantomError::TooLong(17_179_869_184))));
}

#[test]
fn an_error_of_who_takes_a_file_ends_it() {
    let mut taken = 0;
    let error = small(Kind::HeadCt).each(|_| {
        taken += 1;
        Err(std::io::Error::other("the disk is full"))
    });
    assert_eq!(error.unwrap_err().to_string(), "1-axial/0001.dcm cannot be written");
    assert_eq!(taken, 1);
}
