//! Taking transactions in: from the operator, from wallets, from other relays, from this relay's own counter.
//!
//! Checked, then put where it waits for a block, then handed on. A revocation of a study that this relay serves binds it before any of
//! that is said to have happened: it is on the disk first.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use clavicle_consensus::Waker;
use clavicle_ledger::authorise::seen_revocation;
use clavicle_ledger::encoding::{self, DecodeError};
use clavicle_ledger::execute::{self, ExecuteError, Rejection};
use clavicle_ledger::id::{EnvelopeHash, SourceId, StudyId, TxId};
use clavicle_ledger::key::Key;
use clavicle_ledger::pool::{Put, lane_of};
use clavicle_ledger::receipt::{Entry, SignedReceipt};
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::{BlockTime, Height, LocalTime};
use clavicle_ledger::transaction::{Action, Envelope, StatelessError, Verified};
use tokio::sync::watch;

use crate::member::Member;
use crate::mempool::Mempool;
use crate::seldom::seldom;
use crate::store::receipts::Writing;
use crate::store::{ChainStore, Receipts, Remembered, Seen, SeenError, Snapshot, StoreError};
use crate::timekeeper::Timekeeper;

/// Takes transactions in.
pub struct Submission {
    /// This source, and the network.
    pub member: Arc<Member>,
    /// The chain.
    pub store: Arc<ChainStore>,
    /// What waits for a block.
    pub mempool: Arc<Mempool>,
    /// Revocations that bind before they are in a block.
    pub seen: Arc<Seen>,
    /// Says that a revocation was seen, to whoever delivered it.
    pub receipts: Arc<Receipts>,
    /// Reads the clock.
    pub clock: fn() -> LocalTime,
    /// Dates what is written down.
    pub timekeeper: Arc<Timekeeper>,
    /// Who hears of what is taken in; nobody while the relay is not running, and then nothing is.
    pub running: OnceLock<Running>,
}

/// Who hears of transactions that are taken in, while the relay runs.
pub struct Running {
    /// Tells the engine that something waits.
    pub waker: Waker,
    /// Hands a transaction on to the other relays.
    pub publish: Box<dyn Fn(Vec<u8>) + Send + Sync>,
    /// The network keys of the relays that are connected now.
    pub connected: watch::Receiver<BTreeSet<Key>>,
}

/// Where a transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Somebody who gave it to this relay, which hands it on.
    Somebody,
    /// Gossip, which hands it on by itself.
    Gossip,
}

/// What became of a transaction that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub transaction: TxId,
    /// Its hash, by which its inclusion is proven.
    pub envelope: EnvelopeHash,
    /// What became of it.
    pub fate: Fate,
    /// Of a revocation on a study of this source, given to it by somebody: since when it binds.
    pub receipt: Option<Box<SignedReceipt>>,
}

/// What became of a transaction that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits for a block, since now.
    Waits,
    /// It waited already.
    Waited,
    /// It was executed at this height.
    Executed(Height),
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
    /// No room for more by its signer.
    #[error(
        "too many transactions by this key on this study, or against this validator, wait for a block: try again in a minute"
    )]
    TooMany,
    /// The relay is not running.
    #[error("the relay is not running, and takes nothing in")]
    NotRunning,
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<E: Into<StoreError>> std::convert::From<ExecuteError<E>> for SubmitError {
    fn from(error: ExecuteError<E>) -> Self {
        match error {
            ExecuteError::Read(error) => Self::Store(read_error(error)),
            ExecuteError::Envelope { rejection, .. } => Self::Rejected(rejection),
            // Height and time are this relay's own, made to fit.
            _ => Self::Store(StoreError::damaged("the head", None)),
        }
    }
}

/// The receipt for a revocation, when it is on the disk.
fn given(writing: Option<Writing>) -> Option<Box<SignedReceipt>> {
    match writing?.wait() {
        Ok(receipt) => Some(Box::new(receipt)),
        Err(error) => {
            seldom!(warn!(%error, "there is no receipt for a revocation, which binds all the same"));
            None
        }
    }
}

/// Whether a study is on the ledger, and this source's to answer for.
pub(crate) fn is_kept_by(snapshot: &Snapshot, source: SourceId, study: StudyId) -> Result<bool, ReadError<StoreError>> {
    let Some(study) = snapshot.study(study)? else { return Ok(false) };
    Ok(study.source == source || snapshot.keeper(&study)? == source)
}

fn read_error<E: Into<StoreError>>(error: ReadError<E>) -> StoreError {
    match error {
        ReadError::Storage(error) => error.into(),
        ReadError::Corrupt { error, .. } => StoreError::damaged("a row", error),
        _ => StoreError::damaged("a row", None),
    }
}

