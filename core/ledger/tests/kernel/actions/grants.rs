//! Grant and Revoke.

use super::*;

#[test]
fn each_way_for_a_grant_to_be_wrong() {
    let (mut world, holder) = with_study();
    let refused = |error| Err(Rejection::Grant(error));
    let try_grant = |world: &mut World, study, granter: &SecretKey, terms: Terms| {
        let study = world.id(study);
        world.grant(study, granter, &someone(1), terms).map(drop)
    };
    let terms = |world: &World, ms| world.terms(ms);
    let day = terms(&world, DAY);
    let unknown = refused(GrantError::Study(StudyRefused::Unknown));
    assert_eq!(try_grant(&mut world, 9, &holder, day.clone()), unknown);
    let stranger = secret("stranger");
    assert_eq!(try_grant(&mut world, 1, &stranger, day.clone()), refused(GrantError::NotGranter));
    let past = Terms { expires: world.now().day().start(), ..day.clone() };
    let over = refused(GrantError::Over(world.now().day()));
    assert_eq!(try_grant(&mut world, 1, &holder, past), over);

    let latest = world.now().day().plus(731);
    let too_long = |given| refused(GrantError::TooLong { given, latest });
    let until = |day: Day| Terms { expires: day.start(), ..terms(&world, 0) };
    let (longest, longer) = (until(latest), until(latest.plus(1)));
    assert_eq!(try_grant(&mut world, 1, &holder, longer), too_long(latest.plus(1)));
    assert_eq!(try_grant(&mut world, 1, &holder, longest), Ok(()));
    assert_eq!(try_grant(&mut world, 1, &holder, day.clone()), refused(GrantError::AlreadyGranted));
    let helper = secret("helper");
    assert_eq!(try_grant(&mut world, 1, &helper, day.clone()), refused(GrantError::AlreadyGranted));

    let action = grant(&world.chain, world.id(1), holder.public(), &holder.public(), &day);
    let body = world.body(action).sign(&world.chain, &[&holder]).unwrap();
    assert_eq!(reject(body, &world.chain), StatelessError::Grant(GrantError::ToGranter));
    let action = grant(&world.chain, world.id(1), holder.public(), &Key::from_bytes([0; 32]), &day);
    let body = world.body(action).sign(&world.chain, &[&holder]).unwrap();
    let weak = StatelessError::Key { role: "grantee", error: KeyError::Weak };
    assert_eq!(reject(body, &world.chain), weak);
}

#[test]
fn a_delegates_grant_has_its_own_limits() {
    let (mut world, holder) = with_study();
    let (helper, care_team) = (secret("helper"), secret("care team"));
    let end = world.study(world.id(1)).delegates[0].expiry_day;
    let until = |world: &World, day: Day| Terms { expires: day.start(), ..world.terms(0) };
    let beyond = until(&world, end.plus(1));
    let outlives = Err(Rejection::Grant(GrantError::OutlivesDelegation(end)));
    assert_eq!(world.grant(world.id(1), &helper, &someone(1), beyond).map(drop), outlives);
    let exactly = until(&world, end);
    world.grant(world.id(1), &helper, &someone(1), exactly).unwrap();

    // Noon and a bit: a day from now rounds up to the midnight after tomorrow.
    let latest = world.now().day().plus(2);
    let brief = world.terms(DAY);
    world.grant(world.id(1), &care_team, &someone(2), brief).unwrap();
    let longer = until(&world, latest.plus(1));
    let too_long = GrantError::TooLong { given: latest.plus(1), latest };
    assert_eq!(world.grant(world.id(1), &care_team, &someone(3), longer).map(drop), Err(Rejection::Grant(too_long)));

    // The holder's grant takes the place of a delegate's; no other does.
    let guardian = secret("guardian");
    let terms = world.terms(DAY);
    let clash = Err(Rejection::Grant(GrantError::AlreadyGranted));
    assert_eq!(world.grant(world.id(1), &guardian, &someone(1), terms.clone()).map(drop), clash);
    let own = world.grant(world.id(1), &holder, &someone(1), terms).unwrap();
    let study = world.study(world.id(1));
    let live: Vec<_> = study.grants.iter().filter(|grant| grant.grantee == someone(1)).collect();
    assert_eq!((live.len(), live[0].id, live[0].by), (1, own.grant, Capacity::Holder));

    // A delegation that is over, or has no such power.
    world.wait(100 * DAY);
    let terms = world.terms(DAY);
    let over = Err(Rejection::Grant(GrantError::NotGranter));
    assert_eq!(world.grant(world.id(1), &helper, &someone(4), terms.clone()).map(drop), over);
    let mut study = world.study(world.id(1));
    let powerless = clavicle_ledger::study::Delegate {
        powers: Powers(0),
        ..delegate(&helper, DelegateRole::Helper, world.now().day().plus(9))
    };
    study.delegates.insert(powerless).unwrap();
    world.rewrite(StateKey::Study(world.id(1)), Some(encoding::encode(&study)));
    let no_power = Err(Rejection::Grant(GrantError::NoPower));
    assert_eq!(world.grant(world.id(1), &helper, &someone(4), terms).map(drop), no_power);
}

