//! `renew`: a store that is lost is begun anew at the next start.

use std::path::PathBuf;

use clap::Args;
use clavicle_ledger::time::Height;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation, Stopped};
use crate::answer::{Answer, Failure, Refusing};
use crate::ending::of_cause;
use crate::made::{MadeError, StoreName};
use crate::service::{OpenError, opened};
use crate::store::{ChainStore, StoreError};

/// Have a store that is lost begun anew at the next start; what is lost with it is in the README
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Renew {
    /// The store
    pub store: StoreName,
}

/// A store that is begun anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Where it will be.
    #[serde(serialize_with = "crate::path::lossy")]
    pub path: PathBuf,
    /// From which height on this relay votes, if that is because of it.
    pub silent_until: Option<Height>,
    /// From which height on this relay votes.
    pub votes_from: Height,
}

/// Why it is not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// See [`OpenError`].
    #[error(transparent)]
    Open(#[from] OpenError),
    /// See [`MadeError`].
    #[error(transparent)]
    Made(#[from] MadeError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The write-ahead log.
    #[error("the folder of the write-ahead log could not be made")]
    Log(#[source] std::io::Error),
}

impl Refusing for RenewError {
    fn code(&self) -> &str {
        match self {
            Self::Open(error) => error.code(),
            Self::Made(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Log(_) => "consensus",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Open(error) => error.exit_code(),
            Self::Made(error) => error.exit_code(),
            Self::Store(error) => error.exit_code(),
            Self::Log(_) => of_cause(self),
        }
    }
}

impl Operation for Renew {
    const WORD: &'static str = "renew";

    type On = Stopped;
    type Answer = Renewed;
    type Error = RenewError;

    fn work(self, on: &Stopped) -> Result<Renewed, RenewError> {
        let (home, mut made) = (&on.home, on.made()?);
        // The last height that it may have voted at is the one after the newest block, and the one that the log is of.
        let votes_from = match self.store {
            StoreName::Chain if made.has(StoreName::Log) => {
                let height = clavicle_consensus::log_height(&home.log_file()).map_err(RenewError::Log)?;
                height.ok_or(MadeError::Votes)?.saturating_add(1)
            }
            StoreName::Log | StoreName::Proposals if !StoreName::Chain.is_there(home) => {
                return Err(MadeError::Votes.into());
            }
            StoreName::Log | StoreName::Proposals => {
                let chain = opened(home.chain_file(), |path| ChainStore::open(path, &on.genesis))?;
                chain.head()?.height.saturating_add(2)
            }
            _ => 0,
        };
        made.renew(home, self.store, votes_from)?;
        let votes_from_now = made.votes_from();
        let silent_until = (votes_from > 0).then_some(votes_from_now);
        Ok(Renewed { path: self.store.path(home), silent_until, votes_from: votes_from_now })
    }
}

impl Command for Renew {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(Self { store }: &Self, Renewed { path, silent_until, votes_from }: Renewed) -> Result<Answer, Failure> {
        let votes = silent_until.map(|from| format!("; this relay votes from height {from} on")).unwrap_or_default();
        Ok(Answer {
            text: format!("{} is begun anew at the next start{votes}", path.display()),
            json: json!({ "store": store, "votes_from": votes_from }),
        })
    }
}
