//! Completeness: what a study says of itself, for whoever only wants to look.
//!
//! It stands behind intake, where nothing is signed or published yet. It looks at Instance Numbers, at where slices lie, at what the
//! sender says there is, at whether the pixels of each image are all there, and at the documents of the same folder that list instances. It promises no completeness: where nothing
//! of that speaks for missing images, this is what it says, and no more. What was quarantined counts as not there.
//!
//! ```no_run
//! use clavicle_imaging::completeness::Completeness;
//! use clavicle_imaging::intake::Intake;
//! use clavicle_sandbox::reader::Here;
//!
//! let intake = Intake::of_folder("from-the-cd".as_ref(), &Here)?;
//! print!("{}", Completeness::of(&intake, &Here));
//! # Ok::<(), clavicle_imaging::intake::IntakeError>(())
//! ```

mod numbers;
mod sentence;
mod slices;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clavicle_dicom::facts::{InstancePosition, shown};
use clavicle_dicom::kind::Kind;
use clavicle_dicom::references::{Reference, lists_others};
use clavicle_ledger::encoding::Text;
use clavicle_manifest::Uid;
use clavicle_sandbox::hands::each;
use clavicle_sandbox::reader::{Lack, Reader, Wholeness};
use clavicle_sandbox::{Files, OnDisk};

use crate::intake::{InstanceIntake, Intake, Quarantined, SeriesIntake, StudyIntake};
use crate::reason::MAX_FILES;

pub use self::numbers::{Gap, Numbers};
pub use self::slices::{Run, Stack};

/// Most instances that are named as listed and not there.
const MOST_ABSENT: usize = MAX_FILES;

/// What a folder says of its own completeness.
#[derive(Debug)]
pub struct Completeness {
    /// The studies, by UID.
    pub studies: Vec<StudyCompleteness>,
    /// Instances of other studies that are listed and not there.
    pub elsewhere: Vec<Absent>,
    /// Documents that list instances and could not be read for it.
    pub unread: Vec<Quarantined>,
    /// How many files of the folder are in no study.
    pub quarantined: usize,
}

/// What a study says.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyCompleteness {
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Uid,
    /// How many instances are there.
    pub instances: usize,
    /// How many the sender says there are: Number of Study Related Instances (0020,1208), the largest of those said.
    pub said: Option<u32>,
    /// The series, by UID.
    pub series: Vec<SeriesCompleteness>,
    /// Instances that are listed and not there, of series of which nothing is there.
    pub absent: Vec<Absent>,
}

/// What a series says.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesCompleteness {
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Uid,
    /// Series Number (0020,0011).
    pub number: Option<i32>,
    /// Modality (0008,0060).
    pub modality: Text<16>,
    /// Series Description (0008,103E).
    pub description: Text<256>,
    /// How many instances are there.
    pub instances: usize,
    /// How many the sender says there are: Number of Series Related Instances (0020,1209), the largest of those said.
    pub said: Option<u32>,
    /// Their Instance Numbers.
    pub numbers: Numbers,
    /// Where they lie, where they say so.
    pub stacks: Vec<Stack>,
    /// Instances whose pixels are not all there.
    pub lacking: Vec<Lacking>,
    /// Instances of which nothing tells whether they are: films without a container, as a rule. It speaks neither for
    /// missing images nor against.
    pub untold: Vec<Untold>,
    /// Instances that are listed and not there.
    pub absent: Vec<Absent>,
}

/// An instance whose pixels are not all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// SOP Instance UID.
    pub sop_instance_uid: Uid,
    /// Instance Number (0020,0013).
    pub instance_number: Option<i32>,
    /// What is missing.
    pub lack: Lack,
}

/// An instance of which nothing tells whether its pixels are all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// SOP Instance UID.
    pub sop_instance_uid: Uid,
    /// Instance Number (0020,0013).
    pub instance_number: Option<i32>,
    /// Why.
    pub why: Text<1024>,
}

