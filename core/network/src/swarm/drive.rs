//! The task that serves the network. It owns the swarm; whatever blocks happens elsewhere.

mod exchange;

use core::time::Duration;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::{Arc, Weak};

use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::Key;
use clavicle_ledger::source::MAX_SOURCES;
use libp2p::core::transport::TransportError;
use libp2p::futures::StreamExt as _;
use libp2p::gossipsub::{self, IdentTopic};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, OutboundRequestId, ProtocolSupport, ResponseChannel};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use self::exchange::{Looked, Waited};
use super::codec::{self, AskCodec};
use super::dials::Dials;
use super::door::{Asker, Door};
use super::gossip::{gossip, topic};
use super::holding::Holding;
use super::jobs::{Jobs, SharedJobs};
use super::lane::{self, Lane};
use super::lobby::{Accepting, Lobby};
use super::missing::Missing;
use super::node::{Asked, Peer, Stopped, dialled};
use super::{key_of, transport};
use crate::desk::Desk;
use crate::message::{Query, Request, Response};

/// Jobs of one kind that run at once.
const RUNNING: usize = 8;
/// Questions that wait for their turn.
const QUESTIONS_WAITING: usize = 256;
/// Questions whose answers are not yet sent: each may hold a request or response in memory.
const ANSWERING: usize = 512;
/// Revocations that are looked at at once, beside all else.
const REVOKING: usize = 4;
/// Looks into mailboxes of one asker that wait, before questions about them are held.
const WAITS_WAITING: usize = 64;
/// Messages, answers and questions of one relay that wait to be looked at.
const RECEIVED_WAITING: usize = 128;
/// Deposits that wait until those are told who wait for them.
const DEPOSITED: usize = 1024;
/// How often a relay may ask which block is the newest: each answer costs a signature.
const INQUIRIES: Duration = Duration::from_millis(100);
/// A guest that neither asks nor answers is let go.
const IDLE: Duration = Duration::from_secs(30);

/// The door comes first: what it refuses, nothing after it has seen.
#[derive(NetworkBehaviour)]
struct Relay {
    door: Door,
    ask: request_response::Behaviour<AskCodec>,
}

/// The task's ends of what a node holds.
pub(super) struct Handles {
    pub(super) publishing: mpsc::Receiver<Vec<u8>>,
    pub(super) asked: mpsc::Receiver<Asked>,
    pub(super) peers: watch::Receiver<Vec<Peer>>,
    pub(super) listening: watch::Sender<Option<Multiaddr>>,
    pub(super) gossiping: watch::Sender<BTreeSet<Key>>,
    pub(super) stopping: oneshot::Receiver<()>,
}

/// The task.
pub(super) struct Drive {
    chain: ChainId,
    swarm: Swarm<Relay>,
    lobby: Lobby,
    topic: IdentTopic,
    desk: Arc<dyn Desk>,
    handles: Handles,
    dials: Dials,
    missing: Missing,
    /// What relays were asked, and have not answered.
    asked: HashSet<OutboundRequestId>,
    /// What all relays were asked at once, and have not answered: the last question alone.
    inquiring: HashMap<OutboundRequestId, mpsc::Sender<Response>>,
    /// Who asked which block is the newest.
    inquired: HashMap<PeerId, Inquired>,
    /// Answers to that, beside all else: one of each relay.
    newest: Jobs<lane::Answer>,
    /// Questions, but for revocations.
    questions: Lane,
    revocations: Lane,
    looks: SharedJobs<PeerId, Looked>,
    /// Looks whether there is something in a mailbox, before a question about it is held.
    waits: SharedJobs<Asker, Waited>,
    held: Holding<ResponseChannel<Response>>,
    /// Mailboxes to which something came. One that is not told of is found when its time is over.
    deposited: (mpsc::Sender<Key>, mpsc::Receiver<Key>),
}

/// A relay asked which block is the newest.
struct Inquired {
    /// Until when it is not answered again.
    until: Instant,
    /// There while it is being answered.
    running: Weak<()>,
}

