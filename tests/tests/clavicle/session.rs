//! The whole session as people type it: its lines are given to a shell as they stand, but for ids.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::{
    Cluster, HOSPITAL, PERSON, brain, files_in, in_another_study, slice, test_data, with, with_accession,
};
use crate::people::{PIN, text};
use crate::process::{Doing, PATIENCE, Said, program};

/// A shell in a folder, where the two programs have their own names.
struct Shell {
    cluster: Cluster,
    path: String,
    /// What was left running.
    running: Vec<String>,
}

impl Shell {
    fn new() -> Self {
        let cluster = Cluster::empty();
        let bin = cluster.path("bin");
        fs::create_dir(&bin).unwrap();
        symlink(HOSPITAL, bin.join("clavicle-relay")).unwrap();
        symlink(PERSON, bin.join("clavicle")).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Self { cluster, path, running: Vec::new() }
    }

    fn run(&self, line: &str) -> Said {
        let mut command = program("bash", self.cluster.folder());
        command.env("PATH", &self.path).arg("-c").arg(line);
        Doing::start(command).ended()
    }

    /// What a line says when all of it does what it should.
    #[track_caller]
    fn says(&self, line: &str) -> String {
        let said = self.run(&format!("set -e\n{line}"));
        assert_eq!(said.code, Some(0), "{said:?}");
        said.stdout
    }

    /// The same for a program.
    #[track_caller]
    fn answers(&self, line: &str) -> Value {
        self.run(&format!("{line} --json")).done()
    }

    /// Runs a line that leaves relays running, and waits until all of them answer and have a block.
    #[track_caller]
    fn leaves_running(&mut self, line: &str) {
        let pids = self.says(&format!("{{\n{line}\n}} > relays.log 2>&1\njobs -p"));
        self.running = pids.lines().map(str::to_owned).collect();
        assert_eq!(self.running.len(), 4);
        let end = Instant::now() + PATIENCE;
        while !(0..4).all(|n| self.cluster.height(n) > Some(0)) {
            let log = || fs::read_to_string(self.cluster.path("relays.log")).unwrap();
            assert!(Instant::now() < end, "{}", log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for pid in &self.running {
            Command::new("kill").args(["-9", pid]).status().ok();
        }
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.cluster.path("relays.log")).unwrap_or_default());
        }
    }
}

/// All of these are somewhere in what was said.
#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

