//! A study is picked up: shown to who has the code and the answer, claimed, and final.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use clavicle_ledger::block::{CommitCertificate, Header, prove_inclusion};
use clavicle_ledger::encoding::{self, Text};
use clavicle_ledger::id::{ChainId, EnvelopeHash, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::light::CertifiedHeader;
use clavicle_ledger::transaction::{Action, Envelope, Signatures};
use clavicle_letters::about::About;
use clavicle_letters::pickup::{Question, Ticket};
use clavicle_network::endpoint::{Remote, bind};
use clavicle_network::message::Included;
use clavicle_network::pickup::{
    self, Claim, Claimed, Counter, Denied, MAX_OFFERS, NotOffered, Offered, Offers, Opened, PROTOCOL, PickupError,
    PickupId, Secret, TicketHash,
};
use clavicle_network::revoke::Revocations;
use clavicle_network::{Server, swarm};
use iroh::Endpoint;
use iroh::endpoint::RecvStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world::{Hospital, Scene, secret, soon};

/// Where visits are picked up: one visit, with studies 10 and 11.
pub struct Desk {
    hospital: Arc<Hospital>,
    /// As which source it answers.
    id: SourceId,
    wallet: Mutex<Option<Key>>,
    tries: AtomicU8,
    /// What the desk told the patient.
    answer: &'static str,
    /// What those who came have shown, each time.
    judged: Mutex<Vec<bool>>,
    /// Whether it says yes whatever it was shown.
    lies: bool,
    /// How many studies are offered.
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
            id: hospital.id,
            hospital,
            wallet: Mutex::default(),
            answer: "1234",
            judged: Mutex::default(),
            lies: false,
            tries: AtomicU8::new(5),
            offers: Mutex::new(2),
            claimed: watch::Sender::new(Vec::new()),
            signed: Mutex::default(),
            decided: watch::Sender::new(0),
        }
    }

    fn offered(&self, number: u32) -> Offered {
        let offer = self.hospital.offer(number);
        Offered { salt: offer.salt.clone(), manifest: Hospital::signed(&offer).clone(), about: About::default() }
    }
}

impl Counter for Desk {
    fn source(&self) -> (ChainId, SourceId) {
        (self.hospital.chain, self.id)
    }

    fn secret(&self, remote: Key, of: TicketHash) -> Result<Secret, Denied> {
        let wallet = self.wallet.lock().unwrap();
        if of != TicketHash::of(&ticket()) || wallet.is_some_and(|wallet| wallet != remote) {
            return Err(Denied::NoPickup);
        }
        Ok(answered(self.answer))
    }

    fn open(&self, remote: Key, _: TicketHash, knows: bool) -> Result<Offers, Denied> {
        self.judged.lock().unwrap().push(knows);
        if !knows && !self.lies {
            return Err(Denied::WrongAnswer { left: self.tries.fetch_sub(1, Ordering::SeqCst) - 1 });
        }
        *self.wallet.lock().unwrap() = Some(remote);
        let offered = (10u32..).take(*self.offers.lock().unwrap()).map(|number| self.offered(number)).collect();
        Ok(Offers { offered, not_offered: vec![NotOffered::Held] })
    }

