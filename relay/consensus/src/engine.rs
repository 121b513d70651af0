//! Starting, waking and stopping.
//!
//! The engine runs on a thread and a runtime of its own: it spawns tasks that nobody else owns, and the application's
//! calls may block. Both end with it.

use core::time::Duration;
use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::{io, thread};

use arc_malachitebft_app_channel::app::config::{ConsensusConfig, NodeConfig, ValuePayload, ValueSyncConfig};
use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, RequestContext, SyncContext, WalContext,
};
use arc_malachitebft_core_types::LinearTimeouts;
use clavicle_ledger::id::SourceId;
use tokio::runtime::Builder;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info};

use crate::application::Application;
use crate::codec::{BorshCodec, MAX_ANSWER_LEN, MAX_BATCH};
use crate::config::{Config, Timeouts};
use crate::context::{Address, Network};
use crate::drive::{Drive, Over, Settings};
use crate::mesh::{self, ListenAddress, Mesh};
use crate::signing::{Checks, Signs};
pub use crate::stopped::{AnyError, Stopped};
use crate::wal::{self, LogError};

/// How long the engine's parts get to end by themselves.
const GRACE: Duration = Duration::from_secs(5);

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address that is none, or not of a kind that the engine can use.
    #[error("{0:?} is no address to use for consensus; write /ip4/…/tcp/… or /dns4/…/tcp/…")]
    Address(String),
    /// The port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}: another program has the port, or the address is not this machine's")]
    Listen {
        /// As configured.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// No thread or runtime to be had.
    #[error("the system gave no thread to run consensus on")]
    Thread(#[source] io::Error),
    /// See [`LogError`]. To be looked at by a person, and not to be started again by a machine.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The engine's own reason: another process holds its write-ahead log, most often.
    #[error("the consensus engine did not start")]
    Engine(#[source] AnyError),
    /// The application's state allows no next height.
    #[error("the chain cannot be continued")]
    State(#[source] Stopped),
}

/// Says that there is something to put into a block. One that is not an engine's wakes nobody.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Ends the wait between two heights, if [`Application::pending`] agrees.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// A running engine. Dropped, it stops, but is not waited for.
#[derive(Debug)]
pub struct Engine {
    waker: Waker,
    stop: Option<oneshot::Sender<()>>,
    /// None once it was said how it ended.
    ended: Option<oneshot::Receiver<Result<(), Stopped>>>,
}

impl Engine {
    /// Starts the engine where the application is.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start<A: Application>(config: Config, application: A) -> Result<Self, StartError> {
        let waker = Waker(Arc::new(Notify::new()));
        let (stop, stopping) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (begin, began) = oneshot::channel();
        let wake = waker.clone();
        thread::Builder::new()
            .name("consensus".into())
            .spawn(move || {
                if let Some(result) = live(config, application, &wake, stopping, begin) {
                    // Nobody may be waiting any more.
                    let _: Result<(), _> = end.send(result);
                }
            })
            .map_err(StartError::Thread)?;
        match began.await {
            Ok(Ok(())) => Ok(Self { waker, stop: Some(stop), ended: Some(ended) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::State(Stopped::Panicked)),
        }
    }

    /// A way to wake it, for whoever takes in transactions.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits until it stops: `Ok` when it was asked to. May be dropped and called again: how it ended is said once, and `Ok` after that.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn ended(&mut self) -> Result<(), Stopped> {
        let Some(ended) = &mut self.ended else { return Ok(()) };
        let result = ended.await.unwrap_or(Err(Stopped::Panicked));
        self.ended = None;
        result
    }

    /// Stops it and waits until its thread has given up the write-ahead log, the port and the application.
    ///
    /// # Errors
    /// [`Stopped`], when it had stopped by itself and nobody was told yet.
    pub async fn stop(mut self) -> Result<(), Stopped> {
        // Already stopped is stopped.
        drop(self.stop.take());
        self.ended().await
    }
}

/// The thread. None when the engine did not start, which `begin` was told.
fn live<A: Application>(
    config: Config,
    application: A,
    waker: &Waker,
    mut stopping: oneshot::Receiver<()>,
    begin: oneshot::Sender<Result<(), StartError>>,
) -> Option<Result<(), Stopped>> {
    let runtime = match Builder::new_multi_thread().worker_threads(2).thread_name("consensus-io").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _: Result<(), _> = begin.send(Err(StartError::Thread(error)));
            return None;
        }
    };
    let log = config.home.join(wal::LOG_FILE);
    let (begin, result) = runtime.block_on(async {
        match build(config, application, &log).await {
            Ok((mut channels, handle, drive)) => {
                let _: Result<(), _> = begin.send(Ok(()));
                let over = drive.run(&mut channels, &waker.0, &mut stopping).await;
                drop(channels);
                (None, Ok(end(handle, over).await))
            }
            Err(error) => (Some(begin), Err(error)),
        }
    });
    // Only when nothing is left is it said.
    runtime.shutdown_timeout(GRACE);
    given_up(&log);
    match &result {
        Ok(Ok(())) => info!("consensus stopped, as asked"),
        Ok(Err(stopped)) => error!(error = %stopped, "consensus stopped"),
        Err(error) => error!(%error, "consensus did not start"),
    }
    match (result, begin) {
        (Ok(result), _) => Some(result),
        (Err(error), begin) => {
            let _: Option<Result<(), _>> = begin.map(|begin| begin.send(Err(error)));
            None
        }
    }
}

