//! A hospital on loopback: a ledger in memory, an archive in a folder, and a server before them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::Duration;

use borsh::BorshDeserialize as _;
use clavicle_ledger::action::{DefineStudy, Grant, Revoke};
use clavicle_ledger::authorise::{Authorisation, Claim, Hello, SignedHello, View, authorise};
use clavicle_ledger::confirm::{Confirmed, Unconfirmed};
use clavicle_ledger::encoding::{self, Ascending, Text};
use clavicle_ledger::execute;
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{ChainId, GrantId, ReceiptDigest, RequestDigest, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey, Signature};
use clavicle_ledger::receipt::{Closed, End, Entry, Receipt, SignedReceipt, Stated, Statement};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::{MemoryState, ReadRows as _};
use clavicle_ledger::study::Study;
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{BlockTime, DAY_MS, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_letters::credential::Introduction;
use clavicle_manifest::{
    Attachment, Header, Instance, Manifest, MediaType, Nonce, Series, SignedManifest, StoredDigest, StoredHasher,
    Subtrees, Uid,
};
use clavicle_network::endpoint::{Remote, bind_towards};
use clavicle_network::pack::{Pack, PackKey};
use clavicle_network::revoke::Revocations;
use clavicle_network::transfer::{
    self, Admission, BoxError, BoxFuture, Fetch, FetchError, Gate, Kept, Listing, Offer, PROTOCOL, Reach, Reference,
    Verified,
};
use clavicle_network::{Limits, Server, swarm};
use clavicle_samples::terms::terms;
use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendStream};
use iroh::{Endpoint, EndpointAddr, EndpointId};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::pickups::Desk;
use crate::revocations::Told;

/// Noon on 2026-11-21, UTC.
const START: u64 = 1_795_262_400_000;
/// How long anything may take that a test waits for.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for something, for so long and no longer.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("it did not happen in time")
}

/// The hospital is alone in its network: what it has is the newest, and its clock is the only one.
const CONFIRMED: Result<Confirmed, Unconfirmed> =
    Ok(Confirmed { height: 0, age_ms: 0, earliest: Timestamp(0), latest: Timestamp(u64::MAX) });

/// A key from a word, the same in every run.
pub fn secret(word: &str) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(word.as_bytes()).as_bytes())
}

pub fn salt() -> Salt {
    Salt::from_bytes([4; 32])
}

/// Bytes that look like nothing, and no two files alike.
fn noise(name: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The places of the files of a study.
pub const SMALL: u32 = 0;
pub const EMPTY: u32 = 1;
pub const MIDDLE: u32 = 2;
pub const LARGE: u32 = 3;
pub const REPORT: u32 = 4;

/// Every file of a study, by place, and their digests.
static FILES: LazyLock<Vec<(Vec<u8>, StoredDigest)>> = LazyLock::new(|| {
    let files = [
        noise("small", 1_000),
        Vec::new(),
        noise("middle", 3 * 1024 * 1024 + 17),
        noise("large", 12 * 1024 * 1024),
        b"No finding.".to_vec(),
    ];
    files.map(|bytes| (bytes.clone(), StoredDigest::of(&bytes))).into()
});

/// The file with this place in a study.
pub fn file(place: u32) -> &'static [u8] {
    &FILES[place as usize].0
}

/// Its digest.
pub fn digest(place: u32) -> StoredDigest {
    FILES[place as usize].1
}

/// The hospital.
pub struct Hospital {
    pub chain: ChainId,
    pub genesis: Genesis,
    pub id: SourceId,
    pub operational: SecretKey,
    pub holder: SecretKey,
    archive: TempDir,
    state: Mutex<MemoryState>,
    offers: Mutex<BTreeMap<StudyId, Offer>>,
    pub withheld: Mutex<BTreeSet<StoredDigest>>,
    /// What was written down.
    pub receipts: watch::Sender<Vec<SignedReceipt>>,
    /// Whether nothing can be written down any more.
    pub full: AtomicBool,
    /// What was found to be not what it was, each time.
    pub damaged: Mutex<Vec<StoredDigest>>,
    /// Who asked to be told, whether of the whole, and where.
    pub reaches: Mutex<Vec<(Key, bool, Reach)>>,
    /// What was shown of whoever acts, each time it was asked.
    pub shown: Mutex<Vec<Option<Introduction>>>,
    nonce: AtomicU64,
    clock: AtomicU64,
    changes: watch::Sender<u64>,
    /// Whether something happens right after somebody was let in.
    pub restless: AtomicBool,
    /// Whether being asked again takes until this is false.
    held: Mutex<bool>,
    released: Condvar,
    /// How often it was begun to ask it again.
    pub deciding: watch::Sender<usize>,
    /// How often it was asked again.
    pub renewals: watch::Sender<usize>,
    /// Why it said no, each time.
    pub refusals: watch::Sender<Vec<String>>,
}

