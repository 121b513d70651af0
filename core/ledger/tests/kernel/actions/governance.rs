//! Vote, in all it can be for.

use clavicle_ledger::action::{Content, Vote, VoteError};
use clavicle_ledger::authorise::Claim;
use clavicle_ledger::block::PROTOCOL_VERSION;
use clavicle_ledger::state::{MemoryState, StateReader, Upgrade};

use super::*;

fn vote_by(world: &mut World, hospital: usize, content: &Content) -> Result<(), Rejection> {
    let operational = world.hospitals[hospital].operational.clone();
    let vote = Vote { voter: operational.public(), content: content.clone() };
    world.act(Action::Vote(vote), &[&operational])
}

/// As many vote for it as it takes, the first hospital first.
fn pass(world: &mut World, content: &Content) -> Result<(), Rejection> {
    for hospital in 0..4 {
        vote_by(world, hospital, content)?;
        if !world.state.rows().contains_key(&StateKey::Ballot(content.id(&world.chain))) {
            return Ok(());
        }
    }
    panic!("the four did not pass it");
}

fn refused(error: VoteError) -> Result<(), Rejection> {
    Err(Rejection::Vote(error))
}

fn candidate(hospital: &Hospital) -> Content {
    let source = GenesisSource { identity: hospital.identity.public(), announcement: hospital.announcement() };
    Content::Admit(Box::new(Candidate::sign(source, &hospital.secrets()).unwrap()))
}

fn powers(world: &World) -> Vec<u64> {
    world.state.validators().unwrap().validators.iter().map(|validator| validator.power).collect()
}

#[test]
fn two_thirds_are_not_enough_and_more_are() {
    let mut world = world();
    let source = world.hospitals[3].id(&world.chain);
    let content = Content::SetSuspended { source, suspended: true };
    let is = |world: &World| world.state.source(source).unwrap().unwrap().suspended;
    vote_by(&mut world, 0, &content).unwrap();
    assert_eq!(vote_by(&mut world, 0, &content), refused(VoteError::Voted));
    vote_by(&mut world, 1, &content).unwrap();
    assert!(!is(&world));
    vote_by(&mut world, 2, &content).unwrap();
    assert!(is(&world));
    assert_eq!(vote_by(&mut world, 1, &content), refused(VoteError::NoChange));
    // It acts no more, and decides no more from the next epoch on.
    let suspended = refused(VoteError::Source(SourceRefused::Suspended));
    assert_eq!(vote_by(&mut world, 3, &Content::SetSuspended { source, suspended: false }), suspended);
    assert_eq!(powers(&world), [1; 4]);
    world.wait(DAY);
    assert_eq!(powers(&world), [1; 3]);
    pass(&mut world, &Content::SetSuspended { source, suspended: false }).unwrap();
    world.wait(DAY);
    assert_eq!(powers(&world), [1; 4]);
}

#[test]
fn each_vote_counts_for_a_week_whoever_voted_first() {
    let mut world = world();
    let source = world.hospitals[3].id(&world.chain);
    let content = Content::SetSuspended { source, suspended: true };
    // One that votes long before the others shortens nobody's time.
    vote_by(&mut world, 0, &content).unwrap();
    world.wait(7 * DAY - 2_000);
    vote_by(&mut world, 1, &content).unwrap();
    assert_eq!(vote_by(&mut world, 0, &content), refused(VoteError::Voted), "to the last moment");
    vote_by(&mut world, 2, &content).unwrap();
    assert!(!world.state.source(source).unwrap().unwrap().suspended, "the first counts no more");
    vote_by(&mut world, 0, &content).unwrap();
    assert!(world.state.source(source).unwrap().unwrap().suspended);
    world.wait(30 * DAY);
    assert_eq!(world.state.rows().keys().filter(|key| matches!(key, StateKey::Ballot(_))).count(), 0);
}

/// Counts the rows that are read.
struct Counting<'a>(&'a MemoryState, std::cell::Cell<usize>);

impl StateReader for Counting<'_> {
    type Error = std::convert::Infallible;
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Self::Error> {
        self.1.set(self.1.get() + 1);
        self.0.read(key)
    }
}

