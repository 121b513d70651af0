//! The quarantine: files that came by themselves and cannot be taken in, each beside a sentence that says why.
//!
//! ```text
//! quarantine/1764316800000-0000000000000005.dcm   the bytes, as they came
//! quarantine/1764316800000-0000000000000005.txt   why, who sent it, and what it was called
//! quarantine/….part                               a copy that is not whole; whatever a kill left is cleared at the next start
//! quarantine.jsonl                                what was released and deleted: who, when and why; see [`record`]
//! ```
//!
//! What was received is moved into it; of what lies in a watched folder there is a copy in it, and the file stays where it is. A file is there with its
//! reason, or not there. It leaves when it was taken into the archive or somebody decided that it goes, and both are on record first.
//!
//! It is bounded in all and for each sender ([`Shares`]). What was acknowledged to its sender is kept whatever there is. A sender that has used up a
//! quarter of it, or its address half, may send nothing more, and is told so; what others have in it keeps nobody out. What was not
//! acknowledged, and does not fit, is refused, and is its sender's to keep. Of watched folders nothing is copied once half of it is used.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_manifest::{StoredDigest, StoredHasher};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use self::record::Record;
pub use self::record::{Act, RecordLine};
use crate::replace::{self, sync_names};
use crate::room::{Room, Sender, Shares};

/// Most files in it: each costs as much of the room in it at least as one of so many may.
const MOST: u64 = 10_000;
/// How often it is looked at whether its operator has cleared it.
const SELDOM: Duration = Duration::from_secs(10);
/// Of so many files of watched folders that somebody deleted it is remembered that they were.
const MOST_DELETED: usize = 100_000;
/// Bytes that are copied at once, and after so many it is looked whether the disk has room.
const CHUNK: usize = 1 << 20;

/// What the lines behind the reason begin with.
const FROM: &str = "from ";
const FILE: &str = "file ";
const DIGEST: &str = "digest ";

/// The folder.
#[derive(Debug)]
pub struct Quarantine {
    folder: PathBuf,
    limit: u64,
    shares: Mutex<(Shares, Instant)>,
    record: Record,
    /// Files of watched folders that are in it or were deleted from it: they are not copied again.
    copied: Mutex<BTreeSet<StoredDigest>>,
    /// Held by whoever decides on files in it.
    deciding: Mutex<()>,
}

/// A file in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRow {
    /// Its name, by which it is released and deleted.
    #[serde(default)]
    pub name: String,
    /// The file.
    #[serde(serialize_with = "crate::path::lossy")]
    pub path: PathBuf,
    /// When it came, in ms since 1970.
    pub came_ms: u64,
    /// Its bytes.
    pub size: u64,
    /// Why it is here.
    pub reason: String,
    /// Who sent it: an address and an AE title, or a watched folder, as far as known.
    pub from: Option<String>,
    /// What it was called there, if it was called anything.
    #[serde(default)]
    pub file: Option<String>,
}

/// What became of a file of a watched folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// There is a copy in quarantine, under this name.
    New(String),
    /// There is one already, or somebody has deleted it.
    Before,
    /// There is no room for one.
    NoRoom,
}

/// Who does something, and why, in their words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub now: LocalTime,
}

