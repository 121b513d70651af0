//! The gate: who may fetch, and each way to be refused.

use std::collections::BTreeSet;

use clavicle_ledger::action::NewStatus;
use clavicle_ledger::authorise::{
    Actor, Authorisation, Claim, Emergency, Hello, Refused, SeenRevocation, SignedHello, View, authorise,
    seen_revocation,
};
use clavicle_ledger::encoding::{self, Ascending, Bytes, Fault, Text};
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{GrantId, ManifestRoot, SeriesId, SourceId};
use clavicle_ledger::key::{SecretKey, SignatureError};
use clavicle_ledger::state::{ReadError, StateKey};
use clavicle_ledger::study::{Capacity, DelegateRole, Grave, Reason, Standing};
use clavicle_ledger::terms::{Conditions, SeriesScope, Terms};
use clavicle_ledger::time::{Day, LocalTime, Timestamp};

use crate::world::{DAY, Granted, World, delegate, grant, revise, revoke, secret};

/// A study with a holder, a helper, a care team and an emergency card, all for a hundred days.
struct Scene {
    world: World,
    holder: SecretKey,
    grantee: SecretKey,
}

fn scene() -> Scene {
    let (mut world, holder) = (World::new(Parameters::default()), secret("holder"));
    let until = world.now().day().plus(100);
    let delegates = vec![
        delegate(&secret("helper"), DelegateRole::Helper, until),
        delegate(&secret("care team"), DelegateRole::CareTeam, until),
        delegate(&secret("card"), DelegateRole::Emergency, until),
    ];
    world.define(1, &holder, delegates).unwrap();
    Scene { world, holder, grantee: secret("grantee") }
}

impl Scene {
    fn grant(&mut self, terms: Terms) -> Granted {
        let (holder, grantee) = (self.holder.clone(), self.grantee.public());
        let id = self.world.id(1);
        self.world.grant(id, &holder, &grantee, terms).unwrap()
    }

    fn hello(&self, granted: &Granted) -> Hello {
        self.world.hello(granted.study, granted.claim())
    }
}

impl Scene {
    /// The hello of somebody who shows a credential, in an emergency for this reason.
    fn stated(&self, granted: &Granted, reason: Option<&str>) -> SignedHello {
        let emergency = reason.map(|reason| Emergency { reason: Text::new(reason).unwrap(), second: None });
        let hello = Hello { actor: Some(actor(b"credential")), emergency, ..self.hello(granted) };
        hello.sign(&self.world.chain, &self.grantee)
    }

    fn decided(&self, hello: &SignedHello) -> Verdict {
        let none = BTreeSet::new();
        authorise(&self.world.view(&none), LocalTime(self.world.now()), self.grantee.public(), hello).map(drop)
    }
}

/// Somebody who shows this credential.
fn actor(credential: &[u8]) -> Actor {
    Actor { name: Text::new("Dr Rossi").unwrap(), credential: Bytes::new(credential.to_vec()).unwrap() }
}

type Verdict = Result<(), Refused<std::convert::Infallible>>;

fn verdict(scene: &Scene, granted: &Granted) -> Verdict {
    scene.world.fetch(scene.hello(granted), &scene.grantee).map(drop)
}

#[test]
fn the_grantee_fetches_what_the_terms_say() {
    let mut scene = scene();
    let (series, other) = (SeriesId::from_bytes([1; 32]), SeriesId::from_bytes([2; 32]));
    let terms = Terms {
        series: SeriesScope::These(Ascending::from_items(vec![series]).unwrap()),
        later_revisions: false,
        ..scene.world.terms(3 * DAY)
    };
    let granted = scene.grant(terms.clone());
    let mercy = scene.world.hospitals[0].operational.clone();
    scene.world.act(revise(scene.world.id(1), mercy.public(), 1), &[&mercy]).unwrap();

    let hello = Hello {
        actor: Some(Actor { name: Text::new("Dr Rossi").unwrap(), credential: Bytes::default() }),
        ..scene.hello(&granted)
    };
    let leave = scene.world.fetch(hello, &scene.grantee).unwrap();
    assert_eq!((leave.study(), leave.remote()), (scene.world.id(1), scene.grantee.public()));
    assert_eq!((leave.grant(), leave.terms()), (Some(granted.grant), Some(&terms)));
    assert_eq!(leave.until(), Some(terms.expires));
    assert!(leave.covers(&series) && !leave.covers(&other));
    assert_eq!(leave.consented_to(), Some((0, terms.manifest_root)));
    assert_eq!(leave.current(), (1, ManifestRoot::from_bytes([1; 32])));
}

