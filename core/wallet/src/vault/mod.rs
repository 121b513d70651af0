//! The vault: what a wallet keeps, sealed.
//!
//! ```text
//! vault.age      32 random bytes, the data key, sealed by a passphrase (age, scrypt); another key store has another file
//! vault.redb
//!   rows_v1      row name (32) ─► nonce (24) ‖ XChaCha20-Poly1305 of kind, id and value
//!   key_v1       () ─► BLAKE3 of the key's file that is in force (32), once it was changed
//!   also_v1      name of another key's file ─► BLAKE3 of it (32): a second way in, beside that
//! ```
//!
//! A row's name is a keyed hash of its kind and id, so that the file tells how many rows there are and how long each is, and
//! nothing else. The name is bound into the row's encryption, so that rows cannot be swapped. Whoever can write
//! the file can still put an older state of it back, or take rows away; this is not noticed here.
//!
//! When the passphrase is changed there is a new data key, too: its file is written beside, then every row anew in one
//! commit that also says which file is in force, and then the file takes the place of the former. Whoever opens a vault
//! in between finishes that, or takes it back: one passphrase opens it, and never none. With the former one nothing
//! opens any more, whatever copy of its file there is. (What a disk has not written over yet is another matter, and a
//! copy of the whole folder opens as ever.)
//!
//! Every commit is on the disk when it returns; a process killed at any instant finds the last commit, whole.
//!
//! Opening takes half a second and 128 MiB on purpose. Call it where waiting is allowed.

mod error;
mod key;
mod keystore;
mod passphrase;

pub use self::error::VaultError;
pub use self::keystore::{DeviceSecret, KeyStore, VaultKey};
pub use self::passphrase::{Passphrase, PassphraseError};

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::{self, Wire};
use redb::{Builder, Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};
use tracing::debug;

use self::error::{damaged_row, file_error};
use self::key::{DataKey, PlainRow, RowName};
use crate::system::{make_folder, make_private, owners, sync_names};

const ROWS: TableDefinition<'_, &RowName, &[u8]> = TableDefinition::new("rows_v1");
const IN_FORCE: TableDefinition<'_, (), &[u8; 32]> = TableDefinition::new("key_v1");
const ALSO: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("also_v1");
/// The memory that the vault may use for its cache.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// The longest `vault.age` that is read, in bytes. It is some 200 bytes long.
const MAX_KEY_FILE_LEN: u64 = 4 * 1024;
/// The longest id of a row, in bytes.
pub const MAX_ID_LEN: usize = 256;

/// A type that has rows in the vault.
pub trait Row: Wire {
    /// What tells its rows from those of other types: a word, for ever the same.
    const KIND: &'static str;
}

/// What a wallet keeps, open. One process at a time has it.
pub struct Vault {
    folder: PathBuf,
    key: DataKey,
    database: Database,
}

