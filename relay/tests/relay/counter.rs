//! What the counter shows to whoever comes with a code and knows its answer, by what the ledger says of the study.

use std::sync::{Arc, Mutex, OnceLock};

use clavicle_imaging::intake::Intake;
use clavicle_ledger::action::{DefineStudy, RecoverStudy, Veto};
use clavicle_ledger::confirm::Round;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::{StudyId, TxId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{Clocks, HOUR_MS, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_letters::pickup::{Question, Ticket};
use clavicle_network::pickup::{Counter as _, NotOffered, Secret, TicketHash};
use clavicle_phantom::Phantom;
use clavicle_relay::archive::{Archive, Entry, Origin, Signer, Taken};
use clavicle_relay::checkpoints::CheckpointBook;
use clavicle_relay::counter::RelayCounter;
use clavicle_relay::home::Home;
use clavicle_relay::member::Member;
use clavicle_relay::mempool::Mempool;
use clavicle_relay::recoveries::Recoveries;
use clavicle_relay::store::pickups::SealingKey;
use clavicle_relay::store::{ChainStore, Issue, Pickups, Receipts, Seen, Visit, receipts};
use clavicle_relay::submission::Submission;
use clavicle_relay::timekeeper::Timekeeper;
use clavicle_sandbox::reader::Here;
use zeroize::Zeroizing;

use crate::chain::{genesis, next_block_at, secret, source_id};

const NOW: Timestamp = Timestamp(1_795_262_400_000);
const PIN: &str = "4711";

fn clock() -> LocalTime {
    LocalTime(NOW)
}

/// A hospital with one study in its archive.
struct Hospital {
    _folder: tempfile::TempDir,
    counter: RelayCounter,
    study: StudyId,
}

/// A code of the study, in somebody's hands.
struct Code {
    ticket: Ticket,
    key: Key,
}

impl Hospital {
    fn new() -> Self {
        let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
        let at = |name: &str| folder.path().join(name);
        let (chain, source, operational) = (genesis.chain_id(), source_id(&genesis, 0), secret("operational 0"));
        let signer = receipts::ReceiptSigner { chain, source, key: operational.clone() };
        let store = Arc::new(ChainStore::open(&at("chain"), &genesis).unwrap());
        let genesis = Arc::new(genesis);
        let checkpoints = Arc::new(CheckpointBook::open(folder.path()).unwrap());
        let (home, name) = (Home::at(folder.path()), "mercy".into());
        let member = Arc::new(Member { home, name, source, operational, genesis, chain, checkpoints });
        let clocks = Clocks { wall: clock(), boot_ms: 0, asleep_ms: 0 };
        let timekeeper = Arc::new(Timekeeper::new(move || clocks));
        // Whoever is alone needs nobody to say what is newest.
        let set = store.snapshot().unwrap().validators().unwrap();
        timekeeper.keep(Round::new(source, [1; 32], clocks).confirmation(&set, clocks).unwrap());
        let submission = Submission {
            member: Arc::clone(&member),
            store,
            mempool: Arc::new(Mempool::new()),
            seen: Arc::new(Seen::open(&at("seen")).unwrap()),
            receipts: Arc::new(Receipts::open(&at("receipts"), signer).unwrap()),
            clock,
            timekeeper,
            running: OnceLock::new(),
        };
        let archive = Archive::open(&at("archive"), &at("catalogue"), chain).unwrap();
        Phantom { slices: 1, size: 64, ..Phantom::default() }.write(&at("files")).unwrap();
        let intake = Intake::of_folder(&at("files"), &Here).unwrap();
        let signer = Signer { chain, source, operational: &member.operational, now: NOW };
        let taken = archive.take(&intake.studies[0], &[], Origin::Handed, &signer).unwrap();
        let Taken::New(study) = taken else { panic!("{taken:?}") };
        let counter = RelayCounter {
            member,
            pickups: Arc::new(Pickups::open(&at("pickups"), SealingKey::from_bytes(Zeroizing::new([9; 32]))).unwrap()),
            archive: Arc::new(archive),
            submission: Arc::new(submission),
            recoveries: Arc::new(Recoveries::at(at("recoveries.jsonl"))),
            claiming: Mutex::default(),
        };
        Self { _folder: folder, counter, study }
    }

    fn entry(&self) -> Entry {
        self.counter.archive.entry(self.study).unwrap().unwrap()
    }

    /// A block, so much later, in which this is done.
    fn act(&self, after_ms: u64, action: Action, keys: &[&SecretKey]) -> TxId {
        let (store, chain) = (&self.counter.submission.store, self.counter.member.chain);
        let (head, snapshot) = (store.head().unwrap(), store.snapshot().unwrap());
        let submit_by = head.time.timestamp().plus(after_ms).plus(HOUR_MS);
        let signed = Body { submit_by, nonce: [0; 16], action }.sign(&chain, keys).unwrap();
        let (id, envelope) = (signed.body.id(&chain), signed.check_stateless(&chain).unwrap());
        let last = store.block(head.height).unwrap().map(|(_, certificate)| certificate);
        let at = head.time.timestamp().plus(after_ms);
        let ((block, certificate, applied), left_out) = next_block_at(&snapshot, &head, last, at, vec![envelope]);
        assert_eq!(left_out, 0);
        store.commit(&block, &certificate, &applied).unwrap();
        id
    }

    /// The desk gives out a code, and somebody takes it.
    fn issue(&self, number: u8, by: &str) -> Code {
        let ticket = Ticket([number; 32]);
        let (question, expires) = (Question::Pin, NOW.plus(HOUR_MS));
        let issue = Issue { visit: Visit::Study(self.study), question, answer: PIN, expires };
        self.counter.pickups.issue(&ticket, issue, clock()).unwrap();
        Code { ticket, key: secret(by).public() }
    }

    /// What is shown to whoever comes with a code and the right answer: how many studies, and why not of the others.
    fn shown(&self, code: &Code) -> (usize, Vec<NotOffered>) {
        let ticket = TicketHash::of(&code.ticket);
        let kept = self.counter.secret(code.key, ticket).unwrap();
        let knows = kept == Secret::of(&code.ticket, Question::Pin, PIN);
        let offers = self.counter.open(code.key, ticket, knows).unwrap();
        (offers.offered.len(), offers.not_offered)
    }
}

/// The holder says that the key is not lost, and its hospital says once more that it is: until a vote settles whose it is, neither the one who claimed
/// it nor whoever the desk gives a new code is shown anything of it.
#[test]
fn a_frozen_study_is_shown_to_nobody() {
    let mercy = Hospital::new();
    let (source, holder, other) = (secret("operational 0"), secret("holder"), secret("new holder"));
    let first = mercy.issue(1, "ana");
    assert_eq!(mercy.shown(&first), (1, vec![]));
    let (chain, entry, counter) = (mercy.counter.member.chain, mercy.entry(), &mercy.counter);
    let header = entry.manifest.manifest.header();
    let define = DefineStudy {
        digest: entry.salt.study_digest(header.study_instance_uid.as_str()),
        source: source.public(),
        holder: holder.public(),
        delegates: Ascending::new(),
        manifest_root: entry.manifest.manifest.root(&chain),
        open: header.open,
    };
    let now = counter.submission.store.head().unwrap().time;
    assert!(counter.pickups.claim(mercy.study, first.key, NOW.plus(HOUR_MS), now).unwrap());
    counter.archive.claim(mercy.study, &define.manifest_root, &chain).unwrap();
    mercy.act(1_000, Action::DefineStudy(define), &[&source, &holder]);

    let recover = || {
        let (study, source, new_holder) = (mercy.study, source.public(), other.public());
        Action::RecoverStudy(RecoverStudy { study, source, new_holder, completes: None })
    };
    let recovery = mercy.act(1_000, recover(), &[&source, &other]);
    mercy.act(1_000, Action::Veto(Veto { study: mercy.study, holder: holder.public(), recovery }), &[&holder]);
    // It has its holder still, who is shown it; nobody else is.
    let second = mercy.issue(2, "eve");
    assert_eq!(mercy.shown(&first), (1, vec![]));
    assert_eq!(mercy.shown(&second), (0, vec![NotOffered::Held]));

    mercy.act(counter.member.genesis.parameters.recovery_interval_ms, recover(), &[&source, &other]);
    let record = counter.submission.store.snapshot().unwrap().study(mercy.study).unwrap().unwrap();
    assert!(record.frozen);
    let frozen = (0, vec![NotOffered::Frozen]);
    for code in [&first, &second] {
        assert_eq!(mercy.shown(code), frozen);
    }
    for (number, by) in [(3, "ana"), (4, "new holder")] {
        assert_eq!(mercy.shown(&mercy.issue(number, by)), frozen);
    }
    let why = NotOffered::Frozen.to_string();
    assert!(why.contains("nothing is handed over until the hospitals have settled whose it is"), "{why}");
}