#[test]
fn the_holder_fetches_without_a_grant() {
    let scene = scene();
    let leave = scene.world.fetch(scene.world.hello(scene.world.id(1), Claim::Holder), &scene.holder).unwrap();
    assert_eq!((leave.grant(), leave.until(), leave.consented_to()), (None, None, None));
    assert!(leave.covers(&SeriesId::from_bytes([1; 32])));
    let stranger = scene.world.fetch(scene.world.hello(scene.world.id(1), Claim::Holder), &scene.grantee);
    assert_eq!(stranger.unwrap_err(), Refused::NotHolder);
}

#[test]
fn a_hello_counts_from_its_own_key_at_its_own_source_at_its_own_time() {
    let mut scene = scene();
    let granted = scene.grant(scene.world.terms(3 * DAY));
    let world = &scene.world;
    let hello = scene.hello(&granted);
    let stolen = hello.clone().sign(&world.chain, &scene.grantee);
    let thief = secret("thief").public();
    let none = BTreeSet::new();
    let view = |source| View { source, ..world.view(&none) };
    let (here, there) = (world.hospitals[0].id(&world.chain), world.hospitals[1].id(&world.chain));
    let clock = LocalTime(world.now());
    assert!(authorise(&view(here), clock, scene.grantee.public(), &stolen).is_ok());
    let wrong = Refused::Signature(SignatureError::Wrong);
    assert_eq!(authorise(&view(here), clock, thief, &stolen).unwrap_err(), wrong);
    assert_eq!(authorise(&view(there), clock, scene.grantee.public(), &stolen).unwrap_err(), Refused::OtherSource);
    let other_chain = clavicle_ledger::id::ChainId::from_bytes([1; 32]);
    let foreign = hello.clone().sign(&other_chain, &scene.grantee);
    assert_eq!(authorise(&view(here), clock, scene.grantee.public(), &foreign).unwrap_err(), wrong);
    // A study of one source, asked for at another.
    let misled = Hello { source: there, ..hello.clone() }.sign(&world.chain, &scene.grantee);
    assert_eq!(authorise(&view(there), clock, scene.grantee.public(), &misled).unwrap_err(), Refused::NotOurStudy);
    for off_ms in [120_001, 3 * DAY] {
        for at in [Timestamp(world.now().0 - off_ms), world.now().plus(off_ms)] {
            let off = Hello { at, ..hello.clone() };
            assert_eq!(world.fetch(off, &scene.grantee).unwrap_err(), Refused::HelloTime { off_ms });
        }
    }
}

#[test]
fn a_hello_too_long_is_not_even_read() {
    let mut scene = scene();
    let granted = scene.grant(scene.world.terms(DAY));
    let bytes = encoding::encode(&scene.hello(&granted).sign(&scene.world.chain, &scene.grantee));
    assert!(encoding::decode::<SignedHello>(&bytes).is_ok());
    let fault = encoding::decode::<SignedHello>(&[bytes.as_slice(), &[0; 6144]].concat()).unwrap_err().fault;
    assert_eq!(fault, Fault::TooLong { len: bytes.len() + 6144, max: 6144 });
}

#[test]
fn a_source_that_lost_the_ledger_refuses_except_as_the_terms_allow() {
    let mut scene = scene();
    let patient = scene.grant(Terms { staleness_ms: 6 * 3_600_000, ..scene.world.terms(3 * DAY) });
    let hello = |scene: &Scene, granted: &Granted, clock| Hello { at: clock, ..scene.hello(granted) };
    let none = BTreeSet::new();
    let ask = |scene: &Scene, granted: &Granted, ms| {
        let clock = scene.world.now().plus(ms);
        scene.world.fetch_at(clock, &none, hello(scene, granted, clock), &scene.grantee).map(drop)
    };
    assert_eq!(ask(&scene, &patient, 6 * 3_600_000), Ok(()));
    let stale = Refused::Stale { age_ms: 6 * 3_600_000 + 1, bound_ms: 6 * 3_600_000 };
    assert_eq!(ask(&scene, &patient, 6 * 3_600_000 + 1), Err(stale));
    // Nobody can ask for more than the network allows.
    scene.grantee = secret("greedy");
    let greedy = scene.grant(Terms { staleness_ms: u64::MAX, ..scene.world.terms(3 * DAY) });
    assert_eq!(ask(&scene, &greedy, DAY), Ok(()));
    assert_eq!(ask(&scene, &greedy, DAY + 1), Err(Refused::Stale { age_ms: DAY + 1, bound_ms: DAY }));
    scene.grantee = secret("strict");
    let strict = scene.grant(scene.world.terms(3 * DAY));
    assert_eq!(ask(&scene, &strict, 90_000), Ok(()));
    assert_eq!(ask(&scene, &strict, 90_001), Err(Refused::Stale { age_ms: 90_001, bound_ms: 90_000 }));
    // A source that lost the ledger and whose clock stands still learns so from a header it hears of.
    let view = View { highest_seen: scene.world.now().plus(100_000), ..scene.world.view(&none) };
    let signed = scene.hello(&strict).sign(&scene.world.chain, &scene.grantee);
    let answer = authorise(&view, LocalTime(scene.world.now()), scene.grantee.public(), &signed);
    assert_eq!(answer.unwrap_err(), Refused::ClockBehind { behind_ms: 100_000 });
    // The holder's own claim has no allowance.
    let clock = scene.world.now().plus(90_001);
    let hello = Hello { at: clock, ..scene.world.hello(scene.world.id(1), Claim::Holder) };
    let answer = scene.world.fetch_at(clock, &none, hello, &scene.holder);
    assert_eq!(answer.unwrap_err(), Refused::Stale { age_ms: 90_001, bound_ms: 90_000 });
}

