//! DefineStudy, ReviseStudy, SetStatus.

use super::*;

#[test]
fn a_study_is_defined_once_and_has_one_holder() {
    let (mut world, _) = with_study();
    let again = world.define(1, &secret("another holder"), Vec::new());
    assert_eq!(again, Err(Rejection::DefineStudy(DefineStudyError::Exists)));
    world.set_status(world.id(1), NewStatus::Withdrawn(Reason::Retention)).unwrap();
    let after = world.define(1, &secret("another holder"), Vec::new());
    assert_eq!(after, Err(Rejection::DefineStudy(DefineStudyError::Exists)));
}

#[test]
fn each_way_for_a_definition_to_be_wrong() {
    let mut world = World::new(Parameters { studies_per_epoch: 2, ..Parameters::default() });
    let (holder, mercy) = (secret("holder"), world.hospitals[0].operational.clone());
    let nobody = secret("nobody");
    let refused = |error| Err(Rejection::DefineStudy(error));
    let stranger = define_study(1, nobody.public(), holder.public(), Vec::new());
    let unknown = refused(DefineStudyError::Source(SourceRefused::Unknown));
    assert_eq!(world.act(stranger, &[&nobody, &holder]), unknown);
    let transfer = world.hospitals[0].transfer.clone();
    let wrong_role = define_study(1, transfer.public(), holder.public(), Vec::new());
    assert_eq!(world.act(wrong_role, &[&transfer, &holder]), unknown);
    let today = world.now().day();
    let over = vec![delegate(&secret("late"), DelegateRole::Helper, today)];
    assert_eq!(world.define(1, &holder, over), refused(DefineStudyError::DelegationOver));

    let stateless = |world: &mut World, edit: &dyn Fn(&mut clavicle_ledger::study::Delegate)| {
        let mut one = delegate(&secret("helper"), DelegateRole::Helper, today.plus(2));
        edit(&mut one);
        let body = world.body(define_study(1, mercy.public(), holder.public(), vec![one]));
        reject(body.sign(&world.chain, &[&mercy, &holder]).unwrap(), &world.chain)
    };
    let party = StatelessError::DefineStudy(DefineStudyError::DelegateIsParty);
    assert_eq!(stateless(&mut world, &|one| one.key = holder.public()), party);
    assert_eq!(stateless(&mut world, &|one| one.key = mercy.public()), party);
    for powers in [Powers(0), Powers(2), Powers(3)] {
        let error = StatelessError::DefineStudy(DefineStudyError::Powers);
        assert_eq!(stateless(&mut world, &|one| one.powers = powers), error);
    }
    let weak = StatelessError::Key { role: "delegate", error: KeyError::Weak };
    assert_eq!(stateless(&mut world, &|one| one.key = Key::from_bytes([0; 32])), weak);

    world.define(1, &holder, Vec::new()).unwrap();
    world.define(2, &holder, Vec::new()).unwrap();
    assert_eq!(world.define(3, &holder, Vec::new()), refused(DefineStudyError::Quota(2)));
    // Another source's quota is its own, and the next epoch's is new.
    let north = world.hospitals[2].operational.clone();
    let elsewhere = define_study(3, north.public(), holder.public(), Vec::new());
    assert_eq!(world.act(elsewhere, &[&north, &holder]), Ok(()));
    world.wait(DAY);
    assert_eq!(world.define(4, &holder, Vec::new()), Ok(()));
}

#[test]
fn nobody_takes_an_id_that_is_another_sources() {
    let mut world = world();
    let (mercy, north) = (world.hospitals[0].clone(), world.hospitals[2].clone());
    // North sees Mercy's definition on its way and is first with the same digest and a holder of its own making.
    let copied = define_study(1, north.operational.public(), secret("invented").public(), Vec::new());
    world.act(copied, &[&north.operational, &secret("invented")]).unwrap();
    assert_eq!(world.define(1, &secret("holder"), Vec::new()), Ok(()));
    let theirs = StudyId::of(&world.chain, north.id(&world.chain), crate::world::digest(1));
    assert_ne!(theirs, world.id(1));
    assert_eq!(world.study(world.id(1)).source, mercy.id(&world.chain));
    assert_eq!(world.study(world.id(1)).holder, secret("holder").public());
}

