//! Native frames: samples as they are (PS3.5 §8.1), put into little endian, in the order of pixels, one to a byte at least.

use std::io::Read as _;

use super::{Codec, CodecError, Decoded, Layout, PhotometricInterpretation};

pub(super) fn decode(frame: &[u8], layout: &Layout, big_endian: bool) -> Result<Decoded, CodecError> {
    let wanted = layout.native_bits().div_ceil(8);
    let usable = usize::try_from(wanted).ok().and_then(|wanted| frame.get(..wanted));
    let frame = usable.ok_or(CodecError::Short { wanted, len: frame.len() as u64 })?;
    let bytes = layout.bytes_per_sample();
    if layout.bits_allocated == 1 {
        return Ok(decoded(unpack(frame, layout.count()), layout, layout.photometric));
    }
    let mut samples = frame.to_vec();
    if big_endian && bytes > 1 {
        samples.chunks_exact_mut(bytes).for_each(<[u8]>::reverse);
    }
    if layout.photometric == PhotometricInterpretation::YbrFull422 {
        if !layout.columns.is_multiple_of(2) {
            return Err(CodecError::OddColumns(layout.columns));
        }
        let samples = upsample(&samples, bytes, layout.decoded_len());
        return Ok(decoded(samples, layout, PhotometricInterpretation::YbrFull));
    }
    if layout.planar && layout.samples_per_pixel > 1 {
        samples = interleave(&samples, layout.pixels(), bytes);
    }
    Ok(decoded(samples, layout, layout.photometric))
}

/// Of a frame that was deflated (RFC 1951). It takes as much memory as the layout says, whatever it would become.
pub(super) fn inflate(frame: &[u8], layout: &Layout) -> Result<Decoded, CodecError> {
    let mut inflated = Vec::new();
    let read =
        flate2::read::DeflateDecoder::new(frame).take(layout.native_bits().div_ceil(8)).read_to_end(&mut inflated);
    read.map_err(|_| CodecError::Damaged { codec: Codec::Deflate, what: "it cannot be inflated" })?;
    decode(&inflated, layout, false)
}

fn decoded(samples: Vec<u8>, layout: &Layout, photometric: PhotometricInterpretation) -> Decoded {
    Decoded { samples, bits_allocated: layout.decoded_bits(), photometric }
}

/// The first pixel is in the lowest bit.
fn unpack(frame: &[u8], count: usize) -> Vec<u8> {
    frame.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)).take(count).collect()
}

/// Of each two pixels Y₁ Y₂ Cb Cr are written (PS3.3 C.7.6.3.1.2).
fn upsample(pairs: &[u8], bytes: usize, len: usize) -> Vec<u8> {
    let mut samples = Vec::with_capacity(len);
    for pair in pairs.chunks(4 * bytes) {
        let (luminances, differences) = pair.split_at(pair.len() / 2);
        for luminance in luminances.chunks_exact(bytes) {
            samples.extend_from_slice(luminance);
            samples.extend_from_slice(differences);
        }
    }
    samples
}

/// From Planar Configuration 1 to 0.
pub(super) fn interleave(planes: &[u8], pixels: usize, bytes: usize) -> Vec<u8> {
    let plane = pixels * bytes;
    if plane == 0 {
        return Vec::new();
    }
    let count = planes.len() / plane;
    let mut samples = vec![0; planes.len()];
    for (number, plane) in planes.chunks_exact(plane).enumerate() {
        for (pixel, sample) in samples.chunks_exact_mut(count * bytes).zip(plane.chunks_exact(bytes)) {
            pixel[number * bytes..(number + 1) * bytes].copy_from_slice(sample);
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::super::monochrome;
    use super::*;

    #[test]
    fn bits_come_lowest_first() {
        let decoded = decode(&[0b0000_0101, 1], &monochrome(3, 3, 1, 1), false).unwrap();
        assert_eq!(decoded.samples, [1, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(decoded.bits_allocated, 8);
    }

    #[test]
    fn big_endian_becomes_little() {
        let decoded = decode(&[1, 2, 3, 4], &monochrome(1, 2, 16, 16), true).unwrap();
        assert_eq!(decoded.samples, [2, 1, 4, 3]);
        let decoded = decode(&[1, 2, 3, 4], &monochrome(1, 1, 32, 32), true).unwrap();
        assert_eq!(decoded.samples, [4, 3, 2, 1]);
    }

    #[test]
    fn a_short_frame_is_said_to_be_short() {
        let error = decode(&[0; 7], &monochrome(2, 2, 16, 16), false).unwrap_err();
        assert_eq!(error.to_string(), "the frame ends after 7 bytes where 8 are needed");
    }

    #[test]
    fn planes_are_interleaved_and_pairs_upsampled() {
        let rgb =
            Layout { samples_per_pixel: 3, photometric: PhotometricInterpretation::Rgb, ..monochrome(1, 2, 8, 8) };
        let planar = Layout { planar: true, ..rgb.clone() };
        assert_eq!(decode(&[1, 2, 3, 4, 5, 6], &planar, false).unwrap().samples, [1, 3, 5, 2, 4, 6]);
        let ybr = Layout { photometric: PhotometricInterpretation::YbrFull422, ..rgb };
        let decoded = decode(&[1, 2, 3, 4], &ybr, false).unwrap();
        assert_eq!(decoded.samples, [1, 3, 4, 2, 3, 4]);
        assert_eq!(decoded.photometric, PhotometricInterpretation::YbrFull);
    }
}
