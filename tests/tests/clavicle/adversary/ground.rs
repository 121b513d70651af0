//! The ground that the adversary plays on: four hospitals, and every key and byte in one's own hands.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{ChainId, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::LightClient;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::Study;
use clavicle_ledger::time::{HOUR_MS, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_letters::pickup::PickupCode;
use clavicle_network::endpoint::Remote;
use clavicle_network::file as network_file;
use clavicle_network::message::{Query, Request, Response, RowKey, Verdict};
use clavicle_network::swarm::Client;
use clavicle_relay::control::{self, ClientError};
use clavicle_relay::keys::Keys;
use clavicle_relay::operations::explain::Explain;
use clavicle_relay::operations::ingest::Ingest;
use clavicle_relay::operations::pickup::{Pickup, Seen, VisitRequest};
use clavicle_relay::operations::status::Status;
use clavicle_relay::operations::submit::Submit;
use clavicle_relay::refusals::Refusal;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, HOSPITALS};
use crate::image::Image;
use crate::process::PATIENCE;

/// The hospital whose studies these are.
pub(super) const SOURCE: usize = 0;
/// The PIN of every pickup.
pub(super) const PIN: &str = "4711";

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the adversary has a clock of its own, as wallets do")]
pub(crate) fn now() -> LocalTime {
    LocalTime(Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()))
}

/// A hospital, with all its keys.
pub(super) struct Hospital {
    pub(super) id: SourceId,
    pub(super) keys: Keys,
    /// Where its relay answers wallets.
    libp2p: Vec<String>,
    /// Where its images are served.
    pub(super) served: Remote,
    socket: PathBuf,
}

/// Four hospitals that run.
pub(super) struct Ground {
    pub(super) cluster: Cluster,
    pub(super) genesis: Genesis,
    pub(super) chain: ChainId,
    pub(super) hospitals: Vec<Hospital>,
    /// Keys and nonces, each used once.
    made: AtomicU64,
}

impl Ground {
    /// Four hospitals that run, with so many seconds between blocks; their sources refuse to serve on a head three times as old.
    pub(super) fn new(heartbeat: &str) -> Self {
        let mut cluster = Cluster::empty();
        for hospital in HOSPITALS {
            cluster.hospital(&["init", "--dir", hospital, "--name", hospital]);
        }
        let sources = HOSPITALS.map(|hospital| format!("{hospital}/source.json"));
        let genesis = ["genesis", "--heartbeat", heartbeat, "--out", "network.json"];
        cluster.hospital(&genesis.into_iter().chain(sources.iter().map(String::as_str)).collect::<Vec<_>>());
        (0..4).for_each(|n| cluster.start(n));
        cluster.reach(&[0, 1, 2, 3], 1);
        let genesis = network_file::read_genesis(&cluster.path("network.json")).unwrap();
        let chain = genesis.chain_id();
        let hospital = |n: usize| {
            let keys = Keys::read(&cluster.home(n).keys_folder()).unwrap();
            let source = genesis.sources.find(&keys.identity.public()).unwrap();
            let addresses = &source.announcement.addresses;
            Hospital {
                id: SourceId::of_identity(&chain, &source.identity),
                libp2p: addresses.libp2p.iter().map(ToString::to_string).collect(),
                served: Remote::announced(
                    keys.transfer.public(),
                    addresses.iroh.iter().map(clavicle_ledger::encoding::Text::as_str),
                ),
                keys,
                socket: cluster.home(n).socket(),
            }
        };
        let hospitals = (0..4).map(hospital).collect();
        Self { cluster, chain, genesis, hospitals, made: AtomicU64::new(1) }
    }

    fn next(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// A key that nobody had before.
    pub(super) fn key(&self) -> SecretKey {
        let mut seed = [0xad; 32];
        seed[..8].copy_from_slice(&self.next().to_le_bytes());
        SecretKey::from_bytes(&seed)
    }

    /// A nonce that nobody had before.
    pub(super) fn nonce(&self) -> [u8; 16] {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.next().to_le_bytes());
        nonce
    }

    /// Signs an action that may come into a block for an hour.
    pub(super) fn sign(&self, action: Action, keys: &[&SecretKey]) -> Envelope {
        let body = Body { submit_by: now().0.plus(HOUR_MS), nonce: self.nonce(), action };
        body.sign(&self.chain, keys).unwrap()
    }

    /// A question to hospital `n`, as a wallet asks.
    pub(super) async fn client(&self, n: usize) -> Client {
        let Hospital { keys, libp2p, .. } = &self.hospitals[n];
        let patience = Duration::from_secs(10);
        Client::connect(self.chain, &keys.network.public(), libp2p, patience).await.unwrap()
    }

    /// What hospital `n` says to a transaction.
    pub(super) async fn submit(&self, n: usize, envelope: &Envelope) -> Verdict {
        let answer = self.client(n).await.ask(Request::Submit(Box::new(envelope.clone()))).await.unwrap();
        let (Response::Verdict(verdict) | Response::Bound { verdict, .. }) = answer else { panic!("{answer:?}") };
        verdict
    }