#[test]
fn only_this_grant_to_this_key_on_these_terms_on_this_study() {
    let mut scene = scene();
    let granted = scene.grant(scene.world.terms(3 * DAY));
    let unknown = Granted { study: scene.world.id(9), ..granted.clone() };
    assert_eq!(verdict(&scene, &unknown), Err(Refused::UnknownStudy));
    let none = Granted { grant: GrantId::from_bytes([1; 32]), ..granted.clone() };
    assert_eq!(verdict(&scene, &none), Err(Refused::NoGrant));
    let wider = Granted { terms: Terms { staleness_ms: 1, ..granted.terms.clone() }, ..granted.clone() };
    assert_eq!(verdict(&scene, &wider), Err(Refused::OtherTerms));
    let thief = secret("thief");
    let answer = scene.world.fetch(scene.hello(&granted), &thief);
    assert_eq!(answer.unwrap_err(), Refused::NotGrantee);
    // A grant on one study opens no other, though holder and grantee are the same.
    let holder = scene.holder.clone();
    scene.world.define(2, &holder, Vec::new()).unwrap();
    let elsewhere = Granted { study: scene.world.id(2), ..granted };
    assert_eq!(verdict(&scene, &elsewhere), Err(Refused::NoGrant));
}

#[test]
fn a_grant_begins_and_ends_to_the_millisecond() {
    let mut scene = scene();
    let now = scene.world.now();
    let granted =
        scene.grant(Terms { not_before: now.plus(60_000), expires: now.plus(120_000), ..scene.world.terms(0) });
    let ask = |scene: &Scene, clock: Timestamp| {
        let hello = Hello { at: clock, ..scene.hello(&granted) };
        scene.world.fetch_at(clock, &BTreeSet::new(), hello, &scene.grantee).map(drop)
    };
    assert_eq!(ask(&scene, now.plus(59_999)), Err(Refused::NotYet(now.plus(60_000))));
    assert_eq!(ask(&scene, now.plus(60_000)), Ok(()));
    assert_eq!(ask(&scene, now.plus(119_999)), Err(Refused::Stale { age_ms: 118_999, bound_ms: 90_000 }));
    scene.world.wait(100_000);
    assert_eq!(ask(&scene, now.plus(119_999)), Ok(()));
    assert_eq!(ask(&scene, now.plus(120_000)), Err(Refused::Expired(now.plus(120_000))));
    // A slow clock does not lengthen it: block time counts when it is later. A clock that is far off serves nobody.
    scene.world.wait(now.plus(120_500).since(scene.world.now()));
    assert_eq!(ask(&scene, now.plus(119_500)), Err(Refused::Expired(now.plus(120_000))));
    assert_eq!(ask(&scene, now.plus(118_500)), Err(Refused::Expired(now.plus(120_000))));
    assert_eq!(ask(&scene, now.plus(118_499)), Err(Refused::ClockBehind { behind_ms: 2_001 }));
}

