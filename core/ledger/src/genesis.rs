//! The genesis: what a network starts from, and what its id is the hash of.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::{self, Tag};
use crate::encoding::{self, Ascending, Entry, Text, Wire};
use crate::id::ChainId;
use crate::key::{Key, KeyError, SecretKey, Signature, SignatureError};
use crate::signatures::{MAX_ENVELOPE_LEN, Signatures};
use crate::source::{Announcement, AnnouncementError, MAX_SOURCES, SourceKind};
use crate::time::{BlockTime, DAY_MS, HOUR_MS};

/// The version of the rules in this crate.
pub const PROTOCOL_VERSION: u32 = 1;
/// The most envelopes that a network's parameters may allow in a block.
pub const MAX_BLOCK_ENVELOPES: usize = 16 * 1024;
/// The most bytes of envelopes that a network's parameters may allow in a block.
pub const MAX_BLOCK_BYTES: usize = 8 * 1024 * 1024;
/// The most days that a network's parameters may let a grant last.
pub const MAX_GRANT_DAYS: u32 = 731;
/// The longest that most of a network's lengths of time may be, in milliseconds.
pub(crate) const YEAR_MS: u64 = DAY_MS * 366;

/// A network's first sources and its rules.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Genesis {
    /// The network's name.
    pub name: Text<64>,
    /// The genesis block's time.
    pub time: BlockTime,
    /// Its rules.
    pub parameters: Parameters,
    /// Its first sources.
    pub sources: Ascending<GenesisSource, MAX_SOURCES>,
}

impl Wire for Genesis {
    const NAME: &'static str = "a network's genesis";
    const MAX_LEN: usize = 4 * 1024 * 1024;
}

/// A source admitted by the genesis, announced as version 0.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GenesisSource {
    /// Its identity key.
    pub identity: Key,
    /// What it says of itself.
    pub announcement: Announcement,
}

impl Entry for GenesisSource {
    type Key = Key;
    fn key(&self) -> &Key {
        &self.identity
    }
}

/// A source that asks to be in a genesis, or to be admitted by vote: what it says of itself, signed by its identity key and by every key it announces,
/// so that nobody can put another's keys into a genesis. A genesis has no chain id before it exists, so this is signed for
/// none, under a tag of its own.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Candidate {
    /// The source.
    pub source: GenesisSource,
    /// Its signatures: by the identity key, then by the keys of [`crate::source::SourceKeys::each`].
    pub signatures: Signatures,
}

/// Why a candidature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// See [`AnnouncementError`].
    #[error(transparent)]
    Announcement(#[from] AnnouncementError),
    /// Not every key has signed.
    #[error("the source announces {due} keys and {given} have signed")]
    SignatureCount {
        /// Signatures there are.
        given: usize,
        /// Signatures there must be.
        due: usize,
    },
    /// A signature that does not hold.
    #[error("signature {index}: {error}")]
    Signature {
        /// Which, from 0.
        index: usize,
        /// Why not.
        error: SignatureError,
    },
}

/// What stands for the chain id where there is no chain yet.
const NO_CHAIN: ChainId = ChainId::from_bytes([0; 32]);

impl Candidate {
    /// Signs for a source with those of `keys` that it names.
    ///
    /// # Errors
    /// [`CandidateError`].
    pub fn sign(source: GenesisSource, keys: &[&SecretKey]) -> Result<Self, CandidateError> {
        let preimage = domain::preimage(Tag::CANDIDATE, &NO_CHAIN, &source);
        let by = |signer: Key| keys.iter().find(|key| key.public() == signer).map(|key| key.sign(&preimage));
        let signatures: Vec<Signature> = source.signers().filter_map(by).collect();
        let due = source.signers().count();
        let given = signatures.len();
        let signatures = Signatures::new(signatures).map_err(|_| CandidateError::SignatureCount { given, due })?;
        let candidate = Self { source, signatures };
        candidate.check()?;
        Ok(candidate)
    }

