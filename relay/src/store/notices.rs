//! Who has a copy of which study, and where they are told when it is not what it was any more.
//!
//! ```text
//! copies_v1  study (32), key (32)        ─► where they are told, of what they have a copy, what they were told
//! due_v1     when, study (32), key (32)  ─► ()        what is to be looked at next is first
//! letters_v1 study (32), key (32)        ─► BLAKE3 of what is said (32), the letter that says it, sealed: until they have it
//! looked_v1  ()                          ─► the height up to which blocks were looked at
//! reissued_v1 study (32)                 ─► ()        the wrong person had it: whoever has a copy is told that
//! ```
//!
//! What a block changes of a study is due for everyone who has a copy of it, in the same commit as the height: a relay that is killed looks at
//! the blocks since then once more, and tells everybody. A letter is kept before it is left anywhere: one that is killed meanwhile leaves the same
//! bytes again, which a mailbox takes once.
//!
//! That somebody has a copy is on the disk with the next of these commits, half a minute later at most: a thousand who come at once do not wait
//! for the disk a thousand times. Whoever is forgotten by a kill or a power cut in between is not told; their own wallet asks the ledger all the same.

use std::collections::BTreeSet;
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{self, Wire};
use clavicle_ledger::id::{ManifestRoot, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Height, Timestamp};
use clavicle_network::transfer::Reach;
use redb::{Database, Durability, ReadableDatabase as _, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::{StoreError, begin_write, open_small, read_row};

const COPIES: TableDefinition<'_, (&[u8; 32], &[u8; 32]), &[u8]> = TableDefinition::new("copies_v1");
const DUE: TableDefinition<'_, (u64, &[u8; 32], &[u8; 32]), ()> = TableDefinition::new("due_v1");
/// Whose copy of which study.
type CopyKey = (&'static [u8; 32], &'static [u8; 32]);
/// A letter, after the digest of what it says.
type KeptLetter = (&'static [u8; 32], &'static [u8]);

const LETTERS: TableDefinition<'_, CopyKey, KeptLetter> = TableDefinition::new("letters_v1");
const LOOKED: TableDefinition<'_, (), Height> = TableDefinition::new("looked_v1");
const REISSUED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("reissued_v1");

/// The most who are told of one study. Of more, the one whose copy is the oldest is told no more.
pub const MAX_COPIES: usize = 256;
/// How long it takes until one who was not reached is tried again, the first time; each time after that twice as long.
const AGAIN_MS: u64 = 30_000;
/// The longest that it takes.
const AGAIN_AT_MOST_MS: u64 = HOUR_MS * 6;
/// For how long one who cannot be reached is tried: no mailbox is kept longer, unless it is opened again.
const GIVE_UP_MS: u64 = DAY_MS * 30;

/// A copy, and who has it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Copy {
    /// Where they are told.
    pub reach: Reach,
    /// The root of the manifest that it is of.
    pub root: ManifestRoot,
    /// Whether it is of all series.
    pub whole: bool,
    /// When it was made.
    pub at: Timestamp,
}

/// Somebody who may have to be told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The study.
    pub study: StudyId,
    /// The key that it was fetched with.
    pub key: Key,
    /// The copy.
    pub copy: Copy,
    /// BLAKE3 of what they were told last.
    pub told: Option<[u8; 32]>,
    /// How often the study changed since the copy was made.
    changes: u32,
}

#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
struct Row {
    copy: Copy,
    told: Option<[u8; 32]>,
    changes: u32,
    tries: u32,
    /// Since when they are to be told something, and when that is tried next.
    due: Option<(Timestamp, Timestamp)>,
}

impl Wire for Row {
    const NAME: &'static str = "who is told";
    const MAX_LEN: usize = Reach::MAX_LEN + 128;
}

/// Who is told what becomes of studies. Shared.
#[derive(Debug)]
pub struct Notices {
    database: Database,
}

