//! A phone is lost, and the words are not: the studies, their images and who may see them come back from the network alone.

use std::collections::BTreeSet;
use std::fs;

use clavicle_wallet::patient::Patient;
use clavicle_wallet::vault::Passphrase;
use serde_json::Value;

use crate::adversary::now;
use crate::cluster::{Cluster, files_in};
use crate::image::Image;
use crate::people::{PIN, text};

const MERCY: usize = 0;
const NORTH: usize = 2;

/// Puts a study of two images into a folder, and into a hospital's archive.
fn study(cluster: &Cluster, n: usize, number: u32) -> String {
    let folder = cluster.path(&format!("study {number}"));
    fs::create_dir(&folder).unwrap();
    for image in 1..=2 {
        let file = Image {
            study: number,
            series: 1,
            number: image,
            patient: "A1",
            born: "19530117",
            accession: "A1",
            pixels: 2_000,
        };
        fs::write(folder.join(format!("{image}.dcm")), file.file()).unwrap();
    }
    cluster.ingest(n, &format!("study {number}"))
}

fn restore(cluster: &Cluster, dir: &str) -> Value {
    cluster.person(&["wallet", "restore", "--dir", dir, "--network", "network.json", "--words-file", "words"])
}

/// The studies of a wallet by id.
fn studies(cluster: &Cluster, dir: &str) -> BTreeSet<String> {
    let said = cluster.person(&["wallet", "studies", "--dir", dir]);
    said["studies"].as_array().unwrap().iter().map(|study| text(&study["study"])).collect()
}

/// The keys that hold the studies of a wallet.
fn holders(cluster: &Cluster, dir: &str) -> Vec<[u8; 32]> {
    let passphrase = Passphrase::read(&cluster.path("pw")).unwrap();
    let wallet = Patient::open(&cluster.path(dir), &passphrase, now).unwrap();
    let studies = wallet.studies().unwrap();
    studies.iter().map(|study| *wallet.holder(study).unwrap().public().as_bytes()).collect()
}

