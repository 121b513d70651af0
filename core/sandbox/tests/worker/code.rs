//! Codes out of pictures, read by a worker: good ones, and such as are to take it down.

use std::fs::File;
use std::io::{Cursor, Seek as _, Write as _};
use std::time::{Duration, Instant};

use clavicle_letters::code::{PictureError, to_png};
use clavicle_sandbox::process::Processes;
use clavicle_sandbox::threads::Threads;
use clavicle_sandbox::{Here, ReadError, Reader, WorkerError, Workers};

use crate::camera::{Modules, Photograph};

const TEXT: &str = "HTTPS://EXAMPLE.ORG/0123456789/ABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn read(reader: &dyn Reader, bytes: &[u8]) -> Result<Result<String, PictureError>, ReadError> {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    reader.read_code(&file)
}

/// As a telephone takes it, in passes.
fn photograph(blur: f32) -> Vec<u8> {
    Photograph { progressive: true, ..Photograph::usual((1_200, 900), 12.0, blur) }.of(&Modules::of(TEXT))
}

/// A picture in shades of grey.
fn png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

pub(super) fn codes_are_read_wherever_pictures_are() {
    let drawn = to_png(TEXT).unwrap();
    // Drawn by `clavicle-letters`, and written as WebP by `cwebp`.
    let webp = include_bytes!("../../../letters/tests/vectors/pickup.webp").to_vec();
    let pictures = [drawn, photograph(0.7), webp, b"no picture".to_vec(), photograph(12.0)];
    let all = |reader: &dyn Reader| pictures.each_ref().map(|bytes| read(reader, bytes).unwrap());
    let here = all(&Here);
    assert_eq!(here[..2], [Ok(TEXT.to_owned()), Ok(TEXT.to_owned())]);
    assert!(here[2].as_ref().unwrap().starts_with("CLAVICLE:PICKUP:"));
    assert_eq!(here[3], Err(PictureError::NoPicture));
    assert!(matches!(here[4], Err(PictureError::NoCode | PictureError::Unreadable)), "{:?}", here[4]);
    // Confined: what the decoders ask of the system besides memory is let pass, or the worker would have ended on it.
    let readers: [&dyn Reader; 3] =
        [&Workers::of_this_program().unwrap(), &Processes::of_this_program().unwrap(), &Threads::default()];
    for reader in readers {
        assert_eq!(all(reader), here, "{reader:?}");
    }
}

pub(super) fn a_hostile_picture_costs_itself_alone() {
    let reader = Workers::of_this_program().unwrap().within(Duration::from_secs(5));
    // As large as a picture may be. It may take too long; it may not take more memory than there is.
    let side = 8_192u32;
    let largest = png(side, side, &vec![0xff; (side * side) as usize]);
    let from = Instant::now();
    let answer = read(&reader, &largest);
    println!("{side} × {side} pixels: {answer:?} after {:?}", from.elapsed());
    let is_late = matches!(answer, Err(ReadError::Worker(WorkerError::TimedOut(_))));
    assert!(is_late || matches!(answer, Ok(Err(PictureError::NoCode))), "{answer:?}");
    // Good ones, changed by a fixed seed as bytes can be.
    let mut jpeg = Vec::new();
    let mut decoder = png::Decoder::new(Cursor::new(to_png("A").unwrap())).read_info().unwrap();
    let mut shades = vec![0; decoder.output_buffer_size().unwrap()];
    let side = decoder.next_frame(&mut shades).unwrap().width;
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 80);
    encoder.set_progressive(true);
    encoder.encode(&shades, side as u16, side as u16, jpeg_encoder::ColorType::Luma).unwrap();
    let good = [png(side, side, &shades), jpeg];
    let (from, mut state) = (Instant::now(), 0x00c1_a71c_1e00_u64);
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % below.max(1)
    };
    for number in 0..40 {
        let mut bytes = good[number % 2].clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] ^= 1 << next(8),
                1 => drop(bytes.drain(at..(at + next(16)).min(bytes.len()))),
                _ => bytes.truncate(at.max(16)),
            }
        }
        let answer = read(&reader, &bytes);
        assert!(answer.is_ok(), "{number}: {answer:?}");
    }
    println!("40 mutations in {:?}", from.elapsed());
    // It goes on all the same.
    assert_eq!(read(&reader, &good[0]).unwrap(), Ok("A".to_owned()));
}
