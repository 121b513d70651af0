//! What arrived against what was signed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use crate::dataset::{Dataset, Parts};
use crate::digest::{PixelDigest, StoredDigest};
use crate::manifest::{Attachment, Instance, Manifest};
use crate::scoped::ScopedManifest;
use crate::uid::Uid;

/// Something that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// An instance.
    Instance {
        /// SOP Instance UID (0008,0018).
        sop_instance_uid: Uid,
        /// Its bytes.
        size: u64,
        /// BLAKE3 of its bytes.
        stored: StoredDigest,
        /// Where it was computed.
        dataset: Option<Dataset>,
        /// Where it was computed.
        pixels: Option<PixelDigest>,
    },
    /// An attachment: BLAKE3 of its bytes.
    Attachment(StoredDigest),
}

impl From<&Instance> for Received {
    /// For a comparison of two revisions.
    fn from(instance: &Instance) -> Self {
        let Instance { sop_instance_uid, size, stored, dataset, pixels, .. } = *instance;
        Self::Instance { sop_instance_uid, size, stored, dataset, pixels }
    }
}

impl From<&Attachment> for Received {
    fn from(attachment: &Attachment) -> Self {
        Self::Attachment(attachment.stored)
    }
}

/// How an instance differs from the one signed; the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The same data set, written another way.
    Encoding,
    /// The same pixels, or none in either; other attributes in these parts, where that was compared.
    Attributes {
        /// Whether there are pixels.
        pixels: bool,
        /// What differs; nothing where that was not compared.
        differ: Parts,
    },
    /// Other pixels.
    Pixels {
        /// What differs beside them; nothing also where that was not compared.
        differ: Parts,
    },
    /// Other bytes; what they mean was not compared.
    Bytes {
        /// As signed.
        signed: u64,
        /// As received.
        received: u64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("encoded differently, content unchanged"),
            Self::Attributes { pixels, differ } => {
                f.write_str(if *pixels { "pixels unchanged, " } else { "" })?;
                if differ.is_empty() {
                    f.write_str("attributes differ")
                } else {
                    write!(f, "{differ} {}", differ.differ())
                }
            }
            Self::Pixels { differ } if differ.is_empty() => f.write_str("pixels differ"),
            Self::Pixels { differ } => write!(f, "pixels differ; {differ} {}, too", differ.differ()),
            Self::Bytes { signed, received } if signed == received => f.write_str("bytes differ"),
            Self::Bytes { signed, received } => write!(f, "{received} bytes instead of {signed}"),
        }
    }
}

/// An instance that is not what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Altered {
    /// Which.
    pub sop_instance_uid: Uid,
    /// How it differs.
    pub change: Change,
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sop_instance_uid, self.change)
    }
}

/// What arrived against what was signed. `Display` is one sentence for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Instances in the manifest.
    pub listed: usize,
    /// Those that arrived as signed.
    pub intact: usize,
    /// In the manifest, and did not arrive.
    pub missing: Vec<Uid>,
    /// Arrived, but not as signed.
    pub altered: Vec<Altered>,
    /// Arrived, and not in the manifest: unknown instances, and further ones under the UID of an intact one.
    pub extra: Vec<Uid>,
    /// Attachments in the manifest that did not arrive as signed.
    pub missing_attachments: Vec<StoredDigest>,
    /// Attachments that are not in the manifest.
    pub extra_attachments: Vec<StoredDigest>,
}

