//! Golden vectors: what every signed, hashed and encoded type looks like, on disk, accepted and rejected.
//!
//! `vectors/accepted.txt` has a line per value: name, bytes, and what is derived from them. `vectors/rejected.txt` has bytes that
//! must not be taken, with the sentence that says why. Both are compared to the byte. A format changes only together
//! with its tag; then `CLAVICLE_WRITE_VECTORS=1 cargo test vectors` writes them, and the fuzzers' corpus, anew.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use clavicle_ledger::action::{
    Anchor, Conflict, Content, Delegate, Evidence, NewStatus, RecoverStudy, Signed, TransferStudy, Undelegate, Veto,
    Vote as Casting,
};
use clavicle_ledger::authorise::{Actor, Claim, Emergency, Hello, SignedHello};
use clavicle_ledger::ballot::Ballot;
use clavicle_ledger::block::{Block, CommitCertificate, Header, InclusionProof, prove_inclusion};
use clavicle_ledger::confirm::{Inquiry, Newest, SignedNewest};
use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding::{self, Ascending, Bytes, Text, Wire};
use clavicle_ledger::genesis::{Candidate, Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{AnchorRoot, BlockId, EventHash, GrantId, ReceiptDigest, SeriesId, StudyId, TxId};
use clavicle_ledger::key::{Key, SecretKey, Signature};
use clavicle_ledger::light::{
    CertifiedHeader, Checkpoint, Endorsement, Identities, LightClient, MAX_ENDORSEMENT_MS, ProvenIdentity,
    SignedCheckpoint, SignedEndorsement, ValidatorChange,
};
use clavicle_ledger::receipt::{
    AnchoredReceipt, Entry, Inclusion, Receipt, SignedReceipt, Statement, Tip, anchor_root,
};
use clavicle_ledger::record::EpochRecord;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::snapshot::{Chunk, Import, Skeleton};
use clavicle_ledger::source::{Activity, KeyRole, KeyUse, Registered, Roster, Source, SourceKind};
use clavicle_ledger::state::{Due, Ending, Head, ReadRows as _, ReplayMark, Rules, SlotHead, StateKey, Upgrade};
use clavicle_ledger::study::{Capacity, DelegateRole, Grave, PendingRecovery, Reason, Status, Study, Tombstone};
use clavicle_ledger::terms::{Conditions, DataUse, SeriesScope, Terms};
use clavicle_ledger::time::{BlockTime, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_ledger::tree::{KeyHash, Page, PagePath, Proof, StateProof, TreeReader as _, prove};
use clavicle_ledger::validators::ValidatorSet;
use clavicle_ledger::vote::{RoundProposal, Vote, VoteKind};

use crate::receipts::Book;
use crate::world::{DAY, World, define_study, delegate, grant, hospitals, revise, revoke, secret};

/// What the fuzzers and the vectors go over: every type with a place on the wire or in the store.
macro_rules! wire_types {
    ($go:ident) => {
        $go! {
            key: Key, signature: Signature, genesis: Genesis, candidate: Candidate, body: Body, envelope: Envelope, terms: Terms, source: Source,
            key_use: KeyUse, activity: Activity, roster: Roster, validators: ValidatorSet, study: Study, rules: Rules,
            head: Head, executed: ReplayMark, due: Due, slot: SlotHead, state_key: StateKey, header: Header,
            commit: CommitCertificate, block: Block, inclusion: InclusionProof, page: Page, page_path: PagePath,
            proof: Proof, state_proof: StateProof, skeleton: Skeleton, chunk: Chunk, hello: SignedHello, vote: Vote,
            proposal: RoundProposal, certified: CertifiedHeader, validator_change: ValidatorChange,
            light_client: LightClient, checkpoint: Checkpoint, signed_checkpoint: SignedCheckpoint,
            endorsement: Endorsement, signed_endorsement: SignedEndorsement, identities: Identities,
            ballot: Ballot, registered: Registered, record: EpochRecord, receipt: Receipt,
            signed_receipt: SignedReceipt, receipts_tip: Tip, receipt_inclusion: Inclusion, anchored_receipt: AnchoredReceipt,
            statement: Statement, newest: SignedNewest,
        }
    };
}
pub(crate) use wire_types;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// A line of a vector file: name, bytes, and the rest.
struct Vector {
    name: String,
    bytes: Vec<u8>,
    rest: String,
}

#[derive(Default)]
struct Accepted(Vec<Vector>);

impl Accepted {
    fn raw(&mut self, name: &str, bytes: &[u8], rest: impl ToString) {
        self.0.push(Vector { name: name.into(), bytes: bytes.to_vec(), rest: rest.to_string() });
    }

    /// A value, which must come back from its bytes.
    fn value<T: Wire + PartialEq + Debug>(&mut self, name: &str, value: &T, rest: impl ToString) {
        let bytes = encoding::encode(value);
        assert_eq!(encoding::decode::<T>(&bytes).as_ref(), Ok(value), "{name}");
        self.raw(name, &bytes, rest);
    }
}

/// A chain with one of everything on it.
struct Everything {
    world: World,
    envelopes: Vec<(&'static str, Envelope)>,
    hello: SignedHello,
    terms: Terms,
    block: Block,
}

fn everything() -> Everything {
    let mut world = World::new(Parameters::default());
    let (id, holder, grantee) = (world.id(1), secret("holder"), secret("grantee"));
    let mercy = hospitals()[0].clone();
    let until = world.now().day().plus(100);
    let delegates = vec![
        delegate(&secret("guardian"), DelegateRole::Guardian, until),
        delegate(&secret("card"), DelegateRole::Emergency, until),
    ];
    let terms = Terms {
        series: SeriesScope::These(Ascending::from_items(vec![SeriesId::from_bytes([3; 32])]).unwrap()),
        note: Bytes::new(b"sealed".to_vec()).unwrap(),
        ..world.terms(7 * DAY)
    };
    let op = mercy.operational.clone();
    let mut envelopes = Vec::new();
    let mut add = |world: &mut World, name, action, keys: &[&SecretKey]| {
        let envelope = world.sign(action, keys);
        envelopes.push((name, envelope.envelope().clone()));
        envelope
    };
    let mut redefined = crate::world::Hospital::new("stluke", 1);
    redefined.name = "St Luke's".into();
    let first = vec![
        add(&mut world, "define_source", redefined.define_source(1), &redefined.secrets()),
        add(&mut world, "define_study", define_study(1, op.public(), holder.public(), delegates), &[&op, &holder]),
    ];
    world.block(1_000, first);
    let action = grant(&world.chain, id, holder.public(), &grantee.public(), &terms);
    let granted = add(&mut world, "grant", action, &[&holder]);
    let grant_id = GrantId::from(granted.id());
    let early = GrantId::from_bytes([8; 32]);
    let mut second = vec![
        granted,
        add(&mut world, "revise_study", revise(id, op.public(), 1), &[&op]),
        add(&mut world, "revoke", revoke(id, holder.public(), early), &[&holder]),
        add(
            &mut world,
            "set_status",
            Action::SetStatus(clavicle_ledger::action::SetStatus {
                study: id,
                source: op.public(),
                number: 1,
                status: NewStatus::Suspended(Reason::UnderReview),
            }),
            &[&op],
        ),
    ];
    let suspend = second.split_off(3);
    let previous = world.header;
    let (proposal, _) = world.block(1_000, second);
    assert!(proposal.left_out.is_empty());
    let block_header = world.header;
    let (suspended, _) = world.block(1_000, suspend);
    assert!(suspended.left_out.is_empty());
    let votes = [1usize, 3].map(|at| (at, hospitals()[at].consensus.as_ref().unwrap().sign(b"any"))).to_vec();
    let commit = CommitCertificate::new(previous.height, 2, previous.id(), votes).unwrap();
    let block = Block {
        header: Header { last_commit: CommitCertificate::digest_of(Some(&commit), &world.chain), ..block_header },
        last_commit: Some(commit),
        envelopes: proposal.block.envelopes.iter().map(|envelope| envelope.envelope().clone()).collect(),
    };
    let hello = Hello {
        actor: Some(Actor { name: Text::new("Dr Rossi").unwrap(), credential: Bytes::new(vec![1, 2]).unwrap() }),
        ..world.hello(id, Claim::Grant { grant: grant_id, terms: terms.clone() })
    };
    let hello = hello.sign(&world.chain, &grantee);
    envelopes.extend(who_holds(&mut world, id));
    envelopes.extend(governance(&mut world, id));
    Everything { world, envelopes, hello, terms, block }
}

/// Transactions on who may grant and who holds.
fn who_holds(world: &mut World, study: StudyId) -> Vec<(&'static str, Envelope)> {
    let (holder_key, new, mercy) = (secret("holder"), secret("new"), hospitals()[0].operational.clone());
    let (holder, new_holder) = (holder_key.public(), new.public());
    let helper = delegate(&secret("helper"), DelegateRole::Helper, world.now().day().plus(9));
    let delegating = Action::Delegate(Delegate { study, holder, delegate: helper });
    let undelegating = Action::Undelegate(Undelegate { study, holder, delegate: helper.key });
    let transfer = TransferStudy { study, holder, new_holder, keep_grants: true };
    let recovery = |completes| RecoverStudy { study, source: mercy.public(), new_holder, completes };
    let veto = Veto { study, holder, recovery: TxId::from_bytes([9; 32]) };
    let anchor = Anchor { source: mercy.public(), sequence: 0, root: AnchorRoot::from_bytes([7; 32]), count: 3 };
    [
        ("delegate", delegating, vec![&holder_key]),
        ("undelegate", undelegating, vec![&holder_key]),
        ("transfer_study", Action::TransferStudy(transfer), vec![&holder_key, &new]),
        ("recover_study", Action::RecoverStudy(recovery(None)), vec![&mercy, &new]),
        ("recover_study", Action::RecoverStudy(recovery(Some(TxId::from_bytes([9; 32])))), vec![&mercy, &new]),
        ("veto", Action::Veto(veto), vec![&holder_key]),
        ("anchor", Action::Anchor(anchor), vec![&mercy]),
    ]
    .map(|(name, action, keys)| (name, world.sign(action, &keys).envelope().clone()))
    .to_vec()
}

/// Transactions on how the network goes on.
fn governance(world: &mut World, study: StudyId) -> Vec<(&'static str, Envelope)> {
    let [mercy, stluke] = [0, 1].map(|at: usize| hospitals()[at].clone());
    let [source, by] = [&stluke, &mercy].map(|hospital| hospital.id(&world.chain));
    let clinic = crate::world::Hospital { consensus: None, ..crate::world::Hospital::new("clinic", 0) };
    let candidate = GenesisSource { identity: clinic.identity.public(), announcement: clinic.announcement() };
    let candidate = Candidate::sign(candidate, &clinic.secrets()).unwrap();
    let parameters = Parameters { votes_per_epoch: 9, ..Parameters::default() };
    let contents = [
        Content::Admit(Box::new(candidate)),
        Content::SetSuspended { source, suspended: true },
        Content::SetKind { source, kind: SourceKind::Hosted },
        Content::ReplaceIdentity { source, identity: secret("identity").public() },
        Content::Succeed { source, by },
        Content::Settle { study, holder: secret("holder").public() },
        Content::SetParameters(Box::new(parameters)),
        Content::Upgrade(Upgrade { version: 2, epoch: 3 }),
    ];
    let vote = |content| Action::Vote(Casting { voter: mercy.operational.public(), content });
    let mut envelopes = contents.map(|content| ("vote", world.sign(vote(content), &[&mercy.operational]))).to_vec();

    let (chain, key, height) = (world.chain, mercy.consensus.clone().unwrap(), world.header.height);
    let vote = |block| {
        let message = Vote { kind: VoteKind::Prevote, height, round: 0, block, validator: by };
        Signed { message, signature: key.sign(&message.preimage(&chain)) }
    };
    let proposal = |byte| {
        let block = BlockId::from_bytes([byte; 32]);
        let message = RoundProposal { height, round: 0, block, valid_round: None, proposer: by };
        Signed { message, signature: key.sign(&message.preimage(&chain)) }
    };
    let votes = Conflict::Votes(vote(None), vote(Some(BlockId::from_bytes([1; 32]))));
    for conflict in [votes, Conflict::Proposals(proposal(1), proposal(2))] {
        let evidence = Evidence::new(key.public(), conflict).unwrap();
        envelopes.push(("evidence", world.sign(Action::Evidence(evidence), &[])));
    }
    envelopes.into_iter().map(|(name, envelope)| (name, envelope.envelope().clone())).collect()
}

fn accepted() -> Vec<Vector> {
    let Everything { world, envelopes, hello, terms, block } = everything();
    let (mut out, chain, state, id) = (Accepted::default(), world.chain, &world.state, world.id(1));

    for tag in Tag::ALL {
        out.raw("tag", tag.as_bytes(), std::str::from_utf8(tag.as_bytes()).unwrap().trim_end_matches('\0'));
    }
    let seed = Words::from_entropy(&[1; 32]).seed();
    for (name, branch) in [("study", Branch::Study), ("card", Branch::Card), ("mailbox", Branch::Mailbox)] {
        let key = seed.derive_key(2, branch, 3).unwrap().public();
        out.value("key", &key, format!("words of 32 × 01, device 2, {name} 3"));
    }
    out.value("signature", &secret("any").sign(b"text"), "over \"text\"");
    let salt = Salt::from_bytes([4; 32]);
    out.raw(
        "salt",
        &[4; 32],
        format!(
            "digest 1.2.840.1 {} series 1.2.840.1.1 {}",
            salt.study_digest("1.2.840.1\0"),
            salt.series_id("1.2.840.1.1 ")
        ),
    );
    out.raw(
        "study_id",
        salt.study_digest("1.2.840.1").as_bytes(),
        format!(
            "of mercy {id}",
            id = StudyId::of(&chain, world.hospitals[0].id(&chain), salt.study_digest("1.2.840.1"))
        ),
    );
    let mercy = &world.hospitals[0];
    let source = GenesisSource { identity: mercy.identity.public(), announcement: mercy.announcement() };
    out.value("candidate", &Candidate::sign(source, &mercy.secrets()).unwrap(), "");
    out.value("genesis", &world.genesis, format!("chain {chain}"));
    out.value("header", &Header::genesis(&world.genesis), format!("block {}", Header::genesis(&world.genesis).id()));
    let grantee = secret("grantee").public();
    out.value("terms", &terms, format!("commitment {}", terms.commitment(&chain, id, &grantee)));
    for (what, conditions) in [
        ("with conditions, all as before", Conditions::default()),
        (
            "with every condition",
            Conditions {
                openings: Some(3),
                view_only: true,
                members_of: Some(secret("team").public()),
                data_use: Ascending::from_items(vec![DataUse::NonCommercial, DataUse::GeneralResearch]).unwrap(),
            },
        ),
    ] {
        let terms = Terms { conditions: Some(conditions), ..terms.clone() };
        out.value("terms", &terms, format!("{what}, commitment {}", terms.commitment(&chain, id, &grantee)));
    }
    for (name, envelope) in &envelopes {
        let verified = envelope.clone().check_stateless(&chain).unwrap();
        out.value("body", &envelope.body, format!("{name} preimage {}", hex(&envelope.body.preimage(&chain))));
        out.value("envelope", envelope, format!("{name} tx {} envelope {}", verified.id(), verified.hash()));
    }
    out.value("hello", &hello, "");
    let preimage = hex(&domain::preimage(Tag::MEMBER, &chain, &hello.hello));
    let signed = hello.clone().with_member(&chain, &secret("member"));
    out.value("hello", &signed, format!("digest {}, member preimage {preimage}", signed.digest(&chain)));
    let second = Actor { name: Text::new("Dr Bianchi").unwrap(), credential: Bytes::new(vec![3, 4]).unwrap() };
    let shown = second.credential_digest(&chain).unwrap();
    let emergency = Emergency { reason: Text::new("unconscious after a fall").unwrap(), second: Some(second) };
    let hello =
        Hello { emergency: Some(emergency), resumes: Some(ReceiptDigest::from_bytes([13; 32])), ..hello.hello.clone() };
    let hello = hello.sign(&chain, &secret("grantee"));
    let hello = hello.with_member(&chain, &secret("member")).with_second(&chain, &secret("second"));
    out.value("hello", &hello, format!("of an emergency, the second credential {shown}"));

    let mercy = world.hospitals[0].id(&chain);
    let stluke = world.hospitals[1].id(&chain);
    let mut keys = vec![
        StateKey::Rules,
        StateKey::Head,
        StateKey::Roster,
        StateKey::Validators,
        StateKey::Source(stluke),
        StateKey::Activity(mercy),
        StateKey::KeyUse(world.hospitals[0].transfer.public()),
        StateKey::Study(id),
    ];
    let mark = |wanted: fn(&StateKey) -> bool| *state.rows().keys().find(|key| wanted(key)).unwrap();
    keys.push(mark(|key| matches!(key, StateKey::Executed(_))));
    keys.push(mark(|key| matches!(key, StateKey::Slot(_))));
    keys.push(mark(|key| matches!(key, StateKey::Due(..))));
    for key in &keys {
        out.value("state_key", key, format!("path {}", hex(&KeyHash::of(key).0)));
    }
    out.value("rules", &state.rules().unwrap(), "");
    out.value("head", &state.head().unwrap(), "");
    out.value("roster", &state.roster().unwrap(), "");
    let validators = state.validators().unwrap();
    out.value("validators", &validators, format!("hash {}", validators.hash(&chain)));
    out.value("source", &state.source(stluke).unwrap().unwrap(), "announced, keys pending");
    out.value("activity", &state.activity(mercy).unwrap(), "");
    out.value("key_use", &KeyUse { source: mercy, role: KeyRole::Transfer }, "");
    let study = state.study(id).unwrap().unwrap();
    out.value("study", &study, "as on the chain");
    out.value("study", &full_study(study), "with every field filled");
    let ending = Ending::Study(id);
    out.value(
        "executed",
        &ReplayMark { submit_by: Timestamp(8), next: Some(Ending::Transaction(TxId::from_bytes([6; 32]))) },
        "",
    );
    out.value("executed", &ReplayMark { submit_by: Timestamp(8), next: None }, "last");
    out.value("due", &Due { next: Some(ending) }, "");
    out.value("slot", &SlotHead { first: ending }, "");
    let event = EventHash::START.then(&chain, TxId::from_bytes([6; 32]), 7);
    out.raw("event", EventHash::START.as_bytes(), format!("then tx 32 × 06 at height 7 {event}"));

    out.value("header", &block.header, format!("block {}", block.header.id()));
    let (height, round, validator) = (block.header.height, 1, mercy);
    let vote = Vote { kind: VoteKind::Precommit, height, round, block: Some(block.header.id()), validator };
    out.value("vote", &vote, format!("preimage {}", hex(&vote.preimage(&chain))));
    out.value("vote", &Vote { kind: VoteKind::Prevote, block: None, ..vote }, "nil");
    let proposal = RoundProposal { height, round, block: block.header.id(), valid_round: Some(0), proposer: mercy };
    out.value("proposal", &proposal, format!("preimage {}", hex(&proposal.preimage(&chain))));
    let commit = block.last_commit.clone().unwrap();
    out.value("commit", &commit, format!("digest {}", CommitCertificate::digest_of(Some(&commit), &chain)));
    let hashes: Vec<_> = block.envelopes.iter().map(Envelope::hash).collect();
    let inclusion = prove_inclusion(&hashes, 2).unwrap();
    assert_eq!(inclusion.verify(&block.header, &hashes[2]), Ok(()));
    out.value("inclusion", &inclusion, format!("of {} in {}", hashes[2], block.header.envelopes));
    out.value("block", &block, "");

    out.value("page", &state.page(&PagePath::ROOT).unwrap().unwrap(), format!("root {}", state.root()));
    out.value("page_path", &PagePath::ROOT.child(0xa).unwrap().child(3).unwrap(), "a3");
    for key in [StateKey::Study(id), StateKey::Study(world.id(2))] {
        let proven = prove(state, state, key).unwrap();
        assert_eq!(proven.verify(state.root()), Ok(()));
        out.value("state_proof", &proven, format!("against {}", state.root()));
        out.value("proof", &proven.proof, "");
    }
    let skeleton = Skeleton::take(state, PagePath::ROOT, 2).unwrap();
    let (import, _) = Import::begin(&world.header, skeleton.clone()).unwrap();
    out.value("skeleton", &skeleton, "");
    let Ok(chunk) = Chunk::take(state, import.parts().next().unwrap());
    out.value("chunk", &chunk.unwrap(), "");

    // St Luke's has announced other keys, which are in force from the next epoch.
    let mut later = world.clone();
    let head = later.certified(1_000);
    let last = later.certified(DAY);
    let change = ValidatorChange { last, next: later.state.validators().unwrap() };
    for (name, envelope) in &envelopes {
        if let ("vote", Action::Vote(casting)) = (*name, &envelope.body.action) {
            out.value("state_key", &StateKey::Ballot(casting.content.id(&chain)), "of what is voted on");
        }
    }
    let voter = hospitals()[0].operational.clone();
    let content = Content::SetKind { source: stluke, kind: SourceKind::Hosted };
    let ballot = StateKey::Ballot(content.id(&chain));
    later.act(Action::Vote(Casting { voter: voter.public(), content }), &[&voter]).unwrap();
    out.value::<Ballot>("ballot", &later.state.required(&ballot).unwrap(), "");
    for key in later.state.rows().keys() {
        match key {
            StateKey::BallotDue(..) | StateKey::Deciding(_) => out.value("state_key", key, ""),
            StateKey::Registered(source, epoch) => {
                out.value("state_key", key, "");
                out.value("registered", &later.state.registered(*source, *epoch).unwrap().unwrap(), "");
            }
            StateKey::Record(epoch) => {
                out.value("state_key", key, "");
                out.value("record", &later.state.record(*epoch).unwrap().unwrap(), "");
            }
            _ => {}
        }
    }
    let (mut client, now) = (LightClient::from_genesis(&world.genesis), LocalTime(later.now()));
    out.value("light_client", &client, "from the genesis");
    client.accept(&head, now).unwrap();
    out.value("certified", &head, format!("block {}", head.header.id()));
    out.value("light_client", &client, format!("with block {}", head.header.id()));
    client.change(&change, now).unwrap();
    out.value("validator_change", &change, format!("to {}", change.next.hash(&chain)));
    out.value("light_client", &client, "after the change");
    let head = later.certified(1_000);
    let mut jumped = LightClient::from_genesis(&world.genesis);
    jumped.skip(&head, &change.next, LocalTime(later.now())).unwrap();
    out.value("light_client", &jumped, format!("after a jump to block {}", head.header.id()));
    out.value("checkpoint", &Checkpoint::of(&head.header), "");
    let key = secret("mercy checkpoint");
    let (from, until) = (later.now(), later.now().plus(MAX_ENDORSEMENT_MS));
    let endorsement = Endorsement { chain, source: mercy, key: key.public(), from, until };
    out.value("endorsement", &endorsement, "");
    let endorsed = endorsement.sign(&hospitals()[0].identity);
    endorsed.verify().unwrap();
    let preimage = hex(&domain::preimage(Tag::ENDORSEMENT, &chain, &endorsement));
    out.value("signed_endorsement", &endorsed, format!("preimage {preimage}"));
    let signed = SignedCheckpoint::sign(&head.header, endorsed, &key);
    let preimage = hex(&domain::preimage(Tag::CHECKPOINT, &chain, &(mercy, signed.checkpoint, signed.time)));
    out.value("signed_checkpoint", &signed, format!("preimage {preimage}"));
    let identity = Some(hospitals()[0].identity.public());
    let proven = vec![ProvenIdentity { source: mercy, identity }, ProvenIdentity { source: stluke, identity: None }];
    out.value("identities", &Identities { proven: Ascending::from_items(proven).unwrap() }, "one acts no more");
    let newest = Newest {
        inquiry: Inquiry { asker: mercy, nonce: [0x0e; 32] },
        by: stluke,
        height: head.header.height,
        block: head.header.id(),
        at: later.now().plus(7),
    };
    let preimage = hex(&domain::preimage(Tag::NEWEST, &chain, &newest));
    out.value("newest", &newest.sign(&chain, &hospitals()[1].operational), format!("preimage {preimage}"));
    receipts(&mut out);
    out.0
}

/// A receipt of each kind, and how they are anchored.
fn receipts(out: &mut Accepted) {
    let book = Book::with_one_of_everything();
    let (chain, statement) = (book.world.chain, book.statement());
    for signed in &book.receipts {
        let what = match &signed.receipt.entry {
            Entry::Opened(_) => "opened",
            Entry::Closed(_) => "closed",
            Entry::Refused(_) => "refused",
            Entry::RevocationSeen { .. } => "revocation seen",
            Entry::Opening(opening) if opening.resumes.is_some() => "gone on with",
            Entry::Opening(_) => "opening",
            Entry::EmergencyOpening(..) => "emergency opening",
            Entry::Alerted { .. } => "alerted",
            Entry::Restored { .. } => "restored",
        };
        let preimage = hex(&domain::preimage(Tag::RECEIPT, &chain, &signed.receipt));
        out.value("receipt", &signed.receipt, format!("{what}, digest {}", signed.receipt.digest(&chain)));
        out.value("signed_receipt", signed, format!("{what}, preimage {preimage}"));
    }
    let digests = book.digests();
    let opened = hex(&domain::preimage(Tag::COUNTERSIGNATURE, &chain, &digests[0]));
    out.raw("countersignature", digests[0].as_bytes(), format!("preimage {opened}"));
    out.raw("anchor_root", &[], anchor_root(&chain, &[]));
    let bytes: Vec<u8> = digests.iter().flat_map(|digest| *digest.as_bytes()).collect();
    out.raw("anchor_root", &bytes, anchor_root(&chain, &digests));
    out.value("receipts_tip", &book.tip(), "");
    out.value("receipt_inclusion", &Inclusion::of(&digests, 1).unwrap(), "of the second");
    out.value("statement", &statement, "");
    out.value("anchored_receipt", &statement.single(0).unwrap(), "");
}

/// A record as only the complete ledger makes it.
fn full_study(study: Study) -> Study {
    let key = secret("new").public();
    let mut study = Study {
        status: Status::Withdrawn { reason: Reason::Retention },
        frozen: true,
        pending_recovery: Some(PendingRecovery {
            id: TxId::from_bytes([1; 32]),
            new_holder: key,
            since: BlockTime(Timestamp(5)),
            since_height: 6,
        }),
        last_recovery: Some(BlockTime(Timestamp(7))),
        vetoed: Some(BlockTime(Timestamp(8))),
        defined_in: 9,
        ..study
    };
    let grave = Grave { grant: GrantId::from_bytes([2; 32]), by: Capacity::Delegate(key) };
    study.tombstones.insert(Tombstone { grave, until: Timestamp(9) }).unwrap();
    study
}

/// Reads bytes as the named type and says what is wrong with them, through to the signatures where there are any.
fn judge(name: &str, bytes: &[u8]) -> Result<(), String> {
    macro_rules! by_name {
        ($($field:ident: $type:ty),* $(,)?) => {
            match name {
                $(stringify!($field) => encoding::decode::<$type>(bytes).map(drop).map_err(|error| error.to_string()),)*
                other => panic!("no type {other}"),
            }
        };
    }
    wire_types!(by_name)?;
    if name == "envelope" {
        let envelope: Envelope = encoding::decode(bytes).unwrap();
        let chain = World::new(Parameters::default()).chain;
        envelope.check_stateless(&chain).map_err(|error| error.to_string())?;
    }
    if name == "key" {
        encoding::decode::<Key>(bytes).unwrap().check().map_err(|error| error.to_string())?;
    }
    if name == "signed_endorsement" {
        encoding::decode::<SignedEndorsement>(bytes).unwrap().verify().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn rejected() -> Vec<Vector> {
    let Everything { world, envelopes, .. } = everything();
    let mut out = Vec::new();
    let mut add = |name: &str, case: &str, bytes: Vec<u8>| {
        let why = judge(name, &bytes).expect_err(case);
        out.push(Vector { name: name.into(), bytes, rest: format!("{case}: {why}") });
    };
    let edited = |bytes: &[u8], edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        edit(&mut bytes);
        bytes
    };

    // Keys.
    let key = encoding::encode(&secret("any").public());
    add("key", "cut off", key[..20].to_vec());
    add("key", "overlong", edited(&key, &|bytes| bytes.push(0)));
    add("key", "another algorithm", edited(&key, &|bytes| bytes[0] = 1));
    add("key", "weak: the neutral element", [&[0, 1][..], &[0; 31]].concat());
    add("key", "weak: order 4", vec![0; 33]);
    add("key", "weak: order 8", unhex("0026e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"));
    add("key", "not canonical: p", [&[0, 0xed][..], &[0xff; 30], &[0x7f]].concat());
    add("key", "not canonical: p + 3", [&[0, 0xf0][..], &[0xff; 30], &[0x7f]].concat());
    add("key", "not a point", [&[0, 2][..], &[0; 31]].concat());

    // Every kind of transaction: cut, joined, for another network, a flipped tag, a swapped or missing signature.
    let other_chain = clavicle_ledger::id::ChainId::from_bytes([9; 32]);
    for (name, envelope) in &envelopes {
        let bytes = encoding::encode(envelope);
        let case = |what: &str| format!("{name}, {what}");
        add("envelope", &case("cut off"), bytes[..bytes.len() - 1].to_vec());
        add("envelope", &case("trailing byte"), edited(&bytes, &|bytes| bytes.push(0)));
        add("envelope", &case("action without a meaning"), edited(&bytes, &|bytes| bytes[24] = 14));
        if let Action::Evidence(evidence) = &envelope.body.action {
            // Nobody signs the body: the evidence is what is signed.
            for (what, conflict) in spoilt(&evidence.conflict) {
                let action = Action::Evidence(Evidence { key: evidence.key, conflict });
                let body = Body { action, ..envelope.body.clone() };
                let spoilt = Envelope { body, signatures: envelope.signatures.clone() };
                add("envelope", &case(what), encoding::encode(&spoilt));
            }
            continue;
        }
        add("envelope", &case("altered time limit"), edited(&bytes, &|bytes| bytes[0] ^= 1));
        add("envelope", &case("altered signature"), edited(&bytes, &|bytes| *bytes.last_mut().unwrap() ^= 1));
        let at = bytes.len() - 65;
        add("envelope", &case("signature of another algorithm"), edited(&bytes, &|bytes| bytes[at] = 1));
        let signatures = envelope.signatures.as_slice().len();
        let count_at = bytes.len() - 65 * signatures - 4;
        let fewer = edited(&bytes, &|bytes| {
            bytes[count_at] -= 1;
            bytes.truncate(bytes.len() - 65);
        });
        add("envelope", &case("a signature less"), fewer);
        let more = edited(&bytes, &|bytes| {
            bytes[count_at] = 9;
            bytes.extend([0; 65 * 8]);
        });
        add("envelope", &case("more signatures than anything has"), more);
        // The same body, signed by the same keys, for another network, and under another kind's tag.
        let all: Vec<SecretKey> = signing_keys();
        let keys: Vec<&SecretKey> = all.iter().collect();
        let foreign = envelope.body.clone().sign(&other_chain, &keys).unwrap();
        add("envelope", &case("signed for another network"), encoding::encode(&foreign));
        let tag = if envelope.body.action.tag() == Tag::GRANT { Tag::REVOKE } else { Tag::GRANT };
        let preimage = clavicle_ledger::domain::preimage(tag, &world.chain, &envelope.body);
        let signers = envelope.body.action.signers();
        let signatures =
            signers.iter().map(|signer| all.iter().find(|key| key.public() == *signer).unwrap().sign(&preimage));
        let signatures = clavicle_ledger::transaction::Signatures::new(signatures.collect()).unwrap();
        let flipped = Envelope { body: envelope.body.clone(), signatures };
        add("envelope", &case("signed under another tag"), encoding::encode(&flipped));
    }
    let long = edited(&encoding::encode(&envelopes[0].1), &|bytes| bytes.resize(4097, 0));
    add("envelope", "longer than a transaction may be", long);

    // Weak keys where they would be stored: a grantee, a delegate.
    let weak = Key::from_bytes([0; 32]);
    let mut body = envelopes.iter().find(|(name, _)| *name == "grant").unwrap().1.body.clone();
    let Action::Grant(inner) = &mut body.action else { panic!() };
    inner.grantee = weak;
    add("envelope", "grant to a weak key", encoding::encode(&body.sign(&world.chain, &[&secret("holder")]).unwrap()));
    let mut body = envelopes.iter().find(|(name, _)| *name == "define_study").unwrap().1.body.clone();
    let Action::DefineStudy(inner) = &mut body.action else { panic!() };
    inner.delegates =
        Ascending::from_items(vec![clavicle_ledger::study::Delegate { key: weak, ..inner.delegates[0] }]).unwrap();
    let keys = [&world.hospitals[0].operational, &secret("holder")];
    add("envelope", "delegation to a weak key", encoding::encode(&body.sign(&world.chain, &keys).unwrap()));

    let (study, holder) = (world.id(1), secret("holder"));
    let helper = delegate(&secret("helper"), DelegateRole::Helper, world.now().day().plus(9));
    let delegating =
        Delegate { study, holder: holder.public(), delegate: clavicle_ledger::study::Delegate { key: weak, ..helper } };
    let voter = &world.hospitals[0].operational;
    let vote = |content| Action::Vote(Casting { voter: voter.public(), content });
    let source = world.hospitals[1].id(&world.chain);
    for (what, action) in [
        ("later delegation to a weak key", Action::Delegate(delegating)),
        ("settled for a weak key", vote(Content::Settle { study, holder: weak })),
        ("weak identity", vote(Content::ReplaceIdentity { source, identity: weak })),
        (
            "parameters out of range",
            vote(Content::SetParameters(Box::new(Parameters { epoch_ms: 0, ..Parameters::default() }))),
        ),
    ] {
        let body = Body { submit_by: world.now(), nonce: [0; 16], action };
        let envelope = body.sign(&world.chain, &[&holder, voter]).unwrap();
        add("envelope", what, encoding::encode(&envelope));
    }

    // Terms of a version that is not known, and what no version of them has.
    let terms =
        Terms { conditions: Some(Conditions { openings: Some(3), ..Conditions::default() }), ..world.terms(DAY) };
    let terms = encoding::encode(&terms);
    for version in [1, 3, 255] {
        add("terms", &format!("version {version}"), edited(&terms, &|bytes| bytes[7] = version));
    }
    add("terms", "version 1, with conditions", edited(&terms, &|bytes| bytes[7] = 0));
    add("terms", "conditions cut off", terms[..terms.len() - 1].to_vec());
    add("terms", "trailing byte", edited(&terms, &|bytes| bytes.push(0)));
    // openings (5), view only (1), members of (1), count of data uses (4)
    let at = terms.len() - 11;
    add("terms", "openings neither there nor not", edited(&terms, &|bytes| bytes[at] = 2));
    add("terms", "a view that is neither only nor not", edited(&terms, &|bytes| bytes[at + 5] = 2));
    add(
        "terms",
        "a data use without a meaning",
        edited(&terms, &|bytes| {
            *bytes.iter_mut().nth_back(3).unwrap() = 1;
            bytes.push(5);
        }),
    );
    add(
        "terms",
        "data uses out of order",
        edited(&terms, &|bytes| {
            *bytes.iter_mut().nth_back(3).unwrap() = 2;
            bytes.extend([42, 6]);
        }),
    );

    // A receipt of a kind, and an alert at a stage, without a meaning.
    let book = Book::with_one_of_everything();
    let receipt = |at: usize| encoding::encode(&book.receipts[at].receipt);
    // source (32), signer (33), study (32), sequence (8), previous (32), at (8), unlisted (8)
    let kind_at = 153;
    add("receipt", "a kind without a meaning", edited(&receipt(4), &|bytes| bytes[kind_at] = 8));
    add("receipt", "a stage without a meaning", edited(&receipt(9), &|bytes| bytes[kind_at + 1] = 14));
    add("receipt", "an opening cut off", receipt(5)[..receipt(5).len() - 1].to_vec());

    // Lists out of order, in a record and in a scope.
    let validators = encoding::encode(&world.state.validators().unwrap());
    let swapped = edited(&validators, &|bytes| bytes[4..4 + 2 * 73].rotate_left(73));
    add("validators", "out of order", swapped);
    let doubled = edited(&validators, &|bytes| bytes.copy_within(4..4 + 73, 4 + 73));
    add("validators", "one twice", doubled);
    add("validators", "more than there may be", vec![0xff; 4]);
    add("validators", "trailing byte", edited(&validators, &|bytes| bytes.push(0)));
    let genesis = encoding::encode(&world.genesis);
    add("genesis", "a name that does not show", edited(&genesis, &|bytes| bytes[4] = 7));
    add("genesis", "a name that is not UTF-8", edited(&genesis, &|bytes| bytes[4] = 0xff));
    let light = encoding::encode(&LightClient::from_genesis(&world.genesis));
    let since_at = 4 + 4 * 73;
    add(
        "light_client",
        "validators who decide from before the first block",
        edited(&light, &|bytes| bytes[since_at] = 0),
    );
    add("light_client", "validators whose first header is missing", edited(&light, &|bytes| bytes[since_at] = 2));
    add("light_client", "other validators than the header's", edited(&light, &|bytes| bytes[4] ^= 1));
    endorsements(&world, &mut add);
    let study = encoding::encode(&world.state.study(world.id(1)).unwrap().unwrap());
    let open_at = study.len() - flag_distance(&world);
    add("study", "a flag that is neither yes nor no", edited(&study, &|bytes| bytes[open_at] = 2));
    out
}

/// Endorsements and checkpoints that are none.
fn endorsements(world: &World, add: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let (identity, key) = (&world.hospitals[0].identity, secret("mercy checkpoint"));
    let (from, until) = (world.now(), world.now().plus(MAX_ENDORSEMENT_MS));
    let (chain, source) = (world.chain, world.hospitals[0].id(&world.chain));
    let good = Endorsement { chain, source, key: key.public(), from, until };
    let endorsed = good.sign(identity);
    let checkpoint = encoding::encode(&SignedCheckpoint::sign(&world.header, endorsed, &key));
    add("checkpoint", "cut off", encoding::encode(&Checkpoint::of(&world.header))[..39].to_vec());
    add("checkpoint", "a signed one", checkpoint.clone());
    add("signed_checkpoint", "cut off", checkpoint[..checkpoint.len() - 1].to_vec());
    add("signed_checkpoint", "trailing byte", [&checkpoint[..], &[0]].concat());
    add("endorsement", "a signed one", encoding::encode(&endorsed));
    for (what, endorsement) in [
        ("a day too long", Endorsement { until: until.plus(DAY), ..good }),
        ("over before it begins", Endorsement { until: from, ..good }),
        ("of the identity key itself", Endorsement { key: identity.public(), ..good }),
    ] {
        add("signed_endorsement", what, encoding::encode(&endorsement.sign(identity)));
    }
    let mut altered = endorsed;
    altered.endorsement.until = Timestamp(until.0 - 1);
    add("signed_endorsement", "altered end", encoding::encode(&altered));
    let by_another = SignedEndorsement { signature: good.sign(&secret("another")).signature, ..endorsed };
    add("signed_endorsement", "signed by another key", encoding::encode(&by_another));
    let other_tag = identity.sign(&domain::preimage(Tag::CHECKPOINT, &chain, &good));
    let other_tag = SignedEndorsement { signature: other_tag, ..endorsed };
    add("signed_endorsement", "signed under another tag", encoding::encode(&other_tag));
}

/// A conflict, spoilt so that it is none.
fn spoilt(conflict: &Conflict) -> Vec<(&'static str, Conflict)> {
    match conflict.clone() {
        Conflict::Votes(one, two) => {
            let forged = Signed { signature: two.signature, ..one.clone() };
            vec![
                ("another vote's signature", Conflict::Votes(forged, two.clone())),
                ("one vote twice", Conflict::Votes(one.clone(), one.clone())),
                ("the greater first", Conflict::Votes(two, one)),
            ]
        }
        Conflict::Proposals(one, two) => {
            let forged = Signed { signature: two.signature, ..one.clone() };
            vec![
                ("another proposal's signature", Conflict::Proposals(forged, two.clone())),
                ("one proposal twice", Conflict::Proposals(one.clone(), one.clone())),
                ("the greater first", Conflict::Proposals(two, one)),
            ]
        }
    }
}

/// How far from the end of the first study's record its `open` flag stands: found by flipping it.
fn flag_distance(world: &World) -> usize {
    let study = world.state.study(world.id(1)).unwrap().unwrap();
    let (bytes, flipped) = (encoding::encode(&study), encoding::encode(&Study { open: !study.open, ..study.clone() }));
    bytes.len() - bytes.iter().zip(&flipped).position(|(a, b)| a != b).unwrap()
}

fn signing_keys() -> Vec<SecretKey> {
    let mut keys = vec![secret("holder"), secret("grantee"), secret("new")];
    for hospital in hospitals().into_iter().chain([crate::world::Hospital::new("stluke", 1)]) {
        keys.extend(hospital.secrets().into_iter().cloned());
    }
    keys
}

fn compare_with_disk(file: &str, vectors: &[Vector]) {
    let text: String =
        vectors.iter().map(|Vector { name, bytes, rest }| format!("{name} {} {rest}\n", hex(bytes))).collect();
    let path = folder().join(file);
    if std::env::var_os("CLAVICLE_WRITE_VECTORS").is_some() {
        fs::create_dir_all(folder()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let disk = fs::read_to_string(&path).unwrap();
    for (now, then) in text.lines().zip(disk.lines()) {
        assert_eq!(now, then, "{file} has another value on disk");
    }
    assert_eq!(text.lines().count(), disk.lines().count(), "{file} is longer or shorter on disk");
}

#[test]
fn accepted_vectors() {
    let vectors = accepted();
    compare_with_disk("accepted.txt", &vectors);
    if std::env::var_os("CLAVICLE_WRITE_VECTORS").is_some() {
        write_corpus(&vectors);
    }
}

#[test]
fn rejected_vectors() {
    compare_with_disk("rejected.txt", &rejected());
}

#[test]
fn every_wire_type_has_a_vector_and_no_two_tags_are_alike() {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for vector in accepted() {
        *names.entry(vector.name).or_default() += 1;
    }
    macro_rules! all {
        ($($field:ident: $type:ty),* $(,)?) => { [$(stringify!($field)),*] };
    }
    for name in wire_types!(all) {
        assert!(names.contains_key(name), "no vector for {name}");
    }
    let tags: std::collections::BTreeSet<_> = Tag::ALL.iter().collect();
    assert_eq!(tags.len(), Tag::ALL.len());
}

#[test]
fn a_changed_byte_is_another_value_or_none() {
    let chain = World::new(Parameters::default()).chain;
    for Vector { name, bytes, .. } in accepted().iter().filter(|vector| vector.name == "envelope") {
        // Evidence signs for itself; when and how often it is submitted, nobody does.
        let unsigned = if bytes[24] == 13 { 24 } else { 0 };
        for at in unsigned..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            let refused = match encoding::decode::<Envelope>(&changed) {
                Err(_) => true,
                Ok(envelope) => envelope.check_stateless(&chain).is_err(),
            };
            assert!(refused, "{name}: byte {at} is not covered by any signature");
        }
    }
}

/// The fuzzers start from the vectors.
fn write_corpus(vectors: &[Vector]) {
    macro_rules! names {
        ($($field:ident: $type:ty),* $(,)?) => { [$(stringify!($field)),*] };
    }
    for name in wire_types!(names) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/__fuzz__").join(name).join("corpus");
        fs::create_dir_all(&folder).unwrap();
        for (number, vector) in vectors.iter().filter(|vector| vector.name == name).enumerate() {
            fs::write(folder.join(format!("{number}.bin")), &vector.bytes).unwrap();
        }
    }
}

/// The accepted bytes of a type, from disk.
pub fn on_disk(name: &str) -> Vec<Vec<u8>> {
    let disk = fs::read_to_string(folder().join("accepted.txt")).unwrap();
    let mine = disk.lines().filter_map(|line| line.split_once(' ')).filter(|(of, _)| *of == name);
    mine.map(|(_, rest)| unhex(rest.split(' ').next().unwrap())).collect()
}
