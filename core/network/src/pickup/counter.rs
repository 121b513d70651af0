//! The source's side of a pickup.

use std::sync::Arc;
use std::time::Duration;

use clavicle_admission::Neighbourhood;
use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{EnvelopeHash, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::transaction::Envelope;
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::message::{Ask, Claim, Claimed, Claims, Denied, MAX_OFFERED, MAX_OFFERS, Offered, Told};
use crate::endpoint::{MessageError, framed, read_message, remote_key, write_bytes, write_message};
use crate::message::Included;
use crate::serve::{Account, Hall, Place, REPLACED};

/// How long a wallet may take to say what it was given, and to take what it is told.
const PROMPT: Duration = Duration::from_secs(10);
/// How long a wallet may take nothing before it is given up.
const STALLED: Duration = Duration::from_secs(30);

/// How long a wallet may take to answer: a person may be reading what is offered.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a claim may take to be final.
const FINAL: Duration = Duration::from_secs(60);

/// Where pickups are answered: a relay. Everything may read files and verify signatures.
pub trait Counter: Send + Sync + 'static {
    /// The studies of the visit that a ticket opens, for the wallet with this key.
    ///
    /// # Errors
    /// [`Denied`].
    fn open(&self, remote: Key, ask: &Ask) -> Result<Vec<Offered>, Denied>;

    /// Co-signs the definition of a study that was `offered`, and submits it. One that was submitted before is submitted again, and comes to the same
    /// envelope.
    ///
    /// # Errors
    /// Why not, in words for the patient.
    fn claim(&self, offered: &[StudyId], claim: &Claim) -> Result<(EnvelopeHash, Envelope), Text<256>>;

    /// Whether a transaction is final, and the proof.
    fn included(&self, envelope: &EnvelopeHash) -> Option<Included>;

    /// Changes with every block.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// Serves one connection until its end. It has a stranger's place until its ticket has opened something.
pub(crate) async fn serve(connection: &Connection, stranger: Place<Neighbourhood>, hall: &Hall) {
    if let Err(error) = answer(connection, stranger, hall).await {
        debug!(%error, "a pickup broke off");
        let code = if matches!(error, Broken::Replaced) { REPLACED } else { 1 };
        connection.close(VarInt::from_u32(code), b"");
    }
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the connection broke")]
    Connection,
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("a defect ended it")]
    Defect,
    #[error("its place was taken by somebody else")]
    Replaced,
}

/// Whoever has a ticket, and what is offered on it.
struct Greeted {
    send: SendStream,
    receive: RecvStream,
    offered: Vec<StudyId>,
    frames: Vec<Vec<u8>>,
}

async fn answer(connection: &Connection, stranger: Place<Neighbourhood>, hall: &Hall) -> Result<(), Broken> {
    let greeted = stranger.holding(greet(connection, hall)).await.ok_or(Broken::Replaced)?;
    let Some(greeted) = greeted? else { return Ok(()) };
    let guest = hall.guests.enter(Account::Wallet(remote_key(connection))).ok_or(Broken::Replaced)?;
    drop(stranger);
    guest.holding(claims(connection, greeted, hall)).await.ok_or(Broken::Replaced)?
}

/// Hears whoever connected, and looks what there is for them. Who has no ticket was told so when this returns.
async fn greet(connection: &Connection, hall: &Hall) -> Result<Option<Greeted>, Broken> {
    let remote = remote_key(connection);
    let opened = timeout(PROMPT, connection.accept_bi()).await.map_err(|_| MessageError::Silent)?;
    let (mut send, mut receive) = opened.map_err(|_| Broken::Connection)?;
    let ask: Ask = read_message(&mut receive, PROMPT).await?;
    match decide(hall, move |counter| counter.open(remote, &ask).map(frames)).await? {
        Ok((offered, frames)) => Ok(Some(Greeted { send, receive, offered, frames })),
        Err(denied) => {
            write_message(&mut send, &Told::Denied(denied), STALLED).await?;
            finish(connection, send).await;
            Ok(None)
        }
    }
}

/// Offers, and answers what is claimed.
async fn claims(connection: &Connection, greeted: Greeted, hall: &Hall) -> Result<(), Broken> {
    let Greeted { mut send, mut receive, offered, frames } = greeted;
    write_message(&mut send, &Told::Offers(u32::try_from(frames.len()).unwrap_or(u32::MAX)), STALLED).await?;
    for frame in frames {
        write_bytes(&mut send, &frame, STALLED).await?;
    }
    let claims: Claims = read_message(&mut receive, PATIENCE).await?;
    let submitted = decide(hall, move |counter| {
        claims.into_vec().iter().map(|claim| counter.claim(&offered, claim)).collect::<Vec<_>>()
    })
    .await?;
    let end = Instant::now() + FINAL;
    for one in submitted {
        let claimed = match one {
            Err(why) => Claimed::Failed(why),
            Ok((hash, envelope)) => finality(&hall.counter, hash, envelope, end).await?,
        };
        write_message(&mut send, &claimed, STALLED).await?;
    }
    finish(connection, send).await;
    Ok(())
}

/// Ends what is said, and waits until the other side has all of it.
async fn finish(connection: &Connection, mut send: SendStream) {
    send.finish().ok();
    timeout(PROMPT, connection.closed()).await.ok();
}

/// The studies that are offered, of those of a visit, and how they are sent: as many as fit.
fn frames(offers: Vec<Offered>) -> (Vec<StudyId>, Vec<Vec<u8>>) {
    let mut room = MAX_OFFERED;
    let fitting = offers.iter().take(MAX_OFFERS).map_while(|offer| {
        let frame = framed(offer);
        room = room.checked_sub(frame.len())?;
        Some((offer.manifest.manifest.header().study, frame))
    });
    fitting.unzip()
}

/// Waits until a transaction is final.
async fn finality(
    counter: &Arc<dyn Counter>,
    hash: EnvelopeHash,
    envelope: Envelope,
    end: Instant,
) -> Result<Claimed, Broken> {
    let mut changes = counter.changes();
    loop {
        changes.mark_unchanged();
        let asked = Arc::clone(counter);
        if let Some(included) = blocking(move || asked.included(&hash)).await? {
            return Ok(Claimed::Final { envelope: Box::new(envelope), included: Box::new(included) });
        }
        if !matches!(timeout_at(end, changes.changed()).await, Ok(Ok(()))) {
            let why = "the hospitals have not agreed on it yet; try again with the same code";
            return Ok(Claimed::Failed(Text::new(why).expect("the sentence is short and printable")));
        }
    }
}

/// Asks the counter something that takes its time.
async fn decide<T: Send + 'static>(
    hall: &Hall,
    ask: impl FnOnce(&dyn Counter) -> T + Send + 'static,
) -> Result<T, Broken> {
    let _turn = hall.deciding.acquire().await;
    let counter = Arc::clone(&hall.counter);
    blocking(move || ask(&*counter)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Broken::Defect)
}
