//! What a record says: its type, by the class of its instance, and the keys of that type (PS3.3 F.5).

use clavicle_manifest::Uid;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::{Record, ReferencedFile};
use crate::elements::DataSet;
use crate::encode::Elements;
use crate::encoding::{Encoding, listed_vr};
use crate::pick::Picked;

/// A key, and what stands for it where the instance does not say.
type Key = (Tag, Lacking);

/// What becomes of a key that an instance lacks.
#[derive(Clone, Copy)]
enum Lacking {
    /// It is left out.
    LeftOut,
    /// It is empty: a day or a word that nobody told is not made up.
    Empty,
    /// Its number among its likes, where an order is all that it is for.
    Numbered,
    /// This.
    Said(&'static str),
}

use Lacking::{Empty, LeftOut, Numbered, Said};

const PATIENT: &[Key] = &[
    (tags::PATIENT_NAME, Empty),
    // Type 1: a reader may refuse a record without one.
    (tags::PATIENT_ID, Said("UNKNOWN")),
    (tags::ISSUER_OF_PATIENT_ID, LeftOut),
    (tags::PATIENT_BIRTH_DATE, LeftOut),
    (tags::PATIENT_SEX, LeftOut),
];
const STUDY: &[Key] = &[
    (tags::STUDY_DATE, Empty),
    (tags::STUDY_TIME, Empty),
    (tags::ACCESSION_NUMBER, Empty),
    (tags::STUDY_DESCRIPTION, Empty),
    (tags::STUDY_INSTANCE_UID, Empty),
    (tags::STUDY_ID, Numbered),
];
const SERIES: &[Key] = &[
    (tags::MODALITY, Said("OT")),
    (tags::SERIES_DESCRIPTION, LeftOut),
    (tags::SERIES_INSTANCE_UID, Empty),
    (tags::SERIES_NUMBER, Numbered),
];
const DATED: &[Key] = &[(tags::CONTENT_DATE, Empty), (tags::CONTENT_TIME, Empty), (tags::INSTANCE_NUMBER, Numbered)];
const IMAGE: &[Key] = &[(tags::INSTANCE_NUMBER, Numbered)];
const SR_DOCUMENT: &[Key] = &[
    (tags::CONTENT_DATE, Empty),
    (tags::CONTENT_TIME, Empty),
    (tags::INSTANCE_NUMBER, Numbered),
    (tags::VERIFICATION_DATE_TIME, LeftOut),
    (tags::CONCEPT_NAME_CODE_SEQUENCE, Empty),
    (tags::COMPLETION_FLAG, Said("PARTIAL")),
    (tags::VERIFICATION_FLAG, Said("UNVERIFIED")),
];
const KEY_OBJECT_DOC: &[Key] = &[
    (tags::CONTENT_DATE, Empty),
    (tags::CONTENT_TIME, Empty),
    (tags::INSTANCE_NUMBER, Numbered),
    (tags::CONCEPT_NAME_CODE_SEQUENCE, Empty),
];
const ENCAP_DOC: &[Key] = &[
    (tags::CONTENT_DATE, Empty),
    (tags::CONTENT_TIME, Empty),
    (tags::INSTANCE_NUMBER, Numbered),
    (tags::CONCEPT_NAME_CODE_SEQUENCE, Empty),
    (tags::HL7_INSTANCE_IDENTIFIER, LeftOut),
    (tags::DOCUMENT_TITLE, Empty),
    (tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, Said("application/octet-stream")),
];
const PRESENTATION: &[Key] = &[
    (tags::REFERENCED_SERIES_SEQUENCE, LeftOut),
    (tags::INSTANCE_NUMBER, Numbered),
    (tags::CONTENT_LABEL, Said("UNNAMED")),
    (tags::CONTENT_DESCRIPTION, Empty),
    (tags::PRESENTATION_CREATION_DATE, Empty),
    (tags::PRESENTATION_CREATION_TIME, Empty),
    (tags::CONTENT_CREATOR_NAME, Empty),
    (tags::BLENDING_SEQUENCE, LeftOut),
];
const IDENTIFIED: &[Key] = &[
    (tags::CONTENT_DATE, Empty),
    (tags::CONTENT_TIME, Empty),
    (tags::INSTANCE_NUMBER, Numbered),
    (tags::CONTENT_LABEL, Said("UNNAMED")),
    (tags::CONTENT_DESCRIPTION, Empty),
    (tags::CONTENT_CREATOR_NAME, Empty),
];
const SPECTROSCOPY: &[Key] = &[
    (tags::IMAGE_TYPE, Empty),
    (tags::CONTENT_DATE, Empty),
    (tags::CONTENT_TIME, Empty),
    (tags::DATA_POINT_ROWS, LeftOut),
    (tags::DATA_POINT_COLUMNS, LeftOut),
    (tags::INSTANCE_NUMBER, Numbered),
    (tags::NUMBER_OF_FRAMES, LeftOut),
    (tags::ROWS, LeftOut),
    (tags::COLUMNS, LeftOut),
];
const RT_DOSE: &[Key] = &[(tags::INSTANCE_NUMBER, Numbered), (tags::DOSE_SUMMATION_TYPE, Empty)];
const RT_STRUCTURE_SET: &[Key] = &[
    (tags::INSTANCE_NUMBER, Numbered),
    (tags::STRUCTURE_SET_LABEL, Said("UNNAMED")),
    (tags::STRUCTURE_SET_DATE, Empty),
    (tags::STRUCTURE_SET_TIME, Empty),
];
const RT_PLAN: &[Key] = &[
    (tags::INSTANCE_NUMBER, Numbered),
    (tags::RT_PLAN_LABEL, Said("UNNAMED")),
    (tags::RT_PLAN_DATE, Empty),
    (tags::RT_PLAN_TIME, Empty),
];
const RT_TREAT_RECORD: &[Key] =
    &[(tags::INSTANCE_NUMBER, Numbered), (tags::TREATMENT_DATE, Empty), (tags::TREATMENT_TIME, Empty)];

/// The type of record for an instance of a class, and its keys (PS3.3 table F.4-1).
fn of_class(sop_class_uid: &Uid, has_pixels: bool) -> (&'static str, &'static [Key]) {
    let uid = sop_class_uid.as_str();
    match uid {
        uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE => return ("KEY OBJECT DOC", KEY_OBJECT_DOC),
        uids::RT_DOSE_STORAGE => return ("RT DOSE", RT_DOSE),
        uids::RT_STRUCTURE_SET_STORAGE => return ("RT STRUCTURE SET", RT_STRUCTURE_SET),
        uids::RT_PLAN_STORAGE | uids::RT_ION_PLAN_STORAGE => return ("RT PLAN", RT_PLAN),
        uids::RT_BEAMS_TREATMENT_RECORD_STORAGE
        | uids::RT_BRACHY_TREATMENT_RECORD_STORAGE
        | uids::RT_TREATMENT_SUMMARY_RECORD_STORAGE
        | uids::RT_ION_BEAMS_TREATMENT_RECORD_STORAGE => return ("RT TREAT RECORD", RT_TREAT_RECORD),
        uids::MR_SPECTROSCOPY_STORAGE => return ("SPECTROSCOPY", SPECTROSCOPY),
        uids::RAW_DATA_STORAGE => return ("RAW DATA", DATED),
        uids::SPATIAL_REGISTRATION_STORAGE | uids::DEFORMABLE_SPATIAL_REGISTRATION_STORAGE => {
            return ("REGISTRATION", IDENTIFIED);
        }
        uids::SPATIAL_FIDUCIALS_STORAGE => return ("FIDUCIAL", IDENTIFIED),
        uids::REAL_WORLD_VALUE_MAPPING_STORAGE => return ("VALUE MAP", IDENTIFIED),
        uids::SURFACE_SEGMENTATION_STORAGE => return ("SURFACE", IDENTIFIED),
        uids::TRACTOGRAPHY_RESULTS_STORAGE => return ("TRACT", IDENTIFIED),
        uids::STEREOMETRIC_RELATIONSHIP_STORAGE => return ("STEREOMETRIC", &[]),
        _ => {}
    }
    let within = |root: &str| uid.strip_prefix(root).is_some();
    if within("1.2.840.10008.5.1.4.1.1.88.") {
        ("SR DOCUMENT", SR_DOCUMENT)
    } else if within("1.2.840.10008.5.1.4.1.1.104.") {
        ("ENCAP DOC", ENCAP_DOC)
    } else if within("1.2.840.10008.5.1.4.1.1.11.") {
        ("PRESENTATION", PRESENTATION)
    } else if within("1.2.840.10008.5.1.4.1.1.9.") {
        ("WAVEFORM", DATED)
    } else if within("1.2.840.10008.5.1.4.1.1.78.") || within("1.2.840.10008.5.1.4.1.1.79.") {
        ("MEASUREMENT", DATED)
    } else if has_pixels {
        ("IMAGE", IMAGE)
    } else {
        ("PRIVATE", IMAGE)
    }
}

impl Record {
    /// A patient, with the studies below: as an instance of one of them says.
    #[must_use]
    pub fn patient(picked: &Picked, lower: Vec<Record>) -> Self {
        Self { kind: "PATIENT", private: None, file: None, keys: keys(picked, PATIENT, 1), lower }
    }

