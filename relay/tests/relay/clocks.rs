//! A relay whose clock is set: it serves nobody on its word, forgets nothing, and lets nothing last that it would have made too long.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use clavicle_admission::Neighbourhood;
use clavicle_ledger::authorise::{Claim, Hello, SignedHello};
use clavicle_ledger::confirm::{Newest, Round};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::receipt::{Entry, SignedReceipt};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{Clocks, DAY_MS, HOUR_MS, LocalTime, Timestamp};
use clavicle_letters::credential::Introduction;
use clavicle_letters::mailbox::Token;
use clavicle_letters::pickup::{Question, Ticket};
use clavicle_network::message::{MailboxRefusal, MailboxRequest, MailboxResponse, Opening, Response};
use clavicle_network::pickup::{Counter as _, Denied, TicketHash};
use clavicle_network::swarm::Desk as _;
use clavicle_network::transfer::Gate as _;
use clavicle_network::work::{Purpose, Task};
use clavicle_relay::archive::Archive;
use clavicle_relay::challenge::Challenger;
use clavicle_relay::checkpoints::CheckpointBook;
use clavicle_relay::counter::RelayCounter;
use clavicle_relay::credentials::Credentials;
use clavicle_relay::desk::RelayDesk;
use clavicle_relay::gate::RelayGate;
use clavicle_relay::home::{Home, ReceiptSettings};
use clavicle_relay::member::Member;
use clavicle_relay::mempool::Mempool;
use clavicle_relay::operations::Operation as _;
use clavicle_relay::operations::explain::Explain;
use clavicle_relay::operations::status::Status;
use clavicle_relay::quarantine::Quarantine;
use clavicle_relay::recoveries::Recoveries;
use clavicle_relay::room::{DiskSettings, Room};
use clavicle_relay::service::{Images, Records, Service};
use clavicle_relay::store::mailboxes::{LONGEST_MS, Limits};
use clavicle_relay::store::pickups::SealingKey;
use clavicle_relay::store::receipts::ReceiptSigner;
use clavicle_relay::store::{ChainStore, Issue, Mailboxes, Notices, Pickups, Receipts, Seen, Visit};
use clavicle_relay::submission::Submission;
use clavicle_relay::timekeeper::Timekeeper;
use clavicle_relay::upkeep;
use clavicle_sandbox::reader::Here;
use zeroize::Zeroizing;

use crate::chain::{define, genesis_of, next_block, secret, source_id, study};

/// Ten years.
const YEARS_MS: i64 = 3_650 * DAY_MS as i64;

/// The hospital of a network with this number, over its stores in a folder, and with these clocks.
pub(crate) fn service(
    folder: &Path,
    genesis: Genesis,
    number: usize,
    (timekeeper, clock): (Timekeeper, fn() -> LocalTime),
) -> Service {
    let at = |name: &str| folder.join(name);
    let (chain, source) = (genesis.chain_id(), source_id(&genesis, number));
    let store = Arc::new(ChainStore::open(&at("chain"), &genesis).unwrap());
    let operational = secret(&format!("operational {number}"));
    let signer = ReceiptSigner { chain, source, key: operational.clone() };
    let receipts = Arc::new(Receipts::open(&at("receipts"), signer).unwrap());
    let checkpoints = Arc::new(CheckpointBook::open(folder).unwrap());
    let (name, genesis, timekeeper) = ("mercy".into(), Arc::new(genesis), Arc::new(timekeeper));
    let member = Arc::new(Member { home: Home::at(folder), name, source, operational, genesis, chain, checkpoints });
    let submission = Arc::new(Submission {
        member: Arc::clone(&member),
        store: Arc::clone(&store),
        mempool: Arc::new(Mempool::new()),
        seen: Arc::new(Seen::open(&at("seen")).unwrap()),
        receipts: Arc::clone(&receipts),
        clock,
        timekeeper: Arc::clone(&timekeeper),
        running: OnceLock::new(),
    });
    let disk = DiskSettings { reserve_mib: Some(0), ..DiskSettings::default() };
    let images = Images {
        archive: Arc::new(Archive::open(&at("archive"), &at("catalogue"), chain).unwrap()),
        reader: Arc::new(Here),
        taking: Arc::default(),
        quarantine: Arc::new(Quarantine::open(&at("quarantine"), disk.quarantine()).unwrap()),
        disk,
        room: Room::at(folder, &disk),
    };
    let records = Records {
        pickups: Arc::new(Pickups::open(&at("pickups"), SealingKey::from_bytes(Zeroizing::new([9; 32]))).unwrap()),
        mailboxes: Arc::new(Mailboxes::open(&at("mailboxes"), Limits { effort: 1, ..Limits::default() }).unwrap()),
        receipts,
        settings: ReceiptSettings::default(),
        notices: Arc::new(Notices::open(&at("notices")).unwrap()),
        refusals: Arc::default(),
        recoveries: Arc::new(Recoveries::at(at("recoveries"))),
        credentials: Arc::new(Credentials::open(&at("credentials"), Arc::clone(&member), clock().0).unwrap()),
    };
    Service { member, store, submission, images, records, clock, timekeeper, shadow: false }
}

