//! DefineSource: a source announces itself anew.
//!
//! Name and addresses act at once, keys when the next epoch begins. Every announced key co-signs, so that nobody can
//! announce another's. A key once announced stays with its source and its role for ever.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{Act, Author, Context, Failed, StatelessError, rule};
use crate::domain::Tag;
use crate::event::Event;
use crate::id::ChainId;
use crate::key::Key;
use crate::source::{Announcement, AnnouncementError, KeyRole, KeyUse, Source};
use crate::state::{ReadRows as _, StateKey, StateReader};

/// The action. Signed by the identity key and by every key announced, in the order of [`crate::source::SourceKeys::each`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DefineSource {
    /// The source's identity key.
    pub identity: Key,
    /// One more than the announcement before; the genesis is 0.
    pub version: u64,
    /// What the source says of itself.
    pub announcement: Announcement,
}

/// Why a DefineSource is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefineSourceError {
    /// See [`AnnouncementError`].
    #[error(transparent)]
    Announcement(#[from] AnnouncementError),
    /// The identity was never admitted.
    #[error("no source was admitted with this identity key; the genesis or a vote admits sources")]
    NotAdmitted,
    /// Another source has taken over.
    #[error("another source has taken over from this one and announces itself")]
    Succeeded,
    /// A version was left out, or is there already.
    #[error("announcement {given} does not follow announcement {newest}")]
    Version {
        /// As announced.
        given: u64,
        /// The newest there is.
        newest: u64,
    },
    /// Admitted as something else.
    #[error("a source changes between validator and hosted by vote, not by announcement")]
    Kind,
    /// The epoch's announcements are used up.
    #[error("the source made {0} announcements in this epoch; the next is possible in the next epoch")]
    TooOften(u32),
    /// Somebody's key, or its own in another role.
    #[error("the announced {} key is in use already: {}", .0.name(), if *.1 { "by this source, for something else" } else { "by another source" })]
    KeyInUse(KeyRole, bool),
}

impl Act for DefineSource {
    const TAG: Tag = Tag::DEFINE_SOURCE;
    type Refused = DefineSourceError;

    fn signers(&self) -> Vec<Key> {
        core::iter::once(self.identity).chain(self.announcement.keys.each().map(|(_, key)| key)).collect()
    }

    fn author(&self) -> Author {
        Author::Source(self.identity)
    }

    fn check_stateless(&self, _: &ChainId) -> Result<(), StatelessError> {
        let Self { identity, version: _, announcement } = self;
        Ok(announcement.check(identity).map_err(DefineSourceError::from)?)
    }

    fn execute<R: StateReader>(&self, context: &mut Context<'_, '_, R>) -> Result<(), Failed<Self::Refused, R::Error>> {
        use DefineSourceError as Error;
        let Self { identity, version, announcement } = self;

        let not_admitted = || Failed::Refused(Error::NotAdmitted);
        let id = match context.state.key_use(*identity)? {
            Some(KeyUse { source, role: KeyRole::Identity }) => source,
            _ => return Err(not_admitted()),
        };
        let source = context.state.source(id)?.ok_or_else(not_admitted)?;
        rule(source.identity == *identity, Error::NotAdmitted)?;
        rule(source.successor.is_none(), Error::Succeeded)?;
        rule(
            source.version.checked_add(1) == Some(*version),
            Error::Version { given: *version, newest: source.version },
        )?;
        let admitted = context.state.roster()?.admitted.find(&id).map(|admitted| admitted.kind);
        rule(admitted == Some(announcement.kind), Error::Kind)?;

        let mut activity = context.state.activity(id)?.in_epoch(context.epoch);
        let limit = context.rules.parameters.announcements_per_epoch;
        rule(activity.announcements < limit, Error::TooOften(limit))?;
        activity.announcements = activity.announcements.saturating_add(1);

        for (role, key) in announcement.keys.each() {
            match context.state.key_use(key)? {
                None => context.state.put(StateKey::KeyUse(key), &KeyUse { source: id, role }),
                Some(before) => {
                    rule(before == KeyUse { source: id, role }, Error::KeyInUse(role, before.source == id))?
                }
            }
        }

        // Keys that are in force stay so until the epoch ends, also when announced keys are announced over.
        let (earlier_keys, keys_act_in) = if source.keys_in(context.epoch) == &announcement.keys {
            (announcement.keys.clone(), source.keys_act_in.min(context.epoch))
        } else {
            (source.keys_in(context.epoch).clone(), context.epoch.saturating_add(1))
        };
        let source = Source { version: *version, announced: announcement.clone(), earlier_keys, keys_act_in, ..source };
        context.state.put(StateKey::Source(id), &source);
        context.state.put(StateKey::Activity(id), &activity);
        context.events.push(Event::SourceDefined { source: id, version: *version });
        Ok(())
    }
}
