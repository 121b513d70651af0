//! Looks whether an image's pixels are all there.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_pixels::lack::{self, wholeness};

use super::{Job, Opened};

/// Whether an image's pixels are all there: see [`wholeness`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct Wholeness;

impl Job for Wholeness {
    const NAME: &'static str = "wholeness";
    const READS_ALL: bool = true;
    type Answer = lack::Wholeness;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (mut source, len) = file.whole();
        // The place in a file is shared with everybody who has it open.
        if source.rewind().is_err() {
            return lack::Wholeness::Lacking(lack::Lack::Panicked);
        }
        // Nothing here is known to panic. If something does, it costs one image.
        panic::catch_unwind(AssertUnwindSafe(|| wholeness(source, len)))
            .unwrap_or(lack::Wholeness::Lacking(lack::Lack::Panicked))
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}
