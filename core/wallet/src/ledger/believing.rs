//! Believing: of what relays answer only what a certified header and a proof bear out.

use std::time::Duration;

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::light::{CertifiedHeader, Checkpoint, CheckpointError, LightClient, LightError};
use clavicle_ledger::state::{ProvenFragment, StateKey};
use clavicle_ledger::time::Height;
use clavicle_network::message::{Decided, Query, Request, Response, RowKey};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::Ledger;
use crate::error::WalletError;

/// How long a relay may be behind what is known already, before others are asked for good.
const BEHIND: Duration = Duration::from_secs(10);

/// Rows proven against one header.
#[derive(Debug)]
pub struct Proven {
    /// The rows.
    pub rows: ProvenFragment,
    /// The header's height.
    pub height: Height,
    /// How old the header is, in milliseconds by this device's clock.
    pub age_ms: u64,
}

impl Ledger {
    /// Starts afresh from a checkpoint, if nothing is believed any more, or not yet, and hospitals do not vouch
    /// together for a block ([`Ledger::wake`]): on the word of whoever gave it, which is to be a hospital that the
    /// person stands before. What is still believed stays, whoever says what.
    ///
    /// # Errors
    /// [`WalletError`]: [`WalletError::NoCheckpoint`] when no relay knows the block.
    pub async fn renew(&mut self, checkpoint: &Checkpoint) -> Result<(), WalletError> {
        match self.wake().await {
            Ok(_) => return Ok(()),
            // One hospital's word does not settle what the others disagree on.
            Err(error @ WalletError::Checkpoint(CheckpointError::Contradiction { .. })) => return Err(error),
            Err(error) => debug!(%error, "no block is vouched for"),
        }
        let mut last = WalletError::NoRelay(None);
        for relay in self.relays()? {
            let refused = match self.ask_one(&relay, Request::Query(Query::Decided(checkpoint.height))).await {
                Err(error) => WalletError::NoRelay(Some(error)),
                Ok(Response::Decided(Some(decided))) => {
                    let Decided { head, validators } = &*decided;
                    match LightClient::from_checkpoint(&self.chain, checkpoint, head, validators, self.now()) {
                        Ok(fresh) => {
                            self.light.renew(&fresh, (self.clock)())?;
                            return Ok(());
                        }
                        Err(error) => error.into(),
                    }
                }
                Ok(_) => WalletError::NoCheckpoint,
            };
            debug!(%refused, "a relay does not know a checkpoint");
            // That a relay is silent says less than what another says.
            if matches!(last, WalletError::NoRelay(_)) || matches!(refused, WalletError::Light(_)) {
                last = refused;
            }
        }
        Err(last)
    }

    /// Believes a header, jumping over the changes of validators that lead to it, or following each.
    async fn believe(&mut self, head: &CertifiedHeader) -> Result<(), WalletError> {
        self.wake().await?;
        if self.light.needs_change(&head.header) && self.jump(head).await? {
            return Ok(());
        }
        while self.light.needs_change(&head.header) {
            let after = self.light.newest().height;
            let Response::Changes(changes) = self.ask(&Request::Query(Query::Changes { after })).await? else {
                return Err(WalletError::OtherAnswer);
            };
            if changes.as_slice().is_empty() {
                break;
            }
            for change in changes.as_slice() {
                self.light.change(change, (self.clock)())?;
            }
        }
        self.light.accept(head, (self.clock)())?;
        Ok(())
    }

    /// Jumps to a header, if so many of those who signed it are known that it can be.
    async fn jump(&mut self, head: &CertifiedHeader) -> Result<bool, WalletError> {
        let query = Query::Decided(head.header.height);
        let Ok(Response::Decided(Some(decided))) = self.ask(&Request::Query(query)).await else { return Ok(false) };
        // The same header may have come with fewer signatures.
        let head = if decided.head.header == head.header { &decided.head } else { head };
        match self.light.skip(head, &decided.validators, (self.clock)()) {
            Ok(_) => Ok(true),
            Err(error @ LightError::Fork { .. }) => Err(error.into()),
            // This relay may be wrong, or those who are known are too few: changes lead on, or say what is wrong.
            Err(_) => Ok(false),
        }
    }

