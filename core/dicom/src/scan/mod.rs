//! The scan: walks every element of a file, from the first byte to the last, and believes nothing it is told.
//!
//! Each declared length is held against what is left of the enclosing item, sequence or file before a byte is read or
//! skipped, so that memory does not depend on what a file claims. Values go by: into digests, where these are wanted;
//! those of the few attributes that intake needs are kept if they are short; of the pixels it is remembered where
//! they are. DICOM PS3.5 §7, PS3.10 §7.1.
//!
//! What breaks the standard and can be understood in one way only is read so, and said: see [`Repair`]. The scan is
//! the one place that knows of it. What it walked is read by others patched (`Patches`), as it should stand.
//!
//! Here is the walk; headers are read in `head`, what is odd is patched in `patching`, where it ends in junk is found out in `trailing`, and what is
//! kept of it all is in `kept`.

mod head;
mod input;
mod kept;
mod patching;
mod trailing;

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Seek};

use clavicle_manifest::{StoredDigest, StoredHasher, Subtrees, Uid};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use self::head::{Followed, Head};
use self::input::Input;
use self::kept::KEPT;
use crate::content::ContentHasher;
use crate::encoding::{
    Encoding, ITEM, ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM, UNDEFINED, has_short_length, word_len,
};
use crate::kind::Kind;
use crate::repair::{Patches, Repair};
use crate::scanned::{Kept, Pixels, Scanned, Span};
use crate::unreadable::{MAX_DEPTH, Unreadable};

/// The longest value that goes into the digest in one piece: as long as most VRs allow.
const MAX_SHORT: u64 = 0xffff;
/// Most bytes that a deflated data set may become.
const MAX_INFLATED: u64 = 256 << 20;
/// What a file is, whole.
#[derive(Debug)]
pub struct Digested {
    /// What was found in it.
    pub scanned: Scanned,
    /// Its bytes.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub stored: StoredDigest,
    /// Its 1 MiB subtrees.
    pub subtrees: Subtrees,
    /// The data set, but for pixels that were compressed without loss.
    pub content: ContentHasher,
}

const PIXELS: [Tag; 3] = [tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA, tags::PIXEL_DATA];

/// Scans a file of `len` bytes without reading more of it than it must.
///
/// # Errors
/// [`Unreadable`].
pub fn scan<S: Read + Seek>(source: S, len: u64) -> Result<Scanned, Unreadable> {
    Scan::new(Input::new(source, len, None), Encoding::ExplicitLittle, None, false).file().map(|(scanned, ..)| scanned)
}

/// The same for a data set that is to be sent: it is patched so that all lengths are even (PS3.5 §7.1.1), and nothing
/// stands behind it.
///
/// # Errors
/// [`Unreadable`].
pub fn scan_evened<S: Read + Seek>(source: S, len: u64) -> Result<Scanned, Unreadable> {
    Scan::new(Input::new(source, len, None), Encoding::ExplicitLittle, None, true).file().map(|(scanned, ..)| scanned)
}

/// Scans a file of `len` bytes, reads all of it once, and digests it on the way.
///
/// # Errors
/// [`Unreadable`].
pub fn digest<S: Read + Seek>(source: S, len: u64) -> Result<Digested, Unreadable> {
    let input = Input::new(source, len, Some(StoredHasher::new()));
    let (scanned, whole, content) =
        Scan::new(input, Encoding::ExplicitLittle, Some(ContentHasher::new()), false).file()?;
    let (size, stored, subtrees) = whole.expect("an input that is hashed has a digest");
    let content = content.expect("a data set that is hashed has a digest");
    Ok(Digested { scanned, size, stored, subtrees, content })
}

fn is_deflated(uid: &Uid) -> bool {
    [uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, uids::JPIP_REFERENCED_DEFLATE, uids::JPIPHTJ2K_REFERENCED_DEFLATE]
        .contains(&uid.as_str())
}

fn text(kept: &Kept) -> Option<&str> {
    core::str::from_utf8(&kept.value).ok().map(|text| text.trim_end_matches(['\0', ' ']))
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

    const fn is_delimited(self) -> bool {
        matches!(self, Self::Delimiter(_))
    }
}

