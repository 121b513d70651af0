//! A recipient with many cards, and relays that take their time or never answer: how often it comes, how many questions are under way at once, and
//! whom it waits for. Counted, not timed.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Condvar};

use clavicle_admission::Neighbourhood;
use clavicle_ledger::encoding::Bytes;
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::key::Key;
use clavicle_network::message::{List, MailboxRequest, MailboxResponse, Request};
use clavicle_network::swarm::{Config, Desk, Node, Received};
use clavicle_wallet::recipient::Recipient;
use clavicle_wallet::rows::{Numbered, Shown};

use super::*;
use crate::network::HOSPITALS;

const CARDS: u32 = 170;
/// How long each answer takes.
const DELAY: Duration = Duration::from_millis(40);
/// So many questions of one connection a relay takes at once…
const OF_ONE: usize = 4;
/// … and so many of all.
const OF_ALL: usize = 8;

/// A relay that answers when `together` questions wait, or the last has come: who asks one after another gets nowhere.
struct Slow {
    told: Told,
    together: usize,
    expected: usize,
    letter: Option<Vec<u8>>,
    seen: Mutex<Seen>,
    answering: Condvar,
}

#[derive(Default)]
struct Seen {
    askers: BTreeSet<Key>,
    challenges: usize,
    questions: usize,
    waiting: usize,
    rounds: usize,
    acknowledged: usize,
}

impl Slow {
    fn new(told: Told, together: usize, expected: usize) -> Self {
        Self { told, together, expected, letter: None, seen: Mutex::default(), answering: Condvar::new() }
    }

    /// Waits for its round, and then as long as an answer takes.
    fn turn(&self, asker: Key) {
        let mut seen = self.seen.lock().unwrap();
        seen.askers.insert(asker);
        seen.questions += 1;
        seen.waiting += 1;
        if seen.waiting == self.together || seen.questions >= self.expected {
            seen.waiting = 0;
            seen.rounds += 1;
            self.answering.notify_all();
            drop(seen);
        } else {
            let round = seen.rounds;
            // Not for ever: a test that failed ends too.
            drop(
                self.answering.wait_timeout_while(seen, Duration::from_secs(20), |seen| seen.rounds == round).unwrap(),
            );
        }
        std::thread::park_timeout(DELAY);
    }
}

impl Desk for Slow {
    fn receive(&self, _: &[u8]) -> Received {
        Received::Ignore
    }

    fn answer(&self, asker: Key, request: Request) -> Response {
        if matches!(request, Request::Query(Query::Rows(_))) {
            self.turn(asker);
        }
        self.told.answer(asker, request)
    }

    fn mailbox(&self, asker: Key, _: Neighbourhood, request: MailboxRequest) -> Response {
        match request {
            MailboxRequest::Challenge => {
                self.seen.lock().unwrap().challenges += 1;
                Response::Mailbox(MailboxResponse::Challenge([7; 32]))
            }
            MailboxRequest::Collect(signed) => {
                assert_eq!((signed.collection.challenge, signed.collection.own_peer), ([7; 32], asker));
                self.turn(asker);
                let acknowledged = signed.collection.acknowledged.len();
                self.seen.lock().unwrap().acknowledged += acknowledged;
                let letter = self.letter.iter().filter(|_| acknowledged == 0);
                Response::Mailbox(MailboxResponse::Messages(List::of(letter.map(|it| Bytes::new(it.clone()).unwrap()))))
            }
            _ => Response::Unavailable,
        }
    }

    fn waiting(&self) -> Vec<EnvelopeHash> {
        Vec::new()
    }

    fn envelope(&self, _: &EnvelopeHash) -> Option<Vec<u8>> {
        None
    }
}

/// Starts the relay of a hospital with this desk.
async fn relay(network: &Network, at: usize, desk: Slow) -> (Node, Arc<Slow>) {
    let desk = Arc::new(desk);
    let config = Config {
        chain: network.chain,
        seed: secret(&format!("{} network 0", HOSPITALS[at])).seed(),
        listen: format!("/ip4/127.0.0.1/tcp/{}", network.ports[at]),
        peers: Vec::new(),
        reconcile_every: Duration::from_secs(3_600),
    };
    let node = Node::start(config, Arc::clone(&desk) as Arc<dyn Desk>).unwrap();
    node.address().await.unwrap();
    (node, desk)
}

/// Somebody who has shown so many cards, whose mailboxes the first two hospitals keep.
fn shown(network: &Network, folder: &std::path::Path, cards: u32) -> Recipient {
    let (_, words) = Recipient::create(folder, &passphrase(), network.genesis.clone(), "Dr Rossi", clock).unwrap();
    Vault::open(folder, &passphrase())
        .unwrap()
        .write(|batch| {
            for mailbox in 0..cards {
                let key = words.seed().derive_key(0, Branch::Mailbox, mailbox).unwrap().public();
                let mut card = kept(network, &card(network), &[network.source(0), network.source(1)]);
                card.mailbox.key = key;
                let grantees = Ascending::from_items(vec![Numbered { key: secret("grantee").public(), number: 0 }]);
                let shown = Shown {
                    card,
                    grantees: grantees.unwrap(),
                    mailbox,
                    identity: Identity::generate().unwrap(),
                    kept_until: Timestamp(NOW + DAY_MS),
                    has_copy: false,
                };
                batch.put(key.as_bytes(), &shown)?;
            }
            Ok(())
        })
        .unwrap();
    Recipient::open(folder, &passphrase(), clock).unwrap()
}

