//! Who may have a link: the validators of the height that is due, and those who will be when the next epoch begins.

use std::collections::BTreeMap;
use std::net::IpAddr;

use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::Key;
use clavicle_ledger::validators::ValidatorSet;

use crate::application::Neighbour;
use crate::mesh::address::ListenAddress;

/// The validators by key, with where they listen. Made anew after each block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// Whose key it is, and how much voting power it has now.
    keys: BTreeMap<Key, (SourceId, u64)>,
    addresses: BTreeMap<SourceId, Vec<ListenAddress>>,
    power: u128,
}

impl Roster {
    /// Of the set that decides next, and of what the chain says of the others. An address that is none is left out.
    pub(crate) fn new(set: &ValidatorSet, neighbours: Vec<Neighbour>) -> Self {
        let mut keys: BTreeMap<Key, (SourceId, u64)> =
            set.validators.iter().map(|validator| (validator.key, (validator.source, validator.power))).collect();
        let mut addresses = BTreeMap::new();
        for Neighbour { source, addresses: listening, upcoming } in neighbours {
            if let Some(key) = upcoming {
                keys.entry(key).or_insert((source, 0));
            }
            addresses.insert(source, listening.iter().filter_map(|address| ListenAddress::parse(address)).collect());
        }
        Self { keys, addresses, power: set.total_power() }
    }

    /// Whose key it is.
    pub(crate) fn source_of(&self, key: &Key) -> Option<SourceId> {
        self.keys.get(key).map(|(source, _)| *source)
    }

    /// The greatest key that a source has here: it has two while a new one is on its way.
    pub(crate) fn greatest_of(&self, source: &SourceId) -> Option<Key> {
        self.keys.iter().rev().find(|(_, (of, _))| of == source).map(|(key, _)| *key)
    }

    /// Those who have a key here and are not `own`, with where they listen.
    pub(crate) fn others(&self, own: SourceId) -> impl Iterator<Item = (SourceId, &[ListenAddress])> {
        let has_key = |source: &SourceId| self.keys.values().any(|(of, _)| of == source);
        let others = self.addresses.iter().filter(move |(source, _)| **source != own && has_key(source));
        others.map(|(source, addresses)| (*source, addresses.as_slice()))
    }

    /// Whether a validator is said to listen at this address, whatever the port.
    pub(crate) fn names(&self, address: IpAddr) -> bool {
        self.addresses.values().flatten().any(|listening| listening.is_at(address))
    }

    /// Whether those with these keys decide without anybody else: they have more than two thirds of the power.
    pub(crate) fn decide<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> bool {
        let theirs: u128 = keys.filter_map(|key| self.keys.get(key)).map(|(_, power)| u128::from(*power)).sum();
        self.power > 0 && theirs.saturating_mul(3) > self.power.saturating_mul(2)
    }
}
