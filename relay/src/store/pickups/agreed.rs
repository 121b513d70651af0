//! What two of the staff agreed to give back with a code, and how far each study of it is.
//!
//! ```text
//! agreed_v1      hash of the ticket (32)                   ─► who it is, which studies, whether a wallet came, whether it is over
//! given_back_v1  hash of the ticket (32), study id (32)    ─► the steps that were taken with it, and what became of them
//! ```
//!
//! A code gives back these studies and no others, whatever has come under the Patient ID by the time it is used. A recovery code without such
//! a list is of an earlier version, and opens nothing.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::Patient;
use clavicle_ledger::encoding::{self, Ascending, Wire};
use clavicle_ledger::id::{EnvelopeHash, StudyId, TxId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_letters::pickup::Ticket;
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};

use super::row::Row;
use super::{Issue, IssueError, PICKUPS, Pickups, TicketHash};
use crate::store::{StoreError, begin_write, read_row};

pub(super) const AGREED: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("agreed_v1");
pub(super) const GIVEN_BACK: TableDefinition<'_, (&[u8; 32], &[u8; 32]), &[u8]> = TableDefinition::new("given_back_v1");

/// The most studies that are given back with one code.
pub const MAX_AGREED: usize = 1_000;
/// The most steps of one study that are taken with one code. A wallet needs two; the rest is for keys of the source that change meanwhile.
pub const MAX_STEPS: u8 = 16;

/// What two of the staff agreed to give back.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Agreed {
    /// Who the studies were about when they agreed.
    pub patient: Patient,
    /// Which.
    pub studies: Ascending<StudyId, MAX_AGREED>,
    /// Whether a wallet came with the code, and that is on record.
    pub claimed: bool,
    /// Whether nothing can come of it any more, and that is on record.
    pub ended: bool,
}

impl Wire for Agreed {
    const NAME: &'static str = "what was agreed to be given back";
    const MAX_LEN: usize = 1024 + 4 + 32 * MAX_AGREED + 2;
}

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed").field("studies", &self.studies).finish_non_exhaustive()
    }
}

/// How far a study is that is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GivenBack {
    /// How many steps of it are on record.
    pub steps: u8,
    /// The last of them.
    pub last: Option<TxId>,
    /// The last that asked.
    pub asked: Option<AskedFor>,
    /// The last that completed it, if one was to.
    pub completes: Option<EnvelopeHash>,
    /// What became of it, once that is known and on record.
    pub outcome: Option<Outcome>,
}

impl Wire for GivenBack {
    const NAME: &'static str = "a study that is given back";
    const MAX_LEN: usize = 1 + 33 + 1 + 32 + 32 + Key::MAX_LEN + 8 + 33 + 2;
}

/// A study was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AskedFor {
    /// By this transaction.
    pub transaction: TxId,
    /// In this envelope.
    pub envelope: EnvelopeHash,
    /// For this key.
    pub new_holder: Key,
    /// Until when it may come into a block.
    pub submit_by: Timestamp,
}

/// What became of a study that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Outcome {
    /// The new wallet holds it.
    Given = 0,
    /// Whoever has the key said no.
    Vetoed = 1,
    /// It was asked for after a veto: the hospitals find out whose it is.
    Frozen = 2,
    /// It changed hands otherwise, or was asked for anew.
    GaveWay = 3,
    /// It came into no block in time.
    Expired = 4,
}

impl Pickups {
    /// Gives out a ticket as [`Pickups::issue`] does, with which these studies are given back, and no others.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn give_back(
        &self,
        ticket: &Ticket,
        issue: Issue<'_>,
        agreed: &Agreed,
        now: LocalTime,
    ) -> Result<usize, IssueError> {
        self.give_out(ticket, issue, Some(agreed), now)
    }

    /// What was agreed to be given back with a ticket.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn agreed(&self, ticket: TicketHash) -> Result<Option<Agreed>, StoreError> {
        let table = self.database.begin_read()?.open_table(AGREED)?;
        let row = table.get(ticket.as_bytes())?;
        row.map(|row| read_row(row.value())).transpose()
    }

    /// Keeps that a wallet came with a ticket, or that nothing can come of it any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_agreed(&self, ticket: TicketHash, agreed: &Agreed) -> Result<(), StoreError> {
        let transaction = begin_write(&self.database)?;
        put(&transaction, ticket, agreed)?;
        Ok(transaction.commit()?)
    }

    /// What was agreed on and may come to something yet, and until when each ticket is good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn agreed_and_open(&self) -> Result<Vec<(TicketHash, Agreed, Timestamp)>, StoreError> {
        let transaction = self.database.begin_read()?;
        let (agreed, pickups) = (transaction.open_table(AGREED)?, transaction.open_table(PICKUPS)?);
        let mut open = Vec::new();
        for entry in agreed.iter()? {
            let (ticket, row) = entry?;
            let row: Agreed = read_row(row.value())?;
            let Some(pickup) = pickups.get(ticket.value())? else { continue };
            if !row.ended {
                let Row { expires, .. } = read_row(pickup.value())?;
                open.push((TicketHash::from_bytes(*ticket.value()), row, expires));
            }
        }
        Ok(open)
    }

    /// How far a study is that is given back with a ticket.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn given_back(&self, ticket: TicketHash, study: StudyId) -> Result<Option<GivenBack>, StoreError> {
        let table = self.database.begin_read()?.open_table(GIVEN_BACK)?;
        let row = table.get((ticket.as_bytes(), study.as_bytes()))?;
        row.map(|row| read_row(row.value())).transpose()
    }

    /// Keeps how far it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_given_back(&self, ticket: TicketHash, study: StudyId, row: &GivenBack) -> Result<(), StoreError> {
        let transaction = begin_write(&self.database)?;
        let row = encoding::encode(row);
        transaction.open_table(GIVEN_BACK)?.insert((ticket.as_bytes(), study.as_bytes()), row.as_slice())?;
        Ok(transaction.commit()?)
    }
}

/// Writes down what was agreed on.
pub(super) fn put(transaction: &WriteTransaction, ticket: TicketHash, agreed: &Agreed) -> Result<(), StoreError> {
    transaction.open_table(AGREED)?.insert(ticket.as_bytes(), encoding::encode(agreed).as_slice())?;
    Ok(())
}

/// Throws away what was agreed on, with all its steps.
pub(super) fn remove(transaction: &WriteTransaction, ticket: TicketHash) -> Result<(), StoreError> {
    transaction.open_table(AGREED)?.remove(ticket.as_bytes())?;
    let all = (ticket.as_bytes(), &[0; 32])..=(ticket.as_bytes(), &[0xff; 32]);
    transaction.open_table(GIVEN_BACK)?.retain_in(all, |_, _| false)?;
    Ok(())
}
