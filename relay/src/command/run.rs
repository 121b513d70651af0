//! `run`: the relay itself, until it is told to stop.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clavicle_command::clock::now;
use clavicle_command::said::say;
use clavicle_consensus::config::Timeouts;
use clavicle_consensus::{Config, Engine};
use clavicle_ledger::encoding;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::Height;
use clavicle_letters::random::random;
use clavicle_network::Server;
use clavicle_network::revoke::Revocations;
use clavicle_network::swarm::{Desk, Node, RECONCILE_EVERY};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::{CommandError, EDGE};
use crate::anchoring::Anchoring;
use crate::answer::{Answer, Refusing as _};
use crate::catch_up::PublicPorts;
use crate::challenge::Challenger;
use crate::control::{self, ControlError};
use crate::counter::RelayCounter;
use crate::desk::RelayDesk;
use crate::directory::{Relays, relays};
use crate::ending::LOOK_FIRST;
use crate::gate::RelayGate;
use crate::home::{Home, Settings};
use crate::journal::{self, Reaction};
use crate::keeper::Keeper;
use crate::keys::{Keys, KeysError};
use crate::made::{Made, StoreName, UNKNOWN};
use crate::operations::Operation as _;
use crate::operations::status::{RelayStatus, Status};
use crate::outcomes::Outcomes;
use crate::reception::Reception;
use crate::service::{self, OpenError, Service, ServiceError, opened};
use crate::store::{ProposalStore, StoreError};
use crate::submission::Running;
use crate::tasks::Tasks;
use crate::upkeep::{self, Publication, Settling};
use crate::{confirming, credential_lists, notices, vouching};
use clavicle_network::file as network_file;

/// What a relay writes to its log unless RUST_LOG says otherwise: its own words, and of others only what went wrong.
const LOG: &str = "error,libp2p=error,clavicle_relay=info,clavicle_consensus=info,clavicle_network=info";

/// How long work that is left may take to end.
const LINGERING: Duration = Duration::from_secs(5);

/// How soon it is looked again whether the relay may vote.
const SOON: Duration = Duration::from_millis(250);

/// How long commands that work on the stores may take.
const COMMANDS: Duration = Duration::from_secs(30);

/// Runs. What it has to say by the way it says in lines, or, for programs, as one JSON object a line.
pub(super) fn run(dir: &Path, network: Option<&Path>, shadow: bool, json: bool) -> Result<Answer, CommandError> {
    let home = Home::at(dir);
    let settings = home.settings()?;
    if let Some(network) = network {
        join(&home, network)?;
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    // Nothing else of this process logs; a second one would only be ignored.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init().ok();
    raise_descriptors();
    let service = open(&home)?;
    let begun = status(&service)?;
    say(&if json { json!({ "begun": begun }).to_string() } else { begun.about() });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(CommandError::Runtime)?;
    let lived = live_on(&runtime, &home, &settings, (shadow, json, service));
    // Work that hangs keeps nobody waiting: what it writes is whole or not there.
    runtime.shutdown_timeout(LINGERING);
    let service = lived?;
    let (name, height) = (&service.member.name, service.store.head()?.height);
    Ok(Answer { text: format!("{name}: stopped at height {height}"), json: json!({ "stopped_at": height }) })
}

fn status(service: &Service) -> Result<RelayStatus, ServiceError> {
    Status {}.work(service)
}

/// Lets this process have as many files and connections open as it may ask for: what it is given at first, often 1,024, is for
/// programs that serve nobody.
fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If not, it goes on with what it has, and whoever comes beyond that is turned away.
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
}

/// Lives, and once more when the relay may vote again. The stores as they are then.
fn live_on(
    runtime: &Runtime,
    home: &Home,
    settings: &Settings,
    (shadow, json, mut service): (bool, bool, Service),
) -> Result<Service, CommandError> {
    if shadow {
        runtime.block_on(watch_only(home, settings, service.clone(), json))?;
        return Ok(service);
    }
    // Where it may vote again everything starts anew, with its key.
    while let Next::Vote = runtime.block_on(live(home, settings, service.clone()))? {
        drop(service);
        service = open(home)?;
    }
    Ok(service)
}

