//! The status × action table of RULES §4, cell by cell, and once more through the ledger.

use clavicle_ledger::action::{
    Delegate, DelegateError, GrantError, NewStatus, RecoverStudy, RecoverStudyError, ReviseStudyError, SetStatusError,
    StudyRefused, TransferStudy, TransferStudyError, Undelegate, Veto, VetoError,
};
use clavicle_ledger::authorise::{Claim, Refused};
use clavicle_ledger::execute::Rejection;
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::TxId;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::study::{Deed, DelegateRole, Reason, Standing, Status};
use clavicle_ledger::transaction::Action;

use crate::world::{DAY, World, delegate, revise, secret};

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
    let (holder, grantee, friend, new) = (secret("holder"), secret("grantee"), secret("friend"), secret("new"));
    for column in 0..4usize {
        for reason in REASONS {
            let mut world = World::new(Parameters::default());
            let (study, mercy) = (world.id(1), world.hospitals[0].operational.clone());
            let until = world.now().day().plus(100);
            let helper = delegate(&secret("helper"), DelegateRole::Helper, until);
            world.define(1, &holder, vec![helper]).unwrap();
            let recover = |world: &mut World, to: &SecretKey| {
                let (source, new_holder) = (mercy.public(), to.public());
                let action = RecoverStudy { study, source, new_holder, completes: None };
                world.act(Action::RecoverStudy(action), &[&mercy, to])
            };
            let veto = |world: &mut World| {
                let pending = world.study(study).pending_recovery;
                let recovery = pending.map_or(TxId::from_bytes([0; 32]), |pending| pending.id);
                world.act(Action::Veto(Veto { study, holder: holder.public(), recovery }), &[&holder])
            };
            recover(&mut world, &new).unwrap();
            let granted = world.grant(study, &holder, &grantee.public(), world.terms(50 * DAY)).unwrap();
            match column {
                0 => {}
                1 => world.set_status(study, NewStatus::Suspended(reason)).unwrap(),
                2 => world.set_status(study, NewStatus::Withdrawn(reason)).unwrap(),
                _ => {
                    veto(&mut world).unwrap();
                    world.wait(30 * DAY);
                    recover(&mut world, &new).unwrap();
                }
            }
            let cell = |deed: Deed| TABLE.iter().find(|(row, _)| *row == deed).unwrap().1[column];
            let wrong_patient = column == 1 && reason == Reason::WrongPatient;

            let fetched = world.fetch(world.hello(study, granted.claim()), &grantee);
            assert_eq!(fetched.is_ok(), cell(Deed::GranteeFetch));
            assert!(fetched.is_ok() || matches!(fetched, Err(Refused::Status(_))));
            let fetched = world.fetch(world.hello(study, Claim::Holder), &holder);
            assert_eq!(fetched.is_ok(), cell(Deed::HolderFetch) && !wrong_patient);

            let standing = world.study(study).permits(Deed::Grant, world.header.time).err();
            let status = || StudyRefused::Status(standing.unwrap());
            // What the status forbids is refused for that, and what it does not forbid is done.
            let check = |deed, done: Result<(), Rejection>, refused: &dyn Fn() -> Rejection| {
                assert_eq!(done, if cell(deed) { Ok(()) } else { Err(refused()) }, "{deed:?} in column {column}");
            };
            let another = world.grant(study, &holder, &secret("another").public(), world.terms(DAY)).map(drop);
            check(Deed::Grant, another, &|| Rejection::Grant(GrantError::Study(status())));
            let friend = delegate(&friend, DelegateRole::Helper, until);
            let action = Action::Delegate(Delegate { study, holder: holder.public(), delegate: friend });
            let delegated = world.act(action, &[&holder]);
            check(Deed::Delegate, delegated, &|| Rejection::Delegate(DelegateError::Study(status())));
            let revised = world.act(revise(study, mercy.public(), 1), &[&mercy]);
            check(Deed::ReviseStudy, revised, &|| Rejection::ReviseStudy(ReviseStudyError::Study(status())));
            assert_eq!(world.revoke(study, &holder, granted.grant).is_ok(), cell(Deed::Revoke));
            assert!(world.fetch(world.hello(study, granted.claim()), &grantee).is_err());
            let action = Undelegate { study, holder: holder.public(), delegate: helper.key };
            let undelegated = world.act(Action::Undelegate(action), &[&holder]);
            check(Deed::Undelegate, undelegated, &|| unreachable!());
            // A frozen study has no pending recovery, which is all that keeps its holder from a veto.
            let none = Err(Rejection::Veto(VetoError::NotPending));
            assert_eq!(veto(&mut world), if column == 3 { none } else { Ok(()) });
            world.wait(if column == 1 { DAY } else { 30 * DAY });
            let transfer =
                TransferStudy { study, holder: holder.public(), new_holder: new.public(), keep_grants: false };
            let transferred = world.act(Action::TransferStudy(transfer), &[&holder, &new]);
            let refused = || Rejection::TransferStudy(TransferStudyError::Study(status()));
            check(Deed::TransferStudy, transferred, &refused);
            let refused = || Rejection::RecoverStudy(RecoverStudyError::Study(status()));
            // Suspended for one more month, the study can be asked for again.
            if column == 1 {
                world.wait(28 * DAY);
                world.set_status(study, NewStatus::Suspended(reason)).unwrap();
                world.wait(3 * DAY);
            }
            let recovered = recover(&mut world, &secret("newer"));
            check(Deed::RecoverStudy, recovered, &refused);
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
