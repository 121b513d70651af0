//! Where one source is.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Entry, Text};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::Key;
use clavicle_ledger::source::{Addresses, Announcement, Source};
use clavicle_ledger::state::Head;
use clavicle_ledger::time::{BlockTime, Height};

/// Where a source is and which keys answer there, as of one block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Listing {
    /// Whose.
    pub source: SourceId,
    /// The block it was read at; 0 for the genesis.
    pub height: Height,
    /// The time of that block.
    pub time: BlockTime,
    /// The libp2p keys in force then.
    pub network: Ascending<Key, 4>,
    /// The libp2p keys from the next epoch on: the same, if no others are announced.
    pub next_network: Ascending<Key, 4>,
    /// The iroh key in force then.
    pub transfer: Key,
    /// Its addresses. They act at once.
    pub addresses: Addresses,
}

impl Listing {
    /// The longest encoding, in bytes: four addresses of each of four kinds are most of it.
    pub const MAX_LEN: usize = 3 * 1024;

    /// What the ledger says of a source at its head.
    #[must_use]
    pub fn of(id: SourceId, source: &Source, head: &Head) -> Self {
        let (now, next) = (source.keys_in(head.epoch), source.keys_in(head.epoch.saturating_add(1)));
        Self {
            source: id,
            height: head.height,
            time: head.time,
            network: now.network.clone(),
            next_network: next.network.clone(),
            transfer: now.transfer,
            addresses: source.announced.addresses.clone(),
        }
    }

    pub(crate) fn at_genesis(id: SourceId, announced: &Announcement, time: BlockTime) -> Self {
        let Announcement { name: _, kind: _, keys, addresses, mailbox: _ } = announced;
        let (network, next_network) = (keys.network.clone(), keys.network.clone());
        Self {
            source: id,
            height: 0,
            time,
            network,
            next_network,
            transfer: keys.transfer,
            addresses: addresses.clone(),
        }
    }

    /// The libp2p keys that may answer, each once: those in force first, then those that come.
    pub fn network_keys(&self) -> impl Iterator<Item = Key> + '_ {
        let later = self.next_network.iter().filter(|key| self.network.find(key).is_none());
        self.network.iter().chain(later).copied()
    }

    /// Where its relay answers everybody: libp2p multiaddresses.
    #[must_use]
    pub fn relay_addresses(&self) -> Vec<String> {
        self.addresses.libp2p.iter().map(ToString::to_string).collect()
    }

    /// Where its images are served: iroh socket addresses or forwarding URLs.
    pub fn image_addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses.iroh.iter().map(Text::as_str)
    }

    /// Whether the same keys answer at the same places.
    #[must_use]
    pub fn is_at_the_same_place(&self, other: &Self) -> bool {
        let Self { source, height: _, time: _, network, next_network, transfer, addresses } = self;
        *source == other.source
            && *network == other.network
            && *next_network == other.next_network
            && *transfer == other.transfer
            && *addresses == other.addresses
    }
}

impl Entry for Listing {
    type Key = SourceId;
    fn key(&self) -> &SourceId {
        &self.source
    }
}
