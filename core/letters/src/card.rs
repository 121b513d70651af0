//! Cards: what a recipient shows to be granted something.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding::{Ascending, Text, Wire};
use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::{Key, KeyError, SecretKey, Signature, SignatureError};
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::time::Timestamp;

use crate::identity::{Recipient, RecipientError};
use crate::mailbox::Mailbox;

/// Most grantee keys on a card.
pub const MAX_GRANTEES: usize = 8;
/// For how long after its end a card is still good, in milliseconds: clocks differ.
pub const TOLERANCE_MS: u64 = 2 * 60 * 1000;

/// What a recipient shows.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Card {
    /// The network.
    pub chain: ChainId,
    /// As the recipient calls itself. [`Credential`] says whether anybody else does.
    pub name: Text<64>,
    /// Who vouches for the recipient.
    pub credential: Credential,
    /// Fresh keys to fetch with, at least one; each is for one grant. The first signs the card.
    pub grantees: Ascending<Key, MAX_GRANTEES>,
    /// Where messages are left.
    pub mailbox: Mailbox,
    /// Whom they are sealed to.
    pub recipient: Recipient,
    /// What is asked for, in the recipient's words.
    pub wish: Text<128>,
    /// A recent block.
    pub checkpoint: Checkpoint,
    /// Until when the card is good.
    pub expires: Timestamp,
}

/// Who vouches for the name on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum Credential {
    /// Nobody: to be said to whoever is asked to grant.
    Unverified,
}

/// A [`Card`], signed by its first grantee key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedCard {
    /// What is signed. Believe nothing of it before [`SignedCard::verify`].
    pub card: Card,
    /// The signature.
    pub signature: Signature,
}

/// Why a card was not accepted, or not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// Another network's.
    #[error("the card is of another network than this wallet; ask for a card of this one")]
    OtherNetwork,
    /// Without a grantee key.
    #[error("the card names no key that could be granted anything; ask for another")]
    NoGrantee,
    /// A key that is not acceptable.
    #[error("the card cannot be used, ask for another: its {role} key is not good: {error}")]
    Key {
        /// What for.
        role: &'static str,
        /// Why not.
        error: KeyError,
    },
    /// A recipient that is not acceptable.
    #[error("the card cannot be used, ask for another: {0}")]
    Recipient(#[from] RecipientError),
    /// Not signed as it must be.
    #[error("the card was altered, or is not from who made its keys; ask for another: {0}")]
    Signature(SignatureError),
    /// Too old.
    #[error("the card has expired; ask for a new one")]
    Expired,
    /// To be signed with another key.
    #[error("a card is signed by the first of its grantee keys, and this is another")]
    Signer,
}

impl Card {
    /// Signs it with the first of its grantee keys, which are in ascending order.
    ///
    /// # Errors
    /// [`CardError::NoGrantee`], [`CardError::Signer`].
    pub fn sign(self, key: &SecretKey) -> Result<SignedCard, CardError> {
        if *self.signer()? != key.public() {
            return Err(CardError::Signer);
        }
        let signature = key.sign(&domain::preimage(Tag::CARD, &self.chain, &self));
        Ok(SignedCard { card: self, signature })
    }

    fn signer(&self) -> Result<&Key, CardError> {
        match self.credential {
            Credential::Unverified => self.grantees.first().ok_or(CardError::NoGrantee),
        }
    }
}

impl SignedCard {
    /// Checks all that can be seen of a card: network, keys, signature, and that it is still good at `now`.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn verify(&self, chain: &ChainId, now: Timestamp) -> Result<&Card, CardError> {
        let Self { card, signature } = self;
        // Name and wish are the recipient's words, and the checkpoint is for whoever follows the chain to judge.
        let Card { chain: of, name: _, credential: _, grantees, mailbox, recipient, wish: _, checkpoint: _, expires } =
            card;
        if of != chain {
            return Err(CardError::OtherNetwork);
        }
        let signer = card.signer()?;
        for key in grantees {
            key.check().map_err(|error| CardError::Key { role: "grantee", error })?;
        }
        mailbox.key.check().map_err(|error| CardError::Key { role: "mailbox", error })?;
        recipient.check()?;
        signature.verify(signer, &domain::preimage(Tag::CARD, chain, card)).map_err(CardError::Signature)?;
        if now > expires.plus(TOLERANCE_MS) { Err(CardError::Expired) } else { Ok(card) }
    }
}

impl Wire for SignedCard {
    const NAME: &'static str = "a card";
    const MAX_LEN: usize = 1024;
}

impl fmt::Debug for Card {
    /// For logs: not the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card")
            .field("credential", &self.credential)
            .field("grantees", &self.grantees)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clavicle_ledger::encoding;
    use clavicle_ledger::id::{BlockId, SourceId};

    use super::*;
    use crate::identity::Identity;
    use crate::mailbox::Token;

