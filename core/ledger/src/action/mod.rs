//! What can be done: one file an action, with its data, its rules, its errors.
//!
//! | action | file | what it does (RULES §3, §8, §9) |
//! |---|---|---|
//! | DefineSource | `define_source` | a source announces itself anew |
//! | DefineStudy | `define_study` | a study comes onto the ledger |
//! | ReviseStudy | `revise_study` | a study's manifest is revised |
//! | SetStatus | `set_status` | a study is suspended, resumed or withdrawn |
//! | Grant | `grant` | a grantee may fetch |
//! | Revoke | `revoke` | and no longer |
//! | Delegate | `delegate` | somebody may grant in the holder's place |
//! | Undelegate | `undelegate` | and no longer |
//! | TransferStudy | `transfer_study` | a study changes hands |
//! | RecoverStudy | `recover_study` | a study whose key was lost gets a new holder |
//! | Veto | `veto` | unless its holder says no |
//! | Anchor | `anchor` | a source commits to its receipts |
//! | Vote | `vote` | the validators decide how the network goes on |
//! | Evidence | `evidence` | a validator signed twice |
//!
//! What is done with every action comes from one list, `actions`: a new one is a file with its `Act`, and a line there.
//!
//! `check_stateless` says what is wrong whatever the state; `execute` says what is wrong now, and otherwise writes. Every cap is
//! enforced in `execute`, where a malicious proposer cannot go round it.

mod anchor;
mod define_source;
mod define_study;
mod delegate;
mod evidence;
mod grant;
mod recover_study;
mod revise_study;
mod revoke;
mod set_status;
mod stateless;
mod transfer_study;
mod undelegate;
mod veto;
mod vote;

use alloc::vec::Vec;

use crate::domain::Tag;
use crate::event::Event;
use crate::expiry;
use crate::id::{ChainId, GrantId, SourceId, StudyId, TxId};
use crate::key::Key;
use crate::source::{Admitted, KeyRole, KeyUse, Source, SourceKind};
use crate::state::{Overlay, ReadError, ReadRows as _, Rules, StateKey, StateReader};
use crate::study::{Deed, Standing, Study};
use crate::time::{BlockTime, Epoch, Height};
use crate::validators::ValidatorSet;

/// Every action: its file, its type, why it is refused, its number.
macro_rules! actions {
    ($go:ident) => {
        $go! {
            /// A source announces itself anew.
            define_source: DefineSource, DefineSourceError = 0;
            /// A study comes onto the ledger.
            define_study: DefineStudy, DefineStudyError = 1;
            /// A study's manifest is revised.
            revise_study: ReviseStudy, ReviseStudyError = 2;
            /// A study is suspended, resumed or withdrawn.
            set_status: SetStatus, SetStatusError = 3;
            /// The holder, or a delegate, lets a grantee fetch.
            grant: Grant, GrantError = 4;
            /// A grant ends.
            revoke: Revoke, RevokeError = 5;
            /// Somebody may grant in the holder's place.
            delegate: Delegate, DelegateError = 6;
            /// A delegation ends.
            undelegate: Undelegate, UndelegateError = 7;
            /// A study changes hands.
            transfer_study: TransferStudy, TransferStudyError = 8;
            /// A study whose key was lost gets a new holder.
            recover_study: RecoverStudy, RecoverStudyError = 9;
            /// The holder stops that.
            veto: Veto, VetoError = 10;
            /// A source commits to its receipts.
            anchor: Anchor, AnchorError = 11;
            /// A validator votes on how the network goes on.
            vote: Vote, VoteError = 12;
            /// A validator signed twice.
            evidence: Evidence, EvidenceError = 13;
        }
    };
}
pub(crate) use actions;

