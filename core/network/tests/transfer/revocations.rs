//! Revocations that come to the source itself.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use clavicle_ledger::action::{Revoke, Veto};
use clavicle_ledger::encoding;
use clavicle_ledger::id::{ChainId, EnvelopeHash, GrantId, TxId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::{Action, Body, Envelope, Signatures};
use clavicle_network::Limits;
use clavicle_network::endpoint::bind;
use clavicle_network::message::{Request, Response, Verdict};
use clavicle_network::revoke::{self, PROTOCOL, RevokeError};
use clavicle_network::swarm::{Desk, Received};
use iroh::Endpoint;
use iroh::endpoint::Connection;

use crate::world::{Scene, secret, soon};

/// A desk that remembers what it was given.
#[derive(Default)]
pub struct Told(Mutex<Vec<(Key, EnvelopeHash)>>);

impl Desk for Told {
    fn receive(&self, _: &[u8]) -> Received {
        Received::Ignore
    }

    fn answer(&self, asker: Key, request: Request) -> Response {
        let Request::Submit(envelope) = request else { return Response::Unavailable };
        self.0.lock().unwrap().push((asker, envelope.hash()));
        Response::Verdict(Verdict::Waits)
    }

    fn waiting(&self) -> Vec<EnvelopeHash> {
        Vec::new()
    }

    fn envelope(&self, _: &EnvelopeHash) -> Option<Vec<u8>> {
        None
    }
}

impl Scene {
    fn revocation(&self, nonce: u8, chain: &ChainId) -> Envelope {
        let holder = secret("holder");
        let grant = GrantId::from_bytes([3; 32]);
        let revoke =
            Revoke { study: self.study, revoker: holder.public(), grant, grant_submit_by: Timestamp::default() };
        let body = Body { submit_by: Timestamp(1), nonce: [nonce; 16], action: Action::Revoke(revoke) };
        body.sign(chain, &[&holder]).unwrap()
    }

    async fn deliver(&self, envelope: &Envelope) -> Result<Response, RevokeError> {
        Box::pin(soon(revoke::deliver(&self.remote(), envelope))).await
    }

    fn told(&self) -> Vec<(Key, EnvelopeHash)> {
        self.told.0.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_itself_takes_a_revocation_and_answers_as_a_relay_does() {
    let scene = Scene::new().await;
    let envelopes = [1, 2].map(|nonce| scene.revocation(nonce, &scene.hospital.chain));
    for envelope in &envelopes {
        let answer = scene.deliver(envelope).await.unwrap();
        assert_eq!(answer, Response::Verdict(Verdict::Waits));
    }
    let told = scene.told();
    assert_eq!(told.iter().map(|(_, hash)| *hash).collect::<Vec<_>>(), envelopes.map(|envelope| envelope.hash()));
    assert_ne!(told[0].0, told[1].0, "each came under a key that was thrown away");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sound_revocation_is_refused_before_anybody_is_asked() {
    let scene = Scene::new().await;
    // Signed for another network, and so by nobody for this one.
    let elsewhere = scene.revocation(1, &ChainId::from_bytes([9; 32]));
    let answer = scene.deliver(&elsewhere).await.unwrap();
    assert!(matches!(answer, Response::Verdict(Verdict::Rejected(_))), "{answer:?}");
    let sound = scene.revocation(1, &scene.hospital.chain);
    let unsigned = Envelope { signatures: Signatures::new(Vec::new()).unwrap(), ..sound.clone() };
    let answer = scene.deliver(&unsigned).await.unwrap();
    assert!(matches!(answer, Response::Verdict(Verdict::Rejected(_))), "{answer:?}");
    let (study, holder) = (scene.study, secret("holder").public());
    let veto = Action::Veto(Veto { study, holder, recovery: TxId::from_bytes([1; 32]) });
    let another = Envelope { body: scene.hospital.body(veto), ..sound };
    let answer = scene.deliver(&another).await;
    assert!(matches!(answer, Err(RevokeError::NoAnswer)), "{answer:?}");
    for bytes in [&[][..], &[0; 3], &[0xff; 64], &encoding::encode(&elsewhere)[..20]] {
        let mut raw = scene.raw(&secret("stranger"), PROTOCOL).await;
        raw.say(bytes).await;
        raw.send.finish().unwrap();
        assert_eq!(soon(raw.receive.read_to_end(10)).await.map(|read| read.len()).unwrap_or(0), 0);
    }
    assert_eq!(scene.told(), Vec::new());
}

async fn silent(scene: &Scene, host: u8, number: u16, protocol: &[u8]) -> (Endpoint, Option<Connection>) {
    let at = std::net::SocketAddr::from(([127, 0, 1, host], 0));
    let endpoint = bind(&secret(&format!("silent {host} {number}")), Some(at), &[]).await.unwrap();
    let connection = soon(endpoint.connect(scene.address(), protocol)).await.ok();
    (endpoint, connection)
}

/// Every place for strangers is taken from the victim's own address and is not settled, so that a newcomer from there
/// is turned away; and strangers who say that they revoke, and say nothing more, take all places for that. A revocation
/// goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_the_wallets_own_address_does_not_keep_its_revocation_out() {
    let scene = Scene::with(Limits { strangers: 16, guests: 16 }).await;
    let (mut flood, mut lingering) = (Vec::new(), Vec::new());
    for number in 0..16 {
        // Wallets come from here too.
        let endpoint = bind(&secret(&format!("silent {number}")), Some(([127, 0, 0, 1], 0).into()), &[]).await.unwrap();
        let connection = soon(endpoint.connect(scene.address(), clavicle_network::transfer::PROTOCOL)).await.unwrap();
        flood.push((endpoint, Some(connection)));
    }
    let grantee = scene.grantee("grantee");
    let endpoint = scene.endpoint(&grantee.key).await;
    let turned_away = soon(endpoint.connect(scene.address(), clavicle_network::transfer::PROTOCOL)).await;
    assert!(turned_away.is_err(), "the address has the most places, none of them settled");
    for host in 1..9 {
        for number in 0..2 {
            flood.push(silent(&scene, host, number, PROTOCOL).await);
        }
    }
    // Some of them send one that is signed, and do not go when they were answered: they hold no turn.
    for number in 0..8 {
        let mut raw = scene.raw(&secret(&format!("lingers {number}")), PROTOCOL).await;
        raw.say(&encoding::encode(&scene.revocation(100 + number, &scene.hospital.chain))).await;
        soon(raw.receive.read_exact(&mut [0; 4])).await.unwrap();
        lingering.push(raw);
    }
    let mut slowest = Duration::ZERO;
    for nonce in 0..10 {
        let from = Instant::now();
        let answer = scene.deliver(&scene.revocation(nonce, &scene.hospital.chain)).await.unwrap();
        assert_eq!(answer, Response::Verdict(Verdict::Waits));
        slowest = slowest.max(from.elapsed());
    }
    println!("the slowest of ten revocations took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    drop((flood, lingering));
}
