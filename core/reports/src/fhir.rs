//! FHIR: a DiagnosticReport, by itself or in a Bundle, with what it refers to where that came along.

use clavicle_manifest::Date;
use serde_json::Value;

use crate::content::{MAX_PERSONS, Moment, ReportContent, ReportError, Stage};
use crate::person::{Id, Person};
use crate::text::{line, printable};

/// Most entries of a list that are looked at.
const MAX_LIST: usize = 1_000;
/// The longest text in base64 that is shown with a report, in bytes.
const MAX_FORM: usize = 1 << 20;

/// Reads one report, or all of a Bundle.
pub(crate) fn read(bytes: &[u8]) -> Result<ReportContent, ReportError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let root: Value = serde_json::from_slice(bytes).map_err(|_| ReportError::NotJson)?;
    let all: Vec<Resource<'_>> = match kind(&root) {
        "Bundle" => {
            let of = |entry| Some(Resource { value: entry_of(entry)?, url: text(entry, "fullUrl"), within: None });
            list(&root, "entry").filter_map(of).collect()
        }
        _ => vec![Resource { value: &root, url: "", within: None }],
    };
    let reports: Vec<&Resource<'_>> = all.iter().filter(|one| kind(one.value) == "DiagnosticReport").collect();
    if reports.is_empty() {
        return Err(ReportError::NoDiagnosticReport);
    }
    let mut whole = ReportContent { is_whole: true, ..ReportContent::default() };
    let mut said = String::new();
    for one in reports {
        if whole.persons.len() >= MAX_PERSONS {
            return Err(ReportError::TooMany);
        }
        let mut known = all.clone();
        known.extend(list(one.value, "contained").map(|value| Resource { value, url: "", within: Some(one.value) }));
        add(one.value, &known, &mut whole, &mut said);
    }
    (whole.text, whole.is_whole) = printable(&said);
    Ok(whole)
}

/// A resource that came along.
#[derive(Clone)]
struct Resource<'a> {
    value: &'a Value,
    /// What a Bundle calls it.
    url: &'a str,
    /// The resource that contains it.
    within: Option<&'a Value>,
}

fn entry_of(entry: &Value) -> Option<&Value> {
    entry.get("resource").filter(|resource| resource.is_object())
}

fn kind(resource: &Value) -> &str {
    text(resource, "resourceType")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten().take(MAX_LIST)
}

/// What a CodeableConcept says to a person.
fn concept(value: Option<&Value>) -> String {
    let Some(value) = value else { return String::new() };
    let coded = list(value, "coding").flat_map(|coding| [text(coding, "display"), text(coding, "code")]);
    let said = [text(value, "text")].into_iter().chain(coded).find(|said| !said.is_empty());
    line(said.unwrap_or_default())
}

/// What a reference leads to, of what came along.
fn referred<'a>(from: &Value, reference: &str, all: &[Resource<'a>]) -> Option<&'a Value> {
    if let Some(id) = reference.strip_prefix('#') {
        let is = |one: &&Resource<'_>| {
            one.within.is_some_and(|within| core::ptr::eq(within, from)) && text(one.value, "id") == id
        };
        return all.iter().find(is).map(|one| one.value);
    }
    let is = |one: &&Resource<'_>| {
        let named = format!("{}/{}", kind(one.value), text(one.value, "id"));
        one.within.is_none()
            && (!one.url.is_empty() && one.url == reference
                || named == reference
                || reference.ends_with(&format!("/{named}")))
    };
    all.iter().filter(|_| !reference.is_empty()).find(is).map(|one| one.value)
}

