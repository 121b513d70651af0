//! Lack: what an image's pixels are short of, by what it says of itself.
//!
//! It is for whoever asks whether images are whole and shows none. Frames are held against Number of Frames, native ones against their size, and encapsulated ones
//! against how a codestream ends. What this build cannot decode is not called short of anything, and that nothing is found promises no picture.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::shown;
use clavicle_ledger::encoding::Text;

use crate::codec::CodecError;
use crate::frames::{Frames, FramesError};

/// What an image's pixels are short of. Frames are counted from 1, as people do.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Lack {
    /// It stands for an image, and has none.
    #[error("it is an image without pixels")]
    NoPixels,
    /// Number of Frames (0028,0008) is 0.
    #[error("Number of Frames is 0")]
    NoFrames,
    /// Number of Frames (0028,0008) says another number.
    #[error("Number of Frames says {said}, and there are {there}")]
    Frames {
        /// As said.
        said: u32,
        /// As found.
        there: u32,
    },
    /// More frames than one, and no Number of Frames (0028,0008).
    #[error("there are {0} frames, and no Number of Frames says so")]
    NotSaid(u32),
    /// Fragments that are no whole number of frames.
    #[error("{fragments} fragments make no {frames} frames")]
    Fragments {
        /// Fragments.
        fragments: u64,
        /// Frames that are said.
        frames: u32,
    },
    /// A frame that ends too early.
    #[error("frame {0} was cut off")]
    CutOff(u64),
    /// Pixels that mean nothing.
    #[error("{0}")]
    Unclear(Text<1024>),
    /// It could not be looked into.
    #[error("it could not be looked into: {0}")]
    Unread(Text<1024>),
    /// Looking failed.
    #[error("looking into it failed in a way that should not be possible; please report the image's structure")]
    Panicked,
}

/// Why nothing is said of a lack: there is none, or it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It has no pixels to be short of, or this build cannot tell.
    NothingToSay,
    /// It is short of something.
    Lacks(Lack),
}

impl From<FramesError> for Looked {
    fn from(error: FramesError) -> Self {
        Self::Lacks(match error {
            FramesError::NoImage(_)
            | FramesError::Codec(CodecError::NotBuilt { .. } | CodecError::Syntax(_) | CodecError::Layout(_)) => {
                return Self::NothingToSay;
            }
            FramesError::NoPixels => Lack::NoPixels,
            FramesError::Unclear { fragments, frames } => Lack::Fragments { fragments: fragments as u64, frames },
            other => Lack::Unclear(shown(other.to_string())),
        })
    }
}

/// What the pixels are short of, if anything.
///
/// # Errors
/// [`Looked`].
pub fn lack<S: Read + Seek>(frames: &mut Frames<S>) -> Result<(), Looked> {
    let there = frames.count();
    match (frames.said(), frames.said_otherwise()) {
        (Some(0), _) => return Err(Looked::Lacks(Lack::NoFrames)),
        (Some(said), Some(_)) => return Err(Looked::Lacks(Lack::Frames { said, there })),
        (None, Some(_)) => return Err(Looked::Lacks(Lack::NotSaid(there))),
        (_, None) => {}
    }
    for frame in 0..there {
        if frames.is_cut_off(frame)? {
            return Err(Looked::Lacks(Lack::CutOff(u64::from(frame) + 1)));
        }
    }
    Ok(())
}
