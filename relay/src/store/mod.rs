//! What a relay keeps on its disk, in [redb](https://docs.rs/redb) files.
//!
//! One file for each kind of thing that must not wait for another: the chain in [`ChainStore`], blocks on their way in
//! [`ProposalStore`]. Every commit is on the
//! disk when it returns; a process killed at any instant finds the last commit, whole.

mod chain;
mod proposals;

pub use self::chain::{ChainStore, CommitError, Snapshot};
pub use self::proposals::ProposalStore;

use clavicle_ledger::encoding::DecodeError;

/// Why the store failed. Never a statement about a block, a transaction or a peer: the relay stops, or is told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database or the disk under it.
    #[error("the store could not be read or written")]
    Database(#[source] Box<redb::Error>),
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
            error => Self::Database(Box::new(error)),
        }
    }
}

/// The memory that a store may use for its cache. redb's own default is a gibibyte.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
