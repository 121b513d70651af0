//! The journal: what happened, in order, for those who must react.
//!
//! What a block did is written in the commit of the block ([`ChainStore::events`]). A [`Consumer`] keeps how far it is in the commit in which it takes something, in a store of
//! its own. So whenever a relay is killed, everything that happened is taken by every consumer, and taken once. Where what follows can be read from the state at
//! any time, nothing need be kept: a [`Watch`] only says when to look.
//!
//! One task has all of them react, one after another ([`run`]). A new consumer is a [`Reaction`] in a file of its own, and a line where the relay is started.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clavicle_ledger::event::Event;
use clavicle_ledger::time::Height;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::service::{Service, ServiceError};
use crate::store::{ChainStore, StoreError};
use crate::tasks::off;

/// How many blocks are taken in one commit.
const BLOCKS: u64 = 256;
/// How often all react although nothing happened.
const EVERY: Duration = Duration::from_secs(30);

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

/// Says when something happened that the state is to be looked at for.
#[derive(Debug)]
pub struct Watch<F> {
    is: F,
    /// Up to where it watched; nothing at first, when there is everything to look at.
    at: Option<Height>,
    seen: AtomicBool,
}

impl<F: Fn(&Event) -> bool> Watch<F> {
    /// Watches for what `is` so.
    pub const fn new(is: F) -> Self {
        Self { is, at: None, seen: AtomicBool::new(false) }
    }

    /// Whether it happened since the last time; the first time it is to be looked at in any case.
    ///
    /// # Errors
    /// [`StoreError`]; then it is asked for once more.
    pub fn is_time(&mut self, store: &ChainStore) -> Result<bool, StoreError> {
        match self.at {
            // What happens meanwhile is seen the next time.
            None => {
                self.at = Some(store.head()?.height);
                Ok(true)
            }
            Some(at) => {
                self.at = Some(follow(store, self, Some(at))?);
                Ok(self.seen.swap(false, Ordering::Relaxed))
            }
        }
    }

    /// Has it looked at again, whatever happened: what it was looked at for failed.
    pub const fn again(&mut self) {
        self.at = None;
    }
}

impl<F: Fn(&Event) -> bool> Consumer for Watch<F> {
    fn cursor(&self, head: Height) -> Result<Height, StoreError> {
        Ok(self.at.unwrap_or(head))
    }

    fn concerns(&self, event: &Event) -> bool {
        (self.is)(event)
    }

    fn take(&self, _: &[(Height, Event)], _: Height) -> Result<(), StoreError> {
        self.seen.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Why it is time to react.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A block came, or something happened here.
    Change,
    /// It was long ago, or never since the start: what failed is tried again, and who keeps a cursor keeps it.
    Tick,
}

/// What a relay does about what happens.
pub trait Reaction: Send + 'static {
    /// Its name, in the log.
    fn name(&self) -> &'static str;

    /// Takes what happened since it did last, and does something about it. Others wait for it, so it waits for nobody.
    ///
    /// # Errors
    /// [`ServiceError`], which ends the relay. What may fail now and be done later is no error.
    fn react(&mut self, service: &Service, occasion: Occasion) -> Result<(), ServiceError>;
}

/// Has all of them react to each change until it is to stop. What a defect ends is done again at the next.
///
/// # Errors
/// The first that one of them says.
pub async fn run(
    service: Service,
    mut reactions: Vec<Box<dyn Reaction>>,
    stop: CancellationToken,
) -> Result<(), ServiceError> {
    let mut changes = service.store.changes();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let occasion = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // The store is here, and so is its sender.
            _ = changes.changed() => Occasion::Change,
            _ = ticks.tick() => Occasion::Tick,
        };
        let reacting = off(&service, "what follows from blocks", move |service| {
            react_all(service, &mut reactions, occasion)?;
            Ok::<_, ServiceError>(reactions)
        });
        reactions = match reacting.await? {
            Some(reactions) => reactions,
            // The runtime is stopping: a defect of one of them does not come out of there.
            None => return Ok(()),
        };
    }
}

fn react_all(service: &Service, reactions: &mut [Box<dyn Reaction>], occasion: Occasion) -> Result<(), ServiceError> {
    for reaction in reactions {
        match catch_unwind(AssertUnwindSafe(|| reaction.react(service, occasion))) {
            Ok(reacted) => reacted?,
            Err(_) => error!(name = reaction.name(), "a defect kept it from reacting; it does again at the next block"),
        }
    }
    Ok(())
}
