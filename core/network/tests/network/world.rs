//! Relays with a desk in memory, and how to wait for what happens there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use clavicle_admission::Neighbourhood;
use clavicle_ledger::action::{Revoke, Veto};
use clavicle_ledger::confirm::Newest;
use clavicle_ledger::encoding::{decode, encode};
use clavicle_ledger::id::{BlockId, ChainId, EnvelopeHash, GrantId, SourceId, StudyId, TxId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_network::message::{List, MailboxRequest, MailboxResponse, Query, Request, Response, Verdict};
use clavicle_network::swarm::{Client, Config, Desk, Node, Peer, Received};
use tokio::sync::watch;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The network of every test.
pub const CHAIN: ChainId = ChainId::from_bytes([0xc1; 32]);
/// Nothing here takes longer.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// What reconciles within a test does so at once; what does not, never.
pub const NEVER: Duration = Duration::from_secs(3600);

/// A transaction with sound signatures, and no revocation.
pub fn envelope(nonce: u32) -> (EnvelopeHash, Vec<u8>) {
    signed_on(&CHAIN, nonce, veto())
}

/// A revocation with a sound signature.
pub fn revocation(nonce: u32) -> Vec<u8> {
    signed_on(&CHAIN, nonce, revoke()).1
}

/// A transaction that is unsound on this network.
pub fn unsound(nonce: u32) -> Vec<u8> {
    signed_on(&ChainId::from_bytes([0xff; 32]), nonce, veto()).1
}

/// A revocation that is unsound on this network.
pub fn unsound_revocation(nonce: u32) -> Vec<u8> {
    signed_on(&ChainId::from_bytes([0xff; 32]), nonce, revoke()).1
}

fn holder() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn veto() -> Action {
    let (study, recovery) = (StudyId::from_bytes([2; 32]), TxId::from_bytes([3; 32]));
    Action::Veto(Veto { study, holder: holder().public(), recovery })
}

fn revoke() -> Action {
    let (study, grant) = (StudyId::from_bytes([2; 32]), GrantId::from_bytes([3; 32]));
    Action::Revoke(Revoke { study, revoker: holder().public(), grant, grant_submit_by: Timestamp(0) })
}

fn signed_on(chain: &ChainId, nonce: u32, action: Action) -> (EnvelopeHash, Vec<u8>) {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&nonce.to_be_bytes());
    let body = Body { submit_by: Timestamp(1), nonce: bytes, action };
    let envelope = body.sign(chain, &[&holder()]).unwrap();
    (envelope.hash(), encode(&envelope))
}

/// Takes in everything that is sound, and counts.
#[derive(Default)]
pub struct Memory {
    waiting: Mutex<BTreeMap<EnvelopeHash, Vec<u8>>>,
    rejected: AtomicUsize,
    changes: watch::Sender<()>,
    /// Answers to Submit, but of revocations, wait while this says so.
    held: Mutex<bool>,
    released: Condvar,
    held_up: AtomicUsize,
    /// What is gossiped waits while this says so.
    gossip_held: Mutex<bool>,
    gossip_released: Condvar,
    /// Revocations that it was given.
    pub revoked: AtomicUsize,
    /// Mailboxes in which something lies.
    mail: Mutex<BTreeSet<Key>>,
}

impl Memory {
    pub fn put(&self, (hash, bytes): (EnvelopeHash, Vec<u8>)) {
        self.waiting.lock().unwrap().insert(hash, bytes);
    }

    pub fn has(&self, hash: &EnvelopeHash) -> bool {
        self.waiting.lock().unwrap().contains_key(hash)
    }

    pub fn len(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    pub fn rejected(&self) -> usize {
        self.rejected.load(Ordering::SeqCst)
    }

    /// How many answers wait for [`Memory::hold`] to end.
    pub fn held_up(&self) -> usize {
        self.held_up.load(Ordering::SeqCst)
    }

    /// Lets answers wait, until what it returns is dropped: also when a test fails, which would not end otherwise.
    pub fn hold(&self) -> Hold<'_> {
        *self.held.lock().unwrap() = true;
        Hold(self)
    }

    /// Whether what is gossiped is held up from now on.
    pub fn hold_gossip(&self, hold: bool) {
        *self.gossip_held.lock().unwrap() = hold;
        self.gossip_released.notify_all();
    }

    /// Waits until `done`.
    pub async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let mut changes = self.changes.subscribe();
        let wait = async {
            while !done(self) {
                changes.changed().await.unwrap();
            }
        };
        timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("in vain: {what}"));
    }
}

/// Answers wait as long as there is this.
pub struct Hold<'a>(&'a Memory);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap() = false;
        self.0.released.notify_all();
    }
}

impl Desk for Memory {
    fn receive(&self, bytes: &[u8]) -> Received {
        let held = self.gossip_held.lock().unwrap();
        if *held {
            self.held_up.fetch_add(1, Ordering::SeqCst);
            self.changes.send_replace(());
        }
        // Not for ever: a test that failed ends too.
        drop(self.gossip_released.wait_timeout_while(held, DEADLINE, |held| *held).unwrap());
        let sound = decode::<Envelope>(bytes).ok().and_then(|envelope| envelope.check_stateless(&CHAIN).ok());
        let received = match sound {
            None => {
                self.rejected.fetch_add(1, Ordering::SeqCst);
                Received::Reject
            }
            Some(sound) => match self.waiting.lock().unwrap().insert(sound.hash(), bytes.to_vec()) {
                None => Received::Accept,
                Some(_) => Received::Ignore,
            },
        };
        self.changes.send_replace(());
        received
    }

