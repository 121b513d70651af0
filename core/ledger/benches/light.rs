//! What a phone pays to believe: an answer with its proof, a jump, and a year of changes.
//!
//! `cargo bench -p clavicle-ledger --bench light` prints a table; `-- --json` one object. Times are of one core, and stand beside bare
//! `verify_strict` of as many signatures with the keys parsed beforehand, measured in the same run.
#![allow(clippy::unwrap_used, reason = "a benchmark stops by panicking")]

mod measure;

use std::time::Duration;

use clavicle_ledger::block::{CommitCertificate, Header};
use clavicle_ledger::encoding::{self, Ascending, Text};
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{
    BlockId, ChainId, EventHash, GrantId, ManifestRoot, SourceId, StateRoot, StudyId, TermsCommitment,
};
use clavicle_ledger::key::{SecretKey, Signature};
use clavicle_ledger::light::{
    CertifiedHeader, Endorsement, Identities, LightClient, LightError, MAX_ENDORSEMENT_MS, SignedCheckpoint,
    ValidatorChange,
};
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::{Changes, MemoryState, StateKey};
use clavicle_ledger::study::{Capacity, DayCounts, LiveGrant, Status, Study};
use clavicle_ledger::time::{BlockTime, DAY_MS, Day, Height, LocalTime, Timestamp};
use clavicle_ledger::tree::{self, StateProof};
use clavicle_ledger::validators::{Validator, ValidatorSet};
use clavicle_ledger::vote::{Vote, VoteKind};

use crate::measure::{Rows, median, say, time};

const START: u64 = 1_795_262_400_000;
/// Blocks in a day, one every half minute.
const DAY_BLOCKS: u64 = 2_880;
const STUDIES: usize = 10_000;

fn secret(word: &str) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(word.as_bytes()).as_bytes())
}

fn hash(word: &str, number: usize) -> [u8; 32] {
    *blake3::hash(format!("{word} {number}").as_bytes()).as_bytes()
}

fn main() {
    let json = std::env::args().any(|argument| argument == "--json");
    let state = State::new();
    let mut rows = Vec::new();
    for validators in [4, 50, 150] {
        answer(&Chain::new(validators, &state), &state, &mut rows);
    }
    for validators in [4, 50, 150] {
        jump(Chain::new(validators, &state), &mut rows);
    }
    year(Chain::new(50, &state), &mut rows);
    say(&rows, json);
}

