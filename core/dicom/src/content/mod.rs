//! The content of a data set, whatever it is written in: what a transcoder must leave alone, as digests.
//!
//! The scan passes every element by, in the order of the file; each becomes a record. Text goes in without the padding at its end, numbers
//! little endian, sequences item by item, whatever their lengths are written like. So the digests do not change when a
//! sender turns implicit into explicit VR, big into little endian, undefined lengths into defined ones, or deflates.
//!
//! ```text
//! record  = kind as u8 ‖ group as u16 ‖ element as u16 ‖ value ‖ length of the value as u64
//! kind    = 0 value, 1 beginning of a sequence, 2 beginning of an item, 3 end of a sequence, 4 digest of an icon's fragments
//! part    = BLAKE3 derive_key("Clavicle data set part 1")(records of the part's elements)
//! mark    = the first 4 bytes of BLAKE3 keyed(part)(SOP Instance UID)
//! dataset = BLAKE3 derive_key("Clavicle data set 1")(part × 7 ‖ pixels, or nothing)
//! ```
//!
//! How pixels are digested is in `pixels`, and those that were compressed without loss in `clavicle_pixels::lossless`. Left out are the lengths of groups and sequences, trailing padding (PS3.10 §7.2), the offset tables, and
//! Photometric Interpretation (0028,0004) and Planar Configuration (0028,0006), which say how pixels are written and go into their digest.
//!
//! A record is read from its end, where its length is, and so no two data sets have the same records. What a transcoder may change and
//! is taken for a change nevertheless: a private sequence of undefined length that becomes one value of VR UN.

mod pixels;

use clavicle_manifest::{Dataset, DatasetDigest, Marks, Part, PixelDigest};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

pub use self::pixels::PixelHasher;
use crate::encoding::{Encoding, is_text, listed_vr, word_len};
use crate::scanned::{Kept, Scanned};

/// What a data set says, without how it is written.
#[derive(Debug)]
pub struct Content {
    /// `None` when the pixels were not digested.
    pub dataset: Option<Dataset>,
    /// `None` when there are none, or they were not digested.
    pub pixels: Option<PixelDigest>,
}

/// What is to be said of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lossless {
    /// They were compressed without loss, and this is what they are.
    Digest(PixelDigest),
    /// They were compressed without loss, and this build cannot tell what they are.
    CannotTell,
    /// They are what they are in the file.
    No,
}

/// From how many bytes on records are hashed; below, a call costs more than the hashing.
const FLUSH: usize = 16 << 10;

const VALUE: u8 = 0;
const SEQUENCE: u8 = 1;
const ITEM: u8 = 2;
const END_OF_SEQUENCE: u8 = 3;
const ICON: u8 = 4;

/// The records of one part.
struct Records {
    hasher: blake3::Hasher,
    waiting: Vec<u8>,
}

impl Records {
    fn new() -> Self {
        Self { hasher: blake3::Hasher::new_derive_key("Clavicle data set part 1"), waiting: Vec::new() }
    }

    fn begin(&mut self, kind: u8, Tag(group, element): Tag) {
        let [[a, b], [c, d]] = [group, element].map(u16::to_le_bytes);
        self.waiting.extend_from_slice(&[kind, a, b, c, d]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.waiting.len() + bytes.len() < FLUSH {
            self.waiting.extend_from_slice(bytes);
            return;
        }
        self.hasher.update(&self.waiting);
        self.waiting.clear();
        self.hasher.update(bytes);
    }

    fn end(&mut self, len: u64) {
        self.bytes(&len.to_le_bytes());
    }

    fn whole(&mut self, kind: u8, tag: Tag, value: &[u8]) {
        self.begin(kind, tag);
        self.bytes(value);
        self.end(value.len() as u64);
    }

    fn finish(mut self) -> [u8; 32] {
        *self.hasher.update(&self.waiting).finalize().as_bytes()
    }
}

/// Takes a data set as the scan meets it.
pub struct ContentHasher {
    parts: [Records; Part::ALL.len()],
    /// The part that the current element of the data set itself belongs to.
    part: Part,
    depth: u32,
    /// A value whose bytes have to be turned round.
    turned: Vec<u8>,
    /// Of a long value: whether it counts, and how long its words are if they have to be turned round.
    long: Option<usize>,
    pixels: Option<PixelHasher>,
}

impl std::fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentHasher(…)")
    }
}

