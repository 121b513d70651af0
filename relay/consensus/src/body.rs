//! A block's bytes, bound to its id.
//!
//! A vote is for a header's hash. Whoever sends other transactions under the same header must not be able to make the block
//! look invalid, so what the header commits to is compared before anybody asks whether the block is valid.

use clavicle_ledger::block::{Block, CommitCertificate, envelopes_root};
use clavicle_ledger::encoding::{self, DecodeError};
use clavicle_ledger::id::{BlockId, ChainId, EnvelopeHash};

/// Why bytes are not the block that they are said to be. Says nothing about the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the header is of another network")]
    Chain,
    #[error("the header is another one than was voted for")]
    OtherBlock,
    #[error("the transactions are not those of the header")]
    Envelopes,
    #[error("the certificate is not that of the header")]
    LastCommit,
}

/// Reads a block and checks that all of it is what its header commits to, and the header what `expected` says, if it does.
pub(crate) fn open(bytes: &[u8], chain: &ChainId, expected: Option<BlockId>) -> Result<(BlockId, Block), BodyError> {
    let block: Block = encoding::decode(bytes)?;
    if block.header.chain != *chain {
        return Err(BodyError::Chain);
    }
    let id = block.header.id();
    if expected.is_some_and(|expected| expected != id) {
        return Err(BodyError::OtherBlock);
    }
    let hash = |envelope| EnvelopeHash::from_bytes(*blake3::hash(&encoding::encode(envelope)).as_bytes());
    let hashes: Vec<EnvelopeHash> = block.envelopes.iter().map(hash).collect();
    if envelopes_root(chain, &hashes) != block.header.envelopes {
        return Err(BodyError::Envelopes);
    }
    if CommitCertificate::digest_of(block.last_commit.as_ref(), chain) != block.header.last_commit {
        return Err(BodyError::LastCommit);
    }
    Ok((id, block))
}
