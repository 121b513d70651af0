//! What nobody else on this machine may read: a relay's folder and all that is in it.
//!
//! Everything is made under a umask of 077, so that a new folder is private from the start. One that an earlier version made is tightened
//! when it is opened, which is said once. Keys are never tightened in silence: whoever could read them may have done so.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::process::umask;

use crate::home::Home;

/// The bits that are others': group and everybody.
pub(crate) const OTHERS: u32 = 0o077;

/// Why a folder cannot be made private.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// It is another user's.
    #[error(
        "others on this machine can read {path}, and this user may not change that: `chmod go= {path}` as its owner"
    )]
    Open {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// Makes all that this process makes private. To be called before anything else, and before there is a second thread.
pub fn from_now_on() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Makes private what an earlier version, or somebody since, left open to others: what was, in words for a person.
///
/// # Errors
/// [`PrivateError`].
pub(crate) fn tighten(home: &Home) -> Result<Vec<PathBuf>, PrivateError> {
    let folders = [
        home.folder().to_owned(),
        home.keys_folder(),
        home.archive_folder(),
        home.incoming_folder(),
        home.quarantine_folder(),
        home.consensus_folder(),
    ];
    let record = home.quarantine_folder().with_extension("jsonl");
    let refusals = home.refusals_file();
    let before = refusals.with_extension("1.jsonl");
    let files = home.stores().into_iter().chain([
        home.settings_file(),
        home.credentials_file(),
        record,
        home.recoveries_file(),
        refusals,
        before,
    ]);
    let mut tightened = Vec::new();
    for path in folders.into_iter().chain(files) {
        // What is not there yet will be private.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let mode = metadata.permissions().mode();
        if mode & OTHERS != 0 {
            let private = Permissions::from_mode(mode & !OTHERS & 0o7777);
            fs::set_permissions(&path, private).map_err(|error| PrivateError::Open { path: path.clone(), error })?;
            tightened.push(path);
        }
    }
    Ok(tightened)
}
