//! Reports, looked at: HL7, FHIR and text as text, of a PDF one page as a picture; and documents in instances, which are read by [`documents`].

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use clavicle_command::file::path_text;
use clavicle_manifest::{MediaType, Uid};
use clavicle_pixels::picture::{Picture, Pixels};
use clavicle_reports::{PdfPage, ReportContent, Stage};
use clavicle_sandbox::job::PdfIn;
use clavicle_sandbox::reader::Reader;
use clavicle_sandbox::{Files as _, OnDisk};
use clavicle_workstation::documents::{self, Held, ReadDocument, pages_of};
use clavicle_workstation::pictures::encoded;
use serde_json::{Value, json};

use super::{Look, ViewError, said, write};
use crate::command::Answer;

/// Pixels along the longer side of a page, unless it is said: enough to be read.
const LONGEST: u32 = 1_600;

/// Which report is to be looked at, and which page of it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ReportArguments {
    /// Look at this report alone, by its number in the list
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub report: Option<u32>,
    /// Which page of a PDF is to be drawn
    #[arg(long, requires = "report", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub page: u32,
}

/// What a file is, if it is named like a report.
pub(super) fn kind_of(path: &Path) -> Option<MediaType> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "txt" => Some(MediaType::Text),
        "pdf" => Some(MediaType::Pdf),
        "hl7" => Some(MediaType::Hl7V2),
        "json" => Some(MediaType::FhirJson),
        _ => None,
    }
}

/// What a kind of report is called.
pub(super) const fn name_of(media_type: MediaType) -> &'static str {
    match media_type {
        MediaType::Text => "text",
        MediaType::Pdf => "PDF",
        MediaType::Hl7V2 => "HL7",
        MediaType::FhirJson => "FHIR",
    }
}

/// A report in a file.
pub(super) fn file(
    path: &Path,
    media_type: MediaType,
    (look, page): (&Look, u32),
    reader: &dyn Reader,
) -> Result<Answer, ViewError> {
    let unread = |reason| ViewError::File { path: path.to_owned(), reason };
    let file = OnDisk.open(path).map_err(unread)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if media_type == MediaType::Pdf {
        return drawn((&file, PdfIn::File), &name, (look, page), reader);
    }
    is_no_text_drawn(look)?;
    let read = reader.read_report(&file, media_type).map_err(unread)?;
    let read = read.map_err(|error| ViewError::Report { path: path.to_owned(), error })?;
    Ok(words(&name, name_of(media_type), &read))
}

/// A document in an instance.
pub(super) fn instance(
    path: &Path,
    sop_class_uid: &Uid,
    (look, page): (&Look, u32),
    reader: &dyn Reader,
) -> Result<Answer, ViewError> {
    let file = OnDisk.open(path).map_err(|reason| ViewError::File { path: path.to_owned(), reason })?;
    let read = documents::read(&file, sop_class_uid, reader, &|_| BTreeMap::new());
    let read = read.map_err(|why| ViewError::Document { path: path.to_owned(), why })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let title = if read.content.title.is_empty() { &name } else { &read.content.title };
    one_document(&read, &file, title, (look, page), reader).unwrap_or_else(|| {
        Err(ViewError::Document { path: path.to_owned(), why: "it holds neither text nor a PDF".to_owned() })
    })
}

/// A document by itself: its words, or a page of it; none if it has neither.
pub(super) fn one_document(
    read: &ReadDocument,
    file: &File,
    title: &str,
    (look, page): (&Look, u32),
    reader: &dyn Reader,
) -> Option<Result<Answer, ViewError>> {
    match read.held {
        Held::Words => Some(is_no_text_drawn(look).map(|()| words(title, read.kind, &read.content))),
        Held::Pdf => Some(drawn((file, PdfIn::Instance), title, (look, page), reader)),
        Held::Other => None,
    }
}

/// What stands in place of the words of a document that has none, if that is so.
pub(super) fn instead(read: &ReadDocument, file: &File, reader: &dyn Reader, how: &str) -> Option<String> {
    match read.held {
        Held::Words => None,
        Held::Pdf => Some(match pages_of(file, PdfIn::Instance, reader) {
            Ok(pages) => format!("{pages} pages; {how} draws one"),
            Err(why) => format!("{why}; export it to read it"),
        }),
        Held::Other => Some("push or export it to read it".to_owned()),
    }
}

/// Refuses to draw words.
pub(super) fn is_no_text_drawn(look: &Look) -> Result<(), ViewError> {
    if look.png.is_some() { Err(ViewError::IsText) } else { Ok(()) }
}

/// The words of a report.
pub(super) fn words(title: &str, kind: &str, read: &ReportContent) -> Answer {
    let mut json = row(title, kind, Some(read));
    json["png"] = json!(None::<&Path>.map(path_text));
    Answer { text: format!("{}:\n{}", heading(title, kind, read), body(read)), json }
}

/// A page of a PDF, into a picture if one is to be written.
pub(super) fn drawn(
    (file, pdf_in): (&File, PdfIn),
    title: &str,
    (look, page): (&Look, u32),
    reader: &dyn Reader,
) -> Result<Answer, ViewError> {
    let path = || PathBuf::from(title);
    // Without a picture it is only looked at whether there could be one.
    let longest = if look.png.is_some() { look.side.unwrap_or(LONGEST) } else { 1 };
    let drawn = reader.draw_page(file, pdf_in, (page, longest));
    let drawn = drawn.map_err(|reason| ViewError::File { path: path(), reason })?;
    let PdfPage { pages, width, height, rgb } = drawn.map_err(|error| ViewError::Page { path: path(), page, error })?;
    let mut lines = vec![format!("{title}: PDF, page {page} of {pages}")];
    match &look.png {
        Some(png) => write(png, &encoded(&Picture { width, height, pixels: Pixels::Rgb(rgb) }))?,
        None => lines.push("--png FILE draws it".to_owned()),
    }
    lines.extend(said(look.png.as_deref()));
    let mut json = row(title, "PDF", None);
    json["page"] = json!(page);
    json["pages"] = json!(pages);
    json["png"] = json!(look.png.as_deref().map(path_text));
    Ok(Answer { text: lines.join("\n"), json })
}

/// What stands above a report: what it is called, and what it says of itself.
pub(super) fn heading(title: &str, kind: &str, read: &ReportContent) -> String {
    let parts = [
        (kind != "text").then(|| kind.to_owned()),
        (read.stage != Stage::Unsaid).then(|| read.stage.to_string()),
        read.written.map(|when| when.to_string()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { title.to_owned() } else { format!("{title} ({})", parts.join(", ")) }
}

/// What a report says, and what of it cannot be shown here.
pub(super) fn body(read: &ReportContent) -> String {
    let mut said: String = read.warnings.iter().map(|warning| format!("{warning}\n")).collect();
    said.push_str(&read.text);
    if !read.is_whole {
        said.push_str("\n… and more: export it to read all of it");
    }
    for one in &read.enclosed {
        said.push_str(&format!("\nwith {one}: export it to read it"));
    }
    said
}

/// A report for programs.
pub(super) fn row(title: &str, kind: &str, read: Option<&ReportContent>) -> Value {
    json!({
        "title": title, "kind": kind, "written": clavicle_reports::when(read, title).map(|when| when.to_string()),
        "stage": read.map(|read| read.stage.to_string()), "text": read.map(|read| read.text.as_str()),
        "enclosed": read.map(|read| &read.enclosed), "warnings": read.map(|read| &read.warnings),
    })
}
