//! Palettes: three tables that give a colour to a number (PS3.3 C.7.9).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::frames::Attributes;

/// Red, green and blue, each in eight bits.
#[derive(Debug)]
pub(super) struct Palette {
    tables: [Table; 3],
    is_uncertain: bool,
}

/// The entries of one colour, and the number that the first is for.
#[derive(Debug)]
struct Table {
    first: i32,
    entries: Vec<u8>,
}

/// A table as it is written.
struct Written {
    first: i32,
    count: usize,
    bits: u16,
    entries: Entries,
    /// It has not as many entries as it says.
    disagrees: bool,
}

enum Entries {
    /// A byte each.
    Packed(Vec<u8>),
    /// 16 bits each, in whichever of them the value is.
    Wide(Vec<u16>),
}

/// Where in 16 bits a colour's eight are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bits {
    Low,
    High,
    /// So many bits higher than the lowest.
    Above(u32),
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
        let mut written = Vec::new();
        for table in TABLES {
            written.push(Written::of(attributes, table, signed)?);
        }
        let [red, _, _] = written.as_slice() else { return None };
        let differ = written.iter().any(|one| (one.first, one.count, one.bits) != (red.first, red.count, red.bits));
        let mut is_uncertain = differ || written.iter().any(|one| one.disagrees);
        // Together: of a colour that is dark throughout nothing can be told by itself.
        let wide = || {
            written.iter().flat_map(|one| match &one.entries {
                Entries::Wide(words) => words.as_slice(),
                Entries::Packed(_) => &[],
            })
        };
        let most = wide().copied().max().unwrap_or(0);
        let (place, is_clear) = match red.bits {
            // Some write 16 bits and mean 8.
            16 if most <= 255 => (Bits::Low, true),
            16 => (Bits::High, true),
            8 if most <= 255 => (Bits::Low, true),
            // Some write 8 and have them in the upper half, or in both.
            8 => (Bits::High, wide().all(|word| word & 0xff == 0) || wide().all(|word| word >> 8 == word & 0xff)),
            // What the standard does not have.
            bits @ 9..16 if u32::from(most) < 1 << bits => (Bits::Above(u32::from(bits) - 8), false),
            _ => (if most > 255 { Bits::High } else { Bits::Low }, false),
        };
        is_uncertain |= !is_clear;
        let mut tables =
            written.into_iter().map(|one| Table { first: one.first, entries: one.entries.in_eight(place) });
        let tables = [tables.next()?, tables.next()?, tables.next()?];
        Some(Self { tables, is_uncertain })
    }

    /// Whether the tables and what is said of them disagree so that the colours may be other ones.
    pub(super) const fn is_uncertain(&self) -> bool {
        self.is_uncertain
    }

    /// The colour of a stored value. Values beyond either end have that of the end.
    pub(super) fn colour(&self, stored: i64) -> [u8; 3] {
        [0, 1, 2].map(|colour| {
            let Table { first, entries } = &self.tables[colour];
            let at = usize::try_from(stored - i64::from(*first)).unwrap_or(0);
            entries[at.min(entries.len() - 1)]
        })
    }
}

impl Written {
    fn of(attributes: Attributes<'_>, (described, plain, segmented): (Tag, Tag, Tag), signed: bool) -> Option<Self> {
        let [count, first, bits] = *attributes.words(described).first_chunk()?;
        let count = if count == 0 { 1 << 16 } else { usize::from(count) };
        let first = if signed { i32::from(first.cast_signed()) } else { i32::from(first) };
        let (entries, disagrees) = match attributes.bytes(segmented) {
            Some(bytes) => segments(bytes, count, bits)?,
            None => entries(attributes.bytes(plain)?, count, bits)?,
        };
        Some(Self { first, count, bits, entries, disagrees })
    }
}

/// Entries that are written one after the other, and whether there are not as many as there should be.
fn entries(bytes: &[u8], count: usize, bits: u16) -> Option<(Entries, bool)> {
    let len = bytes.len();
    let words = |most: usize| {
        let (words, _) = bytes.as_chunks::<2>();
        Entries::Wide(words.iter().take(most).map(|word| u16::from_le_bytes(*word)).collect())
    };
    Some(match len {
        0 | 1 => return None,
        _ if len == 2 * count => (words(count), false),
        // Two to a word, the last perhaps with padding. There is nothing else that a byte for each can be.
        _ if len == count.next_multiple_of(2) || len == count => (Entries::Packed(bytes[..count].to_vec()), false),
        // More than are said: the first of them is still the first.
        _ if len > 2 * count => (words(1 << 16), true),
        // Fewer than are said.
        _ if bits == 8 => (Entries::Packed(bytes[..len.min(count)].to_vec()), true),
        _ => (words(count), true),
    })
}

