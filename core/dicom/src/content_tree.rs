//! The content tree of a structured report: what it says, item by item, in the order of the document (PS3.3 C.17.3).
//!
//! It stands behind the scan, which has seen that all lengths are sound, and below whatever makes words of it. Nothing
//! is judged here: what a document of another template says is read as well. Bounded in items and depth; what is beyond
//! that is said to be missing.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use clavicle_manifest::Uid;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::elements::{DataSet, Element};
use crate::references::MAX_DOCUMENT_LEN;
use crate::scan;
use crate::text::Charset;
use crate::unreadable::Unreadable;

/// Most items that are read.
pub const MAX_ITEMS: usize = 20_000;
/// Items that lie deeper are not read. The scan allows for as many sequences in one another.
pub const MAX_ITEM_DEPTH: usize = 32;
/// Of a value no more is taken, in bytes.
const MAX_VALUE: usize = 256 << 10;
/// Most frames, and most steps to another item, that are taken of a reference.
const MAX_LISTED: usize = 1_024;

/// What a structured report says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContentTree {
    /// All items, the root first, each before those below it.
    pub items: Vec<ContentItem>,
    /// Whether these are all.
    pub is_whole: bool,
    /// Completion Flag Description (0040,A492).
    pub completion: String,
    /// Who verified it: Verifying Observer Sequence (0040,A073).
    pub verifiers: Vec<Verifier>,
}

/// Who stands by a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verifier {
    /// Verifying Observer Name (0040,A075).
    pub name: String,
    /// Verifying Organization (0040,A027).
    pub organization: String,
    /// Verification DateTime (0040,A030).
    pub when: String,
}

/// An item of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct ContentItem {
    /// How many items are above it.
    pub depth: usize,
    /// Relationship Type (0040,A010) to the one above it.
    pub relationship: String,
    /// Concept Name (0040,A043): what its value is of.
    pub concept: Concept,
    /// Its value.
    pub value: ContentValue,
}

/// A coded concept. What is not said is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concept {
    /// Code Value (0008,0100), or the long one or the URN that stands for it.
    pub code: String,
    /// Coding Scheme Designator (0008,0102).
    pub scheme: String,
    /// Code Meaning (0008,0104).
    pub meaning: String,
}

/// What an item holds (PS3.3 table C.17.3-7).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ContentValue {
    /// CONTAINER: those below it.
    Container,
    /// TEXT.
    Text(String),
    /// CODE.
    Code(Concept),
    /// NUM. Without a number there is a reason, if any.
    Number {
        /// As it is written.
        number: String,
        /// Of what it is so many.
        unit: Concept,
        /// Why there is no number, or what it means.
        qualifier: Concept,
    },
    /// DATE, TIME or DATETIME, as it is written.
    Moment(String),
    /// PNAME.
    PersonName(String),
    /// UIDREF.
    Uid(String),
    /// IMAGE, WAVEFORM or COMPOSITE: another instance.
    Instance {
        /// Its SOP class, if that is a UID.
        sop_class_uid: Option<Uid>,
        /// Which, if that is a UID.
        sop_instance_uid: Option<Uid>,
        /// Which of its frames; all without any.
        frames: Vec<u32>,
    },
    /// SCOORD or SCOORD3D: a figure in an image, of so many points.
    Figure {
        /// Graphic Type (0070,0023).
        graphic: String,
        /// Points.
        points: usize,
    },
    /// TCOORD: a stretch of time. Temporal Range Type (0040,A130).
    Stretch(String),
    /// Another item of the same tree, by the way to it from the root, whose first step is 1.
    Item(Vec<u32>),
    /// Something else: its Value Type (0040,A040).
    Other(String),
}

impl ContentTree {
    /// Reads the document of `len` bytes. It is held in memory, and refused above [`MAX_DOCUMENT_LEN`].
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read<S: Read + Seek>(source: S, len: u64) -> Result<Self, Unreadable> {
        // Nothing here is known to panic. If something does, it costs one file.
        panic::catch_unwind(AssertUnwindSafe(|| Self::of(source, len))).unwrap_or(Err(Unreadable::Panicked))
    }

