//! Whom this hospital vouches for, and for whom no more: `credentials.jsonl`, a line of JSON for each thing that was
//! decided. Lines are added, and never changed.
//!
//! No signature is kept. A credential is signed when its owner asks for it, with the operational key of now, so that
//! after a change of keys everybody has it anew by asking once more. The list of those that were ended is signed again
//! every hour by the task `credentials`, as long as the others confirm what time it is.
//!
//! The first line says when the record began, and lists say that whatever is older has ended. Numbers are moments. So
//! should the record be lost and begun anew, nobody whom this hospital has ended is vouched for again: all are vouched
//! for anew. An older copy of it that is put back forgets what was ended since: end it again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clavicle_ledger::encoding::{Ascending, Text, from_hex};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_letters::credential::{
    Credential, CredentialNumber, EndedCredentials, Issuer, MAX_ENDED, Role, SignedEndedCredentials, Vouching,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::member::Member;

/// The longest line that is read. What is written is far shorter.
const MAX_LINE: u64 = 16 << 10;
/// The most credentials whose time is not over.
const MAX_ISSUED: usize = 16 * 1024;
/// How long the same once more is what was issued before, in milliseconds: whoever asks again has not seen the answer.
const AGAIN_MS: u64 = 60 * 60 * 1000;

/// The record, and what is signed by it.
pub struct Credentials {
    path: PathBuf,
    member: Arc<Member>,
    kept: Mutex<Kept>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    began_ms: u64,
    all: BTreeMap<u64, Issued>,
    /// The newest list; none before the first, and since one was ended that it does not name.
    list: Option<SignedEndedCredentials>,
}

/// A credential on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its number: the moment it was issued at, in ms since 1970, or a little later.
    pub number: u64,
    /// The long-term key, in hexadecimal digits.
    pub person: String,
    /// The name.
    pub name: String,
    /// What they are.
    pub role: String,
    /// In what.
    pub specialty: String,
    /// From when, in ms since 1970.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// Who issued it.
    pub by: String,
    /// How it was ended, if it was.
    #[serde(default)]
    pub ended: Option<EndedOnRecord>,
}

/// How a credential was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedOnRecord {
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// Who ended it.
    pub by: String,
    /// Why, in their words.
    pub why: String,
}

/// One line of the record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
enum RecordedAct {
    Begun { at_ms: u64 },
    Issued(Issued),
    Ended { number: u64, at_ms: u64, by: String, why: String },
}

/// Why something is not put on record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file.
    #[error("the record of credentials, {path}, cannot be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A line that is none.
    #[error(
        "line {line} of the record of credentials, {path}, is damaged: put the file back from a backup. Without it (move it away) nobody is vouched for, and \
         all have to be vouched for anew"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// Too many.
    #[error("so many credentials are in force, {0}, that no more are issued")]
    TooMany(usize),
    /// Too many ended ones.
    #[error(
        "so many credentials, {0}, were ended before their time was over that no more can be: issue new ones for a shorter time"
    )]
    TooManyEnded(usize),
    /// None of that number.
    #[error("no credential has the number {0}; see `clavicle-relay credentials`")]
    NoSuch(u64),
    /// Who decides, or why, is empty or too long for the record.
    #[error("who decides, or why, is empty or too long for the record")]
    Because,
    /// Ended before.
    #[error("credential {0} was ended before, or its time is over")]
    Over(u64),
}

/// No list of those that were ended is signed yet, since the start or since one was ended: whether somebody is vouched
/// for cannot be said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no list of the credentials that were ended is signed yet")]
pub struct NoList;

