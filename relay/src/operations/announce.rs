//! `announce`: the network is told where this hospital is from now on. Wallets and the other relays follow without a restart of theirs.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clavicle_ledger::action::DefineSource;
use clavicle_ledger::encoding;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::source::{Addresses, Announcement};
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::{HOUR_MS, Height};
use clavicle_ledger::transaction::{Action, Body};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::standing::{FINAL, final_at};
use super::{Command, NoFolder, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::ending::{FAILED, of_state};
use crate::home::{HomeError, Listen};
use crate::keys::{Keys, KeysError, read_key};
use crate::service::Service;
use crate::store::StoreError;
use crate::submission::{From, SubmitError};

/// Tell the network where this relay is, as relay.toml says now; returns when it is final
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Announce {
    /// The file of the identity key, if it is kept elsewhere: it has to sign
    #[arg(long, value_name = "KEY")]
    pub identity: Option<PathBuf>,
}

/// Where a hospital is, as the ledger has it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Its name.
    pub name: String,
    /// For other validators, TCP.
    pub consensus: SocketAddr,
    /// For wallets and other relays, TCP.
    pub network: SocketAddr,
    /// For those who fetch, UDP.
    pub transfer: SocketAddr,
    /// Which announcement of the hospital it is; the genesis is 0.
    pub version: u64,
    /// The height at which it became final; nothing, if it was announced before.
    pub height: Option<Height>,
}

/// Why nothing was announced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// See [`HomeError`].
    #[error(transparent)]
    Home(#[from] HomeError),
    /// See [`KeysError`].
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// Of all addresses none.
    #[error(
        "{0} is an address to listen at, and none at which others find this relay: write one under [listen] in relay.toml"
    )]
    Unspecified(SocketAddr),
    /// Kept elsewhere.
    #[error("the identity key has to sign, and is not in the relay's folder: say where it is with --identity")]
    NoIdentity,
    /// Another hospital's, or none's.
    #[error("the key in that file is not this hospital's identity key")]
    OtherIdentity,
    /// Other keys were announced.
    #[error("this hospital has announced other keys than those in the relay's folder, and each of them has to sign")]
    OtherKeys,
    /// Not in the network.
    #[error("this hospital is not in the network")]
    NoSource,
    /// See [`SubmitError`].
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Not decided.
    #[error("the hospitals have not agreed on it within {} seconds; it was submitted, and may still become final", FINAL.as_secs())]
    NotFinal,
}

impl Refusing for AnnounceError {
    fn code(&self) -> &str {
        match self {
            Self::Home(error) => error.code(),
            Self::Keys(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::State(_) => "store",
            Self::Unspecified(_) => "address",
            Self::NoIdentity | Self::OtherIdentity | Self::OtherKeys => "key",
            Self::NoSource => "source",
            Self::Submit(error) => error.code(),
            Self::NotFinal => "not_final",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Home(error) => error.exit_code(),
            Self::Keys(error) => error.exit_code(),
            Self::Store(error) => error.exit_code(),
            Self::State(error) => of_state(error),
            _ => FAILED,
        }
    }
}

impl Operation for Announce {
    const WORD: &'static str = "announce";

    type On = Service;
    type Answer = Announced;
    type Error = AnnounceError;

    fn work(self, service: &Service) -> Result<Announced, AnnounceError> {
        let member = &service.member;
        // As its operator has written it by now: the relay itself is there after its next start.
        let listen = member.home.settings()?.listen;
        let Listen { consensus, network, transfer } = listen;
        if let Some(address) = [consensus, network, transfer].into_iter().find(|address| address.ip().is_unspecified())
        {
            return Err(AnnounceError::Unspecified(address));
        }
        let before = service.store.snapshot()?.source(member.source)?.ok_or(AnnounceError::NoSource)?;
        let circuit = before.announced.addresses.circuit.clone();
        let addresses = Addresses { circuit, ..listen.announced() };
        let announced =
            |version, height| Announced { name: member.name.clone(), consensus, network, transfer, version, height };
        if before.announced.addresses == addresses {
            return Ok(announced(before.version, None));
        }
        let keys = Keys::read(&member.home.keys_folder())?;
        if before.announced.keys != keys.announced() {
            return Err(AnnounceError::OtherKeys);
        }
        let given = self.identity.map(|path| read_key(&path)).transpose()?;
        let identity = given.as_ref().or(keys.identity.secret()).ok_or(AnnounceError::NoIdentity)?;
        if identity.public() != before.identity {
            return Err(AnnounceError::OtherIdentity);
        }
        let signers: Vec<&SecretKey> = std::iter::once(identity).chain(keys.others()).collect();
        let version = before.version.saturating_add(1);
        let announcement = Announcement { addresses, ..before.announced };
        let action = Action::DefineSource(DefineSource { identity: identity.public(), version, announcement });
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&version.to_be_bytes());
        let body = Body { submit_by: (service.clock)().0.plus(HOUR_MS), nonce, action };
        let signed = body.sign(&member.chain, &signers);
        let envelope = signed.expect("every key that is announced signs, and the identity key");
        service.submission.take(&encoding::encode(&envelope), From::Somebody)?;
        let height = final_at(service, &envelope.hash())?.ok_or(AnnounceError::NotFinal)?;
        Ok(announced(version, Some(height)))
    }
}

impl Command for Announce {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        // The relay that reads it has another working directory.
        Ok(Self { identity: arguments.identity.as_deref().map(NoFolder::or).transpose()? })
    }

    fn say(_: &Self, done: Announced) -> Result<Answer, Failure> {
        let Announced { name, consensus, network, transfer, height, .. } = &done;
        let fate = match height {
            Some(height) => format!(
                "final at height {height}\nStart the relay again, so that it is there: until then nobody finds it"
            ),
            None => "announced before, nothing was changed".to_owned(),
        };
        let text = format!(
            "{name} is at {consensus} (validators), {network} (wallets, relays) and {transfer} (images): {fate}"
        );
        Ok(Answer { text, json: json!(done) })
    }
}
