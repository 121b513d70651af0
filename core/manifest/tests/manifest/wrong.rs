//! Each way to be wrong, by name.

use clavicle_ledger::encoding::{self, Ascending, Fault};
use clavicle_ledger::key::SecretKey;
use clavicle_manifest::{
    Date, Header, MAX_INSTANCE_LEN, Manifest, ManifestError, Nonce, ScopedError, Series, SignedManifest,
    SignedScopedManifest, Uid, UidError, VerifyError,
};

use crate::sample::{CHAIN, header, ids, later, manifest, operational, rng, salt, series, uid};

fn with(all: Vec<Series>) -> Result<Manifest, ManifestError> {
    Manifest::new(header(), Nonce::from_bytes([7; 32]), Ascending::from_items(all).unwrap(), Ascending::new())
}

#[test]
fn a_uid_is_digits_and_points() {
    // Devices write leading zeros, and every program shows what they made.
    for good in ["1.2.840.10008.1.2", "1.2.840.10008.1.2\0", "0", "1.2 \0 ", "1.02.003", &"9".repeat(64)] {
        assert_eq!(Uid::new(good).unwrap().as_str(), good.trim_end_matches(['\0', ' ']));
    }
    assert_eq!(Uid::new(" \0"), Err(UidError::Empty));
    assert_eq!(Uid::new(&"9".repeat(65)), Err(UidError::TooLong(65)));
    assert_eq!(Uid::new(&"9".repeat(300)), Err(UidError::TooLong(300)));
    for bad in ["1.2.a", "1.2\\1.3", " 1.2", "1.\u{662}", "-1", "1.2\u{0}.3", "../etc", "1/2", "1.2\n"] {
        assert_eq!(Uid::new(bad), Err(UidError::Character), "{bad:?}");
    }
    assert!(uid("1.2") < uid("1.2.1") && uid("1.10") < uid("1.2"), "ordered as text");
    assert_eq!(format!("{:?}", uid("1.2.840.12345")), "Uid(…2345)");
}

/// A study with such UIDs wrote its images outside the folder that they were fetched into.
#[test]
fn a_uid_is_never_a_way_to_another_folder_wherever_it_is_read() {
    for bad in [".", "..", "...", ".1", "1.", "1..2", "1.2..", "..1", "1.2.840.\0"] {
        assert_eq!(Uid::new(bad), Err(UidError::Component), "{bad:?}");
        let text = bad.trim_end_matches('\0');
        let bytes = [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        assert_eq!(encoding::decode::<Uid>(&bytes).unwrap_err().fault, Fault::NotAUid, "{bad:?}");
    }
    // What an earlier version signed and kept is an error with a name.
    let signed = manifest(&[2], 1).sign(&CHAIN, &operational());
    let bytes = encoding::encode(&signed);
    let uid = signed.manifest.series()[0].series_instance_uid;
    let at = bytes.windows(uid.as_str().len()).position(|part| part == uid.as_str().as_bytes()).unwrap();
    let mut stored = bytes.clone();
    stored[at..at + uid.as_str().len()].fill(b'.');
    let error = encoding::decode::<SignedManifest>(&stored).unwrap_err();
    assert_eq!(error.fault, Fault::NotAUid);
    assert!(error.to_string().starts_with("a signed manifest cannot be read: a UID in it is none"), "{error}");
}

#[test]
fn a_day_is_one_of_a_calendar() {
    assert_eq!(Date::new(2026, 5, 3).unwrap().to_string(), "2026-05-03");
    for (year, month, day) in [(10_000, 1, 1), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0), (2026, 1, 32)] {
        assert_eq!(Date::new(year, month, day), None);
    }
}

