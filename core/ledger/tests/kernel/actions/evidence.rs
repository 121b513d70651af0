//! Evidence and Anchor, power, and what the epochs' records say of it all.

use clavicle_ledger::action::{
    Anchor, AnchorError, Conflict, Content, Evidence, EvidenceError, Signed, Vote as Casting,
};
use clavicle_ledger::encoding::Bytes;
use clavicle_ledger::id::{AnchorRoot, BlockId};
use clavicle_ledger::record::{EpochRecord, Line, ProvenRecord, RecordError, Recount, RecountError};
use clavicle_ledger::tree;
use clavicle_ledger::validators::ValidatorSet;
use clavicle_ledger::vote::RoundProposal;

use super::*;
use crate::world::{certify, consensus_keys};

fn votes(world: &World, hospital: &Hospital, height: u64, round: u32) -> Conflict {
    let vote = |block| {
        let message = Vote { kind: VoteKind::Prevote, height, round, block, validator: hospital.id(&world.chain) };
        let signature = hospital.consensus.as_ref().unwrap().sign(&message.preimage(&world.chain));
        Signed { message, signature }
    };
    Conflict::Votes(vote(None), vote(Some(BlockId::from_bytes([1; 32]))))
}

fn show(world: &mut World, hospital: &Hospital, height: u64, round: u32) -> Result<(), Rejection> {
    let key = hospital.consensus.as_ref().unwrap().public();
    let evidence = Evidence::new(key, votes(world, hospital, height, round)).unwrap();
    world.act(Action::Evidence(evidence), &[])
}

fn refused(error: EvidenceError) -> Result<(), Rejection> {
    Err(Rejection::Evidence(error))
}

/// A world of six hospitals that decide.
fn six() -> World {
    let mut world = world();
    for name in ["fifth", "sixth"] {
        let hospital = Hospital::new(name, 0);
        let source = GenesisSource { identity: hospital.identity.public(), announcement: hospital.announcement() };
        let candidate = Candidate::sign(source, &hospital.secrets()).unwrap();
        for voter in world.hospitals.clone().iter().take(3) {
            let content = Content::Admit(Box::new(candidate.clone()));
            let vote = Action::Vote(Casting { voter: voter.operational.public(), content });
            world.act(vote, &[&voter.operational]).unwrap();
        }
    }
    world.wait(DAY);
    assert_eq!(world.state.validators().unwrap().validators.len(), 6);
    world
}

fn record(world: &World, epoch: u64) -> EpochRecord {
    world.state.record(epoch).unwrap().unwrap()
}

#[test]
fn who_signs_twice_is_suspended_while_four_are_left() {
    let mut world = six();
    let suspended =
        |world: &World, hospital: &Hospital| world.state.source(hospital.id(&world.chain)).unwrap().unwrap().suspended;
    let hospitals = world.hospitals.clone();
    let height = world.header.height;
    for (at, hospital) in hospitals.iter().take(3).enumerate() {
        show(&mut world, hospital, height, 0).unwrap();
        assert_eq!(suspended(&world, hospital), at < 2, "four are left, and stay");
    }
    world.wait(DAY);
    assert_eq!(world.state.validators().unwrap().validators.len(), 4);
    let source = hospitals[2].id(&world.chain);
    assert_eq!(record(&world, 1).lines.find(&source).unwrap().equivocations, 1);
    assert_eq!(record(&world, 2).lines.find(&source).unwrap().equivocations, 0);
}

