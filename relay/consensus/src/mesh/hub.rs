//! The task that has the links, and the engine's actor before it.

use core::time::Duration;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arc_malachitebft_app_channel::NetworkMsg as FromDrive;
use arc_malachitebft_app_channel::app::consensus::{LivenessMsg, SignedConsensusMsg};
use arc_malachitebft_app_channel::app::engine::network::{
    Multiaddr, NetworkEvent, NetworkMsg, NetworkRef, PersistentPeerError, Status, Subscriber,
};
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_network::Channel;
use arc_malachitebft_sync::{
    InboundRequestId, OutboundFailureReason, OutboundRequestId, Request, Response, Status as SyncStatus,
};
use async_trait::async_trait;
use bytes::Bytes;
use clavicle_admission::Seldom;
use clavicle_ledger::block::Block;
use clavicle_ledger::encoding::Wire as _;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::time::Height;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, error, info, warn};

use crate::codec::BorshCodec;
use crate::context::{At, Network};
use crate::elsewhere::Elsewhere;
use crate::mesh::catch_up::{CatchUp, Learned};
use crate::mesh::dial::Dials;
use crate::mesh::door;
use crate::mesh::frame::{self, Kind};
use crate::mesh::link::{self, Ended, Heard, LinkId, Outbox, Urgency};
use crate::mesh::proof::{Proof, Proven};
use crate::mesh::roster::Roster;

/// What the engine may have said and the hub not yet heard. The engine's own mailbox is behind it.
const INBOX: usize = 256;
/// What links have heard and the hub not yet.
const HEARD: usize = 64;
/// What a validator said at this height, and a new link begins with: so many bytes, and so many frames.
const SAID_LEN: usize = Block::MAX_LEN + 2 * 1024 * 1024;
const SAID: usize = 256;
/// Questions of one link that are being answered.
const QUESTIONS: usize = 8;
/// Connections of both directions that are made within this time were made at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// This validator, when it is one.
pub(crate) struct Own {
    pub(crate) key: SecretKey,
    pub(crate) listener: std::net::TcpListener,
}

/// What a mesh is told once.
pub(crate) struct Start {
    pub(crate) chain: ChainId,
    pub(crate) source: SourceId,
    /// Where it says it listens, for the engine's log.
    pub(crate) listen: Multiaddr,
    /// Without it there are no links.
    pub(crate) own: Option<Own>,
    pub(crate) elsewhere: Option<Arc<dyn Elsewhere>>,
    /// How often to look elsewhere.
    pub(crate) look_every: Duration,
}

/// A running mesh, as the engine and the loop know it. It ends with the engine's actor.
pub(crate) struct Mesh {
    pub(crate) actor: NetworkRef<Network>,
    pub(crate) parts: mpsc::Sender<FromDrive<Network>>,
    pub(crate) roster: watch::Sender<Arc<Roster>>,
    /// The highest block that came from elsewhere: until then no height needs to be waited for.
    pub(crate) ahead: watch::Receiver<Height>,
}

/// Why there is no mesh.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeshError {
    #[error("the port cannot be listened on any more")]
    Listen(#[from] std::io::Error),
    #[error(transparent)]
    Actor(#[from] SpawnErr),
}

/// Starts the task and its actor. Nobody is in the roster yet.
pub(crate) async fn start(start: Start) -> Result<Mesh, MeshError> {
    let Start { chain, source, listen, own, elsewhere, look_every } = start;
    let (roster, changed) = watch::channel(Arc::default());
    let (brought, ahead) = watch::channel(0);
    let (inbox, told) = mpsc::channel(INBOX);
    let (parts, publishing) = mpsc::channel(1);
    let (heard, hearing) = mpsc::channel(HEARD);
    let (proven, arriving) = mpsc::channel(HEARD);
    let mut kept = JoinSet::new();
    let mut own_key = None;
    let mut dials = None;
    if let Some(Own { key, listener }) = own {
        own_key = Some(key.public());
        let proof = Arc::new(Proof::new(&chain, key, changed.clone()));
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        kept.spawn(door::keep(listener, Arc::clone(&proof), changed.clone(), proven));
        dials = Some(Dials::new(source, proof, changed.clone()));
    }
    let hub = Hub {
        own: own_key,
        listen,
        roster: changed,
        subscribers: Vec::new(),
        links: BTreeMap::new(),
        running: JoinSet::new(),
        heard,
        dials,
        catch_up: elsewhere.map(CatchUp::new),
        brought,
        said: VecDeque::new(),
        said_len: 0,
        next: 0,
        asked: BTreeMap::new(),
        asking: HashMap::new(),
        lost: Seldom::default(),
        unreached: Seldom::default(),
        _kept: kept,
    };
    let (actor, _) = Actor::spawn(None, Front, inbox).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends when the actor does, and at last with the engine's runtime"
    )]
    tokio::spawn(hub.run(told, publishing, hearing, arriving, look_every));
    Ok(Mesh { actor, parts, roster, ahead })
}