#[test]
fn after_its_day_a_grant_is_over_swept_or_not() {
    let mut scene = scene();
    let granted = scene.grant(scene.world.terms(3_600_000));
    let day = granted.terms.expires.day_rounded_up();
    // The source's clock is past midnight; no block is yet.
    scene.world.wait(day.start().since(scene.world.now()) - 1);
    let hello = Hello { at: day.start(), ..scene.hello(&granted) };
    let answer = scene.world.fetch_at(day.start(), &BTreeSet::new(), hello, &scene.grantee);
    assert_eq!(answer.unwrap_err(), Refused::Over(day));
    scene.world.wait(1);
    assert_eq!(verdict(&scene, &granted), Err(Refused::NoGrant));
}

#[test]
fn terms_that_say_another_day_than_the_ledger_are_refused() {
    let mut scene = scene();
    let (holder, grantee) = (scene.holder.clone(), scene.grantee.public());
    let terms = scene.world.terms(3 * DAY);
    let mut action = grant(&scene.world.chain, scene.world.id(1), holder.public(), &grantee, &terms);
    let clavicle_ledger::transaction::Action::Grant(inner) = &mut action else { panic!() };
    inner.expiry_day = Day(inner.expiry_day.0 + 5);
    let expiry_day = inner.expiry_day;
    let envelope = scene.world.sign(action, &[&holder]);
    let granted = Granted { study: scene.world.id(1), grant: envelope.id().into(), terms: terms.clone() };
    scene.world.submit(envelope).unwrap();
    assert_eq!(verdict(&scene, &granted), Err(Refused::ExpiryMismatch { expires: terms.expires, expiry_day }));
}

#[test]
fn a_scope_of_nothing_and_a_revision_that_never_was_are_refused() {
    let mut scene = scene();
    let empty = scene.grant(Terms { series: SeriesScope::These(Ascending::new()), ..scene.world.terms(DAY) });
    assert_eq!(verdict(&scene, &empty), Err(Refused::EmptyScope));
    scene.grantee = secret("second");
    let future = scene.grant(Terms { revision: 1, ..scene.world.terms(DAY) });
    assert_eq!(verdict(&scene, &future), Err(Refused::Revision(1)));
    scene.grantee = secret("third");
    let other = scene.grant(Terms { manifest_root: ManifestRoot::from_bytes([9; 32]), ..scene.world.terms(DAY) });
    assert_eq!(verdict(&scene, &other), Err(Refused::Revision(0)));
}

#[test]
fn care_team_and_emergency_grants_are_brief_and_say_what_they_are() {
    let mut scene = scene();
    let grantee = scene.grantee.public();
    let by = |scene: &mut Scene, who: &str, terms: Terms| {
        let granted = scene.world.grant(scene.world.id(1), &secret(who), &grantee, terms).unwrap();
        let signed = scene
            .stated(&granted, granted.terms.emergency.then_some("unconscious"))
            .with_member(&scene.world.chain, &secret("member"));
        let answer = scene.decided(&signed);
        scene.world.revoke(scene.world.id(1), &secret(who), granted.grant).unwrap();
        answer
    };
    let brief = |scene: &Scene| scene.world.terms(DAY);
    let terms = brief(&scene);
    assert_eq!(by(&mut scene, "care team", terms), Ok(()));
    let terms = Terms { expires: scene.world.now().plus(DAY + 1), ..brief(&scene) };
    assert_eq!(by(&mut scene, "care team", terms), Err(Refused::NotBrief(DAY)));
    let terms = Terms { emergency: true, ..brief(&scene) };
    assert_eq!(by(&mut scene, "card", terms), Ok(()));
    let terms = brief(&scene);
    assert_eq!(by(&mut scene, "card", terms), Err(Refused::Emergency));
    let terms = Terms { emergency: true, ..brief(&scene) };
    assert_eq!(by(&mut scene, "care team", terms), Err(Refused::Emergency));
    let terms = Terms { emergency: true, ..brief(&scene) };
    assert_eq!(by(&mut scene, "holder", terms), Err(Refused::Emergency));
    let terms = Terms { expires: scene.world.now().plus(20 * DAY), ..brief(&scene) };
    assert_eq!(by(&mut scene, "helper", terms), Ok(()));
}

