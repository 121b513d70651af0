//! The way back for who was away so long that nothing is believed any more: a block that hospitals vouch for (the ledger's RULES §7).
//!
//! Relays are asked which blocks are vouched for. They are believed nothing: what counts is the word of the hospitals that this wallet knew last, by keys
//! that their identity keys endorsed.

use std::time::Duration;

use clavicle_ledger::id::SourceId;
use clavicle_ledger::light::{CheckpointError, LightError, ProvenIdentity, SignedCheckpoint};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::Height;
use clavicle_network::message::{Query, Request, Response};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error, info};

use super::{Ledger, Proven};
use crate::error::WalletError;

/// How many relays are asked: of one alone nobody would see that others contradict it.
const ASKED: usize = 16;
/// How long those that have not answered are waited for when one has.
const GRACE: Duration = Duration::from_secs(2);

/// A wallet that was away for long, and how it found its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// How long before that it had last looked, or the network began, in milliseconds.
    pub away_ms: u64,
    /// The height of the block that it went on from.
    pub height: Height,
}

impl Ledger {
    /// Goes on from a block that hospitals vouch for, if what is believed is too old. Nothing, if it is not.
    ///
    /// # Errors
    /// [`WalletError::Checkpoint`] when not enough of them do, or they contradict each other, and what else can go wrong in asking.
    pub async fn wake(&mut self) -> Result<Option<Woken>, WalletError> {
        if self.light.is_trusted_at(self.now()) {
            return Ok(None);
        }
        let signed = self.signed_checkpoints().await?;
        let vouched = self.light.vouched(&signed, &self.identities, self.now());
        if let Err(error @ CheckpointError::Contradiction { .. }) = &vouched {
            error!(%error, "hospitals contradict each other");
        }
        let vouched = vouched.map_err(WalletError::Checkpoint)?;
        let away_ms = self.now().0.since(self.light.newest().time.timestamp());
        let (height, mut last) = (vouched.checkpoint().height, WalletError::NoRelay(None));
        for relay in self.relays()? {
            let refused = match self.ask_one(&relay, Request::Query(Query::Decided(height))).await {
                Ok(Response::Decided(Some(decided))) => {
                    match self.light.resume(&vouched, &decided.head, &decided.validators, (self.clock)()) {
                        Ok(_) => {
                            info!(height, "gone on from a block that hospitals vouch for");
                            return Ok(Some(Woken { away_ms, height }));
                        }
                        Err(error @ LightError::Fork { .. }) => return Err(error.into()),
                        Err(error) => error.into(),
                    }
                }
                Ok(_) => WalletError::NoCheckpoint,
                Err(error) => WalletError::NoRelay(Some(error)),
            };
            debug!(%refused, "a relay does not give the block that hospitals vouch for");
            last = refused;
        }
        Err(last)
    }

    /// What relays know that sources vouch for, as many relays as answer soon.
    async fn signed_checkpoints(&self) -> Result<Vec<SignedCheckpoint>, WalletError> {
        let relays = self.relays()?;
        let asking = relays.iter().take(ASKED).map(|relay| self.ask_one(relay, Request::Query(Query::Checkpoints)));
        let mut asked: FuturesUnordered<_> = asking.collect();
        let (mut signed, mut answered, mut last) = (Vec::new(), false, None);
        let mut until = Instant::now() + Duration::from_secs(30);
        while let Ok(Some(answer)) = timeout_at(until, asked.next()).await {
            match answer {
                Ok(Response::Checkpoints(of_one)) => {
                    signed.extend(of_one.into_vec());
                    if !answered {
                        (answered, until) = (true, Instant::now() + GRACE);
                    }
                }
                // Of an earlier version, or behind.
                Ok(_) => {}
                Err(error) => {
                    debug!(%error, "a relay does not say what is vouched for");
                    last = Some(error);
                }
            }
        }
        if answered { Ok(signed) } else { Err(WalletError::NoRelay(last)) }
    }

    /// Remembers the identity keys in proven rows of sources: by these it is known later who vouches.
    pub(super) fn learn_identities(&mut self, proven: &Proven, of: &[SourceId]) -> Result<(), WalletError> {
        for source in of {
            if let Some(row) = proven.rows.source(*source)? {
                // There is room for as many as a network may have.
                self.identities.proven.insert(ProvenIdentity::of(*source, &row)).ok();
            }
        }
        Ok(())
    }
}