impl Vault {
    /// Makes an empty vault in `folder`, which is made too if it is not there.
    ///
    /// The key's file comes last and at once, so that there is a vault or there is none. What an interrupted attempt left behind
    /// is taken over.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn create(folder: &Path, keys: &dyn KeyStore) -> Result<Self, VaultError> {
        keys.check_new()?;
        let (key_file, rows_file) = (folder.join(keys.file_name()), folder.join("vault.redb"));
        make_folder(folder).map_err(|error| file_error(folder, error))?;
        if key_file.exists() {
            return Err(VaultError::Exists(folder.to_owned()));
        }
        let fresh = !rows_file.exists();
        let file = owners(OpenOptions::new().read(true).write(true).create(true)).open(&rows_file);
        let file = file.and_then(begun_anew).map_err(|error| file_error(&rows_file, error))?;
        let database = Builder::new().set_cache_size(CACHE_BYTES).create_file(file);
        let database = database.map_err(VaultError::from).map_err(|error| match error {
            VaultError::Database(_) if !fresh => VaultError::KeyLost(folder.to_owned()),
            error => error,
        })?;
        // Only now that no other process has the rows is it certain that none of them makes the key.
        if key_file.exists() {
            return Err(VaultError::Exists(folder.to_owned()));
        }
        let transaction = database.begin_write()?;
        let empty = transaction.open_table(ROWS)?.is_empty()?;
        transaction.commit()?;
        if !empty {
            return Err(VaultError::KeyLost(folder.to_owned()));
        }
        let (key, sealed) = DataKey::create(keys)?;
        write_at_once(folder, &key_file, &sealed).map_err(|error| file_error(&key_file, error))?;
        Ok(Self { folder: folder.to_owned(), key, database })
    }

    /// Opens the vault in `folder`.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn open(folder: &Path, keys: &dyn KeyStore) -> Result<Self, VaultError> {
        let (key_file, rows_file) = (folder.join(keys.file_name()), folder.join("vault.redb"));
        // A change to another key store may have broken off before the file had its name.
        if !key_file.exists() && !beside(&key_file, ".next").exists() {
            return Err(VaultError::NotThere(folder.to_owned()));
        }
        if !rows_file.exists() {
            return Err(VaultError::RowsLost(folder.to_owned()));
        }
        make_private(folder).map_err(|error| file_error(folder, error))?;
        // Before the key, so that nobody waits for an answer that does not matter.
        let database = Builder::new().set_cache_size(CACHE_BYTES).open(&rows_file)?;
        let in_force = in_force(&database)?;
        settle_change(folder, &key_file, in_force).map_err(|error| file_error(&key_file, error))?;
        let sealed = read_key_file(&key_file)?;
        if in_force.is_some_and(|in_force| in_force != hash(&sealed))
            && also(&database, keys.file_name())? != Some(hash(&sealed))
        {
            return Err(VaultError::FormerKey(folder.to_owned()));
        }
        let key = DataKey::open(&sealed, keys)?;
        Ok(Self { folder: folder.to_owned(), key, database })
    }

    /// Makes a second way in: from here on these keys open it, too, until what opens it is changed. Killed at any instant, they do or they do not, and
    /// what opened it first opens it as ever.
    ///
    /// # Errors
    /// [`VaultError`]; [`VaultError::Exists`] where these keys' file is the one that it was made with.
    pub fn add_keys(&self, keys: &dyn KeyStore) -> Result<(), VaultError> {
        let key_file = self.folder.join(keys.file_name());
        if key_file.exists() {
            let there = hash(&read_key_file(&key_file)?);
            let is_first = match in_force(&self.database)? {
                Some(in_force) => in_force == there,
                None => also(&self.database, keys.file_name())?.is_none(),
            };
            if is_first {
                return Err(VaultError::Exists(self.folder.clone()));
            }
        }
        let sealed = self.key.sealed_by(keys)?;
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.open_table(ALSO)?.insert(keys.file_name(), &hash(&sealed))?;
        transaction.commit()?;
        write_at_once(&self.folder, &key_file, &sealed).map_err(|error| file_error(&key_file, error))
    }

    /// Changes what opens the vault in `folder`: from here on the new opens it, and the former does not. Killed at any
    /// instant, one of the two does.
    ///
    /// # Errors
    /// [`VaultError`]; then the former opens it.
    pub fn change_keys(folder: &Path, former: &dyn KeyStore, new: &dyn KeyStore) -> Result<(), VaultError> {
        new.check_new()?;
        let mut vault = Self::open(folder, former)?;
        let key_file = folder.join(new.file_name());
        let (key, sealed) = DataKey::create(new)?;
        let next = beside(&key_file, ".next");
        write_at_once(folder, &next, &sealed).map_err(|error| file_error(&next, error))?;
        let mut transaction = vault.database.begin_write()?;
        transaction.set_quick_repair(true);
        {
            let mut rows = transaction.open_table(ROWS)?;
            let mut anew = Vec::new();
            for entry in rows.iter()? {
                let (name, stored) = entry?;
                let row = vault.key.decrypt(name.value(), stored.value()).ok_or_else(damaged_row)?;
                let (kind, id, _) = row.parts().ok_or_else(damaged_row)?;
                let kind = std::str::from_utf8(kind).map_err(|_| damaged_row())?;
                let name = key.name(kind, id);
                anew.push((name, key.encrypt(&name, &row)?));
            }
            rows.retain(|_, _| false)?;
            for (name, stored) in &anew {
                rows.insert(name, stored.as_slice())?;
            }
            transaction.open_table(IN_FORCE)?.insert((), &hash(&sealed))?;
            // What else opened it opens nothing any more.
            transaction.delete_table(ALSO)?;
        }
        transaction.commit()?;
        // Whoever opens it next would do the same.
        settle_change(folder, &key_file, Some(hash(&sealed))).map_err(|error| file_error(&key_file, error))?;
        if former.file_name() != new.file_name() {
            let former = folder.join(former.file_name());
            fs::remove_file(&former).map_err(|error| file_error(&former, error))?;
        }
        // So that less is left in the file of what the former key opens. It is no failure if it cannot be.
        if let Err(error) = vault.database.compact() {
            debug!(%error, "the vault's file was not made smaller");
        }
        Ok(())
    }

    /// Whether these keys open this vault: asked again before something that not everybody who finds it open may do.
    ///
    /// # Errors
    /// [`VaultError`]: above all that they do not.
    pub fn prove(&self, keys: &dyn KeyStore) -> Result<(), VaultError> {
        let key = DataKey::open(&read_key_file(&self.folder.join(keys.file_name()))?, keys)?;
        if key.is(&self.key) { Ok(()) } else { Err(VaultError::FormerKey(self.folder.clone())) }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The row of this kind with this id.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn get<T: Row>(&self, id: &[u8]) -> Result<Option<T>, VaultError> {
        get(&self.key, &self.database.begin_read()?.open_table(ROWS)?, id)
    }

    /// Every row of this kind with its id, in the order of the ids. Looks at every row of the vault.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn all<T: Row>(&self) -> Result<Vec<(Vec<u8>, T)>, VaultError> {
        let mut all = Vec::new();
        for entry in self.database.begin_read()?.open_table(ROWS)?.iter()? {
            let (name, stored) = entry?;
            let row = self.key.decrypt(name.value(), stored.value()).ok_or_else(damaged_row)?;
            let (kind, id, value) = row.parts().ok_or_else(damaged_row)?;
            if kind == T::KIND.as_bytes() {
                all.push((id.to_vec(), decode(value)?));
            }
        }
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(all)
    }

    /// Does what `change` does, in one commit; nothing of it if `change` fails.
    ///
    /// Waits for other changes in this process. A change inside a change would wait for ever.
    ///
    /// # Errors
    /// [`VaultError`], or what `change` returned.
    pub fn write<T>(&self, change: impl FnOnce(&mut Batch<'_>) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let mut transaction = self.database.begin_write()?;
        // So that opening after a kill need not look at the whole file.
        transaction.set_quick_repair(true);
        let result = change(&mut Batch { key: &self.key, rows: transaction.open_table(ROWS)? })?;
        transaction.commit()?;
        Ok(result)
    }

    /// Keeps a row, in place of the one of its kind with its id.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn put<T: Row>(&self, id: &[u8], row: &T) -> Result<(), VaultError> {
        self.write(|batch| batch.put(id, row))
    }

    /// Forgets a row; says whether there was one. Its encrypted bytes stay in the file until others take their place.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn remove<T: Row>(&self, id: &[u8]) -> Result<bool, VaultError> {
        self.write(|batch| batch.remove::<T>(id))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

