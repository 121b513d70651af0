//! Cards: what a recipient shows to be granted something.
//!
//! A card is looked at by a camera, so it holds what cannot be fetched and nothing else: the long-term key that signs
//! it, one key to fetch with or a few, and where messages are left and by whom they are opened. Who vouches for the
//! recipient does not fit, and changes every day: it lies, sealed, in a mailbox at the relays that the card names, and
//! whoever has the card can find and open it ([`Card::introduction_box`]), and the relays cannot. Its credential is
//! bound to the long-term key, so that nothing of it needs to be on the card. Without a network nobody vouches, and
//! that is said.
//!
//! ```text
//! network (4) ‖ person (32) ‖ name (1 + n) ‖ grantees (1 + 32 n) ‖ mailbox (32) ‖ relays (1 + 6 n) ‖ recipient (32) ‖ wish (1 + n)
//!             ‖ expires, in minutes since 1970 (4) ‖ signature (64)
//! ```
//!
//! With one grantee key, two relays and up to 32 bytes of name and wish, its code is a QR code of version 12 at level
//! M.

use std::fmt;

use borsh::io::{Read, Result as IoResult, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding::{Ascending, Entry, Fault, Hex, Text, Wire};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::{Key, KeyError, SecretKey, Signature, SignatureError};
use clavicle_ledger::time::Timestamp;

use crate::identity::{Identity, Recipient, RecipientError};
use crate::mailbox::{Mailbox, Token};

/// Most grantee keys on a card.
pub const MAX_GRANTEES: usize = 8;
/// Most relays that keep a card's mailbox.
pub const MAX_CARD_RELAYS: usize = 2;
/// For how long after its end a card is still good, in milliseconds: clocks differ.
pub const TOLERANCE_MS: u64 = 2 * 60 * 1000;
const MINUTE_MS: u64 = 60 * 1000;

/// What a recipient shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// The network.
    pub network: NetworkMark,
    /// Whose it is: the recipient's long-term key, which signs the card, and which organisations vouch for.
    pub person: Key,
    /// As the recipient calls itself. Whether anybody else does, its credential says.
    pub name: Text<64>,
    /// Fresh keys to fetch with, at least one; each is for one grant.
    pub grantees: Ascending<Key, MAX_GRANTEES>,
    /// The key of the mailbox where messages are left.
    pub mailbox: Key,
    /// The sources whose relays keep it.
    pub relays: Ascending<RelayMark, MAX_CARD_RELAYS>,
    /// Whom messages are sealed to.
    pub recipient: Recipient,
    /// What is asked for, in the recipient's words.
    pub wish: Text<128>,
    /// Until when the card is good.
    pub expires: Minute,
}

/// The first bytes of a network's id: enough to tell a card of another network. Its signature is over all of the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct NetworkMark([u8; 4]);

impl From<&ChainId> for NetworkMark {
    fn from(chain: &ChainId) -> Self {
        Self(*chain.as_bytes().first_chunk().expect("an id has 32 bytes"))
    }
}

/// The first bytes of a source's id: enough to find it among the sources of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct RelayMark([u8; 6]);

impl RelayMark {
    /// Whether it is this source's.
    #[must_use]
    pub fn is_of(&self, source: &SourceId) -> bool {
        source.as_bytes().starts_with(&self.0)
    }
}

impl fmt::Display for RelayMark {
    /// As the source's id begins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl From<&SourceId> for RelayMark {
    fn from(source: &SourceId) -> Self {
        Self(*source.as_bytes().first_chunk().expect("an id has 32 bytes"))
    }
}

impl Entry for RelayMark {
    type Key = Self;
    fn key(&self) -> &Self {
        self
    }
}

/// A minute, counted since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Minute(pub u32);

impl Minute {
    /// The minute that a moment is in.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(u32::try_from(at.0 / MINUTE_MS).unwrap_or(u32::MAX))
    }

    /// Its beginning.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp(u64::from(self.0).saturating_mul(MINUTE_MS))
    }
}

/// Where the credential of a card lies: whoever has the card has these keys.
#[derive(Clone)]
pub struct IntroductionBox {
    /// The key of the mailbox: it is opened and collected from with it.
    pub key: SecretKey,
    /// What gives the right to deposit.
    pub token: Token,
    /// What opens what lies in it.
    pub identity: Identity,
}

/// A [`Card`], signed by its person's long-term key.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    #[error("a card is signed by the long-term key that it names, and this is another")]
    Signer,
}

