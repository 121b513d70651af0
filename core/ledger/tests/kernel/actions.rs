//! Each action's rules, and each way to break one, by name.

use clavicle_ledger::action::{
    DefineSourceError, DefineStudyError, GrantError, NewStatus, ReviseStudyError, RevokeError, SetStatus,
    SetStatusError, SourceRefused, StudyRefused,
};
use clavicle_ledger::block::{CertificateError, CommitCertificate, Header, InclusionError, prove_inclusion};
use clavicle_ledger::encoding::{self, Ascending, Fault, Text};
use clavicle_ledger::execute::{self, ExecuteError, Proposed, Rejection};
use clavicle_ledger::genesis::{Candidate, CandidateError, GenesisError, GenesisSource, Parameters};
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::key::{Key, KeyError, SecretKey, SignatureError};
use clavicle_ledger::source::{AnnouncementError, KeyRole, SourceKind};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::{Capacity, DelegateRole, Powers, Reason, Standing};
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{BlockTime, Day, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope, Precedence, Signatures, StatelessError};
use clavicle_ledger::vote::{Vote, VoteKind};

use crate::world::{
    DAY, Hospital, World, define_study, delegate, genesis, grant, hospitals, reject, revise, revoke, secret,
};

fn world() -> World {
    World::new(Parameters::default())
}

/// A world with one study, its holder, a helper and a guardian, for a hundred days.
fn with_study() -> (World, SecretKey) {
    let (mut world, holder) = (world(), secret("holder"));
    let until = world.now().day().plus(100);
    let delegates = vec![
        delegate(&secret("helper"), DelegateRole::Helper, until),
        delegate(&secret("guardian"), DelegateRole::Guardian, until),
        delegate(&secret("care team"), DelegateRole::CareTeam, until),
    ];
    world.define(1, &holder, delegates).unwrap();
    (world, holder)
}

fn someone(number: usize) -> Key {
    secret(&format!("someone {number}")).public()
}

// ── Transactions ────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_transaction_has_its_time() {
    let (mut world, holder) = with_study();
    let at = |world: &mut World, submit_by| {
        let action = revoke(world.id(1), holder.public(), GrantId::from_bytes([1; 32]));
        let body = Body { submit_by, ..world.body(action) };
        world.sign_body(body, &[&holder])
    };
    let next = world.now().plus(1_000);
    let early = at(&mut world, Timestamp(next.0 - 1));
    let too_late = Rejection::TooLate { submit_by: Timestamp(next.0 - 1), now: BlockTime(next) };
    assert_eq!(world.submit(early), Err(too_late));
    let window_ms = Parameters::default().submit_window_ms;
    let next = world.now().plus(1_000);
    let far = at(&mut world, next.plus(window_ms + 1));
    assert_eq!(world.submit(far), Err(Rejection::TooEarly { window_ms }));
    let next = world.now().plus(1_000);
    let last_moment = at(&mut world, next);
    assert_eq!(world.submit(last_moment), Ok(()));
}

#[test]
fn a_transaction_is_executed_once() {
    let (mut world, holder) = with_study();
    let envelope = world.sign(revoke(world.id(1), holder.public(), GrantId::from_bytes([1; 32])), &[&holder]);
    assert_eq!(world.submit(envelope.clone()), Ok(()));
    assert_eq!(world.submit(envelope.clone()), Err(Rejection::Replay));
    // Twice in one block is once too often too.
    let action = revise(world.id(1), world.hospitals[0].operational.public(), 1);
    let mercy = world.hospitals[0].operational.clone();
    let revision = world.sign(action, &[&mercy]);
    let (proposal, _) = world.block(1_000, vec![revision.clone(), revision]);
    assert_eq!(proposal.left_out[0].1, Rejection::Replay);
    // When its mark is swept, its time is over.
    world.wait(2 * 3_600_000);
    assert_eq!(world.state.executed(envelope.id()), Ok(None));
    assert!(matches!(world.submit(envelope), Err(Rejection::TooLate { .. })));
}

#[test]
fn what_stops_something_goes_first() {
    let (mut world, holder) = with_study();
    let grantee = someone(1);
    let terms = world.terms(DAY);
    let action = grant(&world.chain, world.id(1), holder.public(), &grantee, &terms);
    let granted = world.sign(action, &[&holder]);
    let revoked = world.sign(revoke(world.id(1), holder.public(), granted.id().into()), &[&holder]);
    let (height, time) = (world.header.height + 1, BlockTime(world.now().plus(1)));
    let wrong = Proposed { height, time, envelopes: vec![granted.clone(), revoked.clone()] };
    let error = ExecuteError::Envelope { index: 1, rejection: Rejection::OutOfOrder };
    assert_eq!(execute::execute(&world.state, &wrong).unwrap_err(), error);
    // So a revocation in the same block comes before its grant, and the grant never acts.
    let (proposal, _) = world.block(1_000, vec![granted, revoked]);
    assert_eq!(proposal.left_out[0].1, Rejection::Grant(GrantError::Buried));
    assert!(world.study(world.id(1)).grants.is_empty());
    assert!(Precedence::Veto < Precedence::Revoke && Precedence::Revoke < Precedence::SetStatus);
    assert!(Precedence::SetStatus < Precedence::Rest);
}

