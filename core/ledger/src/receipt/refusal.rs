//! Why somebody was refused, as a receipt says it: for the holder, who may know, in a code that stays the same.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::authorise::Refused;

/// Why somebody was refused. What the gate tells apart for the operator and is the same to a holder is one code here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum RefusalReason {
    /// The source could not decide: for a fault of its own, or because it could not reach the ledger.
    Unavailable,
    /// What was said was not signed by the key of the connection, meant for another source, or said at another time.
    Hello,
    /// The key does not hold the study.
    NotHolder,
    /// No such grant is live: never made, revoked, replaced or ended.
    NoGrant,
    /// The grant is to another key.
    NotGrantee,
    /// The grant has not begun.
    NotYet,
    /// The grant has ended.
    Ended,
    /// The delegation that it was granted under has ended.
    DelegationOver,
    /// The terms are not those of the grant, or not such as it may have.
    Terms,
    /// The series that it names are not in the study any more.
    SeriesGone,
    /// The study is suspended, withdrawn or frozen.
    Status,
    /// A revocation was seen that is not in a block yet.
    RevocationSeen,
    /// Nobody who may act signed for it.
    Member,
    /// It was opened as often as the terms allow.
    Openings,
}

impl<E> From<&Refused<E>> for RefusalReason {
    fn from(refused: &Refused<E>) -> Self {
        match refused {
            Refused::Read(_)
            | Refused::Unconfirmed(_)
            | Refused::ClockBehind { .. }
            | Refused::ClockAhead { .. }
            | Refused::Stale { .. }
            | Refused::UnknownStudy
            | Refused::NotOurStudy => Self::Unavailable,
            Refused::OtherSource | Refused::Signature(_) | Refused::Member(_) | Refused::HelloTime { .. } => {
                Self::Hello
            }
            Refused::NoMember | Refused::NoReason => Self::Member,
            Refused::NotHolder => Self::NotHolder,
            Refused::NoGrant => Self::NoGrant,
            Refused::NotGrantee => Self::NotGrantee,
            Refused::NotYet(_) => Self::NotYet,
            Refused::Over(_) | Refused::Expired(_) => Self::Ended,
            Refused::DelegationOver => Self::DelegationOver,
            Refused::OtherTerms
            | Refused::ExpiryMismatch { .. }
            | Refused::NotBrief(_)
            | Refused::Emergency
            | Refused::EmptyScope
            | Refused::Revision(_) => Self::Terms,
            Refused::Status(_) => Self::Status,
            Refused::RevocationSeen => Self::RevocationSeen,
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the hospital could not decide, or could not reach the ledger",
            Self::Hello => "what was said was not signed by the key it came with, or not now, or not to this hospital",
            Self::NotHolder => "the key does not hold the study",
            Self::NoGrant => "no such grant was live",
            Self::NotGrantee => "the grant is to another key",
            Self::NotYet => "the grant had not begun",
            Self::Ended => "the grant had ended",
            Self::DelegationOver => "the delegation it was granted under had ended",
            Self::Terms => "the terms were not those of the grant",
            Self::SeriesGone => "the series it names were not in the study any more",
            Self::Status => "the study was not served",
            Self::RevocationSeen => "the grant was revoked",
            Self::Member => "nobody who may act for them signed for it, or gave the reason for an emergency",
            Self::Openings => "it had been opened as often as the terms allow",
        })
    }
}
