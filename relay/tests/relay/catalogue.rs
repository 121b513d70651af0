//! What studies are found by: after any history the index is what it would be if it were made anew, and says what a
//! look at every study says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{ChainId, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::{Date, Uid};
use clavicle_phantom::Phantom;
use clavicle_relay::archive::{Archive, ArchiveError, Entry, Found, OnLedger, Origin, Signer, Sought};
use clavicle_sandbox::reader::Here;
use redb::{Database, MultimapTableDefinition, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};
use redb::{ReadableMultimapTable as _, TableDefinition, TableError};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

fn open(folder: &Path) -> Archive {
    Archive::open(&folder.join("archive"), &folder.join("catalogue.redb"), CHAIN).unwrap()
}

/// Everything in the tables that studies are found by.
fn rows(catalogue: &Path) -> BTreeSet<(String, StudyId)> {
    let database = Database::open(catalogue).unwrap();
    let transaction = database.begin_read().unwrap();
    let mut all = BTreeSet::new();
    let index = TableDefinition::<(u8, &str, &[u8; 32]), ()>::new("index_v1");
    for row in transaction.open_table(index).unwrap().iter().unwrap() {
        let row = row.unwrap();
        let (kind, term, id) = row.0.value();
        all.insert((format!("{kind} {term}"), StudyId::from_bytes(*id)));
    }
    let by_uid = TableDefinition::<&str, &[u8; 32]>::new("by_uid_v1");
    for row in transaction.open_table(by_uid).unwrap().iter().unwrap() {
        let (uid, id) = row.unwrap();
        all.insert((format!("study {}", uid.value()), StudyId::from_bytes(*id.value())));
    }
    let names = MultimapTableDefinition::<&str, &[u8; 32]>::new("names_v1");
    for row in transaction.open_multimap_table(names).unwrap().iter().unwrap() {
        let (uid, ids) = row.unwrap();
        for id in ids {
            all.insert((format!("instance {}", uid.value()), StudyId::from_bytes(*id.unwrap().value())));
        }
    }
    all
}

/// Random numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

const PATIENTS: [(&str, &str); 3] = [("P1", "Rossi^Ana"), ("P2", "ROSSI^ANA^^"), ("P10", "Smith^Bob")];

/// Studies of three patients, each once with few and once with more images.
fn phantoms(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for seed in 1..=5 {
        let (id, name) = PATIENTS[usize::try_from(seed).unwrap() % 3];
        for slices in [2, 4] {
            let at = folder.join(format!("{seed}-{slices}"));
            let phantom = Phantom { seed, slices, size: 64, patient_id: text(id), ..Phantom::default() };
            let accession_number = text(&format!("A{}", seed % 4));
            let study_date = Date::new(2016, 1, 1 + u8::try_from(seed % 3).unwrap()).unwrap();
            Phantom { patient_name: text(name), accession_number, study_date, ..phantom }.write(&at).unwrap();
            all.push(at);
        }
    }
    all
}

fn found(archive: &Archive, sought: Sought<'_>) -> Vec<StudyId> {
    let Found { studies, more } = archive.seek(sought, 100).unwrap();
    assert!(!more);
    studies
}

/// Every way to seek is held against a look at every study.
fn is_found_by_all_that_is_true_of_it(archive: &Archive) {
    let studies = archive.studies().unwrap();
    let entries: Vec<(StudyId, Entry)> =
        studies.iter().map(|one| (one.study, archive.entry(one.study).unwrap().unwrap())).collect();
    let all = |is_true: &dyn Fn(&Entry) -> bool| -> Vec<StudyId> {
        entries.iter().filter(|(_, entry)| is_true(entry)).map(|(id, _)| *id).collect()
    };
    for (id, name) in PATIENTS {
        let (id, name) = (text::<256>(id), text::<256>(name));
        let of_patient = all(&|entry| entry.patient.id == id);
        assert_eq!(found(archive, Sought::Patient { id: &id, issuer: None }), of_patient);
        assert_eq!(found(archive, Sought::Patient { id: &id, issuer: Some(&text("")) }), of_patient);
        assert_eq!(found(archive, Sought::Patient { id: &id, issuer: Some(&text("elsewhere")) }), []);
        assert_eq!(found(archive, Sought::Name(&name)), all(&|entry| entry.patient.is_named(name.as_str())));
    }
    for n in 0..4 {
        let number = text::<256>(&format!("A{n}"));
        assert_eq!(found(archive, Sought::Accession(&number)), all(&|entry| entry.accession_number == number));
    }
    let date = |entry: &Entry| entry.manifest.manifest.header().study_date.unwrap();
    for day in 1..=4 {
        let (first, day) = (Date::new(2016, 1, 1).unwrap(), Date::new(2016, 1, day).unwrap());
        let mut within = found(archive, Sought::Dates(first, day));
        within.sort();
        assert_eq!(within, all(&|entry| date(entry) <= day));
        let mut before = archive.dated_before(day).unwrap();
        before.sort();
        assert_eq!(before, all(&|entry| date(entry) < day));
    }
    for (id, entry) in &entries {
        let manifest = &entry.manifest.manifest;
        assert_eq!(found(archive, Sought::Study(&manifest.header().study_instance_uid)), [*id]);
        for series in manifest.series() {
            assert_eq!(found(archive, Sought::Series(&series.series_instance_uid)), [*id]);
        }
        for instance in manifest.instances() {
            assert_eq!(found(archive, Sought::Instance(&instance.sop_instance_uid)), [*id]);
        }
        for len in [1, 7, 64] {
            let begin = id.to_string()[..len].to_uppercase();
            let like =
                all(&|entry| entry.manifest.manifest.header().study.to_string().starts_with(&begin.to_lowercase()));
            assert_eq!(archive.begin_with(&begin, 100).unwrap().studies, like);
        }
    }
    let nowhere = Uid::new("2.25.1").unwrap();
    for sought in [Sought::Series(&nowhere), Sought::Study(&nowhere), Sought::Instance(&nowhere)] {
        assert_eq!(found(archive, sought), []);
    }
    for begin in ["", "x", &"0".repeat(65)] {
        assert_eq!(archive.begin_with(begin, 100).unwrap(), Found::default());
    }
}

