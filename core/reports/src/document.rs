//! A report that is a DICOM document: a structured report, or a PDF in an instance.

use clavicle_dicom::facts::Patient;
use clavicle_dicom::pick::Picked;
use clavicle_dicom::rewrite::Demographics;
use clavicle_dicom::text::Charset;
use dicom_dictionary_std::tags;

use crate::content::{Moment, ReportContent, Stage};
use crate::person::{Id, Person};
use crate::text::line;

/// What a document says of itself. Its text is not read here.
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
