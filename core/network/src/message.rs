//! What is asked of a relay over libp2p, and what it answers: `submit`, `query` and `mailbox` of one protocol.
//!
//! One request, one response, each with its one borsh encoding. Nothing in a response is to be believed for the relay's
//! sake: headers come with certificates, rows and inclusions with proofs, and [`clavicle_ledger::light`] checks them.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::block::InclusionProof;
use clavicle_ledger::confirm::{Inquiry, SignedNewest};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding::{Ascending, Bytes, Fault, Text, Wire};
use clavicle_ledger::id::{BlockId, ChainId, EnvelopeHash, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey, Signature, SignatureError};
use clavicle_ledger::light::{CertifiedHeader, SignedCheckpoint, ValidatorChange};
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_ledger::source::MAX_SOURCES;
use clavicle_ledger::state::StateKey;
use clavicle_ledger::time::{Height, Timestamp};
use clavicle_ledger::transaction::{Envelope, MAX_ENVELOPE_LEN};
use clavicle_ledger::tree::StateProof;
use clavicle_ledger::validators::ValidatorSet;
use clavicle_letters::credential::Vouching;
use clavicle_letters::mailbox::{MAX_SEALED_LEN, Token};

use crate::work::{Price, Work};

/// The longest request, in bytes: a deposit and what stands around it.
pub const MAX_REQUEST_LEN: usize = MAX_SEALED_LEN + 1024;
/// The longest response, in bytes.
pub const MAX_RESPONSE_LEN: usize = 2 * 1024 * 1024;
/// Most rows proven in one response.
pub const MAX_ROWS: usize = 16;
/// Most changes of validators in one response.
pub const MAX_CHANGES: usize = 32;
/// Most waiting transactions named in one response.
pub const MAX_WAITING: usize = 16 * 1024;
/// Most transactions in one response.
pub const MAX_ENVELOPES: usize = 256;
/// Most holdings in one response: among so many of other people a wallet's own are hidden.
pub const MAX_HOLDINGS: usize = 1_024;
/// Most signed checkpoints in one response: two of each source.
pub const MAX_CHECKPOINTS: usize = 2 * MAX_SOURCES;
/// Most blocks in one response.
pub const MAX_BLOCKS: usize = 16;
/// Bytes of blocks in one response.
pub const MAX_BLOCK_BYTES: usize = 256 * 1024;
/// Most messages in a mailbox.
pub const MAX_DEPOSITS: usize = 64;
/// Most messages in one response.
pub const MAX_COLLECTED: usize = 16;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Request {
    /// Take a transaction in.
    Submit(Box<Envelope>),
    /// Say something about the chain.
    Query(Query),
    /// Do something about a mailbox.
    Mailbox(Box<MailboxRequest>),
}

/// What can be asked about the chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Query {
    /// The newest block's header.
    Head,
    /// The changes of validators that act after a height, the earliest first.
    Changes {
        /// After which.
        after: Height,
    },
    /// Rows of the state at the newest block, or their absence.
    Rows(Ascending<RowKey, MAX_ROWS>),
    /// Whether a transaction was executed.
    Inclusion(EnvelopeHash),
    /// Which transactions wait for a block. For other relays, which take in what they miss.
    Waiting,
    /// Transactions that wait for a block.
    Envelopes(Ascending<EnvelopeHash, MAX_ENVELOPES>),
    /// The header at a height, with those who decided it: to start from a checkpoint, or to jump over changes.
    Decided(Height),
    /// Who holds which study, of all holder keys that begin like this: a wallet finds its studies among those of others.
    Holders(Prefix),
    /// Decided blocks from a height on: for a relay that the validators' port does not let in (yet).
    Blocks {
        /// The first.
        from: Height,
        /// Where in it to go on: a long block comes in pieces.
        offset: u32,
    },
    /// Which block is the newest here, over a number that was drawn just now. For other relays, which decide by it.
    Newest(Inquiry),
    /// The newest blocks that sources vouch for: whoever was away too long goes on from one.
    Checkpoints,
    /// What this source says of whoever has this long-term key. Asked by that person's own wallet, which shows the
    /// answer to others; nobody checks who asks, so whoever knows the key can.
    Credential(Key),
}