impl Quarantine {
    /// Opens the folder, which need not be there, for `limit` bytes. What was decided before a kill and not done is done.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        let shares = Mutex::new((Shares::new(limit, limit / MOST), Instant::now()));
        let record = Record::at(folder.with_extension("jsonl"));
        let quarantine = Self {
            folder: folder.to_owned(),
            limit,
            shares,
            record,
            copied: Mutex::default(),
            deciding: Mutex::default(),
        };
        quarantine.finish()?;
        quarantine.count_again(&mut quarantine.shares())?;
        Ok(quarantine)
    }

    fn shares(&self) -> MutexGuard<'_, (Shares, Instant)> {
        // Counts, which are taken anew now and then.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copied(&self) -> MutexGuard<'_, BTreeSet<StoredDigest>> {
        // What a panic leaves out of it is copied once more.
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One decides on files in it at a time.
    pub fn deciding(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_again(&self, shares: &mut (Shares, Instant)) -> io::Result<()> {
        let mut counted = Shares::new(self.limit, self.limit / MOST);
        for row in self.rows()? {
            counted.add(row.sender().as_ref(), row.size);
        }
        *shares = (counted, Instant::now());
        Ok(())
    }

    /// Does what a kill kept from being done: clears what is not whole, and removes what the record says is gone.
    fn finish(&self) -> io::Result<()> {
        let (mut files, mut others) = (BTreeSet::new(), Vec::new());
        for path in entries(&self.folder)? {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("dcm") => {
                    files.insert(stem(&path));
                }
                Some("part" | "txt") => others.push(path),
                _ => {}
            }
        }
        let mut copied = self.copied();
        let mut gone: BTreeMap<String, String> = BTreeMap::new();
        self.record.each(|line| {
            if line.act == Act::Delete && copied.len() < MOST_DELETED {
                copied.extend(digest_of(&line.digest));
            }
            if line.act.is_end() && files.contains(&line.name) {
                gone.insert(line.name, line.digest);
            }
        })?;
        for (name, digest) in gone {
            // A name might be another file's by now; a digest is not.
            if hashed(&self.place(&name, "dcm"))?.1.to_string() == digest {
                self.remove(&name)?;
                files.remove(&name);
            }
        }
        // A reason is written before its file is there, and goes after it.
        for path in
            others.iter().filter(|path| path.extension().is_some_and(|it| it == "part") || !files.contains(&stem(path)))
        {
            absent_is_fine(fs::remove_file(path))?;
        }
        for name in &files {
            copied.extend(Beside::read(&self.place(name, "txt")).digest);
        }
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

    /// Whether a copy of a file of a watched folder fits, which stays where it is whether it does or not.
    #[must_use]
    pub fn has_room_for_copy(&self, bytes: u64) -> bool {
        let least = self.limit / MOST;
        self.in_shares(|shares| shares.used().saturating_add(bytes.max(least)) <= self.limit / 2)
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

    /// Moves a file into it, whether it fits or not, and says under which name.
    ///
    /// # Errors
    /// When it cannot be moved; it is then where it was.
    pub fn keep(&self, path: &Path, reason: &str, sender: Option<&Sender>, now: LocalTime) -> io::Result<String> {
        self.make()?;
        let size = fs::metadata(path)?.len();
        let name = self.name(now, &stem(path));
        // The reason first: a file without one would say nothing.
        Beside { reason: reason.to_owned(), from: sender.map(Sender::line), ..Beside::default() }
            .write(&self.place(&name, "txt"))?;
        replace::rename(path, &self.place(&name, "dcm"))?;
        self.shares().0.add(sender, size);
        Ok(name)
    }

    /// Copies a file of a watched folder into it. The file stays as it is, whatever happens.
    ///
    /// # Errors
    /// When it cannot be copied; there is then no copy.
    pub fn keep_copy(
        &self,
        path: &Path,
        watched: &Path,
        reason: &str,
        room: &Room,
        now: LocalTime,
    ) -> io::Result<Copied> {
        let mut copied = self.copied();
        let (size, digest) = hashed(path)?;
        if copied.contains(&digest) {
            return Ok(Copied::Before);
        }
        if !self.has_room_for_copy(size) || room.check(size).is_err() {
            return Ok(Copied::NoRoom);
        }
        self.make()?;
        let name = self.name(now, digest.to_string().get(..16).unwrap_or_default());
        let part = self.place(&name, "part");
        let written = || -> io::Result<_> {
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&part)?;
            // No more than there is room for, should it be growing.
            let found = copy(plain(path)?.take(size), &mut file)?;
            file.sync_data()?;
            Ok(found)
        };
        let (size, digest) = written().inspect_err(|_| drop(fs::remove_file(&part)))?;
        let beside = Beside {
            reason: reason.to_owned(),
            from: Some(format!("watched folder {}", watched.display())),
            file: Some(path.display().to_string()),
            digest: Some(digest),
        };
        beside.write(&self.place(&name, "txt"))?;
        replace::rename(&part, &self.place(&name, "dcm"))?;
        self.shares().0.add(None, size);
        copied.insert(digest);
        Ok(Copied::New(name))
    }

    /// What is in it, the oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn rows(&self) -> io::Result<Vec<QuarantineRow>> {
        let mut rows = Vec::new();
        for path in entries(&self.folder)? {
            if path.extension().is_some_and(|extension| extension == "dcm") {
                // Nothing if it has gone meanwhile.
                rows.extend(QuarantineRow::of(path)?);
            }
        }
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(rows)
    }

    /// The bytes of a file in it, hashed: how many, and to what.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hashed(&self, row: &QuarantineRow) -> io::Result<(u64, StoredDigest)> {
        hashed(&row.path)
    }

    /// Writes down what is done with a file, before it is done or when it is known what came of it.
    ///
    /// # Errors
    /// When it cannot be written; then it is not to be done.
    pub fn put_on_record(
        &self,
        row: &QuarantineRow,
        digest: StoredDigest,
        act: Act,
        decision: &Decision,
        outcome: Option<String>,
    ) -> io::Result<()> {
        let Decision { by, why, now } = decision.clone();
        let QuarantineRow { name, came_ms, size, reason, from, file, .. } = row.clone();
        let (at_ms, digest) = (now.0.0, digest.to_string());
        self.record.add(&[RecordLine { at_ms, act, name, digest, size, came_ms, from, file, reason, by, why, outcome }])
    }

    /// Lets a file go, once the record says that it is in the archive or deleted.
    ///
    /// # Errors
    /// When it cannot be removed; it is at the next start.
    pub fn let_go(&self, row: &QuarantineRow) -> io::Result<()> {
        self.remove(&row.name)?;
        self.shares().0.remove(row.sender().as_ref(), row.size);
        Ok(())
    }

    /// Says why a file is still here, after it was refused again.
    ///
    /// # Errors
    /// When that cannot be written; it says then what it said.
    pub fn say_again(&self, row: &QuarantineRow, reason: &str) -> io::Result<()> {
        let place = self.place(&row.name, "txt");
        Beside { reason: reason.to_owned(), ..Beside::read(&place) }.write(&place)
    }

    /// The last `most` lines of the record, and how many cannot be read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn lines(&self, most: usize) -> io::Result<(Vec<RecordLine>, usize)> {
        let mut lines = std::collections::VecDeque::new();
        let unreadable = self.record.each(|line| {
            if lines.len() >= most {
                lines.pop_front();
            }
            lines.push_back(line);
        })?;
        Ok((lines.into(), unreadable))
    }

    /// The lines of the record about one file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn lines_of(&self, name: &str) -> io::Result<Vec<RecordLine>> {
        let mut lines = Vec::new();
        self.record.each(|line| {
            if line.name == name {
                lines.push(line);
            }
        })?;
        Ok(lines)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the record is.
    #[must_use]
    pub fn record_file(&self) -> &Path {
        self.record.path()
    }

    fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    fn place(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{name}.{extension}"))
    }

    /// A name that no file in it has.
    fn name(&self, now: LocalTime, stem: &str) -> String {
        let first = format!("{:013}-{stem}", now.0.0);
        let mut name = first.clone();
        for number in 2_u64.. {
            if !self.place(&name, "dcm").exists() {
                break;
            }
            name = format!("{first}-{number}");
        }
        name
    }

    /// The file first: what a kill leaves is a reason without one.
    fn remove(&self, name: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.place(name, "dcm")))?;
        absent_is_fine(fs::remove_file(self.place(name, "txt")))?;
        sync_names(&self.folder)
    }
}

