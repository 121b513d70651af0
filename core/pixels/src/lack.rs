//! Lack: what an image's pixels are short of, by what it says of itself.
//!
//! It is for whoever asks whether images are whole and shows none. Frames are held against Number of Frames, native ones against their size, and encapsulated ones
//! against how a codestream ends; films against what they are packed in. What nothing tells of, a film in no container
//! or what this build cannot decode, is called untold, and neither whole nor short of anything. That nothing is found
//! promises no picture.

use std::io::{Read, Seek, SeekFrom};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::shown;
use clavicle_dicom::scan;
use clavicle_dicom::scanned::Pixels;
use clavicle_ledger::encoding::Text;
use dicom_dictionary_std::tags;

use crate::codec::{CodecError, SyntaxError};
use crate::film::{FilmEnd, end_of};
use crate::frames::{Frames, FramesError};

/// Whether the pixels of an image are all there.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Wholeness {
    /// They are, as far as can be told without a picture; or it has none to be short of.
    Whole,
    /// They are not.
    Lacking(Lack),
    /// Nothing tells, for this reason.
    Untold(Text<1024>),
}

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
    /// A film that ends too early.
    #[error("the film was cut off")]
    FilmCutOff,
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
    /// It has no pixels to be short of.
    NothingToSay,
    /// This build cannot tell, for this reason.
    Untold(Text<1024>),
    /// It is short of something.
    Lacks(Lack),
}

impl From<FramesError> for Looked {
    fn from(error: FramesError) -> Self {
        Self::Lacks(match error {
            FramesError::NoImage(_) => return Self::NothingToSay,
            FramesError::Codec(
                error @ (CodecError::NotBuilt { .. } | CodecError::Syntax(_) | CodecError::Layout(_)),
            ) => return Self::Untold(shown(error.to_string())),
            FramesError::NoPixels => Lack::NoPixels,
            FramesError::Unclear { fragments, frames } => Lack::Fragments { fragments: fragments as u64, frames },
            other => Lack::Unclear(shown(other.to_string())),
        })
    }
}

/// Looks whether the pixels of an instance of `len` bytes are all there.
pub fn wholeness<S: Read + Seek>(mut source: S, len: u64) -> Wholeness {
    let looked = match Frames::read(&mut source, len).map(|mut frames| lack(&mut frames)) {
        Ok(looked) => looked,
        Err(FramesError::Codec(CodecError::Syntax(error @ SyntaxError::Film { .. }))) => film(source, len, &error),
        Err(error) => Err(error.into()),
    };
    match looked {
        Ok(()) | Err(Looked::NothingToSay) => Wholeness::Whole,
        Err(Looked::Lacks(lack)) => Wholeness::Lacking(lack),
        Err(Looked::Untold(why)) => Wholeness::Untold(why),
    }
}

/// What a film is short of.
fn film<S: Read + Seek>(mut source: S, len: u64, error: &SyntaxError) -> Result<(), Looked> {
    let io = |_| Looked::from(FramesError::Io);
    source.seek(SeekFrom::Start(0)).map_err(io)?;
    let scanned = scan::scan(&mut source, len).map_err(|error| Looked::from(FramesError::from(error)))?;
    let frames = scanned.kept(tags::NUMBER_OF_FRAMES).and_then(|value| str::from_utf8(value).ok());
    if frames.and_then(|text| text.trim_matches([' ', '\0']).parse::<u32>().ok()) == Some(0) {
        return Err(Looked::Lacks(Lack::NoFrames));
    }
    let fragments = match scanned.pixels {
        Some((_, Pixels::Encapsulated { fragments, .. })) => fragments,
        Some((_, Pixels::Native { .. })) => return Err(FramesError::NotAsSaid.into()),
        None => return Err(FramesError::NoPixels.into()),
    };
    match end_of(&mut source, &fragments) {
        FilmEnd::Whole => Ok(()),
        FilmEnd::Empty => Err(FramesError::NoPixels.into()),
        FilmEnd::CutOff => Err(Looked::Lacks(Lack::FilmCutOff)),
        FilmEnd::Untold => Err(Looked::Untold(shown(error.to_string()))),
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
