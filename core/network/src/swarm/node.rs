//! A relay's node: starting, telling and stopping.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::Key;
use clavicle_ledger::source::MAX_SOURCES;
use libp2p::core::transport::TransportError;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{debug, warn};
use zeroize::Zeroizing;

use super::drive::{Drive, Handles};
use super::{keypair, peer_of};
use crate::desk::Desk;
use crate::message::{Query, Response};

/// How often one relay in turn is asked for what gossip may have lost.
pub const RECONCILE_EVERY: Duration = Duration::from_secs(5);
/// Transactions that wait to be published. More are dropped; other relays then find them by asking.
const PUBLISHING: usize = 1024;

/// What a node needs to start.
pub struct Config {
    /// The network.
    pub chain: ChainId,
    /// The seed of the relay's libp2p key (RFC 8032 §5.1.5).
    pub seed: Zeroizing<[u8; 32]>,
    /// Where to listen: `/ip4/…/tcp/…` or `/ip6/…/tcp/…`, port 0 for any.
    pub listen: String,
    /// The other relays.
    pub peers: Vec<Peer>,
    /// Usually [`RECONCILE_EVERY`].
    pub reconcile_every: Duration,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, seed: _, listen, peers, reconcile_every } = self;
        let mut shown = f.debug_struct("Config");
        shown.field("chain", chain).field("listen", listen).field("peers", peers);
        shown.field("reconcile_every", reconcile_every).finish_non_exhaustive()
    }
}

/// Another relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its libp2p key.
    pub key: Key,
    /// Where it listens: `/ip4/…/tcp/…` or `/ip6/…/tcp/…`. Others are left out. With none it is waited for.
    pub addresses: Vec<String>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address that is none, or not of a kind that can be listened on.
    #[error("{0:?} is no address to listen on; write /ip4/…/tcp/… or /ip6/…/tcp/…")]
    Address(String),
    /// The port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}: another program has the port, or the address is not this machine's")]
    Listen {
        /// As configured.
        address: String,
        /// Why not.
        source: io::Error,
    },
}

/// Why a node stopped without being asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The system took the port away.
    #[error("listening ended")]
    Listener(#[source] io::Error),
    /// A defect.
    #[error("a defect ended the network task")]
    Panicked,
}

/// Hands transactions to gossip. For whoever takes them in.
#[derive(Clone, Debug)]
pub struct Publisher(mpsc::Sender<Vec<u8>>);

impl Publisher {
    /// Gossips an encoded envelope to other relays. It is dropped when too many wait or the node has stopped: other
    /// relays find it by asking, once the desk names it as waiting.
    pub fn publish(&self, envelope: Vec<u8>) {
        if self.0.try_send(envelope).is_err() {
            debug!("a transaction was not gossiped, since too many are");
        }
    }
}

/// Asks the other relays, all at once. For whoever needs more than one's word.
#[derive(Clone, Debug)]
pub struct Inquirer(mpsc::Sender<Asked>);

/// A question to all relays, and where their answers go.
pub(super) type Asked = (Query, mpsc::Sender<Response>);

impl Inquirer {
    /// Asks every relay that is connected now. The answers come as they come, and end when no more will; a question that is asked meanwhile
    /// ends those to the one before.
    pub async fn ask(&self, query: Query) -> mpsc::Receiver<Response> {
        let (answers, answered) = mpsc::channel(MAX_SOURCES);
        // A node that has stopped answers nothing.
        self.0.send((query, answers)).await.ok();
        answered
    }
}

/// Tells a node who the other relays are. For whoever sees the ledger change.
#[derive(Clone, Debug)]
pub struct Directory(watch::Sender<Vec<Peer>>);

impl Directory {
    /// Says anew who they are. Who is one no longer is disconnected; the same again changes nothing.
    pub fn set(&self, peers: Vec<Peer>) {
        self.0.send_if_modified(|known| {
            let changed = *known != peers;
            *known = peers;
            changed
        });
    }
}

/// A running node. Dropped, it stops, but is not waited for.
#[derive(Debug)]
pub struct Node {
    publisher: Publisher,
    inquirer: Inquirer,
    peers: watch::Sender<Vec<Peer>>,
    address: watch::Receiver<Option<Multiaddr>>,
    gossiping: watch::Receiver<BTreeSet<Key>>,
    stop: Option<oneshot::Sender<()>>,
    /// None once it was said how it ended.
    task: Option<JoinHandle<Result<(), Stopped>>>,
}

