//! `renew`: a store that is lost is begun anew at the next start.

use std::path::PathBuf;

use clap::Args;
use clavicle_ledger::time::Height;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation, Stopped};
use crate::answer::{Answer, Failure, Refusing};
use crate::made::{MadeError, StoreName, UNKNOWN};
use crate::service::OpenError;

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
    /// From which height on this relay votes; nothing while it must find that out.
    pub votes_from: Option<Height>,
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
}

impl Refusing for RenewError {
    fn code(&self) -> &str {
        match self {
            Self::Open(error) => error.code(),
            Self::Made(error) => error.code(),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Open(error) => error.exit_code(),
            Self::Made(error) => error.exit_code(),
        }
    }
}

impl Operation for Renew {
    const WORD: &'static str = "renew";

    type On = Stopped;
    type Answer = Renewed;
    type Error = RenewError;

    fn work(self, on: &Stopped) -> Result<Renewed, RenewError> {
        let mut made = on.made()?;
        made.renew(&on.home, self.store)?;
        let votes_from = Some(made.votes_from()).filter(|height| *height != UNKNOWN);
        Ok(Renewed { path: self.store.path(&on.home), votes_from })
    }
}

impl Command for Renew {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(Self { store }: &Self, Renewed { path, votes_from }: Renewed) -> Result<Answer, Failure> {
        let votes = match votes_from {
            Some(_) => "",
            None => "; this relay votes again when the others have made a block that it cannot have voted on",
        };
        Ok(Answer {
            text: format!("{} is begun anew at the next start{votes}", path.display()),
            json: json!({ "store": store, "votes_from": votes_from }),
        })
    }
}
