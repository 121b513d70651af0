//! Somebody comes to the desk and says that their phone is lost, and two of the staff believe it. The patient, whose
//! phone is not lost, says no.
//!
//! And the other way round: somebody has the patient's phone, open, and says no to what the patient rightly asks for.

use crate::lost::{give_back, recover, study, with_delay};
use crate::people::text;

const MERCY: usize = 0;

#[test]
fn a_veto_keeps_the_study_whatever_the_desk_was_told() {
    let cluster = with_delay(60_000);
    cluster.patient("ana");
    cluster.patient("thief");
    cluster.recipient("rossi");
    let study = study(&cluster, MERCY, 1);
    cluster.pick_up(MERCY, &study, "ana");
    let code = give_back(&cluster, &study);
    assert_eq!(recover(&cluster, "thief", &code), "asked");
    // Until then the study is still hers alone.
    let fetch = ["wallet", "fetch", "--dir", "thief", &study, "--out", "stolen"];
    assert_eq!(cluster.try_person(&fetch).refused().0, "not_found");

    let vetoed = cluster.person(&["wallet", "veto", "--dir", "ana"]);
    assert!(vetoed["vetoed"][0]["height"].is_u64() && vetoed["vetoed"][0]["study"] == *study, "{vetoed}");
    assert_eq!(recover(&cluster, "thief", &code), "failed", "it may not be asked for again so soon");
    assert_eq!(cluster.try_person(&fetch).refused().0, "not_found");
    let said = cluster.try_person(&["wallet", "grants", "--dir", "ana"]);
    assert!(!said.stderr.contains("WARNING"), "{said:?}");
    // And all she could do before she can do now.
    cluster.grant("ana", &study, &cluster.card("rossi"));
    cluster.person(&["wallet", "fetch", "--dir", "ana", &study, "--out", "mine"]);
}

#[test]
fn whoever_has_the_open_phone_can_say_no_and_the_hospital_stops_serving_them() {
    let cluster = with_delay(60_000);
    // It is the patient's, and in other hands.
    cluster.patient("stolen");
    cluster.patient("new");
    let study = study(&cluster, MERCY, 1);
    cluster.pick_up(MERCY, &study, "stolen");
    let code = give_back(&cluster, &study);
    assert_eq!(recover(&cluster, "new", &code), "asked");
    cluster.person(&["wallet", "veto", "--dir", "stolen"]);
    assert_eq!(recover(&cluster, "new", &code), "failed");
    // Nobody fetches any more, not even who has the key, as soon as the desk says so.
    let stands = cluster.hospital(&["suspend", "--dir", "mercy", &study, "--reason", "wrong-patient"]);
    assert_eq!(text(&stands["study"]), study);
    let fetch = ["wallet", "fetch", "--dir", "stolen", &study, "--out", "loot"];
    assert_eq!(cluster.try_person(&fetch).refused().0, "study");
}