#[test]
fn a_vote_costs_no_more_in_a_large_network() {
    let cost = |count: usize, content: &dyn Fn(&World) -> Content| {
        let mut world = world();
        for number in 0..count {
            pass(&mut world, &candidate(&Hospital::new(&format!("clinic {number}"), 0))).unwrap();
        }
        world.wait(DAY);
        let operational = world.hospitals[0].operational.clone();
        let content = content(&world);
        let vote = world.sign(Action::Vote(Vote { voter: operational.public(), content }), &[&operational]);
        let counting = Counting(&world.state, 0.into());
        execute::admit(&counting, world.header.time, &vote).unwrap();
        counting.1.get()
    };
    let source = |world: &World, at: usize| world.hospitals[at].id(&world.chain);
    let suspend = |world: &World| Content::SetSuspended { source: source(world, 3), suspended: true };
    let host = |world: &World| Content::SetKind { source: source(world, 3), kind: SourceKind::Hosted };
    let succeed = |world: &World| Content::Succeed { source: source(world, 3), by: source(world, 1) };
    for content in [&suspend as &dyn Fn(&World) -> Content, &host, &succeed] {
        assert_eq!(cost(0, content), cost(9, content));
    }
}

#[test]
fn ballots_that_fail_are_swept() {
    let mut world = world();
    for number in 0..5u8 {
        let content = Content::ReplaceIdentity {
            source: world.hospitals[3].id(&world.chain),
            identity: secret(&format!("identity {number}")).public(),
        };
        vote_by(&mut world, 0, &content).unwrap();
    }
    let left = |world: &World| {
        let of_ballots = |key: &&StateKey| matches!(key, StateKey::Ballot(_) | StateKey::BallotDue(..));
        world.state.rows().keys().filter(of_ballots).count()
    };
    assert_eq!(left(&world), 10);
    world.wait(8 * DAY);
    assert_eq!(left(&world), 0);
}

#[test]
fn only_those_who_decide_vote_and_only_so_often() {
    let mut world = World::new(Parameters { votes_per_epoch: 3, ..Parameters::default() });
    let stranger = secret("stranger");
    let source = world.hospitals[3].id(&world.chain);
    let content = Content::SetSuspended { source, suspended: true };
    let vote = Action::Vote(Vote { voter: stranger.public(), content: content.clone() });
    assert_eq!(world.act(vote, &[&stranger]), refused(VoteError::Source(SourceRefused::Unknown)));
    for number in 0..3 {
        let identity = secret(&format!("identity {number}")).public();
        vote_by(&mut world, 0, &Content::ReplaceIdentity { source, identity }).unwrap();
    }
    assert_eq!(vote_by(&mut world, 0, &content), refused(VoteError::Quota(3)));
    world.wait(DAY);
    assert_eq!(vote_by(&mut world, 0, &content), Ok(()));

    // A hospital that was admitted and is in no set yet has no vote.
    let clinic = Hospital::new("clinic", 0);
    let mut world = super::world();
    let content = Content::SetSuspended { source: world.hospitals[3].id(&world.chain), suspended: true };
    pass(&mut world, &candidate(&clinic)).unwrap();
    let clinics = Action::Vote(Vote { voter: clinic.operational.public(), content: content.clone() });
    assert_eq!(world.act(clinics.clone(), &[&clinic.operational]), refused(VoteError::NoValidator));
    world.wait(DAY);
    assert_eq!(world.act(clinics, &[&clinic.operational]), Ok(()));
}

