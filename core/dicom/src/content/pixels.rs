//! The pixels of a data set, whatever they are written in.
//!
//! ```text
//! pixels = BLAKE3 derive_key("Clavicle pixels 1")(kind as u8 ‖ …)
//! kind 0: bytes            pixels that are not what the data set says of them, as they stand, words little endian
//! kind 1: shape ‖ samples  samples little endian, pixel by pixel, the bits that are stored alone
//! kind 2: photometric ‖ fragments ‖ transfer syntax   a codestream
//! shape  = rows ‖ columns ‖ samples per pixel ‖ bits allocated ‖ bits stored ‖ representation as u16 ‖ frames as u32 ‖ photometric
//! photometric, transfer syntax = length as u64 ‖ text
//! ```
//!
//! Of kind 1 are native pixels, and those that were compressed without loss and can be decoded here: they have the same digest before and after.
//! What was compressed with loss is what its codestream says; two decoders need not agree on it.

use clavicle_manifest::PixelDigest;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use crate::encoding::{Encoding, word_len};
use crate::layout::{Decoded, Layout};
use crate::scanned::Kept;

/// The largest frame whose planes are put together, in bytes.
const MAX_FRAME: u64 = 256 << 20;

/// Takes pixels as they stand in the file.
pub struct PixelHasher {
    hasher: blake3::Hasher,
    written: Written,
    /// Bytes that still count. What may follow is padding.
    left: u64,
    is_codestream: bool,
    scratch: Vec<u8>,
}

/// How samples differ from how they are hashed.
enum Written {
    /// Not at all.
    Alike,
    /// In words of so many bytes, perhaps turned round, with bits that do not count.
    Words { len: usize, is_big: bool, shift: u16, mask: u64 },
    /// As planes, one after the other in each frame.
    Planes { samples: usize, word: usize, frame: usize, words: Box<Written> },
}

/// What a data set says of its pixels (PS3.3 C.7.6.3).
struct Shape<'a> {
    rows: u16,
    columns: u16,
    samples: u16,
    allocated: u16,
    stored: u16,
    high: u16,
    representation: u16,
    frames: u32,
    planar: u16,
    photometric: &'a [u8],
}

impl<'a> Shape<'a> {
    fn of(kept: &'a [Kept]) -> Option<Self> {
        let find = |tag: Tag| kept.iter().find(|kept| kept.tag == tag).map(|kept| kept.value.as_slice());
        let number = |tag| find(tag).and_then(|value| value.first_chunk()).map(|bytes| u16::from_le_bytes(*bytes));
        let stored = number(tags::BITS_STORED)?;
        let frames = find(tags::NUMBER_OF_FRAMES).map(|value| core::str::from_utf8(value).ok()?.trim().parse().ok());
        Some(Self {
            rows: number(tags::ROWS)?,
            columns: number(tags::COLUMNS)?,
            samples: number(tags::SAMPLES_PER_PIXEL)?,
            allocated: number(tags::BITS_ALLOCATED)?,
            stored,
            high: number(tags::HIGH_BIT).or(stored.checked_sub(1))?,
            representation: number(tags::PIXEL_REPRESENTATION).unwrap_or(0),
            frames: frames.unwrap_or(Some(1))?,
            planar: number(tags::PLANAR_CONFIGURATION).unwrap_or(0),
            photometric: photometric(kept),
        })
    }

    /// How many bytes there are, where all that is said makes sense.
    fn bytes(&self) -> Option<u64> {
        let bits = u64::from(self.rows) * u64::from(self.columns) * u64::from(self.samples);
        let bits = bits.checked_mul(u64::from(self.allocated))?.checked_mul(u64::from(self.frames))?;
        let is_sound = matches!(self.allocated, 1 | 8 | 16 | 32 | 64)
            && (1..=self.allocated).contains(&self.stored)
            && (self.stored - 1..self.allocated).contains(&self.high)
            && self.representation <= 1;
        is_sound.then_some(bits.div_ceil(8))
    }