/// Whoever asks again waits as long as there is this.
pub struct Hold<'a>(&'a Hospital);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap() = false;
        self.0.released.notify_all();
    }
}

impl Hospital {
    fn new() -> Self {
        let secrets = ["operational", "consensus", "transfer", "network"].map(secret);
        let [operational, consensus, transfer, network] = &secrets;
        let announcement = Announcement {
            name: Text::new("mercy").unwrap(),
            kind: SourceKind::Validator,
            keys: SourceKeys {
                operational: operational.public(),
                consensus: Some(consensus.public()),
                transfer: transfer.public(),
                network: Ascending::from_items(vec![network.public()]).unwrap(),
            },
            addresses: Addresses::default(),
            mailbox: Ascending::new(),
        };
        let identity = secret("identity").public();
        let genesis = Genesis {
            name: Text::new("test").unwrap(),
            time: BlockTime(Timestamp(START)),
            parameters: Parameters::default(),
            sources: Ascending::from_items(vec![GenesisSource { identity, announcement }]).unwrap(),
        };
        let hospital = Self {
            chain: genesis.chain_id(),
            id: SourceId::of_identity(&genesis.chain_id(), &identity),
            operational: operational.clone(),
            holder: secret("holder"),
            archive: TempDir::new().unwrap(),
            state: Mutex::new(MemoryState::from_genesis(&genesis)),
            genesis,
            offers: Mutex::default(),
            withheld: Mutex::default(),
            receipts: watch::Sender::new(Vec::new()),
            full: AtomicBool::new(false),
            damaged: Mutex::default(),
            shown: Mutex::default(),
            reaches: Mutex::default(),
            nonce: AtomicU64::new(0),
            clock: AtomicU64::new(START),
            changes: watch::Sender::new(0),
            restless: AtomicBool::new(false),
            held: Mutex::default(),
            released: Condvar::new(),
            deciding: watch::Sender::new(0),
            renewals: watch::Sender::new(0),
            refusals: watch::Sender::new(Vec::new()),
        };
        for place in ALL {
            fs::write(hospital.file(place), file(place)).unwrap();
        }
        hospital
    }

    /// Where the archive keeps a file.
    pub fn place(&self, stored: &StoredDigest) -> PathBuf {
        self.archive.path().join(stored.to_string())
    }

    /// Where the archive keeps the file with this place in a study.
    pub fn file(&self, place: u32) -> PathBuf {
        self.place(&digest(place))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    /// Has being asked again take until what this returns is dropped: also when a test fails, which would not end otherwise.
    pub fn hold(&self) -> Hold<'_> {
        *self.held.lock().unwrap() = true;
        Hold(self)
    }

    /// Something happened that may have changed a consent.
    pub fn stir(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Lets time pass, with a block at its end.
    pub fn wait(&self, later_ms: u64) {
        self.clock.fetch_add(later_ms, Ordering::SeqCst);
        self.block(Vec::new());
    }

    fn block(&self, envelopes: Vec<clavicle_ledger::transaction::Verified>) {
        let mut state = self.state.lock().unwrap();
        let head = state.head().unwrap();
        let time = self.now().max(head.time.timestamp().plus(1));
        let proposal = execute::propose(&*state, head.height + 1, BlockTime(time), None, envelopes).unwrap();
        assert_eq!(proposal.left_out, Vec::new());
        state.commit(proposal.executed.changes);
        drop(state);
        self.clock.fetch_max(time.0, Ordering::SeqCst);
        self.stir();
    }

    pub fn body(&self, action: Action) -> Body {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonce.fetch_add(1, Ordering::SeqCst).to_le_bytes());
        Body { submit_by: self.now().plus(3_600_000), nonce, action }
    }

    /// Executes a transaction in a block of its own.
    pub fn act(&self, action: Action, keys: &[&SecretKey]) -> GrantId {
        let envelope = self.body(action).sign(&self.chain, keys).unwrap().check_stateless(&self.chain).unwrap();
        let id = envelope.id().into();
        self.block(vec![envelope]);
        id
    }

