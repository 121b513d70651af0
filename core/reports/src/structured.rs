//! A structured report in words: its tree line by line, in the order of the document, as a person would read it aloud.
//!
//! Headings are containers; what is coded is said by its meaning; a number has its unit. Other instances are named by
//! whoever knows the study: a line keeps their UIDs until then ([`text`]). What it says against itself, that it is
//! partial or that nobody verified it, is said before all else.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::content_tree::{Concept, ContentItem, ContentTree, ContentValue, Verifier};
use clavicle_dicom::kind::Kind;
use clavicle_manifest::Uid;

use crate::content::Moment;
use crate::text::{MAX_TEXT, line, person_name, printable};

/// Most instances, and most frames, that a line names; the others are counted.
const MOST_NAMED: usize = 8;
/// Most instances of which a report keeps the UIDs.
pub const MAX_NAMED: usize = 4_096;
/// Characters of another item, where it is referred to.
const SHORT: usize = 60;
/// Spaces before what stands below something, and most steps that are shown.
const INDENT: usize = 2;
const MOST_INDENTS: usize = 16;

/// A line of a report: what it says, and the instances that it refers to.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Line {
    /// How far it is indented.
    depth: u8,
    /// What stands there, or what stands before the names of instances.
    text: String,
    /// Instances.
    references: Vec<InstanceReference>,
}

/// Another instance, as a report refers to it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InstanceReference {
    /// Its SOP class, if that is a UID.
    pub sop_class_uid: Option<Uid>,
    /// Which, if that is a UID.
    pub sop_instance_uid: Option<Uid>,
    /// Which of its frames; all without any.
    pub frames: Vec<u32>,
}

/// What an instance of the study is called by people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceName {
    /// Series Number (0020,0011).
    pub series: Option<i32>,
    /// Instance Number (0020,0013).
    pub number: Option<i32>,
}

/// The title of a report, its lines, and whether these are all.
pub(crate) fn lines(tree: &ContentTree) -> (String, Vec<Line>, bool) {
    let title = tree.items.first().map(|root| line(root.concept.said())).unwrap_or_default();
    let wanted: BTreeSet<&[u32]> = tree.items.iter().filter_map(way).collect();
    let others: BTreeMap<Vec<u32>, String> = if wanted.is_empty() {
        BTreeMap::new()
    } else {
        placed(tree)
            .filter(|(place, _)| wanted.contains(place.as_slice()))
            .map(|(place, item)| (place, short(item)))
            .collect()
    };
    let (mut lines, mut len, mut named, mut is_whole) = (Vec::<Line>::new(), 0, 0, tree.is_whole);
    // How far each item on the way to the present one is indented, and how far what stands below it is.
    let mut indents: Vec<usize> = Vec::new();
    for item in tree.items.iter().skip(1) {
        if len > MAX_TEXT {
            is_whole = false;
            break;
        }
        indents.truncate(item.depth.saturating_sub(1));
        let depth = indents.last().copied().unwrap_or_default();
        let text = said(item, &others);
        indents.push(if text.is_empty() { depth } else { depth + 1 });
        let mut references = Vec::new();
        if let ContentValue::Instance { sop_class_uid, sop_instance_uid, frames } = &item.value {
            named += 1;
            if named > MAX_NAMED {
                is_whole = false;
                continue;
            }
            references.push(InstanceReference {
                sop_class_uid: *sop_class_uid,
                sop_instance_uid: *sop_instance_uid,
                frames: frames.clone(),
            });
        } else if text.is_empty() {
            continue;
        }
        let depth = u8::try_from(depth).unwrap_or(u8::MAX);
        // One image after the other, all under the same name: a selection of images lists thousands.
        if let Some(before) = lines.last_mut()
            && !references.is_empty()
            && !before.references.is_empty()
            && (before.depth, &before.text) == (depth, &text)
        {
            before.references.append(&mut references);
            continue;
        }
        len += text.len();
        lines.push(Line { depth, text, references });
    }
    (title, lines, is_whole)
}

