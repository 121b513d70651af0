//! The chain: the state's rows, its tree, and the blocks that led to it, each block in one commit.
//!
//! ```text
//! rows_v1          path of the row (32)       ─► length of its key (1) ‖ key ‖ row      by path, so that a part of a snapshot is one range
//! pages_v1         path of the page (33)      ─► page
//! headers_v1       height                     ─► header
//! blocks_v1        height                     ─► block
//! certificates_v1  height                     ─► commit certificate of that height
//! validators_v1    first height they decide   ─► validator set
//! evidence_v1      (height, number)           ─► an equivocation, as it was seen
//! envelopes_v1     envelope hash (32)         ─► height, place in the block
//! genesis_v1       ()                         ─► genesis
//! ```
//!
//! And who holds what, in [`super::holders`], and what each block did, in [`super::journal`].

use std::path::Path;

use clavicle_ledger::action::Evidence;
use clavicle_ledger::block::{
    Applied, Block, CheckedBlock, CommitCertificate, Header, InclusionProof, prove_inclusion,
};
use clavicle_ledger::encoding::{self, Wire};
use clavicle_ledger::event::Event;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{EnvelopeHash, StateRoot};
use clavicle_ledger::light::{CertifiedHeader, ValidatorChange};
use clavicle_ledger::snapshot::SnapshotReader;
use clavicle_ledger::state::{Changes, MemoryState, ReadRows as _, StateKey, StateReader};
use clavicle_ledger::time::Height;
use clavicle_ledger::transaction::{Envelope, Verified};
use clavicle_ledger::tree::{self, KeyHash, Page, PagePath, TreeChanges, TreeReader};
use clavicle_ledger::validators::ValidatorSet;
use clavicle_network::message::{Holding, Prefix};
use redb::{Database, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use tokio::sync::watch;

use super::holders::{self, Holders};
use super::journal;
use super::{CACHE_BYTES, StoreError};

const ROWS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("rows_v1");
const PAGES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pages_v1");
const HEADERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("headers_v1");
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks_v1");
const CERTIFICATES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("certificates_v1");
const VALIDATORS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("validators_v1");
const EVIDENCE: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("evidence_v1");
const ENVELOPES: TableDefinition<'_, &[u8; 32], (u64, u32)> = TableDefinition::new("envelopes_v1");
const GENESIS: TableDefinition<'_, (), &[u8]> = TableDefinition::new("genesis_v1");

/// The chain on disk.
#[derive(Debug)]
pub struct ChainStore {
    database: Database,
    changes: watch::Sender<u64>,
}

/// Why a block was not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not the next block.
    #[error("block {given} was to be committed; the next one is {due}")]
    Height {
        /// As given.
        given: Height,
        /// As due.
        due: Height,
    },
    /// The certificate is of another block.
    #[error("the certificate is not of the block it was given with")]
    OtherBlock,
    /// What the block does was worked out for another one.
    #[error("the changes given with the block do not lead to its state root")]
    OtherChanges,
}

impl ChainStore {
    /// Opens the chain at `path`, or begins it there from `genesis`.
    ///
    /// # Errors
    /// [`StoreError`]; also when the newest header and the state do not belong together.
    ///
    /// # Panics
    /// When [`Genesis::check`] was not heeded.
    pub fn open(path: &Path, genesis: &Genesis) -> Result<Self, StoreError> {
        let database = super::database(path, CACHE_BYTES)?;
        let store = Self { database, changes: watch::Sender::new(0) };
        if !store.is_begun(genesis)? {
            store.begin(genesis)?;
        } else if !holders::is_there(&store.database)? {
            store.find_holders()?;
        }
        if !journal::is_begun(&store.database)? {
            let (from, transaction) = (store.head()?.height.saturating_add(1), store.write()?);
            journal::begin(&transaction, from)?;
            transaction.commit()?;
        }
        let (head, root) = (store.head()?, store.snapshot()?.root()?);
        if head.state_root == root { Ok(store) } else { Err(StoreError::damaged("the state root", None)) }
    }

