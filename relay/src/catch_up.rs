//! Catching up by the other relays' public ports: for a relay that has no links with the validators, or too few.
//!
//! Whoever answers is not asked for a key: a relay that was away may know none of the others' keys any more. What is answered is checked block by block,
//! each by the validators that the one before it names.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clavicle_consensus::{CertifiedBlock, Elsewhere};
use clavicle_directory::Listing;
use clavicle_ledger::block::Block;
use clavicle_ledger::encoding::Wire as _;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::Height;
use clavicle_network::message::{DecidedBlock, Query, Request, Response};
use clavicle_network::swarm::Client;

use crate::store::ChainStore;

/// How long one connection, and one answer, is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The other relays' public ports, at the addresses that this relay's chain has.
pub struct PublicPorts {
    /// The network.
    pub chain: ChainId,
    /// This source.
    pub source: SourceId,
    /// The chain.
    pub store: Arc<ChainStore>,
}

impl PublicPorts {
    async fn reach(&self, whom: SourceId) -> Option<Client> {
        let addresses = {
            let snapshot = self.store.snapshot().ok()?;
            Listing::of(whom, &snapshot.source(whom).ok()??, &snapshot.head().ok()?).relay_addresses()
        };
        Client::connect_to_anyone(self.chain, &addresses, PATIENCE).await.ok()
    }
}

#[async_trait]
impl Elsewhere for PublicPorts {
    fn whom(&self) -> Vec<SourceId> {
        let roster = self.store.snapshot().ok().and_then(|snapshot| snapshot.roster().ok());
        let admitted = roster.iter().flat_map(|roster| roster.admitted.iter());
        admitted.map(|admitted| admitted.source).filter(|source| *source != self.source).collect()
    }

    async fn newest(&self, whom: SourceId) -> Option<Height> {
        let mut client = self.reach(whom).await?;
        match client.ask(Request::Query(Query::Head)).await.ok()? {
            // It need not be true: whoever says too much is asked for blocks that it does not have.
            Response::Head(Some(head)) => Some(head.header.height),
            _ => None,
        }
    }

    async fn blocks(&self, whom: SourceId, first: Height, last: Height) -> Vec<CertifiedBlock> {
        let Some(mut client) = self.reach(whom).await else { return Vec::new() };
        let mut gathered = Gathered { first, last, blocks: Vec::new(), begun: Vec::new() };
        while let Some(query) = gathered.wanted() {
            let Ok(Response::Blocks(answer)) = client.ask(Request::Query(query)).await else { break };
            if !gathered.add(answer.into_vec()) {
                break;
            }
        }
        gathered.blocks
    }
}

/// Blocks that came, and of the next one what there is of it.
struct Gathered {
    first: Height,
    last: Height,
    blocks: Vec<CertifiedBlock>,
    begun: Vec<u8>,
}

impl Gathered {
    /// What to ask for. After one answer that ends with a whole block nothing: what is wanted then is asked for anew.
    fn wanted(&self) -> Option<Query> {
        let from = self.first.saturating_add(self.blocks.len() as u64);
        let offset = u32::try_from(self.begun.len()).ok()?;
        let goes_on = self.blocks.is_empty() || offset > 0;
        (from <= self.last && goes_on).then_some(Query::Blocks { from, offset })
    }

    /// Takes an answer. False when it leads nowhere.
    fn add(&mut self, answer: Vec<DecidedBlock>) -> bool {
        let from = self.first.saturating_add(self.blocks.len() as u64);
        let mut taken = 0usize;
        for (due, DecidedBlock { height, round, id, signatures, len, bytes }) in (from..=self.last).zip(answer) {
            let len = len as usize;
            if height != due || len > Block::MAX_LEN || self.begun.len().saturating_add(bytes.as_slice().len()) > len {
                return false;
            }
            taken = taken.saturating_add(bytes.as_slice().len());
            self.begun.extend_from_slice(bytes.as_slice());
            if self.begun.len() < len {
                break;
            }
            let (bytes, signatures) = (core::mem::take(&mut self.begun), signatures.into_vec());
            self.blocks.push(CertifiedBlock { bytes, height, round, id, signatures });
        }
        taken > 0
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Bytes;
    use clavicle_ledger::id::BlockId;
    use clavicle_network::message::List;

    use super::*;

    /// A piece of a block of `len` bytes.
    fn piece(height: Height, len: u32, bytes: usize) -> DecidedBlock {
        DecidedBlock {
            height,
            round: 0,
            id: BlockId::from_bytes([1; 32]),
            signatures: List::of([]),
            len,
            bytes: Bytes::new(vec![height as u8; bytes]).unwrap(),
        }
    }

    fn gathered() -> Gathered {
        Gathered { first: 3, last: 6, blocks: Vec::new(), begun: Vec::new() }
    }

    fn asks(gathered: &Gathered, from: Height, offset: u32) -> bool {
        gathered.wanted() == Some(Query::Blocks { from, offset })
    }

    #[test]
    fn short_blocks_come_together_and_a_long_one_in_pieces() {
        let mut all = gathered();
        assert!(asks(&all, 3, 0));
        assert!(all.add(vec![piece(3, 10, 10), piece(4, 20, 20)]));
        assert_eq!(all.wanted(), None);
        assert_eq!(
            all.blocks.iter().map(|block| (block.height, block.bytes.len())).collect::<Vec<_>>(),
            [(3, 10), (4, 20)]
        );

        let mut long = gathered();
        assert!(long.add(vec![piece(3, 30, 20)]) && asks(&long, 3, 20));
        assert!(long.add(vec![piece(3, 30, 10), piece(4, 5, 5)]));
        assert_eq!((long.wanted(), long.blocks.len()), (None, 2));
        assert_eq!(long.blocks[0].bytes, [3; 30]);
    }

    #[test]
    fn what_is_not_what_was_asked_for_ends_it() {
        assert!(!gathered().add(Vec::new()));
        assert!(!gathered().add(vec![piece(3, 10, 0)]));
        assert!(!gathered().add(vec![piece(4, 10, 10)]));
        assert!(!gathered().add(vec![piece(3, 10, 11)]));
        assert!(!gathered().add(vec![piece(3, u32::MAX, 10)]));
        let mut more = gathered();
        assert!(more.add((3..10).map(|height| piece(height, 1, 1)).collect()));
        assert_eq!(more.blocks.len(), 4);
    }
}
