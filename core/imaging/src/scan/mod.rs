//! The scan: walks every element of a file, from the first byte to the last, and believes nothing it is told.
//!
//! Each declared length is held against what is left of the enclosing item, sequence or file before a byte is read
//! or skipped, so that memory does not depend on what a file claims. Values go by: into digests, where these are wanted; those of the few
//! attributes that intake needs are kept if they are short; of the pixels it is remembered where they are. DICOM PS3.5 §7, PS3.10 §7.1.

mod encoding;
mod input;
mod unreadable;

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use clavicle_manifest::{StoredDigest, StoredHasher, Subtrees, Uid};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use self::input::Input;
use crate::content::{Content, ContentHasher};

pub(crate) use self::encoding::{Encoding, has_short_length, implicit_vr, is_text, listed_vr, word_len};
pub use self::unreadable::{Attribute, Unreadable};

/// Deepest nesting of sequences. The deepest in the standard (enhanced SR and RT objects) stay below 20.
pub(crate) const MAX_DEPTH: u32 = 32;
/// Most elements and items of one file.
const MAX_ELEMENTS: u32 = 1 << 24;
/// The longest value that is kept. Those kept are names, dates, UIDs; the standard gives 64 characters to most.
const MAX_KEPT: u64 = 4_096;
/// The longest value that goes into the digest in one piece: as long as most VRs allow.
const MAX_SHORT: u64 = 0xffff;
/// Most bytes that a deflated data set may become.
const MAX_INFLATED: u64 = 256 << 20;
/// How a length says that a delimiter follows instead.
pub(crate) const UNDEFINED: u32 = 0xffff_ffff;

/// PS3.5 §7.5: these have neither a VR nor a place in the dictionary.
pub(crate) const ITEM: Tag = Tag(0xfffe, 0xe000);
pub(crate) const ITEM_DELIMITATION_ITEM: Tag = Tag(0xfffe, 0xe00d);
pub(crate) const SEQUENCE_DELIMITATION_ITEM: Tag = Tag(0xfffe, 0xe0dd);

/// An element whose value was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) tag: Tag,
    /// Text as it stands in the file; numbers little endian.
    pub(crate) value: Vec<u8>,
}

/// A piece of a data set: its first byte, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: u64,
    pub(crate) len: u64,
}

/// Where the pixels of a data set are, counted in bytes from the beginning of what it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pixels {
    /// One value (PS3.5 §8.1), in words as long as [`word_len`] says.
    Native { value: Span, vr: VR },
    /// An offset table and fragments (PS3.5 §A.4).
    Encapsulated { offsets: Span, fragments: Vec<Span> },
}

/// What the scan found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) transfer_syntax_uid: Uid,
    pub(crate) kept: Vec<Kept>,
    /// The first byte of the data set.
    pub(crate) data_set_at: u64,
    pub(crate) encoding: Encoding,
    /// The element that holds the pixels, and where.
    pub(crate) pixels: Option<(Tag, Pixels)>,
    /// The data set, where it was deflated in the file. All places are then counted in here.
    pub(crate) inflated: Option<Vec<u8>>,
}

impl Scanned {
    /// The bytes of a kept attribute.
    pub(crate) fn kept(&self, tag: Tag) -> Option<&[u8]> {
        self.kept.iter().find(|kept| kept.tag == tag).map(|kept| kept.value.as_slice())
    }

