//! `export`: studies as a File-set with a DICOMDIR, in a folder or in a zip.

use std::io;
use std::path::{Path, PathBuf};

use clavicle_command::file::path_text;
use clavicle_imaging::media::{FileSet, Folder, MediaError, Medium, Zip};
use clavicle_imaging::reason::Quarantined;
use clavicle_sandbox::reader::Reader;
use serde_json::json;

use super::progress::counted;
use super::{Answer, CommandError, first, reader};
use crate::studies::{Studies, is_report};

/// What is to be exported where.
#[derive(Debug, clap::Args)]
pub struct ExportArguments {
    /// The folder: what `fetch` wrote, or any with DICOM files in it
    pub folder: PathBuf,
    /// Where to
    #[command(flatten)]
    pub medium: MediumArguments,
}

/// What is to be written on.
#[derive(Debug, clap::Args)]
pub struct MediumArguments {
    /// The new folder to write, or the new file if its name ends in .zip
    #[arg(long, value_name = "FOLDER or FILE.zip")]
    pub out: PathBuf,
}

/// Why there is no File-set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The File-set.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Something is there.
    #[error("{0} is there already; nothing was written")]
    Exists(PathBuf),
    /// What is to be written.
    #[error("{path} cannot be made")]
    Out {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
    /// Not all of it was there to be written.
    #[error("{missing} files of the study did not arrive, and are not in {out}, which has all others; fetch it again")]
    Missing {
        /// Where the others are.
        out: PathBuf,
        /// How many.
        missing: usize,
    },
    /// Not all that is an image, or may be one, could be written.
    #[error("{} files are not in {out}, which has all others: {}", files.len(), first(files, String::clone).join("; "))]
    LeftOut {
        /// Where the others are.
        out: PathBuf,
        /// Which, each with its reason.
        files: Vec<String>,
    },
}

pub(super) fn run(arguments: &ExportArguments) -> Result<Answer, CommandError> {
    let reader = reader()?;
    Ok(export(&Studies::in_folder(&arguments.folder, &reader)?, &reader, &arguments.medium)?)
}

/// Writes studies on a medium.
pub(super) fn export(
    studies: &Studies<'_>,
    reader: &dyn Reader,
    medium: &MediumArguments,
) -> Result<Answer, ExportError> {
    let MediumArguments { out } = medium;
    let Studies { intake, missing, .. } = studies;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(ExportError::Random)?;
    let mut file_set = FileSet::of(intake, studies.files(), reader, random)?;
    let (reports, left_out): (Vec<&Quarantined>, Vec<_>) = intake.quarantined.iter().partition(|one| is_report(one));
    for report in &reports {
        file_set.attach(&report.path)?;
    }
    let is_zip = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => ExportError::Exists(out.clone()),
        _ => ExportError::Out { path: out.clone(), error },
    };
    let mut medium: Box<dyn Medium> = if is_zip {
        Box::new(Zip::create(out).map_err(failed)?)
    } else {
        Box::new(Folder::create(out).map_err(failed)?)
    };
    let shown = counted("files");
    file_set.write(medium.as_mut(), &mut |done, all| shown(done, all))?;
    if !missing.is_empty() {
        return Err(ExportError::Missing { out: out.clone(), missing: missing.len() });
    }
    let said = |path: &Path, reason: &str| format!("{}: {reason}", path.display());
    let contradicts = intake.conflicts.iter().map(|one| (&one.path, format!("it contradicts {}", one.with.display())));
    let due = left_out.iter().filter(|one| studies.is_due(one)).map(|one| (&one.path, one.reason.to_string()));
    let files: Vec<String> = due.chain(contradicts).map(|(path, reason)| said(path, &reason)).collect();
    if !files.is_empty() {
        return Err(ExportError::LeftOut { out: out.clone(), files });
    }
    let (instances, studies) = (file_set.instances().len(), intake.studies.len());
    let mut lines = vec![format!(
        "{instances} instances of {studies} studies and {} reports, with a DICOMDIR, in {}",
        reports.len(),
        out.display()
    )];
    lines.extend(left_out.iter().map(|one| format!("left out  {}", said(&one.path, &one.reason.to_string()))));
    let left_out: Vec<_> =
        left_out.iter().map(|one| json!({ "path": path_text(&one.path), "reason": one.reason.to_string() })).collect();
    let json = json!({
        "out": path_text(out), "studies": studies, "instances": instances, "reports": reports.len(), "left_out": left_out,
    });
    Ok(Answer { text: lines.join("\n"), json })
}
