//! `run`: the relay itself, until it is told to stop.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clavicle_consensus::config::Timeouts;
use clavicle_consensus::{Config, Engine, Stopped};
use clavicle_ledger::encoding;
use clavicle_ledger::state::ReadRows as _;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::{Answer, CommandError, inspect, now, say};
use crate::control;
use crate::home::{Home, Settings};
use crate::keeper::Keeper;
use crate::keys::Keys;
use crate::network_file;
use crate::service::{Service, ServiceError};
use crate::store::ProposalStore;

/// What a relay writes to its log unless RUST_LOG says otherwise: its own words, and of others only what went wrong. To the engine's
/// network every peer that is not there yet is an error, many times a second; who is not there shows in `status`.
const LOG: &str = "error,arc_malachitebft_network=off,clavicle_relay=info,clavicle_consensus=info";

pub(super) fn run(dir: &Path, network: Option<&Path>) -> Result<Answer, CommandError> {
    let home = Home::at(dir);
    let settings = home.settings()?;
    if let Some(network) = network {
        join(&home, network)?;
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    // Nothing else of this process logs; a second one would only be ignored.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init().ok();
    let service = inspect::open(&home)?;
    say(&service.status()?.lines());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(CommandError::Runtime)?.block_on(live(&home, &settings, service.clone()))?;
    let status = service.status()?;
    let (name, height) = (&status.name, status.height);
    Ok(Answer { text: format!("{name}: stopped at height {height}"), json: json!({ "stopped_at": height }) })
}

/// Everything that runs, until a signal comes or a part of it ends; then everything is stopped.
async fn live(home: &Home, settings: &Settings, service: Service) -> Result<(), CommandError> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).map_err(CommandError::Runtime)?,
        signal(SignalKind::terminate()).map_err(CommandError::Runtime)?,
    );
    let mut engine = start_engine(home, settings, &service).await?;
    let service = Service { waker: Some(engine.waker()), ..service };
    let (stop, mut stopping) = watch::channel(false);
    let stopped = async move {
        // That nobody is left to say so is saying so.
        stopping.wait_for(|stop| *stop).await.ok();
    };
    let socket = home.socket();
    let serving = control::serve(&socket, service, stopped);
    tokio::pin!(serving);
    let (ended, served): (Option<Result<(), Stopped>>, _) = tokio::select! {
        _ = interrupt.recv() => (None, None),
        _ = terminate.recv() => (None, None),
        ended = engine.ended() => (Some(ended), None),
        served = &mut serving => (None, Some(served)),
    };
    stop.send_replace(true);
    let served = match served {
        Some(served) => served,
        None => serving.await,
    };
    match ended {
        Some(ended) => ended?,
        None => engine.stop().await?,
    }
    Ok(served?)
}

async fn start_engine(home: &Home, settings: &Settings, service: &Service) -> Result<Engine, CommandError> {
    let keys = Keys::read(&home.keys_folder())?;
    let folder = home.consensus_folder();
    fs::create_dir_all(&folder).map_err(CommandError::Log)?;
    let parameters = service.store.snapshot()?.rules().map_err(ServiceError::from)?.parameters;
    let config = Config {
        chain: service.genesis.chain_id(),
        source: service.source,
        consensus: Some(keys.consensus),
        network: keys.swarm_seed,
        moniker: settings.name.clone(),
        listen: settings.listen.consensus_address(),
        peers: peers(service)?,
        only_peers: false,
        connections_per_address: 64,
        home: folder,
        timeouts: Timeouts::default(),
        heartbeat: Duration::from_millis(parameters.heartbeat_ms),
        gather: None,
        status_interval: Duration::from_secs(1),
    };
    let proposals = ProposalStore::open(&home.proposals_file())?;
    let (store, mempool) = (Arc::clone(&service.store), Arc::clone(&service.mempool));
    let keeper = Keeper::new(store, proposals, mempool, service.source, Box::new(now));
    Ok(Engine::start(config, keeper).await?)
}

/// The other validators' addresses, as the ledger has them: the ledger is the directory.
fn peers(service: &Service) -> Result<Vec<String>, ServiceError> {
    let snapshot = service.store.snapshot()?;
    let mut peers = Vec::new();
    for admitted in &snapshot.roster()?.admitted {
        if admitted.source != service.source
            && let Some(source) = snapshot.source(admitted.source)?
        {
            peers.extend(source.announced.addresses.consensus.iter().map(ToString::to_string));
        }
    }
    Ok(peers)
}

/// Takes the network's file into the relay's folder; once there, it stays the relay's network.
fn join(home: &Home, given: &Path) -> Result<(), CommandError> {
    let genesis = network_file::read_genesis(given)?;
    let own = home.network_file();
    if !own.exists() {
        return Ok(network_file::write_genesis(&own, &genesis)?);
    }
    let joined = network_file::read_genesis(&own)?;
    if encoding::encode(&joined) == encoding::encode(&genesis) { Ok(()) } else { Err(CommandError::OtherNetwork) }
}