impl ContentHasher {
    pub(crate) fn new() -> Self {
        Self {
            parts: std::array::from_fn(|_| Records::new()),
            part: Part::Instance,
            depth: 0,
            turned: Vec::new(),
            long: None,
            pixels: None,
        }
    }

    /// An element of the data set itself begins.
    pub(crate) fn enter(&mut self, tag: Tag) {
        self.part = part_of(tag);
    }

    pub(crate) fn value(&mut self, (tag, vr): (Tag, VR), encoding: Encoding, value: &[u8]) {
        if self.is_left_out(tag) {
            return;
        }
        // What the dictionary says, and not the file, which may have forgotten it (UN) or never known.
        let value = if listed_vr(tag).is_some_and(is_text) {
            let end = value.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
            &value[..end]
        } else {
            value
        };
        let word = word_len(vr);
        if encoding.is_big() && word > 1 {
            self.turned.clear();
            self.turned.extend_from_slice(value);
            self.turned.chunks_exact_mut(word).for_each(<[u8]>::reverse);
            self.parts[self.part as usize].whole(VALUE, tag, &self.turned);
        } else {
            self.parts[self.part as usize].whole(VALUE, tag, value);
        }
    }

    /// A value begins that comes in pieces.
    pub(crate) fn begin_long(&mut self, (tag, vr): (Tag, VR), encoding: Encoding) {
        self.long = (!self.is_left_out(tag)).then(|| if encoding.is_big() { word_len(vr) } else { 1 });
        if self.long.is_some() {
            self.records().begin(VALUE, tag);
        }
    }

    /// A piece of it; all but the last are a multiple of eight long.
    pub(crate) fn piece(&mut self, piece: &[u8]) {
        match self.long {
            None => {}
            Some(1) => self.records().bytes(piece),
            Some(word) => {
                self.turned.clear();
                self.turned.extend_from_slice(piece);
                self.turned.chunks_exact_mut(word).for_each(<[u8]>::reverse);
                self.parts[self.part as usize].bytes(&self.turned);
            }
        }
    }

    /// It ends after `len` bytes.
    pub(crate) fn end_long(&mut self, len: u64) {
        if self.long.take().is_some() {
            self.records().end(len);
        }
    }

    pub(crate) fn sequence(&mut self, tag: Tag) {
        self.depth += 1;
        self.records().whole(SEQUENCE, tag, &[]);
    }

    pub(crate) fn item(&mut self) {
        self.records().whole(ITEM, Tag(0, 0), &[]);
    }

    pub(crate) fn end_of_sequence(&mut self) {
        self.depth -= 1;
        self.records().whole(END_OF_SEQUENCE, Tag(0, 0), &[]);
    }

    /// What takes a pixel value of `len` bytes.
    pub(crate) fn native((tag, vr): (Tag, VR), encoding: Encoding, len: u64, kept: &[Kept]) -> PixelHasher {
        PixelHasher::native((tag, vr), encoding, len, kept)
    }

    /// What takes fragments.
    pub(crate) fn encapsulated(kept: &[Kept]) -> PixelHasher {
        PixelHasher::encapsulated(kept)
    }

    pub(crate) fn pixels(&mut self, pixels: PixelHasher) {
        self.pixels = Some(pixels);
    }

    pub(crate) fn icon(&mut self, pixels: PixelHasher) {
        self.records().whole(ICON, tags::PIXEL_DATA, pixels.finish("").as_bytes());
    }

