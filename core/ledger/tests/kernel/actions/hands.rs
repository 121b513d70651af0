//! Who may grant, and who holds: Delegate, Undelegate, TransferStudy, RecoverStudy, Veto.

use clavicle_ledger::action::{
    Delegate, DelegateError, RecoverStudy, RecoverStudyError, TransferStudy, TransferStudyError, Undelegate,
    UndelegateError, Veto, VetoError,
};
use clavicle_ledger::authorise::Claim;
use clavicle_ledger::event::Event;
use clavicle_ledger::id::TxId;
use clavicle_ledger::study::{Delegate as Delegation, MAX_DELEGATES, Study};

use super::*;
use crate::world::Granted;

fn delegate_to(world: &mut World, holder: &SecretKey, delegate: Delegation) -> Result<(), Rejection> {
    let study = world.id(1);
    world.act(Action::Delegate(Delegate { study, holder: holder.public(), delegate }), &[holder])
}

fn undelegate(world: &mut World, holder: &SecretKey, delegate: &SecretKey) -> Result<(), Rejection> {
    let action = Undelegate { study: world.id(1), holder: holder.public(), delegate: delegate.public() };
    world.act(Action::Undelegate(action), &[holder])
}

fn transfer(world: &mut World, holder: &SecretKey, to: &SecretKey, keep_grants: bool) -> Result<(), Rejection> {
    let (holder_key, new_holder) = (holder.public(), to.public());
    let action = TransferStudy { study: world.id(1), holder: holder_key, new_holder, keep_grants };
    world.act(Action::TransferStudy(action), &[holder, to])
}

fn recover_by(world: &mut World, hospital: usize, to: &SecretKey, completes: Option<TxId>) -> Result<(), Rejection> {
    let operational = world.hospitals[hospital].operational.clone();
    let (study, source) = (world.id(1), operational.public());
    let action = RecoverStudy { study, source, new_holder: to.public(), completes };
    world.act(Action::RecoverStudy(action), &[&operational, to])
}

/// Asks.
fn recover(world: &mut World, to: &SecretKey) -> Result<(), Rejection> {
    recover_by(world, 0, to, None)
}

/// Completes what is pending.
fn complete(world: &mut World, to: &SecretKey) -> Result<(), Rejection> {
    let asked = pending(world);
    recover_by(world, 0, to, Some(asked))
}

fn veto(world: &mut World, holder: &SecretKey, recovery: TxId) -> Result<(), Rejection> {
    world.act(Action::Veto(Veto { study: world.id(1), holder: holder.public(), recovery }), &[holder])
}

fn pending(world: &World) -> TxId {
    world.study(world.id(1)).pending_recovery.unwrap().id
}

fn may(world: &World, granted: &Granted, grantee: &SecretKey) -> bool {
    world.fetch(world.hello(granted.study, granted.claim()), grantee).is_ok()
}

fn holds(world: &World, key: &SecretKey) -> bool {
    world.fetch(world.hello(world.id(1), Claim::Holder), key).is_ok()
}

/// Time as it goes by, with a block a minute.
fn minutes(world: &mut World, count: u64) {
    (0..count).for_each(|_| world.wait(60_000));
}

