//! The chain of a study's receipts: each names the one before.

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Entry, Receipt};
use crate::encoding::Wire;
use crate::id::{ChainId, ReceiptDigest, SourceId, StudyId};
use crate::time::Timestamp;

/// How far a study's receipts are known: what the next one must follow. Whoever keeps it notices later when a source shows other
/// receipts than it showed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tip {
    /// The sequence of the next one.
    pub next: u64,
    /// The digest of the last one; zeros before the first.
    pub last: ReceiptDigest,
    /// When the last one was written.
    pub at: Timestamp,
}

impl Wire for Tip {
    const NAME: &'static str = "how far receipts are known";
    const MAX_LEN: usize = 48;
}

/// Why a receipt does not go on from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Another source's.
    #[error("the receipt is another source's")]
    OtherSource,
    /// Another study's.
    #[error("the receipt is of another study")]
    OtherStudy,
    /// One is left out, or there already.
    #[error("receipt {given} does not follow: the next is {due}")]
    Sequence {
        /// As signed.
        given: u64,
        /// The next.
        due: u64,
    },
    /// It follows another receipt than the one that was shown.
    #[error("receipt {0} follows another receipt than the one known here: the source has changed what it wrote")]
    Previous(u64),
    /// Time goes back.
    #[error("receipt {0} is from before the one that it follows")]
    Time(u64),
    /// An end without a beginning.
    #[error("receipt {0} ends, or goes on with, what had not begun")]
    NotOpened(u64),
}

impl Tip {
    /// Before the first.
    pub const START: Self = Self { next: 0, last: ReceiptDigest::NONE, at: Timestamp(0) };

    /// Just before a receipt, on its own word: to start from the first one that is still kept.
    #[must_use]
    pub const fn before(receipt: &Receipt) -> Self {
        Self { next: receipt.sequence, last: receipt.previous, at: receipt.at }
    }

    /// Goes on by one receipt. Its signatures are another matter ([`SignedReceipt::verify`](super::SignedReceipt::verify)).
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn follow(
        self,
        chain: &ChainId,
        (source, study): (SourceId, StudyId),
        receipt: &Receipt,
    ) -> Result<Self, ChainError> {
        let Receipt { source: of, signer: _, study: on, sequence, previous, at, unlisted: _, entry, blinding: _ } =
            receipt;
        if *of != source {
            return Err(ChainError::OtherSource);
        }
        if *on != study {
            return Err(ChainError::OtherStudy);
        }
        if *sequence != self.next {
            return Err(ChainError::Sequence { given: *sequence, due: self.next });
        }
        if *previous != self.last {
            return Err(ChainError::Previous(*sequence));
        }
        if *at < self.at {
            return Err(ChainError::Time(*sequence));
        }
        let before = match entry {
            Entry::Closed(closed) => Some(closed.opened),
            entry => entry.opening().and_then(|opening| opening.resumes),
        };
        if before.is_some_and(|before| before >= *sequence) {
            return Err(ChainError::NotOpened(*sequence));
        }
        let next = sequence.checked_add(1).ok_or(ChainError::Sequence { given: *sequence, due: self.next })?;
        Ok(Self { next, last: receipt.digest(chain), at: *at })
    }
}
