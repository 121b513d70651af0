//! Exporting: studies as a File-set with a DICOMDIR, in a folder or in a zip.

use std::io;
use std::path::{Path, PathBuf};

use clavicle_imaging::accounting::Accounting;
use clavicle_imaging::media::{FileSet, Folder, MediaError, Medium, Zip};
use clavicle_letters::random::random;
use clavicle_sandbox::reader::Reader;

use crate::studies::{Studies, is_report};

/// What was written.
#[derive(Debug)]
pub struct Exported {
    /// How many studies.
    pub studies: usize,
    /// How many instances of them.
    pub instances: usize,
    /// How many reports that are no DICOM.
    pub reports: usize,
    /// What became of each file: those are taken that are on the medium.
    pub accounting: Accounting,
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

/// Writes studies on a medium: the new folder `out`, or a new file if its name ends in .zip. `seen` is told how many
/// files are done, and of how many.
///
/// # Errors
/// [`ExportError`].
pub fn export(
    studies: &Studies<'_>,
    reader: &dyn Reader,
    out: &Path,
    seen: &mut dyn FnMut(usize, usize),
) -> Result<Exported, ExportError> {
    let mut accounting = studies.accounting();
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
    file_set.write(medium.as_mut(), seen)?;
    // What lies beside images as a report is in no study, and is written.
    file_set.reports().iter().for_each(|report| accounting.take_after_all(&report.from));
    let (instances, reports) = (file_set.instances().len(), file_set.reports().len());
    Ok(Exported { studies: studies.intake.studies.len(), instances, reports, accounting })
}