macro_rules! each {
    ($($(#[$doc:meta])* $file:ident: $name:ident, $error:ident = $number:literal;)*) => {
        $(pub use self::$file::{$error, $name};)*
    };
}
actions!(each);
pub use self::evidence::{Conflict, Signed};
pub use self::set_status::NewStatus;
pub use self::stateless::{Precedence, StatelessError};
pub use self::vote::Content;

/// What every action says of itself.
pub(crate) trait Act {
    /// What its signers sign begins with this.
    const TAG: Tag;
    /// Where it stands within a block.
    const PRECEDENCE: Precedence = Precedence::Rest;
    /// Why it is refused in a state.
    type Refused;

    /// Who must sign, in the order in which the body names them.
    fn signers(&self) -> Vec<Key>;

    /// Whose lane it waits in.
    fn author(&self) -> Author;

    /// Checks what is wrong whatever the state, the cheapest first; the envelope's signatures are checked elsewhere.
    fn check_stateless(&self, _: &ChainId) -> Result<(), StatelessError> {
        Ok(())
    }

    /// Checks what is wrong now, and otherwise writes.
    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>>;
}

/// Who acts, as far as the action itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Author {
    /// The source that has this key.
    Source(Key),
    /// A holder or delegate, on this study.
    OnStudy(StudyId, Key),
    /// Anybody, against whoever has this consensus key.
    Accuser(Key),
}

/// Why an action did not happen: the action's own reason, or a state that could not be read.
pub(crate) enum Failed<A, E> {
    Refused(A),
    Read(ReadError<E>),
}

impl<A, E> From<ReadError<E>> for Failed<A, E> {
    fn from(error: ReadError<E>) -> Self {
        Self::Read(error)
    }
}

impl<A, E> Failed<A, E> {
    pub(crate) fn map<B>(self, wider: impl FnOnce(A) -> B) -> Failed<B, E> {
        match self {
            Self::Refused(reason) => Failed::Refused(wider(reason)),
            Self::Read(error) => Failed::Read(error),
        }
    }
}

/// Turns a rule into a refusal: `rule(holds, reason)?`.
pub(crate) fn rule<A, E>(holds: bool, otherwise: A) -> Result<(), Failed<A, E>> {
    if holds { Ok(()) } else { Err(Failed::Refused(otherwise)) }
}

/// Why a source may not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceRefused {
    /// The key is nobody's operational key.
    #[error("the signing key is no source's operational key")]
    Unknown,
    /// The key was, or will be, an operational key.
    #[error("the signing key is not in force in this epoch: it was replaced, or was announced only just now")]
    NotInForce,
    /// The source is suspended.
    #[error("the source is suspended from the network: the validators let it act again by vote")]
    Suspended,
    /// Another source has taken over.
    #[error("another source has taken over from this one and acts in its place")]
    Succeeded,
}

/// Why nothing can be done on a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StudyRefused {
    /// Not on the ledger.
    #[error("no such study is on the ledger")]
    Unknown,
    /// Its status forbids it.
    #[error("the study is {0}, and this cannot be done on it")]
    Status(Standing),
    /// Another source's.
    #[error("the study is another source's")]
    NotYours,
    /// Somebody else's.
    #[error("the signing key does not hold the study")]
    NotHolder,
}

/// What an action sees and writes: the state with this block's changes so far, the block's time and place, and the transaction.
pub(crate) struct Context<'a, 'b, R> {
    pub(crate) state: &'b mut Overlay<'a, R>,
    pub(crate) events: &'b mut Vec<Event>,
    pub(crate) rules: &'b Rules,
    pub(crate) now: BlockTime,
    pub(crate) height: Height,
    pub(crate) epoch: Epoch,
    /// The time of the first block after the newest halt, this block included.
    pub(crate) resumed: Option<BlockTime>,
    /// The earliest epoch that equivocations are still looked into of.
    pub(crate) evidence_from: Epoch,
    /// Who decides this block.
    pub(crate) validators: &'b ValidatorSet,
    pub(crate) id: TxId,
}

impl<R: StateReader> Context<'_, '_, R> {
    /// The source whose operational key this is, if it is not suspended.
    pub(crate) fn acting_source<A: From<SourceRefused>>(&self, key: Key) -> Result<SourceId, Failed<A, R::Error>> {
        let (id, source) = self.signing_source(key)?;
        rule(!source.suspended, SourceRefused::Suspended.into())?;
        Ok(id)
    }

