//! Another user of the machine read a PIN, a Patient ID and a pickup code in the list of processes; and a wallet was made with a passphrase of one letter.

use std::fs::{self, File};
use std::process::Stdio;

use crate::cluster::{Cluster, HOSPITALS, PERSON, brain};
use crate::people::{PIN, text};
use crate::process::program;

#[test]
fn a_pin_and_a_patients_id_are_given_where_nobody_else_reads_them() {
    let cluster = Cluster::running();
    brain(&cluster, "images", 1..=1);
    cluster.ingest(0, "images");
    for (name, content) in [("pin", PIN), ("patient", "123565\n"), ("code", "")] {
        fs::write(cluster.path(name), content).unwrap();
    }
    let said = |arguments: &[&str]| {
        let said = cluster.try_hospital(&[&["pickup", "--dir", HOSPITALS[0]], arguments].concat());
        (text(&said.done()["code"]), said.stderr)
    };
    // As an argument it is still taken, and whoever gives it is told what that means.
    let (_, warned) = said(&["--patient", "123565", "--pin", PIN, "--unseen"]);
    for argument in ["--patient", "--pin"] {
        assert!(warned.contains(&format!("everybody on this machine can read {argument} in the list")), "{warned}");
    }
    let (code, warned) = said(&["--patient-file", "patient", "--pin-file", "pin", "--unseen"]);
    assert_eq!(warned, "");
    let two = cluster.try_hospital(&["pickup", "--dir", HOSPITALS[0], "--patient", "1", "--accession-file", "pin"]);
    assert_eq!(two.code, Some(2), "{two:?}");

    cluster.patient("ana");
    let pickup = |answer: &[&str]| cluster.try_person(&[&["wallet", "pickup", "--dir", "ana", &code], answer].concat());
    for answer in [&[][..], &["--birth-date", "1953-01-17"], &["--pin-file", "nowhere"]] {
        let said = pickup(answer);
        assert_eq!(said.refused().0, "answer", "{said:?}");
    }
    let wrong = pickup(&["--pin", "0000"]);
    assert!(
        wrong.refused().0 == "pickup" && wrong.stderr.contains("can read --pin in the list of processes"),
        "{wrong:?}"
    );
    // The code opens a visit with that PIN: it is a secret as well, and no less where it is typed in.
    assert!(wrong.stderr.contains("can read the code in the list of processes"), "{wrong:?}");
    fs::write(cluster.path("code"), &code).unwrap();
    let given = |code: &str| {
        let mut command = program(PERSON, cluster.folder());
        command.args(["--json", "wallet", "pickup", "--dir", "ana", code, "--pin-file", "pin"]);
        let output = command.stdin(File::open(cluster.path("code")).unwrap()).stdout(Stdio::piped()).output().unwrap();
        let (said, warned) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success() && !warned.contains("list of processes"), "{code}: {said}{warned}");
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["studies"].as_array().unwrap().len()
    };
    assert_eq!(["code", "/dev/fd/0", "-"].map(given), [1, 1, 1]);

    fs::write(cluster.path("letter"), "a\n").unwrap();
    let init = ["wallet", "init", "--dir", "eve", "--network", "network.json", "--passphrase-file", "letter"];
    let (code, why) = cluster.try_person(&init).refused();
    assert!(code == "passphrase" && why.contains("take four words"), "{why}");
    assert!(!cluster.path("eve").exists());
}
