//! `status`, `validators`, `report`, `explain`, `audit`: asked of a running relay, or, with none running, of its stores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clavicle_command::file::{Readers, write_new};
use clavicle_imaging::worker::Workers;
use clavicle_ledger::encoding;
use clavicle_ledger::id::SourceId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Answer, CommandError, clocks, now};
use crate::archive::Archive;
use crate::control::{self, ClientError};
use crate::gate::{Refusal, Refusals};
use crate::home::{Home, HomeError};
use crate::keys::{Keys, desk_key};
use crate::made::{Made, MadeError, StoreName};
use crate::mempool::Mempool;
use crate::private;
use crate::reception::Quarantine;
use crate::room::Room;
use crate::service::{self, Audit, AuditRequest, Report, Service, Status, ValidatorRow};
use crate::store::mailboxes::Limits;
use crate::store::receipts::Signer;
use crate::store::{ChainStore, Mailboxes, Notices, Pickups, Receipts, Seen, StoreError};
use crate::submission::Submission;
use crate::timekeeper::Timekeeper;
use clavicle_network::file as network_file;

/// How long a relay may take from having its stores to having its socket.
const STARTING: Duration = Duration::from_secs(10);
/// How long it may take to having its network.
const JOINING: Duration = Duration::from_millis(500);

pub(super) fn status(dir: &Path) -> Result<Answer, CommandError> {
    let status: Status = ask(dir, control::STATUS, |service| Ok(service.status()?))?;
    Ok(Answer { text: status.lines(), json: json!(status) })
}

pub(super) fn validators(dir: &Path) -> Result<Answer, CommandError> {
    let rows: Vec<ValidatorRow> = ask(dir, control::VALIDATORS, |service| Ok(service.validators()?))?;
    Ok(Answer { text: service::validator_lines(&rows), json: json!({ "validators": rows }) })
}

pub(super) fn report(dir: &Path, epoch: Option<u64>, proof: Option<&Path>) -> Result<Answer, CommandError> {
    let report: Report = tell(dir, control::REPORT, &epoch, |service| Ok(service.report(epoch)?))?;
    let mut text = report.lines();
    if let Some(path) = proof {
        let bytes = encoding::from_hex(&report.proof)
            .ok_or_else(|| ClientError::Connection("the proof is not in hexadecimal digits".into()))?;
        write_new(path, &bytes, Readers::Usual)
            .map_err(|error| CommandError::Proof { path: path.to_owned(), error })?;
        text.push_str(&format!("\n\nproof       {} bytes, in {}", bytes.len(), path.display()));
    }
    Ok(Answer { text, json: json!(report) })
}

pub(super) fn explain(dir: &Path, reference: &str) -> Result<Answer, CommandError> {
    let body = reference.as_bytes().to_vec();
    let home = Home::at(dir);
    let asked = async || control::post(&home.socket(), control::EXPLAIN, body.clone()).await;
    let refusal: Refusal = either(&home, asked, |service| Ok(service.explain(reference)?))?;
    Ok(Answer { text: refusal.lines(), json: json!(refusal) })
}

pub(super) fn audit(dir: &Path, request: &AuditRequest) -> Result<Answer, CommandError> {
    let audit: Audit = tell(dir, control::AUDIT, request, |service| Ok(service.audit(request)?))?;
    Ok(Answer { text: audit.lines(), json: json!(audit) })
}

/// Asks a running relay, or its stores.
pub(super) fn ask<T: DeserializeOwned>(
    dir: &Path,
    route: &str,
    directly: impl FnOnce(&Service) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let home = Home::at(dir);
    let asked = async || control::get(&home.socket(), route).await;
    either(&home, asked, directly)
}

/// Gives a running relay something to do, or does it on its stores.
pub(super) fn tell<T: DeserializeOwned>(
    dir: &Path,
    route: &str,
    request: &impl Serialize,
    directly: impl FnOnce(&Service) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let home = Home::at(dir);
    let told = async || control::post_json(&home.socket(), route, request).await;
    either(&home, told, directly)
}

