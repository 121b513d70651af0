//! A study turned out to be another patient's, and another was revoked. The recipient's copies of both were looked at, exported and pushed into an
//! archive, in silence.

use std::fs;

use serde_json::Value;

use crate::cluster::{Cluster, brain, in_another_study, slice};
use crate::people::text;
use crate::process::{Said, until};

const MERCY: usize = 0;
/// Where nobody listens: what is refused never gets as far.
const NOWHERE: &str = "PACS@127.0.0.1:9";

fn recipient(cluster: &Cluster, what: &[&str]) -> Said {
    cluster.try_person(&[&["recipient", what[0], "--dir", "rossi"], &what[1..]].concat())
}

/// What the inbox says of a study.
fn row(cluster: &Cluster, study: &str) -> Value {
    let inbox = recipient(cluster, &["inbox"]).done();
    let rows = inbox["granted"].as_array().unwrap();
    rows.iter().find(|row| row["study"] == study).unwrap().clone()
}

/// All that can be done with a copy.
fn uses(study: &str) -> [Vec<&str>; 3] {
    [vec!["view", study], vec!["export", study, "--out", "cd"], vec!["push", study, "--to", NOWHERE, "--as-sent"]]
}

#[test]
fn another_patients_copy_is_never_used_and_an_ended_one_only_in_spite_of_that_and_on_record() {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    brain(&cluster, "wrong", 1..=1);
    fs::create_dir(cluster.path("ended")).unwrap();
    fs::write(cluster.path("ended/one.dcm"), in_another_study(&slice(2).1, 1)).unwrap();
    let [wrong, ended] = ["wrong", "ended"].map(|folder| cluster.ingest(MERCY, folder));
    let card = text(&cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", "2"])["code"]);
    let grants = [&wrong, &ended].map(|study| {
        cluster.pick_up(MERCY, study, "ana");
        cluster.grant("ana", study, &card)
    });
    recipient(&cluster, &["inbox"]).done();
    for study in [&wrong, &ended] {
        recipient(&cluster, &["view", study]).done();
        assert_eq!(row(&cluster, study)["state"], "current");
    }
    cluster.person(&["wallet", "view", "--dir", "ana", &wrong]);

    // Suspended for another reason, the patient goes on looking at it; the recipient is to know first.
    cluster.hospital(&["suspend", "--dir", "mercy", &wrong[..12], "--reason", "under-review"]);
    until(|| row(&cluster, &wrong), |row| row["state"] == "suspended");
    let own = cluster.person(&["wallet", "view", "--dir", "ana", &wrong]);
    assert!(own["in_spite_of"].as_str().unwrap().contains("the hospital has suspended the study"), "{own}");
    let (code, why) = recipient(&cluster, &["view", &wrong]).refused();
    assert!(code == "study" && why.contains("only with --in-spite-of"), "{why}");

    // Another patient's: nobody, whatever they say.
    cluster.hospital(&["withdraw", "--dir", "mercy", &wrong[..12], "--reason", "wrong-patient"]);
    until(|| row(&cluster, &wrong), |row| row["state"] == "wrong_patient");
    // Revoked: only in spite of that.
    cluster.person(&["wallet", "revoke", "--dir", "ana", &grants[1]]);
    let is_over = until(|| row(&cluster, &ended), |row| row["state"] == "ended");
    assert!(is_over["notice"].as_str().unwrap().starts_with("not any more: "), "{is_over}");
    assert_eq!(recipient(&cluster, &["inbox"]).done()["current"], 0);

    let refused = |cluster: &Cluster| {
        for mut what in uses(&wrong) {
            for _ in 0..2 {
                let (code, why) = recipient(cluster, &what).refused();
                assert!(code == "study" && why.contains("these are another patient's images"), "{what:?}: {why}");
                what.push("--in-spite-of");
            }
        }
        for what in uses(&ended) {
            let (code, why) = recipient(cluster, &what).refused();
            assert!(code == "ended" && why.contains("only with --in-spite-of"), "{what:?}: {why}");
        }
        let own = cluster.try_person(&["wallet", "view", "--dir", "ana", &wrong]).refused();
        assert!(own.1.contains("these are another patient's images"), "{}", own.1);
    };
    refused(&cluster);

    // Nobody can be asked any more: what is known stays so.
    (0..4).for_each(|n| cluster.kill(n));
    refused(&cluster);
    assert!(!cluster.path("cd").exists());
    let done = recipient(&cluster, &["export", &ended, "--out", "cd", "--in-spite-of"]);
    assert!(done.stderr.contains("warning: what was granted was revoked"), "{done:?}");
    let done = done.done();
    assert!(cluster.path("cd/DICOMDIR").exists() && done["asked_at_ms"].is_u64(), "{done}");
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], 1);
    let noted = row(&cluster, &ended)["in_spite_of"].take();
    assert_eq!((&noted[0]["what"], noted.as_array().unwrap().len()), (&Value::from("exported to cd"), 1), "{noted}");
    assert!(noted[0]["why"].as_str().unwrap().contains("was revoked") && noted[0]["at_ms"].is_u64(), "{noted}");
}