#[test]
fn holder_and_delegates_have_room_of_their_own() {
    let (mut world, holder) = with_study();
    let helper = secret("helper");
    let refused = |error| Err(Rejection::Grant(error));
    let mut number = 0;
    let mut fill = |world: &mut World, granter: &SecretKey, count: usize| {
        for _ in 0..count {
            number += 1;
            let terms = world.terms(50 * DAY);
            world.grant(world.id(1), granter, &someone(number), terms).unwrap();
        }
        number += 1;
        let terms = world.terms(50 * DAY);
        world.grant(world.id(1), granter, &someone(number), terms).map(drop)
    };
    // In a day: 32 by the holder, 16 by delegates together, whoever comes first.
    assert_eq!(fill(&mut world, &helper, 16), refused(GrantError::TooMany(16)));
    let guardian = secret("guardian");
    assert_eq!(fill(&mut world, &guardian, 0), refused(GrantError::TooMany(16)));
    assert_eq!(fill(&mut world, &holder, 32), refused(GrantError::TooOften(32)));
    world.wait(DAY);
    assert_eq!(fill(&mut world, &holder, 16), refused(GrantError::TooMany(48)));
    assert_eq!(world.study(world.id(1)).grants.len(), 64);
    // One revoked makes room for one; the day's count does not go back.
    let first = world.study(world.id(1)).grants.iter().find(|grant| grant.by != Capacity::Holder).copied().unwrap();
    world.revoke(world.id(1), &holder, first.id).unwrap();
    assert_eq!(fill(&mut world, &guardian, 1), refused(GrantError::TooMany(16)));
    for _ in 0..15 {
        let live = world.study(world.id(1)).grants.iter().find(|grant| grant.by != Capacity::Holder).copied().unwrap();
        world.revoke(world.id(1), &holder, live.id).unwrap();
        assert!(fill(&mut world, &guardian, 1).is_err());
    }
    let live = world.study(world.id(1)).grants.iter().find(|grant| grant.by != Capacity::Holder).copied().unwrap();
    world.revoke(world.id(1), &holder, live.id).unwrap();
    assert_eq!(fill(&mut world, &guardian, 0), refused(GrantError::TooOften(16)));
}

#[test]
fn each_way_for_a_revocation_to_be_wrong() {
    let (mut world, holder) = with_study();
    let (helper, guardian) = (secret("helper"), secret("guardian"));
    let refused = |error| Err(Rejection::Revoke(error));
    let terms = world.terms(5 * DAY);
    let by_holder = world.grant(world.id(1), &holder, &someone(1), terms.clone()).unwrap().grant;
    let by_helper = world.grant(world.id(1), &helper, &someone(2), terms).unwrap().grant;
    let unknown = refused(RevokeError::Study(StudyRefused::Unknown));
    assert_eq!(world.revoke(world.id(9), &holder, by_holder), unknown);
    assert_eq!(world.revoke(world.id(1), &secret("stranger"), by_holder), refused(RevokeError::NotGranter));
    assert_eq!(world.revoke(world.id(1), &helper, by_holder), refused(RevokeError::NotYours));
    assert_eq!(world.revoke(world.id(1), &guardian, by_helper), refused(RevokeError::NotYours));
    assert_eq!(world.revoke(world.id(1), &helper, by_helper), Ok(()));
    assert_eq!(world.revoke(world.id(1), &holder, by_holder), Ok(()));
    assert!(world.study(world.id(1)).grants.is_empty());
}

