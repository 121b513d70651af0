//! Files: what was fetched of a study, in a folder as other programs read it.
//!
//! ```text
//! out/<Study Instance UID>-<how the study's id begins>/<Series Instance UID>/<SOP Instance UID>.dcm
//! out/<Study Instance UID>-<how the study's id begins>/report-<its digest>.<txt, pdf, hl7, json>
//! ```
//!
//! A study's id depends on its source, so that what two sources say of one Study Instance UID stands apart.
//!
//! Under its name a file is whole, as it was signed, and on the disk. They are all written first, forced to the disk together, and then named: a
//! study has a thousand of them, and to force each alone takes longer than fetching it. Until then they are in a folder of their own, which the next
//! export removes if a kill has left it.
//!
//! Nothing is ever written over, and nothing through a link: what lies under the name of a file and is not that file stays, and is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::Hex;
use clavicle_manifest::{Attachment, MediaType, StoredDigest, StoredHasher};
use clavicle_network::pack::PackError;
use clavicle_network::transfer::{Item, Listing};
use tempfile::TempPath;

use crate::cache::Images;
use crate::error::WalletError;
use crate::system::sync_files;
use crate::wallet::random;

/// How the names of folders begin in which files are that have no name yet.
const COMING: &str = ".clavicle-coming-";
/// How many bytes are copied at a time.
const CHUNK: usize = 256 * 1024;
/// How many bytes of a study's id stand in the name of its folder: too many to find another study whose id begins like it.
const ID_LEN: usize = 8;

/// What lies already where the files of a study are to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// The places of those that are there as they were signed. A file is taken for nothing but its bytes.
    pub as_signed: BTreeSet<u32>,
    /// The places under whose names something else is, and what.
    pub in_the_way: BTreeMap<u32, PathBuf>,
}

/// The folder of a study in `out`.
#[must_use]
pub fn folder(out: &Path, listing: &Listing) -> PathBuf {
    let header = listing.header();
    let id = header.study.as_bytes().get(..ID_LEN).unwrap_or_default();
    out.join(format!("{}-{}", header.study_instance_uid, Hex(id)))
}

/// Where each item goes, by place, below [`folder`]. A UID leads nowhere else, whoever made it (see [`clavicle_manifest::Uid`]).
#[must_use]
pub fn names(listing: &Listing) -> Vec<PathBuf> {
    let mut names = Vec::new();
    for series in listing.series() {
        let folder = Path::new(series.series_instance_uid.as_str());
        names.extend(series.instances.iter().map(|one| folder.join(format!("{}.dcm", one.sop_instance_uid))));
    }
    names.extend(listing.attachments().iter().map(|one| PathBuf::from(report_name(one))));
    names
}

/// What an attachment is called. Its title is the source's words, and no name for a file.
fn report_name(attachment: &Attachment) -> String {
    let extension = match attachment.media_type {
        MediaType::Text => "txt",
        MediaType::Pdf => "pdf",
        MediaType::Hl7V2 => "hl7",
        MediaType::FhirJson => "json",
    };
    // All of the digest: a source could make two that begin alike.
    format!("report-{}.{extension}", attachment.stored)
}

/// What is in `out` already.
#[must_use]
pub fn there(out: &Path, listing: &Listing) -> There {
    let (folder, items) = (folder(out, listing), listing.items());
    let mut there = There::default();
    for ((place, name), item) in (0..).zip(names(listing)).zip(&items) {
        match at(&folder, &name, item) {
            None => {}
            Some(Ok(())) => drop(there.as_signed.insert(place)),
            Some(Err(path)) => drop(there.in_the_way.insert(place, path)),
        }
    }
    there
}

/// Whether an item's file is there as it was signed, or what is there in its place; nothing, if nothing is.
fn at(folder: &Path, name: &Path, item: &Item<'_>) -> Option<Result<(), PathBuf>> {
    let path = folder.join(name);
    for above in [folder, path.parent().unwrap_or(folder)] {
        match fs::symlink_metadata(above) {
            Ok(found) if found.is_dir() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            // A link, too, even one to a folder.
            Ok(_) | Err(_) => return Some(Err(above.to_owned())),
        }
    }
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Ok(found) if found.is_file() && found.len() == item.size() => {
            let found = File::open(&path).and_then(|file| copy(file, &mut io::sink()));
            Some(if found.is_ok_and(|found| found == (item.size(), item.stored())) { Ok(()) } else { Err(path) })
        }
        Ok(_) | Err(_) => Some(Err(path)),
    }
}