    /// Checks what the source says and that all its keys say so.
    ///
    /// # Errors
    /// [`CandidateError`].
    pub fn check(&self) -> Result<(), CandidateError> {
        let Self { source, signatures } = self;
        source.announcement.check(&source.identity)?;
        let (given, due) = (signatures.as_slice().len(), source.signers().count());
        if given != due {
            return Err(CandidateError::SignatureCount { given, due });
        }
        let preimage = domain::preimage(Tag::CANDIDATE, &NO_CHAIN, source);
        for (index, (signature, key)) in signatures.as_slice().iter().zip(source.signers()).enumerate() {
            signature.verify(&key, &preimage).map_err(|error| CandidateError::Signature { index, error })?;
        }
        Ok(())
    }
}

impl Wire for Candidate {
    const NAME: &'static str = "a source's candidature";
    const MAX_LEN: usize = 8 * 1024;
}

impl GenesisSource {
    /// Every key of the source, the identity first.
    pub fn signers(&self) -> impl Iterator<Item = Key> + '_ {
        core::iter::once(self.identity).chain(self.announcement.keys.each().map(|(_, key)| key))
    }
}

/// The numbers a network agrees on: the constants marked ° in RULES.md, with their values there as default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Parameters {
    /// How far ahead of block time `submit_by` may lie, in milliseconds.
    pub submit_window_ms: u64,
    /// Studies a source may define in an epoch.
    pub studies_per_epoch: u32,
    /// Announcements a source may make in an epoch.
    pub announcements_per_epoch: u32,
    /// Revisions a source may make in an epoch.
    pub revisions_per_epoch: u32,
    /// Statuses a source may set in an epoch.
    pub statuses_per_epoch: u32,
    /// Grants the holder may make on one study in a day.
    pub holder_grants_per_day: u16,
    /// Grants all delegates together may make on one study in a day.
    pub delegate_grants_per_day: u16,
    /// Delegations the holder may make on one study in a day.
    pub delegations_per_day: u16,
    /// Times a study may change hands in a day by transfer.
    pub transfers_per_day: u16,
    /// Recoveries a source may ask for or complete in an epoch.
    pub recoveries_per_epoch: u32,
    /// Anchors a source may make in an epoch.
    pub anchors_per_epoch: u32,
    /// Votes a validator may give in an epoch.
    pub votes_per_epoch: u32,
    /// Equivocations of one validator that are taken note of in an epoch.
    pub evidence_per_epoch: u32,
    /// How long a grant may last, in days.
    pub max_grant_days: u32,
    /// How long a grant by care team or emergency card may last, in milliseconds.
    pub brief_grant_ms: u64,
    /// How long a tombstone stays at least, in milliseconds.
    pub tombstone_ms: u64,
    /// When a suspension lapses unless renewed, in milliseconds.
    pub suspension_ms: u64,
    /// The shortest epoch, in milliseconds.
    pub epoch_ms: u64,
    /// Time between blocks when there is nothing to put in them, in milliseconds.
    pub heartbeat_ms: u64,
    /// The oldest head on which a source decides, in milliseconds.
    pub fresh_ms: u64,
    /// The longest staleness that Terms may allow, in milliseconds.
    pub max_staleness_ms: u64,
    /// How far a proposer's clock may be off, in milliseconds.
    pub clock_tolerance_ms: u64,
    /// How far a hello's clock may be off, in milliseconds.
    pub hello_window_ms: u64,
    /// A gap in block time that counts as a halt, in milliseconds.
    pub halt_gap_ms: u64,
    /// How long after a halt no recovery matures, in milliseconds.
    pub halt_grace_ms: u64,
    /// When a recovery matures at the earliest, in milliseconds.
    pub recovery_delay_ms: u64,
    /// And in how many heights at the earliest.
    pub recovery_heights: u64,
    /// How long after a recovery was asked for the next may be, in milliseconds.
    pub recovery_interval_ms: u64,
    /// How long a vote counts, in milliseconds.
    pub vote_ms: u64,
    /// How long before the newest epoch an epoch may have begun that evidence is of, in milliseconds.
    pub evidence_ms: u64,
    /// In how many epochs after its own a study counts for its source's voting power.
    pub power_window_epochs: u32,
    /// By how much a voting power may change in an epoch, in percent.
    pub power_change_percent: u8,
    /// Envelopes in a block.
    pub block_envelopes: u32,
    /// Bytes of envelopes in a block.
    pub block_bytes: u32,
    /// Things a block clears away that have ended.
    pub block_sweep: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            submit_window_ms: DAY_MS * 30,
            studies_per_epoch: 100_000,
            announcements_per_epoch: 16,
            revisions_per_epoch: 400_000,
            statuses_per_epoch: 100_000,
            holder_grants_per_day: 32,
            delegate_grants_per_day: 16,
            delegations_per_day: 16,
            transfers_per_day: 4,
            recoveries_per_epoch: 10_000,
            anchors_per_epoch: 10_000,
            votes_per_epoch: 256,
            evidence_per_epoch: 64,
            max_grant_days: MAX_GRANT_DAYS,
            brief_grant_ms: DAY_MS,
            tombstone_ms: DAY_MS * 30,
            suspension_ms: DAY_MS * 30,
            epoch_ms: DAY_MS,
            heartbeat_ms: 30_000,
            fresh_ms: 90_000,
            max_staleness_ms: DAY_MS,
            clock_tolerance_ms: 2_000,
            hello_window_ms: 120_000,
            halt_gap_ms: 600_000,
            halt_grace_ms: DAY_MS,
            recovery_delay_ms: DAY_MS * 3,
            recovery_heights: 200,
            recovery_interval_ms: DAY_MS * 30,
            vote_ms: DAY_MS * 7,
            evidence_ms: DAY_MS * 14,
            power_window_epochs: 365,
            power_change_percent: 25,
            block_envelopes: 2_048,
            block_bytes: 1024 * 1024,
            block_sweep: 8_192,
        }
    }
}