/// What was signed before there were conditions opens as it did, and conditions are signed for like all the rest.
#[test]
fn terms_without_conditions_stay_good_and_no_version_passes_for_the_other() {
    let mut scene = scene();
    let before = scene.grant(scene.world.terms(3 * DAY));
    assert_eq!(verdict(&scene, &before), Ok(()));
    let with = |terms: &Terms, conditions| Terms { conditions, ..terms.clone() };
    let none_asked = Granted { terms: with(&before.terms, Some(Conditions::default())), ..before.clone() };
    assert_eq!(verdict(&scene, &none_asked), Err(Refused::OtherTerms));
    scene.grantee = secret("second");
    let conditions = Conditions { openings: Some(2), view_only: true, ..Conditions::default() };
    let counted = scene.grant(with(&scene.world.terms(3 * DAY), Some(conditions.clone())));
    assert_eq!(verdict(&scene, &counted), Ok(()));
    for other in [None, Some(Conditions { openings: None, ..conditions.clone() }), Some(Conditions::default())] {
        let wider = Granted { terms: with(&counted.terms, other), ..counted.clone() };
        assert_eq!(verdict(&scene, &wider), Err(Refused::OtherTerms));
    }
    // Both are read back as they were signed.
    for terms in [&before.terms, &counted.terms] {
        assert_eq!(encoding::decode::<Terms>(&encoding::encode(terms)).as_ref(), Ok(terms));
    }
    let mut bytes = encoding::encode(&before.terms);
    assert_eq!(bytes[7], 0);
    bytes[7] = 3;
    assert_eq!(encoding::decode::<Terms>(&bytes).unwrap_err().fault, Fault::UnknownVersion);
}

#[test]
fn where_a_member_is_asked_for_one_signs_and_shows_a_credential() {
    let mut scene = scene();
    let conditions = Conditions { members_of: Some(secret("team").public()), ..Conditions::default() };
    let granted = scene.grant(Terms { conditions: Some(conditions), ..scene.world.terms(3 * DAY) });
    let (chain, member) = (scene.world.chain, secret("member"));
    let signed = scene.stated(&granted, None);
    assert_eq!(scene.decided(&signed), Err(Refused::NoMember));
    assert_eq!(scene.decided(&signed.clone().with_member(&chain, &member)), Ok(()));
    // Without a credential, and under another hello.
    let bare = scene.hello(&granted).sign(&chain, &scene.grantee).with_member(&chain, &member);
    assert_eq!(scene.decided(&bare), Err(Refused::NoMember));
    let copied = SignedHello { member: bare.member, ..signed.clone() };
    assert_eq!(scene.decided(&copied), Err(Refused::Member(SignatureError::Wrong)));
    // By the key of the connection, in the member's name.
    let same = signed.clone().with_member(&chain, &scene.grantee);
    assert_eq!(scene.decided(&same), Err(Refused::NoMember), "the key of the connection is nobody besides");
    let mut forged = signed.with_member(&chain, &scene.grantee);
    forged.member.as_mut().unwrap().key = member.public();
    assert_eq!(scene.decided(&forged), Err(Refused::Member(SignatureError::Wrong)));
    // A second person stands for an emergency and for nothing else.
    let two = scene.stated(&granted, None).with_member(&chain, &member).with_second(&chain, &secret("second"));
    assert_eq!(scene.decided(&two), Err(Refused::NoReason));
}

#[test]
fn an_emergency_has_a_reason_and_one_or_two_who_sign_for_it() {
    let mut scene = scene();
    let terms = Terms { emergency: true, ..scene.world.terms(DAY) };
    let id = scene.world.id(1);
    let granted = scene.world.grant(id, &secret("card"), &scene.grantee.public(), terms).unwrap();
    let (chain, member) = (scene.world.chain, secret("member"));
    let stated = |reason| scene.stated(&granted, reason);
    assert_eq!(scene.decided(&stated(Some("unconscious")).with_member(&chain, &member)), Ok(()));
    assert_eq!(scene.decided(&stated(Some("unconscious"))), Err(Refused::NoReason));
    assert_eq!(scene.decided(&stated(Some("  ")).with_member(&chain, &member)), Err(Refused::NoReason));
    assert_eq!(scene.decided(&stated(None).with_member(&chain, &member)), Err(Refused::NoReason));
    let two = |second: &[u8], key: &SecretKey| {
        let emergency = Emergency { reason: Text::new("unconscious").unwrap(), second: Some(actor(second)) };
        let hello = Hello { emergency: Some(emergency), ..stated(None).hello };
        let signed = hello.sign(&chain, &scene.grantee).with_member(&chain, &member);
        (scene.decided(&signed), scene.decided(&signed.with_second(&chain, key)))
    };
    assert_eq!(two(b"another", &secret("second")), (Err(Refused::NoReason), Ok(())));
    assert_eq!(two(b"", &secret("second")).1, Err(Refused::NoReason), "who shows nothing is nobody");
    assert_eq!(two(b"another", &member).1, Err(Refused::NoReason), "one person is not two");
    assert_eq!(two(b"another", &scene.grantee).1, Err(Refused::NoReason), "nor is the connection one");
    let same = stated(Some("unconscious")).with_member(&chain, &scene.grantee);
    assert_eq!(scene.decided(&same), Err(Refused::NoReason));
    // Nothing else is opened as an emergency, not by the holder either.
    let hello =
        Hello { emergency: stated(Some("unconscious")).hello.emergency, ..scene.world.hello(id, Claim::Holder) };
    assert_eq!(scene.world.fetch(hello, &scene.holder).unwrap_err(), Refused::NoReason);
}

