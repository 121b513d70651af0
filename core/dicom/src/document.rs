//! Documents made of reports that are none: a PDF becomes an Encapsulated PDF (PS3.3 A.45.1), a text a Basic Text SR (PS3.3 A.35.1), so that an archive
//! of images has the report too. They say what made them, and nothing that the report does not say.

use clavicle_manifest::{Date, Uid};
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use crate::encode::{Elements, file_head};
use crate::implementation::IMPLEMENTATION_VERSION_NAME;
use crate::kos::Heading;

/// What a document says of itself.
#[derive(Clone, Debug)]
pub struct Imprint {
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Uid,
    /// What it is called: Document Title (0042,0010), Series Description (0008,103E).
    pub title: String,
    /// Content Date (0008,0023) and Content Time (0008,0033), with hours, minutes and seconds; none where nobody knows.
    pub written: Option<(Date, (u8, u8, u8))>,
    /// Whether the report says that it stands.
    pub is_complete: bool,
}

/// Series Number (0020,0011): behind those of the images, as a rule.
const SERIES_NUMBER: &str = "9001";
/// The longest title, in characters (LO).
const MAX_TITLE: usize = 64;

/// A PDF as an instance of its study, as a DICOM file.
#[must_use]
pub fn encapsulated_pdf(heading: &Heading, imprint: &Imprint, pdf: &[u8]) -> Vec<u8> {
    let own = Elements::default;
    let of = vec![
        (tags::MODALITY, own().text(tags::MODALITY, "DOC")),
        // By a program, and not by a scanner or a camera.
        (tags::CONVERSION_TYPE, own().text(tags::CONVERSION_TYPE, "WSD")),
        (tags::ACQUISITION_DATE_TIME, own().text(tags::ACQUISITION_DATE_TIME, "")),
        // It has the patient's name on it, as a rule.
        (tags::BURNED_IN_ANNOTATION, own().text(tags::BURNED_IN_ANNOTATION, "YES")),
        (tags::CONCEPT_NAME_CODE_SEQUENCE, own().items(tags::CONCEPT_NAME_CODE_SEQUENCE, [])),
        (tags::DOCUMENT_TITLE, own().text(tags::DOCUMENT_TITLE, title(imprint))),
        (
            tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT,
            own().text(tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, "application/pdf"),
        ),
        (tags::ENCAPSULATED_DOCUMENT, own().bytes(tags::ENCAPSULATED_DOCUMENT, pdf)),
    ];
    written(heading, imprint, uids::ENCAPSULATED_PDF_STORAGE, of)
}

/// A text as an instance of its study, as a DICOM file. A structured report has to say when it was written (type 1).
#[must_use]
pub fn text_report(heading: &Heading, imprint: &Imprint, text: &str) -> Vec<u8> {
    let own = Elements::default;
    let item = own()
        .text(tags::RELATIONSHIP_TYPE, "CONTAINS")
        .text(tags::VALUE_TYPE, "TEXT")
        .items(tags::CONCEPT_NAME_CODE_SEQUENCE, [Elements::code("121071", "DCM", "Finding")])
        .text(tags::TEXT_VALUE, text);
    let of = vec![
        (tags::MODALITY, own().text(tags::MODALITY, "SR")),
        (
            tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,
            own().items(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, []),
        ),
        (tags::VALUE_TYPE, own().text(tags::VALUE_TYPE, "CONTAINER")),
        (
            tags::CONCEPT_NAME_CODE_SEQUENCE,
            own().items(
                tags::CONCEPT_NAME_CODE_SEQUENCE,
                [Elements::code("18748-4", "LN", "Diagnostic imaging report")],
            ),
        ),
        (tags::CONTINUITY_OF_CONTENT, own().text(tags::CONTINUITY_OF_CONTENT, "SEPARATE")),
        (tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, own().items(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, [])),
        (
            tags::COMPLETION_FLAG,
            own().text(tags::COMPLETION_FLAG, if imprint.is_complete { "COMPLETE" } else { "PARTIAL" }),
        ),
        // Whoever verified the report did not verify this copy of it.
        (tags::VERIFICATION_FLAG, own().text(tags::VERIFICATION_FLAG, "UNVERIFIED")),
        (tags::CONTENT_SEQUENCE, own().items(tags::CONTENT_SEQUENCE, [item])),
    ];
    written(heading, imprint, uids::BASIC_TEXT_SR_STORAGE, of)
}

