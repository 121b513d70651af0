//! The light client: what a phone needs to believe a header, and nothing else.
//!
//! It starts from a genesis and follows the validators from one set to the next. A header is believed when more than two
//! thirds of the trusted set decided it; rows of the state are then believed by their proofs. It knows no network and no
//! clock: headers, changes and the time are handed in.
//!
//! ```text
//! genesis ──► validators ── change ──► validators ── header ──► proven rows
//! ```
//!
//! What it cannot know: whether a newer header exists, which its holder sees by the header's age; and whether it is told of
//! the true chain once more than a third of a set is dishonest, which shows only when two headers contradict each other
//! ([`LightError::Fork`]).

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::{CertificateError, CommitCertificate, Header, PROTOCOL_VERSION};
use crate::encoding::{Fault, Wire};
use crate::genesis::Genesis;
use crate::id::{BlockId, ChainId};
use crate::state::{MemoryState, ProvenFragment, ReadRows as _};
use crate::time::{DAY_MS, Height, LocalTime};
use crate::tree::{ProofError, StateProof};
use crate::validators::ValidatorSet;

/// How long validators are believed after the newest header known to be theirs, in milliseconds. Keys that are retired may be
/// sold or stolen later, and then write another history; whoever was away for longer needs a fresh checkpoint.
pub const TRUSTING_PERIOD_MS: u64 = DAY_MS * 14;
/// How far a header may be ahead of a wallet's clock, in milliseconds. Phones' clocks are bad.
pub const CLOCK_TOLERANCE_MS: u64 = 120_000;

/// A header with the certificate that its block was decided.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedHeader {
    /// The header.
    pub header: Header,
    /// The certificate.
    pub certificate: CommitCertificate,
}

impl CertifiedHeader {
    /// Verifies that `validators` decide this header, and did.
    ///
    /// # Errors
    /// [`LightError`]: what costs little is checked first.
    pub fn verify(&self, chain: &ChainId, validators: &ValidatorSet) -> Result<(), LightError> {
        let Self { header, certificate } = self;
        if header.version != PROTOCOL_VERSION {
            return Err(LightError::Version(header.version));
        }
        if header.chain != *chain {
            return Err(LightError::Chain);
        }
        if header.validators != validators.hash(chain) {
            return Err(LightError::OtherValidators { height: header.height });
        }
        if (certificate.height, certificate.block) != (header.height, header.id()) {
            return Err(LightError::OtherBlock);
        }
        Ok(certificate.verify(chain, validators)?)
    }
}

impl Wire for CertifiedHeader {
    const NAME: &'static str = "a header with its certificate";
    const MAX_LEN: usize = Header::MAX_LEN + CommitCertificate::MAX_LEN;
}

/// The last block that one validator set decides, and the set that decides the next.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValidatorChange {
    /// The block, which commits to the next set.
    pub last: CertifiedHeader,
    /// Who decides from then on.
    pub next: ValidatorSet,
}

impl Wire for ValidatorChange {
    const NAME: &'static str = "a change of validators";
    const MAX_LEN: usize = CertifiedHeader::MAX_LEN + ValidatorSet::MAX_LEN;
}

/// Why a header or a change of validators is not believed. Nothing is changed by what is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LightError {
    /// Made under rules that are not in this software.
    #[error("the header is of protocol version {0}; this software knows {PROTOCOL_VERSION}: update it")]
    Version(u32),
    /// Of another network.
    #[error("the header is of another network: ask a relay of this one")]
    Chain,
    /// Not decided by the trusted set.
    #[error(
        "the header of height {height} is decided by other validators than those trusted here: ask for the changes of \
         validators since the newest trusted header, and follow each"
    )]
    OtherValidators {
        /// Which header.
        height: Height,
    },
    /// The certificate is of something else.
    #[error("the certificate is of another block than the header: whoever sent them is wrong; ask another relay")]
    OtherBlock,
    /// Not decided.
    #[error("the header is not certified: {0}; whoever sent it is wrong; ask another relay")]
    Certificate(#[from] CertificateError),
    /// From before those who are trusted now, or behind what is known already.
    #[error("the header is of height {height}, and from here on only heights from {first} count: ask for a newer one")]
    Passed {
        /// Its height.
        height: Height,
        /// The first height that would do.
        first: Height,
    },
    /// Ahead of the wallet's clock.
    #[error("the header is {ahead_ms} ms ahead of this device's clock: set the clock right, or ask another relay")]
    Ahead {
        /// How far ahead.
        ahead_ms: u64,
    },
    /// The wallet was away for too long.
    #[error(
        "the newest trusted header is {age_ms} ms old, more than 14 days: whoever has the keys of that time is not believed \
         any more; if this device's clock is right, a fresh checkpoint is needed, as a hospital's codes carry"
    )]
    TooOld {
        /// Its age.
        age_ms: u64,
    },
    /// Two certified headers that cannot both be of one chain.
    #[error(
        "two certified headers contradict each other, {mine} here and {other}, of height {height}: more than a third of \
         the validators' power is dishonest; believe neither, and tell a hospital"
    )]
    Fork {
        /// The other header's height.
        height: Height,
        /// The newest trusted header.
        mine: BlockId,
        /// The other.
        other: BlockId,
    },
    /// The set that came with a change is not the one that the header commits to.
    #[error(
        "the next validators are not those that the header commits to: whoever sent them is wrong; ask another relay"
    )]
    NextValidators,
    /// A change that is none.
    #[error("the header of height {height} changes no validators: ask another relay for the changes")]
    NoChange {
        /// Which header.
        height: Height,
    },
}

