//! A catalogue that was lost is made anew, from the records beside the bytes and from the chain.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use clavicle_ledger::encoding;
use clavicle_ledger::id::{ChainId, ManifestRoot, StudyId};
use redb::{Database, ReadableTable as _};

use super::bytes::failed;
use super::records::{Recorded, Records};
use super::{
    Archive, ArchiveError, BY_UID, CONTRADICTIONS, EDITIONS, EDITIONS_OF, KEPT, META, OPEN, RECORDED, STUDIES,
    UNPUBLISHED, open_catalogue,
};

/// What became of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Studies that are in the catalogue again.
    pub studies: Vec<StudyId>,
    /// Those whose record cannot be read: they must come from a backup, or be taken in again.
    pub unreadable: Vec<StudyId>,
}

impl Archive {
    /// Makes the catalogue at `catalogue`, which must not be there, from the records in `folder`. What the chain has of a study is asked of
    /// `on_ledger`: a study that is on it is held by somebody, whatever its record says. The catalogue is whole, or not there.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn rebuild(
        folder: &Path,
        catalogue: &Path,
        chain: &ChainId,
        on_ledger: &mut dyn FnMut(StudyId) -> Result<Option<ManifestRoot>, ArchiveError>,
    ) -> Result<Rebuilt, ArchiveError> {
        let records = Records::open(folder)?;
        let coming = catalogue.with_extension("redb.new");
        match fs::remove_file(&coming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&coming, error)),
            _ => {}
        }
        let database = open_catalogue(&coming)?;
        let mut rebuilt = Rebuilt::default();
        for id in records.all()? {
            let Some(mut recorded) = records.read(id, chain) else {
                rebuilt.unreadable.push(id);
                continue;
            };
            if recorded.entry.claimed.is_none() {
                recorded.entry.claimed = on_ledger(id)?;
            }
            write(&database, id, &recorded)?;
            rebuilt.studies.push(id);
        }
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert(RECORDED, 1)?;
        transaction.commit()?;
        drop(database);
        let named = || -> io::Result<()> {
            fs::rename(&coming, catalogue)?;
            File::open(catalogue.parent().unwrap_or(folder))?.sync_all()
        };
        named().map_err(|error| failed(catalogue, error))?;
        Ok(rebuilt)
    }
}

/// Writes what the record of a study has.
fn write(database: &Database, id: StudyId, recorded: &Recorded) -> Result<(), ArchiveError> {
    let Recorded { entry, editions, contradictions } = recorded;
    let header = entry.manifest.manifest.header();
    let transaction = database.begin_write()?;
    transaction.open_table(STUDIES)?.insert(id.as_bytes(), encoding::encode(entry).as_slice())?;
    transaction.open_table(BY_UID)?.insert(header.study_instance_uid.as_str(), id.as_bytes())?;
    for (root, manifest) in editions {
        transaction.open_table(EDITIONS)?.insert(root.as_bytes(), encoding::encode(manifest).as_slice())?;
        transaction.open_table(EDITIONS_OF)?.insert((id.as_bytes(), root.as_bytes()), ())?;
    }
    if entry.claimed.is_some() {
        // Whether it is on the ledger already is found out with the next block.
        transaction.open_table(UNPUBLISHED)?.insert(id.as_bytes(), ())?;
    }
    if header.open {
        transaction.open_table(OPEN)?.insert(id.as_bytes(), entry.grown.0)?;
    }
    for (digest, row) in contradictions {
        let key = (id.as_bytes(), digest.as_bytes());
        transaction.open_table(CONTRADICTIONS)?.insert(key, encoding::encode(row).as_slice())?;
    }
    {
        let mut kept = transaction.open_table(KEPT)?;
        for (digest, size) in recorded.kept() {
            let studies = kept.get(digest.as_bytes())?.map_or(0, |row| row.value().1);
            kept.insert(digest.as_bytes(), (size, studies.saturating_add(1)))?;
        }
    }
    Ok(transaction.commit()?)
}
