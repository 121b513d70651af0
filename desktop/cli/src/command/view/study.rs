//! A study in a wallet, looked at without a file: bytes are opened into memory alone.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use clavicle_command::file::path_text;
use clavicle_dicom::facts::Patient;
use clavicle_dicom::kind::Kind;
use clavicle_imaging::accounting::{Accounting, FileFate, FileRow};
use clavicle_letters::about::About;
use clavicle_manifest::{Attachment, Instance, MediaType};
use clavicle_network::transfer::Item;
use clavicle_pixels::geometry::{Slice, order};
use clavicle_pixels::render::{RenderError, Rendered};
use clavicle_reports::{Moment, ReportContent, ReportError, of_document};
use clavicle_sandbox::Workers;
use clavicle_sandbox::reader::Reader;
use clavicle_wallet::cache::Images;
use clavicle_wallet::export::names;
use serde_json::{Value, json};

use super::report::{ReportArguments, body, drawn, heading, name_of, pages_of, row, words};
use super::{Drawn, Look, ViewError, encoded, said, write};
use crate::command::wallet::about_row;
use crate::command::{Answer, CommandError};
use clavicle_workstation::studies::opened;

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
    for series in images.listing().series() {
        let there: Vec<&Instance> = series.instances.iter().filter(|one| images.has(&Item::Instance(one))).collect();
        let number = series.number.map_or_else(|| "–".to_owned(), |number| number.to_string());
        let (modality, count, all) = (series.modality.as_str(), there.len(), series.instances.len());
        let missing = if count < all { format!(" of {all}") } else { String::new() };
        let mut line = format!("  {number:>4}  {modality:<4} {count:>5}{missing} instances  {}", series.description);
        if look.png.is_some() && !drawn.is_full() && count > 0 {
            let why = picture(images, &there, &reader, look).map_or_else(Some, |rendered| drawn.take(rendered));
            line.extend(why.map(|why| format!("  (no picture: {why})")));
        }
        rows.push(json!({
            "series": series.series_instance_uid.as_str(), "number": series.number, "modality": modality,
            "instances": count, "listed": all, "description": series.description.as_str(),
        }));
        lines.push(line);
    }
    let (text, reports) = reports(images, &reader)?;
    lines.extend(text);
    if let Some(png) = &look.png {
        let sheet = drawn.sheet(look, Path::new("the study"))?;
        write(png, &encoded(&sheet))?;
    }
    lines.extend(said(look.png.as_deref()));
    let accounting = accounting(images);
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

/// What is there of all that the study lists.
fn accounting(images: &Images) -> Accounting {
    let listing = images.listing();
    let all = names(listing).into_iter().zip(listing.items());
    let missing = all.filter(|(_, item)| !images.has(item)).map(|(name, _)| name);
    let rest: Vec<FileRow> = missing.map(|name| FileRow::new(name, FileFate::Missing, "it did not arrive")).collect();
    let given = listing.items().len();
    Accounting { given, taken: given - rest.len(), rest, besides: Vec::new() }
}

/// Who the study is about: as an image says that is there, or else as was told without one. That both differ is said: somebody is mistaken about a
/// patient.
fn about(images: &Images, told: Option<&About>, reader: &dyn Reader) -> (Vec<String>, Value) {
    let all = images.listing().series().into_iter().flat_map(|series| &series.instances);
    let mut there = all.map(Item::Instance).filter(|item| images.has(item));
    let said = there.next().and_then(|item| {
        let picked = reader.pick_open(&opened(images, &item).ok()?).ok()?;
        let Patient { id, issuer, name, birth_date } = Patient::of(&picked);
        Some((About { name, birth_date }, id, issuer))
    });
    let Some((about, id, issuer)) = said else {
        let lines = told.map(|told| format!("about  {told}, as was told: there is no image that says so")).into_iter();
        return (lines.collect(), about_row(told));
    };
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
    let of = |about: &About| Patient { name: about.name.clone(), birth_date: about.birth_date, ..Patient::default() };
    let differences = told.map(|told| of(&about).differences(&of(told))).unwrap_or_default();
    if let (Some(told), false) = (told, differences.is_empty()) {
        lines.push(format!(
            "       but this was told without the images: {told}. Ask whoever let you have it which is right"
        ));
    }
    row["told_otherwise"] = if differences.is_empty() { Value::Null } else { about_row(told) };
    (lines, row)
}

