//! Media storage: studies as a File-set of PS3.10, to be burnt, mailed or unpacked anywhere.
//!
//! It stands where images leave the network: a study that was fetched becomes files under names that every system takes, and a DICOMDIR, the
//! table of contents that a workstation looks for. No byte of an instance is changed, and each is held against its digest while it
//! is copied. Reports in other formats lie beside, in `REPORTS`, and are not in the table of contents.
//!
//! ```text
//! DICOMDIR
//! ST000001/SE000001/IM000001     study, series, instance; at most 8 characters, A to Z, 0 to 9 and _ (PS3.10 §8.2, §8.5)
//! REPORTS/REP00001.TXT
//! ```

mod medium;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clavicle_dicom::encode::uid_of;
use clavicle_dicom::facts::Patient;
use clavicle_dicom::file_set::{self, Record, ReferencedFile};
use clavicle_dicom::pick::Picked;
use clavicle_manifest::{StoredDigest, StoredHasher};
use clavicle_sandbox::ReadError;
use clavicle_sandbox::files::Files;
use clavicle_sandbox::hands::each;
use clavicle_sandbox::reader::Reader;

pub use self::medium::*;
use crate::intake::{Intake, StudyIntake};

/// File-set ID (0004,1130).
const FILE_SET_ID: &str = "CLAVICLE";

/// Studies, ready to be written.
#[derive(Debug)]
pub struct FileSet<'a> {
    files: &'a dyn Files,
    directory: Vec<u8>,
    instances: Vec<Entry>,
    reports: Vec<Entry>,
}

/// A patient, and the records of their studies.
struct OnePatient {
    patient: Patient,
    picked: Picked,
    studies: Vec<Record>,
}

/// A file of a File-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Under which path its bytes are.
    pub from: PathBuf,
    /// Its name in the File-set, its components separated by slashes.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Their digest.
    pub stored: StoredDigest,
}

/// Why a File-set was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// No instances.
    #[error("there is no instance to put into it")]
    Nothing,
    /// A file that was read a moment ago.
    #[error("{path} cannot be read any more")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        reason: ReadError,
    },
    /// A file is not what it was.
    #[error("{0} changed while it was copied; what was written is incomplete")]
    Changed(PathBuf),
    /// The medium.
    #[error("{name} cannot be written; what was written is incomplete")]
    Write {
        /// Which.
        name: String,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl<'a> FileSet<'a> {
    /// Puts the studies of an intake of these files in order, and makes the DICOMDIR. What is quarantined or contradicts another is not in it.
    /// `random` becomes its UID.
    ///
    /// # Errors
    /// [`MediaError`].
    pub fn of(
        intake: &Intake,
        files: &'a dyn Files,
        reader: &dyn Reader,
        random: [u8; 16],
    ) -> Result<Self, MediaError> {
        let mut instances = Vec::new();
        // Of each id, the persons who have it: it may be of several hospitals, which all count from one.
        let mut patients: BTreeMap<[&str; 3], Vec<OnePatient>> = BTreeMap::new();
        for (number, study) in (1..).zip(&intake.studies) {
            let Some((picked, record)) = study_record(study, number, (files, reader), &mut instances)? else {
                continue;
            };
            let patient = &study.patient;
            let name = if patient.id.as_str().is_empty() { patient.name.as_str() } else { "" };
            let key = [patient.id.as_str(), patient.issuer.as_str(), name];
            let persons = patients.entry(key).or_default();
            match persons.iter_mut().find(|person| person.patient.differences_across(patient).is_empty()) {
                Some(person) => {
                    person.patient.fill(patient);
                    person.studies.push(record);
                }
                None => persons.push(OnePatient { patient: patient.clone(), picked, studies: vec![record] }),
            }
        }
        if instances.is_empty() {
            return Err(MediaError::Nothing);
        }
        let patients = patients.into_values().flatten();
        let patients = patients.map(|OnePatient { picked, studies, .. }| Record::patient(&picked, studies)).collect();
        let directory = file_set::encode(FILE_SET_ID, &uid_of(random), patients);
        Ok(Self { files, directory, instances, reports: Vec::new() })
    }

    /// Lays a report beside: a file that is no DICOM.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub fn attach(&mut self, path: &Path) -> Result<(), MediaError> {
        let unread = |reason| MediaError::File { path: path.to_owned(), reason };
        let mut hashed = Hashed { from: self.files.open(path).map_err(unread)?, hasher: StoredHasher::new() };
        io::copy(&mut hashed, &mut io::sink()).map_err(|error| unread(ReadError::Io(error)))?;
        let (size, stored, _) = hashed.hasher.finish();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_plain = (1..=4).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let extension = if is_plain { extension.to_ascii_uppercase() } else { "BIN".to_owned() };
        let name = format!("REPORTS/REP{:05}.{extension}", self.reports.len() + 1);
        self.reports.push(Entry { from: path.to_owned(), name, size, stored });
        Ok(())
    }

    /// The instances, in the order of the DICOMDIR.
    #[must_use]
    pub fn instances(&self) -> &[Entry] {
        &self.instances
    }

    /// The reports.
    #[must_use]
    pub fn reports(&self) -> &[Entry] {
        &self.reports
    }

    /// Writes it. The DICOMDIR comes last: without it nobody takes for whole what is not. `seen` is told how many files are done, and of how many.
    ///
    /// # Errors
    /// [`MediaError`].
    pub fn write(&self, medium: &mut dyn Medium, seen: &mut dyn FnMut(usize, usize)) -> Result<(), MediaError> {
        let all = self.instances.len() + self.reports.len();
        for (done, entry) in self.instances.iter().chain(&self.reports).enumerate() {
            let unread = |reason| MediaError::File { path: entry.from.clone(), reason };
            let file = self.files.open(&entry.from).map_err(unread)?;
            let mut copied = Hashed { from: file.take(entry.size), hasher: StoredHasher::new() };
            let put = medium.put(&entry.name, entry.size, &mut copied);
            put.map_err(|error| MediaError::Write { name: entry.name.clone(), error })?;
            if copied.hasher.finish().1 != entry.stored {
                return Err(MediaError::Changed(entry.from.clone()));
            }
            seen(done + 1, all);
        }
        let name = "DICOMDIR";
        let put = medium.put(name, self.directory.len() as u64, &mut self.directory.as_slice());
        put.and_then(|()| medium.finish()).map_err(|error| MediaError::Write { name: name.to_owned(), error })
    }
}

