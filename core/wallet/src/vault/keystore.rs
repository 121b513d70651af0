//! Where a vault's data key is kept.

use std::fmt;
use std::io::Read as _;
use std::iter;

use age::DecryptError;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{Passphrase, VaultError};

/// Binary logarithm of scrypt's N: 128 MiB of memory and about half a second for every guess.
const WORK_FACTOR: u8 = 17;
/// The most work that opening a vault may ask for: a gibibyte. A later version may seal with more than this one.
const MAX_WORK_FACTOR: u8 = 20;
/// What a device's secret is used for.
const DEVICE_CONTEXT: &str = "clavicle 2026 vault key by a device";
const DEVICE_NONCE_LEN: usize = 24;

/// The data key of a vault, as it is kept: 32 random bytes.
pub type VaultKey = Zeroizing<[u8; 32]>;

/// What keeps the data key of a vault: it seals it into a small file of the wallet's folder, and opens that again.
///
/// A [`Passphrase`] does. What a platform offers (Keychain, Keystore, Secret Service) is another: it wraps the same 32 bytes by a key that never leaves
/// it, in a file of its own name, so that a wallet may be opened either way and losing one is no loss.
pub trait KeyStore: Send + Sync {
    /// The file's name, for ever the same.
    fn file_name(&self) -> &'static str;

    /// Refuses what is too weak to make a vault with.
    ///
    /// # Errors
    /// [`VaultError::Weak`].
    fn check_new(&self) -> Result<(), VaultError>;

    /// Seals a data key.
    ///
    /// # Errors
    /// [`VaultError`].
    fn seal(&self, key: &VaultKey) -> Result<Vec<u8>, VaultError>;

    /// Opens what was sealed. It may take its time, and ask a person.
    ///
    /// # Errors
    /// [`VaultError`].
    fn unseal(&self, sealed: &[u8]) -> Result<VaultKey, VaultError>;
}

/// age, scrypt.
impl KeyStore for Passphrase {
    fn file_name(&self) -> &'static str {
        "vault.age"
    }

    fn check_new(&self) -> Result<(), VaultError> {
        Self::check_new(self).map_err(VaultError::Weak)
    }

    fn seal(&self, key: &VaultKey) -> Result<Vec<u8>, VaultError> {
        let mut recipient = age::scrypt::Recipient::new(self.secret());
        recipient.set_work_factor(WORK_FACTOR);
        Ok(age::encrypt(&recipient, &**key).expect("one recipient is given, and memory takes what is written"))
    }

    fn unseal(&self, sealed: &[u8]) -> Result<VaultKey, VaultError> {
        let damaged = || VaultError::Damaged { what: "vault.age", error: None };
        let mut identity = age::scrypt::Identity::new(self.secret());
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        let decryptor = age::Decryptor::new_buffered(sealed).map_err(|_| damaged())?;
        let mut reader = decryptor.decrypt(iter::once(&identity as _)).map_err(|error| match error {
            DecryptError::DecryptionFailed => VaultError::WrongPassphrase,
            DecryptError::ExcessiveWork { .. } => VaultError::TooMuchWork,
            _ => damaged(),
        })?;
        let mut key = Zeroizing::new([0; 32]);
        reader.read_exact(&mut *key).map_err(|_| damaged())?;
        match reader.read(&mut [0]) {
            Ok(0) => Ok(key),
            _ => Err(damaged()),
        }
    }
}

/// 32 random bytes that a telephone's own key store keeps, wrapped by a key that never leaves it: a second way in, beside a passphrase, and without the work
/// that one takes. Whoever has them opens the vault.
pub struct DeviceSecret(Zeroizing<[u8; 32]>);

impl DeviceSecret {
    /// Those bytes.
    #[must_use]
    pub const fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*Zeroizing::new(blake3::derive_key(DEVICE_CONTEXT, &*self.0))).into())
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceSecret(…)")
    }
}

/// A nonce, and XChaCha20-Poly1305.
impl KeyStore for DeviceSecret {
    fn file_name(&self) -> &'static str {
        "vault.device"
    }

    fn check_new(&self) -> Result<(), VaultError> {
        Ok(())
    }

    fn seal(&self, key: &VaultKey) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; DEVICE_NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(VaultError::Random)?;
        let sealed = self.cipher().encrypt(XNonce::from_slice(&nonce), key.as_slice());
        Ok([&nonce[..], &sealed.expect("32 bytes are far fewer than the cipher takes")].concat())
    }

    fn unseal(&self, sealed: &[u8]) -> Result<VaultKey, VaultError> {
        let damaged = VaultError::Damaged { what: "vault.device", error: None };
        let Some((nonce, sealed)) = sealed.split_at_checked(DEVICE_NONCE_LEN) else { return Err(damaged) };
        let opened =
            self.cipher().decrypt(XNonce::from_slice(nonce), sealed).map_err(|_| VaultError::WrongPassphrase)?;
        let key = Zeroizing::new(opened);
        Ok(Zeroizing::new(key.as_slice().try_into().map_err(|_| damaged)?))
    }
}
