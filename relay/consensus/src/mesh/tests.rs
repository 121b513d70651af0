//! Meshes without an engine: who is let in, and what a link begins with.

use core::time::Duration;
use std::net::SocketAddr;

use arc_malachitebft_app_channel::app::consensus::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::engine::network::{NetworkEvent, NetworkMsg, Subscriber};
use arc_malachitebft_app_channel::app::engine::util::output_port::{OutputPort, OutputPortSubscriberTrait};
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_core_types::{NilOrVal, Round, SignedMessage};
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::key::Signature;
use clavicle_ledger::validators::{Validator, ValidatorSet};
use clavicle_ledger::vote::VoteKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::*;
use crate::application::Neighbour;
use crate::context::{Address, Sig, Vote};

const CHAIN: ChainId = ChainId::from_bytes([7; 32]);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn key(place: u8) -> SecretKey {
    SecretKey::from_bytes(&[place; 32])
}

fn source(place: u8) -> SourceId {
    SourceId::from_bytes([place; 32])
}

/// These validators, each with as much power, and where they listen.
fn roster(all: &[(u8, SocketAddr)]) -> Arc<Roster> {
    let validator =
        |(place, _): &(u8, SocketAddr)| Validator { source: source(*place), key: key(*place).public(), power: 1 };
    let set = ValidatorSet { validators: Ascending::from_items(all.iter().map(validator).collect()).unwrap() };
    let neighbour = |(place, at): &(u8, SocketAddr)| Neighbour {
        source: source(*place),
        addresses: vec![format!("/ip4/{}/tcp/{}", at.ip(), at.port())],
        upcoming: None,
    };
    Arc::new(Roster::new(&set, all.iter().map(neighbour).collect()))
}

/// A mesh, what the engine would hear of it, and where it listens.
struct Node {
    mesh: Mesh,
    events: mpsc::Receiver<NetworkEvent<Network>>,
    at: SocketAddr,
}

struct Ear(mpsc::Sender<NetworkEvent<Network>>);

impl Subscriber<NetworkEvent<Network>> for Ear {
    fn send(&self, event: NetworkEvent<Network>) {
        self.0.try_send(event).unwrap();
    }
}

impl OutputPortSubscriberTrait<NetworkEvent<Network>> for Ear {
    fn subscribe_to_port(&self, _: &OutputPort<NetworkEvent<Network>>) {
        unreachable!("the mesh sends by itself")
    }
}

async fn node(place: u8) -> Node {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mesh = start(Start {
        chain: CHAIN,
        source: source(place),
        listen: "/ip4/127.0.0.1/tcp/1".parse().unwrap(),
        own: Some(Own { key: key(place), listener }),
        elsewhere: None,
        look_every: Duration::from_secs(1),
    });
    let mesh = mesh.await.unwrap();
    let (ear, events) = mpsc::channel(10_000);
    mesh.actor.cast(NetworkMsg::Subscribe(Box::new(Ear(ear)))).unwrap();
    Node { mesh, events, at }
}

impl Node {
    /// Waits for something.
    async fn hears(&mut self, what: &str, is: impl Fn(&NetworkEvent<Network>) -> bool) {
        let heard = async { while !is(&self.events.recv().await.unwrap()) {} };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("in vain: {what}"));
    }

    async fn linked(&mut self, place: u8) {
        let peer = peer_of(&key(place).public());
        self.hears("a link", |event| matches!(event, NetworkEvent::PeerConnected(other) if *other == peer)).await;
    }

    async fn parted(&mut self, place: u8) {
        let peer = peer_of(&key(place).public());
        self.hears("a link's end", |event| matches!(event, NetworkEvent::PeerDisconnected(other) if *other == peer))
            .await;
    }

    fn says(&self, round: u32) {
        let vote = SignedConsensusMsg::Vote(vote(round));
        self.mesh.actor.cast(NetworkMsg::PublishConsensusMsg(vote)).unwrap();
    }

    async fn hears_vote(&mut self, from: u8, round: u32) {
        let peer = peer_of(&key(from).public());
        let is = |event: &NetworkEvent<Network>| matches!(event, NetworkEvent::Vote(other, vote) if *other == peer && vote.message.round == Round::new(round));
        self.hears("a vote", is).await;
    }
}

fn vote(round: u32) -> SignedMessage<Network, Vote> {
    let message = Vote {
        kind: VoteKind::Prevote,
        height: At(1),
        round: Round::new(round),
        block: NilOrVal::Nil,
        validator: Address(source(1)),
    };
    SignedMessage::new(message, Sig(Signature::from_bytes([1; 64])))
}

/// Somebody with a key who connects by hand.
async fn connect(to: SocketAddr, place: u8, knows: &Arc<Roster>) -> std::io::Result<Proven> {
    let (_keep, roster) = watch::channel(Arc::clone(knows));
    let proof = Proof::new(&CHAIN, key(place), roster);
    let stream = TcpStream::connect(to).await?;
    proof.connect(stream).await
}

