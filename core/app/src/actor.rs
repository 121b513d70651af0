//! The task that owns a wallet.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clavicle_ledger::derivation::Words;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::time::LocalTime;
use clavicle_network::transfer::{FetchError, Pace};
use clavicle_wallet::download::{ATTEMPTS, Control, Downloaded, StudyFetch};
use clavicle_wallet::ledger::Woken;
use clavicle_wallet::patient::Patient;
use clavicle_wallet::recipient::{ActingMember, Recipient};
use clavicle_wallet::vault::{KeyStore, Vault};
use clavicle_wallet::{Silence, WalletError};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::command::{Ask, Command, Done};
use crate::owner::{Owner, Step};
use crate::running::{CommandId, Running};
use crate::state::{RunningRow, State};
use crate::trouble::Trouble;

/// How many commands wait at most.
const WAITING: usize = 64;
/// How many events are kept for who is slow to listen.
const EVENTS: usize = 256;
/// How many fetches go on at once; others wait.
const FETCHES: usize = 4;
/// How often it is shown how far things are.
const OFTEN: Duration = Duration::from_millis(100);

/// Something that happened. Who listens too slowly misses some; the [`State`] is always whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command begins.
    Began {
        /// Its number.
        id: CommandId,
        /// What it is called.
        name: &'static str,
    },
    /// A command gave way to one that is more urgent, and is begun again after it.
    GaveWay {
        /// Its number.
        id: CommandId,
    },
    /// What is under way cannot become final, since too few hospitals answer: who does not. With nothing,
    /// enough do again.
    Silent(Option<Silence>),
    /// The wallet was away for so long that it believed nothing any more, and has found its way back by itself.
    Woken(Woken),
    /// A command came to its end.
    Ended {
        /// Its number.
        id: CommandId,
        /// Why it was not done.
        trouble: Option<Trouble>,
    },
}

/// A wallet that is open. Clones are of the same; with the last of them it is closed.
#[derive(Clone)]
pub struct App {
    orders: mpsc::Sender<Order>,
    next: Arc<AtomicU64>,
    state: watch::Receiver<State>,
    events: broadcast::Sender<Event>,
    /// Cancelled, it ends the task.
    closing: Control,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl App {
    /// Makes a patient's wallet in a new folder, and gives the words to be written down.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn create_patient(
        folder: &Path,
        keys: Arc<dyn KeyStore>,
        genesis: Genesis,
        clock: fn() -> LocalTime,
    ) -> Result<(Self, Words), Trouble> {
        let folder = folder.to_owned();
        let (patient, words) = aside(move || Patient::create(&folder, &*keys, genesis, clock)).await?;
        Ok((Self::start(Owner::Patient(patient)), words))
    }