#[test]
fn a_grant_revoked_before_it_arrives_never_acts() {
    let (mut world, holder) = with_study();
    let terms = world.terms(90 * DAY);
    let action = grant(&world.chain, world.id(1), holder.public(), &someone(1), &terms);
    // Signed offline, good for long: it could be submitted until 20 days from now.
    let late = world.now().plus(20 * DAY);
    let body = Body { submit_by: late, ..world.body(action.clone()) };
    let offline = world.sign_body(body, &[&holder]);
    world.revoke(world.id(1), &holder, offline.id().into()).unwrap();
    assert_eq!(world.submit(offline.clone()), Err(Rejection::Grant(GrantError::Buried)));
    world.wait(19 * DAY);
    assert_eq!(world.submit(offline.clone()), Err(Rejection::Grant(GrantError::Buried)));
    world.wait(12 * DAY);
    assert!(matches!(world.submit(offline), Err(Rejection::TooLate { .. })));
    assert!(world.study(world.id(1)).tombstones.is_empty(), "kept longer than it is needed");

    // Signed with a time limit so far ahead that it comes into its window only when an ordinary tombstone has gone: the
    // revocation says how long it is needed.
    let far = world.now().plus(50 * DAY);
    let body = Body { submit_by: far, ..world.body(action) };
    let patient = world.sign_body(body, &[&holder]);
    let revocation = clavicle_ledger::action::Revoke {
        study: world.id(1),
        revoker: holder.public(),
        grant: patient.id().into(),
        grant_submit_by: far,
    };
    world.act(Action::Revoke(revocation), &[&holder]).unwrap();
    for _ in 0..49 {
        world.wait(DAY - 1_000);
        assert!(world.submit(patient.clone()).is_err());
    }
    assert_eq!(world.submit(patient), Err(Rejection::Grant(GrantError::Buried)));
}

#[test]
fn a_tombstone_stands_to_its_last_millisecond() {
    let (mut world, holder) = with_study();
    let terms = world.terms(90 * DAY);
    let last = world.now().plus(40 * DAY);
    let action = grant(&world.chain, world.id(1), holder.public(), &someone(1), &terms);
    let late = Body { submit_by: last, ..world.body(action) };
    let late = world.sign_body(late, &[&holder]);
    let revocation = clavicle_ledger::action::Revoke {
        study: world.id(1),
        revoker: holder.public(),
        grant: late.id().into(),
        grant_submit_by: last,
    };
    world.act(Action::Revoke(revocation), &[&holder]).unwrap();
    world.wait(last.since(world.now()) - 1_000);
    // The block is at the very last moment for both.
    assert_eq!(world.submit(late), Err(Rejection::Grant(GrantError::Buried)));
    assert_eq!(world.now(), last);
}

#[test]
fn a_delegation_is_over_with_its_days_first_millisecond() {
    let (mut world, _) = with_study();
    let (helper, end) = (secret("helper"), world.study(world.id(1)).delegates[0].expiry_day.start());
    let any = |n| GrantId::from_bytes([n; 32]);
    world.wait(end.since(world.now()) - 1_001);
    let mut later = world.clone();
    assert_eq!(world.revoke(world.id(1), &helper, any(1)), Ok(()));
    assert_eq!(world.now().0, end.0 - 1);
    later.wait(1);
    assert_eq!(later.revoke(world.id(1), &helper, any(1)), Err(Rejection::Revoke(RevokeError::NotGranter)));
    assert_eq!(later.now(), end);
}