struct Scan<S> {
    input: Input<S>,
    encoding: Encoding,
    elements: u32,
    kept: Vec<Kept>,
    pixels: Option<(Tag, Pixels)>,
    pixels_at: Span,
    /// A value on its way into the digest.
    value: Vec<u8>,
    content: Option<ContentHasher>,
    patches: Patches,
    repairs: BTreeSet<Repair>,
    /// Whether odd lengths are patched too.
    evens: bool,
    /// A header that was read, and belongs to what is around.
    pending: Option<Head>,
    /// Where the data set ends before the file does, in zeros.
    ended_at: Option<u64>,
    /// The file ends where a delimiter should be.
    ended_early: bool,
    /// The offset tables, basic (PS3.5 §A.4) and extended (7FE0,0001), of which the places are patched when fragments
    /// grow.
    basic_offsets: (u64, Vec<u8>),
    extended_offsets: (u64, Vec<u8>),
    is_directory: bool,
    /// Whether the end of the data set was looked for behind the pixels.
    is_behind_pixels: bool,
    /// Where the last element of the data set itself begins that was come to.
    element_at: u64,
}

/// What comes out of a scan: what was found, the whole file's size and digests, and those of the data set, where they
/// were wanted.
type Outcome = (Scanned, Option<(u64, StoredDigest, Subtrees)>, Option<ContentHasher>);

impl<S: Read + Seek> Scan<S> {
    fn new(input: Input<S>, encoding: Encoding, content: Option<ContentHasher>, evens: bool) -> Self {
        Self {
            input,
            encoding,
            elements: 0,
            kept: Vec::new(),
            pixels: None,
            pixels_at: Span { at: 0, len: 0 },
            value: Vec::new(),
            content,
            patches: Patches::default(),
            repairs: BTreeSet::new(),
            evens,
            pending: None,
            ended_at: None,
            ended_early: false,
            basic_offsets: (0, Vec::new()),
            extended_offsets: (0, Vec::new()),
            is_directory: false,
            is_behind_pixels: false,
            element_at: 0,
        }
    }

    fn file(mut self) -> Result<Outcome, Unreadable> {
        let prefixed = self.prefix()?;
        let transfer_syntax = self.meta()?;
        let says_directory = self.kept.iter().any(|kept| {
            kept.tag == tags::MEDIA_STORAGE_SOP_CLASS_UID
                && text(kept).is_some_and(|uid| uid == uids::MEDIA_STORAGE_DIRECTORY_STORAGE)
        });
        self.kept.clear();
        let start = self.input.peek::<8>()?;
        // What a DICOMDIR is in is group 0004 (PS3.3 F.3), and nothing else is.
        if says_directory && start.is_none_or(|start| start[..2] == [4, 0] || start[..2] == [0, 4]) {
            return Err(Unreadable::Directory);
        }
        let guess = start.and_then(Encoding::guess);
        let uid = match (transfer_syntax, guess) {
            (Some(uid), _) => uid,
            (None, Some(guess)) => guess.default_uid(),
            (None, None) if prefixed => return Err(Unreadable::Missing(tags::TRANSFER_SYNTAX_UID.into())),
            (None, None) => return Err(Unreadable::NotDicom),
        };
        if says_directory {
            self.repairs.insert(Repair::MetaClass);
        }
        if is_deflated(&uid) {
            return self.deflated(uid);
        }
        // A vendor's own: what it looks like.
        let said = Encoding::of(&uid).or(guess).unwrap_or(Encoding::ExplicitLittle);
        self.encoding = said;
        let seen = start.and_then(Encoding::seen).filter(|seen| *seen != said);
        let uid = match seen {
            Some(seen) if self.goes_on(seen)? => {
                self.repairs.insert(Repair::Encoding);
                self.encoding = seen;
                // Of native pixels it is what they are written in; those that are encapsulated are what it says.
                if [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig]
                    .iter()
                    .any(|one| one.default_uid() == uid)
                {
                    seen.default_uid()
                } else {
                    uid
                }
            }
            _ => uid,
        };
        self.whole_data_set(uid)
    }

