//! Facts: the few attributes of an instance by which it is filed.
//!
//! Each is read by itself, so that one that is broken costs only itself. Without the four UIDs and the transfer
//! syntax there is no instance; everything else may be missing. What is said of a patient is compared here, and
//! nowhere else: [`Patient::differences`].

use std::fmt;
use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Text, Wire};
use clavicle_manifest::{Date, Uid};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::pick::Picked;
use crate::scan;
use crate::scanned::Scanned;
use crate::text::Charset;
use crate::unreadable::Unreadable;

/// Who the images are of, as far as the instance says. Stays with the source: it is no part of a manifest.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Patient {
    /// Patient ID (0010,0020).
    pub id: Text<256>,
    /// Issuer of Patient ID (0010,0021): whose id it is.
    pub issuer: Text<256>,
    /// Patient's Name (0010,0010), as written: components separated by `^`.
    pub name: Text<256>,
    /// Patient's Birth Date (0010,0030).
    pub birth_date: Option<Date>,
}

/// An attribute of a patient in which two instances differ, with both values. For the operator who looks at it, and
/// for no log: what it prints with `{}` names the values, what it prints with `{:?}` does not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatientDifference {
    /// Which attribute.
    pub what: &'static str,
    /// One value.
    pub one: String,
    /// The other.
    pub other: String,
}

impl fmt::Display for PatientDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, one, other } = self;
        write!(f, "{what} is “{one}” in one and “{other}” in another")
    }
}

impl fmt::Debug for PatientDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatientDifference({})", self.what)
    }
}

impl Patient {
    /// What was picked of an instance says.
    #[must_use]
    pub fn of(picked: &Picked) -> Self {
        let charset = Charset::of(picked.value(tags::SPECIFIC_CHARACTER_SET));
        let text = |tag| {
            let value = picked.value(tag).unwrap_or_default();
            let decoded = charset.decode(value, tag == tags::PATIENT_NAME);
            shown(decoded.unwrap_or_else(|| value.escape_ascii().to_string()))
        };
        Self {
            id: text(tags::PATIENT_ID),
            issuer: text(tags::ISSUER_OF_PATIENT_ID),
            name: text(tags::PATIENT_NAME),
            birth_date: picked.text(tags::PATIENT_BIRTH_DATE).and_then(day),
        }
    }

    /// Whether both may be the same person: what both say must agree. Names are compared only where an id is missing,
    /// since they are written in many ways.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        self.differences(other).is_empty()
    }

    /// Whether this is the patient's name, as far as both are written in the same scripts.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        is_same_name(self.name.as_str(), name) == Some(true)
    }

    /// Takes from another what this one does not say.
    pub fn fill(&mut self, other: &Self) {
        let Self { id, issuer, name, birth_date } = other;
        fill(&mut self.id, id);
        fill(&mut self.issuer, issuer);
        fill(&mut self.name, name);
        self.birth_date = self.birth_date.or(*birth_date);
    }

    /// In what both contradict each other; nothing if they may be the same person.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<PatientDifference> {
        self.contradictions(other, !self.id.as_str().is_empty() && self.id == other.id)
    }

    /// The same of studies that may be of different hospitals. Hospitals count from one: an id of which nobody says
    /// whose it is names somebody else in the next, so that names are compared too.
    #[must_use]
    pub fn differences_across(&self, other: &Self) -> Vec<PatientDifference> {
        let is_named = |one: &Self| !one.id.as_str().is_empty() && !one.issuer.as_str().is_empty();
        self.contradictions(other, is_named(self) && (&self.id, &self.issuer) == (&other.id, &other.issuer))
    }

    /// The same of a study and a report on it, which must be about this very patient: names are compared although the ids are the same.
    #[must_use]
    pub fn differences_by_name(&self, other: &Self) -> Vec<PatientDifference> {
        self.contradictions(other, false)
    }

    /// Whether both have the same name, whatever case it is written in; nothing where they are written in no common script, or one has none.
    #[must_use]
    pub fn is_named_like(&self, other: &Self) -> Option<bool> {
        is_same_name(self.name.as_str(), other.name.as_str())
    }

    fn contradictions(&self, other: &Self, has_same_id: bool) -> Vec<PatientDifference> {
        let mut all = Vec::new();
        let mut differ = |what, one: &str, other: &str| {
            all.push(PatientDifference { what, one: one.to_owned(), other: other.to_owned() });
        };
        let texts = [("Patient ID", &self.id, &other.id), ("Issuer of Patient ID", &self.issuer, &other.issuer)];
        for (what, one, other) in texts {
            if one != other && !one.as_str().is_empty() && !other.as_str().is_empty() {
                differ(what, one.as_str(), other.as_str());
            }
        }
        if !has_same_id && is_same_name(self.name.as_str(), other.name.as_str()) == Some(false) {
            differ("Patient's Name", self.name.as_str(), other.name.as_str());
        }
        if let (Some(one), Some(other)) = (self.birth_date, other.birth_date)
            && one != other
        {
            differ("Patient's Birth Date", &one.to_string(), &other.to_string());
        }
        all
    }
}

