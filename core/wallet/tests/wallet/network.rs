//! A network of four hospitals by arithmetic: what its blocks say, who signed them, and relays that tell it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clavicle_ledger::block::{CommitCertificate, Header};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{BlockId, ChainId, EnvelopeHash, SourceId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::{
    CertifiedHeader, Checkpoint, Endorsement, LightClient, MAX_ENDORSEMENT_MS, SignedCheckpoint, ValidatorChange,
};
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::MemoryState;
use clavicle_ledger::time::{BlockTime, DAY_MS, LocalTime, Timestamp};
use clavicle_ledger::tree::prove;
use clavicle_ledger::validators::{Validator, ValidatorSet};
use clavicle_ledger::vote::{Vote, VoteKind};
use clavicle_network::message::{Decided, Holding, List, ProvenRows, Query, Request, Response, RowKey};
use clavicle_network::swarm::{Config, Desk, Node, Received};
use clavicle_wallet::ledger::Ledger;

pub(crate) const NOW: u64 = 1_790_000_000_000;
pub(crate) const HOSPITALS: [&str; 4] = ["mercy", "stluke", "north", "harbor"];
/// The most holdings that a relay here answers with.
pub(crate) const MOST: usize = 64;
/// Blocks in a day.
pub(crate) const BLOCKS: u64 = 2_880;

pub(crate) fn clock() -> LocalTime {
    LocalTime(Timestamp(NOW))
}

pub(crate) fn secret(word: &str) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(word.as_bytes()).as_bytes())
}

/// What a relay tells, true or not, and what it was asked.
pub(crate) struct Told {
    pub(crate) state: MemoryState,
    pub(crate) decided: Vec<Decided>,
    pub(crate) changes: Vec<ValidatorChange>,
    pub(crate) holdings: Vec<Holding>,
    pub(crate) asked: Mutex<Vec<Query>>,
    pub(crate) vouched: Vec<SignedCheckpoint>,
}

impl Told {
    /// The same once more, as another relay tells it.
    pub(crate) fn again(&self) -> Self {
        Self {
            state: self.state.clone(),
            decided: self.decided.clone(),
            changes: self.changes.clone(),
            holdings: Vec::new(),
            asked: Mutex::default(),
            vouched: Vec::new(),
        }
    }

    pub(crate) fn was_asked(&self, what: fn(&Query) -> bool) -> bool {
        self.asked.lock().unwrap().iter().any(what)
    }
}

impl Desk for Told {
    fn receive(&self, _: &[u8]) -> Received {
        Received::Ignore
    }

    fn answer(&self, _: Key, request: Request) -> Response {
        let Request::Query(query) = request else { return Response::Unavailable };
        self.asked.lock().unwrap().push(query.clone());
        let newest = || self.decided.last().unwrap().head.clone();
        match query {
            Query::Head => Response::Head(Some(Box::new(newest()))),
            Query::Changes { after } => {
                Response::Changes(List::of(self.changes.iter().filter(|it| it.last.header.height >= after).cloned()))
            }
            Query::Rows(keys) => {
                let rows = keys.iter().map(|RowKey(key)| prove(&self.state, &self.state, *key).unwrap());
                Response::Rows(Some(Box::new(ProvenRows { head: newest(), rows: List::of(rows) })))
            }
            Query::Holders(prefix) => {
                let (low, high) = prefix.range();
                let is = |holding: &&Holding| (low..=high).contains(holding.holder.as_bytes());
                let all: Vec<Holding> = self.holdings.iter().filter(is).copied().collect();
                Response::Holders((all.len() <= MOST).then(|| List::of(all)))
            }
            Query::Decided(height) => {
                let of = self.decided.iter().find(|decided| decided.head.header.height == height);
                Response::Decided(of.cloned().map(Box::new))
            }
            Query::Checkpoints => Response::Checkpoints(List::of(self.vouched.clone())),
            _ => Response::Unavailable,
        }
    }

    fn waiting(&self) -> Vec<EnvelopeHash> {
        Vec::new()
    }

    fn envelope(&self, _: &EnvelopeHash) -> Option<Vec<u8>> {
        None
    }
}

/// A network of four hospitals whose state never changes, a day's block after another.
pub(crate) struct Network {
    pub(crate) genesis: Genesis,
    pub(crate) chain: ChainId,
    /// The generation of each hospital's consensus key.
    pub(crate) generations: [u32; 4],
    pub(crate) newest: Header,
    pub(crate) told: Told,
    pub(crate) ports: Vec<u16>,
}

impl Network {
    /// One that began so many days ago, with as many relays that answer.
    pub(crate) fn new(days: u64, relays: usize) -> Self {
        Self::served(days, relays, None)
    }

