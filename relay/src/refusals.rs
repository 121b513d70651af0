//! Why the gate said no, for the operator: `explain` finds it by the reference that whoever was refused was told.
//!
//! ```text
//! refusals.jsonl     the newest, a line of JSON each
//! refusals.1.jsonl   those before; the next 5,000 take their place
//! ```
//!
//! Strangers can be refused as often as they like, so that it is bounded: the newest 5,000 at least and 10,000 at most, some megabytes. Lines are written and not forced to
//! the disk: a kill loses none, a power cut the last. Where they cannot be written they are known until the relay ends, and the log says so.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_letters::random::random;
use clavicle_network::transfer::Reference;
use serde::{Deserialize, Serialize};

use crate::seldom::seldom;

/// How many a file has.
const OF_A_FILE: usize = 5_000;
/// The longest line that is read. What is written is far shorter.
const MAX_LINE: u64 = 4 << 10;

/// Why it said no, and the log as far as that is not flooded.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    all: VecDeque<Refusal>,
    /// Where they are kept, if they are.
    file: Option<Lines>,
}

/// The file that lines are added to.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: File,
    lines: usize,
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What whoever was refused was told.
    pub reference: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The key that connected.
    pub key: String,
    /// The study that was asked for, if it came to that.
    pub study: Option<String>,
    /// The grant that was claimed.
    pub grant: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
}

impl Refusals {
    /// Those that were kept at `path` and before it.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (mut all, _) = read(&before(path))?;
        let (newest, ends) = read(path)?;
        let mut file = Lines::add_to(path, newest.len())?;
        if !ends {
            // A kill left half a line. It stays, and ends here.
            file.file.write_all(b"\n")?;
        }
        all.extend(newest);
        Ok(Self(Mutex::new(Kept { all, file: Some(file) })))
    }

    /// The refusal under a reference, if it is still kept.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<Refusal> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.all.iter().rev().find(|refusal| refusal.reference == reference).cloned()
    }

    /// Keeps one, under a reference that tells nothing.
    pub(crate) fn keep(
        &self,
        at: LocalTime,
        key: Key,
        (study, grant): (Option<StudyId>, Option<GrantId>),
        reason: String,
    ) -> Reference {
        // Without a random number the reference is of no use to anybody, and gives nothing away either.
        let reference = Reference(random().unwrap_or_default());
        seldom!(info!(%reference, study = ?study, %reason, "refused"));
        let refusal = Refusal {
            reference: reference.to_string(),
            at_ms: at.0.0,
            key: key.to_string(),
            study: study.map(|study| study.to_string()),
            grant: grant.map(|grant| grant.to_string()),
            reason,
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = kept.file.as_mut().map(|file| file.add(&refusal)) {
            seldom!(error!(%error, "a refusal is not kept beyond the end of this relay"));
        }
        if kept.all.len() >= 2 * OF_A_FILE {
            kept.all.pop_front();
        }
        kept.all.push_back(refusal);
        reference
    }
}

impl Lines {
    fn add_to(path: &Path, lines: usize) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file, lines })
    }

    fn add(&mut self, refusal: &Refusal) -> io::Result<()> {
        if self.lines >= OF_A_FILE {
            fs::rename(&self.path, before(&self.path))?;
            *self = Self::add_to(&self.path, 0)?;
        }
        let mut line = serde_json::to_vec(refusal)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.lines += 1;
        Ok(())
    }
}

/// The file that this one takes the place of.
fn before(path: &Path) -> PathBuf {
    path.with_extension("1.jsonl")
}

/// The lines of a file that need not be there, and whether the last of them ends.
fn read(path: &Path) -> io::Result<(VecDeque<Refusal>, bool)> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((VecDeque::new(), true)),
        file => file?,
    };
    let (mut file, mut all, mut line, mut ends) = (BufReader::new(file), VecDeque::new(), Vec::new(), true);
    loop {
        line.clear();
        if (&mut file).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok((all, ends));
        }
        ends = line.ends_with(b"\n");
        if all.len() < OF_A_FILE {
            all.extend(serde_json::from_slice(&line).ok());
        }
    }
}

impl Refusal {
    /// The refusal in lines for a person.
    #[must_use]
    pub fn lines(&self) -> String {
        let Self { reference, at_ms, key, study, grant, reason } = self;
        let none = || "none".to_owned();
        let (study, grant) = (study.clone().unwrap_or_else(none), grant.clone().unwrap_or_else(none));
        let day = Timestamp(*at_ms).day();
        format!("{reference}  {day}\nreason  {reason}\nstudy   {study}\ngrant   {grant}\nkey     {key}")
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::key::SecretKey;

    use super::*;

    fn keep(refusals: &Refusals, number: usize) -> String {
        let (at, key) = (LocalTime(Timestamp(number as u64)), SecretKey::from_bytes(&[1; 32]).public());
        let study = StudyId::from_bytes([2; 32]);
        refusals.keep(at, key, (Some(study), None), format!("number {number}")).to_string()
    }

    /// A reference was good until the relay was started again.
    #[test]
    fn what_was_refused_is_explained_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refusals.jsonl");
        let reference = keep(&Refusals::open(&path).unwrap(), 7);
        let opened = Refusals::open(&path).unwrap();
        let found = opened.find(&reference).unwrap();
        assert_eq!((found.reason.as_str(), found.at_ms, found.grant), ("number 7", 7, None));
        assert_eq!(opened.find("0000000000000000"), None);
        // Half a line, as a kill leaves it, costs no other.
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"reference\":\"12".to_vec()].concat()).unwrap();
        let next = keep(&Refusals::open(&path).unwrap(), 8);
        let opened = Refusals::open(&path).unwrap();
        assert!(opened.find(&reference).is_some() && opened.find(&next).is_some());
    }

    #[test]
    fn however_many_there_are_the_newest_are_kept_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refusals.jsonl");
        let refusals = Refusals::open(&path).unwrap();
        let references: Vec<String> = (0..OF_A_FILE * 3 + 10).map(|number| keep(&refusals, number)).collect();
        let (oldest, newest) = (&references[0], &references[references.len() - 1]);
        for refusals in [refusals, Refusals::open(&path).unwrap()] {
            let all = refusals.0.lock().unwrap().all.len();
            assert!((OF_A_FILE..=2 * OF_A_FILE).contains(&all), "{all}");
            assert!(refusals.find(oldest).is_none() && refusals.find(newest).is_some());
        }
        let reopened = Refusals::open(&path).unwrap();
        assert!(references[references.len() - OF_A_FILE..].iter().all(|one| reopened.find(one).is_some()));
        let bytes: u64 = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < 8 << 20, "{bytes}");
    }

    #[test]
    fn where_they_cannot_be_written_they_are_known_until_the_end() {
        let refusals = Refusals::default();
        let reference = keep(&refusals, 1);
        assert!(refusals.find(&reference).is_some());
    }
}
