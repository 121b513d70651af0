//! What comes in becomes a part of a study, and the study's manifest is signed anew.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;

use clavicle_dicom::facts::shown;
use clavicle_imaging::intake::{AttachmentIntake, Conflict, Edition, StudyIntake};
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::id::{ChainId, ManifestRoot, StudyId};
use clavicle_ledger::salt::Salt;
use clavicle_letters::random::random;
use clavicle_manifest::{Change, Header, Instance, Manifest, Nonce, Series, SignedManifest, StoredDigest, Uid};
use redb::{ReadableTable as _, WriteTransaction};

use super::catalogue::{
    self, BY_UID, CONTRADICTIONS, Catalogued, EDITIONS, EDITIONS_OF, KEPT, NAMES, OPEN, STUDIES, UNPUBLISHED, decode,
};
use super::index::{self, INDEX};
use super::{Archive, ArchiveError, Contradiction, Entry, Origin, Signer, Taken};

/// An instance that came under the name of another, and how it differs.
type Other = (Instance, Change);

impl Archive {
    /// Takes in a study, and the files that contradict instances of it: their bytes, then their entry. What is there
    /// already stays; what is new is added. To a study that was closed only what a person hands in is added.
    ///
    /// # Errors
    /// [`ArchiveError`]; the catalogue is then unchanged.
    pub fn take(
        &self,
        study: &StudyIntake,
        conflicts: &[Conflict],
        origin: Origin,
        signer: &Signer<'_>,
    ) -> Result<Taken, ArchiveError> {
        let _changing = self.changing();
        let uid = study.study_instance_uid;
        let known = self.find(&uid)?;
        let differences = known.as_ref().map(|known| known.patient.differences(&study.patient)).unwrap_or_default();
        if !differences.is_empty() {
            return Err(ArchiveError::OtherPatient { study: uid, differences });
        }
        if let Some(known) = &known {
            self.settled(known.manifest.manifest.header().study)?;
        }
        let salt = known.as_ref().map_or_else(
            || random().map(Salt::from_bytes).map_err(ArchiveError::Random),
            |known| Ok(known.salt.clone()),
        )?;
        let mut others: Vec<Other> = conflicts.iter().map(|one| (one.instance.clone(), one.change)).collect();
        let (manifest, taken) = manifest_of(study, known.as_ref(), salt.clone(), signer, &mut others)?;
        if !others.is_empty() {
            // What the folder has as the other of two may be the one that the study has already.
            let listed: BTreeSet<StoredDigest> = manifest.instances().map(|one| one.stored).collect();
            others.retain(|(instance, _)| !listed.contains(&instance.stored));
        }
        if let Taken::Grown(id) = taken
            && origin != Origin::Handed
            && known.as_ref().is_some_and(|known| !known.manifest.manifest.header().open)
        {
            return Ok(Taken::Late(id));
        }

        let mut batch = self.bytes.batch();
        for InstanceAt { path, instance } in instances(study).chain(conflicts.iter().map(InstanceAt::of)) {
            batch.take(path, origin, instance.size, &instance.stored)?;
        }
        for one in &study.attachments {
            batch.take(&one.path, origin, one.attachment.size, &one.attachment.stored)?;
        }
        batch.finish()?;

        let is_same = matches!(taken, Taken::Known(_));
        let entry = match known {
            Some(known) if is_same => known,
            known => {
                let manifest = manifest.sign(&signer.chain, signer.operational);
                let (patient, accession_number, claimed) = known.map_or_else(
                    || (study.patient.clone(), study.accession_number.clone(), None),
                    |mut known| {
                        // What came now may say more of who it is, and whatever comes next is held against all of it.
                        known.patient.fill(&study.patient);
                        (known.patient, known.accession_number, known.claimed)
                    },
                );
                Entry { patient, accession_number, salt, claimed, manifest, grown: signer.now }
            }
        };
        self.write(taken.study(), &entry, &others, signer)?;
        Ok(taken)
    }

