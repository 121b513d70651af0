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

use std::fs;
use std::io::{self, ErrorKind};
use std::panic::Location;
use std::path::Path;

use clavicle_ledger::encoding::{self, DecodeError, Wire};
use redb::{Database, WriteTransaction};

use crate::made::StoreName;
use crate::replace;

/// Why the store failed. Never a statement about a block, a transaction or a peer: the relay stops, or is told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database or the disk under it.
    #[error("{}", database_sentence(*.store, .error))]
    Database {
        /// Which store, where that is known.
        store: Option<StoreName>,
        /// What is wrong with it.
        error: Box<redb::Error>,
    },
    /// No room.
    #[error("the disk is full, and nothing more was written: make room on it")]
    DiskFull(#[source] io::Error),
    /// Another process has it.
    #[error("another process has the store open: the relay is running already, or a command is at work in its folder")]
    InUse,
    /// A value that is not what was written.
    #[error("{} is damaged at {what}{}: {}", file(*.store), .error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default(), way_out(*.store))]
    Damaged {
        /// Which store, where that is known.
        store: Option<StoreName>,
        /// Where in it.
        what: &'static str,
        /// What is wrong with it, where that is known.
        error: Option<DecodeError>,
    },
    /// Another network's.
    #[error("the store is of another network than the one in the network file")]
    OtherNetwork,
}

/// Which store it was is told by where in the code it failed: each has a file of its own there. So no call has to say it, and none says it wrong.
impl<E: Into<redb::Error>> From<E> for StoreError {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::at(Location::caller(), error.into())
    }
}

impl StoreError {
    /// A value in the caller's store that is not what was written.
    #[track_caller]
    pub(crate) fn damaged(what: &'static str, error: Option<DecodeError>) -> Self {
        Self::Damaged { store: store_at(Location::caller()), what, error }
    }

    /// The same in another store than the caller's.
    pub(crate) const fn damaged_in(store: StoreName, what: &'static str, error: Option<DecodeError>) -> Self {
        Self::Damaged { store: Some(store), what, error }
    }

    fn at(place: &Location<'_>, error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Io(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                Self::DiskFull(error)
            }
            error => Self::Database { store: store_at(place), error: Box::new(error) },
        }
    }
}

/// The store that a place in the code reads and writes. What is outside of `store/` and `archive/` reads rows of the chain.
fn store_at(place: &Location<'_>) -> Option<StoreName> {
    let (_, path) = place.file().rsplit_once("src/")?;
    let Some(path) = path.strip_prefix("store/") else {
        return Some(if path.starts_with("archive/") { StoreName::Catalogue } else { StoreName::Chain });
    };
    match path.split(['/', '.']).next()? {
        "chain" | "holders" | "journal" => Some(StoreName::Chain),
        "mailboxes" => Some(StoreName::Mailboxes),
        "notices" => Some(StoreName::Notices),
        "pickups" => Some(StoreName::Pickups),
        "proposals" => Some(StoreName::Proposals),
        "receipts" => Some(StoreName::Receipts),
        "seen" => Some(StoreName::Seen),
        _ => None,
    }
}

/// A store by its file's name.
fn file(store: Option<StoreName>) -> String {
    store.map_or_else(|| "a store".to_owned(), |store| store.file().display().to_string())
}

/// What to do about a damaged store.
fn way_out(store: Option<StoreName>) -> String {
    store.map_or_else(
        || "put it back from a backup".to_owned(),
        |store| format!("stop the relay and move it away. {}", store.way_out()),
    )
}

fn database_sentence(store: Option<StoreName>, error: &redb::Error) -> String {
    let is_damage = match error {
        redb::Error::Io(error) => matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
        redb::Error::PreviousIo => false,
        _ => true,
    };
    let file = file(store);
    if is_damage {
        format!("{file} is damaged ({error}): {}", way_out(store))
    } else {
        format!("{file} could not be read or written ({error})")
    }
}

