//! Mailboxes at relays: opened and kept for some computing, left letters in, and collected from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clavicle_ledger::encoding::{Ascending, Bytes};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::time::Timestamp;
use clavicle_letters::mailbox::{MAX_SEALED_LEN, Mailbox, Token};
use clavicle_letters::random::random;
use clavicle_network::message::{
    Acknowledged, Collection, MAX_COLLECTED, MAX_DEPOSITS, MailboxRefusal, MailboxRequest, MailboxResponse, Opening,
    Request, Response,
};
use clavicle_network::swarm::{AskError, Client};
use clavicle_network::work::{MAX_EFFORT, PARTS, Price, Purpose, Task, Work};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::asking::{AT_ONCE, GRACE, by};
use super::{Ledger, Relay};
use crate::error::WalletError;

/// How long nothing is asked again where a relay does not hold a question.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a relay is paid that asks for more each time.
const PAID: u32 = 3;

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

/// What lies in a mailbox, as far as its relays tell at once.
#[derive(Debug, Default)]
pub(crate) struct Peeked {
    /// The relays that keep it.
    pub(crate) relays: Vec<SourceId>,
    /// The messages, as they are sealed, each once.
    pub(crate) messages: Vec<Vec<u8>>,
}

/// Whoever keeps what is collected.
pub trait Keep: Send {
    /// Keeps a message from the mailbox with this place. When this returns it is thrown away at the relay.
    ///
    /// # Errors
    /// [`WalletError`]; then nothing more is collected.
    fn keep(&mut self, place: usize, sealed: &[u8]) -> Result<(), WalletError>;
}

impl Ledger {
    /// Opens a mailbox at relays until `count` keep it. Each asks for some computing, of which `progress` is told how
    /// many parts are done, and of how many.
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

    /// Has one relay keep a mailbox, for what it asks; and collects from it once, since relays that are full let go
    /// what nobody has collected from.
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

    /// Collects from mailboxes, at all relays that keep them at once, over one connection each: a message is handed to
    /// `keep` with its mailbox's place in `mailboxes`, and thrown away at the relay once `keep` has it. `progress` is
    /// told how many mailboxes were reached, and of how many.
    ///
    /// Nobody is waited for who does not answer when all mailboxes have been reached at another. (To a relay the
    /// mailboxes that it keeps of one wallet are seen to be one's; that they are asked for in one moment, from one
    /// address, tells it so anyway.)
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
            // One challenge serves the whole connection for a minute at least. While one is fetched nothing else is
            // under way.
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

    /// Waits until something may have come to one of these mailboxes, or for some seconds: relays hold the question. Where none does, a
    /// second.
    pub async fn wait_for_mail(&self, mailboxes: &[Collect]) {
        let mut waiting = FuturesUnordered::new();
        for mailbox in mailboxes {
            for relay in mailbox.relays.iter().filter_map(|source| self.relay(source)) {
                waiting.push(async move { self.wait_at(&relay, &mailbox.key).await.is_some_and(|held| held) });
            }
        }
        while let Some(is_held) = waiting.next().await {
            if is_held {
                return;
            }
        }
        sleep(AGAIN).await;
    }

