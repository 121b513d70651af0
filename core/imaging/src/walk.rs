//! The walk through a folder: in the order of names, so that two walks agree on which file comes first.

use std::fs;
use std::path::{Path, PathBuf};

use clavicle_sandbox::ReadError;

use crate::reason::{IntakeError, MAX_DEPTH, MAX_FILES, Quarantined, Reason};

/// The files below `root`, which may itself be one, and what is there beside files.
///
/// # Errors
/// [`IntakeError`] when `root` itself cannot be read, or holds too much.
pub fn files(root: &Path) -> Result<(Vec<PathBuf>, Vec<Quarantined>), IntakeError> {
    let kind = fs::metadata(root).map_err(IntakeError::Folder)?;
    if kind.is_file() {
        // The one place where a link is followed: who gives it means what it leads to.
        return Ok((vec![fs::canonicalize(root).map_err(IntakeError::Folder)?], Vec::new()));
    }
    let mut walk = Walk::default();
    walk.folder(root, 0).map_err(|reason| match reason {
        Reason::Read(ReadError::Io(error)) => IntakeError::Folder(error),
        _ => IntakeError::TooManyFiles,
    })?;
    Ok((walk.files, walk.quarantined))
}

#[derive(Default)]
struct Walk {
    files: Vec<PathBuf>,
    quarantined: Vec<Quarantined>,
}

impl Walk {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), Reason> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(ReadError::Io)? {
            entries.push(entry.map_err(ReadError::Io)?);
            if entries.len() + self.files.len() + self.quarantined.len() > MAX_FILES {
                return Err(Reason::TooManyFiles);
            }
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // Of the entry itself: a link could lead anywhere, and in circles.
            let verdict = match entry.file_type() {
                Err(error) => Err(ReadError::Io(error).into()),
                Ok(kind) if kind.is_symlink() => Err(ReadError::Link.into()),
                Ok(kind) if kind.is_dir() && depth >= MAX_DEPTH => Err(Reason::TooDeep),
                Ok(kind) if kind.is_dir() => self.folder(&path, depth + 1),
                Ok(kind) if kind.is_file() => {
                    self.files.push(path.clone());
                    Ok(())
                }
                Ok(_) => Err(ReadError::NotAFile.into()),
            };
            match verdict {
                Ok(()) => {}
                Err(Reason::TooManyFiles) => return Err(Reason::TooManyFiles),
                Err(reason) => self.quarantined.push(Quarantined { path, reason }),
            }
        }
        Ok(())
    }
}
