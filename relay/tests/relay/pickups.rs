//! Pickups: five wrong tries and no sixth, whoever tries, however often, however many at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use borsh::{BorshDeserialize, BorshSerialize};

use clavicle_ledger::encoding::{self, Text, Wire};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{BlockTime, LocalTime, Timestamp};
use clavicle_letters::pickup::{Question, Ticket};
use clavicle_network::pickup::Secret;
use clavicle_relay::keys::{Keys, desk_key};
use clavicle_relay::store::pickups::{
    Claimant, Issue, IssueError, KEPT_MS, MAX_WRONG, PickupRefused, Pickups, SealingKey, State, TicketHash, Told, Visit,
};
use redb::{Database, TableDefinition};
use zeroize::Zeroizing;

use crate::chain::secret;

const NOW: LocalTime = LocalTime(Timestamp(1_795_262_400_000));
const HOUR: u64 = 3_600_000;

fn later(ms: u64) -> LocalTime {
    LocalTime(NOW.0.plus(ms))
}

fn ticket(n: u8) -> Ticket {
    Ticket([n; 32])
}

fn phone(word: &str) -> Key {
    secret(word).public()
}

fn accession(number: &str) -> Visit {
    Visit::Accession(Text::new(number).unwrap())
}

fn hash(n: u8) -> TicketHash {
    TicketHash::of(&ticket(n))
}

fn key(n: u8) -> SealingKey {
    SealingKey::from_bytes(Zeroizing::new([n; 32]))
}

fn open(path: &Path) -> Pickups {
    Pickups::open(path, key(1)).unwrap()
}

/// What whoever has a ticket and an answer knows. It is slow to make, and made once.
fn known(n: u8, question: Question, answer: &str) -> Secret {
    static MADE: Mutex<BTreeMap<(u8, bool, String), Secret>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    let place = (n, question == Question::Pin, answer.to_owned());
    made.entry(place).or_insert_with(|| Secret::of(&ticket(n), question, answer)).clone()
}

/// A store in a folder of its own, which can be opened again.
struct Desk {
    _folder: tempfile::TempDir,
    path: PathBuf,
    pickups: Option<Pickups>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pickups.redb");
        let pickups = Some(open(&path));
        Self { _folder: folder, path, pickups }
    }

    fn reopen(&mut self) {
        self.pickups = None;
        self.pickups = Some(open(&self.path));
    }

    fn get(&self) -> &Pickups {
        self.pickups.as_ref().unwrap()
    }

    fn issue(&self, n: u8, visit: Visit, question: Question, answer: &str) -> Result<usize, IssueError> {
        let issue = Issue { visit, question, answer, expires: later(HOUR).0 };
        self.get().issue(&ticket(n), issue, NOW)
    }

    fn pin(&self, n: u8, answer: &str) {
        self.issue(n, accession(&format!("A{n}")), Question::Pin, answer).unwrap();
    }

    fn answer(&self, n: u8, answer: &str, remote: &str) -> Result<Visit, PickupRefused> {
        self.answer_at(n, answer, remote, NOW)
    }

    /// As when a wallet has shown what it knows.
    fn answer_at(&self, n: u8, answer: &str, remote: &str, now: LocalTime) -> Result<Visit, PickupRefused> {
        let kept = self.get().secret(hash(n), phone(remote), now)?;
        let listed = self.get().list(now).unwrap();
        let question = listed.iter().find(|one| one.ticket == hash(n)).unwrap().question;
        self.get().judge(hash(n), kept == known(n, question, answer), phone(remote), now)
    }

    fn state(&self, n: u8, now: LocalTime) -> (State, u8) {
        let listed = self.get().list(now).unwrap();
        let one = listed.iter().find(|one| one.ticket == hash(n)).unwrap();
        (one.state, one.wrong)
    }
}

