//! Phantoms: studies of a patient who does not exist, to try the product with.
//!
//! They stand where a scanner would, before intake: DICOM files (PS3.10) of a chest or a head, of six [`Kind`]s. Everything in
//! them follows from the fields of [`Phantom`]: neither a clock nor chance has a part in it, so that the same fields give
//! the same bytes. It promises that nobody can mistake them: the descriptions and Image Comments say what they are, and the word SYNTHETIC
//! stands in a corner of each image that has room for it. It promises nothing about anatomy.
//!
//! | | |
//! |---|---|
//! | `solid`, `chest`, `head` | bodies, painted of simple solids |
//! | `volume`, `rays`, `noise` | a body as slices of any fineness, made quickly; its shadow; grain |
//! | `study`, `elements` | what all files have in common: the study and its UIDs; how elements are written |
//! | `ct`, `cr`, `mr`, `enhanced`, `ultrasound`, `report` | what a modality adds |
//! | `file` | a file on its way out, whose pixels are made while they are written |
//!
//! ```no_run
//! use clavicle_phantom::{Kind, Phantom};
//!
//! let files = Phantom { seed: 7, ..Phantom::default() }.write("chest".as_ref())?;
//! println!("{} files", files.len());
//!
//! // Without a disk: 500 slices, one after the other.
//! let mut bytes = 0;
//! Phantom { slices: 500, size: 512, ..Phantom::of(Kind::HeadCt) }.each(|file| {
//!     bytes += file.into_bytes().len();
//!     Ok(())
//! })?;
//! # Ok::<(), clavicle_phantom::PhantomError>(())
//! ```

mod chest;
mod cr;
mod ct;
mod elements;
mod enhanced;
mod file;
mod head;
mod kind;
mod lettering;
mod mr;
mod noise;
mod rays;
mod report;
mod solid;
mod study;
mod ultrasound;
mod volume;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clavicle_ledger::encoding::Text;
use clavicle_manifest::Date;
use dicom_object::{WithMetaError, WriteError};

pub use self::file::File;
pub use self::kind::Kind;

/// A study of a made patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phantom {
    /// Which images it is made of.
    pub kind: Kind,
    /// Patient's Name (0010,0010), components separated by `^`.
    pub patient_name: Text<64>,
    /// Patient ID (0010,0020).
    pub patient_id: Text<64>,
    /// Patient's Birth Date (0010,0030).
    pub birth_date: Date,
    /// Accession Number (0008,0050).
    pub accession_number: Text<16>,
    /// Study Date (0008,0020), and the date of everything in the study.
    pub study_date: Date,
    /// Study Description (0008,1030).
    pub description: Text<64>,
    /// How many axial slices a series has, within [`Kind::slices`]. They share the same height, so that more of them are thinner. Of
    /// a radiograph: how many views; of a loop: how many frames.
    pub slices: u16,
    /// Pixels along a side of an image, or along its longer side, within [`Kind::sizes`].
    pub size: u16,
    /// What all UIDs and the noise are made of, and the UIDs of nothing else but the kind: two studies of one kind
    /// that are not the same need two seeds.
    pub seed: u64,
}

impl Default for Phantom {
    /// A CT of a chest: 25 files, 3 MB.
    fn default() -> Self {
        Self::of(Kind::ChestCt)
    }
}

