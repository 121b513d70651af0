//! Attributes: what stands before the pixels, read from bytes that the scan has walked.
//!
//! They come as they should stand. dicom-rs is not asked: it sets aside what a length claims, and a phone or a desktop has no worker to lose. A value stays where it is in the
//! one buffer; only where it begins and ends is kept.

use std::ops::Range;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use clavicle_dicom::encoding::{
    Encoding, ITEM, SEQUENCE_DELIMITATION_ITEM, UNDEFINED, has_short_length, listed_vr, word_len,
};
use clavicle_dicom::text::Charset;

/// Most bytes before the pixels.
pub(super) const MAX_LEN: u64 = 64 << 20;
const MAX_DEPTH: u32 = 33;
/// How an element takes part in the memory that elements may take: more of them than this are not read.
const MAX_ELEMENTS: usize = 1 << 21;

#[derive(Debug)]
struct Element {
    tag: Tag,
    vr: VR,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Bytes(Range<usize>),
    Items(Vec<Vec<Element>>),
}

/// A data set, as far as the pixels.
#[derive(Debug)]
pub(super) struct DataSet {
    /// Little endian throughout.
    bytes: Vec<u8>,
    elements: Vec<Element>,
}

impl DataSet {
    /// Reads a data set that may end anywhere between two elements. `None` when it does not add up, which the scan would have seen.
    pub(super) fn read(bytes: Vec<u8>, encoding: Encoding) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0, count: 0 };
        let end = reader.bytes.len();
        let elements = reader.data_set(end, encoding, false, 0)?;
        Some(Self { bytes: reader.bytes, elements })
    }

    pub(super) fn attributes(&self) -> Attributes<'_> {
        Attributes { bytes: &self.bytes, elements: &self.elements, charset: Charset::default() }.in_own_charset()
    }
}

struct Reader {
    bytes: Vec<u8>,
    at: usize,
    count: usize,
}

impl Reader {
    fn take<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += LEN;
        Some(taken)
    }

    fn head(&mut self, encoding: Encoding) -> Option<(Tag, VR, u32)> {
        let [a, b, c, d, e, f, g, h] = self.take()?;
        let tag = Tag(encoding.u16([a, b]), encoding.u16([c, d]));
        let plain = encoding.u32([e, f, g, h]);
        self.count += 1;
        if self.count > MAX_ELEMENTS {
            return None;
        }
        if tag.0 == 0xfffe {
            return Some((tag, VR::UN, plain));
        }
        if encoding.is_implicit() {
            let unknown = if plain == UNDEFINED { VR::SQ } else { VR::UN };
            return Some((tag, listed_vr(tag).unwrap_or(unknown), plain));
        }
        let vr = VR::from_binary([e, f]).unwrap_or(VR::UN);
        let len = if has_short_length(vr) { encoding.u16([g, h]).into() } else { encoding.u32(self.take()?) };
        Some((tag, vr, len))
    }

    /// Elements up to `end`, or to a delimiter if they are `delimited`.
    fn data_set(&mut self, end: usize, encoding: Encoding, delimited: bool, depth: u32) -> Option<Vec<Element>> {
        let mut elements = Vec::new();
        if depth > MAX_DEPTH {
            return None;
        }
        while self.at < end {
            let (tag, vr, len) = self.head(encoding)?;
            if tag.0 == 0xfffe {
                return delimited.then_some(elements);
            }
            let is_sequence = vr == VR::SQ || len == UNDEFINED;
            let value = if is_sequence && tag == tags::PIXEL_DATA && vr != VR::SQ {
                // Of an icon (PS3.3 F.7), which nobody asks for.
                self.fragments(end, encoding)?;
                Value::Items(Vec::new())
            } else if is_sequence {
                let inside = if vr == VR::SQ { encoding } else { Encoding::ImplicitLittle };
                Value::Items(self.items(self.end(len, end)?, inside, len == UNDEFINED, depth)?)
            } else {
                let range = self.at..self.end(len, end)?;
                if encoding.is_big() {
                    self.bytes[range.clone()].chunks_exact_mut(word_len(vr)).for_each(<[u8]>::reverse);
                }
                self.at = range.end;
                Value::Bytes(range)
            };
            // What an unknown or private attribute holds is asked for by nobody.
            if vr != VR::UN || listed_vr(tag).is_some() {
                elements.push(Element { tag, vr, value });
            }
        }
        (!delimited).then_some(elements)
    }

    fn items(&mut self, end: usize, encoding: Encoding, delimited: bool, depth: u32) -> Option<Vec<Vec<Element>>> {
        let mut items = Vec::new();
        while self.at < end {
            let (tag, _, len) = self.head(encoding)?;
            if tag != ITEM {
                return delimited.then_some(items);
            }
            let item_end = self.end(len, end)?;
            items.push(self.data_set(item_end, encoding, len == UNDEFINED, depth + 1)?);
        }
        (!delimited).then_some(items)
    }

    /// Passes by encapsulated pixels (PS3.5 §A.4).
    fn fragments(&mut self, end: usize, encoding: Encoding) -> Option<()> {
        loop {
            let (tag, _, len) = self.head(encoding)?;
            if tag != ITEM || len == UNDEFINED {
                return (tag == SEQUENCE_DELIMITATION_ITEM).then_some(());
            }
            self.at = self.end(len, end)?;
        }
    }

    /// Where something of this length ends, at most at `limit`.
    fn end(&self, len: u32, limit: usize) -> Option<usize> {
        if len == UNDEFINED {
            return Some(limit);
        }
        self.at.checked_add(usize::try_from(len).ok()?).filter(|end| *end <= limit)
    }
}