    /// Closes a study, so that nothing is added to it by itself any more. Whether it was open.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn close(&self, id: StudyId, signer: &Signer<'_>) -> Result<bool, ArchiveError> {
        let _changing = self.changing();
        let entry = self.settled(id)?.ok_or(ArchiveError::Unknown)?;
        let manifest = &entry.manifest.manifest;
        if !manifest.header().open {
            return Ok(false);
        }
        let too_large = || ArchiveError::TooLarge(manifest.header().study_instance_uid);
        let header = Header { open: false, ..next_header(&entry, &signer.chain).ok_or_else(too_large)? };
        let (series, attachments) = (manifest.series().clone(), manifest.attachments().clone());
        let nonce = Nonce::from_bytes(random().map_err(ArchiveError::Random)?);
        let closed = Manifest::new(header, nonce, series, attachments).map_err(ArchiveError::Manifest)?;
        let manifest = closed.sign(&signer.chain, signer.operational);
        self.write(id, &Entry { manifest, ..entry }, &[], signer)?;
        Ok(true)
    }

    /// Makes another study of what is in this one, under a fresh salt: nothing that is public links the two. From now on what comes under its
    /// Study Instance UID is added to the other one. Which that is; the same, asked for again.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn reissue(&self, id: StudyId, signer: &Signer<'_>) -> Result<StudyId, ArchiveError> {
        let _changing = self.changing();
        let entry = self.settled(id)?.ok_or(ArchiveError::Unknown)?;
        let manifest = &entry.manifest.manifest;
        let uid = manifest.header().study_instance_uid;
        if let Some(other) = self.find(&uid)?.map(|other| other.manifest.manifest.header().study)
            && other != id
        {
            return Ok(other);
        }
        let salt = random().map(Salt::from_bytes).map_err(ArchiveError::Random)?;
        let study = StudyId::of(&signer.chain, signer.source, salt.study_digest(uid.as_str()));
        let header =
            Header { study, source: signer.source, revision: 0, predecessor: None, ..manifest.header().clone() };
        let nonce = Nonce::from_bytes(random().map_err(ArchiveError::Random)?);
        let (series, attachments) = (manifest.series().clone(), manifest.attachments().clone());
        let again = Manifest::new(header, nonce, series, attachments).map_err(ArchiveError::Manifest)?;
        let manifest = again.sign(&signer.chain, signer.operational);
        let entry = Entry { salt, claimed: None, manifest, grown: signer.now, ..entry };
        self.write(study, &entry, &[], signer)?;
        Ok(study)
    }

    /// Takes reports out of a study and puts others in, in one manifest: the next revision of a study that somebody
    /// holds, of which earlier ones keep what is taken out; of one that nobody holds nothing is left of it. Whether
    /// anything was changed.
    ///
    /// # Errors
    /// [`ArchiveError`], [`ArchiveError::NoReport`] among them; then nothing is changed.
    pub fn change_reports(
        &self,
        id: StudyId,
        out: &[StoredDigest],
        coming: &[AttachmentIntake],
        signer: &Signer<'_>,
    ) -> Result<bool, ArchiveError> {
        let _changing = self.changing();
        let entry = self.settled(id)?.ok_or(ArchiveError::Unknown)?;
        if out.iter().any(|digest| entry.manifest.manifest.attachments().find(digest).is_none()) {
            return Err(ArchiveError::NoReport);
        }
        if entry.claimed.is_some() || out.is_empty() || coming.is_empty() {
            return self.write_reports(id, entry, out, coming, signer);
        }
        // One after the other: killed in between, record and catalogue must not each have what the other lacks.
        self.write_reports(id, entry, &[], coming, signer)?;
        let entry = self.settled(id)?.ok_or(ArchiveError::Unknown)?;
        let stays = |digest: &StoredDigest| coming.iter().any(|one| one.attachment.stored == *digest);
        let out: Vec<StoredDigest> = out.iter().filter(|digest| !stays(digest)).copied().collect();
        self.write_reports(id, entry, &out, &[], signer)?;
        Ok(true)
    }

    fn write_reports(
        &self,
        id: StudyId,
        entry: Entry,
        out: &[StoredDigest],
        coming: &[AttachmentIntake],
        signer: &Signer<'_>,
    ) -> Result<bool, ArchiveError> {
        let manifest = &entry.manifest.manifest;
        let too_large = || ArchiveError::TooLarge(manifest.header().study_instance_uid);
        // What is put in place of itself stays.
        let goes =
            |digest: &StoredDigest| out.contains(digest) && coming.iter().all(|one| one.attachment.stored != *digest);
        let stay = manifest.attachments().iter().filter(|one| !goes(&one.stored)).cloned().collect();
        let mut attachments = Ascending::from_items(stay).map_err(|_| too_large())?;
        for one in coming {
            if attachments.find(&one.attachment.stored).is_none() {
                attachments.insert(one.attachment.clone()).map_err(|_| too_large())?;
            }
        }
        if attachments == *manifest.attachments() {
            return Ok(false);
        }
        let header = next_header(&entry, &signer.chain).ok_or_else(too_large)?;
        let nonce = Nonce::from_bytes(random().map_err(ArchiveError::Random)?);
        let changed =
            Manifest::new(header, nonce, manifest.series().clone(), attachments).map_err(ArchiveError::Manifest)?;
        let mut batch = self.bytes.batch();
        for one in coming {
            batch.take(&one.path, Origin::Handed, one.attachment.size, &one.attachment.stored)?;
        }
        batch.finish()?;
        let manifest = changed.sign(&signer.chain, signer.operational);
        self.write(id, &Entry { manifest, ..entry }, &[], signer)?;
        // What no manifest names any more. A kill before this leaves bytes that a check names.
        self.remove_bytes(&out.iter().copied().collect())?;
        Ok(true)
    }

    /// Writes an entry, its manifest, what contradicts it, and what is kept for it, in one commit.
    fn write(&self, id: StudyId, entry: &Entry, others: &[Other], signer: &Signer<'_>) -> Result<(), ArchiveError> {
        let root = entry.manifest.manifest.root(&signer.chain);
        let mut contradicted = self.contradictions(id)?;
        for (instance, change) in others {
            if contradicted.iter().all(|(digest, _)| *digest != instance.stored) {
                let row = Contradiction {
                    sop_instance_uid: instance.sop_instance_uid,
                    size: instance.size,
                    how: shown(change.to_string()),
                    came: signer.now,
                };
                contradicted.push((instance.stored, row));
            }
        }
        let change = self.begin_change(id)?;
        self.records.keep(id, entry, root, &contradicted)?;
        let transaction = self.catalogue.begin_write()?;
        enter(&transaction, id, (entry, root), once((&root, &entry.manifest)), &contradicted)?;
        self.finish_change(transaction, change)?;
        if entry.claimed.is_none() {
            self.records.forget_editions(id, &[root])?;
        }
        Ok(())
    }
}

