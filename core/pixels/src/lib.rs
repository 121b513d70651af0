//! What a person sees of an image: frames out of a file, decoded, and made pictures of.
//!
//! It stands on `clavicle-dicom`, which says where the pixels are, and below whatever shows them. All of it are functions over bytes, the same on every
//! system, and it knows no file system: what it reads from is handed in. It promises that nothing is set aside before a codestream and the data set
//! agree on how large a frame is, and that a fault in a codec costs one frame. It refuses to know patients and files.
//!
//! In the order in which data flows:
//!
//! | | |
//! |---|---|
//! | [`frames`] | picks single frames out of an instance, of which the rest stays where it is |
//! | [`codec`] | decodes one |
//! | [`lossless`] | the digest of pixels that were compressed without loss |
//! | [`lack`] | what an image's pixels are short of, by what it says of itself |
//! | `film` | how a film ends, by what it is packed in |
//! | [`picture`] | makes of a frame what a person sees |
//! | [`geometry`] | says where it lies in the patient |
//! | [`render`] | a picture that is wanted, and what there is to know of it |
//!
//! ```no_run
//! use std::fs::File;
//!
//! use clavicle_pixels::render::{Wanted, Windowing, render};
//!
//! let file = File::open("image.dcm")?;
//! let len = file.metadata()?.len();
//! let wanted = Wanted { frame: None, windowing: Windowing::AsItSays, side: Some(256) };
//! let rendered = render(file, len, &wanted)?;
//! std::fs::write("image.png", rendered.picture.png()?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod codec;
mod film;
pub mod frames;
pub mod geometry;
pub mod lack;
pub mod lossless;
pub mod picture;
pub mod render;
