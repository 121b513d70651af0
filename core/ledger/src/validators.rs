//! Who decides: the validators and their voting power.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::{self, Tag};
use crate::encoding::{Ascending, Entry, Wire};
use crate::id::{ChainId, SourceId, ValidatorsHash};
use crate::key::Key;
use crate::source::MAX_SOURCES;
use crate::time::Height;

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

/// Those who decide a block, derived from committed state when an epoch begins: a row of the state for the next block, and
/// one for each epoch that evidence is looked into of.
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

    /// Who proposes at a height, from round 0 on: in round 0 each with a chance proportional to its power, drawn by the
    /// height; in each later round the next in the set's order, so that one that is down costs one round, whatever its
    /// power. After the last of them it goes on with the first. Nobody, when nobody has power.
    pub fn proposers(&self, chain: &ChainId, height: Height) -> impl Iterator<Item = SourceId> {
        let mut preimage = Vec::from(*chain.as_bytes());
        preimage.extend_from_slice(&height.to_le_bytes());
        let drawn = blake3::hash(&preimage);
        let (low, _) = drawn.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        let mut left = u128::from_le_bytes(*low).checked_rem(self.total_power()).unwrap_or(0);
        // Those without power neither vote nor propose.
        let able = || self.validators.iter().filter(|validator| validator.power > 0);
        let first = able().position(|validator| {
            let (here, power) = (left < u128::from(validator.power), u128::from(validator.power));
            left = left.saturating_sub(power);
            here
        });
        let first = first.unwrap_or(0);
        able().skip(first).chain(able().take(first)).map(|validator| validator.source)
    }

    /// Who proposes in a round. Nobody, when nobody has power.
    #[must_use]
    pub fn proposer(&self, chain: &ChainId, height: Height, round: u32) -> Option<SourceId> {
        let able = self.validators.iter().filter(|validator| validator.power > 0).count();
        self.proposers(chain, height).nth((round as usize).checked_rem(able)?)
    }

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
