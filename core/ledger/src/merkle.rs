//! Merkle trees over lists of hashes, as in RFC 9162 §2.1, with BLAKE3: over a block's envelopes and over a source's receipts.
//!
//! Leaves and nodes are hashed apart, so that neither passes for the other. Whoever uses a tree hashes the number of leaves and
//! a tag into its root: what is here is the part without a domain.

use alloc::vec::Vec;

/// The longest path: beside 2^32 leaves.
pub(crate) const MAX_PATH: usize = 32;

fn leaf(hash: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 33];
    bytes[1..].copy_from_slice(hash);
    *blake3::hash(&bytes).as_bytes()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    *blake3::hash(&bytes).as_bytes()
}

/// Where RFC 9162 divides `count` leaves: at the largest power of two below it.
const fn split(count: usize) -> usize {
    count.div_ceil(2).next_power_of_two()
}

/// The top over `hashes` (RFC 9162 §2.1.1); zeros over none.
pub(crate) fn top(hashes: &[[u8; 32]]) -> [u8; 32] {
    match hashes {
        [] => [0; 32],
        [only] => leaf(only),
        more => {
            let (left, right) = more.split_at(split(more.len()));
            node(&top(left), &top(right))
        }
    }
}

/// What stands beside the way from place `index` to the top, from below (RFC 9162 §2.1.3.1); `None` when there is no such place.
pub(crate) fn path(hashes: &[[u8; 32]], index: usize) -> Option<Vec<[u8; 32]>> {
    hashes.get(index)?;
    let (mut part, mut at, mut path) = (hashes, index, Vec::new());
    while part.len() > 1 {
        let (left, right) = part.split_at(split(part.len()));
        let (mine, other) = if at < left.len() { (left, right) } else { (right, left) };
        at = if at < left.len() { at } else { at.saturating_sub(left.len()) };
        path.push(top(other));
        part = mine;
    }
    path.reverse();
    Some(path)
}

/// The top that a path leads to from place `index` of `count` (RFC 9162 §2.1.3.2); `None` when it is of another length.
pub(crate) fn climb((index, count): (u32, u32), hash: &[u8; 32], path: &[[u8; 32]]) -> Option<[u8; 32]> {
    if index >= count {
        return None;
    }
    let (mut place, mut last, mut hash) = (index, count.saturating_sub(1), leaf(hash));
    for neighbour in path {
        if last == 0 {
            return None;
        }
        if place % 2 == 1 || place == last {
            hash = node(neighbour, &hash);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, neighbour);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}
