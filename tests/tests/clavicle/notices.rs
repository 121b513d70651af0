//! Whoever has a copy is told when the study is not what it was.

use serde_json::Value;

use crate::cluster::{Cluster, brain};
use crate::process::until;

const MERCY: usize = 0;

/// What a recipient was told of a study, once it `is` so.
fn told(cluster: &Cluster, recipient: &str, is: impl Fn(&Value) -> bool) -> Value {
    let ask = || cluster.person(&["recipient", "inbox", "--dir", recipient]);
    until(ask, |inbox| is(&inbox["granted"][0]["told"]))["granted"][0]["told"].take()
}

#[test]
fn who_fetched_is_told_of_revision_suspension_and_withdrawal() {
    let mut cluster = Cluster::running();
    brain(&cluster, "images", 1..=2);
    brain(&cluster, "more", 3..=5);
    cluster.patient("ana");
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    for recipient in ["rossi", "bianchi"] {
        cluster.recipient(recipient);
        cluster.grant("ana", &study, &cluster.card(recipient));
        assert_eq!(told(&cluster, recipient, |_| true), Value::Null);
    }
    cluster.person(&["recipient", "fetch", "--dir", "rossi"]);

    // Revised, and the power fails right after it.
    cluster.ingest(MERCY, "more");
    let who = || cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    until(who, |who| who["events"].as_u64() >= Some(4));
    cluster.restart(MERCY);
    let said = told(&cluster, "rossi", |told| !told.is_null());
    assert_eq!((said["revision"].as_u64(), said["status"].as_str()), (Some(1), Some("active")), "{said}");
    let counts = &said["counts"];
    assert_eq!((counts["removed"].as_u64(), counts["added"].as_u64()), (Some(0), Some(3)), "{said}");

    // Fetched again, it is of the study as it is, and there is nothing to be told.
    let next = cluster.highest() + 1;
    cluster.reach(&[0, 1, 2, 3], next);
    cluster.person(&["recipient", "fetch", "--dir", "rossi"]);
    assert_eq!(told(&cluster, "rossi", |_| true), Value::Null);

    cluster.hospital(&["suspend", "--dir", "mercy", &study[..12], "--reason", "under-review"]);
    let said = told(&cluster, "rossi", |told| !told.is_null());
    assert_eq!(said["status"].as_str(), Some("suspended"), "{said}");
    cluster.hospital(&["resume", "--dir", "mercy", &study[..12]]);
    told(&cluster, "rossi", |told| told["status"] == "active");
    cluster.hospital(&["withdraw", "--dir", "mercy", &study[..12], "--reason", "patient-safety"]);
    told(&cluster, "rossi", |told| told["status"] == "withdrawn");
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    assert!(inbox["granted"][0]["notice"].as_str().unwrap().contains("do not use your copy"), "{inbox}");
    let (code, said) = cluster.try_hospital(&["resume", "--dir", "mercy", &study[..12]]).refused();
    assert!(said.contains("withdrawn, which is final"), "{code}: {said}");

    // Whoever has no copy was told nothing.
    assert_eq!(told(&cluster, "bianchi", |_| true), Value::Null);
}

/// What was granted anew lay in a mailbox, and whoever looked at the study was told that it had been revoked, and
/// before the first letter that there is no such study.
#[test]
fn who_looks_at_a_study_need_not_ask_for_letters_first() {
    let cluster = Cluster::running();
    brain(&cluster, "images", 1..=2);
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    let view = || cluster.try_person(&["recipient", "view", "--dir", "rossi", &study]);
    assert_eq!(view().refused().0, "not_found");
    let first = cluster.grant("ana", &study, &cluster.card("rossi"));
    view().done();
    cluster.person(&["wallet", "revoke", "--dir", "ana", &first]);
    let (code, why) = view().refused();
    assert!(why.contains("was revoked, replaced, or has ended"), "{code}: {why}");
    cluster.grant("ana", &study, &cluster.card("rossi"));
    view().done();
}
