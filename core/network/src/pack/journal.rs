//! What is in a pack, and where.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::system::write_all_at;
use super::{PackError, disk};

/// What a piece is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(pub(super) [u8; 16]);

/// One line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: Name,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Record {
    const LEN: usize = 32;
    /// All that stands before it is on the disk.
    const SETTLED: Self = Self { name: Name([0; 16]), offset: 0, len: 0 };

    pub(super) fn is_settled(&self) -> bool {
        *self == Self::SETTLED
    }

    fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&self.name.0);
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let part = |from: usize| bytes[from..from + 8].first_chunk().map_or(0, |part| u64::from_le_bytes(*part));
        let mut name = [0; 16];
        name.copy_from_slice(&bytes[..16]);
        Self { name: Name(name), offset: part(16), len: part(24) }
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    end: u64,
}

impl Journal {
    /// Opens the journal, and reads it. Half a record at its end is none, and is written over.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Record>), PackError> {
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = open().map_err(|error| disk(path, error))?;
        let records = Self::records(path, &file)?;
        Ok((Self { path: path.to_owned(), file, end: (records.len() * Record::LEN) as u64 }, records))
    }

    /// Reads the journal as it is now.
    pub(super) fn read(path: &Path) -> Result<Vec<Record>, PackError> {
        Self::records(path, &File::open(path).map_err(|error| disk(path, error))?)
    }

    fn records(path: &Path, mut file: &File) -> Result<Vec<Record>, PackError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| disk(path, error))?;
        Ok(bytes.as_chunks::<{ Record::LEN }>().0.iter().map(Record::from_bytes).collect())
    }

    pub(super) fn append(&mut self, record: Record) -> Result<(), PackError> {
        let written = write_all_at(&self.file, &record.to_bytes(), self.end);
        written.map_err(|error| disk(&self.path, error))?;
        self.end += Record::LEN as u64;
        Ok(())
    }

    /// Says that all before is on the disk, which it must be.
    pub(super) fn settle(&mut self) -> Result<(), PackError> {
        // In this order: the mark stands for the records too.
        self.file.sync_data().map_err(|error| disk(&self.path, error))?;
        self.append(Record::SETTLED)?;
        self.file.sync_data().map_err(|error| disk(&self.path, error))
    }
}
