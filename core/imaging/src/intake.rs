//! Intake: files become studies. Every file is accounted for, and no byte is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clavicle_dicom::facts::{Facts, InstancePosition, Patient, PatientDifference, fill, shown};
use clavicle_dicom::repair::Repair;
use clavicle_dicom::unreadable::Unreadable;
use clavicle_ledger::encoding::{Ascending, Fault, Text};
use clavicle_ledger::id::{ChainId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{
    Attachment, Change, Date, Header, Instance, Manifest, ManifestError, MediaType, Nonce, Received, Series,
    StoredDigest, Subtrees, Uid,
};
use clavicle_sandbox::Inspected;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::hands::each;
use clavicle_sandbox::reader::Reader;
use clavicle_sandbox::{Files, OnDisk};

use crate::accounting::{Accounting, FileFate, FileRow};
use crate::contents::Lying;
pub use crate::contents::{Absence, Contents, NotThere};
pub use crate::reason::{IntakeError, Quarantined, Reason};
use crate::walk;

/// The largest attachment, in bytes.
pub const MAX_ATTACHMENT_LEN: u64 = 64 << 20;

/// A file with the same bytes as an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Which.
    pub path: PathBuf,
    /// The file that stands for both.
    pub of: PathBuf,
}

/// A file with other bytes under the SOP Instance UID of an instance. Both are to be kept; the first is in the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Which.
    pub path: PathBuf,
    /// The file in the manifest.
    pub with: PathBuf,
    /// The study that this one says it is of.
    pub study_instance_uid: Uid,
    /// What it would be in the manifest.
    pub instance: Instance,
    /// How it differs from the one that is there.
    pub change: Change,
}

/// An instance under a SOP Instance UID that an instance of another study has too. A SOP Instance UID names one instance everywhere, so that one of
/// both studies is wrong; which one cannot be told, and both are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// The file.
    pub path: PathBuf,
    /// The study that it says it is of.
    pub study_instance_uid: Uid,
    /// The file that had the name first.
    pub with: PathBuf,
    /// The study of that.
    pub with_study_instance_uid: Uid,
}

/// A file that was read although it is not in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Which.
    pub path: PathBuf,
    /// What is not in order in it.
    pub repairs: BTreeSet<Repair>,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Intake {
    /// The studies, by UID.
    pub studies: Vec<StudyIntake>,
    /// Files in no study, each with its reason.
    pub quarantined: Vec<Quarantined>,
    /// Files that add nothing.
    pub duplicates: Vec<Duplicate>,
    /// Files that contradict an instance.
    pub conflicts: Vec<Conflict>,
    /// DICOMDIRs, with what became of what they list.
    pub contents: Vec<Contents>,
    /// What DICOMDIRs of the folder list and is not there.
    pub not_there: Vec<NotThere>,
    /// Instances of which another study has one of the same name. They are in their studies.
    pub elsewhere: Vec<Elsewhere>,
    /// Files that were taken although they are not in order.
    pub repaired: Vec<Repaired>,
    /// How many files were given.
    given: usize,
}

/// A study, ready to be written into a manifest.
#[derive(Clone, Debug)]
pub struct StudyIntake {
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Uid,
    /// Who the images are of. Not for the manifest.
    pub patient: Patient,
    /// Accession Number (0008,0050), of the first instance that has one. Not for the manifest.
    pub accession_number: Text<256>,
    /// Study Date (0008,0020), of the first instance that has one.
    pub study_date: Option<Date>,
    /// Study Description (0008,1030), of the first instance that has one.
    pub description: Text<256>,
    /// The series, by UID.
    pub series: Vec<SeriesIntake>,
    /// What was attached.
    pub attachments: Vec<AttachmentIntake>,
}

/// A series. Its attributes are those of the first instance that has them.
#[derive(Clone, Debug)]
pub struct SeriesIntake {
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Uid,
    /// Modality (0008,0060).
    pub modality: Text<16>,
    /// Series Number (0020,0011).
    pub number: Option<i32>,
    /// Body Part Examined (0018,0015).
    pub body_part: Text<16>,
    /// Series Description (0008,103E).
    pub description: Text<256>,
    /// The instances, by UID.
    pub instances: Vec<InstanceIntake>,
}

