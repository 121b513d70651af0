//! UIDs as DICOM has them (PS3.5 §9.1): numbers between single points, at most 64 characters.
//!
//! One rule of the standard is not held against anybody: that a number has no leading zero. Devices make such UIDs, every program shows them, and
//! nothing is ambiguous about them, since they are compared as text.

use core::fmt;

use borsh::io::{Read, Result as IoResult, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Fault, Wire};

/// Most characters of a UID.
pub const MAX_UID: usize = 64;

/// A UID without its padding. Takes no room outside itself, so that reading a long list of them costs what the list is long.
///
/// Whoever wrote it, it can be the name of a file or of a folder: it is never empty, `.` or `..`, and leads nowhere else.
///
/// `Display` is the UID; `Debug`, for logs, only its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid {
    // First and padded with zeros, so that the derived order is that of the text.
    bytes: [u8; MAX_UID],
    len: u8,
}

/// Why a text is not a UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UidError {
    /// Nothing, or padding alone.
    #[error("it is empty")]
    Empty,
    /// Above [`MAX_UID`].
    #[error("it is {0} characters long and may be {MAX_UID} at most")]
    TooLong(usize),
    /// Something else than a digit or a point.
    #[error("it holds something else than digits and points")]
    Character,
    /// A point at its beginning or end, or beside another.
    #[error("a number is missing before, between or after its points")]
    Component,
}

impl Uid {
    /// Takes the UID out of `text`, which may be padded at its end with NUL or, as some systems do, with spaces.
    ///
    /// # Errors
    /// [`UidError`].
    ///
    /// ```
    /// use clavicle_manifest::Uid;
    /// assert_eq!(Uid::new("1.2.840.10008.1.2\0").expect("it is one").as_str(), "1.2.840.10008.1.2");
    /// assert!(Uid::new("1.2.840\\1.2").is_err() && Uid::new("..").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, UidError> {
        let text = text.trim_end_matches(['\0', ' ']);
        let (Ok(len), 0..=MAX_UID) = (u8::try_from(text.len()), text.len()) else {
            return Err(UidError::TooLong(text.len()));
        };
        let mut bytes = [0; MAX_UID];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        let uid = Self { bytes, len };
        uid.check().map(|()| uid)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.text()).expect("digits and points are ASCII")
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn check(&self) -> Result<(), UidError> {
        match self.text() {
            [] => Err(UidError::Empty),
            text if !text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.')) => Err(UidError::Character),
            text if text.split(|byte| *byte == b'.').any(<[u8]>::is_empty) => Err(UidError::Component),
            _ => Ok(()),
        }
    }
}

impl Wire for Uid {
    const NAME: &'static str = "a UID";
    const MAX_LEN: usize = 1 + MAX_UID;
}

impl BorshSerialize for Uid {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        self.len.serialize(writer)?;
        writer.write_all(self.text())
    }
}

impl BorshDeserialize for Uid {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let len = u8::deserialize_reader(reader)?;
        let mut bytes = [0; MAX_UID];
        let text = bytes.get_mut(..usize::from(len)).ok_or_else(|| Fault::NotAUid.raise())?;
        reader.read_exact(text)?;
        let uid = Self { bytes, len };
        uid.check().map_err(|_| Fault::NotAUid.raise())?;
        Ok(uid)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.as_str();
        write!(f, "Uid(…{})", &text[text.len().saturating_sub(4)..])
    }
}
