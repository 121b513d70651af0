//! Receipts from end to end: a revocation's comes back at once, all are anchored, survive a kill, and are believed by a wallet that asks others.

use std::fs;

use clavicle_ledger::encoding;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::receipt::{Entry, SignedReceipt, Statement};
use clavicle_network::file as network_file;
use clavicle_relay::keys::Keys;
use clavicle_relay::store::receipts::ReceiptSigner;
use clavicle_relay::store::{ChainStore, Receipts};
use clavicle_wallet::WalletError;
use clavicle_wallet::patient::Patient;
use clavicle_wallet::vault::Passphrase;
use serde_json::Value;

use crate::adversary::now;
use crate::cluster::{Cluster, brain};
use crate::process::until;

const MERCY: usize = 0;

/// What mercy's operator sees, once it `is` so.
fn audit(cluster: &Cluster, study: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(|| cluster.hospital(&["audit", "--dir", "mercy", "--study", study]), is)
}

#[test]
fn a_revocation_has_a_receipt_that_is_anchored_kept_and_believed() {
    let mut cluster = Cluster::made();
    let settings = cluster.home(MERCY).settings_file();
    let text = fs::read_to_string(&settings).unwrap();
    let often = text.replace("anchor_every_seconds = 600", "anchor_every_seconds = 1");
    assert_ne!(often, text);
    fs::write(&settings, often).unwrap();
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], 1);
    brain(&cluster, "images", 1..=2);
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    let grant = cluster.grant("ana", &study, &cluster.card("rossi"));

    // The receipt comes back with the revocation, and it is what the source keeps.
    let revoked = cluster.person(&["wallet", "revoke", "--dir", "ana", &grant[..12]]);
    let hex = revoked["receipt"].as_str().unwrap_or_else(|| panic!("{revoked}"));
    let receipt: SignedReceipt = encoding::decode(&encoding::from_hex(hex).unwrap()).unwrap();
    assert_eq!(revoked["stopped_ms"].as_u64(), Some(receipt.receipt.at.0));
    let said = audit(&cluster, &study[..12], |said| {
        said["rows"].as_array().unwrap().iter().all(|row| row["anchored_at"].is_u64())
    });
    let rows = said["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["what"] == "revoked").unwrap_or_else(|| panic!("{said}"));
    assert_eq!((row["grant"].as_str(), row["at_ms"].as_u64()), (Some(&*grant), Some(receipt.receipt.at.0)));
    assert_eq!(said["faults"], Value::Array(Vec::new()), "{said}");

    // The same without the relay, after a kill.
    cluster.kill(MERCY);
    assert_eq!(audit(&cluster, &study[..12], |_| true), said);

    // A wallet believes it by what the other hospitals say of the chain, and by nothing that mercy says.
    let genesis = network_file::read_genesis(&cluster.path("network.json")).unwrap();
    let home = cluster.home(MERCY);
    let keys = Keys::read(&home.keys_folder()).unwrap();
    let (chain, source) = (genesis.chain_id(), SourceId::of_identity(&genesis.chain_id(), &keys.identity.public()));
    let signer = ReceiptSigner { chain, source, key: keys.operational };
    let receipts = Receipts::open(&home.receipts_file(), signer).unwrap();
    let store = ChainStore::open(&home.chain_file(), &genesis).unwrap();
    let passphrase = Passphrase::read(&cluster.path("pw")).unwrap();
    let mut ana = Patient::open(&cluster.path("ana"), &passphrase, now).unwrap();
    let own = ana.study(&study).unwrap();
    let from = ana.receipts_from(&own).unwrap();
    assert_eq!(from, 0);
    let statement = receipts.statement(own.id, from, |hash| store.inclusion(hash)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut take = |statement: &Statement| runtime.block_on(ana.take_statement(&own, statement));
    let mut forged = statement.clone();
    forged.anchors = clavicle_ledger::encoding::Ascending::from_items(
        forged
            .anchors
            .iter()
            .map(|anchor| {
                let mut anchor = anchor.clone();
                anchor.header.header.round += 1;
                anchor
            })
            .collect(),
    )
    .unwrap();
    assert!(take(&forged).is_err());
    assert!(!take(&statement).unwrap());
    assert!(!take(&statement).unwrap(), "what is known is shown again");
    // Another story, signed as well as the first.
    let mut other = statement.receipts[0].receipt.receipt.clone();
    other.blinding = [9; 32];
    let other = other.sign(&chain, &receipts.signer().key);
    let stated = clavicle_ledger::receipt::Stated { receipt: other, anchored: None };
    let rewritten = Statement {
        receipts: clavicle_ledger::encoding::Ascending::from_items(vec![stated]).unwrap(),
        anchors: clavicle_ledger::encoding::Ascending::new(),
        more: true,
    };
    assert!(matches!(take(&rewritten), Err(WalletError::ReceiptsChanged(0))));
    let looks = ana.looks(&own).unwrap();
    let last = looks.iter().find(|look| matches!(look.receipt.receipt.entry, Entry::RevocationSeen { .. })).unwrap();
    assert_eq!((&last.receipt, last.name.as_deref()), (&receipt, Some("Dr rossi")));
    assert!(looks.iter().all(|look| look.anchored_at.is_some()));
    assert_eq!(ana.receipts_from(&own).unwrap(), looks.len() as u64);
    drop(ana);
    // Nobody can be asked any more, and what was kept is told all the same.
    let who = cluster.try_person(&["wallet", "who", "--dir", "ana", &study]);
    assert_eq!(who.refused().0, "not_asked");
    let who = who.object();
    assert_eq!(who["looked"].as_array().unwrap().len(), looks.len(), "{who}");
}
