//! The inbox: looks at each object before its sender is told that it was stored.

use std::sync::Arc;

use clavicle_imaging::dimse::{Ended, Received, Refusal, RefusalStatus, Sink};
use clavicle_imaging::intake::Reason;
use clavicle_imaging::reader::Reader;
use clavicle_ledger::time::LocalTime;
use tracing::{info, warn};

use super::Quarantine;

/// Looks with the relay's workers; what it refuses and can keep it keeps in quarantine.
pub(super) struct Inbox {
    pub(super) reader: Reader,
    pub(super) quarantine: Arc<Quarantine>,
    pub(super) clock: fn() -> LocalTime,
}

impl Sink for Inbox {
    fn received(&self, object: &Received) -> Result<(), Refusal> {
        let refuse = |status, why: &str| Err(Refusal::new(status, why));
        if self.quarantine.is_full() {
            return refuse(RefusalStatus::OutOfResources, "the quarantine is full; its operator must clear it");
        }
        match self.reader.inspect_one(&object.path) {
            Ok(seen) if seen.facts.sop_instance_uid != object.sop_instance_uid => {
                refuse(RefusalStatus::DataSetDoesNotMatch, "the data set has another SOP Instance UID")
            }
            Ok(seen) if seen.facts.sop_class_uid != object.sop_class_uid => {
                refuse(RefusalStatus::DataSetDoesNotMatch, "the data set has another SOP Class UID")
            }
            Ok(_) => Ok(()),
            Err(reason @ (Reason::Unreadable(_) | Reason::TooLarge)) => {
                let why = reason.to_string();
                if let Err(error) = self.quarantine.keep(&object.path, &why, (self.clock)()) {
                    warn!(%error, "a refused object could not be kept");
                }
                refuse(RefusalStatus::CannotUnderstand, &why)
            }
            Err(reason) => refuse(RefusalStatus::ProcessingFailure, &reason.to_string()),
        }
    }

    fn ended(&self, association: &Ended) {
        let Ended { stored, refused, bytes, lasted, end, .. } = association;
        info!(stored, refused, bytes, ?lasted, %end, "an association ended");
    }
}
