//! A frame decoded where a hostile one does no harm.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Text;

use crate::facts::shown;
use crate::frames::{Frames, FramesError};
use crate::layout::{Decoded, PhotometricInterpretation};

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

impl From<FramesError> for DecodeError {
    fn from(error: FramesError) -> Self {
        Self::Frames(shown(error.to_string()))
    }
}

/// Decodes a frame, counted from 0, of an image that is open.
pub(crate) fn decode<S: Read + Seek>(frames: &mut Frames<S>, frame: u32) -> Answer {
    let Decoded { samples, bits_allocated, photometric } = frames.frame(frame)?;
    Ok((samples, bits_allocated, shown(photometric.term())))
}

/// Of an answer; `None` when it makes no sense.
pub(crate) fn of_answer((samples, bits_allocated, photometric): (Vec<u8>, u16, Text<16>)) -> Option<Decoded> {
    let photometric = PhotometricInterpretation::of_term(photometric.as_str())?;
    matches!(bits_allocated, 8 | 16 | 32 | 64).then_some(Decoded { samples, bits_allocated, photometric })
}
