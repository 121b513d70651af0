//! Vote: the validators decide how the network goes on: who is in it, under which rules, and who holds a study that two
//! sides claim (RULES §8).

use alloc::boxed::Box;
use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, SourceRefused, StatelessError, StudyRefused, rule};
use crate::ballot::{Ballot, Cast};
use crate::domain::{self, Tag};
use crate::event::Event;
use crate::expiry;
use crate::genesis::{Candidate, CandidateError, GenesisError, GenesisSource, Parameters};
use crate::id::{BallotId, ChainId, SourceId, StudyId};
use crate::key::Key;
use crate::source::{Admitted, KeyRole, KeyUse, MAX_SOURCES, Source, SourceKind};
use crate::state::{Overlay, ReadRows as _, Rules, StateKey, StateReader, Upgrade};

/// The action. Signed by `voter`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// A validator's operational key.
    pub voter: Key,
    /// For what.
    pub content: Content,
}

/// What can be voted for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Content {
    /// A source comes into the network, as the validator or hosted source that it asks to be.
    Admit(Box<Candidate>),
    /// A source acts no more, or again.
    SetSuspended {
        /// Which.
        source: SourceId,
        /// No more.
        suspended: bool,
    },
    /// A source is to decide, or no longer.
    SetKind {
        /// Which.
        source: SourceId,
        /// As what.
        kind: SourceKind,
    },
    /// A source that lost its identity key gets another.
    ReplaceIdentity {
        /// Which.
        source: SourceId,
        /// The new key.
        identity: Key,
    },
    /// A source takes over from another, which has merged with it or closed.
    Succeed {
        /// From which.
        source: SourceId,
        /// Which takes over.
        by: SourceId,
    },
    /// Who holds a frozen study.
    Settle {
        /// Which study.
        study: StudyId,
        /// Its holder from now on.
        holder: Key,
    },
    /// The network's numbers, all of them.
    SetParameters(Box<Parameters>),
    /// Another version of the protocol.
    Upgrade(Upgrade),
}

