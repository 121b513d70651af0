//! Undelegate: the holder ends a delegation, and with it the grants that were made under it. Never capped by rate.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, Precedence, StudyRefused};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::StudyId;
use crate::key::Key;
use crate::state::StateReader;
use crate::study::{Capacity, Deed};

/// The action. Signed by `holder`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Undelegate {
    /// On which study.
    pub study: StudyId,
    /// Its holder.
    pub holder: Key,
    /// Whose delegation ends.
    pub delegate: Key,
}

/// Why an Undelegate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UndelegateError {
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// There is no such delegation.
    #[error("the key is no delegate on the study, or no longer")]
    NoDelegate,
}

impl Act for Undelegate {
    const TAG: Tag = Tag::UNDELEGATE;
    const PRECEDENCE: Precedence = Precedence::Revoke;
    type Refused = UndelegateError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.holder])
    }

    fn author(&self) -> Author {
        Author::OnStudy(self.study, self.holder)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use UndelegateError as Error;
        let Self { study: id, holder, delegate } = self;

        let mut study = context.held_study::<Error>(*id, *holder, Deed::Undelegate)?;
        study.delegates.remove(delegate).ok_or(Failed::Refused(Error::NoDelegate))?;
        let ended = study.end_grants(|grant| grant.by == Capacity::Delegate(*delegate));
        context.put_study(*id, study)?;
        context.events.push(Event::Undelegated { study: *id, delegate: *delegate });
        context.revoked(*id, ended);
        Ok(())
    }
}
