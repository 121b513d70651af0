//! Bytes by what they hash to.
//!
//! ```text
//! archive/ab/cdef…            the bytes whose BLAKE3 is abcdef…
//! archive/ab/cdef….subtrees   of more than 1 MiB: the subtrees by which each MiB is verified when it is sent
//! archive/coming/…            bytes on their way there; whatever a kill left is cleared at the next start
//! archive/studies/…           which studies they are of: see [`super::records`]
//! ```
//!
//! Under its name a file is whole and on the disk, or it is not there. Many come at once, and so they are written first, flushed together, and named
//! together. Whoever reads verifies: disks lose bits. Subtrees that are lost are made anew.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding;
use clavicle_manifest::{StoredDigest, StoredHasher, Subtrees};
use clavicle_network::transfer::Kept;
use rustix::fs::syncfs;

use super::ArchiveError;
use crate::room::Room;

/// Bytes that are copied at once.
const CHUNK: usize = 256 << 10;

/// For how many bytes at a time it is looked whether there is room.
const STEP: u64 = 1 << 20;

/// The folder.
#[derive(Debug)]
pub(super) struct Bytes {
    folder: PathBuf,
    room: Option<Room>,
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
        let bytes = Self { folder: folder.to_owned(), room: None };
        let coming = bytes.coming();
        match fs::remove_dir_all(&coming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&coming, error)),
            _ => {}
        }
        fs::create_dir_all(&coming).map_err(|error| failed(&coming, error))?;
        Ok(bytes)
    }

    /// From now on nothing is taken in that leaves too little of this.
    pub(super) fn keep_within(&mut self, room: Room) {
        self.room = Some(room);
    }

    /// Whether so many bytes more may be taken in.
    fn check_room(&self, more: u64) -> io::Result<()> {
        self.room.as_ref().map_or(Ok(()), |room| room.check(more))
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

    /// Opens the `size` bytes with this digest, to be verified while they are read.
    pub(super) fn read(&self, digest: &StoredDigest, size: u64) -> io::Result<Kept> {
        let place = self.place(digest);
        let file = File::open(&place)?;
        if Subtrees::due(size) == 0 {
            return Ok(Kept { file, subtrees: Subtrees::default() });
        }
        let beside = beside(&place);
        let kept = fs::read(&beside).ok().and_then(|bytes| encoding::decode::<Subtrees>(&bytes).ok());
        if let Some(subtrees) = kept.filter(|subtrees| subtrees.check(size, digest).is_ok()) {
            return Ok(Kept { file, subtrees });
        }
        let (found, subtrees) = copy(&file, &mut io::sink())?;
        if found != (size, *digest) {
            return Err(io::Error::other("it is not what it was"));
        }
        // So that the next one need not read all of it. That it cannot be kept is no reason not to send it.
        self.write_subtrees(&subtrees).and_then(|coming| Ok(coming.persist(&beside)?)).ok();
        Ok(Kept { file: File::open(&place)?, subtrees })
    }

    fn write_subtrees(&self, subtrees: &Subtrees) -> io::Result<tempfile::TempPath> {
        let mut coming = tempfile::NamedTempFile::new_in(self.coming())?;
        coming.write_all(&encoding::encode(subtrees))?;
        Ok(coming.into_temp_path())
    }

    /// Reads all bytes with this digest, and says whether they still have it.
    pub(super) fn check(&self, digest: &StoredDigest) -> Soundness {
        match File::open(self.place(digest)).and_then(|file| copy(file, &mut io::sink())) {
            Ok(((_, found), _)) if found == *digest => Soundness::Sound,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Soundness::Missing,
            Ok(_) | Err(_) => Soundness::Damaged,
        }
    }

    pub(super) fn remove(&self, digest: &StoredDigest) -> Result<(), ArchiveError> {
        let place = self.place(digest);
        // The bytes last: subtrees alone are found by nobody.
        for path in [beside(&place), place] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, error)),
                _ => {}
            }
        }
        Ok(())
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
                all.extend(digits(&format!("{first}{rest}")).map(StoredDigest::from_bytes));
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
        // Also what is only given another name: the catalogue grows by it.
        self.bytes.check_room(0).map_err(|error| failed(&self.bytes.folder, error))?;
        if self.coming.contains_key(&place) || fs::metadata(&place).is_ok_and(|there| there.len() == size) {
            return Ok(());
        }
        let ((found, subtrees), coming) = self.coming(path, origin)?;
        if found != (size, *digest) {
            return Err(ArchiveError::Changed(path.to_owned()));
        }
        if Subtrees::due(size) > 0 {
            let written = self.bytes.write_subtrees(&subtrees);
            self.coming.insert(beside(&place), written.map_err(|error| failed(&self.bytes.coming(), error))?);
        }
        self.coming.insert(place, coming);
        Ok(())
    }

    fn coming(&self, path: &Path, origin: Origin) -> Result<(Copied, tempfile::TempPath), ArchiveError> {
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
        let mut within = Within { file: copied.as_file_mut(), bytes: self.bytes, looked: 0 };
        let found = copy(file, &mut within).map_err(|error| failed(path, error))?;
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

/// A file that is written while there is room.
struct Within<'a> {
    file: &'a mut File,
    bytes: &'a Bytes,
    /// Bytes that there was room for when it was last looked.
    looked: u64,
}

impl io::Write for Within<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        if self.looked < len {
            let step = STEP.max(len);
            self.bytes.check_room(step)?;
            self.looked = step;
        }
        let written = self.file.write(bytes)?;
        self.looked = self.looked.saturating_sub(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Size and digest, and the subtrees below it.
type Copied = ((u64, StoredDigest), Subtrees);

/// Copies to the end, and says how much it was and what it hashes to.
fn copy(mut from: impl Read, to: &mut impl io::Write) -> io::Result<Copied> {
    let (mut buffer, mut hasher) = (vec![0; CHUNK], StoredHasher::new());
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                let (size, digest, subtrees) = hasher.finish();
                return Ok(((size, digest), subtrees));
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

/// Where the subtrees of a place's bytes are.
fn beside(place: &Path) -> PathBuf {
    place.with_extension("subtrees")
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let read = || -> io::Result<_> { fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect() };
    read().map_err(|error| failed(folder, error))
}

/// The 32 bytes that a name of 64 digits stands for.
pub(crate) fn digits(name: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if name.len() != 64 || !name.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&name[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

pub(super) fn failed(path: &Path, error: io::Error) -> ArchiveError {
    ArchiveError::File { path: path.to_owned(), error }
}