/// The relay's stores, when no command is at work on them any more. Where a relay runs already nothing is waited for.
fn open(home: &Home) -> Result<Service, CommandError> {
    let from = Instant::now();
    loop {
        match service::open(home, EDGE) {
            Err(OpenError::Store(StoreError::InUse)) if from.elapsed() < COMMANDS => {
                if home.is_served() {
                    return Err(ControlError::Running.into());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return Ok(opened?),
        }
    }
}

/// Reception and the operator's socket alone, until a signal comes: whoever only wants to see what a manifest would say needs no
/// network, and gives nothing to anybody.
async fn watch_only(home: &Home, settings: &Settings, service: Service, json: bool) -> Result<(), CommandError> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).map_err(CommandError::Runtime)?,
        signal(SignalKind::terminate()).map_err(CommandError::Runtime)?,
    );
    let mut tasks = Tasks::new();
    let reception = Reception::start(home, &settings.intake, &service, &tasks)?;
    let shadow = "shadow      images are taken in and manifests signed; nothing is published";
    say(&if json { json!({ "shadow": true }).to_string() } else { shadow.to_owned() });
    let socket = home.socket();
    let asked_to = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let serving = control::serve(&socket, Service { shadow: true, ..service }, asked_to);
    let served = tokio::select! {
        served = serving => served.map_err(CommandError::from),
        failed = tasks.failed() => Err(failed.into()),
    };
    reception.stop().await;
    worst([served, tasks.stop().await.map_err(CommandError::from)])
}

/// What comes after everything was stopped.
enum Next {
    /// Nothing: it was asked to stop.
    Stop,
    /// The same again: the relay may vote now.
    Vote,
}

/// Waits until the chain is past the heights that the relay must not vote at.
async fn may_vote(home: &Home, service: &Service, votes_from: Height) -> Result<(), CommandError> {
    if votes_from == UNKNOWN {
        return find_votes_from(home, service).await;
    }
    let mut changes = service.store.changes();
    while service.store.head()?.height.saturating_add(1) < votes_from {
        if changes.changed().await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits until there is a block that was made after this relay was started, as far as the others say what time it is, and writes down that the relay votes
/// from the next on. All that it voted on before was open when a block before that one was the newest: it needs no store of its own to know that.
async fn find_votes_from(home: &Home, service: &Service) -> Result<(), CommandError> {
    let mut since = None;
    loop {
        let snapshot = service.store.snapshot()?;
        let head = snapshot.head().map_err(ServiceError::from)?;
        let tolerance_ms = snapshot.rules().map_err(ServiceError::from)?.parameters.clock_tolerance_ms;
        if since.is_none() {
            let timekeeper = &service.timekeeper;
            since = timekeeper.confirmed(head.height, timekeeper.clocks()).ok().map(|confirmed| confirmed.latest);
        }
        // A block's time may lie ahead of the clocks of those who voted for it, and those ahead of the time.
        if since.is_some_and(|since| head.time.timestamp() > since.plus(tolerance_ms.saturating_mul(2))) {
            let votes_from = head.height.saturating_add(1);
            let keys = Keys::read(&home.keys_folder())?;
            Made::open(home, &keys.operational, now())?.set_votes_from(votes_from)?;
            info!(
                from = votes_from,
                "the others have made a block that this relay cannot have voted on: it votes again"
            );
            return Ok(());
        }
        tokio::time::sleep(SOON).await;
    }
}

/// Everything that runs, until a signal comes or a part of it ends; then everything is stopped.
async fn live(home: &Home, settings: &Settings, service: Service) -> Result<Next, CommandError> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).map_err(CommandError::Runtime)?,
        signal(SignalKind::terminate()).map_err(CommandError::Runtime)?,
    );
    let keys = Keys::read(&home.keys_folder())?;
    let desk = desk(&service, &keys)?;
    let mut node = start_node(settings, &service, &keys, Arc::clone(&desk))?;
    let mut server = start_server(settings, &service, &keys, desk).await?;
    let head = service.store.head()?.height;
    let (votes_from, proposals) = make_voting(home, &keys, head)?;
    let is_silent = head.saturating_add(1) < votes_from;
    if votes_from == UNKNOWN {
        warn!(
            "this relay does not vote until the others have made a block that it cannot have voted on: it has lost what it voted on"
        );
    } else if is_silent {
        warn!(from = votes_from, "this relay does not vote before that height, since it may have voted up to there");
    }
    let (past, mut next, identity) = (service.clone(), Next::Stop, keys.identity.secret().cloned());
    let mut engine = start_engine(home, settings, &service, keys, (proposals, is_silent)).await?;
    let publisher = node.publisher();
    // Set once, since this is the one place that starts anything.
    let publish = Box::new(move |envelope| publisher.publish(envelope));
    service.submission.running.set(Running { waker: engine.waker(), publish, connected: node.gossiping() }).ok();
    let mut tasks = Tasks::new();
    let reception = Reception::start(home, &settings.intake, &service, &tasks)?;
    start_tasks(&tasks, &service, &node, identity);
    let (stop, mut stopping) = watch::channel(false);
    let stopped = async move {
        // That nobody is left to say so is saying so.
        stopping.wait_for(|stop| *stop).await.ok();
    };
    let socket = home.socket();
    let serving = control::serve(&socket, service, stopped);
    tokio::pin!(serving);
    let mut served = None;
    let ended: Result<(), CommandError> = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        ended = engine.ended() => ended.map_err(CommandError::from),
        ended = node.ended() => ended.map_err(CommandError::from),
        () = server.ended() => Err(CommandError::Unserved),
        failed = tasks.failed() => Err(failed.into()),
        past = may_vote(home, &past, votes_from), if is_silent => { next = Next::Vote; past }
        early = &mut serving => { served = Some(early); Ok(()) }
    };
    // Nothing more comes in; then what is at work ends; the engine, which decides, is the last.
    stop.send_replace(true);
    let served = match served {
        Some(served) => served,
        None => serving.await,
    };
    reception.stop().await;
    server.stop().await;
    let followed = tasks.stop().await.map_err(CommandError::from);
    let left = node.stop().await.map_err(CommandError::from);
    let stopped = engine.stop().await.map_err(CommandError::from);
    worst([ended, served.map_err(CommandError::from), followed, left, stopped]).map(|()| next)
}

