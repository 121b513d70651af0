//! The keeper of the chain: builds blocks, judges others' blocks, commits what was decided.
//!
//! It is what stands between the engine, which knows rounds and votes, and the ledger, which knows what a block does. Every
//! valid block is on the disk before the keeper says so, and what the block does is remembered by its id, so that deciding
//! is one write. It runs on one thread; the store under it can be read from any.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use clavicle_consensus::{Application, Candidate, Decided, Neighbour, Origin, Undecided, Verdict};
use clavicle_ledger::action::{Conflict, Evidence};
use clavicle_ledger::block::{
    self, Applied, ApplyError, Block, BlockError, CheckedBlock, CommitCertificate, Header, SealError,
};
use clavicle_ledger::encoding;
use clavicle_ledger::execute::{self, ExecuteError, Rejection};
use clavicle_ledger::id::{BlockId, EnvelopeHash, SourceId};
use clavicle_ledger::pool::Lane;
use clavicle_ledger::state::{ReadError, ReadRows as _, Rules};
use clavicle_ledger::time::{BlockTime, Height, LocalTime};
use clavicle_ledger::transaction::{Action, Body, Envelope, StatelessError, Verified};
use clavicle_ledger::tree::TreeError;
use clavicle_ledger::validators::ValidatorSet;
use tracing::warn;

use crate::made::StoreName;
use crate::mempool::Mempool;
use crate::store::{ChainStore, CommitError, ProposalStore, Snapshot, StoreError};

/// The most blocks whose effects are remembered; of others they are worked out again.
const MAX_WORKED_OUT: usize = 8;

/// The most equivocations, the newest, that are put up again after a start.
const MAX_EVIDENCE: usize = 64;

/// Builds, judges and commits blocks.
pub struct Keeper {
    store: Arc<ChainStore>,
    proposals: ProposalStore,
    mempool: Arc<Mempool>,
    source: SourceId,
    clock: Box<dyn Fn() -> LocalTime + Send>,
    worked_out: BTreeMap<BlockId, (CheckedBlock, Applied)>,
}

/// Why the keeper cannot go on. Never because of a block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`CommitError`].
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// The tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError<StoreError>),
    /// The store's state is not its newest block's.
    #[error("the state on this disk is not that of its newest block: restore it from a snapshot or a backup")]
    OwnState,
    /// A block was decided that was voted for here and is gone.
    #[error("block {0} was decided and is not on this disk, though it was voted for: the disk lost something")]
    NotKept(BlockId),
    /// The network goes on under rules that are not in this software.
    #[error(
        "the network goes on under protocol version {0}, which this software does not know: update it, and start again"
    )]
    Version(u32),
    /// This relay made a block that its own rules refuse: a defect of this software.
    #[error("this relay made a block that it must refuse itself")]
    OwnBlock(#[source] OwnBlockError),
}

/// How this relay's own block was wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnBlockError {
    /// In its form.
    #[error(transparent)]
    Form(BlockError),
    /// In its place or time.
    #[error(transparent)]
    Place(Box<ExecuteError<StoreError>>),
    /// It has no vote at this height, and was asked to propose.
    #[error("this source is no validator at this height")]
    NoValidator,
}

/// Why somebody's block is not valid. For the operator's log: the engine is told only that.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Another height than the next.
    #[error("the block is for height {given}; the next one is {due}")]
    Height {
        /// As given.
        given: Height,
        /// As due.
        due: Height,
    },
    /// In its form.
    #[error(transparent)]
    Form(#[from] BlockError),
    /// In what it does.
    #[error(transparent)]
    Effect(Box<ApplyError<StoreError, StoreError>>),
    /// Made at another time than it says.
    #[error("the block's time is {off_ms} ms off this relay's clock")]
    Time {
        /// How far off.
        off_ms: u64,
    },
    /// Proposed by another than it says, or in another round.
    #[error(
        "the block was first proposed by another source, or in another round, than the one who proposes it first now"
    )]
    Proposer,
    /// Its predecessor was not decided by the certificate in it.
    #[error("the certificate in the block does not prove its predecessor decided: {0}")]
    LastCommit(clavicle_ledger::block::CertificateError),
}

/// How a block came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Proposed for the first time, by this source: its time is checked against the clock.
    First(SourceId),
    /// Proposed again with proof of an earlier round, or decided by the others.
    Again(SourceId),
}

/// What a block was found to be, when the store did not fail.
pub type Judgement = Result<(), Invalid>;

impl Keeper {
    /// A keeper of this chain for `source`, which reads the time from `clock`.
    #[must_use]
    pub fn new(
        store: Arc<ChainStore>,
        proposals: ProposalStore,
        mempool: Arc<Mempool>,
        source: SourceId,
        clock: Box<dyn Fn() -> LocalTime + Send>,
    ) -> Self {
        Self { store, proposals, mempool, source, clock, worked_out: BTreeMap::new() }
    }

