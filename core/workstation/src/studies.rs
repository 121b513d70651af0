//! Studies that are to leave: those in a folder, or one that lies sealed in a wallet, whose bytes come into memory alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clavicle_imaging::accounting::{Accounting, FileFate, FileRow};
use clavicle_imaging::intake::Intake;
use clavicle_imaging::reason::{IntakeError, Quarantined, Reason};
use clavicle_network::transfer::Item;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::Reader;
use clavicle_sandbox::{Files, OnDisk};
use clavicle_wallet::cache::Images;
use clavicle_wallet::export::names;

use crate::system;
use crate::usage::UsableStudy;

/// How many bytes of instances are in memory at a time while they are read, but for one that is larger by itself.
const MOST_BYTES: u64 = 256 << 20;

/// What lies beside images as a report: what `fetch` writes.
const REPORTS: [&str; 4] = ["txt", "pdf", "hl7", "json"];

/// Studies that were read, and where their bytes are.
#[derive(Debug)]
pub struct Studies<'a> {
    /// What there is.
    pub intake: Intake,
    /// What there should be and did not arrive.
    pub missing: Vec<PathBuf>,
    place: Place<'a>,
}

#[derive(Debug)]
enum Place<'a> {
    Folder(PathBuf),
    Wallet(Sealed<'a>),
}

impl<'a> Studies<'a> {
    /// Everything in a folder.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub fn in_folder(folder: &Path, reader: &dyn Reader) -> Result<Self, IntakeError> {
        let intake = Intake::of_folder(folder, reader)?;
        Ok(Self { intake, missing: Vec::new(), place: Place::Folder(folder.to_owned()) })
    }

    /// The study that was fetched, reports included. Its files have the names that `fetch` would give them.
    #[must_use]
    pub fn in_wallet(study: &'a UsableStudy, reader: &dyn Reader) -> Self {
        let images = study.images();
        let listing = images.listing();
        let all = names(listing).into_iter().zip(listing.items());
        let (there, missing): (BTreeMap<_, _>, BTreeMap<_, _>) = all.partition(|(_, item)| images.has(item));
        let sealed = Sealed { images, items: there };
        // In the order in which a folder is walked.
        let intake = Intake::of_some(&sealed, sealed.items.keys().cloned().collect(), reader);
        Self { intake, missing: missing.into_keys().collect(), place: Place::Wallet(sealed) }
    }

    /// Where their bytes are.
    #[must_use]
    pub fn files(&self) -> &dyn Files {
        match &self.place {
            Place::Folder(_) => &OnDisk,
            Place::Wallet(sealed) => sealed,
        }
    }

    /// What became of each file by now: all are taken that can be read. What did not arrive was due as well.
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        let mut all = self.intake.accounting();
        all.given += self.missing.len();
        all.rest.extend(self.missing.iter().map(|path| FileRow::new(path, FileFate::Missing, "it did not arrive")));
        all
    }

    /// How the place is called in a sentence.
    pub(crate) fn place(&self) -> &Path {
        match &self.place {
            Place::Folder(folder) => folder,
            Place::Wallet(_) => Path::new("the study"),
        }
    }

    /// What a report is called, where its source says so.
    pub(crate) fn report_title(&self, path: &Path) -> Option<&str> {
        match &self.place {
            Place::Folder(_) => None,
            Place::Wallet(sealed) => match sealed.items.get(path) {
                Some(Item::Attachment(attachment)) => Some(attachment.title.as_str()),
                _ => None,
            },
        }
    }

    /// A file for a copy of an instance, gone when it is closed: on the disk if the instance is there too, and else on none.
    pub(crate) fn blank(&self) -> io::Result<File> {
        match &self.place {
            Place::Folder(_) => tempfile::tempfile(),
            Place::Wallet(_) => system::blank(),
        }
    }
}

/// Whether it is a file that was read, and is named like a report.
pub(crate) fn is_report(one: &Quarantined) -> bool {
    let extension = one.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    matches!(one.reason, Reason::Read(ReadError::Unreadable(_)))
        && REPORTS.contains(&extension.to_ascii_lowercase().as_str())
}

/// What is there of a study in a wallet, by name.
#[derive(Debug)]
struct Sealed<'a> {
    images: &'a Images,
    items: BTreeMap<PathBuf, Item<'a>>,
}

impl Files for Sealed<'_> {
    fn open(&self, path: &Path) -> Result<File, ReadError> {
        let item = self.items.get(path).ok_or_else(|| ReadError::Io(io::ErrorKind::NotFound.into()))?;
        opened(self.images, item).map_err(ReadError::Io)
    }

    fn at_once(&self) -> usize {
        let largest = self.items.values().map(Item::size).max().unwrap_or(0).max(1);
        usize::try_from(MOST_BYTES / largest).unwrap_or(usize::MAX).max(1)
    }
}

/// An item's bytes as a file that is on no disk.
///
/// # Errors
/// When it cannot be read, or there is no memory for it.
pub fn opened(images: &Images, item: &Item<'_>) -> io::Result<File> {
    system::of(&mut images.read(item).map_err(io::Error::other)?)
}
