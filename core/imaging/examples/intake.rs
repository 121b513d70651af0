//! Takes in a folder and says what is in it: `cargo run --release -p clavicle-imaging --example intake -- FOLDER [REPORT.txt]`.
//!
//! Files are read in a worker. Each study is written into a manifest of revision 0, under made-up keys.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clavicle_imaging::intake::{Edition, Intake};
use clavicle_imaging::reader::Reader;
use clavicle_imaging::worker::{self, Workers};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{MediaType, Nonce};

fn main() -> ExitCode {
    worker::main_if_asked();
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), report) = (arguments.next(), arguments.next()) else {
        eprintln!("which folder? intake FOLDER [REPORT.txt]");
        return ExitCode::FAILURE;
    };
    match run(&folder, report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &std::path::Path, report: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    let from = Instant::now();
    let reader = Reader::Workers(Workers::of_this_program()?);
    let mut intake = Intake::of_folder(folder, &reader)?;
    let chain = ChainId::from_bytes([0; 32]);
    let mut bytes = 0;
    for study in &mut intake.studies {
        if let Some(report) = &report {
            study.attach(report, MediaType::Text)?;
        }
        let manifest = study.manifest(&Edition {
            chain,
            source: SourceId::from_bytes([0; 32]),
            salt: Salt::from_bytes([0; 32]),
            nonce: Nonce::from_bytes([0; 32]),
            revision: 0,
            predecessor: None,
            open: false,
        })?;
        let counts = manifest.counts();
        bytes += counts.bytes;
        println!(
            "study {}: {} series, {} instances, {} frames, {} bytes, root {}",
            study.study_instance_uid,
            counts.series,
            counts.instances,
            counts.frames,
            counts.bytes,
            manifest.root(&chain)
        );
    }
    for one in &intake.duplicates {
        println!("duplicate {}, the same as {}", one.path.display(), one.of.display());
    }
    for one in &intake.conflicts {
        println!("conflict {}, other bytes than {}", one.path.display(), one.with.display());
    }
    for one in &intake.quarantined {
        println!("quarantined {}: {}", one.path.display(), one.reason);
    }
    println!("{} files, {bytes} bytes in studies, {:?}", intake.files(), from.elapsed());
    Ok(())
}