    /// The height to decide next, and who decides it.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn next(&self) -> Result<(Height, ValidatorSet), KeeperError> {
        let height = self.store.head()?.height.saturating_add(1);
        let set = self.store.validators(height)?;
        Ok((height, set.ok_or(StoreError::damaged("the validator sets", None))?))
    }

    /// This relay's block for a round: the one it made before, or a new one from what waits.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn propose(&mut self, height: Height, round: u32) -> Result<(BlockId, Vec<u8>), KeeperError> {
        if let Some(id) = self.proposals.own(height, round)? {
            let bytes = self.proposals.block(height, id)?.ok_or(KeeperError::NotKept(id))?;
            return Ok((id, bytes));
        }
        let (head, snapshot) = (self.store.head()?, self.store.snapshot()?);
        let rules = snapshot.rules()?;
        let time = BlockTime((self.clock)().0.max(head.time.timestamp().plus(1)));
        let limits = rules.parameters;
        // By block time: what a clock that was set ahead takes for over is not.
        self.mempool.expire(head.time);
        let waiting = self.mempool.in_turn(limits.block_envelopes as usize, limits.block_bytes as usize);
        let own = |error| match error {
            ExecuteError::Version(version) => KeeperError::Version(version),
            error => KeeperError::OwnBlock(OwnBlockError::Place(Box::new(error))),
        };
        let last_commit = self.store.block(head.height)?.map(|(_, certificate)| certificate);
        let proposal = execute::propose(&snapshot, height, time, last_commit, waiting).map_err(own)?;
        // What failed on this state can fail only more: later in time, or on a state where something stands against it. A
        // full block says nothing about what did not fit.
        // Unless the time is a clock's that was set ahead: what it takes for over is not, and nothing is forgotten for it.
        let ahead = time.timestamp().since(head.time.timestamp()) > limits.fresh_ms;
        let hopeless = |(out, why): &&(Verified, Rejection)| match why {
            Rejection::BlockFull | Rejection::TooEarly { .. } => false,
            _ => !ahead || execute::admit(&snapshot, head.time, out).is_err(),
        };
        let gone: Vec<EnvelopeHash> = proposal.left_out.iter().filter(hopeless).map(|(out, _)| out.hash()).collect();
        self.mempool.remove(&gone);

        let sealed = block::seal(proposal, &snapshot, (&head, &rules), self.source, round);
        let (checked, applied) = sealed.map_err(|error| match error {
            SealError::Tree(error) => KeeperError::Tree(error),
            SealError::Block(error) => KeeperError::OwnBlock(OwnBlockError::Form(error)),
            _ => KeeperError::OwnBlock(OwnBlockError::NoValidator),
        })?;
        let (id, bytes) = (checked.header().id(), encoding::encode(&checked.to_block()));
        self.proposals.keep((height, round), id, self.source, &bytes, true)?;
        self.remember(id, checked, applied);
        Ok((id, bytes))
    }

    /// Judges a block for the next height and keeps it if it is valid.
    ///
    /// # Errors
    /// [`KeeperError`]; a block that is not valid is an answer, not an error.
    pub fn judge(&mut self, block: Block, bytes: &[u8], round: u32, came: Came) -> Result<Judgement, KeeperError> {
        let (id, height) = (block.header.id(), block.header.height);
        let (Came::First(proposer) | Came::Again(proposer)) = came;
        if let Came::First(proposer) = came
            && let Err(invalid) = self.check_first(&block.header, round, proposer)?
        {
            return Ok(Err(invalid));
        }
        if !self.worked_out.contains_key(&id) {
            match self.work_out(block)? {
                Ok((checked, applied)) => self.remember(id, checked, applied),
                Err(invalid) => return Ok(Err(invalid)),
            }
        }
        self.proposals.keep((height, round), id, proposer, bytes, false)?;
        Ok(Ok(()))
    }

    /// What is asked of a block only when it is proposed for the first time.
    fn check_first(&self, header: &Header, round: u32, proposer: SourceId) -> Result<Judgement, KeeperError> {
        let off_ms = header.time.timestamp().0.abs_diff((self.clock)().0.0);
        if off_ms > self.store.snapshot()?.rules()?.parameters.clock_tolerance_ms {
            return Ok(Err(Invalid::Time { off_ms }));
        }
        let said = (header.proposer, header.round);
        Ok(if said == (proposer, round) { Ok(()) } else { Err(Invalid::Proposer) })
    }

    /// Checks a block against the newest one and works out what it does.
    fn work_out(&self, block: Block) -> Result<Result<(CheckedBlock, Applied), Invalid>, KeeperError> {
        let (head, snapshot) = (self.store.head()?, self.store.snapshot()?);
        let (given, due) = (block.header.height, head.height.saturating_add(1));
        if given != due {
            return Ok(Err(Invalid::Height { given, due }));
        }
        if let Some(commit) = &block.last_commit {
            let set = self.store.validators(head.height)?.unwrap_or_default();
            if let Err(error) = commit.verify(&head.chain, &set) {
                return Ok(Err(Invalid::LastCommit(error)));
            }
        }
        let checked = match self.check(block, &snapshot.rules()?) {
            Ok(checked) => checked,
            Err(error) => return Ok(Err(error.into())),
        };
        apply(&snapshot, &head, checked)
    }

    /// Checks a block's form, verifying only signatures that were not verified before, on two cores.
    fn check(&self, block: Block, rules: &Rules) -> Result<CheckedBlock, BlockError> {
        let (count, limits) = (block.envelopes.len(), &rules.parameters);
        if count > limits.block_envelopes as usize {
            return Err(BlockError::TooLarge { envelopes: count, bytes: encoding::encode(&block.envelopes).len() });
        }
        let mempool = &self.mempool;
        let verify = |(index, envelope): (usize, &Envelope)| {
            let known = mempool.find(&envelope.hash());
            let verified = known.map_or_else(|| envelope.clone().check_stateless(&rules.chain), Ok);
            verified.map_err(|error: StatelessError| BlockError::Envelope { index, error })
        };
        let half = count / 2;
        let (left, right) = block.envelopes.split_at(half);
        let (left, right) = std::thread::scope(|scope| {
            let right = scope.spawn(|| (half..).zip(right).map(verify).collect::<Result<Vec<_>, _>>());
            let left = left.iter().enumerate().map(verify).collect::<Result<Vec<_>, _>>();
            (left, right.join())
        });
        let mut envelopes = left?;
        // A panic in there is this software's own and goes on as one.
        envelopes.extend(right.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        CheckedBlock::assemble(block.header, block.last_commit, envelopes, rules)
    }

    fn remember(&mut self, id: BlockId, checked: CheckedBlock, applied: Applied) {
        while self.worked_out.len() >= MAX_WORKED_OUT {
            self.worked_out.pop_first();
        }
        self.worked_out.insert(id, (checked, applied));
    }

    /// Puts evidence up for a block, in nobody's lane. The nonce follows from it, so that relays at one head make the same
    /// transaction; of different ones about the same, one is executed.
    fn accuse(&self, evidence: Vec<Evidence>) -> Result<(), KeeperError> {
        let (head, rules) = (self.store.head()?, self.store.snapshot()?.rules()?);
        for one in evidence {
            let submit_by = head.time.timestamp().plus(rules.parameters.submit_window_ms / 2);
            let mut nonce = [0; 16];
            nonce.copy_from_slice(&blake3::hash(&encoding::encode(&one)).as_bytes()[..16]);
            let envelope = Body { submit_by, nonce, action: Action::Evidence(one) }.sign(&rules.chain, &[]);
            match envelope.and_then(|envelope| envelope.check_stateless(&rules.chain)) {
                Ok(verified) => drop(self.mempool.put(verified, Lane::Nobody)),
                Err(error) => warn!(%error, "what the engine saw is no evidence"),
            }
        }
        Ok(())
    }

    /// Puts up what was seen before this relay stopped, in case it is in no block yet.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn resume(&self) -> Result<(), KeeperError> {
        self.accuse(self.store.evidence(MAX_EVIDENCE)?)
    }

    /// Commits the block that a certificate decided.
    ///
    /// # Errors
    /// [`KeeperError`]; also when the block is not kept here, for then something was lost.
    pub fn decide(&mut self, certificate: &CommitCertificate) -> Result<(), KeeperError> {
        let (height, id) = (certificate.height, certificate.block);
        let (checked, applied) = match self.worked_out.remove(&id) {
            Some(worked_out) => worked_out,
            None => {
                let bytes = self.proposals.block(height, id)?.ok_or(KeeperError::NotKept(id))?;
                let damaged = |error| StoreError::damaged_in(StoreName::Proposals, "a kept block", Some(error));
                let block: Block = encoding::decode(&bytes).map_err(damaged)?;
                self.work_out(block)?.map_err(|_| KeeperError::NotKept(id))?
            }
        };
        self.store.commit(&checked, certificate, &applied)?;
        self.mempool.remove(checked.envelopes().iter().map(Verified::hash).collect::<Vec<_>>().iter());
        // Here too: a relay whose turn to propose never comes must not keep it for ever.
        self.mempool.expire(checked.header().time);
        self.worked_out.clear();
        Ok(self.proposals.forget(height)?)
    }

    /// The valid blocks kept for a height: id, round, proposer.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn undecided(&self, height: Height) -> Result<Vec<(BlockId, u32, SourceId)>, KeeperError> {
        Ok(self.proposals.at(height)?)
    }

    /// A kept block's encoding.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn kept(&self, height: Height, id: BlockId) -> Result<Option<Vec<u8>>, KeeperError> {
        Ok(self.proposals.block(height, id)?)
    }
}

