//! Anchor: a source commits to the receipts, alerts and mailbox log that it wrote since its last anchor, so that it can
//! neither write them later nor leave one out.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, SourceRefused, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::AnchorRoot;
use crate::key::Key;
use crate::source::Source;
use crate::state::{ReadRows as _, StateKey, StateReader};

/// The action. Signed by `source`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Anchor {
    /// The source's operational key.
    pub source: Key,
    /// Its place in the source's row of anchors; the first is 0.
    pub sequence: u64,
    /// The Merkle root.
    pub root: AnchorRoot,
    /// Over how many.
    pub count: u64,
}

/// Why an Anchor is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// See [`SourceRefused`].
    #[error(transparent)]
    Source(#[from] SourceRefused),
    /// The epoch's anchors are used up.
    #[error("the source made {0} anchors in this epoch, the most it may; the next is possible in the next epoch")]
    Quota(u32),
    /// One was left out, or is there already.
    #[error("anchor {given} does not follow: the next is {due}")]
    Sequence {
        /// As signed.
        given: u64,
        /// The next.
        due: u64,
    },
}

impl Act for Anchor {
    const TAG: Tag = Tag::ANCHOR;
    type Refused = AnchorError;

    fn signers(&self) -> Vec<Key> {
        Vec::from([self.source])
    }

    fn author(&self) -> Author {
        Author::Source(self.source)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use AnchorError as Error;
        let Self { source: key, sequence, root, count } = self;

        // A suspended source still owes its receipts.
        let (id, source) = context.signing_source::<Error>(*key)?;
        let mut activity = context.state.activity(id)?.in_epoch(context.epoch);
        let quota = context.rules.parameters.anchors_per_epoch;
        rule(activity.anchors < quota, Error::Quota(quota))?;
        activity.anchors = activity.anchors.saturating_add(1);
        rule(source.anchors == *sequence, Error::Sequence { given: *sequence, due: source.anchors })?;

        let source = Source { anchors: source.anchors.saturating_add(1), ..source };
        context.state.put(StateKey::Source(id), &source);
        context.state.put(StateKey::Activity(id), &activity);
        context.events.push(Event::Anchored { source: id, sequence: *sequence, root: *root, count: *count });
        Ok(())
    }
}
