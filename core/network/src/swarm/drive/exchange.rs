//! What is asked, answered and gossiped: between the swarm, the desk and what is missing here.

use std::sync::Arc;

use clavicle_admission::Neighbourhood;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::key::Key;
use clavicle_ledger::transaction::Envelope;
use libp2p::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::request_response::{self, InboundRequestId, OutboundFailure, ResponseChannel};
use libp2p::swarm::ConnectionId;
use tokio::time::Instant;
use tracing::debug;

use super::{Drive, INQUIRIES, Inquired};
use crate::desk::{Desk, Received};
use crate::message::{List, MAX_WAITING, MailboxRequest, MailboxResponse, Query, Request, Response, SignedCollection};
use crate::revoke;
use crate::swarm::door::Asker;
use crate::swarm::holding::Holding;
use crate::swarm::key_of;

/// What came out of looking at something that a relay sent.
pub(super) enum Looked {
    /// At a gossiped message.
    Gossip { message: MessageId, from: PeerId, received: Received },
    /// At what waits at a relay: these are missing here.
    Missing { at: PeerId, hashes: Vec<EnvelopeHash> },
    /// At what was missing; whether all of it was sound.
    Taken { from: PeerId, sound: bool },
    /// At a relay's question.
    Question((ResponseChannel<Response>, Response)),
}

/// What came of looking whether there is something in a mailbox.
pub(super) struct Waited {
    number: u64,
    channel: ResponseChannel<Response>,
    response: Response,
}

impl Drive {
    pub(super) fn gossiped(&mut self, from: PeerId, message: MessageId, data: Vec<u8>) {
        if self.looks.is_full(from) || !self.dials.contains(&from) {
            // Whoever waits for it asks for it.
            return self.looked(Looked::Gossip { message, from, received: Received::Ignore });
        }
        let desk = Arc::clone(&self.desk);
        self.looks.start(from, move || Looked::Gossip { message, from, received: desk.receive(&data) });
    }

    pub(super) fn ask(&mut self, peer: &PeerId, query: Query) {
        let id = self.swarm.behaviour_mut().ask.send_request(peer, Request::Query(query));
        self.asked.insert(id);
    }

    pub(super) fn ask_event(&mut self, event: request_response::Event<Request, Response>) {
        use request_response::{Event, Message};
        match event {
            Event::Message { peer, connection_id, message: Message::Request { request_id, request, channel } } => {
                self.asked_by((peer, connection_id), request_id, request, channel);
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                if self.asked.remove(&request_id) {
                    self.answered(peer, response);
                } else if let Some(answers) = self.inquiring.remove(&request_id) {
                    // There is room for one of each; whoever asked may not wait any more.
                    answers.try_send(response).ok();
                }
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                let by_all = self.inquiring.remove(&request_id).is_some();
                if self.asked.remove(&request_id) {
                    self.missing.end(&peer);
                } else if !by_all {
                    return;
                }
                debug!(relay = ?key_of(&peer), "did not answer: {error}");
                if matches!(error, OutboundFailure::Timeout) {
                    // A dead connection looks like this, and nothing else would tell for a quarter of an hour.
                    self.drop_connections(peer);
                }
            }
            Event::InboundFailure { request_id, .. } | Event::ResponseSent { request_id, .. } => {
                self.questions.sent(&request_id);
                self.revocations.sent(&request_id);
            }
        }
    }

    fn asked_by(
        &mut self,
        (peer, connection): (PeerId, ConnectionId),
        id: InboundRequestId,
        request: Request,
        channel: ResponseChannel<Response>,
    ) {
        let desk = Arc::clone(&self.desk);
        if let Request::Query(query @ (Query::Waiting | Query::Envelopes(_))) = request {
            // For relays alone, and never behind guests.
            if self.looks.is_full(peer) || !self.dials.contains(&peer) {
                return self.respond(channel, Response::Unavailable);
            }
            return self.looks.start(peer, move || Looked::Question((channel, of_what_waits(&*desk, &query))));
        }
        if let Request::Query(Query::Newest(_)) = request {
            // Behind nothing else: no gate opens without the answers. Every one is signed, and each relay has one at a time.
            let asked = key_of(&peer).zip(self.inquires(peer));
            let Some((asker, running)) = asked else { return self.respond(channel, Response::Unavailable) };
            return self.newest.start(move || {
                let _running = running;
                (channel, desk.answer(asker, request))
            });
        }
        let asker = self.swarm.behaviour_mut().door.asker(peer, connection);
        let (Some(key), Some(asker)) = (key_of(&peer), asker) else {
            return self.respond(channel, Response::Unavailable);
        };
        let on = (peer, connection);
        let stalled = match request {
            Request::Submit(envelope) if revoke::is_revocation(&envelope) => {
                let chain = self.chain;
                self.revocations.ask(asker, id, on, move || (channel, revoke::answer(&chain, &*desk, key, envelope)))
            }
            Request::Mailbox(request) => {
                // Relays, too, come as guests when they leave a notice in a mailbox.
                let Asker::Guests(from) = asker else { return self.respond(channel, Response::Unavailable) };
                if let MailboxRequest::Wait(signed) = *request {
                    return self.wait(asker, (key, from), signed, channel);
                }
                let deposited = self.deposited.0.clone();
                self.questions.ask(asker, id, on, move || {
                    if !channel.is_open() {
                        return (channel, Response::Unavailable);
                    }
                    let into = match &*request {
                        MailboxRequest::Deposit { mailbox, .. } => Some(*mailbox),
                        _ => None,
                    };
                    let response = desk.mailbox(key, from, *request);
                    if let Some(mailbox) = into.filter(|_| response == Response::Mailbox(MailboxResponse::Done)) {
                        deposited.try_send(mailbox).ok();
                    }
                    (channel, response)
                })
            }
            request => self.questions.ask(asker, id, on, move || {
                let response = if channel.is_open() { desk.answer(key, request) } else { Response::Unavailable };
                (channel, response)
            }),
        };
        if let Some((peer, connection)) = stalled {
            debug!("somebody asked, and does not take the answers");
            self.swarm.behaviour_mut().door.close(peer, connection);
        }
    }