#[test]
fn each_way_for_evidence_to_be_none() {
    let mut world = six();
    let mercy = world.hospitals[0].clone();
    let key = mercy.consensus.as_ref().unwrap().public();
    let height = world.header.height;
    let Conflict::Votes(one, two) = votes(&world, &mercy, height, 0) else { unreachable!() };
    assert_eq!(Evidence::new(key, Conflict::Votes(one.clone(), one.clone())), None);
    // In whichever order they are shown, it is the same evidence, in one encoding.
    let good = Evidence::new(key, Conflict::Votes(one.clone(), two.clone())).unwrap();
    assert_eq!(Evidence::new(key, Conflict::Votes(two.clone(), one.clone())), Some(good.clone()));
    let chain = world.chain;
    let mut stateless = |conflict| {
        let body = world.body(Action::Evidence(Evidence { key, conflict }));
        reject(body.sign(&chain, &[]).unwrap(), &chain)
    };
    let none = StatelessError::Evidence(EvidenceError::NoConflict);
    assert_eq!(stateless(Conflict::Votes(two.clone(), one.clone())), none);
    let edited = |edit: &dyn Fn(&mut Vote)| {
        let mut message = two.message;
        edit(&mut message);
        let signature = mercy.consensus.as_ref().unwrap().sign(&message.preimage(&chain));
        Conflict::Votes(one.clone(), Signed { message, signature })
    };
    assert_eq!(stateless(edited(&|vote| vote.height += 1)), none);
    assert_eq!(stateless(edited(&|vote| vote.round += 1)), none);
    assert_eq!(stateless(edited(&|vote| vote.kind = VoteKind::Precommit)), none);
    let other = world_source(&world.hospitals[1], &chain);
    let mut stateless = |conflict| {
        let body = world.body(Action::Evidence(Evidence { key, conflict }));
        reject(body.sign(&chain, &[]).unwrap(), &chain)
    };
    assert_eq!(stateless(edited(&|vote| vote.validator = other)), none);
    let forged = Conflict::Votes(one.clone(), Signed { signature: one.signature, ..two.clone() });
    let wrong = StatelessError::Signature { index: 1, error: SignatureError::Wrong };
    assert_eq!(stateless(forged), wrong);

    // Somebody else's key proves nothing about a validator, nor does one that was never its consensus key.
    let thief = Hospital { consensus: world.hospitals[1].consensus.clone(), ..mercy.clone() };
    assert_eq!(show(&mut world, &thief, height, 0), refused(EvidenceError::NotItsKey));
    let thief = Hospital { consensus: Some(secret("nobody")), ..mercy.clone() };
    assert_eq!(show(&mut world, &thief, height, 0), refused(EvidenceError::NotItsKey));
    let ahead = world.header.height + 2;
    assert_eq!(show(&mut world, &mercy, ahead, 0), refused(EvidenceError::Ahead(ahead)));
    show(&mut world, &mercy, height, 0).unwrap();
    assert_eq!(show(&mut world, &mercy, height, 0), refused(EvidenceError::Known));
    for round in 1..64 {
        show(&mut world, &mercy, height, round).unwrap();
    }
    assert_eq!(show(&mut world, &mercy, height, 64), refused(EvidenceError::Enough(64)));
}

fn world_source(hospital: &Hospital, chain: &clavicle_ledger::id::ChainId) -> SourceId {
    hospital.id(chain)
}

#[test]
fn two_proposals_are_evidence_too() {
    let mut world = six();
    let mercy = world.hospitals[0].clone();
    let height = world.header.height;
    let proposal = |byte, valid_round| {
        let block = BlockId::from_bytes([byte; 32]);
        let message = RoundProposal { height, round: 1, block, valid_round, proposer: mercy.id(&world.chain) };
        let signature = mercy.consensus.as_ref().unwrap().sign(&message.preimage(&world.chain));
        Signed { message, signature }
    };
    let key = mercy.consensus.as_ref().unwrap().public();
    assert_eq!(Evidence::new(key, Conflict::Proposals(proposal(1, None), proposal(1, Some(0)))), None);
    let evidence = Evidence::new(key, Conflict::Proposals(proposal(2, None), proposal(1, Some(0)))).unwrap();
    assert_eq!(evidence.conflict.validator(), mercy.id(&world.chain));
    world.act(Action::Evidence(evidence), &[]).unwrap();
    // A vote in the same round is another equivocation.
    assert_eq!(show(&mut world, &mercy, height, 1), Ok(()));
}

