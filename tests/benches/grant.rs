//! How long a grant takes, from the patient's yes until it is final, proven, and its letter lies in the recipient's mailbox: `cargo bench -p
//! clavicle-tests --bench grant [-- GRANTS]`, 100 without a number.
//!
//! Four relays, a process each, on loopback, that have nothing else to do; patient and recipient are in this one. Each grant is to a card of its own, which
//! is shown before it is timed. Floor and aim are those of the design: half of them within 50 and 20 ms, of a hundred ninety-nine within 200 and 80 ms.
//! Run `.ci/test-data` first.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/clavicle/cluster.rs"]
#[allow(dead_code, reason = "it can do more than is needed here")]
mod cluster;
#[path = "../tests/clavicle/people.rs"]
#[allow(dead_code, reason = "likewise")]
mod people;
#[path = "../tests/clavicle/process.rs"]
#[allow(dead_code, reason = "likewise")]
mod process;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{DAY_MS, LocalTime, Timestamp};
use clavicle_letters::code;
use clavicle_network::file::read_genesis;
use clavicle_wallet::patient::{GrantRequest, OwnStudy, Patient};
use clavicle_wallet::recipient::Recipient;
use clavicle_wallet::rows::Stage;
use clavicle_wallet::vault::Passphrase;
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, in_another_study, slice};
use crate::people::PIN;

/// So many grants of a study there are in a day, at most a few more.
const EACH: usize = 30;
const MERCY: usize = 0;

#[expect(clippy::disallowed_methods, reason = "people have clocks")]
fn clock() -> LocalTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    LocalTime(Timestamp(since.as_millis().try_into().unwrap()))
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count: usize = asked.unwrap_or(100);
    let cluster = Cluster::running();
    let runtime = Runtime::new().unwrap();
    let (mut times, letters) = runtime.block_on(Box::pin(granted(&cluster, count)));
    times.sort_unstable();
    println!("{count} grants on four relays, {letters} letters collected");
    for (what, time, floor, aim) in [
        ("half of them within", times[count / 2], 50.0, 20.0),
        ("99 of 100 within", times[count * 99 / 100], 200.0, 80.0),
    ] {
        let ms = time.as_secs_f64() * 1_000.0;
        println!("{what:<20} {ms:>8.1} ms: {:.2} of the floor, {:.2} of the aim", ms / floor, ms / aim);
    }
}

/// How long each grant took, and how many letters came of them.
async fn granted(cluster: &Cluster, count: usize) -> (Vec<Duration>, usize) {
    let genesis = read_genesis(&cluster.path("network.json")).unwrap();
    let passphrase = Passphrase::new("four words of one person".to_owned()).unwrap();
    let (mut ana, _) = Patient::create(&cluster.path("ana"), &passphrase, genesis.clone(), clock).unwrap();
    let (mut rossi, _) = Recipient::create(&cluster.path("rossi"), &passphrase, genesis, "Dr Rossi", clock).unwrap();
    let mut studies = Vec::<OwnStudy>::new();
    for number in 0..count.div_ceil(EACH) {
        let (folder, (name, bytes)) = (format!("disc {number}"), slice(1));
        std::fs::create_dir(cluster.path(&folder)).unwrap();
        std::fs::write(cluster.path(&folder).join(name), in_another_study(&bytes, number)).unwrap();
        let issued = cluster.issue(MERCY, &cluster.ingest(MERCY, &folder));
        let picked_up = ana.pick_up(&code::from_text(&issued).unwrap(), PIN).await.unwrap();
        studies.extend(picked_up.studies.into_iter().map(|one| one.study));
    }
    let request = GrantRequest::new(7 * DAY_MS, PurposeOfUse::Treatment);
    let mut times = Vec::new();
    for number in 0..count {
        let card = Box::pin(rossi.card(1, 7, "", |_, _| {})).await.unwrap();
        let from = Instant::now();
        let granted = Box::pin(ana.grant(&studies[number / EACH], &card, &request, false)).await.unwrap();
        times.push(from.elapsed());
        assert!(matches!(granted.made.stage, Stage::Delivered(_)));
    }
    let letters = rossi.read_mail(|_, _| {}).await.unwrap().new.len();
    assert_eq!(letters, count);
    (times, letters)
}
