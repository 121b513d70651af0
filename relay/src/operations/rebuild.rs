//! `rebuild`: a lost catalogue is made anew.

use clap::Args;
use clavicle_command::said::many;
use clavicle_ledger::id::{SourceId, StudyId};
use clavicle_ledger::snapshot::SnapshotReader as _;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::tree::KeyHash;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation, Stopped};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::{Archive, ArchiveError, Rebuilt};
use crate::made::{MadeError, StoreName};
use crate::service::{OpenError, ServiceError, opened};
use crate::store::{ChainStore, Snapshot, StoreError};

/// Make a lost catalogue anew, from the archive and the chain; the relay must not run
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Rebuild {}

/// Studies, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuiltRow {
    /// Those that are in the catalogue again.
    pub studies: Vec<String>,
    /// Those whose record in the archive cannot be read.
    pub unreadable: Vec<String>,
    /// Those that are on the ledger, and have none.
    pub lost: Vec<String>,
}

/// Why it was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// See [`OpenError`].
    #[error(transparent)]
    Open(#[from] OpenError),
    /// See [`MadeError`].
    #[error(transparent)]
    Made(#[from] MadeError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl RebuildError {
    fn inner(&self) -> &dyn Refusing {
        match self {
            Self::Open(error) => error,
            Self::Made(error) => error,
            Self::Store(error) => error,
            Self::Archive(error) => error,
            Self::Service(error) => error,
        }
    }
}

impl Refusing for RebuildError {
    fn code(&self) -> &str {
        self.inner().code()
    }

    fn exit_code(&self) -> u8 {
        self.inner().exit_code()
    }
}

impl Operation for Rebuild {
    const WORD: &'static str = "rebuild";

    type On = Stopped;
    type Answer = RebuiltRow;
    type Error = RebuildError;

    fn work(self, on: &Stopped) -> Result<RebuiltRow, RebuildError> {
        let (home, mut made) = (&on.home, on.made()?);
        if StoreName::Catalogue.is_there(home) {
            return Err(MadeError::IsThere(home.catalogue_file()).into());
        }
        made.begin(home, &[StoreName::Archive, StoreName::Chain], (on.clock)())?;
        let chain = on.genesis.chain_id();
        let source = SourceId::of_identity(&chain, &on.keys.identity.public());
        let store = opened(home.chain_file(), |path| ChainStore::open(path, &on.genesis))?;
        let snapshot = store.snapshot()?;
        let mut on_ledger = |id: StudyId| {
            let record = snapshot.study(id).map_err(|_| StoreError::damaged("a study", None))?;
            Ok::<_, ArchiveError>(record.map(|record| record.manifest_root))
        };
        let Rebuilt { studies, unreadable } =
            Archive::rebuild(&home.archive_folder(), &home.catalogue_file(), &chain, &mut on_ledger)?;
        made.finish(home, &[StoreName::Archive, StoreName::Catalogue, StoreName::Chain], (on.clock)())?;
        let lost = lost(&snapshot, source, &studies)?;
        let names = |ids: &[StudyId]| ids.iter().map(ToString::to_string).collect();
        Ok(RebuiltRow { studies: names(&studies), unreadable: names(&unreadable), lost: names(&lost) })
    }
}

impl Command for Rebuild {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, row: RebuiltRow) -> Result<Answer, Failure> {
        let RebuiltRow { studies, unreadable, lost } = &row;
        let mut lines = vec![format!("{} in the catalogue again", many(studies.len(), "study is", "studies are"))];
        for (what, ids) in [("unreadable", unreadable), ("lost", lost)] {
            lines.extend(ids.iter().map(|id| format!("{what}  {id}")));
        }
        lines.push("`clavicle-relay check` says whether their images are there.".into());
        let answer = Answer { text: lines.join("\n"), json: json!(row) };
        if unreadable.is_empty() && lost.is_empty() {
            return Ok(answer);
        }
        let sentence = format!(
            "the records of {} cannot be read, and {} none: put them back from a backup of the archive",
            many(unreadable.len(), "study", "studies"),
            many(lost.len(), "that this hospital registered has", "that this hospital registered have")
        );
        Err(Failure::Found { code: "rebuild", sentence, answer: Box::new(answer) })
    }
}

/// Studies of this source that are on the ledger and not among these.
fn lost(snapshot: &Snapshot, source: SourceId, known: &[StudyId]) -> Result<Vec<StudyId>, RebuildError> {
    let mut lost = Vec::new();
    // A part at a time: the state may be larger than the memory.
    for first in 0..=u8::MAX {
        let (mut from, mut to) = ([0; 32], [u8::MAX; 32]);
        (from[0], to[0]) = (first, first);
        for (key, _) in snapshot.rows_between(KeyHash(from), KeyHash(to), &|_, _| false)? {
            let StateKey::Study(id) = key else { continue };
            let record = snapshot.study(id).map_err(ServiceError::from)?;
            if record.is_some_and(|record| record.source == source) && known.binary_search(&id).is_err() {
                lost.push(id);
            }
        }
    }
    Ok(lost)
}
