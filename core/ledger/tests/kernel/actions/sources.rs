//! Genesis and DefineSource.

use super::*;

#[test]
fn a_genesis_must_be_able_to_start() {
    let good = genesis(Parameters::default());
    assert_eq!(good.check(), Ok(()));
    let edited = |edit: &dyn Fn(&mut Vec<GenesisSource>)| {
        let mut sources = good.sources.to_vec();
        edit(&mut sources);
        clavicle_ledger::genesis::Genesis { sources: Ascending::from_items(sources).unwrap(), ..good.clone() }.check()
    };
    assert_eq!(edited(&|sources| sources.clear()), Err(GenesisError::NoValidator));
    let hosted = |sources: &mut Vec<GenesisSource>| {
        for source in sources {
            source.announcement.kind = SourceKind::Hosted;
            source.announcement.keys.consensus = None;
        }
    };
    assert_eq!(edited(&hosted), Err(GenesisError::NoValidator));
    let unnamed = edited(&|sources| sources[1].announcement.name = Text::default());
    assert_eq!(unnamed, Err(GenesisError::Source(1, AnnouncementError::Unnamed)));
    let weak = edited(&|sources| sources[2].announcement.keys.transfer = Key::from_bytes([0; 32]));
    assert_eq!(weak, Err(GenesisError::Key(2, KeyError::Weak)));
    let shared = edited(&|sources| sources[3].announcement.keys.transfer = sources[0].announcement.keys.transfer);
    assert_eq!(shared, Err(GenesisError::KeyTwice(3)));
    let default = Parameters::default();
    for (parameters, name) in [
        (Parameters { submit_window_ms: 0, ..default }, "submit_window_ms"),
        (Parameters { max_grant_days: 732, ..default }, "max_grant_days"),
        (Parameters { brief_grant_ms: DAY + 1, ..default }, "brief_grant_ms"),
        (Parameters { tombstone_ms: 29 * DAY, ..default }, "tombstone_ms"),
        (Parameters { fresh_ms: 30_000, ..default }, "fresh_ms"),
        (Parameters { max_staleness_ms: DAY + 1, ..default }, "max_staleness_ms"),
        (Parameters { block_bytes: 4_095, ..default }, "block_bytes"),
        (Parameters { block_bytes: 8 * 1024 * 1024 + 1, ..default }, "block_bytes"),
        (Parameters { block_envelopes: 20_000, ..default }, "block_envelopes"),
        (Parameters { fresh_ms: DAY + 1, ..default }, "fresh_ms"),
        (Parameters { hello_window_ms: DAY, ..default }, "hello_window_ms"),
        (Parameters { submit_window_ms: 400 * DAY, ..default }, "submit_window_ms"),
        (Parameters { block_sweep: 1, ..default }, "block_sweep"),
    ] {
        assert_eq!(genesis(parameters).check(), Err(GenesisError::Parameter(name)));
    }
}

#[test]
fn a_candidate_is_signed_by_every_key_it_names() {
    let (mercy, stluke) = (&hospitals()[0], &hospitals()[1]);
    let source = GenesisSource { identity: mercy.identity.public(), announcement: mercy.announcement() };
    let good = Candidate::sign(source.clone(), &mercy.secrets()).unwrap();
    assert_eq!(good.check(), Ok(()));
    let missing = Candidate::sign(source.clone(), &mercy.secrets()[1..]);
    assert_eq!(missing, Err(CandidateError::SignatureCount { given: 4, due: 5 }));
    // Another's key cannot be announced, nor the announcement altered.
    let mut stolen = good.clone();
    stolen.source.announcement.keys.transfer = stluke.transfer.public();
    let wrong = |index| Err(CandidateError::Signature { index, error: SignatureError::Wrong });
    assert_eq!(stolen.check(), wrong(0));
    let mut renamed = good.clone();
    renamed.source.announcement.name = Text::new("merci").unwrap();
    assert_eq!(renamed.check(), wrong(0));
    let mut nameless = good;
    nameless.source.announcement.name = Text::default();
    assert_eq!(nameless.check(), Err(CandidateError::Announcement(AnnouncementError::Unnamed)));
}