/// Takes a text where there is none.
pub fn fill<const MAX: usize>(empty: &mut Text<MAX>, from: &Text<MAX>) {
    if empty.as_str().is_empty() {
        *empty = from.clone();
    }
}

/// Whether two names (PN) are the same, whatever case they are written in; nothing of those that are written in no
/// common script.
pub(crate) fn is_same_name(one: &str, other: &str) -> Option<bool> {
    let groups = groups(one).zip(groups(other));
    let both: Vec<bool> = groups.filter(|(a, b)| !a.is_empty() && !b.is_empty()).map(|(a, b)| a == b).collect();
    (!both.is_empty()).then(|| both.into_iter().all(|same| same))
}

/// The groups of a name (PN) that say anything, as names are compared: two names that are the same have one in common.
#[must_use]
pub fn name_groups(name: &str) -> Vec<String> {
    groups(name).filter(|group| !group.is_empty()).collect()
}

/// Each group of a name, in small letters. Components that are empty at the end mean nothing (PS3.5 §6.2.1.1), nor
/// does the number of spaces.
fn groups(name: &str) -> impl Iterator<Item = String> {
    let words = |part: &str| {
        let words: Vec<&str> = part.split(|char: char| char.is_whitespace() || char == '\0').collect();
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").to_lowercase()
    };
    name.split('=').map(move |group| {
        let mut parts: Vec<String> = group.split('^').map(words).collect();
        while parts.last().is_some_and(String::is_empty) {
            parts.pop();
        }
        parts.join("^")
    })
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patient(…)")
    }
}

/// What is known of an instance. Texts are without characters that do not show.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Facts {
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Uid,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Uid,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: Uid,
    /// Transfer Syntax UID (0002,0010), or what the data set looks like where the file does not say.
    pub transfer_syntax_uid: Uid,
    /// Who the images are of.
    pub patient: Patient,
    /// Accession Number (0008,0050).
    pub accession_number: Text<256>,
    /// Study Date (0008,0020).
    pub study_date: Option<Date>,
    /// Study Description (0008,1030).
    pub study_description: Text<256>,
    /// Modality (0008,0060).
    pub modality: Text<16>,
    /// Series Number (0020,0011).
    pub series_number: Option<i32>,
    /// Series Description (0008,103E).
    pub series_description: Text<256>,
    /// Body Part Examined (0018,0015).
    pub body_part: Text<16>,
    /// Number of Frames (0028,0008); 1 where that is missing or unreadable, 0 where there are no pixels.
    pub frames: u32,
    /// Where it stands among its likes.
    pub place: InstancePosition,
}

