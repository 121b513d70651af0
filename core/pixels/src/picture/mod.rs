//! Pictures: from the samples of a frame to what a person sees.
//!
//! The way is that of the standard (PS3.4 N.2): stored values, modality transform, VOI transform, shades; or the colours that samples or a palette
//! give. It stands behind [`frames`](crate::frames) and before any screen. A picture is a help to find and to recognise: what is
//! diagnosed is looked at where windows can be moved, and where the screen is made for it.

mod cine;
mod colour;
mod grey;
mod lut;
mod modality;
mod palette;
mod png;
mod stored;
mod thumbnail;
mod voi;

use std::io::{Read, Seek};

pub use self::cine::Cine;
pub use self::lut::Lut;
pub use self::modality::{Modality, unit};
pub use self::thumbnail::pixel_aspect;
pub use self::voi::{CT, Function, Preset, Voi, Window, ct};

use clavicle_dicom::layout::PhotometricInterpretation;

use self::grey::{Grey, Padding};
use self::palette::Palette;
use self::stored::{Samples, Stored};
use crate::frames::{Frames, FramesError};

/// A picture of eight bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// One after the other, row by row, from the top left.
    pub pixels: Pixels,
}

/// What a picture is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// A byte a pixel; 0 is black.
    Grey(Vec<u8>),
    /// Three bytes a pixel: red, green, blue.
    Rgb(Vec<u8>),
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The frame cannot be had.
    #[error(transparent)]
    Frames(#[from] FramesError),
    /// PALETTE COLOR without a palette that can be read.
    #[error("its pixels are numbers of colours, and its palette is missing or damaged")]
    Palette,
    /// Colours that are no whole numbers, or samples that no image has.
    #[error("its samples are of a kind that no image has")]
    Samples,
    /// PNG could not be written.
    #[error("the picture could not be written as PNG")]
    Png,
}

/// How an image is to be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum View {
    /// As its first preset says, else in a window that fits most of its pixels.
    #[default]
    AsItSays,
    /// In a window that fits most of its pixels.
    Fitted,
    /// In this way. Colours do not depend on it.
    Voi(Voi),
}

/// Makes a picture of a frame, counted from 0.
///
/// # Errors
/// [`PictureError`].
pub fn picture<S: Read + Seek>(frames: &mut Frames<S>, frame: u32, view: &View) -> Result<Picture, PictureError> {
    let decoded = frames.frame(frame)?;
    let (layout, attributes) = (frames.layout(), frames.attributes());
    let (width, height) = (layout.columns.into(), layout.rows.into());
    let stored = Stored::of(layout);
    let samples = Samples::of(&decoded, frames.numbers()).ok_or(PictureError::Samples)?;
    let pixels = match decoded.photometric {
        PhotometricInterpretation::Monochrome1 | PhotometricInterpretation::Monochrome2 => {
            let modality = Modality::of(attributes, frame, layout.signed);
            let grey = Grey {
                stored,
                padding: Padding::of(attributes, layout),
                modality: &modality,
                inverse: decoded.photometric == PhotometricInterpretation::Monochrome1,
            };
            let said = match view {
                View::AsItSays => presets(frames, frame).into_iter().next().map(|preset| preset.voi),
                View::Fitted => None,
                View::Voi(voi) => Some(voi.clone()),
            };
            let voi = said.unwrap_or_else(|| Voi::Window(grey.automatic(samples)));
            Pixels::Grey(grey.shades(samples, &voi))
        }
        PhotometricInterpretation::PaletteColor => {
            let palette = Palette::of(attributes, layout.signed).ok_or(PictureError::Palette)?;
            Pixels::Rgb(colour::paletted(samples, stored, &palette).ok_or(PictureError::Samples)?)
        }
        other => Pixels::Rgb(colour::pixels(samples, stored, other).ok_or(PictureError::Samples)?),
    };
    Ok(Picture { width, height, pixels })
}

/// Whether the colours may be other ones: the image is one of a palette whose tables and descriptors disagree.
#[must_use]
pub fn has_uncertain_colours<S: Read + Seek>(frames: &Frames<S>) -> bool {
    let (attributes, layout) = (frames.attributes(), frames.layout());
    layout.photometric == PhotometricInterpretation::PaletteColor
        && Palette::of(attributes, layout.signed).is_some_and(|palette| palette.is_uncertain())
}

/// The ways in which a frame, counted from 0, wants to be seen: tables first, then windows, in the order of the image.
#[must_use]
pub fn presets<S: Read + Seek>(frames: &Frames<S>, frame: u32) -> Vec<Preset> {
    let (attributes, layout) = (frames.attributes(), frames.layout());
    // A table's first entry is for what the modality transform gives: with a sign if that may have one.
    let is_signed = layout.check().is_ok() && {
        let (least, most) = Stored::of(layout).range();
        Modality::of(attributes, frame, layout.signed).range(least as f64, most as f64).0 < 0.0
    };
    voi::presets(attributes, frame, is_signed)
}
