//! A frame decoded where a hostile one does no harm.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Text;

use crate::codec::{Decoded, PhotometricInterpretation};
use crate::facts::shown;
use crate::frames::Frames;

/// Why a frame was not decoded.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// See [`FramesError`](crate::frames::FramesError), whose sentence it is.
    #[error("{0}")]
    Frames(Text<1024>),
    /// A decoder panicked.
    #[error("decoding it failed in a way that should not be possible; please report the image's structure")]
    Panicked,
}

/// What a worker answers: the samples, their bits, and what they mean.
pub(crate) type Answer = Result<(Vec<u8>, u16, Text<16>), DecodeError>;

/// Decodes a frame, counted from 0, of a file of `len` bytes.
pub(crate) fn decode<S: Read + Seek>(source: S, len: u64, frame: u32) -> Answer {
    let decoded = || {
        let of = |error: crate::frames::FramesError| DecodeError::Frames(shown(error.to_string()));
        let Decoded { samples, bits_allocated, photometric } =
            Frames::read(source, len).map_err(of)?.frame(frame).map_err(of)?;
        Ok((samples, bits_allocated, shown(photometric.term())))
    };
    panic::catch_unwind(AssertUnwindSafe(decoded)).unwrap_or(Err(DecodeError::Panicked))
}

/// Of an answer; `None` when it makes no sense.
pub(crate) fn of_answer((samples, bits_allocated, photometric): (Vec<u8>, u16, Text<16>)) -> Option<Decoded> {
    let photometric = PhotometricInterpretation::of_term(photometric.as_str())?;
    matches!(bits_allocated, 8 | 16 | 32 | 64).then_some(Decoded { samples, bits_allocated, photometric })
}
