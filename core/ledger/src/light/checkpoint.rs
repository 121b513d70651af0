//! Checkpoints: a block that somebody vouches for, so that whoever believes them need not go back further.
//!
//! A hospital that hands over a code vouches for the block in it, and a wallet believes the hospital it stands before. To wallets that
//! nobody stands before, sources vouch together: each by a key that its identity key endorsed ([`SignedCheckpoint`]), and
//! what they say is weighed by the power that the wallet last knew them to have ([`Vouched`]).

use alloc::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use super::clock::{CLOCK_TOLERANCE_MS, TRUSTING_PERIOD_MS};
use super::endorsement::{EndorsementError, SignedEndorsement};
use crate::block::Header;
use crate::domain::{self, Tag};
use crate::encoding::{Ascending, Entry, Wire};
use crate::id::{BlockId, ChainId, SourceId};
use crate::key::{Key, SecretKey, Signature, SignatureError};
use crate::source::{MAX_SOURCES, Source};
use crate::time::{BlockTime, Height, LocalTime};
use crate::validators::{Validator, ValidatorSet};

/// A block that whoever names it has seen decided. It is as good as their word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Checkpoint {
    /// Its height.
    pub height: Height,
    /// Its id, which commits to all of its header: to the validators, and to every source by the state root.
    pub block: BlockId,
}

impl Checkpoint {
    /// The checkpoint at a header.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self { height: header.height, block: header.id() }
    }
}

impl Wire for Checkpoint {
    const NAME: &'static str = "a checkpoint";
    const MAX_LEN: usize = 8 + 32;
}

/// A [`Checkpoint`] that one source vouches for, with the key that its identity key endorsed for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedCheckpoint {
    /// Whose word it is, and by which key.
    pub endorsement: SignedEndorsement,
    /// The block.
    pub checkpoint: Checkpoint,
    /// Its time, so that its age is known before its header is.
    pub time: BlockTime,
    /// The endorsed key's signature.
    pub signature: Signature,
}

/// Why a signed checkpoint does not count. Nobody is to blame for some of these: sources come and go, and a wallet may not have heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Uncounted {
    /// Of another network.
    #[error("it is of another network")]
    OtherNetwork,
    /// Not of a source that is trusted to decide.
    #[error("it is not of a validator that is trusted here")]
    NotTrusted,
    /// A source that was suspended, or taken over, when it was last looked at.
    #[error("its source is suspended, or another has taken it over")]
    Suspended,
    /// Endorsed by another key than the source's identity key, as far as it is known here.
    #[error("the key that endorsed it is not the source's identity key, as far as it is known here")]
    OtherIdentity,
    /// Signed by a key that is at hand for something else.
    #[error("it is signed by the key that the source decides blocks with")]
    ConsensusKey,
    /// See [`EndorsementError`].
    #[error(transparent)]
    Endorsement(#[from] EndorsementError),
    /// The endorsement begins later.
    #[error("its endorsement has not begun, by this device's clock")]
    NotYet,
    /// The endorsement is over.
    #[error("its endorsement is over, by this device's clock")]
    Over,
    /// Ahead of the clock.
    #[error("its block is ahead of this device's clock")]
    Ahead,
    /// As old as what is not believed any more.
    #[error("its block is more than 14 days old, by this device's clock")]
    TooOld,
    /// Behind what is known already.
    #[error("its block is older than what is known here already")]
    Behind,
    /// A signature that does not hold.
    #[error("the checkpoint key's signature: {0}")]
    Signature(SignatureError),
}

impl SignedCheckpoint {
    /// Vouches for a header, with the key that is endorsed.
    #[must_use]
    pub fn sign(header: &Header, endorsement: SignedEndorsement, key: &SecretKey) -> Self {
        let (checkpoint, time) = (Checkpoint::of(header), header.time);
        let mut signed = Self { endorsement, checkpoint, time, signature: Signature::from_bytes([0; 64]) };
        signed.signature = key.sign(&signed.preimage());
        signed
    }

    /// Whose word it is said to be.
    #[must_use]
    pub const fn source(&self) -> SourceId {
        self.endorsement.endorsement.source
    }

