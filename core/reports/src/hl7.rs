//! HL7 v2: ORU^R01 and MDM, as interfaces really send them.
//!
//! What separates what, a message says in its first eight characters; what it is written in, in MSH-18. A report is the OBX segments and the notes
//! below them, in their order.

use clavicle_dicom::text::Charset;
use clavicle_manifest::Date;

use crate::content::{MAX_PERSONS, Moment, ReportContent, ReportError, Stage};
use crate::person::{Id, Person};
use crate::text::{line, printable};

/// What separates what.
#[derive(Clone, Copy)]
struct Separators {
    field: char,
    component: char,
    repetition: char,
    escape: char,
    sub: char,
}

/// A segment's fields; the first is its name.
struct Segment<'a> {
    fields: Vec<&'a str>,
    by: Separators,
}

impl<'a> Segment<'a> {
    /// A field by its number.
    fn field(&self, number: usize) -> &'a str {
        // HL7's own word for "delete what is there" is two quotation marks.
        self.fields.get(number).copied().filter(|field| *field != "\"\"").unwrap_or_default()
    }

    fn repetitions(&self, number: usize) -> impl Iterator<Item = &'a str> {
        self.field(number).split(self.by.repetition).filter(|one| !one.is_empty())
    }

    /// A component of a field, or of one of its repetitions, by its number from one.
    fn component(&self, field: &'a str, number: usize) -> &'a str {
        field.split(self.by.component).nth(number - 1).unwrap_or_default()
    }

    /// A subcomponent.
    fn sub(&self, component: &'a str, number: usize) -> &'a str {
        component.split(self.by.sub).nth(number - 1).unwrap_or_default()
    }

    fn shown(&self, text: &str) -> String {
        line(&unescaped(text, self.by))
    }
}

/// Reads one message, or several in one file.
pub(crate) fn read(bytes: &[u8]) -> Result<ReportContent, ReportError> {
    // What MLLP puts around a message, and a mark of UTF-8, are no part of it.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let begin = bytes.iter().position(|byte| !matches!(byte, 0x0b | b' ' | b'\r' | b'\n')).unwrap_or(0);
    let bytes = &bytes[begin..];
    if !bytes.starts_with(b"MSH") {
        return Err(ReportError::NotHl7);
    }
    let text = decoded(bytes);
    let mut report = ReportContent { is_whole: true, ..ReportContent::default() };
    let (mut by, mut sent, mut said, mut text_of) = (None, None, None::<Moment>, String::new());
    let mut label = String::new();
    for row in text.split(['\r', '\n', '\u{1c}', '\u{0b}']).filter(|row| !row.is_empty()) {
        if row.starts_with("MSH") {
            by = separators(row);
        }
        let Some(by) = by else { return Err(ReportError::NotHl7) };
        let mut fields: Vec<&str> = row.split(by.field).collect();
        if fields.first() == Some(&"MSH") {
            // MSH-1 is the separator itself.
            fields.insert(1, "");
        }
        let segment = Segment { fields, by };
        match segment.field(0) {
            "MSH" => {
                sent = sent.max(Moment::parse(segment.field(7)));
                // Notifications about documents: an addendum, a replacement, one that is taken back.
                let event = segment.component(segment.field(9), 2);
                report.stage = report.stage.max(match event {
                    "T05" | "T06" => Stage::Addendum,
                    "T07" | "T08" | "T09" | "T10" => Stage::Amended,
                    "T11" => Stage::Withdrawn,
                    _ => Stage::Unsaid,
                });
            }
            "PID" => {
                if report.persons.len() >= MAX_PERSONS {
                    return Err(ReportError::TooMany);
                }
                report.persons.push(person(&segment));
            }
            "OBR" => {
                said = said.max(Moment::parse(segment.field(22)));
                report.stage = report.stage.max(stage(segment.field(25)));
                let what = segment.field(4);
                let name = [2, 1].map(|number| segment.shown(segment.component(what, number)));
                if let Some(name) = name.into_iter().find(|name| !name.is_empty() && report.title.is_empty()) {
                    report.title = name;
                }
            }
            "TXA" => {
                said = [4, 6, 7, 8].iter().filter_map(|number| Moment::parse(segment.field(*number))).max().max(said);
                report.stage = report.stage.max(match segment.field(17) {
                    "DI" | "DO" | "IN" | "IP" | "PA" => Stage::Preliminary,
                    "AU" | "LA" => Stage::Final,
                    _ => Stage::Unsaid,
                });
                if segment.field(19) == "CA" {
                    report.stage = Stage::Withdrawn;
                }
            }
            "OBX" => observation(&segment, &mut report, &mut text_of, &mut label),
            "NTE" => {
                for note in segment.repetitions(3) {
                    text_of.push_str(&unescaped(note, by));
                    text_of.push('\n');
                }
            }
            _ => {}
        }
    }
    report.written = said.or(sent);
    (report.text, report.is_whole) = printable(&text_of);
    Ok(report)
}

/// MSH-1 and MSH-2.
fn separators(row: &str) -> Option<Separators> {
    let mut chars = row.chars().skip(3);
    let field = chars.next().filter(|field| !field.is_alphanumeric())?;
    let mut next = |usual: char, is_over: &mut bool| {
        let one = chars.next().filter(|one| *one != field);
        *is_over |= one.is_none();
        if *is_over { usual } else { one.unwrap_or(usual) }
    };
    let mut is_over = false;
    let component = next('^', &mut is_over);
    let repetition = next('~', &mut is_over);
    let escape = next('\\', &mut is_over);
    let sub = next('&', &mut is_over);
    Some(Separators { field, component, repetition, escape, sub })
}

/// OBR-25 (table 0123), and OBX-11 (table 0085).
fn stage(status: &str) -> Stage {
    match status.trim() {
        "P" | "R" | "S" | "I" | "O" => Stage::Preliminary,
        "F" | "U" => Stage::Final,
        "A" => Stage::Addendum,
        "M" | "N" => Stage::Amended,
        "C" | "K" => Stage::Corrected,
        "X" | "W" => Stage::Withdrawn,
        _ => Stage::Unsaid,
    }
}

fn observation(segment: &Segment<'_>, report: &mut ReportContent, text: &mut String, label: &mut String) {
    let by = segment.by;
    let status = segment.field(11).trim();
    report.stage = report.stage.max(stage(status));
    let what = segment.field(3);
    let name = [2, 1].map(|number| segment.shown(segment.component(what, number)));
    let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let mark = match status {
        "A" => "(addendum)",
        "C" => "(corrected)",
        "D" => "(deleted)",
        "P" => "(preliminary)",
        "W" => "(of another patient)",
        "X" => "(not to be had)",
        _ => "",
    };
    let name = format!("{name} {mark}").trim().to_owned();
    if name != *label && !name.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{name}:\n"));
    }
    *label = name;
    match segment.field(2) {
        "ED" | "RP" => {
            let data = segment.field(5);
            let kind = [3, 2].map(|number| segment.shown(segment.component(data, number)));
            let kind = kind.into_iter().find(|kind| !kind.is_empty()).unwrap_or_else(|| "a document".to_owned());
            report.enclosed.push(format!("{kind}, {} characters", segment.component(data, 5).len()));
        }
        "CE" | "CWE" | "CNE" | "CF" => {
            for value in segment.repetitions(5) {
                let names = [2, 1, 9].map(|number| segment.shown(segment.component(value, number)));
                text.push_str(&names.into_iter().find(|name| !name.is_empty()).unwrap_or_default());
                text.push('\n');
            }
        }
        _ => {
            let unit = segment.shown(segment.component(segment.field(6), 1));
            for value in segment.repetitions(5) {
                text.push_str(&unescaped(value, by));
                if !unit.is_empty() {
                    text.push(' ');
                    text.push_str(&unit);
                }
                text.push('\n');
            }
        }
    }
}

