//! Pushing: studies go into somebody's archive, by C-STORE or by STOW-RS.
//!
//! It stands behind what was fetched, and before a PACS. It promises that every instance is accounted for: stored, or named with a reason; that
//! bytes go verbatim unless another patient id or another transfer syntax is needed; and that nothing is ever compressed. It refuses to
//! send anything when the patient that was told is not the study's.

mod answer;
mod http;
mod reports;
mod store;
mod stow;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use clavicle_dicom::facts::{Patient, PatientDifference};
use clavicle_dicom::rewrite::{Absent, Coercion, Difference, Syntax};
use clavicle_dimse::{AeTitle, MetaError, StoreFile};
use clavicle_imaging::accounting::{Accounting, FileFate, FileRow};
use clavicle_manifest::Uid;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::{Reader, RewriteFileError};

use crate::studies::{Studies, is_report};
use crate::system;

pub use self::http::HttpError;
pub use crate::destination::{Destination, DestinationError};

/// Where studies are to be pushed, and how.
#[derive(Debug)]
pub struct Push<'a> {
    /// Where to.
    pub to: &'a Destination,
    /// The AE title to call with.
    pub calling: AeTitle,
    /// A file with certificates to trust, in PEM, in place of the public authorities.
    pub ca: Option<&'a Path>,
    /// The value of an Authorization header.
    pub authorization: Option<String>,
    /// The archive's own patient id.
    pub coercion: Option<Coercion>,
    /// Goes on although the patient that was told is not quite the study's.
    pub accept_mismatch: bool,
    /// Goes on although everybody on the way can read along.
    pub without_tls: bool,
}

/// How a push went.
#[derive(Debug)]
pub struct Pushed {
    /// What became of each file: those are taken that the archive says it has stored.
    pub accounting: Accounting,
    /// Those that it says it has stored.
    pub stored: usize,
    /// Of these, those that were decoded or written in another encoding, since the archive does not take them as they are.
    pub converted: usize,
    /// What the studies do not say of what was told of the patient.
    pub absent: Vec<Absent>,
    /// How many of all are reports that are no DICOM, and were made instances.
    pub reports: usize,
}

/// Why nothing was pushed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// No instances.
    #[error("there is no DICOM instance in {0}")]
    Nothing(PathBuf),
    /// Several patients, and one id.
    #[error("the folder holds studies under {0} patient ids, and one id was given: push the folder of each by itself")]
    OtherPatients(usize),
    /// One number, and two persons.
    #[error(
        "the folder holds studies of more than one patient, and one id was given: {}. Push the folder of each by itself",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    OtherPersons(Vec<PatientDifference>),
    /// Somebody else's study.
    #[error(
        "this may be another patient's study: {}. Nothing was sent",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Mismatch(Vec<Difference>),
    /// A file that was read a moment ago.
    #[error("{path} cannot be read, and so it cannot be said whose it is; nothing was sent")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        reason: ReadError,
    },
    /// The archive.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// Another machine, and no TLS.
    #[error(
        "{0} is another machine, and everybody on the way there could read along and change what is sent; nothing was sent. Use https://"
    )]
    WithoutTls(Destination),
    /// Nobody there to send to.
    #[error("the archive cannot be sent to: {0}")]
    Unreachable(String),
}

/// An instance on its way.
#[derive(Debug)]
struct Item {
    path: PathBuf,
    sop_class_uid: Uid,
    sop_instance_uid: Uid,
    transfer_syntax_uid: Uid,
    /// Its bytes, as it is.
    size: u64,
}

/// Why an instance cannot be prepared.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Open(#[from] ReadError),
    #[error(transparent)]
    Rewrite(#[from] RewriteFileError),
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error("there is no room for a copy of it")]
    Temporary(#[source] io::Error),
}

