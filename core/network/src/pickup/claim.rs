//! The wallet's side of a pickup.

use std::fmt;
use std::time::Duration;

use clavicle_ledger::key::Key;
use iroh::Endpoint;
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use super::PROTOCOL;
use super::bond::Bond;
use super::cpace::{Confirmation, Run, Side};
use super::message::{
    Ask, Claim, Claimed, Claims, Denied, Judged, MAX_OFFERED, MAX_OFFERS, NotOffered, Offered, PickupId, Told,
};
use super::secret::Secret;
use crate::endpoint::{self, MessageError, Remote, read_message, read_within, write_message};

/// How long a stream may take to open.
const OPEN: Duration = Duration::from_secs(20);
/// How long the source may be silent; the hospitals must agree meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);
/// For how long a source that cannot answer yet is asked again, and how often: one that was just started needs a part of a second.
const NOT_YET: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);

/// Why a pickup did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickupError {
    /// Nobody there.
    #[error("the hospital that issued this code cannot be reached; try again later, or from another network")]
    Unreachable,
    /// No.
    #[error(transparent)]
    Denied(Denied),
    /// The other side does not know what the hospital that gave out the code knows.
    #[error(
        "this hospital did not know the answer that the desk agreed on with you, so that it is not the one that gave out the code, or not any \
         more: do not try again, ask the desk. Nothing was handed over"
    )]
    NotProven,
    /// In the middle.
    #[error("the connection to the hospital broke; try again with the same code, nothing is lost")]
    Broken,
    /// Not as the protocol goes.
    #[error("the hospital does not keep to the protocol: {0}")]
    Protocol(&'static str),
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
}

/// A source that was reached, before either side has shown anything.
pub struct Met {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    confirmation: Confirmation,
}

/// A visit that was opened.
#[derive(Debug)]
pub struct Opened {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    offers: Vec<Offered>,
    not_offered: Vec<NotOffered>,
    is_full: bool,
}

/// Connects to a source for a pickup, with the endpoint of a key that the wallet keeps for its code: it may come again with it. Whoever
/// answers has learned nothing yet.
///
/// # Errors
/// [`PickupError`].
pub async fn meet(endpoint: &Endpoint, source: &Remote, id: &PickupId, secret: &Secret) -> Result<Met, PickupError> {
    let end = Instant::now() + NOT_YET;
    loop {
        match meet_once(endpoint, source, id, secret).await {
            Err(PickupError::Denied(Denied::NotNow)) if Instant::now() < end => sleep(AGAIN).await,
            met => return met,
        }
    }
}

async fn meet_once(endpoint: &Endpoint, source: &Remote, id: &PickupId, secret: &Secret) -> Result<Met, PickupError> {
    let connection = endpoint::connect(endpoint, source, PROTOCOL).await.ok_or(PickupError::Unreachable)?;
    let opened = timeout(OPEN, connection.open_bi()).await.map_err(|_| PickupError::Broken)?;
    let (mut send, mut receive) = opened.map_err(|_| PickupError::Broken)?;
    let own = Key::from_bytes(*endpoint.id().as_bytes());
    let bond = Bond::of(&connection, id, own, source.key).ok_or(PickupError::Broken)?;
    let mut random = Zeroizing::new([0; 64]);
    getrandom::fill(&mut *random).map_err(PickupError::Random)?;
    let run = Run::new(bond.inputs(secret), &random);
    let ask = Ask { ticket: id.ticket, share: run.share() };
    write_message(&mut send, &ask, PATIENCE).await.map_err(failed)?;
    let share = match read_message::<Told>(&mut receive, PATIENCE).await.map_err(failed)? {
        Told::Denied(denied) => return Err(PickupError::Denied(denied)),
        Told::Share(share) => share,
    };
    let confirmation = run.meet(Side::First, share).ok_or(PickupError::Protocol("its share is none"))?;
    Ok(Met { connection, send, receive, confirmation })
}

impl Met {
    /// Shows that the wallet knows the answer, has the source show the same, and opens the visit. To a source that does not know the answer this
    /// is one guess: whoever calls it counts.
    ///
    /// # Errors
    /// [`PickupError`].
    pub async fn prove(self) -> Result<Opened, PickupError> {
        let Self { connection, mut send, mut receive, confirmation } = self;
        write_message(&mut send, &confirmation.tag(Side::First), PATIENCE).await.map_err(failed)?;
        let (tag, offers, not_offered) = match read_message(&mut receive, PATIENCE).await.map_err(failed)? {
            Judged::Denied(denied) => return Err(PickupError::Denied(denied)),
            Judged::Proven { tag, offers, not_offered } => (tag, offers, not_offered.into_vec()),
        };
        if !confirmation.is_tag(Side::Second, &tag) {
            return Err(PickupError::NotProven);
        }
        let count = usize::try_from(offers).unwrap_or(usize::MAX);
        if count > MAX_OFFERS {
            return Err(PickupError::Protocol("it offers more studies than one visit has"));
        }
        let (mut offers, mut room) = (Vec::new(), MAX_OFFERED);
        for _ in 0..count {
            offers.push(read_within(&mut receive, PATIENCE, &mut room).await.map_err(failed)?);
        }
        // As many studies, or as many bytes, as one run takes, or nearly.
        let is_full = offers.len() == MAX_OFFERS || room < MAX_OFFERED / 2 || not_offered.len() == MAX_OFFERS;
        Ok(Opened { connection, send, receive, offers, not_offered, is_full })
    }
}

impl fmt::Debug for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Met").finish_non_exhaustive()
    }
}

impl Opened {
    /// The studies of the visit; not to be believed yet.
    #[must_use]
    pub fn offers(&self) -> &[Offered] {
        &self.offers
    }

    /// The studies of the visit of which nothing is shown; as the source has it.
    #[must_use]
    pub fn not_offered(&self) -> &[NotOffered] {
        &self.not_offered
    }

    /// Whether the visit may have more studies than were offered: whoever comes again with the same code is offered those.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Claims studies, and waits until they are final. What became of each, in the order of the claims; not to be believed yet.
    ///
    /// # Errors
    /// [`PickupError`].
    pub async fn claim(mut self, claims: Vec<Claim>) -> Result<Vec<Claimed>, PickupError> {
        let claims = Claims::of(claims);
        write_message(&mut self.send, &claims, PATIENCE).await.map_err(failed)?;
        let mut claimed = Vec::new();
        for _ in claims.as_slice() {
            claimed.push(read_message(&mut self.receive, PATIENCE).await.map_err(failed)?);
        }
        self.connection.close(VarInt::from_u32(0), b"");
        Ok(claimed)
    }
}

fn failed(error: MessageError) -> PickupError {
    if error.is_wrong() { PickupError::Protocol("its answer cannot be read") } else { PickupError::Broken }
}
