//! One link: what is read from it, and what waits to be written.
//!
//! Three queues wait for each link: votes and proposals, parts of blocks, and answers to one that is behind; the first that has something goes
//! first. A queue that is full ends the link: nothing is left out in the middle of one, and a new link begins with what was said at this height, and
//! with how far each is.

use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_malachitebft_app_channel::app::consensus::{LivenessMsg, SignedConsensusMsg};
use arc_malachitebft_app_channel::app::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_sync::{Request, Response, Status};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};

use crate::codec::{BorshCodec, CodecError, MAX_ANSWER_LEN};
use crate::context::Network;
use crate::mesh::frame::{self, Kind, PIECE_HEAD, ReadError};
use crate::parts::Part;

/// Something is said at least so often.
const ALIVE_EVERY: Duration = Duration::from_millis(250);
/// Whoever says nothing for so long is not there.
pub(crate) const DEAD_AFTER: Duration = Duration::from_millis(1250);

/// Bytes of votes and proposals that may wait, of parts, and of answers.
const WAITING: [usize; 3] = [4 * 1024 * 1024, 20 * 1024 * 1024, 3 * MAX_ANSWER_LEN];
/// What a frame that waits costs beside its bytes.
const FRAME_COST: usize = 64;

/// A validator says no more than 2,000 things in a second, and 4,000 at once. More are read later.
const PACE: Duration = Duration::from_micros(500);
const AT_ONCE: Duration = Duration::from_secs(2);

/// A link, as long as there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    Vote,
    Part,
    Answer,
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queues: Mutex<[Queue; 3]>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    cost: usize,
}

impl Outbox {
    /// Takes a frame. False when its queue is full: then the link is to be ended.
    #[must_use]
    pub(crate) fn push(&self, urgency: Urgency, frame: Bytes) -> bool {
        let at = urgency as usize;
        let mut queues = self.queues();
        let (Some(queue), Some(most)) = (queues.get_mut(at), WAITING.get(at)) else { return false };
        let cost = queue.cost.saturating_add(frame.len()).saturating_add(FRAME_COST);
        if cost > *most {
            return false;
        }
        queue.cost = cost;
        queue.frames.push_back(frame);
        drop(queues);
        self.ready.notify_one();
        true
    }

    fn pop(&self) -> Option<Bytes> {
        let mut queues = self.queues();
        let queue = queues.iter_mut().find(|queue| !queue.frames.is_empty())?;
        let frame = queue.frames.pop_front()?;
        queue.cost = queue.cost.saturating_sub(frame.len().saturating_add(FRAME_COST));
        Some(frame)
    }

    /// The next frame. May be dropped and called again.
    async fn next(&self) -> Bytes {
        loop {
            if let Some(frame) = self.pop() {
                return frame;
            }
            self.ready.notified().await;
        }
    }

