//! The sender (SCU): an association with somebody's archive, over which files are sent as they are.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use clavicle_manifest::Uid;
use dicom_dictionary_std::uids;

use super::associate::{AssociateAc, AssociateRq, MAX_CONTEXTS, Proposed};
use super::command::{Command, RESPONSE, Status};
use super::fault::{Fault, Violation};
use super::message::{self, Message};
use super::pdu::{self, Abort, Rejection};
use super::proposal::{Proposal, StoreFile};
use super::syntax::{ACCEPTANCE, Context};
use super::title::AeTitle;
use super::wire::Wire;

/// The data units that are taken. Nothing but responses is expected.
const MAX_PDU: u32 = 16 << 10;
/// Most transfer syntaxes of a proposal. There are some 60.
const MAX_TRANSFER_SYNTAXES: usize = 256;

/// Whom to call.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its AE title.
    pub called: AeTitle,
    /// The AE title to call with.
    pub calling: AeTitle,
    /// How long a step may take: to connect, to accept, to answer.
    pub timeout: Duration,
}

/// An association with a peer that stores.
#[derive(Debug)]
pub struct Association {
    wire: Wire,
    contexts: Vec<Context>,
    max_pdu: u32,
    next_message: u16,
    is_over: bool,
}

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScuError {
    /// More proposals than an association can have, or one with none or too many transfer syntaxes.
    #[error("an association can propose up to {MAX_CONTEXTS} contexts, each with at least one transfer syntax")]
    Proposals,
    /// Nobody listens there.
    #[error("{address} cannot be connected to")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The peer wants no association.
    #[error("the peer rejected the association: {0}")]
    Rejected(Rejection),
    /// The peer does not take objects of this class in this transfer syntax.
    #[error("the peer does not take objects of this class in this transfer syntax")]
    NotAccepted,
    /// The peer aborted.
    #[error("the peer aborted the association")]
    Aborted,
    /// The peer hung up.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer did not answer.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The peer broke the rules.
    #[error("the peer cannot be understood: {0}")]
    Violation(Violation),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(ErrorKind),
    /// The file could not be read to its end.
    #[error("the file could not be read to its end")]
    File(#[source] io::Error),
}

impl From<Fault> for ScuError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Closed | Fault::Stopped => Self::Closed,
            Fault::Aborted(_) => Self::Aborted,
            Fault::TimedOut => Self::TimedOut,
            Fault::Violation(violation) => Self::Violation(violation),
            Fault::Io(kind) => Self::Io(kind),
        }
    }
}