#[test]
fn a_manifest_that_contradicts_itself_is_none() {
    let mut rng = rng(1);
    let (one, two) = (series(1, 2, &mut rng), series(2, 2, &mut rng));
    let renamed = Series { instances: one.instances.clone(), ..two.clone() };
    assert_eq!(with(vec![one.clone(), renamed]), Err(ManifestError::ListedTwice(uid("1.2.840.1.1.0"))));
    let empty = Series { instances: Ascending::new(), ..two.clone() };
    assert_eq!(with(vec![one.clone(), empty]), Err(ManifestError::EmptySeries(uid("1.2.840.1.2"))));
    let mut large = two;
    let mut instance = large.instances[0].clone();
    instance.size = MAX_INSTANCE_LEN + 1;
    large.instances.insert(instance).unwrap();
    assert_eq!(with(vec![one, large]), Err(ManifestError::TooLarge(uid("1.2.840.1.2.0"))));
    for wrong in [Header { revision: 1, ..header() }, Header { predecessor: later(header()).predecessor, ..header() }] {
        let made = Manifest::new(wrong, Nonce::from_bytes([7; 32]), Ascending::new(), Ascending::new());
        assert_eq!(made, Err(ManifestError::Predecessor));
    }
}

#[test]
fn the_next_revision_names_this_one() {
    let whole = manifest(&[1], 1);
    let root = whole.root(&CHAIN);
    let next = whole.header().next(root, false).unwrap();
    assert_eq!((next.revision, next.predecessor, next.open), (1, Some(root), false));
    assert_eq!(next, Header { revision: 1, predecessor: Some(root), open: false, ..header() });
    assert_eq!(Header { revision: u32::MAX, ..next }.next(root, false), None);
}

#[test]
fn another_key_or_another_root_is_refused() {
    let signed = manifest(&[2], 1).sign(&CHAIN, &operational());
    let (root, key) = (signed.manifest.root(&CHAIN), operational().public());
    assert_eq!(signed.verify_is(&CHAIN, &key, &root), Ok(()));
    let stranger = SecretKey::from_bytes(&[6; 32]);
    assert_eq!(signed.verify(&CHAIN, &stranger.public()), Err(VerifyError::OtherSigner));
    let other = manifest(&[3], 1);
    assert_eq!(signed.verify_is(&CHAIN, &key, &other.root(&CHAIN)), Err(VerifyError::OtherRoot));
    let mut taken = signed.clone();
    taken.manifest = other;
    assert!(matches!(taken.verify(&CHAIN, &key), Err(VerifyError::Signature(_))));
    assert!(signed.verify(&clavicle_ledger::id::ChainId::from_bytes([9; 32]), &key).is_err());

    let scoped = signed.manifest.scoped(&CHAIN, &salt(), &ids(&signed.manifest));
    let part = SignedScopedManifest { scoped, endorsement: signed.endorsement.clone() };
    assert_eq!(part.verify_is(&CHAIN, &key, &root), Ok(()));
    assert_eq!(part.verify_is(&CHAIN, &stranger.public(), &root), Err(VerifyError::OtherSigner));
    let foreign = manifest(&[3], 1).sign(&CHAIN, &operational()).endorsement;
    let swapped = SignedScopedManifest { endorsement: foreign, ..part };
    assert!(matches!(swapped.verify_is(&CHAIN, &key, &root), Err(VerifyError::Signature(_))));
}

#[test]
fn a_series_that_is_not_there_is_named() {
    let whole = manifest(&[2, 1], 1);
    let absent = salt().series_id("1.2.3");
    let part = whole.scoped(&CHAIN, &salt(), &[absent]);
    assert_eq!(part.verify(&CHAIN, &whole.root(&CHAIN)), Err(ScopedError::Nothing));
    let part = whole.scoped(&CHAIN, &salt(), &[absent, ids(&whole)[1]]);
    assert_eq!(part.verify(&CHAIN, &whole.root(&CHAIN)), Ok(()));
    assert_eq!(part.missing(&salt(), &[absent, ids(&whole)[1]]), [absent]);
}

#[test]
fn logs_show_neither_uids_nor_descriptions() {
    let whole = manifest(&[2, 1], 1);
    let part = whole.scoped(&CHAIN, &salt(), &ids(&whole));
    let shown = format!("{whole:?} {part:?} {:?} {:?}", whole.series(), whole.attachments());
    assert!(!shown.contains("1.2.840") && !shown.contains("Brain") && !shown.contains("report"), "{shown}");
}
