//! References: what a document says of other instances, and so what there should be beside it.
//!
//! Three kinds of document list instances: Key Object Selections and Structured Reports in Current Requested Procedure Evidence Sequence
//! (0040,A375) (PS3.3 C.17.2), and a DICOMDIR in its records (PS3.3 F.3). They come from outside like everything else.
//!
//! The records of a DICOMDIR point at each other. They are read one after the other, so that no offset is believed; one whose records lead in a circle is
//! refused all the same, since no program wrote that by mistake.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Text, Wire};
use clavicle_manifest::Uid;
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use crate::elements::{DataSet, data_set_of};
use crate::facts::{Facts, shown};
use crate::scan;
use crate::unreadable::Unreadable;

/// The largest document that is read for its references, in bytes: a Key Object Selection of as many instances as a manifest may have.
pub const MAX_DOCUMENT_LEN: u64 = 32 << 20;
/// Most instances that a document may list.
pub const MAX_REFERENCES: usize = 1 << 17;
/// Most elements that a MAC may be said to cover.
const MAX_SIGNED: usize = 1_024;

/// What a MAC is said to have been made of (PS3.3 C.12.1.1.3.1), and what it was.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SaidMac {
    /// MAC Calculation Transfer Syntax UID (0400,0010).
    pub transfer_syntax_uid: Option<Uid>,
    /// MAC Algorithm (0400,0015).
    pub algorithm: Text<16>,
    /// Data Elements Signed (0400,0020): group and element of each.
    pub signed: Vec<(u16, u16)>,
    /// MAC (0400,0404).
    pub mac: Vec<u8>,
}

/// An instance that a document lists.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reference {
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Option<Uid>,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Option<Uid>,
    /// SOP Class UID.
    pub sop_class_uid: Option<Uid>,
    /// SOP Instance UID.
    pub sop_instance_uid: Uid,
    /// The MAC of a Key Object Selection.
    pub mac: Option<SaidMac>,
}

/// A file that a DICOMDIR lists.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ListedFile {
    /// Referenced File ID (0004,1500), its components separated by backslashes as they stand there. Nothing of it is a path yet.
    pub name: Text<1024>,
    /// Referenced SOP Instance UID in File (0004,1511).
    pub sop_instance_uid: Option<Uid>,
}

/// What a document lists.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct References {
    /// SOP Instance UID (0008,0018) of the document; a DICOMDIR has none.
    pub sop_instance_uid: Option<Uid>,
    /// Code Value (0008,0100) and Coding Scheme Designator (0008,0102) of the document's title.
    pub title: Option<(Text<16>, Text<16>)>,
    /// What is listed, in the document's order.
    pub instances: Vec<Reference>,
    /// How many entries were passed by because they name no instance.
    pub nameless: u32,
    /// The files that a DICOMDIR lists, in its order.
    pub files: Vec<ListedFile>,
}

impl Wire for References {
    const NAME: &'static str = "what a document lists";
    // Every byte of it stands in the document, but for a length and an option here and there.
    const MAX_LEN: usize = 48 << 20;
}

/// Whether instances of this SOP class list others.
#[must_use]
pub fn lists_others(sop_class_uid: &Uid) -> bool {
    sop_class_uid.as_str() == uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE
        || sop_class_uid.as_str().starts_with("1.2.840.10008.5.1.4.1.1.88.")
}

impl References {
    /// Reads what a document of `len` bytes lists. It is held in memory, and refused above [`MAX_DOCUMENT_LEN`].
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read<S: Read + Seek>(source: S, len: u64) -> Result<Self, Unreadable> {
        // Nothing here is known to panic. If something does, it costs one file.
        panic::catch_unwind(AssertUnwindSafe(|| Self::of(source, len))).unwrap_or(Err(Unreadable::Panicked))
    }

    fn of<S: Read + Seek>(mut source: S, len: u64) -> Result<Self, Unreadable> {
        if len > MAX_DOCUMENT_LEN {
            return Err(Unreadable::TooLongForAList);
        }
        let scanned = match scan::scan(&mut source, len) {
            Err(Unreadable::Directory) => None,
            other => Some(other?),
        };
        source.seek(SeekFrom::Start(0))?;
        let mut file = Vec::new();
        source.take(len).read_to_end(&mut file)?;
        let Some(mut scanned) = scanned else { return Self::of_directory(&file) };
        let sop_instance_uid = Facts::of(&scanned)?.sop_instance_uid;
        let bytes = scanned.take_beginning(Cursor::new(file), len, len)?;
        Self::of_document(DataSet::new(&bytes, scanned.encoding), sop_instance_uid)
    }