/// An instance, and where its bytes are. Who copies them verifies [`Instance::stored`] while doing so: the file may have changed
/// since.
#[derive(Clone, Debug)]
pub struct InstanceIntake {
    /// The file.
    pub path: PathBuf,
    /// Its place in the manifest.
    pub instance: Instance,
    /// Its 1 MiB subtrees, to be kept beside its bytes.
    pub subtrees: Subtrees,
    /// Where it stands among its likes. Not for the manifest.
    pub place: InstancePosition,
}

/// An attachment, and where its bytes are.
#[derive(Clone, Debug)]
pub struct AttachmentIntake {
    /// The file.
    pub path: PathBuf,
    /// Its place in the manifest.
    pub attachment: Attachment,
}

/// Why something was not attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// It cannot be opened or read.
    #[error("the attachment cannot be opened or read")]
    Io(#[source] io::Error),
    /// Larger than [`MAX_ATTACHMENT_LEN`].
    #[error("the attachment is larger than 64 MiB")]
    TooLarge,
    /// Not what it was said to be.
    #[error(
        "the attachment is not {}",
        match .0 { MediaType::Pdf => "a PDF", MediaType::Hl7V2 => "an HL7 v2 message", _ => "text in UTF-8" }
    )]
    NotThat(MediaType),
}

/// Which edition of a manifest to make of a study.
#[derive(Clone, Debug)]
pub struct Edition {
    /// The network.
    pub chain: ChainId,
    /// Who keeps the study.
    pub source: SourceId,
    /// The study's salt.
    pub salt: Salt,
    /// 32 random bytes, new for each revision.
    pub nonce: Nonce,
    /// 0 for the first.
    pub revision: u32,
    /// The root of the revision before.
    pub predecessor: Option<ManifestRoot>,
    /// More instances are expected.
    pub open: bool,
}

/// Why a study does not go into a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A list does not fit.
    #[error("the study does not fit a manifest: {0}")]
    List(Fault),
    /// See [`ManifestError`].
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// A file that was read.
struct Taken {
    path: PathBuf,
    seen: Inspected,
}

impl Intake {
    /// Takes in every file below `root`, or `root` itself when it is a file.
    ///
    /// # Errors
    /// [`IntakeError`], when nothing was taken in at all. What is wrong with a single file is in [`Intake::quarantined`].
    pub fn of_folder(root: &Path, reader: &dyn Reader) -> Result<Self, IntakeError> {
        Self::watched(root, reader, &|_, _| {})
    }

    /// The same; `seen` is told, from several threads, how many files were read, and how many there are.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub fn watched(
        root: &Path,
        reader: &dyn Reader,
        seen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, IntakeError> {
        let (files, quarantined) = walk::files(root)?;
        let mut intake = Self { given: quarantined.len(), quarantined, ..Self::default() };
        let all = files.len();
        intake.take_all(&OnDisk, files, reader, &|done| seen(done, all));
        if !intake.contents.is_empty() && root.is_dir() {
            intake.not_there = intake.lying().held_against(&mut intake.contents, reader);
        }
        Ok(intake)
    }

    /// Takes in these files, in this order.
    #[must_use]
    pub fn of_files(files: Vec<PathBuf>, reader: &dyn Reader) -> Self {
        Self::of_some(&OnDisk, files, reader)
    }

    /// Takes in the files under these paths, wherever they are, in this order.
    #[must_use]
    pub fn of_some(files: &dyn Files, paths: Vec<PathBuf>, reader: &dyn Reader) -> Self {
        let mut intake = Self::default();
        intake.take_all(files, paths, reader, &|_| {});
        intake
    }

