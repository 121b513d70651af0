//! The quarantine: files that came by themselves and cannot be taken in, each beside a sentence that says why.
//!
//! ```text
//! quarantine/1764316800000-0000000000000005.dcm   the bytes, as they came
//! quarantine/1764316800000-0000000000000005.txt   why, and who sent it
//! ```
//!
//! It is bounded in all and for each sender ([`Shares`]). What was acknowledged to its sender is kept whatever there is. A sender that has used up a
//! quarter of it, or its address half, may send nothing more, and is told so; what others have in it keeps nobody out. What was not
//! acknowledged, and does not fit, is refused, and is its sender's to keep.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clavicle_ledger::time::{LocalTime, Timestamp};
use serde::{Deserialize, Serialize};

use crate::room::{Sender, Shares};

/// Most files in it: each costs as much of the room in it at least as one of so many may.
const MOST: u64 = 10_000;
/// How often it is looked at whether its operator has cleared it.
const SELDOM: Duration = Duration::from_secs(10);

/// What the line of the sender begins with.
const FROM: &str = "from ";

/// The folder.
#[derive(Debug)]
pub struct Quarantine {
    folder: PathBuf,
    limit: u64,
    shares: Mutex<(Shares, Instant)>,
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
    /// Who sent it: an address and an AE title, as far as known.
    pub from: Option<String>,
}

impl Quarantine {
    /// Opens the folder, which need not be there, for `limit` bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        let shares = Mutex::new((Shares::new(limit, limit / MOST), Instant::now()));
        let quarantine = Self { folder: folder.to_owned(), limit, shares };
        quarantine.count_again(&mut quarantine.shares())?;
        Ok(quarantine)
    }

    fn shares(&self) -> MutexGuard<'_, (Shares, Instant)> {
        // Counts, which are taken anew now and then.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_again(&self, shares: &mut (Shares, Instant)) -> io::Result<()> {
        let mut counted = Shares::new(self.limit, self.limit / MOST);
        for row in self.rows()? {
            counted.add(row.from.as_deref().and_then(Sender::of_line).as_ref(), row.size);
        }
        *shares = (counted, Instant::now());
        Ok(())
    }

    /// Whether a file of so many bytes fits what this sender may have in it.
    #[must_use]
    pub fn fits(&self, sender: &Sender, bytes: u64) -> bool {
        self.in_shares(|shares| shares.fits(sender, bytes))
    }

    /// Whether this sender has used up what it may have in it, whatever others have.
    #[must_use]
    pub fn is_used_up(&self, sender: &Sender) -> bool {
        !self.in_shares(|shares| !shares.is_used_up(sender))
    }

    /// Whether there is room, in what is counted anew before that is denied.
    fn in_shares(&self, is_room: impl Fn(&Shares) -> bool) -> bool {
        let mut shares = self.shares();
        if !is_room(&shares.0) && shares.1.elapsed() >= SELDOM {
            // Its operator may have cleared it in the meantime. If that cannot be seen, it did not.
            self.count_again(&mut shares).ok();
        }
        is_room(&shares.0)
    }

    /// Bytes in it, as they are counted.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.shares().0.used()
    }

    /// Moves a file into it, whether it fits or not.
    ///
    /// # Errors
    /// When it cannot be moved; it is then where it was.
    pub fn keep(&self, path: &Path, reason: &str, sender: Option<&Sender>, now: LocalTime) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let size = fs::metadata(path)?.len();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{:013}-{stem}", now.0.0);
        // The reason first: a file without one would say nothing.
        let from = sender.map(|sender| format!("{FROM}{}\n", sender.line())).unwrap_or_default();
        fs::write(self.folder.join(format!("{name}.txt")), format!("{reason}\n{from}"))?;
        fs::rename(path, self.folder.join(format!("{name}.dcm")))?;
        self.shares().0.add(sender, size);
        Ok(())
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
        let text = fs::read_to_string(path.with_extension("txt")).unwrap_or_else(|_| "the reason is lost".into());
        let (reason, from) = match text.trim_end().rsplit_once('\n') {
            Some((reason, last)) if last.starts_with(FROM) => (reason.to_owned(), Some(last[FROM.len()..].to_owned())),
            _ => (text, None),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let came_ms = name.split('-').next().and_then(|time| time.parse().ok()).unwrap_or_default();
        Ok(Self { size: fs::metadata(&path)?.len(), reason: reason.trim_end().to_owned(), from, came_ms, path })
    }

    /// The file in a line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { path, came_ms, size, reason, from } = self;
        let from = from.as_ref().map(|from| format!(" (from {from})")).unwrap_or_default();
        format!("{}  {size:>10} bytes  {}: {reason}{from}", Timestamp(*came_ms), path.display())
    }
}
