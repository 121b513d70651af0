//! Transactions: a body that says what and until when, and an envelope that says who signed it.
//!
//! [`Envelope::check_stateless`] does what needs no state, signatures above all, and can run on many cores; what it
//! returns is the only thing an execution takes.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::action::{self, Act as _, Author, actions};
pub use crate::action::{Precedence, StatelessError};
use crate::domain::{self, Tag};
use crate::encoding::{self, Entry, Wire};
use crate::id::{ChainId, EnvelopeHash, TxId};
use crate::key::{Key, SecretKey, Signature};
pub use crate::signatures::{MAX_ENVELOPE_LEN, MAX_SIGNATURES, Signatures};
use crate::time::Timestamp;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Body {
    /// The last moment, in block time, at which it may be executed.
    pub submit_by: Timestamp,
    /// 16 random bytes, so that the same action can be signed twice.
    pub nonce: [u8; 16],
    /// What is to be done.
    pub action: Action,
}

impl Wire for Body {
    const NAME: &'static str = "a transaction's body";
    const MAX_LEN: usize = MAX_ENVELOPE_LEN;
}

macro_rules! action {
    ($($(#[$doc:meta])* $file:ident: $name:ident, $error:ident = $number:literal;)*) => {
        /// Everything a transaction can do, numbered as in RULES §3.
        #[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
        #[borsh(use_discriminant = true)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Action {
            $($(#[$doc])* $name(action::$name) = $number,)*
        }

        impl Action {
            /// The tag of this kind of body.
            #[must_use]
            pub const fn tag(&self) -> Tag {
                match self {
                    $(Self::$name(_) => action::$name::TAG,)*
                }
            }

            /// Where this kind stands within a block.
            #[must_use]
            pub const fn precedence(&self) -> Precedence {
                match self {
                    $(Self::$name(_) => action::$name::PRECEDENCE,)*
                }
            }

            /// Who must sign, in the order in which the body names them.
            #[must_use]
            pub fn signers(&self) -> Vec<Key> {
                match self {
                    $(Self::$name(action) => action.signers(),)*
                }
            }

            /// Whose lane it waits in.
            pub(crate) fn author(&self) -> Author {
                match self {
                    $(Self::$name(action) => action.author(),)*
                }
            }

            fn check_stateless(&self, chain: &ChainId) -> Result<(), StatelessError> {
                match self {
                    $(Self::$name(action) => action.check_stateless(chain),)*
                }
            }
        }
    };
}
actions!(action);

impl Body {
    /// What its signers sign.
    #[must_use]
    pub fn preimage(&self, chain: &ChainId) -> Vec<u8> {
        domain::preimage(self.action.tag(), chain, self)
    }

    /// Its id, for replay alone.
    #[must_use]
    pub fn id(&self, chain: &ChainId) -> TxId {
        TxId::from_bytes(domain::digest(self.action.tag(), chain, self))
    }

    /// Signs the body with those of `keys` that it names, in the order in which it names them.
    ///
    /// # Errors
    /// [`StatelessError::SignatureCount`] when a named signer's key is not among `keys`.
    pub fn sign(self, chain: &ChainId, keys: &[&SecretKey]) -> Result<Envelope, StatelessError> {
        let (preimage, signers) = (self.preimage(chain), self.action.signers());
        let signatures: Vec<Signature> = signers
            .iter()
            .filter_map(|signer| keys.iter().find(|key| key.public() == *signer))
            .map(|key| key.sign(&preimage))
            .collect();
        let (given, due) = (signatures.len(), signers.len());
        if given == due {
            Ok(Envelope { body: self, signatures: Signatures::of(signatures) })
        } else {
            Err(StatelessError::SignatureCount { given, due })
        }
    }
}

/// A transaction as it travels: the body and its signatures, in the order of the keys named in the body.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Envelope {
    /// What was signed.
    pub body: Body,
    /// By whom.
    pub signatures: Signatures,
}

impl Wire for Envelope {
    const NAME: &'static str = "a transaction";
    const MAX_LEN: usize = MAX_ENVELOPE_LEN;
}

/// An envelope whose signatures hold on this chain: made by [`Envelope::check_stateless`] and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    chain: ChainId,
    envelope: Envelope,
    id: TxId,
    hash: EnvelopeHash,
    len: usize,
}

impl Envelope {
    /// Its hash, signatures included.
    #[must_use]
    pub fn hash(&self) -> EnvelopeHash {
        EnvelopeHash::of(&encoding::encode(self))
    }

    /// Checks all that needs no state: size, fields, keys, signatures, in this order, cheapest first.
    ///
    /// # Errors
    /// [`StatelessError`].
    pub fn check_stateless(self, chain: &ChainId) -> Result<Verified, StatelessError> {
        let encoded = encoding::encode(&self);
        if encoded.len() > MAX_ENVELOPE_LEN {
            return Err(StatelessError::TooLong(encoded.len()));
        }
        let signers = self.body.action.signers();
        let signatures = self.signatures.as_slice();
        if signatures.len() != signers.len() {
            return Err(StatelessError::SignatureCount { given: signatures.len(), due: signers.len() });
        }
        if signers.iter().collect::<BTreeSet<_>>().len() != signers.len() {
            return Err(StatelessError::SignerTwice);
        }
        self.body.action.check_stateless(chain)?;
        let preimage = self.body.preimage(chain);
        for (index, (signature, signer)) in signatures.iter().zip(&signers).enumerate() {
            signature.verify(signer, &preimage).map_err(|error| StatelessError::Signature { index, error })?;
        }
        let id = TxId::from_bytes(*blake3::hash(&preimage).as_bytes());
        let hash = EnvelopeHash::of(&encoded);
        Ok(Verified { chain: *chain, envelope: self, id, hash, len: encoded.len() })
    }
}

impl Verified {
    /// The network that its signatures hold on.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.envelope.body
    }

    /// The transaction's id.
    #[must_use]
    pub const fn id(&self) -> TxId {
        self.id
    }

    /// The envelope's hash.
    #[must_use]
    pub const fn hash(&self) -> EnvelopeHash {
        self.hash
    }

    /// The envelope's length in bytes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        self.len
    }
}

impl Entry for Verified {
    type Key = EnvelopeHash;
    fn key(&self) -> &EnvelopeHash {
        &self.hash
    }
}
