//! The engine's types, over the ledger's.
//!
//! Most are newtypes: neither the engine's traits nor the ledger's types are ours. A value is a block's id, an address a
//! source's.

use core::fmt;

use arc_malachitebft_core_types::{
    self as engine, Context, LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType,
};
use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::id::{BlockId, ChainId, SourceId};
use clavicle_ledger::key::{Key, KeyError, SecretKey, Signature};
use clavicle_ledger::time::Height;
use clavicle_ledger::validators::{Validator, ValidatorSet};
use clavicle_ledger::vote::{self, RoundProposal, VoteKind};

use crate::parts::Part;

/// A network, as the engine sees it.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) chain: ChainId,
}

/// A height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At(pub(crate) Height);

/// A validator's address: its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(pub(crate) SourceId);

/// What is decided on: a block, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value(pub(crate) BlockId);

/// A vote. Its round may be missing, as the engine's type allows; such a vote is neither signed nor accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) kind: VoteKind,
    pub(crate) height: At,
    pub(crate) round: Round,
    pub(crate) block: NilOrVal<BlockId>,
    pub(crate) validator: Address,
}

/// A proposal; what was said of rounds holds here too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) height: At,
    pub(crate) round: Round,
    pub(crate) value: Value,
    pub(crate) valid_round: Round,
    pub(crate) proposer: Address,
}

/// A validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    address: Address,
    key: Key,
    power: u64,
}

/// Those who decide a height, in the ledger's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    set: ValidatorSet,
    members: Vec<Member>,
    total: u64,
}

impl Member {
    pub(crate) const fn source(&self) -> SourceId {
        self.address.0
    }
}

/// A set of validators that nothing can be decided with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// Nobody has any power.
    #[error("no validator has any voting power")]
    NoPower,
    /// The engine multiplies powers by three, in 64 bits.
    #[error("the voting power of all validators is beyond what can be counted")]
    TooMuchPower,
}

impl Members {
    pub(crate) fn new(set: &ValidatorSet) -> Result<Self, SetError> {
        let total = u64::try_from(set.total_power()).map_err(|_| SetError::TooMuchPower)?;
        if total == 0 {
            return Err(SetError::NoPower);
        }
        if total > u64::MAX / 4 {
            return Err(SetError::TooMuchPower);
        }
        let member = |validator: &Validator| {
            let Validator { source, key, power } = *validator;
            Member { address: Address(source), key, power }
        };
        Ok(Self { set: set.clone(), members: set.validators.iter().map(member).collect(), total })
    }

    pub(crate) fn key_of(&self, source: &SourceId) -> Option<&Key> {
        self.find(&Address(*source)).map(|member| &member.key)
    }

    fn find(&self, address: &Address) -> Option<&Member> {
        self.members.binary_search_by(|member| member.address.cmp(address)).ok().and_then(|at| self.members.get(at))
    }

    /// Who proposes, as the ledger says.
    pub(crate) fn proposer(&self, chain: &ChainId, height: Height, round: u32) -> &Member {
        let source = self.set.proposer(chain, height, round).expect("somebody has power");
        self.find(&Address(source)).expect("the proposer is one of the set")
    }
}

impl Vote {
    /// The ledger's vote; none when it has no round.
    pub(crate) fn to_ledger(&self) -> Option<vote::Vote> {
        let block = match self.block {
            NilOrVal::Nil => None,
            NilOrVal::Val(block) => Some(block),
        };
        let Self { kind, height: At(height), round, block: _, validator: Address(validator) } = *self;
        Some(vote::Vote { kind, height, round: round.as_u32()?, block, validator })
    }

    pub(crate) fn from_ledger(vote: vote::Vote) -> Self {
        let vote::Vote { kind, height, round, block, validator } = vote;
        let block = block.map_or(NilOrVal::Nil, NilOrVal::Val);
        Self { kind, height: At(height), round: Round::new(round), block, validator: Address(validator) }
    }
}

impl Proposal {
    /// The ledger's proposal; none when it has no round.
    pub(crate) fn to_ledger(&self) -> Option<RoundProposal> {
        let Self { height: At(height), round, value: Value(block), valid_round, proposer: Address(proposer) } = *self;
        Some(RoundProposal { height, round: round.as_u32()?, block, valid_round: valid_round.as_u32(), proposer })
    }

