//! Who decides: the validators and their voting power.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::{self, Tag};
use crate::encoding::{Ascending, Entry, Wire};
use crate::id::{ChainId, SourceId, ValidatorsHash};
use crate::key::Key;
use crate::source::MAX_SOURCES;

/// A source that votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// Which source.
    pub source: SourceId,
    /// The key it votes with.
    pub key: Key,
    /// Its voting power.
    pub power: u64,
}

impl Entry for Validator {
    type Key = SourceId;
    fn key(&self) -> &SourceId {
        &self.source
    }
}

/// Those who decide a block: one row of the state, derived from committed state when an epoch begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValidatorSet {
    /// In ascending order of their ids.
    pub validators: Ascending<Validator, MAX_SOURCES>,
}

impl ValidatorSet {
    /// What a header says of the set.
    #[must_use]
    pub fn hash(&self, chain: &ChainId) -> ValidatorsHash {
        ValidatorsHash::from_bytes(domain::digest(Tag::VALIDATORS, chain, self))
    }
}

impl ValidatorSet {
    /// All voting power together.
    #[must_use]
    pub fn total_power(&self) -> u128 {
        self.validators.iter().map(|validator| u128::from(validator.power)).sum()
    }
}

impl Wire for ValidatorSet {
    const NAME: &'static str = "a validator set";
    const MAX_LEN: usize = 4 + 73 * MAX_SOURCES;
}
