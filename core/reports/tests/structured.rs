//! Structured reports of others, held against what dcmtk says of them: the same sentences in the same order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::process::Command;

use clavicle_reports::content::Stage;
use clavicle_reports::document::of_instance;
use clavicle_reports::structured;
use clavicle_reports::text::person_name;
use clavicle_reports::{Body, Document};
use clavicle_samples::files::pydicom;

fn read(path: &Path) -> Document {
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    of_instance(file, len).unwrap()
}

/// With one space wherever there is room.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What it says, title and all.
fn words(document: &Document) -> String {
    let Body::Lines(lines) = &document.body else { panic!("{document:?}") };
    let (text, is_whole) = structured::text(lines, &|_| None);
    assert!(is_whole && document.content.is_whole);
    plain(&format!("{} {text}", document.content.title))
}

/// What stands between the first and the last quotation mark.
fn quoted(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('"')?;
    rest.rsplit_once('"').map(|(value, _)| value)
}

/// A day, a time or both, as people write them.
fn moment(digits: &str) -> String {
    let [day, time] = if digits.len() < 8 { ["", digits] } else { [&digits[..8], &digits[8..]] };
    let day = if day.is_empty() { String::new() } else { format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]) };
    match (day.is_empty(), time.is_empty()) {
        (true, _) => format!("{}:{}:{}", &time[..2], &time[2..4], &time[4..6]),
        (false, true) => day,
        (false, false) => format!("{day} {}:{}", &time[..2], &time[2..4]),
    }
}

/// The names and values of all items, as `dsrdump` finds them. It shows those as well that it calls invalid.
fn sentences(path: &Path) -> Vec<String> {
    let ran =
        Command::new("dsrdump").args(["-q", "-Ei", "-Ec", "-Er", "-Ev", "-Ee", "+Pl"]).arg(path).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    // Latin-1, as the files are.
    let dump: String = ran.stdout.into_iter().map(char::from).collect();
    let mut all = Vec::new();
    for line in dump.lines().map(str::trim).filter(|line| line.starts_with('<')) {
        // One that only leads to another has no value.
        let Some((head, rest)) = line.split_once(':') else { continue };
        let (concept, value) = rest.split_once('=').unwrap();
        all.extend(quoted(concept).map(str::to_owned));
        match head.trim_start_matches('<').rsplit(' ').next().unwrap() {
            "TEXT" | "CODE" | "UIDREF" => all.extend(quoted(value).map(str::to_owned)),
            "PNAME" => all.extend(quoted(value).map(person_name)),
            "DATE" | "TIME" | "DATETIME" => all.extend(quoted(value).map(moment)),
            "NUM" => all.extend(value.split('"').skip(1).step_by(2).map(str::to_owned)),
            _ => {}
        }
    }
    all.iter().map(|one| plain(&one.replace("\\n", " ").replace("\\r", " "))).collect()
}

/// Each of these stands in `text`, one behind the other.
fn stand_in_order(sentences: &[String], text: &str) {
    let mut rest = text;
    for one in sentences {
        let at =
            rest.find(one.as_str()).unwrap_or_else(|| panic!("{one:?} is not in what is left: {rest}\n\nof {text}"));
        rest = &rest[at + one.len()..];
    }
}

#[test]
fn dcmtk_reads_the_same_sentences() {
    for (name, least) in [("test-SR.dcm", 40), ("reportsi.dcm", 12), ("reportsi_with_empty_number_tags.dcm", 12)] {
        let path = pydicom(name);
        let all = sentences(&path);
        assert!(all.len() >= least, "{name}: {all:?}");
        stand_in_order(&all, &words(&read(&path)));
    }
}

#[test]
fn what_a_report_says_of_itself_is_read() {
    let document = read(&pydicom("test-SR.dcm"));
    let content = &document.content;
    assert_eq!((content.title.as_str(), content.stage), ("Diagnosis", Stage::Amended));
    let said = content.warnings.join("\n");
    assert!(said.contains("This document is completed!") && said.contains("verified by Riesmeier, Jörg"), "{said}");
    assert!(!said.contains("NOT "), "{said}");
    assert_eq!(content.persons[0].names, ["Test^S R"]);
    assert_eq!(content.written.map(|when| when.to_string()).as_deref(), Some("2001-02-13 18:47"));
    let text = words(&document);
    for part in
        ["Diameter: 3 cm (Length Unit)", "CIRCLE".to_lowercase().as_str(), "of 2 points", "an image that is not here"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let document = read(&pydicom("reportsi.dcm"));
    let said = document.content.warnings.join("\n");
    assert!(said.contains("NOT COMPLETE") && said.contains("NOT VERIFIED"), "{said}");
    assert_eq!(document.content.stage, Stage::Preliminary);
}

/// Real ones, cut off and changed: an answer each, and soon.
#[test]
fn a_hostile_report_costs_nothing() {
    let from = std::time::Instant::now();
    for name in ["test-SR.dcm", "reportsi.dcm"] {
        let whole = std::fs::read(pydicom(name)).unwrap();
        let read = |bytes: &[u8]| drop(of_instance(std::io::Cursor::new(bytes), bytes.len() as u64));
        for end in (0..whole.len()).step_by(13) {
            read(&whole[..end]);
        }
        let mut state = 0x00c1_a71c_1e00_u64;
        for _ in 0..500 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(state >> 33).unwrap() % bytes.len();
                bytes[at] = [0, 1, 0x7f, 0xff][usize::try_from(state >> 20 & 3).unwrap()];
            }
            read(&bytes);
        }
    }
    assert!(from.elapsed() < std::time::Duration::from_secs(60), "{:?}", from.elapsed());
}
