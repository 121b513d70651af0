//! A team is granted something, and its members open it, each by name. Whoever is none, or none any more, opens nothing
//! with the team's own wallet in hand; and what a team says of its members is never the hospital's word.

use serde_json::Value;

use crate::cluster::{Cluster, brain};
use crate::people::text;
use crate::process::until;

const MERCY: usize = 0;

#[test]
fn only_members_open_what_a_team_was_granted_and_each_by_name() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    cluster.recipient("bianchi");
    cluster.person(&["recipient", "init", "--dir", "stroke", "--network", "network.json", "--name", "Stroke team"]);
    brain(&cluster, "images", 1..=2);
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");

    // Nobody is a member of what nobody vouches for.
    let (code, said) =
        cluster.try_person(&["recipient", "organisation", "--dir", "stroke", "--out", "none.org"]).refused();
    assert_eq!(code, "credential", "{said}");

    // Mercy vouches for the team.
    let ask =
        ["recipient", "request-credential", "--dir", "stroke", "--of", "mercy hospital", "--out", "stroke.request"];
    cluster.person(&ask);
    cluster.hospital(&["credential", "--dir", "mercy", "--for", "stroke.request", "--role", "team", "--by", "Ann"]);
    let shown = || cluster.person(&["recipient", "show", "--dir", "stroke"]);
    until(shown, |shown| shown["verdict"]["is"] == "verified");

    // The team vouches for its member, who asks it, and nobody else.
    cluster.person(&["recipient", "organisation", "--dir", "stroke", "--out", "stroke.org"]);
    let request = |of: &str, out: &str| {
        cluster.person(&["recipient", "request-credential", "--dir", of, "--of-file", "stroke.org", "--out", out])
    };
    let asked = request("rossi", "rossi.request");
    let other = ["credential", "--dir", "mercy", "--for", "rossi.request", "--role", "physician"];
    assert_eq!(cluster.try_hospital(&other).refused().0, "credential", "it was asked of the team");
    let vouch = |request: &str, out: &str| {
        let vouch = ["recipient", "vouch", "--dir", "stroke", "--for", request, "--role", "physician", "--out", out];
        cluster.person(&vouch)
    };
    let issued = vouch("rossi.request", "rossi.word");
    assert_eq!((&issued["person"], &issued["left"]), (&asked["person"], &true.into()), "{issued}");
    // Somebody else's word is nobody's.
    let pasted = ["recipient", "take-credential", "--dir", "bianchi", "rossi.word"];
    assert_eq!(cluster.try_person(&pasted).refused().0, "credential");
    let taken = cluster.person(&["recipient", "take-credential", "--dir", "rossi", "rossi.word"]);
    let of_the_team = "vouched for by the team “Stroke team”: physician";
    assert_eq!((&taken["shown"], &taken["verdict"]["sentence"]), (&true.into(), &of_the_team.into()), "{taken}");
    let seen = cluster.person(&["wallet", "card", "--dir", "ana", &cluster.card("rossi")])["verdict"].clone();
    assert_eq!((&seen["by_team"], &seen["by"]), (&true.into(), &"Stroke team".into()), "{seen}");
    assert!(!text(&seen["sentence"]).contains("mercy"), "{seen}");

    // The patient grants to the team, and what is granted says that a member signs.
    let card = cluster.card("stroke");
    let looked = cluster.person(&["wallet", "card", "--dir", "ana", &card])["verdict"].clone();
    assert_eq!((&looked["is"], &looked["role"]), (&"verified".into(), &"team".into()), "{looked}");
    cluster.grant("ana", &study, &card);
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "stroke"]);
    assert_eq!(inbox["granted"][0]["terms"]["member_required"], true, "{inbox}");

    // The team's own wallet opens nothing by itself, nor by somebody who is no member.
    let refused = |by: &[&str]| {
        let fetch = [&["recipient", "fetch", "--dir", "stroke", &study], by].concat();
        let (code, said) = cluster.try_person(&fetch).refused();
        assert_eq!(code, "member", "{said}");
    };
    refused(&[]);
    refused(&["--as", "bianchi"]);
    refused(&["--as", "stroke"]);
    let fetched = cluster.person(&["recipient", "fetch", "--dir", "stroke", &study, "--as", "rossi"]);
    assert_eq!(fetched["fetched"][0]["intact"], fetched["fetched"][0]["listed"], "{fetched}");

    // The patient sees who it was.
    let who = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    let opened: Vec<&Value> =
        who["looked"].as_array().unwrap().iter().filter(|look| look["what"] == "opened").collect();
    assert_eq!(opened.len(), 1, "{who}");
    assert_eq!((&opened[0]["name"], &opened[0]["actor"]), (&"Stroke team".into(), &"Dr rossi".into()), "{who}");
    assert_eq!((&opened[0]["member"], &opened[0]["actor_role"]), (&asked["person"], &"physician".into()), "{who}");
    assert!(opened[0]["credential"].is_string(), "{who}");

    // Removed, they open nothing more in its name, and whoever sees their card sees that.
    let number = issued["number"].as_u64().unwrap().to_string();
    let ended = cluster.person(&["recipient", "end-vouching", "--dir", "stroke", &number]);
    assert_eq!((&ended["number"], &ended["left"]), (&issued["number"], &true.into()), "{ended}");
    let listed = cluster.person(&["recipient", "vouched", "--dir", "stroke"]);
    assert_eq!((listed["issued"].as_array().unwrap().len(), &listed["ended"][0]["number"]), (0, &issued["number"]));
    cluster.person(&["recipient", "forget", "--dir", "stroke", &study]);
    refused(&["--as", "rossi"]);
    let shown = || cluster.person(&["recipient", "show", "--dir", "rossi"]);
    until(shown, |shown| shown["verdict"]["is"] == "ended");
    assert_eq!(cluster.person(&["wallet", "card", "--dir", "ana", &cluster.card("rossi")])["verdict"]["is"], "ended");

    // A team of a hospital that vouches for it no more opens nothing at all.
    request("bianchi", "bianchi.request");
    vouch("bianchi.request", "bianchi.word");
    let rows = cluster.hospital(&["credentials", "--dir", "mercy"]);
    let number = rows["issued"][0]["number"].as_u64().unwrap().to_string();
    cluster.hospital(&["credential-end", "--dir", "mercy", &number, "--why", "dissolved", "--by", "Ann"]);
    let shown = || cluster.person(&["recipient", "show", "--dir", "stroke"]);
    until(shown, |shown| shown["verdict"]["is"] == "ended");
    let fetch = ["recipient", "fetch", "--dir", "stroke", &study, "--as", "bianchi"];
    let (code, said) = cluster.try_person(&fetch).refused();
    assert_eq!(code, "credential", "{said}");
    assert!(said.contains("credential ended"), "{said}");
}
