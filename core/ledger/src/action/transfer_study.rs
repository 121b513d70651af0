//! TransferStudy: a study changes hands, signed by both: to a new phone, to a child that has grown up.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, StudyRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::StudyId;
use crate::key::Key;
use crate::state::StateReader;
use crate::study::Deed;

/// The action. Signed by `holder` and `new_holder`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransferStudy {
    /// Which study.
    pub study: StudyId,
    /// Who holds it.
    pub holder: Key,
    /// Who is to hold it.
    pub new_holder: Key,
    /// Whether the holder's grants go on. Delegations and grants by delegates end.
    pub keep_grants: bool,
}

/// Why a TransferStudy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferStudyError {
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// Too fast.
    #[error("the study changed hands {0} times today, the most it may; the next is possible tomorrow")]
    TooOften(u16),
}

impl Act for TransferStudy {
    const TAG: Tag = Tag::TRANSFER_STUDY;
    type Refused = TransferStudyError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.holder, self.new_holder])
    }

    fn author(&self) -> Author {
        Author::OnStudy(self.study, self.holder)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use TransferStudyError as Error;
        let Self { study: id, holder, new_holder, keep_grants } = self;

        let mut study = context.held_study::<Error>(*id, *holder, Deed::TransferStudy)?;
        let most = context.rules.parameters.transfers_per_day;
        let mut today = study.today.on(context.now.timestamp().day());
        rule(today.transfers < most, Error::TooOften(most))?;
        today.transfers = today.transfers.saturating_add(1);
        study.today = today;

        // Whoever has the holder's key says that it is not lost. Were that no veto, a thief could go on transferring, and the
        // recovery would never come before the hospitals.
        if study.pending_recovery.take().is_some() {
            study.vetoed = Some(context.now);
        }
        let ended = study.change_hands(*new_holder, *keep_grants);
        context.put_study(*id, study)?;
        context.events.push(Event::ChangedHands { study: *id, holder: *new_holder });
        context.revoked(*id, ended);
        Ok(())
    }
}
