//! A block in parts: cut up by its proposer, put together by everyone else.
//!
//! Each part carries the proposal that it belongs to with the proposer's signature, the same signature that the proposal
//! itself will carry: so a part from anybody else is dropped at once, and the claim that a block was proposed before
//! (`valid_round`) is the proposer's word, not that of whoever passed it on.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::block::Block;
use clavicle_ledger::encoding::Wire as _;
use clavicle_ledger::id::BlockId;
use clavicle_ledger::key::Signature;
use clavicle_ledger::vote::RoundProposal;

use crate::context::PartBytes;

/// Bytes in each part but the last.
pub(crate) const PART_LEN: usize = 128 * 1024;

/// The most blocks that are being put together at once. A proposer owns its rounds, so this bounds memory, not fairness.
const MAX_ASSEMBLIES: usize = 8;

/// One part of a proposed block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Part {
    /// The proposal it belongs to.
    pub(crate) proposal: RoundProposal,
    /// The proposer's signature of the proposal.
    pub(crate) signature: Signature,
    /// Bytes in the whole block.
    pub(crate) len: u32,
    /// Its place, from 0.
    pub(crate) index: u32,
    /// Its bytes.
    pub(crate) bytes: PartBytes,
}

impl Part {
    /// Parts in the block, going by its length.
    pub(crate) fn count(&self) -> u32 {
        self.len.div_ceil(PART_LEN as u32)
    }

    /// Whether it can be a part of a block at all.
    fn is_sound(&self) -> bool {
        let (len, start) = (self.len as usize, self.index as usize * PART_LEN);
        len > 0 && len <= Block::MAX_LEN && start < len && self.bytes.as_slice().len() == PART_LEN.min(len - start)
    }
}

/// Cuts a block up; the signature is the proposer's, of the proposal.
pub(crate) fn split(proposal: RoundProposal, signature: Signature, block: &[u8]) -> Vec<Part> {
    let len = u32::try_from(block.len()).unwrap_or(u32::MAX);
    let part = |(index, bytes): (usize, &[u8])| Part {
        proposal,
        signature,
        len,
        index: u32::try_from(index).unwrap_or(u32::MAX),
        bytes: PartBytes::new(bytes.to_vec()).expect("a chunk is no longer than a part"),
    };
    block.chunks(PART_LEN).enumerate().map(part).collect()
}

/// Blocks that are being put together, all of one height.
#[derive(Debug, Default)]
pub(crate) struct Assemblies {
    /// By round and block. A proposer may equivocate, so there can be more than one block a round.
    open: BTreeMap<(u32, BlockId), Assembly>,
}

#[derive(Debug)]
struct Assembly {
    len: u32,
    missing: usize,
    parts: Vec<Option<PartBytes>>,
}

impl Assemblies {
    /// Adds a part whose signature was verified; returns the block's bytes when it was the last one missing.
    pub(crate) fn add(&mut self, part: Part) -> Option<Vec<u8>> {
        if !part.is_sound() {
            return None;
        }
        let key = (part.proposal.round, part.proposal.block);
        if !self.open.contains_key(&key) {
            while self.open.len() >= MAX_ASSEMBLIES {
                // The oldest round is the one least likely to be decided.
                self.open.pop_first();
            }
            let count = part.count() as usize;
            let fresh = Assembly { len: part.len, missing: count, parts: vec![None; count] };
            self.open.insert(key, fresh);
        }
        let assembly = self.open.get_mut(&key)?;
        // A proposer that gives its block two lengths gets neither put together.
        let place = assembly.parts.get_mut(part.index as usize).filter(|_| assembly.len == part.len)?;
        if place.is_some() {
            return None;
        }
        *place = Some(part.bytes);
        assembly.missing -= 1;
        if assembly.missing > 0 {
            return None;
        }
        let assembly = self.open.remove(&key)?;
        Some(assembly.parts.into_iter().flatten().flat_map(PartBytes::into_vec).collect())
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::id::SourceId;

    use super::*;

    fn parts(len: usize) -> (Vec<u8>, Vec<Part>) {
        let block: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let proposal = RoundProposal {
            height: 1,
            round: 0,
            block: BlockId::from_bytes([1; 32]),
            valid_round: None,
            proposer: SourceId::from_bytes([2; 32]),
        };
        let parts = split(proposal, Signature::from_bytes([3; 64]), &block);
        (block, parts)
    }

    #[test]
    fn parts_in_any_order_make_the_block_again() {
        for len in [1, PART_LEN, PART_LEN + 1, 3 * PART_LEN - 1] {
            let (block, mut parts) = parts(len);
            parts.reverse();
            parts.insert(0, parts[0].clone()); // and one of them twice
            let mut assemblies = Assemblies::default();
            let done: Vec<_> = parts.into_iter().filter_map(|part| assemblies.add(part)).collect();
            assert_eq!(done, [block], "{len}");
        }
    }

    #[test]
    fn parts_that_cannot_be_of_a_block_are_dropped() {
        let (_, parts) = parts(PART_LEN + 1);
        let mut assemblies = Assemblies::default();
        for spoil in [
            |part: &mut Part| part.index = 2,
            |part: &mut Part| part.index = u32::MAX,
            |part: &mut Part| part.len = 0,
            |part: &mut Part| part.len = u32::MAX,
            |part: &mut Part| part.len = 5,
            |part: &mut Part| part.bytes = PartBytes::default(),
        ] {
            let mut part = parts[1].clone();
            spoil(&mut part);
            assert_eq!(assemblies.add(part), None);
            assert!(assemblies.open.is_empty());
        }
        assert_eq!(assemblies.add(parts[1].clone()), None);
        let mut other_length = parts[0].clone();
        other_length.len += 1;
        assert_eq!(assemblies.add(other_length), None);
        assert!(assemblies.add(parts[0].clone()).is_some());
    }

    #[test]
    fn no_more_than_a_few_blocks_are_put_together_at_once() {
        let (_, parts) = parts(PART_LEN + 1);
        let mut assemblies = Assemblies::default();
        for round in 0..100 {
            let mut part = parts[0].clone();
            part.proposal.round = round;
            assemblies.add(part);
        }
        assert_eq!(assemblies.open.len(), MAX_ASSEMBLIES);
    }
}
