//! Files of earlier versions, in which a quick hash of each answer stood.

use std::fs;
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{self, Wire};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::pickup::Question;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};

use super::row::Row;
use super::{PICKUPS, VISITS, Visit, create, visit_hash};
use crate::replace;
use crate::store::{StoreError, begin_write, read_row};

const EARLIER: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("pickups_v1");

/// A pickup as it was kept.
#[derive(BorshSerialize, BorshDeserialize)]
struct EarlierRow {
    visit: Visit,
    question: Question,
    issued: Timestamp,
    expires: Timestamp,
    answer_key: [u8; 32],
    answer_hash: [u8; 32],
    wrong: u8,
    void: bool,
    bound: Option<Key>,
}

impl Wire for EarlierRow {
    const NAME: &'static str = "a pickup";
    const MAX_LEN: usize = Visit::MAX_LEN + 1 + 8 + 8 + 32 + 32 + 1 + 1 + 34;
}

/// Writes such a file anew beside itself, and puts that in its place: nothing that was in the old one is left in a corner of the new.
pub(super) fn rewrite(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let old = Database::create(path)?;
    let rows = match old.begin_read()?.open_table(EARLIER) {
        Ok(rows) => rows,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let beside = path.with_extension("redb.new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(redb::Error::Io(error).into()),
        Ok(()) | Err(_) => {}
    }
    let new = create(&beside)?;
    let transaction = begin_write(&new)?;
    {
        let (mut pickups, mut visits) = (transaction.open_table(PICKUPS)?, transaction.open_table(VISITS)?);
        for row in rows.iter()? {
            let (ticket, row) = row?;
            let EarlierRow { visit, question, issued, expires, answer_key: _, answer_hash: _, wrong, void, bound } =
                read_row(row.value())?;
            visits.insert((&visit_hash(&visit), ticket.value()), ())?;
            let row = Row { visit, question, issued, expires, sealed: None, wrong, void, bound };
            pickups.insert(ticket.value(), encoding::encode(&row).as_slice())?;
        }
    }
    transaction.commit()?;
    drop(new);
    replace::rename(&beside, path).map_err(|error| redb::Error::Io(error).into())
}
