//! RLE (PS3.5 §G): each byte of each sample is a segment of its own, the highest byte first, in runs of bytes.

use super::{Codec, CodecError, Decoded, Layout, PhotometricInterpretation, check_plausible};

/// The header: how many segments, and where fifteen of them begin.
const HEADER: usize = 64;

pub(super) fn decode(frame: &[u8], layout: &Layout) -> Result<Decoded, CodecError> {
    let damaged = |what| CodecError::Damaged { codec: Codec::Rle, what };
    let header = frame.get(..HEADER).ok_or(CodecError::Short { wanted: HEADER as u64, len: frame.len() as u64 })?;
    let bytes = layout.bytes_per_sample();
    if layout.bits_allocated == 1 {
        return Err(CodecError::Unsupported { codec: Codec::Rle, what: "samples of one bit" });
    }
    let mut numbers = header.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let count = usize::from(layout.samples_per_pixel) * bytes;
    if numbers.next().and_then(|declared| usize::try_from(declared).ok()) != Some(count) || count > 15 {
        return Err(damaged("it has another number of segments than the image needs"));
    }
    // A run of two bytes becomes 128 at most.
    check_plausible(Codec::Rle, frame.len(), layout, 64)?;
    let starts: Vec<usize> = numbers
        .take(count)
        .map(usize::try_from)
        .collect::<Result<_, _>>()
        .map_err(|_| damaged("a segment is nowhere"))?;
    let mut samples = vec![0; layout.decoded_len()];
    for (number, start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(frame.len());
        let segment = frame.get(*start..end).filter(|_| *start >= HEADER);
        let segment = segment.ok_or_else(|| damaged("a segment lies outside the frame"))?;
        // The highest byte comes first; here it comes last.
        let at = number / bytes * bytes + (bytes - 1 - number % bytes);
        let filled = unpack(segment, samples.iter_mut().skip(at).step_by(count));
        if filled < layout.pixels() {
            return Err(damaged("a segment ends before its last pixel"));
        }
    }
    // The segments are in the order of samples, whatever Planar Configuration says.
    let photometric = match layout.photometric {
        PhotometricInterpretation::YbrFull422 => PhotometricInterpretation::YbrFull,
        other => other,
    };
    Ok(Decoded { samples, bits_allocated: layout.decoded_bits(), photometric })
}

/// Fills `places` from PackBits (PS3.5 §G.3.2) and says how many were. What is too much, such as the padding of a segment, is dropped.
fn unpack<'a>(mut segment: &[u8], places: impl Iterator<Item = &'a mut u8>) -> usize {
    let mut places = places;
    let mut filled = 0;
    while let [control, rest @ ..] = segment {
        segment = rest;
        let control = usize::from(*control);
        if control < 128 {
            let (literal, rest) = segment.split_at((control + 1).min(segment.len()));
            segment = rest;
            for byte in literal {
                let Some(place) = places.next() else { return filled };
                *place = *byte;
                filled += 1;
            }
        } else if control > 128 {
            let [byte, rest @ ..] = segment else { return filled };
            segment = rest;
            for _ in 0..257 - control {
                let Some(place) = places.next() else { return filled };
                *place = *byte;
                filled += 1;
            }
        }
        // 128 does nothing.
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::super::monochrome;
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = vec![segments.len() as u32];
        let mut at = HEADER as u32;
        for segment in segments {
            header.push(at);
            at += segment.len() as u32;
        }
        header.resize(16, 0);
        header.into_iter().flat_map(u32::to_le_bytes).chain(segments.concat()).collect()
    }

    #[test]
    fn runs_and_literals_of_32_bits() {
        // 257 − 254 = 3 times the same; 1 + 1 literals.
        let packed: [&[u8]; 4] = [&[254, 1, 0, 9], &[128, 3, 1, 2, 3, 4], &[253, 7], &[1, 5, 6, 1, 7, 8]];
        let decoded = decode(&frame(&packed), &monochrome(2, 2, 32, 32)).unwrap();
        assert_eq!(decoded.samples, [5, 7, 1, 1, 6, 7, 2, 1, 7, 7, 3, 1, 8, 7, 4, 9]);
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let layout = monochrome(2, 2, 8, 8);
        assert!(decode(&frame(&[&[2, 1, 2, 3]]), &layout).is_err());
        assert!(decode(&frame(&[&[3, 1, 2, 3, 4], &[]]), &layout).is_err());
        assert!(decode(&[0; 63], &layout).is_err());
        let mut outside = frame(&[&[3, 1, 2, 3, 4]]);
        assert!(decode(&outside, &layout).is_ok());
        outside[4] = 200;
        assert!(decode(&outside, &layout).is_err());
        outside[4] = 0;
        assert!(decode(&outside, &layout).is_err());
    }
}