/// The attributes of an instance, or of an item in it.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    elements: &'a [Element],
    charset: Charset,
}

impl<'a> Attributes<'a> {
    /// In an item, the character set of what it is in counts where it names none (PS3.3 C.12.1.1.2).
    fn in_own_charset(self) -> Self {
        let own = self.bytes(tags::SPECIFIC_CHARACTER_SET).map(|value| Charset::of(Some(value)));
        Self { charset: own.unwrap_or(self.charset), ..self }
    }

    fn find(self, tag: Tag) -> Option<&'a Element> {
        self.elements.iter().find(|element| element.tag == tag)
    }

    /// The value of an attribute as it is written, numbers in little endian. None of a sequence.
    #[must_use]
    pub fn bytes(self, tag: Tag) -> Option<&'a [u8]> {
        match &self.find(tag)?.value {
            Value::Bytes(range) => self.bytes.get(range.clone()),
            Value::Items(_) => None,
        }
    }

    /// The items of a sequence; none if there is no such sequence.
    pub fn items(self, tag: Tag) -> impl ExactSizeIterator<Item = Self> {
        let items = match self.find(tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(move |elements| Self { elements, ..self }.in_own_charset())
    }

    /// The first item of a sequence.
    #[must_use]
    pub fn item(self, tag: Tag) -> Option<Self> {
        self.items(tag).next()
    }

    /// The values of an attribute of text, without padding. What its character set does not have is marked.
    pub fn texts(self, tag: Tag) -> impl Iterator<Item = String> {
        let whole = self.bytes(tag).map(|bytes| self.charset.decode_marked(bytes, false)).unwrap_or_default();
        let texts: Vec<String> = whole.split('\\').map(|text| text.trim_matches([' ', '\0']).to_owned()).collect();
        let is_empty = texts.iter().all(String::is_empty);
        texts.into_iter().filter(move |_| !is_empty)
    }

    /// The first value of an attribute of text.
    #[must_use]
    pub fn text(self, tag: Tag) -> Option<String> {
        self.texts(tag).next()
    }

    /// The values of an attribute of numbers, however these are written; those that are none are left out with all after them.
    #[must_use]
    pub fn numbers(self, tag: Tag) -> Vec<f64> {
        let Some(element) = self.find(tag) else { return Vec::new() };
        let Some(bytes) = self.bytes(tag) else { return Vec::new() };
        let vr = if element.vr == VR::UN { listed_vr(tag).unwrap_or(VR::UN) } else { element.vr };
        match vr {
            VR::US => read(bytes, |word| f64::from(u16::from_le_bytes(word))),
            VR::SS => read(bytes, |word| f64::from(i16::from_le_bytes(word))),
            VR::UL => read(bytes, |word| f64::from(u32::from_le_bytes(word))),
            VR::SL => read(bytes, |word| f64::from(i32::from_le_bytes(word))),
            VR::FL | VR::OF => read(bytes, |word| f64::from(f32::from_le_bytes(word))),
            VR::FD | VR::OD => read(bytes, f64::from_le_bytes),
            _ => {
                self.texts(tag).map_while(|text| text.parse().ok().filter(|number: &f64| number.is_finite())).collect()
            }
        }
    }

    /// The first value of an attribute of numbers.
    #[must_use]
    pub fn number(self, tag: Tag) -> Option<f64> {
        self.numbers(tag).first().copied()
    }

    /// The words of 16 bits of an attribute, whether they are said to have a sign or not.
    #[must_use]
    pub fn words(self, tag: Tag) -> Vec<u16> {
        self.bytes(tag).map(|bytes| read(bytes, u16::from_le_bytes)).unwrap_or_default()
    }

    /// A whole number that is written in 16 bits.
    #[must_use]
    pub fn word(self, tag: Tag) -> Option<u16> {
        self.bytes(tag)?.first_chunk().map(|word| u16::from_le_bytes(*word))
    }

    /// The attributes of a functional group of a frame, counted from 0 (PS3.3 C.7.6.16): its own, else those shared by all, else those of the
    /// instance itself, which stand there where there are no groups.
    #[must_use]
    pub fn of_frame(self, frame: u32, group: Tag) -> Self {
        let own = usize::try_from(frame)
            .ok()
            .and_then(|frame| self.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).nth(frame))
            .and_then(|groups| groups.item(group));
        let shared = || self.item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).and_then(|groups| groups.item(group));
        own.or_else(shared).unwrap_or(self)
    }
}

fn read<const LEN: usize, T>(bytes: &[u8], of: impl Fn([u8; LEN]) -> T) -> Vec<T> {
    let (words, _) = bytes.as_chunks::<LEN>();
    words.iter().map(|word| of(*word)).collect()
}
