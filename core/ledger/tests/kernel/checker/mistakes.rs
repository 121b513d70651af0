//! The checker finds what it is there to find: each of these ledgers has one mistake, and the shortest way to it is shown.

use std::convert::Infallible;

use clavicle_ledger::action::{RevokeError, StudyRefused};
use clavicle_ledger::authorise::{Claim, SignedHello, View};
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::execute::{Proposed, Rejection};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::state::{Changes, ReadRows as _, StateKey, StateReader};
use clavicle_ledger::study::{Capacity, LiveGrant, Status, Study};
use clavicle_ledger::time::LocalTime;

use super::explore::{Real, Subject, changes, explore};
use super::pool::{Deed, Paper, Scenario};
use super::state::Rows;
use super::{consent, hands, recovery, service};

/// A ledger with a mistake in it.
struct Mistaken {
    study: StudyId,
    /// Does not remember what it executed.
    forgets: bool,
    /// Refuses what it should take.
    refuses: fn(Deed, &Study) -> bool,
    /// Writes something else: from the record before, into the record after.
    writes: fn(Deed, &Study, &mut Study),
    /// Answers something else at the gate.
    answers: Option<fn(&Study, Key, &Claim) -> bool>,
}

impl Mistaken {
    fn new(world: &Scenario) -> Self {
        Self { study: world.study, forgets: false, refuses: |_, _| false, writes: |_, _, _| {}, answers: None }
    }

    fn writing(world: &Scenario, writes: fn(Deed, &Study, &mut Study)) -> Self {
        Self { writes, ..Self::new(world) }
    }
}

/// Rows without the marks of what was executed.
struct Forgotten<'a>(&'a Rows);

impl StateReader for Forgotten<'_> {
    type Error = Infallible;
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Infallible> {
        if matches!(key, StateKey::Executed(_)) { Ok(None) } else { self.0.read(key) }
    }
}

impl Subject for Mistaken {
    fn execute(&self, rows: &Rows, block: &Proposed, paper: Option<&Paper>) -> Result<Changes, Rejection> {
        let Some(paper) = paper else { return Real.execute(rows, block, paper) };
        let before = rows.study(self.study).unwrap();
        if before.as_ref().is_some_and(|before| (self.refuses)(paper.deed, before)) {
            return Err(Rejection::Revoke(RevokeError::Study(StudyRefused::Unknown)));
        }
        let mut done = if self.forgets { changes(&Forgotten(rows), block) } else { changes(rows, block) }?;
        if let (Some(before), Some(Some(row))) = (before, done.get_mut(&StateKey::Study(self.study))) {
            let mut after: Study = encoding::decode(row).unwrap();
            (self.writes)(paper.deed, &before, &mut after);
            *row = encoding::encode(&after);
        }
        Ok(done)
    }

    fn authorise(&self, view: &View<'_, Rows>, clock: LocalTime, remote: Key, hello: &SignedHello) -> bool {
        let study = view.state.study(self.study).unwrap();
        match (self.answers, study) {
            (Some(answers), Some(study)) => answers(&study, remote, &hello.hello.claim),
            _ => Real.authorise(view, clock, remote, hello),
        }
    }
}

/// What the checker says of a ledger with a mistake.
fn found(subject: &impl Subject, world: &Scenario) -> String {
    let counterexample = explore(subject, world).expect_err("the checker finds the mistake").to_string();
    println!("{counterexample}");
    counterexample
}

#[test]
fn tombstones_that_are_forgotten() {
    let world = consent(false);
    let subject = Mistaken::writing(&world, |_, _, after| after.tombstones = Ascending::new());
    assert_eq!(
        found(&subject, &world),
        "in the world \"consent\":\n\
         1. the source defines the study for the patient (paper 0)\n\
         2. the patient revokes paper 1 (paper 6)\n\
         3. the patient grants to the recipient until half past hour 3 (paper 1)\n\
         then the recipient is authorised by paper 1, and nobody has consented to that now"
    );
}

