//! Writes the images of a patient who does not exist: `cargo run --release -p clavicle-phantom --example phantom`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

use clavicle_phantom::{Kind, Phantom};

const USAGE: &str = "\
Writes the images of a patient who does not exist, the same on every machine.

phantom KIND [--slices N] [--size N] [--seed N] [--report FILE] [FOLDER]

KIND               what is made                                          slices    size
";

const REST: &str = "
--slices N         slices of each series; views of a radiograph; frames of a loop
--size N           pixels along a side
--seed N           what UIDs and noise are made of; 1 where it is left out
--report FILE      writes what the radiologist said, as text (mr-head)
FOLDER             where the files go; without it they are made, counted and dropped

phantom ct-head --slices 500 --size 512 head
phantom ct-head --slices 1142 --size 224
phantom ct-head-enhanced --slices 2048 --size 512 gigabyte";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match asked(&arguments) {
        Ok(asked) => match run(&asked) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&*error),
        },
        Err(error) => {
            usage();
            fail(&*error)
        }
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  {error}");
        source = error.source();
    }
    ExitCode::FAILURE
}

fn usage() {
    eprint!("{USAGE}");
    for kind in Kind::ALL {
        let usual = Phantom::of(kind);
        let (slices, sizes) = (kind.slices(), kind.sizes());
        let slices = format!("{}…{}", slices.start(), slices.end());
        let about = usual.description.as_str().trim_end_matches(", synthetic phantom");
        eprintln!("{:18} {about:52} {slices:>9} {}…{}", kind.to_string(), sizes.start(), sizes.end());
    }
    eprintln!("{REST}");
}

struct Asked {
    phantom: Phantom,
    folder: Option<PathBuf>,
    report: Option<PathBuf>,
}

fn asked(arguments: &[String]) -> Result<Asked, Box<dyn std::error::Error>> {
    let (kind, rest) = arguments.split_first().ok_or("which kind?")?;
    let mut asked = Asked { phantom: Phantom::of(kind.parse()?), folder: None, report: None };
    let mut rest = rest.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} what?"));
        match argument.as_str() {
            "--slices" => asked.phantom.slices = value()?.parse()?,
            "--size" => asked.phantom.size = value()?.parse()?,
            "--seed" => asked.phantom.seed = value()?.parse()?,
            "--report" => asked.report = Some(value()?.into()),
            option if option.starts_with('-') => return Err(format!("what is {option}?").into()),
            folder if asked.folder.is_none() => asked.folder = Some(folder.into()),
            other => return Err(format!("and what is {other}?").into()),
        }
    }
    Ok(asked)
}

fn run(Asked { phantom, folder, report }: &Asked) -> Result<(), Box<dyn std::error::Error>> {
    let from = Instant::now();
    let (mut files, mut bytes) = (0, 0);
    if let Some(folder) = folder {
        for path in phantom.write(folder)? {
            files += 1;
            bytes += fs::metadata(path)?.len();
        }
    } else {
        phantom.each(|file| {
            files += 1;
            bytes += file.len();
            file.write_to(&mut io::sink())
        })?;
    }
    if let Some(path) = report {
        fs::write(path, phantom.report().ok_or_else(|| format!("{} comes without a report", phantom.kind))?)?;
    }
    println!("{files} files, {bytes} bytes, {:?}", from.elapsed());
    Ok(())
}
