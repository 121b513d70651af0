//! A pack: what has arrived of a study and was verified, sealed, on the recipient's disk.
//!
//! ```text
//! <folder>/pack       pieces, one behind another: nonce (12) ‖ AES-256-GCM of the bytes, with its tag (16)
//! <folder>/journal    for each piece a record of 32 bytes: name (16) ‖ offset (8) ‖ length (8), low byte first
//! ```
//!
//! A piece is an item of up to 1 MiB, or a MiB of a larger one: what can be verified on its own. It is sealed only when it was verified, under
//! a name made of its item's digest and its number. So whatever opens is what was signed, and of the files alone nobody can tell which
//! images they are: a name is a keyed hash too. The key is the wallet's, and dropping it is as good as dropping the pack.
//!
//! A record is written after its piece, so that a process killed at any instant loses at most the piece it was writing. A machine that
//! stops may lose more, and keep a record whose piece is not there. Every [`Pack::settle`] therefore forces all of it to the disk and says so in the
//! journal, by a record without a name; when a pack is opened, whatever follows the last of these is read and opened once, and what does not open is not there.
//!
//! One writes to a pack at a time, who has its lock; any number read meanwhile what has arrived ([`PackReader`]).
//!
//! What is dropped from a pack is dropped by making another beside it, which then takes its place:
//!
//! ```text
//! <folder>            until the other is whole, and on the disk
//! <folder>.new        the other, until it has the folder's name
//! <folder>.old        the first, until it is gone
//! ```
//!
//! Whoever opens it after a kill finds one that is whole: if nothing has the folder's name, the other is.

mod journal;
mod system;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use clavicle_manifest::{SUBTREE_LEN, StoredDigest, Subtrees};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use self::journal::{Journal, Name, Record};
use self::system::{read_exact_at, sync_names, write_all_at};

/// How many bytes of room a [`Piece`] has before its own, for its nonce.
const LEAD: usize = NONCE_LEN;
/// How many bytes the seal of a piece adds behind it.
const TAG: usize = 16;
/// After so many bytes the disk is told to begin.
const FLUSH: u64 = 8 << 20;
/// The longest piece.
pub(crate) const MAX_PIECE: usize = SUBTREE_LEN as usize;

/// Why a pack cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// Its disk.
    #[error("{path} could not be read or written")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// Somebody else has it open.
    #[error("another fetch of the same study is going on: wait until it has ended")]
    Busy,
    /// What is on the disk is not what was put there.
    #[error("what was fetched before is damaged on this disk; fetch it again")]
    Damaged,
    /// There is no such item in it.
    #[error("it was not fetched, or not all of it")]
    Absent,
}

/// The key that a pack is sealed with.
#[derive(Clone)]
pub struct PackKey(Zeroizing<[u8; 32]>);

impl PackKey {
    /// The key with these bytes, which nothing else may be sealed with.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl core::fmt::Debug for PackKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PackKey(…)")
    }
}

/// Bytes on their way into a pack, with room for their seal, so that they are sealed where they are.
#[derive(Debug)]
pub(crate) struct Piece(Vec<u8>);

impl Piece {
    /// No bytes yet, and room for `len`.
    pub(crate) fn with_room(len: usize) -> Self {
        let mut bytes = Vec::with_capacity(LEAD + len + TAG);
        bytes.resize(LEAD, 0);
        Self(bytes)
    }

    /// As many bytes as `len` more, to be overwritten.
    pub(crate) fn grow(&mut self, len: usize) -> &mut [u8] {
        let from = self.0.len();
        self.0.resize(from + len, 0);
        &mut self.0[from..]
    }

    /// Empty again, to be used once more.
    pub(crate) fn clear(&mut self) {
        self.0.truncate(LEAD);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() - LEAD
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[LEAD..]
    }
}

/// What has arrived of a study, and whoever may add to it.
#[derive(Debug)]
pub struct Pack {
    reader: PackReader,
    journal: Journal,
    /// Held as long as this is there.
    _lock: File,
    end: u64,
    /// Up to where the disk was told to take it.
    flushed: u64,
    /// Whether all of it is on the disk, and the journal says so.
    is_settled: bool,
}

/// What has arrived of a study, for whoever reads: also while more arrives, and by several at once.
#[derive(Clone, Debug)]
pub struct PackReader(Arc<Shared>);

/// What a writer and its readers share.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    file: File,
    seal: LessSafeKey,
    naming: Zeroizing<[u8; 32]>,
    pieces: RwLock<BTreeMap<Name, At>>,
}

/// Where a piece is.
#[derive(Clone, Copy, Debug)]
struct At {
    offset: u64,
    /// Of its bytes, without the seal.
    len: u64,
}

