//! The files that are passed around by hand: `source.json`, from a hospital to whoever makes the genesis, and
//! `network.json`, from there to everybody.
//!
//! Both are JSON for people to look into, around one field of hexadecimal digits that counts: the encoded [`Candidate`] or
//! [`Genesis`]. What stands beside it is only shown, and is checked against it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::{self, DecodeError, Hex, Wire};
use clavicle_ledger::genesis::{Candidate, CandidateError, Genesis, GenesisError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest file read, in bytes: a genesis of four mebibytes, twice over in hexadecimal, and what stands beside it.
const MAX_FILE_LEN: u64 = 10 * 1024 * 1024;

/// Why a file that was passed around could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkFileError {
    /// The file itself.
    #[error("{path} could not be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// There is one.
    #[error("{0} exists already; nothing was changed. A genesis is made once: remove the file if it was never used")]
    Exists(PathBuf),
    /// Something else.
    #[error("{path} is not {what}")]
    NotOne {
        /// Which.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
        /// Why not.
        #[source]
        error: serde_json::Error,
    },
    /// The field that counts is not hexadecimal.
    #[error("{0} is damaged: its last field is not made of hexadecimal digits")]
    NotHex(PathBuf),
    /// The field that counts says nothing.
    #[error("{path} is damaged")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        #[source]
        error: DecodeError,
    },
    /// What is shown is not what counts.
    #[error("{0} shows something else than it contains: somebody changed it by hand")]
    Disagrees(PathBuf),
    /// A candidate that is none.
    #[error("{path} cannot be in a genesis")]
    Candidate {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        error: CandidateError,
    },
    /// A genesis that is none.
    #[error("{path} cannot be a network")]
    Genesis {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        error: GenesisError,
    },
}

/// `source.json`.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct SourceFile {
    /// The hospital's name.
    name: String,
    /// Its identity key.
    identity: String,
    /// The encoded candidate.
    candidate: String,
}

/// `network.json`.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    /// The network's name.
    network: String,
    /// Its chain id.
    chain: String,
    /// Its sources' names.
    sources: Vec<String>,
    /// The encoded genesis.
    genesis: String,
}

impl SourceFile {
    fn of(candidate: &Candidate) -> Self {
        Self {
            name: candidate.source.announcement.name.to_string(),
            identity: candidate.source.identity.to_string(),
            candidate: Hex(&encoding::encode(candidate)).to_string(),
        }
    }
}

impl NetworkFile {
    fn of(genesis: &Genesis) -> Self {
        Self {
            network: genesis.name.to_string(),
            chain: genesis.chain_id().to_string(),
            sources: genesis.sources.iter().map(|source| source.announcement.name.to_string()).collect(),
            genesis: Hex(&encoding::encode(genesis)).to_string(),
        }
    }
}

/// Writes a source's file, which must not exist.
///
/// # Errors
/// [`NetworkFileError`].
pub fn write_candidate(path: &Path, candidate: &Candidate) -> Result<(), NetworkFileError> {
    write(path, &SourceFile::of(candidate), OpenOptions::new().write(true).create_new(true))
}

/// Reads a source's file and checks that all its keys signed it.
///
/// # Errors
/// [`NetworkFileError`].
pub fn read_candidate(path: &Path) -> Result<Candidate, NetworkFileError> {
    let file: SourceFile = read(path, "a hospital's source.json")?;
    let candidate: Candidate = decode(path, &file.candidate)?;
    if SourceFile::of(&candidate) != file {
        return Err(NetworkFileError::Disagrees(path.to_owned()));
    }
    candidate.check().map_err(|error| NetworkFileError::Candidate { path: path.to_owned(), error })?;
    Ok(candidate)
}

/// Writes a network's file, which must not exist.
///
/// # Errors
/// [`NetworkFileError`].
pub fn write_genesis(path: &Path, genesis: &Genesis) -> Result<(), NetworkFileError> {
    write(path, &NetworkFile::of(genesis), OpenOptions::new().write(true).create_new(true))
}

/// Reads a network's file and checks that it can be a network.
///
/// # Errors
/// [`NetworkFileError`].
pub fn read_genesis(path: &Path) -> Result<Genesis, NetworkFileError> {
    let file: NetworkFile = read(path, "a network.json")?;
    let genesis: Genesis = decode(path, &file.genesis)?;
    if NetworkFile::of(&genesis) != file {
        return Err(NetworkFileError::Disagrees(path.to_owned()));
    }
    genesis.check().map_err(|error| NetworkFileError::Genesis { path: path.to_owned(), error })?;
    Ok(genesis)
}

fn write(path: &Path, value: &impl Serialize, options: &OpenOptions) -> Result<(), NetworkFileError> {
    let text = serde_json::to_string_pretty(value).expect("strings have a form in JSON");
    let write = || {
        let mut file = options.open(path)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => NetworkFileError::Exists(path.to_owned()),
        _ => NetworkFileError::File { path: path.to_owned(), error },
    })
}

fn read<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, NetworkFileError> {
    let mut text = String::new();
    let read = |text: &mut String| File::open(path)?.take(MAX_FILE_LEN).read_to_string(text);
    read(&mut text).map_err(|error| NetworkFileError::File { path: path.to_owned(), error })?;
    serde_json::from_str(&text).map_err(|error| NetworkFileError::NotOne { path: path.to_owned(), what, error })
}

fn decode<T: Wire>(path: &Path, hex: &str) -> Result<T, NetworkFileError> {
    let bytes = encoding::from_hex(hex).ok_or_else(|| NetworkFileError::NotHex(path.to_owned()))?;
    encoding::decode(&bytes).map_err(|error| NetworkFileError::Damaged { path: path.to_owned(), error })
}
