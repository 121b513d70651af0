//! What a study is found by besides its id: each thing is a row, written and taken away in the commit of the study
//! itself.
//!
//! ```text
//! index_v1   kind, term, study id:
//!            0  Patient ID (0010,0020), a zero, Issuer of Patient ID (0010,0021)
//!            1  a group of Patient's Name (0010,0010), as names are compared
//!            2  Accession Number (0008,0050)
//!            3  Study Date (0008,0020), as 2026-01-31
//!            4  Series Instance UID (0020,000E)
//! by_uid_v1  Study Instance UID (0020,000D) ─► study id
//! names_v1   SOP Instance UID (0008,0018) ─► study ids
//! ```
//!
//! A study has no row for what it does not say. Whoever changes how names are compared ([`name_groups`]) gives the
//! table a new name, so that it is made anew.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use clavicle_dicom::facts::name_groups;
use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::StudyId;
use clavicle_manifest::{Date, Uid};
use redb::{ReadTransaction, ReadableDatabase as _, Table, TableDefinition};

use super::catalogue::{BY_UID, Catalogued, NAMES, STUDIES};
use super::local::digits;
use super::{Archive, ArchiveError, Entry, decode};
use crate::store::StoreError;

pub(super) const INDEX: TableDefinition<'_, (u8, &str, &[u8; 32]), ()> = TableDefinition::new("index_v1");

const PATIENT: u8 = 0;
const NAME: u8 = 1;
const ACCESSION: u8 = 2;
const DATE: u8 = 3;
const SERIES: u8 = 4;

