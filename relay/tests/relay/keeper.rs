//! Four keepers, each with its own disk, agreeing without an engine: one proposes, the others judge, all decide.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clavicle_consensus::Application;
use clavicle_ledger::action::{Conflict, Grant, Revoke, Signed};
use clavicle_ledger::block::{Block, BlockError, CertificateError, CommitCertificate};
use clavicle_ledger::encoding;
use clavicle_ledger::execute::{self, ExecuteError, Rejection};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{BlockId, GrantId, RequestDigest, TermsCommitment};
use clavicle_ledger::pool::{Lane, Put, lane_of};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{BlockTime, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, StatelessError, Verified};
use clavicle_ledger::validators::ValidatorSet;
use clavicle_ledger::vote::{Vote, VoteKind};
use clavicle_relay::keeper::{Came, Invalid, Keeper, KeeperError};
use clavicle_relay::mempool::Mempool;
use clavicle_relay::store::{ChainStore, ProposalStore};

use crate::chain::{define, genesis_of, secret, source_id, study};

/// A hospital's keeper, its store and what waits there.
struct Hospital {
    keeper: Keeper,
    store: Arc<ChainStore>,
    mempool: Arc<Mempool>,
}

struct Four {
    folder: tempfile::TempDir,
    genesis: Genesis,
    clock: Arc<AtomicU64>,
    hospitals: Vec<Hospital>,
}

fn open(folder: &Path, genesis: &Genesis, n: usize, clock: &Arc<AtomicU64>) -> Hospital {
    let store = Arc::new(ChainStore::open(&folder.join(format!("chain{n}")), genesis).unwrap());
    let proposals = ProposalStore::open(&folder.join(format!("proposals{n}"))).unwrap();
    let (mempool, clock) = (Arc::new(Mempool::new()), Arc::clone(clock));
    let clock = Box::new(move || LocalTime(Timestamp(clock.load(Ordering::Relaxed))));
    let keeper = Keeper::new(Arc::clone(&store), proposals, Arc::clone(&mempool), source_id(genesis, n), clock);
    Hospital { keeper, store, mempool }
}

impl Hospital {
    fn put(&self, envelope: Verified) -> Put {
        let lane = lane_of(&self.store.snapshot().unwrap(), &envelope).unwrap();
        self.mempool.put(envelope, lane)
    }
}

impl Four {
    fn new() -> Self {
        let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis_of("test", 4));
        let clock = Arc::new(AtomicU64::new(genesis.time.timestamp().0 + 1_000));
        let hospitals = (0..4).map(|n| open(folder.path(), &genesis, n, &clock)).collect();
        Self { folder, genesis, clock, hospitals }
    }

    /// Kills hospital `n` and starts it again on the same disk.
    fn restart(&mut self, n: usize) {
        let gone = self.hospitals.remove(n);
        drop(gone);
        self.hospitals.insert(n, open(self.folder.path(), &self.genesis, n, &self.clock));
    }

    /// A certificate by three of the four, with real signatures.
    fn certify(&self, set: &ValidatorSet, height: u64, round: u32, block: BlockId) -> CommitCertificate {
        let vote = |place: usize| {
            let validator = set.validators[place].source;
            let n = (0..4).find(|n| source_id(&self.genesis, *n) == validator).unwrap();
            let vote = Vote { kind: VoteKind::Precommit, height, round, block: Some(block), validator };
            (place, secret(&format!("consensus {n}")).sign(&vote.preimage(&self.genesis.chain_id())))
        };
        CommitCertificate::new(height, round, block, [0, 1, 3].map(vote).to_vec()).unwrap()
    }

    fn judge(&mut self, n: usize, bytes: &[u8], round: u32, came: Came) -> Result<(), Invalid> {
        let block: Block = encoding::decode(bytes).unwrap();
        self.hospitals[n].keeper.judge(block, bytes, round, came).unwrap()
    }

    /// One height: `proposer` proposes, the others judge, all decide.
    fn decide_one(&mut self, proposer: usize) -> CommitCertificate {
        self.clock.fetch_add(1_000, Ordering::Relaxed);
        let (height, set) = self.hospitals[proposer].keeper.next().unwrap();
        let (id, bytes) = self.hospitals[proposer].keeper.propose(height, 0).unwrap();
        let from = source_id(&self.genesis, proposer);
        for n in (0..4).filter(|n| *n != proposer) {
            self.judge(n, &bytes, 0, Came::First(from)).unwrap();
        }
        let certificate = self.certify(&set, height, 0, id);
        assert_eq!(certificate.verify(&self.genesis.chain_id(), &set), Ok(()));
        for hospital in &mut self.hospitals {
            hospital.keeper.decide(&certificate).unwrap();
        }
        certificate
    }

    fn define(&self, number: u64) -> Verified {
        define(&self.genesis, &self.hospitals[0].store.head().unwrap(), number)
    }
}