impl Notices {
    /// Opens it at `path`, or makes it there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = open_small(path, |transaction| {
            transaction.open_table(COPIES)?;
            transaction.open_table(DUE)?;
            transaction.open_table(LETTERS)?;
            transaction.open_table(LOOKED)?;
            transaction.open_table(REISSUED)?;
            Ok(())
        })?;
        Ok(Self { database })
    }

    /// Keeps that whoever has `key` has a copy now, in the place of an earlier one. It is due at once: the study may have changed since it was
    /// opened.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep(&self, study: StudyId, key: Key, copy: Copy) -> Result<(), StoreError> {
        let now = copy.at;
        self.change(Durability::None, |tables| {
            // What they were told was about the copy before.
            tables.letters.remove((study.as_bytes(), key.as_bytes()))?;
            tables.put(study, key, &Row { copy, told: None, changes: 0, tries: 0, due: Some((now, now)) })?;
            tables.make_room(study)
        })
    }

    /// Up to which height blocks were looked at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn looked(&self) -> Result<Option<Height>, StoreError> {
        let table = self.database.begin_read()?.open_table(LOOKED)?;
        Ok(table.get(())?.map(|height| height.value()))
    }

    /// Blocks up to `height` were looked at, and changed these studies.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn changed(&self, studies: &BTreeSet<StudyId>, height: Height, now: Timestamp) -> Result<(), StoreError> {
        self.change(Durability::Immediate, |tables| {
            for study in studies {
                tables.make_due(*study, now)?;
            }
            tables.looked.insert((), height)?;
            Ok(())
        })
    }

    /// Whoever has a copy of a study is told that it was reissued, once it is withdrawn: from `now` on, if it is already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reissue(&self, study: StudyId, now: Timestamp) -> Result<(), StoreError> {
        let transaction = begin_write(&self.database)?;
        transaction.open_table(REISSUED)?.insert(study.as_bytes(), ())?;
        Tables::open(&transaction)?.make_due(study, now)?;
        Ok(transaction.commit()?)
    }

    /// Whether they are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_reissued(&self, study: StudyId) -> Result<bool, StoreError> {
        let table = self.database.begin_read()?.open_table(REISSUED)?;
        Ok(table.get(study.as_bytes())?.is_some())
    }

    /// Those who are due, `most` at most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn due(&self, now: Timestamp, most: usize) -> Result<Vec<Due>, StoreError> {
        let transaction = self.database.begin_read()?;
        let (copies, due) = (transaction.open_table(COPIES)?, transaction.open_table(DUE)?);
        let mut all = Vec::new();
        for entry in due.range(..=(now.0, &[0xff; 32], &[0xff; 32]))?.take(most) {
            let entry = entry?;
            let (_, study, key) = entry.0.value();
            let Some(row) = copies.get((study, key))? else { continue };
            let Row { copy, told, changes, .. } = read_row(row.value())?;
            all.push(Due { study: StudyId::from_bytes(*study), key: Key::from_bytes(*key), copy, told, changes });
        }
        Ok(all)
    }

    /// The letter in which they are told something of this digest: the one that is kept, or a new one, which is then.
    ///
    /// # Errors
    /// [`StoreError`], and what `seal` fails with.
    pub fn letter<E: From<StoreError>>(
        &self,
        due: &Due,
        digest: &[u8; 32],
        seal: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        if let Some(kept) = self.kept(due, digest)? {
            return Ok(kept);
        }
        let sealed = seal()?;
        self.change(Durability::Immediate, |tables| {
            tables.letters.insert((due.study.as_bytes(), due.key.as_bytes()), (digest, sealed.as_slice()))?;
            Ok(())
        })?;
        Ok(sealed)
    }

    fn kept(&self, due: &Due, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        let letters = self.database.begin_read()?.open_table(LETTERS)?;
        let Some(kept) = letters.get((due.study.as_bytes(), due.key.as_bytes()))? else { return Ok(None) };
        let (of, sealed) = kept.value();
        Ok((of == digest).then(|| sealed.to_vec()))
    }

    /// They were told this, or there is nothing that they have to be told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settle(&self, due: &Due, told: Option<[u8; 32]>) -> Result<(), StoreError> {
        self.update(due, |row| {
            row.told = told.or(row.told);
            // What has changed meanwhile they do not know yet.
            if row.changes == due.changes {
                row.due = None;
            }
            Some(row)
        })
    }

    /// They were not reached. Gives up on whoever was not for as long as a mailbox is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn not_reached(&self, due: &Due, now: Timestamp) -> Result<(), StoreError> {
        self.update(due, |row| {
            let (since, _) = row.due?;
            if now.since(since) > GIVE_UP_MS {
                return None;
            }
            let again = AGAIN_MS.saturating_mul(1u64 << row.tries.min(20)).min(AGAIN_AT_MOST_MS);
            row.tries = row.tries.saturating_add(1);
            row.due = Some((since, now.plus(again)));
            Some(row)
        })
    }

    /// They cannot be told anything any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&self, due: &Due) -> Result<(), StoreError> {
        self.update(due, |_| None)
    }

    fn update(&self, due: &Due, change: impl FnOnce(&mut Row) -> Option<&mut Row>) -> Result<(), StoreError> {
        self.change(Durability::Immediate, |tables| {
            let Some(mut row) = tables.row(due.study, due.key)? else { return Ok(()) };
            // Another copy is in its place.
            if row.copy.at != due.copy.at {
                return Ok(());
            }
            let told = row.told;
            match change(&mut row).cloned() {
                Some(row) => {
                    if row.told != told {
                        tables.letters.remove((due.study.as_bytes(), due.key.as_bytes()))?;
                    }
                    tables.put(due.study, due.key, &row)
                }
                None => tables.forget(due.study, due.key),
            }
        })
    }

    fn change(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut Tables<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut transaction = begin_write(&self.database)?;
        transaction.set_durability(durability)?;
        work(&mut Tables::open(&transaction)?)?;
        Ok(transaction.commit()?)
    }
}

