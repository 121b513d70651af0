//! Bytes: one value, one encoding.
//!
//! Everything signed, hashed or stored is [borsh](https://borsh.io) with its strict order. [`decode`] is the only way
//! from bytes to a value and accepts a byte string only when the value encodes back to exactly that string, so that a
//! hash of the bytes is a hash of the value. Lists that mean a set are [`Ascending`], free text is [`Text`], free
//! bytes are [`Bytes`]: each knows its limit before it reads a byte.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use borsh::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use borsh::{BorshDeserialize, BorshSerialize};

/// A type with a place on the wire or in the store: what it is called in errors, and how long it may be.
pub trait Wire: BorshSerialize + BorshDeserialize {
    /// What a person calls it, with its article.
    const NAME: &'static str;
    /// The longest encoding accepted, in bytes.
    const MAX_LEN: usize;
}

/// Why bytes were not read as a value. Nothing is ever half read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read: {fault}")]
pub struct DecodeError {
    /// What was expected.
    pub what: &'static str,
    /// What was wrong with it.
    pub fault: Fault,
}

/// One way for bytes to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// More bytes than the type may have.
    #[error("it is {len} bytes long and may be {max} at most")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The bytes end before the value does.
    #[error("it ends too early; it was cut off")]
    Truncated,
    /// Bytes are left after the value.
    #[error("something follows it; it was joined with other bytes")]
    Trailing,
    /// A list is longer than its limit.
    #[error("a list in it is longer than its limit")]
    TooMany,
    /// A list is out of order or names something twice.
    #[error("a list in it is not strictly ascending")]
    NotAscending,
    /// Text that is too long, not UTF-8, or holds control or direction-changing characters.
    #[error("a text in it is too long, not UTF-8, or holds characters that do not show")]
    BadText,
    /// A UID that is none (DICOM PS3.5 §9.1).
    #[error("a UID in it is none: numbers between single points, of 64 characters at most")]
    NotAUid,
    /// A key or signature of an algorithm this version does not know.
    #[error("a key or signature in it is of an unknown algorithm; a newer version may read it")]
    UnknownAlgorithm,
    /// An enum's tag that means nothing here, or a flag that is neither 0 nor 1.
    #[error("a choice in it is unknown; a newer version may read it")]
    UnknownChoice,
    /// A later version of a format than this software knows.
    #[error("it is of a version that is unknown; a newer version may read it")]
    UnknownVersion,
    /// Readable, but not the one encoding of its value.
    #[error("it is not in its one canonical form")]
    NotCanonical,
}

impl Fault {
    /// Those that a type of ours raises while it is read, and what stands for each in borsh's error, which can hold a text only.
    const RAISED: [(Self, &str); 7] = [
        (Self::TooMany, "too many"),
        (Self::NotAscending, "not ascending"),
        (Self::BadText, "bad text"),
        (Self::NotAUid, "not a UID"),
        (Self::UnknownAlgorithm, "unknown algorithm"),
        (Self::UnknownVersion, "unknown version"),
        (Self::NotCanonical, "not canonical"),
    ];

    /// Carries the fault through borsh: what a type says of itself while it is read.
    #[must_use]
    pub fn raise(self) -> Error {
        let word = Self::RAISED.iter().find(|(fault, _)| *fault == self).map_or("", |(_, word)| word);
        Error::new(ErrorKind::InvalidData, word)
    }

    /// The fault that was raised. What borsh itself finds wrong is a tag or a flag, since all else it reads has a type of ours.
    fn raised(error: &Error) -> Self {
        let word = error.to_string();
        Self::RAISED.iter().find(|(_, raised)| *raised == word).map_or(Self::UnknownChoice, |(fault, _)| *fault)
    }
}

/// Bytes that are read once, and whether more of them were wanted than there are.
struct Input<'a> {
    left: &'a [u8],
    short: bool,
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        self.short |= self.left.is_empty() && !into.is_empty();
        self.left.read(into)
    }

    fn read_exact(&mut self, into: &mut [u8]) -> IoResult<()> {
        self.short |= into.len() > self.left.len();
        self.left.read_exact(into)
    }
}

/// Reads a value, and what follows it.
fn read<T: BorshDeserialize>(bytes: &[u8]) -> Result<(T, &[u8]), Fault> {
    let mut input = Input { left: bytes, short: false };
    match T::deserialize_reader(&mut input) {
        Ok(value) => Ok((value, input.left)),
        Err(_) if input.short => Err(Fault::Truncated),
        Err(error) => Err(Fault::raised(&error)),
    }
}

/// The value's one encoding.
#[must_use]
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    value.serialize(&mut bytes).expect("writing to memory succeeds, and no type of ours refuses to be written");
    bytes
}

/// Reads a value that is exactly `bytes`.
///
/// # Errors
/// [`DecodeError`] when the bytes are too long for the type, cut off, followed by others, or not the encoding that
/// [`encode`] gives for the value. Allocates no more than a small multiple of `bytes`.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let refuse = |fault| DecodeError { what: T::NAME, fault };
    if bytes.len() > T::MAX_LEN {
        return Err(refuse(Fault::TooLong { len: bytes.len(), max: T::MAX_LEN }));
    }
    let (value, rest) = read::<T>(bytes).map_err(refuse)?;
    if !rest.is_empty() {
        return Err(refuse(Fault::Trailing));
    }
    if encode(&value) != bytes {
        return Err(refuse(Fault::NotCanonical));
    }
    Ok(value)
}

