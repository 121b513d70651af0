//! What each block did, in order, written in the commit of the block.
//!
//! ```text
//! journal_v1         height, number  ─► event
//! journal_begins_v1  ()              ─► the first height whose events are in it
//! ```
//!
//! It is kept as long as the blocks. A chain of an earlier version begins one when it is opened; of the blocks before that, what their
//! transactions say is all there is.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::action::NewStatus;
use clavicle_ledger::block::Block;
use clavicle_ledger::encoding::{self, Wire};
use clavicle_ledger::event::Event;
use clavicle_ledger::study::Status;
use clavicle_ledger::time::Height;
use clavicle_ledger::transaction::Action;
use redb::{Database, ReadableDatabase as _, TableDefinition, TableError, WriteTransaction};

use super::{StoreError, read_row};

const JOURNAL: TableDefinition<'_, (Height, u32), &[u8]> = TableDefinition::new("journal_v1");
const BEGINS: TableDefinition<'_, (), Height> = TableDefinition::new("journal_begins_v1");

/// An event as it is kept.
#[derive(BorshSerialize, BorshDeserialize)]
struct Kept(Event);

impl Wire for Kept {
    const NAME: &'static str = "an event";
    const MAX_LEN: usize = 256;
}

/// Whether there is one.
pub(super) fn is_begun(database: &Database) -> Result<bool, StoreError> {
    match database.begin_read()?.open_table(BEGINS) {
        Ok(_) => Ok(true),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Begins it: what happens from `height` on will be in it.
pub(super) fn begin(transaction: &WriteTransaction, height: Height) -> Result<(), StoreError> {
    transaction.open_table(BEGINS)?.insert((), height)?;
    transaction.open_table(JOURNAL)?;
    Ok(())
}

/// Writes down what a block did.
pub(super) fn write(transaction: &WriteTransaction, height: Height, events: &[Event]) -> Result<(), StoreError> {
    let mut journal = transaction.open_table(JOURNAL)?;
    for (number, event) in (0u32..).zip(events) {
        journal.insert((height, number), encoding::encode(&Kept(*event)).as_slice())?;
    }
    Ok(())
}

/// The first height whose events are in it.
pub(super) fn begins(database: &Database) -> Result<Height, StoreError> {
    let begins = database.begin_read()?.open_table(BEGINS)?;
    let begins = begins.get(())?.ok_or(StoreError::damaged("the journal", None))?;
    Ok(begins.value())
}

/// What blocks from `from` to `to` did, in order.
pub(super) fn read(database: &Database, from: Height, to: Height) -> Result<Vec<(Height, Event)>, StoreError> {
    let journal = database.begin_read()?.open_table(JOURNAL)?;
    let entry = |entry: Result<_, redb::StorageError>| {
        let (at, event): (redb::AccessGuard<'_, (Height, u32)>, redb::AccessGuard<'_, &[u8]>) = entry?;
        let Kept(event) = read_row(event.value())?;
        Ok((at.value().0, event))
    };
    journal.range((from, 0)..=(to, u32::MAX))?.map(entry).collect()
}

/// What the transactions of a block say that it did to studies that somebody may have a copy of. When a suspension ends is not in them.
pub(super) fn said(block: &Block) -> Vec<Event> {
    let event = |action: &Action| match action {
        Action::ReviseStudy(revise) => Some(Event::StudyRevised { study: revise.study, revision: revise.revision }),
        Action::SetStatus(set) => {
            let status = match set.status {
                NewStatus::Active => Status::Active,
                NewStatus::Suspended(reason) => Status::Suspended { until: None, reason },
                NewStatus::Withdrawn(reason) => Status::Withdrawn { reason },
            };
            Some(Event::StatusSet { study: set.study, status })
        }
        _ => None,
    };
    block.envelopes.iter().filter_map(|envelope| event(&envelope.body.action)).collect()
}
