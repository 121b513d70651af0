//! A folder of this machine.
//!
//! ```text
//! archive/ab/cdef…            the bytes whose BLAKE3 is abcdef…
//! archive/ab/cdef….subtrees   of more than 1 MiB: the subtrees by which each MiB is verified when it is sent
//! archive/coming/…            bytes on their way there; whatever a kill left is cleared at the next start
//! ```
//!
//! Under its name a file is whole and on the disk, or it is not there. Many come at once, and so they are written
//! first, flushed together, and named together.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clavicle_manifest::StoredDigest;
use rustix::fs::syncfs;

use super::storage::{Incoming, Storage, StoredPart};
use crate::room::Room;

/// Bytes that are copied at once.
const CHUNK: usize = 256 << 10;

/// For how many bytes at a time it is looked whether there is room.
const STEP: u64 = 1 << 20;

/// The folder.
#[derive(Debug)]
pub struct LocalDisk {
    folder: PathBuf,
    room: Option<Room>,
}

/// Files that are not named yet.
struct Coming<'a> {
    disk: &'a LocalDisk,
    files: BTreeMap<PathBuf, tempfile::TempPath>,
}

impl LocalDisk {
    /// Opens a folder, or makes it, without what a kill left on its way.
    ///
    /// # Errors
    /// The folder's.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let disk = Self { folder: folder.to_owned(), room: None };
        let coming = disk.coming();
        match fs::remove_dir_all(&coming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&coming)?;
        Ok(disk)
    }

    /// From now on nothing is taken in that leaves the disk less than its reserve.
    #[must_use]
    pub fn within(mut self, room: Room) -> Self {
        self.room = Some(room);
        self
    }

    fn coming(&self) -> PathBuf {
        self.folder.join("coming")
    }

    fn path(&self, digest: &StoredDigest, kind: StoredPart) -> PathBuf {
        let place = self.place(digest);
        match kind {
            StoredPart::Bytes => place,
            StoredPart::Subtrees => place.with_extension("subtrees"),
        }
    }
}

impl Storage for LocalDisk {
    fn begin(&self) -> Box<dyn Incoming + '_> {
        Box::new(Coming { disk: self, files: BTreeMap::new() })
    }

    fn len(&self, digest: &StoredDigest, kind: StoredPart) -> Option<u64> {
        fs::metadata(self.path(digest, kind)).ok().map(|there| there.len())
    }

    fn get(&self, digest: &StoredDigest, kind: StoredPart) -> io::Result<File> {
        File::open(self.path(digest, kind))
    }

    fn remove(&self, digest: &StoredDigest, kind: StoredPart) -> io::Result<()> {
        match fs::remove_file(self.path(digest, kind)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn all(&self) -> io::Result<Vec<StoredDigest>> {
        let mut all = Vec::new();
        for folder in entries(&self.folder)? {
            if folder.file_name().is_some_and(|name| name.len() == 2) {
                all.extend(entries(&folder)?.iter().filter_map(|file| self.at(file)));
            }
        }
        Ok(all)
    }

    fn space(&self, more: u64) -> io::Result<()> {
        self.room.as_ref().map_or(Ok(()), |room| room.check(more))
    }

    fn root(&self) -> &Path {
        &self.folder
    }

    fn place(&self, digest: &StoredDigest) -> PathBuf {
        let name = digest.to_string();
        let (first, rest) = name.split_at(2);
        self.folder.join(first).join(rest)
    }

    fn at(&self, place: &Path) -> Option<StoredDigest> {
        let mut names = place.strip_prefix(&self.folder).ok()?.iter();
        let (first, rest) = (names.next()?.to_str()?, names.next()?.to_str()?);
        let digest = StoredDigest::from_bytes(digits(&format!("{first}{rest}"))?);
        (self.place(&digest) == place).then_some(digest)
    }
}

impl Incoming for Coming<'_> {
    fn put(&mut self, digest: &StoredDigest, kind: StoredPart, from: &mut dyn Read) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.disk.coming())?;
        let mut within = Within { file: file.as_file_mut(), disk: self.disk, looked: 0 };
        copy(from, &mut within)?;
        self.files.insert(self.disk.path(digest, kind), file.into_temp_path());
        Ok(())
    }

    /// By a second name; the first goes when all is done. Not where the archive is on another disk.
    fn adopt(&mut self, digest: &StoredDigest, file: &Path) -> bool {
        let linked = tempfile::Builder::new().make_in(self.disk.coming(), |to| fs::hard_link(file, to));
        let linked = linked.map(|linked| self.files.insert(self.disk.place(digest), linked.into_temp_path()));
        linked.is_ok()
    }

    fn has(&self, digest: &StoredDigest, kind: StoredPart) -> bool {
        self.files.contains_key(&self.disk.path(digest, kind))
    }

    fn sync(self: Box<Self>) -> io::Result<()> {
        let Self { disk, files } = *self;
        if files.is_empty() {
            return Ok(());
        }
        let folder = File::open(&disk.folder)?;
        syncfs(&folder)?;
        for (place, coming) in files {
            fs::create_dir_all(place.parent().unwrap_or(&disk.folder))?;
            coming.persist(&place).map_err(|error| error.error)?;
        }
        Ok(syncfs(&folder)?)
    }
}

