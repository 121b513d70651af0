//! Files that take another's place. Whenever a kill or a power cut comes, what stands under the name is the one or the
//! other, and whole; when these return, it is the new one, also after a power cut. What is not whole is called
//! `….part`; a kill leaves it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes a file in the place of the one that has its name, if one has.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_by_way_of(folder_of(path), path, bytes)
}

/// The same, where until it is whole the file lies in another folder of the same disk: what a kill leaves is not to lie
/// beside it.
pub(crate) fn write_by_way_of(coming: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().suffix(".part").tempfile_in(coming)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_names(folder_of(path))
}

/// Gives a file its name, whose bytes are on the disk, in the place of the one that has it.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_names(folder_of(to))
}

/// Forces to the disk which names there are in a folder.
pub(crate) fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_another_files_place_is_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("file"), folder.path().join("beside"));
        fs::create_dir(&beside).unwrap();
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        write_by_way_of(&beside, &path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!((fs::read_dir(folder.path()).unwrap().count(), fs::read_dir(&beside).unwrap().count()), (2, 0));
        // What cannot take its place leaves it as it was, and nothing beside it.
        fs::write(beside.join("in the way"), "").unwrap();
        write(&beside, b"four").unwrap_err();
        rename(&path, &beside).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        rename(&path, &folder.path().join("other")).unwrap();
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"three");
    }
}