/// The validators that are trusted, and the newest header known to be theirs. What it holds is public; whoever can alter
/// it decides what is believed, so a wallet keeps it in its sealed store.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct LightClient {
    /// Who decides.
    validators: ValidatorSet,
    /// The first height that they decide.
    since: Height,
    /// The newest header: decided by them, or the one before they began.
    newest: Header,
}

impl LightClient {
    /// Trusts the validators of a genesis, which whoever knows the network's id knows to be its own.
    ///
    /// The genesis block is a header like any other: 14 days after it, those who were first are not believed either,
    /// and a wallet that is new then needs a checkpoint.
    ///
    /// # Panics
    /// When [`Genesis::check`] was not heeded.
    #[must_use]
    pub fn from_genesis(genesis: &Genesis) -> Self {
        let validators = MemoryState::from_genesis(genesis).validators();
        let validators = validators.expect("every genesis state has its validators");
        Self { validators, since: 1, newest: Header::genesis(genesis) }
    }

    /// The network.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.newest.chain
    }

    /// The newest header. Its time says how old what is proven against it is.
    #[must_use]
    pub const fn newest(&self) -> &Header {
        &self.newest
    }

    /// Whether a change of validators must be followed before `header` can be believed. Whether it can be believed then, only
    /// [`LightClient::accept`] says. What is needed are the changes after the height of [`LightClient::newest`].
    #[must_use]
    pub fn needs_change(&self, header: &Header) -> bool {
        header.height >= self.since && header.validators != self.validators.hash(&self.chain())
    }

    /// Follows a change: believes the next validators, on the word of those trusted now. The block in it becomes the newest.
    ///
    /// # Errors
    /// [`LightError`].
    pub fn change(&mut self, change: &ValidatorChange, now: LocalTime) -> Result<(), LightError> {
        let ValidatorChange { last, next } = change;
        let header = &last.header;
        // The newest header may be the very block, and none after it can be theirs.
        if header.height < self.newest.height {
            return Err(LightError::Passed { height: header.height, first: self.newest.height });
        }
        if header.next_validators != next.hash(&self.chain()) {
            return Err(LightError::NextValidators);
        }
        if header.next_validators == header.validators {
            return Err(LightError::NoChange { height: header.height });
        }
        self.check(last, now)?;
        // After the last height of all there is nothing to decide.
        let since = header.height.checked_add(1).ok_or(LightError::NoChange { height: header.height })?;
        *self = Self { validators: next.clone(), since, newest: *header };
        Ok(())
    }

    /// Believes a header that the trusted validators decided, and returns the newest: this one, unless it is older. An older
    /// one is verified just so, and changes nothing.
    ///
    /// # Errors
    /// [`LightError`].
    pub fn accept(&mut self, head: &CertifiedHeader, now: LocalTime) -> Result<&Header, LightError> {
        self.check(head, now)?;
        if head.header.height > self.newest.height {
            self.newest = head.header;
        }
        Ok(&self.newest)
    }

    /// Verifies rows against the state of the newest header: those that came with it, since no other state proves them.
    ///
    /// # Errors
    /// [`ProofError`] when one does not hold; nothing of the others is believed then.
    pub fn fragment(&self, proofs: &[StateProof]) -> Result<ProvenFragment, ProofError> {
        let mut fragment = ProvenFragment::new(self.newest.state_root);
        proofs.iter().try_for_each(|proof| fragment.add(proof))?;
        Ok(fragment)
    }

    /// Whether the trusted validators are still to be believed, and decided this.
    fn check(&self, head: &CertifiedHeader, now: LocalTime) -> Result<(), LightError> {
        let header = &head.header;
        let age_ms = now.0.since(self.newest.time.timestamp());
        if age_ms > TRUSTING_PERIOD_MS {
            return Err(LightError::TooOld { age_ms });
        }
        if header.height < self.since {
            return Err(LightError::Passed { height: header.height, first: self.since });
        }
        let ahead_ms = header.time.timestamp().since(now.0);
        if ahead_ms > CLOCK_TOLERANCE_MS {
            return Err(LightError::Ahead { ahead_ms });
        }
        head.verify(&self.chain(), &self.validators)?;
        if agree(&self.newest, header) {
            Ok(())
        } else {
            let (mine, other) = (self.newest.id(), header.id());
            Err(LightError::Fork { height: header.height, mine, other })
        }
    }
}

/// Whether two headers can be of one chain: one block a height, time that goes on, and neighbours that follow each other.
fn agree(one: &Header, other: &Header) -> bool {
    let (earlier, later) = if one.height <= other.height { (one, other) } else { (other, one) };
    if earlier.height == later.height {
        return earlier == later;
    }
    let follows = later.previous == earlier.id() && later.validators == earlier.next_validators;
    earlier.time < later.time && (earlier.height.checked_add(1) != Some(later.height) || follows)
}

impl BorshDeserialize for LightClient {
    /// Takes only what [`LightClient`] itself could have written: a newest header that is the set's own, or hands over to it.
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (validators, since, newest) = <(ValidatorSet, Height, Header)>::deserialize_reader(reader)?;
        let own = newest.height >= since && newest.validators == validators.hash(&newest.chain);
        let before = newest.height.checked_add(1) == Some(since);
        let hands_over = before && newest.next_validators == validators.hash(&newest.chain);
        if since == 0 || !(own || hands_over) {
            return Err(Fault::NotCanonical.raise());
        }
        Ok(Self { validators, since, newest })
    }
}

impl Wire for LightClient {
    const NAME: &'static str = "a light client";
    const MAX_LEN: usize = ValidatorSet::MAX_LEN + 8 + Header::MAX_LEN;
}
