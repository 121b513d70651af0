//! Why a file cannot be taken for a SOP Instance, one sentence each.

use core::fmt;
use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use dicom_core::Tag;

/// Deepest nesting of sequences. The deepest in the standard (enhanced SR and RT objects) stay below 20.
pub(crate) const MAX_DEPTH: u32 = 32;
/// Most elements and items of one file.
pub(crate) const MAX_ELEMENTS: u32 = 1 << 24;
/// The longest value that is kept. Those kept are names, dates, UIDs; the standard gives 64 characters to most.
pub(crate) const MAX_KEPT: u64 = 4_096;

/// An attribute, for errors: its tag as (gggg,eeee).
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attribute(u16, u16);

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:04X},{:04X})", self.0, self.1)
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Tag> for Attribute {
    fn from(Tag(group, element): Tag) -> Self {
        Self(group, element)
    }
}

/// Why a file cannot be taken for a SOP Instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// No DICOM prefix, and nothing that looks like a data set.
    #[error("it is not a DICOM file")]
    NotDicom,
    /// A DICOMDIR: a table of contents, not an instance.
    #[error("it is a DICOMDIR, a table of contents and no instance")]
    Directory,
    /// The file could not be read to its end.
    #[error("it could not be read to its end; the disk may be failing")]
    Io,
    /// It ends within an element's header.
    #[error("it ends in the middle of an element; it was cut off")]
    CutOff,
    /// An element is longer than what it is in.
    #[error("{tag} claims {declared} bytes where {left} are left; it was cut off or damaged")]
    TooLong {
        /// Which.
        tag: Attribute,
        /// Bytes claimed.
        declared: u32,
        /// Bytes there are.
        left: u64,
    },
    /// Not two capital letters where the value representation stands.
    #[error("{0} has no value representation; the file is damaged or of another transfer syntax than it says")]
    NoVr(Attribute),
    /// An element of undefined length that is neither a sequence nor pixels.
    #[error("{0} has no length")]
    NoLength(Attribute),
    /// Something else where an item should be.
    #[error("{0} stands where a sequence has its items")]
    NotAnItem(Attribute),
    /// A delimiter that closes nothing.
    #[error("{0} stands where it ends nothing")]
    StrayDelimiter(Attribute),
    /// Nested beyond every object of the standard.
    #[error("its sequences are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// More elements than any object has.
    #[error("it has more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// More that is not in order than is put in order.
    #[error("it is broken in more places than are put in order")]
    TooBroken,
    /// An attribute that says what the instance is, twice.
    #[error("{0} occurs twice, so that it is unclear which counts")]
    Twice(Attribute),
    /// Something follows the data set that is neither an element nor padding.
    #[error("something follows the data set that does not belong to it")]
    Trailing,
    /// A deflated data set grows too large.
    #[error("it is deflated and grows beyond 256 MiB; nothing of that size comes this way in earnest")]
    Inflates,
    /// A deflated data set cannot be inflated.
    #[error("it is deflated and damaged")]
    Deflate,
    /// An attribute that names something is beyond every limit of the standard.
    #[error("{0} is longer than {MAX_KEPT} bytes, which no such attribute is")]
    Oversized(Attribute),
    /// A UID that every instance has is not there.
    #[error("{0} is missing, without which an instance has no name")]
    Missing(Attribute),
    /// A UID is none.
    #[error("{0} is not a UID")]
    NotAUid(Attribute),
    /// A document that lists instances, and more than a study has.
    #[error("it lists more instances than any study has")]
    TooLongForAList,
    /// A DICOMDIR whose records point back at themselves.
    #[error("its records lead in a circle, so that what it lists is not looked for")]
    Circle,
    /// The parser panicked.
    #[error("reading it failed in a way that should not be possible; please report the file's structure")]
    Panicked,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        // The length was asked for before: a file that ends earlier shrank in the meantime.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::CutOff } else { Self::Io }
    }
}
