//! The vault's data key, and what it makes of rows.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{KeyStore, VaultError, VaultKey};

const NONCE_LEN: usize = 24;

/// The name of a row in the file.
pub(super) type RowName = [u8; 32];

/// The 32 random bytes, which another key store can be given, and the keys below them.
pub(super) struct DataKey {
    root: VaultKey,
    names: Zeroizing<[u8; 32]>,
    values: Zeroizing<[u8; 32]>,
}

/// A row as it is under its encryption.
///
/// ```text
/// length of kind (1) ‖ kind ‖ length of id (2, little endian) ‖ id ‖ value
/// ```
pub(super) struct PlainRow(Zeroizing<Vec<u8>>);

impl DataKey {
    /// Makes one; returned with the bytes of the file that it is kept in.
    pub(super) fn create(keys: &dyn KeyStore) -> Result<(Self, Vec<u8>), VaultError> {
        let mut root = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *root).map_err(VaultError::Random)?;
        let sealed = keys.seal(&root)?;
        Ok((Self::below(&root), sealed))
    }

    /// Opens that file.
    pub(super) fn open(sealed: &[u8], keys: &dyn KeyStore) -> Result<Self, VaultError> {
        Ok(Self::below(&*keys.unseal(sealed)?))
    }

    pub(super) fn below(root: &[u8; 32]) -> Self {
        let derive = |context| Zeroizing::new(blake3::derive_key(context, root));
        let (names, values) = (derive("clavicle 2026 vault row names"), derive("clavicle 2026 vault row values"));
        Self { root: Zeroizing::new(*root), names, values }
    }

    /// The bytes of another file that it is kept in.
    pub(super) fn sealed_by(&self, keys: &dyn KeyStore) -> Result<Vec<u8>, VaultError> {
        keys.seal(&self.root)
    }

    /// Whether it is this one.
    pub(super) fn is(&self, other: &Self) -> bool {
        // Compared as hashes are: in constant time.
        blake3::Hash::from_bytes(*self.names) == blake3::Hash::from_bytes(*other.names)
    }

    pub(super) fn name(&self, kind: &str, id: &[u8]) -> RowName {
        let mut hasher = blake3::Hasher::new_keyed(&self.names);
        hasher.update(&[kind_len(kind)]).update(kind.as_bytes()).update(id);
        *hasher.finalize().as_bytes()
    }

    /// Encrypts a row under a fresh nonce, bound to the name.
    pub(super) fn encrypt(&self, name: &RowName, row: &PlainRow) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(VaultError::Random)?;
        let sealed = self
            .cipher()
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: &row.0, aad: name })
            .expect("a row is far shorter than the cipher's limit of 256 GiB");
        Ok([&nonce[..], &sealed].concat())
    }

    /// Decrypts what is stored under `name`; `None` when it was not written there.
    pub(super) fn decrypt(&self, name: &RowName, stored: &[u8]) -> Option<PlainRow> {
        let (nonce, sealed) = stored.split_at_checked(NONCE_LEN)?;
        let plain = self.cipher().decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: name }).ok()?;
        Some(PlainRow(Zeroizing::new(plain)))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.values).into())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl PlainRow {
    /// Lays a row out; `write` appends its value of `len` bytes.
    pub(super) fn new(kind: &str, id: &[u8], len: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let id_len = u16::try_from(id.len()).expect("the length of an id was checked");
        // Room for all of it at once, so that nothing is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(3 + kind.len() + id.len() + len));
        bytes.push(kind_len(kind));
        bytes.extend_from_slice(kind.as_bytes());
        bytes.extend_from_slice(&id_len.to_le_bytes());
        bytes.extend_from_slice(id);
        write(&mut bytes);
        Self(bytes)
    }

    /// Kind, id and value.
    pub(super) fn parts(&self) -> Option<(&[u8], &[u8], &[u8])> {
        let (&kind_len, rest) = self.0.split_first()?;
        let (kind, rest) = rest.split_at_checked(usize::from(kind_len))?;
        let (id_len, rest) = rest.split_first_chunk::<2>()?;
        let (id, value) = rest.split_at_checked(usize::from(u16::from_le_bytes(*id_len)))?;
        Some((kind, id, value))
    }
}

fn kind_len(kind: &str) -> u8 {
    u8::try_from(kind.len()).expect("the name of a kind is a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> DataKey {
        DataKey::below(&[7; 32])
    }

    #[test]
    fn a_row_comes_back_under_its_own_name_alone() {
        let (key, other) = (key(), DataKey::below(&[8; 32]));
        let row = PlainRow::new("study", b"1", 3, |bytes| bytes.extend_from_slice(b"abc"));
        let name = key.name("study", b"1");
        let mut stored = key.encrypt(&name, &row).unwrap();
        assert_eq!(key.decrypt(&name, &stored).unwrap().parts().unwrap(), (&b"study"[..], &b"1"[..], &b"abc"[..]));
        assert!(key.decrypt(&key.name("study", b"2"), &stored).is_none());
        assert!(other.decrypt(&name, &stored).is_none());
        assert!(key.decrypt(&name, &stored[..NONCE_LEN - 1]).is_none());
        *stored.last_mut().unwrap() ^= 1;
        assert!(key.decrypt(&name, &stored).is_none());
    }

    #[test]
    fn names_depend_on_key_kind_and_id() {
        let names = [
            key().name("ab", b"c"),
            key().name("a", b"bc"),
            key().name("ab", b"d"),
            DataKey::below(&[8; 32]).name("ab", b"c"),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name));
        }
    }

    #[test]
    fn two_encryptions_of_a_row_differ() {
        let (key, row) = (key(), PlainRow::new("a", b"", 0, |_| {}));
        let name = key.name("a", b"");
        assert_ne!(key.encrypt(&name, &row).unwrap(), key.encrypt(&name, &row).unwrap());
    }
}