fn person(segment: &Segment<'_>) -> Person {
    let id = |field: &&str| {
        let authority = segment.component(field, 4);
        Id {
            id: segment.shown(segment.component(field, 1)),
            issuer: segment.shown(segment.sub(authority, 1)),
            system: segment.shown(segment.sub(authority, 2)),
        }
    };
    let ids = |number: usize| -> Vec<Id> {
        segment.repetitions(number).map(|field| id(&field)).filter(|id| !id.id.is_empty()).collect()
    };
    let name = |field: &str| {
        // Family, given and further names. A family's name may be in parts, of which the first is all of it.
        let family = segment.sub(segment.component(field, 1), 1);
        let parts = [family, segment.component(field, 2), segment.component(field, 3)];
        parts.map(|part| segment.shown(part).replace(['^', '='], " ")).join("^").trim_end_matches('^').to_owned()
    };
    Person {
        // Before 2.3.1 the id was in PID-2.
        ids: Some(ids(3)).filter(|ids| !ids.is_empty()).unwrap_or_else(|| ids(2)),
        names: segment.repetitions(5).map(name).filter(|name| !name.is_empty()).collect(),
        birth_date: day(segment.field(7)),
        sex: Some(segment.field(8).trim().to_uppercase()).filter(|sex| ["M", "F", "O"].contains(&sex.as_str())),
    }
}

