//! A look at the engine's write-ahead log before the engine opens it.
//!
//! An entry is a flag, a length, a checksum and its bytes. The engine compares checksums when it replays, and refuses to go
//! on when one does not match. But where a length leads beyond the end of the file, it takes the rest for a write that a crash
//! cut off, and cuts it off as well: damage to a length in the middle would silently make it forget votes. A write that
//! was cut off has a length that an entry can have; damage, more often than not, has not.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, Write as _};
use std::path::Path;

/// The log's name in the engine's folder.
pub const LOG_FILE: &str = "consensus.wal";

/// Version and height.
const HEADER_LEN: u64 = 4 + 8;
/// The engine's own.
const VERSION: u32 = 1;
/// Flag, length and checksum.
const ENTRY_HEADER_LEN: u64 = 1 + 8 + 4;
/// The longest entry is a certificate of the largest validator set.
const MAX_ENTRY_LEN: u64 = 1024 * 1024;

/// Why a log must not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// It cannot be read.
    #[error("the write-ahead log, {LOG_FILE}, cannot be read")]
    Read(#[source] io::Error),
    /// It is damaged: what this validator voted for may be lost.
    #[error("the write-ahead log, {LOG_FILE}, is damaged at byte {at}; voting again might be voting twice")]
    Damaged {
        /// Where.
        at: u64,
    },
}

/// Makes an empty log, as the engine would, unless there is one: so that one which is lost later can be missed. It is on the disk when this returns.
///
/// # Errors
/// The file's.
pub fn make_log(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|found| found.len() >= HEADER_LEN) {
        return Ok(());
    }
    let mut file = File::create(path)?;
    file.write_all(&[&VERSION.to_be_bytes()[..], &[0; 8]].concat())?;
    file.sync_all()
}

/// Checks that a log, if there is one, can be followed from its beginning to its end or to a write that was cut off.
pub(crate) fn check(path: &Path) -> Result<(), LogError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(LogError::Read(error)),
    };
    let len = file.metadata().map_err(LogError::Read)?.len();
    let (mut file, mut at) = (BufReader::new(file), HEADER_LEN);
    if len >= 4 {
        let mut version = [0; 4];
        file.read_exact(&mut version).map_err(LogError::Read)?;
        if u32::from_be_bytes(version) != VERSION {
            return Err(LogError::Damaged { at: 0 });
        }
    }
    while at.saturating_add(ENTRY_HEADER_LEN) <= len {
        file.seek(io::SeekFrom::Start(at)).map_err(LogError::Read)?;
        let (mut flag, mut length) = ([0; 1], [0; 8]);
        file.read_exact(&mut flag).and_then(|()| file.read_exact(&mut length)).map_err(LogError::Read)?;
        let length = u64::from_be_bytes(length);
        if flag[0] > 1 || length == 0 || length > MAX_ENTRY_LEN {
            return Err(LogError::Damaged { at });
        }
        at = at.saturating_add(ENTRY_HEADER_LEN).saturating_add(length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(len: usize) -> Vec<u8> {
        [&[0][..], &(len as u64).to_be_bytes(), &[9; 4], &vec![7; len]].concat()
    }

    fn log(entries: &[Vec<u8>]) -> Vec<u8> {
        [&VERSION.to_be_bytes()[..], &[0; 8], &entries.concat()].concat()
    }

    fn checked(bytes: &[u8]) -> Result<(), LogError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, bytes).unwrap();
        check(&path)
    }

    #[test]
    fn a_log_that_was_cut_off_anywhere_is_sound() {
        let bytes = log(&[entry(100), entry(3), entry(50)]);
        for len in 0..=bytes.len() {
            assert!(checked(&bytes[..len]).is_ok(), "cut to {len}");
        }
        assert!(check(Path::new("/nowhere/at/all")).is_ok());
    }

    #[test]
    fn a_log_that_was_made_is_empty_and_sound_and_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "cut").unwrap();
        make_log(&path).unwrap();
        assert!(check(&path).is_ok());
        let written = [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2][..], &entry(9)].concat();
        std::fs::write(&path, &written).unwrap();
        make_log(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), written);
    }

    #[test]
    fn a_length_that_none_can_have_is_damage() {
        let mut bytes = log(&[]);
        bytes[3] = 2;
        assert!(matches!(checked(&bytes), Err(LogError::Damaged { at: 0 })), "another version");
        let first = HEADER_LEN as usize;
        for (at, byte) in [(first, 2), (first + 1, 1), (first + 5, 1), (first + 8, 0)] {
            let mut bytes = log(&[entry(100), entry(3)]);
            bytes[at] = byte;
            assert!(matches!(checked(&bytes), Err(LogError::Damaged { at: HEADER_LEN })), "{byte} at {at}");
        }
    }
}
