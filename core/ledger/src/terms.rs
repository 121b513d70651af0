//! Terms: what a grant allows, known to holder, grantee and source, and to nobody who reads the ledger.
//!
//! The Grant on the ledger carries only a commitment. The grantee opens it when it connects, and the gate compares.
//! Because the Terms hold 32 random bytes, the commitment tells nothing and cannot be guessed.
//!
//! # Versions
//!
//! The first eight bytes are a version and `not before`: the highest byte is the version, the other seven the time. It
//! is 0 in the Terms of version 1, which are good as long as their grants live, and 2 in those with [`Conditions`]. Any
//! other is refused by name: what is not understood is not granted.

use borsh::io::{Read, Result as IoResult, Write};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::{self, Tag};
use crate::encoding::{Ascending, Bytes, Entry, Fault, Wire};
use crate::id::{ChainId, ManifestRoot, SeriesId, StudyId, TermsCommitment};
use crate::key::Key;
use crate::time::Timestamp;

/// Most series that a scope names one by one; wider scopes name all.
pub const MAX_SERIES: usize = 48;
/// Most codes of the Data Use Ontology in one grant.
pub const MAX_DATA_USES: usize = 8;

/// Where the version stands in the first eight bytes.
const VERSION_AT: u32 = 56;
/// The latest `not before` there can be.
const LATEST: u64 = (1 << VERSION_AT) - 1;
/// The version of Terms that have conditions.
const WITH_CONDITIONS: u64 = 2;

/// What a grant allows.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Granted from an emergency card. Who opens it gives a reason, and signs for it with a credential; no source
    /// judges the credentials of an emergency yet, and that a second person who signs is another one is not proven.
    pub emergency: bool,
    /// A sealed note to the grantee.
    pub note: Bytes<512>,
    /// 32 random bytes.
    pub blinding: [u8; 32],
    /// What else is asked of the grantee; none in Terms of version 1, which could not say any of it.
    pub conditions: Option<Conditions>,
}

/// What Terms ask of the grantee since their second version.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Conditions {
    /// How often the study may be opened; none is as often as wanted. The source counts, with the receipt of each
    /// opening. An opening is finished when the grantee says so: who breaks off may go on with it for 24 hours, as
    /// often as the other limits allow.
    pub openings: Option<u32>,
    /// The study is to be looked at and not kept. A wish: whoever can look can keep, and nothing hinders that.
    pub view_only: bool,
    /// Each opening is signed by a person for whom this key vouches: the long-term key of a team or a practice. No rule
    /// says what a credential is worth; a source that cannot tell whether this key vouches for who signs refuses.
    pub members_of: Option<Key>,
    /// What it may be used for in research.
    pub data_use: Ascending<DataUse, MAX_DATA_USES>,
}

/// A code of the GA4GH Data Use Ontology (DUO): its number is the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum DataUse {
    /// NRES.
    NoRestriction = 4,
    /// HMB.
    HealthMedicalBiomedical = 6,
    /// DS; the note says which disease.
    DiseaseSpecific = 7,
    /// POA.
    PopulationOrigins = 11,
    /// RS; the note says which research.
    ResearchSpecific = 12,
    /// NMDS.
    NoMethodsDevelopment = 15,
    /// GSO.
    GeneticStudiesOnly = 16,
    /// NPUNCU.
    NotForProfitNonCommercial = 18,
    /// PUB.
    PublicationRequired = 19,
    /// COL.
    CollaborationRequired = 20,
    /// IRB.
    EthicsApprovalRequired = 21,
    /// GS; the note says where.
    GeographicalRestriction = 22,
    /// MOR; the note says until when.
    PublicationMoratorium = 24,
    /// TS; the Terms say until when.
    TimeLimit = 25,
    /// US.
    UserSpecific = 26,
    /// PS.
    ProjectSpecific = 27,
    /// IS.
    InstitutionSpecific = 28,
    /// RTN.
    ReturnToDatabase = 29,
    /// GRU.
    GeneralResearch = 42,
    /// CC.
    ClinicalCare = 43,
    /// NPOA.
    NoPopulationOrigins = 44,
    /// NPU.
    NotForProfitOrganisation = 45,
    /// NCU.
    NonCommercial = 46,
}

