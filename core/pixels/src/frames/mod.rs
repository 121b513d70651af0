//! Frames: single ones, out of an instance of which the rest stays where it is.
//!
//! It stands between a file that arrived, or that is kept, and the codec. Opening walks the file and reads what stands before
//! the pixels; a frame is then read and decoded by itself, so that a film of a gigabyte is never in memory. What a file
//! claims is held against what there is, first by the scan and then here: frames may be asked for in any program.

mod attributes;
mod index;

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Seek, SeekFrom};

use clavicle_dicom::layout::{Decoded, Layout, MAX_FRAME, PhotometricInterpretation};
use clavicle_dicom::repair::Repair;
use clavicle_dicom::scan;
use clavicle_dicom::scanned::{Pixels, Scanned, Span};
use clavicle_dicom::syntax::{Codec, TransferSyntax};
use clavicle_dicom::unreadable::{Attribute, Unreadable};
use clavicle_manifest::Uid;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

pub use self::attributes::Attributes;
use self::attributes::DataSet;
use self::index::Index;
use crate::codec::{self, CodecError};
pub use clavicle_dicom::kind::Kind;

/// Most bytes of an encoded frame: no codec that helps makes it larger than it was, by more than its headers.
const MAX_ENCODED: u64 = MAX_FRAME + (1 << 20);

/// So many bytes at the end of a fragment are looked at for the end of a codestream, and so many of them may be padding.
const TAIL: u64 = 64;
const PADDING: usize = 32;

/// Why no frame can be had of an instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramesError {
    /// It is no instance, or damaged.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It has no pixels, because it is something else.
    #[error("this is {0}, and no image")]
    NoImage(Kind),
    /// It stands for an image, and has no pixels.
    #[error("it is an image without pixels")]
    NoPixels,
    /// More than 64 MiB before the pixels.
    #[error("what stands before its pixels takes {0} bytes, which is more than is read")]
    HeaderTooLarge(u64),
    /// The data set before the pixels does not add up.
    #[error("what stands before its pixels cannot be read")]
    Header,
    /// An attribute without which pixels mean nothing.
    #[error("{0} is missing or no number, without which pixels mean nothing")]
    Missing(Attribute),
    /// Photometric Interpretation is none of the standard.
    #[error("{0:?} is no photometric interpretation that is still in the standard")]
    Photometric(String),
    /// Encapsulated pixels under a native transfer syntax, or the reverse.
    #[error("its pixels are not encoded as its transfer syntax says")]
    NotAsSaid,
    /// Frames in fragments, and no telling which are whose.
    #[error("it has {fragments} fragments for {frames} frames, and nothing says where a frame begins")]
    Unclear {
        /// Fragments.
        fragments: usize,
        /// Frames.
        frames: u32,
    },
    /// A frame beyond the last. People count from 1.
    #[error("it has {frames} frames, and no frame {}", u64::from(*.frame) + 1)]
    NoSuchFrame {
        /// Counted from 0.
        frame: u32,
        /// Frames there are.
        frames: u32,
    },
    /// An encoded frame is larger than any decoded one may be.
    #[error("one frame of it takes {0} bytes, which no image of a patient does")]
    FrameTooLarge(u64),
    /// Reading failed.
    #[error("it could not be read; the disk may be failing")]
    Io,
    /// The codec refused.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// What a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// A whole number (Pixel Data).
    Whole,
    /// A number with a fraction, in 32 bits (Float Pixel Data).
    Float,
    /// The same in 64 bits (Double Float Pixel Data).
    Double,
}

#[derive(Debug)]
enum Place {
    Native { value: Span, swapped: bool },
    Encapsulated { index: Index, fragments: Vec<Span> },
}

/// An instance whose frames can be had one by one.
#[derive(Debug)]
pub struct Frames<S> {
    source: Source<S>,
    transfer_syntax_uid: Uid,
    data_set: DataSet,
    layout: Layout,
    numbers: Numbers,
    repairs: BTreeSet<Repair>,
    /// What Number of Frames (0028,0008) says, if that is a number.
    said: Option<u32>,
    count: u32,
    place: Place,
}

/// What is read from: the file, or its data set where that was deflated.
#[derive(Debug)]
enum Source<S> {
    File(S),
    Inflated(Cursor<Vec<u8>>),
}

impl<S: Read + Seek> Source<S> {
    fn read(&mut self, span: Span) -> Result<Vec<u8>, FramesError> {
        fn from(source: &mut (impl Read + Seek), span: Span) -> Option<Vec<u8>> {
            source.seek(SeekFrom::Start(span.at)).ok()?;
            // Not as much as is claimed, but as much as comes.
            let mut bytes = Vec::new();
            source.take(span.len).read_to_end(&mut bytes).ok()?;
            (bytes.len() as u64 == span.len).then_some(bytes)
        }
        match self {
            Self::File(file) => from(file, span),
            Self::Inflated(bytes) => from(bytes, span),
        }
        .ok_or(FramesError::Io)
    }
}

