//! What a relay answers its operator: the same whether it is running, over its socket, or not, straight from its stores.

mod archive;
mod audit;
mod desk;
mod report;
mod standing;
mod taking;

use std::sync::Arc;

use clavicle_imaging::reader::Reader;
use clavicle_ledger::authorise::{View, open_until};
use clavicle_ledger::block::Header;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_network::swarm::Peer;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, ArchiveError};
use crate::gate::{Refusal, Refusals};
use crate::home::ReceiptSettings;
use crate::reception::Quarantine;
use crate::room::{DiskSettings, Room};
use crate::store::{ChainStore, Mailboxes, Notices, Pickups, Receipts, StoreError};
use crate::submission::Submission;
use crate::timekeeper::Timekeeper;

pub use self::archive::{
    CheckRequest, CheckRow, CompareRequest, CompareRow, CompletenessRow, ContradictionRow, Done, ExpireRequest,
    Expired, KosRow, Removal, RemoveRequest,
};
pub use self::audit::{Audit, AuditError, AuditRequest, AuditRow};
pub use self::desk::{
    ConflictRow, DeskError, IngestError, IngestRequest, Ingested, Issued, PickupRequest, PickupRow, QuarantinedRow,
    RepairRow, StudyRow, VisitRequest,
};
pub use self::report::{Report, ReportError, ReportRow};
pub use self::standing::{NewStanding, StandingError, StandingRequest, Stands, Why};
pub use self::taking::{Taking, TakingRow};

/// A relay as its operator sees it.
#[derive(Clone)]
pub struct Service {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: SourceId,
    /// The network.
    pub genesis: Arc<Genesis>,
    /// Its id.
    pub chain: ChainId,
    /// The chain.
    pub store: Arc<ChainStore>,
    /// The images.
    pub archive: Arc<Archive>,
    /// Reads what comes from outside, in processes that can do nothing else.
    pub reader: Arc<dyn Reader>,
    /// How far what is taken in just now is.
    pub taking: Arc<Taking>,
    /// What came by itself and could not be taken in.
    pub quarantine: Arc<Quarantine>,
    /// What the desk issued.
    pub pickups: Arc<Pickups>,
    /// The mailboxes kept here.
    pub mailboxes: Arc<Mailboxes>,
    /// Takes transactions in.
    pub submission: Arc<Submission>,
    /// Who opened which study, and who was refused.
    pub receipts: Arc<Receipts>,
    /// Who is told what becomes of studies.
    pub notices: Arc<Notices>,
    /// How much of the disk may be used for what.
    pub disk: DiskSettings,
    /// The disk.
    pub room: Room,
    /// What is done with those.
    pub receipt_settings: ReceiptSettings,
    /// Why the gate said no.
    pub refusals: Arc<Refusals>,
    /// Signs studies.
    pub operational: SecretKey,
    /// Reads the clock.
    pub clock: fn() -> LocalTime,
    /// Its clocks, and what the others say of them and of the newest block.
    pub timekeeper: Arc<Timekeeper>,
    /// Whether it only looks: nothing is to be published, and so nothing given out.
    pub shadow: bool,
}

/// How a relay is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: String,
    /// The network's name.
    pub network: String,
    /// Its chain id.
    pub chain: String,
    /// The newest block's height.
    pub height: u64,
    /// Its id.
    pub block: String,
    /// Its state root.
    pub state_root: String,
    /// How long ago it was made, in milliseconds.
    pub age_ms: u64,
    /// Whether it is recent enough to serve studies on, and the others confirm that it is the newest.
    pub fresh: bool,
    /// If not, why nobody is served to whom the patient gave no allowance.
    pub closed: Option<String>,
    /// The epoch it is in.
    pub epoch: u64,
    /// Studies this hospital has registered.
    pub studies: u64,
    /// Files in the archive.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Of these, files that were to be sent since the start, and are not what they were.
    pub damaged: usize,
    /// Files that came by themselves and could not be taken in.
    pub quarantined: usize,
    /// Bytes that are free on the disk.
    pub disk_free: u64,
    /// Bytes of these that are kept for the chain, revocations and receipts.
    pub disk_reserve: u64,
    /// Whether nothing more is taken in, since only those are left.
    pub disk_short: bool,
    /// Validators that decide the next block.
    pub validators: usize,
    /// Whether this hospital is one of them.
    pub votes: bool,
}

/// A validator as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorRow {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: String,
    /// Its voting power.
    pub power: u64,
    /// Whether it is this relay's own.
    pub own: bool,
}

/// Why a relay could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The quarantine could not be read.
    #[error("the quarantine cannot be read")]
    Quarantine(#[source] std::io::Error),
    /// Nobody can tell how full the disk is.
    #[error("how much room the disk has cannot be read")]
    Room(#[source] std::io::Error),
}

/// Nothing is kept under that reference.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "nothing is kept under that reference: it is not of this relay, or from before its last start, or too many came since"
)]
pub struct UnknownReference;

