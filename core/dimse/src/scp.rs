//! The receiver (SCP): accepts connections, gives each a thread, and ends them all when it is stopped.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connections::Connections;
use super::provider::{self, Shared};
use super::settings::{PDU_RANGE, Settings};
use super::sink::{End, Ended, Sink};
use super::spool::Spool;

/// How long to leave it when there are no descriptors or threads to be had.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A receiver of objects, running until it is stopped or dropped.
#[derive(Debug)]
pub struct Scp {
    address: SocketAddr,
    /// Whose closing ends the accepting.
    alive: Option<UnixStream>,
    accepting: Option<JoinHandle<()>>,
}

/// Why a receiver was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The spool folder cannot be used.
    #[error("the spool folder cannot be used")]
    Spool(#[source] io::Error),
    /// Another receiver has the spool folder.
    #[error("another receiver is using the spool folder")]
    InUse,
    /// The length of data units is out of range.
    #[error("data units of {0} bytes cannot be asked for; between 4 KiB and 1 MiB can")]
    MaxPdu(u32),
    /// No time for a step.
    #[error("a step has to have some time")]
    Timeout,
    /// A thread or a descriptor was not to be had.
    #[error("the receiver could not be started")]
    Start(#[source] io::Error),
}

impl Scp {
    /// Starts a receiver. What an earlier one left unfinished in the spool folder is removed; what it left whole stays, and is
    /// not handed over again.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(settings: Settings, sink: Arc<dyn Sink>) -> Result<Self, BindError> {
        if !PDU_RANGE.contains(&settings.max_pdu) {
            return Err(BindError::MaxPdu(settings.max_pdu));
        }
        if settings.timeout < Duration::from_millis(1) {
            return Err(BindError::Timeout);
        }
        let spool = Spool::open(&settings.spool).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => BindError::InUse,
            _ => BindError::Spool(error),
        })?;
        let address = settings.listen;
        let listener = TcpListener::bind(address).map_err(|source| BindError::Listen { address, source })?;
        let address = listener.local_addr().map_err(BindError::Start)?;
        // A connection that is gone again must not make accepting wait for the next.
        listener.set_nonblocking(true).map_err(BindError::Start)?;
        let (alive, watched) = UnixStream::pair().map_err(BindError::Start)?;
        let connections = Connections::new(settings.max_associations, settings.timeout);
        let shared = Shared { settings, spool, sink, connections };
        let thread = thread::Builder::new().name("dimse-accept".into());
        let accepting = thread.spawn(move || accept(&shared, &listener, &watched)).map_err(BindError::Start)?;
        Ok(Self { address, alive: Some(alive), accepting: Some(accepting) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it: no connection is accepted any more, associations are aborted, what is unfinished is removed. Returns when all threads have
    /// ended, within a second if the sink is not at work; an object that the sink has is decided by it.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.alive.take());
        if let Some(accepting) = self.accepting.take() {
            // Were it to have panicked, it would have ended all the same.
            drop(accepting.join());
        }
    }
}

impl Drop for Scp {
    fn drop(&mut self) {
        self.end();
    }
}

/// Accepts until `watched` is closed at the other end. The scope owns the threads, and waits for them.
fn accept(shared: &Shared, listener: &TcpListener, watched: &UnixStream) {
    thread::scope(|threads| {
        let mut is_exhausted = false;
        loop {
            // Without descriptors a waiting connection would wake this up for ever.
            let events = if is_exhausted { PollFlags::empty() } else { PollFlags::IN };
            let mut both = [PollFd::new(watched, PollFlags::IN), PollFd::new(listener, events)];
            let woken = poll(&mut both, is_exhausted.then_some(&PAUSE));
            let is_over = !both[0].revents().is_empty();
            if is_over || woken.is_err_and(|error| error != rustix::io::Errno::INTR) {
                break;
            }
            is_exhausted = match listener.accept() {
                Ok((stream, peer)) => {
                    let place = configure(&stream).and_then(|()| shared.connections.enter(&stream, peer.ip()));
                    match place {
                        Ok(Some(place)) => {
                            let thread = thread::Builder::new().name("dimse".into());
                            let serve = move || provider::serve(shared, &place, stream, peer);
                            thread.spawn_scoped(threads, serve).is_err()
                        }
                        // Dropping it closes it.
                        Ok(None) => {
                            provider::tell(shared, &Ended::new(peer, End::TurnedAway));
                            false
                        }
                        // It is gone already.
                        Err(_) => false,
                    }
                }
                Err(error) => !matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                ),
            };
        }
        shared.connections.stop();
    });
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    // On some systems it takes after the listener.
    stream.set_nonblocking(false)?;
    // Responses are short, and waited for.
    stream.set_nodelay(true)
}