/// What is in the files of a folder and of those below.
fn contents(folder: &std::path::Path) -> BTreeSet<Vec<u8>> {
    files_in(folder).iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn everything_comes_back_with_the_words_and_the_network() {
    let mut cluster = Cluster::running();
    let made = cluster.person(&["wallet", "init", "--dir", "ana", "--network", "network.json"]);
    fs::write(cluster.path("words"), text(&made["words"])).unwrap();
    cluster.recipient("rossi");
    let (first, second) = (study(&cluster, MERCY, 1), study(&cluster, NORTH, 2));
    let third = study(&cluster, MERCY, 3);
    cluster.pick_up(MERCY, &first, "ana");
    cluster.pick_up(NORTH, &second, "ana");
    // Somebody else's, which is no concern of ana's.
    cluster.patient("bruno");
    cluster.pick_up(MERCY, &third, "bruno");
    let grant = cluster.grant("ana", &first, &cluster.card("rossi"));
    let other = cluster.grant("ana", &second, &cluster.card("rossi"));
    cluster.person(&["recipient", "inbox", "--dir", "rossi"]);

    // The phone is gone, and one of the hospitals does not answer.
    fs::remove_dir_all(cluster.path("ana")).unwrap();
    cluster.kill(NORTH);
    let partly = cluster.try_person(&[
        "wallet",
        "restore",
        "--dir",
        "new",
        "--network",
        "network.json",
        "--words-file",
        "words",
    ]);
    let (code, why) = partly.refused();
    assert!(code == "not_told" && why.contains("`clavicle wallet find --dir new`"), "{why}");
    let said = partly.object();
    assert_eq!((said["on_ledger"].as_u64(), said["new"].as_u64()), (Some(2), Some(1)), "{said}");
    assert_eq!(said["not_told"].as_u64(), Some(1), "{said}");
    // That it is hers the ledger says; and she need not wait for the hospital to end what she allowed.
    assert_eq!(studies(&cluster, "new"), BTreeSet::from([first.clone(), second.clone()]));
    let (code, _) = cluster
        .try_person(&["wallet", "grant", "--dir", "new", &second, "--to", &cluster.card("rossi"), "--for", "7d"])
        .refused();
    assert_eq!(code, "not_told");
    assert!(cluster.person(&["wallet", "revoke", "--dir", "new", &other[..12]])["height"].is_u64());
    cluster.start(NORTH);
    let next = cluster.highest() + 1;
    cluster.reach(&[0, 1, 2, 3], next);
    let said = cluster.person(&["wallet", "find", "--dir", "new"]);
    assert_eq!((said["new"].as_u64(), said["not_told"].as_u64()), (Some(1), Some(0)), "{said}");
    assert_eq!(studies(&cluster, "new"), BTreeSet::from([first.clone(), second.clone()]));

    // Their images, as they were taken in.
    for (study, came) in [(&first, "study 1"), (&second, "study 2")] {
        let out = format!("out of {came}");
        cluster.person(&["wallet", "fetch", "--dir", "new", study, "--out", &out]);
        let (fetched, taken) = (contents(&cluster.path(&out)), contents(&cluster.path(came)));
        assert!(taken.is_subset(&fetched), "{came}");
    }

    // Who may see them, and the end of it.
    let who = cluster.person(&["wallet", "who", "--dir", "new", &first]);
    assert_eq!(who["grants"][0]["grant"].as_str(), Some(&*grant), "{who}");
    let revoked = cluster.person(&["wallet", "revoke", "--dir", "new", &grant[..12]]);
    assert!(revoked["receipt"].is_string() && revoked["height"].is_u64(), "{revoked}");
    let again = cluster.person(&["wallet", "revoke", "--dir", "new", &grant[..12]]);
    assert_eq!(again["height"], revoked["height"]);
    let who = cluster.person(&["wallet", "who", "--dir", "new", &first]);
    assert_eq!(who["grants"], Value::Array(Vec::new()), "{who}");
    cluster.try_person(&["recipient", "fetch", "--dir", "rossi", &grant[..12], "--out", "rossi's"]).refused();

    // The hospital hands it out once more: it has its holder, and whether that is she the hospital does not ask.
    let code = cluster.issue(MERCY, &first);
    let again = cluster.try_person(&["wallet", "pickup", "--dir", "new", &code, "--pin", PIN]);
    let (code, why) = again.refused();
    assert!(code == "pickup" && why.contains("has a holder already"), "{why}");
}

#[test]
fn two_wallets_of_the_same_words_never_use_the_same_key_and_find_what_the_other_picked_up() {
    let cluster = Cluster::running();
    let made = cluster.person(&["wallet", "init", "--dir", "ana", "--network", "network.json"]);
    fs::write(cluster.path("words"), text(&made["words"])).unwrap();
    let all: Vec<String> = (1..=4).map(|number| study(&cluster, MERCY, number)).collect();
    cluster.pick_up(MERCY, &all[0], "ana");
    // Restored at the same time: neither can know of the other.
    assert_eq!(restore(&cluster, "tablet")["on_ledger"].as_u64(), Some(1));
    assert_eq!(restore(&cluster, "laptop")["on_ledger"].as_u64(), Some(1));
    cluster.pick_up(MERCY, &all[1], "tablet");
    cluster.pick_up(MERCY, &all[2], "laptop");
    cluster.pick_up(MERCY, &all[3], "ana");

    for dir in ["ana", "tablet", "laptop"] {
        cluster.person(&["wallet", "find", "--dir", dir]);
        assert_eq!(studies(&cluster, dir), all.iter().cloned().collect(), "{dir}");
    }
    let keys = holders(&cluster, "laptop");
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 4, "a key of their own for each");
    assert_eq!(holders(&cluster, "ana"), keys);
    // Of the wallet that was there all along, too, and each of them may grant what another picked up.
    cluster.recipient("rossi");
    let grant = cluster.grant("tablet", &all[3], &cluster.card("rossi"));
    cluster.person(&["wallet", "revoke", "--dir", "laptop", &grant]);
}

#[test]
fn words_that_are_none_and_a_network_that_is_away_make_no_wallet() {
    let cluster = Cluster::made();
    fs::write(cluster.path("words"), "abandon ".repeat(24)).unwrap();
    let arguments = ["wallet", "restore", "--dir", "ana", "--network", "network.json", "--words-file", "words"];
    let (code, said) = cluster.try_person(&arguments).refused();
    assert_eq!(code, "words", "{said}");
    assert!(said.contains("one is wrong or two are swapped"), "{said}");
    fs::write(cluster.path("words"), format!("{}art", "abandon ".repeat(23))).unwrap();
    let (code, said) = cluster.try_person(&arguments).refused();
    assert_eq!(code, "unreachable", "{said}");
    assert!(!cluster.path("ana").exists());
}
