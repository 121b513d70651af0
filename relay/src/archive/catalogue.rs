//! The catalogue's tables, and what it has of a study.

use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::Patient;
use clavicle_ledger::encoding::{self, Text, Wire};
use clavicle_ledger::id::{ManifestRoot, StudyId};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::Date;
use redb::{Database, MultimapTableDefinition, ReadableTable, TableDefinition};

use super::index::INDEX;
use super::{ArchiveError, Entry};
use crate::store::{self, StoreError};

pub(super) const STUDIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("studies_v3");
pub(super) const BY_UID: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("by_uid_v1");
pub(super) const EDITIONS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("editions_v2");
pub(super) const EDITIONS_OF: TableDefinition<'_, (&[u8; 32], &[u8; 32]), ()> = TableDefinition::new("editions_of_v1");
pub(super) const UNPUBLISHED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("unpublished_v1");
pub(super) const OPEN: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("open_v1");
pub(super) const CONTRADICTIONS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), &[u8]> =
    TableDefinition::new("contradictions_v1");
pub(super) const NAMES: MultimapTableDefinition<'_, &str, &[u8; 32]> = MultimapTableDefinition::new("names_v1");
pub(super) const KEPT: TableDefinition<'_, &[u8; 32], (u64, u32)> = TableDefinition::new("kept_v1");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta_v1");
/// The last change that it knows of.
pub(super) const CHANGE: &str = "change";

/// The memory that the catalogue may use for its cache.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// What the catalogue has of a study, apart from its manifest: a row of some hundred bytes, however many instances it
/// has.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Catalogued {
    /// The study.
    pub study: StudyId,
    /// Who the images are of. Stays here: it is in no manifest and on no ledger.
    pub patient: Patient,
    /// Accession Number (0008,0050), for the desk to find the study by.
    pub accession_number: Text<256>,
    /// What makes the study's id say nothing.
    pub salt: Salt,
    /// The root that a definition of it was co-signed with: no other is, and what is new makes a revision.
    pub claimed: Option<ManifestRoot>,
    /// The root of its newest manifest.
    pub newest: ManifestRoot,
    /// Study Date (0008,0020), as the newest manifest has it.
    pub study_date: Option<Date>,
    /// When something was last added to it.
    pub grown: Timestamp,
}

impl Wire for Catalogued {
    const NAME: &'static str = "a study in the catalogue";
    const MAX_LEN: usize = 4 * 1024;
}

impl Catalogued {
    /// Of an entry whose manifest has this root.
    pub(super) fn of(entry: &Entry, newest: ManifestRoot) -> Self {
        let Entry { patient, accession_number, salt, claimed, manifest, grown } = entry;
        Self {
            study: manifest.manifest.header().study,
            patient: patient.clone(),
            accession_number: accession_number.clone(),
            salt: salt.clone(),
            claimed: *claimed,
            newest,
            study_date: manifest.manifest.header().study_date,
            grown: *grown,
        }
    }
}

/// Opens a catalogue, or makes it, with all tables, so that reading need not know which came when.
pub(super) fn open(path: &Path) -> Result<Database, ArchiveError> {
    let catalogue = store::database(path, CACHE_BYTES)?;
    let transaction = catalogue.begin_write()?;
    transaction.open_table(STUDIES)?;
    transaction.open_table(BY_UID)?;
    transaction.open_table(EDITIONS)?;
    transaction.open_table(EDITIONS_OF)?;
    transaction.open_table(UNPUBLISHED)?;
    transaction.open_table(OPEN)?;
    transaction.open_table(CONTRADICTIONS)?;
    transaction.open_multimap_table(NAMES)?;
    transaction.open_table(KEPT)?;
    transaction.open_table(META)?;
    transaction.open_table(INDEX)?;
    transaction.commit()?;
    Ok(catalogue)
}

/// Reads a row, or says that the catalogue is damaged.
pub(super) fn decode<T: Wire>(bytes: &[u8]) -> Result<T, StoreError> {
    encoding::decode(bytes).map_err(|error| StoreError::damaged("the catalogue", Some(error)))
}

/// A study with its newest manifest, from these tables.
pub(super) fn entry(
    studies: &impl ReadableTable<&'static [u8; 32], &'static [u8]>,
    editions: &impl ReadableTable<&'static [u8; 32], &'static [u8]>,
    id: StudyId,
) -> Result<Option<Entry>, StoreError> {
    let Some(row) = studies.get(id.as_bytes())? else { return Ok(None) };
    let Catalogued { study: _, patient, accession_number, salt, claimed, newest, study_date: _, grown } =
        decode(row.value())?;
    let damaged = StoreError::damaged("the manifests of a study", None);
    let manifest = decode(editions.get(newest.as_bytes())?.ok_or(damaged)?.value())?;
    Ok(Some(Entry { patient, accession_number, salt, claimed, manifest, grown }))
}
