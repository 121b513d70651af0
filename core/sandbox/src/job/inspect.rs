//! Inspection: everything that has to be known of one file, in one pass over its bytes.

use std::collections::BTreeSet;
use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::Facts;
use clavicle_dicom::repair::Repair;
use clavicle_dicom::scan::{self, Digested};
use clavicle_dicom::scanned::{Pixels, Scanned};
use clavicle_dicom::unreadable::Unreadable;
use clavicle_ledger::encoding::Wire;
use clavicle_manifest::{Dataset, Instance, PixelDigest, StoredDigest, Subtrees};
use clavicle_pixels::frames::{Frames, FramesError};
use clavicle_pixels::lossless;
use dicom_dictionary_std::tags;

use super::{Job, Opened};

/// Everything that has to be known of a file: see [`Inspected::read`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct Inspect;

impl Job for Inspect {
    const NAME: &'static str = "inspect";
    const READS_ALL: bool = true;
    type Answer = Result<Inspected, Unreadable>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (source, len) = file.whole();
        Inspected::read(source, len)
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}

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
    /// What is not in order in it, and was read all the same.
    pub repairs: BTreeSet<Repair>,
}

impl Wire for Inspected {
    const NAME: &'static str = "what was seen of an instance";
    const MAX_LEN: usize = Facts::MAX_LEN + 8 + 32 + Subtrees::MAX_LEN + 60 + 33 + 64;
}

impl Inspected {
    /// Reads an instance of `len` bytes, once and in order. Memory does not depend on what the bytes claim; only a deflated
    /// data set is held whole, up to 256 MiB.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read<S: Read + Seek>(mut source: S, len: u64) -> Result<Self, Unreadable> {
        // Nothing here is known to panic. If something does, it costs one file.
        panic::catch_unwind(AssertUnwindSafe(|| {
            let Digested { scanned, size, stored, subtrees, content } = scan::digest(&mut source, len)?;
            source.rewind()?;
            let content = content.finish(&scanned, lossless::digest(&scanned, &mut source, len));
            let facts = Facts::of(&scanned)?;
            let mut repairs = scanned.repairs.clone();
            if scanned.has_unreadable_text() {
                repairs.insert(Repair::Text);
            }
            if has_other_frames(&scanned, facts.frames, source, len) {
                repairs.insert(Repair::Frames);
            }
            Ok(Self { facts, size, stored, subtrees, dataset: content.dataset, pixels: content.pixels, repairs })
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

/// Whether there are more or fewer frames than an instance says. What cannot be shown at all is not looked into.
fn has_other_frames<S: Read + Seek>(scanned: &Scanned, said: u32, mut source: S, len: u64) -> bool {
    let is_plain = match &scanned.pixels {
        None => true,
        Some((_, Pixels::Native { value, .. })) => {
            native_len(scanned, said).is_some_and(|len| value.len.abs_diff(len) < 2)
        }
        // As a rule there is a fragment for each frame.
        Some((_, Pixels::Encapsulated { fragments, .. })) => fragments.len() as u64 == u64::from(said),
    };
    if is_plain || source.rewind().is_err() {
        return false;
    }
    match Frames::read(source, len) {
        Ok(frames) => frames.said_otherwise().is_some(),
        Err(FramesError::Unclear { .. }) => true,
        Err(_) => false,
    }
}

/// Bytes of so many native frames, as a rule.
fn native_len(scanned: &Scanned, frames: u32) -> Option<u64> {
    let number = |tag| scanned.kept(tag).and_then(|value| value.first_chunk()).map(|bytes| u16::from_le_bytes(*bytes));
    let factors = [tags::ROWS, tags::COLUMNS, tags::SAMPLES_PER_PIXEL, tags::BITS_ALLOCATED].map(number);
    let bits = factors.into_iter().try_fold(u64::from(frames), |bits, factor| bits.checked_mul(factor?.into()));
    Some(bits?.div_ceil(8))
}
