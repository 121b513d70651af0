//! The smallest keeper of a chain: the real ledger over maps in memory, which outlive the engine as a disk would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use clavicle_consensus::{Application, Candidate, Decided, Neighbour, Origin, Undecided, Verdict};
use clavicle_ledger::action::Conflict;
use clavicle_ledger::block::{self, Applied, Block, CheckedBlock, CommitCertificate, Header};
use clavicle_ledger::encoding;
use clavicle_ledger::execute;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{BlockId, EnvelopeHash, SourceId, StateRoot};
use clavicle_ledger::state::{MemoryState, ReadRows as _, Rules};
use clavicle_ledger::time::{BlockTime, Height, Timestamp};
use clavicle_ledger::transaction::Verified;
use clavicle_ledger::validators::ValidatorSet;
use tokio::sync::watch;

use crate::world::START;

/// How far a proposer's clock may be off. All share one clock, but not always a core.
const TOLERANCE_MS: u64 = 10_000;

/// What there is on a keeper's disk, and what a test wants to see.
pub struct Disk {
    pub rules: Rules,
    pub state: MemoryState,
    pub header: Header,
    pub blocks: BTreeMap<Height, Decided>,
    pub pool: Vec<Verified>,
    /// When each transaction was decided here.
    pub decided_at: BTreeMap<EnvelopeHash, Instant>,
    /// Blocks found invalid.
    pub refused: Vec<BlockId>,
    pub evidence: Vec<Conflict>,
    /// Where the others listen.
    pub neighbours: Vec<Neighbour>,
    /// Proposes blocks that lead to another state than they say.
    pub lies: bool,
    /// Fails at the next decision.
    pub broken: bool,
    kept: BTreeMap<BlockId, Kept>,
    proposed: BTreeMap<(Height, u32), BlockId>,
}

struct Kept {
    round: u32,
    proposer: SourceId,
    bytes: Vec<u8>,
    /// None for a lie of our own.
    applied: Option<(CheckedBlock, Applied)>,
}

/// The clock that all share: it begins at the start, and a test may let it run ahead.
#[derive(Clone)]
pub struct Clock {
    began: Instant,
    ahead: Arc<AtomicU64>,
}

impl Clock {
    pub fn start() -> Self {
        Self { began: Instant::now(), ahead: Arc::default() }
    }

    pub fn skip(&self, milliseconds: u64) {
        self.ahead.fetch_add(milliseconds, Ordering::SeqCst);
    }

    fn now(&self) -> Timestamp {
        let ran = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        Timestamp(START).plus(ran + self.ahead.load(Ordering::SeqCst))
    }
}

/// What a broken disk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("the block that was decided is not kept")]
    Lost,
    #[error("the disk is broken")]
    Broken,
}

#[derive(Clone)]
pub struct Keeper {
    disk: Arc<Mutex<Disk>>,
    source: SourceId,
    clock: Clock,
    head: watch::Sender<Height>,
    rounds: watch::Sender<u64>,
}

impl Keeper {
    pub fn new(genesis: &Genesis, source: SourceId, clock: Clock) -> Self {
        let state = MemoryState::from_genesis(genesis);
        let disk = Disk {
            rules: state.rules().unwrap(),
            state,
            header: Header::genesis(genesis),
            blocks: BTreeMap::new(),
            pool: Vec::new(),
            decided_at: BTreeMap::new(),
            refused: Vec::new(),
            evidence: Vec::new(),
            neighbours: Vec::new(),
            lies: false,
            broken: false,
            kept: BTreeMap::new(),
            proposed: BTreeMap::new(),
        };
        Self {
            disk: Arc::new(Mutex::new(disk)),
            source,
            clock,
            head: watch::Sender::new(0),
            rounds: watch::Sender::new(0),
        }
    }

    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    /// Changes with each block.
    pub fn head(&self) -> watch::Receiver<Height> {
        self.head.subscribe()
    }

