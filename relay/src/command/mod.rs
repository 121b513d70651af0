//! What an operator can say to a relay.

mod asking;
mod ending;
mod endorse;
mod genesis;
mod init;
mod run;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clavicle_command::clock::now;
use clavicle_consensus::{StartError, Stopped};
use clavicle_ledger::encoding::{DecodeError, Fault};
use clavicle_ledger::genesis::{CandidateError, GenesisError};
use clavicle_ledger::light::EndorsementError;
use clavicle_ledger::time::Clocks;
use clavicle_network::endpoint::EndpointError;
use clavicle_network::file::NetworkFileError;
use rustix::time::{ClockId, clock_gettime};

use self::asking::RelayOrStores;
use crate::answer::{Answer, Failure, Refusing};
use crate::control::ControlError;
use crate::home::HomeError;
use crate::keeper::KeeperError;
use crate::keys::KeysError;
use crate::made::MadeError;
use crate::operations::Asked;
use crate::reception::ReceptionError;
use crate::service::{Edge, OpenError, ServiceError};
use crate::store::StoreError;
use crate::tasks::{TaskEnd, TaskError};

/// A hospital's node in a Clavicle network.
#[derive(Debug, Parser)]
#[command(name = "clavicle-relay", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// Answer with one JSON object, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What a new relay takes in by itself; `relay.toml` says the same, and more, later.
#[derive(Debug, Default, Args)]
pub struct IntakeArguments {
    /// Receive DICOM objects at this address and port (C-STORE)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dicom: Option<std::net::SocketAddr>,
    /// The AE title to be called by; CLAVICLE without it
    #[arg(long)]
    pub ae_title: Option<String>,
    /// Take in everything that is put into this folder; can be given more than once
    #[arg(long, value_name = "FOLDER")]
    pub watch: Vec<PathBuf>,
    /// Close a study when nothing was added to it for so many hours
    #[arg(long, value_name = "HOURS")]
    pub close_after: Option<u32>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new relay: its folder, its keys, its settings
    Init {
        /// The folder to make
        #[arg(long)]
        dir: PathBuf,
        /// The hospital's name, as patients know it
        #[arg(long)]
        name: String,
        /// The address to listen on and to be reached at; free ports are chosen
        #[arg(long, default_value = "127.0.0.1")]
        host: std::net::IpAddr,
        /// What it takes in by itself
        #[command(flatten)]
        intake: IntakeArguments,
    },
    /// Make a new network of the hospitals whose source.json are given
    Genesis {
        /// The file to write; everybody in the network needs it
        #[arg(long)]
        out: PathBuf,
        /// The network's name
        #[arg(long, default_value = "clavicle")]
        name: String,
        /// Seconds between blocks when there is nothing to put in them
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=600))]
        heartbeat: u16,
        /// The hospitals' source.json
        #[arg(required = true)]
        sources: Vec<PathBuf>,
    },
    /// Sign, with the identity key, what `checkpoints --request` wrote; needs no relay, so that the key can be kept elsewhere
    Endorse {
        /// What is asked for
        request: PathBuf,
        /// The file of the identity key
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
        /// The file to write, for `checkpoints --endorsed`
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Run the relay until it is told to stop
    #[command(after_help = crate::ending::TABLE)]
    Run {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The network's network.json; needed the first time
        #[arg(long)]
        network: Option<PathBuf>,
        /// Take in images and sign manifests, and publish nothing: no other relay, wallet or recipient is talked to
        #[arg(long)]
        shadow: bool,
    },
    /// What is asked of a relay
    #[command(flatten)]
    Asked(Asked),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// See [`HomeError`].
    #[error(transparent)]
    Home(#[from] HomeError),
    /// See [`KeysError`].
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// See [`MadeError`].
    #[error(transparent)]
    Made(#[from] MadeError),
    /// See [`NetworkFileError`].
    #[error(transparent)]
    NetworkFile(#[from] NetworkFileError),
    /// A name that is none.
    #[error("the name {name:?} cannot be used")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        #[source]
        error: Fault,
    },
    /// The relay's own candidature is wrong.
    #[error("the relay cannot be in a genesis")]
    Candidate(#[from] CandidateError),
    /// The sources do not make a network.
    #[error("these hospitals do not make a network")]
    Genesis(#[from] GenesisError),
    /// One hospital twice.
    #[error("two of the files are of the same hospital")]
    SourceTwice,
    /// More than a network may have.
    #[error("a network has {0} hospitals at most")]
    TooManySources(usize),
    /// See [`OpenError`].
    #[error(transparent)]
    Open(#[from] OpenError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`TaskError`].
    #[error("the relay cannot go on")]
    Task(#[from] TaskError),
    /// The endpoint for those who fetch ended.
    #[error("the relay serves images no more, for a defect: please report it")]
    Unserved,
    /// See [`ReceptionError`].
    #[error(transparent)]
    Reception(#[from] ReceptionError),
    /// A folder that is none.
    #[error("{path} cannot be opened")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The endpoint for those who fetch.
    #[error("the relay cannot serve images at {at}")]
    Endpoint {
        /// Where.
        at: std::net::SocketAddr,
        /// Why.
        #[source]
        error: EndpointError,
    },
    /// The network of relays and wallets.
    #[error("the relay cannot take part in the network")]
    Node(#[from] clavicle_network::swarm::StartError),
    /// The same, later.
    #[error("the relay fell out of the network")]
    NodeStopped(#[from] clavicle_network::swarm::Stopped),
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// See [`ControlError`].
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The system gave no thread, timer or signal.
    #[error("the system gave no thread, timer or signal to run with")]
    Runtime(#[source] std::io::Error),
    /// The consensus engine did not start.
    #[error("the relay cannot take part in agreement")]
    Start(#[from] StartError),
    /// The consensus engine stopped.
    #[error("the relay stopped: it can no longer take part in agreement")]
    Stopped(#[from] Stopped),
    /// See [`KeeperError`].
    #[error("the relay cannot keep the chain")]
    Keeper(#[from] KeeperError),
    /// The folder of the write-ahead log.
    #[error("the folder of the write-ahead log could not be made")]
    Log(#[source] std::io::Error),
    /// A request for an endorsement that is none.
    #[error("{path} is no request for an endorsement")]
    Request {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        error: DecodeError,
    },
    /// An endorsement that nobody would believe.
    #[error("what is asked for is not signed")]
    Endorsement(#[source] EndorsementError),
    /// A file that could not be written.
    #[error("{path} could not be written")]
    Unwritten {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A defect.
    #[error("a defect ended the program: what it said is above; please report it")]
    Panicked,
    /// Of another network before.
    #[error(
        "this relay is of another network already; a relay stays in its network. Make a new one with `init` for this one"
    )]
    OtherNetwork,
    /// No port to listen on.
    #[error("no free port was found on {host}")]
    NoPort {
        /// Where.
        host: std::net::IpAddr,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

impl Refusing for CommandError {
    fn code(&self) -> &str {
        match self {
            Self::Home(error) => error.code(),
            Self::Open(error) => error.code(),
            Self::Keys(error) => error.code(),
            Self::Made(error) => error.code(),
            Self::NetworkFile(error) => error.code(),
            Self::OtherNetwork => "network",
            Self::Name { .. } => "name",
            Self::Candidate(_) => "candidate",
            Self::Genesis(_) | Self::SourceTwice | Self::TooManySources(_) => "genesis",
            Self::Store(error) => error.code(),
            Self::Control(ControlError::Running) => "running",
            Self::Task(TaskError { why: TaskEnd::Panicked | TaskEnd::Early, .. }) | Self::Unserved => "defect",
            Self::Service(_) | Self::Keeper(_) | Self::Task(_) => "store",
            Self::Folder { .. } => "folder",
            Self::Reception(_) => "intake",
            Self::Endpoint { .. } | Self::Node(_) | Self::NodeStopped(_) => "network",
            Self::Control(_) => "socket",
            Self::Start(_) | Self::Stopped(_) | Self::Log(_) => "consensus",
            Self::Runtime(_) => "system",
            Self::NoPort { .. } => "port",
            Self::Request { .. } | Self::Endorsement(_) => "endorsement",
            Self::Unwritten { .. } => "file",
            Self::Panicked => "defect",
        }
    }

    fn exit_code(&self) -> u8 {
        ending::code(self)
    }
}

/// Does what was asked.
///
/// # Errors
/// [`Failure`]: a [`CommandError`], or an operation's.
pub fn run(Arguments { command, json }: Arguments) -> Result<Answer, Failure> {
    Ok(match command {
        Command::Init { dir, name, host, intake } => init::run(&dir, &name, host, intake)?,
        Command::Genesis { out, name, heartbeat, sources } => genesis::run(&out, &name, heartbeat, &sources)?,
        Command::Endorse { request, identity, out } => endorse::run(&request, &identity, &out)?,
        Command::Run { dir, network, shadow } => run::run(&dir, network.as_deref(), shadow, json)?,
        Command::Asked(asked) => asked.by(&RelayOrStores)?,
    })
}

/// What operations read outside of a relay's folder.
pub(crate) const EDGE: Edge = Edge { now, clocks };

/// All clocks, read here as one.
fn clocks() -> Clocks {
    let ms = |clock| {
        let read = clock_gettime(clock);
        let (seconds, nanos) = (u64::try_from(read.tv_sec).unwrap_or(0), u64::try_from(read.tv_nsec).unwrap_or(0));
        seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
    };
    let read = || {
        let (boot_ms, wall, awake_ms) = (ms(ClockId::Boottime), now(), ms(ClockId::Monotonic));
        let took_ms = ms(ClockId::Boottime).saturating_sub(boot_ms);
        (took_ms, Clocks { wall, boot_ms, asleep_ms: boot_ms.saturating_sub(awake_ms) })
    };
    // Whoever is interrupted between two of them looks once more.
    let (_, clocks) = (0..8).map(|_| read()).find(|(took_ms, _)| *took_ms < 10).unwrap_or_else(read);
    clocks
}
