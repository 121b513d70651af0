//! Makes manifests of a folder, and holds a folder against one: `cargo run --release -p clavicle-imaging --example manifest`.
//!
//! Files are read in workers. Manifests are of revision 0, and signed with a made-up key, which is the same each time.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clavicle_imaging::intake::{Edition, Intake};
use clavicle_ledger::encoding;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{MediaType, Nonce, SignedManifest};
use clavicle_sandbox::Workers;

const USAGE: &str = "\
manifest make FOLDER [OUT] [REPORT.txt]   says what is in the folder, and writes into the folder OUT a manifest of each study
manifest verify MANIFEST FOLDER           says what of the manifest is in the folder: what is missing, altered and how, or too much";

const CHAIN: ChainId = ChainId::from_bytes([0; 32]);

fn key() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn main() -> ExitCode {
    clavicle_sandbox::main_if_asked();
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let done = match arguments.split_first().map(|(what, rest)| (what.to_str(), rest)) {
        Some((Some("make"), [folder, rest @ ..])) if rest.len() <= 2 => make(folder, rest.first(), rest.get(1)),
        Some((Some("verify"), [manifest, folder])) => verify(manifest, folder),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn take_in(folder: &Path) -> Result<Intake, Box<dyn Error>> {
    Ok(Intake::of_folder(folder, &Workers::of_this_program()?)?)
}

fn make(folder: &Path, out: Option<&PathBuf>, report: Option<&PathBuf>) -> Result<(), Box<dyn Error>> {
    let from = Instant::now();
    let mut intake = take_in(folder)?;
    let mut bytes = 0;
    for study in &mut intake.studies {
        if let Some(report) = report {
            study.attach(report, MediaType::Text)?;
        }
        let manifest = study.manifest(&Edition {
            chain: CHAIN,
            source: SourceId::from_bytes([0; 32]),
            salt: Salt::from_bytes([0; 32]),
            nonce: Nonce::from_bytes([0; 32]),
            revision: 0,
            predecessor: None,
            open: false,
        })?;
        let (counts, root) = (manifest.counts(), manifest.root(&CHAIN));
        bytes += counts.bytes;
        println!(
            "study {}: {} series, {} instances, {} frames, {} bytes, root {root}",
            study.study_instance_uid, counts.series, counts.instances, counts.frames, counts.bytes,
        );
        if let Some(out) = out {
            fs::create_dir_all(out)?;
            let path = out.join(format!("{}.manifest", study.study_instance_uid));
            // Nothing that is there is written over.
            File::create_new(&path)?.write_all(&encoding::encode(&manifest.sign(&CHAIN, &key())))?;
            println!("  {}", path.display());
        }
    }
    let accounting = intake.accounting();
    accounting.lines().iter().for_each(|line| println!("{line}"));
    println!("{}, {bytes} bytes in studies, {:?}", accounting.summary("taken"), from.elapsed());
    Ok(())
}

fn verify(manifest: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let signed: SignedManifest = encoding::decode(&fs::read(manifest)?)?;
    signed.verify(&CHAIN, &key().public())?;
    let comparison = signed.manifest.compare(take_in(folder)?.received());
    println!("{comparison}");
    if comparison.is_complete() { Ok(()) } else { Err("not all of it is as it was signed".into()) }
}