    /// Whether a relay held the question, and says that it is to be looked.
    async fn wait_at(&self, relay: &Relay, key: &SecretKey) -> Option<bool> {
        let mut client = self.connect(relay).await.ok()?;
        let Ok(Response::Mailbox(MailboxResponse::Challenge(challenge))) =
            client.ask(Request::Mailbox(Box::new(MailboxRequest::Challenge))).await
        else {
            return None;
        };
        let collection = Collection {
            relay: relay.source,
            relay_peer: client.relay_key(),
            own_peer: client.own_key(),
            challenge,
            mailbox: key.public(),
            acknowledged: Ascending::new(),
        };
        let request = MailboxRequest::Wait(collection.sign(&self.chain, key));
        let answer = client.ask(Request::Mailbox(Box::new(request))).await;
        Some(matches!(answer, Ok(Response::Mailbox(MailboxResponse::Done))))
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
        // What a relay did not hear of is acknowledged once more: they are forgotten only when its next answer has
        // come.
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

    /// Looks, at every relay that answers, whether it keeps mailboxes of these keys; to `read`, also at what lies in
    /// them, as much as a relay tells at once. Nothing of it goes. Who does not answer is waited for a little longer
    /// than who does, and longer for many keys.
    ///
    /// # Errors
    /// [`WalletError::NoRelay`] when none answers.
    pub(crate) async fn peek(&self, keys: &[SecretKey], read: bool) -> Result<Vec<Peeked>, WalletError> {
        let relays = self.relays()?;
        let mut peeked: Vec<Peeked> = keys.iter().map(|_| Peeked::default()).collect();
        let (mut next, mut last, mut answered, mut until) = (relays.iter(), None, false, None);
        let grace = GRACE.saturating_mul(2 + u32::try_from(keys.len() / 8).unwrap_or(u32::MAX));
        let mut asked = FuturesUnordered::<BoxFuture<'_, _>>::new();
        loop {
            while asked.len() < AT_ONCE
                && let Some(relay) = next.next()
            {
                asked.push(Box::pin(async move { (relay.source, self.peek_at(relay, keys, read).await) }));
            }
            let Some((source, found)) = by(until, asked.next()).await.flatten() else { break };
            match found {
                Ok(found) => {
                    answered = true;
                    for (place, messages) in found {
                        let Some(peeked) = peeked.get_mut(place) else { continue };
                        peeked.relays.push(source);
                        for message in messages {
                            if !peeked.messages.contains(&message) {
                                peeked.messages.push(message);
                            }
                        }
                    }
                }
                Err(error) => {
                    debug!(%error, "a relay does not answer");
                    last = Some(error);
                }
            }
            // Every one is asked: any may be the one that keeps it.
            if answered && next.as_slice().is_empty() {
                until = until.or_else(|| Some(Instant::now() + grace));
            }
        }
        if answered { Ok(peeked) } else { Err(WalletError::NoRelay(last)) }
    }

    /// The same at one relay: the places of the mailboxes that it keeps, and what lies in each.
    async fn peek_at(
        &self,
        relay: &Relay,
        keys: &[SecretKey],
        read: bool,
    ) -> Result<Vec<(usize, Vec<Vec<u8>>)>, AskError> {
        let (mut client, mut challenge, mut found) = (self.connect(relay).await?, None, Vec::new());
        for (place, key) in keys.iter().enumerate() {
            for is_again in [false, true] {
                let fresh = match challenge {
                    Some(challenge) => challenge,
                    None => match client.ask(Request::Mailbox(Box::new(MailboxRequest::Challenge))).await? {
                        Response::Mailbox(MailboxResponse::Challenge(challenge)) => challenge,
                        _ => return Ok(found),
                    },
                };
                challenge = Some(fresh);
                let collection = Collection {
                    relay: relay.source,
                    relay_peer: client.relay_key(),
                    own_peer: client.own_key(),
                    challenge: fresh,
                    mailbox: key.public(),
                    acknowledged: Ascending::new(),
                };
                let request = MailboxRequest::Collect(collection.sign(&self.chain, key));
                match client.ask(Request::Mailbox(Box::new(request))).await? {
                    Response::Mailbox(MailboxResponse::Messages(messages)) => {
                        let messages = if read { messages.into_vec() } else { Vec::new() };
                        found.push((place, messages.into_iter().map(|message| message.as_slice().to_vec()).collect()));
                        break;
                    }
                    // Its minute is over, perhaps.
                    Response::Mailbox(MailboxResponse::Refused(MailboxRefusal::Signature)) if !is_again => {
                        challenge = None;
                    }
                    _ => break,
                }
            }
        }
        Ok(found)
    }

    /// Whether a relay, of so many as are asked, keeps a mailbox of this key. Nothing of what is in it goes. What none
    /// answers is taken for no.
    ///
    /// # Errors
    /// [`WalletError`], of the system.
    pub(crate) async fn has_mailbox(&self, key: &SecretKey) -> Result<bool, WalletError> {
        let relays = self.relays()?;
        let mut asked = FuturesUnordered::<BoxFuture<'_, _>>::new();
        for relay in relays.iter().take(AT_ONCE) {
            asked.push(Box::pin(async move {
                let mut client = self.connect(relay).await?;
                self.ask_messages(&mut client, relay.source, key, Ascending::new()).await
            }));
        }
        let mut until = None;
        while let Some(answer) = by(until, asked.next()).await.flatten() {
            match answer {
                Ok(Response::Mailbox(MailboxResponse::Messages(_))) => return Ok(true),
                Ok(_) => until = until.or_else(|| Some(Instant::now() + GRACE)),
                Err(error) => debug!(%error, "a relay does not answer"),
            }
        }
        Ok(false)
    }

    /// Acknowledges messages, and asks for those that are left.
    pub(super) async fn ask_messages(
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
