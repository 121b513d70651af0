//! What is kept, whether it is still what it was, and how it goes.

use std::collections::BTreeSet;

use clavicle_ledger::id::{ChainId, StudyId};
use clavicle_manifest::StoredDigest;
use redb::{ReadableDatabase as _, ReadableTable as _};

use super::{
    Archive, ArchiveError, BY_UID, CONTRADICTIONS, Contradiction, EDITIONS, EDITIONS_OF, KEPT, NAMES, OPEN, STUDIES,
    SharedName, Soundness, UNPUBLISHED, VISITS, decode, visits,
};

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
    /// Files that no study has, in the catalogue or by a record: what a kill left behind.
    pub stray: Vec<StoredDigest>,
    /// Studies with a record in the archive that the catalogue has not.
    pub unlisted: Vec<StudyId>,
    /// Of these, those whose record cannot be read: of which files are theirs nobody can say.
    pub unreadable: Vec<StudyId>,
    /// Studies in the catalogue whose record was not what it should be. It was written again.
    pub unrecorded: Vec<StudyId>,
}

impl Checked {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let Self { sound: _, damaged, missing, stray, unlisted, unreadable: _, unrecorded } = self;
        [damaged, missing, stray].iter().all(|list| list.is_empty()) && unlisted.is_empty() && unrecorded.is_empty()
    }
}

/// Studies that there are records of, and the catalogue has not.
#[derive(Default)]
struct Unlisted {
    studies: Vec<StudyId>,
    unreadable: Vec<StudyId>,
    /// What the others keep.
    named: BTreeSet<StoredDigest>,
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