    fn preimage(&self) -> Vec<u8> {
        let Self { rows, columns, samples, allocated, stored, high: _, representation, frames, planar: _, photometric } =
            *self;
        let mut bytes = vec![1];
        for number in [rows, columns, samples, allocated, stored, representation] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&frames.to_le_bytes());
        bytes.extend(text(photometric));
        bytes
    }
}

/// Photometric Interpretation (0028,0004), without padding.
fn photometric(kept: &[Kept]) -> &[u8] {
    let kept = kept.iter().find(|kept| kept.tag == tags::PHOTOMETRIC_INTERPRETATION);
    kept.map(|kept| kept.value.as_slice()).unwrap_or_default().trim_ascii_end()
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

impl std::fmt::Debug for PixelHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PixelHasher(…)")
    }
}

impl PixelHasher {
    fn new(preimage: &[u8], written: Written, left: u64, is_codestream: bool) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("Clavicle pixels 1");
        hasher.update(preimage);
        Self { hasher, written, left, is_codestream, scratch: Vec::new() }
    }

    pub(crate) fn encapsulated(kept: &[Kept]) -> Self {
        Self::new(&[&[2][..], &text(photometric(kept))].concat(), Written::Alike, u64::MAX, true)
    }

    /// For frames of native samples, as a codec gives them.
    #[must_use]
    pub fn decoded(layout: &Layout, frames: u32, first: &Decoded) -> Self {
        let Layout { rows, columns, samples_per_pixel, bits_allocated, bits_stored, high_bit, signed, .. } = *layout;
        let shape = Shape {
            rows,
            columns,
            samples: samples_per_pixel,
            allocated: bits_allocated,
            stored: bits_stored,
            high: high_bit,
            representation: signed.into(),
            frames,
            planar: 0,
            photometric: first.photometric.term().as_bytes(),
        };
        let written = Written::little(&shape, usize::from(bits_allocated) / 8);
        Self::new(&shape.preimage(), written, u64::MAX, false)
    }

    pub(crate) fn native((tag, vr): (Tag, VR), encoding: Encoding, len: u64, kept: &[Kept]) -> Self {
        let shape = Shape::of(kept).filter(|_| tag == tags::PIXEL_DATA);
        // Values have an even length, and those of a single bit or byte a last one that means nothing.
        if let Some(shape) = shape
            && let Some(bytes) = shape.bytes()
            && (len == bytes || len == bytes + bytes % 2)
            && let Some(written) = Written::of(&shape, vr, encoding)
        {
            return Self::new(&shape.preimage(), written, bytes, false);
        }
        let word = word_len(vr);
        let written = if encoding.is_big() && word > 1 {
            Written::Words { len: word, is_big: true, shift: 0, mask: u64::MAX }
        } else {
            Written::Alike
        };
        Self::new(&[0], written, len, false)
    }

    /// Takes the next bytes: a multiple of eight, but for the last ones of a value.
    pub fn take(&mut self, piece: &[u8]) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let counting = &piece[..piece.len().min(left)];
        self.left -= counting.len() as u64;
        match &self.written {
            Written::Alike => {
                self.hasher.update(counting);
            }
            words @ Written::Words { .. } => {
                self.scratch.clear();
                // The last byte that counts may share a word with padding.
                words.turn(piece, &mut self.scratch);
                self.scratch.truncate(counting.len());
                self.hasher.update(&self.scratch);
            }
            Written::Planes { samples, word, frame, words } => {
                let mut rest = counting;
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(rest.len().min(frame - self.scratch.len()));
                    self.scratch.extend_from_slice(now);
                    rest = later;
                    if self.scratch.len() == *frame {
                        self.hasher.update(&words.interleaved(*samples, *word, &self.scratch));
                        self.scratch.clear();
                    }
                }
            }
        }
    }

    /// The digest; of a codestream, the transfer syntax is a part of it.
    #[must_use]
    pub fn finish(mut self, transfer_syntax_uid: &str) -> PixelDigest {
        if self.is_codestream {
            self.hasher.update(&text(transfer_syntax_uid.as_bytes()));
        }
        PixelDigest::from_bytes(*self.hasher.finalize().as_bytes())
    }
}