/// Reads what the encoding of a `T` begins with, whatever follows.
pub(crate) fn decode_beginning<T: Wire, B: BorshDeserialize>(bytes: &[u8]) -> Result<B, DecodeError> {
    read(bytes).map(|(value, _)| value).map_err(|fault| DecodeError { what: T::NAME, fault })
}

/// Shows bytes as lower-case hexadecimal.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads the digits that [`Hex`] writes, in lower or upper case; nothing, if they are something else.
#[must_use]
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// An element of an [`Ascending`] list: what it is ordered by, and may appear once of.
pub trait Entry {
    /// The ordering key.
    type Key: Ord;
    /// This element's ordering key.
    fn key(&self) -> &Self::Key;
}

/// At most `MAX` elements in strictly ascending order of their keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Ascending<T, const MAX: usize>(Vec<T>);

impl<T: Entry, const MAX: usize> Ascending<T, MAX> {
    /// The empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sorts `items` into a list.
    ///
    /// # Errors
    /// [`Fault::TooMany`] above `MAX`, [`Fault::NotAscending`] when two have the same key.
    pub fn from_items(mut items: Vec<T>) -> Result<Self, Fault> {
        if items.len() > MAX {
            return Err(Fault::TooMany);
        }
        items.sort_by(|a, b| a.key().cmp(b.key()));
        if items.windows(2).any(|pair| pair[0].key() == pair[1].key()) {
            return Err(Fault::NotAscending);
        }
        Ok(Self(items))
    }

    fn position(&self, key: &T::Key) -> Result<usize, usize> {
        self.0.binary_search_by(|item| item.key().cmp(key))
    }

    /// The element with this key.
    #[must_use]
    pub fn find(&self, key: &T::Key) -> Option<&T> {
        self.position(key).ok().and_then(|at| self.0.get(at))
    }

    /// Puts an element in, in place of the one with its key if there is one.
    ///
    /// # Errors
    /// [`Fault::TooMany`] when the list is full; it is then unchanged.
    pub fn insert(&mut self, item: T) -> Result<(), Fault> {
        match self.position(item.key()) {
            Ok(at) => self.0[at] = item,
            Err(_) if self.0.len() >= MAX => return Err(Fault::TooMany),
            Err(at) => self.0.insert(at, item),
        }
        Ok(())
    }

    /// Takes out the element with this key.
    pub fn remove(&mut self, key: &T::Key) -> Option<T> {
        self.position(key).ok().map(|at| self.0.remove(at))
    }

    /// Keeps what `keep` says, in order.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
    }
}

impl<T: Entry, const MAX: usize> Default for Ascending<T, MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const MAX: usize> core::ops::Deref for Ascending<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a Ascending<T, MAX> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const MAX: usize> fmt::Debug for Ascending<T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: BorshSerialize, const MAX: usize> BorshSerialize for Ascending<T, MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        self.0.serialize(writer)
    }
}

impl<T: Entry + BorshDeserialize, const MAX: usize> BorshDeserialize for Ascending<T, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let count = u32::deserialize_reader(reader)? as usize;
        if count > MAX {
            return Err(Fault::TooMany.raise());
        }
        let mut items: Vec<T> = Vec::new();
        for _ in 0..count {
            let item = T::deserialize_reader(reader)?;
            if items.last().is_some_and(|last| last.key() >= item.key()) {
                return Err(Fault::NotAscending.raise());
            }
            items.push(item);
        }
        Ok(Self(items))
    }
}

/// At most `MAX` bytes without a meaning of their own here.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Bytes<MAX> {
    /// Wraps `bytes`.
    ///
    /// # Errors
    /// [`Fault::TooMany`] above `MAX`.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Fault> {
        if bytes.len() > MAX { Err(Fault::TooMany) } else { Ok(Self(bytes)) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, taken out.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> fmt::Debug for Bytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const MAX: usize> BorshSerialize for Bytes<MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        self.0.serialize(writer)
    }
}

impl<const MAX: usize> BorshDeserialize for Bytes<MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        // Read in small steps: borsh would set a mebibyte aside for a length that a hostile sender merely claims.
        const STEP: usize = 1024;
        let len = u32::deserialize_reader(reader)? as usize;
        if len > MAX {
            return Err(Fault::TooMany.raise());
        }
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let start = bytes.len();
            bytes.resize(len.min(start.saturating_add(STEP)), 0);
            reader.read_exact(&mut bytes[start..])?;
        }
        Ok(Self(bytes))
    }
}

/// Characters that do not show, or that change how others do: Unicode's Default_Ignorable_Code_Point, and the
/// controls of direction, lines and annotation.
const HIDDEN: [RangeInclusive<char>; 16] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{e0000}'..='\u{e0fff}',
];

/// At most `MAX` bytes of UTF-8 that show on a screen as they are: no control characters, and none that change the
/// direction of what follows or take no room, which could make one name look like another.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// [`Fault::BadText`].
    pub fn new(text: impl Into<String>) -> Result<Self, Fault> {
        let text = text.into();
        let hidden = |c: char| c.is_control() || HIDDEN.iter().any(|range| range.contains(&c));
        if text.len() > MAX || text.chars().any(hidden) { Err(Fault::BadText) } else { Ok(Self(text)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MAX: usize> Entry for Text<MAX> {
    type Key = Self;
    fn key(&self) -> &Self {
        self
    }
}

impl<const MAX: usize> BorshSerialize for Text<MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        self.0.serialize(writer)
    }
}

impl<const MAX: usize> BorshDeserialize for Text<MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let bytes = Bytes::<MAX>::deserialize_reader(reader)?;
        let text = String::from_utf8(bytes.0).map_err(|_| Fault::BadText.raise())?;
        Self::new(text).map_err(Fault::raise)
    }
}
