//! Reports: what one says, whose it is, when it was written, and whether it is an addendum.
//!
//! | | |
//! |---|---|
//! | [`content`] | what is known of a report, whatever it is written in |
//! | [`person`] | who it names, held against who a study is about |
//! | `hl7` | HL7 v2: ORU and MDM |
//! | `fhir` | FHIR: a DiagnosticReport, by itself or in a Bundle |
//! | [`document`] | a report that is a DICOM document: a structured report, a selection of images, a document in an instance |
//! | [`structured`] | the tree of a structured report in words |
//! | `cda` | the words of a clinical document |
//! | [`pdf_page`], `pdf` | a page of a PDF as a picture, with the feature `pdf` |
//! | [`text`] | text that shows, and does nothing to a terminal |
//!
//! It stands above [`clavicle_dicom`], which compares patients, and below whatever reads hostile bytes somewhere harmless. It opens no file and knows no
//! clock. What a report says is its sender's word: nothing here believes it.

mod cda;
pub mod content;
pub mod document;
mod fhir;
mod hl7;
#[cfg(feature = "pdf")]
pub mod pdf;
pub mod pdf_page;
pub mod person;
mod read;
pub mod structured;
pub mod text;

pub use content::{MAX_READ, Moment, ReportContent, ReportError, Stage, dated, when};
pub use document::{Body, Document};
pub use pdf_page::{MAX_PAGES, MAX_PDF, MAX_SIDE, PdfError, PdfPage};
pub use person::{Held, Person};
pub use read::{of_document, read};