#[test]
fn grants_that_outlive_their_delegation() {
    let world = consent(false);
    let subject = Mistaken::writing(&world, |deed, before, after| {
        if matches!(deed, Deed::Undelegate { .. }) {
            let lost = before.grants.iter().filter(|grant| after.grants.find(&grant.id).is_none());
            let kept = lost.map(|grant| LiveGrant { by: Capacity::Holder, ..*grant });
            let all = after.grants.iter().copied().chain(kept).collect();
            after.grants = Ascending::from_items(all).unwrap();
        }
    });
    assert_eq!(
        found(&subject, &world),
        "in the world \"consent\":\n\
         1. the source defines the study for the patient (paper 0)\n\
         2. the patient delegates to the helper until half past hour 2 (paper 3)\n\
         3. the helper grants to the recipient until half past hour 2 (paper 5)\n\
         4. the patient ends the delegation of the helper (paper 9)\n\
         then the recipient is authorised by paper 5, and nobody has consented to that now"
    );
}

#[test]
fn papers_that_are_taken_twice() {
    let world = consent(false);
    let subject = Mistaken { forgets: true, ..Mistaken::new(&world) };
    assert_eq!(
        found(&subject, &world),
        "in the world \"consent\":\n\
         1. the source defines the study for the patient (paper 0)\n\
         2. the patient grants to the recipient until half past hour 3 (paper 1)\n\
         3. the patient revokes paper 1 (paper 6)\n\
         4. the patient grants to the recipient until half past hour 3 (paper 1)\n\
         then the recipient is authorised by paper 1, and nobody has consented to that now"
    );
}

#[test]
fn a_gate_that_does_not_look_who_comes() {
    let world = consent(false);
    let answers = |study: &Study, remote: Key, claim: &Claim| match claim {
        Claim::Holder => study.holder == remote,
        Claim::Grant { grant, terms: _ } => study.grants.find(grant).is_some(),
    };
    let subject = Mistaken { answers: Some(answers), ..Mistaken::new(&world) };
    assert_eq!(
        found(&subject, &world),
        "in the world \"consent\":\n\
         1. the source defines the study for the patient (paper 0)\n\
         2. the patient grants to the recipient until half past hour 3 (paper 1)\n\
         then the patient is authorised by paper 1, and nobody has consented to that now"
    );
}

#[test]
fn delegations_that_survive_a_transfer() {
    let world = hands(false);
    let subject = Mistaken::writing(&world, |deed, before, after| {
        if matches!(deed, Deed::Transfer { .. }) {
            after.delegates = before.delegates.clone();
        }
    });
    let counterexample = found(&subject, &world);
    assert!(
        counterexample.ends_with(
            "2. the patient transfers to the new phone, keeping the grants (paper 3)\n\
             3. the helper grants to the recipient until half past hour 2 (paper 2)\n\
             then the recipient is authorised by paper 2, and nobody has consented to that now"
        ),
        "{counterexample}"
    );
}

#[test]
fn a_veto_that_stops_nothing() {
    let world = recovery(false);
    let subject = Mistaken::writing(&world, |deed, before, after| {
        if matches!(deed, Deed::Veto { .. }) {
            after.pending_recovery = before.pending_recovery;
        }
    });
    let counterexample = found(&subject, &world);
    assert!(counterexample.contains("the patient vetoes paper 2"), "{counterexample}");
    assert!(counterexample.ends_with("then the new phone holds the study, and the patient should"), "{counterexample}");
}

#[test]
fn a_veto_that_freezes_by_itself() {
    let world = recovery(false);
    let subject = Mistaken::writing(&world, |deed, _, after| after.frozen |= matches!(deed, Deed::Veto { .. }));
    let counterexample = found(&subject, &world);
    assert!(counterexample.ends_with("then the study is frozen, and should not be"), "{counterexample}");
}

#[test]
fn a_recovery_that_waits_less_than_it_should() {
    // The ledger as it is, held against delays that are longer than its own.
    let longer: [fn(&mut Scenario); 3] = [
        |world| world.delays.recovery += 1,
        |world| world.delays.recovery_heights += 1,
        |world| world.delays.grace += 1,
    ];
    for lengthen in longer {
        let mut world = recovery(false);
        lengthen(&mut world);
        let counterexample = found(&Real, &world);
        assert!(
            counterexample.ends_with("then the new phone holds the study, and the patient should"),
            "{counterexample}"
        );
    }
}

#[test]
fn a_revocation_that_is_refused() {
    let world = service(false);
    let refuses = |deed: Deed, study: &Study| matches!(deed, Deed::Revoke { .. }) && study.status != Status::Active;
    let subject = Mistaken { refuses, ..Mistaken::new(&world) };
    let counterexample = found(&subject, &world);
    assert!(counterexample.contains("then the last paper is refused, which stops what stands"), "{counterexample}");
}
