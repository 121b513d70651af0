//! A wallet with many studies, a month behind: what it is opened with, what it asks, and when it is of use. The bench measures it; here it is looked
//! that it comes to what it should.

use std::path::Path;

use clavicle_ledger::derivation::Branch;
use clavicle_ledger::encoding::{Ascending, Text, encode};
use clavicle_ledger::id::{EventHash, ManifestRoot, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::state::{Changes, StateKey};
use clavicle_ledger::study::{DayCounts, Status, Study};
use clavicle_ledger::time::DAY_MS;
use clavicle_manifest::Uid;
use clavicle_network::swarm::Node;
use clavicle_wallet::patient::Patient;
use clavicle_wallet::rows::{Held, Known, Summary};
use clavicle_wallet::vault::{KeyStore, Vault, VaultError, VaultKey};

use crate::network::{Network, clock, vouch};

/// How many days the network is ahead.
pub(crate) const DAYS: u64 = 30;
/// How long the wallet was away then.
const AWAY_MS: u64 = DAYS * DAY_MS;

/// What a platform keeps: a key that is there at once.
pub(crate) struct AtHand;

impl KeyStore for AtHand {
    fn file_name(&self) -> &'static str {
        "at-hand"
    }

    fn check_new(&self) -> Result<(), VaultError> {
        Ok(())
    }

    fn seal(&self, key: &VaultKey) -> Result<Vec<u8>, VaultError> {
        Ok(key.to_vec())
    }

    fn unseal(&self, sealed: &[u8]) -> Result<VaultKey, VaultError> {
        Ok(VaultKey::new(sealed.try_into().map_err(|_| VaultError::WrongPassphrase)?))
    }
}

/// Makes a patient's wallet with so many studies, and a network that went on for a month without it. Its relays go on until they are dropped.
pub(crate) async fn behind(folder: &Path, studies: u32) -> Vec<Node> {
    let mut network = Network::new(DAYS, 2);
    let (patient, words) = Patient::create(folder, &AtHand, network.genesis.clone(), clock).unwrap();
    drop(patient);
    let (seed, source) = (words.seed(), network.source(0));
    let root = ManifestRoot::from_bytes([2; 32]);
    let record = |holder: &SecretKey| Study {
        source,
        holder: holder.public(),
        delegates: Ascending::new(),
        status: Status::Active,
        status_number: 0,
        frozen: false,
        revision: 0,
        manifest_root: root,
        open: false,
        grants: Ascending::new(),
        tombstones: Ascending::new(),
        today: DayCounts::default(),
        pending_recovery: None,
        last_recovery: None,
        vetoed: None,
        defined_in: 0,
        events: 1,
        event_hash: EventHash::from_bytes([5; 32]),
    };
    let summary = |number: u32| Summary {
        study_instance_uid: Uid::new(&format!("1.2.3.{number}")).unwrap(),
        date: None,
        description: Text::new("CT of the chest, with contrast medium").unwrap(),
        modalities: Text::new("CT SR").unwrap(),
        series: 4,
        instances: 500,
        bytes: 260_000_000,
    };
    let vault = Vault::open(folder, &AtHand).unwrap();
    let mut rows = Changes::default();
    let held = vault.write(|batch| -> Result<(), VaultError> {
        for number in 0..studies {
            let id = StudyId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes());
            let holder = seed.derive_key(0, Branch::Study, number).unwrap();
            let known = Some(Known { salt: Salt::from_bytes([4; 32]), summary: summary(number) });
            let held = Held { source, device: 0, holder: number, known, claim: None, final_at: Some(1) };
            batch.put(id.as_bytes(), &held)?;
            rows.insert(StateKey::Study(id), Some(encode(&record(&holder))));
        }
        Ok(())
    });
    held.unwrap();
    network.newest.state_root = network.told.state.commit(rows);
    for day in 0..usize::try_from(DAYS).unwrap() {
        network.day(&[day % 4]);
    }
    let mut one = network.take_told();
    let mut other = one.again();
    one.vouched = vouch(&network.newest, &["mercy", "stluke"]);
    other.vouched = vouch(&network.newest, &["north", "harbor"]);
    vec![network.relay(0, one).await.0, network.relay(1, other).await.0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_is_a_month_behind_is_of_use_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let _relays = behind(folder.path(), 20).await;
    let mut patient = Patient::open(folder.path(), &AtHand, clock).unwrap();
    let studies = patient.studies().unwrap();
    assert_eq!(studies.len(), 20);
    let woken = patient.wake().await.unwrap().unwrap();
    assert_eq!(woken.away_ms, AWAY_MS);
    assert!(patient.ask_each(&studies, |_, _| {}).await.unwrap().is_none());
    for study in &studies {
        assert!(patient.objection(study).unwrap().is_none());
        assert!(patient.asked_at(study).unwrap().is_some());
    }
}
