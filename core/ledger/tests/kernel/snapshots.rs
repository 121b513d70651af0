//! Snapshots: taken, carried over piece by piece, and every false piece refused by name.

use clavicle_ledger::block::Header;
use clavicle_ledger::encoding::{self, DecodeError};
use clavicle_ledger::execute;
use clavicle_ledger::id::StateRoot;
use clavicle_ledger::snapshot::{Chunk, Import, Skeleton, SnapshotError};
use clavicle_ledger::state::{MemoryState, StateKey};
use clavicle_ledger::time::BlockTime;
use clavicle_ledger::tree::{self, TreeChanges};

use crate::history::{History, tight};

fn some_history(blocks: usize) -> History {
    let mut history = History::new(31, tight());
    for _ in 0..blocks {
        let envelopes = history.transactions(10);
        history.world.block(5_000, envelopes);
    }
    history
}

fn import(state: &MemoryState, header: &Header, level: usize) -> (Import, MemoryState) {
    let Ok(skeleton) = Skeleton::take(state, level);
    let skeleton: Skeleton = encoding::decode(&encoding::encode(&skeleton)).unwrap();
    let import = skeleton.check(header).unwrap();
    let mut copy = MemoryState::default();
    copy.write(Default::default(), import.tree());
    // In any order: here the last first.
    for path in import.chunks().collect::<Vec<_>>().into_iter().rev() {
        let Ok(chunk) = Chunk::take(state, path);
        let chunk: Chunk = encoding::decode(&encoding::encode(&chunk)).unwrap();
        let (rows, pages) = import.check(chunk).unwrap();
        copy.write(rows, pages);
    }
    (import, copy)
}

#[test]
fn a_copy_is_the_state_to_the_last_row_and_goes_on_from_there() {
    let mut history = some_history(40);
    let (state, header) = (history.world.state.clone(), history.world.header);
    assert!(state.rows().len() > 150);
    for level in 1..=4 {
        let (_, copy) = import(&state, &header, level);
        assert_eq!(copy, state, "level {level}");
    }
    let (_, mut copy) = import(&state, &header, 2);
    let envelopes = history.transactions(20);
    let (proposal, applied) = history.world.block(1_000, envelopes);
    let outcome = execute::execute(&copy, &proposal.block).unwrap();
    assert_eq!(copy.commit(outcome.changes), applied.tree.root);
    assert_eq!(proposal.block.time, BlockTime(header.time.timestamp().plus(1_000)));
}

#[test]
fn the_genesis_state_travels_too() {
    let history = History::new(1, tight());
    let (_, copy) = import(&history.world.state, &history.world.header, 1);
    assert_eq!(copy, history.world.state);
}

#[test]
fn false_skeletons() {
    let history = some_history(40);
    let (state, header) = (&history.world.state, history.world.header);
    let Ok(skeleton) = Skeleton::take(state, 2);
    let other = Header { state_root: StateRoot::from_bytes([1; 32]), ..header };
    assert_eq!(skeleton.clone().check(&other).unwrap_err(), SnapshotError::OtherRoot);

    let bytes = encoding::encode(&skeleton);
    let edit = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        encoding::decode::<Skeleton>(&bytes).map(|skeleton| skeleton.check(&header))
    };
    assert_eq!(edit(&|bytes| bytes[0] = 5).unwrap().unwrap_err(), SnapshotError::Level(5));
    assert_eq!(edit(&|bytes| bytes[0] = 0).unwrap().unwrap_err(), SnapshotError::Level(0));
    // Deeper than its pages go, or less deep than they do.
    assert_eq!(edit(&|bytes| bytes[0] = 3).unwrap().unwrap_err(), SnapshotError::Pages);
    assert_eq!(edit(&|bytes| bytes[0] = 1).unwrap().unwrap_err(), SnapshotError::Pages);
    // A page less is a page too few, also when it is the root.
    let none = [&[1u8][..], &[0; 4]].concat();
    assert_eq!(encoding::decode::<Skeleton>(&none).unwrap().check(&header).unwrap_err(), SnapshotError::OtherRoot);
    let last = bytes.len() - 1;
    assert_eq!(edit(&|bytes| bytes[last] ^= 1).unwrap().unwrap_err(), SnapshotError::OtherRoot);
}

#[test]
fn false_chunks() {
    let history = some_history(40);
    let (state, header) = (&history.world.state, history.world.header);
    let (import, _) = import(state, &header, 1);
    let paths: Vec<_> = import.chunks().collect();
    let Ok(chunk) = Chunk::take(state, paths[0]);
    let Ok(second) = Chunk::take(state, paths[1]);
    let bytes = encoding::encode(&chunk);
    let decode = |bytes: &[u8]| encoding::decode::<Chunk>(bytes).unwrap();

    // The second chunk's rows under the first one's path, and the other way round.
    let path_len = encoding::encode(&paths[0]).len();
    let mut renamed = encoding::encode(&second);
    renamed[..path_len].copy_from_slice(&bytes[..path_len]);
    assert_eq!(import.check(decode(&renamed)).unwrap_err(), SnapshotError::Rows);
    // A part that the snapshot does not have: the root itself.
    let Ok(all) = Chunk::take(state, tree::PagePath::ROOT);
    assert_eq!(import.check(all).unwrap_err(), SnapshotError::OtherPart);
    // A row left out, or a byte of one changed.
    let Ok(deeper) = Skeleton::take(state, 1);
    assert!(deeper.check(&header).is_ok());
    let last = bytes.len() - 1;
    let mut altered = bytes.clone();
    altered[last] ^= 1;
    assert_eq!(import.check(decode(&altered)).unwrap_err(), SnapshotError::Altered);
    let count = u32::from_le_bytes(bytes[path_len..path_len + 4].try_into().unwrap());
    assert!(count > 1);
    let mut without = MemoryState::default();
    let (rows, _) = import.check(chunk).unwrap();
    let dropped = *rows.keys().next().unwrap();
    without.commit(rows.into_iter().filter(|(key, _)| *key != dropped).collect());
    let Ok(short) = Chunk::take(&without, paths[0]);
    assert_eq!(import.check(short).unwrap_err(), SnapshotError::Altered);
}

#[test]
fn a_row_of_the_wrong_kind_is_refused_though_its_hash_is_right() {
    // A network whose validators agreed on nonsense: the root vouches for it, the importer does not take it.
    let mut state = MemoryState::default();
    let key = StateKey::Head;
    let root = state.commit([(key, Some(vec![1, 2, 3]))].into());
    let header = Header { state_root: root, ..History::new(1, tight()).world.header };
    let Ok(skeleton) = Skeleton::take(&state, 1);
    let import = skeleton.check(&header).unwrap();
    let Ok(chunk) = Chunk::take(&state, import.chunks().next().unwrap());
    assert!(matches!(import.check(chunk).unwrap_err(), SnapshotError::Row(DecodeError { .. })));
    let TreeChanges { pages, root: _ } = import.tree();
    assert_eq!(pages.len(), 1);
}