/// Why a Vote is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VoteError {
    /// See [`SourceRefused`].
    #[error(transparent)]
    Source(#[from] SourceRefused),
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// See [`CandidateError`].
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// See [`GenesisError`].
    #[error(transparent)]
    Parameters(GenesisError),
    /// Not one of those who decide.
    #[error("the source does not decide now, and so does not vote")]
    NoValidator,
    /// The epoch's votes are used up.
    #[error("the validator voted {0} times in this epoch, the most it may; the next is possible in the next epoch")]
    Quota(u32),
    /// It has.
    #[error("the validator's vote for this counts already; it can be given again when it has ended")]
    Voted,
    /// There is nothing to change.
    #[error("what is voted for is so already")]
    NoChange,
    /// A key that is somebody's.
    #[error("the {} key is in use already: a key is announced once, by one source, in one role; make a new one", .0.name())]
    KeyInUse(KeyRole),
    /// No room.
    #[error("the network has {MAX_SOURCES} sources, the most it may have")]
    TooManySources,
    /// Nobody of that id.
    #[error("no such source is in the network")]
    NoSource,
    /// Another source has taken over.
    #[error("another source has taken over from that one")]
    Succeeded,
    /// Nobody would be left.
    #[error("without this source nobody would be left to decide: let another validator in first")]
    NobodyLeft,
    /// It is nobody's to settle.
    #[error("the study is not frozen, and its holder is not for a vote to say")]
    NotFrozen,
    /// Numbers that stay as they are.
    #[error("the parameter {0} stays as the genesis has it")]
    Fixed(&'static str),
    /// Not a later version, or not a later epoch.
    #[error("a version comes after the one there is, and in an epoch after this one")]
    Upgrade,
}

impl Content {
    /// Its id: what its ballot is found by.
    #[must_use]
    pub fn id(&self, chain: &ChainId) -> BallotId {
        BallotId::from_bytes(domain::digest(Tag::BALLOT, chain, self))
    }
}

impl Act for Vote {
    const TAG: Tag = Tag::CAST;
    type Refused = VoteError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.voter])
    }

    fn author(&self) -> Author {
        Author::Source(self.voter)
    }

    fn check_stateless(&self, _: &ChainId) -> Result<(), StatelessError> {
        let Self { voter: _, content } = self;
        match content {
            Content::Admit(candidate) => {
                for key in candidate.source.signers() {
                    key.check().map_err(|error| StatelessError::Key { role: "source", error })?;
                }
                candidate.check().map_err(VoteError::Candidate)?;
            }
            Content::ReplaceIdentity { source: _, identity: key } => {
                key.check().map_err(|error| StatelessError::Key { role: "source", error })?;
            }
            Content::Settle { study: _, holder } => {
                holder.check().map_err(|error| StatelessError::Key { role: "holder", error })?;
            }
            Content::SetParameters(parameters) => parameters.check().map_err(VoteError::Parameters)?,
            Content::SetSuspended { .. } | Content::SetKind { .. } | Content::Succeed { .. } | Content::Upgrade(_) => {}
        }
        Ok(())
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use VoteError as Error;
        let Self { voter, content } = self;

        let source = context.acting_source::<Error>(*voter)?;
        rule(context.validators.validators.find(&source).is_some(), Error::NoValidator)?;
        let mut activity = context.state.activity(source)?.in_epoch(context.epoch);
        let most = context.rules.parameters.votes_per_epoch;
        rule(activity.votes < most, Error::Quota(most))?;
        activity.votes = activity.votes.saturating_add(1);
        context.state.put(StateKey::Activity(source), &activity);

        let ballot_id = content.id(&context.rules.chain);
        let mut ballot: Ballot = context.state.row(&StateKey::Ballot(ballot_id))?.unwrap_or_default();
        ballot.settle(context.now);
        rule(ballot.cast.find(&source).is_none(), Error::Voted)?;
        let until = context.now.timestamp().plus(context.rules.parameters.vote_ms);
        ballot.cast.insert(Cast { voter: source, until }).expect("a ballot has room for every source");
        let power =
            |source: &SourceId| context.validators.validators.find(source).map_or(0, |one| u128::from(one.power));
        let given: u128 = ballot.cast.iter().map(|cast| power(&cast.voter)).sum();
        let passes = given.saturating_mul(3) > context.validators.total_power().saturating_mul(2);

        // Worked out for each vote, though it counts only for the last: nobody votes for what could not be.
        let (mut state, mut events) = (Overlay::new(&*context.state), Vec::new());
        let Context { rules, now, height, epoch, resumed, evidence_from, validators, id, .. } = *context;
        let mut then = Context {
            state: &mut state,
            events: &mut events,
            rules,
            now,
            height,
            epoch,
            resumed,
            evidence_from,
            validators,
            id,
        };
        decide(content, passes, &mut then)?;
        let changes = state.into_changes();

        context.events.push(Event::Voted { source, ballot: ballot_id });
        if passes {
            context.state.remove(StateKey::Ballot(ballot_id));
            context.state.merge(changes);
            context.events.push(Event::Passed { ballot: ballot_id });
            context.events.extend(events);
        } else {
            context.state.put(StateKey::Ballot(ballot_id), &ballot);
            expiry::schedule_ballot(context.state, ballot_id, &ballot)?;
        }
        Ok(())
    }
}

/// Does what the content says, or says why that cannot be. What can be left out without changing whether it can be, and is
/// long, is done only if it `passes`.
fn decide<R: StateReader>(
    content: &Content,
    passes: bool,
    context: &mut Context<'_, '_, R>,
) -> Result<(), Failed<VoteError, R::Error>> {
    match content {
        Content::Admit(candidate) => admit(candidate, context),
        Content::SetSuspended { source: id, suspended } => {
            let source = source_of(*id, context)?;
            rule(source.suspended != *suspended, VoteError::NoChange)?;
            rule(!suspended || context.others_decide(*id, 1)?, VoteError::NobodyLeft)?;
            put_source(*id, &Source { suspended: *suspended, ..source }, context);
            Ok(())
        }
        Content::SetKind { source: id, kind } => {
            source_of(*id, context)?;
            let mut roster = context.state.roster()?;
            let before = roster.admitted.remove(id).ok_or(Failed::Refused(VoteError::NoSource))?;
            rule(before.kind != *kind, VoteError::NoChange)?;
            rule(*kind == SourceKind::Validator || context.others_decide(*id, 1)?, VoteError::NobodyLeft)?;
            let admitted = Admitted { kind: *kind, ..before };
            roster.admitted.insert(admitted).map_err(|_| Failed::Refused(VoteError::TooManySources))?;
            context.state.put(StateKey::Roster, &roster);
            context.events.push(Event::SourceChanged { source: *id });
            Ok(())
        }
        Content::ReplaceIdentity { source: id, identity } => {
            let source = source_of(*id, context)?;
            rule(source.identity != *identity, VoteError::NoChange)?;
            take_key(*id, KeyRole::Identity, *identity, context)?;
            put_source(*id, &Source { identity: *identity, ..source }, context);
            Ok(())
        }
        Content::Succeed { source, by } => succeed(*source, *by, passes, context),
        Content::Settle { study: id, holder } => {
            let mut study = context.study::<VoteError>(*id)?;
            rule(study.frozen, VoteError::NotFrozen)?;
            (study.frozen, study.vetoed) = (false, None);
            let ended = if study.holder == *holder { Vec::new() } else { study.change_hands(*holder, false) };
            context.put_study(*id, study)?;
            context.events.push(Event::Settled { study: *id, holder: *holder });
            context.revoked(*id, ended);
            Ok(())
        }
        Content::SetParameters(parameters) => {
            let rules = context.state.rules()?;
            let now = rules.parameters;
            // What was promised under these cannot be promised again: tombstones that stand, studies that count.
            let fixed = [
                ("submit_window_ms", parameters.submit_window_ms == now.submit_window_ms),
                ("tombstone_ms", parameters.tombstone_ms == now.tombstone_ms),
                ("power_window_epochs", parameters.power_window_epochs == now.power_window_epochs),
            ];
            if let Some((name, _)) = fixed.into_iter().find(|(_, same)| !same) {
                return Err(Failed::Refused(VoteError::Fixed(name)));
            }
            rule(rules.next_parameters.unwrap_or(now) != **parameters, VoteError::NoChange)?;
            context.state.put(StateKey::Rules, &Rules { next_parameters: Some(**parameters), ..rules });
            Ok(())
        }
        Content::Upgrade(upgrade) => {
            let rules = context.state.rules()?;
            rule(upgrade.version > rules.version && upgrade.epoch > context.epoch, VoteError::Upgrade)?;
            rule(rules.upgrade != Some(*upgrade), VoteError::NoChange)?;
            context.state.put(StateKey::Rules, &Rules { upgrade: Some(*upgrade), ..rules });
            Ok(())
        }
    }
}

