//! Somebody has one of a patient's devices. The patient ends it from another: from then on it is told nothing, and not
//! listened to. It has the words all the same, and that is said.
//!
//! And: an older copy of one of two devices is put back. Neither uses a key that the other has used.

use std::collections::BTreeSet;

use crate::attacks::an_older_copy_of_a_wallet_is_put_back::holders;
use crate::cluster::Cluster;
use crate::lost::{copied, study, with_words};

const MERCY: usize = 0;

fn restored(cluster: &Cluster, dir: &str) {
    cluster.person(&["wallet", "restore", "--dir", dir, "--network", "network.json", "--words-file", "words"]);
}

fn studies(cluster: &Cluster, dir: &str) -> usize {
    cluster.person(&["wallet", "studies", "--dir", dir])["studies"].as_array().unwrap().len()
}

#[test]
fn a_device_that_was_ended_is_told_nothing_and_not_listened_to() {
    let cluster = Cluster::running();
    with_words(&cluster, "ana");
    let all: Vec<String> = (1..=3).map(|number| study(&cluster, MERCY, number)).collect();
    restored(&cluster, "stolen");
    let devices = |dir: &str, more: &[&str]| {
        let asked = ["wallet", "devices", "--dir", dir];
        cluster.person(&[&asked[..], more].concat())
    };
    devices("ana", &[]);
    cluster.pick_up(MERCY, &all[0], "ana");
    assert_eq!(devices("stolen", &[])["heard"].as_u64(), Some(1));
    let said = devices("ana", &["--end", "1"]);
    assert_eq!(said["devices"][1]["ended"], true, "{said}");
    // What it does it tells to nobody who listens, and what others do it is not told.
    cluster.pick_up(MERCY, &all[1], "stolen");
    cluster.pick_up(MERCY, &all[2], "ana");
    devices("ana", &[]);
    assert_eq!(studies(&cluster, "ana"), 2);
    let said = devices("stolen", &[]);
    assert_eq!(said["devices"][1]["ended"], true, "it is told that it was ended: {said}");
    assert_eq!(studies(&cluster, "stolen"), 2);
    let waits = cluster.try_person(&["wallet", "grants", "--dir", "stolen"]);
    assert!(waits.stderr.contains("this device was ended from another of yours"), "{waits:?}");
    // It cannot end itself, nor is there one with another number.
    for (number, why) in [("0", "device"), ("7", "not_found")] {
        let (code, _) = cluster.try_person(&["wallet", "devices", "--dir", "ana", "--end", number]).refused();
        assert_eq!(code, why);
    }
}

#[test]
fn an_older_copy_of_one_of_two_devices_uses_no_key_of_either() {
    let cluster = Cluster::running();
    with_words(&cluster, "ana");
    let all: Vec<String> = (1..=5).map(|number| study(&cluster, MERCY, number)).collect();
    cluster.pick_up(MERCY, &all[0], "ana");
    copied(&cluster, "ana", "older");
    restored(&cluster, "tablet");
    cluster.pick_up(MERCY, &all[1], "ana");
    cluster.pick_up(MERCY, &all[2], "tablet");
    copied(&cluster, "older", "ana");
    // Two that are restored at about the same time, and have held nothing yet, are two as well.
    restored(&cluster, "second");
    cluster.pick_up(MERCY, &all[3], "ana");
    cluster.pick_up(MERCY, &all[4], "second");
    cluster.person(&["wallet", "find", "--dir", "ana"]);
    assert_eq!(holders(&cluster, "ana").iter().collect::<BTreeSet<_>>().len(), 5, "a key of its own for each study");
}