fn add(report: &Value, all: &[Resource<'_>], whole: &mut ReportContent, said: &mut String) {
    whole.stage = whole.stage.max(match text(report, "status") {
        "registered" | "partial" | "preliminary" | "modified" => Stage::Preliminary,
        "final" => Stage::Final,
        "appended" => Stage::Addendum,
        "amended" => Stage::Amended,
        "corrected" => Stage::Corrected,
        "cancelled" | "entered-in-error" => Stage::Withdrawn,
        _ => Stage::Unsaid,
    });
    let dates = ["issued", "effectiveDateTime"].map(|name| Moment::parse(text(report, name)));
    whole.written = whole.written.max(dates.into_iter().flatten().next());
    let title = concept(report.get("code"));
    if whole.title.is_empty() {
        whole.title.clone_from(&title);
    }
    whole.persons.push(subject(report, all));
    for result in list(report, "result") {
        let Some(observed) = referred(report, text(result, "reference"), all) else {
            let display = line(text(result, "display"));
            if !display.is_empty() {
                said.push_str(&format!("{display}\n"));
            }
            continue;
        };
        let name = concept(observed.get("code"));
        let value = value_of(observed);
        said.push_str(&format!("{name}: {value}\n"));
    }
    let conclusion = text(report, "conclusion");
    if !conclusion.is_empty() {
        said.push_str(&format!("{conclusion}\n"));
    }
    for code in list(report, "conclusionCode") {
        said.push_str(&format!("{}\n", concept(Some(code))));
    }
    let mut has_form = false;
    for form in list(report, "presentedForm") {
        let (kind, data) = (line(text(form, "contentType")), text(form, "data"));
        let title = line(text(form, "title"));
        let is_text = kind.starts_with("text/plain") && data.len() <= MAX_FORM;
        match data_encoding::BASE64.decode(data.as_bytes()).ok().filter(|_| is_text && !data.is_empty()) {
            Some(bytes) => {
                has_form = true;
                said.push_str(&format!("{}\n", String::from_utf8_lossy(&bytes)));
            }
            None => {
                let what = if kind.is_empty() { "a document".to_owned() } else { kind };
                let called = if title.is_empty() { String::new() } else { format!(" “{title}”") };
                let size = if data.is_empty() {
                    ", which is elsewhere".to_owned()
                } else {
                    format!(", {} characters", data.len())
                };
                whole.enclosed.push(format!("{what}{called}{size}"));
            }
        }
    }
    // What a person may read of it, where nothing else says anything.
    let narrative = report.get("text").map(|one| text(one, "div")).unwrap_or_default();
    if conclusion.is_empty() && !has_form && !narrative.is_empty() {
        said.push_str(&format!("{}\n", without_tags(narrative)));
    }
}

/// What an Observation has found.
fn value_of(observed: &Value) -> String {
    if let Some(said) = observed.get("valueString").and_then(Value::as_str) {
        return said.to_owned();
    }
    if let Some(quantity) = observed.get("valueQuantity") {
        let number = quantity.get("value").map(ToString::to_string).unwrap_or_default();
        return line(&format!("{} {number} {}", text(quantity, "comparator"), text(quantity, "unit")));
    }
    let concept = concept(observed.get("valueCodeableConcept"));
    let others = ["valueDateTime", "valueTime"].map(|name| text(observed, name).to_owned());
    let integer =
        ["valueInteger", "valueBoolean"].map(|name| observed.get(name).map(ToString::to_string).unwrap_or_default());
    let all = [concept].into_iter().chain(others).chain(integer);
    all.into_iter().find(|said| !said.is_empty()).unwrap_or_else(|| "no value".to_owned())
}

/// Who it is about: what stands in the report, and in the Patient that came along.
fn subject(report: &Value, all: &[Resource<'_>]) -> Person {
    let mut person = Person::default();
    let Some(subject) = report.get("subject") else { return person };
    if let Some(found) = subject.get("identifier") {
        person.ids.extend(id(found));
    }
    if let Some(patient) = referred(report, text(subject, "reference"), all).filter(|one| kind(one) == "Patient") {
        person.ids.extend(list(patient, "identifier").filter_map(id));
        person.names.extend(list(patient, "name").filter_map(name));
        person.birth_date = day(text(patient, "birthDate"));
        person.sex = match text(patient, "gender") {
            "male" => Some("M".to_owned()),
            "female" => Some("F".to_owned()),
            "other" => Some("O".to_owned()),
            _ => None,
        };
    }
    person
}

fn day(text: &str) -> Option<Date> {
    Moment::parse(text).map(|moment| moment.day)
}

fn id(identifier: &Value) -> Option<Id> {
    let issuer = identifier.get("assigner").map(|one| line(text(one, "display"))).unwrap_or_default();
    let id = Id { id: line(text(identifier, "value")), issuer, system: line(text(identifier, "system")) };
    (!id.id.is_empty() && text(identifier, "use") != "old").then_some(id)
}

/// A HumanName as DICOM writes it. One that is only a text has no parts, and says nothing that could be held against others.
fn name(name: &Value) -> Option<String> {
    let part = |text: &str| line(text).replace(['^', '='], " ");
    let family = part(text(name, "family"));
    let given: Vec<String> = list(name, "given").filter_map(Value::as_str).map(part).collect();
    if family.is_empty() {
        return None;
    }
    let (first, further) = given
        .split_first()
        .map_or((String::new(), String::new()), |(first, further)| (first.clone(), further.join(" ")));
    Some([family, first, further].join("^").trim_end_matches('^').to_owned())
}

/// The words of a piece of XHTML.
fn without_tags(html: &str) -> String {
    let (mut out, mut tag, mut is_tag) = (String::new(), String::new(), false);
    for one in html.chars() {
        match one {
            '<' => (is_tag, tag) = (true, String::new()),
            '>' if is_tag => {
                is_tag = false;
                let name: String =
                    tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
                if ["br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6"].contains(&name.as_str())
                    && !out.ends_with('\n')
                {
                    out.push('\n');
                }
            }
            _ if is_tag => {
                if tag.len() < 16 {
                    tag.push(one.to_ascii_lowercase());
                }
            }
            _ => out.push(one),
        }
    }
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&#160;", " "),
        ("&amp;", "&"),
    ];
    named.iter().fold(out, |text, (from, to)| text.replace(from, to)).trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn patient() -> Value {
        json!({
            "resourceType": "Patient", "id": "ana", "birthDate": "1953-01-17", "gender": "female",
            "identifier": [
                { "system": "urn:oid:1.2.3", "value": "4711", "assigner": { "display": "mercy" } },
                { "use": "old", "value": "1" },
            ],
            "name": [{ "family": "Rossi", "given": ["Ana", "Maria", "Sofia"], "prefix": ["Dr"] }, { "text": "Ana Rossi" }],
        })
    }

    fn report(subject: &str) -> Value {
        json!({
            "resourceType": "DiagnosticReport", "status": "final", "issued": "2026-05-03T14:10:00+02:00",
            "code": { "coding": [{ "code": "71250", "display": "CT chest" }] },
            "subject": { "reference": subject },
            "conclusion": "No acute finding.\nHeart & lungs normal.",
            "result": [{ "reference": "#nodule" }, { "display": "elsewhere" }],
            "contained": [
                patient(),
                { "resourceType": "Observation", "id": "nodule", "code": { "text": "Nodule" }, "valueQuantity": { "value": 4.5, "unit": "mm" } },
            ],
            "presentedForm": [
                { "contentType": "application/pdf", "title": "Report", "data": "JVBERi0=" },
                { "contentType": "text/plain", "data": data_encoding::BASE64.encode(b"As text.") },
            ],
        })
    }

    fn read_of(value: &Value) -> Result<ReportContent, ReportError> {
        read(value.to_string().as_bytes())
    }

    #[test]
    fn a_report_is_read_as_people_read_it() {
        let read = read_of(&report("#ana")).unwrap();
        assert_eq!(read.text, "Nodule: 4.5 mm\nelsewhere\nNo acute finding.\nHeart & lungs normal.\nAs text.");
        assert_eq!((read.title.as_str(), read.stage, read.is_whole), ("CT chest", Stage::Final, true));
        assert_eq!(read.written.unwrap().to_string(), "2026-05-03 14:10");
        assert_eq!(read.enclosed, ["application/pdf “Report”, 8 characters"]);
        let [person] = read.persons.as_slice() else { panic!() };
        assert_eq!(person.names, ["Rossi^Ana^Maria Sofia"]);
        assert_eq!((person.birth_date, person.sex.as_deref()), (Date::new(1953, 1, 17), Some("F")));
        let ids: Vec<_> =
            person.ids.iter().map(|one| (one.id.as_str(), one.issuer.as_str(), one.system.as_str())).collect();
        assert_eq!(ids, [("4711", "mercy", "urn:oid:1.2.3")]);
    }

    #[test]
    fn a_patient_is_found_wherever_the_reference_leads() {
        let mut one = report("Patient/ana");
        one["contained"] = json!([]);
        let bundle = |reference: &str, url: &str| {
            let mut one = one.clone();
            one["subject"]["reference"] = json!(reference);
            json!({ "resourceType": "Bundle", "entry": [{ "resource": one }, { "fullUrl": url, "resource": patient() }] })
        };
        for (reference, url) in
            [("Patient/ana", ""), ("urn:uuid:1", "urn:uuid:1"), ("http://mercy/fhir/Patient/ana", "")]
        {
            let read = read_of(&bundle(reference, url)).unwrap();
            assert_eq!(read.persons[0].names.len(), 1, "{reference}");
        }
        // A server's own number for somebody is no Patient ID.
        assert_eq!(read_of(&one).unwrap().persons, [Person::default()]);
        assert_eq!(read_of(&bundle("Patient/bob", "")).unwrap().persons, [Person::default()]);
        let mut by_id = one.clone();
        by_id["subject"] = json!({ "identifier": { "value": "4711" }, "display": "Ana Rossi" });
        assert_eq!(read_of(&by_id).unwrap().persons[0].ids[0].id, "4711");
        // What is contained in another is not meant.
        let mut two = bundle("#ana", "");
        two["entry"][1]["resource"] = report("#ana");
        let persons = read_of(&two).unwrap().persons;
        assert_eq!((persons[0].names.len(), persons[1].names.len()), (0, 1));
    }

    #[test]
    fn addenda_and_corrections_are_said() {
        for (status, stage) in [
            ("preliminary", Stage::Preliminary),
            ("final", Stage::Final),
            ("appended", Stage::Addendum),
            ("amended", Stage::Amended),
            ("corrected", Stage::Corrected),
            ("entered-in-error", Stage::Withdrawn),
            ("what", Stage::Unsaid),
        ] {
            let mut one = report("#ana");
            one["status"] = json!(status);
            assert_eq!(read_of(&one).unwrap().stage, stage, "{status}");
        }
    }

    #[test]
    fn a_narrative_is_read_where_nothing_else_says_anything() {
        let one = json!({
            "resourceType": "DiagnosticReport",
            "text": { "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>No <b>acute</b> finding.</p><p>5 &lt; 7</p></div>" },
        });
        assert_eq!(read_of(&one).unwrap().text, "No acute finding.\n5 < 7");
    }

    #[test]
    fn what_is_no_report_is_none() {
        assert_eq!(read(b"{"), Err(ReportError::NotJson));
        assert_eq!(read(b""), Err(ReportError::NotJson));
        let deep = "[".repeat(100_000);
        assert_eq!(read(deep.as_bytes()), Err(ReportError::NotJson));
        for other in
            [json!([]), json!({}), patient(), json!({ "resourceType": "Bundle", "entry": [{ "resource": patient() }] })]
        {
            assert_eq!(read_of(&other), Err(ReportError::NoDiagnosticReport), "{other}");
        }
        let many =
            json!({ "resourceType": "Bundle", "entry": vec![json!({ "resource": report("#ana") }); MAX_PERSONS + 1] });
        assert_eq!(read_of(&many), Err(ReportError::TooMany));
    }
}