impl Drive {
    pub(super) fn new(
        chain: &ChainId,
        keypair: &Keypair,
        listen: Multiaddr,
        reconcile_every: Duration,
        desk: Arc<dyn Desk>,
        mut handles: Handles,
    ) -> Result<Self, TransportError<io::Error>> {
        let lobby = Lobby::new();
        let relay = Relay {
            door: Door::new(gossip(chain), keypair.public().to_peer_id(), lobby.clone()),
            ask: codec::behaviour(chain, ProtocolSupport::Full),
        };
        let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE);
        let sockets = transport(Accepting::new(lobby.clone()), keypair);
        let mut swarm = Swarm::new(sockets, relay, keypair.public().to_peer_id(), config);
        swarm.listen_on(listen)?;
        handles.peers.mark_changed();
        Ok(Self {
            chain: *chain,
            swarm,
            lobby,
            topic: topic(chain),
            desk,
            handles,
            dials: Dials::new(keypair.public().to_peer_id()),
            missing: Missing::new(reconcile_every, Instant::now()),
            asked: HashSet::new(),
            inquiring: HashMap::new(),
            inquired: HashMap::new(),
            questions: Lane::new(RUNNING, QUESTIONS_WAITING, ANSWERING),
            revocations: Lane::new(REVOKING, QUESTIONS_WAITING, ANSWERING),
            newest: Jobs::new(MAX_SOURCES),
            looks: SharedJobs::new(RUNNING, RECEIVED_WAITING),
            waits: SharedJobs::new(RUNNING, WAITS_WAITING),
            held: Holding::new(),
            deposited: mpsc::channel(DEPOSITED),
        })
    }

    /// Serves until it is asked to stop, or cannot.
    pub(super) async fn run(mut self) -> Result<(), Stopped> {
        let result = self.serve().await;
        let Self { swarm, questions, revocations, newest, looks, waits, .. } = self;
        drop(swarm);
        revocations.finish().await;
        questions.finish().await;
        newest.finish().await;
        looks.finish().await;
        waits.finish().await;
        result
    }

    async fn serve(&mut self) -> Result<(), Stopped> {
        loop {
            let sweep = self.lobby.next_sweep().map(Instant::from_std);
            let over = self.held.next_over().map(Instant::from_std);
            let wake =
                [self.dials.next_at(), sweep, over].into_iter().flatten().fold(self.missing.next_at(), Instant::min);
            tokio::select! {
                // Dropped is stopped, too.
                _ = &mut self.handles.stopping => return Ok(()),
                Ok(()) = self.handles.peers.changed() => self.set_peers(),
                Some(envelope) = self.handles.publishing.recv() => self.publish(envelope),
                Some((query, answers)) = self.handles.asked.recv() => self.ask_all(&query, &answers),
                Some((channel, response)) = self.revocations.next() => self.respond(channel, response),
                Some((channel, response)) = self.questions.next() => self.respond(channel, response),
                Some((channel, response)) = self.newest.next() => self.respond(channel, response),
                Some(looked) = self.looks.next() => self.looked(looked),
                Some(waited) = self.waits.next() => self.waited(waited),
                Some(mailbox) = self.deposited.1.recv() => self.look_again(|held| held.came(&mailbox)),
                event = self.swarm.select_next_some() => self.event(event)?,
                () = sleep_until(wake) => self.tick(Instant::now()),
            }
        }
    }

    fn set_peers(&mut self) {
        let peers = dialled(&self.handles.peers.borrow_and_update(), self.swarm.local_peer_id());
        let changed = self.swarm.behaviour_mut().door.set_members(peers.keys().copied().collect());
        let swarm = &self.swarm;
        self.dials.set(peers, |peer| swarm.is_connected(peer), Instant::now());
        let dials = &self.dials;
        self.inquired.retain(|peer, _| dials.contains(peer));
        for peer in changed {
            self.forget(&peer);
            self.drop_connections(peer);
        }
    }

    fn publish(&mut self, envelope: Vec<u8>) {
        let topic = self.topic.hash();
        if let Err(error) = self.swarm.behaviour_mut().door.gossip.publish(topic, envelope) {
            debug!("a transaction was not gossiped: {error}");
        }
    }

    /// Asks every relay that is connected.
    fn ask_all(&mut self, query: &Query, answers: &mpsc::Sender<Response>) {
        self.inquiring.clear();
        let connected = self.dials.all().filter(|peer| self.swarm.is_connected(peer));
        for peer in connected.copied().collect::<Vec<_>>() {
            let id = self.swarm.behaviour_mut().ask.send_request(&peer, Request::Query(query.clone()));
            self.inquiring.insert(id, answers.clone());
        }
    }

    fn tick(&mut self, now: Instant) {
        self.lobby.sweep(now.into_std());
        self.look_again(|held| held.over(now.into_std()));
        while let Some((peer, addresses)) = self.dials.due(now) {
            if let Err(error) = self.swarm.dial(DialOpts::peer_id(peer).addresses(addresses).build()) {
                debug!("a relay was not dialled: {error}");
                self.dials.lost(&peer, now);
            }
        }
        while let Some(peer) = self.dials.silent(now) {
            debug!(relay = ?key_of(&peer), "connected, but in no gossip");
            self.drop_connections(peer);
        }
        if let Some(peer) = self.missing.due(now) {
            self.ask(&peer, Query::Waiting);
        }
    }

    fn event(&mut self, event: SwarmEvent<RelayEvent>) -> Result<(), Stopped> {
        match event {
            SwarmEvent::Behaviour(RelayEvent::Door(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => self.gossiped(propagation_source, message_id, message.data),
            SwarmEvent::Behaviour(RelayEvent::Door(gossipsub::Event::Subscribed { peer_id, .. })) => {
                self.dials.heard(&peer_id);
                self.handles.gossiping.send_modify(|relays| relays.extend(key_of(&peer_id)));
            }
            SwarmEvent::Behaviour(RelayEvent::Ask(event)) => self.ask_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, .. } if self.dials.contains(&peer_id) => {
                self.connected(peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.dials.lost(&peer_id, Instant::now());
                self.forget(&peer_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. }
                if !self.swarm.is_connected(&peer) =>
            {
                debug!(relay = ?key_of(&peer), "not reached: {error}");
                self.dials.lost(&peer, Instant::now());
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.handles.listening.send_if_modified(|known| known.is_none() && known.replace(address).is_none());
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                let source = reason.err().unwrap_or_else(|| io::ErrorKind::NotConnected.into());
                return Err(Stopped::Listener(source));
            }
            _ => {}
        }
        Ok(())
    }

    /// A relay is connected, or connected anew: the door lets it have one connection, and gossip begins again on that.
    fn connected(&mut self, peer: PeerId) {
        let now = Instant::now();
        debug!(relay = ?key_of(&peer), "connected");
        self.forget(&peer);
        self.dials.connected(&peer, now);
        if self.missing.connected(peer, now) {
            self.ask(&peer, Query::Waiting);
        }
    }

    fn forget(&mut self, peer: &PeerId) {
        if let Some(key) = key_of(peer) {
            self.handles.gossiping.send_if_modified(|relays| relays.remove(&key));
        }
        self.missing.lost(peer);
    }

    fn drop_connections(&mut self, peer: PeerId) {
        // There may be none any more.
        let _: Result<(), ()> = self.swarm.disconnect_peer_id(peer);
    }
}
