//! What pictures cost: `cargo bench -p clavicle-pixels --bench pictures`.
//!
//! Every figure is the median of several runs, warm. The files are made by [`Phantom`].
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clavicle_phantom::Phantom;
use clavicle_pixels::frames::Frames;
use clavicle_pixels::picture::{View, Voi, ct, picture, pixel_aspect};
use clavicle_pixels::render::{Wanted, Windowing};
use clavicle_sandbox::reader::{Here, Reader as _};

const RUNS: usize = 21;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let phantom = Phantom { slices: 500, size: 512, ..Phantom::default() };
    let files = phantom.write(folder.path()).unwrap();
    let slices: Vec<PathBuf> = files.into_iter().skip(1).collect();
    say("512² of 16 bits: opened, decoded, windowed", 3.0, || {
        let mut frames = open(&slices[250]);
        let view = View::Voi(Voi::Window(ct("lung").unwrap()));
        picture(&mut frames, 0, &view).unwrap()
    });
    let mut frames = open(&slices[250]);
    say("the same, open already, in another window", 3.0, || {
        let view = View::Voi(Voi::Window(ct("bone").unwrap()));
        picture(&mut frames, 0, &view).unwrap()
    });
    say("thumbnail of a slice", 100.0, || {
        let mut frames = open(&slices[250]);
        let aspect = pixel_aspect(frames.attributes(), 0);
        picture(&mut frames, 0, &View::AsItSays).unwrap().thumbnail(128, aspect)
    });
    say("512² as PNG", 20.0, || picture(&mut frames, 0, &View::AsItSays).unwrap().png().unwrap());
    let film = rle(folder.path(), 2_000);
    say("2,000 frames of 64² in RLE, all of them", 400.0, || {
        let file = File::open(&film).unwrap();
        let mut film = Here.film(&file).unwrap();
        for frame in 0..2_000 {
            let wanted = Wanted { frame: Some(frame), windowing: Windowing::Fitted, side: None };
            black_box(film.render(&wanted).unwrap().unwrap());
        }
    });
}

fn open(path: &Path) -> Frames<File> {
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    Frames::read(file, len).unwrap()
}

/// Writes a film in RLE without an offset table.
fn rle(folder: &Path, frames: u32) -> PathBuf {
    let element = |group: u16, number: u16, vr: &[u8; 2], value: &[u8]| {
        let mut value = value.to_vec();
        value.resize(value.len().next_multiple_of(2), if vr == b"UI" { 0 } else { b' ' });
        let len = (value.len() as u16).to_le_bytes();
        [&group.to_le_bytes()[..], &number.to_le_bytes(), vr, &len, &value].concat()
    };
    let item = |value: &[u8]| [&b"\xfe\xff\0\xe0"[..], &(value.len() as u32).to_le_bytes(), value].concat();
    let us = |number, value: u16| element(0x28, number, b"US", &value.to_le_bytes());
    let mut bytes = [vec![0; 128], b"DICM".to_vec(), element(2, 0x10, b"UI", b"1.2.840.10008.1.2.5")].concat();
    bytes.extend(element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.7.2"));
    bytes.extend([us(2, 1), element(0x28, 4, b"CS", b"MONOCHROME2")].concat());
    bytes.extend([element(0x28, 8, b"IS", frames.to_string().as_bytes()), us(0x10, 64), us(0x11, 64)].concat());
    bytes.extend([us(0x100, 8), us(0x101, 8), us(0x102, 7), us(0x103, 0)].concat());
    bytes.extend_from_slice(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff");
    bytes.extend(item(&[]));
    for frame in 0..frames {
        let header = [1_u32, 64].into_iter().chain([0; 14]).flat_map(u32::to_le_bytes);
        // 32 times 128 pixels as they are.
        let rows = (0..32).flat_map(|row| std::iter::once(127).chain((0..128).map(move |at| (frame + row + at) as u8)));
        bytes.extend(item(&header.chain(rows).collect::<Vec<u8>>()));
    }
    bytes.extend_from_slice(b"\xfe\xff\xdd\xe0\0\0\0\0");
    let path = folder.join("film.dcm");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn say<T>(what: &str, goal_ms: f64, mut work: impl FnMut() -> T) {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed()
        })
        .collect();
    times.sort();
    let ms = times[RUNS / 2].as_secs_f64() * 1000.0;
    println!("{what:<48} {ms:>8.3} ms   (goal {goal_ms} ms)");
}
