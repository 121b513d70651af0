//! Decodes a frame.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::shown;
use clavicle_dicom::layout::{Decoded, PhotometricInterpretation};
use clavicle_ledger::encoding::Text;
use clavicle_pixels::frames::FramesError;

use super::{Job, Opened};

/// The samples of a frame: see [`Frames::frame`](clavicle_pixels::frames::Frames::frame).
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct Decode {
    /// Counted from 0.
    pub frame: u32,
}

/// Why a frame was not decoded.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// See [`FramesError`], whose sentence it is.
    #[error("{0}")]
    Frames(Text<1024>),
    /// A decoder panicked.
    #[error("decoding it failed in a way that should not be possible; please report the image's structure")]
    Panicked,
}

impl From<FramesError> for DecodeError {
    fn from(error: FramesError) -> Self {
        Self::Frames(shown(error.to_string()))
    }
}

impl Job for Decode {
    const NAME: &'static str = "decode";
    type Answer = Result<Decoded, DecodeError>;
    /// The samples, their bits, and what they mean.
    type Sent = Result<(Vec<u8>, u16, Text<16>), DecodeError>;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let decoded = file.frames(DecodeError::Panicked, |frames| Ok(frames.frame(self.frame)?));
        decoded.map(|Decoded { samples, bits_allocated, photometric }| {
            (samples, bits_allocated, shown(photometric.term()))
        })
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        let (samples, bits_allocated, photometric) = match sent {
            Ok(sent) => sent,
            Err(error) => return Some(Err(error)),
        };
        let photometric = PhotometricInterpretation::of_term(photometric.as_str())?;
        matches!(bits_allocated, 8 | 16 | 32 | 64).then_some(Ok(Decoded { samples, bits_allocated, photometric }))
    }
}