    /// Why hospital `n` does not take a transaction.
    #[track_caller]
    pub(super) fn rejected(verdict: &Verdict) -> &str {
        let Verdict::Rejected(why) = verdict else { panic!("{verdict:?}") };
        why.as_str()
    }

    /// Submits a transaction at the source, and returns when it is final at these relays.
    pub(super) async fn make_final_at(&self, relays: &[usize], envelope: &Envelope) {
        let end = Instant::now() + PATIENCE;
        for n in relays {
            let mut client = self.client(*n).await;
            loop {
                let answer = client.ask(Request::Submit(Box::new(envelope.clone()))).await.unwrap();
                let (Response::Verdict(verdict) | Response::Bound { verdict, .. }) = answer else {
                    panic!("{answer:?}")
                };
                match verdict {
                    Verdict::Executed(_) => break,
                    Verdict::Waits => sleep(Duration::from_millis(5)).await,
                    other => panic!("{other:?}"),
                }
                assert!(Instant::now() < end, "not final at {}", HOSPITALS[*n]);
            }
        }
    }

    /// The same, at the source.
    pub(super) async fn make_final(&self, envelope: &Envelope) {
        self.make_final_at(&[SOURCE], envelope).await;
    }

    /// A study's record as hospital `n` has it, proven; waits until it has one.
    pub(super) async fn record(&self, n: usize, study: StudyId) -> Study {
        let rows = [StateKey::Head, StateKey::Study(study)].map(RowKey).to_vec();
        let query = Query::Rows(Ascending::from_items(rows).unwrap());
        let (mut client, end) = (self.client(n).await, Instant::now() + PATIENCE);
        loop {
            let answer = client.ask(Request::Query(query.clone())).await.unwrap();
            let Response::Rows(Some(proven)) = answer else { panic!("{answer:?}") };
            let mut light = LightClient::from_genesis(&self.genesis);
            light.accept(&proven.head, now()).unwrap();
            if let Some(record) = light.fragment(proven.rows.as_slice()).unwrap().study(study).unwrap() {
                return record;
            }
            assert!(Instant::now() < end, "no such study at {}", HOSPITALS[n]);
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the operator of hospital `n` finds under a reference.
    pub(super) async fn explain(&self, n: usize, reference: &str) -> Result<Refusal, ClientError> {
        control::ask(&self.hospitals[n].socket, &Explain { reference: reference.to_owned() }).await
    }

    /// Gives a transaction to the source as its own operator does.
    pub(super) async fn operate(&self, envelope: &Envelope) {
        let bytes = clavicle_ledger::encoding::encode(envelope);
        let socket = &self.hospitals[SOURCE].socket;
        control::ask(socket, &Submit::of(&bytes)).await.unwrap();
        self.make_final(envelope).await;
    }

    /// Takes images into the source's archive; the study's id.
    pub(super) async fn ingest(&self, images: &[Image<'_>]) -> StudyId {
        let folder = self.cluster.path(&format!("images-{}", self.next()));
        fs::create_dir(&folder).unwrap();
        for (n, image) in images.iter().enumerate() {
            fs::write(folder.join(format!("{n}.dcm")), image.file()).unwrap();
        }
        let request = Ingest { folder, report: None, unchecked: false };
        let socket = &self.hospitals[SOURCE].socket;
        let taken = control::ask(socket, &request).await.unwrap();
        assert!(taken.accounting.is_all_done() && taken.studies.len() == 1, "{taken:?}");
        id(&taken.studies[0])
    }

    /// What the desk gives out.
    pub(super) async fn issue(&self, visit: VisitRequest) -> Result<PickupCode, ClientError> {
        let request = Pickup { visit, pin: Some(PIN.to_owned()), hours: 1, seen: Seen::No };
        let socket = &self.hospitals[SOURCE].socket;
        let issued = control::ask(socket, &request).await?;
        Ok(clavicle_letters::code::from_text(&issued.issued.unwrap().code).unwrap())
    }

    /// Waits until the relay of hospital `n` answers its operator.
    pub(super) async fn wait_until_it_answers(&self, n: usize) {
        let (end, socket) = (Instant::now() + PATIENCE, &self.hospitals[n].socket);
        while control::ask(socket, &Status {}).await.is_err() {
            assert!(Instant::now() < end, "{} does not start", HOSPITALS[n]);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the source's newest block is recent enough to serve on, or is not.
    pub(super) async fn wait_until_fresh(&self, fresh: bool) {
        let end = Instant::now() + PATIENCE;
        let socket = &self.hospitals[SOURCE].socket;
        let status = async || control::ask(socket, &Status {}).await;
        while !status().await.is_ok_and(|status| status.fresh == fresh) {
            assert!(Instant::now() < end, "{}", if fresh { "no new block" } else { "blocks go on" });
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// An id in an answer.
pub(super) fn id(digits: &str) -> StudyId {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    StudyId::from_bytes(std::array::from_fn(|n| byte(2 * n)))
}

/// Waits until a moment by the clock.
pub(super) async fn wait_for(moment: Timestamp) {
    while now().0 < moment {
        sleep(Duration::from_millis(moment.since(now().0))).await;
    }
}

impl Hospital {
    /// Its operational key.
    pub(super) fn operational(&self) -> Key {
        self.keys.operational.public()
    }
}