    fn empty(sop_instance_uid: Option<Uid>) -> Self {
        Self { sop_instance_uid, title: None, instances: Vec::new(), nameless: 0, files: Vec::new() }
    }

    /// PS3.3 C.17.2: studies hold series, and they instances.
    fn of_document(mut document: DataSet<'_>, sop_instance_uid: Uid) -> Result<Self, Unreadable> {
        let mut all = Self::empty(Some(sop_instance_uid));
        if let Some(concept) = document.find(tags::CONCEPT_NAME_CODE_SEQUENCE)?
            && let Some(mut code) = concept.items().next()?
        {
            let value = text(&mut code, tags::CODE_VALUE)?;
            all.title = Some((value, text(&mut code, tags::CODING_SCHEME_DESIGNATOR)?));
        }
        let evidence = document.find(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE)?;
        let mut studies = evidence.map(|evidence| evidence.items());
        while let Some(studies) = &mut studies
            && let Some(mut study) = studies.next()?
        {
            // By its tag (0008,1115) the series come before the study's UID.
            let series = study.find(tags::REFERENCED_SERIES_SEQUENCE)?;
            let study_instance_uid = uid(&mut study, tags::STUDY_INSTANCE_UID)?;
            let mut series = series.map(|series| series.items());
            while let Some(series) = &mut series
                && let Some(mut series) = series.next()?
            {
                let instances = series.find(tags::REFERENCED_SOP_SEQUENCE)?;
                let series_instance_uid = uid(&mut series, tags::SERIES_INSTANCE_UID)?;
                let mut instances = instances.map(|instances| instances.items());
                while let Some(instances) = &mut instances
                    && let Some(mut item) = instances.next()?
                {
                    let sop_class_uid = uid(&mut item, tags::REFERENCED_SOP_CLASS_UID)?;
                    let Some(sop_instance_uid) = uid(&mut item, tags::REFERENCED_SOP_INSTANCE_UID)? else {
                        all.nameless += 1;
                        continue;
                    };
                    let mac = said_mac(&mut item)?;
                    all.push(Reference {
                        study_instance_uid,
                        series_instance_uid,
                        sop_class_uid,
                        sop_instance_uid,
                        mac,
                    })?;
                }
            }
        }
        Ok(all)
    }

    /// PS3.3 F.3: records, of which those of studies and series stand before those of their instances as a rule. Only they say whose an
    /// instance is here; that it is listed does not depend on the order.
    fn of_directory(file: &[u8]) -> Result<Self, Unreadable> {
        let mut directory = data_set_of(file)?;
        let mut all = Self::empty(None);
        let first = offset(&mut directory, tags::OFFSET_OF_THE_FIRST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY)?;
        let Some(records) = directory.find(tags::DIRECTORY_RECORD_SEQUENCE)? else { return Ok(all) };
        // Where a record stands is counted from the file's first byte.
        let behind = file.len() - place_in(file, records.value) - records.value.len();
        let (mut records, mut study_instance_uid, mut series_instance_uid) = (records.items(), None, None);
        let mut leads_to = BTreeMap::new();
        loop {
            let at = file.len() - behind - records.left();
            let Some(mut record) = records.next()? else { break };
            let next = offset(&mut record, tags::OFFSET_OF_THE_NEXT_DIRECTORY_RECORD)?;
            let lower = offset(&mut record, tags::OFFSET_OF_REFERENCED_LOWER_LEVEL_DIRECTORY_ENTITY)?;
            leads_to.insert(u32::try_from(at).unwrap_or(u32::MAX), [next, lower]);
            let kind = record.find(tags::DIRECTORY_RECORD_TYPE)?.and_then(|kind| kind.text());
            let name = record.find(tags::REFERENCED_FILE_ID)?.map(|name| String::from_utf8_lossy(name.value));
            let name = name.map(|name| shown(name.trim_matches([' ', '\0'])));
            let sop_class_uid = uid(&mut record, tags::REFERENCED_SOP_CLASS_UID_IN_FILE)?;
            let sop_instance_uid = uid(&mut record, tags::REFERENCED_SOP_INSTANCE_UID_IN_FILE)?;
            if let Some(name) = name.filter(|name: &Text<1024>| !name.as_str().is_empty()) {
                if all.files.len() == MAX_REFERENCES {
                    return Err(Unreadable::TooLongForAList);
                }
                all.files.push(ListedFile { name, sop_instance_uid });
            }
            match (kind, sop_instance_uid) {
                (Some("PATIENT"), _) => (study_instance_uid, series_instance_uid) = (None, None),
                (Some("STUDY"), _) => {
                    (study_instance_uid, series_instance_uid) = (uid(&mut record, tags::STUDY_INSTANCE_UID)?, None);
                }
                (Some("SERIES"), _) => series_instance_uid = uid(&mut record, tags::SERIES_INSTANCE_UID)?,
                (_, Some(sop_instance_uid)) => all.push(Reference {
                    study_instance_uid,
                    series_instance_uid,
                    sop_class_uid,
                    sop_instance_uid,
                    mac: None,
                })?,
                // Of the hanging of images, of print jobs.
                (_, None) => all.nameless += 1,
            }
        }
        if leads_in_a_circle(first, &leads_to) { Err(Unreadable::Circle) } else { Ok(all) }
    }