#[test]
fn each_way_for_a_delegation_to_be_wrong() {
    let (mut world, holder) = with_study();
    let (until, friend) = (world.now().day().plus(100), secret("friend"));
    let good = delegate(&friend, DelegateRole::Helper, until);
    let refused = |error| Err(Rejection::Delegate(error));
    let stranger = secret("stranger");
    let not_holder = refused(DelegateError::Study(StudyRefused::NotHolder));
    assert_eq!(delegate_to(&mut world, &stranger, good), not_holder);
    assert_eq!(delegate_to(&mut world, &secret("helper"), good), not_holder);
    let over = Delegation { expiry_day: world.now().day(), ..good };
    assert_eq!(delegate_to(&mut world, &holder, over), refused(DelegateError::Over));
    let hospital = delegate(&world.hospitals[1].operational, DelegateRole::Helper, until);
    assert_eq!(delegate_to(&mut world, &holder, hospital), refused(DelegateError::DelegateIsParty));
    let helper = delegate(&secret("helper"), DelegateRole::Guardian, until);
    assert_eq!(delegate_to(&mut world, &holder, helper), refused(DelegateError::RoleStays));

    let study = world.id(1);
    let mut stateless = |delegate| {
        let body = world.body(Action::Delegate(Delegate { study, holder: holder.public(), delegate }));
        reject(body.sign(&world.chain, &[&holder]).unwrap(), &world.chain)
    };
    let own = StatelessError::Delegate(DelegateError::DelegateIsParty);
    assert_eq!(stateless(delegate(&holder, DelegateRole::Helper, until)), own);
    for powers in [Powers(0), Powers(2)] {
        assert_eq!(stateless(Delegation { powers, ..good }), StatelessError::Delegate(DelegateError::Powers));
    }
    let weak = Delegation { key: Key::from_bytes([0; 32]), ..good };
    assert_eq!(stateless(weak), StatelessError::Key { role: "delegate", error: KeyError::Weak });

    let there = world.study(study).delegates.len();
    let friend = |number: usize| delegate(&secret(&format!("friend {number}")), DelegateRole::Helper, until);
    for number in there..MAX_DELEGATES {
        delegate_to(&mut world, &holder, friend(number)).unwrap();
    }
    assert_eq!(delegate_to(&mut world, &holder, friend(MAX_DELEGATES)), refused(DelegateError::TooMany(MAX_DELEGATES)));
    let mut made = MAX_DELEGATES - there;
    while delegate_to(&mut world, &holder, friend(MAX_DELEGATES - 1)).is_ok() {
        made += 1;
    }
    assert_eq!(made, 16);
    assert_eq!(delegate_to(&mut world, &holder, friend(there)), refused(DelegateError::TooOften(16)));
    // Ending one is never too much, and a day later there is room for more.
    assert_eq!(undelegate(&mut world, &holder, &secret("helper")), Ok(()));
    world.wait(DAY);
    assert_eq!(delegate_to(&mut world, &holder, friend(MAX_DELEGATES)), Ok(()));
}

#[test]
fn a_delegates_grants_die_with_the_delegation_for_good() {
    let (mut world, holder) = with_study();
    let (helper, one, two) = (secret("helper"), secret("one"), secret("two"));
    let terms = world.terms(20 * DAY);
    let by_helper = world.grant(world.id(1), &helper, &one.public(), terms.clone()).unwrap();
    let by_holder = world.grant(world.id(1), &holder, &two.public(), terms).unwrap();
    assert!(may(&world, &by_helper, &one) && may(&world, &by_holder, &two));

    undelegate(&mut world, &holder, &helper).unwrap();
    assert!(!may(&world, &by_helper, &one) && may(&world, &by_holder, &two));
    let gone = Err(Rejection::Undelegate(UndelegateError::NoDelegate));
    assert_eq!(undelegate(&mut world, &holder, &helper), gone);
    let not_granter = Err(Rejection::Grant(GrantError::NotGranter));
    let again = world.terms(DAY);
    assert_eq!(world.grant(world.id(1), &helper, &one.public(), again).map(drop), not_granter);
    // The same key again is a new delegation.
    let until = world.now().day().plus(100);
    delegate_to(&mut world, &holder, delegate(&helper, DelegateRole::Helper, until)).unwrap();
    assert!(!may(&world, &by_helper, &one));
}