/// What the engine speaks with: hands on what it is told.
struct Front;

#[async_trait]
impl Actor for Front {
    type Msg = NetworkMsg<Network>;
    type State = mpsc::Sender<NetworkMsg<Network>>;
    type Arguments = mpsc::Sender<NetworkMsg<Network>>;

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        inbox: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(inbox)
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        inbox: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(inbox.send(message).await.map_err(|_| "the mesh has ended")?)
    }
}

struct Link {
    id: LinkId,
    source: SourceId,
    peer: PeerId,
    /// Whether it was begun from here.
    dialled: bool,
    since: Instant,
    outbox: Arc<Outbox>,
    task: AbortHandle,
}

struct Hub {
    own: Option<Key>,
    listen: Multiaddr,
    roster: watch::Receiver<Arc<Roster>>,
    subscribers: Vec<Box<dyn Subscriber<NetworkEvent<Network>>>>,
    links: BTreeMap<Key, Link>,
    running: JoinSet<(LinkId, Ended)>,
    heard: mpsc::Sender<(LinkId, Heard)>,
    dials: Option<Dials>,
    catch_up: Option<CatchUp>,
    /// The highest block that came from elsewhere.
    brought: watch::Sender<Height>,
    /// What was said at this height.
    said: VecDeque<(Urgency, Bytes)>,
    said_len: usize,
    next: u64,
    /// The engine's questions, by number: of which link.
    asked: BTreeMap<u64, LinkId>,
    /// The others' questions: of which link, and by which number there.
    asking: HashMap<InboundRequestId, (LinkId, u64)>,
    lost: Seldom,
    unreached: Seldom,
    _kept: JoinSet<()>,
}

