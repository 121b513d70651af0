//! The archive by itself: what is kept, once; what contradicts; what is damaged; what is removed; what comes too late.

use std::fs;
use std::path::{Path, PathBuf};

use clavicle_imaging::intake::Intake;
use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{ChainId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::Timestamp;
use clavicle_phantom::Phantom;
use clavicle_relay::archive::{Archive, ArchiveError, OnLedger, Origin, Rebuilt, Signer, Sought, Taken};
use clavicle_sandbox::reader::Here;

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

struct Ground {
    folder: tempfile::TempDir,
    archive: Archive,
    key: SecretKey,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = open(folder.path());
        Self { folder, archive, key: SecretKey::from_bytes(&[5; 32]) }
    }

    /// Writes a phantom of so many slices.
    fn phantom(&self, name: &str, seed: u64, slices: u16) -> PathBuf {
        let folder = self.folder.path().join(name);
        Phantom { seed, slices, size: 64, ..Phantom::default() }.write(&folder).unwrap();
        folder
    }

    fn take(&self, folder: &Path, origin: Origin) -> Result<Vec<Taken>, ArchiveError> {
        let intake = Intake::of_folder(folder, &Here).unwrap();
        let take = |study: &clavicle_imaging::intake::StudyIntake| {
            let conflicts = intake.conflicts_of(&study.study_instance_uid);
            self.archive.take(study, &conflicts, origin, &self.signer())
        };
        intake.studies.iter().map(take).collect()
    }

    fn signer(&self) -> Signer<'_> {
        let source = SourceId::from_bytes([2; 32]);
        Signer { chain: CHAIN, source, operational: &self.key, now: Timestamp(1_000) }
    }
}

fn open(folder: &Path) -> Archive {
    Archive::open(&folder.join("archive"), &folder.join("catalogue.redb"), CHAIN).unwrap()
}

/// Copies a file, or a folder with all that is in it.
fn copy_all(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy_all(&entry.path(), &to.join(entry.file_name()));
    }
}

