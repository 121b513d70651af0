//! The list of what this hospital has ended, signed anew every hour, and at once when one is ended: whoever shows a
//! credential brings it along, and it counts for a day.

use std::sync::Arc;
use std::time::Duration;

use clavicle_ledger::state::ReadRows as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::service::{Service, ServiceError};
use crate::tasks::off;

/// How often the list is signed anew.
const EVERY: Duration = Duration::from_secs(3_600);
/// How soon it is tried again while the others have not confirmed what time it is.
const SOON: Duration = Duration::from_secs(1);

/// Signs the list of ended credentials anew, now and then and whenever one was ended, until it is to stop.
pub(crate) async fn run(service: Service, stop: CancellationToken) -> Result<(), ServiceError> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let credentials = Arc::clone(&service.records.credentials);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
            () = credentials.changed() => {}
        }
        while !off(&service, "signing the list of ended credentials", sign).await?.unwrap_or(false) {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(SOON) => {}
            }
        }
    }
}

/// Signs the list, if it is known what time it is. A list of a time to come would be good for longer than it may.
fn sign(service: &Service) -> Result<bool, ServiceError> {
    let head = service.store.snapshot()?.head()?;
    if service.timekeeper.confirmed(head.height, service.timekeeper.clocks()).is_err() {
        debug!("the list of ended credentials is not signed before the others have said what time it is");
        return Ok(false);
    }
    service.records.credentials.sign(service.timekeeper.dated(&service.store));
    let row = service.store.snapshot()?.source(service.member.source)?;
    if row.is_none_or(|row| row.keys_in(head.epoch).operational != service.member.operational.public()) {
        warn!(
            "the operational key here is not the one that the ledger has now: nobody believes what is vouched for by it"
        );
    }
    Ok(true)
}