#[test]
fn a_delegates_grant_ends_with_the_delegation() {
    let mut scene = scene();
    let terms = scene.world.terms(20 * DAY);
    let granted = scene.world.grant(scene.world.id(1), &secret("helper"), &scene.grantee.public(), terms).unwrap();
    assert_eq!(verdict(&scene, &granted), Ok(()));
    // Nothing in this part of the ledger ends a delegation early yet, so the record is written as it will be.
    let mut study = scene.world.study(scene.world.id(1));
    study.delegates.remove(&secret("helper").public()).unwrap();
    scene.world.rewrite(StateKey::Study(scene.world.id(1)), Some(encoding::encode(&study)));
    assert_eq!(verdict(&scene, &granted), Err(Refused::DelegationOver));
}

#[test]
fn suspension_and_withdrawal_stop_grantees() {
    let mut scene = scene();
    let granted = scene.grant(scene.world.terms(40 * DAY));
    scene.world.set_status(scene.world.id(1), NewStatus::Suspended(Reason::UnderReview)).unwrap();
    assert_eq!(verdict(&scene, &granted), Err(Refused::Status(Standing::Suspended(Reason::UnderReview))));
    // The source's own fast clock does not end a suspension; block time does.
    let late = scene.world.now().plus(31 * DAY);
    let rules = Terms { staleness_ms: DAY, ..scene.world.terms(0) };
    assert_eq!(rules.staleness_ms, DAY);
    scene.world.wait(30 * DAY - 1);
    let clock = scene.world.now().plus(60_000);
    let hello = Hello { at: clock, ..scene.hello(&granted) };
    let answer = scene.world.fetch_at(clock, &BTreeSet::new(), hello, &scene.grantee);
    assert_eq!(answer.unwrap_err(), Refused::Status(Standing::Suspended(Reason::UnderReview)));
    assert!(clock < late);
    scene.world.wait(1);
    assert_eq!(verdict(&scene, &granted), Ok(()));
    scene.world.set_status(scene.world.id(1), NewStatus::Withdrawn(Reason::WrongPatient)).unwrap();
    assert_eq!(verdict(&scene, &granted), Err(Refused::Status(Standing::Withdrawn(Reason::WrongPatient))));
}

#[test]
fn a_revocation_binds_from_the_moment_it_is_seen() {
    let mut scene = scene();
    let (holder, helper) = (scene.holder.clone(), secret("helper"));
    let granted = scene.grant(scene.world.terms(3 * DAY));
    let see = |scene: &mut Scene, study, revoker: &SecretKey, grant| {
        let study = scene.world.id(study);
        let envelope = scene.world.sign(revoke(study, revoker.public(), grant), &[revoker]);
        seen_revocation(&scene.world.state, &envelope).unwrap()
    };
    let ask = |scene: &Scene, granted: &Granted, seen: Option<_>| {
        let seen = seen.into_iter().collect();
        scene.world.fetch_at(scene.world.now(), &seen, scene.hello(granted), &scene.grantee).map(drop)
    };
    let by_holder = see(&mut scene, 1, &holder, granted.grant);
    assert_eq!(by_holder, Some((scene.world.id(1), Grave { grant: granted.grant, by: Capacity::Holder })));
    assert_eq!(ask(&scene, &granted, by_holder), Err(Refused::RevocationSeen));
    // A delegate's binds its own grants only, a stranger's nothing, and that of another study's holder nothing here.
    let by_helper = see(&mut scene, 1, &helper, granted.grant);
    assert!(by_helper.is_some());
    assert_eq!(ask(&scene, &granted, by_helper), Ok(()));
    assert_eq!(see(&mut scene, 1, &secret("stranger"), granted.grant), None);
    scene.world.define(2, &secret("stranger"), Vec::new()).unwrap();
    let elsewhere = see(&mut scene, 2, &secret("stranger"), granted.grant);
    assert!(elsewhere.is_some());
    assert_eq!(ask(&scene, &granted, elsewhere), Ok(()));
    scene.grantee = secret("helped");
    let helped =
        scene.world.grant(scene.world.id(1), &helper, &scene.grantee.public(), scene.world.terms(DAY)).unwrap();
    let by_helper = see(&mut scene, 1, &helper, helped.grant);
    assert_eq!(ask(&scene, &helped, by_helper), Err(Refused::RevocationSeen));
    // Anything else that is seen is no revocation.
    let other = scene.world.sign(revise(scene.world.id(1), holder.public(), 1), &[&holder]);
    assert_eq!(seen_revocation(&scene.world.state, &other), Ok(None));
}