#[test]
fn evidence_is_of_the_key_of_its_time_and_not_too_old() {
    let mut world = six();
    let (old, new) = (world.hospitals[0].clone(), Hospital::new("mercy", 1));
    let before = world.header.height;
    world.act(new.define_source(1), &new.secrets()).unwrap();
    world.wait(DAY);
    let after = world.header.height;
    // The old key is retired: what it signs now is of a height that it had no say in.
    // `after` is the epoch's first block, which the set before still decided; the next one is not.
    assert_eq!(show(&mut world, &new, after, 0), refused(EvidenceError::NotItsKey));
    let after = after + 1;
    assert_eq!(show(&mut world, &old, after, 0), refused(EvidenceError::NotItsKey));
    assert_eq!(show(&mut world, &new, before, 0), refused(EvidenceError::NotItsKey));
    assert_eq!(show(&mut world, &old, before, 0), Ok(()));
    assert_eq!(show(&mut world, &new, after, 0), Ok(()));
    for _ in 0..13 {
        world.wait(DAY);
    }
    assert_eq!(show(&mut world, &old, before, 1), refused(EvidenceError::TooOld));
    assert_eq!(show(&mut world, &new, after, 1), Ok(()));
    world.wait(DAY);
    assert_eq!(show(&mut world, &new, after, 2), refused(EvidenceError::TooOld));
    // Also after a long halt, what was shown cannot be shown again.
    let (now, other) = (world.header.height, world.hospitals[1].clone());
    show(&mut world, &other, now, 5).unwrap();
    for days in [3, 10, 16, 30] {
        world.wait(days * DAY);
        let again = show(&mut world, &other, now, 5);
        assert!(again == refused(EvidenceError::Known) || again == refused(EvidenceError::TooOld), "{again:?}");
    }
}

#[test]
fn what_was_shown_stays_shown_when_the_numbers_change() {
    let longer = Parameters { evidence_ms: 60 * DAY, ..Parameters::default() };
    for parameters in [longer, Parameters { epoch_ms: 366 * DAY, evidence_ms: 366 * DAY, ..longer }] {
        let mut world = world();
        let mercy = world.hospitals[0].clone();
        let height = world.header.height + 1;
        show(&mut world, &mercy, height, 0).unwrap();
        let shown = world.now();
        for voter in world.hospitals.clone().iter().take(3) {
            let content = Content::SetParameters(Box::new(parameters));
            let vote = Action::Vote(Casting { voter: voter.operational.public(), content });
            world.act(vote, &[&voter.operational]).unwrap();
        }
        (0..15).for_each(|_| world.wait(DAY));
        // What the numbers of that time made of it is over by a few seconds, and not swept yet.
        let left = shown.plus(16 * DAY).since(world.now());
        world.wait(left + 10_000);
        assert_eq!(show(&mut world, &mercy, height, 0), refused(EvidenceError::Known));
        (0..4 * 366).for_each(|_| world.wait(DAY));
        assert_eq!(show(&mut world, &mercy, height, 0), refused(EvidenceError::TooOld));
    }
}

#[test]
fn evidence_is_of_the_key_that_decided() {
    let mut world = six();
    let hospitals = [0, 1, 2].map(|generation| Hospital::new("mercy", generation));
    let [old, new, newest] = &hospitals;
    world.act(new.define_source(1), &new.secrets()).unwrap();
    let before = world.header.height;
    world.wait(DAY);
    // The set that an epoch's first block derives decides the next block, and the one before decided this one.
    let first = world.header.height;
    assert_eq!(show(&mut world, new, first, 0), refused(EvidenceError::NotItsKey));
    assert_eq!(show(&mut world, old, first, 0), Ok(()));
    assert_eq!(show(&mut world, old, first + 1, 0), refused(EvidenceError::NotItsKey));
    assert_eq!(show(&mut world, new, first + 1, 0), Ok(()));
    // Whatever was announced since.
    let announced = Hospital { name: "Mercy".into(), ..new.clone() };
    world.act(announced.define_source(2), &announced.secrets()).unwrap();
    assert_eq!(show(&mut world, old, before, 1), Ok(()));
    world.act(newest.define_source(3), &newest.secrets()).unwrap();
    world.wait(DAY);
    world.wait(DAY);
    assert_eq!(show(&mut world, old, before, 2), Ok(()));
    assert_eq!(show(&mut world, new, before, 3), refused(EvidenceError::NotItsKey));
    // Who did not decide could not sign twice: before its time, and at the genesis, which nobody decided.
    let sixth = Hospital::new("sixth", 0);
    assert_eq!(show(&mut world, &sixth, 1, 0), refused(EvidenceError::NotItsKey));
    assert_eq!(show(&mut world, &sixth, before, 0), Ok(()));
    let clinic = &world.hospitals[1].clone();
    assert_eq!(show(&mut world, clinic, 0, 0), refused(EvidenceError::TooOld));
}