    fn answer(&self, _: Key, request: Request) -> Response {
        match request {
            Request::Query(Query::Head) => Response::Head(None),
            Request::Submit(envelope) if matches!(envelope.body.action, Action::Revoke(_)) => {
                self.revoked.fetch_add(1, Ordering::SeqCst);
                Response::Verdict(Verdict::Waits)
            }
            Request::Submit(_) => {
                self.held_up.fetch_add(1, Ordering::SeqCst);
                self.changes.send_replace(());
                let held = self.held.lock().unwrap();
                drop(self.released.wait_while(held, |held| *held).unwrap());
                Response::Verdict(Verdict::Waits)
            }
            Request::Query(Query::Newest(inquiry)) => {
                let (by, block) = (SourceId::from_bytes([4; 32]), BlockId::from_bytes([5; 32]));
                let newest = Newest { inquiry, by, height: 6, block, at: Timestamp(7) };
                Response::Newest(Box::new(newest.sign(&CHAIN, &SecretKey::from_bytes(&[1; 32]))))
            }
            _ => Response::Unavailable,
        }
    }

    fn mailbox(&self, _: Key, _: Neighbourhood, request: MailboxRequest) -> Response {
        let mut mail = self.mail.lock().unwrap();
        Response::Mailbox(match request {
            MailboxRequest::Deposit { mailbox, .. } => {
                mail.insert(mailbox);
                MailboxResponse::Done
            }
            MailboxRequest::Wait(signed) if mail.contains(&signed.collection.mailbox) => MailboxResponse::Done,
            _ => MailboxResponse::Messages(List::of([])),
        })
    }

    fn waiting(&self) -> Vec<EnvelopeHash> {
        self.waiting.lock().unwrap().keys().copied().collect()
    }

    fn envelope(&self, hash: &EnvelopeHash) -> Option<Vec<u8>> {
        self.waiting.lock().unwrap().get(hash).cloned()
    }
}

/// A relay.
pub struct Relay {
    seed: [u8; 32],
    pub node: Node,
    pub desk: Arc<Memory>,
    pub address: String,
    reconcile_every: Duration,
}

impl Relay {
    pub async fn start(seed: u8, reconcile_every: Duration) -> Self {
        Self::start_at([seed; 32], "/ip4/127.0.0.1/tcp/0".into(), Arc::default(), reconcile_every, Vec::new()).await
    }

    async fn start_at(
        seed: [u8; 32],
        listen: String,
        desk: Arc<Memory>,
        reconcile_every: Duration,
        peers: Vec<Peer>,
    ) -> Self {
        let config = Config { chain: CHAIN, seed: Zeroizing::new(seed), listen, peers, reconcile_every };
        let node = Node::start(config, Arc::clone(&desk) as Arc<dyn Desk>).unwrap();
        let address = timeout(DEADLINE, node.address()).await.unwrap().unwrap();
        Self { seed, node, desk, address, reconcile_every }
    }

    /// Stops it.
    pub async fn stop(self) -> Stopped {
        let Self { seed, node, desk, address, reconcile_every } = self;
        timeout(DEADLINE, node.stop()).await.unwrap().unwrap();
        assert_eq!(Arc::strong_count(&desk), 1, "the node gave up its desk");
        Stopped { seed, desk, address, reconcile_every }
    }

    pub fn key(&self) -> Key {
        SecretKey::from_bytes(&self.seed).public()
    }

    pub fn peer(&self) -> Peer {
        Peer { key: self.key(), addresses: vec![self.address.clone()] }
    }

    /// Waits until it gossips with exactly so many.
    pub async fn gossips_with(&self, count: usize) {
        let mut gossiping = self.node.gossiping();
        timeout(DEADLINE, gossiping.wait_for(|relays| relays.len() == count)).await.expect("gossip").unwrap();
    }

    pub async fn client(&self) -> Client {
        let addresses = [self.address.clone()];
        Client::connect(CHAIN, &self.key(), &addresses, DEADLINE).await.unwrap()
    }
}

/// A relay that is down.
pub struct Stopped {
    seed: [u8; 32],
    pub desk: Arc<Memory>,
    address: String,
    reconcile_every: Duration,
}

impl Stopped {
    /// Starts it again where it was.
    pub async fn start(self, peers: Vec<Peer>) -> Relay {
        let Self { seed, desk, address, reconcile_every } = self;
        Relay::start_at(seed, address, desk, reconcile_every, peers).await
    }
}

/// Relays that all know each other.
pub async fn all_connected(count: u8, reconcile_every: Duration) -> Vec<Relay> {
    let mut relays = Vec::new();
    for n in 0..count {
        relays.push(Relay::start(10 + n, reconcile_every).await);
    }
    let peers: Vec<Peer> = relays.iter().map(Relay::peer).collect();
    for relay in &relays {
        relay.node.set_peers(peers.clone());
    }
    for relay in &relays {
        relay.gossips_with(relays.len() - 1).await;
    }
    relays
}

/// Relays that know only the one before and the one after.
pub async fn in_a_row(count: u8) -> Vec<Relay> {
    let mut relays = Vec::new();
    for n in 0..count {
        relays.push(Relay::start(50 + n, NEVER).await);
    }
    for (n, relay) in relays.iter().enumerate() {
        let beside = relays.iter().enumerate().filter(|(m, _)| n.abs_diff(*m) == 1);
        relay.node.set_peers(beside.map(|(_, relay)| relay.peer()).collect());
    }
    for (n, relay) in relays.iter().enumerate() {
        relay.gossips_with(if n == 0 || n + 1 == relays.len() { 1 } else { 2 }).await;
    }
    relays
}
