//! The document, encoded: the modules of the Key Object Selection Document IOD (PS3.3 A.35.4), explicit VR little endian.

use clavicle_manifest::Uid;
use dicom_core::Tag;
use dicom_core::dictionary::{UidDictionary as _, UidDictionaryEntry as _};
use dicom_dictionary_std::{StandardSopClassDictionary, tags, uids};

use super::{Document, Heading, Listed, Time};
use crate::encode::{Elements, bare, file_head};
use crate::implementation::IMPLEMENTATION_VERSION_NAME;

impl Document {
    /// The document of a study, as a DICOM file: these instances, with the MAC of each.
    #[must_use]
    pub fn encode(&self, heading: &Heading, listed: &[Listed<'_>]) -> Vec<u8> {
        let head = file_head(
            uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE,
            &self.sop_instance_uid(),
            uids::EXPLICIT_VR_LITTLE_ENDIAN,
        );
        [head, self.data_set(heading, listed).into_bytes()].concat()
    }

    fn data_set(&self, heading: &Heading, listed: &[Listed<'_>]) -> Elements {
        let Self { title, date, time: Time { hour, minute, second }, series_number, random: _ } = self;
        let (year, month, day) = date.parts();
        let own = Elements::default;
        // Each by itself, so that they can be put in the order of their tags with those of the study.
        let mut all = vec![
            (tags::SOP_CLASS_UID, own().text(tags::SOP_CLASS_UID, uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE)),
            (tags::SOP_INSTANCE_UID, own().uid(tags::SOP_INSTANCE_UID, &self.sop_instance_uid())),
            (tags::CONTENT_DATE, own().text(tags::CONTENT_DATE, format!("{year:04}{month:02}{day:02}"))),
            (tags::CONTENT_TIME, own().text(tags::CONTENT_TIME, format!("{hour:02}{minute:02}{second:02}"))),
            (tags::MODALITY, own().text(tags::MODALITY, "KO")),
            // The equipment is what made this document, and not what made the images.
            (tags::MANUFACTURER, own().text(tags::MANUFACTURER, "Clavicle")),
            (
                tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,
                own().items(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, []),
            ),
            (tags::SOFTWARE_VERSIONS, own().text(tags::SOFTWARE_VERSIONS, IMPLEMENTATION_VERSION_NAME)),
            (tags::STUDY_INSTANCE_UID, own().uid(tags::STUDY_INSTANCE_UID, &heading.study_instance_uid)),
            (tags::SERIES_INSTANCE_UID, own().uid(tags::SERIES_INSTANCE_UID, &self.series_instance_uid())),
            (tags::SERIES_NUMBER, own().text(tags::SERIES_NUMBER, series_number.to_string())),
            (tags::INSTANCE_NUMBER, own().text(tags::INSTANCE_NUMBER, "1")),
            (tags::VALUE_TYPE, own().text(tags::VALUE_TYPE, "CONTAINER")),
            (
                tags::CONCEPT_NAME_CODE_SEQUENCE,
                own().items(
                    tags::CONCEPT_NAME_CODE_SEQUENCE,
                    [Elements::code(title.value.as_str(), title.scheme.as_str(), title.meaning.as_str())],
                ),
            ),
            (tags::CONTINUITY_OF_CONTENT, own().text(tags::CONTINUITY_OF_CONTENT, "SEPARATE")),
            (
                tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
                own().items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, [evidence(heading, listed)]),
            ),
            (
                tags::CONTENT_TEMPLATE_SEQUENCE,
                own().items(
                    tags::CONTENT_TEMPLATE_SEQUENCE,
                    [own().text(tags::MAPPING_RESOURCE, "DCMR").text(tags::TEMPLATE_IDENTIFIER, "2010")],
                ),
            ),
            (tags::CONTENT_SEQUENCE, own().items(tags::CONTENT_SEQUENCE, listed.iter().map(content))),
        ];
        all.extend(heading.attributes().map(|(tag, value)| (tag, own().bytes(tag, value))));
        all.sort_by_key(|(tag, _)| *tag);
        all.into_iter().fold(own(), |whole, (_, element)| whole.written(&element.into_bytes()))
    }
}

/// The Hierarchical SOP Instance Reference Macro (PS3.3 C.17.2.1). Those of a series stand together, as the manifest has them.
fn evidence(heading: &Heading, listed: &[Listed<'_>]) -> Elements {
    let series = listed.chunk_by(|one, next| one.series_instance_uid == next.series_instance_uid).map(|series| {
        let instances = series.iter().map(|one| {
            let mac = Elements::default()
                .uid(tags::MAC_CALCULATION_TRANSFER_SYNTAX_UID, &one.mac.transfer_syntax_uid)
                .text(tags::MAC_ALGORITHM, "SHA256")
                .bytes(
                    tags::DATA_ELEMENTS_SIGNED,
                    &one.mac.signed.iter().flat_map(|(group, element)| bare(Tag(*group, *element))).collect::<Vec<_>>(),
                )
                .bytes(tags::MAC, &one.mac.value);
            reference(one).items(tags::REFERENCED_SOP_INSTANCE_MAC_SEQUENCE, [mac])
        });
        let item = Elements::default().items(tags::REFERENCED_SOP_SEQUENCE, instances);
        item.uid(tags::SERIES_INSTANCE_UID, &series[0].series_instance_uid)
    });
    let item = Elements::default().items(tags::REFERENCED_SERIES_SEQUENCE, series);
    item.uid(tags::STUDY_INSTANCE_UID, &heading.study_instance_uid)
}

/// The SOP Instance Reference Macro (PS3.3 §10.8).
fn reference(listed: &Listed<'_>) -> Elements {
    let item = Elements::default().uid(tags::REFERENCED_SOP_CLASS_UID, &listed.instance.sop_class_uid);
    item.uid(tags::REFERENCED_SOP_INSTANCE_UID, &listed.instance.sop_instance_uid)
}

/// A content item of TID 2010.
fn content(listed: &Listed<'_>) -> Elements {
    Elements::default()
        .items(tags::REFERENCED_SOP_SEQUENCE, [reference(listed)])
        .text(tags::RELATIONSHIP_TYPE, "CONTAINS")
        .text(tags::VALUE_TYPE, value_type(listed.instance.sop_class_uid, listed.instance.frames))
}

/// What a content item says it refers to (PS3.3 C.17.3).
fn value_type(sop_class_uid: Uid, frames: u32) -> &'static str {
    let has_pixels = frames > 0;
    match StandardSopClassDictionary.by_uid(sop_class_uid.as_str()).map(|class| class.name()) {
        Some(name) if name.contains("Waveform") || name.contains("ECG") => "WAVEFORM",
        // An image whose pixels are not there is still of an image's class.
        Some(name) if name.contains("Image Storage") => "IMAGE",
        _ if has_pixels => "IMAGE",
        _ => "COMPOSITE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_referred_to_is_told_by_its_class() {
        let cases = [
            (uids::CT_IMAGE_STORAGE, 0, "IMAGE"),
            (uids::RT_DOSE_STORAGE, 4, "IMAGE"),
            (uids::RT_PLAN_STORAGE, 0, "COMPOSITE"),
            (uids::TWELVE_LEAD_ECG_WAVEFORM_STORAGE, 0, "WAVEFORM"),
            (uids::ENHANCED_SR_STORAGE, 0, "COMPOSITE"),
            (uids::SEGMENTATION_STORAGE, 3, "IMAGE"),
            ("1.2.3", 1, "IMAGE"),
            ("1.2.3", 0, "COMPOSITE"),
        ];
        for (class, frames, expected) in cases {
            assert_eq!(value_type(Uid::new(class).unwrap(), frames), expected, "{class}");
        }
    }
}
