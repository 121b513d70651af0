//! A catalogue that was lost is made anew, from the records beside the bytes and from the chain.

use std::fs;
use std::io;
use std::path::Path;

use clavicle_ledger::id::{ChainId, ManifestRoot, StudyId};

use super::bytes::failed;
use super::records::{Recorded, Records};
use super::take::enter;
use super::{Archive, ArchiveError, catalogue as tables};
use crate::replace;

/// What became of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Studies that are in the catalogue again.
    pub studies: Vec<StudyId>,
    /// Those whose record cannot be read: they must come from a backup, or be taken in again.
    pub unreadable: Vec<StudyId>,
}

impl Archive {
    /// Makes the catalogue at `catalogue`, which must not be there, from the records in `folder`. What the chain has
    /// of a study is asked of `on_ledger`: a study that is on it is held by somebody, whatever its record says. The
    /// catalogue is whole, or not there.
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
        let database = tables::open(&coming)?;
        let mut rebuilt = Rebuilt::default();
        for id in records.all()? {
            let Some(mut recorded) = records.read(id, chain) else {
                rebuilt.unreadable.push(id);
                continue;
            };
            if recorded.entry.claimed.is_none() {
                recorded.entry.claimed = on_ledger(id)?;
            }
            let transaction = database.begin_write()?;
            let newest = recorded.newest();
            let Recorded { entry, editions, contradictions } = recorded;
            enter(&transaction, id, (&entry, newest), editions.iter().map(|(root, one)| (root, one)), &contradictions)?;
            transaction.commit()?;
            rebuilt.studies.push(id);
        }
        drop(database);
        replace::rename(&coming, catalogue).map_err(|error| failed(catalogue, error))?;
        Ok(rebuilt)
    }
}
