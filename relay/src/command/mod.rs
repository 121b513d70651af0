//! What an operator can say to a relay.

mod archive;
mod desk;
mod ending;
mod genesis;
mod init;
mod inspect;
mod personal;
mod run;
mod stores;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args, Parser, Subcommand};
use clavicle_command::given::{Given, GivenError};
use clavicle_consensus::{StartError, Stopped};
use clavicle_ledger::encoding::Fault;
use clavicle_ledger::genesis::{CandidateError, GenesisError};
use clavicle_ledger::time::{Clocks, LocalTime, Timestamp};
use clavicle_network::endpoint::EndpointError;
use clavicle_wallet::code::PictureError;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub use self::personal::{AccessionKind, PatientKind, PinKind};
use crate::archive::ArchiveError;
use crate::control::{ClientError, ControlError};
use crate::demo::{self, DemoError};
use crate::home::HomeError;
use crate::keeper::KeeperError;
use crate::keys::KeysError;
use crate::made::{MadeError, StoreName};
use crate::private::PrivateError;
use crate::reception::ReceptionError;
use crate::service::{
    AuditError, AuditRequest, CheckRequest, DeskError, ExpireRequest, IngestError, NewStanding, PickupRequest,
    RemoveRequest, ReportError, ServiceError, StandingError, StandingRequest, UnknownReference, VisitRequest, Why,
};
use crate::store::StoreError;
use crate::submission::SubmitError;
use crate::upkeep::UpkeepError;
use clavicle_network::file::NetworkFileError;

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
    /// Run the relay until it is told to stop
    #[command(after_help = ending::TABLE)]
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
    /// Take a folder of DICOM files into the archive
    Ingest {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The folder with the files; any files: what cannot be used is told with a reason
        folder: PathBuf,
        /// A report that belongs to the one study in the folder: text, .pdf, .hl7 or FHIR .json
        #[arg(long)]
        report: Option<PathBuf>,
    },
    /// List the studies in the archive
    Studies {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
    },
    /// List the files that came by themselves and could not be taken in, each with the reason
    Quarantine {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
    },
    /// Hold a folder (a CD, an export of the PACS, what somebody received) against a study's manifest
    Compare {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins
        study: String,
        /// The folder
        folder: PathBuf,
    },
    /// Tell what studies say of their own completeness: numbers left out, slices missing, images listed and not there
    Completeness {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins; all without it
        study: Option<String>,
    },
    /// Write a study's manifest as the standard has one: a Key Object Selection, with a MAC of each instance
    Kos {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins
        study: String,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Close a study: nothing is added to it by itself any more
    Close {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins
        study: String,
    },
    /// Stop serving a study for a while; returns when it is final
    Suspend {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins
        study: String,
        /// Why
        #[arg(long, value_enum)]
        reason: Why,
    },
    /// Serve a study again that is suspended; returns when it is final
    Resume {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins
        study: String,
    },
    /// Stop serving a study for ever; returns when it is final
    Withdraw {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins
        study: String,
        /// Why
        #[arg(long, value_enum)]
        reason: Why,
    },
    /// Remove a study that nobody holds, or that is withdrawn, with its images
    Remove {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins
        study: String,
        /// Remove it, and not only say what that would be: as many files as it has
        #[arg(long, value_name = "FILES")]
        confirm: Option<usize>,
    },
    /// Remove the studies that are older than they have to be kept; those that somebody holds stay
    Expire {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The day before which a study's date must lie: 2016-01-31
        #[arg(long)]
        before: String,
        /// Remove them, and not only say which: as many as they are
        #[arg(long, value_name = "STUDIES")]
        confirm: Option<usize>,
    },
    /// Read every byte in the archive, and say what is not as it was; exits with 0 only if all is
    Check {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// List files that belong to no study, to be removed
        #[arg(long)]
        remove_stray: bool,
        /// Remove them, and not only list them: as many as they are
        #[arg(long, value_name = "FILES", requires = "remove_stray")]
        confirm: Option<usize>,
    },
    /// Make a lost catalogue anew, from the archive and the chain; the relay must not run
    Rebuild {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
    },
    /// Have a store that is lost begun anew at the next start; what is lost with it is in the README
    Renew {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The store
        store: StoreName,
    },
    /// List files that are kept and contradict an instance: the same SOP Instance UID, and other bytes
    Contradictions {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
    },
    /// Give out a pickup: the code with which a patient takes hold of the studies of a visit
    #[command(group(ArgGroup::new("visit").required(true)))]
    Pickup {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// For the studies with this Accession Number
        #[command(flatten)]
        accession: Given<AccessionKind>,
        /// For the studies of the patient with this Patient ID
        #[command(flatten)]
        patient: Given<PatientKind>,
        /// For the study whose id begins like this
        #[arg(long, group = "visit")]
        study: Option<String>,
        /// The PIN to ask for
        #[command(flatten)]
        pin: Given<PinKind>,
        /// For how many hours the code is good
        #[arg(long, default_value_t = 72, value_parser = clap::value_parser!(u32).range(1..=720))]
        hours: u32,
        /// The picture to write the code into; it holds the ticket, so give it to nobody but the patient
        #[arg(long)]
        png: Option<PathBuf>,
    },
    /// List the pickups that were given out, and how they stand
    Pickups {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
    },
    /// Tell why somebody was refused, by the reference they were told
    Explain {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The reference: 16 hexadecimal digits
        reference: String,
    },
    /// List who opened which study and who was refused, and verify the receipts of it: signatures, chains, anchors
    Audit {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The study: how its id begins; all without it
        #[arg(long)]
        study: Option<String>,
        /// List from this day on: 2016-01-31
        #[arg(long, value_name = "DAY")]
        since: Option<String>,
    },
    /// Tell how the relay is
    Status {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
    },
    /// Tell who decides the next block
    Validators {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
    },
    /// Tell what each hospital did in an epoch: what those who pay for the network are shown
    Report {
        /// The relay's folder
        #[arg(long)]
        dir: PathBuf,
        /// The epoch; the last one that is over without it
        #[arg(long)]
        epoch: Option<u64>,
        /// The file to write the proof into: the record, its place in the state, and a header that the hospitals signed
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
    },
    /// Tell the whole story with four hospitals on this machine, and measure it
    Demo {
        /// A folder with DICOM files to take in, any files; a small made study without one
        #[arg(long)]
        dicom: Option<PathBuf>,
        /// Leave everything in this new folder; nothing is left without it
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
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
    /// Not all is as it should be, or as was asked. What was found is the answer all the same.
    #[error("{sentence}")]
    Found {
        /// A word for programs.
        code: &'static str,
        /// What it comes to.
        sentence: String,
        /// What was found.
        answer: Box<Answer>,
    },
    /// See [`PrivateError`].
    #[error(transparent)]
    Private(#[from] PrivateError),
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
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A store that is there and cannot be used.
    #[error("{path} cannot be opened")]
    Unopened {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: Box<CommandError>,
    },
    /// See [`UpkeepError`].
    #[error("the relay cannot follow the chain")]
    Upkeep(#[from] UpkeepError),
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// See [`IngestError`].
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// See [`ReceptionError`].
    #[error(transparent)]
    Reception(#[from] ReceptionError),
    /// The processes that read files cannot be started.
    #[error("this program cannot be found any more, which is to be started again to read files")]
    Workers(#[source] std::io::Error),
    /// See [`DeskError`].
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// See [`StandingError`].
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// See [`UnknownReference`].
    #[error(transparent)]
    Explain(#[from] UnknownReference),
    /// See [`AuditError`].
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// See [`ReportError`].
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A proof that could not be written.
    #[error("{path} could not be written")]
    Proof {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// See [`SubmitError`].
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// See [`PictureError`].
    #[error(transparent)]
    Draw(#[from] PictureError),
    /// See [`GivenError`].
    #[error(transparent)]
    Given(#[from] GivenError),
    /// A name that something has.
    #[error("{path} cannot be written; no pickup was given out")]
    Taken {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A picture that could not be written.
    #[error("{path} could not be written; the pickup was given out all the same, and a new one voids it")]
    Picture {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
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
    /// See [`ClientError`].
    #[error(transparent)]
    Client(#[from] ClientError),
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
    /// See [`DemoError`].
    #[error(transparent)]
    Demo(#[from] DemoError),
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

impl CommandError {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Home(HomeError::Exists(_)) => "exists",
            Self::Home(HomeError::NoNetwork(_)) | Self::OtherNetwork => "network",
            Self::Home(_) => "home",
            Self::Keys(_) => "keys",
            Self::Made(_) => "store",
            Self::Found { code, .. } => code,
            Self::Private(_) => "permissions",
            Self::NetworkFile(NetworkFileError::Exists(_)) => "exists",
            Self::NetworkFile(_) => "file",
            Self::Name { .. } => "name",
            Self::Candidate(_) => "candidate",
            Self::Genesis(_) | Self::SourceTwice | Self::TooManySources(_) => "genesis",
            Self::Store(StoreError::InUse) | Self::Control(ControlError::Running) => "running",
            Self::Store(_) | Self::Service(_) | Self::Keeper(_) | Self::Unopened { .. } | Self::Upkeep(_) => "store",
            Self::Archive(_) => "archive",
            Self::Ingest(IngestError::WhichStudy { .. } | IngestError::Attach { .. }) => "report",
            Self::Ingest(_) | Self::Folder { .. } => "folder",
            Self::Desk(DeskError::Archive(_) | DeskError::Quarantine(_) | DeskError::Kos(_)) => "archive",
            Self::Desk(_) => "pickup",
            Self::Standing(StandingError::Desk(DeskError::Service(_) | DeskError::Archive(_))) => "archive",
            Self::Standing(StandingError::Desk(_) | StandingError::NotOnLedger) => "study",
            Self::Standing(StandingError::NotFinal) => "not_final",
            Self::Standing(_) => "rejected",
            Self::Reception(_) => "intake",
            Self::Explain(_) => "reference",
            Self::Report(ReportError::NoRecord { .. } | ReportError::NoBlock) => "epoch",
            Self::Audit(AuditError::Day) => "day",
            Self::Audit(AuditError::NoStudy(_)) => "study",
            Self::Report(_) | Self::Audit(_) => "store",
            Self::Submit(_) => "rejected",
            Self::Given(_) => "given",
            Self::Picture { .. } | Self::Taken { .. } | Self::Proof { .. } | Self::Draw(_) => "file",
            Self::Endpoint { .. } | Self::Node(_) | Self::NodeStopped(_) => "network",
            // The relay's own word, as if it were not running and the command did it.
            Self::Client(ClientError::Refused { code, .. }) => code,
            Self::Client(_) => "relay",
            Self::Control(_) => "socket",
            Self::Start(_) | Self::Stopped(_) | Self::Log(_) => "consensus",
            Self::Runtime(_) | Self::Workers(_) | Self::Demo(DemoError::Runtime(_)) => "system",
            Self::Demo(DemoError::Interrupted) => "interrupted",
            Self::Demo(DemoError::Step { .. }) => "demo",
            Self::NoPort { .. } => "port",
            Self::Panicked => "defect",
        }
    }

    /// The process's exit code: see the table in `--help` of `run`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        ending::code(self)
    }

    /// What happened and why, in one sentence after another.
    #[must_use]
    pub fn sentences(&self) -> String {
        sentences(self)
    }

    /// The error as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let error = json!({ "code": self.code(), "message": self.sentences() });
        match self {
            Self::Found { answer, .. } => {
                let mut json = answer.json.clone();
                json["error"] = error;
                json
            }
            _ => json!({ "error": error }),
        }
    }

    /// What was found all the same, in lines for a person.
    #[must_use]
    pub fn found(&self) -> Option<&str> {
        match self {
            Self::Found { answer, .. } => Some(&answer.text),
            _ => None,
        }
    }
}

/// An error and what caused it, in one sentence after another.
pub(crate) fn sentences(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What a command has to say: for people and for programs.
#[derive(Debug)]
pub struct Answer {
    /// Lines for a person.
    pub text: String,
    /// The same as one JSON object.
    pub json: Value,
}

/// Says something to whoever reads the output. That nobody does any more is no reason for a relay to fall over, as `println!` would.
pub fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Does what was asked.
///
/// # Errors
/// [`CommandError`].
pub fn run(Arguments { json, command }: Arguments) -> Result<Answer, CommandError> {
    match command {
        Command::Init { dir, name, host, intake } => init::run(&dir, &name, host, intake),
        Command::Genesis { out, name, heartbeat, sources } => genesis::run(&out, &name, heartbeat, &sources),
        Command::Run { dir, network, shadow } => run::run(&dir, network.as_deref(), shadow),
        Command::Ingest { dir, folder, report } => desk::ingest(&dir, &folder, report.as_deref()),
        Command::Studies { dir } => desk::studies(&dir),
        Command::Quarantine { dir } => archive::quarantine(&dir),
        Command::Compare { dir, study, folder } => archive::compare(&dir, &study, &folder),
        Command::Completeness { dir, study } => archive::completeness(&dir, study.as_deref()),
        Command::Kos { dir, study, out } => archive::kos(&dir, &study, &out),
        Command::Close { dir, study } => archive::close(&dir, &study),
        Command::Suspend { dir, study, reason } => {
            archive::stand(&dir, &StandingRequest { study, to: NewStanding::Suspended(reason) })
        }
        Command::Resume { dir, study } => archive::stand(&dir, &StandingRequest { study, to: NewStanding::Resumed }),
        Command::Withdraw { dir, study, reason } => {
            archive::stand(&dir, &StandingRequest { study, to: NewStanding::Withdrawn(reason) })
        }
        Command::Remove { dir, study, confirm } => archive::remove(&dir, RemoveRequest { study, confirm }),
        Command::Expire { dir, before, confirm } => archive::expire(&dir, ExpireRequest { before, confirm }),
        Command::Check { dir, remove_stray, confirm } => archive::check(&dir, CheckRequest { remove_stray, confirm }),
        Command::Rebuild { dir } => stores::rebuild(&dir),
        Command::Renew { dir, store } => stores::renew(&dir, store),
        Command::Contradictions { dir } => archive::contradictions(&dir),
        Command::Pickup { dir, accession, patient, study, pin, hours, png } => {
            let text = |given: Zeroizing<String>| given.to_string();
            let accession = accession.get()?.map(text).map(VisitRequest::Accession);
            let visit = match accession {
                Some(visit) => Some(visit),
                None => patient.get()?.map(text).map(VisitRequest::Patient),
            };
            let visit = visit.or(study.map(VisitRequest::Study)).expect("the arguments name one visit");
            desk::pickup(&dir, &PickupRequest { visit, pin: pin.get()?.map(text), hours }, png.as_deref())
        }
        Command::Pickups { dir } => desk::pickups(&dir),
        Command::Explain { dir, reference } => inspect::explain(&dir, &reference),
        Command::Audit { dir, study, since } => inspect::audit(&dir, &AuditRequest { study, since }),
        Command::Status { dir } => inspect::status(&dir),
        Command::Validators { dir } => inspect::validators(&dir),
        Command::Report { dir, epoch, proof } => inspect::report(&dir, epoch, proof.as_deref()),
        Command::Demo { dicom, keep } => Ok(demo::run(dicom.as_deref(), keep.as_deref(), json, now)?),
    }
}

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

/// The clock: read here, at the edge, and passed in everywhere else.
fn now() -> LocalTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line is the edge: it reads the clock and passes time in"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LocalTime(Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}
