//! What is kept, whether it is still what it was, and how it goes.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry as Slot};

use clavicle_ledger::id::StudyId;
use clavicle_manifest::StoredDigest;
use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::catalogue::{
    BY_UID, CONTRADICTIONS, EDITIONS, EDITIONS_OF, KEPT, NAMES, OPEN, STUDIES, UNPUBLISHED, decode,
};
use super::index::{self, INDEX};
use super::settle::Settling;
use super::take::forget;
use super::{Archive, ArchiveError, Contradiction, Entry, SharedName, Soundness};

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files. What several studies have in common is one.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes that would be needed if each study had its own.
    pub shared: u64,
}

/// What a check of all bytes found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files that are what they were.
    pub sound: u64,
    /// Files that are other bytes now, or cannot be read any more.
    pub damaged: Vec<StoredDigest>,
    /// Files that are gone.
    pub missing: Vec<StoredDigest>,
    /// Files that no study has: what a kill left behind.
    pub stray: Vec<StoredDigest>,
    /// Studies that the catalogue did not have as their records do. It has now.
    pub unlisted: Vec<StudyId>,
    /// Studies whose record cannot be read, or contradicts the catalogue: which files are theirs nobody can say.
    pub unreadable: Vec<StudyId>,
    /// Studies in the catalogue whose record was not what it should be. It was written again.
    pub unrecorded: Vec<StudyId>,
}

impl Checked {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let Self { sound: _, damaged, missing, stray, unlisted, unreadable, unrecorded } = self;
        [damaged, missing, stray].iter().all(|list| list.is_empty())
            && [unlisted, unreadable, unrecorded].iter().all(|list| list.is_empty())
    }
}

/// What the ledger says of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLedger {
    /// Nothing.
    Absent,
    /// Somebody holds it.
    Held,
    /// It was withdrawn for ever.
    Withdrawn,
}