    fn take_all(&mut self, files: &dyn Files, paths: Vec<PathBuf>, reader: &dyn Reader, seen: &(dyn Fn(usize) + Sync)) {
        self.given += paths.len();
        // By SOP Instance UID, in each study by itself. It names an instance everywhere: that two studies have one is said, and both are kept.
        let mut taken: Vec<Taken> = Vec::new();
        let mut first: BTreeMap<(Uid, Uid), usize> = BTreeMap::new();
        let mut named: BTreeMap<Uid, usize> = BTreeMap::new();
        let outcomes = each(&paths, files.at_once(), |path| reader.inspect_open(&files.open(path)?), seen);
        for (path, outcome) in paths.into_iter().zip(outcomes) {
            let seen = match outcome {
                Err(ReadError::Unreadable(Unreadable::Directory)) => {
                    self.contents.push(Contents { path, listed: None });
                    continue;
                }
                Err(reason) => {
                    self.quarantined.push(Quarantined { path, reason: reason.into() });
                    continue;
                }
                Ok(seen) => seen,
            };
            let Facts { sop_instance_uid, study_instance_uid, .. } = seen.facts;
            if !seen.repairs.is_empty() {
                self.repaired.push(Repaired { path: path.clone(), repairs: seen.repairs.clone() });
            }
            let name = (study_instance_uid, sop_instance_uid);
            match first.get(&name).and_then(|at| taken.get(*at)) {
                None => {
                    first.insert(name, taken.len());
                    match named.get(&sop_instance_uid).and_then(|at| taken.get(*at)) {
                        None => {
                            named.insert(sop_instance_uid, taken.len());
                        }
                        Some(other) => self.elsewhere.push(Elsewhere {
                            sop_instance_uid,
                            path: path.clone(),
                            study_instance_uid,
                            with: other.path.clone(),
                            with_study_instance_uid: other.seen.facts.study_instance_uid,
                        }),
                    }
                    taken.push(Taken { path, seen });
                }
                Some(kept) => {
                    let (other, instance) = (kept.path.clone(), seen.instance());
                    match kept.seen.instance().change(&instance) {
                        None => self.duplicates.push(Duplicate { path, of: other }),
                        Some(change) => {
                            self.conflicts.push(Conflict { path, with: other, study_instance_uid, instance, change });
                        }
                    }
                }
            }
        }
        let mut studies: BTreeMap<Uid, Vec<Taken>> = BTreeMap::new();
        for one in taken {
            studies.entry(one.seen.facts.study_instance_uid).or_default().push(one);
        }
        for (uid, taken) in studies {
            match one_patient(&taken) {
                Ok(patient) => self.studies.push(StudyIntake::of(uid, patient, taken)),
                Err(differences) => self.quarantined.extend(
                    taken
                        .into_iter()
                        .map(|one| Quarantined { path: one.path, reason: Reason::MixedPatients(differences.clone()) }),
                ),
            }
        }
    }

    /// Everything that was taken in, contradictions included, to be held against a manifest that came with it.
    pub fn received(&self) -> impl Iterator<Item = Received> {
        let instances = self.studies.iter().flat_map(|study| &study.series).flat_map(|series| &series.instances);
        let attachments = self.studies.iter().flat_map(|study| &study.attachments);
        let conflicts = self.conflicts.iter().map(|one| Received::from(&one.instance));
        let instances = instances.map(|one| Received::from(&one.instance)).chain(conflicts);
        instances.chain(attachments.map(|one| Received::from(&one.attachment)))
    }

    /// What is not in order in the files that were taken, and in how many of them.
    #[must_use]
    pub fn repairs(&self) -> BTreeMap<Repair, usize> {
        let mut all = BTreeMap::new();
        for repair in self.repaired.iter().flat_map(|one| &one.repairs) {
            *all.entry(*repair).or_default() += 1;
        }
        all
    }

    /// Those conflicts whose files say that they are of this study.
    #[must_use]
    pub fn conflicts_of(&self, study_instance_uid: &Uid) -> Vec<Conflict> {
        self.conflicts.iter().filter(|one| one.study_instance_uid == *study_instance_uid).cloned().collect()
    }

