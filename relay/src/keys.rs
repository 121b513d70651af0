//! A source's private keys, one file each, readable by their owner alone.
//!
//! The identity key is needed only to announce the others and to endorse the checkpoint key. `keys/identity` may be taken away and kept
//! elsewhere: which source this is, `keys/identity.public` says.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::source::SourceKeys;
use zeroize::Zeroizing;

use crate::private::OTHERS;
use crate::store::pickups::SealingKey;

/// The keys of a source that runs a validator.
pub struct Keys {
    /// Announces the others.
    pub identity: IdentityKey,
    /// Signs studies, revisions, statuses, receipts and anchors.
    pub operational: SecretKey,
    /// Signs votes and proposals.
    pub consensus: SecretKey,
    /// The iroh endpoint from which images are served.
    pub transfer: SecretKey,
    /// The libp2p peer.
    pub network: SecretKey,
}

/// The identity key: its public half is always here, its private one only while it is not kept elsewhere.
pub struct IdentityKey {
    public: Key,
    secret: Option<SecretKey>,
}

impl IdentityKey {
    /// The key.
    #[must_use]
    pub const fn public(&self) -> Key {
        self.public
    }

    /// What it signs with, if that is at hand.
    #[must_use]
    pub const fn secret(&self) -> Option<&SecretKey> {
        self.secret.as_ref()
    }
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

pub(crate) const IDENTITY: &str = "identity";
const IDENTITY_PUBLIC: &str = "identity.public";
const NAMES: [&str; 5] = [IDENTITY, "operational", "consensus", "transfer", "network"];

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
        let identity = read_identity(folder)?;
        let [_, operational, consensus, transfer, network] = NAMES.map(|name| folder.join(name));
        Ok(Self {
            identity,
            operational: read_key(&operational)?,
            consensus: read_key(&consensus)?,
            transfer: read_key(&transfer)?,
            network: read_key(&network)?,
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

    /// All of them that are here, to sign an announcement with.
    #[must_use]
    pub fn all(&self) -> Vec<&SecretKey> {
        self.identity.secret().into_iter().chain(self.others()).collect()
    }

    /// All but the identity key, in the order in which they sign an announcement.
    pub(crate) fn others(&self) -> [&SecretKey; 4] {
        [&self.operational, &self.consensus, &self.transfer, &self.network]
    }
}

/// The identity key, whole or by its public half. A folder of an earlier version has only the private one, and gets the other.
fn read_identity(folder: &Path) -> Result<IdentityKey, KeysError> {
    let (private, public) = (folder.join(IDENTITY), folder.join(IDENTITY_PUBLIC));
    if public.exists() && !private.exists() {
        return Ok(IdentityKey { public: Key::from_bytes(*read_seed(&public)?), secret: None });
    }
    let secret = read_key(&private)?;
    if !public.exists() {
        make_once(folder, IDENTITY_PUBLIC, secret.public().as_bytes())?;
    }
    Ok(IdentityKey { public: secret.public(), secret: Some(secret) })
}

/// A private key, from its file.
///
/// # Errors
/// [`KeysError`].
pub fn read_key(path: &Path) -> Result<SecretKey, KeysError> {
    Ok(SecretKey::from_bytes(&*read_seed(path)?))
}

/// The key that signs checkpoints. A folder of an earlier version has none: it is made then.
///
/// # Errors
/// [`KeysError`].
pub fn checkpoint_key(folder: &Path) -> Result<SecretKey, KeysError> {
    Ok(SecretKey::from_bytes(&*made_later(folder, "checkpoint")?))
}

/// What the secrets of pickups are sealed under. A folder of an earlier version has none: it is made then, at once or not at all.
///
/// # Errors
/// [`KeysError`].
pub fn desk_key(folder: &Path) -> Result<SealingKey, KeysError> {
    made_later(folder, "desk").map(SealingKey::from_bytes)
}

/// A secret that earlier versions did not have.
fn made_later(folder: &Path, name: &str) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let path = folder.join(name);
    if !path.exists() {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeysError::Random)?;
        make_once(folder, name, &seed)?;
    }
    read_seed(&path)
}

/// Writes 32 bytes into a new file, whole or not at all.
fn make_once(folder: &Path, name: &str, bytes: &[u8; 32]) -> Result<(), KeysError> {
    let path = folder.join(name);
    let made = tempfile::NamedTempFile::new_in(folder).map_err(|error| file_error(&path, error))?;
    write_all(made.as_file(), bytes).map_err(|error| file_error(&path, error))?;
    match made.persist_noclobber(&path) {
        // Another command has made one just now.
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(file_error(&path, error.error)),
        Ok(_) | Err(_) => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_key_can_be_kept_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, safe) = (folder.path().join("keys"), folder.path().join("safe"));
        let made = Keys::create(&keys).unwrap();
        assert_eq!((made.identity.secret().unwrap().public(), made.all().len()), (made.identity.public(), 5));
        fs::rename(keys.join(IDENTITY), &safe).unwrap();
        let read = Keys::read(&keys).unwrap();
        assert_eq!((read.identity.public(), read.identity.secret().is_none()), (made.identity.public(), true));
        assert_eq!(read.all().len(), 4);
        assert_eq!(read_key(&safe).unwrap().public(), made.identity.public());
        // A folder of an earlier version has no public half, until it is read.
        fs::rename(&safe, keys.join(IDENTITY)).unwrap();
        fs::remove_file(keys.join(IDENTITY_PUBLIC)).unwrap();
        Keys::read(&keys).unwrap();
        assert!(keys.join(IDENTITY_PUBLIC).exists());
        // Without either nobody knows which hospital this is.
        fs::remove_file(keys.join(IDENTITY)).unwrap();
        fs::remove_file(keys.join(IDENTITY_PUBLIC)).unwrap();
        assert!(matches!(Keys::read(&keys), Err(KeysError::File { .. })));
    }
}
