//! What the counter shows to whoever comes with a code and knows its answer, by what the ledger says of the study.

use std::sync::{Arc, Mutex, OnceLock};

use clavicle_dicom::facts::Patient;
use clavicle_imaging::intake::Intake;
use clavicle_ledger::action::{DefineStudy, RecoverStudy, Veto};
use clavicle_ledger::confirm::Round;
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::id::{EnvelopeHash, StudyId, TxId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{Clocks, HOUR_MS, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_letters::pickup::{Question, Ticket};
use clavicle_network::pickup::{Claim, Counter as _, Denied, MAX_OFFERS, NotOffered, Offers, Secret, TicketHash};
use clavicle_phantom::Phantom;
use clavicle_relay::archive::{Archive, Entry, Origin, Signer, Taken};
use clavicle_relay::checkpoints::CheckpointBook;
use clavicle_relay::counter::RelayCounter;
use clavicle_relay::home::Home;
use clavicle_relay::member::Member;
use clavicle_relay::mempool::Mempool;
use clavicle_relay::outcomes::settle;
use clavicle_relay::recoveries::{Recoveries, RecoveryAct};
use clavicle_relay::store::pickups::{Agreed, AskedFor, GivenBack, SealingKey};
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

/// A hospital with studies of one patient in its archive.
struct Hospital {
    _folder: tempfile::TempDir,
    counter: RelayCounter,
    /// The first.
    study: StudyId,
    /// All of them.
    studies: Vec<StudyId>,
}

/// A code of the study, in somebody's hands.
struct Code {
    ticket: Ticket,
    key: Key,
}

impl Hospital {
    fn new() -> Self {
        Self::with(1)
    }

    fn with(count: u64) -> Self {
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
        let signer = Signer { chain, source, operational: &member.operational, now: NOW };
        let studies: Vec<StudyId> = (1..=count)
            .map(|seed| {
                let files = at(&format!("files {seed}"));
                Phantom { slices: 1, size: 64, seed, ..Phantom::default() }.write(&files).unwrap();
                let intake = Intake::of_folder(&files, &Here).unwrap();
                let taken = archive.take(&intake.studies[0], &[], Origin::Handed, &signer).unwrap();
                let Taken::New(study) = taken else { panic!("{taken:?}") };
                study
            })
            .collect();
        let counter = RelayCounter {
            member,
            pickups: Arc::new(Pickups::open(&at("pickups"), SealingKey::from_bytes(Zeroizing::new([9; 32]))).unwrap()),
            archive: Arc::new(archive),
            submission: Arc::new(submission),
            recoveries: Arc::new(Recoveries::at(at("recoveries.jsonl"))),
            claiming: Mutex::default(),
        };
        Self { _folder: folder, counter, study: studies[0], studies }
    }

    fn entry_of(&self, study: StudyId) -> Entry {
        self.counter.archive.entry(study).unwrap().unwrap()
    }

    /// What the code of a patient's visit names.
    fn patient(&self) -> Patient {
        self.counter.archive.catalogued(self.study).unwrap().unwrap().patient
    }

    /// A study becomes somebody's, who comes with this code's key.
    fn define(&self, study: StudyId, by: Key, holder: &SecretKey) {
        let (chain, entry, source) = (self.counter.member.chain, self.entry_of(study), secret("operational 0"));
        let header = entry.manifest.manifest.header();
        let define = DefineStudy {
            digest: entry.salt.study_digest(header.study_instance_uid.as_str()),
            source: source.public(),
            holder: holder.public(),
            delegates: Ascending::new(),
            manifest_root: entry.manifest.manifest.root(&chain),
            open: header.open,
        };
        let now = self.counter.submission.store.head().unwrap().time;
        assert!(self.counter.pickups.claim(study, by, NOW.plus(HOUR_MS), now).unwrap());
        self.counter.archive.claim(study, &define.manifest_root, &chain).unwrap();
        self.act(1_000, Action::DefineStudy(define), &[&source, holder]);
    }

    /// A block, so much later, in which this is done.
    fn act(&self, after_ms: u64, action: Action, keys: &[&SecretKey]) -> TxId {
        self.acted(after_ms, action, keys).0
    }

    /// The same: also the envelope's hash.
    fn acted(&self, after_ms: u64, action: Action, keys: &[&SecretKey]) -> (TxId, EnvelopeHash) {
        let (store, chain) = (&self.counter.submission.store, self.counter.member.chain);
        let (head, snapshot) = (store.head().unwrap(), store.snapshot().unwrap());
        let submit_by = head.time.timestamp().plus(after_ms).plus(HOUR_MS);
        let signed = Body { submit_by, nonce: [0; 16], action }.sign(&chain, keys).unwrap();
        let (id, hash) = (signed.body.id(&chain), signed.hash());
        let envelope = signed.check_stateless(&chain).unwrap();
        let last = store.block(head.height).unwrap().map(|(_, certificate)| certificate);
        let at = head.time.timestamp().plus(after_ms);
        let ((block, certificate, applied), left_out) = next_block_at(&snapshot, &head, last, at, vec![envelope]);
        assert_eq!(left_out, 0);
        store.commit(&block, &certificate, &applied).unwrap();
        (id, hash)
    }

    /// The desk gives out a code, and somebody takes it.
    fn issue(&self, number: u8, by: &str) -> Code {
        let ticket = Ticket([number; 32]);
        let (question, expires) = (Question::Pin, NOW.plus(HOUR_MS));
        let issue = Issue { visit: Visit::Study(self.study), question, answer: PIN, expires };
        self.counter.pickups.issue(&ticket, issue, clock()).unwrap();
        Code { ticket, key: secret(by).public() }
    }

    /// A code that gives back what was agreed on, if anything was.
    fn give_back(&self, number: u8, by: &str, agreed: Option<&Agreed>) -> Code {
        let (ticket, question, expires) = (Ticket([number; 32]), Question::Pin, NOW.plus(HOUR_MS));
        let issue = Issue { visit: Visit::RecoverPatient(self.patient().id), question, answer: PIN, expires };
        let pickups = &self.counter.pickups;
        match agreed {
            Some(agreed) => pickups.give_back(&ticket, issue, agreed, clock()).unwrap(),
            None => pickups.issue(&ticket, issue, clock()).unwrap(),
        };
        Code { ticket, key: secret(by).public() }
    }

    fn agreed(&self, studies: &[StudyId]) -> Agreed {
        let studies = Ascending::from_items(studies.to_vec()).unwrap();
        Agreed { patient: self.patient(), studies, claimed: false, ended: false }
    }

    fn opened(&self, code: &Code) -> Result<Offers, Denied> {
        let ticket = TicketHash::of(&code.ticket);
        let kept = self.counter.secret(code.key, ticket).unwrap();
        let knows = kept == Secret::of(&code.ticket, Question::Pin, PIN);
        self.counter.open(code.key, ticket, knows)
    }

    /// What is shown to whoever comes with a code and the right answer: how many studies, and why not of the others.
    fn shown(&self, code: &Code) -> (usize, Vec<NotOffered>) {
        let offers = self.opened(code).unwrap();
        (offers.offered.len(), offers.not_offered)
    }

    /// The studies that are offered, in their order.
    fn offered(&self, code: &Code) -> Vec<StudyId> {
        let offered = self.opened(code).unwrap().offered;
        offered.iter().map(|offer| offer.manifest.manifest.header().study).collect()
    }

    /// What is on record, in its order.
    fn on_record(&self) -> Vec<(RecoveryAct, usize)> {
        let lines = self.counter.recoveries.last(100).unwrap().0;
        lines.iter().map(|line| (line.act, line.studies.len())).collect()
    }

    fn settle(&self, now: Timestamp) {
        let RelayCounter { submission, pickups, recoveries, .. } = &self.counter;
        settle(&submission.store, pickups, recoveries, now).unwrap();
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
    let counter = &mercy.counter;
    mercy.define(mercy.study, first.key, &holder);

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

/// A code that was agreed on for one study offered whatever lay under the Patient ID when it was used.
#[test]
fn a_code_gives_back_what_was_agreed_on_and_nothing_that_came_later() {
    let mercy = Hospital::with(3);
    for (number, study) in (1..).zip(&mercy.studies) {
        mercy.define(*study, secret("ana").public(), &secret(&format!("holder {number}")));
    }
    let code = mercy.give_back(1, "new", Some(&mercy.agreed(&mercy.studies[..2])));
    let mut offered = mercy.offered(&code);
    offered.sort_unstable();
    let mut agreed = mercy.studies[..2].to_vec();
    agreed.sort_unstable();
    assert_eq!(offered, agreed);
    assert_eq!(mercy.on_record(), [(RecoveryAct::Taken, 2)]);
    mercy.offered(&code);
    assert_eq!(mercy.on_record().len(), 1, "that a wallet came is said once");
    // A study of it is another patient's by now: nothing is given back by that code.
    let other = Agreed {
        patient: Patient { birth_date: None, id: Text::new("other").unwrap(), ..mercy.patient() },
        ..mercy.agreed(&mercy.studies[..1])
    };
    let code = mercy.give_back(2, "new", Some(&other));
    assert_eq!(mercy.opened(&code).unwrap_err(), Denied::NoPickup);
    // Nor by one of which nobody knows what was agreed on.
    let code = mercy.give_back(3, "new", None);
    assert_eq!(mercy.opened(&code).unwrap_err(), Denied::NoPickup);
}

/// Of more than a run takes, only the first were ever handed over, and nobody was told of the rest.
#[test]
fn a_visit_of_more_studies_than_one_run_takes_goes_on_with_the_rest() {
    let mercy = Hospital::with(MAX_OFFERS as u64 + 3);
    let visit = Visit::Patient(mercy.patient().id);
    let (ticket, question, expires) = (Ticket([1; 32]), Question::Pin, NOW.plus(HOUR_MS));
    mercy.counter.pickups.issue(&ticket, Issue { visit, question, answer: PIN, expires }, clock()).unwrap();
    let code = Code { ticket, key: secret("ana").public() };
    let first = mercy.offered(&code);
    assert_eq!(first.len(), MAX_OFFERS);
    for (number, study) in (1..).zip(&first) {
        mercy.define(*study, code.key, &secret(&format!("holder {number}")));
    }
    let second = mercy.offered(&code);
    assert!(second[..3].iter().all(|study| !first.contains(study)), "those that are nobody's come first");
    assert!(second.len() == MAX_OFFERS && second[3..].iter().all(|study| first.contains(study)));
    // So it is with what is given back.
    for study in &second[..3] {
        mercy.define(*study, code.key, &secret(&format!("holder of {study}")));
    }
    let code = mercy.give_back(2, "new", Some(&mercy.agreed(&mercy.studies)));
    let first = mercy.offered(&code);
    let (source, new, ticket) = (secret("operational 0"), secret("new holder"), TicketHash::of(&code.ticket));
    for study in &first {
        let ask = RecoverStudy { study: *study, source: source.public(), new_holder: new.public(), completes: None };
        let (transaction, envelope) = mercy.acted(1_000, Action::RecoverStudy(ask), &[&source, &new]);
        let asked = AskedFor { transaction, envelope, new_holder: new.public(), submit_by: NOW.plus(HOUR_MS) };
        let row = GivenBack { steps: 1, last: Some(transaction), asked: Some(asked), ..GivenBack::default() };
        mercy.counter.pickups.keep_given_back(ticket, *study, &row).unwrap();
    }
    let second = mercy.offered(&code);
    assert!(second[..3].iter().all(|study| !first.contains(study)), "those that were not asked for come first");
}

/// Each step that the ledger refused left a line for ever, and a wallet can come as often as it likes.
#[test]
fn steps_that_the_ledger_refuses_leave_no_line_and_what_became_of_the_others_is_on_record() {
    let mercy = Hospital::with(2);
    let (source, holder, new) = (secret("operational 0"), secret("holder"), secret("new holder"));
    mercy.define(mercy.studies[0], secret("ana").public(), &holder);
    mercy.define(mercy.studies[1], secret("ana").public(), &secret("other holder"));
    let code = mercy.give_back(1, "new", Some(&mercy.agreed(&mercy.studies)));
    let (offered, ticket) = (mercy.offered(&code), TicketHash::of(&code.ticket));
    let (chain, study) = (mercy.counter.member.chain, mercy.studies[0]);
    for nonce in 0..20 {
        let completes = Some(TxId::from_bytes([7; 32]));
        let step = RecoverStudy { study, source: source.public(), new_holder: new.public(), completes };
        let submit_by = mercy.counter.submission.store.head().unwrap().time.timestamp().plus(HOUR_MS);
        let body = Body { submit_by, nonce: [nonce; 16], action: Action::RecoverStudy(step) };
        let claim = Claim { holder: new.sign(&body.preimage(&chain)), body };
        let refused = mercy.counter.claim(code.key, ticket, &offered, &claim).unwrap_err();
        assert!(refused.as_str().contains("no such recovery"), "{refused:?}");
    }
    assert_eq!(mercy.on_record(), [(RecoveryAct::Taken, 2)]);

    let ask = RecoverStudy { study, source: source.public(), new_holder: new.public(), completes: None };
    let (transaction, envelope) = mercy.acted(1_000, Action::RecoverStudy(ask), &[&source, &new]);
    let asked = AskedFor { transaction, envelope, new_holder: new.public(), submit_by: NOW.plus(HOUR_MS) };
    let row = GivenBack { steps: 1, last: Some(transaction), asked: Some(asked), ..GivenBack::default() };
    mercy.counter.pickups.keep_given_back(ticket, study, &row).unwrap();
    mercy.settle(NOW);
    assert_eq!(mercy.on_record().len(), 1, "it may become either");
    mercy.act(1_000, Action::Veto(Veto { study, holder: holder.public(), recovery: transaction }), &[&holder]);
    mercy.settle(NOW);
    mercy.settle(NOW);
    assert_eq!(mercy.on_record()[1..], [(RecoveryAct::Vetoed, 1)]);
    // Of the other nothing came while the code was good.
    mercy.settle(NOW.plus(HOUR_MS));
    mercy.settle(NOW.plus(HOUR_MS));
    assert_eq!(mercy.on_record()[2..], [(RecoveryAct::Expired, 2)]);
}
