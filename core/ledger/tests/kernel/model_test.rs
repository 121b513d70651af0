//! The ledger against the dullest possible interpreter: the same transactions, the same verdicts, the same studies.

use std::collections::BTreeMap;

use clavicle_ledger::action::{Content, RecoverStudy, Vote};
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::source::SourceKind;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::{Capacity, Deed, Status};
use clavicle_ledger::transaction::{Action, Verified};
use clavicle_ledger::vote::VoteKind;

use crate::history::{History, roomy, tight};
use crate::model::{Model, Seen, SeenLine, SeenNetwork, SeenSource, SeenStatus, Validator};
use crate::world::{self, DAY, Hospital, World};

/// What the ledger shows of a study, in the model's words.
fn seen(world: &World, id: clavicle_ledger::id::StudyId) -> Option<Seen> {
    let study = world.seen(id)?;
    let delegate = |by| match by {
        Capacity::Holder => None,
        Capacity::Delegate(key) => Some(key),
    };
    Some(Seen {
        source: study.source,
        holder: study.holder,
        revision: study.revision,
        manifest_root: study.manifest_root,
        open: study.open,
        status: match study.status {
            Status::Active => SeenStatus::Active,
            Status::Suspended { reason, .. } => SeenStatus::Suspended(reason),
            Status::Withdrawn { reason } => SeenStatus::Withdrawn(reason),
        },
        status_number: study.status_number,
        grants: study
            .grants
            .iter()
            .map(|grant| (grant.id, grant.grantee, grant.expiry_day, delegate(grant.by)))
            .collect(),
        tombstones: study.tombstones.iter().map(|stone| (stone.grave.grant, delegate(stone.grave.by))).collect(),
        delegates: study
            .delegates
            .iter()
            .map(|delegate| (delegate.key, delegate.role, delegate.powers, delegate.expiry_day))
            .collect(),
        frozen: study.frozen,
        pending: study.pending_recovery.map(|pending| (pending.id, pending.new_holder)),
        vetoed: study.vetoed.is_some(),
        events: study.events,
    })
}

/// What the ledger shows of the network, in the model's words.
fn seen_network(world: &World) -> SeenNetwork {
    let (head, rules) = (world.state.head().unwrap(), world.rules());
    let source = |admitted: &clavicle_ledger::source::Admitted| {
        let source = world.state.source(admitted.source).unwrap().unwrap();
        SeenSource {
            id: admitted.source,
            identity: source.identity,
            kind: admitted.kind,
            version: source.version,
            keys: source.keys_in(head.epoch).clone(),
            suspended: source.suspended,
            successor: source.successor,
            anchors: source.anchors,
        }
    };
    let validator = |validator: &clavicle_ledger::validators::Validator| {
        let clavicle_ledger::validators::Validator { source, key, power } = *validator;
        Validator { source, key, power }
    };
    SeenNetwork {
        epoch: head.epoch,
        rules: rules.parameters,
        next_rules: rules.next_parameters,
        upgrade: rules.upgrade,
        sources: world.state.roster().unwrap().admitted.iter().map(source).collect(),
        validators: world.state.validators().unwrap().validators.iter().map(validator).collect(),
    }
}

/// An epoch's record as the ledger has it, in the model's words.
fn seen_record(world: &World, epoch: u64) -> (u64, u64, Vec<SeenLine>) {
    let record = world.state.record(epoch).unwrap().unwrap();
    let line = |line: &clavicle_ledger::record::Line| {
        let clavicle_ledger::record::Line {
            source,
            power,
            proposals_due,
            proposals_made,
            votes_due,
            votes_missing,
            equivocations,
            studies,
        } = *line;
        SeenLine { source, power, proposals_due, proposals_made, votes_due, votes_missing, equivocations, studies }
    };
    assert_eq!(record.epoch, epoch);
    (record.first, record.began.timestamp().0, record.lines.iter().map(line).collect())
}

/// An epoch's record without the studies defined, which it tells when the epoch is over.
fn but_for_studies((first, began, mut lines): (u64, u64, Vec<SeenLine>)) -> (u64, u64, Vec<SeenLine>) {
    for line in &mut lines {
        line.studies = 0;
    }
    // A line that told of nothing else.
    lines.retain(|line| line.power + line.votes_due + line.proposals_due + line.equivocations > 0);
    (first, began, lines)
}

