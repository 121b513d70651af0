//! The state tree against a naive one that is rebuilt from all rows, every time, by the definition.

use std::collections::BTreeMap;

use clavicle_ledger::encoding::{self, Fault};
use clavicle_ledger::id::TxId;
use clavicle_ledger::state::{Changes, MemoryState, StateKey};
use clavicle_ledger::tree::{
    self, KeyHash, Page, PagePath, Proof, ProofError, ProveError, StateProof, TreeError, ValueHash,
};

use crate::history::Dice;

/// A hash keyed with a name, as the tree's definition has it.
fn keyed(name: &str, parts: [&[u8; 32]; 2]) -> [u8; 32] {
    let mut key = [0; 32];
    key[..name.len()].copy_from_slice(name.as_bytes());
    *blake3::keyed_hash(&key, &parts.map(|part| *part).concat()).as_bytes()
}

/// The root over `rows` from bit `depth` on: nothing is 32 zeros, one row is its leaf, more are the hash of two halves.
fn naive(rows: &[(KeyHash, ValueHash)], depth: usize) -> [u8; 32] {
    match rows {
        [] => [0; 32],
        [(key, value)] => keyed("clavicle/smt-leaf", [&key.0, &value.0]),
        more => {
            let (right, left): (Vec<_>, Vec<_>) = more.iter().partition(|(key, _)| key.bit(depth));
            keyed("clavicle/smt-node", [&naive(&left, depth + 1), &naive(&right, depth + 1)])
        }
    }
}

fn naive_root(rows: &BTreeMap<StateKey, Vec<u8>>) -> [u8; 32] {
    let rows: Vec<_> = rows.iter().map(|(key, row)| (KeyHash::of(key), ValueHash::of(row))).collect();
    naive(&rows, 0)
}

/// A key whose hash begins with as many zero bits as `bits`, so that deep trees are met with too.
fn deep_key(dice: &mut Dice, bits: u32) -> StateKey {
    loop {
        let key = StateKey::Executed(TxId::from_bytes(dice.bytes()));
        if u32::from_be_bytes(KeyHash::of(&key).0[..4].try_into().unwrap()).leading_zeros() >= bits {
            return key;
        }
    }
}

#[test]
fn the_same_root_as_the_naive_tree_after_every_change() {
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        let mut state = MemoryState::default();
        let pool: Vec<StateKey> = (0..200).map(|n| deep_key(&mut dice, if n % 4 == 0 { 14 } else { 0 })).collect();
        for _ in 0..120 {
            let mut changes = Changes::new();
            for _ in 0..=dice.below(12) {
                let row = (!dice.one_in(2)).then(|| dice.bytes::<5>().to_vec());
                changes.insert(*dice.pick(&pool), row);
            }
            let root = state.commit(changes);
            assert_eq!(*root.as_bytes(), naive_root(state.rows()), "seed {seed}");
            assert_eq!(state.root(), root);
        }
        // Emptied again, nothing is left: no page is forgotten.
        let gone = state.rows().keys().map(|key| (*key, None)).collect();
        assert_eq!(*state.commit(gone).as_bytes(), [0; 32]);
        assert_eq!(state, MemoryState::default());
    }
}

#[test]
fn the_way_to_a_state_does_not_show_in_it() {
    let mut dice = Dice::new(3);
    let rows: Vec<(StateKey, Vec<u8>)> =
        (0..300).map(|_| (deep_key(&mut dice, 0), dice.bytes::<9>().to_vec())).collect();
    let mut at_once = MemoryState::default();
    at_once.commit(rows.iter().cloned().map(|(key, row)| (key, Some(row))).collect());
    let mut one_by_one = MemoryState::default();
    for (key, row) in rows.iter().rev() {
        let detour = deep_key(&mut dice, 0);
        one_by_one.commit([(detour, Some(vec![1])), (*key, Some(row.clone()))].into());
        one_by_one.commit([(detour, None)].into());
    }
    assert_eq!(at_once, one_by_one);
}

