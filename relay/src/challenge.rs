//! What is to be signed in a collection: proof that whoever collects from a mailbox has its key now, on this connection.
//!
//! The challenge is worked out from who asks and from the minute, under a secret that lives as long as the process. So the
//! relay keeps nothing for those who ask and do not come back, and one challenge is of no use to another peer, to another
//! relay, or two minutes later. So the asker need not say what time it is: a relay would know a device's clock again by that. A relay that was started anew refuses the challenges of before; the asker gets a new one.

use std::fmt;

use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::LocalTime;
use clavicle_network::message::{MailboxRefusal, SignedCollection};
use zeroize::Zeroizing;

const MINUTE_MS: u64 = 60_000;

/// Makes challenges and checks what was signed with them.
pub struct Challenger {
    secret: Zeroizing<[u8; 32]>,
}

/// Who is on the connection that a collection came over, and on which network.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The network.
    pub chain: ChainId,
    /// This relay.
    pub relay: SourceId,
    /// Its libp2p key.
    pub relay_peer: Key,
    /// The asker's libp2p key, as the connection has proven it.
    pub asker: Key,
}

impl Challenger {
    /// A challenger with a fresh random secret, never used before.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret: Zeroizing::new(secret) }
    }

    /// The challenge for a peer in this minute. It is good until the end of the next one.
    #[must_use]
    pub fn challenge(&self, asker: &Key, now: LocalTime) -> [u8; 32] {
        *self.of_minute(asker, now.0.0 / MINUTE_MS).as_bytes()
    }

    fn of_minute(&self, asker: &Key, minute: u64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(asker.as_bytes()).update(&minute.to_le_bytes());
        hasher.finalize()
    }

    /// Checks everything about a collection that does not need the mailbox: that it is for this relay and this connection,
    /// answers a challenge of this or the previous minute, and is signed by the mailbox's key.
    ///
    /// # Errors
    /// [`MailboxRefusal::Signature`].
    pub fn check(
        &self,
        signed: &SignedCollection,
        connection: &Connection,
        now: LocalTime,
    ) -> Result<(), MailboxRefusal> {
        let (said, Connection { chain, relay, relay_peer, asker }) = (&signed.collection, connection);
        let minute = now.0.0 / MINUTE_MS;
        // `blake3::Hash` compares in constant time.
        let answers = |minute| self.of_minute(asker, minute) == blake3::Hash::from_bytes(said.challenge);
        let holds = said.relay == *relay
            && said.relay_peer == *relay_peer
            && said.own_peer == *asker
            && (answers(minute) || minute.checked_sub(1).is_some_and(answers))
            && signed.verify(chain).is_ok();
        if holds { Ok(()) } else { Err(MailboxRefusal::Signature) }
    }
}

impl fmt::Debug for Challenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenger(…)")
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Ascending;
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::time::Timestamp;
    use clavicle_network::message::Collection;

    use super::*;

    const NOW: LocalTime = LocalTime(Timestamp(1_795_262_400_000));

    fn later(ms: u64) -> LocalTime {
        LocalTime(NOW.0.plus(ms))
    }

    fn key(n: u8) -> SecretKey {
        SecretKey::from_bytes(&[n; 32])
    }

    fn connection() -> Connection {
        Connection {
            chain: ChainId::from_bytes([1; 32]),
            relay: SourceId::from_bytes([2; 32]),
            relay_peer: key(3).public(),
            asker: key(4).public(),
        }
    }

    fn collection(challenge: [u8; 32]) -> Collection {
        let Connection { chain: _, relay, relay_peer, asker } = connection();
        Collection {
            relay,
            relay_peer,
            own_peer: asker,
            challenge,
            mailbox: key(5).public(),
            acknowledged: Ascending::new(),
        }
    }

    #[test]
    fn a_challenge_is_good_for_its_minute_and_the_next() {
        let challenger = Challenger::new([9; 32]);
        let signed = collection(challenger.challenge(&connection().asker, NOW)).sign(&connection().chain, &key(5));
        for (ms, good) in [(0, true), (59_999, true), (60_000, true), (119_999, true), (120_000, false)] {
            assert_eq!(challenger.check(&signed, &connection(), later(ms)).is_ok(), good, "{ms}");
        }
        // Another process has another secret.
        assert!(Challenger::new([8; 32]).check(&signed, &connection(), NOW).is_err());
    }

    #[test]
    fn a_collection_is_for_one_relay_one_connection_one_challenge_and_signed_by_the_mailbox() {
        let challenger = Challenger::new([9; 32]);
        let check = |edit: &dyn Fn(&mut Collection), signer: u8| {
            let mut edited = collection(challenger.challenge(&connection().asker, NOW));
            edit(&mut edited);
            challenger.check(&edited.sign(&connection().chain, &key(signer)), &connection(), NOW)
        };
        let refused = Err(MailboxRefusal::Signature);
        assert_eq!(check(&|_| {}, 5), Ok(()));
        assert_eq!(check(&|_| {}, 6), refused);
        assert_eq!(check(&|said| said.relay = SourceId::from_bytes([7; 32]), 5), refused);
        assert_eq!(check(&|said| said.relay_peer = key(7).public(), 5), refused);
        assert_eq!(check(&|said| said.own_peer = key(7).public(), 5), refused);
        assert_eq!(check(&|said| said.challenge[0] ^= 1, 5), refused);
        assert_eq!(check(&|said| said.challenge = challenger.challenge(&key(7).public(), NOW), 5), refused);
        let other_chain = collection(challenger.challenge(&connection().asker, NOW));
        let signed = other_chain.sign(&ChainId::from_bytes([7; 32]), &key(5));
        assert_eq!(challenger.check(&signed, &connection(), NOW), refused);
    }
}
