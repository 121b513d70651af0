//! Coercion: a study is filed under a hospital's own patient id, and what it was under before is kept.
//!
//! As IHE's Import Reconciliation Workflow has it (RAD-59, table 4.59.4.1.2.3-1): Patient ID (0010,0020) and its issuer become the
//! local ones, the former go into Other Patient IDs Sequence (0010,1002), and every value that changed is in Original Attributes Sequence
//! (0400,0561) with when, by what and why (PS3.3 C.12.1.1.9). UIDs stay.

use core::fmt;
use std::collections::BTreeMap;

use clavicle_manifest::Date;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::Edits;
use crate::elements::Element;
use crate::encode::Elements;
use crate::facts::{day, is_same_name};
use crate::pick::Picked;
use crate::recode::Recoder;
use crate::text::Charset;
use crate::unreadable::Unreadable;

/// Patient's Sex (0010,0040).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// M.
    Male,
    /// F.
    Female,
    /// O.
    Other,
}

impl Sex {
    /// The defined term, whatever case it is written in.
    #[must_use]
    pub fn of_term(term: &str) -> Option<Self> {
        match term.trim() {
            "M" | "m" => Some(Self::Male),
            "F" | "f" => Some(Self::Female),
            "O" | "o" => Some(Self::Other),
            _ => None,
        }
    }

    /// The defined term.
    #[must_use]
    pub const fn term(self) -> &'static str {
        match self {
            Self::Male => "M",
            Self::Female => "F",
            Self::Other => "O",
        }
    }
}

/// Who a patient is, as far as it is told.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Demographics {
    /// Patient's Name (0010,0010): components separated by `^`, groups by `=`.
    pub name: Option<String>,
    /// Patient's Birth Date (0010,0030).
    pub birth_date: Option<Date>,
    /// Patient's Sex (0010,0040).
    pub sex: Option<Sex>,
}

impl fmt::Debug for Demographics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Demographics(…)")
    }
}

/// What differs between two records of a patient. For the operator who compares them, and for no log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Which attribute.
    pub what: &'static str,
    /// What the study says.
    pub study: String,
    /// What was given.
    pub given: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, study, given } = self;
        write!(f, "the {what} is {study} in the study, and {given} was given")
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Difference({})", self.what)
    }
}

/// What was given, and the study does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Absent(pub &'static str);

impl Demographics {
    /// Holds what was given against what a study says. What one side does not say is no difference.
    #[must_use]
    pub fn compare(&self, study: &Self) -> (Vec<Difference>, Vec<Absent>) {
        let (mut differences, mut absent) = (Vec::new(), Vec::new());
        if let Some(given) = &self.name {
            match study.name.as_ref().map(|name| is_same_name(name, given)) {
                Some(Some(true)) => {}
                Some(Some(false)) => differences.push(Difference {
                    what: "name",
                    study: study.name.clone().unwrap_or_default(),
                    given: given.clone(),
                }),
                Some(None) | None => absent.push(Absent("name")),
            }
        }
        if let Some(given) = self.birth_date {
            match study.birth_date {
                None => absent.push(Absent("date of birth")),
                Some(date) if date == given => {}
                Some(date) => differences.push(Difference {
                    what: "date of birth",
                    study: date.to_string(),
                    given: given.to_string(),
                }),
            }
        }
        if let Some(given) = self.sex {
            match study.sex {
                None => absent.push(Absent("sex")),
                Some(sex) if sex == given => {}
                Some(sex) => differences.push(Difference {
                    what: "sex",
                    study: sex.term().to_owned(),
                    given: given.term().to_owned(),
                }),
            }
        }
        (differences, absent)
    }

    /// What an instance says.
    pub fn of(picked: &Picked) -> Self {
        let charset = Charset::of(picked.value(tags::SPECIFIC_CHARACTER_SET));
        let name = picked.value(tags::PATIENT_NAME).map(|name| charset.decode_marked(name, true));
        Self {
            name: name.filter(|name| !name.trim_matches(['^', '=', ' ']).is_empty()),
            birth_date: picked.text(tags::PATIENT_BIRTH_DATE).and_then(day),
            sex: picked.text(tags::PATIENT_SEX).and_then(Sex::of_term),
        }
    }
}