/// Puts into a catalogue what a study is now, with the root of its newest manifest: of its manifests these, besides
/// those that it has since somebody holds the study.
pub(super) fn enter<'a>(
    transaction: &WriteTransaction,
    id: StudyId,
    (entry, newest): (&Entry, ManifestRoot),
    manifests: impl Iterator<Item = (&'a ManifestRoot, &'a SignedManifest)>,
    contradicted: &[(StoredDigest, Contradiction)],
) -> Result<(), ArchiveError> {
    let mut studies = transaction.open_table(STUDIES)?;
    let mut contradictions = transaction.open_table(CONTRADICTIONS)?;
    let of_study = (id.as_bytes(), &[0; 32])..=(id.as_bytes(), &[0xff; 32]);
    // What is counted for it already.
    let mut counted = BTreeSet::new();
    for row in contradictions.range(of_study.clone())? {
        counted.insert(StoredDigest::from_bytes(*row?.0.value().1));
    }
    let mut editions = transaction.open_table(EDITIONS)?;
    let before = catalogue::entry(&studies, &editions, id)?;
    if let Some(before) = &before {
        counted.extend(sizes(&before.manifest.manifest).map(|(digest, _)| digest));
    }
    index::list(&mut transaction.open_table(INDEX)?, id, before.as_ref(), Some(entry))?;
    let manifest = &entry.manifest.manifest;
    let uid = manifest.header().study_instance_uid;
    studies.insert(id.as_bytes(), encoding::encode(&Catalogued::of(entry, newest)).as_slice())?;
    transaction.open_table(BY_UID)?.insert(uid.as_str(), id.as_bytes())?;

    let mut editions_of = transaction.open_table(EDITIONS_OF)?;
    // Reports come and go: one that was detached is still kept for the editions that have it.
    let mut reports: BTreeMap<StoredDigest, u64> = BTreeMap::new();
    let mut detached = Vec::new();
    if let Some(before) = before.filter(|before| before.claimed.is_none()) {
        // Nobody can have been shown to hold the one before.
        for row in editions_of.extract_from_if(of_study, |_, ()| true)? {
            editions.remove(row?.0.value().1)?;
        }
        let is_named = |digest: &StoredDigest| {
            sizes(manifest).any(|(named, _)| named == *digest) || contradicted.iter().any(|(one, _)| one == digest)
        };
        let reports = before.manifest.manifest.attachments().iter().map(|one| one.stored);
        detached.extend(reports.filter(|digest| !is_named(digest)));
    } else if manifest.attachments().iter().any(|one| !counted.contains(&one.stored)) {
        for row in editions_of.range(of_study)? {
            let edition = editions.get(row?.0.value().1)?;
            let edition: Option<SignedManifest> = edition.map(|edition| decode(edition.value())).transpose()?;
            counted.extend(edition.iter().flat_map(|one| one.manifest.attachments()).map(|one| one.stored));
        }
    }
    let mut is_new = false;
    for (root, manifest) in manifests {
        reports.extend(manifest.manifest.attachments().iter().map(|one| (one.stored, one.size)));
        editions_of.insert((id.as_bytes(), root.as_bytes()), ())?;
        is_new |= editions.insert(root.as_bytes(), encoding::encode(manifest).as_slice())?.is_none();
    }
    if entry.claimed.is_some() && is_new {
        // Whether it is on the ledger already is found out with the next block.
        transaction.open_table(UNPUBLISHED)?.insert(id.as_bytes(), ())?;
    }
    if manifest.header().open {
        transaction.open_table(OPEN)?.insert(id.as_bytes(), entry.grown.0)?;
    } else {
        transaction.open_table(OPEN)?.remove(id.as_bytes())?;
    }
    for (digest, row) in contradicted {
        contradictions.insert((id.as_bytes(), digest.as_bytes()), encoding::encode(row).as_slice())?;
    }
    let mut names = transaction.open_multimap_table(NAMES)?;
    for instance in manifest.instances().filter(|one| !counted.contains(&one.stored)) {
        names.insert(instance.sop_instance_uid.as_str(), id.as_bytes())?;
    }
    let mut kept = transaction.open_table(KEPT)?;
    let others = contradicted.iter().map(|(digest, row)| (*digest, row.size));
    for (digest, size) in sizes(manifest).chain(reports).chain(others) {
        if counted.insert(digest) {
            let studies = kept.get(digest.as_bytes())?.map_or(0, |row| row.value().1);
            kept.insert(digest.as_bytes(), (size, studies.saturating_add(1)))?;
        }
    }
    for digest in detached {
        forget(&mut kept, &digest)?;
    }
    Ok(())
}

