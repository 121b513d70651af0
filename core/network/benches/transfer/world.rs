//! A hospital with the studies on its ledger, and everybody's grants: the same in every process that makes it from the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clavicle_ledger::action::{DefineStudy, Grant};
use clavicle_ledger::authorise::{Authorisation, Claim, Hello, SeenRevocation, SignedHello, View, authorise};
use clavicle_ledger::confirm::{Confirmed, Unconfirmed};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::execute;
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{ChainId, EnvelopeHash, GrantId, ReceiptDigest, RequestDigest, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey, Signature};
use clavicle_ledger::receipt::{End, Entry, Receipt, ReceiptClaim, SignedReceipt, Statement};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::{MemoryState, ReadRows as _};
use clavicle_ledger::study::{Capacity, Grave, Study};
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{BlockTime, DAY_MS, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_letters::credential::Introduction;
use clavicle_manifest::{Header, Instance, Manifest, Nonce, Series, StoredDigest, StoredHasher, Subtrees, Uid};
use clavicle_network::message::Included;
use clavicle_network::pickup::{self, Counter, Denied, Offers, Secret, TicketHash};
use clavicle_network::transfer::{Admission, BoxError, BoxFuture, Gate, Kept, Listing, Offer, Reach, Reference};
use clavicle_samples::terms::terms;
use tokio::sync::watch;

use crate::study::Shape;

/// Noon on 2026-11-21, UTC. No clock goes here: nothing that is measured depends on one.
const NOW: Timestamp = Timestamp(1_795_262_400_000);
/// As many may be granted a study as one day lets its holder.
const GRANTEES: u32 = 30;

/// The hospital is alone in its network: what it has is the newest, and its clock is the only one.
const CONFIRMED: Result<Confirmed, Unconfirmed> =
    Ok(Confirmed { height: 0, age_ms: 0, earliest: Timestamp(0), latest: Timestamp(u64::MAX) });

/// A key from a word, the same in every process.
pub(crate) fn secret(word: &str) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(word.as_bytes()).as_bytes())
}

/// Somebody with a grant.
pub(crate) struct Grantee {
    pub(crate) key: SecretKey,
    pub(crate) study: StudyId,
    grant: GrantId,
    terms: Terms,
}

pub(crate) struct Hospital {
    pub(crate) chain: ChainId,
    id: SourceId,
    operational: SecretKey,
    holder: SecretKey,
    state: MemoryState,
    offers: BTreeMap<StudyId, Offer>,
    files: BTreeMap<StoredDigest, (PathBuf, Subtrees)>,
    nonce: u64,
    changes: watch::Sender<u64>,
    /// Every so many who are let in are revoked when their first byte is due; none without.
    pub(crate) revoke_every: Option<usize>,
    revoked: Mutex<Revoked>,
}

/// Who was revoked, and how long it took from then until they were cut off.
#[derive(Default)]
struct Revoked {
    let_in: usize,
    seen: BTreeSet<SeenRevocation>,
    since: BTreeMap<GrantId, Instant>,
    took: Vec<Duration>,
    too_late: usize,
}

