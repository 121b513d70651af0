//! Repairs: what is read although it is not in order, and how the data set is read then.
//!
//! The bytes of a file stay what they are. Where they break the standard in a way that leaves no doubt about what is meant, the scan notes a
//! patch: so many bytes at this place are read as these. Whoever reads the data set after the scan reads it patched and
//! knows nothing of what was wrong; what is said to a person is a [`Repair`], once for each kind.

use core::fmt;
use std::io::{self, Read};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::unreadable::Unreadable;

/// Most places at which a data set is patched. A patch takes 40 bytes.
const MAX_PATCHES: usize = 1 << 20;

/// What is not in order in a file that is read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum Repair {
    /// Group 0002 stands again at the beginning of the data set.
    SecondMeta,
    /// Media Storage SOP Class UID (0002,0002) says that it is a DICOMDIR.
    MetaClass,
    /// The data set is encoded otherwise than the transfer syntax says.
    Encoding,
    /// A value representation that is none.
    Vr,
    /// A delimiter after something whose length is defined.
    ExtraDelimiter,
    /// A delimiter is missing.
    MissingDelimiter,
    /// A value or fragment of odd length.
    OddLength,
    /// Number of Frames (0028,0008) is not the number of frames.
    Frames,
    /// Text that cannot be read in the character set that it is said to be in.
    Text,
    /// Junk behind the pixels.
    Trailing,
    /// Native pixels that are whole, and claim more bytes than there are.
    PixelLength,
    /// A delimiter that claims a length.
    DelimiterLength,
    /// An attribute that says what the instance is, twice, with the same value.
    Twice,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecondMeta => "the file meta information stands again in the data set; the first counts",
            Self::MetaClass => {
                "the file meta information says that it is a DICOMDIR; its data set is an instance, and counts"
            }
            Self::Encoding => "the data set is not encoded as its transfer syntax says; it is read as it is encoded",
            Self::Vr => "an attribute has a value representation that does not exist; it is read as unknown (UN)",
            Self::ExtraDelimiter => "delimiters stand where lengths say it already; they are passed over",
            Self::MissingDelimiter => {
                "a delimiter is missing at the end of a sequence; all that stands before it is read"
            }
            Self::OddLength => "a value has an odd length; it is padded when it is sent",
            Self::Frames => "Number of Frames is not the number of its frames; those that are there are shown",
            Self::Trailing => {
                "something follows the pixels that is no part of the data set; it is passed over, and stays in the file"
            }
            Self::PixelLength => "the pixels claim more bytes than there are; the image is whole, and is read",
            Self::DelimiterLength => "a delimiter claims a length, which it cannot have; it ends what it ends",
            Self::Twice => "an attribute stands twice, and says the same; one of them counts",
            Self::Text => "a text cannot be read in the character set that the file names; it is left out",
        })
    }
}

/// At `at`, `cut` bytes are passed over, and others stand there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Patch {
    at: u64,
    cut: u64,
    put: [u8; 12],
    put_len: u8,
}

impl Patch {
    fn put(&self) -> &[u8] {
        &self.put[..usize::from(self.put_len)]
    }
}

/// The places at which a data set is read otherwise than it stands, counted as those of the pixels are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patches {
    all: Vec<Patch>,
    /// By how much the data set grows.
    growth: i64,
}

impl Patches {
    /// Notes a patch; `put` has at most twelve bytes. Which one it is, until they are sorted.
    pub(crate) fn add(&mut self, at: u64, cut: u64, put: &[u8]) -> Result<usize, Unreadable> {
        if self.all.len() == MAX_PATCHES {
            return Err(Unreadable::TooBroken);
        }
        self.all.push(Patch { at, cut, put: [0; 12], put_len: 0 });
        self.growth -= i64::try_from(cut).unwrap_or(i64::MAX);
        self.change(self.all.len() - 1, put);
        Ok(self.all.len() - 1)
    }

    /// Has other bytes put at a place.
    pub(crate) fn change(&mut self, patch: usize, put: &[u8]) {
        let (patch, len) = (&mut self.all[patch], put.len().min(12));
        self.growth += len as i64 - i64::from(patch.put_len);
        patch.put[..len].copy_from_slice(&put[..len]);
        patch.put_len = len as u8;
    }

