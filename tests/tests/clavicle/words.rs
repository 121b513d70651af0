//! What the two programs say: help that is complete, and errors that are sentences for people and codes for programs.

use std::fs;

use clap::{Command, CommandFactory};
use serde_json::Value;

use crate::cluster::{Cluster, HOSPITAL, PERSON, brain};
use crate::people::{PIN, text};
use crate::process::{Doing, program};

/// Every command of a program, by the words that lead to it.
fn commands(command: &Command, words: &[String], found: &mut Vec<(Vec<String>, Vec<String>)>) {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let names = shown.map(|argument| match argument.get_long() {
        Some(long) => format!("--{long}"),
        None => argument.get_value_names().unwrap()[0].to_string(),
    });
    found.push((words.to_vec(), names.collect()));
    for sub in command.get_subcommands() {
        commands(sub, &[words, &[sub.get_name().to_owned()]].concat(), found);
    }
}

#[test]
fn the_help_of_every_command_shows_every_option() {
    let cluster = Cluster::empty();
    let programs =
        [(HOSPITAL, clavicle_relay::command::Arguments::command()), (PERSON, clavicle::command::Arguments::command())];
    for (path, command) in programs {
        let mut all = Vec::new();
        commands(&command, &[], &mut all);
        assert!(all.len() > 9);
        for (words, names) in all {
            let mut command = program(path, cluster.folder());
            command.args(&words).arg("--help");
            let said = Doing::start(command).ended();
            assert!(said.code == Some(0) && said.stderr.is_empty(), "{said:?}");
            let named = said.stdout.split_whitespace().map(|word| word.trim_matches(['[', ']', '<', '>', '.', ',']));
            let named: Vec<&str> = named.collect();
            for name in names.iter().map(String::as_str).chain(["--json", "--help"]) {
                assert!(named.contains(&name), "{name}: {said:?}");
            }
        }
    }
}

/// Whether an error reads as a sentence, and no program's innards show in it.
#[track_caller]
fn assert_is_sentence(why: &str) {
    assert!(why.contains(' ') && why.len() > 15, "{why}");
    for inside in ["Os {", "Error(", "Some(", "called `", "panicked", "::"] {
        assert!(!why.contains(inside), "{inside} in: {why}");
    }
}

/// The code of a person's error, which must be a sentence with these words, the same for people as for programs.
#[track_caller]
fn refusal(cluster: &Cluster, who: &str, arguments: &[&str], words: &str) -> String {
    let (code, why) = cluster.begin(who, arguments).ended().refused();
    assert!(why.contains(words), "{words:?} is not in: {why}");
    assert_is_sentence(&why);
    code
}