impl PackReader {
    /// Opens the pack in a folder for reading: what is there now.
    ///
    /// # Errors
    /// [`PackError`]; [`PackError::Absent`] when there is none.
    pub fn open(folder: &Path, key: &PackKey) -> Result<Self, PackError> {
        recover(folder)?;
        let path = folder.join("pack");
        match File::open(&path) {
            Ok(file) => {
                let reader = Self::of(folder, file, key);
                reader.take_up(&Journal::read(&folder.join("journal"))?)?;
                Ok(reader)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(PackError::Absent),
            Err(error) => Err(disk(&path, error)),
        }
    }

    fn of(folder: &Path, file: File, key: &PackKey) -> Self {
        let of = |purpose| blake3::derive_key(purpose, &*key.0);
        let sealing = Zeroizing::new(of("clavicle 2026-11-28 pack: sealing pieces"));
        let unbound = UnboundKey::new(&AES_256_GCM, &*sealing).expect("the key has the length of the algorithm's keys");
        Self(Arc::new(Shared {
            folder: folder.to_owned(),
            file,
            seal: LessSafeKey::new(unbound),
            naming: Zeroizing::new(of("clavicle 2026-11-28 pack: naming pieces")),
            pieces: RwLock::default(),
        }))
    }

    /// Takes up what the journal says, as far as it is true. Where it ends.
    fn take_up(&self, records: &[Record]) -> Result<u64, PackError> {
        let settled = records.iter().rposition(Record::is_settled).map_or(0, |last| last + 1);
        let file_len = self.0.file.metadata().map_err(|error| self.failed(error))?.len();
        let (mut buffer, mut pieces, mut all) = (Vec::new(), BTreeMap::new(), 0);
        for (number, record) in records.iter().enumerate() {
            let Record { name, offset, len } = *record;
            let end = offset.saturating_add(len).saturating_add((LEAD + TAG) as u64);
            if record.is_settled() || len > SUBTREE_LEN || end > file_len {
                continue;
            }
            let at = At { offset, len };
            if number >= settled {
                match self.read_piece(name, at, &mut buffer) {
                    Ok(()) => {}
                    Err(PackError::Damaged) => continue,
                    Err(error) => return Err(error),
                }
            }
            pieces.insert(name, at);
            all = end.max(all);
        }
        *self.0.pieces.write().unwrap_or_else(PoisonError::into_inner) = pieces;
        Ok(all)
    }

    fn pieces(&self) -> RwLockReadGuard<'_, BTreeMap<Name, At>> {
        self.0.pieces.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of an item's pieces are there from its first on; of an item that is there, all of them.
    #[must_use]
    pub fn held(&self, stored: &StoredDigest, size: u64) -> u32 {
        let held = (0..pieces(size)).take_while(|number| self.has(stored, size, *number)).count();
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// Whether all of an item is there.
    #[must_use]
    pub fn has_all(&self, stored: &StoredDigest, size: u64) -> bool {
        self.held(stored, size) == pieces(size)
    }

    /// Whether a piece is there.
    fn has(&self, stored: &StoredDigest, size: u64, number: u32) -> bool {
        let at = self.pieces().get(&self.name(stored, number)).copied();
        at.is_some_and(|at| at.len == piece_len(size, number))
    }

    /// Reads an item from its first byte to its last.
    ///
    /// # Errors
    /// [`PackError::Absent`].
    pub fn read(&self, stored: &StoredDigest, size: u64) -> Result<Reader, PackError> {
        if !self.has_all(stored, size) {
            return Err(PackError::Absent);
        }
        Ok(Reader { pack: self.clone(), stored: *stored, size, next: 0, buffer: Vec::new(), from: 0 })
    }

    fn name(&self, stored: &StoredDigest, number: u32) -> Name {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.naming);
        hasher.update(stored.as_bytes()).update(&number.to_le_bytes());
        let mut name = [0; 16];
        hasher.finalize_xof().fill(&mut name);
        Name(name)
    }

    fn read_piece(&self, name: Name, at: At, buffer: &mut Vec<u8>) -> Result<(), PackError> {
        buffer.resize(sealed_len(at.len), 0);
        match read_exact_at(&self.0.file, buffer, at.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(PackError::Damaged),
            read => read.map_err(|error| self.failed(error))?,
        }
        let (nonce, sealed) = buffer.split_first_chunk_mut::<LEAD>().ok_or(PackError::Damaged)?;
        let opened = self.0.seal.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(name.0), sealed);
        opened.map(drop).map_err(|_| PackError::Damaged)
    }

    fn failed(&self, error: io::Error) -> PackError {
        disk(&self.0.folder.join("pack"), error)
    }
}