    fn push(&mut self, reference: Reference) -> Result<(), Unreadable> {
        if self.instances.len() == MAX_REFERENCES {
            return Err(Unreadable::TooLongForAList);
        }
        self.instances.push(reference);
        Ok(())
    }
}

/// Whether somebody who follows the records from the first comes back to where they were. That an offset leads nowhere is a mistake that many make.
fn leads_in_a_circle(first: u32, leads_to: &BTreeMap<u32, [u32; 2]>) -> bool {
    // Of each record that was come by, whether the way from it was followed to its ends.
    let mut seen: BTreeMap<u32, bool> = BTreeMap::new();
    let mut way: Vec<(u32, usize)> = vec![(first, 0)];
    seen.insert(first, false);
    while let Some((at, turn)) = way.last_mut() {
        let (at, next) = (*at, leads_to.get(at).and_then(|next| next.get(*turn)));
        *turn += 1;
        match next {
            None => {
                seen.insert(at, true);
                way.pop();
            }
            Some(next) if *next == 0 || !leads_to.contains_key(next) => {}
            Some(next) => match seen.insert(*next, false) {
                None => way.push((*next, 0)),
                Some(false) => return true,
                Some(true) => drop(seen.insert(*next, true)),
            },
        }
    }
    false
}

/// Where a part of a file begins in it.
fn place_in(file: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().saturating_sub(file.as_ptr().addr())
}

/// An offset, 0 where there is none.
fn offset(item: &mut DataSet<'_>, tag: Tag) -> Result<u32, Unreadable> {
    let Some(element) = item.find(tag)? else { return Ok(0) };
    let bytes = element.value.first_chunk().copied().unwrap_or_default();
    Ok(element.encoding().u32(bytes))
}

fn uid(item: &mut DataSet<'_>, tag: Tag) -> Result<Option<Uid>, Unreadable> {
    Ok(item.find(tag)?.and_then(|element| element.text()).and_then(|text| Uid::new(text).ok()))
}

fn text(item: &mut DataSet<'_>, tag: Tag) -> Result<Text<16>, Unreadable> {
    Ok(item.find(tag)?.and_then(|element| element.text()).map(shown).unwrap_or_default())
}

fn said_mac(item: &mut DataSet<'_>) -> Result<Option<SaidMac>, Unreadable> {
    let Some(sequence) = item.find(tags::REFERENCED_SOP_INSTANCE_MAC_SEQUENCE)? else { return Ok(None) };
    let Some(mut said) = sequence.items().next()? else { return Ok(None) };
    let transfer_syntax_uid = uid(&mut said, tags::MAC_CALCULATION_TRANSFER_SYNTAX_UID)?;
    let algorithm = text(&mut said, tags::MAC_ALGORITHM)?;
    let encoding = said.encoding();
    let signed = said.find(tags::DATA_ELEMENTS_SIGNED)?.map(|signed| signed.value).unwrap_or_default();
    let (signed, _) = signed.as_chunks();
    let signed = signed.iter().take(MAX_SIGNED).map(|[a, b, c, d]| (encoding.u16([*a, *b]), encoding.u16([*c, *d])));
    let signed = signed.collect();
    let mac = said.find(tags::MAC)?.map(|mac| mac.value).unwrap_or_default();
    Ok(Some(SaidMac { transfer_syntax_uid, algorithm, signed, mac: mac.iter().take(64).copied().collect() }))
}
