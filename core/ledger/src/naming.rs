//! How ids are made that are hashed under a tag: sources, studies, and what happened to a study.

use crate::domain::{self, Tag};
use crate::id::{ChainId, EventHash, SourceId, StudyDigest, StudyId, TxId};
use crate::key::Key;
use crate::time::Height;

impl SourceId {
    /// The id of the source that was admitted with `identity`.
    #[must_use]
    pub fn of_identity(chain: &ChainId, identity: &Key) -> Self {
        Self::from_bytes(domain::digest(Tag::SOURCE_ID, chain, identity))
    }
}

impl StudyId {
    /// The id of the study that `source` defines with this digest. That the source is part of it keeps another from taking the
    /// id first, when it sees a definition on its way.
    #[must_use]
    pub fn of(chain: &ChainId, source: SourceId, digest: StudyDigest) -> Self {
        Self::from_bytes(domain::digest(Tag::STUDY_ID, chain, &(source, digest)))
    }
}

impl EventHash {
    /// The running hash after one more event: the transaction that touched the study, and the height it did so at.
    #[must_use]
    pub fn then(self, chain: &ChainId, event: TxId, height: Height) -> Self {
        Self::from_bytes(domain::digest(Tag::EVENT, chain, &(self, event, height)))
    }
}