/// Two votes that hospital `n` may not both give.
fn twice(four: &Four, n: usize, height: u64) -> Conflict {
    let vote = |block| {
        let validator = source_id(&four.genesis, n);
        let message = Vote { kind: VoteKind::Prevote, height, round: 0, block, validator };
        let key = secret(&format!("consensus {n}"));
        Signed { message, signature: key.sign(&message.preimage(&four.genesis.chain_id())) }
    };
    Conflict::Votes(vote(Some(BlockId::from_bytes([1; 32]))), vote(None))
}

#[test]
fn who_signed_twice_stands_in_the_record_whoever_was_killed_in_between() {
    let mut four = Four::new();
    let certificate = four.decide_one(0);
    let guilty = source_id(&four.genesis, 3);
    let shown = |four: &Four| {
        let record = four.hospitals[0].store.snapshot().unwrap().record(0).unwrap().unwrap();
        record.lines.find(&guilty).unwrap().equivocations
    };
    // Two of them see it; neither had it in a block when it was killed.
    for n in [0, 1] {
        let conflict = twice(&four, 3, certificate.height);
        Application::finalised(&mut four.hospitals[n].keeper, certificate.clone(), vec![conflict]).unwrap();
        four.restart(n);
        assert!(four.hospitals[n].mempool.is_empty());
        four.hospitals[n].keeper.resume().unwrap();
        assert!(!four.hospitals[n].mempool.is_empty());
    }
    assert_eq!(shown(&four), 0);
    for proposer in [0, 1, 0] {
        four.decide_one(proposer);
        assert_eq!(shown(&four), 1);
    }
    assert!(four.hospitals.iter().all(|hospital| hospital.mempool.is_empty()));
    // With four that decide, none is suspended by itself.
    let source = four.hospitals[0].store.snapshot().unwrap().source(guilty).unwrap().unwrap();
    assert!(!source.suspended);
}

