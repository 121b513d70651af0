//! Questions on their way: those that wait, those that are being answered, and those whose answers are not sent yet.
//!
//! All of it is in shares of whoever asks, as connections are: whoever asks while all is taken takes the place of what
//! whoever has the most asked first. So nobody is kept waiting for long by others who ask much, or who ask and do not
//! take the answer. Revocations have a lane of their own.

use core::time::Duration;
use std::collections::HashMap;
use std::time::Instant;

use clavicle_admission::{Admission, Limits, Place};
use libp2p::PeerId;
use libp2p::request_response::{InboundRequestId, ResponseChannel};
use libp2p::swarm::ConnectionId;

use super::door::Asker;
use super::jobs::{Job, Jobs};
use crate::message::Response;

/// A question, answered.
pub(super) type Answer = (ResponseChannel<Response>, Response);

/// Questions of one kind.
pub(super) struct Lane {
    answers: Jobs<Answer>,
    /// What waits for a thread. Given up, its channel is dropped, and whoever asked hears that there will be no answer.
    waiting: Admission<Asker, Job<Answer>>,
    /// What is not sent yet, and on which connection it is due. Each may hold a request or a response in memory.
    unsent: Admission<Asker, (PeerId, ConnectionId)>,
    places: HashMap<InboundRequestId, Place>,
}

impl Lane {
    /// So many are answered at once, so many wait, and so many are not sent.
    pub(super) fn new(most_running: usize, most_waiting: usize, most_unsent: usize) -> Self {
        let limits = |most| Limits { most, settled: Duration::ZERO, silent: None };
        Self {
            answers: Jobs::new(most_running),
            waiting: Admission::new(limits(most_waiting)),
            unsent: Admission::new(limits(most_unsent)),
            places: HashMap::new(),
        }
    }

    /// Answers a question when it is its turn. Says whose connection is to be closed, since it does not take what it
    /// asked for.
    pub(super) fn ask(
        &mut self,
        asker: Asker,
        id: InboundRequestId,
        on: (PeerId, ConnectionId),
        answer: impl FnOnce() -> Answer + Send + 'static,
    ) -> Option<(PeerId, ConnectionId)> {
        let now = Instant::now();
        // Nobody is ever turned away: a place need not be settled.
        let entered = self.unsent.enter(asker, now, on).ok()?;
        self.places.insert(id, entered.place);
        if self.answers.is_full() {
            self.waiting.enter(asker, now, Box::new(answer)).ok();
        } else {
            self.answers.start(answer);
        }
        entered.displaced
    }

    /// The next answer; none when nothing is being answered. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        loop {
            let ended = self.answers.ended().await?;
            while !self.answers.is_full()
                && let Some(job) = self.waiting.leave_first()
            {
                self.answers.start(job);
            }
            if let Some(answer) = ended {
                return Some(answer);
            }
        }
    }

    /// The answer to a question was sent, or cannot be.
    pub(super) fn sent(&mut self, id: &InboundRequestId) {
        if let Some(place) = self.places.remove(id) {
            self.unsent.leave(place);
        }
    }

    /// Lets what runs end, and gives up what waits.
    pub(super) async fn finish(self) {
        self.answers.finish().await;
    }
}