/// Why a patient's id was not put in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoercionError {
    /// A text that the study's character set does not have.
    #[error("the {0} that was given cannot be written in the character set of the study; write it in ASCII letters")]
    Charset(&'static str),
    /// The data set is damaged.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// A hospital's own record of a patient, to file a study under.
#[derive(Clone, Debug)]
pub struct Coercion {
    /// Patient ID (0010,0020) there.
    pub patient_id: String,
    /// Issuer of Patient ID (0010,0021): who gave it.
    pub issuer: Option<String>,
    /// What else the record says. It replaces what the study says.
    pub demographics: Demographics,
    /// Attribute Modification DateTime (0400,0562), as DT is written: `20260503121500+0200`.
    pub at: String,
    /// Modifying System (0400,0563).
    pub system: String,
}

impl Coercion {
    /// What changes in a data set that has these elements.
    pub(super) fn edits(&self, found: &[Element<'_>], recoder: &Recoder) -> Result<Edits, CoercionError> {
        let found: BTreeMap<Tag, &Element<'_>> = found.iter().map(|element| (element.tag, element)).collect();
        let old = |tag: Tag| found.get(&tag).map(|element| text_of(element.value)).unwrap_or_default();
        let charset = Charset::of(found.get(&tags::SPECIFIC_CHARACTER_SET).map(|element| text_of(element.value)));
        let id = must_encode(charset, &self.patient_id, "patient id")?;
        let issuer = must_encode(charset, self.issuer.as_deref().unwrap_or_default(), "issuer")?;
        let Demographics { name, birth_date, sex } = &self.demographics;
        let name = name.as_deref().map(|name| must_encode(charset, name, "name")).transpose()?;
        let birth_date = birth_date.map(|date| {
            let (year, month, day) = date.parts();
            format!("{year:04}{month:02}{day:02}").into_bytes()
        });
        let wanted = [
            (tags::PATIENT_NAME, name),
            (tags::PATIENT_ID, Some(id)),
            (tags::ISSUER_OF_PATIENT_ID, Some(issuer)),
            (tags::PATIENT_BIRTH_DATE, birth_date),
            (tags::PATIENT_SEX, sex.map(|sex| sex.term().as_bytes().to_vec())),
        ];
        let new = || Elements::written_in(recoder.to);
        let (mut edits, mut before) = (Edits::new(), new());
        for (tag, value) in &wanted {
            let Some(value) = value.as_ref().filter(|value| old(*tag) != value.as_slice()) else { continue };
            before = before.bytes(*tag, old(*tag));
            // An issuer that is not told is not there: the former one gave another id.
            let is_there = *tag != tags::ISSUER_OF_PATIENT_ID || !value.is_empty();
            edits.insert(*tag, is_there.then(|| new().bytes(*tag, value).into_bytes()));
            if *tag == tags::ISSUER_OF_PATIENT_ID {
                before = self.qualifiers(&found, recoder, before, &mut edits)?;
            }
        }
        if edits.is_empty() {
            return Ok(edits);
        }
        let is_other_id = edits.contains_key(&tags::PATIENT_ID) || edits.contains_key(&tags::ISSUER_OF_PATIENT_ID);
        if is_other_id && !old(tags::PATIENT_ID).is_empty() {
            let tag = tags::OTHER_PATIENT_I_DS_SEQUENCE;
            let mut item = new().bytes(tags::PATIENT_ID, old(tags::PATIENT_ID));
            if !old(tags::ISSUER_OF_PATIENT_ID).is_empty() {
                item = item.bytes(tags::ISSUER_OF_PATIENT_ID, old(tags::ISSUER_OF_PATIENT_ID));
            }
            let kind = old(tags::TYPE_OF_PATIENT_ID);
            item = item.bytes(tags::TYPE_OF_PATIENT_ID, if kind.is_empty() { b"TEXT" } else { kind });
            if let Some(qualifiers) = found.get(&tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE) {
                item = item.written_items(qualifiers.tag, &recoder.items(qualifiers, 0)?);
            }
            edits.insert(tag, Some(appended(tag, &found, recoder, item)?));
        }
        let tag = tags::ORIGINAL_ATTRIBUTES_SEQUENCE;
        let source =
            [tags::ISSUER_OF_PATIENT_ID, tags::INSTITUTION_NAME].into_iter().map(old).find(|text| !text.is_empty());
        let item = new()
            .items(tags::MODIFIED_ATTRIBUTES_SEQUENCE, [before])
            .text(tags::ATTRIBUTE_MODIFICATION_DATE_TIME, &self.at)
            .text(tags::MODIFYING_SYSTEM, &self.system)
            .bytes(tags::SOURCE_OF_PREVIOUS_VALUES, source.unwrap_or_default())
            .text(tags::REASON_FOR_THE_ATTRIBUTE_MODIFICATION, "COERCE");
        edits.insert(tag, Some(appended(tag, &found, recoder, item)?));
        Ok(edits)
    }

    /// Issuer of Patient ID Qualifiers Sequence (0010,0024) says more of the former issuer, and goes with it.
    fn qualifiers(
        &self,
        found: &BTreeMap<Tag, &Element<'_>>,
        recoder: &Recoder,
        before: Elements,
        edits: &mut Edits,
    ) -> Result<Elements, CoercionError> {
        let Some(element) = found.get(&tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE) else { return Ok(before) };
        edits.insert(element.tag, None);
        Ok(before.written_items(element.tag, &recoder.items(element, 0)?))
    }
}

/// A sequence with one more item at its end.
fn appended(
    tag: Tag,
    found: &BTreeMap<Tag, &Element<'_>>,
    recoder: &Recoder,
    item: Elements,
) -> Result<Vec<u8>, Unreadable> {
    let mut items = found.get(&tag).map(|element| recoder.items(element, 0)).transpose()?.unwrap_or_default();
    item.into_item(&mut items);
    Ok(Elements::written_in(recoder.to).written_items(tag, &items).into_bytes())
}

/// A text without its padding.
fn text_of(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
    &value[..end]
}

fn must_encode(charset: Charset, text: &str, what: &'static str) -> Result<Vec<u8>, CoercionError> {
    charset.encode(text).ok_or(CoercionError::Charset(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_does_not_say_is_no_difference() {
        let given = Demographics {
            name: Some("Rossi^Ana".to_owned()),
            birth_date: Date::new(1980, 1, 2),
            sex: Some(Sex::Female),
        };
        assert_eq!(given.compare(&given), (vec![], vec![]));
        let (differences, absent) = given.compare(&Demographics { sex: Some(Sex::Male), ..Demographics::default() });
        assert_eq!(absent, [Absent("name"), Absent("date of birth")]);
        let sentences: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(sentences, ["the sex is M in the study, and F was given"]);
        assert_eq!(Demographics::default().compare(&given), (vec![], vec![]));
    }
}
