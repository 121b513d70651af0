//! Mailboxes: what was taken in is there until it is acknowledged, never more than there is room for, and nobody has all of it.

use std::net::IpAddr;
use std::path::PathBuf;

use clavicle_admission::Neighbourhood;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_letters::mailbox::Token;
use clavicle_network::message::{
    Acknowledged, Collection, MAX_COLLECTED, MAX_DEPOSITS, MailboxRefusal, Opening, SignedOpening,
};
use clavicle_network::work::{PERIOD_MS, Price, Purpose, Task, Work};
use clavicle_relay::store::mailboxes::{
    KeptBy, LONGEST_MS, Limits, MAX_BOX_BYTES, MAX_SWEPT, MailboxError, Mailboxes, ROOM_OF_EACH,
};
use redb::{Database, TableDefinition};

use crate::chain::secret;

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const RELAY: SourceId = SourceId::from_bytes([2; 32]);
const NOW: LocalTime = LocalTime(Timestamp(1_795_262_400_000));
const TOKEN: Token = Token([3; 16]);
const HOUR: u64 = 3_600_000;
const USUAL: Limits = Limits { bytes: 64 * 1024 * 1024, effort: 1 };

fn later(ms: u64) -> LocalTime {
    LocalTime(NOW.0.plus(ms))
}

fn from(n: u8) -> Neighbourhood {
    Neighbourhood::of(IpAddr::from([192, 0, 2, n]))
}

fn by() -> KeptBy {
    KeptBy { chain: CHAIN, relay: RELAY, relay_peer: secret("relay").public() }
}

/// A store in a folder of its own, which can be opened again.
struct Shelf {
    _folder: tempfile::TempDir,
    path: PathBuf,
    limits: Limits,
    mailboxes: Option<Mailboxes>,
}

impl Shelf {
    fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mailboxes.redb");
        let mailboxes = Some(Mailboxes::open(&path, limits).unwrap());
        Self { _folder: folder, path, limits, mailboxes }
    }

    fn reopen(&mut self) {
        self.mailboxes = None;
        self.mailboxes = Some(Mailboxes::open(&self.path, self.limits).unwrap());
    }

    fn get(&self) -> &Mailboxes {
        self.mailboxes.as_ref().unwrap()
    }

    fn open(&self, word: &str, until: LocalTime) -> Result<(), MailboxError> {
        self.open_from(word, until, from(1), NOW)
    }

    fn open_from(&self, word: &str, until: LocalTime, from: Neighbourhood, now: LocalTime) -> Result<(), MailboxError> {
        self.pay(&opening(&secret(word), TOKEN, until), from, now)
    }

    /// Opens a mailbox for what it costs.
    fn pay(&self, signed: &SignedOpening, from: Neighbourhood, now: LocalTime) -> Result<(), MailboxError> {
        match self.get().open_box(signed, None, &by(), from, now) {
            Err(MailboxError::Price(price)) => {
                let work = done(&purpose(signed), price);
                self.get().open_box(signed, Some(&work), &by(), from, now)
            }
            answered => answered,
        }
    }

    fn deposit(&self, word: &str, sealed: &[u8]) -> Result<(), MailboxError> {
        self.deposit_from(word, sealed, from(2))
    }

    fn deposit_from(&self, word: &str, sealed: &[u8], from: Neighbourhood) -> Result<(), MailboxError> {
        self.get().deposit(&secret(word).public(), &TOKEN, sealed, from, NOW)
    }

    /// Acknowledges and collects.
    fn collect(&self, word: &str, acknowledged: &[Vec<u8>], now: LocalTime) -> Result<Vec<Vec<u8>>, MailboxError> {
        let digests = acknowledged.iter().map(|sealed| Acknowledged(*blake3::hash(sealed).as_bytes())).collect();
        let (mailbox, peer) = (secret(word).public(), secret("peer").public());
        let collection = Collection {
            relay: RELAY,
            relay_peer: peer,
            own_peer: peer,
            challenge: [0; 32],
            mailbox,
            acknowledged: Ascending::from_items(digests).unwrap(),
        };
        let messages = self.get().collect(&collection, now)?.into_vec();
        Ok(messages.into_iter().map(|sealed| sealed.into_vec()).collect())
    }
}

fn opening(key: &SecretKey, token: Token, until: LocalTime) -> SignedOpening {
    Opening { relay: RELAY, mailbox: key.public(), token, until: until.0 }.sign(&CHAIN, key)
}

