//! The signatures on what several keys sign, and how long that may be with them.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::encoding::Fault;
use crate::key::Signature;

/// The longest envelope, in bytes.
pub const MAX_ENVELOPE_LEN: usize = 4 * 1024;
/// The most signatures on one envelope: a source's identity and every key it announces.
pub const MAX_SIGNATURES: usize = 8;

/// The signatures on an envelope: at most [`MAX_SIGNATURES`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Signatures(Vec<Signature>);

impl Signatures {
    /// Takes signatures, unexamined.
    ///
    /// # Errors
    /// [`Fault::TooMany`].
    pub fn new(signatures: Vec<Signature>) -> Result<Self, Fault> {
        if signatures.len() > MAX_SIGNATURES { Err(Fault::TooMany) } else { Ok(Self(signatures)) }
    }

    /// Takes as many as a body has signers, which are fewer than that.
    pub(crate) const fn of(signatures: Vec<Signature>) -> Self {
        Self(signatures)
    }

    /// The signatures.
    #[must_use]
    pub fn as_slice(&self) -> &[Signature] {
        &self.0
    }
}

impl BorshDeserialize for Signatures {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let count = u32::deserialize_reader(reader)? as usize;
        if count > MAX_SIGNATURES {
            return Err(Fault::TooMany.raise());
        }
        (0..count).map(|_| Signature::deserialize_reader(reader)).collect::<borsh::io::Result<_>>().map(Self)
    }
}