/// Changes that come into force together: see [`Vault::write`].
pub struct Batch<'a> {
    key: &'a DataKey,
    rows: redb::Table<'a, &'static RowName, &'static [u8]>,
}

impl Batch<'_> {
    /// The row of this kind with this id, as this batch has left it.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn get<T: Row>(&self, id: &[u8]) -> Result<Option<T>, VaultError> {
        get(self.key, &self.rows, id)
    }

    /// Keeps a row, in place of the one of its kind with its id.
    ///
    /// # Errors
    /// [`VaultError`]; [`VaultError::TooLong`] for what would not be read again.
    pub fn put<T: Row>(&mut self, id: &[u8], row: &T) -> Result<(), VaultError> {
        let len = borsh::object_length(row).expect("no type of ours refuses to be written");
        for (what, len, max) in [("the id of a row", id.len(), MAX_ID_LEN), (T::NAME, len, T::MAX_LEN)] {
            if len > max {
                return Err(VaultError::TooLong { what, len, max });
            }
        }
        let row = PlainRow::new(T::KIND, id, len, |bytes| {
            row.serialize(bytes).expect("writing to memory succeeds, and no type of ours refuses to be written");
        });
        let name = self.key.name(T::KIND, id);
        self.rows.insert(&name, self.key.encrypt(&name, &row)?.as_slice())?;
        Ok(())
    }

    /// Forgets a row; says whether there was one.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn remove<T: Row>(&mut self, id: &[u8]) -> Result<bool, VaultError> {
        Ok(self.rows.remove(&self.key.name(T::KIND, id))?.is_some())
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batch(…)")
    }
}