    /// Changes with each round that begins.
    pub fn rounds(&self) -> watch::Receiver<u64> {
        self.rounds.subscribe()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Disk {
    pub fn block(&self, height: Height) -> Block {
        encoding::decode(&self.blocks[&height].bytes).unwrap()
    }

    fn work_out(&self, block: &Block) -> Option<(CheckedBlock, Applied)> {
        let checked = block.clone().check(&self.rules).ok()?;
        let applied = block::apply(&self.state, &self.state, &self.header, &checked).ok()?;
        // The certificate of the predecessor is a statement that the ledger leaves to those who keep the sets.
        if let Some(commit) = &block.last_commit {
            commit.verify(&self.rules.chain, &self.blocks[&commit.height].validators).ok()?;
        }
        Some((checked, applied))
    }
}

impl Application for Keeper {
    type Error = DiskError;

    fn next(&self) -> Result<(Height, ValidatorSet), DiskError> {
        let disk = self.disk();
        Ok((disk.header.height + 1, disk.state.validators().unwrap()))
    }

    fn neighbours(&self) -> Result<Vec<Neighbour>, DiskError> {
        Ok(self.disk().neighbours.clone())
    }

    fn pending(&self) -> bool {
        !self.disk().pool.is_empty()
    }

    fn propose(&mut self, height: Height, round: u32) -> Result<(BlockId, Vec<u8>), DiskError> {
        let now = self.now();
        let mut disk = self.disk();
        if let Some(id) = disk.proposed.get(&(height, round)) {
            return Ok((*id, disk.kept[id].bytes.clone()));
        }
        let time = BlockTime(now.max(disk.header.time.timestamp().plus(1)));
        let last_commit = disk.blocks.get(&(height - 1)).map(|decided| decided.certificate.clone());
        let proposal = execute::propose(&disk.state, height, time, last_commit, disk.pool.clone()).unwrap();
        let previous = (&disk.header, &disk.rules);
        let (sealed, applied) = block::seal(proposal, &disk.state, previous, self.source, round).unwrap();
        let mut block = sealed.to_block();
        if disk.lies {
            block.header.state_root = StateRoot::from_bytes([9; 32]);
        }
        let applied = (!disk.lies).then_some((sealed, applied));
        let (id, bytes) = (block.header.id(), encoding::encode(&block));
        disk.kept.insert(id, Kept { round, proposer: self.source, bytes: bytes.clone(), applied });
        disk.proposed.insert((height, round), id);
        Ok((id, bytes))
    }

    fn validate(&mut self, candidate: Candidate<'_>) -> Result<Verdict, DiskError> {
        let now = self.now();
        let mut disk = self.disk();
        let Candidate { height, id, block, bytes, origin } = candidate;
        let timely = match origin {
            Origin::Proposed { .. } => {
                let (time, tolerance) = (block.header.time.timestamp(), TOLERANCE_MS);
                time.since(now) <= tolerance && now.since(time) <= tolerance
            }
            Origin::ProposedAgain { .. } | Origin::Decided { .. } => true,
        };
        let applied = (timely && block.header.height == height).then(|| disk.work_out(block)).flatten();
        let Some(applied) = applied else {
            disk.refused.push(id);
            return Ok(Verdict::Invalid);
        };
        let (round, proposer) = (origin.round(), block.header.proposer);
        disk.kept.insert(id, Kept { round, proposer, bytes: bytes.to_vec(), applied: Some(applied) });
        Ok(Verdict::Valid)
    }

    fn undecided(&self, height: Height) -> Result<Vec<Undecided>, DiskError> {
        self.rounds.send_modify(|rounds| *rounds += 1);
        let disk = self.disk();
        assert_eq!(height, disk.header.height + 1);
        let undecided = |(id, kept): (&BlockId, &Kept)| {
            kept.applied.is_some().then_some(Undecided { id: *id, round: kept.round, proposer: kept.proposer })
        };
        Ok(disk.kept.iter().filter_map(undecided).collect())
    }

    fn kept(&self, _: Height, block: BlockId) -> Result<Option<Vec<u8>>, DiskError> {
        Ok(self.disk().kept.get(&block).map(|kept| kept.bytes.clone()))
    }

    fn decide(&mut self, certificate: CommitCertificate) -> Result<(), DiskError> {
        let mut guard = self.disk();
        let disk = &mut *guard;
        if disk.broken {
            return Err(DiskError::Broken);
        }
        let Kept { bytes, applied, .. } = disk.kept.remove(&certificate.block).ok_or(DiskError::Lost)?;
        let (checked, applied) = applied.ok_or(DiskError::Lost)?;
        let validators = disk.state.validators().unwrap();
        certificate.verify(&disk.rules.chain, &validators).expect("the engine decides by certificates that hold");
        disk.state.write(applied.executed.changes, applied.tree);
        disk.header = *checked.header();
        let at = Instant::now();
        for envelope in checked.envelopes() {
            disk.decided_at.insert(envelope.hash(), at);
        }
        disk.pool.retain(|envelope| !disk.decided_at.contains_key(&envelope.hash()));
        let height = disk.header.height;
        disk.blocks.insert(height, Decided { bytes, certificate, validators });
        disk.kept.clear();
        disk.proposed.clear();
        drop(guard);
        self.head.send_replace(height);
        Ok(())
    }

    fn finalised(&mut self, certificate: CommitCertificate, evidence: Vec<Conflict>) -> Result<(), DiskError> {
        let mut disk = self.disk();
        disk.evidence.extend(evidence);
        if let Some(decided) = disk.blocks.get_mut(&certificate.height) {
            decided.certificate = certificate;
        }
        drop(disk);
        self.head.send_modify(|_| ());
        Ok(())
    }

    fn decided(&self, height: Height) -> Result<Option<Decided>, DiskError> {
        Ok(self.disk().blocks.get(&height).cloned())
    }

    fn earliest(&self) -> Result<Height, DiskError> {
        Ok(1)
    }
}
