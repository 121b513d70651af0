//! The status × action table of RULES §4, cell by cell, and once more through the ledger where the action exists.

use clavicle_ledger::action::{GrantError, NewStatus, ReviseStudyError, SetStatusError, StudyRefused};
use clavicle_ledger::authorise::{Claim, Refused};
use clavicle_ledger::execute::Rejection;
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::state::StateKey;
use clavicle_ledger::study::{Deed, Reason, Standing, Status};

use crate::world::{DAY, World, revise, secret};

const REASONS: [Reason; 7] = [
    Reason::Quality,
    Reason::PatientSafety,
    Reason::WrongPatient,
    Reason::Retention,
    Reason::UnderReview,
    Reason::LegalOrder,
    Reason::Other,
];

/// Rows as in the table: Active, Suspended, Withdrawn, Frozen.
const TABLE: [(Deed, [bool; 4]); 10] = [
    (Deed::GranteeFetch, [true, false, false, true]),
    (Deed::HolderFetch, [true, true, false, true]), // suspended: unless the reason is "wrong patient"
    (Deed::Grant, [true, false, false, false]),
    (Deed::Delegate, [true, false, false, false]),
    (Deed::Revoke, [true, true, true, true]),
    (Deed::Undelegate, [true, true, true, true]),
    (Deed::Veto, [true, true, true, true]),
    (Deed::TransferStudy, [true, true, false, false]),
    (Deed::RecoverStudy, [true, true, false, false]),
    (Deed::ReviseStudy, [true, true, false, true]),
];

#[test]
fn every_cell() {
    for (deed, row) in TABLE {
        for reason in REASONS {
            let columns =
                [Standing::Active, Standing::Suspended(reason), Standing::Withdrawn(reason), Standing::Frozen];
            for (standing, allowed) in columns.into_iter().zip(row) {
                let wrong_patient = deed == Deed::HolderFetch && standing == Standing::Suspended(Reason::WrongPatient);
                assert_eq!(standing.permits(deed), allowed && !wrong_patient, "{deed:?} on {standing:?}");
            }
        }
    }
}

#[test]
fn every_cell_through_the_ledger() {
    let (holder, grantee) = (secret("holder"), secret("grantee"));
    for column in 0..4usize {
        for reason in REASONS {
            let mut world = World::new(Parameters::default());
            let (id, mercy) = (world.id(1), world.hospitals[0].operational.clone());
            world.define(1, &holder, Vec::new()).unwrap();
            let granted = world.grant(id, &holder, &grantee.public(), world.terms(5 * DAY)).unwrap();
            match column {
                0 => {}
                1 => world.set_status(id, NewStatus::Suspended(reason)).unwrap(),
                2 => world.set_status(id, NewStatus::Withdrawn(reason)).unwrap(),
                _ => {
                    // Nothing in this part of the ledger freezes a study yet, so the record is written as it will be.
                    let mut study = world.study(id);
                    study.frozen = true;
                    world.rewrite(StateKey::Study(id), Some(clavicle_ledger::encoding::encode(&study)));
                }
            }
            let cell = |deed: Deed| TABLE.iter().find(|(row, _)| *row == deed).unwrap().1[column];
            let wrong_patient = column == 1 && reason == Reason::WrongPatient;

            let fetched = world.fetch(world.hello(id, granted.claim()), &grantee);
            assert_eq!(fetched.is_ok(), cell(Deed::GranteeFetch));
            assert!(fetched.is_ok() || matches!(fetched, Err(Refused::Status(_))));
            let fetched = world.fetch(world.hello(id, Claim::Holder), &holder);
            assert_eq!(fetched.is_ok(), cell(Deed::HolderFetch) && !wrong_patient);

            let another = world.grant(id, &holder, &secret("another").public(), world.terms(DAY));
            assert_eq!(another.is_ok(), cell(Deed::Grant));
            assert!(
                another.is_ok() || matches!(another, Err(Rejection::Grant(GrantError::Study(StudyRefused::Status(_)))))
            );
            let revised = world.act(revise(id, mercy.public(), 1), &[&mercy]);
            assert_eq!(revised.is_ok(), cell(Deed::ReviseStudy));
            assert!(
                revised.is_ok()
                    || matches!(revised, Err(Rejection::ReviseStudy(ReviseStudyError::Study(StudyRefused::Status(_)))))
            );
            assert_eq!(world.revoke(id, &holder, granted.grant).is_ok(), cell(Deed::Revoke));
            assert!(world.fetch(world.hello(id, granted.claim()), &grantee).is_err());
        }
    }
}

#[test]
fn withdrawal_is_final() {
    let mut world = World::new(Parameters::default());
    let id = world.id(1);
    world.define(1, &secret("holder"), Vec::new()).unwrap();
    world.set_status(id, NewStatus::Withdrawn(Reason::Retention)).unwrap();
    for status in [NewStatus::Active, NewStatus::Suspended(Reason::Other), NewStatus::Withdrawn(Reason::Other)] {
        assert_eq!(world.set_status(id, status), Err(Rejection::SetStatus(SetStatusError::Final)));
    }
}

#[test]
fn a_suspension_for_a_wrong_patient_does_not_lapse() {
    let mut world = World::new(Parameters::default());
    let id = world.id(1);
    world.define(1, &secret("holder"), Vec::new()).unwrap();
    world.set_status(id, NewStatus::Suspended(Reason::WrongPatient)).unwrap();
    world.wait(400 * DAY);
    let fetched = world.fetch(world.hello(id, Claim::Holder), &secret("holder"));
    assert_eq!(fetched.unwrap_err(), Refused::Status(Standing::Suspended(Reason::WrongPatient)));
    world.set_status(id, NewStatus::Active).unwrap();
    assert!(world.fetch(world.hello(id, Claim::Holder), &secret("holder")).is_ok());
}

#[test]
fn a_suspension_lapses_unless_renewed() {
    let mut world = World::new(Parameters::default());
    let id = world.id(1);
    world.define(1, &secret("holder"), Vec::new()).unwrap();
    assert_eq!(world.set_status(id, NewStatus::Active), Err(Rejection::SetStatus(SetStatusError::NotSuspended)));
    world.set_status(id, NewStatus::Suspended(Reason::UnderReview)).unwrap();
    world.wait(20 * DAY);
    world.set_status(id, NewStatus::Suspended(Reason::UnderReview)).unwrap();
    world.wait(29 * DAY);
    assert!(matches!(world.study(id).status, Status::Suspended { .. }));
    world.wait(DAY - 1);
    assert!(matches!(world.study(id).status, Status::Suspended { .. }));
    world.wait(1);
    assert_eq!(world.study(id).status, Status::Active);
    assert_eq!(world.study(id).status_number, 2);
    world.set_status(id, NewStatus::Suspended(Reason::UnderReview)).unwrap();
    world.set_status(id, NewStatus::Active).unwrap();
    assert_eq!(world.study(id).status, Status::Active);
}