    fn is_begun(&self, genesis: &Genesis) -> Result<bool, StoreError> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(GENESIS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(false),
            other => other?,
        };
        let Some(stored) = table.get(())? else { return Ok(false) };
        if stored.value() == encoding::encode(genesis) { Ok(true) } else { Err(StoreError::OtherNetwork) }
    }

    fn begin(&self, genesis: &Genesis) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let (changes, first) = (genesis.state(), MemoryState::from_genesis(genesis).validators());
        let Ok(first) = first else { return Err(StoreError::damaged("the genesis", None)) };
        let Ok(update) = tree::update(&std::collections::BTreeMap::new(), &changes) else {
            return Err(StoreError::damaged("the genesis", None));
        };
        write_state(&transaction, &changes, &update)?;
        transaction.open_table(HEADERS)?.insert(0, encoding::encode(&Header::genesis(genesis)).as_slice())?;
        transaction.open_table(GENESIS)?.insert((), encoding::encode(genesis).as_slice())?;
        transaction.open_table(VALIDATORS)?.insert(1, encoding::encode(&first).as_slice())?;
        // Every table is there from the start, so that reading need not know which came when.
        transaction.open_table(BLOCKS)?;
        transaction.open_table(CERTIFICATES)?;
        transaction.open_table(ENVELOPES)?;
        transaction.open_table(EVIDENCE)?;
        journal::begin(&transaction, 1)?;
        Ok(transaction.commit()?)
    }

    /// Writes down who holds what, from the rows.
    fn find_holders(&self) -> Result<(), StoreError> {
        let transaction = self.write()?;
        {
            let (rows, mut holders) = (transaction.open_table(ROWS)?, Holders::open(&transaction)?);
            for entry in rows.range::<&[u8; 32]>(..)? {
                let (_, stored) = entry?;
                let (key, row) = read_row(stored.value())?;
                holders.replace(&key, None, Some(row))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Who holds which study, of the holders whose keys begin like this; none if they are more than `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn holdings(&self, prefix: &Prefix, most: usize) -> Result<Option<Vec<Holding>>, StoreError> {
        holders::holdings(&self.database, prefix, most)
    }

    /// A transaction whose commit is on the disk when it returns, and after which opening again is quick.
    fn write(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    /// Commits a decided block: its rows, its pages, itself and its certificate, all or nothing.
    ///
    /// # Errors
    /// [`CommitError`]; nothing is changed.
    pub fn commit(
        &self,
        block: &CheckedBlock,
        certificate: &CommitCertificate,
        applied: &Applied,
    ) -> Result<(), CommitError> {
        let header = block.header();
        let due = self.head()?.height.saturating_add(1);
        if header.height != due {
            return Err(CommitError::Height { given: header.height, due });
        }
        if certificate.block != header.id() || certificate.height != header.height {
            return Err(CommitError::OtherBlock);
        }
        if applied.tree.root != header.state_root {
            return Err(CommitError::OtherChanges);
        }
        self.write_block(block, certificate, applied)?;
        self.note();
        Ok(())
    }

    /// Changes with every block, and with everything else that may change what is consented to.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Says that what is consented to may have changed.
    pub fn note(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn write_block(
        &self,
        block: &CheckedBlock,
        certificate: &CommitCertificate,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        let height = block.header().height;
        let transaction = self.write()?;
        write_state(&transaction, &applied.executed.changes, &applied.tree)?;
        journal::write(&transaction, height, &applied.executed.events)?;
        transaction.open_table(HEADERS)?.insert(height, encoding::encode(block.header()).as_slice())?;
        transaction.open_table(BLOCKS)?.insert(height, encoding::encode(&block.to_block()).as_slice())?;
        transaction.open_table(CERTIFICATES)?.insert(height, encoding::encode(certificate).as_slice())?;
        let next = &applied.executed.next_validators;
        if *next != applied.executed.validators {
            let from = height.saturating_add(1);
            transaction.open_table(VALIDATORS)?.insert(from, encoding::encode(next).as_slice())?;
        }
        {
            let mut envelopes = transaction.open_table(ENVELOPES)?;
            for (place, hash) in (0u32..).zip(block.envelopes().iter().map(Verified::hash)) {
                envelopes.insert(hash.as_bytes(), (height, place))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// What the blocks from `from` to `to` did, in order. Of blocks from before there was a journal, what their transactions say of studies.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn events(&self, from: Height, to: Height) -> Result<Vec<(Height, Event)>, StoreError> {
        let begins = journal::begins(&self.database)?;
        let mut events = Vec::new();
        for height in from..begins.min(to.saturating_add(1)) {
            let block = self.block(height)?.map(|(block, _)| journal::said(&block));
            events.extend(block.into_iter().flatten().map(|event| (height, event)));
        }
        events.extend(journal::read(&self.database, from.max(begins), to)?);
        Ok(events)
    }

    /// The newest header.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn head(&self) -> Result<Header, StoreError> {
        let table = self.database.begin_read()?.open_table(HEADERS)?;
        let newest = table.last()?.ok_or(StoreError::damaged("the headers", None))?;
        decode("a header", newest.1.value())
    }

    /// The header at `height`, if the chain has come that far.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn header(&self, height: Height) -> Result<Option<Header>, StoreError> {
        let table = self.database.begin_read()?.open_table(HEADERS)?;
        table.get(height)?.map(|bytes| decode("a header", bytes.value())).transpose()
    }

    /// The block at `height` with the certificate that it was decided, if the chain has come that far.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn block(&self, height: Height) -> Result<Option<(Block, CommitCertificate)>, StoreError> {
        let transaction = self.database.begin_read()?;
        let (blocks, certificates) = (transaction.open_table(BLOCKS)?, transaction.open_table(CERTIFICATES)?);
        let (Some(block), Some(certificate)) = (blocks.get(height)?, certificates.get(height)?) else {
            return Ok(None);
        };
        Ok(Some((decode("a block", block.value())?, decode("a certificate", certificate.value())?)))
    }

    /// The block at `height` as it is stored, with the certificate that it was decided, if the chain has come that far: for whoever checks it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn block_bytes(&self, height: Height) -> Result<Option<(Vec<u8>, CommitCertificate)>, StoreError> {
        let transaction = self.database.begin_read()?;
        let (blocks, certificates) = (transaction.open_table(BLOCKS)?, transaction.open_table(CERTIFICATES)?);
        let (Some(block), Some(certificate)) = (blocks.get(height)?, certificates.get(height)?) else {
            return Ok(None);
        };
        Ok(Some((block.value().to_vec(), decode("a certificate", certificate.value())?)))
    }

    /// The header at `height` with its certificate, if the chain has come that far; the genesis has none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn certified(&self, height: Height) -> Result<Option<CertifiedHeader>, StoreError> {
        let transaction = self.database.begin_read()?;
        let (headers, certificates) = (transaction.open_table(HEADERS)?, transaction.open_table(CERTIFICATES)?);
        let (Some(header), Some(certificate)) = (headers.get(height)?, certificates.get(height)?) else {
            return Ok(None);
        };
        let header = decode("a header", header.value())?;
        Ok(Some(CertifiedHeader { header, certificate: decode("a certificate", certificate.value())? }))
    }

    /// The changes of validators whose last block by the earlier set is at `after` or later, the first `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn validator_changes(&self, after: Height, most: usize) -> Result<Vec<ValidatorChange>, StoreError> {
        let table = self.database.begin_read()?.open_table(VALIDATORS)?;
        // The set of height 1 is the genesis's own, and no change.
        let from = after.saturating_add(1).max(2);
        let mut changes = Vec::new();
        for entry in table.range(from..)?.take(most) {
            let (since, next) = entry?;
            let last = self.certified(since.value().saturating_sub(1))?;
            let last = last.ok_or(StoreError::damaged("the certificates", None))?;
            changes.push(ValidatorChange { last, next: decode("a validator set", next.value())? });
        }
        Ok(changes)
    }

    /// Proves that an envelope is in a block, if it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn inclusion(&self, envelope: &EnvelopeHash) -> Result<Option<(CertifiedHeader, InclusionProof)>, StoreError> {
        let Some((height, place)) = self.find_envelope(envelope)? else { return Ok(None) };
        let (Some(header), Some((block, _))) = (self.certified(height)?, self.block(height)?) else {
            return Err(StoreError::damaged("the blocks", None));
        };
        let hashes: Vec<EnvelopeHash> = block.envelopes.iter().map(Envelope::hash).collect();
        let proof = usize::try_from(place).ok().and_then(|place| prove_inclusion(&hashes, place));
        Ok(Some((header, proof.ok_or(StoreError::damaged("the envelopes", None))?)))
    }

    /// Who decides the block at `height`, if it is not later than the next one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn validators(&self, height: Height) -> Result<Option<ValidatorSet>, StoreError> {
        if height == 0 || height > self.head()?.height.saturating_add(1) {
            return Ok(None);
        }
        let table = self.database.begin_read()?.open_table(VALIDATORS)?;
        let since = table.range(..=height)?.next_back().transpose()?;
        since.map(|(_, set)| decode("a validator set", set.value())).transpose()
    }

    /// Puts a certificate with more signatures in the place of one that was committed, and keeps what was seen of
    /// equivocation at that height.
    ///
    /// # Errors
    /// [`CommitError`]; also when the certificate is of another block than the committed one.
    pub fn finalise(&self, certificate: &CommitCertificate, evidence: &[Evidence]) -> Result<(), CommitError> {
        let height = certificate.height;
        if self.header(height)?.is_none_or(|header| header.id() != certificate.block) {
            return Err(CommitError::OtherBlock);
        }
        Ok(self.write_finalised(certificate, evidence)?)
    }

    fn write_finalised(&self, certificate: &CommitCertificate, evidence: &[Evidence]) -> Result<(), StoreError> {
        let (height, transaction) = (certificate.height, self.write()?);
        {
            let mut certificates = transaction.open_table(CERTIFICATES)?;
            let fuller = match certificates.get(height)? {
                None => true,
                Some(before) => {
                    let before: CommitCertificate = decode("a certificate", before.value())?;
                    certificate.votes().count() > before.votes().count()
                }
            };
            if fuller {
                certificates.insert(height, encoding::encode(certificate).as_slice())?;
            }
            let mut kept = transaction.open_table(EVIDENCE)?;
            for (number, seen) in (0u64..).zip(evidence) {
                kept.insert((height, number), encoding::encode(seen).as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// The newest equivocations that were seen, so many at most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn evidence(&self, most: usize) -> Result<Vec<Evidence>, StoreError> {
        let table = self.database.begin_read()?.open_table(EVIDENCE)?;
        let newest = table.range::<(u64, u64)>(..)?.rev().take(most);
        newest.map(|row| decode("evidence of an equivocation", row?.1.value())).collect()
    }

    /// The height and the place in its block of an executed envelope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find_envelope(&self, hash: &EnvelopeHash) -> Result<Option<(Height, u32)>, StoreError> {
        let table = self.database.begin_read()?.open_table(ENVELOPES)?;
        Ok(table.get(hash.as_bytes())?.map(|place| place.value()))
    }

    /// The state at the newest block, unmoved by what is committed meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let transaction = self.database.begin_read()?;
        Ok(Snapshot { rows: transaction.open_table(ROWS)?, pages: transaction.open_table(PAGES)? })
    }
}

fn write_state(transaction: &WriteTransaction, changes: &Changes, update: &TreeChanges) -> Result<(), StoreError> {
    let (mut rows, mut holders) = (transaction.open_table(ROWS)?, Holders::open(transaction)?);
    for (key, row) in changes {
        let path = KeyHash::of(key);
        let before = match row {
            Some(row) => rows.insert(&path.0, stored_row(key, row).as_slice())?,
            None => rows.remove(&path.0)?,
        };
        let before = before.as_ref().map(|stored| read_row(stored.value())).transpose()?;
        holders.replace(key, before.map(|(_, row)| row), row.as_deref())?;
    }
    let mut pages = transaction.open_table(PAGES)?;
    for (path, page) in &update.pages {
        let path = encoding::encode(path);
        match page {
            Some(page) => pages.insert(path.as_slice(), encoding::encode(page).as_slice())?,
            None => pages.remove(path.as_slice())?,
        };
    }
    Ok(())
}

/// A row as it is stored: the key with it, so that a snapshot can be taken from the rows alone.
fn stored_row(key: &StateKey, row: &[u8]) -> Vec<u8> {
    let key = encoding::encode(key);
    let len = u8::try_from(key.len()).expect("a state key is 40 bytes at most");
    [&[len], key.as_slice(), row].concat()
}

fn read_row(stored: &[u8]) -> Result<(StateKey, &[u8]), StoreError> {
    let damaged = || StoreError::damaged("a row", None);
    let (len, rest) = stored.split_first().ok_or_else(damaged)?;
    let (key, row) = rest.split_at_checked(usize::from(*len)).ok_or_else(damaged)?;
    Ok((decode("a row's key", key)?, row))
}

fn decode<T: Wire>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    encoding::decode(bytes).map_err(|error| StoreError::damaged(what, Some(error)))
}