impl Association {
    /// Connects, and asks for an association.
    ///
    /// # Errors
    /// [`ScuError`]; that nothing of what was proposed is accepted is none.
    pub fn request(peer: &Peer, proposals: &[Proposal]) -> Result<Self, ScuError> {
        let is_sensible = |one: &Proposal| (1..=MAX_TRANSFER_SYNTAXES).contains(&one.transfer_syntaxes.len());
        if !(1..=MAX_CONTEXTS).contains(&proposals.len()) || !proposals.iter().all(is_sensible) {
            return Err(ScuError::Proposals);
        }
        let Peer { address, called, calling, timeout } = peer;
        let connect = || {
            let stream = TcpStream::connect_timeout(address, *timeout)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = connect().map_err(|source| ScuError::Connect { address: *address, source })?;
        let mut wire = Wire::new(stream, Arc::default(), *timeout, MAX_PDU);
        let numbered = (1..=u8::MAX).step_by(2).zip(proposals);
        let proposed: Vec<Proposed> = numbered
            .map(|(id, one)| Proposed {
                id,
                abstract_syntax: Some(one.abstract_syntax),
                transfer_syntaxes: one.transfer_syntaxes.clone(),
            })
            .collect();
        let request = AssociateRq {
            version: 1,
            called: called.field(),
            calling: calling.field(),
            application_context: Uid::new(uids::DICOM_APPLICATION_CONTEXT).ok(),
            contexts: proposed,
            max_pdu: MAX_PDU,
        };
        wire.send(&request.encode())?;
        let (kind, body) = wire.opening(&[pdu::ASSOCIATE_AC, pdu::ASSOCIATE_RJ])?;
        if kind == pdu::ASSOCIATE_RJ {
            let rejection = Rejection::decode(&body).map_err(|_| Fault::from(Violation::MalformedPdu))?;
            return Err(ScuError::Rejected(rejection));
        }
        let mut association = Self { wire, contexts: Vec::new(), max_pdu: 0, next_message: 1, is_over: false };
        let answer = AssociateAc::decode(&body).map_err(|_| Fault::from(Violation::MalformedPdu))?;
        association.max_pdu = answer.max_pdu;
        for answered in answer.contexts.iter().filter(|answered| answered.result == ACCEPTANCE) {
            let Some(transfer_syntax) = answered.transfer_syntax else { continue };
            let of_this = request.contexts.iter().find(|one| one.id == answered.id);
            // What was not proposed cannot be accepted.
            let proposed = of_this.filter(|one| one.transfer_syntaxes.contains(&transfer_syntax));
            let Some(abstract_syntax) = proposed.and_then(|one| one.abstract_syntax) else { continue };
            association.contexts.push(Context { id: answered.id, abstract_syntax, transfer_syntax });
        }
        Ok(association)
    }

    /// Whether objects of this class can be sent in this transfer syntax.
    #[must_use]
    pub fn takes(&self, abstract_syntax: Uid, transfer_syntax: Uid) -> bool {
        message::context_for(&self.contexts, abstract_syntax, Some(transfer_syntax)).is_some()
    }

    /// Asks for a sign of life (C-ECHO).
    ///
    /// # Errors
    /// [`ScuError`].
    pub fn echo(&mut self) -> Result<Status, ScuError> {
        let Proposal { abstract_syntax, .. } = Proposal::verification();
        let context = self.context(abstract_syntax, None)?;
        let message_id = self.message_id();
        message::send_command(&mut self.wire, &context, &Command::echo(message_id, abstract_syntax))?;
        self.response(&context, message_id).map(|(status, _)| status)
    }

    /// Sends a file (C-STORE), and gives the peer's answer: the status, and a comment if there is one. Whether that is good is
    /// for [`Status::is_stored`] to say. The bytes of the data set are those of the file, but for what is not in order in it
    /// (see [`Repair`](clavicle_dicom::Repair)), and for odd lengths, which the standard forbids: these are padded.
    ///
    /// # Errors
    /// [`ScuError`]. After another than [`ScuError::NotAccepted`], the association is over.
    pub fn store(&mut self, file: &mut StoreFile) -> Result<(Status, Option<String>), ScuError> {
        let context = self.context(file.meta.class, Some(file.meta.transfer_syntax))?;
        let message_id = self.message_id();
        let command = Command::store(message_id, file.meta.class, file.meta.instance);
        let len = file.len();
        let mut data_set = file.data_set().map_err(ScuError::File)?;
        let sent = message::send_command(&mut self.wire, &context, &command)
            .and_then(|()| message::send_data_set(&mut self.wire, &context, self.max_pdu, &mut data_set, len));
        match sent {
            Ok(Ok(())) => self.response(&context, message_id),
            Ok(Err(error)) => {
                self.abort();
                Err(ScuError::File(error))
            }
            // It may have said why before it hung up.
            Err(Fault::Closed) => self.response(&context, message_id).and(Err(ScuError::Closed)),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Ends the association in good order.
    ///
    /// # Errors
    /// [`ScuError`], at which the association is over as well.
    pub fn release(mut self) -> Result<(), ScuError> {
        self.is_over = true;
        self.wire.renew();
        self.wire.send(&pdu::release(pdu::RELEASE_RQ))?;
        match message::command(&mut self.wire, &self.contexts)? {
            Message::ReleaseRp => Ok(()),
            Message::ReleaseRq => Ok(self.wire.send(&pdu::release(pdu::RELEASE_RP))?),
            Message::Command(..) => Err(Fault::from(Violation::UnexpectedPdu(pdu::P_DATA)).into()),
        }
    }

    fn context(&self, abstract_syntax: Uid, transfer_syntax: Option<Uid>) -> Result<Context, ScuError> {
        message::context_for(&self.contexts, abstract_syntax, transfer_syntax).copied().ok_or(ScuError::NotAccepted)
    }

    fn message_id(&mut self) -> u16 {
        let message_id = self.next_message;
        self.next_message = self.next_message.checked_add(1).unwrap_or(1);
        message_id
    }

    /// Reads the response to a message.
    fn response(&mut self, context: &Context, message_id: u16) -> Result<(Status, Option<String>), ScuError> {
        self.wire.renew();
        let (of, response) = match message::command(&mut self.wire, &self.contexts)? {
            Message::Command(of, response) => (of, response),
            Message::ReleaseRq => return Err(Fault::from(Violation::UnexpectedPdu(pdu::RELEASE_RQ)).into()),
            Message::ReleaseRp => return Err(Fault::from(Violation::UnexpectedPdu(pdu::RELEASE_RP)).into()),
        };
        let is_to_this = of.id == context.id && response.responds_to == Some(message_id);
        match response.status {
            Some(status) if is_to_this && response.field & RESPONSE != 0 && !response.has_data_set => {
                Ok((status, response.comment))
            }
            _ => {
                self.abort();
                Err(Fault::from(Violation::Command).into())
            }
        }
    }

    fn abort(&mut self) {
        self.is_over = true;
        let _ = self.wire.send(&Abort::User.encode());
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        if !self.is_over {
            self.abort();
        }
    }
}
