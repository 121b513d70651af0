//! The state tree: a sparse Merkle tree over every row of the state.
//!
//! A row lies at the path that the hash of its key spells, bit by bit. A subtree with nothing in it is [`Subtree::Empty`];
//! one with a single row is that row's [`Subtree::Leaf`], however deep the row would lie; anything else is
//! [`Subtree::Branch`], the hash of its two halves. So the tree over given rows is one tree, and its depth near log₂ of
//! their number.
//!
//! ```text
//! leaf   = BLAKE3 keyed "clavicle/smt-leaf" ( key hash ‖ value hash )
//! branch = BLAKE3 keyed "clavicle/smt-node" ( left ‖ right )          an empty half counts as 32 zeros
//! ```
//!
//! It is kept in [`Page`]s of four levels each, by path, in the latest version only: proofs are against the head, and a
//! candidate block is [`TreeChanges`] over it, written when the block is decided.

mod page;
mod proof;
mod update;

use alloc::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};

pub use self::page::{Page, PagePath};
pub use self::proof::{Proof, ProofError, ProveError, StateProof, prove};
pub(crate) use self::update::build;
pub use self::update::{TreeChanges, update};
use crate::encoding;
use crate::id::StateRoot;
use crate::state::StateKey;

/// The path of a row: the hash of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct KeyHash(pub [u8; 32]);

/// The hash of a row's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValueHash(pub [u8; 32]);

/// 32 bytes that set one kind of hash in the tree apart from the others.
const fn domain(name: &str) -> [u8; 32] {
    let (name, mut bytes, mut at) = (name.as_bytes(), [0; 32], 0);
    while at < name.len() {
        bytes[at] = name[at];
        at = at.wrapping_add(1);
    }
    bytes
}

const KEY: [u8; 32] = domain("clavicle/smt-key");
const VALUE: [u8; 32] = domain("clavicle/smt-value");
const LEAF: [u8; 32] = domain("clavicle/smt-leaf");
const NODE: [u8; 32] = domain("clavicle/smt-node");

impl KeyHash {
    /// The path of the row under `key`.
    #[must_use]
    pub fn of(key: &StateKey) -> Self {
        Self(*blake3::keyed_hash(&KEY, &encoding::encode(key)).as_bytes())
    }

    /// Step `depth` of the path, from the root: left (`false`) or right.
    #[must_use]
    pub fn bit(&self, depth: usize) -> bool {
        self.0.get(depth / 8).is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
    }

    /// Steps 4·`level` to 4·`level` + 3.
    fn nibble(&self, level: usize) -> usize {
        let byte = self.0.get(level / 2).copied().unwrap_or(0);
        usize::from(if level.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f })
    }
}

impl ValueHash {
    /// The hash of a row's bytes.
    #[must_use]
    pub fn of(row: &[u8]) -> Self {
        Self(*blake3::keyed_hash(&VALUE, row).as_bytes())
    }
}

/// What is known of a part of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subtree {
    /// Nothing in it.
    Empty,
    /// One row in it.
    Leaf(KeyHash, ValueHash),
    /// More than one; the hash of its halves.
    Branch([u8; 32]),
}

impl Subtree {
    /// The hash under which the part above knows this one.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        match self {
            Self::Empty => [0; 32],
            Self::Leaf(key, value) => join(&LEAF, &key.0, &value.0),
            Self::Branch(hash) => *hash,
        }
    }

    /// The part made of two halves.
    fn over(left: &Self, right: &Self) -> Self {
        match (left, right) {
            (Self::Empty, other @ (Self::Empty | Self::Leaf(..))) | (other @ Self::Leaf(..), Self::Empty) => *other,
            _ => Self::Branch(join(&NODE, &left.hash(), &right.hash())),
        }
    }
}

fn join(domain: &[u8; 32], left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(left);
    bytes[32..].copy_from_slice(right);
    *blake3::keyed_hash(domain, &bytes).as_bytes()
}

/// Something the tree's pages can be read from.
pub trait TreeReader {
    /// What can go wrong in reading.
    type Error;

    /// The page at `path`, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Error>;
}

/// Why the tree could not be read. Says nothing about a block or a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError<E> {
    /// The store failed.
    #[error("the state tree could not be read")]
    Storage(#[source] E),
    /// A page is gone that the one above speaks of; the store is damaged.
    #[error("the state tree lacks its page at {0:?}; restore it from a snapshot")]
    Missing(PagePath),
}

/// The page at `path`, which the one above says is there.
fn required<T: TreeReader>(reader: &T, path: PagePath) -> Result<Page, TreeError<T::Error>> {
    reader.page(&path).map_err(TreeError::Storage)?.ok_or(TreeError::Missing(path))
}

impl TreeReader for BTreeMap<PagePath, Page> {
    type Error = core::convert::Infallible;
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Self::Error> {
        Ok(self.get(path).cloned())
    }
}

/// The root of the tree that `reader` holds.
///
/// # Errors
/// When the store fails.
pub fn root<T: TreeReader>(reader: &T) -> Result<StateRoot, T::Error> {
    let top = reader.page(&PagePath::ROOT)?.map_or(Subtree::Empty, |page| page.subtree());
    Ok(StateRoot::from_bytes(top.hash()))
}
