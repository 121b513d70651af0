//! What the kernel costs: signatures, execution and the tree over small and large states, proofs.
//!
//! `cargo bench -p clavicle-ledger` prints a table; `-- --json` one object. Every figure stands beside a limit measured
//! in the same run, since machines are noisy and ratios are not: signatures beside bare `verify_strict` with a key parsed
//! beforehand, a block beside the hashing that its tree cannot do without.
#![allow(clippy::unwrap_used, reason = "a benchmark stops by panicking")]

mod measure;

use std::hint::black_box;
use std::time::Duration;

use clavicle_ledger::action::{DefineStudy, Grant, NewStatus, ReviseStudy, Revoke, SetStatus};
use clavicle_ledger::encoding::{self, Ascending, Text};
use clavicle_ledger::execute::{self, Proposed};
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{
    ChainId, EventHash, GrantId, ManifestRoot, RequestDigest, SourceId, StudyDigest, StudyId, TermsCommitment,
};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::{Changes, MemoryState, StateKey};
use clavicle_ledger::study::{Capacity, DayCounts, LiveGrant, Status, Study};
use clavicle_ledger::time::{BlockTime, Day, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope, Verified};
use clavicle_ledger::tree;

use crate::measure::{Rows, median, say, time};

const START: u64 = 1_795_262_400_000;
const BLOCK: usize = 2_000;

fn secret(word: &str) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(word.as_bytes()).as_bytes())
}

fn hash(word: &str, number: usize) -> [u8; 32] {
    *blake3::hash(format!("{word} {number}").as_bytes()).as_bytes()
}

/// The source, and few enough holders that setting up a million studies is not mostly key generation.
struct Cast {
    source: SecretKey,
    holders: Vec<SecretKey>,
    grantee: Key,
}

fn main() {
    let json = std::env::args().any(|argument| argument == "--json");
    let cast = Cast {
        source: secret("operational"),
        holders: (0..64).map(|n| secret(&format!("holder {n}"))).collect(),
        grantee: secret("grantee").public(),
    };
    let mut rows = Vec::new();
    signatures(&cast, &mut rows);
    for (name, studies) in [("10 k", 10_000), ("1 M", 1_000_000)] {
        block(&cast, name, studies, &mut rows);
    }
    say(&rows, json);
}

fn signatures(cast: &Cast, rows: &mut Rows) {
    let (genesis, chain) = genesis(cast);
    drop(genesis);
    let envelopes: Vec<Envelope> =
        (0..4_000).map(|n| sign(cast, &chain, n, n, START, grant(cast, &chain, n, n))).collect();
    let check = |envelopes: &[Envelope]| {
        for envelope in envelopes {
            black_box(envelope.clone().check_stateless(&chain).unwrap());
        }
    };
    let one = median(|| time(|| check(&envelopes)));
    let both = median(|| {
        time(|| {
            let (left, right) = envelopes.split_at(envelopes.len() / 2);
            std::thread::scope(|scope| {
                scope.spawn(|| check(left));
                check(right);
            });
        })
    });
    // The limit: the same signatures with nothing around them.
    let bare: Vec<_> = envelopes
        .iter()
        .map(|envelope| {
            let signer = envelope.body.action.signers()[0];
            let key = ed25519_dalek::VerifyingKey::from_bytes(signer.as_bytes()).unwrap();
            let signature = ed25519_dalek::Signature::from_bytes(envelope.signatures.as_slice()[0].as_bytes());
            (key, envelope.body.preimage(&chain), signature)
        })
        .collect();
    let limit = median(|| {
        time(|| bare.iter().for_each(|(key, preimage, signature)| key.verify_strict(preimage, signature).unwrap()))
    });
    let rate = |time: Duration| envelopes.len() as f64 / time.as_secs_f64();
    rows.push(("envelopes verified, one core".into(), rate(one), "/s"));
    rows.push(("envelopes verified, both cores".into(), rate(both), "/s"));
    rows.push(("of bare verify_strict with the key parsed beforehand".into(), rate(one) / rate(limit), "×"));
}