#[test]
fn a_delegation_that_was_cut_short_takes_its_grants_with_it() {
    let (mut world, holder) = with_study();
    let (helper, grantee) = (secret("helper"), secret("grantee"));
    let terms = world.terms(20 * DAY);
    let granted = world.grant(world.id(1), &helper, &grantee.public(), terms).unwrap();
    let tomorrow = world.now().day().plus(1);
    delegate_to(&mut world, &holder, delegate(&helper, DelegateRole::Helper, tomorrow)).unwrap();
    assert!(may(&world, &granted, &grantee), "as long as the delegation lasts");
    world.wait(DAY);
    assert!(!may(&world, &granted, &grantee));
    // Also when the key is a delegate again, whether that was swept in between or not.
    let until = world.now().day().plus(100);
    delegate_to(&mut world, &holder, delegate(&helper, DelegateRole::Helper, until)).unwrap();
    assert!(!may(&world, &granted, &grantee));
}

#[test]
fn a_transfer_is_signed_by_both_and_ends_what_the_former_holder_let_in() {
    for keep in [false, true] {
        let (mut world, holder) = with_study();
        let (child, helper, one, two) = (secret("child"), secret("helper"), secret("one"), secret("two"));
        let terms = world.terms(20 * DAY);
        let by_helper = world.grant(world.id(1), &helper, &one.public(), terms.clone()).unwrap();
        let by_holder = world.grant(world.id(1), &holder, &two.public(), terms).unwrap();

        let stranger = secret("stranger");
        let not_holder = Err(Rejection::TransferStudy(TransferStudyError::Study(StudyRefused::NotHolder)));
        assert_eq!(transfer(&mut world, &stranger, &child, keep), not_holder);
        let alone = TransferStudy {
            study: world.id(1),
            holder: holder.public(),
            new_holder: holder.public(),
            keep_grants: keep,
        };
        let alone = world.body(Action::TransferStudy(alone)).sign(&world.chain, &[&holder]).unwrap();
        assert_eq!(reject(alone, &world.chain), StatelessError::SignerTwice);

        transfer(&mut world, &holder, &child, keep).unwrap();
        assert!(holds(&world, &child) && !holds(&world, &holder));
        assert!(!may(&world, &by_helper, &one));
        assert_eq!(may(&world, &by_holder, &two), keep);
        assert!(world.study(world.id(1)).delegates.is_empty());
        let terms = world.terms(DAY);
        let not_granter = Err(Rejection::Grant(GrantError::NotGranter));
        assert_eq!(world.grant(world.id(1), &holder, &someone(3), terms).map(drop), not_granter);
        if keep {
            world.revoke(world.id(1), &child, by_holder.grant).unwrap();
            assert!(!may(&world, &by_holder, &two));
        }
    }
}

#[test]
fn what_the_former_holder_revoked_stays_revoked() {
    let (mut world, holder) = with_study();
    let (child, grantee) = (secret("child"), secret("grantee"));
    let terms = world.terms(20 * DAY);
    let late = world.sign(grant(&world.chain, world.id(1), holder.public(), &grantee.public(), &terms), &[&holder]);
    world.revoke(world.id(1), &holder, late.id().into()).unwrap();
    transfer(&mut world, &holder, &child, true).unwrap();
    transfer(&mut world, &child, &holder, true).unwrap();
    assert_eq!(world.submit(late), Err(Rejection::Grant(GrantError::Buried)));
}

#[test]
fn a_study_changes_hands_so_often_a_day() {
    let (mut world, holder) = with_study();
    let child = secret("child");
    for _ in 0..2 {
        transfer(&mut world, &holder, &child, true).unwrap();
        transfer(&mut world, &child, &holder, true).unwrap();
    }
    let often = Err(Rejection::TransferStudy(TransferStudyError::TooOften(4)));
    assert_eq!(transfer(&mut world, &holder, &child, true), often);
    world.wait(DAY);
    assert_eq!(transfer(&mut world, &holder, &child, true), Ok(()));
}

