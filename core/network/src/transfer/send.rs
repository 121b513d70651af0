//! The source's side: nothing is sent without an [`Authorisation`].

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use clavicle_ledger::authorise::{Authorisation, SignedHello};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::LocalTime;
use clavicle_manifest::StoredDigest;
use iroh::endpoint::{Connection, ReadExactError, RecvStream, SendStream, VarInt};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::message::{Answer, Lead, Offer, Reference, Wants};
use super::{ENDED, FAILED, MAX_SURPLUS, REFUSED, REVISED};
use crate::endpoint::{MessageError, framed, read_message, remote_key, write_bytes, write_message};
use crate::serve::{Crowd, Hall};

/// How long whoever connected may take to say something.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a recipient may take nothing before it is given up.
const STALLED: Duration = Duration::from_secs(30);
/// How long a recipient may take for the end of what was sent.
const LINGER: Duration = Duration::from_secs(120);
/// How long a chunk may take before its recipient goes on outside the line.
const SLOW: Duration = Duration::from_secs(1);
/// How many bytes are sent before the next in line is sent to.
const TURN: usize = 4 * 1024 * 1024;
/// After how long the gate is asked again although nothing has changed: a clock may have been set.
const RENEW: Duration = Duration::from_secs(30);
/// Refusals go out at ticks of this length, so that the time they take says nothing.
const TICK: Duration = Duration::from_millis(50);
/// How long whoever was refused may take to hear it.
const HEARD: Duration = Duration::from_secs(2);
/// The most refusals on their way, and to one address; whoever comes beyond is cut off at once.
const MAX_REFUSALS: (usize, usize) = (256, 64);
/// How often each item may be asked for on one connection, all of them taken together.
const MAX_TIMES: usize = 2;
/// How many bytes are read from the disk at a time.
const CHUNK: usize = 256 * 1024;

/// What decides and has the images: a relay.
///
/// [`Gate::admit`], [`Gate::renew`] and [`Gate::open`] may read files and verify signatures: they are called where that keeps nobody
/// waiting. The others answer at once.
pub trait Gate: Send + Sync + 'static {
    /// Decides on a hello from `remote`, whose possession of its key the connection has proven. A refusal is kept for the operator under its
    /// reference.
    ///
    /// # Errors
    /// The reference of a refusal.
    fn admit(&self, remote: Key, hello: &SignedHello) -> Result<Admission, Reference>;

    /// Decides again, on what is known now.
    ///
    /// # Errors
    /// The reference of a refusal.
    fn renew(&self, authorisation: &Authorisation) -> Result<Authorisation, Reference>;

    /// Keeps the refusal of something that was not even a hello.
    fn refuse(&self, remote: Key, why: &'static str) -> Reference;

    /// The bytes with this digest, as they are on the disk.
    ///
    /// # Errors
    /// The file's.
    fn open(&self, stored: &StoredDigest) -> io::Result<File>;

    /// Changes whenever consent may have: a block, a revocation seen.
    fn changes(&self) -> watch::Receiver<u64>;

    /// This source's clock.
    fn clock(&self) -> LocalTime;
}

/// Leave to fetch, with what may be fetched.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The leave.
    pub authorisation: Authorisation,
    /// What there is.
    pub offer: Offer,
    /// Digests in it that are not to be sent: what revisions brought that the grant does not include.
    pub withheld: BTreeSet<StoredDigest>,
}

/// Refusals on their way: bounded.
#[derive(Debug)]
pub(crate) struct Refusals {
    crowd: Crowd<IpAddr>,
    from: Instant,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self { crowd: Crowd::new(MAX_REFUSALS.0, MAX_REFUSALS.1), from: Instant::now() }
    }

    /// Says no to what was `asked` then, at the next tick but one. It is counted from the question and not from the decision: asked just
    /// before a tick, a quick decision would else be told from a slow one. Deciding takes less than a tick on a healthy machine.
    async fn refuse(&self, send: &mut SendStream, address: IpAddr, asked: Instant, reference: Reference) {
        let Some(_place) = self.crowd.enter(address) else { return };
        sleep_until(self.tick_after(asked, 1).max(self.tick_after(Instant::now(), 0))).await;
        let told = async {
            write_message(send, &Answer::Refused(reference), HEARD).await?;
            send.finish().ok();
            // Until it has arrived: closing at once would throw it away.
            send.stopped().await.ok();
            Ok::<_, MessageError>(())
        };
        timeout(HEARD, told).await.ok();
    }

    /// The tick with number `later` after the one that is next.
    fn tick_after(&self, moment: Instant, later: u32) -> Instant {
        let ticks = moment.saturating_duration_since(self.from).as_millis().div_ceil(TICK.as_millis());
        self.from + TICK * u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(later)
    }
}

