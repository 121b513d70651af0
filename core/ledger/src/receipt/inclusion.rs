//! The root over the receipts of an anchor, and proofs that one is among them: a Merkle tree as in RFC 9162 §2.1, with BLAKE3.

use alloc::vec::Vec;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::action::Anchor;
use crate::domain::{self, Tag};
use crate::encoding::{Fault, Wire};
use crate::id::{AnchorRoot, ChainId, ReceiptDigest};
use crate::merkle;

/// The root over receipts, in the order in which the source wrote them.
#[must_use]
pub fn anchor_root(chain: &ChainId, receipts: &[ReceiptDigest]) -> AnchorRoot {
    let count = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
    root_over(chain, count, merkle::top(&leaves(receipts)))
}

fn root_over(chain: &ChainId, count: u32, top: [u8; 32]) -> AnchorRoot {
    AnchorRoot::from_bytes(domain::digest(Tag::ANCHOR_ROOT, chain, &(count, top)))
}

fn leaves(receipts: &[ReceiptDigest]) -> Vec<[u8; 32]> {
    receipts.iter().map(|digest| *digest.as_bytes()).collect()
}

/// That a receipt is among those of an anchor.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Inclusion {
    /// Its place, from 0.
    index: u32,
    /// Receipts in the anchor.
    count: u32,
    /// What stands beside its path, from the receipt up (RFC 9162 §2.1.3).
    path: Vec<[u8; 32]>,
}

/// The proof does not lead to the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead to the anchor: the receipt is not in it")]
pub struct NotIncluded;

impl Inclusion {
    /// Proves that the receipt at place `index` is among `receipts`; `None` when there is no such place.
    #[must_use]
    pub fn of(receipts: &[ReceiptDigest], index: usize) -> Option<Self> {
        let path = merkle::path(&leaves(receipts), index)?;
        Some(Self { index: u32::try_from(index).ok()?, count: u32::try_from(receipts.len()).ok()?, path })
    }

    /// Verifies that the receipt with this digest is in `anchor`.
    ///
    /// # Errors
    /// [`NotIncluded`].
    pub fn verify(&self, chain: &ChainId, anchor: &Anchor, receipt: &ReceiptDigest) -> Result<(), NotIncluded> {
        let Self { index, count, path } = self;
        let top = merkle::climb((*index, *count), receipt.as_bytes(), path);
        let leads_there = top.is_some_and(|top| root_over(chain, *count, top) == anchor.root);
        if leads_there && u64::from(*count) == anchor.count { Ok(()) } else { Err(NotIncluded) }
    }
}

impl BorshDeserialize for Inclusion {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (index, count, len) = <(u32, u32, u32)>::deserialize_reader(reader)?;
        if len as usize > merkle::MAX_PATH {
            return Err(Fault::TooMany.raise());
        }
        let path = (0..len).map(|_| <[u8; 32]>::deserialize_reader(reader)).collect::<IoResult<_>>()?;
        Ok(Self { index, count, path })
    }
}

impl Wire for Inclusion {
    const NAME: &'static str = "a receipt's place in an anchor";
    const MAX_LEN: usize = 12 + 32 * merkle::MAX_PATH;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    fn anchor(chain: &ChainId, receipts: &[ReceiptDigest]) -> Anchor {
        let count = receipts.len() as u64;
        Anchor { source: Key::from_bytes([1; 32]), sequence: 0, root: anchor_root(chain, receipts), count }
    }

    #[test]
    fn every_receipt_in_every_small_anchor_is_proven_and_no_other() {
        let chain = ChainId::from_bytes([1; 32]);
        for count in 0..72usize {
            let receipts: Vec<_> = (0..count).map(|n| ReceiptDigest::from_bytes([n as u8; 32])).collect();
            let anchor = anchor(&chain, &receipts);
            assert_eq!(Inclusion::of(&receipts, count), None);
            for (index, digest) in receipts.iter().enumerate() {
                let proof = Inclusion::of(&receipts, index).unwrap();
                assert_eq!(proof.verify(&chain, &anchor, digest), Ok(()), "{index} of {count}");
                for other in receipts.iter().filter(|other| *other != digest) {
                    assert_eq!(proof.verify(&chain, &anchor, other), Err(NotIncluded));
                }
                let refused = |edit: &dyn Fn(&mut Inclusion)| {
                    let mut edited = proof.clone();
                    edit(&mut edited);
                    assert_eq!(edited.verify(&chain, &anchor, digest), Err(NotIncluded), "{index} of {count}");
                };
                refused(&|proof| proof.index += 1);
                refused(&|proof| proof.index = u32::MAX);
                refused(&|proof| proof.count += 1);
                refused(&|proof| proof.count -= 1);
                refused(&|proof| proof.path.push([0; 32]));
                if count > 1 {
                    refused(&|proof| proof.index = (proof.index + 1) % proof.count);
                    refused(&|proof| proof.path.truncate(proof.path.len() - 1));
                    refused(&|proof| proof.path[0][0] ^= 1);
                }
                let lying = Anchor { count: anchor.count + 1, ..anchor.clone() };
                assert_eq!(proof.verify(&chain, &lying, digest), Err(NotIncluded));
                let lying = Anchor { root: AnchorRoot::from_bytes([7; 32]), ..anchor.clone() };
                assert_eq!(proof.verify(&chain, &lying, digest), Err(NotIncluded));
                assert_eq!(proof.verify(&ChainId::from_bytes([2; 32]), &anchor, digest), Err(NotIncluded));
            }
        }
    }

    /// A node's hash must not pass for a receipt's: the tree of two is not the tree of one that is their node.
    #[test]
    fn a_node_is_no_receipt() {
        let chain = ChainId::from_bytes([1; 32]);
        let receipts = [1, 2].map(|byte| ReceiptDigest::from_bytes([byte; 32]));
        let top = merkle::top(&leaves(&receipts));
        assert_ne!(anchor_root(&chain, &receipts), anchor_root(&chain, &[ReceiptDigest::from_bytes(top)]));
        assert_ne!(anchor_root(&chain, &[]), anchor_root(&chain, &[ReceiptDigest::NONE]));
    }
}
