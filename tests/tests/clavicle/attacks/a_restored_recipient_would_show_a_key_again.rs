//! A physician's device is lost, and restored from the words: by counting on from the start it would show the keys of
//! cards that patients have granted to already, and two of them would be linked by one key.

use std::collections::BTreeSet;
use std::fs;

use clavicle_letters::card::SignedCard;
use clavicle_letters::code;

use crate::cluster::Cluster;
use crate::lost::study;
use crate::people::text;

const MERCY: usize = 0;

fn keys_of(card: &str) -> Vec<[u8; 32]> {
    let SignedCard { card, .. } = code::from_text(card).unwrap();
    card.grantees.iter().map(|key| *key.as_bytes()).chain([*card.mailbox.as_bytes()]).collect()
}

#[test]
fn no_key_is_shown_twice_and_what_was_not_read_is_found() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    let init = ["recipient", "init", "--dir", "rossi", "--network", "network.json", "--name", "Dr rossi"];
    fs::write(cluster.path("rossi's words"), text(&cluster.person(&init)["words"])).unwrap();
    let (first, second) = (study(&cluster, MERCY, 1), study(&cluster, MERCY, 2));
    cluster.pick_up(MERCY, &first, "ana");
    cluster.pick_up(MERCY, &second, "ana");
    let cards = [cluster.card("rossi"), cluster.card("rossi"), cluster.card("rossi")];
    cluster.grant("ana", &first, &cards[0]);
    cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    // Read by nobody when the device is lost.
    let grant = cluster.grant("ana", &second, &cards[2]);
    fs::remove_dir_all(cluster.path("rossi")).unwrap();

    let mut shown: Vec<[u8; 32]> = cards.iter().flat_map(|card| keys_of(card)).collect();
    for (number, dir) in ["again", "once more"].into_iter().enumerate() {
        let restore = ["recipient", "restore", "--dir", dir, "--network", "network.json", "--name", "Dr rossi"];
        let found = cluster.person(&[&restore[..], &["--words-file", "rossi's words"]].concat());
        // Cards of the first wallet, and of the one that was restored before.
        assert_eq!(found["cards"].as_u64(), Some(3 + number as u64), "{found}");
        let granted = found["granted"].as_array().unwrap().len();
        assert_eq!(granted, usize::from(number == 0), "what was read once is not there any more: {found}");
        shown.extend(keys_of(&cluster.card(dir)));
    }
    let all = shown.len();
    assert_eq!(shown.into_iter().collect::<BTreeSet<_>>().len(), all);
    // With the key of the wallet that was lost.
    cluster.person(&["recipient", "fetch", "--dir", "again", &grant, "--out", "images"]);
    // What comes to a card of the lost wallet later is read, too.
    let third = study(&cluster, MERCY, 3);
    cluster.pick_up(MERCY, &third, "ana");
    cluster.grant("ana", &third, &cards[1]);
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "again"]);
    assert_eq!(inbox["new"].as_u64(), Some(1), "{inbox}");
    cluster.person(&["recipient", "fetch", "--dir", "again", &third, "--out", "more images"]);
}
