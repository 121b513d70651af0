//! Whom a relay connects to follows the ledger while it runs.

use std::sync::Arc;
use std::time::Duration;

use clavicle_ledger::action::{Content, DefineSource, Vote};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::{Candidate, GenesisSource};
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::source::{Addresses, Announcement};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_network::message::{Request, Response};
use clavicle_network::swarm::{Config, Desk, Node, Peer, Received};
use clavicle_relay::directory::Relays;
use clavicle_relay::journal::{self, Reaction};
use clavicle_relay::service::Service;
use clavicle_relay::tasks::Tasks;
use tokio::time::timeout;

use crate::chain::{self, next_block, secret};
use crate::clocks::Hospital;

/// Longer than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has nothing to say.
struct Silent;

impl Desk for Silent {
    fn receive(&self, _: &[u8]) -> Received {
        Received::Ignore
    }

    fn answer(&self, _: Key, _: Request) -> Response {
        Response::Unavailable
    }

    fn waiting(&self) -> Vec<EnvelopeHash> {
        Vec::new()
    }

    fn envelope(&self, _: &EnvelopeHash) -> Option<Vec<u8>> {
        None
    }
}

/// The node of hospital `n`, which knows these relays.
fn node(service: &Service, n: usize, peers: Vec<Peer>) -> Node {
    let config = Config {
        chain: service.member.chain,
        seed: secret(&format!("network {n}")).seed(),
        listen: "/ip4/127.0.0.1/tcp/0".into(),
        peers,
        reconcile_every: Duration::from_secs(3_600),
    };
    Node::start(config, Arc::new(Silent)).unwrap()
}

/// What hospital `n` says of itself, with its public port there.
fn announcement(n: usize, at: &str) -> Announcement {
    let libp2p = Ascending::from_items(vec![Text::new(at).unwrap()]).unwrap();
    Announcement { addresses: Addresses { libp2p, ..Addresses::default() }, ..chain::announcement(n) }
}

/// All keys of hospital `n`.
fn keys(n: usize) -> [SecretKey; 5] {
    ["identity", "operational", "consensus", "transfer", "network"].map(|role| secret(&format!("{role} {n}")))
}

/// A block with these actions, each signed by these keys, comes onto the relay's chain.
fn happens(service: &Service, actions: Vec<(Action, Vec<SecretKey>)>) {
    let (head, chain) = (service.store.head().unwrap(), service.member.chain);
    let envelopes = (0u8..).zip(actions).map(|(number, (action, keys))| {
        let body = Body { submit_by: head.time.timestamp().plus(60_000), nonce: [number; 16], action };
        body.sign(&chain, &keys.iter().collect::<Vec<_>>()).unwrap().check_stateless(&chain).unwrap()
    });
    let last = service.store.certified(head.height).unwrap().map(|certified| certified.certificate);
    let (block, certificate, applied) =
        next_block(&service.store.snapshot().unwrap(), &head, last, envelopes.collect());
    service.store.commit(&block, &certificate, &applied).unwrap();
}

/// Waits until the relay gossips with hospital `n`, which does not know where that relay is.
async fn gossips_with(node: &Node, n: usize) {
    let key = secret(&format!("network {n}")).public();
    let mut gossiping = node.gossiping();
    timeout(PATIENCE, gossiping.wait_for(|relays| relays.contains(&key))).await.expect("it is dialled").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_moves_or_is_let_in_is_dialled_where_the_ledger_says_it_is() {
    let mercy = Hospital::number(0);
    let service = &mercy.service;
    let own = node(service, 0, Vec::new());
    let tasks = Tasks::new();
    let relays: Vec<Box<dyn Reaction>> = vec![Box::new(Relays::new(own.directory()))];
    tasks.start("journal", |stop| journal::run(service.clone(), relays, stop));
    let waits = || vec![Peer { key: secret("network 0").public(), addresses: Vec::new() }];

    // One that was at no address announces one.
    let harbor = node(service, 3, waits());
    let there = announcement(3, &harbor.address().await.unwrap());
    let defined = DefineSource { identity: secret("identity 3").public(), version: 1, announcement: there };
    happens(service, vec![(Action::DefineSource(defined), keys(3).into())]);
    gossips_with(&own, 3).await;

    // It is somewhere else by now, and says so.
    harbor.stop().await.unwrap();
    let harbor = node(service, 3, waits());
    let there = announcement(3, &harbor.address().await.unwrap());
    let defined = DefineSource { identity: secret("identity 3").public(), version: 2, announcement: there };
    happens(service, vec![(Action::DefineSource(defined), keys(3).into())]);
    gossips_with(&own, 3).await;

    // A fifth is let in.
    let fifth = node(service, 4, waits());
    let there = announcement(4, &fifth.address().await.unwrap());
    let asks = GenesisSource { identity: secret("identity 4").public(), announcement: there };
    let candidate = Candidate::sign(asks, &keys(4).each_ref()).unwrap();
    let vote = |n: usize| {
        let voter = secret(&format!("operational {n}"));
        let content = Content::Admit(Box::new(candidate.clone()));
        (Action::Vote(Vote { voter: voter.public(), content }), vec![voter])
    };
    happens(service, (0..3).map(vote).collect());
    gossips_with(&own, 4).await;

    tasks.stop().await.unwrap();
    for node in [own, harbor, fifth] {
        node.stop().await.unwrap();
    }
}
