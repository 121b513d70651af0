//! A card that was shown a while ago, printed perhaps: what introduces its owner is left anew for whoever has it, when
//! the owner's device is used, and no more often than it must be.

use std::collections::BTreeMap;
use std::sync::Arc;

use clavicle_admission::Neighbourhood;
use clavicle_ledger::encoding::Bytes;
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::key::Key;
use clavicle_ledger::time::HOUR_MS;
use clavicle_letters::credential::{
    Credential, CredentialNumber, EndedCredentials, Introduction, Issuer, Role, Vouching,
};
use clavicle_letters::introduction;
use clavicle_network::message::{List, MailboxRequest, MailboxResponse, Request};
use clavicle_network::swarm::{Config, Desk, Node, Received};
use clavicle_wallet::rows::{IntroductionLeft, Numbered, OwnCredential, Shown};

use super::*;

/// A relay that keeps what is left in mailboxes, and vouches for one person with the list of now.
struct Boxes {
    told: Told,
    vouching: Vouching,
    boxes: Mutex<BTreeMap<Key, Vec<Vec<u8>>>>,
    deposits: Mutex<usize>,
}

impl Desk for Boxes {
    fn receive(&self, _: &[u8]) -> Received {
        Received::Ignore
    }

    fn answer(&self, asker: Key, request: Request) -> Response {
        match request {
            Request::Query(Query::Credential(_)) => Response::Credential(Some(Box::new(self.vouching.clone()))),
            request => self.told.answer(asker, request),
        }
    }

    fn mailbox(&self, _: Key, _: Neighbourhood, request: MailboxRequest) -> Response {
        let mut boxes = self.boxes.lock().unwrap();
        Response::Mailbox(match request {
            MailboxRequest::Challenge => MailboxResponse::Challenge([7; 32]),
            MailboxRequest::Deposit { mailbox, sealed, .. } => {
                *self.deposits.lock().unwrap() += 1;
                boxes.entry(mailbox).or_default().push(sealed.into_vec());
                MailboxResponse::Done
            }
            MailboxRequest::Collect(signed) => {
                let lies = boxes.entry(signed.collection.mailbox).or_default();
                let gone = |message: &Vec<u8>| {
                    signed.collection.acknowledged.iter().any(|it| it.0 == *blake3::hash(message).as_bytes())
                };
                lies.retain(|message| !gone(message));
                MailboxResponse::Messages(List::of(lies.iter().map(|it| Bytes::new(it.clone()).unwrap())))
            }
            MailboxRequest::Open { .. } | MailboxRequest::Wait(_) => MailboxResponse::Done,
        })
    }

    fn waiting(&self) -> Vec<EnvelopeHash> {
        Vec::new()
    }