/// Entries that are written in segments: of 16 bits each, or, where they have eight, of bytes.
fn segments(bytes: &[u8], count: usize, bits: u16) -> Option<(Entries, bool)> {
    let (words, _) = bytes.as_chunks::<2>();
    let words: Vec<u16> = words.iter().map(|word| u16::from_le_bytes(*word)).collect();
    let by_words = expand(&words, count, 2);
    let singles: Vec<u16> = bytes.iter().map(|byte| u16::from(*byte)).collect();
    let by_bytes = if bits > 8 { None } else { expand(&singles, count, 1) };
    match (by_words, by_bytes) {
        (Some(words), None) => Some((Entries::Wide(words), false)),
        (None, Some(bytes)) => Some((Entries::Wide(bytes), false)),
        (Some(words), Some(bytes)) => {
            let differ = words != bytes;
            Some((Entries::Wide(bytes), differ))
        }
        (None, None) => None,
    }
}

impl Entries {
    fn in_eight(self, place: Bits) -> Vec<u8> {
        let words = match self {
            Self::Packed(bytes) => return bytes,
            Self::Wide(words) => words,
        };
        let eight = |word: u16| match place {
            Bits::Low => word.to_le_bytes()[0],
            Bits::High => word.to_le_bytes()[1],
            Bits::Above(bits) => (word >> bits).to_le_bytes()[0],
        };
        words.into_iter().map(eight).collect()
    }
}

/// Segments become entries (PS3.3 C.7.9.2): these as they are, straight lines, and segments that were there before. A place of `words` has so many
/// bytes.
fn expand(words: &[u16], count: usize, bytes: usize) -> Option<Vec<u16>> {
    let mut entries = Vec::new();
    // In order.
    let mut starts = Vec::new();
    let mut at = 0;
    while at < words.len() && entries.len() < count {
        starts.push(at);
        at += match words.get(at)? {
            2 => {
                // Where the first of them begins, in bytes: four, or two words.
                let places = 4 / bytes;
                let segments = *words.get(at + 1)?;
                let offset = words.get(at + 2..at + 2 + places)?;
                let offset = offset.iter().rev().fold(0_u32, |all, one| all << (8 * bytes) | u32::from(*one));
                let mut from = usize::try_from(offset).ok()? / bytes;
                for _ in 0..segments {
                    // What is pointed at must have been there, and must not point on.
                    if starts.binary_search(&from).is_err() || from >= at {
                        return None;
                    }
                    from += segment(&words[from..], &mut entries, count)?;
                }
                2 + places
            }
            _ => segment(&words[at..], &mut entries, count)?,
        };
    }
    (entries.len() == count).then_some(entries)
}

/// One segment that is not indirect; gives how many words it has.
fn segment(words: &[u16], entries: &mut Vec<u16>, count: usize) -> Option<usize> {
    let (kind, len) = (words.first()?, usize::from(*words.get(1)?));
    // One of none says nothing, and any number of them could be pointed at any number of times.
    if len == 0 || entries.len() + len > count {
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
        assert_eq!(expand(&words, 8, 2).unwrap(), [5, 10, 20, 30, 40, 50, 5, 10]);
        assert_eq!(expand(&words, 9, 2), None);
        assert_eq!(expand(&words, 5, 2), None);
        // In bytes, the place of a segment takes four of them.
        assert_eq!(expand(&[0, 2, 5, 10, 1, 4, 50, 2, 1, 0, 0, 0, 0], 8, 1).unwrap(), [5, 10, 20, 30, 40, 50, 5, 10]);
        // Segments of nothing: 64 MB of them, pointed at 65,535 times each, kept a worker busy for hours.
        assert_eq!(expand(&[0, 0, 0, 1, 5], 1, 2), None);
        assert_eq!(expand(&[0, 1, 5, 1, 0, 9, 2, 2, 3, 0], 2, 2), None);
        // A line from nowhere, and a segment that points at itself.
        assert_eq!(expand(&[1, 4, 50], 4, 2), None);
        assert_eq!(expand(&[0, 1, 5, 2, 1, 6, 0], 4, 2), None);
    }
}
