//! `checkpoints`: what hospitals vouch for to wallets that were away too long, and this one's endorsement.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use clavicle_command::file::{Readers, path_text, write_new};
use clavicle_ledger::encoding::{self, DecodeError, Hex, Wire as _};
use clavicle_ledger::light::{EndorsementError, SignedEndorsement};
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::{LocalTime, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation, Unwritten};
use crate::answer::{Answer, Failure, Refusing};
use crate::ending::of_cause;
use crate::keys::KeysError;
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::vouching;

/// Tell which block the hospitals vouch for to wallets that were away for more than 14 days, and renew this one's endorsement
#[derive(Clone, Debug, Args)]
pub struct CheckpointsArguments {
    /// Write what the keeper of the identity key is asked to sign, with `clavicle-relay endorse`
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Take what it signed
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    endorsed: Option<PathBuf>,
}

/// How checkpoints stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoints {
    /// An endorsement to take first, in hexadecimal digits.
    pub endorsed: Option<String>,
}

/// How they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointsRow {
    /// The checkpoint key.
    pub key: String,
    /// Until when it is endorsed, in milliseconds since 1970; nothing when no endorsement is in force.
    pub endorsed_until_ms: Option<u64>,
    /// The height of the block that is vouched for: the first of the epoch. None before the network is a day old.
    pub height: Option<u64>,
    /// Its id.
    pub block: Option<String>,
    /// The hospitals that vouch for it, as far as it is known here.
    pub vouching: Vec<String>,
    /// Their power.
    pub power: u64,
    /// That of all who decide.
    pub total_power: u64,
    /// What the keeper of the identity key would be asked to sign now, in hexadecimal digits.
    pub request: String,
}

/// Why an endorsement is not taken, or nothing can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointsError {
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`KeysError`].
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Not one.
    #[error("the endorsement cannot be used: it is not made of hexadecimal digits")]
    NotHex,
    /// Not one.
    #[error("the endorsement cannot be used")]
    Damaged(#[from] DecodeError),
    /// One that nobody would believe.
    #[error("the endorsement cannot be used")]
    Endorsement(#[from] EndorsementError),
    /// Of something else.
    #[error(
        "the endorsement is of another {0} than this relay's: have the request signed that `clavicle-relay checkpoints --request` writes here"
    )]
    Other(&'static str),
    /// Not by the identity key.
    #[error("the endorsement is signed by another key than this hospital's identity key, {0}")]
    OtherIdentity(String),
    /// Not now.
    #[error(
        "the endorsement is good from {from} until {until}, and it is {now}: ask for another, and see whether the clocks are right"
    )]
    NotNow {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// A key that is at hand for something else.
    #[error(
        "the checkpoint key is announced for something else already: move keys/checkpoint away, start the relay anew and ask again"
    )]
    KeyInUse,
    /// This source is not on the ledger.
    #[error("this hospital is not on the ledger")]
    NoSource,
}

impl Refusing for CheckpointsError {
    fn code(&self) -> &str {
        match self {
            Self::Service(_) | Self::State(_) | Self::Store(_) => "store",
            Self::Keys(error) => error.code(),
            _ => "endorsement",
        }
    }
}

/// Why the file of an endorsement was not read.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be read")]
pub struct Unread {
    path: PathBuf,
    #[source]
    error: std::io::Error,
}

impl Refusing for Unread {
    fn code(&self) -> &str {
        "file"
    }

    fn exit_code(&self) -> u8 {
        of_cause(self)
    }
}

/// A file that is passed around by hand, no more of it than one byte too many.
pub(crate) fn read_file(path: &Path, most: usize) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    let limit = most.saturating_add(1) as u64;
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| Unread { path: path.to_owned(), error })?;
    Ok(bytes)
}

impl Operation for Checkpoints {
    const WORD: &'static str = "checkpoints";

    type On = Service;
    type Answer = CheckpointsRow;
    type Error = CheckpointsError;