impl Hub {
    async fn run(
        mut self,
        mut told: mpsc::Receiver<NetworkMsg<Network>>,
        mut publishing: mpsc::Receiver<FromDrive<Network>>,
        mut hearing: mpsc::Receiver<(LinkId, Heard)>,
        mut arriving: mpsc::Receiver<Proven>,
        look_every: Duration,
    ) {
        let mut look = interval(look_every.max(Duration::from_millis(100)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut followed = true;
        loop {
            tokio::select! {
                message = told.recv() => match message {
                    Some(message) => self.told(message),
                    // The engine has ended.
                    None => return,
                },
                Some(FromDrive::PublishProposalPart(part)) = publishing.recv() => {
                    self.say(Kind::Part, Urgency::Part, &BorshCodec.encode(&part));
                }
                Some((id, heard)) = hearing.recv() => self.heard(id, heard),
                Some(proven) = arriving.recv() => self.arrived(proven, false),
                (source, dialled) = next_dial(&mut self.dials) => match dialled {
                    Ok(proven) => self.arrived(proven, true),
                    Err(error) => {
                        if let Some(more) = self.unreached.now(Instant::now().into_std()) {
                            info!(more, ?source, %error, "a validator is not reached; it is tried again and again");
                        }
                        self.reconcile();
                    }
                },
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    if let Ok((id, ended)) = ended {
                        self.ended(id, &ended);
                    }
                }
                learned = next_learned(&mut self.catch_up) => self.learned(learned),
                changed = self.roster.changed(), if followed => match changed {
                    Ok(()) => self.renew(),
                    // The loop has ended, and the engine is about to: what was said last may still go out.
                    Err(_) => followed = false,
                },
                _ = look.tick() => self.look(),
            }
        }
    }

    fn emit(&self, event: &NetworkEvent<Network>) {
        for subscriber in &self.subscribers {
            subscriber.send(event.clone());
        }
    }

    /// What the engine wants.
    fn told(&mut self, message: NetworkMsg<Network>) {
        match message {
            NetworkMsg::Subscribe(subscriber) => {
                subscriber.send(NetworkEvent::Listening(self.listen.clone()));
                for link in self.links.values() {
                    subscriber.send(NetworkEvent::PeerConnected(link.peer));
                    subscriber.send(NetworkEvent::PeerSubscribed(link.peer, Channel::Sync));
                }
                self.subscribers.push(subscriber);
            }
            NetworkMsg::PublishConsensusMsg(message) => {
                self.say(Kind::Consensus, Urgency::Vote, &BorshCodec.encode(&message));
            }
            // Said again and again as it is: a new link need not begin with it.
            NetworkMsg::PublishLivenessMsg(message) => {
                self.broadcast(Kind::Liveness, Urgency::Vote, &BorshCodec.encode(&message));
            }
            NetworkMsg::PublishProposalPart(part) => self.say(Kind::Part, Urgency::Part, &BorshCodec.encode(&part)),
            NetworkMsg::BroadcastStatus(Status { tip_height, history_min_height }) => {
                // Who says it is known by the link.
                let Some(own) = self.own else { return };
                let status: SyncStatus<Network> = SyncStatus { peer_id: peer_of(&own), tip_height, history_min_height };
                self.broadcast(Kind::Status, Urgency::Vote, &BorshCodec.encode(&status));
            }
            NetworkMsg::OutgoingRequest(peer, request, reply) => {
                self.next += 1;
                let number = OutboundRequestId::new(self.next);
                // Whoever asked may be stopping.
                reply.send(number.clone()).ok();
                if !self.ask(peer, self.next, &number, &request) {
                    let failed = OutboundFailureReason::ConnectionClosed;
                    self.emit(&NetworkEvent::SyncRequestFailed(number, peer, failed));
                }
            }
            NetworkMsg::CancelRequest(number) => {
                if let Ok(number) = number.to_string().parse() {
                    self.asked.remove(&number);
                }
            }
            NetworkMsg::OutgoingResponse(number, response) => self.answer(&number, &response),
            NetworkMsg::CancelInboundRequest(number) => self.no_answer(&number),
            // A height begins: what was said at the one before is decided.
            NetworkMsg::UpdateValidatorSet(_) => {
                self.said.clear();
                self.said_len = 0;
            }
            NetworkMsg::DumpState(reply) => drop(reply.send(None)),
            NetworkMsg::UpdatePersistentPeers(_, reply) => {
                drop(reply.send(Err(PersistentPeerError::NetworkStopped)));
            }
            // Of the network that this is instead of.
            NetworkMsg::ValidatorProofVerified { .. } | NetworkMsg::NewEvent(_) => {}
        }
    }

    /// Says something that belongs to this height.
    fn say<E: core::fmt::Display>(&mut self, kind: Kind, urgency: Urgency, body: &Result<Bytes, E>) {
        let Some(frame) = self.broadcast(kind, urgency, body) else { return };
        self.said_len = self.said_len.saturating_add(frame.len());
        self.said.push_back((urgency, frame));
        while self.said.len() > SAID || self.said_len > SAID_LEN {
            let Some((_, first)) = self.said.pop_front() else { return };
            self.said_len = self.said_len.saturating_sub(first.len());
        }
    }

    fn broadcast<E: core::fmt::Display>(
        &mut self,
        kind: Kind,
        urgency: Urgency,
        body: &Result<Bytes, E>,
    ) -> Option<Bytes> {
        let frame = match body {
            Ok(body) => frame::frame(kind, &[body]),
            Err(error) => {
                error!(?kind, %error, "something that this validator has to say cannot be sent");
                return None;
            }
        };
        let Some(frame) = frame else {
            error!(?kind, "something that this validator has to say is too long");
            return None;
        };
        let full: Vec<Key> = self
            .links
            .iter()
            .filter(|(_, link)| !link.outbox.push(urgency, frame.clone()))
            .map(|(key, _)| *key)
            .collect();
        self.cut_full(&full);
        Some(frame)
    }

    fn cut_full(&mut self, full: &[Key]) {
        for key in full {
            if let Some(source) = self.cut(key)
                && let Some(more) = self.lost.now(Instant::now().into_std())
            {
                warn!(more, ?source, "a link was ended, since the other validator takes nothing");
            }
        }
        if !full.is_empty() {
            self.reconcile();
        }
    }

    /// Asks a link, or somebody elsewhere. False when there is nobody to ask.
    fn ask(&mut self, peer: PeerId, number: u64, id: &OutboundRequestId, request: &Request<Network>) -> bool {
        if self.catch_up.as_mut().is_some_and(|catch_up| catch_up.ask(peer, id, request)) {
            return true;
        }
        let Some(link) = self.links.values().find(|link| link.peer == peer) else { return false };
        let Ok(body) = BorshCodec.encode(request) else { return false };
        let Some(frame) = frame::frame(Kind::Question, &[&number.to_le_bytes(), &body]) else { return false };
        let asked = link.outbox.push(Urgency::Vote, frame);
        if asked {
            self.asked.insert(number, link.id);
        }
        asked
    }

    fn answer(&mut self, id: &InboundRequestId, response: &Response<Network>) {
        let Some(&(link, number)) = self.asking.get(id) else { return };
        let pieces = BorshCodec.encode(response).ok().and_then(|body| link::pieces(number, &body));
        let Some(pieces) = pieces else { return self.no_answer(id) };
        self.asking.remove(id);
        let Some((key, link)) = self.links.iter().find(|(_, other)| other.id == link) else { return };
        let taken = pieces.into_iter().all(|piece| link.outbox.push(Urgency::Answer, piece));
        if !taken {
            let key = *key;
            self.cut_full(&[key]);
        }
    }

    fn no_answer(&mut self, id: &InboundRequestId) {
        let Some((link, number)) = self.asking.remove(id) else { return };
        let Some((key, link)) = self.links.iter().find(|(_, other)| other.id == link) else { return };
        let frame = frame::frame(Kind::NoAnswer, &[&number.to_le_bytes()]);
        if !frame.is_some_and(|frame| link.outbox.push(Urgency::Answer, frame)) {
            let key = *key;
            self.cut_full(&[key]);
        }
    }

    /// What another validator said.
    fn heard(&mut self, id: LinkId, heard: Heard) {
        // Of a link that has ended meanwhile nothing is heard any more.
        let Some((key, link)) = self.links.iter().find(|(_, link)| link.id == id) else { return };
        let (key, peer) = (*key, link.peer);
        let event = match heard {
            Heard::Consensus(SignedConsensusMsg::Vote(vote)) | Heard::Liveness(LivenessMsg::Vote(vote)) => {
                NetworkEvent::Vote(peer, vote)
            }
            Heard::Consensus(SignedConsensusMsg::Proposal(proposal)) => NetworkEvent::Proposal(peer, proposal),
            Heard::Liveness(LivenessMsg::PolkaCertificate(certificate)) => {
                NetworkEvent::PolkaCertificate(peer, certificate)
            }
            Heard::Liveness(LivenessMsg::SkipRoundCertificate(certificate)) => {
                NetworkEvent::RoundCertificate(peer, certificate)
            }
            Heard::Part(part) => NetworkEvent::ProposalPart(peer, Some(peer), part),
            Heard::Status(status) => {
                NetworkEvent::Status(peer, Status::new(status.tip_height, status.history_min_height))
            }
            Heard::Question(number, request) => {
                if self.asking.values().filter(|(of, _)| *of == id).count() >= QUESTIONS {
                    return self.cut_full(&[key]);
                }
                let question = InboundRequestId::new(format_args!("{}-{number}", id.0));
                if self.asking.insert(question.clone(), (id, number)).is_some() {
                    // The same number twice: whoever counts like that gets one answer.
                    return;
                }
                NetworkEvent::SyncRequest(question, peer, request)
            }
            Heard::Answer(number, response) if self.asked.get(&number) == Some(&id) => {
                self.asked.remove(&number);
                NetworkEvent::SyncResponse(OutboundRequestId::new(number), peer, Some(response))
            }
            Heard::NoAnswer(number) if self.asked.get(&number) == Some(&id) => {
                self.asked.remove(&number);
                let failed = OutboundFailureReason::Io;
                NetworkEvent::SyncRequestFailed(OutboundRequestId::new(number), peer, failed)
            }
            // To a question that is asked no more.
            Heard::Answer(..) | Heard::NoAnswer(_) => return,
        };
        self.emit(&event);
    }

    /// Somebody has proven a key.
    fn arrived(&mut self, Proven { key, stream }: Proven, dialled: bool) {
        let Some(own) = self.own else { return };
        // Meanwhile the roster may have changed.
        let Some(source) = self.roster.borrow().source_of(&key).filter(|_| key != own) else { return };
        if let Some(old) = self.links.get(&key) {
            let at_once = old.dialled != dialled && old.since.elapsed() < AT_ONCE;
            if at_once && old.dialled == (own < key) {
                return;
            }
            self.cut(&key);
        }
        self.next += 1;
        let (id, outbox) = (LinkId(self.next), Arc::new(Outbox::default()));
        for (urgency, frame) in &self.said {
            // It all fits: what is remembered is less than what may wait.
            let _: bool = outbox.push(*urgency, frame.clone());
        }
        let task = link::run(stream, id, Arc::clone(&outbox), self.heard.clone());
        let task = self.running.spawn(async move { (id, task.await) });
        let (peer, since) = (peer_of(&key), Instant::now());
        self.links.insert(key, Link { id, source, peer, dialled, since, outbox, task });
        debug!(?source, dialled, links = self.links.len(), "linked with a validator");
        self.emit(&NetworkEvent::PeerConnected(peer));
        // That makes the engine say how far it is.
        self.emit(&NetworkEvent::PeerSubscribed(peer, Channel::Sync));
        self.reconcile();
        self.stop_looking();
    }

    fn ended(&mut self, id: LinkId, ended: &Ended) {
        let Some(key) = self.links.iter().find(|(_, link)| link.id == id).map(|(key, _)| *key) else { return };
        if let Some(source) = self.cut(&key)
            && let Some(more) = self.lost.now(Instant::now().into_std())
        {
            info!(more, ?source, why = %ended, "a link with a validator ended; it is made anew");
        }
        self.reconcile();
    }

    /// Ends a link; says whose it was.
    fn cut(&mut self, key: &Key) -> Option<SourceId> {
        let link = self.links.remove(key)?;
        link.task.abort();
        self.asked.retain(|_, of| *of != link.id);
        self.asking.retain(|_, (of, _)| *of != link.id);
        self.emit(&NetworkEvent::PeerDisconnected(link.peer));
        Some(link.source)
    }

    /// The roster is another one: who is in it no more is let go, and who is new is connected to.
    fn renew(&mut self) {
        let roster = Arc::clone(&self.roster.borrow_and_update());
        let gone: Vec<Key> = self.links.keys().filter(|key| roster.source_of(key).is_none()).copied().collect();
        for key in gone {
            if let Some(source) = self.cut(&key) {
                info!(?source, "a link was ended, since its key is no validator's any more");
            }
        }
        self.reconcile();
    }

    fn reconcile(&mut self) {
        let (Some(dials), Some(own)) = (&mut self.dials, self.own) else { return };
        let roster = Arc::clone(&self.roster.borrow());
        let linked = |source: &SourceId| self.links.values().any(|link| link.source == *source);
        let gives_way = |source: &SourceId| roster.greatest_of(source).is_some_and(|key| own > key);
        dials.reconcile(linked, gives_way);
    }

    /// Whether those with a link, and this validator, decide without anybody else.
    fn is_enough(&self) -> bool {
        self.roster.borrow().decide(self.links.keys().chain(&self.own))
    }

    fn look(&mut self) {
        if !self.is_enough()
            && let Some(catch_up) = &mut self.catch_up
        {
            catch_up.look();
        }
    }

    fn stop_looking(&mut self) {
        if self.is_enough() {
            let forgotten: Vec<PeerId> = self.catch_up.iter_mut().flat_map(CatchUp::forget).collect();
            for peer in forgotten {
                self.emit(&NetworkEvent::PeerDisconnected(peer));
            }
        }
    }

    fn learned(&mut self, learned: Learned) {
        match learned {
            Learned::Newest(peer, Some(newest)) if !self.is_enough() => {
                self.emit(&NetworkEvent::Status(peer, Status::new(At(newest), At(1))));
            }
            Learned::Newest(..) => {}
            Learned::Blocks(number, peer, Some(response)) => {
                let Response::ValueResponse(blocks) = &response;
                let last = blocks.end_height().map_or(0, |At(height)| height);
                // The engine has it before the loop lets the height begin.
                self.emit(&NetworkEvent::SyncResponse(number, peer, Some(response)));
                self.brought.send_if_modified(|highest| {
                    let higher = last > *highest;
                    *highest = last.max(*highest);
                    higher
                });
            }
            Learned::Blocks(number, peer, None) => {
                self.emit(&NetworkEvent::SyncRequestFailed(number, peer, OutboundFailureReason::Timeout));
            }
        }
    }
}

async fn next_dial(dials: &mut Option<Dials>) -> (SourceId, Result<Proven, crate::mesh::dial::DialError>) {
    match dials {
        Some(dials) => dials.next().await,
        None => core::future::pending().await,
    }
}

async fn next_learned(catch_up: &mut Option<CatchUp>) -> Learned {
    match catch_up {
        Some(catch_up) => catch_up.next().await,
        None => core::future::pending().await,
    }
}

/// What the engine calls a validator: libp2p's name of its consensus key, the identity multihash of a protobuf with the key's type, Ed25519, and its 32 bytes.
fn peer_of(key: &Key) -> PeerId {
    PeerId::from_bytes(&[&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20][..], key.as_bytes()].concat())
        .expect("36 bytes are an inline key")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
