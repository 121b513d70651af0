//! What a data set says of its pixels: the Image Pixel Module (PS3.3 C.7.6.3).

use std::fmt;

/// Most bytes that one decoded frame may take. The largest film is 60 MB, the largest tile of a slide a few.
pub const MAX_FRAME: u64 = 256 << 20;

/// Photometric Interpretation (0028,0004): what the samples of a pixel mean (PS3.3 C.7.6.3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhotometricInterpretation {
    /// One sample; the lowest is white.
    Monochrome1,
    /// One sample; the lowest is black.
    Monochrome2,
    /// One sample, which picks a colour of the palette.
    PaletteColor,
    /// Red, green, blue.
    Rgb,
    /// Luminance and two colour differences, full range.
    YbrFull,
    /// The same with half the colour differences in each row.
    YbrFull422,
    /// The same in part of the range, with a quarter of the colour differences; only in films.
    YbrPartial420,
    /// The irreversible colour transform of JPEG 2000.
    YbrIct,
    /// The reversible one.
    YbrRct,
    /// The colours of JPEG XL.
    Xyb,
}

impl PhotometricInterpretation {
    const TERMS: [(&'static str, Self); 10] = [
        ("MONOCHROME1", Self::Monochrome1),
        ("MONOCHROME2", Self::Monochrome2),
        ("PALETTE COLOR", Self::PaletteColor),
        ("RGB", Self::Rgb),
        ("YBR_FULL", Self::YbrFull),
        ("YBR_FULL_422", Self::YbrFull422),
        ("YBR_PARTIAL_420", Self::YbrPartial420),
        ("YBR_ICT", Self::YbrIct),
        ("YBR_RCT", Self::YbrRct),
        ("XYB", Self::Xyb),
    ];

    /// The defined term, if it is one.
    #[must_use]
    pub fn of_term(term: &str) -> Option<Self> {
        let term = term.trim_matches([' ', '\0']);
        Self::TERMS.iter().find(|(known, _)| *known == term).map(|(_, photometric)| *photometric)
    }

    /// Its defined term.
    #[must_use]
    pub fn term(self) -> &'static str {
        let found = Self::TERMS.iter().find(|(_, photometric)| *photometric == self);
        found.map_or("", |(term, _)| *term)
    }

    /// Whether it has one sample per pixel.
    #[must_use]
    pub const fn is_of_one_sample(self) -> bool {
        matches!(self, Self::Monochrome1 | Self::Monochrome2 | Self::PaletteColor)
    }
}

impl fmt::Display for PhotometricInterpretation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.term())
    }
}

/// A frame, decoded.
///
/// The samples of a pixel follow one another (Planar Configuration 0), each in little endian and in as many bytes as its bits allocated
/// need. A frame of one bit a sample is unpacked into bytes of 0 and 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Rows × columns × samples per pixel × bytes per sample.
    pub samples: Vec<u8>,
    /// 8, 16, 32 or 64: those of the layout, with 8 in place of 1.
    pub bits_allocated: u16,
    /// What the samples mean now: RGB where the codestream had a colour transform of its own, which is then undone.
    pub photometric: PhotometricInterpretation,
}

/// Why pixels cannot be as a data set says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Rows or columns are 0.
    #[error("an image of {columns} columns and {rows} rows has no pixels")]
    Empty {
        /// Rows (0028,0010).
        rows: u16,
        /// Columns (0028,0011).
        columns: u16,
    },
    /// Beyond [`MAX_FRAME`].
    #[error("one frame of it would take {0} bytes, which no image of a patient does")]
    TooLarge(u64),
    /// Neither 1 nor 3.
    #[error("{0} samples per pixel are not what the standard has")]
    Samples(u16),
    /// Bits Allocated, Bits Stored and High Bit do not go together.
    #[error("{stored} bits that end at bit {high} do not lie within {allocated}")]
    Bits {
        /// Bits Allocated (0028,0100).
        allocated: u16,
        /// Bits Stored (0028,0101).
        stored: u16,
        /// High Bit (0028,0102).
        high: u16,
    },
    /// Photometric Interpretation does not go with Samples per Pixel.
    #[error("{0} is not how an image of this many samples per pixel is written")]
    Photometric(PhotometricInterpretation),
}