#[test]
fn a_lost_study_comes_back_after_three_days() {
    let (mut world, holder) = with_study();
    let (new, grantee) = (secret("new phone"), secret("grantee"));
    let terms = world.terms(20 * DAY);
    let granted = world.grant(world.id(1), &holder, &grantee.public(), terms).unwrap();

    let refused = |error| Err(Rejection::RecoverStudy(error));
    assert_eq!(recover_by(&mut world, 1, &new, None), refused(RecoverStudyError::Study(StudyRefused::NotYours)));
    assert_eq!(recover(&mut world, &holder), refused(RecoverStudyError::Holds));
    recover(&mut world, &new).unwrap();
    let (asked, height) = (world.now(), world.header.height);
    assert!(holds(&world, &holder) && !holds(&world, &new) && may(&world, &granted, &grantee));

    let (from, height) = (asked.plus(3 * DAY), height + 200);
    assert_eq!(complete(&mut world, &new), refused(RecoverStudyError::TooEarly { from, height }));
    let other = secret("another phone");
    let soon = RecoverStudyError::TooSoon(asked.plus(30 * DAY));
    assert_eq!(recover(&mut world, &other), refused(soon), "nobody cuts in");
    assert_eq!(recover(&mut world, &new), refused(soon), "to ask twice is not to complete");
    assert_eq!(complete(&mut world, &other), refused(RecoverStudyError::NotPending));
    let unknown = recover_by(&mut world, 0, &new, Some(TxId::from_bytes([7; 32])));
    assert_eq!(unknown, refused(RecoverStudyError::NotPending));
    while world.now().plus(120_000) < from {
        minutes(&mut world, 1);
    }
    let left = from.since(world.now());
    world.wait(left - 1_001);
    // The try comes a second after the last block: one millisecond too early.
    assert_eq!(complete(&mut world, &new), refused(RecoverStudyError::TooEarly { from, height }));
    assert_eq!(complete(&mut world, &new), Ok(()));
    assert!(holds(&world, &new) && !holds(&world, &holder) && !may(&world, &granted, &grantee));
    let Study { delegates, pending_recovery, vetoed, .. } = world.study(world.id(1));
    assert!(delegates.is_empty() && pending_recovery.is_none() && vetoed.is_none());
}

#[test]
fn a_recovery_takes_heights_as_well_as_time() {
    let (mut world, _) = with_study();
    let new = secret("new phone");
    recover(&mut world, &new).unwrap();
    // A chain that hardly moves: nine minutes between blocks are no halt.
    for _ in 0..198 {
        world.wait(9 * 60_000);
    }
    for _ in 0..3 {
        world.wait(DAY);
    }
    world.wait(DAY);
    let early = world.header.height;
    // Enough blocks by now, but the chain stood still.
    assert!(early > 200);
    assert!(matches!(
        complete(&mut world, &new),
        Err(Rejection::RecoverStudy(RecoverStudyError::TooEarly { from, .. })) if from > world.now()
    ));

    let (mut world, _) = with_study();
    recover(&mut world, &new).unwrap();
    let due = world.header.height + 200;
    let slow = Parameters::default().halt_gap_ms;
    while world.header.height + 1 < due {
        world.wait(slow);
    }
    // Thirty-three hours in which 200 blocks came are not three days.
    assert!(matches!(complete(&mut world, &new), Err(Rejection::RecoverStudy(RecoverStudyError::TooEarly { .. }))));
}

#[test]
fn a_recovery_does_not_come_across_a_halt_before_a_veto_can() {
    let (mut world, holder) = with_study();
    let new = secret("new phone");
    recover(&mut world, &new).unwrap();
    minutes(&mut world, 201);
    world.wait(5 * DAY);
    let resumed = world.now();
    let early = complete(&mut world, &new);
    let from = resumed.plus(DAY);
    assert!(
        matches!(early, Err(Rejection::RecoverStudy(RecoverStudyError::TooEarly { from: said, .. })) if said == from)
    );
    let recovery = pending(&world);
    minutes(&mut world, 23 * 60);
    assert!(complete(&mut world, &new).is_err());
    veto(&mut world, &holder, recovery).unwrap();
    minutes(&mut world, 3 * 60);
    assert!(recover_by(&mut world, 0, &new, Some(recovery)).is_err());
    assert!(holds(&world, &holder));
}

