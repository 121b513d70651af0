//! The source's side: nothing is sent without an [`Authorisation`].

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clavicle_admission::Neighbourhood;
use clavicle_ledger::authorise::{Authorisation, SignedHello};
use clavicle_ledger::key::{Key, Signature};
use clavicle_ledger::receipt::{End, SignedReceipt, Statement};
use clavicle_ledger::time::LocalTime;
use clavicle_letters::credential::Introduction;
use clavicle_manifest::StoredDigest;
use futures_util::future::BoxFuture;
use iroh::endpoint::{Connection, ConnectionError, ReadExactError, RecvStream, SendStream, VarInt};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::message::{Answer, Ask, Offer, Reach, Reference};
use super::reading::{Kept, Reading};
use super::refusals::Refusals;
use super::turn::Turn;
use super::{DONE, ENDED, FAILED, REFUSED, REVISED};
use crate::blocking::BlockingLane;
use crate::endpoint::{MessageError, framed, read_message, remote_key};
use crate::places::{Account, Fair, Place, REPLACED};

/// How long whoever connected may take to say something.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long what is said right behind a hello may take.
const BEHIND: Duration = Duration::from_secs(5);
/// How long a recipient may take nothing before it is given up.
const STALLED: Duration = Duration::from_secs(30);
/// How long a recipient may take for the end of what was sent.
const LINGER: Duration = Duration::from_secs(120);
/// After how long the gate is asked again although nothing has changed: a clock may have been set.
const RENEW: Duration = Duration::from_secs(30);
/// How often each item may be asked for on one connection, all of them taken together.
const MAX_TIMES: usize = 2;
/// How often receipts may be asked for on one connection.
pub(super) const MAX_STATEMENTS: u32 = 1_000;
/// The most bytes that are given to the connection at a time.
const CHUNK: usize = 64 * 1024;
/// How many hellos are decided on at once; the others wait.
const MAX_DECIDING: usize = 16;
/// How much is decided again, or read of receipts, at once for those who were let in.
const MAX_RENEWING: usize = 64;
/// How many are sent images at once; the others wait. More at once only makes all of them slower.
const MAX_SENDING: usize = 64;

/// What decides and has the images: a relay.
///
/// [`Gate::admit`], [`Gate::renew`], [`Gate::open`] and [`Gate::damaged`] may read files and verify signatures: they are called where that keeps nobody
/// waiting. The others answer at once.
pub trait Gate: Send + Sync + 'static {
    /// Decides on a hello from `remote`, whose possession of its key the connection has proven. A refusal is kept for the operator under its
    /// reference. Where the hello asks for a member of a team, `shown` is what was shown of them, if anything that can be read was.
    ///
    /// # Errors
    /// The reference of a refusal.
    fn admit(&self, remote: Key, hello: &SignedHello, shown: Option<&Introduction>) -> Result<Admission, Reference>;

    /// Writes down that somebody was let in, and returns when it is on the disk: before that nothing is sent.
    ///
    /// # Errors
    /// The reference of a refusal: what cannot be written down does not happen.
    fn opened<'a>(
        &'a self,
        authorisation: &'a Authorisation,
        hello: &'a SignedHello,
    ) -> BoxFuture<'a, Result<SignedReceipt, Reference>>;

    /// Keeps the signature of whoever was let in on their receipt, if it is theirs, and returns when it is on the disk.
    ///
    /// # Errors
    /// It is not, or could not be kept; for the log. Then nothing is sent.
    fn countersigned<'a>(
        &'a self,
        opened: &'a SignedReceipt,
        signature: Signature,
    ) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Writes down how much was sent, and how that ended.
    fn closed<'a>(&'a self, opened: &'a SignedReceipt, sent: (u32, u64), end: End) -> BoxFuture<'a, ()>;

    /// Keeps where whoever was let in is to be told what becomes of the study, the `whole` of it or some series.
    ///
    /// # Errors
    /// It cannot be kept; for the log.
    fn tell<'a>(&'a self, opened: &'a SignedReceipt, whole: bool, reach: Reach) -> BoxFuture<'a, Result<(), BoxError>>;

    /// The study's receipts from a sequence on, for its holder; nothing for others.
    ///
    /// # Errors
    /// They cannot be read; for the log.
    fn receipts(&self, authorisation: &Authorisation, from: u64) -> Result<Option<Statement>, BoxError>;

    /// Decides again, on what is known now; `shown` is what was shown of the member of a team who acts.
    ///
    /// # Errors
    /// The reference of a refusal.
    fn renew(&self, authorisation: &Authorisation, shown: Option<&Introduction>) -> Result<Authorisation, Reference>;

    /// Keeps the refusal of something that was not even a hello.
    fn refuse(&self, remote: Key, why: &'static str) -> Reference;

    /// The bytes with this digest, as they are on the disk, and of more than 1 MiB their subtrees. They are verified when they are read.
    ///
    /// # Errors
    /// The file's.
    fn open(&self, stored: &StoredDigest, size: u64) -> io::Result<Kept>;

    /// Takes note that bytes with this digest are not there as they were, for the operator.
    fn damaged(&self, stored: &StoredDigest, error: &io::Error);

    /// Changes whenever consent may have: a block, a revocation seen.
    fn changes(&self) -> watch::Receiver<u64>;

    /// This source's clock.
    fn clock(&self) -> LocalTime;
}