/// Serves one connection until its end.
pub(crate) async fn serve(connection: &Connection, address: IpAddr, hall: &Hall) {
    let close = |code| connection.close(VarInt::from_u32(code), b"");
    // From before the decision, so that nothing that comes between it and the sending is missed.
    let changes = hall.gate.changes();
    let Ok(Ok((mut send, mut receive))) = timeout(PATIENCE, connection.accept_bi()).await else {
        return close(REFUSED);
    };
    let (asked, decided) = decide(&mut receive, remote_key(connection), hall).await;
    let admission = match decided {
        Ok(admission) => admission,
        Err(reference) => {
            hall.refusals.refuse(&mut send, address, asked, reference).await;
            return close(REFUSED);
        }
    };
    let authorisation = admission.authorisation.clone();
    let sender = Sender { send, receive, gate: &hall.gate, turn: Turn::new(&hall.sending) };
    let sent = async {
        if let Err(error) = sender.send_all(admission).await {
            debug!(%error, "a transfer broke off");
            return FAILED;
        }
        // The other side closes when it has everything. Until then a part of it is still here, and can be held back.
        timeout(LINGER, connection.closed()).await.ok();
        FAILED
    };
    close(tokio::select! {
        // First what may stop: data never wins over a no.
        biased;
        code = ended(&hall.gate, changes, authorisation) => code,
        code = sent => code,
    });
}

/// Reads a hello and decides on it. Also when it was there.
async fn decide(receive: &mut RecvStream, remote: Key, hall: &Hall) -> (Instant, Result<Admission, Reference>) {
    let hello = read_message::<SignedHello>(receive, PATIENCE).await;
    let _turn = hall.deciding.acquire().await;
    let asked = Instant::now();
    let decided = match hello {
        Err(_) => Err(hall.gate.refuse(remote, "what came was no hello")),
        Ok(hello) => {
            let gate = Arc::clone(&hall.gate);
            let decided = tokio::task::spawn_blocking(move || gate.admit(remote, &hello)).await;
            // In doubt the answer is no.
            decided.unwrap_or_else(|_| Err(hall.gate.refuse(remote, "a defect ended the decision")))
        }
    };
    (asked, decided)
}

/// Returns when the leave has ended, or is not for what is being sent any more, with the code to close with.
async fn ended(gate: &Arc<dyn Gate>, mut changes: watch::Receiver<u64>, mut authorisation: Authorisation) -> u32 {
    let current = authorisation.current();
    loop {
        let fresh_until = authorisation.fresh_until();
        let until = authorisation.until().map_or(fresh_until, |until| until.min(fresh_until));
        // Not at once again: a head is recent enough up to its last millisecond and with it.
        let wait = Duration::from_millis(until.since(gate.clock().0).max(1)).min(RENEW);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return ENDED },
            () = sleep(wait) => {}
        }
        let asked = Arc::clone(gate);
        match tokio::task::spawn_blocking(move || asked.renew(&authorisation)).await {
            // What is being sent is from a manifest that was replaced: some of it may have been withdrawn.
            Ok(Ok(renewed)) if renewed.current() != current => return REVISED,
            Ok(Ok(renewed)) => authorisation = renewed,
            Ok(Err(_)) | Err(_) => return ENDED,
        }
    }
}

/// Why a transfer broke off.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("the recipient asked for nothing")]
    Nothing,
    #[error("the recipient asked for place {0}, which there is not")]
    Place(u32),
    #[error("the recipient asked for everything again and again")]
    TooOften,
    #[error("the source's disk failed")]
    Disk(#[from] io::Error),
}

/// A place in the line of those who are sent to.
///
/// It goes to the end of the line after [`TURN`] bytes. Who takes a chunk slowly keeps nobody else from being sent to, and
/// goes on without a place.
struct Turn<'a> {
    line: &'a Semaphore,
    held: Option<SemaphorePermit<'a>>,
    left: usize,
    slow: bool,
}

impl<'a> Turn<'a> {
    const fn new(line: &'a Semaphore) -> Self {
        Self { line, held: None, left: 0, slow: false }
    }

    fn leave(&mut self) {
        self.held = None;
    }

