//! Proofs: that a row is in the state, or that none is, against a header's state root.
//!
//! A proof is what stands beside the path from the root to where the path ends, with empty neighbours left out and
//! marked in a bitmap. The path ends at the row itself, at nothing, or at another row in whose place the sought one would be.

use alloc::vec::Vec;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{KeyHash, PagePath, Subtree, TreeError, TreeReader, ValueHash};
use crate::encoding::{Bytes, Fault, Wire};
use crate::id::StateRoot;
use crate::state::{ReadError, StateKey, StateReader};

/// The longest row that a proof carries, in bytes.
const MAX_ROW_LEN: usize = 128 * 1024;

/// What stands beside the path to a row.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Proof {
    /// The number of steps to where the path ends.
    depth: u16,
    /// One bit a step, from the root and from the high bit: whether the neighbour is anything but empty.
    filled: Vec<u8>,
    /// The hashes of those neighbours, from the root.
    neighbours: Vec<[u8; 32]>,
    /// What the path ends at.
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
enum End {
    /// The row itself.
    Row,
    /// Nothing.
    Nothing,
    /// Another row.
    Other(KeyHash, ValueHash),
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// It speaks of a row when none is claimed, or the other way round.
    #[error("the proof is of the opposite: it shows a row to be there, or not, where the contrary is claimed")]
    Opposite,
    /// It ends at a row that says nothing about the sought one.
    #[error("the proof ends at a row that says nothing about the one in question")]
    OtherPlace,
    /// It leads to another root.
    #[error("the proof does not lead to the state root of the header: it is older or newer than it, or false")]
    OtherRoot,
}

impl Proof {
    /// Verifies that, in the state with this root, the row under `key` is `row`, or that there is none.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, root: StateRoot, key: &StateKey, row: Option<&[u8]>) -> Result<(), ProofError> {
        let (path, depth) = (KeyHash::of(key), usize::from(self.depth));
        let end = match (self.end, row) {
            (End::Row, Some(row)) => Subtree::Leaf(path, ValueHash::of(row)),
            (End::Nothing, None) => Subtree::Empty,
            (End::Other(other, value), None) => {
                if other == path || (0..depth).any(|at| other.bit(at) != path.bit(at)) {
                    return Err(ProofError::OtherPlace);
                }
                Subtree::Leaf(other, value)
            }
            _ => return Err(ProofError::Opposite),
        };
        let mut neighbours = self.neighbours.iter().rev();
        let mut hash = end.hash();
        for at in (0..depth).rev() {
            let filled = self.filled.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0);
            let neighbour = if filled { neighbours.next().ok_or(ProofError::OtherRoot)? } else { &[0; 32] };
            let (left, right) = if path.bit(at) { (neighbour, &hash) } else { (&hash, neighbour) };
            hash = super::join(&super::NODE, left, right);
        }
        if hash == *root.as_bytes() { Ok(()) } else { Err(ProofError::OtherRoot) }
    }
}

impl BorshDeserialize for Proof {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let depth = u16::deserialize_reader(reader)?;
        let filled = Bytes::<32>::deserialize_reader(reader)?;
        let filled = filled.as_slice();
        let count = u32::deserialize_reader(reader)?;
        let bits: u32 = filled.iter().map(|byte| byte.count_ones()).sum();
        let unused = filled.last().map_or(0, |byte| byte.trailing_zeros());
        let spare = filled.len().saturating_mul(8).saturating_sub(usize::from(depth));
        // One bit a step and not a byte more, none of them past the end, and a hash for each that is set.
        if filled.len() != usize::from(depth).div_ceil(8) || (unused as usize) < spare || count != bits {
            return Err(Fault::NotCanonical.raise());
        }
        let neighbours = (0..count).map(|_| <[u8; 32]>::deserialize_reader(reader)).collect::<IoResult<Vec<_>>>()?;
        // An empty neighbour is a bit, not 32 zeros.
        if neighbours.contains(&[0; 32]) {
            return Err(Fault::NotCanonical.raise());
        }
        let end = End::deserialize_reader(reader)?;
        Ok(Self { depth, filled: filled.to_vec(), neighbours, end })
    }
}

