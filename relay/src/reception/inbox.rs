//! The inbox: looks at each object before its sender is told that it was stored.

use std::sync::Arc;

use clavicle_dimse::{Allowance, Arriving, Ended, Received, Refusal, RefusalStatus, Sink};
use clavicle_ledger::time::LocalTime;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::Reader;
use tracing::{info, warn};

use super::incoming::Incoming;
use crate::quarantine::Quarantine;
use crate::room::Sender;

/// Looks with the relay's workers; what it refuses and can keep it keeps in quarantine.
pub(super) struct Inbox {
    pub(super) reader: Arc<dyn Reader>,
    pub(super) quarantine: Arc<Quarantine>,
    pub(super) incoming: Arc<Incoming>,
    pub(super) clock: fn() -> LocalTime,
}

/// More of what cannot be taken in came from there than is kept.
const TOO_MUCH: &str = "too much that cannot be taken in came from here; call the operator";

impl Sink for Inbox {
    fn arriving(&self, object: &Arriving) -> Result<Box<dyn Allowance>, Refusal> {
        let sender = Sender::new(object.peer.ip(), &object.calling.to_string());
        if !self.quarantine.fits(&sender, 0) {
            return Err(Refusal::new(RefusalStatus::OutOfResources, TOO_MUCH));
        }
        Ok(Box::new(self.incoming.arriving(sender)?))
    }

    fn received(&self, object: &Received) -> Result<(), Refusal> {
        let sender = Sender::new(object.peer.ip(), &object.calling.to_string());
        // Before it is looked at, since it may be taken in meanwhile.
        self.incoming.came(&object.path, sender.clone(), object.size);
        self.judge(object, &sender).inspect_err(|_| self.incoming.gone(&object.path))
    }

    fn ended(&self, association: &Ended) {
        let Ended { stored, refused, bytes, lasted, end, .. } = association;
        info!(stored, refused, bytes, ?lasted, %end, "an association ended");
    }
}

impl Inbox {
    fn judge(&self, object: &Received, sender: &Sender) -> Result<(), Refusal> {
        let refuse = |status, why: &str| Err(Refusal::new(status, why));
        match self.reader.inspect_one(&object.path) {
            Ok(seen) if seen.facts.sop_instance_uid != object.sop_instance_uid => {
                refuse(RefusalStatus::DataSetDoesNotMatch, "the data set has another SOP Instance UID")
            }
            Ok(seen) if seen.facts.sop_class_uid != object.sop_class_uid => {
                refuse(RefusalStatus::DataSetDoesNotMatch, "the data set has another SOP Class UID")
            }
            Ok(_) => Ok(()),
            // Its sender has it still, and keeps it when it is told so.
            Err(ReadError::Unreadable(_) | ReadError::TooLarge) if !self.quarantine.fits(sender, object.size) => {
                refuse(RefusalStatus::OutOfResources, TOO_MUCH)
            }
            Err(reason @ (ReadError::Unreadable(_) | ReadError::TooLarge)) => {
                let why = reason.to_string();
                if let Err(error) = self.quarantine.keep(&object.path, &why, Some(sender), (self.clock)()) {
                    warn!(%error, "a refused object could not be kept");
                }
                refuse(RefusalStatus::CannotUnderstand, &why)
            }
            Err(reason) => refuse(RefusalStatus::ProcessingFailure, &reason.to_string()),
        }
    }
}
