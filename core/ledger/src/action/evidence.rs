//! Evidence: a validator signed two things where it may sign one. Anybody may show it, and it signs for itself.
//!
//! Who is shown to equivocate is suspended, and decides no more from the next epoch on, unless too few would be left. What
//! cannot be shown so, changing one's mind against the locking rules without signing twice, stays unseen.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, StatelessError, rule};
use crate::domain::{self, Tag};
use crate::encoding::Wire;
use crate::event::Event;
use crate::expiry;
use crate::genesis::YEAR_MS;
use crate::id::{ChainId, EquivocationId, SourceId, TxId};
use crate::key::{Key, Signature};
use crate::source::{KeyRole, KeyUse, Source};
use crate::state::{ReadRows as _, StateKey, StateReader};
use crate::time::{Epoch, Height};
use crate::validators::ValidatorSet;
use crate::vote::{RoundProposal, Vote, VoteKind};

/// The action. Signed by nobody: the evidence is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Evidence {
    /// The consensus key that signed both.
    pub key: Key,
    /// What it signed.
    pub conflict: Conflict,
}

/// Two signed messages that cannot both be.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Conflict {
    /// Two proposals for one round, the lesser first.
    Proposals(Signed<RoundProposal>, Signed<RoundProposal>),
    /// Two votes of one kind in one round, the lesser first.
    Votes(Signed<Vote>, Signed<Vote>),
}

/// A message with its signature.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signed<T> {
    /// The message.
    pub message: T,
    /// The validator's signature.
    pub signature: Signature,
}

/// Which message of a round it is that there are two of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
enum Message {
    Proposal,
    Vote(VoteKind),
}

/// Where a validator may sign one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
struct Place {
    validator: SourceId,
    height: Height,
    round: u32,
    message: Message,
}

impl Wire for Evidence {
    const NAME: &'static str = "evidence of an equivocation";
    const MAX_LEN: usize = 512;
}

/// Why an Evidence is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// They do not contradict each other.
    #[error("the two messages are not of one validator, height, round and kind for different blocks, the lesser first")]
    NoConflict,
    /// Nobody's key.
    #[error("the key is not the consensus key that the validator had at that height")]
    NotItsKey,
    /// Not in the chain yet.
    #[error("the height is {0}, which is not reached yet: show it again then")]
    Ahead(Height),
    /// Too long ago.
    #[error("the height is too long ago: equivocations there are no longer looked into")]
    TooOld,
    /// It was shown.
    #[error("this equivocation was shown before")]
    Known,
    /// The epoch's are used up.
    #[error(
        "{0} equivocations of the validator were shown in this epoch, as many as are taken note of: show it again in the next one"
    )]
    Enough(u32),
}

impl Conflict {
    /// Where the validator signed twice, if these are a conflict.
    fn place(&self) -> Option<Place> {
        let [(here, first), (there, second)] = match self {
            Self::Proposals(one, two) => [one, two].map(|signed| {
                let RoundProposal { height, round, block, valid_round: _, proposer: validator } = signed.message;
                (Place { validator, height, round, message: Message::Proposal }, Some(block))
            }),
            Self::Votes(one, two) => [one, two].map(|signed| {
                let Vote { kind, height, round, block, validator } = signed.message;
                (Place { validator, height, round, message: Message::Vote(kind) }, block)
            }),
        };
        (here == there && first < second).then_some(here)
    }

    /// Who signed the first of the two; both, if it is a conflict.
    #[must_use]
    pub const fn validator(&self) -> SourceId {
        match self {
            Self::Proposals(one, _) => one.message.proposer,
            Self::Votes(one, _) => one.message.validator,
        }
    }
}

impl Act for Evidence {
    const TAG: Tag = Tag::EVIDENCE;
    type Refused = EvidenceError;

    fn signers(&self) -> Vec<Key> {
        // The evidence carries the signatures that count.
        Vec::new()
    }

    fn author(&self) -> Author {
        Author::Accuser(self.key)
    }

