//! Whether a head is the newest, asked of the other sources and not of a clock (RULES §10).
//!
//! A header says when its block was made, and a clock how long ago that is. Whoever can set the clock, or keeps newer blocks
//! away, makes an old head look fresh. So a source asks the others, again and again, over a number that it has just drawn, which
//! block is the newest they have. What comes back was said after the number was drawn: nobody can have recorded it before.
//!
//! ```text
//! source                                         others
//!   │ draws a nonce, looks at its clocks            │
//!   ├── Inquiry { asker, nonce } ──────────────────►│
//!   │◄──────────── SignedNewest { height, block, at }┤   each for itself
//!   │ Round: more than a third of the power, its own not counted
//!   └─► Confirmation ─► Confirmations::at ─► Confirmed, for the gate's View
//! ```
//!
//! From the moment that the nonce was drawn, the age of what is known is counted by a clock that runs through sleep and that nobody
//! can set ([`Clocks::boot_ms`]). The others' clocks say, together, between which moments it is now: that is the only thing by which the own wall
//! clock is believed. A confirmation is in memory alone and ends with the process; it is void when the wall clock was set or the machine slept.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::{self, Tag};
use crate::encoding::Wire;
use crate::id::{BlockId, ChainId, SourceId};
use crate::key::{SecretKey, Signature, SignatureError};
use crate::state::{ReadError, ReadRows as _, StateReader};
use crate::time::{Clocks, Height, Timestamp};
use crate::validators::ValidatorSet;

/// For how long after its nonce was drawn answers to an inquiry count, in milliseconds.
pub const MAX_ROUND_MS: u64 = 5_000;
/// By how much the wall clock may have been set since a confirmation, in milliseconds: a leap second.
pub const MAX_STEP_MS: u64 = 1_000;
/// For how long the machine may have slept since a confirmation, in milliseconds.
pub const MAX_SLEEP_MS: u64 = 1_000;
/// The most confirmations that are kept: those that wait until the source has the block that they name.
const MAX_KEPT: usize = 8;

/// A source asks which block is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Inquiry {
    /// Which source asks.
    pub asker: SourceId,
    /// 32 random bytes, drawn for this inquiry.
    pub nonce: [u8; 32],
}

/// A source's word on its newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Newest {
    /// What was asked.
    pub inquiry: Inquiry,
    /// Which source answers.
    pub by: SourceId,
    /// The height of the newest block that it has.
    pub height: Height,
    /// That block.
    pub block: BlockId,
    /// When it says so, by its own clock.
    pub at: Timestamp,
}

/// A [`Newest`] signed by the operational key of whoever answers: the one that receipts are signed with, so that it stays where the images
/// are, and that every source has, also one that does not vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedNewest {
    /// What is said.
    pub newest: Newest,
    /// By whom.
    pub signature: Signature,
}

impl Newest {
    /// Signs it with the source's operational key.
    #[must_use]
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedNewest {
        let signature = key.sign(&domain::preimage(Tag::NEWEST, chain, &self));
        SignedNewest { newest: self, signature }
    }
}

impl Wire for Inquiry {
    const NAME: &'static str = "an inquiry";
    const MAX_LEN: usize = 64;
}

