//! SetStatus: the source stops serving a study for a while, serves it again, or withdraws it for ever.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, Precedence, SourceRefused, StudyRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::StudyId;
use crate::key::Key;
use crate::source::Registered;
use crate::state::{ReadError, ReadRows as _, StateKey, StateReader};
use crate::study::{Reason, Standing, Status, Study};

/// The action. Signed by `source`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SetStatus {
    /// Which study.
    pub study: StudyId,
    /// The source's operational key.
    pub source: Key,
    /// One more than the status before; a new study's is 0.
    pub number: u32,
    /// To what.
    pub status: NewStatus,
}

/// What a status is set to, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum NewStatus {
    /// Served again.
    Active,
    /// Not served; lapses by itself unless renewed, except for [`Reason::WrongPatient`].
    Suspended(Reason),
    /// Never served again.
    Withdrawn(Reason),
}

/// Why a SetStatus is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetStatusError {
    /// See [`SourceRefused`].
    #[error(transparent)]
    Source(#[from] SourceRefused),
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// The epoch's statuses are used up.
    #[error(
        "the source set the status of studies {0} times in this epoch, the most it may; the next is possible in the next epoch"
    )]
    Quota(u32),
    /// A number was left out, or is there already.
    #[error("status {given} does not follow status {newest}")]
    Number {
        /// As signed.
        given: u32,
        /// The newest there is.
        newest: u32,
    },
    /// Final is final.
    #[error("the study is withdrawn, which is final")]
    Final,
    /// It is served.
    #[error("the study is not suspended: nothing to resume")]
    NotSuspended,
}

impl Act for SetStatus {
    const TAG: Tag = Tag::SET_STATUS;
    const PRECEDENCE: Precedence = Precedence::SetStatus;
    type Refused = SetStatusError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.source])
    }

    fn author(&self) -> Author {
        Author::Source(self.source)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use SetStatusError as Error;
        let Self { study: id, source: source_key, number, status } = self;

        // A suspended source may still stop serving; to serve again is not its to say.
        let (source, record) = context.signing_source::<Error>(*source_key)?;
        rule(!record.suspended || *status != NewStatus::Active, SourceRefused::Suspended.into())?;
        let mut activity = context.state.activity(source)?.in_epoch(context.epoch);
        let quota = context.rules.parameters.statuses_per_epoch;
        rule(activity.statuses < quota, Error::Quota(quota))?;
        activity.statuses = activity.statuses.saturating_add(1);
        let mut study = context.study::<Error>(*id)?;
        context.check_keeps::<Error>(source, &study)?;
        let [standing, _] = study.standings(context.now);
        rule(!matches!(standing, Standing::Withdrawn(_)), Error::Final)?;
        rule(
            study.status_number.checked_add(1) == Some(*number),
            Error::Number { given: *number, newest: study.status_number },
        )?;

        study.status = match *status {
            NewStatus::Active => {
                rule(matches!(standing, Standing::Suspended(_)), Error::NotSuspended)?;
                Status::Active
            }
            NewStatus::Suspended(reason) => {
                // These may be another patient's images: no forgetfulness of the source's may show them to the wrong one.
                let lapses = reason != Reason::WrongPatient;
                let until = lapses.then(|| context.now.timestamp().plus(context.rules.parameters.suspension_ms));
                Status::Suspended { until, reason }
            }
            NewStatus::Withdrawn(reason) => Status::Withdrawn { reason },
        };
        study.status_number = *number;
        let event = Event::StatusSet { study: *id, status: study.status };
        context.state.put(StateKey::Activity(source), &activity);
        if matches!(study.status, Status::Withdrawn { .. }) {
            unregister(context, &study)?;
        }
        context.put_study(*id, study)?;
        context.events.push(event);
        Ok(())
    }
}

/// A study that is withdrawn counts no more for the voting power of the source that defined it, if it still does.
fn unregister<R: StateReader>(context: &mut Context<'_, '_, R>, study: &Study) -> Result<(), ReadError<R::Error>> {
    let source = study.source;
    let mut activity = context.state.activity(source)?;
    activity.withdrawn_in_all = activity.withdrawn_in_all.saturating_add(1);
    if let Some(Registered(count)) = context.state.registered(source, study.defined_in)? {
        context.state.put(StateKey::Registered(source, study.defined_in), &Registered(count.saturating_sub(1)));
        activity.registered = activity.registered.saturating_sub(1);
    }
    context.state.put(StateKey::Activity(source), &activity);
    Ok(())
}