/// How often each kind of transaction was executed and refused, and what it came to.
type Counts = BTreeMap<String, (u64, u64)>;

/// The kind of a transaction.
fn kind(action: &Action) -> String {
    let text = match action {
        Action::Vote(Vote { content, .. }) => format!("Vote {content:?}"),
        action => format!("{action:?}"),
    };
    text.split(['(', '{', ' ']).take(if text.starts_with("Vote") { 2 } else { 1 }).collect::<Vec<_>>().join(" ")
}

/// What an executed transaction came to, where that differs.
fn outcome(model: &Model, action: &Action) -> Option<String> {
    match action {
        Action::Vote(Vote { content, .. }) => {
            model.ballot(content).is_empty().then(|| format!("{} passes", kind(action)))
        }
        Action::RecoverStudy(RecoverStudy { study, completes, .. }) => {
            let study = model.study(*study).unwrap();
            let outcome = match completes {
                Some(_) => "completes",
                None if study.frozen => "freezes",
                None => "asks",
            };
            Some(format!("RecoverStudy {outcome}"))
        }
        Action::Evidence(evidence) => {
            let source = model.network().sources.into_iter().find(|known| known.id == evidence.conflict.validator())?;
            source.suspended.then(|| "Evidence on one suspended".into())
        }
        _ => None,
    }
}

fn same_as_the_model(seed: u64, blocks: usize, per_block: u64, counts: &mut Counts) -> u64 {
    println!("seed {seed}");
    let mut history = History::new(seed, if seed.is_multiple_of(2) { tight() } else { roomy() });
    let mut model = Model::new(&history.world.genesis);
    let mut operations = 0;
    for _ in 0..blocks {
        let (mut envelopes, pause) = (history.transactions(per_block), history.pause());
        operations += envelopes.len() as u64;
        let (round, signers) = history.commit();
        let (proposal, _) = history.world.block_decided_by(pause, (round, &signers), envelopes.clone());
        envelopes.sort_by_key(|envelope| envelope.body().action.precedence());
        model.begin_block(proposal.block.height, proposal.block.time, proposal.block.last_commit.as_ref());

        let mut taken = proposal.block.envelopes.iter().map(Verified::hash).collect::<Vec<EnvelopeHash>>();
        taken.reverse();
        for envelope in &envelopes {
            let allowed = model.execute(envelope.id(), envelope.body());
            // What is there twice may have been executed the second time.
            let once = envelopes.iter().filter(|other| other.hash() == envelope.hash()).count() == 1;
            let done = taken.last() == Some(&envelope.hash()) && (allowed || once);
            let why = proposal.left_out.iter().find(|(out, _)| out.hash() == envelope.hash()).map(|(_, why)| why);
            assert_eq!(
                allowed,
                done,
                "height {}: {:?}: the ledger says {why:?}",
                proposal.block.height,
                envelope.body()
            );
            let count = counts.entry(kind(&envelope.body().action)).or_default();
            if done {
                taken.pop();
                count.0 += 1;
                if let Some(outcome) = outcome(&model, &envelope.body().action) {
                    counts.entry(outcome).or_default().0 += 1;
                }
            } else {
                count.1 += 1;
            }
        }
        assert!(
            taken.is_empty(),
            "height {}: the ledger executed what the model refuses: {taken:?}",
            proposal.block.height
        );

        let world = &history.world;
        for id in &history.studies {
            assert_eq!(seen(world, *id), model.study(*id), "height {}", proposal.block.height);
            let Some(study) = world.seen(*id) else { continue };
            for holder in history.holders.iter().chain(&history.delegates) {
                let may =
                    study.holder == holder.public() && study.permits(Deed::HolderFetch, world.header.time).is_ok();
                assert_eq!(may, model.holder_may_fetch(*id, holder.public()));
            }
        }
        let more = history.more.len().saturating_sub(12);
        for (id, _) in &history.more[more..] {
            assert_eq!(seen(world, *id), model.study(*id), "height {}", proposal.block.height);
        }
        let network = seen_network(world);
        assert_eq!(network, model.network(), "height {}", proposal.block.height);
        if let Some(closed) = network.epoch.checked_sub(1) {
            assert_eq!(seen_record(world, closed), model.record(closed), "height {}", proposal.block.height);
        }
        let (running, due) = (seen_record(world, network.epoch), model.record(network.epoch));
        assert_eq!(but_for_studies(running), but_for_studies(due), "height {}", proposal.block.height);
        for content in &history.contents {
            assert_eq!(history.ballot(content), model.ballot(content), "height {}", proposal.block.height);
        }
        let recent = history.grants.len().saturating_sub(40);
        for signed in &history.grants[recent..] {
            let remote = history.grantees[signed.grantee].public();
            let may = world.seen(signed.study).is_some_and(|study| {
                let live = study.grants.find(&signed.grant).is_some_and(|grant| grant.grantee == remote);
                live && study.permits(Deed::GranteeFetch, world.header.time).is_ok()
            });
            assert_eq!(may, model.grantee_may_fetch(signed.study, signed.grant, remote));
        }
    }
    operations
}