/// Where an instance stands in its series and in space, and how many the sender says there are. Nothing here is
/// needed to file it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InstancePosition {
    /// Instance Number (0020,0013).
    pub instance_number: Option<i32>,
    /// Acquisition Number (0020,0012).
    pub acquisition_number: Option<i32>,
    /// Temporal Position Identifier (0020,0100).
    pub temporal_position: Option<i32>,
    /// Image Position (Patient) (0020,0032), in nanometres.
    pub image_position_nm: Option<[i64; 3]>,
    /// Image Orientation (Patient) (0020,0037), direction cosines in billionths.
    pub image_orientation: Option<[i64; 6]>,
    /// Number of Study Related Instances (0020,1208).
    pub study_related_instances: Option<u32>,
    /// Number of Series Related Instances (0020,1209).
    pub series_related_instances: Option<u32>,
}

impl Wire for Facts {
    const NAME: &'static str = "the facts of an instance";
    const MAX_LEN: usize = 4_096;
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Facts({:?})", self.sop_instance_uid)
    }
}

impl Facts {
    /// Reads the facts of an instance of `len` bytes. Memory does not depend on what the bytes claim; only a deflated
    /// data set is held whole, up to 256 MiB.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read<S: Read + Seek>(source: S, len: u64) -> Result<Self, Unreadable> {
        // Nothing here is known to panic. If something does, it costs one file.
        panic::catch_unwind(AssertUnwindSafe(|| Self::of(&scan::scan(source, len)?)))
            .unwrap_or(Err(Unreadable::Panicked))
    }

    /// Of what was scanned.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn of(scanned: &Scanned) -> Result<Self, Unreadable> {
        let uid = |tag: Tag| {
            let value = scanned.value(tag).filter(|value| !value.is_empty()).ok_or(Unreadable::Missing(tag.into()))?;
            Uid::new(&value).map_err(|_| Unreadable::NotAUid(tag.into()))
        };
        // What would be wrong in a manifest is left out of it.
        let description = |tag| shown(scanned.value(tag).unwrap_or_default());
        let code = |tag| shown(scanned.value(tag).unwrap_or_default());
        // What names a person must not lose what tells two people apart: what does not show is written out.
        let identity = |tag| {
            let text = scanned.value(tag);
            let shows = text.filter(|text| text.chars().all(|char| Text::<4>::new(char).is_ok()));
            shown(shows.unwrap_or_else(|| scanned.written_out(tag)))
        };
        let number = |tag| scanned.value(tag).and_then(|value| value.trim().parse::<i32>().ok());
        let date = |tag| scanned.value(tag).and_then(|value| day(&value));
        let count = |tag| number(tag).and_then(|count| u32::try_from(count).ok());
        let frames = count(tags::NUMBER_OF_FRAMES).unwrap_or(1).max(1);
        Ok(Self {
            study_instance_uid: uid(tags::STUDY_INSTANCE_UID)?,
            series_instance_uid: uid(tags::SERIES_INSTANCE_UID)?,
            sop_instance_uid: uid(tags::SOP_INSTANCE_UID)?,
            sop_class_uid: uid(tags::SOP_CLASS_UID)?,
            transfer_syntax_uid: scanned.transfer_syntax_uid,
            patient: Patient {
                id: identity(tags::PATIENT_ID),
                issuer: identity(tags::ISSUER_OF_PATIENT_ID),
                name: identity(tags::PATIENT_NAME),
                birth_date: date(tags::PATIENT_BIRTH_DATE),
            },
            accession_number: identity(tags::ACCESSION_NUMBER),
            study_date: date(tags::STUDY_DATE),
            study_description: description(tags::STUDY_DESCRIPTION),
            modality: code(tags::MODALITY),
            series_number: number(tags::SERIES_NUMBER),
            series_description: description(tags::SERIES_DESCRIPTION),
            body_part: code(tags::BODY_PART_EXAMINED),
            frames: if scanned.pixels.is_some() { frames } else { 0 },
            place: InstancePosition {
                instance_number: number(tags::INSTANCE_NUMBER),
                acquisition_number: number(tags::ACQUISITION_NUMBER),
                temporal_position: number(tags::TEMPORAL_POSITION_IDENTIFIER),
                image_position_nm: scanned.value(tags::IMAGE_POSITION_PATIENT).and_then(|text| decimals(&text, 1e6)),
                image_orientation: scanned.value(tags::IMAGE_ORIENTATION_PATIENT).and_then(|text| decimals(&text, 1e9)),
                study_related_instances: count(tags::NUMBER_OF_STUDY_RELATED_INSTANCES),
                series_related_instances: count(tags::NUMBER_OF_SERIES_RELATED_INSTANCES),
            },
        })
    }
}

