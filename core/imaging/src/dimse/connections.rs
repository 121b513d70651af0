//! Connections: who is there, who may stay, and who has to go.
//!
//! Associations are limited, and so are the connections that have not asked for one, by a smaller number of their own: when one more comes,
//! the oldest of these gives way. A sender asks as soon as it is connected, so that a hundred that say nothing keep
//! nobody out.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Connections without an association, beyond those that have one.
const WAITING: usize = 16;
/// How long associations have to end by themselves when the receiver stops.
const GRACE: Duration = Duration::from_millis(500);

/// All connections of a receiver.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    open: Mutex<Open>,
    /// Told when one ends.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Open {
    /// The oldest first.
    all: Vec<Connection>,
    next: u64,
    is_stopping: bool,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    stream: TcpStream,
    stop: Arc<AtomicBool>,
    is_association: bool,
}

/// A place among the connections, left when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    connections: &'a Connections,
    number: u64,
    pub(super) stop: Arc<AtomicBool>,
}

impl Connection {
    /// Ends its reading. Its thread says goodbye as it sees fit.
    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // It may have ended already.
        drop(self.stream.shutdown(Shutdown::Read));
    }
}

impl Open {
    /// Those without an association: not yet, or no more.
    fn waiting(&self) -> impl Iterator<Item = &Connection> {
        self.all.iter().filter(|one| !one.is_association)
    }
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), open: Mutex::default(), ended: Condvar::new() }
    }

    /// A place for one more connection; `None` when there is none to be had.
    pub(super) fn enter(&self, stream: &TcpStream) -> io::Result<Option<Place<'_>>> {
        let stream = stream.try_clone()?;
        let is_full = |open: &mut Open| open.waiting().count() >= WAITING;
        let mut open = self.lock();
        if is_full(&mut open) {
            // One that was told before and has not ended yet will do.
            let oldest = open.waiting().find(|one| !one.stop.load(Ordering::Acquire));
            if open.waiting().all(|one| !one.stop.load(Ordering::Acquire)) {
                oldest.into_iter().for_each(Connection::stop);
            }
            // It takes a moment. Who comes in the meantime stays in the system's queue.
            let waited = self.ended.wait_timeout_while(open, GRACE, is_full);
            (open, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if open.is_stopping || is_full(&mut open) {
            return Ok(None);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let number = open.next;
        open.next += 1;
        open.all.push(Connection { number, stream, stop: Arc::clone(&stop), is_association: false });
        Ok(Some(Place { connections: self, number, stop }))
    }

    /// Ends all connections, and lets none in any more. Returns when nobody is left.
    pub(super) fn stop(&self) {
        let mut open = self.lock();
        open.is_stopping = true;
        open.all.iter().for_each(Connection::stop);
        let waited = self.ended.wait_timeout_while(open, GRACE, |open| !open.all.is_empty());
        let (open, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // Who is still there may be waiting for a peer that does not read.
        open.all.iter().for_each(|one| drop(one.stream.shutdown(Shutdown::Both)));
        drop(self.ended.wait_while(open, |open| !open.all.is_empty()));
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each change is a single step, so that what a panic leaves is in order.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Makes it an association, if there may be one more.
    pub(super) fn associate(&self) -> bool {
        let mut open = self.connections.lock();
        let count = open.all.iter().filter(|one| one.is_association).count();
        let is_room = count < self.connections.most;
        if let (true, Some(own)) = (is_room, open.all.iter_mut().find(|one| one.number == self.number)) {
            own.is_association = true;
        }
        is_room
    }

    /// The association is over, and only the goodbye is left.
    pub(super) fn dissociate(&self) {
        if let Some(own) = self.connections.lock().all.iter_mut().find(|one| one.number == self.number) {
            own.is_association = false;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.connections.lock().all.retain(|one| one.number != self.number);
        self.connections.ended.notify_all();
    }
}
