//! Key Object Selections of studies that lie in files: written, and held against a folder. What such a document is says [`kos`](clavicle_dicom::kos).

mod verify;

use std::path::{Path, PathBuf};

use clavicle_dicom::kos::{Document, Listed, SIGNED, Sealed};
use clavicle_manifest::{Instance, Manifest};
use clavicle_sandbox::hands::each;
use clavicle_sandbox::reader::Reader;
use clavicle_sandbox::{Files, ReadError};

pub use self::verify::{Checked, Unchecked, Verdict, Verification, VerifyError, verify};

/// Why a document was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KosError {
    /// A file was not read.
    #[error("{} could not be read for its MAC: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: ReadError,
    },
    /// A file is not what the manifest says.
    #[error("{} is not the instance that the manifest lists", path.display())]
    Altered {
        /// Which.
        path: PathBuf,
    },
    /// No instance, of which the document could be.
    #[error("the study has no instance, and so a Key Object Selection of it has nothing to select")]
    Empty,
    /// A meaning that can be read in one character set only.
    #[error("the title of the document is not in ASCII")]
    Title,
}

/// Which file an instance is.
pub type FileOf<'a> = &'a dyn Fn(&Instance) -> PathBuf;

/// The document of a study, as a DICOM file: every instance of the manifest, each with the MAC of its file, which must be the
/// one that the manifest lists. `file_of` says which of `files` it is. No file is held in memory.
///
/// # Errors
/// [`KosError`].
pub fn of_manifest(
    document: &Document,
    manifest: &Manifest,
    (files, file_of): (&dyn Files, FileOf<'_>),
    reader: &dyn Reader,
) -> Result<Vec<u8>, KosError> {
    if !document.title.meaning.as_str().is_ascii() {
        return Err(KosError::Title);
    }
    let study_instance_uid = manifest.header().study_instance_uid;
    let mut all = Vec::new();
    for series in manifest.series().iter() {
        let instances = series.instances.iter();
        all.extend(instances.map(|instance| (series.series_instance_uid, instance, file_of(instance))));
    }
    let Some((_, _, first)) = all.first() else { return Err(KosError::Empty) };
    let failed = |path: &Path| {
        let path = path.to_owned();
        |reason| KosError::File { path, reason }
    };
    let heading = files.open(first).and_then(|file| reader.head_open(&file)).map_err(failed(first))?;
    let wanted = SIGNED.map(|tag| (tag.0, tag.1));
    let seal = |path: &PathBuf| reader.seal_open(&files.open(path)?, &wanted);
    let sealed = each(&all, files.at_once(), |(_, _, path)| seal(path), &|_| {});
    let mut listed = Vec::new();
    for ((series_instance_uid, instance, path), sealed) in all.iter().zip(sealed) {
        let Sealed { sop_instance_uid, study_instance_uid: study, stored, mac } = sealed.map_err(failed(path))?;
        if (stored, sop_instance_uid, study) != (instance.stored, instance.sop_instance_uid, study_instance_uid) {
            return Err(KosError::Altered { path: path.clone() });
        }
        listed.push(Listed { series_instance_uid: *series_instance_uid, instance, mac });
    }
    if heading.study_instance_uid != study_instance_uid {
        return Err(KosError::Altered { path: first.clone() });
    }
    Ok(document.encode(&heading, &listed))
}
