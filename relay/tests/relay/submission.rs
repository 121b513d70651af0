//! Transactions that come in: what binds this hospital at once, and what only waits.

use std::collections::BTreeSet;

use clavicle_consensus::Waker;
use clavicle_ledger::action::Revoke;
use clavicle_ledger::encoding;
use clavicle_ledger::id::GrantId;
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::{Action, Body};
use clavicle_relay::service::Service;
use clavicle_relay::submission::{Fate, From, Running};
use tokio::sync::watch;

use crate::chain::secret;
use crate::clocks::Hospital;

/// One hospital signed such revocations on its own studies, and filled everybody's room for them. Each that was sent again had everybody who
/// was being sent images asked about again.
#[test]
fn a_revocation_binds_the_hospital_that_serves_the_study_and_no_other() {
    for (number, serves) in [(0, true), (1, false)] {
        let hospital = Hospital::number(number);
        let Service { submission, store, member, .. } = &hospital.service;
        let connected = watch::channel(BTreeSet::new()).1;
        let running = Running { waker: Waker::default(), publish: Box::new(|_| ()), connected };
        submission.running.set(running).ok().unwrap();
        let sign = |nonce, grant_submit_by| {
            let (holder, grant) = (secret("holder"), GrantId::from_bytes([nonce; 32]));
            let revoke = Revoke { study: hospital.study, revoker: holder.public(), grant, grant_submit_by };
            let submit_by = store.head().unwrap().time.timestamp().plus(60_000);
            Body { submit_by, nonce: [nonce; 16], action: Action::Revoke(revoke) }
                .sign(&member.chain, &[&holder])
                .unwrap()
        };
        let mut changes = store.changes();
        let endless = sign(1, Timestamp(u64::MAX));
        for time in 0..3 {
            submission.take(&encoding::encode(&endless), From::Gossip).unwrap_err();
            assert_eq!(changes.has_changed().unwrap(), serves && time == 0, "{number}, {time}");
            changes.mark_unchanged();
        }
        assert_eq!(submission.seen.set().len(), usize::from(serves));
        // One that a block takes waits for it everywhere.
        let sound = sign(2, Timestamp(0));
        let taken = submission.take(&encoding::encode(&sound), From::Somebody).unwrap();
        assert_eq!((taken.fate, taken.receipt.is_some()), (Fate::Waits, serves));
        assert_eq!(submission.mempool.hashes(), [sound.hash()]);
    }
}