/// What studies are sought by.
#[derive(Clone, Copy)]
pub enum Sought<'a> {
    /// Patient ID (0010,0020), of one issuer or of any.
    Patient {
        /// The id.
        id: &'a Text<256>,
        /// Issuer of Patient ID (0010,0021). An empty one is sought where nobody says whose the id is.
        issuer: Option<&'a Text<256>>,
    },
    /// Patient's Name (0010,0010), however it is written.
    Name(&'a Text<256>),
    /// Accession Number (0008,0050).
    Accession(&'a Text<256>),
    /// Study Date (0008,0020) from one day to another, both included.
    Dates(Date, Date),
    /// Series Instance UID (0020,000E).
    Series(&'a Uid),
    /// Study Instance UID (0020,000D).
    Study(&'a Uid),
    /// SOP Instance UID (0008,0018).
    Instance(&'a Uid),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Studies: by id, and days in their order.
    pub studies: Vec<StudyId>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

impl Found {
    fn of(studies: impl Iterator<Item = Result<StudyId, ArchiveError>>, most: usize) -> Result<Self, ArchiveError> {
        let mut studies = studies.take(most.saturating_add(1)).collect::<Result<Vec<_>, _>>()?;
        let more = studies.len() > most;
        studies.truncate(most);
        Ok(Self { studies, more })
    }
}

/// All that a study is found by in the table.
fn terms(entry: &Entry) -> BTreeSet<(u8, String)> {
    let manifest = &entry.manifest.manifest;
    let mut terms = BTreeSet::new();
    if !entry.patient.id.as_str().is_empty() {
        terms.insert((PATIENT, patient_term(&entry.patient.id, &entry.patient.issuer)));
    }
    terms.extend(name_groups(entry.patient.name.as_str()).into_iter().map(|group| (NAME, group)));
    terms.insert((ACCESSION, entry.accession_number.to_string()));
    terms.extend(manifest.header().study_date.map(|date| (DATE, date.to_string())));
    terms.extend(manifest.series().iter().map(|one| (SERIES, one.series_instance_uid.to_string())));
    terms.retain(|(_, term)| !term.is_empty());
    terms
}

/// No text has a zero in it: so no id and issuer are those of another.
fn patient_term(id: &Text<256>, issuer: &Text<256>) -> String {
    format!("{id}\0{issuer}")
}

/// Lists a study as it is, and no more as it was `before`.
pub(super) fn list(
    index: &mut Table<'_, (u8, &'static str, &'static [u8; 32]), ()>,
    id: StudyId,
    before: Option<&Entry>,
    entry: Option<&Entry>,
) -> Result<(), StoreError> {
    let (before, now) = (before.map(terms).unwrap_or_default(), entry.map(terms).unwrap_or_default());
    for (kind, term) in before.difference(&now) {
        index.remove((*kind, term.as_str(), id.as_bytes()))?;
    }
    // All of them: a row that is there is there once.
    for (kind, term) in &now {
        index.insert((*kind, term.as_str(), id.as_bytes()), ())?;
    }
    Ok(())
}

impl Archive {
    /// The studies that something is true of, `most` at most. No other study is looked at.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn seek(&self, sought: Sought<'_>, most: usize) -> Result<Found, ArchiveError> {
        let transaction = self.catalogue.begin_read()?;
        let of = |kind, from: &str, to: &str| Found::of(rows(&transaction, kind, from..=to)?, most);
        match sought {
            Sought::Patient { id, issuer: Some(issuer) } => {
                let term = patient_term(id, issuer);
                of(PATIENT, &term, &term)
            }
            Sought::Patient { id, issuer: None } => of(PATIENT, &format!("{id}\0"), &format!("{id}\0{}", char::MAX)),
            Sought::Name(name) => self.named(&transaction, name, most),
            Sought::Accession(number) => of(ACCESSION, number.as_str(), number.as_str()),
            Sought::Dates(from, to) => of(DATE, &from.to_string(), &to.to_string()),
            Sought::Series(uid) => of(SERIES, uid.as_str(), uid.as_str()),
            Sought::Study(uid) => {
                let found = transaction.open_table(BY_UID)?.get(uid.as_str())?.map(|id| *id.value());
                Found::of(found.into_iter().map(|id| Ok(StudyId::from_bytes(id))), most)
            }
            Sought::Instance(uid) => {
                let found = transaction.open_multimap_table(NAMES)?.get(uid.as_str())?;
                Found::of(found.map(|id| Ok(StudyId::from_bytes(*id?.value()))), most)
            }
        }
    }

    /// Studies of patients who have this name, as far as it is written in the same scripts.
    fn named(&self, transaction: &ReadTransaction, name: &Text<256>, most: usize) -> Result<Found, ArchiveError> {
        let (mut seen, mut studies) = (BTreeSet::new(), BTreeSet::new());
        for group in name_groups(name.as_str()) {
            for id in rows(transaction, NAME, &group..=&group)? {
                let id = id?;
                if studies.len() > most || !seen.insert(id) {
                    continue;
                }
                let is_named = self.catalogued(id)?.is_some_and(|study| study.patient.is_named(name.as_str()));
                studies.extend(is_named.then_some(id));
            }
        }
        Found::of(studies.into_iter().map(Ok), most)
    }

    /// The studies whose Study Date is before a day, in the order of the days. Those without one are not among them.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn dated_before(&self, day: Date) -> Result<Vec<StudyId>, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(INDEX)?;
        let rows = table.range((DATE, "", &[0; 32])..(DATE, day.to_string().as_str(), &[0; 32]))?;
        rows.map(|row| Ok(StudyId::from_bytes(*row?.0.value().2))).collect()
    }

    /// The studies whose ids begin with these hexadecimal digits, `most` at most.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn begin_with(&self, begin: &str, most: usize) -> Result<Found, ArchiveError> {
        let begin = begin.to_lowercase();
        let filled = |with: &str| digits(&format!("{begin}{}", with.repeat(64usize.saturating_sub(begin.len()))));
        let (Some(from), Some(to)) = (filled("0"), filled("f")) else { return Ok(Found::default()) };
        if begin.is_empty() {
            return Ok(Found::default());
        }
        let studies = self.catalogue.begin_read()?.open_table(STUDIES)?;
        let found = studies.range::<&[u8; 32]>(&from..=&to)?;
        Found::of(found.map(|row| Ok(StudyId::from_bytes(*row?.0.value()))), most)
    }

    /// What the catalogue has of studies that were found, apart from their manifests.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn catalogued_all(&self, found: &Found) -> Result<Vec<Catalogued>, ArchiveError> {
        let studies = self.catalogue.begin_read()?.open_table(STUDIES)?;
        let mut all = Vec::new();
        for id in &found.studies {
            // One that was removed since is not there.
            all.extend(studies.get(id.as_bytes())?.map(|row| decode(row.value())).transpose()?);
        }
        Ok(all)
    }
}

/// The studies in a range of terms of one kind.
fn rows<'a>(
    transaction: &ReadTransaction,
    kind: u8,
    terms: RangeInclusive<&'a str>,
) -> Result<impl Iterator<Item = Result<StudyId, ArchiveError>> + use<'a>, ArchiveError> {
    let (from, to) = (*terms.start(), *terms.end());
    let rows = transaction.open_table(INDEX)?.range((kind, from, &[0; 32])..=(kind, to, &[0xff; 32]))?;
    Ok(rows.map(|row| Ok(StudyId::from_bytes(*row?.0.value().2))))
}
