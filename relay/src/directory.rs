//! Who the other relays are, told to the node whenever a block has changed it.
//!
//! Nothing of it is kept: after a start the whole directory is read from the state, and from then on when an event says that somebody has announced
//! other addresses or keys, was let in, or that an epoch began, with which announced keys come into force. (The validators' links follow the state by
//! themselves, [`crate::keeper`].)

use clavicle_ledger::event::Event;
use clavicle_ledger::id::SourceId;
use clavicle_network::swarm::{Directory, Peer};
use tracing::{debug, warn};

use crate::journal::{Occasion, Reaction, Watch};
use crate::service::{Service, ServiceError};

/// Tells the node who the other relays are.
#[derive(Debug)]
pub struct Relays {
    node: Directory,
    moves: Watch<fn(&Event) -> bool>,
}

impl Relays {
    /// For this node.
    #[must_use]
    pub fn new(node: Directory) -> Self {
        Self { node, moves: Watch::new(is_move) }
    }

    fn look(&mut self, service: &Service) -> Result<(), ServiceError> {
        if self.moves.is_time(&service.store)? {
            let relays = relays(service)?;
            debug!(count = relays.len(), "the other relays, as the ledger has them");
            self.node.set(relays);
        }
        Ok(())
    }
}

impl Reaction for Relays {
    fn name(&self) -> &'static str {
        "who the other relays are"
    }

    fn react(&mut self, service: &Service, _: Occasion) -> Result<(), ServiceError> {
        if let Err(error) = self.look(service) {
            warn!(%error, "who the other relays are cannot be read");
            self.moves.again();
        }
        Ok(())
    }
}

/// Whether somebody may have moved, or come.
const fn is_move(event: &Event) -> bool {
    matches!(
        event,
        Event::EpochBegan { .. } | Event::SourceDefined { .. } | Event::SourceChanged { .. } | Event::Passed { .. }
    )
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