/// One hospital of four, with clocks in one's hand.
pub(crate) struct Hospital {
    _folder: tempfile::TempDir,
    pub(crate) service: Service,
    gate: RelayGate,
    clocks: Arc<Mutex<Clocks>>,
    pub(crate) study: StudyId,
}

impl Hospital {
    /// It has one block, with a study of its own in it, made a moment ago.
    fn new() -> Self {
        Self::number(0)
    }

    /// The one with this number; the study is the first one's.
    pub(crate) fn number(number: usize) -> Self {
        let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis_of("test", 4));
        let wall = LocalTime(genesis.time.timestamp().plus(1_000));
        let clocks = Arc::new(Mutex::new(Clocks { wall, boot_ms: 1_000_000, asleep_ms: 0 }));
        let shown = Arc::clone(&clocks);
        let timekeeper = Timekeeper::new(move || *shown.lock().unwrap());
        timekeeper.ask();
        let service = service(folder.path(), genesis, number, (timekeeper, || LocalTime(Timestamp(0))));
        let (store, genesis) = (&service.store, &service.member.genesis);
        let head = store.head().unwrap();
        let (block, certificate, applied) =
            next_block(&store.snapshot().unwrap(), &head, None, vec![define(genesis, &head, 1)]);
        store.commit(&block, &certificate, &applied).unwrap();
        assert_eq!(block.header().time.timestamp(), wall.0);
        let gate = RelayGate {
            member: Arc::clone(&service.member),
            store: Arc::clone(&service.store),
            archive: Arc::clone(&service.images.archive),
            seen: Arc::clone(&service.submission.seen),
            refusals: Arc::clone(&service.records.refusals),
            receipts: Arc::clone(&service.records.receipts),
            notices: Arc::clone(&service.records.notices),
            timekeeper: Arc::clone(&service.timekeeper),
        };
        let study = study(&service.member.genesis, 1);
        Self { _folder: folder, service, gate, clocks, study }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clocks.lock().unwrap().wall.0
    }

    /// Sets the wall clock.
    fn set(&self, by_ms: i64) {
        let mut clocks = self.clocks.lock().unwrap();
        clocks.wall.0.0 = clocks.wall.0.0.saturating_add_signed(by_ms);
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, ms: u64) {
        let mut clocks = self.clocks.lock().unwrap();
        (clocks.wall.0.0, clocks.boot_ms) = (clocks.wall.0.0 + ms, clocks.boot_ms + ms);
    }

    /// Two others say what is newest, and that it is `at`.
    pub(crate) fn confirm(&self, nonce: u8, at: Timestamp) {
        let (Service { store, timekeeper, .. }, clocks) = (&self.service, *self.clocks.lock().unwrap());
        let (snapshot, head) = (store.snapshot().unwrap(), store.head().unwrap());
        let mut round = Round::new(self.service.member.source, [nonce; 32], clocks);
        for n in [1, 2] {
            let by = source_id(&self.service.member.genesis, n);
            let newest = Newest { inquiry: round.inquiry(), by, height: head.height, block: head.id(), at };
            let signed = newest.sign(&self.service.member.chain, &secret(&format!("operational {n}")));
            let here = |height| store.header(height).unwrap().map(|header| header.id());
            round.hear(&snapshot, &signed, here, clocks).unwrap();
        }
        timekeeper.keep(round.confirmation(&snapshot.validators().unwrap(), clocks).unwrap());
    }

    /// Why the holder is refused, who always is: by the images alone, which this hospital does not have, if by nothing else.
    fn refused(&self) -> String {
        let (source, at) = (self.service.member.source, self.now());
        let hello = Hello::new(source, self.study, Claim::Holder, at);
        let hello = hello.sign(&self.service.member.chain, &secret("holder"));
        let why = self.admit(&secret("holder"), &hello, None);
        let closed = Status {}.work(&self.service).unwrap().closed;
        assert_eq!(closed.as_deref(), (why != LET_IN).then_some(why.as_str()), "what status says");
        why
    }

    /// Why whoever says this with this key is refused, as [`Self::refused`].
    pub(crate) fn admit(&self, key: &SecretKey, hello: &SignedHello, shown: Option<&Introduction>) -> String {
        let reference = self.gate.admit(key.public(), hello, shown).unwrap_err();
        Explain { reference: reference.to_string() }.work(&self.service).unwrap().reason
    }

    fn receipts(&self) -> Vec<SignedReceipt> {
        self.service.records.receipts.of_study(self.study, 0, 100).unwrap()
    }

    fn desk(&self) -> RelayDesk {
        let Service { member, submission, records, timekeeper, .. } = &self.service;
        RelayDesk {
            member: Arc::clone(member),
            network: secret("network 0").public(),
            submission: Arc::clone(submission),
            records: records.clone(),
            challenger: Challenger::new([1; 32]),
            room: self.service.images.room.clone(),
            clock: || LocalTime(Timestamp(0)),
            timekeeper: Arc::clone(timekeeper),
        }
    }

    /// Opens a mailbox until a moment, for what it costs.
    fn open_box(&self, word: &str, until: Timestamp) -> MailboxResponse {
        let (key, relay, chain) = (secret(word), self.service.member.source, self.service.member.chain);
        let opening = Opening { relay, mailbox: key.public(), token: TOKEN, until }.sign(&chain, &key);
        let ask = |work| {
            let request = MailboxRequest::Open { opening: opening.clone(), work };
            match self.desk().mailbox(secret("somebody").public(), nowhere(), request) {
                Response::Mailbox(response) => response,
                other => panic!("{other:?}"),
            }
        };
        let MailboxResponse::Price(price) = ask(None) else { return ask(None) };
        let relay_peer = secret("network 0").public();
        let mut task = Task::new(&Purpose { chain, relay, relay_peer, mailbox: key.public() }, price, [7; 16]);
        while task.finished().is_none() {
            task.go_on(|| true);
        }
        ask(task.finished().cloned().map(Box::new))
    }
}

