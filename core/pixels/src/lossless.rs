//! Pixels that were compressed without loss: decoded, so that they have the digest of what they were before.
//!
//! Whether they are is said by the transfer syntax alone. A build without the codec cannot tell what the pixels are, and says nothing of them. A codestream that
//! cannot be decoded, or would be more than 512 MiB decoded, stands for itself.

use std::io::{Read, Seek};

use clavicle_dicom::content::{Lossless, PixelHasher};
use clavicle_dicom::scanned::{Pixels, Scanned};
use clavicle_dicom::syntax::LOSSLESS;

use crate::codec::CodecError;
use crate::frames::{Frames, FramesError};

/// The most that is decoded for a digest, in bytes. A digest must not take longer than anybody waits for it.
const MOST: u64 = 512 << 20;

/// Reads the frames of what was `scanned`.
#[must_use]
pub fn digest<S: Read + Seek>(scanned: &Scanned, source: S, len: u64) -> Lossless {
    let uid = scanned.transfer_syntax_uid;
    let is_encapsulated = matches!(scanned.pixels, Some((_, Pixels::Encapsulated { .. })));
    if !is_encapsulated || !LOSSLESS.contains(&uid.as_str()) {
        return Lossless::No;
    }
    let Ok(mut frames) = Frames::read(source, len) else { return Lossless::No };
    // Which frames there are is not what the data set says: they are what they are in the file.
    if frames.said_otherwise().is_some() {
        return Lossless::No;
    }
    let layout = frames.layout().clone();
    let decoded_len = (layout.decoded_len() as u64).saturating_mul(frames.count().into());
    // Samples of one bit are unpacked when they are decoded.
    if layout.check().is_err() || layout.bits_allocated < 8 || decoded_len > MOST {
        return Lossless::No;
    }
    let mut hasher: Option<PixelHasher> = None;
    for number in 0..frames.count() {
        let frame = match frames.frame(number) {
            Ok(frame) => frame,
            Err(FramesError::Codec(CodecError::NotBuilt { .. })) => return Lossless::CannotTell,
            Err(_) => return Lossless::No,
        };
        hasher.get_or_insert_with(|| PixelHasher::decoded(&layout, frames.count(), &frame)).take(&frame.samples);
    }
    hasher.map_or(Lossless::No, |hasher| Lossless::Digest(hasher.finish("")))
}
