//! Where the bytes of files are: on the disk, as a rule, or wherever somebody else keeps them and opens them by name.

use std::fmt;
use std::fs::File;
use std::path::Path;

use crate::read_error::ReadError;
use crate::system;

/// Files, each under its path.
pub trait Files: fmt::Debug + Sync {
    /// Opens one for reading. It may be on no disk.
    ///
    /// # Errors
    /// [`ReadError`].
    fn open(&self, path: &Path) -> Result<File, ReadError>;

    /// How many may be open at the same time, at least one: those that are held in memory are few.
    fn at_once(&self) -> usize {
        usize::MAX
    }
}

/// The files of this machine.
#[derive(Clone, Copy, Debug)]
pub struct OnDisk;

impl Files for OnDisk {
    fn open(&self, path: &Path) -> Result<File, ReadError> {
        system::open(path)
    }
}
