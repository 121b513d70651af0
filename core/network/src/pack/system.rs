//! What differs between operating systems: reading and writing at a place in a file, and forcing a folder's names to the disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// Reads all of `into` from a place on, wherever others read or write.
#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

/// Writes all of `bytes` from a place on, wherever others read or write.
#[cfg(unix)]
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Forces to the disk which names there are in a folder.
#[cfg(unix)]
pub(super) fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Reads all of `into` from a place on, wherever others read or write.
#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, into, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => {
                into = into.split_at_mut(len).1;
                offset = offset.saturating_add(len as u64);
            }
        }
    }
    Ok(())
}

/// Writes all of `bytes` from a place on, wherever others read or write.
#[cfg(windows)]
pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            len => {
                bytes = bytes.split_at(len).1;
                offset = offset.saturating_add(len as u64);
            }
        }
    }
    Ok(())
}

/// A folder cannot be forced to the disk; what is renamed in it is written through.
#[cfg(windows)]
pub(super) fn sync_names(_: &Path) -> io::Result<()> {
    Ok(())
}
