//! When a wallet is of use that is opened after a month, and what it weighs: `cargo bench -p clavicle-wallet --bench usable [-- STUDIES]`, 500 without a
//! number.
//!
//! Four hospitals by arithmetic, two relays of them on loopback, and the wallet, which is a process of its own each time. It is of use when it believes a
//! block that hospitals vouch for, and has proven one of its studies there. A platform's key store has its key at once; what a passphrase costs is told
//! apart. Floor and aim are those of the design: two seconds and 300 ms, and 60 MB for 500 studies.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/wallet/network.rs"]
#[allow(dead_code, reason = "it can do more than is needed here")]
mod network;
#[path = "../tests/wallet/usable.rs"]
#[allow(dead_code, reason = "its test is none here")]
mod usable;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clavicle_wallet::patient::Patient;
use clavicle_wallet::vault::{Passphrase, Vault};
use tokio::runtime::Runtime;

use crate::network::clock;
use crate::usable::{AtHand, DAYS, behind};

const RUNS: usize = 9;
const FLOOR_MS: f64 = 2_000.0;
const AIM_MS: f64 = 300.0;
const MOST_MB: f64 = 60.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [wallet, folder] = &arguments[..]
        && wallet == "wallet"
    {
        return be_wallet(folder.as_ref());
    }
    let studies = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(500);
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let _relays = runtime.block_on(behind(&made, studies));
    println!("{studies} studies, {DAYS} days behind, the median of {RUNS} starts");
    let all: Vec<[f64; 5]> = (0..RUNS).map(|run| started(&made, &folder.path().join(run.to_string()))).collect();
    let [opened, usable, asked, resident, most] = std::array::from_fn(|place| {
        let mut of_each: Vec<f64> = all.iter().map(|run| run[place]).collect();
        of_each.sort_by(f64::total_cmp);
        of_each[RUNS / 2]
    });
    let (of_floor, of_aim) = (usable / FLOOR_MS, usable / AIM_MS);
    println!("open, and its list read                  {opened:>8.1} ms");
    println!(
        "of use                                   {usable:>8.1} ms: {of_floor:.2} of the floor, {of_aim:.2} of the aim"
    );
    println!("all studies asked for, one by one        {asked:>8.1} ms");
    println!("resident memory then                     {resident:>8.1} MB: {:.2} of what may be", resident / MOST_MB);
    println!("most of it at a time                     {most:>8.1} MB: {:.2} of what may be", most / MOST_MB);
    println!("a passphrase, besides                    {:>8.1} ms", ms(passphrase(folder.path())));
}

/// A wallet opened in a process of its own, as it was made.
fn started(made: &Path, folder: &Path) -> [f64; 5] {
    std::fs::create_dir(folder).unwrap();
    for entry in std::fs::read_dir(made).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.arg("wallet").arg(folder).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the wallet ended with {}", output.status);
    let said = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

fn be_wallet(folder: &Path) {
    let runtime = Runtime::new().unwrap();
    let from = Instant::now();
    let mut patient = Patient::open(folder, &AtHand, clock).unwrap();
    let studies = patient.studies().unwrap();
    let opened = from.elapsed();
    runtime.block_on(async {
        patient.wake().await.unwrap().unwrap();
        patient.ask(&studies[0]).await.unwrap();
        let usable = from.elapsed();
        assert!(patient.ask_each(&studies, |_, _| {}).await.unwrap().is_none());
        let asked = from.elapsed();
        println!("{} {} {} {} {}", ms(opened), ms(usable), ms(asked), memory("VmRSS:"), memory("VmHWM:"));
    });
}

/// What opening a vault by a passphrase takes.
fn passphrase(folder: &Path) -> Duration {
    let (folder, passphrase) = (folder.join("passphrase"), Passphrase::new("four words of it".to_owned()).unwrap());
    drop(Vault::create(&folder, &passphrase).unwrap());
    let from = Instant::now();
    drop(Vault::open(&folder, &passphrase).unwrap());
    from.elapsed()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// What this process has of memory, in MB.
fn memory(of: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix(of)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap() * 1_024.0 / 1e6
}
