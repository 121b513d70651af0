//! What reading a code out of a photograph costs: `cargo bench -p clavicle-sandbox --features codes --bench codes`.
//!
//! Every figure is the median of several runs, warm. The photographs are taken by arithmetic.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../../letters/tests/photographs/camera.rs"]
#[allow(dead_code, reason = "it can take more kinds of photographs than are needed here")]
mod camera;

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};

use clavicle_sandbox::{Here, Reader, Workers};

use crate::camera::{Modules, Photograph};

const RUNS: usize = 5;

fn main() {
    clavicle_sandbox::main_if_asked();
    let workers = Workers::of_this_program().unwrap();
    for (what, blur, progressive) in [
        ("12 megapixels, a sharp code of 700 characters", 1.2, false),
        ("the same in passes", 1.2, true),
        ("12 megapixels, no code that could be read", 40.0, false),
    ] {
        let file = photograph(blur, progressive);
        say(&format!("{what}, here"), &file, &Here);
        say(&format!("{what}, by a worker"), &file, &workers);
    }
}

/// As a telephone takes it, of a card.
fn photograph(blur: f32, progressive: bool) -> File {
    let modules = Modules::of(&format!("HTTPS://EXAMPLE.ORG/{}", "CLAVICLE24".repeat(68)));
    let module = 1_700.0 / modules.side as f32;
    let photograph = Photograph { progressive, ..Photograph::usual((4_000, 3_000), module, blur) };
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&photograph.of(&modules)).unwrap();
    file.rewind().unwrap();
    file
}

fn say(what: &str, file: &File, reader: &dyn Reader) {
    let run = || {
        let from = Instant::now();
        let said = black_box(reader.read_code(file).unwrap());
        (from.elapsed(), said.is_ok())
    };
    let mut all: Vec<(Duration, bool)> = (0..RUNS).map(|_| run()).collect();
    all.sort_unstable();
    let (time, is_read) = all[RUNS / 2];
    println!("{what}: {time:.1?}, {}", if is_read { "read" } else { "not read" });
}