fn nowhere() -> Neighbourhood {
    Neighbourhood::of(IpAddr::from([192, 0, 2, 1]))
}

const TOKEN: Token = Token([6; 16]);
pub(crate) const LET_IN: &str = "the manifest that the ledger names is not in the archive";

/// With its clock a day off it said "fresh".
#[test]
fn status_says_by_how_much_the_clock_is_off_and_by_whose_word() {
    let mercy = Hospital::new();
    let (start, day) = (mercy.now(), DAY_MS as i64);
    let status = || Status {}.work(&mercy.service).unwrap();
    let wrong = || status().wrong().join("; ");
    // Nobody was heard, and the newest block is as old as the clock says.
    assert_eq!((status().clock.off_ms, status().clock.earliest_ms), (None, None));
    assert!(status().lines().contains("; nobody else has said what time it is\n"), "{}", status().lines());
    // A clock behind the newest block is wrong by that alone.
    mercy.set(-60_000);
    assert_eq!(status().clock.off_ms, Some(-60_000));
    mercy.set(60_000);
    mercy.confirm(1, start);
    assert_eq!((status().clock.off_ms, status().clock.latest_ms), (Some(0), Some(start.0)));
    assert!(
        status().lines().contains(" UTC, as the others say\n") && !wrong().contains("clock"),
        "{}",
        status().lines()
    );
    mercy.set(day);
    assert_eq!((status().clock.off_ms, status().clock.now_ms), (Some(day), start.0 + DAY_MS));
    assert!(wrong().contains("clock is 24.0 h ahead of what the others say: set it right (NTP)"), "{}", wrong());
    assert!(status().lines().contains(", 24.0 h ahead of what the others say\n"), "{}", status().lines());
    mercy.set(-2 * day);
    assert_eq!(status().clock.off_ms, Some(-day));
    assert!(wrong().contains("24.0 h behind what the others say"), "{}", wrong());
    // Time that passes is no difference.
    mercy.set(day);
    mercy.wait(3_600_000);
    assert_eq!(status().clock.off_ms, Some(0));
    // It does not run, and the newest block tells since when.
    assert!(!status().running && status().wrong()[0].starts_with("the relay does not run"));
    assert_eq!((status().last_block_ms, status().age_ms), (start.0, 3_600_000));
}

