//! Wallets as an earlier version left them: what is in the vault, and what is in the pack, are there.

use std::io::Read as _;

use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_manifest::StoredDigest;
use clavicle_samples::packed;
use clavicle_wallet::patient::Patient;
use clavicle_wallet::recipient::Recipient;
use clavicle_wallet::vault::Passphrase;
use serde_json::Value;

/// When they were left.
fn then() -> LocalTime {
    LocalTime(Timestamp(1_796_039_800_000))
}

fn passphrase() -> Passphrase {
    Passphrase::new(packed::PASSPHRASE.to_owned()).unwrap()
}

/// Reads every item of a copy, and holds it against what the hospital signed.
fn is_whole(images: &clavicle_wallet::cache::Images) {
    assert!(images.is_whole());
    let listing = images.listing();
    assert!(!listing.items().is_empty());
    for item in listing.items() {
        let mut bytes = Vec::new();
        images.read(&item).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!((bytes.len() as u64, StoredDigest::of(&bytes)), (item.size(), item.stored()));
    }
}

#[test]
fn a_patients_wallet_with_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    packed::unpack(packed::PATIENT, folder.path()).unwrap();
    let patient = Patient::open(&folder.path().join("ana"), &passphrase(), then).unwrap();
    let (was, grants): (Value, Value) =
        (serde_json::from_str(packed::WALLET).unwrap(), serde_json::from_str(packed::GRANTS).unwrap());
    let studies = patient.studies().unwrap();
    let [study] = &studies[..] else { panic!("{} studies", studies.len()) };
    assert_eq!(was["studies"][0]["study"], study.id.to_string());
    patient.holder(study).unwrap();
    is_whole(&patient.images(study).unwrap());

    let all = patient.grants().unwrap();
    let ids: Vec<String> = all.iter().map(|one| one.id.to_string()).collect();
    assert_eq!(ids, [grants["grants"][0]["grant"].as_str().unwrap(), grants["grants"][1]["grant"].as_str().unwrap()]);
    assert_eq!(all.iter().map(|one| one.revoked.is_some()).collect::<Vec<_>>(), [true, false]);
    assert!(patient.revocation_receipt(all[0].id).unwrap().is_some(), "the hospital signed that it has seen it");
    assert_eq!(patient.looks(study).unwrap().len(), 5);
}

#[test]
fn a_recipients_wallet_with_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    packed::unpack(packed::RECIPIENT, folder.path()).unwrap();
    let recipient = Recipient::open(&folder.path().join("rossi"), &passphrase(), then).unwrap();
    let inbox = recipient.inbox().unwrap();
    let [granted] = &inbox[..] else { panic!("{} grants", inbox.len()) };
    recipient.grantee(granted).unwrap();
    let study = granted.received.study;
    assert!(recipient.has_copy(study).unwrap());
    is_whole(&recipient.images(study).unwrap());
}
