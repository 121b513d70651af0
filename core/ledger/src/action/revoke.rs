//! Revoke: ends a grant, also one that has not arrived yet. Never capped by rate, and first in the block.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, Precedence, StudyRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::{GrantId, StudyId, TxId};
use crate::key::Key;
use crate::state::{ReadRows as _, StateReader};
use crate::study::{Capacity, Deed, Grave, MAX_DELEGATE_TOMBSTONES, MAX_TOMBSTONES, Study, Tombstone};
use crate::time::Timestamp;

/// The action. Signed by `revoker`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Revoke {
    /// On which study.
    pub study: StudyId,
    /// The holder, or the delegate that granted.
    pub revoker: Key,
    /// Which grant.
    pub grant: GrantId,
    /// The grant's own `submit_by`: should the grant not have arrived yet, its tombstone stays at least until then.
    /// Anything in the past asks for the ordinary time.
    pub grant_submit_by: Timestamp,
}

/// Why a Revoke is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// Neither holder nor delegate.
    #[error("the signing key neither holds the study nor is a delegate of its holder now")]
    NotGranter,
    /// A delegate, and not the grant's.
    #[error("a delegate ends only grants it made itself")]
    NotYours,
    /// It is revoked.
    #[error("the grant was revoked already, or has ended")]
    Already,
    /// It could come too late for anything to remember it.
    #[error("the grant could still be submitted in more than {0} days: revoke it when that is nearer")]
    TooFar(u32),
    /// No room for one more that has not arrived.
    #[error(
        "{0} grants were revoked before they arrived, the most the study keeps; revoke this one when it has arrived"
    )]
    TooManyTombstones(usize),
}

impl Act for Revoke {
    const TAG: Tag = Tag::REVOKE;
    const PRECEDENCE: Precedence = Precedence::Revoke;
    type Refused = RevokeError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.revoker])
    }

    fn author(&self) -> Author {
        Author::OnStudy(self.study, self.revoker)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use RevokeError as Error;
        let Self { study: study_id, revoker, grant, grant_submit_by } = self;

        let mut study = context.study_for::<Error>(*study_id, Deed::Revoke)?;
        let by = study.capacity(revoker, context.now).ok_or(Failed::Refused(Error::NotGranter))?;
        let event = match study.grants.find(grant) {
            Some(live) => {
                rule(by == Capacity::Holder || live.by == by, Error::NotYours)?;
                study.grants.remove(grant);
                Event::Revoked { study: *study_id, grant: *grant }
            }
            None => {
                let (now, parameters) = (context.now.timestamp(), &context.rules.parameters);
                // Only while its mark is needed at all, so that sweeping early or late makes no difference.
                let arrived = context.state.executed(TxId::from(*grant))?.is_some_and(|mark| now <= mark.submit_by);
                rule(!arrived, Error::Already)?;
                let latest = now.day().plus(parameters.max_grant_days).start();
                rule(*grant_submit_by <= latest, Error::TooFar(parameters.max_grant_days))?;
                let until = now.plus(parameters.tombstone_ms).max(*grant_submit_by);
                bury(&mut study, Tombstone { grave: Grave { grant: *grant, by }, until }).map_err(Failed::Refused)?;
                Event::Buried { study: *study_id, grant: *grant }
            }
        };
        context.put_study(*study_id, study)?;
        context.events.push(event);
        Ok(())
    }
}

/// Leaves a tombstone, if there is room. Delegates leave the holder three quarters of it, whatever they do.
fn bury(study: &mut Study, tombstone: Tombstone) -> Result<(), RevokeError> {
    if study.tombstones.find(&tombstone.grave).is_some() {
        return Err(RevokeError::Already);
    }
    let by_delegates = study.tombstones.iter().filter(|stone| stone.grave.by != Capacity::Holder).count();
    if tombstone.grave.by != Capacity::Holder && by_delegates >= MAX_DELEGATE_TOMBSTONES {
        return Err(RevokeError::TooManyTombstones(MAX_DELEGATE_TOMBSTONES));
    }
    study.tombstones.insert(tombstone).map_err(|_| RevokeError::TooManyTombstones(MAX_TOMBSTONES))
}
