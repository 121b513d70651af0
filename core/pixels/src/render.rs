//! Rendering: a picture of a file from outside, made where a hostile one does no harm, and what there is to know of it.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::facts::shown;
use clavicle_dicom::repair::Repair;
use clavicle_ledger::encoding::Text;

use crate::frames::{Frames, FramesError};
use crate::geometry::Plane;
use crate::picture::{self, Cine, Picture, PictureError, Preset, View, Voi, Window, ct, picture, pixel_aspect};

/// Most windows of an image that are named where one was asked for that it does not have.
const MOST_NAMED: usize = 16;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Wanted {
    /// Which frame, counted from 0; the one in the middle without it.
    pub frame: Option<u32>,
    /// In which window.
    pub windowing: Windowing,
    /// Most pixels along a side, for a thumbnail.
    pub side: Option<u32>,
}

/// In which window an image is to be seen.
#[derive(Clone, Debug, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub enum Windowing {
    /// As its first preset says, else in one that fits most of its pixels.
    #[default]
    AsItSays,
    /// In one that fits most of its pixels.
    Fitted,
    /// In one of the image's own presets, or one that is usual in CT, by its name.
    Named(Text<64>),
    /// In this one.
    Window {
        /// In the unit of the image.
        centre: f64,
        /// At least 1.
        width: f64,
    },
}

/// A picture of a frame, and what there is to know of the image.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The picture.
    pub picture: Picture,
    /// What there is to know.
    pub about: About,
}

/// What there is to know of an image.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct About {
    /// Rows of a frame.
    pub rows: u16,
    /// Columns of a frame.
    pub columns: u16,
    /// How many frames there are.
    pub frames: u32,
    /// Which one this is, counted from 0.
    pub frame: u32,
    /// The names of the image's own windows; empty where one has none.
    pub presets: Vec<Text<64>>,
    /// What values are measured in: HU, as a rule, or nothing.
    pub unit: Text<64>,
    /// How long this frame is shown in a film, in ms, if that is told.
    pub frame_ms: Option<u64>,
    /// How far along its own normal the frame lies, in mm, if that is told.
    pub depth_mm: Option<f64>,
    /// What a person who looks at it should know.
    pub remarks: Vec<Remark>,
}

/// What a person who looks at a picture should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Remark {
    /// The file is not in order.
    #[error("{0}")]
    Repair(Repair),
    /// Number of Frames (0028,0008) is not how many there are.
    #[error("the image's Number of Frames says {said}, and there are {there}; those that are there are shown")]
    Frames {
        /// Frames that are said.
        said: u32,
        /// Frames that are there.
        there: u32,
    },
    /// There is more than one frame, and no Number of Frames (0028,0008).
    #[error("the image does not say how many frames it has; there are {there}, and all are shown")]
    FramesNotSaid {
        /// Frames that are there.
        there: u32,
    },
    /// The palette contradicts itself.
    #[error("the colours are uncertain: the image's palette and what it says of the palette disagree")]
    Palette,
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// See [`PictureError`], whose sentence it is.
    #[error("{0}")]
    NotShown(Text<1024>),
    /// No window of that name.
    #[error("there is no window of that name: neither the image has one, nor is it usual in CT")]
    NoSuchWindow {
        /// Those that the image has, by their names.
        own: Vec<Text<64>>,
    },
    /// A window that is none.
    #[error("a window is at least 1 wide, and both of its numbers are numbers")]
    BadWindow,
    /// A decoder panicked.
    #[error("reading it failed in a way that should not be possible; please report the file's structure")]
    Panicked,
}

impl From<PictureError> for RenderError {
    fn from(error: PictureError) -> Self {
        Self::NotShown(shown(error.to_string()))
    }
}

impl From<FramesError> for RenderError {
    fn from(error: FramesError) -> Self {
        PictureError::from(error).into()
    }
}

/// Makes the picture that is wanted of a file of `len` bytes. Files from outside are rendered where a hostile one does no harm.
///
/// # Errors
/// [`RenderError`].
pub fn render<S: Read + Seek>(source: S, len: u64, wanted: &Wanted) -> Result<Rendered, RenderError> {
    panic::catch_unwind(AssertUnwindSafe(|| rendered(source, len, wanted))).unwrap_or(Err(RenderError::Panicked))
}

fn rendered<S: Read + Seek>(source: S, len: u64, wanted: &Wanted) -> Result<Rendered, RenderError> {
    rendered_of(&mut Frames::read(source, len).map_err(PictureError::from)?, wanted)
}

/// The names of an image's own windows, as far as they have one.
fn names(presets: &[Preset]) -> Vec<Text<64>> {
    presets.iter().filter_map(|preset| preset.name.as_deref()).map(shown).take(MOST_NAMED).collect()
}

/// The same of an image that is open.
///
/// # Errors
/// [`RenderError`].
pub fn rendered_of<S: Read + Seek>(frames: &mut Frames<S>, wanted: &Wanted) -> Result<Rendered, RenderError> {
    let frame = wanted.frame.unwrap_or(frames.count() / 2);
    let presets = picture::presets(frames, frame);
    let view = match &wanted.windowing {
        Windowing::AsItSays => View::AsItSays,
        Windowing::Fitted => View::Fitted,
        Windowing::Named(name) => {
            let own = presets.iter().find(|preset| preset.name.as_deref() == Some(name.as_str()));
            let own = own.map(|preset| preset.voi.clone());
            let usual = || ct(name.as_str()).map(Voi::Window);
            View::Voi(own.or_else(usual).ok_or_else(|| RenderError::NoSuchWindow { own: names(&presets) })?)
        }
        Windowing::Window { centre, width } => {
            View::Voi(Voi::Window(Window::linear(*centre, *width).ok_or(RenderError::BadWindow)?))
        }
    };
    let mut shown_picture = picture(frames, frame, &view)?;
    let (layout, attributes) = (frames.layout(), frames.attributes());
    if let Some(side) = wanted.side {
        shown_picture = shown_picture.thumbnail(side, pixel_aspect(attributes, frame));
    }
    let remarks = frames.repairs().iter().copied().map(Remark::Repair);
    let there = frames.count();
    let other = frames.said_otherwise().map(|_| match frames.said() {
        Some(said) => Remark::Frames { said, there },
        None => Remark::FramesNotSaid { there },
    });
    let uncertain = picture::has_uncertain_colours(frames).then_some(Remark::Palette);
    let about = About {
        remarks: remarks.chain(other).chain(uncertain).collect(),
        rows: layout.rows,
        columns: layout.columns,
        frames: frames.count(),
        frame,
        presets: presets.iter().map(|preset| shown(preset.name.clone().unwrap_or_default())).collect(),
        unit: shown(picture::unit(attributes, frame).unwrap_or_default()),
        frame_ms: Cine::of(attributes, frames.count())
            .map(|cine| u64::try_from(cine.time(frame).as_millis()).unwrap_or(u64::MAX)),
        depth_mm: Plane::of(attributes, frame).map(|plane| plane.depth()).filter(|depth| depth.is_finite()),
    };
    Ok(Rendered { picture: shown_picture, about })
}
