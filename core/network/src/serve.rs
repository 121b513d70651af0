//! A source's iroh endpoint: who connects, and to what.

mod keys;

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clavicle_admission::{Neighbourhood, Origin};
use clavicle_ledger::key::SecretKey;
use iroh::Endpoint;
use iroh::endpoint::{Incoming, IncomingAddr};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tracing::error;

use self::keys::Keys;
use crate::endpoint::{self, EndpointError};
use crate::pickup::{self, Counter, Pickups};
use crate::places::{Fair, Place};
use crate::revoke::{self, Revocations};
use crate::transfer::{self, Gate, Transfers};

/// With more connections than this, whoever comes must first show that its address is its own.
const BUSY: usize = 256;
/// How long a place of the address that has the most strangers' places is left to it: as long as it takes to say hello.
const SETTLED: Duration = Duration::from_secs(10);
/// Connections that say they bring a revocation. They have places of their own, of which a newcomer always has one.
const REVOKERS: usize = 256;
/// How long all of a revocation may take from its first packet on.
const REVOKED: Duration = Duration::from_secs(20);
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
    /// None once it has ended.
    task: Option<JoinHandle<()>>,
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
        let protocols = [transfer::PROTOCOL, transfer::STATEMENTS, pickup::PROTOCOL, revoke::PROTOCOL];
        let endpoint = endpoint::bind(key, Some(at), &protocols).await?;
        let address = endpoint.bound_sockets().into_iter().next().unwrap_or(at);
        let (stop, stopping) = watch::channel(false);
        let guests = Fair::new(limits.guests, Duration::ZERO);
        let lobby = Arc::new(Lobby {
            transfers: Transfers::new(gate, guests.clone()),
            pickups: Pickups::new(key.public(), counter, guests),
            revocations: Arc::new(revocations),
            revokers: Fair::new(REVOKERS, Duration::ZERO),
            keys: Keys::default(),
            strangers: Fair::new(limits.strangers, SETTLED),
        });
        #[expect(clippy::disallowed_methods, reason = "the accept loop's owner is the server: it ends with `stop`")]
        let task = Some(tokio::spawn(accept(endpoint, lobby, stopping)));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until nothing is served any more, because it was asked to stop, or by a defect. May be dropped and called again.
    pub async fn ended(&mut self) {
        if let Some(task) = &mut self.task {
            task.await.ok();
            self.task = None;
        }
    }

    /// Cuts everybody off and waits until all has ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.ended().await;
    }
}

/// What all connections come to.
struct Lobby {
    transfers: Transfers,
    pickups: Pickups,
    revocations: Arc<Revocations>,
    revokers: Fair<Neighbourhood>,
    keys: Keys,
    strangers: Fair<Neighbourhood>,
}

async fn accept(endpoint: Endpoint, lobby: Arc<Lobby>, mut stopping: watch::Receiver<bool>) {
    // Every connection's task is owned here, and ends when this function does.
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    error!("a defect ended a connection");
                }
                continue;
            }
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        if connections.len() >= BUSY && !incoming.remote_addr_validated() {
            incoming.retry().ok();
            continue;
        }
        let revokes = revokes(&incoming);
        let places = if revokes { &lobby.revokers } else { &lobby.strangers };
        let Some(stranger) = places.enter(neighbourhood(&incoming.remote_addr())) else {
            incoming.refuse();
            continue;
        };
        let lobby = Arc::clone(&lobby);
        connections.spawn(async move {
            if revokes {
                let revoked = stranger.holding(timeout(REVOKED, revocation(incoming, &lobby)));
                revoked.await;
            } else {
                connection(incoming, stranger, &lobby).await;
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

async fn revocation(incoming: Incoming, lobby: &Lobby) {
    let Ok(accepting) = incoming.accept() else { return };
    let Ok(connection) = accepting.await else { return };
    lobby.revocations.serve(&connection).await;
}

async fn connection(incoming: Incoming, stranger: Place<Neighbourhood>, lobby: &Lobby) {
    let Ok(accepting) = incoming.accept() else { return };
    let Some(Ok(Ok(connection))) = stranger.holding(timeout(HANDSHAKE, accepting)).await else { return };
    let of_key = lobby.keys.enter(&connection);
    match connection.alpn() {
        transfer::PROTOCOL => transfer::serve(&connection, stranger, &of_key.sending, &lobby.transfers).await,
        transfer::STATEMENTS => transfer::state(&connection, stranger, &lobby.transfers).await,
        pickup::PROTOCOL => pickup::serve(&connection, stranger, &lobby.pickups).await,
        revoke::PROTOCOL => drop(stranger.holding(lobby.revocations.serve(&connection)).await),
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
