//! A report is read, whatever it is written in.

use clavicle_dicom::pick::Picked;
use clavicle_manifest::MediaType;

use crate::content::{MAX_READ, ReportContent, ReportError};
use crate::text::printable;
use crate::{document, fhir, hl7};

/// Reads a report. A PDF and a text name nobody in a way that a program could find: of these there is no person, and of a PDF no text.
///
/// # Errors
/// [`ReportError`].
pub fn read(media_type: MediaType, bytes: &[u8]) -> Result<ReportContent, ReportError> {
    if bytes.len() > MAX_READ && media_type != MediaType::Pdf {
        return Err(ReportError::TooLarge);
    }
    match media_type {
        MediaType::Text => {
            let (text, is_whole) = printable(&String::from_utf8_lossy(bytes));
            Ok(ReportContent { text, is_whole, ..ReportContent::default() })
        }
        MediaType::Pdf => Ok(ReportContent { is_whole: true, ..ReportContent::default() }),
        MediaType::Hl7V2 => hl7::read(bytes),
        MediaType::FhirJson => fhir::read(bytes),
    }
}

/// What is known of a report that is a DICOM document.
#[must_use]
pub fn of_document(picked: &Picked) -> ReportContent {
    document::read(picked)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::content::Stage;

    #[test]
    fn a_text_names_nobody() {
        let report = read(MediaType::Text, b"No acute finding.\r\n").unwrap();
        assert_eq!((report.text.as_str(), report.is_whole, report.stage), ("No acute finding.", true, Stage::Unsaid));
        assert!(report.persons.is_empty() && report.written.is_none());
        assert_eq!(read(MediaType::Text, &vec![b'a'; MAX_READ + 1]), Err(ReportError::TooLarge));
    }
}