impl Push<'_> {
    /// Pushes. `seen` is told how many instances are done, and of how many.
    ///
    /// # Errors
    /// [`PushError`], when nothing was sent.
    pub async fn run(
        &self,
        studies: Studies<'_>,
        reader: &dyn Reader,
        seen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Pushed, PushError> {
        let mut items = Vec::new();
        for series in studies.intake.studies.iter().flat_map(|study| &study.series) {
            items.extend(series.instances.iter().map(|one| Item {
                path: one.path.clone(),
                sop_class_uid: one.instance.sop_class_uid,
                sop_instance_uid: one.instance.sop_instance_uid,
                transfer_syntax_uid: one.instance.transfer_syntax_uid,
                size: one.instance.size,
            }));
        }
        if items.is_empty() {
            return Err(PushError::Nothing(studies.place().to_owned()));
        }
        let absent = self.is_of_this_patient(&studies, &items, reader)?;
        let (mut made, mut accounting) = (BTreeMap::new(), studies.accounting());
        for report in studies.intake.quarantined.iter().filter(|one| is_report(one)) {
            match reports::made(&report.path, &studies, reader) {
                Ok(reports::Made { item, bytes }) => {
                    accounting.take_after_all(&report.path);
                    made.insert(item.path.clone(), bytes);
                    items.push(item);
                }
                Err(reason) => accounting.explain(&report.path, &reason),
            }
        }
        let mut sending = Sending {
            push: self,
            studies: &studies,
            reader,
            made: &made,
            all: items.len(),
            done: 0,
            seen,
            pushed: Pushed { accounting, stored: 0, converted: 0, absent, reports: made.len() },
        };
        match self.to {
            Destination::Dicom { called, host, port } => store::send(&mut sending, items, called, (host, *port))?,
            Destination::Web(url) => stow::send(&mut sending, items, url).await?,
        }
        Ok(sending.pushed)
    }

    /// Holds what was told of the patient against every instance.
    fn is_of_this_patient(
        &self,
        studies: &Studies<'_>,
        items: &[Item],
        reader: &dyn Reader,
    ) -> Result<Vec<Absent>, PushError> {
        let Some(coercion) = &self.coercion else { return Ok(Vec::new()) };
        let ids: BTreeSet<_> = studies
            .intake
            .studies
            .iter()
            .map(|study| (study.patient.id.clone(), study.patient.issuer.clone()))
            .collect();
        if ids.len() > 1 {
            return Err(PushError::OtherPatients(ids.len()));
        }
        let mut patient = Patient::default();
        for study in &studies.intake.studies {
            let differences = patient.differences_across(&study.patient);
            if !differences.is_empty() {
                return Err(PushError::OtherPersons(differences));
            }
            patient.fill(&study.patient);
        }
        let (mut differences, mut absent) = (BTreeSet::new(), BTreeSet::new());
        for item in items {
            let study = studies.files().open(&item.path).and_then(|file| reader.demographics(&file));
            let study = study.map_err(|reason| PushError::File { path: item.path.clone(), reason })?;
            let (differs, lacks) = coercion.demographics.compare(&study);
            differences.extend(differs);
            absent.extend(lacks);
        }
        if !differences.is_empty() && !self.accept_mismatch {
            return Err(PushError::Mismatch(differences.into_iter().collect()));
        }
        Ok(absent.into_iter().collect())
    }
}

/// A push on its way.
struct Sending<'a> {
    push: &'a Push<'a>,
    studies: &'a Studies<'a>,
    reader: &'a dyn Reader,
    /// Reports that were made instances.
    made: &'a BTreeMap<PathBuf, Vec<u8>>,
    all: usize,
    done: usize,
    seen: &'a (dyn Fn(usize, usize) + Sync),
    pushed: Pushed,
}

impl Sending<'_> {
    /// The file to send: as it is, if that will do, or a copy that is gone when it is closed.
    fn prepare(&self, item: &Item, syntax: Syntax) -> Result<File, PrepareError> {
        let coercion = self.push.coercion.as_ref();
        let mut file = match self.made.get(&item.path) {
            Some(bytes) => system::of(&mut bytes.as_slice()).map_err(PrepareError::Temporary)?,
            None => self.studies.files().open(&item.path)?,
        };
        if syntax == Syntax::Own && coercion.is_none() {
            let meta = file.try_clone().map_err(MetaError::Io).and_then(StoreFile::of_file);
            match meta.map(|meta| (meta.sop_class_uid(), meta.sop_instance_uid(), meta.is_sent_as_it_is())) {
                Ok(said) if said == (item.sop_class_uid, item.sop_instance_uid, true) => {
                    file.rewind().map_err(MetaError::Io)?;
                    return Ok(file);
                }
                // Without what stands before the data set in a file, or with something that is not so or not in order: written anew.
                Ok(_) | Err(MetaError::NotDicom | MetaError::Incomplete | MetaError::Damaged | MetaError::Encoding) => {
                }
                Err(error) => return Err(error.into()),
            }
        }
        let copy = self.studies.blank().map_err(PrepareError::Temporary)?;
        let mut out = io::BufWriter::with_capacity(256 << 10, copy);
        self.reader.rewrite(&file, syntax, coercion, &mut out)?;
        let mut copy = out.into_inner().map_err(|error| PrepareError::Temporary(error.into_error()))?;
        copy.rewind().map_err(PrepareError::Temporary)?;
        Ok(copy)
    }

    fn stored(&mut self, was_converted: bool) {
        self.pushed.stored += 1;
        self.pushed.converted += usize::from(was_converted);
        self.tell();
    }

    fn failed(&mut self, item: &Item, reason: impl Display) {
        self.pushed.accounting.put_back(FileRow::new(&item.path, FileFate::Refused, reason));
        self.tell();
    }

    fn tell(&mut self) {
        self.done += 1;
        (self.seen)(self.done, self.all);
    }
}
