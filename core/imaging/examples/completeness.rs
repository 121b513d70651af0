//! Says what a folder says of its own completeness: `cargo run --release -p clavicle-imaging --example completeness -- FOLDER [KOS]`.
//!
//! Files are read in workers, and nothing is written. With a Key Object Selection, the folder is held against that as well.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clavicle_imaging::completeness::Completeness;
use clavicle_imaging::intake::Intake;
use clavicle_imaging::selection;
use clavicle_sandbox::Workers;

fn main() -> ExitCode {
    clavicle_sandbox::main_if_asked();
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(folder) = arguments.next() else {
        eprintln!("which folder? completeness FOLDER [KOS]");
        return ExitCode::FAILURE;
    };
    match run(&folder, arguments.next().as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path, document: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    let reader = Workers::of_this_program()?;
    print!("{}", Completeness::of(&Intake::of_folder(folder, &reader)?, &reader));
    let Some(document) = document else { return Ok(()) };
    let found = selection::verify(document, folder, &reader)?;
    for one in &found.listed {
        println!("{}: {}", one.sop_instance_uid, one.verdict);
    }
    for (path, _) in &found.not_listed {
        println!("{}: it is not in the document", path.display());
    }
    Ok(())
}
