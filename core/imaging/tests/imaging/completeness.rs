//! What studies say of their own completeness, whole and with files taken out.

use std::fs;
use std::path::{Path, PathBuf};

use clavicle_imaging::completeness::{Completeness, Gap};
use clavicle_imaging::intake::Intake;
use clavicle_phantom::Phantom;
use clavicle_sandbox::reader::Here;
use dicom_dictionary_std::tags;
use dicom_object::open_file;

use crate::corpus::{brain, pydicom};
use crate::programs::succeed;

fn looked_at(folder: &Path) -> Completeness {
    Completeness::of(&Intake::of_folder(folder, &Here).unwrap(), &Here)
}

/// A copy of everything below `root`, with its folders.
fn copy(root: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in clavicle_imaging::walk::files(root).unwrap().0 {
        let place = to.path().join(file.strip_prefix(root).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&file, place).unwrap();
    }
    to
}

/// Files with what they say in an attribute, in its order.
fn sorted(folder: &Path, tag: dicom_core::Tag, part: usize) -> Vec<(f64, PathBuf)> {
    let files = clavicle_imaging::walk::files(folder).unwrap().0.into_iter();
    let said = |path: &Path| -> Option<f64> {
        let text = open_file(path).ok()?.element(tag).ok()?.to_str().ok()?.into_owned();
        text.split('\\').nth(part)?.trim().parse().ok()
    };
    let mut all: Vec<_> = files.filter_map(|path| Some((said(&path)?, path))).collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    all
}

fn dicomdirtests() -> PathBuf {
    pydicom().join("test_files/dicomdirtests")
}

#[test]
fn two_of_fifty_are_named_by_their_numbers() {
    let folder = copy(&dicomdirtests().join("TINY_ALPHA/PT000000/ST000000/SE000000"));
    // No number is left out, and yet not one of these images has pixels.
    let whole = looked_at(folder.path());
    let series = &whole.studies[0].series[0];
    assert!(series.numbers.gaps.is_empty() && whole.is_suspicious(), "{whole}");
    assert_eq!((series.instances, series.lacking.len()), (50, 50), "{whole}");
    let numbered = sorted(folder.path(), tags::INSTANCE_NUMBER, 0);
    assert_eq!((numbered.len(), numbered[0].0, numbered[49].0), (50, 0.0, 49.0));
    fs::remove_file(&numbered[7].1).unwrap();
    fs::remove_file(&numbered[31].1).unwrap();
    let less = looked_at(folder.path());
    let gaps = &less.studies[0].series[0].numbers.gaps;
    assert_eq!(gaps, &[Gap { from: 7, to: 7, count: 1 }, Gap { from: 31, to: 31, count: 1 }]);
    assert!(less.to_string().contains(": 48 instances; Instance Numbers left out: 7 and 31; "), "{less}");
}

#[test]
fn a_slice_of_a_real_series_is_named_by_its_position() {
    let folder = copy(&brain());
    let whole = looked_at(folder.path());
    assert!(!whole.is_suspicious(), "{whole}");
    let stack = &whole.studies[0].series[0].stacks[0];
    assert_eq!((whole.studies[0].series.len(), stack.positions), (1, 20));
    assert!(stack.step_mm.is_some(), "{stack:?}");
    let numbered = sorted(folder.path(), tags::INSTANCE_NUMBER, 0);
    let (_, gone) = &numbered[7];
    let z = sorted(folder.path(), tags::IMAGE_POSITION_PATIENT, 2).iter().find(|(_, path)| path == gone).unwrap().0;
    // Not by its number: the others are numbered anew, as an archive may do that was told to forget it.
    fs::remove_file(gone).unwrap();
    let left = numbered.iter().filter(|(_, path)| path != gone).enumerate();
    for (number, (_, path)) in left {
        let number = format!("(0020,0013)={}", number + 1);
        succeed("dcmodify", ["-nb", "-m", &number, path.to_str().unwrap()]);
    }
    let less = looked_at(folder.path());
    let series = &less.studies[0].series[0];
    assert_eq!((series.instances, series.numbers.gaps.len(), series.stacks[0].missing.len()), (19, 0, 1));
    let missing = series.stacks[0].missing[0];
    assert_eq!(missing.count, 1);
    assert!((missing.from_mm[2] - z).abs() < 0.1, "{missing:?} and not {z}");
    assert!(less.to_string().contains("slices missing at "), "{less}");
}

