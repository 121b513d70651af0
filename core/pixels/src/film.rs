//! Films: whether one is all there, as far as what it is packed in tells. Its frames are never decoded here.
//!
//! DICOM packs films as MP4 or as an MPEG-2 transport stream, or not at all (PS3.5 §8.2.5 to §8.2.9). The boxes of an
//! MP4 say how long they are; packets of a transport stream are of one length; of what is not packed only MPEG-2 says
//! that it is at its end.

use std::io::{Read, Seek, SeekFrom};

use clavicle_dicom::scanned::Span;

/// Most boxes of an MP4 that are walked: one that is recorded in pieces has two for each.
const MAX_BOXES: usize = 1 << 16;
/// Bytes of a packet (ISO/IEC 13818-1 §2.4.3.2).
const PACKET: u64 = 188;
/// So many bytes at the end are looked at, of which all but the end may be padding.
const TAIL: u64 = 64;

/// What is to be said of a film's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilmEnd {
    /// It has not a single byte.
    Empty,
    /// It ends before it should.
    CutOff,
    /// It ends as it should.
    Whole,
    /// Nothing tells.
    Untold,
}

/// Looks how a film in these fragments ends.
pub(crate) fn end_of<S: Read + Seek>(source: &mut S, fragments: &[Span]) -> FilmEnd {
    let mut film = Film { source, fragments, len: fragments.iter().map(|fragment| fragment.len).sum() };
    if film.len == 0 {
        return FilmEnd::Empty;
    }
    let (Some(begin), Some(tail)) = (film.at::<8>(0), film.tail()) else { return FilmEnd::CutOff };
    if [b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide"].iter().any(|kind| begin.ends_with(*kind)) {
        return film.boxes();
    }
    if begin[0] == 0x47 && (film.len < PACKET || film.at::<1>(PACKET).is_none_or(|next| next[0] == 0x47)) {
        let rest = film.len % PACKET;
        let is_padding = rest == 1 && tail.last() == Some(&0);
        // The last packet may be the last of all, or not.
        return if rest == 0 || is_padding { FilmEnd::Untold } else { FilmEnd::CutOff };
    }
    // The end of a sequence, or of the program around it (ISO/IEC 13818-2 §6.2.1, 13818-1 §2.5.3.3).
    let ends = tail.windows(4).any(|code| matches!(code, [0, 0, 1, 0xb7 | 0xb9]));
    let is_mpeg2 = matches!(begin, [0, 0, 1, 0xb3 | 0xba, ..]);
    if is_mpeg2 && ends { FilmEnd::Whole } else { FilmEnd::Untold }
}

/// The fragments of a film, one behind the other.
struct Film<'a, S> {
    source: &'a mut S,
    fragments: &'a [Span],
    len: u64,
}

impl<S: Read + Seek> Film<'_, S> {
    /// Bytes from this place on; none where there are not as many.
    fn read(&mut self, mut from: u64, mut into: &mut [u8]) -> Option<()> {
        for fragment in self.fragments {
            if from >= fragment.len {
                from -= fragment.len;
                continue;
            }
            let now = usize::try_from(fragment.len - from).unwrap_or(usize::MAX).min(into.len());
            let (head, rest) = into.split_at_mut(now);
            self.source.seek(SeekFrom::Start(fragment.at + from)).ok()?;
            self.source.read_exact(head).ok()?;
            (into, from) = (rest, 0);
            if into.is_empty() {
                return Some(());
            }
        }
        into.is_empty().then_some(())
    }

    fn at<const N: usize>(&mut self, from: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read(from, &mut bytes).map(|()| bytes)
    }

    fn tail(&mut self) -> Option<Vec<u8>> {
        let len = self.len.min(TAIL);
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.read(self.len - len, &mut bytes).map(|()| bytes)
    }

    /// Walks the boxes of an MP4 (ISO/IEC 14496-12 §4.2): an index and data there must be, and the last must be whole.
    fn boxes(&mut self) -> FilmEnd {
        let (mut at, mut has_index, mut has_data) = (0u64, false, false);
        for _ in 0..MAX_BOXES {
            let Some(head) =
                self.at::<8>(at).filter(|head| head[4..].iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '))
            else {
                // What is left is padding, or the beginning of a box.
                let left = self.len - at;
                let mut rest = vec![0; usize::try_from(left.min(TAIL)).unwrap_or_default()];
                let is_padding = left < 8 && self.read(at, &mut rest).is_some() && rest.iter().all(|byte| *byte == 0);
                let is_whole = is_padding && has_index && has_data;
                return if is_whole { FilmEnd::Whole } else { FilmEnd::CutOff };
            };
            has_index |= head.ends_with(b"moov");
            has_data |= head.ends_with(b"mdat");
            let [a, b, c, d, ..] = head;
            let len = match u32::from_be_bytes([a, b, c, d]) {
                // As far as all goes.
                0 => self.len - at,
                1 => match self.at::<8>(at + 8) {
                    Some(len) => u64::from_be_bytes(len),
                    None => return FilmEnd::CutOff,
                },
                len => len.into(),
            };
            match at.checked_add(len.max(8)) {
                Some(next) if next < self.len => at = next,
                Some(next) if next == self.len && has_index && has_data => return FilmEnd::Whole,
                _ => return FilmEnd::CutOff,
            }
        }
        FilmEnd::Untold
    }
}
