//! `rebuild`, `renew`: what is done about stores that were lost.

use std::path::Path;

use clavicle_ledger::id::{SourceId, StudyId};
use clavicle_ledger::snapshot::SnapshotReader as _;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::tree::KeyHash;
use clavicle_network::file as network_file;
use serde_json::json;

use super::inspect::opened;
use super::{Answer, CommandError, now};
use crate::archive::{Archive, ArchiveError, Rebuilt};
use crate::control::{self, ControlError};
use crate::home::Home;
use crate::keys::Keys;
use crate::made::{Made, MadeError, StoreName};
use crate::service::ServiceError;
use crate::store::{ChainStore, Snapshot, StoreError};

/// A relay that does not run.
fn stopped(dir: &Path) -> Result<Home, CommandError> {
    let home = Home::at(dir);
    home.settings()?;
    if control::is_served(&home.socket()) { Err(ControlError::Running.into()) } else { Ok(home) }
}

pub(super) fn rebuild(dir: &Path) -> Result<Answer, CommandError> {
    let home = stopped(dir)?;
    let (genesis, keys) = (network_file::read_genesis(&home.joined()?)?, Keys::read(&home.keys_folder())?);
    let mut made = Made::open(&home, &keys.operational, now())?;
    if StoreName::Catalogue.is_there(&home) {
        return Err(MadeError::IsThere(home.catalogue_file()).into());
    }
    made.begin(&home, &[StoreName::Archive, StoreName::Chain], now())?;
    let chain = genesis.chain_id();
    let source = SourceId::of_identity(&chain, &keys.identity.public());
    let store = opened(home.chain_file(), |path| ChainStore::open(path, &genesis))?;
    let snapshot = store.snapshot()?;
    let mut on_ledger = |id: StudyId| {
        let record = snapshot.study(id).map_err(|_| StoreError::Damaged { what: "a study", error: None })?;
        Ok::<_, ArchiveError>(record.map(|record| record.manifest_root))
    };
    let Rebuilt { studies, unreadable } =
        Archive::rebuild(&home.archive_folder(), &home.catalogue_file(), &chain, &mut on_ledger)?;
    made.finish(&home, &[StoreName::Archive, StoreName::Catalogue, StoreName::Chain], now())?;
    let lost = lost(&snapshot, source, &studies)?;

    let names = |ids: &[StudyId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut lines = vec![format!("{} studies are in the catalogue again", studies.len())];
    for (what, ids) in [("unreadable", &unreadable), ("lost", &lost)] {
        lines.extend(ids.iter().map(|id| format!("{what}  {id}")));
    }
    lines.push("`clavicle-relay check` says whether their images are there.".into());
    let json = json!({ "studies": names(&studies), "unreadable": names(&unreadable), "lost": names(&lost) });
    let answer = Answer { text: lines.join("\n"), json };
    if unreadable.is_empty() && lost.is_empty() {
        return Ok(answer);
    }
    let sentence = format!(
        "the records of {} studies cannot be read, and {} that this hospital registered have none: put them back from a backup of the archive",
        unreadable.len(),
        lost.len()
    );
    Err(CommandError::Found { code: "rebuild", sentence, answer: Box::new(answer) })
}

/// Studies of this source that are on the ledger and not among these.
fn lost(snapshot: &Snapshot, source: SourceId, known: &[StudyId]) -> Result<Vec<StudyId>, CommandError> {
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

pub(super) fn renew(dir: &Path, store: StoreName) -> Result<Answer, CommandError> {
    let home = stopped(dir)?;
    let (genesis, keys) = (network_file::read_genesis(&home.joined()?)?, Keys::read(&home.keys_folder())?);
    let mut made = Made::open(&home, &keys.operational, now())?;
    // The last height that it may have voted at is the one after the newest block, and the one that the log is of.
    let votes_from = match store {
        StoreName::Chain if made.has(StoreName::Log) => {
            let height = clavicle_consensus::log_height(&home.log_file()).map_err(CommandError::Log)?;
            height.ok_or(MadeError::Votes)?.saturating_add(1)
        }
        StoreName::Log | StoreName::Proposals if !StoreName::Chain.is_there(&home) => {
            return Err(MadeError::Votes.into());
        }
        StoreName::Log | StoreName::Proposals => {
            let chain = opened(home.chain_file(), |path| ChainStore::open(path, &genesis))?;
            chain.head()?.height.saturating_add(2)
        }
        _ => 0,
    };
    made.renew(&home, store, votes_from)?;
    let path = store.path(&home);
    let votes =
        if votes_from > 0 { format!("; this relay votes from height {} on", made.votes_from()) } else { String::new() };
    Ok(Answer {
        text: format!("{} is begun anew at the next start{votes}", path.display()),
        json: json!({ "store": store, "votes_from": made.votes_from() }),
    })
}
