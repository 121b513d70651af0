//! `export`: studies as a File-set with a DICOMDIR, in a folder or in a zip.

use std::path::PathBuf;

use clavicle_command::file::path_text;
use clavicle_command::said::many;
use clavicle_sandbox::reader::Reader;
use clavicle_workstation::export::Exported;
use clavicle_workstation::studies::Studies;
use serde_json::json;

use super::progress::counted;
use super::{Answer, CommandError, reader};

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
    let shown = counted("files");
    let exported = clavicle_workstation::export::export(studies, reader, out, &mut |done, all| shown(done, all))?;
    let Exported { studies, instances, reports, accounting } = exported;
    let mut lines = vec![
        format!(
            "{} of {} and {}, with a DICOMDIR, in {}",
            many(instances, "instance", "instances"),
            many(studies, "study", "studies"),
            many(reports, "report", "reports"),
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
