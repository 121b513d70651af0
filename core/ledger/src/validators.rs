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

    /// How many of those who do not answer must do so, at least, until more than two thirds of the power do: those with the most power first. 0 when
    /// they do.
    #[must_use]
    pub fn needs(&self, answers: impl Fn(&SourceId) -> bool) -> usize {
        let all = self.total_power();
        let enough = |power: u128| power.saturating_mul(3) > all.saturating_mul(2);
        let (mut reached, mut silent) = (0u128, Vec::new());
        for validator in self.validators.iter().filter(|validator| validator.power > 0) {
            let power = u128::from(validator.power);
            if answers(&validator.source) { reached = reached.saturating_add(power) } else { silent.push(power) }
        }
        silent.sort_unstable_by(|one, other| other.cmp(one));
        let mut silent = silent.into_iter();
        let mut needs = 0usize;
        while !enough(reached) {
            let Some(power) = silent.next() else { break };
            reached = reached.saturating_add(power);
            needs = needs.saturating_add(1);
        }
        needs
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

#[cfg(test)]
mod tests {
    use crate::key::SecretKey;

    use super::*;

    const CHAIN: ChainId = ChainId::from_bytes([7; 32]);

    fn set(powers: &[u64]) -> ValidatorSet {
        let validator = |(byte, power): (u8, &u64)| {
            let key = SecretKey::from_bytes(&[byte; 32]).public();
            Validator { source: SourceId::from_bytes([byte; 32]), key, power: *power }
        };
        ValidatorSet { validators: Ascending::from_items((0..).zip(powers).map(validator).collect()).unwrap() }
    }

    fn place(set: &ValidatorSet, height: Height, round: u32) -> usize {
        usize::from(set.proposer(&CHAIN, height, round).unwrap().as_bytes()[0])
    }

    #[test]
    fn how_many_more_must_answer_goes_by_their_power() {
        let needs = |powers: &[u64], silent: &[u8]| set(powers).needs(|source| !silent.contains(&source.as_bytes()[0]));
        // More than two thirds: three of four, and all of three.
        assert_eq!((needs(&[1; 4], &[]), needs(&[1; 4], &[3]), needs(&[1; 4], &[1, 3])), (0, 0, 1));
        assert_eq!((needs(&[1; 4], &[1, 2, 3]), needs(&[1; 4], &[0, 1, 2, 3])), (2, 3));
        assert_eq!((needs(&[1; 3], &[2]), needs(&[1], &[]), needs(&[1], &[0])), (1, 0, 1));
        // One with much of the power counts for many, and those without it for nothing.
        assert_eq!((needs(&[7, 1, 1, 1], &[1, 2, 3]), needs(&[7, 1, 1, 1], &[0])), (0, 1));
        assert_eq!((needs(&[5, 3, 1, 1], &[0, 2, 3]), needs(&[5, 3, 1, 1], &[1, 2])), (1, 1));
        assert_eq!((needs(&[1, 1, 1, 1, 0], &[4]), needs(&[0, 0], &[0, 1]), needs(&[], &[])), (0, 0, 0));
    }

    #[test]
    fn each_proposes_about_as_often_as_it_has_power() {
        let (set, mut turns) = (set(&[1, 0, 3, 6]), [0u32; 4]);
        for height in 1..=10_000 {
            turns[place(&set, height, 0)] += 1;
        }
        assert_eq!(turns[1], 0);
        for (turns, expected) in [(turns[0], 1_000), (turns[2], 3_000), (turns[3], 6_000)] {
            assert!(turns.abs_diff(expected) < 200, "{turns} turns of {expected}");
        }
    }

    #[test]
    fn in_each_further_round_it_is_the_next_ones_turn() {
        let set = set(&[1, 0, 1_000, 1]);
        for height in 1..100 {
            let places = [0, 1, 2].map(|round| place(&set, height, round));
            let mut sorted = places;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 2, 3]);
            assert_eq!(place(&set, height, 3), places[0]);
            assert_eq!(place(&set, height, u32::MAX), places[u32::MAX as usize % 3]);
        }
    }

    #[test]
    fn where_nobody_has_power_nobody_proposes() {
        assert_eq!([set(&[]), set(&[0, 0])].map(|set| set.proposer(&CHAIN, 1, 0)), [None, None]);
    }
}
