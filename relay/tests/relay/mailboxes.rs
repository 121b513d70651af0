//! Mailboxes: what was taken in is there until it is acknowledged, and never more than there is room for.

use std::path::PathBuf;

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_network::message::{
    Acknowledged, Collection, MAX_COLLECTED, MAX_DEPOSITS, MailboxRefusal, Opening, SignedOpening, Token,
};
use clavicle_relay::store::mailboxes::{LONGEST_MS, Limits, MAX_BOX_BYTES, MAX_SWEPT, MailboxError, Mailboxes};

use crate::chain::secret;

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const RELAY: SourceId = SourceId::from_bytes([2; 32]);
const NOW: LocalTime = LocalTime(Timestamp(1_795_262_400_000));
const TOKEN: Token = Token([3; 16]);
const HOUR: u64 = 3_600_000;

fn later(ms: u64) -> LocalTime {
    LocalTime(NOW.0.plus(ms))
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
        let mailboxes = Some(Mailboxes::open_with(&path, limits).unwrap());
        Self { _folder: folder, path, limits, mailboxes }
    }

    fn reopen(&mut self) {
        self.mailboxes = None;
        self.mailboxes = Some(Mailboxes::open_with(&self.path, self.limits).unwrap());
    }

    fn get(&self) -> &Mailboxes {
        self.mailboxes.as_ref().unwrap()
    }

    fn open(&self, word: &str, until: LocalTime) -> Result<(), MailboxError> {
        self.get().open_box(&opening(&secret(word), TOKEN, until), &CHAIN, RELAY, NOW)
    }

    fn deposit(&self, word: &str, sealed: &[u8]) -> Result<(), MailboxError> {
        self.get().deposit(&secret(word).public(), &TOKEN, sealed, NOW)
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
            at: NOW.0,
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
    let mut shelf = Shelf::new(Limits::default());
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
    let shelf = Shelf::new(Limits::default());
    for word in ["ana", "ben"] {
        shelf.open(word, later(HOUR)).unwrap();
    }
    for number in 0..MAX_COLLECTED {
        shelf.deposit("ana", &message(number, 64)).unwrap();
    }
    shelf.deposit("ben", &message(0, 64)).unwrap();
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap().len(), MAX_COLLECTED);
    // Ben's acknowledgement of the same bytes is not Ana's.
    assert!(shelf.collect("ben", &[message(0, 64)], NOW).unwrap().is_empty());
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap().len(), MAX_COLLECTED);
}

#[test]
fn only_the_four_sizes_are_taken() {
    let shelf = Shelf::new(Limits::default());
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
    let shelf = Shelf::new(Limits::default());
    for word in ["ana", "ben"] {
        shelf.open(word, later(HOUR)).unwrap();
    }
    for number in 0..MAX_DEPOSITS {
        shelf.deposit("ana", &message(number, 1)).unwrap();
    }
    assert_eq!(refusal(shelf.deposit("ana", &message(MAX_DEPOSITS, 1))), MailboxRefusal::Full);
    // What is there is there, also when nothing more is.
    shelf.deposit("ana", &message(3, 1)).unwrap();
    shelf.collect("ana", &[message(3, 1)], NOW).unwrap();
    shelf.deposit("ana", &message(MAX_DEPOSITS, 1)).unwrap();

    let most = (MAX_BOX_BYTES / (64 * 1024)) as usize;
    for number in 0..most {
        shelf.deposit("ben", &message(number, 64)).unwrap();
    }
    assert_eq!(refusal(shelf.deposit("ben", &message(most, 1))), MailboxRefusal::Full);
    shelf.collect("ben", &[message(0, 64)], NOW).unwrap();
    shelf.deposit("ben", &message(most, 1)).unwrap();
}