/// One study less has these bytes.
pub(super) fn forget(
    kept: &mut redb::Table<'_, &'static [u8; 32], (u64, u32)>,
    digest: &StoredDigest,
) -> Result<(), ArchiveError> {
    let row = kept.get(digest.as_bytes())?.map(|row| row.value());
    match row {
        Some((size, studies)) if studies > 1 => {
            kept.insert(digest.as_bytes(), (size, studies - 1))?;
        }
        _ => {
            kept.remove(digest.as_bytes())?;
        }
    }
    Ok(())
}

/// What a manifest names, and how large it is.
fn sizes(manifest: &Manifest) -> impl Iterator<Item = (StoredDigest, u64)> {
    let attachments = manifest.attachments().iter().map(|one| (one.stored, one.size));
    manifest.instances().map(|one| (one.stored, one.size)).chain(attachments)
}

/// An instance, and the file it came in.
struct InstanceAt<'a> {
    path: &'a std::path::Path,
    instance: &'a Instance,
}

impl<'a> InstanceAt<'a> {
    fn of(conflict: &'a Conflict) -> Self {
        Self { path: &conflict.path, instance: &conflict.instance }
    }
}

fn instances(study: &StudyIntake) -> impl Iterator<Item = InstanceAt<'_>> {
    let all = study.series.iter().flat_map(|series| &series.instances);
    all.map(|one| InstanceAt { path: &one.path, instance: &one.instance })
}

