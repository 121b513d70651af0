//! Files that are whole or not there, and never take the place of another.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Whoever the system lets, as a rule.
    Usual,
    /// Its owner alone.
    Owner,
}

/// Refuses a name that something has already, and one in a folder that is none: before work is done that would be for nothing.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::NotFound`].
pub fn is_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(_) => return Err(taken()),
    }
    if folder_of(path).is_dir() { Ok(()) } else { Err(nowhere()) }
}

/// The folder that a file is, or would be, in.
fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| *folder != Path::new("")).map_or_else(|| PathBuf::from("."), Into::into)
}

fn nowhere() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "there is no such folder; make it first, or choose another place")
}

/// Writes a new file. What has its name already stays as it is, a link, too; if that holds the same bytes, all is well.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when it is something else, and what the system says.
pub fn write_new(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(nowhere());
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".clavicle-coming-");
    #[cfg(unix)]
    if readers == Readers::Usual {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = readers;
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
            let is_same = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64)
                && fs::read(path).is_ok_and(|found| found == bytes);
            if is_same { Ok(()) } else { Err(taken()) }
        }
        Err(refused) => Err(refused.error),
    }
}

/// A path as text, for an answer to programs. A path is bytes: what is no UTF-8 in it is marked, where turning it into JSON as it is would fail.
#[must_use]
pub fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn taken() -> io::Error {
    let why =
        "something else has that name already, and nothing is written over it; choose another name, or move it away";
    io::Error::new(io::ErrorKind::AlreadyExists, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_utf_8_is_text_all_the_same() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"M\xfcller/1.dcm"));
        assert_eq!(path_text(path), "M\u{fffd}ller/1.dcm");
    }

    #[test]
    fn a_file_that_is_there_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        write_new(&path, b"mine", Readers::Usual).unwrap();
        write_new(&path, b"mine", Readers::Owner).unwrap();
        for other in [&b"more"[..], b"", b"another"] {
            assert_eq!(write_new(&path, other, Readers::Usual).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert!(is_free(&path).is_err() && is_free(&folder.path().join("two")).is_ok());
        // A code was given out, and the one before it void, when it turned out that the folder for its picture is not there.
        let nowhere = folder.path().join("nowhere/two");
        for refused in [is_free(&nowhere), write_new(&nowhere, b"mine", Readers::Usual)] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::NotFound);
            assert!(refused.to_string().starts_with("there is no such folder"), "{refused}");
        }
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link_nor_read_from_a_pipe() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("mine"), "mine").unwrap();
        symlink(path("mine"), path("link")).unwrap();
        symlink(path("nothing"), path("dangling")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        for name in ["link", "dangling", "pipe"] {
            assert!(is_free(&path(name)).is_err(), "{name}");
            let refused = write_new(&path(name), b"other", Readers::Usual).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        assert!(!path("nothing").exists());
        assert_eq!(fs::read(path("mine")).unwrap(), b"mine");
        write_new(&path("secret"), b"ticket", Readers::Owner).unwrap();
        assert_eq!(fs::metadata(path("secret")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