#[test]
fn a_hospital_is_admitted_with_its_keys() {
    let mut world = world();
    let clinic = Hospital::new("clinic", 0);
    let Content::Admit(mut forged) = candidate(&clinic) else { unreachable!() };
    forged.source.announcement.name = Text::new("another").unwrap();
    let mercy = world.hospitals[0].operational.clone();
    let body = world.body(Action::Vote(Vote { voter: mercy.public(), content: Content::Admit(forged) }));
    let wrong = CandidateError::Signature { index: 0, error: SignatureError::Wrong };
    let wrong = StatelessError::Vote(VoteError::Candidate(wrong));
    assert_eq!(reject(body.sign(&world.chain, &[&mercy]).unwrap(), &world.chain), wrong);

    pass(&mut world, &candidate(&clinic)).unwrap();
    let identity = refused(VoteError::KeyInUse(KeyRole::Identity));
    assert_eq!(vote_by(&mut world, 3, &candidate(&clinic)), identity);
    let taken = Hospital { transfer: clinic.transfer.clone(), ..Hospital::new("another clinic", 0) };
    assert_eq!(vote_by(&mut world, 0, &candidate(&taken)), refused(VoteError::KeyInUse(KeyRole::Transfer)));
    // It defines studies at once, and decides from the next epoch on.
    let holder = secret("holder");
    let define = define_study(7, clinic.operational.public(), holder.public(), Vec::new());
    world.act(define, &[&clinic.operational, &holder]).unwrap();
    assert_eq!(powers(&world).len(), 4);
    world.wait(DAY);
    assert_eq!(powers(&world), [1; 5]);
    let announced = Hospital::new("clinic", 1);
    world.act(announced.define_source(1), &announced.secrets()).unwrap();
}

#[test]
fn a_hosted_source_becomes_a_validator_by_vote_and_announcement() {
    let mut world = world();
    let mut clinic = Hospital { consensus: None, ..Hospital::new("clinic", 0) };
    let source = clinic.id(&world.chain);
    pass(&mut world, &candidate(&clinic)).unwrap();
    world.wait(DAY);
    assert_eq!(powers(&world).len(), 4);
    let no_change = refused(VoteError::NoChange);
    assert_eq!(vote_by(&mut world, 0, &Content::SetKind { source, kind: SourceKind::Hosted }), no_change);
    clinic.consensus = Some(secret("clinic consensus"));
    let kind = Err(Rejection::DefineSource(DefineSourceError::Kind));
    assert_eq!(world.act(clinic.define_source(1), &clinic.secrets()), kind);
    pass(&mut world, &Content::SetKind { source, kind: SourceKind::Validator }).unwrap();
    world.wait(DAY);
    assert_eq!(powers(&world).len(), 4, "no consensus key yet");
    world.act(clinic.define_source(1), &clinic.secrets()).unwrap();
    world.wait(DAY);
    assert_eq!(powers(&world).len(), 5);
    pass(&mut world, &Content::SetKind { source, kind: SourceKind::Hosted }).unwrap();
    world.wait(DAY);
    assert_eq!(powers(&world).len(), 4);
}

#[test]
fn a_lost_identity_is_replaced() {
    let mut world = world();
    let source = world.hospitals[3].id(&world.chain);
    let new = Hospital { identity: secret("new identity"), ..Hospital::new("harbor", 1) };
    let content = |identity: Key| Content::ReplaceIdentity { source, identity };
    let own = world.hospitals[3].identity.public();
    assert_eq!(vote_by(&mut world, 0, &content(own)), refused(VoteError::NoChange));
    let used = world.hospitals[0].transfer.public();
    assert_eq!(vote_by(&mut world, 0, &content(used)), refused(VoteError::KeyInUse(KeyRole::Identity)));
    pass(&mut world, &content(new.identity.public())).unwrap();
    world.act(new.define_source(1), &new.secrets()).unwrap();
    let old = Hospital::new("harbor", 2);
    let refused = Err(Rejection::DefineSource(DefineSourceError::NotAdmitted));
    assert_eq!(world.act(old.define_source(2), &old.secrets()), refused);
}

