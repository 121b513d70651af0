//! Commits to the receipts on the ledger: one anchor after another, each on the disk before it is submitted.
//!
//! What the ledger counts, the source's anchors so far, says which is next and whether the last was executed. So a relay that was
//! killed anywhere in between goes on with the same receipts, and no receipt is in two anchors that were executed.
//!
//! Which were executed, and where, the journal tells: [`Anchors`] keeps it together with how far it is.

use std::time::Duration;

use clavicle_ledger::action::Anchor;
use clavicle_ledger::encoding;
use clavicle_ledger::event::Event;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::{HOUR_MS, Height, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use tracing::{debug, warn};

use crate::journal::{self, Consumer, Occasion, Reaction};
use crate::service::{Service, ServiceError};
use crate::store::receipts::{CROWDED, Executed, KeptAnchor, Unanchored};
use crate::store::{Receipts, StoreError};
use crate::submission::From;

/// How long an anchor may wait for its block, in milliseconds. After that it is signed anew.
const SUBMIT_WITHIN_MS: u64 = HOUR_MS;

/// How long lies between two anchors.
pub(crate) fn interval(service: &Service) -> Duration {
    Duration::from_secs(u64::from(service.records.settings.anchor_every_seconds.max(1)))
}

/// What the ledger says of this source's anchors.
struct Standing {
    /// The number of the next.
    due: u64,
    /// Block time.
    time: Timestamp,
    /// Whether one more may be made in this epoch.
    may: bool,
}

fn standing(service: &Service) -> Result<Option<Standing>, StoreError> {
    let read = |error: ReadError<StoreError>| match error {
        ReadError::Storage(error) => error,
        _ => StoreError::damaged("a row", None),
    };
    let snapshot = service.store.snapshot()?;
    let (head, rules) = (snapshot.head().map_err(read)?, snapshot.rules().map_err(read)?);
    let Some(source) = snapshot.source(service.member.source).map_err(read)? else { return Ok(None) };
    // Until the epoch in which a new key is in force nothing signed by it is taken.
    let key = source.keys_in(head.epoch).operational;
    let made = snapshot.activity(service.member.source).map_err(read)?.in_epoch(head.epoch).anchors;
    let may = made < rules.parameters.anchors_per_epoch && key == service.member.operational.public();
    Ok(Some(Standing { due: source.anchors, time: head.time.timestamp(), may }))
}

/// Keeps where this source's anchors were executed.
#[derive(Debug)]
pub struct Anchors<'a> {
    /// The receipts that are anchored.
    pub receipts: &'a Receipts,
    /// The source.
    pub source: SourceId,
}

impl Anchors<'_> {
    /// An anchor of this source's, as the journal has it.
    fn own(&self, height: Height, event: &Event) -> Option<Executed> {
        match *event {
            Event::Anchored { source, sequence, root, count: _ } if source == self.source => {
                Some(Executed { sequence, root, height })
            }
            _ => None,
        }
    }
}

impl Consumer for Anchors<'_> {
    /// An anchor of before it was kept how far this is, is looked up by its transaction (`settle`).
    fn cursor(&self, head: Height) -> Result<Height, StoreError> {
        Ok(self.receipts.followed()?.unwrap_or(head))
    }

    fn concerns(&self, event: &Event) -> bool {
        self.own(0, event).is_some()
    }

    fn take(&self, events: &[(Height, Event)], upto: Height) -> Result<(), StoreError> {
        let executed: Vec<Executed> = events.iter().filter_map(|(height, event)| self.own(*height, event)).collect();
        self.receipts.executed(&executed, upto)
    }
}

/// The same, for as long as the relay runs.
#[derive(Debug, Default)]
pub struct Anchoring(Option<Height>);

