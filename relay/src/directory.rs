//! Who the other relays are, told to the node whenever a block has changed it.
//!
//! Nothing of it is kept: after a start the whole directory is read from the state, and from then on when an event says that somebody has announced
//! other addresses or keys, was let in, or that an epoch began, with which announced keys come into force. (The validators' links follow the state by
//! themselves, [`crate::keeper`].)

use std::sync::atomic::{AtomicBool, Ordering};

use clavicle_ledger::event::Event;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::time::Height;
use clavicle_network::swarm::{Directory, Peer};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use crate::journal::{self, Consumer};
use crate::service::{Service, ServiceError};
use crate::store::StoreError;

/// The task that tells the node.
#[derive(Debug)]
pub struct Announcer {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Announcer {
    /// Starts it.
    #[must_use]
    pub fn start(service: Service, node: Directory) -> Self {
        let (stop, stopping) = watch::channel(false);
        #[expect(clippy::disallowed_methods, reason = "this is the owner: the task ends with `stop`")]
        let task = tokio::spawn(run(service, node, stopping));
        Self { stop, task }
    }

    /// Stops it and waits until it has.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.ok();
    }
}

async fn run(service: Service, node: Directory, mut stopping: watch::Receiver<bool>) {
    let mut changes = service.store.changes();
    let mut followed = None;
    loop {
        let from = followed;
        match off(&service, move |service| look(service, from)).await {
            Ok(Some((height, relays))) => {
                followed = Some(height);
                if let Some(relays) = relays {
                    debug!(count = relays.len(), "the other relays, as the ledger has them");
                    node.set(relays);
                }
            }
            // A defect in there: all is read anew with the next block.
            Ok(None) => followed = None,
            Err(error) => warn!(%error, "who the other relays are cannot be read"),
        }
        tokio::select! {
            // A dropped sender also means stop.
            _ = stopping.wait_for(|stop| *stop) => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Looks whether anything changed since `from`, or at all of it. Up to which height that is, and who the others are if they may be others.
fn look(service: &Service, from: Option<Height>) -> Result<(Height, Option<Vec<Peer>>), ServiceError> {
    let Some(from) = from else {
        // What happens meanwhile is looked at again.
        let head = service.store.head()?.height;
        return Ok((head, Some(relays(service)?)));
    };
    let moves = Moves::default();
    let followed = journal::follow(&service.store, &moves, Some(from))?;
    let moved = moves.seen.into_inner();
    if moved {
        info!(height = followed, "the directory of hospitals has changed");
    }
    Ok((followed, if moved { Some(relays(service)?) } else { None }))
}

/// Sees whether somebody moved.
#[derive(Debug, Default)]
struct Moves {
    seen: AtomicBool,
}

impl Consumer for Moves {
    /// What was before is read from the state.
    fn cursor(&self, head: Height) -> Result<Height, StoreError> {
        Ok(head)
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::EpochBegan { .. } | Event::SourceDefined { .. } | Event::SourceChanged { .. } | Event::Passed { .. }
        )
    }

    fn take(&self, _: &[(Height, Event)], _: Height) -> Result<(), StoreError> {
        self.seen.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The other relays, as the ledger has them.
pub(crate) fn relays(service: &Service) -> Result<Vec<Peer>, ServiceError> {
    Ok(others(&clavicle_directory::Directory::read(&service.store.snapshot()?)?, service.member.source))
}

/// Every relay of every source but this one, by each of the keys in force.
fn others(directory: &clavicle_directory::Directory, own: SourceId) -> Vec<Peer> {
    let others = directory.iter().filter(|listing| listing.source != own);
    let peers = others
        .flat_map(|listing| listing.network.iter().map(|key| Peer { key: *key, addresses: listing.relay_addresses() }));
    peers.collect()
}

/// Reads where nobody else waits.
async fn off<T: Send + 'static>(
    service: &Service,
    work: impl FnOnce(&Service) -> Result<T, ServiceError> + Send + 'static,
) -> Result<Option<T>, ServiceError> {
    let service = service.clone();
    tokio::task::spawn_blocking(move || work(&service)).await.map_or(Ok(None), |done| done.map(Some))
}