    fn work(self, service: &Service) -> Result<CheckpointsRow, CheckpointsError> {
        let now = LocalTime(service.timekeeper.dated(&service.store));
        if let Some(endorsed) = self.endorsed {
            let bytes = encoding::from_hex(&endorsed).ok_or(CheckpointsError::NotHex)?;
            take(service, encoding::decode(&bytes)?, now)?;
        }
        let (snapshot, book) = (service.store.snapshot()?, &service.member.checkpoints);
        let (set, endorsement, first) =
            (snapshot.validators()?, book.endorsement(), vouching::first_of_epoch(service)?);
        let in_force = vouching::in_force(endorsement.as_ref(), now).and(endorsement);
        let (mut vouching, mut power) = (Vec::new(), 0u64);
        for validator in &set.validators {
            let says = first.is_some_and(|first| {
                let signed = book.of(&validator.source, first.height);
                signed.is_some_and(|signed| signed.checkpoint.block == first.id())
            });
            if says && let Some(row) = snapshot.source(validator.source)? {
                vouching.push(row.announced.name.to_string());
                power = power.saturating_add(validator.power);
            }
        }
        Ok(CheckpointsRow {
            key: book.key().to_string(),
            endorsed_until_ms: in_force.map(|by| by.endorsement.until.0),
            height: first.map(|first| first.height),
            block: first.map(|first| first.id().to_string()),
            vouching,
            power,
            total_power: u64::try_from(set.total_power()).unwrap_or(u64::MAX),
            request: Hex(&encoding::encode(&vouching::request(service, now))).to_string(),
        })
    }
}

/// Takes an endorsement that wallets would believe.
fn take(service: &Service, signed: SignedEndorsement, now: LocalTime) -> Result<(), CheckpointsError> {
    let (member, endorsement) = (&service.member, &signed.endorsement);
    let (network, hospital, key) = (
        endorsement.chain == member.chain,
        endorsement.source == member.source,
        endorsement.key == member.checkpoints.key(),
    );
    for (is_own, what) in [(network, "network"), (hospital, "hospital"), (key, "key")] {
        if !is_own {
            return Err(CheckpointsError::Other(what));
        }
    }
    let snapshot = service.store.snapshot()?;
    let row = snapshot.source(member.source)?.ok_or(CheckpointsError::NoSource)?;
    if row.identity != signed.identity {
        return Err(CheckpointsError::OtherIdentity(row.identity.to_string()));
    }
    signed.verify()?;
    if snapshot.key_use(endorsement.key)?.is_some() {
        return Err(CheckpointsError::KeyInUse);
    }
    if vouching::in_force(Some(&signed), now).is_none() {
        return Err(CheckpointsError::NotNow { from: endorsement.from, until: endorsement.until, now: now.0 });
    }
    Ok(member.checkpoints.endorse(signed)?)
}

impl Command for Checkpoints {
    type Arguments = CheckpointsArguments;

    fn request(arguments: &CheckpointsArguments) -> Result<Self, Failure> {
        let read = |path: &PathBuf| read_file(path, SignedEndorsement::MAX_LEN).map(|bytes| Hex(&bytes).to_string());
        Ok(Self { endorsed: arguments.endorsed.as_ref().map(read).transpose()? })
    }

    fn say(
        CheckpointsArguments { request, .. }: &CheckpointsArguments,
        row: CheckpointsRow,
    ) -> Result<Answer, Failure> {
        let mut text = row.lines();
        let mut json = json!(row);
        if let Some(path) = request {
            let bytes = encoding::from_hex(&row.request).ok_or(Unwritten::Digits("the request"))?;
            write_new(path, &bytes, Readers::Usual).map_err(|error| Unwritten::file(path, error))?;
            let path_shown = path.display();
            text.push_str(&format!(
                "\nrequest     in {path_shown}: sign it where the identity key is, `clavicle-relay endorse {path_shown} --identity KEY --out endorsed`, and \
                 give the answer to `clavicle-relay checkpoints --endorsed endorsed`"
            ));
            json["file"] = json!(path_text(path));
        }
        Ok(Answer { text, json })
    }
}

impl CheckpointsRow {
    /// The same in lines for a person.
    fn lines(&self) -> String {
        let Self { key, endorsed_until_ms, height, vouching, power, total_power, .. } = self;
        let endorsed = endorsed_until_ms.map_or_else(
            || "by no endorsement that is in force; this hospital vouches for nothing".to_owned(),
            |until| format!("endorsed until {}", Timestamp(until)),
        );
        let block = height.map_or_else(
            || "none yet: in its first day everybody starts from the genesis".to_owned(),
            |height| format!("block {height}: {power} of {total_power} of the voting power vouches for it"),
        );
        let who = if vouching.is_empty() { String::new() } else { format!(" ({})", vouching.join(", ")) };
        format!("key         {key}, {endorsed}\ncheckpoint  {block}{who}")
    }
}
