//! The studies of a visit: found by number, without a look at any other study.

use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::StudyId;
use redb::{MultimapTable, ReadableDatabase as _};

use super::{Archive, ArchiveError, Entry, STUDIES, VISITS, decode};
use crate::store::StoreError;

/// What a desk finds the studies of a visit by.
#[derive(Clone, Copy)]
pub enum VisitKey<'a> {
    /// Accession Number (0008,0050).
    Accession(&'a Text<256>),
    /// Patient ID (0010,0020).
    Patient(&'a Text<256>),
}

impl VisitKey<'_> {
    /// As it is in the catalogue.
    fn row(self) -> String {
        match self {
            Self::Accession(number) => format!("accession {}", number.as_str()),
            Self::Patient(id) => format!("patient {}", id.as_str()),
        }
    }
}

/// Lists a study, as it is, and no more as it was `before`.
pub(super) fn list(
    visits: &mut MultimapTable<'_, &'static str, &'static [u8; 32]>,
    id: StudyId,
    before: Option<&Entry>,
    entry: Option<&Entry>,
) -> Result<(), StoreError> {
    let rows = |entry: &Entry| {
        [VisitKey::Accession(&entry.accession_number).row(), VisitKey::Patient(&entry.patient.id).row()]
    };
    for row in before.into_iter().flat_map(rows) {
        visits.remove(row.as_str(), id.as_bytes())?;
    }
    for row in entry.into_iter().flat_map(rows) {
        visits.insert(row.as_str(), id.as_bytes())?;
    }
    Ok(())
}

impl Archive {
    /// The studies with a number, by id.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn of_visit(&self, key: VisitKey<'_>) -> Result<Vec<Entry>, ArchiveError> {
        let transaction = self.catalogue.begin_read()?;
        let (visits, studies) = (transaction.open_multimap_table(VISITS)?, transaction.open_table(STUDIES)?);
        let mut found = Vec::new();
        for id in visits.get(key.row().as_str())? {
            let damaged = StoreError::Damaged { what: "the studies of a visit", error: None };
            found.push(decode(studies.get(id?.value())?.ok_or(damaged)?.value())?);
        }
        Ok(found)
    }
}
