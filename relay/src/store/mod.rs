//! What a relay keeps on its disk, in [redb](https://docs.rs/redb) files.
//!
//! One file for each kind of thing that must not wait for another: the chain in [`ChainStore`], blocks on their way in
//! [`ProposalStore`], other people's sealed messages in [`mailboxes`], codes that the desk gave out in [`pickups`], revocations
//! on their way in [`seen`], what happened to studies in [`receipts`], who is told of
//! them in [`notices`]. Every commit is on the
//! disk when it returns, but for one that [`notices`] speaks of; a process killed at any instant finds the last commit, whole.

mod chain;
mod holders;
mod journal;
pub mod mailboxes;
pub mod notices;
pub mod pickups;
mod proposals;
pub mod receipts;
pub mod seen;

pub use self::chain::{ChainStore, CommitError, Snapshot};
pub use self::mailboxes::{MailboxError, Mailboxes};
pub use self::notices::Notices;
pub use self::pickups::{Issue, IssueError, PickupRefused, Pickups, Told, Visit};
pub use self::proposals::ProposalStore;
pub use self::receipts::{Receipts, ReceiptsError};
pub use self::seen::{Remembered, Seen, SeenError};

use std::io::{self, ErrorKind};
use std::path::Path;

use clavicle_ledger::encoding::{self, DecodeError, Wire};
use redb::{Database, WriteTransaction};

/// Why the store failed. Never a statement about a block, a transaction or a peer: the relay stops, or is told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database or the disk under it.
    #[error("the store could not be read or written")]
    Database(#[source] Box<redb::Error>),
    /// No room.
    #[error("the disk is full, and nothing more was written: make room on it")]
    DiskFull(#[source] io::Error),
    /// Another process has it.
    #[error("another process has the store open: the relay is running already, or a command is at work in its folder")]
    InUse,
    /// A value that is not what was written.
    #[error("the store is damaged at {what}: restore it from a snapshot or a backup")]
    Damaged {
        /// Where.
        what: &'static str,
        /// What is wrong with it, where that is known.
        #[source]
        error: Option<DecodeError>,
    },
    /// Another network's.
    #[error("the store is of another network than the one in the network file")]
    OtherNetwork,
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Io(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                Self::DiskFull(error)
            }
            error => Self::Database(Box::new(error)),
        }
    }
}

/// The memory that a store may use for its cache. redb's own default is a gibibyte.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// The memory that a small store may use for its cache.
const SMALL_CACHE_BYTES: usize = 2 * 1024 * 1024;

/// Opens a small store at `path`, or makes it, with the tables that `tables` opens.
fn open_small(
    path: &Path,
    tables: impl FnOnce(&WriteTransaction) -> Result<(), redb::TableError>,
) -> Result<Database, StoreError> {
    let database = Database::builder().set_cache_size(SMALL_CACHE_BYTES).create(path)?;
    let transaction = begin_write(&database)?;
    // Every table is there from the start, so that reading need not know which came when.
    tables(&transaction)?;
    transaction.commit()?;
    Ok(database)
}

/// A transaction whose commit is on the disk when it returns, and after which opening again is quick.
fn begin_write(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Reads a row, or says that the store is damaged.
fn read_row<T: Wire>(bytes: &[u8]) -> Result<T, StoreError> {
    encoding::decode(bytes).map_err(|error| StoreError::Damaged { what: T::NAME, error: Some(error) })
}
