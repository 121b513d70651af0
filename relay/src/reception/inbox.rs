//! The inbox: looks at each object before its sender is told that it was stored.

use std::sync::Arc;

use clavicle_dimse::{AeTitle, Allowance, Arriving, Declined, End, Ended, Received, Refusal, RefusalStatus, Sink};
use clavicle_ledger::time::LocalTime;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::reader::Reader;

use super::incoming::{Arrival, Incoming};
use crate::quarantine::Quarantine;
use crate::room::Sender;
use crate::seldom::seldom;

/// Looks with the relay's workers; what it refuses and can keep it keeps in quarantine.
pub(super) struct Inbox {
    pub(super) reader: Arc<dyn Reader>,
    pub(super) quarantine: Arc<Quarantine>,
    pub(super) incoming: Arc<Incoming>,
    pub(super) clock: fn() -> LocalTime,
}

/// More of what cannot be taken in came from there than is kept.
const TOO_MUCH: &str = "too much that cannot be taken in came from here; call the operator";
/// It cannot be taken in, and there is no room for more of that.
const NOT_KEPT: &str = "it cannot be taken in, and is not kept; call the operator";

impl Sink for Inbox {
    fn arriving(&self, object: &Arriving) -> Result<Box<dyn Allowance>, Refusal> {
        let sender = Sender::new(object.peer.ip(), &object.calling.to_string());
        Ok(Box::new(self.room_for(sender)?))
    }

    fn received(&self, object: &Received) -> Result<(), Refusal> {
        let sender = Sender::new(object.peer.ip(), &object.calling.to_string());
        // Before it is looked at, since it may be taken in meanwhile.
        self.incoming.came(&object.path, sender.clone(), object.size);
        self.judge(object, &sender).inspect_err(|_| self.incoming.gone(&object.path))?;
        self.incoming.acknowledged(&sender, object.size);
        Ok(())
    }

    fn refused(&self, object: &Arriving, why: &Declined) {
        let Arriving { peer, calling, called, .. } = object;
        seldom!(warn!(%peer, ?calling, ?called, %why, "an object was refused"));
    }

    /// Each kind of end has its own lines, so that many of one hide none of another.
    fn ended(&self, association: &Ended) {
        let Ended { peer, declined, stored, refused, bytes, lasted, end, .. } = association;
        let (calling, called) = (said(association.calling.as_ref()), said(association.called.as_ref()));
        match end {
            End::Rejected(_) => seldom!(warn!(%peer, calling, called, %end, "an association was rejected")),
            End::TurnedAway => seldom!(warn!(%peer, %end, "a connection was turned away")),
            End::Violation(_) => {
                seldom!(
                    warn!(%peer, calling, called, stored, refused, bytes, ?lasted, %end, "an association was aborted")
                );
            }
            End::Released => {
                seldom!(
                    info!(%peer, calling, called, declined, stored, refused, bytes, ?lasted, %end, "an association ended")
                );
            }
            _ => {
                seldom!(
                    warn!(%peer, calling, called, declined, stored, refused, bytes, ?lasted, %end, "an association broke off")
                );
            }
        }
    }
}

/// A title, for the log.
fn said(title: Option<&AeTitle>) -> &str {
    title.map_or("(none that can be read)", AeTitle::as_str)
}

impl Inbox {
    /// Room for an object, which may be one that can be taken in: whoever has none of the others in quarantine, or few, has it however many there are.
    fn room_for(&self, sender: Sender) -> Result<Arrival, Refusal> {
        if self.quarantine.is_used_up(&sender) {
            return Err(Refusal::new(RefusalStatus::OutOfResources, TOO_MUCH));
        }
        self.incoming.arriving(sender)
    }

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
                refuse(RefusalStatus::OutOfResources, NOT_KEPT)
            }
            Err(reason @ (ReadError::Unreadable(_) | ReadError::TooLarge)) => {
                let why = reason.to_string();
                let from = sender.line();
                match self.quarantine.keep(&object.path, &why, Some(sender), (self.clock)()) {
                    Ok(kept) => seldom!(warn!(kept, from, why, "a refused object is kept in quarantine")),
                    Err(error) => seldom!(error!(%error, from, why, "a refused object could not be kept")),
                }
                refuse(RefusalStatus::CannotUnderstand, &why)
            }
            Err(reason) => refuse(RefusalStatus::ProcessingFailure, &reason.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::IpAddr;

    use clavicle_ledger::time::Timestamp;
    use clavicle_sandbox::reader::Here;

    use super::*;
    use crate::room::{DiskSettings, Room};

    /// Once the quarantine was full every sender was refused, with images as with anything else.
    #[test]
    fn a_quarantine_that_others_filled_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let limit = 1_000;
        let clock = || LocalTime(Timestamp(7));
        let quarantine = Arc::new(Quarantine::open(&folder.path().join("quarantine"), limit).unwrap());
        let room = Room::at(folder.path(), &DiskSettings { reserve_mib: Some(0), ..DiskSettings::default() });
        let incoming = Arc::new(Incoming::open(&folder.path().join("incoming"), 1 << 30, room));
        let inbox = Inbox { reader: Arc::new(Here), quarantine, incoming, clock };
        let sender = |last, title: &str| Sender::new(IpAddr::from([10, 0, 0, last]), title);
        let junk = folder.path().join("junk");
        for address in 0..14 {
            fs::write(&junk, [0; 250]).unwrap();
            let (sender, path) = (sender(address, "LIAR"), folder.path().join(format!("junk-{address}")));
            fs::rename(&junk, &path).unwrap();
            inbox.quarantine.keep(&path, "junk", Some(&sender), clock()).unwrap();
        }
        let ct = sender(100, "CT");
        assert!(inbox.quarantine.used() > limit && !inbox.quarantine.fits(&ct, 1));
        assert!(inbox.room_for(ct).is_ok(), "an image may come");
        let refused = inbox.room_for(sender(0, "LIAR")).err().expect("whoever filled it sends no more");
        assert_eq!(refused.status(), RefusalStatus::OutOfResources);
        // Also after a restart.
        let inbox = Inbox {
            quarantine: Arc::new(Quarantine::open(&folder.path().join("quarantine"), limit).unwrap()),
            ..inbox
        };
        assert!(inbox.room_for(sender(0, "LIAR")).is_err() && inbox.room_for(sender(100, "CT")).is_ok());
    }
}
