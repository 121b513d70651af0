//! Events: what a block did, for those who watch. They add nothing to the state and are not agreed on separately.

use crate::id::{GrantId, SourceId, StudyId};
use crate::key::Key;
use crate::study::{Lapse, Status};
use crate::time::{Epoch, Height};

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An epoch began, and with it the keys announced in the one before.
    EpochBegan {
        /// Which.
        epoch: Epoch,
        /// At which height.
        height: Height,
    },
    /// A source was announced anew.
    SourceDefined {
        /// Which.
        source: SourceId,
        /// The announcement's number.
        version: u64,
    },
    /// A study came onto the ledger.
    StudyDefined {
        /// Which.
        study: StudyId,
        /// By which source.
        source: SourceId,
    },
    /// A study's manifest was revised.
    StudyRevised {
        /// Which.
        study: StudyId,
        /// To which revision.
        revision: u32,
    },
    /// A study's status was set.
    StatusSet {
        /// Which.
        study: StudyId,
        /// To what.
        status: Status,
    },
    /// A grant was made.
    Granted {
        /// On which study.
        study: StudyId,
        /// Which.
        grant: GrantId,
        /// To whom.
        grantee: Key,
    },
    /// A holder's grant took the place of a delegate's to the same key.
    Replaced {
        /// On which study.
        study: StudyId,
        /// The delegate's.
        grant: GrantId,
        /// The holder's.
        by: GrantId,
    },
    /// A grant was ended.
    Revoked {
        /// On which study.
        study: StudyId,
        /// Which.
        grant: GrantId,
    },
    /// A grant was ended before it arrived.
    Buried {
        /// On which study.
        study: StudyId,
        /// Which.
        grant: GrantId,
    },
    /// Something on a study ended by itself.
    Lapsed {
        /// On which study.
        study: StudyId,
        /// What.
        lapse: Lapse,
    },
}
