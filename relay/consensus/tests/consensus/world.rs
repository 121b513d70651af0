//! A network of four hospitals, their keys, and transactions to put into its blocks.

use clavicle_ledger::action::{DefineSource, DefineStudy};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{ChainId, ManifestRoot, SourceId, StudyDigest};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::time::{BlockTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Verified};

/// Noon on 2026-11-21, UTC.
pub const START: u64 = 1_795_262_400_000;

/// Longer than any test here runs, and less than a transaction waits.
pub const EPOCH_MS: u64 = 600_000;

/// 32 bytes from a word, the same in every run.
pub fn seed(word: &str) -> [u8; 32] {
    *blake3::hash(word.as_bytes()).as_bytes()
}

fn secret(word: &str) -> SecretKey {
    SecretKey::from_bytes(&seed(word))
}

pub struct Hospital {
    pub name: &'static str,
    pub identity: SecretKey,
    pub operational: SecretKey,
    pub consensus: SecretKey,
}

impl Hospital {
    fn new(name: &'static str) -> Self {
        let key = |role: &str| secret(&format!("{name} {role}"));
        Self { name, identity: key("identity"), operational: key("operational"), consensus: key("consensus") }
    }

    fn announcement(&self) -> Announcement {
        Announcement {
            name: Text::new(self.name).unwrap(),
            kind: SourceKind::Validator,
            keys: SourceKeys {
                operational: self.operational.public(),
                consensus: Some(self.consensus.public()),
                transfer: secret(&format!("{} transfer", self.name)).public(),
                network: Ascending::from_items(vec![secret(&format!("{} network", self.name)).public()]).unwrap(),
            },
            addresses: Addresses::default(),
            mailbox: Ascending::new(),
        }
    }

    pub fn id(&self, chain: &ChainId) -> SourceId {
        SourceId::of_identity(chain, &self.identity.public())
    }

    /// New keys for everything but its identity, in force from the next epoch on; and the consensus key among them.
    pub fn rotate(&self, chain: &ChainId) -> (Verified, SecretKey) {
        let key = |role: &str| secret(&format!("{} new {role}", self.name));
        let (operational, consensus, transfer, network) =
            (key("operational"), key("consensus"), key("transfer"), key("network"));
        let announcement = Announcement {
            keys: SourceKeys {
                operational: operational.public(),
                consensus: Some(consensus.public()),
                transfer: transfer.public(),
                network: Ascending::from_items(vec![network.public()]).unwrap(),
            },
            ..self.announcement()
        };
        let action = Action::DefineSource(DefineSource { identity: self.identity.public(), version: 1, announcement });
        let body = Body { submit_by: Timestamp(START).plus(3_600_000), nonce: [0; 16], action };
        let signers = [&self.identity, &operational, &consensus, &transfer, &network];
        (body.sign(chain, &signers).unwrap().check_stateless(chain).unwrap(), consensus)
    }

    /// A study, defined within the hour; each number is another one.
    pub fn define(&self, chain: &ChainId, number: u64) -> Verified {
        let holder = secret(&format!("holder {number}"));
        let action = Action::DefineStudy(DefineStudy {
            digest: StudyDigest::from_bytes(seed(&format!("study {number}"))),
            source: self.operational.public(),
            holder: holder.public(),
            delegates: Ascending::new(),
            manifest_root: ManifestRoot::from_bytes([0; 32]),
            open: true,
        });
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        let body = Body { submit_by: Timestamp(START).plus(3_600_000), nonce, action };
        body.sign(chain, &[&self.operational, &holder]).unwrap().check_stateless(chain).unwrap()
    }
}

pub fn hospitals() -> Vec<Hospital> {
    ["mercy", "stluke", "north", "harbor"].into_iter().map(Hospital::new).collect()
}

pub fn genesis() -> Genesis {
    let source = |hospital: &Hospital| GenesisSource {
        identity: hospital.identity.public(),
        announcement: hospital.announcement(),
    };
    Genesis {
        name: Text::new("test").unwrap(),
        time: BlockTime(Timestamp(START)),
        parameters: Parameters { epoch_ms: EPOCH_MS, ..Parameters::default() },
        sources: Ascending::from_items(hospitals().iter().map(source).collect()).unwrap(),
    }
}
