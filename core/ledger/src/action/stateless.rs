//! What can be said of an action whatever the state: where it stands within a block, and why it is refused.

use super::{DefineSourceError, DefineStudyError, DelegateError, EvidenceError, GrantError, VoteError};
use crate::key::{KeyError, SignatureError};
use crate::signatures::MAX_ENVELOPE_LEN;

/// The order of kinds within a block (RULES §3 "Order in a block"): what stops something goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// Veto.
    Veto,
    /// Revoke and Undelegate.
    Revoke,
    /// SetStatus.
    SetStatus,
    /// Everything else, in the proposer's order.
    Rest,
}

/// Why a transaction is refused whatever the state. Whoever forwards such a one is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatelessError {
    /// Too long to travel.
    #[error("the transaction is {0} bytes long and may be {MAX_ENVELOPE_LEN} at most")]
    TooLong(usize),
    /// Not as many signatures as signers.
    #[error("the transaction carries {given} signatures and needs {due}")]
    SignatureCount {
        /// Signatures there are.
        given: usize,
        /// Signatures there must be.
        due: usize,
    },
    /// One key where two parties must sign.
    #[error("one key signs for two parties")]
    SignerTwice,
    /// A signature that does not hold.
    #[error("signature {index}: {error}")]
    Signature {
        /// Which, from 0.
        index: usize,
        /// Why not.
        error: SignatureError,
    },
    /// A key to be stored that is not acceptable.
    #[error("the key of a {role}: {error}")]
    Key {
        /// Whose.
        role: &'static str,
        /// Why not.
        error: KeyError,
    },
    /// See [`DefineSourceError`].
    #[error(transparent)]
    DefineSource(#[from] DefineSourceError),
    /// See [`DefineStudyError`].
    #[error(transparent)]
    DefineStudy(#[from] DefineStudyError),
    /// See [`GrantError`].
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// See [`DelegateError`].
    #[error(transparent)]
    Delegate(#[from] DelegateError),
    /// See [`VoteError`].
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// See [`EvidenceError`].
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}