#[test]
fn a_source_that_was_cut_off_serves_nobody_when_its_clock_is_set_back() {
    let mercy = Hospital::new();
    let start = mercy.now();
    assert!(mercy.refused().starts_with("since this source was started, not enough of the others"));
    mercy.confirm(1, start);
    assert_eq!(mercy.refused(), LET_IN);
    mercy.wait(100_000);
    assert!(mercy.refused().contains("is 100000 ms old; on these terms 90000 ms is the most"));
    // What the attacker did: 25 s back, and it served.
    mercy.set(-25_000);
    assert!(mercy.refused().starts_with("this source's clock was set by 25000 ms"));
    // Asked again, the others know what time it is, whatever its clock says.
    mercy.confirm(2, start.plus(100_000));
    assert!(mercy.refused().starts_with("this source's clock is 25000 ms behind"));
    mercy.set(25_000);
    mercy.confirm(3, start.plus(100_000));
    assert!(mercy.refused().contains("is 100000 ms old"));
}

#[test]
fn a_clock_that_is_set_and_set_back_leaves_no_mark() {
    for by_ms in [HOUR_MS as i64, -(HOUR_MS as i64), YEARS_MS, -YEARS_MS] {
        let mercy = Hospital::new();
        let start = mercy.now();
        // Before anybody was heard nothing is dated by the wall clock.
        mercy.set(by_ms);
        assert_eq!(mercy.service.timekeeper.dated(&mercy.service.store), start);
        mercy.set(-by_ms);
        mercy.confirm(1, start);
        // What is there for a month or two days.
        assert_eq!(mercy.open_box("ana", start.plus(LONGEST_MS)), MailboxResponse::Done);
        let (ticket, visit) = (Ticket([2; 32]), Visit::Study(mercy.study));
        let (question, expires) = (Question::Pin, start.plus(2 * DAY_MS));
        let issue = Issue { visit, question, answer: "4711", expires };
        mercy.service.records.pickups.issue(&ticket, issue, LocalTime(start)).unwrap();
        let before = mercy.receipts().len();

        mercy.set(by_ms);
        mercy.wait(1_000);
        assert_eq!(mercy.service.timekeeper.dated(&mercy.service.store), start.plus(1_000), "{by_ms}");
        upkeep::sweep(&mercy.service).unwrap();
        assert_ne!(mercy.refused(), LET_IN, "{by_ms}");
        // For longer than a month nothing is kept, however far ahead the clock is.
        let month_of_then = start.plus(1_000).0.saturating_add_signed(by_ms).saturating_add(LONGEST_MS);
        if by_ms > 0 {
            let refused = MailboxResponse::Refused(MailboxRefusal::Signature);
            assert_eq!(mercy.open_box("bruno", Timestamp(month_of_then)), refused, "{by_ms}");
        }
        mercy.set(-by_ms);
        upkeep::sweep(&mercy.service).unwrap();

        // Behind what is queued: then that is written too.
        let grant = clavicle_ledger::id::GrantId::from_bytes([5; 32]);
        let entry = Entry::RevocationSeen { grant };
        mercy
            .service
            .records
            .receipts
            .append(mercy.study, mercy.service.timekeeper.dated(&mercy.service.store), entry)
            .unwrap()
            .wait()
            .unwrap();
        let receipts = mercy.receipts();
        assert!(receipts.len() >= before + 2, "{by_ms}: {}", receipts.len());
        for signed in &receipts {
            let at = signed.receipt.at;
            assert!((start..=start.plus(1_000)).contains(&at), "{by_ms}: {at:?}");
        }
        let now = LocalTime(mercy.now());
        mercy.service.records.mailboxes.deposit(&secret("ana").public(), &TOKEN, &[0; 1024], nowhere(), now).unwrap();
        mercy.service.records.pickups.secret(TicketHash::of(&ticket), secret("ana").public(), now).unwrap();
    }
}

