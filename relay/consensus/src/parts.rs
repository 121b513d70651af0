//! A block in parts: cut up by its proposer, put together by everyone else.
//!
//! Each part carries the proposal that it belongs to with the proposer's signature, the same signature that the proposal
//! itself will carry: so a part from anybody else is dropped at once, and the claim that a block was proposed before
//! (`valid_round`) is the proposer's word, not that of whoever passed it on.

use std::collections::{BTreeMap, BTreeSet};

use arc_malachitebft_app_channel::app::types::PeerId;
use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::block::Block;
use clavicle_ledger::encoding::{Bytes, Wire as _};
use clavicle_ledger::id::BlockId;
use clavicle_ledger::key::Signature;
use clavicle_ledger::vote::RoundProposal;

/// Bytes in each part but the last.
pub(crate) const PART_LEN: usize = 128 * 1024;

/// The bytes of one part.
pub(crate) type PartBytes = Bytes<{ PART_LEN }>;

/// The most blocks that are being put together at once.
const MAX_ASSEMBLIES: usize = 16;
/// Of these, how many of one publisher's.
const MAX_ASSEMBLIES_EACH: usize = 2;

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
///
/// The proposer's signature does not cover a part's bytes, and once its first part is out anybody can send others under it.
/// So what different publishers send is never mixed: a stream is put together whole, or not at all.
#[derive(Debug, Default)]
pub(crate) struct Assemblies {
    /// By round and block, since a proposer may equivocate, and publisher.
    open: BTreeMap<(u32, BlockId, PeerId), Assembly>,
    /// What has been put together, and need not be again.
    done: BTreeSet<(u32, BlockId)>,
}

#[derive(Debug)]
struct Assembly {
    len: u32,
    missing: usize,
    parts: Vec<Option<PartBytes>>,
}

impl Assemblies {
    /// Adds a part whose proposal's signature was verified; returns the block's bytes when it was the last one missing.
    pub(crate) fn add(&mut self, publisher: PeerId, part: Part) -> Option<Vec<u8>> {
        let (round, block) = (part.proposal.round, part.proposal.block);
        if !part.is_sound() || self.done.contains(&(round, block)) {
            return None;
        }
        let key = (round, block, publisher);
        if !self.open.contains_key(&key) {
            self.make_room(round, &publisher)?;
            let count = part.count() as usize;
            let fresh = Assembly { len: part.len, missing: count, parts: vec![None; count] };
            self.open.insert(key, fresh);
        }
        let assembly = self.open.get_mut(&key)?;
        // A publisher that gives its block two lengths gets neither put together.
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

    /// Only an earlier round gives way to a later one.
    fn make_room(&mut self, round: u32, publisher: &PeerId) -> Option<()> {
        let theirs = self.open.keys().filter(|(_, _, other)| other == publisher).count();
        if theirs >= MAX_ASSEMBLIES_EACH {
            let (&first, _) = self.open.iter().find(|((_, _, other), _)| other == publisher)?;
            return (first.0 < round).then(|| drop(self.open.remove(&first)));
        }
        if self.open.len() >= MAX_ASSEMBLIES {
            let (&first, _) = self.open.first_key_value()?;
            return (first.0 < round).then(|| drop(self.open.remove(&first)));
        }
        Some(())
    }

    /// The bytes put together were the block's: drops what else is sent of it in this round.
    pub(crate) fn settle(&mut self, round: u32, block: BlockId) {
        self.done.insert((round, block));
        self.open.retain(|(at, other, _), _| (*at, *other) != (round, block));
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.done.clear();
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

    fn peer(byte: u8) -> PeerId {
        PeerId::from_bytes(&[&[0, 32][..], &[byte; 32]].concat()).unwrap()
    }

    #[test]
    fn parts_in_any_order_make_the_block_again() {
        for len in [1, PART_LEN, PART_LEN + 1, 3 * PART_LEN - 1] {
            let (block, mut parts) = parts(len);
            parts.reverse();
            if parts.len() > 1 {
                parts.insert(0, parts[0].clone()); // one of them twice
            }
            let mut assemblies = Assemblies::default();
            let done: Vec<_> = parts.iter().filter_map(|part| assemblies.add(peer(1), part.clone())).collect();
            assert_eq!(done, [block], "{len}");
            // Put together once, not with each copy that somebody sends.
            assemblies.settle(0, parts[0].proposal.block);
            assert!(parts.into_iter().all(|part| assemblies.add(peer(2), part).is_none()));
        }
    }

    #[test]
    fn what_one_publisher_sends_does_not_spoil_what_another_does() {
        let (block, parts) = parts(PART_LEN + 1);
        let mut spoilt = parts[1].clone();
        spoilt.bytes = PartBytes::new(vec![0xff]).unwrap();
        let mut assemblies = Assemblies::default();
        assert_eq!(assemblies.add(peer(1), spoilt), None);
        assert_eq!(assemblies.add(peer(2), parts[0].clone()), None);
        assert_eq!(assemblies.add(peer(2), parts[1].clone()), Some(block));
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
            assert_eq!(assemblies.add(peer(1), part), None);
            assert!(assemblies.open.is_empty());
        }
        assert_eq!(assemblies.add(peer(1), parts[1].clone()), None);
        let mut other_length = parts[0].clone();
        other_length.len += 1;
        assert_eq!(assemblies.add(peer(1), other_length), None);
        assert!(assemblies.add(peer(1), parts[0].clone()).is_some());
    }

    #[test]
    fn no_more_than_a_few_blocks_are_put_together_at_once() {
        let (_, parts) = parts(PART_LEN + 1);
        let mut assemblies = Assemblies::default();
        for (publisher, round) in (0..20).flat_map(|publisher| (0..9).map(move |round| (publisher, round))) {
            let mut part = parts[0].clone();
            part.proposal.round = round;
            assemblies.add(peer(publisher), part);
            assert!(assemblies.open.len() <= MAX_ASSEMBLIES);
        }
        assert_eq!(assemblies.open.len(), MAX_ASSEMBLIES);
    }
}