#[test]
fn a_block_has_its_limits() {
    let mut world = World::new(Parameters { block_envelopes: 3, block_bytes: 4_096, ..Parameters::default() });
    let holder = secret("holder");
    world.define(1, &holder, Vec::new()).unwrap();
    let mut some = |count: u8| -> Vec<_> {
        (0..count)
            .map(|n| world.sign(revoke(world.id(1), holder.public(), GrantId::from_bytes([n; 32])), &[&holder]))
            .collect()
    };
    let (four, mut heavy) = (some(4), some(1));
    let (height, time) = (world.header.height + 1, BlockTime(world.now().plus(1)));
    let full = |envelopes| execute::execute(&world.state, &Proposed { height, time, envelopes });
    assert!(full(four[..3].to_vec()).is_ok());
    let error = ExecuteError::Envelope { index: 3, rejection: Rejection::BlockFull };
    assert_eq!(full(four).unwrap_err(), error);
    let fat = |name: &str| {
        let hospital = Hospital::new(name, 1);
        let Action::DefineSource(mut action) = hospital.define_source(1) else { panic!() };
        let long = |n: usize| Text::new(format!("{n}{}", "x".repeat(120))).unwrap();
        let four = Ascending::from_items((0..4).map(long).collect()).unwrap();
        action.announcement.addresses.libp2p = four.clone();
        action.announcement.addresses.iroh = four.clone();
        action.announcement.addresses.circuit = four;
        let body = Body { submit_by: time.timestamp(), nonce: [0; 16], action: Action::DefineSource(action) };
        world.sign_body(body, &hospital.secrets())
    };
    heavy.extend([fat("mercy"), fat("stluke")]);
    let error = ExecuteError::Envelope { index: 2, rejection: Rejection::BlockFull };
    assert_eq!(full(heavy).unwrap_err(), error);
}

#[test]
fn blocks_follow_each_other_in_height_and_time() {
    let world = world();
    let empty = |height, ms| Proposed { height, time: BlockTime(Timestamp(ms)), envelopes: Vec::new() };
    let now = world.now().0;
    assert_eq!(
        execute::execute(&world.state, &empty(2, now + 1)).unwrap_err(),
        ExecuteError::Height { given: 2, due: 1 }
    );
    for ms in [now, now - 1] {
        let given = BlockTime(Timestamp(ms));
        let error = ExecuteError::Time { given, previous: world.header.time };
        assert_eq!(execute::execute(&world.state, &empty(1, ms)).unwrap_err(), error);
    }
    assert!(execute::execute(&world.state, &empty(1, now + 1)).is_ok());
}

#[test]
fn signatures_are_those_of_the_named_in_their_order() {
    let (mut world, holder) = with_study();
    let mercy = world.hospitals[0].operational.clone();
    let action = define_study(2, mercy.public(), holder.public(), Vec::new());
    let body = world.body(action);
    let count = StatelessError::SignatureCount { given: 1, due: 2 };
    assert_eq!(body.clone().sign(&world.chain, &[&mercy]).unwrap_err(), count);
    let good = body.clone().sign(&world.chain, &[&holder, &mercy]).unwrap();
    assert!(good.clone().check_stateless(&world.chain).is_ok());
    let mut swapped = good.signatures.as_slice().to_vec();
    swapped.reverse();
    let swapped = Envelope { signatures: Signatures::new(swapped).unwrap(), ..good.clone() };
    let wrong = |index| StatelessError::Signature { index, error: SignatureError::Wrong };
    assert_eq!(reject(swapped, &world.chain), wrong(0));
    let other = clavicle_ledger::id::ChainId::from_bytes([1; 32]);
    assert_eq!(reject(good, &other), wrong(0));
    let missing = Envelope { body: body.clone(), signatures: Signatures::new(Vec::new()).unwrap() };
    assert_eq!(reject(missing, &world.chain), StatelessError::SignatureCount { given: 0, due: 2 });
    let alone = world.body(define_study(2, mercy.public(), mercy.public(), Vec::new()));
    let alone = alone.sign(&world.chain, &[&mercy]).unwrap();
    assert_eq!(reject(alone, &world.chain), StatelessError::SignerTwice);
}

