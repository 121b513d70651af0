//! The scan: walks every element of a file, from the first byte to the last, and believes nothing it is told.
//!
//! Each declared length is held against what is left of the enclosing item, sequence or file before a byte is read
//! or skipped, so that memory does not depend on what a file claims. Values are skipped, except those of the few attributes
//! that intake needs, which are kept if they are short. DICOM PS3.5 §7, PS3.10 §7.

use core::fmt;
use std::io::{self, BufReader, Cursor, Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_manifest::Uid;
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};

/// Deepest nesting of sequences. The deepest in the standard (enhanced SR and RT objects) stay below 20.
const MAX_DEPTH: u32 = 32;
/// Most elements and items of one file.
const MAX_ELEMENTS: u32 = 1 << 24;
/// The longest value that is kept. Those kept are names, dates, UIDs; the standard gives 64 characters to most.
const MAX_KEPT: u64 = 4_096;
/// Most bytes that a deflated data set may become.
const MAX_INFLATED: u64 = 256 << 20;
/// How a length says that a delimiter follows instead.
const UNDEFINED: u32 = 0xffff_ffff;

/// PS3.5 §7.5: these have neither a VR nor a place in the dictionary.
const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_DELIMITATION_ITEM: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_DELIMITATION_ITEM: Tag = Tag(0xfffe, 0xe0dd);

/// An attribute, for errors: its tag as (gggg,eeee).
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attribute(u16, u16);

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:04X},{:04X})", self.0, self.1)
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Tag> for Attribute {
    fn from(Tag(group, element): Tag) -> Self {
        Self(group, element)
    }
}

/// Why a file cannot be taken for a SOP Instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// No DICOM prefix, and nothing that looks like a data set.
    #[error("it is not a DICOM file")]
    NotDicom,
    /// A DICOMDIR: a table of contents, not an instance.
    #[error("it is a DICOMDIR, a table of contents and no instance")]
    Directory,
    /// The file could not be read to its end.
    #[error("it could not be read to its end; the disk may be failing")]
    Io,
    /// It ends within an element's header.
    #[error("it ends in the middle of an element; it was cut off")]
    CutOff,
    /// An element is longer than what it is in.
    #[error("{tag} claims {declared} bytes where {left} are left; it was cut off or damaged")]
    TooLong {
        /// Which.
        tag: Attribute,
        /// Bytes claimed.
        declared: u32,
        /// Bytes there are.
        left: u64,
    },
    /// Not two capital letters where the value representation stands.
    #[error("{0} has no value representation; the file is damaged or of another transfer syntax than it says")]
    NoVr(Attribute),
    /// An element of undefined length that is neither a sequence nor pixels.
    #[error("{0} has no length")]
    NoLength(Attribute),
    /// Something else where an item should be.
    #[error("{0} stands where a sequence has its items")]
    NotAnItem(Attribute),
    /// A delimiter that closes nothing.
    #[error("{0} stands where it ends nothing")]
    StrayDelimiter(Attribute),
    /// Nested beyond every object of the standard.
    #[error("its sequences are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// More elements than any object has.
    #[error("it has more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// An attribute that says what the instance is, twice.
    #[error("{0} occurs twice, so that it is unclear which counts")]
    Twice(Attribute),
    /// Something follows the data set that is neither an element nor padding.
    #[error("something follows the data set that does not belong to it")]
    Trailing,
    /// A deflated data set grows too large.
    #[error("it is deflated and grows beyond 256 MiB; nothing of that size comes this way in earnest")]
    Inflates,
    /// A deflated data set cannot be inflated.
    #[error("it is deflated and damaged")]
    Deflate,
    /// An attribute that names something is beyond every limit of the standard.
    #[error("{0} is longer than {MAX_KEPT} bytes, which no such attribute is")]
    Oversized(Attribute),
    /// A UID that every instance has is not there.
    #[error("{0} is missing, without which an instance has no name")]
    Missing(Attribute),
    /// A UID is none.
    #[error("{0} is not a UID")]
    NotAUid(Attribute),
    /// The parser panicked.
    #[error("reading it failed in a way that should not be possible; please report the file's structure")]
    Panicked,
}

/// What a data set is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

/// An element whose value was kept. All of these are text, so that the encoding of the file no longer matters.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) tag: Tag,
    pub(crate) value: Vec<u8>,
}

/// What the scan found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) transfer_syntax_uid: Uid,
    pub(crate) kept: Vec<Kept>,
    pub(crate) has_pixels: bool,
}

/// Attributes whose values are read.
const KEPT: [Tag; 18] = [
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
    tags::NUMBER_OF_FRAMES,
    tags::MEDIA_STORAGE_SOP_CLASS_UID,
];