impl Hospital {
    pub(crate) fn new() -> Self {
        let [operational, consensus, transfer, network] =
            ["operational", "consensus", "transfer", "network"].map(secret);
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
            name: Text::new("bench").unwrap(),
            time: BlockTime(NOW),
            parameters: Parameters::default(),
            sources: Ascending::from_items(vec![GenesisSource { identity, announcement }]).unwrap(),
        };
        Self {
            chain: genesis.chain_id(),
            id: SourceId::of_identity(&genesis.chain_id(), &identity),
            operational,
            holder: secret("holder"),
            state: MemoryState::from_genesis(&genesis),
            offers: BTreeMap::new(),
            files: BTreeMap::new(),
            nonce: 0,
            changes: watch::Sender::new(0),
            revoke_every: None,
            revoked: Mutex::default(),
        }
    }

    /// How long each was served after it was revoked, and how many were served to the end before that could be.
    pub(crate) fn cuts(&self) -> (Vec<Duration>, usize) {
        let revoked = self.revoked.lock().unwrap();
        (revoked.took.clone(), revoked.too_late)
    }

    /// Takes note of one more who was let in, and revokes it if it is its turn.
    fn count(&self, study: StudyId, opened: &Entry) {
        let (Some(every), Some(opened)) = (self.revoke_every, opened.opened()) else { return };
        let ReceiptClaim::Grant { grant, .. } = opened.claim else { return };
        {
            let mut revoked = self.revoked.lock().unwrap();
            revoked.let_in += 1;
            if !revoked.let_in.is_multiple_of(every) {
                return;
            }
            revoked.seen.insert((study, Grave { grant, by: Capacity::Holder }));
            revoked.since.insert(grant, Instant::now());
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Takes in a study's files, as instances of so many studies, and grants these to so many: number 0 and on. Gives the
    /// grantees back.
    pub(crate) fn take_in(&mut self, root: &Path, shape: Shape, grantees: u32) -> Vec<Grantee> {
        let instances: Vec<Instance> = (0..shape.count).map(|number| self.instance(root, shape, number)).collect();
        let mut all = Vec::new();
        for from in (0..grantees).step_by(GRANTEES as usize) {
            let id = self.define(&format!("{}.{}", shape.uid(), 10_000 + from), shape, instances.clone());
            let terms = self.terms(id);
            let keys =
                (from..grantees.min(from + GRANTEES)).map(|number| secret(&format!("{} {number}", shape.number)));
            let keys: Vec<SecretKey> = keys.collect();
            let holder = self.holder.clone();
            let grants = keys.iter().map(|key| self.grant(id, &key.public(), &terms)).collect();
            let grants = self.block(grants, &[&holder]);
            let with = keys.into_iter().zip(grants);
            all.extend(with.map(|(key, grant)| Grantee { key, study: id, grant, terms: terms.clone() }));
        }
        all
    }

    fn instance(&mut self, root: &Path, shape: Shape, number: u32) -> Instance {
        let path = shape.file(root, number);
        let (mut file, mut hasher) = (File::open(&path).unwrap(), StoredHasher::new());
        let mut block = vec![0; 1 << 20];
        loop {
            match file.read(&mut block).unwrap() {
                0 => break,
                len => hasher.update(&block[..len]),
            }
        }
        let (size, stored, subtrees) = hasher.finish();
        self.files.insert(stored, (path, subtrees));
        Instance {
            sop_instance_uid: Uid::new(&shape.instance_uid(number)).unwrap(),
            sop_class_uid: Uid::new("1.2.840.10008.5.1.4.1.1.4").unwrap(),
            transfer_syntax_uid: Uid::new("1.2.840.10008.1.2.1").unwrap(),
            size,
            stored,
            dataset: None,
            pixels: None,
            frames: 1,
        }
    }

    fn define(&mut self, uid: &str, shape: Shape, instances: Vec<Instance>) -> StudyId {
        let salt = Salt::from_bytes([4; 32]);
        let digest = salt.study_digest(uid);
        let series = Series {
            series_instance_uid: Uid::new(&shape.series_uid()).unwrap(),
            modality: Text::new("MR").unwrap(),
            number: None,
            body_part: Text::default(),
            description: Text::default(),
            instances: Ascending::from_items(instances).unwrap(),
        };
        let header = Header {
            study: StudyId::of(&self.chain, self.id, digest),
            source: self.id,
            study_instance_uid: Uid::new(uid).unwrap(),
            revision: 0,
            predecessor: None,
            open: false,
            study_date: None,
            description: Text::default(),
        };
        let id = header.study;
        let series = Ascending::from_items(vec![series]).unwrap();
        let manifest = Manifest::new(header, Nonce::from_bytes([7; 32]), series, Ascending::new()).unwrap();
        let definition = Action::DefineStudy(DefineStudy {
            digest,
            source: self.operational.public(),
            holder: self.holder.public(),
            delegates: Ascending::new(),
            manifest_root: manifest.root(&self.chain),
            open: false,
        });
        let signed = manifest.sign(&self.chain, &self.operational);
        self.offers.insert(id, Offer { salt, manifest: Listing::Whole(signed) });
        let (operational, holder) = (self.operational.clone(), self.holder.clone());
        self.block(vec![definition], &[&operational, &holder]);
        id
    }

    fn terms(&self, study: StudyId) -> Terms {
        terms(NOW, NOW.plus(DAY_MS), self.record(study).manifest_root)
    }

    fn grant(&self, study: StudyId, grantee: &Key, terms: &Terms) -> Action {
        Action::Grant(Grant {
            study,
            granter: self.holder.public(),
            grantee: *grantee,
            expiry_day: terms.expires.day_rounded_up(),
            terms: terms.commitment(&self.chain, study, grantee),
            request: RequestDigest::NONE,
        })
    }

    /// Executes actions in a block, and says their ids.
    fn block(&mut self, actions: Vec<Action>, keys: &[&SecretKey]) -> Vec<GrantId> {
        let (mut envelopes, mut ids) = (Vec::new(), Vec::new());
        for action in actions {
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&self.nonce.to_le_bytes());
            self.nonce += 1;
            let body = Body { submit_by: NOW.plus(3_600_000), nonce, action };
            let envelope = body.sign(&self.chain, keys).unwrap().check_stateless(&self.chain).unwrap();
            ids.push(envelope.id().into());
            envelopes.push(envelope);
        }
        let head = self.state.head().unwrap();
        let time = BlockTime(head.time.timestamp().plus(1));
        let proposal = execute::propose(&self.state, head.height + 1, time, None, envelopes).unwrap();
        assert!(proposal.left_out.is_empty(), "{:?}", proposal.left_out);
        self.state.commit(proposal.executed.changes);
        ids
    }

    pub(crate) fn record(&self, study: StudyId) -> Study {
        self.state.study(study).unwrap().unwrap()
    }

    pub(crate) fn operational(&self) -> Key {
        self.operational.public()
    }

    fn now(&self) -> Timestamp {
        self.state.head().unwrap().time.timestamp()
    }

    pub(crate) fn hello(&self, grantee: &Grantee) -> SignedHello {
        let claim = Claim::Grant { grant: grantee.grant, terms: grantee.terms.clone() };
        let hello = Hello::new(self.id, grantee.study, claim, self.now());
        hello.sign(&self.chain, &grantee.key)
    }

    fn view<T>(&self, ask: impl FnOnce(&View<'_, MemoryState>) -> T) -> T {
        let (seen, highest_seen) = (self.revoked.lock().unwrap().seen.clone(), self.now());
        ask(&View { state: &self.state, source: self.id, highest_seen, confirmed: CONFIRMED, seen_revocations: &seen })
    }
}

/// In a benchmark nobody is refused, but who is revoked.
fn refused(why: &impl ToString) -> Reference {
    let why = why.to_string();
    if !why.contains("revoked") {
        eprintln!("refused: {why}");
    }
    Reference([0; 8])
}

impl Gate for Hospital {
    fn admit(&self, remote: Key, hello: &SignedHello, _: Option<&Introduction>) -> Result<Admission, Reference> {
        let authorisation =
            self.view(|view| authorise(view, self.clock(), remote, hello)).map_err(|why| refused(&why))?;
        let offer = self.offers[&authorisation.study()].clone();
        Ok(Admission { authorisation, offer, withheld: BTreeSet::new() })
    }

    /// Signed as in life, and not written to a disk: the relay's own stores do that.
    fn opened<'a>(
        &'a self,
        authorisation: &'a Authorisation,
        hello: &'a SignedHello,
    ) -> BoxFuture<'a, Result<SignedReceipt, Reference>> {
        let mut entry = Entry::opens(&self.chain, authorisation.remote(), hello, authorisation.current());
        if let Some(opening) = entry.opening_mut() {
            opening.number = u32::from(authorisation.grant().is_some());
        }
        let receipt = Receipt {
            source: self.id,
            signer: self.operational.public(),
            study: authorisation.study(),
            sequence: 0,
            previous: ReceiptDigest::NONE,
            at: self.now(),
            unlisted: 0,
            entry,
            blinding: [3; 32],
        };
        let signed = receipt.sign(&self.chain, &self.operational);
        Box::pin(async { Ok(signed) })
    }

    fn countersigned<'a>(
        &'a self,
        opened: &'a SignedReceipt,
        signature: Signature,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        let remote = opened.receipt.countersigner().unwrap();
        let verified = opened.receipt.digest(&self.chain).verify_countersignature(&self.chain, &remote, &signature);
        self.count(opened.receipt.study, &opened.receipt.entry);
        Box::pin(async move { Ok(verified?) })
    }

    fn tell<'a>(&'a self, _: &'a SignedReceipt, _: bool, _: Reach) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async { Err("nobody here asks to be told".into()) })
    }

    fn closed<'a>(&'a self, opened: &'a SignedReceipt, _: (u32, u64), end: End) -> BoxFuture<'a, ()> {
        let mut revoked = self.revoked.lock().unwrap();
        if let Some(since) = opened.receipt.grant().and_then(|grant| revoked.since.remove(&grant)) {
            match end {
                End::ConsentEnded => revoked.took.push(since.elapsed()),
                _ => revoked.too_late += 1,
            }
        }
        Box::pin(async {})
    }

    fn receipts(&self, _: &Authorisation, _: u64) -> Result<Option<Statement>, BoxError> {
        Ok(None)
    }

    fn renew(&self, authorisation: &Authorisation, _: Option<&Introduction>) -> Result<Authorisation, Reference> {
        self.view(|view| authorisation.renew(view, self.clock())).map_err(|why| refused(&why))
    }

    fn refuse(&self, _: Key, why: &'static str) -> Reference {
        refused(&why)
    }

    fn open(&self, stored: &StoredDigest, _: u64) -> io::Result<Kept> {
        let (path, subtrees) = &self.files[stored];
        Ok(Kept { file: File::open(path)?, subtrees: subtrees.clone() })
    }

    fn damaged(&self, _: &StoredDigest, error: &io::Error) {
        eprintln!("damaged: {error}");
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn clock(&self) -> LocalTime {
        LocalTime(self.now())
    }
}

/// A desk at which nobody picks anything up.
pub(crate) struct Closed(pub(crate) Arc<Hospital>);

impl Counter for Closed {
    fn source(&self) -> (ChainId, SourceId) {
        (self.0.chain, self.0.id)
    }

    fn secret(&self, _: Key, _: TicketHash) -> Result<Secret, Denied> {
        Err(Denied::NoPickup)
    }

    fn open(&self, _: Key, _: TicketHash, _: bool) -> Result<Offers, Denied> {
        Err(Denied::NoPickup)
    }

    fn claim(
        &self,
        _: Key,
        _: TicketHash,
        _: &[StudyId],
        _: &pickup::Claim,
    ) -> Result<(EnvelopeHash, Envelope), Text<256>> {
        Err(Text::default())
    }

    fn included(&self, _: &EnvelopeHash) -> Option<Included> {
        None
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}
