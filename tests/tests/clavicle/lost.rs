//! A person has lost a phone, a passphrase, or trust in somebody: what was granted ends, at once and everywhere.

use std::fs;

use clavicle_ledger::genesis::{Genesis, Parameters};
use clavicle_network::file::{read_genesis, write_genesis};
use serde_json::Value;

use crate::cluster::{Cluster, PERSON, files_in};
use crate::image::Image;
use crate::people::{PIN, text};
use crate::process::until;

const MERCY: usize = 0;
const STLUKE: usize = 1;
const NORTH: usize = 2;
const HARBOR: usize = 3;

/// Takes a study of one image into a hospital's archive.
pub(crate) fn study(cluster: &Cluster, n: usize, number: u32) -> String {
    let folder = format!("study {number}");
    fs::create_dir(cluster.path(&folder)).unwrap();
    let image =
        Image { study: number, series: 1, number: 1, patient: "A1", born: "19530117", accession: "A1", pixels: 2_000 };
    fs::write(cluster.path(&folder).join("1.dcm"), image.file()).unwrap();
    cluster.ingest(n, &folder)
}

/// A wallet whose words are in the file `words`.
pub(crate) fn with_words(cluster: &Cluster, name: &str) {
    let made = cluster.person(&["wallet", "init", "--dir", name, "--network", "network.json"]);
    fs::write(cluster.path("words"), text(&made["words"])).unwrap();
}

/// How many may fetch a study, as the ledger proves it, whether its hospital answers or not.
fn live(cluster: &Cluster, dir: &str, study: &str) -> usize {
    cluster.try_person(&["wallet", "who", "--dir", dir, study]).object()["grants"].as_array().unwrap().len()
}

fn states(said: &Value) -> Vec<String> {
    said["grants"].as_array().unwrap().iter().map(|row| text(&row["state"])).collect()
}

#[test]
fn a_person_is_shut_out_everywhere_and_everybody_from_another_device() {
    let mut cluster = Cluster::running();
    with_words(&cluster, "ana");
    cluster.recipient("rossi");
    cluster.recipient("bianchi");
    let (first, second) = (study(&cluster, MERCY, 1), study(&cluster, STLUKE, 2));
    cluster.pick_up(MERCY, &first, "ana");
    cluster.pick_up(STLUKE, &second, "ana");
    for study in [&first, &second] {
        for recipient in ["rossi", "bianchi"] {
            cluster.grant("ana", study, &cluster.card(recipient));
        }
    }
    let nobody = cluster.try_person(&["wallet", "revoke", "--dir", "ana", "--person", "Dr Ross"]).refused();
    assert_eq!(nobody.0, "not_found", "{}", nobody.1);

    // One person, on every study, each with the hospital's receipt; the other stays.
    let said = cluster.person(&["wallet", "revoke", "--dir", "ana", "--person", "dr  ROSSI"]);
    assert_eq!((said["ended"].as_u64(), said["all"].as_u64()), (Some(2), Some(2)), "{said}");
    assert!(said["grants"].as_array().unwrap().iter().all(|row| row["receipt"].is_string()), "{said}");
    assert_eq!((live(&cluster, "ana", &first), live(&cluster, "ana", &second)), (1, 1));
    cluster.try_person(&["recipient", "fetch", "--dir", "rossi", "--out", "rossi's"]).refused();
    // The same again ends nothing twice.
    let again = cluster.person(&["wallet", "revoke", "--dir", "ana", "--person", "Dr rossi"]);
    assert_eq!(again["all"].as_u64(), Some(0), "{again}");

    // Another device of the same words knows no names, and says so; everything it can end.
    cluster.person(&["wallet", "restore", "--dir", "tablet", "--network", "network.json", "--words-file", "words"]);
    cluster.grant("tablet", &first, &cluster.card("rossi"));
    let said = cluster.try_person(&["wallet", "revoke", "--dir", "tablet", "--person", "Dr rossi"]);
    let (code, _) = said.refused();
    let said = said.object();
    assert_eq!(
        (code.as_str(), said["ended"].as_u64(), said["unnamed"].as_u64()),
        ("not_final", Some(1), Some(2)),
        "{said}"
    );

    // A hospital that is away: what its study was granted ends on the ledger, and its system is waited for.
    cluster.kill(STLUKE);
    let said = cluster.person(&["wallet", "revoke", "--dir", "tablet", "--everything"]);
    assert_eq!((said["ended"].as_u64(), said["all"].as_u64()), (Some(2), Some(2)), "{said}");
    let receipts = said["grants"].as_array().unwrap().iter().filter(|row| row["receipt"].is_string()).count();
    assert_eq!(receipts, 1, "the hospital that is away has given none: {said}");
    assert_eq!((live(&cluster, "tablet", &first), live(&cluster, "tablet", &second)), (0, 0));
    cluster.start(STLUKE);
    let next = cluster.highest() + 1;
    cluster.reach(&[MERCY, STLUKE, NORTH, HARBOR], next);
    // What the first device granted, and another has ended, it does not call its own doing.
    let said = cluster.person(&["wallet", "revoke", "--dir", "ana", "--everything"]);
    assert!(states(&said).iter().all(|state| state == "ended_before") && said["all"].as_u64() == Some(2), "{said}");
}

