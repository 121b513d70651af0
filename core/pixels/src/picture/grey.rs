//! Grey: from stored values through modality and VOI to shades (PS3.4 N.2, PS3.3 C.7.6.3.1.2).

use clavicle_dicom::layout::Layout;
use dicom_dictionary_std::tags;

use super::modality::Modality;
use super::stored::{Samples, Stored};
use super::voi::{Voi, Window};
use crate::frames::Attributes;

/// Stored values up to so many bits go through one table of all shades.
const TABLE_BITS: u32 = 16;
/// What part of the pixels may lie outside an automatic window, at each end.
const OUTSIDE: f64 = 0.005;

/// Values that stand for no pixel: Pixel Padding Value (0028,0120), and as far as its limit (0028,0121) (PS3.3 C.7.5.1.1.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Padding {
    least: f64,
    most: f64,
}

impl Padding {
    pub(super) fn of(attributes: Attributes<'_>, layout: &Layout) -> Option<Self> {
        let read = |tag| {
            let word = attributes.word(tag)?;
            Some(if layout.signed { f64::from(word.cast_signed()) } else { f64::from(word) })
        };
        let value = read(tags::PIXEL_PADDING_VALUE)?;
        let limit = read(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value);
        Some(Self { least: value.min(limit), most: value.max(limit) })
    }

    fn contains(self, stored: f64) -> bool {
        (self.least..=self.most).contains(&stored)
    }
}

/// Everything that makes a shade of a stored value.
#[derive(Debug)]
pub(super) struct Grey<'a> {
    pub(super) stored: Stored,
    pub(super) padding: Option<Padding>,
    pub(super) modality: &'a Modality,
    /// Whether the least value is white: MONOCHROME1, of which Presentation LUT Shape can only say the same (PS3.3 C.11.6.1.2).
    pub(super) inverse: bool,
}

impl Grey<'_> {
    /// The shade of a stored value. What is no pixel is black, however the image is read.
    fn shade(&self, voi: &Voi, stored: f64) -> u8 {
        if self.padding.is_some_and(|padding| padding.contains(stored)) || stored.is_nan() {
            return 0;
        }
        let shade = voi.shade(self.modality.apply(stored));
        let shade = if self.inverse { 1.0 - shade } else { shade };
        (shade * 255.0).round() as u8
    }

    /// All shades.
    pub(super) fn shades(&self, samples: Samples<'_>, voi: &Voi) -> Vec<u8> {
        let stored = self.stored;
        if stored.bits() > TABLE_BITS || matches!(samples, Samples::Float(_) | Samples::Double(_)) {
            let mut shades = Vec::new();
            samples.for_each(stored, |value| shades.push(self.shade(voi, value)));
            return shades;
        }
        let table: Vec<u8> =
            (0..1_u32 << stored.bits()).map(|index| self.shade(voi, stored.value(index) as f64)).collect();
        // It has as many entries as there are numbers.
        let shade = |sample: u32| table.get(stored.index(sample) as usize).copied().unwrap_or(0);
        match samples {
            Samples::Eight(samples) => samples.iter().map(|sample| shade((*sample).into())).collect(),
            Samples::Sixteen(samples) => {
                samples.iter().map(|sample| shade(u16::from_le_bytes(*sample).into())).collect()
            }
            Samples::ThirtyTwo(samples) => samples.iter().map(|sample| shade(u32::from_le_bytes(*sample))).collect(),
            Samples::Float(_) | Samples::Double(_) => Vec::new(),
        }
    }

    /// A window for an image that has none: around what most pixels are. Of eight bits it is all of them, as they were meant to be seen.
    pub(super) fn automatic(&self, samples: Samples<'_>) -> Window {
        let is_whole = !matches!(samples, Samples::Float(_) | Samples::Double(_));
        if is_whole && self.stored.bits() <= 8 && self.padding.is_none() {
            let (least, most) = self.stored.range();
            let (least, most) = self.modality.range(least as f64, most as f64);
            return Window::between(least, most);
        }
        self.fitted(samples)
    }

    fn fitted(&self, samples: Samples<'_>) -> Window {
        let (mut least, mut most, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0_u32);
        let mut each = |value: f64| {
            if value.is_finite() && !self.padding.is_some_and(|padding| padding.contains(value)) {
                (least, most, count) = (least.min(value), most.max(value), count + 1);
            }
        };
        samples.for_each(self.stored, &mut each);
        if count == 0 {
            return Window::between(0.0, 1.0);
        }
        let (least, most) = self.inner(samples, least, most, count);
        let (least, most) = self.modality.range(least, most);
        Window::between(least, most)
    }

    /// Without the outermost pixels at either end, unless these are all there is.
    fn inner(&self, samples: Samples<'_>, least: f64, most: f64, count: u32) -> (f64, f64) {
        const BINS: usize = 4096;
        let mut bins = vec![0_u32; BINS];
        let scale = (BINS - 1) as f64 / (most - least);
        if !scale.is_finite() {
            return (least, most);
        }
        samples.for_each(self.stored, |value| {
            if (least..=most).contains(&value) && !self.padding.is_some_and(|padding| padding.contains(value)) {
                bins[(((value - least) * scale) as usize).min(BINS - 1)] += 1;
            }
        });
        let outside = f64::from(count) * OUTSIDE;
        let low = beyond(bins.iter(), outside).unwrap_or(0);
        let high = beyond(bins.iter().rev(), outside).map_or(BINS - 1, |bin| BINS - 1 - bin);
        if low < high { (least + low as f64 / scale, least + high as f64 / scale) } else { (least, most) }
    }
}

/// The first place up to which the counts add up to more than `outside`.
fn beyond<'a>(counts: impl Iterator<Item = &'a u32>, outside: f64) -> Option<usize> {
    let mut sum = 0.0;
    counts.enumerate().find_map(|(place, count)| {
        sum += f64::from(*count);
        (sum > outside).then_some(place)
    })
}