/// What a report says against itself, or for itself.
pub(crate) fn warnings(flags: (&str, &str), is_preliminary: bool, tree: &ContentTree) -> Vec<String> {
    let (completion, verification) = flags;
    let mut all = Vec::new();
    if completion == "PARTIAL" {
        all.push("NOT COMPLETE: it says of itself that it is partial".to_owned());
    }
    if is_preliminary {
        all.push("PRELIMINARY: it says of itself that it may change".to_owned());
    }
    if verification == "UNVERIFIED" {
        all.push("NOT VERIFIED: it says of itself that nobody has verified it".to_owned());
    }
    let description = line(&tree.completion);
    if !description.is_empty() {
        all.push(format!("of its completion it says: {description}"));
    }
    all.extend(tree.verifiers.iter().take(MOST_NAMED).map(verified));
    all
}

fn verified(by: &Verifier) -> String {
    let who = [person_name(&by.name), line(&by.organization)];
    let who: Vec<String> = who.into_iter().filter(|one| !one.is_empty()).collect();
    let who = if who.is_empty() { "somebody without a name".to_owned() } else { who.join(", ") };
    format!("verified by {who}{}", Moment::parse(&by.when).map(|when| format!(", {when}")).unwrap_or_default())
}

/// The text of these lines, with instances as `name` calls them; none is of another study. As much of it as is shown,
/// and whether that is all.
#[must_use]
pub fn text(lines: &[Line], name: &dyn Fn(&Uid) -> Option<InstanceName>) -> (String, bool) {
    let mut all = String::new();
    for Line { depth, text, references } in lines {
        let indent = " ".repeat(INDENT * usize::from(*depth).min(MOST_INDENTS));
        let names = named(references, name);
        let whole = match (text.is_empty(), names.is_empty()) {
            (_, true) => text.clone(),
            (true, false) => names,
            (false, false) => format!("{text}: {names}"),
        };
        for line in whole.lines() {
            all.push_str(&indent);
            all.push_str(line.trim_end());
            all.push('\n');
        }
        if all.len() > MAX_TEXT {
            break;
        }
    }
    printable(&all)
}

/// All instances that these lines refer to.
pub fn references(lines: &[Line]) -> impl Iterator<Item = &Uid> {
    lines.iter().flat_map(|line| &line.references).filter_map(|one| one.sop_instance_uid.as_ref())
}

/// Instances by name: `series 3, image 14, frame 2; series 4, image 1`.
fn named(references: &[InstanceReference], name: &dyn Fn(&Uid) -> Option<InstanceName>) -> String {
    let one = |reference: &InstanceReference| {
        let kind = reference.sop_class_uid.map_or(Kind::Unknown, |class| Kind::of(class.as_str()));
        let what = match kind {
            Kind::Image => "image",
            Kind::Waveform => "waveform",
            Kind::Report | Kind::Document => "document",
            Kind::PresentationState => "presentation state",
            _ => "instance",
        };
        let article = if what.starts_with('i') { "an" } else { "a" };
        let mut said = match reference.sop_instance_uid.as_ref().map(|uid| (uid, name(uid))) {
            None => format!("{article} {what} without a UID"),
            Some((uid, None)) => format!("{article} {what} that is not here ({uid})"),
            Some((uid, Some(InstanceName { series, number }))) => {
                let series = series.map(|series| format!("series {series}, ")).unwrap_or_default();
                number.map_or_else(|| format!("{series}{what} {uid}"), |number| format!("{series}{what} {number}"))
            }
        };
        if !reference.frames.is_empty() {
            let frames: Vec<String> = reference.frames.iter().take(MOST_NAMED).map(u32::to_string).collect();
            let more = reference.frames.len() - frames.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let are = if reference.frames.len() == 1 { "frame" } else { "frames" };
            said.push_str(&format!(", {are} {}{more}", frames.join(", ")));
        }
        said
    };
    let mut all: Vec<String> = references.iter().take(MOST_NAMED).map(one).collect();
    if references.len() > MOST_NAMED {
        all.push(format!("and {} more", references.len() - MOST_NAMED));
    }
    all.join("; ")
}

