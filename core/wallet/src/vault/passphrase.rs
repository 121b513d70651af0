//! A passphrase, from wherever its owner gives it to where it opens the vault.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use zeroize::Zeroizing;
use zxcvbn::Score;

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
    /// One that could be guessed.
    #[error(
        "this passphrase could be guessed, and nothing was made: take four words that have nothing to do with each other{help}"
    )]
    Weak {
        /// What would help, beside that.
        help: String,
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
    pub fn new(typed: impl Into<Zeroizing<String>>) -> Result<Self, PassphraseError> {
        let typed = typed.into();
        if typed.is_empty() { Err(PassphraseError::Empty) } else { Ok(Self(typed)) }
    }

    /// Refuses what could be guessed, for a new vault: whoever has its file can try as often as they like. One that exists opens with whatever
    /// it was made with.
    ///
    /// # Errors
    /// [`PassphraseError::Weak`], with what would help.
    pub fn check_new(&self) -> Result<(), PassphraseError> {
        let strength = zxcvbn::zxcvbn(&self.0, &["clavicle"]);
        if strength.score() >= Score::Three {
            return Ok(());
        }
        let warning = strength.feedback().and_then(|feedback| feedback.warning());
        let help = warning.map_or_else(String::new, |warning| format!(". {warning}"));
        Err(PassphraseError::Weak { help: help.trim_end_matches('.').to_owned() })
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
    fn a_new_one_that_could_be_guessed_is_refused() {
        let refused = |text: &str| Passphrase::new(text.to_owned()).unwrap().check_new();
        let long = "long ".repeat(800);
        for weak in
            ["a", "4711", "password", "qwertz123", "Clavicle2026", "aaaaaaaaaaaaaaaaaaaaaaaa", "1953-01-17", &long]
        {
            let Err(PassphraseError::Weak { .. }) = refused(weak) else { panic!("{weak}") };
        }
        let said = refused("a").unwrap_err().to_string();
        assert!(said.contains("take four words"), "{said}");
        for good in ["four words of one person", "velvet otter drinks quarry", "zwölf Boxkämpfer jagen"] {
            assert!(refused(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", Passphrase::new("sesame".to_owned()).unwrap()), "Passphrase(…)");
    }
}