impl Pack {
    /// Opens the pack in a folder to add to it, or makes both.
    ///
    /// # Errors
    /// [`PackError`]; [`PackError::Busy`] when somebody else adds to it.
    pub fn open(folder: &Path, key: &PackKey) -> Result<Self, PackError> {
        recover(folder)?;
        fs::create_dir_all(folder).map_err(|error| disk(folder, error))?;
        let open = |name| {
            let path = folder.join(name);
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            file.map_err(|error| disk(&path, error))
        };
        // A file of its own: on some systems who does not have the lock cannot read what is locked.
        let lock = open("lock")?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(PackError::Busy),
            Err(fs::TryLockError::Error(error)) => return Err(disk(&folder.join("lock"), error)),
        }
        clean(folder)?;
        let (journal, records) = Journal::open(&folder.join("journal"))?;
        let reader = PackReader::of(folder, open("pack")?, key);
        let end = reader.take_up(&records)?;
        let is_settled = records.last().is_some_and(Record::is_settled);
        Ok(Self { reader, journal, _lock: lock, end, flushed: end, is_settled })
    }

    /// What reads from it, also while more is added.
    #[must_use]
    pub fn reader(&self) -> PackReader {
        self.reader.clone()
    }

    /// How many of an item's pieces are there from its first on; of an item that is there, all of them.
    #[must_use]
    pub fn held(&self, stored: &StoredDigest, size: u64) -> u32 {
        self.reader.held(stored, size)
    }

    /// Whether all of an item is there.
    #[must_use]
    pub fn has_all(&self, stored: &StoredDigest, size: u64) -> bool {
        self.reader.has_all(stored, size)
    }

    /// Reads an item from its first byte to its last.
    ///
    /// # Errors
    /// [`PackError::Absent`].
    pub fn read(&self, stored: &StoredDigest, size: u64) -> Result<Reader, PackError> {
        self.reader.read(stored, size)
    }

    /// Keeps a piece that was verified. It is lost by nothing but a machine that stops before [`Pack::settle`].
    ///
    /// # Errors
    /// [`PackError::Disk`]; the pack is as before.
    pub(crate) fn keep(&mut self, stored: &StoredDigest, number: u32, piece: &mut Piece) -> Result<(), PackError> {
        let (name, len) = (self.reader.name(stored, number), piece.len() as u64);
        let bytes = &mut piece.0;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| self.failed(io::Error::other(error)))?;
        bytes[..LEAD].copy_from_slice(&nonce);
        let (nonce, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(name.0));
        let shared = &self.reader.0;
        let tag = shared.seal.seal_in_place_separate_tag(nonce, aad, &mut bytes[LEAD..]);
        bytes.extend_from_slice(tag.expect("no piece is longer than the algorithm takes").as_ref());
        let at = At { offset: self.end, len };
        self.is_settled = false;
        write_all_at(&shared.file, bytes, at.offset).map_err(|error| self.failed(error))?;
        self.journal.append(Record { name, offset: at.offset, len })?;
        self.end = at.offset.saturating_add(bytes.len() as u64);
        shared.pieces.write().unwrap_or_else(PoisonError::into_inner).insert(name, at);
        Ok(())
    }

    /// Keeps bytes of the wallet's own, and says by what they are read.
    ///
    /// # Errors
    /// [`PackError::Disk`].
    pub fn put(&mut self, bytes: &[u8]) -> Result<(StoredDigest, u64), PackError> {
        let (stored, size) = (StoredDigest::of(bytes), bytes.len() as u64);
        for number in 0..pieces(size) {
            if !self.reader.has(&stored, size, number) {
                let from = usize::try_from(number).unwrap_or(usize::MAX).saturating_mul(MAX_PIECE);
                let bytes = &bytes[from..bytes.len().min(from.saturating_add(MAX_PIECE))];
                let mut piece = Piece::with_room(bytes.len());
                piece.grow(bytes.len()).copy_from_slice(bytes);
                self.keep(&stored, number, &mut piece)?;
            }
        }
        Ok((stored, size))
    }

    /// The file to be flushed, when there is enough to flush. Whoever does that beside the writing leaves [`Pack::settle`] little to wait for.
    pub(crate) fn begin_flush(&mut self) -> Option<File> {
        if self.end.saturating_sub(self.flushed) < FLUSH {
            return None;
        }
        self.flushed = self.end;
        // That it cannot be flushed early is no failure: settling tells.
        self.reader.0.file.try_clone().ok()
    }

    /// Forces to the disk what is there. A machine that stops after this has returned loses nothing of it.
    ///
    /// # Errors
    /// [`PackError::Disk`].
    pub fn settle(&mut self) -> Result<(), PackError> {
        if self.is_settled {
            return Ok(());
        }
        let Shared { folder, file, .. } = &*self.reader.0;
        file.sync_data().map_err(|error| self.failed(error))?;
        sync_names(folder).map_err(|error| disk(folder, error))?;
        // Last: its mark stands for all of the above, also for who opens the pack after a kill.
        self.journal.settle()?;
        self.is_settled = true;
        Ok(())
    }

    /// Drops everything that is not of these items, as digests and sizes, and takes no room on the disk for it any more. Who reads what was there
    /// before goes on reading that.
    ///
    /// # Errors
    /// [`PackError`]; the pack is as before.
    pub fn retain(self, items: &[(StoredDigest, u64)], key: &PackKey) -> Result<Self, PackError> {
        let named = |(stored, size): &(StoredDigest, u64)| {
            (0..pieces(*size)).map(|number| self.reader.name(stored, number)).collect::<Vec<_>>()
        };
        let all = self.reader.pieces();
        let wanted: BTreeMap<Name, At> =
            items.iter().flat_map(named).filter_map(|name| Some((name, *all.get(&name)?))).collect();
        let count = all.len();
        drop(all);
        if wanted.len() == count {
            return Ok(self);
        }
        let folder = self.reader.0.folder.clone();
        let [beside, old] = besides(&folder);
        let mut new = Self::open(&beside, key)?;
        let mut buffer = Vec::new();
        for (name, at) in wanted {
            buffer.resize(sealed_len(at.len), 0);
            read_exact_at(&self.reader.0.file, &mut buffer, at.offset).map_err(|error| self.failed(error))?;
            new.is_settled = false;
            write_all_at(&new.reader.0.file, &buffer, new.end).map_err(|error| new.failed(error))?;
            new.journal.append(Record { name, offset: new.end, len: at.len })?;
            new.end = new.end.saturating_add(buffer.len() as u64);
        }
        new.settle()?;
        drop((self, new));
        fs::rename(&folder, &old)
            .and_then(|()| rename_if_there(&beside, &folder))
            .and_then(|()| folder.parent().map_or(Ok(()), sync_names))
            .and_then(|()| fs::remove_dir_all(&old))
            .map_err(|error| disk(&folder, error))?;
        Self::open(&folder, key)
    }

    fn failed(&self, error: io::Error) -> PackError {
        self.reader.failed(error)
    }
}