fn genesis(cast: &Cast) -> (Genesis, ChainId) {
    let key = |word| secret(word).public();
    let announcement = Announcement {
        name: Text::new("mercy").unwrap(),
        kind: SourceKind::Validator,
        keys: SourceKeys {
            operational: cast.source.public(),
            consensus: Some(key("consensus")),
            transfer: key("transfer"),
            network: Ascending::from_items(vec![key("network")]).unwrap(),
        },
        addresses: Addresses::default(),
        mailbox: Ascending::new(),
    };
    let genesis = Genesis {
        name: Text::new("bench").unwrap(),
        time: BlockTime(Timestamp(START)),
        parameters: Parameters::default(),
        sources: Ascending::from_items(vec![GenesisSource { identity: key("identity"), announcement }]).unwrap(),
    };
    let chain = genesis.chain_id();
    (genesis, chain)
}

fn study(chain: &ChainId, number: usize) -> StudyId {
    let source = SourceId::of_identity(chain, &secret("identity").public());
    StudyId::of(chain, source, digest(number))
}

fn digest(number: usize) -> StudyDigest {
    StudyDigest::from_bytes(hash("study", number))
}

fn grant(cast: &Cast, chain: &ChainId, number: usize, of: usize) -> Action {
    Action::Grant(Grant {
        study: study(chain, of),
        granter: cast.holders[of % cast.holders.len()].public(),
        grantee: Key::from_bytes(*secret(&format!("grantee {number}")).public().as_bytes()),
        expiry_day: Timestamp(START).day().plus(30),
        terms: TermsCommitment::from_bytes(hash("terms", number)),
        request: RequestDigest::NONE,
    })
}

fn sign(cast: &Cast, chain: &ChainId, number: usize, of: usize, now: u64, action: Action) -> Envelope {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let body = Body { submit_by: Timestamp(now + 3_600_000), nonce, action };
    body.sign(chain, &[&cast.source, &cast.holders[of % cast.holders.len()]]).unwrap()
}