fn purpose(signed: &SignedOpening) -> Purpose {
    let KeptBy { chain, relay, relay_peer } = by();
    Purpose { chain, relay, relay_peer, mailbox: signed.opening.mailbox }
}

fn done(purpose: &Purpose, price: Price) -> Work {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).unwrap();
    let mut task = Task::new(purpose, price, salt);
    while task.finished().is_none() {
        task.go_on(|| true);
    }
    task.finished().unwrap().clone()
}

/// A message of `kib` KiB that is like no other.
fn message(number: usize, kib: usize) -> Vec<u8> {
    let mut sealed = vec![0; kib * 1024];
    sealed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    sealed
}

fn refusal(result: Result<impl Sized, MailboxError>) -> MailboxRefusal {
    match result {
        Ok(_) => panic!("done, and should have been refused"),
        Err(error) => error.refusal().unwrap(),
    }
}

#[test]
fn messages_come_oldest_first_and_stay_until_they_are_acknowledged() {
    let mut shelf = Shelf::new(USUAL);
    shelf.open("ana", later(HOUR)).unwrap();
    let sent: Vec<_> = (0..MAX_COLLECTED + 4).map(|number| message(number, 1)).collect();
    for sealed in &sent {
        shelf.deposit("ana", sealed).unwrap();
        // Whoever got no answer tries again.
        shelf.deposit("ana", sealed).unwrap();
    }
    shelf.reopen();
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap(), sent[..MAX_COLLECTED]);
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap(), sent[..MAX_COLLECTED]);
    // In any order, and with one that is not there.
    let arrived = [sent[2].clone(), sent[0].clone(), message(999, 1)];
    let left = shelf.collect("ana", &arrived, NOW).unwrap();
    assert_eq!((left.len(), &left[0], &left[1]), (MAX_COLLECTED, &sent[1], &sent[3]));
    shelf.reopen();
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap(), left);
    assert_eq!(shelf.collect("ana", &left, NOW).unwrap(), sent[MAX_COLLECTED + 2..]);
    assert_eq!(shelf.collect("ana", &sent[MAX_COLLECTED + 2..], NOW).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_response_of_the_longest_messages_fits_and_mailboxes_are_apart() {
    let shelf = Shelf::new(USUAL);
    for word in ["ana", "ben"] {
        shelf.open(word, later(HOUR)).unwrap();
    }
    for number in 0..MAX_COLLECTED {
        shelf.deposit_from("ana", &message(number, 64), from(number as u8)).unwrap();
    }
    shelf.deposit("ben", &message(0, 64)).unwrap();
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap().len(), MAX_COLLECTED);
    // Ben's acknowledgement of the same bytes is not Ana's.
    assert!(shelf.collect("ben", &[message(0, 64)], NOW).unwrap().is_empty());
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap().len(), MAX_COLLECTED);
}

#[test]
fn only_the_four_sizes_are_taken() {
    let shelf = Shelf::new(USUAL);
    shelf.open("ana", later(HOUR)).unwrap();
    for (number, kib) in [1, 4, 16, 64].into_iter().enumerate() {
        shelf.deposit("ana", &message(number, kib)).unwrap();
    }
    for len in [0, 1, 1023, 1025, 2048, 64 * 1024 + 1, 128 * 1024] {
        let odd = shelf.deposit("ana", &vec![0; len]);
        assert!(matches!(odd, Err(MailboxError::Size(given)) if given == len), "{len}");
    }
    assert_eq!(refusal(shelf.deposit("ana", &[0; 100])), MailboxRefusal::Full);
}

#[test]
fn a_mailbox_is_full_by_messages_and_by_bytes_and_has_room_again_when_they_are_acknowledged() {
    let shelf = Shelf::new(USUAL);
    for word in ["ana", "ben"] {
        shelf.open(word, later(HOUR)).unwrap();
    }
    for number in 0..MAX_DEPOSITS {
        shelf.deposit_from("ana", &message(number, 1), from(number as u8)).unwrap();
    }
    assert_eq!(refusal(shelf.deposit_from("ana", &message(MAX_DEPOSITS, 1), from(250))), MailboxRefusal::Full);
    // What is there is there, also when nothing more is.
    shelf.deposit("ana", &message(3, 1)).unwrap();
    shelf.collect("ana", &[message(3, 1)], NOW).unwrap();
    shelf.deposit_from("ana", &message(MAX_DEPOSITS, 1), from(250)).unwrap();

    let most = (MAX_BOX_BYTES / (64 * 1024)) as usize;
    for number in 0..most {
        shelf.deposit_from("ben", &message(number, 64), from(number as u8)).unwrap();
    }
    assert_eq!(refusal(shelf.deposit_from("ben", &message(most, 1), from(250))), MailboxRefusal::Full);
    shelf.collect("ben", &[message(0, 64)], NOW).unwrap();
    shelf.deposit_from("ben", &message(most, 1), from(250)).unwrap();
}