    /// Whether what comes is an element of this encoding, and another one after it.
    fn goes_on(&mut self, encoding: Encoding) -> Result<bool, Unreadable> {
        let Some([a, b, c, d, e, f, g, h]) = self.input.peek()? else { return Ok(false) };
        let tag = Tag(encoding.u16([a, b]), encoding.u16([c, d]));
        let (size, len) = if encoding.is_implicit() {
            (8, encoding.u32([e, f, g, h]))
        } else {
            match VR::from_binary([e, f]) {
                Some(vr) if has_short_length(vr) => (8, encoding.u16([g, h]).into()),
                Some(_) => match self.input.peek_at::<4>(8)? {
                    Some(len) => (12, encoding.u32(len)),
                    None => return Ok(false),
                },
                None => return Ok(false),
            }
        };
        let follows = self.input.peek_at::<8>(size + u64::from(len))?;
        let is_explicit = follows.is_some_and(|next| VR::from_binary([next[4], next[5]]).is_some());
        let is_followed = self.is_followed(tag, size, len, encoding, self.input.len())?;
        Ok(is_followed == Followed::Well && encoding.is_implicit() != is_explicit)
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
        let mut inside = Scan::new(
            Input::new(Cursor::new(&inflated), len, None),
            Encoding::ExplicitLittle,
            self.content,
            self.evens,
        );
        inside.repairs = self.repairs;
        let (scanned, _, content) = inside.whole_data_set(uid)?;
        Ok((Scanned { inflated: Some(inflated), ..scanned }, whole, content))
    }

    fn whole_data_set(mut self, transfer_syntax_uid: Uid) -> Result<Outcome, Unreadable> {
        let data_set_at = self.input.at();
        let walked = self.data_set(End::At(self.input.len()), self.encoding, 0);
        let class = self.kept.iter().find(|kept| kept.tag == tags::SOP_CLASS_UID).and_then(text);
        let is_image = class.map(Kind::of) == Some(Kind::Image);
        // A DICOMDIR has no SOP Class of its own (PS3.3 F.3).
        if self.is_directory && class.is_none_or(|class| class == uids::MEDIA_STORAGE_DIRECTORY_STORAGE) {
            return Err(Unreadable::Directory);
        }
        walked?;
        // An image that ends before its pixels was cut off, whatever it ends in.
        if self.ended_early && self.pixels.is_none() && is_image {
            return Err(Unreadable::CutOff);
        }
        self.even_offsets()?;
        if self.pixels.is_none() {
            self.pixels_at = Span { at: self.ended_at.unwrap_or(self.input.len()), len: 0 };
        }
        let Self { input, encoding, kept, pixels, pixels_at, content, mut patches, repairs, .. } = self;
        patches.sort();
        let scanned = Scanned {
            transfer_syntax_uid,
            kept,
            data_set_at,
            encoding,
            pixels,
            pixels_at,
            patches,
            repairs,
            inflated: None,
        };
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

    /// Walks the file meta information, always explicit little endian; gives the Transfer Syntax UID. What of it
    /// stands a second time is passed by: the first counts, and it is no part of the data set.
    fn meta(&mut self) -> Result<Option<Uid>, Unreadable> {
        let mut transfer_syntax = None;
        let mut seen = BTreeSet::new();
        let mut is_second = false;
        while let Some(start) = self.input.peek::<8>()? {
            let [a, b, c, d, e, f, ..] = start;
            let is_little = [a, b] == [2, 0];
            // In a data set of another encoding it is written as that is.
            let said = transfer_syntax.as_ref().and_then(Encoding::of);
            let is_big = said == Some(Encoding::ExplicitBig) && [a, b] == [0, 2];
            if !is_little && !is_big {
                break;
            }
            let is_explicit = e.is_ascii_uppercase() && f.is_ascii_uppercase();
            let is_implicit = said == Some(Encoding::ImplicitLittle);
            is_second |= is_big || !seen.insert([c, d]) || !is_explicit && is_implicit;
            let encoding = match (is_big, is_explicit || !is_second) {
                (true, _) => Encoding::ExplicitBig,
                (false, true) => Encoding::ExplicitLittle,
                (false, false) => said.unwrap_or(Encoding::ExplicitLittle),
            };
            let head = self.head(encoding, self.input.len())?;
            let value = self.short_value(&head)?;
            if is_second {
                self.repairs.insert(Repair::SecondMeta);
            }
            if head.tag == tags::TRANSFER_SYNTAX_UID && transfer_syntax.is_none() {
                let value = value.as_deref().and_then(|value| core::str::from_utf8(value).ok()).unwrap_or_default();
                transfer_syntax = Some(Uid::new(value).map_err(|_| Unreadable::NotAUid(head.tag.into()))?);
            } else if let (false, Ok(_), Some(value)) = (is_second, KEPT.binary_search(&head.tag), value) {
                self.keep(head.tag, value)?;
            }
        }
        // It is no part of what is read as a data set.
        self.patches = Patches::default();
        Ok(transfer_syntax)
    }

    fn data_set(&mut self, mut end: End, encoding: Encoding, depth: u32) -> Result<(), Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
        // What came last was a sequence, and whether its length was defined.
        let (mut after_sequence, mut after_defined, mut is_empty) = (false, false, true);
        loop {
            if self.pending.is_none() {
                if depth == 0 {
                    self.element_at = self.input.at();
                    if self.pixels.is_some() && !self.is_behind_pixels {
                        self.is_behind_pixels = true;
                        end = self.end_behind_pixels(end, encoding)?;
                    }
                }
                if end == End::At(self.input.at()) || depth == 0 && self.only_padding_is_left(false)? {
                    return Ok(());
                }
                if end.is_delimited() && !is_empty && self.ends_here(end)? {
                    return self.missing(ITEM_DELIMITATION_ITEM, encoding, None);
                }
            }
            let head = self.head(encoding, end.limit())?;
            match head.tag {
                ITEM_DELIMITATION_ITEM if end.is_delimited() => return self.delimited(&head, encoding),
                // The sequence around ends, and this item with it.
                SEQUENCE_DELIMITATION_ITEM if end.is_delimited() && !after_defined && !is_empty => {
                    return self.missing(ITEM_DELIMITATION_ITEM, encoding, Some(head));
                }
                ITEM_DELIMITATION_ITEM | SEQUENCE_DELIMITATION_ITEM
                    if after_sequence || depth > 0 && end == End::At(self.input.at()) =>
                {
                    self.extra(&head)?;
                    after_defined = false;
                }
                Tag(0xfffe, _) => return Err(Unreadable::StrayDelimiter(head.tag.into())),
                _ => {
                    after_sequence = self.element(&head, end.limit(), encoding, depth)?;
                    after_defined = after_sequence && head.len != UNDEFINED;
                    is_empty = false;
                }
            }
        }
    }