#[test]
fn a_localizer_is_not_complained_about() {
    let folder = tempfile::tempdir().unwrap();
    let files = Phantom { slices: 12, size: 32, ..Phantom::default() }.write(folder.path()).unwrap();
    let whole = looked_at(folder.path());
    assert!(!whole.is_suspicious(), "{whole}");
    assert_eq!(whole.to_string().matches("nothing speaks for missing images").count(), 2, "{whole}");
    fs::remove_file(&files[5]).unwrap();
    let less = looked_at(folder.path());
    let of_number = |number| less.studies[0].series.iter().find(|series| series.number == Some(number)).unwrap();
    assert!(!of_number(1).is_suspicious() && of_number(2).is_suspicious());
    // The fifth of twelve slices that share 240 mm, from 115 mm down.
    let series = of_number(2);
    let at = series.stacks[0].missing[0].from_mm[2];
    assert!((at - (115.0 - 4.5 * 20.0)).abs() < 1e-6, "{at}");
    assert_eq!(series.numbers.gaps, [Gap { from: 5, to: 5, count: 1 }]);
    assert!(series.to_string().contains("Instance Numbers left out: 5; slices missing at "), "{series}");
}

#[test]
fn what_a_directory_lists_is_missed() {
    // Its copies in other encodings list the same.
    let folder = copy(&dicomdirtests());
    let whole = looked_at(folder.path());
    let unread: Vec<_> = whole.unread.iter().map(|one| one.path.file_name().unwrap()).collect();
    assert_eq!(unread, ["DICOMDIR-nooffset"], "it was cut off by pydicom's authors");
    assert!(whole.elsewhere.is_empty() && whole.studies.iter().all(|study| study.absent.is_empty()), "{whole}");
    assert!(whole.studies.iter().flat_map(|study| &study.series).all(|series| series.absent.is_empty()), "{whole}");
    let intake = Intake::of_folder(folder.path(), &Here).unwrap();
    let is_listed = |path: &Path| !path.strip_prefix(folder.path()).unwrap().starts_with("TINY_ALPHA");
    let many = intake.studies.iter().flat_map(|study| &study.series).filter(|series| series.instances.len() > 1);
    let series = many.clone().find(|series| is_listed(&series.instances[0].path)).unwrap();
    let gone = &series.instances[0];
    fs::remove_file(&gone.path).unwrap();
    let less = looked_at(folder.path());
    let found = less.studies.iter().flat_map(|study| &study.series);
    let found = found.flat_map(|series| &series.absent).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{less}");
    assert_eq!(found[0].sop_instance_uid, gone.instance.sop_instance_uid);
    assert_eq!(found[0].series_instance_uid, Some(series.series_instance_uid));
    assert!(found[0].listed_by.starts_with(folder.path()));
    assert!(less.to_string().contains("1 instance listed by DICOMDIR"), "{less}");
    // A whole study that is gone is missed as well.
    let study = intake.studies.iter().find(|study| is_listed(&study.series[0].instances[0].path)).unwrap();
    for one in study.series.iter().flat_map(|series| &series.instances).filter(|one| one.path.exists()) {
        fs::remove_file(&one.path).unwrap();
    }
    let none = looked_at(folder.path());
    let of_it = none.elsewhere.iter().filter(|one| one.study_instance_uid == Some(study.study_instance_uid));
    assert_eq!(of_it.count(), study.instances(), "{none}");
}

#[test]
fn what_the_sender_says_there_is_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    fs::copy(pydicom().join("test_files/MR_small.dcm"), &path).unwrap();
    let says = |study: &str, series: &str| {
        let (study, series) = (format!("(0020,1208)={study}"), format!("(0020,1209)={series}"));
        succeed("dcmodify", ["-nb", "-i", &study, "-i", &series, path.to_str().unwrap()]);
        looked_at(folder.path())
    };
    let more = says("7", "3");
    assert!(more.is_suspicious());
    let (study, series) = (&more.studies[0], &more.studies[0].series[0]);
    assert_eq!((study.said, series.said), (Some(7), Some(3)));
    assert!(more.to_string().contains("the sender says it has 7 (0020,1208)"), "{more}");
    let same = says("1", "1");
    assert!(!same.is_suspicious());
    assert!(
        same.to_string().contains("1 instance; the sender says it has as many (0020,1209); nothing speaks"),
        "{same}"
    );
}