impl Wire for Proof {
    const NAME: &'static str = "a state proof";
    const MAX_LEN: usize = 2 + 36 + 4 + 256 * 32 + 65;
}

/// A row, or its absence, with the proof.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StateProof {
    /// Which row.
    pub key: StateKey,
    /// Its bytes, or `None` when there is none.
    pub row: Option<Bytes<MAX_ROW_LEN>>,
    /// Why that is so.
    pub proof: Proof,
}

impl StateProof {
    /// Verifies the row against a header's state root.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, root: StateRoot) -> Result<(), ProofError> {
        self.proof.verify(root, &self.key, self.row.as_ref().map(Bytes::as_slice))
    }
}

impl Wire for StateProof {
    const NAME: &'static str = "a proven row";
    const MAX_LEN: usize = StateKey::MAX_LEN + 5 + MAX_ROW_LEN + Proof::MAX_LEN;
}

/// Why a proof could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<S, T> {
    /// The row could not be read.
    #[error(transparent)]
    Row(ReadError<S>),
    /// See [`TreeError`].
    #[error(transparent)]
    Tree(TreeError<T>),
}

/// Proves what the state says about `key`, against the root of `tree`.
///
/// # Errors
/// [`ProveError`].
pub fn prove<S: StateReader, T: TreeReader>(
    state: &S,
    tree: &T,
    key: StateKey,
) -> Result<StateProof, ProveError<S::Error, T::Error>> {
    let row = state.read(&key).map_err(|error| ProveError::Row(ReadError::Storage(error)))?;
    let proof = walk(tree, KeyHash::of(&key)).map_err(ProveError::Tree)?;
    let too_long = |_| ProveError::Row(ReadError::Corrupt { key, error: None });
    Ok(StateProof { key, row: row.map(Bytes::new).transpose().map_err(too_long)?, proof })
}

/// Goes down `path` to where it ends, collecting what stands beside it.
fn walk<T: TreeReader>(tree: &T, path: KeyHash) -> Result<Proof, TreeError<T::Error>> {
    let mut proof = Proof { depth: 0, filled: Vec::new(), neighbours: Vec::new(), end: End::Nothing };
    let Some(mut page) = tree.page(&PagePath::ROOT).map_err(TreeError::Storage)? else { return Ok(proof) };
    if let Some(end) = ended(&page.subtree(), path) {
        proof.end = end;
        return Ok(proof);
    }
    let mut at = PagePath::ROOT;
    loop {
        let (levels, nibble) = (page.levels(), path.nibble(at.level()));
        let steps: [(&[Subtree], usize); 4] = [
            (&levels.two, nibble >> 3),
            (&levels.four, nibble >> 2),
            (&levels.eight, nibble >> 1),
            (&levels.sixteen, nibble),
        ];
        for (parts, index) in steps {
            proof.step(&parts[index ^ 1]);
            if let Some(end) = ended(&parts[index], path) {
                proof.end = end;
                return Ok(proof);
            }
        }
        // Below the last page there are only whole paths, where nothing branches.
        at = at.child(nibble).ok_or(TreeError::Missing(at))?;
        page = super::required(tree, at)?;
    }
}

/// What the path ends at if it ends here.
fn ended(here: &Subtree, path: KeyHash) -> Option<End> {
    match here {
        Subtree::Empty => Some(End::Nothing),
        Subtree::Leaf(key, _) if *key == path => Some(End::Row),
        Subtree::Leaf(key, value) => Some(End::Other(*key, *value)),
        Subtree::Branch(_) => None,
    }
}

impl Proof {
    fn step(&mut self, neighbour: &Subtree) {
        let bit = usize::from(self.depth) % 8;
        if bit == 0 {
            self.filled.push(0);
        }
        if *neighbour != Subtree::Empty {
            if let Some(byte) = self.filled.last_mut() {
                *byte |= 0x80 >> bit;
            }
            self.neighbours.push(neighbour.hash());
        }
        self.depth = self.depth.saturating_add(1);
    }
}