#[test]
fn anchors_follow_each_other() {
    let mut world = World::new(Parameters { anchors_per_epoch: 2, ..Parameters::default() });
    let mercy = world.hospitals[0].operational.clone();
    let anchor = |world: &mut World, sequence| {
        let root = AnchorRoot::from_bytes([3; 32]);
        world.act(Action::Anchor(Anchor { source: mercy.public(), sequence, root, count: 7 }), &[&mercy])
    };
    let sequence = |given, due| Err(Rejection::Anchor(AnchorError::Sequence { given, due }));
    assert_eq!(anchor(&mut world, 1), sequence(1, 0));
    anchor(&mut world, 0).unwrap();
    assert_eq!(anchor(&mut world, 0), sequence(0, 1));
    anchor(&mut world, 1).unwrap();
    assert_eq!(anchor(&mut world, 2), Err(Rejection::Anchor(AnchorError::Quota(2))));
    world.wait(DAY);
    anchor(&mut world, 2).unwrap();
    assert_eq!(world.state.source(world.hospitals[0].id(&world.chain)).unwrap().unwrap().anchors, 3);
}

/// Defines studies `from..to` of a hospital, in one block.
fn define_many(world: &mut World, hospital: usize, from: u64, to: u64) {
    let operational = world.hospitals[hospital].operational.clone();
    let holder = secret("holder");
    let define = |world: &mut World, number| {
        world.sign(define_study(number, operational.public(), holder.public(), Vec::new()), &[&operational, &holder])
    };
    let envelopes = (from..to).map(|number| define(world, number)).collect();
    let (proposal, _) = world.block(1_000, envelopes);
    assert!(proposal.left_out.is_empty());
}

fn power_of(world: &World, hospital: usize) -> u64 {
    let source = world.hospitals[hospital].id(&world.chain);
    world.state.validators().unwrap().validators.find(&source).map_or(0, |validator| validator.power)
}

#[test]
fn power_follows_the_studies_that_count() {
    let mut world = World::new(Parameters { power_window_epochs: 20, ..Parameters::default() });
    for hospital in 0..4 {
        define_many(&mut world, hospital, 0, [8, 8, 8, 40][hospital]);
    }
    let id = world.id(3);
    world.set_status(id, NewStatus::Withdrawn(Reason::Retention)).unwrap();
    let mut grown = Vec::new();
    for _ in 0..12 {
        world.wait(DAY);
        grown.push([power_of(&world, 0), power_of(&world, 1), power_of(&world, 3)]);
    }
    // Up by one or a quarter an epoch, to what was registered and not withdrawn. One has twice the median, less what keeps it
    // below a third.
    assert_eq!(grown[..5], [[2, 2, 2], [3, 3, 3], [4, 4, 4], [5, 5, 5], [6, 6, 6]]);
    assert_eq!(grown[11], [7, 8, 11]);
    let id = world.id(4);
    world.set_status(id, NewStatus::Withdrawn(Reason::Retention)).unwrap();
    world.wait(DAY);
    assert_eq!(power_of(&world, 0), 6);
    // After the window they count no more.
    for _ in 0..20 {
        world.wait(DAY);
    }
    assert_eq!([0, 1, 2, 3].map(|hospital| power_of(&world, hospital)), [1; 4]);
    let counted = world.state.activity(world.hospitals[3].id(&world.chain)).unwrap();
    assert_eq!((counted.studies_in_all, counted.registered), (40, 0));
    let kept = world.state.rows().keys().filter(|key| matches!(key, StateKey::Registered(..))).count();
    assert_eq!(kept, 0);
    // A study that counts no more is withdrawn without a trace in power.
    let id = world.id(5);
    world.set_status(id, NewStatus::Withdrawn(Reason::Retention)).unwrap();
    world.wait(DAY);
    assert_eq!(power_of(&world, 0), 1);
}

/// A block that the signers decided in `round`, after one that others did: with real certificates.
fn decided(world: &mut World, signers: &[SecretKey], round: u32) -> (Header, CommitCertificate) {
    let validators = world.state.validators().unwrap();
    let decided = world.header;
    let commit = certify(&decided, &validators, signers).certificate;
    let votes = commit.votes().map(|(place, _)| {
        let validator = validators.validators.get(place).unwrap();
        let vote = Vote {
            kind: VoteKind::Precommit,
            height: decided.height,
            round,
            block: Some(decided.id()),
            validator: validator.source,
        };
        let key = consensus_keys().into_iter().find(|key| key.public() == validator.key).unwrap();
        (place, key.sign(&vote.preimage(&world.chain)))
    });
    let commit = CommitCertificate::new(decided.height, round, decided.id(), votes.collect()).unwrap();
    world.block_after(1_000, Some(commit.clone()), Vec::new());
    (world.header, commit)
}