fn announce(world: &mut World, hospital: &Hospital, version: u64) -> Result<(), Rejection> {
    world.act(hospital.define_source(version), &hospital.secrets())
}

#[test]
fn announced_keys_come_into_force_with_the_next_epoch() {
    let (mut world, holder) = with_study();
    let (old, new) = (world.hospitals[0].clone(), Hospital::new("mercy", 1));
    let id = old.id(&world.chain);
    announce(&mut world, &new, 1).unwrap();
    let with = |world: &mut World, hospital: &Hospital, number| {
        let key = &hospital.operational;
        world.act(define_study(number, key.public(), holder.public(), Vec::new()), &[key, &holder])
    };
    let not_in_force = Err(Rejection::DefineStudy(DefineStudyError::Source(SourceRefused::NotInForce)));
    assert_eq!(with(&mut world, &new, 2), not_in_force);
    assert_eq!(with(&mut world, &old, 2), Ok(()));
    let consensus = |world: &World| world.state.validators().unwrap().validators.find(&id).unwrap().key;
    assert_eq!(consensus(&world), old.consensus.as_ref().unwrap().public());

    // The first block of the epoch is still decided by those before; the next one by those who come.
    let before = world.header;
    world.wait(DAY);
    assert_eq!(world.header.validators, before.next_validators);
    assert_ne!(world.header.next_validators, before.next_validators);
    assert_eq!(consensus(&world), new.consensus.as_ref().unwrap().public());
    assert_eq!(with(&mut world, &old, 3), not_in_force);
    assert_eq!(with(&mut world, &new, 3), Ok(()));
    assert_eq!(world.header.validators, world.header.next_validators);
}

#[test]
fn announcing_over_and_over_within_an_epoch_keeps_the_keys_in_force() {
    let mut world = world();
    let id = world.hospitals[0].id(&world.chain);
    let generation = |n| Hospital::new("mercy", n);
    let in_force = |world: &World| {
        let (head, source) = (world.state.head().unwrap(), world.state.source(id).unwrap().unwrap());
        source.keys_in(head.epoch).operational
    };
    for (version, hospital) in [(1, generation(1)), (2, generation(2))] {
        announce(&mut world, &hospital, version).unwrap();
        assert_eq!(in_force(&world), generation(0).operational.public());
    }
    world.wait(DAY);
    assert_eq!(in_force(&world), generation(2).operational.public());
    // Announced and taken back before it counted.
    announce(&mut world, &generation(3), 3).unwrap();
    announce(&mut world, &generation(2), 4).unwrap();
    world.wait(DAY);
    assert_eq!(in_force(&world), generation(2).operational.public());
    // Announced again after it was in force: still the same.
    announce(&mut world, &generation(2), 5).unwrap();
    assert_eq!(in_force(&world), generation(2).operational.public());
    world.wait(DAY);
    assert_eq!(in_force(&world), generation(2).operational.public());
    // An old key of its own may come back, in its old role.
    announce(&mut world, &generation(0), 6).unwrap();
    world.wait(DAY);
    assert_eq!(in_force(&world), generation(0).operational.public());
}

