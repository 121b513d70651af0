//! What always holds, in prose, and the proof of it over random histories.
//!
//! 1. **Determinism.** The same blocks lead to the same state, on any machine, in any process.
//! 2. **All or nothing.** A block with one transaction that fails changes nothing, and a transaction that fails leaves no trace.
//! 3. **One holder per study.** A study on the ledger stays its holder's; nobody defines it again.
//! 4. **Consent is never exceeded.** Nobody is authorised by a grant that was revoked, replaced or has ended, nor on a study
//!    that is suspended or withdrawn, nor by a key it was not made to. Whoever was authorised once is so again exactly
//!    when a new hello would be.
//! 5. **Replay never applies.** A transaction is executed once, however often it is submitted, before and after
//!    its mark is swept.
//! 6. **Caps hold against a malicious proposer.** What `propose` leaves out, `execute` refuses.
//! 7. **Pruning never changes an answer about the present.** With sweeping and without, the same transactions are
//!    accepted and the same fetches authorised.
//! 8. **Proofs verify if and only if they are true.**
//! 9. **One leaf proof shows every live grant.** What a phone learns from a header and three proven rows is what the source decides by.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use clavicle_ledger::authorise::{Authorisation, Claim, Hello, View, authorise};
use clavicle_ledger::block;
use clavicle_ledger::encoding::{self, Bytes};
use clavicle_ledger::execute::{self, ExecuteError, Proposed, Rejection};
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{GrantId, StateRoot, TxId};
use clavicle_ledger::state::{ProvenFragment, ReadRows as _, StateKey, StateReader as _};
use clavicle_ledger::study::{
    Capacity, Grave, MAX_DELEGATE_GRANTS, MAX_DELEGATE_TOMBSTONES, MAX_HOLDER_GRANTS, MAX_TOMBSTONES,
};
use clavicle_ledger::time::{BlockTime, LocalTime};
use clavicle_ledger::tree;

use crate::history::{Dice, History, roomy, tight};

const SEEDS: u64 = 4;
const BLOCKS: usize = 150;

/// Runs a history per seed and lets `look` look after every block at what was proposed and what came of it.
fn histories(mut look: impl FnMut(&mut History, &execute::Proposal)) {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut history = History::new(seed, if seed % 2 == 0 { tight() } else { roomy() });
        for _ in 0..BLOCKS {
            let count = history.dice.below(12);
            let (envelopes, pause) = (history.transactions(count), history.pause());
            let (proposal, _) = history.world.block(pause, envelopes);
            look(&mut history, &proposal);
        }
    }
}

fn roots(seed: u64) -> Vec<StateRoot> {
    let mut history = History::new(seed, tight());
    (0..BLOCKS)
        .map(|_| {
            let (envelopes, pause) = (history.transactions(8), history.pause());
            history.world.block(pause, envelopes).1.tree.root
        })
        .collect()
}

#[test]
fn determinism_in_one_process() {
    assert_eq!(roots(11), roots(11));
    assert_ne!(roots(11), roots(12));
}

/// Not a test of its own: what the two processes of the next test run.
#[test]
fn determinism_print_roots() {
    let all: Vec<String> = roots(11).iter().map(StateRoot::to_string).collect();
    println!("roots {}", all.join(","));
}

#[test]
fn determinism_across_processes() {
    // Every process seeds its hash maps anew, has other addresses and another environment.
    let run = |mark: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "invariants::determinism_print_roots", "--nocapture"])
            .env("CLAVICLE_TEST_MARK", mark)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.split_once("roots ")).map(|(_, roots)| roots.to_owned());
        line.unwrap_or_else(|| panic!("the child printed no roots:\n{text}"))
    };
    let (one, two) = (run("one"), run("another, longer one"));
    assert_eq!(one, two);
    assert!(one.split(',').count() == BLOCKS && one.contains(&roots(11)[BLOCKS - 1].to_string()));
}