#[test]
fn being_in_a_block_is_proven_to_whoever_has_the_header() {
    let (mut world, holder) = with_study();
    let envelopes: Vec<_> = (0..5)
        .map(|n| world.sign(revoke(world.id(1), holder.public(), GrantId::from_bytes([n; 32])), &[&holder]))
        .collect();
    let hashes: Vec<_> = envelopes.iter().map(|envelope| envelope.hash()).collect();
    world.block(1_000, envelopes);
    let proof = prove_inclusion(&hashes, 3).unwrap();
    assert_eq!(proof.verify(&world.header, &hashes[3]), Ok(()));
    assert_eq!(proof.verify(&world.header, &hashes[2]), Err(InclusionError::OtherRoot));
    assert_eq!(proof.verify(&Header::genesis(&world.genesis), &hashes[3]), Err(InclusionError::OtherRoot));
    // Place 5 of 5.
    let mut bytes = encoding::encode(&proof);
    bytes[0] = 5;
    let outside: clavicle_ledger::block::InclusionProof = encoding::decode(&bytes).unwrap();
    assert_eq!(outside.verify(&world.header, &hashes[3]), Err(InclusionError::Place { index: 5, count: 5 }));
}

#[test]
fn a_certificate_takes_more_than_two_thirds_of_the_power() {
    let mut world = world();
    world.wait(1_000);
    let (header, validators) = (world.header, world.state.validators().unwrap());
    let keys = |place: usize| {
        let id = validators.validators[place].source;
        let hospital = hospitals().into_iter().find(|hospital| hospital.id(&world.chain) == id).unwrap();
        hospital.consensus.unwrap()
    };
    let sign = |place: usize, kind, block| {
        let validator = validators.validators[place].source;
        let vote = Vote { kind, height: header.height, round: 2, block, validator };
        (place, keys(place).sign(&vote.preimage(&world.chain)))
    };
    let good = |place| sign(place, VoteKind::Precommit, Some(header.id()));
    let verify = |votes: Vec<_>| {
        let certificate = CommitCertificate::new(header.height, 2, header.id(), votes).unwrap();
        certificate.verify(&world.chain, &validators)
    };
    assert_eq!(verify(vec![good(0), good(1), good(3)]), Ok(()));
    assert_eq!(verify((0..4).map(good).collect()), Ok(()));
    let too_little = |power| Err(CertificateError::TooLittlePower { power, total: 4 });
    assert_eq!(verify(vec![good(0), good(3)]), too_little(2));
    assert_eq!(verify(Vec::new()), too_little(0));
    let wrong = Err(CertificateError::Signature { place: 1, error: SignatureError::Wrong });
    for bad in [
        sign(1, VoteKind::Prevote, Some(header.id())),
        sign(1, VoteKind::Precommit, None),
        sign(1, VoteKind::Precommit, Some(header.previous)),
        (1, good(2).1),
    ] {
        assert_eq!(verify(vec![good(0), bad, good(3)]), wrong);
    }
    assert_eq!(verify(vec![good(0), (9, good(1).1)]), Err(CertificateError::NoSuchValidator(9)));
    assert_eq!(CommitCertificate::new(1, 0, header.id(), vec![good(1), good(0)]), Err(Fault::NotAscending));
    assert_eq!(CommitCertificate::new(1, 0, header.id(), vec![(1_024, good(0).1)]), Err(Fault::TooMany));
}

// ── Genesis ─────────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── DefineSource ────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── DefineStudy ─────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── ReviseStudy, SetStatus ──────────────────────────────────────────────────────────────────────────────────────────

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

// ── Grant ───────────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── Revoke ──────────────────────────────────────────────────────────────────────────────────────────────────────────

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
fn what_was_verified_for_one_network_is_nothing_in_another() {
    let (mut here, mut there) = (world(), World::new(Parameters { hello_window_ms: 1, ..Parameters::default() }));
    assert_ne!(here.chain, there.chain);
    let holder = secret("holder");
    let action = define_study(1, here.hospitals[0].operational.public(), holder.public(), Vec::new());
    let envelope = here.sign(action, &[&here.hospitals[0].operational.clone(), &holder]);
    assert_eq!(there.submit(envelope), Err(Rejection::OtherChain));
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

#[test]
fn every_refusal_is_a_sentence() {
    // What a person reads: begins in lower case to follow "transaction 3: ", ends without a full stop, says enough.
    let sentences = [
        Rejection::Replay.to_string(),
        Rejection::TooEarly { window_ms: 5 }.to_string(),
        Rejection::Grant(GrantError::TooLong { given: Day(20_000), latest: Day(19_000) }).to_string(),
        Rejection::DefineSource(DefineSourceError::KeyInUse(KeyRole::Transfer, false)).to_string(),
        Rejection::Revoke(RevokeError::Study(StudyRefused::Status(Standing::Frozen))).to_string(),
    ];
    assert_eq!(sentences[2], "the grant would last until 2024-10-04; the latest possible is 2022-01-08");
    assert_eq!(sentences[3], "the announced transfer key is in use already: by another source");
    assert_eq!(sentences[4], "the study is frozen");
    for sentence in sentences {
        assert!(sentence.starts_with("the ") && !sentence.ends_with('.') && sentence.len() > 15, "{sentence}");
    }
    assert_eq!(hospitals().len(), 4);
}
