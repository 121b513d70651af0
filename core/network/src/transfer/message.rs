//! What is said in a transfer.

use std::collections::HashMap;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::key::Signature;
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_ledger::salt::Salt;
use clavicle_letters::mailbox::Mailbox;
use clavicle_manifest::{
    Attachment, Counts, Instance, Manifest, ScopedManifest, ScopedSeries, Series, SignedManifest, SignedScopedManifest,
    StoredDigest, Uid,
};

use crate::message::List;

/// The protocol, as iroh negotiates it.
pub const PROTOCOL: &[u8] = b"clavicle/transfer/2";

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
    /// Yes; this was written down of it, and this is what there is.
    Welcome(Box<SignedReceipt>, Box<Offer>),
}

/// What whoever was let in asks for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Ask {
    /// First of all, and once: their signature on the receipt. Nothing is sent before it is there.
    Countersigned(Signature),
    /// Items.
    Items(Wants),
    /// A holder: the study's receipts from this sequence on, as many as go into one answer.
    Receipts {
        /// The first.
        from: u64,
    },
    /// Where they are to be told when their copy is not what it was any more. Once; nothing is answered.
    Tell(Reach),
}

/// Where somebody who has a copy is told what becomes of the study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reach {
    /// Where it is left.
    pub mailbox: Mailbox,
    /// Whom it is sealed to: an age X25519 recipient.
    pub recipient: [u8; 32],
}

impl Wire for Reach {
    const NAME: &'static str = "where somebody is told";
    const MAX_LEN: usize = 256;
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

    /// Its series.
    #[must_use]
    pub fn series(&self) -> Vec<&Series> {
        match self {
            Self::Whole(signed) => signed.manifest.series().iter().collect(),
            Self::Part(signed) => signed.scoped.series().iter().map(ScopedSeries::series).collect(),
        }
    }

    /// Its attachments; a part has none.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        self.whole().map_or(&[], |manifest| manifest.attachments())
    }

    /// Everything in it, by place: instances series by series, then attachments.
    #[must_use]
    pub fn items(&self) -> Vec<Item<'_>> {
        let instances = self.series().into_iter().flat_map(|series| &series.instances).map(Item::Instance);
        instances.chain(self.attachments().iter().map(Item::Attachment)).collect()
    }

    /// Every place, in the order in which a reader wants them: reports first, then one picture from the midst of each series, and then
    /// series by series.
    #[must_use]
    pub fn by_priority(&self) -> Vec<u32> {
        let (mut middles, mut instances) = (Vec::new(), 0);
        for series in self.series() {
            let count = series.instances.len();
            if count > 0 {
                middles.push(instances + count / 2);
            }
            instances += count;
        }
        let reports = instances..instances + self.attachments().len();
        let rest = (0..instances).filter(|place| middles.binary_search(place).is_err());
        let all = reports.chain(middles.iter().copied()).chain(rest);
        all.filter_map(|place| u32::try_from(place).ok()).collect()
    }

    /// The places of what these UIDs name, in their order: of a series all its instances, or of an instance itself.
    #[must_use]
    pub fn places_of(&self, uids: &[Uid]) -> Vec<u32> {
        let (mut named, mut from) = (HashMap::new(), 0usize);
        for series in self.series() {
            let end = from.saturating_add(series.instances.len());
            named.insert(series.series_instance_uid, from..end);
            for (place, instance) in (from..end).zip(&series.instances) {
                named.entry(instance.sop_instance_uid).or_insert(place..place.saturating_add(1));
            }
            from = end;
        }
        let places = uids.iter().filter_map(|uid| named.get(uid)).flat_map(Clone::clone);
        places.filter_map(|place| u32::try_from(place).ok()).collect()
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

/// An item that is wanted, from one of its MiBs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Want {
    /// Its place.
    pub(crate) place: u32,
    /// The first MiB that is wanted, from 0: those before it are there already.
    pub(crate) from: u32,
}

/// What is wanted next, in this order.
pub(crate) type Wants = List<Want, MAX_WANTS>;

/// What stands in front of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lead {
    /// Its place.
    pub(crate) place: u32,
    /// Whether it follows; if not, the source does not have it, or does not send it on these terms.
    pub(crate) follows: bool,
}

impl Lead {
    pub(crate) const LEN: usize = 5;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d] = self.place.to_be_bytes();
        [a, b, c, d, u8::from(self.follows)]
    }

    pub(crate) fn from_bytes([a, b, c, d, follows]: [u8; Self::LEN]) -> Option<Self> {
        let place = u32::from_be_bytes([a, b, c, d]);
        (follows <= 1).then_some(Self { place, follows: follows == 1 })
    }
}

impl Wire for Answer {
    const NAME: &'static str = "a source's answer";
    const MAX_LEN: usize = 64 + SignedReceipt::MAX_LEN + SignedScopedManifest::MAX_LEN;
}

impl Wire for Ask {
    const NAME: &'static str = "what is asked of a source";
    const MAX_LEN: usize = 1 + 4 + 8 * MAX_WANTS;
}

impl Wire for Offer {
    const NAME: &'static str = "what a source offers";
    const MAX_LEN: usize = Answer::MAX_LEN;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{decodes, mailbox, manifest, receipt};

    #[test]
    fn fuzz() {
        let offer = || Offer { salt: Salt::from_bytes([4; 32]), manifest: Listing::Whole(manifest()) };
        decodes(&[Answer::Refused(Reference([1; 8])), Answer::Welcome(Box::new(receipt()), Box::new(offer()))]);
        decodes(&[offer()]);
        decodes(&[
            Ask::Countersigned(Signature::from_bytes([3; 64])),
            Ask::Items(List::of([Want { place: 3, from: 0 }, Want { place: 9, from: 2 }])),
            Ask::Receipts { from: 7 },
            Ask::Tell(Reach { mailbox: mailbox(), recipient: [1; 32] }),
        ]);
    }
}