    /// The same, with images of the first hospital's served somewhere.
    pub(crate) fn served(days: u64, relays: usize, images: Option<SocketAddr>) -> Self {
        let held: Vec<TcpListener> = (0..relays).map(|_| port()).collect();
        let ports: Vec<u16> = held.iter().map(|held| held.local_addr().unwrap().port()).collect();
        let images = |at| images.filter(|_| at == 0).map(|images| Text::new(images.to_string()).unwrap());
        let source = |(at, name): (usize, &&str)| {
            let key = |role: &str| secret(&format!("{name} {role} 0")).public();
            let address = ports.get(at).map(|port| Text::new(format!("/ip4/127.0.0.1/tcp/{port}")).unwrap());
            let announcement = Announcement {
                name: Text::new(*name).unwrap(),
                kind: SourceKind::Validator,
                keys: SourceKeys {
                    operational: key("operational"),
                    consensus: Some(key("consensus")),
                    transfer: key("transfer"),
                    network: Ascending::from_items(vec![key("network")]).unwrap(),
                },
                addresses: Addresses {
                    libp2p: Ascending::from_items(address.into_iter().collect()).unwrap(),
                    iroh: Ascending::from_items(images(at).into_iter().collect()).unwrap(),
                    ..Addresses::default()
                },
                mailbox: Ascending::new(),
            };
            GenesisSource { identity: key("identity"), announcement }
        };
        let genesis = Genesis {
            name: Text::new("test").unwrap(),
            time: BlockTime(Timestamp(NOW - days * DAY_MS)),
            parameters: Parameters::default(),
            sources: Ascending::from_items(HOSPITALS.iter().enumerate().map(source).collect()).unwrap(),
        };
        let state = MemoryState::from_genesis(&genesis);
        let told = Told {
            state,
            decided: Vec::new(),
            changes: Vec::new(),
            holdings: Vec::new(),
            asked: Mutex::default(),
            vouched: Vec::new(),
        };
        let (chain, newest) = (genesis.chain_id(), Header::genesis(&genesis));
        Self { genesis, chain, generations: [0; 4], newest, told, ports }
    }

    pub(crate) fn source(&self, at: usize) -> SourceId {
        SourceId::of_identity(&self.chain, &secret(&format!("{} identity 0", HOSPITALS[at])).public())
    }

    pub(crate) fn consensus(&self, at: usize, generation: u32) -> SecretKey {
        secret(&format!("{} consensus {generation}", HOSPITALS[at]))
    }

    pub(crate) fn validators(&self) -> ValidatorSet {
        let validator = |at: usize| {
            let key = self.consensus(at, self.generations[at]).public();
            Validator { source: self.source(at), key, power: 1 }
        };
        ValidatorSet { validators: Ascending::from_items((0..4).map(validator).collect()).unwrap() }
    }

    /// A day later: its last block, which all sign. With it some hospitals hand over to other keys.
    pub(crate) fn day(&mut self, rekeyed: &[usize]) -> Checkpoint {
        let (validators, before) = (self.validators(), self.generations);
        for at in rekeyed {
            self.generations[*at] += 1;
        }
        let next = self.validators();
        let header = Header {
            height: self.newest.height + BLOCKS,
            time: BlockTime(self.newest.time.timestamp().plus(DAY_MS)),
            previous: BlockId::from_bytes([7; 32]),
            validators: validators.hash(&self.chain),
            next_validators: next.hash(&self.chain),
            ..self.newest
        };
        let vote = |source| {
            let block = Some(header.id());
            Vote { kind: VoteKind::Precommit, height: header.height, round: 0, block, validator: source }
        };
        let votes = validators.validators.iter().enumerate().map(|(place, validator)| {
            let at = (0..4).find(|at| self.source(*at) == validator.source).unwrap();
            (place, self.consensus(at, before[at]).sign(&vote(validator.source).preimage(&self.chain)))
        });
        let certificate = CommitCertificate::new(header.height, 0, header.id(), votes.collect()).unwrap();
        let head = CertifiedHeader { header, certificate };
        self.newest = header;
        if !rekeyed.is_empty() {
            self.told.changes.push(ValidatorChange { last: head.clone(), next });
        }
        self.told.decided.push(Decided { head, validators });
        Checkpoint::of(&header)
    }

    /// Starts the relay of a hospital, which tells this.
    pub(crate) async fn relay(&self, at: usize, told: Told) -> (Node, Arc<Told>) {
        let told = Arc::new(told);
        let config = Config {
            chain: self.chain,
            seed: secret(&format!("{} network 0", HOSPITALS[at])).seed(),
            listen: format!("/ip4/127.0.0.1/tcp/{}", self.ports[at]),
            peers: Vec::new(),
            reconcile_every: Duration::from_secs(3_600),
        };
        let node = Node::start(config, Arc::clone(&told) as Arc<dyn Desk>).unwrap();
        node.address().await.unwrap();
        (node, told)
    }

    pub(crate) fn take_told(&mut self) -> Told {
        let empty = Told {
            state: MemoryState::default(),
            decided: Vec::new(),
            changes: Vec::new(),
            holdings: Vec::new(),
            asked: Mutex::default(),
            vouched: Vec::new(),
        };
        std::mem::replace(&mut self.told, empty)
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::new(&self.genesis, LightClient::from_genesis(&self.genesis), clock)
    }
}

/// A free port, below those that outgoing connections have.
pub(crate) fn port() -> TcpListener {
    let mut random = [0; 2];
    getrandom::fill(&mut random).unwrap();
    let first = 20_000 + u16::from_le_bytes(random) % 10_000;
    (first..first + 1_000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap()
}

/// What hospitals vouch for, by their names and a checkpoint key each.
pub(crate) fn vouch(header: &Header, names: &[&str]) -> Vec<SignedCheckpoint> {
    let one = |name: &&str| {
        let (key, identity) = (secret(&format!("{name} checkpoint")), secret(&format!("{name} identity 0")));
        let source = SourceId::of_identity(&header.chain, &identity.public());
        let from = Timestamp(NOW - DAY_MS);
        let endorsement =
            Endorsement { chain: header.chain, source, key: key.public(), from, until: from.plus(MAX_ENDORSEMENT_MS) };
        SignedCheckpoint::sign(header, endorsement.sign(&identity), &key)
    };
    names.iter().map(one).collect()
}