/// Why a phantom was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhantomError {
    /// Not within [`Kind::slices`].
    #[error("{kind} has between {} and {} slices, frames or views, and not {slices}", allowed.start(), allowed.end())]
    Slices {
        /// Of which kind.
        kind: Kind,
        /// How many were asked for.
        slices: u16,
        /// How many it may have.
        allowed: RangeInclusive<u16>,
    },
    /// Not within [`Kind::sizes`].
    #[error("{kind} has between {} and {} pixels along a side, and not {size}", allowed.start(), allowed.end())]
    Size {
        /// Of which kind.
        kind: Kind,
        /// How many were asked for.
        size: u16,
        /// How many it may have.
        allowed: RangeInclusive<u16>,
    },
    /// Longer than the length of an element can say (PS3.5 §7.1.2).
    #[error("one file would have {0} bytes of pixels, and 4,294,967,294 is the most that DICOM allows")]
    TooLong(u64),
    /// In DICOM a backslash separates values, and none of the texts has several.
    #[error("the texts of a phantom may hold no backslash")]
    Backslash,
    /// The file meta information was not accepted.
    #[error("the file meta information cannot be made")]
    Meta(#[source] Box<WithMetaError>),
    /// An element was not accepted.
    #[error("the data set cannot be encoded")]
    Encode(#[source] Box<WriteError>),
    /// A folder or a file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Phantom {
    /// A study of this kind, of seed 1 and of a size that is quickly made.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        let date = |year, month, day| Date::new(year, month, day).expect("it is in the calendar");
        let (slices, size) = kind.usual();
        Self {
            kind,
            patient_name: text("Phantom^Ana"),
            patient_id: text("PHANTOM-1"),
            birth_date: date(1970, 1, 1),
            accession_number: text(&format!("PHANTOM-{}", kind.study_id())),
            study_date: date(2026, 5, 4),
            description: text(&format!("{}, synthetic phantom", kind.description())),
            slices,
            size,
            seed: 1,
        }
    }

    /// Writes the files into `folder`, which is made if it is not there, and says where they are, in the order of series and
    /// instances. Pixels are made while they are written, so that memory does not grow with the study. A file that has one of these
    /// names already is written over; others are left alone. After an error, those that were written before stay, the last
    /// of them perhaps cut off.
    ///
    /// # Errors
    /// [`PhantomError`].
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, PhantomError> {
        let mut paths = Vec::new();
        self.make(&mut |file| {
            let path = folder.join(file.name());
            let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::File::create(&path));
            match written.and_then(|mut out| file.write_to(&mut out)) {
                Ok(()) => paths.push(path),
                Err(source) => return Err(PhantomError::Write { path, source }),
            }
            Ok(())
        })?;
        Ok(paths)
    }

    /// Hands each file to `take`, in the same order, and ends with the first error it gives. A file that is not
    /// written costs no pixels.
    ///
    /// # Errors
    /// [`PhantomError`].
    pub fn each(&self, mut take: impl FnMut(File<'_>) -> io::Result<()>) -> Result<(), PhantomError> {
        self.make(&mut |file| {
            let path = PathBuf::from(file.name());
            take(file).map_err(|source| PhantomError::Write { path, source })
        })
    }

    /// What a radiologist would have said of it, as plain text; the report among the files says the same.
    #[must_use]
    pub fn report(&self) -> Option<String> {
        (self.kind == Kind::HeadMr).then(|| report::plain(self))
    }

    fn make(&self, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
        let Self { kind, slices, size, .. } = *self;
        if !kind.slices().contains(&slices) {
            return Err(PhantomError::Slices { kind, slices, allowed: kind.slices() });
        }
        if !kind.sizes().contains(&size) {
            return Err(PhantomError::Size { kind, size, allowed: kind.sizes() });
        }
        let texts = [self.patient_name.as_str(), self.patient_id.as_str(), self.description.as_str()];
        if texts.into_iter().chain([self.accession_number.as_str()]).any(|text| text.contains('\\')) {
            return Err(PhantomError::Backslash);
        }
        match kind {
            Kind::ChestCr => cr::make(self, sink),
            Kind::ChestCt => ct::chest(self, sink),
            Kind::HeadCt => ct::head(self, sink),
            Kind::HeadCtEnhanced => enhanced::make(self, sink),
            Kind::HeadMr => mr::make(self, sink).and_then(|()| report::make(self, sink)),
            Kind::HeartUs => ultrasound::make(self, sink),
        }
    }
}

/// Where files go.
type Sink<'a> = dyn FnMut(File<'_>) -> Result<(), PhantomError> + 'a;

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).expect("it is short, and shows")
}
