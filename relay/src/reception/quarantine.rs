//! The quarantine: files that came by themselves and cannot be taken in, each beside a sentence that says why.
//!
//! ```text
//! quarantine/1764316800000-0000000000000005.dcm   the bytes, as they came
//! quarantine/1764316800000-0000000000000005.txt   why
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use clavicle_ledger::time::{LocalTime, Timestamp};
use serde::{Deserialize, Serialize};

/// Most files in it. From then on senders are told that there is no room.
const MOST: usize = 10_000;

/// The folder.
#[derive(Debug)]
pub struct Quarantine {
    folder: PathBuf,
    count: AtomicUsize,
}

/// A file in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRow {
    /// The file.
    #[serde(serialize_with = "crate::path::lossy")]
    pub path: PathBuf,
    /// When it came, in ms since 1970.
    pub came_ms: u64,
    /// Its bytes.
    pub size: u64,
    /// Why it is here.
    pub reason: String,
}

impl Quarantine {
    /// Opens the folder, which need not be there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let quarantine = Self { folder: folder.to_owned(), count: AtomicUsize::new(0) };
        quarantine.count.store(quarantine.rows()?.len(), Ordering::Relaxed);
        Ok(quarantine)
    }

    /// Moves a file into it.
    ///
    /// # Errors
    /// When it cannot be moved; it is then where it was.
    pub fn keep(&self, path: &Path, reason: &str, now: LocalTime) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{:013}-{stem}", now.0.0);
        // The reason first: a file without one would say nothing.
        fs::write(self.folder.join(format!("{name}.txt")), format!("{reason}\n"))?;
        fs::rename(path, self.folder.join(format!("{name}.dcm")))?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether nothing more fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        // Its operator may have cleared it in the meantime.
        self.count.load(Ordering::Relaxed) >= MOST
            && self.rows().map_or(true, |rows| {
                self.count.store(rows.len(), Ordering::Relaxed);
                rows.len() >= MOST
            })
    }

    /// What is in it, the oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn rows(&self) -> io::Result<Vec<QuarantineRow>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut rows = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "dcm") {
                rows.push(QuarantineRow::of(path)?);
            }
        }
        rows.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(rows)
    }
}

impl QuarantineRow {
    fn of(path: PathBuf) -> io::Result<Self> {
        let reason = fs::read_to_string(path.with_extension("txt")).unwrap_or_else(|_| "the reason is lost".into());
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let came_ms = name.split('-').next().and_then(|time| time.parse().ok()).unwrap_or_default();
        Ok(Self { size: fs::metadata(&path)?.len(), reason: reason.trim_end().to_owned(), came_ms, path })
    }

    /// The file in a line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { path, came_ms, size, reason } = self;
        format!("{}  {size:>10} bytes  {}: {reason}", Timestamp(*came_ms), path.display())
    }
}
