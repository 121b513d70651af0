//! Four nodes, their ports and directories, and ways to wait for them.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clavicle_consensus::config::Timeouts;
use clavicle_consensus::{CertifiedBlock, Config, Elsewhere, Engine, Neighbour, StartError, Stopped};
use clavicle_ledger::id::{BlockId, ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::Height;
use clavicle_ledger::transaction::Verified;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::keeper::{Clock, Keeper};
use crate::world::{EPOCH_MS, Hospital, genesis, hospitals};

/// No wait in these tests is longer: whatever is waited for is then not going to happen.
const LONGEST: Duration = Duration::from_secs(60);

/// One cluster at a time: sixteen engines on two cores would measure the scheduler.
static TURN: Mutex<()> = Mutex::const_new(());

pub struct Node {
    pub keeper: Keeper,
    pub source: SourceId,
    pub engine: Option<Engine>,
    config: Config,
}

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub hospitals: Vec<Hospital>,
    pub chain: ChainId,
    clock: Clock,
    _directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Four nodes that are yet to be started.
    pub async fn new(heartbeat: Duration) -> Self {
        let turn = TURN.lock().await;
        let (genesis, hospitals, clock) = (genesis(), hospitals(), Clock::start());
        let (chain, directory) = (genesis.chain_id(), tempfile::tempdir().unwrap());
        // Held until all are known, so that no two are alike.
        let listeners: Vec<_> = hospitals.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let addresses: Vec<_> =
            listeners.iter().map(|listener| format!("/ip4/127.0.0.1/tcp/{}", port(listener))).collect();
        let known = |(hospital, address): (&Hospital, &String)| Neighbour {
            source: hospital.id(&chain),
            addresses: vec![address.clone()],
            upcoming: None,
        };
        let neighbours: Vec<_> = hospitals.iter().zip(&addresses).map(known).collect();
        let node = |(hospital, listen): (&Hospital, &String)| {
            let source = hospital.id(&chain);
            let config = Config {
                chain,
                source,
                consensus: Some(hospital.consensus.clone()),
                moniker: hospital.name.into(),
                listen: listen.clone(),
                elsewhere: None,
                home: directory.path().join(hospital.name),
                timeouts: Timeouts::default(),
                heartbeat,
                gather: None,
                status_interval: Duration::from_secs(1),
            };
            let keeper = Keeper::new(&genesis, source, clock.clone());
            keeper.disk().neighbours = neighbours.iter().filter(|other| other.source != source).cloned().collect();
            Node { keeper, source, engine: None, config }
        };
        let nodes = hospitals.iter().zip(&addresses).map(node).collect();
        Self { nodes, hospitals, chain, clock, _directory: directory, _turn: turn }
    }

    /// Takes a node's consensus key away: it follows, by what the others have.
    pub fn follow_only(&mut self, at: usize) {
        self.nodes[at].config.consensus = None;
        self.ask_elsewhere(at);
    }

    /// Lets a node ask the others for blocks without a link.
    pub fn ask_elsewhere(&mut self, at: usize) {
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != at);
        let others = Others(others.map(|(_, node)| (node.source, node.keeper.clone())).collect());
        self.nodes[at].config.elsewhere = Some(Arc::new(others));
    }

    /// Adds a second process with the keys of a node's source: another disk, another log, another address.
    pub fn add_twin(&mut self, at: usize) {
        let node = &self.nodes[at];
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = Config {
            moniker: "twin".into(),
            listen: format!("/ip4/127.0.0.1/tcp/{port}"),
            home: node.config.home.with_extension("twin"),
            ..node.config.clone()
        };
        let keeper = Keeper::new(&genesis(), node.source, self.clock.clone());
        keeper.disk().neighbours = node.keeper.disk().neighbours.clone();
        let twin = Node { keeper, source: node.source, engine: None, config };
        self.nodes.push(twin);
    }

    /// Lets everybody's clock run ahead to the next epoch.
    pub fn skip_epoch(&self) {
        self.clock.skip(EPOCH_MS);
    }

    pub async fn start(&mut self) {
        for node in &mut self.nodes {
            node.start().await;
        }
    }

    /// What a relay's gossip does: the transaction reaches every pool. Returns when it did.
    pub fn submit(&self, envelope: &Verified) -> Instant {
        let at = Instant::now();
        for node in self.nodes.iter().filter(|node| node.engine.is_some()) {
            node.keeper.disk().pool.push(envelope.clone());
        }
        for engine in self.nodes.iter().filter_map(|node| node.engine.as_ref()) {
            engine.waker().wake();
        }
        at
    }

    pub async fn stop(self) {
        for node in self.nodes {
            if let Some(engine) = node.engine {
                engine.stop().await.unwrap();
            }
        }
    }
}

