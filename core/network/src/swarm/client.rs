//! Whoever only asks: wallets and commands.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::{Key, SecretKey};
use libp2p::futures::{FutureExt as _, StreamExt as _};
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId, ProtocolSupport};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::codec::{self, AskCodec};
use super::{QUESTIONS, dialling, key_of, keypair, peer_of, transport};
use crate::message::{Request, Response};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The relay's key is none.
    #[error("the relay's key is no key; the network file or the ledger names it wrongly")]
    Key,
    /// None of the relay's addresses is one.
    #[error("no address of the relay can be used; an address is written /ip4/…/tcp/… or /ip6/…/tcp/…")]
    Address,
    /// Nothing at the relay's addresses.
    #[error("the relay cannot be reached at {0}")]
    Unreachable(String),
    /// Somebody else is at the relay's address.
    #[error("at {0} answers another key than the relay's; nothing was asked")]
    OtherKey(String),
    /// No answer in time. Whether the relay read the question is not known.
    #[error("the relay did not answer in time")]
    TimedOut,
    /// The connection ended before the answer. Whether the relay read the question is not known.
    #[error("the connection to the relay ended before its answer")]
    Closed,
    /// The relay is on another network, or of another version.
    #[error("the relay does not speak this network's protocol")]
    OtherNetwork,
    /// What came is no answer.
    #[error("the relay's answer cannot be read")]
    Protocol(#[source] std::io::Error),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A connection to one relay, under a name that is thrown away with it.
///
/// Nothing runs between questions. A connection that ended meanwhile is made anew, under the same name, with the
/// next question.
pub struct Client {
    swarm: Swarm<request_response::Behaviour<AskCodec>>,
    own: Key,
    relay: Key,
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    patience: Duration,
    /// Answers that came and were not asked for yet.
    came: VecDeque<(Asked, Result<Response, AskError>)>,
}

/// A question that was put, until its answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked(OutboundRequestId);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("relay", &self.relay).finish_non_exhaustive()
    }
}

impl Client {
    /// How many questions may wait for their answers at once: a relay drops what is beyond.
    pub const AT_ONCE: usize = QUESTIONS;

    /// Connects to a relay, by its libp2p key. `timeout` is for this and for each question; relays wait no longer
    /// than 10 seconds.
    ///
    /// # Errors
    /// [`AskError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O.
    pub async fn connect(
        chain: ChainId,
        relay: &Key,
        addresses: &[String],
        timeout: Duration,
    ) -> Result<Self, AskError> {
        let peer = peer_of(relay).ok_or(AskError::Key)?;
        let mut client = Self::idle(&chain, *relay, peer, addresses, timeout)?;
        client.reach(Instant::now() + timeout).await?;
        Ok(client)
    }

