//! Somebody has a copy of the wallet with all its keys, open. The patient takes new words, and every study moves to
//! them.

use crate::cluster::Cluster;
use crate::lost::{copied, new_words, study};

const MERCY: usize = 0;

#[test]
fn a_copied_wallet_is_worth_nothing_once_there_are_new_words() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("thief");
    let study = study(&cluster, MERCY, 1);
    cluster.pick_up(MERCY, &study, "ana");
    copied(&cluster, "ana", "stolen");
    // The thief lets himself in, as the patient could.
    let grant = cluster.grant("stolen", &study, &cluster.card("thief"));
    cluster.person(&["recipient", "inbox", "--dir", "thief"]);
    new_words(&cluster, "ana");
    let moved = cluster.person(&["wallet", "new-words", "--dir", "ana", "--words-file", "three"]);
    assert!(moved["moved"][0]["height"].is_u64(), "{moved}");

    let card = cluster.card("thief");
    for tried in [
        &["wallet", "fetch", "--dir", "stolen", &study, "--out", "loot"][..],
        &["wallet", "grant", "--dir", "stolen", &study, "--to", &card, "--for", "7d"],
        &["wallet", "who", "--dir", "stolen", &study],
    ] {
        assert_eq!(cluster.try_person(tried).refused().0, "study", "{tried:?}");
    }
    let (word, _) = cluster.try_person(&["recipient", "fetch", "--dir", "thief", &grant, "--out", "loot"]).refused();
    assert_eq!(word, "ended");
    assert!(!cluster.path("loot").exists());
    // Nor does the copy take the study back with new words of its own.
    new_words(&cluster, "stolen");
    let said = cluster.try_person(&["wallet", "new-words", "--dir", "stolen", "--words-file", "three"]);
    assert_eq!(said.refused().0, "not_final");
    cluster.person(&["wallet", "fetch", "--dir", "ana", &study, "--out", "mine"]);
}
