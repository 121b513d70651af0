//! What breaks the standard is noted, and patched, as it is walked: delimiters, lengths, headers, offset tables.

use std::io::{Read, Seek};

use dicom_core::{Tag, VR};

use super::Scan;
use super::head::Head;
use crate::encoding::{Encoding, UNDEFINED, is_text};
use crate::repair::Repair;
use crate::scanned::Pixels;
use crate::unreadable::Unreadable;

/// The longest offset table that is corrected: eight bytes for each of a million frames.
const MAX_OFFSETS: u64 = 8 << 20;

impl<S: Read + Seek> Scan<S> {
    /// Notes that a delimiter is missing before `next`, or here.
    pub(super) fn missing(&mut self, delimiter: Tag, encoding: Encoding, next: Option<Head>) -> Result<(), Unreadable> {
        let at = next.map_or_else(|| self.ended_at.unwrap_or(self.input.at()), |next| next.at);
        self.pending = next;
        self.repairs.insert(Repair::MissingDelimiter);
        self.patches.add(at, 0, &encoding.header(delimiter, VR::UN, 0)).map(|_| ())
    }

    /// Passes over a delimiter that nothing needs.
    pub(super) fn extra(&mut self, head: &Head) -> Result<(), Unreadable> {
        if head.len != 0 {
            return Err(Unreadable::StrayDelimiter(head.tag.into()));
        }
        self.repairs.insert(Repair::ExtraDelimiter);
        self.patches.add(head.at, head.size, &[]).map(|_| ())
    }

    /// Takes a delimiter for one, whatever length it claims.
    pub(super) fn delimited(&mut self, head: &Head, encoding: Encoding) -> Result<(), Unreadable> {
        if head.len == 0 {
            return Ok(());
        }
        self.repairs.insert(Repair::DelimiterLength);
        self.respell(head, &encoding.header(head.tag, head.vr, 0))
    }

    /// Corrects a defined length when what it is of has grown.
    pub(super) fn lengthen(&mut self, head: &Head, before: i64, encoding: Encoding) -> Result<(), Unreadable> {
        let growth = self.patches.growth() - before;
        if head.len == UNDEFINED || growth == 0 {
            return Ok(());
        }
        let len = u32::try_from(i64::from(head.len) + growth).map_err(|_| Unreadable::TooBroken)?;
        self.respell(head, &encoding.header(head.tag, head.vr, len))
    }

    /// Has a header read as another one.
    pub(super) fn respell(&mut self, head: &Head, header: &[u8]) -> Result<(), Unreadable> {
        match head.patch {
            Some(patch) => {
                self.patches.change(patch, header);
                Ok(())
            }
            None => self.patches.add(head.at, head.size, header).map(|_| ()),
        }
    }

    /// Notes a value of odd length, and pads it where that is wanted.
    pub(super) fn even(&mut self, head: &Head, encoding: Encoding) -> Result<(), Unreadable> {
        if head.len.is_multiple_of(2) {
            return Ok(());
        }
        self.repairs.insert(Repair::OddLength);
        if !self.evens {
            return Ok(());
        }
        let len = head.len.checked_add(1).filter(|len| *len != UNDEFINED).ok_or(Unreadable::TooBroken)?;
        let is_text = is_text(head.vr) && head.vr != VR::UI;
        self.respell(head, &encoding.header(head.tag, head.vr, len))?;
        self.patches.add(self.input.at(), 0, if is_text { b" " } else { b"\0" }).map(|_| ())
    }

    /// An offset table, if it is not longer than one is.
    pub(super) fn offsets(&mut self, end: u64) -> Result<Vec<u8>, Unreadable> {
        let len = end - self.input.at();
        if len > MAX_OFFSETS {
            return self.input.skip(len).map(|()| Vec::new());
        }
        let mut offsets = Vec::new();
        self.input.pass(len, |piece| offsets.extend_from_slice(piece))?;
        Ok(offsets)
    }

    /// Corrects the offset tables when fragments were padded. What leads to no fragment stays.
    pub(super) fn even_offsets(&mut self) -> Result<(), Unreadable> {
        let Some((_, Pixels::Encapsulated { fragments, .. })) = &self.pixels else { return Ok(()) };
        let Some(first) = fragments.first().filter(|_| self.evens) else { return Ok(()) };
        // Each fragment's offset, and how many bytes were put in before it.
        let mut padding = 0;
        let places: Vec<(u64, u64)> = fragments
            .iter()
            .map(|fragment| {
                let place = (fragment.at - first.at, padding);
                padding += fragment.len % 2;
                place
            })
            .collect();
        if padding == 0 {
            return Ok(());
        }
        let moved = |offset: u64| {
            let place = places.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
            Some(offset + places[place].1)
        };
        let (basic, _) = self.basic_offsets.1.as_chunks::<4>();
        for (at, four) in (self.basic_offsets.0..).step_by(4).zip(basic) {
            if let Some(four) = moved(u32::from_le_bytes(*four).into()).and_then(|moved| u32::try_from(moved).ok()) {
                self.patches.add(at, 4, &four.to_le_bytes())?;
            }
        }
        let (extended, _) = self.extended_offsets.1.as_chunks::<8>();
        for (at, eight) in (self.extended_offsets.0..).step_by(8).zip(extended) {
            if let Some(moved) = moved(u64::from_le_bytes(*eight)) {
                self.patches.add(at, 8, &moved.to_le_bytes())?;
            }
        }
        Ok(())
    }
}
