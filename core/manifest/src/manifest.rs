//! The manifest itself: header, series, instances, attachments.

use alloc::vec::Vec;
use core::fmt;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Entry, Fault, Text, Wire};
use clavicle_ledger::id::{ChainId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::study::Study;
use zeroize::Zeroize;

use crate::dataset::{Dataset, Part};
use crate::digest::{MAX_SUBTREES, PixelDigest, SUBTREE_LEN, StoredDigest};
use crate::uid::{MAX_UID, Uid};

/// Most series of a study. The largest studies in practice have a few hundred.
pub const MAX_SERIES: usize = 4_096;
/// Most instances of a study, in all its series together. A cardiac CT in ten phases has some 5,000, a whole-body PET/CT with
/// reconstructions some 10,000.
pub const MAX_INSTANCES: usize = 65_536;
/// Most attachments of a study.
pub const MAX_ATTACHMENTS: usize = 64;
/// The largest instance, in bytes: 64 GiB. A single DICOM value cannot be longer than 4 GiB.
pub const MAX_INSTANCE_LEN: u64 = SUBTREE_LEN * MAX_SUBTREES as u64;

const MAX_HEADER_BYTES: usize = 32 * 3 + 33 + 4 + 1 + 1 + MAX_UID + 5 + 4 + 256;
const MAX_SERIES_BYTES: usize = 1 + MAX_UID + 4 + 16 + 5 + 4 + 16 + 4 + 256 + 4;
const MAX_INSTANCE_BYTES: usize = 3 * (1 + MAX_UID) + 8 + 32 + (33 + 4 * Part::ALL.len()) + 33 + 4;
const MAX_ATTACHMENT_BYTES: usize = 32 + 8 + 1 + 4 + 256;
const MAX_BYTES: usize = MAX_HEADER_BYTES
    + 32
    + 4
    + MAX_SERIES * MAX_SERIES_BYTES
    + MAX_INSTANCES * MAX_INSTANCE_BYTES
    + 4
    + MAX_ATTACHMENTS * MAX_ATTACHMENT_BYTES;

/// A calendar day as DICOM writes it (DA, PS3.5 §6.2): year, month and day, in no time zone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day; `None` when no calendar could have it.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        (year <= 9999 && (1..=12).contains(&month) && (1..=31).contains(&day)).then_some(Self { year, month, day })
    }

    /// Year, month, day.
    #[must_use]
    pub const fn parts(self) -> (u16, u8, u8) {
        (self.year, self.month, self.day)
    }
}

impl BorshDeserialize for Date {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (year, month, day) = <(u16, u8, u8)>::deserialize_reader(reader)?;
        Self::new(year, month, day).ok_or_else(|| Fault::BadText.raise())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Date(…)")
    }
}

/// 32 random bytes, new for each revision. Whoever has them can test guesses about every branch: they go only to those who get the whole manifest.
#[derive(Clone, PartialEq, Eq, Zeroize, BorshSerialize, BorshDeserialize)]
#[zeroize(drop)]
pub struct Nonce([u8; 32]);

impl Nonce {
    /// Takes 32 bytes that the caller drew at random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(…)")
    }
}

/// What everyone sees who is granted anything of the study.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// The study on the ledger.
    pub study: StudyId,
    /// Who made and keeps it.
    pub source: SourceId,
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Uid,
    /// How often it was revised; the first manifest is revision 0.
    pub revision: u32,
    /// The root of the revision before; none for revision 0.
    pub predecessor: Option<ManifestRoot>,
    /// More instances are expected.
    pub open: bool,
    /// Study Date (0008,0020).
    pub study_date: Option<Date>,
    /// Study Description (0008,1030); empty when there is none.
    pub description: Text<256>,
}

impl Header {
    /// Whether the study's id on the ledger is made from this source and UID under `salt`.
    #[must_use]
    pub fn is_of(&self, chain: &ChainId, salt: &Salt) -> bool {
        self.study == StudyId::of(chain, self.source, salt.study_digest(self.study_instance_uid.as_str()))
    }

    /// Whether it says of itself what the ledger's record of the study says: whose, which revision, open or not. That the root is the
    /// recorded one is for [`SignedManifest::verify_is`](crate::SignedManifest::verify_is) to see.
    #[must_use]
    pub fn agrees_with(&self, record: &Study) -> bool {
        self.source == record.source && self.revision == record.revision && self.open == record.open
    }

