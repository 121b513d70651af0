//! DefineStudy: a study comes onto the ledger, signed by the source that made it and the patient who will hold it.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, SourceRefused, StatelessError, rule};
use crate::domain::Tag;
use crate::encoding::Ascending;
use crate::event::Event;
use crate::id::{ChainId, EventHash, ManifestRoot, StudyDigest, StudyId};
use crate::key::Key;
use crate::source::Registered;
use crate::state::{ReadRows as _, StateKey, StateReader};
use crate::study::{DayCounts, Delegate, MAX_DELEGATES, Powers, Status, Study};

/// The action. Signed by `source` and `holder`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DefineStudy {
    /// Which study: its UID under a fresh salt. With the source it makes the [`StudyId`].
    pub digest: StudyDigest,
    /// The source's operational key.
    pub source: Key,
    /// The key that will control it.
    pub holder: Key,
    /// Those who may grant in the holder's place from the start: a guardian, the care team.
    pub delegates: Ascending<Delegate, MAX_DELEGATES>,
    /// The root of the manifest's revision 0.
    pub manifest_root: ManifestRoot,
    /// More instances are expected.
    pub open: bool,
}

/// Why a DefineStudy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefineStudyError {
    /// See [`SourceRefused`].
    #[error(transparent)]
    Source(#[from] SourceRefused),
    /// There is one.
    #[error("the study is on the ledger already and has its holder")]
    Exists,
    /// The epoch's studies are used up.
    #[error("the source defined {0} studies in this epoch, the most it may; the next is possible in the next epoch")]
    Quota(u32),
    /// The holder, or a source's key.
    #[error("a delegate is somebody else than the holder, with a key that no source announced")]
    DelegateIsParty,
    /// Powers nobody knows.
    #[error("a delegate's powers name none, or some that do not exist")]
    Powers,
    /// Over before it began.
    #[error("a delegation has ended already")]
    DelegationOver,
}

impl Act for DefineStudy {
    const TAG: Tag = Tag::DEFINE_STUDY;
    type Refused = DefineStudyError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.source, self.holder])
    }

    fn author(&self) -> Author {
        Author::Source(self.source)
    }

    fn check_stateless(&self, _: &ChainId) -> Result<(), StatelessError> {
        let Self { digest: _, source, holder, delegates, manifest_root: _, open: _ } = self;
        for Delegate { key, role: _, powers, expiry_day: _ } in delegates {
            if key == holder || key == source {
                return Err(DefineStudyError::DelegateIsParty.into());
            }
            if *powers == Powers(0) || !Powers::ALL.include(*powers) {
                return Err(DefineStudyError::Powers.into());
            }
            key.check().map_err(|error| StatelessError::Key { role: "delegate", error })?;
        }
        Ok(())
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use DefineStudyError as Error;
        let Self { digest, source: source_key, holder, delegates, manifest_root, open } = self;

        let source = context.acting_source::<Error>(*source_key)?;
        let id = StudyId::of(&context.rules.chain, source, *digest);
        let mut activity = context.state.activity(source)?.in_epoch(context.epoch);
        let quota = context.rules.parameters.studies_per_epoch;
        rule(activity.studies < quota, Error::Quota(quota))?;
        rule(
            context.state.read(&StateKey::Study(id)).map_err(crate::state::ReadError::Storage)?.is_none(),
            Error::Exists,
        )?;
        rule(delegates.iter().all(|delegate| delegate.is_live(context.now)), Error::DelegationOver)?;
        for delegate in delegates {
            rule(context.state.key_use(delegate.key)?.is_none(), Error::DelegateIsParty)?;
        }

        activity.studies = activity.studies.saturating_add(1);
        activity.studies_in_all = activity.studies_in_all.saturating_add(1);
        activity.registered = activity.registered.saturating_add(1);
        context.state.put(StateKey::Activity(source), &activity);
        let Registered(before) = context.state.registered(source, context.epoch)?.unwrap_or_default();
        context.state.put(StateKey::Registered(source, context.epoch), &Registered(before.saturating_add(1)));
        let study = Study {
            source,
            holder: *holder,
            delegates: delegates.clone(),
            status: Status::Active,
            status_number: 0,
            frozen: false,
            revision: 0,
            manifest_root: *manifest_root,
            open: *open,
            grants: Ascending::new(),
            tombstones: Ascending::new(),
            today: DayCounts::default(),
            pending_recovery: None,
            last_recovery: None,
            vetoed: None,
            defined_in: context.epoch,
            events: 0,
            event_hash: EventHash::START,
        };
        context.put_study(id, study)?;
        context.events.push(Event::StudyDefined { study: id, source });
        Ok(())
    }
}
