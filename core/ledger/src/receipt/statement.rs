//! What a source shows of a study's receipts, and what proves that they were anchored.

use alloc::boxed::Box;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{ChainError, Inclusion, NotIncluded, ReceiptError, SignedReceipt, Tip};
use crate::action::Anchor;
use crate::block::{Header, InclusionError, InclusionProof};
use crate::encoding::{Ascending, Entry, Wire};
use crate::id::{ChainId, SourceId, StudyId};
use crate::key::Key;
use crate::light::CertifiedHeader;
use crate::time::Height;
use crate::transaction::{Action, Envelope};

/// The most receipts in a statement.
pub const MAX_STATED: usize = 256;
/// The most anchors in a statement.
pub const MAX_STATED_ANCHORS: usize = 64;

/// That an anchor was executed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProvenAnchor {
    /// Its place in the source's row of anchors.
    pub sequence: u64,
    /// The transaction.
    pub envelope: Box<Envelope>,
    /// Its place in its block.
    pub place: InclusionProof,
    /// The block. Whether it is the network's, a light client says: [`accept`](crate::light::LightClient::accept), or
    /// [`recall`](crate::light::LightClient::recall) if it is from before a change of validators.
    pub header: CertifiedHeader,
}

/// Why an anchor is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnprovenAnchor {
    /// In a header that is not believed.
    #[error("the block at height {0} that the anchor is said to be in is not believed")]
    Header(Height),
    /// Not in the block.
    #[error(transparent)]
    Inclusion(#[from] InclusionError),
    /// Not an anchor, or not this one.
    #[error("the transaction is not the anchor that it is said to be")]
    OtherAction,
    /// Another source's.
    #[error("the anchor is not this source's")]
    OtherSource,
}

impl ProvenAnchor {
    /// Verifies that the anchor is in the block, and is by one of the source's operational `keys`. `believed` says whether a header is
    /// the network's.
    ///
    /// # Errors
    /// [`UnprovenAnchor`].
    pub fn verify(&self, keys: &[Key], believed: impl FnOnce(&Header) -> bool) -> Result<&Anchor, UnprovenAnchor> {
        let Self { sequence, envelope, place, header: CertifiedHeader { header, certificate: _ } } = self;
        if !believed(header) {
            return Err(UnprovenAnchor::Header(header.height));
        }
        place.verify(header, &envelope.hash())?;
        let Action::Anchor(anchor) = &envelope.body.action else { return Err(UnprovenAnchor::OtherAction) };
        if anchor.sequence != *sequence {
            return Err(UnprovenAnchor::OtherAction);
        }
        if keys.contains(&anchor.source) { Ok(anchor) } else { Err(UnprovenAnchor::OtherSource) }
    }
}

impl Entry for ProvenAnchor {
    type Key = u64;
    fn key(&self) -> &u64 {
        &self.sequence
    }
}

/// Where a receipt is anchored.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Anchored {
    /// The anchor's place in the source's row of anchors.
    pub anchor: u64,
    /// The receipt's place in it.
    pub inclusion: Inclusion,
}

/// A receipt, and where it is anchored if it is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Stated {
    /// The receipt.
    pub receipt: SignedReceipt,
    /// Where it is anchored.
    pub anchored: Option<Anchored>,
}

impl Entry for Stated {
    type Key = u64;
    fn key(&self) -> &u64 {
        &self.receipt.receipt.sequence
    }
}

/// Receipts of a study, one after another, and the anchors that they are in.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Statement {
    /// The receipts.
    pub receipts: Ascending<Stated, MAX_STATED>,
    /// The anchors.
    pub anchors: Ascending<ProvenAnchor, MAX_STATED_ANCHORS>,
    /// Whether there are more receipts after these.
    pub more: bool,
}

/// Why a statement is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// See [`ChainError`].
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// See [`ReceiptError`].
    #[error("receipt {sequence}: {error}")]
    Receipt {
        /// Which.
        sequence: u64,
        /// Why.
        error: ReceiptError,
    },
    /// See [`UnprovenAnchor`].
    #[error("anchor {sequence}: {error}")]
    Anchor {
        /// Which.
        sequence: u64,
        /// Why.
        error: UnprovenAnchor,
    },
    /// See [`NotIncluded`].
    #[error("receipt {sequence}: {error}")]
    NotIncluded {
        /// Which.
        sequence: u64,
        /// Why.
        error: NotIncluded,
    },
    /// In an anchor that did not come with it.
    #[error("receipt {0} is said to be in an anchor that does not come with it")]
    NoAnchor(u64),
}