/// Starts what the relay does by itself.
fn start_tasks(tasks: &Tasks, service: &Service, node: &Node, identity: Option<SecretKey>) {
    let tell = Arc::new(Notify::new());
    // What is done about each block, in this order.
    let reactions: Vec<Box<dyn Reaction>> = vec![
        Box::new(Relays::new(node.directory())),
        Box::new(Settling::default()),
        Box::new(Outcomes::default()),
        Box::new(Anchoring::default()),
        Box::new(Publication),
        Box::new(notices::Noticing::new(Arc::clone(&tell))),
    ];
    tasks.start("journal", |stop| journal::run(service.clone(), reactions, stop));
    tasks.start("upkeep", |stop| upkeep::run(service.clone(), stop));
    tasks.start("notices", |stop| notices::run(service.clone(), tell, stop));
    tasks.start("credentials", |stop| credential_lists::run(service.clone(), stop));
    tasks.start("vouching", |stop| vouching::run(service.clone(), identity, stop));
    // From here on no clock is believed before others have answered.
    service.timekeeper.ask();
    let (inquirer, gossiping) = (node.inquirer(), node.gossiping());
    tasks.start("confirming", |stop| confirming::run(service.clone(), inquirer, gossiping, stop));
}

/// Of the ends of several parts, the one after which nobody may start again, or else the first that went wrong: the others follow from it.
fn worst(ends: impl IntoIterator<Item = Result<(), CommandError>>) -> Result<(), CommandError> {
    let is_final = |error: &CommandError| error.exit_code() == LOOK_FIRST;
    let mut worst: Result<(), CommandError> = Ok(());
    for end in ends {
        let is_worse = match (&worst, &end) {
            (Ok(()), Err(_)) => true,
            (Err(one), Err(other)) => is_final(other) && !is_final(one),
            (_, Ok(())) => false,
        };
        if is_worse {
            worst = end;
        }
    }
    worst
}

/// What answers relays and wallets.
fn desk(service: &Service, keys: &Keys) -> Result<Arc<dyn Desk>, CommandError> {
    let secret = random().map_err(KeysError::Random)?;
    Ok(Arc::new(RelayDesk {
        member: Arc::clone(&service.member),
        network: keys.network.public(),
        submission: Arc::clone(&service.submission),
        records: service.records.clone(),
        challenger: Challenger::new(secret),
        room: service.images.room.clone(),
        clock: service.clock,
        timekeeper: Arc::clone(&service.timekeeper),
    }))
}

/// The node among relays and wallets.
fn start_node(settings: &Settings, service: &Service, keys: &Keys, desk: Arc<dyn Desk>) -> Result<Node, CommandError> {
    let config = clavicle_network::swarm::Config {
        chain: service.member.chain,
        seed: keys.network.seed(),
        listen: settings.listen.network_address(),
        peers: relays(service)?,
        reconcile_every: RECONCILE_EVERY,
    };
    Ok(Node::start(config, desk)?)
}