/// What the data set says of a frame's pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Rows (0028,0010).
    pub rows: u16,
    /// Columns (0028,0011).
    pub columns: u16,
    /// Samples per Pixel (0028,0002).
    pub samples_per_pixel: u16,
    /// Bits Allocated (0028,0100): 1, 8, 16, 32, or 64 for numbers with a fraction.
    pub bits_allocated: u16,
    /// Bits Stored (0028,0101).
    pub bits_stored: u16,
    /// High Bit (0028,0102).
    pub high_bit: u16,
    /// Pixel Representation (0028,0103): whether samples are two's complement.
    pub signed: bool,
    /// Photometric Interpretation (0028,0004).
    pub photometric: PhotometricInterpretation,
    /// Planar Configuration (0028,0006): whether all of one sample come before all of the next.
    pub planar: bool,
}

impl Layout {
    /// Holds the layout against the standard.
    ///
    /// # Errors
    /// When it is none that an image can have.
    pub fn check(&self) -> Result<(), LayoutError> {
        let Self { rows, columns, samples_per_pixel, bits_allocated, bits_stored, high_bit, photometric, .. } = *self;
        if rows == 0 || columns == 0 {
            return Err(LayoutError::Empty { rows, columns });
        }
        // Four were those of the retired ARGB and CMYK, of which no meaning is left.
        if !matches!(samples_per_pixel, 1 | 3) {
            return Err(LayoutError::Samples(samples_per_pixel));
        }
        if photometric.is_of_one_sample() != (samples_per_pixel == 1) {
            return Err(LayoutError::Photometric(photometric));
        }
        let fits = matches!(bits_allocated, 1 | 8 | 16 | 32 | 64)
            && (1..=bits_allocated).contains(&bits_stored)
            && high_bit < bits_allocated
            && high_bit + 1 >= bits_stored;
        if !fits {
            return Err(LayoutError::Bits { allocated: bits_allocated, stored: bits_stored, high: high_bit });
        }
        let len = u64::from(rows) * u64::from(columns) * u64::from(samples_per_pixel);
        let len = len * u64::from(bits_allocated.div_ceil(8));
        if len > MAX_FRAME { Err(LayoutError::TooLarge(len)) } else { Ok(()) }
    }

    /// Pixels of a frame.
    #[must_use]
    pub fn pixels(&self) -> usize {
        usize::from(self.rows) * usize::from(self.columns)
    }

    /// Samples of a frame.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pixels() * usize::from(self.samples_per_pixel)
    }

    /// Bytes of a sample once decoded.
    #[must_use]
    pub fn bytes_per_sample(&self) -> usize {
        usize::from(self.bits_allocated.div_ceil(8))
    }

    /// Bytes of a frame once decoded.
    #[must_use]
    pub fn decoded_len(&self) -> usize {
        self.count() * self.bytes_per_sample()
    }

    /// Bits of a native frame, which need not fill its last byte (PS3.5 §8.1.1). Of YBR_FULL_422, two pixels share their colour differences.
    #[must_use]
    pub fn native_bits(&self) -> u64 {
        let count = if self.photometric == PhotometricInterpretation::YbrFull422 {
            2 * self.pixels() as u64
        } else {
            self.count() as u64
        };
        count * u64::from(self.bits_allocated)
    }

    /// Bits of a sample once decoded.
    #[must_use]
    pub const fn decoded_bits(&self) -> u16 {
        if self.bits_allocated == 1 { 8 } else { self.bits_allocated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn monochrome(rows: u16, columns: u16, bits_allocated: u16, bits_stored: u16) -> Layout {
        Layout {
            rows,
            columns,
            samples_per_pixel: 1,
            bits_allocated,
            bits_stored,
            high_bit: bits_stored - 1,
            signed: false,
            photometric: PhotometricInterpretation::Monochrome2,
            planar: false,
        }
    }

    #[test]
    fn what_no_image_has_is_refused() {
        let good = monochrome(4, 4, 16, 12);
        assert_eq!(good.check(), Ok(()));
        for bad in [
            Layout { rows: 0, ..good.clone() },
            Layout { samples_per_pixel: 2, ..good.clone() },
            Layout { samples_per_pixel: 3, ..good.clone() },
            Layout { bits_allocated: 12, ..good.clone() },
            Layout { bits_stored: 17, ..good.clone() },
            Layout { bits_stored: 0, ..good.clone() },
            Layout { high_bit: 10, ..good.clone() },
            Layout { high_bit: 16, ..good.clone() },
            Layout { rows: u16::MAX, columns: u16::MAX, ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn terms_are_those_of_the_standard() {
        for (term, photometric) in PhotometricInterpretation::TERMS {
            assert_eq!(PhotometricInterpretation::of_term(term), Some(photometric));
            assert_eq!(photometric.to_string(), term);
        }
        assert_eq!(PhotometricInterpretation::of_term("RGB "), Some(PhotometricInterpretation::Rgb));
        assert_eq!(PhotometricInterpretation::of_term("ARGB"), None);
    }
}
