//! Events: what a block did, for those who watch. They add nothing to the state and are not agreed on separately.
//!
//! Relays keep them: a new one goes to the end, and none changes.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::id::{AnchorRoot, BallotId, GrantId, SourceId, StudyId, TxId};
use crate::key::Key;
use crate::study::{Lapse, Status};
use crate::time::{Epoch, Height};

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
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
    /// Somebody may grant in the holder's place.
    Delegated {
        /// On which study.
        study: StudyId,
        /// Who.
        delegate: Key,
    },
    /// Somebody may no more.
    Undelegated {
        /// On which study.
        study: StudyId,
        /// Who.
        delegate: Key,
    },
    /// A study has another holder.
    ChangedHands {
        /// Which.
        study: StudyId,
        /// Whose it is.
        holder: Key,
    },
    /// A recovery was asked for, and can be vetoed.
    RecoveryAsked {
        /// Of which study.
        study: StudyId,
        /// By which transaction.
        recovery: TxId,
        /// For whom.
        new_holder: Key,
    },
    /// A recovery was vetoed.
    Vetoed {
        /// Of which study.
        study: StudyId,
        /// Which.
        recovery: TxId,
    },
    /// A study is frozen until a vote says whose it is.
    Frozen {
        /// Which.
        study: StudyId,
    },
    /// A vote said whose a study is.
    Settled {
        /// Which.
        study: StudyId,
        /// Whose it is.
        holder: Key,
    },
    /// A source committed to its receipts.
    Anchored {
        /// Which.
        source: SourceId,
        /// The anchor's number.
        sequence: u64,
        /// To what.
        root: AnchorRoot,
        /// To how many.
        count: u64,
    },
    /// A validator voted.
    Voted {
        /// Which.
        source: SourceId,
        /// For what.
        ballot: BallotId,
    },
    /// A vote passed.
    Passed {
        /// For what.
        ballot: BallotId,
    },
    /// A vote changed what a source is.
    SourceChanged {
        /// Which.
        source: SourceId,
    },
    /// A validator was shown to have signed twice.
    Equivocated {
        /// Which.
        source: SourceId,
        /// At which height.
        height: Height,
        /// In which round.
        round: u32,
        /// Whether that suspended it.
        suspended: bool,
    },
    /// Something on a study ended by itself.
    Lapsed {
        /// On which study.
        study: StudyId,
        /// What.
        lapse: Lapse,
    },
}