#[test]
fn every_error_is_a_sentence_with_a_code() {
    let cluster = Cluster::running();
    brain(&cluster, "disc", 2..=3);
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = cluster.ingest(0, "disc");
    let pickup = cluster.issue(0, &study);
    let card = cluster.card("rossi");
    let person = |words: &str, arguments: &[&str]| refusal(&cluster, PERSON, arguments, words);
    let hospital = |words: &str, arguments: &[&str]| refusal(&cluster, HOSPITAL, arguments, words);

    // Folders, passphrases, networks.
    assert_eq!(person("nowhere", &["wallet", "studies", "--dir", "nowhere"]), "vault");
    assert_eq!(
        person("is a recipient's, and only a patient's can do this", &["wallet", "studies", "--dir", "rossi"]),
        "kind"
    );
    assert_eq!(person("is a patient's", &["recipient", "inbox", "--dir", "ana"]), "kind");
    fs::write(cluster.path("wrong"), "not these words\n").unwrap();
    let wrong = ["wallet", "studies", "--dir", "ana", "--passphrase-file", "wrong"];
    assert_eq!(person("passphrase", &wrong), "passphrase");
    let none = ["wallet", "studies", "--dir", "ana", "--passphrase-file", "none"];
    assert_eq!(person("none", &none), "passphrase");
    let init = |network| ["wallet", "init", "--dir", "other", "--network", network];
    assert_eq!(person("none.json", &init("none.json")), "file");
    assert_eq!(person("mercy/source.json", &init("mercy/source.json")), "file");
    assert_eq!(person("ana", &["wallet", "init", "--dir", "ana", "--network", "network.json"]), "vault");
    assert!(!cluster.path("other").exists());
    cluster.hospital(&["genesis", "--out", "other.json", "--name", "other", "mercy/source.json"]);
    cluster.person(&init("other.json"));
    let elsewhere = ["wallet", "pickup", "--dir", "other", &pickup, "--pin", PIN];
    assert_eq!(person("of another network", &elsewhere), "network");

    // Codes.
    let take = |code: &'static str| ["wallet", "pickup", "--dir", "ana", code, "--pin", PIN];
    fs::write(cluster.path("garbage.png"), [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 999]].concat()).unwrap();
    assert_eq!(person("picture", &take("garbage.png")), "code");
    fs::write(cluster.path("garbage.bin"), [0xff; 999]).unwrap();
    assert_eq!(person("not a Clavicle code", &take("garbage.bin")), "code");
    assert_eq!(person("neither a Clavicle code nor a file", &take("none.png")), "code");
    fs::write(cluster.path("cut"), &pickup[..pickup.len() - 9]).unwrap();
    assert_eq!(person("the code is damaged", &take("cut")), "code");
    fs::write(cluster.path("card"), &card).unwrap();
    assert_eq!(person("card", &take("card")), "code");
    assert_eq!(person("the code asks for the PIN", &["wallet", "pickup", "--dir", "ana", &pickup]), "answer");
    let guess = ["wallet", "pickup", "--dir", "ana", &pickup, "--pin", "0000"];
    assert_eq!(person("4", &guess), "pickup");
    // The wrong answer cost a try and nothing else.
    cluster.person(&["wallet", "pickup", "--dir", "ana", &pickup, "--pin", PIN]);
    assert_eq!(person("", &elsewhere), "network");
    cluster.patient("eve");
    let stolen = ["wallet", "pickup", "--dir", "eve", &pickup, "--pin", PIN];
    assert_eq!(person("", &stolen), "pickup");

    // Ids.
    let who = |id: &'static str| ["wallet", "who", "--dir", "ana", id];
    assert_eq!(person("no study in this wallet begins with \"\"", &who("")), "not_found");
    assert_eq!(person("no study in this wallet begins with \"xyz\"", &who("xyz")), "not_found");
    let grant = |study: &str, card: &str, length: &str| {
        let arguments = ["wallet", "grant", "--dir", "ana", study, "--to", card, "--for", length];
        cluster.try_person(&arguments)
    };
    assert_eq!(grant("", &card, "7d").refused().0, "not_found");
    assert_eq!(grant(&study, &pickup, "7d").refused().0, "code");
    let odd = grant(&study, &card, "soon");
    assert_eq!((odd.code, &odd.object()["error"]["code"]), (Some(2), &"usage".into()), "{odd:?}");
    assert!(odd.stdout.contains("is no length of time"), "{odd:?}");
    assert_eq!(
        person("no grant in this wallet begins with \"\"", &["wallet", "revoke", "--dir", "ana", ""]),
        "not_found"
    );
    let nothing = ["recipient", "fetch", "--dir", "rossi", "--out", "images"];
    assert_eq!(person("nothing was granted yet", &nothing), "not_found");
    // Whoever waits is told at once for what, and a program gets one object all the same.
    let inbox = cluster.try_person(&["recipient", "inbox", "--dir", "rossi"]);
    assert!(inbox.stderr.contains("asking the hospitals for letters"), "{inbox:?}");
    assert_eq!(inbox.done()["unread"], 0);
    let fetch = |study: &'static str| ["recipient", "fetch", "--dir", "rossi", study, "--out", "images"];
    grant(&study, &card, "7d").done();
    // (Before its owner looks, who leaves more keys then.)
    assert_eq!(
        person("every key on this card", &["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "1d"]),
        "card"
    );
    assert_eq!(person("no study in this wallet begins with \"\"", &fetch("")), "not_found");

    // Hospitals.
    assert_eq!(hospital("nowhere", &["status", "--dir", "nowhere"]), "home");
    let desk = |words, visit: [&str; 2], pin: &[&str]| {
        hospital(words, &[&["pickup", "--dir", "mercy", visit[0], visit[1]], pin].concat())
    };
    let pin: &[&str] = &["--pin", PIN];
    assert_eq!(desk("no such study", ["--accession", "A999"], pin), "pickup");
    assert_eq!(desk("no such study", ["--study", "xyz"], pin), "pickup");
    assert_eq!(desk("a PIN has 4 characters at least", ["--study", &study], &["--pin", "1"]), "pickup");
    assert_eq!(desk("give out a PIN with --pin", ["--study", &study], &[]), "pickup");
    assert_eq!(
        hospital("nothing is kept under that reference", &["explain", "--dir", "mercy", "0123456789abcdef"]),
        "reference"
    );
    assert_eq!(hospital("none", &["ingest", "--dir", "mercy", "none"]), "folder");
}

#[test]
fn an_id_that_fits_several_is_not_guessed() {
    let cluster = Cluster::running();
    // More studies than an id's first digit can tell apart.
    let files = "pydicom-3.0.2/pydicom/data/test_files";
    cluster.patient("ana");
    // Among them are files that are no images, and some that cannot be read.
    let folder = crate::cluster::test_data(files);
    let taken = cluster.try_hospital(&["ingest", "--dir", "mercy", folder.to_str().unwrap()]).object();
    let ids: Vec<String> = taken["studies"].as_array().unwrap().iter().map(text).collect();
    assert!(ids.len() > 16);
    let twice = |ids: &[String]| {
        let first = |id: &String| id[..1].to_owned();
        ids.iter().map(first).find(|digit| ids.iter().filter(|id| first(id) == *digit).count() > 1)
    };
    let digit = twice(&ids).unwrap();
    for arguments in [
        ["pickup", "--dir", "mercy", "--study", &digit, "--pin", PIN],
        ["pickup", "--dir", "mercy", "--study", "", "--pin", PIN],
    ] {
        let why = cluster.try_hospital(&arguments).refused().1;
        assert!(why.contains("give more of the id") || why.contains("no such study"), "{why}");
    }
    // The patient 4MR1 has several files and one study; nobody's studies have no number.
    let two: Vec<&String> = ids.iter().filter(|id| id.starts_with(&digit)).take(2).collect();
    for id in &two {
        cluster.pick_up(0, id, "ana");
    }
    let (code, why) = cluster.try_person(&["wallet", "who", "--dir", "ana", &digit]).refused();
    assert_eq!((code.as_str(), why.contains("2 of them begin with")), ("not_found", true), "{why}");
    let who = cluster.person(&["wallet", "who", "--dir", "ana", &two[1].to_uppercase()]);
    assert_eq!((&who["study"], &who["grants"]), (&Value::from(two[1].as_str()), &Value::Array(Vec::new())));
}
