//! Stored values: what is left of a sample when the bits that do not belong to it are gone (PS3.5 §8.1.1).

use clavicle_dicom::layout::{Decoded, Layout};

use crate::frames::Numbers;

/// How the stored value lies within a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// Bits below it.
    below: u32,
    /// Its bits.
    bits: u32,
    signed: bool,
}

impl Stored {
    pub(super) fn of(layout: &Layout) -> Self {
        // Of one bit that was unpacked, one is stored. Overlays in the unused bits are retired, and gone with them.
        let (bits, high) = (u32::from(layout.bits_stored), u32::from(layout.high_bit));
        Self { below: high + 1 - bits, bits, signed: layout.signed && layout.bits_allocated > 1 }
    }

    /// How many bits.
    pub(super) const fn bits(self) -> u32 {
        self.bits
    }

    /// The number of a sample among all there can be, without its sign.
    #[inline]
    pub(super) const fn index(self, sample: u32) -> u32 {
        let sample = sample >> self.below;
        if self.bits < 32 { sample & ((1 << self.bits) - 1) } else { sample }
    }

    /// The value of such a number.
    #[inline]
    pub(super) const fn value(self, index: u32) -> i64 {
        if self.signed {
            let unused = 64 - self.bits;
            ((index as u64) << unused).cast_signed() >> unused
        } else {
            index as i64
        }
    }

    /// The least and the largest value there can be.
    pub(super) fn range(self) -> (i64, i64) {
        let count = 1_i64 << self.bits;
        if self.signed { (-count / 2, count / 2 - 1) } else { (0, count - 1) }
    }
}

/// The samples of a frame, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Samples<'a> {
    Eight(&'a [u8]),
    Sixteen(&'a [[u8; 2]]),
    ThirtyTwo(&'a [[u8; 4]]),
    Float(&'a [[u8; 4]]),
    Double(&'a [[u8; 8]]),
}

impl<'a> Samples<'a> {
    /// `None` of whole numbers of 64 bits, which no image has.
    pub(super) fn of(decoded: &'a Decoded, numbers: Numbers) -> Option<Self> {
        let bytes = decoded.samples.as_slice();
        Some(match (numbers, decoded.bits_allocated) {
            (Numbers::Whole, 8) => Self::Eight(bytes),
            (Numbers::Whole, 16) => Self::Sixteen(bytes.as_chunks().0),
            (Numbers::Whole, 32) => Self::ThirtyTwo(bytes.as_chunks().0),
            (Numbers::Float, 32) => Self::Float(bytes.as_chunks().0),
            (Numbers::Double, 64) => Self::Double(bytes.as_chunks().0),
            _ => return None,
        })
    }

    /// The value of each.
    pub(super) fn for_each(self, stored: Stored, mut each: impl FnMut(f64)) {
        let mut whole = |sample: u32| each(stored.value(stored.index(sample)) as f64);
        match self {
            Self::Eight(samples) => samples.iter().for_each(|sample| whole((*sample).into())),
            Self::Sixteen(samples) => samples.iter().for_each(|sample| whole(u16::from_le_bytes(*sample).into())),
            Self::ThirtyTwo(samples) => samples.iter().for_each(|sample| whole(u32::from_le_bytes(*sample))),
            Self::Float(samples) => samples.iter().for_each(|sample| each(f32::from_le_bytes(*sample).into())),
            Self::Double(samples) => samples.iter().for_each(|sample| each(f64::from_le_bytes(*sample))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_outside_do_not_count() {
        let twelve = Stored { below: 2, bits: 12, signed: true };
        assert_eq!(twelve.value(twelve.index(0xffff)), -1);
        assert_eq!(twelve.value(twelve.index(0b0001_1111_1111_1111)), 2047);
        assert_eq!(twelve.range(), (-2048, 2047));
        let all = Stored { below: 0, bits: 32, signed: false };
        assert_eq!((all.value(all.index(u32::MAX)), all.range()), (4_294_967_295, (0, 4_294_967_295)));
    }
}
