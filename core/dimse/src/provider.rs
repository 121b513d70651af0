//! One association, from the side that was called: negotiated, served, and brought to its end.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use clavicle_manifest::Uid;
use dicom_dictionary_std::uids;

use super::associate::{AssociateAc, AssociateRq};
use super::command::{C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ, Command, RESPONSE, Status};
use super::connections::{Connections, Place};
use super::fault::{Fault, Violation};
use super::message::{self, Message};
use super::meta::Meta;
use super::pdu::{self, Abort, Rejection};
use super::settings::Settings;
use super::sink::{Arriving, Declined, End, Ended, Received, Refusal, RefusalStatus, Sink};
use super::spool::{Spool, Unfinished};
use super::syntax::{self, Context};
use super::title::AeTitle;
use super::wire::Wire;

/// How long whoever connected may take to ask for an association, at most (the ARTIM timer of PS3.8 §9.1.4). Senders
/// ask at once.
const OPENING: Duration = Duration::from_secs(10);
/// What is read of the data sets of commands that are not served here, which are queries and the like.
const MAX_UNSERVED: u64 = 1 << 20;
/// What is read of an object beyond its limit, apart from as much again, so that the sender can be told.
const MORE: u64 = 64 << 20;

/// What all associations share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) spool: Spool,
    pub(super) sink: std::sync::Arc<dyn Sink>,
    pub(super) connections: Connections,
}

/// An association, or a connection that may become one.
struct Provider<'a> {
    shared: &'a Shared,
    place: &'a Place<'a>,
    peer: SocketAddr,
    wire: Wire,
    ended: Ended,
}

/// Who speaks to whom, in which contexts.
struct Parties {
    calling: AeTitle,
    called: AeTitle,
    contexts: Vec<Context>,
}

/// What a request is answered.
type Answer = (Status, Option<String>);

/// Serves a connection to its end, and tells the sink.
pub(super) fn serve(shared: &Shared, place: &Place<'_>, stream: TcpStream, peer: SocketAddr) {
    let from = Instant::now();
    let Settings { timeout, max_pdu, .. } = shared.settings;
    let wire = Wire::new(stream, place.stop.clone(), timeout, max_pdu);
    let mut provider = Provider { shared, place, peer, wire, ended: Ended::new(peer, End::Closed) };
    let end = provider.run();
    let Provider { wire, mut ended, .. } = provider;
    place.dissociate();
    ended.end = match end {
        Ok(end) => end,
        Err(Fault::Stopped) if !shared.connections.is_stopping() => End::GaveWay,
        Err(fault) => fault.into(),
    };
    ended.lasted = from.elapsed();
    // Said before the goodbye, which may take as long as the peer likes.
    tell(shared, &ended);
    if matches!(ended.end, End::Released | End::Rejected(_) | End::Violation(_) | End::TimedOut) {
        wire.hang_up();
    }
}

/// Tells the sink how a connection went.
pub(super) fn tell(shared: &Shared, ended: &Ended) {
    drop(catch_unwind(AssertUnwindSafe(|| shared.sink.ended(ended))));
}

