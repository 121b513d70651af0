//! The ledger against the dullest possible interpreter: the same transactions, the same verdicts, the same studies.

use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::study::{Capacity, Deed, Status};
use clavicle_ledger::transaction::Verified;

use crate::history::{History, roomy, tight};
use crate::model::{Model, Seen, SeenStatus};
use crate::world::World;

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
        delegates: study.delegates.iter().map(|delegate| delegate.key).collect(),
        events: study.events,
    })
}

fn same_as_the_model(seed: u64, blocks: usize, per_block: u64) -> u64 {
    println!("seed {seed}");
    let mut history = History::new(seed, if seed.is_multiple_of(2) { tight() } else { roomy() });
    let mut model = Model::new(&history.world.genesis);
    let mut operations = 0;
    for _ in 0..blocks {
        let (mut envelopes, pause) = (history.transactions(per_block), history.pause());
        operations += envelopes.len() as u64;
        let (proposal, _) = history.world.block(pause, envelopes.clone());
        envelopes.sort_by_key(|envelope| envelope.body().action.precedence());
        model.begin_block(proposal.block.height, proposal.block.time);

        let mut taken = proposal.block.envelopes.iter().map(Verified::hash).collect::<Vec<EnvelopeHash>>();
        taken.reverse();
        for envelope in &envelopes {
            let allowed = model.execute(envelope.id(), envelope.body());
            let done = taken.last() == Some(&envelope.hash()) && allowed;
            let why = proposal.left_out.iter().find(|(out, _)| out.hash() == envelope.hash()).map(|(_, why)| why);
            assert_eq!(
                allowed,
                done,
                "height {}: {:?}: the ledger says {why:?}",
                proposal.block.height,
                envelope.body()
            );
            if done {
                taken.pop();
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
            for holder in &history.holders {
                let may =
                    study.holder == holder.public() && study.permits(Deed::HolderFetch, world.header.time).is_ok();
                assert_eq!(may, model.holder_may_fetch(*id, holder.public()));
            }
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
    let half = |first: u64| (first..first + 16).map(|seed| same_as_the_model(seed, 250, 13)).sum::<u64>();
    let operations = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1_000));
        half(2_000) + other.join().unwrap()
    });
    assert!(operations >= 100_000, "{operations}");
}