#[test]
fn a_code_is_void_whoever_claimed_it_once_a_study_of_its_visit_was_reissued() {
    let mut desk = Desk::new();
    for n in 1..=4 {
        desk.pin(n, "4711");
    }
    desk.answer(1, "4711", "wrong").unwrap();
    // The first is claimed, the second open, the third over; the fourth is another visit's.
    let is_for = |visit: &Visit| [1, 2, 3].iter().any(|n| *visit == accession(&format!("A{n}")));
    for _ in 0..MAX_WRONG {
        desk.answer(3, "0000", "eve").unwrap_err();
    }
    assert_eq!(desk.get().void(is_for, NOW).unwrap(), 2);
    desk.reopen();
    assert_eq!(desk.state(1, NOW).0, State::Void);
    for (n, remote) in [(1, "wrong"), (1, "ana"), (2, "ana")] {
        assert!(matches!(desk.answer(n, "4711", remote), Err(PickupRefused::Void)), "{n} {remote}");
    }
    assert_eq!(desk.answer(4, "4711", "ana").unwrap(), accession("A4"));
    assert_eq!(desk.get().void(is_for, NOW).unwrap(), 0, "once");
}

#[test]
fn the_first_right_answer_opens_the_visit_and_binds_it_to_its_phone() {
    let mut desk = Desk::new();
    desk.pin(1, "4711");
    assert_eq!(desk.state(1, NOW), (State::Open, 0));
    assert_eq!(desk.answer(1, " 4711\n", "ana").unwrap(), accession("A1"));
    // The same phone after a crash, of this relay or its own, as often as it wants.
    for _ in 0..MAX_WRONG + 3 {
        desk.reopen();
        assert_eq!(desk.answer(1, "4711", "ana").unwrap(), accession("A1"));
    }
    // Nobody else, and nobody else can kill it.
    for _ in 0..MAX_WRONG + 3 {
        let other = desk.answer(1, "4711", "eve").unwrap_err();
        assert!(matches!(other, PickupRefused::OtherKey) && other.told() == Told::Refused);
        assert!(matches!(desk.answer(1, "0000", "eve"), Err(PickupRefused::OtherKey)));
    }
    assert_eq!(desk.state(1, NOW), (State::Claimed(phone("ana")), 0));
    assert!(matches!(desk.answer(1, "0000", "ana"), Err(PickupRefused::Wrong { left: 4 })));
    assert_eq!(desk.state(1, NOW), (State::Claimed(phone("ana")), 1));
    desk.answer(1, "4711", "ana").unwrap();
    assert_eq!(desk.state(1, NOW), (State::Claimed(phone("ana")), 0));
}

#[test]
fn after_five_wrong_answers_the_ticket_is_dead_for_the_right_one_too() {
    let mut desk = Desk::new();
    desk.pin(1, "4711");
    desk.pin(2, "4711");
    for wrong in 1..=MAX_WRONG {
        desk.reopen();
        // From another phone each time: it is the ticket that has tries.
        let refused = desk.answer(1, "0000", &wrong.to_string()).unwrap_err();
        let left = MAX_WRONG - wrong;
        assert!(matches!(refused, PickupRefused::Wrong { left: told } if told == left));
        assert_eq!(refused.told(), if left > 0 { Told::WrongAnswer(left) } else { Told::Refused });
    }
    desk.reopen();
    let dead = desk.answer(1, "4711", "ana").unwrap_err();
    assert!(matches!(dead, PickupRefused::Dead) && dead.told() == Told::Refused);
    assert_eq!(desk.state(1, NOW), (State::Dead, MAX_WRONG));
    // Four wrong ones and a right one are fine, and count no more.
    for _ in 1..MAX_WRONG {
        desk.answer(2, "0000", "ana").unwrap_err();
    }
    desk.answer(2, "4711", "ana").unwrap();
    assert_eq!(desk.state(2, NOW), (State::Claimed(phone("ana")), 0));
}

