//! Salts: what makes a study's place on the ledger say nothing about the study.
//!
//! UIDs are guessable, so an unsalted hash would let anyone ask the ledger about a study they suspect. The salt lives
//! with the source, the holder and those granted; when all forget it, nothing links the ledger to the study any more.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::Zeroize;

use crate::id::{SeriesId, StudyDigest};

/// 32 random bytes, one salt per study.
#[derive(Clone, PartialEq, Eq, Zeroize, BorshSerialize, BorshDeserialize)]
#[zeroize(drop)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Takes 32 bytes that the caller drew at random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of a Study Instance UID (DICOM (0020,000D)), without its padding.
    ///
    /// ```
    /// use clavicle_ledger::salt::Salt;
    /// let salt = Salt::from_bytes([7; 32]);
    /// assert_eq!(salt.study_digest("1.2.840.1"), salt.study_digest("1.2.840.1\0"));
    /// assert_ne!(salt.study_digest("1.2.840.1"), Salt::from_bytes([8; 32]).study_digest("1.2.840.1"));
    /// ```
    #[must_use]
    pub fn study_digest(&self, study_instance_uid: &str) -> StudyDigest {
        StudyDigest::from_bytes(self.hash(study_instance_uid))
    }

    /// The series with this Series Instance UID (DICOM (0020,000E)), without its padding.
    #[must_use]
    pub fn series_id(&self, series_instance_uid: &str) -> SeriesId {
        SeriesId::from_bytes(self.hash(series_instance_uid))
    }

    fn hash(&self, uid: &str) -> [u8; 32] {
        // DICOM PS3.5 §9.1 pads a UID to even length with NUL; some systems use a space.
        *blake3::keyed_hash(&self.0, uid.trim_end_matches(['\0', ' ']).as_bytes()).as_bytes()
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}
