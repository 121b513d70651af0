//! Where the archive's bytes are kept, each under what they hash to. Nothing else in the relay opens, writes or
//! removes them.
//!
//! There is one storage today, a folder of this machine ([`LocalDisk`](super::local::LocalDisk)); another one, of
//! objects that are elsewhere, does what is said here.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clavicle_manifest::StoredDigest;

/// What bytes are kept under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredPart {
    /// The bytes themselves.
    Bytes,
    /// The subtrees by which each MiB of them is verified when it is sent.
    Subtrees,
}

/// A storage of bytes, each of which is there whole or not at all.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Begins to take bytes in.
    fn begin(&self) -> Box<dyn Incoming + '_>;

    /// How many bytes there are under a name, if any.
    fn len(&self, digest: &StoredDigest, kind: StoredPart) -> Option<u64>;

    /// Opens what is under a name, to be read from anywhere in it: as a file, since that is what workers are handed
    /// and transfers send from. It may be on no disk.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is nothing.
    fn get(&self, digest: &StoredDigest, kind: StoredPart) -> io::Result<File>;

    /// Removes what is under a name, if anything is.
    ///
    /// # Errors
    /// The storage's; some of it may then be there.
    fn remove(&self, digest: &StoredDigest, kind: StoredPart) -> io::Result<()>;

    /// Everything that there are bytes of.
    ///
    /// # Errors
    /// The storage's.
    fn all(&self) -> io::Result<Vec<StoredDigest>>;

    /// Whether there is room for so many bytes more.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is not, and the storage's when nobody can tell.
    fn space(&self, more: u64) -> io::Result<()>;

    /// How an operator finds the storage: as a path.
    fn root(&self) -> &Path;

    /// How an operator finds bytes, there or not: as a path.
    fn place(&self, digest: &StoredDigest) -> PathBuf;

    /// What has this place.
    fn at(&self, place: &Path) -> Option<StoredDigest>;
}

/// Bytes that come in together. None of them is there before [`Incoming::sync`] has returned; dropped, it leaves
/// nothing.
pub trait Incoming {
    /// Takes in what `from` has up to its end. Whether that hashes to the name is for whoever puts it in, before it
    /// syncs.
    ///
    /// # Errors
    /// The storage's, [`io::ErrorKind::StorageFull`] among them, and those of `from`.
    fn put(&mut self, digest: &StoredDigest, kind: StoredPart, from: &mut dyn Read) -> io::Result<()>;

    /// Takes in a file of this relay's own without copying it. Whether that was possible.
    fn adopt(&mut self, digest: &StoredDigest, file: &Path) -> bool;

    /// Whether something under this name is among what was put in.
    fn has(&self, digest: &StoredDigest, kind: StoredPart) -> bool;

    /// Puts everything where it belongs. It outlasts a power cut when this returns.
    ///
    /// # Errors
    /// The storage's; each name is then as it was before, or as it is to be.
    fn sync(self: Box<Self>) -> io::Result<()>;
}