#[test]
fn after_any_history_the_index_is_what_it_would_be_if_it_were_made_anew() {
    let made = tempfile::tempdir().unwrap();
    let phantoms = phantoms(made.path());
    for seed in [3, 5, 7, 11] {
        println!("seed {seed}");
        let (mut random, folder) = (Random(seed), tempfile::tempdir().unwrap());
        let key = SecretKey::from_bytes(&[5; 32]);
        let mut archive = open(folder.path());
        for _ in 0..30 {
            let studies = archive.studies().unwrap();
            let one = (!studies.is_empty()).then(|| studies[random.below(studies.len())].clone());
            let now = Timestamp(1_000);
            let signer = Signer { chain: CHAIN, source: SourceId::from_bytes([2; 32]), operational: &key, now };
            match (random.below(8), one) {
                (0, Some(one)) => {
                    archive.close(one.study, &signer).unwrap();
                }
                (1, Some(one)) => match archive.claim(one.study, &one.newest, &CHAIN) {
                    Ok(()) | Err(ArchiveError::Grown) => {}
                    Err(error) => panic!("{error}"),
                },
                (2 | 3, Some(one)) => archive.remove(one.study, OnLedger::Withdrawn).unwrap(),
                (4, _) => {
                    drop(archive);
                    archive = open(folder.path());
                }
                _ => {
                    let files = &phantoms[random.below(phantoms.len())];
                    let intake = clavicle_imaging::intake::Intake::of_folder(files, &Here).unwrap();
                    archive.take(&intake.studies[0], &[], Origin::Handed, &signer).unwrap();
                }
            }
            is_found_by_all_that_is_true_of_it(&archive);
        }
        drop(archive);
        let (kept, anew) = (folder.path().join("catalogue.redb"), folder.path().join("anew.redb"));
        Archive::rebuild(&folder.path().join("archive"), &anew, &CHAIN, &mut |_| Ok(None)).unwrap();
        assert_eq!(rows(&kept), rows(&anew));
        assert!(!rows(&kept).is_empty());

        let archive = open(folder.path());
        for one in archive.studies().unwrap() {
            archive.remove(one.study, OnLedger::Withdrawn).unwrap();
        }
        drop(archive);
        nothing_is_left(folder.path());
    }
}

/// No row of any table but the number of the last change, and no file in the archive but that number.
fn nothing_is_left(folder: &Path) {
    let database = Database::open(folder.join("catalogue.redb")).unwrap();
    let transaction = database.begin_read().unwrap();
    for table in transaction.list_tables().unwrap() {
        let name = redb::TableHandle::name(&table).to_owned();
        let rows = match transaction.open_untyped_table(table) {
            Ok(table) => table.len().unwrap(),
            Err(TableError::TableDoesNotExist(_)) => 0,
            Err(error) => panic!("{name}: {error}"),
        };
        assert_eq!((name.as_str(), rows), (name.as_str(), u64::from(name == "meta_v1")));
    }
    for table in transaction.list_multimap_tables().unwrap() {
        assert_eq!(transaction.open_untyped_multimap_table(table).unwrap().len().unwrap(), 0);
    }
    assert_eq!(fs::read_dir(folder.join("archive/studies")).unwrap().count(), 0);
    let files = clavicle_imaging::walk::files(&folder.join("archive")).unwrap().0;
    assert_eq!(files, [folder.join("archive/changes.v1")]);
}

/// More studies than a visit may have are said to be, and no more are read than were asked for.
#[test]
fn what_is_found_is_bounded() {
    let (made, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (key, archive) = (SecretKey::from_bytes(&[5; 32]), open(folder.path()));
    for files in phantoms(made.path()) {
        let intake = clavicle_imaging::intake::Intake::of_folder(&files, &Here).unwrap();
        let source = SourceId::from_bytes([2; 32]);
        let signer = Signer { chain: CHAIN, source, operational: &key, now: Timestamp(1_000) };
        archive.take(&intake.studies[0], &[], Origin::Handed, &signer).unwrap();
    }
    let (id, name) = (text("P2"), text("rossi^ana"));
    let patient = Sought::Patient { id: &id, issuer: None };
    assert_eq!(archive.seek(patient, 2).unwrap().studies.len(), 2);
    for (sought, most) in [(patient, 1), (Sought::Name(&name), 1), (Sought::Name(&name), 0)] {
        let found = archive.seek(sought, most).unwrap();
        assert_eq!((found.studies.len(), found.more), (most, true));
    }
}