#[test]
fn four_keepers_come_to_the_same_state() {
    let mut four = Four::new();
    for round in 0..6u64 {
        for number in round * 10..round * 10 + 10 {
            let envelope = four.define(number);
            for hospital in &four.hospitals[..2] {
                assert_eq!(hospital.put(envelope.clone()), Put::Waits);
            }
        }
        four.decide_one(round as usize % 2);
        assert!(four.hospitals.iter().all(|hospital| hospital.mempool.is_empty()));
    }
    let heads: Vec<_> = four.hospitals.iter().map(|hospital| hospital.store.head().unwrap()).collect();
    assert!(heads.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(heads[0].height, 6);
    for hospital in &four.hospitals {
        assert!(hospital.store.snapshot().unwrap().study(study(&four.genesis, 59)).unwrap().is_some());
        assert_eq!(hospital.store.validators(7).unwrap(), hospital.store.validators(1).unwrap());
        assert_eq!(hospital.store.validators(8).unwrap(), None);
    }
}

#[test]
fn the_same_round_has_the_same_proposal_also_after_a_restart() {
    let mut four = Four::new();
    four.hospitals[0].put(four.define(1));
    let (id, bytes) = four.hospitals[0].keeper.propose(1, 0).unwrap();
    four.hospitals[0].put(four.define(2));
    four.clock.fetch_add(500, Ordering::Relaxed);
    assert_eq!(four.hospitals[0].keeper.propose(1, 0).unwrap(), (id, bytes.clone()));
    let (other, _) = four.hospitals[0].keeper.propose(1, 4).unwrap();
    assert_ne!(other, id);
    four.restart(0);
    assert_eq!(four.hospitals[0].keeper.propose(1, 0).unwrap(), (id, bytes.clone()));
    let me = source_id(&four.genesis, 0);
    let mut kept = four.hospitals[0].keeper.undecided(1).unwrap();
    kept.sort_by_key(|(_, round, _)| *round);
    assert_eq!(kept, [(id, 0, me), (other, 4, me)]);
    assert_eq!(four.hospitals[0].keeper.kept(1, id).unwrap(), Some(bytes.clone()));

    // Judged before a kill, decided after it: nothing needs to be sent again.
    four.judge(1, &bytes, 0, Came::First(me)).unwrap();
    four.restart(1);
    let (_, set) = four.hospitals[1].keeper.next().unwrap();
    let certificate = four.certify(&set, 1, 0, id);
    four.hospitals[1].keeper.decide(&certificate).unwrap();
    assert_eq!(four.hospitals[1].store.head().unwrap().id(), id);
    assert_eq!(four.hospitals[1].keeper.undecided(1).unwrap(), []);
    // One that never saw it says that something was lost, and does not go on as if nothing were.
    let lost = four.hospitals[2].keeper.decide(&certificate).unwrap_err();
    assert!(matches!(lost, KeeperError::NotKept(lost) if lost == id));
}

#[test]
fn blocks_that_are_not_valid_are_told_why_and_not_kept() {
    let mut four = Four::new();
    four.decide_one(0);
    four.clock.fetch_add(1_000, Ordering::Relaxed);
    let envelope = four.define(1);
    four.hospitals[1].put(envelope);
    let (id, bytes) = four.hospitals[1].keeper.propose(2, 0).unwrap();
    let (me, another) = (source_id(&four.genesis, 1), source_id(&four.genesis, 2));
    let good: Block = encoding::decode(&bytes).unwrap();
    let edited = |edit: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        edit(&mut block);
        encoding::encode(&block)
    };

    assert!(matches!(four.judge(0, &bytes, 0, Came::First(another)), Err(Invalid::Proposer)));
    assert!(matches!(four.judge(0, &bytes, 1, Came::First(me)), Err(Invalid::Proposer)));
    let height = edited(&|block| block.header.height = 5);
    assert!(matches!(four.judge(0, &height, 0, Came::Again(me)), Err(Invalid::Height { given: 5, due: 2 })));
    let emptied = edited(&|block| block.envelopes.clear());
    assert!(matches!(four.judge(0, &emptied, 0, Came::First(me)), Err(Invalid::Form(BlockError::Envelopes))));
    let forged = edited(&|block| {
        let mut signed = encoding::encode(&block.envelopes[0]);
        *signed.last_mut().unwrap() ^= 1;
        block.envelopes[0] = encoding::decode(&signed).unwrap();
    });
    let verdict = four.judge(0, &forged, 0, Came::First(me));
    assert!(matches!(
        verdict,
        Err(Invalid::Form(BlockError::Envelope { index: 0, error: StatelessError::Signature { .. } }))
    ));
    let state = edited(&|block| block.header.state_root = clavicle_ledger::id::StateRoot::from_bytes([1; 32]));
    assert!(matches!(four.judge(0, &state, 0, Came::First(me)), Err(Invalid::Effect(_))));
    // A certificate that too few have signed.
    let chain = four.genesis.chain_id();
    let previous = four.hospitals[0].store.head().unwrap();
    let thin = CommitCertificate::new(1, 0, previous.id(), Vec::new()).unwrap();
    let unproven = edited(&|block| {
        block.header.last_commit = CommitCertificate::digest_of(Some(&thin), &chain);
        block.last_commit = Some(thin.clone());
    });
    let too_little = CertificateError::TooLittlePower { power: 0, total: 4 };
    let verdict = four.judge(0, &unproven, 0, Came::First(me));
    assert!(matches!(verdict, Err(Invalid::LastCommit(error)) if error == too_little));
    // Too early or too late by the clock, unless it was proposed before.
    four.clock.fetch_add(2_001, Ordering::Relaxed);
    assert!(matches!(four.judge(0, &bytes, 0, Came::First(me)), Err(Invalid::Time { off_ms: 2_001 })));
    assert!(four.hospitals[0].keeper.undecided(2).unwrap().is_empty(), "nothing that was refused is kept");
    four.judge(0, &bytes, 3, Came::Again(me)).unwrap();
    assert_eq!(four.hospitals[0].keeper.undecided(2).unwrap(), [(id, 3, me)]);
}

