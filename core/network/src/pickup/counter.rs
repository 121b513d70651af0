//! The source's side of a pickup.

use std::sync::Arc;
use std::time::Duration;

use clavicle_admission::Neighbourhood;
use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{ChainId, EnvelopeHash, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::transaction::Envelope;
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;
use zeroize::Zeroizing;

use super::bond::Bond;
use super::cpace::{Confirmation, Run, Share, Side, Tag};
use super::message::{
    Ask, Claim, Claimed, Claims, Denied, Judged, MAX_OFFERED, MAX_OFFERS, NotOffered, Offered, PickupId, TicketHash,
    Told,
};
use super::secret::Secret;
use super::tickets::Tickets;
use crate::blocking::BlockingLane;
use crate::endpoint::{MessageError, framed, read_message, remote_key, write_bytes, write_message};
use crate::message::{Included, List};
use crate::places::{Account, Fair, Place, REPLACED};

/// How long a wallet may take to say what it was given, and to take what it is told.
const PROMPT: Duration = Duration::from_secs(10);
/// How long a wallet may take nothing before it is given up.
const STALLED: Duration = Duration::from_secs(30);

/// How long a wallet may take to answer: a person may be reading what is offered.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a claim may take to be final.
const FINAL: Duration = Duration::from_secs(60);

/// The studies of a visit, as they are shown to one wallet.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// What is offered.
    pub offered: Vec<Offered>,
    /// Of the others, why not.
    pub not_offered: Vec<NotOffered>,
}

/// Where pickups are answered: a relay. Everything may read files and verify signatures.
pub trait Counter: Send + Sync + 'static {
    /// The network, and this source of it.
    fn source(&self) -> (ChainId, SourceId);

    /// What whoever has the ticket with this hash and its answer knows, for the wallet with this key. It is told nothing of it. Quick: strangers
    /// have this asked.
    ///
    /// # Errors
    /// [`Denied`].
    fn secret(&self, remote: Key, ticket: TicketHash) -> Result<Secret, Denied>;

    /// Counts whether the wallet with this key has shown that it `knows` the secret. The studies of the visit, if it has; nobody is told anything
    /// before it is counted for good.
    ///
    /// # Errors
    /// [`Denied`].
    fn open(&self, remote: Key, ticket: TicketHash, knows: bool) -> Result<Offers, Denied>;

    /// Co-signs the definition of a study that was `offered` on this ticket to the wallet with this key, or a step of
    /// its recovery, where the ticket is for that, and submits it. One that was submitted before is submitted again,
    /// and comes to the same envelope.
    ///
    /// # Errors
    /// Why not, in words for the patient.
    fn claim(
        &self,
        remote: Key,
        ticket: TicketHash,
        offered: &[StudyId],
        claim: &Claim,
    ) -> Result<(EnvelopeHash, Envelope), Text<256>>;

    /// Whether a transaction is final, and the proof.
    fn included(&self, envelope: &EnvelopeHash) -> Option<Included>;

    /// Changes with every block.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// How many pickups are answered at once, beside all else.
const MAX_PICKING: usize = 4;

/// Where a source answers pickups over iroh.
pub(crate) struct Pickups {
    /// The source's transfer key.
    key: Key,
    counter: Arc<dyn Counter>,
    guests: Fair<Account>,
    picking: BlockingLane,
    tickets: Tickets,
}

impl Pickups {
    /// Those that `counter` answers, of the source with this transfer key. Whoever knows an answer takes one of the places of `guests`.
    pub(crate) fn new(key: Key, counter: Arc<dyn Counter>, guests: Fair<Account>) -> Self {
        Self { key, counter, guests, picking: BlockingLane::new(MAX_PICKING), tickets: Tickets::default() }
    }
}

