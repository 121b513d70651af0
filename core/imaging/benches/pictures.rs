//! What pictures cost: `cargo bench -p clavicle-imaging --bench pictures`.
//!
//! Every figure is the median of several runs, warm. The files are made by [`Phantom`].
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clavicle_imaging::frames::Frames;
use clavicle_imaging::phantom::Phantom;
use clavicle_imaging::picture::{View, Voi, ct, of_series, picture};

const RUNS: usize = 21;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let phantom = Phantom { slices: 500, size: 512, ..Phantom::default() };
    let files = phantom.write(folder.path()).unwrap();
    let slices: Vec<PathBuf> = files.into_iter().skip(1).collect();
    say("512² of 16 bits: opened, decoded, windowed", 3.0, || {
        let mut frames = Frames::open(&slices[250]).unwrap();
        let view = View::Voi(Voi::Window(ct("lung").unwrap()));
        picture(&mut frames, 0, &view).unwrap()
    });
    let mut frames = Frames::open(&slices[250]).unwrap();
    say("the same, open already, in another window", 3.0, || {
        let view = View::Voi(Voi::Window(ct("bone").unwrap()));
        picture(&mut frames, 0, &view).unwrap()
    });
    say("thumbnail of a series of 500", 100.0, || of_series(&slices, 128).unwrap());
    say("512² as PNG", 20.0, || picture(&mut frames, 0, &View::AsItSays).unwrap().png().unwrap());
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
