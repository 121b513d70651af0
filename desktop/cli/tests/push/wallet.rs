//! A patient's wallet with a study in it, as a fetch leaves it, on a network that nobody answers for.

use std::path::Path;
use std::process::{Command, Output};

use clavicle_imaging::intake::{Edition, Intake};
use clavicle_ledger::action::DefineStudy;
use clavicle_ledger::encoding::{self, Ascending, Hex, Text};
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{ManifestRoot, SourceId, StudyDigest};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::time::{BlockTime, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_manifest::{MediaType, Nonce};
use clavicle_network::pack::{Pack, PackKey};
use clavicle_network::transfer::{Listing, Offer};
use clavicle_sandbox::reader::Here;
use clavicle_wallet::patient::Patient;
use clavicle_wallet::rows::{Cached, Fetched, Held, Known, Summary};
use clavicle_wallet::vault::{Passphrase, Vault};
use serde_json::Value;
use tempfile::TempDir;

const WORDS: &str = "four words of one person";

fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

/// A network of one hospital that is nowhere.
pub fn genesis() -> Genesis {
    let public = |number| -> Key { key(number).public() };
    let announcement = Announcement {
        name: Text::new("mercy").unwrap(),
        kind: SourceKind::Validator,
        keys: SourceKeys {
            operational: public(2),
            consensus: Some(public(3)),
            transfer: public(4),
            network: Ascending::from_items(vec![public(5)]).unwrap(),
        },
        addresses: Addresses::default(),
        mailbox: Ascending::new(),
    };
    Genesis {
        name: Text::new("test").unwrap(),
        time: BlockTime(Timestamp(1_790_000_000_000)),
        parameters: Parameters::default(),
        sources: Ascending::from_items(vec![GenesisSource { identity: public(1), announcement }]).unwrap(),
    }
}

/// A wallet, and the id of its study.
pub struct Wallet {
    folder: TempDir,
    study: String,
}

impl Wallet {
    /// One that has fetched the study in this folder, with these reports, but for the first so many of its instances.
    pub fn of(files: &Path, reports: &[(&Path, MediaType)], lacking: usize) -> Self {
        let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis());
        let passphrase = || Passphrase::new(WORDS.to_owned()).unwrap();
        std::fs::write(folder.path().join("pw"), WORDS).unwrap();
        let dir = folder.path().join("ana");
        let clock = || LocalTime(Timestamp(1_790_000_000_000));
        drop(Patient::create(&dir, &passphrase(), genesis.clone(), clock).unwrap());

        let mut intake = Intake::of_folder(files, &Here).unwrap();
        let study = &mut intake.studies[0];
        reports.iter().for_each(|(path, media_type)| study.attach(path, *media_type).unwrap());
        let (chain, source, salt) = (genesis.chain_id(), SourceId::from_bytes([6; 32]), Salt::from_bytes([7; 32]));
        let nonce = Nonce::from_bytes([8; 32]);
        let edition = Edition { chain, source, salt: salt.clone(), nonce, revision: 0, predecessor: None, open: false };
        let manifest = study.manifest(&edition).unwrap();
        let (id, summary) = (manifest.header().study, Summary::of(&manifest));

        let cached = Cached { folder: [9; 16], key: [10; 32], fetched: None };
        let place = dir.join("images").join(Hex(&cached.folder).to_string());
        let mut pack = Pack::open(&place, &PackKey::from_bytes(cached.key)).unwrap();
        let instances = study.series.iter().flat_map(|series| &series.instances).map(|one| &one.path).skip(lacking);
        for path in instances.chain(study.attachments.iter().map(|one| &one.path)) {
            pack.put(&std::fs::read(path).unwrap()).unwrap();
        }
        let offer = Offer { salt: salt.clone(), manifest: Listing::Whole(manifest.sign(&chain, &key(2))) };
        let (offer, offer_size) = pack.put(&encoding::encode(&offer)).unwrap();
        pack.settle().unwrap();

        let action = Action::DefineStudy(DefineStudy {
            digest: StudyDigest::from_bytes([11; 32]),
            source: key(2).public(),
            holder: key(12).public(),
            delegates: Ascending::new(),
            manifest_root: ManifestRoot::from_bytes([13; 32]),
            open: false,
        });
        let claim = Body { submit_by: Timestamp(1_790_000_000_000), nonce: [0; 16], action };
        let vault = Vault::open(&dir, &passphrase()).unwrap();
        vault.put(id.as_bytes(), &Cached { fetched: Some(Fetched { offer, offer_size }), ..cached.clone() }).unwrap();
        let held = Held {
            source,
            device: 0,
            holder: 0,
            known: Some(Known { salt, summary }),
            claim: Some(claim),
            final_at: Some(1),
        };
        vault.put(id.as_bytes(), &held).unwrap();
        Self { folder, study: id.to_string() }
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The id of its study.
    pub fn study(&self) -> &str {
        &self.study
    }

    /// What is asked of its study, where nothing can be laid down for a moment: there is no folder for it.
    pub fn asked(&self, what: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle"));
        command.current_dir(&self.folder).env("CLAVICLE_PASSPHRASE_FILE", "pw").env("TMPDIR", "/nowhere");
        command.args(["wallet", what, "--dir", "ana", &self.study]).args(arguments).output().unwrap()
    }

    /// What it answers when it has done it.
    pub fn done(&self, what: &str, arguments: &[&str]) -> Value {
        let Output { status, stdout, stderr } = self.asked(what, &[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&stdout);
        assert!(status.success(), "{what} {arguments:?}: {said}{}", String::from_utf8_lossy(&stderr));
        serde_json::from_slice(&stdout).unwrap()
    }
}
