//! Strangers who take all the places there are, and guests who do.

use std::net::SocketAddr;
use std::time::Duration;

use clavicle_ledger::encoding;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::receipt::{End, Entry};
use clavicle_network::Limits;
use clavicle_network::endpoint::bind;
use clavicle_network::transfer::PROTOCOL;
use iroh::EndpointAddr;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::world::{Grantee, Raw, SMALL, Scene, closed, found, pack, secret, signed, soon};

/// The code with which a connection is closed for another.
const REPLACED: u64 = 5;

/// Strangers at several addresses, more than there are places. They connect, say nothing, and come again whenever they were turned away or cut off.
struct Flood {
    /// How many were turned away so far.
    turned_away: watch::Receiver<usize>,
    /// How many were cut off for others so far.
    replaced: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Flood {
    fn new(scene: &Scene, addresses: u8, of_each: u8) -> Self {
        let (turning_away, turned_away) = watch::channel(0);
        let (replacing, replaced) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for (address, number) in (0..addresses).flat_map(|address| (0..of_each).map(move |number| (address, number))) {
            let from = SocketAddr::from(([127, 0, 0, 10 + address], 0));
            let (to, key) = (scene.address(), secret(&format!("stranger {address} {number}")));
            tasks.spawn(stranger(to, from, key, (turning_away.clone(), replacing.clone())));
        }
        Self { turned_away, replaced, _tasks: tasks }
    }

    /// Waits until the table is full: only then is anybody turned away.
    async fn fills_the_table(&mut self) {
        next(&mut self.turned_away).await;
    }

    /// Waits until one more was cut off for somebody else.
    async fn gives_way(&mut self) {
        next(&mut self.replaced).await;
    }
}

async fn next(count: &mut watch::Receiver<usize>) {
    let before = *count.borrow();
    soon(count.wait_for(|count| *count > before)).await.unwrap();
}

async fn stranger(
    to: EndpointAddr,
    from: SocketAddr,
    key: SecretKey,
    (turned_away, replaced): (watch::Sender<usize>, watch::Sender<usize>),
) {
    let endpoint = bind(&key, Some(from), &[]).await.unwrap();
    loop {
        let counted = match endpoint.connect(to.clone(), PROTOCOL).await {
            Err(_) => Some(&turned_away),
            Ok(connection) => (closed(&connection).await == REPLACED).then_some(&replaced),
        };
        if let Some(counted) = counted {
            counted.send_modify(|count| *count += 1);
        }
        // Not to wait for anything: the processors are for others too.
        sleep(Duration::from_millis(50)).await;
    }
}

async fn is_served(scene: &Scene, grantee: &Grantee) {
    let (endpoint, mut verified) = scene.verified(grantee).await;
    let folder = TempDir::new().unwrap();
    soon(verified.fetch(pack(folder.path()), &[SMALL], |_| ())).await.unwrap();
    assert_eq!(found(folder.path()), signed(&[SMALL]));
    verified.close().await;
    endpoint.close().await;
}

async fn goes_on(raw: &mut Raw) {
    raw.want(&[SMALL]).await;
    assert_eq!(raw.lead().await, (SMALL, true));
}

/// Five addresses, thirty strangers, sixteen places: they are taken all the time, and nobody who may fetch is kept out.
#[tokio::test(flavor = "multi_thread")]
async fn silent_strangers_keep_nobody_out() {
    let scene = Scene::with(Limits { strangers: 16, guests: 16 }).await;
    let mut bystander = scene.let_in(&scene.grantee("bystander")).await;
    let mut flood = Flood::new(&scene, 5, 6);
    for number in 0..5 {
        flood.fills_the_table().await;
        let grantee = scene.grantee(&format!("grantee {number}"));
        tokio::join!(is_served(&scene, &grantee), flood.gives_way());
    }
    flood.fills_the_table().await;
    // Who was let in has a place among others, which no stranger takes.
    goes_on(&mut bystander).await;
    // And a refusal is the one it always is.
    let grantee = scene.grantee("grantee");
    scene.hospital.revoke(scene.study, grantee.grant);
    let mut raw = scene.raw(&grantee.key, PROTOCOL).await;
    raw.say(&encoding::encode(&scene.hello(&grantee))).await;
    let told = soon(raw.receive.read_to_end(1_000)).await.unwrap();
    assert_eq!((&told[..5], told.len(), raw.closed().await), (&[0, 0, 0, 9, 0][..], 13, 1));
}

/// However many were let in to one study: whoever is let in to another has a place, and the oldest of the first gives it up.
#[tokio::test(flavor = "multi_thread")]
async fn one_study_keeps_no_other_from_being_served() {
    let scene = Scene::with(Limits { strangers: 16, guests: 3 }).await;
    let mut crowd = Vec::new();
    for number in 0..3 {
        crowd.push(scene.let_in(&scene.grantee(&format!("grantee {number}"))).await);
    }
    let study = scene.hospital.define(2);
    let key = secret("other");
    let (grant, terms) = scene.hospital.grant(study, &key.public());
    let mut other = scene.let_in(&Grantee { key, study, grant, terms }).await;
    assert_eq!(crowd.remove(0).closed().await, REPLACED);
    for raw in crowd.iter_mut().chain([&mut other]) {
        goes_on(raw).await;
    }
    let broken = |entry: &Entry| matches!(entry, Entry::Closed(closed) if closed.end == End::Broken);
    let mut receipts = scene.hospital.receipts.subscribe();
    let written = receipts.wait_for(|all| all.iter().any(|signed| broken(&signed.receipt.entry)));
    soon(written).await.unwrap();
}
