//! What always holds, in prose, and the proof of it over random histories.
//!
//! 1. **Determinism.** The same blocks lead to the same state, on any machine, in any process.
//! 2. **All or nothing.** A block with one transaction that fails changes nothing, and a transaction that fails leaves no trace.
//! 3. **One holder per study.** A study's holder changes by a transfer that both sign, by a recovery that is complete, or by
//!    a vote that settles a frozen study, and in no other way; nobody defines it again.
//! 4. **Consent is never exceeded.** Nobody is authorised by a grant that was revoked, replaced or has ended, nor on a study
//!    that is suspended or withdrawn, nor by a key it was not made to. Whoever was authorised once is so again exactly
//!    when a new hello would be. A delegate's grants die with the delegation, also when the key is a delegate again.
//! 5. **Replay never applies.** A transaction is executed once, however often it is submitted, before and after
//!    its mark is swept.
//! 6. **Caps hold against a malicious proposer.** What `propose` leaves out, `execute` refuses.
//! 7. **Pruning never changes an answer about the present.** With sweeping and without, the same transactions are
//!    accepted and the same fetches authorised.
//! 8. **Proofs verify if and only if they are true.**
//! 9. **One leaf proof shows every live grant.** What a phone learns from a header and three proven rows is what the source decides by.
//! 10. **Power is bounded.** It is never zero. From four validators up nobody has a third. It grows by no more than may be in
//!     an epoch, and shrinks by no more unless the cap says so. Every set is what the model derives.
//! 11. **A recovery leaves time for a veto.** None is completed before its time and heights, soon after the chain stood still,
//!     or after a veto.
//! 12. **Nobody is in the way.** Whatever one validator votes for and one delegate grants and revokes, the holder can revoke, and
//!     what the others vote for passes when they have voted.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use clavicle_ledger::action::{Content, Delegate, NewStatus, SetStatus, Undelegate, Vote};
use clavicle_ledger::authorise::{Authorisation, Claim, Hello, View, authorise};
use clavicle_ledger::block;
use clavicle_ledger::encoding::{self, Bytes};
use clavicle_ledger::execute::{self, ExecuteError, Proposed, Rejection};
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{GrantId, StateRoot, StudyId, TxId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::state::{ProvenFragment, ReadRows as _, StateKey, StateReader as _, Upgrade};
use clavicle_ledger::study::{
    Capacity, DelegateRole, Grave, MAX_DELEGATE_GRANTS, MAX_DELEGATE_TOMBSTONES, MAX_HOLDER_GRANTS, MAX_TOMBSTONES,
    Reason, Study,
};
use clavicle_ledger::time::{BlockTime, DAY_MS, HOUR_MS, LocalTime};
use clavicle_ledger::transaction::Action;
use clavicle_ledger::tree;
use clavicle_ledger::validators::ValidatorSet;

use crate::history::{Dice, History, roomy, tight};
use crate::model::{Model, Validator};
use crate::world::{CONFIRMED, Hospital, World, secret};

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

/// Studies as they were before a block.
type Before = BTreeMap<StudyId, Study>;

/// As [`histories`], with the studies as they were before each block.
fn changes(seeds: u64, mut look: impl FnMut(&mut History, &execute::Proposal, &Before)) {
    for seed in 0..seeds {
        println!("seed {seed}");
        let mut history = History::new(seed, if seed % 4 == 3 { roomy() } else { tight() });
        for _ in 0..BLOCKS {
            let (envelopes, pause) = (history.transactions(10), history.pause());
            let study = |id: &StudyId| history.world.seen(*id).map(|study| (*id, study));
            let before: Before = history.studies.iter().filter_map(study).collect();
            let (proposal, _) = history.world.block(pause, envelopes);
            look(&mut history, &proposal, &before);
        }
    }
}

#[test]
fn one_holder_per_study() {
    let (mut transferred, mut recovered, mut settled) = (0, 0, 0);
    changes(2 * SEEDS, |history, proposal, before| {
        for (id, before) in before {
            let after = history.world.study(*id);
            assert_eq!(before.source, after.source);
            // Who holds it, and who asked to, one transaction after the other.
            let (mut holder, mut pending) = (before.holder, before.pending_recovery);
            for envelope in &proposal.block.envelopes {
                match &envelope.body().action {
                    Action::TransferStudy(action) if action.study == *id => {
                        assert_eq!(action.holder, holder);
                        assert_eq!(envelope.body().action.signers(), [holder, action.new_holder]);
                        (holder, pending) = (action.new_holder, None);
                        transferred += 1;
                    }
                    Action::Veto(action) if action.study == *id => pending = None,
                    Action::RecoverStudy(action) if action.study == *id && action.completes.is_some() => {
                        assert_eq!(action.completes, pending.take().map(|pending| pending.id));
                        holder = action.new_holder;
                        recovered += 1;
                    }
                    Action::Vote(Vote { content: Content::Settle { study, holder: new }, .. })
                        if study == id && before.frozen && !after.frozen && *new == after.holder =>
                    {
                        holder = *new;
                        settled += 1;
                    }
                    _ => {}
                }
            }
            assert_eq!(holder, after.holder, "changed hands by nobody's word");
        }
    });
    println!("{transferred} transferred, {recovered} recovered, {settled} settled");
    assert!(transferred > 50 && recovered > 4 && settled > 5, "{transferred}, {recovered}, {settled}");
}

#[test]
fn a_delegates_grants_die_with_the_delegation() {
    let mut dead: BTreeSet<(StudyId, GrantId)> = BTreeSet::new();
    let (mut died, mut again, mut kept) = (0, 0, 0);
    changes(5 * SEEDS, |history, proposal, before| {
        if history.world.header.height == 1 {
            dead.clear();
        }
        for (id, before) in before {
            let after = history.world.study(*id);
            for grant in &before.grants {
                let Capacity::Delegate(key) = grant.by else { continue };
                let ended = proposal.block.envelopes.iter().any(|envelope| match &envelope.body().action {
                    Action::Undelegate(action) => action.study == *id && action.delegate == key,
                    Action::TransferStudy(action) => action.study == *id,
                    _ => false,
                });
                let delegate = after.delegates.find(&key).is_some();
                if ended || !delegate {
                    died += usize::from(dead.insert((*id, grant.id)));
                }
                again += usize::from(ended && delegate);
                kept += usize::from(!ended && delegate);
            }
            assert!(after.grants.iter().all(|grant| !dead.contains(&(*id, grant.id))), "back from the dead");
            let live = |by| matches!(by, Capacity::Delegate(key) if after.delegates.find(&key).is_none());
            assert!(!after.grants.iter().any(|grant| live(grant.by)), "granted by nobody's delegate");
        }
        // Keys whose grants died are delegates again later on, too.
        for (study, _) in &dead {
            again += usize::from(history.world.seen(*study).is_some_and(|study| !study.delegates.is_empty()));
        }
    });
    assert!(died > 20 && again > 50 && kept > 100, "{died}, {again}, {kept}");
}

/// The same key, a delegate once more: by the holder's word, or after its days are over.
#[test]
fn a_delegation_made_anew_brings_no_grant_back() {
    for lapses in [false, true] {
        let mut world = World::new(Parameters::default());
        let (holder, helper, grantee) = (secret("holder"), secret("helper"), secret("grantee"));
        let days = |world: &World, days| {
            let until = world.now().day().plus(days);
            crate::world::delegate(&helper, DelegateRole::Helper, until)
        };
        let first = days(&world, 2);
        world.define(1, &holder, vec![first]).unwrap();
        let id = world.id(1);
        let terms = world.terms(DAY_MS);
        let granted = world.grant(id, &helper, &grantee.public(), terms).unwrap();
        assert!(world.fetch(world.hello(id, granted.claim()), &grantee).is_ok());
        if lapses {
            world.wait(first.expiry_day.start().since(world.now()));
        } else {
            let end = Undelegate { study: id, holder: holder.public(), delegate: helper.public() };
            world.act(Action::Undelegate(end), &[&holder]).unwrap();
        }
        let anew = Delegate { study: id, holder: holder.public(), delegate: days(&world, 5) };
        world.act(Action::Delegate(anew), &[&holder]).unwrap();
        assert!(world.study(id).grants.is_empty());
        assert!(world.fetch(world.hello(id, granted.claim()), &grantee).is_err());
    }
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
                confirmed: CONFIRMED,
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
            assert!(study.today.transfers <= limits.transfers_per_day);
            let grantees: BTreeSet<_> = study.grants.iter().map(|grant| grant.grantee).collect();
            assert_eq!(grantees.len(), study.grants.len(), "two live grants to one key");
            (most_holder, most_stones) = (most_holder.max(by_holder), most_stones.max(study.tombstones.len()));
        }
        for hospital in &world.hospitals {
            let activity = world.state.activity(hospital.id(&world.chain)).unwrap();
            assert!(activity.studies <= world.genesis.parameters.studies_per_epoch);
            assert!(activity.announcements <= world.genesis.parameters.announcements_per_epoch);
            assert!(activity.recoveries <= world.genesis.parameters.recoveries_per_epoch);
            assert!(activity.anchors <= world.genesis.parameters.anchors_per_epoch);
            assert!(activity.equivocations <= world.genesis.parameters.evidence_per_epoch);
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
            // What they sweep is one of the parameters.
            history.parameters_stay = true;
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
    let passing = |key: &&StateKey| match key {
        StateKey::Executed(_) | StateKey::Slot(_) | StateKey::Due(..) => true,
        StateKey::Ballot(_) | StateKey::BallotDue(..) | StateKey::Registered(..) => true,
        // The one that is over is looked into as long as there is no newer one.
        StateKey::Deciding(epoch) => epoch + 1 < history.world.state.head().unwrap().epoch,
        _ => false,
    };
    assert_eq!(rows.keys().filter(passing).count(), 0);
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
            let full =
                View { state: &world.state, source, highest_seen, confirmed: CONFIRMED, seen_revocations: &none };
            let part = View { state: &fragment, source, highest_seen, confirmed: CONFIRMED, seen_revocations: &none };
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

/// What must hold of a set, whatever it was derived from; `before` is the one before.
fn check_powers(before: &ValidatorSet, set: &ValidatorSet, percent: u8) {
    let powers: Vec<u64> = set.validators.iter().map(|validator| validator.power).collect();
    let (total, greatest) = (powers.iter().sum::<u64>(), *powers.iter().max().unwrap());
    assert_eq!(u128::from(total), set.total_power());
    assert!(powers.iter().all(|power| *power > 0), "{powers:?}");
    assert!(powers.len() < 4 || 3 * greatest < total, "{powers:?}");
    for validator in &set.validators {
        let old = before.validators.find(&validator.source).map_or(0, |before| before.power);
        let step = (old * u64::from(percent) / 100).max(1);
        assert!(validator.power <= old + step, "{old} grew to {}", validator.power);
        assert!(validator.power + step >= old || validator.power == greatest, "{old} shrank to {}", validator.power);
    }
}

#[test]
fn power_is_bounded() {
    let parameters =
        Parameters { studies_per_epoch: 1_000, statuses_per_epoch: 1_000, power_change_percent: 25, ..tight() };
    let (mut greatest, mut sizes, mut capped) = (0, BTreeSet::new(), 0);
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let (mut world, mut dice) = (World::new(parameters), Dice::new(seed));
        let mut model = Model::new(&world.genesis);
        let (holder, mut defined) = (secret("holder"), Vec::new());
        // Some grow faster than others.
        let eager: Vec<u64> = (0..8).map(|_| 1 + dice.below(12)).collect();
        for epoch in 0..50u64 {
            let mut actions = Vec::new();
            for (at, hospital) in world.hospitals.iter().enumerate() {
                let key = &hospital.operational;
                for _ in 0..dice.below(eager[at]) {
                    let number = defined.len() as u64;
                    let id = StudyId::of(&world.chain, hospital.id(&world.chain), crate::world::digest(number));
                    defined.push((id, key.clone()));
                    let define = crate::world::define_study(number, key.public(), holder.public(), Vec::new());
                    actions.push((define, vec![key.clone(), holder.clone()]));
                }
            }
            for _ in 0..if epoch % 9 == 0 { 20 } else { 2 } {
                if defined.is_empty() {
                    continue;
                }
                let (study, key) = dice.pick(&defined[defined.len().saturating_sub(60)..]).clone();
                let status = NewStatus::Withdrawn(Reason::Retention);
                let withdraw = SetStatus { study, source: key.public(), number: 1, status };
                actions.push((Action::SetStatus(withdraw), vec![key]));
            }
            let mut content = None;
            if epoch % 6 == 5 && world.hospitals.len() < 8 {
                let new = Hospital::new(&format!("hospital {epoch}"), 0);
                content = Some(Content::Admit(Box::new(crate::world::candidate(&new))));
                world.hospitals.push(new);
            } else if dice.one_in(4) {
                let source = dice.pick(&world.hospitals).id(&world.chain);
                let suspended = world.state.source(source).unwrap().is_some_and(|source| !source.suspended);
                content = Some(Content::SetSuspended { source, suspended });
            }
            for hospital in &world.hospitals {
                let Some(content) = content.clone() else { continue };
                let vote = Vote { voter: hospital.operational.public(), content };
                actions.push((Action::Vote(vote), vec![hospital.operational.clone()]));
            }
            for (actions, pause) in [(actions, 1_000), (Vec::new(), parameters.epoch_ms)] {
                let mut envelopes = Vec::new();
                for (action, keys) in actions {
                    envelopes.push(world.sign(action, &keys.iter().collect::<Vec<_>>()));
                }
                let before = world.state.validators().unwrap();
                let (proposal, _) = world.block(pause, envelopes);
                model.begin_block(proposal.block.height, proposal.block.time, proposal.block.last_commit.as_ref());
                for envelope in &proposal.block.envelopes {
                    assert!(model.execute(envelope.id(), envelope.body()));
                }
                let set = world.state.validators().unwrap();
                if pause == parameters.epoch_ms {
                    check_powers(&before, &set, parameters.power_change_percent);
                } else {
                    assert_eq!(before, set, "sets change when an epoch begins");
                }
                let derived = model.network().validators;
                let same = |(one, other): (&Validator, &clavicle_ledger::validators::Validator)| {
                    (one.source, one.key, one.power) == (other.source, other.key, other.power)
                };
                assert!(derived.len() == set.validators.len() && derived.iter().zip(&set.validators).all(same));
                let powers: Vec<u64> = derived.iter().map(|validator| validator.power).collect();
                let most = *powers.iter().max().unwrap();
                let at_cap = powers.iter().filter(|power| **power == most).count();
                capped += usize::from(powers.len() >= 4 && at_cap > 1 && 3 * (most + 1) >= powers.iter().sum());
                greatest = greatest.max(most);
                sizes.insert(powers.len());
            }
        }
    }
    println!("power up to {greatest}, sets of {sizes:?}, {capped} capped");
    assert!(greatest > 15 && sizes.len() >= 4 && capped > 20, "{greatest}, {sizes:?}, {capped}");
}

#[test]
fn powers_in_histories_are_bounded() {
    let mut before: Option<(u64, ValidatorSet)> = None;
    let mut epochs = 0;
    histories(|history, _| {
        let (head, set) = (history.world.state.head().unwrap(), history.world.state.validators().unwrap());
        if history.world.header.height > 1 {
            let (epoch, before) = before.take().unwrap();
            if head.epoch > epoch {
                epochs += 1;
                let percent = history.world.rules().parameters.power_change_percent;
                check_powers(&before, &set, percent);
            } else {
                assert_eq!(before, set);
            }
        }
        before = Some((head.epoch, set));
    });
    assert!(epochs > 30, "{epochs}");
}

#[test]
fn a_recovery_leaves_time_for_a_veto() {
    let mut blocks: Vec<u64> = Vec::new();
    let mut vetoed = BTreeSet::new();
    let (mut completed, mut close) = (0, u64::MAX);
    changes(5 * SEEDS, |history, proposal, before| {
        let (height, now) = (proposal.block.height, proposal.block.time.timestamp().0);
        if height == 1 {
            blocks = vec![history.world.genesis.time.timestamp().0];
        }
        blocks.push(now);
        let rules = history.world.rules().parameters;
        for envelope in &proposal.block.envelopes {
            match &envelope.body().action {
                Action::Veto(action) => _ = vetoed.insert(action.recovery),
                Action::RecoverStudy(action) => {
                    let after = history.world.study(action.study);
                    let pending = before.get(&action.study).and_then(|study| study.pending_recovery);
                    let Some(pending) = pending.filter(|pending| action.completes == Some(pending.id)) else {
                        continue;
                    };
                    // It was pending, and is no more: it was completed, if the holder is new.
                    if after.pending_recovery.is_some_and(|other| other.id == pending.id)
                        || vetoed.contains(&pending.id)
                        || after.holder != action.new_holder
                    {
                        continue;
                    }
                    completed += 1;
                    let waited = now - pending.since.timestamp().0;
                    assert!(waited >= rules.recovery_delay_ms);
                    assert!(height >= pending.since_height + rules.recovery_heights);
                    close = close.min(waited - rules.recovery_delay_ms);
                    for gap in blocks.windows(2).filter(|gap| gap[1] + rules.halt_grace_ms > now) {
                        // The rules may have been others then, by a vote, but not by much.
                        assert!(gap[1] - gap[0] <= rules.halt_gap_ms.max(5 * HOUR_MS), "soon after a halt");
                    }
                }
                _ => {}
            }
        }
        for id in before.keys() {
            let pending = history.world.study(*id).pending_recovery;
            assert!(pending.is_none_or(|pending| !vetoed.contains(&pending.id)), "pending after its veto");
        }
    });
    println!("{completed} completed, {} vetoed, {close} ms after its time", vetoed.len());
    assert!(completed > 12 && vetoed.len() > 20 && close < 600_000, "{completed}, {}, {close}", vetoed.len());
}

#[test]
fn nobody_is_in_the_way() {
    let mut dice = Dice::new(12);
    let mut world = World::new(tight());
    let (holder, helper) = (secret("holder"), secret("helper"));
    let until = world.now().day().plus(90);
    world.define(1, &holder, vec![crate::world::delegate(&helper, DelegateRole::Helper, until)]).unwrap();
    let (id, hospitals) = (world.id(1), world.hospitals.clone());
    let (mut squatted, mut refused) = (0, 0);
    for round in 0..120u64 {
        let someone = |n: u64| secret(&format!("someone {n}")).public();
        let grant = |world: &mut World, by: &SecretKey, n: u64| {
            let action = crate::world::grant(&world.chain, id, by.public(), &someone(n), &world.terms(2 * DAY_MS));
            world.sign(action, &[by])
        };
        let honest = |round: u64| Content::Upgrade(Upgrade { version: 2, epoch: 1_000_000 + round });
        // What the holder will do, the hostile delegate knows beforehand.
        let (known, unknown) = (grant(&mut world, &holder, 2 * round), grant(&mut world, &holder, 2 * round + 1));
        let mut hostile = Vec::new();
        for n in 0..12 {
            let target = match n {
                0 => known.id().into(),
                1 => unknown.id().into(),
                _ => GrantId::from_bytes(dice.bytes()),
            };
            let squat = crate::world::revoke(id, helper.public(), target);
            hostile.push(world.sign(squat, &[&helper]));
            let grantee = if n == 0 { 2 * round } else { 10_000 + 20 * round + n };
            hostile.push(grant(&mut world, &helper, grantee));
            let content = match n {
                0 => honest(round),
                1 => honest(round + 1),
                2 => Content::Settle { study: id, holder: helper.public() },
                n => Content::SetSuspended { source: hospitals[n as usize % 3].id(&world.chain), suspended: true },
            };
            let key = &hospitals[3].operational;
            hostile.push(world.sign(Action::Vote(Vote { voter: key.public(), content }), &[key]));
        }
        let sent = hostile.len();
        let (proposal, _) = world.block(1_000, hostile);
        squatted += sent - proposal.left_out.len();
        refused += proposal.left_out.len();

        // The holder grants over the delegate's grant and the delegate's tombstone, and revokes, before and after.
        if round % 4 == 0 {
            assert_eq!(world.submit(known.clone()), Ok(()));
            assert_eq!(world.revoke(id, &holder, known.id().into()), Ok(()));
        }
        assert_eq!(world.revoke(id, &holder, unknown.id().into()), Ok(()));
        assert!(world.submit(unknown).is_err());
        let by_helper = world.study(id).grants.iter().find(|grant| grant.by != Capacity::Holder).map(|grant| grant.id);
        if let Some(grant) = by_helper {
            assert_eq!(world.revoke(id, &holder, grant), Ok(()));
        }

        // The three others vote once each.
        for hospital in &hospitals[..3] {
            let vote = Vote { voter: hospital.operational.public(), content: honest(round) };
            // With the hostile one's, two of them may be enough.
            if world.rules().upgrade != Some(Upgrade { version: 2, epoch: 1_000_000 + round }) {
                world.act(Action::Vote(vote), &[&hospital.operational]).unwrap();
            }
        }
        assert_eq!(world.rules().upgrade, Some(Upgrade { version: 2, epoch: 1_000_000 + round }));
        world.wait(3 * HOUR_MS);
    }
    assert!(squatted > 300 && refused > 1_000, "{squatted} and {refused}");
    assert!(!world.state.source(hospitals[0].id(&world.chain)).unwrap().unwrap().suspended);
}