/// Attributes of text that are read in the character set of the instance.
const TEXTS: [Tag; 6] = [
    tags::ACCESSION_NUMBER,
    tags::STUDY_DESCRIPTION,
    tags::SERIES_DESCRIPTION,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
];

impl Scanned {
    /// The value of a kept attribute as text, without padding; none if its character set does not have it.
    fn value(&self, tag: Tag) -> Option<String> {
        let charset = if TEXTS.contains(&tag) {
            Charset::of(self.kept(tags::SPECIFIC_CHARACTER_SET))
        } else {
            Charset::default()
        };
        let value = self.kept(tag)?.trim_ascii_end();
        let text = charset.decode(value.strip_suffix(b"\0").unwrap_or(value), tag == tags::PATIENT_NAME)?;
        Some(text.trim_matches(['\0', ' ']).to_owned())
    }

    /// Whether there is a text that its character set does not have.
    #[must_use]
    pub fn has_unreadable_text(&self) -> bool {
        TEXTS.into_iter().any(|tag| self.kept(tag).is_some() && self.value(tag).is_none())
    }

    /// The value of a kept attribute byte for byte, as ASCII.
    fn written_out(&self, tag: Tag) -> String {
        self.kept(tag).map(|value| value.trim_ascii_end().escape_ascii().to_string()).unwrap_or_default()
    }
}

/// As much of `text` as there is room for, without what does not show.
pub fn shown<const MAX: usize>(text: impl AsRef<str>) -> Text<MAX> {
    let mut shown = String::new();
    for char in text.as_ref().trim().chars() {
        let fits = shown.len() + char.len_utf8() <= MAX;
        if fits && Text::<4>::new(char).is_ok() {
            shown.push(char);
        }
    }
    Text::new(shown.trim_end()).unwrap_or_default()
}

/// `N` values of DS (PS3.5 §6.2) in parts of one `unit`th; none if there are not that many, or one is further away
/// than a kilometre in millimetres.
fn decimals<const N: usize>(text: &str, unit: f64) -> Option<[i64; N]> {
    let mut values = [0; N];
    let mut written = text.split('\\');
    for value in &mut values {
        let number: f64 = written.next()?.trim().parse().ok()?;
        // Within this nothing is cut off: a million times a billion has 50 bits.
        *value = (number.abs() <= 1e6).then(|| (number * unit).round() as i64)?;
    }
    written.next().is_none().then_some(values)
}

