//! The spool: a folder in which a file is whole, or not there.
//!
//! A file is written under the name of something unfinished, forced to the disk, renamed, and the name is forced to the disk. What is
//! unfinished is removed when its writing ends early, and when the folder is opened again. Names are numbers and say
//! nothing; one may come again once its file is gone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names end with this when the file is whole, and with that before.
const WHOLE: &str = "dcm";
const UNFINISHED: &str = "part";
/// Who holds the lock on this file owns the folder.
const LOCK: &str = ".lock";

/// A folder that one receiver owns.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    /// The folder itself, whose entries are forced to the disk through it.
    entries: File,
    next: AtomicU64,
    _lock: File,
}

/// A file being written.
#[derive(Debug)]
pub(super) struct Unfinished<'a> {
    spool: &'a Spool,
    file: BufWriter<File>,
    number: u64,
    size: u64,
    is_whole: bool,
}

impl Spool {
    /// Takes hold of the folder, which is made if it is not there, and removes what was left unfinished in it. [`io::ErrorKind::WouldBlock`]
    /// when another has it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let folder = fs::canonicalize(folder)?;
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(folder.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
        let mut next = 0;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let Some(number) = number_of(&path) else { continue };
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                fs::remove_file(&path)?;
            }
            next = next.max(number.saturating_add(1));
        }
        let entries = File::open(&folder)?;
        entries.sync_all()?;
        Ok(Self { folder, entries, next: AtomicU64::new(next), _lock: lock })
    }

    /// Begins a file.
    pub(super) fn begin(&self) -> io::Result<Unfinished<'_>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut options = OpenOptions::new();
        let file = options.create_new(true).write(true).mode(0o600).open(self.path(number, UNFINISHED))?;
        let file = BufWriter::with_capacity(64 << 10, file);
        Ok(Unfinished { spool: self, file, number, size: 0, is_whole: false })
    }

    fn path(&self, number: u64, extension: &str) -> PathBuf {
        self.folder.join(format!("{number:016x}.{extension}"))
    }
}

impl Unfinished<'_> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Makes it whole. When this returns, the file is on the disk under its name: its path, and how many bytes it has.
    pub(super) fn finish(mut self) -> io::Result<(PathBuf, u64)> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        let path = self.spool.path(self.number, WHOLE);
        fs::rename(self.spool.path(self.number, UNFINISHED), &path)?;
        self.is_whole = true;
        if let Err(error) = self.spool.entries.sync_all() {
            // Nobody is told of it, and so it should not be found.
            drop(fs::remove_file(&path));
            return Err(error);
        }
        Ok((path, self.size))
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // What cannot be removed now is when the folder is opened again.
            drop(fs::remove_file(self.spool.path(self.number, UNFINISHED)));
        }
    }
}

/// The number in a name of the kind made here.
fn number_of(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str().filter(|stem| stem.len() == 16)?;
    let extension = path.extension()?.to_str()?;
    [WHOLE, UNFINISHED].contains(&extension).then(|| u64::from_str_radix(stem, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != LOCK).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let mut kept = spool.begin().unwrap();
        let mut left = spool.begin().unwrap();
        kept.write(b"all of it").unwrap();
        left.write(b"half of").unwrap();
        assert_eq!(names(folder.path()), ["0000000000000000.part", "0000000000000001.part"]);
        let (path, size) = kept.finish().unwrap();
        assert_eq!((fs::read(path).unwrap(), size), (b"all of it".to_vec(), 9));
        drop(left);
        assert_eq!(names(folder.path()), ["0000000000000000.dcm"]);
    }

    #[test]
    fn what_was_left_unfinished_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["0000000000000005.dcm", "0000000000000009.part", "notes.part", "0000000000000001.txt"] {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        let spool = Spool::open(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["0000000000000001.txt", "0000000000000005.dcm", "notes.part"]);
        assert_eq!(spool.begin().unwrap().number, 10);
    }

    #[test]
    fn a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        assert_eq!(Spool::open(folder.path()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(spool);
        Spool::open(folder.path()).unwrap();
    }
}
