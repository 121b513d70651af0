//! Which stores a relay has made: a list beside its keys, signed with its operational key.
//!
//! ```text
//! keys/stores    {"format": 1, "stores": {"chain": {"made": true, "since_ms": …}, …}, "votes_from": 0, "signature": "…"}
//! ```
//!
//! Every store is begun empty when it is not there; so a store that was lost would be begun again in silence, and a relay without its log would
//! vote twice, one without its revocations would serve whom it must not. Hence: that a store is about to be made is on the disk before it is, and that it
//! was made before anything is in it. What was made and is gone is a refusal, which says what was lost with it and how to go on.
//! A relay that is killed in between makes it again: nothing was in it.
//!
//! | store | what is lost with it | how to go on without a backup |
//! |---|---|---|
//! | `archive` | the images | `renew archive`; take them in again: `check` names what is missing |
//! | `catalogue` | which images are which study's | `rebuild`: from the records in the archive, and the chain |
//! | `chain` | nothing that the other hospitals do not have | `renew chain`; it votes again when it is past what it may have voted on |
//! | `log` | what it voted on; **never put it back from a backup** | `renew log`; it votes again when it is past what it may have voted on |
//! | `proposals` | its own proposals; **never put it back from a backup** | `renew proposals`; it votes again when it is past what it may have voted on |
//! | `mailboxes` | letters that were not collected | `renew mailboxes`; they must be left again |
//! | `notices` | who has copies | `renew notices`; those who fetched before are not told what becomes of a study |
//! | `pickups` | the codes that were given out | `renew pickups`; they are void, give out others |
//! | `receipts` | who opened what, and how often | `renew receipts`; numbers begin again, which wallets notice, and grants that are good for so many openings are good for as many again |
//! | `seen` | revocations that are in no block yet | `renew seen`; until they are sent again, those grants are served |
//!
//! What it may have voted on no store of its own can tell, since a chain may be older than its votes: from which height on it votes is [`UNKNOWN`] until it
//! has a block that the others made after it was started without its log.
//!
//! A list that an earlier version did not write is made from what is there. Who deletes list and stores together, as their owner can, is
//! not noticed.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use borsh::{BorshDeserialize, BorshSerialize};
use clap::ValueEnum;
use clavicle_ledger::encoding::{self, Hex};
use clavicle_ledger::key::{SecretKey, Signature};
use clavicle_ledger::time::{Height, LocalTime};
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::replace::{self, sync_names};

/// The shortest write-ahead log: its header.
const LOG_HEADER_LEN: u64 = 12;
/// How long another process may have the list.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest list that is read.
const MAX_LEN: u64 = 64 * 1024;
const FORMAT: u32 = 1;

/// No height that is ever reached: from which one on the relay may vote must be found out first.
pub const UNKNOWN: Height = Height::MAX;

/// A store of a relay.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    ValueEnum,
    Serialize,
    Deserialize,
    BorshSerialize,
    BorshDeserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum StoreName {
    /// The images.
    Archive,
    /// The studies over them.
    Catalogue,
    /// The chain.
    Chain,
    /// What the relay voted on.
    Log,
    /// Other people's letters.
    Mailboxes,
    /// Who is told what becomes of studies.
    Notices,
    /// Codes that the desk gave out.
    Pickups,
    /// Blocks that are not decided yet.
    Proposals,
    /// Who opened what.
    Receipts,
    /// Revocations that are in no block yet.
    Seen,
}

impl StoreName {
    /// Those that every command needs.
    pub const SERVICE: [Self; 8] = [
        Self::Archive,
        Self::Catalogue,
        Self::Chain,
        Self::Mailboxes,
        Self::Notices,
        Self::Pickups,
        Self::Receipts,
        Self::Seen,
    ];
    /// Those that only voting needs.
    pub const VOTING: [Self; 2] = [Self::Log, Self::Proposals];

    /// Where it is.
    #[must_use]
    pub fn path(self, home: &Home) -> PathBuf {
        match self {
            Self::Archive => home.archive_folder(),
            Self::Catalogue => home.catalogue_file(),
            Self::Chain => home.chain_file(),
            Self::Log => home.log_file(),
            Self::Mailboxes => home.mailboxes_file(),
            Self::Notices => home.notices_file(),
            Self::Pickups => home.pickups_file(),
            Self::Proposals => home.proposals_file(),
            Self::Receipts => home.receipts_file(),
            Self::Seen => home.seen_file(),
        }
    }

