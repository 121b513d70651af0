//! Makes a picture of a frame.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_pixels::picture::{Picture, Pixels};
use clavicle_pixels::render::{About, RenderError, Rendered, Wanted, rendered_of};

use super::{Job, Opened};

/// A picture of a frame: see [`render`](clavicle_pixels::render::render).
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct Render {
    /// What is wanted.
    pub wanted: Wanted,
}

/// Width, height, whether it has colours, bytes.
type Sent = (u32, u32, bool, Vec<u8>, About);

impl Job for Render {
    const NAME: &'static str = "render";
    type Answer = Result<Rendered, RenderError>;
    type Sent = Result<Sent, RenderError>;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let rendered = file.frames(RenderError::Panicked, |frames| rendered_of(frames, &self.wanted));
        rendered.map(|Rendered { picture: Picture { width, height, pixels }, about }| match pixels {
            Pixels::Grey(bytes) => (width, height, false, bytes, about),
            Pixels::Rgb(bytes) => (width, height, true, bytes, about),
        })
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        let (width, height, is_coloured, bytes, about) = match sent {
            Ok(sent) => sent,
            Err(error) => return Some(Err(error)),
        };
        // As many bytes as there should be.
        let wanted = u64::from(width) * u64::from(height) * if is_coloured { 3 } else { 1 };
        let pixels = if is_coloured { Pixels::Rgb } else { Pixels::Grey };
        (bytes.len() as u64 == wanted && wanted > 0)
            .then(|| Ok(Rendered { picture: Picture { width, height, pixels: pixels(bytes) }, about }))
    }
}