    fn of<S: Read + Seek>(mut source: S, len: u64) -> Result<Self, Unreadable> {
        if len > MAX_DOCUMENT_LEN {
            return Err(Unreadable::TooLongForAList);
        }
        let mut scanned = scan::scan(&mut source, len)?;
        let bytes = scanned.take_beginning(source, len, len)?;
        let mut tree = Self { is_whole: true, ..Self::default() };
        let document = DataSet::new(&bytes, scanned.encoding);
        tree.header(document)?;
        tree.add(document, Charset::default(), 0)?;
        Ok(tree)
    }

    /// What stands beside the tree.
    fn header(&mut self, mut document: DataSet<'_>) -> Result<(), Unreadable> {
        let mut charset = Charset::default();
        while let Some(element) = document.next()? {
            match element.tag {
                tags::SPECIFIC_CHARACTER_SET => charset = Charset::of(Some(element.value)),
                tags::COMPLETION_FLAG_DESCRIPTION => self.completion = text(&element, charset),
                tags::VERIFYING_OBSERVER_SEQUENCE => {
                    let mut observers = element.items();
                    while let Some(observer) = observers.next()?
                        && self.verifiers.len() < MAX_LISTED
                    {
                        self.verifiers.push(Verifier::of(observer, charset)?);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds the item that this data set is, and those below it.
    fn add(&mut self, mut set: DataSet<'_>, mut charset: Charset, depth: usize) -> Result<(), Unreadable> {
        if depth > MAX_ITEM_DEPTH || self.items.len() == MAX_ITEMS {
            self.is_whole = false;
            return Ok(());
        }
        let mut seen = Seen::default();
        while let Some(element) = set.next()? {
            match element.tag {
                tags::SPECIFIC_CHARACTER_SET => charset = Charset::of(Some(element.value)),
                tags::RELATIONSHIP_TYPE => seen.relationship = word(&element),
                tags::VALUE_TYPE => seen.kind = word(&element),
                tags::CONCEPT_NAME_CODE_SEQUENCE => seen.concept = Concept::of(&element, charset)?,
                tags::CONTENT_SEQUENCE => seen.below = Some(element),
                tags::REFERENCED_CONTENT_ITEM_IDENTIFIER => seen.item = Some(numbers(&element)),
                _ => seen.values.push(element),
            }
        }
        let value = match seen.item {
            Some(way) => ContentValue::Item(way),
            None => value_of(&seen.kind, &seen.values, charset)?,
        };
        self.items.push(ContentItem { depth, relationship: seen.relationship, concept: seen.concept, value });
        let Some(below) = seen.below else { return Ok(()) };
        let mut items = below.items();
        while let Some(item) = items.next()? {
            if self.items.len() == MAX_ITEMS {
                self.is_whole = false;
                break;
            }
            self.add(item, charset, depth + 1)?;
        }
        Ok(())
    }
}

/// What was seen of an item.
#[derive(Default)]
struct Seen<'a> {
    relationship: String,
    kind: String,
    concept: Concept,
    values: Vec<Element<'a>>,
    below: Option<Element<'a>>,
    item: Option<Vec<u32>>,
}

impl Verifier {
    fn of(mut set: DataSet<'_>, mut charset: Charset) -> Result<Self, Unreadable> {
        let mut verifier = Self::default();
        while let Some(element) = set.next()? {
            match element.tag {
                tags::SPECIFIC_CHARACTER_SET => charset = Charset::of(Some(element.value)),
                tags::VERIFYING_OBSERVER_NAME => verifier.name = name(&element, charset),
                tags::VERIFYING_ORGANIZATION => verifier.organization = text(&element, charset),
                tags::VERIFICATION_DATE_TIME => verifier.when = text(&element, charset),
                _ => {}
            }
        }
        Ok(verifier)
    }
}

impl Concept {
    /// The first item of a code sequence; more than one there may not be (PS3.3 C.17.3.2.1).
    fn of(sequence: &Element<'_>, mut charset: Charset) -> Result<Self, Unreadable> {
        let mut concept = Self::default();
        let Some(mut set) = sequence.items().next()? else { return Ok(concept) };
        while let Some(element) = set.next()? {
            match element.tag {
                tags::SPECIFIC_CHARACTER_SET => charset = Charset::of(Some(element.value)),
                tags::CODE_VALUE | tags::LONG_CODE_VALUE | tags::URN_CODE_VALUE if concept.code.is_empty() => {
                    concept.code = text(&element, charset);
                }
                tags::CODING_SCHEME_DESIGNATOR => concept.scheme = text(&element, charset),
                tags::CODE_MEANING => concept.meaning = text(&element, charset),
                _ => {}
            }
        }
        Ok(concept)
    }

    /// As people read it: what it means, or else how it is coded.
    #[must_use]
    pub fn said(&self) -> &str {
        if self.meaning.is_empty() { &self.code } else { &self.meaning }
    }
}

fn value_of(kind: &str, values: &[Element<'_>], charset: Charset) -> Result<ContentValue, Unreadable> {
    let find = |tag: Tag| values.iter().find(|element| element.tag == tag);
    let text_of = |tag: Tag| find(tag).map(|element| text(element, charset)).unwrap_or_default();
    let code_of = |tag: Tag| find(tag).map_or(Ok(Concept::default()), |element| Concept::of(element, charset));
    Ok(match kind {
        "CONTAINER" => ContentValue::Container,
        "TEXT" => ContentValue::Text(text_of(tags::TEXT_VALUE)),
        "CODE" => ContentValue::Code(code_of(tags::CONCEPT_CODE_SEQUENCE)?),
        "NUM" => {
            let qualifier = code_of(tags::NUMERIC_VALUE_QUALIFIER_CODE_SEQUENCE)?;
            let (mut number, mut unit) = (String::new(), Concept::default());
            if let Some(measured) = find(tags::MEASURED_VALUE_SEQUENCE)
                && let Some(mut set) = measured.items().next()?
            {
                while let Some(element) = set.next()? {
                    match element.tag {
                        tags::NUMERIC_VALUE => number = text(&element, charset),
                        tags::MEASUREMENT_UNITS_CODE_SEQUENCE => unit = Concept::of(&element, charset)?,
                        _ => {}
                    }
                }
            }
            ContentValue::Number { number, unit, qualifier }
        }
        "DATE" => ContentValue::Moment(text_of(tags::DATE)),
        "TIME" => ContentValue::Moment(text_of(tags::TIME)),
        "DATETIME" => ContentValue::Moment(text_of(tags::DATE_TIME)),
        "PNAME" => {
            ContentValue::PersonName(find(tags::PERSON_NAME).map(|element| name(element, charset)).unwrap_or_default())
        }
        "UIDREF" => ContentValue::Uid(text_of(tags::UID)),
        "IMAGE" | "WAVEFORM" | "COMPOSITE" => instance(find(tags::REFERENCED_SOP_SEQUENCE))?,
        "SCOORD" | "SCOORD3D" => {
            let of_a_point = if kind == "SCOORD" { 8 } else { 12 };
            let points = find(tags::GRAPHIC_DATA).map_or(0, |data| data.value.len() / of_a_point);
            ContentValue::Figure { graphic: text_of(tags::GRAPHIC_TYPE), points }
        }
        "TCOORD" => ContentValue::Stretch(text_of(tags::TEMPORAL_RANGE_TYPE)),
        other => ContentValue::Other(other.to_owned()),
    })
}

/// The instance that a Referenced SOP Sequence (0008,1199) names.
fn instance(sequence: Option<&Element<'_>>) -> Result<ContentValue, Unreadable> {
    let (mut sop_class_uid, mut sop_instance_uid, mut frames) = (None, None, Vec::new());
    if let Some(mut set) = sequence.map(|sequence| sequence.items().next()).transpose()?.flatten() {
        let uid = |element: &Element<'_>| element.text().and_then(|text| Uid::new(text).ok());
        while let Some(element) = set.next()? {
            match element.tag {
                tags::REFERENCED_SOP_CLASS_UID => sop_class_uid = uid(&element),
                tags::REFERENCED_SOP_INSTANCE_UID => sop_instance_uid = uid(&element),
                tags::REFERENCED_FRAME_NUMBER => {
                    let text = element.text().unwrap_or_default();
                    frames = text.split('\\').filter_map(|one| one.trim().parse().ok()).take(MAX_LISTED).collect();
                }
                _ => {}
            }
        }
    }
    Ok(ContentValue::Instance { sop_class_uid, sop_instance_uid, frames })
}

/// Values of UL.
fn numbers(element: &Element<'_>) -> Vec<u32> {
    let (values, _) = element.value.as_chunks();
    values.iter().take(MAX_LISTED).map(|value| element.encoding().u32(*value)).collect()
}

fn word(element: &Element<'_>) -> String {
    element.text().map(|text| text.trim().to_ascii_uppercase()).unwrap_or_default()
}

fn text(element: &Element<'_>, charset: Charset) -> String {
    decoded(element, charset, false)
}

fn name(element: &Element<'_>, charset: Charset) -> String {
    decoded(element, charset, true)
}

fn decoded(element: &Element<'_>, charset: Charset, is_name: bool) -> String {
    let value = &element.value[..element.value.len().min(MAX_VALUE)];
    charset.decode_marked(value, is_name).trim_matches(['\0', ' ']).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Cursor;

    use dicom_dictionary_std::uids;

    use super::*;
    use crate::encode::{Elements, file_head};

    fn file(items: Elements) -> Vec<u8> {
        let uid = |text: &str| Uid::new(text).unwrap();
        let head = file_head(uids::BASIC_TEXT_SR_STORAGE, &uid("1.2.3"), uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let data_set = Elements::default()
            .text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192")
            .text(tags::SOP_CLASS_UID, uids::BASIC_TEXT_SR_STORAGE)
            .text(tags::SOP_INSTANCE_UID, "1.2.3")
            .text(tags::STUDY_INSTANCE_UID, "1.2")
            .text(tags::SERIES_INSTANCE_UID, "1.2.1");
        [head, data_set.written(&items.into_bytes()).into_bytes()].concat()
    }

    fn read(file: &[u8]) -> Result<ContentTree, Unreadable> {
        ContentTree::read(Cursor::new(file), file.len() as u64)
    }

    fn deep(levels: usize) -> Elements {
        let item = Elements::default().text(tags::VALUE_TYPE, "CONTAINER");
        if levels == 0 { item } else { item.items(tags::CONTENT_SEQUENCE, [deep(levels - 1)]) }
    }

    #[test]
    fn a_tree_is_read_as_deep_and_as_long_as_is_sensible() {
        let tree = read(&file(deep(20))).unwrap();
        assert_eq!((tree.items.len(), tree.is_whole), (21, true));
        assert_eq!(tree.items.iter().map(|item| item.depth).collect::<Vec<_>>(), (0..=20).collect::<Vec<_>>());
        // Deeper than any report: refused by the scan, or read as far as is said.
        assert!(read(&file(deep(200))).map_or(true, |tree| !tree.is_whole));
        let item = || Elements::default().text(tags::VALUE_TYPE, "TEXT").text(tags::TEXT_VALUE, "x");
        let many = Elements::default()
            .text(tags::VALUE_TYPE, "CONTAINER")
            .items(tags::CONTENT_SEQUENCE, (0..MAX_ITEMS + 10).map(|_| item()));
        let tree = read(&file(many)).unwrap();
        assert_eq!((tree.items.len(), tree.is_whole), (MAX_ITEMS, false));
    }

    #[test]
    fn what_is_cut_off_or_changed_is_answered() {
        let whole = file(deep(4));
        for end in 0..whole.len() {
            drop(read(&whole[..end]));
        }
        for at in 0..whole.len() {
            for with in [0, 1, 0x7f, 0xff] {
                let mut other = whole.clone();
                other[at] = with;
                drop(read(&other));
            }
        }
    }
}