    /// Walks an element whose header was read. Whether it is a sequence.
    fn element(&mut self, head: &Head, limit: u64, encoding: Encoding, depth: u32) -> Result<bool, Unreadable> {
        let shortened = if depth == 0 { self.shortened(head, limit, encoding)? } else { None };
        let head = shortened.as_ref().unwrap_or(head);
        let end = self.end_of(head, limit)?;
        if depth == 0 {
            if let Some(content) = &mut self.content {
                content.enter(head.tag);
            }
            self.is_directory |= head.tag == tags::DIRECTORY_RECORD_SEQUENCE;
        }
        match (head.vr, end) {
            // Whatever VR it is said to have: of undefined length it is in fragments.
            (vr, End::Delimiter(_)) if head.tag == tags::PIXEL_DATA && vr != VR::SQ => {
                self.encapsulated(head, end, encoding, depth)?;
            }
            (VR::SQ, _) => self.sequence(head, end, encoding, depth)?,
            // PS3.5 §6.2.2 note 4: a sequence of unknown VR and undefined length is implicit little endian inside.
            (VR::UN, End::Delimiter(_)) => self.sequence(head, end, Encoding::ImplicitLittle, depth)?,
            (_, End::Delimiter(_)) => return Err(Unreadable::NoLength(head.tag.into())),
            (_, End::At(value_end)) => {
                if self.evens && depth == 0 && head.tag == tags::EXTENDED_OFFSET_TABLE {
                    self.extended_offsets = (self.input.at(), self.offsets(value_end)?);
                } else if depth == 0 && PIXELS.contains(&head.tag) {
                    self.native(head, value_end)?;
                } else if depth == 0 && head.tag.0 != 2 && KEPT.binary_search(&head.tag).is_ok() {
                    // Not stepped over: without it two patients might be taken for one.
                    let mut value = self.short_value(head)?.ok_or(Unreadable::Oversized(head.tag.into()))?;
                    if self.is_said_again(head, encoding, &value)? {
                        return Ok(false);
                    }
                    if let Some(content) = &mut self.content {
                        content.value((head.tag, head.vr), encoding, &value);
                    }
                    if encoding.is_big() {
                        value.chunks_exact_mut(word_len(head.vr)).for_each(<[u8]>::reverse);
                    }
                    self.keep(head.tag, value)?;
                } else {
                    self.value(head, value_end, encoding)?;
                }
                self.even(head, encoding)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Passes a value on to the digest, if there is one.
    fn value(&mut self, head: &Head, end: u64, encoding: Encoding) -> Result<(), Unreadable> {
        let len = end - self.input.at();
        let Some(content) = &mut self.content else { return self.input.skip(len) };
        match usize::try_from(len) {
            Ok(short) if len <= MAX_SHORT => {
                self.value.resize(short, 0);
                self.input.take(&mut self.value)?;
                content.value((head.tag, head.vr), encoding, &self.value);
                Ok(())
            }
            _ => {
                content.begin_long((head.tag, head.vr), encoding);
                self.input.pass(len, |piece| content.piece(piece))?;
                content.end_long(len);
                Ok(())
            }
        }
    }

    fn native(&mut self, head: &Head, end: u64) -> Result<(), Unreadable> {
        let value = Span { at: self.input.at(), len: end - self.input.at() };
        self.found(head, end, Pixels::Native { value, vr: head.vr })?;
        match &mut self.content {
            None => self.input.skip(value.len),
            Some(content) => {
                let mut pixels = ContentHasher::native((head.tag, head.vr), self.encoding, value.len, &self.kept);
                self.input.pass(value.len, |piece| pixels.take(piece))?;
                content.pixels(pixels);
                Ok(())
            }
        }
    }

    fn found(&mut self, head: &Head, end: u64, pixels: Pixels) -> Result<(), Unreadable> {
        self.pixels_at = Span { at: head.at, len: end - head.at };
        match self.pixels.replace((head.tag, pixels)) {
            None => Ok(()),
            Some(_) => Err(Unreadable::Twice(head.tag.into())),
        }
    }

    fn sequence(&mut self, sequence: &Head, end: End, encoding: Encoding, depth: u32) -> Result<(), Unreadable> {
        if let Some(content) = &mut self.content {
            content.sequence(sequence.tag);
        }
        let before = self.patches.growth();
        // Whether the item before has a defined length; none at the beginning.
        let mut after_defined = None;
        loop {
            if self.pending.is_none() {
                if end == End::At(self.input.at()) {
                    break;
                }
                if end.is_delimited() && after_defined.is_some() && self.ends_here(end)? {
                    self.missing(SEQUENCE_DELIMITATION_ITEM, encoding, None)?;
                    break;
                }
            }
            let head = self.head(encoding, end.limit())?;
            match head.tag {
                ITEM => {
                    let item = self.end_of(&head, end.limit())?;
                    if let Some(content) = &mut self.content {
                        content.item();
                    }
                    let before = self.patches.growth();
                    self.data_set(item, encoding, depth + 1)?;
                    self.lengthen(&head, before, encoding)?;
                    after_defined = Some(!item.is_delimited());
                }
                SEQUENCE_DELIMITATION_ITEM if end.is_delimited() => {
                    self.delimited(&head, encoding)?;
                    break;
                }
                SEQUENCE_DELIMITATION_ITEM => self.extra(&head)?,
                ITEM_DELIMITATION_ITEM if after_defined == Some(true) || !end.is_delimited() => {
                    self.extra(&head)?;
                    after_defined = Some(false);
                }
                // What is around goes on, and so this sequence has ended.
                other
                    if end.is_delimited()
                        && after_defined.is_some()
                        && (other == ITEM_DELIMITATION_ITEM && depth > 0
                            || other.0 != 0xfffe && other > sequence.tag) =>
                {
                    self.missing(SEQUENCE_DELIMITATION_ITEM, encoding, Some(head))?;
                    break;
                }
                other => return Err(Unreadable::NotAnItem(other.into())),
            }
        }
        self.lengthen(sequence, before, encoding)?;
        if let Some(content) = &mut self.content {
            content.end_of_sequence();
        }
        Ok(())
    }

    /// Walks encapsulated pixels (PS3.5 §A.4).
    fn encapsulated(&mut self, pixels: &Head, end: End, encoding: Encoding, depth: u32) -> Result<(), Unreadable> {
        let mut hasher = self.content.as_ref().map(|_| ContentHasher::encapsulated(&self.kept));
        let mut spans: Vec<Span> = Vec::new();
        let pixels_end = loop {
            if spans.len() > 1 && self.ends_here(end)? {
                let ended_at = self.ended_at.unwrap_or(self.input.at());
                self.missing(SEQUENCE_DELIMITATION_ITEM, encoding, None)?;
                break ended_at;
            }
            let head = self.head(encoding, end.limit())?;
            if head.tag == SEQUENCE_DELIMITATION_ITEM {
                self.delimited(&head, encoding)?;
                break self.input.at();
            }
            match (head.tag, self.end_of(&head, end.limit())?) {
                (ITEM, End::At(end)) => {
                    let span = Span { at: self.input.at(), len: end - self.input.at() };
                    match &mut hasher {
                        // The offsets follow from the fragments.
                        Some(hasher) if !spans.is_empty() => self.input.pass(span.len, |piece| hasher.take(piece))?,
                        None if self.evens && spans.is_empty() => {
                            self.basic_offsets = (self.input.at(), self.offsets(end)?);
                        }
                        _ => self.input.skip(span.len)?,
                    }
                    spans.push(span);
                    self.even(&head, encoding)?;
                }
                (other, _)
                    if spans.len() > 1
                        && (other == ITEM_DELIMITATION_ITEM && depth > 0
                            || other.0 != 0xfffe && other > pixels.tag) =>
                {
                    self.missing(SEQUENCE_DELIMITATION_ITEM, encoding, Some(head))?;
                    break head.at;
                }
                (other, _) => return Err(Unreadable::NotAnItem(other.into())),
            }
        };
        // In an icon (PS3.3 F.7) they are of no interest to anybody, and a part of the data set all the same.
        if let (Some(content), Some(hasher)) = (&mut self.content, hasher) {
            if depth == 0 { content.pixels(hasher) } else { content.icon(hasher) }
        }
        if depth > 0 {
            return Ok(());
        }
        let mut spans = spans.into_iter();
        let offsets = spans.next().unwrap_or(Span { at: self.input.at(), len: 0 });
        self.found(pixels, pixels_end, Pixels::Encapsulated { offsets, fragments: spans.collect() })
    }

    /// Whether nothing is left but zeros, which some systems write to fill a disk's block, or, if one `is_due`, in
    /// place of a delimiter.
    fn only_padding_is_left(&mut self, is_due: bool) -> Result<bool, Unreadable> {
        let (at, left) = (self.input.at(), self.input.left());
        if left >= 8 && self.input.peek::<8>()?.is_none_or(|start| start[..4] != [0; 4]) {
            return Ok(false);
        }
        let mut are_zeros = true;
        self.input.pass(left, |piece| are_zeros &= piece.iter().all(|byte| *byte == 0))?;
        if !are_zeros {
            return Err(if left < 8 { Unreadable::CutOff } else { Unreadable::Trailing });
        }
        if left > 0 {
            self.ended_at.get_or_insert(at);
            if self.evens && (is_due || !left.is_multiple_of(2)) {
                self.patches.add(at, left, &[])?;
            }
        }
        Ok(true)
    }

    /// Whether what is around ends here, or the file does, although a delimiter is due.
    fn ends_here(&mut self, end: End) -> Result<bool, Unreadable> {
        if self.input.at() < end.limit() && end.limit() < self.input.len() {
            return Ok(false);
        }
        if self.input.at() == end.limit() {
            self.ended_early |= end.limit() == self.input.len();
            return Ok(true);
        }
        let mut first = [1; 8];
        match self.input.left() {
            left @ 0..8 => {
                for (ahead, byte) in (0..left).zip(&mut first) {
                    [*byte] = self.input.peek_at(ahead)?.unwrap_or([1]);
                }
                if first.iter().take(left as usize).any(|byte| *byte != 0) {
                    return Ok(false);
                }
            }
            _ if self.input.peek::<8>()? == Some([0; 8]) => {}
            _ => return Ok(false),
        }
        let ends = self.only_padding_is_left(true)?;
        self.ended_early |= ends;
        Ok(ends)
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
}