/// The state as of one block.
#[derive(Debug)]
pub struct Snapshot {
    rows: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    pages: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Snapshot {
    /// The state's root.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn root(&self) -> Result<StateRoot, StoreError> {
        tree::root(self)
    }
}

impl StateReader for Snapshot {
    type Error = StoreError;

    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(stored) = self.rows.get(&KeyHash::of(key).0)? else { return Ok(None) };
        let (found, row) = read_row(stored.value())?;
        if found == *key { Ok(Some(row.to_vec())) } else { Err(StoreError::damaged("a row's key", None)) }
    }
}

impl TreeReader for Snapshot {
    type Error = StoreError;

    fn page(&self, path: &PagePath) -> Result<Option<Page>, StoreError> {
        let stored = self.pages.get(encoding::encode(path).as_slice())?;
        stored.map(|page| decode("a tree page", page.value())).transpose()
    }
}

impl SnapshotReader for Snapshot {
    fn rows_between(
        &self,
        first: KeyHash,
        last: KeyHash,
        enough: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, StoreError> {
        let (mut rows, mut bytes) = (Vec::new(), 0usize);
        for entry in self.rows.range::<&[u8; 32]>(&first.0..=&last.0)? {
            if enough(rows.len(), bytes) {
                break;
            }
            let (_, stored) = entry?;
            let (key, row) = read_row(stored.value())?;
            bytes = bytes.saturating_add(row.len());
            rows.push((key, row.to_vec()));
        }
        Ok(rows)
    }
}