    /// Verifies that it is the word of one of the validators that are trusted, dated so that it counts now, and says which. What
    /// costs little is checked first.
    ///
    /// # Errors
    /// [`Uncounted`].
    pub fn verify<'a>(
        &self,
        chain: &ChainId,
        trusted: &'a ValidatorSet,
        known: &Identities,
        now: LocalTime,
    ) -> Result<&'a Validator, Uncounted> {
        let Self { endorsement: by, checkpoint: _, time, signature } = self;
        let endorsed = &by.endorsement;
        if endorsed.chain != *chain {
            return Err(Uncounted::OtherNetwork);
        }
        // Who has no power vouches for nothing: hosted sources are in no set at all.
        let validator = trusted.validators.find(&endorsed.source).filter(|validator| validator.power > 0);
        let validator = validator.ok_or(Uncounted::NotTrusted)?;
        known.check(chain, &endorsed.source, &by.identity)?;
        if endorsed.key == validator.key {
            return Err(Uncounted::ConsensusKey);
        }
        if !by.has_begun(now) {
            return Err(Uncounted::NotYet);
        }
        if by.is_over(now) {
            return Err(Uncounted::Over);
        }
        if time.timestamp().since(now.0) > CLOCK_TOLERANCE_MS {
            return Err(Uncounted::Ahead);
        }
        if now.0.since(time.timestamp()) > TRUSTING_PERIOD_MS {
            return Err(Uncounted::TooOld);
        }
        by.verify()?;
        signature.verify(&endorsed.key, &self.preimage()).map_err(Uncounted::Signature)?;
        Ok(validator)
    }

    /// What the endorsed key signs: whose word it is, the block, and its time.
    fn preimage(&self) -> alloc::vec::Vec<u8> {
        let endorsed = &self.endorsement.endorsement;
        domain::preimage(Tag::CHECKPOINT, &endorsed.chain, &(endorsed.source, self.checkpoint, self.time))
    }
}

impl Wire for SignedCheckpoint {
    const NAME: &'static str = "a signed checkpoint";
    const MAX_LEN: usize = SignedEndorsement::MAX_LEN + Checkpoint::MAX_LEN + 8 + 65;
}

/// What is known of the identity keys of sources: their rows, as they were last proven. Of a source that is not in here its id is
/// known, which is made of the identity key that it was admitted with.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Identities {
    /// The sources.
    pub proven: Ascending<ProvenIdentity, MAX_SOURCES>,
}

/// A source's identity key, as its row has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProvenIdentity {
    /// The source.
    pub source: SourceId,
    /// The key in force; none of a source that is suspended or has a successor.
    pub identity: Option<Key>,
}

impl Entry for ProvenIdentity {
    type Key = SourceId;
    fn key(&self) -> &SourceId {
        &self.source
    }
}

impl ProvenIdentity {
    /// What a source's row says.
    #[must_use]
    pub fn of(source: SourceId, row: &Source) -> Self {
        let acts = !row.suspended && row.successor.is_none();
        Self { source, identity: acts.then_some(row.identity) }
    }
}

impl Identities {
    /// Whether `identity` is the source's, as far as it is known.
    fn check(&self, chain: &ChainId, source: &SourceId, identity: &Key) -> Result<(), Uncounted> {
        let is_its_own = match self.proven.find(source) {
            Some(ProvenIdentity { identity: None, .. }) => return Err(Uncounted::Suspended),
            Some(ProvenIdentity { identity: Some(proven), .. }) => proven == identity,
            None => SourceId::of_identity(chain, identity) == *source,
        };
        if is_its_own { Ok(()) } else { Err(Uncounted::OtherIdentity) }
    }
}

impl Wire for Identities {
    const NAME: &'static str = "identity keys that were proven";
    const MAX_LEN: usize = 4 + (32 + 1 + 33) * MAX_SOURCES;
}

/// Why nothing is believed on the word of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Those who vouch for one block have too little power.
    #[error(
        "hospitals with {power} of the {total} power that is trusted here vouch for a newer block, and more than a third is \
         needed{}", because(.why)
    )]
    TooLittlePower {
        /// The most power that vouches for one block.
        power: u128,
        /// The power of all who are trusted.
        total: u128,
        /// Why the first of those that do not count does not.
        why: Option<Uncounted>,
    },
    /// Two blocks of which one at least is false.
    #[error(
        "hospitals contradict each other: more than a third of the voting power vouches for block {one} of height {height}, and as much \
         for {other} of height {other_height}, which cannot both be of one chain; believe neither, and tell a hospital"
    )]
    Contradiction {
        /// The height of one.
        height: Height,
        /// Its id.
        one: BlockId,
        /// The height of the other.
        other_height: Height,
        /// Its id.
        other: BlockId,
    },
    /// The clock shows a time before what is known to have been.
    #[error(
        "this device's clock is {behind_ms} ms behind a block that is known here, so that nothing dated can be judged: set the clock right"
    )]
    ClockBehind {
        /// How far.
        behind_ms: u64,
    },
}

