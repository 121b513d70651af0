//! Colour: red, green and blue in eight bits, from whatever the samples are (PS3.3 C.7.6.3.1.2).

use clavicle_dicom::layout::PhotometricInterpretation;

use super::palette::Palette;
use super::stored::{Samples, Stored};

/// Pixels of three samples. `None` where samples are not whole numbers.
pub(super) fn pixels(samples: Samples<'_>, stored: Stored, photometric: PhotometricInterpretation) -> Option<Vec<u8>> {
    let bits = stored.bits();
    let mut rgb = match samples {
        Samples::Eight(samples) if bits == 8 => samples.to_vec(),
        Samples::Eight(_) | Samples::Sixteen(_) | Samples::ThirtyTwo(_) => {
            // To 255 in all cases, rather than to the upper bits, which would darken what has fewer.
            let most = ((1_u64 << bits) - 1) as f64;
            let (least, _) = stored.range();
            let mut scaled = Vec::new();
            samples.for_each(stored, |value| scaled.push(((value - least as f64) * 255.0 / most).round() as u8));
            scaled
        }
        Samples::Float(_) | Samples::Double(_) => return None,
    };
    if matches!(photometric, PhotometricInterpretation::YbrFull | PhotometricInterpretation::YbrFull422) {
        rgb.as_chunks_mut::<3>().0.iter_mut().for_each(from_ybr);
    }
    Some(rgb)
}

fn from_ybr(pixel: &mut [u8; 3]) {
    let [y, blue, red] = pixel.map(f32::from);
    let (blue, red) = (blue - 128.0, red - 128.0);
    let rgb = [y + 1.402 * red, y - 0.344_136 * blue - 0.714_136 * red, y + 1.772 * blue];
    *pixel = rgb.map(|sample| sample.round() as u8);
}

/// Pixels of one sample that picks a colour. `None` where samples are not whole numbers.
pub(super) fn paletted(samples: Samples<'_>, stored: Stored, palette: &Palette) -> Option<Vec<u8>> {
    if matches!(samples, Samples::Float(_) | Samples::Double(_)) {
        return None;
    }
    let mut rgb = Vec::new();
    samples.for_each(stored, |value| rgb.extend_from_slice(&palette.colour(value as i64)));
    Some(rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_stays_grey_and_red_becomes_red() {
        let mut pixel = [77, 128, 128];
        from_ybr(&mut pixel);
        assert_eq!(pixel, [77, 77, 77]);
        let mut red = [76, 85, 255];
        from_ybr(&mut red);
        assert_eq!(red, [254, 0, 0]);
    }
}