/// In turn, with two questions and a handshake for each, it took 170 cards a hundred seconds at 40 ms.
#[tokio::test(flavor = "multi_thread")]
async fn many_mailboxes_are_asked_for_together_over_one_connection_a_relay() {
    let network = network(2);
    let folder = tempfile::tempdir().unwrap();
    let mut rossi = shown(&network, folder.path(), CARDS);
    let slow = |network: &Network| Slow::new(told_of(network), OF_ONE, CARDS as usize);
    let (_one, one) = relay(&network, 0, slow(&network)).await;
    let (_other, other) = relay(&network, 1, slow(&network)).await;
    let mut told = Vec::new();
    let mail = rossi.read_mail(|done, all| told.push((done, all))).await.unwrap();
    assert_eq!((mail.new.len(), mail.unread, mail.all, mail.silent), (0, 0, CARDS as usize, Vec::new()));
    assert_eq!(told.first(), Some(&(1, CARDS as usize)));
    assert_eq!(told.last(), Some(&(CARDS as usize, CARDS as usize)));
    for relay in [one, other] {
        let seen = relay.seen.lock().unwrap();
        assert_eq!((seen.askers.len(), seen.challenges, seen.questions), (1, 1, CARDS as usize));
        // At 40 ms that is less than two seconds.
        assert!(seen.rounds <= CARDS.div_ceil(OF_ONE as u32) as usize, "{} rounds", seen.rounds);
        assert!(DELAY * (seen.rounds as u32 + 1) < Duration::from_secs(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_hangs_keeps_nobody_waiting_whom_another_answers() {
    let network = network(2);
    let folder = tempfile::tempdir().unwrap();
    let mut rossi = shown(&network, folder.path(), 9);
    let mut desk = Slow::new(told_of(&network), 1, 0);
    desk.letter = Some(b"what nobody can read".to_vec());
    let (_one, one) = relay(&network, 0, desk).await;
    // It takes connections, and says nothing.
    let _hangs = TcpListener::bind(("127.0.0.1", network.ports[1])).unwrap();
    let mail = rossi.read_mail(|_, _| {}).await.unwrap();
    assert_eq!((mail.unread, mail.silent.as_slice()), (0, &["stluke".to_owned()][..]));
    assert_eq!(one.seen.lock().unwrap().acknowledged, 9, "each letter was taken, and the relay told so");
    // Nor does it keep anybody from what the ledger says.
    let studies: Vec<StudyId> = (0..40).map(|number: u8| StudyId::from_bytes([number; 32])).collect();
    let failed = rossi.ask_each(&studies, |_, _| {}).await.unwrap();
    assert!(failed.len() == 40 && failed.values().all(|error| matches!(error, WalletError::NotOnLedger)), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_answers_that_is_said() {
    let network = network(2);
    let folder = tempfile::tempdir().unwrap();
    let mut rossi = shown(&network, folder.path(), 3);
    let error = rossi.read_mail(|_, _| {}).await.err().unwrap();
    assert!(matches!(error, WalletError::NoRelay(Some(_))), "{error}");
    let studies = [1, 2, 3].map(|number| StudyId::from_bytes([number; 32]));
    let failed = rossi.ask_each(&studies, |_, _| {}).await.unwrap();
    assert!(failed.len() == 3 && failed.values().all(|error| matches!(error, WalletError::NoRelay(_))), "{failed:?}");
}

/// Each question is under a name of its own all the same.
#[tokio::test(flavor = "multi_thread")]
async fn many_studies_are_asked_for_together() {
    let network = network(1);
    let folder = tempfile::tempdir().unwrap();
    let mut rossi = shown(&network, folder.path(), 0);
    let (_node, relay) = relay(&network, 0, Slow::new(told_of(&network), OF_ALL, CARDS as usize)).await;
    let studies: Vec<StudyId> =
        (0..CARDS).map(|n| StudyId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes())).collect();
    let mut told = Vec::new();
    let failed = rossi.ask_each(&studies, |done, all| told.push((done, all))).await.unwrap();
    assert!(failed.values().all(|error| matches!(error, WalletError::NotOnLedger)), "{failed:?}");
    assert_eq!((failed.len(), told.len()), (CARDS as usize, CARDS as usize));
    let seen = relay.seen.lock().unwrap();
    // A few more look where relays are.
    let few = 4;
    assert_eq!(seen.askers.len(), seen.questions);
    assert!((0..=few).contains(&(seen.questions - CARDS as usize)), "{} questions", seen.questions);
    assert!(seen.rounds <= CARDS.div_ceil(OF_ALL as u32) as usize + few, "{} rounds", seen.rounds);
}

/// A network that began yesterday, with as many relays.
fn network(relays: usize) -> Network {
    let mut network = Network::new(1, relays);
    network.day(&[]);
    network
}

/// What a relay of this network says of it.
fn told_of(network: &Network) -> Told {
    let Told { state, decided, .. } = &network.told;
    let (state, decided) = (state.clone(), decided.clone());
    Told { state, decided, changes: Vec::new(), holdings: Vec::new(), asked: Mutex::default(), vouched: Vec::new() }
}