    pub(crate) const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    /// The keys with these numbers, the first of a card's first.
    fn keys(numbers: std::ops::Range<u8>) -> Vec<SecretKey> {
        let mut keys: Vec<_> = numbers.map(|number| SecretKey::from_bytes(&[number; 32])).collect();
        keys.sort_by_key(SecretKey::public);
        keys
    }

    fn card() -> Card {
        Card {
            chain: CHAIN,
            name: Text::new("Dr Rossi").unwrap(),
            credential: Credential::Unverified,
            grantees: Ascending::from_items(keys(10..12).iter().map(SecretKey::public).collect()).unwrap(),
            mailbox: Mailbox {
                key: SecretKey::from_bytes(&[2; 32]).public(),
                relays: Ascending::from_items(vec![SourceId::from_bytes([4; 32])]).unwrap(),
                token: Token([5; 16]),
            },
            recipient: Identity::from_bytes(&[3; 32]).recipient(),
            wish: Text::new("brain MR, five years").unwrap(),
            checkpoint: Checkpoint { height: 9, block: BlockId::from_bytes([6; 32]) },
            expires: NOW,
        }
    }

    fn signed(edit: impl FnOnce(&mut Card)) -> SignedCard {
        let mut card = card();
        edit(&mut card);
        card.sign(&keys(10..12)[0]).unwrap()
    }

    /// As large as a card can be.
    fn largest() -> SignedCard {
        let grantees = keys(10..18);
        let mut card = card();
        card.name = Text::new("ü".repeat(32)).unwrap();
        card.grantees = Ascending::from_items(grantees.iter().map(SecretKey::public).collect()).unwrap();
        card.mailbox.relays = Ascending::from_items([7, 8].map(|n| SourceId::from_bytes([n; 32])).into()).unwrap();
        card.wish = Text::new("w".repeat(128)).unwrap();
        card.sign(&grantees[0]).unwrap()
    }

    #[test]
    fn a_card_is_good_until_its_end_and_two_minutes() {
        let card = signed(|_| {});
        assert_eq!(card.verify(&CHAIN, NOW.plus(TOLERANCE_MS)), Ok(&card.card));
        assert_eq!(card.verify(&CHAIN, NOW.plus(TOLERANCE_MS + 1)), Err(CardError::Expired));
    }

    #[test]
    fn a_card_of_another_network_is_refused_however_it_is_signed() {
        let other = ChainId::from_bytes([9; 32]);
        assert_eq!(signed(|_| {}).verify(&other, NOW), Err(CardError::OtherNetwork));
        let mut relabelled = signed(|_| {});
        relabelled.card.chain = other;
        assert_eq!(relabelled.verify(&other, NOW), Err(CardError::Signature(SignatureError::Wrong)));
    }

    #[test]
    fn every_byte_of_a_card_is_signed() {
        let bytes = encoding::encode(&signed(|_| {}));
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let Ok(card) = encoding::decode::<SignedCard>(&bytes) else { continue };
            assert!(card.verify(&CHAIN, NOW).is_err(), "byte {at}");
        }
    }

    #[test]
    fn keys_are_checked() {
        let weak = Key::from_bytes([0; 32]);
        let key_error = |role| Err(CardError::Key { role, error: KeyError::Weak });
        let mut unsigned = signed(|_| {});
        // The weakest key there is comes first in the order, and would sign for anybody.
        unsigned.card.grantees.insert(weak).unwrap();
        assert_eq!(unsigned.verify(&CHAIN, NOW), key_error("grantee"));
        assert_eq!(signed(|card| card.mailbox.key = weak).verify(&CHAIN, NOW), key_error("mailbox"));
        let weak = signed(|card| card.recipient = Recipient::from_bytes([0; 32]));
        assert_eq!(weak.verify(&CHAIN, NOW), Err(CardError::Recipient(RecipientError::Weak)));
    }

    #[test]
    fn the_first_grantee_key_signs_and_no_other() {
        assert_eq!(card().sign(&keys(10..12)[1]).unwrap_err(), CardError::Signer);
        let mut none = signed(|_| {});
        none.card.grantees = Ascending::new();
        assert_eq!(none.verify(&CHAIN, NOW), Err(CardError::NoGrantee));
        assert_eq!(none.card.sign(&keys(10..12)[0]).unwrap_err(), CardError::NoGrantee);
        let mut swapped = signed(|_| {});
        let preimage = domain::preimage(Tag::CARD, &CHAIN, &swapped.card);
        swapped.signature = keys(10..12)[1].sign(&preimage);
        assert_eq!(swapped.verify(&CHAIN, NOW), Err(CardError::Signature(SignatureError::Wrong)));
    }

    #[test]
    fn the_largest_card_fits_and_logs_say_no_name() {
        let bytes = encoding::encode(&largest());
        assert_eq!(bytes.len(), 763);
        assert_eq!(encoding::decode(&bytes), Ok(largest()));
        assert!(!format!("{:?}", signed(|_| {})).contains("Rossi"));
    }
}
