//! Bytes by what they hash to.
//!
//! ```text
//! archive/ab/cdef…     the bytes whose BLAKE3 is abcdef…
//! archive/coming/…     bytes on their way there; whatever a kill left is cleared at the next start
//! ```
//!
//! Under its name a file is whole and on the disk, or it is not there. Many come at once, and so they are written first, flushed together, and named
//! together. Whoever reads verifies: disks lose bits.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clavicle_manifest::{StoredDigest, StoredHasher};
use rustix::fs::syncfs;

use super::ArchiveError;

/// Bytes that are copied at once.
const CHUNK: usize = 256 << 10;

/// The folder.
#[derive(Debug)]
pub(super) struct Bytes {
    folder: PathBuf,
}

/// Where a file comes from that bytes are taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A person hands it in. It stays where it is.
    Handed,
    /// It lies in a watched folder, where it stays.
    Watched,
    /// It was received, and is this relay's own: it goes into the archive itself.
    Own,
}

/// Bytes that come in together. Dropped, it leaves nothing.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    bytes: &'a Bytes,
    coming: BTreeMap<PathBuf, tempfile::TempPath>,
}

/// A file in the archive whose bytes are compared with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// As they were.
    Sound,
    /// They are other bytes now, or cannot be read.
    Damaged,
    /// There are none.
    Missing,
}

impl Bytes {
    pub(super) fn open(folder: &Path) -> Result<Self, ArchiveError> {
        let bytes = Self { folder: folder.to_owned() };
        let coming = bytes.coming();
        match fs::remove_dir_all(&coming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&coming, error)),
            _ => {}
        }
        fs::create_dir_all(&coming).map_err(|error| failed(&coming, error))?;
        Ok(bytes)
    }

    fn coming(&self) -> PathBuf {
        self.folder.join("coming")
    }

    pub(super) fn place(&self, digest: &StoredDigest) -> PathBuf {
        let name = digest.to_string();
        let (first, rest) = name.split_at(2);
        self.folder.join(first).join(rest)
    }

    pub(super) const fn batch(&self) -> Batch<'_> {
        Batch { bytes: self, coming: BTreeMap::new() }
    }

    /// Reads all bytes with this digest, and says whether they still have it.
    pub(super) fn check(&self, digest: &StoredDigest) -> Soundness {
        match File::open(self.place(digest)).and_then(|file| copy(file, &mut io::sink())) {
            Ok((_, found)) if found == *digest => Soundness::Sound,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Soundness::Missing,
            Ok(_) | Err(_) => Soundness::Damaged,
        }
    }

    pub(super) fn remove(&self, digest: &StoredDigest) -> Result<(), ArchiveError> {
        let place = self.place(digest);
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&place, error)),
            _ => Ok(()),
        }
    }

    /// Every digest that there are bytes under.
    pub(super) fn all(&self) -> Result<Vec<StoredDigest>, ArchiveError> {
        let mut all = Vec::new();
        for folder in entries(&self.folder)? {
            let first = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if first.len() != 2 {
                continue;
            }
            for file in entries(&folder)? {
                let rest = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                all.extend(digest_of(&format!("{first}{rest}")));
            }
        }
        Ok(all)
    }
}

impl Batch<'_> {
    /// Takes the bytes of a file, which must be `size` bytes with this digest: it was looked at before, by somebody else.
    pub(super) fn take(
        &mut self,
        path: &Path,
        origin: Origin,
        size: u64,
        digest: &StoredDigest,
    ) -> Result<(), ArchiveError> {
        let place = self.bytes.place(digest);
        if self.coming.contains_key(&place) || fs::metadata(&place).is_ok_and(|there| there.len() == size) {
            return Ok(());
        }
        let (found, coming) = self.coming(path, origin)?;
        if found != (size, *digest) {
            return Err(ArchiveError::Changed(path.to_owned()));
        }
        self.coming.insert(place, coming);
        Ok(())
    }

    fn coming(&self, path: &Path, origin: Origin) -> Result<((u64, StoredDigest), tempfile::TempPath), ArchiveError> {
        let coming = self.bytes.coming();
        let file = File::open(path).map_err(|error| failed(path, error))?;
        if origin == Origin::Own
            // A second name; the first goes when all is done. Not where the archive is on another disk.
            && let Ok(linked) = tempfile::Builder::new().make_in(&coming, |to| fs::hard_link(path, to))
        {
            let found = copy(file, &mut io::sink()).map_err(|error| failed(path, error))?;
            return Ok((found, linked.into_temp_path()));
        }
        let mut copied = tempfile::NamedTempFile::new_in(&coming).map_err(|error| failed(&coming, error))?;
        let found = copy(file, copied.as_file_mut()).map_err(|error| failed(path, error))?;
        Ok((found, copied.into_temp_path()))
    }

    /// Puts everything that came where it belongs. It is on the disk when this returns.
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        let Self { bytes, coming } = self;
        if coming.is_empty() {
            return Ok(());
        }
        let folder = File::open(&bytes.folder).map_err(|error| failed(&bytes.folder, error))?;
        let flush = || syncfs(&folder).map_err(|error| failed(&bytes.folder, error.into()));
        flush()?;
        for (place, coming) in coming {
            let parent = place.parent().unwrap_or(&bytes.folder);
            fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
            coming.persist(&place).map_err(|error| failed(&place, error.error))?;
        }
        flush()
    }
}

/// Copies to the end, and says how much it was and what it hashes to.
fn copy(mut from: impl Read, to: &mut impl io::Write) -> io::Result<(u64, StoredDigest)> {
    let (mut buffer, mut hasher) = (vec![0; CHUNK], StoredHasher::new());
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                let (size, digest, _) = hasher.finish();
                return Ok((size, digest));
            }
            Ok(len) => {
                hasher.update(&buffer[..len]);
                to.write_all(&buffer[..len])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let read = || -> io::Result<_> { fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect() };
    read().map_err(|error| failed(folder, error))
}

fn digest_of(name: &str) -> Option<StoredDigest> {
    let mut bytes = [0; 32];
    if name.len() != 64 || !name.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&name[at..at + 2], 16).ok()?;
    }
    Some(StoredDigest::from_bytes(bytes))
}

pub(super) fn failed(path: &Path, error: io::Error) -> ArchiveError {
    ArchiveError::File { path: path.to_owned(), error }
}