/// What stands beside a file: why it is here, and where it is from.
#[derive(Debug, Default)]
struct Beside {
    reason: String,
    from: Option<String>,
    file: Option<String>,
    digest: Option<StoredDigest>,
}

impl Beside {
    fn read(path: &Path) -> Self {
        let Ok(text) = fs::read_to_string(path) else {
            return Self { reason: "the reason is lost".into(), ..Self::default() };
        };
        let mut beside = Self::default();
        let mut lines: Vec<&str> = text.trim_end().lines().collect();
        while let Some(last) = lines.last().filter(|_| lines.len() > 1) {
            if let Some(from) = last.strip_prefix(FROM) {
                beside.from = Some(from.to_owned());
            } else if let Some(file) = last.strip_prefix(FILE) {
                beside.file = Some(file.to_owned());
            } else if let Some(digest) = last.strip_prefix(DIGEST) {
                beside.digest = digest_of(digest);
            } else {
                break;
            }
            lines.pop();
        }
        beside.reason = lines.join(" ");
        beside
    }

    /// Whole, or as it was.
    fn write(&self, path: &Path) -> io::Result<()> {
        let Self { reason, from, file, digest } = self;
        let mut text = format!("{}\n", one_line(reason));
        let digest = digest.as_ref().map(ToString::to_string);
        for (before, rest) in [(FROM, from.as_ref()), (FILE, file.as_ref()), (DIGEST, digest.as_ref())] {
            text.extend(rest.map(|rest| format!("{before}{}\n", one_line(rest))));
        }
        replace::write(path, text.as_bytes())
    }
}

