//! The source's side: nothing is sent without an [`Authorisation`].

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use clavicle_ledger::authorise::{Authorisation, SignedHello};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::LocalTime;
use clavicle_manifest::StoredDigest;
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::message::{Answer, Lead, Offer, Reference, Wants};
use super::{ENDED, REFUSED};
use crate::endpoint::{ReadMessageError, read_message, remote_key, write_message};

/// How long whoever connected may take to say something.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a recipient may take nothing before it is given up.
const STALLED: Duration = Duration::from_secs(30);
/// Refusals go out at ticks of this length, so that the time they take says nothing.
const TICK: Duration = Duration::from_millis(50);
/// The most refusals that wait for a tick; whoever comes beyond is cut off at once.
const MAX_REFUSALS: usize = 256;
/// How many bytes are read from the disk at a time.
const CHUNK: usize = 256 * 1024;

/// What decides and has the images: a relay.
///
/// All but [`Gate::changes`] may read files and verify signatures; they are called where that keeps nobody waiting.
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

/// Refusals that wait for their tick: bounded.
#[derive(Clone, Debug)]
pub(crate) struct Refusals {
    room: Arc<Semaphore>,
    from: Instant,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(MAX_REFUSALS)), from: Instant::now() }
    }

    /// Says no, at the next tick but one: deciding never takes as long as a tick on a healthy machine.
    async fn refuse(&self, connection: &Connection, send: &mut SendStream, reference: Reference) {
        let Ok(_place) = self.room.try_acquire() else {
            return connection.close(VarInt::from_u32(REFUSED), b"");
        };
        let ticks = self.from.elapsed().as_millis() / TICK.as_millis();
        let next = u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(2);
        sleep_until(self.from + TICK * next).await;
        if write_message(send, &Answer::Refused(reference)).await.is_ok() && send.finish().is_ok() {
            // Until it has arrived, or for a moment: closing at once would throw it away.
            timeout(Duration::from_secs(2), send.stopped()).await.ok();
        }
        connection.close(VarInt::from_u32(REFUSED), b"");
    }
}

/// Serves one connection until its end. `turn` bounds how many are sent to at once.
pub(crate) async fn serve(connection: Connection, gate: Arc<dyn Gate>, refusals: Refusals, turn: Arc<Semaphore>) {
    let remote = remote_key(&connection);
    // From before the decision, so that nothing that comes between it and the sending is missed.
    let changes = gate.changes();
    let Ok(Ok((mut send, mut receive))) = timeout(PATIENCE, connection.accept_bi()).await else {
        return connection.close(VarInt::from_u32(REFUSED), b"");
    };
    let admitted = match timeout(PATIENCE, read_message::<SignedHello>(&mut receive)).await {
        Err(_) | Ok(Err(ReadMessageError::Broken(_))) => return connection.close(VarInt::from_u32(REFUSED), b""),
        Ok(Err(_)) => Err(gate.refuse(remote, "what came was no hello")),
        Ok(Ok(hello)) => {
            let asked = Arc::clone(&gate);
            match tokio::task::spawn_blocking(move || asked.admit(remote, &hello)).await {
                Ok(decided) => decided,
                // In doubt the answer is no.
                Err(_) => Err(gate.refuse(remote, "a defect ended the decision")),
            }
        }
    };
    let admission = match admitted {
        Ok(admission) => admission,
        Err(reference) => return refusals.refuse(&connection, &mut send, reference).await,
    };
    let authorisation = admission.authorisation.clone();
    tokio::select! {
        // First what may stop: data never wins over a no.
        biased;
        () = ended(Arc::clone(&gate), changes, authorisation) => connection.close(VarInt::from_u32(ENDED), b""),
        sent = send_all(&mut send, &mut receive, &admission, &gate, &turn) => {
            if let Err(error) = sent {
                debug!(%error, "a transfer broke off");
                connection.close(VarInt::from_u32(REFUSED), b"");
            } else {
                // The other side closes when it has everything.
                timeout(STALLED, connection.closed()).await.ok();
            }
        }
    }
}

