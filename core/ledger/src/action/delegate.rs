//! Delegate: the holder lets somebody grant in the holder's place, until a day.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, StatelessError, StudyRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::{ChainId, StudyId};
use crate::key::Key;
use crate::state::{ReadRows as _, StateReader};
use crate::study::{self, Deed, MAX_DELEGATES, Powers};

/// The action. Signed by `holder`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delegate {
    /// On which study.
    pub study: StudyId,
    /// Its holder.
    pub holder: Key,
    /// Who may, what, and until when.
    pub delegate: study::Delegate,
}

/// Why a Delegate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelegateError {
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// The holder, or a source's key.
    #[error("a delegate is somebody else than the holder, with a key that no source announced")]
    DelegateIsParty,
    /// Powers nobody knows.
    #[error("the delegate's powers name none, or some that do not exist")]
    Powers,
    /// Over before it began.
    #[error("the delegation has ended already")]
    Over,
    /// A role changes only with a new delegation, so that no grant is taken for another kind than it was made as.
    #[error("the key is a delegate in another role: end that delegation first, and with it its grants")]
    RoleStays,
    /// No room.
    #[error("the study has {0} delegates, the most there may be; end a delegation first")]
    TooMany(usize),
    /// Too fast.
    #[error("{0} delegations were made on the study today, the most there may be; the next is possible tomorrow")]
    TooOften(u16),
}

impl Act for Delegate {
    const TAG: Tag = Tag::DELEGATE;
    type Refused = DelegateError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.holder])
    }

    fn author(&self) -> Author {
        Author::OnStudy(self.study, self.holder)
    }

    fn check_stateless(&self, _: &ChainId) -> Result<(), StatelessError> {
        let Self { study: _, holder, delegate } = self;
        let study::Delegate { key, role: _, powers, expiry_day: _ } = delegate;
        if key == holder {
            return Err(DelegateError::DelegateIsParty.into());
        }
        if *powers == Powers(0) || !Powers::ALL.include(*powers) {
            return Err(DelegateError::Powers.into());
        }
        key.check().map_err(|error| StatelessError::Key { role: "delegate", error })
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use DelegateError as Error;
        let Self { study: id, holder, delegate } = self;

        let mut study = context.held_study::<Error>(*id, *holder, Deed::Delegate)?;
        rule(delegate.is_live(context.now), Error::Over)?;
        rule(context.state.key_use(delegate.key)?.is_none(), Error::DelegateIsParty)?;
        let before = study.delegates.remove(&delegate.key);
        rule(before.is_none_or(|before| before.role == delegate.role), Error::RoleStays)?;

        let most = context.rules.parameters.delegations_per_day;
        let mut today = study.today.on(context.now.timestamp().day());
        rule(today.delegations < most, Error::TooOften(most))?;
        today.delegations = today.delegations.saturating_add(1);
        study.today = today;

        study.delegates.insert(*delegate).map_err(|_| Failed::Refused(Error::TooMany(MAX_DELEGATES)))?;
        context.put_study(*id, study)?;
        context.events.push(Event::Delegated { study: *id, delegate: delegate.key });
        Ok(())
    }
}
