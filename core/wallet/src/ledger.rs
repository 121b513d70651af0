//! The network as a wallet sees it: relays that are asked, and believed nothing without proof.
//!
//! Every question goes to a relay chosen at random, over a connection of its own under a throw-away name, so that relays cannot tell
//! which questions are of one person. (They still see an address and a time.)
//!
//! Where relays are is followed on the ledger ([`clavicle_directory`]): now and then, and when one is not where it was, in a question of its own.

mod waking;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clavicle_directory::{Directory, Listing};
use clavicle_ledger::encoding::{Ascending, Bytes};
use clavicle_ledger::genesis::{Genesis, GenesisSource};
use clavicle_ledger::id::{ChainId, EnvelopeHash, SourceId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::{CertifiedHeader, Checkpoint, CheckpointError, Identities, LightClient, LightError};
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_ledger::state::{ProvenFragment, StateKey};
use clavicle_ledger::time::{HOUR_MS, Height, LocalTime, Timestamp};
use clavicle_ledger::transaction::Envelope;
use clavicle_letters::mailbox::{MAX_SEALED_LEN, Mailbox, Token};
use clavicle_letters::random::random;
use clavicle_network::endpoint::Remote;
use clavicle_network::message::{
    Acknowledged, Collection, Decided, Holding, MAX_COLLECTED, MAX_DEPOSITS, MAX_ROWS, MailboxRefusal, MailboxRequest,
    MailboxResponse, Opening, Prefix, Query, Request, Response, RowKey, Verdict,
};
use clavicle_network::swarm::{AskError, Client};
use clavicle_network::work::{MAX_EFFORT, PARTS, Price, Purpose, Task, Work};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

pub use self::waking::Woken;
use crate::envelope::Head;
use crate::error::WalletError;
use crate::silence::Silence;

/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a relay may take before another is asked as well.
const SLOW: Duration = Duration::from_secs(1);
/// How long those that have not answered are waited for when all that is needed has come.
const GRACE: Duration = Duration::from_secs(1);
/// How many relays, or how many times, are asked at once.
const AT_ONCE: usize = 16;
/// How long the hospitals may take to agree.
const FINAL: Duration = Duration::from_secs(30);
/// How long a relay may be behind what is known already, before others are asked for good.
const BEHIND: Duration = Duration::from_secs(10);
/// How soon it is asked who answers, where a transaction is not final yet: later than it is as a rule, and so soon that whoever waits hears of it within a second.
const SOON: Duration = Duration::from_millis(300);
/// How long all have for that.
const HEARD_WITHIN: Duration = Duration::from_millis(600);
/// How often it is asked again.
const OFTEN: Duration = Duration::from_secs(2);
/// How many relays are asked who holds what.
const FIND_BY: usize = 3;
/// How often a relay is paid that asks for more each time.
const PAID: u32 = 3;
/// How many relays a transaction is given to at once.
const SUBMIT_TO: usize = 2;
/// How old what is known of the directory may be until it is read anew, by block time, in milliseconds.
const READ_EVERY_MS: u64 = HOUR_MS;
/// The same when a relay was not where it was.
const READ_AGAIN_MS: u64 = 5_000;
/// The most questions in a row about where relays are. Of a network with more of them the others come later.
const READ_AT_ONCE: usize = 4;
/// Rows in such a question beside those of sources: the head and the roster.
const BESIDE: usize = 2;

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

/// The network as a wallet sees it.
#[derive(Clone)]
pub struct Ledger {
    chain: ChainId,
    light: LightClient,
    directory: Directory,
    /// What sources were called when the network began.
    names: Arc<BTreeMap<SourceId, String>>,
    /// By which identity keys sources are known, as far as rows have proven it.
    identities: Identities,
    /// Whether something was learned of the directory that nobody has kept yet.
    learned: bool,
    /// Whether a relay was not where it was, since the directory was read.
    missed: Arc<AtomicBool>,
    clock: fn() -> LocalTime,
    /// How far ahead of block time the network takes transactions; no vote changes it.
    window_ms: u64,
    /// Relays that did not answer in time when they were asked last: they come last.
    silent: Arc<Mutex<BTreeSet<SourceId>>>,
    /// Who is told that too few hospitals answer, and, with nothing, that enough do again.
    told: Told,
}

/// Who is told that too few hospitals answer, and, with nothing, that enough do again.
pub type Told = Arc<dyn Fn(Option<&Silence>) + Send + Sync>;

/// A transaction that is final.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// At which height.
    pub height: Height,
    /// What the study's source gave for a revocation, if it is that and the source was reached; not verified.
    pub receipt: Option<SignedReceipt>,
}