/// Room for so many mailboxes that have no more than their own.
fn room_for(boxes: u64) -> Limits {
    Limits { bytes: boxes * ROOM_OF_EACH, effort: 1 }
}

#[test]
fn a_relay_keeps_only_so_much_and_each_mailbox_has_its_own() {
    let mut shelf = Shelf::new(room_for(2));
    for (n, word) in ["ana", "ben"].into_iter().enumerate() {
        shelf.open_from(word, later(HOUR * (n as u64 + 1)), from(n as u8), NOW).unwrap();
        shelf.collect(word, &[], NOW).unwrap();
    }
    assert_eq!(refusal(shelf.open_from("eve", later(HOUR), from(3), NOW)), MailboxRefusal::Full);
    // Those that are there are changed, and have their room, and no more.
    shelf.open("ana", later(HOUR)).unwrap();
    for word in ["ana", "ben"] {
        (0..2).for_each(|number| shelf.deposit(word, &message(number, 16)).unwrap());
        assert_eq!(refusal(shelf.deposit(word, &message(2, 1))), MailboxRefusal::Full);
    }
    shelf.reopen();
    assert_eq!(refusal(shelf.deposit("ben", &message(2, 1))), MailboxRefusal::Full);
    assert_eq!(shelf.get().sweep(later(HOUR)).unwrap(), 1);
    shelf.deposit("ben", &message(2, 16)).unwrap();
    assert_eq!(refusal(shelf.open_from("eve", later(HOUR), from(3), NOW)), MailboxRefusal::Full);
    shelf.collect("ben", &[message(2, 16)], NOW).unwrap();
    shelf.open_from("ana", later(HOUR), from(3), NOW).unwrap();
    // Nothing of the old one is in the new one.
    assert!(shelf.collect("ana", &[], NOW).unwrap().is_empty());
    shelf.deposit("ana", &message(0, 16)).unwrap();
}

/// Two gibibytes were filled in 145 seconds, and the next honest letter was refused for a month.
#[test]
fn a_stranger_with_many_addresses_fills_no_relay() {
    let shelf = Shelf::new(Limits { bytes: 512 * ROOM_OF_EACH, effort: 1 });
    shelf.open_from("ana", later(HOUR), from(200), NOW).unwrap();
    shelf.collect("ana", &[], NOW).unwrap();
    shelf.deposit_from("ana", &message(0, 4), from(201)).unwrap();

    // From 16 addresses: as many mailboxes as can be, all of them collected from, each as full as can be.
    let (mut opened, mut bytes) = (0u64, 0u64);
    for n in 0..1_024u32 {
        let (word, first, other) = (format!("eve {n}"), from((n % 16) as u8), from((n % 15) as u8));
        if shelf.open_from(&word, later(LONGEST_MS), first, NOW).is_err() {
            continue;
        }
        shelf.collect(&word, &[], NOW).unwrap();
        opened += 1;
        for message in (0..16).map(|n| message(n, 64)) {
            let taken =
                shelf.deposit_from(&word, &message, first).or_else(|_| shelf.deposit_from(&word, &message, other));
            bytes += if taken.is_ok() { 64 * 1024 } else { 0 };
        }
    }
    println!("{opened} mailboxes with {bytes} bytes of {}", shelf.limits.bytes);
    assert!(bytes >= shelf.limits.bytes / 3, "the flood is none");

    // Somebody else opens one all the same, and a letter goes into it, and into the one that there was.
    shelf.open_from("ben", later(HOUR), from(202), NOW).unwrap();
    shelf.collect("ben", &[], NOW).unwrap();
    for word in ["ana", "ben"] {
        (1..8).for_each(|n| shelf.deposit_from(word, &message(n, 4), from(203)).unwrap());
    }
    // A hospital's many patients behind one address, too.
    (0..4).for_each(|n| shelf.open_from(&format!("carl {n}"), later(HOUR), from(204), NOW).unwrap());
    // And what was stored before is there.
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap()[0], message(0, 4));
}

