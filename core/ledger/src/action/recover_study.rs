//! RecoverStudy: the source gives a study whose key was lost to a new holder. Said twice: once to ask, and days later to
//! complete what was asked for, by name, so that neither is ever taken for the other.
//!
//! In between the holder, if the key is not lost after all, can veto. That nothing changes hands by itself, only by a second
//! transaction, has three reasons: what a study is depends on no moment that passes unseen; a veto in the same block comes
//! first; and the study's events tell of it.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, SourceRefused, StudyRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::{StudyId, TxId};
use crate::key::Key;
use crate::state::{ReadRows as _, StateKey, StateReader};
use crate::study::{Deed, PendingRecovery, Study};
use crate::time::{Height, Timestamp};

/// The action. Signed by `source` and `new_holder`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoverStudy {
    /// Which study.
    pub study: StudyId,
    /// The source's operational key.
    pub source: Key,
    /// Who is to hold it.
    pub new_holder: Key,
    /// Nothing to ask; the transaction that asked, to complete.
    pub completes: Option<TxId>,
}

/// Why a RecoverStudy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverStudyError {
    /// See [`SourceRefused`].
    #[error(transparent)]
    Source(#[from] SourceRefused),
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// The epoch's recoveries are used up.
    #[error("the source recovered {0} studies in this epoch, the most it may; the next is possible in the next epoch")]
    Quota(u32),
    /// The holder.
    #[error("the key holds the study already")]
    Holds,
    /// There is no such recovery.
    #[error(
        "no such recovery of the study for this holder is pending: it was vetoed or completed, the study changed hands, or another was asked for; ask anew"
    )]
    NotPending,
    /// Asked for, and to be waited for.
    #[error("the recovery was asked for and can be completed from {from} on, at height {height} or later")]
    TooEarly {
        /// From when on, unless the chain stands still.
        from: Timestamp,
        /// And from which height on.
        height: Height,
    },
    /// Asked for a short while ago.
    #[error("a recovery of the study was asked for not long ago; the next can be from {0} on")]
    TooSoon(Timestamp),
}

impl Act for RecoverStudy {
    const TAG: Tag = Tag::RECOVER_STUDY;
    type Refused = RecoverStudyError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.source, self.new_holder])
    }

    fn author(&self) -> Author {
        Author::Source(self.source)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use RecoverStudyError as Error;
        let Self { study: id, source: source_key, new_holder, completes } = self;

        let source = context.acting_source::<Error>(*source_key)?;
        let mut activity = context.state.activity(source)?.in_epoch(context.epoch);
        let quota = context.rules.parameters.recoveries_per_epoch;
        rule(activity.recoveries < quota, Error::Quota(quota))?;
        activity.recoveries = activity.recoveries.saturating_add(1);
        let mut study = context.study_for::<Error>(*id, Deed::RecoverStudy)?;
        context.check_keeps::<Error>(source, &study)?;
        rule(study.holder != *new_holder, Error::Holds)?;

        let (event, ended) = match completes {
            Some(asked) => {
                let is_it = |pending: &PendingRecovery| (pending.id, pending.new_holder) == (*asked, *new_holder);
                let pending = study.pending_recovery.filter(is_it).ok_or(Failed::Refused(Error::NotPending))?;
                check_waited(&pending, context).map_err(Failed::Refused)?;
                (study.pending_recovery, study.vetoed) = (None, None);
                let ended = study.change_hands(*new_holder, false);
                (Event::ChangedHands { study: *id, holder: *new_holder }, ended)
            }
            None => {
                check_interval(&study, context).map_err(Failed::Refused)?;
                study.last_recovery = Some(context.now);
                let (since, since_height) = (context.now, context.height);
                let event = if study.vetoed.is_some() {
                    // The source says the key is lost, whoever has it says it is not. The hospitals find out, not the ledger.
                    (study.pending_recovery, study.frozen) = (None, true);
                    Event::Frozen { study: *id }
                } else {
                    let pending = PendingRecovery { id: context.id, new_holder: *new_holder, since, since_height };
                    study.pending_recovery = Some(pending);
                    Event::RecoveryAsked { study: *id, recovery: context.id, new_holder: *new_holder }
                };
                (event, alloc::vec::Vec::new())
            }
        };
        context.state.put(StateKey::Activity(source), &activity);
        context.put_study(*id, study)?;
        context.events.push(event);
        context.revoked(*id, ended);
        Ok(())
    }
}

/// Whether the holder had all the time that a veto takes: also if the chain stood still in between.
fn check_waited<R>(pending: &PendingRecovery, context: &Context<'_, '_, R>) -> Result<(), RecoverStudyError> {
    let parameters = &context.rules.parameters;
    let waited = pending.since.timestamp().plus(parameters.recovery_delay_ms);
    let resumed = context.resumed.map(|resumed| resumed.timestamp().plus(parameters.halt_grace_ms));
    let from = resumed.unwrap_or_default().max(waited);
    let height = pending.since_height.saturating_add(parameters.recovery_heights);
    let done = context.now.timestamp() >= from && context.height >= height;
    if done { Ok(()) } else { Err(RecoverStudyError::TooEarly { from, height }) }
}

fn check_interval<R>(study: &Study, context: &Context<'_, '_, R>) -> Result<(), RecoverStudyError> {
    let Some(last) = study.last_recovery else { return Ok(()) };
    let next = last.timestamp().plus(context.rules.parameters.recovery_interval_ms);
    if context.now.timestamp() >= next { Ok(()) } else { Err(RecoverStudyError::TooSoon(next)) }
}
