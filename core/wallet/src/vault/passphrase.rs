//! A passphrase, from wherever its owner gives it to where it opens the vault.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use zeroize::Zeroizing;

/// The longest file that is read as a passphrase, in bytes.
const MAX_LEN: usize = 4 * 1024;

/// What opens a vault. Wiped when dropped; never shown.
pub struct Passphrase(Zeroizing<String>);

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing was given.
    #[error("the passphrase is empty, so that anyone could open the vault; choose one of several words")]
    Empty,
    /// The file could not be read.
    #[error("the passphrase could not be read from {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{0} does not hold a passphrase: a line of text, of {MAX_LEN} bytes at most")]
    NotText(PathBuf),
}

impl Passphrase {
    /// Takes what was typed, to the letter.
    ///
    /// # Errors
    /// [`PassphraseError::Empty`].
    pub fn new(typed: String) -> Result<Self, PassphraseError> {
        let typed = Zeroizing::new(typed);
        if typed.is_empty() { Err(PassphraseError::Empty) } else { Ok(Self(typed)) }
    }

    /// Reads a file that holds the passphrase and nothing else. One line break at its end is not part of it.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn read(path: &Path) -> Result<Self, PassphraseError> {
        // Room for all of it at once, so that nothing is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 1));
        File::open(path)
            .and_then(|file| file.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| PassphraseError::File { path: path.to_owned(), error })?;
        let text = std::str::from_utf8(&bytes).ok().filter(|_| bytes.len() <= MAX_LEN);
        let text = text.ok_or_else(|| PassphraseError::NotText(path.to_owned()))?;
        let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        Self::new(line.to_owned())
    }

    /// As age takes it.
    pub(super) fn secret(&self) -> SecretString {
        // An exact copy, so that nothing is moved, and left behind, when age boxes it.
        SecretString::from(self.0.as_str().to_owned())
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_line_break_at_the_end_of_a_file_is_not_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pw");
        for (written, read) in [("four words", "four words"), ("a\n", "a"), ("a\r\n", "a"), ("a \n\n", "a \n")] {
            fs::write(&path, written).unwrap();
            assert_eq!(*Passphrase::read(&path).unwrap().0, read);
        }
    }

    #[test]
    fn nothing_binary_and_too_much_are_no_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pw");
        assert!(matches!(Passphrase::new(String::new()), Err(PassphraseError::Empty)));
        assert!(matches!(Passphrase::read(&path), Err(PassphraseError::File { .. })));
        fs::write(&path, "\n").unwrap();
        assert!(matches!(Passphrase::read(&path), Err(PassphraseError::Empty)));
        for wrong in [&b"\xff\xfe"[..], &[b'a'; MAX_LEN + 1]] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(Passphrase::read(&path), Err(PassphraseError::NotText(_))));
        }
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", Passphrase::new("sesame".into()).unwrap()), "Passphrase(…)");
    }
}