#[test]
fn the_whole_session_works_as_people_type_it() {
    let mut shell = Shell::new();
    let dicom = shell.cluster.path("path/to/dicom");
    fs::create_dir_all(&dicom).unwrap();
    for number in 1..=20 {
        let (name, bytes) = slice(number);
        let bytes = with_accession(&bytes, "A123");
        fs::write(dicom.join(name), bytes).unwrap();
    }
    fs::write(shell.cluster.path("report.txt"), "No acute finding.\n").unwrap();

    shell.says(
        r#"for h in mercy stluke north harbor; do clavicle-relay init --dir $h --name "$h hospital"; done      # keys, relay.toml, source.json"#,
    );
    let said = shell.says("clavicle-relay genesis --out network.json {mercy,stluke,north,harbor}/source.json");
    assert_says(&said, &["a new network of 4 hospitals", "while at most 1 of them fail"]);
    shell.leaves_running(
        "for h in mercy stluke north harbor; do clavicle-relay run --dir $h --network network.json & done",
    );
    let said = shell.says(
        "clavicle-relay ingest --dir mercy path/to/dicom/ --report report.txt        # studies, instances, quarantined",
    );
    assert_says(&said, &["1 study (1 new, 0 grown), 20 instances", "20 of 20 files taken"]);
    let said = shell.says("clavicle-relay pickup --dir mercy --accession A123 --pin 4711 --png pickup.png");
    assert_says(&said, &["a pickup for 1 study, good for 72 hours; asks for the PIN", "the code is in pickup.png"]);

    let said = shell.says("clavicle wallet init --dir ana --network network.json --passphrase-file pw");
    assert_says(&said, &["a new wallet in ana", " 1 ", "24 "]);
    let said = shell.says("clavicle wallet pickup --dir ana pickup.png --pin 4711");
    assert_says(&said, &["20 instances in   1 series  BRAIN", "1 of 1 study is yours by this code, final after"]);
    let said = shell.says("clavicle wallet studies --dir ana");
    assert_says(&said, &["20 instances", "1 study"]);
    let studies = shell.answers("clavicle wallet studies --dir ana");
    let study = text(&studies["studies"][0]["study"]);

    let line = "clavicle wallet studies --dir ana ; clavicle wallet view --dir ana STUDY --png mine.png";
    let said = shell.says(&line.replace("STUDY", &study[..12]));
    assert_says(
        &said,
        &["1 study", "MR      20 instances", "No acute finding.", "written to mine.png. Not for diagnosis"],
    );
    assert_eq!(&fs::read(shell.cluster.path("mine.png")).unwrap()[1..4], b"PNG");

    let said = shell.says(r#"clavicle recipient init --dir rossi --network network.json --name "Dr Rossi""#);
    assert_says(&said, &["a new recipient in rossi"]);
    let said = shell.says("clavicle recipient card --dir rossi --png card.png");
    assert_says(
        &said,
        &["a card of “Dr Rossi” (unverified: nobody vouches for this name), for 1 study", "it is in card.png"],
    );
    let line =
        "clavicle wallet grant --dir ana STUDY --to card.png --for 7d --purpose treatment    # returns when final";
    let said = shell.says(&line.replace("STUDY", &study[..12]));
    assert_says(
        &said,
        &["granted to “Dr Rossi” (unverified: nobody vouches for this name)", "final at height", "and delivered"],
    );
    let said = shell.says(
        "clavicle recipient inbox --dir rossi ; clavicle recipient fetch --dir rossi --out images/   # verified; 214 of 214",
    );
    assert_says(&said, &["1 study was granted, 1 of them new", "20 of 20 instances as signed", "verified; 5.1 MB"]);
    for number in 1..=20 {
        let (name, _) = slice(number);
        let sent = fs::read(dicom.join(name)).unwrap();
        assert!(files(&shell.cluster, "images").contains(&sent), "slice {number} did not arrive as it was");
    }
    assert!(files(&shell.cluster, "images").contains(&b"No acute finding.\n".to_vec()));

    let line = "clavicle wallet who --dir ana STUDY            # who has access; who looked, when, with proofs";
    let said = shell.says(&line.replace("STUDY", &study[..12]));
    assert_says(
        &said,
        &[
            "“Dr Rossi” (unverified: nobody vouches for this name) until",
            "  treatment",
            "nobody else; proven at height",
            "2 transactions so far",
        ],
    );
    let looked = [
        "who looked, as the hospital wrote it down:",
        "“Dr Rossi” (unverified: nobody vouches for this name) opened it for treatment",
        "signed by both",
        "finished: 21 items",
    ];
    assert_says(&said, &looked);
    let who = shell.answers(&format!("clavicle wallet who --dir ana {study}"));
    let grant = text(&who["grants"][0]["grant"]);
    let said = shell.says(&"clavicle wallet revoke --dir ana GRANT".replace("GRANT", &grant[..12]));
    assert_says(
        &said,
        &["revoked: “Dr Rossi” (unverified: nobody vouches for this name) can no longer fetch; final at height"],
    );
    let line = "clavicle recipient fetch --dir rossi --out again/    # refused; says why, locally";
    let refused = shell.run(line);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_says(
        &refused.stderr,
        &["error: it was revoked, replaced, or has ended: the ledger does not have it any more"],
    );
    assert!(!shell.cluster.path("again").exists());
    let who = shell.answers(&format!("clavicle wallet who --dir ana {study}"));
    assert_eq!((who["grants"].as_array().unwrap().len(), who["events"].as_u64()), (0, Some(3)), "{who}");

    let said = shell.says("clavicle-relay status --dir mercy");
    assert_says(&said, &["mercy hospital in the network clavicle", "4, this hospital among them"]);
    let said = shell.says("clavicle-relay validators --dir mercy");
    assert_says(&said, &["mercy hospital  ← this one", "harbor hospital"]);
}

/// The bytes of all files in a folder.
fn files(cluster: &Cluster, folder: &str) -> Vec<Vec<u8>> {
    files_in(&cluster.path(folder)).iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn real_files_are_picked_up_by_study_by_accession_number_and_by_date_of_birth() {
    let cluster = Cluster::running();
    let pydicom = |name: &str| test_data("pydicom-3.0.2/pydicom/data/test_files").join(name);
    brain(&cluster, "visits", 1..=2);
    let real = ["examples_overlay.dcm", "waveform_ecg.dcm", "CT_small.dcm", "rtplan_truncated.dcm"];
    for name in real {
        fs::copy(pydicom(name), cluster.path("visits").join(name)).unwrap();
    }
    cluster.patient("ana");
    cluster.recipient("rossi");
    let said = cluster.try_hospital(&["ingest", "--dir", "mercy", "visits"]);
    // One of them was cut off, and is named.
    assert_eq!(said.refused().0, "not_taken");
    let taken = said.object();
    assert_eq!((taken["studies"].as_array().unwrap().len(), &taken["new"]), (4, &Value::from(4)), "{taken}");
    assert_eq!((&taken["accounting"]["given"], &taken["accounting"]["taken"]), (&6.into(), &5.into()), "{taken}");
    let listed = cluster.hospital(&["studies", "--dir", "mercy"]);
    let of = |modality: &str, instances: u64| {
        let mut rows = listed["studies"].as_array().unwrap().iter();
        let row = rows.find(|row| row["modalities"] == modality && row["instances"] == instances);
        text(&row.unwrap_or_else(|| panic!("{listed}"))["study"])
    };
    let pick_up = |request: &[&str], answer: &[&str], study: &str| {
        let code = text(&cluster.hospital(&[&["pickup", "--dir", "mercy"], request].concat())["code"]);
        let taken = cluster.person(&[&["wallet", "pickup", "--dir", "ana", &code], answer].concat());
        assert_eq!((&taken["studies"][0]["study"], &taken["studies"][1]), (&Value::from(study), &Value::Null));
    };
    let (brain, ecg, knee) = (of("MR", 2), of("ECG", 1), of("MR", 1));
    pick_up(&["--study", &brain[..16], "--pin", "4711"], &["--pin", " 4711 "], &brain);
    pick_up(&["--accession", "8000000000330109", "--pin", "0000"], &["--pin", "0000"], &knee);
    // A Patient ID is one digit away from another person's: the desk is shown whose it is before there is a code.
    let asked = ["pickup", "--dir", "mercy", "--patient", "642341"];
    let shown = cluster.try_hospital(&asked);
    let (code, why) = shown.refused();
    assert!(code == "confirm" && why.contains("no code was given out"), "{why}");
    let shown = shown.object();
    assert_eq!((&shown["patient"]["id"], &shown["code"]), (&Value::from("642341"), &Value::Null), "{shown}");
    assert_eq!(
        (&shown["listed"][0]["study"], &shown["listed"][1]),
        (&Value::from(ecg.as_str()), &Value::Null),
        "{shown}"
    );
    assert_eq!(shown["patient"]["birth_date"], "1971-01-23", "{shown}");
    let digest = text(&shown["digest"]);
    let (code, why) = cluster.try_hospital(&[&asked[..], &["--confirm", "000000000000"]].concat()).refused();
    assert!(code == "confirm" && why.contains("is not 000000000000"), "{why}");
    pick_up(&["--patient", "642341", "--confirm", &digest], &["--birth-date", "1971-01-23"], &ecg);
    // The patient sees whom each is about, and so does whoever is granted it.
    let named = cluster.person(&["wallet", "studies", "--dir", "ana"]);
    let about = |rows: &Value, study: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["study"] == study).unwrap().clone();
        (row["about"]["name"].clone(), row["about"]["birth_date"].clone())
    };
    let ecgs = about(&named["studies"], &ecg);
    assert_eq!((&ecgs.0, &ecgs.1), (&shown["patient"]["name"], &"1971-01-23".into()), "{named}");

    // One card for all three, and one fetch.
    let card = text(&cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", "3"])["code"]);
    for study in [&brain, &ecg, &knee] {
        cluster.grant("ana", study, &card);
    }
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    assert_eq!(about(&inbox["granted"], &ecg), ecgs, "{inbox}");
    let fetched = cluster.person(&["recipient", "fetch", "--dir", "rossi", "--out", "images"]);
    assert_eq!(fetched["fetched"].as_array().unwrap().len(), 3, "{fetched}");
    let viewed = cluster.person(&["recipient", "view", "--dir", "rossi", &ecg]);
    assert_eq!((&viewed["about"]["name"], &viewed["about"]["id"]), (&ecgs.0, &"642341".into()), "{viewed}");
    let arrived = files(&cluster, "images");
    assert_eq!(arrived.len(), 4);
    for name in ["brain_001.dcm", "brain_002.dcm", "examples_overlay.dcm", "waveform_ecg.dcm"] {
        let sent = fs::read(cluster.path("visits").join(name)).unwrap();
        assert!(arrived.contains(&sent), "{name} did not arrive as it was");
    }
    // The patient's own copy, without any grant.
    let own = cluster.person(&["wallet", "fetch", "--dir", "ana", &ecg, "--out", "own"]);
    assert_eq!((&own["fetched"][0]["intact"], &own["fetched"][0]["before"]), (&Value::from(1), &Value::from(0)));
}

#[test]
fn a_number_that_two_patients_share_gives_neither_the_others_study() {
    let cluster = Cluster::running();
    let (_, bytes) = slice(2);
    let mine = with_accession(&bytes, "A123");
    let theirs = with(&in_another_study(&mine, 1), b"123565", b"123566");
    let without = in_another_study(&bytes, 2);
    for (folder, bytes) in [("mine", mine), ("theirs", theirs), ("without", without)] {
        fs::create_dir(cluster.path(folder)).unwrap();
        fs::write(cluster.path(folder).join("one.dcm"), bytes).unwrap();
    }
    cluster.patient("ana");
    let study = cluster.ingest(0, "mine");
    let issue =
        |visit: [&str; 2]| cluster.try_hospital(&["pickup", "--dir", "mercy", visit[0], visit[1], "--pin", PIN]);
    let early = text(&issue(["--accession", "A123"]).done()["code"]);
    // While the code lies on the patient's table, the number comes again.
    cluster.ingest(0, "theirs");
    let (code, why) = cluster.try_person(&["wallet", "pickup", "--dir", "ana", &early, "--pin", PIN]).refused();
    assert_eq!(code, "pickup", "{why}");
    let (code, why) = issue(["--accession", "A123"]).refused();
    assert!(code == "pickup" && why.contains("more than one patient"), "{why}");
    // No number is no number that several have.
    cluster.ingest(0, "without");
    for visit in ["--accession", "--patient", "--study"] {
        for nothing in ["", " "] {
            let (code, why) = issue([visit, nothing]).refused();
            assert_eq!(code, "pickup", "{visit}: {why}");
        }
    }
    cluster.pick_up(0, &study, "ana");
}
