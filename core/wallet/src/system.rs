//! What differs from one operating system to the other: whose a file is, and how much is forced to the disk. Nothing else in this crate asks for the system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// A file for its owner alone, where the system knows owners.
pub(crate) fn owners(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes a folder for its owner alone, or makes one that is there so.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return make_private(folder);
    }
    #[cfg(unix)]
    return std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(folder);
    #[cfg(not(unix))]
    fs::create_dir(folder)
}

/// Takes others' rights to a folder away, where it has any: what is in it is sealed, and nobody else's all the same.
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode & 0o7700))?;
        }
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Forces the names in a folder to the disk, where the system has them apart from the files.
pub(crate) fn sync_names(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Forces every file in a folder to the disk, of which `one` is open: all at once where the system can.
pub(crate) fn sync_files(folder: &Path, one: &File) -> io::Result<()> {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        let _ = folder;
        Ok(rustix::fs::syncfs(one)?)
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    {
        for entry in fs::read_dir(folder)? {
            // Windows forces a file only for who may write it.
            OpenOptions::new().write(true).open(entry?.path())?.sync_all()?;
        }
        one.sync_all()
    }
}