fn day(text: &str) -> Option<Date> {
    Moment::parse(text).map(|moment| moment.day)
}

/// In the character set that MSH-18 names; UTF-8 where it is that, whatever is named.
fn decoded(bytes: &[u8]) -> String {
    if let Ok(text) = core::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let first = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let field = first.get(3).copied().unwrap_or(b'|');
    // MSH-1 is the separator, so that MSH-18 is the eighteenth part.
    let named = first.split(|byte| *byte == field).nth(17).unwrap_or_default();
    let named = String::from_utf8_lossy(named).into_owned();
    let named = named.split('~').next().unwrap_or_default().trim().to_uppercase();
    let dicom = match named.as_str() {
        "8859/2" => "ISO_IR 101",
        "8859/3" => "ISO_IR 109",
        "8859/4" => "ISO_IR 110",
        "8859/5" => "ISO_IR 144",
        "8859/6" => "ISO_IR 127",
        "8859/7" => "ISO_IR 126",
        "8859/8" => "ISO_IR 138",
        "8859/9" => "ISO_IR 148",
        "8859/15" => "ISO_IR 203",
        "GB 18030-2000" => "GB18030",
        // What is not UTF-8 and says that it is, or nothing, is Latin-1 as a rule.
        _ => "ISO_IR 100",
    };
    Charset::of(Some(dicom.as_bytes())).decode_marked(bytes, false)
}

