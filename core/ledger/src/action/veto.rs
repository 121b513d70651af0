//! Veto: the holder says that the key is not lost. First in the block, so that it is never too late while a recovery is
//! not complete.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, Precedence, StudyRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::{StudyId, TxId};
use crate::key::Key;
use crate::state::StateReader;
use crate::study::Deed;

/// The action. Signed by `holder`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Veto {
    /// On which study.
    pub study: StudyId,
    /// Its holder.
    pub holder: Key,
    /// The transaction that asked for the recovery.
    pub recovery: TxId,
}

/// Why a Veto is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VetoError {
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// There is no such recovery.
    #[error("no such recovery of the study is pending: there is nothing to veto")]
    NotPending,
}

impl Act for Veto {
    const TAG: Tag = Tag::VETO;
    const PRECEDENCE: Precedence = Precedence::Veto;
    type Refused = VetoError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.holder])
    }

    fn author(&self) -> Author {
        Author::OnStudy(self.study, self.holder)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        let Self { study: id, holder, recovery } = self;

        let mut study = context.held_study::<VetoError>(*id, *holder, Deed::Veto)?;
        let pending = study.pending_recovery.take().map(|pending| pending.id);
        rule(pending == Some(*recovery), VetoError::NotPending)?;
        study.vetoed = Some(context.now);
        context.put_study(*id, study)?;
        context.events.push(Event::Vetoed { study: *id, recovery: *recovery });
        Ok(())
    }
}
