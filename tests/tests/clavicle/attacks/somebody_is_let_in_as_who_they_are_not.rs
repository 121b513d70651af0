//! A name says what its owner likes. Who vouches for it stands beside it, before anything is granted and wherever it
//! stands afterwards: nobody, a hospital, a hospital that has thought better of it; and somebody else under the same
//! name, or one that looks like it, is not let in unseen.

use serde_json::Value;

use crate::cluster::{Cluster, brain};
use crate::people::text;
use crate::process::until;

const MERCY: usize = 0;

/// What a patient is told of a card.
fn looked_at(cluster: &Cluster, card: &str) -> Value {
    cluster.person(&["wallet", "card", "--dir", "ana", card])["verdict"].clone()
}

#[test]
fn nobody_is_let_in_unseen_under_anothers_name() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    brain(&cluster, "images", 1..=1);
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");

    // Nobody vouches yet, and that is said before anything else.
    let verdict = looked_at(&cluster, &cluster.card("rossi"));
    assert_eq!((&verdict["is"], &verdict["by"]), (&"unverified".into(), &Value::Null), "{verdict}");

    // Mercy does, by the key that it knows its physician has.
    let asked = cluster.person(&[
        "recipient",
        "request-credential",
        "--dir",
        "rossi",
        "--of",
        "mercy hospital",
        "--out",
        "rossi.request",
    ]);
    let (code, _) =
        cluster.try_hospital(&["credential", "--dir", "north", "--for", "rossi.request", "--role", "nurse"]).refused();
    assert_eq!(code, "credential", "it was asked of Mercy");
    let issued = cluster.hospital(&[
        "credential",
        "--dir",
        "mercy",
        "--for",
        "rossi.request",
        "--role",
        "physician",
        "--specialty",
        "radiology",
        "--days",
        "365",
        "--by",
        "Ann",
    ]);
    assert_eq!(issued["person"], asked["person"]);
    let shown = || cluster.person(&["recipient", "show", "--dir", "rossi"]);
    // The list is signed when the others have said what time it is.
    let shown = until(shown, |shown| shown["verdict"]["is"] == "verified");
    assert_eq!(shown["verdict"]["sentence"], "verified by “mercy hospital”: physician, “radiology”");

    let card = cluster.card("rossi");
    let verdict = looked_at(&cluster, &card);
    assert_eq!(
        (&verdict["is"], &verdict["by"], &verdict["role"]),
        (&"verified".into(), &"mercy hospital".into(), &"physician".into()),
        "{verdict}"
    );
    let grant = ["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "7d"];
    let granted = cluster.person(&grant);
    assert_eq!(granted["verdict"], verdict);
    cluster.person(&["recipient", "fetch", "--dir", "rossi"]);
    let who = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    assert_eq!((&who["grants"][0]["name"], &who["grants"][0]["verdict"]), (&"Dr rossi".into(), &verdict), "{who}");
    let opened = who["looked"].as_array().unwrap().iter().find(|look| look["what"] == "opened").unwrap();
    assert_eq!(opened["verdict"], verdict, "{opened}");
    let grants = cluster.person(&["wallet", "grants", "--dir", "ana"]);
    assert_eq!(grants["grants"][0]["verdict"], verdict, "{grants}");

    // Somebody else calls themselves the same: in letters of another alphabet, or in the same.
    for (folder, name) in [("thief", "Dr r\u{43e}ssi"), ("other", "Dr Rossi")] {
        cluster.person(&["recipient", "init", "--dir", folder, "--network", "network.json", "--name", name]);
        let card = cluster.card(folder);
        assert_eq!(looked_at(&cluster, &card)["is"], "changed", "{name}");
        let grant = ["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "7d"];
        let (code, said) = cluster.try_person(&grant).refused();
        assert_eq!(code, "second_look", "{said}");
        assert!(said.contains("changed since last time"), "{said}");
    }
    let who = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    assert_eq!(who["grants"].as_array().unwrap().len(), 1, "nothing was granted: {who}");
    let request =
        ["recipient", "request-credential", "--dir", "thief", "--of", "mercy hospital", "--out", "thief.request"];
    cluster.person(&request);
    let (code, said) = cluster
        .try_hospital(&["credential", "--dir", "mercy", "--for", "thief.request", "--role", "physician"])
        .refused();
    assert_eq!(code, "credential");
    assert!(said.contains("mixes letters of different alphabets"), "{said}");

    // Mercy vouches no more, and everybody who shows a card from now on says so.
    let number = issued["number"].as_u64().unwrap().to_string();
    cluster.hospital(&["credential-end", "--dir", "mercy", &number, "--why", "left the hospital", "--by", "Ann"]);
    let listed = cluster.hospital(&["credentials", "--dir", "mercy"]);
    assert_eq!(
        (listed["issued"].as_array().unwrap().len(), &listed["ended"][0]["ended"]["why"]),
        (0, &"left the hospital".into()),
        "{listed}"
    );
    let shown = || cluster.person(&["recipient", "show", "--dir", "rossi"]);
    until(shown, |shown| shown["verdict"]["is"] == "ended");
    let card = cluster.card("rossi");
    assert_eq!(looked_at(&cluster, &card)["is"], "ended");
    let grant = ["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "7d"];
    let (code, said) = cluster.try_person(&grant).refused();
    assert_eq!(code, "second_look", "{said}");
    assert!(said.contains("credential ended"), "{said}");
    // Whoever is sure says so.
    let sure = cluster.person(&[&grant[..], &["--all-the-same"]].concat());
    assert_eq!(text(&sure["verdict"]["is"]), "ended");
}
