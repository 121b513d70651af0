//! Headers: the tag, the VR and the length of what comes next, and what they are where the VR is none that there is.

use std::io::{Read, Seek};

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::Scan;
use crate::encoding::{
    Encoding, ITEM, ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM, UNDEFINED, has_short_length, implicit_vr,
};
use crate::repair::Repair;
use crate::unreadable::{MAX_ELEMENTS, Unreadable};

/// An element's or item's header.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) len: u32,
    /// Its first byte.
    pub(super) at: u64,
    /// How many bytes it has.
    pub(super) size: u64,
    /// The patch in which it is spelt otherwise.
    pub(super) patch: Option<usize>,
}

/// What follows an element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// An element, a delimiter, or the end of what it is in.
    Well,
    /// Something that may be an element.
    Somehow,
    /// Nothing that belongs there.
    Not,
}

impl<S: Read + Seek> Scan<S> {
    /// Reads a header that must end before `limit`.
    pub(super) fn head(&mut self, encoding: Encoding, limit: u64) -> Result<Head, Unreadable> {
        if let Some(pending) = self.pending.take() {
            return Ok(pending);
        }
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(Unreadable::TooManyElements);
        }
        let mut raw = [0; 8];
        let at = self.input.at();
        if limit - at < 8 {
            return Err(Unreadable::CutOff);
        }
        self.input.take(&mut raw)?;
        let [a, b, c, d, e, f, g, h] = raw;
        let tag = Tag(encoding.u16([a, b]), encoding.u16([c, d]));
        let plain = encoding.u32([e, f, g, h]);
        if tag.0 == 0xfffe {
            return Ok(Head { tag, vr: VR::UN, len: plain, at, size: 8, patch: None });
        }
        if encoding.is_implicit() {
            return Ok(Head { tag, vr: implicit_vr(tag, plain), len: plain, at, size: 8, patch: None });
        }
        // PS3.5 §7.1.2: 16 bits for those VRs that had them in 1993, 32 for all others.
        match VR::from_binary([e, f]) {
            Some(vr) if has_short_length(vr) => {
                Ok(Head { tag, vr, len: encoding.u16([g, h]).into(), at, size: 8, patch: None })
            }
            Some(vr) => {
                if limit - self.input.at() < 4 {
                    return Err(Unreadable::CutOff);
                }
                let mut len = [0; 4];
                self.input.take(&mut len)?;
                Ok(Head { tag, vr, len: encoding.u32(len), at, size: 12, patch: None })
            }
            None => self.strange(tag, [e, f, g, h], at, encoding, limit),
        }
    }

    /// Reads what is left of a header whose VR is none that there is. How its length is written is seen by what
    /// follows.
    fn strange(
        &mut self,
        tag: Tag,
        [e, f, g, h]: [u8; 4],
        at: u64,
        encoding: Encoding,
        limit: u64,
    ) -> Result<Head, Unreadable> {
        let long =
            if limit - self.input.at() < 4 { None } else { self.input.peek::<4>()? }.map(|len| encoding.u32(len));
        // A VR of two letters that is not known yet has 32 bits, and two bytes before them.
        let is_new = e.is_ascii_uppercase() && f.is_ascii_uppercase();
        let long = long.filter(|_| is_new || [g, h] == [0, 0]).map(|len| (4, len));
        let short = Some((0, u32::from(encoding.u16([g, h]))));
        // As if there were no VR at all.
        let none = Some((0, encoding.u32([e, f, g, h]))).filter(|_| !is_new);
        let mut found = None;
        for wanted in [Followed::Well, Followed::Somehow] {
            for (way, one) in [long, short, none].into_iter().enumerate() {
                let Some((more, len)) = one else { continue };
                // Without a VR, what follows must leave no doubt.
                if way == 2 && wanted == Followed::Somehow {
                    continue;
                }
                if found.is_none() && self.is_followed(tag, more, len, encoding, limit)? == wanted {
                    found = Some((way, more, len));
                }
            }
        }
        let (way, more, len) = found.ok_or(Unreadable::NoVr(tag.into()))?;
        self.input.skip(more)?;
        let vr = match (tag, len) {
            (tags::PIXEL_DATA, _) => VR::OW,
            (_, UNDEFINED) => self.inside(encoding)?,
            _ if way == 2 => implicit_vr(tag, len),
            _ => VR::UN,
        };
        // A VR that is new to us is none that is wrong, as long as its length is where it should be.
        if is_new && way == 0 && len != UNDEFINED && tag != tags::PIXEL_DATA {
            return Ok(Head { tag, vr, len, at, size: 8 + more, patch: None });
        }
        self.repairs.insert(Repair::Vr);
        let patch = Some(self.patches.add(at, 8 + more, &encoding.header(tag, vr, len))?);
        Ok(Head { tag, vr, len, at, size: 8 + more, patch })
    }

    /// Of a sequence of unknown VR: UN if its items are implicit inside, else SQ.
    fn inside(&mut self, encoding: Encoding) -> Result<VR, Unreadable> {
        let first = self.input.peek::<16>()?;
        let is_explicit = first.is_some_and(|first| VR::from_binary([first[12], first[13]]).is_some());
        Ok(if is_explicit && !encoding.is_implicit() { VR::SQ } else { VR::UN })
    }

    /// What follows a value of `len` bytes that begins `start` bytes from here.
    pub(super) fn is_followed(
        &mut self,
        tag: Tag,
        start: u64,
        len: u32,
        encoding: Encoding,
        limit: u64,
    ) -> Result<Followed, Unreadable> {
        let left = (limit - self.input.at()).saturating_sub(start);
        let (next, is_item) = match len {
            UNDEFINED => (start, true),
            len if u64::from(len) > left => return Ok(Followed::Not),
            len if u64::from(len) == left => return Ok(Followed::Well),
            len => (start + u64::from(len), false),
        };
        if left < 8 {
            return Ok(Followed::Not);
        }
        let Some([a, b, c, d, e, f, ..]) = self.input.peek_at::<8>(next)? else {
            // Too far to be seen, or in the middle of a header.
            let is_far = limit - self.input.at() >= next + 8;
            return Ok(if is_far { Followed::Somehow } else { Followed::Not });
        };
        let follows = Tag(encoding.u16([a, b]), encoding.u16([c, d]));
        let is_known = encoding.is_implicit() || VR::from_binary([e, f]).is_some();
        Ok(match follows {
            ITEM if is_item => Followed::Well,
            ITEM => Followed::Not,
            _ if is_item => Followed::Not,
            ITEM_DELIMITATION_ITEM | SEQUENCE_DELIMITATION_ITEM => Followed::Well,
            Tag(0, 0) => Followed::Somehow,
            _ if follows > tag && is_known => Followed::Well,
            _ if follows > tag => Followed::Somehow,
            _ => Followed::Not,
        })
    }
}