    /// The source whose operational key this is, suspended or not.
    pub(crate) fn signing_source<A: From<SourceRefused>>(
        &self,
        key: Key,
    ) -> Result<(SourceId, Source), Failed<A, R::Error>> {
        let unknown = || Failed::Refused(SourceRefused::Unknown.into());
        let Some(KeyUse { source: id, role: KeyRole::Operational }) = self.state.key_use(key)? else {
            return Err(unknown());
        };
        let source = self.state.source(id)?.ok_or_else(unknown)?;
        rule(source.successor.is_none(), SourceRefused::Succeeded.into())?;
        rule(source.keys_in(self.epoch).operational == key, SourceRefused::NotInForce.into())?;
        Ok((id, source))
    }

    /// Whether `source` keeps the study: it defined it, or took over from the one that did.
    pub(crate) fn check_keeps<A: From<StudyRefused>>(
        &self,
        source: SourceId,
        study: &Study,
    ) -> Result<(), Failed<A, R::Error>> {
        rule(self.state.keeper(study)? == source, StudyRefused::NotYours.into())
    }

    /// A study that `holder` holds, if `deed` may be done on it.
    pub(crate) fn held_study<A: From<StudyRefused>>(
        &mut self,
        id: StudyId,
        holder: Key,
        deed: Deed,
    ) -> Result<Study, Failed<A, R::Error>> {
        let study = self.study_for(id, deed)?;
        rule(study.holder == holder, StudyRefused::NotHolder.into())?;
        Ok(study)
    }

    /// Whether at least `least` could decide the next epoch without `id`. Reads no further than it must: a roster is long.
    pub(crate) fn others_decide(&self, id: SourceId, least: usize) -> Result<bool, ReadError<R::Error>> {
        let (next, mut left) = (self.epoch.saturating_add(1), least);
        for Admitted { source: other, kind } in &self.state.roster()?.admitted {
            if left == 0 {
                break;
            }
            if *other == id || *kind != SourceKind::Validator {
                continue;
            }
            let source: Source = self.state.required(&StateKey::Source(*other))?;
            left = left.saturating_sub(usize::from(source.decides_in(next).is_some()));
        }
        Ok(left == 0)
    }

    /// Says of grants that they ended.
    pub(crate) fn revoked(&mut self, study: StudyId, grants: Vec<GrantId>) {
        self.events.extend(grants.into_iter().map(|grant| Event::Revoked { study, grant }));
    }

    /// A study as it is now, with what has ended taken out, if `deed` may be done on it.
    pub(crate) fn study_for<A: From<StudyRefused>>(
        &mut self,
        id: StudyId,
        deed: Deed,
    ) -> Result<Study, Failed<A, R::Error>> {
        let study = self.study(id)?;
        study.permits(deed, self.now).map_err(|standing| Failed::Refused(StudyRefused::Status(standing).into()))?;
        Ok(study)
    }

    /// A study as it is now, with what has ended taken out.
    pub(crate) fn study<A: From<StudyRefused>>(&mut self, id: StudyId) -> Result<Study, Failed<A, R::Error>> {
        let mut study = self.state.study(id)?.ok_or_else(|| Failed::Refused(StudyRefused::Unknown.into()))?;
        let lapses = study.settle(self.now);
        self.events.extend(lapses.into_iter().map(|lapse| Event::Lapsed { study: id, lapse }));
        Ok(study)
    }

    /// Writes a study that this transaction touched, and has it looked at when the next thing on it ends.
    pub(crate) fn put_study(&mut self, id: StudyId, mut study: Study) -> Result<(), ReadError<R::Error>> {
        study.record_event(&self.rules.chain, self.id, self.height);
        self.state.put(StateKey::Study(id), &study);
        expiry::schedule(self.state, id, &study)
    }
}