    /// A study, the so-manieth, with its series.
    #[must_use]
    pub fn study(picked: &Picked, number: usize, lower: Vec<Record>) -> Self {
        Self { kind: "STUDY", private: None, file: None, keys: keys(picked, STUDY, number), lower }
    }

    /// A series, the so-manieth of its study, with its instances.
    #[must_use]
    pub fn series(picked: &Picked, number: usize, lower: Vec<Record>) -> Self {
        Self { kind: "SERIES", private: None, file: None, keys: keys(picked, SERIES, number), lower }
    }

    /// An instance, the so-manieth of its series.
    #[must_use]
    pub fn instance(picked: &Picked, number: usize, has_pixels: bool, file: ReferencedFile) -> Self {
        let (kind, wanted) = of_class(&file.sop_class_uid, has_pixels);
        let private = (kind == "PRIVATE").then_some(file.sop_class_uid);
        Self { kind, private, file: Some(file), keys: keys(picked, wanted, number), lower: Vec::new() }
    }
}

/// The keys, each as the instance has it, in the instance's own character set.
fn keys(picked: &Picked, wanted: &[Key], number: usize) -> Elements {
    let mut all = Elements::default();
    if let Some(charset) = picked.value(tags::SPECIFIC_CHARACTER_SET) {
        all = all.bytes(tags::SPECIFIC_CHARACTER_SET, charset);
    }
    for (tag, lacking) in wanted {
        let verified = (*tag == tags::VERIFICATION_DATE_TIME).then(|| verified_at(picked)).flatten();
        let value = picked.value(*tag).map(<[u8]>::to_vec).or(verified);
        let value = match (value, lacking) {
            (Some(value), _) => value,
            (None, LeftOut) => continue,
            (None, Empty) => Vec::new(),
            (None, Numbered) => number.to_string().into_bytes(),
            (None, Said(text)) => text.as_bytes().to_vec(),
        };
        let is_sequence = listed_vr(*tag) == Some(VR::SQ);
        all = if is_sequence { all.written_items(*tag, &value) } else { all.bytes(*tag, &value) };
    }
    all
}

/// Verification DateTime (0040,A030), of the observer who verified last (PS3.3 F.5.24).
fn verified_at(picked: &Picked) -> Option<Vec<u8>> {
    let sequence = picked.value(tags::VERIFYING_OBSERVER_SEQUENCE)?;
    let element = Elements::default().written_items(tags::VERIFYING_OBSERVER_SEQUENCE, sequence).into_bytes();
    let mut items = DataSet::new(&element, Encoding::ExplicitLittle).next().ok()??.items();
    let mut latest = None;
    while let Ok(Some(mut item)) = items.next() {
        let at = item.find(tags::VERIFICATION_DATE_TIME).ok()?.and_then(|at| at.text());
        latest = latest.max(at.map(|at| at.as_bytes().to_vec()));
    }
    latest
}