/// A code that had ended opened again: its time was judged by the wall clock as it stood.
#[test]
fn a_pickup_that_has_ended_does_not_open_when_the_clock_is_set_back() {
    let mercy = Hospital::new();
    let start = mercy.now();
    let counter = RelayCounter {
        member: Arc::clone(&mercy.service.member),
        pickups: Arc::clone(&mercy.service.records.pickups),
        archive: Arc::clone(&mercy.service.images.archive),
        submission: Arc::clone(&mercy.service.submission),
        recoveries: Arc::clone(&mercy.service.records.recoveries),
        claiming: Mutex::default(),
    };
    let (ticket, ana) = (Ticket([2; 32]), secret("ana").public());
    let issue = Issue {
        visit: Visit::Study(mercy.study),
        question: Question::Pin,
        answer: "4711",
        expires: start.plus(HOUR_MS),
    };
    mercy.service.records.pickups.issue(&ticket, issue, LocalTime(start)).unwrap();
    let asked = || counter.secret(ana, TicketHash::of(&ticket)).map(drop);
    let opened = |knows| counter.open(ana, TicketHash::of(&ticket), knows).map(drop);
    // Before the others have said what time it is nothing is judged, and no wrong answer counted.
    for _ in 0..10 {
        assert_eq!((asked(), opened(false)), (Err(Denied::NotNow), Err(Denied::NotNow)));
    }
    mercy.confirm(1, start);
    assert_eq!(asked(), Ok(()));
    assert_eq!(opened(false), Err(Denied::WrongAnswer { left: 4 }));
    mercy.wait(HOUR_MS + 1_000);
    mercy.confirm(2, start.plus(HOUR_MS + 1_000));
    assert_eq!((asked(), opened(true)), (Err(Denied::NoPickup), Err(Denied::NoPickup)));
    mercy.set(-2 * HOUR_MS as i64);
    assert_eq!((asked(), opened(true)), (Err(Denied::NotNow), Err(Denied::NotNow)));
    mercy.confirm(3, start.plus(HOUR_MS + 1_000));
    assert_eq!((asked(), opened(true)), (Err(Denied::NoPickup), Err(Denied::NoPickup)));
}
