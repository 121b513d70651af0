//! Elements of a data set that is held in memory, one after the other, with what is nested in them.
//!
//! They are read as they should stand. For the few documents whose sequences matter: lists of other instances. Nothing is copied and no length is believed: what an element
//! holds is a part of what it is in, or there is an error. DICOM PS3.5 §7.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use crate::encoding::{
    Encoding, ITEM, ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM, UNDEFINED, has_short_length, implicit_vr,
};
use crate::unreadable::{MAX_DEPTH, Unreadable};

/// What is left of a data set, or of an item.
#[derive(Clone, Copy)]
pub(crate) struct DataSet<'a> {
    rest: &'a [u8],
    encoding: Encoding,
    depth: u32,
}

/// An element.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: Tag,
    /// The value as it stands; of a sequence its items, without a delimiter.
    pub(crate) value: &'a [u8],
    vr: VR,
    /// Of the items.
    encoding: Encoding,
    depth: u32,
    is_encapsulated: bool,
}

/// What is left of a sequence's items.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a>(DataSet<'a>);

impl<'a> DataSet<'a> {
    pub(crate) const fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self { rest: bytes, encoding, depth: 0 }
    }

    pub(crate) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next element; none at the end, which zeros are as well that were written to fill a block.
    pub(crate) fn next(&mut self) -> Result<Option<Element<'a>>, Unreadable> {
        if self.rest.is_empty() || self.depth == 0 && self.rest.iter().take(8).all(|byte| *byte == 0) {
            return Ok(None);
        }
        let (tag, vr, len) = head(&mut self.rest, self.encoding)?;
        if tag.0 == 0xfffe {
            return Err(Unreadable::StrayDelimiter(tag.into()));
        }
        let is_sequence = vr == VR::SQ || len == UNDEFINED;
        // PS3.5 §6.2.2 note 4.
        let encoding = if vr == VR::UN && len == UNDEFINED { Encoding::ImplicitLittle } else { self.encoding };
        let value = value(&mut self.rest, (tag, len), encoding, self.depth, true)?;
        let is_encapsulated = tag == tags::PIXEL_DATA && len == UNDEFINED && vr != VR::SQ;
        let vr = if is_sequence { VR::SQ } else { vr };
        Ok(Some(Element { tag, value, vr, encoding, depth: self.depth, is_encapsulated }))
    }

    /// Goes on to the element with this tag, passing by those before it; none if it does not come. Elements ascend.
    pub(crate) fn find(&mut self, tag: Tag) -> Result<Option<Element<'a>>, Unreadable> {
        loop {
            let before = *self;
            match self.next()? {
                None => return Ok(None),
                Some(element) if element.tag == tag => return Ok(Some(element)),
                Some(element) if element.tag > tag => {
                    *self = before;
                    return Ok(None);
                }
                Some(_) => {}
            }
        }
    }
}

impl<'a> Element<'a> {
    /// Its items; none unless it is a sequence.
    pub(crate) fn items(&self) -> Items<'a> {
        let rest = if self.vr == VR::SQ { self.value } else { &[] };
        Items(DataSet { rest, encoding: self.encoding, depth: self.depth + 1 })
    }

    /// Its VR; SQ of all that has items.
    pub(crate) const fn vr(&self) -> VR {
        self.vr
    }

    /// Whether its items are fragments of pixels (PS3.5 §A.4).
    pub(crate) const fn is_encapsulated(&self) -> bool {
        self.is_encapsulated
    }

    /// What its value is written in.
    pub(crate) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Its value as text without padding, if that is ASCII.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let text = core::str::from_utf8(self.value).ok().filter(|text| text.is_ascii());
        text.map(|text| text.trim_matches([' ', '\0']))
    }
}

impl<'a> Items<'a> {
    /// How many bytes were not read yet.
    pub(crate) const fn left(&self) -> usize {
        self.0.rest.len()
    }

    /// The next item.
    pub(crate) fn next(&mut self) -> Result<Option<DataSet<'a>>, Unreadable> {
        let Self(DataSet { rest, encoding, depth }) = self;
        if rest.is_empty() {
            return Ok(None);
        }
        let (tag, _, len) = head(rest, *encoding)?;
        if tag != ITEM {
            return Err(Unreadable::NotAnItem(tag.into()));
        }
        let rest = value(rest, (tag, len), *encoding, *depth, false)?;
        Ok(Some(DataSet { rest, encoding: *encoding, depth: *depth }))
    }
}

/// Takes a value, of undefined length up to its delimiter, which is taken too and no part of it.
fn value<'a>(
    rest: &mut &'a [u8],
    (tag, len): (Tag, u32),
    encoding: Encoding,
    depth: u32,
    holds_items: bool,
) -> Result<&'a [u8], Unreadable> {
    if len != UNDEFINED {
        return take(rest, tag, len);
    }
    if depth > MAX_DEPTH {
        return Err(Unreadable::TooDeep);
    }
    let whole = *rest;
    loop {
        let at = whole.len() - rest.len();
        let (tag, vr, len) = head(rest, encoding)?;
        match (tag, holds_items) {
            (SEQUENCE_DELIMITATION_ITEM, true) | (ITEM_DELIMITATION_ITEM, false) => return Ok(&whole[..at]),
            (ITEM, true) => value(rest, (tag, len), encoding, depth + 1, false)?,
            (other, true) => return Err(Unreadable::NotAnItem(other.into())),
            (Tag(0xfffe, _), false) => return Err(Unreadable::StrayDelimiter(tag.into())),
            (_, false) => {
                let inside = if vr == VR::UN { Encoding::ImplicitLittle } else { encoding };
                value(rest, (tag, len), inside, depth + 1, true)?
            }
        };
    }
}