/// Likewise of two, in turns, so that a machine's moods are both's.
fn in_turns<A, B>(mut one: impl FnMut() -> A, mut other: impl FnMut() -> B) -> (Duration, Duration) {
    let mut times: (Vec<_>, Vec<_>) = (0..15).map(|_| (time(&mut one), time(&mut other))).unzip();
    times.0.sort();
    times.1.sort();
    (times.0[7], times.1[7])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Studies with a live grant each, and the proof of one of them in the middle of the others by length.
struct State {
    root: StateRoot,
    proof: StateProof,
    beside: usize,
    longest: usize,
}

impl State {
    fn new() -> Self {
        let mut state = MemoryState::default();
        let source = SourceId::from_bytes(hash("source", 0));
        let id = |number| StudyId::from_bytes(hash("study", number));
        let (holder, grantee) = (secret("holder").public(), secret("grantee").public());
        let row = |number: usize| {
            let grant = LiveGrant {
                id: GrantId::from_bytes(hash("grant", number)),
                grantee,
                expiry_day: Day(40_000),
                terms: TermsCommitment::from_bytes(hash("terms", number)),
                by: Capacity::Holder,
            };
            let study = Study {
                source,
                holder,
                delegates: Ascending::new(),
                status: Status::Active,
                status_number: 0,
                frozen: false,
                revision: 0,
                manifest_root: ManifestRoot::from_bytes(hash("root", number)),
                open: true,
                grants: Ascending::from_items(vec![grant]).unwrap(),
                tombstones: Ascending::new(),
                today: DayCounts::default(),
                pending_recovery: None,
                last_recovery: None,
                vetoed: None,
                defined_in: 0,
                events: 2,
                event_hash: EventHash::from_bytes(hash("event", number)),
            };
            (StateKey::Study(id(number)), Some(encoding::encode(&study)))
        };
        let root = state.commit((0..STUDIES).map(row).collect::<Changes>());
        let prove = |number| tree::prove(&state, &state, StateKey::Study(id(number))).unwrap();
        let beside = |proof: &StateProof| encoding::encode(&proof.proof).len();
        let mut proofs: Vec<StateProof> = (0..STUDIES).step_by(10).map(prove).collect();
        proofs.sort_by_key(beside);
        let longest = beside(&proofs[proofs.len() - 1]);
        let proof = proofs.swap_remove(proofs.len() / 2);
        Self { root, beside: beside(&proof), longest, proof }
    }
}

/// A network's headers as its validators certify them, a day after another, each day one validator with another key.
struct Chain {
    id: ChainId,
    genesis: Genesis,
    members: Vec<(SecretKey, Validator)>,
    newest: Header,
    epoch: usize,
}

impl Chain {
    fn new(validators: usize, state: &State) -> Self {
        let source = |number: usize| {
            let key = |role: &str| secret(&format!("{role} {number}")).public();
            let announcement = Announcement {
                name: Text::new(format!("hospital {number}")).unwrap(),
                kind: SourceKind::Validator,
                keys: SourceKeys {
                    operational: key("operational"),
                    consensus: Some(key("consensus")),
                    transfer: key("transfer"),
                    network: Ascending::from_items(vec![key("network")]).unwrap(),
                },
                addresses: Addresses::default(),
                mailbox: Ascending::new(),
            };
            GenesisSource { identity: key("identity"), announcement }
        };
        let genesis = Genesis {
            name: Text::new("bench").unwrap(),
            time: BlockTime(Timestamp(START)),
            parameters: Parameters::default(),
            sources: Ascending::from_items((0..validators).map(source).collect()).unwrap(),
        };
        let id = genesis.chain_id();
        let member = |number: usize| {
            let source = SourceId::of_identity(&id, &secret(&format!("identity {number}")).public());
            let key = secret(&format!("consensus {number}"));
            let validator = Validator { source, key: key.public(), power: 1 };
            (key, validator)
        };
        let newest = Header { state_root: state.root, ..Header::genesis(&genesis) };
        Self { id, members: (0..validators).map(member).collect(), genesis, newest, epoch: 0 }
    }

    fn validators(&self) -> ValidatorSet {
        ValidatorSet { validators: Ascending::from_items(self.members.iter().map(|(_, it)| *it).collect()).unwrap() }
    }

    fn now(&self) -> LocalTime {
        LocalTime(self.newest.time.timestamp())
    }

    fn client(&self) -> LightClient {
        LightClient::from_genesis(&self.genesis)
    }

    /// A header of today's validators, with the signatures of as many of them.
    fn certified(&mut self, height: Height, next: &ValidatorSet, signers: usize) -> CertifiedHeader {
        let set = self.validators();
        let header = Header {
            height,
            time: BlockTime(self.newest.time.timestamp().plus(DAY_MS / 2)),
            previous: BlockId::from_bytes(hash("previous", self.epoch)),
            validators: set.hash(&self.id),
            next_validators: next.hash(&self.id),
            ..self.newest
        };
        self.newest = header;
        let votes = set.validators.iter().enumerate().take(signers).map(|(place, validator)| {
            let (key, _) = self.members.iter().find(|(_, it)| it == validator).unwrap();
            (place, key.sign(&vote(&header, validator.source).preimage(&self.id)))
        });
        let certificate = CommitCertificate::new(height, 0, header.id(), votes.collect()).unwrap();
        CertifiedHeader { header, certificate }
    }

    /// The newest header of today, by just more than two thirds.
    fn head(&mut self) -> CertifiedHeader {
        let set = self.validators();
        let height = self.newest.height + DAY_BLOCKS / 2;
        self.certified(height, &set, needed(self.members.len()))
    }

    /// The end of the day: one validator has another key tomorrow.
    fn change(&mut self) -> ValidatorChange {
        let (before, at) = (self.members.clone(), self.epoch % self.members.len());
        self.epoch += 1;
        let key = secret(&format!("consensus of day {}", self.epoch));
        let (_, validator) = &before[at];
        self.members[at] = (key.clone(), Validator { key: key.public(), ..*validator });
        let (next, height) = (self.validators(), self.newest.height + DAY_BLOCKS / 2);
        let after = std::mem::replace(&mut self.members, before);
        let last = self.certified(height, &next, needed(after.len()));
        self.members = after;
        ValidatorChange { last, next }
    }
}

/// Just more than two thirds.
const fn needed(validators: usize) -> usize {
    validators * 2 / 3 + 1
}

fn vote(header: &Header, validator: SourceId) -> Vote {
    Vote { kind: VoteKind::Precommit, height: header.height, round: 0, block: Some(header.id()), validator }
}

/// What verifying a certificate cannot do without: its signatures, and nothing around them.
fn bare(head: &CertifiedHeader, set: &ValidatorSet) -> impl FnMut() + use<> {
    let parse = |(place, signature): (usize, &Signature)| {
        let validator = &set.validators[place];
        let key = ed25519_dalek::VerifyingKey::from_bytes(validator.key.as_bytes()).unwrap();
        let preimage = vote(&head.header, validator.source).preimage(&head.header.chain);
        (key, preimage, ed25519_dalek::Signature::from_bytes(signature.as_bytes()))
    };
    let votes: Vec<_> = head.certificate.votes().map(parse).collect();
    move || votes.iter().for_each(|(key, preimage, signature)| key.verify_strict(preimage, signature).unwrap())
}

/// What comes with an answer: header, certificate and proof.
fn answer(chain: &Chain, state: &State, rows: &mut Rows) {
    let validators = chain.members.len();
    let mut whole = Chain { members: chain.members.clone(), genesis: chain.genesis.clone(), ..*chain };
    let set = whole.validators();
    let whole = whole.certified(DAY_BLOCKS, &set, validators);
    let trimmed = CertifiedHeader { header: whole.header, certificate: whole.certificate.trimmed(&set) };
    assert_eq!(trimmed.certificate.votes().count(), needed(validators));
    let sizes = |head: &CertifiedHeader| (encoding::encode(&head.certificate).len(), encoding::encode(head).len());
    let now = LocalTime(whole.header.time.timestamp());
    let client = chain.client();
    let verify = |head: &CertifiedHeader| {
        let mut client = client.clone();
        client.accept(head, now).unwrap();
        client.fragment(std::slice::from_ref(&state.proof)).unwrap()
    };
    for (signers, head) in [(needed(validators), &trimmed), (validators, &whole)] {
        let name = |what: &str| format!("{validators} validators, {signers} signing: {what}");
        let (certificate, certified) = sizes(head);
        rows.push((name("certificate"), certificate as f64, "bytes"));
        rows.push((name("with header and proof beside the record"), (certified + state.beside) as f64, "bytes"));
        rows.push((name("the longest proof"), (certified + state.longest) as f64, "bytes"));
        let (taken, limit) = in_turns(|| verify(head), bare(head, &set));
        rows.push((name("verified"), ms(taken), "ms"));
        rows.push((name("of bare verify_strict"), ms(taken) / ms(limit), "×"));
    }
}

/// Two weeks of changes: one after another, and at once.
fn jump(mut chain: Chain, rows: &mut Rows) {
    let validators = chain.members.len();
    let client = chain.client();
    let changes: Vec<ValidatorChange> = (0..13).map(|_| chain.change()).collect();
    let (set, head, now) = (chain.validators(), chain.head(), chain.now());
    let name = |what: &str| format!("{validators} validators, 14 epochs behind: {what}");
    let follow = || {
        let mut client = client.clone();
        changes.iter().for_each(|change| client.change(change, now).unwrap());
        client.accept(&head, now).unwrap();
    };
    let bytes: usize = changes.iter().map(|change| encoding::encode(change).len()).sum();
    let head_bytes = encoding::encode(&head).len();
    rows.push((name("each change"), (bytes + head_bytes) as f64, "bytes"));
    rows.push((name("each change"), ms(median(|| time(follow))), "ms"));
    let skip = || client.clone().skip(&head, &set, now).map(|newest| newest.height);
    match skip() {
        Ok(_) => {
            rows.push((name("a jump"), (head_bytes + encoding::encode(&set).len()) as f64, "bytes"));
            let (taken, limit) = in_turns(skip, bare(&head, &set));
            rows.push((name("a jump"), ms(taken), "ms"));
            rows.push((name("a jump, of bare verify_strict"), ms(taken) / ms(limit), "×"));
        }
        // Of four, with one new key a day, none is left after four days.
        Err(LightError::TooLittleOverlap { .. }) => rows.push((name("a jump is too far"), 0.0, "")),
        Err(error) => panic!("{error}"),
    }
}

/// A year of changes, by a phone that looks every day, and by one that comes back with a checkpoint.
fn year(mut chain: Chain, rows: &mut Rows) {
    let validators = chain.members.len();
    let mut daily = Vec::new();
    for _ in 0..365 {
        let change = chain.change();
        daily.push((change, chain.now()));
    }
    let (set, head, now) = (chain.validators(), chain.head(), chain.now());
    let client = chain.client();
    let name = |what: &str| format!("{validators} validators, a year behind: {what}");
    let follow = || {
        let mut client = client.clone();
        daily.iter().for_each(|(change, then)| client.change(change, *then).unwrap());
        client.accept(&head, now).unwrap();
        client
    };
    let bytes: usize = daily.iter().map(|(change, _)| encoding::encode(change).len()).sum();
    let head_bytes = encoding::encode(&head).len();
    rows.push((name("365 changes, each in its time"), (bytes + head_bytes) as f64, "bytes"));
    rows.push((name("365 changes, each in its time"), ms(median(|| time(follow))), "ms"));

    // Just more than a third of those who were there a year ago.
    let until = now.0.plus(MAX_ENDORSEMENT_MS);
    let vouching = |number: usize| {
        let (identity, key) = (secret(&format!("identity {number}")), secret(&format!("checkpoint {number}")));
        let source = SourceId::of_identity(&chain.id, &identity.public());
        let endorsement = Endorsement { chain: chain.id, source, key: key.public(), from: now.0, until };
        SignedCheckpoint::sign(&head.header, endorsement.sign(&identity), &key)
    };
    let signed: Vec<SignedCheckpoint> = (0..=validators / 3).map(vouching).collect();
    let start = || {
        let mut client = client.clone();
        let vouched = client.vouched(&signed, &Identities::default(), now).unwrap();
        client.resume(&vouched, &head, &set, now).unwrap();
        client
    };
    assert_eq!(start().newest(), follow().newest());
    let signed_bytes: usize = signed.iter().map(|signed| encoding::encode(signed).len()).sum();
    let bytes = signed_bytes + head_bytes + encoding::encode(&set).len();
    rows.push((name("signed checkpoints, their header and validators"), bytes as f64, "bytes"));
    rows.push((name("signed checkpoints, their header and validators"), ms(median(|| time(start))), "ms"));
}
