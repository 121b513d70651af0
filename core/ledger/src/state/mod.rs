//! The state: rows of bytes under typed keys, read through one small trait.
//!
//! Readers: a map in memory ([`MemoryState`]), a store's snapshot, an [`Overlay`] over either, a [`ProvenFragment`]. What an
//! execution wants to change is [`Changes`], plain data, applied elsewhere. Every row is a leaf of the state tree, so
//! that the state root covers all that execution depends on, and a snapshot can be verified to the last byte.

mod ending;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

pub use self::ending::{Due, Ending, ReplayMark, Slot, SlotHead};
use crate::ballot::Ballot;
use crate::encoding::{self, DecodeError, Wire};
pub use crate::fragment::{NotProven, ProvenFragment};
use crate::genesis::Parameters;
use crate::id::{BallotId, ChainId, SourceId, StudyId, TxId};
use crate::key::Key;
pub use crate::memory::MemoryState;
use crate::record::EpochRecord;
use crate::source::{Activity, KeyUse, Registered, Roster, Source};
use crate::study::Study;
use crate::time::{BlockTime, Epoch, Height};
use crate::validators::ValidatorSet;

/// What a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum StateKey {
    /// The [`Rules`].
    Rules,
    /// The [`Head`].
    Head,
    /// The [`Roster`].
    Roster,
    /// The [`ValidatorSet`] that decides the next block.
    Validators,
    /// A [`Source`].
    Source(SourceId),
    /// A source's [`Activity`].
    Activity(SourceId),
    /// A key's [`KeyUse`].
    KeyUse(Key),
    /// A [`Study`].
    Study(StudyId),
    /// A transaction's [`ReplayMark`].
    Executed(TxId),
    /// The [`SlotHead`] of what ends in an hour.
    Slot(Slot),
    /// A study's place among what ends in an hour: [`Due`].
    Due(Slot, StudyId),
    /// A ballot's place among what ends in an hour: [`Due`].
    BallotDue(Slot, BallotId),
    /// A [`Ballot`].
    Ballot(BallotId),
    /// How many studies a source defined in an epoch that are not withdrawn: [`Registered`].
    Registered(SourceId, Epoch),
    /// An epoch's [`EpochRecord`].
    Record(Epoch),
    /// The [`ValidatorSet`] that decides an epoch's blocks after its first, and the next epoch's first: as long as evidence
    /// of the epoch is looked into, and that of the epoch just over in any case.
    Deciding(Epoch),
}

impl Wire for StateKey {
    const NAME: &'static str = "a state key";
    const MAX_LEN: usize = 41;
}

/// The network's id and its rules, as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Rules {
    /// The network.
    pub chain: ChainId,
    /// The version of the protocol.
    pub version: u32,
    /// Its numbers.
    pub parameters: Parameters,
    /// Its numbers from the next epoch on, when a vote changes them.
    pub next_parameters: Option<Parameters>,
    /// The version that comes, when a vote has decided on one.
    pub upgrade: Option<Upgrade>,
}

/// A version of the protocol, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Upgrade {
    /// The version.
    pub version: u32,
    /// The first epoch that may begin under it.
    pub epoch: Epoch,
}

impl Wire for Rules {
    const NAME: &'static str = "the network's rules";
    const MAX_LEN: usize = 1024;
}

/// How far the chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Head {
    /// The newest block's height.
    pub height: Height,
    /// Its time.
    pub time: BlockTime,
    /// The epoch it is in.
    pub epoch: Epoch,
    /// The time of that epoch's first block.
    pub epoch_start: BlockTime,
    /// The time of the first block after the newest halt, a gap longer than the network's rules call one.
    pub resumed: Option<BlockTime>,
    /// The earliest epoch that equivocations are still looked into of.
    pub evidence_from: Epoch,
    /// The first hour whose ended things may not all be cleared away yet.
    pub next_slot: Slot,
}