impl Card {
    /// Signs it with the long-term key that it names.
    ///
    /// # Errors
    /// [`CardError::NoGrantee`], [`CardError::Signer`].
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> Result<SignedCard, CardError> {
        if self.grantees.is_empty() {
            return Err(CardError::NoGrantee);
        }
        if self.person != key.public() {
            return Err(CardError::Signer);
        }
        let signature = key.sign(&domain::preimage(Tag::CARD, chain, &self));
        Ok(SignedCard { card: self, signature })
    }

    /// What gives the right to deposit into the mailbox with this key of whom messages are sealed to: it follows from
    /// what is on the card, and the relays that keep the mailbox do not know from what.
    #[must_use]
    pub fn token(mailbox: &Key, recipient: &Recipient) -> Token {
        Token(*derived("token", mailbox, recipient).first_chunk().expect("a hash has 32 bytes"))
    }

    /// The mailbox, where these sources keep it.
    #[must_use]
    pub fn mailbox(&self, relays: Ascending<SourceId, MAX_CARD_RELAYS>) -> Mailbox {
        Mailbox { key: self.mailbox, relays, token: Self::token(&self.mailbox, &self.recipient) }
    }

    /// Where its credential lies: at the same relays, for whoever has the card.
    #[must_use]
    pub fn introduction_box(&self) -> IntroductionBox {
        Self::introduction_box_of(&self.mailbox, &self.recipient)
    }

    /// Where the credential of a card with this mailbox, and this recipient, lies.
    #[must_use]
    pub fn introduction_box_of(mailbox: &Key, recipient: &Recipient) -> IntroductionBox {
        let of = |what| derived(what, mailbox, recipient);
        let key = SecretKey::from_bytes(&of("introduction"));
        let token = Token(*of("introduction's token").first_chunk().expect("a hash has 32 bytes"));
        IntroductionBox { key, token, identity: Identity::from_bytes(&of("introduction's seal")) }
    }
}

/// 32 bytes that follow from a card and that nobody without it knows.
fn derived(what: &str, mailbox: &Key, recipient: &Recipient) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("clavicle 2026-11 card: what follows from it");
    hasher.update(mailbox.as_bytes()).update(recipient.as_bytes()).update(what.as_bytes());
    *hasher.finalize().as_bytes()
}

impl SignedCard {
    /// Checks all that can be seen of a card: network, keys, signature, and that it is still good at `now`.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn verify(&self, chain: &ChainId, now: Timestamp) -> Result<&Card, CardError> {
        let Self { card, signature } = self;
        // Name and wish are the recipient's words; which relays there are the ledger knows.
        let Card { network, person, name: _, grantees, mailbox, relays: _, recipient, wish: _, expires } = card;
        if *network != NetworkMark::from(chain) {
            return Err(CardError::OtherNetwork);
        }
        if grantees.is_empty() {
            return Err(CardError::NoGrantee);
        }
        let keys = [("long-term", person), ("mailbox", mailbox)].into_iter();
        for (role, key) in keys.chain(grantees.iter().map(|key| ("grantee", key))) {
            key.check().map_err(|error| CardError::Key { role, error })?;
        }
        recipient.check()?;
        signature.verify(person, &domain::preimage(Tag::CARD, chain, card)).map_err(CardError::Signature)?;
        if now > expires.timestamp().plus(TOLERANCE_MS) { Err(CardError::Expired) } else { Ok(card) }
    }
}

/// Writes a text with its length in a byte: none on a card is longer.
fn write_text<const MAX: usize, W: Write>(text: &Text<MAX>, writer: &mut W) -> IoResult<()> {
    write_count(text.as_str().len(), writer)?;
    writer.write_all(text.as_str().as_bytes())
}

fn write_count<W: Write>(count: usize, writer: &mut W) -> IoResult<()> {
    u8::try_from(count).map_err(|_| Fault::TooMany.raise())?.serialize(writer)
}

fn read_text<const MAX: usize, R: Read>(reader: &mut R) -> IoResult<Text<MAX>> {
    let mut bytes = vec![0; usize::from(u8::deserialize_reader(reader)?)];
    reader.read_exact(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| Fault::BadText.raise())?;
    Text::new(text).map_err(Fault::raise)
}

fn read_key<R: Read>(reader: &mut R) -> IoResult<Key> {
    <[u8; 32]>::deserialize_reader(reader).map(Key::from_bytes)
}