fn get<T: Row>(
    key: &DataKey,
    rows: &impl redb::ReadableTable<&'static RowName, &'static [u8]>,
    id: &[u8],
) -> Result<Option<T>, VaultError> {
    let name = key.name(T::KIND, id);
    let Some(stored) = rows.get(&name)? else { return Ok(None) };
    let row = key.decrypt(&name, stored.value()).ok_or_else(damaged_row)?;
    match row.parts() {
        Some((kind, of, value)) if kind == T::KIND.as_bytes() && of == id => decode(value).map(Some),
        _ => Err(damaged_row()),
    }
}

fn decode<T: Row>(value: &[u8]) -> Result<T, VaultError> {
    encoding::decode(value).map_err(|error| VaultError::Damaged { what: "a row", error: Some(error) })
}

/// The file of the rows, emptied where somebody was killed while making it: redb writes its mark last, and opens
/// nothing that has content and no mark.
fn begun_anew(file: File) -> io::Result<File> {
    // Whoever has it is making it, or has made it.
    if file.try_lock().is_ok() {
        let mut mark = Vec::new();
        (&file).take(8).read_to_end(&mut mark)?;
        if mark.iter().all(|byte| *byte == 0) {
            file.set_len(0)?;
        }
        (&file).rewind()?;
        file.unlock()?;
    }
    Ok(file)
}

/// Which key's file is in force, where it was ever changed: its hash.
fn in_force(database: &Database) -> Result<Option<[u8; 32]>, VaultError> {
    match database.begin_read()?.open_table(IN_FORCE) {
        Ok(table) => Ok(table.get(())?.map(|hash| *hash.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Which file of this name is a second way in: its hash.
fn also(database: &Database, name: &str) -> Result<Option<[u8; 32]>, VaultError> {
    match database.begin_read()?.open_table(ALSO) {
        Ok(table) => Ok(table.get(name)?.map(|hash| *hash.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Finishes a change of the key that broke off after its commit, or takes one back that broke off before.
fn settle_change(folder: &Path, key_file: &Path, in_force: Option<[u8; 32]>) -> io::Result<()> {
    let next = beside(key_file, ".next");
    match fs::read(&next) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(sealed) if in_force == Some(hash(&sealed)) => fs::rename(&next, key_file)?,
        Ok(_) => fs::remove_file(&next)?,
    }
    sync_names(folder)
}

fn hash(sealed: &[u8]) -> [u8; 32] {
    *blake3::hash(sealed).as_bytes()
}

fn read_key_file(path: &Path) -> Result<Vec<u8>, VaultError> {
    let mut sealed = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_KEY_FILE_LEN).read_to_end(&mut sealed))
        .map_err(|error| file_error(path, error))?;
    Ok(sealed)
}

/// The path of a file beside another.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    PathBuf::from(beside)
}

/// Writes a file that is whole or not there.
fn write_at_once(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path, ".new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = owners(OpenOptions::new().write(true).create_new(true)).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_names(folder)
}

#[cfg(test)]
mod tests;