#[test]
fn what_cannot_become_final_is_named_and_goes_on() {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    let (first, second) = (study(&cluster, MERCY, 1), study(&cluster, NORTH, 2));
    cluster.pick_up(MERCY, &first, "ana");
    cluster.pick_up(NORTH, &second, "ana");
    cluster.grant("ana", &first, &cluster.card("rossi"));
    cluster.grant("ana", &second, &cluster.card("rossi"));
    // Two of four are gone: nothing becomes final, and the hospital that is there serves no more.
    cluster.kill(NORTH);
    cluster.kill(HARBOR);
    let said = cluster.try_person(&["wallet", "revoke", "--dir", "ana", "--everything"]);
    let (code, why) = said.refused();
    assert!(code == "not_final" && why.contains("2 of 2 grants have not ended yet"), "{why}");
    let mut states = states(&said.object());
    states.sort_unstable();
    assert_eq!(states, ["told", "waiting"], "{}", said.stdout);
    cluster.start(NORTH);
    cluster.start(HARBOR);
    let next = cluster.highest() + 1;
    cluster.reach(&[MERCY, STLUKE, NORTH, HARBOR], next);
    let said = cluster.person(&["wallet", "revoke", "--dir", "ana", "--everything"]);
    assert_eq!(said["not_asked"], Value::Null, "{said}");
    assert_eq!((live(&cluster, "ana", &first), live(&cluster, "ana", &second)), (0, 0));
}

/// At how many instants a command is killed.
fn instants() -> u64 {
    if std::env::var_os("CLAVICLE_LONG").is_some() { 100 } else { 10 }
}

/// Gives a command once for each instant, killed then, and at last without. They are spread over twice the time that it
/// takes, in an order that differs from run to run.
pub(crate) fn killed_at_random(cluster: &Cluster, arguments: &[&str], mut before_each: impl FnMut(u64)) -> Value {
    let seed = u64::from(std::process::id());
    for number in 0..instants() {
        before_each(number);
        let after = (seed.wrapping_mul(2_654_435_761).wrapping_add(number.wrapping_mul(7_919))) % 1_200;
        let mut doing = cluster.begin(PERSON, arguments);
        doing.runs_for(std::time::Duration::from_millis(after));
        if doing.runs() {
            doing.kill();
        }
    }
    cluster.person(arguments)
}

#[test]
fn everything_ends_once_however_often_the_wallet_is_killed_at_it() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    let studies: Vec<String> = (1..=4).map(|number| study(&cluster, MERCY, number)).collect();
    for study in &studies {
        cluster.pick_up(MERCY, study, "ana");
        cluster.grant("ana", study, &cluster.card("rossi"));
    }
    killed_at_random(&cluster, &["wallet", "revoke", "--dir", "ana", "--everything"], |_| {});
    for study in &studies {
        let who = cluster.person(&["wallet", "who", "--dir", "ana", study]);
        assert_eq!(who["grants"], Value::Array(Vec::new()), "{who}");
        assert_eq!(who["events"], 3, "defined once, granted once, revoked once: {who}");
    }
}