/// Why a gate could not do something, for the log.
pub type BoxError = Box<dyn core::error::Error + Send + Sync>;

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

/// Where a source sends what may be fetched.
pub(crate) struct Transfers {
    pub(super) gate: Arc<dyn Gate>,
    pub(super) guests: Fair<Account>,
    pub(super) refusals: Refusals,
    deciding: BlockingLane,
    pub(super) renewing: BlockingLane,
    sending: Semaphore,
}

impl Transfers {
    /// Those that `gate` lets in. Whoever is let in takes one of the places of `guests`.
    pub(crate) fn new(gate: Arc<dyn Gate>, guests: Fair<Account>) -> Self {
        Self {
            gate,
            guests,
            refusals: Refusals::new(),
            deciding: BlockingLane::new(MAX_DECIDING),
            renewing: BlockingLane::new(MAX_RENEWING),
            sending: Semaphore::new(MAX_SENDING),
        }
    }
}

/// Serves one connection until its end. It has a stranger's place until it is let in. Those of its key share `turns`.
pub(crate) async fn serve(
    connection: &Connection,
    stranger: Place<Neighbourhood>,
    turns: &Semaphore,
    transfers: &Transfers,
) {
    let close = |code| connection.close(VarInt::from_u32(code), b"");
    // From before the decision, so that nothing that comes between it and the sending is missed.
    let changes = transfers.gate.changes();
    let address = stranger.whose();
    let Some(greeted) = stranger.holding(greet(connection, address, transfers)).await else { return close(REPLACED) };
    let Some(mut greeted) = greeted else { return close(REFUSED) };
    let (guest, receipt) = match welcome(remote_key(connection), &greeted, transfers).await {
        Ok(welcomed) => welcomed,
        Err(reference) => {
            transfers.refusals.refuse(&mut greeted.send, address, greeted.asked, reference).await;
            return close(REFUSED);
        }
    };
    drop(stranger);
    let Greeted { send, receive, said, admission, .. } = greeted;
    let mut leave = Leave { transfers, changes, authorisation: admission.authorisation.clone(), shown: said.shown };
    let sent = Sent::default();
    let turn = Turn::new(&transfers.sending, turns);
    let sender = Sender {
        send,
        receive,
        gate: &transfers.gate,
        reading: &transfers.renewing,
        turn,
        receipt: &receipt,
        sent: &sent,
    };
    // In one place of its own: moved it would be there twice.
    let mut sending = Box::pin(guest.holding(async {
        match sender.send_all(admission).await {
            // The other side closes when it has everything. Until then a part of it is still here, and can be held back.
            Ok(()) => drop(timeout(LINGER, connection.closed()).await),
            Err(error) => debug!(%error, "a transfer broke off"),
        }
        (FAILED, if has_all(connection) { End::Finished } else { End::Broken })
    }));
    let (code, end) = loop {
        tokio::select! {
            // First what may stop: data never wins over a no.
            biased;
            () = leave.is_due() => match leave.renew().await {
                // Only now is anything more sent: not the welcome either while it is being decided again.
                Ok(()) => {}
                Err(REVISED) => break (REVISED, End::Revised),
                Err(code) => break (code, End::ConsentEnded),
            },
            ended = &mut sending => break ended.unwrap_or((REPLACED, End::Broken)),
        }
    };
    close(code);
    transfers.gate.closed(&receipt, sent.so_far(), end).await;
}