/// DA (PS3.5 §6.2), in its present and in its former way.
pub(crate) fn day(value: &str) -> Option<Date> {
    let digits: String = value.trim().chars().filter(|char| *char != '.').collect();
    if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Date::new(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_in_both_ways_of_writing() {
        assert_eq!(day("20260503"), Date::new(2026, 5, 3));
        assert_eq!(day("2026.05.03 "), Date::new(2026, 5, 3));
        for bad in ["", "2026", "20261301", "today123", "２０２６"] {
            assert_eq!(day(bad), None, "{bad}");
        }
    }

    #[test]
    fn decimals_are_all_there_or_none_is() {
        assert_eq!(decimals("-1.5\\ 2e1\\0 ", 1e6), Some([-1_500_000, 20_000_000, 0]));
        for bad in ["", "1\\2", "1\\2\\3\\4", "1\\2\\x", "1\\2\\NaN", "1\\2\\inf", "1\\2\\1e7"] {
            assert_eq!(decimals::<3>(bad, 1e6), None, "{bad}");
        }
    }

    #[test]
    fn what_does_not_show_is_left_out() {
        assert_eq!(shown::<16>(" MR\n\u{202e}Brain ").as_str(), "MRBrain");
        assert_eq!(shown::<4>("äöü").as_str(), "äö");
    }

    #[test]
    fn a_patient_is_told_by_what_both_sides_say() {
        let text = |text: &str| Text::new(text).unwrap();
        let ana =
            Patient { id: text("1"), issuer: text("mercy"), name: text("A^N"), birth_date: Date::new(1980, 1, 2) };
        assert!(ana.may_be(&Patient { name: text("AN"), ..ana.clone() }));
        assert!(ana.may_be(&Patient { issuer: text(""), birth_date: None, ..ana.clone() }));
        assert!(!ana.may_be(&Patient { id: text("2"), ..ana.clone() }));
        assert!(!ana.may_be(&Patient { issuer: text("stluke"), ..ana.clone() }));
        assert!(!ana.may_be(&Patient { birth_date: Date::new(1980, 1, 3), ..ana.clone() }));
        assert!(!ana.may_be(&Patient { id: text(""), name: text("B^O"), ..ana.clone() }));
        let other = Patient { issuer: text("stluke"), ..ana.clone() };
        let differences: Vec<String> = ana.differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(differences, ["Issuer of Patient ID is “mercy” in one and “stluke” in another"]);
        assert_eq!(format!("{:?}", ana.differences(&other)), "[PatientDifference(Issuer of Patient ID)]");
    }

    #[test]
    fn one_number_of_two_hospitals_is_two_patients() {
        let text = |text: &str| Text::new(text).unwrap();
        let of = |issuer: &str, name: &str| Patient {
            id: text("4711"),
            issuer: text(issuer),
            name: text(name),
            birth_date: None,
        };
        let (ana, bob) = (of("", "Rossi^Ana"), of("", "Smith^Bob"));
        // In one hospital a name may have been written wrongly, or have changed.
        assert!(ana.may_be(&bob));
        let said: Vec<&str> = ana.differences_across(&bob).iter().map(|one| one.what).collect();
        assert_eq!(said, ["Patient's Name"]);
        assert!(ana.differences_across(&of("mercy", "ROSSI^ANA^")).is_empty());
        assert!(!ana.differences_across(&of("mercy", "Smith^Bob")).is_empty());
        assert!(of("mercy", "Rossi^Ana").differences_across(&of("mercy", "Bianchi^Ana")).is_empty());
    }

    #[test]
    fn what_one_does_not_say_is_taken_from_the_other() {
        let text = |text: &str| Text::new(text).unwrap();
        let ana = Patient { id: text("1"), birth_date: Date::new(1980, 1, 2), ..Patient::default() };
        let mut known = Patient { name: text("A^N"), ..Patient::default() };
        known.fill(&ana);
        known.fill(&Patient { id: text("2"), ..Patient::default() });
        assert_eq!(known, Patient { name: text("A^N"), ..ana });
    }

    #[test]
    fn names_are_the_same_component_by_component() {
        let same = is_same_name;
        assert_eq!(same("Rossi^Ana", "ROSSI^ANA^^"), Some(true));
        assert_eq!(same("Rossi ^Ana  Maria", "rossi^ana maria"), Some(true));
        assert_eq!(same("Rossi^Ana", "Ana^Rossi"), Some(false));
        assert_eq!(same("Rossi^Ana", "Rossi^Ana^B"), Some(false));
        assert_eq!(same("Yamada^Tarou=山田^太郎", "YAMADA^TAROU"), Some(true));
        assert_eq!(same("Yamada^Tarou=山田^太郎", "=山田^太郎"), Some(true));
        assert_eq!(same("Yamada^Tarou==", "YAMADA^TAROU"), Some(true));
        assert_eq!(same("Yamada^Tarou", "=山田^太郎"), None);
    }
}
