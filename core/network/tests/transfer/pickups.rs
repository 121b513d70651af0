//! A study is picked up: shown to who has the code and the answer, claimed, and final.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use clavicle_ledger::block::{CommitCertificate, Header, prove_inclusion};
use clavicle_ledger::encoding::{self, Text};
use clavicle_ledger::id::{EnvelopeHash, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::light::CertifiedHeader;
use clavicle_ledger::transaction::{Action, Envelope, Signatures};
use clavicle_network::message::Included;
use clavicle_network::pickup::{
    self, Ask, Claim, Claimed, Counter, Denied, MAX_OFFERS, Offered, Opened, PROTOCOL, PickupError, Ticket,
};
use iroh::Endpoint;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world::{Hospital, Scene, secret, soon};

/// Where visits are picked up: one visit, with studies 10 and 11.
pub struct Desk {
    hospital: Arc<Hospital>,
    wallet: Mutex<Option<Key>>,
    tries: AtomicU8,
    /// How often the first study is offered.
    offers: Mutex<usize>,
    /// What was claimed, each time.
    claimed: watch::Sender<Vec<EnvelopeHash>>,
    signed: Mutex<BTreeMap<StudyId, Envelope>>,
    /// With each block, whether what was claimed is in it.
    decided: watch::Sender<u64>,
}

impl Desk {
    pub fn new(hospital: Arc<Hospital>) -> Self {
        Self {
            hospital,
            wallet: Mutex::default(),
            tries: AtomicU8::new(5),
            offers: Mutex::new(2),
            claimed: watch::Sender::new(Vec::new()),
            signed: Mutex::default(),
            decided: watch::Sender::new(0),
        }
    }

    fn offered(&self, number: u32) -> Offered {
        let offer = self.hospital.offer(number);
        Offered { salt: offer.salt.clone(), manifest: Hospital::signed(&offer).clone() }
    }
}

impl Counter for Desk {
    fn open(&self, remote: Key, ask: &Ask) -> Result<Vec<Offered>, Denied> {
        let mut wallet = self.wallet.lock().unwrap();
        if ask.ticket != ticket() || wallet.is_some_and(|wallet| wallet != remote) {
            return Err(Denied::NoPickup);
        }
        if ask.answer.as_str() != "1234" {
            return Err(Denied::WrongAnswer { left: self.tries.fetch_sub(1, Ordering::SeqCst) - 1 });
        }
        *wallet = Some(remote);
        Ok((10u32..).take(*self.offers.lock().unwrap()).map(|number| self.offered(number)).collect())
    }

    fn claim(&self, offered: &[StudyId], claim: &Claim) -> Result<(EnvelopeHash, Envelope), Text<256>> {
        let Claim { body, holder } = claim;
        let Action::DefineStudy(define) = &body.action else { return Err(Text::new("no definition").unwrap()) };
        let study = StudyId::of(&self.hospital.chain, self.hospital.id, define.digest);
        if !offered.contains(&study) {
            return Err(Text::new("not of this visit").unwrap());
        }
        let source = self.hospital.operational.sign(&body.preimage(&self.hospital.chain));
        let made = Envelope { body: body.clone(), signatures: Signatures::new(vec![source, *holder]).unwrap() };
        made.clone().check_stateless(&self.hospital.chain).unwrap();
        let envelope = self.signed.lock().unwrap().entry(study).or_insert(made).clone();
        let hash = envelope.hash();
        self.claimed.send_modify(|claimed| claimed.push(hash));
        Ok((hash, envelope))
    }

    fn included(&self, envelope: &EnvelopeHash) -> Option<Included> {
        (*self.decided.borrow() > 0).then(|| {
            let header = Header::genesis(&self.hospital.genesis);
            let certificate = CommitCertificate::new(header.height, 0, header.id(), Vec::new()).unwrap();
            let proof = prove_inclusion(&[*envelope], 0).unwrap();
            Included { header: CertifiedHeader { header, certificate }, proof }
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.decided.subscribe()
    }
}

fn ticket() -> Ticket {
    Ticket([3; 32])
}

async fn open(scene: &Scene, word: &str, answer: &str) -> (Endpoint, Result<Opened, PickupError>) {
    let endpoint = scene.endpoint(&secret(word)).await;
    let ask = Ask { ticket: ticket(), answer: Text::new(answer).unwrap() };
    let opened = soon(pickup::open(&endpoint, &scene.remote(), &ask)).await;
    (endpoint, opened)
}

/// Claims for all that is offered, the same each time.
fn claims(scene: &Scene, opened: &Opened) -> Vec<Claim> {
    let claim = |number: u32| {
        let action = scene.hospital.definition(&scene.hospital.offer(number));
        let submit_by = scene.hospital.now().plus(3_600_000);
        let body = clavicle_ledger::transaction::Body { submit_by, nonce: [number as u8; 16], action };
        let holder = scene.hospital.holder.sign(&body.preimage(&scene.hospital.chain));
        Claim { body, holder }
    };
    (10u32..).take(opened.offers().len()).map(claim).collect()
}

fn envelopes(claimed: &[Claimed]) -> Vec<EnvelopeHash> {
    let hash = |one: &Claimed| match one {
        Claimed::Final { envelope, included } => {
            assert_eq!(included.proof, prove_inclusion(&[envelope.hash()], 0).unwrap());
            envelope.hash()
        }
        Claimed::Failed(why) => panic!("{why}"),
    };
    claimed.iter().map(hash).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn studies_are_shown_claimed_and_final() {
    let scene = Scene::new().await;
    let (_endpoint, opened) = open(&scene, "wallet", "1234").await;
    let opened = opened.unwrap();
    assert_eq!(opened.offers(), [scene.desk.offered(10), scene.desk.offered(11)]);
    let mut claims = claims(&scene, &opened);
    // One of a study that was not offered, between the two.
    let mut other = claims[0].clone();
    other.body.action = scene.hospital.definition(&scene.hospital.offer(12));
    claims.insert(1, other);
    let mut claiming = JoinSet::new();
    claiming.spawn(opened.claim(claims));
    let mut seen = scene.desk.claimed.subscribe();
    soon(seen.wait_for(|claimed| claimed.len() == 2)).await.unwrap();
    scene.desk.decided.send_replace(1);
    let mut claimed = soon(claiming.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(claimed.remove(1), Claimed::Failed(Text::new("not of this visit").unwrap()));
    assert_eq!(envelopes(&claimed), *scene.desk.claimed.borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_another_wallet_and_another_ticket_are_shown_nothing() {
    let scene = Scene::new().await;
    let (_endpoint, opened) = open(&scene, "wallet", "1235").await;
    assert!(matches!(opened, Err(PickupError::Denied(Denied::WrongAnswer { left: 4 }))));
    let (_endpoint, opened) = open(&scene, "wallet", "1234").await;
    assert!(opened.is_ok());
    let (_endpoint, opened) = open(&scene, "thief", "1234").await;
    assert!(matches!(opened, Err(PickupError::Denied(Denied::NoPickup))));
    let endpoint = scene.endpoint(&secret("wallet")).await;
    let ask = Ask { ticket: Ticket([4; 32]), answer: Text::new("1234").unwrap() };
    let opened = soon(pickup::open(&endpoint, &scene.remote(), &ask)).await;
    assert!(matches!(opened, Err(PickupError::Denied(Denied::NoPickup))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pickup_that_broke_off_comes_to_the_same_end() {
    let scene = Scene::new().await;
    let mut seen = scene.desk.claimed.subscribe();
    let (endpoint, opened) = open(&scene, "wallet", "1234").await;
    let opened = opened.unwrap();
    let wanted = claims(&scene, &opened);
    let mut claiming = JoinSet::new();
    claiming.spawn(opened.claim(wanted.clone()));
    soon(seen.wait_for(|claimed| claimed.len() == 2)).await.unwrap();
    // Killed between claim and answer.
    soon(claiming.shutdown()).await;
    soon(endpoint.close()).await;
    // Only now is it final; and the wallet comes again, as whoever it was.
    scene.desk.decided.send_replace(1);
    let (_endpoint, opened) = open(&scene, "wallet", "1234").await;
    let claimed = soon(opened.unwrap().claim(wanted)).await.unwrap();
    assert_eq!(envelopes(&claimed), scene.desk.claimed.borrow()[..2]);
    assert_eq!(scene.desk.claimed.borrow()[..2], scene.desk.claimed.borrow()[2..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_ends_the_connection_and_nothing_else() {
    let scene = Scene::new().await;
    let mut nonsense = scene.raw(&secret("stranger"), PROTOCOL).await;
    nonsense.say(&[9; 60]).await;
    assert_eq!(nonsense.closed().await, 1);
    let mut long = scene.raw(&secret("stranger"), PROTOCOL).await;
    long.send.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    assert_eq!(long.closed().await, 1);
    let mut claims = scene.raw(&secret("wallet"), PROTOCOL).await;
    let ask = Ask { ticket: ticket(), answer: Text::new("1234").unwrap() };
    claims.say(&encoding::encode(&ask)).await;
    assert_eq!(claims.hear().await, [1, 2, 0, 0, 0]);
    claims.hear().await;
    claims.hear().await;
    claims.say(&u32::MAX.to_le_bytes()).await;
    assert_eq!(claims.closed().await, 1);
    assert!(open(&scene, "wallet", "1234").await.1.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_offered_than_a_visit_may_have() {
    let scene = Scene::new().await;
    *scene.desk.offers.lock().unwrap() = MAX_OFFERS + 5;
    let (_endpoint, opened) = open(&scene, "wallet", "1234").await;
    assert_eq!(opened.unwrap().offers().len(), MAX_OFFERS);
}
