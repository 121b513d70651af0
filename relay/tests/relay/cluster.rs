//! Four relays as processes of their own, with real sockets and real stores, and what happens when they are killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clavicle_consensus::Elsewhere as _;
use clavicle_ledger::action::DefineStudy;
use clavicle_ledger::block::Block;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{ManifestRoot, SourceId, StudyDigest};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::record::{ProvenRecord, RecordError};
use clavicle_ledger::state::{MemoryState, ReadRows as _};
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::{Action, Body};
use clavicle_ledger::vote::{Vote, VoteKind};
use clavicle_network::file as network_file;
use clavicle_relay::catch_up::PublicPorts;
use clavicle_relay::control::{self, ClientError};
use clavicle_relay::home::Home;
use clavicle_relay::keys::Keys;
use clavicle_relay::operations::Operation;
use clavicle_relay::operations::report::EpochReport;
use clavicle_relay::operations::status::Status;
use clavicle_relay::operations::submit::{Submit, Submitted};
use clavicle_relay::store::ChainStore;

const HOSPITALS: [&str; 4] = ["mercy", "stluke", "north", "harbor"];

/// Longer than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    folder: tempfile::TempDir,
    running: [Option<Child>; 4],
}

impl Cluster {
    /// Four relays, made and joined, with a heartbeat of a second; none runs yet.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Self { folder, running: [const { None }; 4] };
        for hospital in HOSPITALS {
            cluster.done(&["init", "--dir", hospital, "--name", hospital, "--host", "127.0.1.1"]);
        }
        let sources = HOSPITALS.map(|hospital| format!("{hospital}/source.json"));
        let genesis = ["genesis", "--heartbeat", "1", "--out", "network.json"];
        let all: Vec<&str> = genesis.into_iter().chain(sources.iter().map(String::as_str)).collect();
        cluster.done(&all);
        cluster
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
        command.current_dir(self.folder.path());
        command
    }

    fn done(&self, arguments: &[&str]) {
        assert!(self.command().args(arguments).stdout(Stdio::null()).status().unwrap().success());
    }

    fn home(&self, n: usize) -> Home {
        Home::at(&self.folder.path().join(HOSPITALS[n]))
    }

    fn start(&mut self, n: usize) {
        let log = fs::File::create(self.folder.path().join(format!("{}.log", HOSPITALS[n]))).unwrap();
        let run = ["run", "--dir", HOSPITALS[n], "--network", "network.json"];
        let child = self.command().args(run).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.running[n] = Some(child);
    }

    /// Ends a relay as a power cut would.
    fn kill(&mut self, n: usize) {
        if let Some(mut child) = self.running[n].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn ask<O: Operation>(&self, n: usize, operation: &O) -> Result<O::Answer, ClientError> {
        runtime().block_on(control::ask(&self.home(n).socket(), operation))
    }

    fn height(&self, n: usize) -> Option<u64> {
        Some(self.ask(n, &Status {}).ok()?.height)
    }

    /// Waits until these relays have come to `height`.
    fn reach(&mut self, relays: &[usize], height: u64) {
        let end = Instant::now() + PATIENCE;
        for n in relays {
            while self.height(*n).is_none_or(|at| at < height) {
                let exited = self.running[*n].as_mut().unwrap().try_wait().unwrap();
                assert_eq!(exited, None, "{}: {}", HOSPITALS[*n], self.log(*n));
                assert!(Instant::now() < end, "{} is at {:?}: {}", HOSPITALS[*n], self.height(*n), self.log(*n));
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
    }

    fn log(&self, n: usize) -> String {
        fs::read_to_string(self.folder.path().join(format!("{}.log", HOSPITALS[n]))).unwrap()
    }

    fn highest(&self) -> u64 {
        (0..4).filter_map(|n| self.height(n)).max().unwrap()
    }

    fn genesis(&self) -> Genesis {
        network_file::read_genesis(&self.folder.path().join("network.json")).unwrap()
    }

    /// A study that hospital `n` and a patient define.
    fn define(&self, n: usize, number: u8) -> Vec<u8> {
        let (keys, genesis) = (Keys::read(&self.home(n).keys_folder()).unwrap(), self.genesis());
        let holder = SecretKey::from_bytes(&[number; 32]);
        let action = Action::DefineStudy(DefineStudy {
            digest: StudyDigest::from_bytes([number; 32]),
            source: keys.operational.public(),
            holder: holder.public(),
            delegates: Ascending::new(),
            manifest_root: ManifestRoot::from_bytes([number; 32]),
            open: true,
        });
        let submit_by = Timestamp(genesis.time.timestamp().0 + 3_600_000);
        let body = Body { submit_by, nonce: [number; 16], action };
        encoding::encode(&body.sign(&genesis.chain_id(), &[&keys.operational, &holder]).unwrap())
    }

    fn submit(&self, n: usize, envelope: Vec<u8>) -> Result<Submitted, ClientError> {
        self.ask(n, &Submit::of(&envelope))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..4).for_each(|n| self.kill(n));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The ids of all blocks that a relay which is not running has.
fn blocks(folder: &Path, genesis: &Genesis) -> Vec<String> {
    let store = ChainStore::open(&Home::at(folder).chain_file(), genesis).unwrap();
    let head = store.head().unwrap().height;
    (0..=head).map(|height| store.header(height).unwrap().unwrap().id().to_string()).collect()
}

#[test]
fn killed_one_by_one_and_all_at_once_four_hospitals_keep_one_chain() {
    let mut cluster = Cluster::new();
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], 2);

    // Whoever has no link with anybody is given blocks that prove themselves, at the public port.
    let genesis = cluster.genesis();
    let empty = tempfile::tempdir().unwrap();
    let store = Arc::new(ChainStore::open(&empty.path().join("chain.redb"), &genesis).unwrap());
    let ports = PublicPorts { chain: genesis.chain_id(), source: SourceId::from_bytes([0; 32]), store };
    let set = MemoryState::from_genesis(&genesis).validators().unwrap();
    runtime().block_on(async {
        assert_eq!(ports.whom().len(), 4);
        let whom = ports.whom()[0];
        let newest = ports.newest(whom).await.unwrap();
        let blocks = ports.blocks(whom, 1, newest).await;
        assert!(newest >= 2 && blocks.len() as u64 == newest.min(16), "{} of {newest}", blocks.len());
        for (height, given) in (1..).zip(&blocks) {
            let block: Block = encoding::decode(&given.bytes).unwrap();
            assert_eq!((given.height, given.id), (height, block.header.id()));
            let vote = |source| Vote {
                kind: VoteKind::Precommit,
                height,
                round: given.round,
                block: Some(given.id),
                validator: source,
            };
            for (source, signature) in &given.signatures {
                let key = set.validators.find(source).unwrap().key;
                signature.verify(&key, &vote(*source).preimage(&genesis.chain_id())).unwrap();
            }
            assert!(given.signatures.len() >= 3);
        }
        assert!(ports.blocks(whom, newest + 1_000, newest + 1_001).await.is_empty());
    });

    // A study submitted to one is known to all.
    let envelope = cluster.define(0, 1);
    let submitted = cluster.submit(0, envelope.clone()).unwrap();
    assert_eq!(submitted.executed_at, None);
    let end = Instant::now() + PATIENCE;
    let executed_at = loop {
        if let Some(height) = cluster.submit(0, envelope.clone()).unwrap().executed_at {
            break height;
        }
        assert!(Instant::now() < end, "{}", cluster.log(0));
    };
    cluster.reach(&[0, 1, 2, 3], executed_at);
    assert_eq!(cluster.ask(0, &Status {}).unwrap().studies, 1);
    let elsewhere = cluster.submit(3, envelope.clone()).unwrap();
    assert_eq!((elsewhere.executed_at, elsewhere.transaction), (Some(executed_at), submitted.transaction));
    // What cannot be executed is told why at once.
    let refused = cluster.submit(1, envelope[..100].to_vec()).unwrap_err().to_string();
    assert_eq!(refused, "the relay says: a transaction cannot be read: it ends too early; it was cut off");
    let mut forged = envelope;
    *forged.last_mut().unwrap() ^= 1;
    let refused = cluster.submit(1, forged).unwrap_err().to_string();
    assert!(refused.starts_with("the relay says: signature 1: the signature is not this key's"), "{refused}");

    // Each in turn is killed while the others go on, and catches up.
    for n in 0..4 {
        let before = cluster.highest();
        cluster.kill(n);
        let others: Vec<usize> = (0..4).filter(|other| *other != n).collect();
        cluster.reach(&others, before + 2);
        let missed = cluster.highest();
        cluster.start(n);
        cluster.reach(&[n], missed + 1);
    }

    // All at once, as in a power cut; what was decided is there, and it goes on.
    let before = cluster.highest();
    (0..4).for_each(|n| cluster.kill(n));
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], before + 2);
    let late = cluster.submit(2, cluster.define(2, 2)).unwrap();
    let goal = cluster.highest() + 4;
    cluster.reach(&[0, 1, 2, 3], goal);
    assert_eq!(cluster.ask(0, &Status {}).unwrap().studies, 1);
    assert_eq!(cluster.ask(2, &Status {}).unwrap().studies, 1, "{late:?}");

    // What each did is told, by a relay that runs or not, with a proof that does not need its word.
    let runs = cluster.command().args(["report", "--dir", HOSPITALS[0]]).output().unwrap();
    let lines = String::from_utf8(runs.stdout).unwrap();
    assert!(lines.contains("power  proposed") && lines.lines().count() == 7, "{lines}");
    cluster.kill(0);
    let told = ["report", "--dir", HOSPITALS[0], "--epoch", "0", "--proof", "proof", "--json"];
    let told = cluster.command().args(told).output().unwrap();
    let report: EpochReport = serde_json::from_slice(&told.stdout).unwrap();
    assert!(report.lines.iter().all(|line| line.power == 1 && line.votes_due > line.votes_missing), "{report:?}");
    assert!(report.lines.iter().map(|line| line.votes_missing).sum::<u64>() > 0, "each was killed: {report:?}");
    assert_eq!(report.lines.iter().map(|line| line.studies).sum::<u64>(), 0, "counted when the epoch is over");
    let proof = fs::read(cluster.folder.path().join("proof")).unwrap();
    let proven: ProvenRecord = encoding::decode(&proof).unwrap();
    let genesis = cluster.genesis();
    let set = MemoryState::from_genesis(&genesis).validators().unwrap();
    assert_eq!(proven.verify(&genesis.chain_id(), &set), Err(RecordError::Running));
    let later = cluster.command().args(["report", "--dir", HOSPITALS[0], "--epoch", "1"]).output().unwrap();
    let sentence = String::from_utf8(later.stderr).unwrap();
    assert!(sentence.contains("there is no record of epoch 1: 0 is running"), "{sentence}");

    // One chain: wherever two have a block of a height, it is the same.
    (0..4).for_each(|n| cluster.kill(n));
    let chains = HOSPITALS.map(|hospital| blocks(&cluster.folder.path().join(hospital), &genesis));
    let shortest = chains.iter().map(Vec::len).min().unwrap();
    assert!(shortest as u64 > goal);
    for chain in &chains {
        assert_eq!(chain[..shortest], chains[0][..shortest]);
    }
}

#[test]
fn a_relay_whose_log_is_damaged_does_not_start_and_says_that_a_person_must_look() {
    let folder = tempfile::tempdir().unwrap();
    let relay = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
        command.current_dir(folder.path()).args(arguments).stdout(Stdio::null());
        command
    };
    let done = |arguments: &[&str]| assert!(relay(arguments).status().unwrap().success());
    done(&["init", "--dir", "mercy", "--name", "mercy"]);
    done(&["genesis", "--heartbeat", "1", "--out", "mercy/network.json", "mercy/source.json"]);
    let home = Home::at(&folder.path().join("mercy"));
    let mut running = relay(&["run", "--dir", "mercy"]).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    let status = || runtime().block_on(control::ask(&home.socket(), &Status {}));
    while status().map_or(0, |status| status.height) < 2 {
        assert!(Instant::now() < end);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    running.kill().unwrap();
    running.wait().unwrap();

    let log = home.consensus_folder().join("consensus.wal");
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].iter_mut().for_each(|byte| *byte ^= 0xff);
    fs::write(&log, bytes).unwrap();
    let refused = relay(&["run", "--dir", "mercy"]).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("the relay cannot take part in agreement") && said.contains("log"), "{said}");
}
