//! The wallet's side of a pickup.

use std::time::Duration;

use iroh::Endpoint;
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use tokio::time::timeout;

use super::PROTOCOL;
use super::message::{Ask, Claim, Claimed, Claims, Denied, MAX_OFFERED, MAX_OFFERS, Offered, Told};
use crate::endpoint::{self, MessageError, Remote, read_message, read_within, write_message};

/// How long a stream may take to open.
const OPEN: Duration = Duration::from_secs(20);
/// How long the source may be silent; the hospitals must agree meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);

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
    /// In the middle.
    #[error("the connection to the hospital broke; try again with the same code, nothing is lost")]
    Broken,
    /// Not as the protocol goes.
    #[error("the hospital does not keep to the protocol: {0}")]
    Protocol(&'static str),
}

/// A visit that was opened.
#[derive(Debug)]
pub struct Opened {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    offers: Vec<Offered>,
}

/// Opens the visit behind a code, with the endpoint of a key that the wallet keeps for this code: it may come again with it.
///
/// # Errors
/// [`PickupError`].
pub async fn open(endpoint: &Endpoint, source: &Remote, ask: &Ask) -> Result<Opened, PickupError> {
    let connection = endpoint::connect(endpoint, source, PROTOCOL).await.ok_or(PickupError::Unreachable)?;
    let opened = timeout(OPEN, connection.open_bi()).await.map_err(|_| PickupError::Broken)?;
    let (mut send, mut receive) = opened.map_err(|_| PickupError::Broken)?;
    write_message(&mut send, ask, PATIENCE).await.map_err(failed)?;
    let count = match read_message::<Told>(&mut receive, PATIENCE).await.map_err(failed)? {
        Told::Denied(denied) => return Err(PickupError::Denied(denied)),
        Told::Offers(count) => usize::try_from(count).unwrap_or(usize::MAX),
    };
    if count > MAX_OFFERS {
        return Err(PickupError::Protocol("it offers more studies than one visit has"));
    }
    let (mut offers, mut room) = (Vec::new(), MAX_OFFERED);
    for _ in 0..count {
        offers.push(read_within(&mut receive, PATIENCE, &mut room).await.map_err(failed)?);
    }
    Ok(Opened { connection, send, receive, offers })
}

impl Opened {
    /// The studies of the visit; not to be believed yet.
    #[must_use]
    pub fn offers(&self) -> &[Offered] {
        &self.offers
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
