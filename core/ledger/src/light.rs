//! The light client: what a phone needs to believe a header, and nothing else.
//!
//! It starts from a genesis or a checkpoint and follows the validators from one set to the next, or jumps over several changes at
//! once. A header is believed when more than two thirds of the trusted set decided it; rows of the state are then believed by their
//! proofs. It knows no network and no clock: headers, changes and the time are handed in.
//!
//! ```text
//! genesis ──────► validators ── change, jump ──► validators ── header ──► proven rows
//! checkpoint ──────────────────────────────────────┘
//! ```
//!
//! Trust ends 14 days after the newest header. Then, and on the first day of a wallet, the way in is a [`Checkpoint`] that somebody
//! vouches for whom the holder has reason to believe: a hospital that hands over a code, or sources with more than a third of the power
//! that was trusted last, by keys that their identity keys endorsed ([`SignedCheckpoint`], [`Vouched`]).
//!
//! What it cannot know: whether a newer header exists, which its holder sees by the header's age; and whether it is told of
//! the true chain once more than a third of a set is dishonest, which shows only when two headers contradict each other
//! ([`LightError::Fork`]).

mod checkpoint;
mod clock;
mod endorsement;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::{CertificateError, CommitCertificate, Header, PROTOCOL_VERSION};
use crate::encoding::{Fault, Wire};
use crate::genesis::Genesis;
use crate::id::{BlockId, ChainId};
use crate::state::{MemoryState, ProvenFragment, ReadRows as _};
use crate::time::{Height, LocalTime};
use crate::tree::{ProofError, StateProof};
use crate::validators::ValidatorSet;

