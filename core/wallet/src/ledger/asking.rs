//! Asking: a question goes to one relay after another until one answers, or to all at once. Nothing of an answer is
//! believed here.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use clavicle_directory::Listing;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::Key;
use clavicle_letters::random::random;
use clavicle_network::message::{Holding, Prefix, Query, Request, Response};
use clavicle_network::swarm::{AskError, Client};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use super::Ledger;
use crate::error::WalletError;

/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a relay may take before another is asked as well.
const SLOW: Duration = Duration::from_secs(1);
/// How long those that have not answered are waited for when all that is needed has come.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How many relays, or how many times, are asked at once.
pub(super) const AT_ONCE: usize = 16;
/// How many relays are asked who holds what.
const FIND_BY: usize = 3;

/// A relay, as the directory has it.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Whose it is.
    pub source: SourceId,
    /// Those that may answer, the likeliest first.
    keys: Vec<Key>,
    addresses: Vec<String>,
}

impl Relay {
    fn of(listing: &Listing) -> Self {
        let (keys, addresses) = (listing.network_keys().collect(), listing.relay_addresses());
        Self { source: listing.source, keys, addresses }
    }
}

impl Ledger {
    /// The relays, in a random order; those that did not answer of late come last.
    ///
    /// # Errors
    /// [`WalletError::Random`].
    pub fn relays(&self) -> Result<Vec<Relay>, WalletError> {
        let mut relays: Vec<Relay> = self.directory.iter().map(Relay::of).collect();
        // Fisher and Yates; that some orders are a little likelier tells nobody anything.
        for left in (1..relays.len()).rev() {
            let at = u64::from_le_bytes(random().map_err(WalletError::Random)?) % (left as u64 + 1);
            relays.swap(left, usize::try_from(at).unwrap_or(0));
        }
        let silent = self.silent();
        relays.sort_by_key(|relay| silent.contains(&relay.source));
        drop(silent);
        Ok(relays)
    }

    pub(super) fn relay(&self, source: &SourceId) -> Option<Relay> {
        self.directory.find(source).map(Relay::of)
    }

    pub(super) async fn connect(&self, relay: &Relay) -> Result<Client, AskError> {
        let mut answer = Err(AskError::Address);
        for key in &relay.keys {
            answer = Client::connect(self.chain, key, &relay.addresses, PATIENCE).await;
            // Of several keys another one may be in force by now.
            if !matches!(answer, Err(AskError::OtherKey(_))) {
                break;
            }
        }
        if matches!(answer, Err(AskError::OtherKey(_) | AskError::Unreachable(_))) {
            self.missed.store(true, Ordering::Relaxed);
        }
        answer
    }

    pub(super) async fn ask_one(&self, relay: &Relay, request: Request) -> Result<Response, AskError> {
        let asked = async { self.connect(relay).await?.ask(request).await };
        let answered = asked.await;
        if answered.is_ok() {
            self.silent().remove(&relay.source)
        } else {
            self.silent().insert(relay.source)
        };
        answered
    }

    pub(super) fn silent(&self) -> MutexGuard<'_, BTreeSet<SourceId>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks relays, one after another, until one has an answer. One that takes long is not waited for before the next
    /// is asked.
    pub(super) async fn ask(&self, request: &Request) -> Result<Response, WalletError> {
        let relays = self.relays()?;
        let (mut next, mut last) = (relays.iter(), None);
        let mut asked = FuturesUnordered::<BoxFuture<'_, _>>::new();
        loop {
            let slow = next.next();
            if let Some(relay) = slow {
                asked.push(Box::pin(self.ask_one(relay, request.clone())));
            }
            let answer = tokio::select! {
                answer = asked.next() => answer,
                () = sleep(SLOW), if !next.as_slice().is_empty() => {
                    self.silent().extend(slow.map(|relay| relay.source));
                    continue;
                }
            };
            match answer {
                Some(Ok(Response::Unavailable)) => {}
                Some(Ok(response)) => return Ok(response),
                Some(Err(error)) => {
                    debug!(%error, "a relay does not answer");
                    last = Some(error);
                }
                None => return Err(WalletError::NoRelay(last)),
            }
        }
    }

    /// Asks every relay at once. When one has answered, the others are waited for a little longer.
    pub(super) async fn ask_everybody(&self, request: &Request) -> Result<Vec<Response>, WalletError> {
        let (relays, mut answers, mut until) = (self.relays()?, Vec::new(), None);
        let (mut next, mut asked) = (relays.iter(), FuturesUnordered::<BoxFuture<'_, _>>::new());
        loop {
            while asked.len() < AT_ONCE
                && let Some(relay) = next.next()
            {
                asked.push(Box::pin(self.ask_one(relay, request.clone())));
            }
            let Some(answer) = by(until, asked.next()).await.flatten() else { return Ok(answers) };
            match answer {
                Ok(answer) => {
                    answers.push(answer);
                    until = until.or_else(|| Some(Instant::now() + GRACE));
                }
                Err(error) => debug!(%error, "a relay does not answer"),
            }
        }
    }

    /// Connects to the relay of one source, wherever it is by now.
    pub(super) async fn reach(&mut self, source: &SourceId) -> Result<Client, WalletError> {
        let mut last = None;
        if let Some(relay) = self.relay(source) {
            match self.connect(&relay).await {
                Ok(client) => return Ok(client),
                Err(error) => last = Some(error),
            }
        }
        if !self.has_moved(source).await {
            return Err(WalletError::NoRelay(last));
        }
        let relay = self.relay(source).ok_or(WalletError::NoRelay(None))?;
        self.connect(&relay).await.map_err(|error| WalletError::NoRelay(Some(error)))
    }

    /// Who holds what, of all holders whose keys begin like this, as several relays have it; none if that is more than
    /// they answer at once. Nothing of it is proven: what one relay leaves out another may know, and what is there
    /// [`Ledger::rows`] proves.
    ///
    /// # Errors
    /// [`WalletError::NoRelay`] when none answers.
    pub async fn holdings(&self, prefix: Prefix) -> Result<Option<BTreeSet<Holding>>, WalletError> {
        let (mut found, mut told, mut too_many, mut last) = (BTreeSet::new(), 0, 0, None);
        for relay in self.relays()? {
            match self.ask_one(&relay, Request::Query(Query::Holders(prefix))).await {
                Ok(Response::Holders(Some(holdings))) => {
                    told += 1;
                    found.extend(holdings.into_vec());
                }
                Ok(Response::Holders(None)) => too_many += 1,
                Ok(_) => {}
                Err(error) => last = Some(error),
            }
            if told + too_many >= FIND_BY {
                break;
            }
        }
        match (told, too_many) {
            (0, 0) => Err(WalletError::NoRelay(last)),
            // One alone neither hides what it has behind a short list, nor has longer prefixes out of a wallet.
            _ => Ok((told >= too_many).then_some(found)),
        }
    }
}

/// What comes by then; nothing when it does not.
pub(super) async fn by<T>(until: Option<Instant>, coming: impl Future<Output = T>) -> Option<T> {
    match until {
        Some(until) => timeout_at(until, coming).await.ok(),
        None => Some(coming.await),
    }
}