impl Provider<'_> {
    fn run(&mut self) -> Result<End, Fault> {
        let mut is_association = false;
        let end = match self.open() {
            Ok(Ok(parties)) => {
                is_association = true;
                self.serve(&parties)
            }
            Ok(Err(rejection)) => self.wire.send(&rejection.encode()).map(|()| End::Rejected(rejection)),
            Err(fault) => Err(fault),
        };
        let abort = match end {
            // Before there is an association, it is not the upper layer that aborts (PS3.8 table 9-10, AA-1).
            Err(Fault::Violation(_)) if !is_association => Some(Abort::User),
            Err(Fault::Violation(violation)) => Some(violation.abort()),
            Err(Fault::TimedOut | Fault::Stopped) if is_association => Some(Abort::User),
            _ => None,
        };
        if let Some(abort) = abort {
            // It ends in any case, whether the peer hears of it or not.
            let _ = self.wire.send(&abort.encode());
        }
        end
    }

    /// Hears the request, and accepts or rejects it.
    fn open(&mut self) -> Result<Result<Parties, Rejection>, Fault> {
        self.wire.hurry(OPENING);
        let (_, body) = self.wire.opening(&[pdu::ASSOCIATE_RQ])?;
        let request = AssociateRq::decode(&body).map_err(|_| Violation::MalformedPdu)?;
        let called = AeTitle::of_field(&request.called).ok();
        self.ended.called.clone_from(&called);
        let Ok(calling) = AeTitle::of_field(&request.calling) else { return Ok(Err(Rejection::Calling)) };
        self.ended.calling = Some(calling.clone());
        if request.version & 1 == 0 {
            return Ok(Err(Rejection::Version));
        }
        if request.application_context.is_none_or(|uid| uid.as_str() != uids::DICOM_APPLICATION_CONTEXT) {
            return Ok(Err(Rejection::ApplicationContext));
        }
        let settings = &self.shared.settings;
        let called = called.filter(|title| settings.may_be_called(title));
        let Some(called) = called else { return Ok(Err(Rejection::Called)) };
        if !settings.may_call(&calling) {
            return Ok(Err(Rejection::Calling));
        }
        if !self.place.associate() {
            return Ok(Err(Rejection::LocalLimit));
        }
        let (answers, contexts) = syntax::negotiate(&request.contexts);
        self.ended.declined = answers.len().saturating_sub(contexts.len());
        let AssociateRq { called: called_field, calling: calling_field, .. } = request;
        let max_pdu = settings.max_pdu;
        let answer = AssociateAc { called: called_field, calling: calling_field, contexts: answers, max_pdu };
        self.wire.send(&answer.encode())?;
        Ok(Ok(Parties { calling, called, contexts }))
    }

    /// Serves one command after the other, until the peer wants no more.
    fn serve(&mut self, parties: &Parties) -> Result<End, Fault> {
        loop {
            self.wire.renew();
            let (context, command) = match message::command(&mut self.wire, &parties.contexts)? {
                Message::Command(context, command) => (context, command),
                Message::ReleaseRq => {
                    self.wire.send(&pdu::release(pdu::RELEASE_RP))?;
                    return Ok(End::Released);
                }
                Message::ReleaseRp => return Err(Violation::UnexpectedPdu(pdu::RELEASE_RP).into()),
            };
            if command.field == C_CANCEL_RQ {
                // There is nothing that could be cancelled, and it has no response.
                continue;
            }
            let (Some(message_id), true) = (command.message_id, command.field & RESPONSE == 0) else {
                return Err(Violation::Command.into());
            };
            let (status, comment) = match command.field {
                C_STORE_RQ => self.store(parties, &context, &command)?,
                C_ECHO_RQ => self.echo(&context, &command)?,
                _ => {
                    self.pass_over(&context, &command)?;
                    self.declined(parties, Status::UNRECOGNISED_OPERATION, "there is no such command here".to_owned());
                    (Status::UNRECOGNISED_OPERATION, None)
                }
            };
            let response = command.response(message_id, status, comment.as_deref());
            message::send_command(&mut self.wire, &context, &response)?;
        }
    }

    fn echo(&mut self, context: &Context, command: &Command) -> Result<Answer, Fault> {
        self.pass_over(context, command)?;
        if !syntax::is_verification(&context.abstract_syntax) {
            return Ok((Status::SOP_CLASS_NOT_SUPPORTED, None));
        }
        self.ended.echoes += 1;
        Ok((Status::SUCCESS, None))
    }

    /// Reads over a data set that has no business here.
    fn pass_over(&mut self, context: &Context, command: &Command) -> Result<(), Fault> {
        if command.has_data_set {
            self.ended.bytes += message::data_set(&mut self.wire, context, MAX_UNSERVED, |_| {})?;
        }
        Ok(())
    }

    /// Receives an object.
    fn store(&mut self, parties: &Parties, context: &Context, command: &Command) -> Result<Answer, Fault> {
        let answer = match self.receive(parties, context, command)? {
            Ok(()) => {
                self.ended.stored += 1;
                self.place.renew();
                (Status::SUCCESS, None)
            }
            Err((status, comment)) => {
                self.ended.refused += 1;
                self.declined(parties, status, comment.clone());
                (status, Some(comment))
            }
        };
        Ok(answer)
    }

    fn receive(
        &mut self,
        parties: &Parties,
        context: &Context,
        command: &Command,
    ) -> Result<Result<(), (Status, String)>, Fault> {
        let Shared { settings, spool, .. } = self.shared;
        if !command.has_data_set {
            return Ok(Err(refused(Status::MISTYPED_ARGUMENT, "no data set follows")));
        }
        let mut file = announced(context, command).and_then(|(class, instance)| {
            let allowance = self.shared.sink.arriving(&self.arriving(parties)).map_err(told)?;
            let source = Some(parties.calling.clone());
            let meta = Meta { class, instance, transfer_syntax: context.transfer_syntax, source };
            let file = begin(spool, &meta).map_err(|error| unwritten(&error))?;
            Ok((meta, file, allowance))
        });
        let (limit, mut len) = (settings.max_object, 0);
        let most = limit.saturating_mul(2).saturating_add(MORE);
        let received = message::data_set(&mut self.wire, context, most, |piece| {
            len += piece.len() as u64;
            let Ok((_, unfinished, allowance)) = &mut file else { return };
            if len > limit {
                file = Err(refused(Status::OUT_OF_RESOURCES, "the object is larger than may be stored here"));
            } else if let Err(refusal) = allowance.more(piece.len() as u64) {
                file = Err(told(refusal));
            } else if let Err(error) = unfinished.write(piece) {
                file = Err(unwritten(&error));
            }
        });
        self.ended.bytes += len;
        received?;
        // The allowance ends when the sink has it.
        Ok(file.and_then(|(meta, file, _allowance)| {
            if len == 0 {
                return Err(refused(Status::CANNOT_UNDERSTAND, "the data set is empty"));
            }
            let (path, size) = file.finish().map_err(|error| unwritten(&error))?;
            self.hand_over(Received {
                path,
                size,
                sop_class_uid: meta.class,
                sop_instance_uid: meta.instance,
                transfer_syntax_uid: meta.transfer_syntax,
                calling: parties.calling.clone(),
                called: parties.called.clone(),
                peer: self.peer,
            })
        }))
    }

    /// Tells the sink what was refused.
    fn declined(&self, parties: &Parties, status: Status, comment: String) {
        let (object, why) = (self.arriving(parties), Declined { status, comment });
        drop(catch_unwind(AssertUnwindSafe(|| self.shared.sink.refused(&object, &why))));
    }

    /// What arrives, by who sends it.
    fn arriving(&self, parties: &Parties) -> Arriving {
        Arriving::new(parties.calling.clone(), parties.called.clone(), self.peer)
    }

    /// Lets the sink decide.
    fn hand_over(&self, object: Received) -> Result<(), (Status, String)> {
        let decided = catch_unwind(AssertUnwindSafe(|| self.shared.sink.received(&object)));
        let decided = decided.unwrap_or_else(|_| {
            Err(Refusal::new(RefusalStatus::ProcessingFailure, "taking the object over failed; please report it"))
        });
        decided.map_err(|refusal| {
            // The sink may have moved it, to look into it later.
            drop(fs::remove_file(&object.path));
            told(refusal)
        })
    }
}