/// An instance that is listed and not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// SOP Instance UID.
    pub sop_instance_uid: Uid,
    /// Series Instance UID, as far as the list says.
    pub series_instance_uid: Option<Uid>,
    /// Study Instance UID, as far as the list says.
    pub study_instance_uid: Option<Uid>,
    /// The first document that lists it.
    pub listed_by: PathBuf,
}

impl Completeness {
    /// What the studies of `intake` say. The documents among them are read once more, through `reader`.
    #[must_use]
    pub fn of(intake: &Intake, reader: &dyn Reader) -> Self {
        Self::of_some(&OnDisk, intake, reader)
    }

    /// The same, of files that are elsewhere.
    #[must_use]
    pub fn of_some(files: &dyn Files, intake: &Intake, reader: &dyn Reader) -> Self {
        let series = || intake.studies.iter().flat_map(|study| &study.series);
        let instances = || series().flat_map(|series| &series.instances);
        let there: BTreeSet<Uid> = instances().map(|one| one.instance.sop_instance_uid).collect();
        let lists = instances().filter(|one| lists_others(&one.instance.sop_class_uid)).map(|one| &one.path);
        let documents: Vec<&PathBuf> = intake.contents.iter().map(|one| &one.path).chain(lists).collect();
        let documents: Vec<(usize, &PathBuf)> = documents.into_iter().enumerate().collect();
        // By UID, and whichever document comes first. What they list is not held longer than it takes to look for it.
        let absent: Mutex<BTreeMap<Uid, (usize, Absent)>> = Mutex::default();
        let look = |(at, path): &(usize, &PathBuf)| {
            let list = reader.list_open(&files.open(path)?)?;
            let mut absent = absent.lock().unwrap_or_else(PoisonError::into_inner);
            for one in list.instances.into_iter().filter(|one| !there.contains(&one.sop_instance_uid)) {
                let is_first = absent.get(&one.sop_instance_uid).map(|(other, _)| at < other);
                if is_first.unwrap_or(absent.len() < MOST_ABSENT) {
                    absent.insert(one.sop_instance_uid, (*at, Absent::of(&one, PathBuf::clone(path))));
                }
            }
            Ok(())
        };
        let outcomes = each(&documents, files.at_once(), look, &|_| {});
        let unread = documents.iter().zip(outcomes).filter_map(|((_, path), outcome)| {
            outcome.err().map(|reason| Quarantined { path: PathBuf::clone(path), reason })
        });
        let unread = unread.collect();
        let mut of_series: BTreeMap<Option<Uid>, Vec<Absent>> = BTreeMap::new();
        for (_, one) in absent.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
            of_series.entry(one.series_instance_uid).or_default().push(one);
        }
        let mut not_whole = not_whole(files, intake, reader);
        let mut studies: Vec<StudyCompleteness> =
            intake.studies.iter().map(|study| StudyCompleteness::of(study, &mut of_series, &mut not_whole)).collect();
        let mut elsewhere = Vec::new();
        for one in of_series.into_values().flatten() {
            let study = studies.binary_search_by_key(&one.study_instance_uid, |study| Some(study.study_instance_uid));
            study.map_or(&mut elsewhere, |at| &mut studies[at].absent).push(one);
        }
        Self { studies, elsewhere, unread, quarantined: intake.quarantined.len() }
    }

    /// Whether anything speaks for missing images.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        !self.elsewhere.is_empty() || self.studies.iter().any(StudyCompleteness::is_suspicious)
    }
}

impl Absent {
    fn of(reference: &Reference, listed_by: PathBuf) -> Self {
        let Reference { study_instance_uid, series_instance_uid, sop_instance_uid, .. } = *reference;
        Self { sop_instance_uid, series_instance_uid, study_instance_uid, listed_by }
    }
}