/// Overwrites one pixel of a file.
fn repaint(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_kept_is_counted_and_goes_with_the_last_study_that_has_it() {
    let ground = Ground::new();
    let folder = ground.phantom("one", 1, 4);
    let [Taken::New(id)] = ground.take(&folder, Origin::Handed).unwrap()[..] else { panic!() };
    let usage = ground.archive.usage().unwrap();
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    let files = clavicle_imaging::walk::files(&folder).unwrap().0;
    assert_eq!((usage.files, usage.bytes), (5, files.iter().map(|path| size(path)).sum()));
    assert_eq!(usage.bytes, usage.shared);
    ground.take(&folder, Origin::Handed).unwrap();
    assert_eq!(ground.archive.usage().unwrap(), usage, "the same once more is the same");

    let entry = ground.archive.entry(id).unwrap().unwrap();
    let digests: Vec<_> = entry.manifest.manifest.instances().map(|one| one.stored).collect();
    ground.archive.claim(id, &entry.manifest.manifest.root(&CHAIN), &CHAIN).unwrap();
    assert!(matches!(ground.archive.remove(id, OnLedger::Absent), Err(ArchiveError::Held)));
    ground.archive.remove(id, OnLedger::Withdrawn).unwrap();
    assert!(matches!(ground.archive.remove(id, OnLedger::Withdrawn), Err(ArchiveError::Unknown)));
    assert!(ground.archive.studies().unwrap().is_empty());
    assert_eq!(ground.archive.usage().unwrap(), Default::default());
    assert!(digests.iter().all(|digest| !ground.archive.place(digest).exists()));
    // And comes back as if it had never been there.
    assert!(matches!(ground.take(&folder, Origin::Handed).unwrap()[..], [Taken::New(_)]));
}

#[test]
fn other_bytes_under_the_same_name_are_kept_beside_and_said_to_be_other() {
    let ground = Ground::new();
    let folder = ground.phantom("one", 1, 4);
    let [Taken::New(id)] = ground.take(&folder, Origin::Handed).unwrap()[..] else { panic!() };
    let before = ground.archive.entry(id).unwrap();
    let slice = clavicle_imaging::walk::files(&folder).unwrap().0.pop().unwrap();
    let original = fs::read(&slice).unwrap();
    repaint(&slice);
    assert!(matches!(ground.take(&folder, Origin::Handed).unwrap()[..], [Taken::Known(_)]));
    assert_eq!(ground.archive.entry(id).unwrap(), before, "what was signed first stays");
    let other = ground.archive.contradictions(id).unwrap();
    let [(digest, row)] = &other[..] else { panic!("{other:?}") };
    assert_eq!((row.how.as_str(), row.came), ("pixels differ", Timestamp(1_000)));
    assert_eq!(fs::read(ground.archive.place(digest)).unwrap(), fs::read(&slice).unwrap());
    // Both in one folder: the first is in the study, and of the other it is said again, once.
    fs::write(folder.join("2-axial/0000"), original).unwrap();
    ground.take(&folder, Origin::Handed).unwrap();
    assert_eq!(ground.archive.contradictions(id).unwrap(), other);
    assert_eq!(ground.archive.usage().unwrap().files, 6);
    ground.archive.remove(id, OnLedger::Absent).unwrap();
    assert_eq!(ground.archive.usage().unwrap().files, 0);
    assert!(!ground.archive.place(digest).exists());
}

#[test]
fn a_check_names_what_is_damaged_missing_and_stray() {
    let ground = Ground::new();
    ground.take(&ground.phantom("one", 1, 4), Origin::Handed).unwrap();
    let study = ground.archive.studies().unwrap().remove(0).study;
    let entry = ground.archive.entry(study).unwrap().unwrap();
    let digests: Vec<_> = entry.manifest.manifest.instances().map(|one| one.stored).collect();
    let mut told = Vec::new();
    let sound = ground.archive.check(&mut |done, all| told.push((done, all))).unwrap();
    assert_eq!((sound.sound, told.len(), told.last()), (5, 5, Some(&(5, 5))));
    assert!(sound.damaged.is_empty() && sound.missing.is_empty() && sound.stray.is_empty());

    repaint(&ground.archive.place(&digests[0]));
    fs::remove_file(ground.archive.place(&digests[1])).unwrap();
    let stray = clavicle_manifest::StoredDigest::of(b"stray");
    fs::create_dir_all(ground.archive.place(&stray).parent().unwrap()).unwrap();
    fs::write(ground.archive.place(&stray), b"stray").unwrap();
    let found = ground.archive.check(&mut |_, _| {}).unwrap();
    assert_eq!((found.sound, &found.damaged[..], &found.missing[..]), (3, &digests[..1], &digests[1..2]));
    assert_eq!(found.stray, [stray]);
    ground.archive.remove_stray(&found.stray).unwrap();
    ground.archive.remove_stray(&digests).unwrap();
    assert!(!ground.archive.place(&stray).exists() && ground.archive.place(&digests[2]).exists());
}

#[test]
fn to_a_closed_study_nothing_is_added_that_came_by_itself() {
    let ground = Ground::new();
    let [Taken::New(id)] = ground.take(&ground.phantom("one", 1, 4), Origin::Handed).unwrap()[..] else { panic!() };
    assert!(ground.archive.close(id, &ground.signer()).unwrap());
    assert!(!ground.archive.close(id, &ground.signer()).unwrap());
    let closed = ground.archive.entry(id).unwrap().unwrap();
    assert!(!closed.manifest.manifest.header().open);
    // The same again is not late, more is; a person may add it.
    assert!(matches!(ground.take(&ground.phantom("same", 1, 4), Origin::Own).unwrap()[..], [Taken::Known(_)]));
    let more = ground.phantom("more", 1, 6);
    assert!(matches!(ground.take(&more, Origin::Own).unwrap()[..], [Taken::Late(_)]));
    assert_eq!(ground.archive.entry(id).unwrap().unwrap(), closed);
    assert!(matches!(ground.take(&more, Origin::Handed).unwrap()[..], [Taken::Grown(_)]));
    let grown = ground.archive.entry(id).unwrap().unwrap();
    assert!(!grown.manifest.manifest.header().open && grown.manifest.manifest.counts().instances > 5);
}

#[test]
fn what_a_kill_left_on_its_way_is_cleared() {
    let ground = Ground::new();
    let Ground { folder, archive, .. } = ground;
    drop(archive);
    let left = folder.path().join("archive/coming/half");
    fs::write(&left, b"half a file").unwrap();
    let archive = open(folder.path());
    assert!(!left.exists());
    assert_eq!(archive.check(&mut |_, _| {}).unwrap(), Default::default());
}

/// All that is known of a study: what the catalogue says of it, its manifests, what contradicts it.
fn known(archive: &Archive, id: StudyId) -> impl PartialEq + std::fmt::Debug + use<> {
    let entry = archive.entry(id).unwrap().unwrap();
    let mut editions = Vec::new();
    let mut next = Some(entry.manifest.manifest.root(&CHAIN));
    while let Some(root) = next {
        let edition = archive.edition(id, &root).unwrap().unwrap();
        next = edition.manifest.manifest.header().predecessor;
        editions.push(edition);
    }
    (entry, editions, archive.contradictions(id).unwrap(), archive.usage().unwrap(), archive.unpublished().unwrap())
}

/// A ground with a study that somebody holds, revised since and contradicted, and one that nobody holds.
fn grown() -> (Ground, StudyId, StudyId) {
    let ground = Ground::new();
    let folder = ground.phantom("one", 1, 4);
    let [Taken::New(held)] = ground.take(&folder, Origin::Handed).unwrap()[..] else { panic!() };
    let root = ground.archive.entry(held).unwrap().unwrap().manifest.manifest.root(&CHAIN);
    ground.archive.claim(held, &root, &CHAIN).unwrap();
    assert!(matches!(ground.take(&ground.phantom("more", 1, 6), Origin::Handed).unwrap()[..], [Taken::Grown(_)]));
    repaint(&clavicle_imaging::walk::files(&folder).unwrap().0.pop().unwrap());
    ground.take(&folder, Origin::Handed).unwrap();
    assert!(!ground.archive.contradictions(held).unwrap().is_empty());
    let [Taken::New(free)] = ground.take(&ground.phantom("two", 2, 3), Origin::Handed).unwrap()[..] else { panic!() };
    assert!(ground.archive.close(free, &ground.signer()).unwrap());
    (ground, held, free)
}

fn rebuild(folder: &Path, on_ledger: Option<ManifestRoot>) -> Rebuilt {
    let catalogue = folder.join("catalogue.redb");
    Archive::rebuild(&folder.join("archive"), &catalogue, &CHAIN, &mut |_| Ok(on_ledger)).unwrap()
}

#[test]
fn a_lost_catalogue_is_made_anew_and_knows_all_that_it_knew() {
    let (ground, held, free) = grown();
    let before = (known(&ground.archive, held), known(&ground.archive, free));
    let Ground { folder, archive, .. } = ground;
    drop(archive);
    fs::remove_file(folder.path().join("catalogue.redb")).unwrap();
    let mut both = vec![held, free];
    both.sort();
    assert_eq!(rebuild(folder.path(), None), Rebuilt { studies: both, unreadable: Vec::new() });
    let archive = open(folder.path());
    assert_eq!((known(&archive, held), known(&archive, free)), before);
    assert!(archive.check(&mut |_, _| {}).unwrap().is_well());
    assert_eq!(archive.quiet_since(Timestamp(u64::MAX)).unwrap(), [held], "the other is closed");
    // What is on the ledger is held, whatever its record says.
    drop(archive);
    fs::remove_file(folder.path().join("catalogue.redb")).unwrap();
    rebuild(folder.path(), Some(ManifestRoot::from_bytes([9; 32])));
    assert!(matches!(open(folder.path()).remove(free, OnLedger::Absent), Err(ArchiveError::Held)));
}

#[test]
fn what_a_record_names_is_never_stray_and_a_record_that_is_lost_is_written_again() {
    let (ground, held, free) = grown();
    let Ground { folder, archive, .. } = ground;
    let digests: Vec<_> =
        archive.entry(free).unwrap().unwrap().manifest.manifest.instances().map(|one| one.stored).collect();
    drop(archive);
    // A catalogue that knows of nothing, as one that was begun anew, has all of it at the next start.
    fs::rename(folder.path().join("catalogue.redb"), folder.path().join("aside")).unwrap();
    let archive = open(folder.path());
    let found = archive.check(&mut |_, _| {}).unwrap();
    assert!(found.is_well() && found.sound > digests.len() as u64, "{found:?}");
    archive.remove_stray(&digests).unwrap();
    assert!(digests.iter().all(|digest| archive.place(digest).exists()));
    drop(archive);
    // Of a record that cannot be read nobody knows what it names: nothing goes.
    fs::remove_file(folder.path().join("catalogue.redb")).unwrap();
    let record = folder.path().join("archive/studies").join(free.to_string()).join("record.v1");
    let was = fs::read(&record).unwrap();
    fs::write(&record, b"nothing").unwrap();
    let archive = open(folder.path());
    let found = archive.check(&mut |_, _| {}).unwrap();
    assert_eq!((&found.unreadable[..], found.stray.len()), (&[free][..], digests.len()));
    assert!(matches!(archive.remove_stray(&found.stray), Err(ArchiveError::Unreadable(_))));
    assert!(matches!(archive.remove(held, OnLedger::Withdrawn), Err(ArchiveError::Unreadable(_))));
    assert!(digests.iter().all(|digest| archive.place(digest).exists()));
    drop(archive);
    fs::remove_file(folder.path().join("catalogue.redb")).unwrap();
    assert_eq!(rebuild(folder.path(), None).unreadable, [free]);
    fs::remove_file(folder.path().join("catalogue.redb")).unwrap();

    // The other way round: at a start, and by a check.
    fs::rename(folder.path().join("aside"), folder.path().join("catalogue.redb")).unwrap();
    let archive = open(folder.path());
    assert_eq!(fs::read(&record).unwrap(), was);
    fs::remove_dir_all(folder.path().join("archive/studies").join(held.to_string())).unwrap();
    let found = archive.check(&mut |_, _| {}).unwrap();
    assert_eq!((&found.unrecorded[..], found.unlisted.len()), (&[held][..], 0));
    assert!(archive.check(&mut |_, _| {}).unwrap().is_well());
    // With its study a record goes.
    archive.remove(free, OnLedger::Absent).unwrap();
    assert!(!record.exists());
    assert!(archive.check(&mut |_, _| {}).unwrap().is_well());
}

/// What the records knew since the backup was written over by what the catalogue knew, and acknowledged images were called stray.
#[test]
fn a_catalogue_put_back_from_a_backup_takes_in_what_the_records_knew_meanwhile() {
    let mut ground = Ground::new();
    let [Taken::New(held)] = ground.take(&ground.phantom("one", 1, 4), Origin::Handed).unwrap()[..] else { panic!() };
    let at = |name: &str| ground.folder.path().join(name);
    let (catalogue, backup, spare) = (at("catalogue.redb"), at("backup"), at("spare"));
    drop(std::mem::replace(&mut ground.archive, open(&spare)));
    fs::copy(&catalogue, &backup).unwrap();
    ground.archive = open(ground.folder.path());
    let first = ground.archive.entry(held).unwrap().unwrap().manifest.manifest.root(&CHAIN);
    // It grows, is somebody's, and grows.
    ground.take(&ground.phantom("more", 1, 6), Origin::Handed).unwrap();
    let root = ground.archive.entry(held).unwrap().unwrap().manifest.manifest.root(&CHAIN);
    ground.archive.claim(held, &root, &CHAIN).unwrap();
    let last = ground.phantom("last", 1, 8);
    ground.take(&last, Origin::Handed).unwrap();
    repaint(&clavicle_imaging::walk::files(&last).unwrap().0.pop().unwrap());
    ground.take(&last, Origin::Handed).unwrap();
    let [Taken::New(free)] = ground.take(&ground.phantom("two", 2, 3), Origin::Handed).unwrap()[..] else { panic!() };
    let before = (known(&ground.archive, held), known(&ground.archive, free));

    drop(std::mem::replace(&mut ground.archive, open(&spare)));
    fs::copy(&backup, &catalogue).unwrap();
    ground.archive = open(ground.folder.path());
    assert_eq!((known(&ground.archive, held), known(&ground.archive, free)), before);
    assert!(ground.archive.edition(held, &first).unwrap().is_none(), "nobody was ever shown it");
    let found = ground.archive.check(&mut |_, _| {}).unwrap();
    assert!(found.is_well(), "{found:?}");
    // What somebody holds stays what it was when more comes.
    assert!(matches!(ground.take(&ground.phantom("yet", 1, 9), Origin::Handed).unwrap()[..], [Taken::Grown(_)]));
    assert!(ground.archive.edition(held, &root).unwrap().is_some());
    assert!(matches!(ground.archive.remove(held, OnLedger::Absent), Err(ArchiveError::Held)));
    // Also when nobody here knows it any more, and the ledger does.
    assert!(matches!(ground.archive.remove(free, OnLedger::Held), Err(ArchiveError::Held)));
}

#[test]
fn an_archive_put_back_from_a_backup_has_its_records_again_and_says_what_is_missing() {
    let mut ground = Ground::new();
    let [Taken::New(id)] = ground.take(&ground.phantom("one", 1, 4), Origin::Handed).unwrap()[..] else { panic!() };
    let at = |name: &str| ground.folder.path().join(name);
    let (archive, backup) = (at("archive"), at("backup"));
    copy_all(&archive, &backup);
    let files = ground.archive.usage().unwrap().files;
    ground.take(&ground.phantom("more", 1, 6), Origin::Handed).unwrap();
    let before = known(&ground.archive, id);
    let came = ground.archive.usage().unwrap().files - files;
    let spare = open(&at("spare"));
    drop(std::mem::replace(&mut ground.archive, spare));
    fs::remove_dir_all(&archive).unwrap();
    fs::rename(&backup, &archive).unwrap();
    let archive = open(ground.folder.path());
    assert_eq!(known(&archive, id), before);
    let found = archive.check(&mut |_, _| {}).unwrap();
    assert_eq!((found.sound, found.missing.len() as u64), (files, came), "{found:?}");
    assert!(came >= 2 && found.stray.is_empty() && found.unrecorded.is_empty(), "{found:?}");
}

#[test]
fn where_catalogue_and_record_contradict_each_other_nothing_is_changed() {
    let mut ground = Ground::new();
    let folder = ground.phantom("one", 1, 4);
    let [Taken::New(id)] = ground.take(&folder, Origin::Handed).unwrap()[..] else { panic!() };
    let [Taken::New(other)] = ground.take(&ground.phantom("two", 2, 3), Origin::Handed).unwrap()[..] else { panic!() };
    let at = |name: &str| ground.folder.path().join(name);
    let (archive, catalogue, spare) = (at("archive"), at("catalogue.redb"), at("spare"));
    let both = |from: &Path, to: &Path| {
        for name in ["archive", "catalogue.redb"] {
            copy_all(&from.join(name), &to.join(name));
        }
    };
    drop(std::mem::replace(&mut ground.archive, open(&spare)));
    fs::create_dir(at("backup")).unwrap();
    both(ground.folder.path(), &at("backup"));
    // Once it grows in one way, once in another.
    ground.archive = open(ground.folder.path());
    ground.take(&ground.phantom("more", 1, 6), Origin::Handed).unwrap();
    drop(std::mem::replace(&mut ground.archive, open(&spare)));
    fs::rename(&catalogue, at("aside")).unwrap();
    fs::remove_dir_all(&archive).unwrap();
    both(&at("backup"), ground.folder.path());
    ground.archive = open(ground.folder.path());
    repaint(&clavicle_imaging::walk::files(&folder).unwrap().0.pop().unwrap());
    ground.take(&folder, Origin::Handed).unwrap();
    drop(std::mem::replace(&mut ground.archive, open(&spare)));
    fs::rename(at("aside"), &catalogue).unwrap();

    let record = archive.join("studies").join(id.to_string()).join("record.v1");
    let was = fs::read(&record).unwrap();
    ground.archive = open(ground.folder.path());
    let entry = ground.archive.entry(id).unwrap();
    let more = ground.phantom("yet", 1, 9);
    assert!(matches!(ground.take(&more, Origin::Handed), Err(ArchiveError::Unreadable(ids)) if ids == [id]));
    assert!(matches!(ground.archive.close(id, &ground.signer()), Err(ArchiveError::Unreadable(_))));
    assert!(matches!(ground.archive.remove(id, OnLedger::Withdrawn), Err(ArchiveError::Unreadable(_))));
    assert!(matches!(ground.archive.remove(other, OnLedger::Absent), Err(ArchiveError::Unreadable(_))));
    let found = ground.archive.check(&mut |_, _| {}).unwrap();
    assert_eq!(found.unreadable, [id]);
    assert!(matches!(ground.archive.remove_stray(&found.stray), Err(ArchiveError::Unreadable(_))));
    assert_eq!((fs::read(&record).unwrap(), ground.archive.entry(id).unwrap()), (was, entry));
    // Other studies go on, and it is not forgotten by that.
    ground.take(&ground.phantom("three", 2, 5), Origin::Handed).unwrap();
    drop(std::mem::replace(&mut ground.archive, open(&spare)));
    ground.archive = open(ground.folder.path());
    assert!(matches!(ground.take(&more, Origin::Handed), Err(ArchiveError::Unreadable(ids)) if ids == [id]));
}

#[test]
fn a_change_that_was_killed_before_the_catalogue_had_it_is_finished_at_the_next_start() {
    let mut ground = Ground::new();
    ground.take(&ground.phantom("one", 1, 4), Origin::Handed).unwrap();
    let at = |name: &str| ground.folder.path().join(name);
    let (catalogue, backup, spare) = (at("catalogue.redb"), at("backup"), at("spare"));
    let put_back = |ground: &mut Ground| {
        drop(std::mem::replace(&mut ground.archive, open(&spare)));
        fs::copy(&backup, &catalogue).unwrap();
    };
    drop(std::mem::replace(&mut ground.archive, open(&spare)));
    fs::copy(&catalogue, &backup).unwrap();
    ground.archive = open(ground.folder.path());
    let [Taken::New(id)] = ground.take(&ground.phantom("two", 2, 3), Origin::Handed).unwrap()[..] else { panic!() };
    let before = known(&ground.archive, id);
    put_back(&mut ground);
    ground.archive = open(ground.folder.path());
    assert_eq!(known(&ground.archive, id), before);
    // Before there was a record nothing of it was acknowledged.
    put_back(&mut ground);
    fs::remove_file(ground.folder.path().join("archive/studies").join(id.to_string()).join("record.v1")).unwrap();
    ground.archive = open(ground.folder.path());
    assert!(ground.archive.entry(id).unwrap().is_none());
    let found = ground.archive.check(&mut |_, _| {}).unwrap();
    assert!(found.unreadable.is_empty() && found.stray.len() == 4, "{found:?}");
}

/// The record stayed, with the patient's name, and `check` advised to bring the study back.
#[test]
fn what_a_kill_within_a_removal_left_goes_at_the_next_start() {
    let (ground, held, free) = grown();
    let Ground { folder, archive, .. } = ground;
    let places: Vec<PathBuf> = {
        let entry = archive.entry(free).unwrap().unwrap();
        entry.manifest.manifest.instances().map(|one| archive.place(&one.stored)).collect()
    };
    drop(archive);
    let backup = folder.path().join("backup");
    copy_all(&folder.path().join("archive"), &backup);
    let studies = folder.path().join("archive/studies");
    let (record, going) = (studies.join(free.to_string()), studies.join(format!("{free}.going")));
    let is_gone = || {
        let archive = open(folder.path());
        assert!(archive.entry(free).unwrap().is_none() && archive.entry(held).unwrap().is_some());
        assert!(!record.exists() && !going.exists() && places.iter().all(|place| !place.exists()));
        assert!(archive.check(&mut |_, _| {}).unwrap().is_well());
    };
    // Killed as soon as it was said to go.
    fs::rename(&record, &going).unwrap();
    is_gone();
    // Killed when it was out of the catalogue.
    copy_all(&backup.join("studies").join(free.to_string()), &going);
    for place in &places {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        copy_all(&backup.join(place.strip_prefix(folder.path().join("archive")).unwrap()), place);
    }
    is_gone();
}

#[test]
fn studies_of_an_earlier_version_get_their_records_at_the_next_start() {
    let (ground, held, _) = grown();
    let before = known(&ground.archive, held);
    let Ground { folder, archive, .. } = ground;
    drop(archive);
    let catalogue = folder.path().join("catalogue.redb");
    let database = redb::Database::create(&catalogue).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.delete_table(redb::TableDefinition::<&str, u64>::new("meta_v1")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    fs::remove_dir_all(folder.path().join("archive/studies")).unwrap();
    drop(open(folder.path()));
    fs::remove_file(&catalogue).unwrap();
    rebuild(folder.path(), None);
    assert_eq!(known(&open(folder.path()), held), before);
}

/// A copy of a folder's files under another Study Instance UID of the same length.
fn copied_study(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let intake = Intake::of_folder(from, &Here).unwrap();
    let uid = intake.studies[0].study_instance_uid.to_string();
    let mut other = uid.clone();
    let last = if other.pop() == Some('1') { '2' } else { '1' };
    other.push(last);
    for (number, one) in intake.studies[0].series.iter().flat_map(|series| &series.instances).enumerate() {
        let mut bytes = fs::read(&one.path).unwrap();
        let places: Vec<usize> =
            (0..bytes.len() - uid.len()).filter(|at| bytes[*at..].starts_with(uid.as_bytes())).collect();
        for at in places {
            // In its attribute alone: instances may have UIDs that begin like it.
            if bytes[at - 8..at - 2] == *b"\x20\0\x0d\0UI" {
                bytes[at..at + other.len()].copy_from_slice(other.as_bytes());
            }
        }
        fs::write(to.join(number.to_string()), bytes).unwrap();
    }
}

#[test]
fn a_copy_under_another_study_uid_is_kept_and_found_again_later() {
    let ground = Ground::new();
    let folder = ground.phantom("ct", 1, 3);
    let copy = ground.folder.path().join("copy");
    copied_study(&folder, &copy);
    let first = ground.take(&folder, Origin::Handed).unwrap()[0].study();
    assert_eq!(ground.archive.shared_names(first).unwrap(), []);
    let second = ground.take(&copy, Origin::Handed).unwrap();
    assert!(matches!(second[..], [Taken::New(_)]), "{second:?}");
    let second = second[0].study();
    let uid = |id| ground.archive.entry(id).unwrap().unwrap().manifest.manifest.header().study_instance_uid;
    for (one, other) in [(first, second), (second, first)] {
        let shared = ground.archive.shared_names(one).unwrap();
        let count = ground.archive.entry(one).unwrap().unwrap().manifest.manifest.instances().count();
        assert!(shared.len() == count && shared.iter().all(|name| name.other_study_instance_uid == uid(other)));
    }
    // Once one of both is gone, nothing contradicts the other.
    ground.archive.remove(second, OnLedger::Absent).unwrap();
    assert_eq!(ground.archive.shared_names(first).unwrap(), []);
}

/// Whoever gave a right answer had the manifest of every study of the hospital read, as often as they asked.
#[test]
fn the_studies_of_a_visit_are_found_without_a_look_at_any_other() {
    let Ground { folder, mut archive, key } = Ground::new();
    let catalogue = folder.path().join("catalogue.redb");
    let text = |kind: &str, n: u64| Text::<256>::new(format!("{kind}{n}")).unwrap();
    let mut ids = Vec::new();
    for n in [1, 2] {
        let (at, short) = (folder.path().join(n.to_string()), |kind: &str| Text::new(format!("{kind}{n}")).unwrap());
        let phantom = Phantom { seed: n, slices: 2, size: 64, accession_number: short("A"), ..Phantom::default() };
        Phantom { patient_id: Text::new(format!("P{n}")).unwrap(), ..phantom }.write(&at).unwrap();
        let ground = Ground { folder: tempfile::tempdir().unwrap(), archive, key: key.clone() };
        let [Taken::New(id)] = ground.take(&at, Origin::Handed).unwrap()[..] else { panic!() };
        assert!(matches!(ground.take(&at, Origin::Handed).unwrap()[..], [Taken::Known(_)]));
        archive = ground.archive;
        ids.push(id);
    }
    let of = |archive: &Archive, n: u64| {
        let (number, id) = (text("A", n), text("P", n));
        let keys = [Sought::Accession(&number), Sought::Patient { id: &id, issuer: None }];
        keys.map(|key| archive.seek(key, 10).unwrap().studies)
    };
    for (n, id) in [(1, ids[0]), (2, ids[1])] {
        assert_eq!(of(&archive, n), [vec![id], vec![id]]);
    }
    // Another study could not even be read.
    drop(archive);
    let database = redb::Database::open(&catalogue).unwrap();
    let transaction = database.begin_write().unwrap();
    let studies = redb::TableDefinition::<&[u8; 32], &[u8]>::new("studies_v3");
    transaction.open_table(studies).unwrap().insert(ids[1].as_bytes(), &b"damaged"[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let archive = open(folder.path());
    assert!(archive.studies().is_err());
    assert_eq!(of(&archive, 1), [vec![ids[0]], vec![ids[0]]]);
    archive.remove(ids[0], OnLedger::Absent).unwrap();
    assert_eq!(of(&archive, 1), [vec![], vec![]]);
}