impl Service {
    /// How the relay is.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn status(&self) -> Result<Status, ServiceError> {
        let snapshot = self.store.snapshot()?;
        let (header, head): (Header, _) = (self.store.head()?, snapshot.head()?);
        let set = snapshot.validators()?;
        let (clocks, seen) = (self.timekeeper.clocks(), self.submission.seen.set());
        let age_ms = clocks.wall.0.since(header.time.timestamp());
        let view = View {
            state: &snapshot,
            source: self.source,
            highest_seen: header.time.timestamp(),
            confirmed: self.timekeeper.confirmed(head.height, clocks),
            seen_revocations: &seen,
        };
        let closed = open_until(&view, clocks.wall).err().map(|why| why.to_string());
        let usage = self.archive.usage()?;
        let space = self.room.space().map_err(ServiceError::Room)?;
        Ok(Status {
            name: self.name.clone(),
            source: self.source.to_string(),
            network: self.genesis.name.to_string(),
            chain: header.chain.to_string(),
            height: header.height,
            block: header.id().to_string(),
            state_root: header.state_root.to_string(),
            age_ms,
            fresh: closed.is_none(),
            closed,
            epoch: head.epoch,
            studies: snapshot.activity(self.source)?.studies_in_all,
            files: usage.files,
            bytes: usage.bytes,
            damaged: self.archive.damaged(),
            quarantined: self.quarantine.rows().map_err(ServiceError::Quarantine)?.len(),
            disk_free: space.free,
            disk_reserve: space.reserve,
            disk_short: space.free < space.reserve,
            validators: set.validators.len(),
            votes: set.validators.find(&self.source).is_some(),
        })
    }

    /// The date for what is written down, kept or thrown away ([`Timekeeper::dated`]).
    #[must_use]
    pub fn dated(&self) -> Timestamp {
        self.timekeeper.dated(&self.store)
    }

    /// The other relays, as the ledger has them.
    pub(crate) fn relays(&self) -> Result<Vec<Peer>, ServiceError> {
        let snapshot = self.store.snapshot()?;
        let epoch = snapshot.head()?.epoch;
        let mut peers = Vec::new();
        for admitted in &snapshot.roster()?.admitted {
            if admitted.source != self.source
                && let Some(source) = snapshot.source(admitted.source)?
            {
                let addresses: Vec<String> =
                    source.announced.addresses.libp2p.iter().map(ToString::to_string).collect();
                let keys = source.keys_in(epoch).network.iter();
                peers.extend(keys.map(|key| Peer { key: *key, addresses: addresses.clone() }));
            }
        }
        Ok(peers)
    }

    /// Why somebody was refused, by the reference they were told.
    ///
    /// # Errors
    /// [`UnknownReference`].
    pub fn explain(&self, reference: &str) -> Result<Refusal, UnknownReference> {
        self.refusals.find(reference.trim()).ok_or(UnknownReference)
    }

    /// Who decides the next block.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn validators(&self) -> Result<Vec<ValidatorRow>, ServiceError> {
        let snapshot = self.store.snapshot()?;
        let row = |validator: &clavicle_ledger::validators::Validator| {
            let source = snapshot.source(validator.source)?;
            Ok(ValidatorRow {
                name: source.map_or_else(String::new, |source| source.announced.name.to_string()),
                source: validator.source.to_string(),
                power: validator.power,
                own: validator.source == self.source,
            })
        };
        snapshot.validators()?.validators.iter().map(row).collect()
    }
}

impl Status {
    /// The status in lines for a person.
    #[must_use]
    pub fn lines(&self) -> String {
        let Self { name, network, chain, height, age_ms, closed, epoch, studies, validators, votes, .. } = self;
        let Self { files, bytes, damaged, quarantined, disk_free, disk_reserve, disk_short, .. } = self;
        let (free, reserve) = (*disk_free as f64 / 1e6, *disk_reserve as f64 / 1e6);
        let short = if *disk_short { ": nothing more is taken in; make room on it" } else { "" };
        let megabytes = *bytes as f64 / 1e6;
        let mut aside = if *quarantined > 0 { format!("; {quarantined} in quarantine") } else { String::new() };
        if *damaged > 0 {
            aside.push_str(&format!("; {damaged} found damaged: see `clavicle-relay check`"));
        }
        let seconds = age_ms / 1_000;
        let fresh = closed.as_ref().map_or_else(|| "fresh".to_owned(), |why| format!("the gate is closed: {why}"));
        let vote = if *votes { "this hospital among them" } else { "this hospital not among them" };
        format!(
            "{name} in the network {network}\nchain       {chain}\nheight      {height} (epoch {epoch}), {seconds} s old: {fresh}\nvalidators  {validators}, {vote}\nstudies     {studies} registered\narchive     {files} files, {megabytes:.1} MB{aside}\ndisk        {free:.0} MB free, {reserve:.0} MB of it kept for the chain, revocations and receipts{short}"
        )
    }
}

/// The validators in lines for a person.
#[must_use]
pub fn validator_lines(rows: &[ValidatorRow]) -> String {
    let total: u64 = rows.iter().map(|row| row.power).sum();
    let line = |row: &ValidatorRow| {
        let own = if row.own { "  ← this one" } else { "" };
        format!("{:>6} of {total}  {}{own}", row.power, row.name)
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