/// The memory that a store may use for its cache. redb's own default is a gibibyte.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// The memory that a small store may use for its cache.
const SMALL_CACHE_BYTES: usize = 2 * 1024 * 1024;

/// Opens a database at `path`, or makes it. redb writes its mark last, and opens nothing that has content and no mark:
/// a new one gets its name when it is whole, so that whoever is killed meanwhile can begin anew.
pub(crate) fn database(path: &Path, cache_bytes: usize) -> Result<Database, redb::Error> {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    if !path.try_exists().map_err(redb::Error::Io)? {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(redb::Error::Io(error)),
            Ok(()) | Err(_) => {}
        }
        drop(builder.create(&beside)?);
        replace::rename(Path::new(&beside), path).map_err(redb::Error::Io)?;
    }
    Ok(builder.create(path)?)
}

/// Opens a small store at `path`, or makes it, with the tables that `tables` opens.
#[track_caller]
fn open_small(
    path: &Path,
    tables: impl FnOnce(&WriteTransaction) -> Result<(), redb::TableError>,
) -> Result<Database, StoreError> {
    let place = Location::caller();
    let opened = || -> Result<Database, redb::Error> {
        let database = database(path, SMALL_CACHE_BYTES)?;
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(true);
        // Every table is there from the start, so that reading need not know which came when.
        tables(&transaction)?;
        transaction.commit()?;
        Ok(database)
    };
    opened().map_err(|error| StoreError::at(place, error))
}

/// A transaction whose commit is on the disk when it returns, and after which opening again is quick.
#[track_caller]
fn begin_write(database: &Database) -> Result<WriteTransaction, StoreError> {
    let place = Location::caller();
    let mut transaction = database.begin_write().map_err(|error| StoreError::at(place, error.into()))?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Reads a row, or says that the store is damaged.
#[track_caller]
fn read_row<T: Wire>(bytes: &[u8]) -> Result<T, StoreError> {
    let store = store_at(Location::caller());
    encoding::decode(bytes).map_err(|error| StoreError::Damaged { store, what: T::NAME, error: Some(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_killed_while_making_a_store_makes_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("seen.redb"), folder.path().join("seen.redb.part"));
        // As redb leaves one before its mark.
        fs::write(&beside, [0; 8_192]).unwrap();
        drop(seen::Seen::open(&path).unwrap());
        assert!(path.exists() && !beside.exists());
        drop(seen::Seen::open(&path).unwrap());
    }

    /// One said that "the store" was damaged, of ten.
    #[test]
    fn what_is_damaged_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("junk");
        std::fs::write(&path, [0xa5; 8_192]).unwrap();
        let said = |error: StoreError| error.to_string();
        let opened = [
            ("seen.redb", said(seen::Seen::open(&path).err().unwrap())),
            ("notices.redb", said(notices::Notices::open(&path).err().unwrap())),
            ("proposals.redb", said(ProposalStore::open(&path).err().unwrap())),
        ];
        for (file, said) in opened {
            let name = file.trim_end_matches(".redb");
            assert!(said.starts_with(&format!("{file} is damaged (")), "{said}");
            assert!(
                said.contains("move it away") && said.contains(&format!("`clavicle-relay renew {name}`")),
                "{said}"
            );
        }
        // A row; here no store is at work, and none is named.
        let row = read_row::<DecodedRow>(&[1]).unwrap_err();
        assert!(row.to_string().starts_with("a store is damaged at a row of a test ("), "{row}");
        let of = |store| said(StoreError::damaged_in(store, "a row", None));
        assert!(
            of(StoreName::Catalogue).ends_with("`clavicle-relay rebuild` makes it anew from the archive and the chain")
        );
        assert!(of(StoreName::Chain).starts_with("chain.redb is damaged at a row: stop the relay and move it away. "));
    }

    #[derive(Debug, borsh::BorshSerialize, borsh::BorshDeserialize)]
    struct DecodedRow(u64);

    impl Wire for DecodedRow {
        const NAME: &'static str = "a row of a test";
        const MAX_LEN: usize = 8;
    }
}