impl Credentials {
    /// Reads the record; a new one is begun where there is none.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn open(path: &Path, member: Arc<Member>, now: Timestamp) -> Result<Self, CredentialsError> {
        let failed = |error| CredentialsError::File { path: path.to_owned(), error };
        let mut kept = Kept::default();
        let begun = read(path, &mut kept)?;
        let credentials = Self { path: path.to_owned(), member, kept: Mutex::default(), changed: Notify::new() };
        if !begun {
            kept.began_ms = now.0;
            credentials.add(&RecordedAct::Begun { at_ms: now.0 }).map_err(failed)?;
        }
        *credentials.kept() = kept;
        Ok(credentials)
    }

    /// Every credential that was ever issued, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Issued> {
        self.kept().all.values().cloned().collect()
    }

    /// Issues one, and gives it as it is on record. Asked for once more in the same words, soon, it is that one again.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn issue(
        &self,
        (person, name): (&Key, &Text<64>),
        (role, specialty): (Role, &Text<64>),
        days: u64,
        (by, now): (&str, Timestamp),
    ) -> Result<Issued, CredentialsError> {
        let mut kept = self.kept();
        let hex = person.to_string();
        let same = |before: &&Issued| {
            before.is_in_force(now)
                && now.0.abs_diff(before.from_ms) <= AGAIN_MS
                && before.until_ms == Timestamp(before.from_ms).plus(days.saturating_mul(DAY_MS)).0
                && (before.name.as_str(), before.role.as_str(), before.specialty.as_str(), before.by.as_str())
                    == (name.as_str(), role.word(), specialty.as_str(), by)
        };
        if let Some(before) = kept.all.values().rev().find(|issued| issued.person == hex).filter(same) {
            return Ok(before.clone());
        }
        if kept.all.values().filter(|issued| issued.is_in_force(now)).count() >= MAX_ISSUED {
            return Err(CredentialsError::TooMany(MAX_ISSUED));
        }
        let after = kept.all.last_key_value().map_or(kept.began_ms, |(number, _)| *number);
        let issued = Issued {
            number: now.0.max(after.saturating_add(1)),
            person: hex,
            name: name.to_string(),
            role: role.word().to_owned(),
            specialty: specialty.to_string(),
            from_ms: now.0,
            until_ms: now.plus(days.saturating_mul(DAY_MS)).0,
            by: by.to_owned(),
            ended: None,
        };
        self.put(&RecordedAct::Issued(issued.clone()))?;
        kept.all.insert(issued.number, issued.clone());
        drop(kept);
        self.changed.notify_one();
        Ok(issued)
    }

    /// Ends one before its time is over, and with it all others of the same person that are in force: a wallet could
    /// keep an earlier one, and show it beside a list that names the newest alone.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn end(&self, number: u64, (by, why): (&str, &str), now: Timestamp) -> Result<Issued, CredentialsError> {
        let mut kept = self.kept();
        let issued = kept.all.get(&number).ok_or(CredentialsError::NoSuch(number))?;
        if !issued.is_in_force(now) {
            return Err(CredentialsError::Over(number));
        }
        let listed = |other: &&Issued| other.is_listed(now) || other.is_of(&issued.person, now);
        if kept.all.values().filter(listed).count() > MAX_ENDED {
            return Err(CredentialsError::TooManyEnded(MAX_ENDED));
        }
        let ended = EndedOnRecord { at_ms: now.0, by: by.to_owned(), why: why.to_owned() };
        let EndedOnRecord { at_ms, by, why } = ended.clone();
        self.put(&RecordedAct::Ended { number, at_ms, by, why })?;
        let issued = kept.end(number, &ended).ok_or(CredentialsError::NoSuch(number))?;
        // What was signed before does not name it.
        kept.list = None;
        drop(kept);
        self.changed.notify_one();
        Ok(issued)
    }

    /// The newest credential of a person, signed now, with the newest list; nothing where there is none.
    ///
    /// # Errors
    /// [`NoList`].
    pub fn vouching(&self, person: &Key) -> Result<Option<Vouching>, NoList> {
        let hex = person.to_string();
        let kept = self.kept();
        let Some(issued) = kept.all.values().rev().find(|issued| issued.person == hex) else { return Ok(None) };
        let (credential, list) = (issued.credential(self.issuer()), kept.list.clone());
        // Anybody can ask: that must not hold up who decides.
        drop(kept);
        let Some(credential) = credential else { return Ok(None) };
        let ended = list.ok_or(NoList)?;
        Ok(Some(Vouching { credential: credential.sign(&self.member.chain, &self.member.operational), ended }))
    }

    /// Waits until the list is to be signed anew since something was decided.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Signs the list anew, as of `now`.
    pub fn sign(&self, now: Timestamp) {
        let mut kept = self.kept();
        let ended = kept.all.values().filter(|issued| issued.is_listed(now));
        let ended: Vec<_> = ended.map(|issued| CredentialNumber(issued.number)).take(MAX_ENDED).collect();
        // They are in order, since they are the keys of a map, and no more than there is room for.
        let Ok(ended) = Ascending::from_items(ended) else { return };
        let list = EndedCredentials {
            by: self.issuer(),
            number: now.0,
            at: now,
            before: CredentialNumber(kept.began_ms),
            ended,
        };
        kept.list = Some(list.sign(&self.member.chain, &self.member.operational));
    }

    fn issuer(&self) -> Issuer {
        Issuer::Source(self.member.source)
    }

    fn put(&self, act: &RecordedAct) -> Result<(), CredentialsError> {
        self.add(act).map_err(|error| CredentialsError::File { path: self.path.clone(), error })
    }

    /// Adds a line. It is on the disk when this returns.
    fn add(&self, act: &RecordedAct) -> io::Result<()> {
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.path)?;
        let mut line = serde_json::to_string(act)?;
        line.push('\n');
        if line.len() as u64 > MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the line is too long"));
        }
        // One that a full disk cut off, and that could not be taken back then, must not become one with this.
        cut_half_a_line(&mut file)?;
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
            // What was answered with an error must not stand there after the next start. The first error is the one to
            // tell.
            file.set_len(before).and_then(|()| file.sync_all()).ok();
            return Err(error);
        }
        if is_new && let Some(parent) = self.path.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Ends a credential, and all others of the same person that are in force; none, if there is none of that number.
    /// One line of the record says it of all, so that a kill cannot leave some of them in force.
    fn end(&mut self, number: u64, ended: &EndedOnRecord) -> Option<Issued> {
        let person = self.all.get(&number)?.person.clone();
        for issued in self.all.values_mut() {
            if issued.number == number || issued.is_of(&person, Timestamp(ended.at_ms)) {
                issued.ended = Some(ended.clone());
            }
        }
        self.all.get(&number).cloned()
    }
}