/// Four hospitals of a network in which a veto has so long.
pub(crate) fn with_delay(delay_ms: u64) -> Cluster {
    let mut cluster = Cluster::made();
    let path = cluster.path("network.json");
    let genesis = read_genesis(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let parameters = Parameters { recovery_delay_ms: delay_ms, recovery_heights: 1, ..genesis.parameters };
    write_genesis(&path, &Genesis { parameters, ..genesis }).unwrap();
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], 1);
    cluster
}

/// Two of the staff give a study back: the code.
#[track_caller]
pub(crate) fn give_back(cluster: &Cluster, study: &str) -> String {
    let ask = |by: &str, more: &[&str]| {
        let asked = ["recover", "--dir", "mercy", "--study", study, "--pin", PIN, "--by", by];
        let why = ["--why", "the phone is lost; passport seen"];
        cluster.try_hospital(&[&asked[..], &why, more].concat())
    };
    let proposed = ask("Ann Smith", &[]);
    assert_eq!(proposed.refused().0, "confirm");
    let digest = text(&proposed.object()["digest"]);
    let alone = ask(" ann  smith", &["--confirm", &digest]).refused();
    assert!(alone.0 == "confirm" && alone.1.contains("another of the staff"), "{}", alone.1);
    assert_eq!(ask("Ben", &["--confirm", "5b1f0c9a77e2"]).refused().0, "confirm");
    text(&ask("Ben", &["--confirm", &digest]).done()["code"])
}

/// The next step of getting a study back: how it stands then.
#[track_caller]
pub(crate) fn recover(cluster: &Cluster, dir: &str, code: &str) -> String {
    let said = cluster.try_person(&["wallet", "recover", "--dir", dir, code, "--pin", PIN]);
    text(&said.object()["studies"][0]["state"])
}

#[test]
fn a_hospital_gives_back_what_was_lost_when_two_agree_and_nobody_says_no() {
    let cluster = with_delay(8_000);
    cluster.patient("ana");
    cluster.patient("new");
    cluster.recipient("rossi");
    let study = study(&cluster, MERCY, 1);
    cluster.pick_up(MERCY, &study, "ana");
    cluster.grant("ana", &study, &cluster.card("rossi"));
    let code = give_back(&cluster, &study);
    // It is no ordinary code, and an ordinary one gives nothing back.
    let (word, why) = cluster.try_person(&["wallet", "pickup", "--dir", "new", &code, "--pin", PIN]).refused();
    assert!(word == "pickup" && why.contains("it is taken with `recover`"), "{why}");
    assert_eq!(recover(&cluster, "new", &code), "asked");
    assert_eq!(recover(&cluster, "new", &code), "waits");
    // Whoever has the key is told at the next start, whatever it is for, and before all else where what waits is asked
    // for.
    let said = cluster.try_person(&["wallet", "grants", "--dir", "ana"]);
    assert!(said.stderr.contains("WARNING: a hospital was asked to give one of your studies"), "{said:?}");
    let waits = cluster.person(&["wallet", "--dir", "ana"]);
    assert_eq!(waits["waits"][0]["kind"], "recovery", "{waits}");
    assert_eq!(waits["waits"][1]["about"], *study, "{waits}");
    assert_eq!(cluster.person(&["wallet", "--dir", "new"])["waits"][1]["kind"], "recovering");

    until(|| recover(&cluster, "new", &code), |state| state == "yours");
    assert_eq!(recover(&cluster, "new", &code), "yours");
    cluster.person(&["wallet", "fetch", "--dir", "new", &study, "--out", "back"]);
    assert_eq!(live(&cluster, "new", &study), 0, "what was allowed before has ended");
    let (word, _) = cluster.try_person(&["wallet", "who", "--dir", "ana", &study]).refused();
    assert_eq!(word, "study");
    // Who is too late is told so.
    let (word, _) = cluster.try_person(&["wallet", "veto", "--dir", "ana"]).refused();
    assert_eq!(word, "not_found");
    // What became of it stands there, too.
    let acts = || -> Vec<String> {
        let record = cluster.hospital(&["recoveries", "--dir", "mercy"]);
        record["record"].as_array().unwrap().iter().map(|line| text(&line["act"])).collect()
    };
    let acts = until(acts, |acts| acts.iter().any(|act| act == "given"));
    assert_eq!(acts, ["proposed", "agreed", "taken", "asked", "completed", "given"]);
    let record = cluster.hospital(&["recoveries", "--dir", "mercy"]);
    assert_eq!((&record["record"][0]["by"], &record["record"][1]["by"]), (&"Ann Smith".into(), &"Ben".into()));
}

