//! `run`: the relay itself, until it is told to stop.

use std::path::Path;

use clavicle_ledger::encoding;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Answer, CommandError, inspect, say};
use crate::control;
use crate::home::Home;
use crate::network_file;

pub(super) fn run(dir: &Path, network: Option<&Path>) -> Result<Answer, CommandError> {
    let home = Home::at(dir);
    home.settings()?;
    if let Some(network) = network {
        join(&home, network)?;
    }
    let service = inspect::open(&home)?;
    let started = service.status()?;
    say(&started.lines());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(CommandError::Runtime)?;
    let stopped = service.clone();
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt()).map_err(CommandError::Runtime)?,
            signal(SignalKind::terminate()).map_err(CommandError::Runtime)?,
        );
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        control::serve(&home.socket(), service, stop).await.map_err(CommandError::from)
    })?;
    let status = stopped.status()?;
    let (name, height) = (&status.name, status.height);
    Ok(Answer { text: format!("{name}: stopped at height {height}"), json: json!({ "stopped_at": height }) })
}

/// Takes the network's file into the relay's folder; once there, it stays the relay's network.
fn join(home: &Home, given: &Path) -> Result<(), CommandError> {
    let genesis = network_file::read_genesis(given)?;
    let own = home.network_file();
    if !own.exists() {
        return Ok(network_file::write_genesis(&own, &genesis)?);
    }
    let joined = network_file::read_genesis(&own)?;
    if encoding::encode(&joined) == encoding::encode(&genesis) { Ok(()) } else { Err(CommandError::OtherNetwork) }
}
