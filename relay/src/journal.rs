//! The journal: what happened, in order, for those who must react.
//!
//! What a block did is written in the commit of the block ([`ChainStore::events`]). A [`Consumer`] keeps how far it is in the commit in which it takes something, in a store of
//! its own. So whenever a relay is killed, everything that happened is taken by every consumer, and taken once.

use clavicle_ledger::event::Event;
use clavicle_ledger::time::Height;

use crate::store::{ChainStore, StoreError};

/// How many blocks are taken in one commit.
const BLOCKS: u64 = 256;

/// Somebody who reacts to what happens.
pub trait Consumer {
    /// Up to which height everything was taken; `head` is the newest, for whom nothing from before them concerns.
    ///
    /// # Errors
    /// [`StoreError`].
    fn cursor(&self, head: Height) -> Result<Height, StoreError>;

    /// Whether it is to take such a thing.
    fn concerns(&self, event: &Event) -> bool;

    /// Takes what concerns it up to a height, and keeps that it has, in one commit.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was taken.
    fn take(&self, events: &[(Height, Event)], upto: Height) -> Result<(), StoreError>;
}

/// Has a consumer take what happened since `from`, or since its cursor. Up to which height it has: where nothing concerned it, that is not on its disk.
///
/// # Errors
/// [`StoreError`].
pub fn follow(store: &ChainStore, consumer: &impl Consumer, from: Option<Height>) -> Result<Height, StoreError> {
    let head = store.head()?.height;
    let mut at = from.map_or_else(|| consumer.cursor(head), Ok)?;
    while at < head {
        let upto = head.min(at.saturating_add(BLOCKS));
        let mut events = store.events(at.saturating_add(1), upto)?;
        events.retain(|(_, event)| consumer.concerns(event));
        if !events.is_empty() {
            consumer.take(&events, upto)?;
        }
        at = upto;
    }
    Ok(at)
}
