//! A source's iroh endpoint: who connects, and to what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clavicle_ledger::key::SecretKey;
use iroh::Endpoint;
use iroh::endpoint::Incoming;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::endpoint::{self, EndpointError};
use crate::pickup::{self, Counter};
use crate::transfer::{self, Gate, Refusals};

/// The most connections at once; whoever comes beyond is turned away before a handshake.
const MAX_CONNECTIONS: usize = 4_096;
/// How many are sent images at once; the others wait. More at once only makes all of them slower.
const MAX_SENDING: usize = 64;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A source's endpoint while it serves.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves transfers and pickups at `at`, known by the source's transfer key.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn start(
        key: &SecretKey,
        at: SocketAddr,
        gate: Arc<dyn Gate>,
        counter: Arc<dyn Counter>,
    ) -> Result<Self, EndpointError> {
        let endpoint = endpoint::bind(key, Some(at), &[transfer::PROTOCOL, pickup::PROTOCOL]).await?;
        let address = endpoint.bound_sockets().into_iter().next().unwrap_or(at);
        let (stop, stopping) = watch::channel(false);
        #[expect(clippy::disallowed_methods, reason = "the accept loop's owner is the server: it ends with `stop`")]
        let task = tokio::spawn(accept(endpoint, gate, counter, stopping));
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

async fn accept(
    endpoint: Endpoint,
    gate: Arc<dyn Gate>,
    counter: Arc<dyn Counter>,
    mut stopping: watch::Receiver<bool>,
) {
    let (refusals, turn) = (Refusals::new(), Arc::new(Semaphore::new(MAX_SENDING)));
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
        if connections.len() >= MAX_CONNECTIONS {
            incoming.refuse();
            continue;
        }
        let (gate, counter) = (Arc::clone(&gate), Arc::clone(&counter));
        connections.spawn(connection(incoming, gate, counter, refusals.clone(), Arc::clone(&turn)));
    }
    connections.shutdown().await;
    endpoint.close().await;
}

async fn connection(
    incoming: Incoming,
    gate: Arc<dyn Gate>,
    counter: Arc<dyn Counter>,
    refusals: Refusals,
    turn: Arc<Semaphore>,
) {
    let Ok(accepting) = incoming.accept() else { return };
    let Ok(Ok(connection)) = timeout(HANDSHAKE, accepting).await else { return };
    match connection.alpn() {
        transfer::PROTOCOL => transfer::serve(connection, gate, refusals, turn).await,
        pickup::PROTOCOL => pickup::serve(connection, counter).await,
        _ => {}
    }
}