#[test]
fn all_or_nothing() {
    let mut refused = 0;
    for seed in 0..SEEDS {
        let mut history = History::new(seed, tight());
        for _ in 0..BLOCKS {
            let (envelopes, pause) = (history.transactions(8), history.pause());
            let before = history.world.clone();
            let (proposal, applied) = history.world.block(pause, envelopes);
            // Without those that failed, the block does the very same: they left no trace.
            let alone = execute::execute(&before.state, &proposal.block).unwrap();
            assert_eq!(alone, applied.executed);
            // With any one of them, at its place in the order or at the end, the block is refused at that transaction.
            for (bad, why) in &proposal.left_out {
                let mut block = proposal.block.clone();
                let precedence = bad.body().action.precedence();
                let at = block.envelopes.partition_point(|good| good.body().action.precedence() <= precedence);
                block.envelopes.insert(at, bad.clone());
                match execute::execute(&before.state, &block) {
                    Err(ExecuteError::Envelope { index, rejection: _ }) => assert_eq!(index, at, "{why}"),
                    // Some fail only because of what stood before them and was itself left out or comes later.
                    other => assert!(other.is_ok() || matches!(other, Err(ExecuteError::Envelope { .. })), "{other:?}"),
                }
                refused += 1;
            }
        }
    }
    assert!(refused > 500, "the histories hardly ever failed: {refused}");
}

#[test]
fn one_holder_per_study() {
    let mut holders = BTreeMap::new();
    let mut seed = 0;
    histories(|history, _| {
        if history.world.header.height == 1 {
            seed += 1;
        }
        for id in history.studies.clone() {
            if let Some(study) = history.world.state.study(id).unwrap() {
                let before = holders.insert((seed, id), (study.holder, study.source));
                assert!(before.is_none_or(|before| before == (study.holder, study.source)));
            }
        }
    });
    assert!(holders.len() > 20);
}

#[test]
fn consent_is_never_exceeded() {
    let (mut allowed, mut denied) = (0, 0);
    let mut leaves: BTreeMap<GrantId, Authorisation> = BTreeMap::new();
    let (mut renewed, mut ended) = (0, 0);
    histories(|history, _| {
        let world = &history.world;
        if world.header.height == 1 {
            leaves.clear();
        }
        for signed in &history.grants {
            let Some(stored) = world.state.study(signed.study).unwrap() else { continue };
            let hospital = world.hospitals.iter().find(|hospital| hospital.id(&world.chain) == stored.source).unwrap();
            let view = View {
                state: &world.state,
                source: hospital.id(&world.chain),
                highest_seen: world.now(),
                seen_revocations: &BTreeSet::new(),
            };
            let claim = Claim::Grant { grant: signed.grant, terms: signed.terms.clone() };
            let hello = Hello { source: view.source, ..world.hello(signed.study, claim) };
            let key = &history.grantees[signed.grantee];
            let verdict =
                authorise(&view, LocalTime(world.now()), key.public(), &hello.clone().sign(&world.chain, key));

            // A transfer that began at any time before goes on if it could begin now.
            if let Some(leave) = leaves.get(&signed.grant) {
                let again = leave.renew(&view, LocalTime(world.now()));
                assert_eq!(again, verdict);
                renewed += usize::from(again.is_ok());
                ended += usize::from(again.is_err());
                let seen = BTreeSet::from([(signed.study, Grave { grant: signed.grant, by: Capacity::Holder })]);
                assert!(leave.renew(&View { seen_revocations: &seen, ..view }, LocalTime(world.now())).is_err());
            }
            if let Ok(leave) = &verdict {
                leaves.entry(signed.grant).or_insert_with(|| leave.clone());
            }

            // The record alone, without the gate: is the grant there, and may anything be fetched?
            let study = world.study(signed.study);
            let live = study.grants.find(&signed.grant).is_some_and(|grant| grant.grantee == key.public());
            let served = study
                .standings(world.header.time)
                .into_iter()
                .all(|standing| standing.permits(clavicle_ledger::study::Deed::GranteeFetch));
            if verdict.is_ok() {
                assert!(live && served);
                allowed += 1;
                let thief = &history.grantees[(signed.grantee + 1) % history.grantees.len()];
                let stolen = hello.sign(&world.chain, thief);
                assert!(authorise(&view, LocalTime(world.now()), thief.public(), &stolen).is_err());
            } else {
                denied += 1;
            }
        }
    });
    assert!(allowed > 500 && denied > 500, "one-sided: {allowed} allowed, {denied} denied");
    assert!(renewed > 500 && ended > 500, "one-sided: {renewed} renewed, {ended} ended");
}

