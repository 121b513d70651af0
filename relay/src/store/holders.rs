//! Who holds which study, by the holder's key: what a wallet finds its studies by when all it has is its words.
//!
//! ```text
//! holders_v1  holder's key (32) ‖ study (32)  ─► ()
//! ```
//!
//! Follows from the rows, and is written with them. Nothing proves that it is complete: a wallet asks several relays, and has what they say
//! proven by the rows.

use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::state::StateKey;
use clavicle_ledger::study::Study;
use clavicle_network::message::{Holding, Prefix};
use redb::{Database, ReadableDatabase as _, Table, TableDefinition, TableError, WriteTransaction};

use super::StoreError;

const HOLDERS: TableDefinition<'_, &[u8; 64], ()> = TableDefinition::new("holders_v1");

/// The table, while rows are written.
pub(super) struct Holders<'a>(Table<'a, &'static [u8; 64], ()>);

impl<'a> Holders<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction) -> Result<Self, TableError> {
        Ok(Self(transaction.open_table(HOLDERS)?))
    }

    /// A row takes the place of another, or of none, or goes.
    pub(super) fn replace(&mut self, key: &StateKey, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<(), StoreError> {
        let StateKey::Study(study) = key else { return Ok(()) };
        let holder = |row: Option<&[u8]>| row.map(Study::holder_in).transpose();
        let damaged = |error| StoreError::damaged("a study's row", Some(error));
        let (old, new) = (holder(old).map_err(damaged)?, holder(new).map_err(damaged)?);
        if old != new {
            if let Some(old) = old {
                self.0.remove(&place(&old, study))?;
            }
            if let Some(new) = new {
                self.0.insert(&place(&new, study), ())?;
            }
        }
        Ok(())
    }
}

/// Whether there is the table: an earlier version made none.
pub(super) fn is_there(database: &Database) -> Result<bool, StoreError> {
    match database.begin_read()?.open_table(HOLDERS) {
        Ok(_) => Ok(true),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Those whose keys begin like this; none if they are more than `most`.
pub(super) fn holdings(database: &Database, prefix: &Prefix, most: usize) -> Result<Option<Vec<Holding>>, StoreError> {
    let table = database.begin_read()?.open_table(HOLDERS)?;
    let (low, high) = prefix.range();
    let (low, high) = (join(&low, &[0; 32]), join(&high, &[0xff; 32]));
    let mut found = Vec::new();
    for entry in table.range::<&[u8; 64]>(&low..=&high)? {
        if found.len() >= most {
            return Ok(None);
        }
        let place = *entry?.0.value();
        let (mut holder, mut study) = ([0; 32], [0; 32]);
        holder.copy_from_slice(&place[..32]);
        study.copy_from_slice(&place[32..]);
        found.push(Holding { holder: Key::from_bytes(holder), study: StudyId::from_bytes(study) });
    }
    Ok(Some(found))
}

fn place(holder: &Key, study: &StudyId) -> [u8; 64] {
    join(holder.as_bytes(), study.as_bytes())
}

fn join(first: &[u8; 32], second: &[u8; 32]) -> [u8; 64] {
    let mut both = [0; 64];
    both[..32].copy_from_slice(first);
    both[32..].copy_from_slice(second);
    both
}
