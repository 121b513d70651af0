//! What follows from blocks: revocations that were executed need no longer be remembered, revisions go to the ledger, receipts are
//! anchored, what has ended is swept.
//!
//! The first two are reactions to the journal, [`Settling`] and [`Publication`]; what needs only the time is done by
//! `run`.

use std::time::Duration;

use clavicle_ledger::action::ReviseStudy;
use clavicle_ledger::encoding;
use clavicle_ledger::event::Event;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{DAY_MS, HOUR_MS, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::anchoring;
use crate::archive::ArchiveError;
use crate::journal::{Occasion, Reaction, Watch};
use crate::service::{Service, ServiceError};
use crate::store::{SeenError, StoreError};
use crate::submission::{From, SubmitError};
use crate::tasks::off;

/// How often there is something to sweep, or to try again.
const EVERY: Duration = Duration::from_secs(30);
/// How long a revision may wait for its block, in milliseconds. A new one is signed after that.
const REVISION_MS: u64 = HOUR_MS;
/// A year for which something has to be kept, in milliseconds: none is longer.
const YEAR_MS: u64 = DAY_MS * 366;

/// Sweeps and anchors, until it is to stop.
pub(crate) async fn run(service: Service, stop: CancellationToken) -> Result<(), ServiceError> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut anchoring = interval(anchoring::interval(&service).min(EVERY));
    anchoring.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = anchoring.tick() => off(&service, "anchoring receipts", anchoring::anchor).await?,
            () = service.records.receipts.crowded() => off(&service, "anchoring receipts", anchoring::anchor).await?,
            _ = ticks.tick() => {
                off(&service, "sweeping what has ended", sweep).await?;
                off(&service, "submitting revocations again", resume).await?
            }
        };
    }
}

/// What was remembered and is in no block yet is put where it waits, after a start and now and then: a relay that was full, or cut off, took it
/// for nothing then.
fn resume(service: &Service) -> Result<(), StoreError> {
    match service.submission.resume() {
        Err(SubmitError::Store(error)) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Throws away what has ended: pickups and mailboxes, and receipts that need not be kept any more.
///
/// # Errors
/// [`StoreError`].
pub fn sweep(service: &Service) -> Result<(), StoreError> {
    // A clock that was set ahead throws nothing away.
    let now = LocalTime(service.timekeeper.dated(&service.store));
    service.records.pickups.sweep(now)?;
    service.records.mailboxes.sweep(now)?;
    let kept_ms = u64::from(service.records.settings.keep_years).saturating_mul(YEAR_MS);
    service.records.receipts.sweep(Timestamp(now.0.since(Timestamp(kept_ms))))?;
    Ok(())
}

/// Forgets revocations that the state alone enforces by now. What it comes to is read from the state, so that nothing need be kept of how far it is.
#[derive(Debug)]
pub struct Settling(Watch<fn(&Event) -> bool>);

impl Default for Settling {
    fn default() -> Self {
        Self(Watch::new(ends_grants))
    }
}

/// Whether a grant has ended, or can come no more.
const fn ends_grants(event: &Event) -> bool {
    matches!(
        event,
        Event::Revoked { .. }
            | Event::Buried { .. }
            | Event::Replaced { .. }
            | Event::ChangedHands { .. }
            | Event::Lapsed { .. }
    )
}

impl Reaction for Settling {
    fn name(&self) -> &'static str {
        "revocations that are settled"
    }

    fn react(&mut self, service: &Service, occasion: Occasion) -> Result<(), ServiceError> {
        // Some end by the time alone.
        if self.0.is_time(&service.store)? || occasion == Occasion::Tick {
            match service.submission.seen.settle(&service.store.snapshot()?) {
                Ok(_) => {}
                Err(SeenError::Store(error)) => return Err(error.into()),
                Err(error) => warn!(%error, "revocations cannot be settled"),
            }
        }
        Ok(())
    }
}

/// Brings revisions to the ledger. Which are to go there is a list in the archive, kept in the commit of what was changed, and shorter by each that is there: it
/// is this reaction's journal and its cursor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publication;

impl Reaction for Publication {
    fn name(&self) -> &'static str {
        "revisions for the ledger"
    }

    fn react(&mut self, service: &Service, _: Occasion) -> Result<(), ServiceError> {
        match publish(service) {
            Err(ArchiveError::Store(error)) => Err(error.into()),
            Err(error) => {
                warn!(%error, "a revision cannot be published");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Brings revisions of studies that somebody holds to the ledger, one after another.
fn publish(service: &Service) -> Result<(), ArchiveError> {
    for study in service.images.archive.unpublished()? {
        let snapshot = service.store.snapshot()?;
        let record = snapshot.study(study).map_err(|_| StoreError::damaged("a study", None))?;
        // A definition that is still on its way comes first.
        let Some(record) = record else { continue };
        let Some(next) = service.images.archive.next_revision(study, &record.manifest_root, &service.member.chain)?
        else {
            continue;
        };
        let header = next.manifest.header();
        let action = Action::ReviseStudy(ReviseStudy {
            study,
            source: service.member.operational.public(),
            revision: header.revision,
            manifest_root: next.manifest.root(&service.member.chain),
            open: header.open,
        });
        submit(service, study, action);
    }
    Ok(())
}

/// Signs and submits; the same within an hour, so that what waits already is not signed again and again.
fn submit(service: &Service, study: StudyId, action: Action) {
    let hour = (service.clock)().0.0 / REVISION_MS;
    let submit_by = Timestamp(hour.saturating_add(2).saturating_mul(REVISION_MS));
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&study.as_bytes()[..16]);
    let signed = Body { submit_by, nonce, action }.sign(&service.member.chain, &[&service.member.operational]);
    let envelope = signed.expect("a revision has one signer, and this is its key");
    match service.submission.take(&encoding::encode(&envelope), From::Somebody) {
        Ok(_) => {}
        Err(error) => debug!(%error, ?study, "a revision was not taken in"),
    }
}