    /// Opens a patient's wallet.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn open_patient(
        folder: &Path,
        keys: Arc<dyn KeyStore>,
        clock: fn() -> LocalTime,
    ) -> Result<Self, Trouble> {
        let folder = folder.to_owned();
        Ok(Self::start(Owner::Patient(aside(move || Patient::open(&folder, &*keys, clock)).await?)))
    }

    /// Makes a recipient's wallet in a new folder, and gives the words to be written down. The name stands on
    /// its cards.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn create_recipient(
        folder: &Path,
        keys: Arc<dyn KeyStore>,
        genesis: Genesis,
        name: &str,
        clock: fn() -> LocalTime,
    ) -> Result<(Self, Words), Trouble> {
        let (folder, name) = (folder.to_owned(), name.to_owned());
        let (recipient, words) = aside(move || Recipient::create(&folder, &*keys, genesis, &name, clock)).await?;
        Ok((Self::start(Owner::Recipient(recipient)), words))
    }

    /// Opens a recipient's wallet.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn open_recipient(
        folder: &Path,
        keys: Arc<dyn KeyStore>,
        clock: fn() -> LocalTime,
    ) -> Result<Self, Trouble> {
        let folder = folder.to_owned();
        Ok(Self::start(Owner::Recipient(aside(move || Recipient::open(&folder, &*keys, clock)).await?)))
    }

    /// Who opens in the name of a practice or a team, by their own recipient's wallet, which is open nowhere else.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn acting_member(
        folder: &Path,
        keys: Arc<dyn KeyStore>,
        clock: fn() -> LocalTime,
    ) -> Result<ActingMember, Trouble> {
        let folder = folder.to_owned();
        aside(move || Recipient::open(&folder, &*keys, clock)?.acting_member()).await
    }

    /// Makes a patient's wallet of its words, and says how many studies the ledger has for them;
    /// [`FindStudies`](crate::FindStudies) brings these in. `checkpoint` is where to begin if the network is
    /// so old that its genesis is not believed any more: of a code that a hospital handed over.
    ///
    /// # Errors
    /// [`Trouble`]; nothing is made then.
    pub async fn restore_patient(
        folder: &Path,
        keys: Arc<dyn KeyStore>,
        genesis: Genesis,
        words: &Words,
        checkpoint: Option<&Checkpoint>,
        clock: fn() -> LocalTime,
    ) -> Result<(Self, usize), Trouble> {
        let restored = Box::pin(Patient::restore(folder, &*keys, genesis, words, checkpoint, clock)).await?;
        Ok((Self::start(Owner::Patient(restored.patient)), restored.studies))
    }

    /// Makes a recipient's wallet of its words. The name stands on its cards; [`FindGranted`](crate::FindGranted) brings in what there was.
    /// `network` is what the network began with, and where to begin if that is so old that it is not believed any more.
    ///
    /// # Errors
    /// [`Trouble`]; nothing is made then.
    pub async fn restore_recipient(
        folder: &Path,
        keys: Arc<dyn KeyStore>,
        network: (Genesis, Option<&Checkpoint>),
        words: &Words,
        name: &str,
        clock: fn() -> LocalTime,
    ) -> Result<Self, Trouble> {
        let restored = Box::pin(Recipient::restore(folder, &*keys, network, words, name, clock)).await?;
        Ok(Self::start(Owner::Recipient(restored)))
    }

    /// Changes what opens the wallet in a folder, which is open nowhere. From then on the former opens nothing; killed
    /// at any instant, one of the two opens it.
    ///
    /// # Errors
    /// [`Trouble`]; then the former opens it.
    pub async fn change_keys(folder: &Path, former: Arc<dyn KeyStore>, new: Arc<dyn KeyStore>) -> Result<(), Trouble> {
        let folder = folder.to_owned();
        aside(move || Ok(Vault::change_keys(&folder, &*former, &*new)?)).await
    }

    fn start(mut owner: Owner) -> Self {
        let (orders, coming) = mpsc::channel(WAITING);
        let (events, _) = broadcast::channel(EVENTS);
        let (show, state) = watch::channel(owner.state());
        if let Owner::Patient(patient) = &mut owner {
            let (show, events) = (show.clone(), events.clone());
            patient.tell(Arc::new(move |silence: Option<&Silence>| {
                show.send_modify(|state| state.silence = silence.cloned());
                drop(events.send(Event::Silent(silence.cloned())));
            }));
        }
        let actor = Actor {
            owner,
            waiting: VecDeque::new(),
            fetches: JoinSet::new(),
            under_way: BTreeMap::new(),
            show,
            events: events.clone(),
        };
        let closing = Control::default();
        let task = Handle::current().spawn(actor.run(coming, closing.ends()));
        Self { orders, next: Arc::default(), state, events, closing, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Sends a command. It waits for its turn.
    ///
    /// # Errors
    /// [`Trouble`] when too many wait, or the wallet was closed.
    pub fn send<C: Ask>(&self, command: C) -> Result<Running<C>, Trouble> {
        let id = CommandId(self.next.fetch_add(1, Ordering::Relaxed));
        let (control, (end, ended)) = (Control::default(), oneshot::channel());
        let order = Order {
            id,
            command: command.into(),
            control: control.clone(),
            end,
            attempt: 1,
            failed: None,
            has_begun: false,
        };
        self.orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Trouble::busy(),
            mpsc::error::TrySendError::Closed(_) => Trouble::closed(),
        })?;
        Ok(Running { id, control, ended, command: PhantomData })
    }

    /// What a screen shows, now and whenever it changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Closes the wallet, whoever else has a handle, and returns when nothing holds its folder any more. What
    /// is under way is cancelled: nothing of it is lost.
    pub async fn close(self) {
        self.closing.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // (That it fell over its end has been told to whoever waited.)
            drop(task.await);
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App(…)")
    }
}

/// Opening a vault takes half a second of computing on purpose: not where it holds others up.
async fn aside<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, WalletError> + Send + 'static,
) -> Result<T, Trouble> {
    Ok(spawn_blocking(open).await.map_err(|_| Trouble::defect())??)
}

/// A command that was sent, until it is done.
#[derive(Debug)]
struct Order {
    id: CommandId,
    command: Command,
    control: Control,
    end: oneshot::Sender<Result<Done, Trouble>>,
    /// The how manieth fetch it is.
    attempt: u32,
    /// A fetch of it that failed, and why: to be looked into.
    failed: Option<(StudyFetch, WalletError)>,
    has_begun: bool,
}