/// Files of the study's folder in `out` that are named like images or reports and are not in the study, or not any more: an earlier
/// revision had them.
#[must_use]
pub fn strays(out: &Path, listing: &Listing) -> Vec<PathBuf> {
    let folder = folder(out, listing);
    let named: BTreeSet<PathBuf> = names(listing).into_iter().map(|name| folder.join(name)).collect();
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".dcm") || name.starts_with("report-")
    };
    let all = entries(&folder).into_iter().flat_map(|path| if path.is_dir() { entries(&path) } else { vec![path] });
    let mut strays: Vec<PathBuf> = all.filter(|path| is_ours(path) && !named.contains(path)).collect();
    strays.sort_unstable();
    strays
}

/// Writes every item that was fetched into `out`, but for those of which something is there already. Adds to it what turns out to be in the way.
///
/// # Errors
/// [`WalletError::File`], [`WalletError::Pack`]; what has its name by then is whole.
pub fn write(images: &Images, out: &Path, there: &mut There) -> Result<(), WalletError> {
    let (listing, folder) = (images.listing(), folder(out, images.listing()));
    let items = listing.items();
    let is_wanted = |place: &u32, item: &Item<'_>| {
        !there.as_signed.contains(place) && !there.in_the_way.contains_key(place) && images.has(item)
    };
    let wanted: Vec<_> = (0u32..)
        .zip(names(listing))
        .zip(&items)
        .filter(|((place, _), item)| is_wanted(place, item))
        .map(|((place, name), item)| (place, name, item))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(out).map_err(|error| failed(out, error))?;
    make(&folder)?;
    sweep(&folder);
    let coming = Coming::new(&folder)?;
    for (number, (_, _, item)) in wanted.iter().enumerate() {
        let part = coming.part(number);
        let found =
            File::create_new(&part).and_then(|mut file| copy(images.read(item).map_err(io::Error::other)?, &mut file));
        if found.map_err(|error| failed(&part, error))? != (item.size(), item.stored()) {
            return Err(PackError::Damaged.into());
        }
    }
    coming.force()?;
    let mut folders = BTreeSet::new();
    for (number, (place, name, item)) in wanted.iter().enumerate() {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(&folder);
        if folders.insert(parent.to_owned()) {
            make(parent)?;
        }
        let part = TempPath::try_from_path(coming.part(number)).map_err(|error| failed(&path, error))?;
        match part.persist_noclobber(&path) {
            Ok(()) => {}
            // Somebody was faster, perhaps with the same.
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => match at(&folder, name, item) {
                Some(Ok(())) => {}
                _ => drop(there.in_the_way.insert(*place, path)),
            },
            Err(refused) => return Err(failed(&path, refused.error)),
        }
    }
    coming.force()
}

/// A folder in which files are that have no name yet. It goes with this.
struct Coming {
    path: PathBuf,
    /// Locked while it is needed.
    lock: File,
}

impl Coming {
    fn new(folder: &Path) -> Result<Self, WalletError> {
        // A name that nobody could know: no link is followed, and two exports into one folder do not meet.
        let path = folder.join(format!("{COMING}{}", Hex(&random::<8>()?)));
        let make = || {
            fs::create_dir(&path)?;
            let lock = File::create_new(path.join("lock"))?;
            lock.try_lock()?;
            Ok(lock)
        };
        let lock = make().map_err(|error: io::Error| failed(&path, error))?;
        Ok(Self { path, lock })
    }

    fn part(&self, number: usize) -> PathBuf {
        self.path.join(number.to_string())
    }

    /// Forces to the disk everything that was written.
    fn force(&self) -> Result<(), WalletError> {
        sync_files(&self.path, &self.lock).map_err(|error| failed(&self.path, error))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

/// Removes what exports left that were killed. Those that are still going on hold a lock on theirs.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_coming = entry.file_name().to_str().is_some_and(|name| name.starts_with(COMING));
        if is_coming && entry.file_type().is_ok_and(|found| found.is_dir()) {
            let left = File::open(entry.path().join("lock")).map_or(true, |lock| lock.try_lock().is_ok());
            if left {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }
}

/// Copies to the end, and says how much it was and what it hashes to.
fn copy(mut from: impl Read, to: &mut impl io::Write) -> io::Result<(u64, StoredDigest)> {
    let (mut hasher, mut buffer) = (StoredHasher::new(), vec![0; CHUNK]);
    loop {
        match from.read(&mut buffer)? {
            0 => {
                let (size, stored, _) = hasher.finish();
                return Ok((size, stored));
            }
            len => {
                hasher.update(&buffer[..len]);
                to.write_all(&buffer[..len])?;
            }
        }
    }
}

/// Makes a folder that may be there, and is no link then.
fn make(folder: &Path) -> Result<(), WalletError> {
    match fs::create_dir(folder) {
        Err(error)
            if error.kind() != io::ErrorKind::AlreadyExists
                || !fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) =>
        {
            Err(failed(folder, error))
        }
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: io::Error) -> WalletError {
    WalletError::File { path: path.to_owned(), error }
}