    /// Connects to whoever is at one of these addresses: for questions whose answers prove themselves, when the relay's key may be another one by now.
    ///
    /// # Errors
    /// [`AskError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O.
    pub async fn connect_to_anyone(chain: ChainId, addresses: &[String], timeout: Duration) -> Result<Self, AskError> {
        let (nobody, deadline) = (Key::from_bytes([0; 32]), Instant::now() + timeout);
        let mut client = Self::idle(&chain, nobody, PeerId::random(), addresses, timeout)?;
        for address in client.addresses.clone() {
            let dial = DialOpts::unknown_peer_id().address(address).build();
            if client.swarm.dial(dial).is_err() {
                continue;
            }
            loop {
                match client.next(deadline).await.map_err(|_| AskError::Unreachable(client.places()))? {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                        client.relay = key_of(&peer_id).ok_or(AskError::Key)?;
                        client.peer = peer_id;
                        return Ok(client);
                    }
                    SwarmEvent::OutgoingConnectionError { .. } => break,
                    _ => {}
                }
            }
        }
        Err(AskError::Unreachable(client.places()))
    }

    fn idle(
        chain: &ChainId,
        relay: Key,
        peer: PeerId,
        addresses: &[String],
        patience: Duration,
    ) -> Result<Self, AskError> {
        let addresses: Vec<Multiaddr> = addresses.iter().filter_map(|address| address.parse().ok()).collect();
        if addresses.is_empty() {
            return Err(AskError::Address);
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut seed[..]).map_err(|_| AskError::Random)?;
        let own = SecretKey::from_bytes(&seed).public();
        let keypair = keypair(seed);
        // Without an executor, connections live inside of the swarm and go no further than it is driven.
        let config = libp2p::swarm::Config::without_executor().with_idle_connection_timeout(Duration::from_secs(3600));
        let behaviour = codec::behaviour(chain, ProtocolSupport::Outbound);
        let swarm = Swarm::new(transport(dialling(), &keypair), behaviour, keypair.public().to_peer_id(), config);
        Ok(Self { swarm, own, relay, peer, addresses, patience, came: VecDeque::new() })
    }

    /// This client's own key, which the relay knows it by.
    #[must_use]
    pub const fn own_key(&self) -> Key {
        self.own
    }

    /// The relay's libp2p key.
    #[must_use]
    pub const fn relay_key(&self) -> Key {
        self.relay
    }

    /// Asks, and waits for the answer. Answers to what was [put](Self::put) before are passed over.
    ///
    /// # Errors
    /// [`AskError`]. After one, the next question may be asked, or the client thrown away.
    pub async fn ask(&mut self, request: Request) -> Result<Response, AskError> {
        let deadline = Instant::now() + self.patience;
        let asked = self.put_by(request, deadline).await?;
        loop {
            if let (other, answer) = self.answer_by(deadline).await?
                && other == asked
            {
                return answer;
            }
        }
    }

    /// Puts a question and does not wait for its answer, which [`Client::answer`] gives. No more than [`Client::AT_ONCE`] may be without one.
    ///
    /// # Errors
    /// [`AskError`], where the relay cannot be reached any more.
    pub async fn put(&mut self, request: Request) -> Result<Asked, AskError> {
        self.put_by(request, Instant::now() + self.patience).await
    }

    /// The next answer to what was put, in whichever order they come.
    ///
    /// # Errors
    /// [`AskError::TimedOut`] when none comes in time. The error inside is of that question alone.
    pub async fn answer(&mut self) -> Result<(Asked, Result<Response, AskError>), AskError> {
        self.answer_by(Instant::now() + self.patience).await
    }

    async fn put_by(&mut self, request: Request, deadline: Instant) -> Result<Asked, AskError> {
        // Whether the connection has ended since the last question is seen by driving it; answers that came are kept for who waits.
        while let Some(event) = self.swarm.next().now_or_never().flatten() {
            self.came.extend(answered(event));
        }
        if !self.swarm.is_connected(&self.peer) {
            self.reach(deadline).await?;
        }
        Ok(Asked(self.swarm.behaviour_mut().send_request(&self.peer, request)))
    }

    async fn answer_by(&mut self, deadline: Instant) -> Result<(Asked, Result<Response, AskError>), AskError> {
        loop {
            if let Some(answer) = self.came.pop_front() {
                return Ok(answer);
            }
            let event = self.next(deadline).await?;
            self.came.extend(answered(event));
        }
    }

    async fn reach(&mut self, deadline: Instant) -> Result<(), AskError> {
        let dial = DialOpts::peer_id(self.peer).addresses(self.addresses.clone()).build();
        if let Err(error) = self.swarm.dial(dial) {
            return Err(self.not_reached(&error));
        }
        loop {
            match self.next(deadline).await {
                Ok(SwarmEvent::ConnectionEstablished { .. }) => return Ok(()),
                Ok(SwarmEvent::OutgoingConnectionError { error, .. }) => return Err(self.not_reached(&error)),
                Ok(_) => {}
                Err(_) => return Err(AskError::Unreachable(self.places())),
            }
        }
    }

    async fn next(
        &mut self,
        deadline: Instant,
    ) -> Result<SwarmEvent<request_response::Event<Request, Response>>, AskError> {
        timeout_at(deadline, self.swarm.select_next_some()).await.map_err(|_| AskError::TimedOut)
    }

    fn not_reached(&self, error: &DialError) -> AskError {
        match error {
            DialError::WrongPeerId { address, .. } => AskError::OtherKey(address.to_string()),
            _ => AskError::Unreachable(self.places()),
        }
    }

    fn places(&self) -> String {
        self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    }
}

/// The answer that an event of the swarm brings, if it does.
fn answered(
    event: SwarmEvent<request_response::Event<Request, Response>>,
) -> Option<(Asked, Result<Response, AskError>)> {
    use request_response::{Event, Message};
    match event {
        SwarmEvent::Behaviour(Event::Message { message: Message::Response { request_id, response }, .. }) => {
            Some((Asked(request_id), Ok(response)))
        }
        SwarmEvent::Behaviour(Event::OutboundFailure { request_id, error, .. }) => {
            let error = match error {
                OutboundFailure::Timeout => AskError::TimedOut,
                OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => AskError::Closed,
                OutboundFailure::UnsupportedProtocols => AskError::OtherNetwork,
                OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    AskError::Protocol(error)
                }
                OutboundFailure::Io(_) => AskError::Closed,
            };
            Some((Asked(request_id), Err(error)))
        }
        _ => None,
    }
}
