//! Opening a relay's stores, all of them, and saying which cannot be opened and why.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clavicle_command::said::{complain, many};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::time::{Clocks, LocalTime};
use clavicle_network::file::{self as network_file, NetworkFileError};
use clavicle_sandbox::Workers;

use super::{Images, Records, Service};
use crate::answer::Refusing;
use crate::archive::{Archive, ArchiveError, LocalDisk};
use crate::checkpoints::CheckpointBook;
use crate::credentials::{Credentials, CredentialsError};
use crate::ending::{BUSY, FAILED, SYSTEM};
use crate::home::{Home, HomeError};
use crate::keys::{Keys, KeysError, desk_key};
use crate::made::{Made, MadeError, StoreName};
use crate::member::Member;
use crate::mempool::Mempool;
use crate::private::{self, PrivateError};
use crate::quarantine::Quarantine;
use crate::recoveries::Recoveries;
use crate::refusals::Refusals;
use crate::room::Room;
use crate::store::mailboxes::Limits;
use crate::store::receipts::ReceiptSigner;
use crate::store::{ChainStore, Mailboxes, Notices, Pickups, Receipts, Seen, StoreError};
use crate::submission::Submission;
use crate::timekeeper::Timekeeper;

/// Why a relay's stores cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// See [`HomeError`].
    #[error(transparent)]
    Home(#[from] HomeError),
    /// See [`PrivateError`].
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// See [`NetworkFileError`].
    #[error(transparent)]
    NetworkFile(#[from] NetworkFileError),
    /// See [`KeysError`].
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// See [`MadeError`].
    #[error(transparent)]
    Made(#[from] MadeError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A store that is there and cannot be used.
    #[error("{path} cannot be opened")]
    Unopened {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: Box<OpenError>,
    },
    /// See [`CredentialsError`].
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A folder that is none.
    #[error("{path} cannot be opened")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The processes that read files cannot be started.
    #[error("this program cannot be found any more, which is to be started again to read files")]
    Workers(#[source] std::io::Error),
    /// A relay has them.
    #[error("a relay is running in this folder already")]
    Running,
}

impl Refusing for OpenError {
    fn code(&self) -> &str {
        match self {
            Self::Home(error) => error.code(),
            Self::Private(error) => error.code(),
            Self::NetworkFile(error) => error.code(),
            Self::Keys(error) => error.code(),
            Self::Made(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Archive(error) => error.code(),
            Self::Credentials(error) => error.code(),
            Self::Unopened { .. } => "store",
            Self::Folder { .. } => "folder",
            Self::Workers(_) => "system",
            Self::Running => "running",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Home(error) => error.exit_code(),
            Self::Private(error) => error.exit_code(),
            Self::NetworkFile(error) => error.exit_code(),
            Self::Keys(error) => error.exit_code(),
            Self::Made(error) => error.exit_code(),
            Self::Store(error) => error.exit_code(),
            Self::Archive(error) => error.exit_code(),
            Self::Credentials(error) => error.exit_code(),
            Self::Unopened { error, .. } => error.exit_code(),
            Self::Folder { .. } => FAILED,
            Self::Workers(_) => SYSTEM,
            Self::Running => BUSY,
        }
    }
}

/// Opens a store. Whatever is wrong with it is said with its path; also when what reads it falls over, as over a file that is none.
pub(crate) fn opened<T, E: Into<OpenError>>(
    path: PathBuf,
    open: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, OpenError> {
    let opened = catch_unwind(AssertUnwindSafe(|| open(&path).map_err(Into::into)));
    let damaged = |_| Err(StoreError::Damaged { store: None, what: "its file", error: None }.into());
    match opened.unwrap_or_else(damaged) {
        Err(error) if !matches!(error, OpenError::Store(StoreError::InUse)) => {
            Err(OpenError::Unopened { path, error: Box::new(error) })
        }
        opened => opened,
    }
}

/// How what is outside is read: time, which the edge of the program reads.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// The clock.
    pub now: fn() -> LocalTime,
    /// All clocks, as one.
    pub clocks: fn() -> Clocks,
}

/// A relay's service over the stores in its folder.
///
/// # Errors
/// [`OpenError`].
pub fn open(home: &Home, edge: Edge) -> Result<Service, OpenError> {
    let settings = home.settings()?;
    for path in private::tighten(home)? {
        complain(&format!("note: others on this machine could read {}; they cannot any more", path.display()));
    }
    let genesis = network_file::read_genesis(&home.joined()?)?;
    let keys = Keys::read(&home.keys_folder())?;
    let desk_key = desk_key(&home.keys_folder())?;
    let mut made = Made::open(home, &keys.operational, (edge.now)()).map_err(|error| match error {
        MadeError::Busy => StoreError::InUse.into(),
        error => OpenError::from(error),
    })?;
    made.begin(home, &StoreName::SERVICE, (edge.now)())?;
    let chain = genesis.chain_id();
    let source = SourceId::of_identity(&chain, &keys.identity.public());
    let store = Arc::new(opened(home.chain_file(), |path| ChainStore::open(path, &genesis))?);
    let signer = ReceiptSigner { chain, source, key: keys.operational.clone() };
    let receipts = Arc::new(opened(home.receipts_file(), |path| Receipts::open(path, signer))?);
    let timekeeper = Arc::new(Timekeeper::new(edge.clocks));
    let member = Arc::new(Member {
        home: home.clone(),
        name: settings.name,
        source,
        operational: keys.operational,
        genesis: Arc::new(genesis),
        chain,
        checkpoints: Arc::new(CheckpointBook::open(&home.keys_folder())?),
    });
    let submission = Submission {
        member: Arc::clone(&member),
        receipts: Arc::clone(&receipts),
        store: Arc::clone(&store),
        mempool: Arc::new(Mempool::new()),
        seen: Arc::new(opened(home.seen_file(), Seen::open)?),
        clock: edge.now,
        timekeeper: Arc::clone(&timekeeper),
        running: OnceLock::new(),
    };
    let limits = Limits { effort: u64::from(settings.mailboxes.effort), ..Limits::default() };
    // The archive may be on a disk of its own.
    let room = Room::at(home.folder(), &settings.disk);
    let images = Room::at(&home.archive_folder(), &settings.disk);
    let archive = opened(home.catalogue_file(), |path| {
        let folder = home.archive_folder();
        let disk = LocalDisk::open(&folder).map_err(|error| ArchiveError::File { path: folder.clone(), error })?;
        Archive::over(Box::new(disk.within(images)), &folder, path, chain)
    })?;
    if archive.listed_anew() > 0 {
        complain(&format!(
            "note: the catalogue was of an earlier version; its {} listed anew",
            many(archive.listed_anew(), "study was", "studies were")
        ));
    }
    let images = Images {
        archive: Arc::new(archive),
        reader: Arc::new(Workers::of_this_program().map_err(OpenError::Workers)?),
        taking: Arc::default(),
        quarantine: Arc::new(
            Quarantine::open(&home.quarantine_folder(), settings.disk.quarantine())
                .map_err(|error| OpenError::Folder { path: home.quarantine_folder(), error })?,
        ),
        disk: settings.disk,
        room,
    };
    let records = Records {
        pickups: Arc::new(opened(home.pickups_file(), |path| Pickups::open(path, desk_key))?),
        mailboxes: Arc::new(opened(home.mailboxes_file(), |path| Mailboxes::open(path, limits))?),
        receipts,
        settings: settings.receipts,
        notices: Arc::new(opened(home.notices_file(), Notices::open)?),
        refusals: Arc::new(
            Refusals::open(&home.refusals_file())
                .map_err(|error| OpenError::Folder { path: home.refusals_file(), error })?,
        ),
        recoveries: Arc::new(Recoveries::at(home.recoveries_file())),
        credentials: Arc::new(Credentials::open(&home.credentials_file(), Arc::clone(&member), (edge.now)().0)?),
    };
    made.finish(home, &StoreName::SERVICE, (edge.now)())?;
    let submission = Arc::new(submission);
    Ok(Service { member, store, submission, images, records, clock: edge.now, timekeeper, shadow: false })
}
