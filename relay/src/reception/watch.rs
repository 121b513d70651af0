//! A watched folder: files that somebody else puts there, and that are read when nothing writes to them any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clavicle_imaging::walk;
use tracing::warn;

use crate::loggable::{file_name, without_uids};
use crate::seldom::seldom;

/// A folder, and what was seen in it.
#[derive(Debug)]
pub(super) struct Watched {
    folder: PathBuf,
    files: BTreeMap<PathBuf, Seen>,
    /// What is there and no file, or too deep, as it was said.
    unseen: BTreeSet<PathBuf>,
    is_readable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    len: u64,
    modified: Option<SystemTime>,
    is_done: bool,
}

impl Watched {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: BTreeMap::new(), unseen: BTreeSet::new(), is_readable: true }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Files that are the same as at the last look, and were not given before as they are now.
    pub(super) fn ready(&mut self) -> Vec<PathBuf> {
        let files = walk::files(&self.folder);
        if files.is_ok() != self.is_readable {
            self.is_readable = files.is_ok();
            if let Err(error) = &files {
                warn!(%error, folder = %self.folder.display(), "a watched folder cannot be read");
            }
        }
        let Ok((files, unseen)) = files else { return Vec::new() };
        let before = std::mem::replace(&mut self.unseen, unseen.iter().map(|one| one.path.clone()).collect());
        for one in unseen.iter().filter(|one| !before.contains(&one.path)) {
            let (file, folder, why) =
                (file_name(&one.path), self.folder.display(), without_uids(&one.reason.to_string()));
            seldom!(warn!(file, %folder, why, "something in a watched folder is not looked at"));
        }
        let mut ready = Vec::new();
        let mut now = BTreeMap::new();
        for path in files {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let mut seen = Seen { len: metadata.len(), modified: metadata.modified().ok(), is_done: false };
            if let Some(before) = self.files.get(&path)
                && (before.len, before.modified) == (seen.len, seen.modified)
            {
                seen.is_done = true;
                if !before.is_done {
                    ready.push(path.clone());
                }
            }
            now.insert(path, seen);
        }
        self.files = now;
        ready
    }

    /// Gives these files again at the next look, since they could not be taken in.
    pub(super) fn again(&mut self, files: &[PathBuf]) {
        for path in files {
            if let Some(seen) = self.files.get_mut(path) {
                seen.is_done = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is read through a link, and nobody waits for what comes out of a pipe.
    #[test]
    fn links_and_pipes_are_never_ready() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |name: &str| folder.path().join(name);
        fs::write(elsewhere.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("secret"), path("link")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), path("folder")).unwrap();
        std::os::unix::fs::symlink(folder.path(), path("circle")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        fs::write(path("file"), "one").unwrap();
        let mut watched = Watched::new(folder.path());
        assert!(watched.ready().is_empty());
        assert_eq!(watched.ready(), [path("file")]);
        // One that becomes a link while it is watched is not taken through it.
        fs::remove_file(path("file")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("secret"), path("file")).unwrap();
        (0..3).for_each(|_| assert!(watched.ready().is_empty()));
    }

    #[test]
    fn a_file_is_ready_once_and_only_when_nothing_writes_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let mut watched = Watched::new(folder.path());
        fs::write(&a, "one").unwrap();
        assert!(watched.ready().is_empty(), "it may still be written to");
        fs::write(&a, "longer").unwrap();
        fs::write(&b, "two").unwrap();
        assert!(watched.ready().is_empty());
        assert_eq!(watched.ready(), [a.clone(), b]);
        assert!(watched.ready().is_empty());
        watched.again(&[a.clone(), folder.path().join("elsewhere")]);
        assert_eq!(watched.ready(), std::slice::from_ref(&a));
        assert!(watched.ready().is_empty());
        fs::write(&a, "and longer").unwrap();
        assert!(watched.ready().is_empty());
        assert_eq!(watched.ready(), [a]);
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(watched.ready().is_empty());
    }
}