/// Whose mailbox is to be collected from, and who keeps it.
#[derive(Clone, Debug)]
pub struct Collect {
    /// The mailbox's key.
    pub key: SecretKey,
    /// The relays that keep it.
    pub relays: Vec<SourceId>,
}

/// Who was reached when mailboxes were collected from, and who was not.
#[derive(Debug, Default)]
pub struct Collected {
    /// The places of the mailboxes of which a relay was reached.
    pub reached: BTreeSet<usize>,
    /// The relays that did not answer, or not in time; and why.
    pub silent: BTreeMap<SourceId, Option<AskError>>,
}

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
    /// The network of `genesis`, from what is believed of it so far.
    #[must_use]
    pub fn new(genesis: &Genesis, light: LightClient, clock: fn() -> LocalTime) -> Self {
        let chain = genesis.chain_id();
        let name = |source: &GenesisSource| {
            (SourceId::of_identity(&chain, &source.identity), source.announcement.name.to_string())
        };
        Self {
            chain,
            light,
            directory: Directory::at_genesis(genesis),
            names: Arc::new(genesis.sources.iter().map(name).collect()),
            silent: Arc::default(),
            identities: Identities::default(),
            learned: false,
            missed: Arc::default(),
            clock,
            window_ms: genesis.parameters.submit_window_ms,
            told: Arc::new(|_| ()),
        }
    }

    /// Has somebody told when too few hospitals answer for a transaction to become final.
    pub(crate) fn tell(&mut self, told: Told) {
        self.told = told;
    }

    /// The same with a directory that was kept, if one was.
    #[must_use]
    pub(crate) fn with(mut self, kept: Option<Directory>) -> Self {
        if let Some(kept) = kept {
            self.directory = kept;
        }
        self
    }

    /// The same with identity keys that were kept, if they were.
    #[must_use]
    pub(crate) fn knowing(mut self, kept: Option<Identities>) -> Self {
        if let Some(kept) = kept {
            self.identities = kept;
        }
        self
    }

    /// By which identity keys sources are known.
    pub(crate) const fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Where sources are, as far as it is known.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether something was learned of the directory since this was asked.
    pub(crate) const fn take_learned(&mut self) -> bool {
        core::mem::replace(&mut self.learned, false)
    }

    /// The network's id.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// What is believed.
    #[must_use]
    pub const fn light(&self) -> &LightClient {
        &self.light
    }

    /// The newest header that is believed: the time that is shown to strangers.
    pub(crate) const fn head(&self) -> Head {
        Head { time: self.light.newest().time, window_ms: self.window_ms }
    }

    /// What tells the time.
    pub(crate) const fn clock(&self) -> fn() -> LocalTime {
        self.clock
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> LocalTime {
        (self.clock)()
    }

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

    /// Where a source's images were served when that was last looked up.
    pub(crate) fn last_served(&self, source: &SourceId) -> Option<Remote> {
        let listing = self.directory.find(source)?;
        Some(Remote::announced(listing.transfer, listing.image_addresses()))
    }

    /// Whether a source's relay is known.
    #[must_use]
    pub fn has_relay(&self, source: &SourceId) -> bool {
        self.directory.find(source).is_some()
    }

    fn relay(&self, source: &SourceId) -> Option<Relay> {
        self.directory.find(source).map(Relay::of)
    }

    async fn connect(&self, relay: &Relay) -> Result<Client, AskError> {
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

    async fn ask_one(&self, relay: &Relay, request: Request) -> Result<Response, AskError> {
        let asked = async { self.connect(relay).await?.ask(request).await };
        let answered = asked.await;
        if answered.is_ok() {
            self.silent().remove(&relay.source)
        } else {
            self.silent().insert(relay.source)
        };
        answered
    }

    fn silent(&self) -> MutexGuard<'_, BTreeSet<SourceId>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks relays, one after another, until one has an answer. One that takes long is not waited for before the next is asked.
    async fn ask(&self, request: &Request) -> Result<Response, WalletError> {
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
    async fn ask_everybody(&self, request: &Request) -> Result<Vec<Response>, WalletError> {
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

    /// Starts afresh from a checkpoint, if nothing is believed any more, or not yet, and hospitals do not vouch together for a block ([`Ledger::wake`]): on the
    /// word of whoever gave it, which is to be a hospital that the person stands before. What is still believed stays, whoever says what.
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

    /// Rows of the newest state, or their absence, proven. When it is time, the first time above all, it is looked besides where relays are.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn rows(&mut self, keys: &[StateKey]) -> Result<Proven, WalletError> {
        let proven = self.prove(keys).await?;
        self.follow().await;
        Ok(proven)
    }

    /// Reads the directory, if it is time to.
    pub(crate) async fn follow(&mut self) {
        let age_ms = self.light.newest().time.timestamp().since(self.directory.read_at().timestamp());
        let missed = self.missed.load(Ordering::Relaxed);
        if age_ms >= if missed { READ_AGAIN_MS } else { READ_EVERY_MS } {
            self.look_up(&[]).await;
        }
    }

    /// Reads the directory, first of all where the relays of these sources are. What cannot be read now stays as it is known.
    pub async fn look_up(&mut self, wanted: &[SourceId]) {
        // What is missed from here on is missed anew.
        self.missed.store(false, Ordering::Relaxed);
        for round in 0..READ_AT_ONCE {
            let asked = self.directory.due(if round == 0 { wanted } else { &[] }, MAX_ROWS - BESIDE);
            if let Err(error) = self.read_directory(&asked).await {
                return debug!(%error, "where relays are cannot be looked up");
            }
            if !self.directory.awaits_somebody() {
                return;
            }
        }
    }

    async fn read_directory(&mut self, asked: &[SourceId]) -> Result<(), WalletError> {
        let keys: Vec<StateKey> =
            [StateKey::Head, StateKey::Roster].into_iter().chain(asked.iter().copied().map(StateKey::Source)).collect();
        let proven = self.prove(&keys).await?;
        self.directory.learn(&proven.rows, asked)?;
        self.learn_identities(&proven, asked)?;
        self.learned = true;
        Ok(())
    }

    /// What a source was called when the network began; one that joined since is called by its id.
    pub(crate) fn name(&self, source: &SourceId) -> String {
        self.names.get(source).cloned().unwrap_or_else(|| {
            let id = source.to_string();
            format!("hospital {}", id.get(..12).unwrap_or(&id))
        })
    }

    /// Of sources whose relays were not reached, those that are somewhere else by now: that is looked up.
    pub(crate) async fn have_moved(&mut self, sources: &[SourceId]) -> Vec<SourceId> {
        if sources.is_empty() {
            return Vec::new();
        }
        let before: Vec<_> = sources.iter().map(|source| self.directory.find(source).cloned()).collect();
        self.look_up(sources).await;
        let has_moved = |source: &SourceId, before: Option<Listing>| {
            let now = self.directory.find(source);
            now.is_some_and(|now| before.is_none_or(|before| !now.is_at_the_same_place(&before)))
        };
        sources.iter().zip(before).filter_map(|(source, before)| has_moved(source, before).then_some(*source)).collect()
    }

    /// Whether a source's relay, which was not reached, is somewhere else by now: that is looked up.
    pub(crate) async fn has_moved(&mut self, source: &SourceId) -> bool {
        !self.have_moved(&[*source]).await.is_empty()
    }

    /// Connects to the relay of one source, wherever it is by now.
    async fn reach(&mut self, source: &SourceId) -> Result<Client, WalletError> {
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

    /// Who holds what, of all holders whose keys begin like this, as several relays have it; none if that is more than they answer at once.
    /// Nothing of it is proven: what one relay leaves out another may know, and what is there [`Ledger::rows`] proves.
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

    /// Waits for something that the hospitals have to agree on. Meanwhile it is told, at once and when it changes, who does not answer where too few do;
    /// who that is at the end is given back.
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

    /// Who of those that decide does not answer, asked all at once after a while: if what the others have is not enough to decide. One that cannot be
    /// reached in time counts as one that does not answer.
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

    /// Believes the header of something that happened once, from before the newest perhaps, and decided by others than those trusted now.
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

    /// Opens a mailbox at relays until `count` keep it. Each asks for some computing, of which `progress` is told how many parts are done, and of how many.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn open_mailbox(
        &self,
        key: &SecretKey,
        token: Token,
        until: Timestamp,
        count: usize,
        progress: impl Fn(usize, usize),
    ) -> Result<Vec<SourceId>, WalletError> {
        let mut kept = Vec::new();
        for relay in self.relays()? {
            if kept.len() >= count {
                break;
            }
            let before = kept.len() * PARTS;
            let Ok(client) = self.connect(&relay).await else { continue };
            let to = (relay.source, client);
            let opened = self.open_at(to, key, token, until, |done| progress(before + done, count * PARTS));
            if opened.await.is_ok_and(|opened| opened) {
                kept.push(relay.source);
            }
        }
        if kept.is_empty() { Err(WalletError::NoMailbox) } else { Ok(kept) }
    }

    /// Has a mailbox kept for longer by those that keep it, for as much computing as a new one. Says how many do.
    pub async fn keep_mailbox(&mut self, key: &SecretKey, mailbox: &Mailbox, until: Timestamp) -> usize {
        let mut kept = 0;
        for source in &mailbox.relays {
            let Ok(client) = self.reach(source).await else { continue };
            let opened = self.open_at((*source, client), key, mailbox.token, until, |_| {}).await;
            kept += usize::from(opened.is_ok_and(|opened| opened));
        }
        kept
    }

    /// Has one relay keep a mailbox, for what it asks; and collects from it once, since relays that are full let go what nobody has collected from.
    async fn open_at(
        &self,
        (relay, mut client): (SourceId, Client),
        key: &SecretKey,
        token: Token,
        until: Timestamp,
        progress: impl Fn(usize),
    ) -> Result<bool, AskError> {
        let opening = Opening { relay, mailbox: key.public(), token, until }.sign(&self.chain, key);
        let purpose = Purpose { chain: self.chain, relay, relay_peer: client.relay_key(), mailbox: key.public() };
        let mut work = None;
        for _ in 0..=PAID {
            let request = MailboxRequest::Open { opening: opening.clone(), work: work.take().map(Box::new) };
            let price = match client.ask(Request::Mailbox(Box::new(request))).await? {
                Response::Mailbox(MailboxResponse::Price(price)) if price.effort <= MAX_EFFORT => price,
                Response::Mailbox(MailboxResponse::Done) => {
                    let collected = self.ask_messages(&mut client, relay, key, Ascending::new()).await;
                    if !matches!(collected, Ok(Response::Mailbox(MailboxResponse::Messages(_)))) {
                        debug!("a mailbox was opened and could not be collected from");
                    }
                    return Ok(true);
                }
                answer => {
                    debug!(?answer, "a relay does not keep a mailbox");
                    return Ok(false);
                }
            };
            work = pay(&purpose, price, &progress).await;
        }
        debug!("a relay asks for more and more for a mailbox");
        Ok(false)
    }

    /// Leaves a sealed message in a mailbox, at every relay that keeps it. Says how many took it.
    pub async fn deposit(&mut self, relays: &[SourceId], mailbox: Key, token: Token, sealed: &[u8]) -> usize {
        let Ok(sealed) = Bytes::<MAX_SEALED_LEN>::new(sealed.to_vec()) else { return 0 };
        let mut taken = 0;
        for source in relays {
            let mut client = match self.reach(source).await {
                Ok(client) => client,
                Err(error) => {
                    debug!(%error, "a relay that keeps a mailbox is not reached");
                    continue;
                }
            };
            let request = MailboxRequest::Deposit { mailbox, token, sealed: sealed.clone() };
            match client.ask(Request::Mailbox(Box::new(request))).await {
                Ok(Response::Mailbox(MailboxResponse::Done)) => taken += 1,
                answer => debug!(?answer, "a relay does not take a message"),
            }
        }
        taken
    }

    /// Collects from mailboxes, at all relays that keep them at once, over one connection each: a message is handed to `keep` with its mailbox's
    /// place in `mailboxes`, and thrown away at the relay once `keep` has it. `progress` is told how many mailboxes were reached, and of how many.
    ///
    /// Nobody is waited for who does not answer when all mailboxes have been reached at another. (To a relay the mailboxes that it keeps of one wallet
    /// are seen to be one's; that they are asked for in one moment, from one address, tells it so anyway.)
    ///
    /// # Errors
    /// Those of `keep`, and of the system.
    pub async fn collect(
        &self,
        mailboxes: &[Collect],
        keep: &mut dyn Keep,
        progress: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<Collected, WalletError> {
        let keeping =
            Keeping { keep: Mutex::new(keep), told: Mutex::new((BTreeSet::new(), progress)), all: mailboxes.len() };
        let mut at: BTreeMap<SourceId, Vec<(usize, &SecretKey)>> = BTreeMap::new();
        for (place, mailbox) in mailboxes.iter().enumerate() {
            for relay in &mailbox.relays {
                at.entry(*relay).or_default().push((place, &mailbox.key));
            }
        }
        let (mut waiting, mut silent) = (Vec::new(), BTreeMap::new());
        for relay in self.relays()? {
            if let Some(places) = at.remove(&relay.source) {
                silent.insert(relay.source, None);
                waiting.push((relay, places));
            }
        }
        // Of others it is not known where they are.
        silent.extend(at.into_keys().map(|source| (source, Some(AskError::Address))));
        let (mut under_way, mut until) = (FuturesUnordered::<BoxFuture<'_, _>>::new(), None);
        loop {
            while under_way.len() < AT_ONCE
                && let Some((relay, places)) = waiting.pop()
            {
                let keeping = &keeping;
                under_way.push(Box::pin(async move {
                    let done = self.collect_at(&relay, places, keeping).await;
                    (relay.source, done)
                }));
            }
            let Some((source, done)) = by(until, under_way.next()).await.flatten() else { break };
            match done {
                Ok(()) => {
                    silent.remove(&source);
                    self.silent().remove(&source);
                }
                Err(WalletError::NoRelay(why)) => drop(silent.insert(source, why)),
                Err(WalletError::OtherAnswer) => debug!("a relay answers otherwise than it was asked"),
                Err(error) => return Err(error),
            }
            if keeping.told().0.len() == mailboxes.len() {
                until = until.or_else(|| Some(Instant::now() + GRACE));
            }
        }
        drop(under_way);
        self.silent().extend(silent.keys());
        let reached = std::mem::take(&mut keeping.told().0);
        Ok(Collected { reached, silent })
    }

    /// Collects from mailboxes at one relay, over one connection.
    async fn collect_at(
        &self,
        relay: &Relay,
        mailboxes: Vec<(usize, &SecretKey)>,
        keeping: &Keeping<'_>,
    ) -> Result<(), WalletError> {
        let mut client = self.connect(relay).await.map_err(unreachable)?;
        let mut waiting: VecDeque<Turn<'_>> = mailboxes.into_iter().map(|(place, key)| Turn::new(place, key)).collect();
        let (mut asked, mut challenge) = (BTreeMap::new(), None);
        loop {
            // One challenge serves the whole connection for a minute at least. While one is fetched nothing else is under way.
            if challenge.is_none() && asked.is_empty() {
                match client.ask(Request::Mailbox(Box::new(MailboxRequest::Challenge))).await.map_err(unreachable)? {
                    Response::Mailbox(MailboxResponse::Challenge(fresh)) => challenge = Some(fresh),
                    _ => return Err(WalletError::OtherAnswer),
                }
            }
            while let Some(challenge) = challenge
                && asked.len() < Client::AT_ONCE
                && let Some(mut turn) = waiting.pop_front()
            {
                let request = self.collection(&client, relay, &mut turn, challenge)?;
                asked.insert(client.put(request).await.map_err(unreachable)?, turn);
            }
            if asked.is_empty() && waiting.is_empty() {
                return Ok(());
            }
            if asked.is_empty() {
                continue;
            }
            let (id, answer) = client.answer().await.map_err(unreachable)?;
            let Some(mut turn) = asked.remove(&id) else { continue };
            match answer.map_err(unreachable)? {
                Response::Mailbox(MailboxResponse::Messages(messages)) => {
                    keeping.reached(turn.place);
                    let messages = messages.into_vec();
                    turn.acknowledged.clear();
                    for message in &messages {
                        keeping.keep(turn.place, message.as_slice())?;
                        turn.acknowledged.push(Acknowledged(*blake3::hash(message.as_slice()).as_bytes()));
                    }
                    turn.rounds = turn.rounds.saturating_add(1);
                    // A mailbox holds no more than that; a relay that goes on is not followed.
                    if turn.rounds > MAX_DEPOSITS + 1 {
                        return Err(WalletError::OtherAnswer);
                    }
                    if !messages.is_empty() {
                        waiting.push_front(turn);
                    }
                }
                // Its minute is over, perhaps.
                Response::Mailbox(MailboxResponse::Refused(MailboxRefusal::Signature)) if !turn.is_again => {
                    challenge = None;
                    waiting.push_front(Turn { is_again: true, ..turn });
                }
                Response::Mailbox(MailboxResponse::Refused(_)) => keeping.reached(turn.place),
                _ => return Err(WalletError::OtherAnswer),
            }
        }
    }

    fn collection(
        &self,
        client: &Client,
        relay: &Relay,
        turn: &mut Turn<'_>,
        challenge: [u8; 32],
    ) -> Result<Request, WalletError> {
        turn.acknowledged.sort_unstable();
        turn.acknowledged.dedup();
        // What a relay did not hear of is acknowledged once more: they are forgotten only when its next answer has come.
        let acknowledged = Ascending::from_items(turn.acknowledged.clone()).map_err(|_| WalletError::OtherAnswer)?;
        let collection = Collection {
            relay: relay.source,
            relay_peer: client.relay_key(),
            own_peer: client.own_key(),
            challenge,
            mailbox: turn.key.public(),
            acknowledged,
        };
        Ok(Request::Mailbox(Box::new(MailboxRequest::Collect(collection.sign(&self.chain, turn.key)))))
    }

    /// Acknowledges messages, and asks for those that are left.
    async fn ask_messages(
        &self,
        client: &mut Client,
        relay: SourceId,
        key: &SecretKey,
        acknowledged: Ascending<Acknowledged, MAX_COLLECTED>,
    ) -> Result<Response, AskError> {
        let challenge = match client.ask(Request::Mailbox(Box::new(MailboxRequest::Challenge))).await? {
            Response::Mailbox(MailboxResponse::Challenge(challenge)) => challenge,
            other => return Ok(other),
        };
        let collection = Collection {
            relay,
            relay_peer: client.relay_key(),
            own_peer: client.own_key(),
            challenge,
            mailbox: key.public(),
            acknowledged,
        };
        client.ask(Request::Mailbox(Box::new(MailboxRequest::Collect(collection.sign(&self.chain, key))))).await
    }
}

/// A mailbox that is being collected from.
struct Turn<'a> {
    /// Its place among those that are.
    place: usize,
    key: &'a SecretKey,
    /// What it brought last, to be thrown away at the relay.
    acknowledged: Vec<Acknowledged>,
    /// How often it brought something.
    rounds: usize,
    /// Whether it was refused once, since the challenge was too old.
    is_again: bool,
}

impl<'a> Turn<'a> {
    const fn new(place: usize, key: &'a SecretKey) -> Self {
        Self { place, key, acknowledged: Vec::new(), rounds: 0, is_again: false }
    }
}

/// Whoever keeps what is collected.
pub trait Keep: Send {
    /// Keeps a message from the mailbox with this place. When this returns it is thrown away at the relay.
    ///
    /// # Errors
    /// [`WalletError`]; then nothing more is collected.
    fn keep(&mut self, place: usize, sealed: &[u8]) -> Result<(), WalletError>;
}

/// What those who collect at several relays have in common.
struct Keeping<'a> {
    keep: Mutex<&'a mut dyn Keep>,
    told: Mutex<Reached<'a>>,
    all: usize,
}

/// The mailboxes of which a relay was reached, and who is told.
type Reached<'a> = (BTreeSet<usize>, &'a mut (dyn FnMut(usize, usize) + Send));

impl<'a> Keeping<'a> {
    fn keep(&self, place: usize, sealed: &[u8]) -> Result<(), WalletError> {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner).keep(place, sealed)
    }

    fn reached(&self, place: usize) {
        let mut told = self.told();
        let (reached, progress) = &mut *told;
        if reached.insert(place) {
            progress(reached.len(), self.all);
        }
    }

    fn told(&self) -> MutexGuard<'_, Reached<'a>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable(error: AskError) -> WalletError {
    WalletError::NoRelay(Some(error))
}

/// What comes by then; nothing when it does not.
async fn by<T>(until: Option<Instant>, coming: impl Future<Output = T>) -> Option<T> {
    match until {
        Some(until) => timeout_at(until, coming).await.ok(),
        None => Some(coming.await),
    }
}

/// Does the work that a relay asks for, away from whatever else runs. Dropped, it stops.
async fn pay(purpose: &Purpose, price: Price, progress: impl Fn(usize)) -> Option<Work> {
    let wanted = Wanted(Arc::new(AtomicBool::new(true)));
    let salt = random().ok()?;
    let mut task = Task::new(purpose, price, salt);
    while task.finished().is_none() {
        let is_wanted = Arc::clone(&wanted.0);
        let part = tokio::task::spawn_blocking(move || {
            task.go_on(|| is_wanted.load(Ordering::Relaxed));
            task
        });
        task = part.await.ok()?;
        progress(task.done());
    }
    task.finished().cloned()
}

/// As long as it is there, somebody waits for the work.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("chain", &self.chain).field("newest", &self.light.newest().height).finish()
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Text;
    use clavicle_ledger::genesis::Parameters;
    use clavicle_ledger::time::{BlockTime, DAY_MS};

    use super::*;

    /// The game in `envelope/game.rs` is about what is made of this.
    #[test]
    fn the_time_that_strangers_see_is_a_proven_headers_whatever_the_clock_shows() {
        let time = BlockTime(Timestamp(20_000 * DAY_MS));
        let (name, parameters) = (Text::new("test").unwrap(), Parameters::default());
        let genesis = Genesis { name, time, parameters, sources: Ascending::new() };
        let clocks: [fn() -> LocalTime; 3] = [
            || LocalTime(Timestamp(0)),
            || LocalTime(Timestamp(20_000 * DAY_MS + 1_234)),
            || LocalTime(Timestamp(u64::MAX)),
        ];
        for clock in clocks {
            let ledger = Ledger::new(&genesis, LightClient::from_genesis(&genesis), clock);
            assert_eq!(ledger.head().time, time);
        }
    }
}
