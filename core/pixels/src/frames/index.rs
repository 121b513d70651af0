//! The index: which fragments make up which frame (PS3.5 §A.4).

use std::ops::Range;

use clavicle_dicom::scanned::Span;
use clavicle_dicom::syntax::Codec;
use dicom_dictionary_std::tags;

use super::attributes::Attributes;

/// For each frame, its fragments; of its bytes, as many as the extended offset table says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index {
    frames: Vec<Range<usize>>,
    lengths: Vec<u64>,
}

impl Index {
    /// By what is most trustworthy: offsets that lead to fragments, one fragment a frame, one frame of all, and last how a fragment
    /// begins, which `begins` tells. Where none of that gives as many frames as are `said`, those count that can be told apart in
    /// the same ways. `None` when it stays unclear.
    pub(super) fn new(
        attributes: Attributes<'_>,
        offsets: &[u8],
        fragments: &[Span],
        said: usize,
        mut begins: impl FnMut(&Span) -> bool,
    ) -> Option<Self> {
        let extended = attributes.bytes(tags::EXTENDED_OFFSET_TABLE).unwrap_or_default();
        let (extended, _) = extended.as_chunks::<8>();
        let by_extended = by_offsets(extended.iter().map(|eight| u64::from_le_bytes(*eight)), fragments);
        let (basic, _) = offsets.as_chunks::<4>();
        let by_basic = by_offsets(basic.iter().map(|four| u32::from_le_bytes(*four).into()), fragments);
        let is_as_said =
            |frames: &Option<Vec<Range<usize>>>| frames.as_ref().is_some_and(|frames| frames.len() == said);
        if is_as_said(&by_extended) || by_basic.is_none() && fragments.len() != said && by_extended.is_some() {
            let lengths = attributes.bytes(tags::EXTENDED_OFFSET_TABLE_LENGTHS).unwrap_or_default();
            let (lengths, _) = lengths.as_chunks::<8>();
            let lengths = lengths.iter().map(|eight| u64::from_le_bytes(*eight)).collect();
            return Some(Self { frames: by_extended?, lengths });
        }
        let frames = if is_as_said(&by_basic) {
            by_basic?
        } else if fragments.len() == said {
            (0..said).map(|one| one..one + 1).collect()
        } else if let Some(several) = by_basic.filter(|frames| frames.len() > 1) {
            several
        } else {
            let starts: Vec<usize> =
                fragments.iter().enumerate().filter(|(_, one)| begins(one)).map(|(number, _)| number).collect();
            match starts.as_slice() {
                [0, _, ..] => between(&starts, fragments.len()),
                // More than one fragment, although there is but one frame.
                _ if said == 1 && !fragments.is_empty() => between(&[0], fragments.len()),
                [0] => between(&starts, fragments.len()),
                _ => return None,
            }
        };
        Some(Self { frames, lengths: Vec::new() })
    }

    /// How many frames there are.
    pub(super) const fn count(&self) -> usize {
        self.frames.len()
    }

    /// The fragments of a frame, and how many of their bytes count.
    pub(super) fn frame(&self, frame: usize) -> Option<(Range<usize>, Option<u64>)> {
        Some((self.frames.get(frame)?.clone(), self.lengths.get(frame).copied()))
    }
}

/// Offsets count from the first fragment's item to that of a frame's first.
fn by_offsets(offsets: impl Iterator<Item = u64>, fragments: &[Span]) -> Option<Vec<Range<usize>>> {
    let first = fragments.first()?.at;
    let starts: Vec<usize> = offsets
        .map(|offset| fragments.binary_search_by_key(&offset, |fragment| fragment.at - first).ok())
        .collect::<Option<_>>()?;
    let ascending = starts.first() == Some(&0) && starts.is_sorted_by(|one, next| one < next);
    ascending.then(|| between(&starts, fragments.len()))
}

fn between(starts: &[usize], end: usize) -> Vec<Range<usize>> {
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Whether these are the first bytes of a codestream; of RLE, which has segments for each of `bytes` bytes of a pixel.
pub(super) fn begins(codec: Codec, start: [u8; 8], bytes: u32) -> bool {
    let [first, second] = [0, 4].map(|at| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]));
    match codec {
        // How many segments, and where the first one begins: behind the header (PS3.5 §G.5).
        Codec::Rle => first == bytes && second == 64,
        Codec::Jpeg | Codec::JpegLs => start.starts_with(&[0xff, 0xd8, 0xff]),
        Codec::Jpeg2000 | Codec::HighThroughputJpeg2000 => {
            start.starts_with(&[0xff, 0x4f, 0xff, 0x51]) || start.starts_with(&[0, 0, 0, 12])
        }
        Codec::JpegXl => start.starts_with(&[0xff, 0x0a]) || start.starts_with(&[0, 0, 0, 12]),
        // Films have no frames of their own, and what is deflated says nothing of where it begins.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::DataSet;
    use super::*;
    use clavicle_dicom::encoding::Encoding;

    fn index(extended: &[u64], basic: &[u32], lens: &[u64], count: usize, starts: &[u8]) -> Option<Vec<Range<usize>>> {
        let mut bytes = Vec::new();
        if !extended.is_empty() {
            let value: Vec<u8> = extended.iter().flat_map(|offset| offset.to_le_bytes()).collect();
            bytes.extend_from_slice(b"\xe0\x7f\x01\x00OV\0\0");
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&value);
        }
        let set = DataSet::read(bytes, Encoding::ExplicitLittle).unwrap();
        let offsets: Vec<u8> = basic.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        let mut at = 1_000;
        let mut fragments = Vec::new();
        for len in lens {
            fragments.push(Span { at, len: *len });
            at += len + 8;
        }
        let starts = |fragment: &Span| {
            let number = fragments.iter().position(|one| one == fragment).unwrap();
            let start = if starts.contains(&(number as u8)) { [0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0] } else { [0; 8] };
            begins(Codec::Jpeg, start, 1)
        };
        Some(Index::new(set.attributes(), &offsets, &fragments, count, starts)?.frames)
    }

    #[test]
    fn frames_are_found_in_each_way() {
        let lens = [10, 20, 30];
        assert_eq!(index(&[0, 46], &[], &lens, 2, &[]), Some(vec![0..2, 2..3]));
        assert_eq!(index(&[], &[0, 18], &lens, 2, &[]), Some(vec![0..1, 1..3]));
        assert_eq!(index(&[], &[], &lens, 3, &[]), Some(vec![0..1, 1..2, 2..3]));
        assert_eq!(index(&[], &[], &lens, 1, &[]), Some(between(&[0], 3)));
        assert_eq!(index(&[], &[], &lens, 2, &[0, 2]), Some(vec![0..2, 2..3]));
        // Offsets that lead nowhere count for nothing.
        assert_eq!(index(&[0, 45], &[0, 17], &lens, 2, &[0, 2]), Some(vec![0..2, 2..3]));
        assert_eq!(index(&[], &[0, 17], &lens, 2, &[]), None);
        assert_eq!(index(&[], &[], &[], 1, &[]), None);
    }
}