    fn claim(
        &self,
        _: Key,
        _: TicketHash,
        offered: &[StudyId],
        claim: &Claim,
    ) -> Result<(EnvelopeHash, Envelope), Text<256>> {
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

/// What whoever has the ticket and this answer knows.
fn answered(answer: &str) -> Secret {
    Secret::of(&ticket(), Question::Pin, answer)
}

fn id(scene: &Scene) -> PickupId {
    PickupId { chain: scene.hospital.chain, source: scene.hospital.id, ticket: TicketHash::of(&ticket()) }
}

/// Opens a pickup at a source, and gives what came of it with the endpoint, with which the connection ends.
async fn open_at(
    scene: &Scene,
    to: &Remote,
    id: &PickupId,
    word: &str,
    answer: &str,
) -> (Endpoint, Result<Opened, PickupError>) {
    let endpoint = scene.endpoint(&secret(word)).await;
    let opened = match soon(pickup::meet(&endpoint, to, id, &answered(answer))).await {
        Ok(met) => soon(met.prove()).await,
        Err(error) => Err(error),
    };
    (endpoint, opened)
}

async fn open(scene: &Scene, word: &str, answer: &str) -> (Endpoint, Result<Opened, PickupError>) {
    open_at(scene, &scene.remote(), &id(scene), word, answer).await
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
    assert_eq!(opened.not_offered(), [NotOffered::Held]);
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
    let other = PickupId { ticket: TicketHash::of(&Ticket([4; 32])), ..id(&scene) };
    let (_endpoint, opened) = open_at(&scene, &scene.remote(), &other, "wallet", "1234").await;
    assert!(matches!(opened, Err(PickupError::Denied(Denied::NoPickup))));
    assert_eq!(*scene.desk.judged.lock().unwrap(), [false, true]);
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

/// The first message of a wallet, with a share that is a point.
fn ask() -> [u8; 64] {
    // The base point of ristretto255 (RFC 9496 A.1).
    let point = encoding::from_hex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76").unwrap();
    [&TicketHash::of(&ticket()).as_bytes()[..], &point].concat().try_into().unwrap()
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
    // The neutral point, with which every secret comes to the same, and what is no point.
    for share in [0, 0xff] {
        let mut no_share = scene.raw(&secret("stranger"), PROTOCOL).await;
        no_share.say(&[&ask()[..32], &[share; 32]].concat()).await;
        assert_eq!(no_share.closed().await, 1);
    }
    // Whoever goes before it has shown anything has neither tried nor learned anything.
    let mut leaves = scene.raw(&secret("stranger"), PROTOCOL).await;
    leaves.say(&ask()).await;
    assert_eq!(leaves.hear().await[0], 1);
    leaves.say(&[7; 63]).await;
    assert_eq!(leaves.closed().await, 1);
    assert!(scene.desk.judged.lock().unwrap().is_empty());
    let mut guesses = scene.raw(&secret("stranger"), PROTOCOL).await;
    guesses.say(&ask()).await;
    guesses.hear().await;
    guesses.say(&[7; 64]).await;
    assert_eq!(guesses.hear().await, [0, 1, 4]);
    assert!(open(&scene, "wallet", "1234").await.1.is_ok());
    assert_eq!(*scene.desk.judged.lock().unwrap(), [false, true]);
}

/// Another source of the same roster, to which an altered code leads: the ledger knows it, and it has its own key.
async fn other_source() -> (Endpoint, Remote) {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let endpoint = bind(&secret("other source"), Some(at), &[PROTOCOL]).await.unwrap();
    let remote = Remote { key: secret("other source").public(), addresses: endpoint.bound_sockets() };
    (endpoint, remote)
}

fn at_other_source(scene: &Scene) -> PickupId {
    PickupId { source: SourceId::from_bytes([9; 32]), ..id(scene) }
}

/// Reads a message with its length.
async fn message(receive: &mut RecvStream) -> Vec<u8> {
    let mut all = vec![0; 4];
    soon(receive.read_exact(&mut all)).await.unwrap();
    let len = u32::from_be_bytes(all[..].try_into().unwrap());
    all.resize(4 + len as usize, 0);
    soon(receive.read_exact(&mut all[4..])).await.unwrap();
    all
}

/// Whoever wallets come to, and who writes down all that they say.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_the_desk_does_not_mean_hears_nothing_to_search_in() {
    let scene = Scene::new().await;
    let (server, remote) = other_source().await;
    let id = at_other_source(&scene);
    let mut heard = Vec::new();
    for _ in 0..2 {
        let listening = async {
            let connection = server.accept().await.unwrap().await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            let asked = message(&mut receive).await;
            // A share that is good, of whatever it would have guessed.
            send.write_all(&[&[0, 0, 0, 33, 1][..], &ask()[32..]].concat()).await.unwrap();
            let shown = message(&mut receive).await;
            connection.close(0u32.into(), b"");
            [asked, shown]
        };
        let (all, (_endpoint, opened)) = tokio::join!(listening, open_at(&scene, &remote, &id, "wallet", "1234"));
        assert!(matches!(opened, Err(PickupError::Broken)));
        heard.push(all);
    }
    for all in heard.iter().map(|all| all.concat()) {
        for known in [&ticket().0[..], b"1234", answered("1234").as_bytes()] {
            assert!(!all.windows(known.len()).any(|window| window == known));
        }
    }
    // The pickup is named; all else is another each time, with the same answer.
    let [[asked, shown], [asked_again, shown_again]] = heard.try_into().unwrap();
    assert_eq!(asked[..36], asked_again[..36]);
    assert_ne!(asked[36..], asked_again[36..]);
    assert_ne!(shown, shown_again);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_does_not_know_the_answer_has_one_guess_a_run_and_is_found_out() {
    let scene = Scene::new().await;
    let hospital = Arc::clone(&scene.hospital);
    let liar = Desk { id: at_other_source(&scene).source, answer: "4321", lies: true, ..Desk::new(hospital) };
    let (liar, gate) = (Arc::new(liar), Arc::clone(&scene.hospital));
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let counter = Arc::clone(&liar) as Arc<dyn Counter>;
    let revocations = Revocations::new(scene.hospital.chain, Arc::clone(&scene.told) as Arc<dyn swarm::Desk>);
    let server = Server::start(&secret("other source"), at, gate, counter, revocations).await.unwrap();
    let remote = Remote { key: secret("other source").public(), addresses: vec![server.address()] };
    for wrong in 1..=2 {
        let (_endpoint, opened) = open_at(&scene, &remote, &at_other_source(&scene), "wallet", "1234").await;
        assert!(matches!(opened, Err(PickupError::NotProven)), "{opened:?}");
        // It has learned that its guess was wrong, and nothing else.
        assert_eq!(*liar.judged.lock().unwrap(), vec![false; wrong]);
    }
    assert_eq!(*liar.wallet.lock().unwrap(), Some(secret("wallet").public()));
    assert!(scene.desk.judged.lock().unwrap().is_empty());
    server.stop().await;
}

/// It passes everything on, both ways, word by word, over connections that it has itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_in_between_cannot_have_the_wallet_open_the_true_one_for_it() {
    let scene = Scene::new().await;
    let (server, remote) = other_source().await;
    for named in [id(&scene), at_other_source(&scene)] {
        let passing_on = async {
            let connection = server.accept().await.unwrap().await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            let mut onward = scene.raw(&secret("other source"), PROTOCOL).await;
            for _ in 0..2 {
                onward.send.write_all(&message(&mut receive).await).await.unwrap();
                send.write_all(&message(&mut onward.receive).await).await.unwrap();
            }
            connection.closed().await;
        };
        let opening = async {
            let (endpoint, opened) = open_at(&scene, &remote, &named, "wallet", "1234").await;
            soon(endpoint.close()).await;
            opened
        };
        let ((), opened) = tokio::join!(passing_on, opening);
        assert!(matches!(opened, Err(PickupError::Denied(Denied::WrongAnswer { .. }))), "{opened:?}");
    }
    assert_eq!(*scene.desk.judged.lock().unwrap(), [false, false]);
    assert_eq!(*scene.desk.wallet.lock().unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_offered_than_a_visit_may_have() {
    let scene = Scene::new().await;
    *scene.desk.offers.lock().unwrap() = MAX_OFFERS + 5;
    let (_endpoint, opened) = open(&scene, "wallet", "1234").await;
    assert_eq!(opened.unwrap().offers().len(), MAX_OFFERS);
}