impl<S: Read + Seek> Frames<S> {
    /// Reads an instance of `len` bytes as far as its pixels, and finds out where each frame is.
    ///
    /// # Errors
    /// [`FramesError`].
    pub fn read(mut source: S, len: u64) -> Result<Self, FramesError> {
        let scanned = scan::scan(&mut source, len)?;
        let Scanned {
            transfer_syntax_uid, data_set_at, encoding, pixels, pixels_at, patches, repairs, inflated, ..
        } = scanned;
        let mut source = inflated.map_or(Source::File(source), |bytes| Source::Inflated(Cursor::new(bytes)));
        let sop_class_uid = scanned.kept.iter().find(|kept| kept.tag == tags::SOP_CLASS_UID);
        let kind = sop_class_uid.map_or(Kind::Unknown, |kept| Kind::of(&String::from_utf8_lossy(&kept.value)));
        let Some((tag, pixels)) = pixels else {
            return Err(if kind == Kind::Image { FramesError::NoPixels } else { FramesError::NoImage(kind) });
        };
        let header = Span { at: data_set_at, len: pixels_at.at.saturating_sub(data_set_at) };
        if header.len > attributes::MAX_LEN {
            return Err(FramesError::HeaderTooLarge(header.len));
        }
        let header = patches.apply(source.read(header)?, data_set_at);
        let data_set = DataSet::read(header, encoding).ok_or(FramesError::Header)?;
        let attributes = data_set.attributes();
        let numbers = match tag {
            tags::FLOAT_PIXEL_DATA => Numbers::Float,
            tags::DOUBLE_FLOAT_PIXEL_DATA => Numbers::Double,
            _ => Numbers::Whole,
        };
        let layout = layout(attributes, numbers)?;
        let said = attributes.text(tags::NUMBER_OF_FRAMES).and_then(|text| text.parse::<u32>().ok());
        // A broken number of frames counts as one, as it does in a manifest.
        let expected = said.unwrap_or(1).max(1);
        let (place, count) = match (TransferSyntax::of(&transfer_syntax_uid), pixels) {
            (Ok(TransferSyntax::Native { big_endian }), Pixels::Native { value, vr }) => {
                let swapped = big_endian && vr == VR::OW && layout.bits_allocated <= 8;
                (Place::Native { value, swapped }, native_count(&layout, value.len, expected))
            }
            // All frames in one fragment.
            (Ok(TransferSyntax::Encapsulated(Codec::Uncompressed)), Pixels::Encapsulated { fragments, .. })
                if fragments.len() == 1 =>
            {
                let value = fragments[0];
                (Place::Native { value, swapped: false }, native_count(&layout, value.len, expected))
            }
            (Ok(TransferSyntax::Encapsulated(codec)), Pixels::Encapsulated { offsets, fragments }) => {
                let offsets = source.read(offsets)?;
                let bytes_of_pixel = u32::from(layout.samples_per_pixel) * u32::from(layout.bits_allocated.div_ceil(8));
                let (frame, mut filled) = (layout.native_bits().div_ceil(8).next_multiple_of(2), 0);
                let begins = |fragment: &Span| {
                    if codec == Codec::Uncompressed {
                        // As many fragments as fill a frame.
                        let is_first = filled == 0;
                        filled = if filled + fragment.len >= frame { 0 } else { filled + fragment.len };
                        return is_first;
                    }
                    if codec == Codec::Deflate {
                        // Nothing in it says where it begins; of several frames each is one fragment as a rule.
                        return expected > 1;
                    }
                    let begin = source.read(Span { len: fragment.len.min(8), ..*fragment }).unwrap_or_default();
                    let mut start = [0; 8];
                    start[..begin.len()].copy_from_slice(&begin);
                    index::begins(codec, start, bytes_of_pixel)
                };
                let frames = usize::try_from(expected).unwrap_or(usize::MAX);
                let index = Index::new(attributes, &offsets, &fragments, frames, begins);
                let unclear = FramesError::Unclear { fragments: fragments.len(), frames: expected };
                let index = index.ok_or(unclear)?;
                let count = u32::try_from(index.count()).unwrap_or(u32::MAX);
                (Place::Encapsulated { index, fragments }, count)
            }
            (Err(error), _) => return Err(CodecError::from(error).into()),
            _ => return Err(FramesError::NotAsSaid),
        };
        Ok(Self { source, transfer_syntax_uid, data_set, layout, numbers, repairs, said, count, place })
    }

