//! What all files of a study have in common.

use clavicle_dicom::implementation::IMPLEMENTATION_VERSION_NAME;
use clavicle_manifest::{Date, StoredDigest, Uid};
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::elements::Elements;
use super::{Kind, Phantom};

/// TM of everything: nobody was in a scanner at any time, but some objects must have one, and Study Time is looked for.
pub(super) const TIME: &str = "120000";

/// What the instances of a series have in common.
pub(super) struct Series {
    pub folder: &'static str,
    pub number: u16,
    pub description: &'static str,
    pub modality: &'static str,
    pub sop_class: &'static str,
}

impl Series {
    /// Where an instance belongs in a folder.
    pub(super) fn file_name(&self, number: u16) -> String {
        format!("{}/{number:04}.dcm", self.folder)
    }
}

impl Phantom {
    /// A UID made of a UUID (PS3.5 B.2), and that of the kind, the seed and what it names.
    pub(super) fn uid(&self, what: &str) -> Uid {
        let kind = if self.kind == Kind::ChestCt { String::new() } else { format!("{} ", self.kind) };
        let digest = StoredDigest::of(format!("clavicle phantom {kind}{} {what}", self.seed).as_bytes());
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&digest.as_bytes()[..16]);
        // RFC 9562 §5.8: version 8 is for those who make their own.
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Uid::new(&format!("2.25.{}", u128::from_be_bytes(uuid))).expect("it has 44 characters at most")
    }

    pub(super) fn series_uid(&self, series: &Series) -> Uid {
        self.uid(&format!("series {}", series.number))
    }

    pub(super) fn instance_uid(&self, series: &Series, number: u16) -> Uid {
        self.uid(&format!("instance {number} of series {}", series.number))
    }

    /// The modules that every instance has: Patient, General Study, General Series, General Equipment, SOP Common (PS3.3 C.7.1.1,
    /// C.7.2.1, C.7.3.1, C.7.5.1, C.12.1).
    pub(super) fn instance(&self, series: &Series, number: u16) -> Elements {
        let date = day(self.study_date);
        let mut elements = Elements::new();
        elements.put_all(&[
            (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
            (tags::SOP_CLASS_UID, VR::UI, series.sop_class),
            (tags::SOP_INSTANCE_UID, VR::UI, self.instance_uid(series, number).as_str()),
            (tags::STUDY_DATE, VR::DA, &date),
            (tags::SERIES_DATE, VR::DA, &date),
            (tags::CONTENT_DATE, VR::DA, &date),
            (tags::STUDY_TIME, VR::TM, TIME),
            (tags::CONTENT_TIME, VR::TM, TIME),
            (tags::ACCESSION_NUMBER, VR::SH, self.accession_number.as_str()),
            (tags::MODALITY, VR::CS, series.modality),
            (tags::MANUFACTURER, VR::LO, "Clavicle"),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, ""),
            (tags::STUDY_DESCRIPTION, VR::LO, self.description.as_str()),
            (tags::SERIES_DESCRIPTION, VR::LO, series.description),
            (tags::MANUFACTURER_MODEL_NAME, VR::LO, "Synthetic phantom"),
            (tags::PATIENT_NAME, VR::PN, self.patient_name.as_str()),
            (tags::PATIENT_ID, VR::LO, self.patient_id.as_str()),
            (tags::PATIENT_BIRTH_DATE, VR::DA, &day(self.birth_date)),
            (tags::PATIENT_SEX, VR::CS, "O"),
            (tags::DEVICE_SERIAL_NUMBER, VR::LO, &self.seed.to_string()),
            (tags::SOFTWARE_VERSIONS, VR::LO, IMPLEMENTATION_VERSION_NAME),
            (tags::STUDY_INSTANCE_UID, VR::UI, self.uid("study").as_str()),
            (tags::SERIES_INSTANCE_UID, VR::UI, self.series_uid(series).as_str()),
            (tags::STUDY_ID, VR::SH, &self.kind.study_id().to_string()),
            (tags::SERIES_NUMBER, VR::IS, &series.number.to_string()),
            (tags::INSTANCE_NUMBER, VR::IS, &number.to_string()),
        ]);
        elements
    }

    /// The same, and what every image has besides (PS3.3 C.7.6.1).
    pub(super) fn image(&self, series: &Series, number: u16, body_part: &str, image_type: &str) -> Elements {
        let mut elements = self.instance(series, number);
        elements.put_all(&[
            (tags::IMAGE_TYPE, VR::CS, image_type),
            (tags::BODY_PART_EXAMINED, VR::CS, body_part),
            (tags::IMAGE_COMMENTS, VR::LT, "Synthetic phantom: not an image of a person"),
            // The word in the corner names nobody.
            (tags::BURNED_IN_ANNOTATION, VR::CS, "NO"),
            (tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00"),
        ]);
        elements
    }

    /// The same, and what the General Image module has for images that are not enhanced.
    pub(super) fn acquired(&self, series: &Series, number: u16, body_part: &str, image_type: &str) -> Elements {
        let mut elements = self.image(series, number, body_part, image_type);
        elements.put_all(&[
            (tags::ACQUISITION_DATE, VR::DA, &day(self.study_date)),
            (tags::ACQUISITION_NUMBER, VR::IS, &series.number.to_string()),
            // It also means: a phantom image.
            (tags::QUALITY_CONTROL_IMAGE, VR::CS, "YES"),
        ]);
        elements
    }

    /// The Frame of Reference module (PS3.3 C.7.4.1): all series of the study lie in one.
    pub(super) fn frame_of_reference(&self, elements: &mut Elements) {
        elements.put(tags::FRAME_OF_REFERENCE_UID, VR::UI, self.uid("frame of reference").as_str());
        elements.put(tags::POSITION_REFERENCE_INDICATOR, VR::LO, "");
    }

    /// An item that names an instance (PS3.3 §10.8).
    pub(super) fn reference(&self, series: &Series, number: u16) -> Elements {
        let mut item = Elements::new();
        item.put(tags::REFERENCED_SOP_CLASS_UID, VR::UI, series.sop_class);
        item.put(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, self.instance_uid(series, number).as_str());
        item
    }
}

/// DA (PS3.5 §6.2).
pub(super) fn day(date: Date) -> String {
    let (year, month, day) = date.parts();
    format!("{year:04}{month:02}{day:02}")
}