impl Written {
    /// How the samples of `shape` are written; none where they cannot be read one by one.
    fn of(shape: &Shape<'_>, vr: VR, encoding: Encoding) -> Option<Self> {
        let len = usize::from(shape.allocated) / 8;
        // Bytes in words of two are turned round with them.
        let len = if len <= 1 && encoding.is_big() { word_len(vr) } else { len.max(1) };
        let is_big = encoding.is_big() && len > 1;
        let is_partial = shape.stored < shape.allocated;
        if is_partial && len != usize::from(shape.allocated) / 8 {
            return None;
        }
        let mask = u64::MAX >> (64 - shape.stored.min(64));
        let shift = shape.high + 1 - shape.stored;
        let words = if is_partial || is_big {
            Self::Words { len, is_big, shift, mask: if is_partial { mask } else { u64::MAX } }
        } else {
            Self::Alike
        };
        if shape.samples < 2 || shape.planar == 0 {
            return Some(words);
        }
        let frame = shape.bytes()? / u64::from(shape.frames.max(1));
        let word = usize::from(shape.allocated) / 8;
        let frame = usize::try_from(frame).ok().filter(|_| word == len && (1..=MAX_FRAME).contains(&frame))?;
        Some(Self::Planes { samples: usize::from(shape.samples), word, frame, words: Box::new(words) })
    }

    /// Samples little endian, pixel by pixel, in words of `len` bytes.
    const fn little(shape: &Shape<'_>, len: usize) -> Self {
        if shape.stored == shape.allocated {
            return Self::Alike;
        }
        let (shift, mask) = (shape.high + 1 - shape.stored, u64::MAX >> (64 - shape.stored));
        Self::Words { len, is_big: false, shift, mask }
    }

    /// Appends the samples of `piece` as they are hashed.
    fn turn(&self, piece: &[u8], to: &mut Vec<u8>) {
        let Self::Words { len, is_big, shift, mask } = self else {
            to.extend_from_slice(piece);
            return;
        };
        let from = to.len();
        to.resize(from + piece.len(), 0);
        let to = &mut to[from..];
        match (len, is_big) {
            // What CT and MR have, in a form that the compiler makes vectors of.
            (2, false) => {
                let (shift, mask) = (*shift, *mask as u16);
                for (to, from) in to.as_chunks_mut::<2>().0.iter_mut().zip(piece.as_chunks::<2>().0) {
                    *to = ((u16::from_le_bytes(*from) >> shift) & mask).to_le_bytes();
                }
            }
            _ => {
                for (to, from) in to.chunks_exact_mut(*len).zip(piece.chunks_exact(*len)) {
                    let mut word = [0; 8];
                    word[..*len].copy_from_slice(from);
                    if *is_big {
                        word[..*len].reverse();
                    }
                    let word = ((u64::from_le_bytes(word) >> shift) & mask).to_le_bytes();
                    to.copy_from_slice(&word[..*len]);
                }
            }
        }
    }

    /// A frame of planes, pixel by pixel.
    fn interleaved(&self, samples: usize, word: usize, frame: &[u8]) -> Vec<u8> {
        let mut pixels = vec![0; frame.len()];
        let plane = frame.len() / samples;
        for (sample, plane) in frame.chunks_exact(plane.max(1)).enumerate() {
            for (at, value) in plane.chunks_exact(word).enumerate() {
                let to = (at * samples + sample) * word;
                pixels[to..to + word].copy_from_slice(value);
            }
        }
        let mut turned = Vec::new();
        self.turn(&pixels, &mut turned);
        turned
    }
}
