//! Pictures for eyes: of one file, of the series of a folder or a study side by side, and of all frames as a film.
//! Never for diagnosis: 8 bits, in one window.

mod sheet;

use std::io;
use std::path::Path;

use clavicle_ledger::encoding::Text;
use clavicle_manifest::Instance;
use clavicle_network::transfer::Item;
use clavicle_pixels::geometry::{Slice, order};
use clavicle_pixels::picture::{Picture, Pixels};
use clavicle_pixels::render::{RenderError, Rendered, Wanted};
use clavicle_sandbox::reader::Reader;
use clavicle_sandbox::{Files as _, OnDisk, ReadError};
use clavicle_wallet::cache::Images;

use self::sheet::sheet;
use crate::studies::opened;

/// Most pictures on a sheet.
pub const MOST_ON_SHEET: usize = 64;
/// Most frames of a film.
pub const MOST_FRAMES: u32 = 2_000;
/// How long a frame is shown that does not say it: ten a second.
const FRAME_MS: u64 = 100;

/// Why there is no picture of a file.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It can be read, and not be shown.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A film that is none.
    #[error("the image has {0} frames, and a film is made of 2 to {MOST_FRAMES}")]
    Frames(u32),
    /// The film cannot be written.
    #[error("the film cannot be written")]
    Write(#[source] io::Error),
}

/// Why there is no sheet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SheetError {
    /// No image has the window that was asked for.
    #[error("no image has that window")]
    Window {
        /// Those that they have, by their names.
        own: Vec<Text<64>>,
    },
    /// Nothing can be shown, whatever the window.
    #[error("nothing is an image that can be shown")]
    Nothing,
}

/// Pictures of series, and what stood in the way of others.
#[derive(Debug, Default)]
pub struct Drawn {
    pictures: Vec<Picture>,
    /// The windows that images have which do not have the one that was asked for.
    others: Option<Vec<Text<64>>>,
}

impl Drawn {
    /// Takes a picture, or says why there is none.
    pub fn take(&mut self, rendered: Result<Rendered, RenderError>) -> Option<String> {
        match rendered {
            Ok(rendered) => {
                self.pictures.push(rendered.picture);
                None
            }
            Err(error) => {
                if let RenderError::NoSuchWindow { own } = &error {
                    let others = self.others.get_or_insert_default();
                    others.extend(own.iter().filter(|name| !others.contains(name)).cloned().collect::<Vec<_>>());
                }
                Some(error.to_string())
            }
        }
    }

    /// Whether a sheet has room for no more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.pictures.len() >= MOST_ON_SHEET
    }

    /// The sheet with all of them.
    ///
    /// # Errors
    /// [`SheetError`]: where there is none, whether that is for the window alone.
    pub fn sheet(self) -> Result<Picture, SheetError> {
        let Self { pictures, others } = self;
        sheet(&pictures).ok_or_else(|| others.map_or(SheetError::Nothing, |own| SheetError::Window { own }))
    }
}

/// A picture as a PNG.
#[must_use]
pub fn encoded(picture: &Picture) -> Vec<u8> {
    picture.png().expect("a picture has as many pixels as it says, and memory takes what is written")
}

/// Which of some slices lies in the middle, as they lie in the patient; by their numbers where they do not lie one
/// behind the other. None of none.
#[must_use]
pub fn middle(slices: &[Slice]) -> Option<usize> {
    let (places, _) = order(slices);
    places.get(places.len() / 2).copied()
}

/// A picture of the slice in the middle of those of a series that are there, sealed in a wallet; or why its file cannot
/// be read.
///
/// # Errors
/// A sentence.
pub fn of_middle(
    images: &Images,
    there: &[&Instance],
    reader: &dyn Reader,
    wanted: &Wanted,
) -> Result<Result<Rendered, RenderError>, String> {
    let open = |instance: &Instance| opened(images, &Item::Instance(instance)).map_err(|error| error.to_string());
    let at = if there.len() < 2 {
        0
    } else {
        let slice = |instance: &&Instance| {
            let seen = reader.inspect_open(&open(instance)?).map_err(|reason| reason.to_string())?;
            Ok::<_, String>(Slice::from(&seen.facts.place))
        };
        middle(&there.iter().map(slice).collect::<Result<Vec<_>, _>>()?).unwrap_or(0)
    };
    let one = there.get(at).ok_or("there is no image")?;
    reader.render_open(&open(one)?, wanted).map_err(|reason| reason.to_string())
}