const PIXELS: [Tag; 3] = [tags::PIXEL_DATA, tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA];

/// Scans a file of `len` bytes.
pub(crate) fn scan<S: Read + Seek>(source: S, len: u64) -> Result<Scanned, Unreadable> {
    let mut file = Scan::new(source, len, Encoding::ExplicitLittle);
    let prefixed = file.prefix()?;
    let transfer_syntax = file.meta()?;
    if file.kept.iter().any(|kept| {
        kept.tag == tags::MEDIA_STORAGE_SOP_CLASS_UID
            && text(kept).is_some_and(|uid| uid == uids::MEDIA_STORAGE_DIRECTORY_STORAGE)
    }) {
        return Err(Unreadable::Directory);
    }
    file.kept.clear();
    let guess = file.guess()?;
    let uid = match (transfer_syntax, guess) {
        (Some(uid), _) => uid,
        (None, Some(guess)) => guess.default_uid(),
        (None, None) if prefixed => return Err(Unreadable::Missing(tags::TRANSFER_SYNTAX_UID.into())),
        (None, None) => return Err(Unreadable::NotDicom),
    };
    if is_deflated(&uid) {
        // PS3.5 §A.5: the data set alone is deflated, and explicit little endian inside.
        let mut inflated = Vec::new();
        let mut inflate = flate2::read::DeflateDecoder::new(file.input).take(MAX_INFLATED + 1);
        inflate.read_to_end(&mut inflated).map_err(|_| Unreadable::Deflate)?;
        if inflated.len() as u64 > MAX_INFLATED {
            return Err(Unreadable::Inflates);
        }
        let len = inflated.len() as u64;
        return Scan::new(Cursor::new(inflated), len, Encoding::ExplicitLittle).finish(uid);
    }
    file.encoding = match uid.as_str() {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => Encoding::ImplicitLittle,
        #[expect(deprecated, reason = "retired, and still in archives")]
        uids::EXPLICIT_VR_BIG_ENDIAN => Encoding::ExplicitBig,
        standard if standard.starts_with("1.2.840.10008.") => Encoding::ExplicitLittle,
        // A vendor's own: what it looks like.
        _ => guess.unwrap_or(Encoding::ExplicitLittle),
    };
    file.finish(uid)
}

fn is_deflated(uid: &Uid) -> bool {
    [uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, uids::JPIP_REFERENCED_DEFLATE, uids::JPIPHTJ2K_REFERENCED_DEFLATE]
        .contains(&uid.as_str())
}

fn text(kept: &Kept) -> Option<&str> {
    core::str::from_utf8(&kept.value).ok().map(|text| text.trim_end_matches(['\0', ' ']))
}

impl Encoding {
    fn default_uid(self) -> Uid {
        let uid = match self {
            Self::ImplicitLittle => uids::IMPLICIT_VR_LITTLE_ENDIAN,
            Self::ExplicitLittle => uids::EXPLICIT_VR_LITTLE_ENDIAN,
            #[expect(deprecated, reason = "retired, and still in archives")]
            Self::ExplicitBig => uids::EXPLICIT_VR_BIG_ENDIAN,
        };
        Uid::new(uid).expect("the standard's UIDs are UIDs")
    }

    const fn is_implicit(self) -> bool {
        matches!(self, Self::ImplicitLittle)
    }