impl Comparison {
    /// Whether everything that was signed arrived as signed, and nothing else.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.is_complete() && self.extra.is_empty() && self.extra_attachments.is_empty()
    }

    /// Whether everything that was signed arrived as signed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.intact == self.listed && self.missing_attachments.is_empty()
    }

    fn of<'a>(
        instances: impl Iterator<Item = &'a Instance>,
        attachments: &[Attachment],
        received: impl IntoIterator<Item = Received>,
    ) -> Self {
        let listed: BTreeMap<Uid, &Instance> = instances.map(|one| (one.sop_instance_uid, one)).collect();
        // None: as signed.
        let mut found: BTreeMap<Uid, Option<Change>> = BTreeMap::new();
        let mut here = Vec::new();
        let mut comparison = Self { listed: listed.len(), ..Self::default() };
        for one in received {
            let (uid, change) = match one {
                Received::Attachment(stored) => {
                    here.push(stored);
                    continue;
                }
                Received::Instance { sop_instance_uid, size, stored, dataset, pixels } => {
                    match listed.get(&sop_instance_uid) {
                        None => {
                            comparison.extra.push(sop_instance_uid);
                            continue;
                        }
                        Some(signed) => (sop_instance_uid, change(signed, size, stored, dataset, pixels)),
                    }
                }
            };
            // Of several under one UID the best stands for it. Only what lies beside an intact one is something that is too much.
            match found.get_mut(&uid) {
                None => drop(found.insert(uid, change)),
                Some(best) => {
                    if best.is_none() != change.is_none() {
                        comparison.extra.push(uid);
                    }
                    *best = (*best).min(change);
                }
            }
        }
        for uid in listed.keys() {
            match found.get(uid) {
                None => comparison.missing.push(*uid),
                Some(None) => comparison.intact = comparison.intact.saturating_add(1),
                Some(Some(change)) => comparison.altered.push(Altered { sop_instance_uid: *uid, change: *change }),
            }
        }
        comparison.extra.sort_unstable();
        comparison.extra.dedup();
        here.sort_unstable();
        here.dedup();
        comparison.missing_attachments =
            attachments.iter().map(|one| one.stored).filter(|stored| here.binary_search(stored).is_err()).collect();
        here.retain(|stored| !attachments.iter().any(|one| one.stored == *stored));
        comparison.extra_attachments = here;
        comparison
    }
}

impl Instance {
    /// How another instance with the same SOP Instance UID differs from this one; `None` when it has the same bytes.
    #[must_use]
    pub fn change(&self, other: &Self) -> Option<Change> {
        change(self, other.size, other.stored, other.dataset, other.pixels)
    }
}

/// `None` when the bytes are those signed.
fn change(
    signed: &Instance,
    size: u64,
    stored: StoredDigest,
    dataset: Option<Dataset>,
    pixels: Option<PixelDigest>,
) -> Option<Change> {
    if stored == signed.stored && size == signed.size {
        return None;
    }
    let datasets = dataset.zip(signed.dataset);
    let differ = datasets.map(|(one, other)| one.differences(&other)).unwrap_or_default();
    Some(match (datasets.map(|(one, other)| one.digest == other.digest), pixels, signed.pixels) {
        (Some(true), ..) => Change::Encoding,
        (_, Some(one), Some(other)) if one == other => Change::Attributes { pixels: true, differ },
        (Some(false), None, None) => Change::Attributes { pixels: false, differ },
        // One that gained or lost its pixels has others too, if both were looked at.
        (Some(false), ..) | (None, Some(_), Some(_)) => Change::Pixels { differ },
        (None, ..) => Change::Bytes { signed: signed.size, received: size },
    })
}

impl Manifest {
    /// Compares with what arrived, in any order.
    #[must_use]
    pub fn compare(&self, received: impl IntoIterator<Item = Received>) -> Comparison {
        Comparison::of(self.instances(), self.attachments(), received)
    }
}

impl ScopedManifest {
    /// Compares with what arrived, in any order.
    #[must_use]
    pub fn compare(&self, received: impl IntoIterator<Item = Received>) -> Comparison {
        Comparison::of(self.instances(), &[], received)
    }
}

/// How many are named in the sentence; the lists have all.
const NAMED: usize = 3;

fn names<T: fmt::Display>(f: &mut fmt::Formatter<'_>, what: &str, all: &[T]) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    write!(f, "; {} {what}: ", all.len())?;
    for (at, one) in all.iter().take(NAMED).enumerate() {
        write!(f, "{}{one}", if at == 0 { "" } else { ", " })?;
    }
    match all.len().checked_sub(NAMED) {
        None | Some(0) => Ok(()),
        Some(more) => write!(f, " and {more} more"),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listed, intact, missing, altered, extra, missing_attachments, extra_attachments } = self;
        let instances = if *listed == 1 { "instance" } else { "instances" };
        write!(f, "{intact} of {listed} {instances} as signed")?;
        names(f, "missing", missing)?;
        // What a PACS gives out is this as a rule, and nothing is wrong with it.
        let (encoded, altered): (Vec<Altered>, Vec<Altered>) =
            altered.iter().partition(|one| one.change == Change::Encoding);
        let encoded: Vec<Uid> = encoded.into_iter().map(|one| one.sop_instance_uid).collect();
        names(f, "encoded differently, content unchanged", &encoded)?;
        names(f, "altered", &altered)?;
        names(f, "not in the manifest", extra)?;
        names(f, "missing or altered among the attachments", missing_attachments)?;
        names(f, "attachments not in the manifest", extra_attachments)
    }
}