#[test]
fn replay_never_applies() {
    for seed in 0..SEEDS {
        let mut history = History::new(seed, tight());
        let mut executed: Vec<clavicle_ledger::transaction::Verified> = Vec::new();
        let mut ids: BTreeSet<TxId> = BTreeSet::new();
        for _ in 0..BLOCKS {
            let (mut envelopes, pause) = (history.transactions(6), history.pause());
            let again: Vec<_> = (0..4.min(executed.len())).map(|_| history.dice.pick(&executed).clone()).collect();
            envelopes.extend(again);
            let (proposal, _) = history.world.block(pause, envelopes);
            for envelope in proposal.block.envelopes {
                assert!(ids.insert(envelope.id()), "executed twice");
                executed.push(envelope);
            }
            for (envelope, rejection) in &proposal.left_out {
                if ids.contains(&envelope.id()) && !executed.iter().any(|done| done == envelope) {
                    assert!(matches!(rejection, Rejection::Replay | Rejection::TooLate { .. }));
                }
            }
        }
    }
}

#[test]
fn caps_hold_against_a_malicious_proposer() {
    let (mut most_holder, mut most_stones) = (0, 0);
    histories(|history, proposal| {
        let world = &history.world;
        for (_, why) in &proposal.left_out {
            assert!(!matches!(why, Rejection::OutOfOrder | Rejection::BlockFull));
        }
        for id in &history.studies {
            if world.state.study(*id).unwrap().is_none() {
                continue;
            }
            let study = world.study(*id);
            let by_holder = study.grants.iter().filter(|grant| grant.by == Capacity::Holder).count();
            let stones = study.tombstones.iter().filter(|stone| stone.grave.by != Capacity::Holder).count();
            assert!(by_holder <= MAX_HOLDER_GRANTS && study.grants.len() - by_holder <= MAX_DELEGATE_GRANTS);
            assert!(stones <= MAX_DELEGATE_TOMBSTONES && study.tombstones.len() <= MAX_TOMBSTONES);
            let limits = &world.genesis.parameters;
            assert!(study.today.holder_grants <= limits.holder_grants_per_day);
            assert!(study.today.delegate_grants <= limits.delegate_grants_per_day);
            let grantees: BTreeSet<_> = study.grants.iter().map(|grant| grant.grantee).collect();
            assert_eq!(grantees.len(), study.grants.len(), "two live grants to one key");
            (most_holder, most_stones) = (most_holder.max(by_holder), most_stones.max(study.tombstones.len()));
        }
        for hospital in &world.hospitals {
            let activity = world.state.activity(hospital.id(&world.chain)).unwrap();
            assert!(activity.studies <= world.genesis.parameters.studies_per_epoch);
            assert!(activity.announcements <= world.genesis.parameters.announcements_per_epoch);
        }
    });
    assert!(most_holder > 20 && most_stones > 40, "limits hardly approached: {most_holder}, {most_stones}");

    // A proposer that leaves the checks out is met by those who do not.
    let mut history = History::new(99, tight());
    let mut refused = 0;
    for _ in 0..BLOCKS {
        let (mut envelopes, pause) = (history.transactions(10), history.pause());
        envelopes.sort_by_key(|envelope| envelope.body().action.precedence());
        let (height, time) = (history.world.header.height + 1, BlockTime(history.world.now().plus(pause)));
        let before = history.world.state.clone();
        let (proposal, _) = history.world.block(pause, envelopes.clone());
        let last_commit = proposal.block.last_commit.clone();
        let everything = Proposed { height, time, last_commit, envelopes };
        assert_eq!(execute::execute(&before, &everything).is_ok(), proposal.left_out.is_empty());
        refused += usize::from(!proposal.left_out.is_empty());
    }
    assert!(refused > 50);
}