/// What the command says is sent: class and instance.
fn announced(context: &Context, command: &Command) -> Result<(Uid, Uid), (Status, String)> {
    let class = command.class.ok_or_else(|| refused(Status::MISTYPED_ARGUMENT, "the SOP Class UID is none"))?;
    if class != context.abstract_syntax || !syntax::is_storage(&class) {
        let comment = "the SOP Class is not that of the presentation context";
        return Err(refused(Status::SOP_CLASS_NOT_SUPPORTED, comment));
    }
    let instance =
        command.instance.ok_or_else(|| refused(Status::INVALID_SOP_INSTANCE, "the SOP Instance UID is none"))?;
    Ok((class, instance))
}

fn begin<'a>(spool: &'a Spool, meta: &Meta) -> io::Result<Unfinished<'a>> {
    let mut file = spool.begin()?;
    file.write(&meta.encode())?;
    Ok(file)
}

fn refused(status: Status, comment: &str) -> (Status, String) {
    (status, comment.to_owned())
}

/// What the sender is told of a refusal.
fn told(refusal: Refusal) -> (Status, String) {
    (refusal.status().into(), refusal.comment().to_owned())
}

fn unwritten(error: &io::Error) -> (Status, String) {
    let comment = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full",
        _ => "the object could not be written",
    };
    refused(Status::OUT_OF_RESOURCES, comment)
}
