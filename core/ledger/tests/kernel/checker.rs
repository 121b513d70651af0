//! A small formal model: every state that a few people can bring about, whatever they do and in whatever order.
//!
//! In a world of five people and two hospitals everything that will ever be signed is signed beforehand, and everybody
//! has all of it: the thief, the recipient, the relays. A step is a block of the real ledger with any one of these papers,
//! or with none and an hour later, or after a halt; each paper is tried in each state, also once it was taken, so that
//! replay, late arrival and every order are among what is tried. States in which the same can follow count as one
//! ([`state`]), and all that can be reached up to the last hour of a world are. [`mistakes`] are ledgers that it finds
//! wrong.
//!
//! Beside each state goes a [`ghost`]: consent as a person would tell it, from who signed what. In every state
//!
//! 1. **nobody is authorised without consent**: everybody says every hello there is, as holder and by every grant, on its own
//!    terms and on others', and the gate says yes exactly to those to whom the ghost does. So no revoked grant comes back, a
//!    delegate's grant ends with the delegation for good, an old holder is one no more, and nobody is refused who has
//!    consent;
//! 2. **nobody loses a study that they did not give away**: the holder is the ghost's, whom only a transfer by the holder, a
//!    recovery that was said twice, with all the time between that a veto takes, and a vote on a frozen study change;
//! 3. **nobody freezes a study** but with a paper of its source that asks again after a veto;
//! 4. **what stops something is never refused**: the holder's Revoke, Undelegate and Veto, and a delegate's Revoke of its own;
//! 5. **a new holder begins alone**, if the grants were not to be kept.
//!
//! It does not show: anything with more people, papers or hours than a world has; limits by number (`invariants.rs`);
//! epochs, changes of keys, successors and powers other than equal; several papers in one block; clocks that differ, stale heads
//! and seen revocations (`gate.rs`); signatures, which are checked once, when a paper is made. Nor does it say when
//! somebody wanted what they signed: a paper that was taken in time is consent, however old it is.
//!
//! The ordinary size takes some ten seconds of one core. With `CLAVICLE_CHECKER=deep` there are more papers and hours, and it takes
//! some minutes:
//!
//! `CLAVICLE_CHECKER=deep cargo test --profile ci -p clavicle-ledger --test kernel checker:: -- --nocapture`

mod explore;
mod gate;
mod ghost;
mod mistakes;
mod pool;
mod state;

use clavicle_ledger::action::NewStatus;
use clavicle_ledger::study::Reason;

use self::explore::{Real, explore};
use self::pool::Who::{Helper, Patient, Phone, Recipient, Thief};
use self::pool::{DELAYS, Deed, Delays, Scenario};

/// After this hour, at midnight, a day ends; the next one is beyond every world.
const TONIGHT: u32 = 2;
const TOMORROW: u32 = 26;

/// Whether to look further than in the ordinary size.
fn deep() -> bool {
    std::env::var("CLAVICLE_CHECKER").is_ok_and(|size| size == "deep")
}

/// Grants by the holder and a delegate, revoked before and after they come, delegations that end early, late and anew.
fn consent(deep: bool) -> Scenario {
    let mut world = Scenario::new("consent", DELAYS, if deep { 4 } else { 3 });
    world.sign(Deed::Define { holder: Patient, delegate: None });
    let first = world.sign_until(Deed::Grant { by: Patient, to: Recipient, ends: 3 }, 1);
    world.sign(Deed::Grant { by: Patient, to: Recipient, ends: 1 });
    world.sign(Deed::Delegate { by: Patient, to: Helper, ends: TONIGHT });
    world.sign(Deed::Delegate { by: Patient, to: Helper, ends: TOMORROW });
    let helpers = world.sign(Deed::Grant { by: Helper, to: Recipient, ends: TONIGHT });
    world.sign(Deed::Revoke { by: Patient, grant: first });
    world.sign(Deed::Revoke { by: Patient, grant: helpers });
    world.sign(Deed::Revoke { by: Helper, grant: helpers });
    world.sign(Deed::Undelegate { by: Patient, of: Helper });
    // What those try who have no say.
    world.sign(Deed::Revoke { by: Helper, grant: first });
    world.sign(Deed::Revoke { by: Thief, grant: first });
    world.sign(Deed::Grant { by: Recipient, to: Thief, ends: 3 });
    world.sign(Deed::Delegate { by: Helper, to: Thief, ends: TOMORROW });
    world.sign(Deed::Undelegate { by: Thief, of: Helper });
    world.sign(Deed::Define { holder: Thief, delegate: None });
    if deep {
        world.sign(Deed::Grant { by: Helper, to: Thief, ends: 3 });
        world.sign(Deed::Delegate { by: Patient, to: Helper, ends: TOMORROW });
        world.sign(Deed::Undelegate { by: Patient, of: Helper });
    }
    world
}