/// Reads a list with its length in a byte. It must be in order, as it was written.
fn read_list<T: Entry, const MAX: usize, R: Read>(
    reader: &mut R,
    each: impl Fn(&mut R) -> IoResult<T>,
) -> IoResult<Ascending<T, MAX>> {
    let mut list = Ascending::<T, MAX>::new();
    for _ in 0..u8::deserialize_reader(reader)? {
        let item = each(reader)?;
        if list.last().is_some_and(|last| last.key() >= item.key()) {
            return Err(Fault::NotAscending.raise());
        }
        list.insert(item).map_err(Fault::raise)?;
    }
    Ok(list)
}

impl BorshSerialize for Card {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        let Self { network, person, name, grantees, mailbox, relays, recipient, wish, expires } = self;
        network.serialize(writer)?;
        writer.write_all(person.as_bytes())?;
        write_text(name, writer)?;
        write_count(grantees.len(), writer)?;
        for key in grantees {
            writer.write_all(key.as_bytes())?;
        }
        writer.write_all(mailbox.as_bytes())?;
        write_count(relays.len(), writer)?;
        for relay in relays {
            relay.serialize(writer)?;
        }
        recipient.serialize(writer)?;
        write_text(wish, writer)?;
        expires.serialize(writer)
    }
}

impl BorshDeserialize for Card {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        Ok(Self {
            network: NetworkMark::deserialize_reader(reader)?,
            person: read_key(reader)?,
            name: read_text(reader)?,
            grantees: read_list(reader, read_key)?,
            mailbox: read_key(reader)?,
            relays: read_list(reader, RelayMark::deserialize_reader)?,
            recipient: Recipient::deserialize_reader(reader)?,
            wish: read_text(reader)?,
            expires: Minute::deserialize_reader(reader)?,
        })
    }
}

impl BorshSerialize for SignedCard {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        self.card.serialize(writer)?;
        writer.write_all(self.signature.as_bytes())
    }
}

impl BorshDeserialize for SignedCard {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let card = Card::deserialize_reader(reader)?;
        let signature = Signature::from_bytes(<[u8; 64]>::deserialize_reader(reader)?);
        Ok(Self { card, signature })
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
            .field("person", &self.person)
            .field("grantees", &self.grantees)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IntroductionBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntroductionBox(…)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clavicle_ledger::encoding;

    use super::*;

    pub(crate) const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
    const NOW: Timestamp = Timestamp(1_790_000_040_000);

    fn secret(number: u8) -> SecretKey {
        SecretKey::from_bytes(&[number; 32])
    }

    fn keys(numbers: std::ops::Range<u8>) -> Vec<Key> {
        numbers.map(|number| secret(number).public()).collect()
    }

    fn card() -> Card {
        Card {
            network: NetworkMark::from(&CHAIN),
            person: secret(40).public(),
            name: Text::new("Dr Rossi").unwrap(),
            grantees: Ascending::from_items(keys(10..12)).unwrap(),
            mailbox: secret(2).public(),
            relays: Ascending::from_items(vec![RelayMark::from(&SourceId::from_bytes([4; 32]))]).unwrap(),
            recipient: Identity::from_bytes(&[3; 32]).recipient(),
            wish: Text::new("brain MR, five years").unwrap(),
            expires: Minute::of(NOW),
        }
    }

    pub(crate) fn signed(edit: impl FnOnce(&mut Card)) -> SignedCard {
        let mut card = card();
        edit(&mut card);
        card.sign(&CHAIN, &secret(40)).unwrap()
    }

    /// As large as a card can be.
    fn largest() -> SignedCard {
        signed(|card| {
            card.name = Text::new("ü".repeat(32)).unwrap();
            card.grantees = Ascending::from_items(keys(10..18)).unwrap();
            let relays = [7, 8].map(|n| RelayMark::from(&SourceId::from_bytes([n; 32])));
            card.relays = Ascending::from_items(relays.into()).unwrap();
            card.wish = Text::new("w".repeat(128)).unwrap();
        })
    }

    #[test]
    fn a_card_is_good_until_its_end_and_two_minutes() {
        let card = signed(|_| {});
        let end = card.card.expires.timestamp();
        assert_eq!(card.verify(&CHAIN, end.plus(TOLERANCE_MS)), Ok(&card.card));
        assert_eq!(card.verify(&CHAIN, end.plus(TOLERANCE_MS + 1)), Err(CardError::Expired));
    }