impl Application for Keeper {
    type Error = KeeperError;

    fn next(&self) -> Result<(Height, ValidatorSet), KeeperError> {
        Keeper::next(self)
    }

    fn neighbours(&self) -> Result<Vec<Neighbour>, KeeperError> {
        let snapshot = self.store.snapshot()?;
        let next = snapshot.head()?.epoch.saturating_add(1);
        let mut neighbours = Vec::new();
        for admitted in &snapshot.roster()?.admitted {
            if admitted.source != self.source
                && let Some(source) = snapshot.source(admitted.source)?
            {
                let addresses = source.announced.addresses.consensus.iter().map(ToString::to_string).collect();
                let upcoming = source.decides_in(next);
                neighbours.push(Neighbour { source: admitted.source, addresses, upcoming });
            }
        }
        Ok(neighbours)
    }

    fn pending(&self) -> bool {
        !self.mempool.is_empty()
    }

    fn propose(&mut self, height: Height, round: u32) -> Result<(BlockId, Vec<u8>), KeeperError> {
        Keeper::propose(self, height, round)
    }

    fn validate(&mut self, candidate: Candidate<'_>) -> Result<Verdict, KeeperError> {
        let Candidate { height, id: _, block, bytes, origin } = candidate;
        let came = match origin {
            Origin::Proposed { proposer, .. } => Came::First(proposer),
            Origin::ProposedAgain { proposer, .. } => Came::Again(proposer),
            Origin::Decided { .. } => Came::Again(block.header.proposer),
        };
        Ok(match self.judge(block.clone(), bytes, origin.round(), came)? {
            Ok(()) => Verdict::Valid,
            Err(reason) => {
                warn!(height, round = origin.round(), %reason, "refused a block");
                Verdict::Invalid
            }
        })
    }