/// A study that goes from one phone to another and back.
fn hands(deep: bool) -> Scenario {
    let mut world = Scenario::new("hands", DELAYS, if deep { 3 } else { 2 });
    world.sign(Deed::Define { holder: Patient, delegate: Some((Helper, TOMORROW)) });
    let old = world.sign(Deed::Grant { by: Patient, to: Recipient, ends: 2 });
    let helpers = world.sign(Deed::Grant { by: Helper, to: Recipient, ends: 2 });
    world.sign(Deed::Transfer { from: Patient, to: Phone, keep: true });
    world.sign(Deed::Transfer { from: Patient, to: Phone, keep: false });
    world.sign(Deed::Transfer { from: Phone, to: Patient, keep: true });
    world.sign(Deed::Transfer { from: Patient, to: Helper, keep: true });
    world.sign(Deed::Grant { by: Phone, to: Patient, ends: 2 });
    world.sign(Deed::Revoke { by: Patient, grant: old });
    world.sign(Deed::Revoke { by: Phone, grant: old });
    world.sign(Deed::Revoke { by: Helper, grant: helpers });
    world.sign(Deed::Delegate { by: Phone, to: Patient, ends: TOMORROW });
    world.sign(Deed::Delegate { by: Patient, to: Helper, ends: TOMORROW });
    world.sign(Deed::Transfer { from: Thief, to: Phone, keep: false });
    world.sign(Deed::Transfer { from: Helper, to: Patient, keep: false });
    if deep {
        world.sign(Deed::Undelegate { by: Patient, of: Helper });
        world.sign(Deed::Grant { by: Phone, to: Thief, ends: TONIGHT });
    }
    world
}

/// A phone that is lost, or not, and an honest source.
fn recovery(deep: bool) -> Scenario {
    let mut world = Scenario::new("recovery", DELAYS, if deep { 11 } else { 8 });
    world.halts = true;
    world.sign(Deed::Define { holder: Patient, delegate: None });
    world.sign(Deed::Grant { by: Patient, to: Recipient, ends: 20 });
    let ask = world.sign(Deed::Recover { hospital: 0, to: Phone, completes: None });
    world.sign(Deed::Recover { hospital: 0, to: Phone, completes: Some(ask) });
    let again = world.sign(Deed::Recover { hospital: 0, to: Phone, completes: None });
    world.sign(Deed::Recover { hospital: 1, to: Phone, completes: Some(ask) });
    world.sign(Deed::Veto { by: Patient, ask });
    world.sign(Deed::Veto { by: Patient, ask: again });
    world.sign(Deed::Veto { by: Thief, ask });
    world.sign(Deed::Vote { hospital: 0, to: Phone });
    world.sign(Deed::Vote { hospital: 1, to: Phone });
    world.sign(Deed::Grant { by: Phone, to: Recipient, ends: 20 });
    if deep {
        world.sign(Deed::Recover { hospital: 0, to: Phone, completes: Some(again) });
        world.sign(Deed::Vote { hospital: 0, to: Patient });
        world.sign(Deed::Vote { hospital: 1, to: Patient });
    }
    world
}

/// A source that is in league with the thief, who alone can do nothing that the patient's veto does not stop.
fn collusion(deep: bool) -> Scenario {
    let mut world = Scenario::new("collusion", DELAYS, if deep { 12 } else { 8 });
    world.halts = true;
    world.sign(Deed::Define { holder: Patient, delegate: None });
    let first = world.sign(Deed::Recover { hospital: 0, to: Thief, completes: None });
    world.sign(Deed::Recover { hospital: 0, to: Thief, completes: Some(first) });
    let second = world.sign(Deed::Recover { hospital: 0, to: Thief, completes: None });
    let third = world.sign(Deed::Recover { hospital: 0, to: Recipient, completes: None });
    world.sign(Deed::Veto { by: Patient, ask: first });
    world.sign(Deed::Veto { by: Patient, ask: second });
    world.sign(Deed::Veto { by: Patient, ask: third });
    world.sign(Deed::Vote { hospital: 0, to: Thief });
    world.sign(Deed::Vote { hospital: 0, to: Patient });
    world.sign(Deed::Vote { hospital: 1, to: Patient });
    if deep {
        world.sign(Deed::Recover { hospital: 0, to: Thief, completes: Some(second) });
    }
    world
}