impl Wire for Head {
    const NAME: &'static str = "the chain's head";
    const MAX_LEN: usize = 53;
}

/// Something that state can be read from, as of one block.
pub trait StateReader {
    /// What can go wrong in reading. Never a statement about a block or a transaction.
    type Error;

    /// The bytes of the row under `key`, if there is one.
    ///
    /// # Errors
    /// When the store fails, or, in a fragment, when nothing was proven about the key.
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Why a row could not be had. Says nothing about whether a block is valid: whoever meets it stops, or asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The store failed.
    #[error("the state could not be read")]
    Storage(#[source] E),
    /// A row is not what it should be; the store is damaged.
    #[error("the state is damaged at {key:?}; restore it from a snapshot")]
    Corrupt {
        /// Which row.
        key: StateKey,
        /// What is wrong with it; nothing when it is missing.
        error: Option<DecodeError>,
    },
}

/// Writes: the bytes a row is to have, or `None` to remove it.
pub type Changes = BTreeMap<StateKey, Option<Vec<u8>>>;

/// A reader with changes laid over it.
#[derive(Debug)]
pub struct Overlay<'a, R> {
    base: &'a R,
    changes: Changes,
}

impl<'a, R: StateReader> Overlay<'a, R> {
    /// Lays nothing over `base`, for now.
    pub const fn new(base: &'a R) -> Self {
        Self { base, changes: Changes::new() }
    }

    /// Lays `changes` over `base`.
    pub const fn with(base: &'a R, changes: Changes) -> Self {
        Self { base, changes }
    }

    /// Takes the changes.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    pub(crate) fn merge(&mut self, changes: Changes) {
        // Not `append`, which rebuilds the whole map each time.
        self.changes.extend(changes);
    }

    pub(crate) fn put<T: Wire>(&mut self, key: StateKey, row: &T) {
        self.changes.insert(key, Some(encoding::encode(row)));
    }

    pub(crate) fn remove(&mut self, key: StateKey) {
        self.changes.insert(key, None);
    }
}

impl<R: StateReader> StateReader for Overlay<'_, R> {
    type Error = R::Error;

    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, R::Error> {
        self.changes.get(key).map_or_else(|| self.base.read(key), |row| Ok(row.clone()))
    }
}

/// Typed reading, for every reader.
pub trait ReadRows: StateReader {
    /// The row under `key`, decoded.
    ///
    /// # Errors
    /// [`ReadError`].
    fn row<T: Wire>(&self, key: &StateKey) -> Result<Option<T>, ReadError<Self::Error>> {
        let Some(bytes) = self.read(key).map_err(ReadError::Storage)? else { return Ok(None) };
        encoding::decode(&bytes).map(Some).map_err(|error| ReadError::Corrupt { key: *key, error: Some(error) })
    }

    /// The row under `key`, which every state has.
    ///
    /// # Errors
    /// [`ReadError`], also when it is missing.
    fn required<T: Wire>(&self, key: &StateKey) -> Result<T, ReadError<Self::Error>> {
        self.row(key)?.ok_or(ReadError::Corrupt { key: *key, error: None })
    }

    /// The network's rules.
    ///
    /// # Errors
    /// [`ReadError`].
    fn rules(&self) -> Result<Rules, ReadError<Self::Error>> {
        self.required(&StateKey::Rules)
    }

    /// How far the chain has come.
    ///
    /// # Errors
    /// [`ReadError`].
    fn head(&self) -> Result<Head, ReadError<Self::Error>> {
        self.required(&StateKey::Head)
    }

    /// The sources ever admitted.
    ///
    /// # Errors
    /// [`ReadError`].
    fn roster(&self) -> Result<Roster, ReadError<Self::Error>> {
        self.required(&StateKey::Roster)
    }

    /// Who decides the next block.
    ///
    /// # Errors
    /// [`ReadError`].
    fn validators(&self) -> Result<ValidatorSet, ReadError<Self::Error>> {
        self.required(&StateKey::Validators)
    }

