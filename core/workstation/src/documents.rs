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

/// Most other instances of which a study is asked for their numbers, for one report.
const MOST_NAMED: usize = 64;

/// A document that was read.
#[derive(Debug)]
pub struct ReadDocument {
    /// What it says of itself, and its words.
    pub content: ReportContent,
    /// What it is called.
    pub kind: &'static str,
    /// What is in it.
    pub held: Held,
}

/// What is in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Words.
    Words,
    /// A PDF.
    Pdf,
    /// Neither.
    Other,
}

/// Whether instances of a SOP class are looked at as reports.
#[must_use]
pub fn is_document(sop_class_uid: &Uid) -> bool {
    matches!(Kind::of(sop_class_uid.as_str()), Kind::Report | Kind::Document | Kind::KeyObjectSelection)
}

/// Reads a document. Other instances are called what `name` calls them.
///
/// # Errors
/// A sentence: why it cannot be read.
pub fn read(
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

/// How many pages a PDF has.
///
/// # Errors
/// A sentence: why that cannot be said.
pub fn pages_of(file: &File, pdf_in: PdfIn, reader: &dyn Reader) -> Result<u32, String> {
    let drawn = reader.draw_page(file, pdf_in, (1, 1)).map_err(|error| error.to_string())?;
    drawn.map(|page| page.pages).map_err(|error| error.to_string())
}

/// Who the images of a study are of, for reports to be held against.
pub struct Whose {
    patient: Patient,
    sex: Option<Sex>,
}

impl Whose {
    /// As an image says it.
    #[must_use]
    pub fn of(picked: &Picked) -> Self {
        Self { patient: Patient::of(picked), sex: Demographics::of(picked).sex }
    }

    /// What to say of a report that names somebody else.
    #[must_use]
    pub fn objections(&self, report: &ReportContent) -> Vec<String> {
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
