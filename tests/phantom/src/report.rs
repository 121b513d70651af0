//! The report on the MR examination: as a Basic Text SR (PS3.3 A.35.1), and as plain text.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::elements::{Code, Elements};
use super::file::File;
use super::mr::CONTRASTS;
use super::study::{Series, TIME, day};
use super::{Phantom, PhantomError, Sink, head};

const REPORT: Series = Series {
    folder: "5-report",
    number: 5,
    description: "Report",
    modality: "SR",
    sop_class: uids::BASIC_TEXT_SR_STORAGE,
};

const TITLE: Code = ["18748-4", "LN", "Diagnostic imaging report"];
const LANGUAGE: [Code; 2] =
    [["121049", "DCM", "Language of Content Item and Descendants"], ["en", "RFC5646", "English"]];
const OBSERVER_TYPE: [Code; 2] = [["121005", "DCM", "Observer Type"], ["121007", "DCM", "Device"]];
const OBSERVER_UID: Code = ["121012", "DCM", "Device Observer UID"];
const OBSERVER_NAME: Code = ["121013", "DCM", "Device Observer Name"];
const SOURCE_OF: Code = ["121112", "DCM", "Source of Measurement"];

/// What the report says: sections, and in each a sentence or more.
struct Section {
    heading: Code,
    text: Code,
    sentences: &'static [&'static str],
    /// Whether images are referenced that show it.
    shown: bool,
}

const SECTIONS: [Section; 4] = [
    Section {
        heading: ["121060", "DCM", "History"],
        text: ["121060", "DCM", "History"],
        sentences: &[
            "Synthetic phantom: no person was examined. Weakness of the right arm for four hours was assumed.",
        ],
        shown: false,
    },
    Section {
        heading: ["121064", "DCM", "Current Procedure Descriptions"],
        text: ["121065", "DCM", "Procedure Description"],
        sentences: &["MR of the head without contrast: T1, T2, FLAIR and diffusion (b = 1000 s/mm²), axial."],
        shown: false,
    },
    Section {
        heading: ["121070", "DCM", "Findings"],
        text: ["121071", "DCM", "Finding"],
        sentences: &[
            "In the white matter of the left hemisphere, beside the lateral ventricle, an oval lesion of 16 × 24 × 16 mm: bright on \
             diffusion, T2 and FLAIR, dark on T1.",
            "Four spots of up to 6 mm in the white matter of both hemispheres, bright on T2 and FLAIR, not bright on diffusion.",
            "No haemorrhage. No mass effect. Ventricles and sulci are of normal width.",
        ],
        shown: true,
    },
    Section {
        heading: ["121076", "DCM", "Conclusions"],
        text: ["121077", "DCM", "Conclusion"],
        sentences: &[
            "Acute infarct in the left corona radiata.",
            "Few white matter lesions, probably of small vessels.",
        ],
        shown: false,
    },
];

/// The same as plain text.
pub(super) fn plain(phantom: &Phantom) -> String {
    let mut text = format!(
        "{}\nSYNTHETIC PHANTOM: NOT ABOUT A PERSON\n\nPatient: {}, ID {}\nAccession number: {}\nDate: {}\nStudy: {}\n",
        TITLE[2],
        phantom.patient_name.as_str().replace('^', ", "),
        phantom.patient_id,
        phantom.accession_number,
        phantom.study_date,
        phantom.description,
    );
    for section in &SECTIONS {
        text += &format!("\n{}\n", section.heading[2].to_uppercase());
        for sentence in section.sentences {
            text += sentence;
            text.push('\n');
        }
    }
    text
}