#[test]
fn a_hundred_thousand_operations() {
    // Two halves at once: each has its own seeds.
    let half = |first: u64| {
        let mut counts = Counts::new();
        let operations: u64 = (first..first + 16).map(|seed| same_as_the_model(seed, 250, 13, &mut counts)).sum();
        (operations, counts)
    };
    let ((mut operations, mut counts), (more, others)) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1_000));
        (half(2_000), other.join().unwrap())
    });
    operations += more;
    for (kind, (executed, refused)) in others {
        let count = counts.entry(kind).or_default();
        *count = (count.0 + executed, count.1 + refused);
    }
    let outcomes = ["RecoverStudy ", "Evidence on"];
    for (kind, (executed, refused)) in &counts {
        println!("{kind}: {executed} executed, {refused} refused");
        let outcome = kind.ends_with(" passes") || outcomes.iter().any(|outcome| kind.starts_with(outcome));
        assert!(*executed >= 10 && (outcome || *refused >= 100), "one-sided: {kind}, {executed} and {refused}");
    }
    // Six kinds of before, seven, eight to vote on; of these all pass, a recovery has three ways, evidence one.
    assert_eq!(counts.len(), 6 + 7 + 8 + 8 + 3 + 1, "{:?}", counts.keys());
    assert!(operations >= 100_000, "{operations}");
}

/// A ledger and the model of it, given the same by hand.
struct Both {
    world: World,
    model: Model,
}

impl Both {
    fn new(parameters: Parameters) -> Self {
        let world = World::new(parameters);
        Self { model: Model::new(&world.genesis), world }
    }

    fn wait(&mut self, later_ms: u64) {
        let (proposal, _) = self.world.block(later_ms, Vec::new());
        self.model.begin_block(proposal.block.height, proposal.block.time, proposal.block.last_commit.as_ref());
        assert_eq!(seen_network(&self.world), self.model.network());
    }

    /// Whether it is executed, a second later.
    fn act(&mut self, action: Action, keys: &[&SecretKey]) -> bool {
        let envelope = self.world.sign(action, keys);
        let (proposal, _) = self.world.block(1_000, vec![envelope.clone()]);
        self.model.begin_block(proposal.block.height, proposal.block.time, proposal.block.last_commit.as_ref());
        let done = self.model.execute(envelope.id(), envelope.body());
        assert_eq!(done, proposal.left_out.is_empty(), "the ledger says {:?}", proposal.left_out.first());
        assert_eq!(seen_network(&self.world), self.model.network());
        done
    }

    /// Hospitals vote, until one cannot: whether all of them could.
    fn vote(&mut self, content: Content, voters: &[usize]) -> bool {
        voters.iter().all(|voter| {
            let key = self.world.hospitals[*voter].operational.clone();
            self.act(Action::Vote(Vote { voter: key.public(), content: content.clone() }), &[&key])
        })
    }

    fn show(&mut self, hospital: &Hospital, height: u64, round: u32) -> bool {
        let (chain, key) = (self.world.chain, hospital.consensus.as_ref().unwrap());
        let action = world::equivocation(&chain, key, hospital.id(&chain), (height, round), Some(VoteKind::Prevote));
        self.act(action, &[])
    }
}