#[test]
fn a_fuller_certificate_takes_the_place_of_a_thinner_one() {
    let mut four = Four::new();
    let thin = four.decide_one(0);
    let store = Arc::clone(&four.hospitals[0].store);
    let set = store.validators(1).unwrap().unwrap();
    let mut votes: Vec<_> = thin.votes().map(|(place, signature)| (place, *signature)).collect();
    let validator = set.validators[2].source;
    let n = (0..4).find(|n| source_id(&four.genesis, *n) == validator).unwrap();
    let vote = Vote { kind: VoteKind::Precommit, height: 1, round: 0, block: Some(thin.block), validator };
    votes.push((2, secret(&format!("consensus {n}")).sign(&vote.preimage(&four.genesis.chain_id()))));
    votes.sort_by_key(|(place, _)| *place);
    let full = CommitCertificate::new(1, 0, thin.block, votes).unwrap();
    store.finalise(&full, &[]).unwrap();
    store.finalise(&thin, &[]).unwrap();
    assert_eq!(store.block(1).unwrap().unwrap().1, full);
    let of_other = CommitCertificate::new(1, 0, BlockId::from_bytes([1; 32]), Vec::new()).unwrap();
    assert!(store.finalise(&of_other, &[]).is_err());
    // The next block carries the fuller one.
    four.decide_one(0);
    assert_eq!(store.block(2).unwrap().unwrap().0.last_commit, Some(full));
}

#[test]
fn what_waits_goes_in_by_precedence_and_comes_out_when_it_is_done_or_hopeless() {
    let mut four = Four::new();
    let (first, second) = (four.define(1), four.define(2));
    four.hospitals[0].put(first.clone());
    assert_eq!(four.hospitals[0].put(first.clone()), Put::Waited);
    four.decide_one(0);
    let holder = secret("holder");
    let head = four.hospitals[0].store.head().unwrap();
    let revoke = |n: u8| {
        let action = Action::Revoke(Revoke {
            study: study(&four.genesis, 1),
            revoker: holder.public(),
            grant: GrantId::from_bytes([n; 32]),
            grant_submit_by: Timestamp(0),
        });
        let body = Body { submit_by: head.time.timestamp().plus(60_000), nonce: [n; 16], action };
        let chain = four.genesis.chain_id();
        body.sign(&chain, &[&holder]).unwrap().check_stateless(&chain).unwrap()
    };
    let (revocation, mempool) = (revoke(1), Arc::clone(&four.hospitals[0].mempool));
    for envelope in [&first, &second, &revocation] {
        four.hospitals[0].put(envelope.clone());
    }
    let turn: Vec<_> = mempool.in_turn(10, usize::MAX).iter().map(Verified::hash).collect();
    assert_eq!(turn, [revocation.hash(), first.hash(), second.hash()], "what stops something goes first");
    assert_eq!(mempool.in_turn(1, usize::MAX).len(), 1);
    assert_eq!(mempool.in_turn(10, revocation.encoded_len()).len(), 1);
    assert_eq!(mempool.find(&second.hash()), Some(second.clone()));

    // The replay is hopeless and goes without a word; the rest goes in.
    let state = four.hospitals[0].store.snapshot().unwrap();
    let replay = execute::admit(&state, BlockTime(Timestamp(0)), &first).unwrap_err();
    assert!(matches!(replay, ExecuteError::Envelope { index: 0, rejection: Rejection::Replay }));
    assert!(execute::admit(&state, BlockTime(Timestamp(0)), &second).is_ok());
    four.decide_one(0);
    assert!(mempool.is_empty());
    let block = four.hospitals[3].store.block(2).unwrap().unwrap().0;
    let done: Vec<_> = block.envelopes.iter().map(|envelope| envelope.hash()).collect();
    assert_eq!(done, [revocation.hash(), second.hash()]);
}

