//! What sources vouch for, this one among them, so that wallets which were away too long find their way back (the ledger's RULES §7).
//!
//! The checkpoint key lies in `keys/checkpoint`, what the identity key says of it beside it, in `keys/endorsement`. What others vouch for is kept
//! in memory alone: they are asked for it again.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clavicle_ledger::block::Header;
use clavicle_ledger::encoding;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::{SignedCheckpoint, SignedEndorsement};
use clavicle_ledger::time::Height;
use tracing::warn;

use crate::keys::{IDENTITY, KeysError, checkpoint_key};
use crate::replace;

/// How many checkpoints are kept of a source: while one epoch follows another some vouch for this one already and some for that one still.
const KEPT: usize = 2;

/// The checkpoint key, its endorsement, and what is vouched for.
pub struct CheckpointBook {
    key: SecretKey,
    file: PathBuf,
    /// Whether the identity key lies beside it, and endorses it by itself.
    has_identity: bool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    endorsement: Option<SignedEndorsement>,
    signed: BTreeMap<SourceId, BTreeMap<Height, SignedCheckpoint>>,
}

impl CheckpointBook {
    /// Reads the key and its endorsement from the folder of the keys; the key is made if there is none.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn open(folder: &Path) -> Result<Self, KeysError> {
        let (key, file) = (checkpoint_key(folder)?, folder.join("endorsement"));
        let endorsement = match fs::read(&file) {
            Ok(bytes) => encoding::decode::<SignedEndorsement>(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(KeysError::File { path: file, error }),
        };
        // One that is damaged, or of an earlier key, is as good as none: another is asked for.
        let endorsement = endorsement.filter(|endorsement| endorsement.endorsement.key == key.public());
        if endorsement.is_none() && file.exists() {
            warn!("the endorsement of the checkpoint key cannot be used, and another is needed");
        }
        let has_identity = folder.join(IDENTITY).exists();
        Ok(Self { key, file, has_identity, kept: Mutex::new(Kept { endorsement, ..Kept::default() }) })
    }

    /// Whether the identity key was at hand when this was opened: then nobody has to be asked for an endorsement.
    #[must_use]
    pub const fn has_identity(&self) -> bool {
        self.has_identity
    }

    /// The checkpoint key.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key.public()
    }

    /// What the identity key says of it.
    #[must_use]
    pub fn endorsement(&self) -> Option<SignedEndorsement> {
        self.kept().endorsement
    }

    /// Keeps an endorsement, in place of the one before. That it is one, and of this key, has been looked at.
    ///
    /// # Errors
    /// [`KeysError::File`].
    pub fn endorse(&self, endorsement: SignedEndorsement) -> Result<(), KeysError> {
        let mut kept = self.kept();
        let written = replace::write(&self.file, &encoding::encode(&endorsement));
        written.map_err(|error| KeysError::File { path: self.file.clone(), error })?;
        kept.endorsement = Some(endorsement);
        Ok(())
    }

    /// Vouches for a header, if the key is endorsed.
    #[must_use]
    pub fn sign(&self, header: &Header) -> Option<SignedCheckpoint> {
        Some(SignedCheckpoint::sign(header, self.endorsement()?, &self.key))
    }

    /// Keeps what a source vouches for, if it is newer than what is kept of it. What it says has been looked at.
    pub fn keep(&self, signed: SignedCheckpoint) {
        let mut kept = self.kept();
        let of_source = kept.signed.entry(signed.source()).or_default();
        of_source.insert(signed.checkpoint.height, signed);
        while of_source.len() > KEPT {
            of_source.pop_first();
        }
    }

    /// Whether this is kept, word for word.
    #[must_use]
    pub fn has(&self, signed: &SignedCheckpoint) -> bool {
        let kept = self.kept();
        let found = kept.signed.get(&signed.source()).and_then(|of| of.get(&signed.checkpoint.height));
        found == Some(signed)
    }

    /// What a source vouches for at a height.
    #[must_use]
    pub fn of(&self, source: &SourceId, height: Height) -> Option<SignedCheckpoint> {
        self.kept().signed.get(source)?.get(&height).copied()
    }

    /// All that is vouched for.
    #[must_use]
    pub fn all(&self) -> Vec<SignedCheckpoint> {
        self.kept().signed.values().flat_map(BTreeMap::values).copied().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CheckpointBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointBook").field("key", &self.key()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clavicle_ledger::id::{BlockId, ChainId};
    use clavicle_ledger::key::Signature;
    use clavicle_ledger::light::{Checkpoint, Endorsement};
    use clavicle_ledger::time::{BlockTime, Timestamp};

    use super::*;

    fn endorsement(key: Key) -> SignedEndorsement {
        let (chain, source) = (ChainId::from_bytes([7; 32]), SourceId::from_bytes([2; 32]));
        Endorsement { chain, source, key, from: Timestamp(1), until: Timestamp(2) }
            .sign(&SecretKey::from_bytes(&[3; 32]))
    }

    #[test]
    fn key_and_endorsement_stay_and_an_endorsement_of_another_key_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let book = CheckpointBook::open(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join("checkpoint")).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, book.endorsement()), (0o600, None));
        let signed = endorsement(book.key());
        book.endorse(signed).unwrap();
        let again = CheckpointBook::open(folder.path()).unwrap();
        assert_eq!((again.key(), again.endorsement()), (book.key(), Some(signed)));
        let other = endorsement(SecretKey::from_bytes(&[9; 32]).public());
        for bytes in [encoding::encode(&other), b"damaged".to_vec(), Vec::new()] {
            fs::write(folder.path().join("endorsement"), bytes).unwrap();
            assert_eq!(CheckpointBook::open(folder.path()).unwrap().endorsement(), None);
        }
    }

    #[test]
    fn the_two_newest_of_each_source_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let book = CheckpointBook::open(folder.path()).unwrap();
        let said = |source: u8, height| {
            let mut endorsement = endorsement(book.key());
            endorsement.endorsement.source = SourceId::from_bytes([source; 32]);
            let checkpoint = Checkpoint { height, block: BlockId::from_bytes([1; 32]) };
            let (time, signature) = (BlockTime(Timestamp(height)), Signature::from_bytes([4; 64]));
            SignedCheckpoint { endorsement, checkpoint, time, signature }
        };
        for height in [5, 9, 7, 3] {
            book.keep(said(1, height));
        }
        book.keep(said(2, 1));
        assert_eq!(book.all(), [said(1, 7), said(1, 9), said(2, 1)]);
        assert!(book.has(&said(1, 9)) && !book.has(&said(1, 3)));
        // The same height once more, under a newer endorsement.
        let mut renewed = said(1, 9);
        renewed.endorsement.endorsement.until = Timestamp(99);
        book.keep(renewed);
        assert_eq!(book.of(&SourceId::from_bytes([1; 32]), 9), Some(renewed));
    }
}