impl Order {
    /// Which study it is about.
    fn study(&self) -> Option<StudyId> {
        match &self.command {
            Command::GrantStudy(of) => Some(of.study),
            Command::GrantInvited(of) => Some(of.study),
            Command::SignGrant(of) => Some(of.study),
            Command::ListSeries(of) => Some(of.study),
            Command::AskWho(of) => Some(of.study),
            Command::FetchOwn(of) => Some(of.study),
            Command::OpenOwn(of) => Some(of.study),
            Command::NoteUse(of) => Some(of.study),
            Command::ForgetCopy(of) => Some(of.study),
            _ => None,
        }
    }

    fn row(&self) -> RunningRow {
        RunningRow::of(self.id, self.command.name(), self.study(), &self.control)
    }
}

/// How doing a command came to its end.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Ending {
    Did(Result<Step, WalletError>),
    Cancelled,
    GivesWay,
    Closed,
}

/// A fetch that came to its end.
type Fetched = (Order, StudyFetch, Result<Downloaded, WalletError>);

struct Actor {
    owner: Owner,
    waiting: VecDeque<Order>,
    fetches: JoinSet<Fetched>,
    /// The fetches, as they are shown, and what cancels them.
    under_way: BTreeMap<CommandId, RunningRow>,
    show: watch::Sender<State>,
    events: broadcast::Sender<Event>,
}

impl Actor {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, closing: impl Future<Output = ()> + Send) {
        let mut closing: Pin<Box<dyn Future<Output = ()> + Send + '_>> = Box::pin(closing);
        let mut often = interval(OFTEN);
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_due = |order: &Order| self.fetches.len() < FETCHES || !order.command.is_fetch();
            let due = self.waiting.iter().position(is_due);
            if let Some(order) = due.and_then(|due| self.waiting.remove(due)) {
                if !self.work(order, &mut orders, &mut closing).await {
                    break;
                }
                continue;
            }
            tokio::select! {
                () = &mut closing => break,
                order = orders.recv() => match order {
                    Some(order) => self.take_up(order),
                    None => break,
                },
                Some(fetched) = self.fetches.join_next() => self.fetched(fetched.ok()),
                _ = often.tick(), if !self.under_way.is_empty() => {
                    sweep(&mut self.waiting, &self.events);
                    self.show_running(None);
                }
            }
        }
        // What waits, and what still comes, is told by its end being dropped. Fetches end as cancelled ones
        // do: what they have is settled, and the folder is free.
        drop(orders);
        self.waiting.clear();
        for row in self.under_way.values() {
            row.control.cancel();
        }
        while let Some(fetched) = self.fetches.join_next().await {
            self.fetched(fetched.ok());
        }
    }

    fn take_up(&mut self, order: Order) {
        if self.waiting.len() >= WAITING {
            drop(order.end.send(Err(Trouble::busy())));
        } else {
            line_up(&mut self.waiting, order);
        }
    }

    /// Does one command, or begins it where it is a fetch; false when nobody is there any more.
    async fn work(
        &mut self,
        mut order: Order,
        orders: &mut mpsc::Receiver<Order>,
        closing: &mut (impl Future<Output = ()> + Unpin + Send),
    ) -> bool {
        if !std::mem::replace(&mut order.has_begun, true) {
            self.tell(Event::Began { id: order.id, name: order.command.name() });
        }
        self.show_running(Some(&order));
        let ending = self.end_of(&mut order, orders, closing).await;
        let ended = match ending {
            Ending::Closed => return false,
            Ending::GivesWay => {
                self.tell(Event::GaveWay { id: order.id });
                // Behind what is urgent, and before everything else.
                self.waiting.insert(urgent(&self.waiting), order);
                return true;
            }
            Ending::Cancelled => Err(Trouble::cancelled()),
            Ending::Did(Ok(Step::Fetch(fetch))) => {
                self.under_way.insert(order.id, RunningRow { study: Some(fetch.study()), ..order.row() });
                let control = order.control.clone();
                self.fetches.spawn(async move {
                    let fetched = fetch.run(&control).await;
                    (order, fetch, fetched)
                });
                return true;
            }
            Ending::Did(Ok(Step::Done(done))) => Ok(done),
            Ending::Did(Err(error)) => Err(error.into()),
        };
        self.end(order, ended);
        true
    }

    async fn end_of(
        &mut self,
        order: &mut Order,
        orders: &mut mpsc::Receiver<Order>,
        closing: &mut (impl Future<Output = ()> + Unpin + Send),
    ) -> Ending {
        let failed = order.failed.take();
        let mut often = interval(OFTEN);
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Self { owner, waiting, fetches, under_way, show, events } = self;
        if order.command.only_waits() && !waiting.is_empty() {
            return Ending::Did(Ok(Step::Done(Done::AwaitInvitation(()))));
        }
        let (command, control) = (&order.command, &order.control);
        let mut working = Box::pin(async {
            // If there is no way back just now, the command says so itself.
            if command.asks_the_ledger()
                && let Ok(Some(woken)) = owner.wake().await
            {
                drop(events.send(Event::Woken(woken)));
            }
            owner.work(command, failed, control).await
        });
        let (mut done, mut ends) = (Vec::new(), pin!(order.control.ends()));
        let ending = loop {
            tokio::select! {
                biased;
                () = &mut *closing => break Ending::Closed,
                () = &mut ends => break Ending::Cancelled,
                step = &mut working => break Ending::Did(step),
                new = orders.recv() => match new {
                    None => break Ending::Closed,
                    Some(new) if waiting.len() >= WAITING => drop(new.end.send(Err(Trouble::busy()))),
                    Some(new) => {
                        let gives_way = new.command.is_urgent() && order.command.gives_way();
                        line_up(waiting, new);
                        if gives_way {
                            break Ending::GivesWay;
                        }
                        if order.command.only_waits() {
                            break Ending::Did(Ok(Step::Done(Done::AwaitInvitation(()))));
                        }
                    }
                },
                Some(fetched) = fetches.join_next(), if !fetches.is_empty() => done.push(fetched.ok()),
                _ = often.tick() => {
                    sweep(waiting, events);
                    show_running(show, under_way, Some(order), waiting);
                }
            }
        };
        drop(working);
        for fetched in done {
            self.fetched(fetched);
        }
        ending
    }

    /// A fetch came to its end.
    fn fetched(&mut self, fetched: Option<Fetched>) {
        // (One that fell over tells whoever waits by dropping its end.)
        let Some((mut order, fetch, fetched)) = fetched else { return };
        self.under_way.remove(&order.id);
        match fetched {
            // Nobody need ask the ledger why.
            Err(error @ WalletError::Fetch(FetchError::Cancelled)) => self.end(order, Err(error.into())),
            Err(error) if order.attempt < ATTEMPTS => {
                order.attempt = order.attempt.saturating_add(1);
                order.failed = Some((fetch, error));
                self.waiting.push_back(order);
            }
            fetched => {
                let done = self.owner.fetched(&order.command, fetched);
                self.end(order, done.map_err(Trouble::from));
            }
        }
    }

    fn end(&mut self, order: Order, ended: Result<Done, Trouble>) {
        // What is shown is as it is when whoever waits hears of it.
        let mut state = self.owner.state();
        state.running = running(&self.under_way, None, &self.waiting);
        self.show.send_replace(state);
        self.tell(Event::Ended { id: order.id, trouble: ended.as_ref().err().cloned() });
        drop(order.end.send(ended));
    }

    fn tell(&self, event: Event) {
        // That nobody listens is no fault.
        drop(self.events.send(event));
    }

    fn show_running(&self, order: Option<&Order>) {
        show_running(&self.show, &self.under_way, order, &self.waiting);
    }
}