#[test]
fn absence_is_proven_by_nothing_or_by_another_row_in_its_place() {
    let mut dice = Dice::new(4);
    let empty = MemoryState::default();
    let key = deep_key(&mut dice, 0);
    assert_eq!(tree::prove(&empty, &empty, key).unwrap().verify(empty.root()), Ok(()));

    let mut state = MemoryState::default();
    let only = deep_key(&mut dice, 0);
    let root = state.commit([(only, Some(vec![1]))].into());
    let absent = tree::prove(&state, &state, key).unwrap();
    assert_eq!(absent.verify(root), Ok(()));
    // The neighbour's own absence cannot be shown with it, nor anything about a path it is not on.
    let denied = StateProof { key: only, ..absent.clone() };
    assert_eq!(denied.verify(root), Err(ProofError::OtherPlace));
    let claimed = StateProof { row: Some(encoding::Bytes::new(vec![1]).unwrap()), ..absent.clone() };
    assert_eq!(claimed.verify(root), Err(ProofError::Opposite));
    let present = tree::prove(&state, &state, only).unwrap();
    assert_eq!(StateProof { row: None, ..present.clone() }.verify(root), Err(ProofError::Opposite));
    assert_eq!(present.verify(empty.root()), Err(ProofError::OtherRoot));

    let (left, right) = (deep_key(&mut dice, 12), deep_key(&mut dice, 12));
    let root = state.commit([(left, Some(vec![1])), (right, Some(vec![2]))].into());
    for key in [left, right, only, key] {
        assert_eq!(tree::prove(&state, &state, key).unwrap().verify(root), Ok(()));
    }
}

#[test]
fn proofs_have_one_form() {
    let mut dice = Dice::new(5);
    let mut state = MemoryState::default();
    let keys: Vec<StateKey> = (0..40).map(|_| deep_key(&mut dice, 0)).collect();
    state.commit(keys.iter().map(|key| (*key, Some(vec![1]))).collect());
    let proof = encoding::encode(&tree::prove(&state, &state, keys[0]).unwrap().proof);
    assert!(encoding::decode::<Proof>(&proof).is_ok());
    let depth = u16::from_le_bytes([proof[0], proof[1]]);
    assert!(depth > 2 && depth % 8 != 0, "the bit past the end is tested below: {depth}");
    let bitmap_end = 6 + usize::from(depth).div_ceil(8);
    // A bit past the end, a bit without a hash, a hash without a bit, a byte more.
    for edit in [
        (bitmap_end - 1, proof[bitmap_end - 1] | 1),
        (6, proof[6] ^ 0x80),
        (bitmap_end, proof[bitmap_end] + 1),
        (2, proof[2] + 1),
    ] {
        let mut bytes = proof.clone();
        bytes[edit.0] = edit.1;
        assert!(encoding::decode::<Proof>(&bytes).is_err(), "{edit:?}");
    }
}

#[test]
fn pages_have_one_form() {
    let mut dice = Dice::new(6);
    let mut state = MemoryState::default();
    state.commit((0..300).map(|_| (deep_key(&mut dice, 0), Some(vec![1]))).collect());
    let page = tree::TreeReader::page(&state, &PagePath::ROOT).unwrap().unwrap();
    let bytes = encoding::encode(&page);
    assert_eq!(encoding::decode::<Page>(&bytes), Ok(page));
    let mut both = bytes.clone();
    both[0] |= both[2];
    assert!(encoding::decode::<Page>(&both).is_err());
    assert_eq!(encoding::decode::<Page>(&bytes[..bytes.len() - 1]).unwrap_err().fault, Fault::Truncated);
}

#[test]
fn a_missing_page_is_damage_and_not_a_statement_about_anything() {
    let mut dice = Dice::new(9);
    let mut state = MemoryState::default();
    let keys: Vec<StateKey> = (0..2_000).map(|_| deep_key(&mut dice, 0)).collect();
    state.commit(keys.iter().map(|key| (*key, Some(vec![1]))).collect());
    let mut pages: BTreeMap<PagePath, Page> = BTreeMap::new();
    let mut next = vec![PagePath::ROOT];
    while let Some(path) = next.pop() {
        let page = tree::TreeReader::page(&state, &path).unwrap().unwrap();
        next.extend(page.branches().filter_map(|nibble| path.child(nibble)));
        pages.insert(path, page);
    }
    let gone = *pages.keys().find(|path| path.level() == 1).unwrap();
    pages.remove(&gone);
    let under = *keys.iter().find(|key| gone.covers(&KeyHash::of(key))).unwrap();
    let elsewhere = *keys.iter().find(|key| !gone.covers(&KeyHash::of(key))).unwrap();
    let missing = TreeError::Missing(gone);
    assert_eq!(tree::update(&pages, &[(under, Some(vec![2]))].into()).unwrap_err(), missing);
    assert_eq!(tree::prove(&state, &pages, under).unwrap_err(), ProveError::Tree(missing));
    assert!(tree::prove(&state, &pages, elsewhere).is_ok());
}

#[test]
fn a_pages_path_has_one_form() {
    let path = PagePath::ROOT.child(0xa).unwrap().child(3).unwrap();
    let bytes = encoding::encode(&path);
    assert_eq!(encoding::decode::<PagePath>(&bytes), Ok(path));
    for (at, value) in [(0, 200), (0, 1), (2, 1), (32, 1)] {
        let mut other = bytes.clone();
        other[at] = value;
        assert!(encoding::decode::<PagePath>(&other).is_err(), "{at} {value}");
    }
}