/// The first frame of a file that can be shown.
///
/// # Errors
/// [`DrawError`]: of none why the first cannot be.
pub fn first_frame(reader: &dyn Reader, path: &Path, wanted: &Wanted) -> Result<Rendered, DrawError> {
    let file = OnDisk.open(path)?;
    let mut open = reader.film(&file)?;
    let mut first = None;
    for frame in 0..MOST_FRAMES {
        match open.render(&Wanted { frame: Some(frame), ..wanted.clone() })? {
            Ok(rendered) => return Ok(rendered),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(RenderError::Panicked).into())
}

/// All frames of a file, one after the other, in an animated PNG.
#[derive(Debug)]
pub struct Film {
    /// The PNG.
    pub png: Vec<u8>,
    /// Frames that cannot be shown, counted from 1, each with the reason: they are black.
    pub bad_frames: Vec<(u32, String)>,
}

/// Makes a film of a file of so many frames. A frame that cannot be shown is black, and named; the film goes on.
///
/// # Errors
/// [`DrawError`].
pub fn film(reader: &dyn Reader, path: &Path, wanted: &Wanted, frames: u32) -> Result<Film, DrawError> {
    if !(2..=MOST_FRAMES).contains(&frames) {
        return Err(DrawError::Frames(frames));
    }
    let broken = |error: png::EncodingError| DrawError::Write(io::Error::other(error));
    let file = OnDisk.open(path)?;
    let mut open = reader.film(&file)?;
    let mut render = |frame| open.render(&Wanted { frame: Some(frame), ..wanted.clone() });
    // The first that can be shown says how large all are.
    let mut bad_frames = Vec::new();
    let mut first = None;
    for frame in 0..frames {
        match render(frame)? {
            Ok(rendered) => {
                first = Some((frame, rendered));
                break;
            }
            Err(error) if frame + 1 == frames => return Err(error.into()),
            Err(error) => bad_frames.push((frame + 1, error.to_string())),
        }
    }
    let (begin, first) = first.ok_or(DrawError::Frames(frames))?;
    let size = (first.picture.width, first.picture.height);
    let (Pixels::Grey(pixels) | Pixels::Rgb(pixels)) = &first.picture.pixels;
    let black = vec![0; pixels.len()];
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, size.0, size.1);
    encoder.set_color(colour(&first.picture));
    encoder.set_animated(frames, 0).map_err(broken)?;
    let mut writer = encoder.write_header().map_err(broken)?;
    let mut shown = Some(first);
    for frame in 0..frames {
        let rendered = match shown.take_if(|_| frame == begin) {
            Some(first) => Some(first),
            None if frame < begin => None,
            None => match render(frame)? {
                Ok(rendered) => Some(rendered),
                Err(error) => {
                    bad_frames.push((frame + 1, error.to_string()));
                    None
                }
            },
        };
        let ms = rendered.as_ref().and_then(|rendered| rendered.about.frame_ms).unwrap_or(FRAME_MS);
        writer.set_frame_delay(u16::try_from(ms).unwrap_or(u16::MAX), 1_000).map_err(broken)?;
        let pixels = rendered.as_ref().map(|rendered| match &rendered.picture.pixels {
            Pixels::Grey(pixels) | Pixels::Rgb(pixels) => pixels.as_slice(),
        });
        writer.write_image_data(pixels.unwrap_or(&black)).map_err(broken)?;
    }
    writer.finish().map_err(broken)?;
    Ok(Film { png, bad_frames })
}

const fn colour(picture: &Picture) -> png::ColorType {
    match picture.pixels {
        Pixels::Grey(_) => png::ColorType::Grayscale,
        Pixels::Rgb(_) => png::ColorType::Rgb,
    }
}