/// The record of a study with all below it, and what was picked of its first instance.
fn study_record(
    study: &StudyIntake,
    number: usize,
    (files, reader): (&dyn Files, &dyn Reader),
    instances: &mut Vec<Entry>,
) -> Result<Option<(Picked, Record)>, MediaError> {
    let (mut of_study, mut all) = (None, Vec::new());
    for (in_study, series) in (1..).zip(&study.series) {
        let mut in_order: Vec<_> = series.instances.iter().collect();
        // As they would be looked through.
        in_order.sort_by_key(|one| (one.place.instance_number.is_none(), one.place.instance_number));
        let picked = each(&in_order, files.at_once(), |one| reader.pick_open(&files.open(&one.path)?), &|_| {});
        let (mut of_series, mut records) = (None, Vec::new());
        for ((in_series, one), picked) in (1..).zip(in_order).zip(picked) {
            let picked = picked.map_err(|reason| MediaError::File { path: one.path.clone(), reason })?;
            let name = format!("ST{number:06}/SE{in_study:06}/IM{in_series:06}");
            let instance = &one.instance;
            let file = ReferencedFile {
                name: name.clone(),
                sop_class_uid: instance.sop_class_uid,
                sop_instance_uid: instance.sop_instance_uid,
                transfer_syntax_uid: instance.transfer_syntax_uid,
            };
            records.push(Record::instance(&picked, in_series, instance.frames > 0, file));
            of_series.get_or_insert(picked);
            instances.push(Entry { from: one.path.clone(), name, size: instance.size, stored: instance.stored });
        }
        let Some(picked) = of_series else { continue };
        all.push(Record::series(&picked, in_study, records));
        of_study.get_or_insert(picked);
    }
    Ok(of_study.map(|picked| {
        let record = Record::study(&picked, number, all);
        (picked, record)
    }))
}

/// Hashes what is read through it.
struct Hashed<R> {
    from: R,
    hasher: StoredHasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.hasher.update(&into[..read]);
        Ok(read)
    }
}