/// What a relay's public port does: whoever asks is given blocks with their certificates.
struct Others(Vec<(SourceId, Keeper)>);

impl Others {
    fn keeper(&self, whom: SourceId) -> &Keeper {
        &self.0.iter().find(|(source, _)| *source == whom).unwrap().1
    }
}

#[async_trait]
impl Elsewhere for Others {
    fn whom(&self) -> Vec<SourceId> {
        self.0.iter().map(|(source, _)| *source).collect()
    }

    async fn newest(&self, whom: SourceId) -> Option<Height> {
        Some(*self.keeper(whom).head().borrow())
    }

    async fn blocks(&self, whom: SourceId, first: Height, last: Height) -> Vec<CertifiedBlock> {
        let disk = self.keeper(whom).disk();
        let certified = |height| {
            let decided = disk.blocks.get(&height)?;
            let (certificate, set) = (&decided.certificate, &decided.validators.validators);
            let signatures = certificate.votes().map(|(place, signature)| (set[place].source, *signature)).collect();
            let (round, id, bytes) = (certificate.round, certificate.block, decided.bytes.clone());
            Some(CertifiedBlock { bytes, height, round, id, signatures })
        };
        // Few at a time.
        (first..=last).take(3).map_while(certified).collect()
    }
}

impl Node {
    pub async fn start(&mut self) {
        self.engine = Some(Engine::start(self.config.clone(), self.keeper.clone()).await.unwrap());
    }

    pub async fn start_at(&self, listen: &str) -> Result<Engine, StartError> {
        Engine::start(Config { listen: listen.into(), ..self.config.clone() }, self.keeper.clone()).await
    }

    pub async fn start_with(&self, key: SecretKey) -> Result<Engine, StartError> {
        Engine::start(Config { consensus: Some(key), ..self.config.clone() }, self.keeper.clone()).await
    }

    /// Votes with another key from the next start on.
    pub fn take_key(&mut self, key: SecretKey) {
        self.config.consensus = Some(key);
    }

    pub fn listen(&self) -> String {
        self.config.listen.clone()
    }

    pub async fn stop(&mut self) {
        self.engine.take().unwrap().stop().await.unwrap();
    }

    /// Why the engine stopped without being asked to.
    pub async fn stopped(&mut self) -> Stopped {
        within("the engine stops", self.engine.as_mut().unwrap().ended()).await.unwrap_err()
    }

    pub fn log(&self) -> PathBuf {
        self.config.home.join("consensus.wal")
    }

    /// Waits until this node has decided the height.
    pub async fn reaches(&self, height: Height) {
        let mut head = self.keeper.head();
        let reached = head.wait_for(|head| *head >= height);
        within(&format!("{:?} reaches {height}", self.source), reached).await.unwrap();
    }

    /// Waits until this node has decided the transaction, and says when it did.
    pub async fn has(&self, envelope: &Verified) -> Instant {
        let mut head = self.keeper.head();
        let at = || self.keeper.disk().decided_at.get(&envelope.hash()).copied();
        within(&format!("{:?} decides a transaction", self.source), head.wait_for(|_| at().is_some())).await.unwrap();
        at().unwrap()
    }

    /// The blocks decided here, from the first to `head`.
    pub fn block_ids(&self, head: Height) -> Vec<BlockId> {
        let disk = self.keeper.disk();
        (1..=head).map(|height| disk.blocks[&height].certificate.block).collect()
    }

    /// Rounds that this node has begun since it was made.
    pub fn begun(&self) -> u64 {
        *self.keeper.rounds().borrow()
    }

    /// Waits until this node has begun so many rounds since it was made.
    pub async fn begins(&self, rounds: u64) {
        let mut begun = self.keeper.rounds();
        within("a round begins", begun.wait_for(|begun| *begun >= rounds)).await.unwrap();
    }

    pub fn height(&self) -> Height {
        *self.keeper.head().borrow()
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONGEST, future).await {
        Ok(value) => value,
        Err(_) => panic!("in vain: {what}"),
    }
}
