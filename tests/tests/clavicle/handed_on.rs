//! A study that was granted goes on into the recipient's own archive, and onto a medium, without lying about as files in between.

use std::fs;
use std::io::Cursor;
use std::time::Instant;

use clavicle_ledger::action::{NewStatus, SetStatus};
use clavicle_ledger::encoding::from_hex;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::study::Reason;
use clavicle_ledger::time::HOUR_MS;
use clavicle_ledger::transaction::{Action, Body};
use clavicle_network::file as network_file;
use clavicle_network::message::{Request, Response, Verdict};
use clavicle_network::swarm::Client;
use clavicle_relay::keys::Keys;
use clavicle_sandbox::Inspected;
use serde_json::Value;

use crate::adversary::now;
use crate::cluster::{Cluster, brain, files_in, slice};
use crate::orthanc::Orthanc;
use crate::process::PATIENCE;

/// What each instance is, however an archive writes it: its UID, and the digests of its data set and its pixels.
fn content(files: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    let said = |bytes: Vec<u8>| {
        let seen = Inspected::read(Cursor::new(&bytes), bytes.len() as u64).unwrap();
        let dataset = seen.dataset.map(|dataset| dataset.digest);
        format!("{} {dataset:?} {:?}", seen.facts.sop_instance_uid, seen.pixels)
    };
    let mut all: Vec<String> = files.into_iter().map(said).collect();
    all.sort();
    all
}

/// Tells the second hospital, in the name of the first, that a study may be another patient's.
fn suspend(cluster: &Cluster, study: &str) {
    let genesis = network_file::read_genesis(&cluster.path("network.json")).unwrap();
    let keys = |n: usize| Keys::read(&cluster.home(n).keys_folder()).unwrap();
    let [mercy, stluke] = [0, 1].map(keys);
    let status = NewStatus::Suspended(Reason::WrongPatient);
    let study = StudyId::from_bytes(from_hex(study).unwrap().try_into().unwrap());
    let action = Action::SetStatus(SetStatus { study, source: mercy.operational.public(), number: 1, status });
    let body = Body { submit_by: now().0.plus(HOUR_MS), nonce: [1; 16], action };
    let envelope = body.sign(&genesis.chain_id(), &[&mercy.operational]).unwrap();
    let source = genesis.sources.find(&stluke.identity.public()).unwrap();
    let at: Vec<String> = source.announcement.addresses.libp2p.iter().map(ToString::to_string).collect();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut asked = Client::connect(genesis.chain_id(), &stluke.network.public(), &at, PATIENCE).await.unwrap();
        let answer = asked.ask(Request::Submit(Box::new(envelope))).await.unwrap();
        assert!(matches!(answer, Response::Verdict(Verdict::Waits | Verdict::Executed(_))), "{answer:?}");
    });
}

#[test]
fn a_study_that_was_granted_is_pushed_into_an_archive_as_it_was_ingested() {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    brain(&cluster, "files", 1..=3);
    fs::write(cluster.path("report.txt"), "No acute finding.\n").unwrap();
    let taken = cluster.hospital(&["ingest", "--dir", "mercy", "files", "--report", "report.txt"]);
    let study = taken["studies"][0].as_str().unwrap();
    cluster.pick_up(0, study, "ana");
    cluster.grant("ana", study, &cluster.card("rossi"));
    cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    let orthanc = Orthanc::start();
    let to = format!("ORTHANC@127.0.0.1:{}", orthanc.dicom);
    let push = |cluster: &Cluster| {
        let pushed = cluster.person(&["recipient", "push", "--dir", "rossi", study, "--to", &to, "--as-sent"]);
        assert_eq!(
            (pushed["not_asked"].clone(), pushed["accounting"]["rest"].as_array().unwrap().len()),
            (Value::Null, 0)
        );
        assert_eq!(pushed["reports"], 1, "{pushed}");
        pushed["stored"].as_u64().unwrap() - 1
    };
    let opened = |cluster: &Cluster| {
        let who = cluster.person(&["wallet", "who", "--dir", "ana", study]);
        who["looked"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|look| look["what"] == "opened" && look["name"] == "Dr rossi")
            .count()
    };
    // The report is there as well, as a structured one.
    let is_report = |file: &Vec<u8>| file.windows(29).any(|some| some == b"1.2.840.10008.5.1.4.1.1.88.11");
    let there = |orthanc: &Orthanc| {
        let (reports, images): (Vec<_>, Vec<_>) = orthanc.files().into_iter().partition(is_report);
        assert_eq!(reports.len(), 1);
        content(images)
    };
    let ingested = |last: usize| content((1..=last).map(|number| slice(number).1));
    // Nothing was fetched before.
    assert_eq!(push(&cluster), 3);
    assert_eq!(there(&orthanc), ingested(3));
    assert_eq!(opened(&cluster), 1);

    // An image comes later: what is pushed then is the study as the ledger has it.
    brain(&cluster, "later", 4..=4);
    assert_eq!(cluster.ingest(0, "later"), study);
    let until = Instant::now() + PATIENCE;
    while cluster.person(&["wallet", "who", "--dir", "ana", study])["events"].as_u64() < Some(3) {
        assert!(Instant::now() < until, "the revision is not on the ledger");
    }
    assert_eq!(push(&cluster), 4);
    assert_eq!(there(&orthanc), ingested(4));
    assert_eq!(opened(&cluster), 2);

    // What is up to date is not fetched again: the hospital need not even be there.
    cluster.kill(0);
    assert_eq!(push(&cluster), 4);
    let written = cluster.person(&["recipient", "export", "--dir", "rossi", study, "--out", "cd"]);
    assert_eq!((written["instances"].as_u64(), written["reports"].as_u64()), (Some(4), Some(1)), "{written}");
    let images = files_in(&cluster.path("cd/ST000001")).into_iter().map(|path| fs::read(path).unwrap());
    assert_eq!(content(images), ingested(4));
    assert!(cluster.path("cd/DICOMDIR").exists());

    // What the hospital wants nobody to use any more goes into no archive.
    suspend(&cluster, study);
    let until = Instant::now() + PATIENCE;
    let (code, why) = loop {
        let said = cluster.try_person(&["recipient", "push", "--dir", "rossi", study, "--to", &to, "--as-sent"]);
        if said.code != Some(0) {
            break said.refused();
        }
        assert!(Instant::now() < until, "the suspension is not on the ledger");
    };
    assert!(code == "study" && why.contains("the hospital has suspended the study"), "{why}");

    // In the wallet it lies sealed.
    for path in files_in(&cluster.path("rossi")) {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(4).any(|four| four == b"DICM"), "{}", path.display());
    }
}