#[test]
fn only_what_was_never_collected_from_is_pushed_out_the_oldest_first() {
    let shelf = Shelf::new(room_for(3));
    let now = |n: u64| later(n);
    shelf.open_from("ana", later(HOUR), from(1), now(0)).unwrap();
    shelf.collect("ana", &[], NOW).unwrap();
    shelf.deposit("ana", &message(0, 1)).unwrap();
    shelf.open_from("never 1", later(HOUR), from(2), now(1)).unwrap();
    shelf.open_from("never 2", later(HOUR), from(3), now(2)).unwrap();
    shelf.deposit("never 2", &message(0, 1)).unwrap();
    shelf.open_from("ben", later(HOUR), from(4), now(3)).unwrap();
    assert_eq!(refusal(shelf.collect("never 1", &[], NOW)), MailboxRefusal::NoMailbox);
    assert_eq!(shelf.collect("ben", &[], NOW).unwrap(), Vec::<Vec<u8>>::new());
    // A letter that needs more than its mailbox has for itself makes room as well, and never its own.
    (0..2).for_each(|n| shelf.deposit("ben", &message(n, 16)).unwrap());
    shelf.deposit_from("ben", &message(2, 1), from(9)).unwrap();
    assert_eq!(refusal(shelf.collect("never 2", &[], NOW)), MailboxRefusal::NoMailbox);
    assert_eq!(refusal(shelf.open_from("never 3", later(HOUR), from(5), now(4))), MailboxRefusal::Full);
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap(), [message(0, 1)]);
    assert_eq!(shelf.collect("ben", &[], NOW).unwrap().len(), 3);
}

/// Whoever was shown a card can write to its mailbox.
#[test]
fn whoever_knows_a_card_leaves_room_in_its_mailbox_for_others() {
    for kib in [1, 64] {
        let shelf = Shelf::new(USUAL);
        shelf.open("ana", later(HOUR)).unwrap();
        for n in 0..4 * MAX_DEPOSITS {
            shelf.deposit_from("ana", &message(n, kib), from((n % 2) as u8)).ok();
        }
        assert_eq!(refusal(shelf.deposit_from("ana", &message(999, kib), from(0))), MailboxRefusal::Share);
        for n in 2..5 {
            shelf.deposit_from("ana", &message(1_000 + n, 4), from(n as u8)).unwrap();
        }
        // When it is emptied everybody has all of it again.
        loop {
            let there = shelf.collect("ana", &[], NOW).unwrap();
            if there.is_empty() {
                break;
            }
            shelf.collect("ana", &there, NOW).unwrap();
        }
        (0..8).for_each(|n| shelf.deposit_from("ana", &message(2_000 + n, kib), from(0)).unwrap());
    }
}

