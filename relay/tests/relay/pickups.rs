//! Pickups: five wrong tries and no sixth, whoever tries, however often, however many at once.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_network::pickup::{Question, Ticket};
use clavicle_relay::store::pickups::{
    Issue, IssueError, KEPT_MS, MAX_WRONG, PickupRefused, Pickups, State, TicketHash, Told, Visit,
};

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
        let pickups = Some(Pickups::open(&path).unwrap());
        Self { _folder: folder, path, pickups }
    }

    fn reopen(&mut self) {
        self.pickups = None;
        self.pickups = Some(Pickups::open(&self.path).unwrap());
    }

    fn get(&self) -> &Pickups {
        self.pickups.as_ref().unwrap()
    }

    fn issue(&self, n: u8, visit: Visit, question: Question, answer: &str) -> Result<usize, IssueError> {
        let issue = Issue { visit, question, answer, expires: later(HOUR).0 };
        self.get().issue(&ticket(n), issue, [!n; 32], NOW)
    }

    fn pin(&self, n: u8, answer: &str) {
        self.issue(n, accession(&format!("A{n}")), Question::Pin, answer).unwrap();
    }

    fn answer(&self, n: u8, answer: &str, remote: &str) -> Result<Visit, PickupRefused> {
        self.get().answer(&ticket(n), answer, phone(remote), NOW)
    }

    fn state(&self, n: u8, now: LocalTime) -> (State, u8) {
        let listed = self.get().list(now).unwrap();
        let one = listed.iter().find(|one| one.ticket == TicketHash::of(&ticket(n))).unwrap();
        (one.state, one.wrong)
    }
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
            let guesses = (0..10).map(|n| desk.answer(1, &format!("{:04}", thread * 10 + n), &thread.to_string()));
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
    let pickups = Pickups::open(path.as_ref()).unwrap();
    for guess in 0..100 {
        let answer = pickups.answer(&ticket(1), &format!("{guess:04}"), phone("eve"), NOW);
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
    assert!(matches!(desk.get().issue(&ticket(1), over, [1; 32], NOW), Err(IssueError::Over)));
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
    let answer = |desk: &Desk, n: u8, at| desk.get().answer(&ticket(n), "4711", phone("ana"), at);
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
    let file = std::fs::read(&desk.path).unwrap();
    let holds = |bytes: &[u8]| file.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(TicketHash::of(&ticket(0xab)).as_bytes()));
    assert!(!holds(&ticket(0xab).0) && !holds(b"the-answer-4711"));
}