#[test]
fn a_passphrase_is_changed_at_whatever_instant_it_is_killed_and_one_of_the_two_opens() {
    let cluster = Cluster::made();
    with_words(&cluster, "ana");
    fs::write(cluster.path("other"), "velvet otter drinks quarry\n").unwrap();
    let opens = |file: &str| {
        let said = cluster.try_person(&["wallet", "grants", "--dir", "ana", "--passphrase-file", file]);
        if said.code == Some(0) {
            return true;
        }
        assert_eq!(said.refused().0, "passphrase");
        false
    };
    let (mut now, mut next, mut changes) = ("pw", "other", 0);
    for number in 0..instants() {
        let seed = u64::from(std::process::id()).wrapping_mul(2_654_435_761).wrapping_add(number * 7_919);
        let change = ["wallet", "passphrase", "--dir", "ana", "--passphrase-file", now, "--new-passphrase-file", next];
        let mut doing = cluster.begin(PERSON, &change);
        doing.runs_for(std::time::Duration::from_millis(300 + seed % 1_200));
        if doing.runs() {
            doing.kill();
        }
        if opens(next) {
            (now, next, changes) = (next, now, changes + 1);
        } else {
            assert!(opens(now), "one of the two opens it");
        }
    }
    cluster.person(&["wallet", "passphrase", "--dir", "ana", "--passphrase-file", now, "--new-passphrase-file", next]);
    assert!(opens(next) && !opens(now), "after {changes} changes");
}

