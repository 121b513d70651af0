//! `status`: how the relay is.

use clap::Args;
use clavicle_ledger::authorise::{View, open_until};
use clavicle_ledger::block::Header;
use clavicle_ledger::state::ReadRows as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::service::{Service, ServiceError};

/// Tell how the relay is
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Status {}

/// How a relay is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
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

impl Operation for Status {
    const WORD: &'static str = "status";

    type On = Service;
    type Answer = RelayStatus;
    type Error = ServiceError;

    fn work(self, service: &Service) -> Result<RelayStatus, ServiceError> {
        let snapshot = service.store.snapshot()?;
        let (header, head): (Header, _) = (service.store.head()?, snapshot.head()?);
        let set = snapshot.validators()?;
        let (clocks, seen) = (service.timekeeper.clocks(), service.submission.seen.set());
        let age_ms = clocks.wall.0.since(header.time.timestamp());
        let view = View {
            state: &snapshot,
            source: service.member.source,
            highest_seen: header.time.timestamp(),
            confirmed: service.timekeeper.confirmed(head.height, clocks),
            seen_revocations: &seen,
        };
        let closed = open_until(&view, clocks.wall).err().map(|why| why.to_string());
        let usage = service.images.archive.usage()?;
        let space = service.images.room.space().map_err(ServiceError::Room)?;
        Ok(RelayStatus {
            name: service.member.name.clone(),
            source: service.member.source.to_string(),
            network: service.member.genesis.name.to_string(),
            chain: header.chain.to_string(),
            height: header.height,
            block: header.id().to_string(),
            state_root: header.state_root.to_string(),
            age_ms,
            fresh: closed.is_none(),
            closed,
            epoch: head.epoch,
            studies: snapshot.activity(service.member.source)?.studies_in_all,
            files: usage.files,
            bytes: usage.bytes,
            damaged: service.images.archive.damaged(),
            quarantined: service.images.quarantine.rows().map_err(ServiceError::Quarantine)?.len(),
            disk_free: space.free,
            disk_reserve: space.reserve,
            disk_short: space.free < space.reserve,
            validators: set.validators.len(),
            votes: set.validators.find(&service.member.source).is_some(),
        })
    }
}

impl Command for Status {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, status: RelayStatus) -> Result<Answer, Failure> {
        Ok(Answer { text: status.lines(), json: json!(status) })
    }
}

impl RelayStatus {
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
