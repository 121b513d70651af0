//! A network that is a year old by its genesis, and people who know nothing newer of it: they find their way in by what its hospitals vouch for.

use std::fs;

use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::time::{BlockTime, DAY_MS, Timestamp};
use clavicle_network::file as network_file;
use serde_json::Value;

use crate::cluster::{Cluster, HOSPITALS, brain};
use crate::people::text;
use crate::process::until;

const MERCY: usize = 0;
const HARBOR: usize = 3;

/// How checkpoints stand at a hospital.
fn checkpoints(cluster: &Cluster, n: usize) -> Value {
    cluster.hospital(&["checkpoints", "--dir", HOSPITALS[n]])
}

/// Waits until hospital `n` knows of so much power that vouches for the epoch's first block.
fn vouching(cluster: &Cluster, n: usize, power: u64) -> Value {
    until(|| checkpoints(cluster, n), |row| row["power"] == power)
}

#[test]
fn who_is_new_to_an_old_network_needs_no_desk() {
    let mut cluster = Cluster::made();
    let file = cluster.path("network.json");
    let made = network_file::read_genesis(&file).unwrap();
    let time = BlockTime(Timestamp(made.time.timestamp().0 - 366 * DAY_MS));
    fs::remove_file(&file).unwrap();
    network_file::write_genesis(&file, &Genesis { time, ..made }).unwrap();
    // One hospital's identity key lies in a safe.
    fs::rename(cluster.path("harbor/keys/identity"), cluster.path("safe")).unwrap();
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], 1);

    // The first block of all begins an epoch, and those whose identity key is at hand vouch for it; each learns the others' word.
    for n in 0..4 {
        let row = vouching(&cluster, n, 3);
        assert_eq!((&row["height"], &row["total_power"]), (&Value::from(1), &Value::from(4)), "{row}");
        assert_eq!(row["endorsed_until_ms"].is_u64(), n != HARBOR, "{row}");
    }
    // The status of the one whose key lies in a safe says what is to be done, and nobody else's does.
    let asks = |n: usize| {
        let said = cluster.try_hospital(&["status", "--dir", HOSPITALS[n]]).object();
        let wrong = said["wrong"].as_array().unwrap().iter().map(text);
        let is_wrong = wrong.into_iter().any(|wrong| wrong.contains("`clavicle-relay checkpoints --request FILE`"));
        assert_eq!(said["endorsement_due"].is_object(), is_wrong, "{said}");
        is_wrong
    };
    assert_eq!([0, 1, 2, HARBOR].map(asks), [false, false, false, true]);
    // The one that lies in a safe is asked, and no other key will do.
    cluster.hospital(&["checkpoints", "--dir", "harbor", "--request", "request"]);
    cluster.hospital(&["endorse", "request", "--identity", "mercy/keys/operational", "--out", "wrong"]);
    let (code, _) = cluster.try_hospital(&["checkpoints", "--dir", "harbor", "--endorsed", "wrong"]).refused();
    assert_eq!(code, "endorsement");
    let (code, _) = cluster.try_hospital(&["checkpoints", "--dir", "harbor", "--endorsed", "request"]).refused();
    assert_eq!(code, "endorsement");
    let signed = cluster.hospital(&["endorse", "request", "--identity", "safe", "--out", "endorsed"]);
    assert_eq!(signed["until_ms"].as_u64().unwrap() - signed["from_ms"].as_u64().unwrap(), 90 * DAY_MS);
    let (code, _) = cluster.try_hospital(&["checkpoints", "--dir", "mercy", "--endorsed", "endorsed"]).refused();
    assert_eq!(code, "endorsement", "it is another hospital's");
    let row = cluster.hospital(&["checkpoints", "--dir", "harbor", "--endorsed", "endorsed"]);
    assert_eq!(row["endorsed_until_ms"], signed["until_ms"]);
    assert!(!asks(HARBOR));
    // It vouches at once; the others hear of it when they ask it next.
    vouching(&cluster, HARBOR, 4);

    // People find their way in, say so once, and go on as ever.
    brain(&cluster, "images", 1..=2);
    let study = cluster.ingest(MERCY, "images");
    cluster.recipient("rossi");
    let said = cluster.try_person(&["recipient", "card", "--dir", "rossi"]);
    let card = text(&said.done()["code"]);
    assert!(said.stderr.contains("366 days") && said.stderr.contains("vouch for block 1"), "{said:?}");
    cluster.patient("ana");
    let said = cluster.try_person(&["wallet", "find", "--dir", "ana"]);
    said.done();
    assert!(said.stderr.contains("vouch for block 1"), "{said:?}");
    cluster.pick_up(MERCY, &study, "ana");
    cluster.grant("ana", &study, &card);
    let said = cluster.try_person(&["recipient", "fetch", "--dir", "rossi"]);
    said.done();
    assert!(!said.stderr.contains("vouch"), "{said:?}");

    // With half of the power gone, and what it vouches for kept by those that are left, it goes on; nobody decides, but everybody is let in.
    cluster.kill(MERCY);
    cluster.kill(1);
    cluster.recipient("neri");
    let said = cluster.try_person(&["recipient", "inbox", "--dir", "neri"]);
    assert!(said.stderr.contains("vouch for block 1"), "{said:?}");
}