/// A [`StateKey`] in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct RowKey(pub StateKey);

impl clavicle_ledger::encoding::Entry for RowKey {
    type Key = StateKey;
    fn key(&self) -> &StateKey {
        &self.0
    }
}

/// What a key begins with: its first bits, 255 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Prefix {
    bits: u8,
    first: [u8; 32],
}

impl Prefix {
    /// The first `bits` of a key.
    #[must_use]
    pub fn of(key: &Key, bits: u8) -> Self {
        let (first, _) = Self { bits, first: *key.as_bytes() }.range();
        Self { bits, first }
    }

    /// The first and the last 32 bytes that begin like this, whatever came over the network.
    #[must_use]
    pub fn range(&self) -> ([u8; 32], [u8; 32]) {
        let (mut low, mut high) = (self.first, self.first);
        for (place, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            // How many bits of this byte are of the prefix.
            let bits = usize::from(self.bits).saturating_sub(place.saturating_mul(8)).min(8);
            let rest = 0xff_u16.checked_shr(u32::try_from(bits).unwrap_or(8)).unwrap_or(0).to_le_bytes()[0];
            *low &= !rest;
            *high |= rest;
        }
        (low, high)
    }
}

/// That a key holds a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Holding {
    /// The key.
    pub holder: Key,
    /// The study.
    pub study: StudyId,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Response {
    /// To [`Request::Submit`].
    Verdict(Verdict),
    /// To [`Query::Head`]; none before the first block.
    Head(Option<Box<CertifiedHeader>>),
    /// To [`Query::Changes`].
    Changes(List<ValidatorChange, MAX_CHANGES>),
    /// To [`Query::Rows`]; none before the first block.
    Rows(Option<Box<ProvenRows>>),
    /// To [`Query::Inclusion`]; none while it waits, or is not known.
    Inclusion(Option<Box<Included>>),
    /// To [`Query::Waiting`].
    Waiting(Ascending<EnvelopeHash, MAX_WAITING>),
    /// To [`Query::Envelopes`]: those that are still there.
    Envelopes(List<Envelope, MAX_ENVELOPES>),
    /// To [`Request::Mailbox`].
    Mailbox(MailboxResponse),
    /// The relay cannot answer now; ask another, or later.
    Unavailable,
    /// To [`Query::Decided`]; none while the relay is not that far.
    Decided(Option<Box<Decided>>),
    /// To [`Query::Holders`]; none when there are more than go into one answer: ask with a longer prefix. A hint, without proof.
    Holders(Option<List<Holding, MAX_HOLDINGS>>),
    /// To [`Request::Submit`] of a revocation, by the study's own source: it binds already, whatever becomes of the transaction.
    Bound {
        /// What became of it.
        verdict: Verdict,
        /// Since when nobody is served on the grant.
        receipt: Box<SignedReceipt>,
    },
    /// To [`Query::Blocks`]: in order, the first from the offset on, and those after it that fit whole. None while the relay is not that far.
    Blocks(List<DecidedBlock, MAX_BLOCKS>),
    /// To [`Query::Newest`].
    Newest(Box<SignedNewest>),
    /// To [`Query::Checkpoints`]. What they are worth, only who has believed something can tell.
    Checkpoints(List<SignedCheckpoint, MAX_CHECKPOINTS>),
    /// To [`Query::Credential`]: its credential, signed just now, and the newest list of those that were ended. None
    /// where the source vouches for nobody with that key; where it cannot say, since no list is signed yet, it is
    /// [`Response::Unavailable`].
    Credential(Option<Box<Vouching>>),
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Verdict {
    /// It waits for a block.
    Waits,
    /// It was executed.
    Executed(Height),
    /// It cannot be executed; why, in the relay's words.
    Rejected(Text<256>),
    /// Too many wait: try another relay, or again in a minute.
    Full,
}

/// Rows of one block's state.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProvenRows {
    /// The block.
    pub head: CertifiedHeader,
    /// Each row, or its absence, in the order of the question.
    pub rows: List<StateProof, MAX_ROWS>,
}