    /// Asks every relay how far it is, so that what is proven from here on is no older than what any of them knows.
    ///
    /// # Errors
    /// [`WalletError::Random`]; a relay that does not answer, or is wrong, is passed over.
    pub async fn catch_up(&mut self) -> Result<(), WalletError> {
        if let Err(error) = self.wake().await {
            debug!(%error, "nothing is believed any more, and no block is vouched for");
            return Ok(());
        }
        for answer in self.ask_everybody(&Request::Query(Query::Head)).await? {
            let Response::Head(Some(head)) = answer else {
                debug!(?answer, "a relay does not say how far it is");
                continue;
            };
            if let Err(error) = self.believe(&head).await {
                debug!(%error, "a relay says what cannot be believed");
            }
        }
        Ok(())
    }

    /// Takes over what another of the same network has come to believe since.
    ///
    /// # Errors
    /// [`WalletError::Light`], should the two have come to believe what contradicts itself.
    pub(crate) fn learn(&mut self, other: Self) -> Result<(), WalletError> {
        let (own, new) = (self.light.newest(), other.light.newest());
        if own.height == new.height && own != new {
            return Err(LightError::Fork { height: own.height, mine: own.id(), other: new.id() }.into());
        }
        if own.height < new.height {
            self.light = other.light;
        }
        Ok(())
    }

    /// Rows of the newest state, or their absence, proven. When it is time, the first time above all, it is looked
    /// besides where relays are.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn rows(&mut self, keys: &[StateKey]) -> Result<Proven, WalletError> {
        let proven = self.prove(keys).await?;
        self.follow().await;
        Ok(proven)
    }

    /// [`Ledger::rows`], and nothing besides.
    pub(crate) async fn prove(&mut self, keys: &[StateKey]) -> Result<Proven, WalletError> {
        let keys = Ascending::from_items(keys.iter().copied().map(RowKey).collect());
        let request = Request::Query(Query::Rows(keys.map_err(|_| WalletError::OtherAnswer)?));
        let until = Instant::now() + BEHIND;
        loop {
            let Response::Rows(answer) = self.ask(&request).await? else { return Err(WalletError::OtherAnswer) };
            if let Some(proven) = answer {
                self.believe(&proven.head).await?;
                // A relay that is behind what is known already proves what was.
                if proven.head.header == *self.light.newest() {
                    let rows = self.light.fragment(proven.rows.as_slice())?;
                    let header = self.light.newest();
                    let age_ms = self.now().0.since(header.time.timestamp());
                    return Ok(Proven { rows, height: header.height, age_ms });
                }
            } else if Instant::now() >= until {
                return Err(WalletError::NoBlock);
            }
            if Instant::now() >= until {
                return Err(WalletError::NoRelay(None));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The height at which a transaction was executed, proven; none if it was not yet.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn included(&mut self, hash: &EnvelopeHash) -> Result<Option<Height>, WalletError> {
        let request = Request::Query(Query::Inclusion(*hash));
        let Response::Inclusion(answer) = self.ask(&request).await? else { return Err(WalletError::OtherAnswer) };
        let Some(included) = answer else { return Ok(None) };
        self.check_inclusion(&included.header, &included.proof, hash).await.map(Some)
    }

    /// Believes the header of something that happened once, from before the newest perhaps, and decided by others than
    /// those trusted now.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn recall(&mut self, head: &CertifiedHeader) -> Result<(), WalletError> {
        if head.header.height > self.light.newest().height {
            return self.believe(head).await;
        }
        if self.light.accept(head, (self.clock)()).is_ok() {
            return Ok(());
        }
        let query = Request::Query(Query::Decided(head.header.height));
        let Response::Decided(Some(decided)) = self.ask(&query).await? else { return Err(WalletError::OtherAnswer) };
        // The same header may have come with fewer signatures.
        let head = if decided.head.header == head.header { &decided.head } else { head };
        Ok(self.light.recall(head, &decided.validators, self.now())?)
    }

    /// Checks a proof of inclusion that came from elsewhere.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn check_inclusion(
        &mut self,
        header: &CertifiedHeader,
        proof: &clavicle_ledger::block::InclusionProof,
        hash: &EnvelopeHash,
    ) -> Result<Height, WalletError> {
        self.believe(header).await?;
        proof.verify(&header.header, hash)?;
        Ok(header.header.height)
    }
}
