//! Reports that are no DICOM, on their way into an archive of images: a PDF goes as an Encapsulated PDF, a text as a Basic Text SR.
//!
//! Only what was fetched goes: files that are named by what their bytes hash to, beside the images of the one study that they are of. Whatever else
//! lies about is nobody's report.

use std::io::Read as _;
use std::path::Path;

use clavicle_dicom::document::{Imprint, encapsulated_pdf, text_report};
use clavicle_dicom::encode::uid_of;
use clavicle_dicom::kos::Heading;
use clavicle_imaging::intake::StudyIntake;
use clavicle_manifest::{MediaType, StoredDigest, Uid};
use clavicle_reports::{Moment, ReportContent, Stage};
use clavicle_sandbox::reader::Reader;
use dicom_dictionary_std::uids;

use super::Item;
use crate::studies::Studies;

/// The largest report, in bytes; larger ones are not attached.
const MAX_LEN: u64 = 64 << 20;

/// A report, and what it was made into.
pub(super) struct Made {
    /// What is sent.
    pub(super) item: Item,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// Makes an instance of a report, or says why it is none that could be sent.
pub(super) fn made(path: &Path, studies: &Studies<'_>, reader: &dyn Reader) -> Result<Made, String> {
    let (media_type, digest) = named(path).ok_or("it is not named like a report that was fetched")?;
    let study = of_study(path, studies).ok_or("it cannot be said which study it is of")?;
    let file = studies.files().open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.try_clone()
        .and_then(|file| file.take(MAX_LEN + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if StoredDigest::of(&bytes).to_string() != digest {
        return Err("its bytes are not those that it is named by".to_owned());
    }
    let first = study.series.iter().flat_map(|series| &series.instances).next().ok_or("its study has no image")?;
    let image = studies.files().open(&first.path).map_err(|error| error.to_string())?;
    let heading = reader.head_open(&image).map_err(|error| error.to_string())?;
    let content = match media_type {
        MediaType::Pdf => None,
        _ => Some(
            reader
                .read_report(&file, media_type)
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())?,
        ),
    };
    // Nothing that is so today and not tomorrow: an archive that is sent it twice is sent the same.
    let when = clavicle_reports::when(content.as_ref(), studies.report_title(path).unwrap_or_default());
    if when.is_none() && content.is_some() {
        return Err("it does not say when it was written, and a structured report has to".to_owned());
    }
    let imprint = imprint(&study.study_instance_uid, &digest, media_type, content.as_ref(), when);
    let (class, bytes) = match &content {
        None => (uids::ENCAPSULATED_PDF_STORAGE, encapsulated_pdf(&heading, &imprint, &bytes)),
        Some(content) => (uids::BASIC_TEXT_SR_STORAGE, in_words(&heading, &imprint, content)?),
    };
    let uid = |text: &str| Uid::new(text).expect("the standard's UIDs are UIDs");
    let item = Item {
        path: path.to_owned(),
        sop_class_uid: uid(class),
        sop_instance_uid: imprint.sop_instance_uid,
        transfer_syntax_uid: uid(uids::EXPLICIT_VR_LITTLE_ENDIAN),
        size: bytes.len() as u64,
    };
    Ok(Made { item, bytes })
}

/// What a report is by its name, and which digest that names: as `fetch` writes it.
fn named(path: &Path) -> Option<(MediaType, String)> {
    let digest = path.file_stem()?.to_str()?.strip_prefix("report-")?;
    let media_type = match path.extension()?.to_str()? {
        "txt" => MediaType::Text,
        "pdf" => MediaType::Pdf,
        "hl7" => MediaType::Hl7V2,
        "json" => MediaType::FhirJson,
        _ => return None,
    };
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| (media_type, digest.to_owned()))
}

/// The one study whose images lie in the folder of a report, or below.
fn of_study<'a>(path: &Path, studies: &'a Studies<'_>) -> Option<&'a StudyIntake> {
    let folder = path.parent()?;
    let lies = |study: &&StudyIntake| {
        study.series.iter().flat_map(|series| &series.instances).any(|one| one.path.starts_with(folder))
    };
    let mut found = studies.intake.studies.iter().filter(lies);
    found.next().filter(|_| found.next().is_none())
}

/// The same UIDs each time, so that an archive that is sent a report twice has it once.
fn imprint(
    study: &Uid,
    digest: &str,
    media_type: MediaType,
    content: Option<&ReportContent>,
    when: Option<Moment>,
) -> Imprint {
    let derived = |what: &str| {
        let digest = StoredDigest::of([what, study.as_str(), digest].join("\n").as_bytes());
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = *digest.as_bytes();
        uid_of([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    };
    let kind = match media_type {
        MediaType::Text => "Report",
        MediaType::Pdf => "Report (PDF)",
        MediaType::Hl7V2 => "Report (from HL7)",
        MediaType::FhirJson => "Report (from FHIR)",
    };
    let stage = content.map(|content| content.stage).unwrap_or_default();
    let title = if stage == Stage::Unsaid { kind.to_owned() } else { format!("{kind}, {stage}") };
    Imprint {
        sop_instance_uid: derived("a report's SOP Instance UID"),
        series_instance_uid: derived("a report's Series Instance UID"),
        title,
        written: when.map(|when| (when.day, when.time.unwrap_or((0, 0, 0)))),
        is_complete: !matches!(stage, Stage::Preliminary),
    }
}

/// The words of a report as a document. All of them, or none.
fn in_words(heading: &Heading, imprint: &Imprint, content: &ReportContent) -> Result<Vec<u8>, String> {
    if !content.is_whole || content.text.is_empty() {
        return Err("it is too long to be sent as text, or has none".to_owned());
    }
    if !content.enclosed.is_empty() {
        return Err(format!("it is not text alone ({}), and half of it is not sent", content.enclosed.join(", ")));
    }
    Ok(text_report(heading, imprint, &content.text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_is_known_by_its_name() {
        let digest = "ab".repeat(32);
        let of = |name: &str| named(Path::new(name)).map(|(media_type, _)| media_type);
        assert_eq!(of(&format!("out/report-{digest}.pdf")), Some(MediaType::Pdf));
        assert_eq!(of(&format!("report-{digest}.hl7")), Some(MediaType::Hl7V2));
        for other in ["readme.txt", "report-1.pdf", "report.json", &format!("report-{digest}.dcm"), &digest] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