/// Whoever may be let in, and what they said and when.
pub(super) struct Greeted {
    pub(super) send: SendStream,
    pub(super) receive: RecvStream,
    pub(super) asked: Instant,
    pub(super) said: Said,
    pub(super) admission: Admission,
}

/// What whoever connected said.
#[derive(Clone)]
pub(super) struct Said {
    hello: SignedHello,
    /// What they showed of the member of a team who acts.
    shown: Option<Arc<Introduction>>,
}

/// Hears whoever connected, and decides. Who may not be let in was told so when this returns.
pub(super) async fn greet(connection: &Connection, address: Neighbourhood, transfers: &Transfers) -> Option<Greeted> {
    let (mut send, mut receive) = timeout(PATIENCE, connection.accept_bi()).await.ok()?.ok()?;
    let (asked, decided) = tokio::select! {
        biased;
        // Whoever has gone waits for no turn.
        _ = connection.closed() => return None,
        decided = decide(&mut receive, remote_key(connection), transfers) => decided,
    };
    match decided {
        Ok((said, admission)) => Some(Greeted { send, receive, asked, said, admission }),
        Err(reference) => {
            transfers.refusals.refuse(&mut send, address, asked, reference).await;
            None
        }
    }
}

/// Gives a guest's place to whoever may be let in, and writes down that they were.
async fn welcome(
    remote: Key,
    Greeted { said, admission: Admission { authorisation, .. }, .. }: &Greeted,
    transfers: &Transfers,
) -> Result<(Place<Account>, SignedReceipt), Reference> {
    let guest = transfers.guests.enter(Account::Study(authorisation.study()));
    let guest = guest.ok_or_else(|| transfers.gate.refuse(remote, "there is no place for anybody who is let in"))?;
    Ok((guest, transfers.gate.opened(authorisation, &said.hello).await?))
}

/// Whether the recipient has said that it has all it wanted. It may say so before the end of its stream was read.
fn has_all(connection: &Connection) -> bool {
    let done = VarInt::from_u32(DONE);
    matches!(connection.close_reason(), Some(ConnectionError::ApplicationClosed(close)) if close.error_code == done)
}

/// How much was sent to one recipient.
#[derive(Debug, Default)]
struct Sent {
    items: AtomicU32,
    bytes: AtomicU64,
}