#[test]
fn a_mailbox_and_each_later_end_have_their_price() {
    let shelf = Shelf::new(Limits { effort: 4_096, ..USUAL });
    let (ana, ben) = (opening(&secret("ana"), TOKEN, later(HOUR)), opening(&secret("ben"), TOKEN, later(HOUR)));
    let open =
        |signed: &SignedOpening, work: Option<&Work>, now| shelf.get().open_box(signed, work, &by(), from(1), now);
    let price = |opened: Result<(), MailboxError>| match opened {
        Err(MailboxError::Price(price)) => price,
        other => panic!("{other:?}"),
    };
    let asked = price(open(&ana, None, NOW));
    assert_eq!(asked, Price { effort: 4_096, period: NOW.0.0 / PERIOD_MS });
    let purpose = purpose(&ana);
    let key = secret("other").public();
    // Of another relay, another of its keys, another network, another mailbox, another time, and too little.
    for (purpose, price_) in [
        (Purpose { relay: SourceId::from_bytes([9; 32]), ..purpose }, asked),
        (Purpose { relay_peer: key, ..purpose }, asked),
        (Purpose { chain: ChainId::from_bytes([9; 32]), ..purpose }, asked),
        (Purpose { mailbox: ben.opening.mailbox, ..purpose }, asked),
        (purpose, Price { period: asked.period - 2, ..asked }),
        (purpose, Price { period: asked.period + 1, ..asked }),
        (purpose, Price { effort: 16, ..asked }),
    ] {
        assert_eq!(price(open(&ana, Some(&done(&purpose, price_)), NOW)), asked);
    }
    let work = done(&purpose, asked);
    // Two periods later it is of no use; in the next it still is.
    price(open(&ana, Some(&work), later(2 * PERIOD_MS)));
    open(&ana, Some(&work), later(PERIOD_MS)).unwrap();
    // What is as it was, or ends sooner, costs nothing. A later end costs as much, and work is spent once.
    open(&ana, None, NOW).unwrap();
    open(&opening(&secret("ana"), TOKEN, later(HOUR / 2)), None, NOW).unwrap();
    let longer = opening(&secret("ana"), TOKEN, later(2 * HOUR));
    price(open(&longer, None, NOW));
    price(open(&longer, Some(&work), NOW));
    open(&longer, Some(&done(&purpose, asked)), NOW).unwrap();
    // Nor is it any more when the mailbox is gone.
    assert_eq!(shelf.get().sweep(later(3 * HOUR)).unwrap(), 1);
    price(open(&ana, Some(&work), NOW));
    // Nobody has somebody else's work count for another signature.
    let mut forged = ana.clone();
    forged.opening.token = Token([9; 16]);
    assert_eq!(refusal(open(&forged, Some(&done(&purpose, asked)), NOW)), MailboxRefusal::Signature);
}

#[test]
fn the_fuller_a_relay_is_the_more_a_mailbox_costs() {
    let shelf = Shelf::new(room_for(16));
    let ask = |n: u8| {
        let signed = opening(&secret(&format!("{n}")), TOKEN, later(HOUR));
        match shelf.get().open_box(&signed, None, &by(), from(n), NOW) {
            Err(MailboxError::Price(price)) => price.effort,
            other => panic!("{other:?}"),
        }
    };
    let mut efforts = Vec::new();
    for n in 0..16 {
        efforts.push(ask(n));
        shelf.open_from(&format!("{n}"), later(HOUR), from(n), NOW).unwrap();
    }
    efforts.push(ask(16));
    assert_eq!(efforts, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 16]);
}

#[test]
fn mailboxes_of_before_are_kept_as_if_they_had_been_collected_from() {
    let mut shelf = Shelf::new(room_for(2));
    shelf.mailboxes = None;
    std::fs::remove_file(&shelf.path).unwrap();
    {
        // As it was written: token, end, messages, bytes, next number.
        let database = Database::create(&shelf.path).unwrap();
        let transaction = database.begin_write().unwrap();
        let key = secret("ana").public();
        let row = [&TOKEN.0[..], &later(HOUR).0.0.to_le_bytes(), &[0; 4], &[0; 8], &[0; 8]].concat();
        let boxes: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("boxes_v1");
        transaction.open_table(boxes).unwrap().insert(key.as_bytes(), row.as_slice()).unwrap();
        let ends: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("ends_v1");
        transaction.open_table(ends).unwrap().insert((later(HOUR).0.0, key.as_bytes()), ()).unwrap();
        let bytes: TableDefinition<'_, (), u64> = TableDefinition::new("bytes_v1");
        transaction.open_table(bytes).unwrap().insert((), 0).unwrap();
        transaction.commit().unwrap();
    }
    shelf.reopen();
    shelf.deposit("ana", &message(0, 1)).unwrap();
    for n in 2..6 {
        shelf.open_from(&format!("eve {n}"), later(HOUR), from(n), NOW).unwrap();
    }
    shelf.reopen();
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap(), [message(0, 1)]);
    assert_eq!(shelf.get().sweep(later(HOUR)).unwrap(), 2);
}

#[test]
fn without_its_token_a_mailbox_is_none_and_another_token_takes_its_place() {
    let shelf = Shelf::new(USUAL);
    assert_eq!(refusal(shelf.deposit("ana", &message(0, 1))), MailboxRefusal::NoMailbox);
    assert_eq!(refusal(shelf.collect("ana", &[], NOW)), MailboxRefusal::NoMailbox);
    shelf.open("ana", later(HOUR)).unwrap();
    shelf.deposit("ana", &message(0, 1)).unwrap();
    let (ana, other) = (secret("ana"), Token([4; 16]));
    let given = shelf.get().deposit(&ana.public(), &other, &message(1, 1), from(2), NOW);
    assert_eq!(refusal(given), MailboxRefusal::NoMailbox);
    shelf.pay(&opening(&ana, other, later(HOUR)), from(1), NOW).unwrap();
    assert_eq!(refusal(shelf.deposit("ana", &message(1, 1))), MailboxRefusal::NoMailbox);
    shelf.get().deposit(&ana.public(), &other, &message(1, 1), from(2), NOW).unwrap();
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap(), [message(0, 1), message(1, 1)]);
}

