//! A hospital signed another revision of a study, as it does when another patient's images are taken out of it, and could not be reached for it. The
//! recipient's copy of the revision before was exported and pushed into an archive, in silence.

use crate::cluster::{Cluster, brain};
use crate::process::{Said, until};

const MERCY: usize = 0;
/// Where nobody listens: what is refused never gets as far.
const NOWHERE: &str = "PACS@127.0.0.1:9";

#[test]
fn a_copy_that_was_replaced_is_handed_on_only_in_spite_of_that() {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    brain(&cluster, "images", 1..=2);
    brain(&cluster, "more", 3..=3);
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    cluster.grant("ana", &study, &cluster.card("rossi"));
    cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    cluster.person(&["recipient", "view", "--dir", "rossi", &study]);
    cluster.person(&["wallet", "view", "--dir", "ana", &study]);

    cluster.ingest(MERCY, "more");
    let who = || cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    until(who, |who| who["events"].as_u64() >= Some(3));
    cluster.kill(MERCY);
    let with = |person: [&str; 2], what: &[&str]| -> Said {
        cluster.try_person(&[&[person[0], what[0], "--dir", person[1], &study], &what[1..]].concat())
    };
    for person in [["recipient", "rossi"], ["wallet", "ana"]] {
        for what in [&["push", "--to", NOWHERE, "--as-sent"][..], &["export", "--out", "cd"]] {
            let (code, why) = with(person, what).refused();
            assert!(code == "replaced" && why.contains("only with --in-spite-of"), "{person:?} {what:?}: {why}");
        }
        // Looked at it may be, once it is said what it is.
        let seen = with(person, &["view"]);
        assert!(seen.stderr.contains("warning: this copy is of revision 0"), "{seen:?}");
        let seen = seen.done();
        assert!(seen["in_spite_of"].as_str().unwrap().contains("revision 1"), "{seen}");
    }
    let out = with(["recipient", "rossi"], &["export", "--out", "cd", "--in-spite-of"]).done();
    assert!(out["in_spite_of"].as_str().unwrap().contains("revision 1"), "{out}");
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    assert_eq!(inbox["granted"][0]["state"], "current", "the grant is good: {inbox}");
    assert_eq!(inbox["granted"][0]["in_spite_of"][0]["what"], "exported to cd", "{inbox}");
}