/// What stands beside a pack while another takes its place: the other, and the first.
fn besides(folder: &Path) -> [PathBuf; 2] {
    ["new", "old"].map(|name| folder.with_extension(name))
}

/// Gives its name to the pack that was to take the place of this one, if a kill came between.
fn recover(folder: &Path) -> Result<(), PackError> {
    let [beside, _] = besides(folder);
    // It lost its name only when the other was whole.
    if fs::symlink_metadata(folder).is_err() {
        rename_if_there(&beside, folder).map_err(|error| disk(folder, error))?;
    }
    Ok(())
}

/// Removes what a kill has left beside a pack whose lock is held.
fn clean(folder: &Path) -> Result<(), PackError> {
    // (What stands beside the other is itself.)
    for left in besides(folder).into_iter().filter(|left| left != folder) {
        match fs::remove_dir_all(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(&left, error)),
            _ => {}
        }
    }
    Ok(())
}

/// Renames what is there; who reads may have been faster.
fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An item's bytes, read from a pack.
#[derive(Debug)]
pub struct Reader {
    pack: PackReader,
    stored: StoredDigest,
    size: u64,
    next: u32,
    buffer: Vec<u8>,
    from: usize,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.from + TAG >= self.buffer.len() {
            if self.next == pieces(self.size) {
                return Ok(0);
            }
            let name = self.pack.name(&self.stored, self.next);
            let at = self.pack.pieces().get(&name).copied().ok_or_else(|| io::Error::other(PackError::Absent))?;
            self.pack.read_piece(name, at, &mut self.buffer).map_err(io::Error::other)?;
            self.next += 1;
            self.from = LEAD;
        }
        let bytes = &self.buffer[self.from..self.buffer.len() - TAG];
        let len = bytes.len().min(out.len());
        out[..len].copy_from_slice(&bytes[..len]);
        self.from += len;
        Ok(len)
    }
}

/// How many pieces an item of `size` bytes has: its MiBs, or itself.
pub(crate) fn pieces(size: u64) -> u32 {
    u32::try_from(Subtrees::due(size).max(1)).unwrap_or(u32::MAX)
}

/// How long a piece is.
pub(crate) fn piece_len(size: u64, number: u32) -> u64 {
    size.saturating_sub(u64::from(number).saturating_mul(SUBTREE_LEN)).min(SUBTREE_LEN)
}

fn sealed_len(len: u64) -> usize {
    // What is longer than a piece is not taken up.
    LEAD + usize::try_from(len).unwrap_or(MAX_PIECE).min(MAX_PIECE) + TAG
}

fn disk(path: &Path, error: io::Error) -> PackError {
    PackError::Disk { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests;
