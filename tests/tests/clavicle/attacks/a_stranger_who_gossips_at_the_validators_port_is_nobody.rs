//! A stranger joined the validators' gossip: its garbage filled every log, was blamed on an honest hospital, and what it remembered of PRUNEs took two gigabytes.
//! There is no gossip to join any more: who proves no consensus key is told nothing, and costs nothing.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clavicle_relay::control;
use clavicle_relay::operations::submit::{Submit, Submitted};
use libp2p::futures::StreamExt as _;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, SwarmBuilder, noise, tcp, yamux};

use crate::cluster::{Cluster, HOSPITALS};
use crate::partition::define;

/// The memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Joins what gossip there is, and publishes garbage, until it is time. Says how often somebody let it in.
fn gossip(at: SocketAddr, end: Instant) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let built = SwarmBuilder::with_new_identity().with_tokio();
        let built = built.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap();
        let behaviour = built.with_behaviour(|keypair| {
            let signed = MessageAuthenticity::Signed(keypair.clone());
            gossipsub::Behaviour::<gossipsub::IdentityTransform>::new(signed, gossipsub::Config::default()).unwrap()
        });
        let mut swarm = behaviour.unwrap().build();
        let topics = ["/consensus", "/liveness", "/proposal_parts"].map(IdentTopic::new);
        for topic in &topics {
            swarm.behaviour_mut().subscribe(topic).unwrap();
        }
        let address: Multiaddr = format!("/ip4/{}/tcp/{}", at.ip(), at.port()).parse().unwrap();
        let (mut number, mut let_in) = (0u64, 0);
        let mut dial = tokio::time::interval(Duration::from_millis(100));
        while Instant::now() < end {
            tokio::select! {
                event = swarm.select_next_some() => {
                    let_in += usize::from(matches!(event, SwarmEvent::ConnectionEstablished { .. }));
                }
                _ = dial.tick() => if swarm.connected_peers().next().is_none() {
                    swarm.dial(address.clone()).ok();
                },
                () = tokio::time::sleep(Duration::from_millis(1)) => for topic in &topics {
                    number += 1;
                    swarm.behaviour_mut().publish(topic.clone(), [&number.to_le_bytes()[..], &[0xff; 92]].concat()).ok();
                },
            }
        }
        let_in
    })
}

/// Connects and says nothing, or begins a handshake and does not go on, as often as it can.
fn half_handshakes(at: SocketAddr, end: Instant) -> usize {
    let (mut held, mut count) = (std::collections::VecDeque::new(), 0);
    while Instant::now() < end {
        let Ok(mut stream) = TcpStream::connect_timeout(&at, Duration::from_secs(1)) else { continue };
        count += 1;
        let said: [&[u8]; 3] = [&[], &[0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0x00, 0x3f, 0xfc], &[0xff; 512]];
        stream.write_all(said[count % 3]).ok();
        held.push_back(stream);
        if held.len() > 200 {
            held.pop_front().unwrap().shutdown(Shutdown::Both).ok();
        }
    }
    count
}

#[test]
fn a_stranger_who_gossips_at_the_validators_port_is_nobody() {
    let cluster = Cluster::running();
    let settings = cluster.home(0).settings().unwrap();
    let (at, public) = (settings.listen.consensus, settings.listen.network);
    // The stranger knows how to come in where strangers may.
    assert!(gossip(public, Instant::now() + Duration::from_secs(2)) > 0, "the stranger is none");
    let before: Vec<u64> = (0..4).map(|n| resident(cluster.pid(n))).collect();
    let logged: Vec<usize> = (0..4).map(|n| cluster.log_lines(n)).collect();
    let end = Instant::now() + Duration::from_secs(6);
    let strangers: Vec<_> = [gossip as fn(SocketAddr, Instant) -> usize, gossip, half_handshakes, half_handshakes]
        .into_iter()
        .map(|attack| std::thread::spawn(move || attack(at, end)))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut number, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < end {
        number += 1;
        let (envelope, asked) = (define(&cluster, 0, number), Instant::now());
        let submit = || runtime.block_on(control::ask(&cluster.home(0).socket(), &Submit::of(&envelope)));
        while submit().is_ok_and(|submitted: Submitted| submitted.executed_at.is_none()) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        slowest = slowest.max(asked.elapsed());
    }
    let came: Vec<usize> = strangers.into_iter().map(|stranger| stranger.join().unwrap()).collect();
    println!("{number} decided, the slowest in {slowest:?}; {came:?}");
    assert_eq!(came[..2], [0, 0], "nobody is let in to gossip");
    assert!(came[2..].iter().sum::<usize>() > 100, "nobody came");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    for n in 0..4 {
        let grown = resident(cluster.pid(n)).saturating_sub(before[n]);
        let lines = cluster.log_lines(n) - logged[n];
        println!("{}: {grown} bytes more, {lines} lines more", HOSPITALS[n]);
        assert!(grown < 20 * 1024 * 1024, "{}: {grown} bytes more", HOSPITALS[n]);
        assert!(lines < 20, "{}: {lines} lines more", HOSPITALS[n]);
    }
}