    fn envelope(&self, _: &EnvelopeHash) -> Option<Vec<u8>> {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_card_stays_verified_while_its_owners_device_is_used() {
    let mut network = Network::new(1, 1);
    network.day(&[]);
    let (mercy, chain, operational) = (network.source(0), network.chain, secret("mercy operational 0"));
    let folder = tempfile::tempdir().unwrap();
    let (_, words) =
        Recipient::create(folder.path(), &passphrase(), network.genesis.clone(), "Dr Rossi", clock).unwrap();
    let person = words.seed().derive_key(0, Branch::Person, 0).unwrap().public();
    let mailbox = words.seed().derive_key(0, Branch::Mailbox, 0).unwrap().public();
    let by = Issuer::Source(mercy);
    // With a list that was signed so long ago.
    let vouching = |ago_ms: u64| {
        let credential = Credential {
            by,
            person,
            name: Text::new("Dr Rossi").unwrap(),
            role: Role::Physician,
            specialty: Text::default(),
            from: Timestamp(NOW - 9 * DAY_MS),
            until: Timestamp(NOW + 9 * DAY_MS),
            number: CredentialNumber(7),
        };
        let (at, before) = (Timestamp(NOW - ago_ms), CredentialNumber(1));
        let ended = EndedCredentials { by, number: at.0, at, before, ended: Ascending::new() };
        Vouching { credential: credential.sign(&chain, &operational), ended: ended.sign(&chain, &operational) }
    };
    let mut card = kept(&network, &super::card(&network), &[mercy]);
    card.mailbox.key = mailbox;
    card.expires = Timestamp(NOW + 20 * DAY_MS);
    let place = Card::introduction_box_of(&mailbox, &card.recipient);
    let grantees = Ascending::from_items(vec![Numbered { key: secret("grantee").public(), number: 0 }]).unwrap();
    let (identity, kept_until) = (Identity::generate().unwrap(), Timestamp(NOW + 20 * DAY_MS));
    let shown = Shown { card, grantees, mailbox: 0, identity, kept_until, has_copy: false };
    let old = Introduction { first: vouching(13 * HOUR_MS), second: None };
    let left = |ago_ms: u64| {
        let at = Timestamp(NOW - ago_ms);
        Vault::open(folder.path(), &passphrase()).unwrap().put(mailbox.as_bytes(), &IntroductionLeft { at }).unwrap();
    };
    {
        let vault = Vault::open(folder.path(), &passphrase()).unwrap();
        vault.put(mailbox.as_bytes(), &shown).unwrap();
        vault.put(b"", &OwnCredential { of: by, introduction: Some(old.clone()) }).unwrap();
    }
    left(HOUR_MS);

    let before = introduction::seal(&old, &place).unwrap();
    let desk = Arc::new(Boxes {
        told: network.take_told(),
        vouching: vouching(0),
        boxes: Mutex::new(BTreeMap::from([(place.key.public(), vec![before])])),
        deposits: Mutex::default(),
    });
    let config = Config {
        chain: network.chain,
        seed: secret("mercy network 0").seed(),
        listen: format!("/ip4/127.0.0.1/tcp/{}", network.ports[0]),
        peers: Vec::new(),
        reconcile_every: Duration::from_secs(3_600),
    };
    let node = Node::start(config, Arc::clone(&desk) as Arc<dyn Desk>).unwrap();
    node.address().await.unwrap();
    let lies = || -> Vec<Introduction> {
        let boxes = desk.boxes.lock().unwrap();
        boxes[&place.key.public()].iter().map(|sealed| introduction::open(sealed, &place).unwrap()).collect()
    };

    // An hour ago is not long ago.
    Recipient::open(folder.path(), &passphrase(), clock).unwrap().read_mail(|_, _| {}).await.unwrap();
    assert_eq!((*desk.deposits.lock().unwrap(), lies()), (0, vec![old]));
    // Half a day is; and what lay there goes.
    left(12 * HOUR_MS);
    let mut rossi = Recipient::open(folder.path(), &passphrase(), clock).unwrap();
    rossi.read_mail(|_, _| {}).await.unwrap();
    let new = Introduction { first: vouching(0), second: None };
    assert_eq!((*desk.deposits.lock().unwrap(), lies()), (1, vec![new.clone()]));
    rossi.read_mail(|_, _| {}).await.unwrap();
    assert_eq!((*desk.deposits.lock().unwrap(), lies()), (1, vec![new.clone()]));
    drop(rossi);

    // Attack: whoever has the card seals a further one that lies there anew, until nothing else is looked at.
    let of_rossi = words.seed().derive_key(0, Branch::Person, 0).unwrap();
    let recipient = shown.card.recipient;
    let more = Card { person, mailbox, recipient, ..super::card(&network).card }.sign(&chain, &of_rossi).unwrap();
    let copies = (0..40).map(|_| introduction::seal(&more, &place).unwrap());
    desk.boxes.lock().unwrap().entry(place.key.public()).or_default().extend(copies);
    left(12 * HOUR_MS);
    let mut rossi = Recipient::open(folder.path(), &passphrase(), clock).unwrap();
    rossi.read_mail(|_, _| {}).await.unwrap();
    let boxes = desk.boxes.lock().unwrap();
    let all = &boxes[&place.key.public()];
    let cards: Vec<SignedCard> = all.iter().filter_map(|sealed| introduction::open(sealed, &place)).collect();
    let introductions: Vec<Introduction> = all.iter().filter_map(|sealed| introduction::open(sealed, &place)).collect();
    assert_eq!((all.len(), cards, introductions), (2, vec![more], vec![new]));
}