impl DataUse {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 23] = [
        Self::NoRestriction,
        Self::HealthMedicalBiomedical,
        Self::DiseaseSpecific,
        Self::PopulationOrigins,
        Self::ResearchSpecific,
        Self::NoMethodsDevelopment,
        Self::GeneticStudiesOnly,
        Self::NotForProfitNonCommercial,
        Self::PublicationRequired,
        Self::CollaborationRequired,
        Self::EthicsApprovalRequired,
        Self::GeographicalRestriction,
        Self::PublicationMoratorium,
        Self::TimeLimit,
        Self::UserSpecific,
        Self::ProjectSpecific,
        Self::InstitutionSpecific,
        Self::ReturnToDatabase,
        Self::GeneralResearch,
        Self::ClinicalCare,
        Self::NoPopulationOrigins,
        Self::NotForProfitOrganisation,
        Self::NonCommercial,
    ];

    /// Its number: `DUO:0000042` is 42.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its shorthand.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoRestriction => "NRES",
            Self::HealthMedicalBiomedical => "HMB",
            Self::DiseaseSpecific => "DS",
            Self::PopulationOrigins => "POA",
            Self::ResearchSpecific => "RS",
            Self::NoMethodsDevelopment => "NMDS",
            Self::GeneticStudiesOnly => "GSO",
            Self::NotForProfitNonCommercial => "NPUNCU",
            Self::PublicationRequired => "PUB",
            Self::CollaborationRequired => "COL",
            Self::EthicsApprovalRequired => "IRB",
            Self::GeographicalRestriction => "GS",
            Self::PublicationMoratorium => "MOR",
            Self::TimeLimit => "TS",
            Self::UserSpecific => "US",
            Self::ProjectSpecific => "PS",
            Self::InstitutionSpecific => "IS",
            Self::ReturnToDatabase => "RTN",
            Self::GeneralResearch => "GRU",
            Self::ClinicalCare => "CC",
            Self::NoPopulationOrigins => "NPOA",
            Self::NotForProfitOrganisation => "NPU",
            Self::NonCommercial => "NCU",
        }
    }
}

impl Entry for DataUse {
    type Key = Self;
    fn key(&self) -> &Self {
        self
    }
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
        let tag = if self.conditions.is_some() { Tag::TERMS_2 } else { Tag::TERMS };
        TermsCommitment::from_bytes(domain::digest(tag, chain, &(study, grantee, self)))
    }

    /// How often the study may be opened; none is as often as wanted.
    #[must_use]
    pub fn openings(&self) -> Option<u32> {
        self.conditions.as_ref().and_then(|conditions| conditions.openings)
    }

    /// Whether it is wished that the study is looked at and not kept.
    #[must_use]
    pub fn view_only(&self) -> bool {
        self.conditions.as_ref().is_some_and(|conditions| conditions.view_only)
    }

    /// The key that vouches for whoever signs each opening, if somebody has to.
    #[must_use]
    pub fn members_of(&self) -> Option<Key> {
        self.conditions.as_ref().and_then(|conditions| conditions.members_of)
    }
}

impl BorshSerialize for Terms {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        let Self { not_before, expires, series, purpose, revision, manifest_root, .. } = self;
        let Self { later_revisions, staleness_ms, emergency, note, blinding, conditions, .. } = self;
        let version = if conditions.is_some() { WITH_CONDITIONS } else { 0 };
        (not_before.0.min(LATEST) | version << VERSION_AT).serialize(writer)?;
        (expires, series, purpose, revision, manifest_root).serialize(writer)?;
        (later_revisions, staleness_ms, emergency, note, blinding).serialize(writer)?;
        conditions.as_ref().map_or(Ok(()), |conditions| conditions.serialize(writer))
    }
}

impl BorshDeserialize for Terms {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let first = u64::deserialize_reader(reader)?;
        let has_conditions = match first >> VERSION_AT {
            0 => false,
            WITH_CONDITIONS => true,
            _ => return Err(Fault::UnknownVersion.raise()),
        };
        Ok(Self {
            not_before: Timestamp(first & LATEST),
            expires: BorshDeserialize::deserialize_reader(reader)?,
            series: BorshDeserialize::deserialize_reader(reader)?,
            purpose: BorshDeserialize::deserialize_reader(reader)?,
            revision: BorshDeserialize::deserialize_reader(reader)?,
            manifest_root: BorshDeserialize::deserialize_reader(reader)?,
            later_revisions: BorshDeserialize::deserialize_reader(reader)?,
            staleness_ms: BorshDeserialize::deserialize_reader(reader)?,
            emergency: BorshDeserialize::deserialize_reader(reader)?,
            note: BorshDeserialize::deserialize_reader(reader)?,
            blinding: BorshDeserialize::deserialize_reader(reader)?,
            conditions: if has_conditions { Some(BorshDeserialize::deserialize_reader(reader)?) } else { None },
        })
    }
}

impl Wire for Terms {
    const NAME: &'static str = "a grant's terms";
    const MAX_LEN: usize = 3 * 1024;
}