    /// How many frames it has: at least 1. Those that are there count, where Number of Frames says something else.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// What Number of Frames (0028,0008) says, where that is not how many there are.
    #[must_use]
    pub fn said_otherwise(&self) -> Option<u32> {
        let said = self.said.unwrap_or(1);
        (said.max(1) != self.count).then_some(said)
    }

    /// What Number of Frames (0028,0008) says, if it says a number.
    #[must_use]
    pub const fn said(&self) -> Option<u32> {
        self.said
    }

    /// Whether a frame, counted from 0, ends before it should. Native ones are measured. A codestream of the JPEG family ends with a marker, and what is
    /// encoded in a simpler way is decoded. One of JPEG XL says how long its parts are. Films have no frames here: see
    /// [`lack`](crate::lack).
    ///
    /// # Errors
    /// [`FramesError`].
    pub fn is_cut_off(&mut self, frame: u32) -> Result<bool, FramesError> {
        let codec = match TransferSyntax::of(&self.transfer_syntax_uid) {
            Ok(TransferSyntax::Encapsulated(codec)) => codec,
            _ => Codec::Uncompressed,
        };
        let (fragments, len) = match &self.place {
            Place::Native { value, .. } => {
                let end = self.layout.native_bits().saturating_mul(u64::from(frame) + 1).div_ceil(8);
                return Ok(end > value.len || end == 0);
            }
            Place::Encapsulated { index, fragments } => {
                let no_such = FramesError::NoSuchFrame { frame, frames: self.count };
                let (range, len) = usize::try_from(frame).ok().and_then(|frame| index.frame(frame)).ok_or(no_such)?;
                (fragments[range].to_vec(), len)
            }
        };
        let whole: u64 = fragments.iter().map(|fragment| fragment.len).sum();
        if whole == 0 || len.is_some_and(|len| len > whole) {
            return Ok(true);
        }
        match codec {
            Codec::Jpeg | Codec::JpegLs | Codec::Jpeg2000 | Codec::HighThroughputJpeg2000 => {
                let mut end = len.unwrap_or(whole);
                let mut last = Vec::new();
                for fragment in fragments {
                    let len = fragment.len.min(end);
                    end -= len;
                    let tail = len.min(TAIL);
                    last.append(&mut self.source.read(Span { at: fragment.at + (len - tail), len: tail })?);
                }
                // It may be padded, with whatever.
                let marker = last.iter().rposition(|byte| *byte == 0xd9).filter(|at| *at > 0);
                let ends = marker.is_some_and(|at| last[at - 1] == 0xff && last.len() - at <= PADDING);
                Ok(!ends)
            }
            Codec::Uncompressed => Ok(whole < self.layout.native_bits().div_ceil(8)),
            Codec::Rle | Codec::Deflate => match self.frame(frame) {
                Ok(_) => Ok(false),
                Err(FramesError::Codec(
                    error @ (CodecError::NotBuilt { .. } | CodecError::Syntax(_) | CodecError::Layout(_)),
                )) => Err(error.into()),
                Err(FramesError::Codec(_)) => Ok(true),
                Err(error) => Err(error),
            },
            Codec::JpegXl => {
                let encoded = self.encoded(frame)?;
                Ok(codec::is_jpegxl_cut_off(&self.transfer_syntax_uid, &encoded, &self.layout)?)
            }
            _ => Ok(false),
        }
    }

    /// What is not in order in the file.
    #[must_use]
    pub const fn repairs(&self) -> &BTreeSet<Repair> {
        &self.repairs
    }