#[test]
fn the_record_of_an_epoch_is_what_its_headers_say() {
    let mut world = world();
    world.wait(DAY);
    let first = world.header;
    assert_eq!(record(&world, 1).first, first.height);
    let set = world.state.validators().unwrap();
    let mut recount = Recount::begin(&first, set.clone()).unwrap();
    let all = consensus_keys();
    let (mut missed, mut made) = (0, 0);
    for round in 0..40 {
        // One of them is asleep half of the time; the block takes so many rounds.
        let asleep = world.hospitals[3].consensus.as_ref().unwrap().public();
        let signers: Vec<SecretKey> =
            all.iter().filter(|key| round % 2 == 0 || key.public() != asleep).cloned().collect();
        let (next, commit) = decided(&mut world, &signers, round % 7);
        recount.count(&commit, &next).unwrap();
        (missed, made) = (missed + u64::from(round % 7), made + 1);
    }
    let record = record(&world, 1);
    assert_eq!(recount.compare(&record), Ok(()));
    let sum = |of: fn(&Line) -> u64| record.lines.iter().map(of).sum::<u64>();
    assert_eq!(sum(|line| line.proposals_made), made);
    assert_eq!(sum(|line| line.proposals_due), made + missed);
    assert_eq!(sum(|line| line.votes_due), 4 * made);
    assert_eq!(sum(|line| line.votes_missing), 20);
    let harbor = record.lines.find(&world.hospitals[3].id(&world.chain)).unwrap();
    assert_eq!((harbor.votes_due, harbor.votes_missing), (40, 20));

    // A record that flatters somebody is found out, and so is a recount of other blocks.
    let mut flattering = record.clone();
    let mut line = flattering.lines.remove(&harbor.source).unwrap();
    line.votes_missing -= 1;
    flattering.lines.insert(line).unwrap();
    assert_eq!(recount.compare(&flattering), Err(RecountError::Line(harbor.source)));
    let mut other = Recount::begin(&first, set.clone()).unwrap();
    assert_eq!(other.compare(&record), Err(RecountError::Line(record.lines[0].source)));
    let (next, commit) = decided(&mut world, &all, 0);
    assert_eq!(other.count(&commit, &next), Err(RecountError::Gap(next.height)));
    let gap = Recount::begin(&next, set).unwrap();
    assert!(matches!(gap.compare(&record), Err(RecountError::OtherBlocks { .. })));
}

#[test]
fn whoever_trusts_a_header_sees_the_record_of_an_epoch_that_is_over() {
    let mut world = world();
    define_many(&mut world, 0, 0, 3);
    world.wait(DAY);
    let validators = world.state.validators().unwrap();
    let head = world.certified(1_000);
    let proven = |key| ProvenRecord { head: head.clone(), row: tree::prove(&world.state, &world.state, key).unwrap() };
    let over = proven(StateKey::Record(0));
    let record = over.verify(&world.chain, &validators).unwrap();
    assert_eq!(record, self::record(&world, 0));
    assert_eq!((record.first, record.last), (0, Some(1)));
    assert_eq!(record.lines.find(&world.hospitals[0].id(&world.chain)).unwrap().studies, 3);
    assert_eq!(encoding::decode(&encoding::encode(&over)), Ok(over.clone()));

    let running = proven(StateKey::Record(1)).verify(&world.chain, &validators);
    assert_eq!(running, Err(RecordError::Running));
    assert_eq!(proven(StateKey::Record(2)).verify(&world.chain, &validators), Err(RecordError::NoRecord));
    assert_eq!(proven(StateKey::Head).verify(&world.chain, &validators), Err(RecordError::NoRecord));
    let mut flattering = over.clone();
    flattering.row.row = Some(Bytes::new(encoding::encode(&self::record(&world, 1))).unwrap());
    assert!(matches!(flattering.verify(&world.chain, &validators), Err(RecordError::Proof(_))));
    let others = ValidatorSet::default();
    assert!(matches!(over.verify(&world.chain, &others), Err(RecordError::Header(_))));
}