/// A source that is in the network and acts for itself.
fn source_of<R: StateReader>(
    id: SourceId,
    context: &Context<'_, '_, R>,
) -> Result<Source, Failed<VoteError, R::Error>> {
    let source = context.state.source(id)?.ok_or(Failed::Refused(VoteError::NoSource))?;
    rule(source.successor.is_none(), VoteError::Succeeded)?;
    Ok(source)
}

fn put_source<R: StateReader>(id: SourceId, source: &Source, context: &mut Context<'_, '_, R>) {
    context.state.put(StateKey::Source(id), source);
    context.events.push(Event::SourceChanged { source: id });
}

/// Takes note of a key that nobody has announced so far.
fn take_key<R: StateReader>(
    source: SourceId,
    role: KeyRole,
    key: Key,
    context: &mut Context<'_, '_, R>,
) -> Result<(), Failed<VoteError, R::Error>> {
    rule(context.state.key_use(key)?.is_none(), VoteError::KeyInUse(role))?;
    context.state.put(StateKey::KeyUse(key), &KeyUse { source, role });
    Ok(())
}

fn admit<R: StateReader>(
    candidate: &Candidate,
    context: &mut Context<'_, '_, R>,
) -> Result<(), Failed<VoteError, R::Error>> {
    let Candidate { source: GenesisSource { identity, announcement }, signatures: _ } = candidate;
    let id = SourceId::of_identity(&context.rules.chain, identity);
    take_key(id, KeyRole::Identity, *identity, context)?;
    for (role, key) in announcement.keys.each() {
        take_key(id, role, key, context)?;
    }
    let mut roster = context.state.roster()?;
    let admitted = Admitted { source: id, kind: announcement.kind };
    roster.admitted.insert(admitted).map_err(|_| Failed::Refused(VoteError::TooManySources))?;
    context.state.put(StateKey::Roster, &roster);
    put_source(id, &Source::admitted(*identity, announcement.clone(), context.epoch, context.height), context);
    Ok(())
}

fn succeed<R: StateReader>(
    id: SourceId,
    by: SourceId,
    passes: bool,
    context: &mut Context<'_, '_, R>,
) -> Result<(), Failed<VoteError, R::Error>> {
    let source = source_of(id, context)?;
    source_of(by, context)?;
    rule(id != by, VoteError::NoChange)?;
    rule(context.others_decide(id, 1)?, VoteError::NobodyLeft)?;
    if !passes {
        return Ok(());
    }
    // Whoever was succeeded by it is succeeded by the new one too, so that one step leads to who acts now.
    for Admitted { source: other, kind: _ } in &context.state.roster()?.admitted {
        let record: Source = context.state.required(&StateKey::Source(*other))?;
        if record.successor == Some(id) {
            put_source(*other, &Source { successor: Some(by), ..record }, context);
        }
    }
    put_source(id, &Source { successor: Some(by), ..source }, context);
    Ok(())
}