    /// Everything that lies in the folder, as a DICOMDIR may name it.
    fn lying(&self) -> Lying {
        let mut lying = Lying::default();
        for one in self.studies.iter().flat_map(|study| &study.series).flat_map(|series| &series.instances) {
            lying.instance(&one.path, one.instance.sop_instance_uid);
        }
        self.conflicts.iter().for_each(|one| lying.instance(&one.path, one.instance.sop_instance_uid));
        self.duplicates.iter().for_each(|one| lying.file(&one.path));
        self.contents.iter().for_each(|one| lying.file(&one.path));
        self.quarantined.iter().for_each(|one| lying.unread(&one.path));
        lying
    }

    /// What became of each file.
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        let mut all = Accounting {
            given: self.given,
            taken: self.studies.iter().map(StudyIntake::instances).sum(),
            ..Accounting::default()
        };
        all.rest.extend(self.quarantined.iter().map(|one| FileRow::new(&one.path, one.fate(), one.reason.on_screen())));
        all.rest.extend(self.conflicts.iter().map(|one| {
            let of = one.with.display();
            let why = format!("the same SOP Instance UID as {of} ({})", one.change);
            FileRow::beside(&one.path, FileFate::Conflict, of, why)
        }));
        all.rest.extend(self.duplicates.iter().map(|one| {
            let of = one.of.display();
            FileRow::beside(&one.path, FileFate::Duplicate, &of, format!("the same bytes as {of}"))
        }));
        all.rest.extend(self.contents.iter().map(|one| match &one.listed {
            Some(Err(error @ ReadError::Unreadable(Unreadable::Circle))) => {
                FileRow::new(&one.path, FileFate::Refused, format!("it is a DICOMDIR: {error}"))
            }
            Some(Err(error)) => {
                let why = format!("it is a DICOMDIR, and what it lists cannot be read: {error}");
                FileRow::new(&one.path, FileFate::Unreadable, why)
            }
            Some(Ok(listed)) => {
                let why = format!("it is a DICOMDIR, a table of contents, and lists {listed} files");
                FileRow::new(&one.path, FileFate::Contents, why)
            }
            // Nothing of what it lists was given.
            None => {
                let why = format!("{}: give the folder that it lies in", Unreadable::Directory);
                FileRow::new(&one.path, FileFate::Skipped, why)
            }
        }));
        all.besides.extend(self.not_there.iter().map(|one| {
            let of = one.listed_by.display();
            let fate = if one.absence == Absence::Outside { FileFate::Refused } else { FileFate::Missing };
            FileRow::beside(&one.path, fate, &of, format!("listed by {of}: {}", one.absence))
        }));
        all.besides.extend(self.elsewhere.iter().map(|one| {
            let (of, study, other) = (one.with.display(), one.study_instance_uid, one.with_study_instance_uid);
            let why = format!(
                "study {study} and study {other} both have an instance of its name, the other is {of}; both are kept, and one of them is wrong"
            );
            FileRow::beside(&one.path, FileFate::Contradicts, of, why)
        }));
        all
    }
}

/// The patient of all of them: what any says, if none contradicts another; else in what the first two that do differ.
fn one_patient(taken: &[Taken]) -> Result<Patient, Vec<PatientDifference>> {
    let mut patient = Patient::default();
    for Taken { seen: Inspected { facts: Facts { patient: next, .. }, .. }, .. } in taken {
        // Held against everything said so far, and not only against the neighbour, who may have said nothing.
        let differences = patient.differences(next);
        if !differences.is_empty() {
            return Err(differences);
        }
        patient.fill(next);
    }
    Ok(patient)
}

impl AttachmentIntake {
    /// Looks at the file at `path`, to be attached under its name.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn of(path: &Path, media_type: MediaType) -> Result<Self, AttachError> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(AttachError::Io)?;
        file.take(MAX_ATTACHMENT_LEN + 1).read_to_end(&mut bytes).map_err(AttachError::Io)?;
        if bytes.len() as u64 > MAX_ATTACHMENT_LEN {
            return Err(AttachError::TooLarge);
        }
        let is_that = match media_type {
            MediaType::Pdf => bytes.starts_with(b"%PDF-"),
            // HL7 v2 says in MSH-18 what it is written in, and is kept as it came.
            MediaType::Hl7V2 => {
                // Between the marks of MLLP, too, and of UTF-8.
                let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                let begin = text.iter().position(|byte| !matches!(byte, 0x0b | b' ' | b'\r' | b'\n')).unwrap_or(0);
                text[begin..].starts_with(b"MSH")
            }
            MediaType::Text | MediaType::FhirJson => core::str::from_utf8(&bytes).is_ok(),
        };
        if !is_that {
            return Err(AttachError::NotThat(media_type));
        }
        let stored = StoredDigest::of(&bytes);
        let title = shown(path.file_name().unwrap_or_default().to_string_lossy());
        let attachment = Attachment { stored, size: bytes.len() as u64, media_type, title };
        Ok(Self { path: path.to_owned(), attachment })
    }
}