    /// A source.
    ///
    /// # Errors
    /// [`ReadError`].
    fn source(&self, id: SourceId) -> Result<Option<Source>, ReadError<Self::Error>> {
        self.row(&StateKey::Source(id))
    }

    /// What a source did; nothing, if it is not known.
    ///
    /// # Errors
    /// [`ReadError`].
    fn activity(&self, id: SourceId) -> Result<Activity, ReadError<Self::Error>> {
        Ok(self.row(&StateKey::Activity(id))?.unwrap_or_default())
    }

    /// Who announced a key, if anyone did.
    ///
    /// # Errors
    /// [`ReadError`].
    fn key_use(&self, key: Key) -> Result<Option<KeyUse>, ReadError<Self::Error>> {
        self.row(&StateKey::KeyUse(key))
    }

    /// A study as stored: what has ended may still be in it. See [`Study::settle`].
    ///
    /// # Errors
    /// [`ReadError`].
    fn study(&self, id: StudyId) -> Result<Option<Study>, ReadError<Self::Error>> {
        self.row(&StateKey::Study(id))
    }

    /// The source that keeps a study now: the one that defined it, or the one that took over from that.
    ///
    /// # Errors
    /// [`ReadError`].
    fn keeper(&self, study: &Study) -> Result<SourceId, ReadError<Self::Error>> {
        Ok(self.source(study.source)?.and_then(|source| source.successor).unwrap_or(study.source))
    }

    /// How many studies `source` defined in `epoch` that are not withdrawn, while that counts.
    ///
    /// # Errors
    /// [`ReadError`].
    fn registered(&self, source: SourceId, epoch: Epoch) -> Result<Option<Registered>, ReadError<Self::Error>> {
        self.row(&StateKey::Registered(source, epoch))
    }

    /// An epoch's record: the running one's, or one of those before that are still kept.
    ///
    /// # Errors
    /// [`ReadError`].
    fn record(&self, epoch: Epoch) -> Result<Option<EpochRecord>, ReadError<Self::Error>> {
        self.row(&StateKey::Record(epoch))
    }

    /// The mark of an executed transaction.
    ///
    /// # Errors
    /// [`ReadError`].
    fn executed(&self, id: TxId) -> Result<Option<ReplayMark>, ReadError<Self::Error>> {
        self.row(&StateKey::Executed(id))
    }
}

impl<R: StateReader> ReadRows for R {}

/// Checks that a row's bytes are one of its kind; for a snapshot from a stranger.
pub(crate) fn check_row(key: &StateKey, bytes: &[u8]) -> Result<(), DecodeError> {
    match key {
        StateKey::Rules => encoding::decode::<Rules>(bytes).map(drop),
        StateKey::Head => encoding::decode::<Head>(bytes).map(drop),
        StateKey::Roster => encoding::decode::<Roster>(bytes).map(drop),
        StateKey::Validators | StateKey::Deciding(_) => encoding::decode::<ValidatorSet>(bytes).map(drop),
        StateKey::Source(_) => encoding::decode::<Source>(bytes).map(drop),
        StateKey::Activity(_) => encoding::decode::<Activity>(bytes).map(drop),
        StateKey::KeyUse(_) => encoding::decode::<KeyUse>(bytes).map(drop),
        StateKey::Study(_) => encoding::decode::<Study>(bytes).map(drop),
        StateKey::Executed(_) => encoding::decode::<ReplayMark>(bytes).map(drop),
        StateKey::Slot(_) => encoding::decode::<SlotHead>(bytes).map(drop),
        StateKey::Due(..) | StateKey::BallotDue(..) => encoding::decode::<Due>(bytes).map(drop),
        StateKey::Ballot(_) => encoding::decode::<Ballot>(bytes).map(drop),
        StateKey::Registered(..) => encoding::decode::<Registered>(bytes).map(drop),
        StateKey::Record(_) => encoding::decode::<EpochRecord>(bytes).map(drop),
    }
}
