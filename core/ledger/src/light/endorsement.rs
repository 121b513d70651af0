//! Endorsements: a source's identity key, which lies in a safe, lets another key sign checkpoints for a time.

use borsh::{BorshDeserialize, BorshSerialize};

use super::clock::CLOCK_TOLERANCE_MS;
use crate::domain::{self, Tag};
use crate::encoding::Wire;
use crate::id::{ChainId, SourceId};
use crate::key::{Key, SecretKey, Signature, SignatureError};
use crate::time::{DAY_MS, LocalTime, Timestamp};

/// The longest that an endorsement may last, in milliseconds: whoever steals a checkpoint key has it for no longer.
pub const MAX_ENDORSEMENT_MS: u64 = DAY_MS * 90;

/// What a source's identity key says of its checkpoint key. On its own it asks the holder of the identity key to sign it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Endorsement {
    /// The network.
    pub chain: ChainId,
    /// The source.
    pub source: SourceId,
    /// The key that signs checkpoints for it, and nothing else.
    pub key: Key,
    /// From when on.
    pub from: Timestamp,
    /// Until when, exclusive.
    pub until: Timestamp,
}

/// An [`Endorsement`] with the signature of the source's identity key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedEndorsement {
    /// What is signed.
    pub endorsement: Endorsement,
    /// The identity key. Whether it is the source's, [`SignedEndorsement::verify`] does not know.
    pub identity: Key,
    /// Its signature.
    pub signature: Signature,
}

/// Why an endorsement is none, whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndorsementError {
    /// It ends before it begins.
    #[error("the endorsement ends before it begins")]
    Backwards,
    /// Longer than [`MAX_ENDORSEMENT_MS`].
    #[error("the endorsement lasts longer than 90 days")]
    TooLong,
    /// The identity key endorses itself: it would have to be at hand every day.
    #[error("the identity key endorses itself; the checkpoint key is another")]
    Itself,
    /// A signature that does not hold.
    #[error("the identity key's signature on the endorsement: {0}")]
    Signature(SignatureError),
}

impl Endorsement {
    /// Signs it with the source's identity key.
    #[must_use]
    pub fn sign(self, identity: &SecretKey) -> SignedEndorsement {
        SignedEndorsement { endorsement: self, identity: identity.public(), signature: identity.sign(&self.preimage()) }
    }

    fn preimage(&self) -> alloc::vec::Vec<u8> {
        domain::preimage(Tag::ENDORSEMENT, &self.chain, self)
    }
}

impl SignedEndorsement {
    /// Verifies the signature, and that it lasts no longer than it may.
    ///
    /// # Errors
    /// [`EndorsementError`].
    pub fn verify(&self) -> Result<(), EndorsementError> {
        let Self { endorsement, identity, signature } = self;
        if endorsement.until <= endorsement.from {
            return Err(EndorsementError::Backwards);
        }
        if endorsement.until.since(endorsement.from) > MAX_ENDORSEMENT_MS {
            return Err(EndorsementError::TooLong);
        }
        if endorsement.key == *identity {
            return Err(EndorsementError::Itself);
        }
        signature.verify(identity, &endorsement.preimage()).map_err(EndorsementError::Signature)
    }

    /// Whether it has begun, as far as a clock that is a little behind can tell.
    #[must_use]
    pub fn has_begun(&self, now: LocalTime) -> bool {
        self.endorsement.from <= now.0.plus(CLOCK_TOLERANCE_MS)
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, now: LocalTime) -> bool {
        self.endorsement.until <= now.0
    }
}

impl Wire for Endorsement {
    const NAME: &'static str = "an endorsement to be signed";
    const MAX_LEN: usize = 32 + 32 + 33 + 8 + 8;
}

impl Wire for SignedEndorsement {
    const NAME: &'static str = "an endorsement";
    const MAX_LEN: usize = Endorsement::MAX_LEN + 33 + 65;
}
