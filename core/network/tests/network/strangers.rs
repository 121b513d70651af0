//! Whoever speaks otherwise than a client does.

use std::io;
use std::time::Duration;

use clavicle_ledger::encoding;
use clavicle_network::message::{MAX_REQUEST_LEN, Query, Request, Response};
use libp2p::core::upgrade::Version;
use libp2p::futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, PublishError, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Codec, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, Swarm, Transport as _, noise, tcp, yamux};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::hostile;
use crate::world::{DEADLINE, NEVER, Relay, all_connected, envelope};

const NETWORK: &str = "c1c1c1c1c1c1c1c1";

/// Sends bytes as they are, and reads as many as come.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        _: &mut T,
    ) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.take(1024).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        _: &mut T,
        _: Vec<u8>,
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Dials a relay with another behaviour than ours, and waits for the connection.
async fn stranger<B: NetworkBehaviour>(relay: &Relay, behaviour: B) -> Swarm<B> {
    let keypair = Keypair::ed25519_from_bytes([0xee; 32]).unwrap();
    let transport = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    let mut swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);
    swarm.dial(relay.address.parse::<Multiaddr>().unwrap()).unwrap();
    let connected =
        async { while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {} };
    timeout(DEADLINE, connected).await.unwrap();
    swarm
}

async fn assert_answers(relay: &Relay) {
    let head = relay.client().await.ask(Request::Query(Query::Head)).await.unwrap();
    assert_eq!(head, Response::Head(None));
}

/// Bytes behind a length, which may be another than theirs.
fn announced(len: usize, bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(len).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Asks in its own words; nothing when the stream is ended instead of an answer.
async fn ask(stranger: &mut Swarm<request_response::Behaviour<Raw>>, question: Vec<u8>) -> Vec<u8> {
    use request_response::{Event, Message};
    let peer = *stranger.connected_peers().next().expect("the connection is kept");
    let asked = stranger.behaviour_mut().send_request(&peer, question);
    let answer = async {
        loop {
            match stranger.select_next_some().await {
                SwarmEvent::Behaviour(Event::Message {
                    message: Message::Response { request_id, response }, ..
                }) if request_id == asked => {
                    return response;
                }
                SwarmEvent::Behaviour(Event::OutboundFailure { request_id, .. }) if request_id == asked => {
                    return Vec::new();
                }
                _ => {}
            }
        }
    };
    timeout(DEADLINE, answer).await.unwrap()
}

/// Whoever asks in its own words.
async fn raw(relay: &Relay) -> Swarm<request_response::Behaviour<Raw>> {
    let protocol = StreamProtocol::try_from_owned(format!("/clavicle/{NETWORK}/ask/2")).unwrap();
    let protocols = [(protocol, ProtocolSupport::Outbound)];
    stranger(relay, request_response::Behaviour::with_codec(Raw, protocols, request_response::Config::default())).await
}

/// A thousand questions that no honest wallet asks, in the long size a hundred thousand.
#[tokio::test(flavor = "multi_thread")]
async fn fuzz_questions() {
    let relay = Relay::start(1, NEVER).await;
    let mut stranger = raw(&relay).await;
    let questions = [Request::Query(Query::Changes { after: 7 }), Request::Query(Query::Blocks { from: 1, offset: 9 })];
    let questions = questions.each_ref().map(encoding::encode).map(|bytes| announced(bytes.len(), &bytes));
    let mut answered = 0;
    for round in 0..hostile::rounds().min(100_000) {
        let said = hostile::said("question", &questions, round);
        answered += usize::from(!ask(&mut stranger, said).await.is_empty());
    }
    assert!(answered > 0, "nothing was so well said that it is answered");
    assert!(hostile::peak_kib("self") < 512 * 1024);
    assert_answers(&relay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_none_get_no_answer_and_do_no_harm() {
    let relay = Relay::start(1, NEVER).await;
    let mut stranger = raw(&relay).await;
    let questions = [
        vec![],
        vec![0, 0],
        announced(0, &[]),
        announced(u32::MAX as usize, &[7; 1000]),
        announced(MAX_REQUEST_LEN + 1, &[7; 1000]),
        announced(MAX_REQUEST_LEN, &[7; 1000]),
        announced(1000, &[0xff; 1000]),
        // The head is asked for, and something follows.
        announced(3, &[1, 0, 0]),
    ];
    for question in questions {
        assert_eq!(ask(&mut stranger, question.clone()).await, Vec::<u8>::new(), "to {} bytes", question.len());
    }
    // Well said, it is answered: the head, of which there is none yet.
    assert_eq!(ask(&mut stranger, announced(2, &[1, 0])).await, announced(2, &[1, 0]));
    assert_answers(&relay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_handshake_do_no_harm() {
    let relay = Relay::start(1, NEVER).await;
    let port: u16 = relay.address.rsplit('/').next().unwrap().parse().unwrap();
    let mut open = Vec::new();
    for n in 0..50_u8 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // It may be closed before all is written.
        let _: io::Result<()> = stream.write_all(&[n; 10_000]).await;
        open.push(stream);
    }
    assert_answers(&relay).await;
    for mut stream in open {
        let mut answer = Vec::new();
        // Closed or reset.
        let _: io::Result<usize> = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.len() < 100, "no more than the name of the protocol");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_in_no_gossip() {
    let relays = all_connected(2, NEVER).await;
    let config = gossipsub::ConfigBuilder::default().validation_mode(ValidationMode::Anonymous).build().unwrap();
    let mut gossip =
        gossipsub::Behaviour::<gossipsub::IdentityTransform>::new(MessageAuthenticity::Anonymous, config).unwrap();
    let topic = IdentTopic::new(format!("/clavicle/{NETWORK}/tx/1"));
    gossip.subscribe(&topic).unwrap();
    let mut stranger = stranger(&relays[0], gossip).await;
    let peer = *stranger.connected_peers().next().unwrap();
    let refused = async {
        loop {
            match stranger.select_next_some().await {
                SwarmEvent::Behaviour(gossipsub::Event::GossipsubNotSupported { peer_id }) => return peer_id,
                SwarmEvent::Behaviour(event) => panic!("{event:?}"),
                _ => {}
            }
        }
    };
    assert_eq!(timeout(DEADLINE, refused).await.unwrap(), peer);
    let (theirs, bytes) = envelope(1);
    let published = stranger.behaviour_mut().publish(topic, bytes);
    assert!(matches!(published, Err(PublishError::NoPeersSubscribedToTopic)), "{published:?}");
    // Gossip among relays goes on.
    let (ours, bytes) = envelope(2);
    relays[0].node.publish(bytes);
    relays[1].desk.until("the relay's own", |desk| desk.has(&ours)).await;
    assert!(!relays.iter().any(|relay| relay.desk.has(&theirs)));
}
