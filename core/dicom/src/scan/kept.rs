//! What is kept of a walk: the values of the few attributes that intake needs, if they are short.

use std::io::{Read, Seek};

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::head::Head;
use super::{End, Scan};
use crate::encoding::{Encoding, word_len};
use crate::repair::Repair;
use crate::scanned::Kept;
use crate::unreadable::{MAX_KEPT, Unreadable};

/// Attributes whose values are kept, ascending.
pub(super) const KEPT: [Tag; 34] = [
    tags::MEDIA_STORAGE_SOP_CLASS_UID,
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::STUDY_DATE,
    tags::ACCESSION_NUMBER,
    tags::MODALITY,
    tags::STUDY_DESCRIPTION,
    tags::SERIES_DESCRIPTION,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::BODY_PART_EXAMINED,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SERIES_NUMBER,
    tags::ACQUISITION_NUMBER,
    tags::INSTANCE_NUMBER,
    tags::IMAGE_POSITION_PATIENT,
    tags::IMAGE_ORIENTATION_PATIENT,
    tags::TEMPORAL_POSITION_IDENTIFIER,
    tags::NUMBER_OF_STUDY_RELATED_INSTANCES,
    tags::NUMBER_OF_SERIES_RELATED_INSTANCES,
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
];

impl<S: Read + Seek> Scan<S> {
    /// Takes a value if it is short; steps over it if it is long.
    pub(super) fn short_value(&mut self, head: &Head) -> Result<Option<Vec<u8>>, Unreadable> {
        match self.end_of(head, self.input.len())? {
            End::Delimiter(_) => Err(Unreadable::NoLength(head.tag.into())),
            End::At(end) if end - self.input.at() > MAX_KEPT => self.input.skip(end - self.input.at()).map(|()| None),
            End::At(_) => {
                let mut value = vec![0; head.len as usize];
                self.input.take(&mut value)?;
                Ok(Some(value))
            }
        }
    }

    /// Whether an attribute of the data set itself stands a second time and says the same: then it is passed over.
    pub(super) fn is_said_again(&mut self, head: &Head, encoding: Encoding, value: &[u8]) -> Result<bool, Unreadable> {
        let Some(kept) = self.kept.iter().find(|kept| kept.tag == head.tag) else { return Ok(false) };
        let mut value = value.to_vec();
        if encoding.is_big() {
            value.chunks_exact_mut(word_len(head.vr)).for_each(<[u8]>::reverse);
        }
        if kept.value != value || head.patch.is_some() {
            return Err(Unreadable::Twice(head.tag.into()));
        }
        self.repairs.insert(Repair::Twice);
        self.patches.add(head.at, head.size + u64::from(head.len), &[])?;
        Ok(true)
    }

    pub(super) fn keep(&mut self, tag: Tag, value: Vec<u8>) -> Result<(), Unreadable> {
        if self.kept.iter().any(|kept| kept.tag == tag) {
            return Err(Unreadable::Twice(tag.into()));
        }
        self.kept.push(Kept { tag, value });
        Ok(())
    }
}