    #[test]
    fn a_card_of_another_network_is_refused_however_it_is_marked() {
        let other = ChainId::from_bytes([9; 32]);
        assert_eq!(signed(|_| {}).verify(&other, NOW), Err(CardError::OtherNetwork));
        let relabelled = signed(|card| card.network = NetworkMark::from(&other));
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
        assert_eq!(signed(|card| card.grantees.insert(weak).unwrap()).verify(&CHAIN, NOW), key_error("grantee"));
        assert_eq!(signed(|card| card.mailbox = weak).verify(&CHAIN, NOW), key_error("mailbox"));
        // The weakest key there is would sign for anybody.
        let mut anybodys = signed(|_| {});
        anybodys.card.person = weak;
        assert_eq!(anybodys.verify(&CHAIN, NOW), key_error("long-term"));
        let weak = signed(|card| card.recipient = Recipient::from_bytes([0; 32]));
        assert_eq!(weak.verify(&CHAIN, NOW), Err(CardError::Recipient(RecipientError::Weak)));
    }

    #[test]
    fn the_long_term_key_signs_and_no_other() {
        assert_eq!(card().sign(&CHAIN, &secret(10)).unwrap_err(), CardError::Signer);
        let mut none = signed(|_| {});
        none.card.grantees = Ascending::new();
        assert_eq!(none.verify(&CHAIN, NOW), Err(CardError::NoGrantee));
        assert_eq!(none.card.sign(&CHAIN, &secret(40)).unwrap_err(), CardError::NoGrantee);
        let mut swapped = signed(|_| {});
        swapped.signature = secret(10).sign(&domain::preimage(Tag::CARD, &CHAIN, &swapped.card));
        assert_eq!(swapped.verify(&CHAIN, NOW), Err(CardError::Signature(SignatureError::Wrong)));
    }

    #[test]
    fn the_largest_card_fits_and_logs_say_no_name() {
        let bytes = encoding::encode(&largest());
        assert_eq!(bytes.len(), 4 + 32 + 65 + 257 + 32 + 13 + 32 + 129 + 4 + 64);
        assert_eq!(encoding::decode(&bytes), Ok(largest()));
        assert!(!format!("{:?}", signed(|_| {})).contains("Rossi"));
    }

    #[test]
    fn a_list_out_of_order_is_no_card() {
        let card = signed(|_| {});
        let bytes = encoding::encode(&card);
        let at = 4 + 32 + 9 + 1;
        let mut swapped = bytes.clone();
        swapped.copy_within(at..at + 32, at + 32);
        swapped[at..at + 32].copy_from_slice(&bytes[at + 32..at + 64]);
        assert!(encoding::decode::<SignedCard>(&swapped).is_err());
    }

    /// What a QR code of version 12 holds at level M, in letters: ISO/IEC 18004, table 7.
    #[test]
    fn a_card_with_its_credential_by_reference_is_a_qr_code_of_version_12() {
        let usual = signed(|card| {
            card.grantees = Ascending::from_items(keys(10..11)).unwrap();
            let relays = [7, 8].map(|n| RelayMark::from(&SourceId::from_bytes([n; 32])));
            card.relays = Ascending::from_items(relays.into()).unwrap();
            card.name = Text::new("Dr Maria Rossi").unwrap();
            card.wish = Text::new("brain MR, 5 years").unwrap();
        });
        assert!(crate::code::to_text(&usual).len() <= 419);
        let fuller = signed(|card| {
            card.grantees = usual.card.grantees.clone();
            card.relays = usual.card.relays.clone();
            card.name = Text::new("n".repeat(16)).unwrap();
            card.wish = Text::new("w".repeat(16)).unwrap();
        });
        assert!(crate::code::to_text(&fuller).len() <= 419, "{}", crate::code::to_text(&fuller).len());
    }

    #[test]
    fn what_follows_from_a_card_is_nobodys_but_its_holders() {
        let (one, other) =
            (signed(|_| {}).card, signed(|card| card.recipient = Identity::from_bytes(&[9; 32]).recipient()).card);
        assert_ne!(one.introduction_box().key.public(), other.introduction_box().key.public());
        assert_ne!(one.introduction_box().key.public(), one.mailbox);
        assert_ne!(one.introduction_box().token, Card::token(&one.mailbox, &one.recipient));
        assert_ne!(Card::token(&one.mailbox, &one.recipient), Card::token(&other.mailbox, &other.recipient));
    }
}