/// Where Pixel Data (7FE0,0010) begins in a native file.
fn pixel_data(bytes: &[u8]) -> usize {
    bytes.windows(8).rposition(|eight| eight == b"\xe0\x7f\x10\0OW\0\0").unwrap()
}

#[test]
fn a_series_whose_pixels_are_not_all_there_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let files = Phantom { slices: 8, size: 32, ..Phantom::default() }.write(folder.path()).unwrap();
    assert!(!looked_at(folder.path()).is_suspicious());
    let numbered = |number: i32| {
        let of = |path: &&PathBuf| {
            let file = open_file(path).unwrap();
            let said = |tag| file.element(tag).ok().and_then(|one| one.to_int::<i32>().ok());
            (said(tags::SERIES_NUMBER), said(tags::INSTANCE_NUMBER)) == (Some(2), Some(number))
        };
        files.iter().find(of).unwrap().clone()
    };
    let change = |number, how: &dyn Fn(&mut Vec<u8>, usize)| {
        let path = numbered(number);
        let mut bytes = fs::read(&path).unwrap();
        let at = pixel_data(&bytes);
        how(&mut bytes, at);
        fs::write(path, bytes).unwrap();
    };
    let shorten = |bytes: &mut Vec<u8>, at: usize, len: usize| {
        bytes[at + 8..at + 12].copy_from_slice(&(len as u32).to_le_bytes());
        bytes.truncate(at + 12 + len);
    };
    // Cut off and put in order by somebody, with no pixels any more, with none of them left, and with 0 frames.
    change(2, &|bytes, at| shorten(bytes, at, 1_000));
    change(3, &|bytes, at| bytes.truncate(at));
    change(4, &|bytes, at| shorten(bytes, at, 0));
    succeed("dcmodify", ["-nb", "-i", "(0028,0008)=0", numbered(5).to_str().unwrap()]);
    let less = looked_at(folder.path());
    assert!(less.is_suspicious());
    let series = less.studies[0].series.iter().find(|series| series.number == Some(2)).unwrap();
    assert!(series.is_suspicious() && series.lacking.len() == 4, "{series}");
    let mut said: Vec<String> =
        series.lacking.iter().map(|one| format!("{} {}", one.instance_number.unwrap(), one.lack)).collect();
    said.sort();
    let expected = [
        "2 frame 1 was cut off",
        "3 it is an image without pixels",
        "4 frame 1 was cut off",
        "5 Number of Frames is 0",
    ];
    assert_eq!(said, expected);
    assert!(less.to_string().contains("; pixels are not all there in 4 instances: Instance Number "), "{less}");
    // The others say that nothing speaks for missing images.
    assert!(!less.studies[0].series.iter().find(|series| series.number == Some(1)).unwrap().is_suspicious());
}

/// Films passed for complete, and nobody had looked.
#[test]
fn of_a_film_in_no_container_it_is_said_that_nothing_tells() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(pydicom().join("test_files/SC_rgb_jpeg_dcmtk.dcm")).unwrap();
    // The same bytes, said to be MPEG-2.
    let [jpeg, film] = [&b"UI\x16\x001.2.840.10008.1.2.4.50"[..], b"UI\x18\x001.2.840.10008.1.2.4.100\0"];
    let at = bytes.windows(jpeg.len()).position(|some| some == jpeg).unwrap();
    bytes.splice(at..at + jpeg.len(), film.iter().copied());
    let len = u32::from_le_bytes(*bytes[140..].first_chunk().unwrap()) + 2;
    bytes[140..144].copy_from_slice(&len.to_le_bytes());
    fs::write(folder.path().join("film.dcm"), bytes).unwrap();
    let said = looked_at(folder.path());
    let series = &said.studies[0].series[0];
    assert_eq!((series.lacking.len(), series.untold.len()), (0, 1), "{said}");
    let sentence = "nothing tells whether pixels are all there in 1 instance: Instance Number ";
    assert!(said.to_string().contains(sentence) && said.to_string().contains("it is a film in MPEG-2"), "{said}");
}
