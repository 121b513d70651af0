//! What follows from blocks: revocations that were executed need no longer be remembered, revisions go to the ledger, receipts are
//! anchored, what has ended is swept.

use std::time::Duration;

use clavicle_ledger::action::ReviseStudy;
use clavicle_ledger::encoding;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{DAY_MS, HOUR_MS, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::anchoring;
use crate::archive::ArchiveError;
use crate::service::Service;
use crate::store::{SeenError, StoreError};
use crate::submission::{From, SubmitError};

/// How often there is something to sweep, or to try again.
const EVERY: Duration = Duration::from_secs(30);
/// How long a revision may wait for its block, in milliseconds. A new one is signed after that.
const REVISION_MS: u64 = HOUR_MS;
/// A year for which something has to be kept, in milliseconds: none is longer.
const YEAR_MS: u64 = DAY_MS * 366;

/// Why it ended without being asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpkeepError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect.
    #[error("a defect ended the task that follows the chain")]
    Panicked,
}

/// The task that does it.
#[derive(Debug)]
pub struct Upkeep {
    stop: watch::Sender<bool>,
    /// None once it was said how it ended.
    task: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Upkeep {
    /// Starts it.
    #[must_use]
    pub fn start(service: Service) -> Self {
        let (stop, stopping) = watch::channel(false);
        #[expect(clippy::disallowed_methods, reason = "this is the owner: the task ends with `stop`")]
        let task = Some(tokio::spawn(run(service, stopping)));
        Self { stop, task }
    }

    /// Waits until it stops: `Ok` when it was asked to. May be dropped and called again: how it ended is said once, and `Ok` after that.
    ///
    /// # Errors
    /// [`UpkeepError`].
    pub async fn ended(&mut self) -> Result<(), UpkeepError> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let result = task.await;
        self.task = None;
        Ok(result.map_err(|_| UpkeepError::Panicked)??)
    }

    /// Stops it and waits until it has.
    ///
    /// # Errors
    /// [`UpkeepError`], when it had stopped by itself and nobody was told yet.
    pub async fn stop(mut self) -> Result<(), UpkeepError> {
        self.stop.send_replace(true);
        self.ended().await
    }
}

async fn run(service: Service, mut stopping: watch::Receiver<bool>) -> Result<(), StoreError> {
    let mut changes = service.store.changes();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut anchoring = interval(anchoring::interval(&service).min(EVERY));
    anchoring.set_missed_tick_behavior(MissedTickBehavior::Delay);
    resume(&service).await?;
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return Ok(()),
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            _ = anchoring.tick() => {
                blocking(&service, anchoring::anchor).await?;
                continue;
            }
            () = service.records.receipts.crowded() => {
                blocking(&service, anchoring::anchor).await?;
                continue;
            }
            _ = ticks.tick() => {
                blocking(&service, sweep).await?;
                resume(&service).await?;
            }
        }
        blocking(&service, after_block).await?;
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // That nobody is left to say so is saying so.
    stopping.wait_for(|stop| *stop).await.ok();
}

/// What was remembered and is in no block yet is put where it waits, after a start and now and then: a relay that was full, or cut off, took it
/// for nothing then.
async fn resume(service: &Service) -> Result<(), StoreError> {
    blocking(service, |service| match service.submission.resume() {
        Err(SubmitError::Store(error)) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    })
    .await
}

async fn blocking(
    service: &Service,
    work: impl FnOnce(&Service) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let service = service.clone();
    // A defect in here ends nothing else: it is done again with the next block.
    tokio::task::spawn_blocking(move || work(&service)).await.unwrap_or(Ok(()))
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

fn after_block(service: &Service) -> Result<(), StoreError> {
    let snapshot = service.store.snapshot()?;
    match service.submission.seen.settle(&snapshot) {
        Ok(_) => {}
        Err(SeenError::Store(error)) => return Err(error),
        Err(error) => warn!(%error, "revocations cannot be settled"),
    }
    anchoring::settle(service)?;
    match publish(service) {
        Err(ArchiveError::Store(error)) => Err(error),
        Err(error) => {
            warn!(%error, "a revision cannot be published");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Brings revisions of studies that somebody holds to the ledger, one after another.
fn publish(service: &Service) -> Result<(), ArchiveError> {
    for study in service.images.archive.unpublished()? {
        let snapshot = service.store.snapshot()?;
        let record = snapshot.study(study).map_err(|_| StoreError::Damaged { what: "a study", error: None })?;
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