#[test]
fn pruning_never_changes_an_answer_about_the_present() {
    for seed in 0..SEEDS {
        // One chain sweeps as it should, one only a crumb at a time, one never; all are given the same.
        let sweeps = [Parameters::default().block_sweep, 1, 0];
        let mut histories = sweeps.map(|block_sweep| {
            let mut history = History::new(seed, tight());
            let mut rules = history.world.state.rules().unwrap();
            rules.parameters.block_sweep = block_sweep;
            history.world.rewrite(StateKey::Rules, Some(encoding::encode(&rules)));
            history
        });
        let mut sizes = [0; 3];
        for _ in 0..BLOCKS {
            let answers = histories.each_mut().map(|history| {
                let (envelopes, pause) = (history.transactions(8), history.pause());
                let (proposal, _) = history.world.block(pause, envelopes);
                let studies: Vec<_> = history.studies.iter().map(|id| history.world.seen(*id)).collect();
                // The predecessors' certificates are of other blocks, whose states have other roots.
                (Proposed { last_commit: None, ..proposal.block }, proposal.left_out, studies)
            });
            assert_eq!(answers[0], answers[1], "sweeping slowly changed an answer");
            assert_eq!(answers[0], answers[2], "not sweeping changed an answer");
            sizes = histories.each_ref().map(|history| history.world.state.rows().len());
        }
        assert!(sizes[0] < sizes[2], "nothing was ever swept: {sizes:?}");
    }
}

#[test]
fn what_is_swept_is_gone() {
    let mut history = History::new(5, tight());
    for _ in 0..60 {
        let (envelopes, pause) = (history.transactions(8), history.pause());
        history.world.block(pause, envelopes);
    }
    // Far beyond every limit there are no marks left, and no study has anything on it that has ended.
    for _ in 0..40 {
        history.world.wait(30 * crate::world::DAY);
    }
    let rows = history.world.state.rows();
    let marks = rows.keys().filter(|key| matches!(key, StateKey::Executed(_) | StateKey::Slot(_) | StateKey::Due(..)));
    assert_eq!(marks.count(), 0);
    for id in &history.studies {
        if let Some(study) = history.world.state.study(*id).unwrap() {
            assert!(study.grants.is_empty() && study.tombstones.is_empty() && study.delegates.is_empty());
        }
    }
}

#[test]
fn proofs_verify_if_and_only_if_they_are_true() {
    let mut history = History::new(7, roomy());
    let mut dice = Dice::new(70);
    for _ in 0..80 {
        let (envelopes, pause) = (history.transactions(10), history.pause());
        history.world.block(pause, envelopes);
        let (state, root) = (&history.world.state, history.world.header.state_root);
        let keys: Vec<StateKey> = state.rows().keys().copied().collect();
        for _ in 0..10 {
            let here = *dice.pick(&keys);
            let absent = StateKey::Executed(TxId::from_bytes(dice.bytes()));
            for key in [here, absent] {
                let proven = tree::prove(state, state, key).unwrap();
                let proven: tree::StateProof = encoding::decode(&encoding::encode(&proven)).unwrap();
                assert_eq!(proven.verify(root), Ok(()));
                assert_eq!(proven.row.is_some(), key == here);

                // The opposite, another row, another key, another root, a changed byte: none of it verifies.
                let mut opposite = proven.clone();
                opposite.row = proven.row.is_none().then(|| Bytes::new(vec![1]).unwrap());
                assert!(opposite.verify(root).is_err());
                let mut altered = proven.clone();
                altered.row = Some(Bytes::new(dice.bytes::<9>().to_vec()).unwrap());
                assert!(altered.verify(root).is_err());
                let mut elsewhere = proven.clone();
                elsewhere.key = *dice.pick(&keys);
                assert!(elsewhere.key == key || elsewhere.verify(root).is_err());
                assert!(proven.verify(StateRoot::from_bytes(dice.bytes())).is_err());
                let mut bytes = encoding::encode(&proven);
                let at = dice.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << dice.below(8);
                let lie = encoding::decode::<tree::StateProof>(&bytes);
                // A flipped bit of an absent key may make another key that is absent in the same place: true, not a lie.
                let true_too = |lie: &tree::StateProof| {
                    state.read(&lie.key).unwrap() == lie.row.as_ref().map(|row| row.as_slice().to_vec())
                };
                assert!(lie.is_err() || lie.is_ok_and(|lie| lie.verify(root).is_err() || true_too(&lie)));
            }
        }
    }
}

