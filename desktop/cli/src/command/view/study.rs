//! A study in a wallet, looked at without a file: bytes are opened into memory alone.

use std::io::{self, Read as _};
use std::path::Path;

use clavicle_command::file::path_text;
use clavicle_dicom::facts::Patient;
use clavicle_letters::about::About;
use clavicle_manifest::{Instance, MediaType};
use clavicle_network::transfer::Item;
use clavicle_pixels::geometry::{Slice, order};
use clavicle_pixels::render::{RenderError, Rendered};
use clavicle_sandbox::Workers;
use clavicle_sandbox::reader::Reader;
use clavicle_wallet::cache::Images;
use serde_json::{Value, json};

use super::{Drawn, Look, ViewError, encoded, said, write};
use crate::command::Answer;
use crate::command::wallet::about_row;
use crate::studies::opened;

/// Most bytes of a report that are shown.
const MOST_REPORT: u64 = 64 * 1024;

/// Lists a study's series and its reports, and draws a sheet if that is asked for.
pub(in crate::command) fn study(images: &Images, told: Option<&About>, look: &Look) -> Result<Answer, ViewError> {
    look.is_of_a_picture()?;
    let reader = Workers::of_this_program().map_err(ViewError::Workers)?;
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
    let (text, reports) = reports(images)?;
    lines.extend(text);
    if let Some(png) = &look.png {
        let sheet = drawn.sheet(look, Path::new("the study"))?;
        write(png, &encoded(&sheet))?;
    }
    lines.extend(said(look.png.as_deref()));
    let json = json!({ "about": about, "series": rows, "reports": reports, "png": look.png.as_deref().map(path_text) });
    Ok(Answer { text: lines.join("\n"), json })
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

/// The reports: those that are text as they are, of others what they are.
fn reports(images: &Images) -> Result<(Vec<String>, Vec<Value>), ViewError> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for attachment in images.listing().attachments() {
        let item = Item::Attachment(attachment);
        let (kind, is_text) = match attachment.media_type {
            MediaType::Text => ("text", true),
            MediaType::Pdf => ("PDF", false),
            MediaType::Hl7V2 => ("HL7", false),
            MediaType::FhirJson => ("FHIR", false),
        };
        let title = if attachment.title.as_str().is_empty() { "report" } else { attachment.title.as_str() };
        let mut text = None;
        if !images.has(&item) {
            lines.push(format!("{title}: {kind}, {} bytes; it did not arrive", attachment.size));
        } else if is_text {
            let mut bytes = Vec::new();
            let read = images.read(&item).map_err(io::Error::other);
            let read = read.and_then(|bytes_of| bytes_of.take(MOST_REPORT).read_to_end(&mut bytes));
            read.map_err(ViewError::Cache)?;
            let shown = printable(&String::from_utf8_lossy(&bytes));
            lines.push(format!("{title}:\n{shown}"));
            text = Some(shown);
        } else {
            lines.push(format!("{title}: {kind}, {} bytes; export it to read it", attachment.size));
        }
        rows.push(json!({ "title": title, "kind": kind, "bytes": attachment.size, "text": text }));
    }
    Ok((lines, rows))
}

/// The text without what would do something to a terminal.
fn printable(text: &str) -> String {
    let shown: String = text.chars().filter(|one| *one == '\n' || !one.is_control()).collect();
    shown.trim_end().to_owned()
}
