//! What can go wrong with a vault.

use std::io;
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::DecodeError;

use super::PassphraseError;

/// Why the vault could not be made, opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is a vault in the folder.
    #[error("{0} holds a vault already; nothing was changed. Open it, or choose another folder")]
    Exists(PathBuf),
    /// There is none in the folder.
    #[error("{0} holds no vault: there is no vault.age in it. Choose a wallet's folder, or make a wallet there")]
    NotThere(PathBuf),
    /// There are rows without their key.
    #[error(
        "{0} holds a vault.redb that cannot be opened without its vault.age; nothing was changed. Restore vault.age from \
         a backup; or delete vault.redb, if making a wallet there was interrupted"
    )]
    KeyLost(PathBuf),
    /// There is a key without its rows.
    #[error(
        "{0} holds a vault.age without its vault.redb: what was kept is not there. Restore vault.redb from a backup"
    )]
    RowsLost(PathBuf),
    /// A key's file of before the passphrase was changed.
    #[error(
        "the key's file in {0} is of before the passphrase was changed, and opens nothing any more; nothing was changed. Restore the whole folder \
         from one backup"
    )]
    FormerKey(PathBuf),
    /// A new one that could be guessed.
    #[error(transparent)]
    Weak(PassphraseError),
    /// Not the one that it was sealed with.
    #[error("this is not the passphrase of the vault; nothing was changed, try again")]
    WrongPassphrase,
    /// Sealed in a way that this version does not open.
    #[error("vault.age asks for more work than a wallet does; it was altered, or a newer version made it: update")]
    TooMuchWork,
    /// Something that is not what was written.
    #[error("the vault is damaged at {what}: restore it from a backup")]
    Damaged {
        /// Where.
        what: &'static str,
        /// What is wrong with it, where that is known.
        #[source]
        error: Option<DecodeError>,
    },
    /// Another process has it.
    #[error("another process has the vault open: wait for it to end, or close it")]
    InUse,
    /// Something that would not be read again.
    #[error("{what} is {len} bytes long and may be {max} at most; nothing was kept")]
    TooLong {
        /// What.
        what: &'static str,
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
    /// A file.
    #[error("{path} could not be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The database or the disk under it.
    #[error("the vault could not be read or written")]
    Database(#[source] Box<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for VaultError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            error => Self::Database(Box::new(error)),
        }
    }
}

pub(super) fn damaged_row() -> VaultError {
    VaultError::Damaged { what: "a row", error: None }
}

pub(super) fn file_error(path: &Path, error: io::Error) -> VaultError {
    VaultError::File { path: path.to_owned(), error }
}