/// The endpoint of those who fetch, those who pick up and those who revoke.
async fn start_server(
    settings: &Settings,
    service: &Service,
    keys: &Keys,
    desk: Arc<dyn Desk>,
) -> Result<Server, CommandError> {
    let gate = RelayGate {
        member: Arc::clone(&service.member),
        store: Arc::clone(&service.store),
        archive: Arc::clone(&service.images.archive),
        seen: Arc::clone(&service.submission.seen),
        refusals: Arc::clone(&service.records.refusals),
        receipts: Arc::clone(&service.records.receipts),
        notices: Arc::clone(&service.records.notices),
        timekeeper: Arc::clone(&service.timekeeper),
    };
    let counter = RelayCounter {
        member: Arc::clone(&service.member),
        pickups: Arc::clone(&service.records.pickups),
        archive: Arc::clone(&service.images.archive),
        submission: Arc::clone(&service.submission),
        recoveries: Arc::clone(&service.records.recoveries),
        claiming: Mutex::default(),
    };
    let at = settings.listen.transfer;
    let revocations = Revocations::new(service.member.chain, desk);
    let started = Server::start(&keys.transfer, at, Arc::new(gate), Arc::new(counter), revocations).await;
    started.map_err(|error| CommandError::Endpoint { at, error })
}

/// Opens what only voting needs, or makes it: from which height on this relay may vote, and its proposals. There are blocks up to `head`.
fn make_voting(home: &Home, keys: &Keys, head: Height) -> Result<(Height, ProposalStore), CommandError> {
    let folder = home.consensus_folder();
    fs::create_dir_all(&folder).map_err(CommandError::Log)?;
    let mut made = Made::open(home, &keys.operational, now())?;
    if !made.has(StoreName::Log) && !StoreName::Log.is_there(home) && head > 0 {
        // It decided before: the list is from a backup, or an earlier version wrote none.
        made.set_votes_from(UNKNOWN)?;
    }
    made.begin(home, &StoreName::VOTING, now())?;
    clavicle_consensus::make_log(&home.log_file()).map_err(CommandError::Log)?;
    let proposals = opened(home.proposals_file(), ProposalStore::open)?;
    made.finish(home, &StoreName::VOTING, now())?;
    Ok((made.votes_from(), proposals))
}

async fn start_engine(
    home: &Home,
    settings: &Settings,
    service: &Service,
    keys: Keys,
    (proposals, is_silent): (ProposalStore, bool),
) -> Result<Engine, CommandError> {
    let parameters = service.store.snapshot()?.rules().map_err(ServiceError::from)?.parameters;
    let config = Config {
        chain: service.member.chain,
        source: service.member.source,
        consensus: (!is_silent).then_some(keys.consensus),
        moniker: settings.name.clone(),
        listen: settings.listen.consensus_address(),
        elsewhere: Some(Arc::new(PublicPorts {
            chain: service.member.chain,
            source: service.member.source,
            store: Arc::clone(&service.store),
        })),
        home: home.consensus_folder(),
        timeouts: Timeouts::default(),
        heartbeat: Duration::from_millis(parameters.heartbeat_ms),
        gather: None,
        status_interval: Duration::from_secs(1),
    };
    let (store, mempool) = (Arc::clone(&service.store), Arc::clone(&service.submission.mempool));
    let keeper = Keeper::new(store, proposals, mempool, service.member.source, Box::new(now));
    keeper.resume()?;
    Ok(Engine::start(config, keeper).await?)
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

#[cfg(test)]
mod tests {
    use clavicle_consensus::Stopped;

    use super::*;

    #[test]
    fn what_nobody_may_start_again_after_is_told_whatever_else_went_wrong() {
        let running = || Err(CommandError::Control(ControlError::Running));
        let ended = |error: Stopped| Err(CommandError::Stopped(error));
        for ends in [
            [ended(Stopped::Unsafe), running(), Ok(())],
            [running(), Ok(()), ended(Stopped::Unsafe)],
            [Ok(()), ended(Stopped::Engine), ended(Stopped::OtherKey(7))],
        ] {
            assert_eq!(worst(ends).unwrap_err().exit_code(), 78);
        }
        let first = worst([Ok(()), running(), ended(Stopped::Engine)]).unwrap_err();
        assert!(matches!(first, CommandError::Control(ControlError::Running)));
        worst([Ok(()), Ok(())]).unwrap();
    }
}
