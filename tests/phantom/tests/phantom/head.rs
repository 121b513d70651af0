//! The head: where its parts are, and how each contrast shows them.

use std::io::Write as _;

use clavicle_phantom::{Kind, Phantom};
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, from_reader};
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Points of the body, in millimetres to the left, to the back, up.
const WHITE: [f64; 3] = [-24.0, 18.0, 34.0];
const LESION: [f64; 3] = [29.0, 6.0, 29.0];
const VENTRICLE: [f64; 3] = [-14.0, 18.0, 20.0];
const THALAMUS: [f64; 3] = [-11.0, 11.0, 8.0];
const EYE: [f64; 3] = [31.0, -77.0, -31.0];
const AIR: [f64; 3] = [110.0, -100.0, 0.0];

struct Image {
    position: Vec<f64>,
    spacing: f64,
    columns: usize,
    pixels: Vec<u16>,
    bytes: usize,
}

impl Image {
    fn of(object: &DefaultDicomObject) -> Self {
        let numbers = |tag| object.element(tag).unwrap().to_multi_float64().unwrap();
        let bytes = object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
        Self {
            position: numbers(tags::IMAGE_POSITION_PATIENT),
            spacing: numbers(tags::PIXEL_SPACING)[0],
            columns: object.element(tags::COLUMNS).unwrap().to_int().unwrap(),
            pixels: bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
            bytes: bytes.len(),
        }
    }

    /// The mean of nine pixels around a point that lies in this slice.
    fn at(&self, [x, y, _]: [f64; 3]) -> f64 {
        let place = |at: f64, from: f64| ((at - from) / self.spacing).round() as usize;
        let (column, row) = (place(x, self.position[0]), place(y, self.position[1]));
        let around = (row - 1..=row + 1).flat_map(|row| (column - 1..=column + 1).map(move |column| (row, column)));
        around.map(|(row, column)| f64::from(self.pixels[row * self.columns + column])).sum::<f64>() / 9.0
    }
}

fn series(phantom: &Phantom, folder: &str) -> Vec<Image> {
    let mut images = Vec::new();
    phantom
        .each(|file| {
            if file.name().starts_with(folder) {
                let bytes = file.into_bytes();
                images.push(Image::of(&from_reader(&bytes[..]).unwrap()));
            }
            Ok(())
        })
        .unwrap();
    images
}

fn value(images: &[Image], point: [f64; 3]) -> f64 {
    let from = |image: &&Image| (image.position[2] - point[2]).abs();
    images.iter().min_by(|one, other| from(one).total_cmp(&from(other))).unwrap().at(point)
}

fn mr() -> Phantom {
    Phantom { slices: 58, size: 128, ..Phantom::of(Kind::HeadMr) }
}

#[test]
fn a_ct_shows_hounsfield_units() {
    // Half a millimetre thick, so that slices lie between the layers of the grid.
    let images = series(&Phantom { slices: 348, size: 128, ..Phantom::of(Kind::HeadCt) }, "1-axial");
    let hounsfield = |point| value(&images, point) - 1024.0;
    let near = |point, expected: f64| {
        let found = hounsfield(point);
        assert!((found - expected).abs() < 5.0, "{found} is not about {expected}");
    };
    near(WHITE, 29.0);
    near(LESION, 22.0);
    near(VENTRICLE, 6.0);
    near(THALAMUS, 39.0);
    near(EYE, 10.0);
    near(AIR, -1000.0);
    for pair in images.windows(2) {
        assert!((pair[0].position[2] - pair[1].position[2] - 0.5).abs() < 1e-9, "slices are evenly spaced");
    }
    let slice = &images[130];
    assert!(slice.pixels.iter().filter(|pixel| **pixel > 1024 + 700).count() > 300, "there is a skull");
}