    /// The digests of the data set that was `scanned`, of whose pixels this is to be said.
    #[must_use]
    pub fn finish(self, scanned: &Scanned, lossless: Lossless) -> Content {
        let pixels = match lossless {
            Lossless::Digest(digest) => Some(digest),
            Lossless::CannotTell => return Content { dataset: None, pixels: None },
            Lossless::No => self.pixels.map(|pixels| pixels.finish(scanned.transfer_syntax_uid.as_str())),
        };
        let parts = self.parts.map(Records::finish);
        let mut whole = blake3::Hasher::new_derive_key("Clavicle data set 1");
        for part in &parts {
            whole.update(part);
        }
        if let Some(pixels) = &pixels {
            whole.update(pixels.as_bytes());
        }
        let uid = scanned.kept(tags::SOP_INSTANCE_UID).unwrap_or_default();
        let marks = parts.map(|part| {
            let [a, b, c, d, ..] = *blake3::keyed_hash(&part, uid.trim_ascii_end()).as_bytes();
            [a, b, c, d]
        });
        let digest = DatasetDigest::from_bytes(*whole.finalize().as_bytes());
        Content { dataset: Some(Dataset { digest, marks: Marks::from_bytes(marks) }), pixels }
    }

    fn records(&mut self) -> &mut Records {
        &mut self.parts[self.part as usize]
    }

    fn is_left_out(&self, tag: Tag) -> bool {
        let about_pixels = [
            tags::PHOTOMETRIC_INTERPRETATION,
            tags::PLANAR_CONFIGURATION,
            tags::EXTENDED_OFFSET_TABLE,
            tags::EXTENDED_OFFSET_TABLE_LENGTHS,
            tags::ENCAPSULATED_PIXEL_DATA_VALUE_TOTAL_LENGTH,
        ];
        tag.1 == 0 // the length of a group
            || tag == tags::DATA_SET_TRAILING_PADDING
            || tag == Tag(0x0008, 0x0001) // and of what follows, retired
            || self.depth == 0 && about_pixels.contains(&tag)
    }
}

/// The part that an element of the data set itself belongs to.
fn part_of(tag: Tag) -> Part {
    match tag {
        tags::PATIENT_NAME => Part::PatientName,
        tags::PATIENT_ID
        | tags::ISSUER_OF_PATIENT_ID
        | tags::TYPE_OF_PATIENT_ID
        | tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE
        | tags::OTHER_PATIENT_NAMES
        | tags::OTHER_PATIENT_I_DS_SEQUENCE
        | Tag(0x0010, 0x1000) => Part::PatientId,
        Tag(group, _) if group % 2 == 1 => Part::Private,
        Tag(0x0010, _) => Part::Patient,
        tags::STUDY_INSTANCE_UID
        | tags::STUDY_ID
        | tags::STUDY_DATE
        | tags::STUDY_TIME
        | tags::STUDY_DESCRIPTION
        | tags::ACCESSION_NUMBER
        | tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE
        | tags::REFERRING_PHYSICIAN_NAME
        | tags::REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE
        | tags::PHYSICIANS_OF_RECORD
        | tags::NAME_OF_PHYSICIANS_READING_STUDY
        | tags::PROCEDURE_CODE_SEQUENCE
        | tags::REFERENCED_STUDY_SEQUENCE
        | Tag(0x0032, _) => Part::Study,
        tags::SERIES_INSTANCE_UID
        | tags::SERIES_NUMBER
        | tags::SERIES_DATE
        | tags::SERIES_TIME
        | tags::SERIES_DESCRIPTION
        | tags::MODALITY
        | tags::LATERALITY
        | tags::BODY_PART_EXAMINED
        | tags::PROTOCOL_NAME
        | tags::PATIENT_POSITION
        | tags::PERFORMING_PHYSICIAN_NAME
        | tags::OPERATORS_NAME
        | tags::REQUEST_ATTRIBUTES_SEQUENCE
        | Tag(0x0040, 0x0244..=0x0254) => Part::Series,
        _ => Part::Instance,
    }
}