    /// The header of the next revision, whose predecessor has `root`; `None` after the last there can be.
    #[must_use]
    pub fn next(&self, root: ManifestRoot, open: bool) -> Option<Self> {
        let revision = self.revision.checked_add(1)?;
        Some(Self { revision, predecessor: Some(root), open, ..self.clone() })
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({:?}, revision {})", self.study, self.revision)
    }
}

/// One SOP Instance.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Instance {
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: Uid,
    /// Transfer Syntax UID (0002,0010): how the stored bytes are encoded.
    pub transfer_syntax_uid: Uid,
    /// Stored bytes.
    pub size: u64,
    /// BLAKE3 of the stored bytes. For an instance above 1 MiB also what its [`Subtrees`](crate::Subtrees) lead to.
    pub stored: StoredDigest,
    /// The same whatever the encoding, where it was computed.
    pub dataset: Option<Dataset>,
    /// Of the pixels alone. An instance whose data set was digested and that has none here has no pixels.
    pub pixels: Option<PixelDigest>,
    /// Frames; 0 when there are no pixels.
    pub frames: u32,
}

impl Entry for Instance {
    type Key = Uid;
    fn key(&self) -> &Uid {
        &self.sop_instance_uid
    }
}

/// One series: a branch of its own.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Series {
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Uid,
    /// Modality (0008,0060); empty when there is none.
    pub modality: Text<16>,
    /// Series Number (0020,0011).
    pub number: Option<i32>,
    /// Body Part Examined (0018,0015); empty when there is none.
    pub body_part: Text<16>,
    /// Series Description (0008,103E); empty when there is none.
    pub description: Text<256>,
    /// Its instances, at least one.
    pub instances: Ascending<Instance, MAX_INSTANCES>,
}

impl Entry for Series {
    type Key = Uid;
    fn key(&self) -> &Uid {
        &self.series_instance_uid
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Series({:?}, {} instances)", self.series_instance_uid, self.instances.len())
    }
}

/// What an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum MediaType {
    /// text/plain in UTF-8.
    Text,
    /// application/pdf.
    Pdf,
    /// An HL7 v2 message, as received.
    Hl7V2,
    /// application/fhir+json.
    FhirJson,
}

/// Something that belongs to the study and is no SOP Instance: a report as text, as a rule. (Structured reports and
/// encapsulated PDFs are instances.) A branch of its own.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attachment {
    /// BLAKE3 of its bytes.
    pub stored: StoredDigest,
    /// Its bytes.
    pub size: u64,
    /// What it is.
    pub media_type: MediaType,
    /// What a person would call it; empty when it has no name.
    pub title: Text<256>,
}

impl Entry for Attachment {
    type Key = StoredDigest;
    fn key(&self) -> &StoredDigest {
        &self.stored
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attachment({:?}, {:?})", self.stored, self.media_type)
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Series.
    pub series: usize,
    /// Instances, in all series.
    pub instances: usize,
    /// Frames, in all instances.
    pub frames: u64,
    /// Attachments.
    pub attachments: usize,
    /// Stored bytes, of instances and attachments.
    pub bytes: u64,
}

/// Everything in a study.
///
/// One that exists is in order: [`Manifest::new`] and decoding see to the same rules.
#[derive(Clone, PartialEq, Eq, BorshSerialize)]
pub struct Manifest {
    header: Header,
    nonce: Nonce,
    series: Ascending<Series, MAX_SERIES>,
    attachments: Ascending<Attachment, MAX_ATTACHMENTS>,
}

/// Why something is not a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Revision 0 has no predecessor, every other has one.
    #[error("revision 0 has no predecessor, and every other revision has one")]
    Predecessor,
    /// A series without instances.
    #[error("series {0} has no instances")]
    EmptySeries(Uid),
    /// More than [`MAX_INSTANCES`].
    #[error("the study has {0} instances and may have {MAX_INSTANCES} at most")]
    TooManyInstances(usize),
    /// One SOP Instance UID in two series.
    #[error("instance {0} is listed in two series")]
    ListedTwice(Uid),
    /// Larger than [`MAX_INSTANCE_LEN`].
    #[error("instance {0} is larger than 64 GiB")]
    TooLarge(Uid),
}