/// The report, in a series of its own. No template of PS3.16 is followed to the letter, and so none is named.
pub(super) fn make(phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
    let mut report = phantom.instance(&REPORT, 1);
    let (date, shown) = (day(phantom.study_date), slice_of_lesion(phantom));
    report.put_all(&[
        (tags::COMPLETION_FLAG, VR::CS, "COMPLETE"),
        (tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED"),
        (tags::INSTANCE_CREATION_DATE, VR::DA, &date),
        (tags::INSTANCE_CREATION_TIME, VR::TM, TIME),
    ]);
    report.items(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, []);
    report.items(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, []);
    report.item(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, |study| {
        study.put(tags::STUDY_INSTANCE_UID, VR::UI, phantom.uid("study").as_str());
        let series = CONTRASTS.iter().map(|contrast| {
            let mut item = Elements::new();
            item.put(tags::SERIES_INSTANCE_UID, VR::UI, phantom.series_uid(&contrast.series).as_str());
            item.items(tags::REFERENCED_SOP_SEQUENCE, [phantom.reference(&contrast.series, shown)]);
            item
        });
        study.items(tags::REFERENCED_SERIES_SEQUENCE, series);
    });
    report.put(tags::VALUE_TYPE, VR::CS, "CONTAINER");
    report.code(tags::CONCEPT_NAME_CODE_SEQUENCE, TITLE);
    report.put(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
    report.items(tags::CONTENT_SEQUENCE, content(phantom, shown));
    sink(File::new(REPORT.file_name(1), report, None)?)
}

/// The slice that goes through the middle of the lesion.
fn slice_of_lesion(phantom: &Phantom) -> u16 {
    let stack = super::ct::head_stack(phantom);
    let from = |slice: &u16| (stack.position(*slice)[2] - head::LESION[0][2]).abs();
    (1..=phantom.slices).min_by(|one, other| from(one).total_cmp(&from(other))).expect("there is a slice")
}

fn content(phantom: &Phantom, shown: u16) -> Vec<Elements> {
    let coded = |relation, [name, value]: [Code; 2]| {
        let mut item = item(relation, "CODE", name);
        item.code(tags::CONCEPT_CODE_SEQUENCE, value);
        item
    };
    let mut uid = item("HAS OBS CONTEXT", "UIDREF", OBSERVER_UID);
    uid.put(tags::UID, VR::UI, phantom.uid("device").as_str());
    let mut items = vec![
        coded("HAS CONCEPT MOD", LANGUAGE),
        coded("HAS OBS CONTEXT", OBSERVER_TYPE),
        uid,
        text("HAS OBS CONTEXT", OBSERVER_NAME, "Clavicle, synthetic phantom"),
    ];
    for section in &SECTIONS {
        let mut container = item("CONTAINS", "CONTAINER", section.heading);
        container.put(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
        let mut within: Vec<_> =
            section.sentences.iter().map(|sentence| text("CONTAINS", section.text, sentence)).collect();
        if let Some(first) = within.first_mut().filter(|_| section.shown) {
            first.items(
                tags::CONTENT_SEQUENCE,
                CONTRASTS.iter().map(|contrast| image(phantom, &contrast.series, shown)),
            );
        }
        container.items(tags::CONTENT_SEQUENCE, within);
        items.push(container);
    }
    items
}

/// A content item, but for its value (PS3.3 C.17.3).
fn item(relation: &str, value_type: &str, name: Code) -> Elements {
    let mut item = Elements::new();
    item.put(tags::RELATIONSHIP_TYPE, VR::CS, relation);
    item.put(tags::VALUE_TYPE, VR::CS, value_type);
    item.code(tags::CONCEPT_NAME_CODE_SEQUENCE, name);
    item
}

fn text(relation: &str, name: Code, value: &str) -> Elements {
    let mut item = item(relation, "TEXT", name);
    item.put(tags::TEXT_VALUE, VR::UT, value);
    item
}

/// An image from which the finding was inferred.
fn image(phantom: &Phantom, series: &Series, number: u16) -> Elements {
    let mut item = item("INFERRED FROM", "IMAGE", SOURCE_OF);
    item.items(tags::REFERENCED_SOP_SEQUENCE, [phantom.reference(series, number)]);
    item
}
