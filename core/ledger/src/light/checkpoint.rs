//! Checkpoints: a block that somebody vouches for, so that whoever believes them need not go back further.

use alloc::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::Header;
use crate::domain::{self, Tag};
use crate::encoding::{Ascending, Entry, Fault, Wire};
use crate::id::{BlockId, ChainId};
use crate::key::{Key, SecretKey, Signature, SignatureError};
use crate::time::{BlockTime, Height};

/// How many of the known sources must have signed a checkpoint; all of them, where fewer are known.
pub const NEEDED_SIGNATURES: usize = 3;
/// The most signatures on a checkpoint: enough that a few are of sources which any wallet knows.
pub const MAX_CHECKPOINT_SIGNATURES: usize = 16;

/// A block that whoever names it has seen decided. It is as good as their word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Checkpoint {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
}

impl Checkpoint {
    /// The checkpoint at a header.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self { height: header.height, block: header.id() }
    }
}

impl Wire for Checkpoint {
    const NAME: &'static str = "a checkpoint";
    const MAX_LEN: usize = 8 + 32;
}

/// A [`Checkpoint`] that sources vouch for with their identity keys, which they keep longer than any other.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedCheckpoint {
    /// The block.
    pub checkpoint: Checkpoint,
    /// Its time, so that its age is known before its header is.
    pub time: BlockTime,
    /// Who has signed. Believe nothing before [`SignedCheckpoint::verify`].
    pub signatures: Ascending<CheckpointSignature, MAX_CHECKPOINT_SIGNATURES>,
}

/// A source's signature on a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CheckpointSignature {
    /// The source's identity key.
    pub identity: Key,
    /// Its signature.
    pub signature: Signature,
}

impl Entry for CheckpointSignature {
    type Key = Key;
    fn key(&self) -> &Key {
        &self.identity
    }
}

/// Why a signed checkpoint is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Too few.
    #[error("{signed} of the sources known here have signed it; it needs {needed}")]
    TooFew {
        /// Known sources that have signed.
        signed: usize,
        /// How many must.
        needed: usize,
    },
    /// A signature that does not hold.
    #[error("the signature of source identity {identity}: {error}")]
    Signature {
        /// Whose.
        identity: Key,
        /// Why not.
        error: SignatureError,
    },
}

impl SignedCheckpoint {
    /// The checkpoint at a header, signed by nobody yet.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self { checkpoint: Checkpoint::of(header), time: header.time, signatures: Ascending::new() }
    }

    /// Adds a source's signature, by its identity key.
    ///
    /// # Errors
    /// [`Fault::TooMany`] when as many have signed as may.
    pub fn sign(&mut self, chain: &ChainId, identity: &SecretKey) -> Result<(), Fault> {
        let signature = identity.sign(&self.preimage(chain));
        self.signatures.insert(CheckpointSignature { identity: identity.public(), signature })
    }

    /// Verifies that enough of the sources have signed whose identity keys are `known`: [`NEEDED_SIGNATURES`] of them, or all.
    /// Signatures of others count for nothing and are not looked at: sources come and go, and a wallet may not have heard of it.
    ///
    /// # Errors
    /// [`CheckpointError`]; a wrong signature of a known source is one, however many others hold.
    pub fn verify(&self, chain: &ChainId, known: &BTreeSet<Key>) -> Result<(), CheckpointError> {
        // Where nobody is known, nobody can vouch.
        let needed = known.len().clamp(1, NEEDED_SIGNATURES);
        let counted = || self.signatures.iter().filter(|by| known.contains(&by.identity));
        let signed = counted().count();
        if signed < needed {
            return Err(CheckpointError::TooFew { signed, needed });
        }
        let preimage = self.preimage(chain);
        counted().try_for_each(|CheckpointSignature { identity, signature }| {
            let wrong = |error| CheckpointError::Signature { identity: *identity, error };
            signature.verify(identity, &preimage).map_err(wrong)
        })
    }

    /// What a source signs: the block, and its time.
    fn preimage(&self, chain: &ChainId) -> alloc::vec::Vec<u8> {
        domain::preimage(Tag::CHECKPOINT, chain, &(self.checkpoint, self.time))
    }
}

impl Wire for SignedCheckpoint {
    const NAME: &'static str = "a signed checkpoint";
    const MAX_LEN: usize = Checkpoint::MAX_LEN + 8 + 4 + (33 + 65) * MAX_CHECKPOINT_SIGNATURES;
}