async fn end(mut handle: EngineHandle, over: Result<Over, Stopped>) -> Result<(), Stopped> {
    let result = match over {
        Ok(Over::Asked) => Ok(()),
        // A supervisor that outlives what it supervises is how the engine says that it must not be started again.
        Ok(Over::Silent) => match tokio::time::timeout(GRACE, &mut handle.handle).await {
            Ok(_) => return Err(Stopped::Engine),
            Err(_) => Err(Stopped::Unsafe),
        },
        Err(stopped) => Err(stopped),
    };
    handle.actor.get_cell().stop_children_and_wait(None, Some(GRACE)).await;
    handle.actor.stop(None);
    // What is left after this ends with the runtime.
    let _: Result<_, _> = tokio::time::timeout(GRACE, handle.handle).await;
    result
}

/// Waits until the engine's thread for the write-ahead log has let go of its file, since it can be neither joined nor asked.
fn given_up(log: &Path) {
    const STEP: Duration = Duration::from_millis(5);
    let Ok(file) = File::open(log) else { return };
    for _ in 0..GRACE.as_millis() / STEP.as_millis() {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(STEP),
            Ok(()) | Err(TryLockError::Error(_)) => return,
        }
    }
}

type Built<A> = (Channels<Network>, EngineHandle, Drive<A>);

async fn build<A: Application>(config: Config, application: A, log: &Path) -> Result<Built<A>, StartError> {
    let Config { chain, source, consensus, listen, elsewhere, heartbeat, gather, timeouts, status_interval, .. } =
        &config;
    // The engine panics when a validator cannot sign; so whoever has no key is nobody there, also if the set names it.
    let address = Address(if consensus.is_some() { *source } else { SourceId::from_bytes([0; 32]) });
    let signs = consensus.clone().map(|key| Signs { chain: *chain, key });
    let verifier = Box::new(Checks { chain: *chain });
    let context = match signs.clone() {
        Some(signs) => ConsensusContext::new_validator(address, verifier, Box::new(signs)),
        None => ConsensusContext::new_full_node(address, verifier),
    };
    let settings = Settings {
        chain: *chain,
        source: *source,
        signs,
        timeouts: linear(timeouts),
        heartbeat: *heartbeat,
        gather: *gather,
    };
    let own = match consensus {
        Some(key) => Some(mesh::Own { key: key.clone(), listener: bind(listen)? }),
        None => None,
    };
    if consensus.is_some() {
        wal::check(log)?;
    }
    let start = mesh::Start {
        chain: *chain,
        source: *source,
        listen: listen.parse().map_err(|_| StartError::Address(listen.clone()))?,
        own,
        elsewhere: elsewhere.clone(),
        look_every: *status_interval,
    };
    let Mesh { actor, parts, roster, ahead } =
        mesh::start(start).await.map_err(|error| StartError::Engine(error.into()))?;
    let (channels, handle) = EngineBuilder::new(Network { chain: *chain }, Node::new(&config))
        .with_default_wal(WalContext::new(log.to_owned(), BorshCodec))
        .with_custom_network(actor, parts)
        .with_default_sync(SyncContext::new(BorshCodec))
        .with_default_consensus(context)
        .with_default_request(RequestContext::new(16))
        .build()
        .await
        .map_err(|error| StartError::Engine(error.into()))?;
    match Drive::new(settings, application, channels.network.clone(), roster, ahead) {
        Ok(drive) => Ok((channels, handle, drive)),
        Err(stopped) => {
            drop(channels);
            Err(StartError::State(end(handle, Err(stopped)).await.err().unwrap_or(Stopped::Engine)))
        }
    }
}

fn linear(timeouts: &Timeouts) -> LinearTimeouts {
    let Timeouts { propose, prevote, precommit, step, longest } = *timeouts;
    LinearTimeouts {
        propose,
        propose_delta: step,
        prevote,
        prevote_delta: step,
        precommit,
        precommit_delta: step,
        rebroadcast: propose + prevote + precommit,
        max_timeout: longest,
    }
}

/// Takes the port, before anything else begins.
fn bind(listen: &str) -> Result<TcpListener, StartError> {
    let address = ListenAddress::parse(listen).and_then(|address| address.socket());
    let address = address.ok_or_else(|| StartError::Address(listen.into()))?;
    TcpListener::bind(address).map_err(|source| StartError::Listen { address: listen.into(), source })
}

/// The engine's own configuration.
struct Node {
    moniker: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl Node {
    fn new(config: &Config) -> Self {
        let consensus = ConsensusConfig { value_payload: ValuePayload::ProposalAndParts, ..Default::default() };
        let sync = ValueSyncConfig {
            status_update_interval: config.status_interval,
            max_request_size: "1 KiB".parse().expect("a size"),
            max_response_size: format!("{MAX_ANSWER_LEN} B").parse().expect("a size"),
            batch_size: MAX_BATCH,
            // What waits for one link is no more than that.
            parallel_requests: 3,
            ..Default::default()
        };
        Self { moniker: config.moniker.clone(), consensus, sync }
    }
}

impl NodeConfig for Node {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}
