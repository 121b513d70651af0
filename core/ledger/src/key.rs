//! Keys and signatures: Ed25519, strictly.
//!
//! RFC 8032 leaves room for two verifiers to disagree about a signature. A ledger cannot have that, so keys are
//! accepted only in canonical form and not of small order, and signatures only by `verify_strict`, one by one.

use core::fmt;

use borsh::io::{Read, Result as IoResult, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::encoding::{Entry, Fault, Hex, Wire};

/// The algorithm tag in front of every key and signature.
const ED25519: u8 = 0;

/// A public key: tag 0 and 32 bytes of Ed25519. Decoding reads its form only; [`Key::check`] says whether it is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

/// Why 32 bytes are not accepted as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not in canonical form: the same point could be written another way.
    #[error("the key is not in canonical form")]
    NotCanonical,
    /// Not a point of the curve.
    #[error("the key is not a point of the curve")]
    NotAPoint,
    /// A point of small order: anyone can sign for it.
    #[error("the key is of small order, so that anyone could sign for it")]
    Weak,
}

impl Key {
    /// Takes 32 bytes for a key, unexamined.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, without the algorithm tag.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks what every key must be before it is stored or verifies anything.
    ///
    /// # Errors
    /// [`KeyError`], in the order of its variants.
    pub fn check(&self) -> Result<(), KeyError> {
        self.verifying().map(drop)
    }

    pub(crate) fn verifying(&self) -> Result<VerifyingKey, KeyError> {
        if !self.is_canonical() {
            return Err(KeyError::NotCanonical);
        }
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(key) }
    }

    /// Whether the y coordinate is below the field's prime 2^255 − 19 (RFC 8032 §5.1.3 step 1). The other way to write a
    /// point twice, the sign of an x that is zero, exists only for points of small order.
    fn is_canonical(&self) -> bool {
        let [low, middle @ .., high] = &self.0;
        high & 0x7f != 0x7f || middle.iter().any(|&byte| byte != 0xff) || *low < 0xed
    }
}

impl Wire for Key {
    const NAME: &'static str = "a key";
    const MAX_LEN: usize = 33;
}

impl Entry for Key {
    type Key = Self;
    fn key(&self) -> &Self {
        self
    }
}

impl BorshSerialize for Key {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        (ED25519, self.0).serialize(writer)
    }
}

impl BorshDeserialize for Key {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        expect_ed25519(reader)?;
        <[u8; 32]>::deserialize_reader(reader).map(Self)
    }
}

fn expect_ed25519<R: Read>(reader: &mut R) -> IoResult<()> {
    if u8::deserialize_reader(reader)? == ED25519 { Ok(()) } else { Err(Fault::UnknownAlgorithm.raise()) }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}…)", Hex(&self.0[..4]))
    }
}

/// A signature: tag 0 and 64 bytes of Ed25519.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// Why a signature was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The key itself is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature is not this key's over these bytes.
    #[error("the signature is not this key's over this text; it was altered, or made for another network or purpose")]
    Wrong,
}

impl Signature {
    /// Takes 64 bytes for a signature, unexamined.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes, without the algorithm tag.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Verifies strictly, as Ed25519's `verify_strict` does.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, key: &Key, message: &[u8]) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        key.verifying()?.verify_strict(message, &signature).map_err(|_| SignatureError::Wrong)
    }
}

impl Wire for Signature {
    const NAME: &'static str = "a signature";
    const MAX_LEN: usize = 65;
}

impl BorshSerialize for Signature {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        (ED25519, self.0).serialize(writer)
    }
}

impl BorshDeserialize for Signature {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        expect_ed25519(reader)?;
        <[u8; 64]>::deserialize_reader(reader).map(Self)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}…)", Hex(&self.0[..4]))
    }
}

/// A private key. Wiped when dropped; never shown, never encoded.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte Ed25519 seed (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> Key {
        Key(self.0.verifying_key().to_bytes())
    }

    /// The 32-byte seed, for a transport whose endpoint this key is to be. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Signs bytes that begin with a [`Tag`](crate::domain::Tag): see [`crate::domain::preimage`].
    #[must_use]
    pub fn sign(&self, preimage: &[u8]) -> Signature {
        Signature(self.0.sign(preimage).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_must_be_canonical_on_the_curve_and_strong() {
        let mut over = [0xff; 32]; // y = p + 18 with the sign bit set
        assert_eq!(Key(over).check(), Err(KeyError::NotCanonical));
        over = [0xff; 32];
        over[0] = 0xed; // y = p, a second way to write 0
        over[31] = 0x7f;
        assert_eq!(Key(over).check(), Err(KeyError::NotCanonical));
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(Key(identity).check(), Err(KeyError::Weak));
        assert_eq!(Key([0; 32]).check(), Err(KeyError::Weak)); // order 4
        let mut off = [0; 32];
        off[0] = 2;
        assert_eq!(Key(off).check(), Err(KeyError::NotAPoint));
        assert_eq!(SecretKey::from_bytes(&[1; 32]).public().check(), Ok(()));
    }
}
