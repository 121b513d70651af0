//! The connections of each key: few, and the newest of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use clavicle_ledger::key::Key;
use iroh::endpoint::{Connection, VarInt, WeakConnectionHandle};
use tokio::sync::Semaphore;

use crate::endpoint::remote_key;
use crate::places::REPLACED;

/// The most connections of one key. One more takes the place of its oldest: whoever was cut off and comes again is let in before the one that is
/// gone was missed.
const MAX_OF_A_KEY: usize = 8;
/// How many of one key are sent images at once, whatever their number; the others wait.
const MAX_SENDING_TO_A_KEY: usize = 2;

/// The connections of all keys.
#[derive(Debug, Default)]
pub(super) struct Keys(Mutex<BTreeMap<Key, Own>>);

/// Those of one, the oldest first, and what they share.
#[derive(Debug)]
struct Own {
    connections: VecDeque<WeakConnectionHandle>,
    sending: Arc<Semaphore>,
}

/// A connection among those of its key, until it is dropped.
pub(super) struct OfKey<'a> {
    keys: &'a Keys,
    connection: &'a Connection,
    /// How many of the key's connections may be sent images.
    pub(super) sending: Arc<Semaphore>,
}

impl Keys {
    pub(super) fn enter<'a>(&'a self, connection: &'a Connection) -> OfKey<'a> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = keys.entry(remote_key(connection)).or_insert_with(|| Own {
            connections: VecDeque::new(),
            sending: Arc::new(Semaphore::new(MAX_SENDING_TO_A_KEY)),
        });
        if own.connections.len() >= MAX_OF_A_KEY
            && let Some(oldest) = own.connections.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.close(VarInt::from_u32(REPLACED), b"");
        }
        own.connections.push_back(connection.weak_handle());
        OfKey { keys: self, connection, sending: Arc::clone(&own.sending) }
    }
}

impl Drop for OfKey<'_> {
    fn drop(&mut self) {
        let (key, this) = (remote_key(self.connection), self.connection.stable_id());
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = keys.get_mut(&key) {
            own.connections.retain(|one| one.upgrade().is_some_and(|one| one.stable_id() != this));
            if own.connections.is_empty() {
                keys.remove(&key);
            }
        }
    }
}
