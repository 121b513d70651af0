//! Who comes in, and how far: relays into the gossip, guests only as far as the questions.
//!
//! Gossipsub has a blacklist, but one on it may still join the mesh and crowd out others, and is remembered for an
//! hour. So a guest's connection has no gossip on it at all, and gossipsub never learns that the guest was there.
//! Whoever connects gets a new name at will, and nothing may stay behind of any: a guest counts by its address, a
//! relay, which has proven its key, by that. Both have their places in the [`Lobby`].
//!
//! A relay has one connection. Gossipsub would take more, but says what it listens to on the first one alone: when that is
//! dead and not known to be, the next one stays silent. So a new connection takes the place of the old one, and gossipsub
//! sees the relay leave and come. When two relays dial each other at the same time, both keep the same connection.

use core::fmt;
use core::time::Duration;
use std::collections::{HashMap, HashSet, VecDeque};
use std::task::{Context, Poll};

use clavicle_admission::Neighbourhood;
use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::derive_prelude::Either;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionError, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId, gossipsub};
use tokio::time::Instant;

use super::gossip::Gossip;
use super::lobby::{Lobby, Number};

/// Connections of one guest.
const MAX_EACH: usize = 4;
/// Two connections that come up within so long were dialled at the same time.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A connection was not let in.
#[derive(Debug)]
enum NotIn {
    /// As many as this guest may have are there.
    Enough,
    /// The relay has one, which stays.
    Other,
    /// Its place was taken by somebody else meanwhile.
    Replaced,
    /// It was dialled as a relay's, and is no relay's any more.
    NoRelay,
}

impl fmt::Display for NotIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enough => "there are as many connections of this key as there may be",
            Self::Other => "the relay has another connection, which stays",
            Self::Replaced => "its place was taken by somebody who has fewer",
            Self::NoRelay => "only relays are dialled, and it is none any more",
        })
    }
}

impl std::error::Error for NotIn {}

/// Gossip, behind a door.
pub(super) struct Door {
    /// What relays join.
    pub(super) gossip: Gossip,
    /// The relays.
    members: HashSet<PeerId>,
    /// Where sockets have their places.
    lobby: Lobby,
    /// The connections that gossipsub knows of.
    inside: HashMap<PeerId, Inside>,
    /// All others.
    guests: Guests,
    /// Connections to be closed.
    closing: VecDeque<(PeerId, ConnectionId)>,
    /// Which of two names comes first decides which of two connections stays.
    own: PeerId,
}

struct Inside {
    connection: ConnectionId,
    /// Known as soon as the connection is let in.
    endpoint: Option<ConnectedPoint>,
    inbound: bool,
    since: Instant,
}

#[derive(Default)]
struct Guests {
    of: HashMap<ConnectionId, Guest>,
    each: HashMap<PeerId, usize>,
}

struct Guest {
    peer: PeerId,
    socket: Number,
    neighbourhood: Neighbourhood,
}

/// On whose account a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// A relay's.
    Relay(PeerId),
    /// Everybody's from there.
    Guests(Neighbourhood),
}

impl Guests {
    fn count(&self, peer: &PeerId) -> usize {
        self.each.get(peer).copied().unwrap_or(0)
    }

    fn enter(&mut self, connection: ConnectionId, guest: Guest) {
        let peer = guest.peer;
        if self.of.insert(connection, guest).is_none() {
            *self.each.entry(peer).or_default() += 1;
        }
    }

    fn leave(&mut self, connection: ConnectionId) {
        let Some(Guest { peer, .. }) = self.of.remove(&connection) else { return };
        match self.each.get_mut(&peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.each.remove(&peer)),
        }
    }
}

impl Door {
    pub(super) fn new(gossip: Gossip, own: PeerId, lobby: Lobby) -> Self {
        Self {
            gossip,
            members: HashSet::new(),
            lobby,
            inside: HashMap::new(),
            guests: Guests::default(),
            closing: VecDeque::new(),
            own,
        }
    }

    /// Says who the relays are. Returns whose connections are to be closed, since they were let in as something else.
    pub(super) fn set_members(&mut self, members: HashSet<PeerId>) -> Vec<PeerId> {
        self.members = members;
        let removed = self.inside.keys().filter(|peer| !self.members.contains(peer));
        let added = self.guests.each.keys().filter(|peer| self.members.contains(peer));
        removed.chain(added).copied().collect()
    }