    /// Study number `number`, as the hospital has it.
    pub fn offer(&self, number: u32) -> Offer {
        let uid = |text: String| Uid::new(&text).unwrap();
        let study_instance_uid = uid(format!("1.2.840.{number}"));
        let named = salt().study_digest(study_instance_uid.as_str());
        let instance = |place: u32| Instance {
            sop_instance_uid: uid(format!("1.2.840.{number}.1.{place}")),
            sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.4".into()),
            transfer_syntax_uid: uid("1.2.840.10008.1.2.1".into()),
            size: file(place).len() as u64,
            stored: digest(place),
            dataset: None,
            pixels: None,
            frames: 1,
        };
        let series = Series {
            series_instance_uid: uid(format!("1.2.840.{number}.1")),
            modality: Text::new("MR").unwrap(),
            number: None,
            body_part: Text::default(),
            description: Text::default(),
            instances: Ascending::from_items((SMALL..REPORT).map(instance).collect()).unwrap(),
        };
        let attachment = Attachment {
            stored: digest(REPORT),
            size: file(REPORT).len() as u64,
            media_type: MediaType::Text,
            title: Text::default(),
        };
        let header = Header {
            study: StudyId::of(&self.chain, self.id, named),
            source: self.id,
            study_instance_uid,
            revision: 0,
            predecessor: None,
            open: true,
            study_date: None,
            description: Text::default(),
        };
        let manifest = Manifest::new(
            header,
            Nonce::from_bytes([7; 32]),
            Ascending::from_items(vec![series]).unwrap(),
            Ascending::from_items(vec![attachment]).unwrap(),
        );
        let signed = manifest.unwrap().sign(&self.chain, &self.operational);
        Offer { salt: salt(), manifest: Listing::Whole(signed) }
    }

    /// Signs a manifest as it is in an offer.
    pub fn signed(offer: &Offer) -> &SignedManifest {
        match &offer.manifest {
            Listing::Whole(signed) => signed,
            Listing::Part(_) => panic!("the offer is of a part"),
        }
    }

    /// The transaction that defines a study, without signatures.
    pub fn definition(&self, offer: &Offer) -> Action {
        let manifest = &Self::signed(offer).manifest;
        Action::DefineStudy(DefineStudy {
            digest: salt().study_digest(manifest.header().study_instance_uid.as_str()),
            source: self.operational.public(),
            holder: self.holder.public(),
            delegates: Ascending::new(),
            manifest_root: manifest.root(&self.chain),
            open: true,
        })
    }

    /// Puts study number `number` on the ledger.
    pub fn define(&self, number: u32) -> StudyId {
        let offer = self.offer(number);
        let id = offer.manifest.header().study;
        self.act(self.definition(&offer), &[&self.operational, &self.holder]);
        self.publish(id, offer);
        id
    }

    /// What is offered of a study from now on.
    pub fn publish(&self, study: StudyId, offer: Offer) {
        self.offers.lock().unwrap().insert(study, offer);
    }

    pub fn record(&self, study: StudyId) -> Study {
        self.state.lock().unwrap().study(study).unwrap().unwrap()
    }

    /// Terms for everything in the study, until a day from now.
    pub fn terms(&self, study: StudyId) -> Terms {
        terms(self.now(), self.now().plus(DAY_MS), self.record(study).manifest_root)
    }

    pub fn grant(&self, study: StudyId, grantee: &Key) -> (GrantId, Terms) {
        self.grant_on(study, grantee, self.terms(study))
    }

    /// A grant on these Terms.
    pub fn grant_on(&self, study: StudyId, grantee: &Key, terms: Terms) -> (GrantId, Terms) {
        let action = Action::Grant(Grant {
            study,
            granter: self.holder.public(),
            grantee: *grantee,
            expiry_day: terms.expires.day_rounded_up(),
            terms: terms.commitment(&self.chain, study, grantee),
            request: RequestDigest::NONE,
        });
        (self.act(action, &[&self.holder]), terms)
    }

    pub fn revoke(&self, study: StudyId, grant: GrantId) {
        let revoke = Revoke { study, revoker: self.holder.public(), grant, grant_submit_by: Timestamp(0) };
        self.act(Action::Revoke(revoke), &[&self.holder]);
    }

