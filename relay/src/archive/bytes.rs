//! Bytes by what they hash to, over a [`Storage`].
//!
//! Whoever reads verifies: disks lose bits. Subtrees that are lost are made anew.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::{self, Wire as _};
use clavicle_manifest::{StoredDigest, StoredHasher, Subtrees};
use clavicle_network::transfer::Kept;

use super::ArchiveError;
use super::local::copy;
use super::storage::{Incoming, Storage, StoredPart};

/// The bytes.
#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) storage: Box<dyn Storage>,
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
pub(super) struct Batch<'a> {
    storage: &'a dyn Storage,
    incoming: Box<dyn Incoming + 'a>,
}

/// Bytes in the archive, compared with what they are kept under.
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
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { storage: &*self.storage, incoming: self.storage.begin() }
    }

    /// Opens the `size` bytes with this digest, to be verified while they are read.
    pub(super) fn read(&self, digest: &StoredDigest, size: u64) -> io::Result<Kept> {
        let file = self.storage.get(digest, StoredPart::Bytes)?;
        if Subtrees::due(size) == 0 {
            return Ok(Kept { file, subtrees: Subtrees::default() });
        }
        let kept = self.subtrees(digest).filter(|subtrees| subtrees.check(size, digest).is_ok());
        if let Some(subtrees) = kept {
            return Ok(Kept { file, subtrees });
        }
        let mut hashed = Hashed::of(file);
        copy(&mut hashed, &mut io::sink())?;
        let (found, subtrees) = hashed.finish();
        if found != (size, *digest) {
            return Err(io::Error::other("it is not what it was"));
        }
        // So that the next one need not read all of it. That it cannot be kept is no reason not to send it.
        let mut incoming = self.storage.begin();
        let put = incoming.put(digest, StoredPart::Subtrees, &mut &encoding::encode(&subtrees)[..]);
        put.and_then(|()| incoming.sync()).ok();
        Ok(Kept { file: self.storage.get(digest, StoredPart::Bytes)?, subtrees })
    }

    fn subtrees(&self, digest: &StoredDigest) -> Option<Subtrees> {
        let mut bytes = Vec::new();
        let file = self.storage.get(digest, StoredPart::Subtrees).ok()?;
        file.take(Subtrees::MAX_LEN as u64 + 1).read_to_end(&mut bytes).ok()?;
        encoding::decode(&bytes).ok()
    }

    /// Reads all bytes with this digest, and says whether they still have it.
    pub(super) fn check(&self, digest: &StoredDigest) -> Soundness {
        let read = || -> io::Result<StoredDigest> {
            let mut hashed = Hashed::of(self.storage.get(digest, StoredPart::Bytes)?);
            copy(&mut hashed, &mut io::sink())?;
            Ok(hashed.finish().0.1)
        };
        match read() {
            Ok(found) if found == *digest => Soundness::Sound,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Soundness::Missing,
            Ok(_) | Err(_) => Soundness::Damaged,
        }
    }

    pub(super) fn remove(&self, digest: &StoredDigest) -> Result<(), ArchiveError> {
        // The bytes last: subtrees alone are found by nobody.
        let removed = [StoredPart::Subtrees, StoredPart::Bytes]
            .into_iter()
            .try_for_each(|kind| self.storage.remove(digest, kind));
        removed.map_err(|error| failed(&self.storage.place(digest), error))
    }

    /// Every digest that there are bytes under.
    pub(super) fn all(&self) -> Result<Vec<StoredDigest>, ArchiveError> {
        self.storage.all().map_err(|error| failed(self.storage.root(), error))
    }
}

impl Batch<'_> {
    /// Takes the bytes of a file, which must be `size` bytes with this digest: it was looked at before, by somebody
    /// else.
    pub(super) fn take(
        &mut self,
        path: &Path,
        origin: Origin,
        size: u64,
        digest: &StoredDigest,
    ) -> Result<(), ArchiveError> {
        // Also what is only given another name: the catalogue grows by it.
        let storage = self.storage;
        let of_storage = |error| failed(storage.root(), error);
        self.storage.space(0).map_err(of_storage)?;
        let there = self.storage.len(digest, StoredPart::Bytes);
        if self.incoming.has(digest, StoredPart::Bytes) || there.is_some_and(|there| there == size) {
            return Ok(());
        }
        let mut hashed = Hashed::of(File::open(path).map_err(|error| failed(path, error))?);
        let copied = if origin == Origin::Own && self.incoming.adopt(digest, path) {
            copy(&mut hashed, &mut io::sink())
        } else {
            self.incoming.put(digest, StoredPart::Bytes, &mut hashed)
        };
        copied.map_err(|error| if hashed.failed { failed(path, error) } else { of_storage(error) })?;
        let (found, subtrees) = hashed.finish();
        if found != (size, *digest) {
            return Err(ArchiveError::Changed(path.to_owned()));
        }
        if Subtrees::due(size) > 0 {
            let put = self.incoming.put(digest, StoredPart::Subtrees, &mut &encoding::encode(&subtrees)[..]);
            put.map_err(of_storage)?;
        }
        Ok(())
    }

    /// Puts everything that came where it belongs. It outlasts a power cut when this returns.
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        let Self { storage, incoming } = self;
        incoming.sync().map_err(|error| failed(storage.root(), error))
    }
}

/// A file that is hashed as it is read.
struct Hashed {
    file: File,
    hasher: StoredHasher,
    /// Whether it could not be read.
    failed: bool,
}

impl Hashed {
    fn of(file: File) -> Self {
        Self { file, hasher: StoredHasher::new(), failed: false }
    }

    /// Size and digest of what was read, and the subtrees below it.
    fn finish(self) -> ((u64, StoredDigest), Subtrees) {
        let (size, digest, subtrees) = self.hasher.finish();
        ((size, digest), subtrees)
    }
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into);
        match &read {
            Ok(len) => self.hasher.update(&into[..*len]),
            Err(error) => self.failed = error.kind() != io::ErrorKind::Interrupted,
        }
        read
    }
}

pub(super) fn failed(path: &Path, error: io::Error) -> ArchiveError {
    ArchiveError::File { path: PathBuf::from(path), error }
}
