//! What intake costs: `cargo bench -p clavicle-imaging --bench intake`.
//!
//! Every figure is the median of several runs, warm, and stands beside that of a peer in the same run: reading the same files and
//! hashing them with `b3sum` on both processors. Without `b3sum` (a package of Debian's) the peer is left out, and said to be.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clavicle_imaging::intake::{Edition, Intake};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_manifest::Nonce;
use clavicle_phantom::{Kind, Phantom};
use clavicle_sandbox::Workers;
use clavicle_sandbox::reader::{Here, Reader};

const RUNS: usize = 9;

fn main() {
    clavicle_sandbox::main_if_asked();
    let folder = tempfile::tempdir().unwrap();
    // 1,143 files of 98 KB.
    for seed in 0..3 {
        let phantom = Phantom { slices: 380, size: 220, seed, ..Phantom::default() };
        phantom.write(&folder.path().join(seed.to_string())).unwrap();
    }
    let workers = Workers::of_this_program().unwrap();
    // Both sides in turns, so that what else the machine does meets both.
    let (mut ours, mut here, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(timed(|| signed(folder.path(), &workers)));
        here.push(timed(|| signed(folder.path(), &Here)));
        theirs.push(timed(|| b3sum(folder.path())));
    }
    let (ours, here, theirs) = (median(ours), median(here), median(theirs));
    println!("1,143 files of 98 KB → signed manifests, in workers     {ours:?}");
    println!("the same in this process                               {here:?}");
    println!("reading and b3sum, two at a time                       {theirs:?}");
    println!("ratio                                                  {:.2}", ours.as_secs_f64() / theirs.as_secs_f64());
    drop(workers);
    gigabyte();
}

/// One instance of a gigabyte: how long its inspection takes, and how much memory the worker that does it.
fn gigabyte() {
    let folder = tempfile::tempdir().unwrap();
    let phantom = Phantom { slices: 2048, size: 512, ..Phantom::of(Kind::HeadCtEnhanced) };
    let path = phantom.write(folder.path()).unwrap().remove(0);
    let reader = Workers::of_this_program().unwrap();
    let took = median((0..3).map(|_| timed(|| drop(reader.inspect_one(&path).unwrap()))).collect());
    let size = std::fs::metadata(&path).unwrap().len();
    let children = format!("/proc/self/task/{}/children", std::process::id());
    let worker = std::fs::read_to_string(children).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.trim())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("one instance of {} MB, inspected                       {took:?}", size / 1_000_000);
    println!("its worker's memory at the most                        {}", peak.trim_start_matches("VmHWM:").trim());
}

/// Takes the folder in and signs a manifest of each study.
fn signed(folder: &Path, reader: &dyn Reader) {
    let intake = Intake::of_folder(folder, reader).unwrap();
    let (chain, key) = (ChainId::from_bytes([1; 32]), SecretKey::from_bytes(&[2; 32]));
    let mut instances = 0;
    for study in &intake.studies {
        let manifest = study.manifest(&Edition {
            chain,
            source: SourceId::from_bytes([3; 32]),
            salt: Salt::from_bytes([4; 32]),
            nonce: Nonce::from_bytes([5; 32]),
            revision: 0,
            predecessor: None,
            open: false,
        });
        instances += manifest.unwrap().sign(&chain, &key).manifest.counts().instances;
    }
    assert_eq!(instances, 1_143);
}

fn b3sum(folder: &Path) {
    let command = "find . -type f -print0 | xargs -0 -P 2 -n 572 b3sum";
    let status = Command::new("sh").args(["-c", command]).current_dir(folder).stdout(Stdio::null()).status();
    assert!(status.unwrap().success(), "b3sum is not there: apt-get install b3sum");
}

fn timed(work: impl FnOnce()) -> Duration {
    let from = Instant::now();
    work();
    from.elapsed()
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}
