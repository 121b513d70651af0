//! A grant that is renewed or narrowed: another takes its place, which both sides see as one, and none is lost on the way.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Cluster, PERSON};
use crate::people::text;
use crate::process::until;
use crate::series::image;

const MERCY: usize = 0;

/// Four hospitals, a patient with a study of three series, and a recipient.
fn world() -> (Cluster, String) {
    let cluster = Cluster::running();
    (1..=3).for_each(|series| (1..=2).for_each(|number| image(&cluster, "images", (1, series), number)));
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    (cluster, study)
}

fn card(cluster: &Cluster, keys: &str) -> String {
    text(&cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", keys])["code"])
}

/// The grants by which somebody may fetch now, as the ledger has them.
fn live(cluster: &Cluster, study: &str) -> Vec<String> {
    let who = cluster.person(&["wallet", "who", "--dir", "ana", study]);
    who["grants"].as_array().unwrap().iter().map(|row| text(&row["grant"])).collect()
}

/// What the recipient has, which is one thing as soon as the relay that is asked knows what came last.
fn inbox(cluster: &Cluster) -> Value {
    let ask = || cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    let is_one = |inbox: &Value| {
        inbox["granted"].as_array().map(Vec::len) == Some(1) && inbox["granted"][0]["state"] == "current"
    };
    until(ask, is_one)["granted"][0].clone()
}

fn renew<'a>(grant: &'a str, length: &'a str) -> [&'a str; 7] {
    ["wallet", "renew", "--dir", "ana", grant, "--for", length]
}

#[test]
fn a_grant_is_renewed_and_narrowed_and_stays_one() {
    let (cluster, study) = world();
    let first = cluster.grant("ana", &study, &card(&cluster, "4"));
    cluster.person(&["recipient", "fetch", "--dir", "rossi"]);
    let (code, said) = cluster.try_person(&renew(&first, "1d")).refused();
    assert_eq!((code.as_str(), live(&cluster, &study)), ("terms", vec![first.clone()]), "{said}");

    let renewed = cluster.person(&renew(&first, "14d"));
    let second = text(&renewed["grant"]);
    assert_eq!((&renewed["replaces"], live(&cluster, &study)), (&json!(first), vec![second.clone()]));
    assert_eq!(cluster.person(&renew(&first, "14d"))["grant"], second, "asked for once more it is that one");
    let (code, said) = cluster.try_person(&renew(&first, "15d")).refused();
    assert!(code == "ended" && said.contains(&second[..8]), "{said}");
    let row = inbox(&cluster);
    assert_eq!(
        (&row["grant"], &row["state"], &row["expires_ms"]),
        (&json!(second), &json!("current"), &renewed["expires_ms"])
    );
    // What it is granted by is another key, and the copy is the same.
    let open = cluster.person(&["recipient", "view", "--dir", "rossi", &study]);
    assert_eq!(open["series"].as_array().map(Vec::len), Some(3), "{open}");

    let narrow = |grant: &str, more: &[&str]| {
        cluster.try_person(&[&["wallet", "narrow", "--dir", "ana", grant][..], more].concat())
    };
    for wider in [&["--for", "30d"][..], &["--for", "14d"]] {
        let (code, said) = narrow(&second, wider).refused();
        assert!(code == "terms" && said.contains("Nothing was changed"), "{said}");
    }
    let narrowed = narrow(&second, &["--series", "1", "--series", "2", "--openings", "5"]).done();
    let third = text(&narrowed["grant"]);
    assert_eq!((&narrowed["replaces"], live(&cluster, &study)), (&json!(second), vec![third.clone()]));
    let row = inbox(&cluster);
    assert_eq!((&row["grant"], &row["terms"]["scope"]["allowed"]), (&json!(third), &json!(2)), "{row}");
    // What is allowed no more does not come back by narrowing, and a count does not begin anew by the way.
    for wider in
        [&["--series", "3", "--openings", "5"][..], &["--openings", "6"], &["--view-only"], &["--openings", "5"]]
    {
        let (code, said) = narrow(&third, wider).refused();
        assert!(code == "terms" && said.contains("Nothing was changed"), "{wider:?}: {said}");
    }
    assert_eq!(live(&cluster, &study), [third.as_str()]);
    let narrowed = narrow(&third, &["--series", "2", "--openings", "1", "--view-only"]).done();
    let fourth = text(&narrowed["grant"]);
    let fetched = cluster.person(&["recipient", "fetch", "--dir", "rossi"]);
    assert_eq!((&fetched["fetched"][0]["listed"], &fetched["fetched"][0]["scope"]["allowed"]), (&json!(2), &json!(1)));
    assert_eq!(inbox(&cluster)["grant"], fourth);
    cluster.person(&["wallet", "revoke", "--dir", "ana", &fourth]);
    assert_eq!(live(&cluster, &study), Vec::<String>::new());
}

