//! Reports that are instances: structured reports and clinical documents as text, of a PDF one page as a picture.

use std::collections::BTreeMap;
use std::fs::File;

use clavicle_dicom::facts::Patient;
use clavicle_dicom::kind::Kind;
use clavicle_dicom::pick::Picked;
use clavicle_dicom::rewrite::{Demographics, Sex};
use clavicle_manifest::Uid;
use clavicle_reports::structured::{self, InstanceName};
use clavicle_reports::{Body, Document, ReportContent};
use clavicle_sandbox::job::PdfIn;
use clavicle_sandbox::reader::Reader;

use super::report::pages_of;

/// Most other instances of which a study is asked for their numbers, for one report.
const MOST_NAMED: usize = 64;

/// A document that was read.
pub(super) struct ReadDocument {
    /// What it says of itself, and its words.
    pub(super) content: ReportContent,
    /// What it is called.
    pub(super) kind: &'static str,
    /// What is in it.
    pub(super) held: Held,
}

/// What is in a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Words,
    Pdf,
    Other,
}

/// Whether instances of a SOP class are looked at as reports.
pub(super) fn is_document(sop_class_uid: &Uid) -> bool {
    matches!(Kind::of(sop_class_uid.as_str()), Kind::Report | Kind::Document | Kind::KeyObjectSelection)
}

/// Reads a document, or says why not. Other instances are called what `name` calls them.
pub(super) fn read(
    file: &File,
    sop_class_uid: &Uid,
    reader: &dyn Reader,
    name: &dyn Fn(&[Uid]) -> BTreeMap<Uid, InstanceName>,
) -> Result<ReadDocument, String> {
    // A worker that ended on it is no more than a report that cannot be read.
    let read = reader.read_document(file).map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let Document { mut content, body } = read;
    let (kind, held) = match (Kind::of(sop_class_uid.as_str()), &body) {
        (Kind::KeyObjectSelection, _) => ("selection of images", Held::Words),
        (_, Body::Lines(_)) => ("structured report", Held::Words),
        (_, Body::Words) => ("clinical document", Held::Words),
        (_, Body::Pdf) => ("PDF in DICOM", Held::Pdf),
        (_, Body::Other) => ("DICOM", Held::Other),
    };
    if let Body::Lines(lines) = &body {
        let mut wanted: Vec<Uid> = structured::references(lines).copied().collect();
        wanted.dedup();
        wanted.truncate(MOST_NAMED);
        let names = name(&wanted);
        let (text, is_whole) = structured::text(lines, &|uid| names.get(uid).copied());
        (content.text, content.is_whole) = (text, content.is_whole && is_whole);
    }
    Ok(ReadDocument { content, kind, held })
}

/// What stands in place of the words of a document that has none, if that is so.
pub(super) fn instead(read: &ReadDocument, file: &File, reader: &dyn Reader, how: &str) -> Option<String> {
    match read.held {
        Held::Words => None,
        Held::Pdf => Some(match pages_of(file, PdfIn::Instance, reader) {
            Ok(pages) => format!("{pages} pages; {how} draws one"),
            Err(why) => format!("{why}; export it to read it"),
        }),
        Held::Other => Some("push or export it to read it".to_owned()),
    }
}

/// Who the images of a study are of, for reports to be held against.
pub(super) struct Whose {
    patient: Patient,
    sex: Option<Sex>,
}

impl Whose {
    /// As an image says it.
    pub(super) fn of(picked: &Picked) -> Self {
        Self { patient: Patient::of(picked), sex: Demographics::of(picked).sex }
    }

    /// What to say of a report that names somebody else.
    pub(super) fn objections(&self, report: &ReportContent) -> Vec<String> {
        let mut all = Vec::new();
        for person in &report.persons {
            let differences = person.against(&self.patient, self.sex).differences;
            let said = differences
                .iter()
                .map(|one| format!("{} is “{}” in the images and “{}” in the report", one.what, one.one, one.other));
            let said: Vec<String> = said.collect();
            if !said.is_empty() {
                all.push(format!("OF ANOTHER PATIENT, as it seems: {}", said.join(", ")));
            }
        }
        all
    }
}
