//! The chain on disk: what was committed is there, whole, whatever happens to the process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use clavicle_ledger::action::TransferStudy;
use clavicle_ledger::block::CommitCertificate;
use clavicle_ledger::encoding;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::snapshot::{Chunk, Import, Skeleton};
use clavicle_ledger::state::{Changes, MemoryState, ReadRows as _, StateKey};
use clavicle_ledger::transaction::{Action, Body, Verified};
use clavicle_ledger::tree::{self, PagePath};
use clavicle_network::message::Prefix;
use clavicle_relay::store::{ChainStore, CommitError, StoreError};
use redb::{ReadableDatabase as _, ReadableTable as _};

use crate::chain::{define, genesis, next_block, secret, study};

/// Commits a block that defines the given studies.
fn extend(store: &ChainStore, genesis: &Genesis, studies: std::ops::Range<u64>) {
    let head = store.head().unwrap();
    commit(store, studies.map(|number| define(genesis, &head, number)).collect());
}

/// Commits a block of these.
fn commit(store: &ChainStore, envelopes: Vec<Verified>) {
    let (head, snapshot) = (store.head().unwrap(), store.snapshot().unwrap());
    let last = store.block(head.height).unwrap().map(|(_, certificate)| certificate);
    let (block, certificate, applied) = next_block(&snapshot, &head, last, envelopes);
    store.commit(&block, &certificate, &applied).unwrap();
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
    let path = folder.path().join("chain.redb");
    let store = ChainStore::open(&path, &genesis).unwrap();
    let mut twin = MemoryState::from_genesis(&genesis);
    assert_eq!(store.snapshot().unwrap().root().unwrap(), twin.root());
    let old = store.snapshot().unwrap();
    for first in [0, 10, 20] {
        let head = store.head().unwrap();
        let last = store.block(head.height).unwrap().map(|(_, certificate)| certificate);
        let envelopes: Vec<Verified> = (first..first + 10).map(|number| define(&genesis, &head, number)).collect();
        let (block, certificate, applied) = next_block(&store.snapshot().unwrap(), &head, last, envelopes.clone());
        store.commit(&block, &certificate, &applied).unwrap();
        twin.write(applied.executed.changes, applied.tree);
        assert_eq!(store.find_envelope(&envelopes[7].hash()).unwrap(), Some((block.header().height, 7)));
    }
    drop(store);

    let store = ChainStore::open(&path, &genesis).unwrap();
    let (head, snapshot) = (store.head().unwrap(), store.snapshot().unwrap());
    assert_eq!((head.height, head.state_root), (3, twin.root()));
    for (key, row) in twin.rows() {
        assert_eq!(clavicle_ledger::state::StateReader::read(&snapshot, key).unwrap().as_ref(), Some(row));
    }
    for key in [StateKey::Study(study(&genesis, 25)), StateKey::Study(study(&genesis, 99))] {
        let proven = tree::prove(&snapshot, &snapshot, key).unwrap();
        assert_eq!(proven.verify(head.state_root), Ok(()));
        assert_eq!(proven, tree::prove(&twin, &twin, key).unwrap());
    }
    let (block, certificate) = store.block(2).unwrap().unwrap();
    assert_eq!((block.header, certificate.block), (store.header(2).unwrap().unwrap(), block.header.id()));
    assert_eq!(block.envelopes.len(), 10);
    assert!(store.block(4).unwrap().is_none() && store.header(4).unwrap().is_none());
    // A snapshot taken before saw none of it.
    assert!(old.study(study(&genesis, 0)).unwrap().is_none());
    assert!(snapshot.study(study(&genesis, 0)).unwrap().is_some());
}

/// The studies of a key, by its first bits.
fn held_by(store: &ChainStore, word: &str, bits: u8) -> Vec<StudyId> {
    let key = secret(word).public();
    let all = store.holdings(&Prefix::of(&key, bits), 1_000).unwrap().unwrap();
    all.iter().filter(|holding| holding.holder == key).map(|holding| holding.study).collect()
}