/// The rest of the sentence.
fn because(why: &Option<Uncounted>) -> impl core::fmt::Display + '_ {
    core::fmt::from_fn(move |f| match why {
        Some(why) => write!(f, " (of one that does not count: {why})"),
        None => Ok(()),
    })
}

/// A block that sources with more than a third of the trusted power vouch for, and nothing contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vouched {
    checkpoint: Checkpoint,
    time: BlockTime,
}

/// A block as a source names it. Ascending lists of them are by height.
type Said = (Checkpoint, BlockTime);

/// Whether two, the lesser first, cannot be of one chain: one block a height, and time that goes on.
fn contradict(lesser: &Said, greater: &Said) -> bool {
    lesser != greater && (lesser.0.height == greater.0.height || lesser.1 >= greater.1)
}

/// The first two of them, in ascending order, that cannot be of one chain.
fn contradiction<'a>(ascending: impl IntoIterator<Item = &'a Said>) -> Option<(Said, Said)> {
    let mut before: Option<&Said> = None;
    for said in ascending {
        if let Some(before) = before.replace(said).filter(|before| contradict(before, said)) {
            return Some((*before, *said));
        }
    }
    None
}

impl Vouched {
    /// The block.
    #[must_use]
    pub const fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    /// Its time.
    #[must_use]
    pub const fn time(&self) -> BlockTime {
        self.time
    }

    /// The newest block, later than `newest`, that is vouched for. Of what does not count nothing is believed; a source that vouches for
    /// two blocks that cannot be of one chain vouches for none.
    pub(super) fn weigh<'a>(
        signed: impl IntoIterator<Item = &'a SignedCheckpoint>,
        trusted: &ValidatorSet,
        known: &Identities,
        newest: &Header,
        now: LocalTime,
    ) -> Result<Self, CheckpointError> {
        let behind_ms = newest.time.timestamp().since(now.0);
        if behind_ms > CLOCK_TOLERANCE_MS {
            return Err(CheckpointError::ClockBehind { behind_ms });
        }
        let mine = (Checkpoint::of(newest), newest.time);
        let (mut by_block, mut by_source) = (BTreeMap::<Said, BTreeSet<SourceId>>::new(), BTreeMap::new());
        let (mut powers, mut why) = (BTreeMap::new(), None);
        for one in signed {
            let counted = if one.checkpoint.height < newest.height || one.checkpoint == mine.0 {
                Err(Uncounted::Behind)
            } else {
                one.verify(&newest.chain, trusted, known, now)
            };
            match counted {
                Ok(validator) => {
                    let said = (one.checkpoint, one.time);
                    by_block.entry(said).or_default().insert(validator.source);
                    by_source.entry(validator.source).or_insert_with(BTreeSet::new).insert(said);
                    powers.insert(validator.source, u128::from(validator.power));
                }
                Err(not) => why = why.or(Some(not)),
            }
        }
        let total = trusted.total_power();
        let power = |of: &BTreeSet<SourceId>| {
            of.iter().filter_map(|source| powers.get(source)).fold(0u128, |sum, power| sum.saturating_add(*power))
        };
        let is_enough = |power: u128| power.saturating_mul(3) > total;

        // What is known already was decided by more than two thirds.
        let heavy: BTreeSet<Said> =
            by_block.iter().filter(|(_, of)| is_enough(power(of))).map(|(said, _)| *said).chain([mine]).collect();
        if let Some(((one, _), (other, _))) = contradiction(&heavy) {
            return Err(CheckpointError::Contradiction {
                height: one.height,
                one: one.block,
                other_height: other.height,
                other: other.block,
            });
        }
        let two_faced: BTreeSet<SourceId> =
            by_source.iter().filter(|(_, said)| contradiction(*said).is_some()).map(|(source, _)| *source).collect();
        let mut most = 0;
        for (said, of) in by_block.iter().rev() {
            let power = power(&of.difference(&two_faced).copied().collect());
            if is_enough(power) {
                return Ok(Self { checkpoint: said.0, time: said.1 });
            }
            most = power.max(most);
        }
        Err(CheckpointError::TooLittlePower { power: most, total, why })
    }
}