/// What it is told first; an error when it is not let in.
async fn first(proven: std::io::Result<Proven>) -> std::io::Result<Kind> {
    let mut stream = proven?.stream;
    let read = timeout(PATIENCE, frame::read(&mut stream, PATIENCE)).await.unwrap();
    read.map(|(kind, _)| kind).map_err(|_| std::io::ErrorKind::ConnectionAborted.into())
}

#[tokio::test]
async fn validators_have_a_link_and_hear_each_other_whoever_began_it() {
    let (mut one, mut two) = (node(1).await, node(2).await);
    let all = roster(&[(1, one.at), (2, two.at)]);
    one.mesh.roster.send_replace(Arc::clone(&all));
    two.mesh.roster.send_replace(all);
    one.linked(2).await;
    two.linked(1).await;
    one.says(1);
    two.hears_vote(1, 1).await;
    two.says(2);
    one.hears_vote(2, 2).await;
}

#[tokio::test]
async fn a_link_begins_with_what_was_said_at_this_height_and_not_at_the_one_before() {
    let (mut one, mut two) = (node(1).await, node(2).await);
    one.says(1);
    one.mesh.actor.cast(NetworkMsg::UpdateValidatorSet(crate::context::Members::new(&set(2)).unwrap())).unwrap();
    one.says(2);
    one.says(3);
    let all = roster(&[(1, one.at), (2, two.at)]);
    one.mesh.roster.send_replace(Arc::clone(&all));
    two.mesh.roster.send_replace(all);
    one.linked(2).await;
    let mut rounds = Vec::new();
    while rounds.len() < 2 {
        if let NetworkEvent::Vote(_, vote) = timeout(PATIENCE, two.events.recv()).await.unwrap().unwrap() {
            rounds.push(vote.message.round);
        }
    }
    assert_eq!(rounds, [Round::new(2), Round::new(3)]);
}

fn set(count: u8) -> ValidatorSet {
    let validator = |place| Validator { source: source(place), key: key(place).public(), power: 1 };
    ValidatorSet { validators: Ascending::from_items((1..=count).map(validator).collect()).unwrap() }
}

#[tokio::test]
async fn who_has_no_key_of_the_roster_is_told_nothing_and_asks_in_vain() {
    let one = node(1).await;
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    one.mesh.roster.send_replace(roster(&[(1, one.at), (2, nobody)]));
    let knows = roster(&[(1, one.at), (2, nobody), (3, nobody)]);
    assert_eq!(first(connect(one.at, 2, &knows).await).await.unwrap(), Kind::Alive);
    // A key that nobody knows, and the own one: whoever has that is no other validator.
    assert!(first(connect(one.at, 3, &knows).await).await.is_err());
    assert!(first(connect(one.at, 1, &roster(&[(1, nobody)])).await).await.is_err());
    // And a validator tells nobody else anything: it does not even prove its own key to a stranger that poses as one.
    assert!(connect(one.at, 2, &roster(&[(2, nobody)])).await.is_err(), "it is none that this one knows");
}

#[tokio::test]
async fn a_key_that_is_no_validators_any_more_is_let_go_and_a_new_one_let_in_without_a_restart() {
    let (mut one, mut two) = (node(1).await, node(2).await);
    let all = roster(&[(1, one.at), (2, two.at)]);
    one.mesh.roster.send_replace(Arc::clone(&all));
    two.mesh.roster.send_replace(Arc::clone(&all));
    one.linked(2).await;
    // The second one's key is another by now: who still has the old one is let go, and stays out.
    one.mesh.roster.send_replace(roster(&[(1, one.at), (3, two.at)]));
    one.parted(2).await;
    assert!(first(connect(one.at, 2, &all).await).await.is_err());
    let knows = roster(&[(1, one.at), (3, two.at)]);
    assert_eq!(first(connect(one.at, 3, &knows).await).await.unwrap(), Kind::Alive);
    one.mesh.roster.send_replace(all);
    one.linked(2).await;
    two.linked(1).await;
}

#[tokio::test]
async fn a_new_connection_takes_the_place_of_one_with_the_same_key() {
    let one = node(1).await;
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let knows = roster(&[(1, one.at), (2, nobody)]);
    one.mesh.roster.send_replace(Arc::clone(&knows));
    let mut old = connect(one.at, 2, &knows).await.unwrap().stream;
    assert_eq!(frame::read(&mut old, PATIENCE).await.unwrap().0, Kind::Alive);
    let mut new = connect(one.at, 2, &knows).await.unwrap().stream;
    assert_eq!(frame::read(&mut new, PATIENCE).await.unwrap().0, Kind::Alive);
    let ended = async { while frame::read(&mut old, PATIENCE).await.is_ok() {} };
    timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(frame::read(&mut new, PATIENCE).await.unwrap().0, Kind::Alive);
}