#[test]
fn a_veto_in_the_same_block_comes_first() {
    let (mut world, holder) = with_study();
    let new = secret("new phone");
    recover(&mut world, &new).unwrap();
    let recovery = pending(&world);
    for _ in 0..3 * 24 * 7 {
        world.wait(9 * 60_000);
    }
    let (id, mercy) = (world.id(1), world.hospitals[0].operational.clone());
    let action =
        RecoverStudy { study: id, source: mercy.public(), new_holder: new.public(), completes: Some(recovery) };
    let completing = world.sign(Action::RecoverStudy(action), &[&mercy, &new]);
    let mut other = world.clone();
    other.submit(completing.clone()).unwrap();
    assert!(holds(&other, &new), "without a veto it would have come");
    let vetoing = world.sign(Action::Veto(Veto { study: id, holder: holder.public(), recovery }), &[&holder]);
    let (proposal, applied) = world.block(1_000, vec![completing, vetoing]);
    assert!(matches!(proposal.left_out[..], [(_, Rejection::RecoverStudy(RecoverStudyError::NotPending))]));
    assert!(applied.executed.events.contains(&Event::Vetoed { study: id, recovery }));
    assert!(holds(&world, &holder));
}

#[test]
fn recovering_again_after_a_veto_freezes_the_study() {
    let (mut world, holder) = with_study();
    let (new, grantee) = (secret("new phone"), secret("grantee"));
    let terms = world.terms(60 * DAY);
    let granted = world.grant(world.id(1), &holder, &grantee.public(), terms).unwrap();
    recover(&mut world, &new).unwrap();
    let recovery = pending(&world);
    let not_pending = Err(Rejection::Veto(VetoError::NotPending));
    assert_eq!(veto(&mut world, &holder, TxId::from_bytes([1; 32])), not_pending);
    let not_holder = Err(Rejection::Veto(VetoError::Study(StudyRefused::NotHolder)));
    assert_eq!(veto(&mut world, &new, recovery), not_holder);
    veto(&mut world, &holder, recovery).unwrap();
    assert_eq!(veto(&mut world, &holder, recovery), not_pending);

    world.wait(30 * DAY);
    // A completion that comes after the veto does nothing, least of all freeze.
    let late = recover_by(&mut world, 0, &new, Some(recovery));
    assert_eq!(late, Err(Rejection::RecoverStudy(RecoverStudyError::NotPending)));
    recover(&mut world, &new).unwrap();
    let study = world.study(world.id(1));
    assert!(study.frozen && study.pending_recovery.is_none());
    // What was granted before goes on, the holder sees it, and nothing else happens to it.
    assert!(may(&world, &granted, &grantee) && holds(&world, &holder) && !holds(&world, &new));
    let frozen = StudyRefused::Status(Standing::Frozen);
    world.wait(31 * DAY - 1_000);
    assert_eq!(recover(&mut world, &new), Err(Rejection::RecoverStudy(RecoverStudyError::Study(frozen))));
    let child = secret("child");
    let refused = Err(Rejection::TransferStudy(TransferStudyError::Study(frozen)));
    assert_eq!(transfer(&mut world, &holder, &child, true), refused);
    let day = world.terms(DAY);
    let refused = Err(Rejection::Grant(GrantError::Study(frozen)));
    assert_eq!(world.grant(world.id(1), &holder, &someone(5), day).map(drop), refused);
}

#[test]
fn a_transfer_that_cancels_a_recovery_is_a_veto() {
    let (mut world, thief) = with_study();
    let (new, accomplice) = (secret("new phone"), secret("accomplice"));
    recover(&mut world, &new).unwrap();
    transfer(&mut world, &thief, &accomplice, true).unwrap();
    assert!(world.study(world.id(1)).pending_recovery.is_none());
    world.wait(30 * DAY);
    recover(&mut world, &new).unwrap();
    assert!(world.study(world.id(1)).frozen, "else it could go on for ever");
}