/// Returns when the leave has ended.
async fn ended(gate: Arc<dyn Gate>, mut changes: watch::Receiver<u64>, mut authorisation: Authorisation) {
    loop {
        let now = gate.clock().0;
        let until =
            authorisation.until().map_or(authorisation.fresh_until(), |until| until.min(authorisation.fresh_until()));
        let wait = Duration::from_millis(until.since(now)).max(TICK);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(wait) => {}
        }
        let (asked, before) = (Arc::clone(&gate), authorisation);
        match tokio::task::spawn_blocking(move || asked.renew(&before)).await {
            Ok(Ok(renewed)) => authorisation = renewed,
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Why a transfer broke off.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Read(#[from] ReadMessageError),
    #[error("the connection broke: {0}")]
    Write(#[from] WriteError),
    #[error("the recipient took nothing for too long")]
    Stalled,
    #[error("the recipient asked for place {0}, which there is not")]
    Place(u32),
    #[error("the source's disk failed")]
    Disk(#[from] io::Error),
}

async fn send_all(
    send: &mut SendStream,
    receive: &mut RecvStream,
    admission: &Admission,
    gate: &Arc<dyn Gate>,
    turn: &Semaphore,
) -> Result<(), SendError> {
    let _turn = turn.acquire().await;
    stalling(write_message(send, &Answer::Welcome(Box::new(admission.offer.clone())))).await?;
    let items: Vec<StoredDigest> = admission.offer.manifest.items().iter().map(super::Item::stored).collect();
    loop {
        let wants = match timeout(STALLED, read_message::<Wants>(receive)).await {
            Err(_) => return Err(SendError::Stalled),
            // The end of the stream: all that was wanted was sent.
            Ok(Err(ReadMessageError::Broken(iroh::endpoint::ReadExactError::FinishedEarly(0)))) => {
                send.finish().ok();
                return Ok(());
            }
            Ok(wants) => wants?,
        };
        for place in wants.into_vec() {
            let index = usize::try_from(place).ok();
            let stored = index.and_then(|index| items.get(index)).ok_or(SendError::Place(place))?;
            if admission.withheld.contains(stored) {
                stalling(send.write_all(&Lead { place, len: None }.to_bytes())).await?;
            } else {
                send_item(send, place, *stored, gate).await?;
            }
        }
    }
}

/// Sends an item's bytes as they are on the disk. Whether they are what was signed is for the recipient to see: a source that checked
/// and then sent something else would be no better.
async fn send_item(
    send: &mut SendStream,
    place: u32,
    stored: StoredDigest,
    gate: &Arc<dyn Gate>,
) -> Result<(), SendError> {
    let opened = Arc::clone(gate);
    let opened = blocking(move || {
        let mut file = opened.open(&stored)?;
        let len = file.metadata()?.len();
        let first = read_chunk(&mut file, len)?;
        Ok((file, len, first))
    })
    .await;
    let (mut file, len, mut chunk) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            warn!(%stored, %error, "an instance is not where the archive says");
            return stalling(send.write_all(&Lead { place, len: None }.to_bytes())).await;
        }
    };
    stalling(send.write_all(&Lead { place, len: Some(len) }.to_bytes())).await?;
    let mut left = len;
    loop {
        left = left.saturating_sub(chunk.len() as u64);
        if !chunk.is_empty() {
            stalling(send.write_all(&chunk)).await?;
        }
        if left == 0 {
            return Ok(());
        }
        (file, chunk) = blocking(move || read_chunk(&mut file, left).map(|chunk| (file, chunk))).await?;
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

/// Fails when nothing moves.
async fn stalling(write: impl Future<Output = Result<(), WriteError>>) -> Result<(), SendError> {
    timeout(STALLED, write).await.map_err(|_| SendError::Stalled)?.map_err(SendError::Write)
}
