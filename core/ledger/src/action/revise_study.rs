//! ReviseStudy: late instances, a report, a correction. The source signs the next manifest.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, SourceRefused, StudyRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::{ManifestRoot, StudyId};
use crate::key::Key;
use crate::state::{ReadRows as _, StateKey, StateReader};
use crate::study::Deed;

/// The action. Signed by `source`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReviseStudy {
    /// Which study.
    pub study: StudyId,
    /// The source's operational key.
    pub source: Key,
    /// One more than the revision before.
    pub revision: u32,
    /// The root of the new manifest.
    pub manifest_root: ManifestRoot,
    /// More instances are expected.
    pub open: bool,
}

/// Why a ReviseStudy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReviseStudyError {
    /// See [`SourceRefused`].
    #[error(transparent)]
    Source(#[from] SourceRefused),
    /// See [`StudyRefused`].
    #[error(transparent)]
    Study(#[from] StudyRefused),
    /// The epoch's revisions are used up.
    #[error(
        "the source revised studies {0} times in this epoch, the most it may; the next is possible in the next epoch"
    )]
    Quota(u32),
    /// A revision was left out, or is there already.
    #[error("revision {given} does not follow revision {newest}")]
    Revision {
        /// As signed.
        given: u32,
        /// The newest there is.
        newest: u32,
    },
}

impl Act for ReviseStudy {
    const TAG: Tag = Tag::REVISE_STUDY;
    type Refused = ReviseStudyError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.source])
    }

    fn author(&self) -> Author {
        Author::Source(self.source)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use ReviseStudyError as Error;
        let Self { study: id, source: source_key, revision, manifest_root, open } = self;

        let source = context.acting_source::<Error>(*source_key)?;
        let mut activity = context.state.activity(source)?.in_epoch(context.epoch);
        let quota = context.rules.parameters.revisions_per_epoch;
        rule(activity.revisions < quota, Error::Quota(quota))?;
        let mut study = context.study_for::<Error>(*id, Deed::ReviseStudy)?;
        context.check_keeps::<Error>(source, &study)?;
        rule(
            study.revision.checked_add(1) == Some(*revision),
            Error::Revision { given: *revision, newest: study.revision },
        )?;

        study.revision = *revision;
        study.manifest_root = *manifest_root;
        study.open = *open;
        activity.revisions = activity.revisions.saturating_add(1);
        context.state.put(StateKey::Activity(source), &activity);
        context.put_study(*id, study)?;
        context.events.push(Event::StudyRevised { study: *id, revision: *revision });
        Ok(())
    }
}
