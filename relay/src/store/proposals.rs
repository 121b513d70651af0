//! Blocks that are not decided yet: a block is here, on the disk, before the relay votes for it.
//!
//! The engine's own log remembers votes, not blocks. If a relay forgot a block that it voted for, it could hold a
//! certificate for something that it does not have; if it forgot its own proposal, it could make another for the same round,
//! which is an equivocation. Apart from the chain's file, so that neither waits for the other.
//!
//! ```text
//! blocks_v1      height, block id ─► block
//! rounds_v1      height, round, block id ─► proposer
//! own_v1         height, round ─► block id of this relay's own proposal
//! ```

use std::path::Path;

use clavicle_ledger::id::{BlockId, SourceId};
use clavicle_ledger::time::Height;
use redb::{Database, ReadableDatabase as _, TableDefinition};

use super::{CACHE_BYTES, StoreError};

const BLOCKS: TableDefinition<'_, (u64, &[u8; 32]), &[u8]> = TableDefinition::new("blocks_v1");
const ROUNDS: TableDefinition<'_, (u64, u32, &[u8; 32]), &[u8; 32]> = TableDefinition::new("rounds_v1");
const OWN: TableDefinition<'_, (u64, u32), &[u8; 32]> = TableDefinition::new("own_v1");

/// Blocks on the disk that are not decided yet.
#[derive(Debug)]
pub struct ProposalStore {
    database: Database,
}

impl ProposalStore {
    /// Opens the store at `path`, or makes it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = super::database(path, CACHE_BYTES / 4)?;
        let transaction = database.begin_write()?;
        transaction.open_table(BLOCKS)?;
        transaction.open_table(ROUNDS)?;
        transaction.open_table(OWN)?;
        transaction.commit()?;
        Ok(Self { database })
    }

    /// Keeps a block for a round; as this relay's own proposal for it, if `own`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep(
        &self,
        (height, round): (Height, u32),
        id: BlockId,
        proposer: SourceId,
        bytes: &[u8],
        own: bool,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.open_table(BLOCKS)?.insert((height, id.as_bytes()), bytes)?;
        transaction.open_table(ROUNDS)?.insert((height, round, id.as_bytes()), proposer.as_bytes())?;
        if own {
            transaction.open_table(OWN)?.insert((height, round), id.as_bytes())?;
        }
        Ok(transaction.commit()?)
    }

    /// This relay's own proposal for a round, if it made one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn own(&self, height: Height, round: u32) -> Result<Option<BlockId>, StoreError> {
        let table = self.database.begin_read()?.open_table(OWN)?;
        Ok(table.get((height, round))?.map(|id| BlockId::from_bytes(*id.value())))
    }

    /// A kept block's encoding.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn block(&self, height: Height, id: BlockId) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.database.begin_read()?.open_table(BLOCKS)?;
        Ok(table.get((height, id.as_bytes()))?.map(|bytes| bytes.value().to_vec()))
    }

    /// The blocks kept for a height: id, round, proposer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn at(&self, height: Height) -> Result<Vec<(BlockId, u32, SourceId)>, StoreError> {
        let table = self.database.begin_read()?.open_table(ROUNDS)?;
        let rounds = table.range((height, 0, &[0; 32])..=(height, u32::MAX, &[0xff; 32]))?;
        let entry =
            |entry: Result<(redb::AccessGuard<'_, _>, redb::AccessGuard<'_, &[u8; 32]>), redb::StorageError>| {
                let (key, proposer) = entry?;
                let (_, round, id): (u64, u32, &[u8; 32]) = key.value();
                Ok((BlockId::from_bytes(*id), round, SourceId::from_bytes(*proposer.value())))
            };
        rounds.map(entry).collect()
    }

    /// Forgets everything up to and including `height`, which is decided.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&self, height: Height) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(BLOCKS)?.retain(|(of, _), _| of > height)?;
        transaction.open_table(ROUNDS)?.retain(|(of, _, _), _| of > height)?;
        transaction.open_table(OWN)?.retain(|(of, _), _| of > height)?;
        Ok(transaction.commit()?)
    }
}