fn take<'a>(rest: &mut &'a [u8], tag: Tag, len: u32) -> Result<&'a [u8], Unreadable> {
    let taken = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len));
    let too_long = Unreadable::TooLong { tag: tag.into(), declared: len, left: rest.len() as u64 };
    let (value, after) = taken.ok_or(too_long)?;
    *rest = after;
    Ok(value)
}

fn head(rest: &mut &[u8], encoding: Encoding) -> Result<(Tag, VR, u32), Unreadable> {
    let ([a, b, c, d, e, f, g, h], after) = rest.split_first_chunk().ok_or(Unreadable::CutOff)?;
    *rest = after;
    let tag = Tag(encoding.u16([*a, *b]), encoding.u16([*c, *d]));
    let plain = encoding.u32([*e, *f, *g, *h]);
    if tag.0 == 0xfffe {
        return Ok((tag, VR::UN, plain));
    }
    if encoding.is_implicit() {
        return Ok((tag, implicit_vr(tag, plain), plain));
    }
    // One that is new is read as the scan does.
    let is_new = e.is_ascii_uppercase() && f.is_ascii_uppercase();
    let vr = VR::from_binary([*e, *f]).or(is_new.then_some(VR::UN)).ok_or(Unreadable::NoVr(tag.into()))?;
    if has_short_length(vr) {
        return Ok((tag, vr, encoding.u16([*g, *h]).into()));
    }
    let (len, after) = rest.split_first_chunk().ok_or(Unreadable::CutOff)?;
    *rest = after;
    Ok((tag, vr, encoding.u32(*len)))
}

/// The data set of a file with preamble and prefix, and how it is written. For files that the scan does not walk, as a DICOMDIR is.
pub(crate) fn data_set_of(file: &[u8]) -> Result<DataSet<'_>, Unreadable> {
    let prefixed = file.split_at_checked(132).filter(|(start, _)| start.ends_with(b"DICM"));
    let (_, rest) = prefixed.ok_or(Unreadable::NotDicom)?;
    let mut meta = DataSet::new(rest, Encoding::ExplicitLittle);
    let mut encoding = None;
    while meta.rest().starts_with(&[2, 0]) {
        let Some(element) = meta.next()? else { break };
        if element.tag == tags::TRANSFER_SYNTAX_UID {
            let uid = element.text().and_then(|text| clavicle_manifest::Uid::new(text).ok());
            encoding = uid.and_then(|uid| Encoding::of(&uid));
        }
    }
    let encoding = encoding.ok_or(Unreadable::Missing(tags::TRANSFER_SYNTAX_UID.into()))?;
    Ok(DataSet::new(meta.rest(), encoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM_HEAD: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];

    fn nested(levels: usize) -> Vec<u8> {
        let open = [&[0x08, 0, 0x15, 0x11, 0xff, 0xff, 0xff, 0xff], &ITEM_HEAD[..], &[0xff; 4]].concat();
        let close = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
        [open.repeat(levels), close.repeat(levels)].concat()
    }

    #[test]
    fn what_is_nested_is_found_whatever_its_lengths_are_written_like() {
        let value = [0x08, 0, 0x55, 0x11, 4, 0, 0, 0, b'1', b'.', b'2', 0];
        let defined = [&[8, 0, 0x99, 0x11, 20, 0, 0, 0][..], &ITEM_HEAD, &[12, 0, 0, 0], &value].concat();
        let undefined = [
            &[8, 0, 0x99, 0x11, 0xff, 0xff, 0xff, 0xff][..],
            &ITEM_HEAD,
            &[0xff; 4],
            &value,
            &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0],
            &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
        ]
        .concat();
        for bytes in [defined, undefined] {
            let mut all = DataSet::new(&bytes, Encoding::ImplicitLittle);
            assert!(all.find(tags::SOP_INSTANCE_UID).unwrap().is_none());
            let mut items = all.find(tags::REFERENCED_SOP_SEQUENCE).unwrap().unwrap().items();
            let found = items.next().unwrap().unwrap().find(tags::REFERENCED_SOP_INSTANCE_UID).unwrap().unwrap();
            assert_eq!(found.text(), Some("1.2"));
            assert!(items.next().unwrap().is_none() && all.next().unwrap().is_none());
        }
    }

    #[test]
    fn lengths_that_lie_and_endless_nesting_are_errors() {
        let mut lying = DataSet::new(&[8, 0, 0x99, 0x11, 20, 0, 0, 0, 1], Encoding::ImplicitLittle);
        assert!(matches!(lying.next(), Err(Unreadable::TooLong { declared: 20, left: 1, .. })));
        assert!(DataSet::new(&nested(16), Encoding::ImplicitLittle).next().is_ok());
        assert!(matches!(DataSet::new(&nested(40_000), Encoding::ImplicitLittle).next(), Err(Unreadable::TooDeep)));
        let open = nested(3);
        let cut = &open[..open.len() - 8];
        assert!(matches!(DataSet::new(cut, Encoding::ImplicitLittle).next(), Err(Unreadable::CutOff)));
    }
}
