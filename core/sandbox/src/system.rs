//! What differs from system to system when a file is opened and looked at. The one module that knows.

#[cfg(not(any(unix, windows)))]
compile_error!("there is neither Unix nor Windows here, and no telling how a file is opened without following a link");

#[cfg(unix)]
pub(crate) use unix::{open, state};
#[cfg(windows)]
pub(crate) use windows::{open, state};

#[cfg(unix)]
mod unix {
    use std::fs::{File, Metadata, OpenOptions};
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    use std::path::Path;

    use rustix::fs::OFlags;
    use rustix::io::Errno;

    use crate::read_error::ReadError;

    /// Opens a file; neither is a link followed, nor is it waited for somebody to write into a pipe.
    pub(crate) fn open(path: &Path) -> Result<File, ReadError> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| {
            match Errno::from_io_error(&error) {
                Some(Errno::LOOP) => ReadError::Link,
                // A socket, or a device that is not there.
                Some(Errno::NXIO) => ReadError::NotAFile,
                _ => ReadError::Io(error),
            }
        })
    }

    /// What tells one state of one file from another.
    pub(crate) fn state(metadata: &Metadata) -> [i64; 5] {
        let len = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        [len, metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()]
    }
}

#[cfg(windows)]
mod windows {
    use std::fs::{File, Metadata, OpenOptions};
    use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
    use std::path::Path;

    use crate::read_error::ReadError;

    /// `FILE_FLAG_OPEN_REPARSE_POINT`: a link is opened, and not what it leads to.
    const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

    /// Opens a file; no link is followed.
    pub(crate) fn open(path: &Path) -> Result<File, ReadError> {
        let opened = OpenOptions::new().read(true).custom_flags(OPEN_REPARSE_POINT).open(path);
        let file = opened.map_err(ReadError::Io)?;
        if file.metadata().map_err(ReadError::Io)?.is_symlink() { Err(ReadError::Link) } else { Ok(file) }
    }

    /// What tells one state of one file from another.
    pub(crate) fn state(metadata: &Metadata) -> [u64; 2] {
        [metadata.file_size(), metadata.last_write_time()]
    }
}
