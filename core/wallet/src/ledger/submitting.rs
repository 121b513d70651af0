//! Submitting: a transaction is given to relays until it is final and proven, and it is told meanwhile who does not
//! answer.

use std::collections::BTreeSet;
use std::time::Duration;

use clavicle_ledger::id::SourceId;
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_ledger::time::Height;
use clavicle_ledger::transaction::Envelope;
use clavicle_network::message::{Query, Request, Response, Verdict};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::{Ledger, Relay};
use crate::error::WalletError;
use crate::silence::Silence;

/// How long the hospitals may take to agree.
const FINAL: Duration = Duration::from_secs(30);
/// How soon it is asked who answers, where a transaction is not final yet: later than it is as a rule, and so soon that
/// whoever waits hears of it within a second.
const SOON: Duration = Duration::from_millis(300);
/// How long all have for that.
const HEARD_WITHIN: Duration = Duration::from_millis(600);
/// How often it is asked again.
const OFTEN: Duration = Duration::from_secs(2);
/// How many relays a transaction is given to at once.
const SUBMIT_TO: usize = 2;

/// A transaction that is final.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// At which height.
    pub height: Height,
    /// What the study's source gave for a revocation, if it is that and the source was reached; not verified.
    pub receipt: Option<SignedReceipt>,
}

impl Ledger {
    /// Gives a transaction to relays, those in `first` before others, and waits until it is final and proven.
    ///
    /// # Errors
    /// [`WalletError::Rejected`], [`WalletError::NotFinal`] and others; what was submitted stays so.
    pub async fn submit(&mut self, envelope: &Envelope, first: &[SourceId]) -> Result<Height, WalletError> {
        Ok(self.submit_for_receipt(envelope, first).await?.height)
    }

    /// The same, with what the source gave for it.
    ///
    /// # Errors
    /// As [`Ledger::submit`].
    pub async fn submit_for_receipt(
        &mut self,
        envelope: &Envelope,
        first: &[SourceId],
    ) -> Result<Submitted, WalletError> {
        let aside = self.clone();
        let (done, silence) = aside.watched(self.wait_until_final(envelope, first)).await;
        match (done, silence) {
            (Err(WalletError::NotFinal), Some(silence)) => Err(WalletError::TooFew(silence)),
            (done, _) => done,
        }
    }

    /// Waits for something that the hospitals have to agree on. Meanwhile it is told, at once and when it changes, who
    /// does not answer where too few do; who that is at the end is given back.
    pub(crate) async fn watched<T>(&self, doing: impl Future<Output = T>) -> (T, Option<Silence>) {
        let mut silence: Option<Silence> = None;
        let (mut doing, mut asking) = (Box::pin(doing), Box::pin(self.silence(SOON)));
        loop {
            tokio::select! {
                done = &mut doing => return (done, silence),
                found = &mut asking => {
                    if found != silence {
                        (self.told)(found.as_ref());
                    }
                    silence = found;
                    asking = Box::pin(self.silence(OFTEN));
                }
            }
        }
    }

    /// Who of those that decide does not answer, asked all at once after a while: if what the others have is not enough
    /// to decide. One that cannot be reached in time counts as one that does not answer.
    async fn silence(&self, after: Duration) -> Option<Silence> {
        sleep(after).await;
        let validators = self.light.validators();
        let mut asked = FuturesUnordered::<BoxFuture<'_, _>>::new();
        for source in validators.validators.iter().filter(|it| it.power > 0).map(|it| it.source) {
            asked.push(Box::pin(async move {
                let relay = self.relay(&source)?;
                let answer = timeout(HEARD_WITHIN, self.ask_one(&relay, Request::Query(Query::Head))).await;
                matches!(answer, Ok(Ok(_))).then_some(source)
            }));
        }
        let mut answer = BTreeSet::new();
        while let Some(one) = asked.next().await {
            answer.extend(one);
        }
        let needed = validators.needs(|source| answer.contains(source));
        let mut silent: Vec<_> = validators
            .validators
            .iter()
            .filter(|validator| validator.power > 0 && !answer.contains(&validator.source))
            .collect();
        silent.sort_by_key(|validator| core::cmp::Reverse(validator.power));
        let silent = silent.into_iter().map(|validator| self.name(&validator.source)).collect();
        (needed > 0).then_some(Silence { silent, needed })
    }

    /// Gives a transaction to relays, again and again, until it is final.
    async fn wait_until_final(&mut self, envelope: &Envelope, first: &[SourceId]) -> Result<Submitted, WalletError> {
        let (hash, mut receipt) = (envelope.hash(), None);
        let until = Instant::now() + FINAL;
        let mut again = Instant::now();
        let mut pause = Duration::from_millis(10);
        loop {
            if Instant::now() >= again {
                if let Some(height) = self.give(envelope, first, &mut receipt).await? {
                    debug!(height, "executed before");
                }
                again = Instant::now() + Duration::from_secs(5);
            }
            if let Some(height) = self.included(&hash).await? {
                return Ok(Submitted { height, receipt });
            }
            if Instant::now() >= until {
                return Err(WalletError::NotFinal);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// Gives a transaction to relays once, and says at which height it is final, proven, if it is by then.
    ///
    /// # Errors
    /// [`WalletError`]; what was submitted stays so.
    pub(crate) async fn offer(
        &mut self,
        envelope: &Envelope,
        first: &[SourceId],
    ) -> Result<Option<Height>, WalletError> {
        self.give(envelope, first, &mut None).await?;
        self.included(&envelope.hash()).await
    }

    /// Gives a transaction to relays. The height, if one says that it was executed.
    async fn give(
        &self,
        envelope: &Envelope,
        first: &[SourceId],
        receipt: &mut Option<SignedReceipt>,
    ) -> Result<Option<Height>, WalletError> {
        let mut relays: Vec<Relay> = first.iter().filter_map(|source| self.relay(source)).collect();
        relays.extend(self.relays()?.into_iter().filter(|relay| !first.contains(&relay.source)));
        let enough = SUBMIT_TO.max(first.len());
        let (mut taken, mut refused, mut last) = (0, None, None);
        let (mut next, mut asked) = (relays.iter(), FuturesUnordered::new());
        loop {
            // No more of them than have to take it: who does not is replaced by the next.
            while taken + asked.len() < enough
                && let Some(relay) = next.next()
            {
                asked.push(self.ask_one(relay, Request::Submit(Box::new(envelope.clone()))));
            }
            let Some(mut answer) = asked.next().await else { break };
            if let Ok(Response::Bound { verdict, receipt: given }) = answer {
                *receipt = Some(*given);
                answer = Ok(Response::Verdict(verdict));
            }
            match answer {
                Ok(Response::Verdict(Verdict::Executed(height))) => return Ok(Some(height)),
                Ok(Response::Verdict(Verdict::Waits)) => taken += 1,
                Ok(Response::Verdict(Verdict::Rejected(why))) => refused = Some(why.to_string()),
                Ok(_) => {}
                Err(error) => last = Some(error),
            }
        }
        match (taken, refused) {
            // One that is behind, or wrong, says nothing as long as another takes it.
            (1.., _) => Ok(None),
            (0, Some(why)) => Err(WalletError::Rejected(why)),
            (0, None) => Err(WalletError::NoRelay(last)),
        }
    }
}