impl Reaction for Anchoring {
    fn name(&self) -> &'static str {
        "anchors that were executed"
    }

    fn react(&mut self, service: &Service, occasion: Occasion) -> Result<(), ServiceError> {
        let anchors = Anchors { receipts: &service.records.receipts, source: service.member.source };
        if self.0.is_none() && service.records.receipts.followed()?.is_none() {
            // What is executed meanwhile is in the journal from here on.
            self.0 = Some(service.store.head()?.height);
            settle(service)?;
        }
        let upto = journal::follow(&service.store, &anchors, self.0)?;
        if occasion == Occasion::Tick {
            anchors.take(&[], upto)?;
        }
        self.0 = Some(upto);
        Ok(())
    }
}

/// Keeps where the anchor that was submitted was executed, if it is that: for one of before there was a journal.
fn settle(service: &Service) -> Result<(), StoreError> {
    let Some(pending) = service.records.receipts.pending()? else { return Ok(()) };
    if let Some((height, _)) = service.store.find_envelope(&pending.envelope.hash())? {
        service.records.receipts.anchored(pending.sequence, height)?;
    }
    Ok(())
}

/// Submits the anchor that is not executed yet, or makes one if it is time.
pub(crate) fn anchor(service: &Service) -> Result<(), ServiceError> {
    let Some(standing) = standing(service)? else { return Ok(()) };
    // What that block did is taken before it is decided by it what is still to do.
    Anchoring::default().react(service, Occasion::Tick)?;
    let now = service.timekeeper.dated(&service.store);
    let pending = match service.records.receipts.pending()? {
        Some(pending) if standing.due == pending.sequence && standing.time <= pending.envelope.body.submit_by => {
            Some(pending)
        }
        // Too late, or another is at its place: receipts that were put back from a backup know less than the ledger. What it is over
        // stays, and only the transaction is another.
        Some(pending) => {
            if standing.due != pending.sequence {
                warn!(
                    due = standing.due,
                    sequence = pending.sequence,
                    "the ledger has an anchor that is not kept here"
                );
            }
            prepare(service, &standing, now)?
        }
        None if standing.may && is_time(service.records.receipts.unanchored()?, now, interval(service)) => {
            prepare(service, &standing, now)?
        }
        None => None,
    };
    if let Some(pending) = pending {
        match service.submission.take(&encoding::encode(&pending.envelope), From::Somebody) {
            Ok(_) => {}
            Err(error) => debug!(%error, sequence = pending.sequence, "an anchor was not taken in"),
        }
    }
    Ok(())
}

/// Whether there is something to anchor, and the last was long enough ago, or too many wait.
fn is_time(Unanchored { count, last }: Unanchored, now: Timestamp, every: Duration) -> bool {
    let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
    // A clock that was set back must not keep anything from being anchored.
    let long_ago = last.is_none_or(|last| now.since(last) >= every_ms || now < last);
    count >= CROWDED || (count > 0 && long_ago)
}

fn prepare(service: &Service, standing: &Standing, now: Timestamp) -> Result<Option<KeptAnchor>, StoreError> {
    let sequence = standing.due;
    let sign = |root, count| -> Envelope {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&sequence.to_be_bytes());
        let action = Action::Anchor(Anchor { source: service.member.operational.public(), sequence, root, count });
        let body = Body { submit_by: standing.time.max(now).plus(SUBMIT_WITHIN_MS), nonce, action };
        body.sign(&service.member.chain, &[&service.member.operational])
            .expect("an anchor has one signer, and this is its key")
    };
    service.records.receipts.prepare(sequence, now, sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_when_the_last_is_long_ago_or_too_many_wait() {
        let is_time = |count, last: Option<u64>| {
            is_time(Unanchored { count, last: last.map(Timestamp) }, Timestamp(10_000), Duration::from_secs(2))
        };
        assert!(!is_time(0, None) && !is_time(0, Some(0)));
        assert!(is_time(1, None) && is_time(1, Some(8_000)) && !is_time(1, Some(8_001)));
        assert!(is_time(1, Some(10_001)), "the clock was set back");
        assert!(is_time(CROWDED, Some(9_999)) && !is_time(CROWDED - 1, Some(9_999)));
    }
}
