//! Files that are on no disk, where the system has such.

use std::fs::File;
use std::io::{self, Read, Seek as _};

/// An empty file in memory, gone when it is closed.
pub(crate) fn blank() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{MemfdFlags, memfd_create};
        Ok(File::from(memfd_create("image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?))
    }
    // Elsewhere one without a name, which is gone with this process.
    #[cfg(not(target_os = "linux"))]
    tempfile::tempfile()
}

/// A file in memory with these bytes, which nobody changes who gets hold of it: it is handed to processes that may fall to what is in it.
///
/// # Errors
/// When there is no such file to be had, or `bytes` end in an error.
pub fn of(bytes: &mut impl Read) -> io::Result<File> {
    let mut file = blank()?;
    io::copy(bytes, &mut file)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{SealFlags, fcntl_add_seals};
        fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    }
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_in_memory_is_read_and_not_changed() {
        let mut file = of(&mut b"pixels".as_slice()).unwrap();
        assert!(file.write_all(b"other").is_err() && file.set_len(3).is_err() && file.set_len(9).is_err());
        assert_eq!(io::read_to_string(file).unwrap(), "pixels");
    }
}
