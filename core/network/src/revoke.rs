//! Revocations: the lane in which nothing else goes, and the protocol that brings one to a study's source itself.
//!
//! ```text
//! wallet                     source
//! one signed Revoke       ─►
//!                         ◄─ what a relay answers to Submit
//! ```
//!
//! Over libp2p a revocation waits behind no other question. Over iroh it needs no libp2p at all: the wallet connects
//! under a key that is thrown away, to the address and the transfer key that the ledger has of the source. In both the
//! signature is verified before anything else is done.

use std::sync::Arc;
use std::time::Duration;

use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::transaction::{Action, Envelope};
use iroh::endpoint::{Connection, VarInt};
use tokio::time::timeout;
use tracing::debug;

use crate::blocking::BlockingLane;
use crate::desk::Desk;
use crate::endpoint::{
    EndpointError, MessageError, Remote, bind_towards, connect, read_message, remote_key, write_message,
};
use crate::message::{Request, Response, Verdict};

/// The protocol, as iroh negotiates it.
pub const PROTOCOL: &[u8] = b"clavicle/revoke/1";

/// How long whoever connected may take for each step.
const PROMPT: Duration = Duration::from_secs(5);
/// How long a source may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many revocations are looked at at once, beside all else.
const MAX_REVOKING: usize = 4;

/// Why a source was not told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The ledger has no address of the source.
    #[error("the ledger has no address at which the source is reached")]
    NoAddress,
    /// No endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Not reached.
    #[error("the source is not reached")]
    Unreachable,
    /// The connection broke, or the answer is none.
    #[error("the source did not answer")]
    NoAnswer,
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// Tells a source of a revocation. What it answers is not to be believed yet.
///
/// # Errors
/// [`RevokeError`].
pub async fn deliver(source: &Remote, envelope: &Envelope) -> Result<Response, RevokeError> {
    let to = *source.addresses.first().ok_or(RevokeError::NoAddress)?;
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut seed[..]).map_err(|_| RevokeError::Random)?;
    let endpoint = bind_towards(&SecretKey::from_bytes(&seed), to).await?;
    let told = async {
        let connection = connect(&endpoint, source, PROTOCOL).await.ok_or(RevokeError::Unreachable)?;
        let (mut send, mut receive) = connection.open_bi().await.map_err(|_| RevokeError::NoAnswer)?;
        let no_answer = |_: MessageError| RevokeError::NoAnswer;
        write_message(&mut send, envelope, PATIENCE).await.map_err(no_answer)?;
        let response = read_message(&mut receive, PATIENCE).await.map_err(no_answer)?;
        connection.close(VarInt::from_u32(0), b"");
        Ok(response)
    };
    let told = told.await;
    endpoint.close().await;
    told
}

/// Whether a transaction is a revocation, well signed or not.
pub(crate) const fn is_revocation(envelope: &Envelope) -> bool {
    matches!(envelope.body.action, Action::Revoke(_))
}

/// What a desk says to a revocation, whose signature is verified before it is asked.
pub(crate) fn answer(chain: &ChainId, desk: &dyn Desk, asker: Key, envelope: Box<Envelope>) -> Response {
    match envelope.as_ref().clone().check_stateless(chain) {
        Ok(_) => desk.answer(asker, Request::Submit(envelope)),
        Err(error) => {
            let why = Text::new(error.to_string()).unwrap_or_default();
            Response::Verdict(Verdict::Rejected(why))
        }
    }
}

/// Where a source takes revocations over iroh.
pub struct Revocations {
    chain: ChainId,
    desk: Arc<dyn Desk>,
    looking: BlockingLane,
}

impl Revocations {
    /// They are handed to `desk`, as those are that come over libp2p.
    #[must_use]
    pub fn new(chain: ChainId, desk: Arc<dyn Desk>) -> Self {
        Self { chain, desk, looking: BlockingLane::new(MAX_REVOKING) }
    }

    /// Serves one connection until its end.
    pub(crate) async fn serve(self: &Arc<Self>, connection: &Connection) {
        if let Err(error) = self.take(connection).await {
            debug!(%error, "a revocation broke off");
        }
        connection.close(VarInt::from_u32(0), b"");
    }

    async fn take(self: &Arc<Self>, connection: &Connection) -> Result<(), MessageError> {
        let opened = timeout(PROMPT, connection.accept_bi()).await.map_err(|_| MessageError::Silent)?;
        let Ok((mut send, mut receive)) = opened else { return Ok(()) };
        let envelope: Envelope = read_message(&mut receive, PROMPT).await?;
        if !is_revocation(&envelope) {
            return Ok(());
        }
        let (this, asker) = (Arc::clone(self), remote_key(connection));
        // Whoever does not take the answer, or has gone, keeps nobody waiting.
        let answered = self.looking.work(move || answer(&this.chain, &*this.desk, asker, Box::new(envelope)));
        let response = answered.await.unwrap_or(Response::Unavailable);
        write_message(&mut send, &response, PROMPT).await?;
        send.finish().ok();
        timeout(PROMPT, connection.closed()).await.ok();
        Ok(())
    }
}

impl core::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Revocations").field("chain", &self.chain).finish_non_exhaustive()
    }
}
