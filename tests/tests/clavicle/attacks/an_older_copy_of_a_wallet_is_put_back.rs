//! Somebody, or a backup, puts an older copy of a wallet's folder back. It does not know which keys it has used since:
//! used again, two studies would be seen to be one person's.

use std::collections::BTreeSet;

use clavicle_letters::card::SignedCard;
use clavicle_letters::code;
use clavicle_wallet::patient::Patient;
use clavicle_wallet::vault::Passphrase;

use crate::adversary::now;
use crate::cluster::Cluster;
use crate::lost::{copied, study};

const MERCY: usize = 0;

pub(crate) fn holders(cluster: &Cluster, dir: &str) -> BTreeSet<[u8; 32]> {
    let passphrase = Passphrase::read(&cluster.path("pw")).unwrap();
    let wallet = Patient::open(&cluster.path(dir), &passphrase, now).unwrap();
    let studies = wallet.studies().unwrap();
    studies.iter().map(|study| *wallet.holder(study).unwrap().public().as_bytes()).collect()
}

#[test]
fn it_is_noticed_and_no_key_is_used_twice() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    let all: Vec<String> = (1..=4).map(|number| study(&cluster, MERCY, number)).collect();
    cluster.pick_up(MERCY, &all[0], "ana");
    copied(&cluster, "ana", "older");
    cluster.pick_up(MERCY, &all[1], "ana");
    cluster.pick_up(MERCY, &all[2], "ana");
    copied(&cluster, "older", "ana");

    // Before any key is used, and at the first look at all studies at the latest.
    cluster.pick_up(MERCY, &all[3], "ana");
    let waits = cluster.person(&["wallet", "--dir", "ana"]);
    assert_eq!(waits["waits"][0]["kind"], "older_copy", "{waits}");
    let said = cluster.try_person(&["wallet", "grants", "--dir", "ana"]);
    assert!(said.stderr.contains("WARNING: this wallet is an older copy of itself"), "{said:?}");
    let found = cluster.person(&["wallet", "find", "--dir", "ana"]);
    assert_eq!((found["new"].as_u64(), found["not_told"].as_u64()), (Some(2), Some(0)), "{found}");
    assert_eq!(holders(&cluster, "ana").len(), 4, "a key of its own for each");
    let said = cluster.try_person(&["wallet", "grants", "--dir", "ana"]);
    assert!(!said.stderr.contains("older copy"), "{said:?}");
}

#[test]
fn it_is_noticed_although_nothing_is_picked_up() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    let all: Vec<String> = (1..=2).map(|number| study(&cluster, MERCY, number)).collect();
    cluster.pick_up(MERCY, &all[0], "ana");
    copied(&cluster, "ana", "older");
    cluster.pick_up(MERCY, &all[1], "ana");
    copied(&cluster, "older", "ana");
    assert_eq!(cluster.person(&["wallet", "--dir", "ana"])["waits"][0]["kind"], "older_copy");
}

/// The keys that a card shows: those that can be granted to, and its mailbox's.
fn keys_of(card: &str) -> Vec<[u8; 32]> {
    let SignedCard { card, .. } = code::from_text(card).unwrap();
    let grantees = card.grantees.iter().map(|key| *key.as_bytes());
    grantees.chain([*card.mailbox.as_bytes()]).collect()
}

#[test]
fn a_recipient_shows_no_key_twice_either() {
    let cluster = Cluster::running();
    cluster.recipient("rossi");
    let mut shown = keys_of(&cluster.card("rossi"));
    copied(&cluster, "rossi", "older");
    shown.extend(keys_of(&cluster.card("rossi")));
    for _ in 0..2 {
        copied(&cluster, "older", "rossi");
        shown.extend(keys_of(&cluster.card("rossi")));
    }
    let all = shown.len();
    assert_eq!(shown.into_iter().collect::<BTreeSet<_>>().len(), all);
    let said = cluster.try_person(&["recipient", "inbox", "--dir", "rossi"]);
    assert!(said.stderr.contains("WARNING: this wallet is an older copy of itself"), "{said:?}");
}