    /// Writes a receipt, if there is room for any.
    fn write(&self, study: StudyId, entry: Entry) -> Option<SignedReceipt> {
        if self.full.load(Ordering::SeqCst) {
            return None;
        }
        let mut written = None;
        self.receipts.send_modify(|receipts| {
            let before = receipts.iter().rfind(|signed| signed.receipt.study == study).map(|signed| &signed.receipt);
            let receipt = Receipt {
                source: self.id,
                signer: self.operational.public(),
                study,
                sequence: before.map_or(0, |before| before.sequence + 1),
                previous: before.map_or(ReceiptDigest::NONE, |before| before.digest(&self.chain)),
                at: self.now(),
                unlisted: 0,
                entry,
                blinding: [3; 32],
            };
            receipts.push(written.insert(receipt.sign(&self.chain, &self.operational)).clone());
        });
        written
    }

    fn refusal(&self, why: String) -> Reference {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        self.refusals.send_modify(|refusals| refusals.push(why));
        Reference(random)
    }

    fn view<T>(&self, ask: impl FnOnce(&View<'_, MemoryState>) -> T) -> T {
        let (state, none) = (self.state.lock().unwrap(), BTreeSet::new());
        let highest_seen = state.head().unwrap().time.timestamp();
        ask(&View { state: &state, source: self.id, highest_seen, confirmed: CONFIRMED, seen_revocations: &none })
    }
}

impl Gate for Hospital {
    fn admit(&self, remote: Key, hello: &SignedHello, shown: Option<&Introduction>) -> Result<Admission, Reference> {
        self.shown.lock().unwrap().push(shown.cloned());
        let authorisation = self
            .view(|view| authorise(view, self.clock(), remote, hello))
            .map_err(|why| self.refusal(why.to_string()))?;
        let offer = self.offers.lock().unwrap()[&authorisation.study()].clone();
        Ok(Admission { authorisation, offer, withheld: self.withheld.lock().unwrap().clone() })
    }

