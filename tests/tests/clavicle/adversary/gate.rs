//! At the gate of a source.

use std::time::Instant;

use clavicle_ledger::action::{NewStatus, SetStatus};
use clavicle_ledger::authorise::Claim as Right;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::id::{ChainId, GrantId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::study::Reason;
use clavicle_ledger::terms::SeriesScope;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_ledger::transaction::Action;

use iroh::endpoint::ConnectionError;
use tokio::time::timeout;

use crate::process::PATIENCE;

use super::ground::{Ground, SOURCE, now, wait_for};
use super::hands::{ENDED, FAILED, Held, Line, NO_GRANT, REFUSED, framed, has_grant, wants};

const NOT_GRANTEE: &str = "the grant is to another key than the connection's";
const NOT_HOLDER: &str = "the key of the connection does not hold the study";
const OTHER_TERMS: &str = "the terms are not those the grant commits to";

pub(super) async fn without_a_grant_of_ones_own_nobody_is_let_in(ground: &Ground) {
    let (held, other) = (ground.study(1).await, ground.study(2).await);
    let granted = ground.grant(&held, |_| {}).await;
    ground.served(&granted).await;
    let knock = async |key: &SecretKey, study: StudyId, right: Right| {
        let hello = ground.hello(study, right).sign(&ground.chain, key);
        ground.refusal(SOURCE, key, &hello).await
    };
    let right = |grant: GrantId| Right::Grant { grant, terms: granted.terms.clone() };
    let stranger = ground.key();

    assert_eq!(knock(&stranger, held.study, right(GrantId::from_bytes([7; 32]))).await, NO_GRANT);
    // Everything of somebody else's but the key.
    assert_eq!(knock(&stranger, held.study, right(granted.id)).await, NOT_GRANTEE);
    // The right key, on a study that it was not granted.
    assert_eq!(knock(&granted.grantee, other.study, right(granted.id)).await, NO_GRANT);
    for key in [&stranger, &granted.grantee, &other.holder, &ground.hospitals[1].keys.operational] {
        assert_eq!(knock(key, held.study, Right::Holder).await, NOT_HOLDER);
    }
    let unknown = StudyId::from_bytes([9; 32]);
    assert_eq!(knock(&granted.grantee, unknown, right(granted.id)).await, "no such study is on the ledger");
    assert_eq!(knock(&held.holder, unknown, Right::Holder).await, "no such study is on the ledger");

    // What is no hello at all is told the same.
    let hello = encoding::encode(&ground.hello_of(&granted));
    let trailing = framed(&[&hello[..], &[0]].concat());
    for said in [framed(b""), framed(&[0xff; 200]), trailing, framed(&[0; 5_000])[..4].to_vec()] {
        assert_eq!(ground.refusal_of(SOURCE, &granted.grantee, &said).await, "what came was no hello");
    }
    // What was refused to others is written down for the holder; of a study that is not there nothing is.
    let audit =
        |study: StudyId| ground.cluster.try_hospital(&["audit", "--dir", "mercy", "--study", &study.to_string()]);
    let end = Instant::now() + PATIENCE;
    while audit(held.study).done()["refused"] != 6 {
        assert!(Instant::now() < end, "{:?}", audit(held.study));
    }
    let (code, _) = audit(unknown).refused();
    assert_eq!(code, "study");
    ground.served(&granted).await;
}

pub(super) async fn terms_other_than_those_granted_open_nothing(ground: &Ground) {
    let (held, other) = (ground.study(3).await, ground.study(4).await);
    let one = SeriesScope::These(Ascending::from_items(vec![held.series[0]]).unwrap());
    let granted = ground.grant(&held, |terms| terms.series = one).await;
    let elsewhere = ground.sign_grant_to(&other, &granted.grantee, |_| {});
    ground.make_final(&elsewhere.envelope).await;
    let knock = async |change: &dyn Fn(&mut clavicle_ledger::terms::Terms)| {
        let mut changed = granted.clone();
        change(&mut changed.terms);
        ground.refused(&changed).await
    };

    assert_eq!(knock(&|terms| terms.series = SeriesScope::All).await, OTHER_TERMS);
    let both = SeriesScope::These(Ascending::from_items(held.series.clone()).unwrap());
    assert_eq!(knock(&|terms| terms.series = both.clone()).await, OTHER_TERMS);
    assert_eq!(knock(&|terms| terms.expires = terms.expires.plus(1)).await, OTHER_TERMS);
    assert_eq!(knock(&|terms| terms.not_before = Timestamp(0)).await, OTHER_TERMS);
    assert_eq!(knock(&|terms| terms.later_revisions = true).await, OTHER_TERMS);
    assert_eq!(knock(&|terms| terms.staleness_ms = DAY_MS).await, OTHER_TERMS);
    assert_eq!(knock(&|terms| terms.emergency = true).await, OTHER_TERMS);
    assert_eq!(knock(&|terms| terms.blinding[0] ^= 1).await, OTHER_TERMS);
    // One's own Terms, of one's own grant on another study.
    assert_eq!(knock(&|terms| *terms = elsewhere.terms.clone()).await, OTHER_TERMS);

    // A holder and a grantee who agree on more than the ledger may show are not served either.
    let mut longer = ground.sign_grant(&held, |terms| terms.expires = terms.expires.plus(DAY_MS * 30));
    let Action::Grant(mut grant) = longer.envelope.body.action.clone() else { panic!() };
    grant.expiry_day = now().0.day_rounded_up();
    longer.envelope = ground.sign(Action::Grant(grant), &[&held.holder]);
    longer.id = GrantId::from(longer.envelope.body.id(&ground.chain));
    ground.make_final(&longer.envelope).await;
    let refused = ground.refused(&longer).await;
    assert!(refused.contains("which is not on the grant's last day before"), "{refused}");
    let emergency = ground.grant(&held, |terms| terms.emergency = true).await;
    let refused = ground.refused(&emergency).await;
    assert_eq!(refused, "the terms and the delegation disagree on whether this is an emergency");
    let nothing = ground.grant(&held, |terms| terms.series = SeriesScope::These(Ascending::new())).await;
    assert_eq!(ground.refused(&nothing).await, "the terms name no series");
    let ahead = ground.grant(&held, |terms| terms.revision = 1).await;
    let refused = ground.refused(&ahead).await;
    assert_eq!(refused, "the terms are about revision 1, which the study does not have in that form");
    ground.served(&granted).await;
}

pub(super) async fn whoever_is_granted_one_series_gets_no_other(ground: &Ground) {
    let held = ground.study(5).await;
    let one = SeriesScope::These(Ascending::from_items(vec![held.series[0]]).unwrap());
    let granted = ground.grant(&held, |terms| terms.series = one).await;
    let mut line = Line::open(&granted.grantee, &ground.hospitals[SOURCE].served, None).await;
    assert!(!line.enter(&ground.chain, &ground.hello_of(&granted)).await, "the whole manifest");
    // The two images of the series, and then the next one of the study.
    line.send.write_all(&wants(&[0, 1])).await.unwrap();
    let (first, second) = (line.item().await, line.item().await);
    assert!(!first.is_empty() && !second.is_empty());
    line.send.write_all(&wants(&[2])).await.unwrap();
    assert_eq!(line.rest().await, (0, false));
    assert_eq!(line.closed().await, (FAILED, Vec::new()));
}

pub(super) async fn a_hello_is_for_one_key_one_hospital_and_one_moment(ground: &Ground) {
    let held = ground.study(6).await;
    let granted = ground.grant(&held, |_| {}).await;
    ground.make_final_at(&[1], &granted.envelope).await;
    let hello = ground.hello_of(&granted);
    const NOT_SIGNED: &str = "the hello is not signed by the key of the connection";

    // Recorded, and said from another endpoint; or signed anew there.
    let stranger = ground.key();
    let refused = ground.refusal(SOURCE, &stranger, &hello).await;
    assert!(refused.starts_with(NOT_SIGNED), "{refused}");
    let refused = ground.refusal(SOURCE, &held.holder, &hello).await;
    assert!(refused.starts_with(NOT_SIGNED), "{refused}");
    // Passed on to another hospital, as it is, and as if meant for it.
    let refused = ground.refusal(1, &granted.grantee, &hello).await;
    assert_eq!(refused, "the hello was meant for another source: somebody passed it on");
    let mut passed_on = hello.clone();
    passed_on.hello.source = ground.hospitals[1].id;
    let refused = ground.refusal(1, &granted.grantee, &passed_on).await;
    assert!(refused.starts_with(NOT_SIGNED), "{refused}");
    let refused =
        ground.refusal(1, &granted.grantee, &passed_on.hello.clone().sign(&ground.chain, &granted.grantee)).await;
    assert_eq!(refused, "the study is another source's");
    // Of another network.
    let other_chain = hello.hello.clone().sign(&ChainId::from_bytes([1; 32]), &granted.grantee);
    let refused = ground.refusal(SOURCE, &granted.grantee, &other_chain).await;
    assert!(refused.starts_with(NOT_SIGNED), "{refused}");

    // Older than the window, or from later than it reaches.
    let window = ground.genesis.parameters.hello_window_ms;
    let at = async |at: Timestamp| {
        let mut said = hello.hello.clone();
        said.at = at;
        ground.refusal(SOURCE, &granted.grantee, &said.sign(&ground.chain, &granted.grantee)).await
    };
    for moment in
        [Timestamp(now().0.0 - window - 1_000), now().0.plus(window + 5_000), Timestamp(0), Timestamp(u64::MAX)]
    {
        let refused = at(moment).await;
        let end = "ms off this source's clock: it is a replay, or a clock is wrong";
        assert!(refused.starts_with("the hello is ") && refused.ends_with(end), "{refused}");
    }
    ground.served(&granted).await;
}

pub(super) async fn a_grant_is_good_from_its_first_to_its_last_moment_and_not_beyond(ground: &Ground) {
    let held = ground.study(7).await;
    let short = ground.sign_grant(&held, |terms| terms.expires = now().0.plus(4_000));
    ground.make_final(&short.envelope).await;
    ground.served(&short).await;
    let later = ground.grant(&held, |terms| terms.not_before = now().0.plus(60_000)).await;
    let refused = ground.refused(&later).await;
    assert!(refused.starts_with("the grant begins only at"), "{refused}");

    // Its day, which is all the ledger knows, has not ended.
    wait_for(short.terms.expires).await;
    let refused = ground.refused(&short).await;
    assert!(refused.starts_with("the grant ended at"), "{refused}");
    assert!(has_grant(&ground.record(1, held.study).await, &short.grantee.public()));
}

pub(super) async fn a_study_that_its_source_stopped_serving_is_served_as_its_status_says(ground: &Ground) {
    let held = ground.study(8).await;
    let granted = ground.grant(&held, |_| {}).await;
    let operational = &ground.hospitals[SOURCE].keys.operational;
    let set = async |number: u32, status: NewStatus| {
        let action = Action::SetStatus(SetStatus { study: held.study, source: operational.public(), number, status });
        ground.operate(&ground.sign(action, &[operational])).await;
    };
    set(1, NewStatus::Suspended(Reason::UnderReview)).await;
    assert_eq!(ground.refused(&granted).await, "the study is suspended");
    served_to_holder(ground, &held).await;
    set(2, NewStatus::Suspended(Reason::WrongPatient)).await;
    assert_eq!(ground.refused(&granted).await, "the study is suspended");
    assert_eq!(ground.refusal(SOURCE, &held.holder, &ground.hello_of_holder(&held)).await, "the study is suspended");
    set(3, NewStatus::Active).await;
    ground.served(&granted).await;
    served_to_holder(ground, &held).await;

    // A transfer that runs is cut by it.
    let mut line = Line::open(&granted.grantee, &ground.hospitals[SOURCE].served, None).await;
    assert!(line.enter(&ground.chain, &ground.hello_of(&granted)).await);
    set(4, NewStatus::Withdrawn(Reason::Retention)).await;
    assert_eq!(line.closed().await, (ENDED, Vec::new()));
    assert_eq!(ground.refused(&granted).await, "the study is withdrawn");
    assert_eq!(ground.refusal(SOURCE, &held.holder, &ground.hello_of_holder(&held)).await, "the study is withdrawn");

    // Another hospital, or the holder, says nothing about it.
    let mut other = ground.study(9).await;
    other.holder = ground.hospitals[1].keys.operational.clone();
    let say = |key: &SecretKey| {
        let status = NewStatus::Withdrawn(Reason::Other);
        let action = Action::SetStatus(SetStatus { study: other.study, source: key.public(), number: 1, status });
        ground.sign(action, &[key])
    };
    let verdict = ground.submit(SOURCE, &say(&ground.hospitals[1].keys.operational)).await;
    assert!(Ground::rejected(&verdict).contains("the study is another source's"), "{verdict:?}");
    for key in [&held.holder, &granted.grantee, &ground.hospitals[SOURCE].keys.consensus] {
        let verdict = ground.submit(SOURCE, &say(key)).await;
        assert!(Ground::rejected(&verdict).contains("the signing key is no source's operational key"), "{verdict:?}");
    }
}

async fn served_to_holder(ground: &Ground, held: &Held) {
    let mut line = Line::open(&held.holder, &ground.hospitals[SOURCE].served, None).await;
    assert!(line.enter(&ground.chain, &ground.hello_of_holder(held)).await);
}

pub(super) async fn a_flood_of_strangers_keeps_nobody_out_who_was_granted(ground: &Ground) {
    let held = ground.study(10).await;
    let granted = ground.grant(&held, |_| {}).await;
    let right = Right::Grant { grant: granted.id, terms: granted.terms.clone() };
    // More than refusals that wait for their tick; each is told no, or cut off at once.
    let mut lines = Vec::new();
    for _ in 0..300 {
        let stranger = ground.key();
        let hello = ground.hello(held.study, right.clone()).sign(&ground.chain, &stranger);
        let line = Line::open(&stranger, &ground.hospitals[SOURCE].served, None).await;
        lines.push((line, framed(&encoding::encode(&hello))));
    }
    for (line, hello) in &mut lines {
        line.send.write_all(hello).await.ok();
    }
    ground.served(&granted).await;
    for (line, _) in &lines {
        // In such a crowd the packet that closes a connection may be lost; then the source knows nothing of it any more.
        match timeout(PATIENCE, line.connection.closed()).await.unwrap() {
            ConnectionError::ApplicationClosed(close) => assert_eq!(close.error_code, REFUSED),
            ConnectionError::Reset => {}
            other => panic!("{other}"),
        }
    }
}
