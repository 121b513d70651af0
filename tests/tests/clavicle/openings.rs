//! Grants that say more: how often a study may be opened, that it is only looked at, from when on, several at once; and
//! caps that a patient sets.

use std::fs;

use serde_json::{Value, json};

use crate::cluster::{Cluster, brain, in_another_study, slice};
use crate::people::text;
use crate::process::until;

const MERCY: usize = 0;

/// What was written down of a study at its hospital.
fn looked(cluster: &Cluster, study: &str) -> Value {
    cluster.person(&["wallet", "who", "--dir", "ana", study])
}

#[test]
fn a_study_that_was_granted_for_one_look_is_opened_once_and_not_kept() {
    let cluster = Cluster::running();
    brain(&cluster, "images", 1..=2);
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    let card = cluster.card("rossi");
    let terms = ["--for", "7d", "--openings", "1", "--view-only"];
    let grant = [&["wallet", "grant", "--dir", "ana", &study, "--to", &card][..], &terms].concat();
    let granted = cluster.person(&grant);
    assert_eq!((&granted["terms"]["openings"], &granted["terms"]["view_only"]), (&json!(1), &json!(true)), "{granted}");
    assert_eq!(cluster.person(&grant)["grant"], granted["grant"], "asked for once more it is that one");

    // Files would be a copy. Nothing was opened by asking for them.
    let (code, said) = cluster.try_person(&["recipient", "fetch", "--dir", "rossi", "--out", "copies"]).refused();
    assert_eq!(code, "view_only", "{said}");
    assert!(!cluster.path("copies").exists());
    cluster.person(&["recipient", "fetch", "--dir", "rossi"]);
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    assert_eq!(inbox["granted"][0]["terms"]["opened"], 1, "{inbox}");
    cluster.person(&["recipient", "view", "--dir", "rossi", &study]);

    // A wish, and on record where it is not followed.
    let export = ["recipient", "export", "--dir", "rossi", &study, "--out", "medium"];
    let (code, said) = cluster.try_person(&export).refused();
    assert_eq!(code, "view_only", "{said}");
    assert!(said.contains("looked at and not kept"), "{said}");
    cluster.person(&[&export[..], &["--in-spite-of"]].concat());
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    assert!(text(&inbox["granted"][0]["in_spite_of"][0]["why"]).contains("not kept"), "{inbox}");

    // The one opening is used up: what was thrown away does not come again, and the patient reads why.
    cluster.person(&["recipient", "forget", "--dir", "rossi", &study]);
    let (code, said) = cluster.try_person(&["recipient", "fetch", "--dir", "rossi"]).refused();
    assert_eq!(code, "refused", "{said}");
    let is_refused = |who: &Value| {
        let looked = who["looked"].as_array().unwrap();
        looked
            .iter()
            .any(|one| one["what"] == "refused" && text(&one["sentence"]).contains("as often as the terms allow"))
    };
    let who = until(|| looked(&cluster, &study), is_refused);
    assert_eq!((&who["grants"][0]["opened"], &who["grants"][0]["terms"]["openings"]), (&json!(1), &json!(1)), "{who}");
    let openings: Vec<&Value> = who["looked"].as_array().unwrap().iter().map(|one| &one["opening"]).collect();
    assert_eq!(openings.iter().filter(|one| ***one == 1).count(), 1, "{who}");
}

#[test]
fn a_visit_is_granted_at_once_or_not_at_all_and_only_as_the_patient_set_her_wallet() {
    let cluster = Cluster::running();
    brain(&cluster, "images", 1..=1);
    let (name, bytes) = slice(1);
    fs::create_dir_all(cluster.path("other")).unwrap();
    fs::write(cluster.path("other").join(name), in_another_study(&bytes, 7)).unwrap();
    cluster.patient("ana");
    cluster.recipient("rossi");
    let studies = ["images", "other"].map(|folder| cluster.ingest(MERCY, folder));
    studies.iter().for_each(|study| cluster.pick_up(MERCY, study, "ana"));
    let grants = || cluster.person(&["wallet", "grants", "--dir", "ana"])["grants"].as_array().unwrap().clone();

    // One key is not two: nothing is granted, and the card is as good as before.
    let card_of = |keys: &str| text(&cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", keys])["code"]);
    let small = card_of("1");
    let visit = |card: &str, more: &[&str]| {
        let whole = ["wallet", "grant", "--dir", "ana", &studies[0], "--visit", "--to", card, "--for", "2d"];
        cluster.try_person(&[&whole[..], more].concat())
    };
    let (code, said) = visit(&small, &[]).refused();
    assert_eq!(code, "card", "{said}");
    assert!(said.contains("keys for 1 of the 2 studies") && said.contains("Nothing was granted"), "{said}");
    assert_eq!(grants(), Vec::<Value>::new());
    cluster.grant("ana", &studies[1], &small);

    // Nothing within a day: for as long as that counts, also if it is taken back.
    cluster.person(&["wallet", "caps", "--dir", "ana", "--wait", "24h", "--per-week", "3"]);
    let card = card_of("2");
    assert_eq!(visit(&card, &[]).refused().0, "caps");
    let off = cluster.person(&["wallet", "caps", "--dir", "ana", "--off"]);
    assert_eq!(off["cap"], json!({ "wait_ms": 86_400_000, "per_week": 3 }), "{off}");
    assert_eq!(visit(&card, &["--not-before", "23h"]).refused().0, "caps");
    assert_eq!(grants().len(), 1);
    let later = visit(&card, &["--not-before", "25h"]).object();
    let granted = later["grants"].as_array().unwrap_or_else(|| panic!("{later}"));
    assert_eq!((granted.len(), grants().len()), (2, 3), "{later}");
    // No more than three in a week, whoever they are to.
    let another = card_of("2");
    let (code, said) = visit(&another, &["--not-before", "25h"]).refused();
    assert_eq!(code, "caps", "{said}");
    assert_eq!(grants().len(), 3);

    // What has not begun is not asked for, and to end a grant is held up by nothing.
    cluster.try_person(&["recipient", "inbox", "--dir", "rossi"]);
    let (code, said) = cluster.try_person(&["recipient", "fetch", "--dir", "rossi", &studies[0]]).refused();
    assert_eq!(code, "not_yet", "{said}");
    for granted in granted {
        cluster.person(&["wallet", "revoke", "--dir", "ana", &text(&granted["grant"])]);
    }
}