/// A picture of the slice in the middle, or why it cannot be read.
fn picture(
    images: &Images,
    there: &[&Instance],
    reader: &dyn Reader,
    look: &Look,
) -> Result<Result<Rendered, RenderError>, String> {
    let open = |instance: &Instance| opened(images, &Item::Instance(instance)).map_err(|error| error.to_string());
    let middle = if there.len() < 2 {
        0
    } else {
        let slice = |instance: &&Instance| {
            let seen = reader.inspect_open(&open(instance)?).map_err(|reason| reason.to_string())?;
            Ok::<_, String>(Slice::from(&seen.facts.place))
        };
        let slices = there.iter().map(slice).collect::<Result<Vec<_>, _>>()?;
        let (places, _) = order(&slices);
        places[places.len() / 2]
    };
    reader.render_open(&open(there[middle])?, &look.on_sheet()).map_err(|reason| reason.to_string())
}

/// The reports, the newest first; those that do not say when they were written come last. What can be read is shown, of others what they are.
fn reports(images: &Images, reader: &dyn Reader) -> Result<(Vec<String>, Vec<Value>), ViewError> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for (number, (_, report)) in (1..).zip(listed(images, reader)?) {
        let (said, mut row) = match report {
            Listed::Attachment(attachment, read) => attached(images, attachment, read, (number, reader))?,
            Listed::Document(instance, read) => document(instance, &read),
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
    let found = listed(images, reader)?.into_iter().nth(at).ok_or(ViewError::NoReport(number))?;
    let (Listed::Attachment(attachment, read), _) = (found.1, found.0) else {
        return Err(ViewError::NotHere(number));
    };
    let item = Item::Attachment(attachment);
    if !images.has(&item) {
        return Err(ViewError::NotHere(number));
    }
    let (title, path) = (title_of(attachment), || PathBuf::from(title_of(attachment)));
    match read {
        Some(Ok(read)) => Ok(words(title, attachment.media_type, &read)),
        Some(Err(error)) => Err(ViewError::Report { path: path(), error }),
        None => drawn(&opened(images, &item).map_err(ViewError::Cache)?, title, (look, page), reader),
    }
}

/// A report of a study.
enum Listed<'a> {
    /// One that is no DICOM, and what it says; nothing of a PDF, and of what did not arrive.
    Attachment(&'a Attachment, Option<Result<ReportContent, ReportError>>),
    /// A DICOM document, and what it says of itself.
    Document(&'a Instance, ReportContent),
}

/// The reports, the newest first.
fn listed<'a>(images: &'a Images, reader: &dyn Reader) -> Result<Vec<(Option<Moment>, Listed<'a>)>, ViewError> {
    let mut all = Vec::new();
    for attachment in images.listing().attachments() {
        let item = Item::Attachment(attachment);
        let read = if attachment.media_type == MediaType::Pdf || !images.has(&item) {
            None
        } else {
            let file = opened(images, &item).map_err(ViewError::Cache)?;
            // A worker that ended on it is no more than a report that cannot be read.
            Some(reader.read_report(&file, attachment.media_type).unwrap_or(Err(ReportError::Panicked)))
        };
        let content = read.as_ref().and_then(|read| read.as_ref().ok());
        all.push((clavicle_reports::when(content, attachment.title.as_str()), Listed::Attachment(attachment, read)));
    }
    let instances = images.listing().series().into_iter().flat_map(|series| &series.instances);
    for one in instances.filter(|one| matches!(Kind::of(one.sop_class_uid.as_str()), Kind::Report | Kind::Document)) {
        let item = Item::Instance(one);
        if !images.has(&item) {
            continue;
        }
        let file = opened(images, &item).map_err(ViewError::Cache)?;
        let read = reader.pick_open(&file).map(|picked| of_document(&picked)).unwrap_or_default();
        all.push((read.written, Listed::Document(one, read)));
    }
    all.sort_by_key(|(when, _)| Reverse(*when));
    Ok(all)
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
                Some(match pages_of(&file, reader) {
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

/// A report that is a DICOM document: what it says of itself.
fn document(instance: &Instance, read: &ReportContent) -> (String, Value) {
    let title = if read.title.is_empty() { "report" } else { read.title.as_str() };
    let why = "push or export it to read it";
    let said = format!("{}: {why}", heading(title, "DICOM", read));
    let mut row = row(title, "DICOM", Some(read));
    row["text"] = Value::Null;
    row["bytes"] = json!(instance.size);
    row["not_shown"] = json!(why);
    (said, row)
}