/// Once, evidence was held against the last two keys that a source announced. Who had announced twice since could not be
/// shown to have signed twice, and who had a third key was believed to have signed with that.
#[test]
fn announcing_anew_does_not_help_an_equivocator() {
    let mut both = Both::new(Parameters::default());
    let mercy = both.world.hospitals[0].clone();
    both.wait(1_000);
    for version in 1..4 {
        let next = Hospital::new("mercy", version);
        assert!(both.act(next.define_source(version.into()), &next.secrets()));
        both.wait(DAY);
    }
    assert!(!both.show(&Hospital::new("mercy", 2), 1, 0), "not its key then");
    assert!(both.show(&mercy, 1, 0));
    assert!(!both.show(&mercy, 1, 0), "known");
    for _ in 0..10 {
        both.wait(DAY);
    }
    assert!(both.show(&mercy, 1, 1), "thirteen days and a little");
    both.wait(DAY);
    assert!(!both.show(&mercy, 1, 2), "too old");
}

#[test]
fn somebody_is_left_to_decide() {
    let mut both = Both::new(Parameters::default());
    let ids: Vec<_> = both.world.hospitals.iter().map(|hospital| hospital.id(&both.world.chain)).collect();
    let hosted = |source| Content::SetKind { source, kind: SourceKind::Hosted };
    for (gone, voters) in [(1, [0, 2, 3]), (2, [0, 2, 3])] {
        assert!(both.vote(Content::SetSuspended { source: ids[gone], suspended: true }, &voters));
        assert!(gone == 2 || both.vote(hosted(ids[2]), &voters));
    }
    both.wait(DAY);
    assert!(both.vote(Content::Succeed { source: ids[3], by: ids[1] }, &[0, 3]));
    both.wait(DAY);
    for last in [
        Content::SetSuspended { source: ids[0], suspended: true },
        hosted(ids[0]),
        Content::Succeed { source: ids[0], by: ids[1] },
    ] {
        assert!(!both.vote(last, &[0]));
    }
    assert!(both.vote(Content::SetSuspended { source: ids[2], suspended: false }, &[0]));
}

#[test]
fn a_successor_completes_what_was_asked_for() {
    let mut both = Both::new(Parameters { recovery_heights: 2, halt_gap_ms: 90 * DAY, ..Parameters::default() });
    let (holder, new) = (world::secret("holder"), world::secret("new holder"));
    let [mercy, stluke] = [0, 1].map(|at| both.world.hospitals[at].clone());
    let ids = [&mercy, &stluke].map(|hospital| hospital.id(&both.world.chain));
    let study = both.world.id(1);
    let define = world::define_study(1, mercy.operational.public(), holder.public(), Vec::new());
    assert!(both.act(define, &[&mercy.operational, &holder]));
    let recover = |hospital: &Hospital, completes| {
        let source = hospital.operational.public();
        Action::RecoverStudy(RecoverStudy { study, source, new_holder: new.public(), completes })
    };
    assert!(both.act(recover(&mercy, None), &[&mercy.operational, &new]));
    let asked = both.world.study(study).pending_recovery.map(|pending| pending.id);
    assert!(both.vote(Content::Succeed { source: ids[0], by: ids[1] }, &[1, 2, 3]));
    both.wait(3 * DAY);
    assert!(!both.act(recover(&mercy, asked), &[&mercy.operational, &new]));
    assert!(both.act(recover(&stluke, asked), &[&stluke.operational, &new]));
    assert_eq!(both.world.study(study).holder, new.public());
}

#[test]
fn evidence_that_was_too_old_stays_so() {
    let parameters = Parameters { evidence_ms: 2 * DAY, ..Parameters::default() };
    let mut both = Both::new(parameters);
    let mercy = both.world.hospitals[0].clone();
    for _ in 0..4 {
        both.wait(DAY);
    }
    assert!(!both.show(&mercy, 1, 0));
    let longer = Content::SetParameters(Box::new(Parameters { evidence_ms: 14 * DAY, ..parameters }));
    assert!(both.vote(longer, &[0, 1, 2]));
    both.wait(DAY);
    assert!(both.show(&mercy, 4, 0));
    assert!(!both.show(&mercy, 1, 0));
}