    fn queues(&self) -> MutexGuard<'_, [Queue; 3]> {
        // A push or pop that panicked left a queue that still is one.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a validator said.
#[derive(Debug)]
pub(crate) enum Heard {
    Consensus(SignedConsensusMsg<Network>),
    Liveness(LivenessMsg<Network>),
    Part(StreamMessage<Part>),
    Status(Status<Network>),
    Question(u64, Request<Network>),
    Answer(u64, Response<Network>),
    NoAnswer(u64),
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("it could not be written to")]
    Write(#[source] io::Error),
    #[error("what came is no message")]
    Message(#[from] CodecError),
    #[error("an answer is longer than any may be, or its pieces are of several")]
    Answer,
    #[error("nobody listens any more")]
    Stopping,
}

/// Reads and writes until the link ends.
pub(crate) async fn run(
    io: impl AsyncRead + AsyncWrite,
    id: LinkId,
    outbox: Arc<Outbox>,
    heard: mpsc::Sender<(LinkId, Heard)>,
) -> Ended {
    let (reader, writer) = tokio::io::split(io);
    tokio::pin!(reader, writer);
    tokio::select! {
        ended = listen(reader, id, heard) => match ended { Ok(never) => match never {}, Err(ended) => ended },
        ended = speak(writer, &outbox) => match ended { Ok(never) => match never {}, Err(error) => Ended::Write(error) },
    }
}

async fn speak(mut io: impl AsyncWrite + Unpin, outbox: &Outbox) -> io::Result<core::convert::Infallible> {
    let alive = frame::frame(Kind::Alive, &[]).unwrap_or_default();
    io.write_all(&alive).await?;
    io.flush().await?;
    loop {
        let frame = timeout(ALIVE_EVERY, outbox.next()).await.unwrap_or_else(|_| alive.clone());
        io.write_all(&frame).await?;
        while let Some(frame) = outbox.pop() {
            io.write_all(&frame).await?;
        }
        io.flush().await?;
    }
}

async fn listen(
    mut io: impl AsyncRead + Unpin,
    id: LinkId,
    heard: mpsc::Sender<(LinkId, Heard)>,
) -> Result<core::convert::Infallible, Ended> {
    let (mut pieces, mut due) = (Pieces::default(), Instant::now());
    loop {
        let (kind, body) = frame::read(&mut io, DEAD_AFTER).await?;
        let now = Instant::now();
        due = due.max(now) + PACE;
        if let Some(early) = due.checked_duration_since(now + AT_ONCE) {
            sleep(early).await;
        }
        if let Some(said) = read(kind, body, &mut pieces)? {
            heard.send((id, said)).await.map_err(|_| Ended::Stopping)?;
        }
    }
}

fn read(kind: Kind, body: Vec<u8>, pieces: &mut Pieces) -> Result<Option<Heard>, Ended> {
    Ok(Some(match kind {
        Kind::Alive => return Ok(None),
        Kind::Consensus => Heard::Consensus(BorshCodec.decode(body.into())?),
        Kind::Liveness => Heard::Liveness(BorshCodec.decode(body.into())?),
        Kind::Part => Heard::Part(BorshCodec.decode(body.into())?),
        Kind::Status => Heard::Status(BorshCodec.decode(body.into())?),
        Kind::Question => {
            let (number, body) = numbered(&body)?;
            Heard::Question(number, BorshCodec.decode(Bytes::copy_from_slice(body))?)
        }
        Kind::Piece => match pieces.add(&body)? {
            Some((number, whole)) => Heard::Answer(number, BorshCodec.decode(whole.into())?),
            None => return Ok(None),
        },
        Kind::NoAnswer => Heard::NoAnswer(numbered(&body)?.0),
    }))
}

fn numbered(body: &[u8]) -> Result<(u64, &[u8]), Ended> {
    let (number, rest) = body.split_first_chunk().ok_or(Ended::Answer)?;
    Ok((u64::from_le_bytes(*number), rest))
}

/// An answer in pieces. One comes after the other.
#[derive(Debug, Default)]
struct Pieces {
    of: Option<u64>,
    bytes: Vec<u8>,
}

impl Pieces {
    /// Takes a piece, and returns the answer with the last one.
    fn add(&mut self, body: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Ended> {
        let (number, rest) = numbered(body)?;
        let (last, bytes) = rest.split_first().ok_or(Ended::Answer)?;
        if self.of.is_some_and(|of| of != number) || self.bytes.len().saturating_add(bytes.len()) > MAX_ANSWER_LEN {
            return Err(Ended::Answer);
        }
        self.of = Some(number);
        self.bytes.extend_from_slice(bytes);
        if *last == 0 {
            return Ok(None);
        }
        self.of = None;
        Ok(Some((number, core::mem::take(&mut self.bytes))))
    }
}

/// An answer as it travels. None when it is too long.
pub(crate) fn pieces(number: u64, answer: &[u8]) -> Option<Vec<Bytes>> {
    const { assert!(PIECE_HEAD == 9, "a number and a byte") };
    if answer.is_empty() || answer.len() > MAX_ANSWER_LEN {
        return None;
    }
    let count = answer.len().div_ceil(frame::PIECE_LEN);
    let piece = |(at, bytes): (usize, &[u8])| {
        let last = u8::from(at + 1 == count);
        frame::frame(Kind::Piece, &[&number.to_le_bytes(), &[last], bytes])
    };
    answer.chunks(frame::PIECE_LEN).enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_go_before_parts_and_both_before_answers() {
        let outbox = Outbox::default();
        for (urgency, byte) in [(Urgency::Answer, 1), (Urgency::Part, 2), (Urgency::Vote, 3), (Urgency::Vote, 4)] {
            assert!(outbox.push(urgency, vec![byte].into()));
        }
        let order: Vec<u8> = core::iter::from_fn(|| outbox.pop()).map(|frame| frame[0]).collect();
        assert_eq!(order, [3, 4, 2, 1]);
    }

    #[test]
    fn a_queue_that_is_full_takes_nothing_and_the_others_do() {
        let outbox = Outbox::default();
        let frame = Bytes::from(vec![0; 1024]);
        let taken = (0..100_000).take_while(|_| outbox.push(Urgency::Vote, frame.clone())).count();
        assert_eq!(taken, WAITING[0] / (1024 + FRAME_COST));
        assert!(outbox.push(Urgency::Part, frame.clone()));
        assert!(outbox.pop().is_some() && outbox.push(Urgency::Vote, frame));
        while outbox.pop().is_some() {}
        assert!(outbox.queues().iter().all(|queue| queue.cost == 0));
    }

    #[test]
    fn pieces_make_the_answer_again_and_no_longer_one_than_there_is() {
        for len in [1, frame::PIECE_LEN, frame::PIECE_LEN + 1, MAX_ANSWER_LEN] {
            let answer: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mut read = Pieces::default();
            let mut whole = Vec::new();
            for piece in pieces(7, &answer).unwrap() {
                whole.extend(read.add(&piece[5..]).unwrap());
            }
            assert_eq!(whole, [(7, answer)]);
        }
        assert!(pieces(7, &vec![0; MAX_ANSWER_LEN + 1]).is_none());
        let mut read = Pieces::default();
        let piece = [&7u64.to_le_bytes()[..], &[0], &[0; 1000]].concat();
        let taken = (0..=MAX_ANSWER_LEN / 1000).take_while(|_| read.add(&piece).is_ok()).count();
        assert_eq!(taken, MAX_ANSWER_LEN / 1000);
        assert!(read.bytes.len() <= MAX_ANSWER_LEN);
        // Nor one made of two.
        let mut read = Pieces::default();
        assert!(matches!(read.add(&piece), Ok(None)));
        let other = [&8u64.to_le_bytes()[..], &[1], &[0; 10]].concat();
        assert!(matches!(read.add(&other), Err(Ended::Answer)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_on_which_nothing_comes_ends_and_one_with_somebody_there_does_not() {
        let (heard, mut hearing) = mpsc::channel(1);
        let (near, far) = tokio::io::duplex(1 << 16);
        let start = Instant::now();
        let ended = run(near, LinkId(1), Arc::default(), heard.clone()).await;
        assert!(matches!(ended, Ended::Read(ReadError::Silent)));
        assert_eq!(start.elapsed().as_millis(), DEAD_AFTER.as_millis());
        drop(far);

        let (near, far) = tokio::io::duplex(1 << 16);
        let both = async {
            tokio::join!(
                run(near, LinkId(1), Arc::default(), heard.clone()),
                run(far, LinkId(2), Arc::default(), heard)
            )
        };
        assert!(timeout(Duration::from_secs(60), both).await.is_err(), "neither ends");
        assert!(hearing.try_recv().is_err());
    }
}