/// Why a genesis is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// Nobody to agree.
    #[error("the genesis names no validator, so that nothing could ever be agreed on")]
    NoValidator,
    /// A source whose announcement is wrong.
    #[error("source {0}: {1}")]
    Source(usize, AnnouncementError),
    /// A source with an unacceptable key.
    #[error("source {0}: {1}")]
    Key(usize, KeyError),
    /// One key in two places.
    #[error("source {0} announces a key that stands in another place too")]
    KeyTwice(usize),
    /// Rules that would stop the network or undo a promise.
    #[error("the parameter {0} is out of its range")]
    Parameter(&'static str),
}

impl Parameters {
    /// Checks each number, and the numbers against each other.
    ///
    /// # Errors
    /// [`GenesisError::Parameter`] with the first one that is out of range.
    pub fn check(&self) -> Result<(), GenesisError> {
        let blocks = self.block_bytes as usize;
        let fine = [
            ("submit_window_ms", (1..=YEAR_MS).contains(&self.submit_window_ms)),
            ("studies_per_epoch", self.studies_per_epoch > 0),
            ("announcements_per_epoch", self.announcements_per_epoch > 0),
            ("revisions_per_epoch", self.revisions_per_epoch > 0),
            ("statuses_per_epoch", self.statuses_per_epoch > 0),
            ("holder_grants_per_day", self.holder_grants_per_day > 0),
            ("delegations_per_day", self.delegations_per_day > 0),
            ("transfers_per_day", self.transfers_per_day > 0),
            ("recoveries_per_epoch", self.recoveries_per_epoch > 0),
            ("anchors_per_epoch", self.anchors_per_epoch > 0),
            ("votes_per_epoch", self.votes_per_epoch > 0),
            ("evidence_per_epoch", self.evidence_per_epoch > 0),
            ("max_grant_days", (1..=MAX_GRANT_DAYS).contains(&self.max_grant_days)),
            ("brief_grant_ms", self.brief_grant_ms <= DAY_MS),
            // A revoked grant must be too old to submit when its tombstone goes.
            ("tombstone_ms", (self.submit_window_ms..=YEAR_MS).contains(&self.tombstone_ms)),
            ("suspension_ms", (1..=YEAR_MS).contains(&self.suspension_ms)),
            ("epoch_ms", (1..=YEAR_MS).contains(&self.epoch_ms)),
            ("heartbeat_ms", self.heartbeat_ms > 0),
            // Between two heartbeats a head must not go stale, and a stale one must not pass for fresh.
            ("fresh_ms", self.fresh_ms > self.heartbeat_ms && self.fresh_ms <= self.max_staleness_ms),
            ("max_staleness_ms", self.max_staleness_ms <= DAY_MS),
            ("clock_tolerance_ms", self.clock_tolerance_ms <= self.heartbeat_ms),
            ("hello_window_ms", self.hello_window_ms <= HOUR_MS),
            ("halt_gap_ms", self.halt_gap_ms > self.heartbeat_ms),
            ("recovery_delay_ms", self.recovery_delay_ms <= YEAR_MS),
            ("recovery_heights", self.recovery_heights <= 100_000),
            ("recovery_interval_ms", (self.recovery_delay_ms..=YEAR_MS).contains(&self.recovery_interval_ms)),
            ("halt_grace_ms", self.halt_grace_ms <= YEAR_MS),
            // Votes on a frozen study must be gone before it can be frozen again.
            ("vote_ms", (HOUR_MS..=YEAR_MS.min(self.recovery_interval_ms)).contains(&self.vote_ms)),
            ("evidence_ms", (1..=YEAR_MS).contains(&self.evidence_ms)),
            ("power_window_epochs", (1..=10_000).contains(&self.power_window_epochs)),
            ("power_change_percent", (1..=100).contains(&self.power_change_percent)),
            ("block_envelopes", (1..=MAX_BLOCK_ENVELOPES).contains(&(self.block_envelopes as usize))),
            ("block_bytes", (MAX_ENVELOPE_LEN..=MAX_BLOCK_BYTES).contains(&blocks)),
            // What a block brings is cleared away about as fast: a transaction's own mark, and a study's place.
            ("block_sweep", u64::from(self.block_sweep) >= u64::from(self.block_envelopes).saturating_mul(2)),
        ];
        fine.into_iter().find(|(_, fine)| !fine).map_or(Ok(()), |(name, _)| Err(GenesisError::Parameter(name)))
    }
}

impl Genesis {
    /// The network's id.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        ChainId::from_bytes(*blake3::hash(&encoding::encode(self)).as_bytes())
    }

    /// Checks all that a network needs to start.
    ///
    /// # Errors
    /// [`GenesisError`]; sources are counted from 0 in the order of their identity keys.
    pub fn check(&self) -> Result<(), GenesisError> {
        let Self { name: _, time: _, parameters, sources } = self;
        parameters.check()?;
        if !sources.iter().any(|source| source.announcement.kind == SourceKind::Validator) {
            return Err(GenesisError::NoValidator);
        }
        let mut seen = alloc::collections::BTreeSet::new();
        for (index, source) in sources.iter().enumerate() {
            let GenesisSource { identity, announcement } = source;
            announcement.check(identity).map_err(|error| GenesisError::Source(index, error))?;
            for key in source.signers() {
                key.check().map_err(|error| GenesisError::Key(index, error))?;
                if !seen.insert(key) {
                    return Err(GenesisError::KeyTwice(index));
                }
            }
        }
        Ok(())
    }
}
