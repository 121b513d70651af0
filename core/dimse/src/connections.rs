//! Connections: who is there, who may stay, and who has to go.
//!
//! Associations are limited, and so are the connections that have not asked for one, by a number of their own. Both are
//! in shares of the addresses they come from ([`Admission`]): a connection that is one too many takes the place of the
//! oldest from the address with the most. A sender asks as soon as it is connected, so that hundreds that say nothing
//! keep nobody out. An association gives way to one from another address that has fewer; to one from its own only when
//! it has stored nothing for as long as a step may take: until then that is told to come back.

use std::io;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clavicle_admission::{Admission, Limits, Neighbourhood, Origin};

/// Connections without an association, beyond those that have one.
const WAITING: usize = 64;
/// Connections that were told to end, and have not ended yet. When there are more, nobody is accepted for a moment.
const ENDING: usize = 16;
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

#[derive(Debug)]
struct Open {
    /// Each has a thread until it is gone from here.
    all: Vec<Connection>,
    waiting: Admission<Neighbourhood, u64>,
    associations: Admission<Neighbourhood, u64>,
    next: u64,
    is_stopping: bool,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    neighbourhood: Neighbourhood,
    stream: TcpStream,
    stop: Arc<AtomicBool>,
    standing: Standing,
}

/// Which place a connection has.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// None: it was told to end.
    Ending,
    Waiting(clavicle_admission::Place),
    Association(clavicle_admission::Place),
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
    fn stop(&mut self) {
        self.standing = Standing::Ending;
        self.stop.store(true, Ordering::Release);
        // It may have ended already.
        drop(self.stream.shutdown(Shutdown::Read));
    }
}

impl Open {
    fn connection(&mut self, number: u64) -> Option<&mut Connection> {
        self.all.iter_mut().find(|one| one.number == number)
    }

    /// Ends the connection whose place another has now.
    fn stop(&mut self, displaced: Option<u64>) {
        if let Some(connection) = displaced.and_then(|number| self.connection(number)) {
            connection.stop();
        }
    }

    /// Takes its place from a connection.
    fn stand_up(&mut self, number: u64) {
        match self.connection(number).map(|one| one.standing) {
            Some(Standing::Waiting(place)) => drop(self.waiting.leave(place)),
            Some(Standing::Association(place)) => drop(self.associations.leave(place)),
            Some(Standing::Ending) | None => {}
        }
    }

    /// Lets a connection wait, in the place of another if need be.
    fn wait(&mut self, number: u64, neighbourhood: Neighbourhood) -> Option<Standing> {
        let entered = self.waiting.enter(neighbourhood, Instant::now(), number).ok()?;
        self.stop(entered.displaced);
        Some(Standing::Waiting(entered.place))
    }
}

impl Connections {
    /// As many associations as `most`, at least one. `settled` is how long one is left to its address although it
    /// stores nothing.
    pub(super) fn new(most: usize, settled: Duration) -> Self {
        let most = most.max(1);
        let open = Open {
            all: Vec::new(),
            // The wire sees to those that are silent for too long.
            waiting: Admission::new(Limits { most: WAITING, settled: Duration::ZERO, silent: None }),
            associations: Admission::new(Limits { most, settled, silent: None }),
            next: 0,
            is_stopping: false,
        };
        Self { most, open: Mutex::new(open), ended: Condvar::new() }
    }

    /// A place for one more connection; `None` when there is none to be had.
    pub(super) fn enter(&self, stream: &TcpStream, peer: IpAddr) -> io::Result<Option<Place<'_>>> {
        let stream = stream.try_clone()?;
        let neighbourhood = Origin::Direct(peer).neighbourhood();
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        let Some(standing) = open.wait(number, neighbourhood) else { return Ok(None) };
        let stop = Arc::new(AtomicBool::new(false));
        open.all.push(Connection { number, neighbourhood, stream, stop: Arc::clone(&stop), standing });
        let is_full = |open: &mut Open| open.all.len() > self.most + WAITING + ENDING;
        if is_full(&mut open) {
            // Those told to end may be waiting for peers that do not read. They had their moment.
            let ending = open.all.iter().filter(|one| matches!(one.standing, Standing::Ending));
            ending.for_each(|one| drop(one.stream.shutdown(Shutdown::Both)));
        }
        // Who comes in the meantime stays in the system's queue.
        let waited = self.ended.wait_timeout_while(open, GRACE, is_full);
        let (mut open, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let place = Place { connections: self, number, stop };
        if open.is_stopping || is_full(&mut open) {
            drop(open);
            return Ok(None);
        }
        Ok(Some(place))
    }

    /// Ends all connections, and lets none in any more. Returns when nobody is left.
    pub(super) fn stop(&self) {
        let mut open = self.lock();
        open.is_stopping = true;
        let numbers: Vec<u64> = open.all.iter().map(|one| one.number).collect();
        for number in numbers {
            open.stand_up(number);
            open.stop(Some(number));
        }
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
        let Some(Connection { neighbourhood, standing: Standing::Waiting(waiting), .. }) = open.connection(self.number)
        else {
            return false;
        };
        let (neighbourhood, waiting) = (*neighbourhood, *waiting);
        let Ok(entered) = open.associations.enter(neighbourhood, Instant::now(), self.number) else { return false };
        open.waiting.leave(waiting);
        open.stop(entered.displaced);
        self.stand(&mut open, Standing::Association(entered.place));
        true
    }

    /// The association has stored something: others go before it.
    pub(super) fn renew(&self) {
        let mut open = self.connections.lock();
        if let Some(Connection { standing: Standing::Association(place), .. }) = open.connection(self.number) {
            let place = *place;
            let place = open.associations.renew(place, Instant::now());
            self.stand(&mut open, Standing::Association(place));
        }
    }

    /// The association is over, and only the goodbye is left.
    pub(super) fn dissociate(&self) {
        let mut open = self.connections.lock();
        if let Some(Connection { neighbourhood, standing: Standing::Association(place), .. }) =
            open.connection(self.number)
        {
            let (neighbourhood, place) = (*neighbourhood, *place);
            open.associations.leave(place);
            let standing = open.wait(self.number, neighbourhood).unwrap_or(Standing::Ending);
            self.stand(&mut open, standing);
        }
    }

    fn stand(&self, open: &mut Open, standing: Standing) {
        if let Some(own) = open.connection(self.number) {
            own.standing = standing;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.stand_up(self.number);
        open.all.retain(|one| one.number != self.number);
        drop(open);
        self.connections.ended.notify_all();
    }
}
