//! Snapshots: taken, carried over piece by piece, and every false piece refused by name.

use clavicle_ledger::block::Header;
use clavicle_ledger::encoding::{self, DecodeError, Wire};
use clavicle_ledger::execute;
use clavicle_ledger::id::{StateRoot, TxId};
use clavicle_ledger::snapshot::{Chunk, Import, Skeleton, SnapshotError};
use clavicle_ledger::state::{Changes, MemoryState, ReplayMark, StateKey};
use clavicle_ledger::time::{BlockTime, Timestamp};
use clavicle_ledger::tree::PagePath;

use crate::history::{Dice, History, tight};

fn some_history(blocks: usize) -> History {
    let mut history = History::new(31, tight());
    for _ in 0..blocks {
        let envelopes = history.transactions(10);
        history.world.block(5_000, envelopes);
    }
    history
}

/// Carries a state over, its first skeleton `depth` deep, every third large part as a skeleton of its own.
fn carry_over(state: &MemoryState, header: &Header, depth: usize) -> MemoryState {
    let skeleton = Skeleton::take(state, PagePath::ROOT, depth).unwrap();
    let (mut import, pages) = Import::begin(header, travelled(&skeleton)).unwrap();
    let mut copy = MemoryState::default();
    copy.write(Changes::new(), pages);
    let mut turn = 0;
    // In any order: here the last first.
    while let Some(path) = import.parts().last() {
        turn += 1;
        match Skeleton::take(state, path, 1) {
            Ok(skeleton) if turn % 3 == 0 => {
                copy.write(Changes::new(), import.take_skeleton(travelled(&skeleton)).unwrap());
            }
            _ => {
                let Ok(chunk) = Chunk::take(state, path);
                let (rows, pages) = import.take_chunk(travelled(&chunk.unwrap())).unwrap();
                copy.write(rows, pages);
            }
        }
    }
    copy
}

fn travelled<T: Wire>(part: &T) -> T {
    encoding::decode(&encoding::encode(part)).unwrap()
}

#[test]
fn a_copy_is_the_state_to_the_last_row_and_goes_on_from_there() {
    let mut history = some_history(40);
    let (state, header) = (history.world.state.clone(), history.world.header);
    assert!(state.rows().len() > 150);
    for depth in 1..=4 {
        assert_eq!(carry_over(&state, &header, depth), state, "depth {depth}");
    }
    let mut copy = carry_over(&state, &header, 2);
    let envelopes = history.transactions(20);
    let (proposal, applied) = history.world.block(1_000, envelopes);
    let executed = execute::execute(&copy, &proposal.block).unwrap();
    assert_eq!(copy.commit(executed.changes), applied.tree.root);
    assert_eq!(proposal.block.time, BlockTime(header.time.timestamp().plus(1_000)));
}

#[test]
fn the_genesis_state_travels_too() {
    let history = History::new(1, tight());
    assert_eq!(carry_over(&history.world.state, &history.world.header, 1), history.world.state);
}

#[test]
fn a_part_too_large_for_a_chunk_is_had_as_a_skeleton() {
    // One part with more rows than a chunk holds, as a source could make on purpose.
    let mut state = MemoryState::default();
    let mut dice = Dice::new(8);
    let mut rows = Changes::new();
    while rows.len() < 70_000 {
        rows.insert(StateKey::Executed(TxId::from_bytes(dice.bytes())), Some(mark()));
    }
    let root = state.commit(rows);
    let header = Header { state_root: root, ..History::new(1, tight()).world.header };
    let Ok(all) = Chunk::take(&state, PagePath::ROOT);
    assert_eq!(all, None);
    let (mut import, pages) = Import::begin(&header, Skeleton::take(&state, PagePath::ROOT, 1).unwrap()).unwrap();
    let mut copy = MemoryState::default();
    copy.write(Changes::new(), pages);
    let path = import.parts().next().unwrap();
    copy.write(Changes::new(), import.take_skeleton(Skeleton::take(&state, path, 1).unwrap()).unwrap());
    for path in import.parts().collect::<Vec<_>>() {
        let Ok(chunk) = Chunk::take(&state, path);
        let (rows, pages) = import.take_chunk(chunk.unwrap()).unwrap();
        copy.write(rows, pages);
    }
    assert!(copy == state);
}

/// The bytes of some row.
fn mark() -> Vec<u8> {
    encoding::encode(&ReplayMark { submit_by: Timestamp(1), next: None })
}