impl QuarantineRow {
    fn of(path: PathBuf) -> io::Result<Option<Self>> {
        let size = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?.len(),
        };
        let Beside { reason, from, file, .. } = Beside::read(&path.with_extension("txt"));
        let name = stem(&path);
        let came_ms = name.split('-').next().and_then(|time| time.parse().ok()).unwrap_or_default();
        Ok(Some(Self { name, path, came_ms, size, reason, from, file }))
    }

    /// Whose share it is of, if it is somebody's.
    fn sender(&self) -> Option<Sender> {
        self.from.as_deref().and_then(Sender::of_line)
    }

    /// The file in a line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { path, came_ms, size, reason, from, file, .. } = self;
        let file = file.as_ref().map(|file| format!(" as {file}")).unwrap_or_default();
        let from = from.as_ref().map(|from| format!(" (from {from}{file})")).unwrap_or_default();
        format!("{}  {size:>10} bytes  {}: {reason}{from}", Timestamp(*came_ms), path.display())
    }
}

/// What is in a folder, which need not be there.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn one_line(text: &str) -> String {
    text.chars().map(|at| if at.is_control() { ' ' } else { at }).collect()
}

fn digest_of(digits: &str) -> Option<StoredDigest> {
    crate::archive::digits(digits).map(StoredDigest::from_bytes)
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Opens a plain file: nothing is read through a link, and nobody waits for what comes out of a pipe.
fn plain(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn hashed(path: &Path) -> io::Result<(u64, StoredDigest)> {
    copy(plain(path)?, &mut io::sink())
}

fn copy(mut from: impl Read, to: &mut impl Write) -> io::Result<(u64, StoredDigest)> {
    let (mut buffer, mut hasher) = (vec![0; CHUNK], StoredHasher::new());
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                let (size, digest, _) = hasher.finish();
                return Ok((size, digest));
            }
            Ok(len) => {
                hasher.update(&buffer[..len]);
                to.write_all(&buffer[..len])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::room::DiskSettings;

    const LIMIT: u64 = 1 << 20;
    const NOW: LocalTime = LocalTime(Timestamp(1_764_316_800_000));

    struct Folders(tempfile::TempDir);

    impl Folders {
        fn new() -> Self {
            let folders = Self(tempfile::tempdir().unwrap());
            fs::create_dir(folders.path("watched")).unwrap();
            folders
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn open(&self) -> Quarantine {
            Quarantine::open(&self.path("quarantine"), LIMIT).unwrap()
        }

        fn room(&self) -> Room {
            Room::at(self.0.path(), &DiskSettings { reserve_mib: Some(0), ..DiskSettings::default() })
        }

        fn copy(&self, quarantine: &Quarantine, name: &str) -> Copied {
            let watched = self.path("watched");
            quarantine.keep_copy(&watched.join(name), &watched, "it is none", &self.room(), NOW).unwrap()
        }

        /// Names in the quarantine's folder.
        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> =
                entries(&self.path("quarantine")).unwrap().iter().map(|path| stem(path)).collect();
            names.sort();
            names
        }
    }

    fn decision(why: &str) -> Decision {
        Decision { by: "Ann".into(), why: why.into(), now: NOW }
    }

    fn on_record(quarantine: &Quarantine, row: &QuarantineRow, act: Act) {
        let digest = quarantine.hashed(row).unwrap().1;
        quarantine.put_on_record(row, digest, act, &decision("a test"), None).unwrap();
    }

    #[test]
    fn what_was_received_is_moved_and_says_who_sent_it() {
        let folders = Folders::new();
        let quarantine = folders.open();
        let spooled = folders.path("0000000000000005.dcm");
        fs::write(&spooled, "junk").unwrap();
        let sender = Sender::new(IpAddr::from([10, 0, 0, 7]), "CT 1");
        let name = quarantine.keep(&spooled, "it is none\nat all", Some(&sender), NOW).unwrap();
        assert!(!spooled.exists() && name == "1764316800000-0000000000000005");
        let row = quarantine.rows().unwrap().remove(0);
        assert_eq!((row.name.as_str(), row.size, row.came_ms), (name.as_str(), 4, NOW.0.0));
        assert_eq!(
            (row.reason.as_str(), row.from.as_deref(), row.file),
            ("it is none at all", Some("10.0.0.7 CT 1"), None)
        );
        // A number comes again once its file is gone.
        fs::write(&spooled, "more").unwrap();
        assert_eq!(quarantine.keep(&spooled, "nor is it", None, NOW).unwrap(), format!("{name}-2"));
        // As an earlier version wrote it.
        fs::write(folders.path("quarantine").join(format!("{name}.txt")), "from the past\nfrom 10.0.0.7 CT 1\n")
            .unwrap();
        let row = quarantine.rows().unwrap().remove(0);
        assert_eq!((row.reason.as_str(), row.from.as_deref()), ("from the past", Some("10.0.0.7 CT 1")));
    }

    #[test]
    fn of_a_watched_folder_there_is_a_copy_once_and_the_file_stays() {
        let folders = Folders::new();
        let mut quarantine = folders.open();
        let file = folders.path("watched/notes.txt");
        fs::write(&file, "no image").unwrap();
        let Copied::New(name) = folders.copy(&quarantine, "notes.txt") else { panic!("it is new") };
        let row = quarantine.rows().unwrap().remove(0);
        assert_eq!((row.name.as_str(), row.file.as_deref()), (name.as_str(), file.to_str()));
        assert_eq!(row.from, Some(format!("watched folder {}", folders.path("watched").display())));
        assert_eq!(
            (fs::read(&row.path).unwrap(), fs::read(&file).unwrap()),
            (b"no image".to_vec(), b"no image".to_vec())
        );
        // It is seen again at every start, and under other names.
        fs::copy(&file, folders.path("watched/copy")).unwrap();
        for _ in 0..2 {
            assert_eq!(
                [folders.copy(&quarantine, "notes.txt"), folders.copy(&quarantine, "copy")],
                [Copied::Before, Copied::Before]
            );
            quarantine = folders.open();
        }
        // Whoever deletes it does not find it there again; another one is another one.
        on_record(&quarantine, &row, Act::Delete);
        quarantine.let_go(&row).unwrap();
        assert!(quarantine.rows().unwrap().is_empty() && quarantine.used() == 0 && file.exists());
        for quarantine in [quarantine, folders.open()] {
            assert_eq!(folders.copy(&quarantine, "notes.txt"), Copied::Before);
        }
        fs::write(&file, "no image either").unwrap();
        assert!(matches!(folders.copy(&folders.open(), "notes.txt"), Copied::New(_)));
        // Nothing is read through a link.
        std::os::unix::fs::symlink("/etc/passwd", folders.path("watched/link")).unwrap();
        let watched = folders.path("watched");
        let linked = folders.open().keep_copy(&watched.join("link"), &watched, "a link", &folders.room(), NOW);
        assert!(linked.is_err());
    }

    #[test]
    fn copies_take_half_of_it_at_most() {
        let folders = Folders::new();
        let quarantine = folders.open();
        let size = usize::try_from(LIMIT).unwrap() / 8;
        let copied: Vec<bool> = (0..8_u8)
            .map(|file| {
                fs::write(folders.path("watched").join(file.to_string()), vec![file; size]).unwrap();
                matches!(folders.copy(&quarantine, &file.to_string()), Copied::New(_))
            })
            .collect();
        assert_eq!(copied, [true, true, true, true, false, false, false, false]);
        assert!(quarantine.fits(&Sender::new(IpAddr::from([10, 0, 0, 7]), "CT"), LIMIT / 8));
        // Nor does anything go where the disk has no room.
        fs::write(folders.path("watched/last"), "x").unwrap();
        let full = Room::at(folders.0.path(), &DiskSettings { reserve_mib: Some(u32::MAX), ..DiskSettings::default() });
        let watched = folders.path("watched");
        let copied = Folders::new().open().keep_copy(&watched.join("last"), &watched, "it is none", &full, NOW);
        assert_eq!(copied.unwrap(), Copied::NoRoom);
    }

    /// Each step of each act, as a kill right after it leaves it.
    #[test]
    fn killed_between_any_two_steps_nothing_is_lost_and_what_was_decided_is_done() {
        let folders = Folders::new();
        let in_it = |name: &str| folders.path("quarantine").join(name);
        fs::write(folders.path("watched/a"), "a").unwrap();
        fs::create_dir(folders.path("quarantine")).unwrap();
        // A copy that is not whole; a whole one with its reason and without its name.
        for left in [&["1-a.part"][..], &["1-a.part", "1-a.txt"], &["1-a.txt", ".tmpx.part"]] {
            left.iter().for_each(|name| fs::write(in_it(name), "").unwrap());
            let quarantine = folders.open();
            assert!(quarantine.rows().unwrap().is_empty() && folders.names().is_empty(), "{left:?}");
        }
        let quarantine = folders.open();
        assert!(matches!(folders.copy(&quarantine, "a"), Copied::New(_)));
        // Asked to be released: it is not known whether it is in the archive, and so it stays.
        let row = quarantine.rows().unwrap().remove(0);
        on_record(&quarantine, &row, Act::Release);
        assert_eq!(folders.open().rows().unwrap(), std::slice::from_ref(&row));
        // A line that was cut off says nothing, and the next one can be read.
        let record = folders.path("quarantine.jsonl");
        let whole = fs::read_to_string(&record).unwrap();
        fs::write(&record, format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();
        let quarantine = folders.open();
        assert_eq!(quarantine.rows().unwrap(), std::slice::from_ref(&row));
        on_record(&quarantine, &row, Act::Refused);
        let (lines, unreadable) = quarantine.lines(10).unwrap();
        assert_eq!(
            (lines.iter().map(|line| line.act).collect::<Vec<_>>(), unreadable),
            (vec![Act::Release, Act::Refused], 1)
        );
        assert_eq!((lines[1].by.as_str(), lines[1].why.as_str(), &lines[1].reason), ("Ann", "a test", &row.reason));
        // On record as gone, and still there: with its reason and, a step later, without its bytes.
        let (bytes, beside) = (fs::read(&row.path).unwrap(), fs::read(row.path.with_extension("txt")).unwrap());
        for act in [Act::Released, Act::Delete] {
            let quarantine = folders.open();
            fs::write(&row.path, &bytes).unwrap();
            fs::write(row.path.with_extension("txt"), &beside).unwrap();
            on_record(&quarantine, &row, act);
            assert!(row.path.exists());
            assert!(folders.open().rows().unwrap().is_empty() && folders.names().is_empty(), "{act:?}");
            fs::write(row.path.with_extension("txt"), &beside).unwrap();
            assert!(folders.open().rows().unwrap().is_empty() && folders.names().is_empty(), "{act:?}");
        }
        // Another file under that name is not what was decided on.
        fs::write(&row.path, "another").unwrap();
        assert_eq!(folders.open().rows().unwrap().len(), 1);
        assert_eq!(fs::read(folders.path("watched/a")).unwrap(), b"a");
    }

    #[test]
    fn the_last_lines_of_the_record_are_told() {
        let folders = Folders::new();
        let quarantine = folders.open();
        assert_eq!(quarantine.lines(10).unwrap(), (Vec::new(), 0));
        fs::write(folders.path("watched/a"), "a").unwrap();
        folders.copy(&quarantine, "a");
        let row = quarantine.rows().unwrap().remove(0);
        for number in 0..12 {
            let digest = quarantine.hashed(&row).unwrap().1;
            quarantine.put_on_record(&row, digest, Act::Release, &decision(&number.to_string()), None).unwrap();
        }
        let (lines, unreadable) = quarantine.lines(10).unwrap();
        let why: Vec<&str> = lines.iter().map(|line| line.why.as_str()).collect();
        assert_eq!((why, unreadable), (vec!["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"], 0));
        assert_eq!(quarantine.lines_of(&row.name).unwrap().len(), 12);
        assert!(quarantine.lines_of("another").unwrap().is_empty());
    }
}