impl Wire for SignedNewest {
    const NAME: &'static str = "a word on the newest block";
    const MAX_LEN: usize = 64 + 32 + 8 + 32 + 8 + 65;
}

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCounted<E> {
    /// The state could not be read.
    #[error("the state cannot be read")]
    Read(#[from] ReadError<E>),
    /// To something else.
    #[error("the answer is to another inquiry: an old one, or somebody else's")]
    OtherInquiry,
    /// Too late.
    #[error("the answer came {0} ms after the inquiry: {MAX_ROUND_MS} ms is the most")]
    Late(u64),
    /// Without power, or one's own.
    #[error("the answer is by nobody whose word counts here")]
    NoPower,
    /// Not signed.
    #[error("the answer is not signed by the operational key of the source that it names: {0}")]
    Signature(SignatureError),
    /// Another chain.
    #[error("the answer names another block at height {0} than the one that is here")]
    OtherBlock(Height),
}

/// An inquiry and what was answered so far.
#[derive(Clone, Debug)]
pub struct Round {
    inquiry: Inquiry,
    made: Clocks,
    heard: BTreeMap<SourceId, (Height, Timestamp)>,
}

impl Round {
    /// A round with a nonce that was drawn when the clocks showed `made`, and for nothing else.
    #[must_use]
    pub const fn new(asker: SourceId, nonce: [u8; 32], made: Clocks) -> Self {
        Self { inquiry: Inquiry { asker, nonce }, made, heard: BTreeMap::new() }
    }

    /// What is asked.
    #[must_use]
    pub const fn inquiry(&self) -> Inquiry {
        self.inquiry
    }

    /// Takes an answer, on the source's own state. `here` is the id of the block at a height that the source has.
    ///
    /// # Errors
    /// [`NotCounted`].
    pub fn hear<S: StateReader>(
        &mut self,
        state: &S,
        signed: &SignedNewest,
        here: impl Fn(Height) -> Option<BlockId>,
        clocks: Clocks,
    ) -> Result<(), NotCounted<S::Error>> {
        let SignedNewest { newest, signature } = signed;
        let Newest { inquiry, by, height, block, at } = newest;
        if *inquiry != self.inquiry {
            return Err(NotCounted::OtherInquiry);
        }
        let after_ms = clocks.boot_ms.saturating_sub(self.made.boot_ms);
        if after_ms > MAX_ROUND_MS {
            return Err(NotCounted::Late(after_ms));
        }
        let (rules, head, set) = (state.rules()?, state.head()?, state.validators()?);
        let votes = set.validators.find(by).is_some_and(|validator| validator.power > 0);
        let source = state.source(*by)?.filter(|_| votes && *by != self.inquiry.asker).ok_or(NotCounted::NoPower)?;
        let key = source.keys_in(head.epoch).operational;
        let preimage = domain::preimage(Tag::NEWEST, &rules.chain, newest);
        signature.verify(&key, &preimage).map_err(NotCounted::Signature)?;
        if *height <= head.height && here(*height) != Some(*block) {
            return Err(NotCounted::OtherBlock(*height));
        }
        self.heard.insert(*by, (*height, *at));
        Ok(())
    }

    /// What the answers come to, if they are enough, by the set that decides the next block.
    ///
    /// Enough is more than a third of the set's power without the asker's own; or, where its own is so great that less would do to decide a
    /// block, more than two thirds with it. Whoever decides alone needs nobody.
    #[must_use]
    pub fn confirmation(&self, set: &ValidatorSet, clocks: Clocks) -> Option<Confirmation> {
        let power = |source: &SourceId| set.validators.find(source).map_or(0, |validator| u128::from(validator.power));
        let (all, own) = (set.total_power(), power(&self.inquiry.asker));
        let enough = |others: u128| {
            let with_own = others.saturating_add(own);
            others.saturating_mul(3) > all || with_own.saturating_mul(3) > all.saturating_mul(2)
        };
        if enough(0) {
            let (height, now) = (0, clocks.wall.0);
            return Some(Confirmation { made: self.made, heard: clocks, height, earliest: now, latest: now });
        }
        // The least number such that those who said no more than it are enough: one of them at least says what is so.
        let least = |numbers: &mut dyn Iterator<Item = (u64, u128)>| {
            let mut numbers: Vec<(u64, u128)> = numbers.collect();
            numbers.sort_unstable();
            let mut so_far = 0u128;
            numbers.into_iter().find_map(|(number, power)| {
                so_far = so_far.saturating_add(power);
                enough(so_far).then_some(number)
            })
        };
        let heard = || self.heard.iter().map(|(source, said)| (*said, power(source)));
        let height = least(&mut heard().map(|((height, _), power)| (height, power)))?;
        let no_later = least(&mut heard().map(|((_, at), power)| (at.0, power)))?;
        let no_earlier = !least(&mut heard().map(|((_, at), power)| (!at.0, power)))?;
        let (earliest, latest) = (no_earlier.min(no_later), no_earlier.max(no_later));
        let (earliest, latest) = (Timestamp(earliest), Timestamp(latest));
        Some(Confirmation { made: self.made, heard: clocks, height, earliest, latest })
    }
}

/// That a block is the newest, from when on, and between which moments it was when that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The clocks when the nonce was drawn.
    made: Clocks,
    /// The clocks when enough had answered.
    heard: Clocks,
    height: Height,
    /// Not earlier than this, when it was heard.
    earliest: Timestamp,
    /// Not later than this, when the nonce was drawn.
    latest: Timestamp,
}

