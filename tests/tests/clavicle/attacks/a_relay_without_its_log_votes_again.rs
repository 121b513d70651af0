//! A relay whose write-ahead log was gone began an empty one in silence, and could vote a second time on what it had voted on.

use std::fs;

use crate::cluster::{Cluster, HOSPITALS};

#[test]
fn a_relay_without_its_log_waits_until_it_is_past_what_it_may_have_voted_on() {
    let mut cluster = Cluster::running();
    cluster.kill(0);
    let log = cluster.home(0).log_file();
    fs::remove_file(&log).unwrap();
    let run = ["run", "--dir", HOSPITALS[0], "--network", "network.json"];
    // It says how it is before it says why it does not run.
    let said = cluster.try_hospital(&run);
    assert_eq!(said.code, Some(78), "{said:?}");
    for part in ["mercy/consensus/consensus.wal is missing", "`clavicle-relay renew log`"] {
        assert!(said.stdout.contains(part), "{said:?}");
    }
    assert!(!log.exists());

    let renewed = cluster.hospital(&["renew", "--dir", HOSPITALS[0], "log"]);
    let height = cluster.hospital(&["status", "--dir", HOSPITALS[0]])["height"].as_u64().unwrap();
    let votes_from = renewed["votes_from"].as_u64().unwrap();
    assert_eq!(votes_from, height + 2, "not on the next block");
    cluster.start(0);
    cluster.reach(&[0], votes_from + 1);
    // It votes again: without it the two that are left of three decide nothing.
    cluster.kill(3);
    let from = cluster.highest();
    cluster.reach(&[0, 1, 2], from + 3);

    // With the chain gone as well nobody can say what it voted on.
    cluster.kill(0);
    fs::remove_file(&log).unwrap();
    fs::remove_file(cluster.home(0).chain_file()).unwrap();
    for store in ["log", "chain"] {
        let said = cluster.try_hospital(&["renew", "--dir", HOSPITALS[0], store]);
        assert_eq!(said.code, Some(78), "{said:?}");
        assert!(said.refused().1.contains("make a new relay, with new keys"));
    }
}