/// The file: what both have in common, and the rest, in the order of the tags.
fn written(heading: &Heading, imprint: &Imprint, class: &str, of: Vec<(Tag, Elements)>) -> Vec<u8> {
    let Imprint { sop_instance_uid, series_instance_uid, written, .. } = imprint;
    let (date, time) = written.map_or_else(Default::default, |(date, (hour, minute, second))| {
        let (year, month, day) = date.parts();
        (format!("{year:04}{month:02}{day:02}"), format!("{hour:02}{minute:02}{second:02}"))
    });
    let own = Elements::default;
    let mut all = vec![
        (tags::SPECIFIC_CHARACTER_SET, own().text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192")),
        (tags::SOP_CLASS_UID, own().text(tags::SOP_CLASS_UID, class)),
        (tags::SOP_INSTANCE_UID, own().uid(tags::SOP_INSTANCE_UID, sop_instance_uid)),
        (tags::CONTENT_DATE, own().text(tags::CONTENT_DATE, date)),
        (tags::CONTENT_TIME, own().text(tags::CONTENT_TIME, time)),
        (tags::MANUFACTURER, own().text(tags::MANUFACTURER, "Clavicle")),
        (tags::SERIES_DESCRIPTION, own().text(tags::SERIES_DESCRIPTION, title(imprint))),
        (tags::SOFTWARE_VERSIONS, own().text(tags::SOFTWARE_VERSIONS, IMPLEMENTATION_VERSION_NAME)),
        (tags::STUDY_INSTANCE_UID, own().uid(tags::STUDY_INSTANCE_UID, &heading.study_instance_uid)),
        (tags::SERIES_INSTANCE_UID, own().uid(tags::SERIES_INSTANCE_UID, series_instance_uid)),
        (tags::SERIES_NUMBER, own().text(tags::SERIES_NUMBER, SERIES_NUMBER)),
        (tags::INSTANCE_NUMBER, own().text(tags::INSTANCE_NUMBER, "1")),
    ];
    all.extend(of);
    all.extend(heading.in_utf8().into_iter().map(|(tag, value)| (tag, own().bytes(tag, &value))));
    all.sort_by_key(|(tag, _)| *tag);
    let data_set = all.into_iter().fold(own(), |whole, (_, element)| whole.written(&element.into_bytes()));
    [file_head(class, sop_instance_uid, uids::EXPLICIT_VR_LITTLE_ENDIAN), data_set.into_bytes()].concat()
}

/// A title that LO can hold.
fn title(imprint: &Imprint) -> String {
    let fit = imprint.title.chars().filter(|one| !one.is_control() && *one != '\\');
    fit.take(MAX_TITLE).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::facts::Patient;
    use crate::pick::Picked;

    /// A study in Latin-1.
    fn heading() -> Heading {
        let own = Elements::default;
        let uid = |text: &str| Uid::new(text).unwrap();
        let data_set = own()
            .text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 100")
            .text(tags::SOP_CLASS_UID, uids::CT_IMAGE_STORAGE)
            .text(tags::SOP_INSTANCE_UID, "1.2.3")
            .bytes(tags::PATIENT_NAME, b"M\xfcller^J\xf6rg")
            .text(tags::PATIENT_ID, "4711")
            .text(tags::STUDY_INSTANCE_UID, "1.2")
            .text(tags::SERIES_INSTANCE_UID, "1.2.1");
        let head = file_head(uids::CT_IMAGE_STORAGE, &uid("1.2.3"), uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let file = [head, data_set.into_bytes()].concat();
        let len = file.len() as u64;
        Heading::read(Cursor::new(file), len).unwrap()
    }

    fn imprint() -> Imprint {
        Imprint {
            sop_instance_uid: Uid::new("2.25.1").unwrap(),
            series_instance_uid: Uid::new("2.25.2").unwrap(),
            title: "Befund\\ Schädel\n".to_owned(),
            written: Date::new(2026, 5, 3).map(|date| (date, (14, 10, 0))),
            is_complete: true,
        }
    }

    fn picked(file: &[u8]) -> Picked {
        Picked::read(Cursor::new(file), file.len() as u64).unwrap()
    }

    #[test]
    fn a_pdf_is_an_instance_of_its_study_and_its_patient() {
        let file = encapsulated_pdf(&heading(), &imprint(), b"%PDF-1.4 odd");
        let picked = picked(&file);
        assert_eq!(picked.text(tags::SOP_CLASS_UID), Some(uids::ENCAPSULATED_PDF_STORAGE));
        assert_eq!(picked.text(tags::STUDY_INSTANCE_UID), Some("1.2"));
        assert_eq!(
            (picked.text(tags::CONTENT_DATE), picked.text(tags::CONTENT_TIME)),
            (Some("20260503"), Some("141000"))
        );
        let patient = Patient::of(&picked);
        assert_eq!((patient.name.as_str(), patient.id.as_str()), ("Müller^Jörg", "4711"));
        assert_eq!(picked.value(tags::DOCUMENT_TITLE), Some("Befund Schädel".as_bytes()));
        assert!(file.windows(12).any(|bytes| bytes == b"%PDF-1.4 odd"));
    }

    #[test]
    fn a_text_is_a_report_that_nobody_verified() {
        let file = text_report(&heading(), &imprint(), "Kein Befund am Schädel.");
        let picked = picked(&file);
        assert_eq!(picked.text(tags::SOP_CLASS_UID), Some(uids::BASIC_TEXT_SR_STORAGE));
        assert_eq!(picked.text(tags::VERIFICATION_FLAG), Some("UNVERIFIED"));
        assert_eq!(picked.text(tags::COMPLETION_FLAG), Some("COMPLETE"));
        let said = "Kein Befund am Schädel.".as_bytes();
        assert!(file.windows(said.len()).any(|bytes| bytes == said));
    }
}