#[test]
fn each_way_for_an_announcement_to_be_wrong() {
    let mut world = world();
    let mercy = world.hospitals[0].clone();
    let stranger = Hospital::new("stranger", 0);
    let refused = |error| Err(Rejection::DefineSource(error));
    assert_eq!(announce(&mut world, &stranger, 1), refused(DefineSourceError::NotAdmitted));
    let impostor = Hospital { identity: mercy.operational.clone(), ..Hospital::new("impostor", 0) };
    assert_eq!(announce(&mut world, &impostor, 1), refused(DefineSourceError::NotAdmitted));
    for given in [0, 2, u64::MAX] {
        let version = DefineSourceError::Version { given, newest: 0 };
        assert_eq!(announce(&mut world, &mercy, given), refused(version));
    }
    let hosted = Hospital { consensus: None, ..mercy.clone() };
    assert_eq!(announce(&mut world, &hosted, 1), refused(DefineSourceError::Kind));
    let thief = Hospital { transfer: world.hospitals[1].transfer.clone(), ..mercy.clone() };
    let in_use = |role, own| refused(DefineSourceError::KeyInUse(role, own));
    assert_eq!(announce(&mut world, &thief, 1), in_use(KeyRole::Transfer, false));
    let swapped = Hospital { transfer: mercy.network.clone(), network: mercy.transfer.clone(), ..mercy.clone() };
    assert_eq!(announce(&mut world, &swapped, 1), in_use(KeyRole::Transfer, true));
    for version in 1..=16 {
        announce(&mut world, &mercy, version).unwrap();
    }
    assert_eq!(announce(&mut world, &mercy, 17), refused(DefineSourceError::TooOften(16)));
    world.wait(DAY);
    assert_eq!(announce(&mut world, &mercy, 17), Ok(()));
}

#[test]
fn each_way_for_an_announcement_to_be_wrong_by_itself() {
    let world = world();
    let mercy = &world.hospitals[0];
    let check = |edit: &dyn Fn(&mut clavicle_ledger::source::Announcement)| {
        let mut announcement = mercy.announcement();
        edit(&mut announcement);
        announcement.check(&mercy.identity.public())
    };
    assert_eq!(check(&|_| ()), Ok(()));
    assert_eq!(check(&|it| it.name = Text::new("  ").unwrap()), Err(AnnouncementError::Unnamed));
    assert_eq!(check(&|it| it.kind = SourceKind::Hosted), Err(AnnouncementError::ConsensusKey));
    assert_eq!(check(&|it| it.keys.consensus = None), Err(AnnouncementError::ConsensusKey));
    assert_eq!(check(&|it| it.keys.network = Ascending::new()), Err(AnnouncementError::NoNetworkKey));
    assert_eq!(check(&|it| it.keys.transfer = it.keys.operational), Err(AnnouncementError::KeyTwice));
    assert_eq!(check(&|it| it.keys.transfer = mercy.identity.public()), Err(AnnouncementError::KeyTwice));
    // And it counts in a transaction.
    let Action::DefineSource(mut action) = mercy.define_source(1) else { panic!() };
    action.announcement.name = Text::default();
    let body = Body { submit_by: Timestamp(0), nonce: [0; 16], action: Action::DefineSource(action) };
    let envelope = body.sign(&world.chain, &mercy.secrets()).unwrap();
    let error = StatelessError::DefineSource(DefineSourceError::Announcement(AnnouncementError::Unnamed));
    assert_eq!(reject(envelope, &world.chain), error);
}

#[test]
fn a_suspended_source_registers_nothing() {
    let (mut world, _) = with_study();
    let mercy = world.hospitals[0].clone();
    let id = mercy.id(&world.chain);
    // Nothing in this part of the ledger suspends a source yet, so the record is written as it will be.
    let mut source = world.state.source(id).unwrap().unwrap();
    source.suspended = true;
    world.rewrite(StateKey::Source(id), Some(encoding::encode(&source)));
    let refused = world.act(revise(world.id(1), mercy.operational.public(), 1), &[&mercy.operational]);
    let suspended = SourceRefused::Suspended;
    assert_eq!(refused, Err(Rejection::ReviseStudy(ReviseStudyError::Source(suspended))));
    // It may still stop serving, and not begin to again.
    assert_eq!(world.set_status(world.id(1), NewStatus::Suspended(Reason::WrongPatient)), Ok(()));
    let active = world.set_status(world.id(1), NewStatus::Active);
    assert_eq!(active, Err(Rejection::SetStatus(SetStatusError::Source(suspended))));
    world.wait(DAY);
    assert!(world.state.validators().unwrap().validators.find(&id).is_none());
}