/// Serves one connection until its end. It has a stranger's place until it has shown that it knows an answer.
pub(crate) async fn serve(connection: &Connection, stranger: Place<Neighbourhood>, pickups: &Pickups) {
    if let Err(error) = answer(connection, stranger, pickups).await {
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
    #[error("the wallet's share is none")]
    Share,
    #[error("the system's random generator failed")]
    Random(#[from] getrandom::Error),
    #[error("a defect ended it")]
    Defect,
    #[error("its place was taken by somebody else")]
    Replaced,
}

/// Whoever has shown that it knows the answer, and what is offered on it.
struct Greeted {
    ticket: TicketHash,
    send: SendStream,
    receive: RecvStream,
    /// What shows that this source knows it too, and tells what follows.
    judged: Judged,
    offered: Vec<StudyId>,
    frames: Vec<Vec<u8>>,
}

async fn answer(connection: &Connection, stranger: Place<Neighbourhood>, pickups: &Pickups) -> Result<(), Broken> {
    let greeting = async {
        tokio::select! {
            biased;
            // Whoever has gone waits for no turn.
            _ = connection.closed() => Err(Broken::Connection),
            greeted = greet(connection, pickups) => greeted,
        }
    };
    let Some(greeted) = stranger.holding(greeting).await.ok_or(Broken::Replaced)?? else { return Ok(()) };
    let guest = pickups.guests.enter(Account::Wallet(remote_key(connection))).ok_or(Broken::Replaced)?;
    drop(stranger);
    guest.holding(claims(connection, greeted, pickups)).await.ok_or(Broken::Replaced)?
}

/// Hears whoever connected, has them show that they know the answer, and looks what there is for them. Who does not know it was told so when
/// this returns.
async fn greet(connection: &Connection, pickups: &Pickups) -> Result<Option<Greeted>, Broken> {
    let remote = remote_key(connection);
    let opened = timeout(PROMPT, connection.accept_bi()).await.map_err(|_| MessageError::Silent)?;
    let (mut send, mut receive) = opened.map_err(|_| Broken::Connection)?;
    let Ask { ticket, share } = read_message(&mut receive, PROMPT).await?;
    let (chain, source) = pickups.counter.source();
    let bond = Bond::of(connection, &PickupId { chain, source, ticket }, remote, pickups.key);
    let bond = bond.ok_or(Broken::Connection)?;
    let met = decide(pickups, move |counter| match counter.secret(remote, ticket) {
        Ok(secret) => meet(&bond, &secret, share).map(Ok),
        Err(denied) => Ok(Err(denied)),
    });
    let confirmation = match met.await?? {
        Ok((own, confirmation)) => {
            write_message(&mut send, &Told::Share(own), STALLED).await?;
            confirmation
        }
        Err(denied) => {
            write_message(&mut send, &Told::Denied(denied), STALLED).await?;
            finish(connection, send).await;
            return Ok(None);
        }
    };
    let shown: Tag = read_message(&mut receive, PROMPT).await?;
    let own = confirmation.tag(Side::Second);
    let knows = confirmation.is_tag(Side::First, &shown);
    // A right answer may be given again and again: of one ticket studies are read for one at a time.
    let opening = if knows { Some(pickups.tickets.open(ticket).await) } else { None };
    let opened = decide(pickups, move |counter| {
        let _opening = opening;
        counter.open(remote, ticket, knows).map(frames)
    });
    match opened.await? {
        Ok((offered, frames, not_offered)) => {
            let offers = u32::try_from(frames.len()).unwrap_or(u32::MAX);
            let judged = Judged::Proven { tag: own, offers, not_offered: List::of(not_offered) };
            Ok(Some(Greeted { ticket, send, receive, judged, offered, frames }))
        }
        Err(denied) => {
            write_message(&mut send, &Judged::Denied(denied), STALLED).await?;
            finish(connection, send).await;
            Ok(None)
        }
    }
}

/// This source's share, and what both sides have come to if they know the same.
fn meet(bond: &Bond, secret: &Secret, other: Share) -> Result<(Share, Confirmation), Broken> {
    let mut random = Zeroizing::new([0; 64]);
    getrandom::fill(&mut *random)?;
    let run = Run::new(bond.inputs(secret), &random);
    let own = run.share();
    Ok((own, run.meet(Side::Second, other).ok_or(Broken::Share)?))
}

/// Offers, and answers what is claimed.
async fn claims(connection: &Connection, greeted: Greeted, pickups: &Pickups) -> Result<(), Broken> {
    let Greeted { ticket, mut send, mut receive, judged, offered, frames } = greeted;
    let remote = remote_key(connection);
    write_message(&mut send, &judged, STALLED).await?;
    for frame in frames {
        write_bytes(&mut send, &frame, STALLED).await?;
    }
    let claims: Claims = read_message(&mut receive, PATIENCE).await?;
    let submitted = decide(pickups, move |counter| {
        claims.into_vec().iter().map(|claim| counter.claim(remote, ticket, &offered, claim)).collect::<Vec<_>>()
    })
    .await?;
    let end = Instant::now() + FINAL;
    for one in submitted {
        let claimed = match one {
            Err(why) => Claimed::Failed(why),
            Ok((hash, envelope)) => finality(pickups, hash, envelope, end).await?,
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

/// The studies that are offered, of those of a visit, and how they are sent: as many as fit. And why others are not.
fn frames(offers: Offers) -> (Vec<StudyId>, Vec<Vec<u8>>, Vec<NotOffered>) {
    let mut room = MAX_OFFERED;
    let fitting = offers.offered.iter().take(MAX_OFFERS).map_while(|offer| {
        let frame = framed(offer);
        room = room.checked_sub(frame.len())?;
        Some((offer.manifest.manifest.header().study, frame))
    });
    let (offered, frames) = fitting.unzip();
    (offered, frames, offers.not_offered)
}

/// Waits until a transaction is final.
async fn finality(pickups: &Pickups, hash: EnvelopeHash, envelope: Envelope, end: Instant) -> Result<Claimed, Broken> {
    let mut changes = pickups.counter.changes();
    loop {
        changes.mark_unchanged();
        if let Some(included) = decide(pickups, move |counter| counter.included(&hash)).await? {
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
    pickups: &Pickups,
    ask: impl FnOnce(&dyn Counter) -> T + Send + 'static,
) -> Result<T, Broken> {
    let counter = Arc::clone(&pickups.counter);
    pickups.picking.work(move || ask(&*counter)).await.map_err(|_| Broken::Defect)
}