impl Statement {
    /// Verifies all of it: that the receipts go on from what is known, `tip`, are signed by one of the source's operational `keys`, and
    /// are in the anchors that they are said to be in. Returns how far they are known then. `believed` says whether a header is the network's.
    ///
    /// # Errors
    /// [`StatementError`]; nothing of it is to be believed then.
    pub fn verify(
        &self,
        chain: &ChainId,
        (source, study): (SourceId, StudyId),
        tip: Tip,
        keys: &[Key],
        believed: impl Fn(&Header) -> bool,
    ) -> Result<Tip, StatementError> {
        for anchor in &self.anchors {
            let sequence = anchor.sequence;
            anchor.verify(keys, &believed).map_err(|error| StatementError::Anchor { sequence, error })?;
        }
        let mut tip = tip;
        for Stated { receipt, anchored } in &self.receipts {
            tip = tip.follow(chain, (source, study), &receipt.receipt)?;
            let sequence = receipt.receipt.sequence;
            receipt.verify(chain, source, keys).map_err(|error| StatementError::Receipt { sequence, error })?;
            let Some(Anchored { anchor, inclusion }) = anchored else { continue };
            let proven = self.anchors.find(anchor).ok_or(StatementError::NoAnchor(sequence))?;
            let Action::Anchor(anchor) = &proven.envelope.body.action else {
                return Err(StatementError::NoAnchor(sequence));
            };
            let included = inclusion.verify(chain, anchor, &tip.last);
            included.map_err(|error| StatementError::NotIncluded { sequence, error })?;
        }
        Ok(tip)
    }

    /// Takes one receipt out with all that proves it, to be shown to anybody.
    #[must_use]
    pub fn single(&self, sequence: u64) -> Option<AnchoredReceipt> {
        let Stated { receipt, anchored } = self.receipts.find(&sequence)?;
        let Anchored { anchor, inclusion } = anchored.as_ref()?;
        let anchor = self.anchors.find(anchor)?.clone();
        Some(AnchoredReceipt { receipt: receipt.clone(), inclusion: inclusion.clone(), anchor })
    }
}

/// A receipt with all that proves it to whoever believes the header.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AnchoredReceipt {
    /// The receipt.
    pub receipt: SignedReceipt,
    /// Its place in the anchor.
    pub inclusion: Inclusion,
    /// The anchor.
    pub anchor: ProvenAnchor,
}

impl AnchoredReceipt {
    /// Verifies that `source` signed the receipt and committed to it, at the latest at the height that is returned. `keys` are the
    /// source's operational keys, now or formerly in force; `believed` says whether a header is the network's.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify(
        &self,
        chain: &ChainId,
        source: SourceId,
        keys: &[Key],
        believed: impl FnOnce(&Header) -> bool,
    ) -> Result<Height, StatementError> {
        let Self { receipt, inclusion, anchor } = self;
        let sequence = receipt.receipt.sequence;
        receipt.verify(chain, source, keys).map_err(|error| StatementError::Receipt { sequence, error })?;
        let verified = anchor.verify(keys, believed);
        let root = verified.map_err(|error| StatementError::Anchor { sequence: anchor.sequence, error })?;
        let included = inclusion.verify(chain, root, &receipt.receipt.digest(chain));
        included.map_err(|error| StatementError::NotIncluded { sequence, error })?;
        Ok(anchor.header.header.height)
    }
}

impl Wire for ProvenAnchor {
    const NAME: &'static str = "a proven anchor";
    const MAX_LEN: usize = 8 + Envelope::MAX_LEN + InclusionProof::MAX_LEN + CertifiedHeader::MAX_LEN;
}

impl Wire for Statement {
    const NAME: &'static str = "a statement of receipts";
    const MAX_LEN: usize = 2 * 1024 * 1024;
}

impl Wire for AnchoredReceipt {
    const NAME: &'static str = "an anchored receipt";
    const MAX_LEN: usize = SignedReceipt::MAX_LEN + Inclusion::MAX_LEN + ProvenAnchor::MAX_LEN;
}
