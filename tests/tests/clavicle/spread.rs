//! Several studies granted to somebody who is not there: each at a moment of its own, by whichever start of the wallet, and none twice.

use std::collections::BTreeSet;
use std::time::Duration;

use clavicle_app::{App, SpreadGrants};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::time::HOUR_MS;
use clavicle_letters::code;
use serde_json::{Value, json};

use crate::app::{REQUEST, clock, done, keys, soon};
use crate::cluster::{Cluster, PERSON};
use crate::people::text;
use crate::process::until;
use crate::series::image;

const MERCY: usize = 0;

fn id(text: &str) -> StudyId {
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    StudyId::from_bytes(core::array::from_fn(byte))
}

/// Four hospitals, a patient with three studies, and a recipient.
fn world() -> (Cluster, [String; 3]) {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    let studies = [1, 2, 3].map(|number| {
        let folder = format!("images{number}");
        image(&cluster, &folder, (number, 1), 1);
        let study = cluster.ingest(MERCY, &folder);
        cluster.pick_up(MERCY, &study, "ana");
        study
    });
    (cluster, studies)
}

/// Plans all of them, of which one is granted at once, and closes the wallet.
async fn plan(cluster: &Cluster, studies: &[String; 3], over_ms: u64) -> usize {
    let card = cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", "3"]);
    let ana = soon(App::open_patient(&cluster.path("ana"), keys(), clock)).await.unwrap();
    let command = SpreadGrants {
        studies: studies.iter().map(|study| id(study)).collect(),
        card: code::from_text(&text(&card["code"])).unwrap(),
        request: REQUEST,
        all_the_same: false,
        over_ms,
    };
    let granted = done(ana.send(command)).await;
    assert!(granted.iter().all(|(_, why)| why.is_none()));
    let planned = ana.subscribe().borrow().planned.len();
    assert!(!granted.is_empty() && granted.len() + planned == 3, "{} and {planned}", granted.len());
    ana.close().await;
    planned
}

fn lot(cluster: &Cluster) -> Value {
    cluster.person(&["recipient", "inbox", "--dir", "rossi"])["lots"][0].clone()
}

#[tokio::test]
async fn each_comes_at_its_moment_and_none_twice_however_often_the_wallet_is_killed() {
    let (cluster, studies) = world();
    plan(&cluster, &studies, 4_000).await;
    // The recipient reads what is still to come.
    let said = lot(&cluster);
    assert!(said["have"].as_u64() >= Some(1) && said["of"] == 3, "{said}");
    // Whatever the wallet is opened for, it goes on with the rest.
    for ms in [300, 450, 500, 550, 600, 650, 700, 800, 900, 1_000] {
        let mut doing = cluster.begin(PERSON, &["wallet", "grants", "--dir", "ana"]);
        doing.runs_for(Duration::from_millis(ms));
        drop(doing.kill());
    }
    let grants = || cluster.person(&["wallet", "grants", "--dir", "ana"]);
    let all = until(grants, |all| all["planned"] == json!([]));
    let rows = all["grants"].as_array().unwrap();
    let of: BTreeSet<String> = rows.iter().map(|row| text(&row["study"])).collect();
    assert_eq!((rows.len(), of), (3, studies.iter().cloned().collect()), "{all}");
    let mut given = BTreeSet::new();
    for study in &studies {
        let who = cluster.person(&["wallet", "who", "--dir", "ana", study]);
        assert_eq!(who["grants"].as_array().map(Vec::len), Some(1), "{who}");
        given.insert(text(&who["grants"][0]["grantee"]));
    }
    assert_eq!(given.len(), 3, "no key stands on two studies");
    let inbox = until(
        || cluster.person(&["recipient", "inbox", "--dir", "rossi"]),
        |inbox| inbox["granted"].as_array().map(Vec::len) == Some(3),
    );
    assert_eq!(inbox["lots"][0]["have"], 3, "{inbox}");
}

#[tokio::test]
async fn whoever_is_shut_out_gets_nothing_of_the_rest() {
    let (cluster, studies) = world();
    let planned = plan(&cluster, &studies, 10 * HOUR_MS).await;
    let waits = cluster.person(&["wallet", "--dir", "ana"]);
    let kinds: Vec<&Value> = waits["waits"].as_array().unwrap().iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "planned").count(), planned, "{waits}");
    let ended = cluster.person(&["wallet", "revoke", "--dir", "ana", "--person", "Dr rossi"]);
    assert_eq!((&ended["stopped"], &ended["ended"]), (&json!(planned), &json!(3 - planned)), "{ended}");
    let grants = cluster.person(&["wallet", "grants", "--dir", "ana"]);
    assert_eq!(grants["planned"], json!([]), "{grants}");
    for study in &studies {
        let who = cluster.person(&["wallet", "who", "--dir", "ana", study]);
        assert_eq!(who["grants"], json!([]), "{who}");
    }
    // Nobody has seen anything of it: nothing of it is on the ledger.
    let events = studies
        .iter()
        .map(|study| cluster.person(&["wallet", "who", "--dir", "ana", study])["events"].as_u64().unwrap());
    assert_eq!(events.sum::<u64>(), 3 + 2 * (3 - planned as u64));
}
