//! A source's iroh endpoint: who connects, and to what.

mod blocking;
mod fair;
mod keys;

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clavicle_admission::{Neighbourhood, Origin};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::{Key, SecretKey};
use iroh::Endpoint;
use iroh::endpoint::{Incoming, IncomingAddr};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

pub(crate) use self::blocking::BlockingLane;
use self::fair::Fair;
pub(crate) use self::fair::Place;
use self::keys::Keys;
use crate::endpoint::{self, EndpointError};
use crate::pickup::{self, Counter, Tickets};
use crate::revoke::{self, Revocations};
use crate::transfer::{self, Gate, Refusals};

/// With more connections than this, whoever comes must first show that its address is its own.
const BUSY: usize = 256;
/// The code with which a connection is closed for a newer one: of its own key, or of somebody who has less.
pub(crate) const REPLACED: u32 = 5;
/// How long a place of the address that has the most strangers' places is left to it: as long as it takes to say hello.
const SETTLED: Duration = Duration::from_secs(10);
/// Connections that say they bring a revocation. They have places of their own, of which a newcomer always has one.
const REVOKERS: usize = 256;
/// How long all of a revocation may take from its first packet on.
const REVOKED: Duration = Duration::from_secs(20);
/// How many hellos are decided on at once; the others wait.
const MAX_DECIDING: usize = 16;
/// How many pickups are answered at once, beside all else.
const MAX_PICKING: usize = 4;
/// How much is decided again, or read of receipts, at once for those who were let in.
const MAX_RENEWING: usize = 64;
/// How many are sent images at once; the others wait. More at once only makes all of them slower.
const MAX_SENDING: usize = 64;
/// How long a handshake may take: in a crowd of a thousand on a small machine the last has waited for ten seconds.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// How many are there at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that were not let in yet. Beyond these, whoever comes takes the place of one from the address that holds the most.
    pub strangers: usize,
    /// Connections that were let in. Beyond these, whoever is let in takes the place of one of the study that has the most.
    pub guests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // An idle one costs 107 KiB, so that all of them come to 2.5 GiB; and 10,000 who come at once fit. Who is sent to and takes slowly
        // costs some 2 MiB more while it lasts.
        Self { strangers: 12_288, guests: 12_288 }
    }
}

/// A source's endpoint while it serves.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves transfers, pickups and revocations at `at`, known by the source's transfer key, with the usual
    /// [`Limits`].
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn start(
        key: &SecretKey,
        at: SocketAddr,
        gate: Arc<dyn Gate>,
        counter: Arc<dyn Counter>,
        revocations: Revocations,
    ) -> Result<Self, EndpointError> {
        Self::start_with(key, at, (gate, counter, revocations), Limits::default()).await
    }

    /// As [`Server::start`], with other limits.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn start_with(
        key: &SecretKey,
        at: SocketAddr,
        (gate, counter, revocations): (Arc<dyn Gate>, Arc<dyn Counter>, Revocations),
        limits: Limits,
    ) -> Result<Self, EndpointError> {
        let protocols = [transfer::PROTOCOL, pickup::PROTOCOL, revoke::PROTOCOL];
        let endpoint = endpoint::bind(key, Some(at), &protocols).await?;
        let address = endpoint.bound_sockets().into_iter().next().unwrap_or(at);
        let (stop, stopping) = watch::channel(false);
        let hall = Arc::new(Hall {
            key: key.public(),
            gate,
            counter,
            revocations: Arc::new(revocations),
            revokers: Fair::new(REVOKERS, Duration::ZERO),
            keys: Keys::default(),
            strangers: Fair::new(limits.strangers, SETTLED),
            guests: Fair::new(limits.guests, Duration::ZERO),
            refusals: Refusals::new(),
            deciding: BlockingLane::new(MAX_DECIDING),
            picking: BlockingLane::new(MAX_PICKING),
            tickets: Tickets::default(),
            renewing: BlockingLane::new(MAX_RENEWING),
            sending: Semaphore::new(MAX_SENDING),
        });
        #[expect(clippy::disallowed_methods, reason = "the accept loop's owner is the server: it ends with `stop`")]
        let task = tokio::spawn(accept(endpoint, hall, stopping));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts everybody off and waits until all has ended.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.ok();
    }
}

/// What all connections share.
pub(crate) struct Hall {
    /// The source's transfer key.
    pub(crate) key: Key,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) counter: Arc<dyn Counter>,
    revocations: Arc<Revocations>,
    revokers: Fair<Neighbourhood>,
    keys: Keys,
    strangers: Fair<Neighbourhood>,
    pub(crate) guests: Fair<Account>,
    pub(crate) refusals: Refusals,
    pub(crate) deciding: BlockingLane,
    pub(crate) picking: BlockingLane,
    pub(crate) tickets: Tickets,
    pub(crate) renewing: BlockingLane,
    pub(crate) sending: Semaphore,
}

/// On whose account a guest is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Account {
    /// Everybody who fetches a study.
    Study(StudyId),
    /// A wallet that picks up.
    Wallet(Key),
}

async fn accept(endpoint: Endpoint, hall: Arc<Hall>, mut stopping: watch::Receiver<bool>) {
    // Every connection's task is owned here, and ends when this function does.
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        if connections.len() >= BUSY && !incoming.remote_addr_validated() {
            incoming.retry().ok();
            continue;
        }
        let revokes = revokes(&incoming);
        let places = if revokes { &hall.revokers } else { &hall.strangers };
        let Some(stranger) = places.enter(neighbourhood(&incoming.remote_addr())) else {
            incoming.refuse();
            continue;
        };
        let hall = Arc::clone(&hall);
        connections.spawn(async move {
            if revokes {
                let revoked = stranger.holding(timeout(REVOKED, revocation(incoming, &hall)));
                revoked.await;
            } else {
                connection(incoming, stranger, &hall).await;
            }
        });
    }
    connections.shutdown().await;
    endpoint.close().await;
}

/// Whether somebody says in the first packet that a revocation is to follow, and nothing else. If it cannot be told,
/// they are a stranger as others are.
fn revokes(incoming: &Incoming) -> bool {
    let Some(mut protocols) = incoming.decrypt().and_then(|initial| initial.alpns()) else { return false };
    protocols.next().is_some_and(|first| first.is_ok_and(|first| first == revoke::PROTOCOL))
        && protocols.next().is_none()
}

async fn revocation(incoming: Incoming, hall: &Hall) {
    let Ok(accepting) = incoming.accept() else { return };
    let Ok(connection) = accepting.await else { return };
    hall.revocations.serve(&connection).await;
}

async fn connection(incoming: Incoming, stranger: Place<Neighbourhood>, hall: &Hall) {
    let Ok(accepting) = incoming.accept() else { return };
    let Some(Ok(Ok(connection))) = stranger.holding(timeout(HANDSHAKE, accepting)).await else { return };
    let of_key = hall.keys.enter(&connection);
    match connection.alpn() {
        transfer::PROTOCOL => transfer::serve(&connection, stranger, &of_key.sending, hall).await,
        pickup::PROTOCOL => pickup::serve(&connection, stranger, hall).await,
        revoke::PROTOCOL => drop(stranger.holding(hall.revocations.serve(&connection)).await),
        _ => {}
    }
}

/// With whom whoever is at an address shares its places.
fn neighbourhood(address: &IncomingAddr) -> Neighbourhood {
    match address {
        IncomingAddr::Ip(address) => Origin::Direct(address.ip()).neighbourhood(),
        // There are no others: the endpoint has no relays.
        _ => Neighbourhood::of(Ipv6Addr::UNSPECIFIED.into()),
    }
}