/// The manifest of what is known and what came, and what became of the study by it.
fn manifest_of(
    study: &StudyIntake,
    known: Option<&Entry>,
    salt: Salt,
    signer: &Signer<'_>,
    others: &mut Vec<Other>,
) -> Result<(Manifest, Taken), ArchiveError> {
    let nonce = Nonce::from_bytes(random().map_err(ArchiveError::Random)?);
    let edition = Edition {
        chain: signer.chain,
        source: signer.source,
        salt,
        nonce: nonce.clone(),
        revision: 0,
        predecessor: None,
        open: true,
    };
    let came = study.manifest(&edition).map_err(ArchiveError::Study)?;
    let id = came.header().study;
    let Some(known) = known else { return Ok((came, Taken::New(id))) };
    let uid = study.study_instance_uid;
    let header = next_header(known, &signer.chain).ok_or(ArchiveError::TooLarge(uid))?;
    let joined = joined(&known.manifest.manifest, header, &came, nonce, others)?;
    let is_same = joined.counts() == known.manifest.manifest.counts();
    Ok((joined, if is_same { Taken::Known(id) } else { Taken::Grown(id) }))
}

/// The header of what grows out of an entry: the same while nobody holds the study, the next revision's after that.
fn next_header(known: &Entry, chain: &ChainId) -> Option<Header> {
    let manifest = &known.manifest.manifest;
    let header = manifest.header();
    if known.claimed.is_some() { header.next(manifest.root(chain), header.open) } else { Some(header.clone()) }
}

/// What there is and what came, in one manifest. Where both have an instance, the one that was there first stays, and
/// the other one joins the `others` if it is not the same.
fn joined(
    known: &Manifest,
    header: Header,
    came: &Manifest,
    nonce: Nonce,
    others: &mut Vec<Other>,
) -> Result<Manifest, ArchiveError> {
    let uid = header.study_instance_uid;
    let too_large = |_| ArchiveError::TooLarge(uid);
    // Wherever in the study it is: a name is an instance's everywhere.
    let there: BTreeMap<Uid, &Instance> = known.instances().map(|one| (one.sop_instance_uid, one)).collect();
    let mut all: Vec<Series> = known.series().to_vec();
    for series in came.series() {
        for instance in &series.instances {
            if let Some(there) = there.get(&instance.sop_instance_uid) {
                others.extend(there.change(instance).map(|change| (instance.clone(), change)));
                continue;
            }
            match all.iter_mut().find(|there| there.series_instance_uid == series.series_instance_uid) {
                Some(there) => there.instances.insert(instance.clone()).map_err(too_large)?,
                None => {
                    let instances = Ascending::from_items(vec![instance.clone()]).map_err(too_large)?;
                    all.push(Series { instances, ..series.clone() });
                }
            }
        }
    }
    let mut attachments = known.attachments().clone();
    for attachment in came.attachments() {
        if attachments.find(&attachment.stored).is_none() {
            attachments.insert(attachment.clone()).map_err(too_large)?;
        }
    }
    let series = Ascending::from_items(all).map_err(too_large)?;
    Manifest::new(header, nonce, series, attachments).map_err(ArchiveError::Manifest)
}
