//! The source's side of a pickup.

use std::sync::Arc;
use std::time::Duration;

use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{EnvelopeHash, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::transaction::Envelope;
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::message::{Ask, Claim, Claimed, Claims, Denied, MAX_OFFERS, Offered, Told};
use crate::endpoint::{ReadMessageError, read_message, remote_key, write_message};
use crate::message::Included;

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

/// Serves one connection until its end.
pub(crate) async fn serve(connection: Connection, counter: Arc<dyn Counter>) {
    if let Err(error) = answer(&connection, counter).await {
        debug!(%error, "a pickup broke off");
        connection.close(VarInt::from_u32(1), b"");
    } else {
        timeout(Duration::from_secs(10), connection.closed()).await.ok();
    }
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the connection broke")]
    Connection,
    #[error("the wallet took too long")]
    Silent,
    #[error(transparent)]
    Message(#[from] ReadMessageError),
    #[error("a defect ended it")]
    Defect,
}

async fn answer(connection: &Connection, counter: Arc<dyn Counter>) -> Result<(), Broken> {
    let remote = remote_key(connection);
    let (mut send, mut receive) = soon(Duration::from_secs(10), connection.accept_bi()).await?;
    let ask: Ask = read(Duration::from_secs(10), &mut receive).await?;
    let opened = Arc::clone(&counter);
    let offers = match blocking(move || opened.open(remote, &ask)).await? {
        Ok(offers) => offers,
        Err(denied) => {
            write(&mut send, &Told::Denied(denied)).await?;
            send.finish().ok();
            return Ok(());
        }
    };
    let offered: Vec<StudyId> = offers.iter().map(|offer| offer.manifest.manifest.header().study).collect();
    let count = offers.len().min(MAX_OFFERS);
    write(&mut send, &Told::Offers(u32::try_from(count).unwrap_or(u32::MAX))).await?;
    for offer in offers.iter().take(count) {
        write(&mut send, offer).await?;
    }
    drop(offers);
    let claims: Claims = read(PATIENCE, &mut receive).await?;
    let claiming = Arc::clone(&counter);
    let submitted =
        blocking(move || claims.into_vec().iter().map(|claim| claiming.claim(&offered, claim)).collect::<Vec<_>>())
            .await?;
    let end = Instant::now() + FINAL;
    for one in submitted {
        let claimed = match one {
            Err(why) => Claimed::Failed(why),
            Ok((hash, envelope)) => finality(&counter, hash, envelope, end).await?,
        };
        write(&mut send, &claimed).await?;
    }
    send.finish().ok();
    Ok(())
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

async fn soon<T, E>(within: Duration, what: impl Future<Output = Result<T, E>>) -> Result<T, Broken> {
    timeout(within, what).await.map_err(|_| Broken::Silent)?.map_err(|_| Broken::Connection)
}

async fn read<T: clavicle_ledger::encoding::Wire>(within: Duration, receive: &mut RecvStream) -> Result<T, Broken> {
    Ok(timeout(within, read_message(receive)).await.map_err(|_| Broken::Silent)??)
}

async fn write<T: borsh::BorshSerialize>(send: &mut SendStream, message: &T) -> Result<(), Broken> {
    soon(Duration::from_secs(30), write_message(send, message)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Broken::Defect)
}