/// The way to another item, where that is all that an item is.
fn way(item: &ContentItem) -> Option<&[u32]> {
    match &item.value {
        ContentValue::Item(way) => Some(way),
        _ => None,
    }
}

/// All items with the way to each, from the root, which is 1.
fn placed(tree: &ContentTree) -> impl Iterator<Item = (Vec<u32>, &ContentItem)> {
    let mut place: Vec<u32> = Vec::new();
    tree.items.iter().map(move |item| {
        place.truncate(item.depth + 1);
        match place.get_mut(item.depth) {
            Some(number) => *number += 1,
            None => place.push(1),
        }
        (place.clone(), item)
    })
}

/// What an item says, where another refers to it.
fn short(item: &ContentItem) -> String {
    let whole = line(&said(item, &BTreeMap::new()));
    let mut short: String = whole.chars().take(SHORT).collect();
    if short.len() < whole.len() {
        short.push('…');
    }
    short
}

/// What an item says, without those below it and without the names of instances. Empty of a container without a
/// heading.
fn said(item: &ContentItem, others: &BTreeMap<Vec<u32>, String>) -> String {
    let value = match &item.value {
        ContentValue::Container | ContentValue::Instance { .. } => String::new(),
        ContentValue::Text(text) => printable(text).0,
        ContentValue::Code(code) => line(code.said()),
        ContentValue::Number { number, unit, qualifier } => measured(number, unit, qualifier),
        ContentValue::Moment(text) => moment(text),
        ContentValue::PersonName(name) => person_name(name),
        ContentValue::Uid(uid) => line(uid),
        ContentValue::Figure { graphic, points } => {
            let are = if *points == 1 { "point" } else { "points" };
            format!("{} of {points} {are}", line(graphic).to_lowercase())
        }
        ContentValue::Stretch(kind) => format!("{} in time", line(kind).to_lowercase()),
        ContentValue::Item(way) => match others.get(way).filter(|other| !other.is_empty()) {
            Some(other) => format!("see “{other}”"),
            None => "see another item that is not there".to_owned(),
        },
        ContentValue::Other(kind) => format!("{}, which is not shown here", line(kind)),
        _ => "something that is not shown here".to_owned(),
    };
    let concept = line(item.concept.said());
    let whole = match (&item.value, concept.is_empty(), value.is_empty()) {
        (ContentValue::Container, ..) if concept.is_empty() => concept,
        (ContentValue::Container, ..) => format!("{concept}:"),
        (_, true, _) => value,
        (ContentValue::Instance { .. }, false, _) => concept,
        (_, false, true) => format!("{concept}: nothing"),
        (_, false, false) if value.contains('\n') => format!("{concept}:\n{value}"),
        (_, false, false) => format!("{concept}: {value}"),
    };
    let relationship = match item.relationship.as_str() {
        "INFERRED FROM" => "inferred from",
        "SELECTED FROM" => "selected from",
        _ => return whole,
    };
    if whole.is_empty() { relationship.to_owned() } else { format!("{relationship} {whole}") }
}

/// A number and its unit: of UCUM the symbol, which people write as well; else what is meant.
fn measured(number: &str, unit: &Concept, qualifier: &Concept) -> String {
    let (number, code, meaning) = (line(number), line(&unit.code), line(&unit.meaning));
    let qualifier = line(qualifier.said());
    let unit = match unit.scheme.as_str() {
        "UCUM" if code == "1" => String::new(),
        "UCUM" if !code.is_empty() && !code.starts_with('{') => code,
        _ if meaning.is_empty() => code,
        _ if code.is_empty() || code == meaning || unit.scheme == "UCUM" => meaning,
        _ => format!("{code} ({meaning})"),
    };
    let number = match (number.is_empty(), unit.is_empty()) {
        (true, _) => "no number".to_owned(),
        (false, true) => number,
        (false, false) => format!("{number} {unit}"),
    };
    if qualifier.is_empty() { number } else { format!("{number} ({qualifier})") }
}