    pub(crate) fn from_ledger(proposal: RoundProposal) -> Self {
        let RoundProposal { height, round, block, valid_round, proposer } = proposal;
        Self {
            height: At(height),
            round: Round::new(round),
            value: Value(block),
            valid_round: valid_round.map_or(Round::Nil, Round::new),
            proposer: Address(proposer),
        }
    }
}

impl Context for Network {
    type Address = Address;
    type Height = At;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Member;
    type ValidatorSet = Members;
    type Timeouts = LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, set: &'a Members, height: At, round: Round) -> &'a Member {
        set.proposer(&self.chain, height.0, round.as_u32().unwrap_or(0))
    }

    fn new_proposal(&self, height: At, round: Round, value: Value, valid_round: Round, proposer: Address) -> Proposal {
        Proposal { height, round, value, valid_round, proposer }
    }

    fn new_prevote(&self, height: At, round: Round, block: NilOrVal<BlockId>, validator: Address) -> Vote {
        Vote { kind: VoteKind::Prevote, height, round, block, validator }
    }

    fn new_precommit(&self, height: At, round: Round, block: NilOrVal<BlockId>, validator: Address) -> Vote {
        Vote { kind: VoteKind::Precommit, height, round, block, validator }
    }
}

impl engine::Height for At {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Address for Address {}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Value for Value {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        self.0
    }
}

impl engine::Vote<Network> for Vote {
    fn height(&self) -> At {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockId> {
        &self.block
    }

    fn take_value(self) -> NilOrVal<BlockId> {
        self.block
    }

    fn vote_type(&self) -> VoteType {
        match self.kind {
            VoteKind::Prevote => VoteType::Prevote,
            VoteKind::Precommit => VoteType::Precommit,
        }
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }

    // Votes carry no extension: there is nothing to add to them that a block could not say.
    fn extension(&self) -> Option<&SignedExtension<Network>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Network>> {
        None
    }

    fn extend(self, _: SignedExtension<Network>) -> Self {
        self
    }
}

impl engine::Proposal<Network> for Proposal {
    fn height(&self) -> At {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.valid_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

impl engine::Validator<Network> for Member {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &Key {
        &self.key
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

impl engine::ValidatorSet<Network> for Members {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.total
    }

    fn get_by_address(&self, address: &Address) -> Option<&Member> {
        self.find(address)
    }

    fn get_by_index(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }
}

/// The ledger's keys and signatures, as the engine wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ed25519;

/// The ledger's signature, with the order that the engine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Sig(pub(crate) Signature);

impl PartialOrd for Sig {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sig {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

/// Bytes that are no key or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyBytesError {
    #[error("not of a key's or signature's length")]
    Length,
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl engine::SigningScheme for Ed25519 {
    type DecodingError = KeyBytesError;
    type Signature = Sig;
    type PublicKey = Key;
    type PrivateKey = SecretKey;

    fn decode_signature(bytes: &[u8]) -> Result<Sig, KeyBytesError> {
        let bytes = bytes.try_into().map_err(|_| KeyBytesError::Length)?;
        Ok(Sig(Signature::from_bytes(bytes)))
    }

    fn encode_signature(signature: &Sig) -> Vec<u8> {
        signature.0.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<Key, KeyBytesError> {
        let key = Key::from_bytes(bytes.try_into().map_err(|_| KeyBytesError::Length)?);
        key.check()?;
        Ok(key)
    }

    fn encode_public_key(key: &Key) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

impl engine::ProposalPart<Network> for Part {
    fn is_first(&self) -> bool {
        self.index == 0
    }

    fn is_last(&self) -> bool {
        self.index.saturating_add(1) == self.count()
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Ascending;

    use super::*;

    fn set(powers: &[u64]) -> ValidatorSet {
        let validator = |(at, power): (usize, &u64)| {
            let byte = u8::try_from(at).unwrap();
            let key = SecretKey::from_bytes(&[byte; 32]).public();
            Validator { source: SourceId::from_bytes([byte; 32]), key, power: *power }
        };
        ValidatorSet { validators: Ascending::from_items(powers.iter().enumerate().map(validator).collect()).unwrap() }
    }

    #[test]
    fn a_set_that_can_decide_nothing_is_refused() {
        assert_eq!(Members::new(&set(&[])), Err(SetError::NoPower));
        assert_eq!(Members::new(&set(&[0, 0])), Err(SetError::NoPower));
        assert_eq!(Members::new(&set(&[u64::MAX, 1])), Err(SetError::TooMuchPower));
        assert_eq!(Members::new(&set(&[u64::MAX / 3])), Err(SetError::TooMuchPower));
    }
}