impl Sent {
    fn so_far(&self) -> (u32, u64) {
        (self.items.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// Reads a hello and decides on it. Also when it was there.
async fn decide(
    receive: &mut RecvStream,
    remote: Key,
    transfers: &Transfers,
) -> (Instant, Result<(Said, Admission), Reference>) {
    let hello = read_message::<SignedHello>(receive, PATIENCE).await;
    let shown = match &hello {
        // Behind it: with the lists that are good for a day it is no part of what is signed, and of what is kept.
        Ok(hello) if hello.hello.claim.members_of().is_some() => {
            read_message::<Introduction>(receive, BEHIND).await.ok().map(Arc::new)
        }
        _ => None,
    };
    let turn = transfers.deciding.turn().await;
    let asked = Instant::now();
    let Ok(hello) = hello else { return (asked, Err(transfers.gate.refuse(remote, "what came was no hello"))) };
    let said = Said { hello, shown };
    let (gate, decide) = (Arc::clone(&transfers.gate), said.clone());
    let decided = match turn.work(move || gate.admit(remote, &decide.hello, decide.shown.as_deref())).await {
        Ok(decided) => decided.map(|admission| (said, admission)),
        // In doubt the answer is no.
        Err(_) => Err(transfers.gate.refuse(remote, "a defect ended the decision")),
    };
    (asked, decided)
}

/// The leave that somebody is sent by, decided again whenever it may have ended.
struct Leave<'a> {
    transfers: &'a Transfers,
    changes: watch::Receiver<u64>,
    authorisation: Authorisation,
    shown: Option<Arc<Introduction>>,
}

impl Leave<'_> {
    /// Returns when it is to be decided again.
    async fn is_due(&mut self) {
        let fresh_until = self.authorisation.fresh_until();
        let until = self.authorisation.until().map_or(fresh_until, |until| until.min(fresh_until));
        // Not at once again: a head is recent enough up to its last millisecond and with it.
        let wait = Duration::from_millis(until.since(self.transfers.gate.clock().0).max(1)).min(RENEW);
        tokio::select! {
            // Also when nobody is left to say so.
            _ = self.changes.changed() => {}
            () = sleep(wait) => {}
        }
    }

    /// Decides again. Nothing may be sent until it has returned, and after an error nothing any more: the code is what to close with. What was
    /// given to the connection before is on its way.
    async fn renew(&mut self) -> Result<(), u32> {
        // Nobody is left to say what changes: then nothing stands.
        self.changes.has_changed().map_err(|_| ENDED)?;
        let (gate, authorisation) = (Arc::clone(&self.transfers.gate), self.authorisation.clone());
        let shown = self.shown.clone();
        match self.transfers.renewing.work(move || gate.renew(&authorisation, shown.as_deref())).await {
            // What is being sent is from a manifest that was replaced: some of it may have been withdrawn.
            Ok(Ok(renewed)) if renewed.current() != self.authorisation.current() => Err(REVISED),
            Ok(Ok(renewed)) => {
                self.authorisation = renewed;
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(ENDED),
        }
    }
}

/// Why a transfer broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("the recipient asked for nothing")]
    Nothing,
    #[error("the recipient asked for place {0}, which there is not")]
    Place(u32),
    #[error("the recipient asked for everything again and again")]
    TooOften,
    #[error("the recipient did not sign the receipt, or signed it twice")]
    NotSigned,
    #[error("somebody who is not the holder asked for receipts")]
    NotHolder,
    #[error("the receipts could not be written or read: {0}")]
    Gate(BoxError),
    #[error("the source's disk failed")]
    Disk(#[from] io::Error),
}

/// Sends to one recipient.
struct Sender<'a> {
    send: SendStream,
    receive: RecvStream,
    gate: &'a Arc<dyn Gate>,
    /// Where receipts are read.
    reading: &'a BlockingLane,
    turn: Turn<'a>,
    receipt: &'a SignedReceipt,
    sent: &'a Sent,
}

impl Sender<'_> {
    async fn send_all(mut self, admission: Admission) -> Result<(), SendError> {
        let Admission { authorisation, offer, withheld } = admission;
        let items: Arc<[_]> = offer.manifest.items().iter().map(|item| (item.stored(), item.size())).collect();
        let (withheld, whole) = (Arc::new(withheld), offer.manifest.whole().is_some());
        let welcome = Answer::Welcome(Box::new(self.receipt.clone()), Box::new(offer));
        self.write(framed(&welcome).into()).await?;
        drop(welcome);
        let mut left = items.len().saturating_mul(MAX_TIMES);
        let (mut statements, mut told) = (MAX_STATEMENTS, false);
        let Some(Ask::Countersigned(signature)) = self.ask().await? else { return Err(SendError::NotSigned) };
        self.gate.countersigned(self.receipt, signature).await.map_err(SendError::Gate)?;
        while let Some(ask) = self.ask().await? {
            match ask {
                Ask::Items(wants) => {
                    let wants = wants.into_vec();
                    if wants.is_empty() {
                        return Err(SendError::Nothing);
                    }
                    left = left.checked_sub(wants.len()).ok_or(SendError::TooOften)?;
                    let there = |place| usize::try_from(place).is_ok_and(|place| place < items.len());
                    if let Some(beyond) = wants.iter().find(|want| !there(want.place)) {
                        return Err(SendError::Place(beyond.place));
                    }
                    self.send_items(Reading::new(self.gate, &items, &withheld, wants)).await?;
                }
                Ask::Receipts { from } => {
                    statements = statements.checked_sub(1).ok_or(SendError::TooOften)?;
                    self.send_receipts(&authorisation, from).await?;
                }
                Ask::Tell(reach) => {
                    if std::mem::replace(&mut told, true) {
                        return Err(SendError::TooOften);
                    }
                    self.gate.tell(self.receipt, whole, reach).await.map_err(SendError::Gate)?;
                }
                Ask::Countersigned(_) => return Err(SendError::NotSigned),
            }
        }
        self.send.finish().ok();
        Ok(())
    }