#[test]
fn false_skeletons() {
    let history = some_history(40);
    let (state, header) = (&history.world.state, history.world.header);
    let skeleton = Skeleton::take(state, PagePath::ROOT, 2).unwrap();
    let begin = |skeleton: Skeleton| Import::begin(&header, skeleton).map(drop);
    let other = Header { state_root: StateRoot::from_bytes([1; 32]), ..header };
    assert_eq!(Import::begin(&other, skeleton.clone()).unwrap_err(), SnapshotError::OtherRoot);

    let bytes = encoding::encode(&skeleton);
    let edit = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        encoding::decode::<Skeleton>(&bytes).map(begin)
    };
    assert_eq!(edit(&|bytes| bytes[0] = 5).unwrap(), Err(SnapshotError::Depth(5)));
    assert_eq!(edit(&|bytes| bytes[0] = 0).unwrap(), Err(SnapshotError::Depth(0)));
    // Deeper than its pages go, or less deep than they do, or without any.
    assert_eq!(edit(&|bytes| bytes[0] = 3).unwrap(), Err(SnapshotError::Pages));
    assert_eq!(edit(&|bytes| bytes[0] = 1).unwrap(), Err(SnapshotError::Pages));
    let none = encoding::decode::<Skeleton>(&[&[1u8][..], &[0; 4]].concat()).unwrap();
    assert_eq!(begin(none), Err(SnapshotError::Pages));
    let last = bytes.len() - 1;
    assert_eq!(edit(&|bytes| bytes[last] ^= 1).unwrap(), Err(SnapshotError::OtherRoot));
}

/// A state with the rows given, the header over it, and its root page's encoding.
fn small(rows: usize) -> (MemoryState, Header, Vec<u8>) {
    let (mut state, mut dice) = (MemoryState::default(), Dice::new(3));
    let row = |_| (StateKey::Executed(TxId::from_bytes(dice.bytes())), Some(mark()));
    let root = state.commit((0..rows).map(row).collect());
    let header = Header { state_root: root, ..History::new(1, tight()).world.header };
    let skeleton = encoding::encode(&Skeleton::take(&state, PagePath::ROOT, 1).unwrap());
    (state, header, skeleton)
}

/// Where the two masks and the hashes of a one-page skeleton begin: after depth, count and the page's path.
const MASKS: usize = 1 + 4 + 33;

#[test]
fn a_skeleton_that_moves_a_row_is_refused_though_its_hashes_are_right() {
    // One row: its place in the page does not show in any hash.
    let (_, header, skeleton) = small(1);
    let leaves = u16::from_le_bytes([skeleton[MASKS], skeleton[MASKS + 1]]);
    let mut moved = skeleton.clone();
    moved[MASKS..MASKS + 2].copy_from_slice(&leaves.rotate_left(1).to_le_bytes());
    assert!(Import::begin(&header, encoding::decode(&skeleton).unwrap()).is_ok());
    let moved = encoding::decode(&moved).unwrap();
    assert_eq!(Import::begin(&header, moved).unwrap_err(), SnapshotError::Misplaced);
}

#[test]
fn a_skeleton_that_takes_a_row_for_several_is_found_out() {
    // A row whose neighbour is a part of several: both hash alike whether it is given as a row or as a part.
    let found = (12..60).find_map(|rows| {
        let (state, header, skeleton) = small(rows);
        let masks = |at: usize| u16::from_le_bytes([skeleton[MASKS + at], skeleton[MASKS + at + 1]]);
        let (leaves, branches) = (masks(0), masks(2));
        let at = (0..16u32).find(|at| leaves & (1 << at) != 0 && branches & (1 << (at ^ 1)) != 0)?;
        Some((state, header, skeleton, leaves, branches, at))
    });
    let (state, header, skeleton, leaves, branches, at) = found.unwrap();
    let below = |mask: u16| (mask & ((1 << at) - 1)).count_ones() as usize;
    let row = MASKS + 4 + below(leaves) * 64 + below(branches) * 32;
    let mut domain = [0; 32];
    domain[..17].copy_from_slice(b"clavicle/smt-leaf");
    let hash = blake3::keyed_hash(&domain, &skeleton[row..row + 64]);
    let false_one = [
        &skeleton[..MASKS],
        &(leaves & !(1 << at)).to_le_bytes(),
        &(branches | 1 << at).to_le_bytes(),
        &skeleton[MASKS + 4..row],
        hash.as_bytes(),
        &skeleton[row + 64..],
    ]
    .concat();
    let (mut import, _) = Import::begin(&header, encoding::decode(&false_one).unwrap()).unwrap();
    let paths: Vec<PagePath> = import.parts().collect();
    let verdicts = paths.into_iter().map(|path| {
        let Ok(chunk) = Chunk::take(&state, path);
        import.take_chunk(chunk.unwrap()).err()
    });
    let verdicts: Vec<_> = verdicts.flatten().collect();
    assert_eq!(verdicts, [SnapshotError::FalseSkeleton]);

    // An empty part passed off as one with the hash of nothing has no encoding at all.
    let empty = (0..16).find(|at| (leaves | branches) & (1 << at) == 0).unwrap();
    let hash_at = MASKS + 4 + (leaves & ((1 << empty) - 1)).count_ones() as usize * 64;
    let hash_at = hash_at + (branches & ((1 << empty) - 1)).count_ones() as usize * 32;
    let hollow = [
        &skeleton[..MASKS + 2],
        &(branches | 1 << empty).to_le_bytes(),
        &skeleton[MASKS + 4..hash_at],
        &[0; 32],
        &skeleton[hash_at..],
    ]
    .concat();
    assert!(encoding::decode::<Skeleton>(&hollow).is_err());
}

