//! How long the studies of a visit take to be found among many: `cargo bench -p clavicle-relay --bench catalogue [--
//! STUDIES]`, 100,000 without a number.
//!
//! *Before* is a look at every study, each with its manifest, as `study_that_begins` did for a prefix and pickups did
//! before visits were listed. *After* is [`Archive::seek`] and [`Archive::begin_with`], with the rows that they lead
//! to. In between, the catalogue of before is listed anew, and that is timed as well.
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use clavicle_dicom::facts::Patient;
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::id::{ChainId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::{Date, Header, Instance, Manifest, Nonce, Series, SignedManifest, StoredDigest, Uid};
use clavicle_relay::archive::{Archive, Sought};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const STUDIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("studies_v2");
const BY_UID: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("by_uid_v1");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta_v1");
const INSTANCES: u64 = 20;
/// Studies of one patient.
const EACH: u64 = 4;
const LOOKS: u64 = 1_000;

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let studies: u64 = asked.unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let catalogue = folder.path().join("catalogue.redb");
    fill(&catalogue, studies);
    println!("{studies} studies of {INSTANCES} instances, {EACH} of a patient");
    println!("before: a visit or a prefix     {:>12.3?}", before(&catalogue));

    let from = Instant::now();
    let archive = Archive::open(&folder.path().join("archive"), &catalogue, CHAIN).unwrap();
    assert_eq!(archive.listed_anew(), studies);
    println!("listed anew, once               {:>12.3?}", from.elapsed());

    let looks = |look: &dyn Fn(u64)| -> Duration {
        let from = Instant::now();
        // Spread over all of them.
        (0..LOOKS).for_each(|n| look(n.wrapping_mul(7_919) % studies));
        from.elapsed() / u32::try_from(LOOKS).unwrap()
    };
    let found = |sought: Sought<'_>, count: u64| {
        let found = archive.catalogued_all(&archive.seek(sought, 100).unwrap()).unwrap();
        assert_eq!(found.len() as u64, count);
    };
    let by_patient = looks(&|n| found(Sought::Patient { id: &patient(n).id, issuer: None }, EACH));
    let by_accession = looks(&|n| found(Sought::Accession(&accession(n)), 1));
    let by_prefix = looks(&|n| {
        assert_eq!(archive.begin_with(&id(n).to_string()[..16], 10).unwrap().studies, [id(n)]);
    });
    println!("after: a visit by patient       {by_patient:>12.3?}");
    println!("after: a visit by accession     {by_accession:>12.3?}");
    println!("after: a study by 16 digits     {by_prefix:>12.3?}");
}

fn before(catalogue: &Path) -> Duration {
    let database = Database::open(catalogue).unwrap();
    let table = database.begin_read().unwrap().open_table(STUDIES).unwrap();
    let (from, wanted) = (Instant::now(), accession(1));
    let entries = table.iter().unwrap().map(|row| borsh::from_slice::<EarlierEntry>(row.unwrap().1.value()).unwrap());
    assert_eq!(entries.filter(|(_, number, ..)| *number == wanted).count(), 1);
    from.elapsed()
}

/// A study as it was kept.
type EarlierEntry = (Patient, Text<256>, Salt, Option<ManifestRoot>, SignedManifest, Timestamp);

fn fill(catalogue: &Path, studies: u64) {
    let database = Database::create(catalogue).unwrap();
    let key = SecretKey::from_bytes(&[5; 32]);
    for first in (0..studies).step_by(1_000) {
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(STUDIES).unwrap();
            let mut by_uid = transaction.open_table(BY_UID).unwrap();
            // So that no records are looked for.
            transaction.open_table(META).unwrap().insert("change", 0).unwrap();
            for n in first..(first + 1_000).min(studies) {
                let manifest = manifest(n).sign(&CHAIN, &key);
                let salt = Salt::from_bytes([0; 32]);
                let entry: EarlierEntry = (patient(n), accession(n), salt, None, manifest, Timestamp(n));
                table.insert(id(n).as_bytes(), borsh::to_vec(&entry).unwrap().as_slice()).unwrap();
                by_uid.insert(uid(n, 0, 0).as_str(), id(n).as_bytes()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

fn id(n: u64) -> StudyId {
    StudyId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes())
}

fn uid(n: u64, series: u64, instance: u64) -> Uid {
    Uid::new(&format!("1.2.826.0.1.{n}.{series}.{instance}")).unwrap()
}

fn patient(n: u64) -> Patient {
    let text = |kind: &str| Text::new(format!("{kind}{}", n / EACH)).unwrap();
    Patient { id: text("P"), issuer: Text::default(), name: text("Rossi^Ana "), birth_date: Date::new(1953, 1, 17) }
}

fn accession(n: u64) -> Text<256> {
    Text::new(format!("A{n}")).unwrap()
}

fn manifest(n: u64) -> Manifest {
    let instance = |number: u64| Instance {
        sop_instance_uid: uid(n, 1, number + 1),
        sop_class_uid: Uid::new("1.2.840.10008.5.1.4.1.1.2").unwrap(),
        transfer_syntax_uid: Uid::new("1.2.840.10008.1.2.1").unwrap(),
        size: 500_000,
        stored: StoredDigest::of(&(n * INSTANCES + number).to_le_bytes()),
        dataset: None,
        pixels: None,
        frames: 1,
    };
    let series = Series {
        series_instance_uid: uid(n, 1, 0),
        modality: Text::new("CT").unwrap(),
        number: Some(1),
        body_part: Text::default(),
        description: Text::default(),
        instances: Ascending::from_items((0..INSTANCES).map(instance).collect()).unwrap(),
    };
    let header = Header {
        study: id(n),
        source: SourceId::from_bytes([2; 32]),
        study_instance_uid: uid(n, 0, 0),
        revision: 0,
        predecessor: None,
        open: false,
        study_date: Date::new(2016, 1, 1 + u8::try_from(n % 28).unwrap()),
        description: Text::default(),
    };
    let series = Ascending::from_items(vec![series]).unwrap();
    Manifest::new(header, Nonce::from_bytes([3; 32]), series, Ascending::new()).unwrap()
}