    /// On whose account something is asked on a connection; nothing when it is gone. Who asks is let go last.
    pub(super) fn asker(&self, peer: PeerId, connection: ConnectionId) -> Option<Asker> {
        if self.is_inside(&peer, connection) {
            return Some(Asker::Relay(peer));
        }
        let guest = self.guests.of.get(&connection)?;
        self.lobby.asked(guest.socket, Instant::now().into_std());
        Some(Asker::Guests(guest.neighbourhood))
    }

    /// Closes a connection.
    pub(super) fn close(&mut self, peer: PeerId, connection: ConnectionId) {
        self.closing.push_back((peer, connection));
    }

    fn let_guest_in(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        (here, there): (&Multiaddr, &Multiaddr),
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if self.guests.count(&peer) >= MAX_EACH {
            return Err(ConnectionDenied::new(NotIn::Enough));
        }
        let entered = self.lobby.guest(here, there, Instant::now().into_std());
        let (socket, neighbourhood) = entered.ok_or_else(|| ConnectionDenied::new(NotIn::Replaced))?;
        self.guests.enter(connection, Guest { peer, socket, neighbourhood });
        Ok(Either::Right(dummy::ConnectionHandler))
    }

    fn let_relay_in(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        inbound: bool,
        join: impl FnOnce(&mut Gossip) -> Result<THandler<Gossip>, ConnectionDenied>,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if let Some(old) = self.inside.get(&peer) {
            let at_once = old.inbound != inbound && old.since.elapsed() < AT_ONCE;
            let old_stays = old.inbound == (peer < self.own);
            if at_once && old_stays {
                return Err(ConnectionDenied::new(NotIn::Other));
            }
            self.closing.push_back((peer, old.connection));
            self.leave(&peer, None);
        }
        let handler = join(&mut self.gossip)?;
        self.inside.insert(peer, Inside { connection, endpoint: None, inbound, since: Instant::now() });
        Ok(Either::Left(handler))
    }

    /// Gossipsub sees the relay leave.
    fn leave(&mut self, peer: &PeerId, cause: Option<&ConnectionError>) {
        let Some(Inside { connection, endpoint: Some(endpoint), .. }) = self.inside.remove(peer) else { return };
        self.gossip.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: *peer,
            connection_id: connection,
            endpoint: &endpoint,
            cause,
            remaining_established: 0,
        }));
    }

    fn is_inside(&self, peer: &PeerId, connection: ConnectionId) -> bool {
        self.inside.get(peer).is_some_and(|inside| inside.connection == connection)
    }
}

/// Nothing that is asked after the door refuses a connection, so that what was counted in is counted out.
impl NetworkBehaviour for Door {
    type ConnectionHandler = Either<THandler<Gossip>, dummy::ConnectionHandler>;
    type ToSwarm = gossipsub::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.members.contains(&peer) {
            return self.let_guest_in(connection, peer, (local, remote));
        }
        if !self.lobby.relay(local, remote) {
            return Err(ConnectionDenied::new(NotIn::Replaced));
        }
        self.let_relay_in(connection, peer, true, |gossip| {
            gossip.handle_established_inbound_connection(connection, peer, local, remote)
        })
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.members.contains(&peer) {
            return Err(ConnectionDenied::new(NotIn::NoRelay));
        }
        self.let_relay_in(connection, peer, false, |gossip| {
            gossip.handle_established_outbound_connection(connection, peer, address, role, port)
        })
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) if self.is_inside(&event.peer_id, event.connection_id) => {
                if let Some(inside) = self.inside.get_mut(&event.peer_id) {
                    inside.endpoint = Some(event.endpoint.clone());
                }
                let event = ConnectionEstablished { other_established: 0, ..event };
                self.gossip.on_swarm_event(FromSwarm::ConnectionEstablished(event));
            }
            FromSwarm::ConnectionClosed(event) if self.is_inside(&event.peer_id, event.connection_id) => {
                self.leave(&event.peer_id, event.cause);
            }
            FromSwarm::ConnectionClosed(event) => self.guests.leave(event.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) if self.is_inside(&peer, connection) => {
                self.gossip.on_connection_handler_event(peer, connection, event);
            }
            // From a connection that is being closed.
            Either::Left(_) => {}
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) });
        }
        self.gossip.poll(cx).map(|event| event.map_in(Either::Left))
    }
}