/// The tables, while they are written.
struct Tables<'a> {
    copies: Table<'a, (&'static [u8; 32], &'static [u8; 32]), &'static [u8]>,
    due: Table<'a, (u64, &'static [u8; 32], &'static [u8; 32]), ()>,
    letters: Table<'a, CopyKey, KeptLetter>,
    looked: Table<'a, (), Height>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            copies: transaction.open_table(COPIES)?,
            due: transaction.open_table(DUE)?,
            letters: transaction.open_table(LETTERS)?,
            looked: transaction.open_table(LOOKED)?,
        })
    }

    fn row(&self, study: StudyId, key: Key) -> Result<Option<Row>, StoreError> {
        let row = self.copies.get((study.as_bytes(), key.as_bytes()))?;
        row.map(|row| read_row(row.value())).transpose()
    }

    fn of(&self, study: StudyId) -> Result<Vec<(Key, Row)>, StoreError> {
        let all = self.copies.range((study.as_bytes(), &[0; 32])..=(study.as_bytes(), &[0xff; 32]))?;
        let row = |entry: redb::StorageError| StoreError::from(entry);
        all.map(|entry| {
            let (at, bytes) = entry.map_err(row)?;
            Ok((Key::from_bytes(*at.value().1), read_row(bytes.value())?))
        })
        .collect()
    }

    /// Whoever has a copy of a study is to be told something.
    fn make_due(&mut self, study: StudyId, now: Timestamp) -> Result<(), StoreError> {
        for (key, mut row) in self.of(study)? {
            row.changes = row.changes.saturating_add(1);
            row.tries = 0;
            row.due = Some((now, now));
            self.put(study, key, &row)?;
        }
        Ok(())
    }

    fn put(&mut self, study: StudyId, key: Key, row: &Row) -> Result<(), StoreError> {
        self.take(study, key)?;
        self.copies.insert((study.as_bytes(), key.as_bytes()), encoding::encode(row).as_slice())?;
        if let Some((_, next)) = row.due {
            self.due.insert((next.0, study.as_bytes(), key.as_bytes()), ())?;
        }
        Ok(())
    }

    fn take(&mut self, study: StudyId, key: Key) -> Result<(), StoreError> {
        if let Some((_, next)) = self.row(study, key)?.and_then(|row| row.due) {
            self.due.remove((next.0, study.as_bytes(), key.as_bytes()))?;
        }
        self.copies.remove((study.as_bytes(), key.as_bytes()))?;
        Ok(())
    }

    /// They are told no more.
    fn forget(&mut self, study: StudyId, key: Key) -> Result<(), StoreError> {
        self.letters.remove((study.as_bytes(), key.as_bytes()))?;
        self.take(study, key)
    }

    fn make_room(&mut self, study: StudyId) -> Result<(), StoreError> {
        let all = self.of(study)?;
        let oldest = all.iter().min_by_key(|(key, row)| (row.copy.at, *key)).map(|(key, _)| *key);
        match oldest.filter(|_| all.len() > MAX_COPIES) {
            Some(oldest) => self.forget(study, oldest),
            None => Ok(()),
        }
    }
}