#[test]
fn one_leaf_proof_shows_every_live_grant() {
    let mut seen = 0;
    histories(|history, _| {
        let world = &history.world;
        let study_id = *history.dice.pick(&history.studies);
        let Some(stored) = world.state.study(study_id).unwrap() else { return };
        let mut fragment = ProvenFragment::new(world.header.state_root);
        for key in [StateKey::Rules, StateKey::Head, StateKey::Study(study_id)] {
            fragment.add(&tree::prove(&world.state, &world.state, key).unwrap()).unwrap();
        }
        assert!(
            fragment.row::<clavicle_ledger::source::Roster>(&StateKey::Roster).is_err(),
            "unproven rows are not guessed"
        );
        // From the fragment a phone decides as the source does from everything.
        for signed in history.grants.iter().filter(|signed| signed.study == study_id) {
            let key = &history.grantees[signed.grantee];
            let claim = Claim::Grant { grant: signed.grant, terms: signed.terms.clone() };
            let hello = Hello { source: stored.source, ..world.hello(study_id, claim) }.sign(&world.chain, key);
            let none = BTreeSet::new();
            let (clock, source, highest_seen) = (LocalTime(world.now()), stored.source, world.now());
            let full = View { state: &world.state, source, highest_seen, seen_revocations: &none };
            let part = View { state: &fragment, source, highest_seen, seen_revocations: &none };
            let (full, part) =
                (authorise(&full, clock, key.public(), &hello), authorise(&part, clock, key.public(), &hello));
            assert_eq!(full.as_ref().ok(), part.as_ref().ok());
            seen += usize::from(full.is_ok());
        }
    });
    assert!(seen > 200, "hardly any live grant: {seen}");
}