/// How many urgent commands wait: they stand first.
fn urgent(waiting: &VecDeque<Order>) -> usize {
    waiting.iter().take_while(|order| order.command.is_urgent()).count()
}

fn line_up(waiting: &mut VecDeque<Order>, order: Order) {
    let at = if order.command.is_urgent() { urgent(waiting) } else { waiting.len() };
    waiting.insert(at, order);
}

/// Ends what was cancelled before its turn came.
fn sweep(waiting: &mut VecDeque<Order>, events: &broadcast::Sender<Event>) {
    while let Some(at) = waiting.iter().position(|order| order.control.pace() == Pace::Cancelled)
        && let Some(order) = waiting.remove(at)
    {
        drop(events.send(Event::Ended { id: order.id, trouble: Some(Trouble::cancelled()) }));
        drop(order.end.send(Err(Trouble::cancelled())));
    }
}

fn running(
    under_way: &BTreeMap<CommandId, RunningRow>,
    order: Option<&Order>,
    waiting: &VecDeque<Order>,
) -> Vec<RunningRow> {
    let fetches = under_way.values().map(|row| RunningRow::of(row.id, row.name, row.study, &row.control));
    let mut rows: Vec<RunningRow> = fetches.chain(order.into_iter().chain(waiting).map(Order::row)).collect();
    rows.sort_by_key(|row| row.id);
    rows
}

fn show_running(
    show: &watch::Sender<State>,
    under_way: &BTreeMap<CommandId, RunningRow>,
    order: Option<&Order>,
    waiting: &VecDeque<Order>,
) {
    let rows = running(under_way, order, waiting);
    show.send_modify(|state| state.running = rows);
}
