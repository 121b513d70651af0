//! What a document has in common with the study that it is part of.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_manifest::Uid;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::elements::DataSet;
use crate::facts::Facts;
use crate::scan;
use crate::text::Charset;
use crate::unreadable::Unreadable;

/// How much of a data set is looked through. The attributes stand in its first kilobytes.
const PREFIX: u64 = 1 << 20;
/// The longest value that is copied; the standard gives 64 characters to each component of a name.
const MAX_VALUE: usize = 1_024;

/// Attributes of PS3.3 C.7.1.1, C.7.2.1 and C.7.5.1 that are taken from an instance; whether they have to be there, if only empty (type 2).
const COPIED: [(Tag, bool); 14] = [
    (tags::SPECIFIC_CHARACTER_SET, false),
    (tags::STUDY_DATE, true),
    (tags::STUDY_TIME, true),
    (tags::ACCESSION_NUMBER, true),
    (tags::INSTITUTION_NAME, false),
    (tags::REFERRING_PHYSICIAN_NAME, true),
    (tags::TIMEZONE_OFFSET_FROM_UTC, false),
    (tags::STUDY_DESCRIPTION, false),
    (tags::PATIENT_NAME, true),
    (tags::PATIENT_ID, true),
    (tags::ISSUER_OF_PATIENT_ID, false),
    (tags::PATIENT_BIRTH_DATE, true),
    (tags::PATIENT_SEX, true),
    (tags::STUDY_ID, true),
];

/// The attributes of patient and study, as an instance has them: byte for byte, in its own character set.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Heading {
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Uid,
    attributes: Vec<(u16, u16, Vec<u8>)>,
}

impl Wire for Heading {
    const NAME: &'static str = "what a study says of itself";
    const MAX_LEN: usize = 65 + 4 + COPIED.len() * (8 + MAX_VALUE);
}

impl std::fmt::Debug for Heading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Heading({:?})", self.study_instance_uid)
    }
}

impl Heading {
    /// Reads them out of a file of `len` bytes.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read<S: Read + Seek>(source: S, len: u64) -> Result<Self, Unreadable> {
        // Nothing here is known to panic. If something does, it costs one file.
        panic::catch_unwind(AssertUnwindSafe(|| Self::of(source, len))).unwrap_or(Err(Unreadable::Panicked))
    }

    fn of<S: Read + Seek>(mut source: S, len: u64) -> Result<Self, Unreadable> {
        let mut scanned = scan::scan(&mut source, len)?;
        let Facts { study_instance_uid, .. } = Facts::of(&scanned)?;
        let bytes = scanned.take_beginning(source, len, PREFIX)?;
        let mut elements = DataSet::new(&bytes, scanned.encoding);
        let mut found = Vec::new();
        // The scan has seen that all of it is sound: an error is the end of what was looked at.
        while let Ok(Some(element)) = elements.next() {
            let is_copied = COPIED.iter().any(|(tag, _)| *tag == element.tag);
            if is_copied && element.value.len() <= MAX_VALUE {
                found.push((element.tag, element.value.trim_ascii_end()));
            }
            if element.tag > tags::STUDY_ID {
                break;
            }
        }
        let mut attributes = Vec::new();
        for (tag, is_required) in COPIED {
            let value = found.iter().find(|(found, _)| *found == tag).map(|(_, value)| value.to_vec());
            let value = value.or(is_required.then(Vec::new));
            attributes.extend(value.map(|value| (tag.0, tag.1, value)));
        }
        Ok(Self { study_instance_uid, attributes })
    }

    /// The attributes but for the character set, ascending, in UTF-8; what its character set does not have is marked.
    pub(crate) fn in_utf8(&self) -> Vec<(Tag, Vec<u8>)> {
        let charset = self.attributes().find(|(tag, _)| *tag == tags::SPECIFIC_CHARACTER_SET).map(|(_, value)| value);
        let charset = Charset::of(charset);
        let others = self.attributes().filter(|(tag, _)| *tag != tags::SPECIFIC_CHARACTER_SET);
        let is_name = |tag| tag == tags::PATIENT_NAME || tag == tags::REFERRING_PHYSICIAN_NAME;
        others.map(|(tag, value)| (tag, charset.decode_marked(value, is_name(tag)).into_bytes())).collect()
    }

    /// The attributes, ascending.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (Tag, &[u8])> {
        self.attributes.iter().map(|(group, element, value)| (Tag(*group, *element), value.as_slice()))
    }
}
