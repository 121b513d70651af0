//! Picking: a few attributes of an instance, as they are written, for a table of contents and for telling whose it is.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use crate::elements::{DataSet, Element};
use crate::encoding::{Encoding, is_text, listed_vr};
use crate::recode::Recoder;
use crate::scan;
use crate::unreadable::Unreadable;

/// How much of a data set is looked through.
const PREFIX: u64 = 16 << 20;
/// The longest value that is taken.
const MAX_VALUE: usize = 64 << 10;

/// What is taken, ascending: what the records of a DICOMDIR hold (PS3.3 F.5), what says whose an instance is, which side it
/// shows, and what a document is to others.
const WANTED: [Tag; 62] = [
    tags::SPECIFIC_CHARACTER_SET,
    tags::IMAGE_TYPE,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::STUDY_DATE,
    tags::CONTENT_DATE,
    tags::STUDY_TIME,
    tags::CONTENT_TIME,
    tags::ACCESSION_NUMBER,
    tags::MODALITY,
    tags::STUDY_DESCRIPTION,
    tags::SERIES_DESCRIPTION,
    tags::REFERENCED_SERIES_SEQUENCE,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::DATA_POINT_ROWS,
    tags::DATA_POINT_COLUMNS,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::STUDY_ID,
    tags::SERIES_NUMBER,
    tags::INSTANCE_NUMBER,
    tags::PATIENT_ORIENTATION,
    tags::LATERALITY,
    tags::IMAGE_LATERALITY,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::CONCEPT_NAME_CODE_SEQUENCE,
    tags::VERIFYING_OBSERVER_SEQUENCE,
    tags::PREDECESSOR_DOCUMENTS_SEQUENCE,
    tags::COMPLETION_FLAG,
    tags::VERIFICATION_FLAG,
    tags::PRELIMINARY_FLAG,
    tags::HL7_INSTANCE_IDENTIFIER,
    tags::DOCUMENT_TITLE,
    tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT,
    tags::CONTENT_LABEL,
    tags::CONTENT_DESCRIPTION,
    tags::PRESENTATION_CREATION_DATE,
    tags::PRESENTATION_CREATION_TIME,
    tags::CONTENT_CREATOR_NAME,
    tags::BLENDING_SEQUENCE,
    tags::DOSE_SUMMATION_TYPE,
    tags::STRUCTURE_SET_LABEL,
    tags::STRUCTURE_SET_DATE,
    tags::STRUCTURE_SET_TIME,
    tags::TREATMENT_DATE,
    tags::TREATMENT_TIME,
    tags::RT_PLAN_LABEL,
    tags::RT_PLAN_DATE,
    tags::RT_PLAN_TIME,
    tags::HANGING_PROTOCOL_NAME,
    tags::HANGING_PROTOCOL_DESCRIPTION,
    tags::HANGING_PROTOCOL_LEVEL,
    tags::HANGING_PROTOCOL_CREATOR,
    tags::HANGING_PROTOCOL_CREATION_DATE_TIME,
    tags::HANGING_PROTOCOL_DEFINITION_SEQUENCE,
    tags::NUMBER_OF_PRIORS_REFERENCED,
];

/// What was taken of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Picked {
    attributes: BTreeMap<(u16, u16), Vec<u8>>,
}

impl Picked {
    /// Reads a file of `len` bytes.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read<S: Read + Seek>(source: S, len: u64) -> Result<Self, Unreadable> {
        // Nothing here is known to panic. If something does, it costs one file.
        panic::catch_unwind(AssertUnwindSafe(|| Self::of(source, len))).unwrap_or(Err(Unreadable::Panicked))
    }

    fn of<S: Read + Seek>(mut source: S, len: u64) -> Result<Self, Unreadable> {
        let mut scanned = scan::scan(&mut source, len)?;
        let bytes = scanned.take_beginning(source, len, PREFIX)?;
        let mut elements = DataSet::new(&bytes, scanned.encoding);
        let mut attributes = BTreeMap::new();
        // The scan has seen that all of it is sound: an error is the end of what was looked at.
        while let Ok(Some(element)) = elements.next() {
            if WANTED.contains(&element.tag) && element.value.len() <= MAX_VALUE {
                attributes.insert((element.tag.0, element.tag.1), value_of(&element)?);
            }
            if element.tag > tags::NUMBER_OF_PRIORS_REFERENCED && element.tag > tags::RT_PLAN_TIME {
                break;
            }
        }
        Ok(Self { attributes })
    }

    /// A value as it is written, numbers in little endian, without padding; the items of a sequence in explicit VR little endian.
    #[must_use]
    pub fn value(&self, tag: Tag) -> Option<&[u8]> {
        self.attributes.get(&(tag.0, tag.1)).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    /// A value that is ASCII.
    #[must_use]
    pub fn text(&self, tag: Tag) -> Option<&str> {
        core::str::from_utf8(self.value(tag)?).ok().filter(|text| text.is_ascii())
    }
}

fn value_of(element: &Element<'_>) -> Result<Vec<u8>, Unreadable> {
    let recoder = Recoder { to: Encoding::ExplicitLittle, is_signed: false };
    if element.vr() == VR::SQ {
        return recoder.items(element, 0);
    }
    let value = recoder.value(element);
    let is_text = listed_vr(element.tag).is_some_and(is_text);
    Ok(if is_text { trimmed(&value).to_vec() } else { value })
}

/// Without padding, at the end only: a space in front means something in some texts.
fn trimmed(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
    &value[..end]
}