pub use self::checkpoint::{
    Checkpoint, CheckpointError, Identities, ProvenIdentity, SignedCheckpoint, Uncounted, Vouched,
};
pub use self::clock::{CLOCK_TOLERANCE_MS, TRUSTING_PERIOD_MS};
pub use self::endorsement::{Endorsement, EndorsementError, MAX_ENDORSEMENT_MS, SignedEndorsement};

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
        self.check(chain, validators)?;
        Ok(self.certificate.verify(chain, validators)?)
    }

    /// All that costs no signature.
    fn check(&self, chain: &ChainId, validators: &ValidatorSet) -> Result<(), LightError> {
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
        Ok(())
    }

    /// Likewise, when `validators` came with it: then it is they who are wrong.
    fn check_sent(&self, chain: &ChainId, validators: &ValidatorSet) -> Result<(), LightError> {
        self.check(chain, validators).map_err(|error| match error {
            LightError::OtherValidators { height } => LightError::NotItsValidators { height },
            error => error,
        })
    }

    /// The power in `trusted` of those who signed as one of `validators`: the same sources, by the same keys.
    fn overlap(&self, validators: &ValidatorSet, trusted: &ValidatorSet) -> u128 {
        let signers = self.certificate.votes().filter_map(|(place, _)| validators.validators.get(place));
        // Ascending lists name nobody twice, so nobody is counted twice.
        let known =
            signers.filter_map(|signer| trusted.validators.find(&signer.source).filter(|it| it.key == signer.key));
        known.fold(0, |sum, validator| sum.saturating_add(u128::from(validator.power)))
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
    /// The set that came with a header is not the one it names.
    #[error(
        "the validators that came with the header of height {height} are not those that it names: whoever sent them is \
         wrong; ask another relay"
    )]
    NotItsValidators {
        /// Which header.
        height: Height,
    },
    /// Those who signed cannot vouch for those who are unknown.
    #[error(
        "validators with {power} of the {total} power that is trusted here have signed the header of height {height}; a jump \
         needs more than a third: follow the changes of validators one by one"
    )]
    TooLittleOverlap {
        /// Which header.
        height: Height,
        /// The signers' power in the trusted set.
        power: u128,
        /// The trusted set's.
        total: u128,
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
    /// The wallet was away for too long, or the checkpoint is as old.
    #[error(
        "the header that trust would go on from is {age_ms} ms old, more than 14 days: whoever has the keys of that time is not \
         believed any more; if this device's clock is right, a fresh checkpoint is needed, as hospitals sign and their codes carry"
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
    /// The header is not the checkpoint's.
    #[error(
        "the header of height {height} is not the one that the checkpoint names: whoever sent it is wrong; ask another relay"
    )]
    OtherCheckpoint {
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
    /// The first height that they may have decided: after a jump, the one after what was trusted before.
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

    /// Trusts the validators who decide the block of a checkpoint, on the word of whoever vouches for it and nothing else: that it is
    /// of the network is theirs to say. All the rest is verified.
    ///
    /// What was believed before is not looked at; [`LightClient::renew`] does.
    ///
    /// # Errors
    /// [`LightError`]; the genesis has no certificate, so that a checkpoint of it is [`LightError::Passed`].
    pub fn from_checkpoint(
        chain: &ChainId,
        checkpoint: &Checkpoint,
        head: &CertifiedHeader,
        validators: &ValidatorSet,
        now: LocalTime,
    ) -> Result<Self, LightError> {
        let newest = head.header;
        if Checkpoint::of(&newest) != *checkpoint {
            return Err(LightError::OtherCheckpoint { height: newest.height });
        }
        if newest.height == 0 {
            return Err(LightError::Passed { height: 0, first: 1 });
        }
        not_too_old(&newest, now)?;
        not_ahead(&newest, now)?;
        head.check_sent(chain, validators)?;
        head.certificate.verify(chain, validators)?;
        Ok(Self { validators: validators.clone(), since: newest.height, newest })
    }

    /// The newest block that sources of the trusted set vouch for, with more than a third of its power, whether or not the set's headers are
    /// still believed. `known` is what rows have proven of their identity keys.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn vouched<'a>(
        &self,
        signed: impl IntoIterator<Item = &'a SignedCheckpoint>,
        known: &Identities,
        now: LocalTime,
    ) -> Result<Vouched, CheckpointError> {
        Vouched::weigh(signed, &self.validators, known, &self.newest, now)
    }

    /// Goes on from a block that was vouched for, if what is believed is too old: from its header, certificate and validators, verified as
    /// those of any checkpoint. Returns the newest header.
    ///
    /// # Errors
    /// [`LightError`].
    pub fn resume(
        &mut self,
        vouched: &Vouched,
        head: &CertifiedHeader,
        validators: &ValidatorSet,
        now: LocalTime,
    ) -> Result<&Header, LightError> {
        if head.header.time != vouched.time() {
            return Err(LightError::OtherCheckpoint { height: head.header.height });
        }
        let fresh = Self::from_checkpoint(&self.chain(), &vouched.checkpoint(), head, validators, now)?;
        self.renew(&fresh, now)
    }

    /// Goes on from a client that started afresh from a checkpoint. It is for whoever was away too long: as long as what is believed
    /// here is not too old, it is not given up, since fewer vouch for a checkpoint than for a header. One that is behind changes
    /// nothing either. Returns the newest header.
    ///
    /// # Errors
    /// [`LightError::Chain`], [`LightError::Fork`].
    pub fn renew(&mut self, fresh: &Self, now: LocalTime) -> Result<&Header, LightError> {
        if fresh.chain() != self.chain() {
            return Err(LightError::Chain);
        }
        self.agrees_with(&fresh.newest)?;
        if fresh.newest.height > self.newest.height && !self.is_trusted_at(now) {
            self.advance(fresh.newest, &fresh.validators);
        }
        Ok(&self.newest)
    }

    /// Whether the trusted validators are still believed, or only a checkpoint leads on.
    #[must_use]
    pub fn is_trusted_at(&self, now: LocalTime) -> bool {
        not_too_old(&self.newest, now).is_ok()
    }

    /// The network.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.newest.chain
    }

    /// Who is trusted to decide.
    #[must_use]
    pub const fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// The newest header. Its time says how old what is proven against it is.
    #[must_use]
    pub const fn newest(&self) -> &Header {
        &self.newest
    }

    /// Whether a change of validators must be followed, or several jumped over, before `header` can be believed. Whether it can be
    /// believed then, only [`LightClient::accept`] says. What is needed are the changes after the height of [`LightClient::newest`].
    #[must_use]
    pub fn needs_change(&self, header: &Header) -> bool {
        header.height >= self.newest.height.max(self.since) && header.validators != self.validators.hash(&self.chain())
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

    /// Believes a header that later validators decided, and them, without the changes between: more than two thirds of them signed
    /// it, and among those is more than a third of the power that is trusted, so at least one who is honest
    /// (Braithwaite et al., "Tendermint light client", 2020, skipping verification). `validators` is the set that the header names.
    ///
    /// Returns the newest header. One that the trusted validators decided is treated as [`LightClient::accept`] does.
    ///
    /// # Errors
    /// [`LightError`]; at [`LightError::TooLittleOverlap`] a nearer header may do, and each change does.
    pub fn skip(
        &mut self,
        head: &CertifiedHeader,
        validators: &ValidatorSet,
        now: LocalTime,
    ) -> Result<&Header, LightError> {
        let (header, chain) = (&head.header, self.chain());
        if header.validators == self.validators.hash(&chain) {
            return self.accept(head, now);
        }
        not_too_old(&self.newest, now)?;
        if header.height < self.newest.height {
            return Err(LightError::Passed { height: header.height, first: self.newest.height });
        }
        not_ahead(header, now)?;
        head.check_sent(&chain, validators)?;
        let (power, total) = (head.overlap(validators, &self.validators), self.validators.total_power());
        if power.saturating_mul(3) <= total {
            return Err(LightError::TooLittleOverlap { height: header.height, power, total });
        }
        head.certificate.verify(&chain, validators)?;
        self.agrees_with(header)?;
        if header.height > self.newest.height {
            self.advance(*header, validators);
        }
        Ok(&self.newest)
    }

    /// Believes a header from before the newest that earlier validators decided: more than two thirds of them signed it, and among
    /// those is more than a third of the power that is trusted now. So somebody who is honest now found it valid then, and with it the
    /// validators that it names. For what happened once, as an anchor of receipts; no state is believed on account of it.
    ///
    /// What it rests on beside: that those who signed have not signed two blocks of that height since their keys were retired.
    ///
    /// # Errors
    /// [`LightError`]; at [`LightError::TooLittleOverlap`] so much has changed since that only who kept the header from then believes it.
    pub fn recall(&self, head: &CertifiedHeader, validators: &ValidatorSet, now: LocalTime) -> Result<(), LightError> {
        let (header, chain) = (&head.header, self.chain());
        not_too_old(&self.newest, now)?;
        if header.height > self.newest.height {
            return Err(LightError::OtherValidators { height: header.height });
        }
        head.check_sent(&chain, validators)?;
        let (power, total) = (head.overlap(validators, &self.validators), self.validators.total_power());
        if power.saturating_mul(3) <= total {
            return Err(LightError::TooLittleOverlap { height: header.height, power, total });
        }
        head.certificate.verify(&chain, validators)?;
        self.agrees_with(header)
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
        not_too_old(&self.newest, now)?;
        if header.height < self.since {
            return Err(LightError::Passed { height: header.height, first: self.since });
        }
        not_ahead(header, now)?;
        head.verify(&self.chain(), &self.validators)?;
        self.agrees_with(header)
    }

    fn agrees_with(&self, header: &Header) -> Result<(), LightError> {
        if agree(&self.newest, header) {
            Ok(())
        } else {
            let (mine, other) = (self.newest.id(), header.id());
            Err(LightError::Fork { height: header.height, mine, other })
        }
    }

    /// Goes on to a later header and to those who decided it. Headers of theirs between the two may be believed as well: whoever is
    /// honest among them has signed none at a height that was another set's.
    fn advance(&mut self, header: Header, validators: &ValidatorSet) {
        if self.validators != *validators {
            self.validators = validators.clone();
            self.since = self.newest.height.saturating_add(1);
        }
        self.newest = header;
    }
}

/// Whether those who decided `header` are still to be believed.
const fn not_too_old(header: &Header, now: LocalTime) -> Result<(), LightError> {
    let age_ms = now.0.since(header.time.timestamp());
    if age_ms > TRUSTING_PERIOD_MS { Err(LightError::TooOld { age_ms }) } else { Ok(()) }
}

/// Whether `header` is from a time that may have come.
const fn not_ahead(header: &Header, now: LocalTime) -> Result<(), LightError> {
    let ahead_ms = header.time.timestamp().since(now.0);
    if ahead_ms > CLOCK_TOLERANCE_MS { Err(LightError::Ahead { ahead_ms }) } else { Ok(()) }
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
