//! `export`: studies as a File-set with a DICOMDIR, in a folder or in a zip.

use std::io;
use std::path::{Path, PathBuf};

use clavicle_command::file::path_text;
use clavicle_imaging::media::{FileSet, Folder, MediaError, Medium, Zip};
use clavicle_letters::random::random;
use clavicle_sandbox::reader::Reader;
use serde_json::json;

use super::progress::counted;
use super::{Answer, CommandError, reader};
use clavicle_workstation::studies::{Studies, is_report};

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
}

pub(super) fn run(arguments: &ExportArguments) -> Result<Answer, CommandError> {
    let reader = reader()?;
    export(&Studies::in_folder(&arguments.folder, &reader)?, &reader, &arguments.medium)
}

/// Writes studies on a medium.
pub(super) fn export(
    studies: &Studies<'_>,
    reader: &dyn Reader,
    medium: &MediumArguments,
) -> Result<Answer, CommandError> {
    let MediumArguments { out } = medium;
    let (intake, mut accounting) = (&studies.intake, studies.accounting());
    let file_set = write(studies, reader, out)?;
    // What lies beside images as a report is in no study, and is written.
    file_set.reports().iter().for_each(|report| accounting.take_after_all(&report.from));
    let (instances, studies, reports) = (file_set.instances().len(), intake.studies.len(), file_set.reports().len());
    let mut lines = vec![
        format!(
            "{instances} instances of {studies} studies and {reports} reports, with a DICOMDIR, in {}",
            out.display()
        ),
        accounting.summary("written"),
    ];
    lines.extend(accounting.lines());
    let json = json!({
        "out": path_text(out), "studies": studies, "instances": instances, "reports": reports, "accounting": accounting,
    });
    let answer = Answer { text: lines.join("\n"), json };
    CommandError::unless_all(accounting.shortfall("written"), "incomplete", answer)
}

fn write<'a>(studies: &'a Studies<'_>, reader: &dyn Reader, out: &Path) -> Result<FileSet<'a>, ExportError> {
    let random = random().map_err(ExportError::Random)?;
    let mut file_set = FileSet::of(&studies.intake, studies.files(), reader, random)?;
    for report in studies.intake.quarantined.iter().filter(|one| is_report(one)) {
        file_set.attach(&report.path)?;
    }
    let is_zip = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => ExportError::Exists(out.to_owned()),
        _ => ExportError::Out { path: out.to_owned(), error },
    };
    let mut medium: Box<dyn Medium> = if is_zip {
        Box::new(Zip::create(out).map_err(failed)?)
    } else {
        Box::new(Folder::create(out).map_err(failed)?)
    };
    let shown = counted("files");
    file_set.write(medium.as_mut(), &mut |done, all| shown(done, all))?;
    Ok(file_set)
}
