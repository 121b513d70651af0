//! A grant of some series: chosen by what their hospital told, seen by both sides, and no more than these is served.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::cluster::{Cluster, files_in};
use crate::image::Image;
use crate::people::text;
use crate::process::until;

const MERCY: usize = 0;

/// Puts an image of a series of a study into a folder.
pub(crate) fn image(cluster: &Cluster, folder: &str, (study, series): (u32, u32), number: u32) {
    let image = Image { study, series, number, patient: "A1", born: "19530117", accession: "A1", pixels: 400 };
    fs::create_dir_all(cluster.path(folder)).unwrap();
    fs::write(cluster.path(folder).join(format!("{series}-{number}.dcm")), image.file()).unwrap();
}

/// The series that a folder of fetched files has.
fn series_in(cluster: &Cluster, folder: &str) -> BTreeSet<String> {
    let files = files_in(&cluster.path(folder));
    files.iter().map(|file| file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

fn uid(series: u32) -> String {
    format!("2.25.77.1.{series}")
}

#[test]
fn whoever_was_allowed_some_series_gets_these_and_knows_that_there_are_more() {
    let cluster = Cluster::running();
    (1..=7).for_each(|series| (1..=2).for_each(|number| image(&cluster, "images", (1, series), number)));
    cluster.patient("ana");
    ["rossi", "bianchi"].iter().for_each(|recipient| cluster.recipient(recipient));
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");

    let listed = cluster.person(&["wallet", "series", "--dir", "ana", &study]);
    let listed = listed["series"].as_array().unwrap_or_else(|| panic!("{listed}")).clone();
    let row = json!({ "series": uid(3), "number": 3, "modality": "MR", "description": "Series 3", "instances": 2 });
    assert_eq!((listed.len(), &listed[2]), (7, &row));

    // What the study does not have is refused, and grants nothing of it.
    let card = cluster.card("rossi");
    let grant = |series: &[&str]| {
        let whole = ["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "7d"];
        let series: Vec<&str> = series.iter().flat_map(|one| ["--series", one]).collect();
        cluster.try_person(&[&whole[..], &series].concat())
    };
    for unknown in [&["9"][..], &["2", "Series"], &["2.25.77.1.9"], &["2.25.77.1"]] {
        let (code, said) = grant(unknown).refused();
        assert_eq!(code, "series", "{said}");
        assert!(said.contains("Nothing was granted"), "{said}");
    }
    assert_eq!(cluster.person(&["wallet", "grants", "--dir", "ana"])["grants"], json!([]));

    let (by_uid, these) = (uid(5), ["2", "series 3", "2.25.77.1.5"]);
    let granted = grant(&these).done();
    let scope = &granted["terms"]["scope"];
    assert_eq!((&scope["allowed"], &scope["of"]), (&json!(3), &json!(7)), "{granted}");
    assert_eq!(scope["series"][2]["series"], by_uid, "{granted}");
    assert_eq!(grant(&these).done()["grant"], granted["grant"], "asked for once more it is that one");
    let who = || cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    let numbers = |who: &Value| -> Vec<Value> {
        let series = who["grants"][0]["terms"]["scope"]["series"].as_array().unwrap_or_else(|| panic!("{who}"));
        series.iter().map(|one| one["number"].clone()).collect()
    };
    assert_eq!(numbers(&who()), [json!(2), json!(3), json!(5)]);

    // The recipient reads of how many they are, before anything is fetched and after; nothing is missing.
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    let scope = &inbox["granted"][0]["terms"]["scope"];
    assert_eq!(scope, &json!({ "allowed": 3, "of": 7, "series": [] }), "{inbox}");
    let fetch =
        |out: &str| cluster.person(&["recipient", "fetch", "--dir", "rossi", "--out", out])["fetched"][0].clone();
    let fetched = fetch("copies");
    assert_eq!((&fetched["listed"], &fetched["intact"], &fetched["not_offered"]), (&json!(6), &json!(6), &json!(0)));
    assert_eq!((&fetched["scope"]["allowed"], &fetched["scope"]["of"]), (&json!(3), &json!(7)), "{fetched}");
    assert_eq!(series_in(&cluster, "copies"), [2, 3, 5].map(uid).into());

    // What comes later to these is theirs too, and another series is not.
    image(&cluster, "more", (1, 3), 3);
    image(&cluster, "more", (1, 8), 1);
    let events = who()["events"].as_u64();
    cluster.ingest(MERCY, "more");
    until(who, |who| who["events"].as_u64() > events);
    let fetched = until(|| fetch("later"), |fetched| fetched["listed"] == 7);
    assert_eq!((&fetched["intact"], &fetched["revision"]), (&json!(7), &json!(1)), "{fetched}");
    assert_eq!(series_in(&cluster, "later"), [2, 3, 5].map(uid).into());
    // The patient chooses among those that there are now.
    let listed = cluster.person(&["wallet", "series", "--dir", "ana", &study]);
    assert_eq!(listed["series"].as_array().map(Vec::len), Some(8), "{listed}");

    // Signed without a network it is the same.
    let (png, card) = ("grant.png", cluster.card("bianchi"));
    let code = ["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "7d", "--series", "8"];
    let signed = cluster.person(&[&code[..], &["--as-code", "--png", png]].concat());
    assert_eq!((&signed["scope"]["allowed"], &signed["scope"]["of"]), (&json!(1), &json!(8)), "{signed}");
    cluster.person(&["submit", "--dir", "bianchi", png]);
    cluster.person(&["wallet", "grants", "--dir", "ana"]);
    let fetched = cluster.person(&["recipient", "fetch", "--dir", "bianchi", "--out", "one"]);
    assert_eq!(fetched["fetched"][0]["listed"], 1, "{fetched}");
    assert_eq!(series_in(&cluster, "one"), [uid(8)].into());
    assert_eq!(text(&signed["grant"]).len(), 64);
}
