//! What is said in a transfer.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{
    Attachment, Counts, Instance, Manifest, ScopedManifest, SignedManifest, SignedScopedManifest, StoredDigest,
};

use crate::message::List;

/// The protocol, as iroh negotiates it.
pub const PROTOCOL: &[u8] = b"clavicle/transfer/1";

/// Most places in one list of wants.
pub const MAX_WANTS: usize = 4_096;

/// By what the source's operator finds out why somebody was refused. Random: it tells nothing to who gets it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Reference(pub [u8; 8]);

impl core::fmt::Display for Reference {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        clavicle_ledger::encoding::Hex(&self.0).fmt(f)
    }
}

impl core::fmt::Debug for Reference {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Reference({self})")
    }
}

/// What the source says to a hello.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Answer {
    /// No; the same for every reason.
    Refused(Reference),
    /// Yes, and this is what there is.
    Welcome(Box<Offer>),
}

/// What there is for whoever was let in.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Offer {
    /// The study's salt.
    pub salt: Salt,
    /// What may be fetched.
    pub manifest: Listing,
}

/// A manifest, or the part that a grant covers.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Listing {
    /// All of the study.
    Whole(SignedManifest),
    /// Some series.
    Part(SignedScopedManifest),
}

/// Something that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An instance.
    Instance(&'a Instance),
    /// An attachment.
    Attachment(&'a Attachment),
}

impl Item<'_> {
    /// Its bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match self {
            Self::Instance(instance) => instance.size,
            Self::Attachment(attachment) => attachment.size,
        }
    }

    /// What its bytes hash to.
    #[must_use]
    pub const fn stored(&self) -> StoredDigest {
        match self {
            Self::Instance(instance) => instance.stored,
            Self::Attachment(attachment) => attachment.stored,
        }
    }
}

impl Listing {
    /// The whole manifest, if it is that.
    #[must_use]
    pub const fn whole(&self) -> Option<&Manifest> {
        match self {
            Self::Whole(signed) => Some(&signed.manifest),
            Self::Part(_) => None,
        }
    }

    /// The part, if it is one.
    #[must_use]
    pub const fn part(&self) -> Option<&ScopedManifest> {
        match self {
            Self::Whole(_) => None,
            Self::Part(signed) => Some(&signed.scoped),
        }
    }

    /// Everything in it, by place: instances series by series, then attachments.
    #[must_use]
    pub fn items(&self) -> Vec<Item<'_>> {
        match self {
            Self::Whole(signed) => {
                let attachments = signed.manifest.attachments().iter().map(Item::Attachment);
                signed.manifest.instances().map(Item::Instance).chain(attachments).collect()
            }
            Self::Part(signed) => signed.scoped.instances().map(Item::Instance).collect(),
        }
    }

    /// What everyone sees of the study.
    #[must_use]
    pub const fn header(&self) -> &clavicle_manifest::Header {
        match self {
            Self::Whole(signed) => signed.manifest.header(),
            Self::Part(signed) => signed.scoped.header(),
        }
    }

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            Self::Whole(signed) => signed.manifest.counts(),
            Self::Part(signed) => signed.scoped.counts(),
        }
    }
}

/// Which places are wanted next, in this order.
pub(crate) type Wants = List<u32, MAX_WANTS>;

/// What stands in front of an item's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lead {
    /// Its place.
    pub(crate) place: u32,
    /// How many bytes follow; none when the source does not have it.
    pub(crate) len: Option<u64>,
}

impl Lead {
    pub(crate) const LEN: usize = 12;
    const ABSENT: u64 = u64::MAX;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.place.to_be_bytes());
        bytes[4..].copy_from_slice(&self.len.unwrap_or(Self::ABSENT).to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes([a, b, c, d, len @ ..]: [u8; Self::LEN]) -> Self {
        let len = u64::from_be_bytes(len);
        Self { place: u32::from_be_bytes([a, b, c, d]), len: (len != Self::ABSENT).then_some(len) }
    }
}

impl Wire for Answer {
    const NAME: &'static str = "a source's answer";
    const MAX_LEN: usize = 64 + SignedScopedManifest::MAX_LEN;
}

impl Wire for Wants {
    const NAME: &'static str = "a list of wants";
    const MAX_LEN: usize = 4 + 4 * MAX_WANTS;
}
