//! Catalogues of earlier versions, in which each study's row held all of its manifest, and studies were found by
//! little.
//!
//! Their studies are moved a batch at a time, each batch in one commit that takes them out of the old table: so
//! whatever ends this in between, the next start goes on with the rest, and memory holds a batch, however many
//! studies there are.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::Patient;
use clavicle_ledger::encoding::{self, Text, Wire};
use clavicle_ledger::id::{ChainId, ManifestRoot, StudyId};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::SignedManifest;
use redb::{Database, MultimapTableDefinition, TableDefinition, TableHandle as _, WriteTransaction};

use super::catalogue::{Catalogued, EDITIONS, EDITIONS_OF, NAMES, STUDIES, decode};
use super::index::{self, INDEX};
use super::{ArchiveError, Entry};

const EARLIER: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("studies_v2");
const EARLIER_VISITS: MultimapTableDefinition<'_, &str, &[u8; 32]> = MultimapTableDefinition::new("visits_v1");

/// So many bytes of manifests are moved in one commit, and one manifest more.
const BATCH: usize = 32 << 20;

/// A study as it was kept.
#[derive(BorshSerialize, BorshDeserialize)]
struct EarlierEntry {
    patient: Patient,
    accession_number: Text<256>,
    salt: Salt,
    claimed: Option<ManifestRoot>,
    manifest: SignedManifest,
    grown: Timestamp,
}

impl Wire for EarlierEntry {
    const NAME: &'static str = "a study in the catalogue";
    const MAX_LEN: usize = 4 * 1024 + SignedManifest::MAX_LEN;
}

/// Lists the studies of such a catalogue as they are listed now. How many there were.
pub(super) fn list_anew(catalogue: &Database, chain: &ChainId) -> Result<u64, ArchiveError> {
    let mut moved = 0;
    loop {
        let transaction = catalogue.begin_write()?;
        if !transaction.list_tables()?.any(|table| table.name() == EARLIER.name()) {
            return Ok(moved);
        }
        let batch = move_batch(&transaction, chain, BATCH)?;
        if batch == 0 {
            transaction.delete_table(EARLIER)?;
            transaction.delete_multimap_table(EARLIER_VISITS)?;
        }
        transaction.commit()?;
        moved += batch;
    }
}

/// Moves studies until so many bytes were. How many; none when none was left.
fn move_batch(transaction: &WriteTransaction, chain: &ChainId, most: usize) -> Result<u64, ArchiveError> {
    let mut earlier = transaction.open_table(EARLIER)?;
    let mut studies = transaction.open_table(STUDIES)?;
    let (mut editions, mut editions_of) = (transaction.open_table(EDITIONS)?, transaction.open_table(EDITIONS_OF)?);
    let (mut index, mut names) = (transaction.open_table(INDEX)?, transaction.open_multimap_table(NAMES)?);
    let (mut moved, mut bytes) = (0, 0);
    while bytes <= most {
        let Some((id, row)) = earlier.pop_first()? else { break };
        let id = StudyId::from_bytes(*id.value());
        let EarlierEntry { patient, accession_number, salt, claimed, manifest, grown } = decode(row.value())?;
        bytes += row.value().len();
        drop(row);
        let root = manifest.manifest.root(chain);
        editions.insert(root.as_bytes(), encoding::encode(&manifest).as_slice())?;
        editions_of.insert((id.as_bytes(), root.as_bytes()), ())?;
        let entry = Entry { patient, accession_number, salt, claimed, manifest, grown };
        // The first versions did not list these.
        for instance in entry.manifest.manifest.instances() {
            names.insert(instance.sop_instance_uid.as_str(), id.as_bytes())?;
        }
        index::list(&mut index, id, None, Some(&entry))?;
        studies.insert(id.as_bytes(), encoding::encode(&Catalogued::of(&entry, root)).as_slice())?;
        moved += 1;
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clavicle_ledger::encoding::from_hex;
    use clavicle_samples::packed;
    use redb::ReadableDatabase as _;

    use super::*;
    use crate::archive::{Archive, catalogue};

    /// Killed between two batches, the next start moves the rest: nothing is lost, and nothing is listed twice.
    #[test]
    fn studies_are_moved_in_batches_of_which_each_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        packed::unpack(packed::RELAY, folder.path()).unwrap();
        let (archive, path) = (folder.path().join("mercy/archive"), folder.path().join("mercy/catalogue.redb"));
        let status: serde_json::Value = serde_json::from_str(packed::STATUS).unwrap();
        let chain = from_hex(status["chain"].as_str().unwrap()).unwrap();
        let chain = ChainId::from_bytes(chain.try_into().unwrap());
        let whole = folder.path().join("whole.redb");
        fs::copy(&path, &whole).unwrap();
        assert_eq!(Archive::open(&archive, &whole, chain).unwrap().listed_anew(), 2);

        let catalogue = catalogue::open(&path).unwrap();
        let transaction = catalogue.begin_write().unwrap();
        assert_eq!(move_batch(&transaction, &chain, 0).unwrap(), 1);
        transaction.commit().unwrap();
        // A batch that was not committed is as if it had not been begun.
        let transaction = catalogue.begin_write().unwrap();
        assert_eq!(move_batch(&transaction, &chain, 0).unwrap(), 1);
        transaction.abort().unwrap();
        drop(catalogue);
        let opened = Archive::open(&archive, &path, chain).unwrap();
        assert_eq!(opened.listed_anew(), 1);
        assert_eq!(opened.studies().unwrap(), Archive::open(&archive, &whole, chain).unwrap().studies().unwrap());
        assert!(opened.check(&mut |_, _| {}).unwrap().is_well());
        let reading = opened.catalogue.begin_read().unwrap();
        assert!(reading.list_tables().unwrap().all(|table| table.name() != EARLIER.name()));
    }
}
