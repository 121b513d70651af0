//! Application entity titles: the names that the two sides of an association go by.

use core::fmt;

/// An application entity title: 1 to 16 characters of ISO 646, spaces at either end left out (PS3.8 §9.3.2, PS3.5 §6.2, AE).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AeTitle(String);

/// Why a text is no application entity title.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AeTitleError {
    /// Nothing but spaces.
    #[error("it is empty")]
    Empty,
    /// More than 16 characters.
    #[error("it has more than 16 characters")]
    TooLong,
    /// A control character, a backslash, or something beyond ISO 646.
    #[error("it holds a backslash, a control character or one beyond ASCII")]
    Character,
}

impl AeTitle {
    /// Takes the title out of `text`, in which spaces at either end mean nothing.
    ///
    /// # Errors
    /// [`AeTitleError`].
    ///
    /// ```
    /// use clavicle_dimse::AeTitle;
    /// assert_eq!(AeTitle::new("CT 1 ").expect("it is one").as_str(), "CT 1");
    /// assert!(AeTitle::new("SEVENTEEN LETTERS").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, AeTitleError> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(AeTitleError::Empty);
        }
        if !text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\') {
            return Err(AeTitleError::Character);
        }
        if text.len() > 16 {
            return Err(AeTitleError::TooLong);
        }
        Ok(Self(text.to_owned()))
    }

    /// The title.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a field that is padded, of an association request or of file meta information. Some systems pad with NUL, some with NUL and spaces in any
    /// order, and some write a NUL behind the title and leave there what was there before.
    pub(super) fn of_field(field: &[u8]) -> Result<Self, AeTitleError> {
        let begin = field.iter().position(|byte| !matches!(byte, 0 | b' ')).unwrap_or(field.len());
        let text = field[begin..].split(|byte| *byte == 0).next().unwrap_or_default();
        Self::new(core::str::from_utf8(text).map_err(|_| AeTitleError::Character)?)
    }

    /// The field of an association request.
    pub(super) fn field(&self) -> [u8; 16] {
        let mut field = [b' '; 16];
        field[..self.0.len()].copy_from_slice(self.0.as_bytes());
        field
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_however_it_is_padded() {
        let pads: [&[u8; 16]; 8] = [
            b"CT 1            ",
            b"CT 1\0\0\0\0\0\0\0\0\0\0\0\0",
            b"CT 1\0           ",
            b"CT 1\0\0\0\0        ",
            b"CT 1    \0\0\0\0\0\0\0\0",
            b"CT 1 \0 \0 \0 \0 \0 \0",
            b"\0 CT 1 \0        ",
            b"CT 1\0\xff\xfeOLDNAMEXY",
        ];
        for field in pads {
            assert_eq!(AeTitle::of_field(field).map(|title| title.0), Ok("CT 1".to_owned()), "{field:?}");
        }
        assert_eq!(AeTitle::of_field(b"SIXTEEN  LETTERS").unwrap().as_str(), "SIXTEEN  LETTERS");
        for empty in [&[0; 16], &[b' '; 16], b"\0               "] {
            assert_eq!(AeTitle::of_field(empty), Err(AeTitleError::Empty));
        }
        assert_eq!(AeTitle::of_field(b"CT\n1            "), Err(AeTitleError::Character));
        assert_eq!(AeTitle::of_field(b"CT\xe9            \0"), Err(AeTitleError::Character));
    }
}