#[test]
fn what_cannot_be_renewed_stays_as_it_is_and_keys_come_when_there_are_none_left() {
    let (cluster, study) = world();
    let first = cluster.grant("ana", &study, &card(&cluster, "1"));
    // The card's one key is used, and the recipient has not looked yet.
    let (code, said) = cluster.try_person(&renew(&first, "14d")).refused();
    assert!(code == "card" && said.contains("look into their inbox"), "{said}");
    assert_eq!(inbox(&cluster)["grant"], first);

    cluster.person(&["wallet", "caps", "--dir", "ana", "--wait", "24h"]);
    assert_eq!(cluster.try_person(&renew(&first, "14d")).refused().0, "caps");
    // To allow less is never held up.
    let narrowed = cluster.person(&["wallet", "narrow", "--dir", "ana", &first, "--view-only"]);
    let second = text(&narrowed["grant"]);
    assert_eq!(live(&cluster, &study), [second.as_str()]);

    cluster.hospital(&["suspend", "--dir", "mercy", &study[..12], "--reason", "under-review"]);
    let studies = || cluster.person(&["wallet", "studies", "--dir", "ana"]);
    until(studies, |all| all["studies"][0]["state"] == "suspended");
    let (code, said) = cluster.try_person(&["wallet", "narrow", "--dir", "ana", &second, "--for", "1d"]).refused();
    assert_eq!(code, "study", "{said}");
    cluster.hospital(&["resume", "--dir", "mercy", &study[..12]]);
    assert_eq!(live(&cluster, &study), [second.as_str()]);
    assert_eq!(inbox(&cluster)["grant"], second);
}

/// Gives a command again and again, killed each time a little later, and at last lets it be done.
fn killed_at_each(cluster: &Cluster, arguments: &[&str], instants: &[u64]) -> Value {
    for ms in instants {
        let mut doing = cluster.begin(PERSON, arguments);
        doing.runs_for(Duration::from_millis(*ms));
        if !doing.runs() {
            return doing.ended().done();
        }
        drop(doing.kill());
    }
    cluster.person(arguments)
}

#[test]
fn killed_at_any_instant_a_change_is_made_once_and_the_former_ends_with_it() {
    let (cluster, study) = world();
    let mut grant = cluster.grant("ana", &study, &card(&cluster, "8"));
    // A command takes some half a second to open the wallet, and about as long for the rest.
    let instants: [&[u64]; 3] = [&[300, 500, 700, 900], &[400, 600, 800, 1_000], &[450, 550, 650, 750]];
    for (length, instants) in ["10d", "20d"].into_iter().zip(instants) {
        grant = text(&killed_at_each(&cluster, &renew(&grant, length), instants)["grant"]);
        assert_eq!(live(&cluster, &study), [grant.as_str()]);
        assert_eq!(inbox(&cluster)["grant"], grant);
    }
    let narrow = ["wallet", "narrow", "--dir", "ana", &grant, "--series", "2", "--for", "5d"];
    let narrowed = text(&killed_at_each(&cluster, &narrow, instants[2])["grant"]);
    assert_eq!(live(&cluster, &study), [narrowed.as_str()]);
    let row = inbox(&cluster);
    assert_eq!((&row["grant"], &row["terms"]["scope"]["allowed"]), (&json!(narrowed), &json!(1)), "{row}");
    // Nothing is left over: what is listed is one chain of grants, of which the last stands.
    let grants = cluster.person(&["wallet", "grants", "--dir", "ana"]);
    assert_eq!(grants["grants"].as_array().map(Vec::len), Some(4), "{grants}");
}