    /// Reads all bytes of all studies, and says which are not what they were. `seen` is told how many are done, and of how many. A record that is not
    /// what the catalogue has is written again.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn check(&self, chain: &ChainId, seen: &mut dyn FnMut(usize, usize)) -> Result<Checked, ArchiveError> {
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
        for entry in self.studies()? {
            let id = entry.manifest.manifest.header().study;
            let recorded = self.records.read(id, chain);
            let is_right = recorded
                .map(|one| one.entry == entry && self.contradictions(id).is_ok_and(|all| all == one.contradictions));
            if is_right != Some(true) {
                self.record_again(&entry)?;
                checked.unrecorded.push(id);
            }
        }
        let Unlisted { studies, unreadable, named } = self.unlisted(chain)?;
        (checked.unlisted, checked.unreadable) = (studies, unreadable);
        let table = self.catalogue.begin_read()?.open_table(KEPT)?;
        for digest in self.bytes.all()? {
            if table.get(digest.as_bytes())?.is_none() && !named.contains(&digest) {
                checked.stray.push(digest);
            }
        }
        Ok(checked)
    }

    /// Studies that there are records of, and the catalogue has not.
    fn unlisted(&self, chain: &ChainId) -> Result<Unlisted, ArchiveError> {
        let mut unlisted = Unlisted::default();
        for id in self.records.all()? {
            if self.entry(id)?.is_some() {
                continue;
            }
            unlisted.studies.push(id);
            match self.records.read(id, chain) {
                Some(recorded) => unlisted.named.extend(recorded.kept().into_keys()),
                None => unlisted.unreadable.push(id),
            }
        }
        Ok(unlisted)
    }

    /// Removes bytes that no study has, in the catalogue or by a record.
    ///
    /// # Errors
    /// [`ArchiveError`]; [`ArchiveError::Unreadable`] when that cannot be said.
    pub fn remove_stray(&self, stray: &[StoredDigest], chain: &ChainId) -> Result<(), ArchiveError> {
        let _changing = self.changing();
        let Unlisted { unreadable, named, .. } = self.unlisted(chain)?;
        if !unreadable.is_empty() {
            return Err(ArchiveError::Unreadable(unreadable));
        }
        let table = self.catalogue.begin_read()?.open_table(KEPT)?;
        for digest in stray {
            if table.get(digest.as_bytes())?.is_none() && !named.contains(digest) {
                self.bytes.remove(digest)?;
            }
        }
        Ok(())
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
        let mut shared = Vec::new();
        for instance in entry.manifest.manifest.instances() {
            for other in names.get(instance.sop_instance_uid.as_str())? {
                let other = StudyId::from_bytes(*other?.value());
                if other == id {
                    continue;
                }
                let Some(other) = self.entry(other)? else { continue };
                shared.push(SharedName {
                    sop_instance_uid: instance.sop_instance_uid,
                    stored: instance.stored,
                    size: instance.size,
                    other_study_instance_uid: other.manifest.manifest.header().study_instance_uid,
                });
            }
        }
        Ok(shared)
    }

    /// How many files are kept for a study that may be removed, whatever other studies have of them. One that somebody holds may be only when it
    /// `is_withdrawn`, which the ledger says.
    ///
    /// # Errors
    /// [`ArchiveError::Held`], [`ArchiveError::Unknown`].
    pub fn removable(&self, id: StudyId, is_withdrawn: bool) -> Result<usize, ArchiveError> {
        let entry = self.entry(id)?.ok_or(ArchiveError::Unknown)?;
        if entry.claimed.is_some() && !is_withdrawn { Err(ArchiveError::Held) } else { Ok(self.digests(id)?.len()) }
    }

    /// Removes a study: its entry first, in one commit, then what bytes no other study has. A study that somebody holds goes only when
    /// it `is_withdrawn`, which the ledger says.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn remove(&self, id: StudyId, is_withdrawn: bool) -> Result<(), ArchiveError> {
        let _changing = self.changing();
        let entry = self.entry(id)?.ok_or(ArchiveError::Unknown)?;
        if entry.claimed.is_some() && !is_withdrawn {
            return Err(ArchiveError::Held);
        }
        let digests = self.digests(id)?;
        let mut gone = Vec::new();
        let transaction = self.catalogue.begin_write()?;
        {
            transaction.open_table(STUDIES)?.remove(id.as_bytes())?;
            let uid = entry.manifest.manifest.header().study_instance_uid;
            transaction.open_table(BY_UID)?.remove(uid.as_str())?;
            transaction.open_table(UNPUBLISHED)?.remove(id.as_bytes())?;
            transaction.open_table(OPEN)?.remove(id.as_bytes())?;
            let of_study = (id.as_bytes(), &[0; 32])..=(id.as_bytes(), &[0xff; 32]);
            transaction.open_table(CONTRADICTIONS)?.retain_in(of_study.clone(), |_, _| false)?;
            let mut editions = transaction.open_table(EDITIONS)?;
            for row in transaction.open_table(EDITIONS_OF)?.extract_from_if(of_study, |_, ()| true)? {
                editions.remove(row?.0.value().1)?;
            }
            visits::list(&mut transaction.open_multimap_table(VISITS)?, id, Some(&entry), None)?;
            let mut names = transaction.open_multimap_table(NAMES)?;
            for instance in entry.manifest.manifest.instances() {
                names.remove(instance.sop_instance_uid.as_str(), id.as_bytes())?;
            }
            let mut kept = transaction.open_table(KEPT)?;
            for digest in digests {
                let row = kept.get(digest.as_bytes())?.map(|row| row.value());
                match row {
                    Some((size, studies)) if studies > 1 => {
                        kept.insert(digest.as_bytes(), (size, studies - 1))?;
                    }
                    _ => {
                        kept.remove(digest.as_bytes())?;
                        gone.push(digest);
                    }
                }
            }
        }
        transaction.commit()?;
        self.records.remove(id)?;
        gone.iter().try_for_each(|digest| self.bytes.remove(digest))
    }

    /// Everything that is kept for a study: what is in its newest manifest, which has all that any had before, and what contradicts it.
    pub(super) fn digests(&self, id: StudyId) -> Result<BTreeSet<StoredDigest>, ArchiveError> {
        let mut all: BTreeSet<_> = self.contradictions(id)?.into_iter().map(|(digest, _)| digest).collect();
        if let Some(entry) = self.entry(id)? {
            all.extend(entry.manifest.manifest.instances().map(|one| one.stored));
            all.extend(entry.manifest.manifest.attachments().iter().map(|one| one.stored));
        }
        Ok(all)
    }
}