    /// Whether it is there, with what it begins with.
    #[must_use]
    pub fn is_there(self, home: &Home) -> bool {
        let path = match self {
            // An empty folder may be the place of a disk that is not mounted.
            Self::Archive => self.path(home).join("studies"),
            _ => self.path(home),
        };
        let least = if self == Self::Log { LOG_HEADER_LEN } else { 1 };
        fs::metadata(path).is_ok_and(|found| found.is_dir() || found.len() >= least)
    }

    /// Its name in a relay's folder.
    #[must_use]
    pub fn file(self) -> PathBuf {
        let root = Home::at(Path::new("/"));
        let path = self.path(&root);
        path.strip_prefix(root.folder()).map_or_else(|_| path.clone(), Path::to_owned)
    }

    /// How to go on when it is lost.
    pub(crate) const fn way_out(self) -> &'static str {
        match self {
            Self::Archive => {
                "Put it back from a backup; or `clavicle-relay renew archive` begins an empty one, to take the images in again"
            }
            Self::Catalogue => {
                "Put it back from a backup; or `clavicle-relay rebuild` makes it anew from the archive and the chain"
            }
            Self::Chain => {
                "`clavicle-relay renew chain` fetches it again from the other hospitals; until they have made a block that it cannot have voted on, this relay \
                 does not vote"
            }
            Self::Log => {
                "Starting without it might vote twice, and so might an older copy: `clavicle-relay renew log` has this relay not vote until the others have \
                 made a block that it cannot have voted on"
            }
            Self::Mailboxes => {
                "Put it back from a backup; or `clavicle-relay renew mailboxes` begins an empty one: letters that were not collected are lost"
            }
            Self::Notices => {
                "Put it back from a backup; or `clavicle-relay renew notices` begins an empty one: those who fetched before are not told what becomes \
                 of a study"
            }
            Self::Pickups => {
                "`clavicle-relay renew pickups` begins an empty one: codes that were given out are void, and others must be given out"
            }
            Self::Proposals => {
                "Starting without it might propose twice, and so might an older copy: `clavicle-relay renew proposals` has this relay not vote until the others \
                 have made a block that it cannot have voted on"
            }
            Self::Receipts => {
                "Put it back from a backup; or `clavicle-relay renew receipts` begins an empty one: who opened what before, and how often, is not known any \
                 more, so that wallets notice, and grants that are good for so many openings are good for as many again"
            }
            Self::Seen => {
                "`clavicle-relay renew seen` begins an empty one: revocations that only this relay had seen bind it no more until they are sent again"
            }
        }
    }
}

/// Why a relay's stores cannot be used as they are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MadeError {
    /// A store is gone.
    #[error("{path} is missing or empty, and this relay made it. {}", .store.way_out())]
    Missing {
        /// Which.
        store: StoreName,
        /// Where it was.
        path: PathBuf,
    },
    /// The list is not this relay's.
    #[error("{0} is not what this relay signed: put it back from the backup of the keys")]
    Damaged(PathBuf),
    /// The list itself.
    #[error("{path} could not be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Another process has the list.
    #[error("another process is opening the stores in this folder")]
    Busy,
    /// To be begun anew, and there.
    #[error("{0} is there, and is not begun anew: move it away first, if that is meant")]
    IsThere(PathBuf),
    /// A list of a later version.
    #[error("{path} is of format {format}, which this software does not know: update it")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
}

/// The list, held: no other process opens or makes stores meanwhile.
#[derive(Debug)]
pub struct Made {
    path: PathBuf,
    key: SecretKey,
    list: List,
    /// The folder of the keys, locked for as long as this is open.
    _lock: File,
}

/// What is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
struct List {
    stores: BTreeMap<StoreName, Row>,
    /// The first height at which the relay may vote again.
    votes_from: Height,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Whether it was made; if not, it was about to be.
    made: bool,
    /// Since when that is so, in milliseconds since 1970.
    since_ms: u64,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    stores: BTreeMap<StoreName, Row>,
    votes_from: Height,
    signature: String,
}