#[test]
fn a_relay_keeps_only_so_many_mailboxes_and_bytes() {
    let mut shelf = Shelf::new(Limits { boxes: 2, bytes: 5 * 1024 });
    shelf.open("ana", later(HOUR)).unwrap();
    shelf.open("ben", later(2 * HOUR)).unwrap();
    assert_eq!(refusal(shelf.open("eve", later(HOUR))), MailboxRefusal::Full);
    shelf.open("ana", later(HOUR)).unwrap();
    shelf.deposit("ana", &message(0, 4)).unwrap();
    shelf.deposit("ben", &message(1, 1)).unwrap();
    assert_eq!(refusal(shelf.deposit("ben", &message(2, 1))), MailboxRefusal::Full);
    shelf.reopen();
    assert_eq!(refusal(shelf.deposit("ben", &message(2, 1))), MailboxRefusal::Full);
    assert_eq!(shelf.get().sweep(later(HOUR)).unwrap(), 1);
    shelf.deposit("ben", &message(2, 4)).unwrap();
    shelf.open("eve", later(HOUR)).unwrap();
    // Nothing of the old one is in the new one.
    shelf.collect("ben", &[message(2, 4)], NOW).unwrap();
    shelf.open("ana", later(HOUR)).unwrap_err();
    assert_eq!(shelf.get().sweep(later(HOUR)).unwrap(), 1);
    shelf.open("ana", later(HOUR)).unwrap();
    assert!(shelf.collect("ana", &[], NOW).unwrap().is_empty());
    shelf.deposit("ana", &message(0, 4)).unwrap();
}

#[test]
fn without_its_token_a_mailbox_is_none_and_another_token_takes_its_place() {
    let shelf = Shelf::new(Limits::default());
    assert_eq!(refusal(shelf.deposit("ana", &message(0, 1))), MailboxRefusal::NoMailbox);
    assert_eq!(refusal(shelf.collect("ana", &[], NOW)), MailboxRefusal::NoMailbox);
    shelf.open("ana", later(HOUR)).unwrap();
    shelf.deposit("ana", &message(0, 1)).unwrap();
    let (ana, other) = (secret("ana"), Token([4; 16]));
    let given = shelf.get().deposit(&ana.public(), &other, &message(1, 1), NOW);
    assert_eq!(refusal(given), MailboxRefusal::NoMailbox);
    shelf.get().open_box(&opening(&ana, other, later(HOUR)), &CHAIN, RELAY, NOW).unwrap();
    assert_eq!(refusal(shelf.deposit("ana", &message(1, 1))), MailboxRefusal::NoMailbox);
    shelf.get().deposit(&ana.public(), &other, &message(1, 1), NOW).unwrap();
    assert_eq!(shelf.collect("ana", &[], NOW).unwrap(), [message(0, 1), message(1, 1)]);
}

#[test]
fn an_opening_is_signed_for_this_relay_and_ends_in_thirty_days_at_most() {
    let shelf = Shelf::new(Limits::default());
    let ana = secret("ana");
    let refused = |signed: &SignedOpening| refusal(shelf.get().open_box(signed, &CHAIN, RELAY, NOW));
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
    let shelf = Shelf::new(Limits::default());
    for word in ["ana", "ben"] {
        shelf.open(word, later(HOUR)).unwrap();
        shelf.deposit(word, &message(0, 1)).unwrap();
    }
    shelf.open("ben", later(2 * HOUR)).unwrap();
    assert_eq!(shelf.collect("ana", &[], later(HOUR - 1)).unwrap().len(), 1);
    assert_eq!(refusal(shelf.collect("ana", &[], later(HOUR))), MailboxRefusal::NoMailbox);
    let (ana, late) = (secret("ana").public(), later(HOUR));
    assert_eq!(refusal(shelf.get().deposit(&ana, &TOKEN, &message(1, 1), late)), MailboxRefusal::NoMailbox);
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
    let shelf = Shelf::new(Limits::default());
    for number in 0..MAX_SWEPT + 3 {
        shelf.open(&number.to_string(), later(HOUR)).unwrap();
    }
    let sweeps: Vec<usize> = (0..3).map(|_| shelf.get().sweep(later(HOUR)).unwrap()).collect();
    assert_eq!(sweeps, [MAX_SWEPT, 3, 0]);
}

#[test]
fn many_at_once_put_in_no_more_than_there_is_room_for() {
    let shelf = Shelf::new(Limits { boxes: 10, bytes: 20 * 1024 });
    shelf.open("ana", later(HOUR)).unwrap();
    let taken: usize = std::thread::scope(|scope| {
        let deposit =
            |from: usize| (from..from + 10).filter(|number| shelf.deposit("ana", &message(*number, 1)).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || deposit(thread * 10))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 20);
    assert_eq!(refusal(shelf.deposit("ana", &message(99, 1))), MailboxRefusal::Full);
}