#[test]
fn an_opening_is_signed_for_this_relay_and_ends_in_a_month_at_most() {
    let shelf = Shelf::new(USUAL);
    let ana = secret("ana");
    let refused = |signed: &SignedOpening| refusal(shelf.pay(signed, from(1), NOW));
    let mut forged = opening(&ana, TOKEN, later(HOUR));
    forged.opening.token = Token([4; 16]);
    assert_eq!(refused(&forged), MailboxRefusal::Signature);
    let elsewhere = Opening { relay: SourceId::from_bytes([9; 32]), ..opening(&ana, TOKEN, later(HOUR)).opening };
    assert_eq!(refused(&elsewhere.sign(&CHAIN, &ana)), MailboxRefusal::Signature);
    let other_chain = opening(&ana, TOKEN, later(HOUR)).opening.sign(&ChainId::from_bytes([9; 32]), &ana);
    assert_eq!(refused(&other_chain), MailboxRefusal::Signature);
    assert_eq!(refused(&opening(&ana, TOKEN, NOW)), MailboxRefusal::Signature);
    assert_eq!(refused(&opening(&ana, TOKEN, later(LONGEST_MS + HOUR))), MailboxRefusal::Signature);
    assert_eq!(refusal(shelf.collect("ana", &[], NOW)), MailboxRefusal::NoMailbox);
    shelf.open("ana", later(LONGEST_MS)).unwrap();
}

#[test]
fn a_mailbox_ends_when_it_said_unless_it_was_opened_again() {
    let shelf = Shelf::new(USUAL);
    for word in ["ana", "ben"] {
        shelf.open(word, later(HOUR)).unwrap();
        shelf.deposit(word, &message(0, 1)).unwrap();
    }
    shelf.open("ben", later(2 * HOUR)).unwrap();
    assert_eq!(shelf.collect("ana", &[], later(HOUR - 1)).unwrap().len(), 1);
    assert_eq!(refusal(shelf.collect("ana", &[], later(HOUR))), MailboxRefusal::NoMailbox);
    let (ana, late) = (secret("ana").public(), later(HOUR));
    let given = shelf.get().deposit(&ana, &TOKEN, &message(1, 1), from(2), late);
    assert_eq!(refusal(given), MailboxRefusal::NoMailbox);
    assert_eq!(shelf.get().sweep(later(HOUR - 1)).unwrap(), 0);
    assert_eq!(shelf.get().sweep(later(HOUR)).unwrap(), 1);
    assert_eq!(shelf.collect("ben", &[], later(HOUR)).unwrap().len(), 1);
    // Shortened, too.
    shelf.open("ben", later(1)).unwrap();
    assert_eq!(shelf.get().sweep(later(1)).unwrap(), 1);
    assert_eq!(refusal(shelf.collect("ben", &[], NOW)), MailboxRefusal::NoMailbox);
}

#[test]
fn a_sweep_is_bounded_and_goes_on_where_it_stopped() {
    let shelf = Shelf::new(USUAL);
    for number in 0..MAX_SWEPT + 3 {
        shelf.open(&number.to_string(), later(HOUR)).unwrap();
    }
    let sweeps: Vec<usize> = (0..3).map(|_| shelf.get().sweep(later(HOUR)).unwrap()).collect();
    assert_eq!(sweeps, [MAX_SWEPT, 3, 0]);
}

#[test]
fn many_at_once_put_in_no_more_than_there_is_room_for() {
    let shelf = Shelf::new(room_for(1));
    shelf.open("ana", later(HOUR)).unwrap();
    let taken: usize = std::thread::scope(|scope| {
        let deposit =
            |from: usize| (from..from + 10).filter(|number| shelf.deposit("ana", &message(*number, 4)).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || deposit(thread * 10))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 8);
    assert_eq!(refusal(shelf.deposit("ana", &message(99, 1))), MailboxRefusal::Full);
}