/// Text with HL7's escapes undone (2.A, "Use of escape sequences in text fields").
fn unescaped(text: &str, by: Separators) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(by.escape) {
        out.push_str(before);
        let Some((word, next)) = after.split_once(by.escape).filter(|(word, _)| word.len() <= 64) else {
            // A lone one is a letter like others: many senders do not escape.
            out.push(by.escape);
            rest = after;
            continue;
        };
        rest = next;
        match word {
            "F" => out.push(by.field),
            "S" => out.push(by.component),
            "T" => out.push(by.sub),
            "R" => out.push(by.repetition),
            "E" => out.push(by.escape),
            "H" | "N" => {}
            _ if word.starts_with('X') => match data_encoding::HEXUPPER_PERMISSIVE.decode(&word.as_bytes()[1..]) {
                Ok(bytes) => out.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => out.push_str(&format!("{0}{word}{0}", by.escape)),
            },
            _ if word.starts_with(".br") || word.starts_with(".sp") || word.starts_with(".ce") => out.push('\n'),
            _ if word.starts_with('.') || word.starts_with(['C', 'M', 'Z']) => {}
            _ => {
                // Not an escape: what looked like its end may begin one.
                out.push(by.escape);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn message(rows: &[&str]) -> Vec<u8> {
        [&["MSH|^~\\&|RIS|MERCY|CLAVICLE|MERCY|20260503141500||ORU^R01|1|P|2.5"][..], rows]
            .concat()
            .join("\r")
            .into_bytes()
    }

    #[test]
    fn an_oru_is_read_as_people_read_it() {
        let report = read(&message(&[
            "PID|1||4711^^^mercy&1.2.3&ISO^MR~900^^^national||Rossi^Ana^Maria^^Dr^^L~Bianchi^Ana||19530117|F",
            "OBR|1||A123|71250^CT chest^L|||20260503120000|||||||||||||||20260503141000|||F",
            "OBX|1|TX|FIND^Findings||No acute finding.\\.br\\Heart \\T\\ lungs: 5 \\X3C\\ 7.~Second line.||||||F",
            "OBX|2|FT|IMP^Impression||Normal \\F\\ unchanged.||||||F",
            "OBX|3|NM|SIZE^Nodule||4|mm^millimetre|||||F",
            "OBX|4|ED|DOC^Report||^application^pdf^Base64^JVBERi0=||||||F",
            "NTE|1||Dictated.",
        ]))
        .unwrap();
        let text = "Findings:\nNo acute finding.\nHeart & lungs: 5 < 7.\nSecond line.\n\nImpression:\nNormal | unchanged.\n\nNodule:\n4 mm\n\nReport:\nDictated.";
        assert_eq!((report.text.as_str(), report.is_whole), (text, true));
        assert_eq!((report.title.as_str(), report.stage), ("CT chest", Stage::Final));
        assert_eq!(report.written.unwrap().to_string(), "2026-05-03 14:10");
        assert_eq!(report.enclosed, ["pdf, 8 characters"]);
        let [person] = report.persons.as_slice() else { panic!() };
        assert_eq!(person.names, ["Rossi^Ana^Maria", "Bianchi^Ana"]);
        assert_eq!((person.birth_date, person.sex.as_deref()), (Date::new(1953, 1, 17), Some("F")));
        let ids: Vec<_> =
            person.ids.iter().map(|one| (one.id.as_str(), one.issuer.as_str(), one.system.as_str())).collect();
        assert_eq!(ids, [("4711", "mercy", "1.2.3"), ("900", "national", "")]);
    }

    #[test]
    fn addenda_and_corrections_are_said() {
        let of = |obr: &str, obx: &str| {
            let (obr, obx) = (format!("OBR|1|||CT{}|{obr}", "|".repeat(20)), format!("OBX|1|TX|A||x||||||{obx}"));
            read(&message(&[&obr, &obx])).unwrap().stage
        };
        assert_eq!(of("F", "F"), Stage::Final);
        assert_eq!(of("P", "P"), Stage::Preliminary);
        assert_eq!(of("A", "F"), Stage::Addendum);
        assert_eq!(of("F", "A"), Stage::Addendum);
        assert_eq!(of("C", "F"), Stage::Corrected);
        assert_eq!(of("F", "C"), Stage::Corrected);
        assert_eq!(of("F", "W"), Stage::Withdrawn);
        assert_eq!(of("", ""), Stage::Unsaid);
        let mdm = |event: &str| {
            let row = format!(
                "MSH|^~\\&|||||20260503141500||MDM^{event}|1|P|2.5\rTXA|1|CN|TX|202605031200|||||||||D1|D0|||AU\rOBX|1|TX|A||x"
            );
            let report = read(row.as_bytes()).unwrap();
            (report.stage, report.written.unwrap().to_string())
        };
        assert_eq!(mdm("T02"), (Stage::Final, "2026-05-03 12:00".to_owned()));
        assert_eq!(mdm("T06").0, Stage::Addendum);
        assert_eq!(mdm("T10").0, Stage::Amended);
        assert_eq!(mdm("T11").0, Stage::Withdrawn);
    }

    #[test]
    fn what_interfaces_really_send_is_read() {
        // In Latin-1, between the marks of MLLP, with other separators.
        let mut bytes = b"\x0bMSH#*~\\&#RIS######ORU*R01##P#2.3######8859/1\rPID###4711##M\xfcller*J\xf6rg\rOBX##TX#A##gr\xfcn\r\x1c\r".to_vec();
        let report = read(&bytes).unwrap();
        assert_eq!((report.text.as_str(), report.persons[0].names[0].as_str()), ("A:\ngrün", "Müller^Jörg"));
        // In UTF-8, whatever it says; rows that end in two characters; a lone backslash; null marks.
        bytes = "MSH|^~\\&|||||||ORU^R01||P|2.5||||||8859/1\r\nPID|1|77|||Müller^J||\"\"|X\r\nOBX|1|ST|A||C:\\temp ü"
            .into();
        let report = read(&bytes).unwrap();
        assert_eq!(report.text, "A:\nC:\\temp ü");
        let person = &report.persons[0];
        assert_eq!((person.ids[0].id.as_str(), person.birth_date, person.sex.as_deref()), ("77", None, None));
        assert_eq!(report.written, None);
        for bad in [&b""[..], b"PID|1", b"%PDF-1.4", b"MSH", b"MSHx"] {
            assert_eq!(read(bad), Err(ReportError::NotHl7), "{bad:?}");
        }
        // Of several messages everybody counts.
        let two = [message(&["PID|||1"]), b"\r".to_vec(), message(&["PID|||2"])].concat();
        assert_eq!(read(&two).unwrap().persons.len(), 2);
        let many: Vec<&str> = vec!["PID|||1"; MAX_PERSONS + 1];
        assert_eq!(read(&message(&many)), Err(ReportError::TooMany));
    }
}