impl Issued {
    /// Whether it is good at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now.0 < self.until_ms
    }

    /// Whether it is a credential of this person that is good at `now`.
    fn is_of(&self, person: &str, now: Timestamp) -> bool {
        self.person == person && self.is_in_force(now)
    }

    /// Whether lists name it: it was ended, and its time is not over.
    fn is_listed(&self, now: Timestamp) -> bool {
        self.ended.is_some() && now.0 < self.until_ms
    }

    /// As it is signed.
    fn credential(&self, by: Issuer) -> Option<Credential> {
        Some(Credential {
            by,
            person: Key::from_bytes(from_hex(&self.person)?.try_into().ok()?),
            name: Text::new(&self.name).ok()?,
            role: Role::ALL.into_iter().find(|role| role.word() == self.role)?,
            specialty: Text::new(&self.specialty).ok()?,
            from: Timestamp(self.from_ms),
            until: Timestamp(self.until_ms),
            number: CredentialNumber(self.number),
        })
    }
}

/// Reads what is on record; whether there is anything.
fn read(path: &Path, kept: &mut Kept) -> Result<bool, CredentialsError> {
    let failed = |error| CredentialsError::File { path: path.to_owned(), error };
    let damaged = |line| CredentialsError::Damaged { path: path.to_owned(), line };
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(failed)?,
    };
    cut_half_a_line(&mut file).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let (mut file, mut bytes, mut begun) = (BufReader::new(file), Vec::new(), false);
    for line in 1.. {
        bytes.clear();
        if (&mut file).take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
            break;
        }
        match serde_json::from_slice(&bytes).map_err(|_| damaged(line))? {
            RecordedAct::Begun { at_ms } if !begun => (kept.began_ms, begun) = (at_ms, true),
            RecordedAct::Issued(issued) if begun => drop(kept.all.insert(issued.number, issued)),
            RecordedAct::Ended { number, at_ms, by, why } if begun => {
                kept.end(number, &EndedOnRecord { at_ms, by, why }).ok_or_else(|| damaged(line))?;
            }
            _ => return Err(damaged(line)),
        }
    }
    Ok(begun)
}