impl List {
    fn preimage(&self) -> Vec<u8> {
        let mut preimage = b"clavicle 2026 the stores that a relay has made\0".to_vec();
        self.serialize(&mut preimage).expect("writing to memory succeeds");
        preimage
    }

    /// Reads the list; none when there is no file.
    fn read(path: &Path, key: &SecretKey) -> Result<Option<Self>, MadeError> {
        use io::Read as _;
        let failed = |error| MadeError::File { path: path.to_owned(), error };
        let mut text = String::new();
        match File::open(path).and_then(|file| file.take(MAX_LEN).read_to_string(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(failed(error)),
            _ => {}
        }
        let damaged = || MadeError::Damaged(path.to_owned());
        let written: Written = serde_json::from_str(&text).map_err(|_| damaged())?;
        if written.format != FORMAT {
            return Err(MadeError::Format { path: path.to_owned(), format: written.format });
        }
        let list = Self { stores: written.stores, votes_from: written.votes_from };
        let bytes: Option<[u8; 64]> = encoding::from_hex(&written.signature).and_then(|bytes| bytes.try_into().ok());
        let signature = Signature::from_bytes(bytes.ok_or_else(damaged)?);
        signature.verify(&key.public(), &list.preimage()).map_err(|_| damaged())?;
        Ok(Some(list))
    }

    /// A list of what is there, for a relay that an earlier version made. That one made the stores of a kind together, so one that is not there is gone.
    fn adopted(home: &Home, now: LocalTime) -> Self {
        let mut list = Self::default();
        if home.archive_folder().is_dir() {
            // That one had no records yet.
            fs::create_dir(home.archive_folder().join("studies")).ok();
        }
        for kind in [&StoreName::SERVICE[..], &StoreName::VOTING[..]] {
            if kind.iter().any(|store| store.is_there(home)) {
                list.stores.extend(kind.iter().map(|store| (*store, Row { made: true, since_ms: now.0.0 })));
            }
        }
        list
    }
}

impl Made {
    /// Takes hold of the list of the relay whose operational key this is.
    ///
    /// # Errors
    /// [`MadeError`].
    pub fn open(home: &Home, key: &SecretKey, now: LocalTime) -> Result<Self, MadeError> {
        let keys = home.keys_folder();
        let failed = |error| MadeError::File { path: keys.clone(), error };
        let folder = File::open(&keys).map_err(failed)?;
        let from = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if from.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => return Err(MadeError::Busy),
            }
        }
        let path = home.made_file();
        let list = List::read(&path, key)?;
        let is_new = list.is_none();
        let list = list.unwrap_or_else(|| List::adopted(home, now));
        let made = Self { path, key: key.clone(), list, _lock: folder };
        if is_new {
            made.write()?;
        }
        Ok(made)
    }

    /// Whether it was made.
    #[must_use]
    pub fn has(&self, store: StoreName) -> bool {
        self.list.stores.get(&store).is_some_and(|row| row.made)
    }

    /// The first height at which the relay may vote, or [`UNKNOWN`].
    #[must_use]
    pub fn votes_from(&self) -> Height {
        self.list.votes_from
    }

    /// Says that these stores are about to be opened, or made where they were not yet.
    ///
    /// # Errors
    /// [`MadeError::Missing`] of the first that was made and is not there; then nothing is changed.
    pub fn begin(&mut self, home: &Home, stores: &[StoreName], now: LocalTime) -> Result<(), MadeError> {
        let mut list = self.list.clone();
        for store in stores {
            match list.stores.get(store) {
                Some(Row { made: true, .. }) if store.is_there(home) => {}
                Some(Row { made: true, .. }) => {
                    return Err(MadeError::Missing { store: *store, path: store.path(home) });
                }
                // It was being made: whatever there is of it is of no use to anybody.
                Some(Row { made: false, .. }) => self.clear(*store, home)?,
                // Of a kind that an earlier version did not list.
                None if store.is_there(home) => {
                    list.stores.insert(*store, Row { made: true, since_ms: now.0.0 });
                }
                None => {
                    list.stores.insert(*store, Row { made: false, since_ms: now.0.0 });
                }
            }
        }
        self.replace(list)
    }

    fn clear(&self, store: StoreName, home: &Home) -> Result<(), MadeError> {
        let path = store.path(home);
        match fs::remove_file(&path) {
            // What lies in the archive's folder is named by what it is, and in nobody's way.
            Ok(()) => Ok(()),
            Err(_) if store == StoreName::Archive => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(MadeError::File { path, error }),
        }
    }

    /// Says that these stores are there. Before that nothing must be put into them.
    ///
    /// # Errors
    /// [`MadeError`].
    pub fn finish(&mut self, home: &Home, stores: &[StoreName], now: LocalTime) -> Result<(), MadeError> {
        let mut list = self.list.clone();
        for store in stores {
            let row = list.stores.entry(*store).or_insert(Row { made: false, since_ms: 0 });
            if !row.made {
                *row = Row { made: true, since_ms: now.0.0 };
                // Its name first, or a power cut could leave a list of what is not there.
                let path = store.path(home);
                let parent = path.parent().unwrap_or(home.folder());
                sync_names(parent).map_err(|error| MadeError::File { path: parent.to_owned(), error })?;
            }
        }
        self.replace(list)
    }

    /// Forgets that a store was made, so that it is made anew. A relay that may have voted, and loses what it would know that by, does not
    /// know from where on it may vote.
    ///
    /// # Errors
    /// [`MadeError::IsThere`], also.
    pub fn renew(&mut self, home: &Home, store: StoreName) -> Result<(), MadeError> {
        if store.is_there(home) {
            return Err(MadeError::IsThere(store.path(home)));
        }
        let mut list = self.list.clone();
        if matches!(store, StoreName::Chain | StoreName::Log | StoreName::Proposals) && self.has(StoreName::Log) {
            list.votes_from = UNKNOWN;
        }
        list.stores.remove(&store);
        self.replace(list)
    }

    /// From this height on the relay may vote, or it must be found out.
    ///
    /// # Errors
    /// [`MadeError`].
    pub fn set_votes_from(&mut self, votes_from: Height) -> Result<(), MadeError> {
        self.replace(List { votes_from, ..self.list.clone() })
    }

    fn replace(&mut self, list: List) -> Result<(), MadeError> {
        if list != self.list {
            self.list = list;
            self.write()?;
        }
        Ok(())
    }

    fn write(&self) -> Result<(), MadeError> {
        let List { stores, votes_from } = self.list.clone();
        let signature = Hex(self.key.sign(&self.list.preimage()).as_bytes()).to_string();
        let written = Written { format: FORMAT, stores, votes_from, signature };
        let mut text = serde_json::to_vec_pretty(&written).expect("names, numbers and digits have a form in JSON");
        text.push(b'\n');
        replace::write(&self.path, &text).map_err(|error| MadeError::File { path: self.path.clone(), error })
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::time::Timestamp;

    use super::*;

    const NOW: LocalTime = LocalTime(Timestamp(7));

    fn key() -> SecretKey {
        SecretKey::from_bytes(&[3; 32])
    }

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::create_dir(home.keys_folder()).unwrap();
        (folder, home)
    }

    fn open(home: &Home) -> Result<Made, MadeError> {
        Made::open(home, &key(), NOW)
    }

    #[test]
    fn a_store_is_made_once_and_then_missed() {
        let (_folder, home) = home();
        let both = [StoreName::Seen, StoreName::Pickups];
        open(&home).unwrap().begin(&home, &both, NOW).unwrap();
        // Killed before it was made, and while it was: it is made again, from nothing.
        fs::write(home.seen_file(), "half").unwrap();
        let mut made = open(&home).unwrap();
        made.begin(&home, &both, NOW).unwrap();
        assert!(!home.seen_file().exists());
        for path in [home.seen_file(), home.pickups_file()] {
            fs::write(path, "whole").unwrap();
        }
        made.finish(&home, &both, NOW).unwrap();
        drop(made);
        open(&home).unwrap().begin(&home, &both, NOW).unwrap();
        assert_eq!(fs::read(home.seen_file()).unwrap(), b"whole");
        // Gone, or cut to nothing, is missing.
        fs::write(home.pickups_file(), "").unwrap();
        let missing = open(&home).unwrap().begin(&home, &both, NOW).unwrap_err();
        assert!(matches!(missing, MadeError::Missing { store: StoreName::Pickups, .. }), "{missing}");
        assert!(missing.to_string().contains("`clavicle-relay renew pickups`"), "{missing}");
        fs::remove_file(home.pickups_file()).unwrap();
        open(&home).unwrap().begin(&home, &both, NOW).unwrap_err();
        // With who opened what, how often is lost too.
        assert!(StoreName::Receipts.way_out().contains("good for as many again"));
        let there = open(&home).unwrap().renew(&home, StoreName::Seen).unwrap_err();
        assert!(matches!(there, MadeError::IsThere(_)));
        open(&home).unwrap().renew(&home, StoreName::Pickups).unwrap();
        let mut made = open(&home).unwrap();
        made.begin(&home, &both, NOW).unwrap();
        assert_eq!(made.votes_from(), 0);
    }

    /// It was said by the chain, which may have come back from a backup and be older than the relay's votes.
    #[test]
    fn whoever_lost_what_it_voted_on_does_not_say_from_where_on_it_votes() {
        for store in [StoreName::Chain, StoreName::Log, StoreName::Proposals] {
            let (_folder, home) = home();
            // It never voted.
            let mut made = open(&home).unwrap();
            made.renew(&home, store).unwrap();
            assert_eq!(made.votes_from(), 0);
            made.begin(&home, &StoreName::VOTING, NOW).unwrap();
            made.finish(&home, &StoreName::VOTING, NOW).unwrap_err();
            fs::create_dir(home.consensus_folder()).unwrap();
            made.finish(&home, &StoreName::VOTING, NOW).unwrap();
            made.renew(&home, store).unwrap();
            drop(made);
            let mut made = open(&home).unwrap();
            assert_eq!(made.votes_from(), UNKNOWN);
            made.renew(&home, StoreName::Log).unwrap();
            made.renew(&home, StoreName::Chain).unwrap();
            assert_eq!(made.votes_from(), UNKNOWN);
            made.set_votes_from(9).unwrap();
            drop(made);
            assert_eq!(open(&home).unwrap().votes_from(), 9);
        }
    }

    #[test]
    fn what_an_earlier_version_made_is_missed_too() {
        let (_folder, home) = home();
        fs::write(home.chain_file(), "a chain").unwrap();
        let missing = open(&home).unwrap().begin(&home, &StoreName::SERVICE, NOW).unwrap_err();
        assert!(matches!(missing, MadeError::Missing { store: StoreName::Archive, .. }), "{missing}");
        // It never voted.
        open(&home).unwrap().begin(&home, &StoreName::VOTING, NOW).unwrap();
    }

    #[test]
    fn a_list_that_this_relay_did_not_sign_is_refused() {
        let (_folder, home) = home();
        open(&home).unwrap().begin(&home, &StoreName::SERVICE, NOW).unwrap();
        let text = fs::read_to_string(home.made_file()).unwrap();
        let other = SecretKey::from_bytes(&[4; 32]);
        assert!(matches!(Made::open(&home, &other, NOW), Err(MadeError::Damaged(_))));
        for (from, to) in [("\"votes_from\": 0", "\"votes_from\": 1"), ("seen", "log"), ("false", "true"), ("{", "[")] {
            fs::write(home.made_file(), text.replacen(from, to, 1)).unwrap();
            assert!(matches!(open(&home), Err(MadeError::Damaged(_))), "{from} to {to}");
        }
        fs::write(home.made_file(), text.replace("\"format\": 1", "\"format\": 2")).unwrap();
        assert!(matches!(open(&home), Err(MadeError::Format { format: 2, .. })));
    }

    #[test]
    fn one_process_at_a_time_has_the_list() {
        let (_folder, home) = home();
        let made = open(&home).unwrap();
        assert!(matches!(open(&home), Err(MadeError::Busy)));
        drop(made);
        open(&home).unwrap();
    }
}
