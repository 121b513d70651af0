//! `status` and `validators`: asked of a running relay, or, with none running, of its stores.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Answer, CommandError, now};
use crate::control::{self, ClientError};
use crate::home::Home;
use crate::keys::Keys;
use crate::mempool::Mempool;
use crate::network_file;
use crate::service::{self, Service, ServiceError, Status, ValidatorRow};
use crate::store::ChainStore;

pub(super) fn status(dir: &Path) -> Result<Answer, CommandError> {
    let status: Status = ask(dir, control::STATUS, Service::status)?;
    Ok(Answer { text: status.lines(), json: json!(status) })
}

pub(super) fn validators(dir: &Path) -> Result<Answer, CommandError> {
    let rows: Vec<ValidatorRow> = ask(dir, control::VALIDATORS, Service::validators)?;
    Ok(Answer { text: service::validator_lines(&rows), json: json!({ "validators": rows }) })
}

fn ask<T: Serialize + DeserializeOwned>(
    dir: &Path,
    route: &str,
    directly: impl Fn(&Service) -> Result<T, ServiceError>,
) -> Result<T, CommandError> {
    let home = Home::at(dir);
    home.settings()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    match runtime.block_on(control::get(&home.socket(), route)) {
        Ok(answer) => Ok(answer),
        Err(ClientError::NotRunning) => Ok(directly(&open(&home)?)?),
        Err(error) => Err(error.into()),
    }
}

/// A relay's service over the stores in its folder.
pub(super) fn open(home: &Home) -> Result<Service, CommandError> {
    let settings = home.settings()?;
    let genesis = network_file::read_genesis(&home.joined()?)?;
    let keys = Keys::read(&home.keys_folder())?;
    let source = clavicle_ledger::id::SourceId::of_identity(&genesis.chain_id(), &keys.identity.public());
    let store = Arc::new(ChainStore::open(&home.chain_file(), &genesis)?);
    let mempool = Arc::new(Mempool::new());
    Ok(Service { name: settings.name, source, genesis: Arc::new(genesis), store, mempool, clock: now, waker: None })
}