    fn opened<'a>(
        &'a self,
        authorisation: &'a Authorisation,
        hello: &'a SignedHello,
    ) -> BoxFuture<'a, Result<SignedReceipt, Reference>> {
        let mut entry = Entry::opens(&self.chain, authorisation.remote(), hello, authorisation.current());
        entry.opening_mut().unwrap().number = u32::from(authorisation.grant().is_some());
        let written = self.write(authorisation.study(), entry);
        if self.restless.load(Ordering::SeqCst) {
            self.stir();
        }
        Box::pin(async move { written.ok_or_else(|| self.refusal("the disk is full".into())) })
    }

    fn countersigned<'a>(
        &'a self,
        opened: &'a SignedReceipt,
        signature: Signature,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        let remote = opened.receipt.countersigner().unwrap();
        let verified = opened.receipt.digest(&self.chain).verify_countersignature(&self.chain, &remote, &signature);
        if verified.is_ok() {
            self.receipts.send_modify(|receipts| {
                let signed = receipts.iter_mut().find(|signed| signed.receipt == opened.receipt).unwrap();
                signed.countersignature = Some(signature);
            });
        }
        Box::pin(async move { Ok(verified?) })
    }

    fn closed<'a>(&'a self, opened: &'a SignedReceipt, (items, bytes): (u32, u64), end: End) -> BoxFuture<'a, ()> {
        let opened = &opened.receipt;
        self.write(opened.study, Entry::Closed(Closed { opened: opened.sequence, items, bytes, end }));
        Box::pin(async {})
    }

    fn tell<'a>(&'a self, opened: &'a SignedReceipt, whole: bool, reach: Reach) -> BoxFuture<'a, Result<(), BoxError>> {
        self.reaches.lock().unwrap().push((opened.receipt.countersigner().unwrap(), whole, reach));
        Box::pin(async { Ok(()) })
    }

    fn receipts(&self, authorisation: &Authorisation, from: u64) -> Result<Option<Statement>, BoxError> {
        let of_study =
            |signed: &&SignedReceipt| signed.receipt.study == authorisation.study() && signed.receipt.sequence >= from;
        let receipts = self.receipts.borrow();
        let stated = receipts.iter().filter(of_study).map(|signed| Stated { receipt: signed.clone(), anchored: None });
        let receipts = Ascending::from_items(stated.collect()).unwrap();
        let statement = Statement { receipts, anchors: Ascending::new(), more: false };
        Ok(authorisation.grant().is_none().then_some(statement))
    }

    fn renew(&self, authorisation: &Authorisation, shown: Option<&Introduction>) -> Result<Authorisation, Reference> {
        self.shown.lock().unwrap().push(shown.cloned());
        self.deciding.send_modify(|deciding| *deciding += 1);
        drop(self.released.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
        let renewed = self.view(|view| authorisation.renew(view, self.clock()));
        self.renewals.send_modify(|renewals| *renewals += 1);
        renewed.map_err(|why| self.refusal(why.to_string()))
    }

    fn refuse(&self, _: Key, why: &'static str) -> Reference {
        self.refusal(why.into())
    }

    fn open(&self, stored: &StoredDigest, size: u64) -> io::Result<Kept> {
        // As they were signed, whatever has become of the file since.
        let subtrees = FILES.iter().find(|(_, digest)| digest == stored).map(|(bytes, _)| {
            let mut hasher = StoredHasher::new();
            hasher.update(bytes);
            hasher.finish().2
        });
        assert_eq!(subtrees.as_ref().map_or(0, |all| all.as_slice().len() as u64), Subtrees::due(size));
        Ok(Kept { file: File::open(self.place(stored))?, subtrees: subtrees.unwrap_or_default() })
    }

    fn damaged(&self, stored: &StoredDigest, _: &io::Error) {
        self.damaged.lock().unwrap().push(*stored);
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn clock(&self) -> LocalTime {
        LocalTime(self.now())
    }
}

/// The hospital with its server, and study 1 of it.
pub struct Scene {
    pub hospital: Arc<Hospital>,
    pub desk: Arc<Desk>,
    pub told: Arc<Told>,
    pub server: Server,
    pub study: StudyId,
}

/// Somebody with a grant.
#[derive(Clone)]
pub struct Grantee {
    pub key: SecretKey,
    pub study: StudyId,
    pub grant: GrantId,
    pub terms: Terms,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let hospital = Arc::new(Hospital::new());
        let study = hospital.define(1);
        let desk = Arc::new(Desk::new(Arc::clone(&hospital)));
        let (gate, counter) = (Arc::clone(&hospital), Arc::clone(&desk));
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let told = Arc::new(Told::default());
        let revocations = Revocations::new(hospital.chain, Arc::clone(&told) as Arc<dyn swarm::Desk>);
        let server = Server::start_with(&secret("transfer"), at, (gate, counter, revocations), limits).await.unwrap();
        Self { hospital, desk, told, server, study }
    }

    pub fn remote(&self) -> Remote {
        Remote { key: secret("transfer").public(), addresses: vec![self.server.address()] }
    }

    /// Grants study 1 to the key from a word.
    pub fn grantee(&self, word: &str) -> Grantee {
        let (key, study) = (secret(word), self.study);
        let (grant, terms) = self.hospital.grant(study, &key.public());
        Grantee { key, study, grant, terms }
    }

    pub fn hello(&self, grantee: &Grantee) -> SignedHello {
        let Grantee { key, study, grant, terms } = grantee;
        let claim = Claim::Grant { grant: *grant, terms: terms.clone() };
        let hello = Hello::new(self.hospital.id, *study, claim, self.hospital.now());
        hello.sign(&self.hospital.chain, key)
    }

    pub async fn endpoint(&self, key: &SecretKey) -> Endpoint {
        bind_towards(key, self.server.address()).await.unwrap()
    }

    pub async fn connect(&self, grantee: &Grantee) -> Result<(Endpoint, Fetch), FetchError> {
        let endpoint = self.endpoint(&grantee.key).await;
        let fetch = soon(transfer::connect(&endpoint, &self.remote(), &self.hello(grantee))).await?;
        Ok((endpoint, fetch))
    }

    /// Verifies what was offered, against the ledger.
    pub fn verify(&self, fetch: Fetch, study: StudyId, key: &SecretKey) -> Result<Verified, FetchError> {
        let record = self.hospital.record(study);
        fetch.verify(&self.hospital.chain, study, &record, &self.hospital.operational.public(), key)
    }

    /// Connects, and verifies what is offered.
    pub async fn verified(&self, grantee: &Grantee) -> (Endpoint, Verified) {
        let (endpoint, fetch) = self.connect(grantee).await.unwrap();
        (endpoint, self.verify(fetch, grantee.study, &grantee.key).unwrap())
    }

    /// Connects as the holder, without any grant.
    pub async fn verified_holder(&self) -> (Endpoint, Verified) {
        let (key, source, at) = (&self.hospital.holder, self.hospital.id, self.hospital.now());
        let hello = Hello::new(source, self.study, Claim::Holder, at);
        let endpoint = self.endpoint(key).await;
        let hello = hello.sign(&self.hospital.chain, key);
        let fetch = soon(transfer::connect(&endpoint, &self.remote(), &hello)).await.unwrap();
        (endpoint, self.verify(fetch, self.study, key).unwrap())
    }

    /// Connects without saying anything yet.
    pub async fn raw(&self, key: &SecretKey, protocol: &[u8]) -> Raw {
        let (endpoint, connection) = self.connection(key, protocol).await;
        let (send, receive) = soon(connection.open_bi()).await.unwrap();
        Raw { _endpoint: endpoint, connection, send, receive }
    }

    pub async fn connection(&self, key: &SecretKey, protocol: &[u8]) -> (Endpoint, Connection) {
        let endpoint = self.endpoint(key).await;
        let connection = soon(endpoint.connect(self.address(), protocol)).await.unwrap();
        (endpoint, connection)
    }

    pub fn address(&self) -> EndpointAddr {
        let id = EndpointId::from_bytes(secret("transfer").public().as_bytes()).unwrap();
        EndpointAddr::new(id).with_ip_addr(self.server.address())
    }

    /// Somebody who was let in, has read the offer and signed the receipt.
    pub async fn let_in(&self, grantee: &Grantee) -> Raw {
        let mut raw = self.raw(&grantee.key, PROTOCOL).await;
        raw.say(&encoding::encode(&self.hello(grantee))).await;
        let receipt = raw.welcome().await;
        let signature = receipt.receipt.digest(&self.hospital.chain).countersign(&self.hospital.chain, &grantee.key);
        raw.say(&[&[0][..], &encoding::encode(&signature)].concat()).await;
        raw
    }
}