/// A day, a time of day, or both, as they are written or more readable.
fn moment(text: &str) -> String {
    let digits: Vec<char> = text.chars().take_while(char::is_ascii_digit).collect();
    let part = |at: usize| digits.get(at..at + 2).map(String::from_iter);
    match (Moment::parse(text), part(0), part(2), part(4)) {
        (Some(moment), ..) => moment.to_string(),
        (None, Some(hour), Some(minute), Some(second)) => format!("{hour}:{minute}:{second}"),
        (None, Some(hour), Some(minute), None) => format!("{hour}:{minute}"),
        _ => line(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use dicom_dictionary_std::uids;

    use super::*;

    fn concept(meaning: &str) -> Concept {
        Concept { code: "1".into(), scheme: "99".into(), meaning: meaning.into() }
    }

    fn item(depth: usize, name: &str, value: ContentValue) -> ContentItem {
        ContentItem { depth, relationship: "CONTAINS".into(), concept: concept(name), value }
    }

    fn nameless(depth: usize, value: ContentValue) -> ContentItem {
        ContentItem { concept: Concept::default(), ..item(depth, "", value) }
    }

    fn image(uid: &str, frames: &[u32]) -> ContentValue {
        ContentValue::Instance {
            sop_class_uid: Some(Uid::new(uids::CT_IMAGE_STORAGE).unwrap()),
            sop_instance_uid: Uid::new(uid).ok(),
            frames: frames.to_vec(),
        }
    }

    fn number(number: &str, code: &str, scheme: &str, meaning: &str) -> ContentValue {
        let unit = Concept { code: code.into(), scheme: scheme.into(), meaning: meaning.into() };
        ContentValue::Number { number: number.into(), unit, qualifier: Concept::default() }
    }

    fn tree(items: Vec<ContentItem>) -> ContentTree {
        ContentTree { items, is_whole: true, ..ContentTree::default() }
    }

    /// Images of 1.2 are of series 3, numbered by their last digits.
    fn shown(tree: &ContentTree) -> String {
        let (_, lines, _) = lines(tree);
        let name = |uid: &Uid| {
            let number = uid.as_str().strip_prefix("1.2.").and_then(|number| number.parse().ok());
            number.map(|number| InstanceName { series: Some(3), number: Some(number) })
        };
        text(&lines, &name).0
    }

    #[test]
    fn a_report_is_read_in_its_order() {
        let mut because = item(3, "Finding", ContentValue::Code(concept("Opacity")));
        because.relationship = "INFERRED FROM".into();
        let no_number = ContentValue::Number {
            number: String::new(),
            unit: Concept::default(),
            qualifier: concept("Measurement failure"),
        };
        let report = tree(vec![
            item(0, "Chest CT Report", ContentValue::Container),
            item(1, "Observer Name", ContentValue::PersonName("Rossi^Ana^^Dr=".into())),
            item(1, "Findings", ContentValue::Container),
            item(2, "Finding", ContentValue::Text("A mass.\r\nIn the left lobe.".into())),
            because,
            item(2, "Diameter", number("12.5", "mm", "UCUM", "millimeter")),
            item(3, "Seen in", image("1.2.14", &[2, 5])),
            item(2, "Density", number("40", "[hnsf'U]", "UCUM", "Hounsfield unit")),
            item(2, "Count", number("3", "1", "UCUM", "no units")),
            item(2, "Lesions", number("3", "{lesions}", "UCUM", "lesions")),
            item(2, "Length", number("3", "cm", "99", "Length Unit")),
            item(2, "Volume", no_number),
            nameless(2, ContentValue::Container),
            item(3, "Measured", ContentValue::Moment("20260503141005".into())),
            item(3, "At", ContentValue::Moment("141005.12".into())),
            item(3, "On", ContentValue::Moment("20260503".into())),
            item(3, "Outline", ContentValue::Figure { graphic: "POLYLINE".into(), points: 9 }),
            item(3, "The same as", ContentValue::Item(vec![1, 2, 2])),
            item(3, "Nowhere", ContentValue::Item(vec![1, 9])),
            item(3, "Rows", ContentValue::Other("TABLE".into())),
        ]);
        let expected = "\
Observer Name: Rossi, Ana Dr
Findings:
  Finding:
  A mass.
  In the left lobe.
    inferred from Finding: Opacity
  Diameter: 12.5 mm
    Seen in: series 3, image 14, frames 2, 5
  Density: 40 [hnsf'U]
  Count: 3
  Lesions: 3 lesions
  Length: 3 cm (Length Unit)
  Volume: no number (Measurement failure)
  Measured: 2026-05-03 14:10
  At: 14:10:05
  On: 2026-05-03
  Outline: polyline of 9 points
  The same as: see “Diameter: 12.5 mm”
  Nowhere: see another item that is not there
  Rows: TABLE, which is not shown here";
        assert_eq!(shown(&report), expected);
        assert_eq!(lines(&report).0, "Chest CT Report");
        assert_eq!(references(&lines(&report).1).map(Uid::as_str).collect::<Vec<_>>(), ["1.2.14"]);
    }

    #[test]
    fn a_selection_of_thousands_is_one_line() {
        let mut items = vec![item(0, "Of Interest", ContentValue::Container)];
        items.extend((1..=5_000).map(|number| nameless(1, image(&format!("1.2.{number}"), &[]))));
        let (title, lines, is_whole) = lines(&tree(items));
        assert_eq!((title.as_str(), lines.len(), is_whole), ("Of Interest", 1, false));
        assert_eq!(references(&lines).count(), MAX_NAMED);
        let (said, _) = text(&lines, &|_| None);
        assert!(said.starts_with("an image that is not here (1.2.1); ") && said.ends_with("; and 4088 more"), "{said}");
        // What has something below it is a line of its own.
        let both = tree(vec![
            item(0, "Report", ContentValue::Container),
            item(1, "Image", image("1.2.1", &[])),
            item(2, "Why", ContentValue::Text("sharp".into())),
            item(1, "Image", image("1.2.2", &[])),
        ]);
        assert_eq!(shown(&both), "Image: series 3, image 1\n  Why: sharp\nImage: series 3, image 2");
    }

    #[test]
    fn what_speaks_against_a_report_is_said_first() {
        let verifier = Verifier { name: "Rossi^Ana".into(), organization: "Mercy".into(), when: "202605031410".into() };
        let report = ContentTree {
            completion: "images 1 to 20 only".into(),
            verifiers: vec![verifier],
            ..ContentTree::default()
        };
        let said = warnings(("PARTIAL", "UNVERIFIED"), true, &report).join("\n");
        for part in [
            "NOT COMPLETE",
            "PRELIMINARY",
            "NOT VERIFIED",
            "images 1 to 20",
            "verified by Rossi, Ana, Mercy, 2026-05-03 14:10",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(warnings(("COMPLETE", "VERIFIED"), false, &ContentTree::default()).is_empty());
    }

    #[test]
    fn a_report_without_end_ends() {
        let mut items = vec![item(0, "Report", ContentValue::Container)];
        items.extend((0..3_000).map(|_| item(1, "Text", ContentValue::Text("ü".repeat(1_000)))));
        let (_, lines, is_whole) = lines(&tree(items));
        let (said, _) = text(&lines, &|_| None);
        assert!(!is_whole && said.len() <= MAX_TEXT + 4_096, "{}", said.len());
        let escape = item(1, "A\u{1b}[2J", ContentValue::Text("b\u{202e}\u{1b}[31m".into()));
        let said = shown(&tree(vec![item(0, "R", ContentValue::Container), escape]));
        assert_eq!(said, "A[2J: b[31m");
    }
}