    fn check_stateless(&self, chain: &ChainId) -> Result<(), StatelessError> {
        self.conflict.place().ok_or(EvidenceError::NoConflict)?;
        self.check_signatures(chain)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use EvidenceError as Error;
        let Self { key, conflict } = self;

        let place = conflict.place().ok_or(Failed::Refused(Error::NoConflict))?;
        let Place { validator: id, height, round, message: _ } = place;
        rule(height <= context.height, Error::Ahead(height))?;
        let known = context.state.key_use(*key)? == Some(KeyUse { source: id, role: KeyRole::Consensus });
        rule(known, Error::NotItsKey)?;
        let mark = EquivocationId::from_bytes(domain::digest(Tag::EQUIVOCATION, &context.rules.chain, &place));
        let parameters = &context.rules.parameters;
        rule(context.state.executed(TxId::from(mark))?.is_none(), Error::Known)?;
        let mut activity = context.state.activity(id)?.in_epoch(context.epoch);
        let most = parameters.evidence_per_epoch;
        rule(activity.equivocations < most, Error::Enough(most))?;
        // Last, for these rows are long, and anybody may submit evidence. Not by the source's own record, which knows its last
        // two keys and not those that it had before.
        let epoch = self.deciding_epoch(height, context)?;
        let set: ValidatorSet = context.state.required(&StateKey::Deciding(epoch))?;
        rule(set.validators.find(&id).is_some_and(|validator| validator.key == *key), Error::NotItsKey)?;
        let source: Source = context.state.required(&StateKey::Source(id))?;
        activity.equivocations = activity.equivocations.saturating_add(1);
        context.state.put(StateKey::Activity(id), &activity);

        // The height is too old once an epoch begins more than the greatest age after its own did, and no block is more than
        // an epoch's length after its epoch's first. Votes change both numbers, never beyond a year: so long, the mark outlives
        // what it marks. It has to, since a second mark in its place would tear the list that it is in.
        let until = context.now.timestamp().plus(YEAR_MS).plus(YEAR_MS);
        expiry::remember(context.state, TxId::from(mark), until)?;

        if let Some(mut record) = context.state.record(context.epoch)? {
            record.line(id, |line| line.equivocations = line.equivocations.saturating_add(1));
            context.state.put(StateKey::Record(context.epoch), &record);
        }
        let suspended = !source.suspended && context.others_decide(id, MIN_LEFT)?;
        if suspended {
            context.state.put(StateKey::Source(id), &Source { suspended: true, ..source });
        }
        context.events.push(Event::Equivocated { source: id, height, round, suspended });
        Ok(())
    }
}

impl Evidence {
    /// Evidence of two messages in whichever order; nothing, if they are none.
    #[must_use]
    pub fn new(key: Key, conflict: Conflict) -> Option<Self> {
        let conflict = match conflict {
            Conflict::Proposals(one, two) if two.message.block < one.message.block => Conflict::Proposals(two, one),
            Conflict::Votes(one, two) if two.message.block < one.message.block => Conflict::Votes(two, one),
            ordered => ordered,
        };
        let evidence = Self { key, conflict };
        evidence.conflict.place().map(|_| evidence)
    }

    /// Verifies the two signatures.
    fn check_signatures(&self, chain: &ChainId) -> Result<(), StatelessError> {
        let [one, two] = match &self.conflict {
            Conflict::Proposals(one, two) => {
                [one, two].map(|signed| (signed.message.preimage(chain), &signed.signature))
            }
            Conflict::Votes(one, two) => [one, two].map(|signed| (signed.message.preimage(chain), &signed.signature)),
        };
        for (index, (preimage, signature)) in [one, two].into_iter().enumerate() {
            signature.verify(&self.key, &preimage).map_err(|error| StatelessError::Signature { index, error })?;
        }
        Ok(())
    }

    /// The epoch whose set decides a height, if equivocations in it are still looked into: an epoch's first block is decided
    /// by the set of the epoch before.
    fn deciding_epoch<R: StateReader>(
        &self,
        height: Height,
        context: &Context<'_, '_, R>,
    ) -> Result<Epoch, Failed<EvidenceError, R::Error>> {
        for epoch in (context.evidence_from..=context.epoch).rev() {
            if context.state.record(epoch)?.is_some_and(|record| record.first < height) {
                return Ok(epoch);
            }
        }
        Err(Failed::Refused(EvidenceError::TooOld))
    }
}

/// How many must be left to decide for an equivocation to suspend by itself.
const MIN_LEFT: usize = 4;
