//! What stands behind the pixels and is no part of the data set: junk that disks and programs leave there.
//!
//! Pixels that are whole are shown by every reader, whatever follows them. So what cannot be walked behind them is passed over, and said;
//! unless a reader that goes on in it, as pydicom does, would find there what says something else of the image.

use std::io::{Cursor, Read, Seek};

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::head::Head;
use super::input::Input;
use super::kept::KEPT;
use super::{End, Scan};
use crate::encoding::{Encoding, ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM, UNDEFINED, has_short_length};
use crate::repair::Repair;
use crate::scanned::{Kept, Pixels};
use crate::unreadable::Unreadable;

/// Most bytes behind the pixels that are looked through. Where more follow, all of it must be in order.
const MAX_TRAILING: u64 = 4 << 20;

impl<S: Read + Seek> Scan<S> {
    /// Where the data set ends, asked once behind its pixels: at the end of the file, or where junk begins.
    pub(super) fn end_behind_pixels(&mut self, end: End, encoding: Encoding) -> Result<End, Unreadable> {
        if !self.is_whole() {
            return Ok(end);
        }
        let Some(rest) = self.input.peek_rest(MAX_TRAILING)? else { return Ok(end) };
        // Delimiters behind fragments are too many, and no junk.
        let is_delimiter = |header: &&[u8; 8]| {
            let tag = Tag(encoding.u16([header[0], header[1]]), encoding.u16([header[2], header[3]]));
            matches!(tag, ITEM_DELIMITATION_ITEM | SEQUENCE_DELIMITATION_ITEM) && header[4..] == [0; 4]
        };
        let delimiters = match &self.pixels {
            Some((_, Pixels::Encapsulated { .. })) => {
                rest.as_chunks::<8>().0.iter().take_while(is_delimiter).count() * 8
            }
            _ => 0,
        };
        let Some(good) = good_part(&rest[delimiters..], encoding, self.evens) else { return Ok(end) };
        if let Some(tag) = says_otherwise(&rest[delimiters..], encoding) {
            return Err(Unreadable::Twice(tag.into()));
        }
        let good = delimiters as u64 + good;
        let at = self.input.at() + good;
        self.repairs.insert(Repair::Trailing);
        self.patches.add(at, rest.len() as u64 - good, &[])?;
        Ok(End::At(at))
    }

    /// Whether the pixels that were found are as many as the image has.
    fn is_whole(&self) -> bool {
        match &self.pixels {
            Some((_, Pixels::Native { value, .. })) => needed(&self.kept).is_some_and(|needed| value.len >= needed),
            Some((_, Pixels::Encapsulated { fragments, .. })) => !fragments.is_empty() && !self.ended_early,
            None => false,
        }
    }

    /// The header of native pixels that claim more than there is, as it should be, if what is there is the whole image.
    pub(super) fn shortened(
        &mut self,
        head: &Head,
        limit: u64,
        encoding: Encoding,
    ) -> Result<Option<Head>, Unreadable> {
        let left = limit - self.input.at();
        if head.tag != tags::PIXEL_DATA || head.len == UNDEFINED || u64::from(head.len) <= left {
            return Ok(None);
        }
        let Some(len) = u32::try_from(left).ok().filter(|_| needed(&self.kept).is_some_and(|needed| needed <= left))
        else {
            return Ok(None);
        };
        self.repairs.insert(Repair::PixelLength);
        let header = encoding.header(head.tag, head.vr, len);
        let patch = match head.patch {
            Some(patch) => {
                self.patches.change(patch, &header);
                patch
            }
            None => self.patches.add(head.at, head.size, &header)?,
        };
        Ok(Some(Head { len, patch: Some(patch), ..*head }))
    }
}

/// How many bytes native pixels take, by what is said of them.
fn needed(kept: &[Kept]) -> Option<u64> {
    let find = |tag: Tag| kept.iter().find(|kept| kept.tag == tag).map(|kept| kept.value.as_slice());
    let number = |tag| find(tag)?.first_chunk().map(|bytes| u64::from(u16::from_le_bytes(*bytes)));
    let frames = find(tags::NUMBER_OF_FRAMES).map_or(Some(1), |value| {
        core::str::from_utf8(value).ok()?.trim_matches(['\0', ' ']).parse::<u64>().ok().map(|frames| frames.max(1))
    })?;
    let samples = number(tags::SAMPLES_PER_PIXEL)?;
    // Of three samples two are there for each pixel (PS3.3 C.7.6.3.1.2).
    let is_halved = find(tags::PHOTOMETRIC_INTERPRETATION)
        .is_some_and(|term| term.trim_ascii_end() == b"YBR_FULL_422" && samples == 3);
    let bits = number(tags::ROWS)? * number(tags::COLUMNS)?;
    let bits = bits.checked_mul(if is_halved { 2 } else { samples })?.checked_mul(number(tags::BITS_ALLOCATED)?)?;
    Some(bits.checked_mul(frames)?.div_ceil(8)).filter(|bytes| *bytes > 0)
}

/// How much of what stands behind the pixels is elements; none if all of it is in order, or if it is refused for another reason than that it is junk.
fn good_part(rest: &[u8], encoding: Encoding, evens: bool) -> Option<u64> {
    let mut trial = Scan::new(Input::new(Cursor::new(rest), rest.len() as u64, None), encoding, None, evens);
    trial.is_behind_pixels = true;
    match trial.data_set(End::At(rest.len() as u64), encoding, 0) {
        Err(
            Unreadable::CutOff
            | Unreadable::TooLong { .. }
            | Unreadable::NoVr(_)
            | Unreadable::NoLength(_)
            | Unreadable::NotAnItem(_)
            | Unreadable::StrayDelimiter(_)
            | Unreadable::Trailing,
        ) => Some(trial.element_at),
        _ => None,
    }
}

/// The first attribute that is read in what stands behind the pixels and tells what the image is or how it looks, by a reader that takes whatever comes for elements: eight
/// bytes are a header, and without a VR of two letters an implicit one. Where it cannot be told how long a value is, it is looked into.
fn says_otherwise(mut rest: &[u8], encoding: Encoding) -> Option<Tag> {
    loop {
        let ([a, b, c, d, e, f, g, h], after) = rest.split_first_chunk()?;
        rest = after;
        let tag = Tag(encoding.u16([*a, *b]), encoding.u16([*c, *d]));
        if tag == ITEM_DELIMITATION_ITEM {
            return None;
        }
        if matches!(tag.0, 0x0028 | 0x7fe0) || KEPT.binary_search(&tag).is_ok() {
            return Some(tag);
        }
        let (short, long) = (encoding.u16([*g, *h]), encoding.u32([*e, *f, *g, *h]));
        let len = match VR::from_binary([*e, *f]) {
            _ if encoding.is_implicit() => long,
            Some(vr) if has_short_length(vr) => short.into(),
            Some(_) => {
                let (len, after) = rest.split_first_chunk()?;
                rest = after;
                encoding.u32(*len)
            }
            None if (b"AA"..=b"ZZ").contains(&&[*e, *f]) => short.into(),
            None => long,
        };
        if len != UNDEFINED && tag.0 != 0xfffe {
            rest = rest.get(usize::try_from(len).unwrap_or(usize::MAX)..)?;
        }
    }
}
