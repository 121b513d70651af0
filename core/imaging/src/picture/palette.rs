//! Palettes: three tables that give a colour to a number (PS3.3 C.7.9).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::lut::descriptor;
use crate::frames::Attributes;

/// Red, green and blue, each in eight bits.
#[derive(Debug)]
pub(super) struct Palette {
    first: i32,
    colours: Vec<[u8; 3]>,
}

const TABLES: [(Tag, Tag, Tag); 3] = [
    (
        tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ),
    (
        tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ),
    (
        tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ),
];

impl Palette {
    /// `None` if there is none, or none that makes sense.
    pub(super) fn of(attributes: Attributes<'_>, signed: bool) -> Option<Self> {
        let mut tables = Vec::new();
        let mut first = 0;
        for (described, plain, segmented) in TABLES {
            let (count, begin, bits) = descriptor(attributes, described, signed)?;
            first = begin;
            tables.push(table(attributes, plain, segmented, count, bits)?);
        }
        let [red, green, blue] = tables.as_slice() else { return None };
        let colours = red.iter().zip(green).zip(blue).map(|((red, green), blue)| [*red, *green, *blue]).collect();
        Some(Self { first, colours })
    }

    /// The colour of a stored value. Values beyond either end have that of the end.
    pub(super) fn colour(&self, stored: i64) -> [u8; 3] {
        let at = usize::try_from(stored - i64::from(self.first)).unwrap_or(0);
        self.colours[at.min(self.colours.len() - 1)]
    }
}

fn table(attributes: Attributes<'_>, plain: Tag, segmented: Tag, count: usize, bits: u16) -> Option<Vec<u8>> {
    let words = if attributes.bytes(segmented).is_some() {
        expand(&attributes.words(segmented), count)?
    } else {
        let words = attributes.words(plain);
        // Entries of eight bits may be packed, two to a word.
        if words.len() < count && bits == 8 {
            words.iter().flat_map(|word| word.to_le_bytes()).map(u16::from).collect()
        } else {
            words
        }
    };
    let words = words.get(..count)?;
    // Some write 16 bits and mean 8.
    let is_wide = bits > 8 && words.iter().any(|word| *word > 255);
    Some(words.iter().map(|word| if is_wide { word.to_le_bytes()[1] } else { word.to_le_bytes()[0] }).collect())
}

/// Segments become entries (PS3.3 C.7.9.2): these as they are, straight lines, and segments that were there before.
fn expand(words: &[u16], count: usize) -> Option<Vec<u16>> {
    let mut entries = Vec::new();
    let mut starts = Vec::new();
    let mut at = 0;
    while at < words.len() && entries.len() < count {
        starts.push(at);
        at += match words.get(at)? {
            2 => {
                let [_, segments, low, high] = *words.get(at..)?.first_chunk()?;
                // Where the first of them begins, in bytes.
                let offset = (u32::from(high) << 16 | u32::from(low)) / 2;
                let mut from = usize::try_from(offset).ok()?;
                for _ in 0..segments {
                    // What is pointed at must have been there, and must not point on.
                    if !starts.contains(&from) || from >= at {
                        return None;
                    }
                    from += segment(&words[from..], &mut entries, count)?;
                }
                4
            }
            _ => segment(&words[at..], &mut entries, count)?,
        };
    }
    (entries.len() == count).then_some(entries)
}

/// One segment that is not indirect; gives how many words it has.
fn segment(words: &[u16], entries: &mut Vec<u16>, count: usize) -> Option<usize> {
    let (kind, len) = (words.first()?, usize::from(*words.get(1)?));
    if entries.len() + len > count {
        return None;
    }
    match kind {
        0 => {
            entries.extend_from_slice(words.get(2..2 + len)?);
            Some(2 + len)
        }
        1 => {
            let from = f64::from(*entries.last()?);
            let to = f64::from(*words.get(2)?);
            let step = |number: usize| (from + (to - from) * number as f64 / len as f64).round() as u16;
            entries.extend((1..=len).map(step));
            Some(3)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_become_entries() {
        // Two entries, a line of four to 50, and the first segment once more.
        let words = [0, 2, 5, 10, 1, 4, 50, 2, 1, 0, 0];
        assert_eq!(expand(&words, 8).unwrap(), [5, 10, 20, 30, 40, 50, 5, 10]);
        assert_eq!(expand(&words, 9), None);
        assert_eq!(expand(&words, 5), None);
        // A line from nowhere, and a segment that points at itself.
        assert_eq!(expand(&[1, 4, 50], 4), None);
        assert_eq!(expand(&[0, 1, 5, 2, 1, 6, 0], 4), None);
    }
}