/// What a [`Confirmation`] comes to at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// A source that has the block at this height has all that somebody else, who is honest, had when they were asked.
    pub height: Height,
    /// How long ago they were asked, in milliseconds of a clock that cannot be set.
    pub age_ms: u64,
    /// It is no earlier now.
    pub earliest: Timestamp,
    /// It is no later now.
    pub latest: Timestamp,
}

/// Why nobody confirms a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unconfirmed {
    /// Not since the start.
    #[error(
        "since this source was started, not enough of the others have said which block is the newest: until then nobody is served, and no allowance counts"
    )]
    SinceStart,
    /// The wall clock was set.
    #[error(
        "this source's clock was set by {by_ms} ms, and not enough of the others have said since then which block is the newest: until then nobody is served"
    )]
    ClockSet {
        /// By how much, this way or that.
        by_ms: u64,
    },
    /// The machine slept.
    #[error(
        "this source's machine slept for {slept_ms} ms, and not enough of the others have said since then which block is the newest: until then nobody is served"
    )]
    Slept {
        /// For how long.
        slept_ms: u64,
    },
    /// Others are further.
    #[error("the others have blocks up to height {height}, and this source does not yet: until then nobody is served")]
    Behind {
        /// How far they are.
        height: Height,
    },
}

impl Confirmation {
    /// What it comes to when the clocks show this, or what made it void.
    ///
    /// # Errors
    /// [`Unconfirmed::ClockSet`], [`Unconfirmed::Slept`].
    pub fn at(&self, clocks: Clocks) -> Result<Confirmed, Unconfirmed> {
        let Self { made, heard: _, height, earliest: _, latest: _ } = self;
        let (boot, wall) = (i128::from(clocks.boot_ms), i128::from(clocks.wall.0.0));
        let offset = i128::from(made.wall.0.0).saturating_sub(i128::from(made.boot_ms));
        let step = wall.saturating_sub(boot).saturating_sub(offset).unsigned_abs();
        // A clock that nobody can set does not go back: then this is not the machine that it was.
        let back = made.boot_ms.saturating_sub(clocks.boot_ms);
        if step > u128::from(MAX_STEP_MS) || back > 0 {
            return Err(Unconfirmed::ClockSet { by_ms: u64::try_from(step).unwrap_or(u64::MAX).max(back) });
        }
        let slept_ms = clocks.asleep_ms.saturating_sub(made.asleep_ms);
        if slept_ms > MAX_SLEEP_MS {
            return Err(Unconfirmed::Slept { slept_ms });
        }
        let (earliest, latest) = self.between(clocks);
        Ok(Confirmed { height: *height, age_ms: clocks.boot_ms.saturating_sub(made.boot_ms), earliest, latest })
    }

    /// Between which moments it is, whatever was done to the wall clock since.
    #[must_use]
    pub fn between(&self, clocks: Clocks) -> (Timestamp, Timestamp) {
        let since = |then: Clocks| clocks.boot_ms.saturating_sub(then.boot_ms);
        (self.earliest.plus(since(self.heard)), self.latest.plus(since(self.made)))
    }
}

/// The newest confirmations: one that holds, and others that name blocks which are not here yet.
#[derive(Clone, Debug, Default)]
pub struct Confirmations {
    /// In the order in which their nonces were drawn.
    kept: Vec<Confirmation>,
}

impl Confirmations {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { kept: Vec::new() }
    }

    /// Keeps one more; of one round the last.
    pub fn keep(&mut self, confirmation: Confirmation) {
        self.kept.retain(|kept| kept.made != confirmation.made);
        if self.kept.len() >= MAX_KEPT {
            // The first is the one that holds.
            self.kept.remove(1);
        }
        self.kept.push(confirmation);
    }

    /// The newest.
    #[must_use]
    pub fn newest(&self) -> Option<&Confirmation> {
        self.kept.last()
    }

    /// What is confirmed for whoever has the blocks up to `head`, when the clocks show this.
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub fn at(&mut self, head: Height, clocks: Clocks) -> Result<Confirmed, Unconfirmed> {
        let Some(newest) = self.kept.last() else { return Err(Unconfirmed::SinceStart) };
        let Some(place) = self.kept.iter().rposition(|kept| kept.height <= head) else {
            return Err(Unconfirmed::Behind { height: newest.height });
        };
        self.kept.drain(..place);
        self.kept.first().map_or(Err(Unconfirmed::SinceStart), |kept| kept.at(clocks))
    }
}
