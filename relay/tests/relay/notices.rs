//! Who has copies, and is due to be told something.

use std::collections::BTreeSet;

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::{ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_letters::mailbox::{Mailbox, Token};
use clavicle_network::transfer::Reach;
use clavicle_relay::store::notices::{Copy, MAX_COPIES};
use clavicle_relay::store::{Notices, StoreError};

use crate::chain::secret;

const START: Timestamp = Timestamp(1_795_262_400_000);

fn key(number: u64) -> Key {
    secret(&format!("recipient {number}")).public()
}

fn study(number: u8) -> StudyId {
    StudyId::from_bytes([number; 32])
}

fn copy(at: Timestamp) -> Copy {
    let relays = Ascending::from_items(vec![SourceId::from_bytes([1; 32]), SourceId::from_bytes([2; 32])]).unwrap();
    let mailbox = Mailbox { key: key(0), relays, token: Token([3; 16]) };
    Copy { reach: Reach { mailbox, recipient: [4; 32] }, root: ManifestRoot::from_bytes([5; 32]), whole: true, at }
}

fn keys(notices: &Notices, now: Timestamp) -> BTreeSet<Key> {
    notices.due(now, 1_000).unwrap().into_iter().map(|due| due.key).collect()
}

#[test]
fn everyone_with_a_copy_is_due_when_a_block_changes_the_study_until_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notices.redb");
    let notices = Notices::open(&path).unwrap();
    assert_eq!(notices.looked().unwrap(), None);
    for number in 0..3 {
        notices.keep(study(1), key(number), copy(START)).unwrap();
    }
    notices.keep(study(2), key(9), copy(START)).unwrap();
    // Once at the start: the study may have changed while it was fetched.
    for due in notices.due(START, 10).unwrap() {
        assert_eq!(due.told, None);
        notices.settle(&due, None).unwrap();
    }
    assert_eq!(keys(&notices, START.plus(DAY_MS)), BTreeSet::new());

    notices.changed(&BTreeSet::from([study(1)]), 7, START).unwrap();
    drop(notices);
    let notices = Notices::open(&path).unwrap();
    assert_eq!(notices.looked().unwrap(), Some(7));
    assert_eq!(keys(&notices, START), (0..3).map(key).collect());
    let due = notices.due(START, 10).unwrap();
    notices.settle(&due[0], Some([1; 32])).unwrap();
    notices.forget(&due[1]).unwrap();
    assert_eq!(keys(&notices, START), BTreeSet::from([due[2].key]));

    // It changes once more while they are told of the last time: they are due again.
    notices.changed(&BTreeSet::from([study(1)]), 8, START).unwrap();
    notices.settle(&due[2], Some([2; 32])).unwrap();
    let again = notices.due(START, 10).unwrap();
    let told: Vec<_> = again.iter().map(|due| due.told).collect();
    assert!(told.contains(&Some([1; 32])) && told.contains(&Some([2; 32])) && told.len() == 2, "{told:?}");
    // And whoever fetches it anew has another copy, to which what was told before does not apply.
    let newer = START.plus(1);
    notices.keep(study(1), due[2].key, copy(newer)).unwrap();
    notices.forget(&due[2]).unwrap();
    assert!(keys(&notices, newer).contains(&due[2].key));
}

#[test]
fn who_has_a_copy_is_due_when_it_is_reissued_though_no_block_says_anything_new() {
    let folder = tempfile::tempdir().unwrap();
    let notices = Notices::open(&folder.path().join("notices.redb")).unwrap();
    for (number, of) in [(1, 1), (2, 1), (9, 2)] {
        notices.keep(study(of), key(number), copy(START)).unwrap();
    }
    for due in notices.due(START, 10).unwrap() {
        notices.settle(&due, Some([1; 32])).unwrap();
    }
    assert_eq!((keys(&notices, START), notices.is_reissued(study(1)).unwrap()), (BTreeSet::new(), false));
    notices.reissue(study(1), START).unwrap();
    assert_eq!(keys(&notices, START), BTreeSet::from([key(1), key(2)]));
    assert!(notices.is_reissued(study(1)).unwrap() && !notices.is_reissued(study(2)).unwrap());
    assert_eq!(notices.looked().unwrap(), None, "what blocks say is looked at all the same");
}

#[test]
fn who_is_not_reached_is_tried_less_and_less_often_and_at_last_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let notices = Notices::open(&folder.path().join("notices.redb")).unwrap();
    notices.keep(study(1), key(1), copy(START)).unwrap();
    let (mut now, mut waits) = (START, Vec::new());
    while let Some(due) = notices.due(Timestamp(u64::MAX), 1).unwrap().pop() {
        let before = now;
        while notices.due(now, 1).unwrap().is_empty() {
            now = now.plus(1_000);
        }
        waits.push(now.since(before));
        notices.not_reached(&due, now).unwrap();
    }
    assert_eq!(waits[..5], [0, 30_000, 60_000, 120_000, 240_000]);
    assert!(waits.is_sorted() && waits.len() > 100, "{}", waits.len());
    assert!((30 * DAY_MS..32 * DAY_MS).contains(&now.since(START)));
}

#[test]
fn of_too_many_the_oldest_copy_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let notices = Notices::open(&folder.path().join("notices.redb")).unwrap();
    for number in 0..MAX_COPIES as u64 + 2 {
        notices.keep(study(1), key(number), copy(START.plus(number))).unwrap();
    }
    let due = keys(&notices, START.plus(DAY_MS));
    assert_eq!(due.len(), MAX_COPIES);
    assert!(!due.contains(&key(0)) && !due.contains(&key(1)) && due.contains(&key(2)));
}

#[test]
fn a_letter_that_was_begun_to_be_left_is_the_same_after_a_kill_and_gone_when_they_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notices.redb");
    let notices = Notices::open(&path).unwrap();
    notices.keep(study(1), key(1), copy(START)).unwrap();
    let sealed = |bytes: u8| move || Ok::<_, StoreError>(vec![bytes; 100]);
    let due = notices.due(START, 1).unwrap().remove(0);
    assert_eq!(notices.letter(&due, &[1; 32], sealed(1)).unwrap(), [1; 100]);
    // Killed after it was left somewhere, and before that was written down; then not reached.
    drop(notices);
    let notices = Notices::open(&path).unwrap();
    let again = notices.due(START, 1).unwrap().remove(0);
    assert_eq!(notices.letter(&again, &[1; 32], sealed(2)).unwrap(), [1; 100]);
    notices.not_reached(&again, START).unwrap();
    assert_eq!(notices.letter(&again, &[1; 32], sealed(3)).unwrap(), [1; 100]);
    // What is to be said by then is something else.
    assert_eq!(notices.letter(&again, &[2; 32], sealed(4)).unwrap(), [4; 100]);
    notices.settle(&again, Some([2; 32])).unwrap();
    assert_eq!(notices.letter(&again, &[2; 32], sealed(5)).unwrap(), [5; 100], "it is kept no more");
    notices.forget(&again).unwrap();
    assert_eq!(notices.letter(&again, &[2; 32], sealed(6)).unwrap(), [6; 100]);
}