#[test]
fn a_tombstone_is_not_kept_for_ever() {
    let (mut world, holder) = with_study();
    let ask = |world: &mut World, revoker: &SecretKey, n, grant_submit_by| {
        let grant = GrantId::from_bytes([n; 32]);
        let action =
            clavicle_ledger::action::Revoke { study: world.id(1), revoker: revoker.public(), grant, grant_submit_by };
        world.act(Action::Revoke(action), &[revoker])
    };
    let latest = world.now().day().plus(731).start();
    let too_far = Err(Rejection::Revoke(RevokeError::TooFar(731)));
    assert_eq!(ask(&mut world, &holder, 1, latest.plus(1)), too_far);
    assert_eq!(ask(&mut world, &secret("helper"), 1, Timestamp(u64::MAX)), too_far);
    assert_eq!(ask(&mut world, &holder, 1, latest), Ok(()));
    world.wait(latest.since(world.now()));
    assert_eq!(world.study(world.id(1)).tombstones.len(), 1);
    world.wait(1);
    assert!(world.study(world.id(1)).tombstones.is_empty());
}

#[test]
fn what_was_revoked_is_not_buried_too() {
    let (mut world, holder) = with_study();
    let terms = world.terms(5 * DAY);
    let grant = world.grant(world.id(1), &holder, &someone(1), terms).unwrap().grant;
    assert_eq!(world.revoke(world.id(1), &holder, grant), Ok(()));
    for _ in 0..3 {
        assert_eq!(world.revoke(world.id(1), &holder, grant), Err(Rejection::Revoke(RevokeError::Already)));
    }
    assert!(world.study(world.id(1)).tombstones.is_empty());
}

#[test]
fn a_delegates_revocation_holds_when_it_comes_to_hold_the_study() {
    let (mut world, _) = with_study();
    let helper = secret("helper");
    let terms = world.terms(5 * DAY);
    let action = grant(&world.chain, world.id(1), helper.public(), &someone(1), &terms);
    let granted = world.sign(action, &[&helper]);
    world.revoke(world.id(1), &helper, granted.id().into()).unwrap();
    // Nothing in this part of the ledger transfers a study yet, so the record is written as it will be.
    let mut study = world.study(world.id(1));
    study.holder = helper.public();
    study.delegates.retain(|_| false);
    world.rewrite(StateKey::Study(world.id(1)), Some(encoding::encode(&study)));
    assert_eq!(world.submit(granted), Err(Rejection::Grant(GrantError::Buried)));
}

#[test]
fn nobodys_tombstone_is_in_the_way_of_another() {
    let (mut world, holder) = with_study();
    let (helper, guardian) = (secret("helper"), secret("guardian"));
    let terms = world.terms(2 * DAY);
    let action = grant(&world.chain, world.id(1), guardian.public(), &someone(1), &terms);
    let by_guardian = world.sign(action, &[&guardian]);
    let id = by_guardian.id().into();
    // The helper squats on the guardian's grant: it stops nothing, and keeps nobody from revoking.
    world.revoke(world.id(1), &helper, id).unwrap();
    assert_eq!(world.revoke(world.id(1), &helper, id), Err(Rejection::Revoke(RevokeError::Already)));
    assert_eq!(world.submit(by_guardian), Ok(()));
    let terms = world.terms(3 * DAY);
    let action = grant(&world.chain, world.id(1), guardian.public(), &someone(2), &terms);
    let another = world.sign(action, &[&guardian]);
    let id = another.id().into();
    world.revoke(world.id(1), &helper, id).unwrap();
    world.revoke(world.id(1), &guardian, id).unwrap();
    world.revoke(world.id(1), &holder, id).unwrap();
    assert_eq!(world.submit(another), Err(Rejection::Grant(GrantError::Buried)));

    // Delegates' tombstones leave room for the holder's.
    let bury = |world: &mut World, revoker: &SecretKey, n: u8| {
        world.revoke(world.id(1), revoker, GrantId::from_bytes([n; 32]))
    };
    let mut number = 0;
    let mut fill = |world: &mut World, revoker: &SecretKey| {
        loop {
            number += 1;
            if let Err(error) = bury(world, revoker, number) {
                return error;
            }
        }
    };
    assert_eq!(fill(&mut world, &helper), Rejection::Revoke(RevokeError::TooManyTombstones(16)));
    assert_eq!(fill(&mut world, &guardian), Rejection::Revoke(RevokeError::TooManyTombstones(16)));
    assert_eq!(fill(&mut world, &holder), Rejection::Revoke(RevokeError::TooManyTombstones(64)));
    assert_eq!(world.study(world.id(1)).tombstones.len(), 64);
}