impl Node {
    /// Starts a node. Connections to the other relays come up, and come up again, by themselves.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O.
    pub fn start(config: Config, desk: Arc<dyn Desk>) -> Result<Self, StartError> {
        let Config { chain, seed, listen, peers, reconcile_every } = config;
        let address = listen.parse().map_err(|_| StartError::Address(listen.clone()))?;
        let (publish, publishing) = mpsc::channel(PUBLISHING);
        let (peers, changed) = watch::channel(peers);
        let (listening, address_known) = watch::channel(None);
        let (gossips, gossiping) = watch::channel(BTreeSet::new());
        let (stop, stopping) = oneshot::channel();
        // Whoever asks waits for the answer before asking again.
        let (ask, asked) = mpsc::channel(1);
        let handles = Handles { publishing, asked, peers: changed, listening, gossiping: gossips, stopping };
        let drive =
            Drive::new(&chain, &keypair(seed), address, reconcile_every, desk, handles).map_err(
                |error| match error {
                    TransportError::MultiaddrNotSupported(_) => StartError::Address(listen),
                    TransportError::Other(source) => StartError::Listen { address: listen, source },
                },
            )?;
        #[expect(clippy::disallowed_methods, reason = "this is the owner: the task ends with the node")]
        let task = Some(tokio::spawn(drive.run()));
        let (publisher, inquirer) = (Publisher(publish), Inquirer(ask));
        Ok(Self { publisher, inquirer, peers, address: address_known, gossiping, stop: Some(stop), task })
    }

    /// A way to publish, for whoever takes transactions in.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// A way to say who the other relays are.
    #[must_use]
    pub fn directory(&self) -> Directory {
        Directory(self.peers.clone())
    }

    /// A way to ask the other relays.
    #[must_use]
    pub fn inquirer(&self) -> Inquirer {
        self.inquirer.clone()
    }

    /// See [`Publisher::publish`].
    pub fn publish(&self, envelope: Vec<u8>) {
        self.publisher.publish(envelope);
    }

    /// Says anew who the other relays are. Who is one no longer is disconnected.
    pub fn set_peers(&self, peers: Vec<Peer>) {
        self.peers.send_replace(peers);
    }

    /// Where the node listens, with the port that the system chose; none when it stopped before it did.
    pub async fn address(&self) -> Option<String> {
        let mut known = self.address.clone();
        let address = known.wait_for(Option::is_some).await.ok()?;
        address.as_ref().map(ToString::to_string)
    }

    /// The relays that gossip with this one, now and as they come and go.
    #[must_use]
    pub fn gossiping(&self) -> watch::Receiver<BTreeSet<Key>> {
        self.gossiping.clone()
    }

    /// Waits until it stops: `Ok` when it was asked to. May be dropped and called again: how it ended is said once, and `Ok` after that.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn ended(&mut self) -> Result<(), Stopped> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let result = task.await.unwrap_or(Err(Stopped::Panicked));
        self.task = None;
        result
    }

    /// Stops it and waits until it has given up the port and the desk. What was not yet gossiped is not.
    ///
    /// # Errors
    /// [`Stopped`], when it had stopped by itself and nobody was told yet.
    pub async fn stop(mut self) -> Result<(), Stopped> {
        // Already stopped is stopped.
        drop(self.stop.take());
        self.ended().await
    }
}

/// What libp2p makes of the relays: each once, without itself, and without what is no key or no address.
pub(super) fn dialled(peers: &[Peer], own: &PeerId) -> BTreeMap<PeerId, Vec<Multiaddr>> {
    let mut all: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
    for Peer { key, addresses } in peers {
        let Some(peer) = peer_of(key) else {
            warn!(?key, "a relay is left out, since its key is none");
            continue;
        };
        if peer == *own {
            continue;
        }
        let known = all.entry(peer).or_default();
        for address in addresses {
            match address.parse() {
                Ok(address) if !known.contains(&address) => known.push(address),
                Ok(_) => {}
                Err(_) => warn!(?key, "an address of a relay is left out, since it is none"),
            }
        }
    }
    all
}