/// A state with `studies` studies, each with a live grant, and the ledger's own rows.
fn state(cast: &Cast, studies: usize) -> (MemoryState, ChainId) {
    let (genesis, chain) = genesis(cast);
    let mut state = MemoryState::from_genesis(&genesis);
    let source = SourceId::of_identity(&chain, &secret("identity").public());
    let row = |number: usize| {
        let grant = LiveGrant {
            id: GrantId::from_bytes(hash("grant", number)),
            grantee: cast.grantee,
            expiry_day: Day(40_000),
            terms: TermsCommitment::from_bytes(hash("terms", number)),
            by: Capacity::Holder,
        };
        let study = Study {
            source,
            holder: cast.holders[number % cast.holders.len()].public(),
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
        (StateKey::Study(self::study(&chain, number)), Some(encoding::encode(&study)))
    };
    for first in (0..studies).step_by(50_000) {
        state.commit((first..studies.min(first + 50_000)).map(row).collect::<Changes>());
    }
    (state, chain)
}

/// A block of 2,000 as a network makes them: studies, revisions, grants, revocations, a few statuses.
fn transactions(cast: &Cast, chain: &ChainId, studies: usize) -> Vec<Verified> {
    let source = cast.source.public();
    let mut all: Vec<Verified> = (0..BLOCK)
        .map(|n| {
            // Spread over the whole state, each touched once.
            let of = n * (studies / BLOCK);
            let holder = cast.holders[of % cast.holders.len()].public();
            let revision = ReviseStudy {
                study: study(chain, of),
                source,
                revision: 1,
                manifest_root: ManifestRoot::from_bytes(hash("new root", n)),
                open: false,
            };
            let (of, action) = match n % 20 {
                0..=5 => {
                    let new = studies + n;
                    let action = DefineStudy {
                        digest: digest(new),
                        source,
                        holder: cast.holders[new % cast.holders.len()].public(),
                        delegates: Ascending::new(),
                        manifest_root: ManifestRoot::from_bytes(hash("root", new)),
                        open: true,
                    };
                    (new, Action::DefineStudy(action))
                }
                6..=9 => (of, Action::ReviseStudy(revision)),
                10..=16 => (of, grant(cast, chain, n, of)),
                17 | 18 => {
                    let grant = GrantId::from_bytes(hash("grant", of));
                    let action =
                        Revoke { study: study(chain, of), revoker: holder, grant, grant_submit_by: Timestamp(0) };
                    (of, Action::Revoke(action))
                }
                _ => {
                    let status = NewStatus::Suspended(clavicle_ledger::study::Reason::UnderReview);
                    (of, Action::SetStatus(SetStatus { study: study(chain, of), source, number: 1, status }))
                }
            };
            sign(cast, chain, n, of, START, action).check_stateless(chain).unwrap()
        })
        .collect();
    all.sort_by_key(|envelope| envelope.body().action.precedence());
    all
}

fn block(cast: &Cast, name: &str, studies: usize, rows: &mut Rows) {
    let (state, chain) = state(cast, studies);
    let envelopes = transactions(cast, &chain, studies);
    let block = Proposed { height: 1, time: BlockTime(Timestamp(START + 1_000)), last_commit: None, envelopes };
    let executed = execute::execute(&state, &block).unwrap();
    let update = state.preview(&executed.changes);

    let execution = median(|| time(|| execute::execute(&state, &block).unwrap()));
    let rooted = median(|| time(|| state.preview(&executed.changes)));
    // The limit: hashing each changed row and, for each changed page, the 15 pairs in it.
    let input = [7; 64];
    let changed: Vec<&[u8]> = executed.changes.values().flatten().map(Vec::as_slice).collect();
    let hashed = median(|| {
        time(|| {
            for row in &changed {
                black_box(blake3::hash(row));
            }
            for _ in 0..update.pages.len() * 15 {
                black_box(blake3::hash(&input));
            }
        })
    });
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    rows.push((format!("{name} studies: 2,000 transactions executed"), ms(execution), "ms"));
    rows.push((format!("{name} studies: {} rows rooted", executed.changes.len()), ms(rooted), "ms"));
    rows.push((format!("{name} studies: executed and rooted"), ms(execution + rooted), "ms"));
    rows.push((
        format!("{name} studies: of hashing alone ({} pages)", update.pages.len()),
        ms(rooted) / ms(hashed),
        "×",
    ));

    let keys: Vec<StateKey> = (0..1_000).map(|n| StateKey::Study(study(&chain, n * (studies / 1_000)))).collect();
    let absent: Vec<StateKey> = (0..1_000).map(|n| StateKey::Study(study(&chain, studies * 2 + n))).collect();
    for (kind, keys) in [("present", keys), ("absent", absent)] {
        let made =
            median(|| time(|| keys.iter().for_each(|key| drop(black_box(tree::prove(&state, &state, *key).unwrap())))));
        let proofs: Vec<_> = keys.iter().map(|key| tree::prove(&state, &state, *key).unwrap()).collect();
        let root = state.root();
        let verified = median(|| time(|| proofs.iter().for_each(|proof| proof.verify(root).unwrap())));
        let mut sizes: Vec<usize> = proofs.iter().map(|proof| encoding::encode(&proof.proof).len()).collect();
        sizes.sort_unstable();
        rows.push((format!("{name} studies: proof beside the record, {kind}, median"), sizes[500] as f64, "bytes"));
        rows.push((format!("{name} studies: proof beside the record, {kind}, longest"), sizes[999] as f64, "bytes"));
        rows.push((format!("{name} studies: proof made, {kind}"), ms(made), "µs"));
        rows.push((format!("{name} studies: proof verified, {kind}"), ms(verified), "µs"));
    }
}
