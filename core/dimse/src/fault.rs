//! Faults: why an association cannot go on, and what the peer is told.

use std::io::{self, ErrorKind};

use super::pdu::Abort;

/// What a peer did that no implementation of DICOM does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A unit of a type that there is not.
    #[error("it sent a PDU of type {0}, which is none; it may not speak DICOM")]
    UnknownPdu(u8),
    /// A unit that has no place here.
    #[error("it sent a PDU of type {0} where none may be")]
    UnexpectedPdu(u8),
    /// A unit above the length agreed on.
    #[error("it sent a PDU of {len} bytes where {most} were agreed on")]
    PduTooLong {
        /// Bytes it claims.
        len: u32,
        /// Bytes it may have.
        most: u32,
    },
    /// A unit whose inside does not fit its outside.
    #[error("it sent a PDU that is damaged")]
    MalformedPdu,
    /// A fragment in a presentation context that was not accepted.
    #[error("it sent something in presentation context {0}, which was not accepted")]
    Context(u8),
    /// A fragment of another kind, or in another context, than the message begun.
    #[error("it sent a fragment that does not continue the message it began")]
    Fragment,
    /// A command set that is none, or too long.
    #[error("it sent a command set that is damaged or too long")]
    Command,
    /// Data far beyond the limit, after it had been passed.
    #[error("it went on sending when an object had passed every limit")]
    Endless,
}

impl Violation {
    /// What it is told. The upper layer speaks of units; messages are the business of its user (PS3.8 §9.2, table 9-26).
    pub(super) const fn abort(self) -> Abort {
        match self {
            Self::UnknownPdu(_) => Abort::UNRECOGNISED_PDU,
            Self::UnexpectedPdu(_) => Abort::UNEXPECTED_PDU,
            Self::PduTooLong { .. } | Self::MalformedPdu | Self::Context(_) => Abort::INVALID_PARAMETER,
            Self::Fragment | Self::Command | Self::Endless => Abort::User,
        }
    }
}

/// Why an association cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The peer hung up.
    Closed,
    /// The peer aborted.
    Aborted(Abort),
    /// The peer was too slow.
    TimedOut,
    /// The peer broke the rules.
    Violation(Violation),
    /// The connection failed.
    Io(ErrorKind),
    /// It was told to stop from here.
    Stopped,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Self::Closed,
            kind => Self::Io(kind),
        }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