/// What waits at a relay that never proposes goes out with time, though it was in no block.
#[test]
fn what_is_too_late_goes_out_wherever_it_waits() {
    let mut four = Four::new();
    let late = four.define(1);
    assert_eq!(four.hospitals[1].put(late.clone()), Put::Waits);
    four.decide_one(0);
    assert_eq!(four.hospitals[1].mempool.find(&late.hash()), Some(late.clone()));
    four.clock.store(late.body().submit_by.0, Ordering::Relaxed);
    four.decide_one(0);
    assert!(four.hospitals[1].mempool.is_empty());
    assert!(four.hospitals[1].store.snapshot().unwrap().study(study(&four.genesis, 1)).unwrap().is_none());
}

/// A source that revises many studies at once leaves the holders of its studies their turn.
#[test]
fn a_sources_own_flood_leaves_its_holders_their_turn() {
    let mut four = Four::new();
    four.hospitals[0].put(four.define(0));
    four.decide_one(0);
    for number in 1..3_000 {
        assert_eq!(four.hospitals[0].put(four.define(number)), Put::Waits);
    }
    let holder = secret("holder");
    let action = Action::Grant(Grant {
        study: study(&four.genesis, 0),
        granter: holder.public(),
        grantee: secret("grantee").public(),
        expiry_day: four.hospitals[0].store.head().unwrap().time.timestamp().day().plus(2),
        terms: TermsCommitment::from_bytes([1; 32]),
        request: RequestDigest::NONE,
    });
    let (chain, until) = (four.genesis.chain_id(), four.define(1).body().submit_by);
    let body = Body { submit_by: until, nonce: [9; 16], action };
    let grant = body.sign(&chain, &[&holder]).unwrap().check_stateless(&chain).unwrap();
    let known = four.hospitals[0].store.snapshot().unwrap();
    assert_eq!(lane_of(&known, &grant).unwrap(), Lane::Holders(source_id(&four.genesis, 0)));
    assert_eq!(four.hospitals[0].put(grant.clone()), Put::Waits);
    four.decide_one(0);
    let block = four.hospitals[3].store.block(2).unwrap().unwrap().0;
    assert_eq!(block.envelopes.len(), 2_048);
    assert!(block.envelopes.iter().any(|envelope| envelope.hash() == grant.hash()));
}

/// A proposer whose clock is ahead took what waits for over, and dropped it: revocations too.
#[test]
fn a_clock_that_was_set_ahead_makes_no_proposer_forget_what_waits() {
    let mut four = Four::new();
    four.decide_one(0);
    let waiting = four.define(1);
    let hash = waiting.hash();
    assert_eq!(four.hospitals[0].put(waiting), Put::Waits);
    let height = four.hospitals[0].keeper.next().unwrap().0;
    four.clock.fetch_add(3_600_000, Ordering::Relaxed);
    let (_, bytes) = four.hospitals[0].keeper.propose(height, 0).unwrap();
    assert!(encoding::decode::<Block>(&bytes).unwrap().envelopes.is_empty());
    assert!(four.hospitals[0].mempool.find(&hash).is_some());
    // Set right, it is in the next one.
    four.clock.fetch_sub(3_600_000, Ordering::Relaxed);
    let (_, bytes) = four.hospitals[0].keeper.propose(height, 1).unwrap();
    assert_eq!(encoding::decode::<Block>(&bytes).unwrap().envelopes.len(), 1);
}
