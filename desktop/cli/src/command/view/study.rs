//! A study in a wallet, looked at without a file: bytes are opened into memory alone.

use std::path::{Path, PathBuf};

use clavicle_command::file::path_text;
use clavicle_dicom::facts::Patient;
use clavicle_letters::about::About;
use clavicle_manifest::{Attachment, Instance};
use clavicle_network::transfer::Item;
use clavicle_reports::{ReportContent, ReportError};
use clavicle_sandbox::Workers;
use clavicle_sandbox::job::PdfIn;
use clavicle_sandbox::reader::Reader;
use clavicle_wallet::cache::Images;
use clavicle_workstation::documents::{ReadDocument, pages_of};
use clavicle_workstation::pictures::{Drawn, encoded};
use clavicle_workstation::sealed::{self, SealedReport, SealedSeries, Whom};
use clavicle_workstation::studies::opened;
use serde_json::{Value, json};

use super::report::{
    ReportArguments, body, drawn, heading, instead, is_no_text_drawn, name_of, one_document, row, words,
};
use super::{Look, ViewError, said, sheet, write};
use crate::command::wallet::about_row;
use crate::command::{Answer, CommandError};

/// Lists a study's series and its reports, and draws a sheet if that is asked for.
pub(in crate::command) fn study(
    images: &Images,
    told: Option<&About>,
    (look, which): (&Look, ReportArguments),
) -> Result<Answer, CommandError> {
    if which.report.is_none() {
        look.is_of_a_picture()?;
    }
    let reader = Workers::of_this_program().map_err(ViewError::Workers)?;
    if let Some(number) = which.report {
        return Ok(one_report(images, number, (look, which.page), &reader)?);
    }
    let (who, about) = about(images, told, &reader);
    let header = images.listing().header();
    let date = header.study_date.map_or_else(|| "no date".to_owned(), |date| date.to_string());
    let (mut lines, mut rows, mut drawn) = (who, Vec::new(), Drawn::default());
    lines.push(format!("{date}  {}", header.description));
    let wanted = look.png.is_some().then(|| look.on_sheet());
    for SealedSeries { series, there, no_picture } in sealed::series(images, wanted.as_ref(), &mut drawn, &reader) {
        let number = series.number.map_or_else(|| "–".to_owned(), |number| number.to_string());
        let (modality, all) = (series.modality.as_str(), series.instances.len());
        let missing = if there < all { format!(" of {all}") } else { String::new() };
        let mut line = format!("  {number:>4}  {modality:<4} {there:>5}{missing} instances  {}", series.description);
        line.extend(no_picture.map(|why| format!("  (no picture: {why})")));
        rows.push(json!({
            "series": series.series_instance_uid.as_str(), "number": series.number, "modality": modality,
            "instances": there, "listed": all, "description": series.description.as_str(),
        }));
        lines.push(line);
    }
    let (text, reports) = reports(images, &reader)?;
    lines.extend(text);
    if let Some(png) = &look.png {
        let sheet = sheet(drawn, look, Path::new("the study"))?;
        write(png, &encoded(&sheet))?;
    }
    lines.extend(said(look.png.as_deref()));
    let accounting = sealed::accounting(images);
    if !accounting.is_all_done() {
        lines.push(accounting.summary("there"));
        lines.extend(accounting.lines());
    }
    let json = json!({
        "about": about, "series": rows, "reports": reports, "png": look.png.as_deref().map(path_text), "accounting": accounting,
    });
    let answer = Answer { text: lines.join("\n"), json };
    CommandError::unless_all(accounting.shortfall("there"), "incomplete", answer)
}

/// Who the study is about: as an image says that is there, or else as was told without one. That both differ is said: somebody is mistaken about a
/// patient.
fn about(images: &Images, told: Option<&About>, reader: &dyn Reader) -> (Vec<String>, Value) {
    let Some(Whom { patient, is_told_otherwise }) = sealed::whom(images, told, reader) else {
        let lines = told.map(|told| format!("about  {told}, as was told: there is no image that says so")).into_iter();
        return (lines.collect(), about_row(told));
    };
    let Patient { id, issuer, name, birth_date } = patient;
    let about = About { name, birth_date };
    let mut line = format!("about  {about}");
    if !id.as_str().is_empty() {
        line.push_str(&format!(", Patient ID {id}"));
    }
    if !issuer.as_str().is_empty() {
        line.push_str(&format!(" ({issuer})"));
    }
    let mut lines = vec![line];
    let mut row = about_row(Some(&about));
    row["id"] = json!(id.as_str());
    row["issuer"] = json!(issuer.as_str());
    let other = told.filter(|_| is_told_otherwise);
    lines.extend(other.map(|told| {
        format!("       but this was told without the images: {told}. Ask whoever let you have it which is right")
    }));
    row["told_otherwise"] = other.map_or(Value::Null, |told| about_row(Some(told)));
    (lines, row)
}