#[test]
fn each_way_for_a_revision_to_be_wrong() {
    let (mut world, _) = with_study();
    let (mercy, north) = (world.hospitals[0].operational.clone(), world.hospitals[2].operational.clone());
    let refused = |error| Err(Rejection::ReviseStudy(error));
    let unknown = refused(ReviseStudyError::Study(StudyRefused::Unknown));
    assert_eq!(world.act(revise(world.id(9), mercy.public(), 1), &[&mercy]), unknown);
    let not_yours = refused(ReviseStudyError::Study(StudyRefused::NotYours));
    assert_eq!(world.act(revise(world.id(1), north.public(), 1), &[&north]), not_yours);
    for given in [0, 2, u32::MAX] {
        let revision = refused(ReviseStudyError::Revision { given, newest: 0 });
        assert_eq!(world.act(revise(world.id(1), mercy.public(), given), &[&mercy]), revision);
    }
    assert_eq!(world.act(revise(world.id(1), mercy.public(), 1), &[&mercy]), Ok(()));
    let nobody = secret("nobody");
    let source = refused(ReviseStudyError::Source(SourceRefused::Unknown));
    assert_eq!(world.act(revise(world.id(1), nobody.public(), 2), &[&nobody]), source);
    world.set_status(world.id(1), NewStatus::Withdrawn(Reason::Quality)).unwrap();
    let withdrawn = StudyRefused::Status(Standing::Withdrawn(Reason::Quality));
    let refused = refused(ReviseStudyError::Study(withdrawn));
    assert_eq!(world.act(revise(world.id(1), mercy.public(), 2), &[&mercy]), refused);
}

#[test]
fn each_way_for_a_status_to_be_wrong() {
    let (mut world, _) = with_study();
    let (mercy, north) = (world.hospitals[0].operational.clone(), world.hospitals[2].operational.clone());
    let status = NewStatus::Suspended(Reason::LegalOrder);
    let set = |world: &mut World, study, key: &SecretKey, number| {
        let study = world.id(study);
        let action = SetStatus { study, source: key.public(), number, status };
        world.act(Action::SetStatus(action), &[key])
    };
    let refused = |error| Err(Rejection::SetStatus(error));
    let unknown = refused(SetStatusError::Study(StudyRefused::Unknown));
    assert_eq!(set(&mut world, 9, &mercy, 1), unknown);
    let not_yours = refused(SetStatusError::Study(StudyRefused::NotYours));
    assert_eq!(set(&mut world, 1, &north, 1), not_yours);
    for given in [0, 2] {
        assert_eq!(set(&mut world, 1, &mercy, given), refused(SetStatusError::Number { given, newest: 0 }));
    }
    let nobody = refused(SetStatusError::Source(SourceRefused::Unknown));
    assert_eq!(set(&mut world, 1, &secret("nobody"), 1), nobody);
    assert_eq!(set(&mut world, 1, &mercy, 1), Ok(()));
    let activity = |world: &World| world.state.activity(world.hospitals[0].id(&world.chain)).unwrap();
    assert_eq!(activity(&world).withdrawn_in_all, 0);
    world.set_status(world.id(1), NewStatus::Withdrawn(Reason::Other)).unwrap();
    assert_eq!((activity(&world).studies_in_all, activity(&world).withdrawn_in_all), (1, 1));
}

#[test]
fn a_source_has_its_share_of_revisions_and_statuses() {
    let mut world = World::new(Parameters { revisions_per_epoch: 2, statuses_per_epoch: 2, ..Parameters::default() });
    world.define(1, &secret("holder"), Vec::new()).unwrap();
    let mercy = world.hospitals[0].operational.clone();
    let revise = |world: &mut World, n| world.act(revise(world.id(1), mercy.public(), n), &[&mercy]);
    let toggle = |world: &mut World| world.set_status(world.id(1), NewStatus::Suspended(Reason::Other));
    for n in 1..=2 {
        revise(&mut world, n).unwrap();
        toggle(&mut world).unwrap();
    }
    assert_eq!(revise(&mut world, 3), Err(Rejection::ReviseStudy(ReviseStudyError::Quota(2))));
    assert_eq!(toggle(&mut world), Err(Rejection::SetStatus(SetStatusError::Quota(2))));
    world.wait(DAY);
    assert_eq!((revise(&mut world, 3), toggle(&mut world)), (Ok(()), Ok(())));
}
