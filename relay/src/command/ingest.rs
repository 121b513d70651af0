//! `ingest` and `studies`: DICOM files into the archive, and what is there.

use std::path::Path;

use clavicle_imaging::intake::Intake;
use clavicle_imaging::worker::{Reader, Workers};
use clavicle_ledger::id::SourceId;
use clavicle_manifest::MediaType;
use serde_json::{Value, json};

use super::{Answer, CommandError};
use crate::archive::{Archive, Entry, Signer, Taken};
use crate::home::Home;
use crate::keys::Keys;
use crate::network_file;

/// How many quarantined files are told one by one before the rest is only counted.
const MOST_TOLD: usize = 20;

pub(super) fn ingest(dir: &Path, folder: &Path, report: Option<&Path>) -> Result<Answer, CommandError> {
    let home = Home::at(dir);
    home.settings()?;
    let chain = network_file::read_genesis(&home.joined()?)?.chain_id();
    let keys = Keys::read(&home.keys_folder())?;
    let archive = open(&home)?;
    // What comes from outside is read by a process that can do nothing else.
    let mut reader = Reader::Workers(Workers::of_this_program().map_err(CommandError::Runtime)?);
    let mut intake = Intake::of_folder(folder, &mut reader)?;
    if let Some(report) = report {
        attach(&mut intake, report)?;
    }
    let source = SourceId::of_identity(&chain, &keys.identity.public());
    let signer = Signer { chain, source, operational: &keys.operational };
    let taken = intake.studies.iter().map(|study| archive.take(study, &signer)).collect::<Result<Vec<_>, _>>()?;

    let count = |wanted: fn(&Taken) -> bool| taken.iter().filter(|taken| wanted(taken)).count();
    let (new, grown) = (count(|taken| matches!(taken, Taken::New(_))), count(|taken| matches!(taken, Taken::Grown(_))));
    let instances: usize = intake.studies.iter().map(|study| study.instances()).sum();
    let mut lines = vec![format!(
        "{} studies ({new} new, {grown} grown), {instances} instances; {} duplicates, {} conflicts, {} quarantined",
        taken.len(),
        intake.duplicates.len(),
        intake.conflicts.len(),
        intake.quarantined.len()
    )];
    lines.extend(intake.conflicts.iter().map(|conflict| {
        let (one, other) = (conflict.path.display(), conflict.with.display());
        format!(
            "conflict     {one}: other bytes than {other} under the same SOP Instance UID; the latter is in the study"
        )
    }));
    let told = intake.quarantined.iter().take(MOST_TOLD);
    lines.extend(told.map(|one| format!("quarantined  {}: {}", one.path.display(), one.reason)));
    if intake.quarantined.len() > MOST_TOLD {
        lines.push(format!("             and {} more; --json has all", intake.quarantined.len() - MOST_TOLD));
    }
    let quarantined: Vec<Value> =
        intake.quarantined.iter().map(|one| json!({ "path": one.path, "reason": one.reason.to_string() })).collect();
    let conflicts: Vec<Value> =
        intake.conflicts.iter().map(|one| json!({ "path": one.path, "with": one.with })).collect();
    let studies: Vec<String> = taken.iter().map(|taken| taken.study().to_string()).collect();
    Ok(Answer {
        text: lines.join("\n"),
        json: json!({
            "studies": studies, "new": new, "grown": grown, "instances": instances,
            "duplicates": intake.duplicates.len(), "conflicts": conflicts, "quarantined": quarantined,
        }),
    })
}

/// Attaches a report to the one study that was taken in; to which of several, nobody could say.
fn attach(intake: &mut Intake, report: &Path) -> Result<(), CommandError> {
    let [study] = intake.studies.as_mut_slice() else {
        return Err(CommandError::WhichStudy { report: report.to_owned(), studies: intake.studies.len() });
    };
    let extension = report.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let media_type = match extension.to_lowercase().as_str() {
        "pdf" => MediaType::Pdf,
        "hl7" => MediaType::Hl7V2,
        "json" => MediaType::FhirJson,
        _ => MediaType::Text,
    };
    let attached = study.attach(report, media_type);
    attached.map_err(|error| CommandError::Attach { report: report.to_owned(), error })
}

pub(super) fn studies(dir: &Path) -> Result<Answer, CommandError> {
    let home = Home::at(dir);
    home.settings()?;
    let entries = open(&home)?.studies()?;
    let mut lines: Vec<String> = entries.iter().map(line).collect();
    lines.push(format!("{} studies", entries.len()));
    let rows: Vec<Value> = entries.iter().map(row).collect();
    Ok(Answer { text: lines.join("\n"), json: json!({ "studies": rows }) })
}

fn open(home: &Home) -> Result<Archive, CommandError> {
    Ok(Archive::open(&home.archive_folder(), &home.catalogue_file())?)
}

fn modalities(entry: &Entry) -> String {
    let mut all: Vec<&str> = entry.manifest.manifest.series().iter().map(|series| series.modality.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    all.join(" ")
}

fn line(entry: &Entry) -> String {
    let (header, counts) = (entry.manifest.manifest.header(), entry.manifest.manifest.counts());
    let id = header.study.to_string();
    let date = header.study_date.map_or_else(|| "no date   ".to_owned(), |date| date.to_string());
    format!(
        "{}  {date}  {:<8} {:>5} instances in {:>3} series  {}",
        &id[..12],
        modalities(entry),
        counts.instances,
        counts.series,
        header.description
    )
}

fn row(entry: &Entry) -> Value {
    let (header, counts) = (entry.manifest.manifest.header(), entry.manifest.manifest.counts());
    json!({
        "study": header.study.to_string(), "study_instance_uid": header.study_instance_uid.as_str(),
        "accession_number": entry.accession_number.as_str(), "date": header.study_date.map(|date| date.to_string()),
        "description": header.description.as_str(), "modalities": modalities(entry), "series": counts.series,
        "instances": counts.instances, "attachments": counts.attachments, "bytes": counts.bytes, "open": header.open,
        "revision": header.revision,
    })
}