    /// What stands before the pixels.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'_> {
        self.data_set.attributes()
    }

    /// What the data set says of the pixels.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What a sample is.
    #[must_use]
    pub const fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Transfer Syntax UID (0002,0010).
    #[must_use]
    pub const fn transfer_syntax_uid(&self) -> Uid {
        self.transfer_syntax_uid
    }

    /// The bytes of a frame as they are encoded, counted from 0. One of samples of one bit is moved so that it begins with a byte.
    ///
    /// # Errors
    /// [`FramesError`].
    pub fn encoded(&mut self, frame: u32) -> Result<Vec<u8>, FramesError> {
        let no_such = FramesError::NoSuchFrame { frame, frames: self.count };
        if frame >= self.count {
            return Err(no_such);
        }
        match &self.place {
            Place::Native { value, swapped } => {
                let bits = self.layout.native_bits();
                let (start, end) = (bits * u64::from(frame), bits * (u64::from(frame) + 1));
                let (mut first, mut last) = (start / 8, end.div_ceil(8));
                if last - first > MAX_ENCODED {
                    return Err(FramesError::FrameTooLarge(last - first));
                }
                if *swapped {
                    // Whole words, or they cannot be swapped.
                    (first, last) = (first & !1, last.next_multiple_of(2));
                }
                if last > value.len {
                    let wanted = bits.div_ceil(8);
                    return Err(CodecError::Short { wanted, len: value.len.saturating_sub(start / 8) }.into());
                }
                let (value, swapped) = (*value, *swapped);
                let mut bytes = self.source.read(Span { at: value.at + first, len: last - first })?;
                if swapped {
                    bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse);
                }
                Ok(cut(bytes, start - 8 * first, bits))
            }
            Place::Encapsulated { index, fragments } => {
                let (range, len) = usize::try_from(frame).ok().and_then(|frame| index.frame(frame)).ok_or(no_such)?;
                let fragments = fragments[range].to_vec();
                let whole = fragments.iter().map(|fragment| fragment.len).sum();
                if whole > MAX_ENCODED {
                    return Err(FramesError::FrameTooLarge(whole));
                }
                let mut bytes = Vec::new();
                for fragment in fragments {
                    bytes.append(&mut self.source.read(fragment)?);
                }
                if let Some(len) = len.and_then(|len| usize::try_from(len).ok()) {
                    bytes.truncate(len);
                }
                Ok(bytes)
            }
        }
    }

    /// A frame, counted from 0, read and decoded.
    ///
    /// # Errors
    /// [`FramesError`].
    pub fn frame(&mut self, frame: u32) -> Result<Decoded, FramesError> {
        self.layout.check().map_err(CodecError::from)?;
        let encoded = self.encoded(frame)?;
        Ok(codec::decode(&self.transfer_syntax_uid, &encoded, &self.layout)?)
    }
}

/// How many frames there are in `len` bytes of native pixels: as many as are said, if these fill them, and else as many as are whole.
fn native_count(layout: &Layout, len: u64, said: u32) -> u32 {
    let bits = layout.native_bits();
    let needed = |frames: u32| bits.saturating_mul(frames.into()).div_ceil(8);
    if bits == 0 || needed(said) == len || needed(said).next_multiple_of(2) == len {
        return said;
    }
    match u32::try_from(len.saturating_mul(8) / bits).unwrap_or(u32::MAX) {
        // Not even one: what is missing is said when it is asked for.
        0 => said,
        whole => whole,
    }
}

/// Bits from `start` on, as whole bytes.
fn cut(mut bytes: Vec<u8>, start: u64, bits: u64) -> Vec<u8> {
    let start_byte = usize::try_from(start / 8).unwrap_or(usize::MAX).min(bytes.len());
    bytes.drain(..start_byte);
    let shift = start % 8;
    if shift > 0 {
        for at in 0..bytes.len() {
            let next = bytes.get(at + 1).copied().unwrap_or(0);
            bytes[at] = bytes[at] >> shift | next << (8 - shift);
        }
    }
    bytes.truncate(usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX));
    bytes
}

/// The Image Pixel Module. What is missing is what it cannot be otherwise.
fn layout(attributes: Attributes<'_>, numbers: Numbers) -> Result<Layout, FramesError> {
    let word = |tag: Tag| attributes.word(tag);
    let must = |tag: Tag| word(tag).ok_or(FramesError::Missing(tag.into()));
    let samples_per_pixel = word(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
    let bits_allocated = match numbers {
        Numbers::Whole => must(tags::BITS_ALLOCATED)?,
        Numbers::Float => 32,
        Numbers::Double => 64,
    };
    let bits_stored = word(tags::BITS_STORED).filter(|_| numbers == Numbers::Whole).unwrap_or(bits_allocated);
    let high_bit = word(tags::HIGH_BIT).filter(|_| numbers == Numbers::Whole);
    let photometric = match attributes.text(tags::PHOTOMETRIC_INTERPRETATION) {
        None if samples_per_pixel == 1 => PhotometricInterpretation::Monochrome2,
        None => PhotometricInterpretation::Rgb,
        Some(term) => PhotometricInterpretation::of_term(&term).ok_or(FramesError::Photometric(term))?,
    };
    Ok(Layout {
        rows: must(tags::ROWS)?,
        columns: must(tags::COLUMNS)?,
        samples_per_pixel,
        bits_allocated,
        bits_stored,
        high_bit: high_bit.unwrap_or_else(|| bits_stored.saturating_sub(1)),
        signed: word(tags::PIXEL_REPRESENTATION) == Some(1),
        photometric,
        planar: word(tags::PLANAR_CONFIGURATION) == Some(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_cut_out_of_bytes() {
        assert_eq!(cut(vec![0b1010_1010, 0b1100_1100], 0, 9), [0b1010_1010, 0b1100_1100]);
        assert_eq!(cut(vec![0b1010_1010, 0b1100_1100], 3, 8)[0], 0b1001_0101);
        assert_eq!(cut(vec![1, 2, 3], 8, 8), [2]);
    }
}
