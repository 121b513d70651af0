//! How the secrets of pickups lie on the disk: sealed, each for its own ticket, under a key that lies elsewhere.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use clavicle_network::pickup::{Secret, TicketHash};
use zeroize::Zeroizing;

/// A sealed secret: 32 bytes and a tag.
pub(super) type Sealed = [u8; 48];

/// What the secrets of a relay's pickups are sealed under: of `keys/desk`.
pub struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    /// Takes 32 random bytes for one.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub(super) fn seal(&self, ticket: TicketHash, secret: &Secret) -> Sealed {
        let payload = Payload { msg: secret.as_bytes(), aad: ticket.as_bytes() };
        let sealed = self.cipher(ticket).encrypt(&Nonce::default(), payload).expect("32 bytes are not too many");
        sealed.try_into().expect("a tag has sixteen bytes")
    }

    pub(super) fn open(&self, ticket: TicketHash, sealed: &Sealed) -> Option<Secret> {
        let payload = Payload { msg: sealed, aad: ticket.as_bytes() };
        let opened = Zeroizing::new(self.cipher(ticket).decrypt(&Nonce::default(), payload).ok()?);
        Some(Secret::from_bytes(opened.as_slice().try_into().ok()?))
    }

    /// A key of each ticket's own, with which one secret is sealed and no other: a ticket is issued once.
    fn cipher(&self, ticket: TicketHash) -> ChaCha20Poly1305 {
        let key = Zeroizing::new(*blake3::keyed_hash(&self.0, ticket.as_bytes()).as_bytes());
        ChaCha20Poly1305::new((&*key).into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}