impl StudyCompleteness {
    fn of(
        study: &StudyIntake,
        absent: &mut BTreeMap<Option<Uid>, Vec<Absent>>,
        not_whole: &mut BTreeMap<PathBuf, Wholeness>,
    ) -> Self {
        let places = study.series.iter().flat_map(|series| &series.instances).map(|one| one.place);
        let said = places.filter_map(|place| place.study_related_instances).max();
        let series = study.series.iter().map(|series| SeriesCompleteness::of(series, absent, not_whole)).collect();
        let uid = study.study_instance_uid;
        Self { study_instance_uid: uid, instances: study.instances(), said, series, absent: Vec::new() }
    }

    /// Whether anything speaks for missing images.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        let is_less = is_less(self.instances, self.said);
        is_less || !self.absent.is_empty() || self.series.iter().any(SeriesCompleteness::is_suspicious)
    }
}

impl SeriesCompleteness {
    fn of(
        series: &SeriesIntake,
        absent: &mut BTreeMap<Option<Uid>, Vec<Absent>>,
        not_whole: &mut BTreeMap<PathBuf, Wholeness>,
    ) -> Self {
        let (mut lacking, mut untold) = (Vec::new(), Vec::new());
        for one in &series.instances {
            let (sop_instance_uid, instance_number) = (one.instance.sop_instance_uid, one.place.instance_number);
            match not_whole.remove(&one.path) {
                None | Some(Wholeness::Whole) => {}
                Some(Wholeness::Lacking(lack)) => lacking.push(Lacking { sop_instance_uid, instance_number, lack }),
                Some(Wholeness::Untold(why)) => untold.push(Untold { sop_instance_uid, instance_number, why }),
            }
        }
        let places: Vec<InstancePosition> = series.instances.iter().map(|one| one.place).collect();
        let uid = series.series_instance_uid;
        Self {
            series_instance_uid: uid,
            number: series.number,
            modality: series.modality.clone(),
            description: series.description.clone(),
            instances: series.instances.len(),
            said: places.iter().filter_map(|place| place.series_related_instances).max(),
            numbers: Numbers::of(&places),
            stacks: Stack::all_of(&places),
            lacking,
            untold,
            absent: absent.remove(&Some(uid)).unwrap_or_default(),
        }
    }

    /// Whether anything speaks for missing images. That a number occurs twice does not.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        let of_slices = self.stacks.iter().any(|stack| !stack.missing.is_empty() || !stack.thin.is_empty());
        let of_numbers = !self.numbers.gaps.is_empty() || !self.numbers.thin.is_empty();
        let of_pixels = !self.lacking.is_empty();
        is_less(self.instances, self.said) || of_numbers || of_slices || of_pixels || !self.absent.is_empty()
    }
}

/// Of each file whose pixels are not all there, or of which nothing tells.
fn not_whole(files: &dyn Files, intake: &Intake, reader: &dyn Reader) -> BTreeMap<PathBuf, Wholeness> {
    let series = intake.studies.iter().flat_map(|study| &study.series);
    let is_image =
        |one: &&InstanceIntake| one.instance.frames > 0 || Kind::of(one.instance.sop_class_uid.as_str()) == Kind::Image;
    let images: Vec<&PathBuf> =
        series.flat_map(|series| &series.instances).filter(is_image).map(|one| &one.path).collect();
    let look = |path: &&PathBuf| {
        let looked = files.open(path).and_then(|file| reader.wholeness_open(&file));
        looked.unwrap_or_else(|reason| Wholeness::Lacking(Lack::Unread(shown(reason.to_string()))))
    };
    let outcomes = each(&images, files.at_once(), look, &|_| {});
    let all = images.into_iter().cloned().zip(outcomes);
    all.filter(|(_, wholeness)| *wholeness != Wholeness::Whole).collect()
}

fn is_less(there: usize, said: Option<u32>) -> bool {
    said.is_some_and(|said| usize::try_from(said).is_ok_and(|said| there < said))
}
