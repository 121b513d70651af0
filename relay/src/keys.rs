//! A source's private keys, one file each, readable by their owner alone.
//!
//! The identity key is needed only to announce the others. It is still read at every start, to know which source this is, and
//! so cannot be kept cold yet.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::source::SourceKeys;
use zeroize::Zeroizing;

use crate::private::OTHERS;
use crate::store::pickups::SealingKey;

/// The keys of a source that runs a validator.
pub struct Keys {
    /// Announces the others.
    pub identity: SecretKey,
    /// Signs studies, revisions, statuses, receipts and anchors.
    pub operational: SecretKey,
    /// Signs votes and proposals.
    pub consensus: SecretKey,
    /// The iroh endpoint from which images are served.
    pub transfer: SecretKey,
    /// The libp2p peer.
    pub network: SecretKey,
}

/// Why keys could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
    /// A file.
    #[error("the key file {path} could not be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file that others can read.
    #[error(
        "others on this machine can read the key file {path}, and whoever did can act as this hospital: if nobody can have, \
         `chmod 600 {path}`; otherwise make a new relay, with new keys"
    )]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// A file that holds no key.
    #[error("the key file {path} does not hold a key: 64 hexadecimal digits")]
    NoKey {
        /// Which.
        path: PathBuf,
    },
}

const NAMES: [&str; 5] = ["identity", "operational", "consensus", "transfer", "network"];

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Makes fresh keys and writes them into the new folder `folder`.
    ///
    /// # Errors
    /// [`KeysError`]; also when the folder exists.
    pub fn create(folder: &Path) -> Result<Self, KeysError> {
        fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| file_error(folder, error))?;
        for name in NAMES {
            let mut seed = Zeroizing::new([0u8; 32]);
            getrandom::fill(&mut *seed).map_err(KeysError::Random)?;
            write_seed(&folder.join(name), &seed)?;
        }
        desk_key(folder)?;
        Self::read(folder)
    }

    /// Reads the keys from `folder`.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn read(folder: &Path) -> Result<Self, KeysError> {
        let [identity, operational, consensus, transfer, network] = NAMES.map(|name| read_seed(&folder.join(name)));
        let network = network?;
        let key = |seed: Zeroizing<[u8; 32]>| SecretKey::from_bytes(&seed);
        Ok(Self {
            identity: key(identity?),
            operational: key(operational?),
            consensus: key(consensus?),
            transfer: key(transfer?),
            network: key(network),
        })
    }

    /// What is announced of them.
    #[must_use]
    pub fn announced(&self) -> SourceKeys {
        let mut network = Ascending::new();
        network.insert(self.network.public()).expect("a list of four has room for one");
        SourceKeys {
            operational: self.operational.public(),
            consensus: Some(self.consensus.public()),
            transfer: self.transfer.public(),
            network,
        }
    }

    /// All of them, to sign an announcement with.
    #[must_use]
    pub const fn all(&self) -> [&SecretKey; 5] {
        [&self.identity, &self.operational, &self.consensus, &self.transfer, &self.network]
    }
}

/// What the secrets of pickups are sealed under. A folder of an earlier version has none: it is made then, at once or not at all.
///
/// # Errors
/// [`KeysError`].
pub fn desk_key(folder: &Path) -> Result<SealingKey, KeysError> {
    let path = folder.join("desk");
    if !path.exists() {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeysError::Random)?;
        let made = tempfile::NamedTempFile::new_in(folder).map_err(|error| file_error(&path, error))?;
        write_all(made.as_file(), &seed).map_err(|error| file_error(&path, error))?;
        match made.persist_noclobber(&path) {
            // Another command has made one just now.
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(file_error(&path, error.error));
            }
            Ok(_) | Err(_) => {}
        }
    }
    read_seed(&path).map(SealingKey::from_bytes)
}

fn file_error(path: &Path, error: io::Error) -> KeysError {
    KeysError::File { path: path.to_owned(), error }
}

fn write_seed(path: &Path, seed: &[u8; 32]) -> Result<(), KeysError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|file| write_all(&file, seed)).map_err(|error| file_error(path, error))
}

fn write_all(mut file: &fs::File, seed: &[u8; 32]) -> io::Result<()> {
    let mut line = Zeroizing::new(String::with_capacity(65));
    for byte in seed {
        for nibble in [byte >> 4, byte & 0x0f] {
            line.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is a digit"));
        }
    }
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

fn read_seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let mut text = Zeroizing::new(String::with_capacity(128));
    // No more than a key and some blanks, whatever the file is.
    let read = |text: &mut String| {
        let file = fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        file.take(128).read_to_string(text)?;
        Ok(mode)
    };
    if read(&mut text).map_err(|error| file_error(path, error))? & OTHERS != 0 {
        return Err(KeysError::Exposed { path: path.to_owned() });
    }
    let no_key = || KeysError::NoKey { path: path.to_owned() };
    let digits = text.trim().as_bytes();
    if digits.len() != 64 {
        return Err(no_key());
    }
    let mut seed = Zeroizing::new([0u8; 32]);
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let nibble =
                char::from(*digit).to_digit(16).and_then(|nibble| u8::try_from(nibble).ok()).ok_or_else(no_key)?;
            *byte = *byte << 4 | nibble;
        }
    }
    Ok(seed)
}
