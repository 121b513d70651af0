//! Terms: what a grant allows, known to holder, grantee and source, and to nobody who reads the ledger.
//!
//! The Grant on the ledger carries only a commitment. The grantee opens it when it connects, and the gate compares.
//! Because the Terms hold 32 random bytes, the commitment tells nothing and cannot be guessed.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::{self, Tag};
use crate::encoding::{Ascending, Bytes, Wire};
use crate::id::{ChainId, ManifestRoot, SeriesId, StudyId, TermsCommitment};
use crate::key::Key;
use crate::time::Timestamp;

/// Most series that a scope names one by one; wider scopes name all.
pub const MAX_SERIES: usize = 48;

/// What a grant allows.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// From when.
    pub not_before: Timestamp,
    /// Until when, exclusive. The ledger knows only the day it rounds up to.
    pub expires: Timestamp,
    /// Which series.
    pub series: SeriesScope,
    /// What for.
    pub purpose: PurposeOfUse,
    /// The manifest's revision that was consented to.
    pub revision: u32,
    /// That revision's root.
    pub manifest_root: ManifestRoot,
    /// Whether what later revisions bring is included.
    pub later_revisions: bool,
    /// For how long the grant stays good while the source cannot reach the ledger, in milliseconds of the head's age. 0 is the network's ordinary
    /// bound on freshness.
    pub staleness_ms: u64,
    /// Granted from an emergency card.
    pub emergency: bool,
    /// A sealed note to the grantee.
    pub note: Bytes<512>,
    /// 32 random bytes.
    pub blinding: [u8; 32],
}

/// Which series of a study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SeriesScope {
    /// All.
    All,
    /// These.
    These(Ascending<SeriesId, MAX_SERIES>),
}

impl SeriesScope {
    /// Whether `series` is in it.
    #[must_use]
    pub fn covers(&self, series: &SeriesId) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these.find(series).is_some(),
        }
    }
}

/// Why somebody fetches: HL7 v3 PurposeOfUse (code system 2.16.840.1.113883.5.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum PurposeOfUse {
    /// TREAT.
    Treatment,
    /// ETREAT.
    EmergencyTreatment,
    /// CAREMGT.
    CareManagement,
    /// HPAYMT.
    Payment,
    /// HOPERAT.
    Operations,
    /// HRESCH.
    Research,
    /// PATRQT.
    PatientRequested,
    /// PUBHLTH.
    PublicHealth,
    /// HLEGAL.
    Legal,
}

impl PurposeOfUse {
    /// The HL7 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Treatment => "TREAT",
            Self::EmergencyTreatment => "ETREAT",
            Self::CareManagement => "CAREMGT",
            Self::Payment => "HPAYMT",
            Self::Operations => "HOPERAT",
            Self::Research => "HRESCH",
            Self::PatientRequested => "PATRQT",
            Self::PublicHealth => "PUBHLTH",
            Self::Legal => "HLEGAL",
        }
    }
}

impl Terms {
    /// What a Grant to `grantee` on `study` says of these Terms.
    #[must_use]
    pub fn commitment(&self, chain: &ChainId, study: StudyId, grantee: &Key) -> TermsCommitment {
        TermsCommitment::from_bytes(domain::digest(Tag::TERMS, chain, &(study, grantee, self)))
    }
}

impl Wire for Terms {
    const NAME: &'static str = "a grant's terms";
    const MAX_LEN: usize = 3 * 1024;
}
