//! What goes between two people who let each other in, as the four words are over it: hashes, and the nonces of both.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::id::ChainId;
use zeroize::{Zeroize, ZeroizeOnDrop};

clavicle_ledger::hash_types! {
    /// An Invitation: BLAKE3 of its preimage, the signature apart.
    InvitationId, "an invitation's id";
    /// An answer to an Invitation: BLAKE3 of its preimage.
    AnswerDigest, "an answer's digest";
    /// What an Invitation commits to: BLAKE3 of the nonce's preimage.
    Commitment, "an invitation's commitment";
}

/// 32 random bytes, drawn for one Invitation and told at one moment only.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct Nonce([u8; 32]);

impl Nonce {
    /// Of random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What is shown of it before it is opened. It tells nothing of it, and no other nonce fits it.
    #[must_use]
    pub fn commitment(&self, chain: &ChainId) -> Commitment {
        Commitment::from_bytes(domain::digest(Tag::INVITATION_NONCE, chain, self))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(…)")
    }
}
