//! Inspection: everything that has to be known of one file, in one pass over its bytes.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_manifest::{Dataset, Instance, PixelDigest, StoredDigest, Subtrees};

use crate::facts::Facts;
use crate::scan::{self, Digested, Unreadable};

/// A file that is an instance.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Inspected {
    /// What it says of itself.
    pub facts: Facts,
    /// Its bytes.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub stored: StoredDigest,
    /// Its 1 MiB subtrees.
    pub subtrees: Subtrees,
    /// Its data set, whatever it is written in; none when this build lacks the codec of its pixels.
    pub dataset: Option<Dataset>,
    /// Its pixels, if it has any.
    pub pixels: Option<PixelDigest>,
}

impl Wire for Inspected {
    const NAME: &'static str = "what was seen of an instance";
    const MAX_LEN: usize = Facts::MAX_LEN + 8 + 32 + Subtrees::MAX_LEN + 60 + 33;
}

impl Inspected {
    /// Reads an instance of `len` bytes, once and in order. Memory does not depend on what the bytes claim; only a deflated
    /// data set is held whole, up to 256 MiB.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read<S: Read + Seek>(source: S, len: u64) -> Result<Self, Unreadable> {
        // Nothing here is known to panic. If something does, it costs one file.
        panic::catch_unwind(AssertUnwindSafe(|| {
            let Digested { scanned, size, stored, subtrees, content } = scan::digest(source, len)?;
            let facts = Facts::of(&scanned)?;
            Ok(Self { facts, size, stored, subtrees, dataset: content.dataset, pixels: content.pixels })
        }))
        .unwrap_or(Err(Unreadable::Panicked))
    }

    /// Its place in a manifest.
    #[must_use]
    pub fn instance(&self) -> Instance {
        Instance {
            sop_instance_uid: self.facts.sop_instance_uid,
            sop_class_uid: self.facts.sop_class_uid,
            transfer_syntax_uid: self.facts.transfer_syntax_uid,
            size: self.size,
            stored: self.stored,
            dataset: self.dataset,
            pixels: self.pixels,
            frames: self.facts.frames,
        }
    }
}
