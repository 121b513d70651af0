//! An epoch's record, believed: proven by a header, and counted again from headers and certificates (RULES §9).

use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::{CertificateError, CommitCertificate, Header};
use crate::encoding::{self, Ascending, Wire};
use crate::id::{ChainId, SourceId, ValidatorsHash};
use crate::light::{CertifiedHeader, LightError};
use crate::record::{EpochRecord, Line};
use crate::state::StateKey;
use crate::time::Height;
use crate::tree::{ProofError, StateProof};
use crate::validators::ValidatorSet;

/// An epoch's record with what proves it: a header that was decided, and the row's place in its state.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProvenRecord {
    /// A header with its certificate, of any block after which the record was there.
    pub head: CertifiedHeader,
    /// The row.
    pub row: StateProof,
}

/// Why a record is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// See [`LightError`].
    #[error(transparent)]
    Header(#[from] LightError),
    /// See [`ProofError`].
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Of something else.
    #[error("what is proven is not an epoch's record: whoever sent it is wrong; ask another relay")]
    NoRecord,
    /// The epoch goes on.
    #[error("the epoch is not over, so that its record is not complete: ask again when the next one has begun")]
    Running,
}

impl ProvenRecord {
    /// The record, complete, if `validators` decided the header: those that the reader trusts for its height, from a
    /// [`LightClient`](crate::light::LightClient) or from following the changes by themselves.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn verify(&self, chain: &ChainId, validators: &ValidatorSet) -> Result<EpochRecord, RecordError> {
        let Self { head, row } = self;
        head.verify(chain, validators)?;
        row.verify(head.header.state_root)?;
        let (StateKey::Record(epoch), Some(bytes)) = (row.key, &row.row) else { return Err(RecordError::NoRecord) };
        let record: EpochRecord = encoding::decode(bytes.as_slice()).map_err(|_| RecordError::NoRecord)?;
        match record.last {
            _ if record.epoch != epoch => Err(RecordError::NoRecord),
            None => Err(RecordError::Running),
            Some(_) => Ok(record),
        }
    }
}

impl Wire for ProvenRecord {
    const NAME: &'static str = "a proven record";
    const MAX_LEN: usize = CertifiedHeader::MAX_LEN + StateProof::MAX_LEN;
}

/// Counts an epoch again, from its blocks' headers and the certificates that the blocks after them carry.
#[derive(Clone, Debug)]
pub struct Recount {
    chain: ChainId,
    validators: ValidatorSet,
    validators_hash: ValidatorsHash,
    last: Header,
    counted: EpochRecord,
}

/// Why a recount does not go on, or does not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecountError {
    /// A header that does not follow the last one.
    #[error("the header of height {0} does not follow the one before it")]
    Gap(Height),
    /// A certificate that is not the one the header commits to.
    #[error("the certificate is not the one that the header of height {0} commits to")]
    OtherCertificate(Height),
    /// A certificate that certifies nothing.
    #[error("the certificate of height {height}: {error}")]
    Certificate {
        /// Of which height.
        height: Height,
        /// Why not.
        error: CertificateError,
    },
    /// Decided by a set that is not known.
    #[error("the block of height {0} is decided by validators that were not given")]
    OtherValidators(Height),
    /// A line that says otherwise.
    #[error(
        "the record's line of {0} is not what the headers say: the state that was decided contradicts its blocks; tell the hospitals"
    )]
    Line(SourceId),
    /// Another epoch, or only a part of it was counted.
    #[error("the record is of other blocks: from height {first}, and {counted} blocks were counted from height {from}")]
    OtherBlocks {
        /// The record's first height.
        first: Height,
        /// The recount's.
        from: Height,
        /// How many were counted.
        counted: u64,
    },
}

impl Recount {
    /// Begins with the epoch's first block, which the caller believes to be decided (see [`crate::light`]), and the set
    /// that decided it.
    ///
    /// # Errors
    /// [`RecountError::OtherValidators`].
    pub fn begin(first: &Header, validators: ValidatorSet) -> Result<Self, RecountError> {
        let (height, began) = (first.height, first.time);
        let counted = EpochRecord { epoch: 0, first: height, began, last: None, lines: Ascending::new() };
        let validators_hash = validators.hash(&first.chain);
        if validators_hash != first.validators {
            return Err(RecountError::OtherValidators(first.height));
        }
        Ok(Self { chain: first.chain, validators, validators_hash, last: *first, counted })
    }

    /// Tells who decides from the next block on, where the last header says that others do.
    ///
    /// # Errors
    /// [`RecountError::OtherValidators`].
    pub fn change(&mut self, next: ValidatorSet) -> Result<(), RecountError> {
        let hash = next.hash(&self.chain);
        if hash != self.last.next_validators {
            return Err(RecountError::OtherValidators(self.last.height.saturating_add(1)));
        }
        (self.validators, self.validators_hash) = (next, hash);
        Ok(())
    }

    /// Counts the last block, with the certificate that `next`, the block after it, carries.
    ///
    /// # Errors
    /// [`RecountError`]; nothing is counted then.
    pub fn count(&mut self, commit: &CommitCertificate, next: &Header) -> Result<(), RecountError> {
        let height = self.last.height;
        if next.previous != self.last.id() || height.checked_add(1) != Some(next.height) {
            return Err(RecountError::Gap(next.height));
        }
        let of_last = (commit.height, commit.block) == (height, next.previous);
        if !of_last || CommitCertificate::digest_of(Some(commit), &self.chain) != next.last_commit {
            return Err(RecountError::OtherCertificate(next.height));
        }
        if self.validators_hash != self.last.validators {
            return Err(RecountError::OtherValidators(height));
        }
        let verified = commit.verify(&self.chain, &self.validators);
        verified.map_err(|error| RecountError::Certificate { height, error })?;
        self.counted.count(&self.chain, &self.validators, commit);
        self.last = *next;
        Ok(())
    }

    /// Holds a record against what was counted: proposals and votes, line by line.
    ///
    /// Power, equivocations and studies do not follow from headers; they are the state's, and proven with the record
    /// itself.
    ///
    /// # Errors
    /// [`RecountError::OtherBlocks`], or [`RecountError::Line`] of the first line that says otherwise.
    pub fn compare(&self, record: &EpochRecord) -> Result<(), RecountError> {
        let (from, counted) = (self.counted.first, self.last.height.saturating_sub(self.counted.first));
        // The last block counted is the one before the last one handed in.
        let to_the_end = record.last.is_none_or(|last| last.checked_add(1) == Some(self.last.height));
        if record.first != from || !to_the_end {
            return Err(RecountError::OtherBlocks { first: record.first, from, counted });
        }
        let follows = |line: &Line| Line { power: 0, equivocations: 0, studies: 0, ..*line };
        let all = self.counted.lines.iter().chain(&record.lines).map(|line| line.source);
        for source in all {
            let of = |record: &EpochRecord| record.lines.find(&source).map_or(Line::of(source), follows);
            if of(record) != of(&self.counted) {
                return Err(RecountError::Line(source));
            }
        }
        Ok(())
    }
}