    /// By how much what was seen up to now grows.
    pub(crate) const fn growth(&self) -> i64 {
        self.growth
    }

    /// Brings them into the order of their places. Those at one place stay in the order in which they were noted.
    pub(crate) fn sort(&mut self) {
        self.all.sort_by_key(|patch| (patch.at, patch.cut > 0));
    }

    /// Whether the bytes are read as they are.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The patches of the bytes from `from` up to `to`. What is put between two bytes belongs to what ends there.
    fn between(&self, from: u64, to: u64) -> &[Patch] {
        let before = |place: u64| self.all.partition_point(|one| (one.at, one.cut > 0) < (place, true));
        self.all.get(before(from)..before(to)).unwrap_or_default()
    }

    /// How long a piece is once it is patched.
    #[must_use]
    pub fn len(&self, from: u64, to: u64) -> u64 {
        let patches = self.between(from, to);
        let (cut, put) = patches.iter().fold((0, 0), |(cut, put), one| (cut + one.cut, put + u64::from(one.put_len)));
        (to - from + put).saturating_sub(cut)
    }

    /// A piece that begins at `from`, patched as it is read.
    pub fn reader<R: Read>(&self, source: R, from: u64, to: u64) -> Patched<'_, R> {
        Patched { source, at: from, to, patches: self.between(from, to), putting: &[] }
    }

    /// The same of bytes that are in memory.
    #[must_use]
    pub fn apply(&self, bytes: Vec<u8>, from: u64) -> Vec<u8> {
        let to = from + bytes.len() as u64;
        if self.between(from, to).is_empty() {
            return bytes;
        }
        let mut patched = Vec::with_capacity(bytes.len());
        let read = self.reader(bytes.as_slice(), from, to).read_to_end(&mut patched);
        read.expect("bytes in memory can be read");
        patched
    }
}

/// A piece of a data set that is patched as it is read.
#[derive(Debug)]
pub struct Patched<'a, R> {
    source: R,
    at: u64,
    to: u64,
    patches: &'a [Patch],
    putting: &'a [u8],
}

impl<R: Read> Read for Patched<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if into.is_empty() {
                return Ok(0);
            }
            if !self.putting.is_empty() {
                let len = self.putting.len().min(into.len());
                into[..len].copy_from_slice(&self.putting[..len]);
                self.putting = &self.putting[len..];
                return Ok(len);
            }
            if let [patch, later @ ..] = self.patches
                && patch.at <= self.at
            {
                // What a patch before it has passed over already is not passed over again.
                let end = (patch.at + patch.cut).min(self.to);
                let cut = end.saturating_sub(self.at);
                if io::copy(&mut (&mut self.source).take(cut), &mut io::sink())? != cut {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.at += cut;
                self.patches = later;
                self.putting = patch.put();
                continue;
            }
            let next = self.patches.first().map_or(self.to, |patch| patch.at.min(self.to));
            let most = usize::try_from(next - self.at).unwrap_or(usize::MAX).min(into.len());
            if most == 0 {
                return Ok(0);
            }
            let read = self.source.read(&mut into[..most])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.at += read as u64;
            return Ok(read);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_patched_is_read_as_it_should_stand() {
        let mut patches = Patches::default();
        patches.add(14, 2, b"XYZ").unwrap();
        patches.add(20, 0, b"!").unwrap();
        patches.add(20, 0, b"?").unwrap();
        patches.add(11, 1, b"").unwrap();
        patches.sort();
        assert_eq!(patches.growth(), 2);
        let bytes = b"abcdefghij".to_vec();
        assert_eq!(patches.apply(bytes.clone(), 10), b"acdXYZghij!?");
        assert_eq!(patches.apply(b"k".to_vec(), 20), b"k");
        assert_eq!((patches.len(10, 20), patches.len(20, 30), patches.len(0, 10)), (12, 10, 10));
        let mut one_by_one = Vec::new();
        let mut reader = patches.reader(&bytes[..], 10, 20);
        let mut byte = [0];
        while reader.read(&mut byte).unwrap() == 1 {
            one_by_one.push(byte[0]);
        }
        assert_eq!(one_by_one, b"acdXYZghij!?");
    }
}