/// What the gate says of a transfer that runs, a day after its hello or whenever it is.
fn renewed(scene: &Scene, leave: &Authorisation) -> Result<Authorisation, Refused<std::convert::Infallible>> {
    leave.renew(&scene.world.view(&BTreeSet::new()), LocalTime(scene.world.now()))
}

fn refused(scene: &Scene, leave: &Authorisation) -> Refused<std::convert::Infallible> {
    renewed(scene, leave).unwrap_err()
}

#[test]
fn a_transfer_goes_on_for_as_long_as_the_right_to_it_lasts() {
    let mut scene = scene();
    let granted = scene.grant(scene.world.terms(3 * DAY));
    let mut leave = scene.world.fetch(scene.hello(&granted), &scene.grantee).unwrap();
    let first = leave.clone();
    let mercy = scene.world.hospitals[0].operational.clone();
    scene.world.act(revise(scene.world.id(1), mercy.public(), 1), &[&mercy]).unwrap();
    // Long after the hello's own time, and each time from the one before.
    for _ in 0..10 {
        scene.world.wait(3_600_000);
        leave = renewed(&scene, &leave).unwrap();
        assert_eq!(leave.fresh_until(), scene.world.now().plus(90_000));
    }
    assert_eq!((leave.study(), leave.remote(), leave.grant()), (first.study(), first.remote(), first.grant()));
    assert_eq!((leave.terms(), leave.until()), (first.terms(), first.until()));
    assert_eq!(first.current(), (0, ManifestRoot::from_bytes([0; 32])));
    assert_eq!(leave.current(), (1, ManifestRoot::from_bytes([1; 32])));
    // It is what a new hello would get, and a right once given does not outlast its grant.
    assert_eq!(leave, scene.world.fetch(scene.hello(&granted), &scene.grantee).unwrap());
    let end = granted.terms.expires;
    scene.world.wait(end.since(scene.world.now()) - 1);
    assert!(renewed(&scene, &leave).is_ok());
    let on_the_dot = leave.renew(&scene.world.view(&BTreeSet::new()), LocalTime(end));
    assert_eq!(on_the_dot.unwrap_err(), Refused::Expired(end));
    scene.world.wait(1);
    assert_eq!(refused(&scene, &leave), Refused::Expired(end));
    scene.world.wait(DAY);
    assert_eq!(refused(&scene, &leave), Refused::NoGrant);
}

#[test]
fn a_revocation_ends_a_transfer_that_runs() {
    let mut scene = scene();
    let (id, holder) = (scene.world.id(1), scene.holder.clone());
    let granted = scene.grant(scene.world.terms(3 * DAY));
    let leave = scene.world.fetch(scene.hello(&granted), &scene.grantee).unwrap();
    let envelope = scene.world.sign(revoke(id, holder.public(), granted.grant), &[&holder]);
    let seen: BTreeSet<SeenRevocation> = seen_revocation(&scene.world.state, &envelope).unwrap().into_iter().collect();
    let answer = leave.renew(&scene.world.view(&seen), LocalTime(scene.world.now()));
    assert_eq!(answer.unwrap_err(), Refused::RevocationSeen);
    assert!(renewed(&scene, &leave).is_ok());
    scene.world.submit(envelope).unwrap();
    assert_eq!(refused(&scene, &leave), Refused::NoGrant);
    // Another grant to the same key is not the one that it was given for.
    let terms = scene.world.terms(2 * DAY);
    let helped = scene.world.grant(id, &secret("helper"), &scene.grantee.public(), terms).unwrap();
    assert_eq!(refused(&scene, &leave), Refused::NoGrant);
    // The holder's takes its place, and the transfer under the helper's ends.
    let leave = scene.world.fetch(scene.hello(&helped), &scene.grantee).unwrap();
    scene.grant(scene.world.terms(DAY));
    assert_eq!(refused(&scene, &leave), Refused::NoGrant);
}

