//! A report that is a DICOM document: a structured report, a selection of images, a PDF or a clinical document in an
//! instance.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::content_tree::ContentTree;
use clavicle_dicom::encapsulated;
use clavicle_dicom::facts::Patient;
use clavicle_dicom::kind::Kind;
use clavicle_dicom::pick::Picked;
use clavicle_dicom::rewrite::Demographics;
use clavicle_dicom::text::Charset;
use dicom_dictionary_std::{tags, uids};

use crate::cda;
use crate::content::{MAX_READ, Moment, ReportContent, ReportError, Stage};
use crate::person::{Id, Person};
use crate::structured::{self, Line};
use crate::text::line;

/// A document, and what of it can be shown.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Document {
    /// What it says of itself. Of a structured report without its words, which are in the body.
    pub content: ReportContent,
    /// What is in it.
    pub body: Body,
}

/// What is in a document.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Body {
    /// The words of a structured report, line by line: see [`structured::text`].
    Lines(Vec<Line>),
    /// Words, which are in [`Document::content`].
    Words,
    /// A PDF, of which pages can be drawn.
    Pdf,
    /// Something that is not shown.
    Other,
}

/// Reads a document of `len` bytes.
///
/// # Errors
/// [`ReportError`].
pub fn of_instance<S: Read + Seek>(mut source: S, len: u64) -> Result<Document, ReportError> {
    let picked = Picked::read(&mut source, len)?;
    // It is read once more from its beginning.
    source.rewind().map_err(|_| ReportError::NotRead)?;
    let mut content = read(&picked);
    let class = picked.text(tags::SOP_CLASS_UID).unwrap_or_default();
    let media_type = picked.text(tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT).unwrap_or_default().trim().to_lowercase();
    let body = match (Kind::of(class), class) {
        (Kind::Report | Kind::KeyObjectSelection, _) => {
            if len > MAX_READ as u64 {
                return Err(ReportError::TooLarge);
            }
            let tree = ContentTree::read(&mut source, len)?;
            let (title, lines, is_whole) = structured::lines(&tree);
            if !title.is_empty() {
                content.title = title;
            }
            content.is_whole = is_whole;
            let flag = |tag| picked.text(tag).map(|word| word.trim().to_uppercase()).unwrap_or_default();
            let (completion, verification) = (flag(tags::COMPLETION_FLAG), flag(tags::VERIFICATION_FLAG));
            let is_preliminary = flag(tags::PRELIMINARY_FLAG) == "PRELIMINARY";
            content.warnings = structured::warnings((&completion, &verification), is_preliminary, &tree);
            Body::Lines(lines)
        }
        (_, uids::ENCAPSULATED_PDF_STORAGE) => Body::Pdf,
        (Kind::Document, _) if media_type == "application/pdf" => Body::Pdf,
        (_, uids::ENCAPSULATED_CDA_STORAGE) => {
            let document = encapsulated::read(&mut source, len, MAX_READ as u64)?.ok_or(ReportError::TooLarge)?;
            (content.text, content.is_whole, content.enclosed) = cda::words(&document);
            Body::Words
        }
        _ => Body::Other,
    };
    Ok(Document { content, body })
}

/// What a document says of itself. What is in it is not read here.
pub(crate) fn read(picked: &Picked) -> ReportContent {
    let charset = Charset::of(picked.value(tags::SPECIFIC_CHARACTER_SET));
    let text = |tag| picked.value(tag).map(|value| line(&charset.decode_marked(value, false))).unwrap_or_default();
    let date = picked.text(tags::CONTENT_DATE).unwrap_or_default().replace('.', "");
    let time: String =
        picked.text(tags::CONTENT_TIME).unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let words = |tag| picked.text(tag).map(|word| word.trim().to_uppercase()).unwrap_or_default();
    let stage = if picked.value(tags::PREDECESSOR_DOCUMENTS_SEQUENCE).is_some() {
        Stage::Amended
    } else if words(tags::COMPLETION_FLAG) == "PARTIAL" || words(tags::PRELIMINARY_FLAG) == "PRELIMINARY" {
        Stage::Preliminary
    } else if words(tags::VERIFICATION_FLAG) == "VERIFIED" || words(tags::PRELIMINARY_FLAG) == "FINAL" {
        Stage::Final
    } else {
        Stage::Unsaid
    };
    let titles = [tags::DOCUMENT_TITLE, tags::SERIES_DESCRIPTION, tags::STUDY_DESCRIPTION].map(text);
    ReportContent {
        persons: vec![person(picked)],
        written: Moment::parse(&format!("{date}{time}")).or_else(|| Moment::parse(&date)),
        stage,
        title: titles.into_iter().find(|title| !title.is_empty()).unwrap_or_default(),
        is_whole: true,
        ..ReportContent::default()
    }
}

fn person(picked: &Picked) -> Person {
    let Patient { id, issuer, name, birth_date } = Patient::of(picked);
    let id = Id { id: id.to_string(), issuer: issuer.to_string(), system: String::new() };
    let groups = name.as_str().split('=').map(|group| group.split('^').take(3).collect::<Vec<_>>().join("^"));
    Person {
        ids: Some(id).filter(|id| !id.id.is_empty()).into_iter().collect(),
        names: groups.filter(|group| !group.trim_matches(['^', ' ']).is_empty()).collect(),
        birth_date,
        sex: Demographics::of(picked).sex.map(|sex| sex.term().to_owned()),
    }
}