/// Asks a running relay in one way, or its stores in another.
pub(super) fn either<T>(
    home: &Home,
    running: impl AsyncFn() -> Result<T, ClientError>,
    directly: impl FnOnce(&Service) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    home.settings()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let from = Instant::now();
    loop {
        match runtime.block_on(running()) {
            Ok(answer) => return Ok(answer),
            Err(ClientError::NotRunning) => {}
            Err(error) => return Err(error.into()),
        }
        // A relay that was started just before has the stores already and no socket yet, or not even its network.
        let patience = match open(home) {
            Ok(service) => return directly(&service),
            Err(CommandError::Store(StoreError::InUse)) => STARTING,
            Err(CommandError::Home(HomeError::NoNetwork(_))) => JOINING,
            Err(error) => return Err(error),
        };
        if from.elapsed() >= patience {
            return directly(&open(home)?);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Opens a store. Whatever is wrong with it is said with its path; also when what reads it falls over, as over a file that is none.
pub(super) fn opened<T, E: Into<CommandError>>(
    path: PathBuf,
    open: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, CommandError> {
    let opened = catch_unwind(AssertUnwindSafe(|| open(&path).map_err(Into::into)));
    let damaged = |_| Err(StoreError::Damaged { what: "its file", error: None }.into());
    match opened.unwrap_or_else(damaged) {
        Err(error) if !matches!(error, CommandError::Store(StoreError::InUse)) => {
            Err(CommandError::Unopened { path, error: Box::new(error) })
        }
        opened => opened,
    }
}

/// A relay's service over the stores in its folder.
pub(super) fn open(home: &Home) -> Result<Service, CommandError> {
    let settings = home.settings()?;
    for path in private::tighten(home)? {
        eprintln!("note: others on this machine could read {}; they cannot any more", path.display());
    }
    let genesis = network_file::read_genesis(&home.joined()?)?;
    let keys = Keys::read(&home.keys_folder())?;
    let desk_key = desk_key(&home.keys_folder())?;
    let mut made = Made::open(home, &keys.operational, now()).map_err(|error| match error {
        MadeError::Busy => StoreError::InUse.into(),
        error => CommandError::from(error),
    })?;
    made.begin(home, &StoreName::SERVICE, now())?;
    let chain = genesis.chain_id();
    let source = SourceId::of_identity(&chain, &keys.identity.public());
    let store = Arc::new(opened(home.chain_file(), |path| ChainStore::open(path, &genesis))?);
    let signer = Signer { chain, source, key: keys.operational.clone() };
    let receipts = Arc::new(opened(home.receipts_file(), |path| Receipts::open(path, signer))?);
    let timekeeper = Arc::new(Timekeeper::new(clocks));
    let submission = Submission {
        chain,
        source,
        receipts: Arc::clone(&receipts),
        store: Arc::clone(&store),
        mempool: Arc::new(Mempool::new()),
        seen: Arc::new(opened(home.seen_file(), Seen::open)?),
        clock: now,
        timekeeper: Arc::clone(&timekeeper),
        waker: OnceLock::new(),
        publish: OnceLock::new(),
    };
    let limits = Limits { effort: u64::from(settings.mailboxes.effort), ..Limits::default() };
    // The archive may be on a disk of its own.
    let room = Room::at(home.folder(), &settings.disk);
    let images = Room::at(&home.archive_folder(), &settings.disk);
    let service = Service {
        name: settings.name,
        source,
        genesis: Arc::new(genesis),
        chain,
        store,
        archive: Arc::new(
            opened(home.catalogue_file(), |path| Archive::open(&home.archive_folder(), path))?.within(images),
        ),
        reader: Arc::new(Workers::of_this_program().map_err(CommandError::Workers)?),
        taking: Arc::default(),
        quarantine: Arc::new(
            Quarantine::open(&home.quarantine_folder(), settings.disk.quarantine())
                .map_err(|error| CommandError::Folder { path: home.quarantine_folder(), error })?,
        ),
        pickups: Arc::new(opened(home.pickups_file(), |path| Pickups::open(path, desk_key))?),
        mailboxes: Arc::new(opened(home.mailboxes_file(), |path| Mailboxes::open(path, limits))?),
        submission: Arc::new(submission),
        receipts,
        notices: Arc::new(opened(home.notices_file(), Notices::open)?),
        disk: settings.disk,
        room,
        receipt_settings: settings.receipts,
        refusals: Arc::new(Refusals::default()),
        operational: keys.operational,
        clock: now,
        timekeeper,
        shadow: false,
    };
    made.finish(home, &StoreName::SERVICE, now())?;
    Ok(service)
}