    fn undecided(&self, height: Height) -> Result<Vec<Undecided>, KeeperError> {
        let kept = Keeper::undecided(self, height)?;
        Ok(kept.into_iter().map(|(id, round, proposer)| Undecided { id, round, proposer }).collect())
    }

    fn kept(&self, height: Height, block: BlockId) -> Result<Option<Vec<u8>>, KeeperError> {
        Keeper::kept(self, height, block)
    }

    fn decide(&mut self, certificate: CommitCertificate) -> Result<(), KeeperError> {
        Keeper::decide(self, &certificate)
    }

    fn finalised(&mut self, certificate: CommitCertificate, conflicts: Vec<Conflict>) -> Result<(), KeeperError> {
        if conflicts.is_empty() {
            return Ok(self.store.finalise(&certificate, &[])?);
        }
        let set = self.store.validators(certificate.height)?.unwrap_or_default();
        let evidence: Vec<Evidence> = conflicts.into_iter().filter_map(|conflict| evidence(&set, conflict)).collect();
        for one in &evidence {
            warn!(validator = ?one.conflict.validator(), "a validator signed twice where it may sign once");
        }
        self.store.finalise(&certificate, &evidence)?;
        self.accuse(evidence)
    }

    fn decided(&self, height: Height) -> Result<Option<Decided>, KeeperError> {
        let (Some((block, certificate)), Some(validators)) =
            (self.store.block(height)?, self.store.validators(height)?)
        else {
            return Ok(None);
        };
        Ok(Some(Decided { bytes: encoding::encode(&block), certificate, validators }))
    }

    fn earliest(&self) -> Result<Height, KeeperError> {
        Ok(1)
    }
}

/// Evidence of what somebody of the set signed, if it is that.
fn evidence(set: &ValidatorSet, conflict: Conflict) -> Option<Evidence> {
    Evidence::new(set.validators.find(&conflict.validator())?.key, conflict)
}

/// Applies a block, telling what is wrong with it from what is wrong here.
fn apply(
    snapshot: &Snapshot,
    head: &Header,
    checked: CheckedBlock,
) -> Result<Result<(CheckedBlock, Applied), Invalid>, KeeperError> {
    match block::apply(snapshot, snapshot, head, &checked) {
        Ok(applied) => Ok(Ok((checked, applied))),
        Err(ApplyError::Execute(ExecuteError::Read(error))) => Err(error.into()),
        Err(ApplyError::Execute(ExecuteError::Version(version))) => Err(KeeperError::Version(version)),
        Err(ApplyError::Tree(error)) => Err(error.into()),
        Err(ApplyError::OwnState) => Err(KeeperError::OwnState),
        Err(error) => Ok(Err(Invalid::Effect(Box::new(error)))),
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("source", &self.source).finish_non_exhaustive()
    }
}