impl Submission {
    /// Takes in an encoded envelope. One that waits or was executed is an answer, not an error, so that whoever is unsure can ask again.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub fn take(&self, bytes: &[u8], from: From) -> Result<Taken, SubmitError> {
        let running = self.running.get().ok_or(SubmitError::NotRunning)?;
        let envelope: Envelope = encoding::decode(bytes)?;
        let (hash, id) = (envelope.hash(), envelope.body.id(&self.member.chain));
        let taken = |fate| Taken { transaction: id, envelope: hash, fate, receipt: None };
        let revoked = match &envelope.body.action {
            Action::Revoke(revoke) if from == From::Somebody => Some((revoke.study, revoke.grant)),
            _ => None,
        };
        let known = |fate| -> Result<Taken, SubmitError> {
            let receipt = revoked.map(|(study, grant)| self.receipts.revocation(study, grant)).transpose()?;
            Ok(Taken { receipt: receipt.flatten().map(Box::new), ..taken(fate) })
        };
        // What is known by its hash was checked before it became known.
        if let Some((height, _)) = self.store.find_envelope(&hash)? {
            let mut known = known(Fate::Executed(height))?;
            if revoked.is_some() && known.receipt.is_none() {
                // It came in a block before it came by itself, or its receipt is on its way to the disk still.
                let envelope = envelope.check_stateless(&self.member.chain)?;
                known.receipt = given(self.remember(&self.store.snapshot()?, &envelope)?);
            }
            return Ok(known);
        }
        if let Some(waits) = self.mempool.find(&hash) {
            // Its receipt may be on its way to the disk still: whoever brings the same by another way waits for that one.
            let writing = if revoked.is_some() { self.remember(&self.store.snapshot()?, &waits)? } else { None };
            return Ok(Taken { receipt: given(writing), ..taken(Fate::Waited) });
        }
        let envelope = envelope.check_stateless(&self.member.chain)?;
        let snapshot = self.store.snapshot()?;
        let writing = self.remember(&snapshot, &envelope)?;
        if let Err(refused) = execute::admit(&snapshot, BlockTime((self.clock)().0), &envelope) {
            // A block may have taken it since it was looked for: then it cannot be executed, because it was.
            return match self.store.find_envelope(&hash)? {
                Some((height, _)) => known(Fate::Executed(height)),
                None => Err(refused.into()),
            };
        }
        let lane = lane_of(&snapshot, &envelope).map_err(read_error)?;
        match self.mempool.put(envelope, lane) {
            Put::Full => return Err(SubmitError::Full),
            Put::TooMany => return Err(SubmitError::TooMany),
            Put::Waited => {
                let writing = writing.filter(|_| from == From::Somebody);
                return Ok(Taken { receipt: given(writing), ..taken(Fate::Waited) });
            }
            Put::Waits => {}
        }
        running.waker.wake();
        if from == From::Somebody {
            (running.publish)(bytes.to_vec());
        }
        // Last, since nothing but the answer waits for it.
        let receipt = given(writing.filter(|_| from == From::Somebody));
        Ok(Taken { receipt, ..taken(Fate::Waits) })
    }

    /// Lets a revocation bind, whatever becomes of its transaction, and has that written down: if the study is this source's to serve.
    /// Of any other it only waits for a block, as every transaction does.
    fn remember(&self, snapshot: &Snapshot, envelope: &Verified) -> Result<Option<Writing>, SubmitError> {
        let Some(seen) = seen_revocation(snapshot, envelope).map_err(read_error)? else { return Ok(None) };
        let (study, grave) = seen;
        if !is_kept_by(snapshot, self.member.source, study).map_err(read_error)? {
            return Ok(None);
        }
        match self.seen.remember(snapshot, envelope, seen) {
            // Whoever is being sent the study is asked about again now.
            Ok(Remembered::New | Remembered::Closed) => self.store.note(),
            Ok(Remembered::Known | Remembered::Settled | Remembered::StillClosed) => {}
            Err(SeenError::Store(error)) => return Err(error.into()),
            Err(SeenError::State(error)) => return Err(read_error(error).into()),
        }
        // It binds already, and what may fail now does not change that.
        let entry = Entry::RevocationSeen { grant: grave.grant };
        Ok(self.receipts.append(study, self.timekeeper.dated(&self.store), entry).ok())
    }

    /// Puts what is remembered and in no block where it waits for one: after a start, and now and then, since a proposer drops what its
    /// state refuses.
    ///
    /// # Errors
    /// [`SubmitError`], of the store alone; what cannot be executed now is passed over.
    pub fn resume(&self) -> Result<(), SubmitError> {
        for envelope in self.seen.envelopes()? {
            let taken = self.take(&encoding::encode(&envelope), From::Somebody);
            if let Err(error @ (SubmitError::Store(_) | SubmitError::NotRunning)) = taken {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submission").field("chain", &self.member.chain).finish_non_exhaustive()
    }
}
