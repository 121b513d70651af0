//! The root over a block's envelopes, and proofs that one is among them: a Merkle tree as in RFC 9162 §2.1, with BLAKE3.
//!
//! A block is valid only if all its envelopes were executed, so a proof of inclusion is a proof of execution.

use alloc::vec::Vec;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};

use super::Header;
use crate::domain::{self, Tag};
use crate::encoding::{Fault, Wire};
use crate::id::{ChainId, EnvelopeHash, EnvelopesRoot};
use crate::merkle;

/// RFC 9162 §2.1.1, with the number of envelopes and the domain hashed in at the top.
#[must_use]
pub fn envelopes_root(chain: &ChainId, hashes: &[EnvelopeHash]) -> EnvelopesRoot {
    let count = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
    root_over(chain, count, merkle::top(&leaves(hashes)))
}

fn root_over(chain: &ChainId, count: u32, top: [u8; 32]) -> EnvelopesRoot {
    EnvelopesRoot::from_bytes(domain::digest(Tag::ENVELOPES, chain, &(count, top)))
}

fn leaves(hashes: &[EnvelopeHash]) -> Vec<[u8; 32]> {
    hashes.iter().map(|hash| *hash.as_bytes()).collect()
}

/// That an envelope is in a block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct InclusionProof {
    /// Its place, from 0.
    index: u32,
    /// Envelopes in the block.
    count: u32,
    /// What stands beside its path, from the envelope up (RFC 9162 §2.1.3).
    neighbours: Vec<[u8; 32]>,
}

/// Why a proof of inclusion proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InclusionError {
    /// No such place.
    #[error("the proof names place {index} in a block of {count} transactions")]
    Place {
        /// The place.
        index: u32,
        /// Envelopes in the block.
        count: u32,
    },
    /// It leads to another root.
    #[error("the proof does not lead to the header's transactions: the transaction is not in this block")]
    OtherRoot,
}

/// Proves that the envelope at place `index` is among `hashes`; `None` when there is no such place.
#[must_use]
pub fn prove_inclusion(hashes: &[EnvelopeHash], index: usize) -> Option<InclusionProof> {
    let neighbours = merkle::path(&leaves(hashes), index)?;
    Some(InclusionProof { index: u32::try_from(index).ok()?, count: u32::try_from(hashes.len()).ok()?, neighbours })
}

impl InclusionProof {
    /// Verifies that the envelope with this hash is in the block with this header.
    ///
    /// # Errors
    /// [`InclusionError`].
    pub fn verify(&self, header: &Header, envelope: &EnvelopeHash) -> Result<(), InclusionError> {
        let Self { index, count, neighbours } = self;
        if index >= count {
            return Err(InclusionError::Place { index: *index, count: *count });
        }
        let top = merkle::climb((*index, *count), envelope.as_bytes(), neighbours);
        let leads_there = top.is_some_and(|top| root_over(&header.chain, *count, top) == header.envelopes);
        if leads_there { Ok(()) } else { Err(InclusionError::OtherRoot) }
    }
}

impl BorshDeserialize for InclusionProof {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (index, count, len) = <(u32, u32, u32)>::deserialize_reader(reader)?;
        if len > u32::BITS {
            return Err(Fault::TooMany.raise());
        }
        let neighbours = (0..len).map(|_| <[u8; 32]>::deserialize_reader(reader)).collect::<IoResult<_>>()?;
        Ok(Self { index, count, neighbours })
    }
}

impl Wire for InclusionProof {
    const NAME: &'static str = "a proof of inclusion";
    const MAX_LEN: usize = 12 + 32 * 32;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{BlockId, CommitDigest, SourceId, StateRoot, ValidatorsHash};
    use crate::time::BlockTime;

    fn header(chain: ChainId, envelopes: EnvelopesRoot) -> Header {
        Header {
            version: 1,
            chain,
            height: 1,
            time: BlockTime::default(),
            previous: BlockId::from_bytes([0; 32]),
            envelopes,
            state_root: StateRoot::from_bytes([0; 32]),
            validators: ValidatorsHash::from_bytes([0; 32]),
            next_validators: ValidatorsHash::from_bytes([0; 32]),
            last_commit: CommitDigest::from_bytes([0; 32]),
            proposer: SourceId::from_bytes([0; 32]),
            round: 0,
        }
    }

    #[test]
    fn every_place_in_every_small_block_is_proven_and_no_other() {
        let chain = ChainId::from_bytes([1; 32]);
        for count in 0..40usize {
            let hashes: Vec<_> = (0..count).map(|n| EnvelopeHash::from_bytes([n as u8; 32])).collect();
            let header = header(chain, envelopes_root(&chain, &hashes));
            assert!(prove_inclusion(&hashes, count).is_none());
            for (index, hash) in hashes.iter().enumerate() {
                let proof = prove_inclusion(&hashes, index).unwrap();
                assert_eq!(proof.verify(&header, hash), Ok(()), "{index} of {count}");
                for other in hashes.iter().filter(|other| *other != hash) {
                    assert_eq!(proof.verify(&header, other), Err(InclusionError::OtherRoot));
                }
                let mut moved = proof.clone();
                moved.index = (moved.index + 1) % moved.count;
                assert_eq!(moved.verify(&header, hash).is_ok(), count == 1);
                let mut cut = proof.clone();
                assert_eq!(cut.neighbours.pop().is_some(), count > 1);
                assert_eq!(cut.verify(&header, hash).is_ok(), count == 1);
                let mut longer = proof;
                longer.neighbours.push([0; 32]);
                assert_eq!(longer.verify(&header, hash), Err(InclusionError::OtherRoot));
            }
        }
    }
}