#[test]
fn a_hospital_that_closes_is_succeeded_in_all_it_does() {
    let mut world = world();
    let holder = secret("holder");
    world.define(1, &holder, Vec::new()).unwrap();
    let [mercy, stluke, north] = [0, 1, 2].map(|at: usize| world.hospitals[at].clone());
    let [of, by, last] = [&mercy, &stluke, &north].map(|hospital| hospital.id(&world.chain));
    let succeed = |source, by| Content::Succeed { source, by };
    assert_eq!(vote_by(&mut world, 0, &succeed(of, of)), refused(VoteError::NoChange));
    let nobody = SourceId::from_bytes([9; 32]);
    assert_eq!(vote_by(&mut world, 0, &succeed(of, nobody)), refused(VoteError::NoSource));

    let study = world.id(1);
    let not_yours = Err(Rejection::ReviseStudy(ReviseStudyError::Study(StudyRefused::NotYours)));
    assert_eq!(world.act(revise(study, stluke.operational.public(), 1), &[&stluke.operational]), not_yours);
    pass(&mut world, &succeed(of, by)).unwrap();
    assert_eq!(vote_by(&mut world, 3, &succeed(last, of)), refused(VoteError::Succeeded));
    assert_eq!(vote_by(&mut world, 3, &succeed(of, last)), refused(VoteError::Succeeded));
    let gone = Err(Rejection::ReviseStudy(ReviseStudyError::Source(SourceRefused::Succeeded)));
    assert_eq!(world.act(revise(study, mercy.operational.public(), 1), &[&mercy.operational]), gone);
    world.act(revise(study, stluke.operational.public(), 1), &[&stluke.operational]).unwrap();
    let announced = Hospital::new("mercy", 1);
    let gone = Err(Rejection::DefineSource(DefineSourceError::Succeeded));
    assert_eq!(world.act(announced.define_source(1), &announced.secrets()), gone);

    // The successor serves, and decides with the other's studies; a third that takes over from it takes over both.
    let serves = |world: &World, hospital: &Hospital| {
        let view = clavicle_ledger::authorise::View { source: hospital.id(&world.chain), ..world.view(&NOTHING_SEEN) };
        let hello = clavicle_ledger::authorise::Hello { source: view.source, ..world.hello(study, Claim::Holder) };
        let hello = hello.sign(&world.chain, &holder);
        let clock = clavicle_ledger::time::LocalTime(world.now());
        clavicle_ledger::authorise::authorise(&view, clock, holder.public(), &hello).is_ok()
    };
    assert!(serves(&world, &stluke) && !serves(&world, &north));
    world.wait(DAY);
    assert_eq!(powers(&world).len(), 3);
    for hospital in [1, 2, 3] {
        vote_by(&mut world, hospital, &succeed(by, last)).unwrap();
    }
    assert!(serves(&world, &north) && !serves(&world, &stluke));
    world.wait(DAY);
    assert_eq!(powers(&world).len(), 2);
    for hospital in [2, 3] {
        let all = Content::Succeed { source: world.hospitals[3].id(&world.chain), by: last };
        vote_by(&mut world, hospital, &all).unwrap();
    }
    let harbor = world.hospitals[3].id(&world.chain);
    let alone = Content::SetSuspended { source: last, suspended: true };
    assert_eq!(vote_by(&mut world, 2, &alone), refused(VoteError::NobodyLeft));
    assert!(world.state.source(harbor).unwrap().unwrap().successor == Some(last));
}

static NOTHING_SEEN: std::collections::BTreeSet<clavicle_ledger::authorise::SeenRevocation> =
    std::collections::BTreeSet::new();

#[test]
fn a_frozen_study_is_settled() {
    for new in [false, true] {
        let (mut world, holder) = with_study();
        let study = world.id(1);
        let grantee = secret("grantee");
        let terms = world.terms(5 * DAY);
        let granted = world.grant(study, &holder, &grantee.public(), terms).unwrap();
        let to = if new { secret("new phone") } else { holder.clone() };
        let content = Content::Settle { study, holder: to.public() };
        assert_eq!(vote_by(&mut world, 0, &content), refused(VoteError::NotFrozen));
        let mut row = world.study(study);
        row.frozen = true;
        row.vetoed = Some(world.header.time);
        world.rewrite(StateKey::Study(study), Some(encoding::encode(&row)));
        pass(&mut world, &content).unwrap();
        let after = world.study(study);
        assert!(!after.frozen && after.vetoed.is_none() && after.holder == to.public());
        assert_eq!(after.events, row.events + 1);
        assert_eq!(after.delegates.is_empty(), new);
        assert_eq!(world.fetch(world.hello(study, granted.claim()), &grantee).is_ok(), !new);
    }
}