#[test]
fn false_chunks() {
    let history = some_history(40);
    let (state, header) = (&history.world.state, history.world.header);
    let skeleton = Skeleton::take(state, PagePath::ROOT, 1).unwrap();
    let (mut import, _) = Import::begin(&header, skeleton.clone()).unwrap();
    let paths: Vec<_> = import.parts().collect();
    let take = |path| {
        let Ok(chunk) = Chunk::take(state, path);
        chunk.unwrap()
    };
    let (chunk, second) = (take(paths[0]), take(paths[1]));
    let bytes = encoding::encode(&chunk);
    let decode = |bytes: &[u8]| encoding::decode::<Chunk>(bytes).unwrap();

    // The second chunk's rows under the first one's path, and the other way round.
    let path_len = encoding::encode(&paths[0]).len();
    let mut renamed = encoding::encode(&second);
    renamed[..path_len].copy_from_slice(&bytes[..path_len]);
    assert_eq!(import.take_chunk(decode(&renamed)).unwrap_err(), SnapshotError::Rows);
    // A part that is not to come: the root itself.
    assert_eq!(import.take_chunk(take(PagePath::ROOT)).unwrap_err(), SnapshotError::OtherPart);
    assert_eq!(import.take_skeleton(skeleton).unwrap_err(), SnapshotError::OtherPart);
    // Another part's skeleton under this one's path, or a byte of a row changed, or a row left out.
    let mut wrong = encoding::encode(&Skeleton::take(state, paths[1], 1).unwrap());
    wrong[5..5 + path_len].copy_from_slice(&bytes[..path_len]);
    assert_eq!(import.take_skeleton(encoding::decode(&wrong).unwrap()).unwrap_err(), SnapshotError::OtherRoot);
    let last = bytes.len() - 1;
    let mut altered = bytes.clone();
    altered[last] ^= 1;
    assert_eq!(import.take_chunk(decode(&altered)).unwrap_err(), SnapshotError::Altered);
    let (rows, _) = import.clone().take_chunk(chunk.clone()).unwrap();
    assert!(rows.len() > 1);
    let dropped = *rows.keys().next().unwrap();
    let mut without = MemoryState::default();
    without.commit(rows.into_iter().filter(|(key, _)| *key != dropped).collect());
    let Ok(short) = Chunk::take(&without, paths[0]);
    assert_eq!(import.take_chunk(short.unwrap()).unwrap_err(), SnapshotError::Altered);
    // After all that, the right one is still taken, once.
    assert!(import.take_chunk(chunk.clone()).is_ok());
    assert_eq!(import.take_chunk(chunk).unwrap_err(), SnapshotError::OtherPart);
}

#[test]
fn a_row_of_the_wrong_kind_is_refused_though_its_hash_is_right() {
    // A network whose validators agreed on nonsense: the root vouches for it, the importer does not take it.
    let mut state = MemoryState::default();
    let root = state.commit([(StateKey::Head, Some(vec![1, 2, 3]))].into());
    let header = Header { state_root: root, ..History::new(1, tight()).world.header };
    let (mut import, pages) = Import::begin(&header, Skeleton::take(&state, PagePath::ROOT, 1).unwrap()).unwrap();
    assert_eq!(pages.pages.len(), 1);
    let Ok(chunk) = Chunk::take(&state, import.parts().next().unwrap());
    assert!(matches!(import.take_chunk(chunk.unwrap()).unwrap_err(), SnapshotError::Row(DecodeError { .. })));
}