    fn u16(self, bytes: [u8; 2]) -> u16 {
        if self == Self::ExplicitBig { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self == Self::ExplicitBig { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// An element's or item's header.
struct Head {
    tag: Tag,
    vr: VR,
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
    input: BufReader<S>,
    at: u64,
    len: u64,
    encoding: Encoding,
    elements: u32,
    kept: Vec<Kept>,
    has_pixels: bool,
}

impl<S: Read + Seek> Scan<S> {
    fn new(source: S, len: u64, encoding: Encoding) -> Self {
        let input = BufReader::with_capacity(16 << 10, source);
        Self { input, at: 0, len, encoding, elements: 0, kept: Vec::new(), has_pixels: false }
    }

    /// Steps over preamble and prefix (PS3.10 §7.1) if they are there, and says whether they are.
    fn prefix(&mut self) -> Result<bool, Unreadable> {
        let mut start = [0; 132];
        if self.len < 132 {
            return Ok(false);
        }
        self.bytes(&mut start)?;
        let is_there = start.ends_with(b"DICM");
        if !is_there {
            self.back(132)?;
        }
        Ok(is_there)
    }

    /// Walks the file meta information, always explicit little endian; gives the Transfer Syntax UID.
    fn meta(&mut self) -> Result<Option<Uid>, Unreadable> {
        let mut transfer_syntax = None;
        while self.peek()?.is_some_and(|start| start[..2] == [2, 0]) {
            let head = self.head(self.encoding, self.len)?;
            let value = self.value(&head)?;
            if head.tag == tags::TRANSFER_SYNTAX_UID {
                let value = value.as_deref().and_then(|value| core::str::from_utf8(value).ok()).unwrap_or_default();
                let uid = Uid::new(value).map_err(|_| Unreadable::NotAUid(head.tag.into()))?;
                if transfer_syntax.replace(uid).is_some() {
                    return Err(Unreadable::Twice(head.tag.into()));
                }
            } else if let (true, Some(value)) = (KEPT.contains(&head.tag), value) {
                self.keep(head.tag, value)?;
            }
        }
        Ok(transfer_syntax)
    }

    /// What the data set looks like, from its first element; `None` when that is none.
    fn guess(&mut self) -> Result<Option<Encoding>, Unreadable> {
        let Some(start) = self.peek()? else { return Ok(None) };
        let looks_explicit = start[4..6].iter().all(u8::is_ascii_uppercase);
        // A data set begins with group 0008, seldom with a length to end (0008,0001), and that only in old ones.
        Ok(match (start[..2] == [8, 0], start[..2] == [0, 8], looks_explicit) {
            (true, _, true) => Some(Encoding::ExplicitLittle),
            (true, _, false) => Some(Encoding::ImplicitLittle),
            (_, true, true) => Some(Encoding::ExplicitBig),
            _ => None,
        })
    }

    fn finish(mut self, transfer_syntax_uid: Uid) -> Result<Scanned, Unreadable> {
        self.data_set(End::At(self.len), self.encoding, 0)?;
        Ok(Scanned { transfer_syntax_uid, kept: self.kept, has_pixels: self.has_pixels })
    }

    fn data_set(&mut self, end: End, encoding: Encoding, depth: u32) -> Result<(), Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
        loop {
            if end == End::At(self.at) {
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
        if depth == 0 && PIXELS.contains(&head.tag) {
            self.has_pixels = true;
        }
        match (head.vr, end) {
            (VR::SQ, _) => self.sequence(end, encoding, depth),
            // PS3.5 §6.2.2 note 4: a sequence of unknown VR and undefined length is implicit little endian inside.
            (VR::UN, End::Delimiter(_)) => self.sequence(end, Encoding::ImplicitLittle, depth),
            (VR::OB | VR::OW, End::Delimiter(_)) if head.tag == tags::PIXEL_DATA => self.fragments(end),
            (_, End::Delimiter(_)) => Err(Unreadable::NoLength(head.tag.into())),
            (_, End::At(_)) if depth == 0 && KEPT.contains(&head.tag) => match self.value(head)? {
                Some(value) => self.keep(head.tag, value),
                // Not stepped over: without it two patients might be taken for one.
                None => Err(Unreadable::Oversized(head.tag.into())),
            },
            (_, End::At(end)) => self.skip(end - self.at),
        }
    }

    fn sequence(&mut self, end: End, encoding: Encoding, depth: u32) -> Result<(), Unreadable> {
        while end != End::At(self.at) {
            let head = self.head(encoding, end.limit())?;
            match head.tag {
                ITEM => {
                    let item = self.end_of(&head, end.limit())?;
                    self.data_set(item, encoding, depth + 1)?;
                }
                SEQUENCE_DELIMITATION_ITEM if matches!(end, End::Delimiter(_)) => return Ok(()),
                other => return Err(Unreadable::NotAnItem(other.into())),
            }
        }
        Ok(())
    }

    /// Walks encapsulated pixels (PS3.5 §A.4).
    fn fragments(&mut self, end: End) -> Result<(), Unreadable> {
        loop {
            let head = self.head(self.encoding, end.limit())?;
            match (head.tag, self.end_of(&head, end.limit())?) {
                (ITEM, End::At(end)) => self.skip(end - self.at)?,
                (SEQUENCE_DELIMITATION_ITEM, _) => return Ok(()),
                (other, _) => return Err(Unreadable::NotAnItem(other.into())),
            }
        }
    }

    /// Whether nothing is left but zeros, which some systems write to fill a disk's block.
    fn only_padding_is_left(&mut self) -> Result<bool, Unreadable> {
        let left = self.len - self.at;
        if left >= 8 && self.peek()?.is_none_or(|start| start[..4] != [0; 4]) {
            return Ok(false);
        }
        let mut chunk = [0; 4_096];
        while self.at < self.len {
            let now = usize::try_from(self.len - self.at).unwrap_or(usize::MAX).min(chunk.len());
            self.bytes(&mut chunk[..now])?;
            if chunk[..now].iter().any(|byte| *byte != 0) {
                return Err(if left < 8 { Unreadable::CutOff } else { Unreadable::Trailing });
            }
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
        if limit - self.at < 8 {
            return Err(Unreadable::CutOff);
        }
        self.bytes(&mut raw)?;
        let [a, b, c, d, e, f, g, h] = raw;
        let tag = Tag(encoding.u16([a, b]), encoding.u16([c, d]));
        let plain = encoding.u32([e, f, g, h]);
        let (vr, len) = if tag.0 == 0xfffe {
            (VR::UN, plain)
        } else if encoding.is_implicit() {
            (implicit_vr(tag, plain), plain)
        } else {
            if !(e.is_ascii_uppercase() && f.is_ascii_uppercase()) {
                return Err(Unreadable::NoVr(tag.into()));
            }
            // PS3.5 §7.1.2: 16 bits for those VRs that had them in 1993, 32 for all others.
            let vr = VR::from_binary([e, f]).unwrap_or(VR::UN);
            if has_short_length(vr) {
                (vr, encoding.u16([g, h]).into())
            } else {
                if limit - self.at < 4 {
                    return Err(Unreadable::CutOff);
                }
                let mut len = [0; 4];
                self.bytes(&mut len)?;
                (vr, encoding.u32(len))
            }
        };
        Ok(Head { tag, vr, len })
    }

    /// Holds an element's length against what is left.
    fn end_of(&self, head: &Head, limit: u64) -> Result<End, Unreadable> {
        let left = limit - self.at;
        match head.len {
            UNDEFINED => Ok(End::Delimiter(limit)),
            declared if u64::from(declared) > left => Err(Unreadable::TooLong { tag: head.tag.into(), declared, left }),
            declared => Ok(End::At(self.at + u64::from(declared))),
        }
    }

    /// Reads a value if it is short; steps over it if it is long.
    fn value(&mut self, head: &Head) -> Result<Option<Vec<u8>>, Unreadable> {
        match self.end_of(head, self.len)? {
            End::Delimiter(_) => Err(Unreadable::NoLength(head.tag.into())),
            End::At(end) if end - self.at > MAX_KEPT => self.skip(end - self.at).map(|()| None),
            End::At(_) => {
                let mut value = vec![0; head.len as usize];
                self.bytes(&mut value)?;
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

    /// The next eight bytes, if there are as many.
    fn peek(&mut self) -> Result<Option<[u8; 8]>, Unreadable> {
        if self.len - self.at < 8 {
            return Ok(None);
        }
        let mut start = [0; 8];
        self.bytes(&mut start)?;
        self.back(8)?;
        Ok(Some(start))
    }

    fn bytes(&mut self, bytes: &mut [u8]) -> Result<(), Unreadable> {
        // The length was asked for before: a file that ends earlier shrank in the meantime.
        self.input.read_exact(bytes).map_err(of_io)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn skip(&mut self, count: u64) -> Result<(), Unreadable> {
        let by = i64::try_from(count).map_err(|_| Unreadable::Io)?;
        self.input.seek_relative(by).map_err(of_io)?;
        self.at += count;
        Ok(())
    }

    fn back(&mut self, count: u32) -> Result<(), Unreadable> {
        self.input.seek_relative(-i64::from(count)).map_err(of_io)?;
        self.at -= u64::from(count);
        Ok(())
    }
}

fn of_io(error: io::Error) -> Unreadable {
    if error.kind() == io::ErrorKind::UnexpectedEof { Unreadable::CutOff } else { Unreadable::Io }
}

fn implicit_vr(tag: Tag, len: u32) -> VR {
    if tag == tags::PIXEL_DATA {
        return VR::OW;
    }
    let listed = StandardDataDictionary.by_tag(tag).map(|entry| entry.vr().relaxed());
    // An unknown element of undefined length can only be a sequence.
    listed.unwrap_or(if len == UNDEFINED { VR::SQ } else { VR::UN })
}

const fn has_short_length(vr: VR) -> bool {
    use VR::{AE, AS, AT, CS, DA, DS, DT, FD, FL, IS, LO, LT, PN, SH, SL, SS, ST, TM, UI, UL, US};
    matches!(vr, AE | AS | AT | CS | DA | DS | DT | FD | FL | IS | LO | LT | PN | SH | SL | SS | ST | TM | UI | UL | US)
}