#[test]
fn numbers_change_with_the_epoch() {
    let mut world = world();
    let now = Parameters::default();
    let set = |parameters| Content::SetParameters(Box::new(parameters));
    assert_eq!(vote_by(&mut world, 0, &set(now)), refused(VoteError::NoChange));
    for (parameters, name) in [
        (Parameters { submit_window_ms: DAY, ..now }, "submit_window_ms"),
        (Parameters { tombstone_ms: 60 * DAY, ..now }, "tombstone_ms"),
        (Parameters { power_window_epochs: 1, ..now }, "power_window_epochs"),
    ] {
        assert_eq!(vote_by(&mut world, 0, &set(parameters)), refused(VoteError::Fixed(name)));
    }
    let mercy = world.hospitals[0].operational.clone();
    let wrong = set(Parameters { epoch_ms: 0, ..now });
    let body = world.body(Action::Vote(Vote { voter: mercy.public(), content: wrong }));
    let wrong = StatelessError::Vote(VoteError::Parameters(GenesisError::Parameter("epoch_ms")));
    assert_eq!(reject(body.sign(&world.chain, &[&mercy]).unwrap(), &world.chain), wrong);

    let fewer = Parameters { holder_grants_per_day: 1, epoch_ms: DAY / 2, ..now };
    pass(&mut world, &set(fewer)).unwrap();
    assert_eq!(vote_by(&mut world, 3, &set(fewer)), refused(VoteError::NoChange));
    world.wait(DAY - 10_000);
    assert_eq!(world.rules().parameters, now);
    world.wait(10_000);
    assert_eq!(world.rules().parameters, fewer);
    assert_eq!(world.rules().next_parameters, None);
}

#[test]
fn the_block_that_begins_an_epoch_is_as_large_as_those_before() {
    for (before, after) in [(2, 4), (4, 2)] {
        let sizes = |block_envelopes| Parameters { block_envelopes, ..Parameters::default() };
        let mut world = World::new(sizes(before));
        pass(&mut world, &Content::SetParameters(Box::new(sizes(after)))).unwrap();
        let mut taken = |at: u64| {
            let mercy = world.hospitals[0].operational.clone();
            let source = world.hospitals[3].id(&world.chain);
            let vote = |world: &mut World, number: u32| {
                let identity = secret(&format!("identity {number} {at}")).public();
                let content = Content::ReplaceIdentity { source, identity };
                world.sign(Action::Vote(Vote { voter: mercy.public(), content }), &[&mercy])
            };
            let left = world.genesis.time.timestamp().plus(at).since(world.now());
            world.wait(left - 1);
            let votes = (0..6).map(|number| vote(&mut world, number)).collect();
            world.block(1, votes).0.block.envelopes.len()
        };
        let most = [before, before, after].map(|most| most as usize);
        assert_eq!([DAY - 60_000, DAY, DAY + 60_000].map(&mut taken), most);
    }
}

#[test]
fn software_that_does_not_know_a_version_stops_at_its_epoch() {
    let mut world = world();
    let upgrade = |version, epoch| Content::Upgrade(Upgrade { version, epoch });
    assert_eq!(vote_by(&mut world, 0, &upgrade(PROTOCOL_VERSION, 9)), refused(VoteError::Upgrade));
    assert_eq!(vote_by(&mut world, 0, &upgrade(PROTOCOL_VERSION + 1, 0)), refused(VoteError::Upgrade));
    pass(&mut world, &upgrade(PROTOCOL_VERSION + 1, 2)).unwrap();
    world.wait(DAY);
    world.wait(DAY - 1);
    let (height, time) = (world.header.height + 1, BlockTime(world.now().plus(1)));
    let proposal = execute::propose(&world.state, height, time, None, Vec::new());
    assert_eq!(proposal.unwrap_err(), ExecuteError::Version(PROTOCOL_VERSION + 1));
}
