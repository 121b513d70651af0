//! The session that the design promises, in its own words.

use crate::cluster::{Cluster, brain};

#[test]
fn a_study_goes_from_a_hospital_to_whom_its_patient_grants_it_and_no_further() {
    let cluster = Cluster::running();
    brain(&cluster, "disc", 1..=20);
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = cluster.ingest(0, "disc");
    cluster.pick_up(0, &study, "ana");
    let grant = cluster.grant("ana", &study, &cluster.card("rossi"));
    let fetched = cluster.person(&["recipient", "fetch", "--dir", "rossi", "--out", "images"]);
    assert_eq!(fetched["fetched"][0]["intact"], 20, "{fetched}");
    cluster.person(&["wallet", "revoke", "--dir", "ana", &grant]);
    let (code, why) = cluster.try_person(&["recipient", "fetch", "--dir", "rossi", "--out", "again"]).refused();
    assert_eq!(code, "ended", "{why}");
}
