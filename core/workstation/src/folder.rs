//! A folder, looked at: its series with a picture of each, and its documents. What is read of it to a person is its
//! caller's.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use clavicle_app::sentences;
use clavicle_imaging::accounting::{Accounting, FileFate, FileRow};
use clavicle_imaging::intake::{Intake, SeriesIntake, StudyIntake};
use clavicle_imaging::reason::IntakeError;
use clavicle_manifest::Uid;
use clavicle_pixels::geometry::Slice;
use clavicle_pixels::render::Wanted;
use clavicle_reports::structured::InstanceName;
use clavicle_sandbox::reader::Reader;
use clavicle_sandbox::{Files as _, OnDisk, ReadError};

use crate::documents::{self, ReadDocument, is_document};
use crate::pictures::{Drawn, MOST_ON_SHEET, middle};

/// Most documents of a folder that are read at once.
const MOST_DOCUMENTS: usize = 64;

/// Why a series has no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoPicture {
    /// There are enough.
    #[error("a sheet has no more than {MOST_ON_SHEET}")]
    Full,
    /// Its file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        reason: ReadError,
    },
    /// It can be read, and not be shown.
    #[error("{0}")]
    Image(String),
}

/// A document among the instances of a folder.
#[derive(Debug)]
pub struct FolderDocument {
    /// Its file.
    pub path: PathBuf,
    /// The file, open.
    pub file: File,
    /// What it says.
    pub read: ReadDocument,
}

/// What is in a folder.
#[derive(Debug)]
pub struct FolderContents {
    /// All that was read.
    pub intake: Intake,
    /// Of each of [`FolderContents::series`] why it has no picture.
    pub no_pictures: Vec<Option<NoPicture>>,
    /// The pictures, if they were wanted.
    pub drawn: Drawn,
    /// The documents, the newest first.
    pub documents: Vec<FolderDocument>,
    /// So many more documents were not read.
    pub more_documents: usize,
    /// What became of every file, those without a picture or words among them.
    pub accounting: Accounting,
}

impl FolderContents {
    /// Looks at all files of a folder; draws the middle of each series, if a picture is `wanted`.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub fn read(folder: &Path, wanted: Option<&Wanted>, reader: &dyn Reader) -> Result<Self, IntakeError> {
        let intake = Intake::of_folder(folder, reader)?;
        let mut accounting = intake.accounting();
        let mut drawn = Drawn::default();
        let mut no_pictures = Vec::new();
        for (_, series) in series(&intake) {
            let why = wanted.and_then(|wanted| draw(series, wanted, &mut drawn, reader).err());
            // What is no image has none.
            if let Some((path, why)) = &why
                && series.instances.iter().any(|one| one.instance.frames > 0)
            {
                accounting.besides.push(FileRow::new(*path, FileFate::Unreadable, sentences(why)));
            }
            no_pictures.push(why.map(|(_, why)| why));
        }
        let (documents, more_documents) = read_documents(&intake, &mut accounting, reader);
        Ok(Self { intake, no_pictures, drawn, documents, more_documents, accounting })
    }

    /// All series, each with its study.
    pub fn series(&self) -> impl Iterator<Item = (&StudyIntake, &SeriesIntake)> {
        series(&self.intake)
    }
}

fn series(intake: &Intake) -> impl Iterator<Item = (&StudyIntake, &SeriesIntake)> {
    intake.studies.iter().flat_map(|study| study.series.iter().map(move |series| (study, series)))
}

/// Draws the middle of a series, or says why not, and of which file.
fn draw<'a>(
    series: &'a SeriesIntake,
    wanted: &Wanted,
    drawn: &mut Drawn,
    reader: &dyn Reader,
) -> Result<(), (&'a Path, NoPicture)> {
    let slices: Vec<Slice> = series.instances.iter().map(|one| Slice::from(&one.place)).collect();
    let path = series.instances[middle(&slices).unwrap_or_default()].path.as_path();
    if drawn.is_full() {
        return Err((path, NoPicture::Full));
    }
    let rendered =
        reader.render(path, wanted).map_err(|reason| (path, NoPicture::File { path: path.to_owned(), reason }))?;
    drawn.take(rendered).map_or(Ok(()), |why| Err((path, NoPicture::Image(why))))
}

/// The documents, the newest first, and how many more there are. One that cannot be read is named in the accounting as
/// well.
fn read_documents(intake: &Intake, accounting: &mut Accounting, reader: &dyn Reader) -> (Vec<FolderDocument>, usize) {
    let all = || series(intake).flat_map(|(_, series)| series.instances.iter().map(move |one| (series, one)));
    let documents = || all().map(|(_, one)| one).filter(|one| is_document(&one.instance.sop_class_uid));
    let named: BTreeMap<Uid, InstanceName> = all()
        .map(|(series, one)| {
            let name = InstanceName { series: series.number, number: one.place.instance_number };
            (one.instance.sop_instance_uid, name)
        })
        .collect();
    let name = |wanted: &[Uid]| wanted.iter().filter_map(|uid| Some((*uid, *named.get(uid)?))).collect();
    let mut read = Vec::new();
    for one in documents().take(MOST_DOCUMENTS) {
        let opened = OnDisk.open(&one.path).map_err(|error| error.to_string());
        match opened.and_then(|file| {
            let read = documents::read(&file, &one.instance.sop_class_uid, reader, &name)?;
            Ok(FolderDocument { path: one.path.clone(), file, read })
        }) {
            Ok(document) => read.push(document),
            Err(why) => accounting.besides.push(FileRow::new(&one.path, FileFate::Unreadable, why)),
        }
    }
    read.sort_by_key(|one| Reverse(one.read.content.written));
    let more = documents().count().saturating_sub(MOST_DOCUMENTS);
    (read, more)
}
