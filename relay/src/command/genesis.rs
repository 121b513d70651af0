//! `genesis`: a new network.

use std::path::{Path, PathBuf};

use clavicle_command::clock::now;
use clavicle_command::file::path_text;
use clavicle_command::said::many;
use clavicle_ledger::encoding::{Ascending, Fault, Text};
use clavicle_ledger::genesis::{Genesis, Parameters};
use clavicle_ledger::source::MAX_SOURCES;
use clavicle_ledger::time::BlockTime;
use serde_json::json;

use super::CommandError;
use crate::answer::Answer;
use clavicle_network::file as network_file;

pub(super) fn run(out: &Path, name: &str, heartbeat_s: u16, files: &[PathBuf]) -> Result<Answer, CommandError> {
    let shown = Text::new(name).map_err(|error| CommandError::Name { name: name.to_owned(), error })?;
    let candidates = files.iter().map(|file| network_file::read_candidate(file)).collect::<Result<Vec<_>, _>>()?;
    let sources = candidates.into_iter().map(|candidate| candidate.source).collect();
    let sources = Ascending::from_items(sources).map_err(|fault| match fault {
        Fault::TooMany => CommandError::TooManySources(MAX_SOURCES),
        _ => CommandError::SourceTwice,
    })?;
    let heartbeat_ms = u64::from(heartbeat_s).saturating_mul(1_000);
    let parameters = Parameters {
        heartbeat_ms,
        // Two heartbeats may be missed before a source refuses everybody; and no clock is off by a whole one.
        fresh_ms: heartbeat_ms.saturating_mul(3),
        halt_gap_ms: Parameters::default().halt_gap_ms.max(heartbeat_ms.saturating_mul(3)),
        clock_tolerance_ms: Parameters::default().clock_tolerance_ms.min(heartbeat_ms),
        ..Parameters::default()
    };
    let genesis = Genesis { name: shown, time: BlockTime(now().0), parameters, sources };
    genesis.check()?;
    network_file::write_genesis(out, &genesis)?;

    let (chain, count) = (genesis.chain_id(), genesis.sources.len());
    let names: Vec<String> = genesis.sources.iter().map(|source| source.announcement.name.to_string()).collect();
    // Tendermint's bound: fewer than a third may fail or lie.
    let faults = count.saturating_sub(1) / 3;
    let advice = match faults {
        0 => "\nWith fewer than four hospitals the network stops when one does.",
        _ => "",
    };
    Ok(Answer {
        text: format!(
            "{name}: a new network of {} ({})\nchain {chain}\nIt goes on while at most {faults} of them fail.{advice}\nNext: give {} to everybody in it.",
            many(count, "hospital", "hospitals"),
            names.join(", "),
            out.display()
        ),
        json: json!({ "network": name, "chain": chain.to_string(), "sources": names, "tolerated_faults": faults, "file": path_text(out) }),
    })
}