/// Half a line that a kill left was never answered for, and goes.
fn cut_half_a_line(file: &mut File) -> io::Result<()> {
    let len = file.seek(SeekFrom::End(0))?;
    let from = len.saturating_sub(MAX_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1) as u64;
    // A file without any end of a line is half a line, if it is short.
    if (from == 0 || whole > 0) && from + whole < len {
        file.set_len(from + whole)?;
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding;
    use clavicle_ledger::genesis::{Genesis, Parameters};
    use clavicle_ledger::id::SourceId;
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::time::BlockTime;

    use super::*;
    use crate::checkpoints::CheckpointBook;
    use crate::home::Home;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn member(folder: &Path) -> Arc<Member> {
        let genesis = Genesis {
            name: Text::new("test").unwrap(),
            time: BlockTime(NOW),
            parameters: Parameters::default(),
            sources: Ascending::new(),
        };
        Arc::new(Member {
            home: Home::at(folder),
            name: "Mercy".to_owned(),
            source: SourceId::from_bytes([4; 32]),
            operational: SecretKey::from_bytes(&[50; 32]),
            chain: genesis.chain_id(),
            genesis: Arc::new(genesis),
            checkpoints: Arc::new(CheckpointBook::open(folder).unwrap()),
        })
    }

    fn open(folder: &Path) -> Result<Credentials, CredentialsError> {
        Credentials::open(&folder.join("credentials.jsonl"), member(folder), NOW)
    }

    fn issue(credentials: &Credentials, number: u8, now: Timestamp) -> (Key, Issued) {
        let person = SecretKey::from_bytes(&[number; 32]).public();
        let name = Text::new(format!("Dr {number}")).unwrap();
        let issued = credentials.issue((&person, &name), (Role::Physician, &Text::default()), 30, ("Ann", now));
        (person, issued.unwrap())
    }

    #[test]
    fn what_is_issued_and_ended_is_there_after_a_start_and_signed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = open(folder.path()).unwrap();
        let (rossi, first) = issue(&credentials, 1, NOW);
        let (bianchi, second) = issue(&credentials, 2, NOW);
        assert!(first.number < second.number, "no two have one number, in whichever moment they were issued");
        assert_eq!(credentials.vouching(&rossi), Err(NoList));
        let nobody = SecretKey::from_bytes(&[9; 32]).public();
        assert_eq!(credentials.vouching(&nobody), Ok(None), "of them no list would say more");
        credentials.sign(NOW);
        let vouched = credentials.vouching(&rossi).unwrap().unwrap();
        let key = credentials.member.operational.public();
        assert!(vouched.credential.is_by(&credentials.member.chain, &key));
        assert!(vouched.ended.is_by(&credentials.member.chain, &key));
        assert!(vouched.ended.list.ended.is_empty());

        credentials.end(second.number, ("Ann", "left"), NOW.plus(1)).unwrap();
        assert_eq!(credentials.vouching(&rossi), Err(NoList), "a list of before would hide it");
        credentials.sign(NOW.plus(2));
        let vouched = credentials.vouching(&bianchi).unwrap().unwrap();
        assert_eq!(vouched.ended.list.ended.to_vec(), [CredentialNumber(second.number)]);
        assert!(matches!(credentials.end(second.number, ("Ann", "left"), NOW), Err(CredentialsError::Over(_))));
        assert!(matches!(credentials.end(7, ("Ann", "left"), NOW), Err(CredentialsError::NoSuch(7))));

        let all = credentials.all();
        drop(credentials);
        let again = open(folder.path()).unwrap();
        assert_eq!(again.all(), all);
        again.sign(NOW.plus(3));
        assert_eq!(again.vouching(&bianchi).unwrap().unwrap().credential, vouched.credential);
        // What is over leaves the list.
        again.sign(Timestamp(second.until_ms));
        assert!(again.vouching(&bianchi).unwrap().unwrap().ended.list.ended.is_empty());
    }

    /// A wallet that kept an earlier one is vouched for no more with it either.
    #[test]
    fn whoever_is_ended_has_none_left_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = open(folder.path()).unwrap();
        let (_, first) = issue(&credentials, 1, NOW);
        let (_, other) = issue(&credentials, 2, NOW);
        // Asked for once more since the answer was lost it is the same; a day later it is renewed.
        assert_eq!(issue(&credentials, 1, NOW.plus(1)).1, first);
        let (rossi, second) = issue(&credentials, 1, NOW.plus(DAY_MS));
        assert_ne!(second.number, first.number);
        credentials.end(second.number, ("Ann", "left"), NOW.plus(DAY_MS + 1)).unwrap();
        credentials.sign(NOW.plus(DAY_MS + 2));
        let both = [CredentialNumber(first.number), CredentialNumber(second.number)];
        assert_eq!(credentials.vouching(&rossi).unwrap().unwrap().ended.list.ended.to_vec(), both);
        let all = credentials.all();
        assert_eq!(all.iter().filter(|issued| issued.ended.is_none()).collect::<Vec<_>>(), [&other]);
        drop(credentials);
        assert_eq!(open(folder.path()).unwrap().all(), all);
        // Vouched for again, they are.
        let again = open(folder.path()).unwrap();
        let (_, third) = issue(&again, 1, NOW.plus(DAY_MS + 3));
        assert!(again.all().iter().any(|issued| issued.number == third.number && issued.ended.is_none()));
    }

    #[test]
    fn half_a_line_of_a_kill_goes_and_anything_else_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = open(folder.path()).unwrap();
        let (_, issued) = issue(&credentials, 1, NOW);
        drop(credentials);
        let path = folder.path().join("credentials.jsonl");
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"act\":\"ended\",\"numb")).unwrap();
        assert_eq!(open(folder.path()).unwrap().all(), std::slice::from_ref(&issued));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        let ended = "{\"act\":\"ended\",\"number\":7,\"at_ms\":1,\"by\":\"x\",\"why\":\"y\"}\n";
        // The disk was full in the midst of a line, while the relay ran.
        let credentials = open(folder.path()).unwrap();
        std::fs::write(&path, format!("{whole}{{\"act\":\"ended\",\"numb")).unwrap();
        let (_, second) = issue(&credentials, 2, NOW);
        drop(credentials);
        assert_eq!(open(folder.path()).unwrap().all(), [issued, second]);
        for damage in [whole.replacen("begun", "began", 1), format!("{whole}{ended}"), format!("{whole}{whole}")] {
            std::fs::write(&path, damage).unwrap();
            assert!(matches!(open(folder.path()), Err(CredentialsError::Damaged { .. })));
        }
    }

    /// A record that is lost does not bring back who was ended.
    #[test]
    fn a_record_that_was_begun_anew_says_that_all_of_before_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = open(folder.path()).unwrap();
        let (rossi, issued) = issue(&credentials, 1, NOW);
        drop(credentials);
        std::fs::remove_file(folder.path().join("credentials.jsonl")).unwrap();
        let later = NOW.plus(60_000);
        let anew = Credentials::open(&folder.path().join("credentials.jsonl"), member(folder.path()), later).unwrap();
        anew.sign(later);
        assert_eq!(anew.vouching(&rossi), Ok(None));
        let (verdi, _) = issue(&anew, 3, later);
        anew.sign(later);
        let list = anew.vouching(&verdi).unwrap().unwrap().ended.list;
        assert!(CredentialNumber(issued.number) < list.before);
        assert!(anew.all()[0].number > issued.number);
        assert_eq!(
            encoding::decode(&encoding::encode(&anew.vouching(&verdi).unwrap().unwrap())),
            Ok(anew.vouching(&verdi).unwrap().unwrap())
        );
    }
}