    /// The data set from its first byte on, as it was scanned: at most so many bytes of it where it lies in the file of `len` bytes, and all of it
    /// where it was deflated.
    pub(crate) fn take_beginning<S: Read + Seek>(&mut self, mut source: S, len: u64, most: u64) -> io::Result<Vec<u8>> {
        if let Some(inflated) = self.inflated.take() {
            return Ok(inflated);
        }
        let mut bytes = Vec::new();
        source.seek(SeekFrom::Start(self.data_set_at))?;
        source.take(most.min(len - self.data_set_at)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// What a file is, whole.
#[derive(Debug)]
pub(crate) struct Digested {
    pub(crate) scanned: Scanned,
    pub(crate) size: u64,
    pub(crate) stored: StoredDigest,
    pub(crate) subtrees: Subtrees,
    pub(crate) content: Content,
}

/// Attributes whose values are kept, ascending.
const KEPT: [Tag; 34] = [
    tags::MEDIA_STORAGE_SOP_CLASS_UID,
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::STUDY_DATE,
    tags::ACCESSION_NUMBER,
    tags::MODALITY,
    tags::STUDY_DESCRIPTION,
    tags::SERIES_DESCRIPTION,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::BODY_PART_EXAMINED,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SERIES_NUMBER,
    tags::ACQUISITION_NUMBER,
    tags::INSTANCE_NUMBER,
    tags::IMAGE_POSITION_PATIENT,
    tags::IMAGE_ORIENTATION_PATIENT,
    tags::TEMPORAL_POSITION_IDENTIFIER,
    tags::NUMBER_OF_STUDY_RELATED_INSTANCES,
    tags::NUMBER_OF_SERIES_RELATED_INSTANCES,
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
];

const PIXELS: [Tag; 3] = [tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA, tags::PIXEL_DATA];

/// Scans a file of `len` bytes without reading more of it than it must.
pub(crate) fn scan<S: Read + Seek>(source: S, len: u64) -> Result<Scanned, Unreadable> {
    Scan::new(Input::new(source, len, None), Encoding::ExplicitLittle, None).file().map(|(scanned, ..)| scanned)
}

/// Scans a file of `len` bytes, reads all of it once, and digests it on the way.
pub(crate) fn digest<S: Read + Seek>(mut source: S, len: u64) -> Result<Digested, Unreadable> {
    let input = Input::new(&mut source, len, Some(StoredHasher::new()));
    let (scanned, whole, content) = Scan::new(input, Encoding::ExplicitLittle, Some(ContentHasher::new())).file()?;
    let (size, stored, subtrees) = whole.expect("an input that is hashed has a digest");
    source.rewind()?;
    let content = content.expect("a data set that is hashed has a digest").finish(&scanned, source, len);
    Ok(Digested { scanned, size, stored, subtrees, content })
}

fn is_deflated(uid: &Uid) -> bool {
    [uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, uids::JPIP_REFERENCED_DEFLATE, uids::JPIPHTJ2K_REFERENCED_DEFLATE]
        .contains(&uid.as_str())
}

fn text(kept: &Kept) -> Option<&str> {
    core::str::from_utf8(&kept.value).ok().map(|text| text.trim_end_matches(['\0', ' ']))
}

/// An element's or item's header.
pub(crate) struct Head {
    pub(crate) tag: Tag,
    pub(crate) vr: VR,
    len: u32,
}

/// Where a data set or sequence ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// At this byte of the file.
    At(u64),
    /// At its delimiter, and in any case before this byte.
    Delimiter(u64),
}

impl End {
    const fn limit(self) -> u64 {
        match self {
            Self::At(limit) | Self::Delimiter(limit) => limit,
        }
    }
}

struct Scan<S> {
    input: Input<S>,
    encoding: Encoding,
    elements: u32,
    kept: Vec<Kept>,
    pixels: Option<(Tag, Pixels)>,
    /// A value on its way into the digest.
    value: Vec<u8>,
    content: Option<ContentHasher>,
}

/// What comes out of a scan: what was found, the whole file's size and digests, and those of the data set, where they were wanted.
type Outcome = (Scanned, Option<(u64, StoredDigest, Subtrees)>, Option<ContentHasher>);

impl<S: Read + Seek> Scan<S> {
    const fn new(input: Input<S>, encoding: Encoding, content: Option<ContentHasher>) -> Self {
        Self { input, encoding, elements: 0, kept: Vec::new(), pixels: None, value: Vec::new(), content }
    }

    fn file(mut self) -> Result<Outcome, Unreadable> {
        let prefixed = self.prefix()?;
        let transfer_syntax = self.meta()?;
        if self.kept.iter().any(|kept| {
            kept.tag == tags::MEDIA_STORAGE_SOP_CLASS_UID
                && text(kept).is_some_and(|uid| uid == uids::MEDIA_STORAGE_DIRECTORY_STORAGE)
        }) {
            return Err(Unreadable::Directory);
        }
        self.kept.clear();
        let guess = self.input.peek()?.and_then(Encoding::guess);
        let uid = match (transfer_syntax, guess) {
            (Some(uid), _) => uid,
            (None, Some(guess)) => guess.default_uid(),
            (None, None) if prefixed => return Err(Unreadable::Missing(tags::TRANSFER_SYNTAX_UID.into())),
            (None, None) => return Err(Unreadable::NotDicom),
        };
        if is_deflated(&uid) {
            return self.deflated(uid);
        }
        // A vendor's own: what it looks like.
        self.encoding = Encoding::of(&uid).or(guess).unwrap_or(Encoding::ExplicitLittle);
        self.whole_data_set(uid)
    }

    /// PS3.5 §A.5: the data set alone is deflated, and explicit little endian inside.
    fn deflated(mut self, uid: Uid) -> Result<Outcome, Unreadable> {
        let mut inflated = Vec::new();
        let mut inflate = flate2::read::DeflateDecoder::new(self.input.rest()).take(MAX_INFLATED + 1);
        inflate.read_to_end(&mut inflated).map_err(|_| Unreadable::Deflate)?;
        if inflated.len() as u64 > MAX_INFLATED {
            return Err(Unreadable::Inflates);
        }
        let whole = self.input.finish()?;
        let len = inflated.len() as u64;
        let inside = Input::new(Cursor::new(&inflated), len, None);
        let (scanned, _, content) = Scan::new(inside, Encoding::ExplicitLittle, self.content).whole_data_set(uid)?;
        Ok((Scanned { inflated: Some(inflated), ..scanned }, whole, content))
    }

    fn whole_data_set(mut self, transfer_syntax_uid: Uid) -> Result<Outcome, Unreadable> {
        let data_set_at = self.input.at();
        self.data_set(End::At(self.input.len()), self.encoding, 0)?;
        let Self { input, encoding, kept, pixels, content, .. } = self;
        let scanned = Scanned { transfer_syntax_uid, kept, data_set_at, encoding, pixels, inflated: None };
        Ok((scanned, input.finish()?, content))
    }

    /// Steps over preamble and prefix (PS3.10 §7.1) if they are there, and says whether they are.
    fn prefix(&mut self) -> Result<bool, Unreadable> {
        let is_there = self.input.peek::<132>()?.is_some_and(|start| start.ends_with(b"DICM"));
        if is_there {
            self.input.skip(132)?;
        }
        Ok(is_there)
    }

    /// Walks the file meta information, always explicit little endian; gives the Transfer Syntax UID.
    fn meta(&mut self) -> Result<Option<Uid>, Unreadable> {
        let mut transfer_syntax = None;
        while self.input.peek::<8>()?.is_some_and(|start| start[..2] == [2, 0]) {
            let head = self.head(self.encoding, self.input.len())?;
            let value = self.short_value(&head)?;
            if head.tag == tags::TRANSFER_SYNTAX_UID {
                let value = value.as_deref().and_then(|value| core::str::from_utf8(value).ok()).unwrap_or_default();
                let uid = Uid::new(value).map_err(|_| Unreadable::NotAUid(head.tag.into()))?;
                if transfer_syntax.replace(uid).is_some() {
                    return Err(Unreadable::Twice(head.tag.into()));
                }
            } else if let (Ok(_), Some(value)) = (KEPT.binary_search(&head.tag), value) {
                self.keep(head.tag, value)?;
            }
        }
        Ok(transfer_syntax)
    }

    fn data_set(&mut self, end: End, encoding: Encoding, depth: u32) -> Result<(), Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
        loop {
            if end == End::At(self.input.at()) {
                return Ok(());
            }
            if depth == 0 && self.only_padding_is_left()? {
                return Ok(());
            }
            let head = self.head(encoding, end.limit())?;
            match head.tag {
                ITEM_DELIMITATION_ITEM if matches!(end, End::Delimiter(_)) => return Ok(()),
                Tag(0xfffe, _) => return Err(Unreadable::StrayDelimiter(head.tag.into())),
                _ => self.element(&head, end.limit(), encoding, depth)?,
            }
        }
    }

    /// Walks an element whose header was read.
    fn element(&mut self, head: &Head, limit: u64, encoding: Encoding, depth: u32) -> Result<(), Unreadable> {
        let end = self.end_of(head, limit)?;
        if let (0, Some(content)) = (depth, &mut self.content) {
            content.enter(head.tag);
        }
        match (head.vr, end) {
            (VR::SQ, _) => self.sequence(head.tag, end, encoding, depth),
            // PS3.5 §6.2.2 note 4: a sequence of unknown VR and undefined length is implicit little endian inside.
            (VR::UN, End::Delimiter(_)) => self.sequence(head.tag, end, Encoding::ImplicitLittle, depth),
            (VR::OB | VR::OW, End::Delimiter(_)) if head.tag == tags::PIXEL_DATA => self.encapsulated(end, depth),
            (_, End::Delimiter(_)) => Err(Unreadable::NoLength(head.tag.into())),
            (_, End::At(end)) if depth == 0 && PIXELS.contains(&head.tag) => self.native(head, end),
            (_, End::At(_)) if depth == 0 && KEPT.binary_search(&head.tag).is_ok() => {
                // Not stepped over: without it two patients might be taken for one.
                let mut value = self.short_value(head)?.ok_or(Unreadable::Oversized(head.tag.into()))?;
                if let Some(content) = &mut self.content {
                    content.value(head, encoding, &value);
                }
                if encoding.is_big() {
                    value.chunks_exact_mut(word_len(head.vr)).for_each(<[u8]>::reverse);
                }
                self.keep(head.tag, value)
            }
            (_, End::At(end)) => self.value(head, end, encoding),
        }
    }

    /// Passes a value on to the digest, if there is one.
    fn value(&mut self, head: &Head, end: u64, encoding: Encoding) -> Result<(), Unreadable> {
        let len = end - self.input.at();
        let Some(content) = &mut self.content else { return self.input.skip(len) };
        match usize::try_from(len) {
            Ok(short) if len <= MAX_SHORT => {
                self.value.resize(short, 0);
                self.input.take(&mut self.value)?;
                content.value(head, encoding, &self.value);
                Ok(())
            }
            _ => {
                content.begin_long(head, encoding);
                self.input.pass(len, |piece| content.piece(piece))?;
                content.end_long(len);
                Ok(())
            }
        }
    }

    fn native(&mut self, head: &Head, end: u64) -> Result<(), Unreadable> {
        let value = Span { at: self.input.at(), len: end - self.input.at() };
        self.found(head.tag, Pixels::Native { value, vr: head.vr })?;
        match &mut self.content {
            None => self.input.skip(value.len),
            Some(content) => {
                let mut pixels = ContentHasher::native(head, self.encoding, value.len, &self.kept);
                self.input.pass(value.len, |piece| pixels.take(piece))?;
                content.pixels(pixels);
                Ok(())
            }
        }
    }

    fn found(&mut self, tag: Tag, pixels: Pixels) -> Result<(), Unreadable> {
        match self.pixels.replace((tag, pixels)) {
            None => Ok(()),
            Some(_) => Err(Unreadable::Twice(tag.into())),
        }
    }

    fn sequence(&mut self, tag: Tag, end: End, encoding: Encoding, depth: u32) -> Result<(), Unreadable> {
        if let Some(content) = &mut self.content {
            content.sequence(tag);
        }
        while end != End::At(self.input.at()) {
            let head = self.head(encoding, end.limit())?;
            match head.tag {
                ITEM => {
                    let item = self.end_of(&head, end.limit())?;
                    if let Some(content) = &mut self.content {
                        content.item();
                    }
                    self.data_set(item, encoding, depth + 1)?;
                }
                SEQUENCE_DELIMITATION_ITEM if matches!(end, End::Delimiter(_)) => break,
                other => return Err(Unreadable::NotAnItem(other.into())),
            }
        }
        if let Some(content) = &mut self.content {
            content.end_of_sequence();
        }
        Ok(())
    }

    /// Walks encapsulated pixels (PS3.5 §A.4).
    fn encapsulated(&mut self, end: End, depth: u32) -> Result<(), Unreadable> {
        let mut hasher = self.content.as_ref().map(|_| ContentHasher::encapsulated(&self.kept));
        let mut spans = Vec::new();
        loop {
            let head = self.head(self.encoding, end.limit())?;
            match (head.tag, self.end_of(&head, end.limit())?) {
                (ITEM, End::At(end)) => {
                    let span = Span { at: self.input.at(), len: end - self.input.at() };
                    match &mut hasher {
                        // The offsets follow from the fragments.
                        Some(hasher) if !spans.is_empty() => self.input.pass(span.len, |piece| hasher.take(piece))?,
                        _ => self.input.skip(span.len)?,
                    }
                    spans.push(span);
                }
                (SEQUENCE_DELIMITATION_ITEM, _) => break,
                (other, _) => return Err(Unreadable::NotAnItem(other.into())),
            }
        }
        // In an icon (PS3.3 F.7) they are of no interest to anybody, and a part of the data set all the same.
        if let (Some(content), Some(hasher)) = (&mut self.content, hasher) {
            if depth == 0 { content.pixels(hasher) } else { content.icon(hasher) }
        }
        if depth > 0 {
            return Ok(());
        }
        let mut spans = spans.into_iter();
        let offsets = spans.next().unwrap_or(Span { at: self.input.at(), len: 0 });
        self.found(tags::PIXEL_DATA, Pixels::Encapsulated { offsets, fragments: spans.collect() })
    }

    /// Whether nothing is left but zeros, which some systems write to fill a disk's block.
    fn only_padding_is_left(&mut self) -> Result<bool, Unreadable> {
        let left = self.input.left();
        if left >= 8 && self.input.peek::<8>()?.is_none_or(|start| start[..4] != [0; 4]) {
            return Ok(false);
        }
        let mut are_zeros = true;
        self.input.pass(left, |piece| are_zeros &= piece.iter().all(|byte| *byte == 0))?;
        if !are_zeros {
            return Err(if left < 8 { Unreadable::CutOff } else { Unreadable::Trailing });
        }
        Ok(true)
    }

    /// Reads a header that must end before `limit`.
    fn head(&mut self, encoding: Encoding, limit: u64) -> Result<Head, Unreadable> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(Unreadable::TooManyElements);
        }
        let mut raw = [0; 8];
        if limit - self.input.at() < 8 {
            return Err(Unreadable::CutOff);
        }
        self.input.take(&mut raw)?;
        let [a, b, c, d, e, f, g, h] = raw;
        let tag = Tag(encoding.u16([a, b]), encoding.u16([c, d]));
        let plain = encoding.u32([e, f, g, h]);
        let (vr, len) = if tag.0 == 0xfffe {
            (VR::UN, plain)
        } else if encoding.is_implicit() {
            (encoding::implicit_vr(tag, plain), plain)
        } else {
            if !(e.is_ascii_uppercase() && f.is_ascii_uppercase()) {
                return Err(Unreadable::NoVr(tag.into()));
            }
            // PS3.5 §7.1.2: 16 bits for those VRs that had them in 1993, 32 for all others.
            let vr = VR::from_binary([e, f]).unwrap_or(VR::UN);
            if encoding::has_short_length(vr) {
                (vr, encoding.u16([g, h]).into())
            } else {
                if limit - self.input.at() < 4 {
                    return Err(Unreadable::CutOff);
                }
                let mut len = [0; 4];
                self.input.take(&mut len)?;
                (vr, encoding.u32(len))
            }
        };
        Ok(Head { tag, vr, len })
    }

    /// Holds an element's length against what is left.
    fn end_of(&self, head: &Head, limit: u64) -> Result<End, Unreadable> {
        let left = limit - self.input.at();
        match head.len {
            UNDEFINED => Ok(End::Delimiter(limit)),
            declared if u64::from(declared) > left => Err(Unreadable::TooLong { tag: head.tag.into(), declared, left }),
            declared => Ok(End::At(self.input.at() + u64::from(declared))),
        }
    }

    /// Takes a value if it is short; steps over it if it is long.
    fn short_value(&mut self, head: &Head) -> Result<Option<Vec<u8>>, Unreadable> {
        match self.end_of(head, self.input.len())? {
            End::Delimiter(_) => Err(Unreadable::NoLength(head.tag.into())),
            End::At(end) if end - self.input.at() > MAX_KEPT => self.input.skip(end - self.input.at()).map(|()| None),
            End::At(_) => {
                let mut value = vec![0; head.len as usize];
                self.input.take(&mut value)?;
                Ok(Some(value))
            }
        }
    }

    fn keep(&mut self, tag: Tag, value: Vec<u8>) -> Result<(), Unreadable> {
        if self.kept.iter().any(|kept| kept.tag == tag) {
            return Err(Unreadable::Twice(tag.into()));
        }
        self.kept.push(Kept { tag, value });
        Ok(())
    }
}