    /// Holds a question until something comes to a mailbox, if nothing lies in it.
    fn wait(
        &mut self,
        asker: Asker,
        (key, from): (Key, Neighbourhood),
        signed: SignedCollection,
        channel: ResponseChannel<Response>,
    ) {
        if self.waits.is_full(asker) {
            return self.respond(channel, Response::Mailbox(MailboxResponse::Done));
        }
        let (number, lost) = self.held.begin(asker, signed.collection.mailbox, Instant::now().into_std());
        self.look_again(|_| lost);
        let desk = Arc::clone(&self.desk);
        self.waits.start(asker, move || {
            let response = if channel.is_open() {
                desk.mailbox(key, from, MailboxRequest::Wait(signed))
            } else {
                Response::Unavailable
            };
            Waited { number, channel, response }
        });
    }

    pub(super) fn waited(&mut self, Waited { number, channel, response }: Waited) {
        if matches!(&response, Response::Mailbox(MailboxResponse::Messages(none)) if none.as_slice().is_empty()) {
            self.look_again(|held| held.hold(number, channel));
        } else {
            self.held.end(number);
            self.respond(channel, response);
        }
    }

    /// Answers those that it is to be looked who are not held any more.
    pub(super) fn look_again(
        &mut self,
        whose: impl FnOnce(&mut Holding<ResponseChannel<Response>>) -> Vec<ResponseChannel<Response>>,
    ) {
        for channel in whose(&mut self.held) {
            self.respond(channel, Response::Mailbox(MailboxResponse::Done));
        }
    }

    /// Lets a relay ask which block is the newest, unless it has asked just now or is being answered. What is returned is to be kept until it is
    /// answered.
    fn inquires(&mut self, peer: PeerId) -> Option<Arc<()>> {
        let now = Instant::now();
        let again = |Inquired { until, running }: &Inquired| *until > now || running.strong_count() > 0;
        if self.newest.is_full() || !self.dials.contains(&peer) || self.inquired.get(&peer).is_some_and(again) {
            return None;
        }
        let running = Arc::new(());
        self.inquired.insert(peer, Inquired { until: now + INQUIRIES, running: Arc::downgrade(&running) });
        Some(running)
    }

    pub(super) fn respond(&mut self, channel: ResponseChannel<Response>, response: Response) {
        if self.swarm.behaviour_mut().ask.send_response(channel, response).is_err() {
            debug!("an answer came too late for whoever asked");
        }
    }

    fn answered(&mut self, from: PeerId, response: Response) {
        let desk = Arc::clone(&self.desk);
        match response {
            _ if self.looks.is_full(from) => self.missing.end(&from),
            Response::Waiting(hashes) => self.looks.start(from, move || {
                let missing = |hash: &&EnvelopeHash| desk.envelope(hash).is_none();
                Looked::Missing { at: from, hashes: hashes.iter().filter(missing).copied().collect() }
            }),
            Response::Envelopes(envelopes) => self.looks.start(from, move || {
                let received = |envelope: Envelope| desk.receive(&encoding::encode(&envelope));
                let sound = envelopes.into_vec().into_iter().all(|envelope| received(envelope) != Received::Reject);
                Looked::Taken { from, sound }
            }),
            _ => self.missing.end(&from),
        }
    }

    pub(super) fn looked(&mut self, looked: Looked) {
        let now = Instant::now();
        let next = match looked {
            Looked::Gossip { message, from, received } => {
                let acceptance = match received {
                    Received::Accept => MessageAcceptance::Accept,
                    Received::Ignore => MessageAcceptance::Ignore,
                    Received::Reject => {
                        debug!(relay = ?key_of(&from), "gossiped what is unsound");
                        MessageAcceptance::Reject
                    }
                };
                let gossip = &mut self.swarm.behaviour_mut().door.gossip;
                gossip.report_message_validation_result(&message, &from, acceptance);
                return;
            }
            Looked::Question((channel, response)) => return self.respond(channel, response),
            Looked::Missing { at, hashes } => self.missing.found(at, hashes, now).map(|query| (at, query)),
            Looked::Taken { from, sound: true } => self.missing.more(from).map(|query| (from, query)),
            Looked::Taken { from, sound: false } => {
                debug!(relay = ?key_of(&from), "handed out what is unsound");
                self.missing.ban(from, now);
                return;
            }
        };
        if let Some((peer, query)) = next {
            self.ask(&peer, query);
        }
    }
}

/// What waits here, or those of it that are named.
fn of_what_waits(desk: &dyn Desk, query: &Query) -> Response {
    match query {
        Query::Envelopes(hashes) => {
            let known = hashes.iter().filter_map(|hash| desk.envelope(hash));
            Response::Envelopes(List::of(known.filter_map(|bytes| encoding::decode(&bytes).ok())))
        }
        _ => {
            let mut hashes = desk.waiting();
            hashes.truncate(MAX_WAITING);
            hashes.sort_unstable();
            hashes.dedup();
            Ascending::from_items(hashes).map_or(Response::Unavailable, Response::Waiting)
        }
    }
}