#[tokio::test]
async fn whoever_sends_what_is_no_message_is_let_go_and_nobody_else_is() {
    let mut one = node(1).await;
    let mut two = node(2).await;
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let knows = roster(&[(1, one.at), (2, two.at), (3, nobody)]);
    one.mesh.roster.send_replace(Arc::clone(&knows));
    two.mesh.roster.send_replace(Arc::clone(&knows));
    one.linked(2).await;
    for garbage in [&[1, 4, 0, 0, 0, 9, 9, 9, 9][..], &[1, 0xff, 0xff, 0xff, 0xff], &[0x13; 100]] {
        let mut liar = connect(one.at, 3, &knows).await.unwrap().stream;
        one.linked(3).await;
        liar.write_all(garbage).await.unwrap();
        // It goes on saying that it is there: its silence is not what ends the link.
        let alive = async {
            while liar.write_all(&frame::frame(Kind::Alive, &[]).unwrap()).await.is_ok() && liar.flush().await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
            core::future::pending::<()>().await;
        };
        tokio::select! {
            () = one.parted(3) => {}
            () = alive => {}
        }
        one.says(1);
        two.hears_vote(1, 1).await;
    }
}

/// Resident memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Whether they come from where nobody is said to listen, or from where a validator is.
#[tokio::test]
async fn of_those_who_say_nothing_few_are_waited_for_and_none_for_long() {
    const CAME: usize = 200;
    const WAITED_FOR: usize = 64;
    let one = node(1).await;
    one.mesh.roster.send_replace(roster(&[(1, one.at), (2, "127.0.0.1:9".parse().unwrap())]));
    for from in [[127, 0, 3, 9], [127, 0, 0, 1]] {
        let (mut silent, at) = (JoinSet::new(), one.at);
        for _ in 0..CAME {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from((from, 0))).unwrap();
            let mut stream = socket.connect(at).await.unwrap();
            silent.spawn(async move { timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.map(drop) });
        }
        let came = Instant::now();
        for _ in 0..CAME - WAITED_FOR {
            silent.join_next().await.unwrap().unwrap().unwrap();
        }
        assert!(came.elapsed() < door::PATIENCE, "{:?}", came.elapsed());
        for ended in silent.join_all().await {
            ended.unwrap();
        }
        assert!(came.elapsed() < door::PATIENCE * 2, "{:?}", came.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_at_the_validators_port_get_no_memory_and_keep_nobody_waiting() {
    const LATEST: Duration = Duration::from_millis(900);
    let (mut one, mut two) = (node(1).await, node(2).await);
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let all = roster(&[(1, one.at), (2, two.at), (3, nobody)]);
    one.mesh.roster.send_replace(Arc::clone(&all));
    two.mesh.roster.send_replace(Arc::clone(&all));
    one.linked(2).await;
    two.linked(1).await;
    let before = resident();
    let (at, mut floods) = (one.at, JoinSet::new());
    for flood in 0..8u8 {
        floods.spawn(async move {
            let mut silent = std::collections::VecDeque::new();
            for number in 0u32.. {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.bind(SocketAddr::from(([127, 0, 3, flood], 0))).unwrap();
                let Ok(mut stream) = socket.connect(at).await else { continue };
                let said: &[u8] = match number % 5 {
                    // What libp2p begins with, a TLS record that is longer than one may be, half a ClientHello, and nothing.
                    0 => b"\x13/multistream/1.0.0\n\x07/noise\n",
                    1 => &[0x16, 0x03, 0x01, 0xff, 0xff, 0x01, 0x00, 0xff, 0xff],
                    2 => &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03],
                    3 => &[0; 4096],
                    _ => &[],
                };
                stream.write_all(said).await.ok();
                silent.push_back(stream);
                if silent.len() > 100 {
                    let mut rest = [0; 64];
                    let mut oldest = silent.pop_front().unwrap();
                    // Whatever it is told, it is no message.
                    timeout(Duration::from_millis(1), oldest.read(&mut rest)).await.ok();
                }
            }
        });
    }
    let end = Instant::now() + Duration::from_secs(4);
    let (mut round, mut slowest) = (10, Duration::ZERO);
    while Instant::now() < end {
        let said = Instant::now();
        one.says(round);
        two.hears_vote(1, round).await;
        slowest = slowest.max(said.elapsed());
        round += 1;
    }
    // Nor does anybody stay out that has a key, from where strangers come.
    let come = Instant::now();
    assert_eq!(first(connect(one.at, 3, &all).await).await.unwrap(), Kind::Alive);
    println!("{round} votes, the slowest after {slowest:?}; let in after {:?}", come.elapsed());
    assert!(slowest < LATEST, "{slowest:?}");
    floods.shutdown().await;
    let grown = resident().saturating_sub(before);
    println!("memory grew by {grown} bytes");
    assert!(grown < 20 * 1024 * 1024, "{grown} bytes more");
    // The link is the one that there was.
    while let Ok(event) = one.events.try_recv() {
        let other = |peer: &PeerId| *peer == peer_of(&key(2).public());
        assert!(!matches!(&event, NetworkEvent::PeerDisconnected(peer) if other(peer)), "{event:?}");
    }
}
