//! A relay whose write-ahead log was gone began an empty one in silence, and could vote a second time on what it had voted on. Later it asked its chain from
//! where on it may vote, and a chain that had come back from a backup said what was far below.

use std::fs;

use serde_json::Value;

use crate::cluster::{Cluster, HOSPITALS};
use crate::process::until;

/// From which height on the relay votes, when it has found that out.
fn votes_from(cluster: &mut Cluster) -> u64 {
    let list = cluster.home(0).made_file();
    let read = || serde_json::from_slice::<Value>(&fs::read(&list).unwrap()).unwrap()["votes_from"].as_u64().unwrap();
    until(read, |height| *height < u64::MAX)
}

#[test]
fn a_relay_without_its_log_waits_until_it_is_past_what_it_may_have_voted_on() {
    let mut cluster = Cluster::running();
    let (log, chain) = (cluster.home(0).log_file(), cluster.home(0).chain_file());
    cluster.kill(0);
    let backup = cluster.path("backup");
    fs::copy(&chain, &backup).unwrap();
    let old = cluster.highest();
    cluster.start(0);
    cluster.reach(&[0], old + 5);
    cluster.kill(0);
    let voted = cluster.highest() + 1;
    fs::remove_file(&log).unwrap();
    let run = ["run", "--dir", HOSPITALS[0], "--network", "network.json"];
    // It says how it is before it says why it does not run.
    let said = cluster.try_hospital(&run);
    assert_eq!(said.code, Some(78), "{said:?}");
    for part in ["mercy/consensus/consensus.wal is missing", "`clavicle-relay renew log`"] {
        assert!(said.stdout.contains(part), "{said:?}");
    }
    assert!(!log.exists());

    fs::copy(&backup, &chain).unwrap();
    let renewed = cluster.hospital(&["renew", "--dir", HOSPITALS[0], "log"]);
    assert_eq!(renewed["votes_from"], Value::Null);
    cluster.start(0);
    let from = votes_from(&mut cluster);
    assert!(from > voted, "{from}, and it may have voted on {voted}");
    // It votes again: without it the two that are left of three decide nothing.
    cluster.reach(&[0], from + 1);
    cluster.kill(3);
    let from = cluster.highest();
    cluster.reach(&[0, 1, 2], from + 3);

    // With the chain gone as well it is the same.
    cluster.start(3);
    cluster.reach(&[3], from + 3);
    cluster.kill(0);
    let voted = cluster.highest() + 1;
    fs::remove_file(&log).unwrap();
    fs::remove_file(&chain).unwrap();
    for store in ["log", "chain"] {
        cluster.hospital(&["renew", "--dir", HOSPITALS[0], store]);
    }
    cluster.start(0);
    let from = votes_from(&mut cluster);
    assert!(from > voted, "{from}, and it may have voted on {voted}");
    cluster.reach(&[0], from + 1);
    cluster.kill(3);
    let from = cluster.highest();
    cluster.reach(&[0, 1, 2], from + 3);
}