/// A file that is written while there is room.
struct Within<'a> {
    file: &'a mut File,
    disk: &'a LocalDisk,
    /// Bytes that there was room for when it was last looked.
    looked: u64,
}

impl Write for Within<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        if self.looked < len {
            let step = STEP.max(len);
            self.disk.space(step)?;
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

/// Copies to the end.
pub(super) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => to.write_all(&buffer[..len])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
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

/// What every storage does, of this one.
#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom};

    use super::*;

    /// Every storage there is, empty.
    fn every(test: fn(&dyn Storage)) {
        let folder = tempfile::tempdir().unwrap();
        test(&LocalDisk::open(&folder.path().join("archive")).unwrap());
    }

    fn put(storage: &dyn Storage, bytes: &[u8]) -> StoredDigest {
        let digest = StoredDigest::of(bytes);
        let mut incoming = storage.begin();
        incoming.put(&digest, StoredPart::Bytes, &mut &bytes[..]).unwrap();
        incoming.put(&digest, StoredPart::Subtrees, &mut &b"subtrees"[..]).unwrap();
        assert!(incoming.has(&digest, StoredPart::Bytes) && storage.len(&digest, StoredPart::Bytes).is_none());
        incoming.sync().unwrap();
        digest
    }

    fn read(storage: &dyn Storage, digest: &StoredDigest, kind: StoredPart, from: u64) -> Vec<u8> {
        let mut file = storage.get(digest, kind).unwrap();
        file.seek(SeekFrom::Start(from)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_synced_is_there_from_any_byte_on_until_it_is_removed() {
        every(|storage| {
            let bytes: Vec<u8> = (0..600_000u32).flat_map(u32::to_le_bytes).collect();
            let digest = put(storage, &bytes);
            assert_eq!(storage.len(&digest, StoredPart::Bytes), Some(bytes.len() as u64));
            assert_eq!(read(storage, &digest, StoredPart::Bytes, 0), bytes);
            assert_eq!(read(storage, &digest, StoredPart::Bytes, 1_000_001), &bytes[1_000_001..]);
            assert_eq!(read(storage, &digest, StoredPart::Subtrees, 0), b"subtrees");
            assert_eq!(storage.all().unwrap(), [digest], "subtrees are nothing by themselves");
            storage.remove(&digest, StoredPart::Subtrees).unwrap();
            assert_eq!((storage.len(&digest, StoredPart::Subtrees), storage.all().unwrap().len()), (None, 1));
            for _ in 0..2 {
                storage.remove(&digest, StoredPart::Bytes).unwrap();
            }
            let gone = storage.get(&digest, StoredPart::Bytes).unwrap_err();
            assert_eq!((gone.kind(), storage.all().unwrap()), (io::ErrorKind::NotFound, Vec::new()));
        });
    }

    #[test]
    fn what_was_not_synced_is_not_there() {
        every(|storage| {
            let digest = StoredDigest::of(b"late");
            let mut incoming = storage.begin();
            incoming.put(&digest, StoredPart::Bytes, &mut &b"late"[..]).unwrap();
            drop(incoming);
            assert_eq!((storage.len(&digest, StoredPart::Bytes), storage.all().unwrap()), (None, Vec::new()));
            storage.begin().sync().unwrap();
        });
    }

    /// A source that breaks off leaves nothing of what it gave; what came before it in the same batch can still be
    /// synced.
    #[test]
    fn half_of_something_is_nothing() {
        struct Broken(u8);
        impl Read for Broken {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::other("it broke off"))?;
                into.fill(7);
                Ok(into.len())
            }
        }
        every(|storage| {
            let (whole, half) = (StoredDigest::of(b"whole"), StoredDigest::of(b"half"));
            let mut incoming = storage.begin();
            incoming.put(&whole, StoredPart::Bytes, &mut &b"whole"[..]).unwrap();
            assert!(incoming.put(&half, StoredPart::Bytes, &mut Broken(3)).is_err());
            assert!(!incoming.has(&half, StoredPart::Bytes));
            incoming.sync().unwrap();
            assert_eq!(storage.all().unwrap(), [whole]);
        });
    }

    #[test]
    fn a_file_of_its_own_may_be_adopted_and_places_lead_back() {
        every(|storage| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("own");
            fs::write(&file, b"own").unwrap();
            let digest = StoredDigest::of(b"own");
            let mut incoming = storage.begin();
            if !incoming.adopt(&digest, &file) {
                incoming.put(&digest, StoredPart::Bytes, &mut &b"own"[..]).unwrap();
            }
            assert!(!incoming.adopt(&StoredDigest::of(b"other"), &folder.path().join("nothing")));
            incoming.sync().unwrap();
            assert_eq!(read(storage, &digest, StoredPart::Bytes, 0), b"own");
            assert_eq!(storage.at(&storage.place(&digest)), Some(digest));
            assert_eq!(storage.at(&file), None);
            storage.space(0).unwrap();
        });
    }
}