#[test]
fn a_source_that_loses_the_ledger_while_it_sends_stops() {
    let mut scene = scene();
    let granted = scene.grant(scene.world.terms(3 * DAY));
    let leave = scene.world.fetch(scene.hello(&granted), &scene.grantee).unwrap();
    let none = BTreeSet::new();
    let after = |ms| leave.renew(&scene.world.view(&none), LocalTime(scene.world.now().plus(ms))).map(drop);
    assert_eq!(after(90_000), Ok(()));
    assert_eq!(after(90_001), Err(Refused::Stale { age_ms: 90_001, bound_ms: 90_000 }));
    let slow = LocalTime(Timestamp(scene.world.now().0 - 2_001));
    let answer = leave.renew(&scene.world.view(&none), slow);
    assert_eq!(answer.unwrap_err(), Refused::ClockBehind { behind_ms: 2_001 });
    let heard = View { highest_seen: scene.world.now().plus(100_000), ..scene.world.view(&none) };
    let answer = leave.renew(&heard, LocalTime(scene.world.now()));
    assert_eq!(answer.unwrap_err(), Refused::ClockBehind { behind_ms: 100_000 });
    let there = View { source: scene.world.hospitals[1].id(&scene.world.chain), ..scene.world.view(&none) };
    let answer = leave.renew(&there, LocalTime(scene.world.now()));
    assert_eq!(answer.unwrap_err(), Refused::OtherSource);
    scene.world.rewrite(StateKey::Study(scene.world.id(1)), None);
    assert_eq!(refused(&scene, &leave), Refused::UnknownStudy);
    scene.world.rewrite(StateKey::Head, None);
    assert!(matches!(refused(&scene, &leave), Refused::Read(ReadError::Corrupt { error: None, .. })));
}

#[test]
fn suspension_withdrawal_and_another_holder_end_a_transfer_that_runs() {
    let mut scene = scene();
    let id = scene.world.id(1);
    let granted = scene.grant(scene.world.terms(3 * DAY));
    let leave = scene.world.fetch(scene.hello(&granted), &scene.grantee).unwrap();
    let own = scene.world.fetch(scene.world.hello(id, Claim::Holder), &scene.holder).unwrap();
    scene.world.set_status(id, NewStatus::Suspended(Reason::UnderReview)).unwrap();
    assert_eq!(refused(&scene, &leave), Refused::Status(Standing::Suspended(Reason::UnderReview)));
    assert!(renewed(&scene, &own).is_ok());
    scene.world.set_status(id, NewStatus::Active).unwrap();
    assert!(renewed(&scene, &leave).is_ok());
    // Nothing in this part of the ledger changes the holder yet, so the record is written as it will be.
    let mut study = scene.world.study(id);
    study.holder = secret("new holder").public();
    scene.world.rewrite(StateKey::Study(id), Some(encoding::encode(&study)));
    assert_eq!(refused(&scene, &own), Refused::NotHolder);
    scene.world.set_status(id, NewStatus::Withdrawn(Reason::WrongPatient)).unwrap();
    assert_eq!(refused(&scene, &leave), Refused::Status(Standing::Withdrawn(Reason::WrongPatient)));
}

#[test]
fn a_delegates_grant_that_is_being_used_ends_with_the_delegation() {
    let mut scene = scene();
    let (id, grantee) = (scene.world.id(1), scene.grantee.public());
    let terms = scene.world.terms(20 * DAY);
    let granted = scene.world.grant(id, &secret("helper"), &grantee, terms).unwrap();
    let leave = scene.world.fetch(scene.hello(&granted), &scene.grantee).unwrap();
    let mut study = scene.world.study(id);
    study.delegates.remove(&secret("helper").public()).unwrap();
    scene.world.rewrite(StateKey::Study(id), Some(encoding::encode(&study)));
    assert_eq!(refused(&scene, &leave), Refused::DelegationOver);
}

#[test]
fn a_damaged_state_refuses_everyone() {
    let mut scene = scene();
    let granted = scene.grant(scene.world.terms(DAY));
    let key = StateKey::Study(scene.world.id(1));
    scene.world.rewrite(key, Some(vec![1, 2, 3]));
    assert!(matches!(verdict(&scene, &granted), Err(Refused::Read(ReadError::Corrupt { error: Some(_), .. }))));
    scene.world.rewrite(StateKey::Head, None);
    assert!(matches!(verdict(&scene, &granted), Err(Refused::Read(ReadError::Corrupt { error: None, .. }))));
    let _: SourceId = scene.world.hospitals[0].id(&scene.world.chain);
}
