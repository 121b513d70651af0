//! Sixty-four addresses open sockets and say nothing, and connect as guests and ask nothing, all at once and again and
//! again; and then the wallet's own address does. Once 300 silent sockets of one address were enough that no wallet
//! could revoke, and 1,024 guests that no newcomer came in.
//!
//! `CLAVICLE_LONG=1` takes more revocations, and holds a running fetch to half of its speed.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::DAY_MS;
use clavicle_letters::card::SignedCard;
use clavicle_letters::code;
use clavicle_network::endpoint::bind;
use clavicle_network::file as network_file;
use clavicle_network::swarm::Client;
use clavicle_network::transfer::PROTOCOL;
use clavicle_relay::keys::Keys;
use clavicle_wallet::patient::{GrantRequest, Patient, Revocable};
use clavicle_wallet::vault::Passphrase;
use iroh::{EndpointAddr, EndpointId};
use tokio::io::{AsyncReadExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::adversary::now;
use crate::cluster::{Cluster, in_another_study, slice};
use crate::people::text;
use crate::process::{PATIENCE, until};

/// The source, which gets the most of it.
const MERCY: usize = 0;
/// What is promised of a revocation.
const PROMISED: Duration = Duration::from_secs(2);
/// Silent sockets at the source and at each of the others, guests and strangers over iroh at the source: more of each
/// than it has places, but for the last.
const SILENT: [usize; 4] = [640, 320, 320, 320];
const GUESTS: usize = 1_088;
const STRANGERS: usize = 64;
/// By how much the flood's threads are nicer than others: each has a tenth of the weight.
const BEHIND: i32 = 10;
/// How long it may take until all places are taken. What keeps newcomers out keeps guests out, too: then there are never as many.
const FILLING: Duration = Duration::from_secs(60);
/// How soon whoever was cut off comes again.
const AGAIN: Duration = Duration::from_millis(250);

/// Where everything is.
struct Target {
    chain: ChainId,
    network: [SocketAddr; 4],
    relay: Key,
    transfer: (Key, SocketAddr),
}

#[derive(Default)]
struct Counts {
    cut_off: AtomicUsize,
    guests: AtomicUsize,
}

/// A flood, until it is dropped.
struct Flood {
    runtime: Option<Runtime>,
    counts: Arc<Counts>,
}

impl Flood {
    /// From so many addresses: `127.0.1.x`, or the one that wallets here have too.
    fn new(target: &Arc<Target>, addresses: &[[u8; 4]]) -> Self {
        let runtime = elsewhere();
        let counts = Arc::<Counts>::default();
        let share = |all: usize, at: usize| (at * all / addresses.len())..((at + 1) * all / addresses.len());
        for (at, address) in addresses.iter().copied().enumerate() {
            for (to, count) in target.network.into_iter().zip(SILENT) {
                for _ in share(count, at) {
                    runtime.spawn(silent(to, address, Arc::clone(&counts)));
                }
            }
            runtime.spawn(guests(Arc::clone(target), address, share(GUESTS, at).len(), Arc::clone(&counts)));
            runtime.spawn(strangers(Arc::clone(target), address, share(STRANGERS, at)));
        }
        let flood = Self { runtime: Some(runtime), counts };
        let from = Instant::now();
        until(|| flood.is_there() || from.elapsed() > FILLING, |over| *over);
        flood
    }

    /// All places are taken, so that some were cut off for others, and as many guests came as there are places for.
    fn is_there(&self) -> bool {
        let (cut_off, guests) = self.counted();
        cut_off > 64 && guests > GUESTS - 64
    }

    fn counted(&self) -> (usize, usize) {
        (self.counts.cut_off.load(Ordering::Relaxed), self.counts.guests.load(Ordering::Relaxed))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Whoever floods has processors of its own. Here it has what the relays and the people leave of two, so that what the flood costs *them* is seen.
fn elsewhere() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // The system counts niceness by thread.
    let behind = || assert!(rustix::process::nice(BEHIND).is_ok());
    builder.worker_threads(2).enable_all().on_thread_start(behind).build().unwrap()
}

async fn connect(to: SocketAddr, from: [u8; 4]) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    timeout(PATIENCE, socket.connect(to)).await?
}

async fn silent(to: SocketAddr, from: [u8; 4], counts: Arc<Counts>) {
    loop {
        if let Ok(mut stream) = connect(to, from).await {
            // Until it is cut off.
            stream.read_to_end(&mut Vec::new()).await.ok();
            counts.cut_off.fetch_add(1, Ordering::Relaxed);
        }
        sleep(AGAIN).await;
    }
}

/// Guests who shake hands and ask nothing, each for as long as it is let; the oldest makes room for a new one now and
/// then.
async fn guests(target: Arc<Target>, from: [u8; 4], count: usize, counts: Arc<Counts>) {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = [format!("/ip4/127.0.0.1/tcp/{}", door.local_addr().unwrap().port())];
    let to = target.network[MERCY];
    // A client has no address to choose, so that another connects for it.
    let forward = async {
        loop {
            let Ok((mut inside, _)) = door.accept().await else { continue };
            #[expect(clippy::disallowed_methods, reason = "its runtime is the owner: it ends with the flood")]
            tokio::spawn(async move {
                if let Ok(mut outside) = connect(to, from).await {
                    copy_bidirectional(&mut inside, &mut outside).await.ok();
                }
            });
        }
    };
    let come = async {
        let mut clients = VecDeque::new();
        loop {
            if clients.len() >= count {
                clients.pop_front();
                sleep(AGAIN).await;
            }
            if let Ok(client) = Client::connect(target.chain, &target.relay, &through, PATIENCE).await {
                clients.push_back(client);
                counts.guests.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    tokio::join!(forward, come);
}

/// Strangers at the source's endpoint, who connect under one key each and say nothing.
async fn strangers(target: Arc<Target>, from: [u8; 4], which: Range<usize>) {
    let (key, at) = target.transfer;
    let to = EndpointAddr::new(EndpointId::from_bytes(key.as_bytes()).unwrap()).with_ip_addr(at);
    let mut endpoints = Vec::new();
    for number in which {
        let key = clavicle_ledger::key::SecretKey::from_bytes(&[number as u8; 32]);
        endpoints.push(bind(&key, Some(SocketAddr::from((from, 0))), &[]).await.unwrap());
    }
    loop {
        for endpoint in &endpoints {
            if let Ok(connection) = endpoint.connect(to.clone(), PROTOCOL).await {
                timeout(AGAIN, connection.closed()).await.ok();
            }
        }
        sleep(AGAIN).await;
    }
}

/// A patient in this process.
struct Person {
    runtime: Runtime,
    patient: Patient,
    study: String,
}

impl Person {
    fn new(cluster: &Cluster, name: &str, slices: RangeInclusive<usize>) -> Self {
        let folder = cluster.path(&format!("images of {name}"));
        fs::create_dir(&folder).unwrap();
        for (file, bytes) in slices.clone().map(slice) {
            // A study of their own.
            fs::write(folder.join(file), in_another_study(&bytes, *slices.start())).unwrap();
        }
        cluster.patient(name);
        let study = cluster.ingest(MERCY, &format!("images of {name}"));
        cluster.pick_up(MERCY, &study, name);
        let passphrase = Passphrase::read(&cluster.path("pw")).unwrap();
        let patient = Patient::open(&cluster.path(name), &passphrase, now).unwrap();
        Self { runtime: runtime(), patient, study }
    }

    /// Grants and revokes; how long each took.
    fn grant_and_revoke(&mut self, card: &SignedCard) -> [Duration; 2] {
        let study = self.patient.study(&self.study).unwrap();
        let request = GrantRequest { later_revisions: false, ..GrantRequest::new(DAY_MS, PurposeOfUse::Treatment) };
        let from = Instant::now();
        let granted = self.runtime.block_on(self.patient.grant(&study, card, &request, false)).unwrap();
        let granting = from.elapsed();
        let from = Instant::now();
        self.runtime.block_on(self.patient.revoke(&Revocable::from(&granted))).unwrap();
        let revoking = from.elapsed();
        assert!(self.patient.revocation_receipt(granted.id).unwrap().is_some(), "the source said since when it binds");
        [granting, revoking]
    }

    /// Fetches the study over and over until it is told to stop; bytes for each second.
    fn fetch(&mut self, cluster: &Cluster, stop: &AtomicBool) -> f64 {
        let study = self.patient.study(&self.study).unwrap();
        let (mut bytes, from) = (0, Instant::now());
        let mut number = 0;
        loop {
            number += 1;
            let out = cluster.path(&format!("fetched {number}"));
            let fetched = self.runtime.block_on(self.patient.fetch(&study, Some(&out), |_, _| ())).unwrap();
            bytes += fetched.bytes;
            fs::remove_dir_all(&out).unwrap();
            if stop.load(Ordering::Relaxed) {
                return bytes as f64 / from.elapsed().as_secs_f64();
            }
        }
    }
}

/// Says stop when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn percentile(all: &mut [Duration], percent: usize) -> Duration {
    all.sort();
    all[(all.len() * percent).div_ceil(100).saturating_sub(1)]
}

#[test]
fn a_flood_from_64_addresses_delays_no_revocation() {
    let long = std::env::var_os("CLAVICLE_LONG").is_some_and(|long| long == "1");
    // A study has 32 grants a day.
    let rounds = if long { 14 } else { 8 };
    let cluster = Cluster::running();
    cluster.recipient("rossi");
    let mut cards = std::iter::repeat_with(|| {
        let card = cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", "8"]);
        code::from_text::<SignedCard>(&text(&card["code"])).unwrap()
    });
    let mut ana = Person::new(&cluster, "ana", 1..=2);
    let mut bo = Person::new(&cluster, "bo", 3..=20);
    let genesis = network_file::read_genesis(&cluster.path("network.json")).unwrap();
    let keys = Keys::read(&cluster.home(MERCY).keys_folder()).unwrap();
    let listen = |n: usize| cluster.home(n).settings().unwrap().listen;
    let target = Arc::new(Target {
        chain: genesis.chain_id(),
        network: [0, 1, 2, 3].map(|n| listen(n).network),
        relay: keys.network.public(),
        transfer: (keys.transfer.public(), listen(MERCY).transfer),
    });
    assert_eq!(
        SourceId::of_identity(&target.chain, &keys.identity.public()),
        ana.patient.study(&ana.study).unwrap().held.source
    );

    let many: Vec<[u8; 4]> = (1..=64).map(|host| [127, 0, 1, host]).collect();
    let scenes = [("quiet", vec![]), ("64 addresses", many), ("the wallet's own address", vec![[127, 0, 0, 1]])];
    let mut quiet = 0.0;
    for (scene, addresses) in scenes {
        let flood = (!addresses.is_empty()).then(|| Flood::new(&target, &addresses));
        let before = flood.as_ref().map(Flood::counted);
        let stop = AtomicBool::new(false);
        let (mut grants, mut revocations, speed) = std::thread::scope(|threads| {
            let fetching = threads.spawn(|| bo.fetch(&cluster, &stop));
            // Also when something fails, or the fetching would not end.
            let stopping = Stop(&stop);
            let mut took = (Vec::new(), Vec::new());
            let rounds = if addresses.is_empty() { 4 } else { rounds };
            while took.1.len() < rounds {
                let card = cards.next().unwrap();
                for _ in 0..8.min(rounds - took.1.len()) {
                    let [granting, revoking] = ana.grant_and_revoke(&card);
                    took.0.push(granting);
                    took.1.push(revoking);
                }
            }
            drop(stopping);
            (took.0, took.1, fetching.join().unwrap())
        });
        let (p50, p99) = (percentile(&mut revocations, 50), percentile(&mut revocations, 99));
        println!(
            "{scene}: revoked in {p50:?} (p50), {p99:?} (p99) of {}; granted in {:?} (p50); fetched at {:.1} MB/s",
            revocations.len(),
            percentile(&mut grants, 50),
            speed / 1e6
        );
        match (flood, before) {
            (Some(flood), Some(before)) => {
                let after = flood.counted();
                println!(
                    "  meanwhile {} sockets were cut off and {} guests came",
                    after.0 - before.0,
                    after.1 - before.1
                );
                assert!(flood.is_there(), "the flood is none: {after:?}");
                assert!(after.0 > before.0 && after.1 > before.1, "the flood went on: {before:?}, {after:?}");
                assert!(p99 <= PROMISED, "{p99:?}");
                assert!(!long || speed >= quiet / 2.0, "{speed} of {quiet}");
            }
            _ => quiet = speed,
        }
    }
}