/// One side of a connection, byte by byte.
pub struct Raw {
    /// Its connection ends with it.
    _endpoint: Endpoint,
    pub connection: Connection,
    pub send: SendStream,
    pub receive: RecvStream,
}

impl Raw {
    /// Says a message.
    pub async fn say(&mut self, message: &[u8]) {
        soon(self.send.write_all(&(message.len() as u32).to_be_bytes())).await.unwrap();
        soon(self.send.write_all(message)).await.unwrap();
    }

    /// Hears a message.
    pub async fn hear(&mut self) -> Vec<u8> {
        let mut len = [0; 4];
        soon(self.receive.read_exact(&mut len)).await.unwrap();
        let mut message = vec![0; u32::from_be_bytes(len) as usize];
        soon(self.receive.read_exact(&mut message)).await.unwrap();
        message
    }

    /// Hears that it was let in, and the receipt of that.
    pub async fn welcome(&mut self) -> SignedReceipt {
        let heard = self.hear().await;
        assert_eq!(heard[0], 1, "refused");
        SignedReceipt::deserialize(&mut &heard[1..]).unwrap()
    }

    /// Asks for places.
    pub async fn want(&mut self, places: &[u32]) {
        let wants: Vec<(u32, u32)> = places.iter().map(|place| (*place, 0)).collect();
        self.say(&[&[1][..], &encoding::encode(&wants)].concat()).await;
    }

    /// Hears the begin of an item: its place, and whether it follows.
    pub async fn lead(&mut self) -> (u32, bool) {
        let mut lead = [0; 5];
        soon(self.receive.read_exact(&mut lead)).await.unwrap();
        let (place, follows) = lead.split_at(4);
        (u32::from_be_bytes(place.try_into().unwrap()), follows == [1])
    }

    /// Waits until the other side closes, and says with which code.
    pub async fn closed(&self) -> u64 {
        closed(&self.connection).await
    }
}

/// Waits until the other side closes, and says with which code.
pub async fn closed(connection: &Connection) -> u64 {
    match soon(connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other}"),
    }
}

pub const ALL: [u32; 5] = [SMALL, EMPTY, MIDDLE, LARGE, REPORT];

/// The pack in a folder.
pub fn pack(folder: &Path) -> Pack {
    Pack::open(folder, &PackKey::from_bytes([8; 32])).unwrap()
}

/// What a pack has of the study, by place.
pub fn found(folder: &Path) -> BTreeMap<u32, Vec<u8>> {
    let pack = pack(folder);
    let read = |place: u32| {
        let mut bytes = Vec::new();
        let read = pack.read(&digest(place), file(place).len() as u64).ok()?.read_to_end(&mut bytes);
        read.unwrap();
        Some((place, bytes))
    };
    ALL.into_iter().filter_map(read).collect()
}

/// The files of a study at these places.
pub fn signed(places: &[u32]) -> BTreeMap<u32, Vec<u8>> {
    places.iter().map(|place| (*place, file(*place).to_vec())).collect()
}