#[test]
fn many_at_once_have_five_tries_together() {
    let desk = Desk::new();
    desk.pin(1, "4711");
    let judged: usize = std::thread::scope(|scope| {
        let guess = |thread: usize| {
            // Each has the secret, as a run has, before any of them is judged.
            let secrets = (0..10).filter_map(|_| desk.get().secret(hash(1), phone(&thread.to_string()), NOW).ok());
            let secrets = secrets.collect::<Vec<_>>();
            let guesses = secrets.iter().map(|_| desk.get().judge(hash(1), false, phone(&thread.to_string()), NOW));
            guesses.filter(|answer| matches!(answer, Err(PickupRefused::Wrong { .. }))).count()
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || guess(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(judged, usize::from(MAX_WRONG));
    assert_eq!(desk.state(1, NOW), (State::Dead, MAX_WRONG));
}

#[test]
fn of_many_right_answers_at_once_one_phone_gets_it() {
    let desk = Desk::new();
    desk.pin(1, "4711");
    let got: Vec<bool> = std::thread::scope(|scope| {
        let answer = |thread: usize| desk.answer(1, "4711", &thread.to_string()).is_ok();
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || answer(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winner = got.iter().position(|got| *got).unwrap();
    assert_eq!(got.iter().filter(|got| **got).count(), 1);
    assert_eq!(desk.state(1, NOW), (State::Claimed(phone(&winner.to_string())), 0));
}

/// Not a test of its own: the process that the next test kills. It guesses and says what it was told, until it is killed.
#[test]
fn killed_child_guesses() {
    let Some(path) = std::env::var_os("CLAVICLE_TEST_PICKUPS") else { return };
    let pickups = open(path.as_ref());
    for _ in 0..100 {
        let answer = pickups.judge(hash(1), false, phone("eve"), NOW);
        println!("\ntold {:?}", answer.unwrap_err());
    }
}

#[test]
fn a_relay_killed_after_every_guess_gives_no_sixth_try() {
    use std::io::{BufRead as _, BufReader};
    let mut desk = Desk::new();
    desk.pin(1, "4711");
    desk.pickups = None;
    let mut judged = 0;
    for _ in 0..MAX_WRONG + 2 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "pickups::killed_child_guesses", "--nocapture"])
            .env("CLAVICLE_TEST_PICKUPS", &desk.path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.into_iter().find_map(|line| line.strip_prefix("told ").map(str::to_owned)).unwrap();
        judged += u8::from(told.starts_with("Wrong"));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // What was counted and not told before the kill makes it fewer, never more.
    assert!((1..=MAX_WRONG).contains(&judged), "{judged}");
    desk.reopen();
    assert!(matches!(desk.answer(1, "4711", "ana"), Err(PickupRefused::Dead)));
}

#[test]
fn issuing_again_voids_what_nobody_has_claimed() {
    let mut desk = Desk::new();
    let (visit, other) = (accession("A1"), Visit::Patient(Text::new("A1").unwrap()));
    assert_eq!(desk.issue(1, visit.clone(), Question::Pin, "4711").unwrap(), 0);
    assert_eq!(desk.issue(2, other.clone(), Question::Pin, "4711").unwrap(), 0);
    assert_eq!(desk.issue(3, visit.clone(), Question::Pin, "1174").unwrap(), 1);
    desk.reopen();
    let void = desk.answer(1, "4711", "ana").unwrap_err();
    assert!(matches!(void, PickupRefused::Void) && void.told() == Told::Refused);
    assert_eq!(desk.answer(2, "4711", "ana").unwrap(), other);
    assert_eq!(desk.answer(3, "1174", "ana").unwrap(), visit);
    // What was claimed stays its phone's; the dead and the void count no more.
    assert_eq!(desk.issue(4, visit.clone(), Question::Pin, "0815").unwrap(), 0);
    assert_eq!(desk.answer(3, "1174", "ana").unwrap(), visit);
    assert_eq!(desk.answer(4, "0815", "ben").unwrap(), visit);
    let states: Vec<State> = (1..=4).map(|n| desk.state(n, NOW).0).collect();
    let claimed = |by: &str| State::Claimed(phone(by));
    assert_eq!(states, [State::Void, claimed("ana"), claimed("ana"), claimed("ben")]);
    let study = Visit::Study(StudyId::from_bytes([1; 32]));
    assert_eq!(desk.issue(5, study.clone(), Question::Pin, "4711").unwrap(), 0);
    assert_eq!(desk.answer(5, "4711", "ana").unwrap(), study);
    // The longest there is.
    let (longest, pin) = (accession(&"A".repeat(256)), "1".repeat(64));
    desk.issue(6, longest.clone(), Question::Pin, &pin).unwrap();
    assert_eq!(desk.answer(6, &pin, "ana").unwrap(), longest);
    assert_eq!(desk.issue(7, longest, Question::Pin, "4711").unwrap(), 0);
}

#[test]
fn a_date_of_birth_is_year_month_day_however_it_is_written() {
    let desk = Desk::new();
    desk.issue(1, accession("A1"), Question::BirthDate, "1953-01-17").unwrap();
    for written in ["19530117", "1953-01-17", "1953.01.17", "1953/01/17", " 1953 01 17 "] {
        assert_eq!(desk.answer(1, written, "ana").unwrap(), accession("A1"), "{written}");
    }
    for written in ["17.01.1953", "1953-17-01", "", "1953-1-17", "19530118"] {
        assert!(matches!(desk.answer(1, written, "ana"), Err(PickupRefused::Wrong { left: 4 })), "{written}");
        desk.answer(1, "19530117", "ana").unwrap();
    }
    // In a PIN every character counts.
    desk.issue(2, accession("A2"), Question::Pin, "47-11").unwrap();
    assert!(matches!(desk.answer(2, "4711", "ana"), Err(PickupRefused::Wrong { left: 4 })));
    assert!(desk.answer(2, "47-11", "ana").is_ok());
}

#[test]
fn what_makes_no_good_pickup_is_not_issued() {
    let desk = Desk::new();
    for pin in ["", "471", "  471  ", &"1".repeat(65)] {
        assert!(matches!(desk.issue(1, accession("A1"), Question::Pin, pin), Err(IssueError::Pin)), "{pin}");
    }
    for date in ["", "17.01.1953", "1953-01", "1953-13-01", "1953-01-32", "1953-01-00", "195301170", "1953011é"] {
        let issued = desk.issue(1, accession("A1"), Question::BirthDate, date);
        assert!(matches!(issued, Err(IssueError::BirthDate)), "{date}");
    }
    let over = Issue { visit: accession("A1"), question: Question::Pin, answer: "4711", expires: NOW.0 };
    assert!(matches!(desk.get().issue(&ticket(1), over, NOW), Err(IssueError::Over)));
    assert!(desk.get().list(NOW).unwrap().is_empty());
    desk.pin(1, "4711");
    let twice = desk.issue(1, accession("A9"), Question::Pin, "4711");
    assert!(matches!(twice, Err(IssueError::Twice)));
    let unknown = desk.answer(9, "4711", "ana").unwrap_err();
    assert!(matches!(unknown, PickupRefused::Unknown) && unknown.told() == Told::Refused);
}

#[test]
fn a_pickup_expires_for_everybody_and_is_swept_a_month_later() {
    let mut desk = Desk::new();
    desk.pin(1, "4711");
    desk.pin(2, "4711");
    desk.answer(1, "4711", "ana").unwrap();
    let answer = |desk: &Desk, n: u8, at| desk.answer_at(n, "4711", "ana", at);
    assert!(answer(&desk, 1, later(HOUR - 1)).is_ok());
    for n in [1, 2] {
        let expired = answer(&desk, n, later(HOUR)).unwrap_err();
        assert!(matches!(expired, PickupRefused::Expired) && expired.told() == Told::Refused);
    }
    assert_eq!(desk.state(1, later(HOUR)).0, State::Claimed(phone("ana")));
    assert_eq!(desk.state(2, later(HOUR)).0, State::Expired);
    assert_eq!(desk.get().sweep(later(HOUR + KEPT_MS)).unwrap(), 0);
    assert_eq!(desk.get().sweep(later(HOUR + KEPT_MS + 1)).unwrap(), 2);
    desk.reopen();
    assert!(desk.get().list(NOW).unwrap().is_empty());
    assert!(matches!(desk.answer(1, "4711", "ana"), Err(PickupRefused::Unknown)));
    // The visit can be issued again as if nothing had been.
    desk.pin(3, "4711");
    assert_eq!(desk.issue(4, accession("A3"), Question::Pin, "4711").unwrap(), 1);
}

#[test]
fn neither_ticket_nor_answer_nor_patient_is_in_what_is_shown_and_the_ticket_not_in_the_file() {
    let mut desk = Desk::new();
    let visit = Visit::Patient(Text::new("MRN-77").unwrap());
    desk.issue(0xab, visit, Question::Pin, "the-answer-4711").unwrap();
    assert!(!format!("{:?}", desk.get().list(NOW).unwrap()).contains("MRN"));
    desk.pickups = None;
    let file = fs::read(&desk.path).unwrap();
    let holds = |bytes: &[u8]| file.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(hash(0xab).as_bytes()));
    assert!(!holds(&ticket(0xab).0) && !holds(b"the-answer-4711"));
}

/// Whether any 64 bytes of a file are a key and the keyed hash of this answer under it: how an answer was kept once, and found by whoever read it.
fn tells_quickly(file: &[u8], answer: &str) -> bool {
    let is = |at: &[u8]| {
        let (key, hash) = at.split_first_chunk::<32>().unwrap();
        blake3::keyed_hash(key, answer.as_bytes()).as_bytes() == hash
    };
    file.windows(64).any(is)
}

#[test]
fn whoever_copies_the_file_can_search_it_for_no_pin() {
    let mut desk = Desk::new();
    desk.pin(1, "4711");
    desk.answer(1, "4711", "ana").unwrap();
    desk.pickups = None;
    let file = fs::read(&desk.path).unwrap();
    assert!(!tells_quickly(&file, "4711"));
    // Not even with the ticket from the paper, and with the right PIN at the first try: nothing in the file tells that it is right.
    let secret = known(1, Question::Pin, "4711");
    let made_of_it = [*secret.as_bytes(), *blake3::hash(secret.as_bytes()).as_bytes()];
    assert!(!made_of_it.iter().any(|made| file.windows(32).any(|window| window == made)));
    // Nor does it open without the key that lies elsewhere.
    let copied = Pickups::open(&desk.path, key(2)).unwrap();
    let refused = copied.secret(hash(1), phone("ana"), NOW).unwrap_err();
    assert!(matches!(refused, PickupRefused::Sealed) && refused.told() == Told::Refused);
}

/// A pickup as earlier versions kept it.
#[derive(BorshSerialize, BorshDeserialize)]
struct Earlier {
    visit: Visit,
    question: Question,
    times: [Timestamp; 2],
    key_and_hash: [[u8; 32]; 2],
    wrong: u8,
    void: bool,
    bound: Option<Key>,
}

impl Wire for Earlier {
    const NAME: &'static str = "a pickup";
    const MAX_LEN: usize = 512;
}

#[test]
fn what_an_earlier_version_gave_out_is_listed_opens_nothing_and_is_searchable_no_more() {
    const PICKUPS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("pickups_v1");
    const VISITS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), ()> = TableDefinition::new("visits_v1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pickups.redb");
    let key = [3; 32];
    let row = Earlier {
        visit: accession("A1"),
        question: Question::Pin,
        times: [NOW.0, later(HOUR).0],
        key_and_hash: [key, *blake3::keyed_hash(&key, b"4711").as_bytes()],
        wrong: 2,
        void: false,
        bound: None,
    };
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(PICKUPS).unwrap().insert(hash(1).as_bytes(), encoding::encode(&row).as_slice()).unwrap();
    let place = blake3::hash(&encoding::encode(&row.visit));
    transaction.open_table(VISITS).unwrap().insert((place.as_bytes(), hash(1).as_bytes()), ()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(tells_quickly(&fs::read(&path).unwrap(), "4711"));

    let pickups = open(&path);
    let listed = pickups.list(NOW).unwrap();
    assert_eq!((listed[0].state, listed[0].wrong, &listed[0].visit), (State::Outdated, 2, &accession("A1")));
    for refused in [
        pickups.secret(hash(1), phone("ana"), NOW).map(drop).unwrap_err(),
        pickups.judge(hash(1), true, phone("ana"), NOW).map(drop).unwrap_err(),
    ] {
        assert!(matches!(refused, PickupRefused::Outdated) && refused.told() == Told::Refused);
    }
    // The desk gives out another for the same visit, and nothing has to be told of the earlier one.
    let issue = Issue { visit: accession("A1"), question: Question::Pin, answer: "4711", expires: later(HOUR).0 };
    assert_eq!(pickups.issue(&ticket(2), issue, NOW).unwrap(), 0);
    assert!(pickups.secret(hash(2), phone("ana"), NOW).is_ok());
    drop(pickups);
    assert!(!tells_quickly(&fs::read(&path).unwrap(), "4711"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_key_of_the_desk_is_made_once_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    Keys::create(&keys).unwrap();
    let path = keys.join("desk");
    let made = fs::read(&path).unwrap();
    desk_key(&keys).unwrap();
    assert_eq!(fs::read(&path).unwrap(), made);
    // A folder of an earlier version has none.
    fs::remove_file(&path).unwrap();
    std::thread::scope(|scope| {
        let made: Vec<_> = (0..4).map(|_| scope.spawn(|| desk_key(&keys).map(drop))).collect();
        made.into_iter().for_each(|made| made.join().unwrap().unwrap());
    });
    assert_ne!(fs::read(&path).unwrap(), made);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&keys).unwrap().count(), 7);
}

#[test]
fn a_study_is_one_endpoints_from_its_first_claim_until_nothing_can_come_of_it() {
    let desk = Desk::new();
    let (study, at) = (StudyId::from_bytes([1; 32]), |ms| BlockTime(later(ms).0));
    let pickups = desk.get();
    let claim = |by: &str, until, now| pickups.claim(study, phone(by), later(until).0, at(now)).unwrap();
    assert_eq!(pickups.claimant(study).unwrap(), None);
    assert!(claim("ana", HOUR, 0) && !claim("eve", 2 * HOUR, 0));
    // Once more, and for longer; never for less.
    assert!(claim("ana", 3 * HOUR, HOUR) && claim("ana", HOUR, HOUR));
    assert!(!claim("eve", 9 * HOUR, 3 * HOUR));
    let claimed = Claimant { key: phone("ana"), until: later(3 * HOUR).0 };
    assert_eq!(pickups.claimant(study).unwrap(), Some(claimed));
    pickups.release(study, phone("eve")).unwrap();
    assert_eq!(pickups.claimant(study).unwrap(), Some(claimed));
    assert!(claim("eve", 9 * HOUR, 3 * HOUR + 1));
    pickups.release(study, phone("eve")).unwrap();
    assert_eq!(pickups.claimant(study).unwrap(), None);
    assert!(claim("ana", HOUR, 0));
    pickups.sweep(later(HOUR + KEPT_MS)).unwrap();
    assert!(pickups.claimant(study).unwrap().is_some());
    pickups.sweep(later(HOUR + KEPT_MS + 1)).unwrap();
    assert_eq!(pickups.claimant(study).unwrap(), None);
}