/// A header, and who decided it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Decided {
    /// The header, with all the signatures there are: whoever jumps needs those it knows.
    pub head: CertifiedHeader,
    /// The validators that it names.
    pub validators: ValidatorSet,
}

/// A decided block, or a piece of it, with who signed for it by name: whoever reads it need not know yet who decided it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DecidedBlock {
    /// Its height.
    pub height: Height,
    /// The round it was decided in.
    pub round: u32,
    /// Its id.
    pub id: BlockId,
    /// Precommits for it, no more than it needs.
    pub signatures: List<(SourceId, Signature), MAX_SOURCES>,
    /// Bytes in the whole block.
    pub len: u32,
    /// Those that are here.
    pub bytes: Bytes<MAX_BLOCK_BYTES>,
}

/// That a transaction is in a block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Included {
    /// The block.
    pub header: CertifiedHeader,
    /// The proof.
    pub proof: InclusionProof,
}

/// What can be asked about a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum MailboxRequest {
    /// Open one, or change its end.
    Open {
        /// Which, and until when.
        opening: SignedOpening,
        /// What it costs, as far as it is known: without it the relay answers with a [`Price`].
        work: Option<Box<Work>>,
    },
    /// Put a message in.
    Deposit {
        /// Into which.
        mailbox: Key,
        /// What gives the right to.
        token: Token,
        /// The message, sealed and padded.
        sealed: Bytes<MAX_SEALED_LEN>,
    },
    /// What is to be signed in a collection on this connection.
    Challenge,
    /// Take messages out.
    Collect(SignedCollection),
    /// Say when there is something to take out: answered with [`MailboxResponse::Done`] when there is, or may be, or some seconds are
    /// over. Nothing is acknowledged by it. A relay that does not know it yet does not answer.
    Wait(SignedCollection),
}

/// What is answered about a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum MailboxResponse {
    /// Done, and on the disk; to [`MailboxRequest::Wait`] that it is to be looked.
    Done,
    /// To [`MailboxRequest::Challenge`].
    Challenge([u8; 32]),
    /// To [`MailboxRequest::Collect`]: the oldest messages that were not acknowledged. They stay until they are.
    Messages(List<Bytes<MAX_SEALED_LEN>, MAX_COLLECTED>),
    /// Not done.
    Refused(MailboxRefusal),
    /// To [`MailboxRequest::Open`] without work, or with less or older than this.
    Price(Price),
}

/// Why nothing was done about a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum MailboxRefusal {
    /// No such mailbox, or not with this token, or no longer.
    #[error("there is no such mailbox, or it has ended")]
    NoMailbox,
    /// The mailbox or the relay's share for mailboxes is full.
    #[error("the mailbox is full")]
    Full,
    /// Not signed as it must be.
    #[error("the request is not signed by the mailbox's key for this relay, connection and time")]
    Signature,
    /// The relay keeps what room it has left for others.
    #[error(
        "what room is left is kept for those who come from another network address, since much was taken from this one: try again from \
         another network"
    )]
    Share,
}

/// A mailbox is to be kept until a moment.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// By which relay.
    pub relay: SourceId,
    /// Its key.
    pub mailbox: Key,
    /// What gives the right to deposit.
    pub token: Token,
    /// Until when.
    pub until: Timestamp,
}

/// An [`Opening`], signed by the mailbox's key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedOpening {
    /// What is signed.
    pub opening: Opening,
    /// The signature.
    pub signature: Signature,
}

impl Opening {
    /// Signs it with the mailbox's key.
    #[must_use]
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedOpening {
        let signature = key.sign(&domain::preimage(Tag::BOX_OPEN, chain, &self));
        SignedOpening { opening: self, signature }
    }
}

