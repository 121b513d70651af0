//! The sink: who takes what was received, and hears how each connection ended.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::ErrorKind;
use std::path::PathBuf;

use clavicle_manifest::Uid;

use super::command::{Status, line};
use super::fault::{Fault, Violation};
use super::pdu::Rejection;
use super::title::AeTitle;

/// Takes what was received. Called from the threads of the associations, several at once.
pub trait Sink: Send + Sync {
    /// An object is about to arrive. What comes of it is asked room for, piece by piece, before it is written.
    ///
    /// # Errors
    /// [`Refusal`], which the sender is told when it has sent the object: there is no way to stop it before. The association goes on.
    fn arriving(&self, object: &Arriving) -> Result<Box<dyn Allowance>, Refusal> {
        let _ = object;
        Ok(Box::new(Unbounded))
    }

    /// An object is there, whole and on the disk. The sender is told of success when this agrees, and waits until it does. What
    /// becomes of the file is up to the sink, which may move it; when it refuses, what is left of the file is removed.
    ///
    /// The same object may come again: when the answer does not arrive, a sender tries once more.
    ///
    /// # Errors
    /// [`Refusal`], which the sender is told.
    fn received(&self, object: &Received) -> Result<(), Refusal>;

    /// An object was refused, by this sink or before it came to that, or a command that is not served here; its sender is about to be told. For a
    /// record of it.
    fn refused(&self, object: &Arriving, why: &Declined) {
        let _ = (object, why);
    }

    /// A connection has ended, or was turned away.
    fn ended(&self, association: &Ended) {
        let _ = association;
    }
}

/// An object that is about to arrive, by who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arriving {
    /// Who sends it, in the sender's words.
    pub calling: AeTitle,
    /// By which title the receiver was called.
    pub called: AeTitle,
    /// Where it comes from.
    pub peer: SocketAddr,
}

impl Arriving {
    pub(super) fn new(calling: AeTitle, called: AeTitle, peer: SocketAddr) -> Self {
        Self { calling, called, peer }
    }
}

/// What the sender of a refused object or command is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {comment}")]
#[non_exhaustive]
pub struct Declined {
    /// The status of the response.
    pub status: Status,
    /// Its comment, of which 64 characters are sent.
    pub comment: String,
}

/// Room for one object while it arrives. Dropped when the sink has it, or it is refused or broken off.
pub trait Allowance {
    /// So many bytes more are about to be written.
    ///
    /// # Errors
    /// [`Refusal`]; nothing more of the object is written, and what was is removed.
    fn more(&mut self, bytes: u64) -> Result<(), Refusal>;
}

/// Whatever comes.
struct Unbounded;

impl Allowance for Unbounded {
    fn more(&mut self, _: u64) -> Result<(), Refusal> {
        Ok(())
    }
}

/// An object that was received. What is said of it is what the sender said; nobody has looked into the data set yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The file.
    pub path: PathBuf,
    /// How many bytes it has.
    pub size: u64,
    /// Its SOP Class UID.
    pub sop_class_uid: Uid,
    /// Its SOP Instance UID.
    pub sop_instance_uid: Uid,
    /// What the data set is encoded in.
    pub transfer_syntax_uid: Uid,
    /// Who sent it, in the sender's words.
    pub calling: AeTitle,
    /// By which title the receiver was called.
    pub called: AeTitle,
    /// Where it came from.
    pub peer: SocketAddr,
}

/// Why an object is refused, in what a sender understands (PS3.4 §B.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalStatus {
    /// Cannot understand (C000): the data set cannot be read.
    CannotUnderstand,
    /// Data set does not match (A900) the SOP Class or the instance that were announced.
    DataSetDoesNotMatch,
    /// Not authorised (0124): not from this sender.
    NotAuthorised,
    /// Out of resources (A700): not now.
    OutOfResources,
    /// Processing failure (0110): something is wrong here.
    ProcessingFailure,
}

/// A refusal: a status, and a sentence for whoever reads the sender's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: RefusalStatus,
    comment: String,
}

impl Refusal {
    /// A refusal. Of the comment, 64 characters are sent (Error Comment (0000,0902)), and `?` in place of what is not ASCII.
    #[must_use]
    pub fn new(status: RefusalStatus, comment: &str) -> Self {
        Self { status, comment: line(comment.as_bytes()) }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> RefusalStatus {
        self.status
    }

    /// Its comment, as it is sent.
    #[must_use]
    pub fn comment(&self) -> &str {
        &self.comment
    }
}

impl From<RefusalStatus> for Status {
    fn from(status: RefusalStatus) -> Self {
        match status {
            RefusalStatus::CannotUnderstand => Self::CANNOT_UNDERSTAND,
            RefusalStatus::DataSetDoesNotMatch => Self::DATA_SET_DOES_NOT_MATCH,
            RefusalStatus::NotAuthorised => Self::NOT_AUTHORISED,
            RefusalStatus::OutOfResources => Self::OUT_OF_RESOURCES,
            RefusalStatus::ProcessingFailure => Self::PROCESSING_FAILURE,
        }
    }
}

/// How a connection went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Where it came from.
    pub peer: SocketAddr,
    /// Who called, if that was ever said and is a title.
    pub calling: Option<AeTitle>,
    /// By which title the receiver was called, in the same way.
    pub called: Option<AeTitle>,
    /// Presentation contexts that it proposed and that were not accepted.
    pub declined: usize,
    /// Objects that were stored.
    pub stored: u64,
    /// Objects that were refused.
    pub refused: u64,
    /// Bytes of data sets received, those of refused and unfinished objects included.
    pub bytes: u64,
    /// C-ECHO requests answered.
    pub echoes: u64,
    /// How long it lasted.
    pub lasted: Duration,
    /// Why it ended.
    pub end: End,
}

impl Ended {
    /// Of somebody who has just connected.
    pub(super) fn new(peer: SocketAddr, end: End) -> Self {
        let nothing = Duration::ZERO;
        let (calling, called) = (None, None);
        Self { peer, calling, called, declined: 0, stored: 0, refused: 0, bytes: 0, echoes: 0, lasted: nothing, end }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// As it should: the peer released the association.
    #[error("the peer released the association")]
    Released,
    /// The peer aborted.
    #[error("the peer aborted the association")]
    Aborted,
    /// The peer hung up.
    #[error("the peer closed the connection without a word")]
    Closed,
    /// The peer was too slow.
    #[error("the peer sent nothing, or too little, for too long")]
    TimedOut,
    /// There were too many, the most of them from its address, and of those it was the longest silent.
    #[error("others wanted to be heard, and of the address with the most connections this one was the longest silent")]
    GaveWay,
    /// There were as many connections as there may be, and none to give way. It was closed without a word.
    #[error("there are as many connections as there may be")]
    TurnedAway,
    /// The association was rejected.
    #[error("the association was rejected: {0}")]
    Rejected(Rejection),
    /// The peer broke the rules, and was told so.
    #[error("the association was aborted: {0}")]
    Violation(Violation),
    /// The receiver was stopped.
    #[error("the receiver was stopped")]
    Stopped,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(ErrorKind),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Closed => Self::Closed,
            Fault::Aborted(_) => Self::Aborted,
            Fault::TimedOut => Self::TimedOut,
            Fault::Violation(violation) => Self::Violation(violation),
            Fault::Io(kind) => Self::Io(kind),
            Fault::Stopped => Self::Stopped,
        }
    }
}