#[test]
fn who_holds_what_is_found_by_the_key_also_after_it_changed_hands() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
    let path = folder.path().join("chain.redb");
    let store = ChainStore::open(&path, &genesis).unwrap();
    extend(&store, &genesis, 0..3);
    let mut studies: Vec<StudyId> = (0..3).map(|number| study(&genesis, number)).collect();
    studies.sort_unstable();
    for bits in [0, 7, 32] {
        assert_eq!(held_by(&store, "holder", bits), studies);
    }
    let holder = secret("holder").public();
    let elsewhere = Key::from_bytes(holder.as_bytes().map(|byte| !byte));
    assert_eq!(store.holdings(&Prefix::of(&elsewhere, 1), 1_000).unwrap(), Some(Vec::new()));
    assert_eq!(store.holdings(&Prefix::of(&holder, 0), 2).unwrap(), None, "more than asked for");

    let given = study(&genesis, 1);
    let action = Action::TransferStudy(TransferStudy {
        study: given,
        holder,
        new_holder: secret("child").public(),
        keep_grants: false,
    });
    let head = store.head().unwrap();
    let body = Body { submit_by: head.time.timestamp().plus(60_000), nonce: [1; 16], action };
    let chain = genesis.chain_id();
    let signed = body.sign(&chain, &[&secret("holder"), &secret("child")]).unwrap().check_stateless(&chain).unwrap();
    commit(&store, vec![signed]);
    studies.retain(|study| *study != given);
    assert_eq!((held_by(&store, "holder", 0), held_by(&store, "child", 0)), (studies.clone(), vec![given]));
    drop(store);

    // An earlier version did not write it down.
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let holders: redb::TableDefinition<'_, &[u8; 64], ()> = redb::TableDefinition::new("holders_v1");
    assert!(transaction.delete_table(holders).unwrap());
    transaction.commit().unwrap();
    drop(database);
    let store = ChainStore::open(&path, &genesis).unwrap();
    assert_eq!((held_by(&store, "holder", 0), held_by(&store, "child", 0)), (studies, vec![given]));
}

#[test]
fn a_snapshot_for_others_comes_straight_from_the_disk() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
    let store = ChainStore::open(&folder.path().join("chain.redb"), &genesis).unwrap();
    extend(&store, &genesis, 0..300);
    let (head, snapshot) = (store.head().unwrap(), store.snapshot().unwrap());
    let mut copy = MemoryState::default();
    let skeleton = Skeleton::take(&snapshot, PagePath::ROOT, 1).unwrap();
    let (mut import, pages) = Import::begin(&head, skeleton).unwrap();
    copy.write(Changes::new(), pages);
    for path in import.parts().collect::<Vec<_>>() {
        let (rows, pages) = import.take_chunk(Chunk::take(&snapshot, path).unwrap().unwrap()).unwrap();
        copy.write(rows, pages);
    }
    assert_eq!(copy.root(), head.state_root);
    assert!(copy.study(study(&genesis, 299)).unwrap().is_some());
}

#[test]
fn only_the_next_block_with_its_own_certificate_and_changes_is_committed() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
    let store = ChainStore::open(&folder.path().join("chain.redb"), &genesis).unwrap();
    let (head, snapshot) = (store.head().unwrap(), store.snapshot().unwrap());
    let (block, certificate, applied) = next_block(&snapshot, &head, None, vec![define(&genesis, &head, 1)]);
    let (_, other, without) = next_block(&snapshot, &head, None, Vec::new());
    assert!(matches!(store.commit(&block, &other, &applied), Err(CommitError::OtherBlock)));
    assert!(matches!(store.commit(&block, &certificate, &without), Err(CommitError::OtherChanges)));
    let later = CommitCertificate::new(2, 0, block.header().id(), Vec::new()).unwrap();
    assert!(matches!(store.commit(&block, &later, &applied), Err(CommitError::OtherBlock)));
    assert_eq!(store.head().unwrap(), head);
    store.commit(&block, &certificate, &applied).unwrap();
    let again = store.commit(&block, &certificate, &applied);
    assert!(matches!(again, Err(CommitError::Height { given: 1, due: 2 })));
}