impl Archive {
    /// How much is kept.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn usage(&self) -> Result<Usage, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(KEPT)?;
        let mut usage = Usage::default();
        for row in table.iter()? {
            let (size, studies) = row?.1.value();
            usage.files += 1;
            usage.bytes = usage.bytes.saturating_add(size);
            usage.shared = usage.shared.saturating_add(size.saturating_mul(studies.into()));
        }
        Ok(usage)
    }

    /// Reads all bytes of all studies, and says which are not what they were. `seen` is told how many are done, and
    /// of how many. Catalogue and records are held against each other, and what the one lacks is put right.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn check(&self, seen: &mut dyn FnMut(usize, usize)) -> Result<Checked, ArchiveError> {
        let wanted: Vec<StoredDigest> = {
            let table = self.catalogue.begin_read()?.open_table(KEPT)?;
            let digests = table.iter()?.map(|row| Ok(StoredDigest::from_bytes(*row?.0.value())));
            digests.collect::<Result<_, ArchiveError>>()?
        };
        let mut checked = Checked::default();
        for (at, digest) in wanted.iter().enumerate() {
            match self.bytes.check(digest) {
                Soundness::Sound => checked.sound += 1,
                Soundness::Damaged => checked.damaged.push(*digest),
                Soundness::Missing => checked.missing.push(*digest),
            }
            seen(at + 1, wanted.len());
        }
        // Listed while nothing comes in: what is on its way would look stray.
        let _changing = self.changing();
        let Settling { listed, recorded, unsettled } = self.settle_all()?;
        (checked.unlisted, checked.unrecorded, checked.unreadable) = (listed, recorded, unsettled);
        let table = self.catalogue.begin_read()?.open_table(KEPT)?;
        for digest in self.bytes.all()? {
            if table.get(digest.as_bytes())?.is_none() {
                checked.stray.push(digest);
            }
        }
        Ok(checked)
    }

    /// Removes bytes that no study has.
    ///
    /// # Errors
    /// [`ArchiveError`]; [`ArchiveError::Unreadable`] when that cannot be said.
    pub fn remove_stray(&self, stray: &[StoredDigest]) -> Result<(), ArchiveError> {
        let _changing = self.changing();
        let unsettled = self.settle_all()?.unsettled;
        if !unsettled.is_empty() {
            return Err(ArchiveError::Unreadable(unsettled));
        }
        self.remove_bytes(&stray.iter().copied().collect())
    }

    /// What contradicts instances of a study, each with its digest.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn contradictions(&self, id: StudyId) -> Result<Vec<(StoredDigest, Contradiction)>, ArchiveError> {
        let table = self.catalogue.begin_read()?.open_table(CONTRADICTIONS)?;
        let rows = table.range((id.as_bytes(), &[0; 32])..=(id.as_bytes(), &[0xff; 32]))?;
        rows.map(|row| {
            let (key, value) = row?;
            Ok((StoredDigest::from_bytes(*key.value().1), decode(value.value())?))
        })
        .collect()
    }

    /// Instances of a study whose names other studies have as well.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn shared_names(&self, id: StudyId) -> Result<Vec<SharedName>, ArchiveError> {
        let Some(entry) = self.entry(id)? else { return Ok(Vec::new()) };
        let names = self.catalogue.begin_read()?.open_multimap_table(NAMES)?;
        let (mut shared, mut uids) = (Vec::new(), BTreeMap::new());
        for instance in entry.manifest.manifest.instances() {
            for other in names.get(instance.sop_instance_uid.as_str())? {
                let other = StudyId::from_bytes(*other?.value());
                if other == id {
                    continue;
                }
                // Its manifest once, however many names they share.
                if let Slot::Vacant(slot) = uids.entry(other) {
                    let entry = self.entry(other)?;
                    slot.insert(entry.map(|entry| entry.manifest.manifest.header().study_instance_uid));
                }
                shared.extend(uids[&other].map(|other_study_instance_uid| SharedName {
                    sop_instance_uid: instance.sop_instance_uid,
                    stored: instance.stored,
                    size: instance.size,
                    other_study_instance_uid,
                }));
            }
        }
        Ok(shared)
    }

    /// The files that are kept for a study that may be removed, whatever other studies have of them. One that
    /// somebody holds, by what the ledger says or what was co-signed here, may be only when it is withdrawn.
    ///
    /// # Errors
    /// [`ArchiveError::Held`], [`ArchiveError::Unknown`], [`ArchiveError::Unreadable`].
    pub fn removable(&self, id: StudyId, on_ledger: OnLedger) -> Result<BTreeSet<StoredDigest>, ArchiveError> {
        self.entry_to_remove(id, on_ledger)?;
        self.digests(id)
    }

    fn entry_to_remove(&self, id: StudyId, on_ledger: OnLedger) -> Result<Entry, ArchiveError> {
        let entry = self.settled(id)?.ok_or(ArchiveError::Unknown)?;
        match on_ledger {
            OnLedger::Held => Err(ArchiveError::Held),
            OnLedger::Absent if entry.claimed.is_some() => Err(ArchiveError::Held),
            OnLedger::Absent | OnLedger::Withdrawn => Ok(entry),
        }
    }

    /// Removes a study: it is said to go, then it goes from the catalogue, in one commit, then go what bytes no other
    /// study has, and its record. What a kill leaves of that goes at the next start. See [`Archive::removable`].
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn remove(&self, id: StudyId, on_ledger: OnLedger) -> Result<(), ArchiveError> {
        let _changing = self.changing();
        let entry = self.entry_to_remove(id, on_ledger)?;
        let unsettled: Vec<StudyId> = self.unsettled().iter().copied().collect();
        if !unsettled.is_empty() {
            // Bytes of this study may be another's as well.
            return Err(ArchiveError::Unreadable(unsettled));
        }
        let digests = self.digests(id)?;
        let change = self.begin_change(id)?;
        self.records.let_go(id)?;
        let transaction = self.catalogue.begin_write()?;
        leave(&transaction, id, &entry, &digests)?;
        self.finish_change(transaction, change)?;
        self.remove_bytes(&digests)?;
        self.records.remove_going(id)
    }

    /// Takes out of the catalogue what is going.
    pub(super) fn let_go(&self) -> Result<(), ArchiveError> {
        for id in self.records.going()? {
            let Some(entry) = self.entry(id)? else { continue };
            let digests = self.digests(id)?;
            let transaction = self.catalogue.begin_write()?;
            leave(&transaction, id, &entry, &digests)?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// Removes what is going, and the bytes that only it has. As long as nobody can say whose all bytes are, it waits.
    pub(super) fn remove_going(&self) -> Result<(), ArchiveError> {
        if !self.unsettled().is_empty() {
            return Ok(());
        }
        for id in self.records.going()? {
            if let Some(recorded) = self.records.read_going(id, &self.chain) {
                self.remove_bytes(&recorded.kept().into_keys().collect())?;
            }
            self.records.remove_going(id)?;
        }
        Ok(())
    }

    /// Removes those of these bytes that no study has.
    pub(super) fn remove_bytes(&self, digests: &BTreeSet<StoredDigest>) -> Result<(), ArchiveError> {
        let kept = self.catalogue.begin_read()?.open_table(KEPT)?;
        for digest in digests {
            if kept.get(digest.as_bytes())?.is_none() {
                self.bytes.remove(digest)?;
            }
        }
        Ok(())
    }

    /// Everything that is kept for a study: what is in its manifests, and what contradicts it. The newest has all
    /// images that any had before; a report that was detached is in earlier ones alone.
    pub(super) fn digests(&self, id: StudyId) -> Result<BTreeSet<StoredDigest>, ArchiveError> {
        let mut all: BTreeSet<_> = self.contradictions(id)?.into_iter().map(|(digest, _)| digest).collect();
        if let Some(entry) = self.entry(id)? {
            all.extend(entry.manifest.manifest.instances().map(|one| one.stored));
            all.extend(entry.manifest.manifest.attachments().iter().map(|one| one.stored));
        }
        for (_, edition) in self.editions_of(id)? {
            all.extend(edition.manifest.attachments().iter().map(|one| one.stored));
        }
        Ok(all)
    }
}

/// Takes a study, for which these bytes are kept, out of a catalogue.
fn leave(
    transaction: &WriteTransaction,
    id: StudyId,
    entry: &Entry,
    digests: &BTreeSet<StoredDigest>,
) -> Result<(), ArchiveError> {
    transaction.open_table(STUDIES)?.remove(id.as_bytes())?;
    index::list(&mut transaction.open_table(INDEX)?, id, Some(entry), None)?;
    let uid = entry.manifest.manifest.header().study_instance_uid;
    // Another study may have its images by now.
    let of_uid = transaction.open_table(BY_UID)?.get(uid.as_str())?.map(|of| *of.value());
    if of_uid == Some(*id.as_bytes()) {
        transaction.open_table(BY_UID)?.remove(uid.as_str())?;
    }
    transaction.open_table(UNPUBLISHED)?.remove(id.as_bytes())?;
    transaction.open_table(OPEN)?.remove(id.as_bytes())?;
    let of_study = (id.as_bytes(), &[0; 32])..=(id.as_bytes(), &[0xff; 32]);
    transaction.open_table(CONTRADICTIONS)?.retain_in(of_study.clone(), |_, _| false)?;
    let mut editions = transaction.open_table(EDITIONS)?;
    for row in transaction.open_table(EDITIONS_OF)?.extract_from_if(of_study, |_, ()| true)? {
        editions.remove(row?.0.value().1)?;
    }
    let mut names = transaction.open_multimap_table(NAMES)?;
    for instance in entry.manifest.manifest.instances() {
        names.remove(instance.sop_instance_uid.as_str(), id.as_bytes())?;
    }
    let mut kept = transaction.open_table(KEPT)?;
    digests.iter().try_for_each(|digest| forget(&mut kept, digest))
}
