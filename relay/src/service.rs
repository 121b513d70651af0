//! What a relay answers its operator: the same whether it is running, over its socket, or not, straight from its stores.

use std::sync::Arc;

use clavicle_consensus::Waker;
use clavicle_ledger::block::Header;
use clavicle_ledger::encoding::{self, DecodeError};
use clavicle_ledger::execute::{self, ExecuteError, Rejection};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::{BlockTime, LocalTime};
use clavicle_ledger::transaction::{Envelope, StatelessError};
use serde::{Deserialize, Serialize};

use crate::mempool::{Mempool, Put};
use crate::store::{ChainStore, StoreError};

/// A relay as its operator sees it.
#[derive(Clone)]
pub struct Service {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: SourceId,
    /// The network.
    pub genesis: Arc<Genesis>,
    /// The chain.
    pub store: Arc<ChainStore>,
    /// What waits for a block.
    pub mempool: Arc<Mempool>,
    /// Reads the clock.
    pub clock: fn() -> LocalTime,
    /// Tells the engine that something waits; none while the relay is not running.
    pub waker: Option<Waker>,
}

/// What became of a transaction that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The transaction's id.
    pub transaction: String,
    /// The envelope's hash, by which its inclusion is proven.
    pub envelope: String,
    /// The height at which it was executed, if it was already.
    pub executed_at: Option<u64>,
}

/// Why a transaction was not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Not a transaction.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Wrong whatever the state.
    #[error(transparent)]
    Stateless(#[from] StatelessError),
    /// Wrong now.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No room.
    #[error("too many transactions wait for a block: try again in a minute")]
    Full,
    /// The relay is not running.
    #[error("the relay is not running, and takes nothing in")]
    NotRunning,
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl<E: Into<StoreError>> From<ExecuteError<E>> for SubmitError {
    fn from(error: ExecuteError<E>) -> Self {
        match error {
            ExecuteError::Read(ReadError::Storage(error)) => Self::Service(ServiceError::Store(error.into())),
            ExecuteError::Read(ReadError::Corrupt { error, .. }) => {
                Self::Service(ServiceError::Store(StoreError::Damaged { what: "a row", error }))
            }
            ExecuteError::Envelope { rejection, .. } => Self::Rejected(rejection),
            // Height and time are the service's own, made to fit.
            _ => Self::Service(ServiceError::Store(StoreError::Damaged { what: "the head", error: None })),
        }
    }
}

/// How a relay is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: String,
    /// The network's name.
    pub network: String,
    /// Its chain id.
    pub chain: String,
    /// The newest block's height.
    pub height: u64,
    /// Its id.
    pub block: String,
    /// Its state root.
    pub state_root: String,
    /// How long ago it was made, in milliseconds.
    pub age_ms: u64,
    /// Whether it is recent enough to serve studies on.
    pub fresh: bool,
    /// The epoch it is in.
    pub epoch: u64,
    /// Studies this hospital has registered.
    pub studies: u64,
    /// Validators that decide the next block.
    pub validators: usize,
    /// Whether this hospital is one of them.
    pub votes: bool,
}

/// A validator as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorRow {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: String,
    /// Its voting power.
    pub power: u64,
    /// Whether it is this relay's own.
    pub own: bool,
}

/// Why a relay could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
}

impl Service {
    /// How the relay is.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn status(&self) -> Result<Status, ServiceError> {
        let snapshot = self.store.snapshot()?;
        let (header, head, rules): (Header, _, _) = (self.store.head()?, snapshot.head()?, snapshot.rules()?);
        let set = snapshot.validators()?;
        let age_ms = (self.clock)().0.since(header.time.timestamp());
        Ok(Status {
            name: self.name.clone(),
            source: self.source.to_string(),
            network: self.genesis.name.to_string(),
            chain: header.chain.to_string(),
            height: header.height,
            block: header.id().to_string(),
            state_root: header.state_root.to_string(),
            age_ms,
            fresh: age_ms <= rules.parameters.fresh_ms,
            epoch: head.epoch,
            studies: snapshot.activity(self.source)?.studies_in_all,
            validators: set.validators.len(),
            votes: set.validators.find(&self.source).is_some(),
        })
    }

    /// Takes in an encoded envelope: checks it, puts it where it waits for a block, wakes the engine. One that was executed
    /// before is an answer, not an error, so that whoever is unsure can ask again.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub fn submit(&self, bytes: &[u8]) -> Result<Submitted, SubmitError> {
        let waker = self.waker.as_ref().ok_or(SubmitError::NotRunning)?;
        let envelope = encoding::decode::<Envelope>(bytes)?.check_stateless(&self.genesis.chain_id())?;
        let executed_at = self.store.find_envelope(&envelope.hash()).map_err(ServiceError::from)?;
        let submitted = Submitted {
            transaction: envelope.id().to_string(),
            envelope: envelope.hash().to_string(),
            executed_at: executed_at.map(|(height, _)| height),
        };
        if submitted.executed_at.is_some() {
            return Ok(submitted);
        }
        let snapshot = self.store.snapshot().map_err(ServiceError::from)?;
        execute::admit(&snapshot, BlockTime((self.clock)().0), &envelope)?;
        match self.mempool.put(envelope) {
            Put::Full => Err(SubmitError::Full),
            Put::Waits | Put::Waited => {
                waker.wake();
                Ok(submitted)
            }
        }
    }

    /// Who decides the next block.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn validators(&self) -> Result<Vec<ValidatorRow>, ServiceError> {
        let snapshot = self.store.snapshot()?;
        let row = |validator: &clavicle_ledger::validators::Validator| {
            let source = snapshot.source(validator.source)?;
            Ok(ValidatorRow {
                name: source.map_or_else(String::new, |source| source.announced.name.to_string()),
                source: validator.source.to_string(),
                power: validator.power,
                own: validator.source == self.source,
            })
        };
        snapshot.validators()?.validators.iter().map(row).collect()
    }
}

impl Status {
    /// The status in lines for a person.
    #[must_use]
    pub fn lines(&self) -> String {
        let Self { name, network, chain, height, age_ms, fresh, epoch, studies, validators, votes, .. } = self;
        let seconds = age_ms / 1_000;
        let fresh = if *fresh {
            "fresh"
        } else {
            "too old to serve studies on: is the relay running, and can it reach the others?"
        };
        let vote = if *votes { "this hospital among them" } else { "this hospital not among them" };
        format!(
            "{name} in the network {network}\nchain       {chain}\nheight      {height} (epoch {epoch}), {seconds} s old: {fresh}\nvalidators  {validators}, {vote}\nstudies     {studies} registered"
        )
    }
}

/// The validators in lines for a person.
#[must_use]
pub fn validator_lines(rows: &[ValidatorRow]) -> String {
    let total: u64 = rows.iter().map(|row| row.power).sum();
    let line = |row: &ValidatorRow| {
        let own = if row.own { "  ← this one" } else { "" };
        format!("{:>6} of {total}  {}{own}", row.power, row.name)
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