#[test]
fn each_contrast_shows_the_tissues_its_own_way() {
    let phantom = mr();
    let [t1, t2, flair, diffusion] = ["1-t1", "2-t2", "3-flair", "4-diffusion"].map(|folder| {
        let images = series(&phantom, folder);
        assert_eq!(images.len(), 58, "{folder}");
        [WHITE, THALAMUS, VENTRICLE, LESION].map(|point| value(&images, point))
    });
    let [white, grey, water, lesion] = t1;
    assert!(white > lesion && lesion > water && white > grey && grey > water, "T1: {t1:?}");
    let [white, grey, water, lesion] = t2;
    assert!(water > lesion && lesion > grey && grey > white, "T2: {t2:?}");
    let [white, grey, water, lesion] = flair;
    assert!(lesion > grey && grey > white && white > 2.0 * water, "FLAIR: {flair:?}");
    let [white, grey, water, lesion] = diffusion;
    assert!(lesion > 2.0 * white.max(grey) && white > 2.0 * water, "diffusion: {diffusion:?}");
}

#[test]
fn all_series_lie_in_one_frame_of_reference() {
    let mut frames = Vec::new();
    let mut referenced = Vec::new();
    mr().each(|file| {
        let object = from_reader(&file.into_bytes()[..]).unwrap();
        let text = |tag| object.element_opt(tag).unwrap().map(|element| element.to_str().unwrap().into_owned());
        if let Some(frame) = text(tags::FRAME_OF_REFERENCE_UID) {
            frames.push((frame, text(tags::SOP_INSTANCE_UID).unwrap(), text(tags::IMAGE_POSITION_PATIENT).unwrap()));
        } else {
            let study =
                &object.element(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE).unwrap().items().unwrap()[0];
            for series in study.element(tags::REFERENCED_SERIES_SEQUENCE).unwrap().items().unwrap() {
                let one = &series.element(tags::REFERENCED_SOP_SEQUENCE).unwrap().items().unwrap()[0];
                referenced.push(one.element(tags::REFERENCED_SOP_INSTANCE_UID).unwrap().to_str().unwrap().into_owned());
            }
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(frames.len(), 4 * 58);
    assert!(frames.iter().all(|(frame, ..)| *frame == frames[0].0));
    // The report points at the four images that go through the middle of the lesion.
    assert_eq!(referenced.len(), 4);
    for uid in referenced {
        let (.., position) = frames.iter().find(|(_, instance, _)| *instance == uid).unwrap();
        let z: f64 = position.rsplit('\\').next().unwrap().parse().unwrap();
        assert!((z - LESION[2]).abs() <= 1.5, "{z}");
    }
}

#[test]
fn the_report_is_there_as_text_too() {
    let report = mr().report().unwrap();
    for part in
        ["SYNTHETIC PHANTOM", "Phantom, Ana", "FINDINGS\n", "CONCLUSIONS\nAcute infarct in the left corona radiata."]
    {
        assert!(report.contains(part), "{report}");
    }
    assert_eq!(Phantom::default().report(), None);
}

#[test]
fn noise_keeps_it_from_being_compressed_away() {
    let images = series(&Phantom { slices: 9, size: 256, ..Phantom::of(Kind::HeadCt) }, "1-axial");
    let middle = &images[4];
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
    for pixel in &middle.pixels {
        deflated.write_all(&pixel.to_le_bytes()).unwrap();
    }
    let left = deflated.finish().unwrap().len() as f64 / middle.bytes as f64;
    assert!((0.35..0.8).contains(&left), "deflated, {left} of it is left");
}

#[test]
fn the_word_stands_in_the_corner() {
    // 64 columns: each letter is three pixels wide, and the word begins at the second.
    for kind in [Kind::HeadCt, Kind::HeadMr] {
        let images = series(&Phantom { slices: 1, size: 64, ..Phantom::of(kind) }, "1-");
        let row = |row: usize| images[0].pixels[row * 64..][..5].iter().map(|pixel| *pixel > 900).collect::<Vec<_>>();
        assert_eq!(row(1), [false, true, true, true, false]);
        assert_eq!(row(2), [false, true, false, false, false]);
        assert_eq!(row(4), [false, false, false, true, false]);
    }
}