impl SignedOpening {
    /// Verifies the signature.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, chain: &ChainId) -> Result<(), SignatureError> {
        let Self { opening, signature } = self;
        signature.verify(&opening.mailbox, &domain::preimage(Tag::BOX_OPEN, chain, opening))
    }
}

/// Messages are to be handed out on one connection, now.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Collection {
    /// By which relay.
    pub relay: SourceId,
    /// The relay's libp2p key on this connection.
    pub relay_peer: Key,
    /// The asker's libp2p key on this connection.
    pub own_peer: Key,
    /// The relay's challenge.
    pub challenge: [u8; 32],
    /// Which mailbox.
    pub mailbox: Key,
    /// Messages that arrived, by BLAKE3 of their bytes: they are thrown away.
    pub acknowledged: Ascending<Acknowledged, MAX_COLLECTED>,
}

/// BLAKE3 of a sealed message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Acknowledged(pub [u8; 32]);

impl clavicle_ledger::encoding::Entry for Acknowledged {
    type Key = Self;
    fn key(&self) -> &Self {
        self
    }
}

/// A [`Collection`], signed by the mailbox's key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedCollection {
    /// What is signed.
    pub collection: Collection,
    /// The signature.
    pub signature: Signature,
}

impl Collection {
    /// Signs it with the mailbox's key.
    #[must_use]
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedCollection {
        let signature = key.sign(&domain::preimage(Tag::BOX_COLLECT, chain, &self));
        SignedCollection { collection: self, signature }
    }
}

impl SignedCollection {
    /// Verifies the signature.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, chain: &ChainId) -> Result<(), SignatureError> {
        let Self { collection, signature } = self;
        signature.verify(&collection.mailbox, &domain::preimage(Tag::BOX_COLLECT, chain, collection))
    }
}

impl Wire for Request {
    const NAME: &'static str = "a request";
    const MAX_LEN: usize = if MAX_REQUEST_LEN > MAX_ENVELOPE_LEN { MAX_REQUEST_LEN } else { MAX_ENVELOPE_LEN };
}

impl Wire for Response {
    const NAME: &'static str = "a response";
    const MAX_LEN: usize = MAX_RESPONSE_LEN;
}

/// At most `MAX` elements in an order that means something.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// The first `MAX` of `items`.
    pub fn of(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().take(MAX).collect())
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The elements.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for List<T, MAX> {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let count = u32::deserialize_reader(reader)? as usize;
        if count > MAX {
            return Err(Fault::TooMany.raise());
        }
        // One by one: a count is only a claim.
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(T::deserialize_reader(reader)?);
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_range_of_keys() {
        let mut bytes = [0x5a; 32];
        bytes[..4].copy_from_slice(&[0xab, 0xcd, 0xef, 0x01]);
        let key = Key::from_bytes(bytes);
        for (bits, first, last) in [
            (0, [0, 0, 0, 0], [0xff; 4]),
            (4, [0xa0, 0, 0, 0], [0xaf, 0xff, 0xff, 0xff]),
            (13, [0xab, 0xc8, 0, 0], [0xab, 0xcf, 0xff, 0xff]),
            (32, [0xab, 0xcd, 0xef, 0x01], [0xab, 0xcd, 0xef, 0x01]),
        ] {
            let (low, high) = Prefix::of(&key, bits).range();
            assert_eq!((&low[..4], &low[4..]), (&first[..], &[0; 28][..]));
            assert_eq!((&high[..4], &high[4..]), (&last[..], &[0xff; 28][..]));
            assert!(low <= bytes && bytes <= high);
        }
        let (low, high) = Prefix::of(&key, 255).range();
        assert_eq!((low, high[31]), (bytes, 0x5b));
        // Nobody's bits beyond those it counts make a range that is none.
        let (low, high) = Prefix { bits: 4, first: [0xff; 32] }.range();
        assert_eq!((low[0], high), (0xf0, [0xff; 32]));
    }
}