    /// Sends `len` bytes when it is their turn.
    async fn take<T>(&mut self, len: usize, sending: impl Future<Output = T>) -> T {
        if self.held.is_none() && !self.slow {
            (self.held, self.left) = (self.line.acquire().await.ok(), TURN);
        }
        let mut sending = std::pin::pin!(sending);
        let sent = timeout(SLOW, &mut sending).await;
        self.left = self.left.saturating_sub(len);
        self.slow |= sent.is_err();
        if self.slow || self.left == 0 {
            self.leave();
        }
        match sent {
            Ok(sent) => sent,
            Err(_) => sending.await,
        }
    }
}

/// Sends to one recipient.
struct Sender<'a> {
    send: SendStream,
    receive: RecvStream,
    gate: &'a Arc<dyn Gate>,
    turn: Turn<'a>,
}

impl Sender<'_> {
    async fn send_all(mut self, admission: Admission) -> Result<(), SendError> {
        let Admission { authorisation: _, offer, withheld } = admission;
        let items: Vec<_> = offer.manifest.items().iter().map(|item| (item.stored(), item.size())).collect();
        let welcome = framed(&Answer::Welcome(Box::new(offer)));
        for chunk in welcome.chunks(CHUNK) {
            self.write(chunk).await?;
        }
        drop(welcome);
        let mut left = items.len().saturating_mul(MAX_TIMES);
        while let Some(wants) = self.wants().await? {
            left = left.checked_sub(wants.len()).ok_or(SendError::TooOften)?;
            for place in wants {
                let index = usize::try_from(place).ok();
                let (stored, size) = index.and_then(|index| items.get(index)).ok_or(SendError::Place(place))?;
                if withheld.contains(stored) {
                    self.write(&Lead { place, len: None }.to_bytes()).await?;
                } else {
                    self.send_item(place, *stored, *size).await?;
                }
            }
        }
        self.send.finish().ok();
        Ok(())
    }

    /// What is wanted next; nothing at the end of the stream.
    async fn wants(&mut self) -> Result<Option<Vec<u32>>, SendError> {
        self.turn.leave();
        match read_message::<Wants>(&mut self.receive, STALLED).await {
            Err(MessageError::Read(ReadExactError::FinishedEarly(0))) => Ok(None),
            wants => Some(wants?.into_vec()).filter(|wants| !wants.is_empty()).ok_or(SendError::Nothing).map(Some),
        }
    }

    /// Sends an item's bytes as they are on the disk. Whether they are what was signed is for the recipient to see: a source that
    /// checked and then sent something else would be no better.
    async fn send_item(&mut self, place: u32, stored: StoredDigest, size: u64) -> Result<(), SendError> {
        let gate = Arc::clone(self.gate);
        let opened = blocking(move || {
            let mut file = gate.open(&stored)?;
            let len = file.metadata()?.len();
            if len > size.saturating_add(MAX_SURPLUS) {
                return Err(io::Error::other("it is far longer than it was"));
            }
            let first = read_chunk(&mut file, len)?;
            Ok((file, len, first))
        })
        .await;
        let (mut file, len, mut chunk) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                warn!(%stored, %error, "an instance is not as the archive had it");
                return self.write(&Lead { place, len: None }.to_bytes()).await;
            }
        };
        self.write(&Lead { place, len: Some(len) }.to_bytes()).await?;
        let mut left = len;
        loop {
            left = left.saturating_sub(chunk.len() as u64);
            self.write(&chunk).await?;
            if left == 0 {
                return Ok(());
            }
            (file, chunk) = blocking(move || read_chunk(&mut file, left).map(|chunk| (file, chunk))).await?;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        Ok(self.turn.take(bytes.len(), write_bytes(&mut self.send, bytes, STALLED)).await?)
    }
}

/// The next bytes of a file that has `left`; an error when it ends before.
fn read_chunk(file: &mut File, left: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let mut chunk = vec![0; len];
    file.read_exact(&mut chunk)?;
    Ok(chunk)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked at any moment, the answer is at a tick, and one tick or two later, however long the decision took within it.
    #[test]
    fn a_refusal_goes_out_at_a_tick() {
        let refusals = Refusals::new();
        for ms in [0, 1, 49, 50, 51, 99, 100, 1_234_567] {
            let asked = refusals.from + Duration::from_millis(ms);
            let told = refusals.tick_after(asked, 1);
            assert_eq!((told - refusals.from).as_millis() % TICK.as_millis(), 0);
            assert!((TICK..TICK * 2).contains(&(told - asked)), "{ms}");
            assert!(refusals.tick_after(asked + TICK, 0) <= told, "{ms}");
        }
    }
}
