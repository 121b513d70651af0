//! The three digests of an instance, and the subtrees by which a large one is verified while it arrives.
//!
//! The `stored` digest is plain BLAKE3 of the stored bytes, as `b3sum` prints it. BLAKE3 is a tree, so that one digest
//! already commits to the chaining value of every aligned 1 MiB of the input. These chaining values, [`Subtrees`],
//! are therefore not in the manifest: who sends a large instance sends them first, 32 bytes a MiB, the recipient
//! sees that they lead to the signed digest, and then verifies each MiB on its own, in any order.

use alloc::vec::Vec;
use core::fmt;

use blake3::hazmat::{self, HasherExt as _, Mode};
use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Fault, Wire};

/// Bytes below one chaining value: 1 MiB. An instance up to this size is verified whole.
pub const SUBTREE_LEN: u64 = 1 << 20;
/// Most chaining values of one instance: those of 64 GiB.
pub const MAX_SUBTREES: usize = 1 << 16;

clavicle_ledger::hash_types! {
    /// BLAKE3 of the bytes as they are stored and sent.
    StoredDigest, "a digest of stored bytes";
    /// A digest of the data set that does not depend on its encoding: the same for the copy in the PACS.
    DatasetDigest, "a digest of a data set";
    /// A digest of the pixels alone.
    PixelDigest, "a digest of pixels";
}

impl StoredDigest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// The chaining values of an instance's MiBs, in order; none for an instance of 1 MiB or less.
#[derive(Clone, Default, PartialEq, Eq, BorshSerialize)]
pub struct Subtrees(Vec<[u8; 32]>);

/// Why chaining values, or a MiB, are not what the manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubtreeError {
    /// Another number than the size asks for.
    #[error("there are {given} subtree hashes, and an instance of this size has {due}")]
    Count {
        /// As given.
        given: usize,
        /// As the size asks for.
        due: u64,
    },
    /// They lead to another digest.
    #[error("the subtree hashes do not lead to the digest in the manifest")]
    OtherDigest,
    /// No such MiB.
    #[error("there is no MiB {0} in this instance")]
    Place(usize),
    /// These are not the bytes.
    #[error("MiB {0} is not what the manifest says: it was altered")]
    Altered(usize),
}

impl Subtrees {
    /// Chaining values as somebody gives them: they prove nothing until [`Subtrees::check`].
    #[must_use]
    pub const fn from_hashes(hashes: Vec<[u8; 32]>) -> Self {
        Self(hashes)
    }

    /// How many an instance of `size` bytes has.
    #[must_use]
    pub const fn due(size: u64) -> u64 {
        if size <= SUBTREE_LEN { 0 } else { size.div_ceil(SUBTREE_LEN) }
    }

    /// Verifies that these are the chaining values below `stored`, the digest of an instance of `size` bytes. Until then
    /// they prove nothing.
    ///
    /// # Errors
    /// [`SubtreeError::Count`], [`SubtreeError::OtherDigest`].
    pub fn check(&self, size: u64, stored: &StoredDigest) -> Result<(), SubtreeError> {
        let due = Self::due(size);
        if u64::try_from(self.0.len()) != Ok(due) {
            return Err(SubtreeError::Count { given: self.0.len(), due });
        }
        if due > 0 && merged(&self.0) != *stored { Err(SubtreeError::OtherDigest) } else { Ok(()) }
    }

    /// Verifies MiB number `place`, from 0; the last may be shorter. Of an instance of 1 MiB or less verify the digest instead.
    ///
    /// # Errors
    /// [`SubtreeError::Place`], [`SubtreeError::Altered`].
    pub fn verify(&self, place: usize, bytes: &[u8]) -> Result<(), SubtreeError> {
        let expected = self.0.get(place).ok_or(SubtreeError::Place(place))?;
        let offset = u64::try_from(place).unwrap_or(u64::MAX).saturating_mul(SUBTREE_LEN);
        if bytes.is_empty() || bytes.len() as u64 > SUBTREE_LEN {
            return Err(SubtreeError::Altered(place));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset).update(bytes);
        if hasher.finalize_non_root() == *expected { Ok(()) } else { Err(SubtreeError::Altered(place)) }
    }

    /// The chaining values.
    #[must_use]
    pub fn as_slice(&self) -> &[[u8; 32]] {
        &self.0
    }
}

/// The digest above two or more chaining values.
fn merged(all: &[[u8; 32]]) -> StoredDigest {
    let (left, right) = all.split_at(split(all.len()));
    StoredDigest(*hazmat::merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes())
}

fn subtree(part: &[[u8; 32]]) -> [u8; 32] {
    if let [only] = part {
        return *only;
    }
    let (left, right) = part.split_at(split(part.len()));
    hazmat::merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
}

/// The left side is the largest power of two that leaves something for the right (BLAKE3 §2.1).
const fn split(count: usize) -> usize {
    count.div_ceil(2).next_power_of_two()
}

impl Wire for Subtrees {
    const NAME: &'static str = "a list of subtree hashes";
    const MAX_LEN: usize = 4 + 32 * MAX_SUBTREES;
}

impl BorshDeserialize for Subtrees {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let count = u32::deserialize_reader(reader)? as usize;
        if count > MAX_SUBTREES {
            return Err(Fault::TooMany.raise());
        }
        // One by one: a count is only a claim.
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(<[u8; 32]>::deserialize_reader(reader)?);
        }
        Ok(Self(all))
    }
}

impl fmt::Debug for Subtrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} subtrees", self.0.len())
    }
}

/// Takes the bytes of an instance as they come, and gives size, digest and subtrees at once.
///
/// ```
/// use clavicle_manifest::{StoredDigest, StoredHasher};
/// let mut hasher = StoredHasher::new();
/// hasher.update(&[1; 700_000]);
/// hasher.update(&[1; 700_000]);
/// let (size, stored, subtrees) = hasher.finish();
/// assert_eq!((size, stored), (1_400_000, StoredDigest::of(&[1; 1_400_000])));
/// assert_eq!(subtrees.check(size, &stored), Ok(()));
/// assert_eq!(subtrees.verify(1, &[1; 1_400_000 - (1 << 20)]), Ok(()));
/// ```
#[derive(Clone)]
pub struct StoredHasher {
    size: u64,
    done: Vec<[u8; 32]>,
    current: blake3::Hasher,
    room: u64,
}

impl StoredHasher {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, done: Vec::new(), current: blake3::Hasher::new(), room: SUBTREE_LEN }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.room == 0 {
                // Only now is it certain that this MiB is not the whole input, which would be hashed as a root.
                self.done.push(self.current.finalize_non_root());
                self.current = blake3::Hasher::new();
                self.current.set_input_offset(self.size);
                self.room = SUBTREE_LEN;
            }
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(self.room).unwrap_or(usize::MAX)));
            self.current.update(now);
            self.size = self.size.saturating_add(now.len() as u64);
            self.room = self.room.saturating_sub(now.len() as u64);
            bytes = later;
        }
    }

    /// The size in bytes, the digest, and the subtrees below it.
    #[must_use]
    pub fn finish(mut self) -> (u64, StoredDigest, Subtrees) {
        if self.done.is_empty() {
            return (self.size, StoredDigest(*self.current.finalize().as_bytes()), Subtrees(Vec::new()));
        }
        self.done.push(self.current.finalize_non_root());
        (self.size, merged(&self.done), Subtrees(self.done))
    }
}

impl Default for StoredHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StoredHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredHasher({} bytes)", self.size)
    }
}