/// The reports, the newest first; those that do not say when they were written come last. What can be read is shown, of others what they are.
fn reports(images: &Images, reader: &dyn Reader) -> Result<(Vec<String>, Vec<Value>), ViewError> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for (number, (_, report)) in (1..).zip(sealed::reports(images, reader).map_err(ViewError::Cache)?) {
        let (said, mut row) = match report {
            SealedReport::Attachment(attachment, read) => attached(images, attachment, read, (number, reader))?,
            SealedReport::Document(instance, read) => document_row(images, instance, read, (number, reader))?,
        };
        row["number"] = json!(number);
        lines.push(format!("[{number}] {said}"));
        rows.push(row);
    }
    Ok((lines, rows))
}

/// One report alone: its words, or a page of it.
fn one_report(
    images: &Images,
    number: u32,
    (look, page): (&Look, u32),
    reader: &dyn Reader,
) -> Result<Answer, ViewError> {
    let at = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let found = sealed::reports(images, reader)
        .map_err(ViewError::Cache)?
        .into_iter()
        .nth(at)
        .ok_or(ViewError::NoReport(number))?;
    let (attachment, read) = match found {
        (_, SealedReport::Attachment(attachment, read)) => (attachment, read),
        (_, SealedReport::Document(instance, read)) => {
            let path = || PathBuf::from(format!("report {number}"));
            let read = read.map_err(|why| ViewError::Document { path: path(), why })?;
            let file = opened(images, &Item::Instance(instance)).map_err(ViewError::Cache)?;
            let title = if read.content.title.is_empty() { "report" } else { &read.content.title };
            return one_document(&read, &file, title, (look, page), reader).unwrap_or(Err(ViewError::NotHere(number)));
        }
    };
    let item = Item::Attachment(attachment);
    if !images.has(&item) {
        return Err(ViewError::NotHere(number));
    }
    let (title, path) = (title_of(attachment), || PathBuf::from(title_of(attachment)));
    match read {
        Some(Ok(read)) => is_no_text_drawn(look).map(|()| words(title, name_of(attachment.media_type), &read)),
        Some(Err(error)) => Err(ViewError::Report { path: path(), error }),
        None => {
            let file = opened(images, &item).map_err(ViewError::Cache)?;
            drawn((&file, PdfIn::File), title, (look, page), reader)
        }
    }
}

fn title_of(attachment: &Attachment) -> &str {
    if attachment.title.as_str().is_empty() { "report" } else { attachment.title.as_str() }
}

fn attached(
    images: &Images,
    attachment: &Attachment,
    read: Option<Result<ReportContent, ReportError>>,
    (number, reader): (u32, &dyn Reader),
) -> Result<(String, Value), ViewError> {
    let item = Item::Attachment(attachment);
    let (title, kind) = (title_of(attachment), name_of(attachment.media_type));
    let (content, why) = match read {
        Some(Ok(read)) => (Some(read), None),
        Some(Err(error)) => (None, Some(format!("{error}; export it to read it"))),
        None if !images.has(&item) => (None, Some("it did not arrive".to_owned())),
        None => {
            let file = opened(images, &item).map_err(ViewError::Cache)?;
            (
                None,
                Some(match pages_of(&file, PdfIn::File, reader) {
                    Ok(pages) => format!("{pages} pages; --report {number} --page 1 --png FILE draws one"),
                    Err(why) => format!("{why}; export it to read it"),
                }),
            )
        }
    };
    let said = match (&content, &why) {
        (Some(read), _) => format!("{}:\n{}", heading(title, kind, read), body(read)),
        (None, why) => format!("{title}: {kind}, {} bytes; {}", attachment.size, why.as_deref().unwrap_or_default()),
    };
    let mut row = row(title, kind, content.as_ref());
    row["bytes"] = json!(attachment.size);
    row["not_shown"] = json!(why);
    Ok((said, row))
}

/// A report that is a DICOM document: its words, or what stands in their place.
fn document_row(
    images: &Images,
    instance: &Instance,
    read: Result<ReadDocument, String>,
    (number, reader): (u32, &dyn Reader),
) -> Result<(String, Value), ViewError> {
    let (said, mut row, not_shown) = match read {
        Ok(read) => {
            let title = if read.content.title.is_empty() { "report" } else { &read.content.title };
            let file = opened(images, &Item::Instance(instance)).map_err(ViewError::Cache)?;
            let instead = instead(&read, &file, reader, &format!("--report {number} --page 1 --png FILE"));
            let heading = heading(title, read.kind, &read.content);
            let warnings = &read.content.warnings;
            let said = match &instead {
                None => format!("{heading}:\n{}", body(&read.content)),
                Some(instead) if warnings.is_empty() => format!("{heading}: {instead}"),
                Some(instead) => format!("{heading}: {instead}\n{}", warnings.join("\n")),
            };
            (said, row(title, read.kind, Some(&read.content)), instead)
        }
        Err(why) => {
            let why = format!("{why}; export it to read it");
            (format!("report: DICOM, {} bytes; {why}", instance.size), row("report", "DICOM", None), Some(why))
        }
    };
    if not_shown.is_some() {
        row["text"] = Value::Null;
    }
    row["bytes"] = json!(instance.size);
    row["not_shown"] = json!(not_shown);
    Ok((said, row))
}