#[test]
fn another_networks_store_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.redb");
    drop(ChainStore::open(&path, &genesis("test")).unwrap());
    assert!(matches!(ChainStore::open(&path, &genesis("another")), Err(StoreError::OtherNetwork)));
    std::fs::write(folder.path().join("text"), "not a database, but long enough to be looked at ".repeat(500)).unwrap();
    let text = ChainStore::open(&folder.path().join("text"), &genesis("test"));
    assert!(matches!(text, Err(StoreError::Database { .. })));
}

#[test]
fn a_damaged_row_is_named_and_never_believed() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
    let path = folder.path().join("chain.redb");
    let store = ChainStore::open(&path, &genesis).unwrap();
    extend(&store, &genesis, 0..20);
    drop(store);
    // Two rows change places, as no accident of the database would have it but a bad restore could.
    let rows: redb::TableDefinition<'_, &[u8; 32], &[u8]> = redb::TableDefinition::new("rows_v1");
    let database = redb::Database::open(&path).unwrap();
    let paths: Vec<[u8; 32]> = {
        let table = database.begin_read().unwrap().open_table(rows).unwrap();
        table.iter().unwrap().map(|entry| *entry.unwrap().0.value()).collect()
    };
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(rows).unwrap();
        for pair in paths.chunks_exact(2) {
            let one = table.get(&pair[0]).unwrap().unwrap().value().to_vec();
            let two = table.get(&pair[1]).unwrap().unwrap().value().to_vec();
            table.insert(&pair[0], two.as_slice()).unwrap();
            table.insert(&pair[1], one.as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
    drop(database);
    let store = ChainStore::open(&path, &genesis).unwrap();
    let answers = (0..20).map(|number| store.snapshot().unwrap().study(study(&genesis, number)));
    let damaged = answers.filter(|answer| match answer {
        Err(clavicle_ledger::state::ReadError::Storage(StoreError::Damaged { .. })) => true,
        Err(other) => panic!("{other}"),
        Ok(_) => false,
    });
    assert!(damaged.count() >= 19);
}

/// Not a test of its own: the process that the next test kills. It commits blocks and says so, until it is killed.
#[test]
fn killed_child_commits_blocks() {
    let Some(path) = std::env::var_os("CLAVICLE_TEST_CHAIN") else { return };
    let genesis = genesis("test");
    let store = ChainStore::open(Path::new(&path), &genesis).unwrap();
    for _ in 0..10_000 {
        let height = store.head().unwrap().height;
        extend(&store, &genesis, height * 5..height * 5 + 5);
        println!("\ncommitted {}", height + 1);
    }
}

#[test]
fn killed_at_any_instant_the_last_commit_is_there_whole() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
    let path = folder.path().join("chain.redb");
    let mut acknowledged = 0;
    for round in 1..=6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::killed_child_commits_blocks", "--nocapture"])
            .env("CLAVICLE_TEST_CHAIN", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let commits =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        // Killed after another number of commits each time, in the middle of whatever comes next.
        acknowledged = commits.take(round * 7 % 11 + 1).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();

        let store = ChainStore::open(&path, &genesis).unwrap();
        let (head, snapshot) = (store.head().unwrap(), store.snapshot().unwrap());
        assert!(head.height >= acknowledged, "{} of {acknowledged}", head.height);
        assert_eq!(snapshot.root().unwrap(), head.state_root);
        let last = head.height * 5 - 1;
        assert!(snapshot.study(study(&genesis, last)).unwrap().is_some());
        assert!(snapshot.study(study(&genesis, last + 1)).unwrap().is_none());
        let (block, certificate) = store.block(head.height).unwrap().unwrap();
        assert_eq!((block.header, certificate.block), (head, head.id()));
        assert!(encoding::encode(&block).len() > 1_000);
    }
    assert!(acknowledged > 15);
}
