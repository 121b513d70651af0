//! A source that is cut off from the others: what it may still serve, and what it must remember.

use std::time::{Duration, Instant};

use clavicle_ledger::time::HOUR_MS;
use clavicle_network::message::Verdict;

use super::ground::{Ground, SOURCE, now, wait_for};
use super::hands::{ENDED, Granted, Held, Line, NO_GRANT, SEEN, has_grant};
use crate::process::PATIENCE;

/// The longest that one of the grants here allows the newest block to be old, in milliseconds.
const SOME_MS: u64 = 15_000;

fn assert_stale(refused: &str, bound_ms: u64) {
    let begin = "the newest block, or the others' word that it is the newest, is ";
    let end = format!("ms old; on these terms {bound_ms} ms is the most: the ledger cannot be reached");
    assert!(refused.starts_with(begin) && refused.ends_with(&end), "{refused}");
}

fn assert_unconfirmed(refused: &str) {
    assert!(refused.starts_with("since this source was started, not enough of the others"), "{refused}");
}

async fn refused_to_holder(ground: &Ground, held: &Held) -> String {
    ground.refusal(SOURCE, &held.holder, &ground.hello_of_holder(held)).await
}

async fn enter(ground: &Ground, granted: &Granted) -> Line {
    let mut line = Line::open(&granted.grantee, &ground.hospitals[SOURCE].served, None).await;
    assert!(line.enter(&ground.chain, &ground.hello_of(granted)).await);
    line
}

pub(super) async fn a_source_that_is_left_alone_serves_what_patients_allowed_and_forgets_no_revocation(
    ground: &mut Ground,
) {
    let mut from = Instant::now();
    let mut step = |what: &str| {
        println!("{:>6} ms  {what}", from.elapsed().as_millis());
        from = Instant::now();
    };
    let fresh_ms = ground.genesis.parameters.fresh_ms;
    let held = ground.study(80).await;
    let plain = ground.grant(&held, |_| {}).await;
    let some = ground.grant(&held, |terms| terms.staleness_ms = SOME_MS).await;
    let allowed = ground.grant(&held, |terms| terms.staleness_ms = HOUR_MS).await;
    let doomed = ground.grant(&held, |terms| terms.staleness_ms = HOUR_MS).await;
    ground.make_final_at(&[0, 1, 2, 3], &doomed.envelope).await;
    ground.wait_until_fresh(true).await;
    let line = enter(ground, &plain).await;
    step("a study, and grants with and without an allowance");

    (1..4).for_each(|n| ground.cluster.kill(n));
    let alone = now().0;
    // Whoever is being sent the study is cut off when the newest block is too old.
    assert_eq!(line.closed().await, (ENDED, Vec::new()));
    ground.wait_until_fresh(false).await;
    assert_stale(&ground.refused(&plain).await, fresh_ms);
    assert_stale(&refused_to_holder(ground, &held).await, fresh_ms);
    ground.served(&some).await;
    ground.served(&allowed).await;
    ground.served(&doomed).await;
    step("left alone, the source serves what patients allowed, and nobody else, not even the holder");

    // What the others have not agreed on opens nothing.
    let unheard = ground.sign_grant(&held, |terms| terms.staleness_ms = HOUR_MS);
    assert_eq!(ground.submit(SOURCE, &unheard.envelope).await, Verdict::Waits);
    assert_eq!(ground.refused(&unheard).await, NO_GRANT);
    let line = enter(ground, &doomed).await;
    let revocation = ground.sign_revocation(&doomed, &held.holder);
    assert_eq!(ground.submit(SOURCE, &revocation).await, Verdict::Waits);
    assert_eq!(line.closed().await, (ENDED, Vec::new()));
    assert_eq!(ground.refused(&doomed).await, SEEN);
    ground.served(&allowed).await;
    step("a revocation that only the source has seen binds at once");

    wait_for(alone.plus(SOME_MS)).await;
    assert_stale(&ground.refused(&some).await, SOME_MS);
    ground.served(&allowed).await;
    step("an allowance is over when it is over");

    // No block can be made. A power cut, and the source comes back alone: what it knows may be old, whatever its clock says.
    ground.cluster.kill(SOURCE);
    ground.cluster.start(SOURCE);
    ground.wait_until_fresh(false).await;
    for granted in [&plain, &some, &allowed, &doomed, &unheard] {
        assert_unconfirmed(&ground.refused(granted).await);
    }
    assert_unconfirmed(&refused_to_holder(ground, &held).await);
    // One of three others may be the one that lies.
    ground.cluster.start(1);
    ground.wait_until_it_answers(1).await;
    let end = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < end {
        assert_unconfirmed(&ground.refused(&allowed).await);
    }
    step("and after a power cut, with nobody or with one to ask, it serves nobody");

    (2..4).for_each(|n| ground.cluster.start(n));
    ground.wait_until_fresh(true).await;
    let end = Instant::now() + PATIENCE;
    while has_grant(&ground.record(SOURCE, held.study).await, &doomed.grantee.public()) {
        assert!([SEEN, NO_GRANT].contains(&ground.refused(&doomed).await.as_str()), "the power cut made it forget");
        assert!(Instant::now() < end, "the source does not put it up for a block");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ground.refused(&doomed).await, NO_GRANT);
    ground.make_final_at(&[0, 1, 2, 3], &revocation).await;
    step("the others return, and the source makes the revocation final by itself");

    // The others may be behind for a moment, and the source with them.
    ground.wait_until_fresh(true).await;
    for granted in [&plain, &some, &allowed] {
        ground.served(granted).await;
    }
    let mut line = Line::open(&held.holder, &ground.hospitals[SOURCE].served, None).await;
    assert!(line.enter(&ground.chain, &ground.hello_of_holder(&held)).await);
    for n in 0..4 {
        assert!(matches!(ground.submit(n, &doomed.envelope).await, Verdict::Executed(_)));
    }
    assert_eq!(ground.refused(&doomed).await, NO_GRANT);
    step("and everybody else is served again");
}