#[test]
fn a_wallet_is_protected_once_three_of_its_words_were_typed() {
    let cluster = Cluster::made();
    with_words(&cluster, "ana");
    let words = fs::read_to_string(cluster.path("words")).unwrap();
    let words: Vec<&str> = words.split(' ').collect();
    let said = cluster.try_person(&["wallet", "words", "--dir", "ana"]);
    assert!(said.stderr.starts_with("note: this wallet is not protected yet"), "{said:?}");
    let asked = said.done();
    assert_eq!(asked["protected"], false);
    let asked: Vec<usize> = asked["asked"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect();
    fs::write(cluster.path("three"), "abandon abandon abandon\n").unwrap();
    let check = ["wallet", "words", "--dir", "ana", "--words-file", "three"];
    assert_eq!(cluster.try_person(&check).refused().0, "words");
    // Others are asked for after wrong ones, so that nobody goes on guessing at the same.
    let again = cluster.person(&["wallet", "words", "--dir", "ana"])["asked"].clone();
    let again: Vec<usize> = again.as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect();
    assert!(asked.iter().chain(&again).all(|at| (1..=24).contains(at)));
    let three: Vec<String> = again.iter().map(|at| words[at - 1].to_uppercase()).collect();
    fs::write(cluster.path("three"), three.join("  ")).unwrap();
    assert_eq!(cluster.person(&check)["protected"], true);
    let said = cluster.try_person(&["wallet", "words", "--dir", "ana", "--show"]);
    assert!(said.stderr.is_empty(), "{said:?}");
    assert_eq!(text(&said.done()["words"]), words.join(" "));
}

/// Copies a wallet's folder, as a backup does or a thief.
pub(crate) fn copied(cluster: &Cluster, from: &str, to: &str) {
    let (from, to) = (cluster.path(from), cluster.path(to));
    drop(fs::remove_dir_all(&to));
    for file in files_in(&from) {
        let place = to.join(file.strip_prefix(&from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&file, place).unwrap();
    }
}

/// Shows new words, and puts the three that are asked for into the file `three`; all of them.
pub(crate) fn new_words(cluster: &Cluster, dir: &str) -> String {
    let shown = cluster.person(&["wallet", "new-words", "--dir", dir]);
    let words = text(&shown["words"]);
    let asked = shown["asked"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize - 1);
    let all: Vec<&str> = words.split(' ').collect();
    let three: Vec<&str> = asked.map(|at| all[at]).collect();
    fs::write(cluster.path("three"), three.join(" ")).unwrap();
    words
}

fn restored(cluster: &Cluster, dir: &str, words: &str) -> Value {
    fs::write(cluster.path(&format!("{dir}.words")), words).unwrap();
    let file = format!("{dir}.words");
    cluster.person(&["wallet", "restore", "--dir", dir, "--network", "network.json", "--words-file", &file])
}

#[test]
fn new_words_take_every_study_from_who_has_the_old_ones_however_often_it_is_killed() {
    let cluster = Cluster::running();
    with_words(&cluster, "ana");
    cluster.recipient("rossi");
    let studies: Vec<String> = (1..=3).map(|number| study(&cluster, (number % 2) as usize, number)).collect();
    for (n, study) in [1, 0, 1].into_iter().zip(&studies) {
        cluster.pick_up(n, study, "ana");
    }
    cluster.grant("ana", &studies[0], &cluster.card("rossi"));
    // What another device picked up moves as well.
    let old = fs::read_to_string(cluster.path("words")).unwrap();
    cluster.person(&["wallet", "restore", "--dir", "tablet", "--network", "network.json", "--words-file", "words"]);
    let fourth = study(&cluster, MERCY, 4);
    cluster.pick_up(MERCY, &fourth, "tablet");

    let new = new_words(&cluster, "ana");
    assert_eq!(new_words(&cluster, "ana"), new, "the same, until they are in use");
    assert_ne!(new, old);
    let moved = killed_at_random(&cluster, &["wallet", "new-words", "--dir", "ana", "--words-file", "three"], |_| {});
    assert!(moved["not_searched"].is_null(), "{moved}");
    for (study, events) in studies.iter().zip([3, 2, 2]).chain([(&fourth, 2)]) {
        let who = cluster.person(&["wallet", "who", "--dir", "ana", study]);
        assert_eq!((who["grants"].as_array().unwrap().len(), who["events"].as_u64()), (0, Some(events)), "{who}");
        let (word, _) = cluster.try_person(&["wallet", "who", "--dir", "tablet", study]).refused();
        assert_eq!(word, "study", "the old words hold nothing any more");
    }
    cluster.try_person(&["recipient", "fetch", "--dir", "rossi", "--out", "rossi's"]).refused();
    // The old words give nothing back, and the new ones all.
    assert_eq!(restored(&cluster, "thief", &old)["on_ledger"].as_u64(), Some(0));
    assert_eq!(restored(&cluster, "again", &new)["on_ledger"].as_u64(), Some(4));
    cluster.person(&["wallet", "fetch", "--dir", "ana", &fourth, "--out", "mine"]);
    cluster.grant("ana", &studies[1], &cluster.card("rossi"));
    assert_eq!(cluster.person(&["wallet", "words", "--dir", "ana"])["protected"], true);
}

#[test]
fn what_the_wrong_person_picked_up_is_taken_back_and_is_another_study_for_the_right_one() {
    let cluster = Cluster::running();
    cluster.patient("wrong");
    cluster.patient("ana");
    cluster.recipient("rossi");
    let first = study(&cluster, MERCY, 1);
    cluster.pick_up(MERCY, &first, "wrong");
    let grant = cluster.grant("wrong", &first, &cluster.card("rossi"));
    cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    cluster.person(&["recipient", "fetch", "--dir", "rossi", &grant]);

    let ask = |by: &str, more: &[&str]| {
        let asked = ["reissue", "--dir", "mercy", &first, "--why", "the code was handed to somebody else", "--by", by];
        cluster.try_hospital(&[&asked[..], more].concat())
    };
    // Who says so first stops it: nobody is served any more, the holder neither.
    let proposed = ask("Ann Smith", &[]);
    assert_eq!(proposed.refused().0, "confirm");
    let proposed = proposed.object();
    assert!(proposed["height"].is_u64() && proposed["reissued"].is_null(), "{proposed}");
    let fetch = ["wallet", "fetch", "--dir", "wrong", &first, "--out", "loot"];
    assert_eq!(cluster.try_person(&fetch).refused().0, "study");
    let digest = text(&proposed["digest"]);
    assert_eq!(ask("ann smith ", &["--confirm", &digest]).refused().0, "confirm", "nobody alone");
    assert_eq!(ask("Ben", &["--confirm", "5b1f0c9a77e2"]).refused().0, "confirm");
    let done = ask("Ben", &["--confirm", &digest]).done();
    assert!(done["height"].is_u64() && done["removed"] == true, "{done}");
    let second = text(&done["reissued"]);
    assert_ne!(second, first, "another salt: nothing on the ledger links the two");
    // Whoever has a copy is told so, and is not shown it.
    let inbox = || cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    let told = until(inbox, |inbox| inbox["granted"][0]["reissued"] == true);
    assert_eq!(told["granted"][0]["state"], "wrong_patient", "{told}");
    let record = cluster.hospital(&["recoveries", "--dir", "mercy"]);
    let acts: Vec<String> = record["record"].as_array().unwrap().iter().map(|line| text(&line["act"])).collect();
    assert_eq!(acts, ["reissue_proposed", "reissued"], "{record}");

    cluster.pick_up(MERCY, &second, "ana");
    cluster.person(&["wallet", "fetch", "--dir", "ana", &second, "--out", "mine"]);
    assert_eq!(cluster.try_person(&fetch).refused().0, "study");
    assert!(!cluster.path("loot").exists());
}

#[test]
fn two_devices_tell_each_other_what_they_did() {
    let cluster = Cluster::running();
    with_words(&cluster, "ana");
    cluster.recipient("rossi");
    let all: Vec<String> = (1..=4).map(|number| study(&cluster, MERCY, number)).collect();
    cluster.pick_up(MERCY, &all[0], "ana");
    cluster.grant("ana", &all[0], &cluster.card("rossi"));
    restored(&cluster, "tablet", &fs::read_to_string(cluster.path("words")).unwrap());
    let devices = |dir: &str, more: &[&str]| {
        let asked = ["wallet", "devices", "--dir", dir];
        cluster.person(&[&asked[..], more].concat())
    };
    // The new one is there, and shown until it is named.
    let said = devices("ana", &[]);
    assert_eq!((said["devices"][1]["device"].as_u64(), &said["devices"][1]["name"]), (Some(1), &Value::Null), "{said}");
    let start = cluster.try_person(&["wallet", "grants", "--dir", "ana"]);
    assert!(start.stderr.contains("a new device of yours, not named yet: number 1"), "{start:?}");
    let said = devices("ana", &["--device", "1", "--name", "the tablet"]);
    assert_eq!(said["devices"][1]["name"], "the tablet", "{said}");
    let start = cluster.try_person(&["wallet", "grants", "--dir", "ana"]);
    assert!(!start.stderr.contains("not named yet"), "{start:?}");

    // The other hears whom the first let in, by name: it can end that.
    let said = devices("tablet", &[]);
    assert!(said["heard"].as_u64() >= Some(2) && said["devices"][1]["name"] == "the tablet", "{said}");
    let said = cluster.person(&["wallet", "revoke", "--dir", "tablet", "--person", "Dr rossi"]);
    assert_eq!((said["ended"].as_u64(), said["unnamed"].as_u64()), (Some(1), Some(0)), "{said}");

    // What it picks up the first hears of, unless it is to stay there.
    cluster.pick_up(MERCY, &all[1], "tablet");
    let code = cluster.issue(MERCY, &all[2]);
    cluster.person(&["wallet", "pickup", "--dir", "tablet", &code, "--pin", PIN, "--only-here"]);
    devices("ana", &[]);
    let studies = cluster.person(&["wallet", "studies", "--dir", "ana"]);
    let ids: Vec<String> = studies["studies"].as_array().unwrap().iter().map(|study| text(&study["study"])).collect();
    assert!(ids.contains(&all[1]) && !ids.contains(&all[2]), "{ids:?}");
    cluster.person(&["wallet", "fetch", "--dir", "ana", &all[1], "--out", "mine"]);
    cluster.grant("ana", &all[1], &cluster.card("rossi"));
    // Nothing is told twice, and nothing is left to be told.
    devices("tablet", &[]);
    let said = devices("tablet", &[]);
    assert_eq!((said["heard"].as_u64(), said["told"].as_u64(), said["waits"].as_u64()), (Some(0), Some(0), Some(0)));
    cluster.pick_up(MERCY, &all[3], "ana");
    assert_eq!(devices("tablet", &[])["heard"].as_u64(), Some(1));
}