/// A thief with the patient's key, and a source that wants to give the study back.
fn theft(deep: bool) -> Scenario {
    let mut world = Scenario::new("theft", DELAYS, if deep { 9 } else { 8 });
    world.sign(Deed::Define { holder: Patient, delegate: None });
    world.sign(Deed::Grant { by: Patient, to: Thief, ends: 20 });
    world.sign(Deed::Transfer { from: Patient, to: Thief, keep: true });
    world.sign(Deed::Transfer { from: Thief, to: Patient, keep: true });
    let ask = world.sign(Deed::Recover { hospital: 0, to: Phone, completes: None });
    world.sign(Deed::Recover { hospital: 0, to: Phone, completes: Some(ask) });
    let again = world.sign(Deed::Recover { hospital: 0, to: Phone, completes: None });
    world.sign(Deed::Veto { by: Patient, ask });
    world.sign(Deed::Veto { by: Thief, ask });
    world.sign(Deed::Vote { hospital: 0, to: Phone });
    world.sign(Deed::Vote { hospital: 1, to: Phone });
    world.sign(Deed::Veto { by: Thief, ask: again });
    world.sign(Deed::Delegate { by: Patient, to: Thief, ends: TOMORROW });
    if deep {
        world.sign(Deed::Grant { by: Thief, to: Recipient, ends: 3 });
        world.sign(Deed::Recover { hospital: 0, to: Phone, completes: Some(again) });
    }
    world
}

/// A source that stops serving, for a while or for good.
fn service(deep: bool) -> Scenario {
    let mut world = Scenario::new("service", DELAYS, if deep { 4 } else { 3 });
    world.sign(Deed::Define { holder: Patient, delegate: Some((Helper, TONIGHT)) });
    let grant = world.sign(Deed::Grant { by: Patient, to: Recipient, ends: 2 });
    world.sign(Deed::Grant { by: Helper, to: Thief, ends: 2 });
    world.sign(Deed::Revoke { by: Patient, grant });
    world.sign(Deed::Undelegate { by: Patient, of: Helper });
    world.sign(Deed::Transfer { from: Patient, to: Phone, keep: true });
    world.sign(Deed::Status { number: 1, to: NewStatus::Suspended(Reason::UnderReview) });
    world.sign(Deed::Status { number: 1, to: NewStatus::Suspended(Reason::WrongPatient) });
    world.sign(Deed::Status { number: 2, to: NewStatus::Active });
    world.sign(Deed::Status { number: 2, to: NewStatus::Withdrawn(Reason::Retention) });
    let ask = world.sign(Deed::Recover { hospital: 0, to: Phone, completes: None });
    world.sign(Deed::Recover { hospital: 0, to: Phone, completes: Some(ask) });
    if deep {
        world.sign(Deed::Status { number: 3, to: NewStatus::Suspended(Reason::UnderReview) });
    }
    world
}

/// Grants that come when their tombstones are about to go, and papers that are too early or too late.
fn late(deep: bool) -> Scenario {
    let delays = Delays { submit_window: 2, ..DELAYS };
    let mut world = Scenario::new("late", delays, if deep { 9 } else { 7 });
    world.sign_until(Deed::Define { holder: Patient, delegate: Some((Helper, TOMORROW)) }, 2);
    let soon = world.sign_until(Deed::Grant { by: Patient, to: Recipient, ends: 20 }, 2);
    let then = world.sign_until(Deed::Grant { by: Patient, to: Recipient, ends: 20 }, 6);
    let helpers = world.sign_until(Deed::Grant { by: Helper, to: Thief, ends: 20 }, 5);
    world.sign_until(Deed::Revoke { by: Patient, grant: soon }, 2);
    world.sign_until(Deed::Revoke { by: Patient, grant: then }, 2);
    world.sign_until(Deed::Revoke { by: Patient, grant: then }, 4);
    world.sign_until(Deed::Revoke { by: Helper, grant: helpers }, 3);
    world.sign_until(Deed::Transfer { from: Patient, to: Phone, keep: true }, 3);
    world.sign_until(Deed::Transfer { from: Phone, to: Patient, keep: true }, 5);
    if deep {
        world.sign_until(Deed::Delegate { by: Patient, to: Helper, ends: TOMORROW }, 5);
        world.sign_until(Deed::Revoke { by: Phone, grant: then }, 5);
        world.sign_until(Deed::Revoke { by: Patient, grant: helpers }, 4);
    }
    world
}

/// Looks at all of a world, and says how much that was.
fn check(world: &Scenario, at_least: usize) {
    match explore(&Real, world) {
        Ok(explored) => {
            println!("{}: {explored:?}", world.name);
            assert!(explored.states >= at_least, "the world has shrunk to {} states", explored.states);
            assert!(explored.authorised > 0 && explored.authorised < explored.asked && explored.refused > 0);
        }
        Err(counterexample) => panic!("{counterexample}"),
    }
}

#[test]
fn consent_given_and_taken_back() {
    check(&consent(deep()), 23_000);
}

#[test]
fn a_study_that_changes_hands() {
    check(&hands(deep()), 34_000);
}

#[test]
fn a_lost_phone() {
    check(&recovery(deep()), 6_700);
}

#[test]
fn a_source_in_league_with_a_thief() {
    check(&collusion(deep()), 19_500);
}

#[test]
fn a_stolen_key() {
    check(&theft(deep()), 11_000);
}

#[test]
fn a_source_that_stops_serving() {
    check(&service(deep()), 11_700);
}

#[test]
fn papers_that_come_late() {
    check(&late(deep()), 1_000);
}