#[test]
fn a_block_that_says_anything_untrue_is_refused() {
    use block::{ApplyError, BlockError, CheckedBlock};
    let mut history = History::new(21, tight());
    for _ in 0..5 {
        let envelopes = history.transactions(8);
        history.world.block(1_000, envelopes);
    }
    let (before, previous, rules) = (history.world.state.clone(), history.world.header, history.world.rules());
    let envelopes = history.transactions(12);
    let world = &mut history.world;
    let time = BlockTime(world.now().plus(5));
    let commit = || block::CommitCertificate::new(previous.height, 0, previous.id(), Vec::new()).unwrap();
    let proposal = execute::propose(&before, previous.height + 1, time, Some(commit()), envelopes).unwrap();
    let proposer = world.hospitals[1].id(&world.chain);
    let (good, _) = block::seal(proposal, &before, (&previous, &rules), proposer, 3).unwrap();
    let chain = world.chain;
    let apply = |header, commit| {
        let envelopes = good.envelopes().to_vec();
        let checked = CheckedBlock::assemble(header, Some(commit), envelopes, &rules).map_err(Ok)?;
        block::apply(&before, &before, &previous, &checked).map_err(Err)
    };
    let header = *good.header();
    assert!(apply(header, commit()).is_ok() && !good.envelopes().is_empty());

    let mut lie = header;
    lie.version = 2;
    assert_eq!(apply(lie, commit()).unwrap_err(), Ok(BlockError::Version(2)));
    lie = header;
    lie.chain = clavicle_ledger::id::ChainId::from_bytes([9; 32]);
    assert_eq!(apply(lie, commit()).unwrap_err(), Ok(BlockError::Chain));
    lie = header;
    lie.envelopes = clavicle_ledger::id::EnvelopesRoot::from_bytes([9; 32]);
    assert_eq!(apply(lie, commit()).unwrap_err(), Ok(BlockError::Envelopes));
    lie = header;
    lie.last_commit = block::CommitCertificate::NO_DIGEST;
    assert_eq!(apply(lie, commit()).unwrap_err(), Ok(BlockError::LastCommit));
    let other = block::CommitCertificate::new(previous.height, 0, header.id(), Vec::new()).unwrap();
    lie = header;
    lie.last_commit = block::CommitCertificate::digest_of(Some(&other), &chain);
    assert_eq!(apply(lie, other).unwrap_err(), Ok(BlockError::CommitOfOther));
    let bare = CheckedBlock::assemble(
        block::Header { last_commit: block::CommitCertificate::NO_DIGEST, ..header },
        None,
        good.envelopes().to_vec(),
        &rules,
    );
    assert_eq!(bare.unwrap_err(), BlockError::CommitOfOther);
    lie = header;
    lie.proposer = clavicle_ledger::id::SourceId::from_bytes([9; 32]);
    assert_eq!(apply(lie, commit()).unwrap_err(), Err(ApplyError::Proposer));
    lie = header;
    lie.next_validators = clavicle_ledger::id::ValidatorsHash::from_bytes([9; 32]);
    assert_eq!(apply(lie, commit()).unwrap_err(), Err(ApplyError::Validators));
    lie = header;
    lie.state_root = StateRoot::from_bytes([9; 32]);
    assert_eq!(apply(lie, commit()).unwrap_err(), Err(ApplyError::StateRoot));
    lie = header;
    lie.time = previous.time;
    let still = Err(ApplyError::Execute(ExecuteError::Time { given: previous.time, previous: previous.time }));
    assert_eq!(apply(lie, commit()).unwrap_err(), still);
    let tight_rules =
        clavicle_ledger::state::Rules { parameters: Parameters { block_envelopes: 0, ..rules.parameters }, ..rules };
    let too_large = good.to_block().check(&tight_rules).unwrap_err();
    assert!(matches!(too_large, BlockError::TooLarge { envelopes, .. } if envelopes == good.envelopes().len()));
    let foreign = clavicle_ledger::state::Rules { chain: clavicle_ledger::id::ChainId::from_bytes([9; 32]), ..rules };
    let header_there = block::Header {
        chain: foreign.chain,
        last_commit: block::CommitCertificate::digest_of(Some(&commit()), &foreign.chain),
        ..header
    };
    let moved = CheckedBlock::assemble(header_there, Some(commit()), good.envelopes().to_vec(), &foreign);
    assert_eq!(moved.unwrap_err(), BlockError::OtherChain(0));
    let nobody = clavicle_ledger::id::SourceId::from_bytes([9; 32]);
    let empty = |commit| execute::propose(&before, previous.height + 1, time, commit, Vec::new()).unwrap();
    let sealed = block::seal(empty(Some(commit())), &before, (&previous, &rules), nobody, 0);
    assert_eq!(sealed.unwrap_err(), block::SealError::Proposer);
    let sealed = block::seal(empty(None), &before, (&previous, &rules), proposer, 0);
    assert_eq!(sealed.unwrap_err(), block::SealError::Block(BlockError::CommitOfOther));
    let damaged = clavicle_ledger::state::MemoryState::default();
    let error = block::apply(&before, &damaged, &previous, &good).unwrap_err();
    assert_eq!(error, ApplyError::OwnState, "damage here is never the block's fault");
    let skipping = CheckedBlock::assemble(header, Some(commit()), good.envelopes().to_vec(), &rules).unwrap();
    let elsewhere = block::Header { round: 7, ..previous };
    assert_eq!(block::apply(&before, &before, &elsewhere, &skipping).unwrap_err(), ApplyError::Previous);
}
