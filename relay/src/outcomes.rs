//! What became of studies that are given back: put on record once the ledger says so, or the time of a code is over.

use std::io;

use clavicle_ledger::event::Event;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::Timestamp;
use tracing::warn;

use crate::journal::{Occasion, Reaction, Watch};
use crate::recoveries::{Recoveries, RecoveryAct, RecoveryLine};
use crate::service::{Service, ServiceError};
use crate::store::pickups::{Agreed, AskedFor, GivenBack, Outcome};
use crate::store::{ChainStore, Pickups, Snapshot, StoreError};

/// Puts on record what became of studies that are given back: by what the ledger says of each, and by the time of the code.
#[derive(Debug)]
pub struct Outcomes(Watch<fn(&Event) -> bool>);

impl Default for Outcomes {
    fn default() -> Self {
        Self(Watch::new(settles))
    }
}

const fn settles(event: &Event) -> bool {
    matches!(
        event,
        Event::ChangedHands { .. }
            | Event::RecoveryAsked { .. }
            | Event::Vetoed { .. }
            | Event::Frozen { .. }
            | Event::Settled { .. }
    )
}

impl Reaction for Outcomes {
    fn name(&self) -> &'static str {
        "what became of recoveries"
    }

    fn react(&mut self, service: &Service, occasion: Occasion) -> Result<(), ServiceError> {
        if !self.0.is_time(&service.store)? && occasion == Occasion::Change {
            return Ok(());
        }
        let now = service.timekeeper.dated(&service.store);
        match settle(&service.store, &service.records.pickups, &service.records.recoveries, now) {
            Ok(()) => Ok(()),
            Err(NotSettled::Store(error)) => Err(error.into()),
            Err(error) => {
                warn!(%error, "what became of a recovery cannot be put on record");
                self.0.again();
                Ok(())
            }
        }
    }
}

/// Why what became of a recovery is not on record.
#[derive(Debug, thiserror::Error)]
pub enum NotSettled {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// The record.
    #[error("the record cannot be written")]
    Record(#[from] io::Error),
}

/// Looks at everything that was agreed on and may come to something yet, and puts on record what it came to.
///
/// # Errors
/// [`NotSettled`]; the rest is looked at the next time.
pub fn settle(store: &ChainStore, pickups: &Pickups, record: &Recoveries, now: Timestamp) -> Result<(), NotSettled> {
    let open = pickups.agreed_and_open()?;
    if open.is_empty() {
        return Ok(());
    }
    let snapshot = store.snapshot()?;
    for (ticket, agreed, expires) in open {
        let (mut left, mut waits) = (Vec::new(), false);
        for study in &agreed.studies {
            let Some(row) = pickups.given_back(ticket, *study)? else {
                left.push(*study);
                continue;
            };
            let outcome = match (row.outcome, row.asked) {
                (Some(outcome), _) => Some(outcome),
                (None, Some(asked)) => outcome_of(store, &snapshot, *study, &row, &asked)?,
                (None, None) => None,
            };
            match outcome {
                None => waits = true,
                Some(Outcome::Given) => {}
                Some(_) => left.push(*study),
            }
            if let (Some(outcome), None) = (outcome, row.outcome) {
                let line = RecoveryLine::of_code(now, outcome.into(), ticket, vec![*study]);
                record
                    .add(&RecoveryLine { transaction: row.asked.map(|asked| asked.transaction.to_string()), ..line })?;
                pickups.keep_given_back(ticket, *study, &GivenBack { outcome: Some(outcome), ..row })?;
            }
        }
        let is_over = now >= expires && !waits;
        if is_over || (left.is_empty() && !waits) {
            if !left.is_empty() {
                record.add(&RecoveryLine::of_code(now, RecoveryAct::Expired, ticket, left))?;
            }
            pickups.keep_agreed(ticket, &Agreed { ended: true, ..agreed })?;
        }
    }
    Ok(())
}

/// What the ledger says became of a study that was asked for; nothing while it may become either.
fn outcome_of(
    store: &ChainStore,
    snapshot: &Snapshot,
    study: StudyId,
    row: &GivenBack,
    asked: &AskedFor,
) -> Result<Option<Outcome>, NotSettled> {
    let Some(study) = snapshot.study(study)? else { return Ok(None) };
    if study.pending_recovery.is_some_and(|pending| pending.id == asked.transaction) {
        return Ok(None);
    }
    let Some((height, _)) = store.find_envelope(&asked.envelope)? else {
        let is_late = snapshot.head()?.time.timestamp() > asked.submit_by;
        return Ok(is_late.then_some(Outcome::Expired));
    };
    if height > snapshot.head()?.height {
        // It came while this was read.
        return Ok(None);
    }
    let is_completed = match row.completes {
        Some(completes) => store.find_envelope(&completes)?.is_some(),
        None => false,
    };
    Ok(Some(if is_completed || study.holder == asked.new_holder {
        Outcome::Given
    } else if study.frozen {
        Outcome::Frozen
    } else if study.vetoed.is_some() {
        // One from before would have frozen the study.
        Outcome::Vetoed
    } else {
        Outcome::GaveWay
    }))
}