    /// What is asked for next; nothing at the end of the stream.
    async fn ask(&mut self) -> Result<Option<Ask>, SendError> {
        self.turn.leave();
        match read_message(&mut self.receive, STALLED).await {
            Err(MessageError::Read(ReadExactError::FinishedEarly(0))) => Ok(None),
            ask => Ok(Some(ask?)),
        }
    }

    async fn send_receipts(&mut self, authorisation: &Authorisation, from: u64) -> Result<(), SendError> {
        let (gate, authorisation) = (Arc::clone(self.gate), authorisation.clone());
        let read = self.reading.work(move || gate.receipts(&authorisation, from)).await;
        let statement = read.map_err(io::Error::other)?.map_err(SendError::Gate)?.ok_or(SendError::NotHolder)?;
        self.write(framed(&statement).into()).await
    }

    /// Sends what is read. While a block is sent the next is read, if there is a turn for it: who waits holds none.
    async fn send_items(&mut self, reading: Reading) -> Result<(), SendError> {
        let (mut reading, mut ahead) = (Some(reading), None);
        loop {
            self.turn.begin().await;
            let begun = ahead.take().unwrap_or_else(|| read(reading.take()));
            let Some((rest, block, whole)) = begun.await.map_err(io::Error::other)? else { return Ok(()) };
            let len = block.len();
            if self.turn.goes_on_after(block.len()) {
                ahead = Some(read(Some(rest)));
            } else {
                reading = Some(rest);
            }
            self.write(block.into()).await?;
            self.sent.items.fetch_add(whole, Ordering::Relaxed);
            self.sent.bytes.fetch_add(len as u64, Ordering::Relaxed);
        }
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<(), SendError> {
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK));
            let len = chunk.len();
            // The time runs from its turn on.
            let sending = async { timeout(STALLED, self.send.write_chunk(chunk)).await };
            self.turn.take(len, sending).await.map_err(|_| MessageError::Silent)?.map_err(MessageError::from)?;
        }
        Ok(())
    }
}

/// Reads the next block where that keeps nobody waiting; none when all was read.
fn read(reading: Option<Reading>) -> JoinHandle<Option<(Reading, Vec<u8>, u32)>> {
    tokio::task::spawn_blocking(move || {
        let mut reading = reading?;
        let (block, whole) = reading.next();
        (!block.is_empty()).then_some((reading, block, whole))
    })
}
