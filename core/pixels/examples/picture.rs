//! Makes a PNG of one frame: `cargo run -p clavicle-pixels --example picture -- FILE OUT.png [FRAME] [WINDOW]`, where a window is the name of a
//! usual one of CT, or `fitted`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clavicle_pixels::frames::{Frames, FramesError};
use clavicle_pixels::picture::{View, Voi, ct, picture};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, out, more @ ..] = arguments.as_slice() else {
        eprintln!("picture FILE OUT.png [FRAME] [WINDOW]");
        return ExitCode::FAILURE;
    };
    let frame = more.first().and_then(|frame| frame.parse().ok()).unwrap_or(0);
    let view = match more.get(1).map(String::as_str) {
        None => View::AsItSays,
        Some("fitted") => View::Fitted,
        Some(name) => ct(name).map_or(View::AsItSays, |window| View::Voi(Voi::Window(window))),
    };
    let made = open(Path::new(file)).map_err(Into::into).and_then(|mut frames| picture(&mut frames, frame, &view));
    let written = made.and_then(|picture| picture.png()).map_err(|error| error.to_string());
    // Nothing that is there is written over.
    let write = |png: Vec<u8>| File::create_new(out)?.write_all(&png);
    match written.and_then(|png| write(png).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{file}: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Opens a file.
fn open(path: &Path) -> Result<Frames<File>, FramesError> {
    let file = File::open(path).map_err(|_| FramesError::Io)?;
    let len = file.metadata().map_err(|_| FramesError::Io)?.len();
    Frames::read(file, len)
}