impl StudyIntake {
    fn of(study_instance_uid: Uid, patient: Patient, taken: Vec<Taken>) -> Self {
        let mut study = Self {
            study_instance_uid,
            patient,
            accession_number: Text::default(),
            study_date: None,
            description: Text::default(),
            series: Vec::new(),
            attachments: Vec::new(),
        };
        let mut all: BTreeMap<Uid, SeriesIntake> = BTreeMap::new();
        for Taken { path, seen } in taken {
            let instance = seen.instance();
            let Inspected { facts, subtrees, .. } = seen;
            fill(&mut study.accession_number, &facts.accession_number);
            fill(&mut study.description, &facts.study_description);
            study.study_date = study.study_date.or(facts.study_date);
            let series = all.entry(facts.series_instance_uid).or_insert_with(|| SeriesIntake {
                series_instance_uid: facts.series_instance_uid,
                modality: Text::default(),
                number: None,
                body_part: Text::default(),
                description: Text::default(),
                instances: Vec::new(),
            });
            fill(&mut series.modality, &facts.modality);
            fill(&mut series.body_part, &facts.body_part);
            fill(&mut series.description, &facts.series_description);
            series.number = series.number.or(facts.series_number);
            series.instances.push(InstanceIntake { path, instance, subtrees, place: facts.place });
        }
        study.series = all.into_values().collect();
        for series in &mut study.series {
            series.instances.sort_by_key(|one| one.instance.sop_instance_uid);
        }
        study
    }

    /// How many instances it has.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.series.iter().map(|series| series.instances.len()).sum()
    }

    /// Attaches the file at `path`, under its name.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach(&mut self, path: &Path, media_type: MediaType) -> Result<(), AttachError> {
        let attachment = AttachmentIntake::of(path, media_type)?;
        self.add(attachment);
        Ok(())
    }

    /// Attaches what was looked at, unless the same is attached already.
    pub fn add(&mut self, attachment: AttachmentIntake) {
        let stored = attachment.attachment.stored;
        if self.attachments.iter().all(|one| one.attachment.stored != stored) {
            self.attachments.push(attachment);
        }
    }

    /// The manifest of the study.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn manifest(&self, edition: &Edition) -> Result<Manifest, StudyError> {
        let Edition { chain, source, salt, nonce, revision, predecessor, open } = edition;
        let header = Header {
            study: StudyId::of(chain, *source, salt.study_digest(self.study_instance_uid.as_str())),
            source: *source,
            study_instance_uid: self.study_instance_uid,
            revision: *revision,
            predecessor: *predecessor,
            open: *open,
            study_date: self.study_date,
            description: self.description.clone(),
        };
        let mut all = Vec::new();
        for SeriesIntake { series_instance_uid, modality, number, body_part, description, instances } in &self.series {
            let instances = instances.iter().map(|one| one.instance.clone()).collect();
            all.push(Series {
                series_instance_uid: *series_instance_uid,
                modality: modality.clone(),
                number: *number,
                body_part: body_part.clone(),
                description: description.clone(),
                instances: Ascending::from_items(instances).map_err(StudyError::List)?,
            });
        }
        let attachments = self.attachments.iter().map(|one| one.attachment.clone()).collect();
        let series = Ascending::from_items(all).map_err(StudyError::List)?;
        let attachments = Ascending::from_items(attachments).map_err(StudyError::List)?;
        Ok(Manifest::new(header, nonce.clone(), series, attachments)?)
    }
}
