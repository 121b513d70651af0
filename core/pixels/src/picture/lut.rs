//! Lookup tables, as a data set has them (PS3.3 C.11.1.1.1).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::frames::Attributes;

/// A table from whole numbers to whole numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lut {
    /// The number that the first entry is for. Those below have it too, and those beyond the last have the last.
    pub first: i32,
    /// Of so many bits are the entries.
    pub bits: u16,
    /// At least one.
    pub entries: Vec<u16>,
}

impl Lut {
    /// Reads a table from an item. `signed` says how the first number is to be read. `None` if there is none, or none that makes sense.
    pub(super) fn of(item: Attributes<'_>, signed: bool) -> Option<Self> {
        let entries = item.words(tags::LUT_DATA);
        let (count, first, bits) = descriptor(item, tags::LUT_DESCRIPTOR, signed)?;
        // Tables of eight bits are packed by some, two entries to a word (C.11.1.1.1).
        let entries = if bits <= 8 && entries.len() < count {
            entries.iter().flat_map(|word| word.to_le_bytes()).map(u16::from).take(count).collect()
        } else {
            entries
        };
        Self { first, bits, entries }.cut(count)
    }

    fn cut(mut self, count: usize) -> Option<Self> {
        self.entries.truncate(count);
        (self.entries.len() == count).then_some(self)
    }

    /// The entry of a number.
    #[must_use]
    pub fn entry(&self, number: f64) -> u16 {
        // Between two entries, the nearer counts. The cast cuts off at both ends.
        let at = (number.round() - f64::from(self.first)).max(0.0) as usize;
        self.entries[at.min(self.entries.len() - 1)]
    }

    /// The highest entry that the bits allow.
    #[must_use]
    pub fn most(&self) -> f64 {
        f64::from((1_u32 << self.bits) - 1)
    }
}

/// A descriptor: how many entries, for which number the first, of how many bits.
fn descriptor(item: Attributes<'_>, tag: Tag, signed: bool) -> Option<(usize, i32, u16)> {
    let [count, first, bits] = *item.words(tag).first_chunk()?;
    let count = if count == 0 { 1 << 16 } else { usize::from(count) };
    let first = if signed { i32::from(first.cast_signed()) } else { i32::from(first) };
    (1..=16).contains(&bits).then_some((count, first, bits))
}