impl Manifest {
    /// Puts a manifest together.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn new(
        header: Header,
        nonce: Nonce,
        series: Ascending<Series, MAX_SERIES>,
        attachments: Ascending<Attachment, MAX_ATTACHMENTS>,
    ) -> Result<Self, ManifestError> {
        let manifest = Self { header, nonce, series, attachments };
        manifest.check().map(|()| manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let Self { header, nonce: _, series, attachments: _ } = self; // each of the rest is in order by its type
        check_header(header)?;
        check_series(series.iter())
    }

    /// What everyone sees.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) const fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// The series, by Series Instance UID.
    #[must_use]
    pub const fn series(&self) -> &Ascending<Series, MAX_SERIES> {
        &self.series
    }

    /// The attachments, by digest.
    #[must_use]
    pub const fn attachments(&self) -> &Ascending<Attachment, MAX_ATTACHMENTS> {
        &self.attachments
    }

    /// All instances, series by series.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.series.iter().flat_map(|series| &series.instances)
    }

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        counts(self.series.iter(), &self.attachments)
    }
}

pub(crate) fn check_header(header: &Header) -> Result<(), ManifestError> {
    if (header.revision == 0) == header.predecessor.is_none() { Ok(()) } else { Err(ManifestError::Predecessor) }
}

/// What must hold over several series at once.
pub(crate) fn check_series<'a>(all: impl Iterator<Item = &'a Series>) -> Result<(), ManifestError> {
    let mut uids: Vec<&Uid> = Vec::new();
    for series in all {
        if series.instances.is_empty() {
            return Err(ManifestError::EmptySeries(series.series_instance_uid));
        }
        if let Some(large) = series.instances.iter().find(|instance| instance.size > MAX_INSTANCE_LEN) {
            return Err(ManifestError::TooLarge(large.sop_instance_uid));
        }
        uids.extend(series.instances.iter().map(|instance| &instance.sop_instance_uid));
        if uids.len() > MAX_INSTANCES {
            return Err(ManifestError::TooManyInstances(uids.len()));
        }
    }
    uids.sort_unstable();
    match uids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ManifestError::ListedTwice(*pair[0])),
        None => Ok(()),
    }
}

pub(crate) fn counts<'a>(all: impl Iterator<Item = &'a Series>, attachments: &[Attachment]) -> Counts {
    let bytes = attachments.iter().fold(0u64, |sum, attachment| sum.saturating_add(attachment.size));
    let mut counts = Counts { attachments: attachments.len(), bytes, ..Counts::default() };
    for series in all {
        counts.series = counts.series.saturating_add(1);
        counts.instances = counts.instances.saturating_add(series.instances.len());
        for instance in &series.instances {
            counts.frames = counts.frames.saturating_add(instance.frames.into());
            counts.bytes = counts.bytes.saturating_add(instance.size);
        }
    }
    counts
}

/// Reads up to [`MAX_SERIES`] branches, and stops as soon as they hold more than [`MAX_INSTANCES`] together: each
/// series alone might hold as many.
pub(crate) fn read_series<T, R>(reader: &mut R, series: impl Fn(&T) -> &Series) -> IoResult<Ascending<T, MAX_SERIES>>
where
    T: BorshDeserialize + Entry<Key = Uid>,
    R: Read,
{
    let count = u32::deserialize_reader(reader)? as usize;
    if count > MAX_SERIES {
        return Err(Fault::TooMany.raise());
    }
    let (mut items, mut instances) = (Vec::<T>::new(), 0usize);
    for _ in 0..count {
        let item = T::deserialize_reader(reader)?;
        if items.last().is_some_and(|last| last.key() >= item.key()) {
            return Err(Fault::NotAscending.raise());
        }
        instances = instances.saturating_add(series(&item).instances.len());
        if instances > MAX_INSTANCES {
            return Err(Fault::TooMany.raise());
        }
        items.push(item);
    }
    Ascending::from_items(items).map_err(Fault::raise)
}

pub(crate) fn fault_of(error: ManifestError) -> Fault {
    match error {
        ManifestError::Predecessor | ManifestError::EmptySeries(_) => Fault::NotCanonical,
        ManifestError::TooManyInstances(_) | ManifestError::TooLarge(_) => Fault::TooMany,
        ManifestError::ListedTwice(_) => Fault::NotAscending,
    }
}

impl Wire for Manifest {
    const NAME: &'static str = "a manifest";
    const MAX_LEN: usize = MAX_BYTES;
}

impl BorshDeserialize for Manifest {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let manifest = Self {
            header: BorshDeserialize::deserialize_reader(reader)?,
            nonce: BorshDeserialize::deserialize_reader(reader)?,
            series: read_series(reader, |series: &Series| series)?,
            attachments: BorshDeserialize::deserialize_reader(reader)?,
        };
        manifest.check().map_err(|error| fault_of(error).raise())?;
        Ok(manifest)
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({:?}, {:?})", self.header, self.counts())
    }
}
